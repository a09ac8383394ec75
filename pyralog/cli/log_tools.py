"""`pyralog log dump | verify | repair DIR`: look at the files of a node that does not run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyralog.cli.whole_help import WholeHelpGroup

if TYPE_CHECKING:
    from pyralog.storage.reader import BatchPosition

EXIT_FAILED, EXIT_PARTLY = 1, 4
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group(
    "log", cls=WholeHelpGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def log() -> None:
    """Offline tools: look at, check and repair the logs of a node that does not run."""


def partitions(folder: Path) -> list[Path]:
    """A partition's folder, or those of a data directory."""
    from pyralog.storage import names

    def holds_log(path: Path) -> bool:
        return names.parse_partition(path.name) is not None and any(path.glob("*.log"))

    if any(folder.glob("*.log")):
        return [folder]
    found = [path for path in sorted(folder.iterdir()) if path.is_dir() and holds_log(path)]
    if not found:
        raise click.UsageError(f"{folder} holds no segments and no partition folders")
    return found


def segments(folder: Path) -> list[Path]:
    """Segment files in the order of their offsets."""
    from pyralog.storage import names

    return [path for path in sorted(folder.glob("*.log")) if names.parse_segment(path.name)]


@log.command("dump")
@click.argument("folder", type=FOLDER)
@click.option("--records", is_flag=True, help="Every record, not only the batches.")
@click.option("--from-offset", type=click.IntRange(0), default=0, help="Leave out batches that end before.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="json: one a line.")
def dump(folder: Path, records: bool, from_offset: int, form: str) -> None:
    """Print the batches of a partition, or of every partition of a data directory."""
    from pyralog.errors import CorruptRecordError
    from pyralog.storage.reader import SegmentReader

    damaged = False
    for partition in partitions(folder):
        for path in segments(partition):
            try:
                with SegmentReader(path) as reader:
                    for at in reader.positions(0, path.stat().st_size):
                        if at.last_offset < from_offset:
                            continue
                        _say(form, _batch_row(partition, path, at, reader.batch(at)))
                        for record in reader.records(at) if records else ():
                            _say(form, _record_row(record))
            except CorruptRecordError as error:
                damaged = True
                click.echo(f"pyralog: {error}", err=True)
    sys.exit(EXIT_FAILED if damaged else 0)


def _batch_row(partition: Path, path: Path, at: BatchPosition, raw: bytes) -> dict[str, Any]:
    from pyralog.records.batch import parse_header

    header = parse_header(raw)
    kinds = [name for name, on in (("transactional", header.transactional), ("control", header.control)) if on]
    return {
        "partition": partition.name,
        "segment": path.name,
        "position": at.position,
        "base_offset": header.base_offset,
        "last_offset": header.last_offset,
        "records": header.record_count,
        "bytes": header.size,
        "epoch": header.leader_epoch,
        "codec": header.codec.name.lower(),
        "kind": "+".join(kinds) or "plain",
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "max_timestamp": header.max_timestamp,
    }


def _record_row(record: Any) -> dict[str, Any]:
    return {
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": None if record.key is None else record.key.decode(errors="backslashreplace"),
        "value": None if record.value is None else record.value.decode(errors="backslashreplace"),
    }


def _say(form: str, row: dict[str, Any]) -> None:
    click.echo(json.dumps(row) if form == "json" else " ".join(f"{name}={value}" for name, value in row.items()))


def problems_of(partition: Path, *, deep: bool) -> Iterator[str]:
    """What is wrong in the segments of a partition: damaged batches, offsets and epochs that go back."""
    from pyralog.errors import CorruptRecordError
    from pyralog.storage import names
    from pyralog.storage.reader import SegmentReader

    expected, epoch = -1, -1
    for path in segments(partition):
        parsed = names.parse_segment(path.name)
        assert parsed is not None
        if parsed.offset < expected:
            yield f"{path.name}: begins before the end {expected} of the segment in front of it"
        try:
            with SegmentReader(path) as reader:
                for at in reader.positions(0, path.stat().st_size):
                    reader.batch(at)
                    if at.base_offset < max(expected, parsed.offset):
                        yield f"{path.name} at {at.position}: offset {at.base_offset} goes back from {expected}"
                    if at.leader_epoch < epoch:
                        yield f"{path.name} at {at.position}: leader epoch {at.leader_epoch} goes back from {epoch}"
                    for _ in reader.records(at) if deep else ():
                        continue
                    expected, epoch = at.last_offset + 1, max(epoch, at.leader_epoch)
        except CorruptRecordError as error:
            yield str(error)


@log.command("verify")
@click.argument("folder", type=FOLDER)
@click.option("--deep", is_flag=True, help="Decompress and decode every record as well.")
def verify(folder: Path, deep: bool) -> None:
    """Check every batch of a partition, or of a data directory; exit code 1 when something is damaged."""
    wrong = 0
    found = partitions(folder)
    for partition in found:
        for problem in problems_of(partition, deep=deep):
            wrong += 1
            click.echo(f"{partition.name}: {problem}")
    click.echo(f"{len(found)} partitions checked, {wrong or 'no'} problems.", err=True)
    sys.exit(EXIT_FAILED if wrong else 0)


@log.command("repair")
@click.argument("folder", type=FOLDER)
@click.option("--yes", is_flag=True, help="Do not ask.")
def repair(folder: Path, yes: bool) -> None:
    """Do what a start after a crash does: cut torn ends, rebuild indexes, set aside what cannot be read.

    Nothing is deleted: bytes that are cut off are kept in .quarantine files beside the log.
    """
    import time

    from pyralog.errors import StorageError
    from pyralog.storage.log_config import LogConfig
    from pyralog.storage.log_dir import LogDir, LogDirInUseError
    from pyralog.storage.recovery import close_partition, open_partition
    from pyralog.storage.recovery_report import RecoveryReport

    found = partitions(folder)
    root = folder.parent if found == [folder] else folder
    lock = LogDir(root)
    try:
        lock.lock()
    except LogDirInUseError as error:
        click.echo(f"pyralog: {error}", err=True)
        sys.exit(EXIT_FAILED)
    failed = 0
    try:
        if not yes:
            click.confirm(f"Repair {len(found)} partitions in {folder}?", abort=True, err=True)
        starts = _log_starts(root)
        for partition in found:
            if partition.name == "__cluster_metadata-0":
                continue  # the node's own start looks at it, and refuses what it cannot mend
            report = RecoveryReport()
            try:
                opened = open_partition(
                    partition,
                    config=LogConfig(),
                    log_start=starts.get(partition.name, 0),
                    now_ms=time.time_ns() // 1_000_000,
                    report=report,
                )
                close_partition(opened)
            except StorageError as error:
                failed += 1
                click.echo(f"{partition.name}: {error}")
                continue
            click.echo(
                f"{partition.name}: {opened.log_start} to {opened.log_end}, {report.scanned_bytes} bytes scanned, "
                f"{report.cut_bytes} cut, set aside {report.quarantined or 'nothing'}"
            )
    finally:
        lock.unlock()
    sys.exit(EXIT_PARTLY if failed else 0)


def _log_starts(root: Path) -> dict[str, int]:
    """What was deleted from the front of logs must stay deleted."""
    from pyralog.storage import names
    from pyralog.storage.checkpoints import CorruptCheckpointError
    from pyralog.storage.log_dir import LogDir

    try:
        known = LogDir(root)._log_starts.read()
    except CorruptCheckpointError as error:
        click.echo(f"pyralog: {error}; deleted records may come back", err=True)
        return {}
    return {names.partition_folder(tp): offset for tp, offset in known.items()}
