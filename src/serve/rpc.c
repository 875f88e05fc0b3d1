/*
 * KServe v2 and health checks over gRPC: which method a path names, messages in and out of their
 * frames, how things went as codes. A call of one message is a request like any other; a stream of
 * calls (ModelStreamInfer) is read as it comes and answered in the order of its messages.
 */
#include "serve/grpc_codec.h"
#include "serve/server_int.h"

#include "base/os/os_time.h"
#include "base/pbwire.h"
#include "base/text.h"

#include <string.h>

enum {
    FRAME_HEAD = 5,    /* compressed, and four bytes of length */
    STREAM_CALLS = 64, /* of one stream at once; then its window closes */
    OUT_MOST = 64 << 20
};

typedef enum code {
    OK = 0,
    CANCELLED = 1,
    INVALID = 3,
    DEADLINE = 4,
    NOT_FOUND = 5,
    EXHAUSTED = 8,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14
} code;

typedef struct lmn_rpc_stream {
    lmn_serve_loop *l;
    lmn_http_request *r;
    /* The message that is being read. */
    uint8_t head[FRAME_HEAD];
    uint32_t head_n;
    uint8_t *message;
    size_t bytes, n;
    lmn_call *first, *last; /* not answered, in order */
    uint32_t n_calls;
    size_t owed; /* bytes that were read but not given back to the window */
    bool over;   /* no more messages */
    bool busy;   /* saying something: who is told of meanwhile waits */
    code code;
    const char *why;
} lmn_rpc_stream;

static bool is(lmn_span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static bool begins(lmn_span s, const char *text)
{
    const size_t n = strlen(text);
    return s.n >= n && memcmp(s.p, text, n) == 0;
}

bool lmn_rpc_is(const lmn_http_request *r)
{
    return r->version == 20 && r->method == LMN_HTTP_POST &&
           begins(lmn_http_field_get(r, "content-type"), "application/grpc");
}

/* ---- answers ---- */

static uint32_t http_of(code c)
{
    switch (c) {
    case OK: return 200;
    case CANCELLED: return 499;
    case INVALID: return 400;
    case DEADLINE: return 504;
    case NOT_FOUND: return 404;
    case UNIMPLEMENTED: return 501;
    case INTERNAL: return 500;
    default: return 503;
    }
}

static code code_of(const lmn_infer *r, bool read)
{
    switch (lmn_call_status(r, read)) {
    case 200: return OK;
    case 400: return INVALID;
    case 499: return CANCELLED;
    case 503:
    case 504:
        if (r->status == LAMINA_E_TIMEOUT) return DEADLINE;
        return r->status == LAMINA_E_LIMIT ? EXHAUSTED : UNAVAILABLE;
    default: return INTERNAL;
    }
}

/* What is not printable is written %XX. */
static lmn_span escaped(char *out, size_t cap, const char *text)
{
    static const char HEX[] = "0123456789ABCDEF";
    size_t n = 0;
    for (const char *p = text; *p && n + 3 <= cap; p++) {
        const uint8_t c = (uint8_t)*p;
        if (c >= ' ' && c < 0x7f && c != '%') {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = HEX[c >> 4];
        out[n++] = HEX[c & 15];
    }
    return (lmn_span){(const uint8_t *)out, n};
}

typedef struct ending {
    char number[4], message[1024];
    lmn_http_field fields[2];
    uint32_t n;
} ending;

static void end_with(ending *e, code c, const char *why)
{
    const size_t n = lmn_format(e->number, sizeof e->number, "%u", (unsigned)c);
    e->fields[0] =
        (lmn_http_field){{(const uint8_t *)"grpc-status", 11}, {(const uint8_t *)e->number, n}};
    e->fields[1] = (lmn_http_field){{(const uint8_t *)"grpc-message", 12},
                                    escaped(e->message, sizeof e->message, why ? why : "")};
    e->n = c == OK ? 1 : 2;
}

static void frame_head(uint8_t out[FRAME_HEAD], size_t n)
{
    out[0] = 0;
    for (int i = 0; i < 4; i++) out[1 + i] = (uint8_t)(n >> (24 - 8 * i));
}

static void release(void *ctx, lmn_span bytes)
{
    lmn_free(ctx, (void *)(uintptr_t)bytes.p, bytes.n, 1, "serve text");
}

/* A message, or none and a reason. */
static void reply_lent(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, code c,
                       const char *why, lmn_http_piece message)
{
    static const lmn_http_field identity = {{(const uint8_t *)"grpc-accept-encoding", 20},
                                            {(const uint8_t *)"identity", 8}};
    uint8_t head[FRAME_HEAD];
    ending e;
    end_with(&e, c, why);
    frame_head(head, message.bytes.n);
    const lmn_http_piece pieces[2] = {{.bytes = {head, FRAME_HEAD}}, message};
    const lmn_http_answer a = {.status = 200,
                               .content_type = "application/grpc",
                               .fields = &identity,
                               .n_fields = c == UNIMPLEMENTED,
                               .pieces = pieces,
                               .n_pieces = c == OK ? 2 : 0,
                               .close = lmn_serve_closing(l),
                               .trailers = e.fields,
                               .n_trailers = e.n};
    lmn_serve_counted(l, r, route, http_of(c), lmn_now_ns());
    lmn_http_reply(r, &a);
}

/* ... of a few bytes. */
static void reply(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, code c, const char *why,
                  lmn_span message)
{
    reply_lent(l, r, route, c, why, (lmn_http_piece){.bytes = message});
}

bool lmn_rpc_refused(void *server, lmn_http_request *r, uint32_t status)
{
    (void)server;
    if (!lmn_rpc_is(r) || (status != 413 && status != 503)) return false;
    reply(lmn_http_loop_user(r->loop), r, LMN_ROUTE_OTHER, status == 413 ? EXHAUSTED : UNAVAILABLE,
          status == 413 ? "the message is larger than is accepted"
                        : "no memory is left for this request; try again",
          (lmn_span){NULL, 0});
    return true;
}

/* ---- inference ---- */

static uint64_t timeout_of(const lmn_http_request *r)
{
    static const char UNITS[] = "HMSmun";
    static const uint64_t NS[] = {
        UINT64_C(3600000000000), UINT64_C(60000000000), 1000000000, 1000000, 1000, 1};
    const lmn_span v = lmn_http_field_get(r, "grpc-timeout");
    int64_t n;
    if (v.n < 2 || v.n > 9 || !lmn_parse_i64(v.p, v.n - 1, &n) || n < 0) return 0;
    const char *unit = memchr(UNITS, v.p[v.n - 1], sizeof UNITS - 1);
    return unit ? (n ? (uint64_t)n : 1) * NS[unit - UNITS] : 0;
}

static void fail(lmn_call *c, bool read)
{
    lmn_infer *q = &c->infer;
    const char *why = q->error.msg[0] ? q->error.msg : lamina_status_text(q->status);
    lmn_call_record(c, lmn_call_status(q, read), 0);
    reply(c->home, c->req, LMN_ROUTE_INFER, code_of(q, read), why, (lmn_span){NULL, 0});
    lmn_call_give(c);
}

/* The answer as pieces behind a frame's head, for which n bytes are kept free. */
static bool write_answer(lmn_call *c, lmn_span pieces[1 + LMN_GRPC_MAX_PIECES], uint32_t *n,
                         size_t *bytes)
{
    lmn_infer *q = &c->infer;
    *bytes = 0;
    if (q->status == LAMINA_OK)
        q->status = lmn_grpc_write_infer(&c->version->sig, q, &c->arena, pieces + 1, n, &q->error);
    for (uint32_t i = 0; q->status == LAMINA_OK && i < *n; i++) *bytes += pieces[1 + i].n;
    if (q->status == LAMINA_OK && *bytes > UINT32_MAX - 16)
        q->status = lmn_fail(&q->error, LAMINA_E_LIMIT, "the answer is larger than a message");
    return q->status == LAMINA_OK;
}

static void succeed(lmn_call *c)
{
    lmn_span bytes[1 + LMN_GRPC_MAX_PIECES];
    lmn_http_piece pieces[1 + LMN_GRPC_MAX_PIECES];
    ending e;
    uint32_t n;
    size_t all;
    uint8_t *head = lmn_arena_bump(&c->arena, FRAME_HEAD, 1);
    if (!head) c->infer.status = LAMINA_E_NOMEM;
    if (!write_answer(c, bytes, &n, &all)) {
        fail(c, false);
        return;
    }
    frame_head(head, all);
    bytes[0] = (lmn_span){head, FRAME_HEAD};
    for (uint32_t i = 0; i <= n; i++) pieces[i] = (lmn_http_piece){bytes[i], lmn_call_released, c};
    end_with(&e, OK, NULL);
    const lmn_http_answer a = {.status = 200,
                               .content_type = "application/grpc",
                               .pieces = pieces,
                               .n_pieces = n + 1,
                               .close = lmn_serve_closing(c->home),
                               .trailers = e.fields,
                               .n_trailers = e.n};
    const uint64_t now = lmn_now_ns();
    c->pieces = n + 2;
    lmn_call_record(c, 200, now);
    lmn_serve_counted(c->home, c->req, LMN_ROUTE_INFER, 200, now);
    lmn_http_reply(c->req, &a);
    lmn_call_released(c, (lmn_span){0});
}

/* The version that a message is about; NULL: *c and *why (in `text`) say why not. */
static lmn_version *find(lmn_serve_loop *l, lmn_span message, code *c, char *text)
{
    lmn_grpc_target t;
    lamina_error err = {0};
    int64_t number = 0;
    bool known;
    *c = INVALID;
    if (lmn_grpc_read_target(message, &t, &err) != LAMINA_OK) {
        (void)lmn_format(text, LAMINA_ERROR_MSG_BYTES, "%s", err.msg);
        return NULL;
    }
    if (!lmn_repo_name_ok(t.name) ||
        (t.version.n && (!lmn_parse_i64(t.version.p, t.version.n, &number) || number < 1))) {
        (void)lmn_format(text, LAMINA_ERROR_MSG_BYTES, "there is no model of that name or version");
        *c = NOT_FOUND;
        return NULL;
    }
    lmn_version *v = lmn_repo_find(&l->view, t.name, (uint64_t)number, &known);
    if (!v)
        *c =
            lmn_serve_not_there(l, t.name, (uint64_t)number, known, text) ? UNAVAILABLE : NOT_FOUND;
    return v;
}

/* Read the message into c and hand it to its model. False: c says why not; *read: it was read. */
static bool begin_call(lmn_call *c, lmn_http_request *r, lmn_version *v, lmn_span message,
                       bool *read)
{
    lmn_infer *q = lmn_call_aim(c, r, v);
    const uint64_t timeout = timeout_of(r);
    c->rpc = true;
    *read = false;
    q->status = lmn_grpc_read_infer(&v->sig, message, &c->arena, q, &q->error);
    if (q->status != LAMINA_OK) return false;
    *read = true;
    if (timeout && (!q->timeout_ns || timeout < q->timeout_ns)) q->timeout_ns = timeout;
    return lmn_call_submit(c);
}

static void infer(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    char why[LAMINA_ERROR_MSG_BYTES];
    code status;
    bool read;
    lmn_version *v = find(l, message, &status, why);
    lmn_call *c = v ? lmn_call_take(l) : NULL;
    if (!v) {
        reply(l, r, LMN_ROUTE_INFER, status, why, (lmn_span){NULL, 0});
    } else if (!c) {
        reply(l, r, LMN_ROUTE_INFER, UNAVAILABLE, "out of memory", (lmn_span){NULL, 0});
    } else {
        c->stream = NULL;
        if (!begin_call(c, r, v, message, &read)) fail(c, !read);
    }
}

/* ---- streams of calls ---- */

static void stream_say(lmn_rpc_stream *s, lmn_call *c)
{
    lmn_span pieces[1 + LMN_GRPC_MAX_PIECES];
    uint8_t head[FRAME_HEAD + 1 + 10];
    uint32_t n = 0;
    size_t all;
    const bool good = write_answer(c, pieces, &n, &all);
    if (!good) { /* error_message = 1 */
        const char *why =
            c->infer.error.msg[0] ? c->infer.error.msg : lamina_status_text(c->infer.status);
        pieces[1] = (lmn_span){(const uint8_t *)why, strlen(why)};
        all = pieces[1].n;
        n = 1;
    }
    const uint64_t now = lmn_now_ns();
    if (c->version) lmn_call_record(c, good ? 200 : lmn_call_status(&c->infer, false), now);
    size_t k = FRAME_HEAD;
    head[k++] = (uint8_t)((good ? 2 : 1) << 3 | LMN_PB_BYTES); /* infer_response = 2 */
    k += lmn_pb_put_varint(head + k, all);
    frame_head(head, k - FRAME_HEAD + all);
    pieces[0] = (lmn_span){head, k};
    for (uint32_t i = 0; i <= n; i++)
        if (lmn_http_stream_write(s->r, pieces[i]) != LAMINA_OK) break;
}

static void drop_call(lmn_rpc_stream *s, lmn_call *c)
{
    lmn_free(s->l->server->alloc, c->message, c->message_bytes, 64, "serve message");
    c->message = NULL;
    lmn_call_give(c);
}

/* Say what may be said, and end when all is. s may be gone afterwards. */
static void stream_go_on(lmn_rpc_stream *s)
{
    lmn_serve_loop *l = s->l;
    ending e;
    if (s->busy) return;
    s->busy = true;
    while (s->first && s->first->ready) {
        lmn_call *c = s->first;
        s->first = c->after;
        if (!s->first) s->last = NULL;
        s->n_calls--;
        stream_say(s, c);
        drop_call(s, c);
    }
    if (s->owed && s->n_calls < STREAM_CALLS) {
        const size_t owed = s->owed;
        s->owed = 0;
        lmn_http_body_took(s->r, owed);
    }
    s->busy = false;
    if (s->n_calls || !s->over) return;
    end_with(&e, s->code, s->why);
    lmn_serve_counted(l, s->r, LMN_ROUTE_INFER, http_of(s->code), lmn_now_ns());
    lmn_http_stream_trailers(s->r, e.fields, e.n);
    lmn_http_request *r = s->r;
    if (s->message) lmn_free(l->server->alloc, s->message, s->bytes, 64, "serve message");
    lmn_cfree(l->server->alloc, s, 1, sizeof *s, "serve stream");
    lmn_http_stream_end(r);
}

void lmn_rpc_finish(lmn_call *c)
{
    lmn_rpc_stream *s = c->stream;
    if (s) {
        c->ready = true;
        stream_go_on(s);
    } else if (c->infer.status == LAMINA_OK) {
        succeed(c);
    } else {
        fail(c, false);
    }
}

static void stream_fail(lmn_rpc_stream *s, code c, const char *why)
{
    s->over = true;
    s->code = c;
    s->why = why;
}

/* A message is whole. */
static void stream_call(lmn_rpc_stream *s)
{
    lmn_serve_loop *l = s->l;
    char why[LAMINA_ERROR_MSG_BYTES];
    code status;
    bool read;
    lmn_repo_see(l->server->repo, &l->view);
    lmn_version *v = find(l, (lmn_span){s->message, s->n}, &status, why);
    lmn_call *c = lmn_call_take(l);
    s->head_n = 0;
    if (!c) {
        stream_fail(s, UNAVAILABLE, "out of memory");
        return;
    }
    c->stream = s;
    c->after = NULL;
    c->ready = false;
    c->message = s->message;
    c->message_bytes = s->bytes;
    const lmn_span message = {s->message, s->n};
    s->message = NULL;
    if (s->last)
        s->last->after = c;
    else
        s->first = c;
    s->last = c;
    s->n_calls++;
    if (!v) c->infer.status = lmn_fail(&c->infer.error, LAMINA_E_INVALID, "%s", why);
    if (!v || !begin_call(c, s->r, v, message, &read)) c->ready = true;
}

static bool stream_begin_message(lmn_rpc_stream *s)
{
    const uint32_t n = (uint32_t)s->head[1] << 24 | (uint32_t)s->head[2] << 16 |
                       (uint32_t)s->head[3] << 8 | s->head[4];
    if (s->head[0]) {
        stream_fail(s, UNIMPLEMENTED, "compressed messages are not taken: send them as they are");
        return false;
    }
    if (n > s->l->server->max_body) {
        stream_fail(s, EXHAUSTED, "the message is larger than is accepted");
        return false;
    }
    s->n = 0;
    s->bytes = n ? n : 1;
    s->message = lmn_alloc(s->l->server->alloc, s->bytes, 64, "serve message");
    if (!s->message) stream_fail(s, UNAVAILABLE, "out of memory");
    return s->message != NULL;
}

static void stream_read(lmn_rpc_stream *s, lmn_span in)
{
    while (!s->over && (in.n || s->head_n == FRAME_HEAD)) {
        if (s->head_n < FRAME_HEAD) {
            s->head[s->head_n++] = *in.p++;
            in.n--;
            if (s->head_n == FRAME_HEAD && !stream_begin_message(s)) return;
            continue;
        }
        const size_t want = (s->bytes == 1 ? (size_t)s->head[4] : s->bytes) - s->n;
        const size_t k = in.n < want ? in.n : want;
        if (k) memcpy(s->message + s->n, in.p, k);
        s->n += k;
        in.p += k;
        in.n -= k;
        if (k < want) return;
        stream_call(s);
    }
}

static void stream_part(void *ctx, lmn_http_request *r, lmn_span bytes, bool last)
{
    lmn_rpc_stream *s = ctx;
    s->owed += bytes.n;
    if (!s->over) stream_read(s, bytes);
    if (last && !s->over) {
        s->over = true;
        if (s->head_n) stream_fail(s, INTERNAL, "the stream ended within a message");
    }
    (void)r;
    stream_go_on(s);
}

static void stream_open(lmn_serve_loop *l, lmn_http_request *r)
{
    const lmn_http_answer a = {.status = 200, .content_type = "application/grpc"};
    lmn_rpc_stream *s = lmn_calloc(l->server->alloc, 1, sizeof *s, "serve stream");
    if (!s) {
        reply(l, r, LMN_ROUTE_INFER, UNAVAILABLE, "out of memory", (lmn_span){NULL, 0});
        return;
    }
    s->l = l;
    s->r = r;
    lmn_http_body_parts(r, stream_part, s);
    (void)lmn_http_stream_begin(r, &a, OUT_MOST);
}

/* ---- methods ---- */

static void boolean(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, bool value)
{
    uint8_t message[2];
    const size_t n = lmn_grpc_write_bool(message, value);
    reply(l, r, route, OK, NULL, (lmn_span){message, n});
}

static bool server_ready(const lamina_server *s)
{
    return !lmn_atomic_load(&s->draining, relaxed) && lmn_repo_ready(s->repo);
}

static void health(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    lmn_grpc_target t; /* field 1 of HealthCheckRequest: the service */
    lamina_error err = {0};
    if (lmn_grpc_read_target(message, &t, &err) != LAMINA_OK) {
        reply(l, r, LMN_ROUTE_HEALTH, INVALID, err.msg, (lmn_span){NULL, 0});
    } else if (t.name.n && !is(t.name, "inference.GRPCInferenceService")) {
        reply(l, r, LMN_ROUTE_HEALTH, NOT_FOUND, "there is no such service", (lmn_span){NULL, 0});
    } else {
        const uint8_t status[2] = {1 << 3, server_ready(l->server) ? 1 : 2};
        reply(l, r, LMN_ROUTE_HEALTH, OK, NULL, (lmn_span){status, 2});
    }
}

static void metadata(lmn_serve_loop *l, lmn_http_request *r, const lmn_version *v)
{
    lmn_arena arena;
    lmn_span message;
    lmn_arena_init(&arena, l->server->alloc, LMN_SERVE_TEXT_MAX);
    const lamina_status st = v ? lmn_grpc_model_metadata(&v->sig, &v->number, 1, &arena, &message)
                               : lmn_grpc_server_metadata(&arena, &message);
    uint8_t *copy = NULL; /* a small one is copied by http, a large one outlives the arena */
    if (st == LAMINA_OK) copy = lmn_alloc(l->server->alloc, message.n, 1, "serve text");
    if (copy) {
        memcpy(copy, message.p, message.n);
        reply_lent(
            l, r, LMN_ROUTE_MODEL, OK, NULL,
            (lmn_http_piece){{copy, message.n}, release, (void *)(uintptr_t)l->server->alloc});
    } else {
        reply(l, r, LMN_ROUTE_MODEL, UNAVAILABLE, "out of memory", (lmn_span){NULL, 0});
    }
    lmn_arena_finish(&arena);
}

static void of_model(lmn_serve_loop *l, lmn_http_request *r, lmn_span message, bool ready)
{
    char why[LAMINA_ERROR_MSG_BYTES];
    code c;
    const lmn_version *v = find(l, message, &c, why);
    if (ready && (v || c != INVALID))
        boolean(l, r, LMN_ROUTE_MODEL, v != NULL);
    else if (!v)
        reply(l, r, LMN_ROUTE_MODEL, c, why, (lmn_span){NULL, 0});
    else
        metadata(l, r, v);
}

/* What comes behind the service's name; empty: another service. */
static lmn_span method_of(lmn_span path, const char *service)
{
    const size_t n = strlen(service);
    if (!begins(path, service)) return (lmn_span){NULL, 0};
    return (lmn_span){path.p + n, path.n - n};
}

static const char KSERVE[] = "/inference.GRPCInferenceService/";
static const char HEALTH[] = "/grpc.health.v1.Health/";

uint64_t lmn_rpc_head(lmn_serve_loop *l, lmn_http_request *r)
{
    const lmn_span coding = lmn_http_field_get(r, "grpc-encoding");
    const lmn_span method = method_of(r->path, KSERVE);
    if (coding.n && !is(coding, "identity")) {
        reply(l, r, LMN_ROUTE_OTHER, UNIMPLEMENTED,
              "compressed messages are not taken: send them as they are", (lmn_span){NULL, 0});
        return 0;
    }
    if (is(method, "ModelStreamInfer")) {
        stream_open(l, r);
        return 0;
    }
    return is(method, "ModelInfer") ? l->server->max_body + FRAME_HEAD : 64u << 10;
}

/* The one message of a request. False: it was answered. */
static bool message_of(lmn_serve_loop *l, lmn_http_request *r, lmn_span *out)
{
    const uint8_t *p = r->body.p;
    const char *why = NULL;
    code c = INTERNAL;
    if (r->body.n < FRAME_HEAD) {
        why = "the request has no message";
    } else if (p[0]) {
        c = UNIMPLEMENTED;
        why = "compressed messages are not taken: send them as they are";
    } else if (((uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 8 | p[4]) !=
               r->body.n - FRAME_HEAD) {
        why = "the request is not one message";
    }
    if (why) {
        reply(l, r, LMN_ROUTE_OTHER, c, why, (lmn_span){NULL, 0});
        return false;
    }
    *out = (lmn_span){p + FRAME_HEAD, r->body.n - FRAME_HEAD};
    return true;
}

void lmn_rpc_request(lmn_serve_loop *l, lmn_http_request *r)
{
    const lmn_span method = method_of(r->path, KSERVE);
    lmn_span message;
    if (!message_of(l, r, &message)) return;
    if (is(method, "ModelInfer"))
        infer(l, r, message);
    else if (is(method, "ServerLive"))
        boolean(l, r, LMN_ROUTE_HEALTH, true);
    else if (is(method, "ServerReady"))
        boolean(l, r, LMN_ROUTE_HEALTH, server_ready(l->server));
    else if (is(method, "ModelReady"))
        of_model(l, r, message, true);
    else if (is(method, "ServerMetadata"))
        metadata(l, r, NULL);
    else if (is(method, "ModelMetadata"))
        of_model(l, r, message, false);
    else if (is(method_of(r->path, HEALTH), "Check"))
        health(l, r, message);
    else
        reply(l, r, LMN_ROUTE_OTHER, UNIMPLEMENTED, "there is no such method", (lmn_span){NULL, 0});
}
