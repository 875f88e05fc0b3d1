/*
 * Histograms summed over shards, and the text of metrics: OpenMetrics 1.0 or the older one of
 * Prometheus, which differ in the names of counters, the units and the end.
 */
#include "serve/metrics.h"

#include "base/error.h"
#include "base/text.h"
#include "serve/otlp.h"

#include <string.h>

const char *const lmn_route_names[LMN_ROUTES] = {"infer",      "model",   "server", "health",
                                                 "repository", "metrics", "page",   "other"};
const char *const lmn_outcome_names[LMN_OUTCOMES] = {"ok", "invalid", "refused", "cancelled",
                                                     "failed"};
const uint16_t lmn_codes[LMN_CODES] = {200, 204, 304, 400, 401, 403, 404, 405, 408,
                                       413, 415, 429, 499, 500, 501, 503, 504, 0};

uint32_t lmn_code_index(uint32_t status)
{
    uint32_t i = 0;
    while (i + 1 < LMN_CODES && lmn_codes[i] != status) i++;
    return i;
}

void lmn_hist_collect(lmn_hist_sum *into, const lmn_hist *h)
{
    for (uint32_t i = 0; i <= LMN_HIST_BOUNDS; i++) {
        const uint64_t n = lmn_atomic_load(&h->bucket[i], relaxed);
        into->bucket[i] += n;
        into->n += n;
    }
    into->sum_ns += lmn_atomic_load(&h->sum_ns, relaxed);
}

/* Inside a bucket samples are taken to lie evenly. */
double lmn_hist_quantile(const lmn_hist_sum *h, double q)
{
    const double want = q * (double)h->n;
    double below = 0;
    if (!h->n) return 0;
    for (uint32_t i = 0; i <= LMN_HIST_BOUNDS; i++) {
        const double here = (double)h->bucket[i], hi = (double)(UINT64_C(1) << i) * 1e-6;
        const double lo = i ? hi / 2 : 0;
        if (here > 0 && below + here >= want) return lo + (hi - lo) * (want - below) / here;
        below += here;
    }
    return (double)(UINT64_C(1) << LMN_HIST_BOUNDS) * 1e-6;
}

void lmn_metric_label(char *labels, size_t cap, const char *name, const char *value)
{
    size_t n = strlen(labels);
    n += lmn_format(labels + n, cap - n, "%s%s=\"", n ? "," : "", name);
    for (; *value && n + 4 < cap; value++) {
        if (*value == '"' || *value == '\\' || *value == '\n') labels[n++] = '\\';
        labels[n++] = (char)(*value == '\n' ? 'n' : *value);
    }
    labels[n] = 0;
    (void)lmn_format(labels + n, cap - n, "\"");
}

void lmn_metric_family(const lmn_metrics_out *m, const char *name, lmn_metric_kind kind,
                       const char *unit, const char *help)
{
    static const char *const KINDS[] = {"counter", "gauge", "histogram"};
    if (m->otlp) {
        lmn_otlp_family(m->otlp, name, kind, unit, help);
        return;
    }
    const char *total = !m->open && kind == LMN_METRIC_COUNTER ? "_total" : "";
    lmn_strbuf_printf(m->out, "# TYPE %s%s %s\n", name, total, KINDS[kind]);
    if (m->open && unit) lmn_strbuf_printf(m->out, "# UNIT %s %s\n", name, unit);
    lmn_strbuf_printf(m->out, "# HELP %s%s %s\n", name, total, help);
}

static void sample(const lmn_metrics_out *m, const char *name, const char *suffix,
                   const char *labels, const char *value, size_t n)
{
    lmn_strbuf_str(m->out, name);
    lmn_strbuf_str(m->out, suffix);
    if (*labels) {
        lmn_strbuf_char(m->out, '{');
        lmn_strbuf_str(m->out, labels);
        lmn_strbuf_char(m->out, '}');
    }
    lmn_strbuf_char(m->out, ' ');
    lmn_strbuf_add(m->out, value, n);
    lmn_strbuf_char(m->out, '\n');
}

static void sample_u64(const lmn_metrics_out *m, const char *name, const char *suffix,
                       const char *labels, uint64_t v)
{
    char text[24];
    const size_t n = lmn_format(text, sizeof text, "%llu", (unsigned long long)v);
    sample(m, name, suffix, labels, text, n);
}

static void sample_f64(const lmn_metrics_out *m, const char *name, const char *suffix,
                       const char *labels, double v)
{
    char text[LMN_NUMBER_BYTES];
    sample(m, name, suffix, labels, text, lmn_format_f64(text, v));
}

void lmn_metric_u64(const lmn_metrics_out *m, const char *name, lmn_metric_kind kind,
                    const char *labels, uint64_t v)
{
    if (m->otlp)
        lmn_otlp_u64(m->otlp, labels, v);
    else
        sample_u64(m, name, kind == LMN_METRIC_COUNTER ? "_total" : "", labels, v);
}

void lmn_metric_f64(const lmn_metrics_out *m, const char *name, lmn_metric_kind kind,
                    const char *labels, double v)
{
    if (m->otlp)
        lmn_otlp_f64(m->otlp, labels, v);
    else
        sample_f64(m, name, kind == LMN_METRIC_COUNTER ? "_total" : "", labels, v);
}

/* As OpenMetrics writes floats: 1 is 1.0. */
static void bound_text(char text[LMN_NUMBER_BYTES + 3], double v)
{
    size_t n = lmn_format_f64(text, v);
    text[n] = 0;
    if (!strpbrk(text, ".e")) (void)lmn_format(text + n, 3, ".0");
}

void lmn_metric_buckets(const lmn_metrics_out *m, const char *name, const char *labels,
                        const double *bounds, const uint64_t *counts, uint32_t n, double sum)
{
    char with[512], bound[LMN_NUMBER_BYTES + 3];
    uint64_t below = 0;
    if (m->otlp) {
        lmn_otlp_hist(m->otlp, labels, bounds, counts, n, sum);
        return;
    }
    for (uint32_t i = 0; i <= n; i++) {
        below += counts[i];
        (void)lmn_format(with, sizeof with, "%s", labels);
        if (i < n) bound_text(bound, bounds[i]);
        lmn_metric_label(with, sizeof with, "le", i < n ? bound : "+Inf");
        sample_u64(m, name, "_bucket", with, below);
    }
    sample_u64(m, name, "_count", labels, below);
    sample_f64(m, name, "_sum", labels, sum);
}

void lmn_metric_hist(const lmn_metrics_out *m, const char *name, const char *labels,
                     const lmn_hist_sum *h)
{
    double bounds[LMN_HIST_BOUNDS];
    for (uint32_t i = 0; i < LMN_HIST_BOUNDS; i++) bounds[i] = (double)(UINT64_C(1) << i) * 1e-6;
    lmn_metric_buckets(m, name, labels, bounds, h->bucket, LMN_HIST_BOUNDS,
                       (double)h->sum_ns * 1e-9);
}

void lmn_metrics_end(const lmn_metrics_out *m)
{
    if (m->open) lmn_strbuf_str(m->out, "# EOF\n");
}
