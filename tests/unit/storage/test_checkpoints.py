"""Checkpoint files: Kafka's format, whole after any crash."""

import errno
import random

import pytest

from pyralog._speedups.faultfiles import FaultFiles
from pyralog._speedups.fileops import Files
from pyralog.model import TopicPartition
from pyralog.storage.checkpoints import CorruptCheckpointError, OffsetCheckpoint, read_small, write_atomically

ONE, TWO = TopicPartition("one", 0), TopicPartition("two", 12)


def test_kafkas_format(tmp_path):
    checkpoint = OffsetCheckpoint(tmp_path / "c", Files())
    assert checkpoint.read() == {}
    checkpoint.write({TWO: 7, ONE: 2**45})
    assert (tmp_path / "c").read_text() == f"1 ed745e55\n2\none 0 {2**45}\ntwo 12 7\n"
    assert checkpoint.read() == {ONE: 2**45, TWO: 7}
    checkpoint.write({})
    assert (tmp_path / "c").read_text().splitlines()[1:] == ["0"]
    assert checkpoint.read() == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0\n",
        "1\n0\n",
        "0\n1\n",
        "0\n1\na 0 1\nb 0 1\n",
        "0\n1\na 0\n",
        "0\n1\na b c\n",
        "0\n1\na 0 -1\n",
        "x\n0\n",
        "0\nx\n",
        "\xff\n0\n",
    ],
)
def test_nonsense_is_refused(tmp_path, text):
    (tmp_path / "c").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptCheckpointError):
        OffsetCheckpoint(tmp_path / "c", Files()).read()


def test_a_file_without_checksum_is_read(tmp_path):
    (tmp_path / "c").write_text("0\n1\na 0 5\n")
    assert OffsetCheckpoint(tmp_path / "c", Files()).read() == {TopicPartition("a", 0): 5}


def test_any_flipped_bit_is_found(tmp_path):
    """An offset that is too high hides records, or has them taken for flushed."""
    checkpoint = OffsetCheckpoint(tmp_path / "c", Files())
    checkpoint.write({TopicPartition("a", 0): 1234567, TopicPartition("b", 1): 8})
    good = (tmp_path / "c").read_bytes()
    for at in range(8 * len(good)):
        bad = bytearray(good)
        bad[at >> 3] ^= 1 << (at & 7)
        (tmp_path / "c").write_bytes(bad)
        with pytest.raises(CorruptCheckpointError):
            checkpoint.read()


def test_every_crash_leaves_the_old_or_the_new(tmp_path):
    path = tmp_path / "c"
    for kind in ("open", "write", "sync", "rename", "sync_dir"):
        files = FaultFiles(forgetful=True)
        write_atomically(files, path, b"old")
        files.fail(kind, errno=errno.ENOSPC)
        with pytest.raises(OSError, match="No space"):
            write_atomically(files, path, b"new")
        files.heal()
        assert read_small(files, path) in (b"old", b"new")
        files.power_loss()
        assert read_small(files, path) == b"old"
        assert files.broken == []


def test_power_loss_at_random(tmp_path):
    rng = random.Random(3)
    files = FaultFiles(forgetful=True)
    path = tmp_path / "c"
    known = None
    for round_ in range(40):
        new = f"round {round_} ".encode() * rng.randint(1, 200)
        write_atomically(files, path, new)
        known = new
        files.power_loss(seed=round_)
        assert read_small(files, path) == known


def test_files_without_bound_are_not_read(tmp_path):
    with open(tmp_path / "c", "wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(CorruptCheckpointError):
        read_small(Files(), tmp_path / "c")
