/*
 * Short runs of bytes, where a call of memcpy or memset costs more than the bytes: copies and
 * repeated elements in words of 16 bytes, the last of which overlaps the one before.
 */
#ifndef LMN_OPS_RUNS_H
#define LMN_OPS_RUNS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 16 bytes at any address. */
typedef uint8_t __attribute__((vector_size(16), aligned(1), may_alias)) lmn_run16;

/* From here on memcpy is as fast. */
enum { LMN_RUN_LONG = 256 };

/* The whole of a value of `type` at any address: one load and one store. */
#define LMN_RUN_WORD(type, dst, src)       \
    do {                                   \
        type word_;                        \
        memcpy(&word_, src, sizeof word_); \
        memcpy(dst, &word_, sizeof word_); \
    } while (0)

/* n bytes from src to dst, which do not overlap. */
static inline void lmn_run_copy(uint8_t *dst, const uint8_t *src, size_t n)
{
    if (n >= LMN_RUN_LONG) {
        memcpy(dst, src, n);
    } else if (n >= 16) {
        const lmn_run16 last = *(const lmn_run16 *)(const void *)(src + n - 16);
        for (size_t i = 0; i + 16 < n; i += 16)
            *(lmn_run16 *)(void *)(dst + i) = *(const lmn_run16 *)(const void *)(src + i);
        *(lmn_run16 *)(void *)(dst + n - 16) = last;
    } else if (n >= 8) {
        LMN_RUN_WORD(uint64_t, dst, src);
        LMN_RUN_WORD(uint64_t, dst + n - 8, src + n - 8);
    } else if (n >= 4) {
        LMN_RUN_WORD(uint32_t, dst, src);
        LMN_RUN_WORD(uint32_t, dst + n - 4, src + n - 4);
    } else {
        for (size_t i = 0; i < n; i++) dst[i] = src[i];
    }
}

/* The element of eb bytes (1 2 4 8 16) as often as it goes. In registers: a word that was just
   stored in pieces could not be loaded before they reach the cache. */
static inline lmn_run16 lmn_run_pattern(size_t eb, const void *value)
{
    typedef uint64_t two __attribute__((vector_size(16), may_alias));
    uint64_t lo = 0, hi;
    if (eb == 1) {
        lo = *(const uint8_t *)value * 0x0101010101010101u;
    } else if (eb == 2) {
        uint16_t v;
        memcpy(&v, value, sizeof v);
        lo = v * 0x0001000100010001u;
    } else if (eb == 4) {
        uint32_t v;
        memcpy(&v, value, sizeof v);
        lo = v * 0x0000000100000001u;
    } else {
        memcpy(&lo, value, sizeof lo);
    }
    hi = lo;
    if (eb == 16) memcpy(&hi, (const uint8_t *)value + 8, sizeof hi);
    return (lmn_run16)(two){lo, hi};
}

/* n elements of eb bytes become *value. */
static inline void lmn_run_fill(uint8_t *dst, size_t eb, size_t n, const void *value)
{
    const size_t total = n * eb;
    if (total < 16) {
        for (size_t i = 0; i < total; i += eb) lmn_run_copy(dst + i, value, eb);
        return;
    }
    const lmn_run16 v = lmn_run_pattern(eb, value);
    for (size_t i = 0; i + 16 < total; i += 16) *(lmn_run16 *)(void *)(dst + i) = v;
    *(lmn_run16 *)(void *)(dst + total - 16) = v; /* a whole number of elements back */
}

#endif
