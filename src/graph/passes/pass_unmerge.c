/*
 * Products over batch and heads merged into one axis, as torch.bmm has them, between Reshapes that
 * merge the two and take them apart again:
 *
 *   Reshape(MatMul(Reshape(a), [Transpose] Reshape(b)))  becomes  MatMul(a, [Transpose] b)
 *
 * and so with a Softmax over the last axis before the product; a Transpose of the last two axes
 * between such Reshapes, as torchlib turns keys, is one of all four. The Reshapes were views, so
 * nothing is added; the attention pass then sees masks that lay between them. Same bits.
 */
#include "graph/passes/match.h"

#include <string.h>

typedef struct operand {
    lmn_vid four;    /* of rank 4 */
    lmn_gnode *turn; /* Transpose of the last two axes in between, read by nobody else; or NULL */
    lmn_gnode *soft; /* the same for a Softmax */
} operand;

static const lmn_fact *fact_of(const lmn_match *m, lmn_vid v)
{
    return &m->g->values[v].fact;
}

static bool has_rank(const lmn_match *m, lmn_vid v, int32_t rank)
{
    return v && fact_of(m, v)->kind == LMN_FACT_TENSOR && fact_of(m, v)->rank == rank;
}

/* Are axes `at` to `at + n` of a those `bt` to `bt + n` of b? */
static bool same_axes(const lmn_fact *a, int32_t at, const lmn_fact *b, int32_t bt, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (!lmn_dim_known(a->dims[at + i]) || a->dims[at + i] != b->dims[bt + i]) return false;
    return true;
}

/* v = Reshape of four axes to three, the first two of them merged: what was reshaped, else 0. */
static lmn_vid merged(const lmn_match *m, lmn_vid v)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Reshape");
    if (!n || !has_rank(m, v, 3) || !has_rank(m, n->in[0], 4)) return 0;
    return same_axes(fact_of(m, n->in[0]), 2, fact_of(m, v), 1, 2) ? n->in[0] : 0;
}

static bool read_operand(const lmn_match *m, lmn_vid v, operand *o)
{
    const int64_t *perm;
    *o = (operand){.four = merged(m, v)};
    if (o->four) return true;
    lmn_gnode *n = lmn_match_maker(m, v);
    if (!n || n->op.n_in < 1 || !lmn_match_once(m, v) || !has_rank(m, v, 3)) return false;
    o->four = merged(m, n->in[0]);
    if (!o->four) return false;
    if (lmn_match_op(n, "Transpose")) {
        o->turn = n;
        return lmn_attr_ints(&n->op, "perm", &perm) == 3 && perm[0] == 0 && perm[1] == 2;
    }
    const int64_t axis = lmn_attr_i(&n->op, "axis", -1);
    o->soft = n;
    return lmn_match_op(n, "Softmax") && (axis == -1 || axis == 2);
}

/* n works on what it reads at rank 4, and so does what it makes. */
static lamina_status lift(lmn_match *m, lmn_gnode *n, lmn_vid four)
{
    const bool turn = lmn_match_op(n, "Transpose");
    int64_t *perm = LMN_ARENA_ARRAY(&m->g->arena, int64_t, 4);
    if (!perm) return LAMINA_E_NOMEM;
    for (int32_t i = 0; i < 4; i++) perm[i] = turn && i > 1 ? 5 - i : i;
    const lmn_attr to =
        turn ? (lmn_attr){.name = "perm", .type = LMN_ATTR_INTS, .n = 4, .u.ints = perm}
             : (lmn_attr){.name = "axis", .type = LMN_ATTR_INT, .n = 1, .u.i = -1};
    lmn_fact f = *fact_of(m, four);
    LMN_TRY(lmn_match_become(m, n,
                             &(lmn_rewrite){.domain = "",
                                            .op = n->op.def->name,
                                            .name = n->op.name,
                                            .opset = n->op.opset,
                                            .in = &four,
                                            .n_in = 1,
                                            .attrs = &to,
                                            .n_attrs = 1}));
    const lmn_dim rows = f.dims[2];
    if (turn) f.dims[2] = f.dims[3], f.dims[3] = rows;
    f.n_elems = -1;
    m->g->values[n->out[0]].fact = f;
    return LAMINA_OK;
}

/* n = Reshape of a product to rank 4: does it take apart what the operands merged? */
static bool match_product(const lmn_match *m, const lmn_gnode *n, operand o[2])
{
    const lmn_gnode *p = lmn_match_made_by(m, n->in[0], "MatMul");
    if (!p || !lmn_match_once(m, n->in[0]) || !has_rank(m, n->out[0], 4) ||
        !has_rank(m, n->in[0], 3) || !read_operand(m, p->in[0], &o[0]) ||
        !read_operand(m, p->in[1], &o[1]))
        return false;
    const lmn_fact *a = fact_of(m, o[0].four), *b = fact_of(m, o[1].four),
                   *y = fact_of(m, n->out[0]);
    return !o[0].turn && !o[1].soft && same_axes(a, 0, b, 0, 2) && same_axes(a, 0, y, 0, 3) &&
           same_axes(b, o[1].turn ? 2 : 3, y, 3, 1);
}

static lamina_status become(lmn_match *m, lmn_gnode *n, const operand o[2])
{
    const lmn_gnode *p = lmn_match_made_by(m, n->in[0], "MatMul");
    lmn_vid in[2];
    for (int32_t i = 0; i < 2; i++) in[i] = o[i].turn || o[i].soft ? p->in[i] : o[i].four;
    const lmn_rewrite to = {.domain = "",
                            .op = "MatMul",
                            .name = p->op.name,
                            .opset = p->op.opset,
                            .in = in,
                            .n_in = 2};
    LMN_TRY(lmn_match_become(m, n, &to));
    for (int32_t i = 0; i < 2; i++) {
        lmn_gnode *between = o[i].turn ? o[i].turn : o[i].soft;
        if (between) LMN_TRY(lift(m, between, o[i].four));
    }
    return LAMINA_OK;
}

/* n = Reshape of merged axes turned: what they were before, if the last two just changed places. */
static lmn_vid match_turn(const lmn_match *m, const lmn_gnode *n)
{
    operand o;
    if (!has_rank(m, n->out[0], 4) || !read_operand(m, n->in[0], &o) || !o.turn) return 0;
    const lmn_fact *a = fact_of(m, o.four), *y = fact_of(m, n->out[0]);
    return same_axes(a, 0, y, 0, 2) && same_axes(a, 2, y, 3, 1) && same_axes(a, 3, y, 2, 1) ? o.four
                                                                                            : 0;
}

static lamina_status become_turn(lmn_match *m, lmn_gnode *n, lmn_vid four)
{
    static const int64_t PERM[4] = {0, 1, 3, 2};
    const lmn_gnode *t = lmn_match_made_by(m, n->in[0], "Transpose");
    const int64_t *perm = lmn_arena_dup(&m->g->arena, PERM, sizeof PERM);
    const lmn_attr attr = {.name = "perm", .type = LMN_ATTR_INTS, .n = 4, .u.ints = perm};
    if (!perm) return LAMINA_E_NOMEM;
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "",
                                           .op = "Transpose",
                                           .name = t->op.name,
                                           .opset = t->op.opset,
                                           .in = &four,
                                           .n_in = 1,
                                           .attrs = &attr,
                                           .n_attrs = 1});
}

static lamina_status run(lmn_match *m)
{
    operand o[2];
    for (size_t i = 0; i < m->g->n_nodes; i++) {
        lmn_gnode *n = &m->g->nodes[i];
        if (n->dead || !lmn_match_op(n, "Reshape")) continue;
        const lmn_vid four = match_turn(m, n);
        if (four)
            LMN_TRY(become_turn(m, n, four));
        else if (match_product(m, n, o))
            LMN_TRY(become(m, n, o));
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_unmerge(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_unmerge(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
