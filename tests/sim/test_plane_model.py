"""The plane against the slow model: random schedules, answers compared byte for byte. A failing seed names itself:

PLANE_SEEDS=17 python -m pytest tests/sim/test_plane_model.py       (or a range: PLANE_SEEDS=0-5000)
"""

from __future__ import annotations

import os
import random
import shutil
import struct

import pytest

from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import close_partition, open_partition
from pyralog.wire.headers import frame_request, parse_response_header
from pyralog.wire.messages import FetchResponse, ProduceResponse
from pyralog.wire.protocol import decode_response, encode_request, encode_response
from tests.sim.plane_model import Connection, Model
from tests.sim.plane_model_log import Partition, Producer, Sent
from tests.speedups.plane_kit import FETCH, PRODUCE, Rig, batch, fetch_request, patched, produce_request

SEEDS = 200
CHUNK = 25
OPERATIONS = 60
TRANSACTION = 3  # why a request is forwarded
IN_TRANSACTIONS = (10, 11, 12)  # producer ids; those below 3 write without
NOW = 1_700_000_000_000


def chosen() -> list[list[int]]:
    given = os.environ.get("PLANE_SEEDS")
    if given is None:
        return [list(range(at, at + CHUNK)) for at in range(0, SEEDS, CHUNK)]
    low, _, high = given.partition("-")
    return [[seed] for seed in range(int(low), int(high or low) + 1)]


@pytest.mark.parametrize("seeds", chosen(), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_the_plane_answers_as_the_model(quick_path, seeds):
    for seed in seeds:
        directory = quick_path / str(seed)
        directory.mkdir()
        run = Run(seed, directory)
        try:
            for _ in range(OPERATIONS):
                run.step()
            run.finish()
        except BaseException as error:
            error.add_note(
                "\n".join([*run.story[-12:], f"PLANE_SEEDS={seed} python -m pytest tests/sim/test_plane_model.py"])
            )
            raise
        finally:
            run.rig.close()
        shutil.rmtree(directory)


def told(api: int, version: int, message) -> str:
    """A request in a few words."""
    if api == PRODUCE:
        what = [
            f"{t.name or t.topic_id[-1]}-{p.index}:{len(p.records or b'')}"
            for t in message.topic_data
            for p in t.partition_data
        ]
        return f"produce v{version} acks={message.acks} {' '.join(what)}"
    what = [f"{t.topic or t.topic_id[-1]}-{p.partition}@{p.fetch_offset}" for t in message.topics for p in t.partitions]
    gone = [f"{t.topic or t.topic_id[-1]}-{t.partitions}" for t in message.forgotten_topics_data]
    return (
        f"fetch v{version} {' '.join(what)} forgets {gone} session {message.session_id}/{message.session_epoch} "
        f"wait {message.max_wait_ms} min {message.min_bytes} max {message.max_bytes}"
    )


def shown(message) -> list[object]:
    """An answer in a few words."""
    if isinstance(message, ProduceResponse):
        return [
            (t.name or t.topic_id[-1], p.index, p.error_code, p.base_offset, p.log_append_time_ms, p.log_start_offset)
            for t in message.responses
            for p in t.partition_responses
        ]
    return [
        (message.error_code, message.session_id),
        *(
            (
                t.topic or t.topic_id[-1],
                p.partition_index,
                p.error_code,
                p.high_watermark,
                p.log_start_offset,
                len(p.records),
            )
            for t in message.responses
            for p in t.partitions
        ),
    ]


class Client:
    def __init__(self, run: Run) -> None:
        self.id = run.rig.engine.open_virtual()
        self.model = Connection()
        run.model.connections.append(self.model)
        self.sent: list[tuple[int, int, int]] = []
        self.asked: tuple[int, bytes] | None = None  # token and frame of the request that waits for the coordinator
        self.sessions: list[list[int]] = []  # [id, epoch] as this client believes


class Run:
    def __init__(self, seed: int, directory) -> None:
        self.rng = random.Random(seed)
        self.directory = directory
        self.story: list[str] = []
        self.sync = self.rng.random() < 0.3
        self.max_sessions = self.rng.choice((0, 2, 100))
        self.rig = Rig(directory, max_sessions=self.max_sessions, sync_on_write=self.sync)
        names = {"a": 2, "bb": 3}
        self.coordinator = 0
        self.generations: dict[tuple[str, int], int] = {}
        self.coordinated = self.rng.choice((0, 0.3, 0.6))  # how much is in transactions
        for name in names:
            self.rig.ids[name] = bytes(15) + bytes([len(self.rig.ids) + 1])
        self.model = Model(self.rig.ids, self.max_sessions)
        for name, partitions in names.items():
            for p in range(partitions):
                segment_bytes = self.rng.choice((150, 400, 1_000, 5_000, 1 << 30))
                self.model.partitions[name, p] = Partition(
                    epoch=self.rng.randrange(3),
                    segment_bytes=segment_bytes,
                    min_insync=2 if self.rng.random() < 0.1 else 1,
                )
                self.add((name, p))
            self.rig.permit(name)
        self.rig.turn()
        self.clients = [Client(self) for _ in range(3)]
        self.sequences: dict[tuple[int, str, int], list[tuple[int, int, int, int]]] = {}
        self.numbers = iter(range(1, 1 << 30))

    def add(self, key, opened=None) -> None:
        partition = self.model.partitions[key]
        self.rig.partition(
            *key,
            opened=opened,
            epoch=partition.epoch,
            segment_bytes=partition.segment_bytes,
            min_insync_replicas=partition.min_insync,
            index_interval_bytes=200,
            max_message_bytes=5_000,
        )

    # --- what happens ---

    def step(self) -> None:
        actions = (
            (self.requests, 12),
            (self.answer, 5),
            (self.end, 6 * self.coordinated),
            (self.roll, 1),
            (self.move_start, 1),
            (self.lead, 0.5),
            (self.reopen, 0.7),
            (self.kill, 0.2),
            (self.expire, 1),
            (self.reconnect, 0.5),
        )
        action = self.rng.choices([a for a, _ in actions], [w for _, w in actions])[0]
        action()
        self.compare()

    def key(self):
        return self.rng.choice(sorted(self.model.partitions))

    def requests(self) -> None:
        client = self.rng.choice(self.clients)
        sending, frames = [], b""
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            api, version, message, batches, answered = self.produce() if self.rng.random() < 0.5 else self.fetch(client)
            number = next(self.numbers)
            frames += frame_request(api, version, number, "sim", encode_request(api, version, message))
            if answered:
                client.sent.append((api, version, number))
            sending.append((api, version, message, batches))
        self.story.append(f"client {self.clients.index(client)}: {'; '.join(told(a, v, m) for a, v, m, _ in sending)}")
        self.rig.engine.feed(client.id, frames)
        self.model.send(client.model, sending)

    def answer(self) -> None:
        """The coordinator answers somebody: it has the partitions in the transaction, or it has not."""
        waiting = [client for client in self.clients if client.asked is not None and not client.model.dead]
        if not waiting:
            return
        client = self.rng.choice(waiting)
        assert client.asked is not None
        assert client.model.asked is not None
        version, message, batches = client.model.asked
        (token, frame), client.asked = client.asked, None
        said = []
        for key, sent in zip(self.model.keys(version, message), batches, strict=True):
            if sent.transactional and key in self.model.partitions and self.rng.random() < 0.85:
                id, epoch, _ = sent.producer
                self.rig.engine.verify_transaction(self.rig.partitions[key], id, epoch, 0)
                self.model.partitions[key].verify(id, epoch)
                said.append(f"{id}/{epoch} on {key}")
        self.story.append(f"client {self.clients.index(client)} is answered: {said}")
        self.rig.engine.resubmit(token, frame)
        self.rig.turn()
        self.model.resubmit(client.model)

    def end(self) -> None:
        """A marker: mostly of the epoch of the transaction or of the next one, of this coordinator or a later one."""
        key, rng = self.key(), self.rng
        partition = self.model.partitions[key]
        open_ = [id for id, known in partition.producers.items() if known.first >= 0]
        id = rng.choice(open_ if open_ and rng.random() < 0.9 else [self.id(key, id) for id in (*IN_TRANSACTIONS, 1)])
        epoch = max(0, partition.producers.get(id, Producer(0)).epoch + rng.choice((0, 0, 1, 1, 1, -1)))
        self.coordinator += rng.choice((0, 0, 0, 1))
        coordinator = self.coordinator - (rng.random() < 0.1)
        self.mark(key, id, epoch, coordinator, rng.random() < 0.5, rng.randrange(1_000_000))

    def mark(self, key, id: int, epoch: int, coordinator: int, commit: bool, timestamp: int) -> None:
        marker = id, epoch, coordinator, commit, timestamp
        self.story.append(f"marker on {key}: {marker}")
        result = self.rig.done("write_marker", self.rig.partitions[key], *marker)[0]
        assert ((0, result) if result >= 0 else (-result, -1)) == self.model.finish(key, *marker)
        history = self.sequences.get((id, *key), [])
        if result >= 0 and history and history[-1][0] < epoch:
            history.append((epoch, 0, 0, 0))  # the next one begins at 0

    def roll(self) -> None:
        key = self.key()
        self.story.append(f"roll {key}")
        assert self.rig.done("roll", self.rig.partitions[key])[0] == 0
        partition = self.model.partitions[key]
        partition.roll(partition.end)

    def move_start(self) -> None:
        key = self.key()
        partition = self.model.partitions[key]
        to = self.rng.randint(0, partition.end)
        self.story.append(f"log start of {key} to {to}")
        partition.move_start(to)
        assert self.rig.done("move_log_start", self.rig.partitions[key], to)[0] == partition.start
        for event in self.rig.events(5):
            for at in range(0, len(event[3]), 8):
                base = int.from_bytes(event[3][at : at + 8], "little")
                name, p = event[1].key
                for path in (self.directory / f"{name}-{p}").glob(f"{base:020}.*"):
                    if path.suffix != ".snapshot":
                        path.unlink()

    def lead(self) -> None:
        key = self.key()
        partition = self.model.partitions[key]
        partition.epoch += self.rng.choice((0, 1, 2))
        self.story.append(f"{key} leads in epoch {partition.epoch}")
        assert self.rig.done("lead", self.rig.partitions[key], partition.epoch)[0] == 0

    def reopen(self) -> None:
        """Removal, a clean stop or a crash of the process, and recovery."""
        key = self.key()
        clean = self.rng.random() < 0.5
        self.story.append(f"{key} is reopened, clean: {clean}")
        log = self.rig.remove(*key)
        partition = self.model.remove(key)
        start = log.log_start
        assert start == partition.start
        if clean:
            close_partition(log)
        del log
        self.model.partitions[key] = partition
        self.recover(key, clean=clean)
        self.learn(key, clean=clean)

    def kill(self) -> None:
        """The process is killed and starts again: every log is recovered, every client connects anew."""
        self.story.append("kill -9")
        for client in self.clients:
            client.model.dead = True
        self.rig.close()
        ids = self.rig.ids
        self.rig = Rig(self.directory, max_sessions=self.max_sessions, sync_on_write=self.sync)
        self.rig.ids = ids
        self.model.sessions.clear()
        for key in self.model.partitions:
            self.recover(key, clean=False)
        for client in list(self.clients):
            self.replace(client)
        for key in sorted(self.model.partitions):
            self.learn(key, clean=False)

    def recover(self, key, *, clean: bool) -> None:
        partition = self.model.partitions[key]
        name, p = key
        opened = open_partition(
            self.directory / f"{name}-{p}",
            config=LogConfig(segment_bytes=partition.segment_bytes, index_interval_bytes=200),
            log_start=partition.start,
            clean=clean,
            now_ms=NOW,
        )
        assert opened.log_end == partition.end
        partition.forget_process()
        self.add(key, opened)
        self.rig.permit(name)
        self.rig.turn()

    def learn(self, key, *, clean: bool) -> None:
        """What is known of producers and transactions has stayed (I19).

        Where the log has lost its beginning only what its records tell: then both sides end what is open and forget it.
        """
        partition = self.model.partitions[key]
        if clean or partition.start == 0:
            self.compare_producers(key)
            return
        assert self.rig.partitions[key].snapshot()[3] >= partition.stable
        self.learn_aborted(partition, self.aborted(key))
        for id, known in sorted(partition.producers.items()):
            if known.first >= 0:
                self.mark(key, id, known.epoch, self.coordinator, True, 0)
        self.rig.done("expire_producers", self.rig.partitions[key], 1 << 62)
        partition.producers.clear()
        # Those who come now have other ids: the log may still tell of newer epochs of what is forgotten here.
        self.generations[key] = self.generations.get(key, 0) + 1

    def learn_aborted(self, partition: Partition, told) -> None:
        """An entry may begin later than it did, where the records before are gone."""
        wanted = [one for one in partition.aborted if one[2] >= partition.start]
        begins = {(id, last): first for id, first, last, _ in told}
        gone = partition.segments[0].base
        for id, first, last, _ in wanted:
            if first >= gone or (id, last) in begins:
                assert first <= begins[id, last]
                assert first < gone or first == begins[id, last]
        assert begins.keys() <= {(id, last) for id, _, last, _ in wanted}
        partition.aborted = told

    def aborted(self, key):
        partition = self.model.partitions[key]
        _, data = self.rig.done("aborted", self.rig.partitions[key], partition.start, 1 << 62)
        return sorted(struct.iter_unpack("4q", data), key=lambda one: one[2])

    def compare_producers(self, key) -> None:
        partition = self.model.partitions[key]
        _, data = self.rig.done("producers", self.rig.partitions[key])
        assert {id: tuple(rest) for id, *rest in struct.iter_unpack("6q", data)} == {
            id: (one.epoch, one.last, one.timestamp, one.coordinator, one.first)
            for id, one in partition.producers.items()
        }
        assert self.aborted(key) == [one for one in partition.aborted if one[2] >= partition.start]

    def expire(self) -> None:
        """Waiting fetches run out of time, as they do when the plane drains."""
        if not any(client.model.waiting is not None for client in self.clients) or self.rng.random() < 0.7:
            return
        self.story.append("every waiting connection is closed")
        for client in list(self.clients):
            if client.model.waiting is not None:
                self.replace(client)

    def reconnect(self) -> None:
        self.replace(self.rng.choice(self.clients))

    def replace(self, client: Client) -> None:
        if not client.model.dead:
            self.rig.engine.close_virtual(client.id)
        self.model.connections.remove(client.model)
        fresh = Client(self)
        fresh.sessions = client.sessions
        self.clients[self.clients.index(client)] = fresh

    # --- requests ---

    def produce(self):
        rng = self.rng
        version = rng.randint(3, 13)
        acks = rng.choice((-1, -1, 1, 1, 0, 7 if rng.random() < 0.1 else 1))
        wanted: dict[str, dict[int, Sent]] = {}
        for _ in range(rng.choice((1, 1, 2, 4))):
            name = rng.choice(("a", "bb"))
            p = rng.randrange(3)
            if name == "a" and p == 2 and rng.random() < 0.8:
                p = 0
            wanted.setdefault(name, {})[p] = self.batch(name, p)
        message = produce_request(
            {name: {p: sent.data for p, sent in one.items()} for name, one in wanted.items()}, acks, self.rig.ids
        )
        if rng.random() < (
            0.95 if any(sent.transactional for one in wanted.values() for sent in one.values()) else 0.1
        ):
            message.transactional_id = "x"
        if version < 13:
            for topic in message.topic_data:
                topic.topic_id = bytes(16)
        else:
            for topic in message.topic_data:
                topic.name = ""
        return PRODUCE, version, message, [sent for one in wanted.values() for sent in one.values()], acks != 0

    def batch(self, name: str, p: int) -> Sent:
        rng = self.rng
        n = rng.choice((1, 1, 2, 5))
        value = bytes([rng.randrange(256)]) * rng.choice((0, 1, 30, 300))
        timestamp = rng.randrange(1_000_000)
        if rng.random() < self.coordinated:
            return self.sequenced(name, p, n, value, timestamp, rng.choice(IN_TRANSACTIONS), rng.random() < 0.95)
        if rng.random() < 0.12:
            good = batch(n, value=value, timestamp=timestamp)
            return rng.choice(
                (
                    Sent(None, error=42),
                    Sent(b"", error=87),
                    Sent(patched(good, 17, ">I", 0, seal=False), error=2),
                    Sent(patched(good, 16, ">b", 1), error=87),
                    Sent(patched(good, 21, ">h", 0x20), error=87),
                    Sent(patched(good, 57, ">i", n + 1), error=87),
                    Sent(good + good, error=87),
                    Sent(batch(1, value=bytes(6_000)), error=10),
                    Sent(good[:-1], error=87),
                )
            )
        if rng.random() < 0.1:
            good = batch(n, value=value, timestamp=timestamp)
            lying = patched(good, 35, ">q", timestamp + 777)
            return Sent(lying + rng.choice((b"", b"\0" * 9)), n, stored=good)
        if rng.random() < 0.5:
            return Sent(batch(n, value=value, timestamp=timestamp), n)
        return self.sequenced(name, p, n, value, timestamp, rng.randrange(3), False)

    def id(self, key, id: int) -> int:
        return id + 100 * self.generations.get(key, 0)

    def sequenced(self, name: str, p: int, n: int, value: bytes, timestamp: int, id: int, transactional: bool) -> Sent:
        """Mostly the next batch of a producer; sometimes one sent before, one too far, or one of another epoch."""
        rng = self.rng
        id = self.id((name, p), id)
        history = self.sequences.setdefault((id, name, p), [])
        sent = [one for one in history[-8:] if one[2]]
        kind = rng.random()
        if sent and kind < (0.15 if transactional else 0.3):
            epoch, first, n, timestamp = rng.choice(sent)
        elif history and kind < 0.4:
            epoch, first = history[-1][0], rng.choice((0, (history[-1][1] + 100) % 2**31, history[-1][1]))
        elif history and kind < 0.5:
            epoch, first = history[-1][0] + rng.choice((1, -1, 1)), rng.choice((0, 0, 3))
            if epoch < 0:
                epoch = 0
            if epoch > history[-1][0] and first == 0:
                history.append((epoch, first, n, timestamp))
        elif not history:
            epoch, first = 0, rng.choice((0, 0, 5, 2**31 - 2))
            history.append((epoch, first, n, timestamp))
        else:
            epoch = history[-1][0]
            first = (history[-1][1] + history[-1][2]) % 2**31
            history.append((epoch, first, n, timestamp))
        how = {"producer_id": id, "epoch": epoch, "sequence": first, "transactional": transactional}
        data = batch(n, value=value, timestamp=timestamp, **how)
        return Sent(data, n, producer=(id, epoch, first), timestamp=timestamp + n - 1, transactional=transactional)

    def fetch(self, client: Client):
        rng = self.rng
        version = rng.randint(4, 18)
        offsets: dict[str, dict[int, int]] = {}
        for _ in range(rng.choice((1, 1, 2, 5))):
            name = rng.choice(("a", "bb"))
            p = rng.randrange(3) if rng.random() < 0.1 else rng.randrange(2)
            end = self.model.partitions[name, p].end if (name, p) in self.model.partitions else 0
            offsets.setdefault(name, {})[p] = rng.choice(
                (0, end, max(end - 1, 0), rng.randint(0, end), rng.randint(-1, end + 1))
            )
        session = (0, -1)
        forgotten: dict[str, list[int]] = {}
        if version >= 7 and rng.random() < 0.6:
            session, forgotten, offsets = self.session(client, offsets)
        known = version >= 13
        wait = rng.random() < 0.3
        message = fetch_request(
            {self.rig.ids[name] if known else name: at for name, at in offsets.items()},
            forgotten={self.rig.ids[name] if known else name: at for name, at in forgotten.items()},
            session=session,
            epoch=rng.choice((-1, -1, -1, 0, 1, 2)) if rng.random() < 0.3 else -1,
            partition_max_bytes=rng.choice((1 << 20, 1 << 20, 1_000, 200, 1, 0)),
            max_bytes=rng.choice((1 << 24, 1 << 24, 2_000, 300, 0)),
            min_bytes=rng.choice((1, 1, 200, 900)) if wait else rng.choice((0, 1, 10_000)),
            max_wait_ms=1_000_000 if wait else 0,
            isolation_level=rng.randrange(2),
        )
        return FETCH, version, message, [], True

    def session(self, client: Client, offsets):
        rng = self.rng
        pool = [one for other in self.clients for one in other.sessions] if rng.random() < 0.1 else client.sessions
        if not pool or rng.random() < 0.2:
            return (rng.choice((0, 0, 0, 12345)), 0), {}, offsets
        id, epoch = rng.choice(pool[-3:])
        chance = rng.random()
        if chance < 0.05:
            return (id, epoch + 1), {}, offsets
        if chance < 0.1:
            return (id, -1), {}, offsets
        forgotten = {rng.choice(("a", "bb")): [rng.randrange(3)]} if rng.random() < 0.2 else {}
        return (id, epoch), forgotten, offsets if rng.random() < 0.6 else {}

    # --- comparison ---

    def compare(self) -> None:
        for one in self.rig.forwarded():
            (client,) = [client for client in self.clients if client.id == one.connection]
            assert one.reason == TRANSACTION
            assert client.model.asked is not None, "the plane has asked about what the model takes"
            client.asked = one.token, one.frame
        for client in self.clients:
            if not client.model.dead:
                assert (client.asked is None) == (client.model.asked is None), "the plane has not asked"
        for client in self.clients:
            try:
                out = self.rig.engine.take_output(client.id)
            except ConnectionError:
                assert client.model.dead, "the plane has closed a connection"
                client.model.answers.clear()
                self.replace(client)
                continue
            assert not client.model.dead, "the plane has not closed a connection"
            self.compare_client(client, out)
        assert self.rig.counter("parked") == sum(c.model.waiting is not None for c in self.clients)
        for key, partition in self.model.partitions.items():
            end = partition.end
            expected = (partition.epoch, partition.start, end, partition.stable, end)
            assert self.rig.partitions[key].snapshot()[:5] == expected

    def compare_client(self, client: Client, out: bytes) -> None:
        expected, client.model.answers = client.model.answers, []
        at = 0
        for answer in expected:
            assert len(out) > at, f"an answer is missing: {answer.message}"
            size = int.from_bytes(out[at : at + 4], "big")
            frame = out[at + 4 : at + 4 + size]
            api, version, number = client.sent.pop(0)
            assert version == answer.version
            assert api == (PRODUCE if isinstance(answer.message, ProduceResponse) else FETCH)
            correlation, body = parse_response_header(api, version, frame)
            assert correlation == number
            if isinstance(answer.message, FetchResponse):
                self.note_session(client, version, answer.message, frame, body)
            wanted = encode_response(api, version, answer.message)
            if frame[body:] != wanted:
                assert shown(decode_response(api, version, frame, body)) == shown(answer.message)
            assert frame[body:] == wanted
            at += 4 + size
        assert at == len(out), "an answer that nobody expects"

    def note_session(self, client: Client, version: int, message: FetchResponse, frame: bytes, body: int) -> None:
        if message.session_id < 0:
            got = decode_response(FETCH, version, frame, body)
            self.model.name_session(message.session_id, got.session_id)
            message.session_id = got.session_id
            client.sessions.append([got.session_id, 1])
        elif message.session_id:
            for one in client.sessions:
                if one[0] == message.session_id:
                    one[1] += 1

    def finish(self) -> None:
        """The logs hold exactly what the model holds."""
        for key, partition in sorted(self.model.partitions.items()):
            self.compare_producers(key)
            stored = b"".join(b.data for s in partition.segments for b in s.batches)
            name, p = key
            on_disk = b""
            for path in sorted((self.directory / f"{name}-{p}").glob("*.log")):
                if int(path.stem) >= partition.segments[0].base:
                    on_disk += path.read_bytes()
            assert on_disk == stored
