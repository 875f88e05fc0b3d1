/*
 * What the parts of the load generator share: load.c has the plan and the figures, load_link.c the
 * connections.
 */
#ifndef LMN_SERVE_LOAD_INT_H
#define LMN_SERVE_LOAD_INT_H

#include "lamina/loadgen.h"

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/engine.h"
#include "base/os/os_poll.h"
#include "base/os/os_time.h"
#include "base/rng.h"
#include "http/http1_client.h"
#include "serve/client_int.h"
#include "trace/histogram.h"

#define LMN_LOAD_SECONDS 3601u   /* most of a run */
#define LMN_LOAD_LINKS 20000u    /* most connections */
#define LMN_LOAD_LINE (1u << 17) /* requests that are due and wait */
#define LMN_LOAD_READ (256u << 10)

typedef struct lmn_load_times {
    uint64_t n, max;
    uint64_t count[LMN_HIST_BUCKETS];
} lmn_load_times;

struct lamina_loadgen {
    lamina_loadgen_stats stats;
    lmn_load_times times[3];
    uint64_t status[600];
    lamina_loadgen_second second[LMN_LOAD_SECONDS];
    size_t n_seconds;
};

typedef enum lmn_load_state {
    LMN_LOAD_SHUT,
    LMN_LOAD_CONNECTS,
    LMN_LOAD_IDLE,
    LMN_LOAD_BUSY /* its request is out, wholly or in part */
} lmn_load_state;

typedef struct lmn_load_link {
    int fd;
    lmn_load_state state;
    bool waits_out; /* told to wait until it is writable */
    size_t sent;    /* bytes of the request */
    uint64_t due_ns, sent_ns;
    lmn_http1_reply reply;
    lmn_tls_link tls;                  /* without a session: plain */
    struct lmn_load_link *next, *prev; /* free (shut or idle), or busy in order of due times */
} lmn_load_link;

typedef struct lmn_load_list {
    lmn_load_link *first, *last;
} lmn_load_list;

typedef struct lmn_load_run {
    lamina_loadgen_opts opts;
    const lamina_allocator *alloc;
    lamina_loadgen *load;
    lmn_client_where where;
    lmn_strbuf request;
    int poll;
    bool head_only; /* the method is HEAD: answers have no body */
    lmn_load_link *link;
    uint32_t n_links, n_out; /* n_out: requests at connections */
    lmn_load_list idle, shut, busy;
    uint8_t *room;  /* LMN_LOAD_READ bytes, into which all read */
    uint64_t *line; /* due times of requests that wait for a connection: a ring */
    uint32_t line_at, line_n;
    uint64_t begin_ns, end_ns, timeout_ns, next_due;
    lmn_rng rng;
    lamina_loadgen_second at_hand;
    lmn_load_times second_times;
} lmn_load_run;

void lmn_load_note(lmn_load_times *t, uint64_t ns);
uint64_t lmn_load_share(const lmn_load_times *t, double share);
void lmn_load_answered(lmn_load_run *r, const lmn_load_link *c, uint32_t status, uint64_t now);
void lmn_load_failed(lmn_load_run *r, uint64_t due, uint64_t *counter);

/* load_link.c. The first connection is made and must stand: E_CLOSED. */
lamina_status lmn_load_links_begin(lmn_load_run *r, lamina_error *err);
void lmn_load_links_finish(lmn_load_run *r);
/* Send a request by a free connection; false: there is none. */
bool lmn_load_send(lmn_load_run *r, uint64_t due, uint64_t now);
void lmn_load_event(lmn_load_run *r, lmn_load_link *c, uint32_t what, uint64_t now);
/* Close connections whose request is too old. */
void lmn_load_expire(lmn_load_run *r, uint64_t now);

#endif
