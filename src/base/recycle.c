/*
 * Recycled blocks (recycle.h). A block is found by its exact size, the youngest first, because it
 * is the likeliest to be in the cache; the oldest leave when a bound is reached. Blocks leave the
 * allocator under one tag and go back under the same: every block here is named "block".
 */
#include "base/recycle.h"

#include <string.h>

enum {
    LEAST = 64 << 10,     /* smaller blocks are the C library's business */
    MOST_HELD = 128 << 20 /* bytes */
};
#define TAG "block"

static bool enter(lmn_recycle *r)
{
    return lmn_atomic_exchange(&r->busy, 1, acquire) == 0;
}
static void leave(lmn_recycle *r)
{
    lmn_atomic_store(&r->busy, 0, release);
}

/* The block at `at` goes out of the table. */
static void *take(lmn_recycle *r, int32_t at)
{
    void *p = r->block[at].p;
    r->held -= r->block[at].bytes;
    r->n--;
    memmove(&r->block[at], &r->block[at + 1], (size_t)(r->n - at) * sizeof r->block[0]);
    return p;
}
static void drop_oldest(lmn_recycle *r, const lamina_allocator *a)
{
    const size_t bytes = r->block[0].bytes;
    lmn_free(a, take(r, 0), bytes, LMN_TENSOR_ALIGN, TAG);
}

void *lmn_recycle_alloc(lmn_recycle *r, const lamina_allocator *a, size_t bytes, const char *tag)
{
    if (bytes < LEAST) return lmn_alloc(a, bytes, LMN_TENSOR_ALIGN, tag);
    void *p = NULL;
    if (enter(r)) {
        for (int32_t i = r->n - 1; i >= 0 && !p; i--)
            if (r->block[i].bytes == bytes) p = take(r, i);
        leave(r);
    }
    if (!p) p = lmn_alloc(a, bytes, LMN_TENSOR_ALIGN, TAG);
    if (!p && lmn_recycle_trim(r, a, 0) > 0) p = lmn_alloc(a, bytes, LMN_TENSOR_ALIGN, TAG);
    return p;
}

void lmn_recycle_free(lmn_recycle *r, const lamina_allocator *a, void *p, size_t bytes,
                      const char *tag)
{
    if (bytes < LEAST || bytes > MOST_HELD || !enter(r)) {
        lmn_free(a, p, bytes, LMN_TENSOR_ALIGN, bytes < LEAST ? tag : TAG);
        return;
    }
    while (r->n == LMN_RECYCLE_MAX || r->held > MOST_HELD - bytes) drop_oldest(r, a);
    r->block[r->n].p = p;
    r->block[r->n].bytes = bytes;
    r->n++;
    r->held += bytes;
    leave(r);
}

size_t lmn_recycle_trim(lmn_recycle *r, const lamina_allocator *a, size_t keep)
{
    if (!enter(r)) return 0;
    const size_t before = r->held;
    while (r->n > 0 && r->held > keep) drop_oldest(r, a);
    const size_t freed = before - r->held;
    leave(r);
    return freed;
}
