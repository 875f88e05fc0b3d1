/*
 * The reader of answers (http1_client.h): line by line to the blank one, then the body.
 */
#include "http/http1_client.h"

#include <string.h>

enum { STATUS_LINE, FIELD_LINE, LENGTH, CHUNKS, UNTIL_CLOSE, OVER, FAILED };

void lmn_http1_reply_init(lmn_http1_reply *r, bool head)
{
    r->status = 0;
    r->close = false;
    r->content_type[0] = 0;
    r->json_bytes = r->length = -1;
    r->part = (lmn_span){NULL, 0};
    r->state = STATUS_LINE;
    r->n_lines = r->n_interim = r->line_n = 0;
    r->left = 0;
    r->coming = 0;
    r->head = head;
    r->old = r->chunked = false;
    r->options = (lmn_http1_options){false, false};
}

/* "HTTP/1." digit SP 3 digits [SP reason]; p[n) is CR LF. */
static bool status_line(lmn_http1_reply *r, const uint8_t *p, size_t n)
{
    if (n < 12 || memcmp(p, "HTTP/1.", 7) != 0 || p[7] < '0' || p[7] > '9' || p[8] != ' ')
        return false;
    if (p[9] < '1' || p[9] > '5' || (n > 12 && p[12] != ' ')) return false;
    for (size_t i = 10; i < 12; i++)
        if (p[i] < '0' || p[i] > '9') return false;
    for (size_t i = 12; i < n; i++)
        if (!lmn_http1_is_text(p[i])) return false;
    r->old = p[7] == '0';
    r->coming = (uint32_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
    r->state = FIELD_LINE;
    return r->coming != 101;
}

static bool field_line(lmn_http1_reply *r, const uint8_t *p, size_t n)
{
    lmn_http_field f;
    const uint8_t *at = p;
    if (!lmn_http1_field(&at, p + n + 2, &f) || at != p + n + 2) return false;
    switch (f.name.n) {
    case 10:
        if (lmn_http1_is(f.name, "connection")) lmn_http1_connection(f.value, &r->options);
        break;
    case 12:
        if (lmn_http1_is(f.name, "content-type")) {
            const size_t most = sizeof r->content_type - 1, k = f.value.n < most ? f.value.n : most;
            memcpy(r->content_type, f.value.p, k);
            r->content_type[k] = 0;
        }
        break;
    case 14:
        if (!lmn_http1_is(f.name, "content-length")) break;
        return r->length < 0 && !r->chunked && lmn_http1_parse_length(f.value, &r->length);
    case 17:
        if (!lmn_http1_is(f.name, "transfer-encoding")) break;
        if (r->chunked || r->length >= 0 || !lmn_http1_is(f.value, "chunked")) return false;
        r->chunked = true;
        break;
    case 31:
        if (lmn_http1_is(f.name, "inference-header-content-length"))
            return r->json_bytes < 0 && lmn_http1_parse_length(f.value, &r->json_bytes);
        break;
    default: break;
    }
    return true;
}

/* RFC 9112 6.3. */
static bool end_of_head(lmn_http1_reply *r)
{
    const uint32_t status = r->coming;
    if (status < 200) {
        const uint32_t n = r->n_interim + 1;
        lmn_http1_reply_init(r, r->head);
        r->n_interim = n;
        return n <= LMN_HTTP1_INTERIM_MOST;
    }
    r->status = status;
    if (r->head || status == 204 || status == 304) {
        r->state = OVER;
    } else if (r->chunked) {
        lmn_http1_chunk_begin(&r->chunk, UINT64_MAX, UINT32_MAX);
        r->state = CHUNKS;
    } else if (r->length >= 0) {
        r->left = (uint64_t)r->length;
        r->state = r->left ? LENGTH : OVER;
    } else {
        r->state = UNTIL_CLOSE;
    }
    r->close = r->options.close || (r->old && !r->options.keep) || r->state == UNTIL_CLOSE;
    return true;
}

/* A line with its CR LF. */
static bool one_line(lmn_http1_reply *r, const uint8_t *p, size_t n)
{
    if (n < 2 || n > LMN_HTTP1_LINE || p[n - 2] != '\r') return false;
    if (r->state == STATUS_LINE) return status_line(r, p, n - 2);
    if (n == 2) return end_of_head(r);
    return ++r->n_lines <= LMN_HTTP1_LINES && field_line(r, p, n - 2);
}

/* Up to the end of a line, or of the bytes; what is not over is kept. */
static bool read_line(lmn_http1_reply *r, const uint8_t *p, size_t n, size_t *used)
{
    const uint8_t *lf = memchr(p, '\n', n);
    const size_t k = lf ? (size_t)(lf - p) + 1 : n;
    *used = k;
    if (lf && r->line_n == 0) return one_line(r, p, k);
    if (k > LMN_HTTP1_LINE - r->line_n) return false;
    memcpy(r->line + r->line_n, p, k);
    r->line_n += (uint32_t)k;
    if (!lf) return true;
    const size_t whole = r->line_n;
    r->line_n = 0;
    return one_line(r, (const uint8_t *)r->line, whole);
}

static bool read_chunk(lmn_http1_reply *r, const uint8_t *p, size_t n, size_t *used)
{
    size_t u, got;
    const size_t k = lmn_http1_chunk_take(&r->chunk, n);
    if (k) {
        r->part = (lmn_span){p, k};
        *used = k;
        return true;
    }
    uint8_t byte = *p;
    const uint32_t step = lmn_http1_chunk_read(&r->chunk, &byte, 1, &u, &got);
    *used = 1;
    if (step == LMN_HTTP1_READY) r->state = OVER;
    return step <= LMN_HTTP1_READY;
}

static bool read_some(lmn_http1_reply *r, const uint8_t *p, size_t n, size_t *used)
{
    size_t k = n;
    switch (r->state) {
    case STATUS_LINE:
    case FIELD_LINE: return read_line(r, p, n, used);
    case CHUNKS: return read_chunk(r, p, n, used);
    case LENGTH:
        if (r->left < k) k = (size_t)r->left;
        r->left -= k;
        if (r->left == 0) r->state = OVER;
        break;
    case UNTIL_CLOSE: break;
    default: return false;
    }
    r->part = (lmn_span){p, k};
    *used = k;
    return true;
}

lmn_http1_step lmn_http1_reply_feed(lmn_http1_reply *r, lmn_span bytes, size_t *used)
{
    size_t at = 0, k = 0;
    r->part = (lmn_span){NULL, 0};
    while (at < bytes.n && r->state != OVER && r->part.n == 0) {
        if (!read_some(r, bytes.p + at, bytes.n - at, &k)) {
            r->state = FAILED;
            *used = at;
            return LMN_HTTP1_BROKEN;
        }
        at += k;
    }
    *used = at;
    return r->state == OVER ? LMN_HTTP1_DONE : LMN_HTTP1_MORE;
}

lmn_http1_step lmn_http1_reply_end(const lmn_http1_reply *r)
{
    return r->state == UNTIL_CLOSE || r->state == OVER ? LMN_HTTP1_DONE : LMN_HTTP1_BROKEN;
}
