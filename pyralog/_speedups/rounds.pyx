"""Entries of coordinators as the plane takes them: a round of batches, of what they promise, and of markers behind them."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, malloc

from pyralog._speedups.batch cimport MARKER_SIZE
from pyralog._speedups.journal cimport Entry
from pyralog._speedups.plane.appends cimport round_free, round_new
from pyralog._speedups.plane.buffers cimport buffer_free
from pyralog._speedups.plane.handle cimport PartitionHandle
from pyralog._speedups.plane.state cimport Part, Promise, Round


cdef int put_promises(Part* part, list promises, dict partitions) except -1:
    """Those of partitions that are hosted here."""
    part.promises = <Promise*>calloc(len(promises), sizeof(Promise))
    if part.promises == NULL:
        raise MemoryError
    for tp, producer_id, epoch, principal, _ in promises:
        found = partitions.get(tp)
        if found is not None:
            put_promise(&part.promises[part.n_promises], <PartitionHandle>found, producer_id, epoch, principal)
            part.n_promises += 1
    return 0


cdef int put_promise(Promise* made, PartitionHandle handle, int64_t producer_id, int16_t epoch, uint32_t principal) except -1:
    made.partition = handle.p
    made.producer_id = producer_id
    made.epoch = epoch
    made.principal = principal
    return 0


cdef int put_marker(Part* part, object found, tuple ending) except -1:
    part.marks = True
    part.partition = NULL if found is None else (<PartitionHandle>found).p
    part.batch = <uint8_t*>malloc(MARKER_SIZE)
    if part.batch == NULL:
        raise MemoryError
    part.marker.producer_id = ending[1]
    part.marker.producer_epoch = ending[2]
    part.marker.coordinator_epoch = ending[3]
    part.marker.commit = ending[4]
    part.marker.timestamp = ending[5]
    return 0


cdef Round* markers_of(list endings, dict partitions, uint64_t cookie) except NULL:
    """The round of the markers of these transactions, in the order of their partitions."""
    cdef Py_ssize_t n = sum([len(ending[0]) for ending in endings])
    cdef Round* made = round_new(<int32_t>n, cookie)
    cdef int32_t i = 0
    if made == NULL:
        raise MemoryError
    try:
        for ending in endings:
            for tp in ending[0]:
                put_marker(&made.parts[i], partitions.get(tp), ending)
                i += 1
    except BaseException:
        round_free(made)
        raise
    return made


cdef int put_entry(Part* part, Entry entry, dict partitions) except -1:
    """The entry as the plane takes it. Its records and answers are the round's from now on."""
    found = partitions.get(entry.journal.tp)
    part.partition = NULL if found is None else (<PartitionHandle>found).p
    part.expected = entry.base_offset
    if entry.promises is not None:
        put_promises(part, entry.promises, partitions)
    if entry.endings is not None:
        part.follow = markers_of(entry.endings, partitions, entry.following)
    entry.seal()
    part.batch = entry.records.data
    part.batch_size = entry.records.size
    part.answers = entry.answers.data
    part.answers_size = entry.answers.size
    entry.records.data = NULL
    entry.answers.data = NULL
    buffer_free(&entry.records)
    buffer_free(&entry.answers)
    return 0


cdef Round* round_of(list entries, dict partitions, uint64_t cookie) except NULL:
    cdef Py_ssize_t i
    cdef Round* made = round_new(<int32_t>len(entries), cookie)
    if made == NULL:
        raise MemoryError
    try:
        for i in range(len(entries)):
            put_entry(&made.parts[i], entries[i], partitions)
    except BaseException:
        round_free(made)
        raise
    return made
