from typing_extensions import Buffer, disjoint_base

from pyralog._speedups.facts import Facts
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
        facts: Facts,
        survey: Survey,
        now_ms: int,
        delete_retention_ms: int,
        end_offset: int,
        index_interval_bytes: int,
    ) -> None: ...
    def end_at(self, end_offset: int) -> None: ...
    def begin_segment(self) -> None: ...
    def clean(self, data: Buffer) -> tuple[int, int]: ...
    def clean_body(self, batch: Buffer, body: Buffer) -> tuple[bytes, bytes] | None: ...
    def emit(self, header: bytes, body: bytes) -> None: ...
    def finish_segment(self) -> None: ...
    def has_batches(self, producer_id: int, first_offset: int) -> bool: ...
    def take(self) -> tuple[bytes, bytes, bytes]: ...
