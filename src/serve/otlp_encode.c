/*
 * OTLP messages by hand: opentelemetry.proto.collector.{trace,metrics}.v1. A message is written
 * behind a byte for its length, which is made longer when the message turns out to be: so lengths
 * are as short as protobuf has them, and nothing is written twice but by memmove.
 */
#include "serve/otlp.h"

#include "base/error.h"
#include "base/pbwire.h"
#include "lamina/base.h"

#include <string.h>

/* --- protobuf --- */

static void key(lmn_strbuf *b, uint32_t field, uint32_t wire)
{
    uint8_t k[10];
    lmn_strbuf_add(b, k, lmn_pb_put_varint(k, (uint64_t)field << 3 | wire));
}

static void put_varint(lmn_strbuf *b, uint32_t field, uint64_t v)
{
    uint8_t k[10];
    key(b, field, LMN_PB_VARINT);
    lmn_strbuf_add(b, k, lmn_pb_put_varint(k, v));
}

static void raw64(lmn_strbuf *b, uint64_t v)
{
    uint8_t le[8];
    for (uint32_t i = 0; i < 8; i++) le[i] = (uint8_t)(v >> 8 * i);
    lmn_strbuf_add(b, le, 8);
}

static void put_fixed(lmn_strbuf *b, uint32_t field, uint64_t v)
{
    key(b, field, LMN_PB_FIXED64);
    raw64(b, v);
}

static uint64_t bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static void put_bytes(lmn_strbuf *b, uint32_t field, const void *p, size_t n)
{
    uint8_t k[10];
    key(b, field, LMN_PB_BYTES);
    lmn_strbuf_add(b, k, lmn_pb_put_varint(k, n));
    lmn_strbuf_add(b, p, n);
}

static void put_text(lmn_strbuf *b, uint32_t field, const char *s)
{
    put_bytes(b, field, s, strlen(s));
}

static lmn_otlp_mark begin(lmn_strbuf *b, uint32_t field)
{
    key(b, field, LMN_PB_BYTES);
    lmn_strbuf_char(b, 0);
    return (lmn_otlp_mark){b->n};
}

static void end(lmn_strbuf *b, lmn_otlp_mark m)
{
    static const uint8_t ROOM[9] = {0};
    uint8_t length[10];
    if (b->status != LAMINA_OK) return;
    const size_t n = b->n - m.at, bytes = lmn_pb_put_varint(length, n);
    lmn_strbuf_add(b, ROOM, bytes - 1);
    if (b->status != LAMINA_OK) return;
    memmove(b->p + m.at + bytes - 1, b->p + m.at, n);
    memcpy(b->p + m.at - 1, length, bytes);
}

/* --- what both have --- */

static void attribute(lmn_strbuf *b, uint32_t field, const char *name, size_t name_n,
                      const char *value, size_t n)
{
    const lmn_otlp_mark pair = begin(b, field);
    put_bytes(b, 1, name, name_n);
    const lmn_otlp_mark any = begin(b, 2);
    put_bytes(b, 1, value, n);
    end(b, any);
    end(b, pair);
}

static void attribute_text(lmn_strbuf *b, uint32_t field, const char *name, const char *value)
{
    attribute(b, field, name, strlen(name), value, strlen(value));
}

static void attribute_int(lmn_strbuf *b, uint32_t field, const char *name, uint64_t v)
{
    const lmn_otlp_mark pair = begin(b, field);
    put_text(b, 1, name);
    const lmn_otlp_mark any = begin(b, 2);
    put_varint(b, 3, v);
    end(b, any);
    end(b, pair);
}

/* ResourceSpans and ResourceMetrics, ScopeSpans and ScopeMetrics have the same numbers. */
static void open_scope(lmn_otlp_out *o, lmn_strbuf *b, const char *service)
{
    *o = (lmn_otlp_out){.b = b};
    o->resource = begin(b, 1);
    const lmn_otlp_mark resource = begin(b, 1);
    attribute_text(b, 1, "service.name", service);
    attribute_text(b, 1, "service.version", LAMINA_VERSION_STRING);
    end(b, resource);
    o->scope = begin(b, 2);
    const lmn_otlp_mark scope = begin(b, 1);
    put_text(b, 1, "lamina.serve");
    put_text(b, 2, LAMINA_VERSION_STRING);
    end(b, scope);
}

static void close_scope(lmn_otlp_out *o)
{
    end(o->b, o->scope);
    end(o->b, o->resource);
}

/* --- traces --- */

void lmn_otlp_traces(lmn_strbuf *b, const char *service, const lmn_strbuf *spans)
{
    lmn_otlp_out o;
    open_scope(&o, b, service);
    lmn_strbuf_add(b, spans->p, spans->n);
    close_scope(&o);
}

enum { KIND_INTERNAL = 1, KIND_SERVER = 2, STATUS_ERROR = 2 };

/* Ids of stages follow from that of the request: no two of them are the same. */
static void stage_id(uint8_t out[LMN_SPAN_ID], const lmn_traced *t, uint8_t i)
{
    memcpy(out, t->span, LMN_SPAN_ID);
    out[LMN_SPAN_ID - 1] ^= i;
    out[0] ^= 0x80;
}

static void stage(lmn_strbuf *b, const lmn_traced *t, uint8_t i, const char *name, uint64_t from,
                  uint64_t to, int64_t wall_ns)
{
    uint8_t id[LMN_SPAN_ID];
    if (!from || to < from) return;
    stage_id(id, t, i);
    const lmn_otlp_mark span = begin(b, 2);
    put_bytes(b, 1, t->trace, LMN_TRACE_ID);
    put_bytes(b, 2, id, LMN_SPAN_ID);
    put_bytes(b, 4, t->span, LMN_SPAN_ID);
    put_text(b, 5, name);
    put_varint(b, 6, KIND_INTERNAL);
    put_fixed(b, 7, from + (uint64_t)wall_ns);
    put_fixed(b, 8, to + (uint64_t)wall_ns);
    end(b, span);
}

static void server_span(lmn_strbuf *b, const lmn_traced *t, int64_t wall_ns)
{
    char name[sizeof t->model + 8];
    (void)lmn_format(name, sizeof name, "infer %s", t->model);
    const lmn_otlp_mark span = begin(b, 2);
    put_bytes(b, 1, t->trace, LMN_TRACE_ID);
    put_bytes(b, 2, t->span, LMN_SPAN_ID);
    if (t->state_n) put_bytes(b, 3, t->state, t->state_n);
    if (t->has_parent) put_bytes(b, 4, t->parent, LMN_SPAN_ID);
    put_text(b, 5, name);
    put_varint(b, 6, KIND_SERVER);
    put_fixed(b, 7, t->began + (uint64_t)wall_ns);
    put_fixed(b, 8, t->ended + (uint64_t)wall_ns);
    attribute_text(b, 9, "lamina.model", t->model);
    attribute_int(b, 9, "lamina.version", t->version_number);
    attribute_int(b, 9, "lamina.rows", (uint64_t)t->rows);
    attribute_text(b, 9, "network.protocol.name", t->rpc ? "grpc" : "http");
    attribute_int(b, 9, "http.request.body.size", t->bytes_in);
    attribute_int(b, 9, "http.response.status_code", t->status);
    if (t->status >= 500) {
        const lmn_otlp_mark status = begin(b, 15);
        put_varint(b, 3, STATUS_ERROR);
        end(b, status);
    }
    end(b, span);
}

void lmn_otlp_spans(lmn_strbuf *b, const lmn_traced *t, int64_t wall_ns)
{
    server_span(b, t, wall_ns);
    stage(b, t, 1, "input", t->submitted ? t->began : 0, t->submitted, wall_ns);
    stage(b, t, 2, "queue", t->started ? t->submitted : 0, t->started, wall_ns);
    stage(b, t, 3, "compute", t->computed ? t->started : 0, t->computed, wall_ns);
    stage(b, t, 4, "output", t->computed, t->ended, wall_ns);
}

/* --- metrics --- */

void lmn_otlp_metrics_begin(lmn_otlp_out *o, lmn_strbuf *b, const char *service, uint64_t start_ns,
                            uint64_t now_ns)
{
    open_scope(o, b, service);
    o->start_ns = start_ns;
    o->now_ns = now_ns;
}

enum { CUMULATIVE = 2 };

/* A family that had no samples is taken out again. */
static void close_metric(lmn_otlp_out *o)
{
    lmn_strbuf *b = o->b;
    if (!o->open) return;
    o->open = false;
    if (!o->some) {
        if (b->status == LAMINA_OK) b->n = o->metric.at - 2; /* its key and its length */
        return;
    }
    if (o->kind != LMN_METRIC_GAUGE) put_varint(b, 2, CUMULATIVE);
    if (o->kind == LMN_METRIC_COUNTER) put_varint(b, 3, 1);
    end(b, o->data);
    end(b, o->metric);
}

/* Units as UCUM has them. */
static const char *unit_of(const char *unit)
{
    if (!unit) return "1";
    return strcmp(unit, "seconds") == 0 ? "s" : strcmp(unit, "bytes") == 0 ? "By" : unit;
}

void lmn_otlp_family(lmn_otlp_out *o, const char *name, lmn_metric_kind kind, const char *unit,
                     const char *help)
{
    static const uint32_t FIELDS[] = {
        [LMN_METRIC_COUNTER] = 7, [LMN_METRIC_GAUGE] = 5, [LMN_METRIC_HISTOGRAM] = 9};
    close_metric(o);
    o->open = true;
    o->some = false;
    o->kind = kind;
    o->metric = begin(o->b, 2);
    put_text(o->b, 1, name);
    put_text(o->b, 2, help);
    put_text(o->b, 3, unit_of(unit));
    o->data = begin(o->b, FIELDS[kind]);
}

/* Labels as metrics.c has them: a="b",c="d", with \", \\ and \n. */
static void attributes(lmn_strbuf *b, uint32_t field, const char *labels)
{
    char value[512];
    while (*labels) {
        const char *name = labels;
        size_t n = 0;
        while (*labels && *labels != '=') labels++;
        const size_t name_n = (size_t)(labels - name);
        if (!labels[0] || labels[1] != '"') return;
        for (labels += 2; *labels && *labels != '"'; labels++) {
            if (*labels == '\\' && labels[1]) labels++;
            if (n < sizeof value)
                value[n++] = *labels == 'n' && labels[-1] == '\\' ? '\n' : *labels;
        }
        attribute(b, field, name, name_n, value, n);
        if (*labels == '"') labels++;
        if (*labels == ',') labels++;
    }
}

static lmn_otlp_mark point(lmn_otlp_out *o)
{
    const lmn_otlp_mark m = begin(o->b, 1);
    if (o->kind != LMN_METRIC_GAUGE) put_fixed(o->b, 2, o->start_ns);
    put_fixed(o->b, 3, o->now_ns);
    o->some = true;
    return m;
}

void lmn_otlp_u64(lmn_otlp_out *o, const char *labels, uint64_t v)
{
    const lmn_otlp_mark m = point(o);
    put_fixed(o->b, 6, v);
    attributes(o->b, 7, labels);
    end(o->b, m);
}

void lmn_otlp_f64(lmn_otlp_out *o, const char *labels, double v)
{
    const lmn_otlp_mark m = point(o);
    put_fixed(o->b, 4, bits_of(v));
    attributes(o->b, 7, labels);
    end(o->b, m);
}

void lmn_otlp_hist(lmn_otlp_out *o, const char *labels, const double *bounds,
                   const uint64_t *counts, uint32_t n, double sum)
{
    const lmn_otlp_mark m = point(o);
    uint64_t total = 0;
    for (uint32_t i = 0; i <= n; i++) total += counts[i];
    put_fixed(o->b, 4, total);
    put_fixed(o->b, 5, bits_of(sum));
    const lmn_otlp_mark c = begin(o->b, 6);
    for (uint32_t i = 0; i <= n; i++) raw64(o->b, counts[i]);
    end(o->b, c);
    const lmn_otlp_mark d = begin(o->b, 7);
    for (uint32_t i = 0; i < n; i++) raw64(o->b, bits_of(bounds[i]));
    end(o->b, d);
    attributes(o->b, 9, labels);
    end(o->b, m);
}

void lmn_otlp_metrics_end(lmn_otlp_out *o)
{
    close_metric(o);
    close_scope(o);
}

/* partial_success { rejected } of either answer. */
uint64_t lmn_otlp_rejected(lmn_span body)
{
    lmn_pb c = lmn_pb_of(body);
    lmn_pb_field f;
    uint64_t n = 0;
    while (lmn_pb_next(&c, &f)) {
        if (f.num != 1 || f.wire != LMN_PB_BYTES) continue;
        lmn_pb inner = lmn_pb_of(f.s);
        lmn_pb_field g;
        while (lmn_pb_next(&inner, &g))
            if (g.num == 1 && g.wire == LMN_PB_VARINT) n = g.u;
        if (inner.bad) return 0;
    }
    return c.bad ? 0 : n;
}
