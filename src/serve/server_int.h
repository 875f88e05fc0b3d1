/*
 * Inside the server: what a loop keeps, a request for an inference on its way, and what the files
 * of the server offer each other. All of a loop's state belongs to its thread, but what is marked
 * atomic. Calls are kept between requests, arenas included, so that nothing is allocated once a
 * loop has seen its load.
 */
#ifndef LMN_SERVE_SERVER_INT_H
#define LMN_SERVE_SERVER_INT_H

#include "base/os/os_mutex.h"
#include "base/os/os_socket.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "http/http.h"
#include "lamina/serve.h"
#include "serve/loglines.h"
#include "serve/otlp.h"
#include "serve/repo.h"
#include "serve/settings.h"

#define LMN_SERVE_MAX_LOOPS 256u
#define LMN_SERVE_MAX_LISTEN 16u
#define LMN_SERVE_MAX_TOKENS 1024u
#define LMN_SERVE_TEXT_MAX ((size_t)64 << 20) /* of an answer that is text */

typedef struct lmn_call lmn_call;

/* How a request is traced. */
typedef struct lmn_call_trace {
    bool on;    /* it is to be sent */
    bool given; /* trace and parent came with the request, which is told our span */
    uint8_t trace[LMN_TRACE_ID], parent[LMN_SPAN_ID], span[LMN_SPAN_ID];
    uint8_t flags;
} lmn_call_trace;

typedef enum lmn_token_outcome {
    LMN_TOKEN_ADMITTED,
    LMN_TOKEN_LIMITED,   /* 429 */
    LMN_TOKEN_FORBIDDEN, /* 403 */
    LMN_TOKEN_OUTCOMES
} lmn_token_outcome;

/* Of one token, written by one loop. */
typedef struct lmn_token_shard {
    _Alignas(64) lmn_atomic(uint64_t) n[LMN_TOKEN_OUTCOMES];
} lmn_token_shard;

/* What a token's requests leave behind: outlives the table that it stands in. */
typedef struct lmn_token_use {
    lmn_atomic(uint32_t) refs; /* tables with this token */
    lmn_atomic(uint64_t) at; /* up to when its rate is used up, ahead of now by a window at most */
    lmn_token_shard shard[]; /* one a loop */
} lmn_token_use;

/* Who may come, and how often. */
typedef struct lmn_token {
    uint8_t digest[LMN_SHA256_BYTES];
    char name[64];      /* in metrics; "": none */
    uint32_t rate;      /* requests in window_ns; 0: no limit */
    uint64_t window_ns; /* a second, a minute, an hour: so much of its rate may come at once */
    char *models;       /* names, each with its zero; NULL: all */
    size_t models_bytes;
    lmn_token_use *use;
} lmn_token;

/* A file of tokens as it was read once. */
typedef struct lmn_tokens {
    const lamina_allocator *alloc;
    lmn_atomic(uint32_t) refs; /* the server's, and those of loops that saw it */
    uint32_t n, n_loops;
    lmn_token *token; /* n */
    size_t cap;
} lmn_tokens;

/* A version that has something to run at the end of a turn. */
typedef struct lmn_pending {
    lmn_version *version; /* a reference */
    uint64_t due;         /* to be looked at then; 0: now */
} lmn_pending;

typedef struct lmn_serve_loop {
    lamina_server *server;
    lmn_http_loop *loop;
    uint32_t index; /* of its shards */
    uintptr_t thread;
    lmn_repo_view view;
    lmn_call *spare; /* calls that are not in use */
    lmn_pending *pending;
    uint32_t n_pending;
    size_t cap_pending;
    lmn_strbuf text; /* an answer being written */
    lmn_http_shard shard;
    lmn_tokens *tokens;           /* as it saw them last: a reference; NULL: none are asked for */
    uint32_t until_log;           /* requests to let pass before the next is logged */
    uint64_t wall_at, wall_ahead; /* when the system's time was read; how far it is ahead of ours */
    /* of the answer that is about to be counted */
    const lmn_call *recorded;
    const char *reason; /* what is wrong, NULL: nothing */
    uint64_t bytes_out;
    lmn_settings_seen traces;
    uint64_t refused_ns;          /* when a queue was last found full */
    uint64_t crowded_until;       /* it is overloaded; 0: it is not */
    uint32_t n_refused;           /* in this turn */
    uint64_t left;                /* requests whose clients had left, as models were told */
    const lmn_version *busy_with; /* asked last; only compared */
    uint64_t lively_ns;           /* when something else was asked */
    uint64_t hold_until;          /* answers of idle turns wait for each other; 0: none waits */
    bool settled; /* what its models run next is, of all that were asked in this turn */
    lmn_rng ids;  /* of traces and spans */
    lmn_http_task changed;
    lmn_atomic(uint32_t) told; /* `changed` is on its way */
    lmn_atomic(uint64_t) open_calls;
    uint64_t stream_bytes; /* of messages that streams of gRPC hold */
} lmn_serve_loop;

struct lmn_call {
    lmn_http_task task; /* first: done in another thread */
    lmn_call *next;
    lmn_serve_loop *home;
    lmn_http_request *req;
    lmn_version *version; /* a reference */
    lmn_arena arena;
    lmn_arena_mark empty;
    uint64_t began_ns, submitted_ns;
    uint32_t pieces; /* not released yet, and one for who answers */
    bool wants_timing;
    bool rpc;                      /* by gRPC */
    struct lmn_rpc_stream *stream; /* of messages, or NULL */
    lmn_call *after;               /* the next of it */
    bool ready;                    /* its turn has not come */
    uint8_t *message;              /* its own, with a stream */
    size_t message_bytes;
    lmn_call_trace trace;
    lmn_lent_view lent;
    lmn_infer infer; /* its ports lie in the arena */
};

struct lamina_server {
    lamina_engine *engine;
    const lamina_allocator *alloc;
    lmn_repo *repo;
    lmn_http_server *http;
    lmn_http_handler handler;
    lmn_mutex lock; /* loops */
    lmn_serve_loop *loops[LMN_SERVE_MAX_LOOPS];
    uint32_t n_loops, n_listen;
    uint32_t admin; /* number of that listener; UINT32_MAX: none */
    lmn_atomic(uint32_t) draining;
    lmn_atomic(uint64_t) jobs; /* load and unload requests that are not answered */
    lmn_lents lents;           /* memory of clients */
    uint64_t started_ns, max_body;
    lmn_atomic(lmn_tokens *) tokens; /* a reference, changed under the lock; NULL: none are asked
                                        for */
    char *tokens_path;
    size_t tokens_path_bytes;
    lamina_tls *tls; /* of the options; NULL: none */
    lamina_logger *log;
    lmn_loglines *lines; /* whose logger that is; NULL: the options' */
    uint32_t log_sample;
    lmn_settings settings;
    lmn_otlp *otlp;                             /* NULL: no collector */
    lmn_atomic(uint32_t) capturing, no_capture; /* one at a time; none any more */
};

/* While it drains answers end their connections, so that few are idle when listeners close. */
static inline bool lmn_serve_closing(const lmn_serve_loop *l)
{
    return lmn_atomic_load(&l->server->draining, relaxed) != 0;
}

/* Was this loop asked nothing but inferences of one model lately, and is it not overloaded? */
#define LMN_SERVE_LIVELY_NS UINT64_C(100000000)
static inline bool lmn_serve_idle(const lmn_serve_loop *l, uint64_t now)
{
    return !l->crowded_until && now > l->lively_ns + LMN_SERVE_LIVELY_NS;
}

/* routes.c: what lmn_http_handler calls. */
uint64_t lmn_routes_head(void *ctx, lmn_http_request *r);
void lmn_routes_request(void *ctx, lmn_http_request *r);

/* What a path is about, for who may see some models alone. */
typedef enum lmn_about {
    LMN_ABOUT_MODEL,  /* the one it names */
    LMN_ABOUT_MODELS, /* several, or what the server does */
    LMN_ABOUT_NONE    /* nothing of a model */
} lmn_about;
lmn_about lmn_routes_about(lmn_span path, lmn_span *model);
/* Why there is no such version, as a sentence; `known`: the model has others. True: it may come. */
bool lmn_serve_not_there(lmn_serve_loop *l, lmn_span name, uint64_t version, bool known,
                         char sentence[LAMINA_ERROR_MSG_BYTES]);
/* The versions of v's model that are there, the highest first. */
#define LMN_SERVE_VERSIONS (2 * LMN_CONFIG_MAX_VERSIONS)
uint32_t lmn_serve_versions(const lmn_serve_loop *l, const lmn_version *v,
                            uint64_t numbers[LMN_SERVE_VERSIONS]);
/* Into loop->text: statistics of a version or of all. */
void lmn_serve_write_stats(lmn_serve_loop *l, const lmn_version *only);

/* routes_repo.c: the index and changes as paths ask for them. */
void lmn_repo_list_request(lmn_serve_loop *l, lmn_http_request *r);
void lmn_repo_change_request(lmn_serve_loop *l, lmn_http_request *r, lmn_span name, bool unload);
void lmn_serve_write_index(lmn_serve_loop *l, bool ready_only); /* into loop->text */
/* Load a model, or unload it, and answer. The name is one; the request may ask for that. */
void lmn_serve_change(lmn_serve_loop *l, lmn_http_request *r, lmn_span name, bool unload);

/* admission.c: the head of a request is there. False: it may not come, and that was answered. */
bool lmn_serve_admit(lmn_serve_loop *l, lmn_http_request *r);
/* May who sent r ask that model? For protocols whose path does not name it. */
bool lmn_serve_may(const lmn_serve_loop *l, const lmn_http_request *r, lmn_span model);

/* answers.c. Bytes that lie in loop->text or are constant; counted under the route. */
typedef struct lmn_serve_answer {
    uint32_t status;
    lmn_route route;
    const char *type;
    lmn_http_field fields[6];
    uint32_t n_fields;
    lmn_span body;
} lmn_serve_answer;
void lmn_answer_field(lmn_serve_answer *a, const char *name, const char *value);
void lmn_serve_reply(lmn_serve_loop *l, lmn_http_request *r, const lmn_serve_answer *a);
/* With loop->text as the body. */
void lmn_answer_text(lmn_serve_loop *l, lmn_http_request *r, lmn_serve_answer *a);
/* 200, with what stands in the loop's text. */
void lmn_serve_text(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, const char *type);
/* A text that does not change. */
void lmn_serve_fixed(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                     const char *type, const char *body);
/* {"error": sentence}; retry_after_s 0: no such field. */
void lmn_serve_error(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                     const char *sentence, uint32_t retry_after_s);
/* The same as the protocol of the request has it. */
void lmn_serve_refuse(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                      const char *why, uint32_t retry_after_s);
/* JSON into loop->text, which is emptied. */
lmn_jsonw lmn_serve_json(lmn_serve_loop *l);
/* Count it, and log one of so many. */
void lmn_serve_counted(lmn_serve_loop *l, const lmn_http_request *r, lmn_route route,
                       uint32_t status, uint64_t now);

/* accesslog.c */
void lmn_serve_log(lmn_serve_loop *l, const lmn_http_request *r, lmn_route route, uint32_t status,
                   uint64_t now);
/* The request came with this token of l->tokens. */
void lmn_token_note(const lmn_serve_loop *l, lmn_http_request *r, const lmn_token *t);

/* call.c: inference. */
void lmn_call_begin(lmn_serve_loop *l, lmn_http_request *r, lmn_version *v);
/* What the protocols share. A call that is not in use; NULL: no memory. */
lmn_call *lmn_call_take(lmn_serve_loop *l);
void lmn_call_give(lmn_call *c);
lmn_infer *lmn_call_aim(lmn_call *c, lmn_http_request *r, lmn_version *v); /* also sets rpc false */
bool lmn_call_submit(lmn_call *c); /* false: refused, its status says why */
void lmn_call_released(void *call, lmn_span bytes);
/* How it went as a status of HTTP; read: the request could not be read. */
uint32_t lmn_call_status(const lmn_infer *r, bool read);
void lmn_call_record(lmn_call *c, uint32_t status, uint64_t now);
/* The head of such a request is there. True: its model's queue is full, and that was answered. */
bool lmn_call_turn_away(lmn_serve_loop *l, lmn_http_request *r, lmn_version *v);
/* Run what is gathered; when to be called again. */
uint64_t lmn_call_turn(lmn_serve_loop *l);
/* After an idle turn that ended at `end`: do its answers wait for those of the next? A send beside
 * a model that streams its weights finds its path through the kernel in memory, one behind another
 * send does not. They wait a fourth as long as the first has waited, at most 8 ms, while a next
 * turn that takes what this one took would end in time. *until: till when; 0 while none waits. */
bool lmn_call_holds(uint64_t *until, const lmn_model_here *here, uint64_t end);
void lmn_call_free_all(lmn_serve_loop *l);

/* tracing.c: W3C Trace Context. */
#define LMN_TRACEPARENT 55u
/* Takes a traceparent apart; false: it is none. */
bool lmn_traceparent_read(lmn_span value, lmn_call_trace *out);
void lmn_traceparent_write(const lmn_call_trace *t, char out[LMN_TRACEPARENT]);
/* A request that has its model: is it traced, under which ids? Reads its fields. */
void lmn_trace_begin(lmn_call *c);
/* It is answered, `now` or 0: a moment ago. */
void lmn_trace_end(lmn_call *c, uint32_t status, uint64_t now);
void lmn_trace_seed(lmn_serve_loop *l);

/* server_http2.c. NULL: none. */
const struct lmn_h2_table *lmn_serve_h2(const lamina_http2 *h);

/* rpc.c: gRPC, over HTTP/2. Is it one of its requests? */
bool lmn_rpc_is(const lmn_http_request *r);
uint64_t lmn_rpc_head(lmn_serve_loop *l, lmn_http_request *r); /* as lmn_http_handler.head */
void lmn_rpc_request(lmn_serve_loop *l, lmn_http_request *r);
bool lmn_rpc_refused(void *server, lmn_http_request *r, uint32_t status);
/* lmn_serve_error, for such a request. */
void lmn_rpc_error(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, uint32_t status,
                   const char *why);
void lmn_rpc_finish(lmn_call *c);
void lmn_rpc_done(lmn_serve_loop *l, lmn_http_request *r, lmn_route route); /* nothing to say */
/* settings_http.c: GET and POST of settings, of the log or of traces; model empty: of all. */
void lmn_settings_request(lmn_serve_loop *l, lmn_http_request *r, bool log, lmn_span model);

/* capture.c: GET /v2/admin/trace, GET /v2/admin/profile. */
void lmn_capture_request(lmn_serve_loop *l, lmn_http_request *r, bool profile);
/* What is under way ends now. */
void lmn_capture_end(lamina_server *s);

/* report.c: JSON. */
void lmn_report_stats(lmn_jsonw *w, const lmn_version *v);
void lmn_report_index_row(void *jsonw, const lmn_repo_row *row);
void lmn_report_example(lmn_strbuf *out, const lmn_signature *s);

/* observe.c */
void lmn_observe(lamina_server *s, const lmn_repo_view *view, const lmn_metrics_out *m);

/* page.c */
void lmn_page_write(lamina_server *s, lmn_serve_loop *l, lmn_strbuf *out);
void lmn_openapi_write(lmn_jsonw *w);
extern const char lmn_page_css[], lmn_page_js[];

/* server_tls.c */
struct lamina_tls {
    const lamina_allocator *alloc;
    lmn_http_tls *http;
    bool asks_clients, offers_h2;
};

/* lent_routes.c: memory of clients; name: of a region, empty: of all. */
void lmn_lent_enter(lmn_serve_loop *l, lmn_http_request *r, lmn_span name);
void lmn_lent_show(lmn_serve_loop *l, lmn_http_request *r, lmn_span name);
void lmn_lent_leave(lmn_serve_loop *l, lmn_http_request *r, lmn_span name);
void lmn_lent_closed(void *server, void *kept); /* as lmn_http_handler.closed */
/* What r may name; false: nothing. */
bool lmn_lent_view_of(lmn_serve_loop *l, lmn_http_request *r, lmn_lent_view *out);

/* tokens.c. Read the server's file, again or for the first time; what fails changes nothing. */
lamina_status lmn_tokens_reload(lamina_server *s, lamina_error *err);
/* The text of such a file; `old` (or NULL): the table whose counters go on, of as many loops. */
lamina_status lmn_tokens_parse(const lamina_allocator *alloc, lmn_span text, uint32_t n_loops,
                               const lmn_tokens *old, lmn_tokens **out, lamina_error *err);
void lmn_tokens_unref(lmn_tokens *s);
void lmn_tokens_take(lmn_serve_loop *l);
/* Makes l->tokens those of now: by the loop, before it looks at a request. */
static inline void lmn_tokens_see(lmn_serve_loop *l)
{
    if (LMN_UNLIKELY(lmn_atomic_load(&l->server->tokens, relaxed) != l->tokens)) lmn_tokens_take(l);
}
/* The token that a request came with; NULL: none of ours. */
lmn_token *lmn_tokens_find(const lmn_tokens *s, const lmn_http_request *r);
bool lmn_token_has_model(const lmn_token *t, lmn_span name);
/* One request at `now`; 0: it may come; else nanoseconds until one may. Any thread. */
uint64_t lmn_token_take(lmn_token *t, uint64_t now);

#endif
