"""CRC-32C (Castagnoli) at memory speed: SSE4.2 or ARMv8 instructions in three lanes, or a table; chosen once at import."""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from * nogil:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>

    /* The instruction has three cycles of latency and one of throughput: three independent lanes fill the pipe.
       A lane's result is moved past the bytes that follow it by a multiplication with x^(8n) mod P, tabulated. */
    #define CRC_POLY 0x82f63b78u
    #define CRC_LONG 8192u
    #define CRC_SHORT 256u

    typedef uint32_t (*crc_function)(uint32_t, const uint8_t *, size_t);

    static uint32_t crc_table[8][256];
    static uint32_t crc_long[4][256];
    static uint32_t crc_short[4][256];

    static uint32_t crc_multiply(uint32_t a, uint32_t b) {
        uint32_t product = 0;
        for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
            if (a & bit) product ^= b;
            b = b & 1 ? (b >> 1) ^ CRC_POLY : b >> 1;
        }
        return product;
    }

    static void crc_shift_table(uint32_t table[4][256], size_t bytes) {
        uint32_t power = 1u << 31, square = 1u << 23;  /* x^0 and x^8, bits reflected */
        for (size_t n = bytes; n; n >>= 1) {
            if (n & 1) power = crc_multiply(power, square);
            square = crc_multiply(square, square);
        }
        for (int k = 0; k < 4; k++)
            for (uint32_t v = 0; v < 256; v++) table[k][v] = crc_multiply(power, v << (8 * k));
    }

    static void crc_make_tables(void) {
        for (uint32_t v = 0; v < 256; v++) {
            uint32_t crc = v;
            for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ CRC_POLY : crc >> 1;
            crc_table[0][v] = crc;
        }
        for (int k = 1; k < 8; k++)
            for (uint32_t v = 0; v < 256; v++)
                crc_table[k][v] = (crc_table[k - 1][v] >> 8) ^ crc_table[0][crc_table[k - 1][v] & 0xff];
        crc_shift_table(crc_long, CRC_LONG);
        crc_shift_table(crc_short, CRC_SHORT);
    }

    static inline uint32_t crc_shift(uint32_t table[4][256], uint32_t crc) {
        return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^ table[2][crc >> 16 & 0xff] ^ table[3][crc >> 24];
    }

    static inline uint64_t crc_word(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }

    /* Slicing by eight, for machines without the instruction. */
    static uint32_t crc_by_table(uint32_t crc, const uint8_t *p, size_t n) {
        crc = ~crc;
        for (; n >= 8; n -= 8, p += 8) {
            uint64_t v = crc_word(p) ^ crc;
            crc = crc_table[7][v & 0xff] ^ crc_table[6][v >> 8 & 0xff] ^ crc_table[5][v >> 16 & 0xff]
                ^ crc_table[4][v >> 24 & 0xff] ^ crc_table[3][v >> 32 & 0xff] ^ crc_table[2][v >> 40 & 0xff]
                ^ crc_table[1][v >> 48 & 0xff] ^ crc_table[0][v >> 56];
        }
        for (; n; n--) crc = (crc >> 8) ^ crc_table[0][(crc ^ *p++) & 0xff];
        return ~crc;
    }

    #define CRC_LANES(STEP8, LANE, TABLE)                                                   \\
        while (n >= 3 * LANE) {                                                             \\
            uint32_t b = 0, c = 0;                                                          \\
            const uint8_t *end = p + LANE;                                                  \\
            do {                                                                            \\
                a = STEP8(a, crc_word(p));                                                  \\
                b = STEP8(b, crc_word(p + LANE));                                           \\
                c = STEP8(c, crc_word(p + 2 * LANE));                                       \\
                p += 8;                                                                     \\
            } while (p < end);                                                              \\
            a = crc_shift(TABLE, a) ^ b;                                                    \\
            a = crc_shift(TABLE, a) ^ c;                                                    \\
            p += 2 * LANE;                                                                  \\
            n -= 3 * LANE;                                                                  \\
        }

    #define CRC_DEFINE(NAME, TARGET, STEP8, STEP1)                                          \\
        __attribute__((target(TARGET)))                                                     \\
        static uint32_t NAME(uint32_t crc, const uint8_t *p, size_t n) {                    \\
            uint32_t a = ~crc;                                                              \\
            CRC_LANES(STEP8, CRC_LONG, crc_long)                                            \\
            CRC_LANES(STEP8, CRC_SHORT, crc_short)                                          \\
            for (; n >= 8; n -= 8, p += 8) a = STEP8(a, crc_word(p));                       \\
            for (; n; n--) a = STEP1(a, *p++);                                              \\
            return ~a;                                                                      \\
        }

    #if defined(__x86_64__)
    #define CRC_X86_8(a, v) ((uint32_t)__builtin_ia32_crc32di((a), (v)))
    #define CRC_X86_1(a, v) __builtin_ia32_crc32qi((a), (v))
    #if defined(__clang__)
    CRC_DEFINE(crc_by_instruction, "sse4.2,crc32", CRC_X86_8, CRC_X86_1)  /* a feature of its own there */
    #else
    CRC_DEFINE(crc_by_instruction, "sse4.2", CRC_X86_8, CRC_X86_1)
    #endif
    static const char *crc_instruction_name = "sse4.2";
    static int crc_has_instruction(void) { __builtin_cpu_init(); return __builtin_cpu_supports("sse4.2") != 0; }
    #elif defined(__aarch64__)
    #include <arm_acle.h>
    #if defined(__linux__)
    #include <sys/auxv.h>
    static int crc_has_instruction(void) { return (getauxval(AT_HWCAP) & (1 << 7)) != 0; }
    #else
    static int crc_has_instruction(void) { return 1; }  /* every Apple ARM has it */
    #endif
    #if defined(__clang__)
    CRC_DEFINE(crc_by_instruction, "crc", __crc32cd, __crc32cb)
    #else
    CRC_DEFINE(crc_by_instruction, "+crc", __crc32cd, __crc32cb)
    #endif
    static const char *crc_instruction_name = "armv8";
    #else
    static crc_function crc_by_instruction = crc_by_table;
    static const char *crc_instruction_name = "table";
    static int crc_has_instruction(void) { return 0; }
    #endif

    static crc_function crc_chosen = crc_by_table;

    static const char *crc_choose(void) {
        crc_make_tables();
        if (!crc_has_instruction()) return "table";
        crc_chosen = crc_by_instruction;
        return crc_instruction_name;
    }
    """
    uint32_t crc_chosen(uint32_t crc, const uint8_t* data, size_t size) noexcept
    uint32_t crc_by_table(uint32_t crc, const uint8_t* data, size_t size) noexcept
    const char* crc_choose() noexcept


IMPLEMENTATION = (<bytes>crc_choose()).decode()


cdef uint32_t crc32c(uint32_t crc, const uint8_t* data, size_t size) noexcept nogil:
    return crc_chosen(crc, data, size)


def checksum(const uint8_t[::1] data not None, uint32_t crc=0) -> int:
    """CRC-32C of a buffer; `crc` continues an earlier one."""
    if data.shape[0] == 0:
        return crc
    cdef uint32_t result
    with nogil:
        result = crc_chosen(crc, &data[0], <size_t>data.shape[0])
    return result


def checksum_by_table(const uint8_t[::1] data not None, uint32_t crc=0) -> int:
    """The same without the processor's instruction: what machines that lack it use."""
    if data.shape[0] == 0:
        return crc
    return crc_by_table(crc, &data[0], <size_t>data.shape[0])
