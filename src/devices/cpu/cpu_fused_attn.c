/*
 * FusedAttention in f32: a chunk is a block of queries of one head. Its queries are scaled into
 * scratch, its scores stay in the cache between the two products, and keys, values and the result
 * are read and written where their heads lie. The size of a block depends on the shape alone, so
 * the bits do not depend on the number of threads.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/norm/norm.h"
#include "ops/fusedattn.h"

enum { ROWS_MIN = 16, ROWS_MAX = 128, SCORES = 96 << 10 };

typedef struct attn_job {
    lmn_fattn f;
    const lmn_cpu_dev *dev;
    int64_t rows, blocks;       /* queries of a block, blocks of a head */
    lmn_gemm_plan qk[2], pv[2]; /* of a whole block and of the last one */
    int64_t ldk, ldv;
    uint8_t *scratch; /* a worker's: queries, scores, the products' own */
    size_t step, queries_bytes, scores_bytes;
} attn_job;

static void multiply(const lmn_gemm_plan *p, const lmn_gemm_args *args, void *scratch)
{
    for (int64_t c = 0; c < p->n_chunks; c++) lmn_gemm_f32_chunk(p, args, c, scratch);
}

static void mask_row(const lmn_fattn *f, int64_t b, int64_t h, int64_t i, float *s)
{
    const lmn_fattn_view *m = &f->keep, *a = &f->bias;
    if (m->data) {
        const uint8_t *keep =
            (const uint8_t *)m->data + b * m->step[0] + h * m->step[1] + i * m->step[2];
        for (int64_t j = 0; j < f->keys; j++)
            s[j] = (keep[j * m->step[3]] != 0) == f->keep_if ? s[j] : f->fill;
    }
    if (!a->data) return;
    const float *bias = (const float *)a->data + b * a->step[0] + h * a->step[1] + i * a->step[2];
    if (a->step[3] == 1)
        for (int64_t j = 0; j < f->keys; j++) s[j] += bias[j];
    else
        for (int64_t j = 0; j < f->keys; j++) s[j] += bias[j * a->step[3]];
}

static void scale_queries(const lmn_fattn *f, const float *q, int64_t m, float *to)
{
    for (int64_t i = 0; i < m; i++) {
        const float *row = q + i * f->q.step[2];
        if (f->q.step[3] == 1)
            for (int64_t c = 0; c < f->d; c++) to[c] = row[c] * f->scale;
        else
            for (int64_t c = 0; c < f->d; c++) to[c] = row[c * f->q.step[3]] * f->scale;
        to += f->d;
    }
}

static void attn_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const attn_job *j = arg;
    const lmn_fattn *f = &j->f;
    const int64_t block = chunk % j->blocks, h = chunk / j->blocks % f->heads,
                  b = chunk / j->blocks / f->heads;
    const int64_t i0 = block * j->rows, m = lmn_min_i64(j->rows, f->queries - i0);
    const int32_t which = m < j->rows;
    uint8_t *scratch = j->scratch + (size_t)worker * j->step;
    float *q = (float *)(void *)scratch, *s = (float *)(void *)(scratch + j->queries_bytes);
    void *own = scratch + j->queries_bytes + j->scores_bytes;
    scale_queries(
        f, (const float *)f->q.data + b * f->q.step[0] + h * f->q.step[1] + i0 * f->q.step[2], m,
        q);
    const lmn_gemm_args scores = {.a = q,
                                  .b = (const float *)f->k.data + b * f->k.step[0] +
                                       h / f->k_group * f->k.step[1],
                                  .c = s,
                                  .lda = f->d,
                                  .ldb = j->ldk,
                                  .ldc = f->keys};
    multiply(&j->qk[which], &scores, own);
    for (int64_t i = 0; (f->bias.data || f->keep.data) && i < m; i++)
        mask_row(f, b, h, i0 + i, s + i * f->keys);
    const lmn_norm_block rows = {.x = s, .y = s, .rows = m, .n = f->keys, .step = 1};
    j->dev->kset.norm_f32->softmax(&rows);
    const lmn_gemm_args values = {
        .a = s,
        .b = (const float *)f->v.data + b * f->v.step[0] + h / f->v_group * f->v.step[1],
        .c = f->y + b * f->y_step[0] + h * f->y_step[1] + i0 * f->y_step[2],
        .lda = f->keys,
        .ldb = j->ldv,
        .ldc = f->y_step[2]};
    multiply(&j->pv[which], &values, own);
}

/* Can the products read v, whose rows are `inner` wide? The leading dimension, and whether rows
   and columns change places. An axis of one element may be given any step. */
static bool lies(const lmn_fattn_view *v, int64_t rows, bool *turned, int64_t *ld)
{
    const int64_t cols = v->dims[3], r = v->step[2], c = v->step[3];
    if (v->dims[2] != rows) return false; /* a repeated row */
    *turned = false;
    if (c == 1 || cols == 1) {
        *ld = rows == 1 ? cols : r;
        if (cols == 1 || *ld >= cols) return true;
    }
    *turned = true;
    *ld = cols == 1 ? rows : c;
    return (r == 1 || rows == 1) && *ld >= rows;
}

static bool fits(const lmn_fattn *f)
{
    return f->keys > 0 && f->d > 0 && f->keys <= LMN_CPU_EXTENT_MAX && f->d <= LMN_CPU_EXTENT_MAX &&
           f->dv <= LMN_CPU_EXTENT_MAX && f->queries <= LMN_CPU_EXTENT_MAX &&
           (f->dv == 1 || f->y_step[3] == 1);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static lamina_status run_attn(const lamina_kernel *k, lmn_eval *ec)
{
    attn_job j = {.dev = k->dev};
    bool k_turned, v_turned;
    LMN_TRY(lmn_fattn_read(ec, &j.f));
    const lmn_fattn *f = &j.f;
    if (!f->y) return LAMINA_OK;
    if (!fits(f) || !lies(&f->k, f->keys, &k_turned, &j.ldk) ||
        !lies(&f->v, f->keys, &v_turned, &j.ldv))
        return lmn_cpu_reference(ec);
    const int64_t most = lmn_max_i64(ROWS_MIN, lmn_min_i64(ROWS_MAX, SCORES / f->keys / 16 * 16));
    size_t own = 0;
    j.rows = lmn_min_i64(most, f->queries);
    j.blocks = (f->queries + j.rows - 1) / j.rows;
    for (int32_t i = 0; i < 2; i++) {
        const int64_t m = i ? f->queries - (j.blocks - 1) * j.rows : j.rows;
        const lmn_gemm_shape qk = {.m = m,
                                   .n = f->keys,
                                   .k = f->d,
                                   .n_batch = 1,
                                   .flags = k_turned ? 0 : LMN_GEMM_TRANS_B};
        const lmn_gemm_shape pv = {.m = m,
                                   .n = f->dv,
                                   .k = f->keys,
                                   .n_batch = 1,
                                   .flags = v_turned ? LMN_GEMM_TRANS_B : 0};
        lmn_gemm_f32_plan(j.dev->kset.gemm_f32, &qk, &j.qk[i]);
        lmn_gemm_f32_plan(j.dev->kset.gemm_f32, &pv, &j.pv[i]);
        own = larger(own, larger(j.qk[i].scratch_bytes, j.pv[i].scratch_bytes));
    }
    size_t q_bytes, s_bytes;
    if (!lmn_dense_bytes(LAMINA_F32, j.rows * f->d, &q_bytes) ||
        !lmn_dense_bytes(LAMINA_F32, j.rows * f->keys, &s_bytes))
        return lmn_cpu_reference(ec);
    j.queries_bytes = lmn_align_up(q_bytes, 64);
    j.scores_bytes = lmn_align_up(s_bytes, 64);
    LMN_TRY(
        lmn_cpu_worker_scratch(ec, j.queries_bytes + j.scores_bytes + own, &j.scratch, &j.step));
    lmn_par_for(ec->par, f->batch * f->heads * j.blocks, attn_chunk, &j);
    return LAMINA_OK;
}

static bool supports_attn(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.gemm_f32->head, text, cap);
}

const lmn_cpu_binding lmn_cpu_fused_attention = {
    .domain = "lamina",
    .op = "FusedAttention",
    .supports = supports_attn,
    .run = run_attn,
};
