"""`docker run -p 9092:9092 -e NODE_ID=1`: the host and another container both produce and consume, with no setting.

Without Docker: a bridge between three network namespaces, and a proxy on the "host" for the published port.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GATEWAY, BROKER, OTHER = "172.30.93.1", "172.30.93.2", "172.30.93.3"
# Connections to the host's port go on to the broker; to the broker they come from the gateway.
PROXY = f"""
import asyncio
async def serve(reader, writer):
    other = await asyncio.open_connection({BROKER!r}, 9092)
    async def pump(source, target):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()
    await asyncio.gather(pump(reader, other[1]), pump(other[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(serve, None, 9092)
    print("listening", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
# A producer and a consumer that know one address, as an application would.
ROUND_TRIP = """
import sys
from kafka import KafkaConsumer, KafkaProducer
address, topic = sys.argv[1:]
producer = KafkaProducer(bootstrap_servers=address)
producer.send(topic, topic.encode()).get(30)
producer.close()
consumer = KafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest", consumer_timeout_ms=30000)
print(next(consumer).value.decode())
consumer.close()
"""


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr}")


class Network:
    """Three namespaces: the host with a bridge, the broker's, and another container's."""

    def __init__(self) -> None:
        self.host, self.broker, self.other = (f"pyralog-{kind}-{os.getpid()}" for kind in ("h", "b", "o"))

    def build(self) -> None:
        for name in (self.host, self.broker, self.other):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.host, "link", "add", "br0", "type", "bridge")
        ip("-n", self.host, "addr", "add", f"{GATEWAY}/24", "dev", "br0")
        ip("-n", self.host, "link", "set", "br0", "up")
        for port, (name, address) in enumerate(((self.broker, BROKER), (self.other, OTHER))):
            ip("-n", self.host, "link", "add", f"port{port}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", self.host, "link", "set", f"port{port}", "master", "br0", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "route", "add", "default", "via", GATEWAY)

    def remove(self) -> None:
        for name in (self.host, self.broker, self.other):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=30)


def within(namespace: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *command]


def await_line(process: subprocess.Popen[str], word: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    assert process.stdout is not None
    while word not in (line := process.stdout.readline()):
        assert line, f"ended with {process.wait(10)} before it said {word}"
        assert time.monotonic() < deadline


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """The broker as the image starts it, in what looks like a container, with its port published."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("unshare") and shutil.which("kcat")):
        pytest.skip("needs root, ip, unshare and kcat")
    net = Network()
    running: list[subprocess.Popen[str]] = []
    try:
        try:
            net.build()
        except OSError as error:
            pytest.skip(f"no network namespaces here: {error}")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "NODE_ID": "1"}
        environment["PYRALOG_DATA_DIR"] = str(tmp_path / "data")
        # A mark that container engines leave, where only this process sees it.
        marked = 'mount -t tmpfs none /run && touch /run/.containerenv && exec "$@"'
        broker = [sys.executable, "-m", "pyralog.cli.daemon", "--config", str(ROOT / "packaging/container/config.yaml")]
        contained = ["unshare", "--mount", "--propagation", "private", "sh", "-c", marked, "sh", *broker]
        for namespace, command, word in (
            (net.broker, contained, " ready"),
            (net.host, [sys.executable, "-c", PROXY], "listening"),
        ):
            process = subprocess.Popen(
                within(namespace, *command), env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
            )
            running.append(process)
            await_line(process, word)
        yield net
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        net.remove()


def round_trips(namespace: str, address: str, topic: str) -> None:
    """kafka-python and kcat produce and consume."""
    python = within(namespace, sys.executable, "-c", ROUND_TRIP, address, topic)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(python, env=environment, capture_output=True, text=True, timeout=100, check=True)
    assert told.stdout == f"{topic}\n"
    kcat = within(namespace, "kcat", "-b", address, "-t", f"{topic}-kcat")
    subprocess.run([*kcat, "-P"], input="hello\n", text=True, capture_output=True, timeout=60, check=True)
    read = subprocess.run([*kcat, "-C", "-e", "-q"], text=True, capture_output=True, timeout=60, check=True)
    assert read.stdout == "hello\n"


def test_the_host_and_another_container_need_no_setting(network: Network) -> None:
    round_trips(network.host, "localhost:9092", "from-host")
    round_trips(network.other, f"{BROKER}:9092", "from-container")
    kcat = ["kcat", "-L", "-J", "-b"]
    at_host = subprocess.run(within(network.host, *kcat, "localhost:9092"), capture_output=True, timeout=60, check=True)
    assert b'"name":"localhost:9092"' in at_host.stdout
    beside = subprocess.run(within(network.other, *kcat, f"{BROKER}:9092"), capture_output=True, timeout=60, check=True)
    assert f'"name":"{BROKER}:9092"'.encode() in beside.stdout
