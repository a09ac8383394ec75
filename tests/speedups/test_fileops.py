"""The table of file operations, and the faults that tests put into it."""

import contextlib
import errno
import os

import pytest

from pyralog._speedups.faultfiles import FaultFiles
from pyralog._speedups.fileops import Files


@pytest.fixture
def path(tmp_path):
    return os.fsencode(tmp_path / "file")


def write(files, path, data, position=0, sync=False):
    fd = files.open(path, os.O_RDWR | os.O_CREAT)
    try:
        files.pwrite(fd, data, position)
        if sync:
            files.fdatasync(fd)
    finally:
        files.close(fd)


def content(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("kind", [Files, FaultFiles, lambda: FaultFiles(forgetful=True)])
def test_every_operation(kind, path, tmp_path):
    files = kind()
    fd = files.open(path, os.O_RDWR | os.O_CREAT)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(fd)
    assert files.pwrite(fd, b"hello world", 0) == 11
    assert files.pread(fd, 100, 6) == b"world"
    assert files.pread(fd, 5, 0, nowait=True) == b"hello"
    files.fdatasync(fd)
    files.ftruncate(fd, 5)
    with contextlib.suppress(OSError):  # not every file system can
        files.fallocate(fd, 5, 8192)
    assert os.path.getsize(path) == 5  # preallocation does not show
    files.close(fd)
    files.rename(path, path + b"2")
    files.fsync_dir(os.fsencode(tmp_path))
    files.unlink(path + b"2")
    assert os.listdir(tmp_path) in ([], ["file2.0.lost"], ["file2.1.lost"])
    with pytest.raises(FileNotFoundError):
        files.open(path, os.O_RDONLY)


def test_nth_failure(path):
    files = FaultFiles()
    files.fail("write", errno=errno.ENOSPC, after=1, times=2)
    write(files, path, b"one")
    for _ in range(2):
        with pytest.raises(OSError, match="No space") as caught:
            write(files, path, b"two")
        assert caught.value.errno == errno.ENOSPC
    write(files, path, b"new")
    assert content(path) == b"new"
    assert files.counts["write"] == 4


def test_failures_may_be_meant_for_one_file(path):
    files = FaultFiles()
    files.fail("sync", times=-1, suffix=".log")
    write(files, path, b"one", sync=True)
    with pytest.raises(OSError, match="Input/output"):
        write(files, path + b".log", b"one", sync=True)
    files.heal()
    write(files, path + b".log", b"one", sync=True)


def test_torn_and_short_writes(path):
    files = FaultFiles()
    files.tear(keep=2)
    with pytest.raises(OSError, match="Input/output"):
        write(files, path, b"abcdef")
    assert content(path) == b"ab"
    files.tear(keep=3, errno=0)
    write(files, path, b"ABCDEF")  # the caller goes on where the short write ended
    assert content(path) == b"ABCDEF"


def test_power_loss_takes_back_what_was_not_synced(path, tmp_path):
    files = FaultFiles(forgetful=True)
    write(files, path, b"synced", sync=True)
    files.fsync_dir(os.fsencode(tmp_path))
    write(files, path, b"LOST", 1)
    write(files, path, b"tail", 10)
    write(files, path + b"-new", b"never seen", sync=True)
    assert files.unsynced() == [os.fsdecode(path)]
    files.power_loss()
    assert content(path) == b"synced"
    assert os.listdir(tmp_path) == ["file"]


def test_power_loss_takes_back_names(path, tmp_path):
    files = FaultFiles(forgetful=True)
    for name in (b"a", b"b", b"c"):
        write(files, path + name, name, sync=True)
    files.fsync_dir(os.fsencode(tmp_path))
    files.rename(path + b"a", path + b"b")
    files.unlink(path + b"c")
    assert sorted(name for name in os.listdir(tmp_path) if "lost" not in name) == ["fileb"]
    files.power_loss()
    assert {name: content(tmp_path / name) for name in os.listdir(tmp_path)} == {
        "filea": b"a",
        "fileb": b"b",
        "filec": b"c",
    }
    files.rename(path + b"a", path + b"b")
    files.fsync_dir(os.fsencode(tmp_path))
    files.power_loss()
    assert {name: content(tmp_path / name) for name in os.listdir(tmp_path)} == {"fileb": b"a", "filec": b"c"}


def test_power_loss_by_sectors(path):
    files = FaultFiles(forgetful=True)
    write(files, path, b"-" * 5120, sync=True)
    seen = set()
    for seed in range(20):
        write(files, path, b"+" * 5120)
        files.power_loss(seed=seed)
        after = content(path)
        seen |= set(after[:5120:512])
        assert set(after) <= set(b"+-")
        write(files, path, b"-" * 5120, sync=True)
    assert seen == set(b"+-")
