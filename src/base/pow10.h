/*
 * Powers of ten to 128 bits, for reading and writing decimals (number.h).
 */
#ifndef LMN_BASE_POW10_H
#define LMN_BASE_POW10_H

#include "base/types.h"

#define LMN_POW10_MIN (-342)
#define LMN_POW10_MAX 324

__extension__ typedef unsigned __int128 lmn_u128;

/* hi:lo * 2^k is 10^q, rounded up to 128 bits, the highest of which is set. */
typedef struct lmn_pow10 {
    uint64_t hi, lo;
} lmn_pow10;

#define LMN_POW10_NEAR_MIN (-32)
#define LMN_POW10_NEAR_MAX 47
extern const lmn_pow10 lmn_pow10_near[LMN_POW10_NEAR_MAX - LMN_POW10_NEAR_MIN + 1];
lmn_pow10 lmn_pow10_far(int32_t q);

/* LMN_POW10_MIN <= q <= LMN_POW10_MAX; exact for 0 <= q <= 55. */
static inline lmn_pow10 lmn_pow10_of(int32_t q)
{
    if (LMN_LIKELY(q >= LMN_POW10_NEAR_MIN && q <= LMN_POW10_NEAR_MAX))
        return lmn_pow10_near[q - LMN_POW10_NEAR_MIN];
    return lmn_pow10_far(q);
}

/* Of a float c * 2^q: k = floor(log10(2^q)), g = 10^-k rounded up to 64 bits, the highest of which
 * is set, and by how much c is shifted before the product. Rows are biased exponents. */
typedef struct lmn_pow10_scale {
    uint64_t g;
    int32_t k, h;
} lmn_pow10_scale;
extern const lmn_pow10_scale lmn_pow10_single[255];

/* floor(log2(10^q)), |q| <= 400. */
static inline int32_t lmn_log2_of_pow10(int32_t q)
{
    return (q * 217706) >> 16;
}

#endif
