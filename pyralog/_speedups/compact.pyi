from typing_extensions import Buffer, disjoint_base

from pyralog._speedups.keymap import KeyMap
from pyralog._speedups.survey import Survey

MORE: int
COMPRESSED: int
FULL: int
CORRUPT: int
DONE: int

@disjoint_base
class Cleaner:
    position: int
    max_timestamp: int
    max_timestamp_offset: int
    offset_entries: int
    time_entries: int
    next_offset: int
    records_in: int
    records_out: int
    changed: bool
    def __init__(
        self,
        keys: KeyMap,
        aborted: list[tuple[int, int, int]],
        survey: Survey,
        now_ms: int,
        delete_retention_ms: int,
        end_offset: int,
        index_interval_bytes: int,
    ) -> None: ...
    def end_at(self, end_offset: int) -> None: ...
    def begin_segment(self) -> None: ...
    def map(self, data: Buffer, from_offset: int, end_offset: int) -> tuple[int, int]: ...
    def map_body(self, header: Buffer, body: Buffer, from_offset: int) -> int: ...
    def clean(self, data: Buffer) -> tuple[int, int]: ...
    def clean_body(self, batch: Buffer, body: Buffer) -> tuple[bytes, bytes] | None: ...
    def emit(self, header: bytes, body: bytes) -> None: ...
    def finish_segment(self) -> None: ...
    def has_batches(self, producer_id: int, first_offset: int) -> bool: ...
    def take(self) -> tuple[bytes, bytes, bytes]: ...
