"""kafka-python in groups of the classic protocol, with offsets, and in transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from compat.cases import Context, equal, eventually
from compat.kafka_python.client import admin, error_name, make_topic, read, suite

PARTITIONS = 4
POLL_MS = 200  # with 20 it sometimes forgets what it was assigned: FINDINGS.md


@contextmanager
def member(ctx: Context, group: str, topic: str, **options: Any) -> Iterator[KafkaConsumer]:
    """A member that has subscribed; poll it."""
    settings: dict[str, Any] = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **options}
    client = KafkaConsumer(bootstrap_servers=ctx.bootstrap, group_id=group, heartbeat_interval_ms=500, **settings)
    client.subscribe([topic])
    try:
        yield client
    finally:
        client.close(autocommit=False)


def topic_of(ctx: Context, partitions: int = PARTITIONS) -> str:
    with admin(ctx) as client:
        return make_topic(client, ctx, partitions)


def fill(ctx: Context, topic: str, first: int, count: int) -> None:
    with KafkaProducer(bootstrap_servers=ctx.bootstrap) as client:
        sent = [client.send(topic, b"%d" % i, partition=i % PARTITIONS) for i in range(first, first + count)]
        client.flush()
        for each in sent:
            each.get(timeout=20)


def poll_all(clients: list[KafkaConsumer], done: Callable[[], bool], seen: list[int], what: str) -> None:
    """Poll members in turn until something holds."""

    def step() -> bool:
        for client in clients:
            for records in client.poll(POLL_MS).values():
                seen.extend(int(record.value) for record in records)
        return done()

    eventually(step, what, timeout_s=40)


@suite.case("group.share")
def group_share(ctx: Context) -> object:
    """Two members share, one leaves, the other goes on where both had committed."""
    topic, group = topic_of(ctx), ctx.topic("group")
    fill(ctx, topic, 0, 100)
    seen: list[int] = []
    with member(ctx, group, topic) as first:
        poll_all([first], lambda: len(seen) == 100, seen, "the first records")
        first.commit()
        with member(ctx, group, topic) as second:
            both = [first, second]
            poll_all(both, lambda: [len(one.assignment()) for one in both] == [2, 2], seen, "an assignment of both")
            fill(ctx, topic, 100, 100)
            poll_all(both, lambda: len(seen) >= 200, seen, "the records of both")
            for one in both:
                one.commit()
        poll_all([first], lambda: len(first.assignment()) == PARTITIONS, seen, "all partitions for one")
        fill(ctx, topic, 200, 50)
        poll_all([first], lambda: len(seen) >= 250, seen, "the last records")
        first.commit()
        equal(sorted(seen), list(range(250)))
        return sum(first.committed(TopicPartition(topic, index)) or 0 for index in range(PARTITIONS))


@suite.case("group.static", smoke=False)
def group_static(ctx: Context) -> object:
    """A static member that comes back has its partitions, and the other was not disturbed."""
    topic, group = topic_of(ctx), ctx.topic("group")
    seen: list[int] = []
    with member(ctx, group, topic, group_instance_id="other") as other:
        with member(ctx, group, topic, group_instance_id="one") as one:
            both = [one, other]
            poll_all(both, lambda: [len(each.assignment()) for each in both] == [2, 2], seen, "both assigned")
            before, kept = one.assignment(), other.assignment()
        with member(ctx, group, topic, group_instance_id="one") as one:
            poll_all([one, other], lambda: len(one.assignment()) == 2, seen, "the assignment again")
            equal((one.assignment(), other.assignment()), (before, kept))
    return None


@suite.case("group.offsets")
def group_offsets(ctx: Context) -> object:
    """What is committed with an offset comes back, also without membership; where nothing is, there is nothing."""
    topic, group = topic_of(ctx, 2), ctx.topic("group")
    tp, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    with KafkaConsumer(bootstrap_servers=ctx.bootstrap, group_id=group, enable_auto_commit=False) as client:
        client.assign([tp, other])
        client.commit({tp: OffsetAndMetadata(7, "a note", 3)})
        found = client.committed(tp, metadata=True)
        nothing = client.committed(other)
    return {"found": [found.offset, found.metadata, found.leader_epoch], "nothing": nothing}


def transactional(ctx: Context, name: str) -> KafkaProducer:
    client = KafkaProducer(bootstrap_servers=ctx.bootstrap, transactional_id=name)
    client.init_transactions()
    return client


@suite.case("transaction.ends")
def transaction_ends(ctx: Context) -> object:
    topic = topic_of(ctx, 1)
    with transactional(ctx, ctx.topic("txn")) as client:
        for round_ in range(4):
            client.begin_transaction()
            sent = [client.send(topic, b"%d" % (10 * round_ + i), partition=0) for i in range(5)]
            for each in sent:
                each.get(timeout=20)
            if round_ % 2:
                client.abort_transaction()
            else:
                client.commit_transaction()
    committed = [int(one.value) for one in read(ctx, topic, 10, isolation_level="read_committed")]
    return {"committed": committed, "all": len(read(ctx, topic, 20))}


@suite.case("transaction.fenced")
def transaction_fenced(ctx: Context) -> object:
    topic, name = topic_of(ctx, 1), ctx.topic("txn")
    with transactional(ctx, name) as old:
        old.begin_transaction()
        old.send(topic, b"1", partition=0).get(timeout=20)
        with transactional(ctx, name) as young:
            young.begin_transaction()
            young.send(topic, b"2", partition=0).get(timeout=20)
            young.commit_transaction()
        refused = error_name(old.commit_transaction)
    return [refused, [int(one.value) for one in read(ctx, topic, 1, isolation_level="read_committed")]]


@suite.case("transaction.exactly_once", smoke=False)
def exactly_once(ctx: Context) -> object:
    """Copy a topic in transactions that carry the offsets, with aborts between and a member that is replaced."""
    source, sink, group = topic_of(ctx), topic_of(ctx, 1), ctx.topic("group")
    fill(ctx, source, 0, 100)
    copied = round_ = 0
    for life in range(2):
        with (
            member(ctx, group, source, isolation_level="read_committed") as client,
            transactional(ctx, group) as writer,
        ):
            deadline = time.monotonic() + 40
            while copied < 50 * (life + 1) and time.monotonic() < deadline:
                batches = client.poll(500, max_records=10)
                if not batches:
                    continue
                writer.begin_transaction()
                for records in batches.values():
                    for record in records:
                        writer.send(sink, record.value)
                offsets = {tp: OffsetAndMetadata(records[-1].offset + 1, "", -1) for tp, records in batches.items()}
                writer.send_offsets_to_transaction(offsets, client.group_metadata())
                round_ += 1
                if round_ % 3 == 2:
                    writer.abort_transaction()
                    for tp in batches:
                        client.seek(tp, client.committed(tp) or 0)
                else:
                    writer.commit_transaction()
                    copied += sum(len(records) for records in batches.values())
    values = [int(one.value) for one in read(ctx, sink, 100, isolation_level="read_committed")]
    equal(sorted(values), list(range(100)))
    return None
