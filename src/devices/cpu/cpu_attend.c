/*
 * Chunks and merges of attention on the pool (cpu_attend.h).
 */
#include "devices/cpu/cpu_attend.h"

#include "devices/cpu/cpu_half.h"
#include "kernels/elementwise/elementwise.h"

typedef struct attend_job {
    lmn_attention_plan plan;
    const lmn_attention_args *args;
    lmn_cpu_scratch scratch;
} attend_job;

static void attend_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const attend_job *j = arg;
    lmn_attention_f32_chunk(&j->plan, j->args, chunk, lmn_cpu_scratch_of(&j->scratch, worker));
}

static void attend_merge(void *arg, int64_t item, int32_t worker)
{
    const attend_job *j = arg;
    lmn_attention_f32_merge(&j->plan, j->args, item, lmn_cpu_scratch_of(&j->scratch, worker));
}

bool lmn_cpu_attend_fits(const lmn_attention_shape *s)
{
    return s->keys > 0 && s->d > 0 && s->keys <= LMN_CPU_EXTENT_MAX && s->d <= LMN_CPU_EXTENT_MAX &&
           s->dv <= LMN_CPU_EXTENT_MAX && s->queries <= LMN_CPU_EXTENT_MAX &&
           s->heads <= LMN_CPU_EXTENT_MAX && s->batch <= LMN_CPU_EXTENT_MAX;
}

bool lmn_cpu_attend_takes(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const lmn_fact *f = node->op->n_in > 0 ? node->in[0] : NULL;
    if (f && f->kind == LMN_FACT_TENSOR && lmn_cpu_is_half(f->dtype)) {
        const lmn_krow *row = &lmn_cpu_hgemm(dev, f->dtype)->head;
        (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
        return true;
    }
    if (!lmn_cpu_takes_f32(node, 0, &dev->kset.attention_f32->head, text, cap)) return false;
    if (lmn_cpu_may_bf16(dev, node)) lmn_cpu_name_bf16(dev, node, text, cap);
    return true;
}

lamina_status lmn_cpu_attend_init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                                  lamina_error *err)
{
    lmn_cpu_trial *trial = state;
    const lmn_fact *f = node->in[0];
    (void)err;
    if (f->dtype == LAMINA_F32 && lmn_cpu_may_bf16(dev, node))
        lmn_cpu_trial_open(trial, node->precision);
    else
        lmn_atomic_store(&trial->verdict, LMN_CPU_F32, relaxed);
    return LAMINA_OK;
}

/* Chunks and merges of j. */
static lamina_status run_job(lmn_eval *ec, attend_job *j, lmn_attention_args *args)
{
    j->args = args;
    LMN_TRY(lmn_cpu_worker_scratch(ec, j->plan.scratch_bytes, &j->scratch));
    args->shared = NULL;
    if (j->plan.shared_bytes) args->shared = lmn_scratch(ec, j->plan.shared_bytes);
    if (j->plan.shared_bytes && !args->shared)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    lmn_par_for(ec->par, j->plan.n_chunks, attend_chunk, j);
    lmn_par_for(ec->par, j->plan.n_merges, attend_merge, j);
    return LAMINA_OK;
}

/* All of it in f32, with products in bf16 where *bf16 asks and the plan then takes it. */
static lamina_status attend(lmn_eval *ec, const lmn_cpu_dev *dev, const lmn_attention_shape *shape,
                            lmn_attention_args *args, bool *bf16)
{
    attend_job j;
    const lmn_gemm_row *gemm = dev->kset.gemm_f32;
    const lmn_attention_row *row = dev->kset.attention_f32;
    if (*bf16)
        lmn_attention_bf16_plan(gemm, lmn_cpu_hgemm(dev, LAMINA_BF16), row, shape, &j.plan);
    else
        lmn_attention_f32_plan(gemm, row, shape, &j.plan);
    *bf16 = j.plan.half != NULL;
    return run_job(ec, &j, args);
}

/* Operands of 16 bits: widened a block at a time, so that the result alone is rounded, or, where
   the session multiplies in bf16, those of bf16 as they are. */
static lamina_status attend_short(lmn_eval *ec, const lamina_kernel *k, lamina_dtype dt,
                                  const lmn_attention_shape *shape, lmn_attention_args *args)
{
    attend_job j;
    const lmn_kset *set = &k->dev->kset;
    const lmn_hgemm_row *io = lmn_cpu_hgemm(k->dev, dt);
    const bool asked =
        k->precision == LAMINA_PRECISION_BF16 || k->precision == LAMINA_PRECISION_INT8;
    const bool pairs = asked && dt == LAMINA_BF16 && io->rows_f32;
    lmn_attention_short_plan(set->gemm_f32, io, pairs ? io : NULL, set->attention_f32, shape,
                             &j.plan);
    return run_job(ec, &j, args);
}

lamina_status lmn_cpu_attend(lmn_eval *ec, const lamina_kernel *k, lamina_dtype dt,
                             const lmn_attention_shape *shape, lmn_attention_args *args)
{
    if (lmn_cpu_is_half(dt)) return attend_short(ec, k, dt, shape, args);
    lmn_cpu_trial *trial = k->state;
    const lmn_cpu_verdict verdict = lmn_cpu_trial_verdict(trial);
    bool bf16 = verdict == LMN_CPU_SHORT;
    LMN_TRY(attend(ec, k->dev, shape, args, &bf16));
    if (verdict != LMN_CPU_UNTRIED) return LAMINA_OK;
    const int64_t n = shape->batch * shape->heads * shape->queries * shape->dv;
    float *exact = args->y;
    args->y = lmn_scratch(ec, (size_t)n * sizeof *exact); /* as many as y has */
    if (!args->y) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    bf16 = true;
    LMN_TRY(attend(ec, k->dev, shape, args, &bf16));
    if (bf16) lmn_cpu_trial_judge(trial, exact, args->y, n); /* few rows prove nothing */
    args->y = exact;
    return LAMINA_OK;
}

void lmn_cpu_attend_cap(const lmn_cpu_dev *dev, const lmn_attention_scores *s, float cap)
{
    const lmn_elementwise_row *row = dev->kset.elementwise_f32;
    for (int64_t i = 0; i < s->m; i++) {
        float *r = s->s + i * s->ld;
        const lmn_binary_block by = {
            .kind = LMN_BIN_DIV, .a = r, .b = &cap, .b_one = true, .y = r, .n = s->n};
        lmn_binary_block times = by;
        times.kind = LMN_BIN_MUL;
        row->binary(&by);
        row->unary(&(lmn_unary_block){.kind = LMN_UN_TANH, .x = r, .y = r, .n = s->n});
        row->binary(&times);
    }
}
