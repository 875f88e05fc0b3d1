/*
 * Rotary positions written out, as Llama does it:
 *
 *   x * cos + Concat(-x[half:], x[:half]) * sin
 *
 * becomes RotaryEmbedding, when cos and sin are [batch, 1, place, size] with two equal halves: of
 * angles that a Concat doubled, or rows of a table whose halves are equal. The two products become
 * Slices that take one half of cos and sin; all who use the same angles share them. f32, f16 and
 * bf16. The last bits may change.
 */
#include "graph/passes/match.h"

#include <string.h>

enum { MAX_CHAIN = 8 };

/* Halves of angles taken so far: what they were taken of, and what holds them. */
typedef struct half_of {
    lmn_vid whole, half;
} half_of;

typedef struct rotary {
    lmn_vid x, angle[2]; /* of cos and sin, [batch, place, size] */
    lmn_gnode *product[2];
} rotary;

typedef struct rotary_pass {
    lmn_match m;
    half_of *taken;
    size_t n_taken, cap_taken;
} rotary_pass;

static const lmn_fact *fact_of(const lmn_match *m, lmn_vid v)
{
    return &m->g->values[v].fact;
}

/* A constant of one integer. */
static bool int_of(const lmn_match *m, lmn_vid v, int64_t *out)
{
    const lamina_tensor *t = lmn_match_const(m, v);
    if (!t || lmn_count(t) != 1 || (t->dtype != LAMINA_I64 && t->dtype != LAMINA_I32)) return false;
    *out = lmn_get_i64(t, 0);
    return true;
}

/* v = x[..., from : from + half] of a last axis of 2 half: x, else 0. */
static lmn_vid part_of(const lmn_match *m, lmn_vid v, bool second, int64_t half)
{
    const lmn_gnode *n = lmn_match_maker(m, v);
    if (!n || n->op.n_in < 1) return 0;
    const lmn_fact *f = fact_of(m, n->in[0]);
    if (f->rank != 4 || f->dims[3] != lmn_dim_c(2 * half)) return 0;
    if (lmn_match_op(n, "Split")) {
        const int64_t axis = lmn_attr_i(&n->op, "axis", 0);
        return n->op.n_out == 2 && (axis == 3 || axis == -1) && n->out[second] == v &&
                       fact_of(m, v)->rank == 4 && fact_of(m, v)->dims[3] == lmn_dim_c(half)
                   ? n->in[0]
                   : 0;
    }
    int64_t from, to, axis, step = 1;
    if (!lmn_match_op(n, "Slice") || n->op.n_in < 4 || !int_of(m, n->in[1], &from) ||
        !int_of(m, n->in[2], &to) || !int_of(m, n->in[3], &axis) ||
        (n->op.n_in == 5 && n->in[4] && !int_of(m, n->in[4], &step)))
        return 0;
    if (from < 0) from += 2 * half;
    if (to < 0) to += 2 * half;
    if ((axis != 3 && axis != -1) || step != 1 || from != (second ? half : 0)) return 0;
    return (second ? to >= 2 * half : to == half) ? n->in[0] : 0;
}

/* v = Concat(-x[half:], x[:half]): x, else 0. */
static lmn_vid turned(const lmn_match *m, lmn_vid v)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Concat");
    const lmn_fact *f = fact_of(m, v);
    if (!n || n->op.n_in != 2 || !lmn_match_once(m, v) || f->rank != 4) return 0;
    const int64_t axis = lmn_attr_i(&n->op, "axis", 0);
    const lmn_gnode *neg = lmn_match_made_by(m, n->in[0], "Neg");
    if ((axis != 3 && axis != -1) || !neg || !lmn_match_once(m, n->in[0]) ||
        !lmn_dim_is_const(f->dims[3]) || lmn_dim_value(f->dims[3]) % 2)
        return 0;
    const int64_t half = lmn_dim_value(f->dims[3]) / 2;
    const lmn_vid x = part_of(m, n->in[1], false, half);
    return x && half > 0 && x == part_of(m, neg->in[0], true, half) ? x : 0;
}

/* Are the two halves of every row of the constant the same bytes? */
static bool rows_doubled(const lamina_tensor *t)
{
    const size_t bytes = lmn_dtype_bytes(t->dtype);
    const int64_t size = t->rank > 0 ? t->dims[t->rank - 1] : 0, n = lmn_count(t);
    const uint8_t *p = t->data;
    if (!bytes || size < 2 || size % 2) return false;
    for (int64_t i = 0; i < n; i += size) {
        const uint8_t *row = p + (size_t)i * bytes;
        if (memcmp(row, row + (size_t)(size / 2) * bytes, (size_t)(size / 2) * bytes)) return false;
    }
    return true;
}

/* Are the two halves of the last axis of v, of rank 3, the same? */
static bool doubled(const lmn_match *m, lmn_vid v)
{
    static const char *const EACH[] = {"Cos", "Sin", "Cast", "Identity"};
    double k;
    for (int32_t depth = 0; depth < MAX_CHAIN; depth++) {
        const lmn_gnode *n = lmn_match_maker(m, v);
        if (!n || n->op.n_in < 1) return false;
        lmn_vid next = 0;
        for (size_t i = 0; i < LMN_COUNT(EACH); i++)
            if (lmn_match_op(n, EACH[i])) next = n->in[0];
        for (int32_t i = 0; lmn_match_op(n, "Mul") && i < 2; i++)
            if (lmn_match_scalar(m, n->in[i], &k) && fact_of(m, n->in[1 - i])->rank == 3)
                next = n->in[1 - i];
        if (lmn_match_op(n, "Concat")) {
            const int64_t axis = lmn_attr_i(&n->op, "axis", 0);
            return n->op.n_in == 2 && n->in[0] == n->in[1] && (axis == 2 || axis == -1);
        }
        if (lmn_match_op(n, "Gather")) {
            const lamina_tensor *t = lmn_match_const(m, n->in[0]);
            return t && t->rank == 2 && lmn_attr_i(&n->op, "axis", 0) == 0 && rows_doubled(t);
        }
        if (!next || fact_of(m, next)->rank != 3) return false;
        v = next;
    }
    return false;
}

/* v = [batch or 1, 1, place, size] by way of [batch or 1, place, size]: that, else 0. */
static lmn_vid angles_of(const lmn_match *m, lmn_vid v, lmn_vid x)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Unsqueeze");
    int64_t axis;
    if (!n || n->op.n_in != 2 || !int_of(m, n->in[1], &axis) || (axis != 1 && axis != -3)) return 0;
    const lmn_fact *f = fact_of(m, n->in[0]), *fx = fact_of(m, x);
    if (f->kind != LMN_FACT_TENSOR || f->rank != 3 || f->dtype != fx->dtype) return 0;
    for (int32_t i = 0; i < 3; i++) {
        const lmn_dim want = fx->dims[i ? i + 1 : 0];
        if (!lmn_dim_known(want) || (f->dims[i] != want && (i || f->dims[i] != lmn_dim_c(1))))
            return 0;
    }
    return doubled(m, n->in[0]) ? n->in[0] : 0;
}

/* n = x * cos + turned x * sin */
static bool match_rotary(lmn_match *m, const lmn_gnode *n, rotary *r)
{
    for (int32_t i = 0; i < 2; i++) {
        lmn_gnode *plain = lmn_match_made_by(m, n->in[1 - i], "Mul");
        lmn_gnode *swapped = lmn_match_made_by(m, n->in[i], "Mul");
        if (!plain || !swapped || !lmn_match_once(m, n->in[0]) || !lmn_match_once(m, n->in[1]))
            continue;
        for (int32_t k = 0; k < 2; k++) {
            const lmn_vid x = turned(m, swapped->in[k]);
            if (!x || !lmn_match_float(m, x)) continue;
            const lmn_vid cos = lmn_match_other(plain, x);
            r->x = x;
            r->angle[0] = cos ? angles_of(m, cos, x) : 0;
            r->angle[1] = angles_of(m, swapped->in[1 - k], x);
            r->product[0] = plain, r->product[1] = swapped;
            if (r->angle[0] && r->angle[1] &&
                fact_of(m, r->angle[0])->dims[0] == fact_of(m, r->angle[1])->dims[0])
                return true;
        }
    }
    return false;
}

/* The half of this angle that is there already, else 0. */
static lmn_vid half_taken(const rotary_pass *p, lmn_vid whole)
{
    for (size_t i = 0; i < p->n_taken; i++)
        if (p->taken[i].whole == whole) return p->taken[i].half;
    return 0;
}

static lmn_vid int_constant(lmn_graph *g, int64_t v)
{
    lamina_tensor *t = NULL;
    const int64_t one = 1;
    if (lamina_tensor_create(g->engine, LAMINA_I64, 1, &one, &t) != LAMINA_OK) return 0;
    *(int64_t *)t->data = v;
    const lmn_vid made = lmn_graph_constant(g, "", t);
    lamina_tensor_unref(t);
    return made;
}

/* The product n, which nobody reads but the new node, becomes the first half of `whole`. */
static lamina_status take_half(rotary_pass *p, lmn_gnode *n, lmn_vid whole)
{
    lmn_graph *g = p->m.g;
    const lmn_vid out = n->out[0];
    lmn_fact f = *fact_of(&p->m, whole);
    const int64_t half = lmn_dim_value(f.dims[2]) / 2;
    const lmn_vid in[4] = {whole, int_constant(g, 0), int_constant(g, half), int_constant(g, 2)};
    if (!in[1] || !in[2] || !in[3]) return LAMINA_E_NOMEM;
    LMN_TRY(lmn_grow(&g->engine->alloc, (void **)&p->taken, &p->cap_taken, p->n_taken + 1,
                     LMN_GRAPH_MAX_VALUES, sizeof *p->taken, "pass"));
    LMN_TRY(lmn_match_become(&p->m, n,
                             &(lmn_rewrite){.domain = "",
                                            .op = "Slice",
                                            .name = n->op.name,
                                            .opset = n->op.opset,
                                            .in = in,
                                            .n_in = 4}));
    f.dims[2] = lmn_dim_c(half);
    f.n_elems = -1;
    f.elems = NULL;
    g->values[out].fact = f;
    p->taken[p->n_taken++] = (half_of){whole, out};
    return LAMINA_OK;
}

static lamina_status become(rotary_pass *p, lmn_gnode *n, const rotary *r)
{
    lmn_vid in[3] = {r->x};
    for (int32_t i = 0; i < 2; i++) {
        in[i + 1] = half_taken(p, r->angle[i]);
        if (!in[i + 1]) in[i + 1] = r->product[i]->out[0];
    }
    LMN_TRY(lmn_match_become(&p->m, n,
                             &(lmn_rewrite){.domain = "",
                                            .op = "RotaryEmbedding",
                                            .name = n->op.name,
                                            .opset = n->op.opset,
                                            .in = in,
                                            .n_in = 3}));
    for (int32_t i = 0; i < 2; i++)
        if (in[i + 1] == r->product[i]->out[0]) LMN_TRY(take_half(p, r->product[i], r->angle[i]));
    return LAMINA_OK;
}

static lamina_status run(rotary_pass *p)
{
    rotary r;
    for (size_t i = 0; i < p->m.g->n_nodes; i++) {
        lmn_gnode *n = &p->m.g->nodes[i];
        if (!n->dead && lmn_match_op(n, "Add") && match_rotary(&p->m, n, &r))
            LMN_TRY(become(p, n, &r));
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_rotary(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_rotary(lmn_graph *g, lmn_pass_ctx *ctx)
{
    rotary_pass p = {0};
    lamina_status st = lmn_match_begin(&p.m, g, ctx);
    if (st == LAMINA_OK) st = run(&p);
    lmn_free(&g->engine->alloc, p.taken, p.cap_taken * sizeof *p.taken, 16, "pass");
    lmn_match_finish(&p.m);
    return st;
}
