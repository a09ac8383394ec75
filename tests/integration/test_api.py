"""The APIs of a running node over its socket, and their effects after a clean stop and after kill -9."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyralog.errors import ErrorCode
from pyralog.records.batch import Record, build, iterate_batches, iterate_records
from pyralog.records.compression import Codec
from pyralog.wire import messages as m
from pyralog.wire.protocol import decode_response
from tests.integration.wire_client import WireClient
from tests.reference.pyralog import Pyralog

NO = ErrorCode.NONE
PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE, DELETE, DELETE_RECORDS = 0, 1, 2, 3, 18, 19, 20, 21
INIT_PRODUCER_ID, EPOCH_END, DESCRIBE_CONFIGS, INCREMENTAL, LOG_DIRS, MORE_PARTITIONS = 22, 23, 32, 44, 35, 37


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pyralog]:
    with Pyralog(data_dir=tmp_path_factory.mktemp("api") / "data") as node:
        yield node


@pytest.fixture
def client(broker: Pyralog) -> Iterator[WireClient]:
    with WireClient(broker.port) as connected:
        yield connected


def create(client: WireClient, name: str, partitions: int = 1, **configs: str) -> Any:
    pairs = [m.CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()]
    topic = m.CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=pairs)
    (result,) = client.ask(CREATE, 7, m.CreateTopicsRequest(topics=[topic], timeout_ms=10_000)).topics
    assert result.error_code == NO, result
    return result


def batch(*values: bytes, codec: Codec = Codec.NONE, timestamp: int | None = None, **more: Any) -> bytes:
    now = time.time_ns() // 1_000_000 if timestamp is None else timestamp
    return build([Record(at, now + at, b"k", value, ()) for at, value in enumerate(values)], codec=codec, **more)


def produce(client: WireClient, topic: str, data: bytes, partition: int = 0, version: int = 9) -> tuple[int, int]:
    entry = m.TopicProduceData(name=topic, partition_data=[m.PartitionProduceData(index=partition, records=data)])
    answer = client.ask(PRODUCE, version, m.ProduceRequest(acks=-1, timeout_ms=10_000, topic_data=[entry]))
    result = answer.responses[0].partition_responses[0]
    return result.error_code, result.base_offset


def list_offset(client: WireClient, topic: str, timestamp: int, partition: int = 0) -> tuple[int, int, int, int]:
    asked = m.ListOffsetsPartition(partition_index=partition, timestamp=timestamp)
    request = m.ListOffsetsRequest(
        replica_id=-1, topics=[m.ListOffsetsTopic(name=topic, partitions=[asked])], timeout_ms=10_000
    )
    result = client.ask(LIST_OFFSETS, 11, request).topics[0].partitions[0]
    return result.error_code, result.offset, result.timestamp, result.leader_epoch


def fetch(client: WireClient, topic: str, offset: int = 0) -> list[bytes | None]:
    asked = m.FetchRequestFetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20)
    entry = m.FetchRequestFetchTopic(topic=topic, partitions=[asked])
    request = m.FetchRequest(max_wait_ms=0, min_bytes=0, max_bytes=1 << 24, topics=[entry])
    result = client.ask(FETCH, 11, request).responses[0].partitions[0]
    assert result.error_code == NO
    batches = [data for _, data in iterate_batches(result.records or b"")]
    return [record.value for data in batches for record in iterate_records(data)]


def described(client: WireClient, name: str) -> Any:
    topics = [m.MetadataRequestTopic(name=name)]
    request = m.MetadataRequest(topics=topics, allow_auto_topic_creation=False)
    return client.ask(METADATA, 12, request).topics[0]


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("wanted", ["producer", "uncompressed", "gzip", "lz4", "snappy", "zstd"])
def test_batches_are_kept_in_the_topics_codec(client: WireClient, codec: Codec, wanted: str) -> None:
    """Trap 10, through the socket, the plane, Python and back: the first produce also misses the permit."""
    name = f"codec-{wanted}-{codec.name}"
    create(client, name, compression_type=wanted)
    values = [b"a" * 50, b"b" * 40_000]
    assert produce(client, name, batch(*values, codec=codec)) == (NO, 0)
    assert produce(client, name, batch(*values, codec=codec)) == (NO, 2)
    assert fetch(client, name) == values * 2


def test_auto_created_topic_takes_records_at_once(client: WireClient) -> None:
    """Trap 15: what Metadata shows, Produce knows."""
    for number in range(20):
        name = f"auto-{number}"
        topic = client.ask(METADATA, 12, m.MetadataRequest(topics=[m.MetadataRequestTopic(name=name)])).topics[0]
        assert (topic.error_code, topic.partitions[0].leader_id) == (NO, 1)
        assert produce(client, name, batch(b"x")) == (NO, 0)
    assert produce(client, "never-asked-for", batch(b"x"))[0] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_list_offsets_of_real_records(client: WireClient) -> None:
    """Trap 13: the record inside the batch, compressed or not."""
    create(client, "times")
    begin = time.time_ns() // 1_000_000 - 100_000
    for at, codec in enumerate((Codec.NONE, Codec.GZIP, Codec.ZSTD)):
        produce(client, "times", batch(*[b"x"] * 10, codec=codec, timestamp=begin + 1000 * at))
    for timestamp, expected in {
        -1: (NO, 30, -1, 0),
        -2: (NO, 0, -1, 0),
        -3: (NO, 29, begin + 2009, 0),
        -4: (NO, 0, -1, 0),
        -5: (NO, -1, -1, -1),
        -6: (NO, -1, -1, -1),
        0: (NO, 0, begin, 0),
        begin + 5: (NO, 5, begin + 5, 0),
        begin + 10: (NO, 10, begin + 1000, 0),
        begin + 1007: (NO, 17, begin + 1007, 0),
        begin + 2009: (NO, 29, begin + 2009, 0),
        begin + 2010: (NO, -1, -1, -1),
    }.items():
        assert list_offset(client, "times", timestamp) == expected, timestamp


def test_refused_batch_beside_a_good_one(client: WireClient) -> None:
    """KIP-467, trap 10: the good partition is appended under the plane's rules, the other one names its error."""
    create(client, "compacted", 2, cleanup_policy="compact")
    keyless = build([Record(0, time.time_ns() // 1_000_000, None, b"v", ())], codec=Codec.GZIP)
    entries = [
        m.PartitionProduceData(index=0, records=keyless),
        m.PartitionProduceData(index=1, records=batch(b"v", codec=Codec.GZIP)),
    ]
    topic = m.TopicProduceData(name="compacted", partition_data=entries)
    answer = client.ask(PRODUCE, 9, m.ProduceRequest(acks=-1, timeout_ms=10_000, topic_data=[topic]))
    results = answer.responses[0].partition_responses
    assert [(one.error_code, one.base_offset) for one in results] == [(ErrorCode.INVALID_RECORD, -1), (NO, 0)]


def test_config_change_reaches_the_plane(client: WireClient) -> None:
    """Compatibility.md section 6: a configuration takes effect; here with the next request."""
    create(client, "limited")
    assert produce(client, "limited", batch(b"x" * 500)) == (NO, 0)
    for value, code in (("300", ErrorCode.MESSAGE_TOO_LARGE), ("1000", NO)):
        change = m.IncrementalAlterConfigsRequestAlterableConfig(
            name="max.message.bytes", config_operation=0, value=value
        )
        resource = m.IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=2, resource_name="limited", configs=[change]
        )
        answer = client.ask(INCREMENTAL, 1, m.IncrementalAlterConfigsRequest(resources=[resource]))
        assert answer.responses[0].error_code == NO
        assert produce(client, "limited", batch(b"x" * 500))[0] == code


@pytest.mark.parametrize("version", [-1, 6, 99])
def test_unknown_api_versions_version(broker: Pyralog, version: int) -> None:
    """Trap 2: through the socket."""
    with socket.create_connection(("127.0.0.1", broker.port), 10) as raw:
        body = struct.pack(">hhih", 18, version, 77, -1) + (b"\0" if version > 0 else b"")
        raw.sendall(struct.pack(">i", len(body)) + body)
        answer = raw.recv(1000)
    assert int.from_bytes(answer[4:8], "big") == 77
    decoded = decode_response(18, 0, answer, 8)
    assert decoded.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert [one.api_key for one in decoded.api_keys] == [18]


@pytest.mark.parametrize("kill", [False, True])
def test_effects_survive(tmp_path: Path, kill: bool) -> None:
    """Compatibility.md section 6: what was answered is there after a stop, and after kill -9 (traps 4, 5)."""
    with Pyralog(data_dir=tmp_path / "data") as node:
        with WireClient(node.port) as client:
            before = create(client, "kept", 2, retention_ms="123456789")
            create(client, "gone")
            more = m.CreatePartitionsTopic(name="kept", count=3, assignments=None)
            client.ask(MORE_PARTITIONS, 3, m.CreatePartitionsRequest(topics=[more], timeout_ms=10_000))
            for at in range(10):
                assert produce(client, "kept", batch(b"%d" % at)) == (NO, at)
            trimmed = m.DeleteRecordsTopic(
                name="kept", partitions=[m.DeleteRecordsPartition(partition_index=0, offset=4)]
            )
            client.ask(DELETE_RECORDS, 2, m.DeleteRecordsRequest(topics=[trimmed], timeout_ms=10_000))
            client.ask(DELETE, 6, m.DeleteTopicsRequest(topics=[m.DeleteTopicState(name="gone")], timeout_ms=10_000))
            new_id = m.InitProducerIdRequest(transactional_id=None)
            producer_id = client.ask(INIT_PRODUCER_ID, 4, new_id).producer_id
            epochs = [one.leader_epoch for one in described(client, "kept").partitions]
        if kill:
            node.kill()
        else:
            node.stop()
        node.start()
        with WireClient(node.port) as client:
            after = described(client, "kept")
            assert after.topic_id == before.topic_id
            assert len(after.partitions) == 3
            assert all(new.leader_epoch > old for new, old in zip(after.partitions, epochs, strict=True))
            assert described(client, "gone").error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            assert list_offset(client, "kept", -2)[:2] == (NO, 4)
            assert list_offset(client, "kept", -1)[:2] == (NO, 10)
            assert fetch(client, "kept", 4) == [b"%d" % at for at in range(4, 10)]
            assert client.ask(INIT_PRODUCER_ID, 4, new_id).producer_id > producer_id
            resource = m.DescribeConfigsResource(
                resource_type=2, resource_name="kept", configuration_keys=["retention.ms"]
            )
            answer = client.ask(DESCRIBE_CONFIGS, 4, m.DescribeConfigsRequest(resources=[resource]))
            assert answer.results[0].configs[0].value == "123456789"
            first_epoch = m.OffsetForLeaderPartition(partition=0, leader_epoch=epochs[0])
            asked = m.OffsetForLeaderTopic(topic="kept", partitions=[first_epoch])
            end = client.ask(EPOCH_END, 4, m.OffsetForLeaderEpochRequest(topics=[asked])).topics[0].partitions[0]
            assert (end.error_code, end.leader_epoch, end.end_offset) == (NO, epochs[0], 10)
            assert produce(client, "kept", batch(b"10")) == (NO, 10)
            again = create(client, "gone")
            assert described(client, "gone").partitions[0].leader_epoch > 0
            assert again.topic_id != before.topic_id
