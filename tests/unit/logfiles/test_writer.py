"""The queue between whoever logs and the files: never waits, drops and tells, limits repetitions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pyralog.logfiles.text import TextFormatter
from pyralog.logfiles.writer import LogWriter, Output, Repeats


class Lines:
    """A target that keeps its lines, and can be held or made to fail."""

    def __init__(self) -> None:
        self.lost = 0
        self.trouble = ""
        self.lines: list[str] = []
        self.synced: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.reached = threading.Event()
        self.full = False

    def write(self, lines: Sequence[str]) -> None:
        self.reached.set()
        self.go.wait(30)
        if self.full:
            self.lost += len(lines)
            self.trouble = "No space left on device"
            return
        self.lost, self.trouble = 0, ""
        self.lines.extend(line.split(": ", 1)[1] for line in lines)

    def sync(self) -> None:
        self.synced.append(len(self.lines))

    def close(self) -> None:
        self.go.set()


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines()
    yield made
    made.go.set()


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.Logger("pyralog.test", 1)
    yield made
    for handler in list(made.handlers):
        handler.close()


def writer(logger: logging.Logger, lines: Lines, **options: Any) -> LogWriter:
    made = LogWriter("test", [Output(lines, TextFormatter())], **{"capacity": 100, **options})
    logger.addHandler(made)
    return made


def test_records_in_order(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines, capacity=10_000)
    for number in range(1000):
        logger.info("n %d", number)
    assert made.wait()
    assert lines.lines == [f"n {number}" for number in range(1000)]
    assert lines.synced == []


def test_the_thread_starts_with_the_first_record(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines)
    before = threading.active_count()
    assert made.wait()
    made.close()
    assert threading.active_count() == before
    assert lines.lines == []


def test_levels_of_outputs(logger: logging.Logger) -> None:
    everything, errors = Lines(), Lines()
    outputs = [Output(everything, TextFormatter()), Output(errors, TextFormatter(), logging.ERROR)]
    made = LogWriter("test", outputs, capacity=100)
    logger.addHandler(made)
    logger.warning("w")
    logger.error("e")
    assert made.wait()
    assert (everything.lines, errors.lines) == (["w", "e"], ["e"])


def test_a_slow_disk_holds_nobody_up_and_what_does_not_fit_is_told(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines, capacity=100)
    lines.go.clear()
    logger.info("first")
    assert lines.reached.wait(10)
    began = time.monotonic()
    for number in range(1000):
        logger.info("n %d", number)
    assert time.monotonic() - began < 5
    assert made.dropped == 900
    lines.go.set()
    assert made.wait()
    assert lines.lines[:101] == ["first", *(f"n {number}" for number in range(100))]
    assert lines.lines[101:] == ["900 records did not fit in the queue of this log (test): dropped"]


def test_long_tracebacks_do_not_fill_the_memory(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines, capacity=1_000_000)
    lines.go.clear()
    logger.info("first")
    assert lines.reached.wait(10)
    for _ in range(1200):
        logger.info("%s", "x" * 16_000)
    assert 1000 < 1200 - made.dropped < 1100
    lines.go.set()
    assert made.wait()
    before = made.dropped
    logger.info("and on")
    assert made.wait()
    assert made.dropped == before
    assert lines.lines[-1] == "and on"


def test_every_batch_is_synced_before_the_next(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines, sync=True)
    lines.go.clear()
    logger.info("a")
    assert lines.reached.wait(10)
    logger.info("b")
    logger.info("c")
    lines.go.set()
    assert made.wait()
    assert lines.synced == [1, 3]


def test_lost_lines_are_told_when_there_is_room_again(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines)
    lines.full = True
    for text in ("a", "b", "c"):
        logger.info(text)
        assert made.wait()
    assert lines.lost == 3
    lines.full = False
    logger.info("d")
    assert made.wait()
    assert lines.lines == ["3 lines of this log were lost: No space left on device", "d"]


def test_a_record_that_cannot_be_formatted(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines)
    logger.info("%d is no number", "x")
    logger.info("and on")
    assert made.wait()
    assert lines.lines == ["a record of pyralog.test could not be formatted: %d is no number", "and on"]


def test_close_writes_the_rest_and_takes_no_more(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines)
    for number in range(50):
        logger.info("n %d", number)
    made.close()
    assert len(lines.lines) == 50
    logger.info("late")
    assert (made.dropped, len(lines.lines)) == (1, 50)
    made.close()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(text: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("pyralog.test", level, __file__, 1, text, (), None)


def test_repetitions_are_counted() -> None:
    clock = Clock()
    repeats = Repeats(clock, burst=3, window_s=10)
    assert [repeats.pass_on(record("bad %s")) for _ in range(8)] == [True] * 3 + [False] * 5
    assert repeats.pass_on(record("other"))
    assert repeats.waiting
    assert repeats.due() == []
    clock.now += 10
    (told,) = repeats.due()
    assert told.getMessage() == "5 more like this within 10 s: bad %s"
    assert (told.levelno, told.name) == (logging.WARNING, "pyralog.test")
    assert not repeats.waiting
    assert repeats.pass_on(record("bad %s"))


def test_a_slow_trickle_is_never_held_back() -> None:
    clock = Clock()
    repeats = Repeats(clock, burst=3, window_s=10)
    for _ in range(20):
        assert repeats.pass_on(record("now and then"))
        clock.now += 4


def test_debug_is_not_limited_and_memory_is() -> None:
    repeats = Repeats(Clock(), burst=1)
    assert all(repeats.pass_on(record("x", logging.DEBUG)) for _ in range(10))
    for number in range(5000):
        repeats.pass_on(record(f"text {number}"))
    assert len(repeats._windows) <= 1000


def test_what_is_held_back_is_told_at_the_end(logger: logging.Logger, lines: Lines) -> None:
    made = writer(logger, lines, repeats=Repeats(time.monotonic, burst=2, window_s=1000))
    for number in range(7):
        logger.info("n %d", number)
    made.close()
    assert lines.lines == ["n 0", "n 1", "5 more like this within 1000 s: n %d"]
