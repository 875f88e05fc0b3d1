/*
 * What gRPC tells of models and of the repository, and how these are changed: configuration,
 * statistics, the index, load and unload. What is told is the JSON of HTTP, as messages.
 */
#include "serve/rpc_int.h"

#include "base/pbwire.h"

#include <string.h>

static const char OTHERS[] = "this token is for other models";

void lmn_rpc_say_text(lmn_serve_loop *l, lmn_http_request *r, lmn_route route,
                      const lmn_grpc_message *m, uint32_t number)
{
    lmn_arena arena;
    lmn_span out = {NULL, 0};
    lamina_status st = l->text.status;
    lmn_arena_init(&arena, l->server->alloc, 5 * LMN_SERVE_TEXT_MAX);
    if (st == LAMINA_OK)
        st = lmn_grpc_of_json(m, number, (lmn_span){(const uint8_t *)l->text.p, l->text.n}, &arena,
                              &out, NULL);
    lmn_rpc_say_copy(l, r, route, st, out);
    lmn_arena_finish(&arena);
}

void lmn_rpc_model_config(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    char why[LAMINA_ERROR_MSG_BYTES];
    lmn_rpc_code c;
    const lmn_version *v = lmn_rpc_find(l, r, message, &c, why);
    if (!v) {
        lmn_rpc_fail(l, r, LMN_ROUTE_MODEL, c, why);
        return;
    }
    lmn_jsonw w = lmn_serve_json(l);
    lmn_serve_config_write(&w, v->config, &v->sig, lmn_model_get_config(v->model));
    lmn_rpc_say_text(l, r, LMN_ROUTE_MODEL, &lmn_grpc_model_config, 1);
}

void lmn_rpc_model_statistics(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    char why[LAMINA_ERROR_MSG_BYTES];
    lmn_grpc_target t;
    lamina_error err = {0};
    lmn_rpc_code c;
    const lmn_version *v = NULL;
    if (lmn_grpc_read_target(message, &t, &err) != LAMINA_OK) {
        lmn_rpc_fail(l, r, LMN_ROUTE_MODEL, LMN_RPC_INVALID, err.msg);
        return;
    }
    if (t.name.n && !(v = lmn_rpc_find(l, r, message, &c, why))) {
        lmn_rpc_fail(l, r, LMN_ROUTE_MODEL, c, why);
        return;
    }
    if (!v && !lmn_serve_may(l, r, t.name)) {
        lmn_rpc_fail(l, r, LMN_ROUTE_MODEL, LMN_RPC_FORBIDDEN, OTHERS);
        return;
    }
    lmn_serve_write_stats(l, v);
    lmn_rpc_say_text(l, r, LMN_ROUTE_MODEL, &lmn_grpc_model_statistics, 0);
}

/* ---- the repository ---- */

void lmn_rpc_index(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    lmn_pb c = lmn_pb_of(message);
    lmn_pb_field f;
    bool ready = false, good = true;
    while (lmn_pb_next(&c, &f))
        if (f.num == 2) {
            good &= f.wire == LMN_PB_VARINT;
            ready = f.u != 0;
        }
    if (c.bad || !good) {
        lmn_rpc_fail(l, r, LMN_ROUTE_REPOSITORY, LMN_RPC_INVALID, "the message is damaged");
    } else if (!lmn_serve_may(l, r, (lmn_span){NULL, 0})) {
        lmn_rpc_fail(l, r, LMN_ROUTE_REPOSITORY, LMN_RPC_FORBIDDEN, OTHERS);
    } else {
        lmn_serve_write_index(l, ready);
        lmn_rpc_say_text(l, r, LMN_ROUTE_REPOSITORY, &lmn_grpc_model_index, 1);
    }
}

/* The key of an entry of `parameters`. */
static lmn_span key_of(lmn_span entry)
{
    lmn_pb c = lmn_pb_of(entry);
    lmn_pb_field f;
    lmn_span key = {entry.p, 0};
    while (lmn_pb_next(&c, &f))
        if (f.num == 1 && f.wire == LMN_PB_BYTES) key = f.s;
    return key;
}

/* As over HTTP: models and their configuration come from the repository alone. */
static bool is_plain(lmn_span message, bool unload)
{
    static const char DEPENDENTS[] = "unload_dependents";
    const size_t n = sizeof DEPENDENTS - 1;
    lmn_pb c = lmn_pb_of(message);
    lmn_pb_field f;
    while (lmn_pb_next(&c, &f)) {
        if (f.num != 3) continue;
        const lmn_span key = f.wire == LMN_PB_BYTES ? key_of(f.s) : (lmn_span){NULL, 0};
        if (!unload || key.n != n || memcmp(key.p, DEPENDENTS, n) != 0) return false;
    }
    return true;
}

static void change(lmn_serve_loop *l, lmn_http_request *r, lmn_span message, bool unload)
{
    lmn_grpc_target t;
    lamina_error err = {0};
    if (r->listener != l->server->admin)
        lmn_rpc_fail(l, r, LMN_ROUTE_REPOSITORY, LMN_RPC_FORBIDDEN,
                     "models are loaded and unloaded on the admin address only");
    else if (lmn_grpc_read_target(message, &t, &err) != LAMINA_OK)
        lmn_rpc_fail(l, r, LMN_ROUTE_REPOSITORY, LMN_RPC_INVALID, err.msg);
    else if (!is_plain(message, unload))
        lmn_rpc_fail(l, r, LMN_ROUTE_REPOSITORY, LMN_RPC_UNIMPLEMENTED,
                     "parameters of a load request are not supported: models and their "
                     "configuration come from the repository alone");
    else if (!lmn_repo_name_ok(t.version)) /* where these requests have the model */
        lmn_rpc_fail(l, r, LMN_ROUTE_REPOSITORY, LMN_RPC_INVALID, "there is no model of that name");
    else
        lmn_serve_change(l, r, t.version, unload);
}

void lmn_rpc_load(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    change(l, r, message, false);
}

void lmn_rpc_unload(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    change(l, r, message, true);
}
