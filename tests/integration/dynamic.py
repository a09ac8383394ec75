"""What the tests of dynamic configuration share: a broker in this process, and a client that sets and asks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from pyralog.testing import Broker
from pyralog.wire import messages as m
from tests.integration.raw import batch
from tests.integration.wire_client import WireClient

BROKER, TOPIC = 4, 2
SET, DELETE, APPEND, SUBTRACT = range(4)


class Admin(WireClient):
    """Sets configs of the brokers, and does the few things that show whether they hold."""

    def alter(
        self, changes: dict[str, str | None], node: str = "", *, op: int = SET, validate: bool = False
    ) -> tuple[int, str | None]:
        """Set (None: unset) values; error code and text."""
        configs = [
            m.IncrementalAlterConfigsRequestAlterableConfig(
                name=name, config_operation=DELETE if value is None else op, value=value
            )
            for name, value in changes.items()
        ]
        resource = m.IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=BROKER, resource_name=node, configs=configs
        )
        (answer,) = self.ask(
            44, 1, m.IncrementalAlterConfigsRequest(resources=[resource], validate_only=validate)
        ).responses
        return answer.error_code, answer.error_message

    def set(self, node: str = "", **values: object) -> None:
        """Set values that must be taken; `__` in a name is a dot."""
        changes = {name.replace("__", "."): None if value is None else str(value) for name, value in values.items()}
        assert self.alter(changes, node) == (0, None)

    def configs(self, kind: int = BROKER, name: str = "1") -> dict[str, Any]:
        """Every config of a resource by its name."""
        resource = m.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=None)
        request = m.DescribeConfigsRequest(resources=[resource], include_synonyms=True, include_documentation=True)
        (answer,) = self.ask(32, 4, request).results
        assert answer.error_code == 0, answer.error_message
        return {config.name: config for config in answer.configs}

    def produce(self, topic: str, *values: bytes, data: bytes | None = None) -> int:
        """Error code of a batch with acks=all."""
        records = batch(list(values)) if data is None else data
        partition = m.PartitionProduceData(index=0, records=records)
        request = m.ProduceRequest(
            acks=-1, timeout_ms=10_000, topic_data=[m.TopicProduceData(name=topic, partition_data=[partition])]
        )
        return int(self.ask(0, 9, request).responses[0].partition_responses[0].error_code)

    def fetch(self, topic: str, *, session: int = -1) -> Any:
        """The answer to a fetch from the start; `session` 0 asks for a fetch session."""
        partition = m.FetchRequestFetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1 << 20)
        request = m.FetchRequest(
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=1 << 20,
            session_epoch=session,
            topics=[m.FetchRequestFetchTopic(topic=topic, partitions=[partition])],
        )
        return self.ask(1, 11, request)

    def metadata(self, topic: str, *, create: bool = True) -> Any:
        """What Metadata says of a topic."""
        request = m.MetadataRequest(topics=[m.MetadataRequestTopic(name=topic)], allow_auto_topic_creation=create)
        return self.ask(3, 12, request).topics[0]

    def offsets(self, topic: str) -> tuple[int, int]:
        """Log start and log end."""
        found = []
        for timestamp in (-2, -1):
            partition = m.ListOffsetsPartition(partition_index=0, timestamp=timestamp)
            request = m.ListOffsetsRequest(topics=[m.ListOffsetsTopic(name=topic, partitions=[partition])])
            found.append(self.ask(2, 5, request).topics[0].partitions[0].offset)
        return found[0], found[1]


@contextlib.contextmanager
def running(**config: object) -> Iterator[tuple[Broker, Admin]]:
    """A broker with these keys (`__` is a dot), a client of it, and the topic t."""
    settings = {name.replace("__", "."): value for name, value in config.items()}
    with Broker(config=settings) as broker, Admin(broker.port) as admin:
        admin.create_topics(["t"], 1, 1, {})
        yield broker, admin
