/*
 * Inside of an ensemble: ensemble_open.c checks the steps and makes their graph, which is never
 * changed afterwards; ensemble.c takes requests through it, ensemble_turn.c runs its models.
 *
 * Invariants: a run belongs to its own lock from its first step to its last, and no lock is held
 * while a step is submitted, a model turned or `done` called. A run is over when no step of it is
 * in flight, whether it failed or not: inputs of steps lie in the memory of the request.
 */
#ifndef LMN_SERVE_ENSEMBLE_INT_H
#define LMN_SERVE_ENSEMBLE_INT_H

#include "serve/ensemble.h"
#include "serve/served_int.h"

#define LMN_ENSEMBLE_THREADS 64u /* that turn one ensemble at a time and are known to do so */

typedef struct lmn_ensemble_link {
    uint32_t port, tensor;
} lmn_ensemble_link;

typedef struct lmn_ensemble_step {
    uint32_t member, number; /* number: in the configuration, from 1 */
    lmn_ensemble_link *in, *out;
    uint32_t n_in, n_out;
    uint64_t after; /* steps that write what it reads */
} lmn_ensemble_step;

typedef struct lmn_ensemble_tensor {
    const char *name;
    int32_t from;  /* the step that writes it; -1: an input of the ensemble */
    int32_t out;   /* the output of the ensemble that it is; -1: none */
    uint32_t port; /* from -1: which input */
    uint64_t readers;
    lmn_serve_port shape; /* of its writer */
} lmn_ensemble_tensor;

typedef struct lmn_ensemble_member_of {
    lmn_model *model;
    void *hold;
    uint32_t n_steps; /* that it does */
} lmn_ensemble_member_of;

typedef struct lmn_ensemble_run lmn_ensemble_run;

struct lmn_ensemble {
    lmn_ensemble_source source;
    lmn_ensemble_member_of *members; /* by the first step of each, in order */
    lmn_ensemble_step *steps;        /* every one behind those that it waits for */
    lmn_ensemble_tensor *tensors;
    uint32_t n_members, n_steps, n_tensors;
    uint32_t out_tensor[LMN_INFER_MAX_PORTS];
    uint64_t needs[LMN_INFER_MAX_PORTS]; /* steps that an output needs */
    int64_t max_rows;                    /* of requests in it */
    int64_t whole; /* the largest batch of its models: a request counts as no more */
    bool timed;    /* a member may want to be turned later, with nobody there to do it */

    /* Guarded by the model's lock: */
    lmn_ensemble_run *spare;
    int64_t rows;
    uint64_t n_runs;
    uint64_t alarm; /* when the keeper is to turn it */
    bool ending;

    lmn_atomic(uint32_t) work; /* grows with every step that was submitted */
    lmn_atomic(uint32_t) bell; /* of the keeper */
    lmn_atomic(uintptr_t) inside[LMN_ENSEMBLE_THREADS];
    lmn_thread keeper;
    bool started;
};

lamina_status lmn_ensemble_submit(lmn_model *m, lmn_infer *r, uint64_t now);
uint64_t lmn_ensemble_turn(lmn_model *m, uint64_t now);
void lmn_ensemble_abort(lmn_model *m);
/* Steps of it were answered by this thread, which took a hold before: turn it and let go. */
void lmn_ensemble_go_on(lmn_model *m);
void lmn_ensemble_hold(lmn_model *m);
/* Its keeper, if it needs one; stop waits until it has ended. */
lamina_status lmn_ensemble_start(lmn_model *m);
void lmn_ensemble_stop(lmn_model *m);
/* Count a step that was answered or refused; the lock of its model is held. */
void lmn_ensemble_count(struct lmn_version_shard *s, const lmn_infer *r);
/* Nothing runs in it; m->ensemble may be half made. */
void lmn_ensemble_free(lmn_model *m);

#endif
