/*
 * The blocking client (lamina/client.h): one connection, one call at a time.
 */
#include "serve/client_int.h"

#include "base/engine.h"
#include "base/os/os_poll.h"
#include "base/os/os_time.h"
#include "http/http1_client.h"

#include <string.h>

#define TAG "client"

/* One call as it goes on. */
typedef struct call {
    lamina_client *c;
    const lamina_ask *ask;
    lamina_error *err;
    uint64_t until;
    bool heard; /* a byte of the answer has come */
    lmn_http1_reply reply;
} call;

static void hang_up(lamina_client *c)
{
    lmn_tls_link_end(&c->link);
    lmn_sock_close(c->fd);
    c->fd = -1, c->used = false;
}

lamina_status lmn_client_find(const char *address, const lmn_tls_client_opts *tls,
                              lmn_client_where *out, lamina_error *err)
{
    static const char HTTPS[] = "https://";
    const bool secure = strncmp(address, HTTPS, sizeof HTTPS - 1) == 0;
    char bare[sizeof out->host];
    if (secure) address += sizeof HTTPS - 1;
    const size_t n = strlen(address);
    if (n + 5 > sizeof out->host) return lmn_fail(err, LAMINA_E_INVALID, "the address is too long");
    const char *colon = strrchr(address, ':');
    const bool port = colon && !strchr(colon, ']');
    *out = (lmn_client_where){.tls = NULL};
    (void)lmn_format(out->host, sizeof out->host, "%s%s", address, secure && !port ? ":443" : "");
    LMN_TRY(lmn_address_parse(out->host, &out->address, err));
    if (!secure) return LAMINA_OK;
    if (lmn_address_is_unix(&out->address))
        return lmn_fail(err, LAMINA_E_INVALID, "TLS is not spoken over UNIX sockets");
    const size_t host = port ? (size_t)(colon - address) : n;
    const bool v6 = address[0] == '[';
    (void)lmn_format(bare, sizeof bare, "%.*s", (int)(v6 ? host - 2 : host), address + v6);
    lmn_tls_client_opts o = *tls;
    if (!o.host) o.host = bare;
    return lmn_tls_client_open(&lmn_libc_allocator, &o, &out->tls, err);
}

lamina_status lamina_client_open(const char *address, const lamina_client_opts *opts,
                                 lamina_client **out, lamina_error *err)
{
    lamina_client_opts o;
    lmn_client_where where;
    if (!address || !out) return lmn_fail(err, LAMINA_E_INVALID, "an address is needed");
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID, "an option that this version does not know is set");
    if (!(o.timeout_s >= 0 && o.timeout_s <= 86400))
        return lmn_fail(err, LAMINA_E_INVALID, "a time-out is at most a day");
    if (o.token &&
        (strlen(o.token) >= sizeof((lamina_client *)0)->token || strpbrk(o.token, "\r\n")))
        return lmn_fail(err, LAMINA_E_INVALID, "the token is too long");
    const lmn_tls_client_opts tls = {
        .ca = o.ca, .cert = o.cert, .key = o.key, .host = o.server_name};
    LMN_TRY(lmn_client_find(address, &tls, &where, err));
    lamina_client *c = lmn_calloc(&lmn_libc_allocator, 1, sizeof *c, TAG);
    if (!c) {
        lmn_tls_client_close(where.tls);
        return lmn_fail(err, LAMINA_E_NOMEM, "no memory for a client");
    }
    c->opts = o, c->where = where, c->fd = -1;
    if (c->opts.timeout_s == 0) c->opts.timeout_s = 60;
    if (c->opts.max_answer_bytes == 0) c->opts.max_answer_bytes = 1u << 30;
    if (lmn_address_is_unix(&where.address))
        (void)lmn_format(c->where.host, sizeof c->where.host, "localhost");
    (void)lmn_format(c->token, sizeof c->token, "%s", o.token ? o.token : "");
    lmn_strbuf_init(&c->out, &lmn_libc_allocator, SIZE_MAX / 2);
    lmn_strbuf_init(&c->body, &lmn_libc_allocator, (size_t)c->opts.max_answer_bytes);
    lmn_strbuf_init(&c->type, &lmn_libc_allocator, 1024);
    lmn_strbuf_init(&c->example, &lmn_libc_allocator, SIZE_MAX / 2);
    lmn_strbuf_init(&c->target, &lmn_libc_allocator, 1024);
    *out = c;
    return LAMINA_OK;
}

void lamina_client_close(lamina_client *c)
{
    if (!c) return;
    hang_up(c);
    lmn_tls_client_close(c->where.tls);
    lmn_strbuf_finish(&c->out), lmn_strbuf_finish(&c->body), lmn_strbuf_finish(&c->type);
    lmn_strbuf_finish(&c->example), lmn_strbuf_finish(&c->target);
    lmn_cfree(&lmn_libc_allocator, c, 1, sizeof *c, TAG);
}

static lamina_status write_head(const call *k)
{
    const lamina_ask *a = k->ask;
    lamina_client *c = k->c;
    lmn_strbuf *b = &c->out;
    lmn_strbuf_reset(b);
    lmn_strbuf_printf(b, "%s %s HTTP/1.1\r\nHost: %s\r\n",
                      a->method       ? a->method
                      : a->body_bytes ? "POST"
                                      : "GET",
                      a->target, c->where.host);
    if (c->token[0]) lmn_strbuf_printf(b, "Authorization: Bearer %s\r\n", c->token);
    for (size_t i = 0; i < a->n_fields; i++) {
        if (strpbrk(a->fields[i], "\r\n") || !strchr(a->fields[i], ':'))
            return lmn_fail(k->err, LAMINA_E_INVALID, "a field is one line \"Name: value\"");
        lmn_strbuf_printf(b, "%s\r\n", a->fields[i]);
    }
    if (a->body_bytes || (a->method && strcmp(a->method, "POST") == 0))
        lmn_strbuf_printf(b, "Content-Type: %s\r\nContent-Length: %llu\r\n",
                          a->content_type ? a->content_type : "application/json",
                          (unsigned long long)a->body_bytes);
    if (a->json_bytes > 0)
        lmn_strbuf_printf(b, "Inference-Header-Content-Length: %lld\r\n", (long long)a->json_bytes);
    lmn_strbuf_str(b, "\r\n");
    if (b->status != LAMINA_OK) return lmn_fail(k->err, b->status, "no memory for the request");
    return LAMINA_OK;
}

/* Wait for the socket; E_TIMEOUT. */
static lamina_status wait_for(const call *k, uint32_t what)
{
    const uint64_t now = lmn_now_ns();
    if (now < k->until && lmn_poll_one(k->c->fd, what, k->until - now)) return LAMINA_OK;
    return lmn_fail(k->err, LAMINA_E_TIMEOUT, "%s did not answer within %.3g s", k->c->where.host,
                    k->c->opts.timeout_s);
}

/* Records wait to leave, or others to come. */
static lamina_status wait_for_link(const call *k)
{
    return wait_for(k, k->c->link.rest ? LMN_POLL_OUT | LMN_POLL_IN : LMN_POLL_IN);
}

static lamina_status refused(const call *k)
{
    const char *why = lmn_tls_link_why(&k->c->link);
    return lmn_fail(k->err, why ? LAMINA_E_PERM : LAMINA_E_CLOSED, "%s: no connection with TLS: %s",
                    k->c->where.host, why ? why : "it closed the connection");
}

static lamina_status shake(const call *k)
{
    lamina_client *c = k->c;
    int32_t is = LMN_SOCK_LOST;
    if (!lmn_tls_link_begin(&c->link, c->where.tls, c->fd)) return refused(k);
    while ((is = lmn_tls_link_shake(&c->link)) == LMN_SOCK_AGAIN) LMN_TRY(wait_for_link(k));
    return is == 1 ? LAMINA_OK : refused(k);
}

static lamina_status connect_to(const call *k)
{
    lamina_client *c = k->c;
    if (c->fd >= 0) return LAMINA_OK;
    if (lmn_sock_connect(&c->where.address, &c->fd, k->err) != LAMINA_OK) {
        c->fd = -1;
        return LAMINA_E_CLOSED;
    }
    LMN_TRY(wait_for(k, LMN_POLL_OUT));
    if (lmn_sock_connected(c->fd, k->err) == LAMINA_OK) return c->where.tls ? shake(k) : LAMINA_OK;
    lmn_error_prefix(k->err, "%s", c->where.host);
    return LAMINA_E_CLOSED;
}

static lamina_status lost(const call *k)
{
    return lmn_fail(k->err, LAMINA_E_CLOSED, "%s closed the connection before it had answered",
                    k->c->where.host);
}

/* Send head and body. A server that answers early (413) may stop to read: what cannot be sent is no
   error while there is an answer to read. */
static lamina_status send_all(const call *k)
{
    lmn_span part[2] = {{(const uint8_t *)k->c->out.p, k->c->out.n},
                        {k->ask->body, k->ask->body_bytes}};
    lmn_tls_link *link = &k->c->link;
    while (part[0].n + part[1].n > 0) {
        const bool head = part[0].n > 0;
        const lmn_span *first = head ? part : part + 1;
        const int64_t n = link->session ? lmn_tls_link_send(link, first->p, first->n)
                                        : lmn_sock_send(k->c->fd, first, head ? 2 : 1);
        if (n == LMN_SOCK_AGAIN) {
            LMN_TRY(wait_for(k, LMN_POLL_OUT));
            continue;
        }
        if (n < 0) return LAMINA_OK;
        const size_t of_head = (size_t)n < part[0].n ? (size_t)n : part[0].n;
        part[0].p += of_head, part[0].n -= of_head;
        const size_t of_body = (size_t)n - of_head;
        if (of_body) part[1].p += of_body, part[1].n -= of_body;
    }
    while (link->session && lmn_tls_link_flush(link) == LMN_SOCK_AGAIN)
        LMN_TRY(wait_for(k, LMN_POLL_OUT));
    return LAMINA_OK;
}

static lamina_status receive(call *k)
{
    lamina_client *c = k->c;
    for (lmn_http1_step step = LMN_HTTP1_MORE; step == LMN_HTTP1_MORE;) {
        const int64_t n = c->link.session ? lmn_tls_link_recv(&c->link, c->room, sizeof c->room)
                                          : lmn_sock_recv(c->fd, c->room, sizeof c->room);
        if (n == LMN_SOCK_AGAIN) {
            LMN_TRY(wait_for(k, LMN_POLL_IN));
            continue;
        }
        /* in TLS 1.3 a client learns only now that its certificate was refused */
        if (n < 0 && c->link.session && !c->used && !k->heard) return refused(k);
        if (n < 0) return lost(k);
        size_t used = 0;
        lmn_span rest = {c->room, (size_t)n};
        k->heard |= n > 0;
        do {
            step = n == 0 ? lmn_http1_reply_end(&k->reply)
                          : lmn_http1_reply_feed(&k->reply, rest, &used);
            lmn_strbuf_add(&c->body, k->reply.part.p, k->reply.part.n);
            rest.p += used, rest.n -= used;
        } while (step == LMN_HTTP1_MORE && rest.n > 0 && used > 0);
        if (step == LMN_HTTP1_BROKEN && n == 0) return lost(k);
        if (step == LMN_HTTP1_BROKEN)
            return lmn_fail(k->err, LAMINA_E_PROTO, "%s does not answer in HTTP/1.1",
                            c->where.host);
        if (c->body.status != LAMINA_OK)
            return lmn_fail(k->err, c->body.status, "the answer is longer than %llu bytes",
                            (unsigned long long)c->opts.max_answer_bytes);
        if (rest.n > 0) k->reply.close = true; /* bytes that nobody asked for */
    }
    return LAMINA_OK;
}

static lamina_status once(call *k)
{
    const bool head = k->ask->method && strcmp(k->ask->method, "HEAD") == 0;
    lmn_strbuf_reset(&k->c->body);
    lmn_http1_reply_init(&k->reply, head);
    k->heard = false;
    LMN_TRY(connect_to(k));
    LMN_TRY(send_all(k));
    return receive(k);
}

lamina_status lamina_client_call(lamina_client *client, const lamina_ask *ask,
                                 lamina_answer *answer, lamina_error *err)
{
    lamina_ask a;
    if (!client || !answer || lmn_opts_read(&a, sizeof a, ask) != LAMINA_OK || !a.target)
        return lmn_fail(err, LAMINA_E_INVALID, "a client, a target and an answer are needed");
    for (const char *p = a.target; *p; p++)
        if ((uint8_t)*p <= ' ' || (uint8_t)*p >= 127)
            return lmn_fail(err, LAMINA_E_INVALID, "the target holds a byte that must be escaped");
    call k = {.c = client, .ask = &a, .err = err};
    k.until = lmn_now_ns() + (uint64_t)(client->opts.timeout_s * 1e9);
    LMN_TRY(write_head(&k));
    const bool again =
        client->fd >= 0 && client->used &&
        (a.method ? !strcmp(a.method, "GET") || !strcmp(a.method, "HEAD") : a.body_bytes == 0);
    lamina_status st = once(&k);
    if (st == LAMINA_E_CLOSED && again && !k.heard) {
        hang_up(client);
        st = once(&k);
    }
    if (st != LAMINA_OK) {
        hang_up(client);
        return st;
    }
    client->used = true;
    if (k.reply.close) hang_up(client);
    lmn_strbuf_reset(&client->type);
    lmn_strbuf_str(&client->type, k.reply.content_type);
    *answer = (lamina_answer){.status = k.reply.status,
                              .body = lmn_strbuf_text(&client->body),
                              .body_bytes = client->body.n,
                              .content_type = lmn_strbuf_text(&client->type),
                              .json_bytes = k.reply.json_bytes};
    return LAMINA_OK;
}
