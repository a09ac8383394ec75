"""How long the metadata of many partitions takes to encode, append, replay, snapshot and load: prints a table.

python -m tests.benchmarks.metadata [partitions]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pyralog.cluster.image import EMPTY, replay_batch
from pyralog.cluster.raft_storage import MetadataLog, load_snapshot
from pyralog.cluster.records import LeadershipRecord, PartitionRecord, Record, TopicRecord, decode, encode

T = TypeVar("T")
PARTITIONS_PER_TOPIC = 10
REPEATS = 5


def timed(what: str, work: Callable[[], T]) -> T:
    """The result of the work; prints the fastest of some runs."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - began)
    print(f"{what:<34} {best * 1000:9.1f} ms")
    return result


def main() -> None:
    partitions = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    records: list[Record] = []
    for number in range(partitions // PARTITIONS_PER_TOPIC):
        topic_id = number.to_bytes(16, "big")
        records.append(TopicRecord(f"topic-{number}", topic_id))
        records += [PartitionRecord(topic_id, p, (1,), (1,), 1, 0) for p in range(PARTITIONS_PER_TOPIC)]
    print(f"{partitions} partitions, {len(records)} records, fastest of {REPEATS}")
    encoded = timed("encode records", lambda: [encode(record) for record in records])
    timed("decode records", lambda: [decode(data) for data in encoded])
    last = len(records) - 1
    image, _ = timed(
        "replay into an image", lambda: replay_batch(EMPTY, records, offset=last, epoch=1, controller_id=1)
    )
    bump: list[Record] = [LeadershipRecord(1)]
    timed("new leader epochs for all", lambda: replay_batch(image, bump, offset=last + 1, epoch=1, controller_id=1))
    one: list[Record] = [TopicRecord("one-more", b"x" * 16), PartitionRecord(b"x" * 16, 0, (1,), (1,), 1, 0)]
    timed("one more topic", lambda: replay_batch(image, one, offset=last + 2, epoch=1, controller_id=1))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, 4):
            log = MetadataLog(Path(folder) / str(number))
            log.load()
            began = time.perf_counter()
            log.append(1, records, 0)
            print(f"{'append as one batch, with fsync':<34} {(time.perf_counter() - began) * 1000:9.1f} ms")
            log.close()
        timed("start from the log", lambda: MetadataLog(Path(folder) / "1").load())
        log = MetadataLog(Path(folder) / "1")
        log.load()
        log.save_snapshot(image)
        log.close()
        (snapshot,) = log.directory.glob("*.checkpoint")
        timed("load a snapshot", lambda: load_snapshot(snapshot))
        print(f"{'size of the snapshot':<34} {snapshot.stat().st_size / 1024:9.1f} KiB")


if __name__ == "__main__":
    main()
