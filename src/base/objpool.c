/*
 * The object pool: blocks of objects, a free list threaded through the objects themselves.
 */
#include "base/objpool.h"

#include <string.h>

#define BLOCK_HEAD 16u
#define BLOCK_OBJECTS 64u

static size_t block_bytes(const lmn_objpool *p)
{
    return BLOCK_HEAD + BLOCK_OBJECTS * p->elem_bytes;
}

void lmn_objpool_init(lmn_objpool *p, const lamina_allocator *alloc, size_t elem_bytes, size_t max)
{
    lmn_assert(elem_bytes <= SIZE_MAX / 256);
    *p = (lmn_objpool){.alloc = alloc, .max = max};
    p->elem_bytes = lmn_align_up(elem_bytes ? elem_bytes : 1, 16);
}

void lmn_objpool_finish(lmn_objpool *p)
{
    for (void *b = p->blocks, *next; b; b = next) {
        memcpy(&next, b, sizeof next);
        lmn_free(p->alloc, b, block_bytes(p), 16, "objpool");
    }
    *p = (lmn_objpool){0};
}

static bool more(lmn_objpool *p)
{
    uint8_t *b = lmn_alloc(p->alloc, block_bytes(p), 16, "objpool");
    if (!b) return false;
    memcpy(b, &p->blocks, sizeof p->blocks);
    p->blocks = b;
    for (size_t i = BLOCK_OBJECTS; i-- > 0;) {
        void *object = b + BLOCK_HEAD + i * p->elem_bytes;
        memcpy(object, &p->free_list, sizeof p->free_list);
        p->free_list = object;
    }
    p->n_made += BLOCK_OBJECTS;
    return true;
}

void *lmn_objpool_take(lmn_objpool *p)
{
    if (p->n_live >= p->max || (!p->free_list && !more(p))) return NULL;
    void *object = p->free_list;
    memcpy(&p->free_list, object, sizeof p->free_list);
    memset(object, 0, p->elem_bytes);
    p->n_live++;
    return object;
}

void lmn_objpool_give(lmn_objpool *p, void *object)
{
    if (!object) return;
    memcpy(object, &p->free_list, sizeof p->free_list);
    p->free_list = object;
    p->n_live--;
}
