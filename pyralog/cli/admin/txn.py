"""`pyralog-admin txn`: transactions and producers, and the end of those that hang."""

from __future__ import annotations

import sys
import time

import click

from pyralog.cli.admin.ask import EXIT_PARTLY, Ask, Rows, asks, end_without, fail, note
from pyralog.cli.admin.metadata import parse_partition, places_of, topics_of
from pyralog.cli.admin.tree import command, group, state_option

DEFAULT_MAX_TIMEOUT_MS = 900_000
STATES = ("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead")


@group("txn")
def txn() -> None:
    """Transactions and producers, and the end of those that hang."""


@command("list")
@state_option(STATES, "transactions")
@click.option("--longer-than-ms", type=click.IntRange(0), help="Only those that run longer than this.")
@asks
def txn_list(ask: Ask, states: tuple[str, ...], longer_than_ms: int | None) -> None:
    """Every transactional id: coordinator, producer, state."""
    with ask.connected() as client:
        found = client.list_transactions(state_filters=list(states) or None, duration_filter_ms=longer_than_ms)
    rows: Rows = [
        {
            "transactional_id": each.transactional_id,
            "coordinator": node,
            "producer_id": each.producer_id,
            "state": getattr(each.state, "value", each.state),
        }
        for node, listed in found.items()
        for each in listed
    ]
    ask.show(sorted(rows, key=lambda row: str(row["transactional_id"])), empty="There are no transactional ids.")


@command("describe")
@click.argument("ids", nargs=-1, required=True)
@asks
def txn_describe(ask: Ask, ids: tuple[str, ...]) -> None:
    """State, producer, begin, timeout and partitions of transactions."""
    from kafka.errors import TransactionalIdNotFoundError

    rows: Rows = []
    missing: list[str] = []
    with ask.connected() as client:
        for name in dict.fromkeys(ids):
            try:
                each = client.describe_transactions((name,))[name]
            except TransactionalIdNotFoundError:
                missing.append(name)
                continue
            rows.append(
                {
                    "transactional_id": name,
                    "coordinator": each.coordinator_id,
                    "state": getattr(each.state, "value", each.state),
                    "producer_id": each.producer_id,
                    "epoch": each.producer_epoch,
                    "timeout_ms": each.transaction_timeout_ms,
                    "began_at_ms": each.transaction_start_time_ms,
                    "partitions": [f"{tp.topic}:{tp.partition}" for tp in sorted(each.topic_partitions)],
                }
            )
    if rows:
        ask.show(rows)
    end_without("transactional id", missing, found=bool(rows))


@command("producers")
@click.argument("places", nargs=-1, required=True, metavar="TOPIC[:NUMBER]...")
@asks
def txn_producers(ask: Ask, places: tuple[str, ...]) -> None:
    """Producers that partitions remember, and where their open transactions begin."""
    from kafka import TopicPartition

    with ask.connected() as client:
        wanted = []
        for place in places:
            if ":" in place:
                wanted.append(TopicPartition(*parse_partition(place)))
            else:
                (found,) = topics_of(client, (place,))
                wanted += [TopicPartition(place, p["partition_index"]) for p in found["partitions"]]
        answer = client.describe_producers(wanted)
    ask.show(
        [
            {
                "topic": tp.topic,
                "partition": tp.partition,
                "producer_id": each.producer_id,
                "epoch": each.producer_epoch,
                "last_sequence": each.last_sequence,
                "last_at_ms": each.last_timestamp,
                "coordinator_epoch": each.coordinator_epoch,
                "open_from": None
                if each.current_transaction_start_offset in (None, -1)
                else each.current_transaction_start_offset,
            }
            for tp, found in sorted(answer.items())
            for each in found.active_producers
        ],
        empty="The partitions remember no producers.",
    )


@command("abort")
@click.argument("place", metavar="TOPIC:NUMBER")
@click.option("--start-offset", type=click.IntRange(0), help="Where the transaction begins; see `txn producers`.")
@click.option("--producer-id", type=int, help="The producer, instead of --start-offset.")
@asks
def txn_abort(ask: Ask, place: str, start_offset: int | None, producer_id: int | None) -> None:
    """Abort an open transaction in one partition by writing its marker: for those that no coordinator ends."""
    from kafka import TopicPartition
    from kafka.admin import AbortTransactionSpec

    if (start_offset is None) == (producer_id is None):
        raise click.UsageError("give either --start-offset or --producer-id")
    tp = TopicPartition(*parse_partition(place))
    with ask.connected() as client:
        open_ones = [
            each
            for each in client.describe_producers([tp])[tp].active_producers
            if each.current_transaction_start_offset not in (None, -1)
            and (each.producer_id == producer_id or each.current_transaction_start_offset == start_offset)
        ]
        if not open_ones:
            fail(f"{place} has no such open transaction")
        (each,) = open_ones
        ask.confirm(f"Abort the transaction of producer {each.producer_id} in {place}?")
        client.abort_transaction(
            AbortTransactionSpec(
                topic_partition=tp,
                producer_id=each.producer_id,
                producer_epoch=each.producer_epoch,
                coordinator_epoch=each.coordinator_epoch,
            )
        )
    note(f"Aborted the transaction of producer {each.producer_id} in {place}.")


@command("find-hanging")
@click.option(
    "--max-transaction-timeout-ms",
    type=click.IntRange(1),
    default=DEFAULT_MAX_TIMEOUT_MS,
    show_default=True,
    help="transaction.max.timeout.ms of the brokers; five minutes are added.",
)
@click.option("--topic", "topics", multiple=True, help="In this topic only.")
@asks
def txn_find_hanging(ask: Ask, max_transaction_timeout_ms: int, topics: tuple[str, ...]) -> None:
    """Open transactions older than any may be, by what the partitions say; exit code 4 when there are some."""
    from kafka import TopicPartition

    oldest = int(time.time() * 1000) - max_transaction_timeout_ms - 5 * 60_000
    with ask.connected() as client:
        found = client.describe_producers([TopicPartition(*place) for place in places_of(client, topics)])
    rows: Rows = [
        {
            "topic": tp.topic,
            "partition": tp.partition,
            "producer_id": each.producer_id,
            "epoch": each.producer_epoch,
            "start_offset": each.current_transaction_start_offset,
            "last_at_ms": each.last_timestamp,
        }
        for tp, told in sorted(found.items())
        for each in told.active_producers
        if each.current_transaction_start_offset not in (None, -1) and each.last_timestamp < oldest
    ]
    ask.show(rows, empty="No transaction hangs.")
    sys.exit(EXIT_PARTLY if rows else 0)


for each in (txn_list, txn_describe, txn_producers, txn_abort, txn_find_hanging):
    txn.add_command(each)
