/*
 * The chunk decoder (http1_chunk.h): a state a place in the grammar, data moved in blocks.
 */
#include "http/http1_chunk.h"

#include <string.h>

enum {
    SIZE,      /* hexadecimal digits */
    EXTENSION, /* after the semicolon */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* at the beginning of a trailer line */
    NAME,
    VALUE,
    VALUE_LF,
    LAST_LF
};

void lmn_http1_chunk_begin(lmn_http1_chunk *c, uint64_t body_bytes, uint32_t n_chunks)
{
    *c = (lmn_http1_chunk){.budget = body_bytes, .n_left = n_chunks, .state = SIZE};
}

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint32_t size_byte(lmn_http1_chunk *c, uint8_t b)
{
    const int v = hex(b);
    if (v >= 0) {
        if (++c->digits > 16) return 400; /* no more than 64 bits */
        c->left = c->left << 4 | (uint32_t)v;
        return LMN_HTTP1_MORE;
    }
    if (c->digits == 0) return 400;
    if (b != ';' && b != '\r') return 400;
    if (c->left > c->budget) return 413;
    c->state = b == ';' ? EXTENSION : SIZE_LF;
    return LMN_HTTP1_MORE;
}

static uint32_t extension_byte(lmn_http1_chunk *c, uint8_t b)
{
    if (b == '\r') {
        c->state = SIZE_LF;
        return LMN_HTTP1_MORE;
    }
    if (!lmn_http1_is_text(b)) return 400;
    const bool fits = ++c->extension <= LMN_HTTP1_EXTENSION_BYTES &&
                      ++c->extensions <= LMN_HTTP1_EXTENSIONS_BYTES;
    return fits ? LMN_HTTP1_MORE : 400;
}

static uint32_t begin_chunk(lmn_http1_chunk *c, uint8_t b)
{
    if (b != '\n') return 400;
    c->digits = c->extension = 0;
    if (c->left == 0) {
        c->state = LINE;
        return LMN_HTTP1_MORE;
    }
    if (c->n_left-- == 0) return 413;
    c->budget -= c->left;
    c->state = DATA;
    return LMN_HTTP1_MORE;
}

static uint32_t trailer_byte(lmn_http1_chunk *c, uint8_t b)
{
    if (++c->trailer > LMN_HTTP1_TRAILER_BYTES) return 431;
    if (c->state == LINE) {
        c->state = b == '\r' ? LAST_LF : NAME;
        return b == '\r' || lmn_http1_is_token(b) ? LMN_HTTP1_MORE : 400;
    }
    if (c->state == NAME) {
        if (b == ':') c->state = VALUE;
        return b == ':' || lmn_http1_is_token(b) ? LMN_HTTP1_MORE : 400;
    }
    if (b == '\r') c->state = VALUE_LF;
    return b == '\r' || lmn_http1_is_text(b) ? LMN_HTTP1_MORE : 400;
}

static uint32_t one_byte(lmn_http1_chunk *c, uint8_t b)
{
    switch (c->state) {
    case SIZE: return size_byte(c, b);
    case EXTENSION: return extension_byte(c, b);
    case SIZE_LF: return begin_chunk(c, b);
    case DATA_CR: c->state = DATA_LF; return b == '\r' ? LMN_HTTP1_MORE : 400;
    case DATA_LF: c->state = SIZE; return b == '\n' ? LMN_HTTP1_MORE : 400;
    case VALUE_LF: c->state = LINE; return b == '\n' ? LMN_HTTP1_MORE : 400;
    case LAST_LF: return b == '\n' ? LMN_HTTP1_READY : 400;
    default: return trailer_byte(c, b);
    }
}

size_t lmn_http1_chunk_take(lmn_http1_chunk *c, size_t n)
{
    if (c->state != DATA) return 0;
    const size_t k = c->left < n ? (size_t)c->left : n;
    c->left -= k;
    if (c->left == 0) c->state = DATA_CR;
    return k;
}

uint32_t lmn_http1_chunk_read(lmn_http1_chunk *c, uint8_t *p, size_t n, size_t *used, size_t *body)
{
    size_t at = 0, out = 0;
    uint32_t step = LMN_HTTP1_MORE;
    while (at < n && step == LMN_HTTP1_MORE) {
        if (c->state != DATA) {
            step = one_byte(c, p[at++]);
            continue;
        }
        const size_t k = lmn_http1_chunk_take(c, n - at);
        if (out != at) memmove(p + out, p + at, k);
        out += k;
        at += k;
    }
    *used = at;
    *body = out;
    return step;
}
