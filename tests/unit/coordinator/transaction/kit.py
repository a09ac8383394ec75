"""A transaction machine without runtime: what it answers is replayed at once, timers fire by hand."""

from __future__ import annotations

import heapq
import itertools
from typing import Any

from pyralog.cluster.image import ClusterImage
from pyralog.coordinator.outcome import CoordinatorRecord, Outcome
from pyralog.coordinator.transaction.machine import FEATURE, TransactionMachine
from pyralog.coordinator.transaction.requests import (
    AddPartitions,
    Ending,
    EndTransaction,
    GetEnding,
    InitProducerId,
    MarkersWritten,
    ProducerIdNeeded,
)
from pyralog.coordinator.transaction.settings import TransactionSettings
from pyralog.coordinator.transaction.state import Entry, ProducerIdentity
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.wire.coordinator_records import TRANSACTION_RECORDS, decode_key, decode_value, encode_key, encode_value

T0 = TopicPartition("t", 0)
T1 = TopicPartition("t", 1)


def image(level: int = 2) -> ClusterImage:
    """A cluster that runs at this transaction.version."""
    return ClusterImage(features={FEATURE: level})


class Shard:
    """The machine, its log, its clock. `id` is the transactional id that the short forms are about."""

    def __init__(self, level: int = 2, settings: TransactionSettings | None = None, now_ms: int = 1_000_000) -> None:
        self.settings = settings or TransactionSettings()
        self.level = level
        self.now_ms = now_ms
        self.log: list[tuple[bytes, bytes | None]] = []
        self.ended: list[str] = []
        self._ids = itertools.count(1000)
        self._tickets = itertools.count(1)
        self.timers: dict[tuple[str, ...], tuple[int, Any]] = {}
        self.machine = self._new()
        self.take(self.machine.start(self.now_ms))

    def _new(self) -> TransactionMachine:
        return TransactionMachine(0, self.settings, image(self.level), lambda _, name: self.ended.append(name))

    def restart(self) -> None:
        """What a crash leaves: the log."""
        self.timers.clear()
        self.ended.clear()
        self.machine = self._new()
        last: dict[bytes, bytes | None] = {}
        for key, value in self.log:
            last.pop(key, None)
            last[key] = value
        for offset, (raw_key, raw_value) in enumerate(last.items()):
            if raw_value is not None:
                key = decode_key(raw_key, TRANSACTION_RECORDS)
                assert key is not None
                self.machine.replay(key, decode_value(key, raw_value), offset=offset, timestamp_ms=0, transaction=None)
        self.take(self.machine.start(self.now_ms))

    def take(self, outcome: Outcome) -> dict[int, Any]:
        """Append, replay, set timers; the replies by ticket."""
        for record in outcome.records:
            self._append(record)
        for key, due_ms, event in outcome.timers:
            if due_ms is None:
                self.timers.pop(key, None)
            else:
                self.timers[key] = (due_ms, event)
        return {reply.ticket: reply.value for reply in outcome.replies}

    def _append(self, record: CoordinatorRecord) -> None:
        raw_key = encode_key(record.key)
        raw_value = None if record.value is None else encode_value(record.value, record.value_version)
        self.log.append((raw_key, raw_value))
        # What is replayed is what the log would give back.
        key = decode_key(raw_key, TRANSACTION_RECORDS)
        assert key is not None
        value = None if raw_value is None else decode_value(key, raw_value)
        self.machine.replay(key, value, offset=len(self.log), timestamp_ms=self.now_ms, transaction=None)

    def ask(self, request: Any) -> Any:
        """The reply; a KafkaError is raised. A producer id is given where one is needed."""
        ticket = next(self._tickets)
        try:
            replies = self.take(self.machine.handle(request, ticket, self.now_ms))
        except ProducerIdNeeded:
            return self.ask(request._replace(spare_id=next(self._ids)))
        value = replies[ticket]
        if isinstance(value, BaseException):
            raise value
        return value

    def code(self, request: Any) -> ErrorCode:
        """The error that a request gets."""
        try:
            self.ask(request)
        except KafkaError as error:
            return error.code
        return ErrorCode.NONE

    def advance(self, ms: int) -> None:
        """Let time pass; timers fire when they are due."""
        end = self.now_ms + ms
        while True:
            due = [(at, key) for key, (at, _) in self.timers.items() if at <= end]
            if not due:
                break
            heapq.heapify(due)
            at, key = due[0]
            self.now_ms = max(self.now_ms, at)
            _, event = self.timers.pop(key)
            self.take(self.machine.handle(event, 0, self.now_ms))
        self.now_ms = end

    def entry(self, name: str = "x") -> Entry:
        """The state of an id."""
        return self.machine.entries[name]

    def init(self, expected: ProducerIdentity | None = None, timeout_ms: int = 60_000, name: str = "x") -> Any:
        return self.ask(InitProducerId(name, timeout_ms, expected))

    def add(self, identity: ProducerIdentity, *partitions: TopicPartition, version: int = 2, name: str = "x") -> None:
        self.ask(AddPartitions(name, identity, frozenset(partitions or (T0,)), version))

    def end(self, identity: ProducerIdentity, commit: bool = True, version: int = 2, name: str = "x") -> Any:
        return self.ask(EndTransaction(name, identity, commit, version))

    def write_markers(self, name: str = "x") -> Ending | None:
        """Do what the service does with a decided transaction."""
        ending = self.ask(GetEnding(name))
        if ending is not None:
            self.ask(MarkersWritten(name, ending.identity))
        return ending
