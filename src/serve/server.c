/*
 * The server: options, start, drain, stop, and what a loop keeps.
 */
#include "serve/server_int.h"

#include "base/os/os_self.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"

#include <stddef.h>
#include <string.h>

/* Overloaded, a loop rests so long between turns: a turn refuses several then, and who runs models
 * beside it is not interrupted for each. Longer where a turn refused many. */
#define REST_NS UINT64_C(700000)
#define REST_MANY_NS UINT64_C(1000000)
#define MANY 12u
/* While it is settled what models run next, requests are read when one of them answers or so late;
 * not where anything else was asked lately. */
#define AWAIT_NS UINT64_C(4000000)

/* --- loops --- */

static lamina_status loop_begin(void *ctx, lmn_http_loop *loop, void **user, lamina_error *err)
{
    lamina_server *s = ctx;
    lmn_serve_loop *l = lmn_calloc(s->alloc, 1, sizeof *l, "serve loop");
    if (!l) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    l->server = s;
    l->loop = loop;
    l->thread = lmn_thread_key();
    lmn_strbuf_init(&l->text, s->alloc, LMN_SERVE_TEXT_MAX);
    lmn_mutex_lock(&s->lock);
    while (l->index < s->n_loops && s->loops[l->index]) l->index++;
    lmn_assert(l->index < s->n_loops);
    s->loops[l->index] = l;
    lmn_mutex_unlock(&s->lock);
    lmn_trace_seed(l);
    *user = l;
    return LAMINA_OK;
}

static void loop_end(void *ctx, lmn_http_loop *loop, void *user)
{
    lamina_server *s = ctx;
    lmn_serve_loop *l = user;
    (void)loop;
    lmn_mutex_lock(&s->lock);
    s->loops[l->index] = NULL;
    lmn_mutex_unlock(&s->lock);
    lmn_call_free_all(l);
    lmn_repo_unsee(s->repo, &l->view);
    lmn_strbuf_finish(&l->text);
    lmn_tokens_unref(l->tokens);
    lmn_cfree(s->alloc, l, 1, sizeof *l, "serve loop");
}

/* Clients have left whose requests are held. */
static void tell_models(lmn_serve_loop *l)
{
    l->left = lmn_http_left(l->loop);
    for (uint32_t i = 0; lmn_repo_at(&l->view, i, 0); i++)
        for (uint32_t k = 0; lmn_repo_at(&l->view, i, k); k++)
            lmn_model_left(lmn_repo_at(&l->view, i, k)->model);
}

static uint64_t loop_turn(void *ctx, lmn_http_loop *loop, void *user)
{
    (void)ctx;
    lmn_serve_loop *l = user;
    if (LMN_UNLIKELY(l->crowded_until) && lmn_now_ns() > l->crowded_until) l->crowded_until = 0;
    if (LMN_UNLIKELY(l->crowded_until))
        lmn_http_rest(loop, l->n_refused > MANY ? REST_MANY_NS : REST_NS);
    l->n_refused = 0;
    if (LMN_UNLIKELY(lmn_http_left(loop) != l->left)) tell_models(l);
    const uint64_t again = lmn_call_turn(l);
    if (l->settled && again == UINT64_MAX && lmn_now_ns() > l->lively_ns + LMN_SERVE_LIVELY_NS)
        lmn_http_await(loop, AWAIT_NS);
    return again;
}

static void loop_look(lmn_http_task *task, lmn_http_loop *loop)
{
    lmn_serve_loop *l =
        (lmn_serve_loop *)(void *)((uint8_t *)task - offsetof(lmn_serve_loop, changed));
    (void)loop;
    lmn_atomic_store(&l->told, 0, release);
    lmn_repo_see(l->server->repo, &l->view);
}

/* An idle loop would hold on to versions that are gone: so it is told. */
static void models_changed(void *ctx)
{
    lamina_server *s = ctx;
    lmn_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->n_loops; i++) {
        lmn_serve_loop *l = s->loops[i];
        if (!l || lmn_atomic_exchange(&l->told, 1, acq_rel)) continue;
        l->changed.run = loop_look;
        lmn_http_post(l->loop, &l->changed);
    }
    lmn_mutex_unlock(&s->lock);
}

static void models_said(void *ctx, const char *line)
{
    const lamina_server *s = ctx;
    if (s->log && lmn_settings_logs(&s->settings, LAMINA_LOG_INFO))
        (void)lamina_log(s->log, LAMINA_LOG_INFO, "%s", line);
}

/* --- options --- */

/* Can others than this machine reach it? */
static bool is_public(const char *where)
{
    static const char *const HERE[] = {"unix:", "fd:", "127.", "localhost:", "[::1]:"};
    if (!strchr(where, ':')) return false; /* a port of 127.0.0.1 */
    for (size_t i = 0; i < LMN_COUNT(HERE); i++)
        if (strncmp(where, HERE[i], strlen(HERE[i])) == 0) return false;
    return true;
}

static lamina_status check_addresses(const lamina_server_opts *o, const char *const *listen,
                                     uint32_t n, lamina_error *err)
{
    if (n > LMN_SERVE_MAX_LISTEN)
        return lmn_fail(err, LAMINA_E_LIMIT, "at most %u addresses", LMN_SERVE_MAX_LISTEN);
    for (uint32_t i = 0; i < n; i++)
        if (is_public(listen[i]) && !o->tokens && !o->insecure &&
            !(o->tls && o->tls->asks_clients)) {
            char shown[100];
            (void)lmn_format_name(shown, sizeof shown, listen[i], strlen(listen[i]));
            return lmn_fail(
                err, LAMINA_E_PERM,
                "\"%s\" can be reached by others: give a file of tokens, ask clients for "
                "certificates, or say that this may be insecure",
                shown);
        }
    if (o->admin && is_public(o->admin))
        return lmn_fail(err, LAMINA_E_PERM,
                        "the admin address must be a UNIX socket or loopback, not \"%.100s\"",
                        o->admin);
    return LAMINA_OK;
}

static lamina_status check_opts(const lamina_server_opts *o, lamina_error *err)
{
    if (!o->models) return lmn_fail(err, LAMINA_E_INVALID, "no models are named");
    if (o->tls && o->tls->offers_h2 && !o->http2)
        return lmn_fail(err, LAMINA_E_INVALID, "TLS offers HTTP/2, which this server has not");
    if (o->n_loops > LMN_SERVE_MAX_LOOPS)
        return lmn_fail(err, LAMINA_E_LIMIT, "at most %u loops", LMN_SERVE_MAX_LOOPS);
    if (o->max_batch < -1 || o->max_batch > 1 << 20 || o->n_instances > 256 ||
        o->queue_rows > 1 << 24 || o->delay_us > 3600000000u || (uint32_t)o->control > 2 ||
        o->precision > LAMINA_PRECISION_INT8 || o->max_body_bytes > (uint64_t)1 << 40)
        return lmn_fail(err, LAMINA_E_INVALID, "an option is out of range");
    if (o->n_load && o->control != LAMINA_CONTROL_EXPLICIT)
        return lmn_fail(err, LAMINA_E_INVALID, "models to load are named with explicit control");
    if (o->log && o->log_fd)
        return lmn_fail(err, LAMINA_E_INVALID, "a log goes to a logger or to a descriptor");
    if (o->log_fd > INT32_MAX || o->log_format > LAMINA_LOG_LOGFMT)
        return lmn_fail(err, LAMINA_E_INVALID, "no such descriptor, or format, for a log");
    if (o->log_sample && !o->log && !o->log_fd)
        return lmn_fail(err, LAMINA_E_INVALID, "requests cannot be logged without a log");
    return LAMINA_OK;
}

/* What the options say of every model. */
static lmn_model_config over_of(const lamina_server_opts *o)
{
    lmn_model_config over = {.n_threads = o->n_threads, .precision = o->precision};
    over.batch.max_batch_size = o->max_batch == 0 ? -1 : o->max_batch < 0 ? 0 : o->max_batch;
    over.batch.delay_ns = o->delay_us * 1000u;
    over.batch.max_queue_rows = (int64_t)o->queue_rows;
    over.batch.n_instances = o->n_instances;
    return over;
}

lamina_status lamina_server_try(lamina_engine *engine, const lamina_server_opts *opts,
                                const char *path, lamina_error *err)
{
    lamina_server_opts o;
    if (!engine || !opts || !path) return lmn_fail(err, LAMINA_E_INVALID, "an argument is NULL");
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID, "an option is set that this version does not know");
    LMN_TRY(check_opts(&o, err));
    const lmn_model_config over = over_of(&o);
    return lmn_repo_try(engine, o.models, &over, path, err);
}

static lamina_status open_models(lamina_server *s, const lamina_server_opts *o, lamina_error *err)
{
    static const lmn_repo_mode MODES[] = {LMN_REPO_FIXED, LMN_REPO_EXPLICIT, LMN_REPO_POLL};
    const lmn_model_config over = over_of(o);
    const lmn_repo_opts r = {.path = o->models,
                             .mode = MODES[o->control],
                             .poll_ms = o->poll_ms,
                             .load = o->load,
                             .n_load = o->n_load,
                             .n_shards = s->n_loops,
                             .over = &over,
                             .probe = o->probe,
                             .probe_ctx = o->probe_ctx,
                             .changed = models_changed,
                             .said = models_said,
                             .ctx = s};
    return lmn_repo_open(s->engine, &r, &s->repo, err);
}

static lamina_status open_http(lamina_server *s, const lamina_server_opts *o,
                               const char *const *listen, uint32_t n, lamina_error *err)
{
    lmn_http_listen where[LMN_SERVE_MAX_LISTEN + 1] = {{0}};
    for (uint32_t i = 0; i < n; i++) {
        where[i].where = listen[i];
        if (o->tls && strncmp(listen[i], "unix:", 5) != 0) where[i].tls = o->tls->http;
    }
    s->admin = UINT32_MAX;
    if (o->admin) {
        s->admin = n;
        where[n++].where = o->admin;
    }
    s->n_listen = n;
    s->handler = (lmn_http_handler){.ctx = s,
                                    .begin = loop_begin,
                                    .end = loop_end,
                                    .head = lmn_routes_head,
                                    .closed = lmn_lent_closed,
                                    .refused = lmn_rpc_refused,
                                    .request = lmn_routes_request,
                                    .turn = loop_turn};
    const lmn_http_server_opts h = {
        .listen = where,
        .n_listen = n,
        .n_loops = s->n_loops,
        .limits = {.body_bytes = s->max_body, .n_connections = o->max_connections},
        .handler = &s->handler,
        .h2 = lmn_serve_h2(o->http2)};
    return lmn_http_start(s->alloc, &h, &s->http, err);
}

static lamina_status open_tokens(lamina_server *s, const char *path, lamina_error *err)
{
    const size_t n = strlen(path) + 1;
    s->tokens_path = lmn_alloc(s->alloc, n, 1, "server");
    if (!s->tokens_path) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    s->tokens_path_bytes = n;
    memcpy(s->tokens_path, path, n);
    return lmn_tokens_reload(s, err);
}

static lamina_status open_log(lamina_server *s, const lamina_server_opts *o, lamina_error *err)
{
    s->log = o->log;
    if (!o->log_fd) return LAMINA_OK;
    LMN_TRY(lmn_loglines_open(s->alloc, (int)o->log_fd, o->log_format, &s->lines, err));
    s->log = lmn_loglines_logger(s->lines);
    return LAMINA_OK;
}

static void release(lamina_server *s)
{
    lmn_otlp_close(s->otlp);
    lmn_repo_close(s->repo);
    lmn_tokens_unref(lmn_atomic_load(&s->tokens, relaxed));
    lmn_free(s->alloc, s->tokens_path, s->tokens_path_bytes, 1, "server");
    lmn_lents_finish(&s->lents);
    lmn_mutex_finish(&s->lock);
    lmn_loglines_close(s->lines);
    lmn_cfree(s->alloc, s, 1, sizeof *s, "server");
}

lamina_status lamina_server_start(lamina_engine *engine, const lamina_server_opts *opts,
                                  lamina_server **out, lamina_error *err)
{
    static const char *const DEFAULT[] = {"127.0.0.1:8000"};
    lamina_server_opts o;
    if (!engine || !out || !opts) return lmn_fail(err, LAMINA_E_INVALID, "an argument is NULL");
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID, "an option is set that this version does not know");
    LMN_TRY(check_opts(&o, err));
    const char *const *listen = o.n_listen ? o.listen : DEFAULT;
    const uint32_t n_listen = o.n_listen ? o.n_listen : 1;
    LMN_TRY(check_addresses(&o, listen, n_listen, err));
    lamina_server *s = lmn_calloc(&engine->alloc, 1, sizeof *s, "server");
    if (!s) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    s->engine = engine;
    s->alloc = &engine->alloc;
    s->n_loops = o.n_loops ? o.n_loops : 1;
    s->max_body = o.max_body_bytes ? o.max_body_bytes : (uint64_t)64 << 20;
    s->log_sample = o.log_sample;
    s->started_ns = lmn_now_ns();
    lmn_mutex_init(&s->lock);
    lmn_lents_init(&s->lents, s->alloc);
    s->tls = o.tls;
    lamina_status st = open_log(s, &o, err);
    lmn_settings_init(&s->settings, o.otlp != NULL, o.otlp_rate ? o.otlp_rate : 1000);
    if (st == LAMINA_OK && o.tokens) st = open_tokens(s, o.tokens, err);
    if (st == LAMINA_OK) st = open_models(s, &o, err);
    if (st == LAMINA_OK && o.otlp) st = lmn_otlp_open(s, o.otlp, s->n_loops, &s->otlp, err);
    if (st == LAMINA_OK) st = open_http(s, &o, listen, n_listen, err);
    if (st == LAMINA_OK && s->otlp) st = lmn_otlp_start(s->otlp, err);
    if (st != LAMINA_OK) {
        if (s->http) lmn_http_stop(s->http);
        release(s);
        return st;
    }
    *out = s;
    return LAMINA_OK;
}

uint16_t lamina_server_port(const lamina_server *s, uint32_t i)
{
    return s && i < s->n_listen ? lmn_http_port(s->http, i) : 0;
}

/* Tell the log how reading something again went; the first failure is the one that is returned. */
static lamina_status said_reload(const lamina_server *s, lamina_status st, const char *well,
                                 const lamina_error *why)
{
    if (s->log)
        (void)lamina_log(s->log, st == LAMINA_OK ? LAMINA_LOG_INFO : LAMINA_LOG_ERROR, "%s",
                         st == LAMINA_OK ? well : why->msg);
    return st;
}

lamina_status lamina_server_reload(lamina_server *s, lamina_error *err)
{
    lamina_error of_tls = {0}, of_tokens = {0};
    lamina_status tls = LAMINA_OK, tokens = LAMINA_OK;
    if (!s) return lmn_fail(err, LAMINA_E_INVALID, "an argument is NULL");
    if (s->tls)
        tls = said_reload(s, lamina_tls_reload(s->tls, &of_tls), "certificates were read again",
                          &of_tls);
    if (s->tokens_path)
        tokens =
            said_reload(s, lmn_tokens_reload(s, &of_tokens), "tokens were read again", &of_tokens);
    if (err && (tls != LAMINA_OK || tokens != LAMINA_OK))
        *err = tls != LAMINA_OK ? of_tls : of_tokens;
    return tls != LAMINA_OK ? tls : tokens;
}

void lamina_server_drain(lamina_server *s)
{
    if (!s || lmn_atomic_exchange(&s->draining, 1, acq_rel)) return;
    models_said(s, "draining: not ready any more");
}

/* Requests that are not answered, and inferences whose models still have them. */
static uint64_t in_flight(lamina_server *s)
{
    uint64_t n = lmn_atomic_load(&s->jobs, acquire) + lmn_http_in_flight(s->http);
    lmn_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->n_loops; i++)
        if (s->loops[i]) n += lmn_atomic_load(&s->loops[i]->open_calls, acquire);
    lmn_mutex_unlock(&s->lock);
    return n;
}

static uint64_t connections(const lamina_server *s)
{
    lmn_http_stats stats;
    lmn_http_get_stats(s->http, &stats);
    return stats.open;
}

void lamina_server_stop(lamina_server *s, uint32_t grace_ms)
{
    if (!s) return;
    lamina_server_drain(s);
    lmn_capture_end(s);
    lmn_http_drain(s->http);
    const uint64_t until = lmn_now_ns() + (uint64_t)grace_ms * 1000000u;
    while ((lmn_http_listens(s->http) || connections(s)) && lmn_now_ns() < until) lmn_sleep_ms(2);
    /* What is left is told to stop; models stop before their next node. */
    for (uint32_t i = 0; in_flight(s); i++) {
        if (i % 64 == 0) lmn_repo_abort(s->repo);
        lmn_sleep_ms(2);
    }
    lmn_otlp_finish(s->otlp); /* its last metrics tell of http too */
    lmn_http_stop(s->http);
    release(s);
}

typedef struct model_search {
    uint32_t want, at;
    char last[LMN_REPO_NAME_MAX + 1];
    lamina_server_model_info *info;
    bool found;
} model_search;

/* Rows of one model stand together. */
static void model_row(void *ctx, const lmn_repo_row *row)
{
    model_search *m = ctx;
    if (strcmp(m->last, row->name) != 0) {
        (void)lmn_format(m->last, sizeof m->last, "%s", row->name);
        m->at++;
    }
    if (m->at != m->want + 1) return;
    m->found = true;
    lamina_server_model_info *out = m->info;
    (void)lmn_format(out->name, sizeof out->name, "%s", row->name);
    if (strcmp(row->state, "READY") == 0) {
        out->ready = true;
        if (row->version > out->version) out->version = row->version;
    }
    if (row->reason[0]) (void)lmn_format(out->reason, sizeof out->reason, "%s", row->reason);
}

lamina_status lamina_server_model(lamina_server *s, uint32_t i, lamina_server_model_info *info)
{
    lmn_repo_view view = {0};
    lmn_strbuf text;
    bool known;
    if (!s || !info || info->size != sizeof *info) return LAMINA_E_INVALID;
    *info = (lamina_server_model_info){.size = sizeof *info};
    model_search m = {.want = i, .info = info};
    lmn_repo_index(s->repo, model_row, &m);
    if (!m.found) return LAMINA_E_RANGE;
    lmn_repo_see(s->repo, &view);
    const lmn_span name = {(const uint8_t *)info->name, strlen(info->name)};
    const lmn_version *v = lmn_repo_find(&view, name, 0, &known);
    if (v) {
        info->max_batch = v->sig.max_batch_size;
        info->runs_inline = lmn_model_is_inline(v->model);
        lmn_strbuf_init(&text, s->alloc, sizeof info->example - 1);
        lmn_report_example(&text, &v->sig);
        if (text.status == LAMINA_OK)
            (void)lmn_format(info->example, sizeof info->example, "%s", lmn_strbuf_text(&text));
        lmn_strbuf_finish(&text);
    }
    lmn_repo_unsee(s->repo, &view);
    return LAMINA_OK;
}
