# Unaligned big-endian loads and stores; one instruction or two each.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <string.h>

    static inline int16_t pyralog_load16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return (int16_t)__builtin_bswap16(v); }
    static inline int32_t pyralog_load32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return (int32_t)__builtin_bswap32(v); }
    static inline int64_t pyralog_load64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return (int64_t)__builtin_bswap64(v); }
    static inline void pyralog_store16(uint8_t *p, int16_t x) { uint16_t v = __builtin_bswap16((uint16_t)x); memcpy(p, &v, 2); }
    static inline void pyralog_store32(uint8_t *p, int32_t x) { uint32_t v = __builtin_bswap32((uint32_t)x); memcpy(p, &v, 4); }
    static inline void pyralog_store64(uint8_t *p, int64_t x) { uint64_t v = __builtin_bswap64((uint64_t)x); memcpy(p, &v, 8); }
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "Pyralog's data plane is written for little-endian machines"
    #endif
    """
    int16_t load16 "pyralog_load16"(const uint8_t* p) noexcept
    int32_t load32 "pyralog_load32"(const uint8_t* p) noexcept
    int64_t load64 "pyralog_load64"(const uint8_t* p) noexcept
    void store16 "pyralog_store16"(uint8_t* p, int16_t value) noexcept
    void store32 "pyralog_store32"(uint8_t* p, int32_t value) noexcept
    void store64 "pyralog_store64"(uint8_t* p, int64_t value) noexcept
