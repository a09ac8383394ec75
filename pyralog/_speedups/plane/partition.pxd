from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from pyralog._speedups.plane.state cimport Engine, Partition, Topic
from pyralog._speedups.segment cimport BatchRef

cdef uint64_t hash_bytes(const uint8_t* data, int64_t size) noexcept nogil
cdef Topic* topic_by_name(Engine* e, const uint8_t* name, int64_t size) noexcept nogil
cdef Topic* topic_by_id(Engine* e, const uint8_t* id) noexcept nogil
cdef Topic* topic_obtain(Engine* e, const uint8_t* name, int64_t size, const uint8_t* id) noexcept nogil
cdef void topic_drop(Engine* e, Topic* topic) noexcept nogil
cdef void topics_free(Engine* e) noexcept nogil

cdef inline Partition* topic_partition(const Topic* topic, int32_t index) noexcept nogil:
    if topic == NULL or index < 0 or index >= topic.n_partitions:
        return NULL
    return topic.partitions[index]

cdef inline uint8_t permits_of(const Engine* e, const Topic* topic, uint32_t principal) noexcept nogil:
    """Permit and deny bits of the principal; 0 = Python has not been asked, or was before the last change of ACLs."""
    if topic.permit_version != e.permit_version or principal >= topic.n_permits:
        return 0
    return topic.permits[principal]

cdef int permit_set(Engine* e, Topic* topic, uint32_t principal, uint8_t bits) noexcept nogil

cdef int partition_attach(Engine* e, Topic* topic, Partition* p) noexcept nogil
cdef void partition_detach(Engine* e, Partition* p) noexcept nogil
cdef int64_t close_idle(Engine* e, int64_t not_used_since_ms) noexcept nogil
cdef void partition_free(Partition* p) noexcept nogil
cdef int partition_enqueue(Engine* e, Partition* p, const BatchRef* ref) noexcept nogil
cdef int partition_answer(Engine* e, Partition* p, uint32_t connection, uint32_t generation, int64_t slot, int64_t answer,
                          int64_t offset) noexcept nogil
cdef int partition_poll(Partition* p, Engine* e, uint32_t connection, uint64_t sequence) noexcept nogil
