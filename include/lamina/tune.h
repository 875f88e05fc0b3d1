/*
 * lamina/tune.h - measuring, for one model on this machine, other ways to read operands and cut
 * work than the rules choose, and keeping those that are faster. What a session computes stays the
 * same: a choice never changes the bits, but for a convolution that goes Winograd's way or leaves
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_TUNE_H
#define LAMINA_TUNE_H

#include "lamina/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a note is about. */
typedef enum lamina_tune_stage {
    LAMINA_TUNE_FOUND = 0, /* a problem of the model: products and convolutions of one shape */
    LAMINA_TUNE_SEARCHING, /* some runs later: progress */
    LAMINA_TUNE_DECIDED,   /* a problem's search is over: gain, and a choice if it won */
    LAMINA_TUNE_VERIFYING, /* whole runs, all winners against the rules: progress */
    LAMINA_TUNE_KEPT,      /* a winner that whole runs confirmed */
    LAMINA_TUNE_DROPPED    /* a winner that they did not */
} lamina_tune_stage;

/* Strings are lent until the callback returns. */
typedef struct lamina_tune_note {
    size_t size;
    uint32_t stage;        /* lamina_tune_stage */
    uint32_t index, count; /* of the problem; count is their number */
    const char *node;      /* the first node that has it */
    const char *kernel;    /* "gemm.f32" */
    const char *problem;   /* "128 x 3072 x 768" */
    const char *choice;    /* "packed mc 256"; "rule" while nothing else won */
    uint32_t n_choices;    /* measured beside the rule; 0: nothing to choose, or too little time */
    bool other_bits;       /* the choice leaves or takes Winograd's way */
    double share;          /* of the model's time, 0..1, by the rule */
    double gain;     /* time of the rule over time of the choice; of the best seen, if none won */
    double progress; /* 0..1 of the stage */
    double eta_s;    /* seconds left, about */
} lamina_tune_note;

/* Options of lamina_tune(). Set `size`, leave the rest zero: the defaults. Append only. */
typedef struct lamina_tune_opts {
    size_t size;        /* sizeof(lamina_tune_opts) */
    const char *path;   /* file to append to, borrowed until return; NULL = as in a session */
    uint64_t budget_ns; /* time for the search; default 60 s. Verifying comes on top */
    uint32_t n_threads; /* as in lamina_session_opts: choices are for this number */
    uint32_t precision; /* lamina_precision */
    bool dry_run;       /* write nothing */
    bool same_bits;     /* no choice that leaves or takes Winograd's way */
    /* Called often, from the calling thread; false ends the search: what has won by then is
       verified and kept. False again ends verifying, and keeps nothing. NULL = not told. */
    bool (*note)(void *ctx, const lamina_tune_note *note);
    void *ctx; /* borrowed, passed back */
} lamina_tune_opts;

typedef struct lamina_tune_result {
    size_t size;                  /* set by the caller */
    uint32_t n_problems, n_tuned; /* found; kept choices */
    uint32_t n_small;             /* problems too small to matter */
    uint64_t n_runs;              /* of the model */
    double before_ns, after_ns;   /* a run by the rules, and with what was kept; medians */
    bool stopped, out_of_time;    /* the search did not end by itself */
    char path[1024];              /* file that was written; "" = none */
} lamina_tune_result;

/**
 * Tune a model: run it with one choice after another for each of its products and convolutions of
 * f32 and of 8 bits, next to runs by the rules, and append to a file the choices that are more than
 * 3 % faster. Sessions that are made later read that file. Times are of the thread's own clock with
 * one thread, else of the wall clock.
 *
 * @param model     borrowed.
 * @param inputs    borrowed until return; as for lamina_session_run(): choices are for their
 * shapes.
 * @param n_inputs  their number.
 * @param opts      borrowed until return; NULL = defaults.
 * @param out       borrowed; filled on success; NULL allowed.
 * @param err       borrowed; NULL allowed; filled on failure.
 * @return LAMINA_OK, also if nothing was faster; E_INVALID; E_STATE (there is no file to write and
 *         no dry run was asked for); E_IO, E_PERM (the file); any status of a session or run.
 *
 * Shapes:   those of the inputs.   Units: nanoseconds, bytes.
 * Threads:  any; other work of the process disturbs what is measured.
 * Memory:   a session, some KiB a problem.   Blocking: for the budget and some 30 runs.
 * Source:   docs/rooms/tune.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tune(lamina_model *model,
                                                      const lamina_tensor *const *inputs,
                                                      size_t n_inputs, const lamina_tune_opts *opts,
                                                      lamina_tune_result *out, lamina_error *err);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_TUNE_H */
