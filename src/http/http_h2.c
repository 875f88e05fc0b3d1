/*
 * HTTP/2 on a connection: what comes in. Bytes are fed to the session, which tells of heads
 * (http_h2_head.c), bodies and ends; streams become requests. What a client may do without asking
 * for anything is paid out of a budget, and who overdraws it is sent away (GOAWAY,
 * ENHANCE_YOUR_CALM).
 */
#include "http/http_h2_int.h"

#include <stddef.h>
#include <string.h>

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ---- streams ---- */

static void set_reading(lmn_h2_stream *s, bool reading)
{
    if (s->reading == reading) return;
    s->reading = reading;
    s->h->n_reading += reading ? 1u : UINT32_MAX;
}

static void free_body(lmn_h2_stream *s)
{
    if (s->body && s->body_bytes) {
        s->h->body_bytes -= s->body_bytes;
        lmn_http_buf_give(s->h->c->loop, s->body, s->body_bytes);
    }
    s->body = NULL;
    s->body_bytes = s->body_n = 0;
}

static void free_stream(lmn_h2_stream *s)
{
    lmn_h2_conn *h = s->h;
    lmn_http_conn *c = h->c;
    lmn_http_loop *l = c->loop;
    if (s->pieces) lmn_http_pieces_release(s->pieces, s->n_pieces);
    if (s->lent_bytes) lmn_free(&l->alloc, s->pieces, s->lent_bytes, 16, "http h2 pieces");
    if (s->open.many)
        lmn_free(&l->alloc, s->open.many, l->limits.n_fields * sizeof *s->open.many, 16,
                 "http fields");
    free_body(s);
    lmn_http_buf_give(l, s->head, s->head_bytes);
    lmn_http_buf_give(l, s->own, s->own_bytes);
    lmn_http_buf_give(l, s->trailer_block, s->trailer_bytes);
    if (s->prev)
        s->prev->next = s->next;
    else
        h->streams = s->next;
    if (s->next) s->next->prev = s->prev;
    h->n_streams--;
    lmn_objpool_give(&l->stream_pool, s);
    if (c->phase == LMN_HTTP_DEAD && h->n_streams == 0 && !h->dropping) lmn_http_bury(c);
}

void lmn_h2_stream_unref(lmn_h2_stream *s)
{
    if (--s->refs == 0) free_stream(s);
}

/* Nothing follows of a body that is taken in parts: said once. */
static void end_parts(lmn_h2_stream *s)
{
    void (*const part)(void *ctx, lmn_http_request *r, lmn_span bytes, bool last) = s->part;
    s->part = NULL;
    set_reading(s, false);
    part(s->part_ctx, &s->open.r, (lmn_span){NULL, 0}, true);
}

/* The session names it no more. */
static void detach(lmn_h2_stream *s)
{
    if (!s->live) return;
    s->live = false;
    set_reading(s, false);
    if (s->writing) s->h->n_writing--;
    s->writing = false;
    if (s->held) {
        lmn_atomic_store(&s->open.r.gone, 1, release);
        s->open.r.loop->n_left++;
        if (s->part) end_parts(s);
        if (s->held && !s->given) lmn_h2_let_go(s); /* its body did not come */
    }
    lmn_h2_stream_unref(s);
}

size_t lmn_h2_stream_bytes(void)
{
    return sizeof(lmn_h2_stream);
}

static void *on_begin(void *ctx, int32_t id)
{
    lmn_h2_conn *h = ctx;
    lmn_http_conn *c = h->c;
    lmn_h2_stream *s = h->n_streams < LMN_H2_RECORDS && !h->leaving
                           ? lmn_objpool_take(&c->loop->stream_pool)
                           : NULL;
    if (!s) return NULL;
    /* the fields of few are written before they are read */
    memset(s, 0, offsetof(lmn_http_open, few));
    memset((uint8_t *)s + sizeof s->open, 0, sizeof *s - sizeof s->open);
    s->open.c = c;
    s->open.h2 = s;
    s->open.r.fields = s->open.few;
    s->open.r.began_ns = c->loop->now;
    s->h = h;
    s->id = id;
    s->refs = 1;
    s->live = true;
    s->next = h->streams;
    if (h->streams) h->streams->prev = s;
    h->streams = s;
    h->n_streams++;
    set_reading(s, true);
    return s;
}

/* ---- heads ---- */

static void hand_over(lmn_h2_stream *s)
{
    const lmn_http_handler *handler = s->h->c->loop->server->handler;
    lmn_http_request *r = &s->open.r;
    r->body = (lmn_span){s->body_n ? s->body : NULL, s->body_n};
    r->body_ns = s->h->c->loop->now;
    s->given = true;
    handler->request(handler->ctx, r);
}

static void on_head(void *ctx, void *stream, bool last)
{
    lmn_h2_stream *s = stream;
    lmn_http_conn *c = ((lmn_h2_conn *)ctx)->c;
    lmn_http_loop *l = c->loop;
    const lmn_http_handler *handler = l->server->handler;
    lmn_http_request *r = &s->open.r;
    const uint32_t status = lmn_h2_read_head(s, last);
    r->loop = l;
    r->version = 20;
    r->local = c->local;
    r->secure = c->session != NULL;
    r->peer = (lmn_span){(const uint8_t *)c->peer, c->peer_n};
    r->listener = c->listener;
    r->head_ns = l->now;
    s->open.head_only = r->method == LMN_HTTP_HEAD;
    s->held = true;
    s->refs++;
    lmn_http_bump(&l->counts.requests, 1);
    lmn_http_bump(&l->counts.in_flight, 1);
    if (last) set_reading(s, false);
    s->welcome = l->limits.body_bytes;
    if (status) {
        lmn_h2_refuse(s, status);
        return;
    }
    if (r->declared_bytes > 0 && (uint64_t)r->declared_bytes > s->welcome) {
        lmn_h2_refuse(s, 413);
        return;
    }
    if (handler->head) {
        const uint64_t asked = handler->head(handler->ctx, r);
        if (!s->held || (s->answered && !s->part)) return;
        if (asked < s->welcome) s->welcome = asked;
    }
    if (s->part) {
        set_reading(s, false); /* as slow as it likes */
        if (last) end_parts(s);
    } else if (r->declared_bytes > 0 && (uint64_t)r->declared_bytes > s->welcome) {
        lmn_h2_refuse(s, 413);
    } else if (last) {
        hand_over(s);
    }
}

/* ---- bodies ---- */

/* Room for n more bytes: behind the head while they fit, then in a block that doubles. */
static bool body_room(lmn_h2_stream *s, size_t n)
{
    lmn_h2_conn *h = s->h;
    const size_t at = lmn_align_up(s->head_n, 64), need = s->body_n + n;
    size_t want = need, bytes;
    if (!s->body && at < s->head_bytes && need <= s->head_bytes - at) s->body = s->head + at;
    if (s->body && !s->body_bytes && need <= s->head_bytes - at) return true;
    if (need <= s->body_bytes) return true;
    const int64_t declared = s->open.r.declared_bytes;
    if (want < 2 * s->body_n) want = 2 * s->body_n;
    if (declared > 0 && want < (uint64_t)declared)
        want = declared < LMN_HTTP_FIRST_BODY ? (size_t)declared : lmn_align_up(want, 4096);
    if (h->body_bytes + want > 2 * h->c->loop->limits.body_bytes) return false;
    uint8_t *p = lmn_http_buf_take(h->c->loop, want, &bytes);
    if (!p) return false;
    const size_t had = s->body_n;
    if (had) memcpy(p, s->body, had);
    free_body(s);
    s->body = p;
    s->body_n = had;
    s->body_bytes = bytes;
    h->body_bytes += bytes;
    return true;
}

static void on_data(void *ctx, void *stream, lmn_span bytes)
{
    lmn_h2_conn *h = ctx;
    lmn_h2_stream *s = stream;
    h->c->moved += bytes.n;
    if (s->held && s->part) {
        s->part(s->part_ctx, &s->open.r, bytes, false);
        return;
    }
    h->table->consumed(h->session, s->id, bytes.n);
    if (!s->held || s->answered) { /* nobody wants it */
        s->skipped += bytes.n;
        if (s->skipped > LMN_HTTP_SKIP_MOST) h->table->reset(h->session, s->id, LMN_H2_NO_ERROR);
    } else if (bytes.n > s->welcome || s->body_n > s->welcome - bytes.n) {
        lmn_h2_refuse(s, 413);
    } else if (!body_room(s, bytes.n)) {
        lmn_h2_refuse(s, 503);
    } else {
        memcpy(s->body + s->body_n, bytes.p, bytes.n);
        s->body_n += bytes.n;
    }
}

static void on_end(void *ctx, void *stream)
{
    lmn_h2_stream *s = stream;
    (void)ctx;
    set_reading(s, false);
    if (!s->held) return;
    if (s->part)
        end_parts(s);
    else if (!s->answered)
        hand_over(s);
}

static void on_closed(void *ctx, void *stream, uint32_t code)
{
    (void)ctx;
    (void)code;
    detach(stream);
}

void lmn_http_body_parts(lmn_http_request *r,
                         void (*part)(void *ctx, lmn_http_request *r, lmn_span bytes, bool last),
                         void *ctx)
{
    lmn_h2_stream *s = ((lmn_http_open *)(void *)r)->h2;
    lmn_assert(s);
    s->part = part;
    s->part_ctx = ctx;
    s->given = true;
}

void lmn_http_body_took(lmn_http_request *r, size_t n)
{
    lmn_h2_stream *s = ((lmn_http_open *)(void *)r)->h2;
    if (!s->h->session) return;
    s->h->table->consumed(s->h->session, s->live ? s->id : 0, n);
    lmn_http_soil(s->h->c);
}

void lmn_http_body_owed(lmn_http_request *r, bool owed)
{
    lmn_h2_stream *s = ((lmn_http_open *)(void *)r)->h2;
    if (!s->live || !s->part) return;
    set_reading(s, owed);
    lmn_http_soil(s->h->c);
}

/* ---- budgets ---- */

void lmn_h2_leave(lmn_h2_conn *h, uint32_t code)
{
    if (!h->session || h->broken || (h->leaving && code == LMN_H2_NO_ERROR)) return;
    h->leaving = true;
    h->broken = code != LMN_H2_NO_ERROR;
    h->table->go_away(h->session, code);
    lmn_http_soil(h->c);
}

static void on_control(void *ctx, lmn_h2_control what)
{
    lmn_h2_conn *h = ctx;
    const uint64_t ns = LMN_HTTP_SECOND / LMN_H2_BUDGET_A_SECOND, now = h->c->loop->now;
    (void)what;
    if (--h->budget >= 0 || h->broken) return;
    h->budget += (int64_t)((now - h->budget_ns) / ns);
    h->budget_ns = now;
    if (h->budget > LMN_H2_BUDGET) h->budget = LMN_H2_BUDGET;
    if (h->budget < 0) lmn_h2_leave(h, LMN_H2_CALM);
}

/* ---- the connection ---- */

static const lmn_h2_events EVENTS = {.begin = on_begin,
                                     .field = lmn_h2_on_field,
                                     .head = on_head,
                                     .data = on_data,
                                     .end = on_end,
                                     .closed = on_closed,
                                     .control = on_control,
                                     .send_body = lmn_h2_send_body,
                                     .ready_body = lmn_h2_ready_body};

/* Where within a frame the input ends. */
static void follow(lmn_h2_conn *h, lmn_span in)
{
    while (in.n) {
        const size_t want = h->awaited ? h->awaited : sizeof h->frame - h->n_frame;
        const size_t n = in.n < want ? in.n : want;
        if (h->awaited) {
            h->awaited -= (uint32_t)n;
        } else {
            memcpy(h->frame + h->n_frame, in.p, n);
            h->n_frame += (uint32_t)n;
        }
        in.p += n;
        in.n -= n;
        if (h->n_frame < sizeof h->frame) continue;
        h->awaited = (uint32_t)h->frame[0] << 16 | (uint32_t)h->frame[1] << 8 | h->frame[2];
        h->n_frame = 0;
    }
}

static void feed(lmn_h2_conn *h, lmn_span bytes)
{
    follow(h, bytes);
    h->busy = true;
    if (!h->table->feed(h->session, bytes)) h->broken = true;
    h->busy = false;
    lmn_http_soil(h->c);
}

static bool begin(lmn_http_conn *c)
{
    lmn_http_loop *l = c->loop;
    if (!l->h2_input) l->h2_input = lmn_alloc(&l->alloc, LMN_HTTP_H2_INPUT, 64, "http h2");
    lmn_h2_conn *h = l->h2_input ? lmn_calloc(&l->alloc, 1, sizeof *h, "http h2") : NULL;
    if (!h) return false;
    const lmn_h2_settings settings = {LMN_H2_STREAMS, l->limits.header_bytes, LMN_H2_STREAM_WINDOW,
                                      LMN_H2_CONN_WINDOW};
    h->c = c;
    h->table = l->server->h2;
    h->budget = LMN_H2_BUDGET;
    h->budget_ns = l->now;
    h->awaited = LMN_H2_PREFACE;
    c->h2 = h;
    return h->table->create(&l->alloc, &settings, &EVENTS, h, &h->session) == LAMINA_OK;
}

lmn_h2_greeting lmn_h2_greet(lmn_http_conn *c)
{
    const size_t have = c->n - c->at, n = have < LMN_H2_PREFACE ? have : LMN_H2_PREFACE;
    if (!c->loop->server->h2 || c->spoken || have == 0) return LMN_H2_NONE;
    if (c->session && !c->wants_h2) return LMN_H2_NONE; /* over TLS it is agreed upon first */
    if (memcmp(c->in + c->at, PREFACE, n) != 0) {
        if (!c->wants_h2) return LMN_H2_NONE;
    } else if (n < LMN_H2_PREFACE) {
        return LMN_H2_PART;
    }
    if (!begin(c)) {
        lmn_http_conn_lost(c);
        return LMN_H2_WHOLE;
    }
    const lmn_span bytes = {c->in + c->at, have};
    c->phase = LMN_HTTP_H2;
    feed(c->h2, bytes);
    lmn_http_conn_used(c);
    if (c->readable) lmn_http_queue(c);
    return LMN_H2_WHOLE;
}

void lmn_h2_go(lmn_http_conn *c)
{
    lmn_h2_conn *h = c->h2;
    if (!c->readable || c->out_bytes > LMN_H2_OUT_MOST) return; /* who does not read waits */
    const int64_t got = lmn_http_conn_receive(c, c->loop->h2_input, LMN_HTTP_H2_INPUT);
    if (got > 0) feed(h, (lmn_span){c->loop->h2_input, (size_t)got});
    if (got == 0) {
        if (!lmn_h2_flush(c) || c->phase != LMN_HTTP_H2) return; /* why, if that was our doing */
        if (h->n_streams)
            lmn_http_conn_lost(c);
        else
            lmn_http_conn_drop(c);
        return;
    }
    if (got > 0 && c->readable) lmn_http_queue(c);
}

void lmn_h2_retime(lmn_http_conn *c)
{
    const lmn_h2_conn *h = c->h2;
    lmn_http_timer kind = LMN_HTTP_TIMER_NONE;
    if (h->n_reading || h->n_writing || c->out)
        kind = LMN_HTTP_TIMER_STALL;
    else if (!h->n_streams)
        kind = h->awaited || h->n_frame ? LMN_HTTP_TIMER_STALL : LMN_HTTP_TIMER_IDLE;
    if (kind != c->timer) lmn_http_timer_set(c, kind);
}

/* All streams lose their session. */
static void part_with(lmn_h2_conn *h)
{
    h->dropping = true;
    for (lmn_h2_stream *s = h->streams, *next; s; s = next) {
        next = s->next;
        detach(s);
    }
    h->dropping = false;
    if (h->session) h->table->destroy(h->session);
    h->session = NULL;
    h->left = (lmn_span){NULL, 0};
}

void lmn_h2_finish(lmn_http_conn *c)
{
    part_with(c->h2);
    lmn_http_conn_end(c);
}

bool lmn_h2_drop(lmn_http_conn *c)
{
    part_with(c->h2);
    c->h2->dropping = true;
    lmn_http_out_drop(c);
    c->h2->dropping = false;
    return c->h2->n_streams == 0;
}

void lmn_h2_free(lmn_http_conn *c)
{
    lmn_h2_conn *h = c->h2;
    if (!h) return;
    if (h->session) h->table->destroy(h->session);
    h->session = NULL;
    h->dropping = true;
    while (h->streams) free_stream(h->streams);
    lmn_cfree(&c->loop->alloc, h, 1, sizeof *h, "http h2");
    c->h2 = NULL;
}

void lmn_h2_idle(lmn_http_conn *c)
{
    lmn_h2_leave(c->h2, LMN_H2_NO_ERROR);
    (void)lmn_h2_flush(c);
}
