"""A slow model of produce, fetch, fetch sessions and transactions over lists of batches: what the plane must answer.

The test plays the coordinator, whom batches that begin a transaction wait for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pyralog.wire.messages import (
    AbortedTransaction,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    FetchResponsePartitionData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from tests.sim.plane_model_log import Aborted, Partition, Sent

COMMITTED = 1


@dataclass
class Item:
    topic: str
    partition: int
    epoch: int
    offset: int
    max_bytes: int
    entry: object = None  # the topic entry of the request it stands in


class Found(NamedTuple):
    """Of one partition of a fetch."""

    error: int
    end: int
    stable: int
    start: int
    data: bytes
    aborted: list[Aborted]


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
    committed: bool
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
    asked: tuple[int, ProduceRequest, list[Sent]] | None = None  # what waits for the coordinator
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
        while connection.queue and connection.waiting is None and connection.asked is None and not connection.dead:
            api, version, message, batches = connection.queue.pop(0)
            if api == 0:
                if self.asks(version, message, batches):
                    connection.asked = version, message, batches
                else:
                    self.produce(connection, version, message, list(batches))
            else:
                if connection.produced:
                    self.flush()  # it sees what it has produced itself, but others' batches only when they are written
                self.fetch(connection, version, message)

    def settle(self, *unblocked: Connection) -> None:
        """The end of the cycle, and of those that follow from it: first all that wake up, then what is behind them and
        behind a request that has been waited for."""
        self.flush()
        behind = list(unblocked)
        while self.woken or behind:
            woken, self.woken = self.woken, []
            for connection in woken:
                waiting = connection.waiting
                if waiting is not None and not connection.dead:
                    self.fetch(connection, waiting.version, waiting.request, again=True)
            for connection in [*behind, *woken]:
                self.serve(connection)
            behind = []
            self.flush()

    def flush(self) -> None:
        """In the order in which partitions got their first batch; fetches wake in the order in which they came."""
        dirty, self.dirty = self.dirty, []
        for key in dirty:
            self.arrived(key, *self.partitions[key].flush())
        for connection in self.connections:
            connection.produced = False

    def arrived(self, key: tuple[str, int], size: float, stable: float) -> None:
        waiting = [c for c in self.connections if c.waiting is not None and c not in self.woken]
        for connection in sorted(waiting, key=lambda one: one.waiting.order):
            for one in connection.waiting.partitions:
                if one == key:
                    connection.waiting.needed -= stable if connection.waiting.committed else size
            if connection.waiting.needed <= 0:
                self.woken.append(connection)

    # --- produce ---

    def keys(self, version: int, request: ProduceRequest) -> list[tuple[str, int]]:
        """The partitions of a request, in its order."""
        return [
            (self.names.get(topic.topic_id, "") if version >= 13 else topic.name, data.index)
            for topic in request.topic_data
            for data in topic.partition_data
        ]

    def asks(self, version: int, request: ProduceRequest, batches: list[Sent]) -> bool:
        """Whether the coordinator has to be asked about a batch of it. Each of them is looked at."""
        if request.transactional_id is None:
            return False
        found = [
            self.partitions[key].asks(sent, version)
            for key, sent in zip(self.keys(version, request), batches, strict=True)
            if key in self.partitions and sent.transactional
        ]
        return any(found)

    def resubmit(self, connection: Connection) -> None:
        """The coordinator has been asked: the request is carried out, whatever it has said."""
        assert connection.asked is not None
        (version, request, batches), connection.asked = connection.asked, None
        self.asks(version, request, batches)
        self.produce(connection, version, request, list(batches))
        self.settle(connection)

    def finish(self, key: tuple[str, int], *marker: int) -> tuple[int, int]:
        """A marker is written: (error, its offset)."""
        partition = self.partitions[key]
        at = partition.next
        error = partition.finish(*marker)
        if error == 0 and key not in self.dirty:
            self.dirty.append(key)
        self.settle()
        return error, -1 if error else at

    def produce(self, connection: Connection, version: int, request: ProduceRequest, batches: list[Sent]) -> None:
        topics = []
        failed = False
        unnamed = request.transactional_id is None and any(
            sent.transactional and key in self.partitions
            for key, sent in zip(self.keys(version, request), batches, strict=True)
        )
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
                elif unnamed:
                    result = 53, -1, -1
                else:
                    before = len(partition.pending)
                    result = partition.produce(sent, request.acks, version)
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
            request.isolation_level == COMMITTED,
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

    def search(self, items: list[Item], request: FetchRequest, *, again: bool) -> tuple[list[Found], int, bool]:
        """What is found for each item; bytes found; whether something ends the wait."""
        found = 0
        failed = False
        results = []
        for item in items:
            partition = self.partitions.get((item.topic, item.partition))
            error, end, stable, start, data = 0, -1, -1, -1, b""
            aborted: list[Aborted] = []
            if partition is None:
                error = 3 if item.topic in self.ids else self.unknown_topic(item)
            else:
                end, stable, start = partition.end, partition.stable, partition.start
                readable = stable if request.isolation_level == COMMITTED else end
                room = min(item.max_bytes, request.max_bytes - found)
                if 0 <= item.epoch < partition.epoch:
                    error = 74
                elif item.epoch > partition.epoch:
                    error = 75
                elif not start <= item.offset <= end:
                    error = 1
                elif room > 0 or found == 0:
                    data, behind = partition.read(item.offset, readable, max(room, 0), found == 0)
                    failed = failed or (bool(data) and partition.goes_on_behind(item.offset, readable))
                    aborted = partition.aborted_in(item.offset, behind) if data else []
            failed = failed or (error != 0 and (again or error not in (3, 100)))
            found += len(data)
            results.append(Found(error, end, stable, start, data, aborted))
        return results, found, failed or all(result.error for result in results)

    def unknown_topic(self, item: Item) -> int:
        return 3 if item.entry.topic else 100

    def answer(self, connection, version, request, items, results, session, session_id, full) -> None:
        topics: list[FetchableTopicResponse] = []
        previous = None
        rotated = session.first if session is not None else 0
        order = list(session.known) if session is not None else []
        for item, (error, end, stable, start, data, aborted) in zip(items, results, strict=True):
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
                    last_stable_offset=stable,
                    log_start_offset=start,
                    aborted_transactions=[
                        AbortedTransaction(producer_id=one[0], first_offset=one[1]) for one in aborted
                    ]
                    if request.isolation_level == COMMITTED
                    else None,
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
        self.arrived(key, float("inf"), float("inf"))
        self.settle()
        return partition
