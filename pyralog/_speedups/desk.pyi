from collections.abc import Callable
from typing import Any

from pyralog._speedups.plane.delivery import Lane

class Desk:
    def __init__(
        self,
        name: str,
        stats: Any,
        took: Callable[[int, int], None],
        failed: Callable[[int, bytes, int, int, Any], None],
    ) -> None: ...
    @property
    def failed(self) -> Callable[[int, bytes, int, int, Any], None]: ...

class DeskLane(Lane): ...
