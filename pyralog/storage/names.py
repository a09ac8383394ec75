"""Names of files and folders under a log directory: Kafka's, so that its tools find their way."""

from __future__ import annotations

import re
from typing import NamedTuple

from pyralog.model import TopicPartition

LOG, INDEX, TIMEINDEX, SNAPSHOT, TXNINDEX = ".log", ".index", ".timeindex", ".snapshot", ".txnindex"
SEGMENT_SUFFIXES = (LOG, INDEX, TIMEINDEX, SNAPSHOT, TXNINDEX)
DELETED = ".deleted"  # a segment file waiting for file.delete.delay.ms
CLEANED = ".cleaned"  # a segment file that the log cleaner is writing
SWAP = ".swap"  # one that is whole and is to take the place of others (swapping.py)
TEMPORARY = ".tmp"  # written, synced, then renamed
QUARANTINE = ".quarantine"  # bytes that could not be read; kept for the operator
DELETE_FOLDER = "-delete"  # a partition folder about to be removed
STRAY_FOLDER = "-stray"  # a partition folder that nobody knows

LOCK_FILE = ".lock"
CLEAN_FILE = ".clean_shutdown"
METADATA_FILE = "partition.metadata"
EPOCHS_FILE = "leader-epoch-checkpoint"
RECOVERY_POINTS_FILE = "recovery-point-offset-checkpoint"
LOG_STARTS_FILE = "log-start-offset-checkpoint"
CLEANED_FILE = "cleaner-offset-checkpoint"
COMPACTED_FILE = "compacted-to"  # in a partition: below that offset compaction may have made gaps

_SEGMENT = re.compile(r"(\d{20})(\.log|\.index|\.timeindex|\.snapshot|\.txnindex)")
_PARTITION = re.compile(r"([a-zA-Z0-9._-]{1,249})-(\d{1,10})")
_RETIRED = re.compile(r".+\.[0-9a-f]{32}(-delete|-stray)")
_MOST_OFFSET = 1 << 61  # no log gets there; recovery believes offsets up to twice as high


class SegmentFile(NamedTuple):
    """A segment file by the offset and the suffix in its name."""

    offset: int
    suffix: str


def segment_name(offset: int, suffix: str) -> str:
    return f"{offset:020d}{suffix}"


def parse_segment(name: str) -> SegmentFile | None:
    match = _SEGMENT.fullmatch(name)
    if match is None:
        return None
    offset = int(match[1])
    return SegmentFile(offset, match[2]) if offset < _MOST_OFFSET else None


def partition_folder(tp: TopicPartition) -> str:
    return f"{tp.topic}-{tp.partition}"


def parse_partition(name: str) -> TopicPartition | None:
    """The partition a folder is named for; None for any other folder."""
    match = _PARTITION.fullmatch(name)
    if match is None or _RETIRED.fullmatch(name) or match[1] in (".", ".."):
        return None
    partition = int(match[2])
    # "a-01" is nobody's folder: partition_folder would not make it.
    return TopicPartition(match[1], partition) if str(partition) == match[2] and partition < 1 << 31 else None


def retired_folder(name: str, unique: str, suffix: str) -> str:
    """`<topic>-<partition>.<unique>-delete` (or -stray), the topic shortened to what a file name may hold."""
    room = 255 - len(unique) - len(suffix) - 1
    return f"{name[:room]}.{unique}{suffix}"


def is_retired(name: str, suffix: str) -> bool:
    match = _RETIRED.fullmatch(name)
    return match is not None and match[1] == suffix
