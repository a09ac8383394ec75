"""A broker for the tests of programs that talk to Kafka; what is imported here comes when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyralog.testing.broker import Broker as Broker
    from pyralog.testing.cluster import LocalCluster as LocalCluster
    from pyralog.testing.cluster import LocalNode as LocalNode
    from pyralog.testing.container import PyralogContainer as PyralogContainer
    from pyralog.testing.errors import BrokerFailedError as BrokerFailedError

_PLACES = {
    "Broker": "broker",
    "BrokerFailedError": "errors",
    "LocalCluster": "cluster",
    "LocalNode": "cluster",
    "PyralogContainer": "container",
}
# Not PyralogContainer: `import *` would need testcontainers.
__all__ = ["Broker", "BrokerFailedError", "LocalCluster", "LocalNode"]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
