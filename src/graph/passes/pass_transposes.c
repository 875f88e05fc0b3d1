/*
 * Transposes around elementwise work: models of channels-last frameworks turn every product's
 * result and turn it back before the next. A region is a set of nodes that do not mind the order of
 * axes (elementwise ones, Concat, Softmax, reductions) and that is fed only by Transposes of one
 * order and by constants, and read only by Transposes or by what forgets the order. It then works
 * on what was there before its Transposes: its own axes are renamed, its constants turned, and the
 * Transposes that read it turn less, or not at all and are left for elide.
 *
 * Nothing is ever added, and a region is turned only if at least one Transpose goes for good. Same
 * bits, but for sums over several axes.
 */
#include "graph/passes/match.h"

#include <string.h>

enum { MAX_REGION = 4096, LOOKS = 64 }; /* LOOKS: at a node, on average */

typedef enum role {
    ROLE_NONE,
    ROLE_EACH,   /* works element by element; operands broadcast */
    ROLE_SCALED, /* the same if all operands but the first are single constants */
    ROLE_AXIS,   /* along its attribute "axis" */
    ROLE_REDUCE, /* over the axes of input 1 */
    ROLE_SQUEEZE /* without the axes of input 1 */
} role;

typedef struct region {
    lmn_match *m;
    const uint32_t *first; /* readers of value v: reader[first[v]] up to first[v + 1] */
    const uint32_t *reader;
    uint32_t *mark; /* of a node: the region that it was last looked at for */
    uint32_t id;
    uint64_t looks; /* left */
    uint8_t *role;  /* of a node */
    bool *busy;     /* rewritten in this round: what is known of readers is old */
    uint32_t *node;
    size_t n;
    int32_t rank;
    int64_t perm[LMN_MAX_RANK];
    int32_t gain; /* Transposes that go */
} region;

static const lmn_fact *fact_of(const lmn_match *m, lmn_vid v)
{
    return &m->g->values[v].fact;
}

static role role_of(const lmn_gnode *n)
{
    static const struct {
        const char *op;
        role role;
    } ROLES[] = {
        {"Abs", ROLE_EACH},
        {"Add", ROLE_EACH},
        {"Cast", ROLE_EACH},
        {"Ceil", ROLE_EACH},
        {"Clip", ROLE_EACH},
        {"Concat", ROLE_AXIS},
        {"Div", ROLE_EACH},
        {"Elu", ROLE_EACH},
        {"Equal", ROLE_EACH},
        {"Erf", ROLE_EACH},
        {"Exp", ROLE_EACH},
        {"Floor", ROLE_EACH},
        {"Gelu", ROLE_EACH},
        {"Greater", ROLE_EACH},
        {"HardSigmoid", ROLE_EACH},
        {"HardSwish", ROLE_EACH},
        {"Identity", ROLE_EACH},
        {"LeakyRelu", ROLE_EACH},
        {"Less", ROLE_EACH},
        {"Log", ROLE_EACH},
        {"Max", ROLE_EACH},
        {"Min", ROLE_EACH},
        {"Mish", ROLE_EACH},
        {"Mul", ROLE_EACH},
        {"Neg", ROLE_EACH},
        {"Not", ROLE_EACH},
        {"PRelu", ROLE_EACH},
        {"Pow", ROLE_EACH},
        {"Reciprocal", ROLE_EACH},
        {"ReduceMax", ROLE_REDUCE},
        {"ReduceMean", ROLE_REDUCE},
        {"ReduceMin", ROLE_REDUCE},
        {"ReduceSum", ROLE_REDUCE},
        {"Relu", ROLE_EACH},
        {"Round", ROLE_EACH},
        {"Sigmoid", ROLE_EACH},
        {"Softmax", ROLE_AXIS},
        {"Softplus", ROLE_EACH},
        {"Softsign", ROLE_EACH},
        {"Sqrt", ROLE_EACH},
        {"Squeeze", ROLE_SQUEEZE},
        {"Sub", ROLE_EACH},
        {"QuantizeLinear", ROLE_SCALED},
        {"DequantizeLinear", ROLE_SCALED},
        {"Swish", ROLE_EACH},
        {"Tanh", ROLE_EACH},
        {"Where", ROLE_EACH},
    };
    for (size_t i = 0; i < LMN_COUNT(ROLES); i++)
        if (lmn_match_op(n, ROLES[i].op)) return n->op.n_out == 1 ? ROLES[i].role : ROLE_NONE;
    return ROLE_NONE;
}

/* Inputs that are data, not axes. */
static int32_t n_data(const lmn_gnode *n, role r)
{
    return r == ROLE_REDUCE || r == ROLE_SQUEEZE ? 1 : n->op.n_in;
}

static bool has_rank(const region *r, lmn_vid v)
{
    const lmn_fact *f = fact_of(r->m, v);
    return f->kind == LMN_FACT_TENSOR && f->rank == r->rank;
}

/* ---- axes of reductions ------------------------------------------------------------------------
 */

/* The axes as a mask, from a constant that names them. */
static bool named_axes(const region *r, const lmn_gnode *n, uint32_t *mask)
{
    const lamina_tensor *t = n->op.n_in > 1 ? lmn_match_const(r->m, n->in[1]) : NULL;
    *mask = 0;
    if (!t || t->dtype != LAMINA_I64 || t->rank != 1 || lmn_count(t) < 1) return false;
    for (int64_t i = 0; i < lmn_count(t); i++) {
        int64_t a = lmn_get_i64(t, i);
        a += a < 0 ? r->rank : 0;
        if (a < 0 || a >= r->rank) return false;
        *mask |= 1u << a;
    }
    return true;
}

/* Does the result still have its axes, all of them? */
static bool keeps_axes(const lmn_gnode *n, role r)
{
    return r == ROLE_EACH || r == ROLE_SCALED || r == ROLE_AXIS ||
           (r == ROLE_REDUCE && lmn_attr_i(&n->op, "keepdims", 1) != 0);
}

/* Do the axes outside the mask stand in the same order before the Transposes? */
static bool same_order(const region *r, uint32_t mask)
{
    int64_t last = -1;
    for (int32_t i = 0; i < r->rank; i++) {
        if (mask >> i & 1) continue;
        if (r->perm[i] < last) return false;
        last = r->perm[i];
    }
    return true;
}

/* ---- growing a region --------------------------------------------------------------------------
 */

static const lmn_gnode *turned_by(const region *r, lmn_vid v)
{
    int64_t perm[LMN_MAX_RANK];
    const lmn_gnode *t = lmn_match_made_by(r->m, v, "Transpose");
    if (!t || lmn_match_perm(r->m, t, perm) != r->rank) return NULL;
    return memcmp(perm, r->perm, (size_t)r->rank * sizeof *perm) ? NULL : t;
}

/* Node i joins. False: it cannot, so the region cannot be. */
static bool join(region *r, uint32_t i)
{
    if (r->mark[i] == r->id) return true;
    const lmn_gnode *n = &r->m->g->nodes[i];
    if (n->dead || r->busy[i] || !r->role[i] || r->n == MAX_REGION || !r->looks) return false;
    r->looks--;
    r->mark[i] = r->id;
    r->node[r->n++] = i;
    return true;
}

static bool may_turn_const(const region *r, const lamina_tensor *t)
{
    const lmn_pass_ctx *ctx = r->m->ctx;
    if (t->rank > r->rank || !lmn_dtype_bytes(t->dtype) || t->dtype == LAMINA_STRING) return false;
    return lmn_count(t) == 1 || (t->data_bytes <= ctx->max_const_bytes &&
                                 ctx->folded_bytes + t->data_bytes <= 4 * ctx->max_const_bytes);
}

static bool join_input(region *r, lmn_vid v)
{
    if (!v) return true;
    const lamina_tensor *t = lmn_match_const(r->m, v);
    if (t) return may_turn_const(r, t);
    if (!has_rank(r, v)) return false;
    if (turned_by(r, v)) return true;
    const lmn_value *x = &r->m->g->values[v];
    return x->producer != LMN_NO_NODE && join(r, x->producer);
}

/* Does a Transpose that reads the region turn nothing then? */
static bool turns_back(const region *r, const lmn_gnode *t, bool *fits)
{
    int64_t q[LMN_MAX_RANK];
    *fits = lmn_match_perm(r->m, t, q) == r->rank;
    for (int32_t i = 0; *fits && i < r->rank; i++)
        if (r->perm[q[i]] != i) return false;
    return *fits;
}

static bool join_readers(region *r, lmn_vid v)
{
    if (v >= r->m->n_uses || r->m->g->values[v].is_output || !has_rank(r, v)) return false;
    for (uint32_t k = r->first[v]; k < r->first[v + 1]; k++) {
        const lmn_gnode *n = &r->m->g->nodes[r->reader[k]];
        bool fits = false;
        if (n->dead || r->busy[r->reader[k]]) return false;
        if (!lmn_match_op(n, "Transpose")) {
            if (!join(r, r->reader[k])) return false;
        } else {
            r->gain += turns_back(r, n, &fits);
            if (!fits) return false;
        }
    }
    return true;
}

static bool admit(region *r, uint32_t i)
{
    const lmn_gnode *n = &r->m->g->nodes[i];
    const role what = r->role[i];
    uint32_t mask;
    for (int32_t k = 0; k < n_data(n, what); k++)
        if (!join_input(r, n->in[k])) return false;
    if (what == ROLE_REDUCE || what == ROLE_SQUEEZE) {
        if (!n->in[0] || !has_rank(r, n->in[0]) || !named_axes(r, n, &mask)) return false;
        if (!keeps_axes(n, what)) return same_order(r, mask);
    }
    for (int32_t k = 1; what == ROLE_SCALED && k < n->op.n_in; k++) {
        const lamina_tensor *t = lmn_match_const(r->m, n->in[k]);
        if (n->in[k] && (!t || lmn_count(t) != 1)) return false;
    }
    if (what == ROLE_AXIS) {
        const int64_t a = lmn_attr_i(&n->op, "axis", -1);
        if (a < -r->rank || a >= r->rank) return false;
        for (int32_t k = 0; k < n->op.n_in; k++) /* a joined constant has all its axes */
            if (!has_rank(r, n->in[k])) return false;
    }
    return join_readers(r, n->out[0]);
}

/* Transposes that only the region reads. */
static int32_t fed_only(const region *r)
{
    int32_t gain = 0;
    for (size_t i = 0; i < r->n; i++) {
        const lmn_gnode *n = &r->m->g->nodes[r->node[i]];
        for (int32_t k = 0; k < n_data(n, r->role[r->node[i]]); k++) {
            const lmn_vid v = n->in[k];
            bool inside = v && turned_by(r, v) && !r->m->g->values[v].is_output;
            for (uint32_t e = v ? r->first[v] : 0; inside && e < r->first[v + 1]; e++)
                inside = r->mark[r->reader[e]] == r->id;
            gain += inside;
        }
    }
    return gain;
}

static bool grow(region *r, uint32_t seed)
{
    r->id++;
    r->n = 0;
    r->gain = 0;
    if (!join(r, seed)) return false;
    for (size_t i = 0; i < r->n; i++)
        if (!admit(r, r->node[i])) return false;
    return r->gain > 0 || fed_only(r) > 0;
}

/* ---- turning it --------------------------------------------------------------------------------
 */

/* The constant as it stands before the Transposes: axis perm[i] of it is axis i of v. */
static lamina_status turn_const(region *r, lmn_vid v, lmn_vid *out)
{
    lmn_graph *g = r->m->g;
    const lamina_tensor *t = g->values[v].constant;
    int64_t dims[LMN_MAX_RANK], step[LMN_MAX_RANK], at[LMN_MAX_RANK] = {0};
    const int32_t lead = r->rank - t->rank;
    const size_t size = lmn_dtype_bytes(t->dtype);
    lamina_tensor *made = NULL;
    *out = v;
    if (lmn_count(t) == 1) return LAMINA_OK;
    int64_t next = 1;
    for (int32_t i = r->rank - 1; i >= 0; i--) {
        const int64_t d = i < lead ? 1 : t->dims[i - lead];
        dims[r->perm[i]] = d, step[r->perm[i]] = next;
        next *= d;
    }
    LMN_TRY(lamina_tensor_create(g->engine, t->dtype, r->rank, dims, &made));
    uint8_t *to = made->data;
    const uint8_t *from = t->data;
    int64_t pos = 0;
    for (int64_t e = 0; e < lmn_count(t); e++) {
        memcpy(to + (size_t)e * size, from + (size_t)pos * size, size);
        for (int32_t i = r->rank - 1; i >= 0; i--) {
            pos += step[i];
            if (++at[i] < dims[i]) break;
            pos -= step[i] * dims[i];
            at[i] = 0;
        }
    }
    r->m->ctx->folded_bytes += made->data_bytes;
    *out = lmn_graph_constant(g, g->values[v].name, made);
    lamina_tensor_unref(made);
    return *out ? LAMINA_OK : LAMINA_E_NOMEM;
}

static lamina_status turn_axes(region *r, const lmn_gnode *n, lmn_vid *out)
{
    uint32_t mask = 0;
    int64_t count = 0;
    lamina_tensor *made = NULL;
    (void)named_axes(r, n, &mask);
    const int64_t len = __builtin_popcount(mask);
    LMN_TRY(lamina_tensor_create(r->m->g->engine, LAMINA_I64, 1, &len, &made));
    for (int32_t i = 0; i < r->rank; i++)
        if (mask >> i & 1) ((int64_t *)made->data)[count++] = r->perm[i];
    *out = lmn_graph_constant(r->m->g, "", made);
    lamina_tensor_unref(made);
    return *out ? LAMINA_OK : LAMINA_E_NOMEM;
}

static lamina_status turn_node(region *r, uint32_t i)
{
    lmn_gnode *n = &r->m->g->nodes[i];
    const role what = r->role[i];
    lmn_vid *in = lmn_arena_dup(&r->m->tmp, n->in, (size_t)n->op.n_in * sizeof *in);
    if (!in) return LAMINA_E_NOMEM;
    for (int32_t k = 0; k < n_data(n, what); k++) {
        const lmn_gnode *t = in[k] ? turned_by(r, in[k]) : NULL;
        if (t) {
            r->busy[r->m->g->values[in[k]].producer] = true;
            in[k] = t->in[0];
        } else if (in[k] && lmn_match_const(r->m, in[k])) {
            LMN_TRY(turn_const(r, in[k], &in[k]));
        }
    }
    if (what == ROLE_REDUCE || what == ROLE_SQUEEZE) LMN_TRY(turn_axes(r, n, &in[1]));
    int64_t axis = lmn_attr_i(&n->op, "axis", -1);
    axis += axis < 0 ? r->rank : 0;
    const lmn_attr along = {
        .name = "axis", .type = LMN_ATTR_INT, .n = 1, .u.i = what == ROLE_AXIS ? r->perm[axis] : 0};
    LMN_TRY(lmn_match_become(r->m, n,
                             &(lmn_rewrite){.domain = "",
                                            .op = n->op.def->name,
                                            .name = n->op.name,
                                            .opset = n->op.opset,
                                            .in = in,
                                            .n_in = n->op.n_in,
                                            .attrs = what == ROLE_AXIS ? &along : n->op.attrs,
                                            .n_attrs = what == ROLE_AXIS ? 1 : n->op.n_attrs}));
    if (!keeps_axes(n, what)) return LAMINA_OK;
    lmn_fact *f = &r->m->g->values[n->out[0]].fact;
    const lmn_fact old = *f;
    for (int32_t k = 0; k < r->rank; k++) f->dims[r->perm[k]] = old.dims[k];
    f->n_elems = -1;
    return LAMINA_OK;
}

/* The Transpose n reads what is now turned already. */
static lamina_status turn_reader(region *r, lmn_gnode *n)
{
    int64_t q[LMN_MAX_RANK];
    int64_t *perm = LMN_ARENA_ARRAY(&r->m->g->arena, int64_t, (size_t)r->rank);
    if (!perm) return LAMINA_E_NOMEM;
    (void)lmn_match_perm(r->m, n, q);
    for (int32_t i = 0; i < r->rank; i++) perm[i] = r->perm[q[i]];
    const lmn_attr attr = {.name = "perm", .type = LMN_ATTR_INTS, .n = r->rank, .u.ints = perm};
    return lmn_match_become(r->m, n,
                            &(lmn_rewrite){.domain = "",
                                           .op = "Transpose",
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = n->in,
                                           .n_in = 1,
                                           .attrs = &attr,
                                           .n_attrs = 1});
}

static lamina_status turn(region *r)
{
    lmn_graph *g = r->m->g;
    for (size_t i = 0; i < r->n; i++) {
        lmn_gnode *n = &g->nodes[r->node[i]];
        const lmn_vid out = n->out[0];
        const bool inside = keeps_axes(n, r->role[r->node[i]]);
        r->busy[r->node[i]] = true;
        LMN_TRY(turn_node(r, r->node[i]));
        for (uint32_t k = r->first[out]; inside && k < r->first[out + 1]; k++) {
            lmn_gnode *t = &g->nodes[r->reader[k]];
            if (!lmn_match_op(t, "Transpose") || r->busy[r->reader[k]]) continue;
            r->busy[r->reader[k]] = true;
            LMN_TRY(turn_reader(r, t));
        }
    }
    return LAMINA_OK;
}

/* ---- the pass ----------------------------------------------------------------------------------
 */

static bool list_readers(region *r)
{
    const lmn_graph *g = r->m->g;
    uint32_t *first = LMN_ARENA_ARRAY(&r->m->tmp, uint32_t, g->n_values + 2);
    size_t total = 0;
    if (!first) return false;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; !g->nodes[i].dead && k < g->nodes[i].op.n_in; k++) {
            first[g->nodes[i].in[k] + 2]++;
            total++;
        }
    for (size_t v = 2; v < g->n_values + 2; v++) first[v] += first[v - 1];
    uint32_t *reader = LMN_ARENA_ARRAY(&r->m->tmp, uint32_t, total + 1);
    if (!reader) return false;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; !g->nodes[i].dead && k < g->nodes[i].op.n_in; k++)
            reader[first[g->nodes[i].in[k] + 1]++] = (uint32_t)i;
    r->first = first;
    r->reader = reader;
    return true;
}

static bool prepare(region *r)
{
    const size_t n = r->m->g->n_nodes;
    r->mark = LMN_ARENA_ARRAY(&r->m->tmp, uint32_t, n + 1);
    r->busy = LMN_ARENA_ARRAY(&r->m->tmp, bool, n + 1);
    r->node = LMN_ARENA_ARRAY(&r->m->tmp, uint32_t, MAX_REGION);
    r->role = LMN_ARENA_ARRAY(&r->m->tmp, uint8_t, n + 1);
    if (!r->mark || !r->busy || !r->node || !r->role) return false;
    r->looks = (uint64_t)LOOKS * (n + 1);
    for (size_t i = 0; i < n; i++)
        r->role[i] = r->m->g->nodes[i].dead ? ROLE_NONE : (uint8_t)role_of(&r->m->g->nodes[i]);
    return list_readers(r);
}

static lamina_status run(lmn_match *m, bool *changed)
{
    region r = {.m = m};
    const size_t n_nodes = m->g->n_nodes;
    *changed = false;
    if (!prepare(&r)) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < n_nodes; i++) {
        const lmn_gnode *n = &m->g->nodes[i];
        const role what = n->dead ? ROLE_NONE : (role)r.role[i];
        for (int32_t k = 0; what && k < n_data(n, what); k++) {
            const lmn_gnode *t = lmn_match_made_by(m, n->in[k], "Transpose");
            r.rank = t ? lmn_match_perm(m, t, r.perm) : -1;
            if (r.rank < 2 || !grow(&r, (uint32_t)i)) continue;
            *changed = true;
            LMN_TRY(turn(&r));
            break;
        }
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_transposes(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_transposes(lmn_graph *g, lmn_pass_ctx *ctx)
{
    bool changed = true;
    for (int32_t round = 0; changed && round < 4; round++) {
        lmn_match m;
        lamina_status st = lmn_match_begin(&m, g, ctx);
        if (st == LAMINA_OK) st = run(&m, &changed);
        lmn_match_finish(&m);
        LMN_TRY(st);
    }
    return LAMINA_OK;
}
