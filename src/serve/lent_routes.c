/*
 * Paths of "system shared memory": regions are registered with the descriptor of their memory,
 * which only a UNIX socket can carry. What the protocol has as a key, a name that the server opens,
 * is refused: whoever knew another's name would read and write his tensors.
 */
#include "serve/server_int.h"

#include <string.h>

#define HELD_MOST \
    ((uint64_t)1 << 30) /* of all connections: pages that they touch are ours to pay */

static const char NOT_THERE[] = "no such region was registered here";

static void say_error(lmn_serve_loop *l, lmn_http_request *r, uint32_t status, const char *why)
{
    lmn_serve_error(l, r, LMN_ROUTE_SERVER, status, why, 0);
}

static void say_done(lmn_serve_loop *l, lmn_http_request *r)
{
    static const uint8_t EMPTY[] = {'{', '}'};
    const lmn_serve_answer a = {.status = 200,
                                .route = LMN_ROUTE_SERVER,
                                .type = "application/json",
                                .body = {EMPTY, sizeof EMPTY}};
    lmn_serve_reply(l, r, &a);
}

/* False: it is not known which process asks. */
static bool owner_of(lmn_serve_loop *l, const lmn_http_request *r, lmn_lent_owner *out)
{
    *out = (lmn_lent_owner){.peer = {.pid = 0}};
    const lmn_token *t = l->tokens ? lmn_tokens_find(l->tokens, r) : NULL;
    if (t) memcpy(out->token, t->digest, sizeof out->token);
    return lmn_http_peer(r, &out->peer);
}

bool lmn_lent_view_of(lmn_serve_loop *l, lmn_http_request *r, lmn_lent_view *out)
{
    void *const *kept = lmn_http_kept(r);
    out->all = &l->server->lents;
    out->own = NULL;
    out->n = 0;
    if (!r->local || !lmn_atomic_load(&out->all->n, relaxed)) return false;
    if (!kept) return owner_of(l, r, &out->owner);
    out->own = *kept;
    return out->own != NULL;
}

/* Names that a client chose for memory of its own mean nothing here. */
static bool names_a_key(lmn_span body)
{
    lmn_json j;
    lmn_json_token t;
    lamina_error err = {0};
    lmn_json_init(&j, body, &err);
    if (!body.n || lmn_json_next(&j, &t) != LMN_JSON_OBJECT) return false;
    while (lmn_json_next(&j, &t) == LMN_JSON_KEY) {
        if (lmn_json_is(&t, "key")) return true;
        if (!lmn_json_skip(&j, &t)) return false;
    }
    return false;
}

void lmn_lent_enter(lmn_serve_loop *l, lmn_http_request *r, lmn_span name)
{
    lamina_server *s = l->server;
    lamina_error err = {0};
    const int fd = lmn_http_take_passed(r);
    void **kept = lmn_http_kept(r);
    if (fd < 0 || !kept) {
        /* over other sockets no body would do */
        say_error(l, r, r->local && kept ? 400 : 403,
                  "memory is registered by its descriptor, passed with the request over a UNIX "
                  "socket; names of shared memory are not opened");
        return;
    }
    if (names_a_key(r->body)) {
        lmn_sock_close(fd);
        say_error(l, r, 400, "\"key\" means nothing here: the descriptor says which memory it is");
        return;
    }
    lmn_lent_owner owner;
    owner_of(l, r, &owner);
    if (!*kept) *kept = lmn_lent_make(&s->lents);
    lamina_status st = *kept ? lmn_lent_add(*kept, name, &owner, fd, s->max_body, HELD_MOST, &err)
                             : lmn_fail(&err, LAMINA_E_NOMEM, "out of memory");
    lmn_sock_close(fd);
    if (st == LAMINA_OK)
        say_done(l, r);
    else
        say_error(l, r, st == LAMINA_E_NOMEM || st == LAMINA_E_OS ? 503 : 400, err.msg);
}

static void show_one(void *ctx, const lmn_lent_region *r)
{
    lmn_jsonw *w = ctx;
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", r->name);
    lmn_jsonw_u64(w, "offset", 0);
    lmn_jsonw_u64(w, "byte_size", r->memory.bytes);
    lmn_jsonw_end(w);
}

void lmn_lent_show(lmn_serve_loop *l, lmn_http_request *r, lmn_span name)
{
    lmn_lent_view v;
    lmn_jsonw w = lmn_serve_json(l);
    lmn_jsonw_array(&w, NULL);
    const uint32_t n = lmn_lent_view_of(l, r, &v) ? lmn_lent_each(&v, name, show_one, &w) : 0;
    lmn_jsonw_end(&w);
    if (name.n && !n)
        say_error(l, r, 404, NOT_THERE);
    else
        lmn_serve_text(l, r, LMN_ROUTE_SERVER, "application/json");
}

void lmn_lent_leave(lmn_serve_loop *l, lmn_http_request *r, lmn_span name)
{
    lmn_lent_view v;
    lamina_error err = {0};
    lamina_status st = name.n ? LAMINA_E_RANGE : LAMINA_OK;
    if (lmn_lent_view_of(l, r, &v)) st = lmn_lent_drop(&v, name, &err);
    if (st == LAMINA_OK)
        say_done(l, r);
    else
        say_error(l, r, st == LAMINA_E_RANGE ? 404 : 400, err.msg[0] ? err.msg : NOT_THERE);
}

void lmn_lent_closed(void *server, void *kept)
{
    (void)server;
    lmn_lent_free(kept);
}
