/*
 * Evaluation, common part: how an operator obtains memory for its outputs, and how values are
 * shared, kept and released.
 *
 * Invariants: a slot without `buf` points at memory of the plan or at memory that an input borrows,
 * and the executor knows how long that lives; a slot with `buf` holds one reference. Whatever
 * leaves a run goes through lmn_keep, which copies what is not held by a buffer.
 */
#include "ops/op.h"

#include <string.h>

#define TAG "ops"

void lmn_slot_clear(lamina_tensor *slot)
{
    if (slot->items) {
        for (int64_t i = 0; i < slot->n_items; i++) lamina_tensor_unref(slot->items[i]);
        lmn_cfree(&slot->engine->alloc, slot->items, (size_t)slot->n_items, sizeof *slot->items,
                  TAG);
    }
    lmn_buffer_unref(slot->buf);
    slot->items = NULL;
    slot->n_items = 0;
    slot->buf = NULL;
    slot->data = NULL;
    slot->data_bytes = 0;
    slot->rank = 0;
    slot->strided = false;
    slot->kind = LAMINA_KIND_NONE;
}

static lamina_status describe(lmn_eval *ec, lamina_tensor *slot, lamina_dtype dt, int32_t rank,
                              const int64_t *dims)
{
    lamina_tensor d = {0};
    if (lmn_tensor_describe(&d, ec->engine, dt, rank, dims) != LAMINA_OK) {
        char shape[200];
        lmn_extents_text(rank, dims, shape, sizeof shape);
        return lmn_eval_fail(ec, LAMINA_E_LIMIT,
                             "an output would be %s, which is too large or below zero", shape);
    }
    slot->kind = LAMINA_KIND_TENSOR;
    slot->engine = ec->engine;
    slot->dtype = dt;
    slot->rank = d.rank;
    slot->strided = false;
    slot->data_bytes = d.data_bytes;
    memcpy(slot->dims, d.dims, sizeof slot->dims);
    memcpy(slot->strides, d.strides, sizeof slot->strides);
    return LAMINA_OK;
}

static bool reusable(const lmn_buffer *b, size_t bytes)
{
    return b && b->bytes == bytes && !b->release && b->n_str == 0 &&
           lmn_atomic_load(&b->refs, seq_cst) == 1;
}

/* Memory for a described slot that held `old` before. */
static lamina_status slot_memory(lmn_eval *ec, int32_t i, lamina_tensor *slot, lmn_buffer *old)
{
    const size_t bytes = slot->data_bytes;
    const bool strings = slot->dtype == LAMINA_STRING;
    void *planned = ec->plan_data && !strings ? ec->plan_data[i] : NULL;
    if (planned && bytes <= ec->plan_bytes[i]) {
        lmn_buffer_unref(old);
        slot->data = planned;
        return LAMINA_OK;
    }
    if (!strings && reusable(old, bytes)) {
        slot->buf = old;
        slot->data = old->data;
        return LAMINA_OK;
    }
    lmn_buffer_unref(old);
    const lamina_status st =
        strings ? lmn_buffer_strings(ec->engine, (size_t)lmn_count(slot), &slot->buf)
                : lmn_buffer_create(ec->engine, bytes, false, &slot->buf);
    if (st != LAMINA_OK)
        return lmn_eval_fail(ec, st, "no memory for an output of %zu bytes", bytes);
    slot->data = slot->buf->data;
    return LAMINA_OK;
}

lamina_status lmn_out(lmn_eval *ec, int32_t i, lamina_dtype dt, int32_t rank, const int64_t *dims,
                      lamina_tensor **t)
{
    *t = NULL;
    if (!lmn_out_wanted(ec, i)) return LAMINA_OK;
    lamina_tensor *slot = ec->out[i];
    lmn_buffer *old = slot->items ? NULL : slot->buf;
    if (old) slot->buf = NULL;
    lmn_slot_clear(slot);
    lamina_status st = describe(ec, slot, dt, rank, dims);
    if (st != LAMINA_OK) {
        lmn_buffer_unref(old);
        return st;
    }
    st = slot_memory(ec, i, slot, old);
    if (st != LAMINA_OK) {
        lmn_slot_clear(slot);
        return st;
    }
    *t = slot;
    return LAMINA_OK;
}

static lamina_status copy_strings(lmn_eval *ec, lamina_tensor *dst, const lamina_tensor *src)
{
    const lmn_str *s = src->data;
    const int64_t n = lmn_count(src);
    for (int64_t k = 0; k < n; k++) {
        const lamina_status st = lamina_tensor_set_string(dst, k, s[k].p ? s[k].p : "", s[k].n);
        if (st != LAMINA_OK)
            return lmn_eval_fail(ec, st, "no memory for a string of %zu bytes", s[k].n);
    }
    return LAMINA_OK;
}

/* Output i becomes a copy of src under new dims of the same count. */
static lamina_status out_copy(lmn_eval *ec, int32_t i, const lamina_tensor *src, int32_t rank,
                              const int64_t *dims)
{
    lamina_tensor *t;
    LMN_TRY(lmn_out(ec, i, src->dtype, rank, dims, &t));
    if (!t) return LAMINA_OK;
    if (src->dtype == LAMINA_STRING) return copy_strings(ec, t, src);
    if (src->strided)
        lmn_tensor_pack(src, t->data);
    else if (t->data_bytes && t->data != src->data)
        memmove(t->data, src->data, t->data_bytes);
    return LAMINA_OK;
}

/* Output i points at src's own bytes; a reference is taken where there is something to hold. */
static lamina_status out_share(lmn_eval *ec, int32_t i, const lamina_tensor *src, int32_t rank,
                               const int64_t *dims)
{
    lamina_tensor *slot = ec->out[i];
    lmn_buffer *hold =
        src->buf ? lmn_buffer_ref(src->buf) : NULL; /* src may be what the slot holds */
    void *data = src->data;
    const lamina_dtype dt = src->dtype;
    lmn_slot_clear(slot);
    const lamina_status st = describe(ec, slot, dt, rank, dims);
    if (st != LAMINA_OK) {
        lmn_buffer_unref(hold);
        slot->kind = LAMINA_KIND_NONE;
        return st;
    }
    slot->data = data;
    slot->buf = hold;
    return LAMINA_OK;
}

lamina_status lmn_out_alias(lmn_eval *ec, int32_t i, int32_t j, int32_t rank, const int64_t *dims)
{
    if (!lmn_out_wanted(ec, i)) return LAMINA_OK;
    const lamina_tensor *src = lmn_in(ec, j);
    int64_t count = 0;
    if (!src || src->kind != LAMINA_KIND_TENSOR)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "input %d is no tensor", j);
    if (rank < 0 || rank > LMN_MAX_RANK || !lmn_dims_count(rank, dims, &count) ||
        count != lmn_count(src))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%lld elements do not fit the new shape of %lld",
                             (long long)lmn_count(src), (long long)count);
    const void *planned = ec->plan_data ? ec->plan_data[i] : NULL;
    if (src->strided || (planned && planned != src->data && src->dtype != LAMINA_STRING))
        return out_copy(ec, i, src, rank, dims);
    return out_share(ec, i, src, rank, dims);
}

lamina_status lmn_out_none(lmn_eval *ec, int32_t i, lamina_dtype dt)
{
    if (!lmn_out_wanted(ec, i)) return LAMINA_OK;
    lmn_slot_clear(ec->out[i]);
    ec->out[i]->engine = ec->engine;
    ec->out[i]->dtype = dt;
    return LAMINA_OK;
}

static lamina_status out_items(lmn_eval *ec, int32_t i, lamina_kind kind, lamina_dtype dt,
                               int64_t n, lamina_tensor *const *items)
{
    if (!lmn_out_wanted(ec, i)) return LAMINA_OK;
    lamina_tensor *slot = ec->out[i];
    lamina_tensor **kept = NULL;
    if (n > 0) {
        kept = lmn_calloc(&ec->engine->alloc, (size_t)n, sizeof *kept, TAG);
        if (!kept)
            return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld sequence items",
                                 (long long)n);
    }
    for (int64_t k = 0; k < n; k++) {
        const lamina_status st = lmn_keep(ec, items[k], &kept[k]);
        if (st == LAMINA_OK) continue;
        while (k > 0) lamina_tensor_unref(kept[--k]);
        lmn_cfree(&ec->engine->alloc, kept, (size_t)n, sizeof *kept, TAG);
        return st;
    }
    lmn_slot_clear(slot); /* only now: items may be what the slot held */
    slot->kind = kind;
    slot->engine = ec->engine;
    slot->dtype = dt;
    slot->n_items = n;
    slot->items = kept;
    return LAMINA_OK;
}

lamina_status lmn_out_sequence(lmn_eval *ec, int32_t i, lamina_dtype dt, int64_t n,
                               lamina_tensor *const *items)
{
    return out_items(ec, i, LAMINA_KIND_SEQUENCE, dt, n, items);
}

lamina_status lmn_out_value(lmn_eval *ec, int32_t i, const lamina_tensor *v)
{
    if (!lmn_out_wanted(ec, i)) return LAMINA_OK;
    if (v->kind == LAMINA_KIND_NONE) return lmn_out_none(ec, i, v->dtype);
    if (v->kind == LAMINA_KIND_SEQUENCE || v->kind == LAMINA_KIND_MAP)
        return out_items(ec, i, v->kind, v->dtype, v->n_items, v->items);
    const bool planned = ec->plan_data && ec->plan_data[i] && v->dtype != LAMINA_STRING;
    if (!v->buf || v->strided || planned) return out_copy(ec, i, v, v->rank, v->dims);
    return out_share(ec, i, v, v->rank, v->dims);
}

lamina_status lmn_keep(lmn_eval *ec, const lamina_tensor *v, lamina_tensor **out)
{
    lamina_tensor *t =
        (lamina_tensor *)(uintptr_t)v; /* a reference count is not part of the value */
    const bool counted = lmn_atomic_load(&t->refs, seq_cst) > 0;
    lamina_status st;
    if (v->kind != LAMINA_KIND_TENSOR) {
        if (counted) {
            *out = lamina_tensor_ref(t);
            return LAMINA_OK;
        }
        if (v->kind == LAMINA_KIND_NONE)
            st = lamina_none_create(ec->engine, v->dtype, out);
        else if (v->kind == LAMINA_KIND_MAP)
            st = lmn_map_new(ec->engine, v->items[0], v->items[1], out);
        else
            st = lamina_sequence_create(ec->engine, v->dtype, v->n_items, v->items, out);
    } else if (v->buf && counted) {
        *out = lamina_tensor_ref(t);
        return LAMINA_OK;
    } else if (v->buf && !v->strided) {
        st = lmn_tensor_view(t, v->rank, v->dims, 0, v->dtype, out);
    } else {
        st = lmn_tensor_clone(ec->engine, v, out);
    }
    return st == LAMINA_OK ? st : lmn_eval_fail(ec, st, "no memory to keep a value");
}

/* ---- scratch -----------------------------------------------------------------------------------
 */

typedef struct block {
    struct block *next;
    size_t bytes; /* header included */
} block;

void *lmn_scratch(lmn_eval *ec, size_t bytes)
{
    size_t whole;
    if (!lmn_add_size(bytes ? bytes : 1, LMN_TENSOR_ALIGN, &whole)) return NULL;
    block *b = lmn_recycle_alloc(&ec->engine->recycle, &ec->engine->alloc, whole, TAG);
    if (!b) return NULL;
    *b = (block){ec->scratch_head, whole};
    ec->scratch_head = b;
    return (uint8_t *)b + LMN_TENSOR_ALIGN;
}

void lmn_scratch_release(lmn_eval *ec)
{
    block *b = ec->scratch_head;
    ec->scratch_head = NULL;
    while (b) {
        block *next = b->next;
        lmn_recycle_free(&ec->engine->recycle, &ec->engine->alloc, b, b->bytes, TAG);
        b = next;
    }
}

/* ---- errors and the host -----------------------------------------------------------------------
 */

lamina_status lmn_eval_fail(lmn_eval *ec, lamina_status status, const char *fmt, ...)
{
    char what[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    if (!ec->node) return lmn_fail(ec->err, status, "%s", what); /* handing out the outputs */
    if (ec->node->name[0])
        return lmn_fail(ec->err, status, "node \"%.80s\" (%s): %s", ec->node->name,
                        ec->node->def->name, what);
    return lmn_fail(ec->err, status, "%s: %s", ec->node->def->name, what);
}

void lmn_extents_text(int32_t rank, const int64_t *dims, char *buf, size_t cap)
{
    size_t n = lmn_format(buf, cap, "[");
    for (int32_t k = 0; k < rank; k++)
        n += lmn_format(buf + n, cap - n, "%s%lld", k ? "," : "", (long long)dims[k]);
    (void)lmn_format(buf + n, cap - n, "]");
}

lamina_status lmn_run_graph(lmn_eval *ec, const lmn_attr *graph, lamina_tensor *const *in,
                            int32_t n_in, lamina_tensor **out, int32_t n_out)
{
    if (!ec->host || !ec->host->run_graph)
        return lmn_eval_fail(ec, LAMINA_E_UNSUPPORTED, "subgraphs cannot be run here");
    return ec->host->run_graph(ec, graph, in, n_in, out, n_out);
}

bool lmn_eval_cancelled(lmn_eval *ec)
{
    return ec->host && ec->host->cancelled && ec->host->cancelled(ec);
}
