"""Disks that are full or broken: producers are told, nothing is acknowledged that is not there, nothing is retried
into an acknowledgement, and what was acknowledged is read after a restart on a disk that is well.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import errno
import itertools
import mmap
import os
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pyralog.wire import messages as m
from tests.integration.conftest import ROOT, create_topic, until
from tests.integration.raw import FETCH, METADATA, PRODUCE, Raw, batch, fetch_body, produce_body, produced
from tests.integration.wire_client import WireClient
from tests.reference.process import Broker
from tests.reference.pyralog import Pyralog

pytestmark = pytest.mark.pyralog_only

HERE = Path(__file__).parent
KAFKA_STORAGE_ERROR, NOT_COORDINATOR = 56, 16
VALUE_BYTES = 100_000


def write_one(raw: Raw, topic: str, value: bytes, acks: int = -1) -> tuple[int, int]:
    """(error, offset) of one record."""
    return produced(raw.call(PRODUCE, 8, produce_body(topic, {0: batch([value])}, acks)))[0]


def write_until_error(broker: Broker, topic: str, limit: int = 2000, size: int = VALUE_BYTES) -> tuple[list[int], int]:
    """Offsets that were acknowledged, and the first error."""
    acked = []
    with Raw(broker.port) as raw:
        for number in range(limit):
            error, offset = write_one(raw, topic, struct.pack(">q", number) + os.urandom(size))
            if error:
                return acked, error
            assert offset == number
            acked.append(offset)
    raise AssertionError(f"{limit} records were taken")


def read_all(broker: Broker, topic: str) -> list[int]:
    """The numbers that the values begin with, in order of their offsets."""
    from tests.integration.clients import KafkaPythonReader

    reader = KafkaPythonReader(broker.address, topic, 1)
    try:
        end = reader.ends()[0]
        numbers: list[int] = []
        deadline = time.monotonic() + 30
        while len(numbers) < end:
            assert time.monotonic() < deadline, f"{len(numbers)} of {end} records"
            for _, records in reader.poll():
                for offset, value in records:
                    assert offset == len(numbers)
                    numbers.append(struct.unpack(">q", value[:8])[0])
        return numbers
    finally:
        reader.close()


def metadata_is_served(broker: Broker) -> None:
    with Raw(broker.port) as raw:
        assert raw.call(METADATA, 1, struct.pack(">i", -1))


# -- a full disk


class SmallDisk:
    """A tmpfs in a mount namespace of its own, kept alive by a process that sleeps in it."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        folder.mkdir()
        script = f"mount -t tmpfs -o size={size} tmpfs '{folder}' && echo mounted && exec sleep 900"
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.holder.stdout is not None
        self.mounted = self.holder.stdout.readline().strip() == "mounted"

    def enter(self) -> list[str]:
        return ["nsenter", "-t", str(self.holder.pid), "-m", "--"]

    def resize(self, size: str) -> None:
        command = [*self.enter(), "mount", "-o", f"remount,size={size}", str(self.folder)]
        subprocess.run(command, check=True)

    def close(self) -> str:
        self.holder.kill()
        _, errors = self.holder.communicate()
        return errors.strip()


class OnSmallDisk(Pyralog):
    """Pyralog inside the namespace of a small disk."""

    disk: SmallDisk

    def command(self) -> Sequence[str]:
        return [*self.disk.enter(), *super().command()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("unshare and nsenter (util-linux) are needed for a disk of its own")
    disk = SmallDisk(tmp_path / "disk", "24m")
    if not disk.mounted:
        pytest.skip(f"mounting a tmpfs in a namespace is not permitted here: {disk.close()}")
    yield disk
    disk.close()


@pytest.mark.parametrize("sync", [False, True], ids=["sync_on_write=off", "sync_on_write=on"])
def test_full_disk(small_disk: SmallDisk, tmp_path: Path, sync: bool) -> None:
    settings = {"storage.segment_config.sync_on_write": sync}
    broker = OnSmallDisk(data_dir=small_disk.folder / "data", settings=settings, env={"PYTHONPATH": str(ROOT)})
    broker.disk = small_disk
    with contextlib.closing(broker):
        broker.start()
        create_topic(broker.address, "full", config={"segment.bytes": str(4 << 20)})
        acked, error = write_until_error(broker, "full")
        assert error == KAFKA_STORAGE_ERROR
        assert len(acked) > 20, "most of the disk can be used"
        metadata_is_served(broker)
        cpu = broker.cpu_s()
        with Raw(broker.port) as raw:
            for _ in range(5):
                assert write_one(raw, "full", b"x" * VALUE_BYTES)[0] != 0
        until(lambda: broker.cpu_s() - cpu < 2, "the broker does not spin", timeout_s=1)
        broker.kill()
        small_disk.resize("64m")
        broker.start()
        numbers = read_all(broker, "full")
        assert numbers[: len(acked)] == acked, "every acknowledged record, in order"
        assert len(numbers) <= len(acked) + 1
        with Raw(broker.port) as raw:
            assert write_one(raw, "full", struct.pack(">q", 0))[0] == 0


def test_start_on_a_full_disk(small_disk: SmallDisk) -> None:
    """What is there can be read, or the start is refused in one line; either way nothing is lost."""
    broker = OnSmallDisk(data_dir=small_disk.folder / "data", env={"PYTHONPATH": str(ROOT)})
    broker.disk = small_disk
    with contextlib.closing(broker):
        broker.start()
        create_topic(broker.address, "full", config={"segment.bytes": str(4 << 20)})
        with Raw(broker.port) as raw:
            for number in range(20):
                assert write_one(raw, "full", struct.pack(">q", number) + os.urandom(1000)) == (0, number)
        broker.stop()
        fill = f"dd if=/dev/zero of='{small_disk.folder}/fill' bs=4k 2>/dev/null; true"
        subprocess.run([*small_disk.enter(), "sh", "-c", fill], check=True)
        try:
            broker.start()
            assert read_all(broker, "full") == list(range(20))
            broker.kill()
        except RuntimeError as refusal:
            assert "Traceback" not in str(refusal), refusal  # noqa: PT017
            assert "No space" in str(refusal) or "space" in str(refusal)  # noqa: PT017
        subprocess.run([*small_disk.enter(), "rm", f"{small_disk.folder}/fill"], check=True)
        broker.start()
        assert read_all(broker, "full") == list(range(20))


# -- a broken disk


class Faults:
    """The control page of faults.c."""

    WRITE, SYNC, READ, ALLOCATE, HITS = range(5)

    def __init__(self, path: Path, library: Path) -> None:
        path.write_bytes(bytes(4096))
        self._file = path.open("r+b")
        self._page = mmap.mmap(self._file.fileno(), 4096)
        self.env = {"LD_PRELOAD": str(library), "FAULTS": str(path), "PYTHONPATH": str(ROOT)}

    def set(self, kind: int, code: int, text: str = "") -> None:
        """Let operations of a kind fail on paths that hold the text; 0 ends it."""
        name = text.encode() + b"\0"
        self._page[64 : 64 + len(name)] = name
        struct.pack_into("i", self._page, 4 * kind, code)

    @property
    def hits(self) -> int:
        return int(struct.unpack_from("i", self._page, 4 * self.HITS)[0])

    def close(self) -> None:
        self._page.close()
        self._file.close()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler is needed for the shim that breaks the disk")
    target = Path(tmp_path_factory.mktemp("shim")) / "faults.so"
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Wextra",
        "-o",
        str(target),
        str(HERE / "faults.c"),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return target


@pytest.fixture
def faults(library: Path, tmp_path: Path) -> Iterator[Faults]:
    made = Faults(tmp_path / "faults", library)
    yield made
    made.close()


Start = Callable[..., Broker]


@pytest.mark.parametrize("kind", ["write", "sync"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_failed_write_or_sync(brokers: Start, faults: Faults, kind: str, code: int) -> None:
    broker = brokers({"storage.segment_config.sync_on_write": True}, env=faults.env)
    create_topic(broker.address, "broken")
    with Raw(broker.port) as raw:
        for number in range(10):
            assert write_one(raw, "broken", struct.pack(">q", number)) == (0, number)
        faults.set(faults.WRITE if kind == "write" else faults.SYNC, code, ".log")
        error, _ = write_one(raw, "broken", struct.pack(">q", 10))
        assert error == KAFKA_STORAGE_ERROR
        assert faults.hits > 0
        faults.set(faults.WRITE, 0)
        faults.set(faults.SYNC, 0)
        # The pages of a failed sync are gone: a second try that "works" would acknowledge what is not there.
        for _ in range(3):
            assert write_one(raw, "broken", struct.pack(">q", 11))[0] == KAFKA_STORAGE_ERROR
    metadata_is_served(broker)
    broker.kill()
    broker.start()
    numbers = read_all(broker, "broken")
    assert numbers[:10] == list(range(10))
    assert numbers[10:] in ([], [10]), "a record without an acknowledgement is there once or not"
    with Raw(broker.port) as raw:
        assert write_one(raw, "broken", struct.pack(">q", 12)) == (0, len(numbers))


def test_failed_group_sync_with_acks_before_it(brokers: Start, faults: Faults) -> None:
    """With sync_on_write off the record was acknowledged before; the producer hears of it at the next one."""
    broker = brokers(env=faults.env)
    create_topic(broker.address, "broken")
    with Raw(broker.port) as raw:
        assert write_one(raw, "broken", struct.pack(">q", 0)) == (0, 0)
        faults.set(faults.SYNC, errno.EIO, ".log")
        until(
            lambda: write_one(raw, "broken", struct.pack(">q", 1))[0] == KAFKA_STORAGE_ERROR, "the failure to be told"
        )
        faults.set(faults.SYNC, 0)
        assert write_one(raw, "broken", struct.pack(">q", 2))[0] == KAFKA_STORAGE_ERROR
    broker.kill()
    broker.start()
    assert read_all(broker, "broken")[0] == 0


def commit_and_fetch(client: WireClient, offset: int) -> tuple[int, int, int]:
    """The error of a commit, that of a fetch, and the offset that is committed."""
    partition = m.OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
    topic = m.OffsetCommitRequestTopic(name="good", partitions=[partition])
    said = client.ask(8, 7, m.OffsetCommitRequest(group_id="g", topics=[topic]))
    wanted = m.OffsetFetchRequestTopic(name="good", partition_indexes=[0])
    answer = client.ask(9, 5, m.OffsetFetchRequest(group_id="g", topics=[wanted]))
    at = -1 if answer.error_code else answer.topics[0].partitions[0].committed_offset
    return said.topics[0].partitions[0].error_code, answer.error_code, at


def test_commits_on_a_failed_disk(brokers: Start, faults: Faults) -> None:
    """They are refused as by Kafka, what was committed is served, and the shard is not loaded for each of them."""
    broker = brokers(env=faults.env)
    create_topic(broker.address, "good")
    with WireClient(broker.port) as client:
        until(lambda: commit_and_fetch(client, 5) == (0, 0, 5), "a commit")
        faults.set(faults.WRITE, errno.EIO, ".log")
        assert commit_and_fetch(client, 6)[0] == NOT_COORDINATOR
        until(lambda: commit_and_fetch(client, 7) == (NOT_COORDINATOR, 0, 5), "the shard, loaded once")
        for _ in range(30):
            assert commit_and_fetch(client, 8) == (NOT_COORDINATOR, 0, 5)
            time.sleep(0.05)
        joins = m.ConsumerGroupHeartbeatRequest(
            group_id="g", member_id="m", rebalance_timeout_ms=1000, subscribed_topic_names=["good"], topic_partitions=[]
        )
        assert client.ask(68, 1, joins).error_code == NOT_COORDINATOR
        assert broker.log_file.read_text().count("starts again from its log") == 1
        faults.set(faults.WRITE, 0)
    broker.kill()
    broker.start()
    with WireClient(broker.port) as client:
        until(lambda: commit_and_fetch(client, 9) == (0, 0, 9), "a commit after the restart")


def test_failed_read(brokers: Start, faults: Faults) -> None:
    """The one who asked is told or cut off; others are served."""
    broker = brokers(env=faults.env)
    create_topic(broker.address, "bad")
    create_topic(broker.address, "good")
    with Raw(broker.port) as raw:
        for topic in ("bad", "good"):
            for number in range(3):
                assert write_one(raw, topic, struct.pack(">q", number) + bytes(VALUE_BYTES)) == (0, number)
    faults.set(faults.READ, errno.EIO, "/bad-0/")
    with Raw(broker.port) as raw, contextlib.suppress(EOFError, ConnectionError):
        answer = raw.call(FETCH, 4, fetch_body("bad", [0]))
        at = 8 + 2 + len("bad") + 4 + 4
        assert struct.unpack_from(">h", answer, at)[0] == KAFKA_STORAGE_ERROR
    assert faults.hits > 0
    assert read_all(broker, "good") == [0, 1, 2]
    faults.set(faults.READ, 0)


def test_failed_preallocation_is_no_failure(brokers: Start, faults: Faults) -> None:
    """Some file systems cannot allocate ahead."""
    broker = brokers(env=faults.env)
    faults.set(faults.ALLOCATE, errno.EOPNOTSUPP, "/")
    create_topic(broker.address, "plain", config={"segment.bytes": str(1 << 20)})
    with Raw(broker.port) as raw:
        for number in range(30):
            assert write_one(raw, "plain", struct.pack(">q", number) + bytes(VALUE_BYTES)) == (0, number)
    assert read_all(broker, "plain") == list(range(30))


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_failed_metadata_log(brokers: Start, faults: Faults, kind: str) -> None:
    """A topic that could not be made durable is not acknowledged; what is there survives."""
    broker = brokers(env=faults.env)
    create_topic(broker.address, "before")
    with Raw(broker.port) as raw:
        assert write_one(raw, "before", struct.pack(">q", 0)) == (0, 0)
        faults.set(faults.WRITE if kind == "write" else faults.SYNC, errno.EIO, "__cluster_metadata")
        body = struct.pack(">i", 1) + struct.pack(">h", 5) + b"after" + struct.pack(">ihiii", 1, 1, 0, 0, 5000)
        with contextlib.suppress(EOFError, ConnectionError, TimeoutError):
            answer = raw.call(19, 2, body + b"\0")
            assert struct.unpack_from(">h", answer, 4 + 4 + 2 + 5)[0] != 0
        assert faults.hits > 0
    faults.set(faults.WRITE, 0)
    faults.set(faults.SYNC, 0)
    broker.kill()
    broker.start()
    assert read_all(broker, "before") == [0]


def commit_one(client: WireClient, group: str, offset: int) -> int:
    """The error of one commit."""
    one = m.OffsetCommitRequestPartition(partition_index=0, committed_offset=offset, committed_metadata="")
    topics = [m.OffsetCommitRequestTopic(name="read", partitions=[one])]
    answer = client.ask(8, 8, m.OffsetCommitRequest(group_id=group, member_id="", topics=topics))
    return int(answer.topics[0].partitions[0].error_code)


def committed_offset(broker: Broker, group: str) -> int | None:
    """None while the group's coordinator is loading."""
    topics = [m.OffsetFetchRequestTopics(name="read", partition_indexes=[0])]
    request = m.OffsetFetchRequest(groups=[m.OffsetFetchRequestGroup(group_id=group, topics=topics)])
    with WireClient(broker.port) as client:
        found = client.ask(9, 8, request).groups[0]
    return None if found.error_code else found.topics[0].partitions[0].committed_offset


def test_commits_that_cannot_be_written(brokers: Start, faults: Faults) -> None:
    """Of many groups at once: each hears an error that makes it look for its coordinator, and nobody an acknowledgement
    of what is not there."""
    broker = brokers(env=faults.env)
    create_topic(broker.address, "read")
    acked: dict[str, int] = {}
    refused: collections.Counter[int] = collections.Counter()
    over = threading.Event()

    def commits(group: str) -> None:
        with WireClient(broker.port) as client:
            for offset in itertools.count():
                if over.is_set():
                    return
                error = commit_one(client, group, offset)
                if error:
                    refused[error] += 1
                    time.sleep(0.02)
                else:
                    acked[group] = offset

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        groups = [f"g{number}" for number in range(16)]
        running = [pool.submit(commits, group) for group in groups]
        until(lambda: len(acked) == 16 and min(acked.values()) > 20, "all groups commit")
        faults.set(faults.WRITE, errno.ENOSPC, "__consumer_offsets-")
        until(lambda: sum(refused.values()) > 50, "the failure to be told")
        faults.set(faults.WRITE, 0)
        over.set()
        for one in running:
            one.result(30)
    assert set(refused) <= {14, 15, 16}  # all of them are tried again
    before = dict(acked)
    for group in groups:
        found = until(lambda group=group: committed_offset(broker, group), f"{group} is loaded again")
        assert found == before[group]
    broker.kill()
    broker.start()
    for group in groups:
        found = until(lambda group=group: committed_offset(broker, group), f"{group} is loaded")
        assert found in (before[group], before[group] + 1), "what was not acknowledged is there once or not"
        with WireClient(broker.port) as client:
            assert commit_one(client, group, 1_000_000) == 0
