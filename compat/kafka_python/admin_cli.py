"""kafka-python's admin command line, `python -m kafka.admin GROUP COMMAND`: what each prints, compared as a value."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from compat.cases import Context, Skip, eventually
from compat.kafka_python.client import admin, make_topic, suite, write

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Cli:
    """The command line against one broker; what it prints has `names` in place of what differs between two runs."""

    def __init__(self, ctx: Context, **names: str) -> None:
        self.ctx = ctx
        self.names = {value: f"<{name}>" for name, value in names.items()}

    def __call__(self, *args: str) -> Any:
        """The printed value, or the text of an error."""
        command = [sys.executable, "-m", "kafka.admin", "-b", self.ctx.bootstrap, *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
        text = done.stdout.strip()
        if done.returncode:
            return self.scrub(f"exit {done.returncode}: {error(text or done.stderr)}")
        try:
            return self.scrub(ast.literal_eval(literal(text)))
        except (SyntaxError, ValueError):
            return self.scrub(" ".join(text.split()))

    def scrub(self, value: Any) -> Any:
        """Names and identifiers of this run, wherever they stand; keys of JSON are text."""
        match value:
            case str():
                for found, name in self.names.items():
                    value = value.replace(found, name)
                return UUID.sub("<uuid>", value)
            case dict():
                return {self.scrub(str(key)): self.scrub(each) for key, each in value.items()}
            case list() | tuple():
                return [self.scrub(each) for each in value]
        return value


def literal(text: str) -> str:
    """A printed value with its enumerations and named tuples as plain values."""
    text = re.sub(r"<\w+\.\w+: ([^>]+)>", r"\1", text)
    return re.sub(r"TopicPartition\(topic='([^']*)', partition=(\d+)\)", r"'\1:\2'", text)


def error(text: str) -> str:
    """The line that says what is wrong; the request and the answer that follow it are those of the client."""
    last = text.strip().splitlines()[-1] if text.strip() else ""
    found = re.match(r"(\[Error \d+\] \w+|\w+(?:\.\w+)*Error\b)", last)
    return found[1].rpartition(".")[2] if found and "[" not in found[1] else found[1] if found else last[:120]


def without(value: Any, *keys: str) -> Any:
    """A value without what no two runs share (times, sizes, ids)."""
    match value:
        case dict():
            return {key: without(each, *keys) for key, each in value.items() if key not in keys}
        case list():
            return [without(each, *keys) for each in value]
    return value


def served(client: KafkaAdminClient, *names: str) -> None:
    """Leave out a case whose APIs the broker does not advertise."""
    try:
        offered = {key.name for key in client.api_versions()}
    except ValueError:  # an API that is newer than the client: Kafka 4.4
        return
    if missing := [name for name in names if name not in offered]:
        raise Skip(f"{', '.join(missing)} not advertised")


@contextmanager
def topic_and_admin(ctx: Context, partitions: int = 2) -> Iterator[tuple[KafkaAdminClient, str, Cli]]:
    with admin(ctx) as client:
        topic = make_topic(client, ctx, partitions)
        yield client, topic, Cli(ctx, topic=topic)


# -- topics and partitions


@suite.case("cli.topics", smoke=False)
def cli_topics(ctx: Context) -> object:
    topic, other = ctx.topic(), ctx.topic("other")
    cli = Cli(ctx, topic=topic, other=other)
    created = cli("topics", "create", "-t", topic, "--num-partitions", "3", "--replication-factor", "1")
    shown = eventually(lambda: found if is_led(found := cli("topics", "describe", "-t", topic)) else None, "leaders")
    again = cli("topics", "create", "-t", topic)
    cli("topics", "create", "-t", other)
    with admin(ctx) as client:
        ident = str(client.describe_topics([other])[0]["topic_id"])
    by_id = eventually(lambda: found if is_led(found := cli("topics", "describe", "--id", ident)) else None, "leaders")
    return {
        "created": {key: value for key, value in created["topics"][0].items() if key != "configs"},
        "configs": created["topics"][0]["configs"],
        "again": again,
        "shown": shown,
        "by_id": by_id,
        "listed": [name for name in ("<topic>", "<other>") if name in cli("topics", "list")],
        "unknown": cli("topics", "describe", "-t", "not-there"),
        "invalid": cli("topics", "create", "-t", "a/b"),
        "deleted": cli("topics", "delete", "-t", topic, "--id", ident),
        "deleted_again": cli("topics", "delete", "-t", topic),
        "no_such_id": cli("topics", "delete", "--id", ident),
    }


def is_led(topics: Any) -> bool:
    """Whether each partition of what was described has a leader."""
    return all(each["partitions"] and all(one["leader_id"] >= 0 for one in each["partitions"]) for each in topics)


@suite.case("cli.partitions", smoke=False)
def cli_partitions(ctx: Context) -> object:
    with topic_and_admin(ctx, 2) as (_, topic, cli):
        return {
            "validated": cli("partitions", "create", "-p", f"{topic}:5", "--validate-only"),
            "created": cli("partitions", "create", "-p", f"{topic}:3"),
            "fewer": cli("partitions", "create", "-p", f"{topic}:2"),
            "unknown": cli("partitions", "create", "-p", "not-there:2"),
            "described": without(cli("partitions", "describe", "-t", topic), "topic_id"),
            "page": cli("partitions", "describe", "-t", topic, "--response-partition-limit", "2"),
            "rest": cli("partitions", "describe", "-t", topic, "--cursor-topic", topic, "--cursor-partition", "2"),
            "nothing": cli("partitions", "describe", "-t", "not-there"),
        }


@suite.case("cli.partitions.offsets", smoke=False)
def cli_partitions_offsets(ctx: Context) -> object:
    with topic_and_admin(ctx, 2) as (_, topic, cli):
        with KafkaProducer(bootstrap_servers=ctx.bootstrap) as client:
            for i, moment in enumerate((1000, 5000, 3000)):
                client.send(topic, b"%d" % i, partition=0, timestamp_ms=1_700_000_000_000 + moment).get(timeout=20)
        specs = ("earliest", "latest", "max-timestamp", "earliest-local", "latest-tiered")
        found = {spec: cli("partitions", "list-offsets", "-p", f"{topic}:0-:{spec}") for spec in specs}
        return {
            **found,
            "unknown": cli("partitions", "list-offsets", "-p", "not-there:0:latest"),
            "deleted": cli("partitions", "delete-records", "-r", f"{topic}:0:2"),
            "after": cli("partitions", "list-offsets", "-t", topic, "-s", "earliest"),
            "beyond": cli("partitions", "delete-records", "-r", f"{topic}:0:99"),
            "all": cli("partitions", "delete-records", "-r", f"{topic}:0:-1"),
        }


@suite.case("cli.partitions.elections", smoke=False)
def cli_partitions_elections(ctx: Context) -> object:
    with topic_and_admin(ctx, 2) as (client, topic, cli):
        served(client, "ElectLeaders")
        elect = ("partitions", "elect-leaders")
        return {
            "preferred": cli(*elect, "-p", f"{topic}:0"),
            "preferred_told": cli(*elect, "-t", topic, "--no-raise-errors"),
            "unclean_told": cli(*elect, "-t", topic, "--election-type", "unclean", "--no-raise-errors"),
            "no_such_partition": cli(*elect, "-p", f"{topic}:7", "--no-raise-errors"),
            "no_such_topic": cli(*elect, "-p", "not-there:0", "--no-raise-errors"),
        }


@suite.case("cli.partitions.reassignments", smoke=False)
def cli_partitions_reassignments(ctx: Context) -> object:
    with topic_and_admin(ctx, 2) as (client, topic, cli):
        served(client, "AlterPartitionReassignments", "ListPartitionReassignments")
        alter = ("partitions", "alter-reassignments", "-r")
        return {
            "none": cli("partitions", "list-reassignments", "-p", f"{topic}:0"),
            "same": cli(*alter, f"{topic}:0=0"),
            "cancel": cli(*alter, f"{topic}:0=cancel"),
            "no_such_broker": cli(*alter, f"{topic}:0=99"),
            "twice": cli(*alter, f"{topic}:0=0,0"),
            "nobody": cli(*alter, f"{topic}:0="),
            "no_such_partition": cli(*alter, f"{topic}:9=0"),
            "no_such_topic": cli(*alter, "not-there:0=0"),
            "listed": cli("partitions", "list-reassignments"),
        }


# -- configs


@suite.case("cli.configs", smoke=False)
def cli_configs(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (_, topic, cli):
        of = ("-r", "topic", "-n", topic)

        def alter(*args: str) -> Any:
            return cli("configs", "alter", *of, *args)

        def modified() -> Any:
            found = cli("configs", "describe", *of, "--modified")
            return {key: entry["value"] for key, entry in found["topic"].get("<topic>", {}).items()}

        result = {"set": alter("-c", "retention.ms=1000000", "-c", "cleanup.policy=compact")}
        eventually(lambda: modified().get("retention.ms") == "1000000", "the change to show")
        result["modified"] = cli("configs", "describe", *of, "--modified")
        result["add"] = alter("-c", "cleanup.policy=add(delete)")
        eventually(lambda: "delete" in modified()["cleanup.policy"], "the addition to show")
        result["added"] = modified()
        result["sub"] = alter("-c", "cleanup.policy=sub(compact)", "-c", "retention.ms=del()")
        eventually(lambda: "retention.ms" not in modified(), "the deletion to show")
        result["removed"] = modified()
        result["validated"] = alter("-c", "retention.ms=5", "--validate-only")
        result["bad"] = alter("-c", "retention.ms=soon")
        result["unknown"] = alter("-c", "no.such.key=1")
        result["allow_unknown"] = alter("-c", "no.such.key=1", "--allow-unknown")
        result["legacy"] = alter("-c", "retention.ms=7", "--force-alter")
        eventually(lambda: modified().get("retention.ms") == "7", "the replacement to show")
        result["replaced"] = modified()
        result["reset_key"] = cli("configs", "reset", *of, "-c", "retention.ms")
        eventually(lambda: "retention.ms" not in modified(), "the reset to show")
        result["one"] = cli("configs", "describe", *of, "-c", "retention.bytes")
        result["unknown_topic"] = cli("configs", "describe", "-r", "topic", "-n", "not-there")
        return result


@suite.case("cli.configs.kinds", smoke=False)
def cli_configs_kinds(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (client, _, cli):
        served(client, "ListConfigResources")
        listed = cli("configs", "list")
        group = ("-r", "group", "-n", ctx.topic("group"))
        cli.names[group[-1]] = "<group>"
        result = {
            "kinds": {kind: "<topic>" in names or names for kind, names in listed.items() if kind != "group"},
            "group": cli("configs", "describe", *group),
            "no_such_broker": cli("configs", "describe", "-r", "broker", "-n", "7"),
            "cluster": cli("configs", "describe", "-r", "broker", "-n", "", "--dynamic"),
            "set_group": cli("configs", "alter", *group, "-c", "consumer.session.timeout.ms=50000"),
        }
        result["dynamic_group"] = cli("configs", "describe", *group, "--dynamic")
        return result


# -- groups


def fill(ctx: Context, topic: str, partitions: int, count: int) -> None:
    with KafkaProducer(bootstrap_servers=ctx.bootstrap) as client:
        for partition in range(partitions):
            for i in range(count):
                client.send(topic, b"%d" % i, partition=partition, timestamp_ms=1_700_000_000_000 + 1000 * i)


@contextmanager
def member(ctx: Context, group: str, topic: str, **options: Any) -> Iterator[KafkaConsumer]:
    """A member of a group that has its partitions."""
    client = KafkaConsumer(
        topic,
        bootstrap_servers=ctx.bootstrap,
        group_id=group,
        client_id="member",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **options,
    )
    try:
        eventually(lambda: client.poll(100, update_offsets=False) is not None and client.assignment(), "an assignment")
        yield client
    finally:
        client.close(autocommit=False)


@suite.case("cli.groups", smoke=False)
def cli_groups(ctx: Context) -> object:
    with topic_and_admin(ctx, 2) as (client, topic, cli):
        group = ctx.topic("group")
        cli.names[group] = "<group>"
        fill(ctx, topic, 2, 10)
        with member(ctx, group, topic) as consumer:
            consumer.poll(2000)
            consumer.commit()
            ident = client.describe_groups([group])[group]["members"][0]["member_id"]
            cli.names[ident] = "<member>"
            result = {
                "described": without(cli("groups", "describe", "-g", group), "client_host"),
                "delete_used": cli("groups", "delete", "-g", group),
                "alter_used": cli("groups", "alter-offsets", "-g", group, "-o", f"{topic}:0:1"),
                "reset_used": cli("groups", "reset-offsets", "-g", group, "-s", "earliest"),
                "delete_offset_used": cli("groups", "delete-offsets", "-g", group, "-p", f"{topic}:0"),
                "listed": of_group(cli("groups", "list")),
                "stable": of_group(cli("groups", "list", "--state", "Stable")),
                "empty": of_group(cli("groups", "list", "--state", "Empty")),
                "consumer": of_group(cli("groups", "list", "--type", "consumer")),
                "classic": of_group(cli("groups", "list", "--type", "classic", "--state", "stable")),
                "removed": cli("groups", "remove-members", "-g", group, "-m", ident, "--reason", "a reason"),
                "nobody": cli("groups", "remove-members", "-g", group, "-m", "not-there"),
                "no_instance": cli("groups", "remove-members", "-g", group, "-i", "not-there"),
            }
        result["unknown"] = cli("groups", "describe", "-g", "not-there")
        result["deleted"] = cli("groups", "delete", "-g", group)
        result["delete_unknown"] = cli("groups", "delete", "-g", group)
        return result


def of_group(listed: Any) -> Any:
    """The entry of our group in a list of groups."""
    return [each for each in listed if each["group_id"] == "<group>"] if isinstance(listed, list) else listed


@suite.case("cli.groups.offsets", smoke=False)
def cli_groups_offsets(ctx: Context) -> object:
    with topic_and_admin(ctx, 2) as (_, topic, cli):
        group = ctx.topic("group")
        cli.names[group] = "<group>"
        fill(ctx, topic, 2, 10)
        both = ("-p", f"{topic}:0", "-p", f"{topic}:1")

        def reset(*args: str) -> Any:
            return cli("groups", "reset-offsets", "-g", group, *both, *args)

        eventually(lambda: "exit" not in str(cli("groups", "describe", "-g", group)), "a coordinator")
        return {
            "altered": cli("groups", "alter-offsets", "-g", group, "-o", f"{topic}:0:3", "-o", f"{topic}:1:4"),
            "alter_unknown": cli("groups", "alter-offsets", "-g", group, "-o", "not-there:0:3"),
            "listed": cli("groups", "list-offsets", "-g", group),
            "earliest": reset("-s", "earliest"),
            "latest": reset("-s", "latest"),
            "to_offset": reset("--to-offset", "5"),
            "clamped": reset("--to-offset", "500"),
            "to_datetime": reset("--to-datetime", "2023-11-14T22:13:24"),
            "by_duration": reset("--by-duration", "P1D"),
            "deleted": cli("groups", "delete-offsets", "-g", group, "-p", f"{topic}:0"),
            "delete_unknown": cli("groups", "delete-offsets", "-g", group, "-p", "not-there:0"),
            "left": cli("groups", "list-offsets", "-g", group),
            "no_group": cli("groups", "delete-offsets", "-g", "not-there", "-p", f"{topic}:0"),
            "no_group_listed": cli("groups", "list-offsets", "-g", "not-there"),
        }


@suite.case("cli.groups.static", smoke=False)
def cli_groups_static(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (_, topic, cli):
        group = ctx.topic("group")
        cli.names[group] = "<group>"
        with member(ctx, group, topic, group_instance_id="instance"):
            found = cli("groups", "describe", "-g", group)["<group>"]
            return {
                "instance": [each["group_instance_id"] for each in found["members"]],
                "removed": cli("groups", "remove-members", "-g", group, "-i", "instance"),
            }


# -- transactions

TXN_IDS = ("producer_id", "producer_epoch", "last_timestamp", "transaction_start_time_ms", "coordinator_epoch")


@contextmanager
def transaction(ctx: Context, topic: str) -> Iterator[tuple[KafkaProducer, str]]:
    """An open transaction with two records in partition 0."""
    name = ctx.topic("txn")
    producer = KafkaProducer(bootstrap_servers=ctx.bootstrap, transactional_id=name, transaction_timeout_ms=50_000)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for i in range(2):
            producer.send(topic, b"%d" % i, partition=0).get(timeout=20)
        yield producer, name
    finally:
        producer.close(timeout=5)


@suite.case("cli.transactions", smoke=False)
def cli_transactions(ctx: Context) -> object:
    with topic_and_admin(ctx, 2) as (_, topic, cli), transaction(ctx, topic) as (producer, name):
        cli.names[name] = "<txn>"
        described = cli("transactions", "describe", "--transactional-id", name)["<txn>"]
        ident = str(described["producer_id"])

        def listed(*args: str) -> Any:
            found = cli("transactions", "list", *args)
            if not isinstance(found, dict):
                return found
            mine = [each for each in found.get("0", ()) if each["transactional_id"] == "<txn>"]
            return without(mine, *TXN_IDS)

        result = {
            "described": without(described, *TXN_IDS),
            "list": listed(),
            "ongoing": listed("--state", "Ongoing"),
            "empty": listed("--state", "Empty"),
            "producer": listed("--producer-id", ident),
            "other_producer": listed("--producer-id", "999999"),
            "long": listed("--duration-filter-ms", "3600000"),
            "pattern": listed("--id-pattern", "txn-.*"),
            "other_pattern": listed("--id-pattern", "nothing-.*"),
            "bad_pattern": listed("--id-pattern", "("),
            "bad_state": listed("--state", "NoSuchState"),
            "hanging": [
                each for each in cli("transactions", "find-hanging") if each.get("transactional_id") == "<txn>"
            ],
            "unknown": cli("transactions", "describe", "--transactional-id", "not-there"),
            "producers": without(
                cli("transactions", "describe-producers", "-t", topic, "-p", "0", "-p", "1"), *TXN_IDS
            ),
            "no_partition": cli("transactions", "describe-producers", "-t", topic, "-p", "9"),
        }
        producer.commit_transaction()
        eventually(lambda: listed()[0]["state"] == "CompleteCommit", "the end of the transaction")
        result["after"] = listed()
        return result


@suite.case("cli.transactions.abort", smoke=False)
def cli_transactions_abort(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (_, topic, cli), transaction(ctx, topic):
        producers = ("transactions", "describe-producers", "-t", topic, "-p", "0")
        (found,) = cli(*producers)["<topic>:0"]["active_producers"]
        ids = ("--producer-id", str(found["producer_id"]), "--producer-epoch", str(found["producer_epoch"]))
        abort = ("transactions", "abort", "-t", topic, "-p", "0")
        result = {
            "stale": cli(*abort, *ids[:3], str(int(ids[3]) - 1)) if int(ids[3]) else None,
            "aborted": without(cli(*abort, *ids), *TXN_IDS),
            "no_partition": cli("transactions", "abort", "-t", topic, "-p", "9", *ids),
        }
        (after,) = cli(*producers)["<topic>:0"]["active_producers"]
        result["open"] = after["current_transaction_start_offset"]
        return result


# -- the cluster


@suite.case("cli.cluster", smoke=False)
def cli_cluster(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (client, topic, cli):
        cluster_id = client.describe_cluster()["cluster_id"]
        cli.names[cluster_id] = "<cluster>"
        write(ctx, topic, [b"x" * 100])
        dirs = cli("cluster", "describe-log-dirs", "--broker", "0")
        topics = {each["name"] for each in dirs[0]["log_dirs"][0]["topics"]}
        features = cli("cluster", "describe-features")
        return {
            "described": without(cli("cluster", "describe"), "port"),
            "version": cli("cluster", "broker-version", "--broker", "0"),
            "no_broker": cli("cluster", "broker-version", "--broker", "9"),
            "log_dirs": without(dirs, "topics", "log_dir", "total_bytes", "usable_bytes"),
            "shown": "<topic>" in topics,
            "features": {name: without(found, "finalized_epoch") for name, found in features.items()},
        }


@suite.case("cli.cluster.versions", smoke=False)
def cli_cluster_versions(ctx: Context) -> object:
    found = Cli(ctx)("cluster", "api-versions", "-k", "Produce")
    return found if isinstance(found, str) else {"Produce": found}


@suite.case("cli.cluster.quorum", smoke=False)
def cli_cluster_quorum(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (client, _, cli):
        served(client, "DescribeQuorum")
        found = cli("cluster", "describe-quorum")
        times = ("last_caught_up_timestamp", "last_fetch_timestamp", "log_end_offset", "high_watermark", "leader_epoch")
        return {**without(found, *times, "nodes", "replica_directory_id"), "nodes": len(found["nodes"])}


@suite.case("cli.cluster.features", smoke=False)
def cli_cluster_features(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (client, _, cli):
        served(client, "UpdateFeatures")
        update = ("cluster", "update-features", "-f")
        return {
            "validated": cli(*update, "transaction.version=2", "--validate-only"),
            "unknown": cli(*update, "no.such=1", "--validate-only"),
            "too_high": cli(*update, "transaction.version=9", "--validate-only"),
        }


@suite.case("cli.cluster.move", smoke=False)
def cli_cluster_move(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (client, topic, cli):
        served(client, "AlterReplicaLogDirs")
        return cli("cluster", "alter-log-dirs", "-a", f"{topic}:0:0=/not/there")


# -- security


@suite.case("cli.acls", smoke=False)
def cli_acls(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (client, topic, cli):
        served(client, "DescribeAcls", "CreateAcls", "DeleteAcls")
        rule = ("--principal", "User:compat", "--operation", "read", "--resource-type", "topic", "--resource-name")
        return {
            "created": cli("acls", "create", *rule, topic),
            "described": cli("acls", "describe", "--resource-name", topic),
            "deleted": cli("acls", "delete", *rule, topic),
            "none": cli("acls", "describe", "--resource-name", topic),
        }


@suite.case("cli.users", smoke=False)
def cli_users(ctx: Context) -> object:
    with topic_and_admin(ctx, 1) as (client, topic, cli):
        served(client, "DescribeUserScramCredentials", "AlterUserScramCredentials")
        users: Callable[..., Any] = lambda *args: cli("users", *args)  # noqa: E731
        return {
            "upserted": users("alter-scram-credentials", "--upsert", f"{topic}:SCRAM-SHA-256:secret"),
            "described": users("describe-scram-credentials", "--user", topic),
            "deleted": users("alter-scram-credentials", "--delete", f"{topic}:SCRAM-SHA-256"),
            "again": users("alter-scram-credentials", "--delete", f"{topic}:SCRAM-SHA-256"),
        }
