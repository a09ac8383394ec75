# The encoder's state, and its entry.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t

from pyralog._speedups.codec_types cimport Op, StructOps


cdef struct Writer:             # a buffer that grows; the first one is the caller's
    uint8_t* start
    uint8_t* p
    uint8_t* end
    bint heap                   # `start` is to be freed with PyMem_Free
    int fault                   # the first one, and where it was
    const StructOps* at
    const Op* op


# Makes room for `size` more bytes; False when out of memory.
cdef bint grow(Writer* w, int64_t size) noexcept

# 0, or -1 with the fault noted; -1 without a fault when `self` is not of the struct's class.
cdef int encode_struct(Writer* w, const StructOps* ops, PyObject* self) noexcept


cdef inline bint reserve(Writer* w, int64_t size) noexcept:
    return w.end - w.p >= size or grow(w, size)
