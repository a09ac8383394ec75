"""`pyralog-admin topic`: make, describe, change, trim and delete topics."""

from __future__ import annotations

from uuid import UUID

import click

from pyralog.cli.admin.ask import Ask, Rows, asks, end_without, fail, note, pairs_of
from pyralog.cli.admin.configs import change_configs, config_rows, describe
from pyralog.cli.admin.metadata import (
    UNKNOWN_TOPIC,
    partition_row,
    partition_state,
    places_among,
    topics_and_missing,
    topics_of,
)
from pyralog.cli.admin.offsets import Spec, ends_of, resolve, spec_of
from pyralog.cli.admin.records import consume, produce, tail
from pyralog.cli.admin.telling import count, error_of
from pyralog.cli.admin.tree import command, group, internal_option
from pyralog.model import uuid_text


@group("topic")
def topic() -> None:
    """Make, describe, change, trim and delete topics; write and read their records."""


@command("list")
@internal_option()
@asks
def topic_list(ask: Ask, internal: bool) -> None:
    """Names, partitions and replicas of all topics."""
    with ask.connected() as client:
        found = topics_of(client, internal=internal)
    ask.show(
        [
            {
                "topic": each["name"],
                "partitions": len(each["partitions"]),
                "replicas": max((len(p["replica_nodes"]) for p in each["partitions"]), default=0),
                "not_ok": sum(partition_state(p) != "ok" for p in each["partitions"]),
                "internal": bool(each["is_internal"]),
                "id": uuid_text(UUID(each["topic_id"]).bytes) if each.get("topic_id") else None,
            }
            for each in found
        ],
        wide=("internal", "id"),
        empty="There are no topics.",
    )


@command("create")
@click.argument("names", nargs=-1, required=True)
@click.option("--partitions", "-p", type=click.IntRange(1), help="How many; the broker's default otherwise.")
@click.option("--replicas", "-r", type=click.IntRange(1), help="Of each partition; the broker's default otherwise.")
@click.option(
    "--config", "-c", "settings", metavar="KEY=VALUE", multiple=True, help="A setting, such as retention.ms=60000."
)
@click.option("--if-not-exists", is_flag=True, help="A topic that is there already is no failure.")
@click.option("--dry-run", is_flag=True, help="Have it checked, make nothing.")
@asks
def topic_create(
    ask: Ask,
    names: tuple[str, ...],
    partitions: int | None,
    replicas: int | None,
    settings: tuple[str, ...],
    if_not_exists: bool,
    dry_run: bool,
) -> None:
    """Make topics that are alike."""
    options = {
        "num_partitions": partitions or -1,
        "replication_factor": replicas or -1,
        "configs": pairs_of(settings, "--config"),
    }
    with ask.connected() as client:
        answer = client.create_topics(dict.fromkeys(names, options), validate_only=dry_run, raise_errors=False)
    exists = "TOPIC_ALREADY_EXISTS"
    rows: Rows = []
    for each in answer["topics"]:
        error = error_of(each["error_code"])
        if error == exists and if_not_exists:
            note(f"There is a topic {each['name']} already.")
            continue
        rows.append({"topic": each["name"], "error": _why(error, each.get("error_message"))})
        if not error:
            note(f"{'Would create' if dry_run else 'Created'} topic {each['name']}.")
    _end(ask, rows)


@command("describe")
@click.argument("names", nargs=-1, required=True)
@click.option("--configs", is_flag=True, help="The topics' configuration instead of their partitions.")
@click.option("--all", "everything", is_flag=True, help="With --configs: defaults as well.")
@asks
def topic_describe(ask: Ask, names: tuple[str, ...], configs: bool, everything: bool) -> None:
    """Partitions of topics: leader, epoch, replicas, in-sync replicas, offsets."""
    rows: Rows = []
    with ask.connected() as client:
        found, missing = topics_and_missing(client, names)
        for each in found:
            if configs:
                settings = config_rows(describe(client, "topic", each["name"]), everything=everything)
                rows += [{"topic": each["name"], **row} for row in settings]
                continue
            places = [(each["name"], p["partition_index"]) for p in each["partitions"] if p["leader_id"] >= 0]
            ends = ends_of(client, places)
            for p in each["partitions"]:
                start, end = ends.get((each["name"], p["partition_index"]), (-1, -1))
                rows.append({**partition_row(each["name"], p), "start": start, "end": end})
    if found:
        ask.show(
            rows,
            wide=("type", "documentation", "synonyms") if configs else ("offline",),
            empty="Everything is at its default; --all shows it.",
        )
    end_without("topic", missing, found=bool(found))


@command("delete")
@click.argument("names", nargs=-1, required=True)
@asks
def topic_delete(ask: Ask, names: tuple[str, ...]) -> None:
    """Delete topics and all their records."""
    with ask.connected() as client:
        if not ask.yes:
            topics_of(client, names)
        ask.confirm(f"Delete {', '.join(names)} and all records in {'it' if len(names) == 1 else 'them'}?")
        answer = client.delete_topics(list(names), raise_errors=False)
    rows: Rows = []
    for each in answer["topics"]:
        error, why = error_of(each["error_code"]), each.get("error_message")
        if each["error_code"] == UNKNOWN_TOPIC:  # brokers say that they do not host it
            why = f"there is no topic {each['name']}"
        rows.append({"topic": each["name"], "error": _why(error, why)})
        if not error:
            note(f"Deleted {each['name']}.")
    _end(ask, rows)


@command("alter")
@click.argument("names", nargs=-1, required=True)
@click.option("--set", "values", metavar="KEY=VALUE", multiple=True, help="Set a configuration.")
@click.option("--unset", "removed", metavar="KEY", multiple=True, help="Back to the broker's default.")
@click.option("--append", "appended", metavar="KEY=VALUE", multiple=True, help="Add to a list.")
@click.option("--subtract", "subtracted", metavar="KEY=VALUE", multiple=True, help="Take from a list.")
@click.option("--dry-run", is_flag=True, help="Have it checked, change nothing.")
@asks
def topic_alter(
    ask: Ask,
    names: tuple[str, ...],
    values: tuple[str, ...],
    removed: tuple[str, ...],
    appended: tuple[str, ...],
    subtracted: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Change the configuration of topics."""
    changes: dict[str, tuple[str, str | None]] = {
        key: ("SET", value) for key, value in pairs_of(values, "--set").items()
    }
    changes |= dict.fromkeys(removed, ("DELETE", None))
    changes |= {key: ("APPEND", value) for key, value in pairs_of(appended, "--append").items()}
    changes |= {key: ("SUBTRACT", value) for key, value in pairs_of(subtracted, "--subtract").items()}
    if not changes:
        raise click.UsageError("nothing to change: give --set, --unset, --append or --subtract")
    with ask.connected() as client:
        topics_of(client, names)
        for name in names:
            change_configs(client, "topic", name, changes, dry_run=dry_run)


@command("add-partitions")
@click.argument("name")
@click.option("--to", "total", type=click.IntRange(1), help="How many there shall be in all.")
@click.option("--by", "more", type=click.IntRange(1), help="How many more.")
@click.option("--dry-run", is_flag=True, help="Have it checked, change nothing.")
@asks
def topic_add_partitions(ask: Ask, name: str, total: int | None, more: int | None, dry_run: bool) -> None:
    """Give a topic more partitions. Keys may then go to other partitions than before."""
    if (total is None) == (more is None):
        raise click.UsageError("give either --to or --by")
    with ask.connected() as client:
        (found,) = topics_of(client, (name,))
        wanted = total if total is not None else len(found["partitions"]) + (more or 0)
        answer = client.create_partitions({name: wanted}, validate_only=dry_run, raise_errors=False).to_dict()
    for each in answer["results"]:
        if each["error_code"]:
            fail(_why(error_of(each["error_code"]), each.get("error_message")))
    note(f"{name} {'would have' if dry_run else 'has'} {count(wanted, 'partition')}.")


@command("trim")
@click.argument("name")
@click.option("--before", metavar="end|OFFSET|TIME", required=True, help="Delete records before this.")
@click.option("--partition", "-p", "only", type=click.IntRange(0), multiple=True, help="Of these partitions only.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@asks
def topic_trim(ask: Ask, name: str, before: str, only: tuple[int, ...], dry_run: bool) -> None:
    """Delete the oldest records of a topic: before an offset, a time (ISO 8601), or all of them (end)."""
    spec = spec_of(before)
    with ask.connected() as client:
        places = places_among(client, name, only)
        ends = ends_of(client, places)
        targets = resolve(client, dict.fromkeys(places, spec))
        rows: Rows = [
            {
                "topic": name,
                "partition": number,
                "start": ends[name, number][0],
                "new_start": min(max(at, ends[name, number][0]), ends[name, number][1]),
            }
            for (_, number), at in sorted(targets.items())
        ]
        gone = sum(row["new_start"] - row["start"] for row in rows)
        if not dry_run:
            ask.confirm(f"Delete {count(gone, 'record')} of {name}?")
            from kafka import TopicPartition

            client.delete_records({TopicPartition(name, row["partition"]): row["new_start"] for row in rows})
    ask.show(rows)
    note(f"{'Would delete' if dry_run else 'Deleted'} {count(gone, 'record')}.")


@command("offsets")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--at", metavar="start|end|max-timestamp|TIME", help="The offset at this place, rather than first and last."
)
@asks
def topic_offsets(ask: Ask, names: tuple[str, ...], at: str | None) -> None:
    """First and last offsets of partitions, or the offset at a time."""
    spec: Spec | None = None if at is None else spec_of(at)
    rows: Rows = []
    with ask.connected() as client:
        places = [(each["name"], p["partition_index"]) for each in topics_of(client, names) for p in each["partitions"]]
        if spec is not None:
            found = resolve(client, dict.fromkeys(places, spec))
            rows = [{"topic": t, "partition": p, "offset": offset} for (t, p), offset in sorted(found.items())]
        else:
            rows = [
                {"topic": t, "partition": p, "start": start, "end": end, "records_at_most": end - start}
                for (t, p), (start, end) in sorted(ends_of(client, places).items())
            ]
    ask.show(rows)


def _why(error: str, message: str | None) -> str:
    return f"{error}: {message}" if error and message else error


def _end(ask: Ask, rows: Rows) -> None:
    """Say what failed; a table only where something did."""
    failed = [row for row in rows if row["error"]]
    if ask.form in ("json", "yaml") or (len(rows) > 1 and failed):
        ask.outcomes(rows)
    elif failed:
        fail(failed[0]["error"])


for each in (
    topic_list,
    topic_create,
    topic_describe,
    topic_delete,
    topic_alter,
    topic_add_partitions,
    topic_trim,
    topic_offsets,
    produce,
    consume,
    tail,
):
    topic.add_command(each)
