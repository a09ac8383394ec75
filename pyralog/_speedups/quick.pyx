"""Those who wait for an answer that is made already: told once what it rests on is in the log."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from pyralog._speedups.plane.ring cimport monotonic_ns


@cython.final
cdef class Desk:
    """Where the answers of one API leave: reply(token, frame), failed(forwarded, began_ns, error), took(ns).

    `stats.waiting` goes down with each; who takes a request has counted it in.
    """
    cdef object stats
    cdef object reply
    cdef object failed
    cdef object took

    def __init__(self, stats not None, reply not None, failed not None, took not None):
        self.stats = stats
        self.reply = reply
        self.failed = failed
        self.took = took

    def waiter(self, forwarded not None, uint64_t token) -> Waiter:
        """Somebody who may wait here from now on."""
        cdef Waiter made = Waiter.__new__(Waiter)
        made.desk = self
        made.forwarded = forwarded
        made.token = token
        made.began_ns = monotonic_ns()
        return made


@cython.final
@cython.freelist(256)
cdef class Waiter:
    """Waits for the answer to one request."""
    cdef Desk desk
    cdef object forwarded
    cdef uint64_t token
    cdef int64_t began_ns

    def resolve(self, value not None) -> None:
        """The framed answer, or the error."""
        cdef Desk desk = self.desk
        desk.stats.waiting -= 1
        if type(value) is bytes:
            desk.took(monotonic_ns() - self.began_ns)
            desk.reply(self.token, value)
        else:
            desk.failed(self.forwarded, self.began_ns, value)
