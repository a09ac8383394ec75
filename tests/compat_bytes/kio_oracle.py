"""Our plain values as kio's entities. kio's fields have the same order as ours, but some have richer types.

Those take fewer values than the wire does, so the values are first made to fit: both sides get the fitted ones.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import io
import typing
import uuid
from typing import Any

from kio import index as kio_index
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer

from pyralog.wire.schema import StructSpec
from tests.compat_bytes import values

ERRORS = sorted(code.value for code in ErrorCode)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
LAST_MS = 253_402_300_799_000
LONGEST_MS = 10**14


@functools.cache
def entity_class(key: int, section: str, version: int) -> Any:
    """kio's class of a message, or None when it does not know the version."""
    load = kio_index.load_request_schema if section == "request" else kio_index.load_response_schema
    try:
        return load(key, version)
    except kio_index.KioIndexError:
        return None


@functools.cache
def fields_of(cls: Any) -> list[tuple[str, str, Any]]:
    """(name, kafka_type, entity class or None) of each field."""
    found = []
    for field in dataclasses.fields(cls):
        inner = field.type
        while not dataclasses.is_dataclass(inner) and typing.get_args(inner):
            inner = next(a for a in typing.get_args(inner) if a is not type(None))
        entity = inner if dataclasses.is_dataclass(inner) else None
        found.append((field.name, field.metadata.get("kafka_type", ""), entity))
    return found


def fit(kafka_type: str, value: Any) -> Any:
    if kafka_type == "error_code":
        return ERRORS[value % len(ERRORS)]
    if kafka_type == "datetime_i64":
        return min(max(value, 0), LAST_MS)
    if kafka_type == "timedelta_i64":
        return min(max(value, -LONGEST_MS), LONGEST_MS)
    return value


def leaf(kafka_type: str, value: Any) -> Any:
    if kafka_type == "error_code":
        return ErrorCode(value)
    if kafka_type == "datetime_i64":
        return EPOCH + datetime.timedelta(milliseconds=value)
    if kafka_type in ("timedelta_i32", "timedelta_i64"):
        return datetime.timedelta(milliseconds=value)
    if kafka_type == "uuid":
        return uuid.UUID(bytes=value) if value != bytes(16) else None
    return value


def convert(cls: Any, spec: StructSpec, version: int, value: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The values made to fit, and kio's entity of them."""
    fitted: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for field, (name, kafka_type, entity) in zip(values.present(spec, version), fields_of(cls), strict=True):
        inner = value[field.name]
        if inner is None:
            fitted[field.name] = theirs[name] = None
        elif field.struct is not None:
            pairs = [convert(entity, field.struct, version, e) for e in (inner if field.array else [inner])]
            fitted[field.name] = [p[0] for p in pairs] if field.array else pairs[0][0]
            theirs[name] = tuple(p[1] for p in pairs) if field.array else pairs[0][1]
        elif field.array:
            fitted[field.name] = [fit(kafka_type, e) for e in inner]
            theirs[name] = tuple(leaf(kafka_type, e) for e in fitted[field.name])
        else:
            fitted[field.name] = fit(kafka_type, inner)
            theirs[name] = leaf(kafka_type, fitted[field.name])
    return fitted, cls(**theirs)


def encode(entity: Any) -> bytes:
    buffer = io.BytesIO()
    entity_writer(type(entity))(buffer, entity)
    return buffer.getvalue()


def decode(cls: Any, data: bytes) -> Any:
    return entity_reader(cls)(data, 0)[0]
