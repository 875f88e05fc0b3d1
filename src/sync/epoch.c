/*
 * The clock ticks once for each retired object, so that a tag says "unlinked
 * before the clock passed it": a reader that entered later than that, by the
 * clock, cannot reach the object, because the tick is a release and entering
 * acquires it. A scan therefore frees what is older than every reader inside.
 * The asymmetric barrier covers readers whose entering is not seen yet: they
 * see the unlinking.
 */
#include "sync/epoch.h"

#include "base/alloc.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"

enum { LEAST_SCAN = 64 }; /* objects of a thread before it looks */

void lmn_epochs_init(lmn_epochs *d, const lamina_allocator *a, lmn_asym asym,
                     const lmn_epoch_hook *hook)
{
    d->alloc = *a;
    d->hook = hook;
    d->asym = asym;
    lmn_atomic_init(&d->clock, 1);
    lmn_atomic_init(&d->records, NULL);
    lmn_atomic_init(&d->orphans, NULL);
    lmn_atomic_init(&d->n_freed, 0);
    lmn_atomic_init(&d->looking, 0);
}

static lmn_epoch *next_of(const lmn_epoch *r)
{
    lmn_plain_read(&r->next, sizeof r->next);
    return r->next;
}

static lmn_epoch *record_new(lmn_epochs *d)
{
    lmn_epoch *r = lmn_alloc(&d->alloc, sizeof *r, LMN_APART, "epoch record");
    if (!r) return NULL;
    lmn_atomic_init(&r->inside, 0);
    lmn_atomic_init(&r->n_stays, 0);
    lmn_atomic_init(&r->taken, 1);
    lmn_atomic_init(&r->thread, lmn_thread_id());
    r->asym = d->asym;
    r->depth = 0;
    r->domain = d;
    r->first = r->last = NULL;
    r->n_retired = 0;
    r->next_scan = LEAST_SCAN;
    r->seen_stay = r->seen_ns = 0;
    r->told = false;
    void *first = lmn_atomic_load(&d->records, relaxed);
    do {
        lmn_plain_write(&r->next, sizeof r->next);
        r->next = first;
    } while (!lmn_atomic_cas(&d->records, &first, (void *)r, release));
    return r;
}

lmn_epoch *lmn_epoch_join(lmn_epochs *d)
{
    for (lmn_epoch *r = lmn_atomic_load(&d->records, acquire); r; r = next_of(r)) {
        uint32_t is_free = 0;
        if (lmn_atomic_load(&r->taken, relaxed) == 0 &&
            lmn_atomic_cas(&r->taken, &is_free, 1, acquire)) {
            lmn_atomic_store(&r->thread, lmn_thread_id(), relaxed);
            return r;
        }
    }
    return record_new(d);
}

static lmn_epoch_object *next_object(const lmn_epoch_object *o)
{
    lmn_plain_read(&o->next, sizeof o->next);
    return o->next;
}

/* Behind the objects of a record that is ours. */
static void keep(lmn_epoch *r, lmn_epoch_object *o)
{
    lmn_plain_write(&o->next, sizeof o->next);
    o->next = NULL;
    if (r->first) {
        lmn_plain_write(&r->last->next, sizeof o->next);
        r->last->next = o;
    } else {
        r->first = o;
    }
    lmn_plain_write(&r->last, sizeof r->last);
    r->last = o;
    r->n_retired++;
}

/* What threads that quit could not free becomes ours. */
static void adopt(lmn_epoch *r)
{
    if (!lmn_atomic_load(&r->domain->orphans, relaxed)) return;
    lmn_epoch_object *o = lmn_atomic_exchange(&r->domain->orphans, NULL, acquire);
    while (o) {
        lmn_epoch_object *next = next_object(o);
        keep(r, o);
        o = next;
    }
}

/* The clock when the first of those inside entered, or `clock`. */
static uint64_t oldest_inside(const lmn_epochs *d, uint64_t clock)
{
    for (lmn_epoch *r = lmn_atomic_load(&d->records, acquire); r; r = next_of(r)) {
        const uint64_t inside = lmn_atomic_load(&r->inside, acquire);
        if (inside && inside < clock) clock = inside;
    }
    return clock;
}

void lmn_epoch_scan(lmn_epoch *r)
{
    lmn_epochs *d = r->domain;
    lmn_epoch_stall stall;
    adopt(r);
    lmn_plain_read(&r->last, sizeof r->last);
    if (r->first) {
        /* Not beyond the clock as it is now: what a reclaim function retires was
         * unlinked after the barrier. */
        const uint64_t clock = lmn_atomic_load(&d->clock, relaxed);
        lmn_asym_heavy(r->asym);
        const uint64_t oldest = oldest_inside(d, clock);
        uint64_t n_freed = 0;
        while (r->first && r->first->tag < oldest) {
            lmn_epoch_object *o = r->first;
            r->first = next_object(o);
            r->n_retired--;
            n_freed++;
            o->reclaim(o, o->ctx);
        }
        (void)lmn_atomic_add(&d->n_freed, n_freed, relaxed);
    }
    r->next_scan = r->n_retired > LEAST_SCAN / 2 ? 2 * r->n_retired : LEAST_SCAN;
    if (r->first && d->hook) (void)lmn_epoch_look(d, lmn_now_ns(), &stall);
}

void lmn_epoch_retire(lmn_epoch *r, lmn_epoch_object *o,
                      void (*reclaim)(lmn_epoch_object *, void *), void *ctx)
{
    o->reclaim = reclaim;
    o->ctx = ctx;
    o->tag = lmn_atomic_add(&r->domain->clock, 1, release);
    keep(r, o);
    if (r->n_retired >= r->next_scan) lmn_epoch_scan(r);
}

void lmn_epoch_quit(lmn_epoch *r)
{
    lmn_epochs *d = r->domain;
    lmn_assert(r->depth == 0);
    lmn_epoch_scan(r);
    if (r->first) {
        void *old = lmn_atomic_load(&d->orphans, relaxed);
        do {
            lmn_plain_write(&r->last->next, sizeof r->last->next);
            r->last->next = old;
        } while (!lmn_atomic_cas(&d->orphans, &old, (void *)r->first, release));
    }
    lmn_plain_write(&r->last, sizeof r->last);
    r->first = r->last = NULL;
    r->n_retired = 0;
    r->next_scan = LEAST_SCAN;
    lmn_atomic_store(&r->taken, 0, release);
}

void lmn_epochs_finish(lmn_epochs *d)
{
    lmn_epoch *r = lmn_atomic_load(&d->records, relaxed); /* whoever calls this comes after all */
    lmn_epoch_object *o = lmn_atomic_load(&d->orphans, relaxed);
    lmn_atomic_store(&d->orphans, NULL, relaxed);
    while (o) {
        lmn_epoch_object *next = o->next;
        o->reclaim(o, o->ctx);
        o = next;
    }
    while (r) {
        lmn_epoch *next = r->next;
        lmn_free(&d->alloc, r, sizeof *r, LMN_APART, "epoch record");
        r = next;
    }
    lmn_atomic_store(&d->records, NULL, relaxed);
}

/* How long this stay has been seen. */
static uint64_t seen_for(lmn_epoch *r, uint64_t stay, uint64_t now_ns)
{
    lmn_plain_write(&r->seen_stay, sizeof r->seen_stay);
    if (r->seen_stay != stay) {
        r->seen_stay = stay;
        r->seen_ns = now_ns;
        r->told = false;
    }
    return now_ns > r->seen_ns ? now_ns - r->seen_ns : 0;
}

bool lmn_epoch_look(lmn_epochs *d, uint64_t now_ns, lmn_epoch_stall *out)
{
    *out = (lmn_epoch_stall){.thread = 0};
    if (lmn_atomic_exchange(&d->looking, 1, acquire)) return false;
    const uint64_t n_freed = lmn_atomic_load(&d->n_freed, relaxed);
    uint64_t first = lmn_atomic_load(&d->clock, relaxed);
    lmn_epoch *blocks = NULL;
    out->n_waiting = first - 1 > n_freed ? first - 1 - n_freed : 0;
    for (lmn_epoch *r = lmn_atomic_load(&d->records, acquire); r; r = next_of(r)) {
        const uint64_t stay = lmn_atomic_load(&r->n_stays, relaxed);
        const uint64_t inside = lmn_atomic_load(&r->inside, relaxed);
        if (inside == 0) continue;
        const uint64_t ns = seen_for(r, stay, now_ns);
        if (blocks && (inside > first || (inside == first && ns <= out->inside_ns))) continue;
        blocks = r;
        first = inside;
        out->inside_ns = ns;
        out->thread = lmn_atomic_load(&r->thread, relaxed);
    }
    const bool tell = blocks && d->hook && !blocks->told && out->n_waiting > 0 &&
                      out->inside_ns >= d->hook->stall_ns;
    if (tell) blocks->told = true;
    lmn_atomic_store(&d->looking, 0, release);
    if (tell) d->hook->stalled(d->hook->ctx, out);
    return true;
}

void lmn_epoch_get_stats(lmn_epochs *d, uint64_t now_ns, lmn_epoch_stats *out)
{
    *out = (lmn_epoch_stats){.n_freed = lmn_atomic_load(&d->n_freed, relaxed)};
    out->n_retired = lmn_atomic_load(&d->clock, relaxed) - 1;
    for (lmn_epoch *r = lmn_atomic_load(&d->records, acquire); r; r = next_of(r)) {
        out->n_threads += lmn_atomic_load(&r->taken, relaxed);
        out->n_inside += lmn_atomic_load(&r->inside, relaxed) != 0;
    }
    (void)lmn_epoch_look(d, now_ns, &out->stall);
}
