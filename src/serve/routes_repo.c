/*
 * Requests about the repository: its index, and models to load or to unload.
 */
#include "serve/server_int.h"

#include <stddef.h>
#include <string.h>

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
    lmn_jsonw w = lmn_serve_json(l);
    index_writer i = {&w, ready_only};
    lmn_jsonw_array(&w, NULL);
    lmn_repo_index(l->server->repo, index_row, &i);
    lmn_jsonw_end(&w);
}

void lmn_repo_list_request(lmn_serve_loop *l, lmn_http_request *r)
{
    lamina_error err = {0};
    bool ready_only;
    if (!index_wants(r->body, &ready_only, &err)) {
        lmn_serve_error(l, r, LMN_ROUTE_REPOSITORY, 400, err.msg, 0);
        return;
    }
    lmn_serve_write_index(l, ready_only);
    lmn_serve_text(l, r, LMN_ROUTE_REPOSITORY, "application/json");
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
        lmn_serve_refuse(l, c->req, LMN_ROUTE_REPOSITORY,
                         st == LAMINA_E_CLOSED || st == LAMINA_E_NOMEM ? 503 : 400,
                         c->job.error.msg, 0);
    else if (lmn_rpc_is(c->req))
        lmn_rpc_done(l, c->req, LMN_ROUTE_REPOSITORY);
    else
        lmn_serve_fixed(l, c->req, LMN_ROUTE_REPOSITORY, 200, "application/json", "{}");
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
        lmn_serve_refuse(l, r, LMN_ROUTE_REPOSITORY, 503, "out of memory", 1);
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

void lmn_repo_change_request(lmn_serve_loop *l, lmn_http_request *r, lmn_span name, bool unload)
{
    lamina_error err = {0};
    if (r->listener != l->server->admin) {
        lmn_serve_error(l, r, LMN_ROUTE_REPOSITORY, 403,
                        "models are loaded and unloaded on the admin address only", 0);
        return;
    }
    if (!body_is_plain(r->body, unload, &err)) {
        lmn_serve_error(l, r, LMN_ROUTE_REPOSITORY, 400, err.msg, 0);
        return;
    }
    lmn_serve_change(l, r, name, unload);
}
