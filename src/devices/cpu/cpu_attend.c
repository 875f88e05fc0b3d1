/*
 * Chunks and merges of attention on the pool (cpu_attend.h).
 */
#include "devices/cpu/cpu_attend.h"

#include "kernels/elementwise/elementwise.h"

typedef struct attend_job {
    lmn_attention_plan plan;
    const lmn_attention_args *args;
    uint8_t *scratch;
    size_t step;
} attend_job;

static void attend_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const attend_job *j = arg;
    lmn_attention_f32_chunk(&j->plan, j->args, chunk, j->scratch + (size_t)worker * j->step);
}

static void attend_merge(void *arg, int64_t item, int32_t worker)
{
    const attend_job *j = arg;
    lmn_attention_f32_merge(&j->plan, j->args, item, j->scratch + (size_t)worker * j->step);
}

bool lmn_cpu_attend_fits(const lmn_attention_shape *s)
{
    return s->keys > 0 && s->d > 0 && s->keys <= LMN_CPU_EXTENT_MAX && s->d <= LMN_CPU_EXTENT_MAX &&
           s->dv <= LMN_CPU_EXTENT_MAX && s->queries <= LMN_CPU_EXTENT_MAX &&
           s->heads <= LMN_CPU_EXTENT_MAX && s->batch <= LMN_CPU_EXTENT_MAX;
}

lamina_status lmn_cpu_attend(lmn_eval *ec, const lmn_cpu_dev *dev, const lmn_attention_shape *shape,
                             lmn_attention_args *args)
{
    attend_job j = {.args = args};
    lmn_attention_f32_plan(dev->kset.gemm_f32, dev->kset.attention_f32, shape, &j.plan);
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.plan.scratch_bytes, &j.scratch, &j.step));
    args->shared = NULL;
    if (j.plan.shared_bytes) args->shared = lmn_scratch(ec, j.plan.shared_bytes);
    if (j.plan.shared_bytes && !args->shared)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    lmn_par_for(ec->par, j.plan.n_chunks, attend_chunk, &j);
    lmn_par_for(ec->par, j.plan.n_merges, attend_merge, &j);
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
