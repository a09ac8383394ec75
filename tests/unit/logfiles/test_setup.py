"""What a node's configuration makes of logging: files, the standard output, levels."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyralog.config.loader import load
from pyralog.config.schema import Config
from pyralog.logfiles import setup
from pyralog.logfiles.audit import AUDIT, AuditEvent, audit
from pyralog.logfiles.levels import configure, logger_names, restore
from pyralog.logfiles.setup import Logging, log_folder, start_logging

Start = Callable[..., Logging]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Logging] = []
    root = logging.getLogger()
    level = root.level

    def start(*settings: str, levels: dict[str, int] | None = None) -> Logging:
        config = load(environ={}, settings=settings).config
        made.append(start_logging(config, {"": logging.INFO} if levels is None else levels))
        return made[-1]

    yield start
    for each in made:
        each.close()
    configure({})
    root.setLevel(level)
    logging.getLogger(AUDIT).setLevel(logging.NOTSET)


def test_three_files(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "logs"
    running = start(f"node.log_dir={folder}", levels={"": logging.WARNING})
    log = logging.getLogger("pyralog.example")
    log.info("too quiet")
    log.warning("a warning")
    log.error("an error")
    audit(AuditEvent("topic.create", "orders", principal="User:x", peer="10.0.0.1:5"))
    running.close()
    system = (folder / "pyralog.log").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 2)[2] for line in system] == [
        "WARNING pyralog.example: a warning",
        "ERROR pyralog.example: an error",
    ]
    assert (folder / "error.log").read_text(encoding="utf-8").splitlines() == system[1:]
    audited = [json.loads(line) for line in (folder / "audit.log").read_text(encoding="utf-8").splitlines()]
    assert [each["event"] for each in audited] == ["node.start", "topic.create", "node.stop"]
    assert (folder / "audit.log").stat().st_mode & 0o077 == 0


def test_json_files(start: Start, tmp_path: Path) -> None:
    running = start(f"node.log_dir={tmp_path}", "logging.format=json")
    logging.getLogger("pyralog.example").info("for %s", "machines")
    running.close()
    (line,) = (tmp_path / "pyralog.log").read_text(encoding="utf-8").splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("INFO", "pyralog.example", "for machines")


def test_size_and_number_of_files(start: Start, tmp_path: Path) -> None:
    running = start(f"node.log_dir={tmp_path}", "logging.max_size=1000", "logging.keep=1")
    for number in range(30):
        logging.getLogger("pyralog.example").info("line %d of a hundred bytes or so %s", number, "x" * 30)
        running.wait()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"pyralog.log", "pyralog.log.1", "error.log", "audit.log"}
    assert (tmp_path / "pyralog.log.1").stat().st_size <= 1000


def test_stdout_without_a_folder(start: Start, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    running = start(f"node.data_dir={tmp_path}")
    assert running.folder is None
    audit(AuditEvent("topic.create", "orders", principal="User:x", peer="10.0.0.1:5"))
    running.close()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(" INFO  pyralog.audit: topic.create orders by User:x from 10.0.0.1:5: ok")


def configured(tmp_path: Path, text: str = "node: {node_id: 1}\n") -> Config:
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    return load(str(file), environ={}).config


def test_the_default_folder_is_used_where_it_is(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path)
    assert config.node.log_dir == "/var/log/pyralog"
    there = config.model_copy(update={"node": config.node.model_copy(update={"log_dir": str(tmp_path)})})
    assert log_folder(there) == tmp_path
    monkeypatch.setattr(setup.os, "access", lambda *_: False)
    assert log_folder(there) is None
    gone = config.model_copy(update={"node": config.node.model_copy(update={"log_dir": str(tmp_path / "gone")})})
    assert log_folder(gone) is None
    assert not (tmp_path / "gone").exists()
    start_logging(gone, {"": logging.INFO}).close()
    assert "logging to the standard output alone" in capsys.readouterr().out


def test_an_empty_name_is_the_standard_output(tmp_path: Path) -> None:
    assert log_folder(configured(tmp_path, 'node: {log_dir: ""}\n')) is None


def test_a_folder_that_cannot_be_made(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        start(f"node.log_dir={tmp_path}/file/logs")
    (tmp_path / "pyralog.log").mkdir()
    with pytest.raises(IsADirectoryError):
        start(f"node.log_dir={tmp_path}")


def test_audit_does_not_depend_on_levels(start: Start, tmp_path: Path) -> None:
    running = start(f"node.log_dir={tmp_path}", levels={"": 60, "pyralog.audit": 60})
    configure({"": 60, "pyralog.audit": 60})  # as a change of logging.level does
    configure({"": 60})
    audit(AuditEvent("topic.delete", "orders"))
    running.close()
    assert "topic.delete" in (tmp_path / "audit.log").read_text(encoding="utf-8")
    assert AUDIT not in logger_names()


def test_levels_are_set_and_given_back(start: Start, tmp_path: Path) -> None:
    start(f"node.data_dir={tmp_path}", levels={"": 30, "pyralog.example": 10})
    example, other = logging.getLogger("pyralog.example"), logging.getLogger("pyralog.other")
    for logger in (example, other):
        logger.setLevel(40)
        restore(logger.name)
    assert (example.level, other.level) == (10, logging.NOTSET)
    logging.getLogger().setLevel(10)
    restore("")
    assert logging.getLogger().level == 30
    configure({"": 20})
    assert example.level == logging.NOTSET


def test_what_is_logged_to_a_pipe_that_nobody_reads_holds_nobody_up(start: Start, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:
        from pyralog.logfiles.files import Stream
        from pyralog.logfiles.text import TextFormatter
        from pyralog.logfiles.writer import LogWriter, Output

        made = LogWriter("pipe", [Output(Stream(stream), TextFormatter())], capacity=1000)
        logger = logging.Logger("pyralog.pipe", 1)
        logger.addHandler(made)
        for number in range(5000):
            logger.info("%d %s", number, "x" * 200)
        assert made.dropped > 0
        with open(reading, encoding="utf-8") as reader:
            first = reader.readline()
            assert ": 0 xxx" in first
            while not made.wait(0.01):
                os.read(reader.fileno(), 1 << 16)
            made.close()
