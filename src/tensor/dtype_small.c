/*
 * The storage-only types: f16, bf16, four fp8 kinds, fp4, E8M0, and packed integers of 2 and 4
 * bits.
 *
 * One encoder serves every float with at most 15 bits below the sign: it takes the bits of a double
 * (into which every f32 fits exactly) and rounds once, to nearest even. f16 and bf16 have a short
 * way from f32 in dtype.h, because models are full of them; tests hold the two against each other.
 */
#include "tensor/dtype.h"

#include <string.h>

static inline uint64_t bits_of_f64(double d)
{
    uint64_t u;
    memcpy(&u, &d, sizeof u);
    return u;
}

#define F64_ABS 0x7fffffffffffffffu
#define F64_INF 0x7ff0000000000000u

/*
 * Round |d| (given as bits, not NaN) to a format with `m_bits` of mantissa and exponent bias
 * `bias`; gives the code without sign, which may lie past the largest finite one: the caller looks.
 */
static uint32_t encode(uint64_t abs_bits, int m_bits, int bias)
{
    int e = (int)(abs_bits >> 52) - 1023, e_min = 1 - bias;
    if (e > 128) return UINT32_MAX; /* infinity too; no small format reaches 2^129 */
    if (e < -1022) return 0;        /* zero, and denormals of f64: below half of anything small */
    uint64_t sig = (abs_bits & 0xfffffffffffffu) | (uint64_t)1 << 52;
    int shift = 52 - m_bits + (e < e_min ? e_min - e : 0);
    if (shift > 53) return 0; /* less than half the smallest denormal */
    uint64_t q = sig >> shift, rest = sig & (((uint64_t)1 << shift) - 1);
    uint64_t half = (uint64_t)1 << (shift - 1);
    q += rest > half || (rest == half && (q & 1));
    /* A carry out of the mantissa walks into the exponent by itself. */
    if (e >= e_min) q += (uint64_t)(e - e_min) << m_bits;
    return (uint32_t)q;
}

static uint16_t f64_to_half_like(double d, int m_bits, int bias, uint16_t inf)
{
    uint64_t u = bits_of_f64(d), a = u & F64_ABS;
    uint16_t sign = (uint16_t)(u >> 48 & 0x8000);
    if (a > F64_INF) /* NaN: quiet, with the top of its payload */
        return (uint16_t)(sign | inf | 1u << (m_bits - 1) |
                          (a >> (52 - m_bits) & ((1u << m_bits) - 1)));
    uint32_t code = encode(a, m_bits, bias);
    return (uint16_t)(sign | (code < inf ? code : inf));
}

uint16_t lmn_f64_to_f16(double d)
{
    return f64_to_half_like(d, 10, 15, 0x7c00);
}
uint16_t lmn_f64_to_bf16(double d)
{
    return f64_to_half_like(d, 7, 127, 0x7f80);
}

/* What tells the fp8 kinds apart. A code above max_code is infinity or NaN. */
typedef struct f8_kind {
    uint8_t m_bits, bias, max_code;
    uint8_t nan;  /* without sign; FNUZ kinds: the code of -0, which they lack */
    uint8_t over; /* infinity and overflow, not saturating, without sign */
    bool fnuz;
} f8_kind;

static f8_kind f8_kind_of(lamina_dtype kind)
{
    switch (kind) {
    case LAMINA_F8E4M3FN: return (f8_kind){3, 7, 0x7e, 0x7f, 0x7f, false};
    case LAMINA_F8E4M3FNUZ: return (f8_kind){3, 8, 0x7f, 0x80, 0x80, true};
    case LAMINA_F8E5M2: return (f8_kind){2, 15, 0x7b, 0x7e, 0x7c, false};
    default: lmn_assert(kind == LAMINA_F8E5M2FNUZ); return (f8_kind){2, 16, 0x7f, 0x80, 0x80, true};
    }
}

uint8_t lmn_f64_to_f8(lamina_dtype kind, double d, bool saturate)
{
    const f8_kind k = f8_kind_of(kind);
    uint64_t u = bits_of_f64(d), a = u & F64_ABS;
    uint32_t sign = (uint32_t)(u >> 56) & 0x80;
    if (a > F64_INF) return (uint8_t)(k.nan | sign);
    uint32_t code = encode(a, k.m_bits, k.bias);
    if (code > k.max_code) code = saturate ? k.max_code : k.over;
    if (k.fnuz && code == 0) sign = 0;
    return (uint8_t)(code | sign);
}

uint8_t lmn_f32_to_f8(lamina_dtype kind, float f, bool saturate)
{
    return lmn_f64_to_f8(kind, (double)f, saturate);
}

float lmn_f8_to_f32(lamina_dtype kind, uint8_t v)
{
    const f8_kind k = f8_kind_of(kind);
    uint32_t mag = v & 0x7f, sign = (uint32_t)(v & 0x80) << 24;
    if (k.fnuz && v == k.nan) return lmn_f32_of_bits(0xffc00000u);
    if (mag > k.max_code && mag == k.over && kind == LAMINA_F8E5M2)
        return lmn_f32_of_bits(sign | 0x7f800000u);
    if (mag > k.max_code) return lmn_f32_of_bits(sign | 0x7fc00000u);
    uint32_t e = mag >> k.m_bits, m = mag & ((1u << k.m_bits) - 1);
    if (e) return lmn_f32_of_bits(sign | (e + 127 - k.bias) << 23 | m << (23 - k.m_bits));
    float unit = lmn_f32_of_bits((uint32_t)(128 - k.bias - k.m_bits) << 23);
    return lmn_f32_of_bits(sign | lmn_f32_bits((float)m * unit));
}

float lmn_f4_to_f32(uint8_t v)
{
    static const float TABLE[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    return TABLE[v & 15];
}

uint8_t lmn_f64_to_f4(double d)
{
    uint64_t u = bits_of_f64(d), a = u & F64_ABS;
    uint32_t sign = (uint32_t)(u >> 60) & 8;
    if (a > F64_INF) return (uint8_t)(sign ^ 8);
    uint32_t code = encode(a, 1, 1);
    return (uint8_t)(sign | (code < 7 ? code : 7));
}

uint8_t lmn_f32_to_f4(float f)
{
    return lmn_f64_to_f4((double)f);
}

float lmn_e8m0_to_f32(uint8_t v)
{
    if (v == 0xff) return lmn_f32_of_bits(0x7fc00000u);
    return lmn_f32_of_bits(v ? (uint32_t)v << 23 : 0x400000u);
}

uint8_t lmn_f64_to_e8m0(double d, lmn_e8m0_round mode, bool saturate)
{
    uint64_t u = bits_of_f64(d), a = u & F64_ABS;
    const uint8_t nan = 0xff;
    if (a > F64_INF || (u != a && a != 0)) return nan;
    int e = (int)(a >> 52) - 1023;
    uint64_t frac = a & 0xfffffffffffffu;
    if (e < -127) return saturate ? 0 : nan;
    if (e > 127) return saturate ? 254 : nan;
    int up = mode == LMN_E8M0_UP ? frac != 0 : mode == LMN_E8M0_NEAREST ? (int)(frac >> 51) : 0;
    int code = e + 127 + up;
    if (code > 254) return saturate ? 254 : nan;
    return (uint8_t)code;
}

int32_t lmn_sub_get(lamina_dtype dt, const void *data, int64_t i)
{
    const uint8_t *p = data;
    switch (dt) {
    case LAMINA_I4: return ((p[i >> 1] >> (i & 1) * 4 & 15) ^ 8) - 8;
    case LAMINA_U4:
    case LAMINA_F4E2M1: return p[i >> 1] >> (i & 1) * 4 & 15;
    case LAMINA_I2: return ((p[i >> 2] >> (i & 3) * 2 & 3) ^ 2) - 2;
    default: lmn_assert(dt == LAMINA_U2); return p[i >> 2] >> (i & 3) * 2 & 3;
    }
}

void lmn_sub_set(lamina_dtype dt, void *data, int64_t i, int32_t v)
{
    const bool two = dt == LAMINA_I2 || dt == LAMINA_U2;
    uint8_t *p = (uint8_t *)data + (two ? i >> 2 : i >> 1);
    int shift = (int)(two ? (i & 3) * 2 : (i & 1) * 4);
    uint32_t mask = two ? 3 : 15;
    *p = (uint8_t)((*p & ~(mask << shift)) | ((uint32_t)v & mask) << shift);
}
