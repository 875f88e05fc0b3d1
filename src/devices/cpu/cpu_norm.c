/*
 * Softmax along any axis; LogSoftmax, LayerNormalization and RMSNormalization in f32 where the axes
 * worked on are the last ones, InstanceNormalization, GroupNormalization and BatchNormalization of
 * planes, on the norm family. Other axes, Mean and InvStdDev outputs run by the reference.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/norm/norm.h"
#include "ops/shapes.h"

#include <math.h>
#include <string.h>

static const int64_t chunk_elems = 16 << 10, least_elems = 4 << 10;

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
    b.row += first;
    b.rows = lmn_min_i64(j->rows_per_chunk, b.rows - first);
    j->fn(&b);
}

static lamina_status norm_run(lmn_eval *ec, norm_job *j)
{
    /* As many chunks as threads, where that leaves each something to do. */
    const int64_t most = chunk_elems / j->block.n, least = least_elems / j->block.n;
    const int64_t even = lmn_ceil_div_i64(j->block.rows, lmn_par_width(ec->par));
    j->rows_per_chunk = lmn_max_i64(1, lmn_min_i64(most, lmn_max_i64(even, least)));
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

static lamina_status run_log_softmax(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    int32_t axis;
    if (!lmn_cpu_is_f32(x) || lmn_count(x) == 0 ||
        !axis_of(lmn_attr_i(ec->node, "axis", -1), x->rank, &axis) ||
        lmn_span_count(x->dims, axis + 1, x->rank) != 1)
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    norm_job j = {.fn = k->dev->kset.norm_f32->log_softmax, .y_row = x->dims[axis]};
    j.block = (lmn_norm_block){.x = x->data, .y = y->data, .n = x->dims[axis]};
    j.block.rows = lmn_span_count(x->dims, 0, axis);
    return norm_run(ec, &j);
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

/* Is input i a vector of f32, one a channel of x? */
static bool is_per_channel(lmn_eval *ec, int32_t i, const lamina_tensor *x)
{
    const lamina_tensor *p = lmn_in(ec, i);
    return lmn_cpu_is_f32(p) && p->rank == 1 && p->dims[0] == x->dims[1];
}

static lamina_status run_planes(const lamina_kernel *k, lmn_eval *ec, lmn_norm_block block)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    norm_job j = {.fn = k->dev->kset.norm_f32->planes, .block = block};
    j.block.x = x->data, j.block.y = y->data;
    j.block.channels = x->dims[1], j.block.rows = x->dims[0] * x->dims[1];
    j.y_row = j.block.n = lmn_span_count(x->dims, 2, x->rank);
    return norm_run(ec, &j);
}

static lamina_status run_instance(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!lmn_cpu_is_f32(x) || x->rank < 3 || lmn_count(x) == 0 || !is_per_channel(ec, 1, x) ||
        !is_per_channel(ec, 2, x))
        return lmn_cpu_reference(ec);
    const lmn_norm_block block = {.scale = lmn_in(ec, 1)->data,
                                  .bias = lmn_in(ec, 2)->data,
                                  .eps = lmn_attr_f(ec->node, "epsilon", 1e-5f)};
    return run_planes(k, ec, block);
}

/* Groups as planes: with a scale a group that is all, with one a channel a second pass follows. */
static lamina_status run_group(const lamina_kernel *k, lmn_eval *ec)
{
    static const float ONE = 1.0f, ZERO = 0.0f;
    const lamina_tensor *x = lmn_in(ec, 0), *scale = lmn_in(ec, 1), *bias = lmn_in(ec, 2);
    const int64_t groups = lmn_attr_i(ec->node, "num_groups", 0);
    if (!lmn_cpu_is_f32(x) || x->rank < 3 || lmn_count(x) == 0 || groups < 1 ||
        x->dims[1] % groups != 0 || !lmn_cpu_is_f32(scale) || !lmn_cpu_is_f32(bias) ||
        scale->rank != 1 || bias->rank != 1 || scale->dims[0] != bias->dims[0])
        return lmn_cpu_reference(ec);
    const int64_t channels = x->dims[1], n = scale->dims[0];
    if (n != channels && n != groups) return lmn_cpu_reference(ec);
    float *zeros = lmn_scratch(ec, (size_t)channels * sizeof *zeros);
    if (!zeros)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld means", (long long)channels);
    memset(zeros, 0, (size_t)channels * sizeof *zeros);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    const bool whole = n == groups; /* where both are equal they mean the same */
    norm_job j = {.fn = k->dev->kset.norm_f32->planes};
    j.block = (lmn_norm_block){.x = x->data, .y = y->data, .rows = x->dims[0] * groups};
    j.block.scale = whole ? scale->data : &ONE, j.block.bias = whole ? bias->data : &ZERO;
    j.block.channels = whole ? groups : 1;
    j.block.eps = lmn_attr_f(ec->node, "epsilon", 1e-5f);
    j.y_row = j.block.n = channels / groups * lmn_span_count(x->dims, 2, x->rank);
    LMN_TRY(norm_run(ec, &j));
    if (whole) return LAMINA_OK;
    j.block.x = y->data, j.block.scale = scale->data, j.block.bias = bias->data;
    j.block.center = zeros, j.block.channels = channels, j.block.rows = x->dims[0] * channels;
    j.y_row = j.block.n = lmn_span_count(x->dims, 2, x->rank);
    return norm_run(ec, &j);
}

/* With the statistics given: the scale takes the root in. */
static lamina_status run_batch(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!lmn_cpu_is_f32(x) || x->rank < 3 || lmn_count(x) == 0 ||
        lmn_attr_i(ec->node, "training_mode", 0) != 0 || ec->node->n_out > 1)
        return lmn_cpu_reference(ec);
    for (int32_t i = 1; i < 5; i++)
        if (!is_per_channel(ec, i, x)) return lmn_cpu_reference(ec);
    const int64_t channels = x->dims[1];
    float *scale = lmn_scratch(ec, (size_t)channels * sizeof *scale);
    if (!scale)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld scales", (long long)channels);
    const double eps = (double)lmn_attr_f(ec->node, "epsilon", 1e-5f);
    const float *given = lmn_in(ec, 1)->data, *var = lmn_in(ec, 4)->data;
    for (int64_t c = 0; c < channels; c++) scale[c] = (float)(given[c] / sqrt(var[c] + eps));
    const lmn_norm_block block = {
        .scale = scale, .bias = lmn_in(ec, 2)->data, .center = lmn_in(ec, 3)->data};
    return run_planes(k, ec, block);
}

static bool supports_norm(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.norm_f32->head, text, cap);
}

#define BINDING(symbol, Op, call)              \
    const lmn_cpu_binding lmn_cpu_##symbol = { \
        .domain = "", .op = Op, .families = "norm.f32", .supports = supports_norm, .run = call}
BINDING(softmax, "Softmax", run_softmax);
BINDING(layer_norm, "LayerNormalization", run_layer);
BINDING(rms_norm, "RMSNormalization", run_rms);
BINDING(log_softmax, "LogSoftmax", run_log_softmax);
BINDING(instance_norm, "InstanceNormalization", run_instance);
BINDING(group_norm, "GroupNormalization", run_group);
BINDING(batch_norm, "BatchNormalization", run_batch);
