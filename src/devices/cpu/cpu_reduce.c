/*
 * ReduceSum, ReduceMean, ReduceMax and ReduceMin in f32 where the reduced axes lie side by side, on
 * the folds of the norm family. What lies elsewhere, and sums so long that one chain of f32 would
 * lose digits, run by the reference.
 *
 * Rows longer than PART elements are folded in parts first and the parts after them, so that one
 * long row has work for all threads and short chains. The parts depend on the shape alone.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/norm/norm.h"
#include "ops/shapes.h"

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

/* First and one past the last of the reduced axes but for those of extent 1; false if there is none
   or others lie between. */
static bool side_by_side(const lamina_tensor *x, uint32_t mask, int32_t *from, int32_t *to)
{
    *from = -1, *to = -1;
    for (int32_t i = 0; i < x->rank; i++) {
        if (x->dims[i] == 1 || !(mask >> i & 1)) continue;
        if (*from < 0) *from = i;
        for (int32_t k = *to < 0 ? i : *to; k < i; k++)
            if (x->dims[k] != 1) return false;
        *to = i + 1;
    }
    return *from >= 0;
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

static lamina_status run_fold(const lamina_kernel *k, lmn_eval *ec, lmn_norm_fold fold)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    const bool keep = lmn_attr_i(ec->node, "keepdims", 1) != 0;
    uint32_t mask;
    int32_t from, to, rank = 0;
    int64_t dims[LMN_MAX_RANK];
    if (!lmn_cpu_is_f32(x) || lmn_count(x) == 0 || !reduced_axes(ec, x, &mask) ||
        !side_by_side(x, mask, &from, &to))
        return lmn_cpu_reference(ec);
    fold_job j = {.kernels = k->dev->kset.norm_f32};
    j.rows = lmn_span_count(x->dims, 0, from);
    j.block = (lmn_norm_block){.x = x->data, .rows = j.rows, .fold = fold};
    j.block.n = lmn_span_count(x->dims, from, to);
    j.block.step = lmn_span_count(x->dims, to, x->rank);
    const bool sums = fold == LMN_FOLD_SUM || fold == LMN_FOLD_MEAN;
    if (sums && j.block.step > 1 && j.block.n > LONGEST_CHAIN) return lmn_cpu_reference(ec);
    for (int32_t i = 0; i < x->rank; i++)
        if (keep || !(mask >> i & 1)) dims[rank++] = mask >> i & 1 ? 1 : x->dims[i];
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, rank, dims, &y));
    if (!y) return LAMINA_OK;
    j.block.y = y->data;
    if (j.block.step == 1) return fold_rows(ec, &j);
    j.strip = lmn_max_i64(64, PART / j.block.n / 64 * 64);
    j.strips = (j.block.step + j.strip - 1) / j.strip;
    lmn_par_for(ec->par, j.rows * j.strips, column_chunk, &j);
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
