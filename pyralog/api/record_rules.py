"""What a topic demands of the records inside a compressed batch, and the codec that batches are kept in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pyralog._speedups import batch as headers
from pyralog.errors import ErrorCode

if TYPE_CHECKING:
    from pyralog.config.topics import TopicSettings

PRODUCERS_CODEC = -1
NO_BOUND_MS = 2**63 - 1
CODEC_BITS = 0x07
SHOWN_RECORDS = 3  # offending records that an answer names, as in Kafka


@dataclass(frozen=True, slots=True)
class RecordRules:
    """compression: -1 = as the producer sent it, else the codec 0-4. `before_max_ms` None = timestamps have no lower
    bound. `max_record_bytes` bounds a single record after decompression."""

    compression: int = PRODUCERS_CODEC
    level: int | None = None
    compacted: bool = False
    before_max_ms: int | None = None
    max_record_bytes: int = 2**31 - 1

    def concern(self, batch: bytes) -> bool:
        """True when somebody must look into this batch. A damaged one is the plane's, which says what is wrong."""
        header = headers.parse(batch)
        if header["error"] or not header["crc_ok"] or header["client_error"]:
            return False
        codec = header["attributes"] & CODEC_BITS
        if self.compression not in (PRODUCERS_CODEC, codec):
            return True
        return codec != 0 and (self.compacted or self.before_max_ms is not None)


def record_rules(settings: TopicSettings) -> RecordRules:
    """The rules of a topic with these settings. LogAppendTime replaces the timestamps, so none of them is too old."""
    bounded = not settings.append_time and settings.timestamp_before_max_ms < NO_BOUND_MS
    return RecordRules(
        compression=settings.compression,
        level=settings.compression_level,
        compacted=settings.compacted,
        before_max_ms=settings.timestamp_before_max_ms if bounded else None,
        max_record_bytes=settings.max_decompressed_message_bytes,
    )


class Examined(NamedTuple):
    """The verdict on a batch: its bytes as they shall be appended, or an error, its text, and (index, why) pairs."""

    data: bytes
    error: ErrorCode = ErrorCode.NONE
    message: str | None = None
    records: tuple[tuple[int, str], ...] = ()


def examine(batch: bytes, rules: RecordRules, now_ms: int) -> Examined:
    raise NotImplementedError
