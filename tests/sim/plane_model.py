"""A slow model of produce, fetch, fetch sessions and idempotence over lists of batches: what the plane must answer."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from pyralog.wire.messages import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    FetchResponsePartitionData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)


@dataclass
class Sent:
    """A batch as the client sends it, and what is wrong with it by itself (0: nothing)."""

    data: bytes | None
    count: int = 1
    error: int = 0
    producer: tuple[int, int, int] | None = None  # id, epoch, first sequence
    timestamp: int = 0
    stored: bytes | None = None  # when it is not stored as sent


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
    epoch: int
    last: int
    batches: list[tuple[int, int, int, int]] = field(default_factory=list)  # first, last sequence, base, timestamp


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

    @property
    def next(self) -> int:
        return self.pending[-1].last + 1 if self.pending else self.end

    # --- produce ---

    def produce(self, sent: Sent, acks: int) -> tuple[int, int, int]:
        """(error, base offset, append time)."""
        if acks == -1 and self.min_insync > 1:
            return 19, -1, -1
        if sent.error:
            return sent.error, -1, -1
        if sent.producer is not None:
            known = self.sequence(sent)
            if isinstance(known, int):
                return known, -1, -1
            if known is not None:
                return 0, known[2], known[3]
        assert sent.data is not None
        base = self.next
        data = sent.stored or sent.data
        data = struct.pack(">q", base) + data[8:12] + struct.pack(">i", self.epoch) + data[16:]
        self.pending.append(Stored(base, base + sent.count - 1, data))
        return 0, base, -1

    def sequence(self, sent: Sent) -> int | tuple[int, int, int, int] | None:
        """An error, the batch that this one repeats, or None when it is next (then it is noted)."""
        assert sent.producer is not None
        id, epoch, first = sent.producer
        last = (first + sent.count - 1) % 2**31
        known = self.producers.get(id)
        if known is not None and epoch < known.epoch:
            return 47
        if known is not None and epoch == known.epoch:
            for batch in known.batches:
                if batch[:2] == (first, last):
                    return batch
            if first != (known.last + 1) % 2**31:
                return 45
        elif known is not None and first != 0:
            return 45
        if known is None or epoch > known.epoch:
            known = self.producers[id] = Producer(epoch, -1)
        known.batches = [*known.batches[-4:], (first, last, self.next, sent.timestamp)]
        known.last = last
        return None

    def flush(self) -> int:
        """Writes what is pending, as a cycle does at its end; the bytes written."""
        pending, self.pending = self.pending, []
        for batch in pending:
            active = self.segments[-1]
            if active.size and active.size + len(batch.data) > self.segment_bytes:
                self.roll(batch.base)
            self.segments[-1].batches.append(batch)
            self.end = batch.last + 1
        if pending and self.segments[-1].size + len(pending[-1].data) > self.segment_bytes:
            self.roll(self.end)
        return sum(len(batch.data) for batch in pending)

    def roll(self, base: int) -> None:
        if self.segments[-1].batches:
            self.segments.append(Segment(base))

    # --- fetch ---

    def move_start(self, offset: int) -> None:
        self.start = max(self.start, offset)
        while len(self.segments) > 1 and self.segments[1].base <= self.start:
            del self.segments[0]

    def read(self, offset: int, limit: int, at_least_one: bool) -> bytes:
        """Whole batches of one segment, from the one that holds the offset."""
        for segment in self.segments:
            found = [batch for batch in segment.batches if batch.last >= offset]
            if found:
                break
        else:
            return b""
        out = b""
        for batch in found:
            if len(out) + len(batch.data) > limit and (out or not at_least_one):
                break
            out += batch.data
        return out

    def goes_on_behind(self, offset: int) -> bool:
        """Whether there is more than the segment of the offset holds: then no fetch waits, as no answer has more."""
        holders = (segment for segment in self.segments if segment.batches and segment.batches[-1].last >= offset)
        return next(holders).batches[-1].last + 1 < self.end


@dataclass
class Item:
    topic: str
    partition: int
    epoch: int
    offset: int
    max_bytes: int
    entry: object = None  # the topic entry of the request it stands in


@dataclass
class Known:
    """A partition of a session: what is fetched, and what the client was told last."""

    item: Item
    told: tuple[int, int] = (-1, -1)
    failed: bool = False


@dataclass(eq=False)
class Session:
    by_id: bool
    epoch: int = 1
    known: dict[tuple[str, int], Known] = field(default_factory=dict)
    first: int = 0


@dataclass
class Waiting:
    """A parked fetch."""

    version: int
    request: FetchRequest
    order: int
    needed: float
    session: int = 0
    partitions: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Answer:
    version: int
    message: ProduceResponse | FetchResponse


@dataclass(eq=False)
class Connection:
    queue: list[tuple[int, int, object, list[Sent]]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    waiting: Waiting | None = None
    dead: bool = False
    produced: bool = False  # something that is not written yet


class Model:
    def __init__(self, names: dict[str, bytes], max_sessions: int) -> None:
        self.ids = names
        self.names = {id: name for name, id in names.items()}
        self.partitions: dict[tuple[str, int], Partition] = {}
        self.sessions: dict[int, Session] = {}
        self.max_sessions = max_sessions
        self.unnamed = -1
        self.orders = 0
        self.dirty: list[tuple[str, int]] = []
        self.woken: list[Connection] = []
        self.connections: list[Connection] = []

    # --- requests ---

    def send(self, connection: Connection, requests: list[tuple[int, int, object, list[Sent]]]) -> None:
        """Requests that arrive together: (api, version, message, batches in its order)."""
        connection.queue += requests
        self.serve(connection)
        self.settle()

    def serve(self, connection: Connection) -> None:
        while connection.queue and connection.waiting is None and not connection.dead:
            api, version, message, batches = connection.queue.pop(0)
            if api == 0:
                self.produce(connection, version, message, list(batches))
            else:
                if connection.produced:
                    self.flush()  # it sees what it has produced itself, but others' batches only when they are written
                self.fetch(connection, version, message)

    def settle(self) -> None:
        """The end of the cycle, and of those that follow from it: first all that wake up, then what is behind them."""
        self.flush()
        while self.woken:
            woken, self.woken = self.woken, []
            for connection in woken:
                waiting = connection.waiting
                if waiting is not None and not connection.dead:
                    self.fetch(connection, waiting.version, waiting.request, again=True)
            for connection in woken:
                self.serve(connection)
            self.flush()

    def flush(self) -> None:
        """In the order in which partitions got their first batch; fetches wake in the order in which they came."""
        dirty, self.dirty = self.dirty, []
        for key in dirty:
            self.arrived(key, self.partitions[key].flush())
        for connection in self.connections:
            connection.produced = False

    def arrived(self, key: tuple[str, int], size: float) -> None:
        waiting = [c for c in self.connections if c.waiting is not None and c not in self.woken]
        for connection in sorted(waiting, key=lambda one: one.waiting.order):
            for one in connection.waiting.partitions:
                if one == key:
                    connection.waiting.needed -= size
            if connection.waiting.needed <= 0:
                self.woken.append(connection)

    # --- produce ---

    def produce(self, connection: Connection, version: int, request: ProduceRequest, batches: list[Sent]) -> None:
        topics = []
        failed = False
        for topic in request.topic_data:
            name = self.names.get(topic.topic_id, "") if version >= 13 else topic.name
            answers = []
            for data in topic.partition_data:
                sent = batches.pop(0)
                partition = self.partitions.get((name, data.index))
                if request.acks not in (-1, 0, 1):
                    result = 21, -1, -1
                elif partition is None:
                    result = 3, -1, -1
                else:
                    before = len(partition.pending)
                    result = partition.produce(sent, request.acks)
                    if len(partition.pending) > before:
                        connection.produced = True
                        if (name, data.index) not in self.dirty:
                            self.dirty.append((name, data.index))
                failed = failed or result[0] != 0
                answers.append(
                    PartitionProduceResponse(
                        index=data.index,
                        error_code=result[0],
                        base_offset=result[1],
                        log_append_time_ms=result[2],
                        log_start_offset=partition.start if partition is not None and result[0] == 0 else -1,
                    )
                )
            topics.append(TopicProduceResponse(name=topic.name, topic_id=topic.topic_id, partition_responses=answers))
        if request.acks != 0:
            connection.answers.append(Answer(version, ProduceResponse(responses=topics)))
        elif failed:
            connection.dead = True

    # --- fetch ---

    def items(self, version: int, request: FetchRequest) -> list[Item]:
        return [
            Item(
                self.names.get(topic.topic_id, topic.topic_id.hex()) if version >= 13 else topic.topic,
                one.partition,
                one.current_leader_epoch if version >= 9 else -1,
                one.fetch_offset,
                one.partition_max_bytes,
                topic,
            )
            for topic in request.topics
            for one in topic.partitions
        ]

    def fetch(self, connection: Connection, version: int, request: FetchRequest, *, again: bool = False) -> None:
        waiting, connection.waiting = connection.waiting, None
        items = self.items(version, request)
        session, error, full = None, 0, True
        session_id = 0
        if again:
            assert waiting is not None
            session_id = waiting.session
            session = self.sessions.get(session_id)
            if session_id and session is None:
                error = 70
            full = session is None or request.session_epoch <= 0
        elif version < 7 or request.session_epoch in (0, -1):
            if version >= 7:
                self.sessions.pop(request.session_id, None)
                if request.session_epoch == 0 and items and len(self.sessions) < self.max_sessions:
                    self.unnamed -= 1  # stands for the id that the engine chooses, until its answer is seen
                    session_id, session = self.unnamed, Session(version >= 13)
                    self.sessions[session_id] = session
                    self.update(session, items)
        else:
            error, session = self.go_on(version, request, items)
            session_id = request.session_id if session is not None else 0
            full = session is None
        if error:
            connection.answers.append(Answer(version, FetchResponse(error_code=error)))
            return
        if session is not None and not full:
            known = list(session.known.values())
            items = [known[(session.first + i) % len(known)].item for i in range(len(known))]
        elif not full:
            items = []
        results, found, failed = self.search(items, request, again=again)
        if found >= request.min_bytes or failed or request.max_wait_ms <= 0 or not items:
            self.answer(connection, version, request, items, results, session, session_id, full)
            return
        self.orders += 1
        connection.waiting = Waiting(
            version,
            request,
            self.orders,
            request.min_bytes - found,
            session_id,
            [key for item in items if (key := (item.topic, item.partition)) in self.partitions],
        )

    def update(self, session: Session, items: list[Item]) -> None:
        for item in items:
            known = session.known.get((item.topic, item.partition))
            if known is None:
                session.known[item.topic, item.partition] = Known(item)
            else:
                known.item = item

    def go_on(self, version: int, request: FetchRequest, items: list[Item]) -> tuple[int, Session | None]:
        session = self.sessions.get(request.session_id)
        if session is None:
            return 70, None
        if session.epoch != request.session_epoch:
            return 71, None
        if session.by_id != (version >= 13):
            return 106, None
        self.update(session, items)
        for topic in request.forgotten_topics_data:
            name = self.names.get(topic.topic_id, topic.topic_id.hex()) if version >= 13 else topic.topic
            for p in topic.partitions:
                session.known.pop((name, p), None)
        session.epoch += 1
        if not session.known:
            del self.sessions[request.session_id]
            return 0, None
        return 0, session

    def search(
        self, items: list[Item], request: FetchRequest, *, again: bool
    ) -> tuple[list[tuple[int, int, int, bytes]], int, bool]:
        """For each item (error, high watermark, log start, records); bytes found; whether something ends the wait."""
        found = 0
        failed = False
        results = []
        for item in items:
            partition = self.partitions.get((item.topic, item.partition))
            error, end, start, data = 0, -1, -1, b""
            if partition is None:
                error = 3 if item.topic in self.ids else self.unknown_topic(item)
            else:
                end, start = partition.end, partition.start
                room = min(item.max_bytes, request.max_bytes - found)
                if 0 <= item.epoch < partition.epoch:
                    error = 74
                elif item.epoch > partition.epoch:
                    error = 75
                elif not start <= item.offset <= end:
                    error = 1
                elif room > 0 or found == 0:
                    data = partition.read(item.offset, max(room, 0), found == 0)
                    failed = failed or (bool(data) and partition.goes_on_behind(item.offset))
            failed = failed or (error != 0 and (again or error not in (3, 100)))
            found += len(data)
            results.append((error, end, start, data))
        return results, found, failed or all(result[0] for result in results)

    def unknown_topic(self, item: Item) -> int:
        return 3 if item.entry.topic else 100

    def answer(self, connection, version, request, items, results, session, session_id, full) -> None:
        topics: list[FetchableTopicResponse] = []
        previous = None
        rotated = session.first if session is not None else 0
        order = list(session.known) if session is not None else []
        for item, (error, end, start, data) in zip(items, results, strict=True):
            if session is not None:
                known = session.known.get((item.topic, item.partition))
                if known is not None:
                    new = data or error or known.failed or known.told != (end, start)
                    if not full and not new:
                        continue
                    known.told = (end, start)
                    known.failed = error != 0
                    if data and not full:
                        rotated = (order.index((item.topic, item.partition)) + 1) % len(order)
            mark = item.entry if full else item.topic
            if not topics or (mark is not previous and mark != previous):
                topics.append(
                    FetchableTopicResponse(
                        topic=item.topic if version < 13 else "",
                        topic_id=self.ids.get(item.topic) or (item.entry.topic_id if version >= 13 else bytes(16)),
                    )
                )
            previous = mark
            topics[-1].partitions = [
                *topics[-1].partitions,
                FetchResponsePartitionData(
                    partition_index=item.partition,
                    error_code=error,
                    high_watermark=end,
                    last_stable_offset=end,
                    log_start_offset=start,
                    aborted_transactions=[] if request.isolation_level == 1 else None,
                    preferred_read_replica=-1,
                    records=data,
                ),
            ]
        if session is not None:
            session.first = rotated
        connection.answers.append(Answer(version, FetchResponse(session_id=session_id, responses=topics)))

    # --- commands ---

    def name_session(self, unnamed: int, id: int) -> None:
        """The engine has chosen this id for a session of ours."""
        assert id > 0
        assert id not in self.sessions
        session = self.sessions.pop(unnamed, None)  # it may have ended meanwhile
        if session is not None:
            self.sessions[id] = session
        for connection in self.connections:
            if connection.waiting is not None and connection.waiting.session == unnamed:
                connection.waiting.session = id

    def remove(self, key: tuple[str, int]) -> Partition:
        partition = self.partitions.pop(key)
        self.arrived(key, float("inf"))
        self.settle()
        return partition
