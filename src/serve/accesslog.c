/*
 * A line of the log for a request that is answered: who asked for what, what became of it and how
 * long each stage took. It goes into the log's ring, from which a collector takes it: no lock, no
 * file, and when the ring is full the line is dropped and counted.
 */
#include "serve/server_int.h"

#define MAX_PATH_SHOWN 512u
#define MAX_ID_SHOWN 128u

/* The table of tokens and the place in it, as one word: a request may outlive the table. */
void lmn_token_note(const lmn_serve_loop *l, lmn_http_request *r, const lmn_token *t)
{
    const uintptr_t i = (uintptr_t)(t - l->tokens->token);
    r->user = (void *)((uintptr_t)l->tokens << 10 |
                       i); /* addresses have 47 bits, there are 1024 tokens at most */
}

static const char *token_name(const lmn_serve_loop *l, const lmn_http_request *r)
{
    const uintptr_t word = (uintptr_t)r->user;
    if (!word || !l->tokens || word >> 10 != (uintptr_t)l->tokens) return "";
    return l->tokens->token[word & 1023u].name;
}

static void put_span(lamina_log_record *rec, const char *key, lmn_span s, size_t most)
{
    if (s.n) lamina_log_strn(rec, key, s.p, s.n < most ? s.n : most);
}

static void stage(lamina_log_record *rec, const char *key, uint64_t from, uint64_t to)
{
    if (from && to >= from) lamina_log_u64(rec, key, (to - from) / 1000u);
}

static void inference(lamina_log_record *rec, const lmn_call *c, uint64_t now)
{
    const lmn_infer *q = &c->infer;
    put_span(rec, "id", q->id, MAX_ID_SHOWN);
    lamina_log_str(rec, "model", c->version->sig.model);
    lamina_log_u64(rec, "version", c->version->number);
    if (!c->submitted_ns) return;
    lamina_log_u64(rec, "rows", (uint64_t)q->rows);
    stage(rec, "input_us", c->began_ns, c->submitted_ns);
    if (!q->started_ns) return;
    stage(rec, "queue_us", c->submitted_ns, q->started_ns);
    stage(rec, "compute_us", q->started_ns, q->computed_ns);
    stage(rec, "output_us", q->computed_ns, now);
}

void lmn_serve_log(lmn_serve_loop *l, const lmn_http_request *r, lmn_route route, uint32_t status,
                   uint64_t now)
{
    static const char *const METHODS[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "?"};
    const lmn_call *c = l->recorded && l->recorded->req == r ? l->recorded : NULL;
    const char *token = token_name(l, r);
    lamina_log_record rec;
    lamina_log_begin(&rec, l->server->log, LAMINA_LOG_INFO, "request");
    lamina_log_str(&rec, "method", METHODS[r->method]);
    put_span(&rec, "path", r->path, MAX_PATH_SHOWN);
    lamina_log_str(&rec, "route", lmn_route_names[route]);
    lamina_log_u64(&rec, "status", status);
    lamina_log_u64(&rec, "us", now > r->head_ns ? (now - r->head_ns) / 1000u : 0);
    lamina_log_u64(&rec, "bytes_in", r->body.n);
    if (l->bytes_out) lamina_log_u64(&rec, "bytes_out", l->bytes_out);
    put_span(&rec, "peer", r->peer, r->peer.n);
    if (*token) lamina_log_str(&rec, "token", token);
    if (c) inference(&rec, c, now);
    const lmn_span trace = lmn_http_field_get(r, "traceparent");
    lmn_call_trace read;
    if (trace.n && lmn_traceparent_read(trace, &read))
        lamina_log_strn(&rec, "traceparent", trace.p, LMN_TRACEPARENT);
    if (l->reason)
        lamina_log_str(&rec, "reason", l->reason);
    else if (c && status >= 400 && c->infer.error.msg[0])
        lamina_log_str(&rec, "reason", c->infer.error.msg);
    (void)lamina_log_end(&rec);
}
