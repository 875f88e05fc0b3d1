/*
 * KServe v2 and health checks over gRPC: which method a path names, and the small ones of them. An
 * inference is in rpc_infer.c, a stream of them in rpc_stream.c.
 */
#include "serve/rpc_int.h"

#include "base/text.h"

#include <string.h>

static bool begins(lmn_span s, const char *text)
{
    const size_t n = strlen(text);
    return s.n >= n && memcmp(s.p, text, n) == 0;
}

bool lmn_rpc_is(const lmn_http_request *r)
{
    return r->version == 20 && r->method == LMN_HTTP_POST &&
           begins(lmn_http_field_get(r, "content-type"), "application/grpc");
}

/* ---- methods ---- */

static bool server_ready(const lamina_server *s)
{
    return !lmn_atomic_load(&s->draining, relaxed) && lmn_repo_ready(s->repo);
}

static void boolean(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, bool value)
{
    uint8_t message[2];
    const size_t n = lmn_grpc_write_bool(message, value);
    lmn_rpc_say(l, r, route, (lmn_span){message, n});
}

static void server_live(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    (void)message;
    boolean(l, r, LMN_ROUTE_HEALTH, true);
}

static void server_is_ready(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    (void)message;
    boolean(l, r, LMN_ROUTE_HEALTH, server_ready(l->server));
}

static void health(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    lmn_grpc_target t; /* field 1 of HealthCheckRequest: the service */
    lamina_error err = {0};
    if (lmn_grpc_read_target(message, &t, &err) != LAMINA_OK) {
        lmn_rpc_fail(l, r, LMN_ROUTE_HEALTH, LMN_RPC_INVALID, err.msg);
    } else if (t.name.n && !lmn_text_is(t.name, "inference.GRPCInferenceService")) {
        lmn_rpc_fail(l, r, LMN_ROUTE_HEALTH, LMN_RPC_NOT_FOUND, "there is no such service");
    } else {
        const uint8_t status[2] = {1 << 3, server_ready(l->server) ? 1 : 2};
        lmn_rpc_say(l, r, LMN_ROUTE_HEALTH, (lmn_span){status, 2});
    }
}

/* Of v, with all versions of its model where none was asked for; NULL: of the server. */
static void metadata(lmn_serve_loop *l, lmn_http_request *r, const lmn_version *v, bool all)
{
    uint64_t numbers[LMN_SERVE_VERSIONS] = {v ? v->number : 0};
    const uint32_t n = all ? lmn_serve_versions(l, v, numbers) : 1;
    lmn_arena arena;
    lmn_span message = {NULL, 0};
    lmn_arena_init(&arena, l->server->alloc, LMN_SERVE_TEXT_MAX);
    const lamina_status st = v ? lmn_grpc_model_metadata(&v->sig, numbers, n, &arena, &message)
                               : lmn_grpc_server_metadata(&arena, &message);
    lmn_rpc_say_copy(l, r, LMN_ROUTE_MODEL, st, message);
    lmn_arena_finish(&arena);
}

static void server_metadata(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    (void)message;
    metadata(l, r, NULL, false);
}

static void model_ready(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    char why[LAMINA_ERROR_MSG_BYTES];
    lmn_rpc_code c;
    const lmn_version *v = lmn_rpc_find(l, r, message, &c, why);
    if (v || c == LMN_RPC_NOT_FOUND || c == LMN_RPC_UNAVAILABLE)
        boolean(l, r, LMN_ROUTE_MODEL, v != NULL);
    else
        lmn_rpc_fail(l, r, LMN_ROUTE_MODEL, c, why);
}

static void model_metadata(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    char why[LAMINA_ERROR_MSG_BYTES];
    lmn_rpc_code c;
    lmn_grpc_target t;
    const lmn_version *v = lmn_rpc_find(l, r, message, &c, why);
    if (v)
        metadata(l, r, v, lmn_grpc_read_target(message, &t, NULL) == LAMINA_OK && !t.version.n);
    else
        lmn_rpc_fail(l, r, LMN_ROUTE_MODEL, c, why);
}

static void no_cuda(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    (void)message;
    lmn_rpc_fail(l, r, LMN_ROUTE_OTHER, LMN_RPC_UNIMPLEMENTED,
                 "there is no CUDA memory here: send tensors in messages");
}

/* ---- dispatch ---- */

static const char KSERVE[] = "/inference.GRPCInferenceService/";
static const char HEALTH[] = "/grpc.health.v1.Health/";

/* What comes behind the service's name; empty: another service. */
static lmn_span method_of(lmn_span path, const char *service)
{
    const size_t n = strlen(service);
    if (!begins(path, service)) return (lmn_span){NULL, 0};
    return (lmn_span){path.p + n, path.n - n};
}

uint64_t lmn_rpc_head(lmn_serve_loop *l, lmn_http_request *r)
{
    const lmn_span coding = lmn_http_field_get(r, "grpc-encoding");
    const lmn_span method = method_of(r->path, KSERVE);
    if (coding.n && !lmn_text_is(coding, "identity")) {
        lmn_rpc_fail(l, r, LMN_ROUTE_OTHER, LMN_RPC_UNIMPLEMENTED, LMN_RPC_COMPRESSED);
        return 0;
    }
    if (lmn_text_is(method, "ModelStreamInfer")) {
        lmn_rpc_stream_open(l, r);
        return 0;
    }
    return lmn_text_is(method, "ModelInfer") ? l->server->max_body + LMN_RPC_HEAD : 64u << 10;
}

/* The one message of a request. False: it was answered. */
static bool message_of(lmn_serve_loop *l, lmn_http_request *r, lmn_span *out)
{
    const uint8_t *p = r->body.p;
    const char *why = NULL;
    lmn_rpc_code c = LMN_RPC_INTERNAL;
    if (r->body.n < LMN_RPC_HEAD) {
        why = "the request has no message";
    } else if (p[0]) {
        c = LMN_RPC_UNIMPLEMENTED;
        why = LMN_RPC_COMPRESSED;
    } else if (((uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 8 | p[4]) !=
               r->body.n - LMN_RPC_HEAD) {
        why = "the request is not one message";
    }
    if (why) {
        lmn_rpc_fail(l, r, LMN_ROUTE_OTHER, c, why);
        return false;
    }
    *out = (lmn_span){p + LMN_RPC_HEAD, r->body.n - LMN_RPC_HEAD};
    return true;
}

void lmn_rpc_request(lmn_serve_loop *l, lmn_http_request *r)
{
    static const struct {
        const char *name;
        void (*run)(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
    } METHODS[] = {{"ModelInfer", lmn_rpc_infer},
                   {"ModelConfig", lmn_rpc_model_config},
                   {"ModelStatistics", lmn_rpc_model_statistics},
                   {"RepositoryIndex", lmn_rpc_index},
                   {"RepositoryModelLoad", lmn_rpc_load},
                   {"RepositoryModelUnload", lmn_rpc_unload},
                   {"TraceSetting", lmn_rpc_trace_setting},
                   {"LogSettings", lmn_rpc_log_settings},
                   {"SystemSharedMemoryStatus", lmn_rpc_lent_status},
                   {"SystemSharedMemoryRegister", lmn_rpc_lent_register},
                   {"SystemSharedMemoryUnregister", lmn_rpc_lent_unregister},
                   {"CudaSharedMemoryStatus", no_cuda},
                   {"CudaSharedMemoryRegister", no_cuda},
                   {"CudaSharedMemoryUnregister", no_cuda},
                   {"ServerLive", server_live},
                   {"ServerReady", server_is_ready},
                   {"ModelReady", model_ready},
                   {"ServerMetadata", server_metadata},
                   {"ModelMetadata", model_metadata}};
    const lmn_span method = method_of(r->path, KSERVE);
    lmn_span message;
    if (!message_of(l, r, &message)) return;
    for (size_t i = 0; i < LMN_COUNT(METHODS); i++)
        if (lmn_text_is(method, METHODS[i].name)) {
            METHODS[i].run(l, r, message);
            return;
        }
    if (lmn_text_is(method_of(r->path, HEALTH), "Check"))
        health(l, r, message);
    else
        lmn_rpc_fail(l, r, LMN_ROUTE_OTHER, LMN_RPC_UNIMPLEMENTED, "there is no such method");
}
