"""AddPartitionsToTxn and EndTxn on the quick way: from the plane's event into the shard of the transactional id, without
messages. What is decided is decided in Python (coordinator.transaction), by the same rules as on the way of messages; here
are bytes. Anything that is refused, or waits, is decoded as any other request."""

import logging

from libc.stdint cimport int16_t, int64_t

from pyralog._speedups.desk cimport Desk, DeskLane
from pyralog._speedups.journal cimport Entry, Journal
from pyralog._speedups.plane.ring cimport monotonic_ns
from pyralog._speedups.plane.state cimport Event
from pyralog._speedups.txnrequests cimport TxnRequest, record_size, request_in, write_state

log = logging.getLogger(__name__)


cdef class TxnLane(DeskLane):
    """One for each of the two APIs.

    `decide(request, connection id)` says to which shard the request belongs and what becomes of the transactional id (a
    coordinator.transaction.state.Entry), or None where the request has to be decoded; nothing has changed then.
    `keep(request, connection id, shard, entry, state)` applies it, once its record is in the entry.
    """
    cdef object decide
    cdef object keep
    cdef object clock
    cdef int64_t now_ns         # while events are delivered; 0: not looked at yet

    def __init__(self, int16_t api, decide not None, keep not None, clock not None, Desk desk not None):
        self.api = api
        self.decide = decide
        self.keep = keep
        self.clock = clock
        self.desk = desk

    cdef void begin(self) noexcept:
        self.now_ns = 0

    cdef bint consider(self, Event* event) except -1:
        """False: nothing has happened."""
        cdef Journal shard
        cdef Entry entry
        cdef TxnRequest request = request_in(event.data, event.size)
        if request is None:
            return False
        decided = self.decide(request, event.a)
        if decided is None:
            return False
        shard, state = decided
        if not shard.takes(event.size):
            return False
        entry = shard.entry_for(record_size(request.transactional_id, state[4]), None)
        try:
            write_state(entry, request.transactional_id, state, self.clock())
            self.keep(request, event.a, shard, entry, state)
            entry.take(event, answer_of(request, state), self.desk, self.now())
        except Exception as error:
            # What is in memory is no longer what is in the log: the shard starts again from that.
            log.exception("%s-%d: a transaction could not be moved", *shard.tp)
            shard.fail(error)
            return False        # the slow way tells that there is no such shard
        return True

    cdef int64_t now(self) noexcept:
        if self.now_ns == 0:
            self.now_ns = monotonic_ns()
        return self.now_ns


cdef bytes answer_of(TxnRequest request, object state):
    """Who is about to go on with another producer id is told that."""
    cdef int64_t next_id = state[8]
    if next_id != -1:
        return request.answer(next_id, 0)
    return request.answer(state[0], state[1])


def write_whenever(Journal shard not None, str transactional_id not None, state not None, int64_t now_ms):
    """The record of a state that nobody waits for: it may lie for a little, until others come."""
    write_state(shard.entry_whenever(record_size(transactional_id, state[4])), transactional_id, state, now_ms)
