"""Loads schemas and makes their message classes, one API at a time and once."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import NamedTuple

from pyralog._speedups.codec import Message, define
from pyralog.wire import schema
from pyralog.wire.schemas import index


class Loaded(NamedTuple):
    """A parsed table entry and the class of each of its structs, messages included."""

    schema: schema.ApiSchema
    classes: Mapping[str, type[Message]]


def _make(spec: schema.StructSpec, classes: dict[str, type[Message]]) -> type[Message]:
    defaults: list[object] = []
    for field in spec.fields:
        if field.struct is not None and field.struct.name not in classes:
            _make(field.struct, classes)
        if field.default == "struct" and field.struct is not None:
            defaults.append(classes[field.struct.name])
        else:
            defaults.append(list if field.default == () else field.default)
    names = tuple(field.name for field in spec.fields)
    made = type(spec.name, (Message,), {"__slots__": names, "__module__": "pyralog.wire.messages"})
    define(made, names, tuple(defaults))
    classes[spec.name] = made
    return made


def _load(module: str, entry: int | str) -> Loaded:
    tables = importlib.import_module("pyralog.wire.schemas." + module)
    parsed = schema.parse(tables.SCHEMAS[entry])
    classes: dict[str, type[Message]] = {}
    for section in parsed.sections.values():
        _make(section, classes)
    return Loaded(parsed, classes)


# By API key, or by the name of a blob. Several threads may load the same at a time: what is stored first is everybody's
# (setdefault is atomic), since a message of a class made twice could not be encoded.
_LOADED: dict[int | str, Loaded] = {}


def _once(module: str, entry: int | str) -> Loaded:
    found = _LOADED.get(entry)
    return _LOADED.setdefault(entry, _load(module, entry)) if found is None else found


def load_api(key: int) -> Loaded:
    """Schema and classes of an API; KeyError when the tables do not have it."""
    return _once(index.APIS[key][1], key)


def load_blob(name: str) -> Loaded:
    """Schema and classes of a blob: ConsumerProtocolSubscription, or half a record such as OffsetCommitKey."""
    if name in index.RECORDS:
        return _once("coordinator_records", name)
    if name not in index.BLOBS:
        raise KeyError(name)
    return _once("blobs", name)


@functools.cache
def _owners() -> dict[str, int | str]:
    """Class name to API key, or to the name of its blob."""
    owners: dict[str, int | str] = {}
    for key, (name, *_) in index.APIS.items():
        owners[name + "Request"] = owners[name + "Response"] = key
    for key, structs in index.STRUCTS.items():
        owners.update(dict.fromkeys(structs.split(), key))
    for name, structs in (*index.BLOBS.items(), *index.RECORDS.items()):
        owners.update(dict.fromkeys([name, *structs.split()], name))
    return owners


def class_names() -> list[str]:
    """All message and struct classes that there are, in order of the tables."""
    return list(_owners())


def find_class(name: str) -> type[Message]:
    """The class of a name; KeyError when there is none."""
    owner = _owners()[name]
    return (load_blob(owner) if isinstance(owner, str) else load_api(owner)).classes[name]
