"""Fuzz target: record batches and all compression codecs on arbitrary bytes.

The first byte chooses a codec to decompress with, or (above 4) the batch reader. Only CorruptRecordError may come out,
and what the plane's walk accepts the Python reader must read.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

from pyralog._speedups.records import walk
from pyralog.errors import CorruptRecordError
from pyralog.records.batch import HEADER_BYTES, Record, build, iterate_records, parse_header
from pyralog.records.compression import Codec, compress, decompress

LIMIT_BYTES = 1 << 20


def one(data: bytes) -> None:
    """A single run; anything but CorruptRecordError is a finding."""
    choice = data[0] if data else 0
    if choice <= 4:
        with contextlib.suppress(CorruptRecordError):
            assert len(decompress(Codec(choice), data[1:], LIMIT_BYTES)) <= LIMIT_BYTES
        return
    batch = data[1:]
    try:
        found = list(iterate_records(batch, LIMIT_BYTES))
    except CorruptRecordError as error:
        accepted = len(batch) >= HEADER_BYTES and batch[22] & 7 == 0 and not walk(batch)["error"]
        if accepted:
            raise AssertionError("the plane accepts what the reader refuses") from error
        return
    assert len(found) == max(parse_header(batch).record_count, 0)


def seeds() -> Iterator[bytes]:
    texts = [b"", b"value " * 200, bytes(range(256)) * 3]
    records = [
        Record(10 + i, 1000 + i, key, value, headers)
        for i, (key, value, headers) in enumerate(
            itertools.product([None, b"key"], [None, *texts], [(), (("h", None), ("x", b"1"))])
        )
    ]
    for codec in Codec:
        for text in texts:
            yield bytes((codec,)) + compress(codec, text)
        for count in (1, 2, len(records)):
            yield b"\x05" + build(records[:count], codec=codec)
