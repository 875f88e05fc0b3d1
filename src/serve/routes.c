/*
 * What a path means. Paths are compared as bytes: a name that needs an escape is no model's name.
 * GET answers HEAD too; a known path with another method is 405 and says which are fine.
 */
#include "serve/server_int.h"

#include "base/os/os_time.h"
#include "base/text.h"
#include "serve/kserve.h"

#include <string.h>

/* So long after a refusal heads are looked at for more. */
#define REFUSING_NS UINT64_C(1000000000)

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
    PROFILE,
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
    LENT_SHOWN, /* `name` is a region, or empty: all */
    LENT_ENTERS,
    LENT_LEAVES,
    WHATS
} what;

/* By `what`: the class that is counted, and which methods are fine. */
static const struct {
    lmn_route route;
    bool post, get; /* get: beside POST */
} ROWS[WHATS] = {[NOTHING] = {LMN_ROUTE_OTHER, false, true},
                 [INFER] = {LMN_ROUTE_INFER, true, false},
                 [MODEL] = {LMN_ROUTE_MODEL, false, true},
                 [MODEL_READY] = {LMN_ROUTE_MODEL, false, true},
                 [MODEL_CONFIG] = {LMN_ROUTE_MODEL, false, true},
                 [MODEL_STATS] = {LMN_ROUTE_MODEL, false, true},
                 [MODEL_TRACES] = {LMN_ROUTE_SERVER, true, true},
                 [ALL_STATS] = {LMN_ROUTE_MODEL, false, true},
                 [TRACES] = {LMN_ROUTE_SERVER, true, true},
                 [LOGGING] = {LMN_ROUTE_SERVER, true, true},
                 [CAPTURE] = {LMN_ROUTE_SERVER, false, true},
                 [SERVER] = {LMN_ROUTE_SERVER, false, true},
                 [LIVE] = {LMN_ROUTE_HEALTH, false, true},
                 [READY] = {LMN_ROUTE_HEALTH, false, true},
                 [INDEX] = {LMN_ROUTE_REPOSITORY, true, true}, /* Triton answers it to both */
                 [LOAD] = {LMN_ROUTE_REPOSITORY, true, false},
                 [UNLOAD] = {LMN_ROUTE_REPOSITORY, true, false},
                 [LENT_SHOWN] = {LMN_ROUTE_SERVER, false, true},
                 [LENT_ENTERS] = {LMN_ROUTE_SERVER, true, false},
                 [LENT_LEAVES] = {LMN_ROUTE_SERVER, true, false},
                 [METRICS] = {LMN_ROUTE_METRICS, false, true},
                 [OPENAPI] = {LMN_ROUTE_SERVER, false, true},
                 [PAGE] = {LMN_ROUTE_PAGE, false, true},
                 [PAGE_CSS] = {LMN_ROUTE_PAGE, false, true},
                 [PAGE_JS] = {LMN_ROUTE_PAGE, false, true},
                 [PROFILE] = {LMN_ROUTE_SERVER, false, true}};

typedef struct target {
    what what;
    lmn_span name;
    uint64_t version; /* 0: the highest */
} target;

/* --- paths --- */

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
    if (lmn_text_is(p, "stats")) return (target){ALL_STATS, {0}, 0};
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
        if (lmn_text_is(p, TAILS[i].text)) t.what = TAILS[i].what;
    if (t.what == MODEL_TRACES && t.version) t.what = NOTHING; /* of all versions alike */
    return t;
}

/* What stands behind /v2/systemsharedmemory/ */
static target of_memory(lmn_span p)
{
    const lmn_span all = {0};
    if (lmn_text_is(p, "status")) return (target){LENT_SHOWN, all, 0};
    if (lmn_text_is(p, "unregister")) return (target){LENT_LEAVES, all, 0};
    if (!skip(&p, "region/")) return (target){NOTHING, all, 0};
    const lmn_span name = segment(&p);
    if (!lmn_repo_name_ok(name)) return (target){NOTHING, all, 0};
    if (lmn_text_is(p, "/status")) return (target){LENT_SHOWN, name, 0};
    if (lmn_text_is(p, "/register")) return (target){LENT_ENTERS, name, 0};
    return (target){lmn_text_is(p, "/unregister") ? LENT_LEAVES : NOTHING, name, 0};
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
                 {"/v2/admin/profile", PROFILE},
                 {"/metrics", METRICS},
                 {"/openapi.json", OPENAPI},
                 {"/", PAGE},
                 {"/page.css", PAGE_CSS},
                 {"/page.js", PAGE_JS}};
    if (skip(&p, "/v2/models/")) return of_model(p);
    if (skip(&p, "/v2/systemsharedmemory/")) return of_memory(p);
    for (size_t i = 0; i < LMN_COUNT(FIXED); i++)
        if (lmn_text_is(p, FIXED[i].path)) return (target){FIXED[i].what, {0}, 0};
    target t = {NOTHING, {0}, 0};
    if (!skip(&p, "/v2/repository/models/")) return t;
    t.name = segment(&p);
    if (lmn_text_is(p, "/load") || lmn_text_is(p, "/unload"))
        t.what = lmn_text_is(p, "/load") ? LOAD : UNLOAD;
    return lmn_repo_name_ok(t.name) ? t : (target){NOTHING, {0}, 0};
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
    if (!lmn_text_is(s->name, row->name)) return;
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
    lmn_jsonw w = lmn_serve_json(l);
    lmn_kserve_model_metadata(&w, &v->sig, numbers, all ? lmn_serve_versions(l, v, numbers) : 1);
    lmn_serve_text(l, r, LMN_ROUTE_MODEL, "application/json");
}

void lmn_serve_write_stats(lmn_serve_loop *l, const lmn_version *only)
{
    lmn_jsonw w = lmn_serve_json(l);
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
    lmn_serve_text(l, r, LMN_ROUTE_MODEL, "application/json");
}

/* Not when all its instances hang: those who could come would wait. */
static void model_ready(lmn_serve_loop *l, lmn_http_request *r, const lmn_version *v)
{
    lmn_model_stats m = {0};
    lmn_serve_answer a = {.route = LMN_ROUTE_MODEL, .type = "application/json"};
    lmn_model_get_stats(v->model, &m);
    const bool ok = m.n_overdue < m.n_instances;
    lmn_jsonw w = lmn_serve_json(l);
    lmn_jsonw_object(&w, NULL);
    lmn_jsonw_str(&w, "name", v->sig.model);
    lmn_jsonw_bool(&w, "ready", ok);
    lmn_jsonw_end(&w);
    a.status = ok ? 200 : 503;
    lmn_answer_text(l, r, &a);
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
        w = lmn_serve_json(l);
        lmn_serve_config_write(&w, v->config, &v->sig, lmn_model_get_config(v->model));
        break;
    default: model_ready(l, r, v); return;
    }
    lmn_serve_text(l, r, ROWS[t->what].route, "application/json");
}

/* --- the server --- */

static void ready(lmn_serve_loop *l, lmn_http_request *r)
{
    const lamina_server *s = l->server;
    const bool ok = !lmn_atomic_load(&s->draining, relaxed) && lmn_repo_ready(s->repo);
    lmn_serve_fixed(l, r, LMN_ROUTE_HEALTH, ok ? 200 : 503, "application/json",
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
    lmn_answer_text(l, r, &a);
}

static void page(lmn_serve_loop *l, lmn_http_request *r)
{
    lmn_serve_answer a = {.status = 200, .route = LMN_ROUTE_PAGE};
    a.type = "text/html; charset=utf-8";
    lmn_answer_field(&a, "Content-Security-Policy",
                     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    lmn_answer_field(&a, "X-Content-Type-Options", "nosniff");
    lmn_answer_field(&a, "Referrer-Policy", "no-referrer");
    lmn_answer_field(&a, "Cache-Control", "no-store");
    lmn_strbuf_reset(&l->text);
    lmn_page_write(l->server, l, &l->text);
    lmn_answer_text(l, r, &a);
}

static void server_metadata(lmn_serve_loop *l, lmn_http_request *r)
{
    lmn_jsonw w = lmn_serve_json(l);
    lmn_kserve_server_metadata(&w);
    lmn_serve_text(l, r, LMN_ROUTE_SERVER, "application/json");
}

static void describe(lmn_serve_loop *l, lmn_http_request *r)
{
    lmn_jsonw w = lmn_serve_json(l);
    lmn_openapi_write(&w);
    lmn_serve_text(l, r, LMN_ROUTE_SERVER, "application/json");
}

static void wrong_method(lmn_serve_loop *l, lmn_http_request *r, what w)
{
    lmn_serve_answer a = {.status = r->method == LMN_HTTP_OPTIONS ? 204 : 405,
                          .route = ROWS[w].route};
    lmn_answer_field(&a, "Allow",
                     ROWS[w].post ? ROWS[w].get ? "GET, HEAD, POST, OPTIONS" : "POST, OPTIONS"
                                  : "GET, HEAD, OPTIONS");
    if (a.status == 405) {
        a.type = "application/json";
        const char *why = ROWS[w].post ? "{\"error\":\"this path takes POST\"}"
                                       : "{\"error\":\"this path takes GET\"}";
        a.body = (lmn_span){(const uint8_t *)why, strlen(why)};
    }
    lmn_serve_reply(l, r, &a);
}

static bool method_fits(lmn_http_method m, what w)
{
    if (m == LMN_HTTP_POST) return ROWS[w].post;
    return ROWS[w].get && (m == LMN_HTTP_GET || m == LMN_HTTP_HEAD);
}

lmn_about lmn_routes_about(lmn_span path, lmn_span *model)
{
    const target t = find(path);
    *model = t.name;
    switch (t.what) {
    case INFER:
    case MODEL:
    case MODEL_READY:
    case MODEL_CONFIG:
    case MODEL_STATS:
    case MODEL_TRACES: return LMN_ABOUT_MODEL;
    case NOTHING:
    case LENT_SHOWN:
    case LENT_ENTERS:
    case LENT_LEAVES:
    case SERVER:
    case OPENAPI: return LMN_ABOUT_NONE;
    default: return LMN_ABOUT_MODELS;
    }
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
    r->user = NULL;
    if (!lmn_serve_admit(l, r)) return 0;
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
    case CAPTURE:
    case PROFILE: lmn_capture_request(l, r, t.what == PROFILE); return;
    case SERVER: server_metadata(l, r); return;
    case LIVE:
        lmn_serve_fixed(l, r, LMN_ROUTE_HEALTH, 200, "application/json", "{\"live\":true}");
        return;
    case READY: ready(l, r); return;
    case INDEX: lmn_repo_list_request(l, r); return;
    case LOAD:
    case UNLOAD: lmn_repo_change_request(l, r, t.name, t.what == UNLOAD); return;
    case LENT_SHOWN: lmn_lent_show(l, r, t.name); return;
    case LENT_ENTERS: lmn_lent_enter(l, r, t.name); return;
    case LENT_LEAVES: lmn_lent_leave(l, r, t.name); return;
    case METRICS: metrics(l, r); return;
    case OPENAPI: describe(l, r); return;
    case PAGE: page(l, r); return;
    case PAGE_CSS:
        lmn_serve_fixed(l, r, LMN_ROUTE_PAGE, 200, "text/css; charset=utf-8", lmn_page_css);
        return;
    case PAGE_JS:
        lmn_serve_fixed(l, r, LMN_ROUTE_PAGE, 200, "text/javascript; charset=utf-8", lmn_page_js);
        return;
    default: of_version(l, r, &t); return;
    }
}
