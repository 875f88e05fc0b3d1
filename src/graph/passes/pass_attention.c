/*
 * Attention written out becomes FusedAttention (ops/fusedattn.h):
 *
 *   MatMul(q, k') [Mul, Div by a constant] [Where with a constant] [Add a mask] Softmax MatMul(.,
 * v)
 *
 * with scales and Transposes of q, k, v, the Transpose of the result, and the Expand that repeats
 * key heads for groups of query heads, taken in. f32 of rank 3 or 4 only. Reshapes stay: they are
 * views. Masks may broadcast as they like, the operator does as the separate ones do; of the heads
 * the numbers must be known. The last bits may change.
 */
#include "graph/passes/match.h"

#include <math.h>
#include <string.h>

enum { MAX_PEEL = 8 };

/* Transpose(v, perm) * scale. */
typedef struct side {
    lmn_vid v;
    int64_t perm[4];
} side;

typedef struct attention {
    int32_t rank;
    side q, k, v;
    double scale, fill;
    bool keep_if;
    lmn_vid bias, keep;
} attention;

static const lmn_fact *fact_of(const lmn_match *m, lmn_vid v)
{
    return &m->g->values[v].fact;
}

static bool is_tensor(const lmn_match *m, lmn_vid v, lamina_dtype dt, int32_t rank_max)
{
    const lmn_fact *f = fact_of(m, v);
    return v && f->kind == LMN_FACT_TENSOR && f->dtype == dt && f->rank >= 0 && f->rank <= rank_max;
}

/* v = x * k with a constant k that does not widen x: x, else 0. */
static lmn_vid scaled(const lmn_match *m, lmn_vid v, double *scale)
{
    const lmn_gnode *n = lmn_match_maker(m, v);
    const bool mul = lmn_match_op(n, "Mul"), div = lmn_match_op(n, "Div");
    double k;
    for (int32_t i = 0; (mul && i < 2) || (div && i < 1); i++) {
        const lmn_vid x = n->in[i], c = n->in[1 - i];
        if (!lmn_match_scalar(m, c, &k) || !lmn_match_is_f32(m, x)) continue;
        if (fact_of(m, c)->rank > fact_of(m, x)->rank || !isfinite(k) || k == 0) continue;
        *scale = mul ? *scale * k : *scale / k;
        return x;
    }
    return 0;
}

/* Goes on to the input of the Transpose that makes s->v, if one does. */
static bool untranspose(const lmn_match *m, int32_t rank, side *s)
{
    const lmn_gnode *n = lmn_match_made_by(m, s->v, "Transpose");
    const int64_t *p;
    if (!n || !is_tensor(m, n->in[0], LAMINA_F32, rank)) return false;
    const int32_t count = lmn_attr_ints(&n->op, "perm", &p);
    if (count && count != rank) return false;
    for (int32_t i = 0; i < rank; i++) s->perm[i] = count ? p[s->perm[i]] : rank - 1 - s->perm[i];
    s->v = n->in[0];
    return true;
}

/* Are these dims of two shapes known and equal? */
static bool same_dims(const lmn_fact *a, const char *at, const lmn_fact *b, const char *bt)
{
    for (; *at; at++, bt++) {
        const lmn_dim x = a->dims[*at - '0'];
        if (!lmn_dim_known(x) || x != b->dims[*bt - '0']) return false;
    }
    return true;
}

/* [b, h, t, d] from [b, h / r, t, d] by way of [b, h / r, r, t, d]: goes on to what is repeated. */
static bool unrepeat(const lmn_match *m, side *s)
{
    const lmn_gnode *back = lmn_match_made_by(m, s->v, "Reshape");
    const lmn_gnode *expand = back ? lmn_match_made_by(m, back->in[0], "Expand") : NULL;
    const lmn_gnode *out = expand ? lmn_match_maker(m, expand->in[0]) : NULL;
    if (s->perm[1] != 1 || (!lmn_match_op(out, "Unsqueeze") && !lmn_match_op(out, "Reshape")))
        return false;
    const lmn_fact *to = fact_of(m, s->v), *wide = fact_of(m, back->in[0]),
                   *one = fact_of(m, expand->in[0]), *from = fact_of(m, out->in[0]);
    if (to->rank != 4 || wide->rank != 5 || one->rank != 5 || from->rank != 4) return false;
    if (!same_dims(from, "0123", one, "0134") || !same_dims(one, "0134", wide, "0134") ||
        !same_dims(from, "023", to, "023") || one->dims[2] != lmn_dim_c(1))
        return false;
    const lmn_dim heads = from->dims[1], times = wide->dims[2], all = to->dims[1];
    if (!lmn_dim_is_const(heads) || !lmn_dim_is_const(times) || !lmn_dim_is_const(all) ||
        lmn_dim_value(heads) < 1 ||
        lmn_dim_value(all) / lmn_dim_value(heads) != lmn_dim_value(times) ||
        lmn_dim_value(all) % lmn_dim_value(heads))
        return false;
    s->v = out->in[0];
    return true;
}

/* The operand v of a product, seen through what the operator can do itself; scale NULL: no scale.
 */
static side peel(const lmn_match *m, lmn_vid v, int32_t rank, bool repeats, double *scale)
{
    side s = {.v = v, .perm = {0, 1, 2, 3}};
    for (int32_t i = 0; i < MAX_PEEL; i++) {
        const lmn_vid x = scale ? scaled(m, s.v, scale) : 0;
        if (x && fact_of(m, x)->rank == rank)
            s.v = x;
        else if (!untranspose(m, rank, &s) && !(repeats && rank == 4 && unrepeat(m, &s)))
            break;
    }
    return s;
}

/* k' as the product has it becomes k: the last two axes change places. */
static void turn(side *s, int32_t rank)
{
    const int64_t last = s->perm[rank - 1];
    s->perm[rank - 1] = s->perm[rank - 2];
    s->perm[rank - 2] = last;
}

/* v = the product of queries and keys, scaled. */
static bool match_product(const lmn_match *m, lmn_vid v, attention *a)
{
    a->scale = 1;
    for (int32_t i = 0; i < MAX_PEEL; i++) {
        const lmn_vid x = lmn_match_once(m, v) ? scaled(m, v, &a->scale) : 0;
        if (!x) break;
        v = x;
    }
    const lmn_gnode *n = lmn_match_made_by(m, v, "MatMul");
    if (!n || !lmn_match_once(m, v)) return false;
    for (int32_t i = 0; i < 2; i++)
        if (!lmn_match_is_f32(m, n->in[i]) || fact_of(m, n->in[i])->rank != a->rank) return false;
    a->q = peel(m, n->in[0], a->rank, false, &a->scale);
    a->k = peel(m, n->in[1], a->rank, true, &a->scale);
    turn(&a->k, a->rank);
    return isfinite((float)a->scale);
}

/* v = the scaled product, perhaps with a constant where a condition says so. */
static bool match_kept(const lmn_match *m, lmn_vid v, attention *a)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Where");
    a->keep = 0;
    if (!n) return match_product(m, v, a);
    if (!lmn_match_once(m, v) || !is_tensor(m, n->in[0], LAMINA_BOOL, a->rank)) return false;
    for (int32_t i = 1; i < 3; i++) {
        const lmn_vid c = n->in[3 - i];
        if (!lmn_match_scalar(m, c, &a->fill) || !is_tensor(m, c, LAMINA_F32, a->rank)) continue;
        a->keep = n->in[0];
        a->keep_if = i == 1;
        return match_product(m, n->in[i], a);
    }
    return false;
}

/* v = what the Softmax reads. */
static bool match_scores(const lmn_match *m, lmn_vid v, attention *a)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Add");
    a->bias = 0;
    if (!lmn_match_once(m, v)) return false;
    if (!n) return match_kept(m, v, a);
    for (int32_t i = 0; i < 2; i++) {
        if (!is_tensor(m, n->in[1 - i], LAMINA_F32, a->rank) || !match_kept(m, n->in[i], a))
            continue;
        a->bias = n->in[1 - i];
        return true;
    }
    return false;
}

static int64_t heads_of(const lmn_match *m, const side *s)
{
    const lmn_dim d = fact_of(m, s->v)->dims[s->perm[1]];
    return lmn_dim_is_const(d) ? lmn_dim_value(d) : 0;
}

/* Heads of keys that an Expand repeated may be fewer, others only one. */
static bool heads_fit(const lmn_match *m, const attention *a)
{
    if (a->rank == 3) return true;
    const int64_t q = heads_of(m, &a->q), k = heads_of(m, &a->k), v = heads_of(m, &a->v);
    return q >= 1 && k >= 1 && v >= 1 && q % k == 0 && q % v == 0;
}

/* Do the operands of the product themselves have as many heads as they should? */
static bool heads_equal(const lmn_match *m, lmn_vid x, lmn_vid y, int32_t rank)
{
    if (rank == 3) return true;
    const lmn_dim a = fact_of(m, x)->dims[1], b = fact_of(m, y)->dims[1];
    return lmn_dim_is_const(a) && lmn_dim_is_const(b) && (a == b || b == lmn_dim_c(1));
}

/* n = MatMul(Softmax(scores), v) */
static bool match_attention(const lmn_match *m, const lmn_gnode *n, attention *a)
{
    const lmn_gnode *soft = lmn_match_made_by(m, n->in[0], "Softmax");
    if (!soft || !lmn_match_once(m, n->in[0]) || !lmn_match_is_f32(m, n->in[1])) return false;
    const lmn_fact *f = fact_of(m, n->in[0]);
    if (f->kind != LMN_FACT_TENSOR || f->dtype != LAMINA_F32) return false;
    a->rank = f->rank;
    const int64_t axis = lmn_attr_i(&soft->op, "axis", -1);
    if ((a->rank != 3 && a->rank != 4) || fact_of(m, n->in[1])->rank != a->rank ||
        (axis != -1 && axis != a->rank - 1) || !match_scores(m, soft->in[0], a))
        return false;
    if (!heads_equal(m, n->in[0], n->in[1], a->rank)) return false;
    a->v = peel(m, n->in[1], a->rank, true, NULL);
    return heads_fit(m, a);
}

static lamina_status become(lmn_match *m, lmn_gnode *n, const attention *a, const int64_t *perm_y)
{
    const lmn_vid in[5] = {a->q.v, a->k.v, a->v.v, a->bias, a->keep};
    const int64_t *perms[4] = {a->k.perm, a->q.perm, a->v.perm, perm_y};
    static const char *const NAMES[4] = {"perm_k", "perm_q", "perm_v", "perm_y"};
    lmn_attr attrs[7];
    int32_t n_attrs = 0;
    if (a->keep) {
        attrs[n_attrs++] =
            (lmn_attr){.name = "fill", .type = LMN_ATTR_FLOAT, .n = 1, .u.f = (float)a->fill};
        attrs[n_attrs++] =
            (lmn_attr){.name = "keep_if", .type = LMN_ATTR_INT, .n = 1, .u.i = a->keep_if};
    }
    for (int32_t i = 0; i < 4; i++) {
        const int64_t *list = lmn_arena_dup(&m->g->arena, perms[i], (size_t)a->rank * sizeof *list);
        if (!list) return LAMINA_E_NOMEM;
        attrs[n_attrs++] =
            (lmn_attr){.name = NAMES[i], .type = LMN_ATTR_INTS, .n = a->rank, .u.ints = list};
    }
    attrs[n_attrs++] =
        (lmn_attr){.name = "scale", .type = LMN_ATTR_FLOAT, .n = 1, .u.f = (float)a->scale};
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "lamina",
                                           .op = "FusedAttention",
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = in,
                                           .n_in = a->keep   ? 5
                                                   : a->bias ? 4
                                                             : 3,
                                           .attrs = attrs,
                                           .n_attrs = n_attrs});
}

/* First the products whose result is transposed, then the others. */
static lamina_status run(lmn_match *m)
{
    static const int64_t AS_IS[4] = {0, 1, 2, 3};
    attention a = {0};
    for (size_t i = 0; i < m->g->n_nodes; i++) {
        lmn_gnode *n = &m->g->nodes[i];
        const lmn_gnode *product = !n->dead && lmn_match_op(n, "Transpose")
                                       ? lmn_match_made_by(m, n->in[0], "MatMul")
                                       : NULL;
        const int64_t *perm;
        if (!product || !lmn_match_once(m, n->in[0]) || !match_attention(m, product, &a) ||
            lmn_attr_ints(&n->op, "perm", &perm) != a.rank)
            continue;
        LMN_TRY(become(m, n, &a, perm));
    }
    for (size_t i = 0; i < m->g->n_nodes; i++) {
        lmn_gnode *n = &m->g->nodes[i];
        if (!n->dead && lmn_match_op(n, "MatMul") && match_attention(m, n, &a))
            LMN_TRY(become(m, n, &a, AS_IS));
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_attention(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_attention(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
