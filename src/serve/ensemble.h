/*
 * An ensemble: a model whose run is the runs of other models, step by step, as Triton's
 * ensemble_scheduling says. It is behind the contract of served.h like any other, so that no
 * protocol knows of it.
 *
 * Every step is a request of its own to its model, batched there with those of others. It is
 * submitted by the thread in which the last step that it needs was answered; whoever has answered
 * several together then calls lmn_ensemble_go_on once, which runs or wakes the models that got
 * something. Steps that no wanted output needs are not run, and a tensor goes when its last reader
 * is done. What is computing is bounded by what the queues of all members hold, so that a request
 * that was taken in fails for want of room only where others fill them.
 */
#ifndef LMN_SERVE_ENSEMBLE_H
#define LMN_SERVE_ENSEMBLE_H

#include "serve/config.h"

typedef struct lmn_ensemble lmn_ensemble;

/* Where models of steps come from, and what keeps them. A hold may be let go in any thread. */
typedef struct lmn_ensemble_source {
    void *ctx;
    /* The model, with a hold; NULL: the reason is in err. version 0: the newest. */
    lmn_model *(*find)(void *ctx, const char *name, uint64_t version, void **hold,
                       lamina_error *err);
    void (*keep)(void *hold); /* one hold more */
    void (*drop)(void *hold);
    void *self; /* what holds the ensemble itself */
} lmn_ensemble_source;

/* As lmn_model_open, for a configuration with steps; it outlives the model. E_INVALID with a
 * sentence when the steps do not fit together, their models or the ports. */
lamina_status lmn_ensemble_open(lamina_engine *engine, const char *name, const char *version,
                                const lmn_serve_config *config, const lmn_ensemble_source *source,
                                lmn_model **out, lamina_error *err);
/* The models of its steps, each once; NULL past the end, and for what is no ensemble. */
lmn_model *lmn_ensemble_member(const lmn_model *m, uint32_t i);

#endif
