/*
 * GroupQueryAttention and MultiHeadAttention: the operator places queries, keys and values
 * (ops/attn.h), the attention itself is the driver's.
 */
#include "devices/cpu/cpu_attend.h"
#include "devices/cpu/cpu_half.h"
#include "ops/attn.h"
#include "ops/wide.h"

#include <string.h>

typedef struct attn_job {
    const lmn_attn *a;
    const lmn_cpu_dev *dev;
} attn_job;

static void span(const void *ctx, int64_t b, int64_t h, int64_t i, int64_t *lo, int64_t *hi)
{
    const lmn_attn *a = ((const attn_job *)ctx)->a;
    *lo = 0, *hi = a->capacity;
    a->row(a, b, h, i, lo, hi, NULL);
}

static void edit(const void *ctx, const lmn_attention_scores *s)
{
    enum { PIECE = 256 };
    const attn_job *j = ctx;
    const lmn_attn *a = j->a;
    double bias[PIECE];
    if (a->softcap > 0.0) lmn_cpu_attend_cap(j->dev, s, (float)a->softcap);
    for (int64_t i = 0; a->biased && i < s->m; i++) {
        float *r = s->s + i * s->ld;
        for (int64_t at = 0, n; at < s->n; at += n) {
            n = lmn_min_i64(PIECE, s->n - at);
            int64_t lo = s->key + at, hi = lo + n;
            memset(bias, 0, (size_t)n * sizeof *bias);
            a->row(a, s->b, s->h, s->i0 + i, &lo, &hi, bias);
            for (int64_t k = 0; k < n; k++) r[at + k] += (float)bias[k];
        }
    }
}

/* The sinks of the heads in f32. */
static lamina_status read_sinks(lmn_eval *ec, const lmn_attn *a, const float **out)
{
    *out = NULL;
    if (!a->sink) return LAMINA_OK;
    float *sinks = lmn_wide_scratch(ec, a->heads, sizeof *sinks);
    if (!sinks) return LAMINA_E_NOMEM;
    for (int64_t h = 0; h < a->heads; h++) sinks[h] = (float)a->sink[h];
    *out = sinks;
    return LAMINA_OK;
}

static lamina_status run_fast(lmn_eval *ec, lmn_attn *a, const void *kernel)
{
    const lamina_kernel *k = kernel;
    const lmn_attention_shape s = {.batch = a->batch,
                                   .heads = a->heads,
                                   .k_heads = a->kv_heads,
                                   .v_heads = a->kv_heads,
                                   .queries = a->queries,
                                   .keys = a->capacity,
                                   .d = a->d,
                                   .dv = a->dv};
    if ((a->dt != LAMINA_F32 && !lmn_cpu_is_half(a->dt)) || a->qk || !a->y ||
        lmn_count(a->y) == 0 || !lmn_cpu_attend_fits(&s))
        return lmn_attn_run(ec, a, NULL);
    attn_job j = {.a = a, .dev = k->dev};
    const int64_t q = a->queries * a->d, key = a->capacity * a->d, v = a->capacity * a->dv;
    lmn_attention_args args = {.q = a->q,
                               .k = a->k,
                               .v = a->v,
                               .y = a->y->data,
                               .q_step = {a->heads * q, q, a->d, 1},
                               .k_step = {a->kv_heads * key, key},
                               .v_step = {a->kv_heads * v, v},
                               .y_step = {a->queries * a->heads * a->dv, a->dv, a->heads * a->dv},
                               .ldk = a->d,
                               .ldv = a->dv,
                               .scale = (float)a->scale,
                               .span = span,
                               .edit = a->biased || a->softcap > 0.0 ? edit : NULL,
                               .ctx = &j};
    LMN_TRY(read_sinks(ec, a, &args.sink));
    return lmn_cpu_attend(ec, k, a->dt, &s, &args);
}

static lamina_status run_gqa(const lamina_kernel *k, lmn_eval *ec)
{
    return lmn_gqa_eval(ec, run_fast, k);
}

static lamina_status run_mha(const lamina_kernel *k, lmn_eval *ec)
{
    return lmn_mha_eval(ec, run_fast, k);
}

const lmn_cpu_binding lmn_cpu_group_query_attention = {
    .domain = "com.microsoft",
    .op = "GroupQueryAttention",
    .families = "attention.f32 gemm.f32 elementwise.f32 hgemm.bf16 hgemm.f16",
    .state_bytes = sizeof(lmn_cpu_trial),
    .init = lmn_cpu_attend_init,
    .supports = lmn_cpu_attend_takes,
    .run = run_gqa,
};
const lmn_cpu_binding lmn_cpu_multi_head_attention = {
    .domain = "com.microsoft",
    .op = "MultiHeadAttention",
    .families = "attention.f32 gemm.f32 elementwise.f32 hgemm.bf16 hgemm.f16",
    .state_bytes = sizeof(lmn_cpu_trial),
    .init = lmn_cpu_attend_init,
    .supports = lmn_cpu_attend_takes,
    .run = run_mha,
};
