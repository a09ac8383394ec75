"""Speed of log compaction on one core: python -m tests.benchmarks.compaction [--mib N] [--keys N] [--codec C].

A log of batches of 16 KiB is written, then one pass of the cleaner over all of it is timed, without its swaps.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from pyralog._speedups.keymap import KeyMap
from pyralog.records.batch import Record, build
from pyralog.records.compression import Codec
from pyralog.storage.compaction import Compaction, Rules, cleanable
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import open_partition

VARIANTS = 2048


class Info(NamedTuple):
    base_offset: int
    next_offset: int
    size_bytes: int
    max_timestamp: int
    max_timestamp_offset: int
    created_ms: int


def fill(folder: Path, total_bytes: int, keys: int, value_bytes: int, codec: Codec) -> list[Info]:
    rng = random.Random(1)
    per_batch = max(1, 16_384 // (value_bytes + 20))
    log = open_partition(folder, config=LogConfig(segment_bytes=64 << 20), now_ms=1)
    variants = []
    for _ in range(VARIANTS):
        rows = [
            Record(i, 1000 + i, b"key-%08d" % rng.randrange(keys), rng.randbytes(value_bytes)) for i in range(per_batch)
        ]
        variants.append(build(rows, codec=codec, leader_epoch=0))
    while log.size_bytes < total_bytes:
        data = bytearray(variants[rng.randrange(VARIANTS)])
        data[:8] = log.log_end.to_bytes(8, "big")
        log.append([bytes(data)], 1)
    log.roll(1)
    log.sync()
    log.write_indexes()
    segments = [Info(*row) for row in log.segments()]
    log.close()
    return segments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--value", type=int, default=100)
    parser.add_argument("--codec", default="none", choices=[codec.name.lower() for codec in Codec])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pyralog-compaction-"))
    try:
        codec = Codec[arguments.codec.upper()]
        segments = fill(folder / "t-0", arguments.mib << 20, arguments.keys, arguments.value, codec)
        end = segments[-1].next_offset
        work = cleanable(
            segments, log_start=0, checkpoint=0, last_stable=end, synced=end, min_lag_ms=0, max_lag_ms=1 << 62, now_ms=1
        )
        rules = Rules(86_400_000, 64 << 20, 10 << 20, 4096, 1 << 30)
        job = Compaction(folder / "t-0", work, rules, KeyMap(128 << 20, bytes(16)), aborted=(), producers=(), now_ms=1)
        began, cpu = time.perf_counter(), time.process_time()
        written = [job.write(group) for group in job.build_map()]
        took, used = time.perf_counter() - began, time.process_time() - cpu
        kept = sum(found.size_bytes for found in written if found is not None)
        records_in, records_out = job.records
        mib = (work.clean_bytes + work.dirty_bytes) / (1 << 20)
        print(
            f"{mib:.0f} MiB in {took:.2f} s: {mib * 1.048576 / took:.0f} MB/s of input, CPU {used:.2f} s, "
            f"{records_in:,} records to {records_out:,} ({kept / (1 << 20):.0f} MiB), "
            f"peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
        )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
