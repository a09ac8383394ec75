"""Fetch through the plane: every version, whole batches, long polls, sessions (traps 11 and 12), several segments."""

from __future__ import annotations

import datetime
import importlib
import io
import time
import uuid

import pytest
from kio.serial import entity_reader, entity_writer

from tests.speedups.plane_kit import (
    DENY_READ,
    FETCH,
    PRODUCE,
    WRITE,
    batch,
    fetch_request,
    produce_request,
    records_of,
    split_frames,
)

VERSIONS = range(4, 19)
SIZE = len(batch())


@pytest.fixture
def client(rig):
    rig.topic()
    return rig.connect()


def partitions(answer):
    return {(t.topic, p.partition_index): p for t in answer.responses for p in t.partitions}


# --- versions ---


@pytest.mark.parametrize("version", range(4, 18))
@pytest.mark.parametrize("large", [False, True])
def test_every_version_as_kio_writes_and_reads_it(rig, version, large):
    rig.topic("t", 2)
    client = rig.connect()
    value = bytes(100_000 if large else 10)
    client.produce(batch(2, value=value), partition=1)
    request = importlib.import_module(f"kio.schema.fetch.v{version}.request")
    response = importlib.import_module(f"kio.schema.fetch.v{version}.response")
    topic = {"topic_id": uuid.UUID(bytes=rig.ids["t"])} if version >= 13 else {"topic": "t"}
    fields = {"replica_id": -1} if version < 15 else {}
    message = request.FetchRequest(
        **fields,
        max_wait=datetime.timedelta(milliseconds=0),
        min_bytes=1,
        max_bytes=1 << 24,
        isolation_level=1,
        topics=(
            request.FetchTopic(
                **topic,
                partitions=tuple(
                    request.FetchPartition(partition=p, fetch_offset=offset, partition_max_bytes=1 << 20)
                    for p, offset in ((1, 0), (0, 0), (0, 5))
                ),
            ),
        ),
        **({"forgotten_topics_data": ()} if version >= 7 else {}),
    )
    header_class = request.FetchRequest.__header_schema__
    out = io.BytesIO()
    entity_writer(header_class)(
        out, header_class(request_api_key=1, request_api_version=version, correlation_id=-2, client_id=None)
    )
    entity_writer(request.FetchRequest)(out, message)
    client.raw(len(out.getvalue()).to_bytes(4, "big") + out.getvalue())
    (frame,) = split_frames(rig.engine.take_output(client.id))
    header, at = entity_reader(response.FetchResponse.__header_schema__)(frame, 0)
    assert header.correlation_id == -2
    answer, size = entity_reader(response.FetchResponse)(frame, at)
    assert at + size == len(frame)
    (found,) = answer.responses
    full, empty, beyond = found.partitions
    assert (full.partition_index, full.error_code.value, full.high_watermark, full.last_stable_offset) == (1, 0, 2, 2)
    assert records_of(full.records) == [(0, value), (1, value)]
    assert full.aborted_transactions == ()
    assert (empty.error_code.value, empty.high_watermark, empty.records) == (0, 0, b"")
    assert beyond.error_code.value == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_batch_comes_back_as_it_is_stored_in_every_version(client, version):
    data = batch(3, value=b"abc")
    client.produce(data)
    got = client.fetch(version=version)
    assert got.records[16:] == data[16:]
    assert got.high_watermark == got.last_stable_offset == 3
    assert got.log_start_offset == (0 if version >= 5 else -1)
    assert got.preferred_read_replica == -1


@pytest.mark.parametrize("version", VERSIONS)
def test_trap_11_aborted_transactions_are_empty_for_read_committed_and_null_otherwise(client, version):
    client.produce(batch())
    assert client.fetch(version=version, isolation_level=1).aborted_transactions == []
    assert client.fetch(version=version, isolation_level=0).aborted_transactions is None


def test_fields_an_old_version_lacks_are_taken_as_absent(client):
    """Versions below 9 name no leader epoch."""
    client.rig.done("lead", client.rig.handle(), 5)
    client.produce(batch())
    for version in (4, 5, 6, 7, 8):
        assert client.fetch(version=version).error_code == 0


# --- whole batches ---


def test_trap_11_an_offset_inside_a_batch_gives_the_whole_batch(client):
    client.produce(batch(10))
    client.produce(batch(5))
    for offset in range(10):
        assert records_of(client.fetch(offset).records)[0][0] == 0
    for offset in range(10, 15):
        got = records_of(client.fetch(offset).records)
        assert [o for o, _ in got] == list(range(10, 15))
    assert client.fetch(15).records == b""


def test_trap_11_the_first_batch_comes_whole_whatever_the_limits(client):
    client.produce(batch(value=bytes(5000)))
    client.produce(batch(value=bytes(5000)))
    whole = len(client.fetch(1).records)
    for limits in (
        {"max_bytes": 1},
        {"partition_max_bytes": 1},
        {"max_bytes": 0},
        {"partition_max_bytes": 0},
        {"max_bytes": -5},
    ):
        assert len(client.fetch(**limits).records) == whole, limits
    assert len(client.fetch(partition_max_bytes=whole).records) == whole
    assert len(client.fetch(partition_max_bytes=2 * whole - 1).records) == whole
    assert len(client.fetch(partition_max_bytes=2 * whole).records) == 2 * whole
    assert len(client.fetch(max_bytes=2 * whole - 1).records) == whole


def test_trap_11_only_the_first_partition_may_exceed_the_limit(rig):
    rig.topic("t", 3)
    client = rig.connect()
    for p in range(3):
        client.produce(batch(value=bytes(1000)), partition=p)
    answer = client.ask(FETCH, 11, fetch_request({"t": {0: 0, 1: 0, 2: 0}}, max_bytes=1))
    assert [bool(p.records) for p in answer.responses[0].partitions] == [True, False, False]
    assert all(p.high_watermark == 1 and p.error_code == 0 for p in answer.responses[0].partitions)
    room = len(client.fetch().records)
    answer = client.ask(FETCH, 11, fetch_request({"t": {0: 0, 1: 0, 2: 0}}, max_bytes=2 * room))
    assert [bool(p.records) for p in answer.responses[0].partitions] == [True, True, False]


def test_out_of_range_is_told_even_without_room(rig):
    rig.topic("t", 2)
    client = rig.connect()
    client.produce(batch(value=bytes(1000)))
    answer = client.ask(FETCH, 11, fetch_request({"t": {0: 0, 1: 7}}, max_bytes=1))
    assert [p.error_code for p in answer.responses[0].partitions] == [0, 1]


def test_the_engines_own_limit(rigs):
    rig = rigs(fetch_max_bytes=3 * len(batch(value=bytes(1000))))
    rig.topic()
    client = rig.connect()
    for _ in range(10):
        client.produce(batch(value=bytes(1000)))
    assert len(records_of(client.fetch().records)) == 3


@pytest.mark.parametrize("size", [65535 - 70, 65536 - 70, 65537 - 70, 65536, 100_000, 1_000_000])
def test_small_reads_are_copied_and_large_ones_come_from_the_file(rig, size):
    rig.topic("t", 2)
    client = rig.connect()
    value = bytes(range(256)) * (size // 256 + 1)
    client.produce(batch(value=value[:size]))
    client.produce(batch(value=value[:size]), partition=1)
    for version in (4, 11, 12, 17):
        key = "t" if version < 13 else rig.ids["t"]
        answer = client.ask(FETCH, version, fetch_request({key: {0: 0, 1: 0}}))
        for p in answer.responses[0].partitions:
            assert records_of(p.records) == [(0, value[:size])]


# --- errors ---


@pytest.mark.parametrize("offset", [-1, -(2**63), 4, 2**63 - 1])
def test_out_of_range(client, offset):
    client.produce(batch(3))
    assert client.fetch(offset).error_code == 1
    assert client.fetch(3).error_code == 0


def test_leader_epochs(rig):
    rig.topic(epoch=7)
    client = rig.connect()
    client.produce(batch())
    assert [client.fetch(epoch=epoch).error_code for epoch in (-1, 6, 7, 8, 2**31 - 1)] == [0, 74, 0, 75, 75]


@pytest.mark.parametrize(("version", "error"), [(4, 3), (12, 3), (13, 100), (18, 100)])
def test_what_is_unknown_is_asked_for_once(rig, version, error):
    client = rig.connect()
    rig.ids["nope"] = bytes(15) + b"\x77"
    key = "nope" if version < 13 else rig.ids["nope"]
    client.send(FETCH, version, fetch_request({key: {0: 0}}))
    (forwarded,) = rig.forwarded()
    assert forwarded.reason == 1
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    rig.turn()
    (answer,) = client.take()
    assert answer.responses[0].partitions[0].error_code == error
    assert answer.responses[0].partitions[0].records == b""


def test_unknown_partitions_of_a_known_topic(client):
    for p in (1, -1, 2**31 - 1):
        assert client.fetch(partition=p).error_code == 3


def test_denied(rig):
    rig.topic(permit=WRITE | DENY_READ)
    client = rig.connect()
    assert client.produce(batch()).error_code == 0
    got = client.fetch()
    assert (got.error_code, got.high_watermark, got.records) == (29, -1, b"")


@pytest.mark.parametrize("version", [4, 7, 14])
def test_followers_are_refused(rig, version):
    rig.topic()
    client = rig.connect()
    key = "t" if version < 13 else rig.ids["t"]
    answer = client.ask(FETCH, version, fetch_request({key: {0: 0}}, replica_id=1, max_wait_ms=100_000))
    assert answer.error_code == 0
    assert [one.error_code for topic in answer.responses for one in topic.partitions] == [6]


@pytest.mark.parametrize("version", [15, 17])
def test_followers_by_the_tagged_field_are_refused(rig, version):
    from pyralog.wire.messages import FetchRequestReplicaState

    rig.topic()
    client = rig.connect()
    message = fetch_request({rig.ids["t"]: {0: 0}})
    message.replica_state = FetchRequestReplicaState(replica_id=2, replica_epoch=9)
    answer = client.ask(FETCH, version, message)
    assert [one.error_code for topic in answer.responses for one in topic.partitions] == [6]


# --- long polls ---


@pytest.mark.parametrize("version", [4, 12])
def test_an_unknown_topic_does_not_cut_the_wait_of_the_others_short(rig, version):
    """A consumer of two topics, one of which was deleted, must not ask again without pause."""
    rig.topic()
    client, writer = rig.connect(), rig.connect()
    client.send(FETCH, version, fetch_request({"t": {0: 0, 9: 0}, "gone": {0: 0}}, max_wait_ms=100_000))
    (forwarded,) = rig.forwarded()
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    rig.turn()
    assert client.take() == []
    assert writer.produce(batch()).error_code == 0
    (answer,) = client.take()
    errors = {
        (topic.topic, one.partition_index): one.error_code for topic in answer.responses for one in topic.partitions
    }
    assert errors == {("t", 0): 0, ("t", 9): 3, ("gone", 0): 3}


def test_nothing_but_unknown_topics_is_answered_at_once(rig):
    rig.topic()
    client = rig.connect()
    answer = client.ask(FETCH, 12, fetch_request({"t": {9: 0}}, max_wait_ms=100_000))
    assert answer.responses[0].partitions[0].error_code == 3


def test_an_append_wakes_a_waiting_fetch(rig):
    rig.topic()
    waiting, writing = rig.connect(), rig.connect()
    waiting.send(FETCH, 11, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    assert waiting.take() == []
    assert rig.counter("parked") == 1
    writing.produce(batch())
    (answer,) = waiting.take()
    assert records_of(answer.responses[0].partitions[0].records) == [(0, b"value")]
    assert rig.counter("parked") == 0


def test_the_deadline_answers_with_what_there_is(rig):
    rig.topic()
    client = rig.connect()
    begun = time.monotonic()
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}, max_wait_ms=30))
    answers = client.take()
    while not answers:
        assert time.monotonic() < begun + 10
        rig.engine.cycle(50)
        answers = client.take()
    assert time.monotonic() - begun >= 0.025
    assert answers[0].responses[0].partitions[0].records == b""


def test_min_bytes_accumulate_over_partitions_and_appends(rig):
    rig.topic("t", 2)
    waiting, writing = rig.connect(), rig.connect()
    waiting.send(FETCH, 11, fetch_request({"t": {0: 0, 1: 0}}, max_wait_ms=100_000, min_bytes=4 * SIZE))
    for i in range(3):
        writing.produce(batch(), partition=i % 2)
        assert waiting.take() == []
    writing.produce(batch(), partition=1)
    (answer,) = waiting.take()
    assert [len(p.records) for p in answer.responses[0].partitions] == [2 * SIZE, 2 * SIZE]


def test_min_bytes_do_not_wait_where_the_rest_is_in_the_next_segment(rig):
    """As Kafka: an answer holds one segment, however long it waits."""
    rig.topic("s", segment_bytes=5 * SIZE)
    client = rig.connect()
    for _ in range(12):
        client.produce(batch(), topic="s")
    assert len(records_of(client.fetch(4, topic="s", max_wait_ms=100_000, min_bytes=50 * SIZE).records)) == 1
    last = rig.connect()
    last.send(FETCH, 11, fetch_request({"s": {0: 10}}, max_wait_ms=100_000, min_bytes=3 * SIZE))
    assert last.take() == [], "there is nothing behind this one"
    client.produce(batch(), topic="s")
    assert len(last.take()) == 1


def test_min_bytes_that_are_there_answer_at_once(client):
    client.produce(batch())
    assert client.fetch(max_wait_ms=100_000, min_bytes=SIZE).records
    assert client.fetch(0, max_wait_ms=100_000, min_bytes=0).records
    assert client.fetch(1, max_wait_ms=100_000, min_bytes=-5).records == b""


def test_an_error_answers_at_once(rig):
    rig.topic("t", 2)
    client = rig.connect()
    answer = client.ask(FETCH, 11, fetch_request({"t": {0: 0, 1: 9}}, max_wait_ms=100_000))
    assert [p.error_code for p in answer.responses[0].partitions] == [0, 1]


def test_many_waiters_of_one_partition(rig):
    rig.topic()
    waiting = [rig.connect() for _ in range(50)]
    for one in waiting:
        one.send(FETCH, 11, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    rig.connect().produce(batch())
    assert all(len(one.take()) == 1 for one in waiting)


def test_a_closed_waiter_is_forgotten(rig):
    rig.topic()
    one, two = rig.connect(), rig.connect()
    for client in (one, two):
        client.send(FETCH, 11, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    one.close()
    assert rig.counter("parked") == 1
    rig.connect().produce(batch())
    assert len(two.take()) == 1
    for _ in range(100):  # the waits of closed connections do not pile up in the partition
        client = rig.connect()
        client.send(FETCH, 11, fetch_request({"t": {0: 1}}, max_wait_ms=100_000))
        client.close()
    assert rig.counter("parked") == 0
    assert rig.counter("open_connections") == 2


def test_requests_behind_a_waiting_fetch_wait(rig):
    rig.topic("t", 2)
    client, other = rig.connect(), rig.connect()
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    client.send(PRODUCE, 9, produce_request({"t": {1: batch()}}))
    assert rig.end("t", 1) == 0
    other.produce(batch())
    fetched, produced = client.take()
    assert fetched.responses[0].partitions[0].records
    assert produced.responses[0].partition_responses[0].base_offset == 0


def test_a_fetch_sees_what_was_produced_before_it_on_its_connection(rig):
    """Kafka serves one request of a connection after the other; a plane that writes at the cycle's end must seem so."""
    rig.topic()
    client = rig.connect()
    for i in range(5):
        frames = client.frame(PRODUCE, 9, produce_request({"t": {0: batch(value=b"%d" % i)}}))
        frames += client.frame(FETCH, 11, fetch_request({"t": {0: i}}))
        client.raw(frames)
        _, fetched = client.take()
        assert records_of(fetched.responses[0].partitions[0].records) == [(i, b"%d" % i)]


def test_revoked_permits_do_not_break_a_waiting_fetch(rig):
    rig.topic()
    client = rig.connect()
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    rig.engine.revoke_permits()
    rig.turn()
    assert rig.done("append", rig.handle(), batch())[0] == 0
    (answer,) = client.take()
    assert answer.responses[0].partitions[0].error_code == 0
    assert answer.responses[0].partitions[0].records


def test_draining_answers_what_waits(rig):
    rig.topic()
    client = rig.connect()
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    assert rig.done("drain") == (1, b"")
    (answer,) = client.take()
    assert answer.responses[0].partitions[0].error_code == 0
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    assert len(client.take()) == 1  # nothing waits any more


# --- sessions: trap 12, KIP-227 ---


class Session:
    """A consumer's side of a fetch session."""

    def __init__(self, client, version=11, **how):
        self.client, self.version, self.how = client, version, how
        self.id = self.epoch = 0

    def fetch(self, topics=None, forgotten=None, **how):
        if self.version >= 13:
            ids = self.client.rig.ids
            topics = {ids[name]: value for name, value in (topics or {}).items()}
            forgotten = {ids[name]: value for name, value in (forgotten or {}).items()}
        message = fetch_request(topics, forgotten=forgotten, session=(self.id, self.epoch), **{**self.how, **how})
        answer = self.client.ask(FETCH, self.version, message)
        if answer.error_code == 0:
            self.id = answer.session_id
            self.epoch += 1
        return answer


@pytest.mark.parametrize("version", range(7, 19))
def test_a_session_tells_only_what_is_new(rig, version):
    rig.topic("t", 3)
    client = rig.connect()
    session = Session(client, version)
    first = session.fetch({"t": {0: 0, 1: 0, 2: 0}})
    assert first.session_id != 0
    assert [p.partition_index for p in first.responses[0].partitions] == [0, 1, 2]
    assert session.fetch().responses == []
    client.produce(batch(), partition=1, version=9)
    answer = session.fetch()
    assert [p.partition_index for p in answer.responses[0].partitions] == [1]
    assert answer.session_id == session.id
    session.fetch({"t": {1: 1}})
    assert session.fetch().responses == []


def test_a_changed_log_start_is_told_without_records(rig):
    rig.topic()
    client = rig.connect()
    for _ in range(4):
        client.produce(batch())
    session = Session(client)
    session.fetch({"t": {0: 4}})
    assert session.fetch().responses == []
    assert rig.done("move_log_start", rig.handle(), 2)[0] == 2
    (told,) = session.fetch().responses[0].partitions
    assert (told.log_start_offset, told.high_watermark, told.records) == (2, 4, b"")
    assert session.fetch().responses == []


def test_partitions_join_and_leave_a_session(rig):
    rig.topic("a", 2)
    rig.topic("b", 2)
    client = rig.connect()
    session = Session(client)
    session.fetch({"a": {0: 0}})
    assert list(partitions(session.fetch({"b": {1: 0}, "a": {1: 0}}))) == [("b", 1), ("a", 1)]
    for name in "ab":
        for p in range(2):
            client.produce(batch(), topic=name, partition=p)
    assert set(partitions(session.fetch())) == {("a", 0), ("a", 1), ("b", 1)}
    assert set(partitions(session.fetch(forgotten={"a": [0, 7], "nope": [1]}))) == {("a", 1), ("b", 1)}
    assert set(partitions(session.fetch({"a": {0: 0}}, forgotten={"a": [1], "b": [1]}))) == {("a", 0)}
    empty = session.fetch(forgotten={"a": [0]})
    assert (empty.session_id, empty.responses) == (0, [])
    assert rig.counter("sessions") == 0


def test_errors_of_sessions(rig):
    rig.topic()
    client = rig.connect()
    session = Session(client)
    session.fetch({"t": {0: 0}})
    good = (session.id, session.epoch)

    def ask(id, epoch, version=11, topics=None):
        answer = client.ask(FETCH, version, fetch_request(topics, session=(id, epoch)))
        return answer.error_code, answer.session_id, len(answer.responses)

    assert ask(0, 5) == (70, 0, 0)
    assert ask(good[0] ^ 1, 1) == (70, 0, 0)
    assert ask(good[0], good[1] + 1) == (71, 0, 0)
    assert ask(good[0], 77) == (71, 0, 0)
    assert ask(good[0], good[1], version=13) == (106, 0, 0)
    assert ask(*good) == (0, good[0], 0)
    by_id = client.ask(FETCH, 13, fetch_request({rig.ids["t"]: {0: 0}}, session=(0, 0)))
    assert ask(by_id.session_id, 1, version=12) == (106, 0, 0)
    # An unknown session with epoch 0 or -1 is served; -1 without a session of its own.
    code, new, n = ask(123456, 0, topics={"t": {0: 0}})
    assert (code, n) == (0, 1)
    assert new not in (0, 123456, good[0])
    assert ask(123456, -1, topics={"t": {0: 0}}) == (0, 0, 1)
    assert ask(0, -1, topics={"t": {0: 0}}) == (0, 0, 1)


def test_epoch_minus_one_ends_a_session(rig):
    rig.topic()
    client = rig.connect()
    session = Session(client)
    session.fetch({"t": {0: 0}})
    answer = client.ask(FETCH, 11, fetch_request({"t": {0: 0}}, session=(session.id, -1)))
    assert (answer.error_code, answer.session_id, len(answer.responses)) == (0, 0, 1)
    assert rig.counter("sessions") == 0
    assert client.ask(FETCH, 11, fetch_request(session=(session.id, 1))).error_code == 70


def test_epoch_zero_replaces_a_session(rig):
    rig.topic()
    client = rig.connect()
    session = Session(client)
    session.fetch({"t": {0: 0}})
    answer = client.ask(FETCH, 11, fetch_request({"t": {0: 0}}, session=(session.id, 0)))
    assert answer.session_id not in (0, session.id)
    assert rig.counter("sessions") == 1


def test_without_room_a_client_does_without_a_session(rigs):
    rig = rigs(max_sessions=2)
    rig.topic()
    client = rig.connect()
    ids = [client.ask(FETCH, 11, fetch_request({"t": {0: 0}}, session=(0, 0))).session_id for _ in range(3)]
    assert ids[0] != 0
    assert ids[1] not in (0, ids[0])
    assert ids[2] == 0
    client.ask(FETCH, 11, fetch_request({"t": {0: 0}}, session=(ids[0], -1)))
    assert client.ask(FETCH, 11, fetch_request({"t": {0: 0}}, session=(0, 0))).session_id != 0


def test_no_sessions_at_all(rigs):
    rig = rigs(max_sessions=0)
    rig.topic()
    assert rig.connect().ask(FETCH, 11, fetch_request({"t": {0: 0}}, session=(0, 0))).session_id == 0


def test_every_partition_gets_its_turn(rig):
    rig.topic("t", 4)
    client = rig.connect()
    for p in range(4):
        for _ in range(20):
            client.produce(batch(value=bytes(500)), partition=p)
    session = Session(client, max_bytes=1)
    session.fetch({"t": dict.fromkeys(range(4), 0)})
    seen = []
    for _ in range(8):
        answer = session.fetch()
        seen += [p.partition_index for t in answer.responses for p in t.partitions if p.records]
    assert sorted(set(seen)) == [0, 1, 2, 3]
    assert max(seen.count(p) for p in range(4)) <= 3


def test_a_waiting_fetch_of_a_session(rig):
    rig.topic("t", 2)
    client, other = rig.connect(), rig.connect()
    session = Session(client)
    session.fetch({"t": {0: 0, 1: 0}})
    client.send(FETCH, 11, fetch_request(session=(session.id, 1), max_wait_ms=100_000))
    assert client.take() == []
    other.produce(batch(), partition=1)
    (answer,) = client.take()
    assert list(partitions(answer)) == [("t", 1)]
    assert answer.session_id == session.id
    assert client.ask(FETCH, 11, fetch_request({"t": {1: 1}}, session=(session.id, 2))).error_code == 0


def test_a_session_that_is_taken_away_from_a_waiting_fetch(rig):
    rig.topic()
    client, other = rig.connect(), rig.connect()
    session = Session(client)
    session.fetch({"t": {0: 0}})
    client.send(FETCH, 11, fetch_request(session=(session.id, 1), max_wait_ms=100_000))
    other.ask(FETCH, 11, fetch_request({"t": {0: 0}}, session=(session.id, -1)))
    other.produce(batch())
    (answer,) = client.take()
    assert (answer.error_code, answer.session_id, answer.responses) == (70, 0, [])


def test_the_same_partition_twice_in_a_new_session(rig):
    rig.topic("t", 2)
    client = rig.connect()
    client.produce(batch(), partition=1)
    message = fetch_request({"t": {0: 0}}, session=(0, 0))
    message.topics.append(fetch_request({"t": {0: 0, 1: 0}}).topics[0])
    answer = client.ask(FETCH, 11, message)
    assert [p.partition_index for t in answer.responses for p in t.partitions] == [0, 0, 1]
    follow = client.ask(FETCH, 11, fetch_request({"t": {1: 1}}, session=(answer.session_id, 1)))
    assert follow.responses == []


def test_many_partitions_and_forgetting_most_of_them(rig):
    rig.topic("t")
    client = rig.connect()
    session = Session(client)
    session.fetch({"t": dict.fromkeys(range(5000), 0)})
    assert len(session.fetch().responses[0].partitions) == 4999  # unknown partitions are errors, told every time
    assert len(session.fetch(forgotten={"t": list(range(1, 4999))}).responses[0].partitions) == 1
    client.produce(batch())
    assert set(partitions(session.fetch())) == {("t", 0), ("t", 4999)}


def test_a_session_of_too_many_partitions_is_not_kept(rig):
    rig.topic("t")
    client = rig.connect()
    answer = client.ask(FETCH, 11, fetch_request({"t": dict.fromkeys(range(100001), 0)}, session=(0, 0)))
    assert answer.session_id == 0
    session = Session(client)
    session.fetch({"t": dict.fromkeys(range(60000), 0)})
    assert session.id != 0
    assert session.fetch({"t": dict.fromkeys(range(60000, 110000), 0)}).error_code == 70
    assert rig.counter("sessions") == 0


def test_revoked_permits_end_a_session(rig):
    """Python can only be asked about topics that a request names: the client begins anew and names them."""
    rig.topic()
    client = rig.connect()
    session = Session(client)
    session.fetch({"t": {0: 0}})
    rig.engine.revoke_permits()
    assert session.fetch().error_code == 70
    assert rig.forwarded() == []
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}, session=(0, 0)))
    (forwarded,) = rig.forwarded()
    rig.permit()
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    rig.turn()
    (answer,) = client.take()
    assert answer.responses[0].partitions[0].error_code == 0


def test_an_error_in_a_session_is_told_until_it_is_gone(rig):
    rig.topic()
    client = rig.connect()
    client.produce(batch(4))
    session = Session(client)
    assert session.fetch({"t": {0: 9}}).responses[0].partitions[0].error_code == 1
    assert session.fetch().responses[0].partitions[0].error_code == 1
    assert session.fetch({"t": {0: 4}}).responses[0].partitions[0].error_code == 0
    assert session.fetch().responses == []


# --- several segments ---


def test_thousands_of_batches_over_many_segments(rig):
    rig.topic(segment_bytes=20_000, index_interval_bytes=512)
    client = rig.connect()
    expected = []
    for i in range(2500):
        n = i % 3 + 1
        value = b"%d" % i * (i % 7 + 1)
        frame = client.frame(PRODUCE, 9, produce_request({"t": {0: batch(n, value=value)}}, acks=1))
        expected += [(len(expected) + k, value) for k in range(n)]
        client.raw(frame)
        if i % 100 == 99:
            assert all(a.responses[0].partition_responses[0].error_code == 0 for a in client.take())
    count, _ = rig.done("segments", rig.handle())
    assert count > 10
    rolled = [event for event in rig.events() if event[0] == 4]
    assert len(rolled) == count - 1
    for step in (3_000, 50_000, 1 << 20):
        got, at = [], 0
        while at < len(expected):
            piece = records_of(client.fetch(at, partition_max_bytes=step).records)
            piece = [one for one in piece if one[0] >= at]
            assert piece
            got += piece
            at = got[-1][0] + 1
        assert got == expected
    for at in range(0, len(expected), 37):
        piece = records_of(client.fetch(at, partition_max_bytes=1).records)
        assert piece[0][0] <= at <= piece[-1][0]
        assert piece == expected[piece[0][0] : piece[-1][0] + 1]


def test_many_batches_of_one_cycle_over_many_segments(rig):
    rig.topic(segment_bytes=1_000)
    client = rig.connect()
    client.raw(
        b"".join(client.frame(PRODUCE, 9, produce_request({"t": {0: batch(value=b"%d" % i)}})) for i in range(300))
    )
    answers = client.take()
    assert [a.responses[0].partition_responses[0].base_offset for a in answers] == list(range(300))
    got, at = [], 0
    while at < 300:
        got += records_of(client.fetch(at).records)
        at = len(got)
    assert got == [(i, b"%d" % i) for i in range(300)]


def test_a_batch_larger_than_a_segment(rig):
    rig.topic(segment_bytes=1_000)
    client = rig.connect()
    for i in range(6):
        assert client.produce(batch(value=bytes(5_000))).base_offset == i
    assert rig.done("segments", rig.handle())[0] >= 6
    assert [client.fetch(i).error_code for i in range(6)] == [0] * 6


def test_rolling_by_command(rig):
    rig.topic()
    client = rig.connect()
    assert rig.done("roll", rig.handle())[0] == 0
    assert rig.events(4) == []
    client.produce(batch())
    assert rig.done("roll", rig.handle())[0] == 0
    assert [event[4] for event in rig.events(4)] == [1]
    client.produce(batch())
    assert [r for at in (0, 1) for r in records_of(client.fetch(at).records)] == [(0, b"value"), (1, b"value")]


def test_the_log_start_moves(rig):
    rig.topic(segment_bytes=500)
    client = rig.connect()
    for _ in range(40):
        client.produce(batch())
    before = rig.done("segments", rig.handle())[0]
    assert rig.done("move_log_start", rig.handle(), 25)[0] == 25
    detached = rig.events(5)
    gone = [int.from_bytes(event[3][i : i + 8], "little") for event in detached for i in range(0, len(event[3]), 8)]
    assert gone
    assert len(gone) == before - rig.done("segments", rig.handle())[0]
    assert all(base < 25 for base in gone)
    assert client.fetch(24).error_code == 1
    got = client.fetch(25)
    assert (got.error_code, got.log_start_offset) == (0, 25)
    assert records_of(got.records)[-1][0] >= 25
    assert rig.done("move_log_start", rig.handle(), 10)[0] == 25
    assert rig.done("move_log_start", rig.handle(), 41)[0] == -1
    assert rig.done("move_log_start", rig.handle(), 40)[0] == 40
    assert client.fetch(40).error_code == 0
    assert client.produce(batch()).base_offset == 40


def test_hundreds_of_segments_detached_at_once(rig):
    rig.topic(segment_bytes=100)
    client = rig.connect()
    client.raw(b"".join(client.frame(PRODUCE, 9, produce_request({"t": {0: batch()}})) for _ in range(300)))
    client.take()
    assert rig.done("move_log_start", rig.handle(), 300)[0] == 300
    gone = [int.from_bytes(e[3][i : i + 8], "little") for e in rig.events(5) for i in range(0, len(e[3]), 8)]
    assert gone == sorted(set(gone))
    assert len(gone) >= 299


def test_where_a_timestamp_is(rig):
    import struct

    rig.topic(segment_bytes=2_000, index_interval_bytes=100)
    client = rig.connect()
    for i in range(60):
        client.produce(batch(timestamp=1000 * (i + 1)))
    for wanted in (0, 1_000, 30_500, 60_000):
        found, data = rig.done("locate_timestamp", rig.handle(), wanted)
        assert found == 1
        base, position, length = struct.unpack("3q", data)
        raw = (rig.directory / "t-0" / f"{base:020}.log").read_bytes()[position : position + length]
        from pyralog.records.batch import iterate_batches

        first = next(h for h, _ in iterate_batches(raw) if h.max_timestamp >= wanted)
        assert first.base_offset == max(-(-wanted // 1000) - 1, 0)
    assert rig.done("locate_timestamp", rig.handle(), 60_001) == (0, b"")
