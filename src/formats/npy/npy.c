/*
 * The .npy format (numpy.lib.format): magic, version, a Python dict literal padded with blanks,
 * data.
 */
#include "formats/npy/npy.h"

#include "base/text.h"

#include <string.h>

#define FAIL(st, ...) lmn_fail(err, (st), __VA_ARGS__)
#define MAX_HEADER 65536u

typedef struct header {
    lamina_dtype dtype;
    bool big_endian, fortran;
    int32_t rank;
    int64_t dims[LMN_MAX_RANK];
    size_t data; /* offset of the data from the start of the file */
} header;

static const struct row {
    char kind;
    uint8_t bytes;
    lamina_dtype dtype;
} TYPES[] = {
    {'b', 1, LAMINA_BOOL}, {'i', 1, LAMINA_I8},    {'i', 2, LAMINA_I16},  {'i', 4, LAMINA_I32},
    {'i', 8, LAMINA_I64},  {'u', 1, LAMINA_U8},    {'u', 2, LAMINA_U16},  {'u', 4, LAMINA_U32},
    {'u', 8, LAMINA_U64},  {'f', 2, LAMINA_F16},   {'f', 4, LAMINA_F32},  {'f', 8, LAMINA_F64},
    {'c', 8, LAMINA_C64},  {'c', 16, LAMINA_C128}, {'V', 2, LAMINA_BF16},
};

/* ---- the dict literal -------------------------------------------------------------------------
 */

typedef struct text {
    const char *p, *end;
} text;

static bool skip(text *t, char c)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\n' || *t->p == '\t')) t->p++;
    if (t->p == t->end || *t->p != c) return false;
    t->p++;
    return true;
}

static bool quoted(text *t, lmn_span *out)
{
    char q = '\'';
    if (!skip(t, q) && !skip(t, q = '"')) return false;
    const char *end = memchr(t->p, q, (size_t)(t->end - t->p));
    if (!end) return false;
    *out = (lmn_span){(const uint8_t *)t->p, (size_t)(end - t->p)};
    t->p = end + 1;
    return true;
}

static bool number(text *t, int64_t *out)
{
    int64_t v = 0;
    int digits = 0;
    while (t->p < t->end && *t->p == ' ') t->p++;
    for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++, digits++) {
        if (digits == 18) return false;
        v = v * 10 + (*t->p - '0');
    }
    if (t->p < t->end && *t->p == 'L') t->p++; /* Python 2 wrote longs */
    *out = v;
    return digits > 0;
}

static bool shape(text *t, header *h)
{
    h->rank = 0;
    if (!skip(t, '(')) return false;
    while (!skip(t, ')')) {
        if (h->rank == LMN_MAX_RANK || !number(t, &h->dims[h->rank++])) return false;
        if (!skip(t, ',') && (t->p == t->end || *t->p != ')')) return false;
    }
    return true;
}

static bool descr(lmn_span s, header *h)
{
    h->dtype = lmn_text_is(s, "bfloat16") ? LAMINA_BF16 : LAMINA_DTYPE_NONE;
    if (h->dtype) return true;
    if (s.n < 3 || s.n > 4 || !memchr("<>|=", s.p[0], 4)) return false;
    unsigned bytes = 0;
    for (size_t i = 2; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        bytes = bytes * 10 + (unsigned)(s.p[i] - '0');
    }
    h->big_endian = s.p[0] == '>';
    for (size_t i = 0; i < LMN_COUNT(TYPES); i++)
        if (TYPES[i].kind == (char)s.p[1] && TYPES[i].bytes == bytes) h->dtype = TYPES[i].dtype;
    return h->dtype != LAMINA_DTYPE_NONE;
}

static bool truth(text *t, bool *out)
{
    while (t->p < t->end && *t->p == ' ') t->p++;
    const size_t left = (size_t)(t->end - t->p);
    *out = left >= 4 && memcmp(t->p, "True", 4) == 0;
    if (!*out && (left < 5 || memcmp(t->p, "False", 5) != 0)) return false;
    t->p += *out ? 4 : 5;
    return true;
}

static lamina_status parse_value(text *t, lmn_span key, header *h, unsigned *seen,
                                 lamina_error *err)
{
    lmn_span value;
    if (lmn_text_is(key, "descr")) {
        if (!quoted(t, &value))
            return FAIL(LAMINA_E_UNSUPPORTED, "records (structured arrays) are not supported");
        char shown[40];
        (void)lmn_format_name(shown, sizeof shown, value.p, value.n);
        if (!descr(value, h))
            return FAIL(LAMINA_E_DTYPE, "NumPy type \"%s\" is not supported: it has no tensor type",
                        shown);
        *seen |= 1;
        return LAMINA_OK;
    }
    if (lmn_text_is(key, "fortran_order")) {
        *seen |= 2;
        if (truth(t, &h->fortran)) return LAMINA_OK;
        return FAIL(LAMINA_E_PARSE, "fortran_order in the .npy header is no truth value");
    }
    if (lmn_text_is(key, "shape")) {
        *seen |= 4;
        if (shape(t, h)) return LAMINA_OK;
        return FAIL(LAMINA_E_PARSE,
                    "the shape in the .npy header is no tuple of at most 8 numbers");
    }
    return FAIL(LAMINA_E_PARSE, "the .npy header has an unknown key");
}

static lamina_status parse_dict(text *t, header *h, lamina_error *err)
{
    unsigned seen = 0;
    if (!skip(t, '{')) return FAIL(LAMINA_E_PARSE, "the .npy header is no dict");
    while (!skip(t, '}')) {
        lmn_span key;
        if (!quoted(t, &key) || !skip(t, ':'))
            return FAIL(LAMINA_E_PARSE, "the .npy header is damaged");
        LMN_TRY(parse_value(t, key, h, &seen, err));
        if (!skip(t, ',') && (t->p == t->end || *t->p != '}'))
            return FAIL(LAMINA_E_PARSE, "the .npy header is damaged");
    }
    if (seen == 7) return LAMINA_OK;
    return FAIL(LAMINA_E_PARSE, "the .npy header lacks descr, fortran_order or shape");
}

static lamina_status parse_header(const uint8_t *p, size_t n, header *h, lamina_error *err)
{
    *h = (header){0};
    if (n < 10 || memcmp(p, "\x93NUMPY", 6) != 0)
        return FAIL(LAMINA_E_PARSE, "no .npy file: the magic is missing");
    if (p[6] < 1 || p[6] > 3) return FAIL(LAMINA_E_VERSION, ".npy version %u is unknown", p[6]);
    const size_t at = p[6] == 1 ? 10 : 12;
    if (n < at) return FAIL(LAMINA_E_CORRUPT, "the .npy file is cut off");
    size_t len = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) len |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (len > MAX_HEADER)
        return FAIL(LAMINA_E_LIMIT, "the .npy header is longer than %u bytes", MAX_HEADER);
    if (len > n - at) return FAIL(LAMINA_E_CORRUPT, "the .npy file is cut off");
    h->data = at + len;
    text t = {(const char *)p + at, (const char *)p + at + len};
    return parse_dict(&t, h, err);
}

/* ---- data -------------------------------------------------------------------------------------
 */

static void swap_bytes(uint8_t *p, size_t width, int64_t n)
{
    for (int64_t i = 0; i < n; i++, p += width)
        for (size_t a = 0, b = width - 1; a < b; a++, b--) {
            const uint8_t x = p[a];
            p[a] = p[b];
            p[b] = x;
        }
}

/* First index fastest in src, last fastest in dst. */
static void from_fortran(const header *h, const uint8_t *src, uint8_t *dst, size_t width, int64_t n)
{
    int64_t strides[LMN_MAX_RANK], at[LMN_MAX_RANK] = {0}, step = 1, from = 0;
    for (int32_t d = 0; d < h->rank; d++) {
        strides[d] = step;
        step *= h->dims[d];
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(dst + (size_t)i * width, src + (size_t)from * width, width);
        for (int32_t d = h->rank - 1; d >= 0; d--) {
            from += strides[d];
            if (++at[d] < h->dims[d]) break;
            from -= strides[d] * h->dims[d];
            at[d] = 0;
        }
    }
}

static lamina_status copy_data(lamina_engine *e, const header *h, const uint8_t *src, int64_t count,
                               lamina_tensor **out, lamina_error *err)
{
    lamina_tensor *t = NULL;
    lamina_status st = lamina_tensor_create(e, h->dtype, h->rank, h->dims, &t);
    if (st != LAMINA_OK) return FAIL(st, "cannot allocate the array");
    const size_t width = lmn_dtype_bytes(h->dtype);
    const bool complex = h->dtype == LAMINA_C64 || h->dtype == LAMINA_C128;
    if (h->fortran && h->rank > 1)
        from_fortran(h, src, t->data, width, count);
    else if (t->data_bytes)
        memcpy(t->data, src, t->data_bytes);
    if (h->big_endian && width > 1)
        swap_bytes(t->data, complex ? width / 2 : width, complex ? count * 2 : count);
    uint8_t *b = t->data;
    for (int64_t i = 0; h->dtype == LAMINA_BOOL && i < count; i++) b[i] = b[i] != 0;
    *out = t;
    return LAMINA_OK;
}

lamina_status lmn_npy_read(lamina_tensor *file, size_t offset, size_t bytes, lamina_tensor **out,
                           lamina_error *err)
{
    header h;
    if (offset > file->data_bytes || bytes > file->data_bytes - offset)
        return FAIL(LAMINA_E_RANGE, "the array is not inside its file");
    const uint8_t *p = (const uint8_t *)file->data + offset;
    LMN_TRY(parse_header(p, bytes, &h, err));
    int64_t count;
    size_t need;
    if (!lmn_dims_count(h.rank, h.dims, &count) || !lmn_dense_bytes(h.dtype, count, &need))
        return FAIL(LAMINA_E_RANGE, "the product of the dimensions is too large");
    if (need > bytes - h.data)
        return FAIL(LAMINA_E_CORRUPT, "the shape needs %zu bytes of data, the file has %zu", need,
                    bytes - h.data);
    const uint8_t *data = p + h.data;
    const size_t width = lmn_dtype_bytes(h.dtype);
    const bool as_is = !(h.big_endian && width > 1) && !(h.fortran && h.rank > 1);
    if (!as_is || h.dtype == LAMINA_BOOL || count == 0 || (uintptr_t)data % width)
        return copy_data(file->engine, &h, data, count, out, err);
    lamina_status st = lmn_tensor_view(file, h.rank, h.dims, offset + h.data, h.dtype, out);
    return st == LAMINA_OK ? st : FAIL(st, "cannot make a view of the file");
}

lamina_status lmn_npy_write(const lamina_tensor *t, lmn_strbuf *out)
{
    const struct row *row = NULL;
    for (size_t i = 0; i < LMN_COUNT(TYPES); i++)
        if (TYPES[i].dtype == t->dtype) row = &TYPES[i];
    if (!row || t->kind != LAMINA_KIND_TENSOR) return LAMINA_E_DTYPE;
    if (t->strided) return LAMINA_E_UNSUPPORTED;
    char dict[512];
    size_t n =
        lmn_format(dict, sizeof dict, "{'descr': '%c%c%u', 'fortran_order': False, 'shape': (",
                   row->bytes == 1 ? '|' : '<', row->kind, row->bytes);
    for (int32_t i = 0; i < t->rank; i++)
        n += lmn_format(dict + n, sizeof dict - n, "%lld%s", (long long)t->dims[i],
                        t->rank == 1      ? ","
                        : i + 1 < t->rank ? ", "
                                          : "");
    n += lmn_format(dict + n, sizeof dict - n, "), }");
    while ((10 + n + 1) % 64) dict[n++] = ' '; /* data begin at a multiple of 64 */
    dict[n++] = '\n';
    const uint8_t magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)n, (uint8_t)(n >> 8)};
    lmn_strbuf_add(out, magic, sizeof magic);
    lmn_strbuf_add(out, dict, n);
    if (t->data_bytes) lmn_strbuf_add(out, t->data, t->data_bytes);
    return out->status;
}
