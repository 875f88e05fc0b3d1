/*
 * What the server tells about its models as JSON: statistics under Triton's names, rows of the
 * repository's index, and a request that can be pasted.
 */
#include "serve/server_int.h"

#include <string.h>

/* {"count": n, "ns": t} */
static void duration(lmn_jsonw *w, const char *key, uint64_t n, uint64_t ns)
{
    lmn_jsonw_object(w, key);
    lmn_jsonw_u64(w, "count", n);
    lmn_jsonw_u64(w, "ns", ns);
    lmn_jsonw_end(w);
}

static void stages(const lmn_version *v, lmn_hist_sum sum[LMN_STAGES],
                   uint64_t outcome[LMN_OUTCOMES], uint64_t *rows)
{
    memset(sum, 0, LMN_STAGES * sizeof *sum);
    memset(outcome, 0, LMN_OUTCOMES * sizeof *outcome);
    *rows = 0;
    for (uint32_t i = 0; i < v->n_shards; i++) {
        const lmn_version_shard *s = &v->shards[i];
        for (int k = 0; k < LMN_STAGES; k++) lmn_hist_collect(&sum[k], &s->stage[k]);
        for (int k = 0; k < LMN_OUTCOMES; k++)
            outcome[k] += lmn_atomic_load(&s->outcome[k], relaxed);
        *rows += lmn_atomic_load(&s->rows, relaxed);
    }
}

static void batch_sizes(lmn_jsonw *w, const lmn_model_stats *m)
{
    lmn_jsonw_array(w, "batch_rows");
    for (uint32_t i = 0; i < LMN_COUNT(m->batch_rows); i++) {
        if (!m->batch_rows[i]) continue;
        lmn_jsonw_object(w, NULL);
        lmn_jsonw_u64(w, "at_most", UINT64_C(1) << i);
        lmn_jsonw_u64(w, "count", m->batch_rows[i]);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
}

/* Triton's: one entry for each size that was run. */
static void batch_stats(lmn_jsonw *w, const lmn_model *m)
{
    lmn_batch_size sizes[LMN_BATCH_SIZES];
    const uint32_t n = lmn_model_get_sizes(m, sizes);
    lmn_jsonw_array(w, "batch_stats");
    for (uint32_t i = 0; i < n; i++) {
        const lmn_batch_size *s = &sizes[i];
        lmn_jsonw_object(w, NULL);
        lmn_jsonw_i64(w, "batch_size", s->rows);
        duration(w, "compute_input", s->n, s->input_ns);
        duration(w, "compute_infer", s->n, s->run_ns);
        duration(w, "compute_output", s->n, s->output_ns);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
}

void lmn_report_stats(lmn_jsonw *w, const lmn_version *v)
{
    lmn_hist_sum sum[LMN_STAGES];
    uint64_t outcome[LMN_OUTCOMES], rows, failed = 0;
    lmn_model_stats m = {0};
    stages(v, sum, outcome, &rows);
    lmn_model_get_stats(v->model, &m);
    for (int i = LMN_OUTCOME_OK + 1; i < LMN_OUTCOMES; i++) failed += outcome[i];
    const uint64_t ok = sum[LMN_STAGE_TOTAL].n;
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", v->sig.model);
    lmn_jsonw_str(w, "version", v->sig.version);
    lmn_jsonw_u64(w, "inference_count", rows);
    lmn_jsonw_u64(w, "execution_count", m.n_runs);
    lmn_jsonw_object(w, "inference_stats");
    duration(w, "success", ok, sum[LMN_STAGE_TOTAL].sum_ns);
    duration(w, "fail", failed, 0);
    duration(w, "queue", ok, sum[LMN_STAGE_QUEUE].sum_ns);
    duration(w, "compute_input", ok, sum[LMN_STAGE_INPUT].sum_ns);
    duration(w, "compute_infer", ok, sum[LMN_STAGE_COMPUTE].sum_ns);
    duration(w, "compute_output", ok, sum[LMN_STAGE_OUTPUT].sum_ns);
    duration(w, "cache_hit", m.n_cache_hits, 0);
    duration(w, "cache_miss", m.n_cache_misses, 0);
    lmn_jsonw_end(w);
    batch_stats(w, v->model);
    lmn_jsonw_array(w, "memory_usage");
    lmn_jsonw_end(w);
    lmn_jsonw_object(w, "lamina");
    lmn_jsonw_f64(w, "p50_ms", lmn_hist_quantile(&sum[LMN_STAGE_TOTAL], 0.5) * 1e3);
    lmn_jsonw_f64(w, "p99_ms", lmn_hist_quantile(&sum[LMN_STAGE_TOTAL], 0.99) * 1e3);
    lmn_jsonw_u64(w, "queued", m.n_queued);
    lmn_jsonw_u64(w, "queued_rows", m.queued_rows);
    lmn_jsonw_u64(w, "instances", m.n_instances);
    lmn_jsonw_u64(w, "overdue", m.n_overdue);
    lmn_jsonw_f64(w, "run_ms", (double)m.longest_ns * 1e-6);
    for (int i = 0; i < LMN_OUTCOMES; i++) lmn_jsonw_u64(w, lmn_outcome_names[i], outcome[i]);
    lmn_jsonw_bool(w, "inline", lmn_model_is_inline(v->model));
    batch_sizes(w, &m);
    lmn_jsonw_end(w);
    lmn_jsonw_end(w);
}

void lmn_report_index_row(void *jsonw, const lmn_repo_row *row)
{
    lmn_jsonw *w = jsonw;
    char version[24] = "";
    if (row->version)
        (void)lmn_format(version, sizeof version, "%llu", (unsigned long long)row->version);
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", row->name);
    lmn_jsonw_str(w, "version", version);
    lmn_jsonw_str(w, "state", row->state);
    lmn_jsonw_str(w, "reason", row->reason);
    lmn_jsonw_end(w);
}

/* Zeros for every input; free dimensions are 1. Empty when it grows beyond a screen. */
void lmn_report_example(lmn_strbuf *out, const lmn_signature *s)
{
    lmn_jsonw w;
    lmn_jsonw_init(&w, out, 0);
    lmn_jsonw_object(&w, NULL);
    lmn_jsonw_array(&w, "inputs");
    for (uint32_t i = 0; i < s->n_in; i++) {
        const lmn_serve_port *p = &s->in[i];
        int64_t n = 1;
        if (p->optional) continue;
        lmn_jsonw_object(&w, NULL);
        lmn_jsonw_str(&w, "name", p->name);
        const char *type = lmn_config_type_name(p->dtype) + strlen("TYPE_");
        lmn_jsonw_str(&w, "datatype", p->dtype == LAMINA_STRING ? "BYTES" : type);
        lmn_jsonw_array(&w, "shape");
        for (int32_t d = 0; d < p->rank; d++) {
            const int64_t dim = p->dims[d] < 0 ? 1 : p->dims[d];
            lmn_jsonw_i64(&w, NULL, dim);
            if (n > 4096 || !lmn_mul_i64(n, dim, &n)) n = 1 << 20;
        }
        lmn_jsonw_end(&w);
        lmn_jsonw_array(&w, "data");
        if (n > 256) out->status = LAMINA_E_LIMIT;
        for (int64_t k = 0; out->status == LAMINA_OK && k < n; k++) {
            if (p->dtype == LAMINA_STRING)
                lmn_jsonw_str(&w, NULL, "");
            else if (p->dtype == LAMINA_BOOL)
                lmn_jsonw_bool(&w, NULL, false);
            else
                lmn_jsonw_i64(&w, NULL, 0);
        }
        lmn_jsonw_end(&w);
        lmn_jsonw_end(&w);
    }
    lmn_jsonw_end(&w);
    lmn_jsonw_end(&w);
}
