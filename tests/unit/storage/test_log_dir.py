"""The log directory: one process, folders that are never lost, a mark of a clean stop that vouches for nothing else."""

import os
import stat
import subprocess
import sys
import textwrap

import pytest

from pyralog._speedups.faultfiles import FaultFiles
from pyralog.model import ZERO_UUID, TopicPartition
from pyralog.storage.epochs import LeaderEpochs
from pyralog.storage.log_dir import LogDir, LogDirInUseError

ONE, TWO = TopicPartition("one", 0), TopicPartition("two.with-dash_", 17)
TOPIC_ID = bytes(range(16))


@pytest.fixture
def log_dir(tmp_path):
    opened = LogDir(tmp_path / "data")
    opened.lock()
    yield opened
    opened.unlock()


def test_a_second_process_is_refused_with_the_pid_of_the_first(log_dir):
    with pytest.raises(LogDirInUseError, match=rf"in use by another process \(pid {os.getpid()}\)"):
        LogDir(log_dir.path).lock()
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from pyralog.storage.log_dir import LogDir, LogDirInUseError
        try:
            LogDir(Path(sys.argv[1])).lock()
        except LogDirInUseError:
            sys.exit(3)
    """)
    command = [sys.executable, "-c", program, str(log_dir.path)]
    assert subprocess.run(command, check=False, timeout=30).returncode == 3
    log_dir.unlock()
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


def test_the_lock_dies_with_its_process(tmp_path):
    program = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from pyralog.storage.log_dir import LogDir
        LogDir(Path(sys.argv[1])).lock()
        os.kill(os.getpid(), 9)
    """)
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=30).returncode == -9
    log_dir = LogDir(tmp_path)
    log_dir.lock()
    log_dir.unlock()
    assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_partition_folders(log_dir):
    path = log_dir.create(TWO, TOPIC_ID)
    log_dir.create(ONE, ZERO_UUID)
    assert path == log_dir.folder(TWO) == log_dir.path / "two.with-dash_-17"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (
        path / "partition.metadata"
    ).read_text() == "version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw\ncrc32: 94016506\n"
    for name in ("notes", "one-x", "one--1", "one-01", "-3", "one-99999999999", "one-5"):
        (log_dir.path / name).mkdir()
    (log_dir.path / "file-0").write_text("")
    found = {folder.tp: folder.topic_id for folder in log_dir.scan()}
    assert found == {
        ONE: ZERO_UUID,
        TWO: TOPIC_ID,
        TopicPartition("one", 5): ZERO_UUID,
        TopicPartition("one-", 1): ZERO_UUID,
    }


@pytest.mark.parametrize(
    "content",
    [b"", b"version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw", b"version: 0", b"\xff" * 40, b"version: 0\ntopic_id: x"],
)
def test_a_bad_metadata_file_is_no_topic_id(log_dir, content):
    (log_dir.create(ONE, TOPIC_ID) / "partition.metadata").write_bytes(content)
    assert [folder.topic_id for folder in log_dir.scan()] == [ZERO_UUID]


def test_a_flipped_bit_makes_no_other_topic_id(log_dir):
    """The folder would be taken for that of an unknown topic and be put aside."""
    path = log_dir.create(ONE, TOPIC_ID) / "partition.metadata"
    good = path.read_bytes()
    for at in range(8 * len(good)):
        bad = bytearray(good)
        bad[at >> 3] ^= 1 << (at & 7)
        path.write_bytes(bad)
        assert log_dir.topic_id(path.parent) in (TOPIC_ID, ZERO_UUID)
    path.write_text("version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw")
    assert log_dir.topic_id(path.parent) == TOPIC_ID


def test_a_new_folder_survives_power_loss(tmp_path):
    files = FaultFiles(forgetful=True)
    log_dir = LogDir(tmp_path, files)
    path = log_dir.create(ONE, TOPIC_ID)
    files.power_loss()
    assert [folder.topic_id for folder in log_dir.scan()] == [TOPIC_ID]
    assert sorted(entry.name for entry in path.iterdir()) == ["partition.metadata"]


def test_deletion_frees_the_name_at_once(log_dir):
    path = log_dir.create(ONE, TOPIC_ID)
    (path / f"{0:020d}.log").write_bytes(b"x")
    retired = log_dir.retire(path)
    assert not path.exists()
    assert retired.name.startswith("one-0.")
    assert retired.name.endswith("-delete")
    log_dir.create(ONE, TOPIC_ID)
    assert [folder.tp for folder in log_dir.scan()] == [ONE]  # a start finishes the deletion
    assert not retired.exists()
    log_dir.remove(retired)
    with pytest.raises(ValueError):
        log_dir.remove(path)


def test_strays_are_kept(log_dir):
    path = log_dir.create(ONE, TOPIC_ID)
    (path / "x.log").write_bytes(b"data")
    stray = log_dir.quarantine(path)
    assert list(log_dir.scan()) == []
    assert (stray / "x.log").read_bytes() == b"data"


def test_the_longest_topic_can_be_retired(log_dir):
    path = log_dir.create(TopicPartition("t" * 249, 12345), TOPIC_ID)
    assert len(log_dir.retire(path).name) <= 255


def test_retired_segments(log_dir):
    path = log_dir.create(ONE, TOPIC_ID)
    for suffix in (".log", ".index", ".snapshot"):
        (path / f"{7:020d}{suffix}").write_bytes(b"x")
    (path / f"{8:020d}.log").write_bytes(b"x")
    retired = log_dir.retire_segments(path, [7])
    assert len(retired) == 3
    log_dir.remove_files(retired)
    log_dir.remove_files(retired)
    assert sorted(entry.name for entry in path.iterdir()) == [f"{8:020d}.log", "partition.metadata"]


def test_clean_stop(log_dir):
    assert not log_dir.begin().clean
    points, starts = {ONE: 5, TWO: 2**40}, {ONE: 3}
    log_dir.write_recovery_points(points)
    log_dir.write_log_starts(starts)
    log_dir.mark_clean()
    found = log_dir.begin()
    assert (found.recovery_points, found.log_starts, found.clean) == (points, starts, True)
    assert not log_dir.begin().clean  # the mark is gone: from here on a crash is a crash


def test_the_mark_of_a_clean_stop_vouches_for_its_own_state_only(log_dir):
    with pytest.raises(ValueError):
        log_dir.mark_clean()
    log_dir.write_recovery_points({ONE: 5})
    log_dir.mark_clean()
    mark = (log_dir.path / ".clean_shutdown").read_bytes()
    log_dir.begin()
    log_dir.write_recovery_points({ONE: 6})
    (log_dir.path / ".clean_shutdown").write_bytes(mark)  # left behind by a restore of everything else
    assert not log_dir.begin().clean
    (log_dir.path / ".clean_shutdown").write_bytes(mark)
    (log_dir.path / "recovery-point-offset-checkpoint").unlink()
    assert not log_dir.begin().clean


def test_a_damaged_checkpoint_costs_a_scan_and_is_kept(log_dir):
    log_dir.write_recovery_points({ONE: 5})
    path = log_dir.path / "recovery-point-offset-checkpoint"
    path.write_bytes(b"0\n2\none 0 5\n")
    found = log_dir.begin()
    assert (found.recovery_points, found.clean) == ({}, False)
    (aside,) = log_dir.path.glob("*.quarantine")
    assert aside.read_bytes() == b"0\n2\none 0 5\n"


def test_epochs(log_dir):
    path = log_dir.create(ONE, TOPIC_ID)
    assert log_dir.read_epochs(path) is None
    log_dir.write_epochs(path, LeaderEpochs([(0, 0), (4, 100)]))
    assert (path / "leader-epoch-checkpoint").read_text() == "1 a792f5de\n2\n0 0\n4 100\n"
    assert log_dir.read_epochs(path).entries == ((0, 0), (4, 100))
    for bad in ("", "0\n1\n", "1\n0\n", "0\n2\n0 5\n0 6\n", "0\n1\nx y\n", "0\n1\n1 2 3\n"):
        (path / "leader-epoch-checkpoint").write_text(bad)
        assert log_dir.read_epochs(path) is None
