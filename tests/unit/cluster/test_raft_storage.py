"""The metadata log on disk: torn tails, damage, snapshots, and a power cut at every byte."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyralog.cluster.image import EMPTY, ClusterImage, replay_batch
from pyralog.cluster.raft_storage import MetadataCorrupt, MetadataLog, VoterState, load_snapshot
from pyralog.cluster.records import (
    ClusterRecord,
    ConfigRecord,
    PartitionRecord,
    ProducerIdsRecord,
    Record,
    RemoveTopicRecord,
    TopicRecord,
)
from pyralog.cluster.snapshot import snapshot_records


def uuid(number: int) -> bytes:
    return number.to_bytes(16, "big")


SCRIPT: list[list[Record]] = [
    [ClusterRecord("cluster")],
    [TopicRecord("a", uuid(1)), PartitionRecord(uuid(1), 0, (1,), (1,), 1, 0), ConfigRecord(2, "a", "k", "v")],
    [ProducerIdsRecord(1, 1, 1000)],
    [TopicRecord("b", uuid(2)), PartitionRecord(uuid(2), 0, (1,), (1,), 1, 0)],
    [RemoveTopicRecord(uuid(1))],
    [ConfigRecord(4, "", "x", "y")],
]


def states(script: list[list[Record]] = SCRIPT) -> list[ClusterImage]:
    """The state before the script and after each of its steps."""
    image, found = EMPTY, [EMPTY]
    for records in script:
        image, _ = replay_batch(image, records, offset=image.offset + len(records), epoch=1, controller_id=-1)
        found.append(image)
    return found


def write(data_dir: Path, script: list[list[Record]] = SCRIPT, *, state: bool = True) -> Path:
    """Run the script; the directory of the log."""
    log = MetadataLog(data_dir)
    log.load()
    if state:
        log.save_state(VoterState(1, 1, -1))
    for records in script:
        log.append(1, records, 1000)
    log.close()
    return log.directory


def load(data_dir: Path) -> ClusterImage:
    log = MetadataLog(data_dir)
    try:
        return log.load().image
    finally:
        log.close()


def segment(directory: Path) -> Path:
    (found,) = directory.glob("*.log")
    return found


def test_an_empty_folder_is_an_empty_log(tmp_path: Path) -> None:
    log = MetadataLog(tmp_path)
    recovered = log.load()
    assert recovered.image == EMPTY
    assert recovered.state == VoterState()
    assert log.next_offset == 0
    log.close()


def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    write(tmp_path)
    assert load(tmp_path) == states()[-1]
    log = MetadataLog(tmp_path)
    recovered = log.load()
    assert log.next_offset == recovered.image.offset + 1
    log.append(2, [ProducerIdsRecord(1, 1, 2000)], 0)
    log.close()
    again = load(tmp_path)
    assert (again.next_producer_id, again.epoch) == (2000, 2)


def test_power_cut_at_every_byte_never_takes_back_what_was_committed(tmp_path: Path) -> None:
    directory = write(tmp_path / "whole")
    whole = segment(directory).read_bytes()
    ends, log = [0], MetadataLog(tmp_path / "sizes")
    log.load()
    for records in SCRIPT:
        log.append(1, records, 1000)
        ends.append(log.segment_bytes)
    log.close()
    assert ends[-1] == len(whole)
    expected = states()
    for size in range(len(whole) + 1):
        data_dir = tmp_path / f"cut-{size}"
        shutil.copytree(directory.parent, data_dir)
        cut = data_dir / directory.name
        segment(cut).write_bytes(whole[:size])
        committed = sum(1 for end in ends[1:] if end <= size)
        assert load(data_dir) == expected[committed]
        assert segment(cut).stat().st_size == ends[committed]
        # What was cut is kept, and the log goes on from there.
        assert bool(list(cut.glob("*.torn"))) == (size not in ends)
        log = MetadataLog(data_dir)
        log.load()
        log.append(2, [ProducerIdsRecord(1, 1, 7_000)], 0)
        log.close()
        assert load(data_dir).next_producer_id == 7_000
        shutil.rmtree(data_dir)


@pytest.mark.parametrize("filling", [b"\0", b"\xff"])
def test_a_torn_tail_of_the_right_length_is_cut(tmp_path: Path, filling: bytes) -> None:
    # A file system may have grown the file without its last sectors having been written.
    directory = write(tmp_path)
    path = segment(directory)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + filling * 20)
    assert load(tmp_path) == states()[-2]


def test_damage_in_the_middle_refuses_and_changes_nothing(tmp_path: Path) -> None:
    path = segment(write(tmp_path))
    damaged = bytearray(path.read_bytes())
    damaged[130] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(MetadataCorrupt, match=r"valid batches follow.*Restore the file"):
        load(tmp_path)
    assert path.read_bytes() == damaged


def test_a_log_that_lost_committed_records_refuses(tmp_path: Path) -> None:
    directory = write(tmp_path)
    log = MetadataLog(tmp_path)
    recovered = log.load()
    log.save_state(VoterState(1, 1, recovered.image.offset))
    log.close()
    path = segment(directory)
    whole = path.read_bytes()
    # The end is cut inside a batch, and exactly between two.
    for size in (len(whole) - 1, 200):
        path.write_bytes(whole[:size])
        with pytest.raises(MetadataCorrupt):
            load(tmp_path)
        assert path.stat().st_size == size
    path.unlink()
    with pytest.raises(MetadataCorrupt, match="cut or replaced"):
        load(tmp_path)


def test_an_append_can_be_taken_back(tmp_path: Path) -> None:
    log = MetadataLog(tmp_path)
    log.load()
    log.append(1, SCRIPT[0], 0)
    size = log.segment_bytes
    with segment(log.directory).open("ab") as file:
        file.write(b"half of a batch")
    log.revert()
    assert segment(log.directory).stat().st_size == size
    log.append(1, SCRIPT[1], 0)
    log.close()
    assert load(tmp_path) == states(SCRIPT[:2])[-1]


def test_quorum_state(tmp_path: Path) -> None:
    directory = write(tmp_path)
    path = directory / "quorum-state"
    log = MetadataLog(tmp_path)
    log.load()
    log.save_state(VoterState(7, 3, 2))
    log.close()
    assert json.loads(path.read_bytes()) == {"version": 1, "term": 7, "voted_for": 3, "committed": 2}
    log = MetadataLog(tmp_path)
    assert log.load().state == VoterState(7, 3, 2)
    log.close()
    for damage in (b"", b"{", b'{"version": 2}', b'{"version": 1, "term": null}', b"[]"):
        path.write_bytes(damage)
        with pytest.raises(MetadataCorrupt, match="quorum-state"):
            load(tmp_path)


def test_a_lost_quorum_state_goes_on_from_the_terms_of_the_log(tmp_path: Path) -> None:
    directory = write(tmp_path, state=False)
    assert not (directory / "quorum-state").exists()
    log = MetadataLog(tmp_path)
    assert log.load().state.term == 1
    log.close()


def test_left_over_temporary_files_are_removed(tmp_path: Path) -> None:
    directory = write(tmp_path)
    (directory / "quorum-state.tmp").write_bytes(b"half")
    load(tmp_path)
    assert not list(directory.glob("*.tmp"))


class TestSnapshots:
    """Snapshots: what they replace, and what happens when one is damaged."""

    @staticmethod
    def run(data_dir: Path, after: set[int]) -> Path:
        """The script, with a snapshot after these steps."""
        log = MetadataLog(data_dir)
        log.load()
        image = EMPTY
        for step, records in enumerate(SCRIPT):
            last = log.append(1, records, 0)
            image, _ = replay_batch(image, records, offset=last, epoch=1, controller_id=-1)
            if step in after:
                log.roll()
                log.save_snapshot(image)
        log.close()
        return log.directory

    @pytest.mark.parametrize("after", [{0}, {2}, {5}, {1, 3}, {1, 3, 5}, {0, 1, 2, 3, 4, 5}])
    def test_the_state_is_the_same(self, tmp_path: Path, after: set[int]) -> None:
        directory = self.run(tmp_path, after)
        assert load(tmp_path) == states()[-1]
        assert len(list(directory.glob("*.checkpoint"))) == min(2, len(after))
        log = MetadataLog(tmp_path)
        assert log.load().snapshot_offset == states()[max(after) + 1].offset
        log.append(1, [ProducerIdsRecord(1, 1, 9000)], 0)
        log.close()
        assert load(tmp_path).next_producer_id == 9000

    def test_old_segments_go_when_two_snapshots_cover_them(self, tmp_path: Path) -> None:
        directory = self.run(tmp_path, {1, 2, 3, 4})
        bases = sorted(int(p.name[:20]) for p in directory.glob("*.log"))
        snapshots = sorted(int(p.name[:20]) for p in directory.glob("*.checkpoint"))
        assert bases[0] == snapshots[0]

    def test_a_damaged_newest_snapshot_is_passed_over(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        directory = self.run(tmp_path, {1, 3})
        newest = max(directory.glob("*.checkpoint"))
        for damage in (b"", newest.read_bytes()[:-1], newest.read_bytes()[:90], b"\0" * 500):
            newest.write_bytes(damage)
            assert load(tmp_path) == states()[-1]
        assert "is damaged" in caplog.text

    def test_damage_of_all_snapshots_refuses(self, tmp_path: Path) -> None:
        directory = self.run(tmp_path, {1, 2, 3})
        for path in directory.glob("*.checkpoint"):
            path.write_bytes(b"")
        with pytest.raises(MetadataCorrupt, match="no usable snapshot"):
            load(tmp_path)

    def test_without_any_snapshot_file_a_log_that_begins_late_refuses(self, tmp_path: Path) -> None:
        directory = self.run(tmp_path, {1, 2, 3})
        for path in directory.glob("*.checkpoint"):
            path.unlink()
        with pytest.raises(MetadataCorrupt, match="there is no snapshot"):
            load(tmp_path)

    def test_a_missing_segment_in_the_middle_refuses(self, tmp_path: Path) -> None:
        directory = self.run(tmp_path, {2})
        first, second = sorted(directory.glob("*.log"))
        for path in directory.glob("*.checkpoint"):
            path.unlink()
        second.rename(second.with_name(f"{9:020d}.log"))
        with pytest.raises(MetadataCorrupt, match="missing"):
            load(tmp_path)
        assert first.exists()

    def test_a_snapshot_newer_than_the_log_stands_for_it(self, tmp_path: Path) -> None:
        directory = self.run(tmp_path, {5})
        for path in directory.glob("*.log"):
            if path.stat().st_size:
                path.write_bytes(path.read_bytes()[:-10])
            else:
                path.unlink()
        assert load(tmp_path) == states()[-1]
        log = MetadataLog(tmp_path)
        log.load()
        log.append(1, [ProducerIdsRecord(1, 1, 9000)], 0)
        log.close()
        assert load(tmp_path).next_producer_id == 9000

    def test_a_crash_while_writing_a_snapshot_leaves_the_old_state(self, tmp_path: Path) -> None:
        directory = write(tmp_path)
        (directory / f"{5:020d}-{1:010d}.checkpoint.tmp").write_bytes(b"half of it")
        assert load(tmp_path) == states()[-1]

    def test_snapshot_files_hold_the_image(self, tmp_path: Path) -> None:
        log = MetadataLog(tmp_path)
        log.load()
        many: list[Record] = [ProducerIdsRecord(1, 1, 5)]
        for number in range(700):
            many += [TopicRecord(f"t{number}", uuid(number)), PartitionRecord(uuid(number), 0, (1,), (1,), 1, 3)]
        image, _ = replay_batch(EMPTY, many, offset=50, epoch=4, controller_id=-1)
        log.save_snapshot(image)
        log.close()
        (path,) = log.directory.glob("*.checkpoint")
        assert load_snapshot(path) == image
        assert path.name == f"{51:020d}-{4:010d}.checkpoint"
        assert sum(1 for _ in snapshot_records(image)) > 1000


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_refused_or_costs_the_last_write_alone(data: st.DataObject) -> None:
    """Whatever happens to a file, the node does not start with a state that never was, and deletes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        TestSnapshots.run(data_dir, {data.draw(st.integers(-1, 4))})
        log = MetadataLog(data_dir)
        log.load()
        log.save_state(VoterState(1, 1, -1))
        log.close()
        paths = sorted(path for path in log.directory.iterdir() if path.stat().st_size)
        path = data.draw(st.sampled_from(paths))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "zero", "noise"])):
            case "flip":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del content[at:]
            case "zero":
                content[at:] = bytes(len(content) - at)
            case "noise":
                content[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
        path.write_bytes(content)
        before = {p.name: p.read_bytes() for p in log.directory.iterdir()}
        try:
            image = load(data_dir)
        except MetadataCorrupt:
            assert {p.name: p.read_bytes() for p in log.directory.iterdir() if p.name in before} == before
        else:
            found = image._replace(epoch=0)
            assert found in [state._replace(epoch=0) for state in states()]
