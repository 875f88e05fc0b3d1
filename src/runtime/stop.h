/*
 * Why a run should end before its time: the word that lamina_cancel sets, the caller's own word, a
 * deadline. Looked at before every node, every turn of a loop and every chunk of a parallel loop;
 * the first reason found goes into the word and stays the reason.
 */
#ifndef LMN_RUNTIME_STOP_H
#define LMN_RUNTIME_STOP_H

#include "base/atomic.h"
#include "base/os/os_time.h"

typedef struct lmn_stop {
    lmn_atomic(uint32_t) word;         /* 0, or the status that ends the run, negated */
    const lmn_atomic(uint32_t) * user; /* the caller's word, or NULL */
    uint64_t deadline_ns;              /* CLOCK_MONOTONIC, 0 = none */
} lmn_stop;

static inline void lmn_stop_set(lmn_stop *s, lamina_status why)
{
    uint32_t none = 0;
    (void)lmn_atomic_cas(&s->word, &none, (uint32_t)-why, seq_cst);
}

/* LAMINA_OK, or why the run ends. */
static inline lamina_status lmn_stop_poll(lmn_stop *s)
{
    if (s->user && lmn_atomic_load(s->user, acquire)) lmn_stop_set(s, LAMINA_E_CANCELLED);
    if (s->deadline_ns && lmn_now_ns() > s->deadline_ns) lmn_stop_set(s, LAMINA_E_TIMEOUT);
    return -(lamina_status)lmn_atomic_load(&s->word, acquire);
}

#endif
