/*
 * Memory: the engine's allocator behind three small doors (raw blocks, arena, growable array).
 * Every block is sized and tagged; a failing allocation is a status, never an abort.
 */
#ifndef LMN_BASE_ALLOC_H
#define LMN_BASE_ALLOC_H

#include "base/types.h"

#define LMN_TENSOR_ALIGN 64u

/* The C library's allocator as a vtable: the default of an engine. */
extern const lamina_allocator lmn_libc_allocator;

/* Uninitialised block; NULL on exhaustion or for bytes == 0. Release with the same size and align.
 */
static inline void *lmn_alloc(const lamina_allocator *a, size_t bytes, size_t align,
                              const char *tag)
{
    return bytes ? a->alloc(a->ctx, bytes, align, tag) : NULL;
}
/* NULL is allowed. */
static inline void lmn_free(const lamina_allocator *a, void *p, size_t bytes, size_t align,
                            const char *tag)
{
    if (p) a->free(a->ctx, p, bytes, align, tag);
}
/* Zeroed block aligned for any type (16). */
void *lmn_calloc(const lamina_allocator *a, size_t n, size_t elem_bytes, const char *tag);
/* Release what lmn_calloc gave, with the same n and elem_bytes. */
static inline void lmn_cfree(const lamina_allocator *a, void *p, size_t n, size_t elem_bytes,
                             const char *tag)
{
    lmn_free(a, p, n * elem_bytes, 16, tag);
}

/*
 * Arena: bump allocation, released as a whole. Not thread-safe. `max_bytes` bounds what it may ever
 * take (0 = no bound); past it or on exhaustion every call returns NULL and `failed` stays set, so
 * a builder may check once at the end.
 */
typedef struct lmn_arena_block lmn_arena_block;
typedef struct lmn_arena {
    const lamina_allocator *alloc;
    lmn_arena_block *head;
    uint8_t *cur, *end;
    size_t taken_bytes, max_bytes;
    bool failed;
} lmn_arena;

void lmn_arena_init(lmn_arena *a, const lamina_allocator *alloc, size_t max_bytes);
/* Zeroed arena is legal to finish. */
void lmn_arena_finish(lmn_arena *a);
/* Zeroed memory, `align` <= 64. NULL on exhaustion. bytes == 0 gives a valid unique-less pointer.
 */
void *lmn_arena_alloc(lmn_arena *a, size_t bytes, size_t align);
/* n * elem_bytes with overflow check, aligned 16. */
void *lmn_arena_array(lmn_arena *a, size_t n, size_t elem_bytes);
/* The same, not zeroed: for long lists that are written at once. */
void *lmn_arena_raw(lmn_arena *a, size_t n, size_t elem_bytes);
/* Copy of n bytes plus a terminating zero. */
char *lmn_arena_strn(lmn_arena *a, const void *s, size_t n);
char *lmn_arena_str(lmn_arena *a, const char *s);
void *lmn_arena_dup(lmn_arena *a, const void *p, size_t bytes);
#define LMN_ARENA_NEW(a, type) ((type *)lmn_arena_alloc((a), sizeof(type), _Alignof(type)))
#define LMN_ARENA_ARRAY(a, type, n) ((type *)lmn_arena_array((a), (n), sizeof(type)))

/*
 * Grow a plain array held as (pointer, capacity in elements): makes room for `need` elements,
 * doubling, at most `max`. On failure the array is unchanged. LAMINA_E_LIMIT past max.
 */
lamina_status lmn_grow(const lamina_allocator *a, void **ptr, size_t *cap, size_t need, size_t max,
                       size_t elem_bytes, const char *tag);

#endif
