/*
 * The default allocator, the arena and the growable array.
 */
#include "base/alloc.h"

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
#define ARENA_BLOCK_BYTES 16384u

void lmn_arena_init(lmn_arena *a, const lamina_allocator *alloc, size_t max_bytes)
{
    *a = (lmn_arena){.alloc = alloc, .max_bytes = max_bytes};
}

void lmn_arena_finish(lmn_arena *a)
{
    for (lmn_arena_block *b = a->head; b;) {
        lmn_arena_block *next = b->next;
        lmn_free(a->alloc, b, b->bytes, 64, "arena");
        b = next;
    }
    *a = (lmn_arena){0};
}

static bool arena_more(lmn_arena *a, size_t bytes)
{
    size_t need;
    if (!lmn_add_size(bytes, sizeof(lmn_arena_block) + 64, &need)) return false;
    size_t want =
        a->taken_bytes < 16 * ARENA_BLOCK_BYTES ? ARENA_BLOCK_BYTES : 8 * ARENA_BLOCK_BYTES;
    if (want < need) want = need;
    size_t total;
    if (!lmn_add_size(a->taken_bytes, want, &total)) return false;
    if (a->max_bytes && total > a->max_bytes) return false;
    lmn_arena_block *b = lmn_alloc(a->alloc, want, 64, "arena");
    if (!b) return false;
    *b = (lmn_arena_block){a->head, want};
    a->head = b;
    a->taken_bytes = total;
    a->cur = (uint8_t *)(b + 1);
    a->end = (uint8_t *)b + want;
    return true;
}

/* As it comes: not zeroed. */
static void *arena_take(lmn_arena *a, size_t bytes, size_t align)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        uintptr_t at = ((uintptr_t)a->cur + align - 1) & ~(uintptr_t)(align - 1);
        uintptr_t end = (uintptr_t)a->end;
        if (a->cur && at <= end && bytes <= end - at) {
            uint8_t *p = (uint8_t *)at;
            a->cur = p + bytes;
            return p;
        }
        if (attempt || !arena_more(a, bytes)) break;
    }
    a->failed = true;
    return NULL;
}

void *lmn_arena_alloc(lmn_arena *a, size_t bytes, size_t align)
{
    void *p = arena_take(a, bytes, align);
    if (p) memset(p, 0, bytes);
    return p;
}

void *lmn_arena_array(lmn_arena *a, size_t n, size_t elem_bytes)
{
    void *p = lmn_arena_raw(a, n, elem_bytes);
    if (p) memset(p, 0, n * elem_bytes);
    return p;
}

void *lmn_arena_raw(lmn_arena *a, size_t n, size_t elem_bytes)
{
    size_t bytes;
    if (!lmn_mul_size(n, elem_bytes, &bytes)) {
        a->failed = true;
        return NULL;
    }
    return arena_take(a, bytes, 16);
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
