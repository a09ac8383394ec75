"""A node's API layer over stand-ins, for every test of handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from pyralog.runtime import TaskScope
from tests.unit.api.fakes import Node, make_node


@pytest.fixture
async def new_node() -> AsyncIterator[Callable[..., Node]]:
    """Makes nodes; ends their tasks and threads afterwards."""
    scope = TaskScope("test")
    nodes: list[Node] = []

    def make(**settings: object) -> Node:
        nodes.append(make_node(scope, **settings))  # type: ignore[arg-type]
        return nodes[-1]

    yield make
    await scope.close()
    for node in nodes:
        node.services.work.close()


@pytest.fixture
def node(new_node: Callable[..., Node]) -> Node:
    """A node without topics."""
    return new_node()
