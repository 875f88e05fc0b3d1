/*
 * Values that hold more than plain bytes: strings, sequences, maps, empty optionals; and the deep
 * copy of any value. A sequence holds tensors or maps, a map two tensors: nothing here recurses
 * deeper than two levels.
 */
#include "tensor/tensor.h"

#include <stdlib.h>
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
    lmn_atomic_init(&t->refs, 1);
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

/* A sequence or map with room for n items, all NULL; n_items counts them already. */
static lamina_status items_new(lamina_engine *e, lamina_kind kind, lamina_dtype dtype, int64_t n,
                               lamina_tensor **out)
{
    lamina_tensor *t = value_new(e, kind, dtype);
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

/* References to the items. Operators see dense ones: what has strides is packed here, once. */
static lamina_status items_of(lamina_engine *e, lamina_kind kind, lamina_dtype dtype, int64_t n,
                              lamina_tensor *const *items, lamina_tensor **out)
{
    lamina_tensor *t;
    LMN_TRY(items_new(e, kind, dtype, n, &t));
    for (int64_t i = 0; i < n; i++) {
        lamina_status st = LAMINA_OK;
        if (items[i]->strided)
            st = lmn_tensor_clone(e, items[i], &t->items[i]);
        else
            t->items[i] = lamina_tensor_ref(items[i]);
        if (st == LAMINA_OK) continue;
        lamina_tensor_unref(t);
        return st;
    }
    *out = t;
    return LAMINA_OK;
}

lamina_status lamina_sequence_create(lamina_engine *engine, lamina_dtype dtype, int64_t n_items,
                                     lamina_tensor *const *items, lamina_tensor **out)
{
    LMN_CHECK(engine && out && n_items >= 0 && (items || n_items == 0), LAMINA_E_INVALID);
    LMN_CHECK(lmn_dtype_valid(dtype), LAMINA_E_DTYPE);
    for (int64_t i = 0; i < n_items; i++) {
        const lamina_tensor *item = items[i];
        LMN_CHECK(item && item->kind == items[0]->kind, LAMINA_E_INVALID);
        LMN_CHECK(item->kind == LAMINA_KIND_TENSOR || item->kind == LAMINA_KIND_MAP,
                  LAMINA_E_INVALID);
        LMN_CHECK(item->dtype == dtype && lmn_map_key(item) == lmn_map_key(items[0]),
                  LAMINA_E_DTYPE);
    }
    return items_of(engine, LAMINA_KIND_SEQUENCE, dtype, n_items, items, out);
}

lamina_tensor *lamina_sequence_item(const lamina_tensor *seq, int64_t index)
{
    if (!seq || seq->kind != LAMINA_KIND_SEQUENCE || index < 0 || index >= seq->n_items)
        return NULL;
    return seq->items[index];
}

/* ---- maps --------------------------------------------------------------------------------------
 */

lamina_status lmn_map_new(lamina_engine *e, lamina_tensor *keys, lamina_tensor *values,
                          lamina_tensor **out)
{
    lamina_tensor *const both[] = {keys, values};
    return items_of(e, LAMINA_KIND_MAP, values->dtype, 2, both, out);
}

lamina_dtype lmn_map_key(const lamina_tensor *t)
{
    if (t->kind == LAMINA_KIND_SEQUENCE && t->n_items > 0) t = t->items[0];
    return t->kind == LAMINA_KIND_MAP ? t->items[0]->dtype : LAMINA_DTYPE_NONE;
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
    const lmn_str *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->n ? memcmp(x->p, y->p, x->n) : 0;
}

lamina_status lmn_map_check_keys(lamina_engine *e, const lamina_tensor *keys)
{
    const bool text = keys->dtype == LAMINA_STRING;
    const size_t n = (size_t)lmn_count(keys), size = text ? sizeof(lmn_str) : sizeof(int64_t);
    int (*const order)(const void *, const void *) = text ? by_text : by_number;
    if (n < 2) return LAMINA_OK;
    uint8_t *sorted = lmn_calloc(&e->alloc, n, size, "map");
    LMN_CHECK(sorted, LAMINA_E_NOMEM);
    lmn_tensor_pack(keys, sorted);
    qsort(sorted, n, size, order);
    bool twice = false;
    for (size_t i = 1; i < n && !twice; i++)
        twice = order(sorted + (i - 1) * size, sorted + i * size) == 0;
    lmn_cfree(&e->alloc, sorted, n, size, "map");
    return twice ? LAMINA_E_INVALID : LAMINA_OK;
}

lamina_status lamina_map_create(lamina_engine *engine, lamina_tensor *keys, lamina_tensor *values,
                                lamina_tensor **out)
{
    LMN_CHECK(engine && keys && values && out, LAMINA_E_INVALID);
    LMN_CHECK(keys->kind == LAMINA_KIND_TENSOR && values->kind == LAMINA_KIND_TENSOR,
              LAMINA_E_INVALID);
    LMN_CHECK(keys->dtype == LAMINA_I64 || keys->dtype == LAMINA_STRING, LAMINA_E_DTYPE);
    LMN_CHECK(keys->rank == 1 && values->rank == 1 && keys->dims[0] == values->dims[0],
              LAMINA_E_SHAPE);
    LMN_TRY(lmn_map_check_keys(engine, keys));
    return lmn_map_new(engine, keys, values, out);
}

lamina_tensor *lamina_map_keys(const lamina_tensor *map)
{
    return map && map->kind == LAMINA_KIND_MAP ? map->items[0] : NULL;
}

lamina_tensor *lamina_map_values(const lamina_tensor *map)
{
    return map && map->kind == LAMINA_KIND_MAP ? map->items[1] : NULL;
}

/* ---- copies ------------------------------------------------------------------------------------
 */

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
    LMN_TRY(items_new(e, src->kind, src->dtype, src->n_items, &t));
    lamina_status st = LAMINA_OK;
    for (int64_t i = 0; i < src->n_items && st == LAMINA_OK; i++)
        st = lmn_tensor_clone(e, src->items[i], &t->items[i]);
    if (st == LAMINA_OK)
        *out = t;
    else
        lamina_tensor_unref(t);
    return st;
}
