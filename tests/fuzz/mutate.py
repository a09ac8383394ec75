"""Mutations of byte strings, for parsers of lengths, counts and varints."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

NUMBERS = (
    0,
    1,
    2,
    7,
    8,
    14,
    61,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
)
FORMS = (">b", ">h", ">i", ">q")
LIMIT = 64 << 10


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A few changes to `data`; `others` are inputs to splice with."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
        rng.choice(_CHANGES)(rng, out, others)
    return bytes(out[:LIMIT])


def _at(rng: random.Random, out: bytearray) -> int:
    return rng.randrange(len(out)) if out else 0


def _flip(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    if out:
        out[_at(rng, out)] ^= 1 << rng.randrange(8)


def _byte(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    if out:
        out[_at(rng, out)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    form = rng.choice(FORMS)
    size = struct.calcsize(form)
    if len(out) < size:
        return
    at = rng.randrange(len(out) - size + 1)
    value = rng.choice(NUMBERS) * rng.choice((1, 1, -1)) + rng.choice((0, 0, 1, -1))
    out[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "big")


def _nudge(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    """A field of the message, a little more or less than it was."""
    form = rng.choice(FORMS)
    size = struct.calcsize(form)
    if len(out) < size:
        return
    at = rng.randrange(len(out) - size + 1)
    value = int.from_bytes(out[at : at + size], "big") + rng.choice((-2, -1, 1, 2))
    out[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "big")


def _varint(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    at = _at(rng, out)
    out[at : at + rng.randrange(3)] = varint(rng.choice(NUMBERS) ^ rng.randrange(4))


def _long_varint(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    at = _at(rng, out)
    out[at:at] = b"\xff" * rng.randrange(1, 12) + b"\x01"


def _cut(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    del out[_at(rng, out) :]


def _remove(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    at = _at(rng, out)
    del out[at : at + rng.choice((1, 1, 2, 4, 8, 30))]


def _repeat(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    at = _at(rng, out)
    piece = out[at : at + rng.choice((1, 2, 4, 8, 61, 200))]
    out[at:at] = piece * rng.choice((1, 1, 2, 10))


def _insert(rng: random.Random, out: bytearray, _: Sequence[bytes]) -> None:
    at = _at(rng, out)
    out[at:at] = rng.choice((bytes(rng.randrange(1, 20)), rng.randbytes(rng.randrange(1, 20))))


def _splice(rng: random.Random, out: bytearray, others: Sequence[bytes]) -> None:
    if others:
        other = rng.choice(others)
        at = _at(rng, out)
        out[at:] = other[min(at, len(other)) :] if rng.random() < 0.5 else other[rng.randrange(len(other) + 1) :]


_CHANGES = (
    _flip, _byte, _byte, _number, _number, _number, _nudge, _nudge, _varint, _varint, _long_varint, _cut, _remove,
    _repeat, _insert, _splice,
)  # fmt: skip
