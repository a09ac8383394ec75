"""The adapter between event loop and plane, with the real threads: commands as coroutines, events as callbacks."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from pathlib import Path

import pytest

from pyralog._speedups.fileops import Files
from pyralog._speedups.plane.driver import PlaneEngine
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.net.plane import Plane
from pyralog.net.plane_types import ANONYMOUS, ConnectionInfo, PartitionSettings
from pyralog.net.sockaddr import parse_sockaddr
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import close_partition, open_partition
from pyralog.wire.headers import frame_request
from pyralog.wire.protocol import encode_request
from tests.speedups.plane_kit import (
    FETCH,
    PRODUCE,
    SETTINGS,
    batch,
    decode_answer,
    fetch_request,
    produce_request,
    records_of,
)

TOPIC = TopicPartition("t", 0)
ID = bytes(15) + b"\1"
SECONDS = 10


def open_log(directory: Path):
    return open_partition(directory, config=LogConfig(), now_ms=1)


def thread_of(name: str, body) -> threading.Thread:
    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    return thread


class Node:
    """A plane with its threads and a listener."""

    def __init__(self, directory: Path, **limits: object) -> None:
        self.directory = directory
        self.plane = Plane(PlaneEngine(Files(), **limits))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.forwarded: asyncio.Queue = asyncio.Queue()
        self.closed: asyncio.Queue = asyncio.Queue()
        self.plane.events.request = self.forwarded.put_nowait
        self.plane.events.closed = self.closed.put_nowait

    async def start(self) -> None:
        self.plane.attach(asyncio.get_running_loop())
        self.plane.start(thread_of)
        await self.plane.listen(self.listener)

    async def add(self, tp: TopicPartition = TOPIC, **settings: object) -> None:
        log = open_log(self.directory / f"{tp.topic}-{tp.partition}")
        await self.plane.add_topic_partition(tp, ID, log, 3, PartitionSettings(**{**SETTINGS, **settings}))

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection(*self.listener.getsockname()))


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, api: int, version: int, message: object, correlation: int = 1) -> None:
        self.writer.write(frame_request(api, version, correlation, "x", encode_request(api, version, message)))

    async def frame(self) -> bytes:
        size = int.from_bytes(await asyncio.wait_for(self.reader.readexactly(4), SECONDS), "big")
        return await asyncio.wait_for(self.reader.readexactly(size), SECONDS)

    async def ask(self, api: int, version: int, message: object) -> object:
        self.send(api, version, message)
        return decode_answer(api, version, await self.frame())[1]

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@pytest.fixture
async def nodes(tmp_path):
    made = []
    clients = []

    async def make(**limits):
        node = Node(tmp_path, **limits)
        made.append(node)
        await node.start()
        connect = node.connect

        async def remembered():
            clients.append(await connect())
            return clients[-1]

        node.connect = remembered
        return node

    yield make
    for client in clients:
        await client.close()
    for node in made:
        node.plane.stop()
        node.listener.close()


@pytest.fixture
async def node(nodes):
    return await nodes()


async def test_produce_and_fetch_through_the_threads(node):
    await node.add()
    node.plane.permit(ANONYMOUS, "t", read=True, write=True)
    client, waiting = await node.connect(), await node.connect()
    waiting.send(FETCH, 12, fetch_request({"t": {0: 0}}, max_wait_ms=60_000))
    answer = await client.ask(PRODUCE, 9, produce_request({"t": {0: batch(2)}}))
    assert answer.responses[0].partition_responses[0].base_offset == 0
    _, fetched = decode_answer(FETCH, 12, await waiting.frame())
    assert records_of(fetched.responses[0].partitions[0].records) == [(0, b"value"), (1, b"value")]
    found = node.plane.snapshot(TOPIC)
    assert (found.leader_epoch, found.log_end, found.high_watermark, found.failed) == (3, 2, 2, False)
    assert node.plane.traffic(TOPIC)[2:5] == (2, 1, 0)


async def test_sync_on_write_through_the_threads(nodes):
    node = await nodes(sync_on_write=True)
    await node.add()
    node.plane.permit(ANONYMOUS, "t", read=True, write=True)
    clients = [await node.connect() for _ in range(8)]
    for i in range(5):
        for client in clients:
            client.send(PRODUCE, 9, produce_request({"t": {0: batch()}}), i)
    for client in clients:
        for i in range(5):
            correlation, answer = decode_answer(PRODUCE, 9, await client.frame())
            assert correlation == i
            assert answer.responses[0].partition_responses[0].error_code == 0
    assert node.plane.snapshot(TOPIC).synced == 40


async def test_a_forwarded_request_is_answered_resubmitted_or_refused(node):
    await node.add()
    client = await node.connect()
    client.send(PRODUCE, 9, produce_request({"t": {0: batch()}}), 5)
    forwarded = await asyncio.wait_for(node.forwarded.get(), SECONDS)
    assert forwarded.reason == 1
    connection = forwarded.connection
    assert isinstance(connection, ConnectionInfo)
    assert (connection.peer_host, connection.principal) == ("127.0.0.1", ANONYMOUS)
    assert (connection.peer_port, connection.local_port) == (
        client.writer.get_extra_info("sockname")[1],
        node.listener.getsockname()[1],
    )
    node.plane.permit(ANONYMOUS, "t", read=True, write=True)
    node.plane.resubmit(forwarded.token)
    correlation, answer = decode_answer(PRODUCE, 9, await client.frame())
    assert (correlation, answer.responses[0].partition_responses[0].base_offset) == (5, 0)
    # A second resubmission and a late reply of the same token do nothing.
    node.plane.resubmit(forwarded.token)
    node.plane.reply(forwarded.token, b"\0\0\0\4late")
    client.writer.write(frame_request(3, 1, 6, "x", b"\0\0\0\0"))
    forwarded = await asyncio.wait_for(node.forwarded.get(), SECONDS)
    node.plane.reply(forwarded.token, b"\0\0\0\4good")
    assert await client.frame() == b"good"
    client.writer.write(frame_request(3, 1, 7, "x", b"\0\0\0\0"))
    forwarded = await asyncio.wait_for(node.forwarded.get(), SECONDS)
    node.plane.close(forwarded.token)
    assert await asyncio.wait_for(client.reader.read(), SECONDS) == b""


async def test_a_client_that_leaves_is_told_of(node):
    client = await node.connect()
    client.writer.write(frame_request(3, 1, 6, "x", b"\0\0\0\0"))
    forwarded = await asyncio.wait_for(node.forwarded.get(), SECONDS)
    # Reset, as when its process dies. One that only stops sending may still wait for its answer.
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()
    assert await asyncio.wait_for(node.closed.get(), SECONDS) == forwarded.token


async def test_commands_of_a_partition(node):
    with pytest.raises(KafkaError) as caught:
        await node.plane.segments(TOPIC)
    assert caught.value.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert node.plane.snapshot(TOPIC) is None
    await node.add()
    assert list(node.plane.partitions()) == [TOPIC]
    rolled: list[tuple[TopicPartition, int]] = []
    detached: list[tuple[TopicPartition, list[int]]] = []
    node.plane.events.rolled = lambda tp, base: rolled.append((tp, base))
    node.plane.events.detached = lambda tp, bases: detached.append((tp, bases))
    assert await node.plane.append(TOPIC, batch(3, timestamp=100, producer_id=8, epoch=0, sequence=0)) == 0
    await node.plane.roll(TOPIC)
    assert await node.plane.append(TOPIC, batch(2, timestamp=200)) == 3
    first, second = await node.plane.segments(TOPIC)
    assert (first.base_offset, first.next_offset, second.base_offset, second.next_offset) == (0, 3, 3, 5)
    assert (first.max_timestamp, second.max_timestamp) == (102, 201)
    assert rolled == [(TOPIC, 3)]
    assert await node.plane.locate_timestamp(TOPIC, 150) == (3, 0, second.size_bytes)
    assert await node.plane.locate_timestamp(TOPIC, 999) is None
    assert await node.plane.producers(TOPIC) == []  # what Python appends is not checked for sequences
    assert await node.plane.move_log_start(TOPIC, 4) == 4
    assert detached == [(TOPIC, [0])]
    with pytest.raises(KafkaError) as caught:
        await node.plane.move_log_start(TOPIC, 6)
    assert caught.value.code == ErrorCode.OFFSET_OUT_OF_RANGE
    with pytest.raises(KafkaError) as caught:
        await node.plane.append(TOPIC, b"no batch")
    assert caught.value.code == ErrorCode.CORRUPT_MESSAGE
    await node.plane.lead(TOPIC, 9)
    with pytest.raises(KafkaError) as caught:
        await node.plane.lead(TOPIC, 8)
    assert caught.value.code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert node.plane.snapshot(TOPIC).leader_epoch == 9
    await node.plane.configure(TOPIC, PartitionSettings(**{**SETTINGS, "max_message_bytes": 10}))
    log = await node.plane.remove_partition(TOPIC)
    assert log.log_end == 5
    close_partition(log)
    assert list(node.plane.partitions()) == []


async def test_idempotent_producers(node):
    await node.add()
    node.plane.permit(ANONYMOUS, "t", read=True, write=True)
    client = await node.connect()
    message = produce_request({"t": {0: batch(3, timestamp=100, producer_id=8, epoch=1, sequence=7)}})
    await client.ask(PRODUCE, 9, message)
    (found,) = await node.plane.producers(TOPIC)
    assert (found.producer_id, found.epoch, found.last_sequence, found.last_timestamp) == (8, 1, 9, 102)
    assert await node.plane.expire_producers(TOPIC, 0) == 0
    assert await node.plane.expire_producers(TOPIC, 1 << 50) == 1


async def test_permits_can_be_taken_back(node):
    await node.add()
    node.plane.permit(ANONYMOUS, "t", read=False, write=True)
    client = await node.connect()
    fetched = await client.ask(FETCH, 12, fetch_request({"t": {0: 0}}))
    assert fetched.responses[0].partitions[0].error_code == 29
    produced = await client.ask(PRODUCE, 9, produce_request({"t": {0: batch()}}))
    assert produced.responses[0].partition_responses[0].error_code == 0
    node.plane.revoke_permits()
    client.send(PRODUCE, 9, produce_request({"t": {0: batch()}}))
    assert (await asyncio.wait_for(node.forwarded.get(), SECONDS)).reason == 1


async def test_static_answers_and_hand_over(node):
    node.plane.install_answer(18, 3, b"body")
    taken = asyncio.get_running_loop().create_future()
    node.plane.events.handover = lambda sock, data: taken.set_result((sock, data))
    client, web = await node.connect(), await node.connect()
    client.writer.write(frame_request(18, 3, 9, "x", b"\0\0\0"))
    assert await client.frame() == b"\0\0\0\x09body"
    web.writer.write(b"GET /health HTTP/1.1\r\n\r\n")
    sock, data = await asyncio.wait_for(taken, SECONDS)
    assert data == b"GET /health HTTP/1.1\r\n\r\n"
    with sock:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        assert await asyncio.wait_for(web.reader.readline(), SECONDS) == b"HTTP/1.1 200 OK\r\n"


async def test_a_failed_disk_is_told(tmp_path):
    from pyralog._speedups.faultfiles import FaultFiles

    files = FaultFiles()
    plane = Plane(PlaneEngine(files))
    failed = asyncio.get_running_loop().create_future()
    plane.events.failed = lambda number, tp: failed.set_result((number, tp))
    plane.attach(asyncio.get_running_loop())
    plane.start(thread_of)
    try:
        log = open_partition(tmp_path / "t-0", config=LogConfig(), now_ms=1, files=files)
        await plane.add_topic_partition(TOPIC, ID, log, 0, PartitionSettings(**SETTINGS))
        files.fail("write", errno=28, suffix=".log")
        with pytest.raises(KafkaError) as caught:
            await plane.append(TOPIC, batch())
        assert caught.value.code == ErrorCode.KAFKA_STORAGE_ERROR
        assert await asyncio.wait_for(failed, SECONDS) == (28, TOPIC)
    finally:
        plane.stop()


async def test_draining(node):
    await node.add()
    node.plane.permit(ANONYMOUS, "t", read=True, write=True)
    client = await node.connect()
    client.send(FETCH, 12, fetch_request({"t": {0: 0}}, max_wait_ms=60_000))
    async with asyncio.timeout(SECONDS):
        while node.plane.engine.counters()["parked"] == 0:
            await asyncio.sleep(0.001)
    assert await node.plane.drain() == 1
    assert decode_answer(FETCH, 12, await client.frame())[1].responses[0].partitions[0].error_code == 0


async def test_stopping_cancels_who_still_waits(tmp_path):
    node = Node(tmp_path)
    await node.start()
    await node.add()
    node.plane.stop()
    node.listener.close()
    log = open_log(tmp_path / "t-0")
    assert log.log_end == 0
    with pytest.raises(KafkaError):
        await node.plane.append(TOPIC, batch())


def test_addresses():
    four = b"\2\0" + (9092).to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(20)
    six = b"\x0a\0" + (1).to_bytes(2, "big") + bytes(4) + bytes(15) + b"\1" + bytes(4)
    mapped = b"\x0a\0" + (1).to_bytes(2, "big") + bytes(4) + bytes(10) + b"\xff\xff\x0a\0\0\1" + bytes(4)
    assert parse_sockaddr(four) == ("127.0.0.1", 9092)
    assert parse_sockaddr(six) == ("::1", 1)
    assert parse_sockaddr(mapped) == ("10.0.0.1", 1)
    assert parse_sockaddr(bytes(28)) == ("", 0)
