/*
 * HTTP/2 by libnghttp2 (RFC 9113, 7541), behind the table of http/h2.h. nghttp2 runs as a pure
 * state machine: bytes in, bytes out, all memory through the allocator of the session. It checks
 * frames, header blocks and HTTP messaging; windows move only by `consumed`.
 */
#include "http/h2.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <string.h>

#define TAG "http h2"
#define HEAD 16u         /* before each block: its size, and who is next in limbo */
#define MAX_FIELDS 64u   /* of an answer */
#define MAX_PENDING 100u /* answers to PING and SETTINGS that nobody reads */

struct lmn_h2_session {
    nghttp2_session *session;
    const lmn_h2_events *events;
    void *ctx;
    lamina_allocator alloc;
    nghttp2_mem mem;
    void *limbo; /* blocks given back by a call that is not over, or that failed */
    bool inside; /* a call of nghttp2 that may fail, or nothing is given back any more */
    bool failed; /* for want of memory: the session is at its end */
    bool trailed;
};

/* ---- memory ---- */

static void *take(size_t n, void *user)
{
    const lmn_h2_session *s = user;
    if (n > SIZE_MAX - HEAD) return NULL;
    uint8_t *p = s->alloc.alloc(s->alloc.ctx, n + HEAD, HEAD, TAG);
    if (!p) return NULL;
    memset(p, 0, HEAD);
    memcpy(p, &n, sizeof n);
    return p + HEAD;
}

static void *next_of(const uint8_t *p)
{
    void *next;
    memcpy(&next, p + sizeof(size_t), sizeof next);
    return next;
}

static void give_now(lmn_h2_session *s, uint8_t *p)
{
    size_t n;
    memcpy(&n, p, sizeof n);
    s->alloc.free(s->alloc.ctx, p, n + HEAD, HEAD, TAG);
}

/*
 * Out of memory, nghttp2 1.52 gives back what it attached to a stream (submit_data and its kin) and
 * leaves it attached, so that the end of the session reads it and gives it back again. So what a
 * call gives back waits until the call is over; where one failed, until the session is.
 */
static void give(void *ptr, void *user)
{
    lmn_h2_session *s = user;
    if (!ptr) return;
    uint8_t *p = (uint8_t *)ptr - HEAD;
    if (next_of(p)) return; /* waits already */
    if (!s->inside) {
        give_now(s, p);
        return;
    }
    void *next = s->limbo ? s->limbo : s; /* the last one's is not NULL either */
    memcpy(p + sizeof(size_t), &next, sizeof next);
    s->limbo = p;
}

static void empty_limbo(lmn_h2_session *s)
{
    while (s->limbo) {
        uint8_t *p = s->limbo;
        void *next = next_of(p);
        s->limbo = next == s ? NULL : next;
        give_now(s, p);
    }
}

/* Around calls that may run out of memory, which callbacks make inside of others too. */
static bool go_in(lmn_h2_session *s)
{
    const bool was = s->inside;
    s->inside = true;
    return was;
}

/* code: what the call said. */
static int64_t come_out(lmn_h2_session *s, bool was, int64_t code)
{
    s->failed |= code == NGHTTP2_ERR_NOMEM;
    s->inside = was || s->failed;
    if (!s->inside) empty_limbo(s);
    return code;
}

static void *take_zeroed(size_t n, size_t bytes, void *user)
{
    if (bytes && n > SIZE_MAX / bytes) return NULL;
    void *p = take(n * bytes, user);
    if (p) memset(p, 0, n * bytes);
    return p;
}

static void *retake(void *ptr, size_t n, void *user)
{
    size_t before = 0;
    void *p = take(n, user);
    if (!p) return NULL;
    if (ptr) {
        memcpy(&before, (uint8_t *)ptr - HEAD, sizeof before);
        memcpy(p, ptr, before < n ? before : n);
        give(ptr, user);
    }
    return p;
}

/* ---- what comes ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    const lmn_h2_session *s = user;
    const int32_t id = f->hd.stream_id;
    if (f->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    void *stream = s->events->begin(s->ctx, id);
    if (stream) {
        (void)nghttp2_session_set_stream_user_data(session, id, stream);
        return 0;
    }
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM)
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    const lmn_h2_session *s = user;
    (void)flags;
    if (f->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    void *stream = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
    if (stream)
        s->events->field(s->ctx, stream, (lmn_span){name, name_n}, (lmn_span){value, value_n});
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    const lmn_h2_session *s = user;
    if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) return 0;
    void *stream = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
    const bool last = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (!stream) return 0;
    if (f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST)
        s->events->head(s->ctx, stream, last);
    else if (last)
        s->events->end(s->ctx, stream);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *user)
{
    const lmn_h2_session *s = user;
    void *stream = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    if (stream)
        s->events->data(s->ctx, stream, (lmn_span){p, n});
    else if (nghttp2_session_consume_connection(session, n))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    const lmn_h2_session *s = user;
    void *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream) s->events->closed(s->ctx, stream, code);
    return 0;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    const lmn_h2_session *s = user;
    lmn_h2_control what = LMN_H2_OTHER;
    (void)session;
    switch (hd->type) {
    case NGHTTP2_HEADERS: return 0;
    case NGHTTP2_DATA:
        if (hd->length || (hd->flags & NGHTTP2_FLAG_END_STREAM)) return 0;
        what = LMN_H2_EMPTY;
        break;
    case NGHTTP2_RST_STREAM: what = LMN_H2_RESET; break;
    case NGHTTP2_PING: what = LMN_H2_PING; break;
    case NGHTTP2_SETTINGS: what = LMN_H2_SETTINGS; break;
    case NGHTTP2_WINDOW_UPDATE: what = LMN_H2_WINDOW; break;
    case NGHTTP2_CONTINUATION: what = LMN_H2_CONTINUATION; break;
    default: break;
    }
    s->events->control(s->ctx, what);
    return 0;
}

/* What makes us reset a stream costs as much as a reset that came. */
static int on_invalid(nghttp2_session *session, const nghttp2_frame *f, int code, void *user)
{
    const lmn_h2_session *s = user;
    (void)session;
    (void)f;
    (void)code;
    s->events->control(s->ctx, LMN_H2_RESET);
    return 0;
}

/* ---- what leaves ---- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t most,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    lmn_h2_session *s = user;
    bool last = false;
    (void)buf;
    (void)source;
    void *stream = nghttp2_session_get_stream_user_data(session, id);
    if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    s->trailed = false;
    const size_t n = s->events->ready_body(s->ctx, stream, most, &last);
    if (n == 0 && !last) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->trailed) *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return (ssize_t)n;
}

static int send_data(nghttp2_session *session, nghttp2_frame *f, const uint8_t *head, size_t n,
                     nghttp2_data_source *source, void *user)
{
    const lmn_h2_session *s = user;
    (void)source;
    void *stream = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
    if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return s->events->send_body(s->ctx, stream, head, n) ? 0 : NGHTTP2_ERR_WOULDBLOCK;
}

static uint32_t convert(const lmn_http_field *fields, uint32_t n, nghttp2_nv nv[MAX_FIELDS])
{
    if (n > MAX_FIELDS) return 0;
    for (uint32_t i = 0; i < n; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields[i].name.p,
                             (uint8_t *)(uintptr_t)fields[i].value.p, fields[i].name.n,
                             fields[i].value.n, NGHTTP2_NV_FLAG_NONE};
    return n;
}

static lamina_status status_of(int64_t code)
{
    if (code == 0) return LAMINA_OK;
    return code == NGHTTP2_ERR_NOMEM ? LAMINA_E_NOMEM : LAMINA_E_CLOSED;
}

static lamina_status answer(lmn_h2_session *s, int32_t id, const lmn_http_field *fields, uint32_t n,
                            bool body)
{
    nghttp2_nv nv[MAX_FIELDS];
    const nghttp2_data_provider provider = {.read_callback = read_body};
    if (!convert(fields, n, nv)) return LAMINA_E_LIMIT;
    const bool was = go_in(s);
    const int code = nghttp2_submit_response(s->session, id, nv, n, body ? &provider : NULL);
    return status_of(come_out(s, was, code));
}

static lamina_status trailers(lmn_h2_session *s, int32_t id, const lmn_http_field *fields,
                              uint32_t n)
{
    nghttp2_nv nv[MAX_FIELDS];
    if (!convert(fields, n, nv)) return LAMINA_E_LIMIT;
    const bool was = go_in(s);
    const int64_t code = come_out(s, was, nghttp2_submit_trailer(s->session, id, nv, n));
    if (code == 0) s->trailed = true;
    return status_of(code);
}

/* ---- sessions ---- */

static int set_callbacks(nghttp2_session_callbacks **out)
{
    const int code = nghttp2_session_callbacks_new(out);
    if (code) return code;
    nghttp2_session_callbacks *c = *out;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid);
    nghttp2_session_callbacks_set_send_data_callback(c, send_data);
    return 0;
}

static int open_session(lmn_h2_session *s, const lmn_h2_settings *settings)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *options = NULL;
    int code = set_callbacks(&callbacks);
    if (code == 0) code = nghttp2_option_new(&options);
    if (code == 0) {
        nghttp2_option_set_no_auto_window_update(options, 1);
        nghttp2_option_set_no_closed_streams(options, 1);
        nghttp2_option_set_max_outbound_ack(options, MAX_PENDING);
        s->mem = (nghttp2_mem){s, take, give, take_zeroed, retake};
        code = nghttp2_session_server_new3(&s->session, callbacks, s, options, &s->mem);
    }
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    if (code) return code;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings->n_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, settings->header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    code = nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, entries,
                                   sizeof entries / sizeof *entries);
    if (code) return code;
    return nghttp2_session_set_local_window_size(s->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)settings->connection_window);
}

static void destroy(lmn_h2_session *s)
{
    const lamina_allocator alloc = s->alloc;
    nghttp2_session_del(s->session);
    empty_limbo(s);
    alloc.free(alloc.ctx, s, sizeof *s, 16, TAG);
}

static lamina_status create(const lamina_allocator *alloc, const lmn_h2_settings *settings,
                            const lmn_h2_events *events, void *ctx, lmn_h2_session **out)
{
    lmn_h2_session *s = alloc->alloc(alloc->ctx, sizeof *s, 16, TAG);
    if (!s) return LAMINA_E_NOMEM;
    *s = (lmn_h2_session){.events = events, .ctx = ctx, .alloc = *alloc};
    if (open_session(s, settings)) {
        destroy(s);
        return LAMINA_E_NOMEM;
    }
    *out = s;
    return LAMINA_OK;
}

static bool feed(lmn_h2_session *s, lmn_span bytes)
{
    const bool was = go_in(s);
    const ssize_t n = nghttp2_session_mem_recv(s->session, bytes.p, bytes.n);
    int code = n < 0 ? (int)n : 0;
    if (n == NGHTTP2_ERR_FLOODED)
        code = nghttp2_session_terminate_session(s->session, NGHTTP2_ENHANCE_YOUR_CALM);
    (void)come_out(s, was, code);
    return n >= 0;
}

static int64_t next(lmn_h2_session *s, const uint8_t **p)
{
    const bool was = go_in(s);
    return come_out(s, was, nghttp2_session_mem_send(s->session, p));
}

static void resume(lmn_h2_session *s, int32_t id)
{
    const bool was = go_in(s);
    (void)come_out(s, was, nghttp2_session_resume_data(s->session, id));
}

static void reset(lmn_h2_session *s, int32_t id, uint32_t code)
{
    const bool was = go_in(s);
    (void)come_out(s, was, nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, id, code));
}

static void consumed(lmn_h2_session *s, int32_t id, size_t n)
{
    const bool was = go_in(s);
    (void)come_out(s, was,
                   id ? nghttp2_session_consume(s->session, id, n)
                      : nghttp2_session_consume_connection(s->session, n));
}

static void go_away(lmn_h2_session *s, uint32_t code)
{
    const bool was = go_in(s);
    const int32_t last = nghttp2_session_get_last_proc_stream_id(s->session);
    (void)come_out(s, was,
                   code == LMN_H2_NO_ERROR
                       ? nghttp2_submit_goaway(s->session, NGHTTP2_FLAG_NONE, last, code, NULL, 0)
                       : nghttp2_session_terminate_session(s->session, code));
}

static bool over(const lmn_h2_session *s)
{
    return s->failed ||
           (!nghttp2_session_want_read(s->session) && !nghttp2_session_want_write(s->session));
}

extern const lmn_h2_table lamina_h2_plugin;
__attribute__((visibility("default")))
const lmn_h2_table lamina_h2_plugin = {.plugin = {LMN_H2_VERSION, sizeof(lmn_h2_table)},
                                       .name = "nghttp2 " NGHTTP2_VERSION,
                                       .create = create,
                                       .destroy = destroy,
                                       .feed = feed,
                                       .next = next,
                                       .answer = answer,
                                       .trailers = trailers,
                                       .resume = resume,
                                       .reset = reset,
                                       .consumed = consumed,
                                       .go_away = go_away,
                                       .over = over};
