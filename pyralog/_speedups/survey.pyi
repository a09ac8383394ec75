from collections.abc import Container

from typing_extensions import Buffer, disjoint_base

@disjoint_base
class Survey:
    def feed(self, data: Buffer) -> tuple[int, int]: ...
    def choose(self, active: Container[int]) -> None: ...
