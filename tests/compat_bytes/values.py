"""Values for every message and version, as plain dicts by our field names; made from the schema, not from the codec.

A struct is a dict that holds the fields of the version; ints, str, bytes, float, bool, list and None are themselves.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any

from pyralog._speedups.codec import Message
from pyralog.wire.loading import Loaded, load_api, load_blob
from pyralog.wire.schema import FieldSpec, StructSpec
from pyralog.wire.schemas import index

MODES = ("default", "null", "empty", "lowest", "highest")

LIMITS = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
STRINGS = ["", "a", "orders-1", "Grüße", "日本語", "𝄞 clef", "x" * 126, "x" * 127, "x" * 128, "\x00\n\x7f"]
BYTES = [b"", b"\0", b"\xff\xfe", bytes(range(130)), b"payload"]
FLOATS = [0.0, 1.5, -1e300, 5e-324]


def present(spec: StructSpec, version: int) -> list[FieldSpec]:
    return [field for field in spec.fields if field.versions[0] <= version <= field.versions[1]]


def nullable(field: FieldSpec, version: int) -> bool:
    return field.nullable[0] <= version <= field.nullable[1]


def scalar(kind: str, mode: str, rng: random.Random) -> Any:
    if kind in LIMITS:
        low, high = LIMITS[kind]
        if mode == "random":
            return rng.choice([0, 1, low, high, max(low, -1), rng.randint(low, high), rng.randint(0, 127)])
        return {"lowest": low, "highest": high}.get(mode, 0)
    if kind == "bool":
        return rng.random() < 0.5 if mode == "random" else mode == "highest"
    if kind == "float64":
        return rng.choice(FLOATS) if mode == "random" else {"lowest": -1e300, "highest": 1.7e308}.get(mode, 0.0)
    if kind == "uuid":
        return (
            rng.randbytes(16)
            if mode == "random"
            else {"lowest": b"\x80" * 16, "highest": b"\xff" * 16}.get(mode, bytes(16))
        )
    if kind == "string":
        return (
            rng.choice(STRINGS)
            if mode == "random"
            else {"lowest": "l\u00f6w", "highest": "\U0001d11e" * 40}.get(mode, "")
        )
    return rng.choice(BYTES) if mode == "random" else {"lowest": b"\x00", "highest": b"\xff" * 200}.get(mode, b"")


def value_of(field: FieldSpec, version: int, mode: str, rng: random.Random, depth: int) -> Any:
    can_be_null = nullable(field, version)
    if can_be_null and (mode == "null" or (mode == "random" and rng.random() < 0.3)):
        return None
    if mode == "default" and field.default not in ((), "struct"):
        return field.default if field.default is not None or can_be_null else scalar(field.type, mode, rng)
    if not field.array:
        return struct_of(field.struct, version, mode, rng, depth) if field.struct else scalar(field.type, mode, rng)
    count = {"default": 0, "null": 1, "lowest": 1, "highest": 2}.get(mode, 0)
    if mode == "empty":
        count = 1 if field.struct else 0
    elif mode == "random":
        count = rng.choice([0, 1, 1, 2, 3] if depth < 3 else [0, 1])
    if field.struct:
        return [struct_of(field.struct, version, mode, rng, depth + 1) for _ in range(count)]
    return [scalar(field.type, mode, rng) for _ in range(count)]


def struct_of(spec: StructSpec, version: int, mode: str, rng: random.Random, depth: int = 0) -> dict[str, Any]:
    return {field.name: value_of(field, version, mode, rng, depth) for field in present(spec, version)}


def default_of(field: FieldSpec, version: int) -> Any:
    """The value that a message has when the field is not given."""
    if field.default == "struct" and field.struct is not None:
        return {inner.name: default_of(inner, version) for inner in present(field.struct, version)}
    return [] if field.default == () else field.default


def to_message(spec: StructSpec, loaded: Loaded, value: dict[str, Any]) -> Message:
    fields = {field.name: field for field in spec.fields}

    def convert(field: FieldSpec, inner: Any) -> Any:
        if field.struct is None or inner is None:
            return inner
        if field.array:
            return [to_message(field.struct, loaded, element) for element in inner]
        return to_message(field.struct, loaded, inner)

    return loaded.classes[spec.name](**{name: convert(fields[name], inner) for name, inner in value.items()})


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def map_values(
    spec: StructSpec, value: dict[str, Any], key: Callable[[str], str], leaf: Callable[[str, Any], Any]
) -> dict[str, Any]:
    """The same tree with its keys and its leaves (by kind) mapped."""
    out = {}
    for field in spec.fields:
        if field.name not in value:
            continue
        inner = value[field.name]
        if inner is not None and field.struct is not None:
            if field.array:
                inner = [map_values(field.struct, element, key, leaf) for element in inner]
            else:
                inner = map_values(field.struct, inner, key, leaf)
        elif inner is not None:
            inner = [leaf(field.type, element) for element in inner] if field.array else leaf(field.type, inner)
        out[key(field.name)] = inner
    return out


def _json_leaf(kind: str, value: Any) -> Any:
    if kind == "uuid":
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    return base64.b64encode(value).decode() if kind in ("bytes", "records") else value


def to_kafka_json(spec: StructSpec, value: dict[str, Any]) -> dict[str, Any]:
    """As kafka-clients' JsonConverter classes read it."""
    return map_values(spec, value, camel, _json_leaf)


def from_kafka_json(spec: StructSpec, value: dict[str, Any]) -> dict[str, Any]:
    fields = {camel(field.name): field for field in spec.fields}

    def convert(field: FieldSpec, inner: Any) -> Any:
        if inner is None:
            return None
        if field.struct is not None:
            return from_kafka_json(field.struct, inner)
        if field.type == "uuid":
            return base64.urlsafe_b64decode(inner + "==")
        return base64.b64decode(inner) if field.type in ("bytes", "records") else inner

    out = {}
    for name, inner in value.items():
        field = fields[name]
        out[field.name] = (
            [convert(field, e) for e in inner] if field.array and inner is not None else convert(field, inner)
        )
    return out


def all_messages() -> list[tuple[int, str, int]]:
    """Every (API key, section, version)."""
    return [
        (key, section, version)
        for key, (_, _, low, high, _) in index.APIS.items()
        for version in range(low, high + 1)
        for section in ("request", "response")
    ]


def all_blobs() -> list[tuple[str, int]]:
    return [
        (n, v) for n in index.BLOBS for s in [load_blob(n).schema] for v in range(s.first_version, s.last_version + 1)
    ]


def schema_of(key: int | str, section: str) -> tuple[StructSpec, Loaded]:
    loaded = load_blob(key) if isinstance(key, str) else load_api(key)
    return loaded.schema.sections[section], loaded
