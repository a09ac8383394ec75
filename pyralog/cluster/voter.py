"""The only voter of a one-node cluster: an entry is committed when it has been through fsync on the `meta` thread.

This is the interface that the Raft core will fill: start() gives the recovered state and begins a new term, propose()
gives the index that records will have, and the callbacks tell, in order, up to where they are committed, or from
where on they never will be.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from pyralog.cluster.image import ClusterImage
from pyralog.cluster.raft_storage import MetadataCorrupt, MetadataLog, Recovered, VoterState
from pyralog.cluster.records import Record
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import TaskScope, WorkPool

log = logging.getLogger(__name__)

# What one write and fsync takes at most; more waits for the next.
MAX_RECORDS_PER_WRITE = 20_000


class Listener(Protocol):
    """Who is told what becomes of proposals."""

    def committed(self, index: int) -> None:
        """Everything up to this index is durable for ever."""

    def lost(self, index: int, error: Exception) -> None:
        """Nothing that was proposed from this index on will ever be committed."""


class SingleVoter:
    """Group commit of proposals: what arrives during one fsync is the next write, as one batch."""

    def __init__(
        self,
        storage: MetadataLog,
        node_id: int,
        scope: TaskScope,
        meta: WorkPool,
        work: WorkPool,
        now_ms: Callable[[], int],
    ) -> None:
        assert meta.threads == 1, "the metadata log is written in order"
        self._storage = storage
        self._node_id = node_id
        self._scope = scope
        self._meta = meta
        self._work = work
        self._now_ms = now_ms
        self._listener: Listener | None = None
        self._waiting: deque[Sequence[Record]] = deque()
        self._next_index = 0
        self._writing = False
        self._snapshotting = False
        self._started = False
        self._failed: Exception | None = None
        self.term = 0
        self.writes = 0

    @property
    def segment_bytes(self) -> int:
        """Bytes written since the last snapshot began a new segment."""
        return self._storage.segment_bytes

    async def start(self, listener: Listener) -> Recovered:
        """Recover the log and become the leader of a new term."""
        self._listener = listener
        recovered = await self._meta.run(self._storage.load)
        self.term = recovered.state.term + 1
        self._next_index = self._storage.next_offset
        await self._save_state()
        self._started = True
        return recovered

    def propose(self, records: Sequence[Record]) -> int:
        """Take records as one atomic entry group; the index of the last of them."""
        if self._failed is not None:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "The metadata log has failed.")
        self._waiting.append(records)
        self._next_index += len(records)
        if not self._writing:
            self._writing = True
            self._scope.start(self._write(), name="metadata write", critical=True)
        return self._next_index - 1

    async def save_snapshot(self, image: ClusterImage) -> None:
        """Write a snapshot of a committed state, beside what else goes on."""
        if self._snapshotting:
            return
        self._snapshotting = True
        try:
            await self._meta.run(self._storage.roll)
            size = await self._work.run(self._storage.save_snapshot, image)
            log.info("metadata snapshot at offset %d: %d bytes", image.offset, size)
        finally:
            self._snapshotting = False

    async def stop(self) -> None:
        """Note how far the log is committed, and close it. Nothing may be proposed any more."""
        try:
            # What could not be understood at the start must not be overwritten at the stop.
            if self._started and self._failed is None:
                await self._save_state()
        finally:
            await self._meta.run(self._storage.close)

    async def _save_state(self) -> None:
        state = VoterState(self.term, self._node_id, self._storage.next_offset - 1)
        await self._meta.run(self._storage.save_state, state)

    async def _write(self) -> None:
        assert self._listener is not None
        try:
            while self._waiting:
                group = self._take()
                first = self._storage.next_offset
                try:
                    index = await self._meta.run(self._storage.append, self.term, group, self._now_ms())
                except OSError as error:
                    await self._give_up(first, error)
                    continue
                self.writes += 1
                self._listener.committed(index)
        except Exception as error:
            self._failed = error
            self._waiting.clear()
            self._listener.lost(self._storage.next_offset, error)
            raise
        finally:
            self._writing = False

    def _take(self) -> list[Record]:
        group = list(self._waiting.popleft())
        while self._waiting and len(group) + len(self._waiting[0]) <= MAX_RECORDS_PER_WRITE:
            group += self._waiting.popleft()
        return group

    async def _give_up(self, first: int, error: OSError) -> None:
        """A failed write (a full disk) is taken back, and everything that was built on it with it."""
        assert self._listener is not None
        log.error("cannot write the metadata log: %s", error)
        try:
            await self._meta.run(self._storage.revert)
        except OSError as second:
            raise MetadataCorrupt(f"cannot take back a failed write of the metadata log: {second}") from error
        self._waiting.clear()
        self._next_index = first
        self._listener.lost(first, error)
