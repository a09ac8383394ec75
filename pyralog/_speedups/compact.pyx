"""The inner work of compaction: which records are replaced by the newest values of their keys, and batches without them.

The rules are those of Kafka's Cleaner (KIP-98 for transactions, KIP-534 for delete horizons).
"""

from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from pyralog._speedups.batch cimport (
    AT_ATTRIBUTES, AT_BASE_TIMESTAMP, AT_COUNT, AT_CRC, AT_LENGTH, AT_MAX_TIMESTAMP, ATTR_CODEC, ATTR_CONTROL,
    ATTR_DELETE_HORIZON, ATTR_LOG_APPEND_TIME, ATTR_TRANSACTIONAL, BATCH_HEADER, BATCH_OVERHEAD, BatchInfo, batch_crc_ok,
    batch_peek, batch_read,
)
from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.endian cimport load32, store16, store32, store64
from pyralog._speedups.facts cimport Facts
from pyralog._speedups.keymap cimport Hash, KeyMap
from pyralog._speedups.put cimport put_varlong
from pyralog._speedups.recordwalk cimport (
    AT_ONCE, C_COMPRESSED, C_CORRUPT, C_DONE, C_FULL, C_MORE, MAX_VARINT, Bytes, Rec, as_bytes, plus, read_record, reserve,
)
from pyralog._speedups.survey cimport Survey

cdef enum:
    KEEP = 0                    # what becomes of a batch
    CHANGE = 1
    EMPTY = 2
    DROP = 3

MORE, COMPRESSED, FULL, CORRUPT, DONE = C_MORE, C_COMPRESSED, C_FULL, C_CORRUPT, C_DONE


cdef class Cleaner:
    """Writes batches without what the records of the map supersede."""

    cdef KeyMap keys
    cdef Facts facts
    cdef Survey survey
    cdef int64_t now_ms, delete_retention_ms, end_offset, interval, since_index, last_time_entry
    cdef Bytes out, offsets, times, flags
    cdef readonly int64_t position      # bytes of the segment being written
    cdef readonly int64_t max_timestamp, max_timestamp_offset
    cdef readonly int64_t offset_entries, time_entries
    cdef readonly int64_t next_offset
    cdef readonly int64_t records_in, records_out
    cdef readonly bint changed          # a batch of this segment is not as it was

    def __cinit__(self, KeyMap keys not None, Facts facts not None, Survey survey not None, int64_t now_ms,
                  int64_t delete_retention_ms, int64_t end_offset, int64_t index_interval_bytes):
        self.keys = keys
        self.now_ms = now_ms
        self.delete_retention_ms = min(delete_retention_ms, INT64_MAX - max(now_ms, 0))
        self.end_offset = end_offset
        self.interval = index_interval_bytes
        self.facts = facts
        self.survey = survey
        self.begin_segment()

    def __dealloc__(self):
        free(self.out.data)
        free(self.offsets.data)
        free(self.times.data)
        free(self.flags.data)

    def begin_segment(self) -> None:
        self.position = self.since_index = self.offset_entries = self.time_entries = 0
        self.out.size = self.offsets.size = self.times.size = 0
        self.changed = False
        self.max_timestamp = self.max_timestamp_offset = self.last_time_entry = self.next_offset = -1

    def end_at(self, int64_t end_offset) -> None:
        """The batch that ends here stays, be it empty: the map goes no farther, or nothing behind it may be cleaned yet."""
        self.end_offset = end_offset

    # --- the rules ---

    cdef bint retained(self, const BatchInfo* info, const Rec* record, const Hash* hash) noexcept nogil:
        cdef int64_t offset = plus(info.base_offset, record.offset_delta)
        if offset >= self.keys.end_offset:
            return True
        if record.key == NULL or self.keys.find(hash).offset_plus_1 > offset + 1:
            return False
        return not record.tombstone or not info.attributes & ATTR_DELETE_HORIZON or self.now_ms < info.base_timestamp

    cdef int64_t decide_some(self, const BatchInfo* info, const uint8_t** at, const uint8_t* end, uint8_t* flags, int32_t n,
                             bint* tombstones) noexcept nogil:
        """The next n records: how many stay, -1 = corrupt."""
        cdef Rec records[AT_ONCE]
        cdef Hash hashes[AT_ONCE]
        cdef int64_t kept = 0
        cdef int32_t i
        for i in range(n):
            at[0] = read_record(at[0], end, &records[i])
            if at[0] == NULL:
                return -1
            if records[i].key != NULL:
                self.keys.hash(records[i].key, records[i].key_size, &hashes[i])
        for i in range(n):
            flags[i] = info.attributes & ATTR_CONTROL or self.retained(info, &records[i], &hashes[i])
            if flags[i]:
                kept += 1
                tombstones[0] = tombstones[0] or (records[i].tombstone and not info.attributes & ATTR_CONTROL)
        return kept

    cdef int discards(self, const BatchInfo* info, bint* empty_transaction) noexcept nogil:
        """Whether all records of the batch go because of what became of its transaction; -1 = no such producer was met."""
        empty_transaction[0] = False
        if info.attributes & ATTR_CONTROL:
            empty_transaction[0] = info.producer_id >= 0 and (info.count == 0 or not self.survey.leave(info.producer_id))
            return empty_transaction[0] and info.attributes & ATTR_DELETE_HORIZON and info.base_timestamp <= self.now_ms
        if not info.attributes & ATTR_TRANSACTIONAL:
            return False
        return <int>self.facts.is_aborted(info) if self.survey.enter(info.producer_id) else -1

    cdef int decide(self, const BatchInfo* info, const uint8_t* p, const uint8_t* end, bint* horizon) noexcept nogil:
        """KEEP, CHANGE, EMPTY or DROP, with a flag for each record; -1 = corrupt. `horizon`: it gets one now."""
        cdef bint empty_transaction, tombstones = False
        cdef int discards = self.discards(info, &empty_transaction)
        cdef bint survives = self.survey.is_last(info) or info.base_offset + info.last_offset_delta + 1 == self.end_offset
        cdef int64_t kept = 0, some
        cdef int32_t done = 0, n
        horizon[0] = False
        if discards < 0:
            return -1
        if not discards:
            self.flags.size = 0
            if info.count < 0 or info.count > end - p or reserve(&self.flags, info.count) != 0:
                return -1
            while done < info.count:
                n = min(info.count - done, <int32_t>AT_ONCE)
                some = self.decide_some(info, &p, end, self.flags.data + done, n, &tombstones)
                if some < 0:
                    return -1
                kept += some
                done += n
        self.records_in += info.count
        self.records_out += kept
        if kept == 0:
            self.changed = self.changed or info.count > 0 or not survives
            return EMPTY if survives else DROP
        horizon[0] = (tombstones or empty_transaction) and not info.attributes & ATTR_DELETE_HORIZON
        if kept == info.count and not horizon[0]:
            return KEEP
        self.changed = True
        return CHANGE

    cdef int64_t rewrite(self, const uint8_t* batch, const BatchInfo* info, const uint8_t* p, const uint8_t* end, bint horizon,
                         uint8_t* header, Bytes* body) noexcept nogil:
        """The header without length and CRC, and the records that are kept. 0 or -1."""
        cdef int64_t base = info.base_timestamp, newest = -1, shift
        cdef int32_t count = 0, i
        cdef uint8_t scratch[MAX_VARINT]
        cdef uint8_t* q
        cdef Rec record
        cdef int64_t n
        if reserve(body, (end - p) + <int64_t>info.count * 2 * MAX_VARINT) != 0:
            return -1
        if horizon:
            base = max(self.now_ms + self.delete_retention_ms, 0)
        shift = <int64_t>(<uint64_t>info.base_timestamp - <uint64_t>base)
        for i in range(info.count):
            p = read_record(p, end, &record)
            if not self.flags.data[i]:
                continue
            count += 1
            newest = max(newest, plus(info.base_timestamp, record.timestamp_delta))
            q = body.data + body.size
            if shift == 0:
                memcpy(q, record.start, <size_t>(record.end - record.start))
                body.size += record.end - record.start
                continue
            n = put_varlong(scratch, plus(record.timestamp_delta, shift)) - scratch
            q = put_varlong(q, 1 + n + (record.end - record.after_time))
            q[0] = record.attributes
            memcpy(q + 1, scratch, <size_t>n)
            memcpy(q + 1 + n, record.after_time, <size_t>(record.end - record.after_time))
            body.size = (q + 1 + n + (record.end - record.after_time)) - body.data
        memcpy(header, batch, BATCH_HEADER)
        store64(header + AT_BASE_TIMESTAMP, base)
        if not info.attributes & ATTR_LOG_APPEND_TIME:
            store64(header + AT_MAX_TIMESTAMP, newest)
        if horizon:
            store16(header + AT_ATTRIBUTES, info.attributes | ATTR_DELETE_HORIZON)
        store32(header + AT_COUNT, count)
        return 0

    # --- output ---

    cdef int index(self, const uint8_t* header, int64_t size) noexcept nogil:
        """Accounts for a batch that has just been put into `out`, as segment_index does for one that is appended."""
        cdef BatchInfo info
        batch_read(header, &info)
        if self.since_index >= self.interval:
            if reserve(&self.offsets, 16) != 0 or reserve(&self.times, 16) != 0:
                return -1
            store64(self.offsets.data + self.offsets.size, info.base_offset)
            store64(self.offsets.data + self.offsets.size + 8, self.position)
            self.offsets.size += 16
            self.offset_entries += 1
            self.time_entry()
            self.since_index = 0
        self.since_index += size
        if info.max_timestamp > self.max_timestamp:
            self.max_timestamp = info.max_timestamp
            self.max_timestamp_offset = info.base_offset
        self.position += size
        self.next_offset = info.base_offset + info.last_offset_delta + 1
        return 0

    cdef void time_entry(self) noexcept nogil:
        if self.max_timestamp > self.last_time_entry and reserve(&self.times, 16) == 0:
            store64(self.times.data + self.times.size, self.max_timestamp)
            store64(self.times.data + self.times.size + 8, self.max_timestamp_offset)
            self.times.size += 16
            self.time_entries += 1
            self.last_time_entry = self.max_timestamp

    cdef int seal(self, int64_t start) noexcept nogil:
        """Length and CRC of the batch that begins there in `out` and ends with it."""
        cdef uint8_t* p = self.out.data + start
        cdef int64_t size = self.out.size - start
        store32(p + AT_LENGTH, <int32_t>(size - BATCH_OVERHEAD))
        store32(p + AT_CRC, <int32_t>crc32c(0, p + AT_ATTRIBUTES, <size_t>(size - AT_ATTRIBUTES)))
        return self.index(p, size)

    cdef int clean_one(self, const uint8_t* p, const BatchInfo* info) noexcept nogil:
        """A batch whose records can be read. C_MORE or C_CORRUPT; -1 without memory."""
        cdef bint horizon
        cdef const uint8_t* records = p + BATCH_HEADER
        cdef const uint8_t* end = p + info.size
        cdef int64_t start = self.out.size
        cdef int verdict = self.decide(info, records, end, &horizon)
        cdef uint8_t header[BATCH_HEADER]
        if verdict < 0:
            return C_CORRUPT
        if verdict == DROP:
            return C_MORE
        if reserve(&self.out, info.size) != 0:
            return -1
        if verdict == KEEP:
            memcpy(self.out.data + start, p, <size_t>info.size)
            self.out.size += info.size
            return self.index(p, info.size)
        self.out.size += BATCH_HEADER
        if verdict == EMPTY:
            self.empty_header(p, info, self.out.data + start)
        else:
            if self.rewrite(p, info, records, end, horizon, header, &self.out) != 0:
                return -1
            memcpy(self.out.data + start, header, BATCH_HEADER)
        return self.seal(start)

    cdef void empty_header(self, const uint8_t* batch, const BatchInfo* info, uint8_t* out) noexcept nogil:
        memcpy(out, batch, BATCH_HEADER)
        store16(out + AT_ATTRIBUTES, info.attributes & (ATTR_LOG_APPEND_TIME | ATTR_TRANSACTIONAL | ATTR_CONTROL))
        store64(out + AT_BASE_TIMESTAMP, -1)
        store32(out + AT_COUNT, 0)

    def clean(self, const uint8_t[::1] data not None) -> tuple:
        """(bytes taken, code) of whole batches; what is left of them is to be had from take()."""
        cdef int64_t at = 0, size = data.shape[0]
        cdef const uint8_t* p = &data[0] if size else NULL
        cdef int code = C_MORE
        cdef BatchInfo info
        with nogil:
            while size - at >= BATCH_HEADER:
                if batch_peek(p + at, <int64_t>1 << 40, &info) != 0:
                    code = C_CORRUPT
                    break
                if info.size > size - at:
                    break
                if not batch_crc_ok(p + at, &info):
                    code = C_CORRUPT
                    break
                if info.attributes & ATTR_CODEC and info.count > 0 and not info.attributes & ATTR_CONTROL:
                    code = C_COMPRESSED
                    break
                code = self.clean_one(p + at, &info)
                if code != C_MORE:
                    break
                at += info.size
        if code < 0:
            raise MemoryError
        return at, code

    def clean_body(self, const uint8_t[::1] batch not None, const uint8_t[::1] body not None) -> tuple | None:
        """The same for one compressed batch, whose records are `body`: None when nothing is left to be done, else the
        header and the records that emit() shall write, compressed."""
        cdef BatchInfo info
        cdef bint horizon
        cdef int verdict
        cdef uint8_t header[BATCH_HEADER]
        cdef const uint8_t* p = &batch[0]
        cdef const uint8_t* records = &body[0] if body.shape[0] else p
        cdef Bytes kept
        cdef int64_t start = self.out.size
        batch_read(p, &info)
        info.size = load32(p + AT_LENGTH) + BATCH_OVERHEAD
        verdict = self.decide(&info, records, records + body.shape[0], &horizon)
        if verdict < 0:
            raise ValueError(f"the batch at offset {info.base_offset} is corrupt")
        if verdict == DROP:
            return None
        if verdict == CHANGE:
            kept.data = NULL
            kept.size = kept.capacity = 0
            try:
                with nogil:
                    verdict = self.rewrite(p, &info, records, records + body.shape[0], horizon, header, &kept)
                if verdict != 0:
                    raise MemoryError
                return (<char*>header)[:BATCH_HEADER], (<char*>kept.data)[:kept.size]
            finally:
                free(kept.data)
        if reserve(&self.out, info.size) != 0:
            raise MemoryError
        if verdict == KEEP:
            memcpy(self.out.data + start, p, <size_t>info.size)
            self.out.size += info.size
            verdict = self.index(p, info.size)
        else:
            self.empty_header(p, &info, self.out.data + start)
            self.out.size += BATCH_HEADER
            verdict = self.seal(start)
        if verdict != 0:
            raise MemoryError
        return None

    def emit(self, bytes header not None, bytes body not None) -> None:
        """Writes a batch of this header and these (compressed) records."""
        cdef int64_t start = self.out.size
        if reserve(&self.out, BATCH_HEADER + len(body)) != 0:
            raise MemoryError
        memcpy(self.out.data + start, <char*>header, BATCH_HEADER)
        memcpy(self.out.data + start + BATCH_HEADER, <char*>body, <size_t>len(body))
        self.out.size += BATCH_HEADER + len(body)
        if self.seal(start) != 0:
            raise MemoryError

    def finish_segment(self) -> None:
        """Its time index ends with its maximum."""
        self.time_entry()

    def has_batches(self, int64_t producer_id, int64_t first_offset) -> bool:
        """Whether a batch of this aborted transaction was met, so that readers still have to be told of it."""
        return self.facts.has_batches(producer_id, first_offset)

    def take(self) -> tuple:
        """What has gathered for the .log, .index and .timeindex files."""
        found = (as_bytes(&self.out), as_bytes(&self.offsets), as_bytes(&self.times))
        self.out.size = self.offsets.size = self.times.size = 0
        return found
