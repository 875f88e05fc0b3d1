/*
 * ImageConv: convolutions of bf16 images with their channels last, on the driver of such
 * convolutions, or the dwlast family where they are depthwise. Weights are rounded and packed once
 * a session where they are constant, and once a run where not.
 */
#include "devices/cpu/cpu_geom.h"
#include "devices/cpu/cpu_tools.h"
#include "kernels/conv/dwlast.h"
#include "kernels/hgemm/hlast_plan.h"

#include <math.h>

/* Of what pack() writes: another order of bytes is another number. */
#define LAYOUT_VERSION 1

static const int64_t chunk_elems = 32 << 10; /* of a depthwise output; by the shape only */

typedef struct image_state {
    lmn_packed *packed; /* NULL: the weights are not constant, or there is no store */
} image_state;

typedef struct image_job {
    lmn_hlast_plan plan;
    lmn_hlast_args args;
    uint8_t *scratch;
    size_t scratch_step;
} image_job;

static void image_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const image_job *j = arg;
    uint8_t *scratch = j->scratch ? j->scratch + (size_t)worker * j->scratch_step : NULL;
    lmn_hlast_chunk(&j->plan, &j->args, chunk, scratch);
}

/* ---- weights -----------------------------------------------------------------------------------
 */

static bool weights_of(const lamina_tensor *w, lmn_hlast_weights *out)
{
    if (!lmn_cpu_is_f32(w) || w->rank < 3 || w->rank > 5 || lmn_count(w) == 0) return false;
    *out = (lmn_hlast_weights){.w = w->data,
                               .c_out = w->dims[0],
                               .c_in = w->dims[1],
                               .taps = lmn_count(w) / w->dims[0] / w->dims[1]};
    return true;
}

enum { DEEP = 1 }; /* flags of a job: a depthwise convolution */

static void pack(const void *row, int32_t flags, const lamina_tensor *w, void *dst)
{
    lmn_hlast_weights from;
    if (!weights_of(w, &from)) return;
    if (flags & DEEP)
        lmn_dwlast_prepack(from.w, from.c_out, from.taps, dst);
    else
        lmn_hlast_prepack(row, &from, dst);
}

static size_t packed_bytes(const lmn_hgemm_row *row, int32_t flags, const lmn_hlast_weights *w)
{
    return flags & DEEP ? (size_t)lmn_dwlast_packed_elems(w->c_out, w->taps) * sizeof(float)
                        : (size_t)lmn_hlast_packed_elems(row, w) * sizeof(uint16_t);
}

static lamina_status init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                          lamina_error *err)
{
    image_state *s = state;
    const lmn_hgemm_row *row = dev->kset.hgemm_bf16;
    const lamina_tensor *w = node->op->n_in > 1 ? node->in_const[1] : NULL;
    lmn_hlast_weights from;
    if (!row->rows_f32 || !node->prepack || !weights_of(w, &from)) return LAMINA_OK;
    lmn_pack_job job = {.w = w, .pack = pack, .row = row};
    job.flags = lmn_attr_i(node->op, "group", 1) == 1 ? 0 : DEEP;
    job.bytes = packed_bytes(row, job.flags, &from);
    (void)lmn_format(job.layout, sizeof job.layout, "%s.%s:%s.%d.%d %s %lldx%lldx%lld",
                     row->head.family, row->head.dtype, row->head.variant, LAYOUT_VERSION,
                     (int)row->nr, job.flags & DEEP ? "deep" : "image", (long long)from.c_out,
                     (long long)from.c_in, (long long)from.taps);
    if (node->prepack->want(node->prepack, &job, &s->packed) == LAMINA_OK) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for packed weights");
}

static lamina_status packed_of(const lamina_kernel *k, lmn_eval *ec, int32_t flags,
                               const void **out)
{
    const image_state *s = k->state;
    const lmn_hgemm_row *row = k->dev->kset.hgemm_bf16;
    lmn_hlast_weights from;
    if (s->packed) {
        *out = lmn_packed_data(s->packed);
    } else {
        (void)weights_of(lmn_in(ec, 1), &from);
        void *own = lmn_scratch(ec, packed_bytes(row, flags, &from));
        if (own) pack(row, flags, lmn_in(ec, 1), own);
        *out = own;
    }
    if (*out) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory for packed weights");
}

/* ---- running -----------------------------------------------------------------------------------
 */

static bool is_image(const lamina_tensor *t, int32_t rank)
{
    return t && t->kind == LAMINA_KIND_TENSOR && t->dtype == LAMINA_BF16 && t->rank == rank;
}

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
    LMN_TRY(packed_of(k, ec, DEEP, &packed));
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
    lmn_cpu_window win;
    if (!weights_of(w, &from) || !is_image(x, w->rank)) return false;
    lamina_tensor turned = {.rank = x->rank};
    for (int32_t i = 2; i < x->rank; i++) turned.dims[i] = x->dims[i - 1];
    int64_t spatial[3];
    if (!lmn_cpu_window_of(ec->node, &turned, w->dims + 2, &win, spatial)) return false;
    *g = lmn_cpu_geom(&win, x->dims[0], x->dims[x->rank - 1], from.c_out);
    g->threads = lmn_par_width(ec->par);
    dims[0] = g->n, dims[x->rank - 1] = g->c_out;
    for (int32_t i = 1; i + 1 < x->rank; i++) dims[i] = spatial[i - 1];
    const bool deep = g->groups > 1 && from.c_in == 1 && !z && lmn_dwlast_takes(g) &&
                      !lmn_attr_i(ec->node, "silu", 0);
    if (!deep && (g->groups != 1 || g->c_in != from.c_in)) return false;
    if (g->n < 1 || g->c_out >= LMN_CPU_EXTENT_MAX || from.c_in * from.taps >= LMN_CPU_EXTENT_MAX ||
        lmn_conv_volume(g->out) >= LMN_CPU_EXTENT_MAX / g->n)
        return false;
    if (b && !(lmn_cpu_is_f32(b) && b->rank == 1 && b->dims[0] == g->c_out)) return false;
    if (z && !is_image(z, x->rank)) return false;
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
    LMN_TRY(packed_of(k, ec, 0, &panels));
    j.args.w = panels;
    lmn_hlast_plan_make(row, &g, j.args.add != NULL, &j.plan);
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.plan.scratch_bytes, &j.scratch, &j.scratch_step));
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
    .state_bytes = sizeof(image_state),
    .init = init,
    .run = run,
};
