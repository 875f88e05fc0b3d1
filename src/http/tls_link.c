/*
 * A client's end of TLS: the plug-in and its context, shared by the links of one thread; records
 * are made in one buffer of the client's and sent from there; what the system does not take is kept
 * with the link until it does.
 */
#include "http/tls_link.h"

#include "base/alloc.h"

#include <string.h>

#define TAG "tls link"
#define REST_MOST ((size_t)1 << 20) /* who makes us say so much and does not listen is cut */

struct lmn_tls_client {
    lamina_allocator alloc;
    lmn_http_plugin plugin;
    const lmn_tls_table *table;
    lmn_tls_context *context;
    char host[256];
    uint8_t sealed[LMN_TLS_OUT_BYTES];
};

static lamina_status make_context(lmn_tls_client *c, const lmn_tls_client_opts *o,
                                  lamina_error *err)
{
    static const char HTTP1[] = "\x08http/1.1";
    lmn_tls_files f = {.client = true, .alpn = {(const uint8_t *)HTTP1, sizeof HTTP1 - 1}};
    lamina_status st = LAMINA_OK;
    if (o->ca) st = lmn_tls_file_read(&c->alloc, "CA", o->ca, &f.ca, err);
    if (st == LAMINA_OK && o->cert)
        st = lmn_tls_file_read(&c->alloc, "certificate", o->cert, &f.cert, err);
    if (st == LAMINA_OK && o->key) st = lmn_tls_file_read(&c->alloc, "key", o->key, &f.key, err);
    if (st == LAMINA_OK) st = c->table->context_make(&f, &c->context, err);
    lmn_tls_file_forget(&c->alloc, &f.ca);
    lmn_tls_file_forget(&c->alloc, &f.cert);
    lmn_tls_file_forget(&c->alloc, &f.key);
    return st;
}

lamina_status lmn_tls_client_open(const lamina_allocator *alloc, const lmn_tls_client_opts *o,
                                  lmn_tls_client **out, lamina_error *err)
{
    if (!o->host || !*o->host || strlen(o->host) >= sizeof(*out)->host)
        return lmn_fail(err, LAMINA_E_INVALID, "the name of the server is empty or too long");
    if (!o->cert != !o->key)
        return lmn_fail(err, LAMINA_E_INVALID, "a certificate and its key go together");
    lmn_tls_client *c = lmn_calloc(alloc, 1, sizeof *c, TAG);
    if (!c) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    c->alloc = *alloc;
    (void)lmn_format(c->host, sizeof c->host, "%s", o->host);
    lamina_status st =
        lmn_http_plugin_open("tls", LMN_TLS_VERSION, sizeof *c->table, &c->plugin, err);
    if (st == LAMINA_OK) {
        c->table = (const lmn_tls_table *)(const void *)c->plugin.table;
        st = make_context(c, o, err);
    }
    if (st == LAMINA_OK)
        *out = c;
    else
        lmn_tls_client_close(c);
    return st;
}

void lmn_tls_client_close(lmn_tls_client *c)
{
    if (!c) return;
    const lamina_allocator alloc = c->alloc;
    if (c->context) c->table->context_free(c->context);
    lmn_http_plugin_close(&c->plugin);
    lmn_cfree(&alloc, c, 1, sizeof *c, TAG);
}

/* ---- records on their way ---- */

static void drop_rest(lmn_tls_link *l)
{
    if (l->rest) lmn_free(&l->client->alloc, l->rest, l->rest_bytes, 1, TAG);
    l->rest = NULL;
    l->rest_n = l->rest_at = l->rest_bytes = 0;
}

/* Keep what did not leave, behind what is kept already. */
static bool keep(lmn_tls_link *l, lmn_span more)
{
    const size_t left = l->rest_n - l->rest_at, n = left + more.n;
    uint8_t *p = n <= REST_MOST ? lmn_alloc(&l->client->alloc, n, 1, TAG) : NULL;
    if (!p) return false;
    if (left) memcpy(p, l->rest + l->rest_at, left);
    memcpy(p + left, more.p, more.n);
    drop_rest(l);
    l->rest = p;
    l->rest_n = l->rest_bytes = n;
    return true;
}

int32_t lmn_tls_link_flush(lmn_tls_link *l)
{
    while (l->rest_at < l->rest_n) {
        const lmn_span rest = {l->rest + l->rest_at, l->rest_n - l->rest_at};
        const int64_t n = lmn_sock_send(l->fd, &rest, 1);
        if (n < 0) return (int32_t)n;
        l->rest_at += (size_t)n;
    }
    drop_rest(l);
    return 1;
}

/* Send what a call of the session has sealed. False: lost. */
static bool emit(lmn_tls_link *l, const lmn_tls_wire *w)
{
    lmn_span all = {w->out, w->out_n};
    if (!all.n) return true;
    while (!l->rest && all.n) {
        const int64_t n = lmn_sock_send(l->fd, &all, 1);
        if (n == LMN_SOCK_AGAIN) break;
        if (n < 0) return false;
        all.p += n, all.n -= (size_t)n;
    }
    return !all.n || keep(l, all);
}

static int64_t pull(void *ctx, void *buf, size_t cap)
{
    const lmn_tls_link *l = ctx;
    return lmn_sock_recv(l->fd, buf, cap);
}

static lmn_tls_wire wire_of(lmn_tls_link *l)
{
    return (lmn_tls_wire){.recv = pull, .ctx = l, .out = l->client->sealed};
}

/* ---- the link ---- */

bool lmn_tls_link_begin(lmn_tls_link *l, lmn_tls_client *c, int fd)
{
    *l = (lmn_tls_link){.client = c, .fd = fd};
    l->session = c->table->session_make(c->context, c->host);
    return l->session != NULL;
}

void lmn_tls_link_end(lmn_tls_link *l)
{
    if (!l->session) return;
    if (l->shaken && !l->rest) {
        lmn_tls_wire w = wire_of(l);
        l->client->table->finish(l->session, &w);
        (void)emit(l, &w);
    }
    drop_rest(l);
    l->client->table->session_free(l->session);
    *l = (lmn_tls_link){.fd = -1};
}

int32_t lmn_tls_link_shake(lmn_tls_link *l)
{
    if (l->shaken) return 1;
    lmn_tls_wire w = wire_of(l);
    const int32_t is = l->client->table->handshake(l->session, &w);
    if (!emit(l, &w) || is == LMN_TLS_LOST) return LMN_SOCK_LOST;
    if (is != 1) return lmn_tls_link_flush(l) == LMN_SOCK_LOST ? LMN_SOCK_LOST : LMN_SOCK_AGAIN;
    l->shaken = true;
    return 1;
}

const char *lmn_tls_link_why(const lmn_tls_link *l)
{
    return l->session ? l->client->table->why(l->session) : "out of memory";
}

int64_t lmn_tls_link_recv(lmn_tls_link *l, void *buf, size_t cap)
{
    lmn_tls_wire w = wire_of(l);
    const int64_t n = l->client->table->read(l->session, &w, buf, cap);
    if (!emit(l, &w) || n == LMN_TLS_LOST) return LMN_SOCK_LOST;
    return n == LMN_TLS_AGAIN ? LMN_SOCK_AGAIN : n;
}

int64_t lmn_tls_link_send(lmn_tls_link *l, const void *p, size_t n)
{
    const int32_t is = lmn_tls_link_flush(l);
    if (is != 1) return is;
    lmn_tls_wire w = wire_of(l);
    if (n > LMN_TLS_SEAL_MOST) n = LMN_TLS_SEAL_MOST;
    if (!l->client->table->write(l->session, &w, p, n) || !emit(l, &w)) return LMN_SOCK_LOST;
    return (int64_t)n;
}
