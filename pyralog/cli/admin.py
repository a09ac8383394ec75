"""The `pyralog-admin` command: topics of any Kafka-compatible cluster, and the health of a node; more comes later."""

from __future__ import annotations

import functools
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from pyralog.version import __version__

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

EXIT_FAILED, EXIT_UNREACHABLE, EXIT_UNHEALTHY = 1, 3, 4
TIMEOUT_S = 10
CONNECT_MS = 5_000


class Where(NamedTuple):
    """What every command is told: the cluster to ask and how to print."""

    cluster: str
    form: str


def _asks(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its Where. --cluster and --format are taken before and after the subcommand."""

    @click.option("--cluster", metavar="HOST:PORT[,..]", help="Where to ask.")
    @click.option("--bootstrap-server", "alias", hidden=True)
    @click.option("--format", "form", type=click.Choice(["table", "json"]), help="How to print.")
    @functools.wraps(function)
    def run(cluster: str | None, alias: str | None, form: str | None, **rest: Any) -> None:
        outer = click.get_current_context().obj or Where("localhost:9092", "table")
        function(Where(cluster or alias or outer.cluster, form or outer.form), **rest)

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "PYRALOG"})
@click.version_option(__version__, prog_name="pyralog-admin", message="%(prog)s %(version)s")
@_asks
def main(where: Where) -> None:
    """Look at a cluster and change it. PYRALOG_CLUSTER names the cluster when --cluster does not."""
    click.get_current_context().obj = where


def _fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    click.echo(f"pyralog-admin: {message}", err=True)
    sys.exit(code)


@contextmanager
def _admin(cluster: str) -> Iterator[KafkaAdminClient]:
    """A connected client; an unreachable cluster and a refusal end the command with a line that says so."""
    from kafka import errors
    from kafka.admin import KafkaAdminClient

    try:
        client = KafkaAdminClient(bootstrap_servers=cluster.split(","), bootstrap_timeout_ms=CONNECT_MS)
    except (errors.KafkaError, OSError, ValueError) as error:
        _fail(f"{cluster} cannot be reached: {error}", EXIT_UNREACHABLE)
    try:
        yield client
    except errors.KafkaError as error:
        _fail(str(error))
    finally:
        client.close()


def _show(form: str, rows: list[dict[str, Any]]) -> None:
    """One JSON document, or a table with aligned columns."""
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        return
    names = list(rows[0])
    table = [[name.upper().replace("_", " ") for name in names], *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(names))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@main.command()
@_asks
def health(where: Where) -> None:
    """Ask a node's /health; exit code 0 when it is well, 4 when it is not, 3 when it does not answer."""
    url = f"http://{where.cluster.split(',')[0]}/health"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    except OSError as error:
        _fail(f"{url} does not answer: {error}", EXIT_UNREACHABLE)
    try:
        told = json.loads(body)
    except ValueError:
        _fail(f"{url} answered {status}, and no JSON: is this a Pyralog node?")
    if where.form == "json":
        click.echo(json.dumps(told, indent=2))
    else:
        for name, value in told.items():
            click.echo(f"{name}: {value}")
    sys.exit(0 if status == 200 else EXIT_UNHEALTHY)


@main.group()
def topic() -> None:
    """List, create, describe and delete topics."""


@topic.command("list")
@_asks
def topic_list(where: Where) -> None:
    """Names, partitions and replicas of all topics."""
    with _admin(where.cluster) as client:
        found = client.describe_topics()
    rows = [
        {
            "topic": each["name"],
            "partitions": len(each["partitions"]),
            "replicas": max((len(p["replica_nodes"]) for p in each["partitions"]), default=0),
        }
        for each in sorted(found, key=lambda each: str(each["name"]))
    ]
    _show(where.form, rows)


@topic.command("create")
@click.argument("name")
@click.option("--partitions", type=click.IntRange(1), help="How many; the broker's default otherwise.")
@click.option("--replicas", type=click.IntRange(1), help="Of each partition; the broker's default otherwise.")
@click.option(
    "--config", "settings", metavar="KEY=VALUE", multiple=True, help="A topic setting, such as retention.ms=60000."
)
@_asks
def topic_create(
    where: Where, name: str, partitions: int | None, replicas: int | None, settings: tuple[str, ...]
) -> None:
    """Make a topic."""
    wrong = [setting for setting in settings if "=" not in setting]
    if wrong:
        raise click.UsageError(f"--config takes KEY=VALUE, not {wrong[0]!r}")
    options = {
        "num_partitions": partitions or -1,
        "replication_factor": replicas or -1,
        "configs": dict(setting.split("=", 1) for setting in settings),
    }
    with _admin(where.cluster) as client:
        client.create_topics({name: options})
    click.echo(f"Created topic {name}.", err=True)


@topic.command("describe")
@click.argument("name")
@_asks
def topic_describe(where: Where, name: str) -> None:
    """Partitions of a topic: leader, epoch, replicas, in-sync replicas."""
    with _admin(where.cluster) as client:
        found = [each for each in client.describe_topics([name]) if not each["error_code"]]
    if not found:
        _fail(f"there is no topic {name}")
    rows = [
        {
            "partition": each["partition_index"],
            "leader": each["leader_id"],
            "epoch": each.get("leader_epoch", -1),
            "replicas": ",".join(map(str, each["replica_nodes"])),
            "isr": ",".join(map(str, each["isr_nodes"])),
        }
        for each in sorted(found[0]["partitions"], key=lambda each: int(each["partition_index"]))
    ]
    _show(where.form, rows)


@topic.command("delete")
@click.argument("names", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_asks
def topic_delete(where: Where, names: tuple[str, ...], yes: bool) -> None:
    """Delete topics and all their records."""
    if not yes:
        click.confirm(f"Delete {', '.join(names)} and all records in it?", abort=True, err=True)
    with _admin(where.cluster) as client:
        client.delete_topics(list(names))
    click.echo(f"Deleted {', '.join(names)}.", err=True)


if __name__ == "__main__":
    main()
