"""What is fuzzed: each target has valid inputs to begin with and says what must hold for any input.

A parser succeeds or raises its one typed error. It reads nothing past its bytes, and allocates nothing on the word of a
length.
"""

from __future__ import annotations

import itertools
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crc32c import crc32c

from pyralog._speedups import batch as headers
from pyralog._speedups import records as walker
from pyralog._speedups.producer_table import Producers
from pyralog.config.loader import load
from pyralog.config.problems import ConfigError
from pyralog.errors import CorruptRecordError, StorageError
from pyralog.records.batch import Record, build, crc_ok, iterate_batches, iterate_records, parse_header
from pyralog.records.compression import Codec
from pyralog.records.validate import Rules, validate
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import open_partition
from pyralog.wire import protocol
from pyralog.wire.headers import frame_request, parse_request_header
from pyralog.wire.protocol import ProtocolError, encode_request
from tests.fuzz.commits import commit_seeds, open_commits
from tests.fuzz.compaction import compaction_seeds, open_compaction, open_swap, swap_seeds
from tests.fuzz.txnrequests import open_transactions, transaction_seeds
from tests.log_batches import make_batch
from tests.speedups.plane_kit import (
    API_VERSIONS,
    FETCH,
    PRODUCE,
    Rig,
    decode_answer,
    fetch_request,
    produce_request,
    split_frames,
)

ROUNDS_OF_A_RIG = 500  # then the log begins anew


@dataclass(frozen=True)
class Target:
    """`run` raises when something is wrong. It is made anew for each process by `open`."""

    name: str
    seeds: Callable[[], list[bytes]]
    open: Callable[[], Callable[[bytes], None]]


# --- the plane ---


class PlaneUnderTest:
    """An engine that any bytes are fed to; the log it writes is looked at by an independent reader."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pyralog-fuzz-"))
        self.rounds = 0
        self.rig: Rig | None = None

    def fresh(self) -> Rig:
        if self.rig is None or self.rounds % ROUNDS_OF_A_RIG == 0:
            self.close()
            self.directory.mkdir()
            self.rig = Rig(self.directory, max_sessions=50)
            self.rig.topic("t", 2, segment_bytes=20_000)
            self.rig.topic("compacted", compacted=True)
            self.rig.topic("stamped", append_time=True)
            self.rig.engine.install_answer(API_VERSIONS, 3, b"static")
            self.rig.turn()
        self.rounds += 1
        return self.rig

    def close(self) -> None:
        if self.rig is not None:
            self.rig.close()
            self.rig = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def feed(self, pieces: list[bytes]) -> tuple[bytes, bool]:
        """The output of a new connection, and whether it is still open. What Python is asked is handed back."""
        rig = self.fresh()
        client = rig.connect()
        ends = {key: rig.end(*key) for key in rig.partitions}
        out = b""
        for piece in pieces:
            try:
                rig.engine.feed(client.id, piece)
                for _ in range(5):
                    for forwarded in rig.forwarded():
                        api, version = struct.unpack_from(">hh", forwarded.frame)
                        if (api == PRODUCE and 3 <= version <= 13) or (api == FETCH and 4 <= version <= 18):
                            rig.engine.resubmit(forwarded.token, forwarded.frame)
                        else:
                            rig.engine.reply(forwarded.token, b"", False)
                    rig.turn()
                out += rig.engine.take_output(client.id)
            except ConnectionError:
                break
        alive = client.alive
        if alive:
            client.close()
        rig.events()
        counters = rig.engine.counters()
        assert counters["buffered_bytes"] == 0, counters
        assert counters["open_connections"] == 0, counters
        assert counters["parked"] == 0, counters
        assert rig.engine.failure == 0
        for key, end in ends.items():
            if rig.end(*key) > end:
                self.look_at_log(key, end)
        return out, alive

    def look_at_log(self, key: tuple[str, int], start: int) -> None:
        """What was appended is whole, in order and readable."""
        assert self.rig is not None
        reader = self.rig.connect()
        at = start
        while at < self.rig.end(*key):
            got = reader.fetch(at, topic=key[0], partition=key[1])
            assert got.error_code == 0
            for header, raw in iterate_batches(got.records):
                assert header.base_offset == at, (header, at)
                assert crc_ok(raw)
                assert header.leader_epoch == 0
                assert not header.control
                assert header.record_count == header.last_offset_delta + 1 > 0
                if header.codec == Codec.NONE:
                    found = list(iterate_records(raw))
                    assert len(found) == header.record_count
                    if key[0] == "compacted":
                        assert all(record.key is not None for record in found)
                at = header.last_offset + 1
        reader.close()


def open_frames() -> Callable[[bytes], None]:
    plane = PlaneUnderTest()

    def run(data: bytes) -> None:
        """The first byte says how the rest arrives."""
        step = data[0] if data else 0
        stream = data[1:]
        whole, _ = plane.feed([stream])
        pieces = [stream[i : i + step] for i in range(0, len(stream), step)] if step else [stream]
        if len(pieces) <= 400:
            plane.feed(pieces)
        if whole:
            split_frames(whole)

    return run


def frames_seeds() -> list[bytes]:
    numbers = itertools.count(1)

    def frame(api: int, version: int, message: object) -> bytes:
        return frame_request(api, version, next(numbers), "fuzz", encode_request(api, version, message))

    some = frame(PRODUCE, 9, produce_request({"t": {0: make_batch(0, 2)}}))
    more = frame(FETCH, 4, fetch_request({"t": {0: 0}}))
    unknown = frame(FETCH, 12, fetch_request({"nope": {0: 0}}))
    version = frame_request(API_VERSIONS, 3, 7, "x", b"\0\0\0")
    other = frame_request(3, 1, 8, "x", b"\0\0\0\0")
    return [
        bytes([step]) + stream
        for step in (0, 1, 5, 100)
        for stream in (some + more + version, other + some, unknown + more + some, b"GET / HTTP/1.1\r\n\r\n")
    ]


def _open_api(api: int, low: int, high: int) -> Callable[[], Callable[[bytes], None]]:
    def make() -> Callable[[bytes], None]:
        plane = PlaneUnderTest()

        def run(data: bytes) -> None:
            """Version, then the body."""
            if not data:
                return
            version = low + data[0] % (high - low + 1)
            out, alive = plane.feed([frame_request(api, version, 5, "fuzz", data[1:])])
            frames = split_frames(out)
            assert len(frames) <= 1
            for frame in frames:
                correlation, _ = decode_answer(api, version, frame)
                assert correlation == 5
            # The codec must agree that what the plane serves is a message. It refuses no more than the plane does.
            try:
                protocol.decode_request(api, version, data[1:])
            except ProtocolError:
                return
            assert alive or api == PRODUCE, "the codec reads what the plane calls malformed"

        return run

    return make


def produce_seeds() -> list[bytes]:
    ids = {"t": bytes(15) + b"\1"}
    batches = [
        make_batch(0, 3, value=b"abc"),
        make_batch(0, 1, key=b"k", producer_id=5, epoch=0, sequence=0),
        build([Record(i, 1000 + i, b"k", b"v" * 30) for i in range(3)], codec=Codec.GZIP),
    ]
    found = []
    for version in range(3, 14):
        for topics in (
            {"t": {0: batches[0], 1: batches[1]}},
            {"compacted": {0: batches[0]}, "stamped": {0: batches[2]}},
            {"t": {0: None}, "nope": {0: batches[1]}},
        ):
            for acks in (-1, 0, 1):
                if version >= 13 and "t" not in topics:
                    continue
                message = produce_request(topics, acks, ids)
                found.append(bytes([version - 3]) + encode_request(PRODUCE, version, message))
    return found


def fetch_seeds() -> list[bytes]:
    found = []
    for version in range(4, 19):
        key: str | bytes = "t" if version < 13 else bytes(15) + b"\1"
        other: str | bytes = "nope" if version < 13 else bytes(15) + b"\x55"
        for how in (
            {},
            {"session": (0, 0), "max_wait_ms": 500, "min_bytes": 10_000_000},
            {"session": (3, 1), "forgotten": {key: [1, 0], other: [1]}} if version >= 7 else {"max_bytes": 1},
            {"epoch": 7, "isolation_level": 1, "partition_max_bytes": 0},
        ):
            if version < 7 and "session" in how:
                how = {k: v for k, v in how.items() if k != "session"}
            message = fetch_request({key: {0: 0, 1: 5}, other: {0: 0}}, **how)
            found.append(bytes([version - 4]) + encode_request(FETCH, version, message))
    return found


# --- headers and messages ---


def open_header() -> Callable[[bytes], None]:
    plane = PlaneUnderTest()

    def run(data: bytes) -> None:
        try:
            parsed = parse_request_header(data)
            assert 0 <= parsed.body_offset <= len(data)
        except ProtocolError:
            parsed = None
        if 8 <= len(data) <= 60_000:
            _, alive = plane.feed([struct.pack(">i", len(data)) + data])
            if parsed is None and struct.unpack_from(">h", data)[0] in (PRODUCE, FETCH):
                assert not alive, "the plane reads a header that the codec refuses"

    return run


def header_seeds() -> list[bytes]:
    return [
        frame_request(api, version, 9, name, b"\0\0\0\0\0")[4:]
        for api, version in ((0, 3), (0, 9), (1, 4), (1, 17), (3, 9), (18, 3), (18, 0), (99, 0), (8, 8))
        for name in (None, "", "client", "é" * 40)
    ]


def _messages(section: str) -> list[tuple[int, int]]:
    return [
        (key, version)
        for key, spec in sorted(protocol.API.items())
        for version in range(spec.min_version, spec.max_version + 1)
    ]


def _open_messages(section: str) -> Callable[[], Callable[[bytes], None]]:
    def make() -> Callable[[bytes], None]:
        known = _messages(section)

        def run(data: bytes) -> None:
            """Two bytes that choose API and version, then the body."""
            if len(data) < 2:
                return
            program = protocol.program(*known[int.from_bytes(data[:2], "big") % len(known)], section)
            try:
                message = program.decode(data, 2)
            except ProtocolError:
                return
            again = program.encode(message)
            read = program.decode(again)
            assert read == message or "nan" in repr(message), "decode(encode(x)) is not x"
            assert program.encode(read) == again

        return run

    return make


def _message_seeds(section: str) -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        from tests.compat_bytes import golden

        numbers = {one: i for i, one in enumerate(_messages(section))}
        return [
            numbers[row.key, row.version].to_bytes(2, "big") + row.data
            for row in golden.load()
            if row.section == section and (row.key, row.version) in numbers and len(row.data) < 2_000
        ]

    return make


# --- batches ---


def sealed(data: bytes) -> bytes:
    """With a checksum that holds, so that what is behind it is reached."""
    out = bytearray(data)
    if len(out) >= 61:
        size = min(max(int.from_bytes(out[8:12], "big", signed=True) + 12, 21), len(out))
        struct.pack_into(">I", out, 17, crc32c(bytes(out[21:size])))
    return bytes(out)


def open_batches() -> Callable[[bytes], None]:
    plane = PlaneUnderTest()
    rules = (Rules(), Rules(compacted=True, before_max_ms=1000, after_max_ms=1000, max_record_bytes=100))

    def run(data: bytes) -> None:
        """The first byte: the topic, and whether the checksum is put right."""
        if not data:
            return
        raw = sealed(data[1:]) if data[0] & 0x80 else data[1:]
        parsed = headers.parse(raw)
        walked = walker.walk(raw)
        readable = _readable(raw)
        if walked["error"] == 0 and parsed["attributes"] & 7 == 0 and parsed["client_error"] == 0:
            assert readable, "the walk accepts what the reader refuses"
        if parsed["error"] == 0 and parsed["crc_ok"]:
            for one in rules:
                validate(raw, one, 1_700_000_000_000)
        topic = ("t", "compacted", "stamped", "t")[data[0] & 3]
        version = 3 + (data[0] >> 2) % 7
        message = produce_request({topic: {0: raw}})
        out, alive = plane.feed([frame_request(PRODUCE, version, 5, "fuzz", encode_request(PRODUCE, version, message))])
        assert alive
        (frame,) = split_frames(out)
        _, answer = decode_answer(PRODUCE, version, frame)
        answered = answer.responses[0].partition_responses[0]
        if answered.error_code == 0:
            assert parsed["error"] == 0
            assert parsed["crc_ok"]

    return run


def _readable(raw: bytes) -> bool:
    try:
        header = parse_header(raw)
        return len(list(iterate_records(raw, 1 << 20))) == header.record_count
    except CorruptRecordError:
        return False


def batches_seeds() -> list[bytes]:
    many = [Record(i, 1000 + i, b"key%d" % i, b"value" * 5, (("h", b"x"), ("n", None))) for i in range(4)]
    found = [
        make_batch(0),
        make_batch(0, 5, key=b"k"),
        make_batch(0, 2, producer_id=3, epoch=1, sequence=0),
        build([Record(0, 5, None, None)]),
        build(many),
    ]
    found += [build(many, codec=codec) for codec in Codec]
    return [bytes([flag]) + data for data in found for flag in (0x80, 0x81, 0x82, 0x9C, 0x00)]


def open_snapshot() -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        table = Producers()
        for raw in (data, _snapshot_sealed(data)):
            try:
                offset = table.load(raw)
            except ValueError:
                continue
            assert offset >= 0
            for pid, epoch, sequence, _ in table.states():
                table.check(pid, epoch, sequence, sequence)
                table.append(pid, epoch, 0, 5, 0, 5, 0, 0)
            again = Producers()
            assert again.load(table.dump(offset)) == offset
            assert sorted(again.states()) == sorted(table.states())

    return run


def _snapshot_sealed(data: bytes) -> bytes:
    out = bytearray(data)
    if len(out) >= 24:
        struct.pack_into(">I", out, 4, crc32c(bytes(out[8:])))
    return bytes(out)


def snapshot_seeds() -> list[bytes]:
    found = []
    for producers in (0, 1, 5):
        table = Producers()
        for pid in range(producers):
            for i in range(pid + 1):
                table.append(pid, 0, i * 3, i * 3 + 2, i * 3, i * 3 + 2, 1000, 1000)
        found.append(table.dump(100))
    return found


# --- what is on disk ---

NAMES = (".log", ".index", ".timeindex", ".snapshot")


def pack_files(files: dict[str, bytes]) -> bytes:
    return b"".join(
        struct.pack(">BI", len(name), len(data)) + name.encode() + data for name, data in sorted(files.items())
    )


def unpack_files(data: bytes) -> dict[str, bytes]:
    found = {}
    at = 0
    while at + 5 <= len(data) and len(found) < 20:
        name_size, size = struct.unpack_from(">BI", data, at)
        name = data[at + 5 : at + 5 + name_size].decode("latin-1").replace("/", "_").replace("\0", "_")
        at += 5 + name_size
        found[name] = data[at : at + size]
        at += size
    return {name: piece for name, piece in found.items() if name not in ("", ".", "..") and len(name) < 100}


def open_recovery() -> Callable[[bytes], None]:
    root = Path(tempfile.mkdtemp(prefix="pyralog-fuzz-"))
    rounds = itertools.count()

    def run(data: bytes) -> None:
        if not data:
            return
        clean, seal = bool(data[0] & 1), bool(data[0] & 2)
        recovery_point = (0, 0, 10, 1 << 40)[data[0] >> 2 & 3]
        directory = root / str(next(rounds))
        directory.mkdir()
        for name, content in unpack_files(data[1:]).items():
            (directory / name).write_bytes(_log_sealed(content) if seal and name.endswith(".log") else content)
        try:
            config = LogConfig(segment_bytes=2_000, index_interval_bytes=100)
            opened = open_partition(
                directory,
                config=config,
                recovery_point=recovery_point,
                epoch_limit=0,
                clean=clean,
                now_ms=1_700_000_000_000,
            )
            _read_all(opened, trusted=clean or recovery_point > 0)
            opened.append([make_batch(opened.log_end, 2)], 1)
            opened.close()
            again = open_partition(directory, config=config, epoch_limit=0, now_ms=1_700_000_000_001)
            assert clean or recovery_point > 0 or again.log_end == opened.log_end
            _read_all(again, trusted=False)
            again.close()
        except StorageError:
            pass
        finally:
            shutil.rmtree(directory)

    return run


def _log_sealed(data: bytes) -> bytes:
    """Every batch's checksum made right, as far as their lengths lead."""
    out = bytearray(data)
    at = 0
    while len(out) - at >= 61:
        size = int.from_bytes(out[at + 8 : at + 12], "big", signed=True) + 12
        if not 61 <= size <= len(out) - at:
            break
        struct.pack_into(">I", out, at + 17, crc32c(bytes(out[at + 21 : at + size])))
        at += size
    return bytes(out)


def _read_all(opened, *, trusted: bool) -> None:
    """Everything it serves is whole and has a good checksum, unless it was told not to look."""
    at, steps = opened.log_start, 0
    while at < opened.log_end and steps < 1000:
        steps += 1
        try:
            piece = opened.read(at, max_bytes=3_000)
        except (OSError, ValueError, StorageError, CorruptRecordError):
            at += 1  # recovery has reported it
            continue
        if trusted:
            at += 1  # like Kafka, it reads nothing again that was flushed or closed cleanly
            continue
        found = list(iterate_batches(piece))
        assert sum(header.size for header, _ in found) == len(piece), "a part of a batch"
        following = at
        for header, raw in found:
            assert crc_ok(raw), f"a bad checksum is served at {header.base_offset}"
            following = max(following, header.last_offset + 1)
        at = max(following, at + 1)


def recovery_seeds() -> list[bytes]:
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, (segment_bytes, batches) in enumerate(((1 << 20, 5), (1_000, 30), (400, 12))):
            directory = Path(scratch) / str(number)
            config = LogConfig(segment_bytes=segment_bytes, index_interval_bytes=100)
            opened = open_partition(directory, config=config, now_ms=1_700_000_000_000)
            at = 0
            for i in range(batches):
                data = make_batch(at, 2, timestamp=1000 + i, producer_id=7, epoch=0, sequence=2 * i)
                if i and at % 10 == 0 and segment_bytes < 1 << 20:
                    opened.roll(1)
                opened.append([data], 1)
                at += 2
            opened.seal()
            (directory / f"{at:020}.snapshot").write_bytes(opened.producer_snapshot())
            opened.close()
            files = {path.name: path.read_bytes() for path in directory.iterdir()}
            found += [bytes([flags]) + pack_files(files) for flags in range(16)]
    return found


def open_config() -> Callable[[bytes], None]:
    directory = Path(tempfile.mkdtemp(prefix="pyralog-fuzz-"))

    def run(data: bytes) -> None:
        for name in ("c.yaml", "c.json"):
            path = directory / name
            path.write_bytes(data)
            try:
                load(str(path))
            except ConfigError as error:
                if not str(error):
                    raise AssertionError("an error without a word") from None

    return run


def config_seeds() -> list[bytes]:
    texts = [
        b"",
        b"data_dir: /tmp/x\n",
        b'{"data_dir": "/tmp/x", // comment\n "network": {"max_connections": 10}}',
        b"network:\n  max_connections: [1, 2]\n  listeners: {a: b}\n",
        b"a: &x [1]\nb: *x\n",
        b"a: !!python/object:os.system {}\n",
        b"? [complex]\n: 1\n",
        b"log.retention.hours: 1e400\nx: .inf\ny: 0x7fffffffffffffffffff\n",
    ]
    folder = Path(__file__).parents[1] / "unit" / "config" / "testdata"
    texts += [
        path.read_bytes() for path in sorted(folder.glob("**/*")) if path.is_file() and path.stat().st_size < 8_000
    ]
    return texts


TARGETS = {
    target.name: target
    for target in (
        Target("frames", frames_seeds, open_frames),
        Target("header", header_seeds, open_header),
        Target("requests", _message_seeds("request"), _open_messages("request")),
        Target("responses", _message_seeds("response"), _open_messages("response")),
        Target("produce", produce_seeds, _open_api(PRODUCE, 3, 13)),
        Target("fetch", fetch_seeds, _open_api(FETCH, 4, 18)),
        Target("commits", commit_seeds, open_commits),
        Target("transactions", transaction_seeds, open_transactions),
        Target("batches", batches_seeds, open_batches),
        Target("snapshot", snapshot_seeds, open_snapshot),
        Target("recovery", recovery_seeds, open_recovery),
        Target("compaction", compaction_seeds, open_compaction),
        Target("swap", swap_seeds, open_swap),
        Target("config", config_seeds, open_config),
    )
}
