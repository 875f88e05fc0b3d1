/*
 * TensorProto, SequenceProto, MapProto and OptionalProto, read and written (field numbers:
 * onnx.proto and onnx-data.proto).
 */
#include "formats/onnx/onnx_value.h"

#include "formats/onnx/onnx_tensor.h"

#include <string.h>

#define MAX_DEPTH 8

typedef struct reader {
    lmn_onnx_store store;
    lmn_onnx_wire wire;
    lamina_error *err;
    lamina_dtype dtype; /* of what is empty */
} reader;

static lamina_status read_any(reader *r, lmn_span bytes, uint8_t kind, int depth,
                              lamina_tensor **out);

static lamina_status read_tensor(reader *r, lmn_span bytes, lamina_tensor **out)
{
    lmn_onnx_tensor t;
    LMN_TRY(lmn_onnx_wire_tensor(&r->wire, bytes, &t));
    return lmn_onnx_tensor_make(&r->store, &t, out, r->err);
}

static lamina_status read_sparse(reader *r, lmn_span bytes, lamina_tensor **out)
{
    lmn_onnx_sparse t;
    LMN_TRY(lmn_onnx_wire_sparse(&r->wire, bytes, &t));
    return lmn_onnx_sparse_make(&r->store, &t, out, r->err);
}

static lamina_status damaged(reader *r)
{
    return lmn_fail(r->err, LAMINA_E_CORRUPT, "damaged or cut off inside the value");
}

/* The item of a sequence or optional that field f holds; false in *is if it is none. */
static lamina_status read_item(reader *r, const lmn_pb_field *f, int depth, bool *is,
                               lamina_tensor **out)
{
    *is = f->num >= 3 && f->num <= 7;
    switch (f->num) {
    case 3: return read_tensor(r, f->s, out);
    case 4: return read_sparse(r, f->s, out);
    case 5: return read_any(r, f->s, LMN_FACT_SEQUENCE, depth + 1, out);
    case 6: return read_any(r, f->s, LMN_FACT_MAP, depth + 1, out);
    case 7: return read_any(r, f->s, LMN_FACT_OPTIONAL, depth + 1, out);
    default: return LAMINA_OK;
    }
}

static lamina_status read_sequence(reader *r, lmn_span bytes, int depth, lamina_tensor **out)
{
    const lamina_allocator *alloc = &r->store.engine->alloc;
    lamina_tensor **items = NULL;
    size_t n = 0, cap = 0;
    lamina_status st = LAMINA_OK;
    lmn_pb c = lmn_pb_of(bytes);
    for (lmn_pb_field f; st == LAMINA_OK && lmn_pb_next(&c, &f);) {
        lamina_tensor *item = NULL;
        bool is;
        st = read_item(r, &f, depth, &is, &item);
        if (st != LAMINA_OK || !is) continue;
        st = lmn_grow(alloc, (void **)&items, &cap, n + 1, 1u << 24, sizeof *items, "sequence");
        if (st == LAMINA_OK)
            items[n++] = item;
        else
            lamina_tensor_unref(item);
    }
    if (st == LAMINA_OK && c.bad) st = damaged(r);
    if (st == LAMINA_OK) {
        const lamina_dtype dt = n ? items[0]->dtype : r->dtype;
        st = lamina_sequence_create(r->store.engine, dt, (int64_t)n, items, out);
        if (st != LAMINA_OK) (void)lmn_fail(r->err, st, "the items do not make a sequence");
    }
    for (size_t i = 0; i < n; i++) lamina_tensor_unref(items[i]);
    lmn_free(alloc, items, cap * sizeof *items, 16, "sequence");
    return st;
}

static lamina_status read_optional(reader *r, lmn_span bytes, int depth, lamina_tensor **out)
{
    lamina_tensor *v = NULL;
    lamina_status st = LAMINA_OK;
    lmn_pb c = lmn_pb_of(bytes);
    for (lmn_pb_field f; st == LAMINA_OK && lmn_pb_next(&c, &f);) {
        lamina_tensor *item = NULL;
        bool is;
        st = read_item(r, &f, depth, &is, &item);
        if (st != LAMINA_OK || !is) continue;
        lamina_tensor_unref(v); /* a oneof: the last one counts */
        v = item;
    }
    if (st == LAMINA_OK && c.bad) st = damaged(r);
    if (st == LAMINA_OK && !v) {
        st = lamina_none_create(r->store.engine, r->dtype, &v);
        if (st != LAMINA_OK) (void)lmn_fail(r->err, st, "cannot make an empty optional");
    }
    if (st == LAMINA_OK)
        *out = v;
    else
        lamina_tensor_unref(v);
    return st;
}

/* Field 3 (int64s, packed or one by one) or 4 (strings) of a MapProto: key i + n is written into
   keys, which may be NULL. */
static bool read_keys(const lmn_pb_field *f, lamina_tensor *keys, int64_t *n)
{
    if (f->num == 4) {
        if (keys && (keys->dtype != LAMINA_STRING ||
                     lamina_tensor_set_string(keys, *n, (const char *)f->s.p, f->s.n) != LAMINA_OK))
            return false;
        *n += 1;
        return true;
    }
    if (f->num != 3) return true;
    if (keys && keys->dtype != LAMINA_I64) return false;
    if (f->wire == LMN_PB_VARINT) {
        if (keys) ((int64_t *)keys->data)[*n] = (int64_t)f->u;
        *n += 1;
        return true;
    }
    lmn_pb c = lmn_pb_of(f->s);
    for (uint64_t v; lmn_pb_varint(&c, &v);) {
        if (keys) ((int64_t *)keys->data)[*n] = (int64_t)v;
        *n += 1;
    }
    return !c.bad;
}

static lamina_status map_keys(reader *r, lmn_span bytes, lamina_tensor **out)
{
    uint64_t type = 0;
    int64_t n = 0;
    lmn_pb c = lmn_pb_of(bytes);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num == 2) type = f.u;
        if (!read_keys(&f, NULL, &n)) return damaged(r);
    }
    if (c.bad) return damaged(r);
    if (type != (uint64_t)LAMINA_I64 && type != (uint64_t)LAMINA_STRING)
        return lmn_fail(r->err, LAMINA_E_UNSUPPORTED, "a map whose keys are no int64 or string");
    lamina_tensor *keys;
    lamina_engine *e = r->store.engine;
    lamina_status st = lamina_tensor_create(e, (lamina_dtype)type, 1, &n, &keys);
    if (st != LAMINA_OK) return lmn_fail(r->err, st, "no memory for %lld keys", (long long)n);
    n = 0;
    c = lmn_pb_of(bytes);
    for (lmn_pb_field f; st == LAMINA_OK && lmn_pb_next(&c, &f);)
        if (!read_keys(&f, keys, &n)) st = damaged(r); /* of two types, or no memory */
    if (st == LAMINA_OK)
        *out = keys;
    else
        lamina_tensor_unref(keys);
    return st;
}

/* The values of a MapProto, a sequence of scalars, as one tensor. */
static lamina_status map_values(reader *r, const lamina_tensor *seq, int64_t n, lamina_tensor **out)
{
    lamina_tensor *t;
    if (seq->n_items != n)
        return lmn_fail(r->err, LAMINA_E_CORRUPT, "a map of %lld keys and %lld values",
                        (long long)n, (long long)seq->n_items);
    for (int64_t i = 0; i < n; i++)
        if (seq->items[i]->kind != LAMINA_KIND_TENSOR || lmn_count(seq->items[i]) != 1)
            return lmn_fail(r->err, LAMINA_E_UNSUPPORTED, "a map whose values are no scalars");
    const size_t bytes = lmn_dtype_bytes(seq->dtype);
    if (seq->dtype != LAMINA_STRING && bytes == 0)
        return lmn_fail(r->err, LAMINA_E_UNSUPPORTED, "a map to %s", lamina_dtype_name(seq->dtype));
    lamina_status st = lamina_tensor_create(r->store.engine, seq->dtype, 1, &n, &t);
    if (st != LAMINA_OK) return lmn_fail(r->err, st, "no memory for %lld values", (long long)n);
    for (int64_t i = 0; i < n && st == LAMINA_OK; i++) {
        const lmn_str *s = seq->items[i]->data;
        if (seq->dtype == LAMINA_STRING)
            st = lamina_tensor_set_string(t, i, s->p ? s->p : "", s->n);
        else
            memcpy((uint8_t *)t->data + (size_t)i * bytes, seq->items[i]->data, bytes);
    }
    if (st == LAMINA_OK)
        *out = t;
    else
        lamina_tensor_unref(t);
    return st == LAMINA_OK ? st : lmn_fail(r->err, st, "no memory for a string");
}

static lamina_status read_map(reader *r, lmn_span bytes, int depth, lamina_tensor **out)
{
    lamina_tensor *keys = NULL, *seq = NULL, *values = NULL;
    lmn_span body = {0};
    lamina_status st = map_keys(r, bytes, &keys);
    lmn_pb c = lmn_pb_of(bytes);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);)
        if (f.num == 5) body = f.s;
    if (st == LAMINA_OK) st = read_sequence(r, body, depth + 1, &seq);
    if (st == LAMINA_OK) st = map_values(r, seq, lmn_count(keys), &values);
    if (st == LAMINA_OK) {
        st = lamina_map_create(r->store.engine, keys, values, out);
        if (st != LAMINA_OK)
            (void)lmn_fail(r->err, st, "the keys do not make a map: one is there twice");
    }
    lamina_tensor_unref(keys);
    lamina_tensor_unref(seq);
    lamina_tensor_unref(values);
    return st;
}

/* elem_type of a SequenceProto or OptionalProto: both count 1 tensor, 2 sparse, 3 sequence ... */
#define ELEM_TENSOR 1
#define ELEM_SEQUENCE 3
#define ELEM_MAP 4
static uint64_t elem_type(lmn_span bytes)
{
    uint64_t type = 0;
    lmn_pb c = lmn_pb_of(bytes);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);)
        if (f.num == 2) type = f.u;
    return type;
}

static lamina_status read_any(reader *r, lmn_span bytes, uint8_t kind, int depth,
                              lamina_tensor **out)
{
    if (depth > MAX_DEPTH) return lmn_fail(r->err, LAMINA_E_LIMIT, "values are nested too deep");
    /* optional(sequence) is taken as sequence, but its file is an OptionalProto around one. */
    if (kind == LMN_FACT_SEQUENCE && elem_type(bytes) == ELEM_SEQUENCE) kind = LMN_FACT_OPTIONAL;
    if (kind == LMN_FACT_SEQUENCE) return read_sequence(r, bytes, depth, out);
    if (kind == LMN_FACT_OPTIONAL) return read_optional(r, bytes, depth, out);
    if (kind == LMN_FACT_MAP) return read_map(r, bytes, depth, out);
    return read_tensor(r, bytes, out);
}

lamina_status lmn_onnx_value_read(lamina_engine *e, lmn_span bytes, const lmn_fact *hint,
                                  lamina_tensor **out, lamina_error *err)
{
    lamina_load_opts limits;
    lmn_arena arena;
    LMN_TRY(lmn_onnx_limits(NULL, &limits));
    lmn_arena_init(&arena, &e->alloc, 0);
    reader r = {.err = err, .dtype = hint && hint->dtype ? hint->dtype : LAMINA_F32};
    r.wire =
        (lmn_onnx_wire){.arena = &arena, .limits = &limits, .err = err, .left = limits.max_values};
    lmn_onnx_store_init(&r.store, e, &limits);
    lamina_status st = read_any(&r, bytes, hint ? hint->kind : LMN_FACT_TENSOR, 0, out);
    lmn_onnx_store_finish(&r.store);
    lmn_arena_finish(&arena);
    return st;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void put_varint(lmn_strbuf *b, uint64_t v)
{
    uint8_t buf[10];
    lmn_strbuf_add(b, buf, lmn_pb_put_varint(buf, v));
}

static void put_field(lmn_strbuf *b, uint32_t num, uint8_t wire)
{
    put_varint(b, num << 3 | wire);
}

static void put_bytes(lmn_strbuf *b, uint32_t num, const void *p, size_t n)
{
    put_field(b, num, LMN_PB_BYTES);
    put_varint(b, n);
    if (n) lmn_strbuf_add(b, p, n);
}

lamina_status lmn_onnx_tensor_write(const lamina_tensor *t, const char *name, lmn_strbuf *b)
{
    if (t->kind != LAMINA_KIND_TENSOR || t->strided) return LAMINA_E_UNSUPPORTED;
    for (int32_t i = 0; i < t->rank; i++) {
        put_field(b, 1, LMN_PB_VARINT);
        put_varint(b, (uint64_t)t->dims[i]);
    }
    put_field(b, 2, LMN_PB_VARINT);
    put_varint(b, (uint64_t)t->dtype);
    if (*name) put_bytes(b, 8, name, strlen(name));
    if (t->dtype != LAMINA_STRING) {
        put_bytes(b, 9, t->data, t->data_bytes);
        return b->status;
    }
    const int64_t n = lmn_count(t);
    for (int64_t i = 0; i < n; i++) {
        size_t bytes;
        const char *s = lamina_tensor_string(t, i, &bytes);
        put_bytes(b, 6, s, bytes);
    }
    return b->status;
}

/* Message number `num` is the value v. */
static lamina_status put_value(lmn_strbuf *b, uint32_t num, const lamina_tensor *v)
{
    lmn_strbuf item;
    lmn_strbuf_init(&item, b->alloc, b->max);
    lamina_status st = lmn_onnx_value_write(v, "", &item);
    if (st == LAMINA_OK) put_bytes(b, num, lmn_strbuf_text(&item), item.n);
    lmn_strbuf_finish(&item);
    return st;
}

static void put_int(lmn_strbuf *b, uint32_t num, uint64_t v)
{
    put_field(b, num, LMN_PB_VARINT);
    put_varint(b, v);
}

/* Element i of a rank 1 tensor as a scalar of a tensor sequence. */
static lamina_status put_scalar(lmn_strbuf *b, const lamina_tensor *t, int64_t i)
{
    const size_t bytes = t->dtype == LAMINA_STRING ? sizeof(lmn_str) : lmn_dtype_bytes(t->dtype);
    if (bytes == 0) return LAMINA_E_UNSUPPORTED;
    lamina_tensor one = *t;
    one.rank = 0;
    one.data = (uint8_t *)t->data + (size_t)i * bytes;
    one.data_bytes = bytes;
    return put_value(b, 3, &one);
}

static lamina_status write_map(const lamina_tensor *v, lmn_strbuf *b)
{
    const lamina_tensor *keys = v->items[0], *values = v->items[1];
    const int64_t n = lmn_count(keys);
    put_int(b, 2, (uint64_t)keys->dtype);
    for (int64_t i = 0; i < n; i++) {
        const lmn_str *s = (const lmn_str *)keys->data + i;
        if (keys->dtype == LAMINA_STRING)
            put_bytes(b, 4, s->p, s->n);
        else
            put_int(b, 3, (uint64_t)((const int64_t *)keys->data)[i]);
    }
    lmn_strbuf seq;
    lmn_strbuf_init(&seq, b->alloc, b->max);
    put_int(&seq, 2, ELEM_TENSOR);
    lamina_status st = LAMINA_OK;
    for (int64_t i = 0; i < n && st == LAMINA_OK; i++) st = put_scalar(&seq, values, i);
    if (st == LAMINA_OK) st = seq.status;
    if (st == LAMINA_OK) put_bytes(b, 5, lmn_strbuf_text(&seq), seq.n);
    lmn_strbuf_finish(&seq);
    return st == LAMINA_OK ? b->status : st;
}

lamina_status lmn_onnx_value_write(const lamina_tensor *v, const char *name, lmn_strbuf *b)
{
    if (v->kind == LAMINA_KIND_TENSOR) return lmn_onnx_tensor_write(v, name, b);
    if (*name) put_bytes(b, 1, name, strlen(name));
    if (v->kind == LAMINA_KIND_MAP) return write_map(v, b);
    const bool maps = lmn_map_key(v) != LAMINA_DTYPE_NONE, seq = v->kind == LAMINA_KIND_SEQUENCE;
    put_int(b, 2, !seq ? 0 : maps ? ELEM_MAP : ELEM_TENSOR);
    for (int64_t i = 0; seq && i < v->n_items; i++)
        LMN_TRY(put_value(b, maps ? 6 : 3, v->items[i]));
    return b->status;
}
