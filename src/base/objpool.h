/*
 * Pool of objects of one size: taken and given back in any order, memory released as a whole. Not
 * thread-safe. Objects come zeroed, aligned 16.
 */
#ifndef LMN_BASE_OBJPOOL_H
#define LMN_BASE_OBJPOOL_H

#include "base/alloc.h"

typedef struct lmn_objpool {
    const lamina_allocator *alloc;
    size_t elem_bytes, n_live, n_made, max;
    void *free_list; /* first word of a free object points at the next */
    void *blocks;    /* likewise for blocks */
} lmn_objpool;

/* `max` bounds the objects live at once. */
void lmn_objpool_init(lmn_objpool *p, const lamina_allocator *alloc, size_t elem_bytes, size_t max);
void lmn_objpool_finish(lmn_objpool *p); /* a zeroed one is fine */
/* NULL on exhaustion or past max. */
void *lmn_objpool_take(lmn_objpool *p);
void lmn_objpool_give(lmn_objpool *p, void *object); /* NULL is fine */

#endif
