"""Reads golden.jsonl.xz: what kafka-clients 4.4.0 writes (see make_golden.py)."""

from __future__ import annotations

import functools
import json
import lzma
import pathlib
from typing import Any, NamedTuple

from pyralog._speedups.codec import Program
from pyralog.wire import protocol
from tests.compat_bytes import values

GOLDEN = pathlib.Path(__file__).parent / "golden.jsonl.xz"


class Golden(NamedTuple):
    key: int | str
    section: str
    version: int
    mode: str
    json: dict[str, Any]
    data: bytes

    def program(self) -> Program:
        if isinstance(self.key, str):
            return protocol.blob_program(self.key, self.version)
        return protocol.program(self.key, self.version, self.section)

    def value(self) -> dict[str, Any]:
        """The values by our field names."""
        return values.from_kafka_json(values.schema_of(self.key, self.section)[0], self.json)


@functools.cache
def load() -> list[Golden]:
    lines = lzma.decompress(GOLDEN.read_bytes()).decode().splitlines()
    return [Golden(*row[:5], bytes.fromhex(row[5])) for row in map(json.loads, lines)]
