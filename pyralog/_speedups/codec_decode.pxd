# The decoder's state, and its entry.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from pyralog._speedups.codec_types cimport Op, StructOps
from pyralog._speedups.cursor cimport Cursor


cdef struct Decoder:
    Cursor c
    int64_t elements            # of all arrays so far
    int fault                   # the first one, and where it was; `op` NULL for a tagged section
    const StructOps* at
    const Op* op


# A new object, or NULL with the fault noted.
cdef PyObject* decode_struct(Decoder* d, const StructOps* ops) noexcept
