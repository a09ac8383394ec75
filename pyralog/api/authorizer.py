"""Who may do what: the seam that access control fills; until then everybody may do everything."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class ResourceType(IntEnum):
    """What an access rule is about, numbered as on the wire."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    """What somebody wants to do with a resource, numbered as on the wire."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


CLUSTER_NAME = "kafka-cluster"
NOT_ASKED = -(2**31)  # what the authorised-operations fields hold unless the client asked for them (trap 21)

# The operations that make sense for a resource: only these appear in its authorised-operations bit field.
OPERATIONS_OF = {
    ResourceType.TOPIC: (
        Operation.READ,
        Operation.WRITE,
        Operation.CREATE,
        Operation.DELETE,
        Operation.ALTER,
        Operation.DESCRIBE,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
    ),
    ResourceType.GROUP: (
        Operation.READ,
        Operation.DELETE,
        Operation.DESCRIBE,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
    ),
    ResourceType.CLUSTER: (
        Operation.CREATE,
        Operation.ALTER,
        Operation.DESCRIBE,
        Operation.CLUSTER_ACTION,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
        Operation.IDEMPOTENT_WRITE,
    ),
}


class Authorizer(Protocol):
    """Decides one question at a time; pure and quick, since handlers ask before they answer."""

    def allows(self, principal: str, operation: Operation, resource: ResourceType, name: str) -> bool:
        """True when the principal may do this to the resource of that name."""
        ...


class AllowAll:
    """The authorizer of a broker without access control."""

    def allows(self, principal: str, operation: Operation, resource: ResourceType, name: str) -> bool:
        """Always true."""
        return True


def authorized_operations(authorizer: Authorizer, principal: str, resource: ResourceType, name: str) -> int:
    """The bit field of operations that the principal may do: bit n set = operation number n allowed."""
    bits = 0
    for operation in OPERATIONS_OF[resource]:
        if authorizer.allows(principal, operation, resource, name):
            bits |= 1 << operation
    return bits
