"""A shard at work: replies wait for the log, in order; what fails, fails as a whole."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyralog._speedups.journal import BATCH_BYTES, MAX_IN_FLIGHT
from pyralog.coordinator.active import MAX_OUTCOME_BYTES, ActiveShard
from pyralog.coordinator.outcome import Transaction
from pyralog.coordinator.waiting import Load
from pyralog.errors import ErrorCode, KafkaError
from pyralog.records.batch import parse_header
from pyralog.runtime import Pending
from tests.unit.coordinator.fakes import TP, Add, Counter, Fire, Fired, HeldPlane, Look, Park, Wake, Wrong

PRODUCER = Transaction(7, 1)


class Bench:
    def __init__(self, held: bool = True, load: Load | None = None, read_only: bool = False) -> None:
        self.plane = HeldPlane(held)
        self.machine = Counter()
        self.now_ms = 1000
        self.failures: list[BaseException] = []
        self.load = load or Load()
        self.shard = ActiveShard(
            TP,
            self.machine,
            0,
            self.plane,
            lambda: self.now_ms,
            self.load,
            lambda _, why: self.failures.append(why),
            read_only=read_only,
        )

    async def turns(self, n: int = 5) -> None:
        for _ in range(n):
            await asyncio.sleep(0)


def value_of(pending: Pending[Any]) -> Any:
    found: list[Any] = []
    pending.then(found.append)
    return found[0] if found else "waits"


async def test_replies_wait_for_the_log_and_state_does_not() -> None:
    bench = Bench()
    added = bench.shard.submit(Add(2))
    assert bench.machine.count == 2
    looked = bench.shard.submit(Look())
    await bench.turns()
    assert (value_of(added), value_of(looked)) == ("waits", "waits")
    assert [record.offset for record in bench.plane.records()] == [0, 1]
    bench.plane.release()
    await bench.turns()
    assert (value_of(added), value_of(looked)) == (2, 2)
    assert bench.shard.submit(Look()).done  # nothing is on its way


async def test_outcomes_of_one_turn_share_a_batch() -> None:
    bench = Bench()
    for _ in range(10):
        bench.shard.submit(Add(3))
    await bench.turns()
    assert [parse_header(batch).record_count for batch in bench.plane.batches] == [30]
    assert bench.machine.offsets == list(range(30))


async def test_batches_end_at_their_limit_and_an_outcome_is_never_split() -> None:
    bench = Bench(held=False)
    answers = [bench.shard.submit(Add(n=4, size=30_000)) for _ in range(40)]
    await bench.turns(50)
    counts = [parse_header(batch).record_count for batch in bench.plane.batches]
    assert sum(counts) == 160
    assert all(count % 4 == 0 for count in counts)
    assert all(len(batch) <= BATCH_BYTES for batch in bench.plane.batches)
    assert [value_of(answer) for answer in answers] == list(range(4, 161, 4))


async def test_what_is_in_flight_is_bounded_and_the_next_batch_grows() -> None:
    bench = Bench()
    for _ in range(20):
        bench.shard.submit(Add())
        await bench.turns(2)
    assert len(bench.plane.waiting) == MAX_IN_FLIGHT
    bench.plane.release()
    await bench.turns()
    assert parse_header(bench.plane.batches[-1]).record_count == 20 - MAX_IN_FLIGHT


async def test_replies_leave_in_order_even_if_the_log_answers_out_of_order() -> None:
    bench = Bench()
    first = bench.shard.submit(Add())
    await bench.turns()
    second = bench.shard.submit(Add())
    await bench.turns()
    future, offset = bench.plane.waiting.pop(1)
    future.set_result((offset, b""))
    await bench.turns()
    assert value_of(second) == "waits"
    bench.plane.release()
    await bench.turns()
    assert (value_of(first), value_of(second)) == (1, 2)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.REQUEST_TIMED_OUT, ErrorCode.COORDINATOR_NOT_AVAILABLE),
    ],
)
async def test_a_failed_append_fails_everybody_and_the_shard(code: ErrorCode, told: ErrorCode) -> None:
    bench = Bench()
    waiting = [bench.shard.submit(one) for one in (Park(), Add(), Look(), Fire("k", 1100))]
    await bench.turns()
    waiting.append(bench.shard.submit(Add()))
    bench.plane.fail(code)
    await bench.turns()
    assert [value_of(one).code for one in waiting] == [told] * 5
    assert bench.shard.closed
    assert len(bench.failures) == 1
    assert (bench.load.waiting, bench.load.waiting_bytes) == (0, 0)
    await asyncio.sleep(0.12)
    assert bench.machine.fired == []


async def test_records_of_somebody_else_in_the_log_fail_the_shard() -> None:
    bench = Bench()
    bench.plane.end = 5
    added = bench.shard.submit(Add())
    await bench.turns()
    bench.plane.release()
    await bench.turns()
    assert isinstance(value_of(added), KafkaError)
    assert bench.failures


async def test_errors_of_a_request_are_its_own_and_wait_like_any_answer() -> None:
    bench = Bench()
    added = bench.shard.submit(Add())
    refused = bench.shard.submit(Wrong(KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)))
    broken = bench.shard.submit(Wrong(ZeroDivisionError("a fault of ours")))
    assert value_of(refused) == "waits"
    await bench.turns()
    bench.plane.release()
    await bench.turns()
    assert value_of(added) == 1
    assert value_of(refused).code is ErrorCode.UNKNOWN_MEMBER_ID
    assert value_of(broken).code is ErrorCode.UNKNOWN_SERVER_ERROR
    assert not bench.failures


async def test_a_log_that_takes_nothing_refuses_records_and_serves_the_rest() -> None:
    bench = Bench(read_only=True)
    refused = [
        bench.shard.submit(Add(refused="take it back")),
        bench.shard.submit(Add(transaction=PRODUCER)),
        bench.shard.write_marker(7, 1, 5, commit=True),
    ]
    assert [value_of(one).code for one in refused] == [ErrorCode.NOT_COORDINATOR] * 3
    assert bench.machine.fired == ["take it back"]
    assert value_of(bench.shard.submit(Look())) == 0
    await bench.turns()
    assert (bench.plane.batches, bench.plane.markers, bench.failures) == ([], [], [])
    assert (bench.load.waiting, bench.shard.closed) == (0, False)


async def test_a_record_that_cannot_be_applied_fails_the_shard() -> None:
    bench = Bench()
    bench.machine.break_replay = True
    added = bench.shard.submit(Add())
    assert isinstance(value_of(added), KafkaError)
    assert bench.failures


async def test_records_too_large_are_refused_to_their_request_alone() -> None:
    bench = Bench(held=False)
    huge = bench.shard.submit(Add(n=3000, size=MAX_OUTCOME_BYTES // 3000, refused="take it back"))
    small = bench.shard.submit(Add())
    await bench.turns()
    assert value_of(huge).code is ErrorCode.RECORD_LIST_TOO_LARGE
    assert value_of(small) == 1
    assert bench.machine.fired == ["take it back"]
    assert not bench.failures


async def test_transactional_records_are_alone_in_their_batch_and_count_with_the_marker() -> None:
    bench = Bench()
    bench.shard.submit(Add())
    bench.shard.submit(Add(n=2, transaction=PRODUCER))
    bench.shard.submit(Add())
    ended = bench.shard.write_marker(7, 1, 5, commit=True)
    looked = bench.shard.submit(Look())
    await bench.turns()
    headers = [parse_header(batch) for batch in bench.plane.batches]
    assert [(one.record_count, one.transactional, one.producer_id) for one in headers] == [
        (1, False, -1),
        (2, True, 7),
        (1, False, -1),
    ]
    assert bench.plane.markers == [(7, 1, 5, True)]
    assert value_of(ended) == "waits"
    bench.plane.release()
    await bench.turns()
    assert (value_of(ended), value_of(looked)) == (None, 4)
    assert bench.shard.next_offset == bench.plane.end == 5


async def test_an_aborted_transaction_does_not_count() -> None:
    bench = Bench(held=False)
    bench.shard.submit(Add(n=2, transaction=PRODUCER))
    await bench.shard.write_marker(7, 1, 5, commit=False)
    assert await bench.shard.submit(Look()) == 0


async def test_parked_requests_are_bounded() -> None:
    bench = Bench(load=Load(max_waiting=10, max_waiting_bytes=1000))
    parked = [bench.shard.submit(Park(), 100) for _ in range(9)]
    with pytest.raises(KafkaError) as refused:
        bench.shard.submit(Park(), 200)
    assert refused.value.code is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert (bench.load.waiting, bench.load.waiting_bytes, bench.load.refused) == (9, 900, 1)
    await bench.shard.submit(Wake(), 50)
    assert [value_of(one) for one in parked] == ["awake"] * 9
    assert (bench.load.waiting, bench.load.waiting_bytes) == (0, 0)


async def test_timers_fire_once_and_can_be_moved_and_taken_back() -> None:
    bench = Bench(held=False)
    for key, due_ms in (("a", 1005), ("b", 1005), ("c", 1005), ("c", 1010), ("b", None), ("a", 1002)):
        await bench.shard.submit(Fire(key, due_ms))
    async with asyncio.timeout(5):
        bench.now_ms = 1006
        while bench.machine.fired != [Fired("a")]:
            await asyncio.sleep(0.001)
        bench.now_ms = 1011
        while len(bench.machine.fired) < 2:
            await asyncio.sleep(0.001)
    assert bench.machine.fired == [Fired("a"), Fired("c")]


async def test_a_loop_that_stood_still_reads_before_timers_fire() -> None:
    """What came in while the loop was stopped, such as heartbeats, is seen before members are thought dead."""
    bench = Bench(held=False)
    await bench.shard.submit(Fire("member", 1002))
    bench.now_ms = 9000
    await asyncio.sleep(0.02)
    assert bench.machine.fired == []
    await bench.shard.submit(Fire("member", 20_000))
    await asyncio.sleep(0.1)
    assert bench.machine.fired == []
    bench.shard.close(KafkaError(ErrorCode.NOT_COORDINATOR))


@pytest.mark.parametrize("code", [ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.TRANSACTION_COORDINATOR_FENCED])
@pytest.mark.parametrize("marker", [True, False])
async def test_who_is_fenced_hears_so_and_others_look_again(code: ErrorCode, marker: bool) -> None:
    bench = Bench()
    cause: Pending[Any]
    if marker:
        cause = bench.shard.write_marker(7, 1, 5, commit=True)
    else:
        cause = bench.shard.submit(Add(transaction=PRODUCER))
    looked, added = bench.shard.submit(Look()), bench.shard.submit(Add())
    await bench.turns()
    bench.plane.fail(code)
    await bench.turns()
    assert [value_of(one).code for one in (cause, looked, added)] == [
        code,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ]
    assert len(bench.failures) == 1


@pytest.mark.parametrize("fails", [False, True])
async def test_records_that_wait_for_the_log_are_bounded(fails: bool) -> None:
    """What the log does not take fast enough is not kept without end: requests come again when there is room."""
    bench = Bench()
    outbox = bench.plane.outbox
    accepted = [bench.shard.submit(Add(n=300, size=30_000)) for _ in range(8)]
    with pytest.raises(KafkaError) as caught:
        bench.shard.submit(Add())
    assert caught.value.code is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert 64 << 20 < outbox.unwritten < 80 << 20
    assert (bench.load.refused, bench.load.waiting) == (1, 0)
    await bench.turns()
    if fails:
        bench.plane.fail(ErrorCode.KAFKA_STORAGE_ERROR)
        await bench.turns()
        assert len(bench.failures) == 1
    else:
        for _ in range(len(accepted)):
            bench.plane.release()
            await bench.turns()
        assert [value_of(one) for one in accepted] == [300 * n for n in range(1, len(accepted) + 1)]
        assert not bench.shard.submit(Add()).done
        await bench.turns()
        bench.plane.release()
        await bench.turns()
    assert outbox.unwritten == 0
