"""What every broker of a test can do about topics, however it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyralog.testing.ports import HOST
from pyralog.testing.wire import Wire


class Topics:
    """Topics of the broker at `port`."""

    port: int

    @property
    def host(self) -> str:
        """Where it listens: this machine only."""
        return HOST

    @property
    def bootstrap_servers(self) -> str:
        """host:port, for a client's option of that name."""
        return f"{HOST}:{self.port}"

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        *,
        replication_factor: int = 1,
        config: Mapping[str, object] | None = None,
    ) -> str:
        """Make a topic and return its name; it has leaders when this returns."""
        self.create_topics([name], partitions, replication_factor=replication_factor, config=config)
        return name

    def create_topics(
        self,
        names: Iterable[str],
        partitions: int = 1,
        *,
        replication_factor: int = 1,
        config: Mapping[str, object] | None = None,
    ) -> None:
        """Make topics that are alike; pyralog.errors.KafkaError when one cannot be made."""
        with Wire(HOST, self.port) as wire:
            wire.create_topics(names, partitions, replication_factor, config or {})

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics and their records."""
        with Wire(HOST, self.port) as wire:
            wire.delete_topics(names)

    def topics(self) -> dict[str, int]:
        """Names and numbers of partitions; internal topics are left out."""
        with Wire(HOST, self.port) as wire:
            return wire.topics()
