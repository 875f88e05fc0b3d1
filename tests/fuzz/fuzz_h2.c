/*
 * Fuzz target: HTTP/2 frames at a real connection: socket, loop, session of the plug-in, streams,
 * answers of every kind. Four bytes say how (what is fed at once, which allocation fails, whether
 * the client reads, limits, how it ends); then frames, or bytes as they are.
 *
 * Checked: every request is answered once and every piece released once; what the server sends are
 * frames, none of a stream that it has ended; all memory comes back, also when some was refused.
 */
#include "http/h2.h"
#include "http/http_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUIRE(c)                                                  \
    do {                                                            \
        if (!(c)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); \
            abort();                                                \
        }                                                           \
    } while (0)

extern const lmn_h2_table lamina_h2_plugin;

enum { MOST = 128 << 10, HELD = 4096, BIG = 40000 };

enum { RAW = 1, DEAF = 2, SMALL = 4, DRAIN = 8, CUT = 16, TINY_SOCKET = 32 };

typedef struct held {
    lmn_http_request *r; /* NULL: free */
    bool parts, over;    /* its body comes in parts; all of them are there */
    uint64_t due;        /* turn in which it is answered */
} held;

typedef struct world {
    lmn_http_loop *loop;
    int client, fails_at;
    uint8_t how, delay;
    size_t step, at, n; /* input, and how much of it the next piece is */
    unsigned pieces;
    const uint8_t *in;
    uint64_t turns, quiet;
    held held[HELD];
    uint32_t n_held;
    size_t n_given, n_released, blocks;
    /* what the server said */
    uint8_t frame[9];
    size_t frame_n, skip;
    bool ended[1 << 16];
} world;

static uint8_t big[BIG];

/* ---- memory ---- */

static void *take(void *ctx, size_t bytes, size_t align, const char *tag)
{
    world *w = ctx;
    (void)tag;
    if (w->fails_at && --w->fails_at == 0) return NULL;
    w->blocks++;
    if (align < sizeof(void *)) align = sizeof(void *);
    return aligned_alloc(align, (bytes + align - 1) / align * align + (bytes ? 0 : align));
}

static void give(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    world *w = ctx;
    (void)bytes, (void)align, (void)tag;
    if (!p) return;
    REQUIRE(w->blocks-- > 0);
    free(p);
}

/* ---- the handler ---- */

static void released(void *ctx, lmn_span bytes)
{
    world *w = ctx;
    (void)bytes;
    REQUIRE(w->n_released++ < w->n_given);
}

static lmn_span text(const char *s)
{
    return (lmn_span){(const uint8_t *)s, strlen(s)};
}

static char kind_of(const lmn_http_request *r)
{
    return r->path.n > 1 ? (char)r->path.p[1] : 'e';
}

static void answer(world *w, lmn_http_request *r)
{
    const lmn_http_field trailers[2] = {{text("grpc-status"), text("0")}, {text("x"), text("y")}};
    const char kind = kind_of(r);
    lmn_http_piece pieces[3] = {
        {r->body, released, w}, {{big, BIG}, released, w}, {{big, 900}, released, w}};
    const bool lends = kind == 'b' || kind == 'T';
    const lmn_http_answer a = {.status = kind == 'n' ? 204 : 200,
                               .content_type = "text/plain",
                               .fields = trailers,
                               .n_fields = kind == 'f' ? 2 : 0,
                               .pieces = pieces,
                               .n_pieces = lends ? 3 : 1,
                               .close = kind == 'c',
                               .trailers = trailers,
                               .n_trailers = kind == 't' || kind == 'T' ? 2 : 0};
    for (size_t i = 0; i < r->body.n; i++) big[0] ^= r->body.p[i]; /* all of it can be read */
    w->n_given += a.n_pieces;
    lmn_http_reply(r, &a);
}

static void stream(lmn_http_request *r)
{
    const lmn_http_field trailer = {text("grpc-status"), text("0")};
    const lmn_http_answer a = {.status = 200};
    lamina_status st = lmn_http_stream_begin(r, &a, 60000);
    for (int i = 0; i < 9 && st == LAMINA_OK; i++)
        st = lmn_http_stream_write(r, (lmn_span){big, i % 2 ? 7 : 9000});
    if (kind_of(r) != 's') lmn_http_stream_trailers(r, &trailer, 1);
    lmn_http_stream_end(r);
}

static held *hold(world *w, lmn_http_request *r)
{
    held *h = w->held;
    REQUIRE(w->n_held < HELD);
    while (h->r) h++;
    *h = (held){.r = r, .due = w->turns + w->delay % 8};
    w->n_held++;
    return h;
}

static void let_go(world *w, held *h)
{
    h->r = NULL;
    w->n_held--;
}

static void part(void *ctx, lmn_http_request *r, lmn_span bytes, bool last)
{
    world *w = ctx;
    held *h = w->held;
    while (h->r != r) REQUIRE(++h < w->held + HELD);
    REQUIRE(h->parts && !h->over);
    if (bytes.n) (void)lmn_http_stream_write(r, bytes);
    if (w->delay & 16)
        lmn_http_body_took(r, bytes.n / 2);
    else
        lmn_http_body_took(r, bytes.n);
    if (!last) lmn_http_body_owed(r, w->delay & 64);
    h->over = last;
    if (!last || (w->delay & 32)) return; /* the end comes later */
    let_go(w, h);
    lmn_http_stream_end(r);
}

static uint64_t on_head(void *ctx, lmn_http_request *r)
{
    world *w = ctx;
    const lmn_http_answer no = {.status = 401}, yes = {.status = 200};
    switch (kind_of(r)) {
    case 'h': lmn_http_reply(r, &no); return 0;
    case 'p':
        hold(w, r)->parts = true;
        lmn_http_body_parts(r, part, w);
        (void)lmn_http_stream_begin(r, &yes, 100000);
        return 0;
    case 'w': return 10;
    default: return UINT64_MAX;
    }
}

static void on_request(void *ctx, lmn_http_request *r)
{
    world *w = ctx;
    switch (kind_of(r)) {
    case 's':
    case 'S': stream(r); break;
    case 'l': (void)hold(w, r); break;
    default: answer(w, r);
    }
}

static void answer_held(world *w, bool all)
{
    for (held *h = w->held; w->n_held && h < w->held + HELD; h++) {
        lmn_http_request *r = h->r;
        if (!r || (!all && h->due > w->turns) || (!all && h->parts && !h->over)) continue;
        const bool parts = h->parts;
        let_go(w, h);
        if (parts)
            lmn_http_stream_end(r);
        else
            answer(w, r);
    }
}

/* ---- the client ---- */

static void judge_frame(world *w)
{
    const uint8_t *f = w->frame;
    const size_t n = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
    const uint32_t id = ((uint32_t)f[5] << 24 | (uint32_t)f[6] << 16 | (uint32_t)f[7] << 8 | f[8]);
    if (memcmp(f, "HTTP/1.1 ", 9) == 0) { /* there was no memory to begin with */
        w->skip = SIZE_MAX;
        return;
    }
    REQUIRE(n <= 16384 && f[3] <= 9 && id <= INT32_MAX && (id == 0 || id % 2 == 1));
    w->skip = n;
    if (f[3] > 1 || id >= 1 << 16) return;
    REQUIRE(id && !w->ended[id]);
    if (f[4] & 1) w->ended[id] = true;
}

static void judge(world *w, const uint8_t *p, size_t n)
{
    while (n) {
        if (w->skip) {
            const size_t k = n < w->skip ? n : w->skip;
            w->skip -= k;
            p += k;
            n -= k;
            continue;
        }
        w->frame[w->frame_n++] = *p++;
        n--;
        if (w->frame_n < 9) continue;
        w->frame_n = 0;
        judge_frame(w);
    }
}

static bool hear(world *w)
{
    static uint8_t buf[65536];
    bool any = false;
    ssize_t n;
    if ((w->how & DEAF) && w->at < w->n) return false;
    while ((n = recv(w->client, buf, sizeof buf, MSG_DONTWAIT)) > 0) {
        any = true;
        if (!(w->how & RAW)) judge(w, buf, (size_t)n);
    }
    return any;
}

/* As much as is to be sent at once; false: all was said. Pieces double every 64: what is split byte
 * by byte is the beginning, and no input takes more than 768 turns to say. */
static bool say(world *w)
{
    if (w->at && ++w->pieces % 64 == 0) w->step *= 2;
    const size_t left = w->n - w->at, n = left < w->step ? left : w->step;
    if (!left) return false;
    const ssize_t k = send(w->client, w->in + w->at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (k > 0) w->at += (size_t)k;
    if (k < 0 && w->quiet > 20) w->at = w->n; /* the server is not going to read it */
    return true;
}

static uint64_t on_turn(void *ctx, lmn_http_loop *loop, void *user)
{
    world *w = ctx;
    (void)user;
    w->turns++;
    const size_t at = w->at;
    const bool heard = hear(w), more = say(w);
    w->quiet = heard || w->at != at ? 0 : w->quiet + 1;
    answer_held(w, false);
    if ((w->how & DRAIN) && w->at > w->n / 2) lmn_atomic_store(&loop->drain, 1, relaxed);
    if ((!more && w->quiet == 3) || w->turns > 20000) {
        if (w->how & CUT)
            (void)close(w->client), w->client = -1;
        else
            (void)shutdown(w->client, SHUT_WR);
    }
    if (w->quiet > 6 && !more) {
        answer_held(w, true);
        lmn_atomic_store(&loop->stop, 1, relaxed);
    }
    return 0;
}

/* ---- input ---- */

/* Heads of requests, indexed as a client would: method, scheme, path, authority. */
static size_t put_head(uint8_t *out, uint8_t which)
{
    static const char PATHS[] = "eblsSpthTncfw";
    const char path[2] = {'/', PATHS[which % (sizeof PATHS - 1)]};
    size_t n = 0;
    out[n++] = which & 128 ? 0x82 : 0x83; /* GET, POST */
    out[n++] = 0x86;                      /* http */
    out[n++] = 0x04;
    out[n++] = 2;
    memcpy(out + n, path, 2);
    n += 2;
    out[n++] = 0x41;
    out[n++] = 1;
    out[n++] = 'a';
    return n;
}

/* Records of kind, flags, stream, length (in bytes, twice those from 128 on as 64s) and payload
 * into frames with true lengths. Kinds from 16 on: a whole head; from 32 on: DATA of many bytes. */
static size_t make_frames(const uint8_t *p, size_t n, uint8_t *out)
{
    size_t o = 0;
    while (n >= 4 && o + 70000 < MOST) {
        const uint8_t kind = p[0], flags = p[1], id = p[2];
        size_t want = p[3], k;
        p += 4;
        n -= 4;
        uint8_t *head = out + o;
        o += 9;
        k = want < n ? want : n;
        if (kind >= 64) {
            want = (size_t)kind * 67;
            memset(out + o, (int)flags, want);
            o += want;
        } else if (kind >= 16) {
            want = put_head(out + o, p[-1]);
            o += want;
        } else {
            memcpy(out + o, p, k);
            o += k;
            p += k;
            n -= k;
            want = k;
        }
        head[0] = (uint8_t)(want >> 16);
        head[1] = (uint8_t)(want >> 8);
        head[2] = (uint8_t)want;
        head[3] = kind >= 64 ? 0 : kind >= 16 ? 1 : kind;
        head[4] = kind >= 64 ? id & 1 : kind >= 16 ? (uint8_t)(flags | 4) : flags;
        head[5] = head[6] = 0;
        head[7] = id >> 7;
        head[8] = (uint8_t)(id << 1 | 1);
        if (kind < 16 && (kind == 4 || kind == 6 || kind == 7)) head[7] = head[8] = 0;
        if (kind == 8 && !(id & 63)) head[7] = head[8] = 0;
    }
    return o;
}

static int listener(void)
{
    static int fd = -1;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (fd >= 0) return fd;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a.sun_family) == 0);
    REQUIRE(listen(fd, 8) == 0);
    return fd;
}

static int connected(int to, bool tiny)
{
    struct sockaddr_un a;
    socklen_t n = sizeof a;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), bytes = 2048;
    REQUIRE(fd >= 0 && getsockname(to, (struct sockaddr *)&a, &n) == 0);
    if (tiny) (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    REQUIRE(connect(fd, (struct sockaddr *)&a, n) == 0);
    return fd;
}

static void serve(world *w)
{
    const lmn_http_limits limits = {.line_bytes = w->how & SMALL ? 200 : 8192,
                                    .header_bytes = w->how & SMALL ? 600 : 32768,
                                    .n_fields = w->how & SMALL ? 20 : 100,
                                    .body_bytes = w->how & SMALL ? 5000 : 1 << 20,
                                    .n_chunks = 100,
                                    .n_connections = 10,
                                    .buffer_bytes = w->how & SMALL ? 1 << 19 : 1 << 24,
                                    .header_ns = UINT64_C(10000000000),
                                    .idle_ns = UINT64_C(10000000000),
                                    .stall_ns = UINT64_C(10000000000)};
    const lmn_http_handler handler = {
        .ctx = w, .head = on_head, .request = on_request, .turn = on_turn};
    lmn_http_server s = {.handler = &handler, .h2 = &lamina_h2_plugin, .n_loops = 1, .n_listen = 1};
    lmn_http_door door = {.shared = listener()};
    const int fails_at = w->fails_at;
    s.alloc = (lamina_allocator){LAMINA_ALLOCATOR_ABI, w, take, give};
    s.doors = &door;
    lmn_atomic_init(&s.n_accepting, 2); /* so that a drain leaves the listener open */
    w->fails_at = 0;
    REQUIRE(lmn_http_loop_open(&s, &limits, &w->loop, NULL) == LAMINA_OK);
    w->client = connected(listener(), w->how & TINY_SOCKET);
    w->fails_at = fails_at;
    (void)lmn_http_loop_main(w->loop);
    lmn_http_loop_close(w->loop);
    if (w->client >= 0) (void)close(w->client);
    const int left = accept(listener(), NULL, NULL); /* what it had no memory for */
    if (left >= 0) (void)close(left);
    REQUIRE(w->n_held == 0 && w->n_released == w->n_given && w->blocks == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    /* preface and SETTINGS; the end of the text is the last byte of these */
    static const char BEGIN[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    static uint8_t in[MOST];
    if (n < 4 || n > MOST / 2) return 0;
    world *w = calloc(1, sizeof *w);
    REQUIRE(w);
    size_t k = sizeof BEGIN;
    memcpy(in, BEGIN, k);
    w->how = data[0];
    w->step = data[1] < 128 ? MOST : (size_t)(data[1] - 127) * (data[1] - 127);
    w->fails_at = data[2];
    w->delay = data[3];
    if (w->how & RAW) {
        memcpy(in + k, data + 4, n - 4);
        k += n - 4;
    } else {
        k += make_frames(data + 4, n - 4, in + k);
    }
    w->in = in;
    w->n = k;
    serve(w);
    free(w);
    return 0;
}
