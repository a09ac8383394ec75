"""The model's partitions: batches in segments, idempotence and transactions (KIP-98, KIP-890), what is stable."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from crc32c import crc32c

from pyralog.records.batch import BatchHeader, iterate_records

OUT_OF_ORDER, OLD_EPOCH, WRONG_STATE, FENCED = 45, 47, 48, 52
SEQUENCES = 2**31
SECOND_FROM = 12  # Produce version of clients whose epoch rises with every transaction


@dataclass
class Sent:
    """A batch as the client sends it, and what is wrong with it by itself (0: nothing)."""

    data: bytes | None
    count: int = 1
    error: int = 0
    producer: tuple[int, int, int] | None = None  # id, epoch, first sequence
    timestamp: int = 0
    stored: bytes | None = None  # when it is not stored as sent
    transactional: bool = False


@dataclass
class Stored:
    base: int
    last: int
    data: bytes


@dataclass
class Segment:
    base: int
    batches: list[Stored] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(len(batch.data) for batch in self.batches)


@dataclass
class Producer:
    """`first` is where its open transaction begins (-1: none is open), behind `at` bytes of the log; `known`: the
    coordinator has been asked about that transaction."""

    epoch: int = -1
    last: int = -1
    timestamp: int = -1
    batches: list[tuple[int, int, int, int]] = field(default_factory=list)  # first, last sequence, base, timestamp
    first: int = -1
    at: int = 0
    coordinator: int = -1
    known: bool = False

    def rise(self, epoch: int) -> None:
        if epoch > self.epoch:
            self.epoch, self.last, self.batches = epoch, -1, []


@dataclass
class Attempt:
    """Of a transaction that the coordinator is asked about: no batch overtakes the `lowest` sequence that has come."""

    epoch: int = -1
    lowest: int = SEQUENCES
    verified: bool = False
    second: bool = False

    def rise(self, epoch: int) -> None:
        if epoch > self.epoch:
            self.epoch, self.lowest, self.verified, self.second = epoch, SEQUENCES, False, False


Aborted = tuple[int, int, int, int]  # producer id, first offset, offset of the marker, last stable offset


def marker(base: int, leader_epoch: int, id: int, epoch: int, coordinator: int, commit: bool, timestamp: int) -> bytes:
    """A control batch as Kafka's MemoryRecords.withEndTransactionMarker writes it."""
    key, value = struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, coordinator)
    record = bytes([0, 0, 0, 2 * len(key)]) + key + bytes([2 * len(value)]) + value + b"\0"
    rest = struct.pack(">hiqqqhii", 0x30, 0, timestamp, timestamp, id, epoch, -1, 1) + bytes([2 * len(record)]) + record
    return struct.pack(">qiibI", base, len(rest) + 9, leader_epoch, 2, crc32c(rest)) + rest


@dataclass
class Partition:
    epoch: int
    segment_bytes: int
    min_insync: int = 1
    start: int = 0
    end: int = 0
    segments: list[Segment] = field(default_factory=lambda: [Segment(0)])
    producers: dict[int, Producer] = field(default_factory=dict)
    pending: list[Stored] = field(default_factory=list)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    aborted: list[Aborted] = field(default_factory=list)
    taken: int = 0  # bytes, ever
    stable: int = 0
    stable_at: int = 0  # how many of the taken bytes lie before it

    @property
    def next(self) -> int:
        return self.pending[-1].last + 1 if self.pending else self.end

    # --- produce ---

    def produce(self, sent: Sent, acks: int, version: int) -> tuple[int, int, int]:
        """(error, base offset, append time)."""
        if acks == -1 and self.min_insync > 1:
            return 19, -1, -1
        if sent.error:
            return sent.error, -1, -1
        if sent.producer is not None:
            known = self.sequence(sent)
            if known is None and sent.transactional:
                known = self.transaction(sent, version)
            if isinstance(known, int):
                return known, -1, -1
            if known is not None:
                return 0, known[2], known[3]
            self.note(sent)
        assert sent.data is not None
        base = self.next
        data = sent.stored or sent.data
        data = struct.pack(">q", base) + data[8:12] + struct.pack(">i", self.epoch) + data[16:]
        self.take(Stored(base, base + sent.count - 1, data))
        return 0, base, -1

    def take(self, batch: Stored) -> None:
        self.pending.append(batch)
        self.taken += len(batch.data)

    def sequence(self, sent: Sent) -> int | tuple[int, int, int, int] | None:
        """An error, the batch that this one repeats, or None when it is next."""
        assert sent.producer is not None
        id, epoch, first = sent.producer
        last = (first + sent.count - 1) % SEQUENCES
        known = self.producers.get(id)
        if known is None:
            return None
        if epoch < known.epoch:
            return OLD_EPOCH
        if epoch == known.epoch:
            for batch in known.batches:
                if batch[:2] == (first, last):
                    return batch
        if first != ((known.last + 1) % SEQUENCES if epoch == known.epoch else 0):
            return OUT_OF_ORDER
        return WRONG_STATE if known.first >= 0 and not sent.transactional else None

    def note(self, sent: Sent) -> None:
        assert sent.producer is not None
        id, epoch, first = sent.producer
        last = (first + sent.count - 1) % SEQUENCES
        self.opened(id, epoch, sent.timestamp, self.next if sent.transactional else -1)
        known = self.producers[id]
        known.batches = [*known.batches[-4:], (first, last, self.next, sent.timestamp)]
        known.last = last
        if sent.transactional:
            known.known = True
            self.attempts.pop(id, None)

    def opened(self, id: int, epoch: int, timestamp: int, at: int) -> None:
        """A batch of this producer is appended; at an offset >= 0 it is one in a transaction."""
        known = self.producers.setdefault(id, Producer())
        known.rise(epoch)
        known.timestamp = timestamp
        if at >= 0 and known.first < 0:
            known.first, known.at = at, self.taken

    # --- transactions ---

    def knows(self, id: int, epoch: int) -> bool:
        known, attempt = self.producers.get(id), self.attempts.get(id)
        if known is not None and known.first >= 0 and known.epoch == epoch and known.known:
            return True
        return attempt is not None and attempt.epoch == epoch and attempt.verified

    def asks(self, sent: Sent, version: int) -> bool:
        """Whether the coordinator is asked about the transaction of this batch. Noted of one that is next."""
        assert sent.producer is not None
        id, epoch, first = sent.producer
        if self.knows(id, epoch):
            return False
        verdict = self.sequence(sent)
        if verdict is None:
            attempt = self.attempts.setdefault(id, Attempt())
            attempt.rise(epoch)
            if epoch == attempt.epoch:
                attempt.lowest = min(attempt.lowest, first)
                attempt.second = version >= SECOND_FROM
        return verdict in (None, OUT_OF_ORDER, WRONG_STATE)

    def verify(self, id: int, epoch: int) -> None:
        """The coordinator has this partition in the transaction."""
        attempt = self.attempts.setdefault(id, Attempt())
        attempt.rise(epoch)
        if epoch == attempt.epoch:
            attempt.verified = True

    def transaction(self, sent: Sent, version: int) -> int | None:
        """What is wrong with a batch in a transaction that is next by its sequence."""
        assert sent.producer is not None
        id, epoch, first = sent.producer
        if version >= SECOND_FROM and first != 0 and id not in self.producers:
            return OUT_OF_ORDER
        if not self.knows(id, epoch):
            return WRONG_STATE
        attempt = self.attempts.get(id)
        if attempt is not None and attempt.epoch == epoch and first > attempt.lowest:
            return OUT_OF_ORDER
        return None

    def finish(self, id: int, epoch: int, coordinator: int, commit: bool, timestamp: int) -> int:
        """A marker: 0, or why it is refused."""
        known = self.producers.get(id)
        if known is not None and epoch < known.epoch:
            return OLD_EPOCH
        if known is not None and coordinator < known.coordinator:
            return FENCED
        base = self.next
        self.take(Stored(base, base, marker(base, self.epoch, id, epoch, coordinator, commit, timestamp)))
        self.ended(id, epoch, coordinator, commit, timestamp, base)
        attempt = self.attempts.get(id)
        if attempt is not None and attempt.second and attempt.epoch == epoch:
            attempt.verified = False  # its next transaction may have begun
        else:
            self.attempts.pop(id, None)
        return 0

    def ended(self, id: int, epoch: int, coordinator: int, commit: bool, timestamp: int, at: int) -> None:
        known = self.producers.setdefault(id, Producer())
        known.rise(epoch)
        known.coordinator, known.timestamp, known.known = coordinator, timestamp, False
        first, known.first = known.first, -1
        if first >= 0 and not commit:
            self.aborted.append((id, first, at, min(self.open(), default=at + 1)))

    def open(self) -> list[int]:
        """Where the open transactions begin."""
        return [known.first for known in self.producers.values() if known.first >= 0]

    def settle(self) -> int:
        """Finds the last stable offset of what is written; how many bytes more are stable."""
        holding = min((p for p in self.producers.values() if p.first >= 0), key=lambda p: p.first, default=None)
        before = self.stable_at
        self.stable, self.stable_at = (self.end, self.taken) if holding is None else (holding.first, holding.at)
        self.stable = max(self.stable, self.start)
        return max(0, self.stable_at - before)

    def aborted_in(self, start: int, end: int) -> list[Aborted]:
        """The aborted transactions with a record or their marker in a range, by first offset."""
        return sorted((one for one in self.aborted if one[2] >= start and one[1] < end), key=lambda one: one[1])

    def forget_process(self) -> None:
        """What no file tells: it is gone when the process is."""
        self.attempts.clear()
        for known in self.producers.values():
            known.known = False
            if known.first >= 0:
                known.at = self.taken - self.bytes_from(max(known.first, self.start))
        self.settle()

    def bytes_from(self, offset: int) -> int:
        return sum(len(batch.data) for segment in self.segments for batch in segment.batches if batch.last >= offset)

    def replay(self, batches: Iterable[tuple[BatchHeader, bytes]]) -> None:
        """Learns of producers and transactions what a log says."""
        for header, raw in batches:
            self.end = header.last_offset + 1
            if header.producer_id < 0:
                continue
            id, epoch, timestamp, at = (
                header.producer_id,
                header.producer_epoch,
                header.max_timestamp,
                header.base_offset,
            )
            if header.control:
                (record,) = iterate_records(raw)
                assert record.key is not None
                assert record.value is not None
                commit, coordinator = record.key[3] == 1, struct.unpack(">hi", record.value)[1]
                self.ended(id, epoch, coordinator, commit, timestamp, at)
                continue
            self.opened(id, epoch, timestamp, at if header.transactional else -1)
            self.producers[id].last = (header.base_sequence + header.last_offset_delta) % SEQUENCES
        self.settle()

    # --- the log ---

    def flush(self) -> tuple[int, int]:
        """Writes what is pending, as a cycle does at its end; the bytes written, and how many more are stable."""
        pending, self.pending = self.pending, []
        for batch in pending:
            active = self.segments[-1]
            if active.size and active.size + len(batch.data) > self.segment_bytes:
                self.roll(batch.base)
            self.segments[-1].batches.append(batch)
            self.end = batch.last + 1
        gained = self.settle()
        if pending and self.segments[-1].size + len(pending[-1].data) > self.segment_bytes:
            self.roll(self.end)
        return sum(len(batch.data) for batch in pending), gained

    def roll(self, base: int) -> None:
        if self.segments[-1].batches:
            self.segments.append(Segment(base))

    def move_start(self, offset: int) -> None:
        self.start = max(self.start, offset)
        while len(self.segments) > 1 and self.segments[1].base <= self.start:
            del self.segments[0]
        self.settle()

    def read(self, offset: int, end: int, limit: int, at_least_one: bool) -> tuple[bytes, int]:
        """Whole batches of one segment below `end`, from the one that holds the offset; the offset behind them."""
        for segment in self.segments:
            found = [batch for batch in segment.batches if batch.last >= offset]
            if found:
                break
        else:
            return b"", offset
        out = b""
        for batch in found:
            if batch.base >= end or offset >= end or (len(out) + len(batch.data) > limit and (out or not at_least_one)):
                break
            out += batch.data
            behind = batch.last + 1
        return out, behind if out else offset

    def goes_on_behind(self, offset: int, end: int) -> bool:
        """Whether there is more than the segment of the offset holds: then no fetch waits, as no answer has more."""
        holders = (segment for segment in self.segments if segment.batches and segment.batches[-1].last >= offset)
        return next(holders).batches[-1].last + 1 < end
