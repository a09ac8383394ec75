"""Markers of WriteTxnMarkers for partitions of coordinators: what a partition will refuse is refused before its
shard has decided on it.

A shard decides at once and is told by the log later. A marker that the log refuses has it start again, since what it
has decided on meanwhile rests on that marker; a client who is wrong must not have that done to the groups of everybody.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.runtime import Pending

if TYPE_CHECKING:
    from pyralog.coordinator.transaction.markers import Markers
    from pyralog.net.plane_types import ProducerInfo


class Producers(Protocol):
    """The plane, as far as it says who has written to a partition."""

    async def producers(self, tp: TopicPartition) -> list[ProducerInfo]:
        """The producers that the partition remembers."""
        ...


class Asked(NamedTuple):
    """A marker that a client asks for."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool


class AskedMarkers:
    """Writes them through `markers`, those of one partition one after the other."""

    def __init__(self, plane: Producers, markers: Markers) -> None:
        self._plane = plane
        self._markers = markers
        self._locks: defaultdict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def write(self, tp: TopicPartition, asked: list[tuple[Asked, Pending[None]]]) -> None:
        """Resolve each with nothing, or with the KafkaError that the partition has for it."""
        async with self._locks[tp]:
            try:
                found = await self._plane.producers(tp)
            except KafkaError as error:
                for _, pending in asked:
                    pending.resolve(error)
                return
            epochs = {one.producer_id: (one.epoch, one.coordinator_epoch) for one in found}
            for marker, pending in asked:
                pending.resolve(await self._one(tp, marker, epochs))

    async def _one(self, tp: TopicPartition, marker: Asked, epochs: dict[int, tuple[int, int]]) -> KafkaError | None:
        code = _refusal(marker, epochs.get(marker.producer_id))
        if code is not None:
            return KafkaError(code)
        try:
            await self._markers.write(
                tp, marker.producer_id, marker.producer_epoch, marker.coordinator_epoch, commit=marker.commit
            )
        except KafkaError as error:
            return error
        epochs[marker.producer_id] = (marker.producer_epoch, marker.coordinator_epoch)
        return None


def _refusal(marker: Asked, known: tuple[int, int] | None) -> ErrorCode | None:
    """As producers_check_marker of the log's table of producers."""
    if known is None:
        return None
    epoch, coordinator_epoch = known
    if marker.producer_epoch < epoch:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return ErrorCode.TRANSACTION_COORDINATOR_FENCED if marker.coordinator_epoch < coordinator_epoch else None
