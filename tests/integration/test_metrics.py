"""/metrics of a real node: what it says after a known load, what Prometheus makes of it, what dashboards ask for."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import struct
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyralog.admin.kafka_families import EXPORTER, JMX
from pyralog.admin.machine import PROCESS
from pyralog.admin.redpanda_families import PUBLIC
from pyralog.metrics import NATIVE
from tests.integration.conftest import ROOT, create_topic, make_broker, until
from tests.reference.process import Broker

pytestmark = pytest.mark.pyralog_only

DASHBOARDS = ROOT / "pyralog" / "dashboards"
needs_prometheus = pytest.mark.skipif(not shutil.which("promtool"), reason="Debian's prometheus is not installed")

RECORDS, LARGE = 6000, 7
# What stays 0, or has no samples, on a node that is well and alone. Everything else must move under load.
QUIET = {
    "unsupported_requests_total",
    "requests_waiting",
    "throttle_seconds_total",
    "partition_log_start_offset",
    "offline_partitions",
    "unopened_partitions",
    "under_replicated_partitions",
    "under_min_isr_partitions",
    "replica_lag_records",
    "replica_lag_seconds",
    "metadata_requests_waiting",
    "leader_elections_total",
    "unclean_leader_elections_total",
    "isr_shrinks_total",
    "isr_expands_total",
    "replication_errors_total",
    "consensus_errors_total",
    "task_progress_ratio",
    "cache_bytes",
    "cache_misses_total",
    "request_buffer_bytes",
    "log_dir_failed",
    "storage_errors_total",
    "corrupt_batches_total",
    "segments_deleted_total",
    "fetch_sessions",
    "auth_failures_total",
    "acl_denials_total",
    "tls_certificate_expiry_timestamp_seconds",
    "metrics_series_dropped_total",
    "log_records_total",
    "log_records_dropped_total",
    "audit_events_total",
    "partition_leader_epoch",
}


class Scrape:
    """One answer, parsed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {}
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert name not in self.families, f"{name} comes twice"
            self.families[name] = family

    def samples(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        found = {}
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name:
                    labels = frozenset(sample.labels.items())
                    assert labels not in found, f"{name}{sample.labels} comes twice"
                    found[labels] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels."""
        wanted = set(labels.items())
        return sum(value for have, value in self.samples(name).items() if wanted <= have)

    @property
    def names(self) -> set[str]:
        """Of families, and of every sample."""
        return set(self.families) | {sample.name for family in self.families.values() for sample in family.samples}


def scrape(node: Broker, path: str = "/metrics") -> Scrape:
    with urllib.request.urlopen(f"http://{node.address}{path}", timeout=30) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Scrape(response.read().decode())


class Client:
    """A librdkafka client whose own statistics say what it has sent and received."""

    def __init__(self) -> None:
        self.statistics: dict[str, Any] = {}

    def settings(self, node: Broker, **more: Any) -> dict[str, Any]:
        names = {key.replace("_", "."): value for key, value in more.items()}
        return {
            "bootstrap.servers": node.address,
            "statistics.interval.ms": 100,
            "stats_cb": lambda text: self.statistics.update(json.loads(text)),
            "log_level": 2,
            **names,
        }

    def total(self, key: str) -> int:
        return sum(broker[key] for broker in self.statistics["brokers"].values())

    def requests(self, name: str) -> int:
        return sum(broker["req"].get(name, 0) for broker in self.statistics["brokers"].values())


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with make_broker(Path(tmp_path_factory.mktemp("metrics"))) as broker:
        yield broker


def misbehave(node: Broker) -> None:
    """A request cut short, HTTP/2, and a fetch beyond the end: each is counted somewhere."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    for data in (struct.pack(">ihhih", 10, 3, 1, 7, -1), b"PRI * HTTP/2.0\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", node.port), 10) as sock:
            sock.sendall(data)
            while sock.recv(4096):
                pass
    settings = {"group.id": "nobody", "auto.offset.reset": "error", "enable.auto.commit": False, "log_level": 2}
    consumer = Consumer({"bootstrap.servers": node.address, **settings})
    consumer.assign([TopicPartition("orders", 0, 1_000_000)])
    with pytest.raises(KafkaException, match=r"OFFSET_OUT_OF_RANGE|out of range"):
        until(lambda: raised(consumer.poll(0.1)), "an error")
    consumer.close()


def raised(message: Any) -> None:
    from confluent_kafka import KafkaException

    if message is not None and message.error():
        raise KafkaException(message.error())


@pytest.fixture(scope="module")
def loaded(node: Broker) -> tuple[Scrape, Scrape, Client, Client]:
    """Before and after a load, and the clients that made it."""
    from confluent_kafka import Consumer, Producer

    create_topic(node.address, "orders", 3)
    create_topic(node.address, "narrow", 1, {"max.message.bytes": "1000"})
    misbehave(node)
    before = scrape(node)
    sending, receiving = Client(), Client()
    producer = Producer(sending.settings(node, linger_ms=1, batch_num_messages=50))
    for number in range(RECORDS):
        producer.produce("orders", b"x" * 100, partition=number % 3)
    producer.flush(30)
    failed: list[Any] = []
    for _ in range(LARGE):
        producer.produce("narrow", b"x" * 5000, on_delivery=lambda error, _: failed.append(error))
        producer.flush(30)
    assert [error.name() for error in failed] == ["MSG_SIZE_TOO_LARGE"] * LARGE
    group = {"group_id": "readers", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = Consumer(receiving.settings(node, **group))
    consumer.subscribe(["orders"])
    got: dict[int, int] = {}
    while sum(got.values()) < RECORDS:
        for message in consumer.consume(500, 1):
            assert message.error() is None
            got[message.partition()] = message.offset() + 1
    from confluent_kafka import TopicPartition

    consumer.commit(offsets=[TopicPartition("orders", n, got[n] - 100) for n in range(3)], asynchronous=False)
    for client, statistics in ((producer, sending), (consumer, receiving)):
        statistics.statistics.clear()
        until(lambda: (client.poll(0.05), statistics.statistics)[1], "statistics of the client")  # noqa: B023
    after = scrape(node)
    consumer.close()
    return before, after, sending, receiving


def test_figures_agree_with_what_the_clients_counted(loaded: tuple[Scrape, Scrape, Client, Client]) -> None:
    before, after, sending, receiving = loaded

    def moved(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert moved("pyralog_records_in_total", topic="orders") == RECORDS
    assert moved("pyralog_records_out_total", topic="orders") == RECORDS
    # Group records and rejected ones: only what was appended counts as a batch.
    batches = moved("pyralog_batches_in_total", topic="orders")
    assert moved("pyralog_batch_records_count") == pytest.approx(batches, rel=0.01, abs=5)
    assert moved("pyralog_batch_records_sum") == pytest.approx(RECORDS, rel=0.01)
    produced = sending.requests("Produce")
    assert moved("pyralog_requests_total", api="produce") == pytest.approx(produced, rel=0.01)
    assert moved("pyralog_write_latency_seconds_count") == pytest.approx(produced, rel=0.01)
    assert moved("pyralog_failed_writes_total", error="MESSAGE_TOO_LARGE") == LARGE
    assert moved("pyralog_requests_total", api="produce", error="MESSAGE_TOO_LARGE") == LARGE
    assert moved("pyralog_requests_total", api="fetch") == pytest.approx(receiving.requests("Fetch"), rel=0.01, abs=2)
    for ours, theirs in (("received", "txbytes"), ("sent", "rxbytes")):
        counted = sending.total(theirs) + receiving.total(theirs)
        assert moved(f"pyralog_{ours}_bytes_total") == pytest.approx(counted, rel=0.01)
    size = after.value("pyralog_partition_size_bytes", topic="orders")
    assert moved("pyralog_topic_received_bytes_total", topic="orders") == size
    assert moved("pyralog_topic_sent_bytes_total", topic="orders") == pytest.approx(size, rel=0.01)
    assert moved("kafka_server_brokertopicmetrics_messagesin_total", topic="orders") == RECORDS


def test_lag_in_records_and_in_time(loaded: tuple[Scrape, Scrape, Client, Client]) -> None:
    _, after, *_ = loaded
    lags = after.samples("pyralog_consumer_group_lag_records")
    assert sorted(lags.values()) == [100, 100, 100]
    assert after.value("kafka_consumergroup_lag_sum", consumergroup="readers", topic="orders") == 300
    seconds = after.samples("pyralog_consumer_group_lag_seconds")
    assert set(seconds) == set(lags)
    assert all(0 < value < 120 for value in seconds.values())
    assert after.value("pyralog_consumer_group_members", group="readers") == 1


def test_every_native_metric_moves_under_load(loaded: tuple[Scrape, Scrape, Client, Client]) -> None:
    _, after, *_ = loaded
    still = set()
    for family in NATIVE:
        suffix = "_count" if family.kind in ("histogram", "summary") else ""
        if not any(after.samples(family.name + suffix).values()):
            still.add(family.name.removeprefix("pyralog_"))
    assert still - QUIET == set()


def test_every_declared_family_is_there_with_its_labels(node: Broker) -> None:
    found = {**scrape(node).families, **scrape(node, "/public_metrics").families}
    for family in (*NATIVE, *PROCESS, *JMX, *EXPORTER, *PUBLIC):
        assert family.name in found, family.name
        for sample in found[family.name].samples:
            assert set(sample.labels) - {"le", "quantile"} == set(family.labels), family.name


def test_histograms_are_sound(loaded: tuple[Scrape, Scrape, Client, Client]) -> None:
    _, after, *_ = loaded
    for name, family in after.families.items():
        if family.type != "histogram":
            continue
        rows: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
        for labels, value in after.samples(f"{name}_bucket").items():
            bound = float(dict(labels)["le"])
            rows.setdefault(frozenset(item for item in labels if item[0] != "le"), []).append((bound, value))
        for labels, buckets in rows.items():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts)
            assert counts[-1] == after.samples(f"{name}_count")[labels]


NAMES = re.compile(r"\b((?:pyralog|process|kafka|redpanda)_\w+)")


def test_every_name_in_dashboard_and_alerts_exists(node: Broker) -> None:
    names = scrape(node).names
    dashboard = json.loads((DASHBOARDS / "grafana.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    queries += [each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    assert len(queries) > 40
    queries += re.findall(r"expr: (.*)", (DASHBOARDS / "alerts.yml").read_text(encoding="utf-8"))
    wanted = {name for query in queries for name in NAMES.findall(query)}
    assert len(wanted) > 50
    assert wanted - names == set()


def test_names_of_known_dashboards_exist(node: Broker) -> None:
    """Those that Strimzi's, kafka_exporter's and Redpanda's boards use (dashboard_names.txt)."""
    names = scrape(node).names | scrape(node, "/public_metrics").names
    path = Path(__file__).parent / "dashboard_names.txt"
    wanted = {line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")}
    assert len(wanted) > 60
    assert wanted - names == set()


@needs_prometheus
def test_promtool_finds_nothing_but_the_one_name_that_kafbat_wants(
    node: Broker, loaded: tuple[Scrape, Scrape, Client, Client]
) -> None:
    found = []
    for path in ("/metrics", "/public_metrics"):
        done = subprocess.run(
            ["promtool", "check", "metrics"],
            input=scrape(node, path).text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        found += (done.stdout + done.stderr).splitlines()
    (line,) = found
    assert line.startswith("kafka_server_BrokerTopicMetrics_FifteenMinuteRate ")
    assert "snake_case" in line


@needs_prometheus
def test_promtool_takes_rules_and_configuration(tmp_path: Path) -> None:
    for name in ("alerts.yml", "prometheus.yml"):
        shutil.copy(DASHBOARDS / name, tmp_path / name)
    for what, name in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        command = ["promtool", "check", what, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS" in done.stdout


@needs_prometheus
def test_a_real_prometheus_scrapes_and_answers(node: Broker, tmp_path: Path) -> None:
    from pyralog.testing.ports import free_port

    port = free_port()
    config = (DASHBOARDS / "prometheus.yml").read_text(encoding="utf-8")
    config = config.replace("localhost:9092", node.address).replace(": 15s", ": 1s")
    (tmp_path / "prometheus.yml").write_text(config, encoding="utf-8")
    shutil.copy(DASHBOARDS / "alerts.yml", tmp_path / "alerts.yml")
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
    with (tmp_path / "log").open("w") as output:
        process = subprocess.Popen(
            [*command, f"--storage.tsdb.path={tmp_path}/tsdb"], stdout=output, stderr=output, cwd=tmp_path
        )

    def query(expression: str) -> list[Any]:
        address = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(address, timeout=5) as response:
                return list(json.load(response)["data"]["result"])
        except OSError:
            return []

    try:
        (up,) = until(lambda: query('up{job="pyralog"} == 1'), "a scrape", 60)
        assert up["metric"]["strimzi_io_cluster"] == "pyralog"
        (leaders,) = query("pyralog_leaders")
        assert float(leaders["value"][1]) == scrape(node).value("pyralog_leaders")
        assert until(lambda: query("rate(pyralog_plane_events_total[1m])"), "a rate", 60)
        until(lambda: query('redpanda_cluster_brokers{job="pyralog-public"} == 1'), "the other endpoint", 60)
        firing = [one["metric"]["alertname"] for one in query('ALERTS{alertstate="firing",severity="critical"}')]
        assert firing == []
    finally:
        process.terminate()
        process.wait(20)


def test_families_and_the_limit_of_series(tmp_path: Path) -> None:
    settings: dict[str, object] = {"metrics.families": "native", "metrics.max_series": 1000}
    with make_broker(tmp_path / "few", settings) as broker:
        names = set(scrape(broker).families)
        assert names
        assert all(name.startswith("pyralog_") for name in names)
        assert scrape(broker, "/public_metrics").families == {}
        create_topic(broker.address, "wide", 300)
        cut = scrape(broker)
        assert sum(len(family.samples) for family in cut.families.values()) == 1000
        assert cut.value("pyralog_metrics_series_dropped_total") > 1000
        assert cut.value("pyralog_leaders") == 300
        scrape(broker)
        warned = [line for line in broker.log_tail(1 << 20).splitlines() if "metrics.max_series" in line]
        assert len(warned) == 1


class Steps:
    """Awaits a coroutine and notes the processor time of each of its steps, which is what it keeps the loop for."""

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine
        self.seconds: list[float] = []

    def __await__(self) -> Any:
        inner = self._coroutine.__await__()
        while True:
            began = time.thread_time()
            try:
                waits_for = next(inner)
            except StopIteration as end:
                return end.value
            finally:
                self.seconds.append(time.thread_time() - began)
            yield waits_for


def test_a_scrape_keeps_the_loop_for_moments_only() -> None:
    """1,000 partitions: less than 5 ms at a time, and 50 ms in all."""
    from pyralog.testing import Broker as Embedded

    with Embedded() as broker:
        create_topic(broker.bootstrap_servers, "wide", 1000)
        node, loop = broker._node, broker._loop
        assert node is not None
        assert loop is not None
        assert node._http is not None
        scraper = node._http._sources.scraper
        assert scraper is not None
        found = []
        for _ in range(5):
            steps = Steps(scraper.scrape(public=False))

            async def scraped(steps: Steps = steps) -> Any:
                return await steps

            text = asyncio.run_coroutine_threadsafe(scraped(), loop).result(60)
            assert text.body.count(b"\n") > 15_000
            found.append((max(steps.seconds), sum(steps.seconds)))
    assert min(longest for longest, _ in found) < 0.005
    assert min(total for _, total in found) < 0.05
