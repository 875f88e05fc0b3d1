/*
 * What is counted while requests are served, and how it is shown: OpenMetrics text.
 *
 * Every loop has a shard of its own for each model, and writes to it alone; whoever reads sums over
 * shards. So nothing on a request's path is shared: adding is a load and a store.
 */
#ifndef LMN_SERVE_METRICS_H
#define LMN_SERVE_METRICS_H

#include "base/atomic.h"
#include "base/strbuf.h"

/* Bounds 1 us x 2^i; the last bucket holds what took longer than the 26th bound, 33.6 s. */
#define LMN_HIST_BOUNDS 26u

typedef struct lmn_hist {
    lmn_atomic(uint64_t) bucket[LMN_HIST_BOUNDS + 1];
    lmn_atomic(uint64_t) sum_ns;
} lmn_hist;

/* By the one thread that writes. */
static inline void lmn_count(lmn_atomic(uint64_t) * counter, uint64_t n)
{
    lmn_atomic_store(counter, lmn_atomic_load(counter, relaxed) + n, relaxed);
}

static inline void lmn_hist_add(lmn_hist *h, uint64_t ns)
{
    /* the least i with us <= 2^i, where us is rounded up */
    const uint64_t us = (ns + 999u) / 1000u;
    uint32_t i = us <= 1 ? 0 : 64u - (uint32_t)__builtin_clzll(us - 1);
    if (i > LMN_HIST_BOUNDS) i = LMN_HIST_BOUNDS;
    lmn_count(&h->bucket[i], 1);
    lmn_count(&h->sum_ns, ns);
}

typedef enum lmn_stage {
    LMN_STAGE_INPUT,   /* from the head of the request to its admission: body, codec */
    LMN_STAGE_QUEUE,   /* until its batch began */
    LMN_STAGE_COMPUTE, /* until that was computed */
    LMN_STAGE_OUTPUT,  /* until the answer was handed to the connection */
    LMN_STAGE_TOTAL,
    LMN_STAGES
} lmn_stage;

typedef enum lmn_outcome {
    LMN_OUTCOME_OK,
    LMN_OUTCOME_INVALID,   /* the request's fault */
    LMN_OUTCOME_REFUSED,   /* queue full, deadline cannot be met, unloading */
    LMN_OUTCOME_CANCELLED, /* the client left, or the server stops */
    LMN_OUTCOME_FAILED,    /* ours */
    LMN_OUTCOMES
} lmn_outcome;

/* Of one version, written by one loop. */
typedef struct lmn_version_shard {
    lmn_hist stage[LMN_STAGES];
    lmn_atomic(uint64_t) outcome[LMN_OUTCOMES], rows;
} lmn_version_shard;

typedef enum lmn_route {
    LMN_ROUTE_INFER,
    LMN_ROUTE_MODEL, /* metadata, ready, config, stats */
    LMN_ROUTE_SERVER,
    LMN_ROUTE_HEALTH,
    LMN_ROUTE_REPOSITORY,
    LMN_ROUTE_METRICS,
    LMN_ROUTE_PAGE,
    LMN_ROUTE_OTHER,
    LMN_ROUTES
} lmn_route;

/* Statuses that a route of ours answers with; anything else is counted as the last. */
#define LMN_CODES 18u
uint32_t lmn_code_index(uint32_t status);

/* Of one loop. */
typedef struct lmn_http_shard {
    lmn_hist took[LMN_ROUTES];
    lmn_atomic(uint64_t) answers[LMN_ROUTES][LMN_CODES];
} lmn_http_shard;

/* Sums of a histogram over shards: *into += h. Quantile in seconds, q from 0 to 1; 0: no sample. */
typedef struct lmn_hist_sum {
    uint64_t bucket[LMN_HIST_BOUNDS + 1], n, sum_ns;
} lmn_hist_sum;
void lmn_hist_collect(lmn_hist_sum *into, const lmn_hist *h);
double lmn_hist_quantile(const lmn_hist_sum *h, double q);

/*
 * Writing families. `open`: OpenMetrics 1.0; else the older text of Prometheus. A family is begun
 * once, then its samples come; labels are written by the caller as {a="b"} without the braces, with
 * values escaped by lmn_metric_label.
 */
typedef struct lmn_metrics_out {
    lmn_strbuf *out;
    bool open;
    struct lmn_otlp_out *otlp; /* not NULL: there, as OpenTelemetry has them, and no text */
} lmn_metrics_out;

typedef enum lmn_metric_kind {
    LMN_METRIC_COUNTER,
    LMN_METRIC_GAUGE,
    LMN_METRIC_HISTOGRAM
} lmn_metric_kind;

/* `name` without _total. `unit` is the suffix of the name, or NULL. */
void lmn_metric_family(const lmn_metrics_out *m, const char *name, lmn_metric_kind kind,
                       const char *unit, const char *help);
void lmn_metric_u64(const lmn_metrics_out *m, const char *name, lmn_metric_kind kind,
                    const char *labels, uint64_t v);
void lmn_metric_f64(const lmn_metrics_out *m, const char *name, lmn_metric_kind kind,
                    const char *labels, double v);
void lmn_metric_hist(const lmn_metrics_out *m, const char *name, const char *labels,
                     const lmn_hist_sum *h);
/* The same by counts of n + 1 buckets with n bounds, at most 32. */
void lmn_metric_buckets(const lmn_metrics_out *m, const char *name, const char *labels,
                        const double *bounds, const uint64_t *counts, uint32_t n, double sum);
/* model="..",version=".." and the like: appended to labels, with a comma where one is needed. */
void lmn_metric_label(char *labels, size_t cap, const char *name, const char *value);
void lmn_metrics_end(const lmn_metrics_out *m);

extern const char *const lmn_route_names[LMN_ROUTES];
extern const char *const lmn_outcome_names[LMN_OUTCOMES];
extern const uint16_t lmn_codes[LMN_CODES];

#endif
