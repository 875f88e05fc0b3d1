/*
 * Shared parts of the control flow operators.
 *
 * Loop-carried facts settle because widening only ever forgets: two rounds without a change, or one
 * round per thing that can be forgotten, and then everything is unknown.
 */
#include "ops/control.h"

#include <string.h>

/* What the turns of one output may hold together before they are joined. */
#define STACK_MAX_BYTES ((size_t)16 << 30)
#define SETTLE_ROUNDS 12

lamina_status lmn_stack_push(lmn_eval *ec, lmn_stack *s, lamina_tensor *t)
{
    if (s->n == s->cap) {
        const int64_t cap = s->cap ? 2 * s->cap : 16;
        lamina_tensor **at = NULL;
        lamina_status st = lmn_seq_items(ec, cap, &at);
        if (st != LAMINA_OK) {
            lamina_tensor_unref(t);
            return st;
        }
        if (s->n) memcpy(at, s->at, (size_t)s->n * sizeof(lamina_tensor *));
        s->at = at;
        s->cap = cap;
    }
    s->at[s->n++] = t;
    s->bytes += t->data_bytes;
    if (s->bytes > STACK_MAX_BYTES)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT,
                             "the stacked output passes %zu bytes after %lld turns",
                             STACK_MAX_BYTES, (long long)s->n);
    return LAMINA_OK;
}

void lmn_stack_release(lmn_stack *s)
{
    lmn_seq_unref(s->at, s->n);
    *s = (lmn_stack){0};
}

/* What output g of the body would be, by the facts of its inputs. */
static lamina_status first_turn(lmn_eval *ec, const lmn_stacked *how, lmn_fact *f)
{
    const int32_t caps = ec->node->n_caps, n = how->n_formal + caps;
    *f = lmn_fact_unknown();
    if (!ec->host || !ec->host->graph_fact) return LAMINA_OK;
    lmn_fact *own = lmn_scratch(ec, (size_t)(caps + 1) * sizeof *own);
    const lmn_fact **in = lmn_scratch(ec, (size_t)(n + 1) * sizeof *in);
    if (!own || !in) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for facts");
    for (int32_t k = 0; k < how->n_formal; k++) in[k] = &how->formal[k];
    for (int32_t k = 0; k < caps; k++) {
        const lamina_tensor *t = ec->in[ec->n_in - caps + k];
        own[k] = t ? lmn_fact_of(t, NULL) : lmn_fact_unknown();
        in[how->n_formal + k] = &own[k];
    }
    if (!ec->host->graph_fact(ec, lmn_attr_find(ec->node, "body"), in, n, how->g, f))
        *f = lmn_fact_unknown();
    return LAMINA_OK;
}

static lamina_status empty_out(lmn_eval *ec, int32_t o, const lmn_stacked *how)
{
    lmn_fact f;
    int64_t dims[LMN_MAX_RANK + 1];
    int32_t axis = 0;
    lamina_tensor *t;
    LMN_TRY(first_turn(ec, how, &f));
    const int32_t rank = (f.rank > 0 ? f.rank : 0) + 1;
    LMN_TRY(lmn_axis(ec, how->axis, rank, &axis));
    for (int32_t k = 0, i = 0; k < rank; k++) {
        const lmn_dim d = k == axis ? lmn_dim_c(0) : f.dims[i++];
        dims[k] = lmn_dim_known(d) && lmn_dim_is_const(d) ? lmn_dim_value(d) : 0;
    }
    return lmn_out(ec, o, f.dtype ? f.dtype : LAMINA_F32, rank, dims, &t);
}

lamina_status lmn_stack_out(lmn_eval *ec, int32_t o, lmn_stack *s, const lmn_stacked *how)
{
    if (!lmn_out_wanted(ec, o)) return LAMINA_OK;
    if (s->n == 0) return empty_out(ec, o, how);
    for (int64_t i = 0, j = s->n - 1; how->reverse && i < j; i++, j--) {
        lamina_tensor *swap = s->at[i];
        s->at[i] = s->at[j];
        s->at[j] = swap;
    }
    return lmn_join(ec, o, s->at, s->n, how->axis, true);
}

lamina_status lmn_scalar(lmn_eval *ec, lamina_dtype dt, int64_t v, lamina_tensor **out)
{
    const lamina_status st = lamina_tensor_create(ec->engine, dt, 0, NULL, out);
    if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "no memory for a scalar");
    lmn_set_i64(*out, 0, v);
    return LAMINA_OK;
}

lamina_status lmn_truth(lmn_eval *ec, const lamina_tensor *t, const char *what, bool *out)
{
    if (!t || t->kind != LAMINA_KIND_TENSOR || t->dtype != LAMINA_BOOL)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "%s must be a bool", what);
    if (lmn_count(t) != 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s must be one bool and is %lld", what,
                             (long long)lmn_count(t));
    *out = *(const uint8_t *)t->data != 0;
    return LAMINA_OK;
}

/* ---- facts --------------------------------------------------------------------------------------
 */

lamina_status lmn_call_facts_make(lmn_infer *ic, int32_t n_formal, int32_t n_out, lmn_call_facts *c)
{
    const int32_t caps = ic->node->n_caps, n = n_formal + caps;
    *c = (lmn_call_facts){.n_in = n, .n_out = n_out};
    c->in = LMN_ARENA_ARRAY(ic->arena, const lmn_fact *, (size_t)n + 1);
    c->own = LMN_ARENA_ARRAY(ic->arena, lmn_fact, (size_t)n + 1);
    c->out = LMN_ARENA_ARRAY(ic->arena, lmn_fact, (size_t)n_out + 1);
    if (!c->in || !c->own || !c->out)
        return lmn_infer_fail(ic, LAMINA_E_NOMEM, NULL, "no memory to infer a subgraph");
    for (int32_t i = 0; i < n; i++) {
        c->own[i] = lmn_fact_unknown();
        c->in[i] = i < n_formal ? &c->own[i] : ic->in[ic->node->n_in - caps + (i - n_formal)];
    }
    return LAMINA_OK;
}

lamina_status lmn_call_facts_run(lmn_infer *ic, const char *graph, lmn_call_facts *c)
{
    for (int32_t o = 0; o < c->n_out; o++) c->out[o] = lmn_fact_unknown();
    if (!ic->subgraph) return LAMINA_OK;
    return ic->subgraph(ic, lmn_attr_find(ic->node, graph), c->in, c->n_in, c->out, c->n_out);
}

static bool same_fact(const lmn_fact *a, const lmn_fact *b)
{
    if (a->kind != b->kind || a->key != b->key || a->maybe != b->maybe || a->dtype != b->dtype ||
        a->rank != b->rank || a->n_elems != b->n_elems)
        return false;
    for (int32_t k = 0; k < a->rank; k++)
        if (a->dims[k] != b->dims[k]) return false;
    return true;
}

lamina_status lmn_call_facts_settle(lmn_infer *ic, lmn_call_facts *c, int32_t at, int32_t from,
                                    int32_t n)
{
    for (int32_t round = 0;; round++) {
        bool changed = false;
        LMN_TRY(lmn_call_facts_run(ic, "body", c));
        for (int32_t k = 0; k < n; k++) {
            lmn_fact *in = &c->own[at + k];
            const lmn_fact before = *in, *got = &c->out[from + k];
            if (in->dtype && got->dtype && in->dtype != got->dtype)
                return lmn_infer_fail(ic, LAMINA_E_DTYPE, "give each state one type",
                                      "state %d enters as %s and leaves the body as %s", k,
                                      lamina_dtype_name(in->dtype), lamina_dtype_name(got->dtype));
            lmn_fact_widen(in, got);
            if (!in->dtype) in->dtype = before.dtype ? before.dtype : got->dtype;
            if (round >= SETTLE_ROUNDS) in->rank = -1;
            changed = changed || !same_fact(in, &before);
        }
        if (!changed || round > SETTLE_ROUNDS) return LAMINA_OK;
    }
}

lamina_status lmn_infer_stacked(lmn_infer *ic, int32_t o, const lmn_fact *f, int64_t axis,
                                lmn_dim len)
{
    int32_t a = 0;
    lmn_fact *out;
    const bool ranked = f->kind == LMN_FACT_TENSOR && f->rank >= 0;
    if (ranked) LMN_TRY(lmn_infer_axis(ic, axis, f->rank + 1, &a));
    LMN_TRY(lmn_infer_typed(ic, o, f->dtype, ranked ? f->rank + 1 : -1, &out));
    for (int32_t k = 0, i = 0; ranked && k <= f->rank; k++)
        out->dims[k] = k == a ? len : f->dims[i++];
    return LAMINA_OK;
}
