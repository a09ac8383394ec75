"""Parses the compact schema tables of wire/schemas into field trees that the codec compiles.

An entry is a text: a head `Name FIRST-LAST [flexible N+]`, then the sections `request` and `response` (or `data`).
Each field is a line, and the fields of a struct are indented below the first field of that type:

    name  type  [versions]  [tag=N]  [ignorable]  [= default]

- type: bool int8 int16 uint16 int32 uint32 int64 float64 uuid string bytes records, a struct name, or `[]` and one of
  these. `?` makes it nullable, `?2-7` only in these versions.
- versions: `3+`, `2-7` or `4`; without it, wherever the enclosing struct is.
- tag: a tagged field of flexible versions. Default: zero, empty or false unless given.
- ignorable: a value other than the default is silently dropped in versions that lack the field; otherwise encoding such
  a value is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OPEN = 32767
EVERY = (0, OPEN)
NEVER = (1, 0)


class FieldSpec(NamedTuple):
    """One field. `type` is a scalar's name or "struct"; version ranges are inclusive."""

    name: str
    type: str
    array: bool
    struct: StructSpec | None
    versions: tuple[int, int]
    nullable: tuple[int, int]
    tag: int
    ignorable: bool
    default: object  # None, int, float, bool, str or bytes; () and "struct" stand for a new list and a new struct


class StructSpec(NamedTuple):
    """A struct: its class name and its fields."""

    name: str
    fields: list[FieldSpec]


class ApiSchema(NamedTuple):
    """One entry of the tables. `flexible_from` is above every version when there is no flexible one."""

    name: str
    first_version: int
    last_version: int
    flexible_from: int
    sections: Mapping[str, StructSpec]


def parse_versions(text: str) -> tuple[int, int]:
    if text.endswith("+"):
        return int(text[:-1]), OPEN
    low, _, high = text.partition("-")
    return int(low), int(high or low)


_SCALARS: Mapping[str, object] = {
    "bool": False,
    "int8": 0,
    "int16": 0,
    "uint16": 0,
    "int32": 0,
    "uint32": 0,
    "int64": 0,
    "float64": 0.0,
    "uuid": bytes(16),
    "string": "",
    "bytes": b"",
    "records": b"",
}


def _default(kind: str, array: bool, text: str | None) -> object:
    if text == "null":
        return None
    if array:
        return ()
    if kind not in _SCALARS:
        return "struct"
    zero = _SCALARS[kind]
    if text is None:
        return zero
    if isinstance(zero, bool):
        return text == "true"
    if isinstance(zero, int):
        return int(text, 0)
    return float(text) if isinstance(zero, float) else text


def _field(line: str, structs: dict[str, StructSpec]) -> tuple[FieldSpec, StructSpec | None]:
    """The field of a line, and the struct that it is the first to mention."""
    text, _, default = line.partition(" = ")
    name, kind, *notes = text.split()
    kind, mark, nullable = kind.partition("?")
    array = kind.startswith("[]")
    kind = kind.removeprefix("[]")
    struct = fresh = None
    if kind not in _SCALARS:
        struct = structs.get(kind)
        if struct is None:
            struct = fresh = structs.setdefault(kind, StructSpec(kind, []))
    versions, tag, ignorable = EVERY, -1, False
    for note in notes:
        if note == "ignorable":
            ignorable = True
        elif note.startswith("tag="):
            tag = int(note[4:])
        else:
            versions = parse_versions(note)
    spec = FieldSpec(
        name,
        "struct" if struct else kind,
        array,
        struct,
        versions,
        (parse_versions(nullable) if nullable else EVERY) if mark else NEVER,
        tag,
        ignorable,
        _default(kind, array, default or None),
    )
    return spec, fresh


def parse(text: str) -> ApiSchema:
    """The schema of one table entry."""
    head, *lines = text.strip().splitlines()
    name, versions, *flexible = head.split()
    sections: dict[str, StructSpec] = {}
    structs: dict[str, StructSpec] = {}
    stack: list[StructSpec | None] = []
    for line in lines:
        if not line.startswith(" "):
            structs = {}
            sections[line] = root = StructSpec(name if line == "data" else name + line.capitalize(), [])
            stack = [root]
            continue
        body = line.lstrip()
        depth = (len(line) - len(body)) // 2
        del stack[depth:]
        owner = stack[-1]
        if owner is None:
            raise ValueError(f"{name}: nothing to indent under: {line!r}")
        spec, fresh = _field(body, structs)
        owner.fields.append(spec)
        stack.append(fresh)
    return ApiSchema(
        name, *parse_versions(versions), parse_versions(flexible[1])[0] if flexible else OPEN + 1, sections
    )
