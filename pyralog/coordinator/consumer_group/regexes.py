"""Subscriptions by regular expression: checked and matched by RE2, whose time is linear in the text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from pyralog.errors import ErrorCode, KafkaError

# The words of RE2/J, which Kafka uses, for what RE2 says.
_WORDS = (
    ("missing ]", "missing closing ]"),
    ("missing )", "missing closing )"),
    ("unexpected )", "missing closing )"),
    ("invalid repetition size", "invalid repeat count"),
    ("bad repetition operator", "invalid nested repetition operator"),
    ("no argument for repetition operator", "missing argument to repetition operator"),
    ("trailing \\", "trailing backslash at end of expression"),
    ("invalid perl operator", "invalid or unsupported Perl syntax"),
    ("invalid escape sequence", "invalid escape sequence"),
    ("invalid character class range", "invalid character class range"),
    ("invalid character class", "invalid character class"),
    ("invalid named capture group", "invalid named capture"),
)
MAX_PATTERN_BYTES = 64 * 1024
MAX_PROGRAM_BYTES = 8 * 1024 * 1024
# What costs 0.1 ms each before RE2 looks at its limit: Unicode classes, which names of topics need not, and counted
# repetitions. A pattern of 30 KB of them would hold the node up for a second.
MAX_CLASSES, MAX_REPETITIONS = 100, 1000

Allowed = Callable[[str, Collection[str]], Collection[str]]


def compiled(regex: str) -> Any:
    """The pattern; KafkaError INVALID_REGULAR_EXPRESSION with Kafka's text."""
    import re2  # imported when a group asks for it: a plain start does not need it

    if len(regex) > MAX_PATTERN_BYTES:
        raise _refused(regex[:64] + "...", "longer than this broker compiles")
    if regex.count(r"\p") + regex.count(r"\P") > MAX_CLASSES or regex.count("{") > MAX_REPETITIONS:
        raise _refused(regex[:64] + "...", "more classes or repetitions than this broker compiles")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    try:
        return re2.compile(regex, options)
    except re2.error as error:
        raw = error.args[0]
        text = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
        words = next((ours for theirs, ours in _WORDS if text.startswith(theirs)), text)
        raise _refused(regex, words) from None


def _refused(regex: str, why: str) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_REGULAR_EXPRESSION,
        f"SubscribedTopicRegex `{regex}` is not a valid regular expression: {why}.",
    )


def matching(regex: str, topics: Iterable[str]) -> frozenset[str]:
    """The topics whose whole name matches; none for an expression of a log that this RE2 does not take."""
    try:
        match = compiled(regex).fullmatch
    except KafkaError:
        return frozenset()
    return frozenset(name for name in topics if match(name))
