"""Backups of a running node, the guide's copies by tar, rsync and s3, and the offline tools on what they leave."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from pyralog.testing import LocalCluster, LocalNode
from tests.integration.test_admin import admin

pytestmark = pytest.mark.pyralog_only

# Small segments, so that there are closed ones.
SEGMENT = {"segment.bytes": 1 << 20}


class Load:
    """Writes numbered records as long as it runs, and notes what was acknowledged."""

    def __init__(self, node: LocalNode, topic: str) -> None:
        self.acked: list[int] = []
        self._stop = threading.Event()
        self._producer = KafkaProducer(bootstrap_servers=node.bootstrap_servers, linger_ms=2)
        self._topic = topic
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            futures = [self._producer.send(self._topic, b"%08d" % n + b"x" * 500) for n in range(200)]
            for future in futures:
                self.acked.append(future.get(30).offset)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        self._producer.close()

    def wait(self, count: int) -> int:
        """How many are acknowledged, at least `count` more than now."""
        wanted = len(self.acked) + count
        deadline = threading.Event()
        for _ in range(3000):
            if len(self.acked) >= wanted:
                break
            deadline.wait(0.01)
        assert len(self.acked) >= wanted
        return len(self.acked)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LocalNode]:
    with LocalCluster(folder=tmp_path / "cluster") as cluster:
        yield cluster.node(1)


def records_in(data_dir: Path, folder: Path, topic: str) -> list[int]:
    """Offsets of a topic in a data directory, read from a node that starts on it."""
    target = folder / "node-1"
    target.mkdir(parents=True)
    data_dir.rename(target / "data")
    with LocalCluster(folder=folder) as cluster:
        servers = cluster.bootstrap_servers
        place = TopicPartition(topic, 0)
        with KafkaConsumer(bootstrap_servers=servers) as consumer:
            consumer.assign([place])
            consumer.seek_to_beginning()
            end, found = consumer.end_offsets([place])[place], []
            while consumer.position(place) < end:
                found += [r.offset for rs in consumer.poll(500).values() for r in rs]
        with KafkaProducer(bootstrap_servers=servers) as producer:
            assert producer.send(topic, b"more").get(20).offset == end
        verified = admin("--cluster", servers, "verify", topic, "--deep")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        node = cluster.node(1)
        node.stop()
        checked = tools("verify", str(node.data_dir), "--deep")
        assert checked.returncode == 0, checked.stdout + checked.stderr
    return found


def tools(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyralog.cli.daemon", "log", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


def backed_up(*words: str) -> dict[str, object]:
    done = admin("backup", *words, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_backup_under_load_is_restored(node: LocalNode, tmp_path: Path) -> None:
    node.create_topic("orders", config=SEGMENT)
    target, data = tmp_path / "backups", str(node.data_dir)
    with Load(node, "orders") as load:
        before = load.wait(6000)
        full = backed_up("create", "--data-dir", data, "--to", str(target))
        node.create_topic("later")
        load.wait(2000)
    grown = len(load.acked)
    second = backed_up("create", "--data-dir", data, "--to", str(target), "--incremental")
    assert full["incremental"] is False
    assert second["incremental"] is True
    assert int(str(second["copied_bytes"])) <= int(str(second["size_bytes"]))
    listed = json.loads(admin("backup", "list", str(target), "--format", "json").stdout)
    assert [each["backup"] for each in listed] == [full["backup"], second["backup"]]
    assert admin("backup", "verify", str(target)).returncode == 0
    refused = admin("backup", "restore", str(target), "--to", data)
    assert (refused.returncode, "is not empty. Nothing was changed" in refused.stderr) == (1, True)
    node.kill()
    for name, least in ((full["backup"], before), (second["backup"], grown)):
        restored = tmp_path / f"restored-{least}"
        done = admin("backup", "restore", str(target), "--backup", str(name), "--to", str(restored))
        assert done.returncode == 0, done.stderr
        found = records_in(restored, tmp_path / f"again-{least}", "orders")
        assert len(found) >= least
        assert found == list(range(len(found)))


def test_an_incremental_backup_copies_what_is_new(node: LocalNode, tmp_path: Path) -> None:
    node.create_topic("orders", config=SEGMENT)
    with Load(node, "orders") as load:
        load.wait(6000)
    for path in node.data_dir.glob("orders-0/*"):
        old = path.stat().st_mtime - 60  # as if it had been written a while ago
        os.utime(path, (old, old))
    target = tmp_path / "backups"
    full = backed_up("create", "--data-dir", str(node.data_dir), "--to", str(target))
    second = backed_up("create", "--data-dir", str(node.data_dir), "--to", str(target), "--incremental")
    assert int(str(second["copied_bytes"])) < int(str(full["copied_bytes"])) / 20
    one, two = (target / str(each["backup"]) / "data" / "orders-0" / f"{0:020d}.log" for each in (full, second))
    assert one.stat().st_ino == two.stat().st_ino


def test_a_damaged_backup_is_not_restored(node: LocalNode, tmp_path: Path) -> None:
    node.create_topic("orders")
    with KafkaProducer(bootstrap_servers=node.bootstrap_servers) as producer:
        producer.send("orders", b"1").get(20)
    target = tmp_path / "backups"
    made = backed_up("create", "--data-dir", str(node.data_dir), "--to", str(target))
    damaged = target / str(made["backup"]) / "data" / "orders-0" / f"{0:020d}.log"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    checked = admin("backup", "verify", str(target))
    assert checked.returncode == 1
    assert "orders-0/00000000000000000000.log  the checksum does not match" in checked.stdout
    refused = admin("backup", "restore", str(target), "--to", str(tmp_path / "new"))
    assert (refused.returncode, "is damaged" in refused.stderr) == (1, True)
    assert not (tmp_path / "new").exists()
    (target / str(made["backup"]) / "manifest.json").write_text("{}")
    assert admin("backup", "verify", str(target), "--backup", str(made["backup"])).returncode == 1
    assert admin("backup", "create", "--data-dir", str(tmp_path), "--to", str(target)).returncode == 1


def test_the_guides_tar_of_a_stopped_node(node: LocalNode, tmp_path: Path) -> None:
    node.create_topic("orders")
    with Load(node, "orders") as load:
        count = load.wait(1000)
    node.stop()
    archive = tmp_path / "backup.tar.gz"
    subprocess.run(["tar", "-czf", str(archive), "-C", str(node.data_dir.parent), "data"], check=True, timeout=60)
    assert not [path for path in node.data_dir.iterdir() if path.name.startswith(".") and path.is_dir()]
    # `rm -rf /var/lib/pyralog/*` leaves dot files behind.
    for path in node.data_dir.glob("[!.]*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(node.data_dir.parent)], check=True, timeout=60)
    assert len(records_in(node.data_dir, tmp_path / "again", "orders")) >= count


@pytest.mark.parametrize("only_segments", [False, True], ids=["everything", "segments and indexes"])
def test_the_guides_rsync_of_a_running_node(node: LocalNode, tmp_path: Path, only_segments: bool) -> None:
    node.create_topic("orders", config=SEGMENT)
    copy = tmp_path / "copy"
    with Load(node, "orders") as load:
        count = load.wait(3000)
        for _ in range(2):  # the second run brings what is new
            rsync(node.data_dir, copy, only_segments=only_segments)
    node.kill()
    assert len(records_in(copy, tmp_path / "again", "orders")) >= count


def rsync(source: Path, target: Path, *, only_segments: bool) -> None:
    """The guide's command, or where there is no rsync what it does: files in the order of their names."""
    if shutil.which("rsync"):
        filters = ["--include=*/", "--include=*.log", "--include=*.index", "--exclude=*"] if only_segments else []
        done = subprocess.run(["rsync", "-a", *filters, f"{source}/", f"{target}/"], timeout=60, check=False)
        assert done.returncode in (0, 24)  # 24: files vanished meanwhile
        return
    for path in sorted(source.rglob("*")):
        if path.is_file() and (not only_segments or path.suffix in (".log", ".index")):
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists() or place.stat().st_size != path.stat().st_size or not only_segments:
                shutil.copy2(path, place)


def test_an_s3_style_sync_of_a_running_node(node: LocalNode, tmp_path: Path) -> None:
    """`aws s3 sync` keeps whole files alone: no empty folders, no modes, no links, and times of its own."""
    node.create_topic("orders", config=SEGMENT)
    store: dict[str, bytes] = {}
    with Load(node, "orders") as load:
        count = load.wait(3000)
        for path in sorted(node.data_dir.rglob("*")):
            if path.is_file():
                store[str(path.relative_to(node.data_dir))] = path.read_bytes()
    node.kill()
    copy = tmp_path / "copy"
    for name, data in store.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    assert len(records_in(copy, tmp_path / "again", "orders")) >= count


def test_the_offline_tools(node: LocalNode) -> None:
    node.create_topic("orders")
    with KafkaProducer(bootstrap_servers=node.bootstrap_servers, linger_ms=0) as producer:
        for value in (b"one", b"two", b"three"):
            producer.send("orders", value, key=b"k").get(20)
    folder = node.data_dir / "orders-0"
    assert tools("repair", str(node.data_dir), "--yes").returncode == 1  # it runs
    node.stop()
    dumped = tools("dump", str(folder), "--records", "--format", "json")
    rows = [json.loads(line) for line in dumped.stdout.splitlines()]
    assert [row["value"] for row in rows if "value" in row] == ["one", "two", "three"]
    assert [row["base_offset"] for row in rows if "segment" in row] == [0, 1, 2]
    assert "base_offset=2" in tools("dump", str(node.data_dir), "--from-offset", "2").stdout
    assert tools("verify", str(node.data_dir)).returncode == 0
    log = folder / f"{0:020d}.log"
    with log.open("r+b") as stream:
        stream.truncate(log.stat().st_size - 5)
    bad = tools("verify", str(folder))
    assert (bad.returncode, "orders-0: " in bad.stdout) == (1, True)
    repaired = tools("repair", str(folder), "--yes")
    assert (repaired.returncode, "orders-0: 0 to 2" in repaired.stdout) == (0, True), repaired.stderr
    assert tools("verify", str(folder), "--deep").returncode == 0
    node.start()
    assert node.topics() == {"orders": 1}
    assert tools("dump", str(node.folder)).returncode == 2
