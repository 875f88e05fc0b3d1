/*
 * Reading elements. Short floats are decoded from their bits by one routine with a row of
 * parameters a type; types below a byte lie packed, first element in the low bits.
 */
#include "cli_value.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

lamina_kind cli_port_kind(const lamina_port *p)
{
    return p->optional && !p->has_default ? LAMINA_KIND_NONE : p->kind;
}

/* Bits of element i of a type of at most 64 bits. */
static uint64_t bits_of(const lamina_tensor *t, int64_t i)
{
    const uint32_t width = lamina_dtype_bits(lamina_tensor_dtype(t));
    const uint8_t *p = lamina_tensor_data(t);
    if (width < 8) {
        const uint64_t at = (uint64_t)i * width;
        return (uint64_t)(p[at / 8] >> (at % 8)) & ((1u << width) - 1);
    }
    uint64_t v = 0;
    memcpy(&v, p + (size_t)i * (width / 8), width / 8); /* little endian, as all we run on */
    return v;
}

/* How a short float is laid out: exponent and mantissa bits, bias, what its top codes mean. */
typedef struct short_float {
    lamina_dtype dtype;
    int exponent, mantissa, bias;
    enum { IEEE, FN, FNUZ, NO_NAN } top;
} short_float;

static const short_float SHORT[] = {
    {LAMINA_F16, 5, 10, 15, IEEE},    {LAMINA_BF16, 8, 7, 127, IEEE},
    {LAMINA_F8E4M3FN, 4, 3, 7, FN},   {LAMINA_F8E4M3FNUZ, 4, 3, 8, FNUZ},
    {LAMINA_F8E5M2, 5, 2, 15, IEEE},  {LAMINA_F8E5M2FNUZ, 5, 2, 16, FNUZ},
    {LAMINA_F4E2M1, 2, 1, 1, NO_NAN},
};

static const short_float *short_of(lamina_dtype dt)
{
    for (size_t i = 0; i < sizeof SHORT / sizeof *SHORT; i++)
        if (SHORT[i].dtype == dt) return &SHORT[i];
    return NULL;
}

static double decode_short(const short_float *f, uint64_t bits)
{
    const int m_bits = f->mantissa, e_max = (1 << f->exponent) - 1;
    const int m = (int)(bits & ((1u << m_bits) - 1)), e = (int)(bits >> m_bits) & e_max;
    const bool minus = (bits >> (m_bits + f->exponent)) & 1;
    double v = e ? ldexp(1 + ldexp(m, -m_bits), e - f->bias) : ldexp(m, 1 - f->bias - m_bits);
    if (f->top == IEEE && e == e_max) v = m ? (double)NAN : (double)INFINITY;
    if (f->top == FN && e == e_max && m == (1 << m_bits) - 1) v = (double)NAN;
    if (f->top == FNUZ && minus && !e && !m) v = (double)NAN;
    return minus ? -v : v;
}

static int64_t sign_extend(uint64_t v, uint32_t width)
{
    const uint64_t top = (uint64_t)1 << (width - 1);
    return (int64_t)((v ^ top) - top);
}

static bool is_signed(lamina_dtype dt)
{
    return dt == LAMINA_I8 || dt == LAMINA_I16 || dt == LAMINA_I32 || dt == LAMINA_I64 ||
           dt == LAMINA_I4 || dt == LAMINA_I2;
}

static bool is_float(lamina_dtype dt)
{
    return dt == LAMINA_F32 || dt == LAMINA_F64 || dt == LAMINA_C64 || dt == LAMINA_C128 ||
           dt == LAMINA_F8E8M0 || short_of(dt);
}

double cli_element(const lamina_tensor *t, int64_t i, double *im)
{
    const void *d = lamina_tensor_data(t);
    const lamina_dtype dt = lamina_tensor_dtype(t);
    if (im) *im = 0;
    if (!d) return 0;
    switch (dt) {
    case LAMINA_F32: return (double)((const float *)d)[i];
    case LAMINA_F64: return ((const double *)d)[i];
    case LAMINA_C64:
        if (im) *im = (double)((const float *)d)[2 * i + 1];
        return (double)((const float *)d)[2 * i];
    case LAMINA_C128:
        if (im) *im = ((const double *)d)[2 * i + 1];
        return ((const double *)d)[2 * i];
    default: break;
    }
    const uint64_t bits = bits_of(t, i);
    if (short_of(dt)) return decode_short(short_of(dt), bits);
    if (dt == LAMINA_F8E8M0) return bits == 255 ? (double)NAN : ldexp(1, (int)bits - 127);
    return is_signed(dt) ? (double)sign_extend(bits, lamina_dtype_bits(dt)) : (double)bits;
}

/* ---- text -------------------------------------------------------------------------------------
 */

void cli_value_type(const lamina_tensor *t, char *buf, size_t cap)
{
    const char *name = lamina_dtype_name(lamina_tensor_dtype(t));
    if (lamina_tensor_kind(t) == LAMINA_KIND_NONE) {
        (void)snprintf(buf, cap, "none");
        return;
    }
    if (lamina_tensor_kind(t) == LAMINA_KIND_SEQUENCE) {
        const lamina_tensor *keys = lamina_map_keys(lamina_sequence_item(t, 0));
        (void)snprintf(buf, cap, "sequence of %" PRId64 " %s%s%s%s", lamina_tensor_count(t),
                       keys ? "maps of " : "",
                       keys ? lamina_dtype_name(lamina_tensor_dtype(keys)) : "", keys ? " to " : "",
                       name);
        return;
    }
    if (lamina_tensor_kind(t) == LAMINA_KIND_MAP) {
        (void)snprintf(buf, cap, "map of %" PRId64 " %s to %s", lamina_tensor_count(t),
                       lamina_dtype_name(lamina_tensor_dtype(lamina_map_keys(t))), name);
        return;
    }
    int n = snprintf(buf, cap, "%s[", name);
    for (int32_t k = 0; k < lamina_tensor_rank(t) && n > 0 && (size_t)n < cap; k++)
        n += snprintf(buf + n, cap - (size_t)n, "%s%" PRId64, k ? "," : "",
                      lamina_tensor_dims(t)[k]);
    if (n > 0 && (size_t)n < cap) (void)snprintf(buf + n, cap - (size_t)n, "]");
}

static void float_text(double v, bool wide, char *buf, size_t cap)
{
    (void)snprintf(buf, cap, wide ? "%.17g" : "%.9g", v);
}

void cli_element_text(const lamina_tensor *t, int64_t i, char *buf, size_t cap)
{
    const lamina_dtype dt = lamina_tensor_dtype(t);
    const bool wide = dt == LAMINA_F64 || dt == LAMINA_C128;
    double im;
    if (dt == LAMINA_STRING) {
        const char *s = lamina_tensor_string(t, i, NULL);
        (void)snprintf(buf, cap, "\"%.80s\"", s ? s : "");
        return;
    }
    const double re = cli_element(t, i, &im);
    if (dt == LAMINA_C64 || dt == LAMINA_C128) {
        char a[32], b[32];
        float_text(re, wide, a, sizeof a);
        float_text(im, wide, b, sizeof b);
        (void)snprintf(buf, cap, "(%s%s%sj)", a, im < 0 ? "" : "+", b);
    } else if (is_float(dt)) {
        float_text(re, wide, buf, cap);
    } else if (dt == LAMINA_BOOL) {
        (void)snprintf(buf, cap, "%s", re != 0 ? "true" : "false");
    } else if (is_signed(dt)) {
        (void)snprintf(buf, cap, "%" PRId64, sign_extend(bits_of(t, i), lamina_dtype_bits(dt)));
    } else {
        (void)snprintf(buf, cap, "%" PRIu64, bits_of(t, i));
    }
}

static void number_json(FILE *f, double v, bool wide)
{
    char text[32];
    float_text(v, wide, text, sizeof text);
    if (isfinite(v))
        (void)fputs(text, f);
    else
        cli_json_number(f, "", v);
}

static void element_json(FILE *f, const lamina_tensor *t, int64_t i)
{
    const lamina_dtype dt = lamina_tensor_dtype(t);
    const bool wide = dt == LAMINA_F64 || dt == LAMINA_C128;
    double im;
    char text[64];
    if (dt == LAMINA_STRING) {
        const char *s = lamina_tensor_string(t, i, NULL);
        cli_json_string(f, s ? s : "");
    } else if (dt == LAMINA_C64 || dt == LAMINA_C128) {
        const double re = cli_element(t, i, &im);
        (void)fputc('[', f);
        number_json(f, re, wide);
        (void)fputs(", ", f);
        number_json(f, im, wide);
        (void)fputc(']', f);
    } else if (is_float(dt)) {
        number_json(f, cli_element(t, i, NULL), wide);
    } else {
        cli_element_text(t, i, text, sizeof text);
        (void)fputs(text, f);
    }
}

/* An object; integers become strings, as JSON has no other keys. */
static void map_json(FILE *f, const lamina_tensor *map)
{
    const lamina_tensor *keys = lamina_map_keys(map), *values = lamina_map_values(map);
    char text[32];
    (void)fputc('{', f);
    for (int64_t i = 0; i < lamina_tensor_count(keys); i++) {
        const char *key = lamina_tensor_string(keys, i, NULL);
        if (i) (void)fputs(", ", f);
        if (!key) cli_element_text(keys, i, text, sizeof text);
        cli_json_string(f, key ? key : text);
        (void)fputs(": ", f);
        element_json(f, values, i);
    }
    (void)fputc('}', f);
}

void cli_value_json(FILE *f, const lamina_tensor *t)
{
    if (lamina_tensor_kind(t) == LAMINA_KIND_NONE) {
        (void)fputs("null", f);
        return;
    }
    if (lamina_tensor_kind(t) == LAMINA_KIND_MAP) {
        map_json(f, t);
        return;
    }
    const bool items = lamina_tensor_kind(t) == LAMINA_KIND_SEQUENCE;
    (void)fputc('[', f);
    for (int64_t i = 0; i < lamina_tensor_count(t); i++) {
        if (i) (void)fputs(", ", f);
        if (!items) {
            element_json(f, t, i);
            continue;
        }
        const lamina_tensor *item = lamina_sequence_item(t, i);
        if (lamina_tensor_kind(item) == LAMINA_KIND_MAP) {
            map_json(f, item);
            continue;
        }
        (void)fputs("{\"shape\": [", f);
        for (int32_t k = 0; k < lamina_tensor_rank(item); k++)
            (void)fprintf(f, "%s%" PRId64, k ? ", " : "", lamina_tensor_dims(item)[k]);
        (void)fputs("], \"values\": ", f);
        cli_value_json(f, item);
        (void)fputc('}', f);
    }
    (void)fputc(']', f);
}
