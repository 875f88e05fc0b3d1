/*
 * Connections of the load generator. Free ones stand in two lists, idle (open, the last used first,
 * so that few connections serve a low rate) and shut; busy ones in one, in order of due times, so
 * that the oldest is first when time-outs are looked for.
 */
#include "serve/load_int.h"

#define TAG "load"
#define FIRST_NS UINT64_C(5000000000) /* how long the first connection may take */

static void list_out(lmn_load_list *l, lmn_load_link *c)
{
    *(c->prev ? &c->prev->next : &l->first) = c->next;
    *(c->next ? &c->next->prev : &l->last) = c->prev;
    c->next = c->prev = NULL;
}

static void list_first(lmn_load_list *l, lmn_load_link *c)
{
    c->prev = NULL, c->next = l->first;
    *(l->first ? &l->first->prev : &l->last) = c;
    l->first = c;
}

/* Behind all that were due before: nearly always the last. */
static void list_by_due(lmn_load_list *l, lmn_load_link *c)
{
    lmn_load_link *before = l->last;
    while (before && before->due_ns > c->due_ns) before = before->prev;
    if (!before) {
        list_first(l, c);
        return;
    }
    c->prev = before, c->next = before->next;
    *(before->next ? &before->next->prev : &l->last) = c;
    before->next = c;
}

static void shut(lmn_load_run *r, lmn_load_link *c)
{
    if (c->state == LMN_LOAD_BUSY || c->state == LMN_LOAD_CONNECTS)
        list_out(&r->busy, c), r->n_out--;
    else if (c->state == LMN_LOAD_IDLE)
        list_out(&r->idle, c);
    lmn_poll_remove(r->poll, c->fd);
    lmn_tls_link_end(&c->tls);
    lmn_sock_close(c->fd);
    c->fd = -1, c->state = LMN_LOAD_SHUT, c->waits_out = false;
    list_first(&r->shut, c);
}

/* The request of c will have no answer. */
static void lose(lmn_load_run *r, lmn_load_link *c, uint64_t *counter)
{
    const bool had = c->state == LMN_LOAD_BUSY || c->state == LMN_LOAD_CONNECTS;
    const uint64_t due = c->due_ns;
    shut(r, c);
    if (had) lmn_load_failed(r, due, counter);
}

static void push(lmn_load_run *r, lmn_load_link *c)
{
    while (c->sent < r->request.n) {
        const lmn_span rest = {(const uint8_t *)r->request.p + c->sent, r->request.n - c->sent};
        const int64_t n = c->tls.session ? lmn_tls_link_send(&c->tls, rest.p, rest.n)
                                         : lmn_sock_send(c->fd, &rest, 1);
        if (n == LMN_SOCK_AGAIN) return; /* edge triggered: told when there is room */
        if (n < 0) {
            lose(r, c, &r->load->stats.n_broken);
            return;
        }
        c->sent += (size_t)n;
        r->load->stats.bytes_out += (uint64_t)n;
    }
    if (c->tls.session && lmn_tls_link_flush(&c->tls) == LMN_SOCK_LOST)
        lose(r, c, &r->load->stats.n_broken);
}

static void begin_request(lmn_load_run *r, lmn_load_link *c, uint64_t now)
{
    c->sent = 0, c->sent_ns = now, c->state = LMN_LOAD_BUSY;
    lmn_http1_reply_init(&c->reply, r->head_only);
    push(r, c);
}

static bool open_link(lmn_load_run *r, lmn_load_link *c, lamina_error *err)
{
    if (lmn_sock_connect(&r->where.address, &c->fd, err) != LAMINA_OK) {
        c->fd = -1;
        return false;
    }
    const uint32_t what = LMN_POLL_IN | LMN_POLL_OUT | LMN_POLL_HALF | LMN_POLL_EDGE;
    if (lmn_poll_add(r->poll, c->fd, what, c, err) != LAMINA_OK) {
        lmn_sock_close(c->fd);
        c->fd = -1;
        return false;
    }
    r->load->stats.n_connects++;
    return true;
}

bool lmn_load_send(lmn_load_run *r, uint64_t due, uint64_t now)
{
    lmn_load_link *c = r->idle.first;
    if (!c && !r->shut.first) return false;
    if (c) {
        list_out(&r->idle, c);
    } else {
        c = r->shut.first;
        list_out(&r->shut, c);
        if (!open_link(r, c, NULL)) {
            list_first(&r->shut, c);
            lmn_load_failed(r, due, &r->load->stats.n_broken);
            return true;
        }
    }
    c->due_ns = due, r->n_out++;
    const bool fresh = c->state == LMN_LOAD_SHUT;
    c->state = LMN_LOAD_CONNECTS;
    list_by_due(&r->busy, c);
    if (!fresh) begin_request(r, c, now);
    return true;
}

/* The answer is whole: count it and free the connection. */
static void done(lmn_load_run *r, lmn_load_link *c, uint64_t now)
{
    lmn_load_answered(r, c, c->reply.status, now);
    if (c->reply.close || c->sent < r->request.n) {
        shut(r, c);
        return;
    }
    list_out(&r->busy, c), r->n_out--;
    c->state = LMN_LOAD_IDLE;
    list_first(&r->idle, c);
}

static void pull(lmn_load_run *r, lmn_load_link *c, uint64_t now)
{
    while (c->fd >= 0) {
        const int64_t n = c->tls.session ? lmn_tls_link_recv(&c->tls, r->room, LMN_LOAD_READ)
                                         : lmn_sock_recv(c->fd, r->room, LMN_LOAD_READ);
        if (n == LMN_SOCK_AGAIN) return;
        if (n > 0) r->load->stats.bytes_in += (uint64_t)n;
        if (c->state != LMN_LOAD_BUSY) { /* closed while idle, or bytes that nobody asked for */
            shut(r, c);
            return;
        }
        lmn_span rest = {r->room, n > 0 ? (size_t)n : 0};
        lmn_http1_step step = n == 0 ? lmn_http1_reply_end(&c->reply) : LMN_HTTP1_BROKEN;
        for (size_t used = 1; n > 0 && used > 0;) {
            step = lmn_http1_reply_feed(&c->reply, rest, &used);
            rest.p += used, rest.n -= used;
            if (step != LMN_HTTP1_MORE || rest.n == 0) break;
        }
        if (step == LMN_HTTP1_DONE && rest.n == 0)
            done(r, c, now);
        else if (step != LMN_HTTP1_MORE)
            lose(r, c, &r->load->stats.n_broken);
    }
}

/* 1: it can be asked; LMN_SOCK_AGAIN: not yet; LMN_SOCK_LOST. */
static int32_t connected(const lmn_load_run *r, lmn_load_link *c, uint32_t what)
{
    if (!c->tls.session) {
        if (!(what & (LMN_POLL_OUT | LMN_POLL_DEAD))) return LMN_SOCK_AGAIN;
        if (lmn_sock_connected(c->fd, NULL) != LAMINA_OK) return LMN_SOCK_LOST;
        if (!r->where.tls) return 1;
        if (!lmn_tls_link_begin(&c->tls, r->where.tls, c->fd)) return LMN_SOCK_LOST;
    }
    return lmn_tls_link_shake(&c->tls);
}

void lmn_load_event(lmn_load_run *r, lmn_load_link *c, uint32_t what, uint64_t now)
{
    if (c->fd < 0) return; /* closed by an event before this one */
    if (c->state == LMN_LOAD_CONNECTS) {
        const int32_t is = connected(r, c, what);
        if (is == LMN_SOCK_LOST) lose(r, c, &r->load->stats.n_broken);
        if (is != 1) return;
        begin_request(r, c, now);
    } else if (what & LMN_POLL_OUT && c->state == LMN_LOAD_BUSY) {
        push(r, c);
    }
    if (c->fd >= 0 && what & (LMN_POLL_IN | LMN_POLL_HALF | LMN_POLL_DEAD)) pull(r, c, now);
}

void lmn_load_expire(lmn_load_run *r, uint64_t now)
{
    while (r->busy.first && now - r->busy.first->due_ns > r->timeout_ns &&
           now > r->busy.first->due_ns)
        lose(r, r->busy.first, &r->load->stats.n_timeout);
}

/* Hands are shaken once before the load begins, so that what is wrong is said once. */
static lamina_status try_tls(const lmn_load_run *r, int fd, lamina_error *err)
{
    lmn_tls_link l = {.fd = -1};
    int32_t is = LMN_SOCK_LOST;
    if (lmn_tls_link_begin(&l, r->where.tls, fd))
        while ((is = lmn_tls_link_shake(&l)) == LMN_SOCK_AGAIN)
            if (!lmn_poll_one(fd, LMN_POLL_IN, FIRST_NS)) break;
    const char *why = is == LMN_SOCK_AGAIN   ? "it does not answer"
                      : lmn_tls_link_why(&l) ? lmn_tls_link_why(&l)
                                             : "it closed the connection";
    if (is != 1) (void)lmn_fail(err, LAMINA_E_PERM, "no connection with TLS: %s", why);
    lmn_tls_link_end(&l);
    return is == 1 ? LAMINA_OK : LAMINA_E_PERM;
}

lamina_status lmn_load_links_begin(lmn_load_run *r, lamina_error *err)
{
    for (uint32_t i = r->n_links; i-- > 0;) {
        r->link[i].fd = -1;
        list_first(&r->shut, &r->link[i]);
    }
    if (!(r->room = lmn_alloc(r->alloc, LMN_LOAD_READ, 64, TAG)))
        return lmn_fail(err, LAMINA_E_NOMEM, "no memory to read into");
    int fd;
    LMN_TRY(lmn_sock_connect(&r->where.address, &fd, err));
    (void)lmn_poll_one(fd, LMN_POLL_OUT, FIRST_NS);
    lamina_status st = lmn_sock_connected(fd, err) == LAMINA_OK ? LAMINA_OK : LAMINA_E_CLOSED;
    if (st == LAMINA_OK && r->where.tls) st = try_tls(r, fd, err);
    lmn_sock_close(fd);
    if (st != LAMINA_OK) lmn_error_prefix(err, "%s", r->where.host);
    return st;
}

void lmn_load_links_finish(lmn_load_run *r)
{
    for (uint32_t i = 0; r->link && i < r->n_links; i++)
        if (r->link[i].fd > 0) {
            lmn_tls_link_end(&r->link[i].tls);
            lmn_sock_close(r->link[i].fd);
        }
    lmn_free(r->alloc, r->room, LMN_LOAD_READ, 64, TAG);
}
