/*
 * The inside of HTTP/2: what a connection keeps beside its session, and a stream, which is a
 * request like any other. A stream's record lives while anybody needs it: the session until it is
 * closed, the handler until it has answered, pieces until they are sent.
 */
#ifndef LMN_HTTP_HTTP_H2_INT_H
#define LMN_HTTP_HTTP_H2_INT_H

#include "http/h2.h"
#include "http/http_int.h"

enum {
    LMN_H2_PREFACE = 24,
    LMN_H2_STREAMS = 128,           /* at once */
    LMN_H2_RECORDS = 256,           /* ... with those reset that the handler still holds */
    LMN_H2_STREAM_WINDOW = 1 << 20, /* of a body on its way */
    LMN_H2_CONN_WINDOW = 4 << 20,   /* of all of them */
    LMN_H2_BUDGET = 1000,           /* frames that ask for nothing, at once ... */
    LMN_H2_BUDGET_A_SECOND = 100,   /* ... and as time goes by */
    LMN_H2_BUDGET_AN_ANSWER = 4,    /* earned */
    LMN_H2_BUDGET_BYTES = 2048,     /* sent, that earn one */
    LMN_H2_TRAILERS = 4,            /* of an answer */
    LMN_H2_ANSWER_FIELDS = 48,      /* beside ours */
    LMN_H2_OUT_MOST = 512 << 10,    /* unsent, before reading stops */
    LMN_H2_SMALL = 1024             /* pieces that are always copied */
};

typedef struct lmn_h2_stream {
    lmn_http_open open; /* first: what the handler sees */
    struct lmn_h2_conn *h;
    struct lmn_h2_stream *prev, *next; /* of the connection */
    int32_t id;
    uint32_t refs;
    bool live;     /* the session knows it */
    bool held;     /* by the handler, or by us until it is handed over */
    bool given;    /* the handler owes an answer */
    bool reading;  /* the request is not complete */
    bool refused;  /* its head is beyond a limit */
    bool answered; /* the head of the answer was handed over */
    bool ended;    /* an answer by lmn_http_stream_...: no more will be written */
    bool writing;  /* it has bytes to send */
    uint32_t fields_bytes;
    lmn_span method, path, authority;
    /* The head, and behind it a body that has room there. */
    uint8_t *head;
    size_t head_bytes, head_n;
    uint8_t *body; /* in `head`, or a block of its own */
    size_t body_bytes, body_n, skipped;
    uint64_t welcome;
    void (*part)(void *ctx, lmn_http_request *r, lmn_span bytes, bool last);
    void *part_ctx;
    /* The answer: spans to be sent, some of them in `own`; or a queue, in `own` from `at`. */
    uint8_t *own;
    size_t own_bytes, own_n, at;
    lmn_http_piece *pieces; /* lent; released when the stream goes */
    uint32_t n_pieces, n_spans, span;
    lmn_span *spans;
    size_t lent_bytes; /* of `pieces` and `spans`, one block; 0: `few` */
    lmn_span few[2];
    uint32_t n_trailers;
    lmn_http_field trailers[LMN_H2_TRAILERS];
    uint8_t *trailer_block; /* of an answer by lmn_http_stream_... */
    size_t trailer_bytes;
} lmn_h2_stream;

/* What one send takes: a run of bytes in the loop's scratch, then lent pieces and short runs. */
typedef struct lmn_h2_gather {
    uint8_t *at; /* of the run that is open */
    uint8_t *run;
    lmn_span head;
    uint32_t n;
    lmn_http_piece pieces[60];
} lmn_h2_gather;

typedef struct lmn_h2_conn {
    lmn_http_conn *c;
    const lmn_h2_table *table;
    lmn_h2_session *session; /* NULL: over */
    lmn_h2_stream *streams;
    uint32_t n_streams, n_reading, n_writing;
    uint64_t body_bytes; /* in blocks of their own */
    uint32_t awaited;    /* bytes of the frame that has begun */
    uint8_t frame[9];    /* its head, n_frame of it */
    uint32_t n_frame;
    int64_t budget;
    uint64_t budget_ns;
    size_t earned;    /* bytes sent since the last that counted */
    lmn_span left;    /* given by the session, not gathered yet */
    lmn_h2_gather *g; /* while sending */
    bool busy;        /* within the session */
    bool leaving;     /* GOAWAY was said */
    bool broken;
    bool dropping;
} lmn_h2_conn;

/* http_h2.c */
void lmn_h2_stream_unref(lmn_h2_stream *s);
void lmn_h2_refuse(lmn_h2_stream *s, uint32_t status);
void lmn_h2_leave(lmn_h2_conn *h, uint32_t code);
void lmn_h2_retime(lmn_http_conn *c);

/* http_h2_head.c */
void lmn_h2_on_field(void *ctx, void *stream, lmn_span name, lmn_span value);
/* What the fields say about the request. 0, or the status to refuse it with. */
uint32_t lmn_h2_read_head(lmn_h2_stream *s, bool last);

/* http_h2_out.c */
void lmn_h2_let_go(lmn_h2_stream *s); /* it is answered, or nobody will */
size_t lmn_h2_ready_body(void *ctx, void *stream, size_t most, bool *last);
bool lmn_h2_send_body(void *ctx, void *stream, const uint8_t head[9], size_t n);

#endif
