"""Producer table of one partition: who may append next, and which batches are already there (KIP-98, KIP-360).

A producer unknown here may start at any sequence; a new epoch starts at 0 and an older one is refused; what matches one
of the last five batches is a duplicate and gets its offset again; everything else that is not next is out of order.
Entries lie side by side, an index of open addressing finds them; the entry of a producer outlives its epochs.

A transactional batch opens the producer's transaction, a marker ends it and makes its epoch the producer's: under KIP-890
that is one more than the transaction's, so that what comes late is refused. The first offsets of open transactions are
kept in order: the first of them is the last stable offset.
"""

from libc.errno cimport ENOMEM
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc

from pyralog._speedups.batch cimport ATTR_CONTROL, ATTR_TRANSACTIONAL, MARKER_NONE, BatchInfo, batch_marker

cdef enum:
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    INVALID_PRODUCER_EPOCH = 47
    INVALID_TXN_STATE = 48
    TRANSACTION_COORDINATOR_FENCED = 52

    LAST_SEQUENCE = 0x7fffffff


cdef ProducerTable* producers_new() noexcept nogil:
    return <ProducerTable*>calloc(1, sizeof(ProducerTable))


cdef void producers_free(ProducerTable* table) noexcept nogil:
    if table != NULL:
        free(table.entries)
        free(table.slots)
        free(table.txns)
        free(table)


cdef inline int64_t slot_of(int64_t producer_id, int64_t n_slots) noexcept nogil:
    return <int64_t>((<uint64_t>producer_id * <uint64_t>0x9E3779B97F4A7C15) >> 32) & (n_slots - 1)


cdef ProducerEntry* producers_find(const ProducerTable* table, int64_t producer_id) noexcept nogil:
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


cdef int producers_resize(ProducerTable* table, int64_t capacity) noexcept nogil:
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


cdef ProducerEntry* producers_insert(ProducerTable* table, int64_t producer_id) noexcept nogil:
    cdef ProducerEntry* entry
    cdef int64_t slot
    if table.n_entries == table.capacity:
        if producers_resize(table, table.capacity * 2 if table.capacity > 0 else 2) != 0:
            return NULL
    entry = &table.entries[table.n_entries]
    entry.producer_id = producer_id
    entry.count = 0
    entry.newest = 0
    entry.last_sequence = -1
    entry.epoch = -1
    entry.last_timestamp = -1
    entry.txn_first = -1
    entry.coordinator_epoch = -1
    entry.principal = 0
    entry.permit_version = 0
    table.n_entries += 1
    slot = slot_of(producer_id, table.n_slots)
    while table.slots[slot] != 0:
        slot = (slot + 1) & (table.n_slots - 1)
    table.slots[slot] = <uint32_t>table.n_entries
    return entry


cdef int producers_check(ProducerTable* table, const ProducerBatch* batch, ProducerVerdict* out) noexcept nogil:
    cdef const ProducerEntry* entry = producers_find(table, batch.producer_id)
    cdef int i
    if entry == NULL or entry.epoch < 0:
        return PRODUCER_NEW
    if batch.producer_epoch != entry.epoch:
        if batch.producer_epoch < entry.epoch:
            return INVALID_PRODUCER_EPOCH
        if batch.first_sequence != 0:
            return OUT_OF_ORDER_SEQUENCE_NUMBER
        return INVALID_TXN_STATE if entry.txn_first >= 0 and not batch.transactional else PRODUCER_NEW
    for i in range(entry.count):
        if entry.first_sequences[i] == batch.first_sequence and entry.last_sequences[i] == batch.last_sequence:
            out.base_offset = entry.base_offsets[i]
            out.timestamp = entry.timestamps[i]
            return PRODUCER_DUPLICATE
    if batch.first_sequence != (entry.last_sequence + 1 if entry.last_sequence != LAST_SEQUENCE else 0):
        return OUT_OF_ORDER_SEQUENCE_NUMBER
    return INVALID_TXN_STATE if entry.txn_first >= 0 and not batch.transactional else PRODUCER_NEW


cdef bint producers_knows(const ProducerTable* table, int64_t producer_id) noexcept nogil:
    return producers_find(table, producer_id) != NULL


cdef int producers_check_epoch(const ProducerTable* table, int64_t producer_id, int16_t epoch) noexcept nogil:
    cdef const ProducerEntry* entry = producers_find(table, producer_id)
    return INVALID_PRODUCER_EPOCH if entry != NULL and epoch < entry.epoch else 0


cdef int producers_check_marker(const ProducerTable* table, const ProducerMarker* marker) noexcept nogil:
    cdef const ProducerEntry* entry = producers_find(table, marker.producer_id)
    if entry == NULL:
        return 0
    if marker.producer_epoch < entry.epoch:
        return INVALID_PRODUCER_EPOCH
    return TRANSACTION_COORDINATOR_FENCED if marker.coordinator_epoch < entry.coordinator_epoch else 0


cdef ProducerEntry* producers_open(const ProducerTable* table, int64_t producer_id, int16_t epoch) noexcept nogil:
    cdef ProducerEntry* entry = producers_find(table, producer_id)
    return entry if entry != NULL and entry.txn_first >= 0 and entry.epoch == epoch else NULL


# --- open transactions ---

cdef int producers_reserve_txn(ProducerTable* table) noexcept nogil:
    cdef OpenTxn* bigger
    cdef int64_t capacity = table.txns_capacity * 2 if table.txns_capacity > 0 else 4
    if table.n_txns < table.txns_capacity:
        return 0
    bigger = <OpenTxn*>realloc(table.txns, <size_t>capacity * sizeof(OpenTxn))
    if bigger == NULL:
        return -ENOMEM
    table.txns = bigger
    table.txns_capacity = capacity
    return 0


cdef void txn_begin(ProducerTable* table, ProducerEntry* entry, int64_t offset, int64_t at_bytes) noexcept nogil:
    """There is room for it. Offsets only rise, save in a log that is damaged."""
    cdef int64_t i = table.n_txns
    while i > 0 and table.txns[i - 1].first_offset > offset:
        table.txns[i] = table.txns[i - 1]
        i -= 1
    table.txns[i].first_offset = offset
    table.txns[i].end_offset = -1
    table.txns[i].at_bytes = at_bytes
    table.n_txns += 1
    entry.txn_first = offset


cdef int64_t txn_find(const ProducerTable* table, int64_t offset) noexcept nogil:
    """Which of the txns begins there, -1 = none."""
    cdef int64_t low = 0, high = table.n_txns, middle
    while low < high:
        middle = (low + high) // 2
        if table.txns[middle].first_offset < offset:
            low = middle + 1
        else:
            high = middle
    while low < table.n_txns and table.txns[low].first_offset == offset:
        if table.txns[low].end_offset < 0:
            return low
        low += 1
    return -1


cdef int producers_end(ProducerTable* table, const ProducerMarker* marker, int64_t now_ms, AbortedTxn* out) noexcept nogil:
    cdef ProducerEntry* entry = producers_find(table, marker.producer_id)
    cdef int64_t i, at
    if entry == NULL:
        entry = producers_insert(table, marker.producer_id)
        if entry == NULL:
            return -ENOMEM
    if marker.producer_epoch > entry.epoch:
        entry.epoch = marker.producer_epoch
        entry.count = 0
        entry.last_sequence = -1
    entry.coordinator_epoch = marker.coordinator_epoch
    entry.last_timestamp = marker.timestamp
    entry.seen_ms = now_ms
    entry.principal = 0
    if entry.txn_first < 0:
        return 0
    at = txn_find(table, entry.txn_first)
    out.producer_id = marker.producer_id
    out.first_offset = entry.txn_first
    out.last_offset = marker.offset
    entry.txn_first = -1
    if at >= 0:
        table.txns[at].end_offset = marker.offset
        table.n_ended += 1
    if marker.commit:
        return 0
    out.last_stable = marker.offset + 1
    for i in range(table.n_txns):
        if table.txns[i].end_offset < 0:
            out.last_stable = table.txns[i].first_offset
            break
    return 1


cdef void producers_settle(ProducerTable* table, int64_t hw) noexcept nogil:
    cdef int64_t i, kept = 0
    if table.n_ended == 0:
        return
    for i in range(table.n_txns):
        if 0 <= table.txns[i].end_offset < hw:
            table.n_ended -= 1
        else:
            table.txns[kept] = table.txns[i]
            kept += 1
    table.n_txns = kept


cdef int producers_replay(ProducerTable* table, const uint8_t* data, const BatchInfo* info, int64_t now_ms,
                          AbortedTxn* out) noexcept nogil:
    cdef ProducerBatch batch
    cdef ProducerMarker marker
    cdef int kind, result
    if info.producer_id < 0:
        return 0
    if info.attributes & ATTR_CONTROL:
        marker.coordinator_epoch = -1   # for one that compaction has emptied: only its epoch is left
        kind = batch_marker(data, info, &marker.coordinator_epoch)
        if kind == MARKER_NONE and info.count != 0:
            return 0
        marker.producer_id = info.producer_id
        marker.producer_epoch = info.producer_epoch
        marker.commit = kind != 0
        marker.offset = info.base_offset
        marker.timestamp = info.max_timestamp
        result = producers_end(table, &marker, now_ms, out)
        producers_settle(table, info.base_offset + 1)
        return result
    if info.base_sequence < 0 and not info.attributes & ATTR_TRANSACTIONAL:
        return 0
    batch_producer(info, &batch)
    return producers_append(table, &batch, now_ms)


cdef void batch_producer(const BatchInfo* info, ProducerBatch* out) noexcept nogil:
    out.producer_id = info.producer_id
    out.producer_epoch = info.producer_epoch
    out.first_sequence = info.base_sequence
    out.last_sequence = <int32_t>((<int64_t>info.base_sequence + info.last_offset_delta) & LAST_SEQUENCE)
    out.base_offset = info.base_offset
    out.last_offset = info.base_offset + info.last_offset_delta
    out.timestamp = info.max_timestamp
    out.transactional = info.attributes & ATTR_TRANSACTIONAL != 0
    out.at_bytes = 0


# --- batches ---

cdef int producers_append(ProducerTable* table, const ProducerBatch* batch, int64_t now_ms) noexcept nogil:
    cdef ProducerEntry* entry = producers_find(table, batch.producer_id)
    cdef int i
    if batch.transactional and producers_reserve_txn(table) != 0:
        return -ENOMEM
    if entry == NULL:
        entry = producers_insert(table, batch.producer_id)
        if entry == NULL:
            return -ENOMEM
    if entry.epoch != batch.producer_epoch:
        if entry.epoch > batch.producer_epoch:
            return 0            # only a log written by somebody else can hold it; the newer epoch stays in force
        entry.epoch = batch.producer_epoch
        entry.count = 0
        entry.last_sequence = -1
    if batch.transactional and entry.txn_first < 0:
        txn_begin(table, entry, batch.base_offset, batch.at_bytes)
    entry.last_timestamp = batch.timestamp
    entry.seen_ms = now_ms
    if batch.first_sequence < 0:
        return 0                # a coordinator's
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
    return 0


cdef int64_t producers_expire(ProducerTable* table, int64_t not_after_ms) noexcept nogil:
    cdef int64_t i = 0, removed = 0, capacity
    while i < table.n_entries:
        if table.entries[i].seen_ms <= not_after_ms and table.entries[i].txn_first < 0:
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
        producers_resize(table, capacity)     # without memory for it the larger table does as well
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
        out[i].coordinator_epoch = table.entries[i].coordinator_epoch
        out[i].txn_first = table.entries[i].txn_first
    return n


cdef void producers_clear(ProducerTable* table) noexcept nogil:
    free(table.entries)
    free(table.slots)
    free(table.txns)
    table.entries = NULL
    table.slots = NULL
    table.txns = NULL
    table.n_entries = table.capacity = table.n_slots = 0
    table.n_txns = table.txns_capacity = table.n_ended = 0


cdef list states_of(const ProducerTable* table):
    cdef int64_t i
    return [
        (table.entries[i].producer_id, table.entries[i].epoch, table.entries[i].last_sequence,
         table.entries[i].last_timestamp)
        for i in range(table.n_entries)
    ]


cdef list transactions_of(const ProducerTable* table):
    cdef int64_t i
    return [
        (table.entries[i].producer_id, table.entries[i].coordinator_epoch, table.entries[i].txn_first)
        for i in range(table.n_entries)
    ]
