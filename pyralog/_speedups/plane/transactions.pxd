from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t

from pyralog._speedups.plane.state cimport Command, Connection, Engine, Partition, Promise
from pyralog._speedups.producers cimport ProducerBatch, ProducerMarker

# What is known of a partition's transactions when it is opened.
cdef void txn_open(Partition* p) noexcept nogil
# After the high watermark, the log start or the open transactions have moved: the last stable offset follows. Bytes that
# became stable.
cdef int64_t txn_stabilize(Partition* p) noexcept nogil
# Aborted transactions whose markers have been written go to the index of the active segment. 0 or -errno.
cdef int txn_note_aborts(Partition* p) noexcept nogil

# Whether a transactional batch may come from here: its transaction is open or verified for this principal.
cdef bint txn_known(const Engine* e, const Connection* c, const Partition* p, int64_t producer_id, int16_t epoch) noexcept nogil
# The coordinator is about to be asked about a batch: no later one of its producer may come before it.
cdef void txn_attempt(const Engine* e, Partition* p, int64_t producer_id, int16_t epoch, int32_t sequence, bint second) noexcept nogil
cdef bint txn_overtakes(const Partition* p, int64_t producer_id, int16_t epoch, int32_t sequence) noexcept nogil
# Attempts of which nothing was heard since.
cdef void txn_expire(Partition* p, int64_t not_after_ms) noexcept nogil
# It has been appended: what follows of its transaction need not be verified again.
cdef void txn_begun(const Engine* e, const Connection* c, Partition* p, const ProducerBatch* batch) noexcept nogil

# A promise is given when the coordinator's record is on its way to the log, and kept when it is there, unless a marker of
# the producer has come between.
cdef void promise_give(Engine* e, Promise* promise) noexcept nogil
cdef void promise_keep(Engine* e, const Promise* promise) noexcept nogil

# Ends the producer's transaction with a marker in `room`, of MARKER_SIZE bytes that must stay until it is written; `who`
# and `answer` are told then. 0, or a Kafka error code.
cdef int append_marker(
    Engine* e, Partition* p, ProducerMarker* marker, uint8_t* room, uint32_t who, int64_t answer
) noexcept nogil

# Commands. `write_marker` leaves the marker in command.data for the caller to retire: 0 or a Kafka error code.
cdef int write_marker(Engine* e, Command* command) noexcept nogil
cdef void verify(Engine* e, Command* command) noexcept nogil
cdef int64_t list_aborted(Engine* e, Command* command) noexcept nogil   # how many, in e.aborted; or -KAFKA_STORAGE_ERROR
