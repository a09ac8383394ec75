"""`pyralog-admin bundle`: what support asks for, in one zip, without secrets."""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import click

from pyralog.cli.admin.ask import Ask, HttpError, asks, note
from pyralog.cli.admin.cluster import health_of
from pyralog.cli.admin.configs import config_rows, describe
from pyralog.cli.admin.host_checks import host_findings
from pyralog.cli.admin.metadata import node_ids, partition_row, topics_of
from pyralog.cli.admin.tree import command
from pyralog.version import __version__

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

LOG_TAIL_BYTES = 5 << 20
LOG_FOLDER = Path("/var/log/pyralog")
PATHS = ("/health", "/status", "/replication/status", "/metrics", "/public_metrics")
OK = 200
HOST_FILES = ("cpuinfo", "meminfo", "mounts", "loadavg", "diskstats", "net/dev")
SECRET_NAME = r"password|passwd|secret|token|credential|jaas|private[._-]?key|api[._-]?key"
SECRET = re.compile(
    rf"""(["']?[\w.-]*(?:{SECRET_NAME})[\w.-]*["']?[ \t]*[:=][ \t]*)("(?:\\.|[^"\\])*"|'[^']*'|[^\n,}}\]]+)""",
    re.IGNORECASE,
)
AUTHORIZATION = re.compile(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}")
URL_LOGIN = re.compile(r"(://[^/\s:@]+:)[^@/\s]+(@)")
MASK = "(removed)"


def without_secrets(text: str) -> str:
    """The text with what looks like a secret taken out."""
    text = SECRET.sub(lambda found: f'{found[1]}"{MASK}"', text)
    text = AUTHORIZATION.sub(rf"\1{MASK}", text)
    return URL_LOGIN.sub(rf"\1{MASK}\2", text)


class _Parts:
    """The zip that is being made, and what could not be put into it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED)
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.writestr("problems.txt", "".join(f"{each}\n" for each in self.problems))
        self._zip.close()

    def add(self, name: str, build: Callable[[], Any]) -> None:
        """What `build` returns, without secrets; a failure is noted."""
        from kafka.errors import KafkaError

        try:
            built = build()
        except (OSError, ValueError, KeyError, KafkaError) as error:
            self.problems.append(f"{name}: {error}")
            return
        text = built if isinstance(built, str) else json.dumps(built, indent=2, default=str)
        self._zip.writestr(name, without_secrets(text))


@command("bundle")
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), help="The zip; it must not exist.")
@click.option("--config", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The node's file.")
@click.option("--logs", type=click.Path(path_type=Path, file_okay=False), default=LOG_FOLDER, show_default=True)
@asks
def bundle(ask: Ask, target: Path | None, file: Path | None, logs: Path) -> None:
    """Version, configuration, recent logs, metrics, topology and host settings. A part that fails is noted in it."""
    target = target or Path(f"pyralog-bundle-{time.strftime('%Y%m%d-%H%M%S')}.zip")
    with (
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream,
        _Parts(stream) as parts,
    ):
        parts.add("version.json", _version)
        parts.add("host.json", lambda: [each._asdict() for each in host_findings()])
        for name in HOST_FILES:
            parts.add(f"host/{name.replace('/', '-')}", functools.partial(_text, Path("/proc", name)))
        if file is not None:
            parts.add(f"config/{file.name}", functools.partial(_text, file))
        _logs(parts, logs)
        _http(ask, parts)
        _topology(ask, parts)
        problems = parts.problems
    for each in problems:
        note(f"left out: {each}")
    click.echo(str(target))


def _version() -> dict[str, Any]:
    return {"pyralog": __version__, "python": sys.version, "platform": platform.platform(), "argv0": sys.argv[0]}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _logs(parts: _Parts, folder: Path) -> None:
    found = [path for path in sorted(folder.glob("*.log*")) if path.is_file()]
    if not found:
        parts.problems.append(f"logs: there are none in {folder}")
    for path in found:
        parts.add(f"logs/{path.name}", functools.partial(_tail, path))


def _tail(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
        return stream.read().decode(errors="replace")


def _http(ask: Ask, parts: _Parts) -> None:
    for path in PATHS:
        try:
            status, body = ask.http(path, accept="*/*")
        except HttpError as error:
            parts.problems.append(str(error))
            return
        if status == OK:
            parts.add(f"http{path.replace('/', '-')}", functools.partial(body.decode, errors="replace"))
        else:
            parts.problems.append(f"http {path}: status {status}")


def _topology(ask: Ask, parts: _Parts) -> None:
    """What the cluster says; a cluster that is down must not cost the rest of the bundle."""
    try:
        with ask.connected() as client:
            parts.add("cluster.json", client.describe_cluster)
            parts.add("health.json", lambda: health_of(client))
            parts.add("partitions.json", lambda: _partitions(client))
            parts.add("logdirs.json", client.describe_log_dirs)
            parts.add("groups.json", client.list_groups)
            parts.add("brokers.json", lambda: _brokers(client))
    except SystemExit:
        parts.problems.append(f"cluster: {ask.cluster} cannot be asked")


def _partitions(client: KafkaAdminClient) -> list[dict[str, Any]]:
    return [partition_row(topic["name"], p) for topic in topics_of(client) for p in topic["partitions"]]


def _brokers(client: KafkaAdminClient) -> dict[str, Any]:
    return {
        str(node): config_rows(describe(client, "broker", str(node)), everything=False) for node in node_ids(client)
    }
