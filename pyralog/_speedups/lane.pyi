from collections.abc import Callable
from typing import Any

from pyralog._speedups.desk import Desk, DeskLane

class CommitLane(DeskLane):
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
