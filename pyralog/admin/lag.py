"""How old the oldest record is that a group has not consumed: the timestamp of the batch that holds it, from disk."""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from pyralog.admin.samples import Sample
from pyralog.admin.sampling import Sampled
from pyralog.errors import CorruptRecordError
from pyralog.model import TopicPartition, Uuid
from pyralog.storage.names import INDEX, LOG, segment_name
from pyralog.storage.reader import SegmentReader

# Files that one scrape may look into, and bytes of headers beyond an index entry; what is not found is not shown.
MAX_LOOKUPS = 500
MAX_SCAN_BYTES = 4 * 1024 * 1024
MAX_KNOWN = 10_000
_ENTRY = struct.Struct(">qq")


class Ages:
    """Timestamps of records by topic id, partition and offset: what a log holds at an offset stays what it is."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Uuid, int, int], int] = OrderedDict()
        self._left = 0

    def begin(self) -> None:
        """Another scrape."""
        self._left = MAX_LOOKUPS

    def timestamp(self, topic_id: Uuid, partition: int, offset: int, folder: Path) -> int | None:
        """In ms; None when the files do not hold the offset (any more), or enough of them have been looked into."""
        key = (topic_id, partition, offset)
        known = self._known.get(key)
        if known is not None or self._left <= 0:
            return known
        self._left -= 1
        try:
            found = batch_timestamp(folder, offset)
        except (OSError, CorruptRecordError):
            return None  # retention or a roll came in between; the next scrape asks again
        if found is not None:
            self._known[key] = found
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return found


_AGES = Ages()


def lag_seconds(s: Sampled) -> Iterator[Sample]:
    """0 for who has consumed everything; for others the age of the batch that they would get next."""
    hosted = {one.tp: one.snapshot for one in s.partitions}
    _AGES.begin()
    for row in s.committed:
        tp = TopicPartition(row.topic, row.partition)
        topic, snapshot, folder = s.image.topics.get(row.topic), hosted.get(tp), s.folders.get(tp)
        if topic is None or snapshot is None or folder is None:
            continue
        labels = (row.group, row.topic, str(row.partition))
        if row.offset >= snapshot.high_watermark:
            yield "", labels, 0
            continue
        timestamp = _AGES.timestamp(topic.topic_id, row.partition, max(row.offset, snapshot.log_start), folder)
        if timestamp is not None and timestamp >= 0:
            yield "", labels, max(0, s.now_ms - timestamp) / 1000


def batch_timestamp(folder: Path, offset: int) -> int | None:
    """The largest timestamp of the batch that holds an offset, in ms."""
    bases = (int(name.removesuffix(LOG)) for name in os.listdir(folder) if name.endswith(LOG))
    base = max((one for one in bases if one <= offset), default=None)
    if base is None:
        return None
    path = folder / segment_name(base, LOG)
    position, size = _indexed(folder / segment_name(base, INDEX), offset), path.stat().st_size
    with SegmentReader(path) as reader:
        for at in reader.positions(position, min(size, position + MAX_SCAN_BYTES)):
            if at.last_offset >= offset:
                return at.max_timestamp
    return None


def _indexed(path: Path, offset: int) -> int:
    """Where to begin: the position of the last entry at or before the offset; the file's start without one."""
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return 0
    with file:
        low, high, found = 0, os.fstat(file.fileno()).st_size // _ENTRY.size, 0
        while low < high:
            middle = (low + high) // 2
            entry = os.pread(file.fileno(), _ENTRY.size, middle * _ENTRY.size)
            key, position = _ENTRY.unpack(entry)
            if key <= offset:
                low, found = middle + 1, position
            else:
                high = middle
        return found
