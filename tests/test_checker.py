"""The checker finds what is wrong in histories made bad by hand, and nothing in good ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checker import Assign, Event, Poll, Send, Violation, check, decode, encode, load

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
    assert decode(encode(GOOD[0])) == GOOD[0]


def test_violations_read_well() -> None:
    assert str(Violation("I1", P, "gone")) == "I1 t-0: gone"
