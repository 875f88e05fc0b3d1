/*
 * Buffers of a loop: slabs of 4 KiB from a pool, larger ones rounded so that blocks are met again
 * and kept for a while. What is held is counted against the loop's share of the limit.
 */
#include "http/http_int.h"

/* Quarters of a power of two, whole slabs. */
static size_t rounded(size_t n)
{
    if (n <= LMN_HTTP_SLAB) return LMN_HTTP_SLAB;
    size_t power = LMN_HTTP_SLAB;
    while (power < n / 2) power *= 2;
    const size_t step = power / 4 > LMN_HTTP_SLAB ? power / 4 : LMN_HTTP_SLAB;
    return lmn_align_up(n, step);
}

uint8_t *lmn_http_buf_take(lmn_http_loop *l, size_t n, size_t *bytes)
{
    if (n > l->limits.buffer_bytes) return NULL;
    const size_t want = rounded(n);
    if (want > l->limits.buffer_bytes - l->held) return NULL;
    uint8_t *p = want == LMN_HTTP_SLAB ? lmn_objpool_take(&l->slab_pool)
                                       : lmn_recycle_alloc(&l->blocks, &l->alloc, want, "http");
    if (!p) return NULL;
    l->held += want;
    *bytes = want;
    return p;
}

void lmn_http_buf_give(lmn_http_loop *l, uint8_t *p, size_t bytes)
{
    if (!p) return;
    l->held -= bytes;
    if (bytes == LMN_HTTP_SLAB) {
        lmn_objpool_give(&l->slab_pool, p);
        return;
    }
    lmn_recycle_free(&l->blocks, &l->alloc, p, bytes, "http");
    if (l->blocks.held > LMN_HTTP_KEPT_BYTES)
        (void)lmn_recycle_trim(&l->blocks, &l->alloc, LMN_HTTP_KEPT_BYTES);
}
