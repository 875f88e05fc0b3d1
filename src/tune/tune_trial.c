/*
 * Learning problems, and finding them again (tune_trial.h).
 */
#include "tune/tune_trial.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/os/os_time.h"

static uint64_t own_time(void *ctx)
{
    (void)ctx;
    return lmn_thread_cpu_ns();
}

void lmn_tune_trial_init(lmn_tune_trial *t, const lamina_allocator *alloc, bool same_bits)
{
    *t = (lmn_tune_trial){
        .alloc = alloc, .learning = true, .same_bits = same_bits, .clock = own_time};
}

void lmn_tune_trial_finish(lmn_tune_trial *t)
{
    lmn_cfree(t->alloc, t->problems, (size_t)t->cap, sizeof *t->problems, "tune");
    t->problems = NULL;
    t->n = t->cap = 0;
}

static lmn_tune_problem *add(lmn_tune_trial *t, const lmn_tune_key *key)
{
    if (t->n == LMN_TUNE_PROBLEMS_MAX) return NULL;
    if (t->n == t->cap) {
        const int32_t cap = t->cap ? t->cap * 2 : 16;
        lmn_tune_problem *more = lmn_calloc(t->alloc, (size_t)cap, sizeof *more, "tune");
        if (!more) {
            t->failed = true;
            return NULL;
        }
        for (int32_t i = 0; i < t->n; i++) more[i] = t->problems[i];
        lmn_cfree(t->alloc, t->problems, (size_t)t->cap, sizeof *more, "tune");
        t->problems = more, t->cap = cap;
    }
    lmn_tune_problem *p = &t->problems[t->n++];
    p->key = *key;
    return p;
}

lmn_tune_problem *lmn_tune_trial_enter(lmn_tune_trial *t, const lmn_tune_key *key,
                                       const lmn_kset *set, const char *node)
{
    for (int32_t i = 0; i < t->n; i++)
        if (lmn_tune_key_same(&t->problems[i].key, key)) return &t->problems[i];
    if (!t->learning || !lmn_tune_key_sane(key)) return NULL;
    lmn_tune_problem *p = add(t, key);
    if (!p) return NULL;
    lmn_choices offers;
    lmn_tune_choices(key, set, &offers);
    p->n = 1;
    for (int32_t i = 0; i < offers.n; i++) {
        if (t->same_bits && offers.other_bits[i]) continue;
        p->other_bits[p->n] = offers.other_bits[i];
        p->choice[p->n++] = offers.at[i];
    }
    (void)lmn_format(p->node, sizeof p->node, "%.47s", node ? node : "");
    return p;
}

void lmn_tune_trial_clear(lmn_tune_trial *t)
{
    for (int32_t i = 0; i < t->n; i++) t->problems[i].ns = t->problems[i].n_calls = 0;
}
