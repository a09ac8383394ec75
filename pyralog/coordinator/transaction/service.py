"""The transaction coordinator of this node: shards of __transaction_state, and the end of what they decide."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from pyralog._speedups.txnlane import write_whenever
from pyralog.coordinator.internal_topics import CONSUMER_OFFSETS
from pyralog.coordinator.partitioner import partition_for
from pyralog.coordinator.runtime import CoordinatorRuntime, Ports, State
from pyralog.coordinator.transaction.asked import AskedMarkers
from pyralog.coordinator.transaction.markers import Markers, MarkerShards
from pyralog.coordinator.transaction.requests import (
    AddPartitions,
    Ending,
    EndTransaction,
    GetEnding,
    InitProducerId,
    ListTransactions,
    MarkersWritten,
    ProducerIdNeeded,
)
from pyralog.coordinator.transaction.state import PREPARED, Entry, ProducerIdentity
from pyralog.coordinator.transaction.state import State as TransactionState
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import Pending
from pyralog.wire.coordinator_records import TRANSACTION_RECORDS

if TYPE_CHECKING:
    from pyralog._speedups.journal import Entry as JournalEntry
    from pyralog.cluster.image import ClusterImage, ImageDelta
    from pyralog.coordinator.active import ActiveShard
    from pyralog.coordinator.internal_topics import InternalTopic
    from pyralog.coordinator.transaction.machine import TransactionMachine
    from pyralog.coordinator.transaction.settings import TransactionSettings

log = logging.getLogger(__name__)

RETRY_MS = 100
# How long a producer that begins its next transaction waits for the end of the last one, before it is told to retry.
PATIENCE_MS = 100


class ProducerIdSource(Protocol):
    """Where new producer ids come from."""

    def take(self) -> int | None:
        """One that is at hand."""
        ...

    async def next(self) -> int:
        """One, after the cluster has been asked for more."""
        ...


class TransactionCoordinator:
    """Transactional ids, over the partitions of __transaction_state that this node leads."""

    def __init__(
        self,
        topic: InternalTopic,
        settings: TransactionSettings,
        ports: Ports,
        groups: MarkerShards,
        producer_ids: ProducerIdSource,
    ) -> None:
        self.topic = topic
        self.settings = settings
        self._scope = ports.scope
        self._producer_ids = producer_ids
        self._image: ClusterImage | None = None
        self._ended: deque[tuple[int, str]] = deque()
        self._woken = False
        # Ids whose decided transaction has not ended, as far as is known: a hint, that costs PATIENCE_MS where wrong.
        self._ending: set[str] = set()
        # Who waits for the end of a transaction, by transactional id.
        self._waiting: dict[str, Pending[None]] = {}
        shards = {CONSUMER_OFFSETS: groups, topic.name: self}
        self.markers = Markers(ports.plane, shards, ports.clock, self._current)
        self.asked_markers = AskedMarkers(ports.plane, self.markers)
        self.runtime: CoordinatorRuntime[TransactionMachine] = CoordinatorRuntime(
            topic.name, TRANSACTION_RECORDS, ports, self._make
        )

    def _make(self, partition: int, image: ClusterImage) -> TransactionMachine:
        from pyralog.coordinator.transaction.machine import TransactionMachine  # a node starts without it

        return TransactionMachine(partition, self.settings, image, self._note_ended)

    def _current(self) -> ClusterImage:
        assert self._image is not None
        return self._image

    # --- the node ---

    def begin(self, image: ClusterImage) -> None:
        """Load what this node leads, in the background."""
        self._image = image
        self.runtime.begin(image)

    def on_image(self, delta: ImageDelta, image: ClusterImage) -> None:
        """The cluster has changed."""
        self._image = image
        self.runtime.on_image(delta, image)

    def reconfigure(self, settings: TransactionSettings) -> None:
        """Go by other settings from now on, transactions and timers at hand included."""
        self.settings = settings
        self.runtime.reconfigure(settings)

    async def stop(self, timeout_ms: int) -> None:
        """Finish what is on its way; decided transactions whose markers are missing get them after the next start."""
        self.markers.close()
        await self.runtime.stop(timeout_ms)
        # Who waits for the end of a transaction hears that there is no such shard, while the plane can still say it.
        self._ending.clear()
        for transactional_id in list(self._waiting):
            self._wake(transactional_id)

    # --- requests ---

    def submit(self, transactional_id: str, request: Any) -> Pending[Any]:
        """What the id's shard answers. KafkaError 14, 15, 16 while it is not to be had here."""
        return self.runtime.submit_by_key(self.topic, transactional_id, request, len(transactional_id))

    def init_producer_id(self, request: InitProducerId) -> Pending[ProducerIdentity]:
        """The identity of a producer that begins."""
        return self._decide(request)

    def end(self, request: EndTransaction) -> Pending[ProducerIdentity]:
        """Commit or abort; answered when that is decided for good. The markers follow."""
        return self._decide(request)

    def add(self, request: AddPartitions) -> Pending[None]:
        """Make partitions part of the transaction. One that begins waits a little for the end of the last one."""
        result: Pending[None] = Pending()

        def later() -> None:
            self._when_ended(request.transactional_id, lambda: self._submit_to(request, result))

        def answered(value: Any) -> None:
            if _is_concurrent(value):
                later()
            else:
                result.resolve(value)

        if request.transactional_id in self._ending:
            later()  # it would hear just that
        else:
            self.submit(request.transactional_id, request).then(answered)
        return result

    # --- the quick way (_speedups.txnlane) ---

    def decide(self, request: AddPartitions | EndTransaction) -> tuple[ActiveShard, Entry] | None:
        """Where a request belongs and what becomes of its transactional id; None where it is refused or has to wait."""
        partitions = self.topic.partitions
        if not partitions:
            return None
        shard = self.runtime.active.get(partition_for(request.transactional_id, partitions))
        if shard is None:
            return None
        machine: TransactionMachine = shard.machine  # type: ignore[assignment]
        try:
            after = machine.decide(request, self.runtime.clock())
        except KafkaError:
            return None
        return None if after is None else (shard, after)

    def keep(self, shard: ActiveShard, transactional_id: str, entry: JournalEntry, after: Entry) -> None:
        """Apply what was decided, whose record is in this entry of the shard's journal."""
        machine: TransactionMachine = shard.machine  # type: ignore[assignment]
        timers = machine.keep(transactional_id, after)
        if timers:
            shard.set_timers(timers, self.runtime.clock())
        if after.state in PREPARED:
            self._end_with(shard, transactional_id, entry, after)

    def _end_with(self, shard: ActiveShard, transactional_id: str, entry: JournalEntry, after: Entry) -> None:
        """Have the plane write the markers right behind the record, where all of them are the plane's to write."""
        partition = shard.tp.partition
        if not self.markers.direct(after.partitions):
            self._note_ended(partition, transactional_id)
            return
        self._ending.add(transactional_id)

        def told(written: bool) -> None:
            if shard.closed:
                return
            if written:
                self.markers.written += len(after.partitions)
                self._complete(shard, transactional_id, after.identity)
            else:
                self._note_ended(partition, transactional_id)

        entry.ending(
            sorted(after.partitions),
            *after.identity,
            self._coordinator_epoch(partition),
            after.state is TransactionState.PREPARE_COMMIT,
            self.runtime.clock(),
            told,
        )

    def _complete(self, shard: ActiveShard, transactional_id: str, identity: ProducerIdentity) -> None:
        """All markers are written. Nobody waits for the record of it: the next one of the shard takes it along."""
        machine: TransactionMachine = shard.machine  # type: ignore[assignment]
        now_ms = self.runtime.clock()
        after = machine.completed(transactional_id, identity, now_ms)
        if after is not None:
            try:
                write_whenever(shard, transactional_id, after, now_ms)
                machine.keep(transactional_id, after)
            except Exception as error:
                log.exception("%s-%d: the end of a transaction could not be applied", *shard.tp)
                shard.fail(error)
        self._wake(transactional_id)

    def _submit_to(self, request: Any, result: Pending[Any]) -> None:
        self.submit(request.transactional_id, request).then(result.resolve)

    def _decide(self, request: InitProducerId | EndTransaction) -> Pending[ProducerIdentity]:
        """Submit; once more with a new producer id when it turns out that one is needed."""
        result: Pending[ProducerIdentity] = Pending()

        def answered(value: Any) -> None:
            if not isinstance(value, ProducerIdNeeded):
                result.resolve(value)
                return
            spare = self._producer_ids.take()
            if spare is not None:
                self._submit_to(request._replace(spare_id=spare), result)
                return
            try:
                self._scope.start(self._with_next_id(request, result), name="producer id")
            except RuntimeError:
                result.resolve(KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE, "this node is stopping"))

        self.submit(request.transactional_id, request).then(answered)
        return result

    async def _with_next_id(self, request: InitProducerId | EndTransaction, result: Pending[Any]) -> None:
        try:
            spare = await self._producer_ids.next()
        except KafkaError as error:
            result.resolve(error)
        else:
            self._submit_to(request._replace(spare_id=spare), result)

    def _when_ended(self, transactional_id: str, go_on: Callable[[], None]) -> None:
        """Go on when the decided transaction of this id has ended, or after PATIENCE_MS."""
        ended = self._waiting.get(transactional_id)
        if ended is None:
            ended = self._waiting[transactional_id] = Pending()
            timer = asyncio.get_running_loop().call_later(PATIENCE_MS / 1000, self._wake, transactional_id)
            ended.then(lambda _: timer.cancel())
        ended.then(lambda _: go_on())

    def _wake(self, transactional_id: str) -> None:
        self._ending.discard(transactional_id)
        waiting = self._waiting.pop(transactional_id, None)
        if waiting is not None:
            waiting.resolve(None)

    async def list(self) -> list[tuple[str, Entry]]:
        """Every transactional id of this node. KafkaError while a shard is not loaded."""
        states = self.runtime.states()
        if any(state is not State.ACTIVE for state in states.values()):
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        asked = [self.runtime.submit(partition, ListTransactions()) for partition in states]
        return [item for pending in asked for item in await pending]

    # --- the end of transactions ---

    def write_marker(
        self, partition: int, producer_id: int, producer_epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> Pending[None]:
        """End one in a partition of __transaction_state, which only a broker can have added. KafkaError as `shard`."""
        shard = self.runtime.shard(partition)
        return shard.write_marker(producer_id, producer_epoch, coordinator_epoch, commit=commit)

    def _note_ended(self, partition: int, transactional_id: str) -> None:
        """The machine has decided; it is in the middle of it, so what follows comes later."""
        self._ended.append((partition, transactional_id))
        self._ending.add(transactional_id)
        if not self._woken:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._end_noted)

    def _end_noted(self) -> None:
        self._woken = False
        while self._ended:
            self._write_markers(*self._ended.popleft())

    def _write_markers(self, partition: int, transactional_id: str) -> None:
        """Ask for what was decided, which is answered when it is in the log; write the markers; say so."""
        try:
            shard = self.runtime.shard(partition)
        except KafkaError:
            return  # it starts again from its log, and says again what has to be ended

        def decided(ending: Ending | BaseException | None) -> None:
            if isinstance(ending, BaseException):
                self._later(shard, lambda: self._write_markers(partition, transactional_id))
            elif ending is not None:
                epoch = self._coordinator_epoch(partition)
                self.markers.end(ending, epoch, lambda: not shard.closed, lambda: self._written(shard, ending))

        _submit(shard, GetEnding(transactional_id)).then(decided)

    def _written(self, shard: ActiveShard, ending: Ending) -> None:
        def said(value: Any) -> None:
            if isinstance(value, BaseException):
                self._later(shard, lambda: self._written(shard, ending))

        pending = _submit(shard, MarkersWritten(ending.transactional_id, ending.identity))
        # The machine is on: who waited may begin, and its answer comes behind the record of this end.
        self._wake(ending.transactional_id)
        pending.then(said)

    def _later(self, shard: ActiveShard, again: Callable[[], None]) -> None:
        """A shard that is full or about to close did not take a request of ours."""
        if not shard.closed:
            asyncio.get_running_loop().call_later(RETRY_MS / 1000, self._if_open, shard, again)

    @staticmethod
    def _if_open(shard: ActiveShard, again: Callable[[], None]) -> None:
        if not shard.closed:
            again()

    def _coordinator_epoch(self, partition: int) -> int:
        registration = self._current().partition(self.topic.name, partition)
        return 0 if registration is None else registration.leader_epoch


def _submit(shard: ActiveShard, request: Any) -> Pending[Any]:
    try:
        return shard.submit(request)
    except KafkaError as error:
        return Pending.of(error)


def _is_concurrent(value: Any) -> bool:
    return isinstance(value, KafkaError) and value.code is ErrorCode.CONCURRENT_TRANSACTIONS
