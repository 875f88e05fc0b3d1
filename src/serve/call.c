/*
 * An inference over HTTP: read by the codec, submitted to its model, answered on the loop that read
 * it. A small model is run by the loop itself at the end of its turn, with all that came in it; a
 * large one answers from a thread of its own, which posts the call back.
 *
 * A call is free again when its answer's bytes were released: till then its tensors and its arena
 * are what is being sent.
 */
#include "serve/server_int.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "base/text.h"
#include "serve/kserve.h"

#include <stddef.h>
#include <string.h>

/* Refusals that follow each other so soon are overload, which lasts so long after the last. */
#define CROWDED_GAP_NS UINT64_C(2000000)
#define CROWDED_NS UINT64_C(20000000)
/* Answers wait for others a part of what the first of them has waited already, and at most so long.
 */
#define HOLD_PART 4
#define HOLD_MOST_NS UINT64_C(8000000)
#define CALL_ARENA_MAX ((size_t)1 << 30) /* the body is bounded before */

static bool same_name(lmn_span a, const char *lower, size_t n)
{
    if (a.n != n) return false;
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = a.p[i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != (uint8_t)lower[i]) return false;
    }
    return true;
}

lmn_call *lmn_call_take(lmn_serve_loop *l)
{
    lmn_call *c = l->spare;
    if (c) {
        l->spare = c->next;
    } else {
        c = lmn_calloc(l->server->alloc, 1, sizeof *c, "serve call");
        if (!c) return NULL;
        lmn_arena_init(&c->arena, l->server->alloc, CALL_ARENA_MAX);
        (void)lmn_arena_bump(&c->arena, 16, 16);
        c->empty = lmn_arena_mark_here(&c->arena);
        c->home = l;
    }
    memset(&c->infer, 0, offsetof(lmn_infer, error));
    c->infer.error.msg[0] = 0;
    lmn_count(&l->open_calls, 1);
    return c;
}

void lmn_call_give(lmn_call *c)
{
    lmn_serve_loop *l = c->home;
    if (l->recorded == c) l->recorded = NULL;
    for (uint32_t i = 0; i < c->infer.n_result; i++) lamina_tensor_unref(c->infer.result[i]);
    if (c->infer.lent) lmn_lent_let_go(c->infer.lent);
    c->infer.n_result = 0;
    lmn_arena_rewind(&c->arena, c->empty);
    if (c->version) lmn_version_unref(c->version);
    c->version = NULL;
    c->next = l->spare;
    l->spare = c;
    lmn_atomic_store(&l->open_calls, lmn_atomic_load(&l->open_calls, relaxed) - 1, release);
}

void lmn_call_free_all(lmn_serve_loop *l)
{
    for (uint32_t i = 0; i < l->n_pending; i++) lmn_version_unref(l->pending[i].version);
    lmn_free(l->server->alloc, l->pending, l->cap_pending * sizeof *l->pending, 16, "serve");
    while (l->spare) {
        lmn_call *c = l->spare;
        l->spare = c->next;
        lmn_arena_finish(&c->arena);
        lmn_cfree(l->server->alloc, c, 1, sizeof *c, "serve call");
    }
}

/* --- the answer --- */

uint32_t lmn_call_status(const lmn_infer *r, bool read)
{
    switch (r->status) {
    case LAMINA_E_NOMEM: return 503;
    case LAMINA_E_TIMEOUT: return r->started_ns ? 504 : 503;
    case LAMINA_E_BUSY:
    case LAMINA_E_CLOSED: return 503;
    case LAMINA_E_LIMIT: return read ? 400 : 503;
    case LAMINA_E_CANCELLED: return r->gone && lmn_atomic_load(r->gone, relaxed) ? 499 : 503;
    case LAMINA_E_INVALID:
    case LAMINA_E_RANGE:
    case LAMINA_E_SHAPE:
    case LAMINA_E_DTYPE:
    case LAMINA_E_PARSE:
    case LAMINA_E_PROTO:
    case LAMINA_E_UNSUPPORTED: return 400;
    default: return 500;
    }
}

static lmn_outcome outcome(uint32_t status)
{
    switch (status) {
    case 200: return LMN_OUTCOME_OK;
    case 400: return LMN_OUTCOME_INVALID;
    case 503: return LMN_OUTCOME_REFUSED;
    case 499: return LMN_OUTCOME_CANCELLED;
    default: return LMN_OUTCOME_FAILED;
    }
}

static uint64_t between(uint64_t from, uint64_t to)
{
    return from && to > from ? to - from : 0;
}

void lmn_call_record(lmn_call *c, uint32_t status, uint64_t now)
{
    const lmn_infer *r = &c->infer;
    lmn_version_shard *s = &c->version->shards[c->home->index];
    c->home->recorded = c;
    lmn_trace_end(c, status, now);
    lmn_count(&s->outcome[outcome(status)], 1);
    if (status != 200) return;
    lmn_hist_add(&s->stage[LMN_STAGE_INPUT], between(c->began_ns, c->submitted_ns));
    lmn_hist_add(&s->stage[LMN_STAGE_QUEUE], between(c->submitted_ns, r->started_ns));
    lmn_hist_add(&s->stage[LMN_STAGE_COMPUTE], between(r->started_ns, r->computed_ns));
    lmn_hist_add(&s->stage[LMN_STAGE_OUTPUT], between(r->computed_ns, now));
    lmn_hist_add(&s->stage[LMN_STAGE_TOTAL], between(c->began_ns, now));
    lmn_count(&s->rows, (uint64_t)r->rows);
}

/* Server-Timing: milliseconds of every stage. */
static lmn_http_field timing(const lmn_call *c, uint64_t now, char *buf, size_t cap)
{
    const lmn_infer *r = &c->infer;
    const uint64_t at[] = {c->began_ns, c->submitted_ns, r->started_ns, r->computed_ns, now};
    static const char *const NAMES[] = {"input", "queue", "compute", "output"};
    size_t n = 0;
    for (size_t i = 0; i < LMN_COUNT(NAMES); i++) {
        const uint64_t us = between(at[i], at[i + 1]) / 1000u;
        n += lmn_format(buf + n, cap - n, "%s%s;dur=%llu.%03llu", i ? ", " : "", NAMES[i],
                        (unsigned long long)(us / 1000u), (unsigned long long)(us % 1000u));
    }
    return (lmn_http_field){{(const uint8_t *)"Server-Timing", 13}, {(const uint8_t *)buf, n}};
}

void lmn_call_released(void *ctx, lmn_span bytes)
{
    lmn_call *c = ctx;
    (void)bytes;
    if (--c->pieces == 0) lmn_call_give(c);
}

static size_t decimal(char buf[24], uint64_t v)
{
    char *p = buf + 24;
    do *--p = (char)('0' + v % 10);
    while (v /= 10);
    const size_t n = (size_t)(buf + 24 - p);
    memmove(buf, p, n);
    return n;
}

static void fail(lmn_call *c, bool read)
{
    const lmn_infer *r = &c->infer;
    const uint32_t status = lmn_call_status(r, read);
    const char *why = r->error.msg[0] ? r->error.msg : lamina_status_text(r->status);
    lmn_call_record(c, status, 0);
    lmn_serve_error(c->home, c->req, LMN_ROUTE_INFER, status, why, r->retry_after_s);
    lmn_call_give(c);
}

static void succeed(lmn_call *c)
{
    lmn_span bytes[1 + LMN_INFER_MAX_PORTS];
    lmn_http_piece pieces[1 + LMN_INFER_MAX_PORTS];
    lmn_http_field fields[3];
    char json_text[24], timing_text[160], trace_text[LMN_TRACEPARENT];
    lmn_http_answer a = {.status = 200,
                         .content_type = "application/json",
                         .fields = fields,
                         .close = lmn_serve_closing(c->home)};
    int64_t json_bytes = -1;
    c->infer.status = lmn_kserve_write(&c->version->sig, &c->infer, &c->arena, bytes, &a.n_pieces,
                                       &json_bytes, &c->infer.error);
    if (c->infer.status != LAMINA_OK) {
        fail(c, false);
        return;
    }
    if (json_bytes >= 0) {
        a.content_type = "application/octet-stream";
        fields[a.n_fields++] = (lmn_http_field){
            {(const uint8_t *)"Inference-Header-Content-Length", 31},
            {(const uint8_t *)json_text, decimal(json_text, (uint64_t)json_bytes)}};
    }
    const uint64_t now = lmn_now_ns();
    if (c->wants_timing) fields[a.n_fields++] = timing(c, now, timing_text, sizeof timing_text);
    if (c->trace.given) {
        lmn_traceparent_write(&c->trace, trace_text);
        fields[a.n_fields++] = (lmn_http_field){{(const uint8_t *)"traceparent", 11},
                                                {(const uint8_t *)trace_text, LMN_TRACEPARENT}};
    }
    c->home->bytes_out = 0;
    for (uint32_t i = 0; i < a.n_pieces; i++) {
        pieces[i] = (lmn_http_piece){bytes[i], lmn_call_released, c};
        c->home->bytes_out += bytes[i].n;
    }
    a.pieces = pieces;
    c->pieces = a.n_pieces + 1;
    lmn_call_record(c, 200, now);
    lmn_serve_counted(c->home, c->req, LMN_ROUTE_INFER, 200, now);
    lmn_http_reply(c->req, &a);
    lmn_call_released(c, (lmn_span){0});
}

static void finish(lmn_call *c)
{
    if (c->rpc)
        lmn_rpc_finish(c);
    else if (c->infer.status == LAMINA_OK)
        succeed(c);
    else
        fail(c, false);
}

static void finish_posted(lmn_http_task *task, lmn_http_loop *loop)
{
    (void)loop;
    finish((lmn_call *)task);
}

static void done(lmn_infer *r)
{
    lmn_call *c = r->user;
    if (c->home->thread == lmn_thread_key()) {
        finish(c);
    } else {
        c->task.run = finish_posted;
        if (r->next && r->next->done == done && ((lmn_call *)r->next->user)->home == c->home)
            lmn_http_post_more(c->home->loop, &c->task);
        else
            lmn_http_post(c->home->loop, &c->task);
    }
}

/* --- the request --- */

/* What its fields say to us. False: refused, the sentence is in *err. */
static bool read_fields(lmn_call *c, const lmn_http_request *r, int64_t *json_bytes,
                        lamina_error *err)
{
    *json_bytes = -1;
    for (uint32_t i = 0; i < r->n_fields; i++) {
        const lmn_span name = r->fields[i].name, value = r->fields[i].value;
        if (same_name(name, "inference-header-content-length", 31)) {
            if (*json_bytes >= 0 || !value.n || value.p[0] == '-' ||
                !lmn_parse_i64(value.p, value.n, json_bytes) || *json_bytes > (int64_t)r->body.n) {
                (void)lmn_fail(err, LAMINA_E_INVALID,
                               "Inference-Header-Content-Length must be a number of bytes, at most "
                               "those of the body, and stand there once");
                return false;
            }
        } else if (same_name(name, "content-encoding", 16)) {
            if (!same_name(value, "identity", 8)) {
                (void)lmn_fail(err, LAMINA_E_UNSUPPORTED,
                               "a body with a Content-Encoding is not taken: send it as it is");
                return false;
            }
        } else if (same_name(name, "prefer", 6)) {
            c->wants_timing = same_name(value, "server-timing", 13);
        }
    }
    return true;
}

/* It is run, or its instances are woken, at the end of this turn. */
static bool remember(lmn_serve_loop *l, lmn_version *v)
{
    for (uint32_t i = 0; i < l->n_pending; i++)
        if (l->pending[i].version == v) {
            l->pending[i].due = 0;
            return true;
        }
    void *grown = l->pending;
    if (lmn_grow(l->server->alloc, &grown, &l->cap_pending, l->n_pending + 1, 1 << 16,
                 sizeof *l->pending, "serve") != LAMINA_OK)
        return false;
    l->pending = grown;
    l->pending[l->n_pending++] = (lmn_pending){lmn_version_ref(v), 0};
    return true;
}

lmn_infer *lmn_call_aim(lmn_call *c, lmn_http_request *r, lmn_version *v)
{
    lmn_infer *q = &c->infer;
    c->req = r;
    c->version = lmn_version_ref(v);
    c->began_ns = r->head_ns;
    c->submitted_ns = 0;
    c->wants_timing = c->rpc = false;
    lmn_trace_begin(c);
    q->lent = LMN_UNLIKELY(r->local) && lmn_lent_view_of(c->home, r, &c->lent) ? &c->lent : NULL;
    q->model = v->model;
    q->gone = &r->gone;
    q->done = done;
    q->user = c;
    return q;
}

static void note_refusal(lmn_serve_loop *l, uint64_t now)
{
    if (now - l->refused_ns < CROWDED_GAP_NS) l->crowded_until = now + CROWDED_NS;
    l->refused_ns = now;
    l->n_refused++;
}

bool lmn_call_submit(lmn_call *c)
{
    lmn_version *v = c->version;
    const uint64_t now = lmn_now_ns();
    c->infer.arrived_ns = c->submitted_ns = now;
    /* once it is taken in, another loop's turn may be running it: it is not ours to write any more
     */
    const lamina_status st =
        remember(c->home, v) ? lmn_model_submit(v->model, &c->infer, now) : LAMINA_E_NOMEM;
    if (st == LAMINA_E_LIMIT) note_refusal(c->home, now);
    if (st != LAMINA_OK) c->infer.status = st;
    return st == LAMINA_OK;
}

/* What overload costs is what refusing costs: so it is done by the head of the request alone, and
 * nothing of it is read, taken or formatted that need not be. */
bool lmn_call_turn_away(lmn_serve_loop *l, lmn_http_request *r, lmn_version *v)
{
    static const char TEXT[] = "{\"error\":\"the queue of the model is full\"}";
    char seconds[24];
    uint32_t retry_after_s;
    if (!lmn_model_turns_away(v->model, &retry_after_s)) return false;
    note_refusal(l, r->head_ns);
    lmn_count(&v->shards[l->index].outcome[LMN_OUTCOME_REFUSED], 1);
    const lmn_serve_answer a = {
        .status = 503,
        .route = LMN_ROUTE_INFER,
        .type = "application/json",
        .fields = {{{(const uint8_t *)"Retry-After", 11},
                    {(const uint8_t *)seconds, decimal(seconds, retry_after_s)}}},
        .n_fields = 1,
        .body = {(const uint8_t *)TEXT, sizeof TEXT - 1}};
    lmn_serve_reply(l, r, &a);
    return true;
}

void lmn_call_begin(lmn_serve_loop *l, lmn_http_request *r, lmn_version *v)
{
    lmn_call *c = lmn_call_take(l);
    int64_t json_bytes;
    if (!c) {
        lmn_serve_error(l, r, LMN_ROUTE_INFER, 503, "out of memory", 1);
        return;
    }
    lmn_infer *q = lmn_call_aim(c, r, v);
    if (!read_fields(c, r, &json_bytes, &q->error)) {
        q->status = q->error.status;
        if (q->status == LAMINA_E_UNSUPPORTED) {
            lmn_call_record(c, 400, 0);
            lmn_serve_error(l, r, LMN_ROUTE_INFER, 415, q->error.msg, 0);
            lmn_call_give(c);
        } else {
            fail(c, true);
        }
        return;
    }
    q->status = lmn_kserve_read(&v->sig, r->body, json_bytes, &c->arena, q, &q->error);
    if (q->status != LAMINA_OK) {
        fail(c, true);
        return;
    }
    if (!lmn_call_submit(c)) fail(c, false);
}

bool lmn_call_holds(uint64_t *until, const lmn_model_here *here, uint64_t end)
{
    if (here->more && !*until) {
        const uint64_t part = here->waited_ns / HOLD_PART;
        *until = end + (part < HOLD_MOST_NS ? part : HOLD_MOST_NS);
    }
    if (here->more && end + here->ran_ns <= *until) return true;
    *until = 0;
    return false;
}

/* A turn by a loop that has nothing else to do. */
static uint64_t turn_idle(lmn_serve_loop *l, lmn_model *m, uint64_t now)
{
    lmn_model_here here;
    lmn_http_hold(l->loop, true);
    const uint64_t due = lmn_model_turn_idle(m, now, &here);
    if (!lmn_call_holds(&l->hold_until, &here, here.more ? lmn_now_ns() : 0))
        lmn_http_hold(l->loop, false);
    return due;
}

uint64_t lmn_call_turn(lmn_serve_loop *l)
{
    uint64_t soonest = UINT64_MAX;
    l->settled = l->n_pending > 0;
    lmn_http_hold(l->loop, false);
    if (!l->n_pending) {
        l->hold_until = 0;
        return soonest;
    }
    const uint64_t now = lmn_now_ns();
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->n_pending; i++) {
        lmn_pending p = l->pending[i];
        if (p.version != l->busy_with) l->lively_ns = now;
        l->busy_with = p.version;
        const bool idle = l->n_pending == 1 && lmn_serve_idle(l, now);
        if (!idle) l->hold_until = 0;
        if (p.due <= now)
            p.due =
                idle ? turn_idle(l, p.version->model, now) : lmn_model_turn(p.version->model, now);
        l->settled = l->settled && lmn_model_settled(p.version->model);
        if (p.due == UINT64_MAX) {
            lmn_version_unref(p.version);
            continue;
        }
        if (p.due < soonest) soonest = p.due;
        l->pending[kept++] = p;
    }
    l->n_pending = kept;
    return soonest;
}
