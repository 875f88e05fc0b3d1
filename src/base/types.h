/*
 * Types, assertions and compiler words every room shares. Only macros and static inline bodies:
 * nothing here has linkage, so kernels compiled for an ISA may include it safely (STYLE K6).
 */
#ifndef LMN_BASE_TYPES_H
#define LMN_BASE_TYPES_H

#include "lamina/base.h"

#define LMN_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LMN_LIKELY(x) __builtin_expect(!!(x), 1)
#define LMN_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define LMN_UNUSED __attribute__((unused))
#define LMN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Highest tensor rank. ONNX sets none; the deepest real exporter graphs use 7. */
#define LMN_MAX_RANK 8

/*
 * Only our own bug may trip an assert; what a caller or the environment can cause is a status.
 * Level 0 (release) removes them, 1 keeps lmn_assert, 2 adds lmn_assert_slow.
 */
#ifndef LMN_ASSERT_LEVEL
#define LMN_ASSERT_LEVEL 0
#endif
#if LMN_ASSERT_LEVEL >= 1
#define lmn_assert(c) ((c) ? (void)0 : __builtin_trap())
#else
#define lmn_assert(c) ((void)sizeof((c) ? 1 : 0))
#endif
#if LMN_ASSERT_LEVEL >= 2
#define lmn_assert_slow(c) lmn_assert(c)
#else
#define lmn_assert_slow(c) ((void)sizeof((c) ? 1 : 0))
#endif

/* Propagate a failing status at once: only where nothing is held yet. */
#define LMN_TRY(expr)                                                   \
    do {                                                                \
        lamina_status lmn_try_st_ = (expr);                             \
        if (LMN_UNLIKELY(lmn_try_st_ != LAMINA_OK)) return lmn_try_st_; \
    } while (0)
/* Return `code` unless `cond`: argument checks that hold nothing. */
#define LMN_CHECK(cond, code)                     \
    do {                                          \
        if (LMN_UNLIKELY(!(cond))) return (code); \
    } while (0)

/* Bytes somewhere else: borrowed, not terminated. */
typedef struct lmn_span {
    const uint8_t *p;
    size_t n;
} lmn_span;

static inline int64_t lmn_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t lmn_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
/* a / b rounded up, a up to a multiple of b; 0 <= a, 0 < b, the result fits. */
static inline int64_t lmn_ceil_div_i64(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
static inline int64_t lmn_round_up_i64(int64_t a, int64_t b)
{
    return lmn_ceil_div_i64(a, b) * b;
}
static inline size_t lmn_align_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

/* Overflow-checked arithmetic: false, and *out unspecified, when the result does not fit. */
static inline bool lmn_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool lmn_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool lmn_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

#endif
