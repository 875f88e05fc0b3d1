/*
 * Our queues for many threads in bench_sync: lmn_mpmc, lmn_mpmc_bounded,
 * lmn_mpmc_relaxed; and a mutex ring for scale.
 */
#include "sync_locked.h"

#include "sync/mpmc.h"
#include "sync/mpmc_bounded.h"
#include "sync/mpmc_relaxed.h"

/* ---- lmn_mpmc ---------------------------------------------------------------------------------
 */

typedef struct strict {
    lmn_mpmc q;
    lmn_smr domain;
    lmn_atomic(void *) consumer[SYNC_MAX_THREADS]; /* lmn_hp */
} strict;

static void *strict_make(uint32_t ring)
{
    (void)ring;
    strict *s = sync_zero(sizeof *s);
    lmn_smr_init(&s->domain, &lmn_libc_allocator, lmn_asym_detect());
    if (lmn_mpmc_init(&s->q, &s->domain) != LAMINA_OK) abort();
    return s;
}

static void strict_destroy(void *q)
{
    strict *s = q;
    lmn_mpmc_finish(&s->q);
    lmn_smr_finish(&s->domain);
    free(s);
}

static bool strict_pop(strict *s, lmn_hp *hp, uint64_t *item)
{
    void *p;
    if (lmn_mpmc_pop(&s->q, hp, &p) != LAMINA_OK) return false;
    *item = (uintptr_t)p;
    return true;
}

static lmn_hp *join(strict *s)
{
    lmn_hp *hp = lmn_smr_join(&s->domain);
    if (!hp) abort();
    return hp;
}

static lmn_hp *join_consumer(strict *s, uint32_t id)
{
    lmn_hp *hp = join(s);
    lmn_atomic_store(&s->consumer[id], hp, release);
    return hp;
}

static bool strict_inside(void *q, uint32_t id)
{
    lmn_hp *hp = lmn_atomic_load(&((strict *)q)->consumer[id], acquire);
    return hp && lmn_atomic_load(&hp->slot[0], relaxed) != NULL;
}

/* Retired and not given back, over all threads; each count is its owner's and read as it is. */
static size_t garbage_of(lmn_smr *d, size_t *bound)
{
    lmn_smr_stats st;
    size_t n = 0;
    lmn_smr_get_stats(d, &st);
    *bound = st.bound;
    for (lmn_hp *hp = lmn_atomic_load(&d->records, acquire); hp; hp = hp->next)
        n += *(volatile size_t *)&hp->n_retired;
    return n;
}

static size_t strict_garbage(void *q, size_t *bound)
{
    return garbage_of(&((strict *)q)->domain, bound);
}

SYNC_MANY_LOOPS(strict, strict, lmn_hp *hp = join(q),
                lmn_mpmc_push(&q->q, hp, (void *)(uintptr_t)item) == LAMINA_OK, lmn_smr_leave(hp),
                lmn_hp *hp = join_consumer(q, id), strict_pop(q, hp, &item), lmn_smr_leave(hp))

/* ---- lmn_mpmc_bounded -------------------------------------------------------------------------
 */

typedef struct bounded {
    lmn_mpmc_bounded q;
    void *mem;
    struct {
        _Alignas(LMN_APART) lmn_atomic(uint32_t) inside;
    } consumer[SYNC_MAX_THREADS];
} bounded;

static bool bounded_inside(void *q, uint32_t id)
{
    return lmn_atomic_load(&((bounded *)q)->consumer[id].inside, relaxed) != 0;
}

/* Says so while it is inside; that costs two stores to a line of its own. */
static bool bounded_pop(bounded *b, uint32_t id, uint64_t *item)
{
    lmn_atomic_store(&b->consumer[id].inside, 1, relaxed);
    const bool ok = lmn_mpmc_bounded_pop(&b->q, item) == LAMINA_OK;
    lmn_atomic_store(&b->consumer[id].inside, 0, relaxed);
    return ok;
}

static void *bounded_make(uint32_t ring)
{
    bounded *b = sync_zero(sizeof *b);
    const size_t bytes = lmn_mpmc_bounded_bytes(sizeof(uint64_t), ring);
    b->mem = sync_zero(bytes);
    if (lmn_mpmc_bounded_init(&b->q, b->mem, bytes, sizeof(uint64_t), ring) != LAMINA_OK) abort();
    return b;
}

static void bounded_destroy(void *q)
{
    free(((bounded *)q)->mem);
    free(q);
}

SYNC_MANY_LOOPS(bounded, bounded, (void)0, lmn_mpmc_bounded_push(&q->q, &item) == LAMINA_OK,
                (void)0, (void)0, bounded_pop(q, id, &item), (void)0)

/* ---- lmn_mpmc_relaxed -------------------------------------------------------------------------
 */

typedef struct relaxed {
    lmn_mpmc_relaxed q;
    lmn_smr domain;
} relaxed;

static void *relaxed_make(uint32_t ring)
{
    (void)ring;
    relaxed *r = sync_zero(sizeof *r);
    lmn_smr_init(&r->domain, &lmn_libc_allocator, lmn_asym_detect());
    lmn_relaxed_init(&r->q, &r->domain);
    return r;
}

static void relaxed_destroy(void *q)
{
    relaxed *r = q;
    lmn_relaxed_finish(&r->q);
    lmn_smr_finish(&r->domain);
    free(r);
}

static size_t relaxed_garbage(void *q, size_t *bound)
{
    return garbage_of(&((relaxed *)q)->domain, bound);
}

static bool relaxed_pop(lmn_relaxed_consumer *c, uint64_t *item)
{
    void *p;
    if (lmn_relaxed_pop(c, &p) != LAMINA_OK) return false;
    *item = (uintptr_t)p;
    return true;
}

SYNC_MANY_LOOPS(relaxed, relaxed, lmn_relaxed_producer in;
                if (lmn_relaxed_produce(&q->q, &in) != LAMINA_OK) abort(),
                lmn_relaxed_push(&in, (void *)(uintptr_t)item) == LAMINA_OK,
                lmn_relaxed_stop_producing(&in), lmn_relaxed_consumer out_end;
                if (lmn_relaxed_consume(&q->q, &out_end) != LAMINA_OK) abort(),
                relaxed_pop(&out_end, &item), lmn_relaxed_stop_consuming(&out_end))

/* ---- for scale --------------------------------------------------------------------------------
 */

SYNC_MANY_LOOPS(crowd, locked, (void)0, locked_push(q, item), (void)0, (void)0,
                locked_pop(q, &item), (void)0)

const sync_queue_kind sync_mpmc_ours[] = {
    {.name = "lmn_mpmc",
     .order = "strict FIFO",
     .progress = "lock-free",
     .ours = true,
     .make = strict_make,
     .destroy = strict_destroy,
     .produce = strict_produce,
     .consume = strict_consume,
     .inside = strict_inside,
     .garbage = strict_garbage},
    {.name = "lmn_mpmc_bounded",
     .order = "strict FIFO",
     .progress = "lock-free",
     .ours = true,
     .make = bounded_make,
     .destroy = bounded_destroy,
     .produce = bounded_produce,
     .consume = bounded_consume,
     .inside = bounded_inside},
    {.name = "lmn_mpmc_relaxed",
     .order = "FIFO of a producer",
     .progress = "lock-free",
     .ours = true,
     .make = relaxed_make,
     .destroy = relaxed_destroy,
     .produce = relaxed_produce,
     .consume = relaxed_consume,
     .garbage = relaxed_garbage},
    {.name = "mutex ring",
     .order = "strict FIFO",
     .progress = "blocking",
     .make = locked_make,
     .destroy = locked_destroy,
     .produce = crowd_produce,
     .consume = crowd_consume},
    {.name = NULL},
};
