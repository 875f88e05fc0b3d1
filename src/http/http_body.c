/*
 * Bodies of requests of HTTP/1: what came with the head is read in place, more in one block of its
 * own; of declared length, in chunks, or one that nobody wants.
 */
#include "base/os/os_time.h"
#include "http/http_int.h"

#include <string.h>

void lmn_http_body_free(lmn_http_conn *c)
{
    lmn_http_buf_give(c->loop, c->body, c->body_bytes);
    c->body = NULL;
    c->body_n = c->body_bytes = 0;
}

/* All of the request is there, since body_ns. */
void lmn_http_body_complete(lmn_http_conn *c, lmn_span body, uint64_t body_ns)
{
    lmn_http_request *r = &c->open->r;
    r->body = body;
    r->body_ns = body_ns;
    c->phase = LMN_HTTP_HANDLING;
    if (c->timer != LMN_HTTP_TIMER_IDLE) lmn_http_timer_set(c, LMN_HTTP_TIMER_NONE);
    c->loop->server->handler->request(c->loop->server->handler->ctx, r);
}

/* Room for more of a body: at most what was announced, and of that not more at once than a client
 * may have on its word. */
static bool grow_body(lmn_http_conn *c, size_t need)
{
    size_t bytes;
    uint8_t *p = lmn_http_buf_take(c->loop, need, &bytes);
    if (!p) return false;
    if (c->body_n) memcpy(p, c->body, c->body_n);
    lmn_http_buf_give(c->loop, c->body, c->body_bytes);
    c->body = p;
    c->body_bytes = bytes;
    return true;
}

static void read_body_in_place(lmn_http_conn *c)
{
    const size_t want = (size_t)c->body_want;
    while (c->n - c->at < want) {
        if (!c->readable) return;
        const int64_t got = lmn_http_conn_receive(c, c->in + c->n, c->in_bytes - c->n);
        if (got == 0) lmn_http_conn_ended(c);
        if (got <= 0) return;
        c->n += (uint32_t)got;
    }
    c->at += (uint32_t)want;
    lmn_http_body_complete(c, (lmn_span){c->in + c->at - want, want}, lmn_now_ns());
}

void lmn_http_body_read(lmn_http_conn *c)
{
    size_t most = LMN_HTTP_READ_MOST;
    if (!c->body) {
        read_body_in_place(c);
        return;
    }
    while (c->body_n < c->body_want) {
        if (!c->readable) return;
        if (most == 0) {
            lmn_http_queue(c);
            return;
        }
        if (c->body_n == c->body_bytes && !grow_body(c, (size_t)c->body_want)) {
            lmn_http_conn_refuse(c, 503);
            return;
        }
        const uint64_t end = c->body_want < c->body_bytes ? c->body_want : c->body_bytes;
        size_t cap = (size_t)end - c->body_n;
        if (cap > most) cap = most;
        const int64_t got = lmn_http_conn_receive(c, c->body + c->body_n, cap);
        if (got == 0) lmn_http_conn_ended(c);
        if (got <= 0) return;
        c->body_n += (size_t)got;
        most -= (size_t)got;
    }
    lmn_http_body_complete(c, (lmn_span){c->body, c->body_n}, lmn_now_ns());
}

/* The last n bytes of what was read belong to the next request. */
static bool keep_rest(lmn_http_conn *c, const uint8_t *p, size_t n)
{
    size_t bytes;
    if (n == 0) return true;
    c->rest = lmn_http_buf_take(c->loop, n, &bytes);
    if (!c->rest) return false;
    memcpy(c->rest, p, n);
    c->rest_bytes = (uint32_t)bytes;
    c->rest_n = (uint32_t)n;
    return true;
}

/* Decode n raw bytes that lie behind the body so far. False: the body is over or refused. */
static bool decode(lmn_http_conn *c, size_t n)
{
    size_t used, got;
    uint8_t *p = c->body + c->body_n;
    const uint32_t step = lmn_http1_chunk_read(&c->chunk, p, n, &used, &got);
    c->body_n += got;
    if (step == LMN_HTTP1_MORE) return true;
    if (step != LMN_HTTP1_READY) {
        lmn_http_conn_refuse(c, step);
    } else if (!keep_rest(c, p + used, n - used)) {
        lmn_http_conn_refuse(c, 503);
    } else {
        lmn_http_body_complete(c, (lmn_span){c->body, c->body_n}, lmn_now_ns());
    }
    return false;
}

void lmn_http_chunks_read(lmn_http_conn *c)
{
    size_t most = LMN_HTTP_READ_MOST;
    for (;;) {
        if (!c->readable) return;
        if (most == 0) {
            lmn_http_queue(c);
            return;
        }
        if (c->body_bytes - c->body_n < LMN_HTTP_SLAB && !grow_body(c, 2 * c->body_bytes)) {
            lmn_http_conn_refuse(c, 503);
            return;
        }
        size_t cap = c->body_bytes - c->body_n;
        if (cap > LMN_HTTP_SCRATCH) cap = LMN_HTTP_SCRATCH;
        if (cap > most) cap = most;
        const int64_t got = lmn_http_conn_receive(c, c->body + c->body_n, cap);
        if (got == 0) lmn_http_conn_ended(c);
        if (got <= 0 || !decode(c, (size_t)got)) return;
        most -= (size_t)got;
    }
}

void lmn_http_chunks_begin(lmn_http_conn *c, uint64_t welcome)
{
    const size_t have = c->n - c->at;
    lmn_http1_chunk_begin(&c->chunk, welcome, c->loop->limits.n_chunks);
    if (!grow_body(c, have + 2 * LMN_HTTP_SLAB)) {
        lmn_http_conn_refuse(c, 503);
        return;
    }
    if (have) memcpy(c->body, c->in + c->at, have);
    c->at = c->n;
    if (have == 0 || decode(c, have)) lmn_http_chunks_read(c);
}

/* A body that did not come with its head: in place when the buffer has room. */
void lmn_http_body_begin(lmn_http_conn *c)
{
    const size_t have = c->n - c->at;
    if (c->body_want > c->in_bytes - c->at) {
        const uint64_t first =
            c->body_want < LMN_HTTP_FIRST_BODY ? c->body_want : LMN_HTTP_FIRST_BODY;
        if (!grow_body(c, (size_t)first)) {
            lmn_http_conn_refuse(c, 503);
            return;
        }
        memcpy(c->body, c->in + c->at, have);
        c->body_n = have;
        c->at = c->n;
    }
    lmn_http_body_read(c);
}

void lmn_http_body_skip(lmn_http_conn *c)
{
    while (c->body_want) {
        if (!c->readable) return;
        const size_t cap =
            c->body_want < LMN_HTTP_SCRATCH ? (size_t)c->body_want : (size_t)LMN_HTTP_SCRATCH;
        const int64_t got = lmn_http_conn_receive(c, c->loop->scratch, cap);
        if (got == 0) lmn_http_conn_drop(c);
        if (got <= 0) return;
        c->body_want -= (uint64_t)got;
    }
    c->phase = LMN_HTTP_HEADS;
    if (!c->out) lmn_http_timer_set(c, LMN_HTTP_TIMER_IDLE);
    if (c->readable) lmn_http_queue(c);
}
