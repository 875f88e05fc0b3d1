/*
 * Hazard pointers under the model checker: an object that a reader protects is neither freed nor
 * changed under it, whatever is unlinked meanwhile; every object is freed once; records change
 * hands; in both forms of the barrier.
 */
#include "sync/smr.h"

#include "mc_frame.h"

typedef struct node {
    lmn_retired retired; /* first */
    uint32_t value;
} node;

static lmn_smr domain;
static void *shared;
static int n_freed;

static node *node_new(uint32_t value)
{
    node *n = stmc_malloc(sizeof *n);
    stmc_write(n->value, value);
    return n;
}

static void reclaim(lmn_retired *r, void *ctx)
{
    (void)ctx;
    stmc_free(r);
    n_freed++;
}

static void begin_as(lmn_asym asym)
{
    lmn_smr_init(&domain, &mc_memory, asym);
    stmc_init(&shared, (void *)node_new(1));
    n_freed = 0;
}

MC_PART(begin_membarrier, begin_as(LMN_ASYM_MEMBARRIER))
MC_PART(begin_fences, begin_as(LMN_ASYM_FENCE))

static void reader(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    const node *n = lmn_hp_protect(hp, 0, &shared);
    const uint32_t value = stmc_read(n->value);
    stmc_check(value == 1 || value == 2);
    lmn_smr_leave(hp);
}

static void writer(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    node *n = lmn_atomic_exchange(&shared, (void *)node_new(2), release);
    lmn_smr_retire(hp, &n->retired, reclaim, NULL);
    lmn_smr_scan(hp);
    lmn_smr_leave(hp);
}

/* The slot is used again while its object may be on its way out. */
static void reader_twice(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    for (int i = 0; i < 2; i++) {
        const node *n = lmn_hp_protect(hp, 0, &shared);
        stmc_check(stmc_read(n->value) != 0);
    }
    lmn_smr_leave(hp);
}

/* Who lets go last frees what the other had to leave behind. */
static void reader_scans(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    const node *n = lmn_hp_protect(hp, 0, &shared);
    stmc_check(stmc_read(n->value) != 0);
    lmn_hp_clear(hp, 0);
    lmn_smr_scan(hp);
}

static void end(void)
{
    lmn_smr_finish(&domain);
    stmc_free(shared);
    stmc_check(n_freed >= 1);
}

STMC_MAIN({"membarrier", begin_membarrier, {reader, writer}, end},
          {"fences", begin_fences, {reader, writer}, end},
          {"a slot used again", begin_membarrier, {reader_twice, writer}, end},
          {"left behind", begin_membarrier, {reader_scans, writer}, end},
          {"two writers", begin_membarrier, {writer, writer}, end})
