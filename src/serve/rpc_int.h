/*
 * The inside of gRPC: codes, frames and endings, and what its files offer each other. A call of one
 * message is a request like any other; a stream of calls (ModelStreamInfer) is read as it comes and
 * answered in the order of its messages.
 */
#ifndef LMN_SERVE_RPC_INT_H
#define LMN_SERVE_RPC_INT_H

#include "serve/grpc_codec.h"
#include "serve/grpc_json.h"
#include "serve/server_int.h"

#define LMN_RPC_HEAD 5u /* of a frame: compressed, and four bytes of length */

typedef enum lmn_rpc_code {
    LMN_RPC_OK = 0,
    LMN_RPC_CANCELLED = 1,
    LMN_RPC_INVALID = 3,
    LMN_RPC_DEADLINE = 4,
    LMN_RPC_NOT_FOUND = 5,
    LMN_RPC_FORBIDDEN = 7,
    LMN_RPC_EXHAUSTED = 8,
    LMN_RPC_UNIMPLEMENTED = 12,
    LMN_RPC_INTERNAL = 13,
    LMN_RPC_UNAVAILABLE = 14,
    LMN_RPC_UNKNOWN_CALLER = 16
} lmn_rpc_code;

static const char LMN_RPC_COMPRESSED[] = "compressed messages are not taken: send them as they are";
static const char LMN_RPC_TOO_LARGE[] = "the message is larger than is accepted";

/* rpc_answer.c */
/* Fields behind the last message. */
typedef struct lmn_rpc_ending {
    char number[4], message[1024];
    lmn_http_field fields[2];
    uint32_t n;
} lmn_rpc_ending;
void lmn_rpc_end(lmn_rpc_ending *e, lmn_rpc_code c, const char *why);
uint32_t lmn_rpc_http(lmn_rpc_code c); /* what it is counted as */
/* How a request went; read: it could not be read. */
lmn_rpc_code lmn_rpc_code_of(const lmn_infer *r, bool read);
static inline void lmn_rpc_frame(uint8_t out[LMN_RPC_HEAD], size_t n)
{
    out[0] = 0;
    for (int i = 0; i < 4; i++) out[1 + i] = (uint8_t)(n >> (24 - 8 * i));
}
/* No message, and why. */
void lmn_rpc_fail(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, lmn_rpc_code c,
                  const char *why);
/* A message of a few bytes. */
void lmn_rpc_say(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, lmn_span message);
/* ... that lies in an arena; st: whether it could be written. */
void lmn_rpc_say_copy(lmn_serve_loop *l, lmn_http_request *r, lmn_route route, lamina_status st,
                      lmn_span message);

/* rpc_infer.c */
/* The version that a message of r is about; NULL: *c and *why say why not. */
lmn_version *lmn_rpc_find(lmn_serve_loop *l, const lmn_http_request *r, lmn_span message,
                          lmn_rpc_code *c, char why[LAMINA_ERROR_MSG_BYTES]);
/* Read the message into c and hand it to its model. False: c says why not; *read: it was read. */
bool lmn_rpc_begin_call(lmn_call *c, lmn_http_request *r, lmn_version *v, lmn_span message,
                        bool *read);
/* The answer as pieces behind the first, which is kept free for heads; all bytes of them. */
bool lmn_rpc_write_answer(lmn_call *c, lmn_span pieces[1 + LMN_GRPC_MAX_PIECES], uint32_t *n,
                          size_t *bytes);
void lmn_rpc_infer(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);

/* rpc_admin.c, rpc_settings.c: methods */
void lmn_rpc_model_config(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
void lmn_rpc_model_statistics(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
void lmn_rpc_index(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
void lmn_rpc_load(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
void lmn_rpc_unload(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
void lmn_rpc_trace_setting(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
void lmn_rpc_log_settings(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);

/* The loop's text, JSON of m, as a message: field `number` of it, 0: its fields alone. */
void lmn_rpc_say_text(lmn_serve_loop *l, lmn_http_request *r, lmn_route route,
                      const lmn_grpc_message *m, uint32_t number);

/* rpc_lent.c: methods of system shared memory */
void lmn_rpc_lent_status(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
void lmn_rpc_lent_register(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);
void lmn_rpc_lent_unregister(lmn_serve_loop *l, lmn_http_request *r, lmn_span message);

/* rpc_stream.c */
void lmn_rpc_stream_open(lmn_serve_loop *l, lmn_http_request *r);
/* One of its calls is done. */
void lmn_rpc_stream_ready(lmn_call *c);

#endif
