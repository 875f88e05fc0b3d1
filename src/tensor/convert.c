/*
 * lmn_convert: any element type to any other. The pairs that models use have a typed loop; all
 * others go through a small stage of f64 (float sources) or i64 bits (integer sources), so that 26
 * types need 26 loaders and 26 storers, not 676 loops. Invariant: a value is rounded once. Integers
 * too wide for f64 are staged toward small floats by rounding to odd, which a second rounding
 * cannot spoil.
 */
#include "tensor/tensor.h"

#include <string.h>

enum { STAGE_N = 128 }; /* a multiple of 4: sub-byte blocks stay on byte borders */

typedef enum stage_kind { STAGE_F64, STAGE_I64, STAGE_U64 } stage_kind;
typedef union stage {
    double f[STAGE_N];
    int64_t i[STAGE_N];
} stage;

/* Truncate to 53 bits and put what was lost into the last bit. */
static double odd_f64(uint64_t mag)
{
    if (mag >> 53) {
        int drop = 11 - __builtin_clzll(mag);
        uint64_t lost = mag & (((uint64_t)1 << drop) - 1);
        mag = (mag - lost) | (uint64_t)(lost != 0) << drop;
    }
    return (double)mag;
}

static void stage_to_odd_f64(stage *s, stage_kind kind, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        int64_t v = s->i[j];
        bool neg = kind == STAGE_I64 && v < 0;
        double d = odd_f64(neg ? 0 - (uint64_t)v : (uint64_t)v);
        s->f[j] = neg ? -d : d;
    }
}

#define LOAD(type, field, expr)                                           \
    {                                                                     \
        const type *x = (const type *)src + at * (int64_t)width;          \
        for (int64_t j = 0; j < n; j++, x += width) s->field[j] = (expr); \
        break;                                                            \
    }

/* Elements at..at+n of src into the stage. */
static stage_kind load(stage *s, lamina_dtype dt, const void *src, int64_t at, int64_t n)
{
    const int width = lmn_dtype_class(dt) == LMN_CLASS_COMPLEX ? 2 : 1;
    switch (dt) {
    case LAMINA_C64:
    case LAMINA_F32: LOAD(float, f, (double)*x)
    case LAMINA_C128:
    case LAMINA_F64: LOAD(double, f, *x)
    case LAMINA_F16: LOAD(uint16_t, f, (double)lmn_f16_to_f32(*x))
    case LAMINA_BF16: LOAD(uint16_t, f, (double)lmn_bf16_to_f32(*x))
    case LAMINA_F8E4M3FN:
    case LAMINA_F8E4M3FNUZ:
    case LAMINA_F8E5M2:
    case LAMINA_F8E5M2FNUZ: LOAD(uint8_t, f, (double)lmn_f8_to_f32(dt, *x))
    case LAMINA_F8E8M0: LOAD(uint8_t, f, (double)lmn_e8m0_to_f32(*x))
    case LAMINA_F4E2M1:
        for (int64_t j = 0; j < n; j++)
            s->f[j] = (double)lmn_f4_to_f32((uint8_t)lmn_sub_get(dt, src, at + j));
        break;
    case LAMINA_BOOL: LOAD(uint8_t, i, *x != 0)
    case LAMINA_U8: LOAD(uint8_t, i, *x)
    case LAMINA_I8: LOAD(int8_t, i, *x)
    case LAMINA_U16: LOAD(uint16_t, i, *x)
    case LAMINA_I16: LOAD(int16_t, i, *x)
    case LAMINA_I32: LOAD(int32_t, i, *x)
    case LAMINA_U32: LOAD(uint32_t, i, *x)
    case LAMINA_I64: LOAD(int64_t, i, *x)
    case LAMINA_U64: LOAD(uint64_t, i, (int64_t)*x)
    default:
        for (int64_t j = 0; j < n; j++) s->i[j] = lmn_sub_get(dt, src, at + j);
        break;
    }
    if (dt == LAMINA_U64) return STAGE_U64;
    return lmn_dtype_class(dt) == LMN_CLASS_FLOAT || width == 2 ? STAGE_F64 : STAGE_I64;
}

#define STORE(type, expr)                              \
    {                                                  \
        type *y = (type *)dst + at;                    \
        for (int64_t j = 0; j < n; j++) y[j] = (expr); \
        break;                                         \
    }
#define STORE_COMPLEX(type)                                                         \
    {                                                                               \
        type *y = (type *)dst + 2 * at;                                             \
        for (int64_t j = 0; j < n; j++) y[2 * j] = (type)s->f[j], y[2 * j + 1] = 0; \
        break;                                                                      \
    }

static void store_f64(const stage *s, lamina_dtype dt, void *dst, int64_t at, int64_t n,
                      bool saturate)
{
    switch (dt) {
    case LAMINA_F32: STORE(float, (float)s->f[j])
    case LAMINA_F64: STORE(double, s->f[j])
    case LAMINA_C64: STORE_COMPLEX(float)
    case LAMINA_C128: STORE_COMPLEX(double)
    case LAMINA_F16: STORE(uint16_t, lmn_f64_to_f16(s->f[j]))
    case LAMINA_BF16: STORE(uint16_t, lmn_f64_to_bf16(s->f[j]))
    case LAMINA_F8E4M3FN:
    case LAMINA_F8E4M3FNUZ:
    case LAMINA_F8E5M2:
    case LAMINA_F8E5M2FNUZ: STORE(uint8_t, lmn_f64_to_f8(dt, s->f[j], saturate))
    case LAMINA_F8E8M0: STORE(uint8_t, lmn_f64_to_e8m0(s->f[j], LMN_E8M0_UP, saturate))
    case LAMINA_BOOL: STORE(uint8_t, s->f[j] != 0)
    case LAMINA_U8:
    case LAMINA_I8: STORE(uint8_t, (uint8_t)lmn_f64_to_i32(s->f[j]))
    case LAMINA_U16:
    case LAMINA_I16: STORE(uint16_t, (uint16_t)lmn_f64_to_i32(s->f[j]))
    case LAMINA_I32: STORE(int32_t, lmn_f64_to_i32(s->f[j]))
    case LAMINA_U32: STORE(uint32_t, (uint32_t)lmn_f64_to_i64(s->f[j]))
    case LAMINA_I64: STORE(int64_t, lmn_f64_to_i64(s->f[j]))
    case LAMINA_U64: STORE(uint64_t, lmn_f64_to_u64(s->f[j]))
    case LAMINA_F4E2M1:
        for (int64_t j = 0; j < n; j++) lmn_sub_set(dt, dst, at + j, lmn_f64_to_f4(s->f[j]));
        break;
    default:
        for (int64_t j = 0; j < n; j++) lmn_sub_set(dt, dst, at + j, lmn_f64_to_i32(s->f[j]));
        break;
    }
}

/* Integer and bool targets of integer sources: the low bits. */
static void store_i64(const stage *s, lamina_dtype dt, void *dst, int64_t at, int64_t n)
{
    switch (dt) {
    case LAMINA_BOOL: STORE(uint8_t, s->i[j] != 0)
    case LAMINA_U8:
    case LAMINA_I8: STORE(uint8_t, (uint8_t)s->i[j])
    case LAMINA_U16:
    case LAMINA_I16: STORE(uint16_t, (uint16_t)s->i[j])
    case LAMINA_U32:
    case LAMINA_I32: STORE(uint32_t, (uint32_t)s->i[j])
    case LAMINA_U64:
    case LAMINA_I64: STORE(int64_t, s->i[j])
    default:
        for (int64_t j = 0; j < n; j++) lmn_sub_set(dt, dst, at + j, (int32_t)(uint32_t)s->i[j]);
        break;
    }
}

static void convert_staged(lamina_dtype dst_dt, void *dst, lamina_dtype src_dt, const void *src,
                           int64_t n, bool saturate)
{
    const lmn_dclass to = lmn_dtype_class(dst_dt);
    const bool to_float = to == LMN_CLASS_FLOAT || to == LMN_CLASS_COMPLEX;
    for (int64_t at = 0; at < n; at += STAGE_N) {
        stage s;
        int64_t m = lmn_min_i64(n - at, STAGE_N);
        stage_kind kind = load(&s, src_dt, src, at, m);
        if (kind != STAGE_F64 && !to_float) {
            store_i64(&s, dst_dt, dst, at, m);
            continue;
        }
        if (kind != STAGE_F64 && (dst_dt == LAMINA_F64 || dst_dt == LAMINA_C128)) {
            for (int64_t j = 0; j < m; j++)
                s.f[j] = kind == STAGE_U64 ? (double)(uint64_t)s.i[j] : (double)s.i[j];
        } else if (kind != STAGE_F64) {
            stage_to_odd_f64(&s, kind, m);
        }
        store_f64(&s, dst_dt, dst, at, m, saturate);
    }
}

/* 256 results computed once; worth it from some hundreds of elements on. */
static void f8_to_f32_by_table(lamina_dtype kind, float *y, const uint8_t *x, int64_t n)
{
    float table[256];
    for (int v = 0; v < 256; v++) table[v] = lmn_f8_to_f32(kind, (uint8_t)v);
    for (int64_t j = 0; j < n; j++) y[j] = table[x[j]];
}

#define PAIR(from, to) ((uint32_t)(from) << 8 | (uint32_t)(to))
#define DIRECT(from, from_type, to, to_type, expr)     \
    case PAIR(from, to): {                             \
        const from_type *restrict x = src;             \
        to_type *restrict y = dst;                     \
        for (int64_t j = 0; j < n; j++) y[j] = (expr); \
        return true;                                   \
    }

/* The pairs that matter; false for all others. */
static bool convert_direct(lamina_dtype dst_dt, void *dst, lamina_dtype src_dt, const void *src,
                           int64_t n)
{
    switch (PAIR(src_dt, dst_dt)) {
        DIRECT(LAMINA_F32, float, LAMINA_F64, double, (double)x[j])
        DIRECT(LAMINA_F64, double, LAMINA_F32, float, (float)x[j])
        DIRECT(LAMINA_F16, uint16_t, LAMINA_F32, float, lmn_f16_to_f32(x[j]))
        DIRECT(LAMINA_F32, float, LAMINA_F16, uint16_t, lmn_f32_to_f16(x[j]))
        DIRECT(LAMINA_BF16, uint16_t, LAMINA_F32, float, lmn_bf16_to_f32(x[j]))
        DIRECT(LAMINA_F32, float, LAMINA_BF16, uint16_t, lmn_f32_to_bf16(x[j]))
        DIRECT(LAMINA_F32, float, LAMINA_I32, int32_t, lmn_f64_to_i32((double)x[j]))
        DIRECT(LAMINA_F32, float, LAMINA_I64, int64_t, lmn_f64_to_i64((double)x[j]))
        DIRECT(LAMINA_F32, float, LAMINA_U8, uint8_t, (uint8_t)lmn_f64_to_i32((double)x[j]))
        DIRECT(LAMINA_F32, float, LAMINA_I8, int8_t, (int8_t)lmn_f64_to_i32((double)x[j]))
        DIRECT(LAMINA_F32, float, LAMINA_BOOL, uint8_t, x[j] != 0)
        DIRECT(LAMINA_I32, int32_t, LAMINA_F32, float, (float)x[j])
        DIRECT(LAMINA_I64, int64_t, LAMINA_F32, float, (float)x[j])
        DIRECT(LAMINA_U8, uint8_t, LAMINA_F32, float, (float)x[j])
        DIRECT(LAMINA_I8, int8_t, LAMINA_F32, float, (float)x[j])
        DIRECT(LAMINA_BOOL, uint8_t, LAMINA_F32, float, (float)(x[j] != 0))
        DIRECT(LAMINA_I64, int64_t, LAMINA_I32, int32_t, (int32_t)x[j])
        DIRECT(LAMINA_I32, int32_t, LAMINA_I64, int64_t, x[j])
        DIRECT(LAMINA_BOOL, uint8_t, LAMINA_I64, int64_t, x[j] != 0)
        DIRECT(LAMINA_BOOL, uint8_t, LAMINA_I32, int32_t, x[j] != 0)
        DIRECT(LAMINA_I64, int64_t, LAMINA_BOOL, uint8_t, x[j] != 0)
        DIRECT(LAMINA_I32, int32_t, LAMINA_BOOL, uint8_t, x[j] != 0)
    default: return false;
    }
}

static void clear_tail(lamina_dtype dt, void *data, int64_t n)
{
    const int64_t per_byte = 8 / (int64_t)lamina_dtype_bits(dt), used = n % per_byte;
    if (!used) return;
    for (int64_t i = n; i < n - used + per_byte; i++) lmn_sub_set(dt, data, i, 0);
}

void lmn_convert(lamina_dtype dst_dt, void *dst, lamina_dtype src_dt, const void *src, int64_t n,
                 bool saturate)
{
    lmn_assert(lmn_dtype_valid(dst_dt) && lmn_dtype_valid(src_dt));
    lmn_assert(dst_dt != LAMINA_STRING && src_dt != LAMINA_STRING);
    if (n <= 0) return;
    const bool sub = lmn_dtype_bytes(dst_dt) == 0;
    if (dst_dt == src_dt) {
        size_t bytes = 0;
        (void)lmn_dense_bytes(src_dt, n, &bytes);
        memmove(dst, src, bytes);
    } else if (lmn_dtype_class(src_dt) == LMN_CLASS_COMPLEX &&
               lmn_dtype_class(dst_dt) == LMN_CLASS_COMPLEX) {
        lamina_dtype from = src_dt == LAMINA_C64 ? LAMINA_F32 : LAMINA_F64;
        (void)convert_direct(from == LAMINA_F32 ? LAMINA_F64 : LAMINA_F32, dst, from, src, 2 * n);
    } else if (dst_dt == LAMINA_F32 && n >= 512 && (LMN_DBIT(src_dt) & LMN_D_FP8)) {
        f8_to_f32_by_table(src_dt, dst, src, n);
    } else if (!convert_direct(dst_dt, dst, src_dt, src, n)) {
        convert_staged(dst_dt, dst, src_dt, src, n, saturate);
    }
    if (sub) clear_tail(dst_dt, dst, n);
}
