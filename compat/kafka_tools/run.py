"""Apache Kafka's command-line tools against a broker: what each prints is what it prints against Kafka."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from typing import Any

import compat.kafka_tools.workers  # noqa: F401 - registers its cases
from compat.cases import Context, equal, eventually
from compat.kafka_tools.tools import Tools, data_dir, json_in, make_topic, rows, suite, write


@suite.case("topics", smoke=False)
def topics(ctx: Context) -> object:
    topic = ctx.topic()
    run = Tools(ctx, topic=topic)
    name = ("--topic", topic)
    return {
        "created": run("TopicCommand", "--create", *name, "--partitions", "2", "--config", "retention.ms=70000"),
        "again": run("TopicCommand", "--create", *name)[:1],
        "if_not_exists": run("TopicCommand", "--create", *name, "--if-not-exists"),
        "described": run("TopicCommand", "--describe", *name),
        "altered": run("TopicCommand", "--alter", *name, "--partitions", "3"),
        "overrides": run("TopicCommand", "--describe", *name, "--topics-with-overrides"),
        "under_replicated": run("TopicCommand", "--describe", *name, "--under-replicated-partitions"),
        "listed": run("TopicCommand", "--list", "--exclude-internal", *name),
        "deleted": run("TopicCommand", "--delete", *name),
        "unknown": run("TopicCommand", "--describe", "--topic", "not-there")[:1],
    }


@suite.case("configs", smoke=False)
def configs(ctx: Context) -> object:
    topic = make_topic(ctx)
    run = Tools(ctx, topic=topic)
    of = ("--entity-type", "topics", "--entity-name", topic)
    result = {
        "set": run(
            "ConfigCommand", "--alter", *of, "--add-config", "retention.ms=70000,cleanup.policy=[compact,delete]"
        ),
        "bad": run("ConfigCommand", "--alter", *of, "--add-config", "retention.ms=soon")[:1],
    }
    result["described"] = eventually(
        lambda: found if "70000" in str(found := run("ConfigCommand", "--describe", *of)) else None, "the change"
    )
    result["deleted"] = run("ConfigCommand", "--alter", *of, "--delete-config", "retention.ms")
    result["delete_unset"] = run("ConfigCommand", "--alter", *of, "--delete-config", "flush.ms")[:1]
    result["all"] = sorted(line.partition("=")[0] for line in run("ConfigCommand", "--describe", "--all", *of))
    return result


@suite.case("get_offsets", smoke=False)
def get_offsets(ctx: Context) -> object:
    topic = make_topic(ctx, 3)
    run = Tools(ctx, topic=topic)
    write(ctx, topic, 5, 0, start_ms=1_700_000_000_000)
    write(ctx, topic, 3, 2, start_ms=1_700_000_000_000)
    result: dict[str, Any] = {
        time: rows(run("GetOffsetShell", "--topic", topic, "--time", time))
        for time in ("earliest", "latest", "max-timestamp", "earliest-local", "latest-tiered", "1700000002000")
    }
    result["some"] = rows(run("GetOffsetShell", "--topic-partitions", f"{topic}:0-2", "--time", "-1"))
    result["pattern"] = rows(run("GetOffsetShell", "--topic", f"{topic[:-2]}.*", "--partitions", "0,2"))
    result["unknown"] = run("GetOffsetShell", "--topic", "not-there")[-1:]
    return result


@suite.case("delete_records", smoke=False)
def delete_records(ctx: Context) -> object:
    topic = make_topic(ctx)
    run = Tools(ctx, topic=topic)
    write(ctx, topic, 10)

    def delete(*offsets: tuple[str, int, int]) -> list[str]:
        wanted = [{"topic": name, "partition": partition, "offset": offset} for name, partition, offset in offsets]
        with run.file({"version": 1, "partitions": wanted}) as path:
            return rows(run("DeleteRecordsCommand", "--offset-json-file", path))

    return {
        "deleted": delete((topic, 0, 4), (topic, 1, 0)),
        "start": rows(run("GetOffsetShell", "--topic", topic, "--time", "earliest")),
        "beyond": delete((topic, 0, 99)),
        "all": delete((topic, 0, -1)),
    }


@suite.case("log_dirs", smoke=False)
def log_dirs(ctx: Context) -> object:
    topic = make_topic(ctx)
    run = Tools(ctx, topic=topic)
    write(ctx, topic, 100, size=100)
    lines = run("LogDirsCommand", "--describe", "--topic-list", topic)
    found = json_in(lines)
    (directory,) = found["brokers"][0].pop("logDirs")
    partitions = sorted(directory["partitions"], key=lambda each: each["partition"])
    size = partitions[0].pop("size")
    assert size > 10_000, size
    return {"said": lines[:2], "found": found, "error": directory["error"], "partitions": partitions}


@suite.case("leader_election", smoke=False)
def leader_election(ctx: Context) -> object:
    topic = make_topic(ctx)
    run = Tools(ctx, topic=topic)
    with run.file({"partitions": [{"topic": topic, "partition": index} for index in (0, 1)]}) as path:
        several = run("LeaderElectionCommand", "--election-type", "preferred", "--path-to-json-file", path)
    of = ("--topic", topic, "--partition")
    return {
        "several": sorted(" ".join(several).replace(",", " ").split()),
        "preferred": run("LeaderElectionCommand", "--election-type", "preferred", *of, "0"),
        "unclean": run("LeaderElectionCommand", "--election-type", "unclean", *of, "1"),
        "unknown": run("LeaderElectionCommand", "--election-type", "preferred", *of, "9")[:2],
    }


@suite.case("reassign_partitions", smoke=False)
def reassign_partitions(ctx: Context) -> object:
    topic = make_topic(ctx)
    run = Tools(ctx, topic=topic, dir=str(data_dir(ctx)))
    command = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
    plan = {
        "version": 1,
        "partitions": [{"topic": topic, "partition": index, "replicas": [0], "log_dirs": ["any"]} for index in (0, 1)],
    }
    wrong = {"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": [7], "log_dirs": ["any"]}]}
    with run.file({"version": 1, "topics": [{"topic": topic}]}) as path:
        proposed = run(command, "--generate", "--topics-to-move-json-file", path, "--broker-list", "0")
    with run.file(plan) as path:
        executed = run(command, "--execute", "--reassignment-json-file", path)
        verified = run(command, "--verify", "--reassignment-json-file", path)
        cancelled = run(command, "--cancel", "--reassignment-json-file", path)
    with run.file(wrong) as path:
        refused = run(command, "--execute", "--reassignment-json-file", path)
    return {
        "proposed": proposed,
        "executed": executed,
        "verified": verified,
        "cancelled": cancelled,
        "refused": [line for line in refused if not line.startswith(("{", "Current", "Save"))][:2],
        "listed": run(command, "--list"),
    }


@suite.case("transactions", smoke=False)
def transactions(ctx: Context) -> object:
    from confluent_kafka import Producer

    topic, name = make_topic(ctx), ctx.topic("txn")
    run = Tools(ctx, topic=topic, txn=name)
    client = Producer({"bootstrap.servers": ctx.bootstrap, "transactional.id": name, "transaction.timeout.ms": 50_000})
    client.init_transactions(30)
    client.begin_transaction()
    client.produce(topic, b"v", partition=0)
    client.flush(20)
    tool = "TransactionsCommand"

    def cells(lines: list[str]) -> list[list[str]]:
        return [line.split() for line in lines if "<txn>" in line or "<topic>" in line]

    listed = cells(run(tool, "list"))
    described = cells(run(tool, "describe", "--transactional-id", name))
    producers = run(tool, "describe-producers", "--topic", topic, "--partition", "0")
    result = {
        # id, coordinator, producer id, state
        "listed": [[row[0], row[1], row[3]] for row in listed],
        "pattern": len(cells(run(tool, "list", "--transactional-id-pattern", "txn-.*"))) == 1,
        "long": cells(run(tool, "list", "--duration-filter", "100000000")),
        # coordinator, id, producer id, epoch, state, time-out, start, duration, partitions
        "described": [[*row[:2], *row[4:6], row[-1]] for row in described],
        "heads": [run(tool, "list")[:1], producers[:1]],
        "producers": [[row[3], row[5]] for row in (line.split() for line in producers[1:])],
        "hanging": run(tool, "find-hanging", "--broker-id", "0"),
        "unknown": run(tool, "describe", "--transactional-id", "not-there")[-1:],
        "forced": run(tool, "forceTerminateTransaction", "--transactionalId", name),
    }
    after = eventually(
        lambda: found if "Ongoing" not in str(found := cells(run(tool, "list"))) else None, "the end of the transaction"
    )
    result["after"] = [row[-1] for row in after]
    return result


@suite.case("transactions.abort", smoke=False)
def transactions_abort(ctx: Context) -> object:
    from confluent_kafka import Producer

    topic = make_topic(ctx)
    run = Tools(ctx, topic=topic)
    client = Producer({"bootstrap.servers": ctx.bootstrap, "transactional.id": ctx.topic("txn")})
    client.init_transactions(30)
    client.begin_transaction()
    client.produce(topic, b"v", partition=0)
    client.flush(20)
    of = ("--topic", topic, "--partition", "0")
    return {
        "no_such": run("TransactionsCommand", "abort", *of, "--start-offset", "5"),
        "aborted": run("TransactionsCommand", "abort", *of, "--start-offset", "0"),
        "open": run("TransactionsCommand", "describe-producers", *of)[1].split()[-1],
        "end": rows(run("GetOffsetShell", "--topic", topic)),
    }


@suite.case("features", smoke=False)
def features(ctx: Context) -> object:
    """Nothing is changed here: the broker is that of all other cases."""
    run = Tools(ctx)
    found = [line.split() for line in run("FeatureCommand", "describe")]
    change = ("--dry-run", "--feature")
    return {
        "levels": {row[1]: row[-3] for row in found},
        "same": run("FeatureCommand", "upgrade", *change, "transaction.version=2"),
        "downgrade": run("FeatureCommand", "downgrade", *change, "transaction.version=1"),
        "too_high": run("FeatureCommand", "upgrade", *change, "transaction.version=9"),
        "unknown": run("FeatureCommand", "upgrade", *change, "no.such=1"),
    }


@suite.case("cluster", smoke=False)
def cluster(ctx: Context) -> object:
    run = Tools(ctx, port=str(ctx.port))
    return {
        "id": run("ClusterTool", "cluster-id"),
        "endpoints": run("ClusterTool", "list-endpoints"),
        "unregister": run("ClusterTool", "unregister", "--id", "77"),
    }


@suite.case("metadata_quorum", smoke=False)
def metadata_quorum(ctx: Context) -> object:
    run = Tools(ctx)
    status = dict(line.split(": ", 1) for line in run("MetadataQuorumCommand", "describe", "--status"))
    (voter,) = json.loads(status["CurrentVoters"])
    table = [line.split() for line in run("MetadataQuorumCommand", "describe", "--replication")]
    return {
        "status": {
            key: status[key] for key in ("LeaderId", "MaxFollowerLag", "MaxFollowerLagTimeMs", "CurrentObservers")
        },
        "fields": sorted(status),
        "voter": {key: key == "id" and value for key, value in voter.items()},
        "replication": [table[0], [table[1][0], table[1][3], table[1][-1]]],
    }


@suite.case("broker_api_versions", smoke=False)
def broker_api_versions(ctx: Context) -> object:
    """The table of a client that knows every API; FINDINGS.md tells what Pyralog leaves out."""
    done = Tools(ctx).raw("BrokerApiVersionsCommand", "--bootstrap-server", ctx.bootstrap)
    lines = (line.strip().rstrip(",").partition(": ") for line in done.stdout.splitlines()[1:])
    return {api: versions for api, _, versions in lines if versions}


@suite.case("dump_log", smoke=False)
def dump_log(ctx: Context) -> object:
    """DumpLogSegments reads the segments and indexes that the broker wrote."""
    topic = make_topic(ctx, 1, {"index.interval.bytes": "100"})
    write(ctx, topic, 50, size=100, start_ms=1_700_000_000_000)
    folder = next(data_dir(ctx).rglob(f"{topic}-0"))
    run = Tools(ctx, topic=topic)
    log = str(folder / "00000000000000000000.log")
    dumped = run.raw("DumpLogSegments", "--deep-iteration", "--print-data-log", "--files", log).stdout
    batches = [line for line in dumped.splitlines() if line.startswith("baseOffset:")]
    records = [line for line in dumped.splitlines() if line.startswith("|")]
    equal(len(records), 50)
    first = batches[0].split()
    fields = dict(zip((name.rstrip(":") for name in first[::2]), first[1::2], strict=False))
    checked = run.raw("DumpLogSegments", "--verify-index-only", "--files", log.replace(".log", ".index")).stdout
    times = run.raw("DumpLogSegments", "--files", log.replace(".log", ".timeindex")).stdout
    return {
        "invalid": "isvalid: false" in dumped,
        "magic": fields["magic"],
        "epochs": [fields["partitionLeaderEpoch"], fields["producerEpoch"]],
        "timestamp": records[-1].split("CreateTime: ")[1].split()[0],
        "payload": records[-1].split("payload: ")[1],
        "index": Counter("mismatch" in line.lower() for line in checked.splitlines())[True],
        "timeindex": "indexed offset" in times.lower() or "found timestamp mismatch" not in times.lower(),
    }


@suite.case("groups", smoke=False)
def groups(ctx: Context) -> object:
    """A classic group's offsets by kafka-consumer-groups; the next generation has cases of its own elsewhere."""
    from confluent_kafka import Consumer, TopicPartition

    topic, group = make_topic(ctx), ctx.topic("group")
    run = Tools(ctx, topic=topic, group=group)
    write(ctx, topic, 10, 0, start_ms=1_700_000_000_000)
    client = Consumer({"bootstrap.servers": ctx.bootstrap, "group.id": group})
    client.commit(offsets=[TopicPartition(topic, 0, 4), TopicPartition(topic, 1, 0)], asynchronous=False)
    client.close()
    tool = "ConsumerGroupCommand"

    def reset(*args: str) -> list[str]:
        return rows(run(tool, "--reset-offsets", "--group", group, "--topic", topic, "--execute", *args))

    return {
        "described": rows(run(tool, "--describe", "--group", group)),
        "state": run(tool, "--describe", "--group", group, "--state"),
        "members": run(tool, "--describe", "--group", group, "--members"),
        "earliest": reset("--to-earliest"),
        "shift": reset("--shift-by", "3"),
        "datetime": reset("--to-datetime", "2023-11-14T22:13:25.000"),
        "delete_offsets": run(tool, "--delete-offsets", "--group", group, "--topic", f"{topic}:1"),
        "deleted": run(tool, "--delete", "--group", group),
        "gone": run(tool, "--describe", "--group", group),
        "delete_unknown": run(tool, "--delete", "--group", "not-there"),
        "listed": [line for line in run("GroupsCommand", "--list") if "<group>" in line],
    }


if __name__ == "__main__":
    if shutil.which("java") is None:
        sys.exit("Java is needed for Kafka's tools")
    sys.exit(suite.main())
