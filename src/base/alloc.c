/*
 * The default allocator, the arena and the growable array.
 */
#include "base/alloc.h"

#include "base/os/os_memory.h"

#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)tag;
    if (align <= 16) return malloc(bytes);
    size_t rounded = lmn_align_up(bytes, align);
    return rounded < bytes ? NULL : aligned_alloc(align, rounded);
}

static void libc_free(void *ctx, void *ptr, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)bytes, (void)align, (void)tag;
    free(ptr);
}

const lamina_allocator lmn_libc_allocator = {LAMINA_ALLOCATOR_ABI, NULL, libc_alloc, libc_free};

void *lmn_calloc(const lamina_allocator *a, size_t n, size_t elem_bytes, const char *tag)
{
    size_t bytes;
    if (!lmn_mul_size(n, elem_bytes, &bytes)) return NULL;
    void *p = lmn_alloc(a, bytes, 16, tag);
    if (p) memset(p, 0, bytes);
    return p;
}

struct lmn_arena_block {
    lmn_arena_block *next;
    size_t bytes; /* of the whole block, this header included */
};
_Static_assert(sizeof(lmn_arena_block) % LMN_ARENA_UNIT == 0, "what follows is aligned");

/* Blocks grow with the arena: little is wasted in small ones, little is asked for in large ones. */
#define FIRST_BYTES ((size_t)2 << 10)
#define BLOCK_BYTES ((size_t)16 << 10)
#define LARGE_BYTES ((size_t)128 << 10)
#define HUGE_BYTES (2 * LMN_HUGE_BYTES)

void lmn_arena_init(lmn_arena *a, const lamina_allocator *alloc, size_t max_bytes)
{
    *a = (lmn_arena){.alloc = alloc, .max_bytes = max_bytes};
}

static size_t block_align(size_t bytes)
{
    return bytes >= HUGE_BYTES ? LMN_HUGE_BYTES : 64;
}

static void block_free(lmn_arena *a, lmn_arena_block *b)
{
    if (!b) return;
    lmn_unpoison(b + 1, b->bytes - sizeof *b);
    a->taken_bytes -= b->bytes;
    lmn_free(a->alloc, b, b->bytes, block_align(b->bytes), "arena");
}

void lmn_arena_finish(lmn_arena *a)
{
    for (lmn_arena_block *b = a->head; b;) {
        lmn_arena_block *next = b->next;
        block_free(a, b);
        b = next;
    }
    block_free(a, a->spare);
    *a = (lmn_arena){0};
}

static lmn_arena_block *block_new(lmn_arena *a, size_t need)
{
    const size_t usual = !a->taken_bytes                      ? FIRST_BYTES
                         : a->taken_bytes < 16 * BLOCK_BYTES  ? BLOCK_BYTES
                         : a->taken_bytes < 128 * LARGE_BYTES ? LARGE_BYTES
                                                              : HUGE_BYTES;
    size_t want = usual < need ? need : usual, total;
    if (!lmn_add_size(a->taken_bytes, want, &total) || (a->max_bytes && total > a->max_bytes))
        return NULL;
    lmn_arena_block *b = lmn_alloc(a->alloc, want, block_align(want), "arena");
    if (!b) return NULL;
    if (want >= HUGE_BYTES) lmn_advise_huge(b, want);
    b->bytes = want;
    a->taken_bytes = total;
    lmn_poison(b + 1, want - sizeof *b);
    return b;
}

/* Make room for `need` bytes, header and alignment included, in a block in front. */
static bool arena_more(lmn_arena *a, size_t need)
{
    lmn_arena_block *b = a->spare;
    if (b && b->bytes >= need) {
        a->spare = NULL;
    } else {
        b = block_new(a, need);
        if (!b && a->spare) { /* it may be what stands in the way */
            block_free(a, a->spare);
            a->spare = NULL;
            b = block_new(a, need);
        }
        if (!b) return false;
    }
    b->next = a->head;
    a->head = b;
    a->cur = (uint8_t *)(b + 1);
    a->end = (uint8_t *)b + (b->bytes & ~(size_t)(LMN_ARENA_UNIT - 1));
    return true;
}

void *lmn_arena_bump_slow(lmn_arena *a, size_t bytes, size_t align)
{
    size_t need;
    if (lmn_add_size(bytes, sizeof(lmn_arena_block) + 64 + LMN_ARENA_UNIT, &need) &&
        arena_more(a, need))
        return lmn_arena_bump(a, bytes, align);
    a->failed = true;
    return NULL;
}

void lmn_arena_rewind_slow(lmn_arena *a, lmn_arena_mark mark)
{
    while (a->head != mark.head) {
        lmn_arena_block *b = a->head, *small = b;
        a->head = b->next;
        if (!a->spare || a->spare->bytes < b->bytes) {
            small = a->spare;
            a->spare = b;
            lmn_poison(b + 1, b->bytes - sizeof *b);
        }
        block_free(a, small);
    }
    lmn_arena_block *b = a->head;
    a->cur = mark.cur;
    a->end = b ? (uint8_t *)b + (b->bytes & ~(size_t)(LMN_ARENA_UNIT - 1)) : NULL;
    if (b) lmn_poison(a->cur, (size_t)(a->end - a->cur));
}

void *lmn_arena_alloc(lmn_arena *a, size_t bytes, size_t align)
{
    void *p = lmn_arena_bump(a, bytes, align);
    if (p) memset(p, 0, bytes);
    return p;
}

void *lmn_arena_array(lmn_arena *a, size_t n, size_t elem_bytes)
{
    void *p = lmn_arena_raw(a, n, elem_bytes);
    if (p) memset(p, 0, n * elem_bytes);
    return p;
}

char *lmn_arena_strn(lmn_arena *a, const void *s, size_t n)
{
    size_t bytes;
    char *p = lmn_add_size(n, 1, &bytes) ? lmn_arena_alloc(a, bytes, 1) : NULL;
    if (p && n) memcpy(p, s, n);
    return p;
}

char *lmn_arena_str(lmn_arena *a, const char *s)
{
    return lmn_arena_strn(a, s, strlen(s));
}

void *lmn_arena_dup(lmn_arena *a, const void *p, size_t bytes)
{
    void *q = lmn_arena_alloc(a, bytes, 16);
    if (q && bytes) memcpy(q, p, bytes);
    return q;
}

lamina_status lmn_grow(const lamina_allocator *a, void **ptr, size_t *cap, size_t need, size_t max,
                       size_t elem_bytes, const char *tag)
{
    if (need <= *cap) return LAMINA_OK;
    if (need > max) return LAMINA_E_LIMIT;
    size_t want = *cap ? *cap : max < 8 ? max : 8;
    while (want < need) want = want > max / 2 ? max : want * 2;
    size_t bytes;
    if (!lmn_mul_size(want, elem_bytes, &bytes)) return LAMINA_E_NOMEM;
    void *p = lmn_alloc(a, bytes, 16, tag);
    if (!p) return LAMINA_E_NOMEM;
    if (*cap) memcpy(p, *ptr, *cap * elem_bytes);
    lmn_free(a, *ptr, *cap * elem_bytes, 16, tag);
    *ptr = p;
    *cap = want;
    return LAMINA_OK;
}
