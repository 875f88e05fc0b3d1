/*
 * madvise. A kernel without huge pages refuses, and nothing is lost.
 */
#include "base/os/os_memory.h"

#include <sys/mman.h>
#include <unistd.h>

void lmn_advise_huge(void *p, size_t bytes)
{
    const uintptr_t from = lmn_align_up((uintptr_t)p, LMN_HUGE_BYTES);
    const uintptr_t to = ((uintptr_t)p + bytes) & ~(uintptr_t)(LMN_HUGE_BYTES - 1);
    if (from < to) (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}

void lmn_advise_idle(const void *p, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t from = lmn_align_up((uintptr_t)p, page);
    const uintptr_t to = ((uintptr_t)p + bytes) & ~(page - 1);
    if (from < to) (void)madvise((void *)from, to - from, MADV_DONTNEED);
}
