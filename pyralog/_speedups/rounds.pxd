# Entries of coordinators as the plane takes them.
from libc.stdint cimport uint64_t

from pyralog._speedups.plane.state cimport Round


# The entries' records and answers are the round's from now on.
cdef Round* round_of(list entries, dict partitions, uint64_t cookie) except NULL
