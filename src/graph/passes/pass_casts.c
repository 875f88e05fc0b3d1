/*
 * Casts that undo or follow each other: a Cast of a Cast that lost nothing casts what was there
 * before it, also across nodes that only move elements. These then move the narrower type, the
 * first Cast dies when nobody else reads it, and a Cast to the type that is there already is left
 * for elide. No node is added and none works on more or wider elements than before. Same bits.
 */
#include "graph/passes/match.h"

#include <string.h>

enum { MAX_CHAIN = 16 };

/* Bits of a whole number, or of the significand of a float, sign apart; 0 for other types. */
static int32_t digits(lamina_dtype dt)
{
    switch (dt) {
    case LAMINA_BOOL: return 1;
    case LAMINA_I8: return 7;
    case LAMINA_U8: return 8;
    case LAMINA_I16: return 15;
    case LAMINA_U16: return 16;
    case LAMINA_I32: return 31;
    case LAMINA_U32: return 32;
    case LAMINA_I64: return 63;
    case LAMINA_U64: return 64;
    case LAMINA_F16: return 11;
    case LAMINA_BF16: return 8;
    case LAMINA_F32: return 24;
    case LAMINA_F64: return 53;
    default: return 0;
    }
}

static bool is_float(lamina_dtype dt)
{
    return dt == LAMINA_F16 || dt == LAMINA_BF16 || dt == LAMINA_F32 || dt == LAMINA_F64;
}

static bool is_signed(lamina_dtype dt)
{
    return is_float(dt) || dt == LAMINA_I8 || dt == LAMINA_I16 || dt == LAMINA_I32 ||
           dt == LAMINA_I64;
}

/* Has every value of a its like in b, so that casting it on gives what casting a gives? */
static bool loses_nothing(lamina_dtype a, lamina_dtype b)
{
    if (a == b || !digits(a) || !digits(b) || b == LAMINA_BOOL) return false;
    if (is_float(a))
        return is_float(b) && (b == LAMINA_F64 || (b == LAMINA_F32 && a != LAMINA_F64));
    return digits(a) <= digits(b) && (is_signed(b) || !is_signed(a));
}

/* May a Cast from b to c start from a, which b holds? Not from floats to whole numbers: what is
   beyond their range has rules by type. */
static bool may_skip(lamina_dtype a, lamina_dtype b, lamina_dtype c)
{
    return c != LAMINA_BOOL && digits(c) && (is_float(c) || (!is_float(a) && !is_float(b)));
}

/* Does n only move elements of its first input? */
static bool moves(const lmn_gnode *n)
{
    static const char *const MOVES[] = {"Transpose", "Reshape", "Squeeze", "Unsqueeze",
                                        "Flatten",   "Slice",   "Identity"};
    for (size_t i = 0; i < LMN_COUNT(MOVES); i++)
        if (lmn_match_op(n, MOVES[i])) return true;
    return false;
}

static lamina_dtype type_of(const lmn_match *m, lmn_vid v)
{
    const lmn_fact *f = &m->g->values[v].fact;
    return v && f->kind == LMN_FACT_TENSOR ? f->dtype : LAMINA_DTYPE_NONE;
}

/* n, a Cast, reads v by way of nodes that only move and that nobody else reads. Gives the Cast
   above them, and the first of them, NULL if there is none. */
static const lmn_gnode *cast_above(const lmn_match *m, const lmn_gnode *n, lmn_gnode **first,
                                   lmn_gnode **chain, int32_t *n_chain)
{
    lmn_vid v = n->in[0];
    *first = NULL, *n_chain = 0;
    for (int32_t i = 0; i < MAX_CHAIN; i++) {
        lmn_gnode *above = lmn_match_maker(m, v);
        if (lmn_match_op(above, "Cast")) return above;
        if (!moves(above) || !lmn_match_once(m, v)) return NULL;
        *first = chain[(*n_chain)++] = above;
        v = above->in[0];
    }
    return NULL;
}

/* Does the operator take this type as its first input? */
static bool takes(const lmn_gnode *n, lamina_dtype dt)
{
    return (n->op.def->in[0].types & LMN_DBIT(dt)) != 0;
}

static lamina_status try_cast(lmn_match *m, lmn_gnode *n)
{
    lmn_gnode *chain[MAX_CHAIN], *first;
    int32_t n_chain;
    const lmn_gnode *up = cast_above(m, n, &first, chain, &n_chain);
    if (!up) return LAMINA_OK;
    const lamina_dtype a = type_of(m, up->in[0]), b = type_of(m, up->out[0]),
                       c = type_of(m, n->out[0]);
    if (!loses_nothing(a, b) || !may_skip(a, b, c) || type_of(m, n->in[0]) != b) return LAMINA_OK;
    for (int32_t i = 0; i < n_chain; i++)
        if (!takes(chain[i], a)) return LAMINA_OK;
    lmn_gnode *reader = first ? first : n;
    lmn_vid *in = lmn_arena_dup(&m->tmp, reader->in, (size_t)reader->op.n_in * sizeof *in);
    if (!in) return LAMINA_E_NOMEM;
    in[0] = up->in[0];
    for (int32_t i = 0; i < n_chain; i++) {
        lmn_fact *f = &m->g->values[chain[i]->out[0]].fact;
        f->dtype = a;
        f->n_elems = -1;
    }
    return lmn_match_become(m, reader,
                            &(lmn_rewrite){.domain = "",
                                           .op = reader->op.def->name,
                                           .name = reader->op.name,
                                           .opset = reader->op.opset,
                                           .in = in,
                                           .n_in = reader->op.n_in,
                                           .attrs = reader->op.attrs,
                                           .n_attrs = reader->op.n_attrs});
}

static lamina_status run(lmn_match *m)
{
    for (size_t i = 0; i < m->g->n_nodes; i++) {
        lmn_gnode *n = &m->g->nodes[i];
        if (!n->dead && lmn_match_op(n, "Cast") && n->out[0]) LMN_TRY(try_cast(m, n));
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_casts(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_casts(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
