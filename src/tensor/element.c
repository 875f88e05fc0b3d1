/*
 * One element in, one element out, for code that is not hot: reference evaluation, tests, printing.
 * The types that models use have their own case; the rest goes through lmn_convert.
 */
#include "tensor/tensor.h"

/* Address of dense element i; for sub-byte types of the packed data. */
static const void *element_at(const lamina_tensor *t, int64_t i)
{
    const size_t elem = lmn_dtype_bytes(t->dtype);
    int64_t offset = i;
    if (t->strided) {
        offset = 0;
        for (int32_t d = t->rank - 1; d >= 0; d--) {
            offset += i % t->dims[d] * t->strides[d];
            i /= t->dims[d];
        }
    }
    return (const uint8_t *)t->data + offset * (int64_t)elem;
}

static bool is_sub_byte(lamina_dtype dt)
{
    return lmn_dtype_bytes(dt) == 0;
}
static bool is_float(lamina_dtype dt)
{
    return lmn_dtype_class(dt) == LMN_CLASS_FLOAT || lmn_dtype_class(dt) == LMN_CLASS_COMPLEX;
}

double lmn_get_f64(const lamina_tensor *t, int64_t i)
{
    if (is_sub_byte(t->dtype)) {
        int32_t v = lmn_sub_get(t->dtype, t->data, i);
        return t->dtype == LAMINA_F4E2M1 ? (double)lmn_f4_to_f32((uint8_t)v) : v;
    }
    const void *p = element_at(t, i);
    switch (t->dtype) {
    case LAMINA_F32: return (double)*(const float *)p;
    case LAMINA_F64: return *(const double *)p;
    case LAMINA_F16: return (double)lmn_f16_to_f32(*(const uint16_t *)p);
    case LAMINA_BF16: return (double)lmn_bf16_to_f32(*(const uint16_t *)p);
    case LAMINA_I32: return *(const int32_t *)p;
    case LAMINA_I64: return (double)*(const int64_t *)p;
    case LAMINA_U8: return *(const uint8_t *)p;
    case LAMINA_I8: return *(const int8_t *)p;
    default: break;
    }
    double v;
    lmn_convert(LAMINA_F64, &v, t->dtype, p, 1, true);
    return v;
}

int64_t lmn_get_i64(const lamina_tensor *t, int64_t i)
{
    if (is_float(t->dtype)) {
        double d = lmn_get_f64(t, i);
        if (d >= 0x1p63) return INT64_MAX;
        return d == d ? lmn_f64_to_i64(d) : 0;
    }
    if (is_sub_byte(t->dtype)) return lmn_sub_get(t->dtype, t->data, i);
    const void *p = element_at(t, i);
    switch (t->dtype) {
    case LAMINA_I64: return *(const int64_t *)p;
    case LAMINA_I32: return *(const int32_t *)p;
    case LAMINA_U8: return *(const uint8_t *)p;
    case LAMINA_I8: return *(const int8_t *)p;
    default: break;
    }
    int64_t v;
    lmn_convert(LAMINA_I64, &v, t->dtype, p, 1, true);
    return v;
}

uint64_t lmn_get_u64(const lamina_tensor *t, int64_t i)
{
    if (!is_float(t->dtype)) return (uint64_t)lmn_get_i64(t, i);
    double d = lmn_get_f64(t, i);
    if (d >= 0x1p64) return UINT64_MAX;
    return d > 0 ? lmn_f64_to_u64(d) : 0;
}

/* d clamped into the range of an integer type; NaN becomes 0. Bits of the result as i64. */
static int64_t clamp_to(lamina_dtype dt, double d)
{
    if (d != d) return 0;
    const int bits = (int)lamina_dtype_bits(dt);
    if (lmn_dtype_class(dt) == LMN_CLASS_UINT) {
        double top = bits == 64 ? 0x1p64 : (double)((uint64_t)1 << bits);
        if (d >= top) return (int64_t)(UINT64_MAX >> (64 - bits));
        return d > 0 ? (int64_t)lmn_f64_to_u64(d) : 0;
    }
    int64_t high = INT64_MAX >> (64 - bits), low = -high - 1;
    if (d >= (double)high) return bits == 64 && d < 0x1p63 ? (int64_t)d : high;
    return d <= (double)low ? low : (int64_t)d;
}

/* Store v of a stage type (F64 or I64) as element i. */
static void put(lamina_tensor *t, int64_t i, lamina_dtype from, const void *v)
{
    if (is_sub_byte(t->dtype)) {
        uint8_t packed = 0;
        lmn_convert(t->dtype, &packed, from, v, 1, true);
        lmn_sub_set(t->dtype, t->data, i, packed);
        return;
    }
    lmn_convert(t->dtype, (void *)(uintptr_t)element_at(t, i), from, v, 1, true);
}

void lmn_set_f64(lamina_tensor *t, int64_t i, double v)
{
    if (t->dtype == LAMINA_F32 && !t->strided) {
        ((float *)t->data)[i] = (float)v;
    } else if (is_float(t->dtype) || t->dtype == LAMINA_BOOL) {
        put(t, i, LAMINA_F64, &v);
    } else {
        int64_t n = clamp_to(t->dtype, v);
        put(t, i, LAMINA_I64, &n);
    }
}

void lmn_set_i64(lamina_tensor *t, int64_t i, int64_t v)
{
    put(t, i, LAMINA_I64, &v);
}
