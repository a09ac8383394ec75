"""Power cuts under the plane: what was acknowledged with sync_on_write is there afterwards (I1, I3, I16, I19), and what
is known of producers and transactions is what the records that are left tell (I5).

PLANE_SEEDS=17 python -m pytest tests/sim/test_plane_power_loss.py
"""

from __future__ import annotations

import errno
import os
import random
import shutil

import pytest

from pyralog._speedups.faultfiles import FaultFiles
from pyralog.records.batch import crc_ok, iterate_batches, iterate_records
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import open_partition
from tests.sim.plane_model_log import SEQUENCES, Partition
from tests.speedups.plane_kit import PRODUCE, Rig, batch, produce_request

SEEDS = 60
CHUNK = 10
ROUNDS = 3
FAULTS = (("write", ".log"), ("sync", ".log"), ("sync_dir", ""), ("open", ".log"), ("write", ".index"), ("rename", ""))


def chosen() -> list[list[int]]:
    given = os.environ.get("PLANE_SEEDS")
    if given is None:
        return [list(range(at, at + CHUNK)) for at in range(0, SEEDS, CHUNK)]
    low, _, high = given.partition("-")
    return [[seed] for seed in range(int(low), int(high or low) + 1)]


@pytest.mark.parametrize("seeds", chosen(), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_acknowledged_records_survive_power_cuts(quick_path, seeds):
    for seed in seeds:
        directory = quick_path / str(seed)
        directory.mkdir()
        run = Run(seed, directory)
        try:
            for _ in range(ROUNDS):
                run.life()
                run.power_cut()
                run.recover()
        except BaseException as error:
            again = f"PLANE_SEEDS={seed} python -m pytest tests/sim/test_plane_power_loss.py"
            error.add_note("\n".join([*run.story, again]))
            raise
        finally:
            run.rig.close()
        shutil.rmtree(directory)


class Run:
    """One node with one topic through several lives."""

    def __init__(self, seed: int, directory) -> None:
        self.rng = random.Random(seed)
        self.directory = directory
        self.files = FaultFiles(forgetful=True)
        self.story: list[str] = []
        self.partitions = range(self.rng.choice((1, 3)))
        self.segment_bytes = self.rng.choice((300, 1_000, 1 << 20))
        self.sync_on_write = self.rng.random() < 0.7
        self.written: list[dict[int, bytes]] = [{} for _ in self.partitions]  # offset -> value, as the plane answered
        self.promised = [0 for _ in self.partitions]  # every record below it must survive
        self.sequences = [[0] * 3 for _ in self.partitions]
        self.epochs = [[0] * 3 for _ in self.partitions]
        self.opened = [None for _ in self.partitions]
        self.points = [0 for _ in self.partitions]
        self.stable = [0 for _ in self.partitions]
        self.values = 0
        self.transactional = self.rng.choice((False, True))
        self.rig: Rig | None = None

    def life(self) -> None:
        """Produces until it has had enough or a disk operation fails."""
        rng = self.rng
        how = rng.choice(({}, {"inline_sync": True}, {"cache_bytes": 500}, {"cache_ms": 1 << 30}))
        self.rig = Rig(self.directory, self.files, sync_on_write=self.sync_on_write, **how)
        self.story.append(f"a life with sync_on_write {self.sync_on_write}, {how}")
        for p in self.partitions:
            self.rig.partition(
                "t", p, opened=self.opened[p], segment_bytes=self.segment_bytes, index_interval_bytes=100
            )
        self.rig.permit()
        self.rig.turn()
        assert [self.rig.handle("t", p).snapshot()[3] for p in self.partitions] == self.stable
        if rng.random() < 0.6:
            kind, suffix = rng.choice(FAULTS)
            after = rng.randrange(60)
            self.files.fail(kind, errno=rng.choice((errno.EIO, errno.ENOSPC)), after=after, suffix=suffix)
            self.story.append(f"{kind} of *{suffix} fails after {after} more")
        client = self.rig.connect()
        for _ in range(rng.randrange(1, 80)):
            self.produce(client)
            if self.transactional and rng.random() < 0.3:
                self.end(rng.choice(self.partitions), rng.randrange(3))
            if self.rig.engine.failure and rng.random() < 0.5:
                break
            if rng.random() < 0.1:
                self.checkpoint()

    def produce(self, client) -> None:
        """A few requests in one cycle, of several partitions each."""
        sent = []
        frames = b""
        for _ in range(self.rng.choice((1, 1, 3))):
            chosen = self.rng.sample(list(self.partitions), self.rng.randint(1, len(self.partitions)))
            batches = {p: self.batch(p) for p in chosen}
            data = {"t": {p: data for p, (data, *_) in batches.items()}}
            message = produce_request(data, self.rng.choice((1, -1)), transactional_id="x")
            frames += client.frame(PRODUCE, 9, message)
            sent.append(batches)
        client.raw(frames)
        while asked := self.rig.forwarded():
            for one in asked:
                self.rig.engine.resubmit(one.token, one.frame)
            self.rig.turn()
        for batches, answer in zip(sent, client.take(), strict=True):
            for result in answer.responses[0].partition_responses:
                p = result.index
                _, values, id = batches[p]
                if result.error_code == 0:
                    for i, value in enumerate(values):
                        self.written[p][result.base_offset + i] = value
                    if self.sync_on_write:
                        self.promised[p] = max(self.promised[p], result.base_offset + len(values))
                elif id is not None:
                    assert result.error_code in (56, 45, 48), result
                else:
                    assert result.error_code == 56

    def batch(self, p: int) -> tuple[bytes, list[bytes], int | None]:
        n = self.rng.choice((1, 2, 4))
        self.values += 1
        value = b"%d." % self.values + bytes(self.rng.choice((0, 50, 700)))
        if self.rng.random() < (0.2 if self.transactional else 0.4):
            return batch(n, value=value, timestamp=self.values), [value] * n, None
        id = self.rng.randrange(3)
        if self.rng.random() < 0.1:
            self.epochs[p][id] += 1
            self.sequences[p][id] = 0
        sequence = self.sequences[p][id]
        self.sequences[p][id] += n
        epoch = self.epochs[p][id]
        if self.transactional:
            self.rig.engine.verify_transaction(self.rig.handle("t", p), id, epoch, 0)
        how = {"producer_id": id, "epoch": epoch, "sequence": sequence, "transactional": self.transactional}
        return batch(n, value=value, timestamp=self.values, **how), [value] * n, id

    def end(self, p: int, id: int) -> None:
        """A marker; one that is acknowledged must survive like any record."""
        epoch, commit = self.epochs[p][id] + self.rng.randrange(2), self.rng.random() < 0.5
        handle = self.rig.handle("t", p)
        result = self.rig.done("write_marker", handle, id, epoch, self.values, commit, self.values)[0]
        if result < 0:
            assert -result == 56
            return
        if epoch > self.epochs[p][id]:
            self.epochs[p][id], self.sequences[p][id] = epoch, 0
        self.written[p][result] = b"\0\0" + self.values.to_bytes(4, "big")
        if self.sync_on_write:
            self.promised[p] = max(self.promised[p], result + 1)

    def checkpoint(self) -> None:
        """The recovery point that the node writes down now and then: what is synced."""
        for p in self.partitions:
            synced = self.rig.handle("t", p).snapshot()[5]
            self.points[p] = synced
            self.promised[p] = max(self.promised[p], synced)

    def power_cut(self) -> None:
        """Nothing reaches the disk any more, and some of what was not synced is gone."""
        self.files.heal()
        for kind in ("write", "sync", "sync_dir", "truncate", "rename", "unlink", "allocate"):
            self.files.fail(kind, times=-1)
        self.ends = [self.rig.end("t", p) for p in self.partitions]
        self.opened = [None for _ in self.partitions]
        self.rig.close()
        self.rig.partitions.clear()
        self.files.heal()
        seed = self.rng.choice((None, self.rng.randrange(1 << 30)))
        self.story.append(f"power cut with seed {seed}, log ends {self.ends}, promised {self.promised}")
        self.files.power_loss(seed=seed)
        assert self.files.broken == []

    def recover(self) -> None:
        for p in self.partitions:
            point = self.rng.choice((0, self.points[p]))
            config = LogConfig(segment_bytes=self.segment_bytes, index_interval_bytes=100)
            opened = open_partition(
                self.directory / f"t-{p}", config=config, recovery_point=point, files=self.files, now_ms=1
            )
            self.story.append(f"t-{p} recovered from {point} to {opened.log_end}")
            assert opened.log_end >= self.promised[p]
            self.look_at(p, opened)
            self.opened[p] = opened
            # Records behind the new end are gone, and their offsets will be given out again.
            self.written[p] = {at: value for at, value in self.written[p].items() if at < opened.log_end}
            self.points[p] = min(self.points[p], opened.log_end)

    def look_at(self, p: int, opened) -> None:
        """Every record is where the plane said, whole, without a gap; they tell of the producers and transactions."""
        batches = []
        at = opened.log_start
        assert at == 0
        while at < opened.log_end:
            for header, raw in iterate_batches(opened.read(at)):
                assert crc_ok(raw)
                assert header.base_offset == at
                for record in iterate_records(raw):
                    expected = self.written[p].get(record.offset)
                    # Beyond what was promised, a sector that lost the start of a batch may have changed its offset.
                    if record.offset < self.promised[p]:
                        assert expected in (None, record.value), f"another record at {record.offset}"
                    self.written[p][record.offset] = record.value  # refused with an error, and written all the same
                batches.append((header, bytes(raw)))
                at = header.last_offset + 1
        assert at == opened.log_end
        model = Partition(0, self.segment_bytes)
        model.replay(batches)
        told = sorted((id, one.epoch, one.last, one.timestamp) for id, one in model.producers.items())
        assert sorted(opened.producer_states()) == told
        assert opened.aborted(0, 1 << 62) == model.aborted_in(0, 1 << 62)
        self.stable[p] = model.stable
        for id, epoch, last, _ in told:
            self.epochs[p][id], self.sequences[p][id] = epoch, (last + 1) % SEQUENCES
