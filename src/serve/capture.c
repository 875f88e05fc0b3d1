/*
 * GET /v2/admin/trace?seconds=S[&level=L]: what the engine does for so long (runs, nodes, chunks),
 * as Trace Event Format that Perfetto and Chrome show. A thread raises the level of the engine's
 * trace, empties its lanes every few milliseconds and lowers the level again; one at a time, in
 * bounded time and memory. Requests are served meanwhile.
 */
#include "serve/server_int.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "base/text.h"
#include "trace/trace_watch.h"

#include <stddef.h>
#include <string.h>

#define MAX_SECONDS 60
#define MAX_BYTES ((size_t)32 << 20)
#define LOOK_NS ((uint64_t)10000000)

typedef struct capture {
    lmn_http_task task;
    lmn_serve_loop *home;
    lmn_http_request *req;
    lamina_trace *trace;
    uint64_t ns;
    uint32_t level;
    lmn_thread thread;
    lamina_status status;
    lamina_error error;
    lmn_strbuf text;
    lmn_jsonw json;
    uint64_t n_events;
    bool full; /* later events were left out */
} capture;

/* --- the thread --- */

static void argument(lmn_jsonw *w, const lamina_trace_arg *a)
{
    switch (a->type) {
    case 'u': lmn_jsonw_u64(w, a->name, a->value.u); break;
    case 'i': lmn_jsonw_i64(w, a->name, a->value.i); break;
    case 'f': lmn_jsonw_f64(w, a->name, a->value.f); break;
    default: lmn_jsonw_str(w, a->name, a->value.s);
    }
}

/* Waits may have begun in another thread, so they would not nest: left out, as are values. */
static void event(capture *c, const lamina_trace_event *e)
{
    lmn_jsonw *w = &c->json;
    if (e->kind != LAMINA_TRACE_SPAN && e->kind != LAMINA_TRACE_MARK) return;
    if (c->full || c->text.n > MAX_BYTES) {
        c->full = true;
        return;
    }
    c->n_events++;
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", e->name);
    lmn_jsonw_str(w, "cat", e->category);
    lmn_jsonw_str(w, "ph", e->kind == LAMINA_TRACE_SPAN ? "X" : "i");
    lmn_jsonw_f64(w, "ts", (double)e->time_ns * 1e-3);
    if (e->kind == LAMINA_TRACE_SPAN) lmn_jsonw_f64(w, "dur", (double)e->dur_ns * 1e-3);
    lmn_jsonw_u64(w, "pid", 1);
    lmn_jsonw_u64(w, "tid", e->tid);
    lmn_jsonw_object(w, "args");
    for (uint32_t i = 0; i < e->n_args; i++) argument(w, &e->args[i]);
    lmn_jsonw_end(w);
    lmn_jsonw_end(w);
}

/* Events that came up to now; `keep`: into the answer. */
static lamina_status take_events(capture *c, lamina_trace_reader *r, bool keep)
{
    lamina_trace_event e = {.size = sizeof e};
    LMN_TRY(lamina_trace_poll(r, &c->error));
    while (keep && lamina_trace_next(r, &e) == LAMINA_OK) event(c, &e);
    return LAMINA_OK;
}

static lamina_status watch(capture *c, lamina_trace_reader *r)
{
    lamina_server *s = c->home->server;
    lamina_trace_info before = {.size = sizeof before}, after = {.size = sizeof after};
    LMN_TRY(take_events(c, r, false)); /* what was before */
    LMN_TRY(lamina_trace_get_info(r, &before));
    const double was = lmn_trace_level_swap(c->trace, c->level);
    const uint64_t until = lmn_now_ns() + c->ns;
    lamina_status st = LAMINA_OK;
    while (st == LAMINA_OK && lmn_now_ns() < until && !lmn_atomic_load(&s->no_capture, acquire)) {
        lmn_futex_wait(&s->no_capture, 0, LOOK_NS);
        st = take_events(c, r, true);
    }
    (void)lmn_trace_level_swap(c->trace, was);
    LMN_TRY(st);
    LMN_TRY(lamina_trace_get_info(r, &after));
    lmn_jsonw_end(&c->json);
    lmn_jsonw_object(&c->json, "otherData");
    lmn_jsonw_u64(&c->json, "events", c->n_events);
    lmn_jsonw_u64(&c->json, "lost", after.n_lost - before.n_lost);
    lmn_jsonw_bool(&c->json, "truncated", c->full);
    lmn_jsonw_end(&c->json);
    lmn_jsonw_end(&c->json);
    return c->text.status;
}

static void answer(lmn_http_task *task, lmn_http_loop *loop)
{
    capture *c = (capture *)(void *)((uint8_t *)task - offsetof(capture, task));
    lmn_serve_loop *l = c->home;
    lamina_server *s = l->server;
    (void)loop;
    lmn_thread_join(&c->thread); /* it has nothing more to do */
    if (c->status == LAMINA_OK) {
        lmn_strbuf_reset(&l->text);
        lmn_strbuf_add(&l->text, c->text.p, c->text.n);
        lmn_serve_text(l, c->req, LMN_ROUTE_SERVER, "application/json");
    } else {
        lmn_serve_error(l, c->req, LMN_ROUTE_SERVER, 500,
                        c->error.msg[0] ? c->error.msg : "out of memory", 0);
    }
    lmn_strbuf_finish(&c->text);
    lmn_cfree(s->alloc, c, 1, sizeof *c, "capture");
    lmn_atomic_store(&s->capturing, 0, release);
    (void)lmn_atomic_sub(&s->jobs, 1, release);
}

static void *run(void *arg)
{
    capture *c = arg;
    lamina_trace_reader *r = NULL;
    char path[64];
    (void)lmn_format(path, sizeof path, "/proc/self/fd/%d", lmn_trace_fd(c->trace));
    lmn_jsonw_init(&c->json, &c->text, 0);
    lmn_jsonw_object(&c->json, NULL);
    lmn_jsonw_array(&c->json, "traceEvents");
    c->status = lamina_trace_open(path, c->home->server->alloc, &r, &c->error);
    if (c->status == LAMINA_OK) c->status = watch(c, r);
    lamina_trace_close(r);
    c->task.run = answer;
    lmn_http_post(c->home->loop, &c->task);
    return NULL;
}

/* --- the request --- */

/* "seconds=S", "level=L", in any order; what is not said stays. */
static bool read_query(lmn_span q, int64_t *seconds, int64_t *level)
{
    while (q.n) {
        const uint8_t *end = memchr(q.p, '&', q.n);
        const size_t n = end ? (size_t)(end - q.p) : q.n;
        const bool is_s = n > 8 && memcmp(q.p, "seconds=", 8) == 0;
        const bool is_l = n > 6 && memcmp(q.p, "level=", 6) == 0;
        if (is_s ? !lmn_parse_i64(q.p + 8, n - 8, seconds)
                 : !is_l || !lmn_parse_i64(q.p + 6, n - 6, level))
            return false;
        q.p += n + (end != NULL);
        q.n -= n + (end != NULL);
    }
    return *seconds >= 1 && *seconds <= MAX_SECONDS && *level >= LAMINA_TRACE_LEVEL_RUNS &&
           *level <= LAMINA_TRACE_LEVEL_CHUNKS;
}

static void refuse(lmn_serve_loop *l, lmn_http_request *r, uint32_t status, const char *why)
{
    lmn_serve_error(l, r, LMN_ROUTE_SERVER, status, why, status == 503 ? 1 : 0);
}

void lmn_capture_request(lmn_serve_loop *l, lmn_http_request *r)
{
    lamina_server *s = l->server;
    int64_t seconds = 1, level = LAMINA_TRACE_LEVEL_NODES;
    if (r->listener != s->admin) {
        refuse(l, r, 403, "the engine is watched on the admin address only");
        return;
    }
    if (!read_query(r->query, &seconds, &level)) {
        refuse(l, r, 400, "the query is seconds=1..60 and level=1..3: runs, nodes, chunks");
        return;
    }
    lamina_trace *t = s->engine->slot[LMN_SLOT_TRACE].ptr;
    if (!t) {
        refuse(l, r, 501, "this server's engine has no trace");
        return;
    }
    if (lmn_atomic_exchange(&s->capturing, 1, acq_rel)) {
        refuse(l, r, 503, "somebody else is watching the engine: one at a time");
        return;
    }
    capture *c = lmn_calloc(s->alloc, 1, sizeof *c, "capture");
    if (c) {
        c->home = l;
        c->req = r;
        c->trace = t;
        c->ns = (uint64_t)seconds * 1000000000u;
        c->level = (uint32_t)level;
        lmn_strbuf_init(&c->text, s->alloc, LMN_SERVE_TEXT_MAX - 1);
        (void)lmn_atomic_add(&s->jobs, 1, relaxed);
        if (lmn_thread_start(&c->thread, run, c) == LAMINA_OK) return;
        (void)lmn_atomic_sub(&s->jobs, 1, relaxed);
        lmn_cfree(s->alloc, c, 1, sizeof *c, "capture");
    }
    lmn_atomic_store(&s->capturing, 0, release);
    refuse(l, r, 503, "out of memory");
}

void lmn_capture_end(lamina_server *s)
{
    lmn_atomic_store(&s->no_capture, 1, release);
    lmn_futex_wake(&s->no_capture, 1);
}
