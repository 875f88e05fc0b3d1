/*
 * What a path means. Paths are compared as bytes: a name that needs an escape is no model's name.
 * GET answers HEAD too; a known path with another method is 405 and says which are fine.
 */
#include "serve/server_int.h"

#include "base/os/os_time.h"
#include "base/text.h"
#include "serve/kserve.h"

#include <stddef.h>
#include <string.h>

#define REFUSING_NS                                                              \
    UINT64_C(1000000000) /* so long after a refusal heads are looked at for more \
                          */

typedef enum what {
    NOTHING,
    INFER,
    MODEL,
    MODEL_READY,
    MODEL_CONFIG,
    MODEL_STATS,
    MODEL_TRACES,
    ALL_STATS,
    TRACES,
    LOGGING,
    CAPTURE,
    SERVER,
    LIVE,
    READY,
    INDEX,
    LOAD,
    UNLOAD,
    METRICS,
    OPENAPI,
    PAGE,
    PAGE_CSS,
    PAGE_JS,
    LENT, /* `name` is the rest of the path, which says what */
    WHATS
} what;

/* By `what`: the class that is counted, and which methods are fine. */
static const struct {
    lmn_route route;
    bool post, get; /* get: beside POST */
} ROWS[WHATS] = {
    [NOTHING] = {LMN_ROUTE_OTHER, false, true},      [INFER] = {LMN_ROUTE_INFER, true, false},
    [MODEL] = {LMN_ROUTE_MODEL, false, true},        [MODEL_READY] = {LMN_ROUTE_MODEL, false, true},
    [MODEL_CONFIG] = {LMN_ROUTE_MODEL, false, true}, [MODEL_STATS] = {LMN_ROUTE_MODEL, false, true},
    [MODEL_TRACES] = {LMN_ROUTE_SERVER, true, true}, [ALL_STATS] = {LMN_ROUTE_MODEL, false, true},
    [TRACES] = {LMN_ROUTE_SERVER, true, true},       [LOGGING] = {LMN_ROUTE_SERVER, true, true},
    [CAPTURE] = {LMN_ROUTE_SERVER, false, true},     [SERVER] = {LMN_ROUTE_SERVER, false, true},
    [LIVE] = {LMN_ROUTE_HEALTH, false, true},        [READY] = {LMN_ROUTE_HEALTH, false, true},
    [INDEX] = {LMN_ROUTE_REPOSITORY, true, true}, /* Triton answers it to both */
    [LOAD] = {LMN_ROUTE_REPOSITORY, true, false},    [UNLOAD] = {LMN_ROUTE_REPOSITORY, true, false},
    [LENT] = {LMN_ROUTE_SERVER, true, true},         [METRICS] = {LMN_ROUTE_METRICS, false, true},
    [OPENAPI] = {LMN_ROUTE_SERVER, false, true},     [PAGE] = {LMN_ROUTE_PAGE, false, true},
    [PAGE_CSS] = {LMN_ROUTE_PAGE, false, true},      [PAGE_JS] = {LMN_ROUTE_PAGE, false, true}};

typedef struct target {
    what what;
    lmn_span name;
    uint64_t version; /* 0: the highest */
} target;

/* --- paths --- */

static bool is(lmn_span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static bool skip(lmn_span *s, const char *text)
{
    const size_t n = strlen(text);
    if (s->n < n || memcmp(s->p, text, n) != 0) return false;
    s->p += n;
    s->n -= n;
    return true;
}

/* Up to the next slash, which stays. */
static lmn_span segment(lmn_span *s)
{
    const uint8_t *slash = s->n ? memchr(s->p, '/', s->n) : NULL;
    const lmn_span out = {s->p, slash ? (size_t)(slash - s->p) : s->n};
    s->p += out.n;
    s->n -= out.n;
    return out;
}

/* What comes behind /v2/models/ */
static target of_model(lmn_span p)
{
    static const struct {
        const char *text;
        what what;
    } TAILS[] = {{"/infer", INFER},       {"", MODEL},
                 {"/ready", MODEL_READY}, {"/config", MODEL_CONFIG},
                 {"/stats", MODEL_STATS}, {"/trace/setting", MODEL_TRACES}};
    target t = {NOTHING, {0}, 0};
    if (is(p, "stats")) return (target){ALL_STATS, {0}, 0};
    t.name = segment(&p);
    if (!lmn_repo_name_ok(t.name)) return (target){NOTHING, {0}, 0};
    if (skip(&p, "/versions/")) {
        const lmn_span v = segment(&p);
        int64_t number;
        if (!v.n || v.p[0] < '1' || v.p[0] > '9' || !lmn_parse_i64(v.p, v.n, &number))
            return (target){NOTHING, {0}, 0};
        t.version = (uint64_t)number;
    }
    for (size_t i = 0; i < LMN_COUNT(TAILS); i++)
        if (is(p, TAILS[i].text)) t.what = TAILS[i].what;
    if (t.what == MODEL_TRACES && t.version) t.what = NOTHING; /* of all versions alike */
    return t;
}

static target find(lmn_span p)
{
    static const struct {
        const char *path;
        what what;
    } FIXED[] = {{"/v2", SERVER},
                 {"/v2/", SERVER},
                 {"/v2/health/live", LIVE},
                 {"/v2/health/ready", READY},
                 {"/v2/repository/index", INDEX},
                 {"/v2/trace/setting", TRACES},
                 {"/v2/logging", LOGGING},
                 {"/v2/admin/trace", CAPTURE},
                 {"/metrics", METRICS},
                 {"/openapi.json", OPENAPI},
                 {"/", PAGE},
                 {"/page.css", PAGE_CSS},
                 {"/page.js", PAGE_JS}};
    if (skip(&p, "/v2/models/")) return of_model(p);
    if (skip(&p, "/v2/systemsharedmemory/")) return (target){LENT, p, 0};
    for (size_t i = 0; i < LMN_COUNT(FIXED); i++)
        if (is(p, FIXED[i].path)) return (target){FIXED[i].what, {0}, 0};
    target t = {NOTHING, {0}, 0};
    if (!skip(&p, "/v2/repository/models/")) return t;
    t.name = segment(&p);
    if (is(p, "/load") || is(p, "/unload")) t.what = is(p, "/load") ? LOAD : UNLOAD;
    return lmn_repo_name_ok(t.name) ? t : (target){NOTHING, {0}, 0};
}

/* --- answers --- */

static lmn_span text_span(const char *s)
{
    return (lmn_span){(const uint8_t *)s, strlen(s)};
}

static void add_field(lmn_serve_answer *a, const char *name, const char *value)
{
    a->fields[a->n_fields++] = (lmn_http_field){text_span(name), text_span(value)};
}

/* Is this one to be logged? */
static bool is_logged(lmn_serve_loop *l)
{
    const lamina_server *s = l->server;
    if (!s->log) return false;
    if (lmn_atomic_load(&s->settings.verbose, relaxed)) return true;
    if (!s->log_sample || l->until_log-- != 0) return false;
    l->until_log = s->log_sample - 1;
    return true;
}

void lmn_serve_counted(lmn_serve_loop *l, const lmn_http_request *r, lmn_route route,
                       uint32_t status, uint64_t now)
{
    const uint64_t took = now > r->head_ns ? now - r->head_ns : 0;
    lmn_count(&l->shard.answers[route][lmn_code_index(status)], 1);
    lmn_hist_add(&l->shard.took[route], took);
    if (LMN_UNLIKELY(l->server->log != NULL) && is_logged(l))
        lmn_serve_log(l, r, route, status, now);
    l->recorded = NULL;
    l->bytes_out = 0;
}

void lmn_serve_reply(lmn_serve_loop *l, lmn_http_request *r, const lmn_serve_answer *a)
{
    const lmn_http_piece piece = {a->body, NULL, NULL};
    const lmn_http_answer out = {.status = a->status,
                                 .content_type = a->type,
                                 .fields = a->fields,
                                 .n_fields = a->n_fields,
                                 .pieces = &piece,
                                 .n_pieces = a->body.n ? 1 : 0,
                                 .close = lmn_serve_closing(l)};
    l->bytes_out = piece.bytes.n;
    lmn_serve_counted(l, r, a->route, a->status, lmn_now_ns());
    lmn_http_reply(r, &out);
}

static void release_text(void *ctx, lmn_span bytes)
{
    lmn_free(ctx, (void *)(uintptr_t)bytes.p, bytes.n, 1, "serve text");
}

/* The loop's text as the body. Short ones are copied by http at once; it may hold on to others. */
static void reply_text(lmn_serve_loop *l, lmn_http_request *r, lmn_serve_answer *a)
{
    const lamina_allocator *alloc = l->server->alloc;
    if (l->text.status == LAMINA_OK && l->text.n <= 1024) {
        a->body = (lmn_span){(const uint8_t *)l->text.p, l->text.n};
        lmn_serve_reply(l, r, a);
        return;
    }
    uint8_t *copy = l->text.status == LAMINA_OK && l->text.n
                        ? lmn_alloc(alloc, l->text.n, 1, "serve text")
                        : NULL;
    if (!copy) {
        a->status = 500;
        a->body = text_span("{\"error\":\"out of memory\"}");
        lmn_serve_reply(l, r, a);
        return;
    }
    memcpy(copy, l->text.p, l->text.n);
    const lmn_http_piece piece = {{copy, l->text.n}, release_text, (void *)(uintptr_t)alloc};
    const lmn_http_answer out = {.status = a->status,
                                 .content_type = a->type,
                                 .fields = a->fields,
                                 .n_fields = a->n_fields,
                                 .pieces = &piece,
                                 .n_pieces = 1,
                                 .close = lmn_serve_closing(l)};
    l->bytes_out = piece.bytes.n;
    lmn_serve_counted(l, r, a->route, a->status, lmn_now_ns());
    lmn_http_reply(r, &out);
}

void lmn_serve_error(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                     const char *sentence, uint32_t retry_after_s)
{
    lmn_serve_answer a = {.status = status, .route = route, .type = "application/json"};
    char seconds[16];
    lmn_jsonw w;
    lmn_strbuf_reset(&l->text);
    lmn_jsonw_init(&w, &l->text, 0);
    lmn_jsonw_object(&w, NULL);
    lmn_jsonw_str(&w, "error", sentence);
    lmn_jsonw_end(&w);
    if (retry_after_s) {
        (void)lmn_format(seconds, sizeof seconds, "%u", retry_after_s);
        add_field(&a, "Retry-After", seconds);
    }
    if (status == 401) add_field(&a, "WWW-Authenticate", "Bearer");
    l->reason = sentence;
    reply_text(l, r, &a);
    l->reason = NULL;
}

void lmn_serve_text(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, const char *type)
{
    lmn_serve_answer a = {.status = 200, .route = route, .type = type};
    reply_text(l, r, &a);
}

/* As the protocol of the request has it. */
static void refuse(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                   const char *why, uint32_t retry_after_s)
{
    if (lmn_rpc_is(r))
        lmn_rpc_error(l, r, route, status, why);
    else
        lmn_serve_error(l, r, route, status, why, retry_after_s);
}

static lmn_jsonw begin_json(lmn_serve_loop *l)
{
    lmn_jsonw w;
    lmn_strbuf_reset(&l->text);
    lmn_jsonw_init(&w, &l->text, 0);
    return w;
}

static void send_json(lmn_serve_loop *l, lmn_http_request *r, what w)
{
    lmn_serve_text(l, r, ROWS[w].route, "application/json");
}

static void send_fixed(lmn_serve_loop *l, lmn_http_request *r, what w, uint32_t status,
                       const char *type, const char *body)
{
    lmn_serve_answer a = {
        .status = status, .route = ROWS[w].route, .type = type, .body = text_span(body)};
    if (w == PAGE_CSS || w == PAGE_JS) add_field(&a, "Cache-Control", "max-age=300");
    add_field(&a, "X-Content-Type-Options", "nosniff");
    lmn_serve_reply(l, r, &a);
}

/* --- models --- */

typedef struct search {
    lmn_span name;
    bool found;
    char reason[LMN_REPO_REASON_BYTES];
} search;

static void match(void *ctx, const lmn_repo_row *row)
{
    search *s = ctx;
    if (!is(s->name, row->name)) return;
    if (!s->found || row->reason[0])
        (void)lmn_format(s->reason, sizeof s->reason, "%s", row->reason);
    s->found = true;
}

bool lmn_serve_not_there(lmn_serve_loop *l, lmn_span name, uint64_t version, bool known,
                         char sentence[LAMINA_ERROR_MSG_BYTES])
{
    char text[LMN_REPO_NAME_MAX + 1];
    search s = {.name = name};
    (void)lmn_format(text, sizeof text, "%.*s", (int)name.n, (const char *)name.p);
    if (!known) lmn_repo_index(l->server->repo, match, &s);
    if (known)
        (void)lmn_format(sentence, LAMINA_ERROR_MSG_BYTES, "model \"%s\" has no version %llu here",
                         text, (unsigned long long)version);
    else if (s.found)
        (void)lmn_format(sentence, LAMINA_ERROR_MSG_BYTES, "model \"%s\" is not ready: %s", text,
                         s.reason[0] ? s.reason : "it is being loaded");
    else
        (void)lmn_format(sentence, LAMINA_ERROR_MSG_BYTES, "there is no model \"%s\"", text);
    return s.found;
}

/* No such version is loaded: 404, or 503 where the repository knows it and cannot use it. */
static void not_there(lmn_serve_loop *l, lmn_http_request *r, const target *t, bool known)
{
    char sentence[LAMINA_ERROR_MSG_BYTES];
    const bool found = lmn_serve_not_there(l, t->name, t->version, known, sentence);
    lmn_serve_error(l, r, ROWS[t->what].route, found ? 503 : 404, sentence, found ? 1 : 0);
}

uint32_t lmn_serve_versions(const lmn_serve_loop *l, const lmn_version *v,
                            uint64_t numbers[LMN_SERVE_VERSIONS])
{
    uint32_t n = 0;
    for (uint32_t i = 0; n == 0; i++) {
        const lmn_version *first = lmn_repo_at(&l->view, i, 0);
        if (!first) break;
        if (strcmp(first->sig.model, v->sig.model) != 0) continue;
        for (; n < LMN_SERVE_VERSIONS && lmn_repo_at(&l->view, i, n); n++)
            numbers[n] = lmn_repo_at(&l->view, i, n)->number;
    }
    return n;
}

static void metadata(lmn_serve_loop *l, lmn_http_request *r, const lmn_version *v, bool all)
{
    uint64_t numbers[LMN_SERVE_VERSIONS] = {v->number};
    lmn_jsonw w = begin_json(l);
    lmn_kserve_model_metadata(&w, &v->sig, numbers, all ? lmn_serve_versions(l, v, numbers) : 1);
    send_json(l, r, MODEL);
}

void lmn_serve_write_stats(lmn_serve_loop *l, const lmn_version *only)
{
    lmn_jsonw w = begin_json(l);
    lmn_jsonw_object(&w, NULL);
    lmn_jsonw_array(&w, "model_stats");
    if (only) lmn_report_stats(&w, only);
    for (uint32_t i = 0; !only && lmn_repo_at(&l->view, i, 0); i++)
        for (uint32_t k = 0; lmn_repo_at(&l->view, i, k); k++)
            lmn_report_stats(&w, lmn_repo_at(&l->view, i, k));
    lmn_jsonw_end(&w);
    lmn_jsonw_end(&w);
}

static void stats(lmn_serve_loop *l, lmn_http_request *r, const lmn_version *only)
{
    lmn_serve_write_stats(l, only);
    send_json(l, r, MODEL_STATS);
}

/* Not when all its instances hang: those who could come would wait. */
static void model_ready(lmn_serve_loop *l, lmn_http_request *r, const lmn_version *v)
{
    lmn_model_stats m = {0};
    lmn_serve_answer a = {.route = LMN_ROUTE_MODEL, .type = "application/json"};
    lmn_model_get_stats(v->model, &m);
    const bool ok = m.n_overdue < m.n_instances;
    lmn_jsonw w = begin_json(l);
    lmn_jsonw_object(&w, NULL);
    lmn_jsonw_str(&w, "name", v->sig.model);
    lmn_jsonw_bool(&w, "ready", ok);
    lmn_jsonw_end(&w);
    a.status = ok ? 200 : 503;
    reply_text(l, r, &a);
}

static void of_version(lmn_serve_loop *l, lmn_http_request *r, const target *t)
{
    bool known;
    lmn_version *v = lmn_repo_find(&l->view, t->name, t->version, &known);
    if (!v) {
        not_there(l, r, t, known);
        return;
    }
    lmn_jsonw w;
    switch (t->what) {
    case INFER: lmn_call_begin(l, r, v); return;
    case MODEL: metadata(l, r, v, !t->version); return;
    case MODEL_STATS: stats(l, r, v); return;
    case MODEL_TRACES: lmn_settings_request(l, r, false, t->name); return;
    case MODEL_CONFIG:
        w = begin_json(l);
        lmn_serve_config_write(&w, v->config, &v->sig, lmn_model_get_config(v->model));
        break;
    default: model_ready(l, r, v); return;
    }
    send_json(l, r, t->what);
}

/* --- the repository --- */

typedef struct index_writer {
    lmn_jsonw *w;
    bool ready_only;
} index_writer;

static void index_row(void *ctx, const lmn_repo_row *row)
{
    const index_writer *i = ctx;
    if (!i->ready_only || strcmp(row->state, "READY") == 0) lmn_report_index_row(i->w, row);
}

/* The body may be empty, or {"ready": true}. */
static bool index_wants(lmn_span body, bool *ready_only, lamina_error *err)
{
    lmn_json j;
    lmn_json_token t;
    *ready_only = false;
    if (!body.n) return true;
    lmn_json_init(&j, body, err);
    if (lmn_json_next(&j, &t) != LMN_JSON_OBJECT) {
        if (t.kind != LMN_JSON_ERROR)
            (void)lmn_fail(err, LAMINA_E_PARSE, "the body must be a JSON object");
        return false;
    }
    while (lmn_json_next(&j, &t) == LMN_JSON_KEY) {
        const bool ready = lmn_json_is(&t, "ready");
        if (!ready) {
            if (!lmn_json_skip(&j, &t)) return false;
            continue;
        }
        const lmn_json_kind k = lmn_json_next(&j, &t);
        if (k != LMN_JSON_TRUE && k != LMN_JSON_FALSE) {
            (void)lmn_fail(err, LAMINA_E_PARSE, "\"ready\" must be true or false");
            return false;
        }
        *ready_only = k == LMN_JSON_TRUE;
    }
    return t.kind == LMN_JSON_OBJECT_END && lmn_json_next(&j, &t) == LMN_JSON_END;
}

void lmn_serve_write_index(lmn_serve_loop *l, bool ready_only)
{
    lmn_jsonw w = begin_json(l);
    index_writer i = {&w, ready_only};
    lmn_jsonw_array(&w, NULL);
    lmn_repo_index(l->server->repo, index_row, &i);
    lmn_jsonw_end(&w);
}

static void repo_list(lmn_serve_loop *l, lmn_http_request *r)
{
    lamina_error err = {0};
    bool ready_only;
    if (!index_wants(r->body, &ready_only, &err)) {
        lmn_serve_error(l, r, LMN_ROUTE_REPOSITORY, 400, err.msg, 0);
        return;
    }
    lmn_serve_write_index(l, ready_only);
    send_json(l, r, INDEX);
}

typedef struct change {
    lmn_repo_job job; /* first */
    lmn_http_task task;
    lmn_serve_loop *home;
    lmn_http_request *req;
} change;

static void change_answer(lmn_http_task *task, lmn_http_loop *loop)
{
    change *c = (change *)(void *)((uint8_t *)task - offsetof(change, task));
    lmn_serve_loop *l = c->home;
    lamina_server *s = l->server;
    (void)loop;
    const lamina_status st = c->job.status;
    if (st != LAMINA_OK)
        refuse(l, c->req, LMN_ROUTE_REPOSITORY,
               st == LAMINA_E_CLOSED || st == LAMINA_E_NOMEM ? 503 : 400, c->job.error.msg, 0);
    else if (lmn_rpc_is(c->req))
        lmn_rpc_done(l, c->req, LMN_ROUTE_REPOSITORY);
    else
        send_fixed(l, c->req, LOAD, 200, "application/json", "{}");
    lmn_cfree(s->alloc, c, 1, sizeof *c, "serve change");
    (void)lmn_atomic_sub(&s->jobs, 1, release);
}

static void change_done(lmn_repo_job *job)
{
    change *c = (change *)job;
    c->task.run = change_answer;
    lmn_http_post(c->home->loop, &c->task);
}

/* Triton lets a load request bring a configuration and files; we take neither. */
static bool body_is_plain(lmn_span body, bool unload, lamina_error *err)
{
    lmn_json j;
    lmn_json_token t;
    if (!body.n) return true;
    lmn_json_init(&j, body, err);
    if (lmn_json_next(&j, &t) == LMN_JSON_ERROR) return false;
    while (t.kind == LMN_JSON_OBJECT && lmn_json_next(&j, &t) == LMN_JSON_KEY) {
        if (!lmn_json_is(&t, "parameters") || lmn_json_next(&j, &t) != LMN_JSON_OBJECT) break;
        while (lmn_json_next(&j, &t) == LMN_JSON_KEY) {
            if (!unload || !lmn_json_is(&t, "unload_dependents")) {
                (void)lmn_fail(err, LAMINA_E_UNSUPPORTED,
                               "parameters of a load request are not supported: models and their "
                               "configuration come from the repository alone");
                return false;
            }
            if (!lmn_json_skip(&j, &t)) return false;
        }
        t.kind = LMN_JSON_OBJECT;
    }
    if (t.kind == LMN_JSON_OBJECT_END && lmn_json_next(&j, &t) == LMN_JSON_END) return true;
    if (!err->msg[0]) (void)lmn_fail(err, LAMINA_E_PARSE, "the body must be a JSON object");
    return false;
}

void lmn_serve_change(lmn_serve_loop *l, lmn_http_request *r, lmn_span name, bool unload)
{
    lamina_server *s = l->server;
    change *c = lmn_calloc(s->alloc, 1, sizeof *c, "serve change");
    if (!c) {
        refuse(l, r, LMN_ROUTE_REPOSITORY, 503, "out of memory", 1);
        return;
    }
    c->home = l;
    c->req = r;
    c->job.unload = unload;
    c->job.done = change_done;
    memcpy(c->job.name, name.p, name.n);
    (void)lmn_atomic_add(&s->jobs, 1, relaxed);
    lmn_repo_post(s->repo, &c->job);
}

static void change_models(lmn_serve_loop *l, lmn_http_request *r, const target *t)
{
    lamina_error err = {0};
    if (r->listener != l->server->admin) {
        lmn_serve_error(l, r, LMN_ROUTE_REPOSITORY, 403,
                        "models are loaded and unloaded on the admin address only", 0);
        return;
    }
    if (!body_is_plain(r->body, t->what == UNLOAD, &err)) {
        lmn_serve_error(l, r, LMN_ROUTE_REPOSITORY, 400, err.msg, 0);
        return;
    }
    lmn_serve_change(l, r, t->name, t->what == UNLOAD);
}

/* --- the server --- */

static void ready(lmn_serve_loop *l, lmn_http_request *r)
{
    const lamina_server *s = l->server;
    const bool ok = !lmn_atomic_load(&s->draining, relaxed) && lmn_repo_ready(s->repo);
    send_fixed(l, r, READY, ok ? 200 : 503, "application/json",
               ok ? "{\"ready\":true}" : "{\"ready\":false}");
}

static bool contains(lmn_span s, const char *text)
{
    return s.n && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static void metrics(lmn_serve_loop *l, lmn_http_request *r)
{
    const bool open = contains(lmn_http_field_get(r, "accept"), "application/openmetrics-text");
    lmn_serve_answer a = {.status = 200, .route = LMN_ROUTE_METRICS};
    a.type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                  : "text/plain; version=0.0.4; charset=utf-8";
    lmn_strbuf_reset(&l->text);
    lmn_observe(l->server, &l->view, &(lmn_metrics_out){.out = &l->text, .open = open});
    reply_text(l, r, &a);
}

static void page(lmn_serve_loop *l, lmn_http_request *r)
{
    lmn_serve_answer a = {.status = 200, .route = LMN_ROUTE_PAGE};
    a.type = "text/html; charset=utf-8";
    add_field(&a, "Content-Security-Policy",
              "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
              "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    add_field(&a, "X-Content-Type-Options", "nosniff");
    add_field(&a, "Referrer-Policy", "no-referrer");
    add_field(&a, "Cache-Control", "no-store");
    lmn_strbuf_reset(&l->text);
    lmn_page_write(l->server, l, &l->text);
    reply_text(l, r, &a);
}

static void server_metadata(lmn_serve_loop *l, lmn_http_request *r)
{
    lmn_jsonw w = begin_json(l);
    lmn_kserve_server_metadata(&w);
    send_json(l, r, SERVER);
}

static void describe(lmn_serve_loop *l, lmn_http_request *r)
{
    lmn_jsonw w = begin_json(l);
    lmn_openapi_write(&w);
    send_json(l, r, OPENAPI);
}

static void wrong_method(lmn_serve_loop *l, lmn_http_request *r, what w)
{
    lmn_serve_answer a = {.status = r->method == LMN_HTTP_OPTIONS ? 204 : 405,
                          .route = ROWS[w].route};
    add_field(&a, "Allow",
              ROWS[w].post ? ROWS[w].get ? "GET, HEAD, POST, OPTIONS" : "POST, OPTIONS"
                           : "GET, HEAD, OPTIONS");
    if (a.status == 405) {
        a.type = "application/json";
        a.body = text_span(ROWS[w].post ? "{\"error\":\"this path takes POST\"}"
                                        : "{\"error\":\"this path takes GET\"}");
    }
    lmn_serve_reply(l, r, &a);
}

static bool method_fits(lmn_http_method m, what w)
{
    if (m == LMN_HTTP_POST) return ROWS[w].post;
    return ROWS[w].get && (m == LMN_HTTP_GET || m == LMN_HTTP_HEAD);
}

/* Needs no token: health, and who has the admin socket. */
static bool is_open(const lmn_serve_loop *l, const lmn_http_request *r)
{
    return !l->tokens || is(r->path, "/v2/health/live") || is(r->path, "/v2/health/ready") ||
           is(r->path, "/inference.GRPCInferenceService/ServerLive") ||
           is(r->path, "/inference.GRPCInferenceService/ServerReady") ||
           is(r->path, "/grpc.health.v1.Health/Check") ||
           (r->local && r->listener == l->server->admin);
}

bool lmn_serve_may(const lmn_serve_loop *l, const lmn_http_request *r, lmn_span model)
{
    if (is_open(l, r)) return true;
    const lmn_token *token = lmn_tokens_find(l->tokens, r);
    return token && lmn_token_has_model(token, model);
}

/* Who has some models sees these, and nothing that tells of others. */
static bool is_for(const lmn_token *token, const lmn_http_request *r)
{
    if (!token->models) return true;
    const target t = find(r->path);
    switch (t.what) {
    case INFER:
    case MODEL:
    case MODEL_READY:
    case MODEL_CONFIG:
    case MODEL_STATS:
    case MODEL_TRACES: return lmn_token_has_model(token, t.name);
    case NOTHING:
    case LENT:
    case SERVER:
    case OPENAPI: return true;
    default: return false;
    }
}

/* False: it was answered. */
static bool enter(lmn_serve_loop *l, lmn_http_request *r)
{
    char text[160];
    lmn_token *token = lmn_tokens_find(l->tokens, r);
    if (!token) {
        refuse(l, r, LMN_ROUTE_OTHER, 401, "this server wants a token: Authorization: Bearer TOKEN",
               0);
        return false;
    }
    lmn_token_shard *shard = &token->use->shard[l->index];
    lmn_token_note(l, r, token);
    if (!is_for(token, r)) {
        lmn_count(&shard->n[LMN_TOKEN_FORBIDDEN], 1);
        refuse(l, r, LMN_ROUTE_OTHER, 403, "this token is for other models", 0);
        return false;
    }
    const uint64_t wait = lmn_token_take(token, r->head_ns);
    lmn_count(&shard->n[wait ? LMN_TOKEN_LIMITED : LMN_TOKEN_ADMITTED], 1);
    if (!wait) return true;
    (void)lmn_format(text, sizeof text, "this token may ask %u times in %u s",
                     (unsigned)token->rate, (unsigned)(token->window_ns / 1000000000u));
    refuse(l, r, LMN_ROUTE_OTHER, 429, text, (uint32_t)(wait / 1000000000u + 1));
    return false;
}

/* Shortly after a refusal: should it be the next? */
static bool is_refused(lmn_serve_loop *l, lmn_http_request *r)
{
    bool known;
    const target t = find(r->path);
    if (t.what != INFER || r->method != LMN_HTTP_POST) return false;
    lmn_repo_see(l->server->repo, &l->view);
    lmn_version *v = lmn_repo_find(&l->view, t.name, t.version, &known);
    return v && lmn_call_turn_away(l, r, v);
}

uint64_t lmn_routes_head(void *ctx, lmn_http_request *r)
{
    const lamina_server *s = ctx;
    const lmn_span p = r->path;
    lmn_serve_loop *l = lmn_http_loop_user(r->loop);
    lmn_tokens_see(l);
    r->user = NULL;
    if (LMN_UNLIKELY(!is_open(l, r)) && !enter(l, r)) return 0;
    if (lmn_rpc_is(r)) return lmn_rpc_head(l, r);
    const bool infer = p.n > 6 && memcmp(p.p + p.n - 6, "/infer", 6) == 0;
    if (LMN_UNLIKELY(infer && r->head_ns - l->refused_ns < REFUSING_NS) && is_refused(l, r))
        return 0;
    return infer ? s->max_body : 64u << 10;
}

void lmn_routes_request(void *ctx, lmn_http_request *r)
{
    lamina_server *s = ctx;
    lmn_serve_loop *l = lmn_http_loop_user(r->loop);
    lmn_repo_see(s->repo, &l->view);
    if (lmn_rpc_is(r)) {
        lmn_rpc_request(l, r);
        return;
    }
    const target t = find(r->path);
    if (LMN_LIKELY(t.what == INFER && r->method == LMN_HTTP_POST)) {
        of_version(l, r, &t);
        return;
    }
    if (t.what == NOTHING) {
        lmn_serve_error(l, r, LMN_ROUTE_OTHER, 404, "there is nothing at this path", 0);
        return;
    }
    if (!method_fits(r->method, t.what)) {
        wrong_method(l, r, t.what);
        return;
    }
    switch (t.what) {
    case ALL_STATS: stats(l, r, NULL); return;
    case TRACES:
    case LOGGING: lmn_settings_request(l, r, t.what == LOGGING, (lmn_span){0}); return;
    case CAPTURE: lmn_capture_request(l, r); return;
    case SERVER: server_metadata(l, r); return;
    case LIVE: send_fixed(l, r, LIVE, 200, "application/json", "{\"live\":true}"); return;
    case READY: ready(l, r); return;
    case INDEX: repo_list(l, r); return;
    case LOAD:
    case UNLOAD: change_models(l, r, &t); return;
    case LENT: lmn_lent_request(l, r, t.name); return;
    case METRICS: metrics(l, r); return;
    case OPENAPI: describe(l, r); return;
    case PAGE: page(l, r); return;
    case PAGE_CSS: send_fixed(l, r, PAGE_CSS, 200, "text/css; charset=utf-8", lmn_page_css); return;
    case PAGE_JS:
        send_fixed(l, r, PAGE_JS, 200, "text/javascript; charset=utf-8", lmn_page_js);
        return;
    default: of_version(l, r, &t); return;
    }
}
