from collections.abc import Callable
from typing import Any, final

@final
class Desk:
    def __init__(
        self,
        stats: Any,
        reply: Callable[[int, bytes], None],
        failed: Callable[[Any, int, Exception], None],
        took: Callable[[int], None],
    ) -> None: ...
    def waiter(self, forwarded: Any, token: int) -> Waiter: ...

@final
class Waiter:
    def resolve(self, value: bytes | Exception) -> None: ...
