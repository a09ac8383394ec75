"""What scrapes of 20,000 series do to the latency of producers: runs with and without them, in turn.

python -m tests.benchmarks.scraping [--runs 10] [--secs 15] [--every 15]

Needs a quiet machine: with more to do than processors, p99 is what the scheduler makes of it.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
import urllib.request

from confluent_kafka.admin import AdminClient, NewTopic

from tests.benchmarks import loadgen
from tests.reference.process import Broker
from tests.reference.pyralog import Pyralog

TOPICS, PARTITIONS = 20, 50  # about 20 series a partition


class Scraper:
    """Asks for /metrics again and again, as Prometheus does."""

    def __init__(self, broker: Broker, every_s: float) -> None:
        self.series = 0
        self.seconds: list[float] = []
        self._address = broker.address
        self._every_s = every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            began = time.perf_counter()
            with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=60) as answer:
                lines = answer.read().splitlines()
            self.seconds.append(time.perf_counter() - began)
            self.series = sum(not line.startswith(b"#") for line in lines)
            self._end.wait(self._every_s)

    def stop(self) -> None:
        """After the scrape at hand."""
        self._end.set()
        self._thread.join()


def main() -> None:
    """Print a line for each way, and how far they are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="of each way")
    parser.add_argument("--secs", type=float, default=15)
    parser.add_argument("--every", type=float, default=15, help="seconds between two scrapes")
    options = parser.parse_args()
    found: dict[str, list[float]] = {"without": [], "with": []}
    with Pyralog(settings={"metrics.max_series": 100_000}) as broker:
        topics = [NewTopic(f"t{n}", PARTITIONS, 1) for n in range(TOPICS)] + [NewTopic("bench", 8, 1)]
        admin = AdminClient({"bootstrap.servers": broker.address})  # its end would be that of its requests
        for made in admin.create_topics(topics).values():
            made.result(60)
        for number in range(2 * options.runs):
            scraper = Scraper(broker, options.every) if number % 2 else None
            figures = loadgen.run(broker, "produce", topic="bench", conns=4, inflight=1, secs=options.secs)
            found["with" if scraper else "without"].append(figures["p99_us"])
            if scraper:
                scraper.stop()
    for way, values in found.items():
        print(f"{way:8} p99 us: median {statistics.median(values):.1f}, all {[round(value) for value in values]}")
    assert scraper is not None
    print(f"{scraper.series} series, {statistics.median(scraper.seconds) * 1000:.0f} ms a scrape")
    change = statistics.median(found["with"]) / statistics.median(found["without"]) - 1
    print(f"p99 with scrapes: {change:+.1%}")


if __name__ == "__main__":
    main()
