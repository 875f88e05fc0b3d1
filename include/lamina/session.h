/*
 * lamina/session.h - running a model: sessions, runs, cancellation, profile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_SESSION_H
#define LAMINA_SESSION_H

#include "lamina/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A model prepared to run. Any number of threads may run one session at the same time. */
typedef struct lamina_session lamina_session;

/* How a session computes products of f32. Whatever it is, the same inputs give the same bits for
   any number of threads; models in 8 bits and 16 bits compute in their own types. */
typedef enum lamina_precision {
    LAMINA_PRECISION_EXACT = 0, /* in f32. A convolution may take Winograd's way */
    /* Products of constant f32 weights (MatMul, Gemm, Conv) large enough to gain, and both products
       of attention but for few rows, multiply in bf16 and sum in f32, where the CPU has
       instructions for it; weights are kept in bf16 as well. The placement report says which:
       "hgemm.bf16:..." */
    LAMINA_PRECISION_BF16 = 1,
    /* As BF16, node by node: the first run of a node computes both, gives the exact result, and
       keeps bf16 if that was within 2^-8 of it (of the result's root mean square) */
    LAMINA_PRECISION_AUTO = 2,
    /* In f32 by one chain of multiply-adds in order: no Winograd, no sums by lane in products, the
       same bits on AVX2 and AVX-512 */
    LAMINA_PRECISION_STRICT = 3,
    /* Constant f32 weights of MatMul and Gemm become 8 bits, with a scale a column; rows of the
       other operand become 8 bits as they come, with a scale a row; sums are exact. The first run
       of a node computes both, gives the exact result, and keeps 8 bits if that was within 2^-5 of
       it (of the result's root mean square): "qgemm.i8:... or f32". Everything else is as in BF16.
       A row of the other operand that is not finite gives NaN */
    LAMINA_PRECISION_INT8 = 4
} lamina_precision;

/* Options of lamina_session_create(). Set `size`, leave the rest zero: the defaults. Append only.
 */
typedef struct lamina_session_opts {
    size_t size;              /* sizeof(lamina_session_opts) */
    uint32_t n_threads;       /* most threads a run uses, caller included; 0 = the engine's width */
    uint32_t max_plans;       /* plans kept, one per combination of input shapes; default 16 */
    uint64_t max_plan_bytes;  /* idle activation memory kept over all plans; default 1 GiB */
    uint64_t max_const_bytes; /* largest constant that folding may create; default 64 MiB */
    uint64_t seed;            /* of random operators without a seed of their own; default 0 */
    bool profile;             /* note time per node: lamina_session_node(), _trace_save(). Of runs
                                 so short that reading the clock costs > 1 %, only some */
    bool no_optimize;         /* run the graph as imported, less what no output needs */
    bool strict_placement;    /* a node that no fast kernel of the device serves is E_UNSUPPORTED */
    bool reference;           /* run every node by its reference evaluation */
    uint32_t precision;       /* lamina_precision; default EXACT */
    /* Borrowed until return. Where weights are kept in the order that kernels read, for later
       sessions of any process, which map them and share the memory (lamina/prepack.h): "auto", the
       user's cache folder; an absolute path; NULL or "off", nowhere. What cannot be kept (a model
       from memory, a folder that cannot be used, a full disk) is packed in memory, and the stats
       say so. Results have the same bits with it and without; a first session takes longer to
       make. */
    const char *prepack_cache;
    uint64_t prepack_cache_bytes; /* most bytes of that folder, the least recently used files go;
                                     default 8 GiB */
    /* Choices that lamina_tune() won on this machine (lamina/tune.h): borrowed until return, a path
       or "off"; NULL = what LAMINA_TUNE names, else the file in the user's cache folder. A file
       that is missing or not for this machine changes nothing. */
    const char *tune;
} lamina_session_opts;

/* Options of one run. Set `size`, leave the rest zero. Append only. */
typedef struct lamina_run_opts {
    size_t size;          /* sizeof(lamina_run_opts) */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC instant after which the run stops; 0 = none */
    lamina_error *error;  /* borrowed until return; filled on failure; may be NULL */
    /* Borrowed until return; may be NULL. Looked at before every node, turn of a loop and chunk of
       work: not 0, stored atomically by any thread, ends this run alone with E_CANCELLED
       (lamina_cancel ends all). */
    const uint32_t *stop;
} lamina_run_opts;

/**
 * Prepare a model to run: optimises a private copy of the graph, places every node, checks options.
 *
 * @param model  borrowed; the session holds its own reference.
 * @param opts   borrowed until return; NULL = defaults.
 * @param out    on success owned, released by lamina_session_destroy. On failure untouched.
 * @param err    borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK; E_INVALID (NULL argument, unknown option); E_UNSUPPORTED (an operator nothing
 *         here can run, or strict_placement); E_NOMEM.
 *
 * Shapes:   none yet; plans are made at the first run of each shape.   Units: threads, bytes.
 * Threads:  any.   Memory: the optimised graph.   Blocking: computes constants.
 * Source:   none.  Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_session_create(lamina_model *model,
                                                                const lamina_session_opts *opts,
                                                                lamina_session **out,
                                                                lamina_error *err);

/**
 * Release a session.
 *
 * @param session  owned; NULL does nothing. No run may be in flight.
 *
 * Threads: one.   Memory: frees.   Blocking: none.   Since: 0.1
 */
LAMINA_API void lamina_session_destroy(lamina_session *session);

/**
 * Run the model once.
 *
 * @param inputs   borrowed until return; by position as lamina_model_input(); NULL, or past
 * n_inputs, takes the default of an overridable initialiser.
 * @param n_inputs at most lamina_model_input_count().
 * @param outputs  on success n_outputs new refs owned by the caller, by position; on failure
 *                 untouched.
 * @param n_outputs at most lamina_model_output_count().
 * @param opts     borrowed until return; NULL = defaults.
 * @return LAMINA_OK; E_INVALID (missing or extra input), E_DTYPE, E_SHAPE (an input contradicts the
 *         model; nothing was run); E_TIMEOUT; E_CANCELLED; E_NOMEM; any status of an operator. The
 *         session stays usable after every error.
 *
 * Shapes:   any that the model declares.      Units: nanoseconds (deadline).
 * Threads:  any number at once.
 * Memory:   outputs, and activations from the plan; a repeated shape allocates outputs only.
 * Blocking: computes; waits for pool threads that have started work of this run.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status
lamina_session_run(lamina_session *session, const lamina_tensor *const *inputs, size_t n_inputs,
                   lamina_tensor **outputs, size_t n_outputs, const lamina_run_opts *opts);

/**
 * Stop every run of this session that is in flight: each returns E_CANCELLED at its next chunk.
 *
 * @param session  borrowed.
 *
 * Threads: any, while others run.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API void lamina_cancel(lamina_session *session);

/**
 * Give idle activation memory back.
 *
 * @param session     borrowed.
 * @param keep_bytes  idle bytes that may stay.
 * @return bytes released.
 *
 * Threads: any; runs in flight keep theirs.   Memory: frees.   Blocking: none.   Since: 0.1
 */
LAMINA_API uint64_t lamina_session_trim(lamina_session *session, uint64_t keep_bytes);

/* Counters of a session; all since creation. */
typedef struct lamina_session_stats {
    size_t size; /* set by the caller to sizeof(lamina_session_stats) */
    uint64_t n_runs, n_plans_made, n_plan_hits;
    uint64_t idle_bytes;            /* activation memory that waits for a run */
    uint64_t n_nodes, n_nodes_fast; /* nodes after optimisation; those with a fast kernel */
    uint64_t run_ns;                /* with profile: wall time of the runs that it noted */
    /* Weights packed for the kernels. Strings are lent until the session is gone */
    uint64_t n_packed, packed_bytes;
    uint64_t packed_mapped_bytes; /* of those, in a file that other sessions share */
    const char *packed_file;      /* that file; "" = none */
    const char *packed_note;      /* why not all that could be is in the file; "" = it is, or
                                     nothing was asked for */
    uint64_t n_choices;           /* tuned choices read when the session was made ... */
    uint64_t n_choices_ignored;   /* ... and lines of their file that were passed over */
    uint64_t n_nodes_tuned;       /* nodes that a choice served so far */
} lamina_session_stats;

/**
 * Read the counters.
 *
 * @param out  filled up to out->size.
 * @return LAMINA_OK; E_INVALID.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_session_get_stats(const lamina_session *session,
                                                                   lamina_session_stats *out);

/* One node of the optimised graph, as placed. Strings are lent until the session is gone. */
typedef struct lamina_node_info {
    size_t size;         /* set by the caller */
    const char *name;    /* that of its first output if the file gave none */
    const char *op;      /* operator name */
    const char *device;  /* where it runs */
    const char *kernel;  /* row or binding that serves it; "reference" if none */
    const char *reason;  /* why no fast kernel serves it; "" if one does */
    uint64_t n_calls;    /* with profile: executions it noted */
    uint64_t total_ns;   /* with profile: time inside the node */
    double flops, bytes; /* of one execution, with the shapes of the last plan; 0 = unknown */
    bool tuned;          /* a tuned choice served it so far */
} lamina_node_info;

/**
 * Look at node i (placement report and profile).
 *
 * @param i    0 <= i < n_nodes of the stats.
 * @param out  filled up to out->size.
 * @return LAMINA_OK; E_RANGE.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_session_node(const lamina_session *session,
                                                              size_t i, lamina_node_info *out);

/**
 * Save what a profiled session noted as a trace for Perfetto or chrome://tracing: one span for each
 * run, plan and executed node, subgraphs included, the last 65536 spans. Replaces the file by
 * rename.
 *
 * @param session  borrowed; made with the option profile. Runs in flight are not in the trace yet.
 * @param path     borrowed until return.
 * @param err      borrowed; NULL allowed.
 * @return LAMINA_OK; E_INVALID; E_STATE (the session keeps no profile); E_IO, E_PERM; E_NOMEM.
 *
 * Shapes:   in the arguments of each span.      Units: microseconds since the session was made.
 * Threads:  any.   Memory: a copy of the spans.   Blocking: writes and syncs.
 * Source:   Trace Event Format; fields in docs/formats/trace.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_session_trace_save(const lamina_session *session,
                                                                    const char *path,
                                                                    lamina_error *err);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_SESSION_H */
