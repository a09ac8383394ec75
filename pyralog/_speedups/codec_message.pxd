# What a message class must know of its slots.
from pyralog._speedups.codec_types cimport StructOps


cdef class Layout:
    cdef readonly tuple names
    cdef readonly tuple defaults        # of fields: a shared value, `list`, or the class of a struct
    cdef dict index                     # position by name
    cdef StructOps ops                  # all fields in order; only name, slot, fresh, default and sub count
    cdef tuple _subs                    # layouts of the struct defaults, which `ops` points into
