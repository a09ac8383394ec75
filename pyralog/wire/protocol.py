"""Decodes and encodes message bodies by API key and version, and says which APIs the schemas cover."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

from pyralog._speedups.codec import EncodeError as EncodeError
from pyralog._speedups.codec import Message, Program
from pyralog._speedups.codec import ProtocolError as ProtocolError
from pyralog.wire import loading
from pyralog.wire.schema import OPEN, StructSpec
from pyralog.wire.schemas import index

BytesLike = bytes | bytearray | memoryview


class ApiSpec(NamedTuple):
    """What the schemas cover of an API; what the broker advertises is the registry's to say."""

    key: int
    name: str
    min_version: int
    max_version: int
    flexible_from: int  # first flexible version; above every version when there is none

    def flexible(self, version: int) -> bool:
        return version >= self.flexible_from


API: Mapping[int, ApiSpec] = {
    key: ApiSpec(key, name, low, high, OPEN + 1 if flexible is None else flexible)
    for key, (name, _, low, high, flexible) in index.APIS.items()
}


@functools.cache
def program(api_key: int, version: int, section: str) -> Program:
    """The compiled schema of a "request" or "response"; ProtocolError when there is none."""
    spec = API.get(api_key)
    if spec is None or not spec.min_version <= version <= spec.max_version:
        raise ProtocolError(f"no schema for API key {api_key} version {version}")
    loaded = loading.load_api(api_key)
    return Program(loaded.schema.sections[section], loaded.classes, version, spec.flexible(version))


@functools.cache
def blob_program(name: str, version: int) -> Program:
    loaded = loading.load_blob(name)
    return Program(loaded.schema.sections["data"], loaded.classes, version, version >= loaded.schema.flexible_from)


def decode_request(api_key: int, version: int, data: BytesLike, offset: int = 0) -> Message:
    """The request body at `offset`; bytes behind it are ignored. Raises ProtocolError."""
    return program(api_key, version, "request").decode(data, offset)


def decode_response(api_key: int, version: int, data: BytesLike, offset: int = 0) -> Message:
    """The response body at `offset`; bytes behind it are ignored. Raises ProtocolError."""
    return program(api_key, version, "response").decode(data, offset)


def encode_request(api_key: int, version: int, message: Message) -> bytes:
    """The request's body, without header. Raises EncodeError when the version cannot carry it."""
    return program(api_key, version, "request").encode(message)


def encode_response(api_key: int, version: int, message: Message) -> bytes:
    """The response's body, without header. Raises EncodeError when the version cannot carry it."""
    return program(api_key, version, "response").encode(message)


def decode_blob(name: str, data: BytesLike) -> Message:
    """A versioned blob such as ConsumerProtocolSubscription: two bytes of version, then the fields.

    A version above ours is read as the newest that we know, as consumers do.
    """
    return blob_program(name, _blob_version(name, data)).decode(data, 2)


def decode_blob_head(name: str, data: BytesLike, last: str) -> Message:
    """As decode_blob, up to the field `last`: whatever is behind it, the other fields have their defaults."""
    return _head_program(name, _blob_version(name, data), last).decode(data, 2)


def _blob_version(name: str, data: BytesLike) -> int:
    if len(data) < 2:
        raise ProtocolError(f"{name}: no version")
    version = int.from_bytes(data[:2], "big", signed=True)
    if version < 0:
        raise ProtocolError(f"{name}: version {version}")
    return min(version, blob_max_version(name))


@functools.cache
def _head_program(name: str, version: int, last: str) -> Program:
    loaded = loading.load_blob(name)
    whole = loaded.schema.sections["data"]
    names = [field.name for field in whole.fields]
    head = StructSpec(whole.name, whole.fields[: names.index(last) + 1])
    return Program(head, loaded.classes, version, version >= loaded.schema.flexible_from)


def encode_blob(name: str, version: int, message: Message) -> bytes:
    return blob_program(name, version).encode(message, version.to_bytes(2, "big"))


def blob_max_version(name: str) -> int:
    return loading.load_blob(name).schema.last_version
