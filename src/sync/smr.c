/*
 * Records and scans (smr.h). The object that a slot names is the one whose lmn_retired part lies at
 * its start: a protected pointer and a retired one are compared as they are.
 */
#include "sync/smr.h"

#include "base/alloc.h"

void lmn_smr_init(lmn_smr *d, const lamina_allocator *a, lmn_asym asym)
{
    d->alloc = *a;
    d->asym = asym;
    lmn_atomic_init(&d->records, NULL);
    lmn_atomic_init(&d->n_records, 0);
    lmn_atomic_init(&d->orphans, NULL);
}

static lmn_hp *record_new(lmn_smr *d)
{
    lmn_hp *hp = lmn_alloc(&d->alloc, sizeof *hp, LMN_APART, "hazard pointers");
    if (!hp) return NULL;
    for (int i = 0; i < LMN_HP_SLOTS; i++) lmn_atomic_init(&hp->slot[i], NULL);
    lmn_atomic_init(&hp->taken, 1);
    hp->asym = d->asym;
    hp->domain = d;
    hp->retired = NULL;
    hp->n_retired = 0;
    void *first = lmn_atomic_load(&d->records, relaxed);
    do {
        lmn_plain_write(&hp->next, sizeof hp->next);
        hp->next = first;
    } while (!lmn_atomic_cas(&d->records, &first, (void *)hp, release));
    (void)lmn_atomic_add(&d->n_records, 1, relaxed);
    return hp;
}

static lmn_hp *next_of(const lmn_hp *hp)
{
    lmn_plain_read(&hp->next, sizeof hp->next);
    return hp->next;
}

lmn_hp *lmn_smr_join(lmn_smr *d)
{
    for (lmn_hp *hp = lmn_atomic_load(&d->records, acquire); hp; hp = next_of(hp)) {
        uint32_t is_free = 0;
        if (lmn_atomic_load(&hp->taken, relaxed) == 0 &&
            lmn_atomic_cas(&hp->taken, &is_free, 1, acquire))
            return hp;
    }
    return record_new(d);
}

static bool named(const lmn_smr *d, const void *object)
{
    for (lmn_hp *hp = lmn_atomic_load(&d->records, acquire); hp; hp = next_of(hp))
        for (int i = 0; i < LMN_HP_SLOTS; i++)
            if (lmn_atomic_load(&hp->slot[i], acquire) == object) return true;
    return false;
}

static lmn_retired *next_retired(const lmn_retired *o)
{
    lmn_plain_read(&o->next, sizeof o->next);
    return o->next;
}

/* Onto the list of a record that is ours. */
static void keep(lmn_hp *hp, lmn_retired *o)
{
    lmn_plain_write(&o->next, sizeof o->next);
    lmn_plain_write(&hp->retired, sizeof hp->retired);
    o->next = hp->retired;
    hp->retired = o;
    hp->n_retired++;
}

/* What threads that left could not free becomes ours. */
static void adopt(lmn_hp *hp)
{
    if (!lmn_atomic_load(&hp->domain->orphans, relaxed)) return;
    lmn_retired *o = lmn_atomic_exchange(&hp->domain->orphans, NULL, acquire);
    while (o) {
        lmn_retired *next = next_retired(o);
        keep(hp, o);
        o = next;
    }
}

void lmn_smr_scan(lmn_hp *hp)
{
    adopt(hp);
    lmn_plain_read(&hp->retired, sizeof hp->retired);
    lmn_retired *o = hp->retired;
    hp->retired = NULL; /* a reclaim function may retire more */
    hp->n_retired = 0;
    if (o) lmn_asym_heavy(hp->asym);
    while (o) {
        lmn_retired *next = next_retired(o);
        if (named(hp->domain, o))
            keep(hp, o);
        else
            o->reclaim(o, o->ctx);
        o = next;
    }
}

void lmn_smr_retire(lmn_hp *hp, lmn_retired *o, void (*reclaim)(lmn_retired *, void *), void *ctx)
{
    o->reclaim = reclaim;
    o->ctx = ctx;
    keep(hp, o);
    if (hp->n_retired >= lmn_smr_batch(lmn_atomic_load(&hp->domain->n_records, relaxed)))
        lmn_smr_scan(hp);
}

void lmn_smr_leave(lmn_hp *hp)
{
    lmn_smr *d = hp->domain;
    for (int i = 0; i < LMN_HP_SLOTS; i++) lmn_hp_clear(hp, i);
    lmn_smr_scan(hp);
    lmn_retired *first = hp->retired, *last = first;
    hp->retired = NULL;
    hp->n_retired = 0;
    if (first) {
        for (lmn_retired *o = last; o; o = next_retired(o)) last = o;
        void *old = lmn_atomic_load(&d->orphans, relaxed);
        do last->next = old;
        while (!lmn_atomic_cas(&d->orphans, &old, (void *)first, release));
    }
    lmn_atomic_store(&hp->taken, 0, release);
}

void lmn_smr_finish(lmn_smr *d)
{
    lmn_hp *hp = lmn_atomic_load(&d->records, relaxed); /* whoever calls this comes after all */
    lmn_retired *o = lmn_atomic_load(&d->orphans, relaxed);
    lmn_atomic_store(&d->orphans, NULL, relaxed);
    while (o) {
        lmn_retired *next = o->next;
        o->reclaim(o, o->ctx);
        o = next;
    }
    while (hp) {
        lmn_hp *next = hp->next;
        lmn_free(&d->alloc, hp, sizeof *hp, LMN_APART, "hazard pointers");
        hp = next;
    }
    lmn_atomic_store(&d->records, NULL, relaxed);
}

void lmn_smr_get_stats(const lmn_smr *d, lmn_smr_stats *out)
{
    *out = (lmn_smr_stats){.n_records = lmn_atomic_load(&d->n_records, relaxed)};
    for (lmn_hp *hp = lmn_atomic_load(&d->records, acquire); hp; hp = next_of(hp))
        out->n_threads += lmn_atomic_load(&hp->taken, relaxed);
    out->bound = lmn_smr_bound(out->n_records);
}
