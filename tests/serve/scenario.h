/*
 * Test helper: a scenario of the batcher, read from text and played on a simulated clock.
 *
 *     model max=8 preferred=4,6 delay=100    what lmn_batch_config says, in microseconds; also
 *                                            instances levels default queue_rows queue_bytes=N,
 *                                            request=N (max_request_rows),
 *                                            ordered, single, rejoin
 *
 *     level 1 size=10 timeout=50 action=defer override
 *
 *     cost 8=300                             a run of at most 8 rows, known from warm-up
 *
 *     take 8=400                             ... and in truth (default: the cost)
 *
 *     at 0 a rows=1 key=0 priority=1 timeout=20
 *
 *     at 0 b*3                               b0, b1, b2
 *
 *     at 5 cancel a (or: gone a)             it is not wanted any more; its client has left
 *
 *     ---
 *
 *     0 run a b0 b1: idle                    what must come of it, in order
 *
 *     20 done a b0 b1 (or: late a, cancelled a)
 *
 *     0 refused d: limit 1                   with Retry-After
 */
#ifndef LMN_TESTS_SERVE_SCENARIO_H
#define LMN_TESTS_SERVE_SCENARIO_H

#include "serve/batcher.h"
#include "t.h"

#define SC_MAX 1024
#define SC_US 1000u

typedef struct sc_request {
    lmn_infer r;
    char name[16];
    lmn_atomic(uint32_t) gone;
} sc_request;

typedef struct sc_event {
    uint64_t at;
    int what; /* 0 arrives, 1 cancel, 2 gone */
    sc_request *of;
} sc_event;

typedef struct sc {
    lmn_batcher b;
    lmn_batch_config config;
    uint64_t take[33], seed_cost[33];
    sc_event event[SC_MAX];
    int n_events, n_requests;
    sc_request *request; /* SC_MAX */
    struct {
        lmn_batch batch;
        uint64_t until, took;
        bool busy;
    } run[LMN_BATCH_MAX_INSTANCES];
    char log[1 << 16];
    size_t n_log;
} sc;

static const char *const sc_reason[] = {"full", "preferred", "delay", "idle", "deadline", "single"};

LMN_PRINTF(2, 3) static void sc_say(sc *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    s->n_log += lmn_vformat(s->log + s->n_log, sizeof s->log - s->n_log, fmt, ap);
    va_end(ap);
}

static int sc_bucket(int64_t rows)
{
    int k = 0;
    while ((int64_t)1 << k < rows) k++;
    return k;
}

static sc_request *sc_named(sc *s, const char *name)
{
    for (int i = 0; i < s->n_requests; i++)
        if (!strcmp(s->request[i].name, name)) return &s->request[i];
    t_fail(__FILE__, __LINE__, "no request %s", name);
    return &s->request[0];
}

/* "word=value" of a line; NULL when it is not there. */
static const char *sc_value(const char *line, const char *word)
{
    const size_t n = strlen(word);
    for (const char *p = line; (p = strstr(p, word)) != NULL; p += n)
        if (p > line && p[-1] == ' ' && (p[n] == '=' || p[n] == ' ' || p[n] == 0))
            return p[n] == '=' ? p + n + 1 : p + n;
    return NULL;
}
static long long sc_int(const char *line, const char *word, long long otherwise)
{
    const char *v = sc_value(line, word);
    return v ? strtoll(v, NULL, 10) : otherwise;
}

static void sc_model(sc *s, const char *line)
{
    lmn_batch_config *c = &s->config;
    c->dynamic = !sc_value(line, "single");
    c->preserve_ordering = sc_value(line, "ordered") != NULL;
    c->max_batch_size = sc_int(line, "max", 0);
    c->max_request_rows = sc_int(line, "request", 0);
    c->rejoin = sc_value(line, "rejoin") != NULL;
    c->delay_ns = (uint64_t)sc_int(line, "delay", 0) * SC_US;
    c->n_instances = (uint32_t)sc_int(line, "instances", 1);
    c->n_levels = (uint32_t)sc_int(line, "levels", 0);
    c->default_level = (uint32_t)sc_int(line, "default", 0);
    c->max_queue_rows = sc_int(line, "queue_rows", 0);
    c->max_queue_bytes = (size_t)sc_int(line, "queue_bytes", 0);
    for (const char *p = sc_value(line, "preferred"); p && *p >= '0' && *p <= '9';) {
        char *end;
        c->preferred[c->n_preferred++] = strtoll(p, &end, 10);
        p = *end == ',' ? end + 1 : end;
    }
}

static void sc_level(sc *s, const char *line)
{
    lmn_batch_level *l = &s->config.level[strtol(line + 6, NULL, 10) - 1];
    const char *action = sc_value(line, "action");
    l->max_queue_size = (uint32_t)sc_int(line, "size", 0);
    l->default_timeout_ns = (uint64_t)sc_int(line, "timeout", 0) * SC_US;
    l->action = action && !strncmp(action, "defer", 5) ? LMN_BATCH_DEFER : LMN_BATCH_REJECT;
    l->allow_override = sc_value(line, "override") != NULL;
}

static void sc_at(sc *s, const char *line)
{
    char *p;
    const uint64_t at = strtoull(line + 3, &p, 10) * SC_US;
    char word[16], name[16];
    int used = 0, copies = 1;
    if (sscanf(p, " %15[^ *\n]%n", word, &used) < 1) t_fail(__FILE__, __LINE__, "bad: %s", line);
    const char *rest = p + used;
    const int what = !strcmp(word, "cancel") ? 1 : !strcmp(word, "gone") ? 2 : 0;
    if (what && sscanf(rest, " %15s", name) == 1) {
        s->event[s->n_events++] = (sc_event){at, what, sc_named(s, name)};
        return;
    }
    const bool many = *rest == '*';
    if (many) copies = (int)strtol(rest + 1, NULL, 10);
    for (int i = 0; i < copies && s->n_requests < SC_MAX && s->n_events < SC_MAX; i++) {
        sc_request *q = &s->request[s->n_requests++];
        (void)snprintf(q->name, sizeof q->name, many ? "%.8s%d" : "%.12s", word, i);
        q->r.rows = sc_int(rest, "rows", 1);
        q->r.bytes = (size_t)sc_int(rest, "bytes", 4);
        q->r.key = (uint64_t)sc_int(rest, "key", 0);
        q->r.priority = (uint32_t)sc_int(rest, "priority", 0);
        q->r.timeout_ns = (uint64_t)sc_int(rest, "timeout", 0) * SC_US;
        q->r.gone = &q->gone;
        q->r.user = q;
        s->event[s->n_events++] = (sc_event){at, 0, q};
    }
}

/* Returns what is expected, after the line of dashes. */
static const char *sc_read(sc *s, const char *text)
{
    char line[256];
    while (*text) {
        const size_t n = strcspn(text, "\n");
        (void)snprintf(line, sizeof line, "%.*s", (int)n, text);
        text += n + (text[n] == '\n');
        char *sharp = strchr(line, '#');
        if (sharp) *sharp = 0;
        if (!strncmp(line, "---", 3)) return text;
        if (!strncmp(line, "model", 5)) sc_model(s, line);
        if (!strncmp(line, "level", 5)) sc_level(s, line);
        if (!strncmp(line, "at ", 3)) sc_at(s, line);
        long long rows, us;
        if (sscanf(line, "cost %lld=%lld", &rows, &us) == 2)
            s->seed_cost[sc_bucket(rows)] = s->take[sc_bucket(rows)] = (uint64_t)us * SC_US;
        if (sscanf(line, "take %lld=%lld", &rows, &us) == 2)
            s->take[sc_bucket(rows)] = (uint64_t)us * SC_US;
    }
    return text;
}

static void sc_answers(sc *s, uint64_t now)
{
    const char *was = "";
    for (lmn_infer *r = lmn_batcher_answers(&s->b), *next; r; r = next) {
        next = r->next;
        const char *how = r->status == LAMINA_OK          ? "done"
                          : r->status == LAMINA_E_TIMEOUT ? "late"
                                                          : "cancelled";
        if (strcmp(was, how))
            sc_say(s, "%s%llu %s", *was ? "\n" : "", (unsigned long long)now / SC_US, how);
        sc_say(s, " %s", ((sc_request *)r->user)->name);
        was = how;
    }
    if (*was) sc_say(s, "\n");
}

static void sc_event_run(sc *s, const sc_event *e)
{
    sc_request *q = e->of;
    if (e->what == 1) (void)lmn_batcher_cancel(&s->b, &q->r);
    if (e->what == 2) lmn_atomic_store(&q->gone, 1, release);
    if (e->what) return;
    const lamina_status st = lmn_batcher_submit(&s->b, &q->r, e->at);
    if (st == LAMINA_OK) return;
    sc_say(s, "%llu refused %s: %s", (unsigned long long)e->at / SC_US, q->name,
           st == LAMINA_E_LIMIT     ? "limit"
           : st == LAMINA_E_TIMEOUT ? "timeout"
                                    : "invalid");
    if (q->r.retry_after_s) sc_say(s, " %u", q->r.retry_after_s);
    sc_say(s, "\n");
}

static void sc_dispatch(sc *s, uint64_t now)
{
    lmn_batch batch;
    while (lmn_batcher_next(&s->b, now, &batch)) {
        sc_answers(s, now);
        sc_say(s, "%llu run", (unsigned long long)now / SC_US);
        for (lmn_infer *r = batch.first; r; r = r->next)
            sc_say(s, " %s", ((sc_request *)r->user)->name);
        sc_say(s, ": %s\n", sc_reason[batch.reason]);
        const uint64_t took = s->take[sc_bucket(batch.rows)];
        s->run[batch.instance].batch = batch;
        s->run[batch.instance].busy = true;
        s->run[batch.instance].took = took;
        s->run[batch.instance].until = now + took;
    }
    sc_answers(s, now);
}

/* Play it to the end: runs end before new things happen at the same instant. */
LMN_UNUSED static void sc_play(sc *s)
{
    int e = 0;
    for (uint64_t now = 0;;) {
        uint64_t at = e < s->n_events ? s->event[e].at : UINT64_MAX;
        const uint64_t look = lmn_batcher_look_again(&s->b);
        if (look < at) at = look > now ? look : now;
        for (uint32_t i = 0; i < LMN_BATCH_MAX_INSTANCES; i++)
            if (s->run[i].busy && s->run[i].until < at) at = s->run[i].until;
        if (at == UINT64_MAX) return;
        now = at;
        for (uint32_t i = 0; i < LMN_BATCH_MAX_INSTANCES; i++) {
            if (!s->run[i].busy || s->run[i].until != now) continue;
            s->run[i].busy = false;
            lmn_batcher_done(&s->b, &s->run[i].batch, s->run[i].batch.rows, s->run[i].took, now);
        }
        sc_answers(s, now);
        for (; e < s->n_events && s->event[e].at == now; e++) sc_event_run(s, &s->event[e]);
        sc_dispatch(s, now);
    }
}

#endif
