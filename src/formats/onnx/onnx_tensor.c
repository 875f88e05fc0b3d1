/*
 * TensorProto: raw bytes by view, typed fields by conversion, strings by copy, sparse by scatter.
 */
#include "formats/onnx/onnx_tensor.h"

#include <string.h>

#define FAIL(st, ...) lmn_fail(err, (st), __VA_ARGS__)

lamina_status lmn_onnx_limits(const lamina_load_opts *in, lamina_load_opts *out)
{
    LMN_TRY(lmn_opts_read(out, sizeof *out, in));
    if (out->reserved) return LAMINA_E_INVALID;
    out->size = sizeof *out;
    if (!out->max_depth) out->max_depth = 64;
    if (out->max_depth > 256) out->max_depth = 256; /* what our own stack bears */
    if (!out->max_nodes) out->max_nodes = 1000000;
    if (!out->max_values) out->max_values = 4000000;
    if (!out->max_string) out->max_string = 1u << 24;
    if (!out->max_elems) out->max_elems = (uint64_t)1 << 40;
    if (!out->max_const_bytes) out->max_const_bytes = (uint64_t)1 << 32;
    return LAMINA_OK;
}

void lmn_onnx_store_init(lmn_onnx_store *s, lamina_engine *e, const lamina_load_opts *limits)
{
    *s = (lmn_onnx_store){.engine = e, .limits = limits, .heap_left = limits->max_const_bytes};
    lmn_arena_init(&s->arena, &e->alloc, 1u << 24);
    lmn_map_init(&s->files, &e->alloc);
}

void lmn_onnx_store_finish(lmn_onnx_store *s)
{
    for (size_t i = 0; i < s->files.cap; i++)
        if (s->files.slots[i].key)
            lamina_tensor_unref((lamina_tensor *)(uintptr_t)s->files.slots[i].value);
    lmn_map_finish(&s->files);
    lmn_arena_finish(&s->arena);
    lamina_tensor_unref(s->file);
    *s = (lmn_onnx_store){0};
}

/* Type, rank, count and dense bytes of t, all within bounds. */
static lamina_status sizes(const lmn_onnx_store *s, const lmn_onnx_tensor *t, int64_t *count,
                           size_t *bytes, lamina_error *err)
{
    if (!lmn_dtype_valid(t->dtype))
        return FAIL(LAMINA_E_DTYPE, "element type %d is unknown", t->dtype);
    if (t->n_dims > LMN_MAX_RANK)
        return FAIL(LAMINA_E_RANGE, "rank %zu is more than the %d supported", t->n_dims,
                    LMN_MAX_RANK);
    if (!lmn_dims_count((int32_t)t->n_dims, t->dims, count) ||
        !lmn_dense_bytes(t->dtype, *count, bytes))
        return FAIL(LAMINA_E_RANGE, "the dimensions are negative or their product is too large");
    if ((uint64_t)*count > s->limits->max_elems)
        return FAIL(LAMINA_E_LIMIT, "%lld elements are more than max_elems allows",
                    (long long)*count);
    return LAMINA_OK;
}

lamina_status lmn_onnx_heap(lmn_onnx_store *s, const lmn_onnx_tensor *t, lamina_tensor **out,
                            lamina_error *err)
{
    int64_t count;
    size_t bytes;
    LMN_TRY(sizes(s, t, &count, &bytes, err));
    if (bytes > s->heap_left)
        return FAIL(LAMINA_E_LIMIT, "constants need more than max_const_bytes of memory");
    s->heap_left -= bytes;
    lamina_status st = lamina_tensor_create(s->engine, t->dtype, (int32_t)t->n_dims, t->dims, out);
    return st == LAMINA_OK ? st : FAIL(st, "cannot allocate %zu bytes for a constant", bytes);
}

/* Bools must be 0 or 1 for the kernels; other bytes mean true. */
static bool bools_clean(const uint8_t *p, size_t n)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < n; i++) seen |= p[i];
    return seen <= 1;
}

lamina_status lmn_onnx_view(lmn_onnx_store *s, lamina_tensor *file, size_t offset, size_t bytes,
                            const lmn_onnx_tensor *t, lamina_tensor **out, lamina_error *err)
{
    const uint8_t *p = (const uint8_t *)file->data + offset;
    size_t align = lmn_dtype_bytes(t->dtype);
    if (align == 0) align = 1;
    const bool clean = t->dtype != LAMINA_BOOL || bools_clean(p, bytes);
    const bool far = t->dtype == LAMINA_F32 && bytes >= LMN_ONNX_FAR_BYTES;
    if (((uintptr_t)p % align == 0 || far) && clean) {
        lamina_status st =
            lmn_tensor_view(file, (int32_t)t->n_dims, t->dims, offset, t->dtype, out);
        return st == LAMINA_OK ? st : FAIL(st, "cannot make a view of the file");
    }
    LMN_TRY(lmn_onnx_heap(s, t, out, err));
    memcpy((*out)->data, p, bytes);
    if (!clean) {
        uint8_t *b = (*out)->data;
        for (size_t i = 0; i < bytes; i++) b[i] = b[i] != 0;
    }
    return LAMINA_OK;
}

/* Where the values of a type live if not in raw_data (onnx.proto, TensorProto). */
static uint32_t typed_field(lamina_dtype dt, uint8_t *wire)
{
    *wire = LMN_PB_VARINT;
    switch (dt) {
    case LAMINA_F32:
    case LAMINA_C64: *wire = LMN_PB_FIXED32; return 4;
    case LAMINA_F64:
    case LAMINA_C128: *wire = LMN_PB_FIXED64; return 10;
    case LAMINA_I64: return 7;
    case LAMINA_U32:
    case LAMINA_U64: return 11;
    case LAMINA_STRING: return 6;
    default: return 5;
    }
}

/* Entries that the typed field must hold: complex numbers take two, packed types one a byte. */
static uint64_t typed_entries(lamina_dtype dt, int64_t count, size_t bytes)
{
    if (dt == LAMINA_C64 || dt == LAMINA_C128) return (uint64_t)count * 2;
    return lmn_dtype_bytes(dt) == 0 ? bytes : (uint64_t)count;
}

static void put(uint8_t *dst, size_t width, uint64_t v)
{
    memcpy(dst, &v, width);
}

/* Copy the entries of the field into dst, `width` bytes each; their number was checked before. */
static void typed_copy(lmn_span body, uint32_t num, uint8_t wire, size_t width, uint8_t *dst)
{
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != num) continue;
        if (f.wire != LMN_PB_BYTES) {
            put(dst, width, f.u);
            dst += width;
        } else if (wire != LMN_PB_VARINT) {
            if (f.s.n) memcpy(dst, f.s.p, f.s.n);
            dst += f.s.n;
        } else {
            lmn_pb p = lmn_pb_of(f.s);
            for (uint64_t v; lmn_pb_varint(&p, &v); dst += width) put(dst, width, v);
        }
    }
}

static lamina_status make_strings(lmn_onnx_store *s, const lmn_onnx_tensor *t, int64_t count,
                                  lamina_tensor **out, lamina_error *err)
{
    int64_t have = 0;
    lmn_pb c = lmn_pb_of(t->body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != 6) continue;
        if (f.s.n > s->limits->max_string)
            return FAIL(LAMINA_E_LIMIT, "a string element is longer than max_string");
        have++;
    }
    if (have != count)
        return FAIL(LAMINA_E_CORRUPT, "holds %lld strings where its dimensions say %lld",
                    (long long)have, (long long)count);
    lamina_tensor *v;
    LMN_TRY(lmn_onnx_heap(s, t, &v, err));
    int64_t i = 0;
    c = lmn_pb_of(t->body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != 6) continue;
        lamina_status st = lamina_tensor_set_string(v, i++, (const char *)f.s.p, f.s.n);
        if (st != LAMINA_OK) {
            lamina_tensor_unref(v);
            return FAIL(st, "out of memory");
        }
    }
    *out = v;
    return LAMINA_OK;
}

static lamina_status make_typed(lmn_onnx_store *s, const lmn_onnx_tensor *t, int64_t count,
                                size_t bytes, lamina_tensor **out, lamina_error *err)
{
    uint8_t wire;
    const uint32_t num = typed_field(t->dtype, &wire);
    const uint64_t want = typed_entries(t->dtype, count, bytes);
    size_t have;
    if (!lmn_onnx_numbers(t->body, num, wire, NULL, 0, &have))
        return FAIL(LAMINA_E_CORRUPT, "its list of values is damaged");
    if (have != want)
        return FAIL(LAMINA_E_CORRUPT, "holds %zu values where its dimensions say %llu", have,
                    (unsigned long long)want);
    LMN_TRY(lmn_onnx_heap(s, t, out, err));
    if (bytes) typed_copy(t->body, num, wire, bytes / (size_t)want, (*out)->data);
    if (t->dtype == LAMINA_BOOL) {
        uint8_t *b = (*out)->data;
        for (size_t i = 0; i < bytes; i++) b[i] = b[i] != 0;
    }
    return LAMINA_OK;
}

static lamina_status make_raw(lmn_onnx_store *s, const lmn_onnx_tensor *t, size_t bytes,
                              lamina_tensor **out, lamina_error *err)
{
    if (t->raw.n != bytes)
        return FAIL(LAMINA_E_CORRUPT, "raw_data has %zu bytes where type and dimensions say %zu",
                    t->raw.n, bytes);
    if (bytes == 0) return lmn_onnx_heap(s, t, out, err);
    const uintptr_t at = (uintptr_t)t->raw.p;
    const uintptr_t lo = s->file ? (uintptr_t)s->file->data : 0;
    if (s->file && at >= lo && at - lo <= s->file->data_bytes &&
        bytes <= s->file->data_bytes - (at - lo))
        return lmn_onnx_view(s, s->file, at - lo, bytes, t, out, err);
    LMN_TRY(lmn_onnx_heap(s, t, out, err));
    uint8_t *dst = (*out)->data;
    memcpy(dst, t->raw.p, bytes);
    for (size_t i = 0; t->dtype == LAMINA_BOOL && i < bytes; i++) dst[i] = dst[i] != 0;
    return LAMINA_OK;
}

static lamina_status make(lmn_onnx_store *s, const lmn_onnx_tensor *t, lamina_tensor **out,
                          lamina_error *err)
{
    int64_t count;
    size_t bytes;
    LMN_TRY(sizes(s, t, &count, &bytes, err));
    if (t->segmented)
        return FAIL(LAMINA_E_UNSUPPORTED, "is split into segments, which no exporter writes");
    if (t->dtype == LAMINA_STRING) {
        if (t->external || t->has_raw)
            return FAIL(LAMINA_E_CORRUPT,
                        "strings must be in string_data, not in raw or external bytes");
        return make_strings(s, t, count, out, err);
    }
    if (t->external)
        return bytes ? lmn_onnx_external_make(s, t, bytes, out, err)
                     : lmn_onnx_heap(s, t, out, err);
    if (t->has_raw) return make_raw(s, t, bytes, out, err);
    return make_typed(s, t, count, bytes, out, err);
}

static lamina_status named(const lmn_onnx_tensor *t, lamina_status st, const lamina_error *why,
                           lamina_error *err)
{
    char name[100];
    (void)lmn_format_name(name, sizeof name, t->name.p, t->name.n);
    return FAIL(st, "tensor \"%s\": %s", name, why->msg);
}

lamina_status lmn_onnx_tensor_make(lmn_onnx_store *s, const lmn_onnx_tensor *t, lamina_tensor **out,
                                   lamina_error *err)
{
    lamina_error why = {0};
    lamina_tensor *v = NULL;
    const lamina_status st = make(s, t, &v, &why);
    if (st != LAMINA_OK) return named(t, st, &why, err);
    *out = v;
    return st;
}

/* Element of the dense tensor that entry k stands for, or -1. */
static int64_t sparse_index(const lmn_onnx_sparse *t, const lamina_tensor *idx, int64_t k,
                            int64_t count)
{
    const int64_t *v = idx->data;
    if (idx->rank == 1) return v[k] >= 0 && v[k] < count ? v[k] : -1;
    int64_t at = 0;
    for (size_t d = 0; d < t->n_dims; d++) {
        int64_t i = v[k * (int64_t)t->n_dims + (int64_t)d];
        if (i < 0 || i >= t->dims[d]) return -1;
        at = at * t->dims[d] + i; /* fits: at < count */
    }
    return at;
}

static lamina_status scatter(const lmn_onnx_sparse *t, const lamina_tensor *val,
                             const lamina_tensor *idx, lamina_tensor *dense, lamina_error *err)
{
    const int64_t nnz = val->rank == 1 ? val->dims[0] : -1;
    const bool linear = idx->rank == 1 && idx->dims[0] == nnz;
    const bool coords = idx->rank == 2 && idx->dims[0] == nnz && idx->dims[1] == (int64_t)t->n_dims;
    if (nnz < 0 || idx->dtype != LAMINA_I64 || !(linear || coords))
        return FAIL(LAMINA_E_CORRUPT, "its sparse indices are not int64[%lld] or int64[%lld,%zu]",
                    (long long)nnz, (long long)nnz, t->n_dims);
    const size_t w = lmn_dtype_bytes(val->dtype);
    const int64_t count = lmn_count(dense);
    for (int64_t k = 0; k < nnz; k++) {
        int64_t at = sparse_index(t, idx, k, count);
        if (at < 0)
            return FAIL(LAMINA_E_CORRUPT, "entry %lld of its sparse indices is outside the shape",
                        (long long)k);
        memcpy((uint8_t *)dense->data + (size_t)at * w, (const uint8_t *)val->data + (size_t)k * w,
               w);
    }
    return LAMINA_OK;
}

static lamina_status make_sparse(lmn_onnx_store *s, const lmn_onnx_sparse *t, lamina_tensor **out,
                                 lamina_error *err)
{
    lmn_onnx_tensor shape = t->values;
    shape.dims = t->dims;
    shape.n_dims = t->n_dims;
    int64_t count;
    size_t bytes;
    LMN_TRY(sizes(s, &shape, &count, &bytes, err));
    if (shape.dtype == LAMINA_STRING || lmn_dtype_bytes(shape.dtype) == 0)
        return FAIL(LAMINA_E_UNSUPPORTED, "sparse tensors of %s are not supported",
                    lamina_dtype_name(shape.dtype));
    if (bytes > LMN_ONNX_MAX_SPARSE_BYTES)
        return FAIL(LAMINA_E_LIMIT, "it is sparse and would take %zu bytes as a dense tensor",
                    bytes);
    lamina_tensor *val = NULL, *idx = NULL, *dense = NULL;
    lamina_status st = make(s, &t->values, &val, err);
    if (st == LAMINA_OK) st = make(s, &t->indices, &idx, err);
    if (st == LAMINA_OK) st = lmn_onnx_heap(s, &shape, &dense, err);
    if (st == LAMINA_OK) st = scatter(t, val, idx, dense, err);
    lamina_tensor_unref(val);
    lamina_tensor_unref(idx);
    if (st == LAMINA_OK)
        *out = dense;
    else
        lamina_tensor_unref(dense);
    return st;
}

lamina_status lmn_onnx_sparse_make(lmn_onnx_store *s, const lmn_onnx_sparse *t, lamina_tensor **out,
                                   lamina_error *err)
{
    lamina_error why = {0};
    lamina_tensor *v = NULL;
    const lamina_status st = make_sparse(s, t, &v, &why);
    if (st != LAMINA_OK) return named(&t->values, st, &why, err);
    *out = v;
    return st;
}
