/*
 * GroupQueryAttention and MultiHeadAttention in f32: the operator places queries, keys and values
 * (ops/attn.h), here the scores and the weighted values are products of the gemm family and the
 * softmax is that of the norm family. A chunk is a block of queries of one head; keys past the last
 * one that the block sees are not touched.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/norm/norm.h"
#include "ops/attn.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

enum { QUERIES = 64 };

typedef struct attn_job {
    const lmn_attn *a;
    const lmn_cpu_dev *dev;
    int64_t blocks;      /* of queries */
    const int64_t *keys; /* [batch * blocks]: keys that a block may see */
    uint8_t *scratch;    /* a worker's: scores, bias of a row, then the products' own */
    size_t step, scores_bytes, bias_bytes;
} attn_job;

static void plans(const attn_job *j, int64_t m, int64_t keys, lmn_gemm_plan *qk, lmn_gemm_plan *pv)
{
    const lmn_gemm_row *row = j->dev->kset.gemm_f32;
    const lmn_gemm_shape s = {
        .m = m, .n = keys, .k = j->a->d, .n_batch = 1, .flags = LMN_GEMM_TRANS_B};
    const lmn_gemm_shape v = {.m = m, .n = j->a->dv, .k = keys, .n_batch = 1};
    lmn_gemm_f32_plan(row, &s, qk);
    lmn_gemm_f32_plan(row, &v, pv);
}

static void multiply(const lmn_gemm_plan *p, const lmn_gemm_args *args, void *scratch)
{
    for (int64_t c = 0; c < p->n_chunks; c++) lmn_gemm_f32_chunk(p, args, c, scratch);
}

/* Scores of one query to weights: scale, cap, bias, softmax; 0 where it does not look. */
static void weigh_row(const attn_job *j, int64_t b, int64_t h, int64_t i, int64_t keys, float *s,
                      double *bias)
{
    const lmn_attn *a = j->a;
    int64_t lo = 0, hi = keys;
    memset(bias, 0, (size_t)a->capacity * sizeof *bias);
    a->row(a, b, h, i, &lo, &hi, bias);
    const float scale = (float)a->scale, cap = (float)a->softcap;
    for (int64_t k = lo; k < hi; k++) {
        s[k] *= scale;
        if (cap > 0.0f) s[k] = cap * tanhf(s[k] / cap);
        s[k] += (float)bias[k];
    }
    for (int64_t k = 0; k < lo; k++) s[k] = 0.0f;
    for (int64_t k = hi; k < keys; k++) s[k] = 0.0f;
    if (hi <= lo) return;
    float top = s[lo];
    for (int64_t k = lo; a->sink && k < hi; k++) top = s[k] > top ? s[k] : top;
    const lmn_norm_block block = {.x = s + lo, .y = s + lo, .rows = 1, .n = hi - lo, .step = 1};
    double before = 0.0;
    for (int64_t k = lo; a->sink && k < hi; k++) before += exp((double)s[k] - (double)top);
    j->dev->kset.norm_f32->softmax(&block);
    if (!a->sink) return;
    /* The sink joins the sum: what the softmax left out is one factor. */
    const float rest = (float)(before / (before + exp(a->sink[h] - (double)top)));
    for (int64_t k = lo; k < hi; k++) s[k] *= rest;
}

static void attn_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const attn_job *j = arg;
    const lmn_attn *a = j->a;
    const int64_t block = chunk % j->blocks, h = chunk / j->blocks % a->heads,
                  b = chunk / j->blocks / a->heads;
    const int64_t i0 = block * QUERIES, m = lmn_min_i64(QUERIES, a->queries - i0);
    const int64_t keys = j->keys[b * j->blocks + block], wide = a->heads * a->dv;
    const int64_t kv = (b * a->kv_heads + h / (a->heads / a->kv_heads)) * a->capacity;
    uint8_t *scratch = j->scratch + (size_t)worker * j->step;
    float *s = (float *)(void *)scratch;
    double *bias = (double *)(void *)(scratch + j->scores_bytes);
    void *own = scratch + j->scores_bytes + j->bias_bytes;
    lmn_gemm_plan qk, pv;
    plans(j, m, keys, &qk, &pv);
    const lmn_gemm_args scores = {.a = (const float *)a->q +
                                       ((b * a->heads + h) * a->queries + i0) * a->d,
                                  .b = (const float *)a->k + kv * a->d,
                                  .c = s,
                                  .lda = a->d,
                                  .ldb = a->d,
                                  .ldc = keys};
    multiply(&qk, &scores, own);
    for (int64_t i = 0; i < m; i++) weigh_row(j, b, h, i0 + i, keys, s + i * keys, bias);
    const lmn_gemm_args values = {.a = s,
                                  .b = (const float *)a->v + kv * a->dv,
                                  .c = (float *)a->y->data + (b * a->queries + i0) * wide +
                                       h * a->dv,
                                  .lda = keys,
                                  .ldb = a->dv,
                                  .ldc = wide};
    multiply(&pv, &values, own);
}

/* Keys of every block of queries (limits only rise with the query), and the products' scratch. */
static lamina_status survey(lmn_eval *ec, attn_job *j, size_t *own)
{
    const lmn_attn *a = j->a;
    int64_t *keys = lmn_wide_scratch(ec, a->batch * j->blocks, sizeof *keys);
    double *bias = lmn_wide_scratch(ec, a->capacity + 1, sizeof *bias);
    if (!keys || !bias) return LAMINA_E_NOMEM;
    *own = 0;
    for (int64_t e = 0; e < a->batch * j->blocks; e++) {
        const int64_t i0 = e % j->blocks * QUERIES, m = lmn_min_i64(QUERIES, a->queries - i0);
        int64_t lo = 0, hi = a->capacity;
        lmn_gemm_plan qk, pv;
        a->row(a, e / j->blocks, 0, i0 + m - 1, &lo, &hi, bias);
        keys[e] = hi;
        plans(j, m, hi, &qk, &pv);
        *own = qk.scratch_bytes > *own ? qk.scratch_bytes : *own;
        *own = pv.scratch_bytes > *own ? pv.scratch_bytes : *own;
    }
    j->keys = keys;
    return LAMINA_OK;
}

static lamina_status run_fast(lmn_eval *ec, lmn_attn *a, const void *dev)
{
    if (a->dt != LAMINA_F32 || a->qk || !a->y || lmn_count(a->y) == 0 || a->capacity == 0 ||
        a->d == 0)
        return lmn_attn_run(ec, a, NULL);
    attn_job j = {.a = a, .dev = dev, .blocks = (a->queries + QUERIES - 1) / QUERIES};
    const int64_t rows = lmn_min_i64(QUERIES, a->queries);
    size_t own;
    LMN_TRY(survey(ec, &j, &own));
    j.scores_bytes = lmn_align_up((size_t)(rows * a->capacity) * sizeof(float), 64);
    j.bias_bytes = lmn_align_up((size_t)a->capacity * sizeof(double), 64);
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.scores_bytes + j.bias_bytes + own, &j.scratch, &j.step));
    lmn_par_for(ec->par, a->batch * a->heads * j.blocks, attn_chunk, &j);
    return LAMINA_OK;
}

static lamina_status run_gqa(const lamina_kernel *k, lmn_eval *ec)
{
    return lmn_gqa_eval(ec, run_fast, k->dev);
}

static lamina_status run_mha(const lamina_kernel *k, lmn_eval *ec)
{
    return lmn_mha_eval(ec, run_fast, k->dev);
}

static bool supports_attn(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.gemm_f32->head, text, cap);
}

const lmn_cpu_binding lmn_cpu_group_query_attention = {
    .domain = "com.microsoft",
    .op = "GroupQueryAttention",
    .families = "gemm.f32 norm.f32",
    .supports = supports_attn,
    .run = run_gqa,
};
const lmn_cpu_binding lmn_cpu_multi_head_attention = {
    .domain = "com.microsoft",
    .op = "MultiHeadAttention",
    .families = "gemm.f32 norm.f32",
    .supports = supports_attn,
    .run = run_mha,
};
