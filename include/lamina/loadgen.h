/*
 * lamina/loadgen.h - load for an HTTP server, honestly timed: requests are due at instants of a
 * plan that does not wait for answers (open loop), and latency counts from when a request was due,
 * not from when it could be sent. A server that stalls for a second shows it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_LOADGEN_H
#define LAMINA_LOADGEN_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a run measured. */
typedef struct lamina_loadgen lamina_loadgen;

/* One second of a run, or what is left of it at the end; what is still out then and answered
 * within a second counts in the last. */
typedef struct lamina_loadgen_second {
    uint64_t n_due, n_ok, n_refused, n_failed; /* refused: 429 and 503; failed: all else but 2xx */
    uint64_t p50_ns, p99_ns, max_ns;           /* of the answers 2xx, from when they were due */
} lamina_loadgen_second;

/* What to send, how often and for how long. Set `size`, leave zero what is to be the default.
   Append only. */
typedef struct lamina_loadgen_opts {
    size_t size;               /* sizeof(lamina_loadgen_opts) */
    const char *address;       /* "127.0.0.1:8000", "[::1]:8000", "unix:/PATH",
                                  "https://127.0.0.1:8443" */
    const char *target;        /* "/v2/models/m/infer" */
    const char *method;        /* default POST with a body, else GET */
    const char *content_type;  /* of the body; default application/json */
    const char *const *fields; /* n_fields more lines "Name: value" */
    size_t n_fields;
    const void *body;
    size_t body_bytes;
    uint32_t n_connections; /* most that are open at once; default 64 */
    double rate;            /* requests a second; 0 = closed loop: each connection sends its next
                               request when it has its answer, and nothing is due before. Beyond
                               2,000 a second gaps of less than 0.2 ms are slept through, and an
                               answer counts as come when such a gap is over */
    bool steady;            /* equal distances; else Poisson arrivals */
    double duration_s;      /* default 10 */
    double warmup_s;        /* before it, not counted; default 1, negative = none */
    double timeout_s;       /* of a request from when it was due; default 10 */
    uint64_t seed;          /* of the arrivals */
    const uint32_t *stop;   /* not 0, stored by any thread: end now; may be NULL */
    /* Told once a second from the calling thread; may be NULL. */
    void (*progress)(void *ctx, uint32_t second, const lamina_loadgen_second *s);
    void *progress_ctx;
    const char *ca, *cert, *key, *server_name; /* of https, as lamina/client.h has them */
} lamina_loadgen_opts;

/* Counters of a run; what was due in warm-up counts nowhere. */
typedef struct lamina_loadgen_stats {
    size_t size; /* set by the caller to sizeof(lamina_loadgen_stats) */
    double seconds;
    uint64_t n_due;
    uint64_t n_ok;       /* answered 2xx */
    uint64_t n_refused;  /* 429 or 503 */
    uint64_t n_other;    /* any other status */
    uint64_t n_timeout;  /* no answer in time; the connection was closed */
    uint64_t n_broken;   /* connection refused, reset, closed without an answer, or no HTTP */
    uint64_t n_unsent;   /* still waiting for a connection at the end */
    uint64_t n_connects; /* connections made */
    uint64_t bytes_out, bytes_in;
    uint64_t behind_ns; /* the longest that the generator itself was late: of more than a
                           millisecond doubt the run, its own core was taken */
} lamina_loadgen_stats;

/* Which times a percentile is of. */
typedef enum lamina_loadgen_times {
    LAMINA_LOADGEN_LATENCY = 0, /* of answers 2xx, from when they were due */
    LAMINA_LOADGEN_SERVICE = 1, /* of answers 2xx, from when they were sent */
    LAMINA_LOADGEN_REFUSAL = 2  /* of answers 429 and 503, from when they were sent */
} lamina_loadgen_times;

/**
 * Send requests and measure.
 *
 * @param opts  borrowed until return.
 * @param out   on success owned, released by lamina_loadgen_free. On failure untouched. That
 * requests fail is no failure of the run.
 * @param err   borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK; E_INVALID (an option; an address that is no number); E_CLOSED (nobody accepts
 *         the first connection); E_PERM (nor shakes hands); E_NOMEM; E_OS; of https as
 *         lamina_client_open.
 *
 * Shapes:   none.   Units: requests a second, seconds.
 * Threads:  any; one thread drives all connections.   Memory: a few KB a connection.
 * Blocking: warm-up and duration, then up to the time-out for what is still out.
 * Source:   Tene, "How NOT to measure latency"; coordinated omission.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_loadgen_run(const lamina_loadgen_opts *opts,
                                                             lamina_loadgen **out,
                                                             lamina_error *err);

/** Release what a run measured; NULL does nothing. Since: 0.1 */
LAMINA_API void lamina_loadgen_free(lamina_loadgen *load);

/** Counters. @return LAMINA_OK; E_INVALID. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_loadgen_get_stats(const lamina_loadgen *load,
                                                                   lamina_loadgen_stats *out);

/**
 * Time below which a share of the answers stayed, from a histogram of log-linear buckets (3 %
 * wide).
 *
 * @param times  lamina_loadgen_times.
 * @param share  0 .. 1: 0.5 is the median, 1 the largest (exact).
 * @return nanoseconds; 0 when there are none.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API uint64_t lamina_loadgen_percentile(const lamina_loadgen *load, int32_t times,
                                              double share);

/** How many answers had this status, 100..599. Since: 0.1 */
LAMINA_API uint64_t lamina_loadgen_status(const lamina_loadgen *load, uint32_t status);

/** Second i of the run. @return LAMINA_OK; E_RANGE past the last. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_loadgen_get_second(const lamina_loadgen *load,
                                                                    size_t i,
                                                                    lamina_loadgen_second *out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_LOADGEN_H */
