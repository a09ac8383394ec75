"""Offset commits from bytes to bytes: what a request says, the records that keep it, and the answer that all is well."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc

from pyralog._speedups.cursor cimport (
    Cursor, Span, cursor_init, cursor_left, read_count, read_i16, read_i32, read_i64, read_string, take,
)
from pyralog._speedups.endian cimport store16, store32, store64
from pyralog._speedups.journal cimport Entry
from pyralog._speedups.put cimport put_raw, put_uvarint, put_varlong, uvarint_size
from pyralog._speedups.quickwire cimport end_struct, no_tags, put_count, put_text, text

cdef enum:
    OFFSET_COMMIT = 8           # the API; 2-10 are its versions
    MIN_VERSION = 2
    MAX_VERSION = 10
    LAST_RETENTION = 4          # versions from 2 to here may say how long to keep the offsets
    WITH_THROTTLE = 3           # answers from here on
    WITH_EPOCH = 6
    WITH_INSTANCE = 7
    FLEXIBLE = 8
    WITH_TOPIC_ID = 10
    MAX_FRAME = 65536           # what is larger is not in a hurry
    MAX_GROUP = 1024            # bytes; its name is in the key of every record
    LEAST_TOPIC = 4             # bytes of an element of these arrays
    LEAST_PARTITION = 13
    ANSWER_EXTRA = 32           # of an answer over its request: nothing in it is longer there, but its beginning
    KEY_TYPE = 1                # records of __consumer_offsets: OffsetCommitKey, and OffsetCommitValue with a topic id
    VALUE_VERSION = 4
    KEY_FIXED = 10
    VALUE_FIXED = 41            # all but the metadata: 2 version, 8, 4, 8, and the tag section with 16 bytes of id
    UUID = 16
    RECORD_FIXED = 64           # at most, of a record over its key and value, and the length of the metadata


@cython.final
@cython.no_gc          # nothing in it refers back to it
@cython.freelist(64)
cdef class CommitPartition:
    """As OffsetCommitRequestPartition."""


@cython.final
@cython.no_gc          # nothing in it refers back to it
@cython.freelist(64)
cdef class CommitTopic:
    """As OffsetCommitRequestTopic. Whoever takes it gives it the name or the id that the request has not."""


@cython.final
@cython.no_gc          # nothing in it refers back to it
@cython.freelist(64)
cdef class Commit:
    """As OffsetCommitRequest, with the answer (framed, with header) that it gets when nothing is refused."""

    cdef int64_t records_size(self) except -1:
        """The bytes of all keys and values, and what a record takes beside them."""
        cdef CommitTopic topic
        cdef CommitPartition one
        cdef Py_ssize_t group_size, size
        cdef int64_t total = 0
        cdef int64_t fixed
        PyUnicode_AsUTF8AndSize(self.group_id, &group_size)
        for topic in self.topics:
            PyUnicode_AsUTF8AndSize(topic.name, &size)
            fixed = KEY_FIXED + group_size + size + VALUE_FIXED + RECORD_FIXED
            for one in topic.partitions:
                PyUnicode_AsUTF8AndSize(one.committed_metadata, &size)
                total += fixed + size
        return total

    cdef int write(self, Entry entry, int64_t now_ms) except -1:
        """The record of each partition into the batch."""
        cdef CommitTopic topic
        cdef CommitPartition one
        for topic in self.topics:
            if PyBytes_GET_SIZE(topic.topic_id) != UUID:
                raise ValueError("a topic id has 16 bytes")
            for one in topic.partitions:
                write_record(entry, self.group_id, topic, one, now_ms)
        return 0

    cdef int64_t keep(self, dict groups, object make, int64_t record_offset, int64_t now_ms) except -1:
        """Put make(fields of a Committed) into group -> topic -> partition; how many of them are new."""
        cdef CommitTopic topic
        cdef CommitPartition one
        cdef dict topics = groups.get(self.group_id)
        cdef dict partitions
        cdef int64_t count = 0
        if topics is None:
            topics = groups[self.group_id] = {}
        for topic in self.topics:
            partitions = topics.get(topic.name)
            if partitions is None:
                partitions = topics[topic.name] = {}
            count -= len(partitions)
            for one in topic.partitions:
                partitions[one.partition_index] = make((
                    one.committed_offset, one.committed_leader_epoch, one.committed_metadata, now_ms, -1,
                    topic.topic_id, record_offset,
                ))
                record_offset += 1
            count += len(partitions)
        return count

    def records(self, Entry entry not None, int64_t now_ms) -> None:
        """As the quick way writes them."""
        self.write(entry, now_ms)

    def store(self, dict groups not None, object make, int64_t record_offset, int64_t now_ms) -> int:
        """As the quick way keeps them."""
        return self.keep(groups, make, record_offset, now_ms)


# --- records ---

cdef int write_record(Entry entry, str group, CommitTopic topic, CommitPartition one, int64_t now_ms) except -1:
    cdef Py_ssize_t group_size, topic_size, text_size
    cdef const char* group_text = PyUnicode_AsUTF8AndSize(group, &group_size)
    cdef const char* topic_text = PyUnicode_AsUTF8AndSize(topic.name, &topic_size)
    cdef const char* text = PyUnicode_AsUTF8AndSize(one.committed_metadata, &text_size)
    cdef int64_t value_size = VALUE_FIXED + uvarint_size(text_size + 1) + text_size
    cdef uint8_t* p = entry.begin_record(now_ms, KEY_FIXED + group_size + topic_size, value_size)
    store16(p, KEY_TYPE)
    store16(p + 2, <int16_t>group_size)
    p = put_raw(p + 4, group_text, group_size)
    store16(p, <int16_t>topic_size)
    p = put_raw(p + 2, topic_text, topic_size)
    store32(p, one.partition_index)
    p = put_varlong(p + 4, value_size)
    store16(p, VALUE_VERSION)
    store64(p + 2, one.committed_offset)
    store32(p + 10, one.committed_leader_epoch)
    p = put_raw(put_uvarint(p + 14, text_size + 1), text, text_size)
    store64(p, now_ms)
    p[8] = 1                    # one tagged field: number 0, of 16 bytes
    p[9] = 0
    p[10] = UUID
    entry.end_record(put_raw(p + 11, PyBytes_AS_STRING(topic.topic_id), UUID))
    return 0


# --- the request ---

cdef uint8_t* read_partitions(Cursor* c, Commit commit, CommitTopic topic, int64_t most_metadata, uint8_t* p) except NULL:
    """The partitions of a topic, and their part of the answer at p; the byte behind that."""
    cdef bint flexible = commit.version >= FLEXIBLE
    cdef int64_t count = read_count(c, flexible, LEAST_PARTITION)
    cdef int64_t i
    cdef Span metadata
    cdef CommitPartition one
    if count <= 0:
        c.bad = True
        return p
    p = put_count(p, count, flexible)
    for i in range(count):
        one = CommitPartition.__new__(CommitPartition)
        one.partition_index = read_i32(c)
        one.committed_offset = read_i64(c)
        one.committed_leader_epoch = read_i32(c) if commit.version >= WITH_EPOCH else -1
        metadata = read_string(c, flexible)
        no_tags(c, flexible)
        if c.bad or one.partition_index < 0 or metadata.size > most_metadata:
            c.bad = True
            return p
        one.committed_metadata = "" if metadata.size <= 0 else text(metadata)
        topic.partitions.append(one)
        if one.partition_index > topic.last:
            topic.last = one.partition_index
        store32(p, one.partition_index)
        store16(p + 4, 0)
        p = end_struct(p + 6, flexible)
    return p


cdef uint8_t* read_topics(Cursor* c, Commit commit, int64_t most_metadata, uint8_t* p) except NULL:
    """The topics, and their part of the answer at p; the byte behind that."""
    cdef bint flexible = commit.version >= FLEXIBLE
    cdef int64_t count = read_count(c, flexible, LEAST_TOPIC)
    cdef int64_t i
    cdef Span name
    cdef const uint8_t* id
    cdef CommitTopic topic
    if count <= 0:
        c.bad = True
        return p
    p = put_count(p, count, flexible)
    commit.topics = []
    for i in range(count):
        topic = CommitTopic.__new__(CommitTopic)
        topic.partitions = []
        if commit.version >= WITH_TOPIC_ID:
            id = take(c, UUID)
            if id == NULL:
                return p
            topic.topic_id = PyBytes_FromStringAndSize(<const char*>id, UUID)
            p = put_raw(p, id, UUID)
        else:
            name = read_string(c, flexible)
            if name.size < 0:
                c.bad = True
                return p
            topic.name = text(name)
            p = put_text(p, name, flexible)
        p = read_partitions(c, commit, topic, most_metadata, p)
        no_tags(c, flexible)
        if c.bad:
            return p
        p = end_struct(p, flexible)
        commit.topics.append(topic)
    return p


cdef Commit read_commit(Cursor* c, int64_t most_metadata, uint8_t* room):
    """None for what is not to be read here. `room` holds the answer: there is space enough."""
    cdef Commit commit
    cdef Span group, member, instance
    cdef int32_t correlation
    cdef bint flexible
    cdef uint8_t* p = room + 4
    if read_i16(c) != OFFSET_COMMIT:
        return None
    commit = Commit.__new__(Commit)
    commit.version = read_i16(c)
    if commit.version < MIN_VERSION or commit.version > MAX_VERSION:
        return None
    flexible = commit.version >= FLEXIBLE
    correlation = read_i32(c)
    read_string(c, False)       # the client's id
    no_tags(c, flexible)
    group = read_string(c, flexible)
    commit.generation_id_or_member_epoch = read_i32(c)
    member = read_string(c, flexible)
    if commit.version >= WITH_INSTANCE:
        instance = read_string(c, flexible)
        if instance.size >= 0:
            commit.group_instance_id = text(instance)
    elif commit.version <= LAST_RETENTION and read_i64(c) >= 0:
        return None             # these expire at a time of their own
    if c.bad or group.size < 0 or member.size < 0 or group.size > MAX_GROUP:
        return None
    commit.group_id = text(group)
    commit.member_id = text(member)
    store32(p, correlation)
    p = end_struct(p + 4, flexible)
    if commit.version >= WITH_THROTTLE:
        store32(p, 0)
        p += 4
    p = read_topics(c, commit, most_metadata, p)
    no_tags(c, flexible)
    if c.bad or cursor_left(c) != 0:
        return None
    p = end_struct(p, flexible)
    store32(room, <int32_t>(p - room - 4))
    commit.answer = PyBytes_FromStringAndSize(<const char*>room, p - room)
    return commit


cdef Commit commit_in(const uint8_t* frame, int64_t size, int64_t most_metadata):
    """The commit in a frame with header; None when it is damaged, odd, long, or certain to be refused in part.

    Whoever gets None has the frame decoded as any other; this is for the many that have nothing to be said about.
    """
    cdef Cursor c
    cdef uint8_t* room
    if size > MAX_FRAME:
        return None
    room = <uint8_t*>malloc(size + ANSWER_EXTRA)
    if room == NULL:
        raise MemoryError
    cursor_init(&c, frame, size)
    try:
        return read_commit(&c, most_metadata, room)
    except UnicodeDecodeError:
        return None
    finally:
        free(room)


def parse_commit(bytes frame not None, int64_t most_metadata):
    """The commit in a frame, as the quick way reads it."""
    return commit_in(<const uint8_t*>PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), most_metadata)
