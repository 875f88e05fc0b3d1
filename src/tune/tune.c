/*
 * The choice for a problem, and the clock around it (tune.h).
 */
#include "tune/tune.h"

void lmn_tune_begin(lmn_tune_site *site, const lmn_tune_key *key, const lmn_kset *set,
                    lmn_tune_use *use)
{
    *use = (lmn_tune_use){.start = 0};
    const lmn_tune *t = site->tune;
    if (t->trial) {
        use->trial = t->trial;
        use->problem = lmn_tune_trial_enter(t->trial, key, set, site->node);
        if (use->problem) use->choice = use->problem->choice[use->problem->now];
        use->start = t->trial->clock(t->trial->clock_ctx);
        return;
    }
    const lmn_tune_record *r = lmn_tune_table_find(t->table, key);
    if (!r) return;
    use->choice = r->choice;
    lmn_atomic_store(&site->chosen, 1, relaxed);
}

void lmn_tune_end(const lmn_tune_use *use)
{
    if (!use->problem) return;
    use->problem->ns += use->trial->clock(use->trial->clock_ctx) - use->start;
    use->problem->n_calls++;
}
