"""Backups of folders that look like a node's, and that change at the worst moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyralog.cli.admin import backup_store as store

PROPERTIES = "version=1\ncluster.id=abc\nnode.id=3\ndirectory.id=xyz\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    put(folder / "meta.properties", PROPERTIES)
    put(folder / ".lock", "1\n")
    put(folder / ".clean_shutdown", "x\n")
    put(folder / "recovery-point-offset-checkpoint", "0\n0\n")
    put(folder / "__cluster_metadata-0" / f"{0:020d}.log", "metadata")
    put(folder / "__cluster_metadata-0" / "quorum-state", "{}")
    for suffix in ("log", "index", "timeindex"):
        put(folder / "a-0" / f"{0:020d}.{suffix}", f"old {suffix}")
        put(folder / "a-0" / f"{7:020d}.{suffix}", f"active {suffix}")
    put(folder / "a-0" / f"{0:020d}.log.deleted", "gone")
    put(folder / "a-0" / "partition.metadata", "version: 0\n")
    return folder


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make(data: Path, target: Path, *, incremental: bool = False) -> store.Manifest:
    return store.create(data, target, incremental=incremental, moved=lambda _: None)


def test_what_is_in_a_backup(data: Path, tmp_path: Path) -> None:
    made = make(data, tmp_path / "b")
    assert (made.cluster_id, made.node_id, made.incremental) == ("abc", 3, False)
    assert {entry.path for entry in made.files} == {
        "meta.properties",
        "recovery-point-offset-checkpoint",
        "__cluster_metadata-0/quorum-state",
        f"__cluster_metadata-0/{0:020d}.log",
        "a-0/partition.metadata",
        *(f"a-0/{0:020d}.{suffix}" for suffix in ("log", "index", "timeindex")),
        f"a-0/{7:020d}.log",  # its indexes are rebuilt
    }
    assert store.manifests(tmp_path / "b") == [made]
    assert list(store.check(tmp_path / "b" / made.id, lambda _: None)) == []


def test_what_only_looks_unchanged_is_copied_again(data: Path, tmp_path: Path) -> None:
    for path in data.rglob("*"):
        os.utime(path, (1_000_000, 1_000_000))
    fresh = data / "a-0" / f"{7:020d}.log"
    fresh.touch()
    make(data, tmp_path / "b")
    second = {entry.path: entry.linked for entry in make(data, tmp_path / "b", incremental=True).files}
    assert second[f"a-0/{0:020d}.log"] is True
    assert second[f"a-0/{7:020d}.log"] is False  # it was written to just before the first backup
    assert second[f"__cluster_metadata-0/{0:020d}.log"] is False


def test_another_nodes_backup_is_no_base(data: Path, tmp_path: Path) -> None:
    make(data, tmp_path / "b")
    put(data / "meta.properties", PROPERTIES.replace("node.id=3", "node.id=4"))
    assert make(data, tmp_path / "b", incremental=True).incremental is False


def test_a_topic_that_is_made_anew_meanwhile(data: Path, tmp_path: Path) -> None:
    changed = []

    def moved(_: int) -> None:
        if not changed and (tmp_path / "b").glob("**/a-0/*"):
            changed.append(1)
            put(data / "a-0" / "partition.metadata", "version: 1\n")
            put(data / "a-0" / f"{7:020d}.log", "new")

    made = store.create(data, tmp_path / "b", incremental=False, moved=moved)
    copied = tmp_path / "b" / made.id / "data" / "a-0"
    assert (copied / "partition.metadata").read_text() == "version: 1\n"
    assert (copied / f"{7:020d}.log").read_text() == "new"
    assert len({entry.path for entry in made.files}) == len(made.files)


def test_a_partition_that_is_compacted_meanwhile_is_copied_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the copy has the old first segment, and no longer those that the cleaned one replaces."""
    folder = data / "a-0"
    for offset in (3, 5):
        put(folder / f"{offset:020d}.log", f"old {offset}")
    steps = [
        lambda: put(folder / f"{0:020d}.log.swap", "cleaned"),
        lambda: os.replace(folder / f"{0:020d}.log.swap", folder / f"{0:020d}.log"),
        lambda: os.replace(folder / f"{3:020d}.log", folder / f"{3:020d}.log.deleted"),
    ]
    copy = store._Copier._file

    def stepping(self: store._Copier, name: str, **options: bool) -> None:
        copy(self, name, **options)
        if steps and name.startswith("a-0/") and name.endswith(".log"):
            steps.pop(0)()

    monkeypatch.setattr(store._Copier, "_file", stepping)
    made = make(data, tmp_path / "b")
    assert steps == []
    copied = tmp_path / "b" / made.id / store.DATA / "a-0"
    assert {path.name[-6:-4]: path.read_text() for path in copied.glob("*.log")} == {
        "00": "cleaned",
        "05": "old 5",
        "07": "active log",
    }
    retained = {f"{0:020d}.log": 1, f"{3:020d}.log": 2, f"{7:020d}.log": 3}
    assert not store._replaced(retained, {f"{7:020d}.log": 3}), "retention takes the first ones"
    assert store._replaced(retained, {f"{0:020d}.log": 1, f"{7:020d}.log": 3})


def test_retention_may_take_a_file_while_sizes_are_added(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, stat, gone = store.size_of(data), os.stat, data / "a-0" / f"{0:020d}.log"

    def late(path: str) -> os.stat_result:
        if path == str(gone):
            gone.unlink()
        return stat(path)

    monkeypatch.setattr(store.os, "stat", late)
    assert store.size_of(data) == before - len("old log")


def test_a_failed_backup_leaves_nothing(data: Path, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        store.create(data, tmp_path / "b", incremental=False, moved=full)
    assert list((tmp_path / "b").iterdir()) == []
    with pytest.raises(store.BackupError, match="there is no backup"):
        store.find(tmp_path / "b", None)


def test_a_restore_is_whole_or_not_at_all(data: Path, tmp_path: Path) -> None:
    made = make(data, tmp_path / "b")
    backup = store.find(tmp_path / "b", None)
    restored = tmp_path / "restored"
    assert store.restore(backup, restored, lambda _: None) == made
    assert (restored / "a-0" / f"{7:020d}.log").read_text() == "active log"
    assert not (restored / ".clean_shutdown").exists()
    assert (restored / "a-0").stat().st_mode & 0o077 == 0
    with pytest.raises(store.BackupError, match="is not empty"):
        store.restore(backup, restored, lambda _: None)
    (backup / "data" / "a-0" / f"{7:020d}.log").write_text("Active log")
    (tmp_path / "empty").mkdir()
    with pytest.raises(store.BackupError, match="the checksum does not match"):
        store.restore(backup, tmp_path / "empty", lambda _: None)
    assert list((tmp_path / "empty").iterdir()) == []
    assert [path for path, _ in store.check(backup, lambda _: None)] == [f"a-0/{7:020d}.log"]
