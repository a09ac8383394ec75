"""A producer table as bytes and back: what a partition keeps beside its segments, so that recovery need not read them all."""

from libc.errno cimport EINVAL, ENOMEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc, qsort

from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.endian cimport load16, load32, load64, store16, store32, store64
from pyralog._speedups.producers cimport (
    PRODUCER_BATCHES, OpenTxn, ProducerEntry, ProducerTable, producers_clear, producers_find, producers_insert, producers_reserve_txn,
    producers_resize,
)

cdef enum:
    # Snapshot: magic, CRC of all that follows, version, reserved, count, log end offset; then entries with their batches.
    # Entries of version 1 know no transactions.
    SNAPSHOT_MAGIC = 0x50595053
    SNAPSHOT_VERSION = 2
    SNAPSHOT_HEADER = 24
    SNAPSHOT_ENTRY = 48
    SNAPSHOT_ENTRY_1 = 32
    SNAPSHOT_BATCH = 32


cdef int64_t producers_dump(const ProducerTable* table, int64_t offset, uint8_t** out) noexcept nogil:
    cdef int64_t i, size = SNAPSHOT_HEADER
    cdef int k, at
    cdef const ProducerEntry* entry
    cdef uint8_t* p
    for i in range(table.n_entries):
        size += SNAPSHOT_ENTRY + table.entries[i].count * SNAPSHOT_BATCH
    out[0] = <uint8_t*>malloc(<size_t>size)
    if out[0] == NULL:
        return -ENOMEM
    p = out[0]
    store32(p, SNAPSHOT_MAGIC)
    store16(p + 8, SNAPSHOT_VERSION)
    store16(p + 10, 0)
    store32(p + 12, <int32_t>table.n_entries)
    store64(p + 16, offset)
    p += SNAPSHOT_HEADER
    for i in range(table.n_entries):
        entry = &table.entries[i]
        store64(p, entry.producer_id)
        store64(p + 8, entry.last_timestamp)
        store64(p + 16, entry.seen_ms)
        store32(p + 24, entry.last_sequence)
        store16(p + 28, entry.epoch)
        p[30] = entry.count
        p[31] = 0
        store64(p + 32, entry.txn_first)
        store32(p + 40, entry.coordinator_epoch)
        store32(p + 44, 0)
        p += SNAPSHOT_ENTRY
        for k in range(entry.count):        # the oldest first
            at = (entry.newest + PRODUCER_BATCHES + 1 - entry.count + k) % PRODUCER_BATCHES
            store32(p, entry.first_sequences[at])
            store32(p + 4, entry.last_sequences[at])
            store64(p + 8, entry.base_offsets[at])
            store64(p + 16, entry.last_offsets[at])
            store64(p + 24, entry.timestamps[at])
            p += SNAPSHOT_BATCH
    store32(out[0] + 4, <int32_t>crc32c(0, out[0] + 8, <size_t>(size - 8)))
    return size


cdef int producers_load(ProducerTable* table, const uint8_t* data, int64_t size, int64_t* offset) noexcept nogil:
    cdef const uint8_t* p = data + SNAPSHOT_HEADER
    cdef const uint8_t* end = data + size
    cdef int64_t i, n, entry_size
    if size < SNAPSHOT_HEADER or load32(data) != SNAPSHOT_MAGIC or not 1 <= load16(data + 8) <= SNAPSHOT_VERSION:
        return -EINVAL
    entry_size = SNAPSHOT_ENTRY if load16(data + 8) > 1 else SNAPSHOT_ENTRY_1
    if <uint32_t>load32(data + 4) != crc32c(0, data + 8, <size_t>(size - 8)):
        return -EINVAL
    n = load32(data + 12)
    if n < 0 or n * entry_size > end - p or load64(data + 16) < 0:
        return -EINVAL
    for i in range(n):                      # all of it is checked before the first entry is taken
        if end - p < entry_size or p[30] > PRODUCER_BATCHES or end - p < entry_size + p[30] * SNAPSHOT_BATCH:
            return -EINVAL
        p += entry_size + p[30] * SNAPSHOT_BATCH
    if p != end:
        return -EINVAL
    producers_clear(table)
    if n > 0 and producers_resize(table, n) != 0:
        return -ENOMEM
    p = data + SNAPSHOT_HEADER
    for i in range(n):
        p = load_entry(table, p, entry_size)
    offset[0] = load64(data + 16)
    return load_txns(table)


cdef int by_first_offset(const void* a, const void* b) noexcept nogil:
    cdef int64_t x = (<const OpenTxn*>a).first_offset, y = (<const OpenTxn*>b).first_offset
    return (x > y) - (x < y)


cdef int load_txns(ProducerTable* table) noexcept nogil:
    cdef int64_t i
    for i in range(table.n_entries):
        if table.entries[i].txn_first < 0:
            continue
        if producers_reserve_txn(table) != 0:
            producers_clear(table)
            return -ENOMEM
        table.txns[table.n_txns].first_offset = table.entries[i].txn_first
        table.txns[table.n_txns].end_offset = -1
        table.txns[table.n_txns].at_bytes = 0
        table.n_txns += 1
    if table.n_txns > 1:
        qsort(table.txns, <size_t>table.n_txns, sizeof(OpenTxn), &by_first_offset)
    return 0


cdef const uint8_t* load_entry(ProducerTable* table, const uint8_t* p, int64_t size) noexcept nogil:
    cdef ProducerEntry* entry = producers_find(table, load64(p))
    cdef int k
    if entry == NULL:
        entry = producers_insert(table, load64(p))    # cannot fail: there is room
    entry.last_timestamp = load64(p + 8)
    entry.seen_ms = load64(p + 16)
    entry.last_sequence = load32(p + 24)
    entry.epoch = load16(p + 28)
    entry.count = p[30]
    entry.newest = entry.count - 1 if entry.count > 0 else 0
    entry.txn_first = -1
    if size == SNAPSHOT_ENTRY:
        entry.txn_first = load64(p + 32)
        entry.coordinator_epoch = load32(p + 40)
    p += size
    for k in range(entry.count):
        entry.first_sequences[k] = load32(p)
        entry.last_sequences[k] = load32(p + 4)
        entry.base_offsets[k] = load64(p + 8)
        entry.last_offsets[k] = load64(p + 16)
        entry.timestamps[k] = load64(p + 24)
        p += SNAPSHOT_BATCH
    return p


cdef bytes dump_of(const ProducerTable* table, int64_t offset):
    cdef uint8_t* data = NULL
    cdef int64_t size = producers_dump(table, offset, &data)
    if size < 0:
        raise MemoryError
    try:
        return data[:size]
    finally:
        free(data)
