/*
 * The inside of the http room: server, loop, connection, request, and what its files offer each
 * other. All of a loop belongs to its thread, but what is marked atomic; a connection and its
 * request live in pools of their loop and are freed between turns, so that no event meets a
 * stranger.
 */
#ifndef LMN_HTTP_HTTP_INT_H
#define LMN_HTTP_HTTP_INT_H

#include "base/objpool.h"
#include "base/os/os_poll.h"
#include "base/os/os_socket.h"
#include "base/os/os_thread.h"
#include "base/recycle.h"
#include "http/http1_chunk.h"
#include "http/http_plugin.h"
#include "http/tls.h"

typedef struct lmn_http_conn lmn_http_conn;
struct lmn_h2_stream;
struct lmn_h2_conn;
struct lmn_h2_table;

/* Sizes. */
enum {
    LMN_HTTP_SLAB = 4096,            /* of a buffer that most requests fit into */
    LMN_HTTP_SCRATCH = 64 << 10,     /* of a loop: heads of answers, what is read to be dropped */
    LMN_HTTP_H2_INPUT = 64 << 10,    /* one read of frames */
    LMN_HTTP_HEAD_MOST = 16 << 10,   /* of an answer, else it is a 500 */
    LMN_HTTP_COPY_MOST = 4096,       /* pieces below are copied rather than lent */
    LMN_HTTP_FIRST_BODY = 5 << 18,   /* reserved on a client's word alone */
    LMN_HTTP_READ_MOST = 1 << 20,    /* from one connection in a turn */
    LMN_HTTP_SKIP_MOST = 256 << 10,  /* of a body that nobody wants, to keep the connection */
    LMN_HTTP_LINGER_BYTES = 4 << 20, /* read after the last answer, so that it arrives */
    LMN_HTTP_GATHERED = 32,          /* connections with answers of a turn after a rest */
    LMN_HTTP_FEW_FIELDS = 16,        /* of a request, in its record */
    LMN_HTTP_KEPT_BYTES = 32 << 20   /* in blocks that wait to be used again */
};
#define LMN_HTTP_SECOND UINT64_C(1000000000)
#define LMN_HTTP_LINGER_NS (2 * LMN_HTTP_SECOND)
/* ... of who was refused for its slowness: its time is up. */
#define LMN_HTTP_LATE_NS (LMN_HTTP_SECOND / 4)
/* An end of input that comes so soon after a request says "no more requests", not "I have left". */
#define LMN_HTTP_HALF_NS (LMN_HTTP_SECOND / 50)
/* Draining: so long from the last SYN that is heard to the close of a listener. */
#define LMN_HTTP_DOOR_NS (LMN_HTTP_SECOND / 50)
/* Draining: a connection that rests for so long has no request on the way. */
#define LMN_HTTP_GRACE_NS (LMN_HTTP_SECOND * 3 / 4)
#define LMN_HTTP_RETRY_ACCEPT_NS (LMN_HTTP_SECOND / 10)
/* Turns asked of the system's scheduler: a loop that wakes goes before threads that run models. */
#define LMN_HTTP_SLICE_NS (LMN_HTTP_SECOND / 2500)
#define LMN_HTTP_REST_MOST_NS (LMN_HTTP_SECOND / 500)
#define LMN_HTTP_SLOWEST 1024u /* bytes a second */
/* Who stalls is looked at once a slice of the limit, and cut after one less than all of them that
 * were slow: so the limit is kept wherever in a slice it began. */
#define LMN_HTTP_STALL_SLICES 5u

/* What an event is about: the first member of whoever waits for one. */
typedef enum lmn_http_source { LMN_HTTP_CONN, LMN_HTTP_LISTENER, LMN_HTTP_WAKE } lmn_http_source;

/* What a connection is waiting for. */
typedef enum lmn_http_phase {
    LMN_HTTP_HEADS, /* of the next request; idle while nothing has come */
    LMN_HTTP_BODY,  /* of declared length */
    LMN_HTTP_CHUNKS,
    LMN_HTTP_HANDLING, /* for the answer */
    LMN_HTTP_SKIPPING, /* a body whose request was answered */
    LMN_HTTP_H2,       /* for frames */
    LMN_HTTP_ENDING,   /* for the client to close, or for the rest of the output */
    LMN_HTTP_DEAD      /* closed; kept for its request, or until the turn ends */
} lmn_http_phase;

/* Time limits, each a list in the order of beginning. */
typedef enum lmn_http_timer {
    LMN_HTTP_TIMER_HEAD,
    LMN_HTTP_TIMER_IDLE,
    LMN_HTTP_TIMER_STALL,
    LMN_HTTP_TIMER_LINGER,
    LMN_HTTP_TIMER_LATE, /* a short linger */
    LMN_HTTP_TIMERS,
    LMN_HTTP_TIMER_NONE = LMN_HTTP_TIMERS
} lmn_http_timer;

/* Bytes that wait to be sent: owned (copied) or lent. */
typedef struct lmn_http_seg {
    struct lmn_http_seg *next;
    lmn_span left;
    uint8_t *own; /* NULL: lent */
    size_t own_bytes;
    bool sealed; /* records of TLS; these stand before all that is not */
    lmn_http_piece piece;
} lmn_http_seg;

/* A request between its head and its answer. */
typedef struct lmn_http_open {
    lmn_http_request r; /* first: what the handler sees */
    lmn_http_conn *c;
    struct lmn_h2_stream *h2; /* NULL: HTTP/1 */
    lmn_http_field *many;     /* NULL: few */
    size_t stream_limit;
    bool streaming, chunked, head_only, keep_alive, expects;
    lmn_http_field few[LMN_HTTP_FEW_FIELDS];
} lmn_http_open;

struct lmn_http_conn {
    lmn_http_source source;
    int fd;
    lmn_http_loop *loop;
    lmn_http_open *open;    /* HTTP/1 */
    struct lmn_h2_conn *h2; /* NULL: HTTP/1 */
    lmn_http_phase phase;
    bool readable; /* there may be something to read */
    bool half;     /* the client sends no more */
    bool ended;    /* ... and all of it was read */
    bool closing;  /* after the output */
    bool finished; /* we said that no more will come */
    bool queued, dirty, local;
    /* TLS. `readable` then is about plain bytes; `dry`: the socket has nothing now. */
    bool dry, shaken, notified, wants_h2;
    bool within; /* a part of a record is here: it rests no longer than a head may take */
    bool spoken; /* HTTP/1, and will go on so */
    int passed;  /* a descriptor that came and was not taken; -1: none */
    void *kept;  /* the handler's */
    uint32_t listener;
    lmn_tls_session *session; /* NULL: plain */
    const lmn_tls_table *tls;
    /* Input: in[at..n) is not used up; the head of the open request lies before `at`. */
    uint8_t *in;
    uint32_t in_bytes, at, n;
    lmn_http1_scan scan;
    uint64_t began_ns;
    /* Body: of its own block, or NULL. */
    uint8_t *body;
    size_t body_bytes, body_n;
    uint64_t body_want; /* declared; SKIPPING, ENDING: may still be read and dropped */
    lmn_http1_chunk chunk;
    /* What came behind the last chunk. */
    uint8_t *rest;
    uint32_t rest_bytes, rest_n;
    lmn_http_seg *out, *out_last;
    size_t out_bytes;
    lmn_http_timer timer;
    uint64_t timer_ns;             /* when it began */
    uint32_t slow;                 /* slices in a row in which too little moved */
    uint64_t moved, timer_moved;   /* bytes in and out, now and then */
    lmn_http_conn *before, *after; /* in the timer's list */
    lmn_http_conn *next_queued, *next_dirty, *next_dead;
    lmn_http_conn *prev, *next; /* all of the loop */
    uint32_t peer_n;
    char peer[LMN_PEER_BYTES];
};

/* A listening socket; TCP: one for each loop, else shared. */
typedef struct lmn_http_listener {
    lmn_http_source source;
    int fd; /* -1: closed */
    uint32_t index;
    bool shared, local;
} lmn_http_listener;

typedef struct lmn_http_list {
    lmn_http_conn *first, *last;
} lmn_http_list;

/* Counted by one thread, read by any. */
typedef lmn_atomic(uint64_t) lmn_http_count;
typedef struct lmn_http_counts {
    lmn_http_count accepted, open, requests, in_flight, bytes_in, bytes_out, timed_out, reset;
    lmn_http_count handshakes, bad_handshakes;
    lmn_http_count refused[600];
} lmn_http_counts;

static inline void lmn_http_bump(lmn_http_count *c, uint64_t by)
{
    lmn_atomic_store(c, lmn_atomic_load(c, relaxed) + by, relaxed);
}

enum { LMN_HTTP_POLLS = 1, LMN_HTTP_AWAITS };

struct lmn_http_loop {
    /* Of other threads too. */
    _Alignas(LMN_APART) lmn_atomic(lmn_http_task *) tasks; /* newest first */
    lmn_atomic(uint32_t) asleep; /* 0: no; LMN_HTTP_POLLS, LMN_HTTP_AWAITS */
    lmn_atomic(uint32_t) begun;  /* 0 not yet, 1 yes, 2 its handler refused */
    lmn_atomic(uint32_t) drain, stop;
    lmn_atomic(uint32_t) posting; /* threads inside of lmn_http_post */
    /* Of the loop. */
    _Alignas(LMN_APART) lmn_http_source wake; /* its address stands for the wake descriptor */
    int poll, wake_fd;
    lmn_http_server *server;
    lmn_http_limits limits; /* of this loop: its share */
    void *user;
    uint64_t rest_ns;      /* to sleep before the next turn */
    bool rested;           /* before this turn: small answers go later, together */
    bool holds;            /* the same, and perhaps after more turns */
    bool soiled;           /* something else waits with them, which ends that */
    uint64_t await_ns;     /* the same, or until a task is posted */
    uint64_t n_left;       /* requests that became `gone` */
    uint64_t woke_ns;      /* when this one began */
    uint64_t now, turn_ns; /* when the handler wants its next turn */
    uint64_t date_ns;      /* when the date changes */
    char date[40];
    lmn_http_listener *listeners;
    uint64_t close_ns; /* when its doors close; 0: not, or no more */
    bool accepting, draining;
    uint64_t accept_ns; /* when to try again; 0: not waiting for that */
    uint32_t n_conns;
    lmn_http_conn *conns, *dead;
    lmn_http_conn *queued, *queued_last; /* have input that was read, or may have more */
    lmn_http_conn *dirty, *dirty_last;   /* have output that waits for the end of a turn */
    uint32_t n_dirty;
    lmn_http_list timers[LMN_HTTP_TIMERS];
    uint64_t timer_ns[LMN_HTTP_TIMERS];
    uint64_t held; /* bytes of buffers */
    lamina_allocator alloc;
    lmn_objpool conn_pool, open_pool, slab_pool, seg_pool, stream_pool;
    lmn_recycle blocks;
    lmn_http_field *fields; /* limits.n_fields: of the head that is being read */
    uint8_t *scratch;
    size_t pulled;     /* bytes, by the call of a session that runs */
    uint8_t *sealed;   /* records on their way; NULL: no listener has TLS */
    uint8_t *h2_input; /* NULL: nobody spoke it yet. Requests are answered while it is read */
    lmn_thread thread;
    lamina_error error;
    lmn_http_counts counts;
};

/* Where a server listens. */
typedef struct lmn_http_door {
    lmn_address address; /* as bound */
    int shared;          /* the descriptor of all loops; -1: each has its own */
    bool ours;           /* a UNIX path that was made here */
    lmn_http_tls *tls;   /* NULL: plain */
} lmn_http_door;

struct lmn_http_server {
    lamina_allocator alloc;
    const lmn_http_handler *handler;
    lmn_http_loop **loops;
    const struct lmn_h2_table *h2; /* NULL: HTTP/1 alone */
    uint32_t n_loops, n_listen;
    lmn_http_door *doors;             /* n_listen */
    lmn_atomic(uint32_t) n_accepting; /* loops that have not drained */
};

/* http_buf.c: memory of a loop, within its limit. */
/* At least n bytes, aligned 64; *bytes: how many. NULL: over the limit, or memory is out. */
uint8_t *lmn_http_buf_take(lmn_http_loop *l, size_t n, size_t *bytes);
void lmn_http_buf_give(lmn_http_loop *l, uint8_t *p, size_t bytes);

/* http_out.c: what leaves. False: the connection is lost. */
bool lmn_http_out_send(lmn_http_conn *c, lmn_span head, const lmn_http_piece *pieces, uint32_t n);
bool lmn_http_out_copy(lmn_http_conn *c, lmn_span bytes); /* into the queue, not sent yet */
bool lmn_http_out_flush(lmn_http_conn *c);                /* as much as goes */
/* Records of TLS, before all that is not sealed yet: as much as goes. False: lost, not said yet. */
bool lmn_http_out_sealed(lmn_http_conn *c, lmn_span records);
void lmn_http_out_drop(lmn_http_conn *c);
void lmn_http_pieces_release(const lmn_http_piece *pieces, uint32_t n);

/* http_conn.c: a connection. None may be called for one that is dead, unless it says so. */
void lmn_http_conn_event(lmn_http_conn *c, uint32_t what); /* also dead ones */
/* Go on with what was read already, or may be read. */
void lmn_http_conn_go(lmn_http_conn *c);
/* The output has become empty, or cannot be sent any more. */
void lmn_http_conn_sent(lmn_http_conn *c);
/* The request has its answer: on to the next, or close. Also dead ones. */
void lmn_http_conn_answered(lmn_http_conn *c);
/* What an answer has to say about the connection; begin: it will be answered now. */
bool lmn_http_conn_must_close(lmn_http_conn *c, const lmn_http_answer *a);
void lmn_http_conn_expired(lmn_http_conn *c, lmn_http_timer kind);
/* Close at once; a request becomes `gone`. */
void lmn_http_conn_lost(lmn_http_conn *c);
/* Close when the output is sent, in a way that lets it arrive. */
void lmn_http_conn_end(lmn_http_conn *c);

/* http_tls.c: a connection behind TLS. */
bool lmn_http_tls_begin(lmn_http_conn *c, lmn_http_tls *t); /* false: no memory */
void lmn_http_tls_free(lmn_http_conn *c);
static inline bool lmn_http_tls_shaking(const lmn_http_conn *c)
{
    return c->session && !c->shaken;
}
/* A step of the handshake. False: there will be more, or it failed and the connection ends. */
bool lmn_http_tls_shake(lmn_http_conn *c);
/* As lmn_sock_recv, of plain bytes; keeps `readable`. */
int64_t lmn_http_tls_recv(lmn_http_conn *c, void *p, size_t cap);
/* Say that no more will come. False: that waits to be sent, or the connection is lost. */
bool lmn_http_tls_finish(lmn_http_conn *c);

/* Read; as lmn_sock_recv, and then the connection is dead. */
int64_t lmn_http_conn_receive(lmn_http_conn *c, void *p, size_t cap);
void lmn_http_conn_used(lmn_http_conn *c); /* all of the input */
void lmn_http_conn_drop(lmn_http_conn *c); /* as lost, but nobody's fault */

/* The request that is being read goes unheard: answer with that status, and close. */
void lmn_http_conn_refuse(lmn_http_conn *c, uint32_t status);
/* The input ended where a request had begun, or had not. */
void lmn_http_conn_ended(lmn_http_conn *c);

/* http_body.c: a body of HTTP/1, from behind its head; the handler gets the request when it is
 * whole. begin and read may refuse the request, or find the connection lost. */
void lmn_http_body_begin(
    lmn_http_conn *c); /* of declared length, that did not come with its head */
void lmn_http_body_read(lmn_http_conn *c);
void lmn_http_chunks_begin(lmn_http_conn *c, uint64_t welcome); /* up to so many bytes */
void lmn_http_chunks_read(lmn_http_conn *c);
/* All of it is there, since body_ns. */
void lmn_http_body_complete(lmn_http_conn *c, lmn_span body, uint64_t body_ns);
void lmn_http_body_skip(lmn_http_conn *c); /* of a request that was answered before it came */
void lmn_http_body_free(lmn_http_conn *c);

/* http_h2.c: a connection that speaks HTTP/2, from its preface on. */
typedef enum lmn_h2_greeting { LMN_H2_NONE, LMN_H2_PART, LMN_H2_WHOLE } lmn_h2_greeting;
/* Does the input begin with its preface? WHOLE: it is the session's from now on. */
lmn_h2_greeting lmn_h2_greet(lmn_http_conn *c);
void lmn_h2_go(lmn_http_conn *c);
void lmn_h2_idle(lmn_http_conn *c);   /* has been so for too long */
void lmn_h2_finish(lmn_http_conn *c); /* no more frames: end the connection */
bool lmn_h2_drop(lmn_http_conn *c);   /* output as well. True: nobody holds a request */
void lmn_h2_free(lmn_http_conn *c);   /* also one that is none */
size_t lmn_h2_stream_bytes(void);     /* of a record */

/* http_h2_out.c */
bool lmn_h2_flush(lmn_http_conn *c); /* False: the connection is dead */
void lmn_h2_reply(struct lmn_h2_stream *s, const lmn_http_answer *a);
lamina_status lmn_h2_stream_begin(struct lmn_h2_stream *s, const lmn_http_answer *a);
lamina_status lmn_h2_stream_write(struct lmn_h2_stream *s, lmn_span bytes);
void lmn_h2_stream_end(struct lmn_h2_stream *s);

/* http_reply.c. What we say with a status of our own. */
const char *lmn_http_sentence(uint32_t status);
/* Answer with an error of this room, and close. */
void lmn_http_refuse(lmn_http_conn *c, uint32_t status);

/* http_loop.c. */
lamina_status lmn_http_loop_open(lmn_http_server *s, const lmn_http_limits *limits,
                                 lmn_http_loop **out, lamina_error *err);
void lmn_http_loop_close(lmn_http_loop *l); /* its thread has ended, or was never started */
void *lmn_http_loop_main(void *loop);
void lmn_http_loop_notify(lmn_http_loop *l); /* any thread: look at drain and stop */
void lmn_http_timer_set(lmn_http_conn *c, lmn_http_timer kind);
void lmn_http_queue(lmn_http_conn *c);
void lmn_http_soil(lmn_http_conn *c); /* flush at the end of the turn */
void lmn_http_keep(lmn_http_conn *c); /* the same, or when the loop holds nothing back any more */
void lmn_http_bury(lmn_http_conn *c); /* free when the turn is over */

/* http_doors.c: where connections come in. */
lamina_status lmn_http_doors_open(lmn_http_loop *l, uint32_t i, lamina_error *err); /* number i */
lamina_status lmn_http_doors_watch(lmn_http_loop *l, lamina_error *err); /* all: accept from now */
/* Up to `most` of those who wait; the rest at the next turn. */
void lmn_http_doors_accept(lmn_http_loop *l, const lmn_http_listener *from, uint32_t most);
void lmn_http_doors_drain(lmn_http_loop *l); /* nobody new may knock, answers end connections */
/* Take who knocked already, then close; the last loop closes those that all share. */
void lmn_http_doors_close(lmn_http_loop *l);

/* http1_answer.c: the head of an answer. */
typedef struct lmn_http1_form {
    lmn_span date;      /* "Date: ...\r\n" */
    int64_t body_bytes; /* -1: chunked; -2: until the end of the connection */
    bool close, old;    /* old: to a client of 1.0 */
} lmn_http1_form;
/* Bytes written to out; 0: more than cap. Fields with line ends in them are left out. */
size_t lmn_http1_answer_head(uint8_t *out, size_t cap, const lmn_http_answer *a,
                             const lmn_http1_form *form);
/* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 37 bytes, of seconds since 1970. */
void lmn_http1_date(char out[37], int64_t seconds);
/* No body may follow: 1xx, 204, 304. */
static inline bool lmn_http1_bodyless(uint32_t status)
{
    return status < 200 || status == 204 || status == 304;
}

#endif
