/*
 * The thread that exports. It wakes a few times a second, or when a ring is half full, moves what
 * is in the rings into the body of the next request, and posts that once it is a second old or
 * large. A collector that fails is asked again after 1, 2, 4 ... 32 seconds; meanwhile the body
 * grows to its bound, then rings do, then spans are dropped. Metrics go every ten seconds and are
 * not kept: the next ones say all.
 */
#include "serve/otlp.h"

#include "base/os/os_env.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "lamina/client.h"
#include "serve/server_int.h"
#include "sync/spsc.h"

#include <string.h>

#define TAG "otlp"
#define RING 1024u /* requests of one loop */
#define LOOK_NS ((uint64_t)200000000)
#define AGE_NS ((uint64_t)1000000000)
#define METRICS_NS ((uint64_t)10000000000)
#define BATCH 512u /* requests that go at once */
#define MOST 4096u /* that wait for a collector */
#define BODY_MAX ((size_t)32 << 20)
#define SPANS_EACH 5u /* the request and its stages */
#define TIMEOUT_S 5.0
#define BACKOFF_S 32u

typedef struct ring {
    void *mem;
    lmn_spsc in, out; /* of the loop; of the thread */
    uint32_t until_wake;
    lmn_atomic(uint64_t) dropped;
} ring;

struct lmn_otlp {
    lamina_server *server;
    const lamina_allocator *alloc;
    lamina_client *client;
    char traces[256], metrics[256], service[128]; /* targets; name */
    ring *rings;
    uint32_t n_rings;
    size_t ring_bytes;
    lmn_thread thread;
    bool started;
    lmn_atomic(uint32_t) word; /* what the thread sleeps on */
    lmn_atomic(uint32_t) ending;
    /* the thread's own */
    lmn_strbuf spans, text; /* that wait; the body of a request */
    uint32_t n, failed;     /* requests whose spans wait; failures in a row */
    uint64_t oldest_ns, again_ns, metrics_ns;
    bool told;  /* that it fails */
    bool hangs; /* the last call ended by its time */
    lmn_atomic(uint64_t) sent, refused, late, exports, failures;
};

/* --- opening --- */

static lamina_status split_url(lmn_otlp *o, const char *url, char address[256], lamina_error *err)
{
    static const char HTTP[] = "http://";
    if (strncmp(url, HTTP, sizeof HTTP - 1) != 0)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "a collector's address is http://HOST:PORT, without TLS, not \"%.100s\"",
                        url);
    const char *host = url + sizeof HTTP - 1, *slash = strchr(host, '/');
    const size_t n = slash ? (size_t)(slash - host) : strlen(host);
    size_t path = slash ? strlen(slash) : 0;
    while (path && slash[path - 1] == '/') path--;
    if (!n || n >= 256 || path > 200)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "a collector's address is http://HOST:PORT, not \"%.100s\"", url);
    (void)lmn_format(address, 256, "%.*s", (int)n, host);
    (void)lmn_format(o->traces, sizeof o->traces, "%.*s/v1/traces", (int)path, slash ? slash : "");
    (void)lmn_format(o->metrics, sizeof o->metrics, "%.*s/v1/metrics", (int)path,
                     slash ? slash : "");
    return LAMINA_OK;
}

static lamina_status make_rings(lmn_otlp *o, uint32_t n, lamina_error *err)
{
    o->ring_bytes = lmn_spsc_bytes(sizeof(lmn_traced), RING);
    o->rings = lmn_alloc(o->alloc, n * sizeof *o->rings, _Alignof(ring), TAG);
    if (!o->rings) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for traces");
    memset(o->rings, 0, n * sizeof *o->rings);
    o->n_rings = n;
    for (uint32_t i = 0; i < n; i++) {
        ring *r = &o->rings[i];
        r->mem = lmn_alloc(o->alloc, o->ring_bytes, 128, TAG);
        if (!r->mem) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for traces");
        lamina_status st = lmn_spsc_init(r->mem, o->ring_bytes, sizeof(lmn_traced), RING);
        if (st == LAMINA_OK) st = lmn_spsc_producer(r->mem, o->ring_bytes, &r->in);
        if (st == LAMINA_OK) st = lmn_spsc_consumer(r->mem, o->ring_bytes, &r->out);
        if (st != LAMINA_OK) return lmn_fail(err, st, "a ring for traces cannot be made");
        r->until_wake = RING / 2;
    }
    return LAMINA_OK;
}

static void release(lmn_otlp *o)
{
    lamina_client_close(o->client);
    lmn_strbuf_finish(&o->spans);
    lmn_strbuf_finish(&o->text);
    for (uint32_t i = 0; i < o->n_rings; i++)
        lmn_free(o->alloc, o->rings[i].mem, o->ring_bytes, 128, TAG);
    lmn_free(o->alloc, o->rings, o->n_rings * sizeof *o->rings, _Alignof(ring), TAG);
    lmn_cfree(o->alloc, o, 1, sizeof *o, TAG);
}

lamina_status lmn_otlp_open(lamina_server *s, const char *url, uint32_t n_loops, lmn_otlp **out,
                            lamina_error *err)
{
    char address[256];
    const char *name = lmn_os_getenv("OTEL_SERVICE_NAME");
    const lamina_client_opts c = {
        .size = sizeof c, .timeout_s = TIMEOUT_S, .max_answer_bytes = 1 << 16};
    lmn_otlp *o = lmn_calloc(s->alloc, 1, sizeof *o, TAG);
    if (!o) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for traces");
    o->server = s;
    o->alloc = s->alloc;
    (void)lmn_format_name(o->service, sizeof o->service, name && *name ? name : "lamina",
                          strlen(name && *name ? name : "lamina"));
    lmn_strbuf_init(&o->spans, o->alloc, BODY_MAX);
    lmn_strbuf_init(&o->text, o->alloc, BODY_MAX);
    lamina_status st = split_url(o, url, address, err);
    if (st == LAMINA_OK) st = lamina_client_open(address, &c, &o->client, err);
    if (st == LAMINA_OK) st = make_rings(o, n_loops, err);
    if (st == LAMINA_OK)
        *out = o;
    else
        release(o);
    return st;
}

/* --- loops --- */

void lmn_otlp_put(lmn_otlp *o, uint32_t i, const lmn_traced *t)
{
    ring *r = &o->rings[i];
    if (!lmn_spsc_push(&r->in, t)) {
        lmn_count(&r->dropped, 1);
        return;
    }
    if (--r->until_wake) return;
    r->until_wake = RING / 2;
    (void)lmn_atomic_add(&o->word, 1, relaxed);
    lmn_futex_wake(&o->word, 1);
}

/* --- the thread --- */

static void drain(lmn_otlp *o, uint64_t now)
{
    const int64_t wall = (int64_t)(lmn_wall_ns() - now);
    lmn_traced t;
    for (uint32_t i = 0; i < o->n_rings; i++)
        while (o->n < MOST && lmn_spsc_pop(&o->rings[i].out, &t)) {
            if (!o->n++) o->oldest_ns = now;
            lmn_otlp_spans(&o->spans, &t, wall);
        }
}

static void say(lmn_otlp *o, bool fails, const char *why)
{
    const lamina_server *s = o->server;
    if (fails == o->told) return;
    o->told = fails;
    if (!s->log || !lmn_settings_logs(&s->settings, LAMINA_LOG_WARN)) return;
    (void)lamina_log(s->log, LAMINA_LOG_WARN,
                     fails ? "the collector of traces fails: %s" : "the collector answers%s",
                     fails ? why : " again");
}

typedef enum verdict { TAKEN, AGAIN, NEVER } verdict;

/* What stands in the text. */
static verdict post(lmn_otlp *o, const char *target, uint64_t *rejected)
{
    lamina_error err = {0};
    char why[64];
    lamina_answer a = {0};
    const lamina_ask ask = {.size = sizeof ask,
                            .method = "POST",
                            .target = target,
                            .body = o->text.p,
                            .body_bytes = o->text.n,
                            .content_type = "application/x-protobuf"};
    *rejected = 0;
    if (o->text.status != LAMINA_OK) return NEVER;
    lamina_status st = lamina_client_call(o->client, &ask, &a, &err);
    if (st == LAMINA_E_CLOSED) st = lamina_client_call(o->client, &ask, &a, &err); /* was idle */
    lmn_count(&o->exports, 1);
    o->hangs = st == LAMINA_E_TIMEOUT;
    if (st == LAMINA_OK && a.status == 200) {
        *rejected = lmn_otlp_rejected((lmn_span){a.body, a.body_bytes});
        say(o, false, "");
        return TAKEN;
    }
    lmn_count(&o->failures, 1);
    (void)lmn_format(why, sizeof why, "it answers %u", a.status);
    say(o, true, st == LAMINA_OK ? why : err.msg);
    if (st != LAMINA_OK) return AGAIN;
    return a.status == 429 || (a.status >= 502 && a.status <= 504) ? AGAIN : NEVER;
}

static void send_traces(lmn_otlp *o, uint64_t now)
{
    uint64_t rejected;
    lmn_strbuf_reset(&o->text);
    lmn_otlp_traces(&o->text, o->service, &o->spans);
    const verdict v = post(o, o->traces, &rejected);
    if (v == AGAIN) {
        const uint32_t s = o->failed < 5 ? 1u << o->failed : BACKOFF_S;
        o->failed++;
        o->again_ns = now + s * AGE_NS;
        return;
    }
    o->failed = 0;
    o->again_ns = 0;
    rejected = (rejected + SPANS_EACH - 1) / SPANS_EACH;
    if (v == NEVER || rejected > o->n) rejected = o->n;
    lmn_count(&o->sent, o->n - rejected);
    lmn_count(&o->refused, rejected);
    o->n = 0;
    lmn_strbuf_reset(&o->spans);
}

static void send_metrics(lmn_otlp *o)
{
    lamina_server *s = o->server;
    lmn_repo_view view = {0};
    lmn_otlp_out out;
    uint64_t rejected;
    const lmn_metrics_out m = {.out = &o->text, .otlp = &out};
    const uint64_t wall = lmn_wall_ns(), up = lmn_now_ns() - s->started_ns;
    lmn_strbuf_reset(&o->text);
    lmn_otlp_metrics_begin(&out, &o->text, o->service, wall - up, wall);
    lmn_repo_see(s->repo, &view);
    lmn_observe(s, &view, &m);
    lmn_repo_unsee(s->repo, &view);
    lmn_otlp_metrics_end(&out);
    (void)post(o, o->metrics, &rejected);
}

/* At the end nobody waits for a collector that hangs. */
static void turn(lmn_otlp *o, uint64_t now, bool last)
{
    drain(o, now);
    const bool due = o->n >= BATCH || now - o->oldest_ns >= AGE_NS;
    if (o->n && (last ? !o->hangs : due && now >= o->again_ns)) {
        send_traces(o, now);
        if (o->hangs) return;
    }
    if (last ? o->told : now < o->metrics_ns) return;
    o->metrics_ns = now + METRICS_NS;
    send_metrics(o);
}

static void *export(void *arg)
{
    lmn_otlp *o = arg;
    o->metrics_ns = lmn_now_ns() + AGE_NS;
    while (!lmn_atomic_load(&o->ending, acquire)) {
        const uint32_t seen = lmn_atomic_load(&o->word, relaxed);
        turn(o, lmn_now_ns(), false);
        if (!lmn_atomic_load(&o->ending, acquire)) lmn_futex_wait(&o->word, seen, LOOK_NS);
    }
    turn(o, lmn_now_ns(), true);
    return NULL;
}

lamina_status lmn_otlp_start(lmn_otlp *o, lamina_error *err)
{
    const lamina_status st = lmn_thread_start(&o->thread, export, o);
    o->started = st == LAMINA_OK;
    return o->started ? st : lmn_fail(err, st, "no thread for traces");
}

void lmn_otlp_finish(lmn_otlp *o)
{
    if (!o || !o->started) return;
    o->started = false;
    lmn_atomic_store(&o->ending, 1, release);
    (void)lmn_atomic_add(&o->word, 1, release);
    lmn_futex_wake(&o->word, 1);
    lmn_thread_join(&o->thread);
}

void lmn_otlp_close(lmn_otlp *o)
{
    if (!o) return;
    lmn_otlp_finish(o);
    release(o);
}

void lmn_otlp_get_stats(const lmn_otlp *o, lmn_otlp_stats *out)
{
    *out = (lmn_otlp_stats){.sent = lmn_atomic_load(&o->sent, relaxed),
                            .refused = lmn_atomic_load(&o->refused, relaxed),
                            .exports = lmn_atomic_load(&o->exports, relaxed),
                            .failures = lmn_atomic_load(&o->failures, relaxed)};
    for (uint32_t i = 0; i < o->n_rings; i++)
        out->dropped += lmn_atomic_load(&o->rings[i].dropped, relaxed);
}
