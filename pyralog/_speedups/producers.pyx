"""Producer table of one partition: who may append next, and which batches are already there (KIP-98, KIP-360).

A producer unknown here may start at any sequence; a new epoch starts at 0 and an older one is refused; what matches one
of the last five batches is a duplicate and gets its offset again; everything else that is not next is out of order.
Entries lie side by side, an index of open addressing finds them; the entry of a producer outlives its epochs.
"""

from libc.errno cimport EINVAL, ENOMEM
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc

from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.endian cimport load16, load32, load64, store16, store32, store64

cdef enum:
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    INVALID_PRODUCER_EPOCH = 47

    LAST_SEQUENCE = 0x7fffffff

    # Snapshot: magic, CRC of all that follows, version, reserved, count, log end offset; then entries with their batches.
    SNAPSHOT_MAGIC = 0x50595053
    SNAPSHOT_VERSION = 1
    SNAPSHOT_HEADER = 24
    SNAPSHOT_ENTRY = 32
    SNAPSHOT_BATCH = 32


cdef ProducerTable* producers_new() noexcept nogil:
    return <ProducerTable*>calloc(1, sizeof(ProducerTable))


cdef void producers_free(ProducerTable* table) noexcept nogil:
    if table != NULL:
        free(table.entries)
        free(table.slots)
        free(table)


cdef inline int64_t slot_of(int64_t producer_id, int64_t n_slots) noexcept nogil:
    return <int64_t>((<uint64_t>producer_id * <uint64_t>0x9E3779B97F4A7C15) >> 32) & (n_slots - 1)


cdef ProducerEntry* find(const ProducerTable* table, int64_t producer_id) noexcept nogil:
    cdef int64_t slot
    cdef uint32_t index
    if table.n_slots == 0:
        return NULL
    slot = slot_of(producer_id, table.n_slots)
    while True:
        index = table.slots[slot]
        if index == 0:
            return NULL
        if table.entries[index - 1].producer_id == producer_id:
            return &table.entries[index - 1]
        slot = (slot + 1) & (table.n_slots - 1)


cdef void link_all(ProducerTable* table) noexcept nogil:
    """Fills the (zeroed) slots from the entries."""
    cdef int64_t i, slot
    for i in range(table.n_entries):
        slot = slot_of(table.entries[i].producer_id, table.n_slots)
        while table.slots[slot] != 0:
            slot = (slot + 1) & (table.n_slots - 1)
        table.slots[slot] = <uint32_t>(i + 1)


cdef int resize(ProducerTable* table, int64_t capacity) noexcept nogil:
    """Room for `capacity` entries (>= n_entries), with slots to match. 0 or -ENOMEM, then nothing has changed."""
    cdef ProducerEntry* entries
    cdef uint32_t* slots
    cdef int64_t n_slots = 8
    if capacity > 0x3fffffff:
        return -ENOMEM
    while n_slots < 2 * capacity:
        n_slots *= 2
    slots = <uint32_t*>calloc(<size_t>n_slots, sizeof(uint32_t))
    if slots == NULL:
        return -ENOMEM
    entries = <ProducerEntry*>realloc(table.entries, <size_t>capacity * sizeof(ProducerEntry))
    if entries == NULL:
        free(slots)
        return -ENOMEM
    free(table.slots)
    table.entries = entries
    table.capacity = capacity
    table.slots = slots
    table.n_slots = n_slots
    link_all(table)
    return 0


cdef ProducerEntry* insert(ProducerTable* table, int64_t producer_id) noexcept nogil:
    cdef ProducerEntry* entry
    cdef int64_t slot
    if table.n_entries == table.capacity:
        if resize(table, table.capacity * 2 if table.capacity > 0 else 2) != 0:
            return NULL
    entry = &table.entries[table.n_entries]
    entry.producer_id = producer_id
    entry.count = 0
    entry.newest = 0
    entry.last_sequence = -1
    entry.epoch = -1
    table.n_entries += 1
    slot = slot_of(producer_id, table.n_slots)
    while table.slots[slot] != 0:
        slot = (slot + 1) & (table.n_slots - 1)
    table.slots[slot] = <uint32_t>table.n_entries
    return entry


cdef int producers_check(ProducerTable* table, const ProducerBatch* batch, ProducerVerdict* out) noexcept nogil:
    cdef const ProducerEntry* entry = find(table, batch.producer_id)
    cdef int i
    if entry == NULL or entry.epoch < 0:
        return PRODUCER_NEW
    if batch.producer_epoch != entry.epoch:
        if batch.producer_epoch < entry.epoch:
            return INVALID_PRODUCER_EPOCH
        return PRODUCER_NEW if batch.first_sequence == 0 else OUT_OF_ORDER_SEQUENCE_NUMBER
    for i in range(entry.count):
        if entry.first_sequences[i] == batch.first_sequence and entry.last_sequences[i] == batch.last_sequence:
            out.base_offset = entry.base_offsets[i]
            out.timestamp = entry.timestamps[i]
            return PRODUCER_DUPLICATE
    if entry.last_sequence == LAST_SEQUENCE:
        return PRODUCER_NEW if batch.first_sequence == 0 else OUT_OF_ORDER_SEQUENCE_NUMBER
    return PRODUCER_NEW if batch.first_sequence == entry.last_sequence + 1 else OUT_OF_ORDER_SEQUENCE_NUMBER


cdef int producers_append(ProducerTable* table, const ProducerBatch* batch, int64_t now_ms) noexcept nogil:
    cdef ProducerEntry* entry = find(table, batch.producer_id)
    cdef int i
    if entry == NULL:
        entry = insert(table, batch.producer_id)
        if entry == NULL:
            return -ENOMEM
    if entry.epoch != batch.producer_epoch:
        if entry.epoch > batch.producer_epoch:
            return 0            # only a log written by somebody else can hold it; the newer epoch stays in force
        entry.epoch = batch.producer_epoch
        entry.count = 0
    i = (entry.newest + 1) % PRODUCER_BATCHES if entry.count > 0 else 0
    entry.newest = <uint8_t>i
    if entry.count < PRODUCER_BATCHES:
        entry.count += 1
    entry.first_sequences[i] = batch.first_sequence
    entry.last_sequences[i] = batch.last_sequence
    entry.base_offsets[i] = batch.base_offset
    entry.last_offsets[i] = batch.last_offset
    entry.timestamps[i] = batch.timestamp
    entry.last_sequence = batch.last_sequence
    entry.last_timestamp = batch.timestamp
    entry.seen_ms = now_ms
    return 0


cdef int64_t producers_expire(ProducerTable* table, int64_t not_after_ms) noexcept nogil:
    cdef int64_t i = 0, removed = 0, capacity
    while i < table.n_entries:
        if table.entries[i].seen_ms <= not_after_ms:
            table.n_entries -= 1
            table.entries[i] = table.entries[table.n_entries]
            removed += 1
        else:
            i += 1
    if removed == 0:
        return 0
    for i in range(table.n_slots):
        table.slots[i] = 0
    link_all(table)
    capacity = table.capacity
    while capacity > 16 and table.n_entries * 4 <= capacity:
        capacity //= 2
    if capacity < table.capacity:
        resize(table, capacity)     # without memory for it the larger table does as well
    return removed


cdef int64_t producers_count(const ProducerTable* table) noexcept nogil:
    return table.n_entries


cdef int64_t producers_states(const ProducerTable* table, ProducerState* out, int64_t capacity) noexcept nogil:
    cdef int64_t i, n = min(capacity, table.n_entries)
    for i in range(n):
        out[i].producer_id = table.entries[i].producer_id
        out[i].producer_epoch = table.entries[i].epoch
        out[i].last_sequence = table.entries[i].last_sequence
        out[i].last_timestamp = table.entries[i].last_timestamp
    return n


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
    cdef int64_t i, n
    if size < SNAPSHOT_HEADER or load32(data) != SNAPSHOT_MAGIC or load16(data + 8) != SNAPSHOT_VERSION:
        return -EINVAL
    if <uint32_t>load32(data + 4) != crc32c(0, data + 8, <size_t>(size - 8)):
        return -EINVAL
    n = load32(data + 12)
    if n < 0 or n * SNAPSHOT_ENTRY > end - p or load64(data + 16) < 0:
        return -EINVAL
    for i in range(n):                      # all of it is checked before the first entry is taken
        if end - p < SNAPSHOT_ENTRY or p[30] > PRODUCER_BATCHES or end - p < SNAPSHOT_ENTRY + p[30] * SNAPSHOT_BATCH:
            return -EINVAL
        p += SNAPSHOT_ENTRY + p[30] * SNAPSHOT_BATCH
    if p != end:
        return -EINVAL
    producers_clear(table)
    if n > 0 and resize(table, n) != 0:
        return -ENOMEM
    p = data + SNAPSHOT_HEADER
    for i in range(n):
        p = load_entry(table, p)
    offset[0] = load64(data + 16)
    return 0


cdef const uint8_t* load_entry(ProducerTable* table, const uint8_t* p) noexcept nogil:
    cdef ProducerEntry* entry = find(table, load64(p))
    cdef int k
    if entry == NULL:
        entry = insert(table, load64(p))    # cannot fail: there is room
    entry.last_timestamp = load64(p + 8)
    entry.seen_ms = load64(p + 16)
    entry.last_sequence = load32(p + 24)
    entry.epoch = load16(p + 28)
    entry.count = p[30]
    entry.newest = entry.count - 1 if entry.count > 0 else 0
    p += SNAPSHOT_ENTRY
    for k in range(entry.count):
        entry.first_sequences[k] = load32(p)
        entry.last_sequences[k] = load32(p + 4)
        entry.base_offsets[k] = load64(p + 8)
        entry.last_offsets[k] = load64(p + 16)
        entry.timestamps[k] = load64(p + 24)
        p += SNAPSHOT_BATCH
    return p


cdef void producers_clear(ProducerTable* table) noexcept nogil:
    free(table.entries)
    free(table.slots)
    table.entries = NULL
    table.slots = NULL
    table.n_entries = table.capacity = table.n_slots = 0


cdef class Producers:
    """A producer table for tests and tools; the plane uses the functions above on tables of its own."""
    cdef ProducerTable* table

    def __cinit__(self):
        self.table = producers_new()
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        producers_free(self.table)

    def check(self, producer_id, epoch, first_sequence, last_sequence) -> tuple:
        """(verdict, base offset, timestamp): 0 append it, -1 duplicate of the batch at that offset, else a Kafka error."""
        cdef ProducerBatch batch = make_batch(producer_id, epoch, first_sequence, last_sequence, -1, -1, -1)
        cdef ProducerVerdict verdict
        verdict.base_offset = verdict.timestamp = -1
        return producers_check(self.table, &batch, &verdict), verdict.base_offset, verdict.timestamp

    def append(self, producer_id, epoch, first_sequence, last_sequence, base_offset, last_offset, timestamp, now_ms):
        cdef ProducerBatch batch = make_batch(producer_id, epoch, first_sequence, last_sequence, base_offset, last_offset,
                                              timestamp)
        if producers_append(self.table, &batch, now_ms) != 0:
            raise MemoryError

    def expire(self, int64_t not_after_ms) -> int:
        return producers_expire(self.table, not_after_ms)

    def states(self) -> list:
        return states_of(self.table)

    def dump(self, int64_t offset) -> bytes:
        return dump_of(self.table, offset)

    def load(self, const uint8_t[::1] data not None) -> int:
        """Replaces the table by a snapshot; its log end offset. ValueError when it is damaged."""
        cdef int64_t offset = -1
        cdef int result
        if data.shape[0] == 0:
            raise ValueError("not a producer snapshot")
        result = producers_load(self.table, &data[0], data.shape[0], &offset)
        if result == -ENOMEM:
            raise MemoryError
        if result != 0:
            raise ValueError("not a producer snapshot")
        return offset


cdef ProducerBatch make_batch(producer_id, epoch, first_sequence, last_sequence, base_offset, last_offset, timestamp):
    cdef ProducerBatch batch
    batch.producer_id = producer_id
    batch.producer_epoch = epoch
    batch.first_sequence = first_sequence
    batch.last_sequence = last_sequence
    batch.base_offset = base_offset
    batch.last_offset = last_offset
    batch.timestamp = timestamp
    return batch


cdef list states_of(const ProducerTable* table):
    cdef int64_t i
    return [
        (table.entries[i].producer_id, table.entries[i].epoch, table.entries[i].last_sequence,
         table.entries[i].last_timestamp)
        for i in range(table.n_entries)
    ]


cdef bytes dump_of(const ProducerTable* table, int64_t offset):
    cdef uint8_t* data = NULL
    cdef int64_t size = producers_dump(table, offset, &data)
    if size < 0:
        raise MemoryError
    try:
        return data[:size]
    finally:
        free(data)
