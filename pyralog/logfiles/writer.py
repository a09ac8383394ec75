"""From whoever logs to the files: a bounded queue and a thread, so that a slow or full disk never stalls the loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from pyralog.logfiles.files import Target
from pyralog.logfiles.text import settled
from pyralog.metrics import LOG_RECORDS, LOG_RECORDS_DROPPED
from pyralog.runtime import start_thread

# Records that are written, and synced, together.
BATCH = 256
# A message that comes more often than this within a window is counted instead: a bad client must not fill the disk.
BURST = 200
WINDOW_S = 10.0
# What may wait for a slow disk, beside the number of records: a few long tracebacks weigh as much as many lines.
MAX_QUEUED_CHARS = 16 * 1024 * 1024
MAX_MESSAGES = 1000  # different ones that are watched at a time; more are not limited
STOP_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Output:
    """One file and what goes there."""

    target: Target
    formatter: logging.Formatter
    level: int = logging.NOTSET


@dataclass(slots=True)
class _Window:
    ends: float
    count: int = 0
    level: int = logging.INFO


class Repeats:
    """Lets a message through BURST times in a window; whoever watches DEBUG and TRACE wants them all."""

    def __init__(self, clock: Callable[[], float], burst: int = BURST, window_s: float = WINDOW_S) -> None:
        self._clock = clock
        self._burst = burst
        self._window_s = window_s
        self._windows: dict[tuple[str, str], _Window] = {}
        self._next_look = 0.0
        self.waiting = False  # something was held back

    def pass_on(self, record: logging.LogRecord) -> bool:
        """Whether to write the record. Messages are equal when they come from the same line of code."""
        if record.levelno < logging.INFO:
            return True
        now = self._clock()
        key = (record.name, str(record.msg))
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= MAX_MESSAGES and not self._make_room(now):
                return True
            window = self._windows[key] = _Window(now + self._window_s)
        elif window.ends <= now and window.count <= self._burst:
            window.ends, window.count = now + self._window_s, 0
        window.count += 1
        window.level = record.levelno
        self.waiting |= window.count > self._burst
        return window.count <= self._burst

    def _make_room(self, now: float) -> bool:
        """Forget windows that are over, at most once a window, since it looks at all of them."""
        if now < self._next_look:
            return False
        self._next_look = now + self._window_s
        self._windows = {k: w for k, w in self._windows.items() if w.ends > now or w.count > self._burst}
        return len(self._windows) < MAX_MESSAGES

    def due(self, *, everything: bool = False) -> list[logging.LogRecord]:
        """Notices of what was held back in windows that are over."""
        now = self._clock()
        notices = []
        for key, window in list(self._windows.items()):
            if window.ends <= now or everything:
                del self._windows[key]
                if window.count > self._burst:
                    name, text = key
                    many = window.count - self._burst
                    notices.append(notice("%d more like this within %d s: %s", many, self._window_s, text, name=name))
                    notices[-1].levelno, notices[-1].levelname = window.level, logging.getLevelName(window.level)
        self.waiting = any(window.count > self._burst for window in self._windows.values())
        return notices


def notice(text: str, *values: object, name: str = __name__) -> logging.LogRecord:
    """A warning of the logs about themselves."""
    return settled(logging.LogRecord(name, logging.WARNING, __file__, 0, text, values, None))


class LogWriter(logging.Handler):
    """Takes records on any thread without waiting; its own thread, which the first record starts, writes them.

    What does not fit in the queue is dropped, counted and told of in the log itself.
    """

    def __init__(
        self,
        name: str,
        outputs: Sequence[Output],
        *,
        capacity: int,
        sync: bool = False,
        repeats: Repeats | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.dropped = 0
        self._outputs = tuple(outputs)
        self._capacity = capacity
        self._sync = sync
        self._repeats = repeats
        self._queue: SimpleQueue[logging.LogRecord | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._told = 0
        self._queued = 0
        self._stop = threading.Event()  # set by the thread when everything is written
        self._ended = False

    # --- any thread ---

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; called with this handler's lock held."""
        if self._repeats is not None and not self._repeats.pass_on(record):
            return
        full = self._queue.qsize() >= self._capacity or self._queued >= MAX_QUEUED_CHARS
        if full or self._ended:
            self.dropped += 1
            LOG_RECORDS_DROPPED.add(self.name or "")
            return
        try:
            record = settled(record)
        except Exception:  # noqa: BLE001 - a record that cannot be formatted must not harm whoever logs
            record = notice("a record of %s could not be formatted: %.200s", record.name, str(record.msg))
        self._queued += _weight(record)
        self._queue.put(record)
        if self._thread is None:
            self._thread = start_thread(f"log-{self.name}", self._run)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Wait until everything logged before is written; False when that takes longer."""
        if self._thread is None:
            return True
        reached = threading.Event()
        self._queue.put(reached)
        return reached.wait(timeout_s)

    def close(self) -> None:
        """Write what is queued and end the thread; a disk that hangs is not waited for."""
        self.acquire()
        ended, self._ended = self._ended, True
        self.release()
        if not ended and self._thread is not None:
            self._queue.put(self._stop)
            self._thread.join(STOP_TIMEOUT_S)
        if self._thread is None or not self._thread.is_alive():
            for output in self._outputs:
                output.target.close()
        super().close()

    # --- the thread ---

    def _run(self) -> None:
        while True:
            records, reached = self._next()
            self._write(records)
            self.acquire()
            self._queued = max(0, self._queued - sum(map(_weight, records)))
            self.release()
            for event in reached:
                event.set()
            if self._stop in reached:
                return

    def _next(self) -> tuple[list[logging.LogRecord], list[threading.Event]]:
        """Everything that waits, up to a batch; waits for the first."""
        records: list[logging.LogRecord] = []
        reached: list[threading.Event] = []
        holding = self._repeats is not None and self._repeats.waiting
        try:
            item = self._queue.get(timeout=WINDOW_S / 10 if holding else None)
            while True:
                (reached if isinstance(item, threading.Event) else records).append(item)  # type: ignore[arg-type]
                if len(records) >= BATCH:
                    break
                item = self._queue.get_nowait()
        except Empty:
            pass
        return records + self._notices(), reached

    def _notices(self) -> list[logging.LogRecord]:
        notices = []
        if self._repeats is not None and (self._repeats.waiting or self._ended):
            self.acquire()
            try:
                notices = self._repeats.due(everything=self._ended)
            finally:
                self.release()
        many = self.dropped - self._told
        if many:
            self._told += many
            notices.append(notice("%d records did not fit in the queue of this log (%s): dropped", many, self.name))
        return notices

    def _write(self, records: list[logging.LogRecord]) -> None:
        for record in records:
            LOG_RECORDS.add(record.levelname.lower())
        for output in self._outputs:
            lines = [_line(output.formatter, record) for record in records if record.levelno >= output.level]
            if not lines:
                continue
            target = output.target
            lost = target.lost
            if lost:
                text = notice("%d lines of this log were lost: %s", lost, target.trouble)
                lines.insert(0, _line(output.formatter, text))
            target.write(lines)
            if lost and target.lost:
                target.lost -= 1  # the notice itself
            if self._sync:
                target.sync()


def _weight(record: logging.LogRecord) -> int:
    return len(record.msg) + len(record.exc_text or "")


def _line(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    try:
        return formatter.format(record)
    except Exception as error:  # noqa: BLE001 - the thread must live on
        return f"a record of {record.name} could not be formatted: {type(error).__name__}"
