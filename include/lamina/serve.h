/*
 * lamina/serve.h - a model server inside your process: HTTP/1.1 with the KServe v2 protocol, over
 * TLS where it is asked for.
 *
 * One file, or a folder of models laid out as Triton and KServe have it
 * (DIR/<model>/<version>/model.onnx, with config.json or config.pbtxt beside the versions), is
 * served on one or more addresses. Requests are batched, bounded and refused at arrival when they
 * cannot be served in time; models come and go without a request failing.
 *
 *     lamina_server *server;
 *     lamina_server_opts o = {.size = sizeof o, .models = "model.onnx"};
 *     if (lamina_server_start(engine, &o, &server, &err)) ...
 *     printf("http://127.0.0.1:%u\n", lamina_server_port(server, 0));
 *     ...
 *     lamina_server_drain(server);              // not ready any more, but still serving
 *     lamina_server_stop(server, 30000);        // answer what is there, then end
 *
 * What it answers: GET /v2, /v2/health/live, /v2/health/ready, /v2/models/M[/versions/V] and
 * .../ready, .../config, .../stats, /v2/models/M/trace/setting, /v2/trace/setting, /v2/logging;
 * POST .../infer; POST /v2/repository/index; GET /metrics, /openapi.json and / (a page that shows
 * what goes on). On the admin address alone: POST /v2/repository/models/M/load and .../unload, POST
 * of settings, GET /v2/admin/trace?seconds=N (what the engine does, for Perfetto, if it has a
 * trace), GET /v2/admin/profile?seconds=N (where CPU time goes, as folded stacks; uses SIGPROF).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_SERVE_H
#define LAMINA_SERVE_H

#include "lamina/log.h"
#include "lamina/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A running server. */
typedef struct lamina_server lamina_server;

/* Certificates for TLS, and the plug-in that speaks it: liblamina-tls.so, looked for in the folder
   that the environment variable LAMINA_PLUGIN_PATH names, else beside the library or program. */
typedef struct lamina_tls lamina_tls;

/* The plug-in that speaks HTTP/2: liblamina-h2.so, looked for as that for TLS is. */
typedef struct lamina_http2 lamina_http2;

/* Options of lamina_tls_open(). Set `size`, `cert` and `key`. Append only. */
typedef struct lamina_tls_opts {
    size_t size;               /* sizeof(lamina_tls_opts) */
    const char *cert;          /* PEM: the server's certificate, then those between it and a root */
    const char *key;           /* PEM: its key, without a passphrase */
    const char *client_ca;     /* PEM: clients must show a certificate that one of these signed;
                                  NULL: they need none */
    const lamina_http2 *http2; /* borrowed until return; offered to clients (ALPN) beside HTTP/1.1,
                                  by a server that has it, too. NULL: HTTP/1.1 alone */
} lamina_tls_opts;

/* Who decides which models of a folder are loaded. */
typedef enum lamina_model_control {
    LAMINA_CONTROL_NONE = 0,     /* all, once, at the start */
    LAMINA_CONTROL_EXPLICIT = 1, /* `load` at the start, then load and unload requests */
    LAMINA_CONTROL_POLL = 2      /* the folder: it is looked at again and again */
} lamina_model_control;

/* Options of lamina_server_start(). Set `size` and `models`, leave the rest zero. Append only. */
typedef struct lamina_server_opts {
    size_t size;        /* sizeof(lamina_server_opts) */
    const char *models; /* a model's file, or a folder of models */

    /* Where to listen: "HOST:PORT", "[V6]:PORT", "PORT" of 127.0.0.1, "unix:/PATH", "fd:N" (an open
       socket). Port 0: any. NULL: "127.0.0.1:8000" */
    const char *const *listen;
    uint32_t n_listen;
    const char *admin;  /* one more address, where load and unload are answered; NULL: nowhere */
    const char *tokens; /* a file with a token a line: requests then need "Authorization: Bearer
                           TOKEN", but for health; NULL: no tokens. Behind a token may stand
                           name=N (in metrics), rate=100/s (/m, /h; else 429), models=A,B */
    bool insecure;      /* listen on other than loopback and UNIX sockets without tokens and without
                           `client_ca` of `tls` */

    uint32_t n_loops;     /* threads that read and answer; 0 = 1 */
    uint32_t n_threads;   /* threads a run of a model may use; 0 = the engine's width */
    uint32_t precision;   /* lamina_precision, of models whose configuration says none */
    int64_t max_batch;    /* rows of a batch; 0 = found out, or as configured; -1 = no batches */
    uint64_t delay_us;    /* how long a request may wait for company */
    uint64_t queue_rows;  /* rows that may wait for a model; 0 = max(64, 4 x max_batch), or of a
                             batch that was found to pay past 64 rows max(256, 2 x) */
    uint32_t n_instances; /* of a model; 0 = 1, or as configured */

    lamina_model_control control;
    uint32_t poll_ms;        /* POLL: how often; 0 = 1000 */
    const char *const *load; /* EXPLICIT: names of models to load at the start, "*" = all */
    uint32_t n_load;

    uint64_t max_body_bytes;  /* of a request; 0 = 64 MiB */
    uint32_t max_connections; /* 0 = 10000 */

    lamina_logger *log; /* borrowed until the server is gone; what happens, and requests; or NULL */
    uint32_t log_sample; /* one request of so many is logged; 0 = none */

    lamina_tls *tls; /* of all addresses but UNIX sockets and `admin`; NULL: plain. Borrowed until
                        the server is gone */
    lamina_http2 *http2; /* HTTP/2 and gRPC on all addresses, beside HTTP/1.1; NULL: HTTP/1.1 alone.
                            Behind TLS if `tls` offers it. Borrowed until the server is gone */

    /* Asked by the loading thread before a model's file is opened; what is not LAMINA_OK keeps it
       out, with the sentence of `err`. May take its time: lamina_server_try in another process
       shows what the file does without doing it here. NULL: nobody is asked. */
    lamina_status (*probe)(void *ctx, const char *path, lamina_error *err);
    void *probe_ctx;

    const char *otlp;   /* a collector of OpenTelemetry, "http://127.0.0.1:4318": traces and metrics
                           go there by OTLP; the host is a number or localhost. NULL: nowhere */
    uint32_t otlp_rate; /* of so many requests that nobody traces yet one is; 0 = 1000 */

    uint32_t log_fd; /* without `log`: lines of the same go there, written by a thread of the
                        server; never waited for, stays open. 2: standard error; 0 = nowhere */
    lamina_log_format log_format; /* of these lines */
} lamina_server_opts;

/**
 * Find the plug-in and read certificate and key.
 *
 * @param engine  borrowed; must outlive the result.
 * @param opts    borrowed until return.
 * @param out     on success owned, released by lamina_tls_close. On failure untouched.
 * @param err     borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID; E_UNSUPPORTED (there is no plug-in); E_IO, E_PARSE, E_LIMIT (a
 *         file); E_NOMEM.
 *
 * Shapes:   none.   Units: none.
 * Threads:  any.    Memory: small; that of the plug-in's library is its own.
 * Blocking: reads three files.   Source: RFC 8446, RFC 5246; docs/rooms/http.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tls_open(lamina_engine *engine,
                                                          const lamina_tls_opts *opts,
                                                          lamina_tls **out, lamina_error *err);

/**
 * Read the files again, for the connections that come from now on. What fails changes nothing.
 *
 * @param tls  borrowed.
 * @param err  borrowed; NULL allowed; one sentence on failure.
 * @return as lamina_tls_open.
 *
 * Shapes:   none.   Units: none.
 * Threads:  any, also while servers use it.   Memory: small.   Blocking: reads three files.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tls_reload(lamina_tls *tls, lamina_error *err);

/**
 * Release it.
 *
 * @param tls  owned; NULL does nothing. Servers that use it are gone.
 *
 * Shapes:   none.   Units: none.   Threads: one.   Memory: frees all.   Since: 0.1
 */
LAMINA_API void lamina_tls_close(lamina_tls *tls);

/**
 * Find the plug-in for HTTP/2 and gRPC.
 *
 * @param engine  borrowed; must outlive the result.
 * @param out     on success owned, released by lamina_http2_close. On failure untouched.
 * @param err     borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID; E_UNSUPPORTED (there is none, or of another version); E_NOMEM.
 *
 * Shapes:   none.   Units: none.   Threads: any.   Memory: small; that of the plug-in is its own.
 * Blocking: reads a file.   Source: RFC 9113; docs/rooms/http.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_http2_open(lamina_engine *engine,
                                                            lamina_http2 **out, lamina_error *err);

/**
 * Which library speaks it, and its version.
 *
 * @param http2  borrowed; NULL: "none".
 * @return a text that lives as long as http2.
 *
 * Shapes:   none.   Units: none.   Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API const char *lamina_http2_name(const lamina_http2 *http2);

/**
 * Release it.
 *
 * @param http2  owned; NULL does nothing. Servers that use it are gone.
 *
 * Shapes:   none.   Units: none.   Threads: any.   Memory: releases it.   Since: 0.1
 */
LAMINA_API void lamina_http2_close(lamina_http2 *http2);

/**
 * Load the models and serve them. When it returns, requests are answered.
 *
 * @param engine  borrowed; must outlive the server.
 * @param opts    borrowed until return, but for `log`, `tls` and `http2`.
 * @param out     on success owned, released by lamina_server_stop. On failure untouched.
 * @param err     borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID (options; a model that is one file and contradicts itself); E_PERM
 *         (an address that others can reach, without tokens, `client_ca` or `insecure`); E_BUSY
 * (address in use); E_IO, E_PARSE and others of lamina_model_load for one file; E_OS; E_NOMEM. A
 * model of a folder that cannot be loaded is no failure: the repository index says why.
 *
 * Shapes:   none.   Units: rows, microseconds, milliseconds, bytes.
 * Threads:  any. The server has threads of its own: loops, one that loads, instances of models.
 * Memory:   models; what requests hold, bounded.   Blocking: loads and warms up every model.
 * Source:   Open Inference Protocol v2; docs/rooms/serve.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_server_start(lamina_engine *engine,
                                                              const lamina_server_opts *opts,
                                                              lamina_server **out,
                                                              lamina_error *err);

/**
 * Load the file of a model as a server with these options would, with the configuration beside it,
 * warm it up, and let it go: for a process whose end is no loss, before a server does the same.
 *
 * @param engine  borrowed.
 * @param opts    borrowed; how to run models; where to listen and the like is passed over.
 * @param path    borrowed; the file.
 * @param err     borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; as lamina_model_load and lamina_session_run.
 *
 * Shapes:   none.   Units: none.
 * Threads:  any.    Memory: the model's, released.   Blocking: loads and runs.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_server_try(lamina_engine *engine,
                                                            const lamina_server_opts *opts,
                                                            const char *path, lamina_error *err);

/**
 * The port on which address number i is listened to.
 *
 * @param server  borrowed.
 * @param i       from 0, in the order of opts.listen; the admin address comes last.
 * @return the port; 0 for a UNIX socket or past the end.
 *
 * Shapes:   none.   Units: none.   Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API uint16_t lamina_server_port(const lamina_server *server, uint32_t i);

/**
 * Read the file of tokens and the certificates of `tls` again, for what comes from now on. Of each,
 * what fails changes nothing. A token that stays keeps its counters and the used part of its rate.
 *
 * @param server  borrowed.
 * @param err     borrowed; NULL allowed; one sentence on failure, the first if both fail; the log
 *                has each.
 * @return LAMINA_OK; E_IO, E_INVALID, E_LIMIT, E_PARSE (a file); E_NOMEM.
 *
 * Shapes:   none.   Units: none.
 * Threads:  any, one at a time.   Memory: small.   Blocking: reads files.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_server_reload(lamina_server *server,
                                                               lamina_error *err);

/**
 * Begin to end: health/ready says 503 from now on, so that balancers send requests elsewhere, and
 * answers say `Connection: close`. Requests are still taken and answered.
 *
 * @param server  borrowed; NULL does nothing.
 *
 * Shapes:   none.   Units: none.
 * Threads:  any.    Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API void lamina_server_drain(lamina_server *server);

/**
 * End: take no more connections, answer what was asked, then release everything.
 *
 * @param server   owned; NULL does nothing.
 * @param grace_ms how long requests may take to be answered; those left then are cancelled and
 *                 answered 503.
 *
 * Shapes:   none.   Units: milliseconds.
 * Threads:  one; no other call on this server may be running.
 * Memory:   frees all.   Blocking: up to grace_ms and the time to stop what runs.
 * Source:   none.   Since: 0.1
 */
LAMINA_API void lamina_server_stop(lamina_server *server, uint32_t grace_ms);

/* A model that is loaded, as lamina_server_model() tells. Set `size`. Append only. */
typedef struct lamina_server_model_info {
    size_t size;        /* sizeof(lamina_server_model_info) */
    char name[129];     /* of the model */
    uint64_t version;   /* the highest that is loaded */
    int64_t max_batch;  /* rows of a batch; 0: requests run one by one */
    bool runs_inline;   /* small enough to run in the thread that read the request */
    bool ready;         /* at least one version can be used */
    char reason[256];   /* why not, or why the newest is not in use; "" = all is well */
    char example[2048]; /* a body of an infer request with zeros in it; "" = too large to show */
} lamina_server_model_info;

/**
 * Look at the models, in order of their names.
 *
 * @param server  borrowed.
 * @param i       from 0.
 * @param info    caller's, `size` set; filled.
 * @return LAMINA_OK; E_RANGE past the end; E_INVALID.
 *
 * Shapes:   none.   Units: rows.
 * Threads:  any.    Memory: none.   Blocking: a lock that the loading thread holds for moments.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_server_model(lamina_server *server, uint32_t i,
                                                              lamina_server_model_info *info);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_SERVE_H */
