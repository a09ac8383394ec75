"""confluent-kafka in groups of both protocols, with offsets, and in transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupType,
    ElectionType,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import ConsumerGroupTopicPartitions as GroupPartitions

from compat.cases import Context, equal, eventually
from compat.confluent_kafka.client import TIMEOUT_S, admin, error_name, make_topic, outcome, read, suite, write

PARTITIONS = 4
CONSUMER = {"group.protocol": "consumer"}


@contextmanager
def member(ctx: Context, group: str, topic: str, **options: Any) -> Iterator[Consumer]:
    """A member that has subscribed; poll it."""
    settings = {
        "bootstrap.servers": ctx.bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        **{name.replace("_", "."): value for name, value in options.items()},
    }
    client = Consumer(settings)
    client.subscribe([topic])
    try:
        yield client
    finally:
        client.close()


def fill(ctx: Context, topic: str, first: int, count: int) -> None:
    write(ctx, topic, [{"value": b"%d" % i, "partition": i % PARTITIONS} for i in range(first, first + count)])


def poll_all(clients: list[Consumer], done: Callable[[], bool], seen: list[int], what: str) -> None:
    """Poll members in turn until something holds."""

    def step() -> bool:
        for client in clients:
            message = client.poll(0.02)
            while message is not None:
                if message.error():
                    raise KafkaException(message.error())
                seen.append(int(message.value()))
                message = client.poll(0)
        return done()

    eventually(step, what, timeout_s=40)


def sharing(ctx: Context, **options: Any) -> object:
    """Two members share, one leaves, the other goes on where both had committed."""
    client = admin(ctx)
    topic, group = make_topic(client, ctx, PARTITIONS), ctx.topic("group")
    fill(ctx, topic, 0, 100)
    seen: list[int] = []
    with member(ctx, group, topic, **options) as first:
        poll_all([first], lambda: len(seen) == 100, seen, "the first records")
        first.commit(asynchronous=False)
        with member(ctx, group, topic, **options) as second:
            both = [first, second]
            poll_all(both, lambda: [len(one.assignment()) for one in both] == [2, 2], seen, "an assignment of both")
            fill(ctx, topic, 100, 100)
            poll_all(both, lambda: len(seen) >= 200, seen, "the records of both")
            for one in both:
                one.commit(asynchronous=False)
        poll_all([first], lambda: len(first.assignment()) == PARTITIONS, seen, "all partitions for one")
        fill(ctx, topic, 200, 50)
        poll_all([first], lambda: len(seen) >= 250, seen, "the last records")
        first.commit(asynchronous=False)
        equal(sorted(seen), list(range(250)))
        offsets = first.committed([TopicPartition(topic, index) for index in range(PARTITIONS)], TIMEOUT_S)
        return sum(one.offset for one in offsets)


@suite.case("group.range")
def group_range(ctx: Context) -> object:
    return sharing(ctx, partition_assignment_strategy="range")


@suite.case("group.cooperative", smoke=False)
def group_cooperative(ctx: Context) -> object:
    return sharing(ctx, partition_assignment_strategy="cooperative-sticky")


@suite.case("consumer_group.share")
def consumer_group_share(ctx: Context) -> object:
    return sharing(ctx, **CONSUMER)


@suite.case("group.static", smoke=False)
def group_static(ctx: Context) -> object:
    """A static member that comes back has its partitions; the other keeps its own."""
    client = admin(ctx)
    topic, group = make_topic(client, ctx, PARTITIONS), ctx.topic("group")
    seen: list[int] = []
    with ExitStack() as stack:
        other = stack.enter_context(member(ctx, group, topic, group_instance_id="other"))
        with member(ctx, group, topic, group_instance_id="one") as one:
            both = [one, other]
            poll_all(both, lambda: [len(each.assignment()) for each in both] == [2, 2], seen, "both assigned")
            before, kept = one.assignment(), other.assignment()
        one = stack.enter_context(member(ctx, group, topic, group_instance_id="one"))
        poll_all([one, other], lambda: len(one.assignment()) == 2, seen, "the assignment again")
        equal((sorted(one.assignment()), sorted(other.assignment())), (sorted(before), sorted(kept)))
    return None


@suite.case("group.offsets")
def group_offsets(ctx: Context) -> object:
    """Commits without membership, with metadata; altered, listed and read again."""
    client = admin(ctx)
    topic, group = make_topic(client, ctx, 2), ctx.topic("group")
    consumer = Consumer({"bootstrap.servers": ctx.bootstrap, "group.id": group, "enable.auto.commit": False})
    stored = TopicPartition(topic, 0, 7, "a note")
    consumer.commit(offsets=[stored], asynchronous=False)
    found = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], TIMEOUT_S)
    consumer.close()
    altered = outcome(client.alter_consumer_group_offsets([GroupPartitions(group, [TopicPartition(topic, 1, 3)])]))
    listed = outcome(client.list_consumer_group_offsets([GroupPartitions(group)]))
    return {
        "committed": [[one.offset, one.metadata] for one in found],
        "altered": [one.offset for one in altered.topic_partitions],
        "listed": sorted([one.partition, one.offset] for one in listed.topic_partitions),
    }


def described(ctx: Context, **options: Any) -> object:
    """What the admin client sees of a group with a member, and when it is empty; then it is deleted."""
    client = admin(ctx)
    topic, group = make_topic(client, ctx, PARTITIONS), ctx.topic("group")
    seen: list[int] = []
    with member(ctx, group, topic, **options) as one:
        poll_all([one], lambda: len(one.assignment()) == PARTITIONS, seen, "an assignment")

        def stable() -> Any:
            found = outcome(client.describe_consumer_groups([group], request_timeout=TIMEOUT_S))
            return found if found.state == ConsumerGroupState.STABLE else None

        found = eventually(stable, "a stable group")
        refused = error_name(lambda: outcome(client.delete_consumer_groups([group])))
        result = {
            "state": found.state.name,
            "type": found.type.name,
            "assignor": found.partition_assignor,
            "members": [len(each.assignment.topic_partitions) for each in found.members],
            "refused": refused,
        }

    def listed() -> Any:
        valid = client.list_consumer_groups(states={ConsumerGroupState.EMPTY}).result(timeout=TIMEOUT_S).valid
        return next((each for each in valid if each.group_id == group), None)

    empty = eventually(listed, "an empty group")
    result["listed"] = f"{empty.type.name} {empty.is_simple_consumer_group}"
    classic = client.list_consumer_groups(types={ConsumerGroupType.CLASSIC}).result(timeout=TIMEOUT_S).valid
    result["classic"] = any(each.group_id == group for each in classic)
    outcome(client.delete_consumer_groups([group]))
    result["again"] = error_name(lambda: outcome(client.delete_consumer_groups([group])))
    return result


@suite.case("group.describe")
def group_describe(ctx: Context) -> object:
    return described(ctx, partition_assignment_strategy="range")


@suite.case("consumer_group.describe")
def consumer_group_describe(ctx: Context) -> object:
    return described(ctx, **CONSUMER)


@suite.case("group.pause", smoke=False)
def group_pause(ctx: Context) -> object:
    """What is stored and committed by itself, and a partition that is paused while the group goes on."""
    topic, group = make_topic(admin(ctx), ctx, PARTITIONS), ctx.topic("group")
    fill(ctx, topic, 0, 40)
    seen: list[int] = []
    paused = TopicPartition(topic, 0)
    with member(ctx, group, topic, enable_auto_commit=True, auto_commit_interval_ms=100) as one:
        poll_all([one], lambda: len(one.assignment()) == PARTITIONS, seen, "an assignment")
        poll_all([one], lambda: len(seen) == 40, seen, "the first records")
        one.pause([paused])
        fill(ctx, topic, 40, 40)
        poll_all([one], lambda: len(seen) == 70, seen, "the records of three partitions")
        one.resume([paused])
        poll_all([one], lambda: len(seen) == 80, seen, "those of the fourth")
    with member(ctx, group, topic) as one:
        return [each.offset for each in one.committed([TopicPartition(topic, i) for i in range(PARTITIONS)], TIMEOUT_S)]


@suite.case("admin.elect_leaders", smoke=False)
def admin_elect_leaders(ctx: Context) -> object:
    client = admin(ctx)
    topic = make_topic(client, ctx, 2)
    result = {}
    for kind in (ElectionType.PREFERRED, ElectionType.UNCLEAN):
        wanted = [TopicPartition(topic, 0), TopicPartition(topic, 9)]
        found = client.elect_leaders(kind, wanted).result(timeout=TIMEOUT_S)
        result[kind.name] = {str(tp.partition): error.name() if error else None for tp, error in found.items()}
    return result


# -- transactions


def transactional(ctx: Context, name: str, **options: Any) -> Producer:
    client = Producer({"bootstrap.servers": ctx.bootstrap, "transactional.id": name, **options})
    client.init_transactions(TIMEOUT_S)
    return client


@suite.case("transaction.ends")
def transaction_ends(ctx: Context) -> object:
    topic = make_topic(admin(ctx), ctx)
    client = transactional(ctx, ctx.topic("txn"))
    for round_ in range(4):
        client.begin_transaction()
        for i in range(5):
            client.produce(topic, b"%d" % (10 * round_ + i))
        client.flush(TIMEOUT_S)  # an abort drops what has not left yet
        if round_ % 2:
            client.abort_transaction(TIMEOUT_S)
        else:
            client.commit_transaction(TIMEOUT_S)
    committed = [int(one.value()) for one in read(ctx, topic, 10, isolation_level="read_committed")]
    return {"committed": committed, "all": len(read(ctx, topic, 20, isolation_level="read_uncommitted"))}


@suite.case("transaction.offsets", smoke=False)
def transaction_offsets(ctx: Context) -> object:
    """Offsets of an open transaction are not told as committed; those of an aborted one never are."""
    topic, group = make_topic(admin(ctx), ctx, 1), ctx.topic("group")
    fill_one = [{"value": b"%d" % i, "partition": 0} for i in range(10)]
    write(ctx, topic, fill_one)
    result = []
    with member(ctx, group, topic) as reader:
        poll_all([reader], lambda: len(reader.assignment()) == 1, [], "an assignment")
        writer = transactional(ctx, ctx.topic("txn"))
        for offset, commit in ((3, False), (5, True)):
            writer.begin_transaction()
            writer.send_offsets_to_transaction(
                [TopicPartition(topic, 0, offset)], reader.consumer_group_metadata(), TIMEOUT_S
            )
            (writer.commit_transaction if commit else writer.abort_transaction)(TIMEOUT_S)
            result.append(reader.committed([TopicPartition(topic, 0)], TIMEOUT_S)[0].offset)
    return result


@suite.case("transaction.fenced")
def transaction_fenced(ctx: Context) -> object:
    topic, name = make_topic(admin(ctx), ctx), ctx.topic("txn")
    old = transactional(ctx, name)
    old.begin_transaction()
    old.produce(topic, b"1")
    old.flush(TIMEOUT_S)
    young = transactional(ctx, name)
    young.begin_transaction()
    young.produce(topic, b"2")
    young.commit_transaction(TIMEOUT_S)
    refused = error_name(lambda: old.commit_transaction(TIMEOUT_S))
    return [refused, [int(one.value()) for one in read(ctx, topic, 1, isolation_level="read_committed")]]


@suite.case("transaction.exactly_once")
def exactly_once(ctx: Context) -> object:
    """Copy a topic in transactions that carry the offsets, with aborts between and a member that is replaced."""
    client = admin(ctx)
    source, sink, group = make_topic(client, ctx, PARTITIONS), make_topic(client, ctx), ctx.topic("group")
    fill(ctx, source, 0, 100)
    copied = 0
    for life in range(2):
        with member(ctx, group, source, isolation_level="read_committed") as consumer:
            writer = transactional(ctx, group)
            deadline, round_ = time.monotonic() + 40, 0
            while copied < 50 * (life + 1) and time.monotonic() < deadline:
                messages = [one for one in consumer.consume(10, 0.5) if one.error() is None]
                if not messages:
                    continue
                writer.begin_transaction()
                for message in messages:
                    writer.produce(sink, message.value())
                positions = consumer.position(consumer.assignment())
                writer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), TIMEOUT_S)
                round_ += 1
                if round_ % 3 == 2:
                    writer.abort_transaction(TIMEOUT_S)
                    for back in consumer.committed(consumer.assignment(), TIMEOUT_S):
                        consumer.seek(TopicPartition(back.topic, back.partition, max(back.offset, 0)))
                else:
                    writer.commit_transaction(TIMEOUT_S)
                    copied += len(messages)
    values = [int(one.value()) for one in read(ctx, sink, 100, isolation_level="read_committed")]
    equal(sorted(values), list(range(100)))
    return None
