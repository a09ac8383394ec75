"""The configuration file's JSON Schema, for editors: completion, ranges and texts while one types."""

from __future__ import annotations

from typing import Any

from pyralog.config.keys import ALIASES, Key, all_keys, section_of
from pyralog.config.options import Section
from pyralog.config.reference import default_text
from pyralog.config.schema import Config
from pyralog.config.schema_operations import FAMILIES
from pyralog.config.units import SIZE_UNITS, TIME_UNITS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ADDRESS = {"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*):[0-9]{1,5}$"}
_SCALAR = {"type": ["string", "number"]}
_MEMBER = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string"},
        {
            "type": "object",
            "properties": {"id": {"type": ["integer", "string"]}, "internal_address": _ADDRESS},
            "required": ["id"],
            "additionalProperties": False,
        },
    ]
}
_LISTENER = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "listen": _ADDRESS,
        "advertised": {"anyOf": [{"const": "auto"}, _ADDRESS]},
        "protocol": {"enum": ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]},
    },
    "required": ["listen"],
    "additionalProperties": False,
}
# What the kind of a key does not tell: how the items of its list, or its text, may be written.
_SPECIAL: dict[str, dict[str, Any]] = {
    "node.cluster_nodes": {"anyOf": [{"type": "array", "items": _MEMBER}, _MEMBER]},
    "node.peers": {
        "anyOf": [{"type": "object", "additionalProperties": _ADDRESS}, {"type": ["string", "array"]}],
    },
    "network.listeners": {"type": "array", "items": _LISTENER},
    "network.advertised_address": {"anyOf": [{"const": "auto"}, {"type": "null"}, _ADDRESS]},
    "topics.defaults.cleanup_policy": {
        "anyOf": [{"type": "array", "items": {"enum": ["compact", "delete"]}}, {"type": "string"}]
    },
    "metrics.families": {"anyOf": [{"const": "all"}, {"type": "array", "items": {"enum": list(FAMILIES)}}]},
}


def json_schema() -> dict[str, Any]:
    """The whole schema. Texts for numbers are allowed wherever a file may hold them ("1GiB", "30s")."""
    schema = {"$schema": DIALECT, "title": "Pyralog configuration", **_section(Config, ())}
    for alias, target in ALIASES.items():
        parent = schema
        for name in alias[:-1]:
            parent = parent["properties"][name]
        source = schema
        for name in target:
            source = source["properties"][name]
        parent["properties"][alias[-1]] = source
    return schema


def _section(section: type[Section], path: tuple[str, ...]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is None:
            properties[name] = _key(all_keys()[(*path, name)])
        else:
            # A section may be left empty, as `storage:` alone.
            properties[name] = {**_section(inner, (*path, name)), "type": ["object", "null"]}
    return {
        "type": "object",
        "description": " ".join((section.__doc__ or "").split()),
        "properties": properties,
        "additionalProperties": False,
    }


def _key(key: Key) -> dict[str, Any]:
    kind = _SPECIAL.get(key.name) or _type(key)
    if key.optional and "anyOf" not in kind:
        kind = {"anyOf": [kind, {"type": "null"}]}
    told = [key.doc, f"Default: {default_text(key)}."]
    if key.kafka:
        told.append(f"Kafka: {', '.join(name.name for name in key.kafka)}.")
    return {**kind, "description": " ".join(told)}


def _type(key: Key) -> dict[str, Any]:
    if key.kind == "list":
        items = {"enum": list(key.choices)} if key.choices else _SCALAR
        return {"anyOf": [{"type": "array", "items": items}, _SCALAR]}
    if key.choices:
        return {"enum": list(key.choices)}
    match key.kind:
        case "int":
            return {"anyOf": [_bounded("integer", key), {"type": "string", "pattern": _text_pattern(key)}]}
        case "float":
            return {"anyOf": [_bounded("number", key), {"type": "string", "pattern": r"^[-+0-9.eE]+$"}]}
        case "bool":
            return {"anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}
        case "address":
            return dict(_ADDRESS)
    return dict(_SCALAR)


def _bounded(kind: str, key: Key) -> dict[str, Any]:
    bounds = {"minimum": key.lowest, "maximum": key.highest}
    return {"type": kind, **{name: value for name, value in bounds.items() if value is not None}}


def _text_pattern(key: Key) -> str:
    """How a number may be written as a text; units are read in any case."""
    units = {"bytes": SIZE_UNITS, "ms": TIME_UNITS}.get(key.opt.unit or "", {})
    if not units:
        return r"^\s*[-+]?[0-9]+\s*$"
    names = "|".join("".join(f"[{c.upper()}{c.lower()}]" for c in unit) for unit in units)
    return rf"^\s*[-+]?[0-9]+(\.[0-9]+)?\s*({names})?\s*$"
