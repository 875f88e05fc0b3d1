/*
 * Advice to the kernel about memory.
 */
#ifndef LMN_BASE_OS_MEMORY_H
#define LMN_BASE_OS_MEMORY_H

#include "base/types.h"

#define LMN_HUGE_BYTES \
    ((size_t)2 << 20) /* of a huge page on x86-64, and on AArch64 with 4K pages */

/* The alignment of a block of so many bytes that may be on huge pages: `small` where it fills none.
 */
static inline size_t lmn_huge_align(size_t bytes, size_t small)
{
    return bytes < LMN_HUGE_BYTES ? small : LMN_HUGE_BYTES;
}

/* The whole huge pages in this range may be backed by huge pages. Advice: nothing happens where the
 * kernel has none. */
void lmn_advise_huge(void *p, size_t bytes);

/* The whole pages in this range, which must be of a mapped file, are not needed soon: they leave
 * the memory of this process and are read from the file again by whoever comes. */
void lmn_advise_idle(const void *p, size_t bytes);

#endif
