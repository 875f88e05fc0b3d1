/*
 * What a plan will read next, brought to L2 share by share while it multiplies.
 */
#ifndef LMN_KERNELS_CONV_FETCH_H
#define LMN_KERNELS_CONV_FETCH_H

#include "base/types.h"

typedef struct lmn_conv_soon {
    const float *at;
    int64_t n; /* floats; 0: nothing */
} lmn_conv_soon;

/* Share number q < of. */
static inline void lmn_conv_fetch(const lmn_conv_soon *s, int64_t q, int64_t of)
{
    const int64_t end = s->n * (q + 1) / of;
    for (int64_t i = s->n * q / of; i < end; i += 16) __builtin_prefetch(s->at + i, 0, 2);
    __asm__("" : : : "memory"); /* gcc would take it for a function without effects */
}

#endif
