from libc.stdint cimport int64_t

from pyralog._speedups.plane.state cimport Command, Engine, Limits

cdef void fill_limits(Limits* l, int64_t max_connections, int64_t max_connections_per_ip, int64_t max_request_bytes,
                      int64_t fetch_max_bytes, int64_t max_sessions, int64_t idle_ms, int64_t handshake_ms,
                      bint sync_on_write, bint inline_sync, int64_t cache_bytes, int64_t cache_ms) noexcept
cdef void take_limits(Engine* e, const Command* command) noexcept nogil
