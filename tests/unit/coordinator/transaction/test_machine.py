"""The transaction machine, table by table."""

from __future__ import annotations

import pytest

from pyralog.coordinator.transaction.requests import (
    AddPartitions,
    DescribeTransaction,
    EndTransaction,
    InitProducerId,
    ListTransactions,
    MarkersWritten,
    VerifyPartitions,
)
from pyralog.coordinator.transaction.settings import TransactionSettings
from pyralog.coordinator.transaction.state import MAX_EPOCH, TRANSITIONS, Entry, ProducerIdentity, State
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.wire.coordinator_records import TRANSACTION_RECORDS, decode_key, decode_value
from tests.unit.coordinator.transaction.kit import T0, T1, Shard

E = ErrorCode


def test_a_new_id_gets_a_producer_id_and_epoch_0_and_each_start_a_higher_epoch() -> None:
    shard = Shard()
    first = shard.init()
    assert first == (1000, 0)
    assert shard.init() == (1000, 1)
    assert shard.entry().state is State.EMPTY
    assert shard.entry().timeout_ms == 60_000


@pytest.mark.parametrize(("timeout_ms", "code"), [(0, 50), (-1, 50), (900_001, 50), (900_000, 0), (1, 0)])
def test_timeouts_outside_the_limits_are_refused(timeout_ms: int, code: int) -> None:
    assert Shard().code(InitProducerId("x", timeout_ms, spare_id=5)) == code


@pytest.mark.parametrize(
    ("expected", "code", "told"),
    [
        (ProducerIdentity(1000, 1), E.NONE, (1000, 2)),  # goes on: a bump
        (ProducerIdentity(1000, 0), E.PRODUCER_FENCED, None),  # the epoch before the bump by another producer
        (ProducerIdentity(1000, 5), E.PRODUCER_FENCED, None),
        (ProducerIdentity(7, 1), E.PRODUCER_FENCED, None),
        (None, E.NONE, (1000, 2)),
    ],
)
def test_a_producer_that_names_its_identity(
    expected: ProducerIdentity | None, code: ErrorCode, told: tuple[int, int] | None
) -> None:
    shard = Shard()
    shard.init()
    shard.init()
    request = InitProducerId("x", 60_000, expected)
    if code:
        assert shard.code(request) is code
    else:
        assert shard.ask(request) == told


def test_a_retry_of_a_bump_gets_the_same_epoch_until_somebody_else_begins() -> None:
    shard = Shard()
    old = shard.init()
    new = shard.init(old)
    assert new == (1000, 1)
    assert shard.init(old) == new
    assert shard.init(old) == new
    assert shard.init() == (1000, 2)
    assert shard.code(InitProducerId("x", 60_000, old)) is E.PRODUCER_FENCED


def test_an_identity_of_an_id_that_has_expired_gets_a_new_one() -> None:
    assert Shard().init(ProducerIdentity(4711, 3)) == (1000, 0)


def exhausted(shard: Shard, epoch: int = MAX_EPOCH - 1, state: State = State.EMPTY) -> ProducerIdentity:
    """Bring the id to the last epochs."""
    identity = shard.init()
    shard.machine.entries["x"] = shard.entry()._replace(epoch=epoch, state=state)
    return ProducerIdentity(identity.producer_id, epoch)


def test_when_the_epochs_are_used_up_a_new_producer_id_is_allotted() -> None:
    shard = Shard()
    old = exhausted(shard)
    new = shard.init(old)
    assert new == (1001, 0)
    # The answer was lost: the same again.
    assert shard.init(old) == new
    assert shard.init(ProducerIdentity(1001, 0)) == (1001, 1)


def test_the_last_epoch_fences_and_is_never_given_out() -> None:
    for level in (0, 2):
        shard = Shard(level)
        old = exhausted(shard)
        shard.add(old, version=level)
        assert shard.code(InitProducerId("x", 60_000)) is E.CONCURRENT_TRANSACTIONS
        assert shard.entry().epoch == MAX_EPOCH
        shard.write_markers()
        # Not by a retry of any kind either.
        assert shard.code(EndTransaction("x", old, False, 2)) is E.PRODUCER_FENCED
        assert shard.init(old if level else None) == (1001, 0)


def test_a_transaction_under_tv1() -> None:
    shard = Shard(level=1)
    identity = shard.init()
    shard.add(identity, T0, version=0)
    shard.add(identity, T1, version=0)
    assert shard.entry().partitions == {T0, T1}
    assert shard.end(identity, version=0) == identity
    assert shard.entry().state is State.PREPARE_COMMIT
    assert shard.ended == ["x"]
    ending = shard.write_markers()
    assert ending is not None
    assert (ending.identity, ending.commit, ending.partitions) == (identity, True, {T0, T1})
    assert shard.entry().state is State.COMPLETE_COMMIT
    assert shard.entry().partitions == frozenset()
    # The next one has the same epoch.
    shard.add(identity, T0, version=0)
    shard.end(identity, commit=False, version=0)
    assert shard.entry().state is State.PREPARE_ABORT


def test_a_transaction_under_tv2_moves_the_epoch() -> None:
    shard = Shard()
    identity = shard.init()
    shard.add(identity)
    bumped = shard.end(identity)
    assert bumped == (1000, 1)
    ending = shard.write_markers()
    assert ending is not None
    assert ending.identity == bumped
    shard.add(bumped)
    assert shard.end(bumped, commit=False) == (1000, 2)


def test_the_producer_goes_on_with_another_id_when_a_transaction_uses_up_the_epochs() -> None:
    shard = Shard()
    old = exhausted(shard)
    shard.add(old)
    told = shard.end(old)
    assert told == (1001, 0)
    ending = shard.write_markers()
    assert ending is not None
    assert ending.identity == (1000, MAX_EPOCH)
    assert shard.entry().identity == told
    assert shard.end(old) == told  # a retry
    assert shard.code(EndTransaction("x", old, False, 2)) is E.INVALID_TXN_STATE
    shard.add(told)
    assert shard.code(EndTransaction("x", old, True, 2)) is E.INVALID_PRODUCER_ID_MAPPING


NONE, ITS, FENCED, BUSY = E.NONE, E.INVALID_TXN_STATE, E.PRODUCER_FENCED, E.CONCURRENT_TRANSACTIONS
BUMP = "the epoch moves"
# state: (abort with the old epoch, abort, commit with the old epoch, commit)
TV2_ENDS = {
    State.EMPTY: (FENCED, BUMP, FENCED, ITS),
    State.ONGOING: (FENCED, BUMP, FENCED, BUMP),
    State.PREPARE_COMMIT: (ITS, FENCED, BUSY, FENCED),
    State.PREPARE_ABORT: (BUSY, FENCED, ITS, FENCED),
    State.COMPLETE_COMMIT: (ITS, BUMP, NONE, ITS),
    State.COMPLETE_ABORT: (NONE, BUMP, ITS, ITS),
}
# state: (abort, commit); another epoch is always fenced
TV1_ENDS = {
    State.EMPTY: (ITS, ITS),
    State.ONGOING: (NONE, NONE),
    State.PREPARE_COMMIT: (ITS, BUSY),
    State.PREPARE_ABORT: (BUSY, ITS),
    State.COMPLETE_COMMIT: (ITS, NONE),
    State.COMPLETE_ABORT: (NONE, ITS),
}


def in_state(state: State, level: int = 2) -> Shard:
    shard = Shard(level)
    shard.init()
    partitions = frozenset() if state is State.EMPTY else frozenset({T0})
    shard.machine.entries["x"] = Entry(
        1000, 5, 60_000, state, partitions, shard.now_ms, shard.now_ms, previous_producer_id=1000, version=level
    )
    return shard


@pytest.mark.parametrize("state", TV2_ENDS)
def test_every_end_in_every_state_under_tv2(state: State) -> None:
    cases = [(4, False), (5, False), (4, True), (5, True)]
    for (epoch, commit), wanted in zip(cases, TV2_ENDS[state], strict=True):
        shard = in_state(state)
        request = EndTransaction("x", ProducerIdentity(1000, epoch), commit, 2)
        if wanted is BUMP:
            assert shard.ask(request) == (1000, 6)
            assert shard.entry().state is (State.PREPARE_COMMIT if commit else State.PREPARE_ABORT)
            assert shard.entry().start_ms != -1
        elif wanted is NONE:
            assert shard.ask(request) == (1000, 5)
            assert shard.entry().state is state
        else:
            assert shard.code(request) is wanted, (state, epoch, commit)
            assert shard.entry().state is state


@pytest.mark.parametrize("state", TV1_ENDS)
def test_every_end_in_every_state_under_tv1(state: State) -> None:
    for commit, wanted in zip((False, True), TV1_ENDS[state], strict=True):
        assert in_state(state, 1).code(EndTransaction("x", ProducerIdentity(1000, 5), commit, 0)) is wanted
        for epoch in (4, 6):
            request = EndTransaction("x", ProducerIdentity(1000, epoch), commit, 0)
            assert in_state(state, 1).code(request) is E.PRODUCER_FENCED


@pytest.mark.parametrize("version", [0, 2])
def test_a_stranger_ends_nothing(version: int) -> None:
    shard = in_state(State.ONGOING)
    assert shard.code(EndTransaction("x", ProducerIdentity(7, 5), True, version)) is E.INVALID_PRODUCER_ID_MAPPING
    assert shard.code(EndTransaction("y", ProducerIdentity(1000, 5), True, version)) is E.INVALID_PRODUCER_ID_MAPPING


@pytest.mark.parametrize(
    ("state", "producer_id", "epoch", "code"),
    [
        (State.EMPTY, 1000, 5, NONE),
        (State.ONGOING, 1000, 5, NONE),
        (State.COMPLETE_ABORT, 1000, 5, NONE),
        (State.COMPLETE_COMMIT, 1000, 5, NONE),
        (State.PREPARE_COMMIT, 1000, 5, BUSY),
        (State.PREPARE_ABORT, 1000, 5, BUSY),
        (State.EMPTY, 1000, 4, FENCED),
        (State.ONGOING, 1000, 6, FENCED),
        (State.ONGOING, 999, 5, E.INVALID_PRODUCER_ID_MAPPING),
    ],
)
def test_adding_partitions(state: State, producer_id: int, epoch: int, code: ErrorCode) -> None:
    shard = in_state(state)
    request = AddPartitions("x", ProducerIdentity(producer_id, epoch), frozenset({T1}), 2)
    assert shard.code(request) is code
    if code is NONE:
        assert shard.entry().state is State.ONGOING
        assert T1 in shard.entry().partitions
        before = len(shard.log)
        assert shard.code(request) is NONE
        assert len(shard.log) == before, "a partition that is in writes nothing"


def test_verifying_partitions() -> None:
    shard = in_state(State.ONGOING)
    identity = ProducerIdentity(1000, 5)
    verdict = shard.ask(VerifyPartitions("x", identity, frozenset({T0, T1})))
    assert verdict == {T0: E.NONE, T1: E.TRANSACTION_ABORTABLE}
    assert shard.code(VerifyPartitions("x", ProducerIdentity(1000, 4), frozenset({T0}))) is FENCED
    assert shard.code(VerifyPartitions("y", identity, frozenset({T0}))) is E.INVALID_PRODUCER_ID_MAPPING
    assert in_state(State.PREPARE_ABORT).code(VerifyPartitions("x", identity, frozenset({T0}))) is BUSY


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(level: int) -> None:
    shard = Shard(level)
    identity = shard.init(timeout_ms=5000)
    shard.advance(1000)
    shard.add(identity, version=level)
    shard.advance(4999)
    assert shard.entry().state is State.ONGOING
    shard.advance(1)
    assert shard.entry().state is State.PREPARE_ABORT
    assert shard.entry().epoch == 1
    assert shard.code(AddPartitions("x", identity, frozenset({T0}), level)) is E.PRODUCER_FENCED
    ending = shard.write_markers()
    assert ending is not None
    assert not ending.commit
    assert ending.identity == (1000, 1)
    version = 2 if level == 2 else 0
    assert shard.code(EndTransaction("x", identity, True, version)) is (ITS if version else FENCED)


def test_the_timer_of_an_earlier_transaction_does_not_abort_the_next() -> None:
    shard = Shard()
    identity = shard.init(timeout_ms=5000)
    shard.add(identity)
    shard.advance(4000)
    bumped = shard.end(identity)
    shard.write_markers()
    shard.add(bumped)
    shard.advance(4999)
    assert shard.entry().state is State.ONGOING
    shard.advance(1)
    assert shard.entry().state is State.PREPARE_ABORT


def test_timeouts_and_decided_transactions_survive_a_restart() -> None:
    shard = Shard()
    slow = shard.init(timeout_ms=5000, name="slow")
    shard.add(slow, name="slow")
    decided = shard.init(name="decided")
    shard.add(decided, T0, T1, name="decided")
    shard.end(decided, name="decided")
    before = dict(shard.machine.entries)
    shard.restart()
    assert {name: entry._replace(last_epoch=-1) for name, entry in shard.machine.entries.items()} == {
        name: entry._replace(last_epoch=-1) for name, entry in before.items()
    }
    assert shard.ended == ["decided"]
    assert shard.write_markers("decided") is not None
    shard.advance(5000)
    assert shard.ended == ["decided", "slow"]


def test_who_begins_aborts_the_open_transaction_and_asks_again() -> None:
    shard = Shard()
    old = shard.init()
    shard.add(old)
    request = InitProducerId("x", 60_000)
    assert shard.code(request) is BUSY
    assert shard.entry().state is State.PREPARE_ABORT
    assert shard.code(request) is BUSY
    shard.write_markers()
    assert shard.ask(request) == (1000, 2)
    assert shard.code(EndTransaction("x", old, True, 2)) is FENCED


def test_a_zombie_does_not_end_the_transaction_of_its_successor() -> None:
    shard = Shard()
    zombie = shard.init()
    identity = shard.init()
    shard.add(identity)
    assert shard.code(InitProducerId("x", 60_000, zombie)) is FENCED
    assert shard.entry().state is State.ONGOING
    assert shard.code(InitProducerId("x", 60_000, identity)) is BUSY


def test_markers_of_an_earlier_epoch_complete_nothing() -> None:
    shard = in_state(State.PREPARE_COMMIT)
    shard.ask(MarkersWritten("x", ProducerIdentity(1000, 4)))
    assert shard.entry().state is State.PREPARE_COMMIT
    shard.ask(MarkersWritten("x", ProducerIdentity(1000, 5)))
    assert shard.entry().state is State.COMPLETE_COMMIT
    shard.ask(MarkersWritten("x", ProducerIdentity(1000, 5)))
    shard.ask(MarkersWritten("nobody", ProducerIdentity(1000, 5)))


def test_ids_that_nobody_uses_are_removed() -> None:
    shard = Shard(settings=TransactionSettings(id_expiration_ms=10_000, remove_expired_interval_ms=1000))
    shard.init(name="idle")
    open_one = shard.init(name="open", timeout_ms=900_000)
    shard.add(open_one, name="open")
    shard.advance(9_000)
    shard.init(name="new")
    assert set(shard.machine.entries) == {"idle", "open", "new"}
    shard.advance(2_000)
    assert set(shard.machine.entries) == {"open", "new"}
    shard.restart()
    assert set(shard.machine.entries) == {"open", "new"}
    assert shard.code(DescribeTransaction("idle")) is E.TRANSACTIONAL_ID_NOT_FOUND


def test_many_idle_ids_are_removed_in_portions() -> None:
    shard = Shard(settings=TransactionSettings(id_expiration_ms=10, remove_expired_interval_ms=1000))
    for number in range(2500):
        shard.init(name=f"id-{number}")
    shard.advance(1000)
    assert len(shard.machine.entries) == 1500
    shard.advance(200)
    assert shard.machine.entries == {}


def test_describe_and_list() -> None:
    shard = in_state(State.ONGOING)
    assert shard.ask(DescribeTransaction("x")) == shard.entry()
    assert shard.ask(ListTransactions()) == (("x", shard.entry()),)


@pytest.mark.parametrize(("level", "version"), [(0, 0), (1, 1), (2, 1)])
def test_records_have_tags_from_tv1_on(level: int, version: int) -> None:
    shard = Shard(level)
    identity = shard.init()
    shard.add(identity, T1, TopicPartition("a", 3), T0, version=level)
    raw_key, raw_value = shard.log[-1]
    assert raw_value is not None
    assert int.from_bytes(raw_value[:2], "big") == version
    key = decode_key(raw_key, TRANSACTION_RECORDS)
    assert key is not None
    value = decode_value(key, raw_value)
    assert [(t.topic, t.partition_ids) for t in value.transaction_partitions] == [("a", [3]), ("t", [0, 1])]  # type: ignore[attr-defined]
    assert value.client_transaction_version == level  # type: ignore[attr-defined]


def test_no_state_but_the_listed_ones_is_read() -> None:
    shard = Shard()
    shard.init()
    key = decode_key(shard.log[0][0], TRANSACTION_RECORDS)
    assert key is not None
    assert shard.log[0][1] is not None
    value = decode_value(key, shard.log[0][1])
    value.transaction_status = 7  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="PREPARE_EPOCH_FENCE"):
        shard.machine.replay(key, value, offset=1, timestamp_ms=0, transaction=None)
    assert set(TRANSITIONS) == set(State) - {State.DEAD, State.PREPARE_EPOCH_FENCE}


def test_what_is_not_for_this_machine_is_refused() -> None:
    with pytest.raises(KafkaError):
        Shard().machine.handle(object(), 1, 0)
