"""Scripts of single requests about transactions, and what Apache Kafka 4.4 answers to each.

python -m tests.integration.transaction_cases kafka     run them on the reference, write transaction_cases.json
python -m tests.integration.transaction_cases pyralog   run them here and show what differs
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyralog.records.batch import TRANSACTIONAL, Record, build
from pyralog.wire import messages as m
from tests.integration import golden
from tests.integration.wire_client import WireClient

GOLDEN = Path(__file__).with_suffix(".json")
NOT_YET = {14, 15, 16, 51}
PRODUCE, FETCH, LIST_OFFSETS, METADATA, FIND = 0, 1, 2, 3, 10

Outcome = list[Any]
CASES: dict[str, Callable[[Txn], Outcome]] = {}


class Txn:
    """One transactional id; what its requests are answered. Producer ids are shown as letters in order of sight."""

    names = itertools.count()

    def __init__(self, client: WireClient, topic: str, topic_id: bytes) -> None:
        self.client = client
        self.topic = topic
        self.topic_id = topic_id
        self.id = f"case-{time.time_ns()}-{next(self.names)}"
        self.pid, self.epoch = -1, -1
        self._letters: dict[int, str] = {-1: "-"}
        self._sequences: dict[tuple[int, int, int], int] = {}
        self._found = False

    def letter(self, pid: int) -> str:
        return self._letters.setdefault(pid, chr(ord("A") + len(self._letters) - 1))

    def find(self) -> None:
        if self._found:
            return
        for _ in range(200):
            answer = self.client.ask(FIND, 4, m.FindCoordinatorRequest(key_type=1, coordinator_keys=[self.id]))
            if answer.coordinators[0].error_code == 0:
                self._found = True
                return
            time.sleep(0.05)
        raise AssertionError("no coordinator")

    def init(self, version: int = 5, timeout_ms: int = 60_000, *, keep: bool = True, **fields: Any) -> Outcome:
        """(error, producer, epoch) once the coordinator is ready and has ended what was open."""
        self.find()
        for _ in range(300):
            result = self.init_once(version, timeout_ms, keep=keep, **fields)
            if result[0] not in NOT_YET:
                return result
            time.sleep(0.02)
        raise AssertionError("the coordinator is never ready")

    def init_once(self, version: int = 5, timeout_ms: int = 60_000, *, keep: bool = True, **fields: Any) -> Outcome:
        fields = {"producer_id": -1, "producer_epoch": -1, **fields} if version >= 3 else fields
        name = fields.pop("name", self.id)
        request = m.InitProducerIdRequest(transactional_id=name, transaction_timeout_ms=timeout_ms, **fields)
        answer = self.client.ask(22, version, request)
        if answer.error_code == 0 and keep:
            self.pid, self.epoch = answer.producer_id, answer.producer_epoch
        return [answer.error_code, self.letter(answer.producer_id), answer.producer_epoch]

    def who(self, pid: int | None = None, epoch: int | None = None) -> dict[str, Any]:
        return {
            "transactional_id": self.id,
            "producer_id": self.pid if pid is None else pid,
            "producer_epoch": self.epoch if epoch is None else epoch,
        }

    def add(
        self, *indexes: int, version: int = 3, topic: str | None = None, verify: bool = False, **who: Any
    ) -> Outcome:
        topics = [m.AddPartitionsToTxnTopic(name=topic or self.topic, partitions=list(indexes or (0,)))]
        named = self.who(**who)
        if version < 4:
            named = {f"v3_and_below_{name}": value for name, value in named.items()}
            answer = self.client.ask(24, version, m.AddPartitionsToTxnRequest(v3_and_below_topics=topics, **named))
            results = answer.results_by_topic_v3_and_below
        else:
            one = m.AddPartitionsToTxnTransaction(topics=topics, verify_only=verify, **named)
            answer = self.client.ask(24, version, m.AddPartitionsToTxnRequest(transactions=[one]))
            results = [found for one in answer.results_by_transaction for found in one.topic_results]
        found = {one.partition_index: one for topic in results for one in topic.results_by_partition}
        return [found[index].partition_error_code for index in sorted(found)]

    def add_when_free(self, *indexes: int) -> Outcome:
        """The same, when the last transaction has ended."""
        for _ in range(300):
            codes = self.add(*indexes)
            if not NOT_YET & set(codes):
                break
            time.sleep(0.02)
        return codes

    def add_offsets(self, version: int = 3, **who: Any) -> int:
        request = m.AddOffsetsToTxnRequest(group_id="g-" + self.id, **self.who(**who))
        return int(self.client.ask(25, version, request).error_code)

    def end(self, commit: bool = True, version: int = 5, *, keep: bool = True, **who: Any) -> Outcome:
        for _ in range(300):
            result = self.end_once(commit, version, keep=keep, **who)
            if result[0] not in NOT_YET:
                return result
            time.sleep(0.02)
        raise AssertionError("the transaction never ends")

    def end_once(self, commit: bool = True, version: int = 5, *, keep: bool = True, **who: Any) -> Outcome:
        answer = self.client.ask(26, version, m.EndTxnRequest(committed=commit, **self.who(**who)))
        if version >= 5 and answer.error_code == 0 and keep:
            self.pid, self.epoch = answer.producer_id, answer.producer_epoch
        return [answer.error_code, self.letter(answer.producer_id), answer.producer_epoch]

    def produce(
        self, index: int = 0, version: int = 12, *, sequence: int | None = None, name: str | None = "", **who: Any
    ) -> int:
        """The error of one record; repeated while the coordinator or the last transaction is not ready."""
        named = self.who(**who)
        key = (named["producer_id"], named["producer_epoch"], index)
        if sequence is None:
            sequence = self._sequences.get(key, -1) + 1
        batch = build(
            [Record(0, int(time.time() * 1000), b"k", b"v")],
            producer_id=key[0],
            producer_epoch=key[1],
            base_sequence=sequence,
            attributes=TRANSACTIONAL,
        )
        data = [m.PartitionProduceData(index=index, records=batch)]
        topic = m.TopicProduceData(partition_data=data)
        if version >= 13:
            topic.topic_id = self.topic_id
        else:
            topic.name = self.topic
        request = m.ProduceRequest(
            transactional_id=self.id if name == "" else name, acks=-1, timeout_ms=10_000, topic_data=[topic]
        )
        for _ in range(300):
            answer = self.client.ask(PRODUCE, version, request)
            code = int(answer.responses[0].partition_responses[0].error_code)
            if code not in {51, 19}:
                break
            time.sleep(0.02)
        if code == 0:
            self._sequences[key] = sequence
        return code

    def state(self) -> Outcome:
        """(state, producer, epoch, partitions) when it is at rest or open."""
        for _ in range(300):
            answer = self.client.ask(65, 0, m.DescribeTransactionsRequest(transactional_ids=[self.id]))
            one = answer.transaction_states[0]
            if one.error_code not in NOT_YET and not one.transaction_state.startswith("Prepare"):
                break
            time.sleep(0.02)
        partitions = sorted(
            (topic.topic if topic.topic.startswith("__") else "t", index)
            for topic in one.topics
            for index in topic.partitions
        )
        shown = [[topic, -1 if topic.startswith("__") else index] for topic, index in partitions]
        return [one.error_code, one.transaction_state, self.letter(one.producer_id), one.producer_epoch, shown]


def case(function: Callable[[Txn], Outcome]) -> Callable[[Txn], Outcome]:
    CASES[function.__name__] = function
    return function


@case
def begin_again(t: Txn) -> Outcome:
    return [t.init(version) for version in range(6)]


@case
def timeouts(t: Txn) -> Outcome:
    return [t.init(version, timeout) for version in (0, 5) for timeout in (-1, 0, 1, 900_000, 900_001, 2**31 - 1)]


@case
def empty_id(t: Txn) -> Outcome:
    t.find()
    return [t.init_once(version, name="") for version in (0, 5)]


@case
def one_of_id_and_epoch(t: Txn) -> Outcome:
    return [t.init(producer_id=5), t.init(producer_epoch=5)]


@case
def going_on_with_an_identity(t: Txn) -> Outcome:
    t.init()
    pid = t.pid
    out = [t.init(producer_id=pid, producer_epoch=0)]
    out.append(t.init(producer_id=pid, producer_epoch=0))
    out.append(t.init())
    out += [t.init(producer_id=pid, producer_epoch=epoch) for epoch in (0, 1, 3, 2)]
    out.append(t.init(producer_id=pid + 1, producer_epoch=3))
    out += [t.init(version, producer_id=pid, producer_epoch=0) for version in (3, 4)]
    return out


@case
def an_identity_that_nobody_knows(t: Txn) -> Outcome:
    return [t.init(producer_id=123_456, producer_epoch=7)]


@case
def adds_by_others(t: Txn) -> Outcome:
    t.init()
    t.init()
    out: Outcome = [t.add(version=version, epoch=0) for version in range(6)]
    out += [t.add(version=version, pid=99_999) for version in (0, 3, 5)]
    out += [t.add_offsets(version, epoch=0) for version in range(5)]
    out += [t.add_offsets(version, pid=99_999) for version in (0, 4)]
    out += [t.end(version=version, epoch=0) for version in range(6)]
    out += [t.end(version=version, epoch=2) for version in (3, 5)]
    out += [t.end(version=version, pid=99_999) for version in (0, 4, 5)]
    return out


@case
def an_unknown_id(t: Txn) -> Outcome:
    t.find()
    t.pid, t.epoch = 5, 0
    return [
        t.add(),
        t.add(version=5),
        t.add_offsets(),
        t.end(version=3),
        t.end(),
        t.state(),
        t.produce(),
        t.produce(version=9),
    ]


@case
def partitions_that_do_not_exist(t: Txn) -> Outcome:
    t.init()
    return [
        t.add(0, 99),
        t.add(0, 99, version=5),
        t.add(topic="no-such-topic"),
        t.add(topic="__transaction_state"),
        t.add(topic="__transaction_state", version=5),
        t.state(),
    ]


@case
def verifying(t: Txn) -> Outcome:
    t.init()
    out = [t.add(0, version=5, verify=True)]
    t.add(0)
    out += [t.add(0, 1, version=5, verify=True), t.add(0, version=5, verify=True, epoch=9), t.state()]
    return out


@case
def tv1_ends(t: Txn) -> Outcome:
    t.init()
    out: Outcome = [t.end(version=version, commit=commit) for version in (0, 4) for commit in (True, False)]
    t.add(0, 1)
    out += [t.end(version=3), t.state(), t.end(version=3), t.end(False, version=3)]
    out.append(t.add_when_free(0))
    out += [t.end(False, version=4), t.state(), t.end(False, version=0), t.end(True, version=0)]
    return out


@case
def tv2_ends(t: Txn) -> Outcome:
    t.init()
    out: Outcome = [t.end(True), t.end(False), t.state()]
    out.append(t.produce(0))
    out.append(t.produce(1, version=13))
    out.append(t.state())
    epoch = t.epoch
    out += [t.end(True), t.state()]
    out += [t.end(True, epoch=epoch, keep=False), t.end(False, epoch=epoch, keep=False), t.end(True)]
    out.append(t.produce(0))
    out += [t.end(True, epoch=epoch, keep=False), t.end(False, epoch=epoch, keep=False)]
    epoch = t.epoch
    out += [t.end(False), t.state(), t.end(False, epoch=epoch, keep=False), t.end(True, epoch=epoch, keep=False)]
    out += [t.end(False), t.end(False), t.state()]
    return out


@case
def who_begins_ends_what_is_open(t: Txn) -> Outcome:
    t.init()
    old = t.epoch
    out: Outcome = [t.produce(), t.init_once(), t.init(), t.state()]
    out += [t.produce(epoch=old, sequence=1), t.end(epoch=old, keep=False), t.end(version=3, epoch=old)]
    return out


@case
def who_begins_ends_what_tv1_left_open(t: Txn) -> Outcome:
    t.init()
    old = t.epoch
    out: Outcome = [t.add(0), t.produce(version=9), t.init_once(), t.init(), t.state()]
    out += [t.produce(version=version, epoch=old, sequence=1) for version in (3, 9, 11)]
    out += [t.add(epoch=old), t.end(version=3, epoch=old)]
    return out


@case
def its_own_producer_begins_again(t: Txn) -> Outcome:
    t.init()
    pid, epoch = t.pid, t.epoch
    out: Outcome = [t.produce(), t.init_once(producer_id=pid, producer_epoch=epoch)]
    out += [t.init(producer_id=pid, producer_epoch=epoch), t.state()]
    return out


@case
def a_timeout(t: Txn) -> Outcome:
    t.init(timeout_ms=300)
    out: Outcome = [t.produce()]
    for _ in range(600):
        if t.state()[1] == "CompleteAbort":
            break
        time.sleep(0.05)
    out.append(t.state())
    pid, epoch = t.pid, t.epoch
    out += [t.produce(sequence=1), t.end(True, keep=False), t.end(False, keep=False), t.end(True, version=3)]
    out += [t.init(producer_id=pid, producer_epoch=epoch), t.produce(), t.end(), t.state()]
    return out


@case
def a_timeout_under_tv1(t: Txn) -> Outcome:
    t.init(timeout_ms=300)
    out: Outcome = [t.add(0), t.produce(version=9)]
    for _ in range(600):
        if t.state()[1] == "CompleteAbort":
            break
        time.sleep(0.05)
    out.append(t.state())
    out += [t.produce(version=9, sequence=1), t.add(0), t.end(True, version=3), t.end(False, version=3)]
    out += [t.init(), t.add(0), t.produce(version=9), t.end(version=3), t.state()]
    return out


@case
def produces_that_were_not_added(t: Txn) -> Outcome:
    t.init()
    out: Outcome = [t.produce(version=version) for version in (3, 8, 9, 10, 11)]
    out += [t.add(1), [t.produce(0, version=11), t.produce(1, version=11), t.produce(1, version=3)]]
    out += [t.produce(1, version=11, name=None, sequence=2), t.produce(1, version=9, name="other-" + t.id, sequence=2)]
    out += [t.end(version=3), t.state()]
    out += [t.produce(1, version=9), t.produce(1, version=11)]
    return out


@case
def sequences_of_tv2(t: Txn) -> Outcome:
    t.init()
    out: Outcome = [
        t.produce(sequence=5),
        t.produce(sequence=0),
        t.produce(sequence=0),
        t.produce(sequence=2),
        t.produce(sequence=1),
    ]
    t.end()
    out += [t.produce(sequence=2), t.produce(sequence=0), t.end(False), t.state()]
    return out


@case
def offsets_of_a_group(t: Txn) -> Outcome:
    t.init()
    return [t.add_offsets(), t.state(), t.end(version=3), t.state()]


@case
def mixed_versions(t: Txn) -> Outcome:
    t.init()
    out: Outcome = [t.add(0), t.produce(version=9), t.produce(version=12), t.end(True), t.state()]
    out += [t.produce(version=12), t.end(True, version=4), t.state(), t.end(True, version=4)]
    return out


def letters(t: Txn, **fields: Any) -> Outcome:
    answer = t.client.ask(66, 2, m.ListTransactionsRequest(**fields))
    mine = [one.transaction_state for one in answer.transaction_states if one.transactional_id == t.id]
    return [answer.error_code, answer.unknown_state_filters, mine]


@case
def listing(t: Txn) -> Outcome:
    t.init()
    out = [letters(t), letters(t, state_filters=["Ongoing"]), letters(t, state_filters=["Empty", "Nonsense"])]
    out += [letters(t, state_filters=["Nonsense"]), letters(t, duration_filter=0), letters(t, duration_filter=10**6)]
    t.add(0)
    out += [letters(t, state_filters=["Ongoing"]), letters(t, producer_id_filters=[t.pid])]
    out += [letters(t, producer_id_filters=[1 << 40]), letters(t, duration_filter=10**6)]
    patterns = (t.id, "case-.*", "case", "", "(", "case-[0-9-]+", "(?=c).*", "CASE.*", "(?i)CASE.*", "\\Qcase\\E.*")
    out += [letters(t, transactional_id_pattern=pattern) for pattern in patterns]
    t.end(version=3)
    return out


def markers(
    t: Txn, epoch: int, coordinator_epoch: int, *indexes: int, commit: bool = False, version: int = 1
) -> Outcome:
    topics = [m.WritableTxnMarkerTopic(name=t.topic, partition_indexes=list(indexes or (0,)))]
    marker = m.WritableTxnMarker(
        producer_id=t.pid,
        producer_epoch=epoch,
        transaction_result=commit,
        topics=topics,
        coordinator_epoch=coordinator_epoch,
    )
    answer = t.client.ask(27, version, m.WriteTxnMarkersRequest(markers=[marker]))
    return [one.error_code for topic in answer.markers[0].topics for one in topic.partitions]


@case
def markers_of_an_admin(t: Txn) -> Outcome:
    t.init()
    t.init()
    out: Outcome = [t.produce(), markers(t, 0, 0), markers(t, 1, 0, 0, 99), markers(t, 1, 0)]
    out += [t.produce(), t.end(False), t.state()]
    return out


def run(port: int, only: set[str] | None = None) -> dict[str, Outcome]:
    """Every case's answers."""
    with WireClient(port) as client:

        def answers(title: str, topic: str, topic_id: bytes) -> Outcome:
            return CASES[title](Txn(client, topic, topic_id))

        return golden.play(port, CASES, only, 3, answers)


if __name__ == "__main__":
    sys.exit(golden.main(run, GOLDEN, kafka={"transaction.abort.timed.out.transaction.cleanup.interval.ms": 500}))
