"""`pyralog-admin backup`: save a node's data while it runs, check it, restore it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pyralog.cli.admin import backup_store as store
from pyralog.cli.admin.ask import EXIT_FAILED, Ask, asks, fail, note
from pyralog.cli.admin.output import size_text
from pyralog.cli.admin.progress import Progress
from pyralog.cli.admin.telling import said
from pyralog.cli.admin.tree import command, group

FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING = click.Path(path_type=Path, file_okay=False, exists=True)


@group("backup")
def backup() -> None:
    """Save a node's data while it runs, check it, restore it. These commands run on the node's own machine."""


def _rate(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    from pyralog.config.units import size

    try:
        return size(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@command("create")
@click.option("--data-dir", type=EXISTING, required=True, help="The node's data directory; the node may run.")
@click.option("--to", "target", type=FOLDER, required=True, help="The folder that holds the backups.")
@click.option("--incremental", is_flag=True, help="Copy only what the last backup lacks; the rest is linked to it.")
@click.option("--throttle", metavar="SIZE", callback=_rate, help="At most so many bytes a second, such as 50MB.")
@asks
def create(ask: Ask, data_dir: Path, target: Path, incremental: bool, throttle: int | None) -> None:
    """Copy a node's data directory, with a checksum of every file."""
    try:
        store.identity(data_dir)
        with Progress("backup", store.size_of(data_dir), wanted=ask.progress) as progress:
            made = store.create(data_dir, target, incremental=incremental, moved=progress.add, rate_bytes=throttle)
    except store.BackupError as error:
        fail(f"no backup was made: {error}")
    except OSError as error:
        fail(f"no backup was made: {error.filename}: {said(error)}")
    copied = sum(entry.size for entry in made.files if not entry.linked)
    ask.document(
        {
            "backup": made.id,
            "folder": str(target / made.id),
            "files": len(made.files),
            "size_bytes": made.size_bytes,
            "copied_bytes": copied,
            "incremental": made.incremental,
        }
    )


@command("list")
@click.argument("target", type=EXISTING)
@asks
def backup_list(ask: Ask, target: Path) -> None:
    """The backups in a folder, oldest first."""
    ask.show(
        [
            {
                "backup": each.id,
                "created_at_ms": each.created_at_ms,
                "node": each.node_id,
                "cluster": each.cluster_id,
                "files": len(each.files),
                "size_bytes": each.size_bytes,
                "copied_bytes": sum(entry.size for entry in each.files if not entry.linked),
                "incremental": each.incremental,
            }
            for each in store.manifests(target)
        ],
        empty=f"There are no backups in {target}.",
    )


@command("verify")
@click.argument("target", type=EXISTING)
@click.option("--backup", "name", help="Which one; otherwise the newest.")
@asks
def backup_verify(ask: Ask, target: Path, name: str | None) -> None:
    """Compare every file of a backup with its checksum; exit code 1 when one differs."""
    try:
        folder = store.find(target, name)
        manifest = store.read_manifest(folder)
        with Progress("verify", manifest.size_bytes, wanted=ask.progress) as progress:
            wrong = list(store.check(folder, progress.add))
    except store.BackupError as error:
        fail(str(error))
    ask.show([{"file": path, "problem": problem} for path, problem in wrong], empty="")
    note(f"{manifest.id}: {len(manifest.files)} files, {len(wrong) or 'none'} damaged.")
    sys.exit(EXIT_FAILED if wrong else 0)


@command("restore")
@click.argument("target", type=EXISTING)
@click.option("--to", "data_dir", type=FOLDER, required=True, help="The data directory; it must be empty.")
@click.option("--backup", "name", help="Which one; otherwise the newest.")
@asks
def backup_restore(ask: Ask, target: Path, data_dir: Path, name: str | None) -> None:
    """Copy a backup into an empty data directory. Start the node afterwards: it recovers as after a crash."""
    try:
        folder = store.find(target, name)
        with Progress("restore", store.read_manifest(folder).size_bytes, wanted=ask.progress) as progress:
            restored = store.restore(folder, data_dir, progress.add)
    except store.BackupError as error:
        fail(str(error))
    note(f"Restored {restored.id} of node {restored.node_id} to {data_dir}: {size_text(restored.size_bytes)}.")


for each in (create, backup_list, backup_verify, backup_restore):
    backup.add_command(each)
