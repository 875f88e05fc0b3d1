/*
 * How a step of an ensemble is counted among the requests of its model: it has no codec, so that
 * reading and writing take no time. The model's lock makes the writer of the shard one.
 */
#include "serve/ensemble_int.h"
#include "serve/metrics.h"

static uint64_t between(uint64_t from, uint64_t to)
{
    return from && to > from ? to - from : 0;
}

void lmn_ensemble_count(lmn_version_shard *s, const lmn_infer *r)
{
    lmn_outcome o = LMN_OUTCOME_FAILED;
    if (r->status == LAMINA_OK) o = LMN_OUTCOME_OK;
    if (r->status == LAMINA_E_CANCELLED) o = LMN_OUTCOME_CANCELLED;
    if (r->status == LAMINA_E_SHAPE || r->status == LAMINA_E_INVALID) o = LMN_OUTCOME_INVALID;
    if ((r->status == LAMINA_E_TIMEOUT && !r->started_ns) || r->status == LAMINA_E_LIMIT ||
        r->status == LAMINA_E_CLOSED)
        o = LMN_OUTCOME_REFUSED;
    lmn_count(&s->outcome[o], 1);
    if (o != LMN_OUTCOME_OK) return;
    lmn_hist_add(&s->stage[LMN_STAGE_INPUT], 0);
    lmn_hist_add(&s->stage[LMN_STAGE_QUEUE], between(r->arrived_ns, r->started_ns));
    lmn_hist_add(&s->stage[LMN_STAGE_COMPUTE], between(r->started_ns, r->computed_ns));
    lmn_hist_add(&s->stage[LMN_STAGE_OUTPUT], 0);
    lmn_hist_add(&s->stage[LMN_STAGE_TOTAL], between(r->arrived_ns, r->computed_ns));
    lmn_count(&s->rows, (uint64_t)r->rows);
}
