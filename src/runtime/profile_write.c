/*
 * The profile as a trace in the Trace Event Format that Perfetto and chrome://tracing read; what
 * stands in it is said in docs/formats/trace.md, and docs/formats/trace.schema.json checks it.
 *
 * The ring is copied under the session's lock; rows and steps never change once they are in a span,
 * so the writing itself disturbs no run.
 */
#include "base/json.h"
#include "base/os/os_dir.h"
#include "lamina/session.h"
#include "runtime/exec.h"

#include <string.h>

#define TAG "profile"
#define CHUNK ((size_t)64 << 10) /* written when it is full */

typedef struct writer {
    lmn_os_out file;
    lmn_strbuf buf;
    lmn_jsonw w;
    lmn_ticks clock;
    double us_tick; /* microseconds a tick */
    uint64_t n_events, n_dropped;
    uint32_t n_threads;
    const lmn_event *events; /* in order */
} writer;

static void number(writer *x, const char *key, double us)
{
    lmn_jsonw_f64(&x->w, key, (double)(int64_t)(us * 1000 + 0.5) / 1000);
}

static void metadata(writer *x, const char *what, uint32_t tid, const char *name)
{
    lmn_jsonw_object(&x->w, NULL);
    lmn_jsonw_str(&x->w, "ph", "M");
    lmn_jsonw_str(&x->w, "name", what);
    lmn_jsonw_i64(&x->w, "pid", 1);
    lmn_jsonw_i64(&x->w, "tid", tid);
    lmn_jsonw_object(&x->w, "args");
    lmn_jsonw_str(&x->w, "name", name);
    lmn_jsonw_end(&x->w);
    lmn_jsonw_end(&x->w);
}

/* "float32[1,3,224,224]"; "" for an absent port. Returns the words it took. */
static size_t port(writer *x, const int64_t *w)
{
    char text[32 + LMN_MAX_RANK * 21];
    if (!w[0]) {
        lmn_jsonw_str(&x->w, NULL, "");
        return 1;
    }
    const int32_t rank = (int32_t)(w[0] & 0xff) - 2;
    const char *name = lamina_dtype_name((lamina_dtype)(w[0] >> 32));
    if (rank < 0) {
        (void)lmn_format(text, sizeof text, "sequence of %s", name);
        lmn_jsonw_str(&x->w, NULL, text);
        return 1;
    }
    size_t n = lmn_format(text, sizeof text, "%s[", name);
    for (int32_t k = 0; k < rank; k++)
        n += lmn_format(text + n, sizeof text - n, k ? ",%lld" : "%lld", (long long)w[1 + k]);
    (void)lmn_format(text + n, sizeof text - n, "]");
    lmn_jsonw_str(&x->w, NULL, text);
    return 1 + (size_t)rank;
}

static void node_args(writer *x, const lmn_row *r)
{
    const lmn_step *s = r->step;
    size_t at = 0;
    lmn_jsonw_str(&x->w, "op", s->node->op.def->name);
    lmn_jsonw_str(&x->w, "node", s->node->op.name);
    lmn_jsonw_str(&x->w, "device", s->kernel ? s->vt->name : "cpu");
    lmn_jsonw_str(&x->w, "kernel", s->kernel ? s->kernel_name : "reference");
    lmn_jsonw_array(&x->w, "in");
    for (uint32_t k = 0; k < r->n_in; k++) at += port(x, r->words + at);
    lmn_jsonw_end(&x->w);
    lmn_jsonw_array(&x->w, "out");
    for (uint32_t k = 0; k < r->n_out; k++) at += port(x, r->words + at);
    lmn_jsonw_end(&x->w);
    lmn_jsonw_f64(&x->w, "flops", r->flops);
    lmn_jsonw_f64(&x->w, "bytes", r->bytes);
}

static void event(writer *x, const lmn_event *e)
{
    const lmn_row *r = e->row;
    lmn_jsonw_object(&x->w, NULL);
    lmn_jsonw_str(&x->w, "ph", "X");
    lmn_jsonw_str(&x->w, "name", r->step ? r->step->node->op.def->name : r->name);
    lmn_jsonw_str(&x->w, "cat", r->step ? "node" : "runtime");
    lmn_jsonw_i64(&x->w, "pid", 1);
    lmn_jsonw_i64(&x->w, "tid", e->thread);
    number(x, "ts", (double)(int64_t)(e->start - x->clock.tick0) * x->us_tick);
    number(x, "dur", (double)e->ticks * x->us_tick);
    lmn_jsonw_object(&x->w, "args");
    lmn_jsonw_i64(&x->w, "run", e->run);
    if (r->step) node_args(x, r);
    lmn_jsonw_end(&x->w);
    lmn_jsonw_end(&x->w);
}

static lamina_status flush(writer *x, size_t over, lamina_error *err)
{
    if (x->buf.status != LAMINA_OK)
        return lmn_fail(err, x->buf.status, "out of memory for a trace");
    if (x->buf.n <= over) return LAMINA_OK;
    LMN_TRY(lmn_os_out_write(&x->file, x->buf.p, x->buf.n, err));
    lmn_strbuf_reset(&x->buf);
    return LAMINA_OK;
}

static lamina_status write_all(writer *x, lamina_error *err)
{
    char name[32];
    lmn_jsonw_init(&x->w, &x->buf, 0);
    lmn_jsonw_object(&x->w, NULL);
    lmn_jsonw_str(&x->w, "displayTimeUnit", "ns");
    lmn_jsonw_object(&x->w, "otherData");
    lmn_jsonw_str(&x->w, "producer", "lamina " LAMINA_VERSION_STRING);
    lmn_jsonw_i64(&x->w, "version", 1);
    lmn_jsonw_str(&x->w, "clock", x->clock.counter ? "cycle counter" : "monotonic");
    lmn_jsonw_u64(&x->w, "dropped", x->n_dropped);
    lmn_jsonw_end(&x->w);
    lmn_jsonw_array(&x->w, "traceEvents");
    metadata(x, "process_name", 0, "lamina");
    for (uint32_t t = 1; t <= x->n_threads; t++) {
        (void)lmn_format(name, sizeof name, "caller %u", t);
        metadata(x, "thread_name", t, name);
    }
    for (uint64_t i = 0; i < x->n_events; i++) {
        event(x, &x->events[i]);
        lmn_strbuf_char(&x->buf, '\n');
        LMN_TRY(flush(x, CHUNK, err));
    }
    lmn_jsonw_end(&x->w);
    lmn_jsonw_end(&x->w);
    lmn_strbuf_char(&x->buf, '\n');
    return flush(x, 0, err);
}

/* The ring, oldest first, and what goes with it. */
static void copy_ring(writer *x, lamina_session *s, lmn_event *to)
{
    const uint64_t ring = LMN_PROFILE_RING;
    lmn_mutex_lock(&s->lock);
    const lmn_profile *p = s->profile;
    const uint64_t n = p->n_events < ring ? p->n_events : ring, first = (p->n_events - n) % ring;
    const uint64_t head = n < ring - first ? n : ring - first;
    memcpy(to, p->ring + first, head * sizeof *to);
    memcpy(to + head, p->ring, (n - head) * sizeof *to);
    x->n_events = n;
    x->n_dropped = p->n_dropped + (p->n_events - n);
    x->n_threads = p->n_threads;
    lmn_mutex_unlock(&s->lock);
    x->events = to;
}

lamina_status lamina_session_trace_save(const lamina_session *cs, const char *path,
                                        lamina_error *err)
{
    lamina_session *s = (lamina_session *)(uintptr_t)cs;
    if (!s || !path) return lmn_fail(err, LAMINA_E_INVALID, "a trace needs a session and a path");
    if (!s->profile)
        return lmn_fail(err, LAMINA_E_STATE,
                        "this session keeps no profile; create it with the option profile");
    const lamina_allocator *a = &s->engine->alloc;
    const size_t bytes = LMN_PROFILE_RING * sizeof(lmn_event);
    lmn_event *copy = lmn_alloc(a, bytes, 16, TAG);
    writer *x = lmn_calloc(a, 1, sizeof *x, TAG);
    lamina_status st = LAMINA_E_NOMEM;
    if (!copy || !x) {
        st = lmn_fail(err, st, "out of memory for a trace");
    } else {
        x->clock = s->profile->clock;
        x->us_tick = lmn_ticks_ns(&x->clock) / 1000;
        lmn_strbuf_init(&x->buf, a, 2 * CHUNK);
        copy_ring(x, s, copy);
        st = lmn_os_out_begin(&x->file, path, err);
        if (st == LAMINA_OK) st = write_all(x, err);
        if (st == LAMINA_OK) st = lmn_os_out_commit(&x->file, err);
        lmn_os_out_finish(&x->file);
        lmn_strbuf_finish(&x->buf);
    }
    lmn_free(a, copy, bytes, 16, TAG);
    lmn_cfree(a, x, 1, sizeof *x, TAG);
    return st;
}
