"""One shard of groups under virtual time: its log, its timers, topics that come and go, crashes and rebuilds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from pyralog.cluster.image import ClusterImage, ImageDelta, TopicImage
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.outcome import ClientRequest, CoordinatorRecord, Outcome, Timer
from pyralog.errors import KafkaError
from pyralog.model import PartitionRegistration, Uuid
from pyralog.wire.coordinator_records import (
    GROUP_RECORDS,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)

PARTITION = PartitionRegistration((1,), (1,), 1, 0, 0)
Logged = tuple[bytes, bytes | None]


def image_of(topics: Mapping[str, tuple[Uuid, int]], offset: int = 0) -> ClusterImage:
    """An image with these topics: name -> (id, partitions)."""
    images = {name: TopicImage(name, topic_id, (PARTITION,) * count) for name, (topic_id, count) in topics.items()}
    return ClusterImage(
        offset=offset, topics=images, topic_names={topic.topic_id: name for name, topic in images.items()}
    )


class World:
    """Hands requests to the shard and does with its outcomes what the runtime does."""

    def __init__(self, seed: int, settings: GroupSettings | None = None) -> None:
        self.rng = random.Random(seed)
        self.settings = settings or GroupSettings()
        self.now_ms = 1_700_000_000_000
        self.topics: dict[str, tuple[Uuid, int]] = {}
        self.configs: dict[str, dict[str, str]] = {}
        self.log: list[Logged] = []
        self.timers: dict[tuple[str, ...], Timer] = {}
        self.answers: dict[int, Any] = {}
        self._ids = 0
        self._tickets = 0
        self.image = image_of({})
        self.shard = self._new_shard()
        self.watch: Callable[[], None] = lambda: None

    def _new_shard(self) -> GroupShard:
        return GroupShard(0, self.settings, self.image, self.new_id, lambda group: self.configs.get(group, {}))

    def new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids:05}"

    # --- requests ---

    def ask(self, message: Any, version: int = 1, client_id: str = "c") -> Any:
        """The answer to a request, which must come at once; KafkaError is raised."""
        ticket = self.post(message, version, client_id)
        answer = self.answers.pop(ticket)
        if isinstance(answer, KafkaError):
            raise answer
        return answer

    def post(self, message: Any, version: int = 1, client_id: str = "c") -> int:
        """Hand a request in; its answer is in `answers` under this ticket, now or later."""
        self._tickets += 1
        ticket = self._tickets
        request = ClientRequest(message, version, client_id, "127.0.0.1")
        try:
            outcome = self.shard.handle(request, ticket, self.now_ms)
        except KafkaError as error:
            self.answers[ticket] = error
            return ticket
        self.take(outcome)
        return ticket

    def take(self, outcome: Outcome) -> None:
        """Append, replay, set timers, answer."""
        for record in outcome.records:
            self._append(record)
        for timer in outcome.timers:
            if timer.due_ms is None:
                self.timers.pop(timer.key, None)
            else:
                self.timers[timer.key] = timer
        for reply in outcome.replies:
            assert reply.ticket not in self.answers, "answered twice"
            self.answers[reply.ticket] = reply.value
        self.watch()

    def _append(self, record: CoordinatorRecord) -> None:
        key = encode_key(record.key)
        value = None if record.value is None else encode_value(record.value, record.value_version)
        self.log.append((key, value))
        self._replay(self.shard, key, value, len(self.log) - 1)

    def _replay(self, shard: GroupShard, raw_key: bytes, raw_value: bytes | None, offset: int) -> None:
        key = decode_key(raw_key, GROUP_RECORDS)
        assert key is not None
        value = None if raw_value is None else decode_value(key, raw_value)
        shard.replay(key, value, offset=offset, timestamp_ms=self.now_ms, transaction=None)

    # --- time ---

    def advance(self, by_ms: int) -> None:
        """Let time pass; timers fire when they are due."""
        end = self.now_ms + by_ms
        while True:
            due = min(self.timers.values(), key=lambda timer: timer.due_ms or 0, default=None)
            if due is None or due.due_ms is None or due.due_ms > end:
                break
            self.now_ms = max(self.now_ms, due.due_ms)
            del self.timers[due.key]
            self.take(self.shard.handle(due.event, 0, self.now_ms))
        self.now_ms = end

    # --- the cluster ---

    def set_topic(self, name: str, partitions: int) -> None:
        """Create a topic, or give it more partitions."""
        topic_id = self.topics[name][0] if name in self.topics else self.rng.randbytes(16)
        self._change({**self.topics, name: (topic_id, partitions)})

    def delete_topic(self, name: str) -> None:
        """Delete it; a later one of this name has another id."""
        self._change({other: value for other, value in self.topics.items() if other != name})

    def _change(self, topics: dict[str, tuple[Uuid, int]]) -> None:
        before, self.topics = self.image, topics
        self.image = image_of(topics, before.offset + 1)
        delta: dict[Uuid, tuple[TopicImage | None, TopicImage | None]] = {}
        for topic_id in {*before.topic_names, *self.image.topic_names}:
            old, new = before.topic_by_id(topic_id), self.image.topic_by_id(topic_id)
            if old != new:
                delta[topic_id] = (old, new)
        self.take(self.shard.on_image(self.image, ImageDelta(delta), self.now_ms))

    # --- crashes ---

    def rebuilt(self, compacted: bool = False) -> GroupShard:
        """Another shard from the log; `compacted` leaves only the last record of each key, tombstones perhaps too."""
        last = {key: offset for offset, (key, _) in enumerate(self.log)}
        dirty = self.rng.randrange(len(self.log) + 1) if self.log else 0
        horizon = self.rng.randrange(dirty + 1)
        shard = self._new_shard()
        for offset, (key, value) in enumerate(self.log):
            if compacted and offset < dirty:
                superseded = last[key] != offset and any(o < dirty for o in (self._next(key, offset),))
                if superseded or (value is None and offset < horizon):
                    continue
            self._replay(shard, key, value, offset)
        return shard

    def _next(self, key: bytes, offset: int) -> int:
        for later in range(offset + 1, len(self.log)):
            if self.log[later][0] == key:
                return later
        return len(self.log)

    def crash(self, compacted: bool = False) -> None:
        """The node dies and comes back: what was volatile is gone, timers start again."""
        self.shard = self.rebuilt(compacted)
        self.timers.clear()
        self.answers.clear()
        self.take(self.shard.start(self.now_ms))
