/*
 * What the harnesses share. MC_PART names a part of a scene that is one call; mc_memory is memory
 * whose use after free and leaks are found; mc_item and mc_got keep the books of a queue of
 * pointers: what was accepted comes out once and whole. The books are plain, because fibres switch
 * at atomics only (so no `n += call()`, which may read n first).
 */
#ifndef MC_FRAME_H
#define MC_FRAME_H

#include "base/alloc.h"
#include "lamina/stmc.h"

#define MC_PART(name, call) \
    static void name(void)  \
    {                       \
        call;               \
    }

static inline void *mc_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)align, (void)tag;
    return stmc_malloc(bytes);
}

static inline void mc_free(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)bytes, (void)align, (void)tag;
    stmc_free(p);
}

static const lamina_allocator mc_memory = {LAMINA_ALLOCATOR_ABI, NULL, mc_alloc, mc_free};

#define MC_ITEMS 8

typedef struct mc_books {
    uint32_t item[MC_ITEMS];
    uint32_t n_in, n_out, taken; /* taken: a bit for each item */
} mc_books;

static inline void mc_books_open(mc_books *b)
{
    b->n_in = b->n_out = b->taken = 0;
}

/* Item i, written: to be pushed. */
static inline void *mc_item(mc_books *b, uint32_t i)
{
    stmc_write(b->item[i], 100 + i);
    return &b->item[i];
}

/* Which item came out. */
static inline uint32_t mc_got(mc_books *b, void *item)
{
    const uint32_t i = (uint32_t)((uint32_t *)item - b->item);
    stmc_check(i < MC_ITEMS && stmc_read(b->item[i]) == 100 + i);
    stmc_check(!(b->taken >> i & 1));
    b->taken |= 1u << i;
    b->n_out++;
    return i;
}

#endif
