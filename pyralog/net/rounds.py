"""Rounds of appends on their way through the plane: what they are about to promise, and who hears how they went."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pyralog.errors import ErrorCode, KafkaError
from pyralog.net.markers import Markers

if TYPE_CHECKING:
    from pyralog._speedups.journal import Entry, Outbox
    from pyralog._speedups.plane.driver import PlaneEngine
    from pyralog._speedups.plane.handle import PartitionHandle
    from pyralog.model import TopicPartition


class Rounds:
    """The rounds that the plane has and has not told of. `partitions` are what it hosts, `markers` numbers markers."""

    def __init__(
        self,
        engine: PlaneEngine,
        partitions: dict[TopicPartition, PartitionHandle],
        markers: Markers,
        cookies: Iterator[int],
    ) -> None:
        self._engine = engine
        self._partitions = partitions
        self._markers = markers
        self._cookies = cookies
        # Who hears of a round: the results of its parts; None when nobody will ever know them.
        self._told: dict[int, Callable[[Sequence[int] | None], None]] = {}

    def append(self, entries: list[Entry], outbox: Outbox) -> None:
        """Have the batches of these appended, the requests answered that wait for each, the markers written that
        follow; then the outbox hears where they are."""
        for entry in entries:
            if entry.promises is not None:
                self._check_promises(entry)
            if entry.endings is not None:
                self._issue_markers(entry)
        cookie = next(self._cookies)
        self._told[cookie] = partial(_appended, entries, outbox)
        self._engine.append_round(entries, self._partitions, cookie)

    def landed(self, cookie: int, data: bytes) -> None:
        """The plane has done with a round."""
        self._told.pop(cookie)(memoryview(data).cast("q"))

    def close(self) -> None:
        """The plane has stopped."""
        told, self._told = self._told, {}
        for tell in told.values():
            tell(None)

    def _check_promises(self, entry: Entry) -> None:
        """As Plane.verify_transaction does: a marker that was issued meanwhile may have ended what is promised."""
        assert entry.promises is not None
        since = self._markers.since
        entry.promises[:] = [one for one in entry.promises if not since(one[0], one[1], one[4])]

    def _issue_markers(self, entry: Entry) -> None:
        """They are issued now, whenever the entry is in the log."""
        assert entry.endings is not None
        for partitions, producer_id, *_ in entry.endings:
            for tp in partitions:
                self._markers.issue(tp, producer_id)
        entry.following = next(self._cookies)
        self._told[entry.following] = partial(_ended, entry.endings)


def _appended(entries: list[Entry], outbox: Outbox, results: Sequence[int] | None) -> None:
    if results is None:
        outbox.refused(entries, KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER, "the data plane has stopped"))
    else:
        outbox.appended(entries, results)  # type: ignore[arg-type]


def _ended(endings: Sequence[tuple[Any, ...]], results: Sequence[int] | None) -> None:
    """Tell of each transaction whether all its markers are written."""
    at = 0
    for partitions, *_, told in endings:
        ours = () if results is None else results[at : at + len(partitions)]
        at += len(partitions)
        told(results is not None and all(offset >= 0 for offset in ours))
