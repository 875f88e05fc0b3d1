/*
 * Values that hold more than plain bytes: strings, sequences, empty optionals; and the deep copy of
 * any value. A sequence holds tensors only, so that nothing here recurses deeper than one level.
 */
#include "tensor/tensor.h"

#include <string.h>

/* The element, or NULL if t is no string tensor or index lies outside. */
static lmn_str *string_at(const lamina_tensor *t, int64_t index)
{
    if (!t || t->kind != LAMINA_KIND_TENSOR || t->dtype != LAMINA_STRING) return NULL;
    if (index < 0 || index >= lmn_count(t)) return NULL;
    return (lmn_str *)t->data + index;
}

const char *lamina_tensor_string(const lamina_tensor *t, int64_t index, size_t *bytes)
{
    const lmn_str *s = string_at(t, index);
    if (!s) return NULL;
    if (bytes) *bytes = s->n;
    return s->p ? s->p : "";
}

lamina_status lamina_tensor_set_string(lamina_tensor *t, int64_t index, const char *s, size_t bytes)
{
    LMN_CHECK(t && (s || bytes == 0), LAMINA_E_INVALID);
    LMN_CHECK(t->kind == LAMINA_KIND_TENSOR && t->dtype == LAMINA_STRING, LAMINA_E_DTYPE);
    lmn_str *at = string_at(t, index);
    LMN_CHECK(at, LAMINA_E_RANGE);
    char *p = NULL;
    if (bytes) {
        size_t need;
        LMN_CHECK(lmn_add_size(bytes, 1, &need), LAMINA_E_NOMEM);
        p = lmn_alloc(&t->engine->alloc, need, 1, "string");
        LMN_CHECK(p, LAMINA_E_NOMEM);
        memcpy(p, s, bytes);
        p[bytes] = 0;
    }
    if (at->p) lmn_free(&t->engine->alloc, at->p, at->n + 1, 1, "string");
    *at = (lmn_str){p, bytes};
    return LAMINA_OK;
}

static lamina_tensor *value_new(lamina_engine *e, lamina_kind kind, lamina_dtype dtype)
{
    lamina_tensor *t = lmn_calloc(&e->alloc, 1, sizeof *t, "tensor");
    if (!t) return NULL;
    atomic_init(&t->refs, 1);
    t->kind = kind;
    t->dtype = dtype;
    t->engine = e;
    return t;
}

lamina_status lamina_none_create(lamina_engine *engine, lamina_dtype dtype, lamina_tensor **out)
{
    LMN_CHECK(engine && out && lmn_dtype_valid(dtype), LAMINA_E_INVALID);
    lamina_tensor *t = value_new(engine, LAMINA_KIND_NONE, dtype);
    LMN_CHECK(t, LAMINA_E_NOMEM);
    *out = t;
    return LAMINA_OK;
}

/* A sequence with room for n items, all NULL; n_items counts them already. */
static lamina_status sequence_new(lamina_engine *e, lamina_dtype dtype, int64_t n,
                                  lamina_tensor **out)
{
    lamina_tensor *t = value_new(e, LAMINA_KIND_SEQUENCE, dtype);
    LMN_CHECK(t, LAMINA_E_NOMEM);
    if (n > 0) t->items = lmn_calloc(&e->alloc, (size_t)n, sizeof *t->items, "sequence");
    if (n > 0 && !t->items) {
        lamina_tensor_unref(t);
        return LAMINA_E_NOMEM;
    }
    t->n_items = n;
    *out = t;
    return LAMINA_OK;
}

lamina_status lamina_sequence_create(lamina_engine *engine, lamina_dtype dtype, int64_t n_items,
                                     lamina_tensor *const *items, lamina_tensor **out)
{
    LMN_CHECK(engine && out && n_items >= 0 && (items || n_items == 0), LAMINA_E_INVALID);
    LMN_CHECK(lmn_dtype_valid(dtype), LAMINA_E_DTYPE);
    for (int64_t i = 0; i < n_items; i++) {
        LMN_CHECK(items[i] && items[i]->kind == LAMINA_KIND_TENSOR, LAMINA_E_INVALID);
        LMN_CHECK(items[i]->dtype == dtype, LAMINA_E_DTYPE);
    }
    lamina_tensor *t;
    LMN_TRY(sequence_new(engine, dtype, n_items, &t));
    /* Operators see dense items: what has strides is packed here, once. */
    for (int64_t i = 0; i < n_items; i++) {
        lamina_status st = LAMINA_OK;
        if (items[i]->strided)
            st = lmn_tensor_clone(engine, items[i], &t->items[i]);
        else
            t->items[i] = lamina_tensor_ref(items[i]);
        if (st == LAMINA_OK) continue;
        lamina_tensor_unref(t);
        return st;
    }
    *out = t;
    return LAMINA_OK;
}

lamina_tensor *lamina_sequence_item(const lamina_tensor *seq, int64_t index)
{
    if (!seq || seq->kind != LAMINA_KIND_SEQUENCE || index < 0 || index >= seq->n_items)
        return NULL;
    return seq->items[index];
}

void lmn_tensor_pack(const lamina_tensor *src, void *dst)
{
    if (src->data_bytes == 0) return;
    if (!src->strided) {
        memcpy(dst, src->data, src->data_bytes);
        return;
    }
    /* Innermost dims that are dense already travel as one run. */
    const size_t elem = lmn_dtype_bytes(src->dtype);
    int64_t run = 1;
    int32_t outer = src->rank;
    while (outer > 0 && (src->dims[outer - 1] == 1 || src->strides[outer - 1] == run))
        run *= src->dims[--outer];
    const size_t run_bytes = (size_t)run * elem;
    int64_t index[LMN_MAX_RANK] = {0}, offset = 0;
    for (uint8_t *out = dst;; out += run_bytes) {
        memcpy(out, (const uint8_t *)src->data + offset * (int64_t)elem, run_bytes);
        int32_t d = outer - 1;
        for (; d >= 0; d--) {
            offset += src->strides[d];
            if (++index[d] < src->dims[d]) break;
            offset -= src->strides[d] * src->dims[d];
            index[d] = 0;
        }
        if (d < 0) return;
    }
}

static lamina_status clone_dense(lamina_engine *e, const lamina_tensor *src, lamina_tensor **out)
{
    lamina_tensor *t;
    LMN_TRY(lmn_tensor_new(e, src->dtype, src->rank, src->dims, false, &t));
    if (src->dtype != LAMINA_STRING) {
        lmn_tensor_pack(src, t->data);
        *out = t;
        return LAMINA_OK;
    }
    const int64_t count = lmn_count(src);
    lamina_status st = LAMINA_OK;
    for (int64_t i = 0; i < count && st == LAMINA_OK; i++) {
        const lmn_str *s = (const lmn_str *)src->data + i;
        st = lamina_tensor_set_string(t, i, s->p, s->n);
    }
    if (st == LAMINA_OK)
        *out = t;
    else
        lamina_tensor_unref(t);
    return st;
}

lamina_status lmn_tensor_clone(lamina_engine *e, const lamina_tensor *src, lamina_tensor **out)
{
    if (src->kind == LAMINA_KIND_TENSOR) return clone_dense(e, src, out);
    if (src->kind == LAMINA_KIND_NONE) return lamina_none_create(e, src->dtype, out);
    lamina_tensor *t;
    LMN_TRY(sequence_new(e, src->dtype, src->n_items, &t));
    lamina_status st = LAMINA_OK;
    for (int64_t i = 0; i < src->n_items && st == LAMINA_OK; i++)
        st = lmn_tensor_clone(e, src->items[i], &t->items[i]);
    if (st == LAMINA_OK)
        *out = t;
    else
        lamina_tensor_unref(t);
    return st;
}
