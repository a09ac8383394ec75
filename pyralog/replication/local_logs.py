"""What handlers read from the files of this node's partitions, beside what the plane tells."""

from __future__ import annotations

import os

from pyralog.errors import CorruptRecordError, ErrorCode, KafkaError
from pyralog.model import OffsetAndEpoch, TopicPartition
from pyralog.net.plane import Plane
from pyralog.replication.lifecycle import Lifecycle
from pyralog.replication.maintenance import Maintenance
from pyralog.replication.opening import Replica
from pyralog.runtime import WorkPool
from pyralog.storage.epochs import UNDEFINED
from pyralog.storage.log_dir import LogDir
from pyralog.storage.names import LOG, segment_name
from pyralog.storage.reader import TimestampOffset, first_at_or_after

_ATTEMPTS = 10


class LocalLogs:
    """The data directory of this node as the API sees it."""

    def __init__(
        self, log_dir: LogDir, plane: Plane, lifecycle: Lifecycle, maintenance: Maintenance, work: WorkPool
    ) -> None:
        self._log_dir = log_dir
        self._plane = plane
        self._lifecycle = lifecycle
        self._maintenance = maintenance
        self._work = work

    @property
    def directory(self) -> str:
        """Its absolute path."""
        return os.path.abspath(self._log_dir.path)

    async def space(self) -> tuple[int, int]:
        """Total and usable bytes of its file system."""
        found = await self._work.run(os.statvfs, self._log_dir.path)
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    async def find_record(
        self, tp: TopicPartition, place: tuple[int, int, int], timestamp: int
    ) -> TimestampOffset | None:
        """The first record at or after a timestamp; `place` is where plane.locate_timestamp says to begin."""
        for _ in range(_ATTEMPTS):
            found = await self._search(tp, place, timestamp)
            now = await self._plane.locate_timestamp(tp, timestamp)
            # An active segment only grows. Anything else is compaction or retention between the two questions.
            if now is None or (now[:2] == place[:2] and now[2] >= place[2] and not isinstance(found, Exception)):
                return None if isinstance(found, Exception) else found
            if now == place and isinstance(found, Exception):
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(found)) from found
            place = now
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the segments change faster than they are searched")

    async def _search(
        self, tp: TopicPartition, place: tuple[int, int, int], timestamp: int
    ) -> TimestampOffset | CorruptRecordError | OSError | None:
        base, position, length = place
        path = self._replica(tp).folder / segment_name(base, LOG)
        snapshot = self._plane.snapshot(tp)
        log_start = 0 if snapshot is None else snapshot.log_start
        try:
            found = await self._work.run(first_at_or_after, path, position, length, timestamp, log_start)
            if found is not None:
                return found
            # Only batches that compaction has emptied have such a time there.
            for segment in await self._plane.segments(tp):
                if segment.base_offset > base and segment.max_timestamp >= timestamp:
                    path = path.with_name(segment_name(segment.base_offset, LOG))
                    size = segment.size_bytes
                    found = await self._work.run(first_at_or_after, path, 0, size, timestamp, log_start)
                    if found is not None:
                        return found
            return None
        except (CorruptRecordError, OSError) as error:
            return error

    def epoch_at(self, tp: TopicPartition, offset: int) -> int:
        """The leader epoch under which the record at an offset was or will be written; -1 when unknown."""
        replica = self._lifecycle.replicas.get(tp)
        return -1 if replica is None else replica.epochs.epoch_of(offset)

    def epoch_end(self, tp: TopicPartition, epoch: int, log_end: int) -> OffsetAndEpoch:
        """The largest epoch not above this one and the offset at which it ended; (-1, -1) when there is none."""
        replica = self._lifecycle.replicas.get(tp)
        return UNDEFINED if replica is None else replica.epochs.end_offset(epoch, log_end)

    async def delete_records(self, tp: TopicPartition, offset: int) -> int:
        """Raise the log start to an offset; it stays there after a crash. The log start then."""
        return await self._maintenance.delete_records(tp, offset)

    def _replica(self, tp: TopicPartition) -> Replica:
        replica = self._lifecycle.replicas.get(tp)
        if replica is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return replica
