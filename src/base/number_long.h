/*
 * The last resort of number_read.c: a decimal of many digits, decided by long division.
 */
#ifndef LMN_BASE_NUMBER_LONG_H
#define LMN_BASE_NUMBER_LONG_H

#include "base/types.h"

/* A binary format, and between which powers of ten a decimal of 64 bits is neither zero nor
 * infinite, or may be a tie. */
typedef struct lmn_float_format {
    uint32_t bits; /* of the fraction */
    int32_t bias;
    uint64_t infinity; /* its bits */
    int32_t q_min, q_max, tie_min, tie_max;
} lmn_float_format;

/* [digits, end) holds digits with at most one point among them; the value is theirs times
 * 10^exponent. Returns the bits of the nearest value, ties to even. */
uint64_t lmn_number_long(const lmn_float_format *f, const uint8_t *digits, const uint8_t *end,
                         int64_t exponent);

#endif
