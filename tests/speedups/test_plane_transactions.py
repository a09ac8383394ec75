"""Transactions in the plane: verification, markers, the last stable offset, read_committed, and after a restart."""

from __future__ import annotations

import random
import struct

import pytest
from crc32c import crc32c

from pyralog._speedups.batch import marker, parse
from pyralog._speedups.faultfiles import FaultFiles
from pyralog._speedups.producer_table import Producers
from pyralog.records.batch import iterate_batches, iterate_records
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import close_partition, open_partition
from pyralog.storage.recovery_report import RecoveryReport
from tests.speedups.plane_kit import FETCH, PRODUCE, Rig, batch, fetch_request, patched, produce_request, records_of

TRANSACTION = 3  # why it is forwarded
OK, OUT_OF_ORDER, OLD_EPOCH, WRONG_STATE, NO_RIGHT, FENCED = 0, 45, 47, 48, 53, 52
COMMITTED = 1


def transactional(pid: int = 1, epoch: int = 0, sequence: int = 0, n: int = 1, **how: object) -> bytes:
    return batch(n, producer_id=pid, epoch=epoch, sequence=sequence, transactional=True, **how)


class Node:
    """A rig that plays the coordinator: transactional batches are verified and handed back."""

    def __init__(self, rig: Rig, **topic: object) -> None:
        self.rig = rig
        rig.topic(**topic)
        self.client = rig.connect()

    def verify(self, pid: int = 1, epoch: int = 0, partition: int = 0, principal: int = 0) -> None:
        self.rig.engine.verify_transaction(self.rig.handle("t", partition), pid, epoch, principal)

    def write(self, data: bytes, *, verified: bool = True, **how: object):
        """The answer to a batch in a transaction, and whether the coordinator was asked."""
        how.setdefault("transactional_id", "x")
        answer = self.client.produce(data, **how)
        asked = self.rig.forwarded()
        if answer is None:
            (one,) = asked
            assert one.reason == TRANSACTION
            info = parse(data)
            if verified:
                self.verify(info["producer_id"], info["producer_epoch"], how.get("partition", 0))
            self.rig.engine.resubmit(one.token, one.frame)
            self.rig.turn()
            (message,) = self.client.take()
            answer = message.responses[0].partition_responses[0]
        return answer, bool(asked)

    def error(self, data: bytes, **how: object) -> int:
        return self.write(data, **how)[0].error_code

    def end(
        self, pid: int = 1, epoch: int = 0, *, commit: bool = True, coordinator: int = 0, at: int = 1_000, p: int = 0
    ):
        """(error, offset of the marker)."""
        result = self.rig.done("write_marker", self.rig.handle("t", p), pid, epoch, coordinator, commit, at)[0]
        return (0, result) if result >= 0 else (-result, -1)

    @property
    def stable(self) -> int:
        return self.rig.handle().snapshot()[3]

    def producers(self) -> dict[int, tuple[int, ...]]:
        _, data = self.rig.done("producers", self.rig.handle())
        return {pid: tuple(rest) for pid, *rest in struct.iter_unpack("6q", data)}

    def aborted(self, start: int = 0, end: int = 1 << 40) -> list[tuple[int, ...]]:
        _, data = self.rig.done("aborted", self.rig.handle(), start, end)
        return list(struct.iter_unpack("4q", data))

    def read(self, offset: int = 0, **how: object):
        return self.client.fetch(offset, isolation_level=COMMITTED, **how)


@pytest.fixture
def node(rig):
    return Node(rig)


# --- markers ---


@pytest.mark.parametrize(("commit", "crc"), [(True, "dca142ef"), (False, "289f94a7")])
def test_a_marker_is_kafkas_byte_for_byte(commit, crc):
    """As MemoryRecords.withEndTransactionMarker of kafka-clients 4.4.0 writes it."""
    expected = (
        f"0000000000000000 00000042 00000000 02 {crc} 0030 00000000 00000000000004d2 00000000000004d2"
        f"0000000000000005 0002 ffffffff 00000001 20 00 00 00 08 0000 {int(commit):04x} 0c 0000 00000009 00"
    )
    assert marker(5, 2, 9, commit, 1234) == bytes.fromhex(expected)


def test_a_marker_ends_the_transaction_and_what_it_held_back_is_stable(node):
    assert node.error(transactional(n=3)) == OK
    assert (node.rig.end(), node.stable) == (3, 0)
    assert node.producers() == {1: (0, 2, 1_002, -1, 0)}
    assert node.end(commit=True, coordinator=4, at=77) == (0, 3)
    assert (node.rig.end(), node.stable) == (4, 4)
    assert node.producers() == {1: (0, 2, 77, 4, -1)}
    ((_, _), (header, raw)) = iterate_batches(node.read().records)
    assert raw == patched(marker(1, 0, 4, True, 77), 0, ">q", 3)
    assert header.base_offset == 3
    assert node.aborted() == []


def test_a_marker_without_a_transaction_is_written_too(node):
    assert node.end(9, 3, commit=False) == (0, 0)
    assert node.aborted() == []
    assert node.producers() == {9: (3, -1, 1_000, 0, -1)}
    assert node.end(9, 3, commit=False) == (0, 1)


def test_markers_of_old_epochs_and_old_coordinators_are_refused(node):
    assert node.end(1, 5, coordinator=7) == (0, 0)
    assert node.end(1, 4, coordinator=8) == (OLD_EPOCH, -1)
    assert node.end(1, 5, coordinator=6) == (FENCED, -1)
    assert node.end(1, 6, coordinator=7) == (0, 1)
    assert node.rig.end() == 2


def test_after_a_marker_with_a_higher_epoch_the_producer_begins_anew(node):
    assert node.error(transactional(epoch=3, sequence=0, n=2), version=12) == OK
    assert node.end(epoch=4) == (0, 2)
    assert node.error(transactional(epoch=3, sequence=2), version=12) == OLD_EPOCH
    assert node.error(transactional(epoch=4, sequence=2), version=12) == OUT_OF_ORDER
    assert node.error(transactional(epoch=4, sequence=0), version=12) == OK
    assert node.stable == 3


def test_after_a_marker_of_the_same_epoch_the_sequence_goes_on(node):
    assert node.error(transactional(n=2)) == OK
    node.end()
    assert node.error(transactional(sequence=0), version=11) == OUT_OF_ORDER
    assert node.error(transactional(sequence=2), version=11) == OK


def test_a_marker_takes_the_time_of_the_append_where_the_topic_asks_for_it(rig):
    node = Node(rig, append_time=True)
    node.end(at=5)
    ((header, _),) = iterate_batches(node.read().records)
    assert header.max_timestamp > 1_600_000_000_000


# --- what may be written ---


def test_the_first_batch_of_a_transaction_is_verified_the_rest_is_not(node):
    answer, asked = node.write(transactional())
    assert (answer.error_code, answer.base_offset, asked) == (OK, 0, True)
    answer, asked = node.write(transactional(sequence=1))
    assert (answer.error_code, answer.base_offset, asked) == (OK, 1, False)
    node.end()
    assert node.write(transactional(sequence=2))[1]


def test_what_is_not_verified_is_refused(node):
    assert node.error(transactional(), verified=False) == WRONG_STATE
    assert node.rig.end() == 0
    node.verify(epoch=1)
    assert node.error(transactional(), verified=False) == WRONG_STATE
    node.verify(pid=2)
    assert node.error(transactional(), verified=False) == WRONG_STATE


def test_a_later_batch_does_not_overtake_one_that_was_not_verified(node):
    """KAFKA-14920: the first is sent again, and would never be in order behind the second."""
    assert node.error(transactional(sequence=3), verified=False) == WRONG_STATE
    assert node.error(transactional(sequence=4)) == OUT_OF_ORDER
    assert node.error(transactional(sequence=2)) == OK, "a lower one may come"
    assert node.error(transactional(sequence=4)) == OUT_OF_ORDER
    assert node.error(transactional(sequence=3)) == OK
    assert node.error(transactional(sequence=4)) == OK


def test_a_newer_epoch_forgets_what_was_not_verified(node):
    assert node.error(transactional(epoch=1, sequence=3), verified=False) == WRONG_STATE
    assert node.error(transactional(epoch=2, sequence=5), verified=False) == WRONG_STATE
    assert node.error(transactional(epoch=2, sequence=6)) == OUT_OF_ORDER
    assert node.error(transactional(epoch=3, sequence=0)) == OK


def test_a_transaction_that_begins_before_the_marker_of_the_last_one_keeps_its_order(node):
    """With the second version the marker has the epoch of the next one."""
    assert node.error(transactional(pid=2, epoch=1, sequence=0), version=12) == OK
    assert node.end(2, 2)[0] == OK
    assert node.error(transactional(pid=2, epoch=2, sequence=0), verified=False, version=12) == WRONG_STATE
    assert node.end(2, 2)[0] == OK
    assert node.error(transactional(pid=2, epoch=2, sequence=1), version=12) == OUT_OF_ORDER
    assert node.error(transactional(pid=2, epoch=2, sequence=0), version=12) == OK


def test_every_partition_of_a_request_is_noted(rig):
    node = Node(rig, partitions=2)
    data = {0: transactional(sequence=3), 1: transactional(sequence=5)}
    node.client.send(PRODUCE, 9, produce_request({"t": data}, transactional_id="x"))
    (one,) = rig.forwarded()
    rig.engine.resubmit(one.token, one.frame)
    rig.turn()
    node.client.take()
    assert node.error(transactional(sequence=6), partition=1) == OUT_OF_ORDER
    assert node.error(transactional(sequence=5), partition=1) == OK


def test_attempts_expire_with_producers(node):
    assert node.error(transactional(sequence=3), verified=False) == WRONG_STATE
    node.rig.done("expire_producers", node.rig.handle(), 1 << 60)
    assert node.error(transactional(sequence=4)) == OK


def test_a_marker_takes_the_verification_back(node):
    node.verify()
    node.end()
    assert node.error(transactional(), verified=False) == WRONG_STATE


def test_a_verification_is_of_one_partition(rig):
    node = Node(rig, partitions=2)
    node.verify(partition=1)
    assert node.error(transactional(), verified=False) == WRONG_STATE
    node.rig.turn()
    assert node.error(transactional(), partition=1, verified=False) == OK


def test_a_verification_is_of_one_principal_and_goes_with_the_permits(rig):
    node = Node(rig)
    assert node.error(transactional()) == OK
    rig.permit(principal=3)
    other = rig.connect(3)
    other.send(PRODUCE, 9, produce_request({"t": {0: transactional(sequence=1)}}, transactional_id="x"))
    (asked,) = rig.forwarded()
    assert asked.reason == TRANSACTION
    rig.engine.resubmit(asked.token, asked.frame)
    rig.turn()
    (answer,) = other.take()
    assert answer.responses[0].partition_responses[0].error_code == WRONG_STATE
    rig.engine.revoke_permits()
    rig.permit()
    rig.turn()
    answer, asked = node.write(transactional(sequence=1))
    assert (answer.error_code, asked) == (OK, True)
    assert node.error(transactional(sequence=2)) == OK


def test_without_a_transactional_id_nothing_of_the_request_is_taken(rig):
    node = Node(rig, partitions=2)
    message = produce_request({"t": {0: batch(), 1: transactional()}})
    answer = node.client.ask(PRODUCE, 9, message)
    assert [p.error_code for p in answer.responses[0].partition_responses] == [NO_RIGHT, NO_RIGHT]
    assert rig.end() == 0


def test_only_what_has_to_be_asked_about_is_forwarded(rig):
    node = Node(rig, partitions=2)
    assert node.error(transactional()) == OK
    assert node.client.produce(batch(), transactional_id="x").error_code == OK
    assert node.client.produce(transactional(sequence=0), transactional_id="x").base_offset == 0  # a duplicate
    assert node.client.produce(transactional(sequence=9), transactional_id="x").error_code == OUT_OF_ORDER
    assert rig.forwarded() == []


def test_a_plain_batch_of_a_producer_with_a_transaction_is_refused(node):
    assert node.error(transactional()) == OK
    assert node.client.error_of(batch(producer_id=1, epoch=0, sequence=1)) == WRONG_STATE
    assert node.client.error_of(batch(producer_id=1, epoch=1, sequence=0)) == WRONG_STATE
    node.end()
    assert node.client.error_of(batch(producer_id=1, epoch=0, sequence=1)) == OK


@pytest.mark.parametrize("version", [11, 12, 13])
def test_a_producer_unknown_here_begins_at_zero_once_epochs_rise_with_transactions(node, version):
    assert node.error(transactional(sequence=7), version=version) == (OK if version < 12 else OUT_OF_ORDER)


def test_a_newer_epoch_begins_a_transaction_of_its_own(node):
    assert node.error(transactional(n=2)) == OK
    answer, asked = node.write(transactional(epoch=1, sequence=3))
    assert (answer.error_code, asked) == (OUT_OF_ORDER, True)
    assert node.error(transactional(epoch=1, sequence=0)) == OK
    assert node.error(transactional(epoch=0, sequence=2)) == OLD_EPOCH
    assert node.stable == 0


def test_batches_follow_the_first_of_a_newer_epoch_whose_transaction_was_open(node):
    """The first was noted while the coordinator was asked; once it is there nothing overtakes it."""
    assert node.error(transactional(n=2)) == OK
    assert node.error(transactional(epoch=1, sequence=0)) == OK
    assert node.error(transactional(epoch=1, sequence=1)) == OK


def test_a_request_of_several_partitions_is_forwarded_once(rig):
    node = Node(rig, partitions=3)
    node.client.send(PRODUCE, 13, produce_request({"t": {p: transactional() for p in range(3)}}, -1, rig.ids, "x"))
    (asked,) = rig.forwarded()
    node.verify(partition=0)
    node.verify(partition=2)
    rig.engine.resubmit(asked.token, asked.frame)
    rig.turn()
    (answer,) = node.client.take()
    assert [p.error_code for p in answer.responses[0].partition_responses] == [OK, WRONG_STATE, OK]


def test_a_topic_without_permit_comes_first(rig):
    node = Node(rig, permit=None)
    node.client.send(PRODUCE, 9, produce_request({"t": {0: transactional()}}, transactional_id="x"))
    assert [one.reason for one in rig.forwarded()] == [1]


def test_an_unknown_topic_id_is_told(node):
    message = produce_request({"t": {0: batch()}}, -1, {"t": bytes(15) + b"\x63"})
    node.client.send(PRODUCE, 13, message)
    (asked,) = node.rig.forwarded()
    node.rig.engine.resubmit(asked.token, asked.frame)
    node.rig.turn()
    (answer,) = node.client.take()
    assert answer.responses[0].partition_responses[0].error_code == 100


def test_attempts_do_not_pile_up(rig):
    node = Node(rig)
    for pid in range(16_400):
        node.verify(pid)
    rig.turn()
    assert node.error(transactional(0), verified=False) == WRONG_STATE
    assert node.error(transactional(16_399), verified=False) == OK


# --- appends of Python ---


def test_offsets_of_a_transaction_open_it_without_a_sequence(node):
    rig = node.rig
    committed = transactional(7, 2, sequence=-1, n=2)
    assert rig.done("append", rig.handle(), committed)[0] == 0
    assert rig.done("append", rig.handle(), committed)[0] == 2
    assert (rig.end(), node.stable) == (4, 0)
    assert node.producers() == {7: (2, -1, 1_001, -1, 0)}
    assert rig.done("append", rig.handle(), transactional(7, 1, sequence=-1))[0] == -OLD_EPOCH
    assert node.end(7, 3, commit=False) == (0, 4)
    assert node.aborted() == [(7, 0, 4, 5)]
    assert rig.done("append", rig.handle(), transactional(7, 2, sequence=-1))[0] == -OLD_EPOCH


# --- what is stable ---


def test_the_last_stable_offset_is_the_first_of_the_open_transactions(node):
    for pid in (1, 2, 3):
        assert node.error(transactional(pid)) == OK
    assert node.stable == 0
    node.end(2)
    assert node.stable == 0
    node.end(1)
    assert node.stable == 2
    node.client.produce(batch())
    node.end(3)
    assert node.stable == node.rig.end() == 7


def test_read_committed_ends_at_the_last_stable_offset(node):
    node.client.produce(batch(value=b"plain"))
    node.error(transactional(value=b"open"))
    node.client.produce(batch(value=b"behind"))
    got = node.read()
    assert [value for _, value in records_of(got.records)] == [b"plain"]
    assert (got.high_watermark, got.last_stable_offset, got.aborted_transactions) == (3, 1, [])
    assert node.read(1).records in (b"", None)
    assert node.read(3).error_code == 0
    assert node.read(4).error_code == 1
    everything = node.client.fetch(0)
    assert [value for _, value in records_of(everything.records)] == [b"plain", b"open", b"behind"]
    assert (everything.last_stable_offset, everything.aborted_transactions) == (1, None)


@pytest.mark.parametrize("version", [4, 11, 12, 16, 18])
def test_aborted_transactions_of_what_is_read_are_told_by_first_offset(node, version):
    node.error(transactional(1))  # 0
    node.error(transactional(2))  # 1
    node.client.produce(batch())  # 2
    node.end(2, commit=False)  # 3
    node.end(1, commit=False)  # 4
    node.error(transactional(3))  # 5
    node.end(3, commit=True)  # 6
    node.error(transactional(4))  # 7
    node.end(4, commit=False)  # 8
    assert node.aborted() == [(1, 0, 4, 5), (2, 1, 3, 0), (4, 7, 8, 9)]

    def told(offset, **how):
        answer = node.read(offset, version=version, **how)
        return [(one.producer_id, one.first_offset) for one in answer.aborted_transactions]

    assert told(0) == [(1, 0), (2, 1), (4, 7)]
    assert told(4) == [(1, 0), (4, 7)]
    assert told(5) == [(4, 7)]
    assert told(0, partition_max_bytes=1) == [(1, 0)]
    assert told(2, partition_max_bytes=1) == [(1, 0), (2, 1)]
    assert told(9) == []
    assert node.client.fetch(0, version=version).aborted_transactions is None


def test_a_large_committed_read_goes_by_sendfile_all_the_same(node):
    for pid in range(40):
        node.error(transactional(pid, value=bytes(9_000)))
        node.end(pid, commit=pid % 2 == 0)
    node.error(transactional(99, value=bytes(9_000)))
    got = node.read()
    assert len(got.records) > 300_000
    assert records_of(got.records)[-1][0] == 79
    assert [one.producer_id for one in got.aborted_transactions] == list(range(1, 40, 2))


def test_a_committed_long_poll_wakes_when_the_transaction_ends(node):
    rig = node.rig
    node.error(transactional())
    reader = rig.connect()
    eager = rig.connect()
    how = {"max_wait_ms": 1_000_000, "min_bytes": 1}
    reader.send(FETCH, 11, fetch_request({"t": {0: 0}}, isolation_level=COMMITTED, **how))
    eager.send(FETCH, 11, fetch_request({"t": {0: 1}}, **how))
    assert reader.take() == eager.take() == []
    node.client.produce(batch())
    assert reader.take() == []
    assert len(eager.take()) == 1
    node.end(commit=False)
    (answer,) = reader.take()
    (partition,) = answer.responses[0].partitions
    assert [at for at, _ in records_of(partition.records)][:2] == [0, 1]
    assert [(one.producer_id, one.first_offset) for one in partition.aborted_transactions] == [(1, 0)]


def test_min_bytes_of_a_committed_poll_counts_what_is_stable(node):
    node.error(transactional(1, value=bytes(400)))
    reader = node.rig.connect()
    message = fetch_request({"t": {0: 0}}, isolation_level=COMMITTED, max_wait_ms=1_000_000, min_bytes=600)
    reader.send(FETCH, 11, message)
    node.error(transactional(2, value=bytes(2_000)))
    node.end(1)
    assert reader.take() == []  # 400 and a little are stable, the rest is behind the second transaction
    node.end(2)
    assert len(reader.take()) == 1


def test_many_transactions_at_once(node):
    rng = random.Random(4)
    open_ = []
    for pid in range(500):
        node.error(transactional(pid))
        open_.append(pid)
    while open_:
        pid = open_.pop(rng.randrange(len(open_)))
        node.end(pid, commit=rng.random() < 0.5)
        assert node.stable == (min(open_) if open_ else node.rig.end())
    firsts = [first for _, first, _, _ in node.aborted()]
    assert firsts == sorted(firsts)


def test_producers_with_an_open_transaction_do_not_expire(node):
    node.error(transactional(1))
    node.client.produce(batch(producer_id=2, epoch=0, sequence=0))
    assert node.rig.done("expire_producers", node.rig.handle(), 1 << 60)[0] == 1
    assert list(node.producers()) == [1]
    node.end()
    assert node.rig.done("expire_producers", node.rig.handle(), 1 << 60)[0] == 1


def test_the_log_start_may_pass_an_open_transaction(node):
    node.error(transactional(1, n=4))
    node.client.produce(batch())
    assert node.rig.done("move_log_start", node.rig.handle(), 4)[0] == 4
    assert node.stable == 4


# --- restarts ---


def reopened(node: Node, *, clean: bool, recovery_point: int = 0, report=None, settings=None) -> Node:
    """The partition taken out of the plane, and in again after recovery."""
    rig = node.rig
    settings = settings or {}
    log = rig.remove()
    if clean:
        close_partition(log)
    del log
    config = LogConfig(**{key: value for key, value in settings.items() if key in LogConfig.__dataclass_fields__})
    opened = open_partition(
        rig.directory / "t-0", config=config, clean=clean, recovery_point=recovery_point, now_ms=1, report=report
    )
    rig.partition("t", 0, opened=opened, **settings)
    rig.permit()
    rig.turn()
    return node


SMALL = {"segment_bytes": 500, "index_interval_bytes": 100}


def history(node: Node, seed: int, steps: int = 60) -> None:
    """Transactions of five producers, some plain batches and offsets."""
    rng = random.Random(seed)
    state = {pid: [0, 0, False] for pid in range(5)}  # epoch, sequence, open
    for step in range(steps):
        pid = rng.randrange(5)
        epoch, sequence, is_open = state[pid]
        if is_open and rng.random() < 0.4:
            bump = rng.randrange(2)
            node.end(pid, epoch + bump, commit=rng.random() < 0.5, coordinator=step)
            state[pid] = [epoch + bump, 0 if bump else sequence, False]
        elif rng.random() < 0.2:
            node.client.produce(batch(value=bytes(rng.randrange(80))))
        else:
            n = rng.randint(1, 3)
            assert node.error(transactional(pid, epoch, sequence, n, value=bytes(rng.randrange(80)))) == OK
            state[pid] = [epoch, sequence + n, True]


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_a_restart_changes_nothing(rig, seed, clean):
    node = Node(rig, **SMALL)
    history(node, seed)
    before = (node.stable, node.producers(), node.aborted(), rig.end())
    point = rig.handle().snapshot()[4] // 2 if seed % 2 and not clean else 0
    reopened(node, clean=clean, settings=SMALL, recovery_point=point)
    assert (node.stable, node.producers(), node.aborted(), rig.end()) == before
    open_ = [(pid, epoch, last + 1) for pid, (epoch, last, _, _, first) in node.producers().items() if first >= 0]
    for pid, epoch, sequence in open_:
        answer, asked = node.write(transactional(pid, epoch, sequence))
        assert (answer.error_code, asked) == (OK, True)  # who may go on is asked anew
        node.end(pid, epoch, commit=False, coordinator=1_000)
    assert node.stable == rig.end()


@pytest.mark.parametrize("segment_bytes", [500, 1 << 20])
@pytest.mark.parametrize("clean", [True, False])
def test_min_bytes_of_a_committed_poll_counts_what_was_there_before_a_restart(rig, clean, segment_bytes):
    """A transaction that was open at the restart holds back bytes of before it; all become stable with its marker."""
    node = Node(rig, segment_bytes=segment_bytes)
    node.client.produce(batch(1, value=b"s" * 100))
    size = 0
    for i in range(4):
        data = transactional(1, 0, i, value=b"x" * 200)
        size += len(data)
        assert node.error(data) == OK
    node = reopened(node, clean=clean, settings={"segment_bytes": segment_bytes})
    assert node.stable == 1
    later = transactional(2, 0, 0, value=b"y" * 200)
    assert node.error(later) == OK
    plain = len(batch(1, value=b"s" * 100))

    def poll(min_bytes: int, offset: int = 0):
        client = node.rig.connect()
        request = {"isolation_level": COMMITTED, "max_wait_ms": 1_000_000, "min_bytes": min_bytes}
        client.send(FETCH, 12, fetch_request({"t": {0: offset}}, **request))
        assert client.take() == []
        return client

    enough, too_much = poll(plain + size), poll(plain + size + 1)
    assert node.end(1) == (0, 6)
    assert node.stable == 5, "where the later transaction begins"
    assert len(enough.take()) == 1
    assert too_much.take() == []
    assert node.end(2) == (0, 7)
    assert len(too_much.take()) == 1


@pytest.mark.parametrize("settings", [SMALL, {**SMALL, "segment_bytes": 1 << 20}], ids=["segments", "one segment"])
@pytest.mark.parametrize("harm", ["torn", "garbage", "gone after a crash"])
def test_a_damaged_index_of_aborted_transactions_is_found_again(rig, harm, settings):
    node = Node(rig, **settings)
    history(node, 5)
    before = node.aborted()
    files = sorted((rig.directory / "t-0").glob("*.txnindex"))
    assert (len(files) == 1) == (settings is not SMALL)
    log = rig.remove()
    close_partition(log)
    del log
    for path in files:
        data = path.read_bytes()
        if harm == "torn":
            path.write_bytes(data[:-3])
        elif harm == "garbage":
            path.write_bytes(b"\1" * len(data))
        else:
            path.unlink()
    report = RecoveryReport()
    clean = harm != "gone after a crash"
    opened = open_partition(rig.directory / "t-0", config=LogConfig(**settings), clean=clean, now_ms=1, report=report)
    assert opened.aborted(0, 1 << 40) == before
    if clean:
        assert [name for name in report.rebuilt if name.endswith(".txnindex")] == [path.name for path in files]
    rig.partition("t", 0, opened=opened, **settings)
    again = {path.name: path.read_bytes() for path in sorted((rig.directory / "t-0").glob("*.txnindex"))}
    assert sum(map(len, again.values())) == 34 * len(before)


def test_what_recovery_finds_aborted_is_on_disk_before_anybody_relies_on_it(tmp_path):
    """A recovery builds the index of the last segment anew, for records that are synced too."""
    files = FaultFiles(forgetful=True)
    rig = Rig(tmp_path, files, inline_sync=True, sync_on_write=True)
    history(Node(rig), 5)
    _, data = rig.done("aborted", rig.handle(), 0, 1 << 40)
    end = rig.end()
    rig.close()
    opened = open_partition(tmp_path / "t-0", config=LogConfig(), files=files, now_ms=1, recovery_point=end)
    assert [path for path in files.unsynced() if path.endswith(".txnindex")] == []
    assert opened.log_end == end
    assert opened.aborted(0, 1 << 40) == sorted(struct.iter_unpack("4q", data), key=lambda one: one[1])


def test_a_truncated_log_forgets_what_was_aborted_behind_its_end(rig):
    node = Node(rig, **SMALL)
    history(node, 5)
    before = node.aborted()
    log = rig.remove()
    for end in range(log.log_end, -1, -3):
        log.truncate(end)
        assert log.aborted(0, 1 << 40) == [one for one in before if one[2] < log.log_end]
    rig.partition("t", 0, opened=log, **SMALL)


def test_a_transaction_whose_marker_has_been_deleted_does_not_stay_open(rig):
    """The newest snapshot says that it is open, and the records between that and the log start are gone."""
    node = Node(rig, **SMALL)
    assert node.error(transactional(value=bytes(600))) == OK
    assert node.end() == (0, 1)
    node.client.produce(batch())
    assert rig.done("roll", rig.handle())[0] == 0
    (rig.directory / "t-0" / f"{3:020}.snapshot").unlink()  # not written where other batches waited at the roll
    rig.done("move_log_start", rig.handle(), 3)
    for path in (rig.directory / "t-0").glob("*.*"):
        if int(path.stem) < 3 and path.suffix != ".snapshot":
            path.unlink()
    assert (rig.directory / "t-0" / f"{1:020}.snapshot").exists()
    node.client.produce(batch())
    reopened(node, clean=False, settings=SMALL)
    assert node.stable == rig.end() == 4


def test_segments_that_leave_take_their_index_along(rig):
    node = Node(rig, **SMALL)
    history(node, 5)
    before = node.aborted()
    target = before[len(before) // 2][2]
    rig.done("move_log_start", rig.handle(), target)
    bases = [struct.unpack_from("<q", event[3])[0] for event in rig.events(5)]
    assert bases
    left = node.aborted()
    assert left == [one for one in before if one in left]
    assert all(one in left for one in before if one[2] >= target)
    reopened(node, clean=True, settings=SMALL)
    assert [one for one in node.aborted() if one[2] >= target] == [one for one in before if one[2] >= target]


def test_snapshots_of_the_first_version_are_read(rig):
    entry = struct.pack(">qqqihBB", 7, 500, 600, 11, 3, 1, 0) + struct.pack(">iiqqq", 10, 11, 4, 5, 500)
    body = struct.pack(">hhiq", 1, 0, 1, 6) + entry
    table = Producers()
    assert table.load(struct.pack(">II", 0x50595053, crc32c(body)) + body) == 6
    assert table.states() == [(7, 3, 11, 500)]
    assert table.transactions() == [(7, -1, -1)]
    assert table.check(7, 3, 10, 11) == (-1, 4, 500)
    other = Producers()
    assert other.load(table.dump(6)) == 6
    assert other.transactions() == table.transactions()


def test_control_records_are_read_as_such(node):
    node.error(transactional())
    node.end(commit=False, coordinator=3)
    raw = next(raw for header, raw in iterate_batches(node.read().records) if header.base_offset == 1)
    ((key, value),) = [(record.key, record.value) for record in iterate_records(raw)]
    assert (key, value) == (struct.pack(">hh", 0, 0), struct.pack(">hi", 0, 3))
