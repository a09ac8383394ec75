"""Subscriptions by regular expression: what is refused, and that nothing a client sends holds the node up."""

from __future__ import annotations

import time

import pytest

from pyralog.coordinator.consumer_group.regexes import compiled, matching
from pyralog.errors import ErrorCode, KafkaError

LONGEST = 32_767  # bytes of a string in a request
TOPICS = ("orders", "orders-1", "payments")


def test_the_whole_name_must_match() -> None:
    assert matching("orders.*", TOPICS) == {"orders", "orders-1"}
    assert matching("order", TOPICS) == frozenset()
    assert matching(r"\p{L}+", TOPICS) == {"orders", "payments"}
    assert matching("[", TOPICS) == frozenset()


def test_what_is_no_expression_is_told_in_kafkas_words() -> None:
    with pytest.raises(KafkaError, match=r"`\(a` is not a valid regular expression: missing closing \)") as refused:
        compiled("(a")
    assert refused.value.code is ErrorCode.INVALID_REGULAR_EXPRESSION


@pytest.mark.parametrize("part", [r"\pL", r"\P{Lu}", r"\p{^L}", ".{1,1000}", "(?:a?){1000}"])
def test_an_expression_that_costs_much_is_refused_at_once(part: str) -> None:
    compiled("a")  # imports what compiles
    regex = part * (LONGEST // len(part))
    began = time.process_time()
    with pytest.raises(KafkaError) as refused:
        compiled(regex)
    assert time.process_time() - began < 0.02
    assert refused.value.code is ErrorCode.INVALID_REGULAR_EXPRESSION
    assert matching(regex, TOPICS) == frozenset()


def test_many_names_in_one_expression_are_taken() -> None:
    names = [f"topic-{number}-[0-9]{{1,3}}" for number in range(900)]
    assert matching("|".join(names), ("topic-899-12", "topic-900-12")) == {"topic-899-12"}
