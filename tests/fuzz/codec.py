"""Fuzz target: every request, response, blob and header decoder on arbitrary bytes.

The first two bytes of the input choose the decoder, the rest is what it reads. A decoder returns or raises
ProtocolError; whatever it returns can be encoded again and is then read back as the same.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator

from pyralog._speedups.codec import EncodeError, Program
from pyralog.wire import headers, protocol
from pyralog.wire.protocol import ProtocolError
from tests.compat_bytes import golden, values


@functools.cache
def programs() -> list[Program]:
    found = [protocol.program(key, version, section) for key, section, version in values.all_messages()]
    return found + [protocol.blob_program(name, version) for name, version in values.all_blobs()]


def one(data: bytes) -> None:
    """A single run; anything but ProtocolError is a finding."""
    choice = int.from_bytes(data[:2], "big") % (len(programs()) + 1)
    try:
        if choice == len(programs()):
            headers.parse_request_header(data[2:])
            return
        program = programs()[choice]
        message = program.decode(data, min(2, len(data)))
    except ProtocolError:
        return
    try:
        again = program.encode(message)
    except EncodeError as error:
        # U+FFFD takes three bytes for an invalid one, so that a long string may not fit any more.
        if "is too long" not in str(error):
            raise
        return
    assert repr(program.decode(again)) == repr(message)


def seeds() -> Iterator[bytes]:
    """The golden messages, each with the two bytes that choose its decoder."""
    places = {id(program): i for i, program in enumerate(programs())}
    for row in golden.load():
        yield places[id(row.program())].to_bytes(2, "big") + row.data


INTERESTING = [
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80",
    b"\0\0\0\0",
    b"\xff\xfe",
]


def mutate(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(2, len(out) + 1) if len(out) > 2 else len(out)
        what = rng.randrange(5)
        if what == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            chunk = rng.choice(INTERESTING)
            out[at : at + len(chunk)] = chunk
        elif what == 2:
            del out[at : at + rng.choice([1, 2, 4, 1000])]
        elif what == 3:
            out[at:at] = rng.randbytes(rng.choice([1, 2, 5, 20]))
        elif at < len(out):
            out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(out)
