/*
 * TensorProto, SequenceProto and OptionalProto, read and written (field numbers: onnx.proto and
 * onnx-data.proto).
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
    case 6: return lmn_fail(r->err, LAMINA_E_UNSUPPORTED, "maps are not supported");
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

/* elem_type of a SequenceProto or OptionalProto: both count 1 tensor, 2 sparse, 3 sequence ... */
#define ELEM_SEQUENCE 3
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

lamina_status lmn_onnx_value_write(const lamina_tensor *v, const char *name, lmn_strbuf *b)
{
    if (v->kind == LAMINA_KIND_TENSOR) return lmn_onnx_tensor_write(v, name, b);
    if (*name) put_bytes(b, 1, name, strlen(name));
    put_field(b, 2, LMN_PB_VARINT);
    put_varint(b, v->kind == LAMINA_KIND_SEQUENCE ? 1 : 0); /* of tensors; of nothing */
    for (int64_t i = 0; v->kind == LAMINA_KIND_SEQUENCE && i < v->n_items; i++) {
        lmn_strbuf item;
        lmn_strbuf_init(&item, b->alloc, b->max);
        lamina_status st = lmn_onnx_tensor_write(v->items[i], "", &item);
        if (st == LAMINA_OK) put_bytes(b, 3, lmn_strbuf_text(&item), item.n);
        lmn_strbuf_finish(&item);
        if (st != LAMINA_OK) return st;
    }
    return b->status;
}
