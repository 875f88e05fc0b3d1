/*
 * MaxPool, AveragePool and the global pools in f32 on the pool family; a chunk is a run of planes.
 * Indices of MaxPool and windows that may see nothing but padding are left to the reference.
 */
#include "devices/cpu/cpu_geom.h"
#include "devices/cpu/cpu_tools.h"
#include "kernels/conv/pool.h"

static const int64_t chunk_elems = 32 << 10; /* of input; the grid depends on the shape only */

typedef struct pool_job {
    const lmn_pool_row *row;
    lmn_conv_geom g;
    lmn_pool_block block;
    int64_t planes, per_chunk;
} pool_job;

static void pool_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const pool_job *j = arg;
    const int64_t first = chunk * j->per_chunk;
    lmn_pool_block b = j->block;
    b.x += first * lmn_conv_volume(j->g.in);
    b.y += first * lmn_conv_volume(j->g.out);
    b.n_planes = lmn_min_i64(j->per_chunk, j->planes - first);
    j->row->run(&b);
}

static lamina_status pool_run(lmn_eval *ec, pool_job *j, const int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    j->block.g = &j->g;
    j->block.x = x->data, j->block.y = y->data;
    j->planes = x->dims[0] * x->dims[1];
    j->per_chunk = lmn_max_i64(1, chunk_elems / lmn_conv_volume(j->g.in));
    lmn_par_for(ec->par, (j->planes + j->per_chunk - 1) / j->per_chunk, pool_chunk, j);
    return LAMINA_OK;
}

/*
 * Does every window meet the input? Conservative: dilation and wide padding say no. A window much
 * wider than its input is left to the reference too, which skips the taps that see nothing.
 */
static bool meets_input(const lmn_cpu_window *w)
{
    bool all = true;
    for (int i = 0; i < 3; i++)
        all = all && w->pad[i] < w->kernel[i] && w->pad_end[i] < w->kernel[i] &&
              w->kernel[i] <= w->in[i] + 64 &&
              (w->dilation[i] == 1 || (w->pad[i] == 0 && w->pad_end[i] == 0));
    return all;
}

static lamina_status run_windows(const lamina_kernel *k, lmn_eval *ec, bool is_max)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    lmn_cpu_window w;
    int64_t dims[LMN_MAX_RANK];
    if (!lmn_cpu_is_f32(x) || x->rank < 3 || lmn_out_wanted(ec, 1) ||
        !lmn_cpu_window_of(ec->node, x, NULL, &w, dims + 2) || !meets_input(&w))
        return lmn_cpu_reference(ec);
    dims[0] = x->dims[0], dims[1] = x->dims[1];
    pool_job j = {.row = k->dev->kset.pool_f32};
    j.block.kind = is_max                                              ? LMN_POOL_MAX
                   : lmn_attr_i(ec->node, "count_include_pad", 0) != 0 ? LMN_POOL_AVG_PAD
                                                                       : LMN_POOL_AVG;
    w.groups = 1;
    j.g = lmn_cpu_geom(&w, 0, 0, 0);
    return pool_run(ec, &j, dims);
}

static lamina_status run_max(const lamina_kernel *k, lmn_eval *ec)
{
    return run_windows(k, ec, true);
}
static lamina_status run_average(const lamina_kernel *k, lmn_eval *ec)
{
    return run_windows(k, ec, false);
}

/* The plane as one row of its elements. */
static lamina_status run_global(const lamina_kernel *k, lmn_eval *ec, lmn_pool_kind kind)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    int64_t n = 1, dims[LMN_MAX_RANK];
    if (!lmn_cpu_is_f32(x) || x->rank < 3) return lmn_cpu_reference(ec);
    for (int32_t a = 0; a < x->rank; a++) {
        dims[a] = a < 2 ? x->dims[a] : 1;
        if (a >= 2) n *= x->dims[a];
    }
    if (n == 0) return lmn_cpu_reference(ec);
    pool_job j = {.row = k->dev->kset.pool_f32, .block = {.kind = kind}, .g = {.groups = 1}};
    for (int i = 0; i < 3; i++) {
        j.g.out[i] = j.g.stride[i] = j.g.dilation[i] = 1;
        j.g.in[i] = j.g.kernel[i] = i == 2 ? n : 1;
    }
    return pool_run(ec, &j, dims);
}

static lamina_status run_global_average(const lamina_kernel *k, lmn_eval *ec)
{
    return run_global(k, ec, LMN_POOL_AVG);
}
static lamina_status run_global_max(const lamina_kernel *k, lmn_eval *ec)
{
    return run_global(k, ec, LMN_POOL_MAX);
}

static bool supports_pool(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (node->op->n_out > 1) {
        (void)lmn_format(text, cap, "the fast pool does not compute Indices");
        return false;
    }
    return lmn_cpu_takes_f32(node, 0, &dev->kset.pool_f32->head, text, cap);
}

#define BINDING(symbol, Op, call)              \
    const lmn_cpu_binding lmn_cpu_##symbol = { \
        .domain = "", .op = Op, .families = "pool.f32", .supports = supports_pool, .run = call}
BINDING(max_pool, "MaxPool", run_max);
BINDING(average_pool, "AveragePool", run_average);
BINDING(global_average_pool, "GlobalAveragePool", run_global_average);
BINDING(global_max_pool, "GlobalMaxPool", run_global_max);
