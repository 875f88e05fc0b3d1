/*
 * MatMulNBits. As it stands: a block of weight rows is widened to f32 in a worker's scratch and
 * multiplied while it lies in the cache, so the packed weights are read once. With accuracy_level 4
 * the rows of A are rounded to 8 bits instead and multiplied by the packed weights where they lie
 * (nbdot). Chunks are blocks of output columns; their size depends on the shape only. 16-bit A and
 * results are converted whole.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/nbits/nbdot.h"
#include "kernels/nbits/nbits.h"
#include "ops/packbits.h"
#include "ops/wide.h"

#include <string.h>

/* Weight rows at once: few where every weight is used once, more where A has rows to use them. */
enum { COLS_ONE_ROW = 16, COLS_MANY_ROWS = 64 };

typedef struct nbits_job {
    lmn_packbits w;
    const float *a, *bias;
    float *y;
    int64_t m, cols; /* cols: weight rows a chunk */
    lmn_gemm_plan whole, last;
    lmn_nbits_expand_fn *expand; /* NULL: row by row as the reference does */
    uint8_t *scratch;            /* a worker's: the weights, zero points, then the plan's own */
    size_t step, weights_bytes, zp_bytes;
} nbits_job;

static void widen(const nbits_job *j, int64_t row, float *dst, float *zp)
{
    const lmn_packbits *w = &j->w;
    if (!j->expand) {
        lmn_packbits_row(w, row, dst);
        return;
    }
    lmn_packbits_zero_points(w, row, zp);
    j->expand(dst, w->q + row * w->row_bytes, w->cols, w->block, w->scales + row * w->n_blocks, zp);
}

static void nbits_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const nbits_job *j = arg;
    const int64_t first = chunk * j->cols, n = lmn_min_i64(j->cols, j->w.rows - first);
    const int64_t k = j->w.cols, ld = j->w.rows;
    uint8_t *scratch = j->scratch + (size_t)worker * j->step;
    float *w = (float *)(void *)scratch;
    float *zp = (float *)(void *)(scratch + j->weights_bytes);
    for (int64_t i = 0; i < n; i++) widen(j, first + i, w + i * k, zp);
    const lmn_gemm_args args = {
        .a = j->a, .b = w, .c = j->y + first, .lda = k, .ldb = k, .ldc = ld};
    const lmn_gemm_plan *plan = n == j->cols ? &j->whole : &j->last;
    for (int64_t c = 0; c < plan->n_chunks; c++)
        lmn_gemm_f32_chunk(plan, &args, c, scratch + j->weights_bytes + j->zp_bytes);
    for (int64_t r = 0; j->bias && r < j->m; r++)
        for (int64_t i = first; i < first + n; i++) j->y[r * ld + i] += j->bias[i];
}

static lamina_status nbits_run(const lamina_kernel *k, lmn_eval *ec, nbits_job *j)
{
    j->cols = j->m == 1 ? COLS_ONE_ROW : COLS_MANY_ROWS;
    lmn_gemm_shape g = {
        .m = j->m, .n = j->cols, .k = j->w.cols, .n_batch = 1, .flags = LMN_GEMM_TRANS_B};
    lmn_gemm_f32_plan(k->dev->kset.gemm_f32, &g, &j->whole);
    g.n = j->w.rows % j->cols;
    lmn_gemm_f32_plan(k->dev->kset.gemm_f32, &g, &j->last);
    j->weights_bytes = lmn_align_up((size_t)(j->cols * j->w.cols) * sizeof(float), 64);
    j->zp_bytes = lmn_align_up((size_t)j->w.n_blocks * sizeof(float), 64);
    const lmn_nbits_row *row = k->dev->kset.nbits_f32;
    if (!j->w.group && j->w.block % 16 == 0)
        j->expand = j->w.bits == 4 ? row->expand4 : j->w.bits == 8 ? row->expand8 : NULL;
    const size_t own = j->whole.scratch_bytes > j->last.scratch_bytes ? j->whole.scratch_bytes
                                                                      : j->last.scratch_bytes;
    LMN_TRY(
        lmn_cpu_worker_scratch(ec, j->weights_bytes + j->zp_bytes + own, &j->scratch, &j->step));
    lmn_par_for(ec->par, (j->w.rows + j->cols - 1) / j->cols, nbits_chunk, j);
    return LAMINA_OK;
}

/* ---- rows rounded to 8 bits -------------------------------------------------------------------
 */

/* Bytes of weights that are worth a chunk, and as many as one should have. */
enum { DOT_LEAST_BYTES = 32 << 10, DOT_MOST_BYTES = 256 << 10, DOT_WANT_CHUNKS = 8 };

typedef struct dot_job {
    const lmn_nbdot_row *row;
    lmn_nbdot_block b; /* of the whole product */
    const float *x;
    uint8_t *packed;
    int64_t k, rows; /* rows: of weights, a chunk */
} dot_job;

static void dot_pack(void *arg, int64_t i, int32_t worker)
{
    const dot_job *j = arg;
    (void)worker;
    j->row->pack(j->packed + i * j->b.a_step, j->x + i * j->k, j->k, j->b.w.bits);
}

static void dot_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const dot_job *j = arg;
    const int64_t first = chunk * j->rows;
    lmn_nbdot_block b = j->b;
    (void)worker;
    b.n = lmn_min_i64(j->rows, j->b.n - first);
    b.w.q += first * b.w.row_bytes, b.w.scale += first * b.w.n_blocks, b.y += first;
    if (b.w.zp) b.w.zp += first * b.w.zp_bytes;
    if (b.bias) b.bias += first;
    j->row->run(&b);
}

static bool dot_takes(const lmn_opnode *op, const lmn_packbits *w)
{
    const int64_t block = w->block;
    return lmn_attr_i(op, "accuracy_level", 0) == 4 && (w->bits == 4 || w->bits == 8) &&
           !w->group && !w->zp_f32 && (!w->zp || w->zp_bytes) && block >= LMN_NBDOT_GROUP &&
           (block & (block - 1)) == 0;
}

static lamina_status dot_run(const lamina_kernel *k, lmn_eval *ec, const nbits_job *n)
{
    const lmn_packbits *w = &n->w;
    dot_job j = {.row = k->dev->kset.nbdot_i8, .x = n->a, .k = w->cols};
    j.b = (lmn_nbdot_block){.m = n->m, .n = w->rows, .bias = n->bias, .y = n->y, .ldy = w->rows};
    j.b.w = (lmn_nbdot_weights){.q = w->q,
                                .row_bytes = w->row_bytes,
                                .scale = w->scales,
                                .zp = w->zp,
                                .zp_bytes = w->zp_bytes,
                                .n_blocks = w->n_blocks,
                                .bits = w->bits};
    while (w->block > (int64_t)LMN_NBDOT_GROUP << j.b.w.shift) j.b.w.shift++;
    j.b.groups = lmn_nbdot_groups(j.k), j.b.a_step = lmn_nbdot_packed_bytes(j.k);
    size_t bytes;
    if (!lmn_mul_size((size_t)n->m, (size_t)j.b.a_step, &bytes))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "scratch memory overflows");
    j.packed = lmn_scratch(ec, bytes);
    if (!j.packed) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    j.b.a = j.packed;
    lmn_par_for(ec->par, n->m, dot_pack, &j);
    const int64_t row = w->row_bytes + w->n_blocks * (int64_t)sizeof(float);
    j.rows = lmn_min_i64(DOT_MOST_BYTES / row, lmn_ceil_div_i64(w->rows, DOT_WANT_CHUNKS));
    j.rows = lmn_round_up_i64(lmn_max_i64(j.rows, lmn_max_i64(1, DOT_LEAST_BYTES / row)), 4);
    lmn_par_for(ec->par, lmn_ceil_div_i64(w->rows, j.rows), dot_chunk, &j);
    return LAMINA_OK;
}

static lamina_status product_run(const lamina_kernel *k, lmn_eval *ec, nbits_job *j)
{
    return dot_takes(ec->node, &j->w) ? dot_run(k, ec, j) : nbits_run(k, ec, j);
}

static lamina_status run_nbits(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *a = lmn_in(ec, 0), *bias = lmn_in(ec, 5);
    nbits_job j = {0};
    LMN_TRY(lmn_eval_ready(ec)); /* types, before their bytes are read */
    if (a->rank < 1) return lmn_cpu_reference(ec);
    LMN_TRY(lmn_packbits_read(ec, &j.w));
    const int64_t n = j.w.rows, count = lmn_count(a);
    if (a->dims[a->rank - 1] != j.w.cols || (bias && lmn_count(bias) != n) ||
        count / j.w.cols >= LMN_CPU_EXTENT_MAX)
        return lmn_cpu_reference(ec);
    int64_t dims[LMN_MAX_RANK];
    lamina_tensor *y;
    memcpy(dims, a->dims, sizeof dims);
    dims[a->rank - 1] = n;
    LMN_TRY(lmn_out(ec, 0, a->dtype, a->rank, dims, &y));
    j.m = count / j.w.cols;
    if (!y || j.m == 0) return LAMINA_OK;
    LMN_TRY(lmn_f32_in(ec, a, &j.a));
    if (bias) LMN_TRY(lmn_f32_in(ec, bias, &j.bias));
    if (y->dtype == LAMINA_F32) {
        j.y = y->data;
        return product_run(k, ec, &j);
    }
    j.y = lmn_scratch(ec, (size_t)(j.m * n) * sizeof(float));
    if (!j.y) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    LMN_TRY(product_run(k, ec, &j));
    lmn_convert(y->dtype, y->data, LAMINA_F32, j.y, j.m * n, false);
    return LAMINA_OK;
}

static bool supports_nbits(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const int64_t bits = lmn_attr_i(node->op, "bits", 4);
    if (bits != 2 && bits != 4 && bits != 8) {
        (void)lmn_format(text, cap, "%lld bits", (long long)bits);
        return false;
    }
    const bool rounds = bits != 2 && lmn_attr_i(node->op, "accuracy_level", 0) == 4 &&
                        lmn_attr_i(node->op, "block_size", 0) >= LMN_NBDOT_GROUP;
    const lmn_krow *row = rounds ? &dev->kset.nbdot_i8->head : &dev->kset.gemm_f32->head;
    (void)lmn_format(text, cap, "%s%s.%s:%s", rounds ? "" : "nbits+", row->family, row->dtype,
                     row->variant);
    return true;
}

const lmn_cpu_binding lmn_cpu_matmul_nbits = {
    .domain = "com.microsoft",
    .op = "MatMulNBits",
    .families = "nbits.f32 gemm.f32 nbdot.i8",
    .supports = supports_nbits,
    .run = run_nbits,
};
