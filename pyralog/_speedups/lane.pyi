from collections.abc import Callable
from typing import Any

from pyralog._speedups.desk import Desk
from pyralog._speedups.plane.delivery import Lane

class CommitLane(Lane):
    def __init__(
        self,
        quorum: Any,
        groups: Any,
        told: set[tuple[int, str]],
        rights: Callable[[int, str, list[str]], bool] | None,
        make: Callable[[tuple[Any, ...]], Any],
        partition_for: Callable[[str, int], int],
        desk: Desk,
    ) -> None: ...
