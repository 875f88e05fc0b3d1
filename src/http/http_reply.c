/*
 * Answers: whole, streamed, and the refusals of this room. An answer to a client that has left is
 * dropped, its pieces released; the request goes all the same.
 */
#include "http/http_int.h"

#include <string.h>

static lmn_http_open *open_of(lmn_http_request *r)
{
    return (lmn_http_open *)(void *)r; /* its first member */
}

static size_t body_bytes(const lmn_http_answer *a)
{
    size_t n = 0;
    if (lmn_http1_bodyless(a->status)) return 0;
    for (uint32_t i = 0; i < a->n_pieces; i++) n += a->pieces[i].bytes.n;
    return n;
}

/* The head, in the scratch of the loop. One that is too long is a bug of the handler's. */
static lmn_span format_head(lmn_http_loop *l, const lmn_http_answer *a, const lmn_http1_form *form)
{
    size_t n = lmn_http1_answer_head(l->scratch, LMN_HTTP_HEAD_MOST, a, form);
    if (n == 0) {
        const lmn_http_answer bare = {.status = 500};
        n = lmn_http1_answer_head(l->scratch, LMN_HTTP_HEAD_MOST, &bare, form);
    }
    return (lmn_span){l->scratch, n};
}

static lmn_span date_of(const lmn_http_loop *l)
{
    return (lmn_span){(const uint8_t *)l->date, 37};
}

void lmn_http_reply(lmn_http_request *r, const lmn_http_answer *a)
{
    lmn_http_open *o = open_of(r);
    lmn_http_conn *c = o->c;
    if (o->h2) {
        lmn_h2_reply(o->h2, a);
        return;
    }
    if (c->phase == LMN_HTTP_DEAD) {
        lmn_http_pieces_release(a->pieces, a->n_pieces);
        lmn_http_conn_answered(c);
        return;
    }
    const lmn_http1_form form = {.date = date_of(c->loop),
                                 .body_bytes = (int64_t)body_bytes(a),
                                 .close = lmn_http_conn_must_close(c, a),
                                 .old = r->version == 10};
    const lmn_span head = format_head(c->loop, a, &form);
    uint32_t n = a->n_pieces;
    if (o->head_only || lmn_http1_bodyless(a->status)) {
        lmn_http_pieces_release(a->pieces, n);
        n = 0;
    }
    (void)lmn_http_out_send(c, head, a->pieces, n);
    lmn_http_conn_answered(c);
}

lamina_status lmn_http_stream_begin(lmn_http_request *r, const lmn_http_answer *a, size_t limit)
{
    lmn_http_open *o = open_of(r);
    lmn_http_conn *c = o->c;
    o->streaming = true;
    o->stream_limit = limit;
    if (o->h2) return lmn_h2_stream_begin(o->h2, a);
    o->chunked = r->version > 10;
    if (c->phase == LMN_HTTP_DEAD) {
        lmn_http_pieces_release(a->pieces, a->n_pieces);
        return LAMINA_E_CLOSED;
    }
    if (!o->chunked) c->closing = true;
    const lmn_http1_form form = {.date = date_of(c->loop),
                                 .body_bytes = o->chunked ? -1 : -2,
                                 .close = lmn_http_conn_must_close(c, a),
                                 .old = r->version == 10};
    if (!lmn_http_out_copy(c, format_head(c->loop, a, &form))) {
        lmn_http_pieces_release(a->pieces, a->n_pieces);
        return LAMINA_E_CLOSED;
    }
    lmn_http_soil(c);
    lamina_status st = LAMINA_OK;
    for (uint32_t i = 0; i < a->n_pieces && st == LAMINA_OK; i++)
        st = lmn_http_stream_write(r, a->pieces[i].bytes);
    lmn_http_pieces_release(a->pieces, a->n_pieces);
    return st;
}

static bool copy_chunk(lmn_http_conn *c, lmn_span bytes)
{
    uint8_t head[20];
    size_t i = sizeof head;
    head[--i] = '\n';
    head[--i] = '\r';
    size_t v = bytes.n;
    do head[--i] = (uint8_t) "0123456789abcdef"[v & 15];
    while (v >>= 4);
    return lmn_http_out_copy(c, (lmn_span){head + i, sizeof head - i}) &&
           lmn_http_out_copy(c, bytes) &&
           lmn_http_out_copy(c, (lmn_span){(const uint8_t *)"\r\n", 2});
}

lamina_status lmn_http_stream_write(lmn_http_request *r, lmn_span bytes)
{
    lmn_http_open *o = open_of(r);
    lmn_http_conn *c = o->c;
    if (o->h2) return lmn_h2_stream_write(o->h2, bytes);
    if (c->phase == LMN_HTTP_DEAD) return LAMINA_E_CLOSED;
    if (bytes.n == 0 || o->head_only) return LAMINA_OK;
    if (c->out_bytes > o->stream_limit || bytes.n > o->stream_limit - c->out_bytes) {
        /* perhaps it only waits for the end of the turn */
        if (!lmn_http_out_flush(c)) return LAMINA_E_CLOSED;
        if (c->out_bytes &&
            (c->out_bytes > o->stream_limit || bytes.n > o->stream_limit - c->out_bytes)) {
            lmn_http_conn_lost(c);
            return LAMINA_E_LIMIT;
        }
    }
    if (!(o->chunked ? copy_chunk(c, bytes) : lmn_http_out_copy(c, bytes))) return LAMINA_E_CLOSED;
    lmn_http_soil(c);
    return LAMINA_OK;
}

void lmn_http_stream_end(lmn_http_request *r)
{
    lmn_http_open *o = open_of(r);
    lmn_http_conn *c = o->c;
    if (o->h2) {
        lmn_h2_stream_end(o->h2);
        return;
    }
    if (c->phase != LMN_HTTP_DEAD && o->chunked && !o->head_only &&
        lmn_http_out_copy(c, (lmn_span){(const uint8_t *)"0\r\n\r\n", 5}))
        lmn_http_soil(c);
    lmn_http_conn_answered(c);
}

const char *lmn_http_sentence(uint32_t status)
{
    switch (status) {
    case 408: return "{\"error\":\"the request took too long to arrive\"}";
    case 413: return "{\"error\":\"the body is larger than is accepted\"}";
    case 414: return "{\"error\":\"the request line is too long\"}";
    case 417: return "{\"error\":\"only 100-continue can be expected\"}";
    case 431: return "{\"error\":\"the header fields are too many or too long\"}";
    case 501: return "{\"error\":\"the method or transfer coding is not implemented\"}";
    case 503: return "{\"error\":\"no memory is left for this request; try again\"}";
    case 505: return "{\"error\":\"this version of HTTP is not spoken here\"}";
    default: return "{\"error\":\"malformed HTTP\"}";
    }
}

void lmn_http_refuse(lmn_http_conn *c, uint32_t status)
{
    static const lmn_http_field retry = {{(const uint8_t *)"Retry-After", 11},
                                         {(const uint8_t *)"1", 1}};
    const char *text = lmn_http_sentence(status);
    const lmn_http_piece piece = {.bytes = {(const uint8_t *)text, strlen(text)}};
    const lmn_http_answer a = {.status = status,
                               .content_type = "application/json",
                               .fields = &retry,
                               .n_fields = status == 503};
    const lmn_http1_form form = {
        .date = date_of(c->loop), .body_bytes = (int64_t)piece.bytes.n, .close = true};
    lmn_http_bump(&c->loop->counts.refused[status], 1);
    if (lmn_http_out_send(c, format_head(c->loop, &a, &form), &piece, 1)) lmn_http_conn_end(c);
}
