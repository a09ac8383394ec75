"""Log files: logrotate's two ways, their own size, full disks."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyralog.logfiles.files import LogFile, Stream


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LogFile]:
    def make(*, max_bytes: int = 0, keep: int = 2) -> LogFile:
        file = LogFile(tmp_path / "pyralog.log", max_bytes=max_bytes, keep=keep, mode=0o640)
        file.open()
        return file

    return make


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def test_lines_are_appended(make: Callable[..., LogFile], tmp_path: Path) -> None:
    (tmp_path / "pyralog.log").write_text("old\n", encoding="utf-8")
    file = make()
    file.write(["a", "ü"])
    file.write(["b"])
    assert texts(tmp_path) == {"pyralog.log": "old\na\nü\nb\n"}


def test_a_new_file_is_not_for_everybody(make: Callable[..., LogFile], tmp_path: Path) -> None:
    make()
    assert (tmp_path / "pyralog.log").stat().st_mode & 0o007 == 0


def test_rename_and_create(make: Callable[..., LogFile], tmp_path: Path) -> None:
    file = make()
    file.write(["a"])
    (tmp_path / "pyralog.log").rename(tmp_path / "pyralog.log-20260101")
    (tmp_path / "pyralog.log").touch(0o600)
    file.write(["b"])
    assert texts(tmp_path) == {"pyralog.log": "b\n", "pyralog.log-20260101": "a\n"}


def test_a_name_that_is_gone_is_made_again(make: Callable[..., LogFile], tmp_path: Path) -> None:
    file = make()
    file.write(["a"])
    (tmp_path / "pyralog.log").unlink()
    file.write(["b"])
    assert texts(tmp_path) == {"pyralog.log": "b\n"}


def test_copytruncate_leaves_no_hole(make: Callable[..., LogFile], tmp_path: Path) -> None:
    file = make(max_bytes=100)
    file.write(["a" * 80])
    os.truncate(tmp_path / "pyralog.log", 0)
    file.write(["b" * 80])
    assert texts(tmp_path) == {"pyralog.log": "b" * 80 + "\n"}


def test_size(make: Callable[..., LogFile], tmp_path: Path) -> None:
    file = make(max_bytes=10, keep=2)
    for letter in "abcd":
        file.write([letter * 7])
    expected = {"pyralog.log": "d" * 7, "pyralog.log.1": "c" * 7, "pyralog.log.2": "b" * 7}
    assert texts(tmp_path) == {name: text + "\n" for name, text in expected.items()}


def test_keep_nothing(make: Callable[..., LogFile], tmp_path: Path) -> None:
    file = make(max_bytes=10, keep=0)
    file.write(["a" * 8])
    file.write(["b" * 8])
    assert texts(tmp_path) == {"pyralog.log": "b" * 8 + "\n"}


def test_a_line_above_the_limit_is_written_whole(make: Callable[..., LogFile], tmp_path: Path) -> None:
    make(max_bytes=10).write(["a" * 50])
    assert texts(tmp_path) == {"pyralog.log": "a" * 50 + "\n"}


def test_what_may_not_be_put_aside_grows_on(
    make: Callable[..., LogFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    file = make(max_bytes=10)
    monkeypatch.setattr(os, "replace", refuse)
    for _ in range(3):
        file.write(["a" * 8])
    assert texts(tmp_path) == {"pyralog.log": ("a" * 8 + "\n") * 3}
    assert capsys.readouterr().err.count("it grows on") == 1
    assert file.lost == 0


def test_a_full_disk_is_said_once_and_counted(
    make: Callable[..., LogFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    room = [6]
    write = os.write

    def scarce(fd: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(fd, data[: room[0]])
        room[0] -= written
        return written

    file = make()
    monkeypatch.setattr(os, "write", scarce)
    file.write(["aaa", "bbb", "ccc"])  # a whole line and half of the next one fit
    file.write(["ddd"])
    assert (file.lost, file.trouble) == (3, "No space left on device")
    complaints = capsys.readouterr().err
    assert complaints.count("\n") == 1
    assert f"pyralog: cannot write {tmp_path}/pyralog.log: No space left on device" in complaints
    room[0] = 1000
    file.write(["eee"])
    assert (file.lost, file.trouble) == (0, "")
    assert texts(tmp_path) == {"pyralog.log": "aaa\nbb\neee\n"}
    room[0] = 0
    file.write(["fff"])
    assert "No space left" in capsys.readouterr().err


def test_a_folder_that_comes_back(make: Callable[..., LogFile], tmp_path: Path) -> None:
    file = make()
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    file.write(["a"])
    assert (file.lost, file.trouble) == (1, "No such file or directory")
    moved.rename(tmp_path)
    file.write(["b"])
    assert texts(tmp_path) == {"pyralog.log": "b\n"}


def test_a_device_is_written_and_neither_synced_nor_put_aside() -> None:
    file = LogFile(Path("/dev/null"), max_bytes=10, keep=1, mode=0o640)
    file.open()
    file.write(["a" * 20])
    file.write(["a" * 20])
    file.sync()
    file.close()
    assert file.lost == 0
    assert Path("/dev/null").is_char_device()


def test_a_stream_without_our_characters() -> None:
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write(["ü"])
    assert raw.getvalue() == b"\\xfc\n"


def test_a_stream_that_was_closed(capsys: pytest.CaptureFixture[str]) -> None:
    target = io.StringIO()
    target.close()
    stream = Stream(target)
    stream.write(["a"])
    stream.write(["b"])
    assert stream.lost == 2
    assert capsys.readouterr().err.count("cannot write the log to the standard output") == 1
