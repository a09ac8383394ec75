"""The topics in which coordinators keep their state: made on demand, with the settings that Kafka gives them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from pyralog.cluster.requests import CreateTopics, CreateTopicsReply, NewTopic
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import Pending

if TYPE_CHECKING:
    from pyralog.cluster.quorum import Quorum
    from pyralog.runtime import TaskScope

log = logging.getLogger(__name__)

CONSUMER_OFFSETS = "__consumer_offsets"
TRANSACTION_STATE = "__transaction_state"


class TopicPlan(NamedTuple):
    """How a coordinator's topic is made."""

    name: str
    partitions: int
    replication_factor: int
    configs: tuple[tuple[str, str | None], ...]


def offsets_plan(partitions: int, replication_factor: int, segment_bytes: int) -> TopicPlan:
    """__consumer_offsets."""
    configs = (
        ("cleanup.policy", "compact"),
        ("compression.type", "producer"),
        ("segment.bytes", str(segment_bytes)),
    )
    return TopicPlan(CONSUMER_OFFSETS, partitions, replication_factor, configs)


def transactions_plan(partitions: int, replication_factor: int, segment_bytes: int, min_isr: int) -> TopicPlan:
    """__transaction_state."""
    configs = (
        ("cleanup.policy", "compact"),
        ("compression.type", "uncompressed"),
        ("min.insync.replicas", str(min_isr)),
        ("segment.bytes", str(segment_bytes)),
        ("unclean.leader.election.enable", "false"),
    )
    return TopicPlan(TRANSACTION_STATE, partitions, replication_factor, configs)


class InternalTopic:
    """A coordinator's topic as it is in the cluster, or as it will be."""

    def __init__(self, plan: TopicPlan, quorum: Quorum, scope: TaskScope) -> None:
        self._plan = plan
        self._quorum = quorum
        self._scope = scope
        self._made: Pending[None] | None = None

    @property
    def name(self) -> str:
        """The topic's name."""
        return self._plan.name

    @property
    def partitions(self) -> int:
        """How many partitions it has; 0 while it does not exist."""
        topic = self._quorum.image.topics.get(self._plan.name)
        return 0 if topic is None else len(topic.partitions)

    def leader(self, partition: int) -> int:
        """The node that leads a partition; -1 without one."""
        registration = self._quorum.image.partition(self._plan.name, partition)
        return -1 if registration is None else registration.leader

    def make(self) -> Pending[None]:
        """Create it unless it exists; COORDINATOR_NOT_AVAILABLE when that fails. All who ask wait for one attempt."""
        if self.partitions:
            return Pending.of(None)
        if self._made is None:
            made: Pending[None] = Pending()
            self._made = made
            try:
                self._scope.start(self._make(made), name=f"make {self.name}")
            except RuntimeError:
                self._made = None
                return Pending.of(KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE, "this node is stopping"))
        return self._made

    async def _make(self, made: Pending[None]) -> None:
        plan = self._plan
        error: KafkaError | None = KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE, f"{plan.name} could not be made")
        try:
            topic = NewTopic(plan.name, plan.partitions, plan.replication_factor, (), plan.configs)
            reply = await self._quorum.submit(CreateTopics((topic,)))
            assert isinstance(reply, CreateTopicsReply)
            outcome = reply.topics[0]
            if outcome.error in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                error = None
            else:
                log.error("%s cannot be made: %s (%s)", plan.name, outcome.error.name, outcome.message)
        except KafkaError as refused:
            log.error("%s cannot be made: %s", plan.name, refused)
        except asyncio.CancelledError:
            pass  # the node stops; whoever waits hears so
        finally:
            self._made = None
            made.resolve(error)
