/*
 * Answers of gRPC: a message in its frame, and behind it how it went. A failure has no message, so
 * its fields stand in the head.
 */
#include "serve/rpc_int.h"

#include "base/os/os_time.h"

#include <string.h>

uint32_t lmn_rpc_http(lmn_rpc_code c)
{
    switch (c) {
    case LMN_RPC_OK: return 200;
    case LMN_RPC_CANCELLED: return 499;
    case LMN_RPC_INVALID: return 400;
    case LMN_RPC_DEADLINE: return 504;
    case LMN_RPC_NOT_FOUND: return 404;
    case LMN_RPC_FORBIDDEN: return 403;
    case LMN_RPC_UNKNOWN_CALLER: return 401;
    case LMN_RPC_UNIMPLEMENTED: return 501;
    case LMN_RPC_INTERNAL: return 500;
    default: return 503;
    }
}

lmn_rpc_code lmn_rpc_code_of(const lmn_infer *r, bool read)
{
    switch (lmn_call_status(r, read)) {
    case 200: return LMN_RPC_OK;
    case 400: return LMN_RPC_INVALID;
    case 499: return LMN_RPC_CANCELLED;
    case 503:
    case 504:
        if (r->status == LAMINA_E_TIMEOUT) return LMN_RPC_DEADLINE;
        return r->status == LAMINA_E_LIMIT ? LMN_RPC_EXHAUSTED : LMN_RPC_UNAVAILABLE;
    default: return LMN_RPC_INTERNAL;
    }
}

/* What is not printable is written %XX. */
static lmn_span escaped(char *out, size_t cap, const char *text)
{
    static const char HEX[] = "0123456789ABCDEF";
    size_t n = 0;
    for (const char *p = text; *p && n + 3 <= cap; p++) {
        const uint8_t c = (uint8_t)*p;
        if (c >= ' ' && c < 0x7f && c != '%') {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = HEX[c >> 4];
        out[n++] = HEX[c & 15];
    }
    return (lmn_span){(const uint8_t *)out, n};
}

void lmn_rpc_end(lmn_rpc_ending *e, lmn_rpc_code c, const char *why)
{
    size_t n = 0;
    if (c >= 10) e->number[n++] = (char)('0' + c / 10);
    e->number[n++] = (char)('0' + c % 10);
    e->n = 1;
    e->fields[0] =
        (lmn_http_field){{(const uint8_t *)"grpc-status", 11}, {(const uint8_t *)e->number, n}};
    if (c == LMN_RPC_OK) return;
    e->fields[1] = (lmn_http_field){{(const uint8_t *)"grpc-message", 12},
                                    escaped(e->message, sizeof e->message, why ? why : "")};
    e->n = 2;
}

static void reply(lmn_serve_loop *l, lmn_http_request *r, const lmn_rpc_ending *e,
                  const lmn_http_piece *message)
{
    /* what we could take, where it was another coding that we were asked in */
    static const lmn_http_field identity = {{(const uint8_t *)"grpc-accept-encoding", 20},
                                            {(const uint8_t *)"identity", 8}};
    uint8_t head[LMN_RPC_HEAD];
    lmn_http_piece pieces[2] = {{.bytes = {head, LMN_RPC_HEAD}}};
    if (message) {
        lmn_rpc_frame(head, message->bytes.n);
        pieces[1] = *message;
    }
    const lmn_http_answer a = {.status = 200,
                               .content_type = "application/grpc",
                               .fields = &identity,
                               .n_fields = message ? 0 : 1,
                               .pieces = pieces,
                               .n_pieces = message ? 2 : 0,
                               .close = lmn_serve_closing(l),
                               .trailers = e->fields,
                               .n_trailers = e->n};
    lmn_http_reply(r, &a);
}

static void fail_as(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, lmn_rpc_code c,
                    uint32_t status, const char *why)
{
    lmn_rpc_ending e;
    lmn_rpc_end(&e, c, why);
    lmn_serve_counted(l, r, route, status, lmn_now_ns());
    reply(l, r, &e, NULL);
}

void lmn_rpc_fail(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, lmn_rpc_code c,
                  const char *why)
{
    fail_as(l, r, route, c, lmn_rpc_http(c), why);
}

void lmn_rpc_error(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                   const char *why)
{
    lmn_rpc_code c = LMN_RPC_UNAVAILABLE;
    switch (status) {
    case 400: c = LMN_RPC_INVALID; break;
    case 401: c = LMN_RPC_UNKNOWN_CALLER; break;
    case 403: c = LMN_RPC_FORBIDDEN; break;
    case 404: c = LMN_RPC_NOT_FOUND; break;
    case 413:
    case 429:
    case 431: c = LMN_RPC_EXHAUSTED; break;
    case 501: c = LMN_RPC_UNIMPLEMENTED; break;
    case 500: c = LMN_RPC_INTERNAL; break;
    default: break;
    }
    fail_as(l, r, route, c, status, why);
}

static void say(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, lmn_http_piece message)
{
    lmn_rpc_ending e;
    lmn_rpc_end(&e, LMN_RPC_OK, NULL);
    lmn_serve_counted(l, r, route, 200, lmn_now_ns());
    reply(l, r, &e, &message);
}

void lmn_rpc_say(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, lmn_span message)
{
    say(l, r, route, (lmn_http_piece){.bytes = message});
}

void lmn_rpc_done(lmn_serve_loop *l, lmn_http_request *r, lmn_route route)
{
    lmn_rpc_say(l, r, route, (lmn_span){NULL, 0});
}

static void release(void *ctx, lmn_span bytes)
{
    lmn_free(ctx, (void *)(uintptr_t)bytes.p, bytes.n, 1, "serve text");
}

void lmn_rpc_say_copy(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, lamina_status st,
                      lmn_span message)
{
    const lamina_allocator *alloc = l->server->alloc;
    if (st == LAMINA_OK && message.n == 0) {
        lmn_rpc_say(l, r, route, message);
        return;
    }
    uint8_t *copy = st == LAMINA_OK ? lmn_alloc(alloc, message.n, 1, "serve text") : NULL;
    if (!copy) {
        lmn_rpc_fail(l, r, route, LMN_RPC_UNAVAILABLE, "out of memory");
        return;
    }
    memcpy(copy, message.p, message.n);
    say(l, r, route, (lmn_http_piece){{copy, message.n}, release, (void *)(uintptr_t)alloc});
}

bool lmn_rpc_refused(void *server, lmn_http_request *r, uint32_t status)
{
    (void)server;
    if (!lmn_rpc_is(r) || (status != 413 && status != 503)) return false;
    lmn_rpc_error(lmn_http_loop_user(r->loop), r, LMN_ROUTE_OTHER, status,
                  status == 413 ? LMN_RPC_TOO_LARGE
                                : "no memory is left for this request; try again");
    return true;
}
