/*
 * A connection, from its first byte to its last: one request after the other, each read whole,
 * handed over, answered. While a request is open nothing is read beyond what came with it. Input is
 * told by edges: `readable` stays set until a read comes back short.
 */
#include "base/os/os_time.h"
#include "http/http_int.h"

#include <string.h>

static void free_open(lmn_http_conn *c)
{
    lmn_http_loop *l = c->loop;
    lmn_http_open *o = c->open;
    if (o->many) lmn_free(&l->alloc, o->many, o->r.n_fields * sizeof *o->many, 16, "http fields");
    lmn_objpool_give(&l->open_pool, o);
    c->open = NULL;
    lmn_http_bump(&l->counts.in_flight, UINT64_MAX);
}

void lmn_http_conn_used(lmn_http_conn *c)
{
    lmn_http_buf_give(c->loop, c->in, c->in_bytes);
    c->in = NULL;
    c->in_bytes = c->at = c->n = 0;
}

/* Close. A request that the handler has is kept for its answer. */
static void drop(lmn_http_conn *c)
{
    const bool handed = c->phase == LMN_HTTP_HANDLING;
    if (c->phase == LMN_HTTP_DEAD) return;
    lmn_http_tls_free(c);
    lmn_sock_close(c->fd);
    c->fd = -1;
    c->phase = LMN_HTTP_DEAD;
    lmn_http_timer_set(c, LMN_HTTP_TIMER_NONE);
    c->loop->n_conns--;
    lmn_http_bump(&c->loop->counts.open, UINT64_MAX);
    if (c->h2) {
        if (lmn_h2_drop(c)) lmn_http_bury(c);
        return;
    }
    lmn_http_out_drop(c);
    if (c->open && handed) {
        lmn_atomic_store(&c->open->r.gone, 1, release);
        c->loop->n_left++;
        return;
    }
    if (c->open) free_open(c);
    lmn_http_bury(c);
}

void lmn_http_conn_lost(lmn_http_conn *c)
{
    lmn_http_bump(&c->loop->counts.reset, 1);
    drop(c);
}

void lmn_http_conn_drop(lmn_http_conn *c)
{
    drop(c);
}

/* A descriptor may come along; one that nobody took gives way. */
static int64_t receive_local(lmn_http_conn *c, void *p, size_t cap)
{
    int passed = -1;
    const int64_t got = lmn_sock_recv_passed(c->fd, p, cap, &passed);
    if (passed >= 0) {
        lmn_sock_close(c->passed);
        c->passed = passed;
    }
    return got;
}

int lmn_http_take_passed(lmn_http_request *r)
{
    const lmn_http_open *o = (const lmn_http_open *)(const void *)r;
    if (o->h2) return -1;
    const int fd = o->c->passed;
    o->c->passed = -1;
    return fd;
}

void **lmn_http_kept(lmn_http_request *r)
{
    const lmn_http_open *o = (const lmn_http_open *)(const void *)r;
    return o->h2 ? NULL : &o->c->kept;
}

bool lmn_http_peer(const lmn_http_request *r, lmn_sock_peer *out)
{
    const lmn_http_open *o = (const lmn_http_open *)(const void *)r;
    return o->c->local && lmn_sock_peer_of(o->c->fd, out);
}

/* From the socket, whatever it means. */
static int64_t receive_raw(lmn_http_conn *c, void *p, size_t cap)
{
    const int64_t got =
        LMN_UNLIKELY(c->local) ? receive_local(c, p, cap) : lmn_sock_recv(c->fd, p, cap);
    if (got < (int64_t)cap && (!c->half || got <= 0)) c->readable = false;
    if (got > 0) {
        lmn_http_bump(&c->loop->counts.bytes_in, (uint64_t)got);
        c->moved += (uint64_t)got;
    }
    return got;
}

/* Bytes that came, 0 at the end, negative: nothing now, or the connection is dead. */
int64_t lmn_http_conn_receive(lmn_http_conn *c, void *p, size_t cap)
{
    const int64_t got = LMN_UNLIKELY(c->session && !c->finished) ? lmn_http_tls_recv(c, p, cap)
                                                                 : receive_raw(c, p, cap);
    if (got == 0) {
        c->ended = c->half = true;
    } else if (got == LMN_SOCK_LOST) {
        lmn_http_conn_lost(c);
    }
    return got;
}

/* ---- ends ---- */

/* Read what the client still sends, so that closing does not reset what it has not read yet. */
static void linger(lmn_http_conn *c)
{
    while (c->body_want) {
        if (!c->readable) return;
        const size_t cap =
            c->body_want < LMN_HTTP_SCRATCH ? (size_t)c->body_want : (size_t)LMN_HTTP_SCRATCH;
        const int64_t got = lmn_http_conn_receive(c, c->loop->scratch, cap);
        if (got == 0) break;
        if (got < 0) return;
        c->body_want -= (uint64_t)got;
    }
    drop(c);
}

void lmn_http_conn_end(lmn_http_conn *c)
{
    c->closing = true;
    c->phase = LMN_HTTP_ENDING;
    if (c->out) return;
    lmn_http_conn_used(c);
    lmn_http_body_free(c);
    if (!c->finished) {
        if (c->session && !lmn_http_tls_finish(c)) return;
        lmn_sock_finish(c->fd);
        c->finished = true;
        c->body_want = LMN_HTTP_LINGER_BYTES;
    }
    if (c->ended) {
        drop(c);
        return;
    }
    lmn_http_timer_set(c, LMN_HTTP_TIMER_LINGER);
    if (c->readable) lmn_http_queue(c);
}

/* The request that is being read goes unheard. */
void lmn_http_conn_refuse(lmn_http_conn *c, uint32_t status)
{
    if (c->open) free_open(c);
    c->phase = LMN_HTTP_ENDING;
    lmn_http_refuse(c, status);
}

/* The input ended where a request had begun, or had not. */
void lmn_http_conn_ended(lmn_http_conn *c)
{
    if (c->phase == LMN_HTTP_HEADS && c->at == c->n) {
        drop(c);
    } else {
        lmn_http_conn_refuse(c, 400);
    }
}

/* ---- heads ---- */

static bool open_request(lmn_http_conn *c, const lmn_http1_head *h)
{
    lmn_http_loop *l = c->loop;
    lmn_http_open *o = lmn_objpool_take(&l->open_pool);
    if (!o) return false;
    lmn_http_field *fields = o->few;
    o->many = NULL;
    if (h->n_fields > LMN_HTTP_FEW_FIELDS) {
        fields = lmn_alloc(&l->alloc, h->n_fields * sizeof *fields, 16, "http fields");
        if (!fields) {
            lmn_objpool_give(&l->open_pool, o);
            return false;
        }
        o->many = fields;
    }
    if (h->n_fields) memcpy(fields, l->fields, h->n_fields * sizeof *fields);
    o->r = (lmn_http_request){.loop = l,
                              .method = h->method,
                              .path = h->path,
                              .query = h->query,
                              .host = h->host,
                              .fields = fields,
                              .n_fields = h->n_fields,
                              .version = h->version,
                              .local = c->local,
                              .secure = c->session != NULL,
                              .peer = {(const uint8_t *)c->peer, c->peer_n},
                              .listener = c->listener,
                              .declared_bytes = h->body_bytes,
                              .began_ns = c->began_ns,
                              .head_ns = l->now};
    o->c = c;
    o->h2 = NULL;
    o->stream_limit = 0;
    o->streaming = o->chunked = false;
    o->head_only = h->method == LMN_HTTP_HEAD;
    o->keep_alive = h->keep_alive;
    o->expects = h->expects;
    c->open = o;
    lmn_http_bump(&l->counts.requests, 1);
    lmn_http_bump(&l->counts.in_flight, 1);
    return true;
}

/* The handler has seen the head and wants up to `welcome` bytes of the body. */
static void go_on(lmn_http_conn *c, const lmn_http1_head *h, uint64_t welcome)
{
    static const lmn_span proceed = {(const uint8_t *)"HTTP/1.1 100 Continue\r\n\r\n", 25};
    const size_t have = c->n - c->at;
    if (h->body_bytes > 0 && (uint64_t)h->body_bytes > welcome) {
        lmn_http_conn_refuse(c, 413);
        return;
    }
    if (h->body_bytes >= 0 && have >= (uint64_t)h->body_bytes) {
        const size_t n = (size_t)h->body_bytes;
        c->at += (uint32_t)n;
        lmn_http_body_complete(c, (lmn_span){n ? c->in + c->at - n : NULL, n}, c->loop->now);
        return;
    }
    lmn_http_timer_set(c, LMN_HTTP_TIMER_STALL);
    if (h->expects && have == 0 && !(lmn_http_out_copy(c, proceed) && lmn_http_out_flush(c)))
        return;
    if (h->body_bytes < 0) {
        lmn_http_chunks_begin(c, welcome);
    } else {
        lmn_http_body_begin(c);
    }
}

/* Its head is there. */
static void begin_request(lmn_http_conn *c)
{
    lmn_http_loop *l = c->loop;
    const lmn_http_handler *handler = l->server->handler;
    lmn_http1_head h;
    l->now = lmn_now_ns();
    if (c->timer != LMN_HTTP_TIMER_HEAD) c->began_ns = l->now;
    const uint32_t step = lmn_http1_parse(c->in + c->at, &c->scan, l->fields, &h);
    uint64_t welcome = l->limits.body_bytes;
    if (step != LMN_HTTP1_READY) {
        lmn_http_conn_refuse(c, step);
    } else if (h.body_bytes > 0 && (uint64_t)h.body_bytes > welcome) {
        lmn_http_conn_refuse(c, 413);
    } else if (!open_request(c, &h)) {
        lmn_http_conn_refuse(c, 503);
    } else {
        c->spoken = true;
        c->at += c->scan.at;
        c->scan = (lmn_http1_scan){0};
        c->body_want = h.body_bytes > 0 ? (uint64_t)h.body_bytes : 0;
        c->phase = h.body_bytes < 0 ? LMN_HTTP_CHUNKS : LMN_HTTP_BODY;
        if (handler->head) {
            const uint64_t asked = handler->head(handler->ctx, &c->open->r);
            if (!c->open || c->open->streaming) return; /* answered */
            if (asked < welcome) welcome = asked;
        }
        go_on(c, &h, welcome);
    }
}

/* Room behind in[n). What is used up may be moved over: no request is open. */
static bool make_room(lmn_http_conn *c)
{
    size_t bytes;
    const uint32_t n = c->n - c->at;
    if (c->in && c->in_bytes - c->n >= 512) return true;
    if (c->in && c->at >= 1024) {
        memmove(c->in, c->in + c->at, n);
    } else {
        uint8_t *p = lmn_http_buf_take(c->loop, c->in ? (size_t)2 * c->in_bytes : 1, &bytes);
        if (!p) return false;
        if (n) memcpy(p, c->in + c->at, n);
        lmn_http_buf_give(c->loop, c->in, c->in_bytes);
        c->in = p;
        c->in_bytes = (uint32_t)bytes;
    }
    c->at = 0;
    c->n = n;
    return true;
}

/* Nothing more is there: an idle connection needs no buffer, a begun head has its time. */
static void await_head(lmn_http_conn *c)
{
    if (c->n == c->at) {
        lmn_http_conn_used(c);
    } else if (c->timer != LMN_HTTP_TIMER_HEAD) {
        lmn_http_timer_set(c, LMN_HTTP_TIMER_HEAD);
        c->began_ns = c->timer_ns;
    }
}

static void read_head(lmn_http_conn *c)
{
    lmn_http_loop *l = c->loop;
    const lmn_http1_limits limits = {l->limits.line_bytes, l->limits.header_bytes,
                                     l->limits.n_fields};
    if (c->out) return; /* first its answers */
    for (int i = 0; i < 4; i++) {
        const lmn_h2_greeting h2 = lmn_h2_greet(c);
        if (h2 == LMN_H2_WHOLE) return;
        if (h2 == LMN_H2_NONE && c->n - c->at > c->scan.at) {
            const uint32_t step = lmn_http1_find(&c->scan, &limits, c->in + c->at, c->n - c->at);
            if (step == LMN_HTTP1_READY) {
                begin_request(c);
                return;
            }
            if (step != LMN_HTTP1_MORE) {
                lmn_http_conn_refuse(c, step);
                return;
            }
        }
        if (!c->readable) {
            await_head(c);
            return;
        }
        if (!make_room(c)) {
            lmn_http_conn_refuse(c, 503);
            return;
        }
        const int64_t got = lmn_http_conn_receive(c, c->in + c->n, c->in_bytes - c->n);
        if (got == 0) {
            lmn_http_conn_ended(c);
            return;
        }
        if (got > 0) c->n += (uint32_t)got;
        if (got == LMN_SOCK_LOST) return;
    }
    lmn_http_queue(c);
}

void lmn_http_conn_go(lmn_http_conn *c)
{
    if (lmn_http_tls_shaking(c) && c->phase == LMN_HTTP_HEADS && !lmn_http_tls_shake(c)) return;
    switch (c->phase) {
    case LMN_HTTP_HEADS: read_head(c); break;
    case LMN_HTTP_BODY: lmn_http_body_read(c); break;
    case LMN_HTTP_CHUNKS: lmn_http_chunks_read(c); break;
    case LMN_HTTP_SKIPPING: lmn_http_body_skip(c); break;
    case LMN_HTTP_H2: lmn_h2_go(c); break;
    case LMN_HTTP_ENDING:
        if (c->finished) linger(c);
        break;
    default: break;
    }
}

/* ---- answers ---- */

bool lmn_http_conn_must_close(lmn_http_conn *c, const lmn_http_answer *a)
{
    const lmn_http_open *o = c->open;
    const size_t have = c->n - c->at;
    if (a->close || !o->keep_alive || c->loop->draining) c->closing = true;
    if (c->phase == LMN_HTTP_BODY) { /* answered before the body was read */
        if (have >= c->body_want) {
            c->at += (uint32_t)c->body_want;
            c->body_want = 0;
        } else {
            c->body_want -= have;
            c->at = c->n;
            if (c->body_want > LMN_HTTP_SKIP_MOST || (o->expects && have == 0)) c->closing = true;
        }
    } else {
        if (c->phase == LMN_HTTP_CHUNKS) c->closing = true;
        c->body_want = 0;
    }
    c->phase = LMN_HTTP_HANDLING;
    return c->closing;
}

void lmn_http_conn_answered(lmn_http_conn *c)
{
    free_open(c);
    if (c->phase == LMN_HTTP_DEAD) {
        lmn_http_bury(c);
        return;
    }
    if (c->body) lmn_http_body_free(c);
    if (c->rest) {
        lmn_http_conn_used(c);
        c->in = c->rest;
        c->in_bytes = c->rest_bytes;
        c->n = c->rest_n;
        c->rest = NULL;
    }
    if (c->at == c->n && c->in) lmn_http_conn_used(c);
    if (c->closing) {
        lmn_http_conn_end(c);
        return;
    }
    c->phase = c->body_want ? LMN_HTTP_SKIPPING : LMN_HTTP_HEADS;
    if (!c->out) lmn_http_timer_set(c, c->body_want ? LMN_HTTP_TIMER_STALL : LMN_HTTP_TIMER_IDLE);
    if (c->at < c->n || c->readable) lmn_http_queue(c);
}

void lmn_http_conn_sent(lmn_http_conn *c)
{
    switch (c->phase) {
    case LMN_HTTP_ENDING: lmn_http_conn_end(c); break;
    case LMN_HTTP_H2:
        lmn_http_soil(c); /* there may be more */
        if (c->readable) lmn_http_queue(c);
        break;
    case LMN_HTTP_HEADS:
        if (lmn_http_tls_shaking(c)) break;
        lmn_http_timer_set(c, LMN_HTTP_TIMER_IDLE);
        if (c->at < c->n || c->readable) lmn_http_queue(c);
        break;
    case LMN_HTTP_HANDLING: lmn_http_timer_set(c, LMN_HTTP_TIMER_NONE); break;
    default: lmn_http_timer_set(c, LMN_HTTP_TIMER_STALL); break;
    }
}

/* ---- events ---- */

void lmn_http_conn_event(lmn_http_conn *c, uint32_t what)
{
    if (c->phase == LMN_HTTP_DEAD) return;
    if ((what & LMN_POLL_DEAD) && !c->finished) {
        lmn_http_conn_lost(c);
        return;
    }
    if ((what & LMN_POLL_HALF) && !c->half) {
        c->half = true;
        if (c->phase == LMN_HTTP_HANDLING && c->loop->now > c->open->r.body_ns + LMN_HTTP_HALF_NS) {
            lmn_http_conn_lost(c);
            return;
        }
    }
    if (what & (LMN_POLL_IN | LMN_POLL_HALF | LMN_POLL_DEAD)) {
        c->readable = true;
        c->dry = false;
    }
    if ((what & LMN_POLL_OUT) && c->out && lmn_http_out_flush(c) && !c->out) lmn_http_conn_sent(c);
    if (c->readable && !c->queued) lmn_http_conn_go(c); /* once a turn */
}

/* A slice is over: did less move than the slowest client has to, for too many of them? Else on to
 * the next. */
static bool stalled(lmn_http_conn *c)
{
    const uint64_t ns = c->loop->timer_ns[LMN_HTTP_TIMER_STALL];
    const bool slow = c->moved - c->timer_moved < LMN_HTTP_SLOWEST * (ns / 1000) / 1000000;
    const uint32_t n = slow ? c->slow + 1 : 0;
    if (n == LMN_HTTP_STALL_SLICES - 1) return true;
    lmn_http_timer_set(c, LMN_HTTP_TIMER_STALL);
    c->slow = n;
    return false;
}

void lmn_http_conn_expired(lmn_http_conn *c, lmn_http_timer kind)
{
    if (kind == LMN_HTTP_TIMER_IDLE) {
        if (c->phase == LMN_HTTP_HEADS) lmn_http_conn_end(c);
        if (c->phase == LMN_HTTP_H2) lmn_h2_idle(c);
        return;
    }
    if (kind == LMN_HTTP_TIMER_STALL && !stalled(c)) return;
    const bool lingers = kind == LMN_HTTP_TIMER_LINGER || kind == LMN_HTTP_TIMER_LATE;
    if (!lingers) lmn_http_bump(&c->loop->counts.timed_out, 1);
    const bool reading =
        c->phase == LMN_HTTP_HEADS || c->phase == LMN_HTTP_BODY || c->phase == LMN_HTTP_CHUNKS;
    if (!lingers && reading && !c->out && !lmn_http_tls_shaking(c)) {
        lmn_http_conn_refuse(c, 408);
        if (c->timer == LMN_HTTP_TIMER_LINGER) lmn_http_timer_set(c, LMN_HTTP_TIMER_LATE);
    } else {
        drop(c);
    }
}
