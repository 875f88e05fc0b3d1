/*
 * Weights in 8 bits and products with them (cpu_int8.h), in three steps on the pool: rows to bytes,
 * the product on qgemm with the scales of rows, then the scales of columns and the epilogue. Each
 * is cut by the shape alone.
 */
#include "devices/cpu/cpu_int8.h"
#include "devices/cpu/cpu_tools.h"

#include "kernels/gemm/gemm.h"
#include "kernels/qgemm/qgemm_plan.h"
#include "kernels/qmap/qmap.h"

#include <float.h>
#include <math.h>

enum {
    MOST = 127,   /* of a byte either way */
    LEAST_K = 32, /* products smaller than this gain nothing */
    LEAST_N = 16,
    MOST_K = 1 << 17,  /* 127 * 127 * k stays within 32 bits */
    ROWS_ELEMS = 16384 /* of a chunk of rows */
};

/* Activations differ from run to run more than roundings do: see decision 21. */
static const float int8_bound = 0x1p-5f;

bool lmn_cpu_wants_int8(const lmn_cpu_dev *dev, const lamina_node *node)
{
    if (!LMN_KSET_SHORTENS || node->precision != LAMINA_PRECISION_INT8 || node->op->n_in < 2 ||
        lmn_cpu_is_conv(node) || dev->kset.qgemm_i8->head.isa == LMN_ISA_REF)
        return false;
    const lamina_tensor *w = node->in_const[1];
    const lmn_fact *f = node->in[0];
    if (!w || w->dtype != LAMINA_F32 || w->rank != 2 || !f || f->dtype != LAMINA_F32) return false;
    const bool nt = lmn_attr_i(node->op, "transB", 0) != 0;
    return w->dims[nt] >= LEAST_K && w->dims[nt] <= MOST_K && w->dims[!nt] >= LEAST_N &&
           lmn_attr_i(node->op, "transA", 0) == 0;
}

void lmn_cpu_name_int8(const lmn_cpu_dev *dev, char *text, size_t cap)
{
    const lmn_krow *row = &dev->kset.qgemm_i8->head;
    (void)lmn_format(text, cap, "%s.%s:%s or f32", row->family, row->dtype, row->variant);
}

static float weight_at(const lamina_tensor *w, int64_t i)
{
    float v; /* weights lie at any address */
    memcpy(&v, (const char *)w->data + i * (int64_t)sizeof v, sizeof v);
    return v;
}

/* The scales of all columns, and weights in bytes, as they lie. False: one is not finite. */
static bool quantise(const lamina_tensor *w, bool nt, float *scales, int8_t *q)
{
    const int64_t rows = w->dims[0], cols = w->dims[1], n = nt ? rows : cols;
    bool finite = true;
    for (int64_t j = 0; j < n; j++) scales[j] = 0.0f;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            const float v = fabsf(weight_at(w, r * cols + c));
            float *s = &scales[nt ? r : c];
            finite = finite && v <= FLT_MAX;
            *s = v > *s ? v : *s;
        }
    }
    for (int64_t j = 0; j < n; j++) scales[j] = scales[j] >= FLT_MIN ? scales[j] / MOST : 1.0f;
    for (int64_t r = 0; finite && r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            const float v = rintf(weight_at(w, r * cols + c) / scales[nt ? r : c]);
            q[r * cols + c] = (int8_t)(v > MOST ? MOST : v < -MOST ? -MOST : v);
        }
    }
    return finite;
}

lamina_status lmn_cpu_int8_init(const lmn_cpu_dev *dev, const lamina_node *node, lmn_cpu_weights *s,
                                lamina_error *err)
{
    const lamina_allocator *al = &dev->engine->alloc;
    const lamina_tensor *w = node->in_const[1];
    const lmn_qgemm_row *row = dev->kset.qgemm_i8;
    const bool nt = lmn_attr_i(node->op, "transB", 0) != 0;
    const int64_t k = w->dims[nt], n = w->dims[!nt];
    const size_t plain = (size_t)lamina_tensor_count(w);
    int8_t *q = lmn_alloc(al, plain, 64, "cpu");
    s->n_scales = (size_t)n;
    s->scales = lmn_alloc(al, s->n_scales * sizeof *s->scales, 64, "cpu");
    const bool ok = q && s->scales;
    const bool finite = ok && quantise(w, nt, s->scales, q);
    if (finite) {
        s->int8_bytes = (size_t)lmn_qgemm_packed_bytes(row, k, n);
        s->int8 = lmn_alloc(al, s->int8_bytes, 64, "cpu");
    }
    if (s->int8) lmn_qgemm_prepack(row, nt, true, (const uint8_t *)q, nt ? k : n, k, n, s->int8);
    lmn_free(al, q, plain, 64, "cpu");
    if (!ok || (finite && !s->int8))
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for weights in 8 bits");
    s->trial.bound = int8_bound;
    lmn_atomic_store(&s->trial.verdict, finite ? LMN_CPU_UNTRIED : LMN_CPU_F32, relaxed);
    return LAMINA_OK;
}

void lmn_cpu_int8_finish(const lmn_cpu_dev *dev, lmn_cpu_weights *s)
{
    const lamina_allocator *al = &dev->engine->alloc;
    lmn_free(al, s->int8, s->int8_bytes, 64, "cpu");
    lmn_free(al, s->scales, s->n_scales * sizeof *s->scales, 64, "cpu");
}

/* ---- products ---------------------------------------------------------------------------------
 */

typedef struct int8_job {
    const lmn_cpu_int8 *p;
    const lmn_cpu_dev *dev;
    uint8_t *bytes; /* rows of a */
    float *scales;  /* of each */
    int64_t rows;   /* of a chunk, of one item each */
    lmn_qgemm_plan plan;
    lmn_qgemm_args args;
    lmn_cpu_scratch scratch;
} int8_job;

/* The rows of a chunk: from *row of *item on. */
static int64_t rows_at(const int8_job *j, int64_t chunk, int64_t *item, int64_t *row)
{
    const int64_t per_item = lmn_ceil_div_i64(j->p->m, j->rows);
    *item = chunk / per_item, *row = chunk % per_item * j->rows;
    return lmn_min_i64(j->rows, j->p->m - *row);
}

static void rows_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const int8_job *j = arg;
    const lmn_qmap_row *map = j->dev->kset.qmap_i8;
    int64_t item, row;
    const int64_t m = rows_at(j, chunk, &item, &row), k = j->p->k, at = item * j->p->m + row;
    for (int64_t i = at; i < at + m; i++) {
        const float *x = j->p->a + i * k;
        float ends[2] = {0.0f, 0.0f};
        const bool whole = map->bounds(x, k, ends);
        const float most = -ends[0] > ends[1] ? -ends[0] : ends[1];
        const float scale = most >= FLT_MIN ? most / MOST : 1.0f;
        const lmn_qmap_side side = {scale, 0x80};
        map->quantize(j->bytes + i * k, x, k, &side, 0x80);
        j->scales[i] = whole && most <= FLT_MAX ? scale : NAN;
    }
}

static void product_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const int8_job *j = arg;
    lmn_qgemm_chunk(&j->plan, &j->args, chunk, lmn_cpu_scratch_of(&j->scratch, worker));
}

static void end_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const int8_job *j = arg;
    const lmn_cpu_int8 *p = j->p;
    const lmn_gemm_row *gemm = j->dev->kset.gemm_f32;
    int64_t item, row;
    const int64_t m = rows_at(j, chunk, &item, &row);
    float *c = p->c + (item * p->m + row) * p->n;
    const lmn_epi_block b = {c, p->n, row, 0, m, p->n, item};
    lmn_epi columns = {.n_ops = 1};
    columns.op[0] = (lmn_epi_op){.kind = LMN_EPI_MUL, .bcast = LMN_EPI_COL, .x = j->p->w->scales};
    gemm->epi(&columns, &b);
    if (p->epi) gemm->epi(p->epi, &b);
}

lamina_status lmn_cpu_int8_run(const lmn_cpu_dev *dev, lmn_eval *ec, const lmn_cpu_int8 *p)
{
    const int64_t m = p->m * p->n_batch;
    if (m == 0) return LAMINA_OK;
    int8_job j = {.p = p, .dev = dev};
    j.rows = lmn_max_i64(1, ROWS_ELEMS / lmn_max_i64(p->n, p->k));
    j.bytes = lmn_scratch(ec, (size_t)m * (size_t)p->k);
    j.scales = lmn_scratch(ec, (size_t)m * sizeof *j.scales);
    if (!j.bytes || !j.scales) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    const lmn_qgemm_shape shape = {.m = m, .n = p->n, .k = p->k, .n_batch = 1, .packed = true};
    lmn_qgemm_plan_make(dev->kset.qgemm_i8, &shape, &j.plan);
    j.args = (lmn_qgemm_args){.a = j.bytes,
                              .b = p->w->int8,
                              .a_signed = true,
                              .b_signed = true,
                              .lda = p->k,
                              .ldb = p->n,
                              .out = LMN_QGEMM_F32,
                              .row_mul = j.scales,
                              .c = p->c,
                              .ldc = p->n};
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.plan.scratch_bytes, &j.scratch));
    const int64_t chunks = lmn_ceil_div_i64(p->m, j.rows) * p->n_batch;
    lmn_par_for(ec->par, chunks, rows_chunk, &j);
    if (j.plan.n_chunks) lmn_par_for(ec->par, j.plan.n_chunks, product_chunk, &j);
    lmn_par_for(ec->par, chunks, end_chunk, &j);
    return LAMINA_OK;
}
