"""Fills the offset map of the log cleaner with the keys of dirty batches."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from pyralog._speedups.batch cimport (
    ATTR_CODEC, ATTR_CONTROL, BATCH_HEADER, BatchInfo, batch_crc_ok, batch_peek, batch_read,
)
from pyralog._speedups.facts cimport Facts
from pyralog._speedups.keymap cimport Hash, KeyMap
from pyralog._speedups.recordwalk cimport (
    AT_ONCE, C_COMPRESSED, C_CORRUPT, C_DONE, C_FULL, C_MORE, Rec, plus, read_record,
)


cdef class Mapper:
    """Batches in the order of the log; those of aborted transactions and markers have no keys that count."""

    cdef KeyMap keys
    cdef Facts facts

    def __cinit__(self, KeyMap keys not None, Facts facts not None):
        self.keys = keys
        self.facts = facts

    cdef int map_some(self, const BatchInfo* info, const uint8_t** at, const uint8_t* end, int32_t n, int64_t from_offset) noexcept nogil:
        """The next n records."""
        cdef Hash hashes[AT_ONCE]
        cdef int64_t offsets[AT_ONCE]
        cdef int32_t i, found = 0
        cdef Rec record
        for i in range(n):
            at[0] = read_record(at[0], end, &record)
            if at[0] == NULL:
                return C_CORRUPT
            offsets[found] = plus(info.base_offset, record.offset_delta)
            if record.key != NULL and offsets[found] >= from_offset:
                self.keys.hash(record.key, record.key_size, &hashes[found])
                found += 1
        for i in range(found):
            if self.keys.put(&hashes[i], offsets[i]) != 0:
                return C_FULL       # one batch alone holds more keys than the map
        return C_MORE

    cdef int map_records(self, const BatchInfo* info, const uint8_t* p, const uint8_t* end, int64_t from_offset) noexcept nogil:
        cdef int32_t done = 0, n
        cdef int code
        if info.count > self.keys.capacity - self.keys.keys and self.keys.keys > 0:
            return C_FULL
        while done < info.count:
            n = min(info.count - done, <int32_t>AT_ONCE)
            code = self.map_some(info, &p, end, n, from_offset)
            if code != C_MORE:
                return code
            done += n
        self.keys.end_offset = info.base_offset + info.last_offset_delta + 1
        return C_MORE

    def map(self, const uint8_t[::1] data not None, int64_t from_offset, int64_t end_offset) -> tuple:
        """(bytes taken, code) of whole batches; those before `from_offset` are skipped, those from `end_offset` on left."""
        cdef int64_t at = 0, size = data.shape[0]
        cdef const uint8_t* p = &data[0] if size else NULL
        cdef int code = C_MORE
        cdef BatchInfo info
        with nogil:
            while size - at >= BATCH_HEADER:
                if batch_peek(p + at, <int64_t>1 << 40, &info) != 0:
                    code = C_CORRUPT
                    break
                if info.base_offset >= end_offset:
                    code = C_DONE
                    break
                if info.size > size - at:
                    break
                if info.base_offset + info.last_offset_delta < from_offset:
                    at += info.size
                    continue
                if not batch_crc_ok(p + at, &info):
                    code = C_CORRUPT
                    break
                if info.attributes & ATTR_CONTROL or info.count == 0 or self.facts.is_aborted(&info):
                    self.keys.end_offset = info.base_offset + info.last_offset_delta + 1
                elif info.attributes & ATTR_CODEC:
                    code = C_COMPRESSED
                    break
                else:
                    code = self.map_records(&info, p + at + BATCH_HEADER, p + at + info.size, from_offset)
                    if code != C_MORE:
                        break
                at += info.size
        return at, code

    def map_body(self, const uint8_t[::1] header not None, const uint8_t[::1] body not None, int64_t from_offset) -> int:
        cdef BatchInfo info
        cdef int code
        cdef const uint8_t* p = &body[0] if body.shape[0] else NULL
        batch_read(&header[0], &info)
        with nogil:
            code = self.map_records(&info, p, p + body.shape[0], from_offset)
        return code
