"""Producer ids for this node: taken from the controller a block at a time, handed out one by one, never twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyralog.cluster.requests import AllocateProducerIds, AllocateProducerIdsReply
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.cluster.quorum import Quorum


class ProducerIds:
    """A node's store of unused producer ids.

    What is left of a block when the node stops is lost, as it must be: an id is never given out twice.
    """

    def __init__(self, node_id: int, quorum: Quorum) -> None:
        self._node_id = node_id
        self._quorum = quorum
        self._next = 0
        self._end = 0

    def take(self) -> int | None:
        """An unused id, or None when the block is used up."""
        if self._next >= self._end:
            return None
        self._next += 1
        return self._next - 1

    async def next(self) -> int:
        """An unused id, after another block if needed. Of blocks asked for side by side only one is kept."""
        while (taken := self.take()) is None:
            first, count = await self._block()
            if self._next >= self._end:
                self._next, self._end = first, first + count
        return taken

    async def _block(self) -> tuple[int, int]:
        broker = self._quorum.image.brokers.get(self._node_id)
        if broker is None:
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE, "this node has not registered yet")
        reply = await self._quorum.submit(AllocateProducerIds(self._node_id, broker.broker_epoch))
        assert isinstance(reply, AllocateProducerIdsReply)
        if reply.error is not ErrorCode.NONE:
            raise KafkaError(reply.error)
        return reply.first, reply.count
