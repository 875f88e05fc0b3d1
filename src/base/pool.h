/*
 * Pool of objects of one size: taken and given back in any order, memory released as a whole. Not
 * thread-safe. Objects come zeroed, aligned 16.
 */
#ifndef LMN_BASE_POOL_H
#define LMN_BASE_POOL_H

#include "base/alloc.h"

typedef struct lmn_pool {
    const lamina_allocator *alloc;
    size_t elem_bytes, n_live, n_made, max;
    void *free_list; /* first word of a free object points at the next */
    void *blocks;    /* likewise for blocks */
} lmn_pool;

/* `max` bounds the objects live at once. */
void lmn_pool_init(lmn_pool *p, const lamina_allocator *alloc, size_t elem_bytes, size_t max);
void lmn_pool_finish(lmn_pool *p); /* a zeroed one is fine */
/* NULL on exhaustion or past max. */
void *lmn_pool_take(lmn_pool *p);
void lmn_pool_give(lmn_pool *p, void *object); /* NULL is fine */

#endif
