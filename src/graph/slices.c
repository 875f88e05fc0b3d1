/*
 * Finding stretches (slices.h). A step belongs to one if its operator takes images by themselves,
 * all that it computes has the batch first, and every operand has it too or is the same for all
 * images. Of neighbours that belong the stretch goes from the first to the last that is worth it.
 */
#include "graph/slices.h"

#include <string.h>

#define ALIGN 64u
#define WEIGHTS 4u /* times its weights that a step reads and writes, as they come once a slice */

typedef struct finder {
    const lmn_slices_in *in;
    lmn_arena *tmp, *keep;
    uint32_t *last;  /* per value: the last step that reads it; UINT32_MAX: an output */
    uint32_t *maker; /* per value: the step that makes it, or UINT32_MAX */
} finder;

static bool is_constant(const finder *w, lmn_vid v)
{
    const lmn_value *x = &w->in->g->values[v];
    return !v || (x->constant && !x->is_input) || w->in->known[v];
}

/* Images of a value, of which each is a multiple of ALIGN bytes; 0: not such a value. */
static int64_t images_of(const finder *w, lmn_vid v, size_t *image_bytes)
{
    const lmn_fact *f = &w->in->facts[v];
    int64_t dims[LMN_MAX_RANK], count;
    size_t bytes;
    if (!v || f->kind != LMN_FACT_TENSOR || !lmn_dtype_bytes(f->dtype) || f->rank < 2) return 0;
    if (f->dtype == LAMINA_STRING || !lmn_fact_static(f, dims) ||
        !lmn_dims_count(f->rank, dims, &count) || !count)
        return 0;
    if (!lmn_dense_bytes(f->dtype, count / dims[0], &bytes) || bytes % ALIGN) return 0;
    *image_bytes = bytes;
    return dims[0];
}

/* Is operand k the same for all images? Not what might be images of fewer dimensions: a stretch
   that makes or reads those takes it apart. */
static bool shared(const finder *w, const lmn_gnode *n, int32_t k)
{
    const lmn_fact *f = &w->in->facts[n->in[k]], *y = &w->in->facts[n->out[0]];
    int64_t dims[LMN_MAX_RANK], y_dims[LMN_MAX_RANK];
    if (!n->in[k]) return true;
    if ((n->op.def->flags & LMN_OP_IMAGES) && k && k < 3) return is_constant(w, n->in[k]);
    if (f->kind != LMN_FACT_TENSOR || !lmn_fact_static(f, dims)) return false;
    if (f->rank == y->rank) return dims[0] == 1;
    return f->rank < 2 || is_constant(w, n->in[k]) ||
           (f->rank < y->rank && lmn_fact_static(y, y_dims) && dims[0] != y_dims[0]);
}

/* Images that step i takes each by itself, or 0; bytes of all that it reads and writes of them. */
static int64_t images_of_step(const finder *w, size_t i, uint64_t *bytes)
{
    const lmn_gnode *n = &w->in->g->nodes[i];
    const uint32_t flags = n->op.def->flags;
    const bool join = n->op.def->domain[0] == 0 && strcmp(n->op.def->name, "Concat") == 0 &&
                      lmn_attr_i(&n->op, "axis", 0) > 0;
    size_t one, y_bytes;
    *bytes = 0;
    if (!(join || (flags & (LMN_OP_IMAGES | LMN_OP_ELEMENTWISE))) || (flags & LMN_OP_RANDOM))
        return 0;
    if (n->op.n_out < 1 || w->last[n->out[0]] == UINT32_MAX) return 0;
    for (int32_t k = 1; k < n->op.n_out; k++)
        if (n->out[k]) return 0; /* as places of maxima, which count all images */
    const int64_t n_images = images_of(w, n->out[0], &y_bytes);
    if (n_images < 2) return 0;
    *bytes = (uint64_t)n_images * y_bytes;
    for (int32_t k = 0; k < n->op.n_in; k++) {
        const bool whole = k ? shared(w, n, k) : false;
        if (whole) continue;
        if (is_constant(w, n->in[k]) || images_of(w, n->in[k], &one) != n_images ||
            w->in->facts[n->in[k]].rank != w->in->facts[n->out[0]].rank)
            return 0;
        *bytes += (uint64_t)n_images * one;
    }
    return n_images;
}

static uint64_t weights_of(const finder *w, const lmn_gnode *n)
{
    uint64_t bytes = 0;
    for (int32_t k = 1; k < n->op.n_in; k++) {
        const lamina_tensor *t = w->in->g->values[n->in[k]].constant;
        if (t) bytes += t->data_bytes;
    }
    return bytes;
}

static void look(finder *w)
{
    const lmn_graph *g = w->in->g;
    for (size_t v = 0; v < g->n_values; v++) w->maker[v] = UINT32_MAX;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (w->in->skip[i]) continue;
        for (int32_t k = 0; k < n->op.n_in; k++) w->last[n->in[k]] = (uint32_t)i;
        for (int32_t k = 0; k < n->op.n_out; k++) w->maker[n->out[k]] = (uint32_t)i;
    }
    for (size_t i = 0; i < g->n_outputs; i++) w->last[g->outputs[i]] = UINT32_MAX;
}

static bool within(const lmn_slice *s, uint32_t step)
{
    return step >= s->first && step <= s->last;
}

/* Does it come with all images, and is it taken apart? */
static bool enters(const finder *w, const lmn_slice *s, const lmn_gnode *n, int32_t k)
{
    const lmn_vid v = n->in[k];
    return v && !is_constant(w, v) && !(k && shared(w, n, k)) && !within(s, w->maker[v]);
}

static lamina_status list_values(finder *w, lmn_slice *s)
{
    const lmn_graph *g = w->in->g;
    size_t most = 0, n_before = 0;
    for (size_t i = 0; i <= s->last; i++) {
        if (i < s->first) n_before += (size_t)g->nodes[i].op.n_out;
        if (i >= s->first) most += (size_t)(g->nodes[i].op.n_in + g->nodes[i].op.n_out);
    }
    bool *seen = LMN_ARENA_ARRAY(w->tmp, bool, g->n_values);
    lmn_slice_value *in = LMN_ARENA_ARRAY(w->keep, lmn_slice_value, most);
    lmn_slice_value *out = LMN_ARENA_ARRAY(w->keep, lmn_slice_value, most);
    if (!seen || !in || !out) return LAMINA_E_NOMEM;
    for (uint32_t i = s->first; i <= s->last; i++) {
        const lmn_gnode *n = &g->nodes[i];
        size_t bytes;
        for (int32_t k = 0; !w->in->skip[i] && k < n->op.n_in; k++) {
            const lmn_vid v = n->in[k];
            if (!enters(w, s, n, k) || seen[v]) continue;
            seen[v] = true;
            (void)images_of(w, v, &bytes);
            in[s->n_in++] = (lmn_slice_value){v, 0, bytes};
        }
        if (!w->in->skip[i] && w->last[n->out[0]] > s->last) {
            (void)images_of(w, n->out[0], &bytes);
            out[s->n_out++] = (lmn_slice_value){n->out[0], (uint32_t)n_before, bytes};
        }
        n_before += (size_t)n->op.n_out;
    }
    s->in = in;
    s->out = out;
    return LAMINA_OK;
}

/* From step i on, the neighbours that take as many images; *next is the step behind them. */
static void stretch(const finder *w, size_t i, size_t *next, lmn_slice *s)
{
    const lmn_graph *g = w->in->g;
    uint64_t bytes, most = 1;
    *s = (lmn_slice){.n_images = images_of_step(w, i, &bytes)};
    uint32_t n_worth = 0;
    size_t k = i;
    for (; k < g->n_nodes; k++) {
        if (w->in->skip[k]) continue;
        if (images_of_step(w, k, &bytes) != s->n_images) break;
        if (bytes < w->in->least_bytes || bytes < WEIGHTS * weights_of(w, &g->nodes[k]) ||
            !(g->nodes[k].op.def->flags & LMN_OP_IMAGES))
            continue;
        if (bytes > most) most = bytes;
        if (!n_worth++) s->first = (uint32_t)k;
        s->last = (uint32_t)k;
    }
    *next = k;
    const uint64_t image = most / (uint64_t)s->n_images + 1;
    s->at_once = (int64_t)(w->in->part_bytes / image + 1) * (int64_t)w->in->n_threads;
    if (n_worth < 2 || s->at_once > s->n_images / 2) s->n_images = 0;
}

lamina_status lmn_slices_find(const lmn_slices_in *in, lmn_arena *tmp, lmn_arena *keep,
                              lmn_slices *out)
{
    const lmn_graph *g = in->g;
    finder w = {.in = in, .tmp = tmp, .keep = keep};
    *out = (lmn_slices){0};
    w.last = LMN_ARENA_ARRAY(tmp, uint32_t, g->n_values);
    w.maker = LMN_ARENA_ARRAY(tmp, uint32_t, g->n_values);
    lmn_slice *all = LMN_ARENA_ARRAY(tmp, lmn_slice, g->n_nodes + 1);
    if (!w.last || !w.maker || !all) return LAMINA_E_NOMEM;
    look(&w);
    for (size_t i = 0; i < g->n_nodes;) {
        uint64_t bytes;
        lmn_slice s;
        if (in->skip[i] || !images_of_step(&w, i, &bytes)) {
            i++;
            continue;
        }
        stretch(&w, i, &i, &s);
        if (!s.n_images) continue;
        LMN_TRY(list_values(&w, &s));
        all[out->n++] = s;
    }
    if (!out->n) return LAMINA_OK;
    out->all = lmn_arena_dup(keep, all, out->n * sizeof *all);
    return out->all ? LAMINA_OK : LAMINA_E_NOMEM;
}

void lmn_slices_thin(const lmn_slices_in *in, const lmn_slices *s, lmn_fact *facts)
{
    for (size_t k = 0; k < s->n; k++) {
        const lmn_slice *x = &s->all[k];
        uint32_t o = 0;
        for (uint32_t i = x->first; i <= x->last; i++) {
            if (in->skip[i]) continue;
            const lmn_vid v = in->g->nodes[i].out[0];
            if (o < x->n_out && x->out[o].v == v)
                o++;
            else
                facts[v].dims[0] = lmn_dim_c(x->at_once);
        }
    }
}
