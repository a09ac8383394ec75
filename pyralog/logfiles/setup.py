"""Starts logging for a node: three files in node.log_dir, or the standard output."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyralog.config.schema import Config
from pyralog.config.schema_operations import LoggingSection
from pyralog.logfiles import levels as logger_levels
from pyralog.logfiles.audit import AUDIT, AuditEvent, audit
from pyralog.logfiles.files import LogFile, Stream, Target
from pyralog.logfiles.text import AuditFormatter, TextFormatter, json_formatter
from pyralog.logfiles.writer import LogWriter, Output, Repeats
from pyralog.version import __version__

SYSTEM_LOG, AUDIT_LOG, ERROR_LOG = "pyralog.log", "audit.log", "error.log"
KEY = "node.log_dir"
# Who audits reads it through the group of the folder or not at all.
MODE, AUDIT_MODE = 0o640, 0o600
FOLDER_MODE = 0o750

log = logging.getLogger(__name__)


Writers = tuple[tuple[logging.Logger, LogWriter], ...]


@dataclass(frozen=True, slots=True)
class Logging:
    """What was started; `close` writes the rest and takes the handlers away."""

    writers: Writers
    folder: Path | None
    node_id: int

    def close(self) -> None:
        """End logging: whatever is queued is written first."""
        self.note("node.stop")
        for logger, writer in self.writers:
            logger.removeHandler(writer)
            writer.close()
        if self.folder is not None:
            logging.getLogger(AUDIT).propagate = True

    def note(self, event: str) -> None:
        """Starts and stops are audited where there is an audit.log; on a terminal they would be noise."""
        if self.folder is not None:
            who = {"version": __version__, "process": os.getpid(), "user": os.getuid()}
            audit(AuditEvent(event, f"node {self.node_id}", details=who))

    def wait(self) -> None:
        """Wait until what was logged before is in the files."""
        for _, writer in self.writers:
            writer.wait()


def log_folder(config: Config) -> Path | None:
    """Where to keep log files; None for the standard output.

    A folder that the configuration names is used, and an OSError when it cannot be. The default one is used when it
    is there and can be written, as packages and the systemd unit leave it.
    """
    if not config.node.log_dir:
        return None
    folder = Path(config.node.log_dir)
    if KEY in config.origins:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        return folder
    return folder if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) else None


def start_logging(config: Config, levels: Mapping[str, int]) -> Logging:
    """Open the files and set the levels. An OSError names the file or folder that cannot be used."""
    folder = log_folder(config)
    section, node_id = config.logging, config.node.node_id
    # The root logger's handlers and levels are the process's own; nothing else here is global.
    logger_levels.configure(levels)
    made = _to_stdout(section, node_id) if folder is None else _to_files(folder, section, node_id)
    for logger, writer in made:
        logger.addHandler(writer)
    if folder is None and KEY not in config.origins and config.node.log_dir:
        log.info("%s is not there or cannot be written: logging to the standard output alone", config.node.log_dir)
    running = Logging(made, folder, node_id)
    running.note("node.start")
    return running


def _formatter(section: LoggingSection, node_id: int) -> logging.Formatter:
    return json_formatter(node_id) if section.format == "json" else TextFormatter()


def _to_stdout(section: LoggingSection, node_id: int) -> Writers:
    outputs = [Output(Stream(sys.stdout), _formatter(section, node_id))]
    repeats = Repeats(time.monotonic)
    return ((logging.getLogger(), LogWriter("system", outputs, capacity=section.queue_records, repeats=repeats)),)


def _to_files(folder: Path, section: LoggingSection, node_id: int) -> Writers:
    def opened(name: str, mode: int) -> Target:
        file = LogFile(folder / name, max_bytes=section.max_size, keep=section.keep, mode=mode)
        file.open()
        return file

    formatter = _formatter(section, node_id)
    outputs = [
        Output(opened(SYSTEM_LOG, MODE), formatter),
        Output(opened(ERROR_LOG, MODE), formatter, logging.ERROR),
    ]
    system = LogWriter("system", outputs, capacity=section.queue_records, repeats=Repeats(time.monotonic))
    audited = [Output(opened(AUDIT_LOG, AUDIT_MODE), AuditFormatter(node_id))]
    audit_writer = LogWriter("audit", audited, capacity=section.queue_records, sync=True)
    logger = logging.getLogger(AUDIT)
    # What is audited is complete, whatever the level of everything else, and stands in one file only.
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return (logging.getLogger(), system), (logger, audit_writer)
