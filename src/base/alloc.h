/*
 * Memory: the engine's allocator behind three small doors (raw blocks, arena, growable array).
 * Every block is sized and tagged; a failing allocation is a status, never an abort.
 */
#ifndef LMN_BASE_ALLOC_H
#define LMN_BASE_ALLOC_H

#include "base/poison.h"
#include "base/types.h"

#define LMN_TENSOR_ALIGN 64u

/* From worker to worker in a block in which each of `n` has `bytes`. Between them lies a page:
   cores fetch ahead of what they read, and would take the first lines of the next from their owner.
 */
static inline size_t lmn_worker_step(size_t bytes, size_t n)
{
    return lmn_align_up(bytes, LMN_TENSOR_ALIGN) + (n > 1 ? 4096 : 0);
}

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
 * Arena: bump allocation in chained blocks, released as a whole or back to a mark. Not thread-safe.
 * `max_bytes` bounds what it may ever take (0 = no bound); past it or on exhaustion every call
 * returns NULL and `failed` stays set, so a builder may check once at the end. What is given out is
 * a multiple of LMN_ARENA_UNIT bytes, so that the common alignments need no arithmetic; what is not
 * is poisoned (base/poison.h). Blocks of 4 MiB and more ask for huge pages.
 */
#define LMN_ARENA_UNIT 16u
typedef struct lmn_arena_block lmn_arena_block;
typedef struct lmn_arena {
    const lamina_allocator *alloc;
    lmn_arena_block *head;
    uint8_t *cur, *end;     /* free part of head; both multiples of the unit */
    lmn_arena_block *spare; /* kept by a rewind for the next that is needed */
    size_t taken_bytes, max_bytes;
    bool failed;
} lmn_arena;

/* Where an arena stood. */
typedef struct lmn_arena_mark {
    lmn_arena_block *head;
    uint8_t *cur;
} lmn_arena_mark;

void lmn_arena_init(lmn_arena *a, const lamina_allocator *alloc, size_t max_bytes);
/* Zeroed arena is legal to finish. */
void lmn_arena_finish(lmn_arena *a);
/* The way of lmn_arena_bump that needs another block. */
void *lmn_arena_bump_slow(lmn_arena *a, size_t bytes, size_t align);

/* Memory as it comes, `align` <= 64; NULL on exhaustion. */
static inline void *lmn_arena_bump(lmn_arena *a, size_t bytes, size_t align)
{
    uint8_t *at = a->cur;
    if (align > LMN_ARENA_UNIT) {
        const size_t pad = (size_t)(-(uintptr_t)at & (align - 1));
        if (pad >= (uintptr_t)a->end - (uintptr_t)at) return lmn_arena_bump_slow(a, bytes, align);
        at += pad;
    }
    /* less, not equal: an arena without a block has no room even for nothing */
    if (LMN_UNLIKELY(bytes >= (uintptr_t)a->end - (uintptr_t)at))
        return lmn_arena_bump_slow(a, bytes, align);
    a->cur = at + lmn_align_up(bytes, LMN_ARENA_UNIT);
    lmn_unpoison(at, bytes);
    return at;
}

static inline lmn_arena_mark lmn_arena_mark_here(const lmn_arena *a)
{
    return (lmn_arena_mark){a->head, a->cur};
}
/* The way of lmn_arena_rewind that gives blocks back. */
void lmn_arena_rewind_slow(lmn_arena *a, lmn_arena_mark mark);
/* Take back all that was given out since the mark was made. Marks nest: those made later are gone.
 * The largest block that falls free is kept for the next need, the others are released. */
static inline void lmn_arena_rewind(lmn_arena *a, lmn_arena_mark mark)
{
    if (LMN_UNLIKELY(mark.head != a->head)) {
        lmn_arena_rewind_slow(a, mark);
        return;
    }
    lmn_poison(mark.cur, (size_t)((uintptr_t)a->cur - (uintptr_t)mark.cur));
    a->cur = mark.cur;
}

/* Zeroed memory, `align` <= 64. NULL on exhaustion. bytes == 0 gives a valid unique-less pointer.
 */
void *lmn_arena_alloc(lmn_arena *a, size_t bytes, size_t align);
/* n * elem_bytes with overflow check, aligned 16. */
void *lmn_arena_array(lmn_arena *a, size_t n, size_t elem_bytes);
/* The same, not zeroed: for long lists that are written at once. */
static inline void *lmn_arena_raw(lmn_arena *a, size_t n, size_t elem_bytes)
{
    size_t bytes;
    if (LMN_UNLIKELY(!lmn_mul_size(n, elem_bytes, &bytes))) {
        a->failed = true;
        return NULL;
    }
    return lmn_arena_bump(a, bytes, 16);
}
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
