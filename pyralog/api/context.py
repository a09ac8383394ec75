"""What a handler gets besides the request: who asks, over which connection, and the services it may use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pyralog.api.audit import Auditor
from pyralog.api.authorizer import (
    CLUSTER_NAME,
    NOT_ASKED,
    AllowAll,
    Authorizer,
    Operation,
    ResourceType,
    authorized_operations,
)
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.api.handler import Api
    from pyralog.api.logs import LocalLogs
    from pyralog.api.producer_ids import ProducerIds
    from pyralog.cluster.image import ClusterImage
    from pyralog.cluster.quorum import Quorum
    from pyralog.config.schema import Config
    from pyralog.config.view import ConfigurationView
    from pyralog.coordinator.group.service import GroupCoordinator
    from pyralog.coordinator.transaction.service import TransactionCoordinator
    from pyralog.model import TopicPartition
    from pyralog.net.plane import Plane
    from pyralog.net.plane_types import ConnectionInfo, Forwarded, PartitionSnapshot
    from pyralog.runtime import TaskScope, WorkPool
    from pyralog.wire.headers import RequestHeader

T = TypeVar("T")

# Refusals of a request that are remembered for the audit log.
MAX_REFUSED = 20
LOOKING = (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS)


@dataclass(slots=True)
class ApiSettings:
    """What handlers must know of this node's configuration; the next request goes by what is written here."""

    node_id: int
    auto_create_topics: bool = True
    request_timeout_ms: int = 30_000
    max_described_partitions: int = 2000

    def take(self, config: Config) -> None:
        """Go by this configuration."""
        self.auto_create_topics = config.topics.auto_create
        self.request_timeout_ms = config.network.request_timeout_ms
        self.max_described_partitions = config.topics.max_described_partitions


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that handlers may use; built once by app.py.

    `address_for(connection)` is the host and port by which the asker of that connection reaches this node.
    """

    settings: ApiSettings
    quorum: Quorum
    plane: Plane
    logs: LocalLogs
    configs: ConfigurationView
    scope: TaskScope
    work: WorkPool
    address_for: Callable[[ConnectionInfo], tuple[str, int]]
    groups: GroupCoordinator
    transactions: TransactionCoordinator
    producer_ids: ProducerIds
    authorizer: Authorizer = field(default_factory=AllowAll)
    auditor: Auditor = field(default_factory=Auditor)


class Context:
    """One request's surroundings. A handler that sets `keep` says: the answer depends on nothing but the image, the
    asker and the request's bytes, so the next equal request may get the same one."""

    __slots__ = ("apis", "began_ns", "connection", "frame", "header", "keep", "refused", "services", "token")

    def __init__(
        self, services: Services, apis: Mapping[int, Api], header: RequestHeader, forwarded: Forwarded
    ) -> None:
        self.services = services
        self.apis = apis
        self.header = header
        self.token = forwarded.token
        self.frame = forwarded.frame
        self.connection = forwarded.connection
        self.keep = False
        self.began_ns = 0  # monotonic; when dispatch took it
        self.refused: list[tuple[Operation, ResourceType, str]] | None = None  # for the audit log

    @property
    def version(self) -> int:
        """The request's API version."""
        return self.header.api_version

    @property
    def principal(self) -> str:
        """Who asks."""
        return self.connection.principal

    @property
    def peer(self) -> str:
        """host:port of the asker, for logs."""
        return f"{self.connection.peer_host}:{self.connection.peer_port}"

    @property
    def image(self) -> ClusterImage:
        """The cluster as this node knows it now; another object after each await."""
        return self.services.quorum.image

    @property
    def told_address(self) -> tuple[str, int]:
        """Host and port of this node as the asker reaches it."""
        return self.services.address_for(self.connection)

    def allows(
        self, operation: Operation, name: str, resource: ResourceType = ResourceType.TOPIC, *, audited: bool = True
    ) -> bool:
        """True when the asker may do this. A refusal is audited, unless it only hides something from a list, or
        (`audited` false) the asker has not asked for it."""
        allowed = self.services.authorizer.allows(self.principal, operation, resource, name)
        if not allowed and audited and operation not in LOOKING:
            self.refused = self.refused or []
            if len(self.refused) < MAX_REFUSED:
                self.refused.append((operation, resource, name))
        return allowed

    def allows_on_cluster(self, operation: Operation) -> bool:
        """True when the asker may do this to the cluster as a whole."""
        return self.allows(operation, CLUSTER_NAME, ResourceType.CLUSTER)

    def demand_on_cluster(self, operation: Operation) -> None:
        """KafkaError(CLUSTER_AUTHORIZATION_FAILED) unless the asker may do this to the cluster."""
        if not self.allows_on_cluster(operation):
            raise KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "not authorized on the cluster")

    def operations(self, resource: ResourceType, name: str, asked: bool = True) -> int:
        """The authorised-operations bit field; the value for "not asked" unless the client asked (trap 21)."""
        if not asked:
            return NOT_ASKED
        return authorized_operations(self.services.authorizer, self.principal, resource, name)

    def snapshot(self, tp: TopicPartition) -> PartitionSnapshot:
        """The state of a partition that this node serves; KafkaError when it does not, or its disk has failed."""
        found = self.services.plane.snapshot(tp)
        if found is None:
            # What the image says is led here was opened before the image said so: this one could not be.
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the partition could not be opened")
        if found.failed:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
        return found

    def bounded(self, timeout_ms: int) -> int:
        """How long this request may wait: what it asks for, but no longer than network.request_timeout_ms."""
        longest = self.services.settings.request_timeout_ms
        return min(timeout_ms, longest) if timeout_ms > 0 else longest

    async def within(self, timeout_ms: int, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; KafkaError(REQUEST_TIMED_OUT) when it takes longer. The work is not cancelled: what
        was handed to the cluster may still happen, which is what that error means to clients."""
        task = self.services.scope.start(_settled(work), name=f"work of {self.header.api_key}")
        done, _ = await asyncio.wait({task}, timeout=max(timeout_ms, 0) / 1000)
        if not done:
            raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, f"not done within {timeout_ms} ms")
        result = task.result()
        if isinstance(result, KafkaError):
            raise result
        return result


async def _settled(work: Coroutine[Any, Any, T]) -> T | KafkaError:
    """The result, or the refusal as a value: a scope takes an exception of its task for a fault."""
    try:
        return await work
    except KafkaError as error:
        return error
