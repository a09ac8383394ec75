from pyralog._speedups.keymap import KeyMap

MORE: int
COMPRESSED: int
FULL: int
CORRUPT: int
DONE: int

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
        last_batches: list[int],
        now_ms: int,
        delete_retention_ms: int,
        end_offset: int,
        index_interval_bytes: int,
    ) -> None: ...
    def end_at(self, end_offset: int) -> None: ...
    def begin_segment(self) -> None: ...
    def map(self, data: bytes | memoryview, from_offset: int, end_offset: int) -> tuple[int, int]: ...
    def map_body(self, header: bytes | memoryview, body: bytes, from_offset: int) -> int: ...
    def clean(self, data: bytes | memoryview) -> tuple[int, int]: ...
    def clean_body(self, batch: bytes | memoryview, body: bytes) -> tuple[bytes, bytes] | None: ...
    def emit(self, header: bytes, body: bytes) -> None: ...
    def finish_segment(self) -> None: ...
    def take(self) -> tuple[bytes, bytes, bytes]: ...
