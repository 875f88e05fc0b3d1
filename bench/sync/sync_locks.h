/*
 * The contenders of the subject "locks", ours in C and others in C++: something that n threads do
 * over and over, and that can be checked.
 */
#ifndef SYNC_LOCKS_H
#define SYNC_LOCKS_H

#include "sync_bench.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SYNC_CACHE_ENTRIES 4096u

typedef struct sync_lock_kind {
    const char *name, *progress; /* name NULL ends a table */
    bool ours, cache;
    void *(*make)(void);
    void (*destroy)(void *x);
    /* n times: add one to *count under the lock; or ask for a random key below `keys` and compare
     * the value with it. What is wrong is counted. */
    uint64_t (*lock)(void *x, uint64_t n, uint64_t *count);
    uint64_t (*ask)(void *x, uint64_t n, uint64_t keys, uint64_t seed);
} sync_lock_kind;

extern const sync_lock_kind sync_locks_others[];

static inline uint64_t sync_random(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x >> 33;
}

#ifdef __cplusplus
}
#endif

#endif
