"""Speed and memory of log compaction on one core: python -m tests.benchmarks.compaction [--mib N] [--keys N].

A log of batches of 16 KiB is written, then the passes of the cleaner over all of it are timed, without their swaps.
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

from pyralog._speedups.crc32c import checksum
from pyralog._speedups.keymap import KeyMap
from pyralog.net.plane_types import SegmentInfo
from pyralog.records.batch import Record, build
from pyralog.records.compression import Codec
from pyralog.storage.compaction import Compaction, Rules, cleanable
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import open_partition

VARIANTS = 2048
PLACE = b"@@@@@@@@"  # in keys, for the number of their batch


def fill(folder: Path, total_bytes: int, keys: int, value_bytes: int, codec: Codec) -> list[SegmentInfo]:
    """Keys at random; with 0 keys no key comes twice."""
    rng = random.Random(1)
    per_batch = max(1, 16_384 // (value_bytes + 20))
    log = open_partition(folder, config=LogConfig(segment_bytes=64 << 20), now_ms=1)
    variants = []
    for _ in range(VARIANTS if keys else 1):
        names = [b"key-%08d" % rng.randrange(keys) if keys else PLACE + b"%04d" % i for i in range(per_batch)]
        rows = [Record(i, 1000 + i, name, rng.randbytes(value_bytes)) for i, name in enumerate(names)]
        variants.append(build(rows, codec=codec, leader_epoch=0))
    number = 0
    while log.size_bytes < total_bytes:
        template = variants[rng.randrange(len(variants))]
        data = bytearray(template if keys else template.replace(PLACE, b"%08d" % number))
        data[:8] = log.log_end.to_bytes(8, "big")
        if not keys:
            data[17:21] = checksum(data[21:]).to_bytes(4, "big")
        log.append([bytes(data)], 1)
        number += 1
    log.roll(1)
    log.sync()
    log.write_indexes()
    segments = [SegmentInfo(*row) for row in log.segments()]
    log.close()
    return segments


class Figures(NamedTuple):
    """Of one run; `cpu_s` is what a processor was busy with it, whatever else the machine did."""

    input_bytes: int
    passes: int
    took_s: float
    cpu_s: float
    records_in: int
    records_out: int
    peak_rss_bytes: int


def clean(folder: Path, segments: list[SegmentInfo], map_bytes: int) -> Figures:
    """As many passes as the map takes, without their swaps."""
    end, first_dirty, passes = segments[-1].next_offset, 0, 0
    rules = Rules(86_400_000, 64 << 20, 10 << 20, 4096, 1 << 30)
    keys = KeyMap(map_bytes, bytes(16))
    total = sum(segment.size_bytes for segment in segments)
    records_in = records_out = 0
    began, cpu = time.perf_counter(), time.process_time()
    while first_dirty < end:
        work = cleanable(
            segments,
            log_start=0,
            checkpoint=first_dirty,
            last_stable=end,
            synced=end,
            min_lag_ms=0,
            max_lag_ms=1 << 62,
            now_ms=1,
        )
        job = Compaction(folder, work, rules, keys, aborted=(), producers=(), now_ms=1)
        for group in job.build_map():
            job.write(group)
        first_dirty = job.end_offset
        records_in, records_out = records_in + job.records[0], records_out + job.records[1]
        passes += 1
    took, used = time.perf_counter() - began, time.process_time() - cpu
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Figures(total, passes, took, used, records_in, records_out, rss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--keys", type=int, default=1_000_000, help="0: no key comes twice")
    parser.add_argument("--value", type=int, default=100, help="bytes of a value")
    parser.add_argument("--map-mib", type=int, default=128, help="memory for keys: storage.cleaner.key_map_bytes")
    parser.add_argument("--codec", default="none", choices=[codec.name.lower() for codec in Codec])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pyralog-compaction-"))
    try:
        codec = Codec[arguments.codec.upper()]
        segments = fill(folder / "t-0", arguments.mib << 20, arguments.keys, arguments.value, codec)
        found = clean(folder / "t-0", segments, arguments.map_mib << 20)
        print(
            f"{found.input_bytes >> 20} MiB in {found.passes} passes: {found.took_s:.2f} s, {found.cpu_s:.2f} s CPU, "
            f"{found.input_bytes / found.cpu_s / 1e6:.0f} MB/s of a core, {found.records_in:,} records read, "
            f"{found.records_out:,} kept, peak RSS {found.peak_rss_bytes >> 20} MiB"
        )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
