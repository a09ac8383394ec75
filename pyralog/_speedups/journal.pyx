"""The way of coordinators' records to their log: batches that grow while they wait for their turn, and who waits for each.

A shard (coordinator.active) is a Journal: it opens an Entry for what it decides on, and replies join the entry that they
rest on. Once a turn of the loop the Outbox hands the entries of all shards to the plane as one round; the plane answers
the requests that were taken on the quick way by itself, and then tells which batches lie where.
"""

from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from pyralog._speedups.batch cimport ATTR_TRANSACTIONAL
from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.endian cimport store16, store32, store64
from pyralog._speedups.plane.appends cimport round_free, round_new
from pyralog._speedups.plane.buffers cimport buffer_free, buffer_reserve
from pyralog._speedups.plane.handle cimport PartitionHandle
from pyralog._speedups.plane.ring cimport free_event, monotonic_ns
from pyralog._speedups.plane.state cimport Event, Part, Round
from pyralog._speedups.put cimport put_raw, put_varlong, varlong_size

cdef enum:
    BATCH_HEADER = 61
    CRC_FROM = 21
    RECORD_EXTRA = 48           # length, attributes, deltas, two sizes, header count: varints of at most ten bytes
    SHARED_BYTES = 1 << 20      # records of several outcomes share a batch up to here; one outcome's may be larger
    IN_FLIGHT = 4               # batches of a shard that the plane has not confirmed; the next ones grow meanwhile

BATCH_BYTES, MAX_IN_FLIGHT, MAX_UNWRITTEN = SHARED_BYTES, IN_FLIGHT, UNWRITTEN_BYTES


cdef class Desk:
    """Counts the requests of one API that are taken before they become Python's, and says why one cannot be answered:
    failed(token, frame, connection id, began_ns, error). `took(ns, times)` gets durations; `stats` is the dispatcher's."""

    def __init__(self, str name not None, stats not None, took not None, failed not None):
        self.name = name
        self.stats = stats
        self.took = took
        self.failed = failed

    cdef int answered(self, int32_t count, int64_t ns) except -1:
        self.stats.requests[self.name] += count
        self.stats.waiting -= count
        self.took(ns, count)
        return 0

    cdef int refuse(self, uint64_t token, bytes frame, int64_t connection, int64_t began_ns, object error) except -1:
        self.stats.requests[self.name] += 1
        self.stats.waiting -= 1
        self.failed(token, frame, connection, began_ns, error)
        return 0


cdef class Entry:
    """A batch on its way to the log, or a marker; and what is to be said when it is there.

    `replies` are pairs: resolve(value) of the first is called with the second. Besides there are requests whose framed
    answers the plane sends.
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
        store16(data + CRC_FROM, 0 if self.transaction is None else ATTR_TRANSACTIONAL)
        store32(data + 23, self.count - 1)
        store64(data + 27, self.first_ms)
        store64(data + 35, self.last_ms)
        store64(data + 43, -1 if self.transaction is None else self.transaction[0])
        store16(data + 51, -1 if self.transaction is None else self.transaction[1])
        store32(data + 53, -1)
        store32(data + 57, self.count)
        store32(data + 17, <int32_t>crc32c(0, data + CRC_FROM, <size_t>(size - CRC_FROM)))

    def batch(self) -> bytes:
        """The batch as it goes to the log."""
        if self.count == 0:
            raise ValueError("a batch has at least one record")
        self.seal()
        return PyBytes_FromStringAndSize(<const char*>self.records.data, self.records.size)

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
        event.next = self.taken
        self.taken = event
        if self.n_taken == 0:
            self.taken_ns = now_ns
        self.n_taken += 1
        self.desk = desk
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
        self.written()
        if self.n_taken > 0:
            self.desk.answered(self.n_taken, monotonic_ns() - self.taken_ns)
            self.n_taken = 0
        for answered, value in self.replies:
            answered.resolve(value)
        return 0

    cdef int refuse(self, object error) except -1:
        """It is not, or nobody knows."""
        cdef Event* event
        cdef uint64_t token
        cdef int64_t connection
        self.written()
        self.n_taken = 0
        while self.taken != NULL:
            event = self.taken
            self.taken = event.next
            frame = PyBytes_FromStringAndSize(<const char*>event.data, event.size)
            token, connection = event.token, event.a
            free_event(event)
            self.desk.refuse(token, frame, connection, self.taken_ns, error)
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

    cdef Entry open_entry(self):
        """The one that has not been sent and may take more records; or None."""
        cdef Entry last
        if not self.unsent:
            return None
        last = self.unsent[len(self.unsent) - 1]
        if last.transaction is not None or last.marker is not None or last.records.size > SHARED_BYTES:
            return None
        return last

    cdef Entry entry_for(self, int64_t size, object transaction):
        cdef Entry entry = None if transaction is not None else self.open_entry()
        if entry is None or entry.records.size + size > SHARED_BYTES:
            entry = Entry(self, self.next_offset, transaction)
            self.unsent.append(entry)
            self.plan()
        entry.counted += size
        self.outbox.unwritten += size
        return entry

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
    """What the shards of a node have for the log in this turn. `log` is the plane: append_round(entries) takes those of a
    turn and has `appended` or `refused` called later, soon(callback) calls back when all of the turn has been decided."""

    def __init__(self, log not None):
        self.log = log
        self.due, self.collected = [], []

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


cdef Round* round_of(list entries, dict partitions, uint64_t cookie) except NULL:
    """The entries as the plane takes them. Their records and answers are the round's from now on."""
    cdef Entry entry
    cdef Part* part
    cdef Py_ssize_t i
    cdef Py_ssize_t n = len(entries)
    cdef Round* made = round_new(<int32_t>n, cookie)
    if made == NULL:
        raise MemoryError
    for i in range(n):
        entry = entries[i]
        found = partitions.get(entry.journal.tp)
        entry.seal()
        part = &made.parts[i]
        part.partition = NULL if found is None else (<PartitionHandle>found).p
        part.expected = entry.base_offset
        part.batch = entry.records.data
        part.batch_size = entry.records.size
        part.answers = entry.answers.data
        part.answers_size = entry.answers.size
        entry.records.data = NULL
        entry.answers.data = NULL
        buffer_free(&entry.records)
        buffer_free(&entry.answers)
    return made
