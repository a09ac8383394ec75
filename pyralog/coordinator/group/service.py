"""The group coordinator of this node: which shard a group belongs to, and what the rest of the node may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from pyralog.coordinator.partitioner import partition_for
from pyralog.coordinator.runtime import CoordinatorRuntime, Ports
from pyralog.runtime import Pending
from pyralog.wire.coordinator_records import GROUP_RECORDS

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage, ImageDelta
    from pyralog.coordinator.group.settings import GroupSettings
    from pyralog.coordinator.group.shard import GroupShard
    from pyralog.coordinator.internal_topics import InternalTopic

GROUP_RESOURCE = 32  # cluster.image.ResourceType.GROUP


class GroupCoordinator:
    """Groups and their offsets, over the partitions of __consumer_offsets that this node leads."""

    def __init__(self, topic: InternalTopic, settings: GroupSettings, ports: Ports, new_id: Callable[[], str]) -> None:
        self.topic = topic
        self.settings = settings
        self._new_id = new_id
        self._image: ClusterImage | None = None
        self.partitions = 1  # of __consumer_offsets, in the image that is followed
        # Of these topics, which a principal may see; set by app.py where there is access control.
        self.visible_topics: Callable[[str, Collection[str]], Collection[str]] = lambda _, topics: topics
        self.runtime: CoordinatorRuntime[GroupShard] = CoordinatorRuntime(topic.name, GROUP_RECORDS, ports, self._make)

    def _make(self, partition: int, image: ClusterImage) -> GroupShard:
        from pyralog.coordinator.group.shard import GroupShard  # a node starts without it

        shard = GroupShard(partition, self.settings, image, self._new_id, self._config)
        shard.visible_topics = self._visible
        return shard

    def _visible(self, principal: str, topics: Collection[str]) -> Collection[str]:
        return self.visible_topics(principal, topics)

    def _config(self, group_id: str) -> Any:
        return {} if self._image is None else self._image.config(GROUP_RESOURCE, group_id)

    # --- the node ---

    def begin(self, image: ClusterImage) -> None:
        """Load what this node leads, in the background."""
        self._follow(image)
        self.runtime.begin(image)

    def on_image(self, delta: ImageDelta, image: ClusterImage) -> None:
        """The cluster has changed."""
        self._follow(image)
        self.runtime.on_image(delta, image)

    def _follow(self, image: ClusterImage) -> None:
        self._image = image
        topic = image.topics.get(self.topic.name)
        self.partitions = 1 if topic is None else len(topic.partitions)

    def reconfigure(self, settings: GroupSettings) -> None:
        """Go by other settings from now on, groups and timers at hand included."""
        self.settings = settings
        self.runtime.reconfigure(settings)

    async def stop(self, timeout_ms: int) -> None:
        """Finish what is on its way; whoever waits is told to look elsewhere."""
        await self.runtime.stop(timeout_ms)

    # --- requests ---

    def partition_of(self, group_id: str) -> int:
        """The partition of __consumer_offsets that holds a group; the topic must exist."""
        return partition_for(group_id, self.topic.partitions)

    def submit(self, group_id: str, request: Any, size: int = 0) -> Pending[Any]:
        """What the group's shard answers. KafkaError 14, 15, 16 while it is not to be had here."""
        return self.runtime.submit_by_key(self.topic, group_id, request, size)

    def write_marker(
        self, partition: int, producer_id: int, producer_epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> Pending[None]:
        """End a producer's transaction in a partition of __consumer_offsets. KafkaError when it is not loaded here."""
        shard = self.runtime.shard(partition)
        return shard.write_marker(producer_id, producer_epoch, coordinator_epoch, commit=commit)

    # --- looking at it ---

    def shards(self) -> Iterator[GroupShard]:
        """The shards that are loaded here."""
        return self.runtime.machines()
