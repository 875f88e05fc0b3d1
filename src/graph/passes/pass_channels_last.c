/*
 * Convolutions of 8-bit integers, and what stands between them, work with their channels last:
 * pixels are then rows of the product as they lie, and nothing is turned or packed but weights,
 * once. A region is convolutions, pools and elementwise nodes that hand values to each other;
 * Transposes stand where values come in and where others read them. A region is turned only if it
 * has at least two convolutions for every such place. Same bits.
 *
 * So do convolutions of f32 where the session multiplies in bf16 and wants it: they become
 * ImageConv, and images between them are of bf16, through maxima of windows, Concat, Split and
 * Resize to the nearest as well. ToImage stands where such a region begins, and the mean of its
 * last image is ImageMean, of f32 again.
 */
#include "graph/passes/match.h"
#include "ops/fused.h"

#include <string.h>

#define MS "com.microsoft"
enum { MAX_ATTRS = 16, MAX_IN = 16, MAX_OUT = 16, MIN_CONVS = 2, MIN_CHANNELS = 16 };

typedef enum kind { NONE, CONV, POOL, MEAN, SUM, CLIP, IMAGE, JOIN, CUT, GROW, AVERAGE } kind;

typedef struct last {
    lmn_match *m;
    bool ints, floats;        /* which convolutions are turned */
    size_t n_nodes, n_values; /* before anything was added */
    uint8_t *kind;            /* of a node */
    uint32_t *up;             /* of a node: towards the first of its region */
    int32_t *convs, *places;  /* of a region's first node */
    uint32_t *seen;           /* of a value: a region that reads it from outside, plus 1 */
    lmn_vid *turned;          /* of a value: the same with its channels last; 0: none yet */
    uint32_t *next, *head;    /* lists of added nodes, by what they stand behind, plus 1 */
    size_t cap_next;
} last;

static const lmn_fact *fact_of(const last *l, lmn_vid v)
{
    return &l->m->g->values[v].fact;
}

/* A batch, channels and one to three spatial axes? */
static bool is_ranked(const last *l, lmn_vid v)
{
    const lmn_fact *f = fact_of(l, v);
    return v && f->kind == LMN_FACT_TENSOR && f->rank >= 3 && f->rank <= 5;
}
/* And of 8 bits? */
static bool is_image(const last *l, lmn_vid v)
{
    const lmn_fact *f = fact_of(l, v);
    return is_ranked(l, v) && (f->dtype == LAMINA_U8 || f->dtype == LAMINA_I8);
}

static bool is_ms(const lmn_gnode *n, const char *op)
{
    return strcmp(n->op.def->domain, MS) == 0 && strcmp(n->op.def->name, op) == 0;
}

/* Is input k an image that the node works on? */
static bool is_data(kind what, int32_t k)
{
    return k == 0 || what == JOIN || ((what == SUM || what == IMAGE) && k == 3);
}

/* The steps of a convolution of f32 that ImageConv has: SiLU, a residual, a clip, in this order. */
static bool read_steps(const last *l, const lmn_gnode *n, lmn_fused *f)
{
    *f = (lmn_fused){0};
    if (lmn_match_op(n, "Conv")) return n->op.n_in <= 3;
    if (strcmp(n->op.def->domain, "lamina") != 0 || strcmp(n->op.def->name, "FusedConv") != 0 ||
        lmn_fused_read(&n->op, 3, f))
        return false;
    int32_t i = f->step[0].kind == LMN_EPI_SILU;
    if (i < f->n_steps && f->step[i].kind == LMN_EPI_ADD) {
        if (!lmn_match_same_shape(l->m, n->in[f->step[i].operand], n->out[0])) return false;
        i++;
    }
    if (i < f->n_steps && (f->step[i].kind == LMN_EPI_RELU || f->step[i].kind == LMN_EPI_CLIP)) i++;
    return i == f->n_steps;
}

static bool is_image_conv(const last *l, const lmn_gnode *n)
{
    lmn_fused f;
    const lmn_vid x = n->in[0], y = n->out[0];
    if (!l->floats || n->op.n_in < 2 || !is_ranked(l, x) || !is_ranked(l, y) ||
        fact_of(l, x)->dtype != LAMINA_F32 || fact_of(l, y)->dtype != LAMINA_F32 ||
        !read_steps(l, n, &f))
        return false;
    const lamina_tensor *w = lmn_match_const(l->m, n->in[1]);
    if (!w || w->rank != fact_of(l, x)->rank || !lmn_count(w) || w->dims[0] < MIN_CHANNELS)
        return false;
    const int64_t groups = lmn_attr_i(&n->op, "group", 1);
    const bool deep =
        groups == w->dims[0] && w->dims[1] == 1 && w->rank == 4 &&
        fact_of(l, x)->dims[1] == fact_of(l, y)->dims[1] &&
        (!f.n_steps || (f.step[0].kind != LMN_EPI_ADD && f.step[0].kind != LMN_EPI_SILU));
    return deep || (groups == 1 && lmn_count(w) / w->dims[0] >= MIN_CHANNELS);
}

static bool is_f32_image(const last *l, lmn_vid v)
{
    return is_ranked(l, v) && fact_of(l, v)->dtype == LAMINA_F32;
}

/* What moves pixels of f32 or chooses among them. */
static kind mover_of(const last *l, const lmn_gnode *n)
{
    const int32_t rank = fact_of(l, n->in[0])->rank;
    const int64_t axis = lmn_attr_i(&n->op, "axis", 0);
    const bool one = n->op.n_out == 1, channels = axis == 1 || axis == 1 - rank;
    for (int32_t o = 0; o < n->op.n_out; o++)
        if (!is_f32_image(l, n->out[o])) return NONE;
    if (lmn_match_op(n, "Split")) return channels ? CUT : NONE;
    if (lmn_match_op(n, "GlobalAveragePool")) return AVERAGE;
    if (one && lmn_match_op(n, "MaxPool") && rank == 4 && lmn_op_find(MS, "NhwcMaxPool"))
        return POOL;
    if (one && lmn_match_op(n, "Resize") && !lmn_attr_find(&n->op, "axes") &&
        !lmn_attr_find(&n->op, "keep_aspect_ratio_policy") && (n->op.n_in < 2 || !n->in[1]) &&
        lmn_attr_is(&n->op, "mode", "nearest", "nearest"))
        return GROW;
    if (!one || !channels || !lmn_match_op(n, "Concat")) return NONE;
    for (int32_t k = 1; k < n->op.n_in; k++)
        if (!is_f32_image(l, n->in[k])) return NONE;
    return JOIN;
}

static kind kind_of(const last *l, const lmn_gnode *n)
{
    if (n->dead || n->op.n_in < 1 || n->op.n_in > MAX_IN || n->op.n_out < 1 ||
        n->op.n_out > MAX_OUT || n->op.n_caps || n->op.n_attrs >= MAX_ATTRS)
        return NONE;
    if (l->floats && is_f32_image(l, n->in[0])) {
        const kind mover = mover_of(l, n);
        if (mover) return mover;
    }
    if (n->op.n_out != 1) return NONE;
    if (is_image_conv(l, n)) return IMAGE;
    if (!l->ints || !is_image(l, n->in[0]) || !is_image(l, n->out[0])) return NONE;
    if (lmn_match_op(n, "QLinearConv")) {
        const lamina_tensor *w = lmn_match_const(l->m, n->in[3]);
        const bool whole = lmn_attr_i(&n->op, "group", 1) == 1;
        return whole && w && w->rank == fact_of(l, n->in[0])->rank && lmn_count(w) ? CONV : NONE;
    }
    if (lmn_match_op(n, "MaxPool")) return lmn_op_find(MS, "NhwcMaxPool") ? POOL : NONE;
    if (lmn_match_op(n, "Clip")) return CLIP;
    if (is_ms(n, "QLinearGlobalAveragePool"))
        return lmn_attr_i(&n->op, "channels_last", 0) ? NONE : MEAN;
    if (is_ms(n, "QLinearAdd") || is_ms(n, "QLinearMul"))
        return is_image(l, n->in[3]) && lmn_match_same_shape(l->m, n->in[0], n->in[3]) ? SUM : NONE;
    return NONE;
}

/* ---- regions -----------------------------------------------------------------------------------
 */

static uint32_t first_of(last *l, uint32_t i)
{
    while (l->up[i] != i) i = l->up[i] = l->up[l->up[i]];
    return i;
}

/* Does node p make an image of a region? */
static bool makes_image(const last *l, uint32_t p)
{
    return p != LMN_NO_NODE && l->kind[p] && l->kind[p] != AVERAGE;
}

/* Joins every node of a kind with those that make its images. */
static void join(last *l)
{
    const lmn_graph *g = l->m->g;
    for (uint32_t i = 0; i < l->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        l->up[i] = i;
        for (int32_t k = 0; l->kind[i] && k < n->op.n_in; k++) {
            const uint32_t p = n->in[k] ? g->values[n->in[k]].producer : LMN_NO_NODE;
            if (!is_data((kind)l->kind[i], k) || !makes_image(l, p)) continue;
            l->up[first_of(l, i)] = first_of(l, p);
        }
    }
}

/* The region that makes v, as its first node; LMN_NO_NODE: none. */
static uint32_t made_in(last *l, lmn_vid v)
{
    const uint32_t p = v ? l->m->g->values[v].producer : LMN_NO_NODE;
    return makes_image(l, p) ? first_of(l, p) : LMN_NO_NODE;
}

/* v is read, or handed on, in the usual order; the mean of an image has no pixels to turn. */
static void note_outside(last *l, lmn_vid v)
{
    const uint32_t r = made_in(l, v);
    if (r == LMN_NO_NODE || l->seen[v] || l->kind[l->m->g->values[v].producer] == MEAN) return;
    l->seen[v] = r + 1;
    l->places[r]++;
}

static void count_places(last *l)
{
    const lmn_graph *g = l->m->g;
    for (uint32_t i = 0; i < l->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        const uint32_t r = first_of(l, i);
        l->convs[r] += l->kind[i] == CONV || l->kind[i] == IMAGE;
        for (int32_t k = 0; !n->dead && k < n->op.n_in; k++) {
            const lmn_vid v = n->in[k];
            if (!l->kind[i] || !is_data((kind)l->kind[i], k)) {
                note_outside(l, v);
            } else if (made_in(l, v) == LMN_NO_NODE && l->seen[v] != r + 1) {
                l->seen[v] = r + 1;
                l->places[r]++;
            }
        }
    }
    for (size_t i = 0; i < g->n_outputs; i++) note_outside(l, g->outputs[i]);
}

static bool is_chosen(last *l, uint32_t i)
{
    const uint32_t r = first_of(l, i);
    return l->kind[i] && l->convs[r] >= MIN_CONVS && l->convs[r] >= 2 * l->places[r];
}

/* ---- turning -----------------------------------------------------------------------------------
 */

/* A new value: v with its channels last; one of f32 as bf16. */
static lmn_vid turned_value(last *l, lmn_vid v)
{
    lmn_fact f = *fact_of(l, v);
    if (f.dtype == LAMINA_F32) f.dtype = LAMINA_BF16;
    const lmn_dim channels = f.dims[1];
    for (int32_t i = 1; i + 1 < f.rank; i++) f.dims[i] = f.dims[i + 1];
    f.dims[f.rank - 1] = channels;
    f.n_elems = -1;
    return lmn_graph_value(l->m->g, "", &f);
}

/* A new node of one attribute, or none and of lamina's, from one value to the other behind node
   `place` (LMN_NO_NODE: in front of all), before those that were put there earlier. `like` gives
   the name and opset. */
static lamina_status add_node(last *l, const char *name, const lmn_attr *attr,
                              const lmn_vid ends[2], uint32_t place, const lmn_opnode *like)
{
    lmn_graph *g = l->m->g;
    const lmn_op_def *def = lmn_op_find(attr ? "" : "lamina", name);
    const lmn_opnode op = {.def = def,
                           .name = like->name,
                           .opset = like->opset,
                           .n_in = 1,
                           .n_out = 1,
                           .attrs = attr,
                           .n_attrs = attr ? 1 : 0};
    const size_t at = g->n_nodes;
    if (!def || at - l->n_nodes >= l->cap_next || !lmn_graph_node(g, &op, &ends[0], &ends[1]))
        return LAMINA_E_NOMEM;
    uint32_t *head = &l->head[place == LMN_NO_NODE ? 0 : place + 1];
    if (ends[0] < l->m->n_uses) l->m->uses[ends[0]]++;
    l->next[at - l->n_nodes] = *head;
    *head = (uint32_t)at + 1;
    return LAMINA_OK;
}

/* A Transpose from one to the other; where types differ ToImage, or a Cast behind it. */
static lamina_status add_transpose(last *l, lmn_vid from, lmn_vid to, bool to_last, uint32_t place,
                                   const lmn_opnode *like)
{
    lmn_graph *g = l->m->g;
    const int32_t rank = fact_of(l, from)->rank;
    const bool cast = fact_of(l, from)->dtype != fact_of(l, to)->dtype;
    if (cast && to_last) return add_node(l, "ToImage", NULL, (lmn_vid[]){from, to}, place, like);
    int64_t *perm = LMN_ARENA_ARRAY(&g->arena, int64_t, (size_t)rank);
    if (!perm) return LAMINA_E_NOMEM;
    for (int32_t i = 1; i + 1 < rank; i++) perm[to_last ? i : i + 1] = to_last ? i + 1 : i;
    perm[to_last ? rank - 1 : 1] = to_last ? 1 : rank - 1;
    const lmn_attr turn = {.name = "perm", .type = LMN_ATTR_INTS, .n = rank, .u.ints = perm};
    if (!cast) return add_node(l, "Transpose", &turn, (lmn_vid[]){from, to}, place, like);
    const lmn_attr type = {
        .name = "to", .type = LMN_ATTR_INT, .n = 1, .u.i = fact_of(l, to)->dtype};
    lmn_fact f = *fact_of(l, to);
    f.dtype = LAMINA_BF16;
    const lmn_vid between = lmn_graph_value(g, "", &f);
    if (!between) return LAMINA_E_NOMEM;
    LMN_TRY(add_node(l, "Cast", &type, (lmn_vid[]){between, to}, place, like));
    return add_node(l, "Transpose", &turn, (lmn_vid[]){from, between}, place, like);
}

static lamina_status last_of(last *l, lmn_vid v, const lmn_opnode *like, lmn_vid *out)
{
    if (!l->turned[v]) {
        const lmn_vid t = turned_value(l, v);
        if (!t) return LAMINA_E_NOMEM;
        LMN_TRY(add_transpose(l, v, t, true, l->m->g->values[v].producer, like));
        l->turned[v] = t;
    }
    *out = l->turned[v];
    return LAMINA_OK;
}

/* Attributes of the node with its channels last. */
static int32_t new_attrs(const last *l, const lmn_gnode *n, kind what, lmn_attr *out)
{
    int32_t count = 0;
    if (what == IMAGE) {
        lmn_fused f;
        (void)read_steps(l, n, &f);
        for (int32_t i = 0; i < n->op.n_attrs; i++)
            if (strncmp(n->op.attrs[i].name, "epi", 3) != 0) out[count++] = n->op.attrs[i];
        if (f.n_steps && f.step[0].kind == LMN_EPI_SILU)
            out[count++] = (lmn_attr){.name = "silu", .type = LMN_ATTR_INT, .n = 1, .u.i = 1};
        const lmn_fused_step *clip = f.n_steps ? &f.step[f.n_steps - 1] : NULL;
        if (!clip || (clip->kind != LMN_EPI_RELU && clip->kind != LMN_EPI_CLIP)) return count;
        const bool relu = clip->kind == LMN_EPI_RELU;
        out[count++] =
            (lmn_attr){.name = "lo", .type = LMN_ATTR_FLOAT, .n = 1, .u.f = relu ? 0.0f : clip->p0};
        if (!relu)
            out[count++] =
                (lmn_attr){.name = "hi", .type = LMN_ATTR_FLOAT, .n = 1, .u.f = clip->p1};
        return count;
    }
    const bool on_axis = what == JOIN || what == CUT;
    for (int32_t i = 0; i < n->op.n_attrs; i++)
        if ((what != POOL || strcmp(n->op.attrs[i].name, "storage_order") != 0) &&
            (!on_axis || strcmp(n->op.attrs[i].name, "axis") != 0))
            out[count++] = n->op.attrs[i];
    if (on_axis) out[count++] = (lmn_attr){.name = "axis", .type = LMN_ATTR_INT, .n = 1, .u.i = -1};
    if (what == CONV || what == MEAN)
        out[count++] = (lmn_attr){.name = "channels_last", .type = LMN_ATTR_INT, .n = 1, .u.i = 1};
    return count;
}

/* Which axes the scales of a Resize, in the usual order, are of. */
static lamina_status add_axes(last *l, int32_t rank, lmn_attr *attrs, int32_t *n)
{
    int64_t *axes = LMN_ARENA_ARRAY(&l->m->g->arena, int64_t, (size_t)rank);
    if (!axes) return LAMINA_E_NOMEM;
    axes[0] = 0, axes[1] = rank - 1;
    for (int32_t i = 2; i < rank; i++) axes[i] = i - 1;
    attrs[(*n)++] = (lmn_attr){.name = "axes", .type = LMN_ATTR_INTS, .n = rank, .u.ints = axes};
    return LAMINA_OK;
}

static lamina_status turn_node(last *l, uint32_t i)
{
    lmn_graph *g = l->m->g;
    const kind what = (kind)l->kind[i];
    const lmn_opnode like = g->nodes[i].op;
    const int32_t n_out = what == AVERAGE ? 0 : like.n_out; /* that are images */
    lmn_vid in[MAX_IN], out[MAX_OUT];
    lmn_attr attrs[MAX_ATTRS + 1];
    int32_t n_attrs = new_attrs(l, &g->nodes[i], what, attrs);
    if (what == GROW) LMN_TRY(add_axes(l, fact_of(l, g->nodes[i].in[0])->rank, attrs, &n_attrs));
    memcpy(in, g->nodes[i].in, (size_t)like.n_in * sizeof *in);
    for (int32_t k = 0; k < like.n_in; k++)
        if (is_data(what, k)) LMN_TRY(last_of(l, in[k], &like, &in[k]));
    for (int32_t o = 0; o < n_out; o++)
        if (!(out[o] = turned_value(l, g->nodes[i].out[o]))) return LAMINA_E_NOMEM;
    lmn_gnode *n = &g->nodes[i]; /* not before: adding nodes moves them */
    const char *op = what == POOL      ? "NhwcMaxPool"
                     : what == IMAGE   ? "ImageConv"
                     : what == AVERAGE ? "ImageMean"
                                       : like.def->name;
    const bool kept = what == CLIP || what == JOIN || what == CUT || what == GROW;
    const bool ours = what == IMAGE || what == AVERAGE;
    LMN_TRY(lmn_match_become(l->m, n,
                             &(lmn_rewrite){.domain = kept   ? ""
                                                      : ours ? "lamina"
                                                             : MS,
                                            .op = op,
                                            .name = like.name,
                                            .opset = like.opset,
                                            .in = in,
                                            .n_in = like.n_in,
                                            .attrs = attrs,
                                            .n_attrs = n_attrs}));
    lmn_vid *outs = n->out;
    for (int32_t o = 0; o < n_out; o++) {
        const lmn_vid y = outs[o], t = out[o];
        outs[o] = t;
        g->values[t].producer = i, g->values[t].producer_out = o;
        l->turned[y] = t;
        LMN_TRY(add_transpose(l, t, y, false, i, &like));
    }
    return LAMINA_OK;
}

/* ---- the pass ----------------------------------------------------------------------------------
 */

/* Added nodes go where they belong. */
static lamina_status put_in_order(last *l)
{
    lmn_graph *g = l->m->g;
    lmn_gnode *all = lmn_arena_dup(&l->m->tmp, g->nodes, g->n_nodes * sizeof *all);
    size_t n = 0;
    if (!all) return LAMINA_E_NOMEM;
    for (size_t i = 0; i <= l->n_nodes; i++) {
        if (i) g->nodes[n++] = all[i - 1];
        for (uint32_t a = l->head[i]; a; a = l->next[a - 1 - l->n_nodes])
            g->nodes[n++] = all[a - 1];
    }
    lmn_assert(n == g->n_nodes);
    for (size_t i = 0; i < n; i++)
        for (int32_t k = 0; !g->nodes[i].dead && k < g->nodes[i].op.n_out; k++)
            if (g->nodes[i].out[k]) g->values[g->nodes[i].out[k]].producer = (uint32_t)i;
    return LAMINA_OK;
}

/* What is joined for others alone is joined in their order, where parts lie beside each other and
   need no copy (planner.h). */
static void leave_joins(last *l)
{
    const lmn_graph *g = l->m->g;
    for (size_t i = l->n_nodes; i-- > 0;) {
        const lmn_gnode *n = &g->nodes[i];
        if (l->kind[i] == JOIN && !l->seen[n->out[0]]) l->kind[i] = NONE;
        for (int32_t k = 0; l->kind[i] && k < n->op.n_in; k++)
            if (is_data((kind)l->kind[i], k)) l->seen[n->in[k]] = 1;
    }
    memset(l->seen, 0, l->n_values * sizeof *l->seen);
}

static bool prepare(last *l)
{
    lmn_arena *a = &l->m->tmp;
    const size_t n = l->n_nodes = l->m->g->n_nodes, v = l->n_values = l->m->g->n_values;
    l->kind = LMN_ARENA_ARRAY(a, uint8_t, n + 1);
    l->up = LMN_ARENA_ARRAY(a, uint32_t, n + 1);
    l->convs = LMN_ARENA_ARRAY(a, int32_t, n + 1);
    l->places = LMN_ARENA_ARRAY(a, int32_t, n + 1);
    l->head = LMN_ARENA_ARRAY(a, uint32_t, n + 1);
    l->cap_next = 2 * n + 4 * v; /* two in front of a node, two on either side of a value */
    l->next = LMN_ARENA_ARRAY(a, uint32_t, l->cap_next);
    l->seen = LMN_ARENA_ARRAY(a, uint32_t, v);
    l->turned = LMN_ARENA_ARRAY(a, lmn_vid, v);
    return l->kind && l->up && l->convs && l->places && l->head && l->next && l->seen && l->turned;
}

static lamina_status run(lmn_match *m)
{
    last l = {.m = m};
    l.ints = lmn_op_find(MS, "QLinearConv");
    l.floats = m->ctx->short_images && lmn_op_find("lamina", "ImageConv") &&
               lmn_op_find("lamina", "ImageMean") && lmn_op_find("lamina", "ToImage") &&
               lmn_op_find("", "Cast");
    bool any = l.floats;
    for (size_t i = 0; !any && i < m->g->n_nodes; i++)
        any = l.ints && lmn_match_op(&m->g->nodes[i], "QLinearConv");
    if (!any || !lmn_op_find("", "Transpose")) return LAMINA_OK;
    if (!prepare(&l)) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < l.n_nodes; i++) l.kind[i] = (uint8_t)kind_of(&l, &m->g->nodes[i]);
    leave_joins(&l);
    join(&l);
    count_places(&l);
    lamina_status st = LAMINA_OK;
    for (uint32_t i = 0; st == LAMINA_OK && i < l.n_nodes; i++)
        if (is_chosen(&l, i)) st = turn_node(&l, i);
    const lamina_status placed = put_in_order(&l);
    return st == LAMINA_OK ? placed : st;
}

lamina_status lmn_pass_channels_last(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_channels_last(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
