/*
 * HTTP/2 on a connection: what leaves. Answers are handed to the session as they are given; at the
 * end of the turn frames of all streams are gathered into one send, heads and small bodies side by
 * side in the loop's scratch, large ones lent between them.
 */
#include "http/http_h2_int.h"

#include <string.h>

enum {
    RUN_MOST = 40 << 10, /* the first run of a send; later ones are pieces to be copied */
    NAMES = 1024,        /* bytes of names in lower case */
    FRAME_HEAD = 9
};

static lmn_h2_stream *stream_of(lmn_http_request *r)
{
    return ((lmn_http_open *)(void *)r)->h2;
}

/* ---- answers ---- */

static lmn_span text(const char *s)
{
    return (lmn_span){(const uint8_t *)s, strlen(s)};
}

/* Names go in lower case; what could not be a field is left out. */
static bool add_fields(lmn_http_field *out, uint32_t *n, char names[NAMES], size_t *used,
                       const lmn_http_field *from, uint32_t n_from)
{
    if (n_from > LMN_H2_ANSWER_FIELDS - *n) return false;
    for (uint32_t i = 0; i < n_from; i++) {
        const lmn_span name = from[i].name;
        bool good = name.n > 0;
        if (name.n > NAMES - *used) return false;
        for (size_t k = 0; k < name.n; k++) {
            const uint8_t c = name.p[k];
            good &= lmn_http1_is_token(c);
            names[*used + k] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }
        for (size_t k = 0; k < from[i].value.n; k++) good &= lmn_http1_is_text(from[i].value.p[k]);
        if (!good) continue;
        out[(*n)++] = (lmn_http_field){{(const uint8_t *)names + *used, name.n}, from[i].value};
        *used += name.n;
    }
    return true;
}

static lmn_span decimal(char buf[20], uint64_t v)
{
    size_t i = 20;
    do buf[--i] = (char)('0' + v % 10);
    while (v /= 10);
    return (lmn_span){(const uint8_t *)buf + i, 20 - i};
}

/* length -1: not said. `tail`: trailers that stand in the head, since no body follows. */
static bool submit_head(lmn_h2_stream *s, const lmn_http_answer *a, int64_t length, bool body,
                        bool tail)
{
    lmn_h2_conn *h = s->h;
    lmn_http_field f[LMN_H2_ANSWER_FIELDS];
    char status[20], bytes[20], names[NAMES];
    uint32_t n = 0;
    size_t used = 0;
    f[n++] = (lmn_http_field){text(":status"), decimal(status, a->status)};
    if (a->content_type) f[n++] = (lmn_http_field){text("content-type"), text(a->content_type)};
    if (length >= 0)
        f[n++] = (lmn_http_field){text("content-length"), decimal(bytes, (uint64_t)length)};
    f[n++] =
        (lmn_http_field){text("date"), {(const uint8_t *)h->c->loop->date + 6, 29}}; /* "Date: " */
    return add_fields(f, &n, names, &used, a->fields, a->n_fields) &&
           (!tail || add_fields(f, &n, names, &used, a->trailers, a->n_trailers)) &&
           h->table->answer(h->session, s->id, f, n, body) == LAMINA_OK;
}

static void set_writing(lmn_h2_stream *s, bool writing)
{
    if (s->writing == writing) return;
    s->writing = writing;
    s->h->n_writing += writing ? 1u : UINT32_MAX;
}

void lmn_h2_let_go(lmn_h2_stream *s)
{
    s->held = false;
    s->part = NULL;
    lmn_http_bump(&s->h->c->loop->counts.in_flight, UINT64_MAX);
    lmn_h2_stream_unref(s);
}

static lmn_span own_copy(lmn_h2_stream *s, lmn_span bytes)
{
    uint8_t *p = s->own + s->own_n;
    if (bytes.n) memcpy(p, bytes.p, bytes.n);
    s->own_n += bytes.n;
    return (lmn_span){p, bytes.n};
}

static bool copied(const lmn_http_piece *p, size_t total)
{
    return total <= LMN_HTTP_COPY_MOST || p->bytes.n <= LMN_H2_SMALL;
}

/* Take over the pieces: copies of the small ones, one behind the other; large ones as they are. */
static bool take_pieces(lmn_h2_stream *s, const lmn_http_answer *a, size_t total)
{
    lmn_http_loop *l = s->h->c->loop;
    size_t own = 0, n_lent = 0;
    for (uint32_t i = 0; i < a->n_pieces; i++) {
        const bool copy = copied(&a->pieces[i], total);
        if (copy) own += a->pieces[i].bytes.n;
        n_lent += !copy;
    }
    for (uint32_t i = 0; i < a->n_trailers; i++)
        own += a->trailers[i].name.n + a->trailers[i].value.n;
    if (own && !(s->own = lmn_http_buf_take(l, own, &s->own_bytes))) return false;
    s->spans = s->few;
    if (n_lent) {
        s->lent_bytes = n_lent * sizeof *s->pieces + (2 * n_lent + 1) * sizeof *s->spans;
        s->pieces = lmn_alloc(&l->alloc, s->lent_bytes, 16, "http h2 pieces");
        if (!s->pieces) {
            s->lent_bytes = 0;
            return false;
        }
        s->spans = (lmn_span *)(void *)(s->pieces + n_lent);
    }
    bool grows = false; /* the last span ends where the next copy begins */
    for (uint32_t i = 0; i < a->n_pieces; i++) {
        const lmn_http_piece *p = &a->pieces[i];
        if (!copied(p, total)) {
            s->pieces[s->n_pieces++] = *p;
            s->spans[s->n_spans++] = p->bytes;
            grows = false;
            continue;
        }
        const lmn_span mine = own_copy(s, p->bytes);
        lmn_http_pieces_release(p, 1);
        if (grows)
            s->spans[s->n_spans - 1].n += mine.n;
        else if (mine.n)
            s->spans[s->n_spans++] = mine;
        grows |= mine.n > 0;
    }
    return true;
}

static void keep_trailers(lmn_h2_stream *s, const lmn_http_field *fields, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        s->trailers[s->n_trailers++] =
            (lmn_http_field){own_copy(s, fields[i].name), own_copy(s, fields[i].value)};
}

static size_t body_bytes(const lmn_http_answer *a)
{
    size_t n = 0;
    if (lmn_http1_bodyless(a->status)) return 0;
    for (uint32_t i = 0; i < a->n_pieces; i++) n += a->pieces[i].bytes.n;
    return n;
}

static void earn(lmn_h2_conn *h, int64_t frames)
{
    h->budget = h->budget + frames < LMN_H2_BUDGET ? h->budget + frames : LMN_H2_BUDGET;
}

/* What every answer does first. False: nobody is there to have it. */
static bool begin_answer(lmn_h2_stream *s, const lmn_http_answer *a)
{
    lmn_h2_conn *h = s->h;
    s->answered = s->given = true;
    if (!s->live) return false;
    if (a->close || h->c->loop->draining) lmn_h2_leave(h, LMN_H2_NO_ERROR);
    lmn_http_soil(h->c);
    return true;
}

void lmn_h2_reply(lmn_h2_stream *s, const lmn_http_answer *a)
{
    const size_t n = body_bytes(a);
    const bool body = n > 0 && !s->open.head_only;
    const bool here = begin_answer(s, a);
    const int64_t length = a->n_trailers || lmn_http1_bodyless(a->status) ? -1 : (int64_t)n;
    if (!here || !body) {
        lmn_http_pieces_release(a->pieces, a->n_pieces);
        if (here && !submit_head(s, a, length, false, true))
            s->h->table->reset(s->h->session, s->id, LMN_H2_INTERNAL);
    } else if (a->n_trailers > LMN_H2_TRAILERS || !take_pieces(s, a, n)) {
        lmn_http_pieces_release(a->pieces, a->n_pieces);
        s->h->table->reset(s->h->session, s->id, LMN_H2_INTERNAL);
    } else {
        keep_trailers(s, a->trailers, a->n_trailers);
        s->ended = true;
        set_writing(s, true);
        if (!submit_head(s, a, length, true, false))
            s->h->table->reset(s->h->session, s->id, LMN_H2_INTERNAL);
    }
    if (here && !s->reading) earn(s->h, LMN_H2_BUDGET_AN_ANSWER);
    lmn_h2_let_go(s);
}

void lmn_h2_refuse(lmn_h2_stream *s, uint32_t status)
{
    const char *why = lmn_http_sentence(status);
    const lmn_http_piece piece = {.bytes = text(why)};
    const lmn_http_answer a = {
        .status = status, .content_type = "application/json", .pieces = &piece, .n_pieces = 1};
    const lmn_http_handler *handler = s->h->c->loop->server->handler;
    lmn_http_bump(&s->h->c->loop->counts.refused[status], 1);
    if (handler->refused && handler->refused(handler->ctx, &s->open.r, status)) return;
    lmn_h2_reply(s, &a);
}

/* ---- streams ---- */

lamina_status lmn_h2_stream_begin(lmn_h2_stream *s, const lmn_http_answer *a)
{
    lamina_status st = LAMINA_E_CLOSED;
    if (begin_answer(s, a)) {
        st = LAMINA_OK;
        if (!submit_head(s, a, -1, true, false)) {
            s->h->table->reset(s->h->session, s->id, LMN_H2_INTERNAL);
            st = LAMINA_E_CLOSED;
        }
    }
    for (uint32_t i = 0; i < a->n_pieces && st == LAMINA_OK; i++)
        st = lmn_h2_stream_write(s, a->pieces[i].bytes);
    lmn_http_pieces_release(a->pieces, a->n_pieces);
    return st;
}

/* Room for n more bytes of the queue. */
static bool queue_room(lmn_h2_stream *s, size_t n)
{
    lmn_http_loop *l = s->h->c->loop;
    const size_t left = s->own_n - s->at;
    size_t bytes;
    if (s->own_bytes - s->own_n >= n) return true;
    if (s->own_bytes >= left + n && s->at >= left) {
        memcpy(s->own, s->own + s->at, left); /* apart: at >= left */
    } else {
        uint8_t *p = lmn_http_buf_take(l, 2 * left + n, &bytes);
        if (!p) return false;
        if (left) memcpy(p, s->own + s->at, left);
        lmn_http_buf_give(l, s->own, s->own_bytes);
        s->own = p;
        s->own_bytes = bytes;
    }
    s->at = 0;
    s->own_n = left;
    return true;
}

lamina_status lmn_h2_stream_write(lmn_h2_stream *s, lmn_span bytes)
{
    lmn_h2_conn *h = s->h;
    const size_t limit = s->open.stream_limit;
    if (!s->live) return LAMINA_E_CLOSED;
    if (bytes.n == 0 || s->open.head_only) return LAMINA_OK;
    if (s->own_n - s->at + bytes.n > limit && !h->busy) {
        if (!lmn_h2_flush(h->c)) return LAMINA_E_CLOSED;
        if (!s->live) return LAMINA_E_CLOSED;
    }
    const size_t left = s->own_n - s->at;
    if ((left && (left > limit || bytes.n > limit - left)) || !queue_room(s, bytes.n)) {
        h->table->reset(h->session, s->id, LMN_H2_CALM);
        lmn_http_soil(h->c);
        return LAMINA_E_LIMIT;
    }
    (void)own_copy(s, bytes);
    if (!s->writing) {
        set_writing(s, true);
        h->table->resume(h->session, s->id);
    }
    lmn_http_soil(h->c);
    return LAMINA_OK;
}

void lmn_http_stream_trailers(lmn_http_request *r, const lmn_http_field *fields, uint32_t n)
{
    lmn_h2_stream *s = stream_of(r);
    size_t bytes = 0;
    if (!s || !s->live || n > LMN_H2_TRAILERS) return;
    for (uint32_t i = 0; i < n; i++) bytes += fields[i].name.n + fields[i].value.n;
    /* a block of their own: the queue may move; the head's is not needed any more */
    if (bytes > LMN_HTTP_SLAB) return;
    uint8_t *own = s->own;
    const size_t own_n = s->own_n, own_bytes = s->own_bytes;
    size_t cap;
    uint8_t *p = lmn_http_buf_take(s->h->c->loop, bytes, &cap);
    if (!p) return;
    s->own = p;
    s->own_n = 0;
    keep_trailers(s, fields, n);
    s->own = own;
    s->own_n = own_n;
    s->own_bytes = own_bytes;
    s->trailer_block = p;
    s->trailer_bytes = cap;
}

void lmn_h2_stream_end(lmn_h2_stream *s)
{
    s->ended = true;
    if (s->live) {
        s->h->table->resume(s->h->session, s->id);
        lmn_http_soil(s->h->c);
        if (!s->reading) earn(s->h, LMN_H2_BUDGET_AN_ANSWER);
    }
    lmn_h2_let_go(s);
}

/* ---- frames ---- */

/* The bytes that go next and lie together. */
static lmn_span first_bytes(const lmn_h2_stream *s)
{
    if (s->open.streaming && !s->own) return (lmn_span){NULL, 0};
    if (s->open.streaming) return (lmn_span){s->own + s->at, s->own_n - s->at};
    if (s->span == s->n_spans) return (lmn_span){NULL, 0};
    return s->spans[s->span];
}

size_t lmn_h2_ready_body(void *ctx, void *stream, size_t most, bool *last)
{
    lmn_h2_conn *h = ctx;
    lmn_h2_stream *s = stream;
    const lmn_span bytes = first_bytes(s);
    const size_t n = bytes.n < most ? bytes.n : most;
    *last = s->ended && n == bytes.n && (s->open.streaming || s->span + 1 >= s->n_spans);
    if (*last && s->n_trailers &&
        h->table->trailers(h->session, s->id, s->trailers, s->n_trailers) != LAMINA_OK)
        s->n_trailers = 0;
    if (n == 0) set_writing(s, false);
    return n;
}

static void took(lmn_h2_stream *s, size_t n)
{
    lmn_h2_conn *h = s->h;
    h->earned += n;
    earn(h, (int64_t)(h->earned / LMN_H2_BUDGET_BYTES));
    h->earned %= LMN_H2_BUDGET_BYTES;
    if (s->open.streaming) {
        s->at += n;
        if (s->at == s->own_n) s->at = s->own_n = 0;
        if (s->own_n == 0) set_writing(s, false);
        return;
    }
    if (s->span == s->n_spans) return;
    s->spans[s->span].p += n;
    s->spans[s->span].n -= n;
    if (s->spans[s->span].n == 0) s->span++;
    if (s->span == s->n_spans) set_writing(s, false);
}

/* Room in the run that is open. Behind lent pieces runs are short: what is not sent is copied. */
static bool run_room(const lmn_h2_gather *g, size_t n)
{
    const size_t most = g->n ? LMN_HTTP_COPY_MOST : RUN_MOST, used = (size_t)(g->at - g->run);
    return n <= most - used;
}

static void put(lmn_h2_gather *g, const uint8_t *p, size_t n)
{
    if (n) memcpy(g->at, p, n);
    g->at += n;
}

/* End the run: it is the head of the send, or a piece of it. */
static void close_run(lmn_h2_gather *g)
{
    const lmn_span run = {g->run, (size_t)(g->at - g->run)};
    if (!g->head.p)
        g->head = run;
    else if (run.n)
        g->pieces[g->n++] = (lmn_http_piece){.bytes = run};
    g->run = g->at;
}

static void sent(void *ctx, lmn_span bytes)
{
    (void)bytes;
    lmn_h2_stream_unref(ctx);
}

bool lmn_h2_send_body(void *ctx, void *stream, const uint8_t head[9], size_t n)
{
    lmn_h2_stream *s = stream;
    lmn_h2_gather *g = ((lmn_h2_conn *)ctx)->g;
    const bool lend = !s->open.streaming && n > LMN_HTTP_COPY_MOST;
    const uint8_t *p = first_bytes(s).p;
    if (!g || !run_room(g, FRAME_HEAD + (lend ? 0 : n))) return false;
    if (lend && g->n + 2 >= LMN_COUNT(g->pieces)) return false;
    put(g, head, FRAME_HEAD);
    if (!lend) {
        put(g, p, n);
    } else {
        close_run(g);
        s->refs++;
        g->pieces[g->n++] = (lmn_http_piece){.bytes = {p, n}, .release = sent, .ctx = s};
    }
    took(s, n);
    return true;
}

/* Ask the session for as much as one send takes. False: it is broken. */
static bool gather(lmn_h2_conn *h, lmn_h2_gather *g)
{
    g->run = g->at = h->c->loop->scratch;
    g->head = (lmn_span){NULL, 0};
    g->n = 0;
    h->g = g;
    h->busy = true;
    for (;;) {
        if (!h->left.n) {
            const int64_t n = h->table->next(h->session, &h->left.p);
            h->left.n = n > 0 ? (size_t)n : 0;
            if (n < 0) h->broken = true;
            if (n <= 0) break;
        }
        if (!run_room(g, h->left.n) || g->n + 1 >= LMN_COUNT(g->pieces)) break;
        put(g, h->left.p, h->left.n);
        h->left.n = 0;
    }
    h->busy = false;
    h->g = NULL;
    close_run(g);
    return !h->broken;
}

bool lmn_h2_flush(lmn_http_conn *c)
{
    lmn_h2_conn *h = c->h2;
    lmn_h2_gather g;
    if (h->busy) return true;
    for (;;) {
        if (c->out && !lmn_http_out_flush(c)) return false;
        if (c->out || !h->session) break;
        (void)gather(h, &g);
        if (!g.head.n && !g.n) {
            if (h->broken || h->table->over(h->session)) {
                lmn_h2_finish(c);
                return c->phase != LMN_HTTP_DEAD;
            }
            break;
        }
        if (!lmn_http_out_send(c, g.head, g.pieces, g.n)) return false;
    }
    if (h->session) lmn_h2_retime(c);
    return true;
}
