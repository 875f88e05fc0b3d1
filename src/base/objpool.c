/*
 * The blocks of a pool (objpool.h): as many objects again as there are, within bounds, so that a
 * pool of few stays small and one of many asks seldom.
 */
#include "base/objpool.h"

#define LEAST_OBJECTS 64u
#define MOST_BYTES ((size_t)256 << 10) /* of a block, unless LEAST_OBJECTS take more */

typedef struct lmn_objpool_block {
    struct lmn_objpool_block *next;
    size_t bytes;
    _Alignas(64) uint8_t objects[];
} block;

void lmn_objpool_init(lmn_objpool *p, const lamina_allocator *alloc, size_t elem_bytes, size_t max)
{
    lmn_assert(elem_bytes <= SIZE_MAX / 65536);
    *p = (lmn_objpool){.alloc = alloc, .max = max};
    p->elem_bytes = lmn_align_up(elem_bytes ? elem_bytes : 1, 16);
}

void lmn_objpool_finish(lmn_objpool *p)
{
    for (block *b = p->blocks, *next; b; b = next) {
        next = b->next;
        lmn_unpoison(b->objects, b->bytes - sizeof *b);
        lmn_free(p->alloc, b, b->bytes, 64, "objpool");
    }
    *p = (lmn_objpool){0};
}

bool lmn_objpool_more(lmn_objpool *p)
{
    size_t n = p->n_made, most = MOST_BYTES / p->elem_bytes;
    if (n > most) n = most;
    if (n < LEAST_OBJECTS) n = LEAST_OBJECTS;
    if (n > p->max - p->n_made) n = p->max - p->n_made;
    if (n == 0) return false;
    const size_t bytes = sizeof(block) + n * p->elem_bytes;
    block *b = lmn_alloc(p->alloc, bytes, 64, "objpool");
    if (!b) return false;
    b->next = p->blocks;
    b->bytes = bytes;
    p->blocks = b;
    p->n_made += n;
    for (size_t i = n; i-- > 0;) lmn_objpool_give(p, b->objects + i * p->elem_bytes);
    return true;
}
