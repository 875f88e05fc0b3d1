/*
 * Epochs under the model checker: what a reader reaches inside is neither freed
 * nor changed under it, though it was unlinked meanwhile; each object is freed
 * once; records and what quitters leave behind change hands; two may look for
 * the one who stalls; in both forms of the barrier.
 */
#include "sync/epoch.h"

#include "mc_frame.h"

typedef struct node {
    lmn_epoch_object object; /* first */
    uint32_t value;
} node;

static lmn_epochs domain;
static void *shared;
static int n_freed, n_replaced;

static node *node_new(uint32_t value)
{
    node *n = stmc_malloc(sizeof *n);
    stmc_write(n->value, value);
    return n;
}

static void reclaim(lmn_epoch_object *o, void *ctx)
{
    (void)ctx;
    stmc_free(o);
    n_freed++;
}

static void begin_as(lmn_asym asym)
{
    lmn_epochs_init(&domain, &mc_memory, asym, NULL);
    stmc_init(&shared, (void *)node_new(1));
    n_freed = n_replaced = 0;
}

MC_PART(begin_membarrier, begin_as(LMN_ASYM_MEMBARRIER))
MC_PART(begin_fences, begin_as(LMN_ASYM_FENCE))

static void read_once(lmn_epoch *r)
{
    lmn_epoch_enter(r);
    const node *n = lmn_atomic_load(&shared, acquire);
    const uint32_t value = stmc_read(n->value);
    stmc_check(value == 1 || value == 2);
    lmn_epoch_leave(r);
}

static void reader(void)
{
    lmn_epoch *r = lmn_epoch_join(&domain);
    read_once(r);
    lmn_epoch_quit(r);
}

static void reader_twice(void)
{
    lmn_epoch *r = lmn_epoch_join(&domain);
    read_once(r);
    read_once(r);
}

static void replace(lmn_epoch *r)
{
    node *n = lmn_atomic_exchange(&shared, (void *)node_new(2), release);
    lmn_epoch_retire(r, &n->object, reclaim, NULL);
    n_replaced++;
}

static void writer(void)
{
    lmn_epoch *r = lmn_epoch_join(&domain);
    replace(r);
    lmn_epoch_quit(r);
}

/* Another thread's ticks move the clock as well. */
static void writer_stays(void)
{
    lmn_epoch *r = lmn_epoch_join(&domain);
    replace(r);
    lmn_epoch_scan(r);
}

/* Whoever comes last frees what others had to leave behind. */
static void reader_scans(void)
{
    lmn_epoch *r = lmn_epoch_join(&domain);
    read_once(r);
    lmn_epoch_scan(r);
    lmn_epoch_quit(r);
}

static void watcher(void)
{
    lmn_epoch_stall s;
    if (lmn_epoch_look(&domain, 100, &s)) stmc_check(s.n_waiting <= 1);
}

static void end(void)
{
    lmn_epoch *r = lmn_epoch_join(&domain);
    lmn_epoch_scan(r);
    for (lmn_epoch *q = lmn_atomic_load(&domain.records, relaxed); q; q = q->next)
        if (q->first) lmn_epoch_scan(q);
    lmn_epoch_quit(r);
    lmn_epochs_finish(&domain);
    stmc_free(shared);
    stmc_check(n_freed == n_replaced);
}

STMC_MAIN({"membarrier", begin_membarrier, {reader, writer}, end},
          {"fences", begin_fences, {reader, writer}, end},
          {"entered again", begin_membarrier, {reader_twice, writer}, end},
          {"left behind", begin_membarrier, {reader_scans, writer}, end},
          {"two writers", begin_membarrier, {writer, writer}, end},
          {"two writers, fences", begin_fences, {writer_stays, writer_stays}, end},
          {"two writers who stay", begin_membarrier, {writer_stays, writer_stays}, end},
          {"a reader, two writers", begin_membarrier, {reader_twice, writer_stays, writer}, end},
          {"watched", begin_membarrier, {reader, watcher, watcher}, end})
