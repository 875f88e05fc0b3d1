/*
 * The metrics of a server, family by family: what loops counted, summed now.
 */
#include "serve/server_int.h"

#include "base/os/os_env.h"
#include "base/os/os_time.h"

#include <string.h>

#define LABELS 400

typedef struct observer {
    lamina_server *s;
    const lmn_repo_view *view;
    lmn_metrics_out m;
} observer;

static void of_routes(const observer *o)
{
    const lmn_metrics_out *m = &o->m;
    char labels[LABELS], code[12];
    lmn_metric_family(m, "lamina_http_requests", LMN_METRIC_COUNTER, NULL,
                      "Requests answered, by route and status.");
    for (uint32_t r = 0; r < LMN_ROUTES; r++)
        for (uint32_t c = 0; c < LMN_CODES; c++) {
            uint64_t n = 0;
            for (uint32_t i = 0; i < o->s->n_loops; i++)
                if (o->s->loops[i])
                    n += lmn_atomic_load(&o->s->loops[i]->shard.answers[r][c], relaxed);
            if (!n) continue;
            labels[0] = 0;
            (void)lmn_format(code, sizeof code, "%u", lmn_codes[c]);
            lmn_metric_label(labels, sizeof labels, "route", lmn_route_names[r]);
            lmn_metric_label(labels, sizeof labels, "code", lmn_codes[c] ? code : "other");
            lmn_metric_u64(m, "lamina_http_requests", LMN_METRIC_COUNTER, labels, n);
        }
    lmn_metric_family(m, "lamina_http_request_duration_seconds", LMN_METRIC_HISTOGRAM, "seconds",
                      "From the head of a request to its answer, by route.");
    for (uint32_t r = 0; r < LMN_ROUTES; r++) {
        lmn_hist_sum sum = {{0}, 0, 0};
        for (uint32_t i = 0; i < o->s->n_loops; i++)
            if (o->s->loops[i]) lmn_hist_collect(&sum, &o->s->loops[i]->shard.took[r]);
        if (!sum.n) continue;
        labels[0] = 0;
        lmn_metric_label(labels, sizeof labels, "route", lmn_route_names[r]);
        lmn_metric_hist(m, "lamina_http_request_duration_seconds", labels, &sum);
    }
}

static void of_http(const observer *o)
{
    const lmn_metrics_out *m = &o->m;
    lmn_http_stats st;
    char labels[LABELS], code[12];
    lmn_http_get_stats(o->s->http, &st);
    lmn_metric_family(m, "lamina_http_connections", LMN_METRIC_GAUGE, NULL, "Open connections.");
    lmn_metric_u64(m, "lamina_http_connections", LMN_METRIC_GAUGE, "", st.open);
    lmn_metric_family(m, "lamina_http_accepted", LMN_METRIC_COUNTER, NULL, "Connections accepted.");
    lmn_metric_u64(m, "lamina_http_accepted", LMN_METRIC_COUNTER, "", st.accepted);
    lmn_metric_family(m, "lamina_http_received_bytes", LMN_METRIC_COUNTER, "bytes",
                      "Bytes read from clients.");
    lmn_metric_u64(m, "lamina_http_received_bytes", LMN_METRIC_COUNTER, "", st.bytes_in);
    lmn_metric_family(m, "lamina_http_sent_bytes", LMN_METRIC_COUNTER, "bytes",
                      "Bytes sent to clients.");
    lmn_metric_u64(m, "lamina_http_sent_bytes", LMN_METRIC_COUNTER, "", st.bytes_out);
    lmn_metric_family(m, "lamina_http_rejected", LMN_METRIC_COUNTER, NULL,
                      "Requests refused before they had a meaning, by reason.");
    for (uint32_t i = 0; i < LMN_COUNT(st.refused); i++) {
        if (!st.refused[i]) continue;
        labels[0] = 0;
        (void)lmn_format(code, sizeof code, "%u", i);
        lmn_metric_label(labels, sizeof labels, "reason", code);
        lmn_metric_u64(m, "lamina_http_rejected", LMN_METRIC_COUNTER, labels, st.refused[i]);
    }
    lmn_metric_u64(m, "lamina_http_rejected", LMN_METRIC_COUNTER, "reason=\"timeout\"",
                   st.timed_out);
    lmn_metric_u64(m, "lamina_http_rejected", LMN_METRIC_COUNTER, "reason=\"reset\"", st.reset);
    lmn_metric_family(m, "lamina_tls_handshakes", LMN_METRIC_COUNTER, NULL,
                      "Handshakes of TLS, by how they ended.");
    lmn_metric_u64(m, "lamina_tls_handshakes", LMN_METRIC_COUNTER, "outcome=\"ok\"", st.handshakes);
    lmn_metric_u64(m, "lamina_tls_handshakes", LMN_METRIC_COUNTER, "outcome=\"failed\"",
                   st.bad_handshakes);
}

/* Those without a name together. */
static void of_tokens(const observer *o)
{
    static const char *const OUTCOMES[] = {"admitted", "limited", "forbidden"};
    const lmn_tokens *all = lmn_atomic_load(&o->s->tokens, relaxed); /* held by the lock */
    uint64_t rest[LMN_TOKEN_OUTCOMES] = {0};
    char labels[LABELS];
    if (!all) return;
    lmn_metric_family(&o->m, "lamina_token_requests", LMN_METRIC_COUNTER, NULL,
                      "Requests that came with a token, by its name and what became of them.");
    for (uint32_t t = 0; t <= all->n; t++)
        for (uint32_t k = 0; k < LMN_TOKEN_OUTCOMES; k++) {
            const lmn_token *one = t < all->n ? &all->token[t] : NULL;
            const char *name = one ? one->name : "";
            uint64_t n = one ? 0 : rest[k];
            for (uint32_t i = 0; one && i < all->n_loops; i++)
                n += lmn_atomic_load(&one->use->shard[i].n[k], relaxed);
            if (one && !*name) rest[k] += n;
            if (!n || (one && !*name)) continue;
            labels[0] = 0;
            lmn_metric_label(labels, sizeof labels, "token", name);
            lmn_metric_label(labels, sizeof labels, "outcome", OUTCOMES[k]);
            lmn_metric_u64(&o->m, "lamina_token_requests", LMN_METRIC_COUNTER, labels, n);
        }
}

/* Every version that is seen: calls `each` with its labels. */
static void versions(const observer *o,
                     void (*each)(const observer *o, const lmn_version *v, const char *labels))
{
    char labels[LABELS];
    for (uint32_t i = 0; lmn_repo_at(o->view, i, 0); i++)
        for (uint32_t k = 0; lmn_repo_at(o->view, i, k); k++) {
            const lmn_version *v = lmn_repo_at(o->view, i, k);
            labels[0] = 0;
            lmn_metric_label(labels, sizeof labels, "model", v->sig.model);
            lmn_metric_label(labels, sizeof labels, "version", v->sig.version);
            each(o, v, labels);
        }
}

static void outcomes(const observer *o, const lmn_version *v, const char *labels)
{
    for (uint32_t k = 0; k < LMN_OUTCOMES; k++) {
        char with[LABELS];
        uint64_t n = 0;
        for (uint32_t i = 0; i < v->n_shards; i++)
            n += lmn_atomic_load(&v->shards[i].outcome[k], relaxed);
        (void)lmn_format(with, sizeof with, "%s", labels);
        lmn_metric_label(with, sizeof with, "outcome", lmn_outcome_names[k]);
        lmn_metric_u64(&o->m, "lamina_inference_requests", LMN_METRIC_COUNTER, with, n);
    }
}

static void rows(const observer *o, const lmn_version *v, const char *labels)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < v->n_shards; i++) n += lmn_atomic_load(&v->shards[i].rows, relaxed);
    lmn_metric_u64(&o->m, "lamina_inference_rows", LMN_METRIC_COUNTER, labels, n);
}

static void stage(const observer *o, const lmn_version *v, const char *labels, lmn_stage k,
                  const char *name)
{
    lmn_hist_sum sum = {{0}, 0, 0};
    for (uint32_t i = 0; i < v->n_shards; i++) lmn_hist_collect(&sum, &v->shards[i].stage[k]);
    lmn_metric_hist(&o->m, name, labels, &sum);
}

static void queue_time(const observer *o, const lmn_version *v, const char *labels)
{
    stage(o, v, labels, LMN_STAGE_QUEUE, "lamina_inference_queue_seconds");
}

static void input_time(const observer *o, const lmn_version *v, const char *labels)
{
    stage(o, v, labels, LMN_STAGE_INPUT, "lamina_inference_input_seconds");
}

static void compute_time(const observer *o, const lmn_version *v, const char *labels)
{
    stage(o, v, labels, LMN_STAGE_COMPUTE, "lamina_inference_compute_seconds");
}

static void output_time(const observer *o, const lmn_version *v, const char *labels)
{
    stage(o, v, labels, LMN_STAGE_OUTPUT, "lamina_inference_output_seconds");
}

static void total_time(const observer *o, const lmn_version *v, const char *labels)
{
    stage(o, v, labels, LMN_STAGE_TOTAL, "lamina_inference_duration_seconds");
}

static void batch_rows(const observer *o, const lmn_version *v, const char *labels)
{
    enum { BOUNDS = 13 };
    lmn_model_stats st = {0};
    uint64_t counts[BOUNDS + 1] = {0};
    double bounds[BOUNDS];
    lmn_model_get_stats(v->model, &st);
    for (uint32_t i = 0; i < LMN_COUNT(st.batch_rows); i++)
        counts[i < BOUNDS ? i : BOUNDS] += st.batch_rows[i];
    for (uint32_t i = 0; i < BOUNDS; i++) bounds[i] = (double)(1u << i);
    lmn_metric_buckets(&o->m, "lamina_batch_rows", labels, bounds, counts, BOUNDS,
                       (double)st.n_rows);
}

static void dispatches(const observer *o, const lmn_version *v, const char *labels)
{
    static const char *const NAMES[LMN_BATCH_REASONS] = {
        [LMN_BATCH_FULL] = "full",         [LMN_BATCH_PREFERRED] = "preferred",
        [LMN_BATCH_DELAY] = "delay",       [LMN_BATCH_IDLE] = "idle",
        [LMN_BATCH_DEADLINE] = "deadline", [LMN_BATCH_SINGLE] = "single"};
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    for (uint32_t i = 0; i < LMN_BATCH_REASONS; i++) {
        char with[LABELS];
        (void)lmn_format(with, sizeof with, "%s", labels);
        lmn_metric_label(with, sizeof with, "reason", NAMES[i]);
        lmn_metric_u64(&o->m, "lamina_batch_dispatch", LMN_METRIC_COUNTER, with, st.dispatch[i]);
    }
}

static void cache_hits(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    lmn_metric_u64(&o->m, "lamina_cache_hits", LMN_METRIC_COUNTER, labels, st.n_cache_hits);
}

static void cache_misses(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    lmn_metric_u64(&o->m, "lamina_cache_misses", LMN_METRIC_COUNTER, labels, st.n_cache_misses);
}

static void queue_depth(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    lmn_metric_u64(&o->m, "lamina_queue_depth", LMN_METRIC_GAUGE, labels, st.n_queued);
}

static void queue_rows(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    lmn_metric_u64(&o->m, "lamina_queue_rows", LMN_METRIC_GAUGE, labels, st.queued_rows);
}

static void batch_limit(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    if (st.whole_rows)
        lmn_metric_u64(&o->m, "lamina_batch_limit_rows", LMN_METRIC_GAUGE, labels, st.whole_rows);
}

static void queue_limit(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    if (st.most_rows)
        lmn_metric_u64(&o->m, "lamina_queue_limit_rows", LMN_METRIC_GAUGE, labels, st.most_rows);
}

static double age(uint64_t since)
{
    const uint64_t now = lmn_now_ns();
    return since && now > since ? (double)(now - since) * 1e-9 : 0;
}

static void queue_oldest(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    lmn_metric_f64(&o->m, "lamina_queue_oldest_seconds", LMN_METRIC_GAUGE, labels,
                   age(st.oldest_ns));
}

static void load_time(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    lmn_metric_f64(&o->m, "lamina_model_load_seconds", LMN_METRIC_GAUGE, labels,
                   (double)st.load_ns * 1e-9);
}

static void heartbeat(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    lmn_metric_f64(&o->m, "lamina_engine_heartbeat_seconds", LMN_METRIC_GAUGE, labels,
                   age(st.beat_ns));
}

static void instances(const observer *o, const lmn_version *v, const char *labels)
{
    static const char *const STATES[] = {"idle", "busy", "overdue"};
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    const uint64_t n[] = {st.n_instances - st.n_busy, st.n_busy - st.n_overdue, st.n_overdue};
    for (size_t i = 0; i < LMN_COUNT(STATES); i++) {
        char with[LABELS];
        (void)lmn_format(with, sizeof with, "%s", labels);
        lmn_metric_label(with, sizeof with, "state", STATES[i]);
        lmn_metric_u64(&o->m, "lamina_instances", LMN_METRIC_GAUGE, with, n[i]);
    }
}

static void longest_run(const observer *o, const lmn_version *v, const char *labels)
{
    lmn_model_stats st = {0};
    lmn_model_get_stats(v->model, &st);
    lmn_metric_f64(&o->m, "lamina_run_seconds", LMN_METRIC_GAUGE, labels,
                   (double)st.longest_ns * 1e-9);
}

static void model_state(void *ctx, const lmn_repo_row *row)
{
    const observer *o = ctx;
    char labels[LABELS] = "", version[24];
    (void)lmn_format(version, sizeof version, "%llu", (unsigned long long)row->version);
    lmn_metric_label(labels, sizeof labels, "model", row->name);
    lmn_metric_label(labels, sizeof labels, "version", row->version ? version : "");
    lmn_metric_u64(&o->m, "lamina_model_ready", LMN_METRIC_GAUGE, labels,
                   strcmp(row->state, "READY") == 0);
}

static void of_models(const observer *o)
{
    static const struct {
        const char *name;
        lmn_metric_kind kind;
        const char *unit, *help;
        void (*each)(const observer *o, const lmn_version *v, const char *labels);
    } FAMILIES[] = {
        {"lamina_inference_requests", LMN_METRIC_COUNTER, NULL, "Inferences, by outcome.",
         outcomes},
        {"lamina_inference_rows", LMN_METRIC_COUNTER, NULL, "Rows of answered inferences.", rows},
        {"lamina_inference_duration_seconds", LMN_METRIC_HISTOGRAM, "seconds",
         "From the head of a request to its answer.", total_time},
        {"lamina_inference_input_seconds", LMN_METRIC_HISTOGRAM, "seconds",
         "Reading the body and its tensors.", input_time},
        {"lamina_inference_queue_seconds", LMN_METRIC_HISTOGRAM, "seconds",
         "Waiting for a batch to begin.", queue_time},
        {"lamina_inference_compute_seconds", LMN_METRIC_HISTOGRAM, "seconds", "Running the model.",
         compute_time},
        {"lamina_inference_output_seconds", LMN_METRIC_HISTOGRAM, "seconds", "Writing the answer.",
         output_time},
        {"lamina_batch_rows", LMN_METRIC_HISTOGRAM, NULL, "Rows of a run.", batch_rows},
        {"lamina_batch_dispatch", LMN_METRIC_COUNTER, NULL, "Batches, by why they began.",
         dispatches},
        {"lamina_cache_hits", LMN_METRIC_COUNTER, NULL,
         "Requests answered from the response cache.", cache_hits},
        {"lamina_cache_misses", LMN_METRIC_COUNTER, NULL, "Requests that it did not have.",
         cache_misses},
        {"lamina_batch_limit_rows", LMN_METRIC_GAUGE, NULL,
         "Rows that run together at most; more once that was found to pay.", batch_limit},
        {"lamina_queue_depth", LMN_METRIC_GAUGE, NULL, "Requests that wait.", queue_depth},
        {"lamina_queue_rows", LMN_METRIC_GAUGE, NULL, "Rows that wait.", queue_rows},
        {"lamina_queue_limit_rows", LMN_METRIC_GAUGE, NULL,
         "Rows that may wait before requests are refused.", queue_limit},
        {"lamina_queue_oldest_seconds", LMN_METRIC_GAUGE, "seconds",
         "How long the oldest of them has waited.", queue_oldest},
        {"lamina_model_load_seconds", LMN_METRIC_GAUGE, "seconds", "Loading and warming up.",
         load_time},
        {"lamina_engine_heartbeat_seconds", LMN_METRIC_GAUGE, "seconds",
         "Since an instance last began or ended a run, or was idle.", heartbeat},
        {"lamina_instances", LMN_METRIC_GAUGE, NULL,
         "Instances by state; overdue: a run takes ten times what it should.", instances},
        {"lamina_run_seconds", LMN_METRIC_GAUGE, "seconds",
         "How long the longest run of now takes already.", longest_run},
    };
    for (size_t i = 0; i < LMN_COUNT(FAMILIES); i++) {
        lmn_metric_family(&o->m, FAMILIES[i].name, FAMILIES[i].kind, FAMILIES[i].unit,
                          FAMILIES[i].help);
        versions(o, FAMILIES[i].each);
    }
    lmn_metric_family(&o->m, "lamina_model_ready", LMN_METRIC_GAUGE, NULL,
                      "1: this version can be used.");
    lmn_repo_index(o->s->repo, model_state, (void *)(uintptr_t)o);
}

static void of_process(const observer *o)
{
    const lmn_metrics_out *m = &o->m;
    if (o->s->log) {
        lmn_metric_family(m, "lamina_log_dropped", LMN_METRIC_COUNTER, NULL,
                          "Lines that found the log's ring full.");
        lmn_metric_u64(m, "lamina_log_dropped", LMN_METRIC_COUNTER, "",
                       lamina_logger_dropped(o->s->log));
    }
    lmn_metric_family(m, "lamina_memory_bytes", LMN_METRIC_GAUGE, "bytes", "Memory, by kind.");
    lmn_metric_u64(m, "lamina_memory_bytes", LMN_METRIC_GAUGE, "pool=\"resident\"",
                   lmn_os_resident());
    lmn_metric_family(m, "lamina_cpu_seconds", LMN_METRIC_COUNTER, "seconds",
                      "CPU time of the process.");
    lmn_metric_f64(m, "lamina_cpu_seconds", LMN_METRIC_COUNTER, "",
                   (double)lmn_process_cpu_ns() * 1e-9);
    lmn_metric_family(m, "lamina_uptime_seconds", LMN_METRIC_GAUGE, "seconds",
                      "Since the server was started.");
    lmn_metric_f64(m, "lamina_uptime_seconds", LMN_METRIC_GAUGE, "", age(o->s->started_ns));
    lmn_metric_family(m, "lamina_build_info", LMN_METRIC_GAUGE, NULL, "The version that runs.");
    lmn_metric_u64(m, "lamina_build_info", LMN_METRIC_GAUGE,
                   "version=\"" LAMINA_VERSION_STRING "\"", 1);
}

static void of_otlp(const observer *o)
{
    lmn_otlp_stats st;
    if (!o->s->otlp) return;
    lmn_otlp_get_stats(o->s->otlp, &st);
    lmn_metric_family(&o->m, "lamina_otlp_traces", LMN_METRIC_COUNTER, NULL,
                      "Requests that were traced, by what became of their spans.");
    lmn_metric_u64(&o->m, "lamina_otlp_traces", LMN_METRIC_COUNTER, "outcome=\"sent\"", st.sent);
    lmn_metric_u64(&o->m, "lamina_otlp_traces", LMN_METRIC_COUNTER, "outcome=\"dropped\"",
                   st.dropped);
    lmn_metric_u64(&o->m, "lamina_otlp_traces", LMN_METRIC_COUNTER, "outcome=\"refused\"",
                   st.refused);
    lmn_metric_family(&o->m, "lamina_otlp_exports", LMN_METRIC_COUNTER, NULL,
                      "Calls of the collector of traces and metrics.");
    lmn_metric_u64(&o->m, "lamina_otlp_exports", LMN_METRIC_COUNTER, "", st.exports);
    lmn_metric_family(&o->m, "lamina_otlp_failures", LMN_METRIC_COUNTER, NULL,
                      "Such calls that failed.");
    lmn_metric_u64(&o->m, "lamina_otlp_failures", LMN_METRIC_COUNTER, "", st.failures);
}

/* The lock keeps loops from ending; none of them needs it while requests are served. */
void lmn_observe(lamina_server *s, const lmn_repo_view *view, const lmn_metrics_out *m)
{
    const observer o = {s, view, *m};
    lmn_mutex_lock(&s->lock);
    of_routes(&o);
    of_tokens(&o);
    lmn_mutex_unlock(&s->lock);
    of_http(&o);
    of_models(&o);
    of_otlp(&o);
    of_process(&o);
    if (!o.m.otlp) lmn_metrics_end(&o.m);
}
