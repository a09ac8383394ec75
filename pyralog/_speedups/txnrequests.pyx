"""AddPartitionsToTxn and EndTxn from bytes to bytes: what a request says and the answer that all is well; and the record of
__transaction_state that keeps what was decided."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc

from pyralog._speedups.cursor cimport (
    Cursor, Span, cursor_init, cursor_left, read_count, read_i8, read_i16, read_i32, read_i64, read_string,
)
from pyralog._speedups.endian cimport store16, store32, store64
from pyralog._speedups.journal cimport Entry
from pyralog._speedups.put cimport put_raw, put_uvarint, put_varlong, uvarint_size
from pyralog._speedups.quickwire cimport end_struct, no_tags, put_count, put_text, text

cdef enum:
    ADD_FLEXIBLE = 3
    ADD_LAST = 3                # later versions come from brokers
    END_FLEXIBLE = 3
    END_WITH_PRODUCER = 5
    END_LAST = 5
    MAX_FRAME = 65536           # what is larger is not in a hurry
    MAX_ID = 1024               # bytes of a transactional id
    LEAST_TOPIC = 4             # bytes of an element of these arrays
    LEAST_PARTITION = 4
    PARTITION_EXTRA = 3         # of a partition in an answer over that in the request: its error code, its tags
    ANSWER_EXTRA = 64           # the rest
    VALUE_VERSION = 1           # of TransactionLogValue, with tags: what is written from TV1 on
    KEY_FIXED = 4               # TransactionLogKey: its version, the length
    VALUE_FIXED = 33            # 2 version, 8 producer id, 2 epoch, 4 timeout, 1 status, 8 + 8 times
    TAGS = 25                   # at most: their number, 2 of 8 bytes and one of 2, number and size of each
    RECORD_FIXED = 64           # at most, of a record over its key and value
    EMPTY = 0                   # the state without partitions
    STATE_FIELDS = 11           # of an Entry


@cython.final
@cython.no_gc          # nothing in it refers back to it
@cython.freelist(64)
cdef class TxnRequest:
    """Either request; `commit` and `topics` are of one of them only."""

    cdef bytes answer(self, int64_t producer_id, int16_t epoch):
        """Framed, with header: nothing is refused. The producer goes on with this identity (EndTxn)."""
        cdef uint8_t room[ANSWER_EXTRA]
        cdef uint8_t* p = room + 4
        cdef bint flexible = self.version >= END_FLEXIBLE
        if self.api == ADD_PARTITIONS:
            return self.added
        store32(p, self.correlation)
        p = end_struct(p + 4, flexible)
        store32(p, 0)
        store16(p + 4, 0)
        p += 6
        if self.version >= END_WITH_PRODUCER:
            store64(p, producer_id)
            store16(p + 8, epoch)
            p += 10
        p = end_struct(p, flexible)
        store32(room, <int32_t>(p - room - 4))
        return PyBytes_FromStringAndSize(<const char*>room, p - room)

    def framed(self, int64_t producer_id, int16_t epoch) -> bytes:
        """As the quick way answers."""
        return self.answer(producer_id, epoch)


# --- requests ---

cdef uint8_t* read_partitions(Cursor* c, list partitions, bint flexible, uint8_t* p) except NULL:
    """The partitions of a topic, and their part of the answer at p; the byte behind that."""
    cdef int64_t count = read_count(c, flexible, LEAST_PARTITION)
    cdef int64_t i
    cdef int32_t partition
    if count <= 0:
        c.bad = True
        return p
    p = put_count(p, count, flexible)
    for i in range(count):
        partition = read_i32(c)
        partitions.append(partition)
        store32(p, partition)
        store16(p + 4, 0)
        p = end_struct(p + 6, flexible)
    return p


cdef int read_add(Cursor* c, TxnRequest request, uint8_t* room) except -1:
    """The rest of an AddPartitionsToTxn. `room` holds its answer: there is space enough."""
    cdef bint flexible = request.version >= ADD_FLEXIBLE
    cdef int64_t count = read_count(c, flexible, LEAST_TOPIC)
    cdef int64_t i
    cdef Span name
    cdef list partitions
    cdef uint8_t* p = room + 4
    if count <= 0:
        c.bad = True
        return 0
    request.topics = []
    store32(p, request.correlation)
    p = end_struct(p + 4, flexible)
    store32(p, 0)
    p = put_count(p + 4, count, flexible)
    for i in range(count):
        name = read_string(c, flexible)
        if name.size <= 0:
            c.bad = True
            return 0
        partitions = []
        request.topics.append((text(name), partitions))
        p = read_partitions(c, partitions, flexible, put_text(p, name, flexible))
        no_tags(c, flexible)
        if c.bad:
            return 0
        p = end_struct(p, flexible)
    p = end_struct(p, flexible)
    store32(room, <int32_t>(p - room - 4))
    request.added = PyBytes_FromStringAndSize(<const char*>room, p - room)
    return 0


cdef TxnRequest read_request(Cursor* c, uint8_t* room):
    """None for what is not to be read here."""
    cdef TxnRequest request = TxnRequest.__new__(TxnRequest)
    cdef Span id
    cdef bint flexible
    request.api = read_i16(c)
    request.version = read_i16(c)
    if request.version < 0 or request.version > (ADD_LAST if request.api == ADD_PARTITIONS else END_LAST):
        return None
    if request.api != ADD_PARTITIONS and request.api != END_TXN:
        return None
    flexible = request.version >= (ADD_FLEXIBLE if request.api == ADD_PARTITIONS else END_FLEXIBLE)
    request.correlation = read_i32(c)
    read_string(c, False)       # the client's id
    no_tags(c, flexible)
    id = read_string(c, flexible)
    request.producer_id = read_i64(c)
    request.epoch = read_i16(c)
    if c.bad or id.size <= 0 or id.size > MAX_ID:
        return None
    request.transactional_id = text(id)
    if request.api == ADD_PARTITIONS:
        read_add(c, request, room)
    else:
        request.commit = read_i8(c) != 0
    no_tags(c, flexible)
    return None if c.bad or cursor_left(c) != 0 else request


cdef TxnRequest request_in(const uint8_t* frame, int64_t size):
    """The request in a frame with header; None when it is damaged, odd, or long.

    Whoever gets None has the frame decoded as any other; this is for the many that have nothing to be said about.
    """
    cdef Cursor c
    cdef uint8_t* room
    if size > MAX_FRAME:
        return None
    room = <uint8_t*>malloc(size + size // LEAST_PARTITION * PARTITION_EXTRA + ANSWER_EXTRA)
    if room == NULL:
        raise MemoryError
    cursor_init(&c, frame, size)
    try:
        return read_request(&c, room)
    except UnicodeDecodeError:
        return None
    finally:
        free(room)


def parse_request(bytes frame not None):
    """The request in a frame, as the quick way reads it."""
    return request_in(<const uint8_t*>PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))


# --- records ---

cdef list grouped(object partitions):
    """(topic, list of partitions) of each, in order."""
    cdef list topics = []
    cdef object last = None
    for name, index in sorted(partitions):
        if name != last:
            last = name
            topics.append((name, []))
        (<list>(<tuple>topics[len(topics) - 1])[1]).append(index)
    return topics


cdef int64_t topics_size(list topics) except -1:
    cdef int64_t total = uvarint_size(len(topics) + 1)
    cdef Py_ssize_t size
    for name, indices in topics:
        PyUnicode_AsUTF8AndSize(name, &size)
        total += uvarint_size(size + 1) + size + uvarint_size(len(indices) + 1) + 4 * len(indices) + 1
    return total


cdef uint8_t* put_topics(uint8_t* p, list topics) except NULL:
    cdef Py_ssize_t size
    cdef const char* name_text
    p = put_uvarint(p, len(topics) + 1)
    for name, indices in topics:
        name_text = PyUnicode_AsUTF8AndSize(name, &size)
        p = put_raw(put_uvarint(p, size + 1), name_text, size)
        p = put_uvarint(p, len(indices) + 1)
        for index in indices:
            store32(p, <int32_t>index)
            p += 4
        p = end_struct(p, True)
    return p


cdef uint8_t* put_tags(uint8_t* p, int64_t previous_id, int64_t next_id, int16_t version) noexcept:
    """The tagged fields that are not what they are by default."""
    cdef uint8_t* count = p
    count[0] = 0
    p += 1
    if previous_id != -1:
        count[0] += 1
        p[0] = 0
        p[1] = 8
        store64(p + 2, previous_id)
        p += 10
    if next_id != -1:
        count[0] += 1
        p[0] = 1
        p[1] = 8
        store64(p + 2, next_id)
        p += 10
    if version != 0:
        count[0] += 1
        p[0] = 2
        p[1] = 2
        store16(p + 2, version)
        p += 4
    return p


cdef int64_t record_size(str transactional_id, object partitions) except -1:
    """At most, of what `write_state` adds to a batch."""
    cdef Py_ssize_t size
    cdef int64_t total
    PyUnicode_AsUTF8AndSize(transactional_id, &size)
    total = size + KEY_FIXED + VALUE_FIXED + TAGS + RECORD_FIXED + 5
    for name, _ in partitions:
        PyUnicode_AsUTF8AndSize(name, &size)
        total += size + 16
    return total


cdef int write_state(Entry entry, str transactional_id, object state, int64_t now_ms) except -1:
    """The record of a coordinator.transaction.state.Entry, whose fields these are in their order."""
    cdef tuple fields = tuple(state)
    cdef int64_t producer_id, start_ms, updated_ms, value_size, tags_size
    cdef int16_t epoch
    cdef int32_t timeout_ms
    cdef int status
    cdef list topics = None
    cdef uint8_t tags[TAGS]
    cdef Py_ssize_t id_size
    cdef const char* id_text = PyUnicode_AsUTF8AndSize(transactional_id, &id_size)
    cdef uint8_t* p
    if len(fields) != STATE_FIELDS:
        raise ValueError("not the state of a transactional id")
    producer_id, epoch, timeout_ms, status, start_ms, updated_ms = (
        fields[0], fields[1], fields[2], fields[3], fields[5], fields[6])
    if status != EMPTY:
        topics = grouped(fields[4])
    tags_size = put_tags(tags, fields[7], fields[8], fields[10]) - tags
    value_size = VALUE_FIXED + tags_size + (1 if topics is None else topics_size(topics))
    p = entry.begin_record(now_ms, KEY_FIXED + id_size, value_size)
    store16(p, 0)               # the type
    store16(p + 2, <int16_t>id_size)
    p = put_varlong(put_raw(p + 4, id_text, id_size), value_size)
    store16(p, VALUE_VERSION)
    store64(p + 2, producer_id)
    store16(p + 10, epoch)
    store32(p + 12, timeout_ms)
    p[16] = <uint8_t>status
    p = put_uvarint(p + 17, 0) if topics is None else put_topics(p + 17, topics)
    store64(p, updated_ms)
    store64(p + 8, start_ms)
    entry.end_record(put_raw(p + 16, tags, tags_size))
    return 0


def write_record(Entry entry not None, str transactional_id not None, state not None, int64_t now_ms):
    """As the quick way writes it."""
    write_state(entry, transactional_id, state, now_ms)
