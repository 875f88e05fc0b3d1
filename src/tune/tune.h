/*
 * What a device asks while it runs a node: which choice is there for this problem? Usually from the
 * table of the session; while a model is tuned from the trial, which also gets the time it took.
 * Without either nothing is looked up and the rule stands.
 */
#ifndef LMN_TUNE_TUNE_H
#define LMN_TUNE_TUNE_H

#include "base/atomic.h"
#include "tune/tune_table.h"
#include "tune/tune_trial.h"

/* Of a session. The table is immutable while it runs; a trial belongs to one run at a time. */
typedef struct lmn_tune {
    const lmn_tune_table *table; /* NULL = none */
    lmn_tune_trial *trial;       /* NULL = none */
} lmn_tune;

/* Of a node; lives as long as its kernel. */
typedef struct lmn_tune_site {
    const lmn_tune *tune;
    const char *node;            /* its name */
    lmn_atomic(uint32_t) chosen; /* 1: a choice of the table served it */
} lmn_tune_site;

static inline bool lmn_tune_wanted(const lmn_tune_site *site)
{
    return site && (site->tune->table || site->tune->trial);
}

/* One use: from before the plan is made until the work is done. */
typedef struct lmn_tune_use {
    lmn_choice choice; /* all 0: the rule */
    lmn_tune_problem *problem;
    lmn_tune_trial *trial;
    uint64_t start;
} lmn_tune_use;

void lmn_tune_begin(lmn_tune_site *site, const lmn_tune_key *key, const lmn_kset *set,
                    lmn_tune_use *use);
void lmn_tune_end(const lmn_tune_use *use);

#endif
