"""A group shard on a virtual clock, with a log that may lose its end: for script tests and simulations."""

from __future__ import annotations

import heapq
import itertools
from types import SimpleNamespace
from typing import Any, NamedTuple

from pyralog.coordinator.group.settings import GroupSettings
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.outcome import NOTHING, ClientRequest, Outcome, Transaction
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.coordinator_records import GROUP_RECORDS, decode_key, decode_value, encode_key, encode_value

# The topic is there: what shards forget is the offsets of topics that are not.
IMAGE = SimpleNamespace(topics={"t": SimpleNamespace(topic_id=bytes(16))})


class Stored(NamedTuple):
    """A record as the log has it: bytes, so that what is read back is what was encoded."""

    key: bytes
    value: bytes | None
    timestamp_ms: int


class Bench:
    """What the coordinator runtime does for one shard, without a loop: answers are held until `commit`.

    `answers` maps tickets to response messages or KafkaErrors. `auto` commits at once.
    """

    def __init__(self, settings: GroupSettings | None = None, *, now_ms: int = 1_000_000, auto: bool = True) -> None:
        self.settings = settings or GroupSettings()
        self.now_ms = now_ms
        self.auto = auto
        self.ids = itertools.count(1)
        self.tickets = itertools.count(1)
        self.answers: dict[int, Any] = {}
        self.waiting: set[int] = set()
        self.log: list[Stored] = []
        self.committed = 0  # records that are sure
        self._held: list[tuple[int, int, Any]] = []  # (log length it rests on, ticket, answer)
        self._timers: dict[tuple[str, ...], tuple[int, Any]] = {}
        self._heap: list[tuple[int, int, tuple[str, ...]]] = []
        self._sequence = itertools.count()
        self.timers_set = 0
        self.refuse_records = False  # the next assignment is too large for the log
        self.shard = self._new_shard()

    def _new_shard(self) -> GroupShard:
        return GroupShard(0, self.settings, IMAGE, lambda: str(next(self.ids)))  # type: ignore[arg-type]

    # --- requests ---

    def send(self, message: Any, version: int = 0, client_id: str = "c") -> int:
        """Hand in a client's request; its ticket."""
        return self.submit(ClientRequest(message, version, client_id, "/10.0.0.1"))

    def submit(self, request: Any) -> int:
        """Hand in any request; its ticket."""
        ticket = next(self.tickets)
        self.waiting.add(ticket)
        try:
            outcome = self.shard.handle(request, ticket, self.now_ms)
        except KafkaError as error:
            self._give(ticket, error)
            return ticket
        self._take(outcome)
        return ticket

    def _take(self, outcome: Outcome) -> None:
        if outcome is NOTHING:
            return
        if self.refuse_records and any(getattr(record.value, "members", None) for record in outcome.records):
            self.refuse_records = False
            for ticket, _ in outcome.replies:
                self._give(ticket, KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE))
            if outcome.refused is not None:
                self._take(self.shard.handle(outcome.refused, 0, self.now_ms))
            return
        for key, value, version in outcome.records:
            offset = len(self.log)
            raw = None if value is None else encode_value(value, version)
            self.log.append(Stored(encode_key(key), raw, self.now_ms))
            self.shard.replay(key, value, offset=offset, timestamp_ms=self.now_ms, transaction=None)
        for key, due_ms, event in outcome.timers:
            self.timers_set += 1
            if due_ms is None:
                self._timers.pop(key, None)
            else:
                self._timers[key] = (due_ms, event)
                heapq.heappush(self._heap, (due_ms, next(self._sequence), key))
        for ticket, value in outcome.replies:
            self._give(ticket, value)
        if self.auto:
            self.commit()

    def _give(self, ticket: int, value: Any) -> None:
        assert ticket in self.waiting, f"ticket {ticket} is answered twice, or was never given"
        self.waiting.discard(ticket)
        if len(self.log) == self.committed:
            self.answers[ticket] = value
        else:
            self._held.append((len(self.log), ticket, value))

    def commit(self, count: int | None = None) -> None:
        """The log has made `count` more records sure (None = all)."""
        self.committed = len(self.log) if count is None else min(len(self.log), self.committed + count)
        held, self._held = self._held, []
        for needs, ticket, value in held:
            if needs <= self.committed:
                self.answers[ticket] = value
            else:
                self._held.append((needs, ticket, value))

    def answer(self, ticket: int) -> Any:
        """The answer, which must be there."""
        return self.answers.pop(ticket)

    # --- time ---

    def next_due_ms(self) -> int | None:
        """When the next timer is due."""
        while self._heap:
            due_ms, _, key = self._heap[0]
            if key in self._timers and self._timers[key][0] == due_ms:
                return due_ms
            heapq.heappop(self._heap)
        return None

    def fire(self) -> bool:
        """Fire one timer that is due now; False when there is none."""
        due_ms = self.next_due_ms()
        if due_ms is None or due_ms > self.now_ms:
            return False
        _, _, key = heapq.heappop(self._heap)
        _, event = self._timers.pop(key)
        self._take(self.shard.handle(event, 0, self.now_ms))
        return True

    def advance(self, by_ms: int) -> None:
        """Let time pass, timers fire on their way."""
        end_ms = self.now_ms + by_ms
        while (due_ms := self.next_due_ms()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            while self.fire():
                pass
        self.now_ms = end_ms

    # --- crashes ---

    def crash(self, keep: int | None = None) -> set[int]:
        """The node dies: of the log, `keep` records are left (None = all that are there), never fewer than are sure.

        The shard is rebuilt from the newest record of each key. The tickets that will never be answered.
        """
        length = len(self.log) if keep is None else max(self.committed, min(keep, len(self.log)))
        del self.log[length:]
        self.committed = length
        lost = self.waiting | {ticket for _, ticket, _ in self._held}
        self.waiting = set()
        self._held = []
        self._timers.clear()
        self._heap.clear()
        self.shard = rebuild(self._new_shard(), self.log)
        self._take(self.shard.start(self.now_ms))
        return lost


def rebuild(shard: GroupShard, log: list[Stored]) -> GroupShard:
    """Replay the newest record of each key, as is left after compaction."""
    newest: dict[bytes, tuple[int, Stored]] = {}
    for offset, stored in enumerate(log):
        newest.pop(stored.key, None)
        newest[stored.key] = (offset, stored)
    none: Transaction | None = None
    for offset, stored in newest.values():
        if stored.value is None:
            continue
        key = decode_key(stored.key, GROUP_RECORDS)
        assert key is not None
        value = decode_value(key, stored.value)
        shard.replay(key, value, offset=offset, timestamp_ms=stored.timestamp_ms, transaction=none)
    return shard
