/*
 * The problems of a model that is being tuned. The first run, `learning`, finds them and what could
 * be chosen for each; every later run uses for each problem the choice that stands in it, and
 * leaves the time it took. One run at a time, whose steps are run by one thread.
 */
#ifndef LMN_TUNE_TRIAL_H
#define LMN_TUNE_TRIAL_H

#include "tune/tune_search.h"
#include "tune/tune_key.h"

enum { LMN_TUNE_PROBLEMS_MAX = 512 };

typedef struct lmn_tune_problem {
    lmn_tune_key key;
    lmn_choice choice[LMN_CHOICE_MOST + 1]; /* [0] is the rule */
    bool other_bits[LMN_CHOICE_MOST + 1];
    int32_t n;            /* choices, the rule included */
    int32_t now;          /* which one the next run uses */
    uint64_t ns, n_calls; /* of the runs since somebody set them to 0 */
    uint64_t least_ns;    /* of the runs of one sample */
    uint64_t rule_ns;     /* of a run by the rule: tells what matters */
    char node[48];        /* the first node that has it */
    bool small;           /* too little of the model's time */
    lmn_search search;
} lmn_tune_problem;

typedef struct lmn_tune_trial {
    const lamina_allocator *alloc;
    lmn_tune_problem *problems;
    int32_t n, cap;
    bool learning, same_bits; /* same_bits: nothing that changes them is offered */
    bool failed;              /* out of memory while learning */
    uint64_t (*clock)(void *ctx);
    void *clock_ctx;
} lmn_tune_trial;

void lmn_tune_trial_init(lmn_tune_trial *t, const lamina_allocator *alloc, bool same_bits);
void lmn_tune_trial_finish(lmn_tune_trial *t);
/* The problem of a key; learned now if that is wanted; NULL = not one of them. */
lmn_tune_problem *lmn_tune_trial_enter(lmn_tune_trial *t, const lmn_tune_key *key,
                                       const lmn_kset *set, const char *node);
/* Before a run: no time yet. */
void lmn_tune_trial_clear(lmn_tune_trial *t);

#endif
