/*
 * MatMulNBits on the gemm family: a block of weight rows is widened to f32 in a worker's scratch
 * and multiplied while it lies in the cache, so the packed weights are read once. Chunks are blocks
 * of output columns; their size depends on the shape only. 16-bit A and results are converted
 * whole.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/gemm/gemm_plan.h"
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
        return nbits_run(k, ec, &j);
    }
    j.y = lmn_scratch(ec, (size_t)(j.m * n) * sizeof(float));
    if (!j.y) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    LMN_TRY(nbits_run(k, ec, &j));
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
    const lmn_krow *row = &dev->kset.gemm_f32->head;
    (void)lmn_format(text, cap, "nbits+%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

const lmn_cpu_binding lmn_cpu_matmul_nbits = {
    .domain = "com.microsoft",
    .op = "MatMulNBits",
    .families = "nbits.f32 gemm.f32",
    .supports = supports_nbits,
    .run = run_nbits,
};
