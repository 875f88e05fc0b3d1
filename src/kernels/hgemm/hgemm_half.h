/*
 * One 16-bit float at a time, for reference rows and judges: exact widening, rounding to nearest
 * with ties to even. The kernels cannot use the element types of the tensor room.
 */
#ifndef LMN_KERNELS_HGEMM_HALF_H
#define LMN_KERNELS_HGEMM_HALF_H

#include "base/types.h"

#include <string.h>

static inline uint16_t hgemm_load16(const uint16_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h); /* at any address */
    return h;
}
static inline uint32_t hgemm_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
static inline float hgemm_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float hgemm_from_bf16(uint16_t h)
{
    return hgemm_float((uint32_t)h << 16);
}
static inline uint16_t hgemm_to_bf16(float f)
{
    const uint32_t u = hgemm_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float hgemm_from_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, mag = h & 0x7fff;
    if (mag >= 0x7c00)
        return hgemm_float(sign | 0x7f800000u | (mag & 0x3ff) << 13 |
                           (uint32_t)(mag > 0x7c00) << 22);
    if (mag >= 0x0400) return hgemm_float(sign | ((mag << 13) + (112u << 23)));
    return hgemm_float(sign | hgemm_bits((float)mag * 0x1p-24f));
}
static inline uint16_t hgemm_to_f16(float f)
{
    const uint32_t u = hgemm_bits(f), a = u & 0x7fffffff;
    const uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000u) return sign | 0x7c00; /* 65520 and up round to infinity */
    if (a >= 0x38800000u)
        return (uint16_t)(sign | ((a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13));
    /* Denormal: adding 0.5 leaves units of 2^-24 in the low bits, rounded by the adder itself. */
    return (uint16_t)(sign | (hgemm_bits(hgemm_float(a) + 0.5f) - 0x3f000000u));
}

#endif
