/*
 * Pool of objects of one size: taken and given back in any order, memory released as a whole. Free
 * objects hang on a list through their own first words, so that the one given back last, which is
 * still in the cache, is taken first; take and give are three instructions each.
 *
 * One owner: not thread-safe (sync/magpool.h is). Objects come as they are, aligned 16, and 64 when
 * their size is a multiple of 64. What lies free is poisoned (base/poison.h).
 */
#ifndef LMN_BASE_OBJPOOL_H
#define LMN_BASE_OBJPOOL_H

#include "base/alloc.h"

typedef struct lmn_objpool {
    void *free_list; /* first word of a free object points at the next */
    const lamina_allocator *alloc;
    size_t elem_bytes, n_made, max;
    struct lmn_objpool_block *blocks;
} lmn_objpool;

/* `max` bounds the objects there are, live or free. elem_bytes <= SIZE_MAX / 65536. */
void lmn_objpool_init(lmn_objpool *p, const lamina_allocator *alloc, size_t elem_bytes, size_t max);
void lmn_objpool_finish(lmn_objpool *p); /* a zeroed one is fine */
/* Put another block of objects on the list; false on exhaustion or at max. */
bool lmn_objpool_more(lmn_objpool *p);

/* An object, not zeroed; NULL on exhaustion or past max. */
static inline void *lmn_objpool_take(lmn_objpool *p)
{
    if (LMN_UNLIKELY(!p->free_list) && !lmn_objpool_more(p)) return NULL;
    void **object = p->free_list;
    lmn_unpoison_kept(object, sizeof *object);
    p->free_list = *object;
    lmn_unpoison(object, p->elem_bytes);
    return object;
}

/* Back, from the same pool; not NULL. */
static inline void lmn_objpool_give(lmn_objpool *p, void *object)
{
    void **o = object;
    *o = p->free_list;
    p->free_list = o;
    lmn_poison(o, p->elem_bytes);
}

#endif
