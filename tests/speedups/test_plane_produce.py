"""Produce through the plane: every version, every rule of traps 8, 10 and 18, acks, permits."""

from __future__ import annotations

import datetime
import io
import time
import uuid

import pytest
from kio.serial import entity_reader, entity_writer

from pyralog.records.batch import Record, build, iterate_records, parse_header
from pyralog.records.compression import Codec
from tests.speedups.plane_kit import (
    DENY_WRITE,
    FETCH,
    PRODUCE,
    READ,
    WRITE,
    batch,
    fetch_request,
    patched,
    produce_request,
    records_of,
    split_frames,
)

LENGTH, MAGIC, CRC, ATTRIBUTES, DELTA, MAX_TIMESTAMP, PRODUCER, EPOCH, SEQUENCE, COUNT = (
    8, 16, 17, 21, 23, 35, 43, 51, 53, 57,
)  # fmt: skip
VERSIONS = range(3, 14)


def kio_of(section: str, version: int):
    import importlib

    module = importlib.import_module(f"kio.schema.produce.v{version}.{section}")
    return module


@pytest.fixture
def client(rig):
    rig.topic(timestamp_after_max_ms=3_600_000)
    return rig.connect()


# --- versions ---


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_as_kio_writes_and_reads_it(rig, version):
    rig.topic("t", 2)
    client = rig.connect()
    request, response = kio_of("request", version), kio_of("response", version)
    topic = {"topic_id": uuid.UUID(bytes=rig.ids["t"])} if version >= 13 else {"name": "t"}
    message = request.ProduceRequest(
        transactional_id=None,
        acks=-1,
        timeout=datetime.timedelta(seconds=30),
        topic_data=(
            request.TopicProduceData(
                **topic,
                partition_data=tuple(
                    request.PartitionProduceData(index=p, records=batch(3, value=b"v%d" % p)) for p in (1, 0, 7)
                ),
            ),
        ),
    )
    header_class = request.ProduceRequest.__header_schema__
    out = io.BytesIO()
    entity_writer(header_class)(
        out,
        header_class(request_api_key=0, request_api_version=version, correlation_id=77, client_id="kio"),
    )
    entity_writer(request.ProduceRequest)(out, message)
    client.raw(len(out.getvalue()).to_bytes(4, "big") + out.getvalue())
    if version >= 13:
        pass
    (frame,) = split_frames(rig.engine.take_output(client.id))
    header_class = response.ProduceResponse.__header_schema__
    header, at = entity_reader(header_class)(frame, 0)
    assert header.correlation_id == 77
    answer, size = entity_reader(response.ProduceResponse)(frame, at)
    assert at + size == len(frame)
    (topic_answer,) = answer.responses
    assert [(p.index, p.error_code.value, p.base_offset) for p in topic_answer.partition_responses] == [
        (1, 0, 0), (0, 0, 0), (7, 3, -1),
    ]  # fmt: skip
    for p in (0, 1):
        assert records_of(client.fetch(partition=p).records) == [(i, b"v%d" % p) for i in range(3)]


@pytest.mark.parametrize("version", VERSIONS)
def test_leader_epoch_and_offsets_are_patched_and_the_rest_is_untouched(rig, version):
    rig.topic(epoch=9)
    client = rig.connect()
    first, second = batch(2, value=b"one"), batch(3, value=b"two")
    assert client.produce(first, version=version).base_offset == 0
    answer = client.produce(second, version=version)
    assert (answer.error_code, answer.base_offset, answer.log_append_time_ms) == (0, 2, -1)
    assert answer.log_start_offset == (0 if version >= 5 else -1)
    stored = client.fetch().records
    assert stored[: len(first)] == b"\0" * 8 + first[8:12] + b"\0\0\0\x09" + first[16:]
    assert stored[len(first) :] == (2).to_bytes(8, "big") + second[8:12] + b"\0\0\0\x09" + second[16:]


def test_many_topics_and_partitions_in_one_request(rig):
    for name in ("a", "b", "c"):
        rig.topic(name, 3)
    client = rig.connect()
    message = produce_request({name: {p: batch(p + 1) for p in range(3)} for name in "abc"})
    answer = client.ask(PRODUCE, 9, message)
    assert [t.name for t in answer.responses] == ["a", "b", "c"]
    assert all(p.error_code == 0 for t in answer.responses for p in t.partition_responses)
    assert [rig.end(name, p) for name in "abc" for p in range(3)] == [1, 2, 3] * 3


def test_an_empty_request_is_answered(client):
    assert client.ask(PRODUCE, 9, produce_request({})).responses == []
    assert client.ask(PRODUCE, 3, produce_request({})).responses == []


# --- batches: trap 10, compatibility.md section 7 ---

REFUSED = {
    "null records": (None, 42),
    "no bytes": (b"", 87),
    "a few bytes": (b"\0\0\0\0", 87),
    "magic 0": (patched(batch(), MAGIC, ">b", 0), 87),
    "magic 1": (patched(batch(), MAGIC, ">b", 1), 87),
    "magic 3": (patched(batch(), MAGIC, ">b", 3), 2),
    "magic -1": (patched(batch(), MAGIC, ">b", -1), 2),
    "wrong crc": (patched(batch(), CRC, ">I", 1, seal=False), 2),
    "length 13": (patched(batch(), LENGTH, ">i", 13), 2),
    "length -1": (patched(batch(), LENGTH, ">i", -1), 2),
    "length beyond the bytes": (patched(batch(), LENGTH, ">i", 100_000), 87),
    "length 2^31-1": (patched(batch(), LENGTH, ">i", 2**31 - 1), 87),
    "two batches": (batch() + batch(), 87),
    "count too small": (patched(batch(3), COUNT, ">i", 2), 87),
    "count too large": (patched(batch(3), COUNT, ">i", 4), 87),
    "count 2^31-1": (patched(batch(3), COUNT, ">i", 2**31 - 1), 87),
    "count and delta lie alike": (patched(patched(batch(3), COUNT, ">i", 9), DELTA, ">i", 8), 87),
    "negative count": (patched(batch(3), COUNT, ">i", -1), 87),
    "last delta lies": (patched(batch(3), DELTA, ">i", 7), 87),
    "last delta negative": (patched(batch(3), DELTA, ">i", -1), 87),
    "empty": (patched(patched(batch(1), COUNT, ">i", 0), DELTA, ">i", -1), 87),
    "control": (patched(batch(), ATTRIBUTES, ">h", 0x20), 87),
    "codec 5": (patched(batch(), ATTRIBUTES, ">h", 5), 87),
    "codec 7": (patched(batch(), ATTRIBUTES, ">h", 7), 87),
    "transactional without transactional id": (
        patched(batch(producer_id=5, epoch=0, sequence=0), ATTRIBUTES, ">h", 0x10),
        53,
    ),
    "producer without sequence": (batch(producer_id=5, epoch=0, sequence=-1), 87),
    "producer without epoch": (batch(producer_id=5, epoch=-1, sequence=0), 87),
    "log append time from a client": (patched(batch(), ATTRIBUTES, ">h", 0x08), 32),
    "too large": (batch(value=bytes(1_048_600)), 10),
    "far future": (batch(timestamp=int(time.time() * 1000) + 7_200_000), 32),
    "greatest timestamp": (batch(timestamp=2**63 - 1), 32),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("version", [3, 8, 9])
def test_trap_10_what_is_refused(client, what, version):
    data, error = REFUSED[what]
    before = client.rig.end()
    answer = client.produce(data, version=version)
    assert (answer.error_code, answer.base_offset, answer.log_append_time_ms) == (error, -1, -1)
    assert answer.log_start_offset == -1
    assert client.rig.end() == before
    assert client.error_of(batch()) == 0


ACCEPTED = {
    "attribute bit 6": patched(batch(), ATTRIBUTES, ">h", 0x40),
    "attribute bit 7": patched(batch(), ATTRIBUTES, ">h", 0x80),
    "high attribute bits": patched(batch(), ATTRIBUTES, ">h", 0x7F00),
    "bytes behind the batch": batch() + b"\0" * 30,
    "a torn second batch behind": batch() + batch()[:-1],
    "timestamp -5": patched(patched(batch(), 27, ">q", -5), MAX_TIMESTAMP, ">q", -5),
    "zero timestamp": batch(timestamp=0),
    "base offset of the client": patched(batch(), 0, ">q", 12345, seal=False),
    "negative producer": patched(batch(), PRODUCER, ">q", -7),
    "large record": batch(value=bytes(1_000_000)),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_trap_10_what_is_accepted(client, what):
    assert client.error_of(ACCEPTED[what]) == 0
    assert client.rig.end() == 1
    stored = client.fetch().records
    assert parse_header(stored).base_offset == 0
    assert parse_header(stored).size == len(stored)


def test_trap_10_two_batches_where_the_second_is_of_magic_1(client):
    assert client.error_of(batch() + patched(batch(), MAGIC, ">b", 1)) == 0  # bytes behind the batch


@pytest.mark.parametrize("codec", [1, 2, 3])
@pytest.mark.parametrize("version", [3, 9])
def test_compressed_batches_are_stored_as_they_are(client, codec, version):
    data = build([Record(i, 1000 + i, b"k", b"v" * 100) for i in range(10)], codec=Codec(codec))
    assert client.error_of(data, version=version) == 0
    stored = client.fetch().records
    assert stored[16:] == data[16:]
    assert [record.offset for record in iterate_records(stored)] == list(range(10))


def test_trap_10_zstd_needs_produce_7(client):
    data = build([Record(0, 1000, b"k", b"v" * 100)], codec=Codec.ZSTD)
    assert client.error_of(data, version=6) == 76
    assert client.error_of(data, version=3) == 76
    assert client.error_of(data, version=7) == 0


def test_trap_10_keyless_records_on_a_compacted_topic(rig):
    rig.topic(compacted=True)
    client = rig.connect()
    assert client.error_of(batch(3)) == 87
    assert client.error_of(batch(3, key=b"k")) == 0
    compressed = build([Record(0, 1, None, b"v")], codec=Codec.GZIP)
    assert client.produce(compressed) is None
    (forwarded,) = rig.forwarded()
    assert forwarded.reason == 2


def test_too_large_is_judged_by_the_batch_not_by_what_is_behind_it(rig):
    data = batch(value=bytes(500))
    rig.topic(max_message_bytes=len(data))
    client = rig.connect()
    assert client.error_of(data + bytes(20)) == 0
    assert client.error_of(batch(value=bytes(501))) == 10


# --- timestamps ---


def test_timestamp_limits(rig):
    now = int(time.time() * 1000)
    rig.topic(timestamp_before_max_ms=60_000, timestamp_after_max_ms=60_000)
    client = rig.connect()
    assert client.error_of(batch(timestamp=now)) == 0
    assert client.error_of(batch(timestamp=now - 120_000)) == 32
    assert client.error_of(batch(timestamp=now + 120_000)) == 32
    assert client.error_of(batch(2, timestamp=now - 100_000, step_ms=100_000)) == 32
    assert client.error_of(batch(2, timestamp=now, step_ms=100_000)) == 32
    compressed = build([Record(0, now, b"k", b"v" * 100)], codec=Codec.LZ4)
    assert client.produce(compressed) is None
    assert [f.reason for f in rig.forwarded()] == [2]


def test_the_lower_limit_lets_records_without_a_time_pass(rig):
    rig.topic(timestamp_before_max_ms=60_000)
    data = patched(patched(batch(), 27, ">q", -1), MAX_TIMESTAMP, ">q", -1)
    assert rig.connect().error_of(data) == 0


@pytest.mark.parametrize("codec", [0, 1])
def test_log_append_time(rig, codec):
    rig.topic(append_time=True, timestamp_before_max_ms=0, timestamp_after_max_ms=0)
    client = rig.connect()
    before = int(time.time() * 1000)
    data = build([Record(i, 5 + i, None, b"v" * 50) for i in range(4)], codec=Codec(codec))
    answer = client.produce(data)
    after = int(time.time() * 1000)
    assert answer.error_code == 0
    assert before <= answer.log_append_time_ms <= after
    stored = client.fetch().records
    header = parse_header(stored)
    assert header.append_time
    assert header.max_timestamp == answer.log_append_time_ms
    assert records_of(stored) == [(i, b"v" * 50) for i in range(4)]
    assert {record.timestamp for record in iterate_records(stored)} == {answer.log_append_time_ms}


def test_a_client_may_mark_append_time_where_it_is_overwritten_anyway(rig):
    rig.topic(append_time=True)
    assert rig.connect().error_of(patched(batch(), ATTRIBUTES, ">h", 0x08)) == 0


@pytest.mark.parametrize("lie", [0, 5, 10**15])
def test_a_lying_max_timestamp_is_put_right(client, lie):
    data = batch(3, timestamp=1_000, step_ms=10)
    assert client.error_of(patched(data, MAX_TIMESTAMP, ">q", lie)) == 0
    stored = client.fetch().records
    assert parse_header(stored).max_timestamp == 1_020
    assert records_of(stored) == [(i, b"value") for i in range(3)]


# --- acks ---


def test_acks_0_gets_no_answer_and_is_appended(client):
    assert client.produce(batch(), acks=0) is None
    assert client.rig.end() == 1
    assert client.alive
    assert client.error_of(batch(), acks=1) == 0


def test_trap_8_an_error_with_acks_0_closes_the_connection(client):
    assert client.produce(patched(batch(), CRC, ">I", 1, seal=False), acks=0) is None
    assert not client.alive
    assert client.rig.end() == 0


@pytest.mark.parametrize("acks", [2, -2, 100, -32768, 32767])
def test_other_acks_are_refused(client, acks):
    answer = client.produce(batch(), acks=acks)
    assert (answer.error_code, answer.base_offset) == (21, -1)
    assert client.rig.end() == 0


def test_min_insync_replicas_2_refuses_acks_all_only(rig):
    rig.topic(min_insync_replicas=2)
    client = rig.connect()
    assert client.error_of(batch(), acks=-1) == 19
    assert client.error_of(batch(), acks=1) == 0
    rig.configure(min_insync_replicas=1)
    assert client.error_of(batch(), acks=-1) == 0


# --- idempotence: trap 18, KIP-360 ---


def sequenced(sequence: int, n: int = 1, *, pid: int = 77, epoch: int = 0, **how: object) -> bytes:
    return batch(n, producer_id=pid, epoch=epoch, sequence=sequence, **how)


def test_a_new_producer_may_start_at_any_sequence(client):
    assert client.error_of(sequenced(1000)) == 0
    assert client.error_of(sequenced(1001)) == 0
    assert client.error_of(sequenced(1003)) == 45
    assert client.error_of(sequenced(0)) == 45


def test_five_batches_are_remembered(client):
    for i in range(7):
        assert client.produce(sequenced(i * 3, 3, timestamp=5_000 + i)).base_offset == i * 3
    for i in range(2, 7):
        answer = client.produce(sequenced(i * 3, 3, timestamp=5_000 + i))
        assert (answer.error_code, answer.base_offset) == (0, i * 3)
        assert answer.log_append_time_ms == 5_002 + i  # the batch's max timestamp, as Kafka has it
        assert answer.log_start_offset == 0
    assert client.error_of(sequenced(3, 3)) == 45
    assert client.error_of(sequenced(19, 2)) == 45  # overlaps in part
    assert client.error_of(sequenced(18, 4)) == 45
    assert client.rig.end() == 21
    assert client.error_of(sequenced(21)) == 0


def test_epochs(client):
    assert client.error_of(sequenced(0, epoch=3)) == 0
    assert client.error_of(sequenced(1, epoch=2)) == 47
    assert client.error_of(sequenced(1, epoch=4)) == 45
    assert client.error_of(sequenced(0, epoch=4)) == 0
    assert client.error_of(sequenced(0, epoch=3)) == 47
    assert client.error_of(sequenced(1, epoch=4)) == 0


def test_the_sequence_wraps(client):
    last = 2**31 - 1
    assert client.error_of(sequenced(last - 1, 2)) == 0
    assert client.error_of(sequenced(0, 1)) == 0
    assert client.error_of(sequenced(1, 1)) == 0
    assert client.error_of(sequenced(last, 3, pid=78)) == 0
    assert client.error_of(sequenced(2, 1, pid=78)) == 0
    assert client.produce(sequenced(last, 3, pid=78)).base_offset == 4


def test_a_refused_batch_does_not_move_the_sequence(client):
    assert client.error_of(sequenced(0)) == 0
    assert client.error_of(patched(sequenced(1), CRC, ">I", 1, seal=False)) == 2
    assert client.error_of(sequenced(1)) == 0


def test_the_same_batch_twice_in_one_cycle(client):
    data = sequenced(0, 2)
    both = b"".join(client.frame(PRODUCE, 9, produce_request({"t": {0: data}})) for _ in range(2))
    client.raw(both)
    answers = [a.responses[0].partition_responses[0] for a in client.take()]
    assert [(a.error_code, a.base_offset) for a in answers] == [(0, 0), (0, 0)]
    assert client.rig.end() == 2


def test_producers_are_listed_and_expire(rig):
    rig.topic()
    client = rig.connect()
    for pid in range(5):
        client.produce(sequenced(10, 2, pid=pid, epoch=pid, timestamp=900))
    count, data = rig.done("producers", rig.handle())
    import struct

    assert count == 5
    assert sorted(struct.iter_unpack("6q", data)) == [(pid, pid, 11, 901, -1, -1) for pid in range(5)]
    assert rig.done("expire_producers", rig.handle(), int(time.time() * 1000) + 10_000)[0] == 5
    assert rig.done("producers", rig.handle()) == (0, b"")
    assert client.error_of(sequenced(500, pid=1, epoch=0)) == 0


# --- permits and forwarding ---


def test_a_topic_without_permit_is_forwarded_and_resubmitted(rig):
    rig.topic(permit=None)
    client = rig.connect()
    assert client.produce(batch()) is None
    (forwarded,) = rig.forwarded()
    assert forwarded.reason == 1
    assert forwarded.frame[:4] == b"\0\0\0\x09"
    rig.permit()
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    rig.turn()
    (answer,) = client.take()
    assert answer.responses[0].partition_responses[0].base_offset == 0
    assert client.error_of(batch()) == 0


@pytest.mark.parametrize(("version", "error"), [(9, 3), (12, 3), (13, 100)])
def test_what_is_still_unknown_after_resubmission(rig, version, error):
    client = rig.connect()
    rig.ids["nope"] = bytes(15) + b"\xee"
    assert client.produce(batch(), topic="nope", version=version) is None
    (forwarded,) = rig.forwarded()
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    rig.turn()
    (answer,) = client.take()
    assert answer.responses[0].partition_responses[0].error_code == error


def test_denied(rig):
    rig.topic(permit=READ | DENY_WRITE)
    client = rig.connect()
    assert client.error_of(batch()) == 29
    assert client.fetch().error_code == 0
    assert rig.end() == 0


def test_denial_does_not_hide_behind_other_topics(rig):
    rig.topic("a")
    rig.topic("b", permit=DENY_WRITE)
    answer = rig.connect().ask(PRODUCE, 9, produce_request({"a": {0: batch()}, "b": {0: batch()}}))
    assert [t.partition_responses[0].error_code for t in answer.responses] == [0, 29]


def test_revoked_permits_are_asked_for_again(rig):
    rig.topic()
    client = rig.connect()
    assert client.error_of(batch()) == 0
    rig.engine.revoke_permits()
    assert client.produce(batch()) is None
    assert len(rig.forwarded()) == 1
    assert rig.end() == 1


def test_principals_do_not_share_permits(rig):
    rig.topic(permit=None)
    rig.permit("t", WRITE, principal=3)
    three, four = rig.connect(3), rig.connect(4)
    assert three.error_of(batch()) == 0
    assert four.produce(batch()) is None
    events = rig.events()
    connected = [event for event in events if event[0] == 8]
    assert [(event[4], event[5]) for event in connected] == [(four.id, 4)]


def test_nothing_is_appended_of_a_request_that_is_forwarded(rig):
    rig.topic("a")
    client = rig.connect()
    client.send(PRODUCE, 9, produce_request({"a": {0: batch()}, "unknown": {0: batch()}}))
    assert rig.end("a") == 0
    (forwarded,) = rig.forwarded()
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    rig.turn()
    (answer,) = client.take()
    assert [t.partition_responses[0].error_code for t in answer.responses] == [0, 3]
    assert rig.end("a") == 1


def test_a_later_request_waits_for_the_forwarded_one(rig):
    rig.topic("a")
    client = rig.connect()
    client.send(PRODUCE, 9, produce_request({"unknown": {0: batch()}}))
    client.send(PRODUCE, 9, produce_request({"a": {0: batch()}}))
    client.send(FETCH, 11, fetch_request({"a": {0: 0}}))
    assert rig.end("a") == 0
    assert client.take() == []
    (forwarded,) = rig.forwarded()
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    rig.turn()
    first, second, third = client.take()
    assert first.responses[0].partition_responses[0].error_code == 3
    assert second.responses[0].partition_responses[0].error_code == 0
    assert records_of(third.responses[0].partitions[0].records) == [(0, b"value")]


def test_python_puts_an_error_code_in_place_of_a_batch_it_refused(rig):
    rig.topic(compacted=True)
    client = rig.connect()
    compressed = build([Record(0, 1, None, b"v")], codec=Codec.GZIP)
    client.send(PRODUCE, 9, produce_request({"t": {0: compressed}}))
    (forwarded,) = rig.forwarded()
    from pyralog.wire.headers import frame_request
    from pyralog.wire.protocol import encode_request

    correlation = int.from_bytes(forwarded.frame[4:8], "big")
    body = encode_request(PRODUCE, 9, produce_request({"t": {0: (87).to_bytes(2, "big")}}))
    rig.engine.resubmit(forwarded.token, frame_request(PRODUCE, 9, correlation, "test", body)[4:])
    rig.turn()
    (answer,) = client.take()
    assert answer.responses[0].partition_responses[0].error_code == 87
    assert client.error_of(b"\0\x30") == 87  # a client cannot do that


def test_another_codec_than_the_topics_goes_to_python(rig):
    rig.topic(compression=3)
    client = rig.connect()
    assert client.produce(batch()) is None
    assert [f.reason for f in rig.forwarded()] == [2]
    lz4 = rig.connect()
    assert lz4.error_of(build([Record(0, 1, None, b"v")], codec=Codec.LZ4)) == 0


def test_not_leading_any_more(rig):
    rig.topic(epoch=4)
    assert rig.done("lead", rig.handle(), 3)[0] == -6
    assert rig.done("lead", rig.handle(), 6)[0] == 0
    client = rig.connect()
    assert client.error_of(batch()) == 0
    assert parse_header(client.fetch().records).leader_epoch == 6


def test_append_by_python(rig):
    rig.topic(epoch=2)
    assert rig.done("append", rig.handle(), batch(3))[0] == 0
    assert rig.done("append", rig.handle(), batch(2))[0] == 3
    assert rig.done("append", rig.handle(), patched(batch(), CRC, ">I", 1, seal=False))[0] == -2
    assert rig.done("append", rig.handle(), b"short")[0] == -2
    assert records_of(rig.connect().fetch().records) == [(i, b"value") for i in range(5)]


def test_counters_and_histograms(rig):
    rig.topic()
    client = rig.connect()
    client.produce(batch(3))
    client.produce(batch(2))
    client.produce(None)
    client.fetch()
    counters = rig.engine.counters()
    assert counters["requests_produce"] == 3
    assert counters["failed_produce"] == 1
    assert counters["requests_fetch"] == 1
    assert rig.handle().traffic() == (len(batch(3)) + len(batch(2)), len(batch(3)) + len(batch(2)), 5, 2, 0, 5)
    count, total, buckets = rig.engine.histogram("batch_records")
    assert (count, total, sum(buckets)) == (2, 5, 2)
    with pytest.raises(KeyError):
        rig.engine.histogram("nothing")


def test_failures_by_their_error(client):
    client.produce(batch(3), acks=7)
    client.produce(batch(3), acks=7)
    client.fetch(9)
    assert client.rig.engine.failures() == ({21: 2}, {1: 1})
