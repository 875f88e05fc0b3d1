/*
 * Recycled blocks: large short-lived blocks (outputs, scratch) kept for the next run that asks for
 * the same size. What the C library would map and unmap for every run costs a page fault each
 * 4 KiB, which is a quarter of a decode step. Bounded in blocks and bytes; lamina_session_trim
 * empties it. A zeroed record is an empty one.
 */
#ifndef LMN_BASE_RECYCLE_H
#define LMN_BASE_RECYCLE_H

#include "base/alloc.h"
#include "base/atomic.h"

enum { LMN_RECYCLE_MAX = 64 }; /* blocks kept */

typedef struct lmn_recycle {
    lmn_atomic(uint32_t) busy; /* who finds it set goes to the allocator instead of waiting */
    size_t held;               /* bytes of all blocks */
    int32_t n;
    struct {
        void *p;
        size_t bytes;
    } block[LMN_RECYCLE_MAX]; /* oldest first */
} lmn_recycle;

/* As lmn_alloc and lmn_free with LMN_TENSOR_ALIGN, by way of the kept blocks. Any thread. */
void *lmn_recycle_alloc(lmn_recycle *r, const lamina_allocator *a, size_t bytes, const char *tag);
void lmn_recycle_free(lmn_recycle *r, const lamina_allocator *a, void *p, size_t bytes,
                      const char *tag);
/* Release the oldest blocks until at most `keep` bytes are held; returns the bytes released. */
size_t lmn_recycle_trim(lmn_recycle *r, const lamina_allocator *a, size_t keep);

#endif
