/*
 * Regions: few to a connection, so they stand in arrays; connections that lend stand in a list.
 * What all of them hold is bounded by one counter.
 */
#include "serve/lent.h"

#include <string.h>

#define TAG "lent memory"

void lmn_lents_init(lmn_lents *s, const lamina_allocator *alloc)
{
    *s = (lmn_lents){.alloc = alloc};
    lmn_mutex_init(&s->lock);
}

void lmn_lents_finish(lmn_lents *s)
{
    lmn_mutex_finish(&s->lock);
}

static void unref(lmn_lent_region *r)
{
    lmn_lents *all = r->all;
    if (lmn_atomic_sub(&r->refs, 1, acq_rel) != 1) return;
    (void)lmn_atomic_sub(&all->held, r->memory.bytes, relaxed);
    lmn_passed_unmap(&r->memory);
    lmn_cfree(all->alloc, r, 1, sizeof *r, TAG);
}

/* Not registered any more; lock held, as below. */
static void remove_at(lmn_lent *l, uint32_t i)
{
    lmn_lent_region *r = l->region[i];
    l->region[i] = l->region[--l->n];
    (void)lmn_atomic_sub(&l->all->n, 1, relaxed);
    unref(r);
}

lmn_lent *lmn_lent_make(lmn_lents *all)
{
    lmn_lent *l = lmn_calloc(all->alloc, 1, sizeof *l, TAG);
    if (!l) return NULL;
    l->all = all;
    lmn_mutex_lock(&all->lock);
    l->next = all->first;
    if (l->next) l->next->prev = l;
    all->first = l;
    lmn_mutex_unlock(&all->lock);
    return l;
}

void lmn_lent_free(lmn_lent *l)
{
    if (!l) return;
    lmn_lents *all = l->all;
    lmn_mutex_lock(&all->lock);
    while (l->n) remove_at(l, 0);
    *(l->prev ? &l->prev->next : &all->first) = l->next;
    if (l->next) l->next->prev = l->prev;
    lmn_mutex_unlock(&all->lock);
    lmn_cfree(all->alloc, l, 1, sizeof *l, TAG);
}

static bool named(const lmn_lent_region *r, lmn_span name)
{
    return strlen(r->name) == name.n && !memcmp(r->name, name.p, name.n);
}

static bool sees(const lmn_lent_view *v, const lmn_lent *l, const lmn_lent_region *r)
{
    if (v->own) return l == v->own;
    return v->owner.peer.pid == r->owner.peer.pid && v->owner.peer.uid == r->owner.peer.uid &&
           !memcmp(v->owner.token, r->owner.token, sizeof r->owner.token);
}

/* How many the view has of that name (empty: at all), and one of them. */
static uint32_t look(const lmn_lent_view *v, lmn_span name, lmn_lent **at, uint32_t *index)
{
    uint32_t n = 0;
    for (lmn_lent *l = v->all->first; l; l = l->next)
        for (uint32_t i = 0; i < l->n; i++) {
            if (!sees(v, l, l->region[i]) || (name.n && !named(l->region[i], name))) continue;
            *at = l;
            *index = i;
            n++;
        }
    return n;
}

lamina_status lmn_lent_add(lmn_lent *l, lmn_span name, const lmn_lent_owner *owner, int fd,
                           uint64_t most, uint64_t most_held, lamina_error *err)
{
    lmn_lents *all = l->all;
    const lmn_lent_view own = {.all = all, .own = l};
    lmn_passed memory;
    LMN_TRY(lmn_passed_map(fd, most, &memory, err));
    lmn_lent_region *r = lmn_calloc(all->alloc, 1, sizeof *r, TAG);
    if (!r) {
        lmn_passed_unmap(&memory);
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    }
    lmn_atomic_init(&r->refs, 1);
    r->all = all;
    r->owner = *owner;
    memcpy(r->name, name.p, name.n < LMN_LENT_NAME ? name.n : LMN_LENT_NAME);
    r->memory = memory;
    (void)lmn_lent_drop(&own, name, NULL);
    const uint64_t held = lmn_atomic_add(&all->held, memory.bytes, relaxed) + memory.bytes;
    lmn_mutex_lock(&all->lock);
    const bool room = l->n < LMN_LENT_MOST && held <= most_held;
    if (room) {
        l->region[l->n++] = r;
        (void)lmn_atomic_add(&all->n, 1, relaxed);
    }
    lmn_mutex_unlock(&all->lock);
    if (room) return LAMINA_OK;
    unref(r);
    return lmn_fail(err, LAMINA_E_LIMIT,
                    "at most %u regions of a connection, and %llu bytes in all", LMN_LENT_MOST,
                    (unsigned long long)most_held);
}

static lamina_status several(lamina_error *err, lmn_span name)
{
    char shown[80];
    (void)lmn_format_name(shown, sizeof shown, name.p, name.n);
    return lmn_fail(err, LAMINA_E_INVALID,
                    "several connections of this process have registered a region \"%s\": give "
                    "them names of their own",
                    shown);
}

static lamina_status none(const lmn_lent_view *v, lamina_status st, lamina_error *err,
                          lmn_span name)
{
    char shown[80];
    (void)lmn_format_name(shown, sizeof shown, name.p, name.n);
    return lmn_fail(err, st, "no region \"%s\" was registered %s", shown,
                    v->own ? "on this connection" : "by this process and token");
}

lamina_status lmn_lent_find(lmn_lent_view *v, lmn_span name, const lmn_lent_region **out,
                            lamina_error *err)
{
    lmn_lent *at;
    uint32_t index;
    *out = NULL;
    for (uint32_t i = 0; i < v->n && !*out; i++)
        if (named(v->region[i], name)) *out = v->region[i];
    if (*out) return LAMINA_OK;
    if (!name.n || !v->all) return none(v, LAMINA_E_INVALID, err, name);
    if (v->n == LMN_LENT_MOST)
        return lmn_fail(err, LAMINA_E_LIMIT, "a request names more than %u regions", LMN_LENT_MOST);
    lmn_mutex_lock(&v->all->lock);
    const uint32_t n = look(v, name, &at, &index);
    if (n == 1) {
        lmn_lent_region *r = at->region[index];
        (void)lmn_atomic_add(&r->refs, 1, relaxed);
        *out = v->region[v->n++] = r;
    }
    lmn_mutex_unlock(&v->all->lock);
    if (n > 1) return several(err, name);
    return n ? LAMINA_OK : none(v, LAMINA_E_INVALID, err, name);
}

void lmn_lent_let_go(lmn_lent_view *v)
{
    while (v->n) unref(v->region[--v->n]);
}

lamina_status lmn_lent_check(const lmn_lent_part *p, lamina_error *err)
{
    const size_t all = p->region->memory.bytes;
    if (p->offset <= all && p->bytes <= all - p->offset) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_RANGE,
                    "%zu bytes at %zu lie past the end of the region \"%s\", which has %zu",
                    p->bytes, p->offset, p->region->name, all);
}

lamina_status lmn_lent_drop(const lmn_lent_view *v, lmn_span name, lamina_error *err)
{
    lmn_lent *at;
    uint32_t index;
    lmn_mutex_lock(&v->all->lock);
    const uint32_t n = look(v, name, &at, &index);
    if (n == 1 && name.n) remove_at(at, index);
    while (!name.n && look(v, name, &at, &index)) remove_at(at, index);
    lmn_mutex_unlock(&v->all->lock);
    if (name.n && n > 1) return several(err, name);
    return n || !name.n ? LAMINA_OK : none(v, LAMINA_E_RANGE, err, name);
}

uint32_t lmn_lent_each(const lmn_lent_view *v, lmn_span name,
                       void (*each)(void *ctx, const lmn_lent_region *r), void *ctx)
{
    uint32_t n = 0;
    lmn_mutex_lock(&v->all->lock);
    for (const lmn_lent *l = v->all->first; l; l = l->next)
        for (uint32_t i = 0; i < l->n; i++) {
            const lmn_lent_region *r = l->region[i];
            if (!sees(v, l, r) || (name.n && !named(r, name))) continue;
            each(ctx, r);
            n++;
        }
    lmn_mutex_unlock(&v->all->lock);
    return n;
}
