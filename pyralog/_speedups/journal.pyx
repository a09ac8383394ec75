"""The way of coordinators' records to their log: batches that grow while they wait for their turn, and who waits for each.

A shard (coordinator.active) is a Journal: it opens an Entry for what it decides on, and replies join the entry that they
rest on. Once a turn of the loop the Outbox hands the entries of all shards to the plane as one round; the plane answers
the requests that were taken on the quick way by itself, and then tells which batches lie where.
"""

from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from pyralog._speedups.batch cimport ATTR_TRANSACTIONAL, AT_ATTRIBUTES, BATCH_HEADER
from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.desk cimport Desk, Tally, tally_in
from pyralog._speedups.endian cimport store16, store32, store64
from pyralog._speedups.plane.buffers cimport buffer_free, buffer_reserve
from pyralog._speedups.plane.ring cimport free_event, monotonic_ns
from pyralog._speedups.plane.state cimport Event
from pyralog._speedups.put cimport put_raw, put_varlong, varlong_size

cdef enum:
    RECORD_EXTRA = 48           # length, attributes, deltas, two sizes, header count: varints of at most ten bytes
    SHARED_BYTES = 1 << 20      # records of several outcomes share a batch up to here; one outcome's may be larger
    LINGER_MS = 10              # how long records lie that nobody waits for
    IN_FLIGHT = 4               # batches of a shard that the plane has not confirmed; the next ones grow meanwhile

BATCH_BYTES, MAX_IN_FLIGHT, MAX_UNWRITTEN = SHARED_BYTES, IN_FLIGHT, UNWRITTEN_BYTES


cdef class Entry:
    """A batch on its way to the log, or a marker; and what is to be said when it is there.

    `replies` are pairs: resolve(value) of the first is called with the second. Besides there are requests whose framed
    answers the plane sends.
    `promises` are (partition, producer id, epoch, number of its principal, guard), `endings` (partitions, producer id, epoch,
    coordinator epoch, commit, timestamp, told); `following` is the cookie of the round of their markers.
    """

    def __cinit__(self, Journal journal, int64_t base_offset, transaction=None, marker=None):
        self.journal = journal
        self.base_offset = base_offset
        self.transaction = transaction
        self.marker = marker
        self.replies = []

    def __dealloc__(self):
        cdef Event* event
        while self.taken != NULL:
            event = self.taken
            self.taken = event.next
            free_event(event)
        buffer_free(&self.records)
        buffer_free(&self.answers)

    # --- records ---

    cdef uint8_t* begin_record(self, int64_t timestamp, int64_t key_size, int64_t value_size) except NULL:
        """Begins a record (value_size -1: without a value); where its key goes. `end_record` must follow."""
        cdef int64_t delta
        cdef int64_t size = 1 + varlong_size(self.count) + varlong_size(key_size) + key_size + varlong_size(value_size) + 1
        cdef uint8_t* p
        if value_size > 0:
            size += value_size
        if buffer_reserve(&self.records, size + RECORD_EXTRA + BATCH_HEADER) < 0:
            raise MemoryError
        if self.count == 0:
            self.records.size = BATCH_HEADER
            self.first_ms = self.last_ms = timestamp
        elif timestamp > self.last_ms:
            self.last_ms = timestamp
        delta = timestamp - self.first_ms
        p = put_varlong(self.records.data + self.records.size, size + varlong_size(delta))
        p[0] = 0
        p = put_varlong(put_varlong(p + 1, delta), self.count)
        return put_varlong(p, key_size)

    cdef void end_record(self, uint8_t* p) noexcept:
        """Ends it behind its value, at p. The next one lies at the journal's next offset."""
        p[0] = 0
        self.records.size = p + 1 - self.records.data
        self.count += 1
        if self.journal is not None:
            self.journal.next_offset += 1

    def add(self, int64_t timestamp, bytes key not None, bytes value) -> None:
        """One more record."""
        cdef int64_t value_size = -1 if value is None else PyBytes_GET_SIZE(value)
        cdef uint8_t* p = self.begin_record(timestamp, PyBytes_GET_SIZE(key), value_size)
        p = put_varlong(put_raw(p, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)), value_size)
        if value_size > 0:
            p = put_raw(p, PyBytes_AS_STRING(value), value_size)
        self.end_record(p)

    cdef void seal(self) noexcept:
        """Writes the header of the batch, which lies at offset 0 and has at least one record."""
        cdef uint8_t* data = self.records.data
        cdef int64_t size = self.records.size
        store64(data, 0)
        store32(data + 8, <int32_t>(size - 12))
        store32(data + 12, -1)
        data[16] = 2
        store16(data + AT_ATTRIBUTES, 0 if self.transaction is None else ATTR_TRANSACTIONAL)
        store32(data + 23, self.count - 1)
        store64(data + 27, self.first_ms)
        store64(data + 35, self.last_ms)
        store64(data + 43, -1 if self.transaction is None else self.transaction[0])
        store16(data + 51, -1 if self.transaction is None else self.transaction[1])
        store32(data + 53, -1)
        store32(data + 57, self.count)
        store32(data + 17, <int32_t>crc32c(0, data + AT_ATTRIBUTES, <size_t>(size - AT_ATTRIBUTES)))

    def batch(self) -> bytes:
        """The batch as it goes to the log."""
        if self.count == 0:
            raise ValueError("a batch has at least one record")
        self.seal()
        return PyBytes_FromStringAndSize(<const char*>self.records.data, self.records.size)

    # --- transactions ---

    def promise(self, tp, int64_t producer_id, int16_t epoch, principal, guard) -> None:
        """A partition that belongs to the producer's transaction when the batch is in the log."""
        if self.promises is None:
            self.promises = []
        self.promises.append((tp, producer_id, epoch, principal, guard))

    def ending(self, partitions not None, int64_t producer_id, int16_t epoch, coordinator_epoch, commit, timestamp_ms,
               told not None) -> None:
        """A transaction that ends when the batch is in the log: the plane writes its markers, told(all of them) is called."""
        if self.endings is None:
            self.endings = []
        self.endings.append((partitions, producer_id, epoch, coordinator_epoch, commit, timestamp_ms, told))

    # --- requests of the quick way ---

    cdef int take(self, Event* event, bytes answer, Desk desk, int64_t now_ns) except -1:
        """The request of this event, which is the entry's from now on, gets this framed answer when the batch is written."""
        cdef int64_t size = PyBytes_GET_SIZE(answer)
        cdef uint8_t* p
        if buffer_reserve(&self.answers, size + 16) < 0:
            raise MemoryError
        p = self.answers.data + self.answers.size
        memcpy(p, &event.token, 8)
        memcpy(p + 8, &size, 8)
        put_raw(p + 16, PyBytes_AS_STRING(answer), size)
        self.answers.size += size + 16
        if self.tallies is None:
            self.tallies = []
        event.b = tally_in(self.tallies, desk, now_ns)
        event.next = self.taken
        self.taken = event
        return 0

    def told(self) -> list:
        """(token, framed answer) of each such request, as the plane sends them."""
        cdef int64_t at = 0
        cdef int64_t size
        cdef uint64_t token
        cdef list found = []
        while at < self.answers.size:
            memcpy(&token, self.answers.data + at, 8)
            memcpy(&size, self.answers.data + at + 8, 8)
            found.append((token, PyBytes_FromStringAndSize(<const char*>self.answers.data + at + 16, size)))
            at += 16 + size
        return found

    # --- the outcome ---

    cdef void written(self) noexcept:
        """Its records are not waiting any more."""
        if self.journal is not None:
            self.journal.outbox.unwritten -= self.counted
            self.counted = 0

    cdef int tell(self) except -1:
        """The batch is in the log, and the plane has answered those whom it answers."""
        cdef Tally tally
        self.written()
        if self.tallies is not None:
            for tally in self.tallies:
                tally.desk.answered(tally.count, monotonic_ns() - tally.began_ns)
        for answered, value in self.replies:
            answered.resolve(value)
        return 0

    cdef int refuse(self, object error) except -1:
        """It is not, or nobody knows."""
        cdef Event* event
        cdef Tally tally
        cdef uint64_t token
        cdef int64_t connection
        self.written()
        while self.taken != NULL:
            event = self.taken
            self.taken = event.next
            frame = PyBytes_FromStringAndSize(<const char*>event.data, event.size)
            token, connection, tally = event.token, event.a, self.tallies[event.b]
            free_event(event)
            tally.desk.refuse(token, frame, connection, tally.began_ns, error)
        for answered, _ in self.replies:
            answered.resolve(error)
        return 0


cdef class Journal:
    """The log of one shard, as far as the shard writes it. `next_offset` is that of the next record.

    A subclass has `fail(error)`, called when the log cannot be relied on any more, and `send_marker(entry)`, which has
    the marker of an entry appended and then calls `marked`.
    """

    def __cinit__(self, *args, **kwargs):
        self.unsent = deque()
        self.sent = []

    def __init__(self, tp, machine, int64_t next_offset, Outbox outbox not None, load):
        self.tp = tp
        self.machine = machine
        self.next_offset = next_offset
        self.outbox = outbox
        self.load = load

    @property
    def idle(self) -> bool:
        """Nothing is on its way to the log."""
        return not self.unsent and not self.sent

    @property
    def last(self):
        """The entry that nothing has been decided after; None when all is in the log."""
        entries = self.unsent or self.sent
        return entries[len(entries) - 1] if entries else None

    cdef bint takes(self, int64_t size) except -1:
        """Whether a request of so many bytes may be decided on the quick way now."""
        return (not self.closed and self.outbox.unwritten <= UNWRITTEN_BYTES
                and (self.open_entry() is not None or not self.load.full(size)))

    cdef Entry open_entry(self):
        """The one that has not been sent and may take more records; or None."""
        cdef Entry last = self.unsent[len(self.unsent) - 1] if self.unsent else None
        if last is None or last.transaction is not None or last.marker is not None or last.records.size > SHARED_BYTES:
            return None
        return last

    cdef Entry room_for(self, int64_t size, object transaction):
        """The entry for records of this size; it has not been planned."""
        cdef Entry entry = None if transaction is not None else self.open_entry()
        if entry is None or entry.records.size + size > SHARED_BYTES:
            entry = Entry(self, self.next_offset, transaction)
            self.unsent.append(entry)
        entry.counted += size
        self.outbox.unwritten += size
        return entry

    cdef Entry entry_for(self, int64_t size, object transaction):
        self.plan()
        return self.room_for(size, transaction)

    cdef Entry entry_whenever(self, int64_t size):
        """The batch for records that nobody waits for: they lie there until others come, but not for long."""
        if not self.planned:
            self.outbox.linger(self)
        return self.room_for(size, None)

    def hurry(self) -> None:
        """Somebody waits for what has been decided."""
        if self.unsent:
            self.plan()

    def entry(self, int64_t size, transaction) -> Entry:
        """The batch for records of this size: the open one if they fit. A transaction's are alone in theirs."""
        return self.entry_for(size, transaction)

    def marker(self, marker not None) -> Entry:
        """An entry that is a marker, of one record."""
        entry = Entry(self, self.next_offset, None, marker)
        self.next_offset += 1
        self.unsent.append(entry)
        self.plan()
        return entry

    cdef int plan(self) except -1:
        if not self.planned:
            self.planned = True
            self.outbox.due.append(self)
            if not self.outbox.planned:
                self.outbox.planned = True
                self.outbox.log.soon(self.outbox.flush)
        return 0

    cdef int collect(self) except -1:
        """Moves what may be sent now to the round; markers go by themselves, behind what is before them."""
        cdef Entry entry
        self.planned = False
        while self.unsent and len(self.sent) < IN_FLIGHT and not self.closed:
            entry = self.unsent.popleft()
            self.sent.append(entry)
            if entry.marker is None:
                self.outbox.collected.append(entry)
                continue
            self.outbox.push()
            try:
                self.send_marker(entry)
            except Exception as error:      # whatever it is, the shard starts again from its log
                self.fail(error)
        return 0

    cdef int appended(self, Entry entry, int64_t result) except -1:
        """The entry's base offset, or minus the error code of the plane."""
        if self.closed:
            return 0
        if result != entry.base_offset:
            # Somebody else has written here, what the machine believes of offsets is wrong; or nothing was written.
            self.misplaced(entry, result)
            return 0
        entry.done = True
        while self.sent and (<Entry>self.sent[0]).done:
            (<Entry>self.sent.pop(0)).tell()
        if self.unsent:
            self.plan()
        return 0

    def marked(self, Entry entry not None, int64_t offset) -> None:
        """The marker of this entry is in the log."""
        self.appended(entry, offset)

    def refuse(self, error not None) -> None:
        """Tells everybody who waits for the log this error, and forgets them."""
        cdef Entry entry
        waiting = [*self.sent, *self.unsent]
        self.sent.clear()
        self.unsent.clear()
        for entry in waiting:
            entry.refuse(error)


cdef class Outbox:
    """What the shards of a node have for the log in this turn. `log` is the plane: append_round(entries) takes those of it
    and has `appended` or `refused` called; soon(callback) calls back when it is over, later(ms, callback) after so long."""

    def __init__(self, log not None):
        self.log = log
        self.due, self.collected, self.lingering = [], [], []

    cdef int linger(self, Journal journal) except -1:
        """Has what is unsent there written by and by."""
        if not journal.lingers:
            journal.lingers = True
            self.lingering.append(journal)
            if len(self.lingering) == 1:
                self.log.later(LINGER_MS, self.send_lingering)
        return 0

    def send_lingering(self) -> None:
        """Their time is over."""
        cdef Journal journal
        found = self.lingering
        self.lingering = []
        for journal in found:
            journal.lingers = False
            journal.hurry()

    def flush(self) -> None:
        """Hands over what has come together."""
        cdef Journal journal
        due = self.due
        self.due = []
        self.planned = False
        for journal in due:
            journal.collect()
        self.push()

    cdef int push(self) except -1:
        cdef list entries = self.collected
        if not entries:
            return 0
        self.collected = []
        try:
            self.log.append_round(entries)
        except Exception as error:          # whatever it is, the shards start again from their logs
            self.refused(entries, error)
        return 0

    def appended(self, list entries not None, const int64_t[::1] results not None) -> None:
        """Where the batches of a round are; or, negative, why one is not."""
        cdef Entry entry
        cdef Py_ssize_t i
        for i in range(len(entries)):
            entry = entries[i]
            entry.journal.appended(entry, results[i])

    def refused(self, list entries not None, error not None) -> None:
        """None of the round's batches is known to be in the log."""
        cdef Entry entry
        for entry in entries:
            if not entry.journal.closed:
                entry.journal.fail(error)
