"""Records of __consumer_offsets and __transaction_state in Kafka's own format: a typed key, a versioned value."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from pyralog._speedups.codec import Message, Program, ProtocolError
from pyralog.wire.protocol import blob_program, decode_blob, encode_blob
from pyralog.wire.schemas import index

_TRANSACTION_LOG = "TransactionLog"
# Record names by the type that a key begins with; the two topics number their types independently.
GROUP_RECORDS: Mapping[int, str] = {n: name for name, n in index.RECORD_TYPES.items() if name != _TRANSACTION_LOG}
TRANSACTION_RECORDS: Mapping[int, str] = {index.RECORD_TYPES[_TRANSACTION_LOG]: _TRANSACTION_LOG}


def encode_key(key: Message) -> bytes:
    """The key's bytes, for a message such as OffsetCommitKey."""
    program, prefix = _key_form(type(key).__name__)
    return program.encode(key, prefix)


@functools.cache
def _key_form(name: str) -> tuple[Program, bytes]:
    """How keys of this class are written, and what stands before them."""
    return blob_program(name, 0), index.RECORD_TYPES[name.removesuffix("Key")].to_bytes(2, "big")


def encode_value(value: Message, version: int) -> bytes:
    """The value's bytes, for a message such as OffsetCommitValue."""
    return encode_blob(type(value).__name__, version, value)


def decode_key(data: bytes, types: Mapping[int, str]) -> Message | None:
    """The key; None for a type that this release does not know, which a later one may have written.

    Raises ProtocolError when it is damaged.
    """
    if len(data) < 2:
        raise ProtocolError("a record key without a type")
    name = types.get(int.from_bytes(data[:2], "big", signed=True))
    return None if name is None else blob_program(name + "Key", 0).decode(data, 2)


def decode_value(key: Message, data: bytes) -> Message:
    """The value that belongs to a key. Raises ProtocolError when it is damaged."""
    return decode_blob(type(key).__name__.removesuffix("Key") + "Value", data)
