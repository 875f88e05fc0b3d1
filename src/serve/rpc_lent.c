/*
 * Methods of "system shared memory". Memory comes to this server as a descriptor, which no message
 * of gRPC can carry: it is registered by HTTP/1 over a UNIX socket, and calls of the same process
 * may then name it, see it and give it back here.
 */
#include "serve/rpc_int.h"

static void show(void *ctx, const lmn_lent_region *r)
{
    lmn_jsonw *w = ctx;
    lmn_jsonw_object(w, r->name);
    lmn_jsonw_str(w, "name", r->name);
    lmn_jsonw_str(w, "key", "");
    lmn_jsonw_u64(w, "offset", 0);
    lmn_jsonw_u64(w, "byte_size", r->memory.bytes);
    lmn_jsonw_end(w);
}

/* Field 1 of all of their requests: the region, none: all. False: it was answered. */
static bool name_of(lmn_serve_loop *l, lmn_http_request *r, lmn_span message, lmn_span *name)
{
    lmn_grpc_target t;
    lamina_error err = {0};
    const bool read = lmn_grpc_read_target(message, &t, &err) == LAMINA_OK;
    *name = t.name;
    if (!read) lmn_rpc_fail(l, r, LMN_ROUTE_SERVER, LMN_RPC_INVALID, err.msg);
    return read;
}

static const char NOT_THERE[] = "no such region was registered by this process and token";

void lmn_rpc_lent_status(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    lmn_lent_view v;
    lmn_span name;
    if (!name_of(l, r, message, &name)) return;
    lmn_jsonw w = lmn_serve_json(l);
    lmn_jsonw_object(&w, NULL);
    lmn_jsonw_object(&w, "regions");
    const uint32_t n = lmn_lent_view_of(l, r, &v) ? lmn_lent_each(&v, name, show, &w) : 0;
    lmn_jsonw_end(&w);
    lmn_jsonw_end(&w);
    if (name.n && !n)
        lmn_rpc_fail(l, r, LMN_ROUTE_SERVER, LMN_RPC_NOT_FOUND, NOT_THERE);
    else
        lmn_rpc_say_text(l, r, LMN_ROUTE_SERVER, &lmn_grpc_regions, 0);
}

void lmn_rpc_lent_register(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    (void)message;
    lmn_rpc_fail(l, r, LMN_ROUTE_SERVER, LMN_RPC_UNIMPLEMENTED,
                 "names of shared memory are not opened: pass its descriptor with POST "
                 "/v2/systemsharedmemory/region/NAME/register to a UNIX socket of this server, and "
                 "calls of the same process over such a socket may name it");
}

void lmn_rpc_lent_unregister(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    lmn_lent_view v;
    lmn_span name;
    lamina_error err = {0};
    if (!name_of(l, r, message, &name)) return;
    lamina_status st = name.n ? LAMINA_E_RANGE : LAMINA_OK;
    if (lmn_lent_view_of(l, r, &v)) st = lmn_lent_drop(&v, name, &err);
    if (st == LAMINA_OK)
        lmn_rpc_done(l, r, LMN_ROUTE_SERVER);
    else
        lmn_rpc_fail(l, r, LMN_ROUTE_SERVER,
                     st == LAMINA_E_RANGE ? LMN_RPC_NOT_FOUND : LMN_RPC_INVALID,
                     err.msg[0] ? err.msg : NOT_THERE);
}
