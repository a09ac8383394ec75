from typing_extensions import Buffer, disjoint_base

@disjoint_base
class Producers:
    """A producer table for tests and tools."""

    def __init__(self) -> None: ...
    def check(
        self, producer_id: int, epoch: int, first_sequence: int, last_sequence: int, transactional: bool = False
    ) -> tuple[int, int, int]: ...
    def append(
        self,
        producer_id: int,
        epoch: int,
        first_sequence: int,
        last_sequence: int,
        base_offset: int,
        last_offset: int,
        timestamp: int,
        now_ms: int,
        transactional: bool = False,
    ) -> None: ...
    def end(
        self,
        producer_id: int,
        epoch: int,
        coordinator_epoch: int,
        commit: bool,
        offset: int,
        timestamp: int,
        now_ms: int,
    ) -> tuple[int, tuple[int, int, int] | None]: ...
    def settle(self, hw: int) -> int: ...
    def transactions(self) -> list[tuple[int, int, int]]: ...
    def expire(self, not_after_ms: int) -> int: ...
    def states(self) -> list[tuple[int, int, int, int]]: ...
    def dump(self, offset: int) -> bytes: ...
    def load(self, data: Buffer) -> int: ...
