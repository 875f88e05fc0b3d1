/*
 * ReduceSum, ReduceMean, ReduceMax and ReduceMin in f32 on the folds of the norm family, one run of
 * neighbouring axes after the other. Sums so long that one chain of f32 would lose digits run by
 * the reference.
 *
 * Rows longer than PART elements are folded in parts first and the parts after them, so that one
 * long row has work for all threads and short chains. The parts depend on the shape alone.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/norm/norm.h"
#include "ops/shapes.h"

#include <string.h>

enum { PART = 16 << 10, LONGEST_CHAIN = 8192 };

typedef struct fold_job {
    const lmn_norm_row *kernels;
    lmn_norm_block block;
    int64_t rows, rows_per_chunk, parts; /* of rows; step 1 */
    int64_t strip, strips;               /* columns of a chunk and chunks of a plane; step > 1 */
    float *part;                         /* rows x parts, or NULL */
} fold_job;

/* The axes of x that are reduced, as bits; false where the reference is to decide. */
static bool reduced_axes(lmn_eval *ec, const lamina_tensor *x, uint32_t *mask)
{
    const lamina_tensor *axes = lmn_in(ec, 1);
    *mask = 0;
    if (axes && (axes->kind != LAMINA_KIND_TENSOR || axes->dtype != LAMINA_I64 || axes->rank > 1))
        return false;
    const int64_t n = axes ? lmn_count(axes) : 0;
    if (n == 0) *mask = (1u << x->rank) - 1;
    for (int64_t i = 0; i < n; i++) {
        int64_t axis = lmn_get_i64(axes, i);
        if (axis < 0) axis += x->rank;
        if (axis < 0 || axis >= x->rank) return false;
        *mask |= 1u << axis;
    }
    return n > 0 || lmn_attr_i(ec->node, "noop_with_empty_axes", 0) == 0;
}

/* The last run of reduced axes, those of extent 1 apart: [*from, *to); false if there is none. */
static bool last_run(int32_t rank, const int64_t *dims, uint32_t mask, int32_t *from, int32_t *to)
{
    int32_t i = rank - 1;
    while (i >= 0 && (dims[i] == 1 || !(mask >> i & 1))) i--;
    if (i < 0) return false;
    *to = i + 1;
    while (i > 0 && (dims[i - 1] == 1 || mask >> (i - 1) & 1)) i--;
    *from = i;
    return true;
}

static void row_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const fold_job *j = arg;
    lmn_norm_block b = j->block;
    if (j->part) {
        const int64_t first = chunk % j->parts * PART;
        b.x += chunk / j->parts * b.n + first, b.y = j->part + chunk, b.rows = 1;
        b.n = lmn_min_i64(PART, b.n - first);
        if (b.fold == LMN_FOLD_MEAN) b.fold = LMN_FOLD_SUM;
    } else {
        const int64_t first = chunk * j->rows_per_chunk;
        b.x += first * b.n, b.y += first;
        b.rows = lmn_min_i64(j->rows_per_chunk, j->rows - first);
    }
    j->kernels->folds(&b);
}

static void column_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const fold_job *j = arg;
    lmn_norm_block b = j->block;
    const int64_t plane = chunk / j->strips, first = chunk % j->strips * j->strip;
    b.x += plane * b.n * b.step + first, b.y += plane * b.step + first;
    b.rows = lmn_min_i64(j->strip, b.step - first);
    j->kernels->folds_down(&b);
}

/* Rows of neighbouring elements. */
static lamina_status fold_rows(lmn_eval *ec, fold_job *j)
{
    j->parts = (j->block.n + PART - 1) / PART;
    j->rows_per_chunk = lmn_max_i64(1, PART / j->block.n);
    if (j->parts == 1) {
        lmn_par_for(ec->par, (j->rows + j->rows_per_chunk - 1) / j->rows_per_chunk, row_chunk, j);
        return LAMINA_OK;
    }
    j->part = lmn_scratch(ec, (size_t)(j->rows * j->parts) * sizeof *j->part);
    if (!j->part)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld partial results",
                             (long long)(j->rows * j->parts));
    lmn_par_for(ec->par, j->rows * j->parts, row_chunk, j);
    lmn_norm_block b = j->block;
    const bool mean = b.fold == LMN_FOLD_MEAN;
    b.x = j->part, b.rows = j->rows, b.n = j->parts;
    if (mean) b.fold = LMN_FOLD_SUM;
    j->kernels->folds(&b);
    for (int64_t r = 0; mean && r < j->rows; r++) b.y[r] /= (float)j->block.n;
    return LAMINA_OK;
}

/* One run of axes, as j->block has it. */
static lamina_status fold_run(lmn_eval *ec, fold_job *j)
{
    j->rows = j->block.rows;
    j->part = NULL;
    if (j->block.step == 1) return fold_rows(ec, j);
    j->strip = lmn_max_i64(64, PART / j->block.n / 64 * 64);
    j->strips = (j->block.step + j->strip - 1) / j->strip;
    lmn_par_for(ec->par, j->rows * j->strips, column_chunk, j);
    return LAMINA_OK;
}

/* May every run be folded? Sums down the rows are one chain. */
static bool chains_short(const lamina_tensor *x, uint32_t mask, lmn_norm_fold fold)
{
    int64_t dims[LMN_MAX_RANK];
    int32_t from, to, runs = 0;
    memcpy(dims, x->dims, sizeof dims);
    for (; last_run(x->rank, dims, mask, &from, &to); runs++) {
        const int64_t n = lmn_span_count(dims, from, to);
        const bool down = lmn_span_count(dims, to, x->rank) > 1;
        if ((fold == LMN_FOLD_SUM || fold == LMN_FOLD_MEAN) && down && n > LONGEST_CHAIN)
            return false;
        for (int32_t i = from; i < to; i++) dims[i] = 1;
    }
    return runs > 0;
}

/* The runs of axes one after the other, from the last one, in scratch until the first. */
static lamina_status run_fold(const lamina_kernel *k, lmn_eval *ec, lmn_norm_fold fold)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    const bool keep = lmn_attr_i(ec->node, "keepdims", 1) != 0;
    uint32_t mask;
    int32_t from, to, rank = 0;
    int64_t dims[LMN_MAX_RANK], now[LMN_MAX_RANK];
    if (!lmn_cpu_is_f32(x) || lmn_count(x) == 0 || !reduced_axes(ec, x, &mask) ||
        !chains_short(x, mask, fold))
        return lmn_cpu_reference(ec);
    for (int32_t i = 0; i < x->rank; i++)
        if (keep || !(mask >> i & 1)) dims[rank++] = mask >> i & 1 ? 1 : x->dims[i];
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, rank, dims, &y));
    if (!y) return LAMINA_OK;
    fold_job j = {.kernels = k->dev->kset.norm_f32};
    const float *data = x->data;
    memcpy(now, x->dims, sizeof now);
    while (last_run(x->rank, now, mask, &from, &to)) {
        j.block = (lmn_norm_block){.x = data, .fold = fold};
        j.block.rows = lmn_span_count(now, 0, from);
        j.block.n = lmn_span_count(now, from, to);
        j.block.step = lmn_span_count(now, to, x->rank);
        for (int32_t i = from; i < to; i++) now[i] = 1;
        int32_t a, b;
        j.block.y = y->data;
        if (last_run(x->rank, now, mask, &a, &b))
            j.block.y = lmn_scratch(ec, (size_t)(j.block.rows * j.block.step) * sizeof(float));
        if (!j.block.y) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
        data = j.block.y;
        LMN_TRY(fold_run(ec, &j));
    }
    return LAMINA_OK;
}

static bool supports_fold(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.norm_f32->head, text, cap);
}

#define FOLD(symbol, Op, KIND)                                              \
    static lamina_status run_##symbol(const lamina_kernel *k, lmn_eval *ec) \
    {                                                                       \
        return run_fold(k, ec, LMN_FOLD_##KIND);                            \
    }                                                                       \
    const lmn_cpu_binding lmn_cpu_##symbol = {.domain = "",                 \
                                              .op = Op,                     \
                                              .families = "norm.f32",       \
                                              .supports = supports_fold,    \
                                              .run = run_##symbol};

FOLD(reduce_sum, "ReduceSum", SUM)
FOLD(reduce_mean, "ReduceMean", MEAN)
FOLD(reduce_max, "ReduceMax", MAX)
FOLD(reduce_min, "ReduceMin", MIN)
