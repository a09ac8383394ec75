"""Writes the markers that end transactions: to every partition, until each has its own or another node does it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.runtime import Pending

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage
    from pyralog.coordinator.active import MarkerLog
    from pyralog.coordinator.transaction.requests import Ending

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 1024  # markers given to the plane and not confirmed
# Of one transaction, in one cycle of the plane: more of them would make it late for everybody else.
MAX_DIRECT = 128
RETRY_MS = 5
MAX_RETRY_MS = 1_000
# How often one partition fails before it is told in the log, once.
PATIENCE = 20


class MarkerShards(Protocol):
    """A coordinator, through whose shards the partitions of its topic get theirs."""

    def write_marker(
        self, partition: int, producer_id: int, producer_epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> Pending[None]:
        """End a producer's transaction there."""
        ...


class _Job:
    """A transaction whose markers are on their way."""

    __slots__ = ("coordinator_epoch", "done", "ending", "failures", "fenced", "left", "wanted")

    def __init__(
        self, ending: Ending, coordinator_epoch: int, wanted: Callable[[], bool], done: Callable[[], None]
    ) -> None:
        self.ending = ending
        self.coordinator_epoch = coordinator_epoch
        self.wanted = wanted
        self.done = done
        self.left = len(ending.partitions)
        self.failures = 0
        self.fenced = False


class Markers:
    """Markers of this node's coordinator. A partition that is gone from the cluster counts as done."""

    def __init__(
        self,
        plane: MarkerLog,
        shards: Mapping[str, MarkerShards],
        clock: Callable[[], int],
        image: Callable[[], ClusterImage],
    ) -> None:
        self._plane = plane
        self._clock = clock
        self._shards = shards  # by topic
        self._image = image
        self._queue: deque[tuple[_Job, TopicPartition]] = deque()
        self._in_flight = 0
        self._delayed: set[asyncio.TimerHandle] = set()
        self._closed = False
        self._going = False
        self.written = 0
        self.retries = 0

    def end(self, ending: Ending, coordinator_epoch: int, wanted: Callable[[], bool], done: Callable[[], None]) -> None:
        """Write all markers of a transaction, then call `done`; give up when it is no longer `wanted` here."""
        job = _Job(ending, coordinator_epoch, wanted, done)
        if not ending.partitions:
            done()
            return
        self._queue.extend((job, tp) for tp in sorted(ending.partitions))
        self._go()

    def write(
        self, tp: TopicPartition, producer_id: int, producer_epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> Pending[None]:
        """One marker, once. KafkaError when the partition cannot take it."""
        shards = self._shards.get(tp.topic)
        if shards is not None:
            try:
                return shards.write_marker(tp.partition, producer_id, producer_epoch, coordinator_epoch, commit=commit)
            except KafkaError as error:
                return Pending.of(error)
        result: Pending[None] = Pending()
        try:
            future = self._plane.start_marker(
                tp, producer_id, producer_epoch, coordinator_epoch, commit=commit, timestamp_ms=self._clock()
            )
        except KafkaError as error:
            return Pending.of(error)

        def written(done: asyncio.Future[tuple[int, bytes]]) -> None:
            if done.cancelled():
                result.resolve(KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER, "the data plane has stopped"))
            else:
                result.resolve(done.exception())

        future.add_done_callback(written)
        return result

    def direct(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether there are markers, but not too many, and all are the plane's to write: not those of coordinators,
        which go through their shards."""
        hosted = self._plane.partitions()
        few = 0 < len(partitions) <= MAX_DIRECT
        return few and all(tp.topic not in self._shards and tp in hosted for tp in partitions)

    def close(self) -> None:
        """Write no more; what is left is written after the next start."""
        self._closed = True
        self._queue.clear()
        for handle in self._delayed:
            handle.cancel()
        self._delayed.clear()

    def _go(self) -> None:
        """Give away what may be. An answer that comes at once (a topic is gone) comes back in here, and is left to the
        loop that is at it: thousands of them would be as many frames deep."""
        if self._going:
            return
        self._going = True
        try:
            while self._queue and self._in_flight < MAX_IN_FLIGHT and not self._closed:
                job, tp = self._queue.popleft()
                if job.fenced or not job.wanted():
                    continue
                self._in_flight += 1
                ending = job.ending
                pending = self.write(tp, *ending.identity, job.coordinator_epoch, commit=ending.commit)
                pending.then(partial(self._answered, job, tp))
        finally:
            self._going = False

    def _answered(self, job: _Job, tp: TopicPartition, value: Any) -> None:
        self._in_flight -= 1
        if self._closed:
            return
        if isinstance(value, KafkaError) and value.code is ErrorCode.TRANSACTION_COORDINATOR_FENCED:
            # Another node coordinates the transaction by now, and ends it. Trying on would be in vain.
            if not job.fenced:
                log.warning("%s-%d: %s has another coordinator: %s", *tp, job.ending.transactional_id, value)
            job.fenced = True
        elif isinstance(value, BaseException) and not self._gone(job, tp, value):
            self._retry(job, tp, value)
        else:
            self.written += 1
            job.left -= 1
            if job.left == 0 and job.wanted():
                job.done()
        self._go()

    def _gone(self, job: _Job, tp: TopicPartition, error: BaseException) -> bool:
        """There is nothing to end in this partition (any more)."""
        if self._image().partition(tp.topic, tp.partition) is None:
            return True
        if isinstance(error, KafkaError) and error.code is ErrorCode.INVALID_PRODUCER_EPOCH:
            # A later epoch has been there, and that comes only behind the end of this transaction.
            log.warning("%s-%d: the transaction of %s has ended before: %s", *tp, job.ending.transactional_id, error)
            return True
        return False

    def _retry(self, job: _Job, tp: TopicPartition, error: BaseException) -> None:
        self.retries += 1
        job.failures += 1
        if job.failures == PATIENCE:
            log.warning("%s-%d takes no marker of %s, trying on: %s", *tp, job.ending.transactional_id, error)
        delay_ms = min(RETRY_MS << min(job.failures, 10), MAX_RETRY_MS)

        def again() -> None:
            self._delayed.discard(handle)
            self._queue.append((job, tp))
            self._go()

        handle = asyncio.get_running_loop().call_later(delay_ms / 1000, again)
        self._delayed.add(handle)
