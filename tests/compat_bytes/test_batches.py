"""Record batches of kafka-clients 4.4.0 in every codec (see make_golden_batches.py)."""

import functools
import json
import lzma
import pathlib

import pytest

from pyralog.records import batch as b
from pyralog.records.batch import Record
from pyralog.records.compression import Codec

GOLDEN = pathlib.Path(__file__).parent / "golden_batches.json.xz"
RECORDS = [
    Record(
        1000 + i,
        1_700_000_000_000 + i * 7,
        None if i % 3 == 0 else b"key-%d" % i,
        None if i % 5 == 0 else b"value " * i,
        ((f"h{i}", None), ("x", b"\x01")) if i % 4 == 0 else (),
    )
    for i in range(200)
]


@functools.cache
def golden() -> dict[Codec, bytes]:
    return {Codec(int(k)): bytes.fromhex(v) for k, v in json.loads(lzma.decompress(GOLDEN.read_bytes())).items()}


@pytest.mark.parametrize("codec", list(Codec))
def test_batches_of_kafka_clients_are_read(codec: Codec) -> None:
    data = golden()[codec]
    header = b.parse_header(data)
    assert b.crc_ok(data)
    assert (header.codec, header.size) == (codec, len(data))
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (77, 3, 11)
    assert header.transactional
    assert list(b.iterate_records(data)) == RECORDS
    assert b.recompress(data, Codec.NONE) == golden()[Codec.NONE]


def test_ours_has_the_same_bytes() -> None:
    built = b.build(
        RECORDS, leader_epoch=5, producer_id=77, producer_epoch=3, base_sequence=11, attributes=b.TRANSACTIONAL
    )
    assert built == golden()[Codec.NONE]
