"""From a forwarded frame to its answer: header, version, decoding, the handler, its failures, encoding, the reply."""

from __future__ import annotations

import inspect
import logging
import struct
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pyralog._speedups.desk import Desk
from pyralog.api.audit import AUDITED
from pyralog.api.context import Context, Services
from pyralog.api.handler import Api, Done
from pyralog.errors import ErrorCode, KafkaError, StorageError
from pyralog.metrics import Latency
from pyralog.net.plane_types import FORWARD_API, Forwarded
from pyralog.runtime import Pending
from pyralog.wire.headers import RequestHeader, frame_response, parse_request_header
from pyralog.wire.protocol import API, EncodeError, ProtocolError, decode_request, encode_response

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage

log = logging.getLogger(__name__)

API_VERSIONS = 18
MAX_COMPLAINTS = 1000  # different malformed requests that are logged; more are only counted
MAX_CACHED_BYTES = 16 * 1024 * 1024
MAX_CACHED_ANSWERS = 64
MAX_CACHED_REQUEST_BYTES = 64 * 1024  # the request is the key
MAX_LOGGED_REQUEST_BYTES = 64 * 1024  # what is larger is not printed
_FIXED_HEADER = struct.Struct(">hhi")


@dataclass(slots=True)
class DispatchStats:
    """What the dispatcher has counted since the start."""

    requests: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)  # failures by API and error code
    durations: dict[str, Latency] = field(default_factory=dict)
    malformed: int = 0
    unsupported: int = 0
    cache_hits: int = 0
    waiting: int = 0

    def failed(self, api: str, code: ErrorCode) -> None:
        """A request failed as a whole."""
        self.failures[api] += 1
        self.errors[api, code.name] += 1

    def latency(self, api: str) -> Latency:
        """How long requests took."""
        found = self.durations.get(api)
        if found is None:
            found = self.durations[api] = Latency()
        return found

    def took(self, api: str, began_ns: int) -> None:
        """A request was answered."""
        self.latency(api).add(time.monotonic_ns() - began_ns)


class AnswerCache:
    """Encoded answers that depend on nothing but the image, the asker and the request's bytes.

    A flood of the same Metadata request must not cost an encoding each (1,000 topics are 2 ms of Python). The least
    recently used answers leave first; another image empties the cache.
    """

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES, max_answers: int = MAX_CACHED_ANSWERS) -> None:
        self._max_bytes = max_bytes
        self._max_answers = max_answers
        self._image: ClusterImage | None = None
        self._bytes = 0
        self._answers: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def clear(self) -> None:
        """Forget everything: answers depend on this node's configuration too."""
        self._image = None

    def get(self, image: ClusterImage, key: tuple[object, ...]) -> bytes | None:
        """The body for this key under this image, or None."""
        if image is not self._image:
            self._image = image
            self._answers.clear()
            self._bytes = 0
            return None
        body = self._answers.get(key)
        if body is not None:
            self._answers.move_to_end(key)
        return body

    def put(self, image: ClusterImage, key: tuple[object, ...], body: bytes) -> None:
        """Keep a body; one that is larger than the whole cache is not kept."""
        if image is not self._image or len(body) > self._max_bytes or key in self._answers:
            return
        self._answers[key] = body
        self._bytes += len(body)
        while self._bytes > self._max_bytes or len(self._answers) > self._max_answers:
            _, dropped = self._answers.popitem(last=False)
            self._bytes -= len(dropped)


class Dispatcher:
    """Answers every request that the plane forwards; called on the event loop only."""

    def __init__(self, apis: Mapping[int, Api], services: Services) -> None:
        self._apis = apis
        self._services = services
        self._cache = AnswerCache()
        self._complaints: set[tuple[str, int, int, str]] = set()
        self.stats = DispatchStats()
        # Whose lane is still to be made: at their first request, since a node starts without what they need. By the
        # bytes that a frame begins with, the API key.
        self._lanes = {key.to_bytes(2, "big"): api for key, api in apis.items() if api.lane is not None}

    def _open_lane(self, api: Api) -> None:
        desk = Desk(api.name, self.stats, self.stats.latency(api.name).add, partial(self._answer_error, api))
        assert api.lane is not None
        self._services.plane.take_with(api.lane(self._services, desk))

    def forget_answers(self) -> None:
        """The configuration of this node has changed."""
        self._cache.clear()

    def dispatch(self, forwarded: Forwarded) -> None:
        """Handle one request; its answer leaves by plane.reply, at once or when what it waits for has happened."""
        try:
            if self._lanes and (api := self._lanes.pop(forwarded.frame[:2], None)) is not None:
                self._open_lane(api)
            self._dispatch(forwarded)
        except Exception:
            # A fault of ours, not of a handler. Without answer the connection would wait for ever.
            log.exception("a request of %d bytes could not be dispatched", len(forwarded.frame))
            self._services.plane.close(forwarded.token)

    def _answer_error(
        self, api: Api, token: int, frame: bytes, connection: int, began_ns: int, error: Exception
    ) -> None:
        """Say why a request that a lane took has no answer."""
        found = self._services.plane.connection(connection)
        if found is None:
            return  # its client has gone
        forwarded = Forwarded(token, frame, found, FORWARD_API)
        try:
            header = parse_request_header(forwarded.frame)
            context = Context(self._services, self._apis, header, forwarded)
            context.began_ns = began_ns
            request = decode_request(header.api_key, header.api_version, forwarded.frame, header.body_offset)
            self._answer(api, request, context, self._failure(api, request, context, error))
        except Exception:
            log.exception("%s could not be answered", api.name)
            self._services.plane.close(forwarded.token)

    def _dispatch(self, forwarded: Forwarded) -> None:
        try:
            header = parse_request_header(forwarded.frame)
        except ProtocolError as error:
            self._refuse_header(forwarded, error)
            return
        api = self._apis.get(header.api_key)
        if api is None or not api.serves(header.api_version):
            self._refuse_version(forwarded, header.api_key, header.api_version, header.correlation_id)
            return
        self.stats.requests[api.name] += 1
        began_ns = time.monotonic_ns()
        context = Context(self._services, self._apis, header, forwarded)
        context.began_ns = began_ns
        key: tuple[object, ...] | None = None
        if api.cacheable and len(context.frame) <= MAX_CACHED_REQUEST_BYTES:
            key = self._cache_key(context)
            body = self._cache.get(context.image, key)
            if body is not None:
                self.stats.cache_hits += 1
                self._services.plane.reply(forwarded.token, frame_response(header, body))
                self.stats.took(api.name, began_ns)
                return
        try:
            request = decode_request(header.api_key, header.api_version, forwarded.frame, header.body_offset)
        except ProtocolError as error:
            self._refuse_malformed(forwarded, header.api_key, header.api_version, header.client_id, error)
            return
        self._handle(api, request, context, key)

    def _handle(self, api: Api, request: Any, context: Context, key: tuple[object, ...] | None) -> None:
        try:
            result = api.handle(request, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and the client gets its answer
            result = self._failure(api, request, context, error)
        if type(result) is Pending:
            self._later(api, request, context, result)
            return
        if inspect.isawaitable(result):
            self._start(api, request, context, result)
            return
        body = self._answer(api, request, context, result)
        if body is not None and key is not None and context.keep:
            self._cache.put(context.image, key, body)

    def _later(self, api: Api, request: Any, context: Context, pending: Pending[Any]) -> None:
        """Answer when the result is there, without a task: most requests of groups wait for one append only."""

        def answer(result: Any) -> None:
            self.stats.waiting -= 1
            try:
                if isinstance(result, Exception):
                    result = self._failure(api, request, context, result)
                self._answer(api, request, context, result)
            except Exception:
                log.exception("%s v%d from %s could not be answered", api.name, context.version, context.peer)
                self._services.plane.close(context.token)

        self.stats.waiting += 1
        pending.then(answer)

    def _start(self, api: Api, request: Any, context: Context, pending: Awaitable[Any]) -> None:
        try:
            self._services.scope.start(self._wait(api, request, context, pending), name=f"api {api.name}")
        except RuntimeError:
            # The node is stopping; nobody will ever await this, and its clients are about to find another node.
            if inspect.iscoroutine(pending):
                pending.close()
            log.debug("%s v%d from %s came during the stop", api.name, context.version, context.peer)
            self._services.plane.close(context.token)
            return
        self.stats.waiting += 1

    async def _wait(self, api: Api, request: Any, context: Context, pending: Awaitable[Any]) -> None:
        try:
            try:
                result = await pending
            except Exception as error:  # noqa: BLE001 - as above
                result = self._failure(api, request, context, error)
            self._answer(api, request, context, result)
        except Exception:
            self._services.plane.close(context.token)
            raise
        finally:
            self.stats.waiting -= 1

    def _failure(self, api: Api, request: Any, context: Context, error: Exception) -> Any:
        """The answer to a request whose handler raised."""
        if isinstance(error, KafkaError):
            self.stats.failed(api.name, error.code)
            return api.fail(request, error.code, error.why)
        code = ErrorCode.KAFKA_STORAGE_ERROR if isinstance(error, StorageError) else ErrorCode.UNKNOWN_SERVER_ERROR
        self.stats.failed(api.name, code)
        size = len(context.frame)
        what = f"{request!r:.1000}" if size <= MAX_LOGGED_REQUEST_BYTES else f"{size} bytes"
        log.error("%s v%d from %s failed: %s", api.name, context.version, context.peer, what, exc_info=error)
        return api.fail(request, code, None)

    def _answer(self, api: Api, request: Any, context: Context, result: Any) -> bytes | None:
        """Send what a handler returned; the encoded body when there is one."""
        if api.key in AUDITED or context.refused is not None:
            self._services.auditor.answered(api.key, request, result, context)
        plane, token = self._services.plane, context.token
        self.stats.took(api.name, context.began_ns)
        if result is Done.HANDED_BACK:
            return None
        if result is Done.SILENT:
            plane.reply(token, b"")
            return None
        if result is Done.CLOSE:
            plane.close(token)
            return None
        try:
            body = encode_response(api.key, context.version, result)
        except EncodeError:
            # Nothing well-formed can be said any more, and a half-written answer would shift all later ones.
            log.exception("cannot encode the answer to %s v%d: %.1000r", api.name, context.version, result)
            self.stats.failed(api.name, ErrorCode.UNKNOWN_SERVER_ERROR)
            plane.close(token)
            return None
        plane.reply(token, frame_response(context.header, body))
        return body

    def _cache_key(self, context: Context) -> tuple[object, ...]:
        header = context.header
        return (
            header.api_key,
            header.api_version,
            context.principal,
            context.told_address,
            context.frame[header.body_offset :],
        )

    def _refuse_header(self, forwarded: Forwarded, error: ProtocolError) -> None:
        """Even a header that cannot be read gets an answer if it asks for unknown ApiVersions (trap 2)."""
        if len(forwarded.frame) >= _FIXED_HEADER.size:
            api_key, version, correlation_id = _FIXED_HEADER.unpack_from(forwarded.frame)
            api = self._apis.get(api_key)
            if api is None or not api.serves(version):
                self._refuse_version(forwarded, api_key, version, correlation_id)
                return
        else:
            api_key, version = -1, -1
        self._refuse_malformed(forwarded, api_key, version, None, error)

    def _refuse_version(self, forwarded: Forwarded, api_key: int, version: int, correlation_id: int) -> None:
        """ApiVersions gets the range to fall back to in its oldest form; anything else closes the connection."""
        self.stats.unsupported += 1
        api = self._apis.get(api_key)
        if api_key == API_VERSIONS and api is not None:
            header = RequestHeader(API_VERSIONS, 0, correlation_id, None, 0)
            body = encode_response(API_VERSIONS, 0, api.fail(None, ErrorCode.UNSUPPORTED_VERSION, None))
            self._services.plane.reply(forwarded.token, frame_response(header, body))
            return
        self._complain(forwarded, api_key, version, "unsupported", "unsupported API or version")
        self._services.plane.close(forwarded.token)

    def _refuse_malformed(
        self, forwarded: Forwarded, api_key: int, version: int, client_id: str | None, error: ProtocolError
    ) -> None:
        self.stats.malformed += 1
        self._complain(
            forwarded, api_key, version, "malformed", f"malformed request, client id {client_id!a:.200}: {error!s:.200}"
        )
        self._services.plane.close(forwarded.token)

    def _complain(self, forwarded: Forwarded, api_key: int, version: int, kind: str, what: str) -> None:
        """One log line per host, API version and kind of mistake: a broken client must not fill the disk."""
        complaint = (forwarded.connection.peer_host, api_key, version, kind)
        if complaint in self._complaints or len(self._complaints) >= MAX_COMPLAINTS:
            return
        self._complaints.add(complaint)
        connection = forwarded.connection
        log.warning(
            "closing the connection of %s:%d: %s (%s, API key %d, version %d); repetitions are only counted",
            connection.peer_host,
            connection.peer_port,
            what,
            API[api_key].name if api_key in API else "unknown to us",
            api_key,
            version,
        )
