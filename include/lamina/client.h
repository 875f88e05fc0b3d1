/*
 * lamina/client.h - a client for model servers: one connection to an HTTP/1.1 server, which is
 * opened again when the server has closed it. With TLS where the address says https.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_CLIENT_H
#define LAMINA_CLIENT_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A connection to a server. */
typedef struct lamina_client lamina_client;

/* How to talk to it. Set `size`, leave zero what is to be the default. Append only. */
typedef struct lamina_client_opts {
    size_t size;               /* sizeof(lamina_client_opts) */
    double timeout_s;          /* of a call, connecting included; default 60 */
    uint64_t max_answer_bytes; /* a longer body is E_LIMIT; default 1 GiB */
    const char *token;         /* sent as "Authorization: Bearer"; NULL = none; copied */
    /* Of https, by the plug-in that lamina/serve.h tells of. The server's certificate is always
       judged. Files are PEM. */
    const char *ca;          /* whom to trust; NULL = whom the system trusts */
    const char *cert, *key;  /* who we are, where the server asks; NULL = nobody */
    const char *server_name; /* that the certificate must have; NULL = the address's host */
} lamina_client_opts;

/* An answer. Lent until the next call on the client. */
typedef struct lamina_answer {
    uint32_t status; /* 200, 404 ... */
    const void *body;
    size_t body_bytes;
    const char *content_type; /* "" = none */
    int64_t json_bytes;       /* Inference-Header-Content-Length; -1 = there is none */
} lamina_answer;

/**
 * Make a client. Nothing is connected yet.
 *
 * @param address  borrowed: "127.0.0.1:8000", "[::1]:8000", "localhost:8000", "unix:/PATH", or with
 *                 TLS "https://127.0.0.1:8443", "https://localhost" (port 443).
 * @param opts     borrowed until return; NULL = defaults.
 * @param out      on success owned, released by lamina_client_close. On failure untouched.
 * @param err      borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK; E_INVALID (address, options); E_NOMEM; of https E_UNSUPPORTED (no plug-in),
 *         E_IO, E_PARSE, E_LIMIT (a file).
 *
 * Threads: any; a client is used by one at a time.   Memory: some 100 KB.   Blocking: reads files.
 * Source:  RFC 9112.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_client_open(const char *address,
                                                             const lamina_client_opts *opts,
                                                             lamina_client **out,
                                                             lamina_error *err);

/** Close and release; NULL does nothing. Threads: one. Since: 0.1 */
LAMINA_API void lamina_client_close(lamina_client *client);

/* A request. */
typedef struct lamina_ask {
    size_t size;        /* sizeof(lamina_ask) */
    const char *method; /* default POST with a body, else GET */
    const char *target; /* "/v2/models/m" */
    const void *body;
    size_t body_bytes;
    const char *content_type;  /* of the body; default application/json */
    int64_t json_bytes;        /* > 0: sent as Inference-Header-Content-Length */
    const char *const *fields; /* n_fields more lines "Name: value" */
    size_t n_fields;
} lamina_ask;

/**
 * Ask and wait for the answer. A connection that the server closed before it answered anything is
 * opened again once, for GET and HEAD alone.
 *
 * @param ask     borrowed until return.
 * @param answer  filled on success, whatever its status.
 * @param err     borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK; E_INVALID (a line break in a field, no target); E_CLOSED (refused, reset,
 *         closed); E_PERM (TLS: a certificate that is not to be trusted, or refused ours);
 *         E_TIMEOUT; E_PROTO (not HTTP/1.1); E_LIMIT; E_NOMEM; E_OS.
 *
 * Shapes:   none.   Units: bytes.
 * Threads:  one at a time.   Memory: the answer's body, kept for the next.
 * Blocking: until the answer is there or the time is over.
 * Source:   RFC 9110, 9112.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_client_call(lamina_client *client,
                                                             const lamina_ask *ask,
                                                             lamina_answer *answer,
                                                             lamina_error *err);

/* A request that a model takes. Lent until the next call on the client. */
typedef struct lamina_example {
    const char *target; /* "/v2/models/m/infer" */
    const void *body;
    size_t body_bytes;
    int64_t json_bytes; /* > 0: binary, so many bytes of JSON come first */
} lamina_example;

/**
 * Make an inference request from what the server says of a model: seeded values, floats in [0, 1),
 * integers 0 or 1; dimensions that are free are 1.
 *
 * @param model   borrowed; NULL = the only model of the server, or the first that is ready.
 * @param rows    of the first dimension where it is free; 0 = 1.
 * @param binary  elements as bytes behind the JSON, not as text.
 * @param out     filled on success.
 * @param err     borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK; E_STATE (no such model, or the server refuses to say); E_LIMIT (an input of
 *         more than 2^28 elements); E_PARSE; as lamina_client_call.
 *
 * Shapes:   as the model declares.   Units: rows.
 * Threads:  one at a time.   Memory: the body.   Blocking: one or two calls.
 * Source:   KServe Open Inference Protocol v2.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_client_example(lamina_client *client,
                                                                const char *model, int64_t rows,
                                                                uint64_t seed, bool binary,
                                                                lamina_example *out,
                                                                lamina_error *err);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_CLIENT_H */
