"""The list of all keys, read off the models: paths, environment names, Kafka synonyms, ranges and near misses."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from pyralog.config.options import Opt, Section
from pyralog.config.schema import Config

# Where a key may also stand: the guide shows election_timeout without a parent, others expect it under replication.
ALIASES: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("preset",): ("profile",),
    ("replication", "election_timeout"): ("election_timeout",),
}


@dataclass(frozen=True, slots=True)
class KafkaName:
    """A Kafka synonym and the factor from Kafka's unit to ours."""

    name: str
    factor: int = 1


@dataclass(frozen=True, slots=True)
class Key:
    """One configuration key."""

    path: tuple[str, ...]
    opt: Opt
    kind: str  # int, float, bool, str, list, map, or address
    default: Any
    lowest: float | None
    highest: float | None
    choices: tuple[str, ...]
    doc: str
    optional: bool

    @property
    def name(self) -> str:
        """The dotted path."""
        return ".".join(self.path)

    @property
    def env(self) -> tuple[str, ...]:
        """Environment names, strongest first; the systematic one is last."""
        systematic = "PYRALOG_" + "_".join(self.path).upper()
        return tuple(dict.fromkeys((*self.opt.env, systematic)))

    @property
    def kafka(self) -> tuple[KafkaName, ...]:
        """Kafka synonyms, strongest first."""
        return tuple(KafkaName(*entry) if isinstance(entry, tuple) else KafkaName(entry) for entry in self.opt.kafka)

    @property
    def range(self) -> str:
        """The allowed values in words, or an empty text."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.lowest is None or self.highest is None:
            return ""
        return (
            f"{self.lowest:.16g} to {self.highest:.16g}" if self.kind == "float" else f"{self.lowest} to {self.highest}"
        )


def _kind(annotation: Any) -> tuple[str, tuple[str, ...], bool]:
    """Kind, choices and whether null is allowed, of a field's annotation."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not NoneType]
        kind, choices, _ = _kind(inner[0])
        return kind, choices, True
    if origin is Literal:
        return "str", tuple(str(arg) for arg in get_args(annotation)), False
    if hasattr(annotation, "__metadata__"):
        return _kind(annotation.__origin__)
    if origin is tuple:
        return "list", _kind(get_args(annotation)[0])[1], False
    for simple in (bool, int, float, str):
        if annotation is simple:
            return simple.__name__, (), False
    return ("map" if origin is not None else "address"), (), False


def _key(path: tuple[str, ...], field: FieldInfo) -> Key:
    opt = next(item for item in field.metadata if isinstance(item, Opt))
    kind, choices, optional = _kind(field.annotation)
    bounds = {name: getattr(item, name) for item in field.metadata for name in ("ge", "le") if hasattr(item, name)}
    return Key(
        path=path,
        opt=opt,
        kind=kind,
        default=field.get_default(),
        lowest=bounds.get("ge"),
        highest=bounds.get("le"),
        choices=choices,
        doc=field.description or "",
        optional=optional,
    )


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section class of a field that is a section, else None."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _walk(section: type[Section], prefix: tuple[str, ...]) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is None:
            yield _key((*prefix, name), field)
        else:
            yield from _walk(inner, (*prefix, name))


@functools.cache
def all_keys() -> Mapping[tuple[str, ...], Key]:
    """Every key by path, in the order of the models."""
    return {key.path: key for key in _walk(Config, ())}


@functools.cache
def by_name() -> Mapping[str, Key]:
    """Every key by dotted path."""
    return {key.name: key for key in all_keys().values()}


@functools.cache
def by_kafka_name() -> Mapping[str, tuple[Key, KafkaName]]:
    """Keys by Kafka synonym."""
    return {kafka.name: (key, kafka) for key in all_keys().values() for kafka in key.kafka}


@functools.cache
def by_env_name() -> Mapping[str, Key]:
    """Keys by PYRALOG_* name, short and systematic."""
    return {name: key for key in all_keys().values() for name in key.env}


def sections() -> frozenset[tuple[str, ...]]:
    """Paths that are sections."""
    return frozenset(key.path[:depth] for key in all_keys().values() for depth in range(1, len(key.path)))


def nearest(path: tuple[str, ...]) -> str | None:
    """What an unknown key was meant to be: a sibling by its short name, else any key by its dotted path."""
    found = _nearest(path)
    parent = ".".join(path[:-1])
    if found is not None and parent and found.rpartition(".")[0] == parent:
        return found.rpartition(".")[2]
    return found


def _nearest(path: tuple[str, ...]) -> str | None:
    wrong, parent = path[-1], path[:-1]
    whole_path = ".".join(path)
    if (known := by_kafka_name().get(whole_path) or by_kafka_name().get(wrong)) is not None:
        return known[0].name
    everything = {*all_keys(), *sections()}
    siblings = {known_path[-1] for known_path in everything if known_path[:-1] == parent}
    if close := difflib.get_close_matches(wrong, sorted(siblings), n=1, cutoff=0.7):
        return close[0]
    same_name = [".".join(known_path) for known_path in everything if known_path[-1] == wrong]
    if same_name:
        return min(same_name, key=lambda name: (-difflib.SequenceMatcher(None, name, whole_path).ratio(), name))
    names = sorted({*by_name(), *by_kafka_name(), *(".".join(section) for section in sections() if section != parent)})
    if close := difflib.get_close_matches(whole_path, names, n=1, cutoff=0.75):
        kafka = by_kafka_name().get(close[0])
        return kafka[0].name if kafka else close[0]
    if close := difflib.get_close_matches(wrong, sorted(siblings), n=1, cutoff=0.5):
        return close[0]
    return None
