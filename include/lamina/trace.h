/*
 * lamina/trace.h - one timeline: events, counters and knobs of a program in a file of shared
 * memory, which survives the program and which other processes read while it runs.
 *
 * Writing never waits and never allocates: a thread holds a lane (a ring) and overwrites its oldest
 * events. Reading never disturbs the writer: a reader that is too slow loses events and is told how
 * many, exactly. The file needs no daemon; after kill -9 it holds all but, at most, the one event a
 * lane that was being written. What a reader opens may be damaged or hostile: that is a status.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_TRACE_H
#define LAMINA_TRACE_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- writing --------------------------------------------------------------------------------- */

/* A trace that is being written (lamina_trace is declared in base.h). A lane: the right to write
   events, held by one thread at a time. A metric: a counter, gauge or histogram. */
typedef struct lamina_trace_lane lamina_trace_lane;
typedef struct lamina_trace_metric lamina_trace_metric;

/* Options of lamina_trace_create(). Set `size`, leave the rest zero: the defaults. Append only. */
typedef struct lamina_trace_opts {
    size_t size;          /* sizeof(lamina_trace_opts) */
    uint32_t n_lanes;     /* threads that may write at one time, at most 1024; default 16 */
    uint32_t lane_events; /* kept by each lane: a power of two, 16 to 2^20; default 8192 */
    uint32_t level;       /* LAMINA_TRACE_LEVEL_*; 0 = LAMINA_TRACE_LEVEL_NODES */
    bool allow_set;       /* other processes that may write the file may set knobs, the level too */
    const lamina_allocator *allocator; /* copied; NULL = the C library's */
} lamina_trace_opts;

/* What an engine writes: the knob "trace.level", each level with those before it. */
enum {
    LAMINA_TRACE_LEVEL_OFF = 0,   /* nothing: as a knob only */
    LAMINA_TRACE_LEVEL_RUNS = 1,  /* loads, plans, runs and metrics: for always */
    LAMINA_TRACE_LEVEL_NODES = 2, /* every node; waits of the pool */
    LAMINA_TRACE_LEVEL_CHUNKS = 3 /* every piece of a node that a thread does; waits for the lock
                                     of a session that was made at this level */
};

/* Kinds of events. */
enum {
    LAMINA_TRACE_SPAN = 1, /* work of the thread, from start to end; nested like calls */
    LAMINA_TRACE_WAIT = 2, /* a wait, which may have begun in another thread */
    LAMINA_TRACE_MARK = 3, /* an instant */
    LAMINA_TRACE_VALUE = 4 /* a number at an instant */
};

/**
 * Start a trace: makes the file, of its full size, and puts it at `path` in place of what was
 * there.
 *
 * @param path  borrowed until return; a folder in memory (/dev/shm) spares the disk. NULL: memory
 *              without a name, for this process and who opens /proc/PID/fd/N.
 * @param opts  borrowed until return; NULL = defaults.
 * @param out   on success owned, released by lamina_trace_destroy. On failure untouched.
 * @param err   borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK; E_INVALID; E_IO, E_PERM; E_LIMIT (no room on the device); E_NOMEM.
 *
 * Shapes:   none.      Units: events.
 * Threads:  any; the trace may then be used from all. A forked child writes nothing.
 * Memory:   n_lanes x lane_events x 64 bytes and 2 MiB, in the file.   Blocking: makes the file.
 * Source:   none.      Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_create(const char *path,
                                                              const lamina_trace_opts *opts,
                                                              lamina_trace **out,
                                                              lamina_error *err);

/**
 * End a trace. The file stays.
 *
 * @param trace  owned; NULL does nothing. No lane is held; engines that were given it are gone.
 *
 * Threads: one.   Memory: frees; the file stays.   Blocking: none.   Since: 0.1
 */
LAMINA_API void lamina_trace_destroy(lamina_trace *trace);

/**
 * The number of a name, for events. The same name and form give the same number.
 *
 * @param name  borrowed until return; UTF-8, at most 1000 bytes are kept.
 * @param form  borrowed; NULL, or category and up to 4 arguments: "queue(depth:u,item:s)" with u a
 *              number, i a signed one, f the bits of a double, s another name.
 * @return the number; 0 (a name for all) when the table of 32768 names is full.
 *
 * Threads: any.   Memory: none.   Blocking: a lock; do it beforehand.   Since: 0.1
 */
LAMINA_API uint32_t lamina_trace_name(lamina_trace *trace, const char *name, const char *form);

/**
 * Take a lane for the calling thread. Also in a signal handler, if the thread had taken one before.
 *
 * @param trace  borrowed; NULL gives NULL.
 * @param name   of the thread, borrowed until return; NULL: the name the system knows.
 * @return a lane to be given back by this thread; NULL when all are held (counted in the file) or
 *         in a forked child. Every function below takes NULL and does nothing.
 *
 * Threads: any.   Memory: none.   Blocking: none, but the first time of a thread.   Since: 0.1
 */
LAMINA_API lamina_trace_lane *lamina_trace_take(lamina_trace *trace, const char *name);

/**
 * Give a lane back.
 *
 * @param lane  of the calling thread; NULL does nothing.
 *
 * Threads: the one that took it.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API void lamina_trace_give(lamina_trace_lane *lane);

/**
 * Now, in ticks of the trace's clock: the cycle counter where it runs at one rate.
 *
 * @param trace  borrowed; NULL gives 0.
 * @return ticks.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API uint64_t lamina_trace_now(const lamina_trace *trace);

/**
 * Write a span or a wait that began at `start` and ends now, a mark or a value (start is not used).
 *
 * @param lane    of the calling thread; NULL does nothing.
 * @param kind    LAMINA_TRACE_*.
 * @param name    from lamina_trace_name.
 * @param start   from lamina_trace_now.
 * @param args    n_args words as the name's form says, borrowed until return; at most 4. Of a value
 *                the first is the number, as the bits of a double.
 *
 * Threads: the holder.   Memory: none.   Blocking: none; a few nanoseconds.   Since: 0.1
 */
LAMINA_API void lamina_trace_emit(lamina_trace_lane *lane, int32_t kind, uint32_t name,
                                  uint64_t start, const uint64_t *args, size_t n_args);

/* Kinds of metrics. */
enum { LAMINA_TRACE_COUNTER = 1, LAMINA_TRACE_GAUGE = 2, LAMINA_TRACE_HISTOGRAM = 3 };

/**
 * Find or make a metric.
 *
 * @param kind   LAMINA_TRACE_COUNTER, _GAUGE or _HISTOGRAM; that of a metric that exists must
 * match.
 * @param name   OpenMetrics name without unit and suffix: letters, digits, "_", no digit first.
 * @param unit   such as "seconds", "bytes"; "" for none.
 * @param scale  what 1 is in the unit: 1e-9 for nanoseconds in "seconds".
 * @param help   one line. All strings are borrowed until return.
 * @return the metric, valid as long as the trace; NULL on bad names or when the table is full. The
 *         functions below take NULL and do nothing.
 *
 * Threads: any.   Memory: none.   Blocking: a lock; do it beforehand.   Since: 0.1
 */
LAMINA_API lamina_trace_metric *lamina_trace_metric_get(lamina_trace *trace, int32_t kind,
                                                        const char *name, const char *unit,
                                                        double scale, const char *help);

/**
 * Update a metric: a counter grows by `value`, a gauge becomes it, a histogram counts it (its error
 * is at most 1/32 of it).
 *
 * @param metric  NULL does nothing.
 * @param value   a gauge takes it as signed.
 *
 * Threads: any.   Memory: none.   Blocking: none; one to three atomic additions.   Since: 0.1
 */
LAMINA_API void lamina_trace_count(lamina_trace_metric *metric, uint64_t value);

/**
 * Find or make a knob: a number that the program reads and, if the trace allows it, others set.
 *
 * @param name   borrowed until return, such as "serve.batch_cap".
 * @param help   borrowed until return; one line.
 * @param whole  whole numbers only.
 * @param lo,hi,value  bounds and first value. A value from outside is cut to the bounds.
 * @return number of the knob, for lamina_trace_knob_read; 0 when the table is full.
 *
 * Threads: any.   Memory: none.   Blocking: a lock; do it beforehand.   Since: 0.1
 */
LAMINA_API uint32_t lamina_trace_knob_make(lamina_trace *trace, const char *name, const char *help,
                                           bool whole, double lo, double hi, double value);

/**
 * Read a knob: within its bounds, whatever stands in the file.
 *
 * @param knob  from lamina_trace_knob_make; 0 gives 0.
 * @return the value.
 *
 * Threads: any.   Memory: none.   Blocking: none; one load.   Since: 0.1
 */
LAMINA_API double lamina_trace_knob_read(const lamina_trace *trace, uint32_t knob);

/* ---- reading --------------------------------------------------------------------------------- */

/* A trace that is looked at. Whatever it lends is valid until it is closed. */
typedef struct lamina_trace_reader lamina_trace_reader;

/* How the writer is. */
enum { LAMINA_TRACE_RUNNING = 0, LAMINA_TRACE_ENDED = 1, LAMINA_TRACE_KILLED = 2 };

typedef struct lamina_trace_info {
    size_t size;                        /* set by the caller */
    int32_t state;                      /* LAMINA_TRACE_RUNNING, ... */
    uint32_t pid;                       /* of the writer */
    const char *program;                /* its name */
    uint64_t start_ns, start_wall_ns;   /* of the trace: CLOCK_MONOTONIC, since 1970 */
    uint64_t n_emitted, n_read, n_lost; /* events; read + lost = emitted once all was polled */
    uint64_t n_no_lane;                 /* times a thread found every lane held */
    uint32_t n_lanes, n_metrics, n_knobs, n_threads;
    bool allow_set;
} lamina_trace_info;

/* One argument of an event. */
typedef struct lamina_trace_arg {
    const char *name;
    char type; /* 'u', 'i', 'f' or 's', as in the form of the name */
    union {
        uint64_t u;
        int64_t i;
        double f;
        const char *s;
    } value;
} lamina_trace_arg;

typedef struct lamina_trace_event {
    size_t size;              /* set by the caller */
    int32_t kind;             /* LAMINA_TRACE_SPAN, ... */
    uint32_t thread;          /* a small number */
    uint64_t time_ns, dur_ns; /* since the start of the trace; length of a span or wait */
    const char *name, *category, *thread_name;
    uint64_t tid;          /* of the thread, as the system has it */
    uint32_t span, parent; /* numbers among recent spans; 0 none */
    double value;          /* of a value */
    uint32_t n_args;
    lamina_trace_arg args[4];
} lamina_trace_event;

/* What a lane's holder is in the middle of, outermost first: what a program died in. */
typedef struct lamina_trace_lane_info {
    size_t size; /* set by the caller */
    uint64_t n_emitted, n_read, n_lost, tid;
    const char *thread_name;
    uint32_t n_inside;
    const char *inside[4], *inside_of[4]; /* name, and what it is about or "" */
} lamina_trace_lane_info;

typedef struct lamina_trace_metric_info {
    size_t size; /* set by the caller */
    int32_t kind;
    const char *name, *unit, *help;
    double value;               /* of a counter or gauge, in the unit; of a histogram the sum */
    uint64_t count;             /* of a histogram, as the next four */
    double p50, p90, p99, most; /* within 1/32 */
} lamina_trace_metric_info;

typedef struct lamina_trace_knob_info {
    size_t size; /* set by the caller */
    const char *name, *help;
    bool whole;
    double lo, hi, value;
} lamina_trace_knob_info;

/**
 * Open the file of a trace, while it is written or afterwards. Reads it by copying: a file that is
 * damaged, cut off or scribbled upon meanwhile is a status or odd values, never a fault.
 *
 * @param path       borrowed until return.
 * @param allocator  copied; NULL = the C library's.
 * @param out        on success owned, released by lamina_trace_close. On failure untouched.
 * @param err        borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK; E_IO, E_PERM; E_CORRUPT (no trace, or damaged); E_VERSION; E_NOMEM.
 *
 * Threads: any; a reader serves one thread at a time.   Memory: grows with what is read.
 * Blocking: reads the file.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_open(const char *path,
                                                            const lamina_allocator *allocator,
                                                            lamina_trace_reader **out,
                                                            lamina_error *err);

/**
 * Close a reader.
 *
 * @param reader  owned; NULL does nothing.
 *
 * Threads: one.   Memory: frees.   Blocking: none.   Since: 0.1
 */
LAMINA_API void lamina_trace_close(lamina_trace_reader *reader);

/**
 * Take in what was written since the last poll, in the order of time, for lamina_trace_next. Events
 * that were not yet fetched by it are dropped (they count as read).
 *
 * @param reader  borrowed.
 * @param err     borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK, also when there was nothing; E_CORRUPT, E_IO (the file was cut); E_NOMEM.
 *
 * Threads: one.   Memory: 64 bytes an event that is kept.   Blocking: reads.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_poll(lamina_trace_reader *reader,
                                                            lamina_error *err);

/**
 * The next event of the last poll.
 *
 * @param out  filled up to out->size.
 * @return LAMINA_OK; E_AGAIN (no more until the next poll); E_INVALID.
 *
 * Threads: one.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_next(lamina_trace_reader *reader,
                                                            lamina_trace_event *out);

/**
 * What is known of a trace as of the last poll.
 *
 * @param out  filled up to out->size.
 * @return LAMINA_OK; E_INVALID.
 *
 * Threads: one.   Memory: none.   Blocking: looks for the process.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_get_info(lamina_trace_reader *reader,
                                                                lamina_trace_info *out);

/**
 * Look at lane i, metric i or knob i as of the last poll.
 *
 * @param i    0 <= i < the count in lamina_trace_info.
 * @param out  filled up to out->size.
 * @return LAMINA_OK; E_RANGE; E_INVALID.
 *
 * Threads: one.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_get_lane(lamina_trace_reader *reader,
                                                                size_t i,
                                                                lamina_trace_lane_info *out);
/** Look at metric i: see lamina_trace_get_lane. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_get_metric(lamina_trace_reader *reader,
                                                                  size_t i,
                                                                  lamina_trace_metric_info *out);
/** Look at knob i: see lamina_trace_get_lane. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_get_knob(lamina_trace_reader *reader,
                                                                size_t i,
                                                                lamina_trace_knob_info *out);

/**
 * Set a knob of a trace that another process writes.
 *
 * @param path   borrowed until return; the trace allows it and the file may be written.
 * @param name   borrowed until return; of the knob.
 * @param value  within the knob's bounds.
 * @param err    borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK; E_PERM; E_RANGE; E_INVALID (no such knob, not a whole number); as open.
 *
 * Threads: any.   Memory: a reader, meanwhile.   Blocking: reads and writes the file.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_trace_knob_set(const char *path, const char *name,
                                                                double value, lamina_error *err);

/**
 * The metrics in the OpenMetrics text format, as of the last poll.
 *
 * @param buf  receives at most cap bytes, always with a closing zero if cap > 0.
 * @return bytes of the whole text without the zero: ask again with more when it is >= cap.
 *
 * Threads: one.   Memory: none.   Blocking: none.
 * Source:  OpenMetrics 1.0.   Since: 0.1
 */
LAMINA_API size_t lamina_trace_openmetrics(lamina_trace_reader *reader, char *buf, size_t cap);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_TRACE_H */
