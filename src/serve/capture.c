/*
 * GET /v2/admin/trace?seconds=S[&level=L]: what the engine does for so long (runs, nodes, chunks),
 * as Trace Event Format that Perfetto and Chrome show. A thread raises the level of the engine's
 * trace, empties its lanes every few milliseconds and lowers the level again; one at a time, in
 * bounded time and memory. Requests are served meanwhile. GET /v2/admin/profile?seconds=S comes in
 * here too; what its thread does is profiling.c's.
 */
#include "serve/capture.h"

#include "base/os/os_time.h"
#include "base/text.h"
#include "trace/trace_watch.h"

#include <stddef.h>
#include <string.h>

#define MAX_SECONDS 60
#define MAX_BYTES ((size_t)32 << 20)
#define LOOK_NS ((uint64_t)10000000)

/* Of a trace, on the stack of its thread. */
typedef struct trace_watch {
    lmn_capture *c;
    lmn_jsonw json;
    uint64_t n_events;
    bool full; /* later events were left out */
} trace_watch;

/* --- the thread --- */

bool lmn_capture_wait(lmn_capture *c, uint64_t until, uint64_t step_ns)
{
    lamina_server *s = c->home->server;
    const uint64_t now = lmn_now_ns();
    if (now >= until || lmn_atomic_load(&s->no_capture, acquire)) return false;
    lmn_futex_wait(&s->no_capture, 0, until - now < step_ns ? until - now : step_ns);
    return true;
}

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
static void event(trace_watch *t, const lamina_trace_event *e)
{
    lmn_jsonw *w = &t->json;
    if (e->kind != LAMINA_TRACE_SPAN && e->kind != LAMINA_TRACE_MARK) return;
    if (t->full || t->c->text.n > MAX_BYTES) {
        t->full = true;
        return;
    }
    t->n_events++;
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
static lamina_status take_events(trace_watch *t, lamina_trace_reader *r, bool keep)
{
    lamina_trace_event e = {.size = sizeof e};
    LMN_TRY(lamina_trace_poll(r, &t->c->error));
    while (keep && lamina_trace_next(r, &e) == LAMINA_OK) event(t, &e);
    return LAMINA_OK;
}

static lamina_status watch_events(lmn_capture *c, lamina_trace_reader *r)
{
    trace_watch t = {.c = c};
    lamina_trace_info before = {.size = sizeof before}, after = {.size = sizeof after};
    lmn_jsonw_init(&t.json, &c->text, 0);
    lmn_jsonw_object(&t.json, NULL);
    lmn_jsonw_array(&t.json, "traceEvents");
    LMN_TRY(take_events(&t, r, false)); /* what was before */
    LMN_TRY(lamina_trace_get_info(r, &before));
    const double was = lmn_trace_level_swap(c->trace, c->level);
    const uint64_t until = lmn_now_ns() + c->ns;
    lamina_status st = LAMINA_OK;
    while (st == LAMINA_OK && lmn_capture_wait(c, until, LOOK_NS)) st = take_events(&t, r, true);
    (void)lmn_trace_level_swap(c->trace, was);
    LMN_TRY(st);
    LMN_TRY(lamina_trace_get_info(r, &after));
    lmn_jsonw_end(&t.json);
    lmn_jsonw_object(&t.json, "otherData");
    lmn_jsonw_u64(&t.json, "events", t.n_events);
    lmn_jsonw_u64(&t.json, "lost", after.n_lost - before.n_lost);
    lmn_jsonw_bool(&t.json, "truncated", t.full);
    lmn_jsonw_end(&t.json);
    lmn_jsonw_end(&t.json);
    return c->text.status;
}

lamina_status lmn_capture_reader(lmn_capture *c, lamina_trace_reader **out)
{
    char path[64];
    (void)lmn_format(path, sizeof path, "/proc/self/fd/%d", lmn_trace_fd(c->trace));
    return lamina_trace_open(path, c->home->server->alloc, out, &c->error);
}

static lamina_status trace_events(lmn_capture *c)
{
    lamina_trace_reader *r = NULL;
    lamina_status st = lmn_capture_reader(c, &r);
    if (st == LAMINA_OK) st = watch_events(c, r);
    lamina_trace_close(r);
    return st;
}

static void answer(lmn_http_task *task, lmn_http_loop *loop)
{
    lmn_capture *c = (lmn_capture *)(void *)((uint8_t *)task - offsetof(lmn_capture, task));
    lmn_serve_loop *l = c->home;
    lamina_server *s = l->server;
    (void)loop;
    lmn_thread_join(&c->thread); /* it has nothing more to do */
    if (c->status == LAMINA_OK) {
        lmn_strbuf_reset(&l->text);
        lmn_strbuf_add(&l->text, c->text.p, c->text.n);
        lmn_serve_text(l, c->req, LMN_ROUTE_SERVER, c->type);
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
    lmn_capture *c = arg;
    c->status = c->watch(c);
    c->task.run = answer;
    lmn_http_post(c->home->loop, &c->task);
    return NULL;
}

/* --- the request --- */

/* "seconds=S" and, unless that is NULL, "level=L", in any order; what is not said stays. */
static bool read_query(lmn_span q, int64_t *seconds, int64_t *level)
{
    while (q.n) {
        const uint8_t *end = memchr(q.p, '&', q.n);
        const size_t n = end ? (size_t)(end - q.p) : q.n;
        const bool is_s = n > 8 && memcmp(q.p, "seconds=", 8) == 0;
        const bool is_l = level && n > 6 && memcmp(q.p, "level=", 6) == 0;
        if (is_s ? !lmn_parse_i64(q.p + 8, n - 8, seconds)
                 : !is_l || !lmn_parse_i64(q.p + 6, n - 6, level))
            return false;
        q.p += n + (end != NULL);
        q.n -= n + (end != NULL);
    }
    if (*seconds < 1 || *seconds > MAX_SECONDS) return false;
    return !level || (*level >= LAMINA_TRACE_LEVEL_RUNS && *level <= LAMINA_TRACE_LEVEL_CHUNKS);
}

static void refuse(lmn_serve_loop *l, lmn_http_request *r, uint32_t status, const char *why)
{
    lmn_serve_error(l, r, LMN_ROUTE_SERVER, status, why, status == 503 ? 1 : 0);
}

static void begin(lmn_serve_loop *l, lmn_http_request *r, const lmn_capture *what)
{
    lamina_server *s = l->server;
    if (lmn_atomic_exchange(&s->capturing, 1, acq_rel)) {
        refuse(l, r, 503, "somebody else is watching the server: one at a time");
        return;
    }
    lmn_capture *c = lmn_calloc(s->alloc, 1, sizeof *c, "capture");
    if (c) {
        *c = *what;
        c->home = l;
        c->req = r;
        lmn_strbuf_init(&c->text, s->alloc, LMN_SERVE_TEXT_MAX - 1);
        (void)lmn_atomic_add(&s->jobs, 1, relaxed);
        if (lmn_thread_start(&c->thread, run, c) == LAMINA_OK) return;
        (void)lmn_atomic_sub(&s->jobs, 1, relaxed);
        lmn_cfree(s->alloc, c, 1, sizeof *c, "capture");
    }
    lmn_atomic_store(&s->capturing, 0, release);
    refuse(l, r, 503, "out of memory");
}

void lmn_capture_request(lmn_serve_loop *l, lmn_http_request *r, bool profile)
{
    const lamina_server *s = l->server;
    int64_t seconds = profile ? 10 : 1, level = LAMINA_TRACE_LEVEL_NODES;
    lmn_capture c = {.trace = s->engine->slot[LMN_SLOT_TRACE].ptr};
    if (r->listener != s->admin) {
        refuse(l, r, 403, "the server is watched on the admin address only");
        return;
    }
    if (!read_query(r->query, &seconds, profile ? NULL : &level)) {
        refuse(l, r, 400,
               profile ? "the query is seconds=1..60"
                       : "the query is seconds=1..60 and level=1..3: runs, nodes, chunks");
        return;
    }
    if (!c.trace && !profile) {
        refuse(l, r, 501, "this server's engine has no trace");
        return;
    }
    c.ns = (uint64_t)seconds * 1000000000u;
    c.level = (uint32_t)level;
    c.type = profile ? "text/plain; charset=utf-8" : "application/json";
    c.watch = profile ? lmn_profiling_watch : trace_events;
    begin(l, r, &c);
}

void lmn_capture_end(lamina_server *s)
{
    lmn_atomic_store(&s->no_capture, 1, release);
    lmn_futex_wake(&s->no_capture, 1);
}
