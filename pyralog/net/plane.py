"""The adapter between the event loop and the data plane: commands as coroutines, events as callbacks."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import socket
import struct
import threading
from collections.abc import Callable, Collection
from functools import partial

from pyralog._speedups.journal import Entry, Outbox
from pyralog._speedups.partition_log import PartitionLog
from pyralog._speedups.plane.delivery import EventKind, Lane
from pyralog._speedups.plane.driver import PlaneEngine
from pyralog._speedups.plane.handle import PartitionHandle
from pyralog.errors import ErrorCode, KafkaError, known_code
from pyralog.model import TopicPartition
from pyralog.net.markers import Markers
from pyralog.net.plane_types import (
    ANONYMOUS,
    DENY_READ,
    DENY_WRITE,
    PERMIT_READ,
    PERMIT_WRITE,
    AbortedTransaction,
    ConnectionInfo,
    Forwarded,
    PartitionSettings,
    PartitionSnapshot,
    PlaneEvents,
    ProducerInfo,
    SegmentInfo,
)
from pyralog.net.rounds import Rounds
from pyralog.net.sockaddr import parse_sockaddr

log = logging.getLogger(__name__)

ThreadStarter = Callable[[str, Callable[[], None]], threading.Thread]

# The commonest kinds of events.
REQUEST, DONE = EventKind.REQUEST, EventKind.DONE

# Forwarded._make without a Python frame: one is made for each request.
_FORWARDED = partial(tuple.__new__, Forwarded)


class Plane:
    """One data plane in front of one event loop. Coroutines raise KafkaError with the plane's error code."""

    def __init__(self, engine: PlaneEngine) -> None:
        self.engine = engine
        self.events = PlaneEvents()
        self._partitions: dict[TopicPartition, PartitionHandle] = {}
        self._waiting: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        self.outbox = Outbox(self)  # where coordinators leave what they have for the log
        self._delivering = False
        self._soon: list[Callable[[], None]] = []
        self._cookies = itertools.count(1)
        self._connections: dict[int, ConnectionInfo] = {}
        self._frames: dict[int, bytes] = {}
        self._principals: dict[str, int] = {ANONYMOUS: 0}
        self._principal_names = [ANONYMOUS]
        self._markers = Markers()
        self._rounds = Rounds(engine, self._partitions, self._markers, self._cookies)
        engine.landed = self._rounds.landed
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- life ---

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver events on this loop from now on."""
        self._loop = loop
        loop.add_reader(self.engine.event_fd, self.deliver)

    def start(
        self, start_thread: Callable[[str, Callable[[], None]], threading.Thread], *, cold_threads: int = 1
    ) -> None:
        """Start the plane thread and its helpers."""
        self._threads.append(start_thread("sync", self.engine.run_sync))
        self._threads.extend(start_thread(f"cold-{i}", self.engine.run_cold) for i in range(cold_threads))
        self._threads.append(start_thread("plane-0", self.engine.run))

    def stop(self) -> None:
        """End the threads and give every log back to its owner; open connections are closed."""
        if self._loop is not None:
            self._loop.remove_reader(self.engine.event_fd)
            self._loop = None
        self.engine.stop()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self.engine.close()
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()
        self._rounds.close()
        self._partitions.clear()

    # --- events ---

    def deliver(self) -> None:
        """Take all events of the plane and hand each to whoever waits for it; then what they have put off.
        The plane is woken once, for all that was asked of it meanwhile.
        """
        self.engine.cork()
        self._delivering = True
        try:
            self._deliver()
            while self._soon:
                soon, self._soon = self._soon, []
                for callback in soon:
                    callback()
        finally:
            self._delivering = False
            self.engine.uncork()

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back when the events at hand have been delivered; in the next turn of the loop outside of that."""
        if self._delivering:
            self._soon.append(callback)
        else:
            asyncio.get_running_loop().call_soon(callback)

    def later(self, ms: int, callback: Callable[[], None]) -> None:
        """Call back after so long."""
        asyncio.get_running_loop().call_later(ms / 1000, callback)

    def _deliver(self) -> None:
        frames, connections, request = self._frames, self._connections, self.events.request
        for kind, handle, token, data, a, b, cookie in self.engine.events():
            if kind == REQUEST:
                frames[token] = data
                request(_FORWARDED((token, data, connections[a], b)))
            elif kind == DONE:
                self._done(cookie, a, data)
            elif kind == EventKind.CONNECTED:
                peer, local = parse_sockaddr(data[:28]), parse_sockaddr(data[28:])
                self._connections[a] = ConnectionInfo(a, *peer, *local, self._principal_names[b])
            elif kind == EventKind.GONE:
                self._connections.pop(a, None)
            elif kind == EventKind.CLOSED:
                self._frames.pop(token, None)
                self.events.closed(token)
            elif kind == EventKind.HANDOVER:
                self.events.handover(socket.socket(fileno=a), data)
            elif kind == EventKind.FAILED:
                self.events.failed(a, handle.key if handle is not None else None)
            elif handle is not None and kind == EventKind.ROLLED:
                self.events.rolled(handle.key, a)
            elif handle is not None and kind == EventKind.DETACHED:
                self.events.detached(handle.key, [base for (base,) in struct.iter_unpack("q", data)])

    def _done(self, cookie: int, result: int, data: bytes) -> None:
        future = self._waiting.pop(cookie, None)
        if future is None or future.done():
            return
        if result < 0:
            future.set_exception(KafkaError(known_code(-result), "refused by the data plane"))
        else:
            future.set_result((result, data))

    def _wait(self) -> tuple[int, asyncio.Future[tuple[int, bytes]]]:
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        cookie = next(self._cookies)
        self._waiting[cookie] = future
        return cookie, future

    # --- partitions ---

    def handle(self, tp: TopicPartition) -> PartitionHandle:
        """The partition's handle; KafkaError(UNKNOWN_TOPIC_OR_PARTITION) when it is not hosted here."""
        found = self._partitions.get(tp)
        if found is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{tp.topic}-{tp.partition} is not hosted here")
        return found

    def partitions(self) -> Collection[TopicPartition]:
        """What is hosted here."""
        return self._partitions.keys()

    def snapshot(self, tp: TopicPartition) -> PartitionSnapshot | None:
        """Offsets as of now, or None when the partition is not hosted here."""
        found = self._partitions.get(tp)
        return PartitionSnapshot(*found.snapshot()) if found is not None else None

    async def add_topic_partition(
        self, tp: TopicPartition, topic_id: bytes, log: PartitionLog, leader_epoch: int, settings: PartitionSettings
    ) -> None:
        """Serve the partition from this log, which is the plane's until remove_partition."""
        cookie, future = self._wait()
        handle = self.engine.add_partition(
            tp, tp.topic.encode(), topic_id, tp.partition, log, leader_epoch, dataclasses.asdict(settings), cookie
        )
        self._partitions[tp] = handle
        await future

    async def remove_partition(self, tp: TopicPartition) -> PartitionLog:
        """Stop serving it; returns its log once nothing in the plane refers to it any more."""
        handle = self.handle(tp)
        cookie, future = self._wait()
        del self._partitions[tp]
        self.engine.remove_partition(handle, cookie)
        await future
        self.engine.forget_partition(handle)
        return handle.log

    def takes_records(self, tp: TopicPartition) -> bool:
        """Whether records can be appended to it: it is served here, and neither it nor the log directory has failed."""
        return (found := self.snapshot(tp)) is not None and not found.failed and not self.engine.failure

    async def configure(self, tp: TopicPartition, settings: PartitionSettings) -> None:
        """Change the settings from the next cycle on."""
        cookie, future = self._wait()
        self.engine.configure(self.handle(tp), dataclasses.asdict(settings), cookie)
        await future

    async def lead(self, tp: TopicPartition, leader_epoch: int) -> None:
        """Lead it in a later epoch."""
        cookie, future = self._wait()
        self.engine.lead(self.handle(tp), leader_epoch, cookie)
        await future

    async def move_log_start(self, tp: TopicPartition, offset: int) -> int:
        """Raise the log start (never lowers it); returns it. OFFSET_OUT_OF_RANGE above the high watermark."""
        cookie, future = self._wait()
        self.engine.move_log_start(self.handle(tp), offset, cookie)
        return (await future)[0]

    async def segments(self, tp: TopicPartition) -> list[SegmentInfo]:
        """All segments, oldest first; the last one is active."""
        cookie, future = self._wait()
        self.engine.segments(self.handle(tp), cookie)
        return [SegmentInfo(*row) for row in struct.iter_unpack("6q", (await future)[1])]

    async def locate_timestamp(self, tp: TopicPartition, timestamp: int) -> tuple[int, int, int] | None:
        """(Segment base offset, position, length) to scan for the first record at or after it; None without one."""
        cookie, future = self._wait()
        self.engine.locate_timestamp(self.handle(tp), timestamp, cookie)
        found, data = await future
        return struct.unpack("3q", data) if found else None

    async def producers(self, tp: TopicPartition) -> list[ProducerInfo]:
        """The idempotent producers that the partition remembers."""
        cookie, future = self._wait()
        self.engine.producers(self.handle(tp), cookie)
        return [ProducerInfo(*row) for row in struct.iter_unpack("6q", (await future)[1])]

    async def aborted(self, tp: TopicPartition, start: int, end: int) -> list[AbortedTransaction]:
        """Aborted transactions with records in [start, end), by first offset."""
        cookie, future = self._wait()
        self.engine.aborted(self.handle(tp), start, end, cookie)
        return [AbortedTransaction(*row) for row in struct.iter_unpack("4q", (await future)[1])]

    async def expire_producers(self, tp: TopicPartition, not_after_ms: int) -> int:
        """Forget producers whose last batch is older; returns how many."""
        cookie, future = self._wait()
        self.engine.expire_producers(self.handle(tp), not_after_ms, cookie)
        return (await future)[0]

    async def roll(self, tp: TopicPartition) -> None:
        """Close the active segment and begin another."""
        cookie, future = self._wait()
        self.engine.roll(self.handle(tp), cookie)
        await future

    async def swap_segments(self, tp: TopicPartition, swap: bytes) -> None:
        """As storage.compaction packs it; INVALID_REQUEST when they have changed, KAFKA_STORAGE_ERROR for its files."""
        cookie, future = self._wait()
        self.engine.swap_segments(self.handle(tp), swap, cookie)
        await future

    async def append(self, tp: TopicPartition, batch: bytes) -> int:
        """Append a valid record batch; its base offset once it is written (and synced, where acks wait for that)."""
        handle = self.handle(tp)
        cookie, future = self._wait()
        self.engine.append(handle, batch, cookie)
        return (await future)[0]

    def append_round(self, entries: list[Entry]) -> None:
        """Append the batches of these, answer who waits for each; then `outbox.appended` hears where they are."""
        self._rounds.append(entries, self.outbox)

    # --- transactions ---

    def start_marker(
        self,
        tp: TopicPartition,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        *,
        commit: bool,
        timestamp_ms: int,
    ) -> asyncio.Future[tuple[int, bytes]]:
        """End the producer's transaction in a partition; what is issued first is appended first. The first of the
        result is the marker's offset. KafkaError: INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED.
        A marker for a producer without a transaction is appended all the same. Its epoch becomes the producer's.
        """
        handle = self.handle(tp)
        cookie, future = self._wait()
        self._markers.issue(tp, producer_id)
        self.engine.write_marker(handle, producer_id, producer_epoch, coordinator_epoch, commit, timestamp_ms, cookie)
        return future

    def verification(self) -> int:
        """A guard for verify_transaction, of any producer and partition: take it before the coordinator is asked."""
        return self._markers.number

    def verify_transaction(
        self, tp: TopicPartition, producer_id: int, epoch: int, guard: int, *, principal: str
    ) -> bool:
        """The coordinator has this partition in the producer's transaction: batches of it may come (KIP-890).

        False when a marker of the producer was issued since the guard was taken: it may have ended that transaction.
        """
        if self._markers.since(tp, producer_id, guard):
            return False
        self.engine.verify_transaction(self.handle(tp), producer_id, epoch, self.principal_id(principal))
        return True

    def traffic(self, tp: TopicPartition) -> tuple[int, int, int, int, int, int]:
        """(bytes in, bytes out, records in, batches in, producers, records out) since the partition was added."""
        return self.handle(tp).traffic()

    # --- requests ---

    def principal_id(self, principal: str) -> int:
        """The plane's number of a principal."""
        if principal not in self._principals:
            self._principals[principal] = len(self._principal_names)
            self._principal_names.append(principal)
        return self._principals[principal]

    def permit(self, principal: str, topic: str, *, read: bool, write: bool | None) -> None:
        """Let the plane decide by itself from now on, until revoke_permits; None leaves that kind to Python."""
        bits = PERMIT_READ if read else DENY_READ
        if write is not None:
            bits |= PERMIT_WRITE if write else DENY_WRITE
        self.engine.permit(self.principal_id(principal), topic.encode(), bits)

    def revoke_permits(self) -> None:
        """Forget all permits: ACLs have changed."""
        self.engine.revoke_permits()

    def resubmit(self, token: int, frame: bytes | None = None) -> None:
        """Run the request (or this one instead) again; what the plane still does not know is answered as unknown."""
        held = self._frames.pop(token, None)
        if frame is None:
            frame = held
        if frame is not None:
            self.engine.resubmit(token, frame)

    def reply(self, token: int, frame: bytes | None) -> None:
        """Answer a forwarded request with framed bytes; b"" sends nothing and goes on, None closes the connection."""
        self._frames.pop(token, None)
        if frame is None:
            self.engine.close_connection(token)
        else:
            self.engine.reply(token, frame, False)

    def connection(self, connection: int) -> ConnectionInfo | None:
        """The connection of this number, while it is open."""
        return self._connections.get(connection)

    def take_with(self, lane: Lane) -> None:
        """Offer requests of its API to this lane before they become events."""
        self.engine.lanes.append(lane)

    def close(self, token: int) -> None:
        """Close the connection of a forwarded request without an answer."""
        self.reply(token, None)

    def install_answer(self, api_key: int, version: int, body: bytes) -> None:
        """The plane serves this body by itself from now on."""
        self.engine.install_answer(api_key, version, body)

    # --- listening ---

    async def listen(self, listener: socket.socket) -> None:
        """Accept client connections on a listening socket, which stays the caller's."""
        listener.setblocking(False)
        cookie, future = self._wait()
        self.engine.listen(listener.fileno(), cookie)
        await future

    async def drain(self) -> int:
        """Accept no more and answer what waits; returns how many connections are open."""
        cookie, future = self._wait()
        self.engine.drain(cookie)
        return (await future)[0]
