/*
 * The depot of a pool (magpool.h): two stacks of magazines, the table that turns ids into
 * magazines, and slabs of objects. A magazine belongs to the stack it lies on, or to who popped it.
 *
 * Linearisation: a push or a pop of a stack at its compare-and-swap. Every write of a top is a
 * read-modify-write, so that a pop which loads it with acquire sees all that was pushed below.
 */
#include "sync/magpool.h"

#define ID_BITS 24
#define ID_MASK (((uint64_t)1 << ID_BITS) - 1)
#define SLAB_HEAD 64u
#define K LMN_MAG_OBJECTS

#ifndef LMN_MC
_Static_assert(sizeof(lmn_magazine) == 512, "eight lines");
#endif
_Static_assert(LMN_MAG_FIRST << LMN_MAG_CHUNKS <= ID_MASK, "ids fit");

typedef struct slab {
    struct slab *next;
    size_t bytes;
} slab;

void lmn_magpool_init(lmn_magpool *p, const lamina_allocator *a, size_t elem_bytes, uint64_t max)
{
    lmn_assert(elem_bytes <= SIZE_MAX / 256);
    p->alloc = *a;
    p->elem_bytes = lmn_align_up(elem_bytes ? elem_bytes : 1, 16);
    p->max = max;
    lmn_atomic_init(&p->full, 0);
    lmn_atomic_init(&p->empty, 0);
    lmn_atomic_init(&p->strays, NULL);
    lmn_atomic_init(&p->slabs, NULL);
    lmn_atomic_init(&p->n_made, 0);
    lmn_atomic_init(&p->n_magazines, 0);
    for (int i = 0; i < LMN_MAG_CHUNKS; i++) lmn_atomic_init(&p->chunk[i], NULL);
}

static size_t chunk_bytes(int i)
{
    return ((size_t)LMN_MAG_FIRST << i) * sizeof(lmn_magazine);
}

void lmn_magpool_finish(lmn_magpool *p)
{
    for (slab *s = lmn_atomic_load(&p->slabs, relaxed), *next; s; s = next) {
        next = s->next;
        lmn_unpoison((uint8_t *)s + SLAB_HEAD, s->bytes - SLAB_HEAD);
        lmn_free(&p->alloc, s, s->bytes, 64, "magpool");
    }
    for (int i = 0; i < LMN_MAG_CHUNKS; i++)
        lmn_free(&p->alloc, lmn_atomic_load(&p->chunk[i], relaxed), chunk_bytes(i), 64,
                 "magazines");
}

/* Chunk and place of magazine number i. */
static int place(uint32_t i, uint32_t *at)
{
    const int k = 31 - __builtin_clz(i / LMN_MAG_FIRST + 1);
    *at = i - LMN_MAG_FIRST * ((1u << k) - 1);
    return k;
}

/* Who has an id from a stack comes after the making of its chunk: relaxed will do. */
static lmn_magazine *magazine_of(lmn_magpool *p, uint32_t id)
{
    uint32_t at;
    const int k = place(id - 1, &at);
    return (lmn_magazine *)lmn_atomic_load(&p->chunk[k], relaxed) + at;
}

/* Chunk k, made if need be; NULL when memory is out. */
static lmn_magazine *chunk_of(lmn_magpool *p, int k)
{
    void *there = lmn_atomic_load(&p->chunk[k], acquire);
    if (there) return there;
    lmn_magazine *c = lmn_alloc(&p->alloc, chunk_bytes(k), 64, "magazines");
    if (!c) return NULL;
    for (uint32_t i = 0; i < LMN_MAG_FIRST << k; i++) {
        lmn_plain_write(&c[i].n, sizeof c[i].n);
        lmn_atomic_init(&c[i].next, 0);
        c[i].id = LMN_MAG_FIRST * ((1u << k) - 1) + i + 1;
        c[i].n = 0;
    }
    if (lmn_atomic_cas(&p->chunk[k], &there, (void *)c, acq_rel)) return c;
    lmn_free(&p->alloc, c, chunk_bytes(k), 64, "magazines");
    return there;
}

static lmn_magazine *magazine_new(lmn_magpool *p)
{
    uint32_t i = lmn_atomic_load(&p->n_magazines, relaxed), at;
    for (;;) {
        const int k = place(i, &at);
        lmn_magazine *c = k < LMN_MAG_CHUNKS ? chunk_of(p, k) : NULL;
        if (!c) return NULL;
        if (lmn_atomic_cas(&p->n_magazines, &i, i + 1, relaxed)) return c + at;
    }
}

static void push(lmn_atomic(uint64_t) * top, lmn_magazine *m)
{
    uint64_t old = lmn_atomic_load(top, relaxed);
    do lmn_atomic_store(&m->next, (uint32_t)(old & ID_MASK), relaxed);
    while (!lmn_atomic_cas(top, &old, (old & ~ID_MASK) | m->id, release));
}

static lmn_magazine *pop(lmn_magpool *p, lmn_atomic(uint64_t) * top)
{
    for (;;) {
        uint64_t old = lmn_atomic_load(top, acquire);
        if ((old & ID_MASK) == 0) return NULL;
        lmn_magazine *m = magazine_of(p, (uint32_t)(old & ID_MASK));
        /* Not ours yet: it may be anything, but then the tag has moved. */
        const uint32_t below = lmn_atomic_load(&m->next, relaxed);
        const uint64_t tag = (old & ~ID_MASK) + (ID_MASK + 1);
        if (lmn_atomic_cas(top, &old, tag | below, relaxed)) return m;
    }
}

static void put(lmn_magpool *p, lmn_magazine *m, void *object)
{
    lmn_poison(object, p->elem_bytes);
    lmn_plain_write(&m->n, sizeof m->n);
    m->object[m->n++] = object;
}

void lmn_magpool_stray(lmn_magpool *p, void *object)
{
    void *old = lmn_atomic_load(&p->strays, relaxed);
    do {
        lmn_plain_write(object, sizeof old);
        *(void **)object = old;
    } while (!lmn_atomic_cas(&p->strays, &old, object, release));
}

/* All strays, as many as fit into an empty magazine of ours; were there any? */
static bool collect(lmn_magpool *p, lmn_magazine *m)
{
    if (!lmn_atomic_load(&p->strays, relaxed)) return false;
    void *o = lmn_atomic_exchange(&p->strays, NULL, acquire);
    while (o) {
        lmn_plain_read(o, sizeof o);
        void *next = *(void **)o;
        if (m->n < K)
            put(p, m, o);
        else
            lmn_magpool_stray(p, o);
        o = next;
    }
    return m->n > 0;
}

/* New objects into an empty magazine of ours. */
static bool make(lmn_magpool *p, lmn_magazine *m)
{
    uint64_t made = lmn_atomic_load(&p->n_made, relaxed), n;
    do {
        n = p->max - made < K ? p->max - made : K;
        if (n == 0) return false;
    } while (!lmn_atomic_cas(&p->n_made, &made, made + n, relaxed));
    const size_t bytes = SLAB_HEAD + (size_t)n * p->elem_bytes;
    slab *s = lmn_alloc(&p->alloc, bytes, 64, "magpool");
    if (!s) {
        (void)lmn_atomic_sub(&p->n_made, n, relaxed);
        return false;
    }
    s->bytes = bytes;
    void *first = lmn_atomic_load(&p->slabs, relaxed);
    do s->next = first;
    while (!lmn_atomic_cas(&p->slabs, &first, (void *)s, relaxed));
    for (uint64_t i = n; i-- > 0;) put(p, m, (uint8_t *)s + SLAB_HEAD + i * p->elem_bytes);
    return true;
}

static void swap(lmn_magcache *c)
{
    lmn_magazine *m = c->loaded;
    c->loaded = c->spare;
    c->spare = m;
}

void *lmn_mag_take_slow(lmn_magcache *c)
{
    lmn_magpool *p = c->pool;
    if (c->spare->n) {
        swap(c);
    } else {
        lmn_magazine *m = pop(p, &p->full);
        if (m) {
            push(&p->empty, c->loaded);
            c->loaded = m;
        } else if (!collect(p, c->loaded) && !make(p, c->loaded)) {
            return NULL;
        }
    }
    lmn_plain_read(&c->loaded->n, sizeof c->loaded->n);
    return lmn_mag_take(c);
}

void lmn_mag_give_slow(lmn_magcache *c, void *object)
{
    lmn_magpool *p = c->pool;
    if (c->spare->n < K) {
        swap(c);
    } else {
        lmn_magazine *m = pop(p, &p->empty);
        if (!m) m = magazine_new(p);
        if (!m) {
            lmn_magpool_stray(p, object);
            return;
        }
        push(&p->full, c->spare);
        c->spare = c->loaded;
        c->loaded = m;
    }
    put(p, c->loaded, object);
}

lmn_magcache *lmn_mag_join(lmn_magpool *p)
{
    lmn_magcache *c = lmn_alloc(&p->alloc, sizeof *c, LMN_APART, "magazine cache");
    if (!c) return NULL;
    c->pool = p;
    c->loaded = pop(p, &p->empty);
    if (!c->loaded) c->loaded = magazine_new(p);
    c->spare = c->loaded ? pop(p, &p->empty) : NULL;
    if (c->loaded && !c->spare) c->spare = magazine_new(p);
    if (c->spare) return c;
    if (c->loaded) push(&p->empty, c->loaded);
    lmn_free(&p->alloc, c, sizeof *c, LMN_APART, "magazine cache");
    return NULL;
}

void lmn_mag_leave(lmn_magcache *c)
{
    lmn_magpool *p = c->pool;
    push(c->loaded->n ? &p->full : &p->empty, c->loaded);
    push(c->spare->n ? &p->full : &p->empty, c->spare);
    lmn_free(&p->alloc, c, sizeof *c, LMN_APART, "magazine cache");
}
