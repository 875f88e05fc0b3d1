/*
 * The table between the http room and whoever knows HTTP/2 frames and HPACK: a state machine
 * without I/O, clock or threads, which the plug-in "h2" brings (http/http_plugin.h). A session is
 * one connection, seen from the server; what happens on it is told while bytes are fed.
 *
 * The plug-in refuses what HTTP/2 forbids (malformed frames, header blocks, pseudo-fields, bodies
 * of another length than announced). How much of anything is fine is decided here, by budgets.
 */
#ifndef LMN_HTTP_H2_H
#define LMN_HTTP_H2_H

#include "base/error.h"
#include "http/http.h"
#include "http/http_plugin.h"

#define LMN_H2_VERSION 1u

/* Codes of RST_STREAM and GOAWAY that are used here. */
enum {
    LMN_H2_NO_ERROR = 0,
    LMN_H2_INTERNAL = 2,
    LMN_H2_REFUSED = 7, /* nothing was done: try again */
    LMN_H2_CANCEL = 8,
    LMN_H2_CALM = 11
};

/* Frames that the other side may send as it likes, for budgets. */
typedef enum lmn_h2_control {
    LMN_H2_RESET,
    LMN_H2_PING,
    LMN_H2_SETTINGS,
    LMN_H2_WINDOW,
    LMN_H2_CONTINUATION,
    LMN_H2_EMPTY, /* DATA of no bytes that ends nothing */
    LMN_H2_OTHER  /* PRIORITY, unknown ones ... */
} lmn_h2_control;

/* Told during `feed`; `stream` is what `begin` gave. None may feed. */
typedef struct lmn_h2_events {
    /* A header block of a new request begins. NULL: the stream is refused. */
    void *(*begin)(void *ctx, int32_t id);
    void (*field)(void *ctx, void *stream, lmn_span name, lmn_span value);
    /* The head is complete; `last`: so is the request, no `end` is told. */
    void (*head)(void *ctx, void *stream, bool last);
    /* Bytes of a body. They use up windows until `consumed`. */
    void (*data)(void *ctx, void *stream, lmn_span bytes);
    void (*end)(void *ctx, void *stream);
    /* The stream is over, for whatever reason; it is not named again. Told during `next`, too, but
     * not by `destroy`. */
    void (*closed)(void *ctx, void *stream, uint32_t code);
    void (*control)(void *ctx, lmn_h2_control what);
    /* Told during `next`: n bytes of the stream's body go out behind this frame head. False: not
     * now, ask again at the following `next`. */
    bool (*send_body)(void *ctx, void *stream, const uint8_t head[9], size_t n);
    /* How many bytes of its body can go now, at most `most`; 0 with *last false: none yet, `resume`
     * tells of more. *last: nothing follows them. */
    size_t (*ready_body)(void *ctx, void *stream, size_t most, bool *last);
} lmn_h2_events;

typedef struct lmn_h2_settings {
    uint32_t n_streams;         /* at once */
    uint32_t header_bytes;      /* announced; the events count for themselves */
    uint32_t stream_window;     /* bytes of a body that may be on their way */
    uint32_t connection_window; /* ... of all bodies */
} lmn_h2_settings;

typedef struct lmn_h2_session lmn_h2_session;

typedef struct lmn_h2_table {
    lmn_http_plugin_head plugin; /* LMN_H2_VERSION */
    const char *name;            /* of the library behind it, with its version */
    /* All memory by alloc; E_NOMEM. `events` and `alloc` outlive the session. */
    lamina_status (*create)(const lamina_allocator *alloc, const lmn_h2_settings *settings,
                            const lmn_h2_events *events, void *ctx, lmn_h2_session **out);
    void (*destroy)(lmn_h2_session *s);
    /* All of the bytes are read. False: the connection is beyond repair; what `next` still gives
     * (a GOAWAY) is the last of it. */
    bool (*feed)(lmn_h2_session *s, lmn_span bytes);
    /* Bytes to be sent, valid until the following call; 0: none now; negative: broken. */
    int64_t (*next)(lmn_h2_session *s, const uint8_t **p);
    /* The head of an answer, ":status" first, names in lower case; `body`: asked for by ready_body.
     * Fields are copied. */
    lamina_status (*answer)(lmn_h2_session *s, int32_t id, const lmn_http_field *fields, uint32_t n,
                            bool body);
    /* Fields behind the body: only from within a ready_body that says *last. */
    lamina_status (*trailers)(lmn_h2_session *s, int32_t id, const lmn_http_field *fields,
                              uint32_t n);
    void (*resume)(lmn_h2_session *s, int32_t id);
    void (*reset)(lmn_h2_session *s, int32_t id, uint32_t code);
    /* n bytes of a body (id 0: of the connection alone) make room for others. */
    void (*consumed)(lmn_h2_session *s, int32_t id, size_t n);
    /* Take no new streams; those there are go on. */
    void (*go_away)(lmn_h2_session *s, uint32_t code);
    /* Nothing more will be read or written. */
    bool (*over)(const lmn_h2_session *s);
} lmn_h2_table;

#endif
