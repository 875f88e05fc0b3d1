/*
 * Attention written out becomes FusedAttention (ops/fusedattn.h):
 *
 *   MatMul(q, k') [Mul, Div by a constant] [Where with a constant] [Add a mask, or two] Softmax
 *   [Where(IsNaN, 0)] MatMul(., v)
 *
 * with scales and Transposes of q, k, v, the Transpose of the result, and the Expand that repeats
 * key heads for groups of query heads, taken in. f32, f16 or bf16 of rank 3 or 4 only; half
 * precision may have its Softmax in f32 between Casts. Reshapes stay: they are views. Two masks are
 * added to each other by the node that added the second one. Masks may broadcast as they like, the
 * operator does as the separate ones do; of the heads the numbers must be known. The last bits may
 * change.
 */
#include "graph/passes/match.h"
#include "ops/linalg.h"

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
    lamina_dtype dt;
    side q, k, v;
    double scale, fill;
    bool keep_if, zero_blind;
    lmn_vid bias, keep;
    lmn_gnode *join; /* adds the second mask, `also`, to what has the first; NULL: one or none */
    lmn_vid also;
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

/* Is v of the type and rank that the attention works in? */
static bool is_operand(const lmn_match *m, lmn_vid v, const attention *a)
{
    return is_tensor(m, v, a->dt, a->rank) && fact_of(m, v)->rank == a->rank;
}

/* v = x * k with a constant k that does not widen x: x, else 0. */
static lmn_vid scaled(const lmn_match *m, lmn_vid v, double *scale)
{
    const lmn_gnode *n = lmn_match_maker(m, v);
    const bool mul = lmn_match_op(n, "Mul"), div = lmn_match_op(n, "Div");
    double k;
    for (int32_t i = 0; (mul && i < 2) || (div && i < 1); i++) {
        const lmn_vid x = n->in[i], c = n->in[1 - i];
        if (!lmn_match_scalar(m, c, &k) || fact_of(m, x)->kind != LMN_FACT_TENSOR) continue;
        if (fact_of(m, x)->rank < 0 || fact_of(m, c)->rank > fact_of(m, x)->rank || !isfinite(k) ||
            k == 0)
            continue;
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
    if (!n || fact_of(m, n->in[0])->rank != rank) return false;
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
    if (!is_operand(m, n->in[0], a) || !is_operand(m, n->in[1], a)) return false;
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
        if (!lmn_match_scalar(m, c, &a->fill) || !is_tensor(m, c, a->dt, a->rank)) continue;
        a->keep = n->in[0];
        a->keep_if = i == 1;
        return match_product(m, n->in[i], a);
    }
    return false;
}

/* v = the scores with a mask added to them, if one is. */
static bool match_masked(const lmn_match *m, lmn_vid v, attention *a)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Add");
    a->bias = 0;
    if (!n) return match_kept(m, v, a);
    for (int32_t i = 0; lmn_match_once(m, v) && i < 2; i++) {
        if (!is_tensor(m, n->in[1 - i], a->dt, a->rank) || !match_kept(m, n->in[i], a)) continue;
        a->bias = n->in[1 - i];
        return true;
    }
    return false;
}

/* v = what the Softmax reads: perhaps with a second mask. */
static bool match_scores(const lmn_match *m, lmn_vid v, attention *a)
{
    lmn_gnode *n = lmn_match_made_by(m, v, "Add");
    a->join = NULL;
    if (!lmn_match_once(m, v)) return false;
    if (match_masked(m, v, a)) return true;
    for (int32_t i = 0; n && i < 2; i++) {
        if (!is_tensor(m, n->in[1 - i], a->dt, a->rank) || !match_masked(m, n->in[i], a)) continue;
        a->join = n, a->also = n->in[1 - i];
        return true;
    }
    return false;
}

/* v = weights where a row that sees nothing may be 0 instead of NaN: the weights. */
static lmn_vid unguard(const lmn_match *m, lmn_vid v, bool *guarded)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Where");
    const lmn_gnode *nan = n ? lmn_match_made_by(m, n->in[0], "IsNaN") : NULL;
    double zero;
    *guarded = nan && nan->in[0] == n->in[2] && lmn_match_once(m, n->in[0]) &&
               m->uses[n->in[2]] == 2 && !m->g->values[n->in[2]].is_output &&
               lmn_match_scalar(m, n->in[1], &zero) && zero == 0 &&
               fact_of(m, n->in[1])->rank <= fact_of(m, n->in[2])->rank;
    return *guarded ? n->in[2] : v;
}

/* The Softmax over the last axis that makes v, in f32 between Casts if v is of less. Its input is
 *from. */
static bool match_softmax(const lmn_match *m, lmn_vid v, attention *a, lmn_vid *from)
{
    const bool half = a->dt != LAMINA_F32;
    if (!lmn_match_once(m, v)) return false;
    v = unguard(m, v, &a->zero_blind);
    const lmn_gnode *down = half ? lmn_match_made_by(m, v, "Cast") : NULL;
    if (down && !lmn_match_once(m, down->in[0])) return false;
    const lmn_gnode *soft = lmn_match_made_by(m, down ? down->in[0] : v, "Softmax");
    if (!soft) return false;
    const int64_t axis = lmn_attr_i(&soft->op, "axis", -1);
    *from = soft->in[0];
    if (down && (!lmn_match_once(m, *from) || lmn_match_narrow(m, *from) == *from)) return false;
    if (down) *from = lmn_match_narrow(m, *from);
    return (axis == -1 || axis == a->rank - 1) && is_operand(m, *from, a);
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
static bool match_attention(lmn_match *m, const lmn_gnode *n, attention *a)
{
    lmn_vid scores;
    *a = (attention){.dt = lmn_match_float(m, n->in[0]), .rank = fact_of(m, n->in[0])->rank};
    if (!a->dt || (a->rank != 3 && a->rank != 4) || !is_operand(m, n->in[1], a) ||
        !match_softmax(m, n->in[0], a, &scores) || !match_scores(m, scores, a) ||
        !heads_equal(m, n->in[0], n->in[1], a->rank))
        return false;
    a->v = peel(m, n->in[1], a->rank, true, NULL);
    return heads_fit(m, a);
}

/* The node that added the second mask to the scores adds it to the first one. Nobody else reads it.
 */
static lamina_status join_masks(lmn_match *m, const attention *a)
{
    const lmn_vid in[2] = {a->bias, a->also};
    const lmn_vid made = a->join->out[0];
    LMN_TRY(lmn_match_become(m, a->join,
                             &(lmn_rewrite){.domain = "",
                                            .op = "Add",
                                            .name = a->join->op.name,
                                            .opset = a->join->op.opset,
                                            .in = in,
                                            .n_in = 2}));
    lmn_fact *to = &m->g->values[made].fact;
    const lmn_fact *f = fact_of(m, in[0]), *g = fact_of(m, in[1]);
    to->rank = f->rank > g->rank ? f->rank : g->rank;
    for (int32_t i = 0; i < to->rank; i++) {
        const int32_t fi = i - (to->rank - f->rank), gi = i - (to->rank - g->rank);
        if (!lmn_dim_broadcast(m->g->dims, fi < 0 ? lmn_dim_c(1) : f->dims[fi],
                               gi < 0 ? lmn_dim_c(1) : g->dims[gi], &to->dims[i]))
            to->dims[i] = LMN_DIM_UNKNOWN;
    }
    return LAMINA_OK;
}

static lamina_status become(lmn_match *m, lmn_gnode *n, const attention *a, const int64_t *perm_y)
{
    const lmn_vid bias = a->join ? a->join->out[0] : a->bias;
    const lmn_vid in[5] = {a->q.v, a->k.v, a->v.v, bias, a->keep};
    const int64_t *perms[4] = {a->k.perm, a->q.perm, a->v.perm, perm_y};
    static const char *const NAMES[4] = {"perm_k", "perm_q", "perm_v", "perm_y"};
    lmn_attr attrs[8];
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
    if (a->zero_blind)
        attrs[n_attrs++] = (lmn_attr){.name = "zero_blind", .type = LMN_ATTR_INT, .n = 1, .u.i = 1};
    LMN_TRY(lmn_match_become(m, n,
                             &(lmn_rewrite){.domain = "lamina",
                                            .op = "FusedAttention",
                                            .name = n->op.name,
                                            .opset = n->op.opset,
                                            .in = in,
                                            .n_in = a->keep   ? 5
                                                    : a->bias ? 4
                                                              : 3,
                                            .attrs = attrs,
                                            .n_attrs = n_attrs}));
    return a->join ? join_masks(m, a) : LAMINA_OK;
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
