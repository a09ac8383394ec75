"""What HTTP and metrics read of the node, and the questions about it that both ask."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyralog.cluster.image import ClusterImage, ResourceType, TopicImage
from pyralog.config.view import BROKER_RESOURCE
from pyralog.coordinator.internal_topics import CONSUMER_OFFSETS, TRANSACTION_STATE
from pyralog.metrics import Latency
from pyralog.model import PartitionRegistration, TopicPartition
from pyralog.version import __version__

if TYPE_CHECKING:
    from pyralog.admin.scraping import Scraper
    from pyralog.cluster.quorum import Quorum
    from pyralog.config.schema import Config
    from pyralog.config.view import ConfigurationView
    from pyralog.coordinator.group.service import GroupCoordinator
    from pyralog.coordinator.transaction.service import TransactionCoordinator
    from pyralog.net.plane import Plane
    from pyralog.replication.lifecycle import Lifecycle
    from pyralog.replication.maintenance import Maintenance
    from pyralog.runtime import WorkPool

MIN_ISR = "min.insync.replicas"
INTERNAL_TOPICS = frozenset({CONSUMER_OFFSETS, TRANSACTION_STATE})


class RequestStats(Protocol):
    """What the dispatcher counts (api/dispatch.py): requests by API, their errors by (API, error), their durations."""

    @property
    def requests(self) -> Counter[str]: ...
    @property
    def errors(self) -> Counter[tuple[str, str]]: ...
    @property
    def durations(self) -> dict[str, Latency]: ...
    @property
    def malformed(self) -> int: ...
    @property
    def unsupported(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class Space(NamedTuple):
    """Bytes of the file system of a data folder; `free` is what this process can still write."""

    total: int
    used: int
    free: int


class Served(NamedTuple):
    """How many partitions there are and what is wrong with how many; `offline` is the controller's view."""

    partitions: int = 0
    hosted: int = 0
    leaders: int = 0
    offline: int = 0
    unopened: int = 0
    under_replicated: int = 0
    under_min_isr: int = 0
    at_min_isr: int = 0


@dataclass(slots=True)
class Sources:
    """The parts of a running node. All of them are the event loop's; only what is immutable may leave it."""

    config: Config
    quorum: Quorum
    plane: Plane
    lifecycle: Lifecycle
    configs: ConfigurationView
    groups: GroupCoordinator
    transactions: TransactionCoordinator
    stats: RequestStats
    work: WorkPool
    directory: str
    maintenance: Maintenance
    now_ms: Callable[[], int]
    started_ms: int = field(init=False)
    draining: bool = False
    scraper: Scraper | None = None

    def __post_init__(self) -> None:
        self.started_ms = self.now_ms()

    @property
    def node_id(self) -> int:
        """This node."""
        return self.config.node.node_id

    @property
    def image(self) -> ClusterImage:
        """The cluster as this node knows it."""
        return self.quorum.image

    def failure(self) -> str | None:
        """Why the log directory takes no records any more; None while all is well."""
        number = self.plane.engine.failure
        return os.strerror(number) if number else None

    def identity(self) -> dict[str, object]:
        """Who answers."""
        return {"version": __version__, "node_id": self.node_id, "cluster_id": self.image.cluster_id}


def space(directory: str) -> Space:
    """The space of a folder's file system; blocks."""
    found = os.statvfs(directory)
    total = found.f_blocks * found.f_frsize
    return Space(total, total - found.f_bfree * found.f_frsize, found.f_bavail * found.f_frsize)


def registrations(image: ClusterImage) -> Iterator[tuple[TopicPartition, PartitionRegistration]]:
    """Every partition of the cluster, by topic name and number."""
    for name in sorted(image.topics):
        for index, registration in enumerate(image.topics[name].partitions):
            yield TopicPartition(name, index), registration


def min_isr(image: ClusterImage, topic: str, inherited: str) -> int:
    """min.insync.replicas of a topic, which has at most as many as it has replicas."""
    return int(image.config(ResourceType.TOPIC, topic).get(MIN_ISR, inherited))


def inherited_min_isr(sources: Sources) -> str:
    """min.insync.replicas of topics that do not set it."""
    return sources.configs.broker_defaults(sources.image).inherited(MIN_ISR).text


def served(sources: Sources) -> Served:
    """Count over the whole image: some microseconds a topic."""
    image, node_id = sources.image, sources.node_id
    inherited = inherited_min_isr(sources)
    leaders = offline = under_replicated = under_min = at_min = 0
    for topic in image.topics.values():
        least = min_isr(image, topic.name, inherited)
        for one in topic.partitions:
            offline += one.leader < 0
            if one.leader == node_id:
                leaders += 1
                wanted = min(least, len(one.replicas))
                under_replicated += len(one.isr) < len(one.replicas)
                under_min += len(one.isr) < wanted
                at_min += len(one.isr) == wanted
    return Served(
        image.partition_count,
        len(sources.lifecycle.replicas),
        leaders,
        offline,
        len(sources.lifecycle.failed),
        under_replicated,
        under_min,
        at_min,
    )


def overrides(image: ClusterImage, topic: TopicImage) -> Mapping[str, str]:
    """What a topic sets itself."""
    return image.config(ResourceType.TOPIC, topic.name)


def broker_overrides(image: ClusterImage, node_id: int) -> Mapping[str, str]:
    """Dynamic configs in force on a broker: its own before those of all."""
    return {**image.config(BROKER_RESOURCE, ""), **image.config(BROKER_RESOURCE, str(node_id))}
