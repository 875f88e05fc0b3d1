/*
 * lmn_smr: safe memory reclamation by hazard pointers (Michael 2004) with the asymmetric barrier: a
 * reader publishes which object it is about to use, whoever unlinks an object hands it to `retire`,
 * and it is freed once no reader names it.
 *
 * Bound: a thread that stalls anywhere keeps at most its LMN_HP_SLOTS objects from being freed, and
 * the others hold back at most lmn_smr_bound objects in all. Progress: protect is lock-free (it
 * repeats only when the source changed), clear and retire wait-free but for the scan.
 *
 * Who: a thread joins once, uses its record alone, and leaves. Memory: a record a thread that was
 * ever in the domain at once; records are used again. Reclaim functions run in the retiring thread,
 * under no lock, and may retire again.
 */
#ifndef LMN_SYNC_SMR_H
#define LMN_SYNC_SMR_H

#include "sync/asym.h"

#define LMN_HP_SLOTS 3

/* Part of every object that is retired. */
typedef struct lmn_retired {
    struct lmn_retired *next;
    void (*reclaim)(struct lmn_retired *self, void *ctx);
    void *ctx;
} lmn_retired;

typedef struct lmn_smr lmn_smr;

/* A thread in a domain. */
typedef struct lmn_hp {
    _Alignas(LMN_APART) lmn_atomic(void *) slot[LMN_HP_SLOTS];
    lmn_asym asym;
    _Alignas(LMN_APART) lmn_atomic(uint32_t) taken;
    struct lmn_hp *next; /* set before the record is seen */
    lmn_smr *domain;
    lmn_retired *retired; /* of the owner alone */
    size_t n_retired;
} lmn_hp;

struct lmn_smr {
    lamina_allocator alloc;
    lmn_asym asym;
    _Alignas(LMN_APART) lmn_atomic(void *) records; /* lmn_hp, newest first */
    lmn_atomic(uint32_t) n_records;
    lmn_atomic(void *) orphans; /* lmn_retired of threads that left */
};

/* Counts at one moment. */
typedef struct lmn_smr_stats {
    uint32_t n_threads, n_records;
    size_t bound; /* most objects that wait to be freed, over all threads */
} lmn_smr_stats;

void lmn_smr_init(lmn_smr *d, const lamina_allocator *a, lmn_asym asym);
/* Frees everything; no thread is in the domain. */
void lmn_smr_finish(lmn_smr *d);
/* A record for the calling thread; NULL when memory is out. */
lmn_hp *lmn_smr_join(lmn_smr *d);
/* The thread uses its record no more: what it retired is freed, or left to the others. */
void lmn_smr_leave(lmn_hp *hp);
void lmn_smr_get_stats(const lmn_smr *d, lmn_smr_stats *out);

/* Objects that may wait at most: each thread scans when it has twice as many as there are slots. */
static inline size_t lmn_smr_batch(uint32_t n_records)
{
    return 2u * LMN_HP_SLOTS * n_records;
}
static inline size_t lmn_smr_bound(uint32_t n_records)
{
    return n_records * lmn_smr_batch(n_records);
}

/* The object at *source, kept from being freed until slot i is cleared or used again. */
static inline void *lmn_hp_protect(lmn_hp *hp, int i, lmn_atomic(void *) * source)
{
    void *p = lmn_atomic_load(source, relaxed);
    for (;;) {
        lmn_atomic_store(&hp->slot[i], p, release); /* ends what the slot protected before */
        lmn_asym_light(hp->asym);
        void *again = lmn_atomic_load(source, acquire);
        if (LMN_LIKELY(again == p)) return p;
        p = again;
    }
}

static inline void lmn_hp_clear(lmn_hp *hp, int i)
{
    lmn_atomic_store(&hp->slot[i], NULL, release);
}

/* Nobody can reach the object any more: reclaim(o, ctx) when no slot names `object`. */
void lmn_smr_retire(lmn_hp *hp, lmn_retired *o, void (*reclaim)(lmn_retired *, void *), void *ctx);
/* Free what can be freed now. */
void lmn_smr_scan(lmn_hp *hp);

#endif
