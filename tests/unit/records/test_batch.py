import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from pyralog.errors import CorruptRecordError
from pyralog.records import batch as b
from pyralog.records.batch import Record
from pyralog.records.compression import Codec, DecompressionLimitError

maybe_bytes = st.none() | st.binary(max_size=300)
headers = st.lists(st.tuples(st.text(max_size=10), maybe_bytes), max_size=3).map(tuple)


@st.composite
def record_lists(draw: st.DrawFn) -> list[Record]:
    offset = draw(st.integers(0, 2**62))
    found = []
    for _ in range(draw(st.integers(1, 12))):
        timestamp = draw(st.integers(0, 2**50))
        found.append(Record(offset, timestamp, draw(maybe_bytes), draw(maybe_bytes), draw(headers)))
        offset += draw(st.integers(1, 1000))
    return found


@given(records=record_lists(), codec=st.sampled_from(list(Codec)))
def test_round_trip(records: list[Record], codec: Codec) -> None:
    built = b.build(records, codec=codec, producer_id=7, producer_epoch=1, base_sequence=5, attributes=b.TRANSACTIONAL)
    header = b.parse_header(built)
    assert b.crc_ok(built)
    assert header.codec == codec
    assert header.transactional
    assert not header.control
    assert (header.base_offset, header.last_offset) == (records[0].offset, records[-1].offset)
    assert (header.record_count, header.size) == (len(records), len(built))
    assert header.max_timestamp == max(r.timestamp for r in records)
    assert list(b.iterate_records(built)) == records


@given(records=record_lists())
def test_bytes_equal_those_of_kafka_python(records: list[Record]) -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=9,
        producer_epoch=2,
        base_sequence=3,
        batch_size=1 << 30,
    )
    for i, r in enumerate(records):
        builder.append(i, r.timestamp, r.key, r.value, [(k, v) for k, v in r.headers])
    theirs = bytes(builder.build())
    ours = b.build(
        [r._replace(offset=i) for i, r in enumerate(records)],
        leader_epoch=b.parse_header(theirs).leader_epoch,
        producer_id=9,
        producer_epoch=2,
        base_sequence=3,
    )
    assert ours == theirs
    read = DefaultRecordBatch(ours)
    assert read.validate_crc()
    assert [(r.timestamp, r.key, r.value, tuple(r.headers)) for r in read] == [tuple(r[1:]) for r in records]


def sample(codec: Codec = Codec.NONE, count: int = 5) -> bytes:
    return b.build([Record(100 + i, 1000 + i, b"k%d" % i, b"v" * i, (("h", b"x"),)) for i in range(count)], codec=codec)


def test_append_time_shows_in_every_record() -> None:
    built = b.build([Record(0, 5, None, b"a"), Record(1, 9, None, b"b")], attributes=b.APPEND_TIME)
    assert [r.timestamp for r in b.iterate_records(built)] == [9, 9]


def test_iterating_leaves_out_a_cut_batch() -> None:
    data = sample() + sample(Codec.GZIP)
    assert [len(raw) for _, raw in b.iterate_batches(data)] == [len(sample()), len(sample(Codec.GZIP))]
    for cut in range(len(sample()), len(data)):
        assert len(list(b.iterate_batches(data[:cut]))) == 1


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("target", list(Codec))
def test_recompress_changes_the_codec_alone(codec: Codec, target: Codec) -> None:
    before = sample(codec)
    after = b.recompress(before, target)
    assert b.crc_ok(after)
    assert b.parse_header(after).codec == target
    assert list(b.iterate_records(after)) == list(b.iterate_records(before))
    assert b.recompress(after, Codec.NONE) == sample()


def test_bombs_are_refused_while_iterating() -> None:
    built = b.build([Record(0, 0, None, bytes(1 << 22))], codec=Codec.ZSTD)
    assert len(built) < 1000
    with pytest.raises(DecompressionLimitError):
        list(b.iterate_records(built, 1 << 20))


def test_damage_is_one_typed_error() -> None:
    good = sample()
    for cut in range(len(good)):
        with pytest.raises(CorruptRecordError):
            list(b.iterate_records(good[:cut]))
    for at in range(len(good)):
        for flip in (0xFF, 0x01, 0x80):
            broken = bytearray(good)
            broken[at] ^= flip
            try:
                list(b.iterate_records(bytes(broken)))
            except CorruptRecordError:
                pass
            else:
                assert at < 16 or not b.crc_ok(bytes(broken)), at


def test_record_sizes() -> None:
    sizes = list(b.record_sizes(sample()))
    assert len(sizes) == 5
    assert sum(sizes) + 5 == len(sample()) - b.HEADER_BYTES
