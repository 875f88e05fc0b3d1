/*
 * A stream of calls: messages are read as they come, run side by side, and answered in the order in
 * which they came. A call that fails is an answer that says so; the stream goes on.
 *
 * Bounded: calls of one stream (then its window closes), unsent answers, and the bytes of all
 * messages that streams of a loop hold; a message's room grows with what has come of it.
 */
#include "serve/rpc_int.h"

#include "base/os/os_time.h"
#include "base/pbwire.h"

#include <string.h>

enum {
    CALLS = 64, /* of one stream at once */
    OUT_MOST = 64 << 20,
    FIRST = 64 << 10, /* bytes reserved on a client's word */
    LARGEST = 16      /* messages of the largest size that are held at once */
};

struct lmn_rpc_stream {
    lmn_serve_loop *l;
    lmn_http_request *r;
    /* The message that is being read: of `want` bytes n have come. */
    uint8_t head[LMN_RPC_HEAD];
    uint32_t head_n;
    uint8_t *message;
    size_t bytes, want, n;
    lmn_call *first, *last; /* not answered, in order */
    uint32_t n_calls;
    size_t owed; /* bytes that were read but not given back to the window */
    bool over;   /* no more messages */
    bool busy;   /* saying something: who is told of meanwhile waits */
    lmn_rpc_code code;
    const char *why;
};
typedef struct lmn_rpc_stream stream;

/* ---- memory ---- */

static void give_message(lmn_serve_loop *l, uint8_t *p, size_t bytes)
{
    if (!p) return;
    l->stream_bytes -= bytes;
    lmn_free(l->server->alloc, p, bytes, 64, "serve message");
}

static bool message_room(stream *s, size_t bytes)
{
    lmn_serve_loop *l = s->l;
    if (l->stream_bytes > LARGEST * l->server->max_body) return false;
    uint8_t *p = lmn_alloc(l->server->alloc, bytes, 64, "serve message");
    if (!p) return false;
    l->stream_bytes += bytes;
    if (s->n) memcpy(p, s->message, s->n);
    give_message(l, s->message, s->bytes);
    s->message = p;
    s->bytes = bytes;
    return true;
}

static void drop_call(stream *s, lmn_call *c)
{
    give_message(s->l, c->message, c->message_bytes);
    c->message = NULL;
    lmn_call_give(c);
}

/* ---- answers ---- */

/* infer_response = 2, with an id = 3 alone: behind the message, in two pieces. */
static uint32_t put_id(lmn_span text, uint8_t head[2 * (1 + 10)], lmn_span pieces[2])
{
    size_t n = 0;
    head[n++] = 2 << 3 | LMN_PB_BYTES;
    n += lmn_pb_put_varint(head + n, 1 + lmn_pb_varint_bytes(text.n) + text.n);
    head[n++] = 3 << 3 | LMN_PB_BYTES;
    n += lmn_pb_put_varint(head + n, text.n);
    pieces[0] = (lmn_span){head, n};
    pieces[1] = text;
    return 3;
}

static void write_call(stream *s, lmn_call *c)
{
    lmn_span pieces[1 + LMN_GRPC_MAX_PIECES];
    uint8_t head[LMN_RPC_HEAD + 1 + 10], id[2 * (1 + 10)];
    uint32_t n = 0;
    size_t all;
    const bool good = lmn_rpc_write_answer(c, pieces, &n, &all);
    size_t k = LMN_RPC_HEAD;
    if (!good) { /* error_message = 1, and which request it is about */
        const char *why =
            c->infer.error.msg[0] ? c->infer.error.msg : lamina_status_text(c->infer.status);
        pieces[1] = (lmn_span){(const uint8_t *)why, strlen(why)};
        all = pieces[1].n;
        n = 1;
        if (c->infer.id.n) n = put_id(c->infer.id, id, pieces + 2);
    }
    const uint64_t now = lmn_now_ns();
    if (c->version) lmn_call_record(c, good ? 200 : lmn_call_status(&c->infer, false), now);
    head[k++] = (uint8_t)((good ? 2 : 1) << 3 | LMN_PB_BYTES); /* infer_response = 2 */
    k += lmn_pb_put_varint(head + k, all);
    for (uint32_t i = 2; !good && i <= n; i++) all += pieces[i].n;
    lmn_rpc_frame(head, k - LMN_RPC_HEAD + all);
    pieces[0] = (lmn_span){head, k};
    for (uint32_t i = 0; i <= n; i++)
        if (lmn_http_stream_write(s->r, pieces[i]) != LAMINA_OK) break;
}

static void end(stream *s)
{
    lmn_serve_loop *l = s->l;
    lmn_http_request *r = s->r;
    lmn_rpc_ending e;
    lmn_rpc_end(&e, s->code, s->why);
    lmn_serve_counted(l, r, LMN_ROUTE_INFER, lmn_rpc_http(s->code), lmn_now_ns());
    lmn_http_stream_trailers(r, e.fields, e.n);
    give_message(l, s->message, s->bytes);
    lmn_cfree(l->server->alloc, s, 1, sizeof *s, "serve stream");
    lmn_http_stream_end(r);
}

/* Say what may be said, and end when all is. s may be gone afterwards. */
static void go_on(stream *s)
{
    if (s->busy) return;
    s->busy = true;
    while (s->first && s->first->ready) {
        lmn_call *c = s->first;
        s->first = c->after;
        if (!s->first) s->last = NULL;
        s->n_calls--;
        write_call(s, c);
        drop_call(s, c);
    }
    if (s->owed && s->n_calls < CALLS) {
        const size_t owed = s->owed;
        s->owed = 0;
        lmn_http_body_took(s->r, owed);
    }
    s->busy = false;
    if (!s->n_calls && s->over)
        end(s);
    else if (!s->over) /* between messages it may rest, but where we let it send the next */
        lmn_http_body_owed(s->r, s->head_n && !s->owed);
}

void lmn_rpc_stream_ready(lmn_call *c)
{
    c->ready = true;
    go_on(c->stream);
}

/* ---- messages ---- */

static void fail(stream *s, lmn_rpc_code c, const char *why)
{
    s->over = true;
    s->code = c;
    s->why = why;
}

static void add_call(stream *s, lmn_call *c)
{
    c->rpc = true;
    c->stream = s;
    c->after = NULL;
    c->ready = false;
    c->message = s->message;
    c->message_bytes = s->bytes;
    s->message = NULL;
    s->bytes = 0;
    if (s->last)
        s->last->after = c;
    else
        s->first = c;
    s->last = c;
    s->n_calls++;
}

/* A message counts as a request does, where a token says how many there may be. */
static bool may_ask(stream *s)
{
    lmn_token *t = s->l->tokens ? lmn_tokens_find(s->l->tokens, s->r) : NULL;
    return !t || lmn_token_take(t, lmn_now_ns()) == 0;
}

/* A message is whole. */
static void call(stream *s)
{
    lmn_serve_loop *l = s->l;
    char why[LAMINA_ERROR_MSG_BYTES];
    lmn_rpc_code status;
    lmn_version *v = NULL;
    bool read;
    const lmn_span message = {s->message, s->n};
    lmn_repo_see(l->server->repo, &l->view);
    if (may_ask(s))
        v = lmn_rpc_find(l, s->r, message, &status, why);
    else
        (void)lmn_format(why, sizeof why, "this token has asked as often as it may for now");
    lmn_call *c = lmn_call_take(l);
    s->head_n = 0;
    s->n = 0;
    if (!c) {
        fail(s, LMN_RPC_UNAVAILABLE, "out of memory");
        return;
    }
    add_call(s, c);
    if (!v) c->infer.status = lmn_fail(&c->infer.error, LAMINA_E_INVALID, "%s", why);
    if (!v || !lmn_rpc_begin_call(c, s->r, v, message, &read)) c->ready = true;
}

static bool begin_message(stream *s)
{
    const uint32_t n = (uint32_t)s->head[1] << 24 | (uint32_t)s->head[2] << 16 |
                       (uint32_t)s->head[3] << 8 | s->head[4];
    s->want = n;
    if (s->head[0])
        fail(s, LMN_RPC_UNIMPLEMENTED, LMN_RPC_COMPRESSED);
    else if (n > s->l->server->max_body)
        fail(s, LMN_RPC_EXHAUSTED, LMN_RPC_TOO_LARGE);
    else if (!message_room(s, n < FIRST ? n + 1 : FIRST))
        fail(s, LMN_RPC_EXHAUSTED, "no memory is left for this message; try again");
    return !s->over;
}

/* Room for what comes of the message next. */
static bool grow(stream *s)
{
    if (s->n < s->bytes || s->n == s->want) return true;
    if (message_room(s, 2 * s->bytes < s->want ? 2 * s->bytes : s->want)) return true;
    fail(s, LMN_RPC_EXHAUSTED, "no memory is left for this message; try again");
    return false;
}

static void read_in(stream *s, lmn_span in)
{
    while (!s->over && (in.n || s->head_n == LMN_RPC_HEAD)) {
        if (s->head_n < LMN_RPC_HEAD) {
            s->head[s->head_n++] = *in.p++;
            in.n--;
            if (s->head_n == LMN_RPC_HEAD && !begin_message(s)) return;
            continue;
        }
        if (!grow(s)) return;
        size_t k = s->want - s->n;
        if (k > s->bytes - s->n) k = s->bytes - s->n;
        if (k > in.n) k = in.n;
        if (k) { /* an end of the body has no address */
            memcpy(s->message + s->n, in.p, k);
            in.p += k;
        }
        s->n += k;
        in.n -= k;
        if (s->n == s->want)
            call(s);
        else if (!in.n)
            return;
    }
}

static void part(void *ctx, lmn_http_request *r, lmn_span bytes, bool last)
{
    stream *s = ctx;
    (void)r;
    s->owed += bytes.n;
    if (!s->over) read_in(s, bytes);
    if (last && !s->over) {
        s->over = true;
        if (s->head_n) fail(s, LMN_RPC_INTERNAL, "the stream ended within a message");
    }
    go_on(s);
}

void lmn_rpc_stream_open(lmn_serve_loop *l, lmn_http_request *r)
{
    const lmn_http_answer a = {.status = 200, .content_type = "application/grpc"};
    stream *s = lmn_calloc(l->server->alloc, 1, sizeof *s, "serve stream");
    if (!s) {
        lmn_rpc_fail(l, r, LMN_ROUTE_INFER, LMN_RPC_UNAVAILABLE, "out of memory");
        return;
    }
    s->l = l;
    s->r = r;
    lmn_http_body_parts(r, part, s);
    (void)lmn_http_stream_begin(r, &a, OUT_MOST);
}
