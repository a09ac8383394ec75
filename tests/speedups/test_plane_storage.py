"""The plane and its disk: faults, group sync, answers in request order, removal, cold reads, reopening."""

from __future__ import annotations

import contextlib
import errno
import threading
import time

import pytest

from pyralog._speedups.faultfiles import FaultFiles
from pyralog._speedups.plane.delivery import EventKind
from pyralog.storage.recovery import close_partition
from tests.speedups.plane_kit import FETCH, PRODUCE, batch, fetch_request, produce_request, records_of


@pytest.fixture
def files():
    made = FaultFiles()
    yield made
    assert made.broken == []


def produce_answers(answers):
    return [[(p.error_code, p.base_offset) for t in a.responses for p in t.partition_responses] for a in answers]


# --- failures ---


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("sync_on_write", [False, True])
def test_a_failed_write_fails_the_log_directory_for_good(rigs, files, number, sync_on_write):
    rig = rigs(files, sync_on_write=sync_on_write)
    rig.topic("t", 2)
    client = rig.connect()
    assert client.error_of(batch()) == 0
    files.fail("write", errno=number, suffix=".log")
    answer = client.produce(batch())
    assert (answer.error_code, answer.base_offset, answer.log_append_time_ms) == (56, -1, -1)
    files.heal()
    assert client.error_of(batch()) == 56
    assert client.error_of(batch(), partition=1) == 56
    assert rig.engine.failure == number
    failed = rig.events(EventKind.FAILED)
    assert [(event[4], event[1].key) for event in failed] == [(number, ("t", 0))]
    assert rig.done("append", rig.handle(), batch())[0] == -56
    assert rig.end() == 1
    assert records_of(client.fetch().records) == [(0, b"value")]  # what is there may still be read
    assert rig.done("roll", rig.handle())[0] < 0


def test_a_torn_write_leaves_nothing_of_the_refused_batch(rigs, files):
    rig = rigs(files)
    rig.topic()
    client = rig.connect()
    client.produce(batch())
    files.tear(keep=20, errno=errno.ENOSPC, suffix=".log")
    assert client.error_of(batch()) == 56
    path = rig.directory / "t-0" / f"{0:020}.log"
    assert path.stat().st_size == len(batch())


def test_short_writes_without_an_error_are_gone_on_with(rigs, files):
    rig = rigs(files)
    rig.topic()
    client = rig.connect()
    for keep in (1, 20, 61, 70, 100):
        files.tear(keep=keep, errno=0, suffix=".log")
        frames = [client.frame(PRODUCE, 9, produce_request({"t": {0: batch()}})) for _ in range(3)]
        client.raw(b"".join(frames))
        assert all(code == 0 for ((code, _),) in produce_answers(client.take()))
    assert records_of(client.fetch().records) == [(i, b"value") for i in range(15)]


@pytest.mark.parametrize("acks", [1, -1])
def test_a_failed_sync_answers_56_and_acknowledges_nothing(rigs, files, acks):
    rig = rigs(files, sync_on_write=True)
    rig.topic()
    client = rig.connect()
    assert client.error_of(batch(), acks=acks) == 0
    files.fail("sync", errno=errno.EIO, suffix=".log")
    assert client.error_of(batch(), acks=acks) == 56
    assert client.error_of(batch(), acks=acks) == 56
    assert rig.engine.failure == errno.EIO
    assert rig.handle().snapshot()[5] == 1  # synced


def test_every_batch_of_a_failed_cycle_is_answered(rigs, files):
    rig = rigs(files)
    rig.topic("t", 3)
    client = rig.connect()
    files.fail("write", errno=errno.ENOSPC, suffix=".log", after=1)
    frames = [client.frame(PRODUCE, 9, produce_request({"t": {p: batch() for p in range(3)}})) for _ in range(2)]
    client.raw(b"".join(frames))
    assert produce_answers(client.take()) == [[(0, 0), (56, -1), (56, -1)], [(0, 1), (56, -1), (56, -1)]]


def test_a_failure_answers_those_that_wait_for_another_partitions_sync(rigs, files):
    """Their sync has not begun and never will."""
    rig = rigs(files, sync_on_write=True)
    rig.topic("t", 2)
    one, two = rig.connect(), rig.connect()
    with thread_of(rig, rig.engine.run_sync):
        files.delay("sync", 100, times=1, suffix=".log")
        files.fail("sync", errno=errno.EIO, times=1, suffix=".log")
        before = files.counts["sync"]
        one.send(PRODUCE, 9, produce_request({"t": {0: batch()}}))
        until(None, lambda: files.counts["sync"] > before)
        two.send(PRODUCE, 9, produce_request({"t": {1: batch()}}))
        assert one.take() == two.take() == []
        answers = [until(rig, client.take) for client in (one, two)]
    assert [produce_answers(a) for a in answers] == [[[(56, -1)]], [[(56, -1)]]]


def test_a_failed_index_write_fails_nothing(rigs, files):
    rig = rigs(files)
    rig.topic(segment_bytes=2_000, index_interval_bytes=50)
    client = rig.connect()
    files.fail("write", errno=errno.ENOSPC, times=-1, suffix=".index")
    files.fail("write", errno=errno.ENOSPC, times=-1, suffix=".timeindex")
    for i in range(100):
        assert client.produce(batch()).base_offset == i
    assert [records_of(client.fetch(i, partition_max_bytes=1).records)[0][0] for i in range(100)] == list(range(100))


def test_no_descriptors_cost_one_partition(rigs, files):
    rig = rigs(files)
    rig.topic("t", 3)
    client = rig.connect()
    files.fail("open", errno=errno.EMFILE, times=1, suffix=".log")  # idle files are closed, and it goes on
    assert client.error_of(batch()) == 0
    files.fail("open", errno=errno.EMFILE, times=2, suffix=".log")
    assert client.error_of(batch(), partition=1) == 56
    assert client.error_of(batch(), partition=1) == 56
    assert client.error_of(batch(), partition=2) == 0
    assert client.error_of(batch()) == 0
    assert rig.engine.failure == 0


def test_a_read_error_ends_the_connection_or_answers_56_and_hurts_nobody_else(rigs, files):
    rig = rigs(files)
    rig.topic("t", 2)
    client, other = rig.connect(), rig.connect()
    client.produce(batch())
    client.produce(batch(), partition=1)
    files.fail("read", errno=errno.EIO, times=-1, suffix="t-0/00000000000000000000.log")
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}))
    if client.alive:
        (answer,) = client.take()
        assert answer.responses[0].partitions[0].error_code == 56
    assert other.fetch(partition=1).error_code == 0
    assert other.error_of(batch(), partition=1) == 0


# --- syncs ---


def until(rig, what, seconds=10):
    """What `what` returns once it is true, turning the engine meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        if rig is not None:
            rig.engine.cycle(5)
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen"
        if rig is None:
            time.sleep(0.001)


@contextlib.contextmanager
def thread_of(rig, body):
    """One of the engine's helpers in a thread of its own."""
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    time.sleep(0.02)
    try:
        yield
    finally:
        rig.engine.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_sync_on_write_acknowledges_after_the_sync(rigs, files):
    rig = rigs(files, sync_on_write=True)
    rig.topic()
    client = rig.connect()
    for i in range(5):
        before = files.counts["sync"]
        assert client.produce(batch()).base_offset == i
        assert files.counts["sync"] > before
        assert rig.handle().snapshot()[5] == i + 1


def test_sync_on_write_holds_acks_1_too_and_acks_0_waits_for_nothing(rigs, files):
    rig = rigs(files, sync_on_write=True)
    rig.topic()
    client = rig.connect()
    assert client.error_of(batch(), acks=1) == 0
    assert rig.handle().snapshot()[5] == 1
    assert client.produce(batch(), acks=0) is None
    assert rig.end() == 2


def test_inline_sync(rigs, files):
    rig = rigs(files, inline_sync=True)
    rig.topic("t", 2)
    client = rig.connect()
    message = produce_request({"t": {0: batch(), 1: batch()}})
    client.raw(client.frame(PRODUCE, 9, message) + client.frame(PRODUCE, 9, message))
    assert produce_answers(client.take()) == [[(0, 0), (0, 0)], [(0, 1), (0, 1)]]
    assert [rig.handle("t", p).snapshot()[5] for p in (0, 1)] == [2, 2]


def test_flush_messages_1_is_sync_on_write_of_one_topic(rigs, files):
    rig = rigs(files, cache_ms=1 << 40)
    rig.topic("t", flush_messages=1)
    rig.topic("u")
    client = rig.connect()
    client.produce(batch(), topic="u")
    assert rig.handle("u").snapshot()[5] == 0
    client.produce(batch(), topic="t")
    assert rig.handle("t").snapshot()[5] == 1


def test_what_is_unsynced_is_bounded_by_size(rigs, files):
    rig = rigs(files, cache_ms=1 << 40, cache_bytes=5_000)
    rig.topic()
    client = rig.connect()
    for _ in range(20):
        client.produce(batch(value=bytes(1_000)))
        assert rig.counter("unsynced_bytes") < 5_000
    assert rig.handle().snapshot()[5] >= 15


def test_what_is_unsynced_is_bounded_by_time(rigs, files):
    rig = rigs(files, cache_ms=20)
    rig.topic()
    rig.connect().produce(batch())
    until(rig, lambda: rig.handle().snapshot()[5] == 1)


def test_many_messages_bring_the_sync_forward(rigs, files):
    rig = rigs(files, cache_ms=1 << 40)
    rig.topic(flush_messages=10)
    client = rig.connect()
    client.produce(batch(9))
    assert rig.handle().snapshot()[5] == 0
    client.produce(batch(1))
    assert rig.handle().snapshot()[5] == 10


def test_answers_leave_in_request_order_whatever_they_wait_for(rigs, files):
    """Static, failed and fetch answers queue behind a produce that waits for its sync."""
    rig = rigs(files, sync_on_write=True)
    rig.topic("t", 2)
    rig.topic("fast", flush_messages=1)
    rig.engine.install_answer(18, 0, b"\0" * 10)
    client = rig.connect()
    files.delay("sync", 100, times=1)
    with thread_of(rig, rig.engine.run_sync):
        frames = client.frame(PRODUCE, 9, produce_request({"t": {0: batch()}}))
        frames += client.frame(PRODUCE, 9, produce_request({"t": {0: None}}))
        frames += client.frame(FETCH, 11, fetch_request({"t": {0: 0}}))
        frames += client.frame(PRODUCE, 9, produce_request({"t": {1: batch()}}))
        client.raw(frames)
        assert client.take() == []
        got = []
        until(rig, lambda: got.extend(client.take()) or len(got) == 4)
    assert [a.responses[0].partition_responses[0].error_code for a in (got[0], got[1], got[3])] == [0, 42, 0]
    assert got[2].responses[0].partitions[0].high_watermark == 1


def test_a_duplicate_is_not_acknowledged_before_the_first_is_synced(rigs, files):
    rig = rigs(files, sync_on_write=True)
    rig.topic("t", 2)
    client, again = rig.connect(), rig.connect()
    data = batch(2, producer_id=4, epoch=0, sequence=0)
    files.delay("sync", 100, times=1)
    with thread_of(rig, rig.engine.run_sync):
        client.send(PRODUCE, 9, produce_request({"t": {0: data}}))
        again.send(PRODUCE, 9, produce_request({"t": {0: data}}))
        assert client.take() == again.take() == []
        assert produce_answers(until(rig, client.take)) == [[(0, 0)]]
        assert produce_answers(until(rig, again.take)) == [[(0, 0)]]
        assert rig.handle().snapshot()[5] == 2


def test_an_old_duplicate_beside_a_new_batch_of_the_same_partition(rigs, files):
    """The duplicate has been synced long ago and waits for nothing; the request's other partition does."""
    rig = rigs(files, sync_on_write=True)
    rig.topic("t", 2)
    client, other = rig.connect(), rig.connect()
    data = batch(2, producer_id=4, epoch=0, sequence=0)
    client.produce(data)
    with thread_of(rig, rig.engine.run_sync):
        for i in range(5):
            files.delay("sync", 30, times=1)
            frames = client.frame(PRODUCE, 9, produce_request({"t": {1: batch()}}))
            frames += client.frame(PRODUCE, 9, produce_request({"t": {1: batch(), 0: batch()}}))
            message = produce_request({"t": {1: batch()}})
            message.topic_data.append(produce_request({"t": {0: data}}).topic_data[0])
            frames += client.frame(PRODUCE, 9, message)
            client.raw(frames)
            assert client.take() == []
            got = []
            until(rig, lambda got=got: got.extend(client.take()) or len(got) == 3)
            assert produce_answers(got)[2] == [(0, 3 * i + 2), (0, 0)]
            assert rig.handle("t", 1).snapshot()[5] == 3 * i + 3
    assert other.fetch(partition=1).high_watermark == 15


def test_segments_that_roll_are_synced_too(rigs, files):
    rig = rigs(files, sync_on_write=True)
    rig.topic(segment_bytes=300)
    client = rig.connect()
    frames = [client.frame(PRODUCE, 9, produce_request({"t": {0: batch()}})) for _ in range(30)]
    client.raw(b"".join(frames))
    assert [a for ((_, a),) in produce_answers(client.take())] == list(range(30))
    assert rig.handle().snapshot()[5] == 30
    assert files.unsynced() == []


# --- removal ---


def test_a_removed_partition_is_unknown_and_its_log_is_handed_back(rig):
    rig.topic("t", 2)
    client = rig.connect()
    client.produce(batch(3))
    log = rig.remove()
    assert log.log_end == 3
    assert client.error_of(batch()) == 3
    assert client.fetch().error_code == 3
    assert client.error_of(batch(), partition=1) == 0
    close_partition(log)
    rig.partition("t", 0)
    rig.turn()
    assert client.produce(batch()).base_offset == 3


def test_the_last_partition_takes_the_topic_along(rig):
    rig.topic("t", 2)
    assert rig.counter("topics") == 1
    rig.remove("t", 0)
    rig.remove("t", 1)
    assert rig.counter("topics") == 0
    client = rig.connect()
    client.send(PRODUCE, 9, produce_request({"t": {0: batch()}}))
    assert len(rig.forwarded()) == 1


def test_removal_wakes_a_waiting_fetch(rig):
    rig.topic("t", 2)
    client = rig.connect()
    client.send(FETCH, 11, fetch_request({"t": {0: 0, 1: 0}}, max_wait_ms=100_000))
    rig.remove("t", 1)
    (answer,) = client.take()
    assert [p.error_code for p in answer.responses[0].partitions] == [0, 3]


def test_removal_in_the_cycle_of_an_append(rigs, files):
    rig = rigs(files, sync_on_write=True)
    rig.topic("t", 2)
    rig.engine.append(rig.handle(), batch(), 901)
    rig.engine.remove_partition(rig.handle(), 902)
    rig.turn()
    done = {event[6]: event[4] for event in rig.events(EventKind.DONE)}
    assert set(done) >= {901, 902}
    assert done[902] == 0
    assert rig.handle().log.log_end == 1


def test_removal_waits_for_file_ranges_under_way(rig):
    rig.topic("t", 2)
    client = rig.connect()
    value = bytes(200_000)
    client.produce(batch(value=value))
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}))
    finished = rig.begin("remove_partition", rig.handle())
    assert finished() is None
    (answer,) = client.take()
    assert records_of(answer.responses[0].partitions[0].records) == [(0, value)]
    rig.turn()
    assert finished() == (0, b"")


def test_removal_waits_for_file_ranges_of_a_connection_that_dies(rig):
    rig.topic()
    client = rig.connect()
    client.produce(batch(value=bytes(200_000)))
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}))
    finished = rig.begin("remove_partition", rig.handle())
    assert finished() is None
    client.close()
    assert finished() == (0, b"")


def test_a_segment_deleted_while_it_is_being_sent(rig):
    rig.topic(segment_bytes=100_000)
    client = rig.connect()
    value = bytes(90_000)
    for _ in range(3):
        client.produce(batch(value=value))
    client.send(FETCH, 11, fetch_request({"t": {0: 0}}))
    assert rig.done("move_log_start", rig.handle(), 3)[0] == 3
    for path in (rig.directory / "t-0").glob("00000000000000000000.*"):
        path.unlink()
    (answer,) = client.take()
    assert records_of(answer.responses[0].partitions[0].records) == [(0, value)]
    assert client.fetch(0).error_code == 1


def test_removal_waits_for_jobs(rigs, files):
    rig = rigs(files, sync_on_write=True)
    rig.topic("t", 2)
    client = rig.connect()
    files.delay("sync", 100, times=1)
    with thread_of(rig, rig.engine.run_sync):
        client.send(PRODUCE, 9, produce_request({"t": {0: batch()}}))
        finished = rig.begin("remove_partition", rig.handle())
        assert finished() is None
        assert produce_answers(client.take()) == [[(3, -1)]]
        assert until(rig, finished) == (0, b"")


def test_nothing_spins_after_the_only_unsynced_partition_is_gone(rig):
    rig.topic("t", 2)
    rig.connect().produce(batch())
    rig.remove("t", 0)
    assert rig.counter("unsynced_bytes") == 0
    rig.engine.cycle(0)  # takes the wake-up by the commands
    begun = time.monotonic()
    rig.engine.cycle(60)
    assert time.monotonic() - begun > 0.04


# --- cold pages ---


def test_cold_pages_are_read_by_the_cold_thread(rigs, files):
    rig = rigs(files)
    rig.topic(segment_bytes=150_000)
    client = rig.connect()
    value = bytes(100_000)
    for _ in range(4):
        client.produce(batch(value=value))
    with thread_of(rig, rig.engine.run_cold):
        files.fail("read", errno=errno.EAGAIN, times=2, suffix="00000000000000000000.log")
        client.send(FETCH, 11, fetch_request({"t": {0: 0}}))
        (answer,) = until(rig, client.take)
        assert records_of(answer.responses[0].partitions[0].records) == [(0, value)]
        assert rig.counter("cold_reads") >= 1
        # Pages that never become warm are read by the plane in the end.
        files.fail("read", errno=errno.EAGAIN, times=-1, suffix="00000000000000000000.log")
        client.send(FETCH, 11, fetch_request({"t": {0: 0}}))
        (answer,) = until(rig, client.take)
        assert records_of(answer.responses[0].partitions[0].records) == [(0, value)]
        # A connection that goes away, and a partition that is removed, while pages are being read.
        files.delay("read", 50, times=3, suffix="00000000000000000000.log")
        client.send(FETCH, 11, fetch_request({"t": {0: 0}}))
        client.close()
        other = rig.connect()
        other.send(FETCH, 11, fetch_request({"t": {0: 0}}))
        until(rig, rig.begin("remove_partition", rig.handle()))
        (answer,) = until(rig, other.take)
        assert answer.responses[0].partitions[0].error_code in (0, 3)


# --- reopening ---


def test_producers_survive_a_clean_stop_and_a_crash(rigs, tmp_path):
    def states(rig):
        return sorted(rig.done("producers", rig.handle())[1][i : i + 32] for i in range(0, 32 * 9, 32))

    first = rigs()
    first.topic(segment_bytes=1_500)
    client = first.connect()
    for i in range(20):
        for pid in range(9):
            data = batch(2, producer_id=pid, epoch=pid % 3, sequence=2 * i, timestamp=1000 + i)
            assert client.error_of(data) == 0
    before = states(first)
    log = first.remove()
    crashed = tmp_path / "crashed"
    import shutil

    shutil.copytree(first.directory / "t-0", crashed / "t-0")
    close_partition(log)
    for directory in (first.directory, crashed):
        rig = rigs(directory=directory)
        from pyralog.storage.log_config import LogConfig
        from pyralog.storage.recovery import open_partition

        opened = open_partition(directory / "t-0", config=LogConfig(), now_ms=rig.now_ms)
        rig.partition("t", 0, opened=opened)
        rig.permit()
        rig.turn()
        assert states(rig) == before
        client = rig.connect()
        again = client.produce(batch(2, producer_id=3, epoch=0, sequence=38, timestamp=1019))
        assert (again.error_code, again.base_offset) == (0, 2 * (19 * 9 + 3))
        assert client.error_of(batch(2, producer_id=3, epoch=0, sequence=44)) == 45
        assert client.error_of(batch(2, producer_id=3, epoch=0, sequence=40)) == 0
        rig.remove()


def test_preallocated_blocks_are_not_seen_and_are_given_back(rigs, files):
    rig = rigs(files)
    rig.topic(segment_bytes=4 << 20, preallocate=True)
    client = rig.connect()
    for _ in range(6):
        client.produce(batch(value=bytes(1_000_000)))
        for path in (rig.directory / "t-0").glob("*.log"):
            assert path.stat().st_size <= 4 << 20
    assert files.counts["allocate"] > 0
    closed = sorted((rig.directory / "t-0").glob("*.log"))[0]
    assert closed.stat().st_blocks * 512 <= closed.stat().st_size + 8192


def test_a_data_directory_with_a_long_path(rigs, tmp_path, files):
    """Longer than names of index and snapshot files may not be: they were cut short, and index files became strays."""
    deep = tmp_path
    while len(str(deep)) < 700:
        deep = deep / ("d" * 100)
    deep.mkdir(parents=True)
    rig = rigs(files, directory=deep, sync_on_write=True)
    rig.topic(segment_bytes=1_000, index_interval_bytes=100)
    client = rig.connect()
    for i in range(40):
        assert client.produce(batch(producer_id=1, epoch=0, sequence=i)).base_offset == i
    names = {path.suffix for path in (deep / "t-0").iterdir()}
    assert names == {".log", ".index", ".timeindex", ".snapshot"}
    assert rig.handle().snapshot()[5] == 40
