/*
 * The chunked transfer coding (RFC 9112 7.1), read in place and resumable at every byte: what is
 * decoded moves to the front of what was given. Extensions and trailers are checked and dropped;
 * everything is bounded and nothing is kept but this record.
 */
#ifndef LMN_HTTP_HTTP1_CHUNK_H
#define LMN_HTTP_HTTP1_CHUNK_H

#include "http/http1_head.h"

enum {
    LMN_HTTP1_EXTENSION_BYTES = 1024,       /* of one chunk, else 400 */
    LMN_HTTP1_EXTENSIONS_BYTES = 256 << 10, /* of one body, else 400 */
    LMN_HTTP1_TRAILER_BYTES = 8 << 10       /* of one body, else 431 */
};

typedef struct lmn_http1_chunk {
    uint64_t left;   /* of the chunk */
    uint64_t budget; /* of the body */
    uint32_t n_left; /* chunks that may still come */
    uint32_t state, digits, extension, extensions, trailer;
} lmn_http1_chunk;

void lmn_http1_chunk_begin(lmn_http1_chunk *c, uint64_t body_bytes, uint32_t n_chunks);
/*
 * Decode p[0..n): *body bytes of the body lie at p afterwards. *used: how many of the n were read,
 * all but when READY. READY: the body is over; MORE; or 400, 413, 431.
 */
uint32_t lmn_http1_chunk_read(lmn_http1_chunk *c, uint8_t *p, size_t n, size_t *used, size_t *body);
/* Without decoding: how many of the next n bytes are body. They count as read. */
size_t lmn_http1_chunk_take(lmn_http1_chunk *c, size_t n);

#endif
