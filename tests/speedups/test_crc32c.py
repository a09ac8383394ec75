"""CRC-32C against the crc32c package and the published check value."""

import crc32c as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyralog._speedups import crc32c

IMPLEMENTATIONS = [crc32c.checksum, crc32c.checksum_by_table]
# Around the borders of the lanes (3 x 256 and 3 x 8192) and of the words.
SIZES = [0, 1, 7, 8, 9, 63, 767, 768, 769, 775, 1535, 1536, 24_575, 24_576, 24_577, 25_344, 100_003]


@pytest.mark.parametrize("checksum", IMPLEMENTATIONS)
def test_check_value(checksum):
    assert checksum(b"123456789") == 0xE3069283


@pytest.mark.parametrize("checksum", IMPLEMENTATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_agrees_with_the_package(checksum, size):
    data = bytes((i * 131 + i // 251) & 0xFF for i in range(size))
    assert checksum(data) == oracle.crc32c(data)
    assert checksum(memoryview(data)[size // 3 :], checksum(data[: size // 3])) == oracle.crc32c(data)


@given(st.binary(max_size=3000), st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_any_bytes_any_start(data, seed, skip):
    piece = memoryview(data)[skip:]
    assert crc32c.checksum(piece, seed) == crc32c.checksum_by_table(piece, seed) == oracle.crc32c(bytes(piece), seed)


def test_says_what_it_chose():
    assert crc32c.IMPLEMENTATION in {"sse4.2", "armv8", "table"}
