# One fetch being worked on: what the request and its session ask for, and what was found for each partition.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t

from pyralog._speedups.cursor cimport Cursor, Span
from pyralog._speedups.plane.frame cimport Request
from pyralog._speedups.plane.state cimport Connection, Engine, Partition, Session, Topic
from pyralog._speedups.segment cimport LogSlice

cdef enum:
    TOPIC_ID_FROM = 13

    READ_COMMITTED = 1          # Plan.isolation

    # Plan.mode
    SESSIONLESS = 0
    FULL = 1                    # a session begins with this answer
    INCREMENTAL = 2


ctypedef struct Item:           # one partition of this fetch, and its outcome
    Topic* topic
    Span name                   # or its 16 id bytes
    int32_t partition
    int32_t leader_epoch
    int64_t offset
    int32_t max_bytes
    int32_t session_item        # index in the session, -1 = none
    Partition* p
    int16_t error
    int64_t hw
    int64_t lso
    int64_t start
    LogSlice slice


ctypedef struct Plan:
    int32_t replica_id
    int32_t max_wait_ms
    int32_t min_bytes
    int64_t max_bytes
    int8_t isolation
    int32_t session_id
    int32_t session_epoch
    int32_t mode
    int16_t error               # of the whole request
    Session* session
    Item* items
    int32_t n_items
    int64_t bytes               # found
    bint any_error
    bint urgent                 # an error that is told at once, or nothing to wait for
    Item* cold                  # the item whose pages are missing
    Cursor forgotten            # where the forgotten topics begin
    bint unpermitted
    bint again                  # a parked request: it was authorised when it came


cdef int read_request(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil
cdef void open_session(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil
cdef int items_of_session(Engine* e, Plan* plan) noexcept nogil
