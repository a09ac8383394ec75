# AddPartitionsToTxn and EndTxn from bytes to bytes, and the records of transactions.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from pyralog._speedups.journal cimport Entry

cdef enum:
    ADD_PARTITIONS = 24         # the APIs
    END_TXN = 26


cdef class TxnRequest:
    cdef readonly int16_t api
    cdef readonly int16_t version
    cdef readonly int32_t correlation
    cdef readonly str transactional_id
    cdef readonly int64_t producer_id
    cdef readonly int16_t epoch
    cdef readonly bint commit
    cdef readonly list topics       # (name, list of partitions) of an AddPartitionsToTxn
    cdef bytes added                # its answer

    cdef bytes answer(self, int64_t producer_id, int16_t epoch)


cdef TxnRequest request_in(const uint8_t* frame, int64_t size)
cdef int64_t record_size(str transactional_id, object partitions) except -1
cdef int write_state(Entry entry, str transactional_id, object state, int64_t now_ms) except -1
