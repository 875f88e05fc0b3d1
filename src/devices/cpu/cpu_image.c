/*
 * ImageConv: convolutions of bf16 images with their channels last, on the driver of such
 * convolutions, or the dwlast family where they are depthwise. Weights are rounded and packed once
 * a session where they are constant, and once a run where not.
 */
#include "devices/cpu/cpu_image.h"

#include <math.h>

static const int64_t chunk_elems = 32 << 10; /* of a depthwise output; by the shape only */

typedef struct image_job {
    lmn_hlast_plan plan;
    lmn_hlast_args args;
    lmn_cpu_scratch scratch;
} image_job;

static void image_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const image_job *j = arg;
    lmn_hlast_chunk(&j->plan, &j->args, chunk, lmn_cpu_scratch_of(&j->scratch, worker));
}

/* ---- weights -----------------------------------------------------------------------------------
 */

bool lmn_cpu_image_weights(const lamina_tensor *w, lmn_hlast_weights *out)
{
    if (!lmn_cpu_is_f32(w) || w->rank < 3 || w->rank > 5 || lmn_count(w) == 0) return false;
    *out = (lmn_hlast_weights){.w = w->data,
                               .c_out = w->dims[0],
                               .c_in = w->dims[1],
                               .taps = lmn_count(w) / w->dims[0] / w->dims[1],
                               .line = w->dims[w->rank - 1]};
    return true;
}

enum { DEEP = 1 }; /* flags of a job: a depthwise convolution */

static void pack(const void *row, int32_t flags, const lamina_tensor *w, void *dst)
{
    lmn_hlast_weights from;
    if (!lmn_cpu_image_weights(w, &from)) return;
    if (flags & DEEP)
        lmn_dwlast_prepack(from.w, from.c_out, from.taps, dst);
    else
        lmn_hlast_prepack(row, &from, dst);
}

/* What packing is to do, in an order of bytes by the name of `kind`: another order is another
   number. False: no weights of this kind. */
static bool job_of(const lmn_hgemm_row *row, const lamina_tensor *w, int32_t flags,
                   lmn_pack_job *job, const char **kind)
{
    lmn_hlast_weights from;
    if (!lmn_cpu_image_weights(w, &from)) return false;
    *job = (lmn_pack_job){.w = w, .pack = pack, .row = row, .flags = flags};
    job->bytes = flags & DEEP
                     ? (uint64_t)lmn_dwlast_packed_elems(from.c_out, from.taps) * sizeof(float)
                     : (uint64_t)lmn_hlast_packed_elems(row, &from) * sizeof(uint16_t);
    *kind = flags & DEEP ? "deep.2" : "image.2";
    return true;
}

lamina_status lmn_cpu_image_want(const lmn_cpu_dev *dev, const lamina_node *node, int32_t i,
                                 bool deep, lmn_cpu_last_weights *w, lamina_error *err)
{
    const lmn_hgemm_row *row = dev->kset.hgemm_bf16;
    lmn_pack_job job;
    const char *kind;
    if (!row->rows_f32 || !node->prepack || i >= node->op->n_in ||
        !job_of(row, node->in_const[i], deep ? DEEP : 0, &job, &kind))
        return LAMINA_OK;
    return lmn_cpu_last_want(node, &job, row->nr, kind, w, err);
}

lamina_status lmn_cpu_image_packed(const lmn_cpu_dev *dev, lmn_eval *ec, int32_t i, bool deep,
                                   const lmn_cpu_last_weights *w, const void **out)
{
    lmn_pack_job job;
    const char *kind;
    (void)job_of(dev->kset.hgemm_bf16, lmn_in(ec, i), deep ? DEEP : 0, &job, &kind);
    return lmn_cpu_last_packed(ec, w, &job, out);
}

static lamina_status init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                          lamina_error *err)
{
    const bool deep = lmn_attr_i(node->op, "group", 1) != 1;
    return lmn_cpu_image_want(dev, node, 1, deep, state, err);
}

/* ---- running -----------------------------------------------------------------------------------
 */

/* Lines of outputs of a depthwise convolution. */
typedef struct deep_job {
    const lmn_dwlast_row *row;
    lmn_dwlast_block all;
    int64_t per_chunk;
} deep_job;

static void deep_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const deep_job *j = arg;
    lmn_dwlast_block b = j->all;
    b.line = chunk * j->per_chunk;
    b.n_lines = lmn_min_i64(j->per_chunk, j->all.n_lines - b.line);
    if (b.n_lines > 0) j->row->run(&b);
}

static lamina_status run_deep(const lamina_kernel *k, lmn_eval *ec, const lmn_conv_geom *g,
                              const lmn_hlast_args *a)
{
    deep_job j = {.row = k->dev->kset.dwlast_bf16};
    const void *packed;
    LMN_TRY(lmn_cpu_image_packed(k->dev, ec, 1, true, k->state, &packed));
    j.all = (lmn_dwlast_block){
        .g = g, .x = a->x, .w = packed, .bias = a->bias, .y = a->y, .lo = a->lo, .hi = a->hi};
    j.all.n_lines = g->n * g->out[1];
    j.per_chunk = lmn_max_i64(1, chunk_elems / (g->out[2] * g->c_in));
    lmn_par_for(ec->par, lmn_ceil_div_i64(j.all.n_lines, j.per_chunk), deep_chunk, &j);
    return LAMINA_OK;
}

/* Geometry and operands; false leaves it to the reference. `dims`: those of y. */
static bool read_operands(lmn_eval *ec, image_job *j, lmn_conv_geom *g, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 1), *b = lmn_in(ec, 2),
                        *z = lmn_in(ec, 3);
    lmn_hlast_weights from;
    if (!lmn_cpu_image_weights(w, &from) || !lmn_cpu_is_image(x, w->rank) ||
        !lmn_cpu_last_geom(ec, x, w, g, dims))
        return false;
    const bool deep = g->groups > 1 && from.c_in == 1 && !z && lmn_dwlast_takes(g) &&
                      !lmn_attr_i(ec->node, "silu", 0);
    if (!deep && (g->groups != 1 || g->c_in != from.c_in)) return false;
    if (b && !(lmn_cpu_is_f32(b) && b->rank == 1 && b->dims[0] == g->c_out)) return false;
    if (z && !lmn_cpu_is_image(z, x->rank)) return false;
    for (int32_t i = 0; z && i < x->rank; i++)
        if (z->dims[i] != dims[i]) return false;
    j->args = (lmn_hlast_args){.x = x->data, .bias = b ? b->data : NULL, .add = z ? z->data : NULL};
    j->args.silu = lmn_attr_i(ec->node, "silu", 0) != 0;
    j->args.lo = lmn_attr_f(ec->node, "lo", -INFINITY);
    j->args.hi = lmn_attr_f(ec->node, "hi", INFINITY);
    j->args.clipped = lmn_attr_find(ec->node, "lo") || lmn_attr_find(ec->node, "hi");
    return true;
}

static lamina_status run(const lamina_kernel *k, lmn_eval *ec)
{
    image_job j = {0};
    lmn_conv_geom g;
    int64_t dims[LMN_MAX_RANK];
    const lmn_hgemm_row *row = k->dev->kset.hgemm_bf16;
    if (!row->rows_f32 || !read_operands(ec, &j, &g, dims)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_BF16, lmn_in(ec, 0)->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    j.args.y = y->data;
    if (g.groups > 1) return run_deep(k, ec, &g, &j.args);
    const void *panels;
    LMN_TRY(lmn_cpu_image_packed(k->dev, ec, 1, false, k->state, &panels));
    j.args.w = panels;
    lmn_hlast_plan_make(row, &g, j.args.add != NULL, &j.plan);
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.plan.scratch_bytes, &j.scratch));
    lmn_par_for(ec->par, j.plan.n_chunks, image_chunk, &j);
    return LAMINA_OK;
}

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const lmn_hgemm_row *row = dev->kset.hgemm_bf16;
    const bool known = row->rows_f32 && lmn_cpu_rank(node, 0) <= 5;
    const lmn_krow *head =
        lmn_attr_i(node->op, "group", 1) == 1 ? &row->head : &dev->kset.dwlast_bf16->head;
    if (known)
        (void)lmn_format(text, cap, "%s.%s:%s", head->family, head->dtype, head->variant);
    else
        (void)lmn_format(text, cap, "no pairs of bf16, or more than three spatial axes");
    return known;
}

const lmn_cpu_binding lmn_cpu_image_conv = {
    .domain = "lamina",
    .op = "ImageConv",
    .families = "hgemm.bf16 dwlast.bf16",
    .supports = supports,
    .state_bytes = sizeof(lmn_cpu_last_weights),
    .init = init,
    .run = run,
};
