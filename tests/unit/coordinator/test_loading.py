"""A machine rebuilt from its log is the machine that wrote it."""

from __future__ import annotations

import asyncio
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from pyralog._speedups.journal import Entry
from pyralog.cluster.image import ClusterImage
from pyralog.coordinator.active import ActiveShard
from pyralog.coordinator.group.offset_requests import FetchOffsets
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.loading import Last, Piece, apply, read
from pyralog.coordinator.outcome import ClientRequest
from pyralog.coordinator.waiting import Load
from pyralog.errors import CorruptRecordError, KafkaError
from pyralog.records.batch import CONTROL, TRANSACTIONAL, Record, build
from pyralog.records.compression import Codec
from pyralog.storage.names import LOG, segment_name
from pyralog.wire import messages as m
from pyralog.wire.coordinator_records import GROUP_RECORDS
from tests.unit.coordinator.fakes import TP, HeldPlane


class Disk(HeldPlane):
    """A plane whose batches end up in a file, markers included."""

    def __init__(self) -> None:
        super().__init__(held=False)
        self.log: list[bytes] = []

    def append_round(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.log.append(struct.pack(">q", self.end) + entry.batch()[8:])
            super().append_round([entry])

    def start_marker(self, tp: Any, producer_id: int, producer_epoch: int, *args: Any, **options: Any) -> Any:
        self.log.append(marker(self.end, producer_id, producer_epoch, commit=options["commit"]))
        return super().start_marker(tp, producer_id, producer_epoch, *args, **options)

    def save(self, folder: Path, segments: int = 1) -> list[Piece]:
        """Write the files; what to read."""
        pieces, per = [], max(1, -(-len(self.log) // segments))
        for at in range(0, len(self.log), per):
            data = b"".join(self.log[at : at + per])
            base = int.from_bytes(data[:8], "big")
            (folder / segment_name(base, LOG)).write_bytes(data + bytes(100))  # preallocated
            pieces.append(Piece(base, len(data)))
        return pieces


def marker(offset: int, producer_id: int, producer_epoch: int, *, commit: bool) -> bytes:
    record = Record(offset, 1, struct.pack(">hh", 0, 1 if commit else 0), struct.pack(">hi", 0, 5))
    return build([record], producer_id=producer_id, producer_epoch=producer_epoch, attributes=TRANSACTIONAL | CONTROL)


def new_shard(image: ClusterImage | None = None, **settings: Any) -> GroupShard:
    return GroupShard(0, GroupSettings(**settings), image or ClusterImage(), lambda: "id")


def active(machine: Any, plane: Any) -> ActiveShard:
    return ActiveShard(TP, machine, 0, plane, lambda: 1_000_000, Load(), lambda *_: None)


def state(shard: GroupShard) -> Any:
    offsets = shard.offsets
    return sorted(offsets), offsets._pending, offsets._open, offsets.count


def commit(rng: random.Random, transactional: bool) -> ClientRequest:
    topics = []
    one_of: Any = m.TxnOffsetCommitRequestPartition if transactional else m.OffsetCommitRequestPartition
    topic_of: Any = m.TxnOffsetCommitRequestTopic if transactional else m.OffsetCommitRequestTopic
    for name in rng.sample(("t1", "t2"), rng.randint(1, 2)):
        partitions = [
            one_of(partition_index=rng.randrange(3), committed_offset=rng.randrange(1000), committed_metadata="m")
        ]
        topics.append(topic_of(name=name, partitions=partitions))
    group = rng.choice(("g1", "g2"))
    if transactional:
        producer = rng.randrange(3)
        return ClientRequest(
            m.TxnOffsetCommitRequest(group_id=group, producer_id=producer, producer_epoch=0, topics=topics), 5, "", ""
        )
    retention = rng.choice((-1, 50))
    request = m.OffsetCommitRequest(group_id=group, topics=topics, retention_time_ms=retention)
    return ClientRequest(request, 4, "", "")


def delete(rng: random.Random) -> ClientRequest:
    partitions = [m.OffsetDeleteRequestPartition(partition_index=index) for index in range(3)]
    topic = m.OffsetDeleteRequestTopic(name=rng.choice(("t1", "t2")), partitions=partitions)
    return ClientRequest(m.OffsetDeleteRequest(group_id=rng.choice(("g1", "g2")), topics=[topic]), 0, "", "")


@pytest.mark.parametrize("seed", range(60))
async def test_reload_equals_state(seed: int, tmp_path: Path) -> None:
    """Plain and transactional commits, deletions and markers in any order; a crash after any of them."""
    rng = random.Random(seed)
    plane, machine = Disk(), new_shard()
    shard = active(machine, plane)
    for _ in range(rng.randint(1, 60)):
        what = rng.random()
        if what < 0.4:
            shard.submit(commit(rng, False))
        elif what < 0.7:
            shard.submit(commit(rng, True))
        elif what < 0.9:
            shard.write_marker(rng.randrange(3), rng.randrange(2), 0, commit=rng.random() < 0.6)
        else:
            shard.submit(delete(rng))
        if rng.random() < 0.5:
            await asyncio.sleep(0)
    while not shard.idle:
        await asyncio.sleep(0)
    last = read(tmp_path, plane.save(tmp_path, rng.randint(1, 4)))
    again = new_shard()
    apply(last, again, GROUP_RECORDS)
    assert last.next_offset == shard.next_offset == plane.end
    assert state(again) == state(machine)


async def test_reload_answers_as_before(tmp_path: Path) -> None:
    plane, machine = Disk(), new_shard()
    shard = active(machine, plane)
    rng = random.Random(1)
    await shard.submit(commit(rng, False))
    await shard.submit(commit(rng, True))
    again = new_shard()
    apply(read(tmp_path, plane.save(tmp_path)), again, GROUP_RECORDS)
    for group in ("g1", "g2"):
        question = FetchOffsets(group, None, -1, None, True)
        assert (await active(again, Disk()).submit(question)) == (await shard.submit(question))


@pytest.mark.parametrize("codec", list(Codec))
def test_compressed_batches_and_unknown_records(codec: Codec, tmp_path: Path) -> None:
    """Another release, or a replica of Kafka's, may have written these."""
    unknown = Record(0, 1, struct.pack(">h", 99) + b"later", b"value")
    short = Record(1, 1, None, b"no key")
    raw = build([unknown, short], codec=codec)
    (tmp_path / segment_name(0, LOG)).write_bytes(raw)
    machine = new_shard()
    assert apply(read(tmp_path, [Piece(0, len(raw))]), machine, GROUP_RECORDS) == 0
    assert not machine.groups


@pytest.mark.parametrize("at", [20, 70, -1])
def test_damage_is_never_state(at: int, tmp_path: Path) -> None:
    raw = bytearray(build([Record(0, 1, b"\0\1key", b"value")]))
    raw[at] ^= 1
    (tmp_path / segment_name(0, LOG)).write_bytes(raw)
    with pytest.raises(CorruptRecordError):
        read(tmp_path, [Piece(0, len(raw))])


def test_a_cut_file_is_damage(tmp_path: Path) -> None:
    raw = build([Record(0, 1, b"\0\1key", b"value")])
    (tmp_path / segment_name(0, LOG)).write_bytes(raw[:-1])
    with pytest.raises(CorruptRecordError):
        read(tmp_path, [Piece(0, len(raw))])


def test_records_before_the_log_start_are_gone() -> None:
    last = Last(log_start=10)
    from pyralog.records.batch import parse_header

    raw = build([Record(offset, 1, bytes([offset]), b"v") for offset in range(5, 15)])
    last.add(parse_header(raw), memoryview(raw))
    assert sorted(last.records) == [bytes([offset]) for offset in range(10, 15)]


async def test_no_offset_is_minus_one_and_errors_are_kafkas() -> None:
    shard = active(new_shard(), Disk())
    found = await shard.submit(FetchOffsets("nobody", None, -1, (("t", (0, 1)),), True))
    assert [(one.committed_offset, one.metadata, one.error_code) for one in found.topics[0].partitions] == [
        (-1, "", 0),
        (-1, "", 0),
    ]
    request = m.OffsetCommitRequest(group_id="nobody", generation_id_or_member_epoch=3, topics=[])
    for version, code in ((8, 22), (9, 69)):
        with pytest.raises(KafkaError) as refused:
            await shard.submit(ClientRequest(request, version, "", ""))
        assert refused.value.code == code
