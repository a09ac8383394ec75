"""How answers name the nodes of the cluster: addresses as the asker reaches them, and a controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyralog.api.context import Context

if TYPE_CHECKING:
    from pyralog.cluster.image import BrokerRegistration


def endpoint_of(broker: BrokerRegistration, context: Context) -> tuple[str, int]:
    """Host and port of a broker. This node's own depends on where the asker comes from (advertised_address: auto)."""
    if broker.node_id == context.services.settings.node_id:
        return context.told_address
    return broker.host, broker.port


def controller_id(context: Context) -> int:
    """A live broker that takes changes: this one while it serves, else the first that does, else -1 (trap 15)."""
    brokers = context.image.brokers
    own = brokers.get(context.services.settings.node_id)
    if own is not None and not own.fenced:
        return own.node_id
    return min((broker.node_id for broker in brokers.values() if not broker.fenced), default=-1)


def offline_replicas(replicas: tuple[int, ...], context: Context) -> list[int]:
    """Those of the replicas whose broker is unknown or fenced."""
    brokers = context.image.brokers
    return [node for node in replicas if node not in brokers or brokers[node].fenced]
