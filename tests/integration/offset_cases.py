"""Single requests about committed offsets and coordinators, and what Apache Kafka 4.4 answers to each.

python -m tests.integration.offset_cases kafka     run them on the reference, write offset_cases.json
python -m tests.integration.offset_cases pyralog   run them here and show what differs
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyralog._speedups.codec import Message
from pyralog.records.batch import Record, build
from pyralog.wire import messages as m
from tests.integration import golden
from tests.integration.wire_client import WireClient

GOLDEN = Path(__file__).with_suffix(".json")
PRODUCE, METADATA, COMMIT, FETCH, FIND, CREATE, DELETE, RECORDS = 0, 3, 8, 9, 10, 19, 20, 21
INIT, ADD_OFFSETS, END, TXN_COMMIT, PARTITIONS, OFFSET_DELETE = 22, 25, 26, 28, 37, 47
NO_ID, WRONG_ID = bytes(16), bytes([9] * 16)
HIDDEN = {"throttle_time_ms", "port", "host", "node_id", "leader_epoch", "cluster_id", "brokers", "error_message"}
CASES: dict[str, Callable[[Bench], list[Any]]] = {}


class Bench:
    """A broker, a topic of two partitions, and a group of its own for each case."""

    def __init__(self, client: WireClient, topic: str, topic_id: bytes, case: str) -> None:
        self.client, self.topic, self.topic_id = client, topic, topic_id
        self.group = f"{case}-{time.time_ns()}"
        self.txn = f"txn-{self.group}"

    def ask(self, key: int, version: int, request: Any) -> Any:
        """Asked again while the coordinator is on its way."""
        for _ in range(200):
            try:
                answer = self.client.ask(key, version, request)
            except ConnectionError:
                return "closed"
            if not any(f'"error_code": {code}' in json.dumps(self.show(answer)) for code in (14, 15, 16, 51)):
                return answer
            time.sleep(0.05)
        return answer

    def show(self, value: Any) -> Any:
        """Plain data, with names for what differs from run to run."""
        if isinstance(value, Message):
            return {name: self.show(getattr(value, name)) for name in value._layout.names if name not in HIDDEN}
        if isinstance(value, (list, tuple)):
            items = [self.show(one) for one in value]
            return sorted(items, key=json.dumps) if items and isinstance(items[0], dict) else items
        if isinstance(value, bytes):
            return {self.topic_id: "TOPIC-ID", NO_ID: "-", WRONG_ID: "WRONG"}.get(value, "bytes")
        if isinstance(value, str):
            return value.replace(self.txn, "TXN").replace(self.group, "GROUP").replace(self.topic, "TOPIC")
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def commit(
        self, version: int, *offsets: tuple[int, int, str | None], topic: str | bytes | None = None, **fields: Any
    ) -> Any:
        partitions = [
            m.OffsetCommitRequestPartition(partition_index=index, committed_offset=offset, committed_metadata=text)
            for index, offset, text in offsets
        ]
        topics = [m.OffsetCommitRequestTopic(partitions=partitions, **self.named(topic, by_id=version >= 10))]
        return self.ask(COMMIT, version, m.OffsetCommitRequest(**{"group_id": self.group, "topics": topics, **fields}))

    def named(self, topic: str | bytes | None, *, by_id: bool) -> dict[str, Any]:
        if by_id:
            return {"topic_id": topic if isinstance(topic, bytes) else self.topic_id}
        return {"name": topic if isinstance(topic, str) else self.topic}

    def fetch(self, version: int, topic: str | bytes | None = None, *, everything: bool = False, **fields: Any) -> Any:
        indexes = fields.pop("indexes", [0, 1])
        group = fields.pop("group", self.group)
        if version < 8:
            topics = [m.OffsetFetchRequestTopic(partition_indexes=indexes, **self.named(topic, by_id=False))]
            return self.ask(
                FETCH, version, m.OffsetFetchRequest(group_id=group, topics=None if everything else topics, **fields)
            )
        entries = [m.OffsetFetchRequestTopics(partition_indexes=indexes, **self.named(topic, by_id=version >= 10))]
        member = {name: fields.pop(name) for name in ("member_id", "member_epoch") if name in fields}
        asked = m.OffsetFetchRequestGroup(group_id=group, topics=None if everything else entries, **member)
        return self.ask(FETCH, version, m.OffsetFetchRequest(groups=[asked], **fields))

    def producer(self) -> dict[str, int]:
        self.find(TXN=1)
        request = m.InitProducerIdRequest(transactional_id=self.txn, transaction_timeout_ms=10_000)
        answer = self.ask(INIT, 4, request)
        assert answer.error_code == 0, answer
        return {"producer_id": answer.producer_id, "producer_epoch": answer.producer_epoch}

    def find(self, **_: int) -> None:
        for key, kind in ((self.group, 0), (self.txn, 1)):
            self.ask(FIND, 4, m.FindCoordinatorRequest(key_type=kind, coordinator_keys=[key]))

    def txn_commit(
        self, version: int, who: dict[str, int], offset: int, topic: str | bytes | None = None, **fields: Any
    ) -> Any:
        partitions = [m.TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=offset)]
        topics = [m.TxnOffsetCommitRequestTopic(partitions=partitions, **self.named(topic, by_id=version >= 6))]
        made = {"transactional_id": self.txn, "group_id": self.group, "topics": topics, **who, **fields}
        return self.ask(TXN_COMMIT, version, m.TxnOffsetCommitRequest(**made))

    def add_offsets(self, who: dict[str, int]) -> Any:
        return self.ask(ADD_OFFSETS, 3, m.AddOffsetsToTxnRequest(transactional_id=self.txn, group_id=self.group, **who))

    def end(self, version: int, who: dict[str, int], *, commit: bool) -> Any:
        request = m.EndTxnRequest(transactional_id=self.txn, committed=commit, **who)
        return self.ask(END, version, request).error_code


def case(function: Callable[[Bench], list[Any]]) -> Callable[[Bench], list[Any]]:
    CASES[function.__name__] = function
    return function


@case
def every_version(bench: Bench) -> list[Any]:
    steps: list[Any] = []
    bench.find()
    for version in range(2, 11):
        steps.append(bench.commit(version, (0, version, "text"), (1, 100 + version, None)))
        steps.append(bench.fetch(min(version, 9)))
    return steps + [bench.fetch(version) for version in range(1, 11)]


@case
def fetch_everything(bench: Bench) -> list[Any]:
    bench.commit(8, (0, 5, "m"))
    return [bench.fetch(version, everything=True) for version in range(2, 11)]


@case
def fetch_what_is_not_there(bench: Bench) -> list[Any]:
    bench.commit(8, (0, 5, "m"))
    steps = []
    for version in (1, 2, 7, 8, 9):
        steps.append(bench.fetch(version, "missing"))
        steps.append(bench.fetch(version, indexes=[7, -1]))
        steps.append(bench.fetch(version, group="no-such-group"))
        steps.append(bench.fetch(version, group="no-such-group", everything=version > 1))
        steps.append(bench.fetch(version, group=""))
    steps.append(bench.fetch(10, WRONG_ID))
    steps.append(bench.fetch(9, member_id="nobody", member_epoch=3))
    steps.append(bench.fetch(9, group="no-such-group", member_id="nobody", member_epoch=3))
    return steps


@case
def commits_refused(bench: Bench) -> list[Any]:
    return [
        bench.commit(8, (0, 1, "x" * 4096), (1, 1, "x" * 4097)),
        bench.commit(8, (0, 2, "é" * 4096), (1, 1, None)),
        bench.commit(8, (0, 1, None), topic="missing"),
        bench.commit(8, (0, 9, None), (7, 1, None), (-1, 1, None)),
        bench.commit(10, (0, 1, None), topic=WRONG_ID),
        bench.commit(10, (0, 1, None), topic=NO_ID),
        bench.commit(8, (0, -5, None)),
        bench.commit(8, (0, 3, None), generation_id_or_member_epoch=3, member_id="m"),
        bench.commit(9, (0, 3, None), generation_id_or_member_epoch=3, member_id="m"),
        bench.commit(8, (0, 3, None), generation_id_or_member_epoch=-1, member_id="m"),
        bench.commit(9, (0, 3, None), generation_id_or_member_epoch=-2, member_id=""),
        bench.commit(8, (0, 3, None), group_instance_id="i"),
        bench.commit(8, (0, 3, None), group_id=""),
        bench.commit(8),
        bench.ask(COMMIT, 8, m.OffsetCommitRequest(group_id=bench.group, topics=[])),
        bench.fetch(8),
    ]


@case
def new_group_refused(bench: Bench) -> list[Any]:
    bench.find()
    return [
        bench.commit(version, (0, 3, None), generation_id_or_member_epoch=3, member_id="m") for version in range(2, 11)
    ]


@case
def offsets_deleted(bench: Bench) -> list[Any]:
    def delete(*indexes: int, topic: str = bench.topic, group: str = bench.group) -> Any:
        partitions = [m.OffsetDeleteRequestPartition(partition_index=index) for index in indexes]
        topics = [m.OffsetDeleteRequestTopic(name=topic, partitions=partitions)]
        return bench.ask(OFFSET_DELETE, 0, m.OffsetDeleteRequest(group_id=group, topics=topics))

    bench.commit(8, (0, 5, "m"), (1, 6, "n"))
    return [
        delete(0, group="no-such-group"),
        delete(0, group=""),
        delete(0, topic="missing"),
        delete(0, 7),
        delete(0),
        bench.fetch(8),
        bench.ask(OFFSET_DELETE, 0, m.OffsetDeleteRequest(group_id=bench.group, topics=[])),
        bench.ask(OFFSET_DELETE, 0, m.OffsetDeleteRequest(group_id="no-such-group", topics=[])),
    ]


@case
def transactional(bench: Bench) -> list[Any]:
    steps: list[Any] = []
    bench.find()
    bench.commit(8, (0, 1, "plain"))
    who = bench.producer()
    steps += [bench.txn_commit(version, who, 5) for version in (0, 3, 4)]  # not added
    steps += [bench.add_offsets(who), bench.txn_commit(3, who, 5)]
    steps += [bench.fetch(version, require_stable=stable) for version in (7, 8) for stable in (False, True)]
    steps += [bench.fetch(8, everything=True, require_stable=True)]
    steps += [bench.end(4, who, commit=True), stable(bench)]
    who = bench.producer()
    steps += [bench.txn_commit(5, who, 9), bench.end(4, who, commit=False), stable(bench)]
    return steps


def stable(bench: Bench) -> Any:
    """The offsets when the transaction has ended."""
    for _ in range(100):
        answer = bench.fetch(8, require_stable=True)
        if all(one.error_code == 0 for one in answer.groups[0].topics[0].partitions):
            break
        time.sleep(0.05)
    return answer


@case
def transactional_refused(bench: Bench) -> list[Any]:
    bench.find()
    who = bench.producer()
    older = {**who, "producer_epoch": -1}
    newer = {**who, "producer_epoch": 7}
    other = {**who, "producer_id": who["producer_id"] + 100}
    steps = [bench.txn_commit(version, who, 5, generation_id_or_member_epoch=4, member_id="m") for version in (3, 5)]
    for version in (2, 3, 4, 5):
        steps += [bench.txn_commit(version, one, 5) for one in (newer, other, older)]
    steps += [
        bench.txn_commit(3, who, 5, group_id=""),
        bench.txn_commit(5, who, 5, topic="missing"),
        bench.txn_commit(6, who, 5, topic=WRONG_ID),
        bench.txn_commit(5, who, 5, transactional_id="no-such-txn"),
        bench.txn_commit(3, who, 5, transactional_id="no-such-txn"),
        bench.txn_commit(6, who, 5),
        bench.end(4, who, commit=True),
    ]
    return steps


@case
def coordinators(bench: Bench) -> list[Any]:
    share = f"{bench.group}:AAAAAAAAAAAAAAAAAAAAAQ:0"
    bench.find()
    return [
        *(bench.ask(FIND, version, m.FindCoordinatorRequest(key=bench.group)) for version in range(4)),
        bench.ask(FIND, 4, m.FindCoordinatorRequest(key_type=0, coordinator_keys=[bench.group, "", "x"])),
        bench.ask(FIND, 4, m.FindCoordinatorRequest(key_type=0, coordinator_keys=[])),
        bench.ask(FIND, 3, m.FindCoordinatorRequest(key_type=7, key="x")),
        bench.ask(FIND, 4, m.FindCoordinatorRequest(key_type=7, coordinator_keys=["x"])),
        bench.ask(FIND, 6, m.FindCoordinatorRequest(key_type=2, coordinator_keys=["malformed"])),
        bench.ask(FIND, 5, m.FindCoordinatorRequest(key_type=2, coordinator_keys=[share])),
        bench.ask(FIND, 6, m.FindCoordinatorRequest(key_type=2, coordinator_keys=[f"{bench.group}:x:0"])),
    ]


@case
def internal_topics(bench: Bench) -> list[Any]:
    bench.find()
    bench.commit(8, (0, 5, "m"))
    steps: list[Any] = []
    raw = build([Record(0, 1, b"k", b"v")])
    for name in ("__consumer_offsets", "__transaction_state"):
        data = m.TopicProduceData(name=name, partition_data=[m.PartitionProduceData(index=0, records=raw)])
        asked = bench.ask(PRODUCE, 9, m.ProduceRequest(acks=-1, timeout_ms=1000, topic_data=[data]))
        steps += [asked.responses[0].partition_responses[0].error_code]
        found = bench.ask(METADATA, 9, m.MetadataRequest(topics=[m.MetadataRequestTopic(name=name)])).topics[0]
        steps += [(found.error_code, found.is_internal)]
        new = m.CreatableTopic(name=name, num_partitions=1, replication_factor=1)
        steps += [bench.ask(CREATE, 7, m.CreateTopicsRequest(topics=[new], timeout_ms=5000)).topics[0].error_code]
        before = m.DeleteRecordsPartition(partition_index=0, offset=0)
        asked = m.DeleteRecordsRequest(topics=[m.DeleteRecordsTopic(name=name, partitions=[before])], timeout_ms=5000)
        steps += [bench.ask(RECORDS, 2, asked).topics[0].partitions[0].error_code]
        more = m.CreatePartitionsTopic(name=name, count=1000, assignments=None)
        asked = m.CreatePartitionsRequest(topics=[more], timeout_ms=5000, validate_only=True)
        steps += [bench.ask(PARTITIONS, 2, asked).results[0].error_code]
    return steps


@case
def internal_topics_deleted(bench: Bench) -> list[Any]:
    """Last of all: it takes the groups with it."""
    states = [m.DeleteTopicState(name=name) for name in ("__transaction_state", "__consumer_offsets")]
    return [bench.ask(DELETE, 6, m.DeleteTopicsRequest(topics=states, timeout_ms=5000))]


def run(port: int, only: set[str] | None = None) -> dict[str, list[Any]]:
    """Every case's answers."""

    def answers(title: str, topic: str, topic_id: bytes) -> list[Any]:
        with WireClient(port) as client:
            bench = Bench(client, topic, topic_id, title)
            return [bench.show(step) for step in CASES[title](bench)]

    return golden.play(port, CASES, only, 2, answers)


if __name__ == "__main__":
    sys.exit(golden.main(run, GOLDEN))
