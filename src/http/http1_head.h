/*
 * The head of an HTTP/1 request: pure functions over bytes, which keep nothing and copy nothing.
 * First the blank line is searched, going on where the last search stopped; then, once, the whole
 * head is read into spans. What RFC 9112 leaves open or two readers could read differently is
 * refused: docs/rooms/http.md has the list.
 */
#ifndef LMN_HTTP_HTTP1_HEAD_H
#define LMN_HTTP_HTTP1_HEAD_H

#include "http/http.h"

/* What a step of a reader says. Readers of requests say MORE, READY or the status to refuse with,
 * 400 to 505; readers of answers MORE, DONE or BROKEN. */
typedef enum lmn_http1_step {
    LMN_HTTP1_MORE = 0,
    LMN_HTTP1_READY = 1,
    LMN_HTTP1_DONE = 1,
    LMN_HTTP1_BROKEN = 2
} lmn_http1_step;

typedef struct lmn_http1_limits {
    uint32_t line_bytes, header_bytes, n_fields;
} lmn_http1_limits;

/* How far the search is; zeroed: nothing was looked at. Offsets from the first byte. */
typedef struct lmn_http1_scan {
    uint32_t at;      /* looked at; READY: one past the blank line */
    uint32_t line;    /* of the line that is not over */
    uint32_t begin;   /* of the request line: an empty line may stand before it */
    uint32_t fields;  /* of the first field line; 0: the request line is not over */
    uint32_t n_lines; /* of fields so far */
} lmn_http1_scan;

/* p[0..n) starts with all that was there before. READY, MORE, 400, 414 or 431. */
uint32_t lmn_http1_find(lmn_http1_scan *s, const lmn_http1_limits *l, const uint8_t *p, size_t n);

typedef struct lmn_http1_head {
    lmn_http_method method;
    uint16_t version;           /* 10 or 11 */
    lmn_span path, query, host; /* point into the head */
    uint32_t n_fields;
    int64_t body_bytes; /* 0: none; -1: chunked */
    bool keep_alive;    /* the connection may be used again */
    bool expects;       /* waits for 100 Continue before it sends the body */
} lmn_http1_head;

/* Read the head whose end was found; `fields` has room for s->n_lines. READY, or the status: 400,
 * 417, 501, 505. */
uint32_t lmn_http1_parse(const uint8_t *p, const lmn_http1_scan *s, lmn_http_field *fields,
                         lmn_http1_head *out);

/* Words of lists that HTTP/1 heads hold, both ways. */
bool lmn_http1_is(lmn_span text, const char *lower); /* equal without case */
bool lmn_http1_good_host(lmn_span host);             /* host [":" port] of RFC 3986, not empty */
bool lmn_http1_parse_length(lmn_span text, int64_t *out);
typedef struct lmn_http1_options {
    bool close, keep;
} lmn_http1_options;
void lmn_http1_connection(lmn_span value, lmn_http1_options *out); /* of a Connection field; adds */
/* Read one field line at *p, which ends in CR LF before `end`; *p moves to the next. False: it is
 * malformed. */
bool lmn_http1_field(const uint8_t **p, const uint8_t *end, lmn_http_field *out);
bool lmn_http1_is_token(uint8_t c);
bool lmn_http1_is_text(uint8_t c); /* may stand in a value */

#endif
