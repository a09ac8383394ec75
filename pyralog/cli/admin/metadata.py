"""What the metadata of a cluster says, in the words of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyralog.cli.admin.ask import Ask, Rows, end_without, fail, note
from pyralog.cli.admin.telling import count

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

UNKNOWN_TOPIC, INVALID_TOPIC = 3, 17


def topics_of(client: KafkaAdminClient, names: tuple[str, ...] = (), *, internal: bool = True) -> list[dict[str, Any]]:
    """Topics by name, internal ones last, their partitions by number; ends the command when a named one does not or
    cannot exist."""
    found, missing = topics_and_missing(client, names, internal=internal)
    end_without("topic", missing, found=False)
    return found


def topics_and_missing(
    client: KafkaAdminClient, names: tuple[str, ...] = (), *, internal: bool = True
) -> tuple[list[dict[str, Any]], list[str]]:
    """As topics_of, and those of the names that no topic has."""
    found = client.describe_topics(list(names) or None)
    refused = [f"{each['name']!r}" for each in found if names and each["error_code"] == INVALID_TOPIC]
    if refused:
        fail(f"no topic can be called {', '.join(refused)}")
    unknown = {each["name"] for each in found if each["error_code"] == UNKNOWN_TOPIC}
    kept = [each for each in found if not each["error_code"] and (internal or not each["is_internal"] or names)]
    for each in kept:
        each["partitions"] = sorted(each["partitions"], key=lambda p: int(p["partition_index"]))
    kept.sort(key=lambda each: (bool(each["is_internal"]), str(each["name"])))
    return kept, [name for name in names if name in unknown]


def places_of(client: KafkaAdminClient, names: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    """Every partition of the topics, or of all."""
    return [(str(each["name"]), p["partition_index"]) for each in topics_of(client, names) for p in each["partitions"]]


def places_among(client: KafkaAdminClient, name: str, only: tuple[int, ...] = ()) -> list[tuple[str, int]]:
    """Partitions of a topic, all or `only` some; ends the command when it does not have one of those."""
    (found,) = topics_of(client, (name,))
    numbers = [p["partition_index"] for p in found["partitions"]]
    if unknown := sorted(set(only) - set(numbers)):
        fail(f"{name} has no partition {', '.join(map(str, unknown))}")
    return [(name, number) for number in only or numbers]


def partition_state(partition: dict[str, Any]) -> str:
    """What is wrong with a partition, or ok."""
    if partition["leader_id"] < 0:
        return "offline"
    if len(partition["isr_nodes"]) < len(partition["replica_nodes"]):
        return "under-replicated"
    return "ok"


def partition_row(topic: str, partition: dict[str, Any]) -> dict[str, Any]:
    """A partition as it is shown."""
    return {
        "topic": topic,
        "partition": partition["partition_index"],
        "leader": partition["leader_id"],
        "epoch": partition.get("leader_epoch", -1),
        "replicas": list(partition["replica_nodes"]),
        "isr": list(partition["isr_nodes"]),
        "offline": list(partition.get("offline_replicas", [])),
        "state": partition_state(partition),
    }


def show_partitions(ask: Ask, rows: Rows, topics: list[dict[str, Any]], column: str, *, every: bool) -> None:
    """Show rows of partitions; unless `every` is wanted, without those of internal topics whose `column` says that
    nothing is wrong (`ok` or nothing), and how many those are."""
    internal = {each["name"] for each in topics if each["is_internal"] and not every}
    kept = [row for row in rows if row["topic"] not in internal or row[column] not in ("ok", [])]
    ask.show(kept, empty="There are no topics.")
    if left_out := len(rows) - len(kept):
        note(f"Nothing is wrong with {count(left_out, 'partition')} of internal topics; --internal shows them.")


def count_states(topics: list[dict[str, Any]]) -> dict[str, int]:
    """How many partitions there are, and how many of them in which trouble."""
    states = [partition_state(p) for topic in topics for p in topic["partitions"]]
    return {
        "partitions": len(states),
        "offline_partitions": states.count("offline"),
        "under_replicated_partitions": states.count("under-replicated"),
    }


def node_ids(client: KafkaAdminClient) -> list[int]:
    """The ids of the nodes that are up."""
    return sorted(int(each["broker_id"]) for each in client.describe_cluster()["brokers"])


def parse_partition(text: str) -> tuple[str, int]:
    """`TOPIC:PARTITION` or `TOPIC-PARTITION`."""
    for mark in (":", "-"):
        topic, found, number = text.rpartition(mark)
        if found and topic and number.isdigit():
            return topic, int(number)
    import click

    raise click.UsageError(f"a partition is written TOPIC:NUMBER, not {text!r}")
