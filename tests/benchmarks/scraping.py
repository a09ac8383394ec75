"""What scrapes of 20,000 series do to the latency of producers: one load, cut into slices with and without a scrape.

python -m tests.benchmarks.scraping [--slices 28] [--slice 1.5] [--rate 0]

A slice with a scrape is one in 1.5 s. Prometheus asks every 15 s: the figure for that is of nine slices without to one
with, by weight. In brackets: the ratios of 90 of 100 draws of the slices at hand; with more to do than processors, p99
is what the scheduler makes of it, and they are far apart. It takes less than a minute.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence

from pyralog.testing.ports import HOST
from pyralog.testing.wire import Wire
from tests.benchmarks import loadgen
from tests.reference.process import Broker
from tests.reference.pyralog import Pyralog

TOPICS, PARTITIONS = 20, 50  # about 20 series a partition
PROMETHEUS_S = 15.0
DRAWS = 100
Latencies = Counter[int]


class Scraper:
    """Asks for /metrics once whenever it is told to, beside the load."""

    def __init__(self, broker: Broker) -> None:
        self.text = b""
        self.seconds: list[float] = []
        self._address = broker.address
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a scrape is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin one."""
        self._thread = threading.Thread(target=self._scrape)
        self._thread.start()

    def _scrape(self) -> None:
        began = time.perf_counter()
        with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=60) as answer:
            self.text = answer.read()
        self.seconds.append(time.perf_counter() - began)

    def join(self) -> None:
        """Wait for the one under way."""
        if self._thread is not None:
            self._thread.join()

    @property
    def series(self) -> int:
        """How many the last one had."""
        return sum(not line.startswith(b"#") for line in self.text.splitlines())


def p99_us(without: Sequence[Latencies], with_one: Sequence[Latencies], share: float) -> float:
    """p99 of a time of which `share` is slices with a scrape, and the rest is slices without."""
    merged: Counter[float] = Counter()
    for slices, weight in ((without, 1 - share), (with_one, share)):
        for each in slices:
            for latency, count in each.items():
                merged[latency] += count * weight / len(slices)
    left = 0.99 * sum(merged.values())
    for latency in sorted(merged):
        left -= merged[latency]
        if left <= 0:
            return latency / 1000
    raise ValueError("nothing was measured")


def spread(without: Sequence[Latencies], with_one: Sequence[Latencies], share: float) -> tuple[float, float]:
    """Between which ratios nine of ten draws of as many slices lie."""
    draw = random.Random(1)
    ratios = []
    for _ in range(DRAWS):
        off = draw.choices(without, k=len(without))
        on = draw.choices(with_one, k=len(with_one))
        ratios.append(p99_us(off, on, share) / p99_us(off, on, 0))
    ratios.sort()
    return ratios[DRAWS // 20], ratios[-DRAWS // 20]


def measure(
    broker: Broker, count: int, slice_s: float, rate: float
) -> tuple[list[Latencies], list[Latencies], Scraper]:
    """Slices without a scrape, those in which one began or went on, and who scraped."""
    scraper = Scraper(broker)
    scraper.start()  # the first imports what renders
    scraper.join()
    scraper.seconds.clear()
    without: list[Latencies] = []
    with_one: list[Latencies] = []
    scraped = False
    flags = {"topic": "bench", "conns": 4, "inflight": 1, "warm": 1, "rate": rate}
    for seen in loadgen.slices(broker, "produce", secs=(count + 0.5) * slice_s, slice=slice_s, **flags):
        (with_one if scraped else without).append(seen)
        going_on = scraper.busy
        if not going_on and not scraped:
            scraper.start()
        scraped = going_on or not scraped
    scraper.join()
    return without, with_one, scraper


def main() -> None:
    """Print p99 without scrapes, with one a slice and with one in 15 s, and how far they are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=28)
    parser.add_argument("--slice", type=float, default=1.5, help="seconds")
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0: what four producers can")
    options = parser.parse_args()
    with Pyralog(settings={"metrics.max_series": 100_000}) as broker:
        with Wire(HOST, broker.port) as wire:
            wire.create_topics([f"t{n}" for n in range(TOPICS)], PARTITIONS, 1, {})
            wire.create_topics(["bench"], 8, 1, {})
        without, with_one, scraper = measure(broker, options.slices, options.slice, options.rate)
    took = statistics.median(scraper.seconds) * 1000
    requests = sum(each.total() for each in without) / len(without) / options.slice
    print(f"{len(scraper.seconds)} scrapes of {scraper.series} series, {took:.0f} ms each; {requests:,.0f} requests/s")
    print(f"{len(without)} slices without a scrape: p99 {p99_us(without, with_one, 0):.1f} us")
    for name, share in ((f"{options.slice:g}", 1.0), (f"{PROMETHEUS_S:g}", options.slice / PROMETHEUS_S)):
        ratio = p99_us(without, with_one, share) / p99_us(without, with_one, 0)
        low, high = spread(without, with_one, share)
        print(
            f"a scrape in {name} s: p99 {p99_us(without, with_one, share):.1f} us, x{ratio:.3f} [{low:.3f}, {high:.3f}]"
        )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
