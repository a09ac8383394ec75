"""An engine with connections that have no sockets: tests say what they receive, and when."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from pyralog._speedups.plane.commands cimport apply_commands
from pyralog._speedups.plane.connection cimport connection_kill, connection_open, drop_chunks, output_left
from pyralog._speedups.plane.cycle cimport finish_cycle, look_at_clocks
from pyralog._speedups.plane.driver cimport PlaneEngine
from pyralog._speedups.plane.gate cimport gate_releasable
from pyralog._speedups.plane.reader cimport connection_feed, resume_all
from pyralog._speedups.plane.state cimport Connection, Engine, FileChunk


cdef void finish_all(Engine* e) noexcept nogil:
    """Finishes the cycle, and as many more as requests left over from it take."""
    cdef int64_t served = 1
    finish_cycle(e)
    while e.n_resume > 0 and served > 0:
        served = resume_all(e)
        finish_cycle(e)


cdef class VirtualEngine(PlaneEngine):
    """Driven by `feed`, `turn` and `take_output`, in the caller's thread."""

    def open_virtual(self, uint32_t principal=0):
        """Id of a connection without a socket."""
        cdef Connection* c
        self.alive()
        c = connection_open(self.e, -1)
        if c == NULL:
            raise MemoryError
        c.principal = principal
        return <uint64_t>c.generation << 32 | c.index

    cdef Connection* virtual(self, uint64_t id) except NULL:
        cdef uint32_t index = <uint32_t>(id & 0xFFFFFFFFULL)
        cdef Connection* c
        self.alive()
        c = self.e.connections[index] if index < self.e.n_connections else NULL
        if c == NULL or c.generation != <uint32_t>(id >> 32):
            raise ConnectionError("the plane has closed this connection")
        return c

    def feed(self, uint64_t id, const uint8_t[::1] data):
        """Bytes received by a virtual connection; the cycle is finished before it returns."""
        cdef Connection* c = self.virtual(id)
        cdef int64_t size = data.shape[0]
        if size == 0:
            return
        with nogil:
            look_at_clocks(self.e)
            apply_commands(self.e)
            # The commands may have ended it; a dead one stays in its place until the cycle's end.
            if not c.dead:
                connection_feed(self.e, c, &data[0], size)
            finish_all(self.e)

    def turn(self):
        """Applies commands and finishes a cycle for virtual connections, without looking at sockets."""
        self.alive()
        with nogil:
            look_at_clocks(self.e)
            apply_commands(self.e)
            finish_all(self.e)

    def take_output(self, uint64_t id):
        """Whatever a virtual connection may send now; turn() then serves what waited for room in its output.

        File ranges are read through the file table.
        """
        cdef Connection* c = self.virtual(id)
        cdef int64_t limit = gate_releasable(self.e, c)
        cdef int64_t upto
        cdef FileChunk* chunk
        cdef list parts = []
        cdef bytes piece
        while c.n_chunks > 0 or c.sent < limit:
            if c.n_chunks > 0 and c.chunks[0].at == c.sent:
                chunk = &c.chunks[0]
                piece = PyBytes_FromStringAndSize(NULL, chunk.length)
                if self.e.ops.pread(self.e.ops.ctx, chunk.segment.fd, PyBytes_AS_STRING(piece), chunk.length,
                                    chunk.position, False) != chunk.length:
                    raise OSError("a segment is shorter than its log says")
                parts.append(piece)
                self.e.counters.bytes_sent += chunk.length
                drop_chunks(self.e, c, 1)
                continue
            if c.sent >= limit:
                break
            upto = limit
            if c.n_chunks > 0 and c.chunks[0].at < upto:
                upto = c.chunks[0].at
            parts.append(PyBytes_FromStringAndSize(<char*>c.output.data + (c.sent - c.origin), upto - c.sent))
            self.e.counters.bytes_sent += upto - c.sent
            c.sent = upto
        output_left(self.e, c)
        return b"".join(parts)

    def close_virtual(self, uint64_t id):
        cdef Connection* c = self.virtual(id)
        connection_kill(self.e, c)
        with nogil:
            finish_cycle(self.e)
