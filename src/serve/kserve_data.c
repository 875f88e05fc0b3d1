/*
 * "data" of a JSON tensor straight into its elements: no token a number. The shape is known, so
 * every bracket and comma is where it must be or the data are ragged; what is allocated is bounded
 * by the text that is left, since an element takes two bytes of it at least.
 */
#include "serve/kserve_int.h"

#include "base/number.h"
#include "tensor/dtype.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef enum why { FINE, VALUE, FEWER, MORE, RAGGED, CUT } why;

typedef struct reader {
    const uint8_t *end;
    lmn_infer_tensor *t;
    lmn_arena *arena;
    uint8_t *dst;
    size_t elem_bytes;
    int64_t done; /* elements read */
    why why;
    const uint8_t *at; /* where it went wrong */
    lamina_error string_err;
} reader;

static inline const uint8_t *blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

static const uint8_t *stop(reader *r, why why, const uint8_t *at)
{
    r->why = why;
    r->at = at;
    return NULL;
}

static inline const uint8_t *integer(const uint8_t *p, const uint8_t *end, int64_t lo, int64_t hi,
                                     int64_t *out)
{
    p = lmn_i64_read(p, end, out);
    return p && *out >= lo && *out <= hi ? p : NULL;
}

static const uint8_t *truth(const uint8_t *p, const uint8_t *end, uint8_t *dst)
{
    if (end - p >= 4 && memcmp(p, "true", 4) == 0) {
        *dst = 1;
        return p + 4;
    }
    *dst = 0;
    return end - p >= 5 && memcmp(p, "false", 5) == 0 ? p + 5 : NULL;
}

static const uint8_t *half(const uint8_t *p, const uint8_t *end, uint8_t *dst)
{
    double v;
    p = lmn_f64_read(p, end, &v);
    if (!p) return NULL;
    const uint16_t h = lmn_f64_to_f16(v);
    memcpy(dst, &h, 2);
    return (h & 0x7c00) == 0x7c00 ? NULL : p;
}

static const uint8_t *string(reader *r, const uint8_t *p, uint8_t *dst)
{
    lmn_json j;
    lmn_json_token t;
    if (*p != '"') return NULL;
    lmn_json_init(&j, (lmn_span){p, (size_t)(r->end - p)}, &r->string_err);
    if (lmn_json_next(&j, &t) != LMN_JSON_STRING) return NULL;
    if (t.escaped) {
        uint8_t *text = lmn_arena_bump(r->arena, t.text.n, 1);
        if (!text) return NULL;
        t.text = (lmn_span){text, lmn_json_string(&t, text)};
    }
    memcpy(dst, &t.text, sizeof t.text);
    r->t->bytes += t.text.n;
    return j.p;
}

/* One element, p < end; NULL: it is none of that type. `dt` is a constant where this is inlined. */
static inline const uint8_t *element(reader *r, lamina_dtype dt, size_t size, const uint8_t *p,
                                     uint8_t *dst)
{
    const uint8_t *end = r->end;
    int64_t v = 0;
    switch (dt) {
    case LAMINA_F32: {
        float f;
        p = lmn_f32_read(p, end, &f);
        if (!p || !(fabsf(f) <= FLT_MAX)) return NULL;
        memcpy(dst, &f, 4);
        return p;
    }
    case LAMINA_F64: {
        double d;
        p = lmn_f64_read(p, end, &d);
        if (!p || !(fabs(d) <= DBL_MAX)) return NULL;
        memcpy(dst, &d, 8);
        return p;
    }
    case LAMINA_F16: return half(p, end, dst);
    case LAMINA_BOOL: return truth(p, end, dst);
    case LAMINA_STRING: return string(r, p, dst);
    case LAMINA_I8: p = integer(p, end, INT8_MIN, INT8_MAX, &v); break;
    case LAMINA_U8: p = integer(p, end, 0, UINT8_MAX, &v); break;
    case LAMINA_I16: p = integer(p, end, INT16_MIN, INT16_MAX, &v); break;
    case LAMINA_U16: p = integer(p, end, 0, UINT16_MAX, &v); break;
    case LAMINA_I32: p = integer(p, end, INT32_MIN, INT32_MAX, &v); break;
    case LAMINA_U32: p = integer(p, end, 0, UINT32_MAX, &v); break;
    case LAMINA_I64: p = integer(p, end, INT64_MIN, INT64_MAX, &v); break;
    case LAMINA_U64: {
        uint64_t u;
        p = lmn_u64_read(p, end, &u);
        if (p) memcpy(dst, &u, 8);
        return p;
    }
    default: return NULL;
    }
    if (p) memcpy(dst, &v, size); /* the low bytes come first */
    return p;
}

static inline bool ends_element(uint8_t c)
{
    return c == ',' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* n elements and the closing bracket; p is behind the opening one. */
static inline const uint8_t *row_of(reader *r, lamina_dtype dt, size_t size, const uint8_t *p,
                                    int64_t n)
{
    const uint8_t *end = r->end;
    const int64_t before = r->done;
    uint8_t *dst = r->dst + (size_t)before * size;
    p = blanks(p, end);
    for (int64_t i = 0; i < n; i++, dst += size) {
        if (dt == LAMINA_F32) { /* most of them, but the last */
            size_t quick;
            p = lmn_f32_read_row(p, end, (float *)(void *)dst, (size_t)(n - i - 1), &quick);
            p = blanks(p, end);
            i += (int64_t)quick;
            dst += quick * size;
        }
        r->done = before + i;
        if (p == end) return stop(r, CUT, p);
        if (*p == ']') return stop(r, FEWER, p);
        const uint8_t *next = element(r, dt, size, p, dst);
        if (LMN_UNLIKELY(!next || (next < end && !ends_element(*next)))) return stop(r, VALUE, p);
        p = blanks(next, end);
        if (i + 1 == n) break;
        if (p == end) return stop(r, CUT, p);
        if (LMN_UNLIKELY(*p != ',')) {
            r->done++;
            return stop(r, FEWER, p);
        }
        p = blanks(p + 1, end);
    }
    r->done = before + n;
    if (p == end) return stop(r, CUT, p);
    return *p == ']' ? p + 1 : stop(r, MORE, p);
}

static const uint8_t *row(reader *r, const uint8_t *p, int64_t n)
{
    switch (r->t->dtype) {
    case LAMINA_F32: return row_of(r, LAMINA_F32, 4, p, n);
    case LAMINA_F64: return row_of(r, LAMINA_F64, 8, p, n);
    case LAMINA_I64: return row_of(r, LAMINA_I64, 8, p, n);
    case LAMINA_I32: return row_of(r, LAMINA_I32, 4, p, n);
    case LAMINA_U8: return row_of(r, LAMINA_U8, 1, p, n);
    default: return row_of(r, r->t->dtype, r->elem_bytes, p, n);
    }
}

/* The array of `level`, p at its bracket. The depth is that of the shape, at most LAMINA_MAX_RANK.
 */
static const uint8_t *nested(reader *r, const uint8_t *p, int32_t level)
{
    p = blanks(p, r->end);
    if (p == r->end) return stop(r, CUT, p);
    if (*p != '[') return stop(r, RAGGED, p);
    if (level == r->t->rank - 1) return row(r, p + 1, r->t->dims[level]);
    const int64_t n = r->t->dims[level];
    p = blanks(p + 1, r->end);
    for (int64_t i = 0; i < n; i++) {
        if (i > 0) {
            p = blanks(p, r->end);
            if (p == r->end) return stop(r, CUT, p);
            if (*p != ',') return stop(r, RAGGED, p);
            p++;
        }
        p = nested(r, p, level + 1);
        if (!p) return NULL;
    }
    p = blanks(p, r->end);
    if (p == r->end) return stop(r, CUT, p);
    return *p == ']' ? p + 1 : stop(r, RAGGED, p);
}

/* The sentence for an element that is none of its type. */
static void wrong_value(reader *r, const char *name, lamina_error *err)
{
    char text[48];
    const uint8_t *p = r->at;
    double v;
    const bool number = lmn_f64_read(p, r->end, &v) != NULL;
    size_t n = 0;
    while (p + n < r->end && n < 24 && (n == 0 || !ends_element(p[n]))) n++;
    (void)lmn_format_name(text, sizeof text, p, n);
    if (r->t->dtype == LAMINA_STRING && r->string_err.msg[0])
        (void)lmn_fail(err, LAMINA_E_INVALID, "input \"%s\": element %lld: %s", name,
                       (long long)r->done, r->string_err.msg);
    else
        (void)lmn_fail(err, LAMINA_E_INVALID,
                       "input \"%s\": element %lld is \"%s\", which is %s %s", name,
                       (long long)r->done, text,
                       number ? "out of the range, or not of the kind, of" : "no value of",
                       lmn_kserve_type(r->t->dtype));
}

static void explain(reader *r, const char *name, lamina_error *err)
{
    const char *what = "its data are nested otherwise than its shape";
    switch (r->why) {
    case VALUE: wrong_value(r, name, err); return;
    case FEWER: what = "its data have fewer elements than its shape, or are ragged"; break;
    case MORE: what = "its data have more elements than its shape, or are ragged"; break;
    case CUT: what = "the text ends within its data"; break;
    default: break;
    }
    (void)lmn_fail(err, r->why == CUT ? LAMINA_E_PARSE : LAMINA_E_SHAPE,
                   "input \"%s\": %s (at element %lld)", name, what, (long long)r->done);
}

const uint8_t *lmn_kserve_data(const uint8_t *p, const uint8_t *end, lmn_infer_tensor *t,
                               const char *name, lmn_arena *arena, lamina_error *err)
{
    reader r = {.end = end, .t = t, .arena = arena};
    int64_t count;
    const bool text = t->dtype == LAMINA_STRING;
    r.elem_bytes = text ? sizeof(lmn_span) : lmn_dtype_bytes(t->dtype);
    if (t->dtype == LAMINA_BF16) {
        (void)lmn_fail(err, LAMINA_E_UNSUPPORTED,
                       "input \"%s\": BF16 has no form in JSON: send it as binary", name);
        return NULL;
    }
    if (p == end || *p != '[') {
        (void)lmn_fail(err, LAMINA_E_INVALID, "input \"%s\": \"data\" must be an array", name);
        return NULL;
    }
    if (!lmn_kserve_count(t->dims, t->rank, r.elem_bytes, &count) || count > (end - p) / 2 + 1) {
        (void)lmn_fail(err, LAMINA_E_SHAPE,
                       "input \"%s\": its data have fewer elements than its shape", name);
        return NULL;
    }
    t->bytes = 0;
    t->data = r.dst = lmn_kserve_room(t, count, arena);
    if (!r.dst) {
        (void)lmn_fail(err, LAMINA_E_NOMEM, "input \"%s\": no memory for its data", name);
        return NULL;
    }
    const uint8_t *first = blanks(p + 1, end);
    const bool deep = first < end && *first == '[' && t->rank > 1;
    p = deep ? nested(&r, p, 0) : row(&r, p + 1, count);
    if (!p && arena->failed)
        (void)lmn_fail(err, LAMINA_E_NOMEM, "input \"%s\": no memory for its data", name);
    else if (!p)
        explain(&r, name, err);
    return p;
}
