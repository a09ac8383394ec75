"""A coordinator's shard of a million committed offsets, from its log: what a restart or a new leader waits for."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pyralog._speedups.journal import Entry
from pyralog.cluster.image import ClusterImage
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.loading import Piece, apply, read
from pyralog.runtime import BulkLoad
from pyralog.wire.coordinator_records import GROUP_RECORDS
from tests.benchmarks.loads import Bar
from tests.benchmarks.session import Session

COMMITS = 1_000_000
PER_BATCH = 100
NOW_MS = 1_700_000_000_000
TOPIC_ID = bytes(range(16))


def record(number: int) -> tuple[int, bytes, bytes | None]:
    """Partition 0 to 9 of topic 0 to 9 of a group, and the next group."""
    group, topic = b"group-%06d" % (number // 100), b"topic-%d" % (number // 10 % 10)
    key = struct.pack(">hh", 1, len(group)) + group + struct.pack(">h", len(topic)) + topic
    value = struct.pack(">hqibq", 4, number, -1, 1, NOW_MS + number) + b"\1\0\x10" + TOPIC_ID
    return NOW_MS + number, key + struct.pack(">i", number % 10), value


def write_log(path: Path, count: int) -> int:
    """A segment of so many commits in batches, as a group coordinator leaves it; its size."""
    with path.open("wb") as out:
        for first in range(0, count, PER_BATCH):
            entry = Entry(None, first)
            for number in range(first, first + PER_BATCH):
                entry.add(*record(number))
            made = bytearray(entry.batch())
            made[:8] = struct.pack(">q", first)
            out.write(made)
    return path.stat().st_size


def measure(folder: Path, size: int, count: int) -> float:
    """Seconds to read the log and apply it."""
    shard = GroupShard(0, GroupSettings(), ClusterImage(), lambda: "id")
    began = time.perf_counter()
    with BulkLoad() as bulk:
        applied = apply(read(folder, [Piece(0, size)]), shard, GROUP_RECORDS)
        bulk.made(applied)
    took = time.perf_counter() - began
    assert applied == count == shard.offsets.count, (applied, shard.offsets.count)
    return took


def rebuild(session: Session) -> None:
    """Each time in a process of its own, as memory that was used before would be faster."""
    with tempfile.TemporaryDirectory() as folder:
        size = write_log(Path(folder, "00000000000000000000.log"), COMMITS)
        command = [sys.executable, "-m", "tests.benchmarks.rebuild", folder, str(size), str(COMMITS)]
        seconds = [
            float(json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout))
            for _ in range(session.options.repetitions)
        ]
    session.add(
        f"{COMMITS:,} commits", "shard rebuilt", "s", {"pyralog": seconds}, bar=Bar("", at_most=2), relative=False
    )


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
