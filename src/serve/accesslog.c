/*
 * A line of the log for a request that is answered: who asked for what, what became of it and how
 * long each stage took. It goes into the log's ring, from which a collector takes it: no lock, no
 * file, and when the ring is full the line is dropped and counted.
 */
#include "serve/server_int.h"

#include "base/os/os_time.h"
#include "log/logger.h"
#include "log/logrec.h"

#include <string.h>

#define CLOCK_NS UINT64_C(100000000)
#define MAX_REASON_SHOWN 400u
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

/* The system's time, from the clock that requests are timed by: both are read ten times a second.
 */
static uint64_t wall_of(lmn_serve_loop *l, uint64_t now)
{
    if (LMN_UNLIKELY(now - l->wall_at > CLOCK_NS)) {
        l->wall_at = lmn_now_ns();
        l->wall_ahead = lmn_wall_ns() - l->wall_at;
    }
    return now + l->wall_ahead;
}

static uint64_t us_between(uint64_t from, uint64_t to)
{
    return to > from ? (to - from) / 1000u : 0;
}

static void inference(lamina_log_record *rec, const lmn_call *c, uint64_t now)
{
    const lmn_infer *q = &c->infer;
    if (q->id.n) LMN_LOG_STRN(rec, "id", q->id.p, q->id.n < MAX_ID_SHOWN ? q->id.n : MAX_ID_SHOWN);
    LMN_LOG_STR(rec, "model", c->version->sig.model);
    LMN_LOG_U64(rec, "version", c->version->number);
    if (!c->submitted_ns) return;
    LMN_LOG_U64(rec, "rows", (uint64_t)q->rows);
    LMN_LOG_U64(rec, "input_us", us_between(c->began_ns, c->submitted_ns));
    if (!q->started_ns) return;
    LMN_LOG_U64(rec, "queue_us", us_between(c->submitted_ns, q->started_ns));
    LMN_LOG_U64(rec, "compute_us", us_between(q->started_ns, q->computed_ns));
    LMN_LOG_U64(rec, "output_us", us_between(q->computed_ns, now));
}

/* What came with the request; of an inference it is known whether anything did. */
static void trace_of(lamina_log_record *rec, const lmn_http_request *r, const lmn_call *c)
{
    lmn_call_trace read;
    if (c && !c->trace.given) return;
    const lmn_span trace = lmn_http_field_get(r, "traceparent");
    if (trace.n && lmn_traceparent_read(trace, &read))
        LMN_LOG_STRN(rec, "traceparent", trace.p, LMN_TRACEPARENT);
}

static void reason_of(lamina_log_record *rec, const char *reason)
{
    const size_t n = strlen(reason);
    LMN_LOG_STRN(rec, "reason", reason, n < MAX_REASON_SHOWN ? n : MAX_REASON_SHOWN);
}

void lmn_serve_log(lmn_serve_loop *l, const lmn_http_request *r, lmn_route route, uint32_t status,
                   uint64_t now)
{
    static const char *const METHODS[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "?"};
    const lmn_call *c = l->recorded && l->recorded->req == r ? l->recorded : NULL;
    const char *token = token_name(l, r);
    lamina_logger *log = l->server->log;
    lamina_log_record rec;
    lamina_log_begin(&rec, log, LAMINA_LOG_INFO, "request");
    if (!rec.logger) return;
    if (!now) now = lmn_now_ns();
    LMN_LOG_STR(&rec, "method", METHODS[r->method]);
    if (r->path.n)
        LMN_LOG_STRN(&rec, "path", r->path.p,
                     r->path.n < MAX_PATH_SHOWN ? r->path.n : MAX_PATH_SHOWN);
    LMN_LOG_STR(&rec, "route", lmn_route_names[route]);
    LMN_LOG_U64(&rec, "status", status);
    LMN_LOG_U64(&rec, "us", us_between(r->head_ns, now));
    LMN_LOG_U64(&rec, "bytes_in", r->body.n);
    if (l->bytes_out) LMN_LOG_U64(&rec, "bytes_out", l->bytes_out);
    if (r->peer.n) LMN_LOG_STRN(&rec, "peer", r->peer.p, r->peer.n);
    if (*token) LMN_LOG_STR(&rec, "token", token);
    if (c) inference(&rec, c, now);
    trace_of(&rec, r, c);
    if (l->reason)
        reason_of(&rec, l->reason);
    else if (c && status >= 400 && c->infer.error.msg[0])
        reason_of(&rec, c->infer.error.msg);
    (void)lmn_logger_put(log, &rec, wall_of(l, now));
}
