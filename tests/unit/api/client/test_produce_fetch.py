"""Produce and Fetch as far as the plane hands them over: permits, and looks inside batches."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyralog._speedups import batch as headers
from pyralog.api.authorizer import Operation, ResourceType
from pyralog.cluster.requests import CreateTopics, NewTopic
from pyralog.errors import ErrorCode
from pyralog.records.batch import Record, assemble, build, crc_ok, iterate_records, parse_header
from pyralog.records.compression import DECOMPRESSED_LIMIT_BYTES, Codec
from pyralog.wire import messages as m
from pyralog.wire.headers import parse_request_header
from pyralog.wire.protocol import decode_request
from tests.unit.api.fakes import Denying, Node

NOW = time.time_ns() // 1_000_000
ME = "User:ANONYMOUS"


def batch(codec: Codec, *keys: bytes | None, timestamp: int = NOW, value: bytes = b"value", **more: Any) -> bytes:
    records = [Record(offset, timestamp, key, value, ()) for offset, key in enumerate(keys or (b"k",))]
    return build(records, codec=codec, **more)


async def make(node: Node, name: str, partitions: int = 1, **configs: str) -> None:
    pairs = tuple((key.replace("_", "."), value) for key, value in configs.items())
    reply = await node.quorum.submit(CreateTopics((NewTopic(name, partitions, 1, configs=pairs),)))
    assert reply.topics[0].error == ErrorCode.NONE, reply


def produce(*entries: tuple[str, int, bytes | None], acks: int = -1) -> Any:
    return m.ProduceRequest(
        acks=acks,
        timeout_ms=1000,
        topic_data=[
            m.TopicProduceData(name=name, partition_data=[m.PartitionProduceData(index=index, records=records)])
            for name, index, records in entries
        ],
    )


async def hand_over(node: Node, request: Any, version: int = 9) -> tuple[int, list[bytes | None] | None]:
    """The token, and the batches that went back to the plane; None when they went back unchanged or not at all."""
    token = node.post(0, version, request)
    await node.settle()
    frame = node.plane.resubmitted.get(token)
    if frame is None:
        return token, None
    header = parse_request_header(frame)
    assert (header.api_key, header.api_version, header.client_id) == (0, version, "test")
    again = decode_request(0, version, frame, header.body_offset)
    return token, [data.records for topic in again.topic_data for data in topic.partition_data]


def read(data: bytes | None) -> list[tuple[bytes | None, bytes | None, int]]:
    assert data is not None
    assert crc_ok(data)
    return [(record.key, record.value, record.timestamp) for record in iterate_records(data)]


async def test_missing_permit(node: Node) -> None:
    await make(node, "t")
    token, changed = await hand_over(node, produce(("t", 0, batch(Codec.NONE))))
    assert node.plane.permits == {(ME, "t"): (True, True)}
    assert node.plane.resubmitted == {token: None}
    assert changed is None


async def test_unknown_topic_is_not_made(node: Node) -> None:
    """Trap 15: only Metadata makes topics; the plane answers UNKNOWN_TOPIC_OR_PARTITION."""
    token, _ = await hand_over(node, produce(("missing", 0, batch(Codec.NONE))))
    assert node.plane.resubmitted == {token: None}
    assert node.plane.permits == {}
    assert not node.quorum.image.topics


async def test_denied_topic_gets_a_permit_that_denies(new_node: Callable[..., Node]) -> None:
    """Trap 21: the plane then says TOPIC_AUTHORIZATION_FAILED."""
    node = new_node(authorizer=Denying((Operation.WRITE, ResourceType.TOPIC, "t")))
    await make(node, "t", compression_type="gzip")
    token, _ = await hand_over(node, produce(("t", 0, batch(Codec.NONE))))
    assert node.plane.permits == {(ME, "t"): (True, False)}
    assert node.plane.resubmitted == {token: None}


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("wanted", ["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"])
@pytest.mark.parametrize("size", [10, 100_000])
async def test_batches_end_in_the_topics_codec(node: Node, codec: Codec, wanted: str, size: int) -> None:
    """Trap 10: re-compressed with everything else kept; also on the work pool for large ones."""
    await make(node, "t", compression_type=wanted)
    sent = batch(codec, b"a", b"b", value=b"x" * size, producer_id=77, producer_epoch=3, base_sequence=9)
    _, changed = await hand_over(node, produce(("t", 0, sent)))
    target = {"uncompressed": Codec.NONE, "producer": codec}.get(wanted)
    if target is None:
        target = Codec[wanted.upper()]
    if target == codec:
        assert changed is None
        return
    assert changed is not None
    header = parse_header(changed[0] or b"")
    assert header.codec == target
    assert (header.producer_id, header.producer_epoch, header.base_sequence, header.record_count) == (77, 3, 9, 2)
    assert read(changed[0]) == read(sent)


@pytest.mark.parametrize(("codec", "low", "high"), [("gzip", 1, 9), ("lz4", 1, 12), ("zstd", -5, 19)])
async def test_the_level_of_the_topic_is_that_of_its_batches(node: Node, codec: str, low: int, high: int) -> None:
    """KIP-390: compression.gzip.level, compression.lz4.level and compression.zstd.level."""
    rng = random.Random(7)
    text = " ".join("".join(rng.choices("abcdefgh", k=rng.randrange(2, 9))) for _ in range(3000)).encode()
    sent = batch(Codec.NONE, b"a", value=text)
    sizes = []
    for level in (low, high):
        name = f"t{level}".replace("-", "n")
        await make(node, name, **{"compression_type": codec, f"compression_{codec}_level": str(level)})
        _, changed = await hand_over(node, produce((name, 0, sent)))
        assert changed is not None
        assert parse_header(changed[0] or b"").codec == Codec[codec.upper()]
        assert read(changed[0]) == read(sent)
        sizes.append(len(changed[0] or b""))
    assert sizes[1] < 0.95 * sizes[0] < 0.95 * len(sent)


async def test_damaged_batch_is_left_to_the_plane(node: Node) -> None:
    """Trap 10: a wrong checksum must not be made good by compressing anew."""
    await make(node, "t", compression_type="gzip")
    sent = bytearray(batch(Codec.NONE))
    sent[-1] ^= 1
    for data in (bytes(sent), b"", b"short", None, bytes(sent[:30]), batch(Codec.NONE)[:-1]):
        token, changed = await hand_over(node, produce(("t", 0, data)))
        assert changed is None
        assert token in node.plane.resubmitted


async def test_too_large_batch_is_left_to_the_plane(node: Node) -> None:
    await make(node, "t", compression_type="gzip", max_message_bytes="200")
    _, changed = await hand_over(node, produce(("t", 0, batch(Codec.NONE, value=b"x" * 500))))
    assert changed is None


async def test_bytes_behind_the_batch_stay(node: Node) -> None:
    """Trap 10: two batches in one entry are the plane's to refuse, so they must still be two."""
    await make(node, "t", compression_type="gzip")
    second = batch(Codec.NONE, b"z")
    _, changed = await hand_over(node, produce(("t", 0, batch(Codec.NONE) + second)))
    assert changed is not None
    assert (changed[0] or b"").endswith(second)


@pytest.mark.parametrize("version", range(3, 12))
async def test_record_without_key_on_a_compacted_topic(node: Node, version: int) -> None:
    """Trap 10, KIP-467: INVALID_RECORD, naming the records from v8 on."""
    await make(node, "t", cleanup_policy="compact")
    token, _ = await hand_over(node, produce(("t", 0, batch(Codec.GZIP, b"a", None, b"c", None))), version)
    result = node.answer(0, version, token).responses[0].partition_responses[0]
    assert (result.index, result.error_code, result.base_offset) == (0, ErrorCode.INVALID_RECORD, -1)
    if version >= 8:
        assert [error.batch_index for error in result.record_errors] == [1, 3]
        assert result.error_message
    assert node.plane.resubmitted == {}


async def test_refused_batch_does_not_hold_the_others(node: Node) -> None:
    """The error code takes the place of the refused batch; the plane answers for all."""
    await make(node, "t", 2, cleanup_policy="compact")
    good = batch(Codec.GZIP, b"a")
    request = produce(("t", 0, batch(Codec.GZIP, None)), ("t", 1, good), ("missing", 0, good))
    _, changed = await hand_over(node, request)
    assert changed == [ErrorCode.INVALID_RECORD.to_bytes(2, "big"), good, good]


async def test_refused_batch_without_acks_closes(node: Node) -> None:
    """Trap 8: acks=0 gets no answer, an error closes the connection."""
    await make(node, "t", cleanup_policy="compact")
    token, _ = await hand_over(node, produce(("t", 0, batch(Codec.GZIP, None)), acks=0))
    assert node.plane.closed == [token]


async def test_old_timestamps(node: Node) -> None:
    """message.timestamp.before.max.ms holds inside compressed batches too: INVALID_TIMESTAMP."""
    await make(node, "t", message_timestamp_before_max_ms="60000")
    token, _ = await hand_over(node, produce(("t", 0, batch(Codec.LZ4, timestamp=NOW - 3_600_000))))
    result = node.answer(0, 9, token).responses[0].partition_responses[0]
    assert result.error_code == ErrorCode.INVALID_TIMESTAMP
    _, changed = await hand_over(node, produce(("t", 0, batch(Codec.LZ4))))
    assert changed is None or read(changed[0]) == read(batch(Codec.LZ4))


async def test_undecodable_batch(node: Node) -> None:
    """Compatibility.md section 7: -1 in Kafka, 87 here."""
    await make(node, "t", compression_type="gzip")
    header = parse_header(batch(Codec.ZSTD))
    token, _ = await hand_over(node, produce(("t", 0, assemble(header, b"this is not zstd"))))
    assert node.answer(0, 9, token).responses[0].partition_responses[0].error_code == ErrorCode.INVALID_RECORD


async def test_decompression_bomb(node: Node) -> None:
    """Trap 7: the size of the decompressed data is bounded."""
    await make(node, "t", compression_type="lz4")
    header = parse_header(batch(Codec.GZIP))
    bomb = assemble(header, gzip.compress(bytes(DECOMPRESSED_LIMIT_BYTES + 1), 1))
    token, _ = await hand_over(node, produce(("t", 0, bomb)))
    assert node.answer(0, 9, token).responses[0].partition_responses[0].error_code == ErrorCode.INVALID_RECORD


@pytest.mark.parametrize("version", range(3, 12))
async def test_zstd_needs_version_7(node: Node, version: int) -> None:
    """Trap 10: error 76 before, whatever the topic's codec is; gzip to a zstd topic is fine."""
    await make(node, "t", compression_type="gzip")
    await make(node, "z", compression_type="zstd")
    token, changed = await hand_over(node, produce(("t", 0, batch(Codec.ZSTD))), version)
    if version < 7:
        result = node.answer(0, version, token).responses[0].partition_responses[0]
        assert result.error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    else:
        assert changed is not None
    _, changed = await hand_over(node, produce(("z", 0, batch(Codec.GZIP))), version)
    assert parse_header((changed or [b""])[0] or b"").codec == Codec.ZSTD


async def test_true_max_timestamp(node: Node) -> None:
    """The header's maximum is the client's word; after a look inside it is the truth."""
    await make(node, "t", cleanup_policy="compact")
    lying = bytearray(batch(Codec.GZIP))
    headers.set_max_timestamp(lying, NOW + 5)
    _, changed = await hand_over(node, produce(("t", 0, bytes(lying))))
    assert changed is not None
    assert parse_header(changed[0] or b"").max_timestamp == NOW
    assert crc_ok(changed[0] or b"")


def fetch(version: int, name: str, topic_id: bytes) -> Any:
    key = {"topic_id": topic_id} if version >= 13 else {"topic": name}
    partitions = [m.FetchRequestFetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1000)]
    return m.FetchRequest(topics=[m.FetchRequestFetchTopic(partitions=partitions, **key)])


@pytest.mark.parametrize("version", range(4, 19))
async def test_fetch_by_name_and_by_id(new_node: Callable[..., Node], version: int) -> None:
    """Trap 4: Fetch 13 and later know topics by id only; an unknown one is the plane's to name."""
    node = new_node(authorizer=Denying((Operation.READ, ResourceType.TOPIC, "no")))
    for name in ("yes", "no"):
        await make(node, name)
    ids = {name: topic.topic_id for name, topic in node.quorum.image.topics.items()}
    for name, topic_id in (*ids.items(), ("missing", bytes([3] * 16))):
        token = node.post(1, version, fetch(version, name, topic_id))
        assert node.plane.resubmitted[token] is None
    assert node.plane.permits == {(ME, "yes"): (True, True), (ME, "no"): (False, True)}
    assert node.plane.replies == {}
