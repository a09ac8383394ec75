"""What a topic demands of batches that the plane does not look into, and the codec that it keeps batches in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pyralog._speedups import batch as headers
from pyralog.errors import ErrorCode
from pyralog.records.batch import recompress
from pyralog.records.compression import Codec
from pyralog.records.validate import BadRecord, Rules, validate

if TYPE_CHECKING:
    from pyralog.config.topics import TopicSettings

PRODUCERS_CODEC = -1
NO_BOUND_MS = 2**63 - 1
CODEC_BITS = 0x07


@dataclass(frozen=True, slots=True)
class RecordRules:
    """`codec` None = batches stay as the producer compressed them. `inside` are the rules for single records that the
    header does not tell; `binding` says whether there is any."""

    codec: Codec | None
    level: int | None
    inside: Rules
    binding: bool
    append_time: bool
    max_batch_bytes: int

    def concern(self, batch: bytes) -> bool:
        """True when somebody must look into this batch. One that is damaged or too large is left to the plane, which
        says so."""
        header = headers.parse(batch)
        if header["error"] or not header["crc_ok"] or header["client_error"] or header["size"] > self.max_batch_bytes:
            return False
        codec = header["attributes"] & CODEC_BITS
        if self.codec is not None and codec != self.codec:
            return True
        return codec != Codec.NONE and self.binding


def record_rules(settings: TopicSettings) -> RecordRules:
    """The rules of a topic. LogAppendTime replaces the timestamps, so that none of them is out of range."""
    bounded = not settings.append_time and settings.timestamp_before_max_ms < NO_BOUND_MS
    inside = Rules(
        compacted=settings.compacted,
        before_max_ms=settings.timestamp_before_max_ms if bounded else None,
        max_record_bytes=settings.max_decompressed_message_bytes,
    )
    codec = None if settings.compression == PRODUCERS_CODEC else Codec(settings.compression)
    return RecordRules(
        codec,
        settings.compression_level,
        inside,
        settings.compacted or bounded,
        settings.append_time,
        settings.max_message_bytes,
    )


class Examined(NamedTuple):
    """The batch as it shall be appended, or why it is refused: the error, its text, and the offending records."""

    data: bytes
    error: ErrorCode = ErrorCode.NONE
    why: str | None = None
    records: tuple[BadRecord, ...] = ()


def is_zstd(batch: bytes) -> bool:
    """True when the batch is one and says that it is compressed with zstd."""
    header = headers.parse(batch)
    return not header["error"] and header["attributes"] & CODEC_BITS == Codec.ZSTD


def examine(batch: bytes, rules: RecordRules, now_ms: int) -> Examined:
    """Look into a batch that the rules concern. It comes back in the topic's codec, with the true maximum of its
    timestamps, and with whatever bytes the client sent behind it."""
    header = headers.parse(batch)
    verdict = validate(batch, rules.inside, now_ms)
    if verdict.error is not ErrorCode.NONE:
        return Examined(batch, verdict.error, verdict.why, verdict.records)
    data = batch
    if rules.codec is not None and rules.codec != header["attributes"] & CODEC_BITS:
        data = recompress(verdict.plain, rules.codec, rules.level) + batch[header["size"] :]
    if not rules.append_time and verdict.max_timestamp != header["max_timestamp"]:
        corrected = bytearray(data)
        headers.set_max_timestamp(corrected, verdict.max_timestamp)
        data = bytes(corrected)
    return Examined(data)
