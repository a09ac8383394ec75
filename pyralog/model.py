"""Frozen values shared by every layer: who, where, how far."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import NamedTuple

# Kafka's UUIDs are 16 plain bytes here: the wire, the files and the plane all want them so.
Uuid = bytes
ZERO_UUID: Uuid = bytes(16)


def uuid_text(value: Uuid) -> str:
    """A UUID as Kafka prints it: 22 characters of URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def uuid_from_text(text: str) -> Uuid:
    """The inverse of uuid_text; ValueError when it is not 22 characters of URL-safe base64."""
    raw = base64.b64decode(text + "==", altchars=b"-_", validate=True)
    if len(raw) != 16:
        raise ValueError(f"not a UUID: {text!r}")
    return raw


class TopicPartition(NamedTuple):
    """A partition by topic name."""

    topic: str
    partition: int


class OffsetAndEpoch(NamedTuple):
    """A position in a log: record offset and the leader epoch it was written under."""

    offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class BrokerEndpoint:
    """A node as clients see it: id, host and port of its client API, and its rack."""

    node_id: int
    host: str
    port: int
    rack: str | None = None


@dataclass(frozen=True, slots=True)
class PartitionRegistration:
    """The controller's word on one partition: replicas (preferred leader first), ISR, leader and epochs.

    `leader` is -1 while there is none; `leader_epoch` rises with each leader, `partition_epoch` with each change.
    """

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int
    partition_epoch: int
