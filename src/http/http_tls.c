/*
 * TLS between a connection and its socket. Certificates are read here (the plug-in sees no files);
 * a session is made at accept and shakes hands under the time limit of a head. Plain bytes wait in
 * the output of the connection and are sealed when they can be sent; records that the system does
 * not take stand before them.
 */
#include "base/os/os_file.h"
#include "base/os/os_mutex.h"
#include "http/http_int.h"
#include "http/tls_link.h"

#include <string.h>

#define FILE_MOST ((uint64_t)1 << 20)
#define PATH_MOST 4096u

struct lmn_http_tls {
    lamina_allocator alloc;
    lmn_http_plugin plugin;
    const lmn_tls_table *table;
    lmn_mutex lock; /* context */
    lmn_tls_context *context;
    lmn_span alpn;
    uint8_t alpn_bytes[64];
    char cert[PATH_MOST], key[PATH_MOST], client_ca[PATH_MOST]; /* "": none */
};

/* ---- certificates ---- */

void lmn_tls_file_forget(const lamina_allocator *alloc, lmn_span *text)
{
    uint8_t *p = (uint8_t *)(uintptr_t)text->p;
    if (!p) return;
    explicit_bzero(p, text->n);
    lmn_free(alloc, p, text->n, 16, "tls file");
    *text = (lmn_span){0};
}

lamina_status lmn_tls_file_read(const lamina_allocator *alloc, const char *what, const char *path,
                                lmn_span *out, lamina_error *err)
{
    int fd = -1;
    uint64_t bytes = 0;
    lamina_status st = lmn_os_open(path, &fd, &bytes, err);
    if (st == LAMINA_OK && (bytes == 0 || bytes > FILE_MOST))
        st = lmn_fail(err, LAMINA_E_LIMIT, "is empty or too long");
    if (st == LAMINA_OK) {
        out->p = lmn_alloc(alloc, (size_t)bytes, 16, "tls file");
        out->n = (size_t)bytes;
        st = out->p ? lmn_os_read_at(fd, 0, (void *)(uintptr_t)out->p, (size_t)bytes, err)
                    : lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    }
    if (fd >= 0) lmn_os_close(fd);
    if (st != LAMINA_OK) lmn_error_prefix(err, "the %s", what);
    return st;
}

lamina_status lmn_http_tls_reload(lmn_http_tls *t, lamina_error *err)
{
    lmn_tls_files f = {.alpn = t->alpn};
    lmn_tls_context *made = NULL;
    lamina_status st = lmn_tls_file_read(&t->alloc, "certificate", t->cert, &f.cert, err);
    if (st == LAMINA_OK) st = lmn_tls_file_read(&t->alloc, "key", t->key, &f.key, err);
    if (st == LAMINA_OK && t->client_ca[0])
        st = lmn_tls_file_read(&t->alloc, "client CA", t->client_ca, &f.ca, err);
    if (st == LAMINA_OK) st = t->table->context_make(&f, &made, err);
    lmn_tls_file_forget(&t->alloc, &f.cert);
    lmn_tls_file_forget(&t->alloc, &f.key);
    lmn_tls_file_forget(&t->alloc, &f.ca);
    if (st != LAMINA_OK) return st;
    lmn_mutex_lock(&t->lock);
    lmn_tls_context *old = t->context;
    t->context = made;
    lmn_mutex_unlock(&t->lock);
    if (old) t->table->context_free(old);
    return LAMINA_OK;
}

lamina_status lmn_http_tls_open(const lamina_allocator *alloc, const lmn_http_tls_opts *o,
                                lmn_http_tls **out, lamina_error *err)
{
    static const char HTTP1[] = "\x08http/1.1";
    const lmn_span http1 = {(const uint8_t *)HTTP1, sizeof HTTP1 - 1};
    const lmn_span alpn = o->alpn.n ? o->alpn : http1;
    const char *ca = o->client_ca ? o->client_ca : "";
    lmn_http_tls *t;
    if (strlen(o->cert) >= PATH_MOST || strlen(o->key) >= PATH_MOST || strlen(ca) >= PATH_MOST ||
        alpn.n > sizeof t->alpn_bytes)
        return lmn_fail(err, LAMINA_E_LIMIT, "a path of a certificate or key is too long");
    t = lmn_calloc(alloc, 1, sizeof *t, "tls");
    if (!t) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    t->alloc = *alloc;
    lmn_mutex_init(&t->lock);
    memcpy(t->alpn_bytes, alpn.p, alpn.n);
    t->alpn = (lmn_span){t->alpn_bytes, alpn.n};
    (void)lmn_format(t->cert, PATH_MOST, "%s", o->cert);
    (void)lmn_format(t->key, PATH_MOST, "%s", o->key);
    (void)lmn_format(t->client_ca, PATH_MOST, "%s", ca);
    lamina_status st =
        lmn_http_plugin_open("tls", LMN_TLS_VERSION, sizeof *t->table, &t->plugin, err);
    if (st == LAMINA_OK) {
        t->table = (const lmn_tls_table *)(const void *)t->plugin.table;
        st = lmn_http_tls_reload(t, err);
    }
    if (st == LAMINA_OK)
        *out = t;
    else
        lmn_http_tls_close(t);
    return st;
}

const char *lmn_http_tls_about(const lmn_http_tls *t)
{
    return t->table->about();
}

void lmn_http_tls_close(lmn_http_tls *t)
{
    if (!t) return;
    const lamina_allocator alloc = t->alloc;
    if (t->context) t->table->context_free(t->context);
    lmn_http_plugin_close(&t->plugin);
    lmn_mutex_finish(&t->lock);
    lmn_cfree(&alloc, t, 1, sizeof *t, "tls");
}

/* ---- connections ---- */

bool lmn_http_tls_begin(lmn_http_conn *c, lmn_http_tls *t)
{
    lmn_mutex_lock(&t->lock);
    c->session = t->table->session_make(t->context, NULL);
    lmn_mutex_unlock(&t->lock);
    c->tls = t->table;
    return c->session != NULL;
}

void lmn_http_tls_free(lmn_http_conn *c)
{
    if (c->session) c->tls->session_free(c->session);
    c->session = NULL;
}

/* What a session reads from. Who sends records that hold nothing for us waits for the next turn. */
static int64_t pull(void *ctx, void *buf, size_t cap)
{
    lmn_http_conn *c = ctx;
    if (c->dry) return LMN_TLS_AGAIN;
    if (c->loop->pulled >= LMN_HTTP_READ_MOST) {
        lmn_http_queue(c);
        return LMN_TLS_AGAIN;
    }
    const int64_t got = lmn_sock_recv(c->fd, buf, cap);
    if (got < (int64_t)cap && (!c->half || got <= 0)) c->dry = true;
    if (got > 0) {
        lmn_http_bump(&c->loop->counts.bytes_in, (uint64_t)got);
        c->moved += (uint64_t)got;
        c->loop->pulled += (size_t)got;
    }
    return got;
}

static lmn_tls_wire wire_of(lmn_http_conn *c)
{
    c->loop->pulled = 0;
    return (lmn_tls_wire){.recv = pull, .ctx = c, .out = c->loop->sealed};
}

bool lmn_http_tls_shake(lmn_http_conn *c)
{
    lmn_http_loop *l = c->loop;
    lmn_tls_wire w = wire_of(c);
    const int32_t is = c->tls->handshake(c->session, &w);
    if (!lmn_http_out_sealed(c, (lmn_span){w.out, w.out_n})) {
        lmn_http_bump(&l->counts.bad_handshakes, 1);
        lmn_http_conn_lost(c);
        return false;
    }
    if (is == 1) {
        const lmn_span p = c->tls->alpn(c->session);
        c->shaken = true;
        c->wants_h2 = p.n == 2 && memcmp(p.p, "h2", 2) == 0;
        lmn_http_bump(&l->counts.handshakes, 1);
        lmn_http_timer_set(c, c->out ? LMN_HTTP_TIMER_STALL : LMN_HTTP_TIMER_IDLE);
        return true;
    }
    c->readable = !c->dry;
    if (is == LMN_TLS_LOST) { /* it is told why, by an alert */
        lmn_http_bump(&l->counts.bad_handshakes, 1);
        lmn_http_conn_end(c);
    }
    return false;
}

int64_t lmn_http_tls_recv(lmn_http_conn *c, void *p, size_t cap)
{
    lmn_tls_wire w = wire_of(c);
    size_t n = 0;
    int64_t got = LMN_TLS_AGAIN;
    while (n < cap && (got = c->tls->read(c->session, &w, (uint8_t *)p + n, cap - n)) > 0)
        n += (size_t)got;
    c->within = got == LMN_TLS_AGAIN && c->tls->within(c->session);
    if (got == LMN_TLS_AGAIN) c->readable = !c->dry;
    if (c->within && c->timer == LMN_HTTP_TIMER_IDLE) lmn_http_timer_set(c, LMN_HTTP_TIMER_IDLE);
    /* tickets were sent, or new keys confirmed, or there is an alert */
    if (!lmn_http_out_sealed(c, (lmn_span){w.out, w.out_n})) return LMN_SOCK_LOST;
    return n ? (int64_t)n : got; /* what ended it is said again by the next call */
}

bool lmn_http_tls_finish(lmn_http_conn *c)
{
    if (c->notified || !c->shaken) return true;
    lmn_tls_wire w = wire_of(c);
    c->notified = true;
    c->tls->finish(c->session, &w);
    if (!lmn_http_out_sealed(c, (lmn_span){w.out, w.out_n})) {
        lmn_http_conn_lost(c);
    } else if (c->out) {
        lmn_http_timer_set(c, LMN_HTTP_TIMER_STALL);
    } else {
        return true;
    }
    return false;
}
