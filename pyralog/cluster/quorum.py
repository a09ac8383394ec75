"""The metadata of the cluster as the rest of the node uses it: submit requests, read the image, hear of changes.

    submit -> controller decides on the newest state (the tip) -> voter makes the records durable -> the applier
    (replication.lifecycle) makes this node serve them -> `image` moves -> subscribers -> the reply.

So a topic can be written and read before CreateTopics is answered and before Metadata shows its leader.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from pyralog.cluster.controller import Controller
from pyralog.cluster.image import EMPTY, NO_DELTA, ClusterImage, ImageDelta, replay_batch
from pyralog.cluster.raft_storage import METADATA_DIRECTORY, MetadataCorrupt
from pyralog.cluster.records import ClusterRecord, Record
from pyralog.cluster.requests import Reply, Request
from pyralog.cluster.voter import SingleVoter
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import TaskScope

log = logging.getLogger(__name__)

Subscriber = Callable[[ImageDelta, ClusterImage], None]
Applier = Callable[[ImageDelta, ClusterImage], Awaitable[None]]

SNAPSHOT_AFTER_RECORDS = 10_000
SNAPSHOT_AFTER_BYTES = 16 * 1024 * 1024
# Requests whose records are not yet durable and applied; more are refused, so that memory stays bounded.
MAX_IN_FLIGHT = 10_000


class _Proposal(NamedTuple):
    """Records on their way: the index of the last one, the state they lead to, and what they change."""

    last: int
    image: ClusterImage
    delta: ImageDelta


async def _apply_nothing(delta: ImageDelta, image: ClusterImage) -> None:
    """A node without partitions, as in tests."""


class Quorum:
    """The node's view of the metadata. All of it runs on the event loop; the voter's thread does the writing."""

    def __init__(
        self,
        voter: SingleVoter,
        controller: Controller,
        scope: TaskScope,
        node_id: int,
        snapshot_after: int = SNAPSHOT_AFTER_RECORDS,
    ) -> None:
        self.image = EMPTY
        self._voter = voter
        self._controller = controller
        self._scope = scope
        self._node_id = node_id
        self._snapshot_after = snapshot_after
        self._applier: Applier = _apply_nothing
        self._subscribers: list[Subscriber] = []
        self._tip = EMPTY
        self._proposals: deque[_Proposal] = deque()
        self._committed: deque[_Proposal] = deque()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._work_left = asyncio.Event()
        self._applying: ClusterImage | None = None
        self._snapshot_offset = -1
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """Requests that wait for their records."""
        return len(self._waiters)

    def subscribe(self, callback: Subscriber) -> None:
        """Call back after each change of `image`, on the event loop, with what changed and the new image."""
        self._subscribers.append(callback)

    def set_applier(self, applier: Applier) -> None:
        """What makes this node serve a new state. It is awaited before that state becomes `image`."""
        self._applier = applier

    async def start(self, new_cluster_id: str | None) -> ClusterImage:
        """Recover the state; form a new cluster of that id if there is none yet.

        None says that the node belongs to a cluster already: then a missing log is a loss, and refuses the start.
        """
        recovered = await self._voter.start(self)
        if not recovered.image.cluster_id and new_cluster_id is None:
            raise MetadataCorrupt(
                "this node belongs to a cluster, but its metadata log is missing or empty. Restore the folder "
                f"{METADATA_DIRECTORY} from a backup; nothing was changed."
            )
        image = recovered.image._replace(epoch=self._voter.term, controller_id=self._node_id)
        self._snapshot_offset = recovered.snapshot_offset
        self.image = self._tip = image
        self._scope.start(self._publish(), name="metadata publication", critical=True)
        if not image.cluster_id and new_cluster_id is not None:
            await self.propose((ClusterRecord(new_cluster_id),))
        return self.image

    async def submit(self, request: Request) -> Reply:
        """Have the controller decide; the reply comes when what it says is durable and this node serves it."""
        if self._stopping:
            raise KafkaError(ErrorCode.NOT_CONTROLLER, "This node is stopping.")
        outcome = self._controller.handle(self._tip, request)
        await self.propose(outcome.records)
        return outcome.reply

    async def propose(self, records: Sequence[Record]) -> int:
        """Append records as one atomic step; the index of the last one, once it is committed and applied here.

        Without records it waits for what was decided before, because a reply may rest on that.
        """
        if len(self._waiters) >= MAX_IN_FLIGHT:
            raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED, "Too many metadata changes are in progress.")
        if records:
            first = self._tip.offset + 1
            image, delta = replay_batch(
                self._tip,
                records,
                offset=first + len(records) - 1,
                epoch=self._voter.term,
                controller_id=self._node_id,
            )
            index = self._voter.propose(records)
            assert index == image.offset, f"proposed index {index}, state at {image.offset}"
            self._proposals.append(_Proposal(index, image, delta))
            self._tip = image
        index = self._tip.offset
        if index > self.image.offset:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((index, done))
            await done
        return index

    async def stop(self) -> None:
        """Refuse new requests, finish those in flight, close the log."""
        self._stopping = True
        while self._waiters:
            await asyncio.wait([future for _, future in self._waiters])
        await self._voter.stop()

    def committed(self, index: int) -> None:
        """The voter says: everything up to this index is durable."""
        while self._proposals and self._proposals[0].last <= index:
            self._committed.append(self._proposals.popleft())
        self._work_left.set()

    def lost(self, index: int, error: Exception) -> None:
        """The voter says: nothing from this index on will be durable. The tip goes back to what is."""
        while self._proposals and self._proposals[-1].last >= index:
            self._proposals.pop()
        durable = self._proposals or self._committed
        self._tip = durable[-1].image if durable else self._last_durable()
        while self._waiters and self._waiters[-1][0] >= index:
            _, future = self._waiters.pop()
            if not future.done():
                future.set_exception(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"The metadata log failed: {error}"))

    def _last_durable(self) -> ClusterImage:
        return self._applying if self._applying is not None else self.image

    async def _publish(self) -> None:
        """Apply what is committed, in order; what gathers meanwhile is applied as one change."""
        try:
            await self._publish_all()
        finally:
            # Whatever ended this, nobody will answer the rest.
            self._stopping = True
            while self._waiters:
                _, future = self._waiters.popleft()
                if not future.done():
                    future.set_exception(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "This node is stopping."))

    async def _publish_all(self) -> None:
        while True:
            await self._work_left.wait()
            self._work_left.clear()
            if not self._committed:
                continue
            delta, image = NO_DELTA, self.image
            while self._committed:
                proposal = self._committed.popleft()
                delta, image = delta.merged(proposal.delta), proposal.image
            self._applying = image
            await self._applier(delta, image)
            self.image, self._applying = image, None
            for subscriber in self._subscribers:
                subscriber(delta, image)
            while self._waiters and self._waiters[0][0] <= image.offset:
                _, future = self._waiters.popleft()
                if not future.done():
                    future.set_result(None)
            self._maybe_snapshot(image)

    def _maybe_snapshot(self, image: ClusterImage) -> None:
        records = image.offset - self._snapshot_offset
        if records >= self._snapshot_after or self._voter.segment_bytes >= SNAPSHOT_AFTER_BYTES:
            self._snapshot_offset = image.offset
            self._scope.start(self._voter.save_snapshot(image), name="metadata snapshot")
