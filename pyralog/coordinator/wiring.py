"""Builds the coordinators of a node from its configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pyralog.coordinator.group.service import GroupCoordinator
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.coordinator.internal_topics import InternalTopic, offsets_plan, transactions_plan
from pyralog.coordinator.transaction.service import ProducerIdSource, TransactionCoordinator
from pyralog.coordinator.transaction.settings import TransactionSettings

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage, ImageDelta
    from pyralog.cluster.quorum import Quorum
    from pyralog.config.schema_groups import GroupsSection, TransactionsSection
    from pyralog.coordinator.runtime import Ports


class Coordinators(NamedTuple):
    """The coordinators of a node."""

    groups: GroupCoordinator
    transactions: TransactionCoordinator

    def begin(self, image: ClusterImage) -> None:
        """Load what this node leads, in the background."""
        self.groups.begin(image)
        self.transactions.begin(image)

    def on_image(self, delta: ImageDelta, image: ClusterImage) -> None:
        """The cluster has changed."""
        self.groups.on_image(delta, image)
        self.transactions.on_image(delta, image)

    def reconfigure(self, groups: GroupsSection, transactions: TransactionsSection) -> None:
        """Go by another configuration from now on."""
        if self.groups.settings != (settings := group_settings(groups)):
            self.groups.reconfigure(settings)
        if self.transactions.settings != (wanted := transaction_settings(transactions)):
            self.transactions.reconfigure(wanted)

    async def stop(self, timeout_ms: int) -> None:
        """Finish what is on its way; whoever waits is told to look elsewhere."""
        # First those that write markers into the topics of the other.
        await self.transactions.stop(timeout_ms)
        await self.groups.stop(timeout_ms)


def build(
    groups: GroupsSection,
    transactions: TransactionsSection,
    quorum: Quorum,
    ports: Ports,
    producer_ids: ProducerIdSource,
) -> Coordinators:
    """The coordinators, not yet begun."""
    offsets_topic = InternalTopic(
        offsets_plan(groups.offsets_num_partitions, groups.offsets_replication_factor, groups.offsets_segment_bytes),
        quorum,
        ports.scope,
    )
    transaction_topic = InternalTopic(
        transactions_plan(
            transactions.state_num_partitions,
            transactions.state_replication_factor,
            transactions.state_segment_bytes,
            transactions.state_min_isr,
        ),
        quorum,
        ports.scope,
    )
    group_coordinator = GroupCoordinator(offsets_topic, group_settings(groups), ports, random_id)
    settings = transaction_settings(transactions)
    return Coordinators(
        group_coordinator,
        TransactionCoordinator(transaction_topic, settings, ports, group_coordinator, producer_ids),
    )


def group_settings(section: GroupsSection) -> GroupSettings:
    """The group machines' part of the configuration."""
    return GroupSettings(**{name: getattr(section, name) for name in GroupSettings._fields if hasattr(section, name)})


def transaction_settings(section: TransactionsSection) -> TransactionSettings:
    """The transaction machines' part of the configuration."""
    return TransactionSettings(section.max_timeout_ms, section.id_expiration_ms, section.expiration_check_interval_ms)


def random_id(random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """A random UUID (version 4) as text; the uuid module costs start-up time."""
    raw = bytearray(random_bytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
