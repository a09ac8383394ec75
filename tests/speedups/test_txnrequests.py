"""AddPartitionsToTxn and EndTxn from bytes to bytes, against the schemas: the same in all, or nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pyralog._speedups.journal import Entry
from pyralog._speedups.txnrequests import parse_request, write_record
from pyralog.coordinator.transaction import state as txn
from pyralog.model import TopicPartition
from pyralog.wire import messages as m
from pyralog.wire.coordinator_records import encode_key, encode_value
from pyralog.wire.headers import frame_request, frame_response, parse_request_header
from pyralog.wire.protocol import encode_request, encode_response

ADD, END = 24, 26
NAMES = ("t", "orders", "größe", "a" * 249)
CORRELATION = -5


def frame_of(api: int, version: int, request: Any, client: str | None = "client") -> bytes:
    return frame_request(api, version, CORRELATION, client, encode_request(api, version, request))[4:]


def some_add(rng: random.Random) -> Any:
    return m.AddPartitionsToTxnRequest(
        v3_and_below_transactional_id=rng.choice(("x", "grüppe", "g" * 200)),
        v3_and_below_producer_id=rng.choice((0, -1, 2**62)),
        v3_and_below_producer_epoch=rng.choice((0, -1, 32767)),
        v3_and_below_topics=[
            m.AddPartitionsToTxnTopic(
                name=rng.choice(NAMES),
                partitions=[rng.choice((0, 5, -1, 2**31 - 1)) for _ in range(rng.choice((1, 200)))],
            )
            for _ in range(rng.choice((1, 3)))
        ],
    )


def added(request: Any) -> Any:
    return m.AddPartitionsToTxnResponse(
        results_by_topic_v3_and_below=[
            m.AddPartitionsToTxnTopicResult(
                name=topic.name,
                results_by_partition=[
                    m.AddPartitionsToTxnPartitionResult(partition_index=index, partition_error_code=0)
                    for index in topic.partitions
                ],
            )
            for topic in request.v3_and_below_topics
        ]
    )


def framed(api: int, version: int, frame: bytes, response: Any) -> bytes:
    return frame_response(parse_request_header(frame), encode_response(api, version, response))


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize("seed", range(10))
def test_partitions_that_are_added(version: int, seed: int) -> None:
    rng = random.Random(seed)
    request = some_add(rng)
    frame = frame_of(ADD, version, request, rng.choice(("client", None)))
    found = parse_request(frame)
    assert found is not None
    assert (found.api, found.version, found.correlation) == (ADD, version, CORRELATION)
    assert found.transactional_id == request.v3_and_below_transactional_id
    assert found.producer_id == request.v3_and_below_producer_id
    assert found.epoch == request.v3_and_below_producer_epoch
    assert found.topics == [(topic.name, topic.partitions) for topic in request.v3_and_below_topics]
    assert found.framed(1, 2) == framed(ADD, version, frame, added(request))


@pytest.mark.parametrize("version", range(6))
@pytest.mark.parametrize("commit", [True, False])
def test_an_end(version: int, commit: bool) -> None:
    request = m.EndTxnRequest(transactional_id="größe", producer_id=7, producer_epoch=3, committed=commit)
    frame = frame_of(END, version, request)
    found = parse_request(frame)
    assert found is not None
    assert (found.api, found.version, found.transactional_id) == (END, version, "größe")
    assert (found.producer_id, found.epoch, found.commit) == (7, 3, commit)
    assert found.framed(2**40, 9) == framed(END, version, frame, m.EndTxnResponse(producer_id=2**40, producer_epoch=9))


def test_what_is_left_to_the_messages() -> None:
    end = m.EndTxnRequest(transactional_id="x", producer_id=7, producer_epoch=3, committed=True)
    good = frame_of(END, 3, end)
    assert parse_request(good) is not None
    for at in range(len(good)):
        assert parse_request(good[:at]) is None
    assert parse_request(good + b"\0") is None
    assert parse_request(good[:-1] + b"\1\0\0") is None  # a tagged field
    assert parse_request(frame_of(END, 3, m.EndTxnRequest(transactional_id="x" * 2000, producer_id=1))) is None
    assert parse_request(frame_of(END, 3, m.EndTxnRequest(transactional_id="", producer_id=1))) is None
    assert parse_request(good.replace(b"\2x", b"\2\xff")) is None  # no UTF-8
    assert parse_request(b"\0\x1a\0\x06" + good[4:]) is None
    assert parse_request(b"\0\x1b" + good[2:]) is None
    add = m.AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="x",
        v3_and_below_topics=[m.AddPartitionsToTxnTopic(name="t", partitions=[0, 1])],
    )
    frame = frame_of(ADD, 3, add)
    assert parse_request(frame) is not None
    for at in range(len(frame)):
        assert parse_request(frame[:at]) is None
    of_broker = m.AddPartitionsToTxnTransaction(
        transactional_id="x", producer_id=1, producer_epoch=0, topics=add.v3_and_below_topics
    )
    assert parse_request(frame_of(ADD, 4, m.AddPartitionsToTxnRequest(transactions=[of_broker]))) is None
    for topics in (
        [],
        [m.AddPartitionsToTxnTopic(name="t", partitions=[])],
        [m.AddPartitionsToTxnTopic(partitions=[1])],
    ):
        empty = m.AddPartitionsToTxnRequest(v3_and_below_transactional_id="x", v3_and_below_topics=topics)
        assert parse_request(frame_of(ADD, 1, empty)) is None


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_refused_or_read_within_the_frame(seed: int) -> None:
    """Under the sanitizers this would be told."""
    rng = random.Random(seed)
    frame = bytearray(frame_of(ADD, rng.randrange(4), some_add(rng)))
    for _ in range(200):
        at = rng.randrange(len(frame))
        before, frame[at] = frame[at], rng.randrange(256)
        found = parse_request(bytes(frame))
        assert found is None or found.transactional_id
        frame[at] = before


@pytest.mark.parametrize("seed", range(30))
def test_a_record_is_that_of_the_messages(seed: int) -> None:
    rng = random.Random(seed)
    partitions = frozenset(
        TopicPartition(rng.choice(NAMES), rng.randrange(300)) for _ in range(rng.choice((0, 1, 3, 150)))
    )
    entry = txn.Entry(
        producer_id=rng.choice((0, 2**62)),
        epoch=rng.choice((0, 32767)),
        timeout_ms=60_000,
        state=rng.choice([state for state in txn.State if state in txn.TRANSITIONS]),
        partitions=partitions,
        start_ms=rng.choice((-1, 1_700_000_000_000)),
        updated_ms=1_700_000_000_001,
        previous_producer_id=rng.choice((-1, 5)),
        next_producer_id=rng.choice((-1, 6)),
        last_epoch=3,
        version=rng.choice((0, 2)),
    )
    name = rng.choice(("x", "größe", "g" * 1000))
    quick, slow = Entry(None, 0), Entry(None, 0)
    expected = txn.record(name, entry, txn.TV2)
    assert expected.value is not None
    for at in (1_000, 2_000):
        write_record(quick, name, entry, at)
        slow.add(at, encode_key(expected.key), encode_value(expected.value, expected.value_version))
    assert quick.batch() == slow.batch()


def test_what_is_no_state() -> None:
    with pytest.raises(OverflowError):
        write_record(Entry(None, 0), "x", txn.Entry(1, 1 << 20, 60_000), 1)
    with pytest.raises(ValueError, match="not the state"):
        write_record(Entry(None, 0), "x", (1, 2), 1)
