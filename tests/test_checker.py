"""The checker finds what is wrong in histories made bad by hand, and nothing in good ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checker.compaction import Keyed, check_compaction
from tests.checker.history import (
    Assign,
    Commit,
    Committed,
    Event,
    Healed,
    Lag,
    Own,
    Poll,
    Producers,
    Put,
    Returned,
    Scan,
    Send,
    Txn,
    Violation,
    decode,
    encode,
    load,
)
from tests.checker.judge import check
from tests.checker.transactions import check_exactly_once, strong_components

P = "t-0"


def sent(value: str, offset: int, process: str = "p1", kind: str = "ok") -> list[Event]:
    return [Send(process, "invoke", P, value), Send(process, kind, P, value, offset)]


def read(*records: tuple[int, str], process: str = "c1") -> Poll:
    return Poll(process, P, list(records))


def rules(history: list[Event], **options: object) -> set[str]:
    return {violation.rule for violation in check(history, **options)}  # type: ignore[arg-type]


GOOD: list[Event] = [
    *sent("a", 0),
    *sent("b", 1),
    Assign("c1"),
    read((0, "a"), (1, "b")),
    *sent("c", 2),
    read((2, "c")),
    *sent("d", -1, kind="info"),
    read((3, "d")),
    Assign("c2"),
    Poll("c2", P, [(0, "a"), (1, "b"), (2, "c"), (3, "d")]),
]


def test_a_good_history_has_no_violation() -> None:
    assert check(GOOD) == []


def test_unknown_sends_may_be_missing() -> None:
    assert check([*sent("a", 0), *sent("b", -1, kind="info"), read((0, "a"))]) == []


def test_a_new_assignment_may_start_anywhere() -> None:
    history = [*sent("a", 0), *sent("b", 1), read((0, "a"), (1, "b")), Assign("c1"), read((0, "a"), (1, "b"))]
    assert check(history) == []


@pytest.mark.parametrize(
    ("rule", "history"),
    [
        pytest.param("I1", [*sent("a", 0), *sent("b", 1), read((1, "b"))], id="lost below the highest read"),
        pytest.param("I2", [*sent("a", 0), *sent("b", 1), read((0, "a"))], id="the tail was never seen"),
        pytest.param("I2", sent("a", 0), id="nothing was seen"),
        pytest.param("I3", [*sent("a", 0), read((1, "a"))], id="read elsewhere than acknowledged"),
        pytest.param(
            "I3",
            [*sent("a", 0), *sent("b", -1, kind="info"), read((0, "a")), Assign("c1"), read((0, "b"))],
            id="two values",
        ),
        pytest.param("I3", [*sent("a", 0), read((0, "a"), (1, "x"))], id="never sent"),
        pytest.param("I4", [*sent("a", 0), read((0, "a"), (1, "a"))], id="duplicate of an acknowledged value"),
        pytest.param("I10", [*sent("a", -1, kind="info"), read((0, "a"), (1, "a"))], id="duplicate of an unknown send"),
        pytest.param("I5", [*sent("a", -1, kind="fail"), read((0, "a"))], id="failed and yet there"),
        pytest.param("I7", [*sent("a", 0), *sent("b", 1), read((0, "a"), (1, "b")), read((1, "b"))], id="goes back"),
        pytest.param(
            "I7",
            [*sent("a", 0), *sent("b", 1), *sent("c", 2), read((0, "a")), read((2, "c")), Poll("c2", P, [(1, "b")])],
            id="skips what another reader saw",
        ),
        pytest.param(
            "I8", [*sent("a", 1), *sent("b", 0), read((0, "b"), (1, "a"))], id="offsets against the order of sends"
        ),
        pytest.param("I16", [*sent("a", 0), *sent("b", 2), read((0, "a"), (2, "b"))], id="gap"),
    ],
)
def test_each_rule_finds_its_violation(rule: str, history: list[Event]) -> None:
    assert rule in rules(history)


def in_txn(txn: str, value: str, offset: int, partition: str = P) -> list[Event]:
    return [Send("p1", "invoke", partition, value, -1, txn), Send("p1", "ok", partition, value, offset, txn)]


def ended(txn: str, kind: str = "ok") -> list[Event]:
    return [Txn("p1", "invoke", txn), Txn("p1", kind, txn)]


def committed(offset: int, generation: int = 1, kind: str = "ok", process: str = "c1") -> list[Event]:
    begun = Commit(process, "invoke", "g", P, offset, generation)
    return [begun, begun._replace(kind=kind)]


def told(offset: int) -> list[Event]:
    return [Committed("c1", "invoke", "g", P), Committed("c1", "ok", "g", P, offset)]


def test_transactions_that_are_right() -> None:
    history = [
        *in_txn("t1", "a", 0),
        *ended("t1"),
        *in_txn("t2", "b", 2),
        *ended("t2", "fail"),
        *in_txn("t3", "c", 4),
        *ended("t3", "info"),
        read((0, "a")),
        Assign("c2"),
        Poll("c2", P, [(0, "a"), (2, "b"), (4, "c")], "", False),
    ]
    assert check(history, dense=False) == []


def test_groups_that_are_right() -> None:
    history = [
        Own("c1", "g", 1, [P]),
        *committed(5),
        *told(5),
        *committed(7, kind="info"),
        *told(7),
        Own("c2", "g", 2, [P]),
        *committed(9, 1, "fail"),
        *told(7),
        *committed(9, 2, process="c2"),
        Committed("c1", "invoke", "g", P),
        *committed(11, 2, process="c2"),
        Committed("c1", "ok", "g", P, 9),
        Returned("c2", "g", [P], [P, "t-1"]),
    ]
    assert check(history, forward=True) == []


@pytest.mark.parametrize(
    ("rule", "history"),
    [
        pytest.param("I5", [*in_txn("t1", "a", 0), *ended("t1", "fail"), read((0, "a"))], id="aborted and yet there"),
        pytest.param("I1", [*in_txn("t1", "a", 0), *ended("t1"), *sent("b", 1), read((1, "b"))], id="committed, lost"),
        pytest.param(
            "I6", [*in_txn("t1", "a", 0), Poll("p1", P, [(0, "a")], "t1"), *ended("t1")], id="polls its own send"
        ),
        pytest.param(
            "I9",
            [
                *in_txn("t1", "a", 0),
                *in_txn("t2", "b", 0, "u-0"),
                Poll("p1", "u-0", [(0, "b")], "t1"),
                Poll("p1", P, [(0, "a")], "t2"),
                *ended("t1"),
                *ended("t2"),
            ],
            id="each read the other (G1c)",
        ),
        pytest.param("I11", [Healed(0), Lag(31_000, 1_000)], id="never caught up"),
        pytest.param(
            "I19",
            [Producers("restart", P, [(1, 0, 5)]), Producers("restart", P, [(1, 0, 4)])],
            id="forgot a sequence",
        ),
        pytest.param("I20", [Own("c1", "g", 1, [P]), Own("c2", "g", 1, [P])], id="two owners"),
        pytest.param(
            "I20", [Own("c1", "g", 1, [P]), Own("c2", "g", 2, [P]), *committed(5)], id="an old generation commits"
        ),
        pytest.param("I20", [*committed(5), *told(-1)], id="a committed offset is gone"),
        pytest.param("I20", [*committed(5), *committed(7), *told(5)], id="a committed offset is old"),
        pytest.param("I20", [*committed(5, kind="fail"), *told(5)], id="a refused commit counts"),
        pytest.param("I21", [Returned("c1", "g", [P, "t-1"], [P])], id="a static member lost a partition"),
    ],
)
def test_each_rule_of_transactions_and_groups_finds_its_violation(rule: str, history: list[Event]) -> None:
    assert rules(history, dense=False) == {rule}


def test_a_committed_offset_goes_back() -> None:
    history = [*committed(7), *told(7), *committed(5), *told(5)]
    assert rules(history) == set()
    assert rules(history, forward=True) == {"I20"}


def test_member_epochs_say_nothing_of_other_members() -> None:
    history: list[Event] = [Own("c1", "g", 5, [P]), Own("c2", "g", 4, ["t-1"])]
    assert rules(history, by_member=True) == set()
    assert rules([*history, Own("c1", "g", 4, [P])], by_member=True) == {"I20"}


def test_a_transaction_that_missed_what_another_had_written_before_it() -> None:
    """G-single: t2 read up to where t1 wrote, and t1's other value."""
    history = [
        *sent("x", 0),
        *in_txn("t1", "a", 1),
        *in_txn("t1", "b", 0, "u-0"),
        *ended("t1"),
        Poll("p2", P, [(0, "x")], "t2"),
        Poll("p2", "u-0", [(0, "b")], "t2"),
        *ended("t2"),
        Assign("c1"),
        read((0, "x"), (1, "a")),
    ]
    assert rules(history, dense=False) == set()
    assert rules(history, dense=False, isolated=True) == {"I9"}


def test_strong_components_of_a_long_chain_need_no_recursion() -> None:
    chain = {str(i): [str(i + 1)] for i in range(5_000)}
    assert len(strong_components(chain)) == 5_001
    assert len(strong_components({**chain, "5000": ["0"]})) == 1


@pytest.mark.parametrize(
    ("outputs", "wrong"),
    [(["a", "b"], 0), (["a", "a", "b"], 1), (["a"], 1), (["a", "b", "c"], 1)],
    ids=["once each", "twice", "never", "of nothing"],
)
def test_exactly_once(outputs: list[str], wrong: int) -> None:
    assert [violation.rule for violation in check_exactly_once(["a", "b"], outputs)] == ["I22"] * wrong


WRITTEN = [Keyed(0, "k", "1"), Keyed(1, "l", "1"), Keyed(2, "k", "2"), Keyed(3, "l", None, 50), Keyed(4, "k", "3")]


@pytest.mark.parametrize(
    ("kept", "keep_from", "wrong"),
    [
        ([1, 2, 3, 4], 0, 0),
        ([2, 4], 100, 0),
        ([2, 4], 50, 1),
        ([3, 4], 0, 1),
        ([2, 3], 0, 1),
        ([2, 3, 4, 1], 0, 1),
    ],
    ids=["right", "an old tombstone", "a young tombstone", "a last value", "not compacted", "order"],
)
def test_compaction(kept: list[int], keep_from: int, wrong: int) -> None:
    read_back = [WRITTEN[offset] for offset in kept]
    found = check_compaction(P, WRITTEN, read_back, cleaned_to=4, keep_tombstones_from_ms=keep_from)
    assert [violation.rule for violation in found] == ["I18"] * wrong


def test_compaction_invents_nothing() -> None:
    other = [Keyed(2, "k", "9"), *WRITTEN[3:]]
    found = check_compaction(P, WRITTEN, other, cleaned_to=4, keep_tombstones_from_ms=0)
    assert [violation.rule for violation in found] == ["I18"]


def put(key: str, id: str, offset: int, *, dead: bool = False, kind: str = "ok", txn: str = "") -> list[Event]:
    process = f"p{txn}"
    return [
        Put(process, "invoke", P, key, id, dead, -1, txn),
        Put(process, kind, P, key, id, dead, offset if kind == "ok" else -1, txn),
    ]


def scan(*records: tuple[int, str, str], start: int = 0, end: int = 9, process: str = "s") -> list[Event]:
    """Tombstones have an id in capitals."""
    read = [(offset, key, id, id.isupper()) for offset, key, id in records]
    return [Scan(process, "invoke", P, start), Scan(process, "ok", P, start, end, read)]


KEPT: list[Event] = [
    *put("k", "a", 0),
    *put("l", "b", 1),
    *put("k", "c", 2),
    *put("l", "D", 3, dead=True),
    *scan((2, "k", "c"), (3, "l", "D"), end=4),
    *put("m", "e", 4),
]


@pytest.mark.parametrize(
    "more",
    [
        scan((2, "k", "c"), (4, "m", "e"), end=5),
        scan((0, "k", "a"), (1, "l", "b"), (2, "k", "c"), (3, "l", "D"), (4, "m", "e"), end=5),
        [*put("k", "F", 5, dead=True, kind="info"), *scan((4, "m", "e"), end=6)],
        [*scan((4, "m", "e"), end=6), *put("k", "F", 5, dead=True)],
        [Txn("pt", "invoke", "t"), *put("k", "f", 5, txn="t"), *scan((2, "k", "c"), (4, "m", "e"), end=5)],
        [*put("k", "f", 5), *scan((2, "k", "c"), (4, "m", "e"), end=5)],
        scan((4, "m", "e"), start=4, end=5),
        scan(start=5, end=5),
    ],
    ids=["cleaned", "not yet", "perhaps deleted", "deleted meanwhile", "open", "behind the end", "from there", "empty"],
)
def test_what_a_compacted_log_may_show(more: list[Event]) -> None:
    assert rules([*KEPT, *more], complete=False) == set()


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (scan((4, "m", "e"), end=5), "I18"),
        (scan((0, "k", "a"), (4, "m", "e"), end=5), "I18"),
        (scan((1, "l", "b"), (2, "k", "c"), (4, "m", "e"), end=5), "I18"),
        (scan(start=4, end=5), "I18"),
        (scan((2, "k", "c"), (4, "m", "e"), end=4), "I7"),
        (scan((4, "m", "e"), (2, "k", "c"), end=5), "I7"),
        (scan((2, "k", "c"), (3, "m", "e"), end=5), "I3"),
        (scan((2, "k", "c"), (4, "n", "e"), end=5), "I3"),
        (scan((2, "k", "c"), (4, "m", "e"), (5, "n", "x"), end=6), "I3"),
        ([*put("n", "f", 4), *scan((2, "k", "c"), (4, "m", "e"), end=5)], "I3"),
        (scan((2, "k", "c"), (4, "m", "e"), (5, "m", "e"), end=6), "I4"),
        ([*put("n", "f", 5, kind="fail"), *scan((2, "k", "c"), (4, "m", "e"), (5, "n", "f"), end=6)], "I5"),
        ([*put("n", "f", 5, txn="t"), Txn("pt", "fail", "t"), *scan((2, "k", "c"), (5, "n", "f"), end=6)], "I5"),
        ([*put("n", "f", 1), *scan((1, "n", "f"), (2, "k", "c"), (4, "m", "e"), end=5)], "I8"),
        (scan((2, "k", "c"), end=4), "I2"),
    ],
    ids=[
        "a last value is gone",
        "an older value is back",
        "a deleted value is back",
        "gone for who goes on",
        "behind the end",
        "out of order",
        "moved",
        "another key",
        "of nobody",
        "an offset twice",
        "a write twice",
        "refused",
        "aborted",
        "not in order of sending",
        "an end too early",
    ],
)
def test_what_a_compacted_log_may_not_show(more: list[Event], rule: str) -> None:
    assert rule in rules([*KEPT, *more])


def test_a_young_tombstone_has_to_be_there() -> None:
    history = [*KEPT, *scan((2, "k", "c"), (4, "m", "e"), end=5)]
    assert rules(history) == set()
    assert rules(history, tombstones_stay=True) == {"I18"}
    assert rules([decode(encode(event)) for event in history], tombstones_stay=True) == {"I18"}


def test_retries_without_idempotence_may_repeat() -> None:
    history = [*sent("a", 1), read((0, "a"), (1, "a"))]
    assert rules(history, repeated=["p1"]) == set()
    assert rules(history, repeated=["other"]) == {"I4"}


def test_an_incomplete_history_says_nothing_of_the_tail() -> None:
    assert rules([*sent("a", 0), *sent("b", 1), read((0, "a"))], complete=False) == set()


def test_gaps_are_allowed_where_the_log_has_them() -> None:
    assert rules([*sent("a", 0), *sent("b", 2), read((0, "a"), (2, "b"))], dense=False) == set()


def test_producers_that_may_reorder() -> None:
    assert rules([*sent("a", 1), *sent("b", 0), read((0, "b"), (1, "a"))], reordered=["p1"]) == set()


def test_order_is_per_producer_and_partition() -> None:
    history = [
        *sent("a", 1, "p1"),
        *sent("b", 0, "p2"),
        Send("p1", "invoke", "t-1", "c"),
        Send("p1", "ok", "t-1", "c", 0),
        read((0, "b"), (1, "a")),
        Poll("c1", "t-1", [(0, "c")]),
    ]
    assert check(history) == []


def test_histories_survive_a_file_and_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join(encode(event) + "\n" for event in GOOD) + '["Send", "p1", "inv')
    assert load(path) == GOOD
    for event in (GOOD[0], Producers("restart", P, [(1, 0, 5)]), Own("c1", "g", 1, [P]), Healed(4)):
        assert decode(encode(event)) == event


def test_violations_read_well() -> None:
    assert str(Violation("I1", P, "gone")) == "I1 t-0: gone"
