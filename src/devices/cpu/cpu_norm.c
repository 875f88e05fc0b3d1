/*
 * Softmax along any axis; LayerNormalization, RMSNormalization, ReduceMean and ReduceSum in f32
 * where the axes worked on are the last ones, on the norm family. Other axes, Mean and InvStdDev
 * outputs run by the reference.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/norm/norm.h"
#include "ops/shapes.h"

static const int64_t chunk_elems = 16 << 10;

typedef struct norm_job {
    lmn_norm_fn *fn;
    lmn_norm_block block;
    int64_t rows_per_chunk, y_row; /* elements of y a row */
} norm_job;

static void norm_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const norm_job *j = arg;
    const int64_t first = chunk * j->rows_per_chunk;
    lmn_norm_block b = j->block;
    b.x += first * b.n;
    b.y += first * j->y_row;
    b.rows = lmn_min_i64(j->rows_per_chunk, b.rows - first);
    j->fn(&b);
}

static lamina_status norm_run(lmn_eval *ec, norm_job *j)
{
    j->rows_per_chunk = lmn_max_i64(1, chunk_elems / j->block.n);
    lmn_par_for(ec->par, (j->block.rows + j->rows_per_chunk - 1) / j->rows_per_chunk, norm_chunk,
                j);
    return LAMINA_OK;
}

/* A plane of n by step elements is worked on in strips of columns; chunks are (plane, strip). */
typedef struct down_job {
    lmn_norm_fn *fn;
    lmn_norm_block block; /* rows: planes */
    int64_t strip, strips;
} down_job;

static void down_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const down_job *j = arg;
    const int64_t first = chunk % j->strips * j->strip,
                  at = chunk / j->strips * j->block.n * j->block.step + first;
    lmn_norm_block b = j->block;
    b.x += at;
    b.y += at;
    b.rows = lmn_min_i64(j->strip, b.step - first);
    j->fn(&b);
}

static lamina_status down_run(lmn_eval *ec, lmn_norm_fn *fn, const lmn_norm_block *block)
{
    down_job j = {.fn = fn, .block = *block};
    j.strip = lmn_max_i64(64, chunk_elems / block->n / 64 * 64);
    j.strips = (block->step + j.strip - 1) / j.strip;
    lmn_par_for(ec->par, block->rows * j.strips, down_chunk, &j);
    return LAMINA_OK;
}

static bool axis_of(int64_t axis, int32_t rank, int32_t *out)
{
    if (axis < 0) axis += rank;
    *out = (int32_t)axis;
    return axis >= 0 && axis < rank;
}

static lamina_status run_softmax(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    int32_t axis;
    if (!lmn_cpu_is_f32(x) || lmn_count(x) == 0 ||
        !axis_of(lmn_attr_i(ec->node, "axis", -1), x->rank, &axis))
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    norm_job j = {.fn = k->dev->kset.norm_f32->softmax, .y_row = x->dims[axis]};
    j.block = (lmn_norm_block){.x = x->data, .y = y->data, .n = x->dims[axis]};
    j.block.rows = lmn_span_count(x->dims, 0, axis);
    j.block.step = lmn_span_count(x->dims, axis + 1, x->rank);
    if (j.block.step == 1) return norm_run(ec, &j);
    return down_run(ec, k->dev->kset.norm_f32->softmax_down, &j.block);
}

/* Is w one value for each of the n elements from the axis on? [4,1] has four values too, but for
   [..,4,4] they belong to rows. */
static bool covers_tail(const lamina_tensor *w, const lamina_tensor *x, int32_t axis, int64_t n)
{
    if (lmn_count(w) != n || w->rank > x->rank) return false;
    for (int32_t i = 0; i < w->rank; i++) {
        const int32_t d = i + x->rank - w->rank;
        if (w->dims[i] != (d < axis ? 1 : x->dims[d])) return false;
    }
    return true;
}

static lamina_status run_layer(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0), *scale = lmn_in(ec, 1), *bias = lmn_in(ec, 2);
    int32_t axis;
    if (!lmn_cpu_is_f32(x) || !lmn_cpu_is_f32(scale) || (bias && !lmn_cpu_is_f32(bias)) ||
        lmn_count(x) == 0 || !axis_of(lmn_attr_i(ec->node, "axis", -1), x->rank, &axis) ||
        lmn_out_wanted(ec, 1) || lmn_out_wanted(ec, 2) ||
        lmn_attr_i(ec->node, "stash_type", 1) != 1)
        return lmn_cpu_reference(ec);
    const int64_t n = lmn_span_count(x->dims, axis, x->rank);
    if (!covers_tail(scale, x, axis, n) || (bias && !covers_tail(bias, x, axis, n)))
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    norm_job j = {.fn = k->dev->kset.norm_f32->layer, .y_row = n};
    j.block = (lmn_norm_block){.x = x->data, .y = y->data, .n = n, .scale = scale->data};
    j.block.bias = bias ? bias->data : NULL;
    j.block.eps = lmn_attr_f(ec->node, "epsilon", 1e-5f);
    j.block.rows = lmn_span_count(x->dims, 0, axis);
    return norm_run(ec, &j);
}

/* First of the reduced axes if they are the last ones, else -1. */
static int32_t reduced_from(lmn_eval *ec, const lamina_tensor *x)
{
    const lamina_tensor *axes = lmn_in(ec, 1);
    uint32_t mask = 0;
    if (!axes || axes->kind != LAMINA_KIND_TENSOR || axes->dtype != LAMINA_I64 || axes->rank > 1)
        return -1;
    for (int64_t i = 0; i < lmn_count(axes); i++) {
        int32_t axis;
        if (!axis_of(lmn_get_i64(axes, i), x->rank, &axis) || mask >> axis & 1) return -1;
        mask |= 1u << axis;
    }
    int32_t from = x->rank;
    while (from > 0 && mask >> (from - 1) & 1) from--;
    return mask != 0 && mask >> from << from == mask && from < x->rank ? from : -1;
}

static lamina_status run_reduce(const lamina_kernel *k, lmn_eval *ec, bool mean)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!lmn_cpu_is_f32(x) || lmn_count(x) == 0) return lmn_cpu_reference(ec);
    const int32_t from = reduced_from(ec, x);
    if (from < 0) return lmn_cpu_reference(ec);
    const bool keep = lmn_attr_i(ec->node, "keepdims", 1) != 0;
    int64_t dims[LMN_MAX_RANK];
    for (int32_t i = 0; i < x->rank; i++) dims[i] = i < from ? x->dims[i] : 1;
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, keep ? x->rank : from, dims, &y));
    if (!y) return LAMINA_OK;
    norm_job j = {.fn = k->dev->kset.norm_f32->sums, .y_row = 1};
    j.block = (lmn_norm_block){.x = x->data, .y = y->data, .mean = mean};
    j.block.n = lmn_span_count(x->dims, from, x->rank);
    j.block.rows = lmn_span_count(x->dims, 0, from);
    return norm_run(ec, &j);
}

static lamina_status run_mean(const lamina_kernel *k, lmn_eval *ec)
{
    return run_reduce(k, ec, true);
}
static lamina_status run_sum(const lamina_kernel *k, lmn_eval *ec)
{
    return run_reduce(k, ec, false);
}

/* Are the extents of scale those of the last axes of x, from `axis` on? */
static bool scales_axes(const lamina_tensor *scale, const lamina_tensor *x, int32_t axis)
{
    if (scale->rank != x->rank - axis) return false;
    for (int32_t i = 0; i < scale->rank; i++)
        if (scale->dims[i] != x->dims[axis + i]) return false;
    return true;
}

static lamina_status run_rms(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0), *scale = lmn_in(ec, 1);
    int32_t axis;
    if (!lmn_cpu_is_f32(x) || !lmn_cpu_is_f32(scale) || lmn_count(x) == 0 ||
        !axis_of(lmn_attr_i(ec->node, "axis", -1), x->rank, &axis) ||
        lmn_attr_i(ec->node, "stash_type", 1) != 1 || !scales_axes(scale, x, axis))
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    norm_job j = {.fn = k->dev->kset.norm_f32->rms};
    j.block = (lmn_norm_block){.x = x->data, .y = y->data, .scale = scale->data};
    j.y_row = j.block.n = lmn_span_count(x->dims, axis, x->rank);
    j.block.rows = lmn_span_count(x->dims, 0, axis);
    j.block.eps = lmn_attr_f(ec->node, "epsilon", 1e-5f);
    return norm_run(ec, &j);
}

static bool supports_norm(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.norm_f32->head, text, cap);
}

const lmn_cpu_binding lmn_cpu_softmax = {
    .domain = "",
    .op = "Softmax",
    .families = "norm.f32",
    .supports = supports_norm,
    .run = run_softmax,
};
const lmn_cpu_binding lmn_cpu_layer_norm = {
    .domain = "",
    .op = "LayerNormalization",
    .families = "norm.f32",
    .supports = supports_norm,
    .run = run_layer,
};
const lmn_cpu_binding lmn_cpu_rms_norm = {
    .domain = "",
    .op = "RMSNormalization",
    .families = "norm.f32",
    .supports = supports_norm,
    .run = run_rms,
};
const lmn_cpu_binding lmn_cpu_reduce_mean = {
    .domain = "",
    .op = "ReduceMean",
    .families = "norm.f32",
    .supports = supports_norm,
    .run = run_mean,
};
const lmn_cpu_binding lmn_cpu_reduce_sum = {
    .domain = "",
    .op = "ReduceSum",
    .families = "norm.f32",
    .supports = supports_norm,
    .run = run_sum,
};
