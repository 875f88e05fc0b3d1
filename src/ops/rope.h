/*
 * Rotary positions: the first `rot` values of a head turn in pairs by cached angles. A pair is
 * (j, j + rot / 2) or, interleaved, (2j, 2j + 1).
 */
#ifndef LMN_OPS_ROPE_H
#define LMN_OPS_ROPE_H

#include <stdbool.h>
#include <stdint.h>

static inline void lmn_rope_turn(double *v, int64_t rot, bool interleaved, const double *cos,
                                 const double *sin)
{
    const int64_t half = rot / 2, step = interleaved ? 2 : 1, far = interleaved ? 1 : half;
    for (int64_t j = 0; j < half; j++) {
        double *p = v + j * step;
        const double a = p[0], b = p[far];
        p[0] = cos[j] * a - sin[j] * b;
        p[far] = sin[j] * a + cos[j] * b;
    }
}

#endif
