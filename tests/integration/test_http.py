"""HTTP beside Kafka on one port of a real node: the guide's curl lines, every field, no connection mistaken."""

from __future__ import annotations

import asyncio
import json
import random
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ROOT, Worker, create_topic, make_broker, until
from tests.reference.process import Broker

pytestmark = pytest.mark.pyralog_only

GUIDE = ("/health", "/status", "/partitions/0/status", "/replication/status")
DOCUMENTED = (
    *GUIDE,
    "/health/live",
    "/health/ready",
    "/topics/orders/partitions/1/status",
    "/partitions/1/status?topic=orders",
    "/api/v1/cluster",
    "/api/v1/nodes",
    "/api/v1/topics",
    "/api/v1/topics/orders",
    "/api/v1/topics/orders/configs",
    "/api/v1/partitions?internal=true",
    "/api/v1/groups",
    "/api/v1/groups/readers",
    "/api/v1/transactions",
    "/api/v1/configs",
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with make_broker(Path(tmp_path_factory.mktemp("http"))) as broker:
        create_topic(broker.address, "orders", 2)
        use(broker.address)
        yield broker


def use(address: str) -> None:
    """Records, a group with a member and a lag, and a transaction."""
    from confluent_kafka import Consumer, Producer

    producer = Producer({"bootstrap.servers": address, "transactional.id": "till", "log_level": 2})
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in range(100):
        producer.produce("orders", b"x" * 100, partition=number % 2)
    producer.commit_transaction(30)
    settings = {"group.id": "readers", "auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 2}
    consumer = Consumer({"bootstrap.servers": address, **settings})
    consumer.subscribe(["orders"])
    got = 0
    while got < 40:
        got += len(consumer.consume(40 - got, 1))
    consumer.commit(asynchronous=False)
    consumer.close()


def curl(node: Broker, path: str, *options: str) -> tuple[int, str]:
    command = ["curl", "-s", "--max-time", "20", "-w", "\n%{http_code}", *options, f"http://{node.address}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def asked(node: Broker, path: str) -> Any:
    status, body = curl(node, path)
    assert status == 200, body
    return json.loads(body)


def test_the_curl_lines_of_the_guide_while_clients_are_busy(node: Broker, tmp_path: Path) -> None:
    create_topic(node.address, "busy", 3)
    worker = Worker("produce", "confluent-kafka", node, "busy", tmp_path)
    try:
        until(lambda: worker.acked() > 100, "a busy producer")
        for _ in range(5):
            before = worker.acked()
            assert asked(node, "/health")["status"] == "ok"
            assert asked(node, "/status")["partitions"]["offline"] == 0
            topics = [one["topic"] for one in asked(node, "/partitions/0/status")["partitions"]]
            assert {"busy", "orders"} <= set(topics)
            assert asked(node, "/replication/status")["followers"] == []
            until(lambda: worker.acked() > before, "the producer goes on")  # noqa: B023
        worker.stop()
        worker.finish()
    finally:
        worker.process.kill()
        worker.process.wait(10)
    served = asked(node, "/partitions/0/status?topic=busy")["partitions"][0]
    assert served["high_watermark"] == served["log_end_offset"] > 0


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from keys_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from keys_of(each)


@pytest.mark.parametrize("path", DOCUMENTED)
def test_every_field_is_documented(node: Broker, path: str) -> None:
    text = (ROOT / "docs" / "HTTP.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([\w.]+)`", text))
    found = asked(node, path)
    for by_name in ("features", "config"):
        found.pop(by_name, None)  # its keys are data
    assert set(keys_of(found)) - documented == set()


def test_figures_are_those_of_the_clients(node: Broker) -> None:
    topic = asked(node, "/api/v1/topics/orders")
    assert topic["received_records"] == 100 + 2  # with the marker of the transaction in each partition, as in Kafka
    assert topic["groups"] == ["readers"]
    group = asked(node, "/api/v1/groups/readers")
    assert sum(one["committed_offset"] for one in group["items"]) == 40
    assert [one["lag"] for one in group["items"]] == [51 - one["committed_offset"] for one in group["items"]]
    assert group["lag"] == sum(one["lag"] for one in group["items"]) >= 11
    (row,) = asked(node, "/api/v1/groups")["items"]
    assert (row["group"], row["kind"], row["state"], row["lag"]) == ("readers", "classic", "Empty", group["lag"])
    (transaction,) = asked(node, "/api/v1/transactions")["items"]
    assert (transaction["transactional_id"], transaction["state"]) == ("till", "CompleteCommit")
    ack = asked(node, "/status")["acknowledgement"]
    assert (ack["sync_on_write"], ack["survives_process_crash"], ack["survives_power_failure"]) == (False, True, False)
    assert "within 10 ms or 64 MiB," in ack["acks_all"]


def test_pages_and_refusals(node: Broker) -> None:
    create_topic(node.address, "many", 25)
    seen, offset = [], 0
    while offset is not None:
        page = asked(node, f"/api/v1/partitions?topic=many&limit=10&offset={offset}")
        seen += [one["partition"] for one in page["items"]]
        offset = page["next"]
    assert seen == list(range(25))
    for path, status, field in (
        ("/partitions/0/status?topic=nothing", 404, "error"),
        ("/partitions/77/status", 404, "error"),
        ("/partitions/7/status?topic=orders", 404, "error"),
        ("/topics/nothing/partitions/0/status", 404, "error"),
        ("/api/v1/topics/nothing", 404, "error"),
        ("/api/v1/topics/nothing/configs", 404, "error"),
        ("/api/v1/partitions?topic=nothing", 404, "error"),
        ("/console/nothing.js", 404, "error"),
        ("/topics/orders/partitions/7/status", 404, "error"),
        ("/topics/orders/partitions/x/status", 400, "error"),
        ("/api/v1/partitions?limit=10001", 400, "error"),
        ("/api/v1/topics?internal=maybe", 400, "error"),
        ("/api/v1/groups/nobody", 404, "error"),
        ("/statsu", 404, "nearest"),
    ):
        got, body = curl(node, path)
        assert got == status
        assert json.loads(body)["status"] == status
        assert json.loads(body)[field]
    assert curl(node, "/health", "-X", "DELETE")[0] == 405
    assert curl(node, "/health", "-H", "Host: evil.example")[0] == 421
    assert curl(node, "/health", "-H", "Origin: http://evil.example")[0] == 403
    assert curl(node, "/health", "-I")[0] == 200


def test_a_node_without_topics(tmp_path: Path) -> None:
    with make_broker(tmp_path) as fresh:
        for path in ("/partitions/0/status", "/api/v1/partitions?internal=true"):
            found = asked(fresh, path)
            assert found.get("partitions", found.get("items")) == []
        assert curl(fresh, "/partitions/1/status")[0] == 404


def test_the_interface_describes_itself(node: Broker) -> None:
    found = asked(node, "/api/v1/openapi.json")
    assert found["openapi"].startswith("3.1")
    for path, item in found["paths"].items():
        named = {one["name"] for one in item["get"]["parameters"] if one["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
    identities = [item["get"]["operationId"] for item in found["paths"].values()]
    assert len(set(identities)) == len(identities)
    status, page = curl(node, "/api/v1/")
    assert status == 200
    assert not re.search(r"https?://|<script|\bsrc=", page)
    for link in re.findall(r'href="([^"]+)"', page):
        assert curl(node, link)[0] == 200


API_VERSIONS = struct.pack(">hhih", 18, 0, 77, -1)


async def one_connection(port: int, rng: random.Random) -> None:
    """Speak HTTP or Kafka, in pieces of any size; the answer must be of the same kind."""
    http = rng.random() < 0.5
    data = struct.pack(">i", len(API_VERSIONS)) + API_VERSIONS
    if http:
        data = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    cut = rng.choice((0, 1, 2, 3, 4, 5, len(data)))
    writer.write(data[:cut])
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(data[cut:])
    if http:
        assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 200 OK\r\n")
    else:
        (size,) = struct.unpack(">i", await asyncio.wait_for(reader.readexactly(4), 30))
        body = await asyncio.wait_for(reader.readexactly(size), 30)
        assert struct.unpack_from(">ih", body) == (77, 0)
    writer.close()
    await writer.wait_closed()


async def test_a_thousand_mixed_connections_are_never_mistaken(node: Broker) -> None:
    rng = random.Random(5)
    for _ in range(10):
        await asyncio.gather(*(one_connection(node.port, rng) for _ in range(100)))


def test_a_port_of_its_own(tmp_path: Path) -> None:
    from pyralog.testing.ports import free_port

    port = free_port()
    settings: dict[str, object] = {"network.admin_address": f"127.0.0.1:{port}"}
    with make_broker(tmp_path / "own", settings) as broker:
        done = subprocess.run(
            ["curl", "-s", f"http://127.0.0.1:{port}/status"], capture_output=True, text=True, check=True, timeout=30
        )
        assert json.loads(done.stdout)["status"] == "ok"
        assert asked(broker, "/health")["status"] == "ok"
