"""Our plain values as kafka-python's messages, whose fields have the same order as in the schemas."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import uuid
from typing import Any

import kafka.protocol
from kafka.protocol.api_message import ApiMessage

from pyralog.wire.schema import StructSpec
from tests.compat_bytes import values


@functools.cache
def classes() -> dict[tuple[int, str], Any]:
    """Its message classes by API key and section."""
    found: dict[tuple[int, str], Any] = {}
    for module_info in pkgutil.walk_packages(kafka.protocol.__path__, "kafka.protocol."):
        if ".old" in module_info.name or "generate" in module_info.name:
            continue
        module = importlib.import_module(module_info.name)
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, ApiMessage) and cls is not ApiMessage:
                found[cls.API_KEY, cls.type] = cls
    return found


def message_class(key: int, section: str, version: int) -> Any:
    """Its class of a message, or None when it does not know the version."""
    cls = classes().get((key, section))
    return cls if cls and version <= cls.max_version else None


def bits(value: int) -> set[int] | None:
    """Authorised operations are sets of bit numbers; None for the lowest int32, which means "not asked"."""
    return {i for i in range(32) if value >> i & 1} if value != -(2**31) else None


def leaf(field: Any, kind: str, value: Any) -> Any:
    if field._json["type"] == "bitfield":
        return bits(value)
    return uuid.UUID(bytes=value) if kind == "uuid" else value


def arguments(struct: Any, spec: StructSpec, version: int, value: dict[str, Any]) -> dict[str, Any]:
    theirs = [field for field in struct._fields or () if field.for_version_q(version)]
    out: dict[str, Any] = {}
    for field, their in zip(values.present(spec, version), theirs, strict=True):
        inner = value[field.name]
        if field.tag >= 0 and inner == values.default_of(field, version):
            continue  # theirs writes any tagged field that is given
        if inner is None:
            out[their.name] = None
        elif field.struct is not None:
            their_struct = their.array_of if field.array else their
            made = [
                their_struct.data_class(version=version, **arguments(their_struct, field.struct, version, e))
                for e in (inner if field.array else [inner])
            ]
            out[their.name] = made if field.array else made[0]
        elif field.array:
            out[their.name] = [leaf(their, field.type, e) for e in inner]
        else:
            out[their.name] = leaf(their, field.type, inner)
    return out


def build(cls: Any, spec: StructSpec, version: int, value: dict[str, Any]) -> Any:
    return cls(version=version, **arguments(cls._struct, spec, version, value))


def plain(struct: Any, spec: StructSpec, version: int, message: Any) -> dict[str, Any]:
    """The values of a decoded message of theirs, by our names."""
    theirs = [field for field in struct._fields or () if field.for_version_q(version)]
    out: dict[str, Any] = {}
    for field, their in zip(values.present(spec, version), theirs, strict=True):
        inner = getattr(message, their.name)
        if inner is None and their._json["type"] == "bitfield":
            out[field.name] = -(2**31)
        elif inner is None and field.tag >= 0:
            out[field.name] = values.default_of(field, version)
        elif inner is None:
            out[field.name] = bytes(16) if field.type == "uuid" else None
        elif field.struct is not None:
            if field.array:
                out[field.name] = [plain(their.array_of, field.struct, version, e) for e in inner]
            else:
                out[field.name] = plain(their, field.struct, version, inner)
        elif their._json["type"] == "bitfield":
            number = sum(1 << bit for bit in inner)
            out[field.name] = number - (1 << 32) if number >> 31 else number
        elif field.type == "uuid":
            out[field.name] = [e.bytes if e else bytes(16) for e in inner] if field.array else inner.bytes
        else:
            out[field.name] = list(inner) if field.array else bytes(inner) if isinstance(inner, memoryview) else inner
    return out
