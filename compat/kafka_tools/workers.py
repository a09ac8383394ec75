"""Kafka's tools that produce and consume: console clients, performance tests, the clients of Kafka's system tests."""

from __future__ import annotations

import json
import re
from typing import Any

from compat.cases import Context, equal, eventually
from compat.kafka_tools.tools import Tools, make_topic, rows, suite, write


@suite.case("console", smoke=False)
def console(ctx: Context) -> object:
    """What the console producer writes, the console consumer reads, with keys, headers, partitions and offsets."""
    topic = make_topic(ctx, 1)
    run = Tools(ctx, topic=topic)
    properties = ("parse.key=true", "parse.headers=true")
    written = run.process(
        "ConsoleProducer",
        *("--bootstrap-server", ctx.bootstrap, "--topic", topic),
        *(argument for each in properties for argument in ("--reader-property", each)),
        stdin="".join(f"h:{i}\tk{i}\tv{i}\n" for i in range(20)),
    )
    equal(written.returncode, 0)
    shown = ("print.key=true", "print.headers=true", "print.offset=true", "print.partition=true")
    formats = tuple(argument for each in shown for argument in ("--formatter-property", each))
    reader = ("--bootstrap-server", ctx.bootstrap, "--topic", topic)

    def read(*args: str) -> list[str]:
        done = run.raw("ConsoleConsumer", *reader, "--timeout-ms", "20000", *args)
        return [*done.stdout.splitlines(), *re.findall(r"Processed a total of \d+ messages", done.stderr)]

    return {
        "all": read("--from-beginning", "--max-messages", "20", *formats),
        "part": read("--partition", "0", "--offset", "15", "--max-messages", "5"),
    }


@suite.case("console.group", smoke=False)
def console_group(ctx: Context) -> object:
    """A console consumer commits for its group; the next one of the group goes on behind it."""
    topic, group = make_topic(ctx, 1), ctx.topic("group")
    run = Tools(ctx, topic=topic, group=group)
    write(ctx, topic, 30)
    reader = ("--bootstrap-server", ctx.bootstrap, "--topic", topic, "--group", group, "--timeout-ms", "20000")
    first = run.raw("ConsoleConsumer", *reader, "--from-beginning", "--max-messages", "10").stdout.split()[::2]
    then = run.raw("ConsoleConsumer", *reader, "--max-messages", "20").stdout.split()[::2]
    equal(len(set(then) & set(first)), 0)
    return {"first": first, "then": then, "lag": rows(run("ConsumerGroupCommand", "--describe", "--group", group))}


@suite.case("performance", smoke=False)
def performance(ctx: Context) -> object:
    """The two performance tests come to their end and have counted every record."""
    topic = make_topic(ctx, 2)
    run = Tools(ctx, topic=topic)
    of = ("--topic", topic, "--num-records", "20000")
    produced = run.raw(
        *("ProducerPerformance", *of, "--record-size", "100", "--throughput", "-1"),
        *("--producer-props", f"bootstrap.servers={ctx.bootstrap}", "acks=all"),
    )
    transactional = run.raw(
        *("ProducerPerformance", *of, "--record-size", "100", "--throughput", "-1", "--transaction-duration-ms", "200"),
        *("--producer-props", f"bootstrap.servers={ctx.bootstrap}"),
    )
    consumed = run.raw(
        *("ConsumerPerformance", "--bootstrap-server", ctx.bootstrap, "--topic", topic),
        *("--num-records", "40000", "--timeout", "20000"),
    )
    head, line = consumed.stdout.splitlines()[-2:]
    row = dict(zip((name.strip() for name in head.split(",")), (cell.strip() for cell in line.split(",")), strict=True))
    return {
        "produced": re.findall(r"^\d+ records sent", produced.stdout, re.M)[-1],
        "transactional": re.findall(r"^\d+ records sent", transactional.stdout, re.M)[-1],
        "consumed": int(row["data.consumed.in.nMsg"]) >= 40_000,
        "exits": [produced.returncode, transactional.returncode, consumed.returncode],
    }


@suite.case("verifiable", smoke=False)
def verifiable(ctx: Context) -> object:
    """The verifiable producer and consumer that Kafka's own system tests judge by."""
    topic, group = make_topic(ctx, 3), ctx.topic("group")
    run = Tools(ctx, topic=topic, group=group)
    of = ("--bootstrap-server", ctx.bootstrap, "--topic", topic)
    written = run.process("VerifiableProducer", *of, "--max-messages", "500", "--throughput", "-1", "--acks", "-1")
    events = [json.loads(line) for line in written.stdout.splitlines() if line.startswith("{")]
    equal(len([each for each in events if each["name"] == "producer_send_success"]), 500)
    read = read_verifiably(run, topic, group, 500)
    return {
        "said": sorted({each["name"] for each in events}),
        "sent": [(each["sent"], each["acked"]) for each in events if each["name"] == "tool_data"],
        "read": sum(each["count"] for each in read if each["name"] == "records_consumed"),
        "events": sorted({each["name"] for each in read}),
        "committed": all(each["success"] for each in read if each["name"] == "offsets_committed"),
        "lag": [
            line.split()[5] for line in run("ConsumerGroupCommand", "--describe", "--group", group) if topic_row(line)
        ],
    }


def topic_row(line: str) -> bool:
    """Whether a line of the group's table is about our topic."""
    return line.startswith("<group> <topic>")


def read_verifiably(run: Tools, topic: str, group: str, count: int) -> list[dict[str, Any]]:
    """The events of a verifiable consumer that reads so many records."""
    of = ("--bootstrap-server", run.ctx.bootstrap, "--topic", topic, "--group-id", group, "--reset-policy", "earliest")
    done = run.process("VerifiableConsumer", *of, "--max-messages", str(count))
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@suite.case("transactional_copier", smoke=False)
def transactional_copier(ctx: Context) -> object:
    """Kafka's own read-process-write program copies a partition in transactions and commits what it read with them."""
    source, sink, group = make_topic(ctx, 1), make_topic(ctx, 1), ctx.topic("group")
    run = Tools(ctx, source=source, sink=sink, group=group)
    write(ctx, source, 300)
    done = run.process(
        *("TransactionalMessageCopier", "--broker-list", ctx.bootstrap, "--input-topic", source),
        *("--input-partition", "0", "--output-topic", sink, "--max-messages", "300", "--consumer-group", group),
        *("--transactional-id", group, "--transaction-size", "50", "--group-mode"),
    )
    last = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")][-1]
    copied = run.raw(
        *("ConsoleConsumer", "--bootstrap-server", ctx.bootstrap, "--topic", sink, "--from-beginning"),
        *("--isolation-level", "read_committed", "--max-messages", "300", "--timeout-ms", "20000"),
    )
    equal([int(line.split()[0]) for line in copied.stdout.splitlines()], list(range(300)))
    return {
        "consumed": last["totalProcessed"],
        "left": last["remaining"],
        "exit": done.returncode,
        "lag": eventually(lambda: rows(run("ConsumerGroupCommand", "--describe", "--group", group)), "the offsets"),
    }
