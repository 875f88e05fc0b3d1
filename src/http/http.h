/*
 * HTTP server machinery: event loops that read requests and write answers. What a request means is
 * the handler's business (room serve); which bytes are a request is decided here, strictly (RFC
 * 9110, 9112): what is ambiguous is refused and the connection closed.
 *
 * One loop is one thread with one epoll; a connection and its requests belong to their loop from
 * accept to the last byte. Everything below is called by the loop's thread, but lmn_http_post and
 * the fields of a request marked atomic. Requests of one connection are handed out one at a time,
 * in order; between connections a turn is fair: one request each before anybody's second.
 */
#ifndef LMN_HTTP_HTTP_H
#define LMN_HTTP_HTTP_H

#include "base/atomic.h"
#include "base/error.h"

typedef struct lmn_http_server lmn_http_server;
typedef struct lmn_http_loop lmn_http_loop;
struct lmn_sock_peer; /* base/os/os_socket.h */

/* All hard; 0 = the default in brackets. */
typedef struct lmn_http_limits {
    uint32_t line_bytes;    /* request line [8 KiB], else 414 */
    uint32_t header_bytes;  /* all fields [32 KiB], else 431 */
    uint32_t n_fields;      /* [100], else 431 */
    uint64_t body_bytes;    /* [64 MiB], else 413 before it is read */
    uint32_t n_chunks;      /* of one body [65536], else 413 */
    uint32_t n_connections; /* of the server [10000]; more wait in the backlog */
    uint64_t buffer_bytes;  /* held by all requests and answers at once [1 GiB], else 503 */
    uint64_t header_ns;     /* from the first byte of a request to its blank line [9 s], else 408 */
    uint64_t idle_ns;       /* between requests [60 s] */
    uint64_t stall_ns;      /* a body or a reader slower than 1 KiB/s: cut within so long [9 s] */
} lmn_http_limits;

typedef enum lmn_http_method {
    LMN_HTTP_GET,
    LMN_HTTP_HEAD,
    LMN_HTTP_POST,
    LMN_HTTP_PUT,
    LMN_HTTP_DELETE,
    LMN_HTTP_OPTIONS,
    LMN_HTTP_OTHER /* a token that is none of them: the handler answers 501 or 405 */
} lmn_http_method;

typedef struct lmn_http_field {
    lmn_span name, value; /* names compare without case; values are trimmed of blanks */
} lmn_http_field;

/* A request. Lent to the handler until it is answered; spans point into buffers that live as long.
 */
typedef struct lmn_http_request {
    lmn_http_loop *loop;
    lmn_http_method method;
    lmn_span path, query; /* as sent, percent escapes included; the query without its '?' */
    lmn_span host;
    const lmn_http_field *fields;
    uint32_t n_fields;
    uint16_t version;                    /* 10, 11, 20 */
    bool secure;                         /* came over TLS */
    bool local;                          /* came over a UNIX socket */
    lmn_span peer;                       /* address as text, without port */
    uint32_t listener;                   /* which of the server's */
    int64_t declared_bytes;              /* of the body; -1: chunked, not known */
    lmn_span body;                       /* whole and contiguous, when `request` is called */
    uint64_t began_ns, head_ns, body_ns; /* monotonic: first byte, blank line, last byte */
    void *user;                          /* the handler's own */
    lmn_atomic(uint32_t) gone; /* 1: the client has left (docs/rooms/http.md). Any thread may read
                                  it, as the stop word of a run; answer all the same */
} lmn_http_request;

/* The value of the first field of that name (lower case); NULL p: there is none. */
lmn_span lmn_http_field_get(const lmn_http_request *r, const char *name);

/* Bytes of an answer's body. Not copied: `release` is called exactly once, when they are sent or
 * will never be; NULL: they outlive the server. */
typedef struct lmn_http_piece {
    lmn_span bytes;
    void (*release)(void *ctx, lmn_span bytes);
    void *ctx;
} lmn_http_piece;

typedef struct lmn_http_answer {
    uint32_t status;
    const char *content_type;     /* NULL: none */
    const lmn_http_field *fields; /* borrowed until return, n_fields; no Content-Length, Date ... */
    uint32_t n_fields;
    const lmn_http_piece *pieces; /* the array is borrowed until return, the bytes till released */
    uint32_t n_pieces;
    bool close; /* and end the connection */
    /* Behind the body, borrowed until return; at most 4. HTTP/2 alone carries them: without a body
     * they stand in the head. */
    const lmn_http_field *trailers;
    uint32_t n_trailers;
} lmn_http_answer;

/* Answer; r is gone afterwards, unless it had been answered by a stream. Small pieces are copied
 * into the connection's output and released at once. */
void lmn_http_reply(lmn_http_request *r, const lmn_http_answer *a);

/* HTTP/1 over a UNIX socket: the descriptor that came with the request or since the one before,
 * owned from now on; -1: none. */
int lmn_http_take_passed(lmn_http_request *r);
/* What the handler keeps with the connection of r, NULL at first: handler.closed is told its end.
 * NULL: connections of this kind keep nothing (HTTP/2). */
void **lmn_http_kept(lmn_http_request *r);
/* Which process opened the connection of r; false: not over a UNIX socket, or not known. */
bool lmn_http_peer(const lmn_http_request *r, struct lmn_sock_peer *out);

/*
 * An answer whose end is not known: chunked (HTTP/1.0: until close). After `begin`, `write` takes
 * bytes to be sent (copied) until `end`, which makes r gone. E_CLOSED: the client has left;
 * E_LIMIT: it reads so slowly that more than limit bytes are unsent, and the connection was
 * dropped: in both cases call `end` and no more.
 */
lamina_status lmn_http_stream_begin(lmn_http_request *r, const lmn_http_answer *a, size_t limit);
lamina_status lmn_http_stream_write(lmn_http_request *r, lmn_span bytes);
void lmn_http_stream_end(lmn_http_request *r);
/* Just before its end: fields that follow (version 20). */
void lmn_http_stream_trailers(lmn_http_request *r, const lmn_http_field *fields, uint32_t n);

/*
 * Instead of a whole body, version 20: its parts as they come. Called in `head`; `request` is not
 * called then, and nothing limits the body but windows: a part counts until `took` says so. `last`:
 * nothing follows; the client is through, or `gone`. r is answered at any time, as ever; once it is
 * no parts come.
 */
void lmn_http_body_parts(lmn_http_request *r,
                         void (*part)(void *ctx, lmn_http_request *r, lmn_span bytes, bool last),
                         void *ctx);
void lmn_http_body_took(lmn_http_request *r, size_t n);
/* From within a part, while no `last` was told: what follows is owed now, so that stalling counts;
 * else the client may take all the time that it likes, as at first. */
void lmn_http_body_owed(lmn_http_request *r, bool owed);

/* What happens, told to whoever gives meaning to requests. */
typedef struct lmn_http_handler {
    void *ctx;
    /* A loop has begun (its thread) or ends; *user is the loop's own. May be NULL. */
    lamina_status (*begin)(void *ctx, lmn_http_loop *loop, void **user, lamina_error *err);
    void (*end)(void *ctx, lmn_http_loop *loop, void *user);
    /* The head is there, the body (if any) is not. Either reply (401, 404, 405 ...: what is left of
     * the body is then passed over, or the connection closed) or return how many bytes of body are
     * welcome, at most the limit. Hold nothing for r yet: if the body does not come, r vanishes
     * without a word. May be NULL: the limit. */
    uint64_t (*head)(void *ctx, lmn_http_request *r);
    /* All of it is there: reply now, or later from this thread. */
    void (*request)(void *ctx, lmn_http_request *r);
    /* A connection for which something is kept is gone, after the last of its requests was
     * answered. By the loop's thread, also after `end`. NULL if nothing is ever kept. */
    void (*closed)(void *ctx, void *kept);
    /* The events of one turn are handled: run what was gathered. Returns the monotonic instant at
     * which to be called again at the latest; UINT64_MAX: when there is something. May be NULL. */
    uint64_t (*turn)(void *ctx, lmn_http_loop *loop, void *user);
    /* A request of HTTP/2 cannot be taken: 400, 413, 414, 431, 501, 503. True: it was answered.
     * May be NULL: this room answers. */
    bool (*refused)(void *ctx, lmn_http_request *r, uint32_t status);
} lmn_http_handler;

/* Work handed to a loop by another thread: part of the object that is handed over. */
typedef struct lmn_http_task {
    struct lmn_http_task *next;
    void (*run)(struct lmn_http_task *self, lmn_http_loop *loop); /* in the loop's thread */
} lmn_http_task;
/* Any thread. Tasks of one thread run in order; those posted before the loop ends all run. */
void lmn_http_post(lmn_http_loop *loop, lmn_http_task *task);
/* The same, when this thread posts another task to this loop at once: that one wakes it. */
void lmn_http_post_more(lmn_http_loop *loop, lmn_http_task *task);
/* By the loop's thread, in overload: sleep so long before the next turn, so that it finds more to
 * do at once. Tasks wait too. Small answers of that turn leave together at its end: so the paths of
 * reading and of sending each stay in the caches. */
void lmn_http_rest(lmn_http_loop *loop, uint64_t ns);
/* By the loop's thread, when what clients send meanwhile can wait: look at no socket before a task
 * is posted, or so long. Resting goes before. */
void lmn_http_await(lmn_http_loop *loop, uint64_t ns);
/* By the loop's thread: from here on small whole answers of HTTP/1.1 wait, to leave together, where
 * the handler's turn says so again and wants the next one at once; else until the end of this turn.
 * A stream or HTTP/2 that writes ends it; a large answer and one over TLS are sent at once. */
void lmn_http_hold(lmn_http_loop *loop, bool on);
/* By the loop's thread: how many requests have lost their clients since it began. */
uint64_t lmn_http_left(const lmn_http_loop *loop);
void *lmn_http_loop_user(lmn_http_loop *loop);

/* Certificates for TLS, and the plug-in that speaks it. */
typedef struct lmn_http_tls lmn_http_tls;
typedef struct lmn_http_tls_opts {
    const char *cert, *key; /* files, PEM: the certificate and its chain; its key, not encrypted */
    const char *client_ca;  /* clients must show a certificate of one of these; NULL: need not */
    lmn_span alpn;          /* as TLS has it: protocols, each behind a byte with its length;
                               empty: HTTP/1.1 */
} lmn_http_tls_opts;
/* Reads the files. E_UNSUPPORTED: no plug-in; E_IO, E_PARSE, E_LIMIT, E_NOMEM. */
lamina_status lmn_http_tls_open(const lamina_allocator *alloc, const lmn_http_tls_opts *opts,
                                lmn_http_tls **out, lamina_error *err);
/* Read the files again, for the connections that come from now on; what fails changes nothing. */
lamina_status lmn_http_tls_reload(lmn_http_tls *t, lamina_error *err);
const char *lmn_http_tls_about(const lmn_http_tls *t); /* "OpenSSL 3.0.19 ..." */
void lmn_http_tls_close(lmn_http_tls *t);              /* servers that use it are gone */

/* Where to listen: "HOST:PORT", "[V6]:PORT", "PORT" (of 127.0.0.1), "unix:/PATH", "fd:N" (passed by
 * systemd). Port 0: any; lmn_http_port tells which. */
typedef struct lmn_http_listen {
    const char *where;
    lmn_http_tls *tls; /* NULL: plain; borrowed until the server is gone */
} lmn_http_listen;

typedef struct lmn_http_server_opts {
    const lmn_http_listen *listen; /* borrowed until return */
    uint32_t n_listen;
    uint32_t n_loops; /* 0: 1 */
    lmn_http_limits limits;
    const lmn_http_handler *handler; /* borrowed until the server is gone */
    const struct lmn_h2_table *h2;   /* of the plug-in for HTTP/2, likewise; NULL: HTTP/1 alone */
} lmn_http_server_opts;

/* Counters, for metrics; all since the start but `open`. Any thread. */
typedef struct lmn_http_stats {
    uint64_t accepted, open, requests, bytes_in, bytes_out;
    uint64_t refused[600]; /* by status, answered by this room itself: 400, 408, 413, 414 ... */
    uint64_t timed_out, reset;
    uint64_t handshakes, bad_handshakes; /* of TLS: those that ended well, and those that did not */
} lmn_http_stats;

/* Binds and starts the loops. E_INVALID, E_PERM, E_BUSY (address in use), E_OS with a sentence. */
lamina_status lmn_http_start(const lamina_allocator *alloc, const lmn_http_server_opts *opts,
                             lmn_http_server **out, lamina_error *err);
uint16_t lmn_http_port(const lmn_http_server *s, uint32_t listener);
/* Stop accepting; answer what is there with `Connection: close`; connections that are idle for
 * three quarters of a second are closed (a request may be on its way before). Done when `open` of
 * the stats is 0. Any thread; returns at once. */
void lmn_http_drain(lmn_http_server *s);
/* Are there doors that a drain has still to close? */
bool lmn_http_listens(const lmn_http_server *s);
/* How many requests are not answered yet. Any thread. */
uint64_t lmn_http_in_flight(const lmn_http_server *s);
/* Ends: open connections are cut, requests not answered are `gone`, and their replies dropped. The
 * handler has replied to all, or does so from tasks that it posted before. Joins the loops. */
void lmn_http_stop(lmn_http_server *s);
void lmn_http_get_stats(const lmn_http_server *s, lmn_http_stats *out);

#endif
