/*
 * An inference as one message of gRPC: which model it names, its deadline, and its answer as pieces
 * that lie where the run left them.
 */
#include "serve/rpc_int.h"

#include "base/os/os_time.h"
#include "base/text.h"

#include <string.h>

static uint64_t timeout_of(const lmn_http_request *r)
{
    static const char UNITS[] = "HMSmun";
    static const uint64_t NS[] = {
        UINT64_C(3600000000000), UINT64_C(60000000000), 1000000000, 1000000, 1000, 1};
    const lmn_span v = lmn_http_field_get(r, "grpc-timeout");
    int64_t n;
    if (v.n < 2 || v.n > 9 || !lmn_parse_i64(v.p, v.n - 1, &n) || n < 0) return 0;
    const char *unit = memchr(UNITS, v.p[v.n - 1], sizeof UNITS - 1);
    return unit ? (n ? (uint64_t)n : 1) * NS[unit - UNITS] : 0;
}

static void fail(lmn_call *c, bool read)
{
    lmn_infer *q = &c->infer;
    const char *why = q->error.msg[0] ? q->error.msg : lamina_status_text(q->status);
    lmn_call_record(c, lmn_call_status(q, read), 0);
    lmn_rpc_fail(c->home, c->req, LMN_ROUTE_INFER, lmn_rpc_code_of(q, read), why);
    lmn_call_give(c);
}

bool lmn_rpc_write_answer(lmn_call *c, lmn_span pieces[1 + LMN_GRPC_MAX_PIECES], uint32_t *n,
                          size_t *bytes)
{
    lmn_infer *q = &c->infer;
    *bytes = 0;
    if (q->status == LAMINA_OK)
        q->status = lmn_grpc_write_infer(&c->version->sig, q, &c->arena, pieces + 1, n, &q->error);
    for (uint32_t i = 0; q->status == LAMINA_OK && i < *n; i++) *bytes += pieces[1 + i].n;
    if (q->status == LAMINA_OK && *bytes > UINT32_MAX - 16)
        q->status = lmn_fail(&q->error, LAMINA_E_LIMIT, "the answer is larger than a message");
    return q->status == LAMINA_OK;
}

static void succeed(lmn_call *c)
{
    lmn_span bytes[1 + LMN_GRPC_MAX_PIECES];
    lmn_http_piece pieces[1 + LMN_GRPC_MAX_PIECES];
    lmn_rpc_ending e;
    uint32_t n;
    size_t all;
    uint8_t *head = lmn_arena_bump(&c->arena, LMN_RPC_HEAD, 1);
    if (!head) c->infer.status = LAMINA_E_NOMEM;
    if (!lmn_rpc_write_answer(c, bytes, &n, &all)) {
        fail(c, false);
        return;
    }
    lmn_rpc_frame(head, all);
    bytes[0] = (lmn_span){head, LMN_RPC_HEAD};
    for (uint32_t i = 0; i <= n; i++) pieces[i] = (lmn_http_piece){bytes[i], lmn_call_released, c};
    lmn_rpc_end(&e, LMN_RPC_OK, NULL);
    const lmn_http_answer a = {.status = 200,
                               .content_type = "application/grpc",
                               .pieces = pieces,
                               .n_pieces = n + 1,
                               .close = lmn_serve_closing(c->home),
                               .trailers = e.fields,
                               .n_trailers = e.n};
    const uint64_t now = lmn_now_ns();
    c->pieces = n + 2;
    lmn_call_record(c, 200, now);
    lmn_serve_counted(c->home, c->req, LMN_ROUTE_INFER, 200, now);
    lmn_http_reply(c->req, &a);
    lmn_call_released(c, (lmn_span){0});
}

void lmn_rpc_finish(lmn_call *c)
{
    if (c->stream)
        lmn_rpc_stream_ready(c);
    else if (c->infer.status == LAMINA_OK)
        succeed(c);
    else
        fail(c, false);
}

lmn_version *lmn_rpc_find(lmn_serve_loop *l, const lmn_http_request *r, lmn_span message,
                          lmn_rpc_code *c, char why[LAMINA_ERROR_MSG_BYTES])
{
    lmn_grpc_target t;
    lamina_error err = {0};
    int64_t number = 0;
    bool known;
    *c = LMN_RPC_INVALID;
    if (lmn_grpc_read_target(message, &t, &err) != LAMINA_OK) {
        (void)lmn_format(why, LAMINA_ERROR_MSG_BYTES, "%s", err.msg);
        return NULL;
    }
    if (!lmn_serve_may(l, r, t.name)) {
        (void)lmn_format(why, LAMINA_ERROR_MSG_BYTES, "this token is for other models");
        *c = LMN_RPC_FORBIDDEN;
        return NULL;
    }
    if (!lmn_repo_name_ok(t.name) ||
        (t.version.n && (!lmn_parse_i64(t.version.p, t.version.n, &number) || number < 1))) {
        (void)lmn_format(why, LAMINA_ERROR_MSG_BYTES, "there is no model of that name or version");
        *c = LMN_RPC_NOT_FOUND;
        return NULL;
    }
    lmn_version *v = lmn_repo_find(&l->view, t.name, (uint64_t)number, &known);
    if (!v)
        *c = lmn_serve_not_there(l, t.name, (uint64_t)number, known, why) ? LMN_RPC_UNAVAILABLE
                                                                          : LMN_RPC_NOT_FOUND;
    return v;
}

bool lmn_rpc_begin_call(lmn_call *c, lmn_http_request *r, lmn_version *v, lmn_span message,
                        bool *read)
{
    lmn_infer *q = lmn_call_aim(c, r, v);
    const uint64_t timeout = timeout_of(r);
    c->rpc = true;
    *read = false;
    q->status = lmn_grpc_read_infer(&v->sig, message, &c->arena, q, &q->error);
    if (q->status != LAMINA_OK) return false;
    *read = true;
    if (timeout && (!q->timeout_ns || timeout < q->timeout_ns)) q->timeout_ns = timeout;
    return lmn_call_submit(c);
}

void lmn_rpc_infer(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    char why[LAMINA_ERROR_MSG_BYTES];
    lmn_rpc_code status;
    bool read;
    lmn_version *v = lmn_rpc_find(l, r, message, &status, why);
    lmn_call *c = v ? lmn_call_take(l) : NULL;
    if (!v) {
        lmn_rpc_fail(l, r, LMN_ROUTE_INFER, status, why);
    } else if (!c) {
        lmn_rpc_fail(l, r, LMN_ROUTE_INFER, LMN_RPC_UNAVAILABLE, "out of memory");
    } else {
        c->stream = NULL;
        if (!lmn_rpc_begin_call(c, r, v, message, &read)) fail(c, !read);
    }
}
