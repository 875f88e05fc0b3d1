/*
 * Element types: facts and exact conversions. Sub-byte types are packed with the first element in
 * the low bits (ONNX TensorProto int32_data rule). f16, bf16, fp8, fp4 and E8M0 are storage types:
 * arithmetic happens in f32 or f64 and is rounded once, to nearest even.
 */
#ifndef LMN_TENSOR_DTYPE_H
#define LMN_TENSOR_DTYPE_H

#include "base/types.h"

#include <string.h>

typedef enum lmn_dclass {
    LMN_CLASS_NONE,
    LMN_CLASS_FLOAT,
    LMN_CLASS_SINT,
    LMN_CLASS_UINT,
    LMN_CLASS_BOOL,
    LMN_CLASS_STRING,
    LMN_CLASS_COMPLEX
} lmn_dclass;

/* Bit set of element types: bit n is dtype n. */
typedef uint32_t lmn_dset;
#define LMN_DBIT(dt) (1u << (uint32_t)(dt))
#define LMN_D_FLOAT \
    (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F64) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
#define LMN_D_SINT \
    (LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_I16) | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
#define LMN_D_UINT \
    (LMN_DBIT(LAMINA_U8) | LMN_DBIT(LAMINA_U16) | LMN_DBIT(LAMINA_U32) | LMN_DBIT(LAMINA_U64))
#define LMN_D_INT (LMN_D_SINT | LMN_D_UINT)
#define LMN_D_NUM (LMN_D_FLOAT | LMN_D_INT)
#define LMN_D_FP8                                                                        \
    (LMN_DBIT(LAMINA_F8E4M3FN) | LMN_DBIT(LAMINA_F8E4M3FNUZ) | LMN_DBIT(LAMINA_F8E5M2) | \
     LMN_DBIT(LAMINA_F8E5M2FNUZ))
#define LMN_D_SUB                                                                            \
    (LMN_DBIT(LAMINA_U4) | LMN_DBIT(LAMINA_I4) | LMN_DBIT(LAMINA_U2) | LMN_DBIT(LAMINA_I2) | \
     LMN_DBIT(LAMINA_F4E2M1))
#define LMN_D_COMPLEX (LMN_DBIT(LAMINA_C64) | LMN_DBIT(LAMINA_C128))
#define LMN_D_BOOL LMN_DBIT(LAMINA_BOOL)
#define LMN_D_STRING LMN_DBIT(LAMINA_STRING)
#define LMN_D_ALL                                                                    \
    (LMN_D_NUM | LMN_D_FP8 | LMN_D_SUB | LMN_D_COMPLEX | LMN_D_BOOL | LMN_D_STRING | \
     LMN_DBIT(LAMINA_F8E8M0))

lmn_dclass lmn_dtype_class(lamina_dtype dt);
/* Bytes of one element; 0 for sub-byte types and unknown values; sizeof(lmn_str) for STRING. */
size_t lmn_dtype_bytes(lamina_dtype dt);
bool lmn_dtype_valid(lamina_dtype dt);
/* From a name as lamina_dtype_name prints it; LAMINA_DTYPE_NONE if unknown. */
lamina_dtype lmn_dtype_from_name(const char *name);

static inline uint32_t lmn_f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
static inline float lmn_f32_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float lmn_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, mag = h & 0x7fff;
    if (mag >= 0x7c00)
        return lmn_f32_of_bits(sign | 0x7f800000u | (mag & 0x3ff) << 13 |
                               (uint32_t)(mag > 0x7c00) << 22);
    if (mag >= 0x0400) return lmn_f32_of_bits(sign | ((mag << 13) + (112u << 23)));
    float tiny = (float)mag * 0x1p-24f; /* exact */
    return lmn_f32_of_bits(sign | lmn_f32_bits(tiny));
}

static inline uint16_t lmn_f32_to_f16(float f)
{
    uint32_t u = lmn_f32_bits(f), a = u & 0x7fffffff;
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000u) return sign | 0x7c00; /* 65520 and up round to infinity */
    if (a >= 0x38800000u) {
        uint32_t odd = a >> 13 & 1;
        return (uint16_t)(sign | ((a - (112u << 23) + 0xfff + odd) >> 13));
    }
    /* Denormal: adding 0.5 leaves units of 2^-24 in the low bits, rounded by the adder itself. */
    return (uint16_t)(sign | (lmn_f32_bits(lmn_f32_of_bits(a) + 0.5f) - 0x3f000000u));
}

static inline float lmn_bf16_to_f32(uint16_t h)
{
    return lmn_f32_of_bits((uint32_t)h << 16);
}

static inline uint16_t lmn_f32_to_bf16(float f)
{
    uint32_t u = lmn_f32_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* One rounding. */
uint16_t lmn_f64_to_f16(double d);
uint16_t lmn_f64_to_bf16(double d);
/*
 * fp8 (4 kinds) and fp4. `saturate` as in the Cast operator; fp4 always saturates and has no NaN
 * (NaN gives the bits 8, -NaN gives 0, as ml_dtypes does). NaN keeps its sign where the kind can.
 */
float lmn_f8_to_f32(lamina_dtype kind, uint8_t v);
uint8_t lmn_f32_to_f8(lamina_dtype kind, float f, bool saturate);
uint8_t lmn_f64_to_f8(lamina_dtype kind, double d, bool saturate); /* one rounding */
float lmn_f4_to_f32(uint8_t v);
uint8_t lmn_f32_to_f4(float f);
uint8_t lmn_f64_to_f4(double d);
/*
 * E8M0: 2^(v - 127), 255 is NaN; no sign and no zero. Out of range (0 is below): the nearest bound
 * when saturating, else NaN. Negative values and NaN give NaN.
 */
typedef enum lmn_e8m0_round {
    LMN_E8M0_UP, /* the default of Cast */
    LMN_E8M0_DOWN,
    LMN_E8M0_NEAREST /* ties up */
} lmn_e8m0_round;
float lmn_e8m0_to_f32(uint8_t v);
uint8_t lmn_f64_to_e8m0(double d, lmn_e8m0_round mode, bool saturate);
static inline uint8_t lmn_f32_to_e8m0(float f, lmn_e8m0_round mode, bool saturate)
{
    return lmn_f64_to_e8m0((double)f, mode, saturate);
}

/*
 * Float to integer, truncating toward zero, as compilers for x86-64 do it, without undefined
 * behaviour: out of range and NaN give the lowest value of the signed type that is looked at. That
 * is i32 for i32 and everything narrower (whose low bits are then kept), i64 for i64 and u32.
 */
static inline int32_t lmn_f64_to_i32(double d)
{
    return d > -2147483649.0 && d < 2147483648.0 ? (int32_t)d : INT32_MIN;
}
static inline int64_t lmn_f64_to_i64(double d)
{
    return d >= -0x1p63 && d < 0x1p63 ? (int64_t)d : INT64_MIN;
}
static inline uint64_t lmn_f64_to_u64(double d)
{
    uint64_t flip = (uint64_t)1 << 63;
    return d >= 0x1p63 ? (uint64_t)lmn_f64_to_i64(d - 0x1p63) ^ flip : (uint64_t)lmn_f64_to_i64(d);
}

/* Sub-byte element i of packed data; sign-extended for I4 and I2, raw bits otherwise. */
int32_t lmn_sub_get(lamina_dtype dt, const void *data, int64_t i);
void lmn_sub_set(lamina_dtype dt, void *data, int64_t i, int32_t v);

/*
 * Convert n dense elements between any two non-string types, as ONNX Cast does: float to integer as
 * lmn_f64_to_i32 and its kin say, integer to narrower integer wraps, anything to bool is != 0 (NaN
 * is true), one rounding to every float type (E8M0 rounds up), complex to real drops the imaginary
 * part. dst == src is allowed only for equal types; otherwise the two do not overlap. The unused
 * bits of a last sub-byte byte become 0.
 */
void lmn_convert(lamina_dtype dst_dt, void *dst, lamina_dtype src_dt, const void *src, int64_t n,
                 bool saturate);

#endif
