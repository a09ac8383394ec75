"""Compresses and decompresses the records of a batch, with a limit on what comes out.

Decompression never trusts a size from the data: it writes into a buffer of our own that starts near the size of the
input and grows, up to the limit, only after it was really filled. So a 1 KiB bomb costs about a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import cramjam

from pyralog.errors import CorruptRecordError

# What one batch may become unless the caller says otherwise.
DECOMPRESSED_LIMIT_BYTES = 128 * 1024 * 1024

_FIRST_BUFFER_BYTES = 64 * 1024
_GROWTH = 8
_BUFFER_FULL = "whole buffer"  # of the message that cramjam gives when the output does not fit
_LZ4_DEFAULT, _LZ4_FAST = 9, 1  # in Kafka, too, the level that is set when nothing is said means the fast compressor
_SNAPPY_MAX_RATIO = 32  # the format cannot expand more than 64 bytes from 3
_SNAPPY_BLOCK_BYTES = 32 * 1024
# Header of snappy-java's stream ("xerial"): magic, version, least compatible version. Blocks with a length follow.
_XERIAL_MAGIC = b"\x82SNAPPY\0"
_XERIAL_HEADER = _XERIAL_MAGIC + b"\0\0\0\1\0\0\0\1"


class Codec(IntEnum):
    """The low three attribute bits of a batch; names as in compression.type."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


class DecompressionLimitError(CorruptRecordError):
    """The data decompresses to more than the caller allows."""

    def __init__(self, codec: Codec, limit_bytes: int) -> None:
        super().__init__(f"{codec.name.lower()} data decompresses to more than {limit_bytes} bytes")


def compress(codec: Codec, data: bytes, level: int | None = None) -> bytes:
    """The data in the form that Kafka's clients read; `level` as in compression.gzip/lz4/zstd.level."""
    if codec == Codec.GZIP:
        return bytes(cramjam.gzip.compress(data, level=None if level == -1 else level))
    if codec == Codec.SNAPPY:
        return _compress_xerial(data)
    if codec == Codec.LZ4:
        # Java's reader refuses linked blocks, which cramjam.lz4.compress would make.
        level = _LZ4_FAST if level in (None, _LZ4_DEFAULT) else level
        frame = cramjam.lz4.Compressor(level=level, content_checksum=False, block_linked=False)
        frame.compress(data)
        return bytes(frame.finish())
    if codec == Codec.ZSTD:
        return bytes(cramjam.zstd.compress(data, level=3 if level is None else level))
    return data


def decompress(codec: Codec, data: bytes | memoryview, limit_bytes: int = DECOMPRESSED_LIMIT_BYTES) -> bytes:
    """The inverse. CorruptRecordError when it is not such data, DecompressionLimitError above the limit."""
    if codec == Codec.NONE:
        if len(data) > limit_bytes:
            raise DecompressionLimitError(codec, limit_bytes)
        return bytes(data)
    data = bytes(data)
    if codec == Codec.GZIP:
        return _into_growing_buffer(codec, cramjam.gzip.decompress_into, data, limit_bytes)
    if codec == Codec.LZ4:
        return _into_growing_buffer(codec, cramjam.lz4.decompress_into, data, limit_bytes)
    if codec == Codec.ZSTD:
        return _into_growing_buffer(codec, cramjam.zstd.decompress_into, data, limit_bytes)
    if data.startswith(_XERIAL_MAGIC):
        return _decompress_xerial(data, limit_bytes)
    return _decompress_snappy(data, limit_bytes, limit_bytes)


class Scratch:
    """Decompresses batches one after the other into the same memory, which grows up to the limit."""

    def __init__(self, limit_bytes: int = DECOMPRESSED_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray(min(_FIRST_BUFFER_BYTES, limit_bytes))

    def decompress(self, codec: Codec, data: memoryview) -> bytes | memoryview:
        """As the function does it; the result is good until the next call."""
        into = _INTO.get(codec)
        if into is None:
            return decompress(codec, data, self._limit)
        try:
            return memoryview(self._buffer)[: into(data, self._buffer)]
        except cramjam.DecompressionError:
            plain = decompress(codec, data, self._limit)
            self._buffer = bytearray(min(2 * len(plain), self._limit))
            return plain


_INTO: dict[int, Callable[[memoryview, bytearray], int]] = {
    Codec.GZIP: cramjam.gzip.decompress_into,
    Codec.LZ4: cramjam.lz4.decompress_into,
    Codec.ZSTD: cramjam.zstd.decompress_into,
}


def _into_growing_buffer(
    codec: Codec, decompress_into: Callable[[bytes, bytearray], int], data: bytes, limit_bytes: int
) -> bytes:
    size = max(_FIRST_BUFFER_BYTES, 4 * len(data))
    while True:
        size = min(size, limit_bytes)
        buffer = bytearray(size)
        try:
            return bytes(memoryview(buffer)[: decompress_into(data, buffer)])
        except cramjam.DecompressionError as error:
            if _BUFFER_FULL not in str(error):
                raise CorruptRecordError(f"{codec.name.lower()}: {error}") from None
        if size >= limit_bytes:
            raise DecompressionLimitError(codec, limit_bytes)
        size *= _GROWTH


def _decompress_snappy(data: bytes, room: int, limit_bytes: int) -> bytes:
    """One raw block of at most `room` bytes."""
    try:
        size = cramjam.snappy.decompress_raw_len(data)
        if size > room:
            raise DecompressionLimitError(Codec.SNAPPY, limit_bytes)
        if size > _SNAPPY_MAX_RATIO * len(data):
            raise CorruptRecordError("snappy: the length is not possible")
        buffer = bytearray(size)
        used = cramjam.snappy.decompress_raw_into(data, buffer) if size else 0
    except cramjam.DecompressionError as error:
        raise CorruptRecordError(f"snappy: {error}") from None
    if used != size or not data:
        raise CorruptRecordError("snappy: the length is wrong")
    return bytes(buffer)


def _compress_xerial(data: bytes) -> bytes:
    parts = [_XERIAL_HEADER]
    for start in range(0, len(data), _SNAPPY_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(data[start : start + _SNAPPY_BLOCK_BYTES]))
        parts += [len(block).to_bytes(4, "big"), block]
    return b"".join(parts)


def _decompress_xerial(data: bytes, limit_bytes: int) -> bytes:
    parts = []
    room = limit_bytes
    at = len(_XERIAL_HEADER)
    if len(data) < at:
        raise CorruptRecordError("snappy: the header is cut short")
    while at < len(data):
        if data.startswith(_XERIAL_MAGIC, at):  # streams may be concatenated
            at += len(_XERIAL_HEADER)
            continue
        size = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if size > len(data) - at:
            raise CorruptRecordError("snappy: a block is cut short")
        block = _decompress_snappy(data[at : at + size], room, limit_bytes)
        room -= len(block)
        at += size
        parts.append(block)
    return b"".join(parts)
