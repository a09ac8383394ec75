"""`pyralog-admin partition`: leaders and replicas, and elections."""

from __future__ import annotations

import sys

import click

from pyralog.cli.admin.ask import EXIT_PARTLY, Ask, Rows, asks, note
from pyralog.cli.admin.metadata import parse_partition, partition_row, show_partitions, topics_of
from pyralog.cli.admin.telling import count, error_of
from pyralog.cli.admin.tree import command, group, internal_option

PREFERRED, UNCLEAN = 0, 1
NOT_NEEDED = "ELECTION_NOT_NEEDED"


@group("partition")
def partition() -> None:
    """Leaders and replicas of partitions, and elections."""


@command("status")
@click.argument("topics", nargs=-1)
@click.option("--not-ok", is_flag=True, help="Only those that lack a leader or a replica.")
@internal_option()
@asks
def partition_status(ask: Ask, topics: tuple[str, ...], not_ok: bool, internal: bool) -> None:
    """The state of every partition; exit code 4 when one lacks its leader or a replica."""
    with ask.connected() as client:
        found = topics_of(client, topics)
    rows = [partition_row(each["name"], p) for each in found for p in each["partitions"]]
    wrong = [row for row in rows if row["state"] != "ok"]
    if not_ok:
        ask.show(wrong, empty=f"{count(len(rows), 'partition')}, each with its leader and replicas.")
    else:
        show_partitions(ask, rows, found, "state", every=internal or bool(topics))
    sys.exit(EXIT_PARTLY if wrong else 0)


@command("elect")
@click.argument("partitions", nargs=-1, metavar="[TOPIC:NUMBER]...")
@click.option("--topic", "topics", multiple=True, help="Every partition of this topic.")
@click.option("--unclean", is_flag=True, help="Take a replica that is behind: records may be lost.")
@asks
def partition_elect(ask: Ask, partitions: tuple[str, ...], topics: tuple[str, ...], unclean: bool) -> None:
    """Have the preferred replica lead again; of every partition where none is named."""
    wanted: dict[str, list[int]] = {}
    for name, number in map(parse_partition, partitions):
        wanted.setdefault(name, []).append(number)
    if unclean:
        ask.confirm("Elect leaders that may lack records?")
    with ask.connected() as client:
        if topics or not wanted:
            for each in topics_of(client, topics):
                wanted[each["name"]] = [p["partition_index"] for p in each["partitions"]]
        answer = client.elect_leaders(UNCLEAN if unclean else PREFERRED, wanted, raise_errors=False).to_dict()
    rows: Rows = []
    for each in answer["replica_election_results"]:
        for p in each["partition_result"]:
            error = error_of(p["error_code"])
            rows.append(
                {
                    "topic": each["topic"],
                    "partition": p["partition_id"],
                    "result": "not needed" if error == NOT_NEEDED else "failed" if error else "elected",
                    "error": "" if error == NOT_NEEDED else error,
                }
            )
    if ask.form == "table" and not partitions:
        needed = [row for row in rows if row["result"] != "not needed"]
        note(f"{count(len(rows) - len(needed), 'partition')} are led by their preferred replica already.")
        rows = needed
    if rows:
        ask.outcomes(rows)


partition.add_command(partition_status)
partition.add_command(partition_elect)
