/*
 * What leaves a connection. An answer goes out by one call while nothing waits before it; what the
 * system does not take is queued, small pieces copied, large ones lent until they are sent. Small
 * answers are put together first: one plain send is cheaper than a list.
 */
#include "http/http_int.h"

#include <string.h>

enum { SPANS = 64 }; /* of one call */

void lmn_http_pieces_release(const lmn_http_piece *pieces, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (pieces[i].release) pieces[i].release(pieces[i].ctx, pieces[i].bytes);
}

static void free_seg(lmn_http_loop *l, lmn_http_seg *s)
{
    if (s->own) {
        lmn_http_buf_give(l, s->own, s->own_bytes);
    } else {
        lmn_http_pieces_release(&s->piece, 1);
    }
    lmn_objpool_give(&l->seg_pool, s);
}

void lmn_http_out_drop(lmn_http_conn *c)
{
    while (c->out) {
        lmn_http_seg *s = c->out;
        c->out = s->next;
        free_seg(c->loop, s);
    }
    c->out_last = NULL;
    c->out_bytes = 0;
}

static lmn_http_seg *append(lmn_http_conn *c)
{
    lmn_http_seg *s = lmn_objpool_take(&c->loop->seg_pool);
    if (!s) return NULL;
    *s = (lmn_http_seg){.next = NULL};
    if (c->out_last) {
        c->out_last->next = s;
    } else {
        c->out = s;
    }
    c->out_last = s;
    return s;
}

static bool copy(lmn_http_conn *c, lmn_span bytes)
{
    lmn_http_seg *last = c->out_last;
    if (last && last->own && !last->sealed) { /* fill it up first */
        const size_t begin = (size_t)(last->left.p - last->own), used = begin + last->left.n;
        const size_t room = last->own_bytes - used, k = bytes.n < room ? bytes.n : room;
        if (k) memcpy(last->own + used, bytes.p, k);
        last->left.n += k;
        c->out_bytes += k;
        bytes = (lmn_span){bytes.p + k, bytes.n - k};
    }
    if (bytes.n == 0) return true;
    size_t cap;
    uint8_t *own = lmn_http_buf_take(c->loop, bytes.n, &cap);
    if (!own) return false;
    lmn_http_seg *s = append(c);
    if (!s) {
        lmn_http_buf_give(c->loop, own, cap);
        return false;
    }
    memcpy(own, bytes.p, bytes.n);
    s->own = own;
    s->own_bytes = cap;
    s->left = (lmn_span){own, bytes.n};
    c->out_bytes += bytes.n;
    return true;
}

bool lmn_http_out_copy(lmn_http_conn *c, lmn_span bytes)
{
    if (copy(c, bytes)) return true;
    lmn_http_conn_lost(c);
    return false;
}

/* The last piece->bytes.n - sent bytes; the piece is released now or when they are sent. */
static bool lend(lmn_http_conn *c, const lmn_http_piece *piece, size_t sent)
{
    const lmn_span left = {piece->bytes.p + sent, piece->bytes.n - sent};
    if (left.n <= LMN_HTTP_COPY_MOST) {
        const bool ok = copy(c, left);
        lmn_http_pieces_release(piece, 1);
        return ok;
    }
    lmn_http_seg *s = append(c);
    if (!s) {
        lmn_http_pieces_release(piece, 1);
        return false;
    }
    s->piece = *piece;
    s->left = left;
    c->out_bytes += left.n;
    return true;
}

/* `sent` bytes of head and pieces went: the rest waits, what went is released. */
static bool keep_rest(lmn_http_conn *c, lmn_span head, const lmn_http_piece *pieces, uint32_t n,
                      size_t sent)
{
    bool ok = true;
    if (sent < head.n) {
        ok = copy(c, (lmn_span){head.p + sent, head.n - sent});
        sent = 0;
    } else {
        sent -= head.n;
    }
    for (uint32_t i = 0; i < n; i++) {
        const size_t whole = pieces[i].bytes.n, k = sent < whole ? sent : whole;
        sent -= k;
        if (k == whole || !ok) {
            lmn_http_pieces_release(&pieces[i], 1);
        } else {
            ok = lend(c, &pieces[i], k);
        }
    }
    if (!ok) lmn_http_conn_lost(c);
    return ok;
}

static size_t total(const lmn_http_piece *pieces, uint32_t n)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += pieces[i].bytes.n;
    return sum;
}

/* The spans of one call: the head, which has room for small pieces behind it, and the pieces. */
static uint32_t gather(lmn_span head, const lmn_http_piece *pieces, uint32_t n, lmn_span *out)
{
    out[0] = head;
    if (total(pieces, n) > LMN_HTTP_COPY_MOST) {
        for (uint32_t i = 0; i < n; i++) out[i + 1] = pieces[i].bytes;
        return n + 1;
    }
    uint8_t *end = (uint8_t *)(uintptr_t)head.p + head.n; /* the loop's scratch */
    for (uint32_t i = 0; i < n; i++) {
        if (pieces[i].bytes.n) memcpy(end, pieces[i].bytes.p, pieces[i].bytes.n);
        end += pieces[i].bytes.n;
    }
    out[0].n = (size_t)(end - head.p);
    return 1;
}

/* What went of `all` bytes: 1 all, 0 less, -1 the connection is lost. */
static int went(lmn_http_conn *c, int64_t sent, size_t all)
{
    if (sent == LMN_SOCK_LOST) return -1;
    if (sent <= 0) return 0;
    lmn_http_bump(&c->loop->counts.bytes_out, (uint64_t)sent);
    c->moved += (uint64_t)sent;
    return (size_t)sent == all;
}

bool lmn_http_out_send(lmn_http_conn *c, lmn_span head, const lmn_http_piece *pieces, uint32_t n)
{
    lmn_span spans[SPANS];
    if (c->out || n >= SPANS || c->session) {
        const bool first = c->out == NULL;
        return keep_rest(c, head, pieces, n, 0) && (!first || lmn_http_out_flush(c));
    }
    const size_t all = head.n + total(pieces, n);
    if ((c->loop->rested || c->loop->holds) && all <= LMN_HTTP_COPY_MOST) {
        (void)gather(head, pieces, n, spans);
        if (copy(c, spans[0])) {
            lmn_http_pieces_release(pieces, n);
            lmn_http_keep(c);
            return true;
        }
    }
    const int64_t sent = lmn_sock_send(c->fd, spans, gather(head, pieces, n, spans));
    const int how = went(c, sent, all);
    if (how) {
        lmn_http_pieces_release(pieces, n);
        if (how < 0) lmn_http_conn_lost(c);
        return how > 0;
    }
    if (!keep_rest(c, head, pieces, n, sent > 0 ? (size_t)sent : 0)) return false;
    lmn_http_timer_set(c, LMN_HTTP_TIMER_STALL);
    return true;
}

static void consume(lmn_http_conn *c, size_t sent)
{
    c->out_bytes -= sent;
    while (c->out && sent >= c->out->left.n) {
        lmn_http_seg *s = c->out;
        sent -= s->left.n;
        c->out = s->next;
        if (!c->out) c->out_last = NULL;
        free_seg(c->loop, s);
    }
    if (c->out) c->out->left = (lmn_span){c->out->left.p + sent, c->out->left.n - sent};
}

/* ---- plain, or sealed before ---- */

static int send_some(lmn_http_conn *c)
{
    lmn_span spans[SPANS];
    uint32_t n = 0;
    size_t all = 0;
    const bool sealed = c->out->sealed;
    for (lmn_http_seg *s = c->out; s && n < SPANS && s->sealed == sealed; s = s->next) {
        all += s->left.n;
        spans[n++] = s->left;
    }
    const int64_t sent = lmn_sock_send(c->fd, spans, n);
    const int how = went(c, sent, all);
    if (sent > 0) consume(c, (size_t)sent);
    return how;
}

/* ---- TLS ---- */

/* Behind the last that is sealed: records have numbers. */
static bool keep_sealed(lmn_http_conn *c, lmn_span records)
{
    size_t cap;
    size_t wait = 0;
    lmn_http_seg *before = NULL;
    for (lmn_http_seg *s = c->out; s && s->sealed; s = s->next) {
        before = s;
        wait += s->left.n;
    }
    if (wait > LMN_TLS_OUT_BYTES) return false; /* who asks for records and takes none is cut */
    uint8_t *own = lmn_http_buf_take(c->loop, records.n, &cap);
    lmn_http_seg *s = own ? lmn_objpool_take(&c->loop->seg_pool) : NULL;
    if (!s) {
        lmn_http_buf_give(c->loop, own, cap);
        return false;
    }
    memcpy(own, records.p, records.n);
    *s = (lmn_http_seg){.next = before ? before->next : c->out,
                        .left = {own, records.n},
                        .own = own,
                        .own_bytes = cap,
                        .sealed = true};
    if (before)
        before->next = s;
    else
        c->out = s;
    if (!s->next) c->out_last = s;
    c->out_bytes += records.n;
    return true;
}

bool lmn_http_out_sealed(lmn_http_conn *c, lmn_span records)
{
    int64_t sent = 0;
    if (records.n == 0) return true;
    if (!c->out || !c->out->sealed) {
        sent = lmn_sock_send(c->fd, &records, 1);
        const int how = went(c, sent, records.n);
        if (how) return how > 0;
        if (sent < 0) sent = 0;
    }
    return keep_sealed(c, (lmn_span){records.p + sent, records.n - (size_t)sent});
}

/* Seal as much as one call may carry, and send it. */
static int seal_some(lmn_http_conn *c)
{
    lmn_tls_wire w = {.out = c->loop->sealed};
    size_t n = 0;
    for (const lmn_http_seg *s = c->out; s && n < LMN_TLS_SEAL_MOST; s = s->next) {
        const size_t room = LMN_TLS_SEAL_MOST - n, k = s->left.n < room ? s->left.n : room;
        if (!c->tls->write(c->session, &w, s->left.p, k)) return -1;
        n += k;
    }
    consume(c, n);
    if (!lmn_http_out_sealed(c, (lmn_span){w.out, w.out_n})) return -1;
    return !c->out || !c->out->sealed;
}

bool lmn_http_out_flush(lmn_http_conn *c)
{
    while (c->out) {
        const int how = c->session && !c->out->sealed ? seal_some(c) : send_some(c);
        if (how < 0) {
            lmn_http_conn_lost(c);
            return false;
        }
        if (how == 0) { /* what is left goes when there is room */
            if (c->timer != LMN_HTTP_TIMER_STALL && !lmn_http_tls_shaking(c))
                lmn_http_timer_set(c, LMN_HTTP_TIMER_STALL);
            return true;
        }
    }
    return true;
}
