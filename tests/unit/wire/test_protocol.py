import subprocess
import sys

import pytest

from pyralog.wire import messages as m
from pyralog.wire import protocol
from pyralog.wire.protocol import API, ProtocolError

# compatibility.md section 2: what has to be covered up to which version.
MUST_AND_SHOULD = {
    0: 13, 1: 18, 2: 11, 3: 13, 8: 10, 9: 10, 10: 6, 11: 9, 12: 4, 13: 5, 14: 5, 15: 6, 16: 5, 17: 1, 18: 5, 19: 7,
    20: 6, 21: 2, 22: 5, 23: 4, 24: 5, 25: 4, 26: 5, 27: 2, 28: 6, 29: 3, 30: 3, 31: 3, 32: 4, 33: 2, 34: 2, 35: 5,
    36: 2, 37: 3, 38: 3, 39: 2, 40: 2, 41: 3, 42: 3, 43: 2, 44: 1, 45: 1, 46: 0, 47: 0, 48: 1, 49: 1, 50: 0, 51: 0,
    55: 2, 57: 2, 60: 2, 61: 0, 64: 0, 65: 0, 66: 2, 68: 1, 69: 1, 71: 0, 72: 0, 74: 1, 75: 0, 76: 1, 77: 1, 78: 2,
    79: 2, 80: 1, 81: 0, 88: 1, 89: 1, 90: 1, 91: 0, 92: 0,
}  # fmt: skip


def test_the_table_is_covered_up_to_4_4() -> None:
    assert {key: spec.max_version for key, spec in API.items()} == MUST_AND_SHOULD


def test_request_and_response() -> None:
    request = m.MetadataRequest(topics=[m.MetadataRequestTopic(name="a")])
    data = protocol.encode_request(3, 12, request)
    assert protocol.decode_request(3, 12, data) == request
    assert protocol.decode_request(3, 12, b"head" + data + b"tail", 4) == request
    response = m.MetadataResponse(cluster_id="c", topics=[m.MetadataResponseTopic(name=None, topic_id=b"x" * 16)])
    assert protocol.decode_response(3, 13, protocol.encode_response(3, 13, response)) == response


@pytest.mark.parametrize(("key", "version"), [(3, -1), (3, 14), (0, 2), (4, 0), (-1, 0), (32767, 0)])
def test_versions_and_keys_outside_the_schemas_are_protocol_errors(key: int, version: int) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode_request(key, version, b"")


def test_array_of_length_minus_two_is_null_as_in_kafka() -> None:
    assert protocol.decode_request(3, 1, b"\xff\xff\xff\xfe").topics is None  # type: ignore[attr-defined]
    with pytest.raises(ProtocolError, match="topics must not be null"):
        protocol.decode_request(3, 0, b"\xff\xff\xff\xfe")


def test_blobs_carry_their_version() -> None:
    subscription = m.ConsumerProtocolSubscription(topics=["a", "b"], user_data=b"u", generation_id=4, rack_id="r")
    for version in range(4):
        data = protocol.encode_blob("ConsumerProtocolSubscription", version, subscription)
        assert data[:2] == bytes((0, version))
        assert protocol.decode_blob("ConsumerProtocolSubscription", data).topics == ["a", "b"]  # type: ignore[attr-defined]
    newer = b"\0\x09" + data[2:] + b"more"
    assert protocol.decode_blob("ConsumerProtocolSubscription", newer) == subscription
    for bad in (b"", b"\0", b"\xff\xff", b"\0\0\0\0\0\1"):
        with pytest.raises(ProtocolError):
            protocol.decode_blob("ConsumerProtocolSubscription", bad)


def test_the_head_of_a_blob_whatever_follows() -> None:
    part = m.ConsumerProtocolAssignmentTopicPartition(topic="t", partitions=[2, 1])
    said = m.ConsumerProtocolAssignment(assigned_partitions=[part], user_data=b"mine")
    whole = protocol.encode_blob("ConsumerProtocolAssignment", 1, said)
    head = whole[: -len(b"mine") - 4]
    for data in (head, whole, head + b"\xff", head + b"\x7f\xff\xff\xff?", b"\0\x09" + head[2:]):
        found = protocol.decode_blob_head("ConsumerProtocolAssignment", data, "assigned_partitions")
        assert found == m.ConsumerProtocolAssignment(assigned_partitions=[part])
    for bad in (b"", b"\xff\xff", head[:-1], b"\0\1\x7f\xff\xff\xff"):
        with pytest.raises(ProtocolError):
            protocol.decode_blob_head("ConsumerProtocolAssignment", bad, "assigned_partitions")


def test_importing_the_protocol_loads_no_schema() -> None:
    code = (
        "import sys, pyralog.wire.protocol, pyralog.wire.headers, pyralog.wire.messages as m\n"
        "loaded = lambda: {n.rpartition('.')[2] for n in sys.modules if n.startswith('pyralog.wire.schemas.')}\n"
        "assert loaded() == {'index'}, loaded()\n"
        "m.ApiVersionsRequest\n"
        "assert loaded() == {'index', 'metadata'}, loaded()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
