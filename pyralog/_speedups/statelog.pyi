from collections.abc import Callable
from typing import Any, Final

from typing_extensions import Buffer

NO_TOPIC_ID: Final[bytes]

def newest(
    body: Buffer,
    base_offset: int,
    base_timestamp: int,
    append_timestamp: int,
    count: int,
    log_start: int,
    into: dict[bytes, tuple[int, int, bytes | None]],
    tombstones: list[bytes] | None = None,
) -> None: ...
def take_offsets(
    records: dict[bytes, tuple[int, int, bytes | None]],
    groups: dict[str, dict[str, dict[int, Any]]],
    make: Callable[[tuple[Any, ...]], Any],
) -> tuple[int, list[tuple[int, int, bytes, bytes]]]: ...
