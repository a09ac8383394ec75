"""Records of the coordinators' topics in bulk: the newest of each key, and committed offsets out of those."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcmp

from pyralog._speedups.cursor cimport (
    MAX_TAGS, Cursor, Span, cursor_init, cursor_left, read_i16, read_i32, read_i64, read_span, read_string, read_uvarint,
    read_varlong, take,
)

cdef enum:
    OFFSET_COMMIT = 1           # record types 0 and 1 are committed offsets
    WITH_EXPIRY = 1
    WITH_EPOCH = 3
    FLEXIBLE = 4

NO_TOPIC_ID = bytes(16)


# --- reading ---

def newest(
    const uint8_t[::1] body not None,
    int64_t base_offset,
    int64_t base_timestamp,
    int64_t append_timestamp,
    int32_t count,
    int64_t log_start,
    dict into not None,
    list tombstones=None,
) -> None:
    """Put the records of a batch (its plain body) into a dict: key -> (offset, timestamp, value). ValueError: damage.

    append_timestamp is that of all records, or -1 when each has its own. `tombstones` gets the keys without value, also
    of those that a later record of the batch replaces.
    """
    cdef Cursor c
    cdef Cursor record
    cdef const uint8_t* start
    cdef int64_t size, timestamp, offset
    cdef Span key, value
    cdef int32_t i
    cdef bytes name
    cdef uint8_t nothing = 0
    cursor_init(&c, &body[0] if body.shape[0] else &nothing, body.shape[0])
    for i in range(count):
        size = read_varlong(&c)
        start = take(&c, size)
        if start == NULL:
            raise ValueError("the records are cut short")
        cursor_init(&record, start, size)
        take(&record, 1)
        timestamp = base_timestamp + read_varlong(&record)
        offset = base_offset + read_varlong(&record)
        key = read_span(&record, read_varlong(&record))
        value = read_span(&record, read_varlong(&record))
        if record.bad:
            raise ValueError("a field is longer than its record")
        if key.size < 0 or offset < log_start:
            continue
        if append_timestamp >= 0:
            timestamp = append_timestamp
        name = PyBytes_FromStringAndSize(<const char*>key.data, key.size)
        if value.size < 0 and tombstones is not None:
            tombstones.append(name)
        into[name] = (
            offset,
            timestamp,
            None if value.size < 0 else PyBytes_FromStringAndSize(<const char*>value.data, value.size),
        )
    if cursor_left(&c) != 0:
        raise ValueError("bytes are left behind the last record")


cdef inline str text(Span span):
    return PyUnicode_DecodeUTF8(<const char*>span.data, span.size, NULL)


cdef inline bint same(Span span, bytes known):
    return known is not None and PyBytes_GET_SIZE(known) == span.size and (
        memcmp(PyBytes_AS_STRING(known), span.data, span.size) == 0
    )


cdef object committed(object make, bytes value, int64_t record_offset):
    """The fields of a Committed, out of any version of the value."""
    cdef Cursor c
    cdef int16_t version
    cdef int64_t offset, commit_timestamp, size
    cdef int64_t expire_timestamp = -1
    cdef int32_t leader_epoch = -1
    cdef Span metadata
    cdef const uint8_t* data
    cdef bytes topic_id = NO_TOPIC_ID
    cdef uint64_t tags, tag, i
    cursor_init(&c, <const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    version = read_i16(&c)
    if version < 0:
        raise ValueError("a committed offset without a version")
    offset = read_i64(&c)
    if version >= WITH_EPOCH:
        leader_epoch = read_i32(&c)
    metadata = read_string(&c, version >= FLEXIBLE)
    commit_timestamp = read_i64(&c)
    if version == WITH_EXPIRY:
        expire_timestamp = read_i64(&c)
    if version >= FLEXIBLE:
        tags = read_uvarint(&c)
        if tags > MAX_TAGS:
            c.bad = True
        i = 0
        while i < tags and not c.bad:
            tag = read_uvarint(&c)
            size = <int64_t>read_uvarint(&c)
            data = take(&c, size)
            if data != NULL and tag == 0 and size == 16:
                topic_id = PyBytes_FromStringAndSize(<const char*>data, 16)
            i += 1
    if c.bad or metadata.size < 0:
        raise ValueError("a committed offset is cut short")
    return make((offset, leader_epoch, text(metadata), commit_timestamp, expire_timestamp, topic_id, record_offset))


def take_offsets(dict records not None, dict groups not None, object make) -> tuple[int, list]:
    """Out of what `newest` gathered: committed offsets into group -> topic -> partition -> make(fields).

    Returns how many there are, and the other records as (offset, timestamp, key, value), tombstones apart.
    """
    cdef Cursor c
    cdef int16_t kind
    cdef Span group, topic
    cdef int32_t partition
    cdef int64_t count = 0
    cdef bytes raw, group_bytes = None, topic_bytes = None
    cdef object value
    cdef dict topics = None
    cdef dict partitions = None
    cdef dict names = {}
    cdef list rest = []
    cdef str name
    for raw, (offset, timestamp, value) in records.items():
        if value is None:
            continue
        cursor_init(&c, <const uint8_t*>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
        kind = read_i16(&c)
        if kind < 0 or kind > OFFSET_COMMIT or c.bad:
            rest.append((offset, timestamp, raw, value))
            continue
        group = read_string(&c, False)
        topic = read_string(&c, False)
        partition = read_i32(&c)
        if c.bad or group.size < 0 or topic.size < 0:
            raise ValueError("the key of a committed offset is cut short")
        if not same(group, group_bytes):
            group_bytes = PyBytes_FromStringAndSize(<const char*>group.data, group.size)
            topic_bytes = None
            name = text(group)
            topics = groups.get(name)
            if topics is None:
                topics = groups[name] = {}
        if not same(topic, topic_bytes):
            topic_bytes = PyBytes_FromStringAndSize(<const char*>topic.data, topic.size)
            name = text(topic)
            name = names.setdefault(name, name)
            partitions = topics.get(name)
            if partitions is None:
                partitions = topics[name] = {}
        partitions[partition] = committed(make, value, offset)
        count += 1
    return count, rest
