"""ApiVersions: the table, the features, the client's software, and whom a client meant to reach."""

from __future__ import annotations

import pytest

from pyralog.api.registry import CLIENT_APIS, install_answers
from pyralog.errors import ErrorCode
from pyralog.wire import messages as m
from pyralog.wire.protocol import decode_response
from tests.unit.api.fakes import CLUSTER_ID, Node


def asked(name: str = "test", version: str = "1.0", **more: object) -> object:
    return m.ApiVersionsRequest(client_software_name=name, client_software_version=version, **more)


@pytest.mark.parametrize("version", range(6))
async def test_table_is_the_registry(node: Node, version: int) -> None:
    answer = await node.ask(18, version, asked())
    table = {one.api_key: (one.min_version, one.max_version) for one in answer.api_keys}
    assert table == {key: api.advertised for key, api in CLIENT_APIS.items()}
    assert len(answer.api_keys) == len(table)


async def test_produce_minimum_is_0(node: Node) -> None:
    """Trap 1: librdkafka before 2.11 sends uncompressed otherwise (KAFKA-18659)."""
    answer = await node.ask(18, 4, asked())
    produce = next(one for one in answer.api_keys if one.api_key == 0)
    assert produce.min_version == 0


async def test_features_follow_the_table(node: Node) -> None:
    """Trap 3: Produce 12 goes with transaction.version=2, and below ApiVersions 4 no range starts at 0."""
    for version in (3, 4, 5):
        answer = await node.ask(18, version, asked())
        finalized = {one.name: one.max_version_level for one in answer.finalized_features}
        assert finalized["metadata.version"] == 33
        assert finalized.get("transaction.version") == 2
        assert answer.finalized_features_epoch >= 0
        assert version > 3 or all(one.min_version >= 1 for one in answer.supported_features)
        assert next(one.max_version for one in answer.api_keys if one.api_key == 0) == 13


@pytest.mark.parametrize(
    ("name", "version", "good"),
    [
        ("apache-kafka-java", "4.4.0", True),
        ("a", "1", True),
        ("kafka-python", "3.0.12-rc1", True),
        ("", "1.0", False),
        ("x", "", False),
        ("-x", "1", False),
        ("x.", "1", False),
        ("x y", "1", False),
        ("x", "1\n", False),
        ("ünï", "1", False),
    ],
)
async def test_client_software(node: Node, name: str, version: str, good: bool) -> None:
    """Trap 2: the pattern of KIP-511, else INVALID_REQUEST."""
    for api_version in (3, 4, 5):
        answer = await node.ask(18, api_version, asked(name, version))
        assert answer.error_code == (ErrorCode.NONE if good else ErrorCode.INVALID_REQUEST)
        assert bool(answer.api_keys) is good or len(answer.api_keys) == 0


@pytest.mark.parametrize(
    ("cluster_id", "node_id", "code"),
    [
        (None, -1, ErrorCode.NONE),
        (CLUSTER_ID, 1, ErrorCode.NONE),
        (CLUSTER_ID, -1, ErrorCode.INVALID_REQUEST),
        (None, 1, ErrorCode.INVALID_REQUEST),
        ("other", 1, ErrorCode.REBOOTSTRAP_REQUIRED),
        (CLUSTER_ID, 2, ErrorCode.REBOOTSTRAP_REQUIRED),
    ],
)
async def test_whom_the_client_meant(node: Node, cluster_id: str | None, node_id: int, code: ErrorCode) -> None:
    """Trap 2, compatibility.md section 7: v5 carries both or neither, either wrong is 129 (KIP-1242)."""
    answer = await node.ask(18, 5, asked(cluster_id=cluster_id, node_id=node_id))
    assert answer.error_code == code


async def test_constant_answers_are_taught_to_the_plane(node: Node) -> None:
    install_answers(node.services.plane, CLIENT_APIS)
    assert set(node.plane.answers) == {(18, 0), (18, 1), (18, 2)}
    for version in (0, 1, 2):
        asked_here = await node.ask(18, version, m.ApiVersionsRequest())
        assert decode_response(18, version, node.plane.answers[18, version]) == asked_here
