"""What a node serves follows the image: creation, recovery, deletion, settings, and folders that do not fit."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from pyralog._speedups.partition_log import PartitionLog
from pyralog.cluster.image import ClusterImage
from pyralog.cluster.records import ConfigRecord, LeadershipRecord
from pyralog.errors import StorageError
from pyralog.model import TopicPartition, uuid_text
from pyralog.net.plane_types import PartitionSettings
from pyralog.replication import opening
from tests.unit.replication.served import NODE, config, more_partitions, remove, served, topic, uuid

A0 = TopicPartition("a", 0)


async def test_a_topic_is_served_when_apply_returns(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, partitions=3, epoch=4))
        for index in range(3):
            snapshot = node.plane.snapshot(TopicPartition("a", index))
            assert snapshot is not None
            assert (snapshot.leader_epoch, snapshot.log_end) == (4, 0)
        assert node.names() == ["a-0", "a-1", "a-2"]
        assert uuid_text(uuid(1)) in (tmp_path / "a-0" / "partition.metadata").read_text()
        assert await node.append("a", b"x", b"y", partition=1) == 0
        assert node.end("a", 1) == 2


@pytest.mark.parametrize("crash", [False, True])
async def test_records_survive_a_restart(tmp_path: Path, crash: bool) -> None:
    async with served(tmp_path, crash=crash) as node:
        await node.apply(*topic("a", 1, partitions=2))
        await node.append("a", b"x", b"y", b"z")
        await node.synced("a")
        image = node.image
    async with served(tmp_path, image) as node:
        assert node.end("a") == 3
        assert node.end("a", 1) == 0
        snapshot = node.plane.snapshot(A0)
        assert snapshot is not None
        assert snapshot.leader_epoch == 1
        assert await node.append("a", b"w") == 3


@pytest.mark.parametrize("crash", [False, True])
async def test_leader_epochs_are_known_after_a_restart(tmp_path: Path, crash: bool) -> None:
    image = None
    for run in range(3):
        async with served(tmp_path, image or ClusterImage(), crash=crash) as node:
            if run == 0:
                await node.apply(*topic("a", 1))
            for _ in range(5):
                await node.append("a", b"x", b"y")
            await node.synced("a")
            image = node.image
    assert image is not None
    async with served(tmp_path, image) as node:
        epochs = node.lifecycle.replicas[A0].epochs
        assert epochs.entries == ((0, 0), (1, 10), (2, 20), (3, 30))
        assert epochs.end_offset(1, 30).offset == 20
    if not crash:
        assert (tmp_path / "a-0" / "leader-epoch-checkpoint").read_text().splitlines()[1:] == [
            "3",
            "0 0",
            "1 10",
            "2 20",
        ]


async def test_a_lost_epoch_checkpoint_is_rebuilt_from_the_log(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1))
        for epoch in range(4):
            if epoch:
                await node.apply(LeadershipRecord(NODE))
            for _ in range(0 if epoch == 2 else 20):
                await node.append("a", b"x")
        image = node.image
    (tmp_path / "a-0" / "leader-epoch-checkpoint").unlink()
    async with served(tmp_path, image) as node:
        assert node.lifecycle.replicas[A0].epochs.entries == ((0, 0), (1, 20), (3, 40), (4, 60))


async def test_new_leader_epochs_reach_the_plane(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, partitions=2))
        await node.append("a", b"x")
        await node.apply(LeadershipRecord(NODE))
        snapshot = node.plane.snapshot(A0)
        assert snapshot is not None
        assert snapshot.leader_epoch == 1
        assert node.lifecycle.replicas[A0].epochs.entries == ((0, 0), (1, 1))


async def test_more_partitions(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1))
        await node.append("a", b"x")
        await node.apply(*more_partitions(1, 1, 2))
        assert await node.append("a", b"x", partition=2) == 0
        assert node.end("a") == 1
        assert node.names() == ["a-0", "a-1", "a-2"]


async def test_partitions_of_other_leaders_are_not_served(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        records = topic("a", 1)
        records[1] = records[1]._replace(leader=2, replicas=(2,), isr=(2,))  # type: ignore[call-arg]
        await node.apply(*records)
        assert node.plane.snapshot(A0) is None
        assert node.names() == []


class TestDeletion:
    """Deleted topics: the name is free at once, the bytes go later, and nothing of them comes back."""

    async def test_folders_are_renamed_and_deleted_after_the_delay(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, partitions=2, file_delete_delay_ms=60_000), *topic("b", 2))
            await node.append("a", b"x")
            await node.apply(remove(1))
            assert node.plane.snapshot(A0) is None
            assert node.names() == ["a-0-delete", "a-1-delete", "b-0"]
            assert await node.append("b", b"x") == 0
            node.now += 60_001
            await node.maintenance.remove_due()
            assert node.names() == ["b-0"]
            image = node.image
        async with served(tmp_path, image) as node:
            assert node.names() == ["b-0"]

    async def test_what_was_not_yet_deleted_at_a_crash_goes_at_the_next_start(self, tmp_path: Path) -> None:
        async with served(tmp_path, crash=True) as node:
            await node.apply(*topic("a", 1))
            await node.apply(remove(1))
            assert node.names() == ["a-0-delete"]
            image = node.image
        async with served(tmp_path, image) as node:
            assert node.names() == []

    async def test_a_recreated_topic_is_empty(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            await node.append("a", b"x", b"y")
            await node.apply(remove(1), *topic("a", 2, epoch=1))
            assert node.end("a") == 0
            assert await node.append("a", b"z") == 0

    @pytest.mark.parametrize("crash", [False, True])
    async def test_offsets_of_the_old_topic_do_not_haunt_the_new_one(self, tmp_path: Path, crash: bool) -> None:
        async with served(tmp_path, crash=crash) as node:
            await node.apply(*topic("a", 1))
            for _ in range(10):
                await node.append("a", b"x")
            await node.synced("a")
            await node.maintenance.delete_records(A0, 7)
            await node.maintenance.checkpoint()
            await node.apply(remove(1))
            await node.apply(*topic("a", 2, epoch=1))
            await node.append("a", b"z")
            await node.synced("a")
            image = node.image
        async with served(tmp_path, image) as node:
            assert (node.start_offset("a"), node.end("a")) == (0, 1)

    async def test_recreated_while_the_node_was_down_in_between(self, tmp_path: Path) -> None:
        """The metadata went on, this node stopped before it could follow: its folder is that of the old topic."""
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            for _ in range(10):
                await node.append("a", b"x")
            await node.maintenance.delete_records(A0, 7)
        async with served(tmp_path / "other") as other:
            await other.apply(*topic("a", 2, epoch=1))
            image = other.image
        async with served(tmp_path, image) as node:
            assert (node.start_offset("a"), node.end("a")) == (0, 0)
            assert node.names() == ["a-0", "a-0-stray", "other"]


class TestFolders:
    """Folders that do not fit the metadata: set aside, never deleted."""

    async def test_a_stray_folder_is_set_aside(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        stray = tmp_path / "ghost-0"
        stray.mkdir()
        (stray / "00000000000000000000.log").write_bytes(b"precious")
        (tmp_path / "notes").mkdir()
        async with served(tmp_path) as node:
            assert node.names() == ["ghost-0-stray", "notes"]
        assert "1 partition folders are not in the metadata: ghost-0" in caplog.text
        (kept,) = tmp_path.glob("ghost-0*/*.log")
        assert kept.read_bytes() == b"precious"

    async def test_the_metadata_log_is_no_stray(self, tmp_path: Path) -> None:
        (tmp_path / "__cluster_metadata-0").mkdir()
        async with served(tmp_path) as node:
            assert node.names() == ["__cluster_metadata-0"]

    async def test_a_missing_folder_is_made_anew(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, partitions=2))
            await node.append("a", b"x", b"y")
            await node.synced("a")
            await node.maintenance.checkpoint()
            image = node.image
        (tmp_path / "a-0").rename(tmp_path / "elsewhere")
        async with served(tmp_path, image) as node:
            assert node.end("a") == 0
            assert await node.append("a", b"x") == 0
        assert "1 partitions have no folder and begin empty: a-0" in caplog.text

    async def test_a_folder_that_does_not_name_its_topic_is_taken(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            await node.append("a", b"x")
            image = node.image
        (tmp_path / "a-0" / "partition.metadata").unlink()
        async with served(tmp_path, image) as node:
            assert node.end("a") == 1
        assert "does not say which topic id" in caplog.text
        assert uuid_text(uuid(1)) in (tmp_path / "a-0" / "partition.metadata").read_text()

    async def test_a_partition_that_cannot_be_made_does_not_keep_the_others(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "a-1").write_bytes(b"a file where the folder should be")
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, partitions=3))
            assert set(node.lifecycle.failed) == {TopicPartition("a", 1)}
            assert node.plane.snapshot(TopicPartition("a", 1)) is None
            assert await node.append("a", b"x", partition=2) == 0
            await node.lifecycle.retry_failed(node.image)
            assert caplog.text.count("a-1 cannot be served") == 1
            (tmp_path / "a-1").rename(tmp_path / "a file")
            await node.lifecycle.retry_failed(node.image)
            assert not node.lifecycle.failed
            assert await node.append("a", b"x", partition=1) == 0

    async def test_what_failed_is_forgotten_with_its_topic(self, tmp_path: Path) -> None:
        (tmp_path / "a-0").write_bytes(b"")
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            await node.apply(remove(1))
            assert not node.lifecycle.failed
            await node.lifecycle.retry_failed(node.image)
            assert node.plane.snapshot(A0) is None


async def test_new_settings_reach_the_plane(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1), *topic("b", 2))
        told: list[tuple[TopicPartition, PartitionSettings]] = []
        configure = node.plane.configure

        async def spy(tp: TopicPartition, settings: PartitionSettings) -> None:
            told.append((tp, settings))
            await configure(tp, settings)

        node.plane.configure = spy  # type: ignore[method-assign]
        await node.apply(config("a", max_message_bytes=77))
        assert [(tp, s.max_message_bytes) for tp, s in told] == [(A0, 77)]
        # Nothing that the plane or this node must know has changed.
        await node.apply(ConfigRecord(4, "", "log.retention.ms", "5"))
        assert len(told) == 1
        await node.apply(config("a", max_message_bytes=None))
        assert told[-1][1].max_message_bytes == 1048588
        await node.apply(config("a", max_message_bytes=9), remove(1))
        assert len(told) == 2


async def test_a_clean_stop_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with served(tmp_path, crash=True) as node:
            await node.apply(*topic("a", 1))
            image = node.image
        async with served(tmp_path, image) as node:
            await node.append("a", b"x")
        async with served(tmp_path, image):
            pass
    opened = [r.getMessage() for r in caplog.records if "partitions opened" in r.getMessage()]
    assert "after a crash" in opened[0]
    assert "after a clean stop" in opened[1]


async def test_a_failed_disk_is_no_clean_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1), *topic("b", 2))
        await node.append("b", b"x")
        node.lifecycle.lost_disk(5, A0)
        await node.apply(remove(1))
        image = node.image
    assert "failed (EIO, at a-0)" in caplog.text
    assert not (tmp_path / ".clean_shutdown").exists()
    async with served(tmp_path, image) as node:
        assert node.end("b") == 1


async def test_offsets_of_a_partition_that_could_not_be_opened_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1), *topic("b", 2))
        for _ in range(10):
            await node.append("a", b"x")
        await node.maintenance.delete_records(A0, 7)
        image = node.image
    open_partition = opening.open_partition

    def broken(folder: Path, **arguments: Any) -> PartitionLog:
        if folder.name == "a-0":
            raise StorageError("recover", str(folder), 5)
        return open_partition(folder, **arguments)

    with monkeypatch.context() as patched:
        patched.setattr(opening, "open_partition", broken)
        for name in ("c", "d"):
            async with served(tmp_path, image) as node:
                assert set(node.lifecycle.failed) == {A0}
                await node.apply(*topic(name, ord(name)))
                await node.maintenance.checkpoint()
                image = node.image
            assert not (tmp_path / ".clean_shutdown").exists()
    async with served(tmp_path, image) as node:
        assert (node.start_offset("a"), node.end("a")) == (7, 10)
