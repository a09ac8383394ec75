"""The road of a frame: header, version, decoding, handler, failures, encoding, caching."""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any

import pytest

from pyralog._speedups.desk import Desk
from pyralog._speedups.plane.delivery import Lane
from pyralog.api.dispatch import AnswerCache, Dispatcher
from pyralog.api.handler import Api, Done
from pyralog.errors import ErrorCode, KafkaError, StorageError
from pyralog.wire import messages as m
from pyralog.wire.protocol import encode_request
from tests.unit.api.fakes import CONNECTION, CORRELATION_ID, Node, request_frame


def serve(node: Node, handle: Any, *, fail: Any = None, cacheable: bool = False, lane: Any = None) -> Dispatcher:
    """A dispatcher whose Metadata is `handle`."""

    def fail_at_top(request: Any, code: ErrorCode, why: str | None) -> Any:
        return m.MetadataResponse(error_code=code)

    api = Api(3, "Metadata", 0, 13, handle, fail or fail_at_top, cacheable=cacheable, lane=lane)
    node.dispatcher = Dispatcher({3: api}, node.services)
    return node.dispatcher


METADATA = m.MetadataRequest(topics=None)
NOT_COORDINATOR = KafkaError(ErrorCode.NOT_COORDINATOR)


async def test_answer_at_once(node: Node) -> None:
    serve(node, lambda request, context: m.MetadataResponse(cluster_id="x"))
    token = node.post(3, 12, METADATA)
    assert node.answer(3, 12, token).cluster_id == "x"


async def test_answer_later_does_not_hold_others(node: Node) -> None:
    """Trap 8: a request that waits must not block those of other connections."""
    gate = asyncio.Event()

    async def wait() -> Any:
        await gate.wait()
        return m.MetadataResponse(cluster_id="late")

    def handle(request: Any, context: Any) -> Any:
        return wait() if context.version == 12 else m.MetadataResponse(cluster_id="soon")

    dispatcher = serve(node, handle)
    late = node.post(3, 12, METADATA)
    soon = node.post(3, 9, METADATA)
    assert node.answer(3, 9, soon).cluster_id == "soon"
    assert late not in node.plane.replies
    assert dispatcher.stats.waiting == 1
    gate.set()
    await node.settle()
    assert node.answer(3, 12, late).cluster_id == "late"
    assert dispatcher.stats.waiting == 0


async def test_a_lane_is_opened_at_the_first_request_and_may_fail_those_it_took(node: Node) -> None:
    desks: list[Desk] = []

    def open_lane(services: Any, desk: Desk) -> Any:
        assert services is node.services
        desks.append(desk)
        return Lane()

    dispatcher = serve(node, lambda request, context: m.MetadataResponse(cluster_id="handled"), lane=open_lane)
    assert not desks
    for _ in range(2):
        assert node.answer(3, 12, node.post(3, 12, METADATA)).cluster_id == "handled"
    [desk] = desks
    desk.failed(77, request_frame(3, 13, encode_request(3, 13, METADATA)), CONNECTION.id, 0, NOT_COORDINATOR)
    assert node.answer(3, 13, 77).error_code == ErrorCode.NOT_COORDINATOR
    desk.failed(78, request_frame(3, 13, encode_request(3, 13, METADATA)), 99, 0, NOT_COORDINATOR)
    assert 78 not in node.plane.replies  # its client has gone
    assert dispatcher.stats.errors == {("Metadata", "NOT_COORDINATOR"): 1}


async def test_what_a_lane_took_and_cannot_be_answered_ends_the_connection(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    desks: list[Desk] = []

    def fail(request: Any, code: ErrorCode, why: str | None) -> Any:
        raise RuntimeError("no words for it")

    serve(node, lambda *_: m.MetadataResponse(), fail=fail, lane=lambda _, desk: desks.append(desk) or Lane())
    node.post(3, 12, METADATA)
    desks[0].failed(77, request_frame(3, 12, encode_request(3, 12, METADATA)), CONNECTION.id, 0, NOT_COORDINATOR)
    assert node.plane.closed == [77]
    assert "could not be answered" in caplog.text


@pytest.mark.parametrize("version", [-1, 6, 99, 32767])
async def test_unknown_api_versions_gets_version_0_and_35(node: Node, version: int) -> None:
    """Trap 2: error 35 in a v0 body with the range of ApiVersions, header without tags, connection kept."""
    token = node.send(request_frame(18, version, b"\x0bwhatever\x02\xff"))
    answer = node.answer(18, 0, token)
    assert answer.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert [(one.api_key, one.min_version, one.max_version) for one in answer.api_keys] == [(18, 0, 5)]
    assert node.plane.closed == []


async def test_unknown_api_versions_with_a_header_that_cannot_be_read(node: Node) -> None:
    """Trap 2: whatever a future header looks like, correlation id and range come back."""
    token = node.send(struct.pack(">hhih", 18, 99, CORRELATION_ID, 2000))
    assert node.answer(18, 0, token).error_code == ErrorCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize(("key", "version"), [(3, 14), (3, -1), (0, 2), (0, 14), (1, 3), (999, 0), (38, 0), (-1, 0)])
async def test_any_other_unknown_version_closes(node: Node, key: int, version: int) -> None:
    """Trap 2: as Kafka does. Trap 1: Produce 0-2 are advertised and yet not served."""
    token = node.send(request_frame(key, version, b""))
    assert node.plane.closed == [token]
    assert node.plane.replies == {}
    assert node.dispatcher.stats.unsupported == 1


@pytest.mark.parametrize(("key", "name"), [(38, "CreateDelegationToken"), (999, "unknown to us")])
async def test_the_log_names_the_api_that_is_not_served(
    node: Node, caplog: pytest.LogCaptureFixture, key: int, name: str
) -> None:
    with caplog.at_level(logging.WARNING):
        node.send(request_frame(key, 0, b""))
    assert f"unsupported API or version ({name}, API key {key}, version 0)" in caplog.text


@pytest.mark.parametrize("size", range(len(request_frame(3, 12, b""))))
async def test_cut_header_closes(node: Node, size: int) -> None:
    token = node.send(request_frame(3, 12, b"")[:size])
    assert node.plane.closed == [token]
    assert node.dispatcher.stats.malformed == 1


async def test_malformed_body_closes_and_is_logged_once(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """Trap 7: a count beyond the frame costs nothing; the client's own words are escaped in the log."""
    frame = request_frame(3, 4, struct.pack(">i", 2**31 - 1), client_id="evil\n\x1b[31m\u202e")
    with caplog.at_level(logging.WARNING):
        tokens = [node.send(frame) for _ in range(3)]
    assert node.plane.closed == tokens
    assert node.dispatcher.stats.malformed == 3
    assert len(caplog.records) == 1
    text = caplog.records[0].getMessage()
    assert not {"\n", "\x1b", "\u202e"} & set(text)
    assert r"evil\n" in text


@pytest.mark.parametrize("client_id", [None, "", "ünï", "x" * 1000])
async def test_headers_of_flexible_versions(node: Node, client_id: str | None) -> None:
    """Trap 6: the client id stays an old-style nullable string, unknown tags are skipped, the answer's header has a
    tag section; ApiVersions answers without one for ever."""
    body = encode_request(3, 12, METADATA)
    plain = request_frame(3, 12, b"", client_id)[:-1]
    tagged = plain + b"\x02\x05\x03abc\x63\x00" + body[:-1] + b"\x01\x07\x01z"
    for frame in (plain + b"\0" + body, tagged):
        token = node.send(frame)
        assert node.plane.replies[token][8] == 0
        assert node.answer(3, 12, token).error_code == 0
    software = encode_request(18, 4, m.ApiVersionsRequest(client_software_name="x", client_software_version="1"))
    token = node.send(request_frame(18, 4, software, client_id))
    assert node.answer(18, 4, token).error_code == 0
    assert node.plane.replies[token][8:10] == b"\0\0"  # the error code itself


async def test_client_id_that_is_not_utf_8(node: Node) -> None:
    """Compatibility.md section 7: accepted, and a negative length other than -1 counts as null."""
    body = encode_request(3, 8, METADATA)
    for client_id in (b"\x00\x02\xff\xfe", b"\xff\xfe"):
        frame = struct.pack(">hhi", 3, 8, CORRELATION_ID) + client_id + body
        assert node.answer(3, 8, node.send(frame)).topics == []


async def test_trailing_bytes_are_ignored(node: Node) -> None:
    """Trap 7, compatibility.md section 7: trailing bytes are accepted."""
    frame = request_frame(3, 12, encode_request(3, 12, METADATA)) + b"more"
    assert node.answer(3, 12, node.send(frame)).error_code == 0


async def test_refusal_is_the_apis_own_failure(node: Node) -> None:
    def handle(request: Any, context: Any) -> Any:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "no")

    dispatcher = serve(node, handle)
    assert node.answer(3, 13, node.post(3, 13, METADATA)).error_code == ErrorCode.INVALID_REQUEST
    assert dispatcher.stats.failures["Metadata"] == 1


@pytest.mark.parametrize("later", [False, True])
async def test_unexpected_exception_is_logged_and_answered(
    node: Node, caplog: pytest.LogCaptureFixture, later: bool
) -> None:
    async def wait() -> Any:
        raise ZeroDivisionError("oops")

    def handle(request: Any, context: Any) -> Any:
        if later:
            return wait()
        raise ZeroDivisionError("oops")

    serve(node, handle)
    token = node.post(3, 13, METADATA)
    await node.settle()
    assert node.answer(3, 13, token).error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert any("MetadataRequest" in record.getMessage() and record.exc_info for record in caplog.records)


async def test_failed_disk_is_said_so(node: Node) -> None:
    async def handle() -> Any:
        raise StorageError("read", "/data/x", 5)

    serve(node, lambda request, context: handle())
    token = node.post(3, 13, METADATA)
    await node.settle()
    assert node.answer(3, 13, token).error_code == ErrorCode.KAFKA_STORAGE_ERROR


@pytest.mark.parametrize("later", [False, True])
async def test_failure_that_fails_itself_closes(node: Node, caplog: pytest.LogCaptureFixture, later: bool) -> None:
    """No request is left without answer and with an open connection."""

    async def wait() -> Any:
        raise ZeroDivisionError

    def handle(request: Any, context: Any) -> Any:
        return wait() if later else 1 // 0

    def fail(request: Any, code: ErrorCode, why: str | None) -> Any:
        raise ArithmeticError

    serve(node, handle, fail=fail)
    token = node.post(3, 13, METADATA)
    await node.settle()
    assert node.plane.closed == [token]
    await asyncio.sleep(0)
    assert "ArithmeticError" in caplog.text


async def test_request_after_the_stop_closes(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    async def wait() -> Any:
        return m.MetadataResponse()

    serve(node, lambda request, context: wait())
    await node.services.scope.close()
    assert node.plane.closed == [node.post(3, 13, METADATA)]
    assert caplog.records == []


async def test_failure_without_a_place_for_it_closes(node: Node) -> None:
    def handle(request: Any, context: Any) -> Any:
        raise KafkaError(ErrorCode.INVALID_REQUEST)

    serve(node, handle, fail=lambda request, code, why: Done.CLOSE)
    assert node.plane.closed == [node.post(3, 13, METADATA)]


async def test_answer_that_cannot_be_encoded_closes(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    serve(node, lambda request, context: m.MetadataResponse(controller_id=2**40))
    assert node.plane.closed == [node.post(3, 13, METADATA)]
    assert "cannot encode" in caplog.text


async def test_silence(node: Node) -> None:
    serve(node, lambda request, context: Done.SILENT)
    token = node.post(3, 13, METADATA)
    assert node.plane.replies == {token: b""}


async def test_kept_answer_is_given_again_until_the_image_changes(node: Node) -> None:
    calls = []

    def handle(request: Any, context: Any) -> Any:
        calls.append(request)
        context.keep = len(calls) > 1
        return m.MetadataResponse(controller_id=len(calls))

    dispatcher = serve(node, handle, cacheable=True)
    answers = [node.answer(3, 12, node.post(3, 12, METADATA)).controller_id for _ in range(4)]
    assert answers == [1, 2, 2, 2]
    assert dispatcher.stats.cache_hits == 2
    other = m.MetadataRequest(topics=[])
    assert node.answer(3, 12, node.post(3, 12, other)).controller_id == 3
    assert node.answer(3, 11, node.post(3, 11, METADATA)).controller_id == 4
    node.quorum.register(2, "other", 9092)
    assert node.answer(3, 12, node.post(3, 12, METADATA)).controller_id == 5


async def test_kept_answers_differ_by_how_the_node_is_reached(node: Node) -> None:
    """Trap 15: the advertised address belongs to the connection, so does the cached answer."""

    def handle(request: Any, context: Any) -> Any:
        context.keep = True
        return m.MetadataResponse(controller_id=context.told_address[1])

    serve(node, handle, cacheable=True)
    inside = CONNECTION._replace(local_port=1234)
    assert node.answer(3, 12, node.post(3, 12, METADATA)).controller_id == 9092
    assert node.answer(3, 12, node.post(3, 12, METADATA, connection=inside)).controller_id == 1234


def test_cache_is_bounded() -> None:
    image: Any = object()
    cache = AnswerCache(max_bytes=100, max_answers=3)
    assert cache.get(image, ("a",)) is None
    cache.put(image, ("big",), b"x" * 101)
    assert cache.get(image, ("big",)) is None
    for name in "abcd":
        cache.put(image, (name,), b"x" * 20)
        cache.get(image, ("a",))
    assert cache.get(image, ("a",)) is not None
    assert cache.get(image, ("b",)) is None
    cache.put(image, ("large",), b"x" * 90)
    assert [name for name in ("a", "c", "d", "large") if cache.get(image, (name,))] == ["large"]
    other: Any = object()
    cache.put(other, ("late",), b"x")
    assert cache.get(other, ("late",)) is None
