/*
 * Traces and metrics as OpenTelemetry has them, sent to a collector: OTLP 1.x over HTTP with
 * protobuf bodies.
 *
 * A loop puts what a request took into a ring of its own and never waits: when the ring is full the
 * span is dropped and counted. One thread empties the rings, encodes and sends. While the collector
 * does not answer it tries again, ever more slowly, and keeps a bounded number of spans; the rest
 * is dropped and counted.
 */
#ifndef LMN_SERVE_OTLP_H
#define LMN_SERVE_OTLP_H

#include "base/strbuf.h"
#include "lamina/serve.h"
#include "serve/metrics.h"

#define LMN_TRACE_ID 16u
#define LMN_SPAN_ID 8u
#define LMN_TRACE_STATE 512u
#define LMN_TRACE_MODEL 129u

/* A request that was traced; instants are monotonic, 0: it did not come so far. */
typedef struct lmn_traced {
    uint8_t trace[LMN_TRACE_ID], span[LMN_SPAN_ID], parent[LMN_SPAN_ID];
    bool has_parent, rpc;
    uint16_t status; /* of HTTP */
    uint16_t state_n;
    uint64_t began, submitted, started, computed, ended;
    uint64_t version_number, bytes_in;
    int64_t rows;
    char model[LMN_TRACE_MODEL];
    char state[LMN_TRACE_STATE]; /* tracestate, passed on; state_n bytes */
} lmn_traced;

/* ---- encoding: otlp_encode.c ---- */

/* A message under way: everything between begin and end, whose length then stands before it. */
typedef struct lmn_otlp_mark {
    size_t at;
} lmn_otlp_mark;

typedef struct lmn_otlp_out {
    lmn_strbuf *b;
    lmn_otlp_mark resource, scope, metric, data;
    uint64_t start_ns, now_ns; /* wall clock */
    lmn_metric_kind kind;
    bool open, some; /* a metric is open, has points */
} lmn_otlp_out;

/* The spans of a request: it and its stages. `wall_ns`: what to add to monotonic instants. */
void lmn_otlp_spans(lmn_strbuf *b, const lmn_traced *t, int64_t wall_ns);
/* ExportTraceServiceRequest around such spans; `service`: its name. */
void lmn_otlp_traces(lmn_strbuf *b, const char *service, const lmn_strbuf *spans);

/* ExportMetricsServiceRequest; what stands between is called by metrics.c. */
void lmn_otlp_metrics_begin(lmn_otlp_out *o, lmn_strbuf *b, const char *service, uint64_t start_ns,
                            uint64_t now_ns);
void lmn_otlp_family(lmn_otlp_out *o, const char *name, lmn_metric_kind kind, const char *unit,
                     const char *help);
void lmn_otlp_u64(lmn_otlp_out *o, const char *labels, uint64_t v);
void lmn_otlp_f64(lmn_otlp_out *o, const char *labels, double v);
/* bounds: n of them; n + 1 counts. */
void lmn_otlp_hist(lmn_otlp_out *o, const char *labels, const double *bounds,
                   const uint64_t *counts, uint32_t n, double sum);
void lmn_otlp_metrics_end(lmn_otlp_out *o);

/* What a collector answered to a 200: how many it did not take; 0 when that makes no sense. */
uint64_t lmn_otlp_rejected(lmn_span body);

/* ---- sending: otlp.c ---- */

typedef struct lmn_otlp lmn_otlp;

/* "http://HOST:PORT[/PREFIX]", HOST a number or "localhost". Nothing is sent yet. */
lamina_status lmn_otlp_open(lamina_server *s, const char *url, uint32_t n_loops, lmn_otlp **out,
                            lamina_error *err);
lamina_status lmn_otlp_start(lmn_otlp *o, lamina_error *err);
/* By loop `i`, or by one thread at a time for it. */
void lmn_otlp_put(lmn_otlp *o, uint32_t i, const lmn_traced *t);
/* Sends what there is, once, and ends the thread: what is put later goes nowhere. */
void lmn_otlp_finish(lmn_otlp *o);
/* Loops have ended. Both: NULL is fine. */
void lmn_otlp_close(lmn_otlp *o);

typedef struct lmn_otlp_stats {
    uint64_t sent, dropped, refused; /* requests; refused: by the collector */
    uint64_t exports, failures;      /* calls, of traces and metrics */
} lmn_otlp_stats;
void lmn_otlp_get_stats(const lmn_otlp *o, lmn_otlp_stats *out);

#endif
