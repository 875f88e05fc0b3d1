/*
 * What leaves the server as text: answers, errors and the counting of both.
 */
#include "serve/server_int.h"

#include "base/os/os_time.h"

#include <string.h>

static lmn_span text_span(const char *s)
{
    return (lmn_span){(const uint8_t *)s, strlen(s)};
}

void lmn_answer_field(lmn_serve_answer *a, const char *name, const char *value)
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
    if (route != LMN_ROUTE_INFER) l->lively_ns = now;
    if (LMN_UNLIKELY(l->server->log != NULL) && is_logged(l))
        lmn_serve_log(l, r, route, status, now);
    l->recorded = NULL;
    l->bytes_out = 0;
}

/* With these bytes as its body. */
static void deliver(lmn_serve_loop *l, lmn_http_request *r, const lmn_serve_answer *a,
                    lmn_http_piece piece)
{
    const lmn_http_answer out = {.status = a->status,
                                 .content_type = a->type,
                                 .fields = a->fields,
                                 .n_fields = a->n_fields,
                                 .pieces = &piece,
                                 .n_pieces = piece.bytes.n ? 1 : 0,
                                 .close = lmn_serve_closing(l)};
    l->bytes_out = piece.bytes.n;
    lmn_serve_counted(l, r, a->route, a->status, lmn_now_ns());
    lmn_http_reply(r, &out);
}

void lmn_serve_reply(lmn_serve_loop *l, lmn_http_request *r, const lmn_serve_answer *a)
{
    deliver(l, r, a, (lmn_http_piece){a->body, NULL, NULL});
}

static void release_text(void *ctx, lmn_span bytes)
{
    lmn_free(ctx, (void *)(uintptr_t)bytes.p, bytes.n, 1, "serve text");
}

/* Short ones are copied by http at once; it may hold on to others. */
void lmn_answer_text(lmn_serve_loop *l, lmn_http_request *r, lmn_serve_answer *a)
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
    deliver(l, r, a, (lmn_http_piece){{copy, l->text.n}, release_text, (void *)(uintptr_t)alloc});
}

lmn_jsonw lmn_serve_json(lmn_serve_loop *l)
{
    lmn_jsonw w;
    lmn_strbuf_reset(&l->text);
    lmn_jsonw_init(&w, &l->text, 0);
    return w;
}

void lmn_serve_error(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                     const char *sentence, uint32_t retry_after_s)
{
    lmn_serve_answer a = {.status = status, .route = route, .type = "application/json"};
    char seconds[16];
    lmn_jsonw w = lmn_serve_json(l);
    lmn_jsonw_object(&w, NULL);
    lmn_jsonw_str(&w, "error", sentence);
    lmn_jsonw_end(&w);
    if (retry_after_s) {
        (void)lmn_format(seconds, sizeof seconds, "%u", retry_after_s);
        lmn_answer_field(&a, "Retry-After", seconds);
    }
    if (status == 401) lmn_answer_field(&a, "WWW-Authenticate", "Bearer");
    l->reason = sentence;
    lmn_answer_text(l, r, &a);
    l->reason = NULL;
}

void lmn_serve_text(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, const char *type)
{
    lmn_serve_answer a = {.status = 200, .route = route, .type = type};
    lmn_answer_text(l, r, &a);
}

void lmn_serve_refuse(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                      const char *why, uint32_t retry_after_s)
{
    if (lmn_rpc_is(r))
        lmn_rpc_error(l, r, route, status, why);
    else
        lmn_serve_error(l, r, route, status, why, retry_after_s);
}

void lmn_serve_fixed(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                     const char *type, const char *body)
{
    lmn_serve_answer a = {.status = status, .route = route, .type = type, .body = text_span(body)};
    if (route == LMN_ROUTE_PAGE) lmn_answer_field(&a, "Cache-Control", "max-age=300");
    lmn_answer_field(&a, "X-Content-Type-Options", "nosniff");
    lmn_serve_reply(l, r, &a);
}
