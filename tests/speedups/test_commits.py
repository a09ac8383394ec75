"""Offset commits from bytes to bytes, against the schemas: the same fields, records, state and answer, or nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pyralog._speedups.commits import Commit, parse_commit
from pyralog._speedups.journal import Entry
from pyralog.coordinator.group.offsets import MAKE_COMMITTED, NO_EXPIRY, Committed, Offsets, commit_record
from pyralog.wire.coordinator_records import encode_key, encode_value
from pyralog.wire.headers import frame_request, frame_response, parse_request_header
from pyralog.wire.messages import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from pyralog.wire.protocol import ProtocolError, decode_request, encode_request, encode_response

VERSIONS = range(2, 11)
MOST = 100
NAMES = ("t", "orders", "größe", "", "a" * 249)
NO_ID = bytes(16)
IDS = {name: bytes([at + 1]) * 16 for at, name in enumerate(NAMES)}
NAME_OF = {one: name for name, one in IDS.items()}


def some_request(rng: random.Random, version: int) -> OffsetCommitRequest:
    def partition() -> OffsetCommitRequestPartition:
        return OffsetCommitRequestPartition(
            partition_index=rng.choice((0, 1, 7, 2**31 - 1)),
            committed_offset=rng.choice((0, -1, 5, 2**63 - 1, rng.getrandbits(40))),
            committed_leader_epoch=rng.choice((-1, 0, 12)) if version >= 6 else -1,
            committed_metadata=rng.choice((None, "", "x", "ü", "m" * MOST)),
        )

    def topic(name: str) -> OffsetCommitRequestTopic:
        partitions = [partition() for _ in range(rng.choice((1, 1, 2, 150)))]
        if version >= 10:
            return OffsetCommitRequestTopic(topic_id=IDS[name], partitions=partitions)
        return OffsetCommitRequestTopic(name=name, partitions=partitions)

    return OffsetCommitRequest(
        group_id=rng.choice(("g", "", "grüppe", "g" * 200)),
        generation_id_or_member_epoch=rng.choice((-1, 0, 7)),
        member_id=rng.choice(("", "member-1")),
        group_instance_id=rng.choice((None, "", "instance")) if version >= 7 else None,
        topics=[topic(rng.choice(NAMES)) for _ in range(rng.choice((1, 1, 3)))],
    )


def frame_of(version: int, request: OffsetCommitRequest, client: str | None = "client") -> bytes:
    return frame_request(8, version, -5, client, encode_request(8, version, request))[4:]


def decoded(frame: bytes) -> Any:
    header = parse_request_header(frame)
    return decode_request(header.api_key, header.api_version, frame, header.body_offset)


def fields(message: Any) -> Any:
    topics = [
        (
            topic.name or "",
            topic.topic_id or NO_ID,
            [
                (one.partition_index, one.committed_offset, one.committed_leader_epoch, one.committed_metadata or "")
                for one in topic.partitions
            ],
        )
        for topic in message.topics
    ]
    epoch = message.generation_id_or_member_epoch
    return message.group_id, epoch, message.member_id, message.group_instance_id, topics


def given_names(message: Any) -> Any:
    """As the handler leaves it: each topic with its name and its id."""
    for topic in message.topics:
        if topic.topic_id in NAME_OF:
            topic.name = NAME_OF[topic.topic_id]
        topic.topic_id = IDS[topic.name]
    return message


def answer_to(frame: bytes, message: Any) -> bytes:
    header = parse_request_header(frame)
    topics = [
        OffsetCommitResponseTopic(
            name=topic.name,
            topic_id=topic.topic_id,
            partitions=[OffsetCommitResponsePartition(partition_index=one.partition_index) for one in topic.partitions],
        )
        for topic in message.topics
    ]
    return frame_response(header, encode_response(8, header.api_version, OffsetCommitResponse(topics=topics)))


def rows_of(message: Any, now_ms: int) -> list[tuple[str, int, Committed]]:
    return [
        (
            topic.name,
            one.partition_index,
            Committed(
                one.committed_offset,
                one.committed_leader_epoch,
                one.committed_metadata or "",
                now_ms,
                NO_EXPIRY,
                topic.topic_id,
                -1,
            ),
        )
        for topic in message.topics
        for one in topic.partitions
    ]


def check(frame: bytes, commit: Commit, known: Offsets) -> None:
    """A commit that was read must be what the schemas say of the frame, and do what the messages would do."""
    message = decoded(frame)
    header = parse_request_header(frame)
    assert (header.api_key, commit.version) == (8, header.api_version)
    assert fields(commit) == fields(message)
    assert message.retention_time_ms == -1
    assert commit.answer == answer_to(frame, message)
    given_names(commit), given_names(message)
    rows = rows_of(message, 77)
    records = [commit_record(message.group_id, *row) for row in rows]
    made, wanted = Entry(None, 0), Entry(None, 0)
    commit.records(made, 77)
    for key, value, version in records:
        wanted.add(77, encode_key(key), encode_value(value, version))
    assert made.batch() == wanted.batch()
    assert made.count == len(rows)
    expected = Offsets()
    for group, topic, partition, committed in known:
        key, value, _ = commit_record(group, topic, partition, committed)
        expected.replay(key, value, committed.record_offset, None)
    for at, (key, value, _) in enumerate(records):
        expected.replay(key, value, 500 + at, None)
    known.count += commit.store(known.groups, MAKE_COMMITTED, 500, 77)
    assert known.groups == expected.groups
    assert known.count == expected.count
    assert all(type(one) is Committed for *_, one in known)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_commit_is_what_the_schemas_say(version: int) -> None:
    rng = random.Random(version)
    known = Offsets()
    for _ in range(60):
        frame = frame_of(version, some_request(rng, version), rng.choice((None, "", "client")))
        commit = parse_commit(frame, 2 * MOST)
        assert commit is not None
        assert commit.topics[0].last == max(one.partition_index for one in commit.topics[0].partitions)
        check(frame, commit, known)


@pytest.mark.parametrize("version", VERSIONS)
def test_damaged_frames_are_left_alone_or_read_as_the_schemas_read_them(version: int) -> None:
    rng = random.Random(version)
    taken = 0
    for _ in range(300):
        frame = bytearray(frame_of(version, some_request(rng, version)))
        for _ in range(rng.choice((1, 1, 2, 5))):
            match rng.randrange(4):
                case 0:
                    frame[rng.randrange(len(frame))] = rng.randrange(256)
                case 1:
                    del frame[rng.randrange(len(frame)) + 1 :]
                    frame += b"\0"
                case 2:
                    frame.insert(rng.randrange(len(frame)), rng.randrange(256))
                case _ if len(frame) > 1:
                    del frame[rng.randrange(len(frame))]
        raw = bytes(frame)
        commit = parse_commit(raw, 2 * MOST)
        if commit is not None and set(_ids(commit)) <= set(IDS.values()):
            taken += 1
            assert fields(commit) == fields(decoded(raw))
            assert commit.answer == answer_to(raw, decoded(raw))
    assert taken > 5


def _ids(commit: Commit) -> list[bytes]:
    return [topic.topic_id for topic in commit.topics if topic.topic_id is not None]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12])
def test_what_is_hardly_a_header_is_left_alone(size: int) -> None:
    frame = frame_of(7, some_request(random.Random(0), 7))[:size]
    assert parse_commit(frame, MOST) is None
    with pytest.raises((ProtocolError, KeyError)):
        decoded(frame)


def one_commit(**changes: Any) -> OffsetCommitRequest:
    partition = OffsetCommitRequestPartition(partition_index=0, committed_offset=1, committed_metadata="")
    known = {
        "group_id": "g",
        "member_id": "",
        "topics": [OffsetCommitRequestTopic(name="t", partitions=[partition])],
        **changes,
    }
    return OffsetCommitRequest(**known)


def with_partition(**changes: Any) -> OffsetCommitRequest:
    known = {"partition_index": 0, "committed_offset": 1, "committed_metadata": "", **changes}
    return one_commit(topics=[OffsetCommitRequestTopic(name="t", partitions=[OffsetCommitRequestPartition(**known)])])


@pytest.mark.parametrize(
    "request_",
    [
        one_commit(topics=[]),
        one_commit(topics=[OffsetCommitRequestTopic(name="t", partitions=[])]),
        one_commit(group_id="g" * 1025),
        one_commit(retention_time_ms=0),
        one_commit(retention_time_ms=5000),
        with_partition(partition_index=-1),
        with_partition(committed_metadata="m" * (MOST + 1)),
        with_partition(committed_metadata="ü" * MOST),
        one_commit(topics=[OffsetCommitRequestTopic(name="t" * 200, partitions=[])] * 400),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_messages(request_: OffsetCommitRequest) -> None:
    assert parse_commit(frame_of(3, request_), MOST) is None


def test_other_requests_and_versions_are_left_alone() -> None:
    frame = frame_of(7, one_commit())
    assert parse_commit(frame, MOST) is not None
    for start in (b"\0\x09", b"\0\x08\0\x01", b"\0\x08\0\x0b", b"\0\x08\xff\xff"):
        assert parse_commit(start + frame[len(start) :], MOST) is None
    assert parse_commit(frame + b"\0", MOST) is None


def test_text_that_is_no_utf_8_is_left_to_the_messages() -> None:
    frame = frame_of(7, one_commit(group_id="group"))
    assert parse_commit(frame.replace(b"group", b"gr\xffup"), MOST) is None


def test_tagged_fields_are_left_to_the_messages() -> None:
    frame = frame_of(8, one_commit())
    assert parse_commit(frame, MOST) is not None
    assert frame.endswith(b"\0")
    assert parse_commit(frame[:-1] + b"\1\x09\1x", MOST) is None


def test_a_topic_id_of_another_length_is_refused() -> None:
    commit = parse_commit(frame_of(7, one_commit()), MOST)
    assert commit is not None
    commit.topics[0].topic_id = b"short"
    with pytest.raises(ValueError, match="16 bytes"):
        commit.records(Entry(None, 0), 0)
