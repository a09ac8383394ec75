# CRC-32C (Castagnoli), implementation chosen once at import: SSE4.2 three-way, ARMv8, or table.
from libc.stdint cimport uint8_t, uint32_t

cdef uint32_t crc32c(uint32_t crc, const uint8_t* data, size_t size) noexcept nogil
