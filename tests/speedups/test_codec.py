"""The codec's rules beyond byte equality (tests/compat_bytes): tags, nulls, ignorable fields, ranges, types."""

import pytest

from pyralog._speedups.codec import skip_tagged
from pyralog.errors import ErrorCode
from pyralog.wire import messages as m
from pyralog.wire import protocol
from pyralog.wire.protocol import EncodeError, ProtocolError

VERSIONS_V5 = b"\x02c\x02v"  # ApiVersionsRequest: name, version; cluster id and node id follow


def test_unknown_tags_are_skipped_known_ones_read_in_any_order_and_the_last_of_two_wins() -> None:
    fetch = m.FetchRequest(cluster_id="abc", replica_state=m.FetchRequestReplicaState(replica_id=5, replica_epoch=6))
    data = protocol.encode_request(1, 15, fetch)
    cluster, state = b"\x00\x04\x04abc", b"\x01\x0d" + (5).to_bytes(4, "big") + (6).to_bytes(8, "big") + b"\0"
    assert data.endswith(b"\x02" + cluster + state)
    body = data[: -len(cluster + state) - 1]
    unknown = b"\x63\x03xyz"
    for tags in (
        b"\x02" + state + cluster,
        b"\x04" + unknown + state + unknown + cluster,
        b"\x03" + b"\x00\x02\x02z" + state + cluster,
    ):
        assert protocol.decode_request(1, 15, body + tags) == fetch


@pytest.mark.parametrize(
    "tags", [b"\x01", b"\x01\x00", b"\x01\x00\x05\x04abc", b"\x01\x00\x03\x04abc", b"\x01\x00\x00", b"\xff" * 6]
)
def test_tags_that_lie_about_their_size_are_refused(tags: bytes) -> None:
    body = protocol.encode_request(1, 12, m.FetchRequest())[:-1]
    with pytest.raises(ProtocolError):
        protocol.decode_request(1, 12, body + tags)


def test_a_tagged_field_longer_than_we_know_keeps_what_we_know() -> None:
    body = protocol.encode_request(1, 12, m.FetchRequest())[:-1]
    found = protocol.decode_request(1, 12, body + b"\x01\x00\x06\x04abcXY")
    assert found == m.FetchRequest(cluster_id="abc")


def test_null_where_null_is_not_allowed() -> None:
    with pytest.raises(ProtocolError, match=r"JoinGroupRequest v0: JoinGroupRequest.group_id must not be null"):
        protocol.decode_request(11, 0, b"\xff\xff")
    with pytest.raises(ProtocolError, match="topics must not be null"):
        protocol.decode_request(8, 8, b"\x02g" + bytes(4) + b"\x01\x00\x00")
    with pytest.raises(EncodeError, match="group_id must not be null"):
        protocol.encode_request(11, 0, m.JoinGroupRequest(group_id=None))  # type: ignore[arg-type]
    with pytest.raises(EncodeError, match="topics must not be null"):
        protocol.encode_request(3, 0, m.MetadataRequest(topics=None))
    with pytest.raises(EncodeError, match="groups_names must not be null"):
        protocol.encode_request(42, 0, m.DeleteGroupsRequest(groups_names=[None]))  # type: ignore[list-item]


def test_nullable_structs() -> None:
    request = m.DescribeTopicPartitionsRequest(topics=[], cursor=None)
    assert protocol.encode_request(75, 0, request)[-2:] == b"\xff\x00"
    cursor = m.DescribeTopicPartitionsRequestCursor(topic_name="t", partition_index=3)
    data = protocol.encode_request(75, 0, m.DescribeTopicPartitionsRequest(cursor=cursor))
    assert data[5:] == b"\x01\x02t\x00\x00\x00\x03\x00\x00"
    assert protocol.decode_request(75, 0, data) == m.DescribeTopicPartitionsRequest(cursor=cursor)


def test_a_value_in_a_field_that_the_version_lacks() -> None:
    ignorable = m.FetchRequest(session_epoch=5, rack_id="r", cluster_id="c")
    assert protocol.encode_request(1, 4, ignorable) == protocol.encode_request(1, 4, m.FetchRequest())
    for request, field in (
        (m.FetchRequest(forgotten_topics_data=[m.FetchRequestForgottenTopic()]), "forgotten_topics_data"),
        (m.FetchRequest(replica_state=m.FetchRequestReplicaState(replica_id=1)), "replica_state"),
    ):
        with pytest.raises(EncodeError, match=f"{field} is set, but the version has no such field"):
            protocol.encode_request(1, 4, request)
    with pytest.raises(EncodeError, match="replica_id is set"):
        protocol.encode_request(1, 15, m.FetchRequest(replica_id=4))


@pytest.mark.parametrize(
    ("message", "key", "version", "field"),
    [
        (m.ProduceRequest(acks=32768), 0, 3, "acks is out of range"),
        (m.ProduceRequest(acks=-32769), 0, 3, "acks is out of range"),
        (m.ProduceRequest(timeout_ms=2**31), 0, 3, "timeout_ms is out of range"),
        (m.ProduceRequest(timeout_ms=-(2**31) - 1), 0, 3, "timeout_ms is out of range"),
        (m.ProduceRequest(timeout_ms=2**63), 0, 3, "timeout_ms is out of range"),
        (m.ProduceRequest(timeout_ms=2**200), 0, 3, "timeout_ms is out of range"),
        (m.FetchRequest(isolation_level=128), 1, 4, "isolation_level is out of range"),
        (m.FetchRequest(isolation_level=-129), 1, 4, "isolation_level is out of range"),
        (m.InitProducerIdRequest(producer_id=2**63), 22, 3, "producer_id is out of range"),
        (m.InitProducerIdRequest(producer_id=-(2**63) - 1), 22, 3, "producer_id is out of range"),
        (m.AddRaftVoterRequest(listeners=[m.AddRaftVoterRequestListener(port=65536)]), 80, 0, "port is out of range"),
        (m.AddRaftVoterRequest(listeners=[m.AddRaftVoterRequestListener(port=-1)]), 80, 0, "port is out of range"),
        (m.ProduceRequest(acks="1"), 0, 3, "acks has a value of the wrong type"),  # type: ignore[arg-type]
        (m.ProduceRequest(acks=1.0), 0, 3, "acks has a value of the wrong type"),  # type: ignore[arg-type]
        (m.ProduceRequest(transactional_id=b"x"), 0, 3, "transactional_id has a value of the wrong type"),  # type: ignore[arg-type]
        (m.MetadataRequest(allow_auto_topic_creation=1), 3, 4, "creation has a value of the wrong type"),  # type: ignore[arg-type]
        (m.MetadataRequest(topics="ab"), 3, 4, "topics has a value of the wrong type"),  # type: ignore[arg-type]
        (m.MetadataRequest(topics=["ab"]), 3, 4, "topics has a value of the wrong type"),  # type: ignore[list-item]
        (m.MetadataRequest(topics=[m.MetadataRequestTopic(topic_id=b"short")]), 3, 12, "topic_id has a value"),
        (m.SaslAuthenticateRequest(auth_bytes="x"), 36, 0, "auth_bytes has a value of the wrong type"),  # type: ignore[arg-type]
        (m.ProduceRequest(transactional_id="x" * 32768), 0, 3, "transactional_id is too long"),
        (m.ProduceRequest(transactional_id="x" * 32768), 0, 9, "transactional_id is too long"),
        (m.FetchRequest(), 0, 3, "ProduceRequest v3: cannot encode a FetchRequest"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(message: m.Message, key: int, version: int, field: str) -> None:
    with pytest.raises(EncodeError, match=field):
        protocol.encode_request(key, version, message)


def test_what_counts_as_a_value() -> None:
    plain = m.MetadataResponse(topics=[m.MetadataResponseTopic(error_code=3, name="t")])
    assert protocol.encode_response(
        3,
        1,
        m.MetadataResponse(topics=(m.MetadataResponseTopic(error_code=ErrorCode(3), name="t"),)),  # type: ignore[arg-type]
    ) == protocol.encode_response(3, 1, plain)
    for data in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        request = m.SaslAuthenticateRequest(auth_bytes=data)  # type: ignore[arg-type]
        assert protocol.encode_request(36, 2, request) == b"\x04abc\x00"
        assert protocol.decode_request(36, 2, type(data)(b"\x04abc\x00")).auth_bytes == b"abc"  # type: ignore[attr-defined]


def test_strings_that_are_not_utf8_are_replaced_both_ways_as_java_does() -> None:
    assert protocol.decode_request(17, 0, b"\0\3a\xffb").mechanism == "a\ufffdb"  # type: ignore[attr-defined]
    assert protocol.encode_request(17, 0, m.SaslHandshakeRequest(mechanism="a\udcffb")) == b"\0\3a?b"


def test_a_deleted_field_is_named() -> None:
    request = m.SaslHandshakeRequest()
    del request.mechanism
    with pytest.raises(EncodeError, match="mechanism is not set"):
        protocol.encode_request(17, 0, request)


def test_large_messages_grow_the_buffer() -> None:
    records = bytes(range(256)) * 40_000
    part = m.PartitionProduceData(index=1, records=records)
    request = m.ProduceRequest(topic_data=[m.TopicProduceData(name="t" * 200, partition_data=[part] * 3)])
    for version in (3, 9):
        assert protocol.decode_request(0, version, protocol.encode_request(0, version, request)) == request


def test_a_tagged_field_of_more_than_127_bytes_has_its_size_in_front() -> None:
    request = m.FetchRequest(cluster_id="x" * 1000)
    assert protocol.decode_request(1, 12, protocol.encode_request(1, 12, request)) == request


def test_programs_encode_behind_a_prefix_and_decode_at_an_offset() -> None:
    program = protocol.program(17, 0, "request")
    data = program.encode(m.SaslHandshakeRequest(mechanism="A"), b"prefix")
    assert data == b"prefix\0\1A"
    assert program.decode_from(data + b"tail", 6) == (m.SaslHandshakeRequest(mechanism="A"), 9)
    for offset in (-1, len(data) + 1):
        with pytest.raises(ProtocolError):
            program.decode(data, offset)
    with pytest.raises(TypeError):
        program.decode("text")  # type: ignore[arg-type]


def test_skip_tagged() -> None:
    assert skip_tagged(b"\0", 0) == 1
    assert skip_tagged(b"ab\x02\x01\x01x\x7f\x00rest", 2) == 8
    for data, offset in ((b"", 0), (b"a", 1), (b"a", 2), (b"a", -1), (b"\x01", 0), (b"\x01\x00\x05abc", 0)):
        with pytest.raises(ProtocolError):
            skip_tagged(data, offset)
