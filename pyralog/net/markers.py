"""Which markers were issued when: what a coordinator's answer of before may no longer promise (KIP-890)."""

from __future__ import annotations

from pyralog.model import TopicPartition

# Producers whose last marker is remembered, per plane; of one that was forgotten the worst is assumed.
MAX_MARKERS = 1 << 16


class Markers:
    """Numbers the markers of all producers and partitions in the order in which they were issued."""

    def __init__(self, most: int = MAX_MARKERS) -> None:
        self._most = most
        self._last: dict[tuple[TopicPartition, int], int] = {}
        self._forgotten = 0
        self.number = 0

    def issue(self, tp: TopicPartition, producer_id: int) -> None:
        """One more, which is the last of its producer in the partition."""
        self.number += 1
        self._last.pop((tp, producer_id), None)
        self._last[tp, producer_id] = self.number
        if len(self._last) > self._most:
            self._forgotten = self._last.pop(next(iter(self._last)))

    def since(self, tp: TopicPartition, producer_id: int, number: int) -> bool:
        """Whether one of the producer was (or may have been) issued after this number."""
        return self._last.get((tp, producer_id), self._forgotten) > number
