/*
 * Answers as our own tools read them: a resumable reader without any I/O, as strict as that of
 * requests. It keeps what a line needs that is not over, no more; bodies are handed out where they
 * lie. Interim answers (1xx) are passed over.
 */
#ifndef LMN_HTTP_HTTP1_CLIENT_H
#define LMN_HTTP_HTTP1_CLIENT_H

#include "http/http1_chunk.h"

enum {
    LMN_HTTP1_LINE = 4096,     /* longest line of an answer's head */
    LMN_HTTP1_LINES = 128,     /* most of them */
    LMN_HTTP1_INTERIM_MOST = 8 /* 1xx before an answer */
};

typedef struct lmn_http1_reply {
    /* Known when `status` is not 0: */
    uint32_t status;
    bool close;             /* the server will close after this answer */
    char content_type[128]; /* cut; "" = none */
    int64_t json_bytes;     /* Inference-Header-Content-Length; -1 = none */
    lmn_span part;          /* of the body: what the last feed gave, in the bytes that were fed */
    /* Of the reader: */
    uint32_t state, coming, n_lines, n_interim, line_n;
    uint64_t left; /* of a body of declared length */
    int64_t length;
    bool head, old, chunked;
    lmn_http1_options options;
    lmn_http1_chunk chunk;
    char line[LMN_HTTP1_LINE];
} lmn_http1_reply;

/* Before each answer; `head`: to a HEAD request, no body follows. */
void lmn_http1_reply_init(lmn_http1_reply *r, bool head);
/*
 * Read on. *used: how many bytes were read, which with MORE may be fewer than there were, because a
 * part of a chunked body ended: feed the rest. DONE: the answer is over, what follows is the next
 * one's. BROKEN: no HTTP; close.
 */
lmn_http1_step lmn_http1_reply_feed(lmn_http1_reply *r, lmn_span bytes, size_t *used);
/* The server has closed. DONE: that was the end of the body; BROKEN: it came too early. */
lmn_http1_step lmn_http1_reply_end(const lmn_http1_reply *r);

#endif
