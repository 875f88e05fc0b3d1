/*
 * The doors of a loop: listeners, connections that come, and how doors close when a server drains.
 */
#include "http/http_int.h"

#include <string.h>

lamina_status lmn_http_doors_open(lmn_http_loop *l, uint32_t i, lamina_error *err)
{
    lmn_http_server *s = l->server;
    lmn_http_listener *to = &l->listeners[i];
    *to = (lmn_http_listener){.source = LMN_HTTP_LISTENER,
                              .fd = s->doors[i].shared,
                              .index = i,
                              .shared = s->doors[i].shared >= 0,
                              .local = lmn_address_is_unix(&s->doors[i].address)};
    return to->shared ? LAMINA_OK
                      : lmn_sock_listen(&s->doors[i].address, s->n_loops > 1, &to->fd, err);
}

static void open_conn(lmn_http_loop *l, const lmn_http_listener *from, int fd,
                      const char peer[LMN_PEER_BYTES])
{
    lmn_http_conn *c = lmn_objpool_take(&l->conn_pool);
    if (!c) {
        lmn_sock_close(fd);
        return;
    }
    memset(c, 0, sizeof *c);
    c->source = LMN_HTTP_CONN;
    c->fd = fd;
    c->passed = -1;
    c->loop = l;
    c->phase = LMN_HTTP_HEADS;
    c->timer = LMN_HTTP_TIMER_NONE;
    c->listener = from->index;
    c->local = from->local;
    memcpy(c->peer, peer, sizeof c->peer);
    c->peer_n = (uint32_t)strlen(c->peer);
    const uint32_t what = LMN_POLL_IN | LMN_POLL_OUT | LMN_POLL_HALF | LMN_POLL_EDGE;
    lmn_http_tls *tls = l->server->doors[from->index].tls;
    if ((tls && !lmn_http_tls_begin(c, tls)) ||
        lmn_poll_add(l->poll, fd, what, c, NULL) != LAMINA_OK) {
        lmn_http_tls_free(c);
        lmn_sock_close(fd);
        lmn_objpool_give(&l->conn_pool, c);
        return;
    }
    c->next = l->conns;
    if (l->conns) l->conns->prev = c;
    l->conns = c;
    l->n_conns++;
    lmn_http_bump(&l->counts.accepted, 1);
    lmn_http_bump(&l->counts.open, 1);
    lmn_http_timer_set(c, tls ? LMN_HTTP_TIMER_HEAD : LMN_HTTP_TIMER_IDLE);
}

static void stop_accepting(lmn_http_loop *l)
{
    if (!l->accepting) return;
    l->accepting = false;
    for (uint32_t i = 0; i < l->server->n_listen; i++) lmn_poll_remove(l->poll, l->listeners[i].fd);
}

lamina_status lmn_http_doors_watch(lmn_http_loop *l, lamina_error *err)
{
    l->accepting = true;
    l->accept_ns = 0;
    for (uint32_t i = 0; i < l->server->n_listen; i++) {
        lmn_http_listener *from = &l->listeners[i];
        const uint32_t what = LMN_POLL_IN | (from->shared ? LMN_POLL_ONE : 0u);
        LMN_TRY(lmn_poll_add(l->poll, from->fd, what, from, err));
    }
    return LAMINA_OK;
}

/* Up to `most` of those who wait; the rest at the next turn. */
void lmn_http_doors_accept(lmn_http_loop *l, const lmn_http_listener *from, uint32_t most)
{
    char peer[LMN_PEER_BYTES] = "";
    while (most-- > 0) {
        if (l->n_conns >= l->limits.n_connections) {
            stop_accepting(l);
            return;
        }
        const int fd = lmn_sock_accept(from->fd, peer);
        if (fd == LMN_SOCK_FULL) {
            stop_accepting(l);
            l->accept_ns = l->now + LMN_HTTP_RETRY_ACCEPT_NS;
        }
        if (fd < 0) return;
        open_conn(l, from, fd, peer);
    }
}

/* Answers end their connections from now on. Nobody new may knock, and who is at the door has a
 * moment to come in: a listener that is closed while clients come and go cuts those that it has not
 * accepted. */
void lmn_http_doors_drain(lmn_http_loop *l)
{
    l->draining = true;
    l->close_ns = l->now + LMN_HTTP_DOOR_NS;
    for (uint32_t i = 0; i < l->server->n_listen; i++) lmn_sock_refuse(l->listeners[i].fd);
    if (l->timer_ns[LMN_HTTP_TIMER_IDLE] > LMN_HTTP_GRACE_NS) {
        /* A request may be on its way on any of them: all rest since now. */
        for (lmn_http_conn *c = l->timers[LMN_HTTP_TIMER_IDLE].first; c; c = c->after)
            c->timer_ns = l->now;
        l->timer_ns[LMN_HTTP_TIMER_IDLE] = LMN_HTTP_GRACE_NS;
    }
    l->timer_ns[LMN_HTTP_TIMER_LINGER] = LMN_HTTP_LINGER_NS / 4;
}

/* Take who knocked already, then close the doors; the last loop closes those that all share. */
void lmn_http_doors_close(lmn_http_loop *l)
{
    lmn_http_server *s = l->server;
    l->close_ns = 0;
    stop_accepting(l); /* before it counts: the last one closes what all share */
    const bool last = lmn_atomic_sub(&s->n_accepting, 1, acq_rel) == 1;
    for (uint32_t i = 0; i < s->n_listen; i++) {
        lmn_http_listener *from = &l->listeners[i];
        if (!from->shared || last) {
            lmn_http_doors_accept(l, from, UINT32_MAX);
            lmn_sock_close(from->fd);
        }
        from->fd = -1;
        if (from->shared && !last) continue;
        if (from->shared) s->doors[i].shared = -1;
        if (s->doors[i].ours) lmn_address_remove(&s->doors[i].address);
    }
}
