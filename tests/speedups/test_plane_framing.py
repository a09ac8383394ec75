"""Framing without sockets: every split of a stream gives the same answers; lengths that lie; cost of a connection."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.speedups.plane_kit import (
    API_VERSIONS,
    FETCH,
    PRODUCE,
    Rig,
    batch,
    fetch_request,
    frame_request,
    produce_request,
    split_frames,
)

METADATA = 3


def stream(rig: Rig) -> bytes:
    """Requests of every kind that the plane answers by itself."""
    client = rig.connect()
    return b"".join(
        (
            client.frame(PRODUCE, 3, produce_request({"t": {0: batch(2, value=b"a")}})),
            frame_request(API_VERSIONS, 0, 77, "x", b""),
            client.frame(PRODUCE, 9, produce_request({"t": {0: batch(value=b"b")}}, acks=0)),
            client.frame(FETCH, 4, fetch_request({"t": {0: 0}})),
            client.frame(PRODUCE, 9, produce_request({"t": {0: None, 7: batch()}})),
            client.frame(FETCH, 12, fetch_request({"t": {0: 2}}, session=(0, -1))),
        )
    )


def rig_for_stream(directory: Path) -> Rig:
    rig = Rig(directory)
    rig.topic()
    rig.engine.install_answer(API_VERSIONS, 0, b"static body")
    return rig


def output_of(directory: Path, pieces: list[bytes]) -> bytes:
    rig = rig_for_stream(directory)
    client = rig.connect()
    out = b""
    for piece in pieces:
        client.raw(piece)
        out += rig.engine.take_output(client.id)
    assert rig.counter("buffered_bytes") == 0
    rig.close()
    return out


def test_every_split_of_a_stream_gives_the_same_answers(tmp_path):
    rig = rig_for_stream(tmp_path / "first")
    data = stream(rig)
    rig.close()
    whole = output_of(tmp_path / "whole", [data])
    assert len(split_frames(whole)) == 5
    assert output_of(tmp_path / "bytes", [data[i : i + 1] for i in range(len(data))]) == whole
    for at in range(1, len(data)):
        assert output_of(tmp_path / str(at), [data[:at], data[at:]]) == whole, at


@pytest.fixture
def client(rig):
    rig.topic()
    return rig.connect()


BAD_LENGTHS = [-(2**31), -1, 0, 7, 104857600 + 1, 2**31 - 1]


@pytest.mark.parametrize("length", BAD_LENGTHS)
def test_a_length_that_is_none_closes_the_connection(client, length):
    client.raw(struct.pack(">i", length) + bytes(20))
    assert not client.alive
    assert client.rig.counter("protocol_errors") == 1
    assert client.rig.counter("buffered_bytes") == 0


@pytest.mark.parametrize("length", BAD_LENGTHS)
def test_a_bad_length_after_good_requests(client, length):
    client.produce(batch())
    client.raw(struct.pack(">i", length) + bytes(20))
    assert not client.alive
    assert client.rig.end() == 1


@pytest.mark.parametrize("length", BAD_LENGTHS)
def test_a_bad_length_behind_a_request_that_waits(rig, length):
    """It is found out when its turn comes, and buys no memory before."""
    client = rig.connect()
    client.send(METADATA, 9, _metadata())
    client.raw(struct.pack(">i", length) + bytes(100))
    assert client.alive
    assert rig.counter("buffered_bytes") < 10_000
    (forwarded,) = rig.forwarded()
    rig.engine.reply(forwarded.token, b"\0\0\0\4abcd", False)
    rig.turn()
    assert not client.alive
    assert rig.counter("buffered_bytes") == 0


def _metadata():
    from pyralog.wire.messages import MetadataRequest

    return MetadataRequest(topics=None)


def test_the_greatest_length_is_only_waited_for(client):
    client.raw(struct.pack(">i", 104857600) + bytes(10))
    assert client.alive
    assert client.rig.counter("buffered_bytes") <= 1 << 20
    client.close()
    assert client.rig.counter("buffered_bytes") == 0


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"POST /x", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2"])
def test_what_is_not_kafka_has_nowhere_to_go_without_a_socket(client, first):
    client.raw(first)
    assert not client.alive


@pytest.mark.parametrize("api", [PRODUCE, FETCH])
@pytest.mark.parametrize("version", [9, 12, 13])
def test_a_body_cut_short_closes_the_connection(rig, api, version):
    rig.topic()
    key = "t" if version < 13 else rig.ids["t"]
    if api == PRODUCE and version > 9:
        version = {12: 9, 13: 13}[version]
    message = produce_request({"t": {0: batch()}}, by_id=rig.ids) if api == PRODUCE else fetch_request({key: {0: 0}})
    whole = rig.connect().frame(api, version, message)[4:]
    for size in range(8, len(whole)):
        client = rig.connect()
        client.raw(struct.pack(">i", size) + whole[:size])
        assert not client.alive, size
    assert rig.end() == 0


def test_trailing_bytes_are_ignored(client):
    whole = client.frame(PRODUCE, 9, produce_request({"t": {0: batch()}}))[4:]
    client.raw(struct.pack(">i", len(whole) + 9) + whole + bytes(9))
    assert len(client.take()) == 1
    assert client.rig.end() == 1


def test_unknown_tags_are_skipped(client):
    whole = client.frame(PRODUCE, 9, produce_request({"t": {0: batch()}}))[4:]
    assert whole[-1] == 0
    whole = whole[:-1] + b"\x02\x07\x03abc\x07\x00"  # two tagged fields of one number
    client.raw(struct.pack(">i", len(whole)) + whole)
    assert len(client.take()) == 1


@pytest.mark.parametrize("count", [b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x10", b"\xc1\x84\x3d\x00"])
def test_trap_7_counts_that_lie(client, count):
    """2^32-2, a varint of 33 bits, 999,999 of two bytes each."""
    head = struct.pack(">hhih", PRODUCE, 9, 1, -1) + b"\0" + b"\0" + struct.pack(">hi", 1, 1000)
    frame = head + count + bytes(50)
    client.raw(struct.pack(">i", len(frame)) + frame)
    assert not client.alive


def test_unserved_versions_and_apis_are_forwarded(rig):
    rig.topic()
    for api, version in (
        (PRODUCE, 2),
        (PRODUCE, 14),
        (PRODUCE, -1),
        (FETCH, 3),
        (FETCH, 19),
        (99, 0),
        (-5, 0),
        (18, 3),
    ):
        client = rig.connect()
        client.raw(
            frame_request(api, version, 1, "x", bytes(30)) if api != 18 else frame_request(18, 3, 1, "x", b"\0\0\0")
        )
        (forwarded,) = rig.forwarded()
        assert forwarded.reason == 0
        assert struct.unpack(">hh", forwarded.frame[:4]) == (api, version)


def test_answers_of_python_queue_behind_those_of_the_plane(rig):
    rig.topic()
    client = rig.connect()
    client.send(PRODUCE, 9, produce_request({"t": {0: batch()}}))
    client.raw(frame_request(METADATA, 9, 500, "x", b"\0\0\0\0"))
    client.send(PRODUCE, 9, produce_request({"t": {0: batch()}}))
    (forwarded,) = rig.forwarded()
    rig.engine.reply(forwarded.token, struct.pack(">ii", 4, 500), False)
    rig.turn()
    frames = split_frames(rig.engine.take_output(client.id))
    assert [int.from_bytes(frame[:4], "big") for frame in frames][1] == 500
    assert len(frames) == 3


def test_replies_to_connections_that_are_gone_are_dropped(rig):
    client = rig.connect()
    client.raw(frame_request(METADATA, 9, 1, "x", b"\0\0\0\0"))
    (forwarded,) = rig.forwarded()
    client.close()
    assert [event[2] for event in rig.events(7)] == [forwarded.token]
    assert [event[4] for event in rig.events(9)] == [client.id]
    again = rig.connect()  # takes the place of the other
    rig.engine.reply(forwarded.token, b"\0\0\0\4abcd", False)
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    rig.engine.close_connection(forwarded.token)
    rig.turn()
    assert again.alive
    assert again.pending == b""
    assert rig.counter("commands_dropped") == 2


def test_a_reply_can_end_the_connection(rig):
    client = rig.connect()
    client.raw(frame_request(METADATA, 9, 1, "x", b"\0\0\0\0"))
    (forwarded,) = rig.forwarded()
    rig.engine.reply(forwarded.token, b"\0\0\0\4abcd", True)
    rig.turn()
    assert rig.engine.take_output(client.id) == b"\0\0\0\4abcd"
    rig.turn()
    assert not client.alive


def test_thousands_of_pipelined_requests(client):
    frames = [client.frame(PRODUCE, 9, produce_request({"t": {0: batch()}})) for _ in range(3000)]
    client.raw(b"".join(frames))
    answers = client.take()
    assert [a.responses[0].partition_responses[0].base_offset for a in answers] == list(range(3000))


def test_output_that_nobody_takes_stops_the_reading(rigs):
    rig = rigs(max_output_bytes=100_000)
    rig.topic()
    client = rig.connect()
    client.produce(batch(value=bytes(90_000)))
    for _ in range(10):
        client.send(FETCH, 11, fetch_request({"t": {0: 0}}))
    got = [len(client.take())]
    assert got[0] < 4
    while sum(got) < 10:
        rig.turn()
        got.append(len(client.take()))
        assert got[-1] > 0


def test_a_static_answer_can_be_replaced(rig):
    client = rig.connect()
    for body in (b"first", b"second, longer", b""):
        rig.engine.install_answer(API_VERSIONS, 3, body)
        rig.turn()
        client.raw(frame_request(API_VERSIONS, 3, 9, "x", b"\0\0\0"))
        assert split_frames(rig.engine.take_output(client.id)) == [struct.pack(">i", 9) + body]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_ten_thousand_idle_connections(rigs):
    rig = rigs(max_connections=20_000)
    rig.topic()
    first = [rig.engine.open_virtual() for _ in range(2_000)]  # settles the allocator
    before = resident_bytes()
    ids = [rig.engine.open_virtual() for _ in range(10_000)]
    frame = rig.connect().frame(PRODUCE, 9, produce_request({"t": {0: batch()}}))
    for id in ids:
        rig.engine.feed(id, frame)
        rig.engine.take_output(id)
    assert (resident_bytes() - before) / len(ids) < 2_048
    for id in first + ids:
        rig.engine.close_virtual(id)
    assert rig.counter("open_connections") == 1


def test_a_closed_engine_refuses_to_be_driven(tmp_path):
    rig = Rig(tmp_path)
    rig.topic()
    client = rig.connect()
    rig.close()
    rig.close()
    rig.engine.stop()
    for what in (
        lambda: client.raw(b"x"),
        rig.turn,
        rig.engine.cycle,
        lambda: rig.engine.open_virtual(),
        lambda: rig.permit("t"),
        lambda: rig.engine.take_output(client.id),
    ):
        with pytest.raises(RuntimeError):
            what()
    assert rig.engine.events() == []
    assert rig.handle().snapshot()[4] == 0
    assert rig.engine.counters()["requests_produce"] == 0
