"""Record batches for log tests, built by kafka-python, so that no code of ours vouches for itself."""

from __future__ import annotations

import struct

from kafka.record.default_records import DefaultRecordBatchBuilder


def make_batch(
    base_offset: int,
    n: int = 1,
    *,
    timestamp: int = 1_000,
    value: bytes = b"value",
    key: bytes | None = None,
    producer_id: int = -1,
    epoch: int = -1,
    sequence: int = -1,
    leader_epoch: int = 0,
    codec: int = 0,
    step_ms: int = 1,
    transactional: bool = False,
) -> bytes:
    """A batch of n records with its offsets assigned; record i has timestamp + i * step_ms."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=int(transactional),
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        batch_size=1 << 30,
    )
    for i in range(n):
        builder.append(i, timestamp=timestamp + i * step_ms, key=key, value=value, headers=[])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base_offset)
    struct.pack_into(">i", data, 12, leader_epoch)
    return bytes(data)
