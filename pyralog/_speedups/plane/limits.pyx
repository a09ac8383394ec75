"""The limits that may change while the plane runs: filled in by Python's side, taken over by the plane's."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from pyralog._speedups.plane.state cimport Command, Engine, Limits

cdef int64_t NEVER_MS = <int64_t>1 << 62


cdef void fill_limits(Limits* l, int64_t max_connections, int64_t max_connections_per_ip, int64_t max_request_bytes,
                      int64_t fetch_max_bytes, int64_t max_sessions, int64_t idle_ms, int64_t handshake_ms,
                      bint sync_on_write, bint inline_sync, int64_t cache_bytes, int64_t cache_ms) noexcept:
    l.max_connections = max_connections
    l.max_connections_per_ip = max_connections_per_ip
    l.max_request_bytes = max_request_bytes
    l.fetch_max_bytes = fetch_max_bytes
    l.max_sessions = max_sessions
    l.idle_ms = idle_ms if idle_ms >= 0 else NEVER_MS
    l.handshake_ms = handshake_ms
    l.sync_on_write = sync_on_write
    l.inline_sync = inline_sync
    l.cache_bytes = cache_bytes
    l.cache_ms = cache_ms


cdef void take_limits(Engine* e, const Command* command) noexcept nogil:
    """Other limits from now on. What is written but not synced goes by the new ones too: it is synced at once."""
    memcpy(&e.limits, command.data, sizeof(Limits))
    if e.n_unsynced > 0:
        e.sync_wanted = True
