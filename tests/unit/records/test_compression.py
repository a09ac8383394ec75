import contextlib
import gzip
import time

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import codec as kafka_python

from pyralog.errors import CorruptRecordError
from pyralog.records.compression import Codec, DecompressionLimitError, Scratch, compress, decompress

CODECS = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
MIB = 1024 * 1024


@given(data=st.binary(max_size=100_000) | st.builds(lambda b, n: b * n, st.binary(max_size=50), st.integers(0, 9000)))
@pytest.mark.parametrize("codec", CODECS)
def test_round_trip(codec: Codec, data: bytes) -> None:
    if data or codec != Codec.LZ4:
        assert decompress(codec, compress(codec, data)) == data


@pytest.mark.parametrize("codec", CODECS)
def test_exact_limit_passes_and_one_byte_more_does_not(codec: Codec) -> None:
    for size in (1, 1000, 64 * 1024, 64 * 1024 + 1, 300_000):
        packed = compress(codec, bytes(size))
        assert decompress(codec, packed, size) == bytes(size)
        with pytest.raises(DecompressionLimitError):
            decompress(codec, packed, size - 1)


def bomb(codec: Codec) -> bytes:
    """As small as the codec makes it: zstd 1 GiB in 33 KiB, gzip 1:1029, lz4 1:240, snappy 1:21."""
    if codec == Codec.ZSTD:
        return bytes(cramjam.zstd.compress(bytes(256 * MIB)))
    if codec == Codec.SNAPPY:
        return bytes(cramjam.snappy.compress_raw(bytes(64 * MIB)))
    return compress(codec, bytes(64 * MIB))


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_refused_at_once(codec: Codec) -> None:
    data = bomb(codec)
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        with pytest.raises(DecompressionLimitError):
            decompress(codec, data, MIB)
        spent.append(time.perf_counter() - start)
    assert min(spent) < 0.02


def test_snappy_lengths_are_not_believed() -> None:
    with pytest.raises(CorruptRecordError):
        decompress(Codec.SNAPPY, b"\xff\xff\xff\x3f\x00a")
    block = b"\xff\xff\xff\x3f\x00a"
    with pytest.raises(CorruptRecordError):
        decompress(Codec.SNAPPY, b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + len(block).to_bytes(4, "big") + block)


@pytest.mark.parametrize("codec", CODECS)
def test_damage_is_one_typed_error(codec: Codec) -> None:
    packed = compress(codec, bytes(range(256)) * 20)
    for cut in (0, 1, 5, 10, len(packed) // 2, len(packed) - 1):
        with pytest.raises(CorruptRecordError):
            decompress(codec, packed[:cut])
    for at in range(0, len(packed), 7):
        broken = bytearray(packed)
        broken[at] ^= 0x55
        with contextlib.suppress(CorruptRecordError):
            decompress(codec, bytes(broken), MIB)
    with pytest.raises(CorruptRecordError):
        decompress(codec, b"certainly not compressed data")


def test_raw_and_xerial_snappy_are_read() -> None:
    data = b"abc" * 30_000
    assert decompress(Codec.SNAPPY, bytes(cramjam.snappy.compress_raw(data))) == data
    packed = compress(Codec.SNAPPY, data)
    assert packed.startswith(b"\x82SNAPPY\0")
    assert decompress(Codec.SNAPPY, packed) == data
    assert decompress(Codec.SNAPPY, packed + packed) == data + data


def test_lz4_frames_have_independent_blocks() -> None:
    flags = compress(Codec.LZ4, bytes(200_000))[4]
    assert flags >> 6 == 1
    assert flags & 0x20


def test_levels() -> None:
    data = bytes(range(256)) * 40 + b"some text that repeats " * 100
    for codec, levels in ((Codec.GZIP, (-1, 1, 9)), (Codec.LZ4, (1, 9, 17)), (Codec.ZSTD, (-5, 1, 3, 22))):
        for level in levels:
            assert decompress(codec, compress(codec, data, level)) == data


def test_lz4_is_fast_unless_another_level_is_asked_for() -> None:
    """Kafka takes its fast compressor for the default level, 9, which would be slow as a level of the high one."""
    data = b"".join(b"%d of some numbers, " % (number * number) for number in range(5_000))
    fast, high = compress(Codec.LZ4, data), compress(Codec.LZ4, data, 8)
    assert compress(Codec.LZ4, data, 9) == compress(Codec.LZ4, data, 1) == fast
    assert len(high) < len(fast)


@pytest.mark.parametrize("codec", [Codec.NONE, *CODECS])
def test_the_same_memory_takes_batch_after_batch(codec: Codec) -> None:
    scratch = Scratch(limit_bytes=MIB)
    for size in (10, 300_000, 1, MIB, 70_000):
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert bytes(scratch.decompress(codec, memoryview(compress(codec, data)))) == data
    with pytest.raises(DecompressionLimitError):
        scratch.decompress(codec, memoryview(compress(codec, bytes(MIB + 1))))
    if codec != Codec.NONE:
        with pytest.raises(CorruptRecordError):
            scratch.decompress(codec, memoryview(b"certainly not compressed data"))
    assert bytes(scratch.decompress(codec, memoryview(compress(codec, b"goes on")))) == b"goes on"


def test_gzip_of_several_members() -> None:
    assert decompress(Codec.GZIP, gzip.compress(b"one") + gzip.compress(b"two")) == b"onetwo"


def test_kafka_python_reads_what_we_write() -> None:
    data = b"message" * 20_000
    if kafka_python.has_gzip():
        assert kafka_python.gzip_decode(compress(Codec.GZIP, data)) == data
    if kafka_python.has_snappy():
        assert kafka_python.snappy_decode(compress(Codec.SNAPPY, data)) == data
    if kafka_python.has_lz4():
        assert kafka_python.lz4_decode(compress(Codec.LZ4, data)) == data
    if kafka_python.has_zstd():
        assert kafka_python.zstd_decode(compress(Codec.ZSTD, data)) == data
