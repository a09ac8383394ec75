"""What handlers read from the files of this node's partitions, beside what the plane tells."""

from __future__ import annotations

from typing import Protocol

from pyralog.model import OffsetAndEpoch, TopicPartition
from pyralog.storage.reader import TimestampOffset

# A record's place: offset, timestamp, and the leader epoch it was written under; -1 where there is none.
FoundRecord = TimestampOffset
NO_RECORD = FoundRecord(-1, -1, -1)


class LocalLogs(Protocol):
    """The data directory of this node."""

    @property
    def directory(self) -> str:
        """Its absolute path."""
        ...

    async def space(self) -> tuple[int, int]:
        """Total and usable bytes of its file system."""
        ...

    async def find_record(self, tp: TopicPartition, place: tuple[int, int, int], timestamp: int) -> FoundRecord | None:
        """The first record at or after a timestamp; `place` is where plane.locate_timestamp says to begin."""
        ...

    def epoch_at(self, tp: TopicPartition, offset: int) -> int:
        """The leader epoch under which the record at an offset was or will be written; -1 when unknown."""
        ...

    def epoch_end(self, tp: TopicPartition, epoch: int, log_end: int) -> OffsetAndEpoch:
        """The largest epoch not above this one and the offset at which it ended; (-1, -1) when there is none."""
        ...

    async def delete_records(self, tp: TopicPartition, offset: int) -> int:
        """Raise the log start to an offset; it stays there after a crash. The log start then."""
        ...
