/*
 * Growing and stealing (deque.h).
 *
 * Linearisation: push at its store of bottom; a steal, and the take of a last task, at the
 * compare-and-swap of top; another take at its store of bottom. Indexes only grow, 64 bits do not
 * wrap; a cell is written again only after top has passed it.
 */
#include "sync/deque.h"

#include "base/alloc.h"

#define CAPACITY_MAX ((uint64_t)1 << 26)

static size_t bytes_of(uint64_t capacity)
{
    return sizeof(lmn_deque_buffer) + capacity * sizeof(uint64_t[LMN_DEQUE_WORDS]);
}

static lmn_deque_buffer *buffer_new(const lamina_allocator *a, uint64_t capacity,
                                    lmn_deque_buffer *older)
{
    lmn_deque_buffer *b = lmn_alloc(a, bytes_of(capacity), 64, "deque");
    if (!b) return NULL;
    b->older = older;
    b->mask = capacity - 1;
#ifdef LMN_MC /* else a large buffer would be touched for nothing: no cell is read unwritten */
    for (uint64_t i = 0; i < capacity; i++)
        for (int k = 0; k < LMN_DEQUE_WORDS; k++) lmn_atomic_init(&b->word[i][k], 0);
#endif
    return b;
}

void lmn_deque_init(lmn_deque *d, const lamina_allocator *a)
{
    lmn_atomic_init(&d->bottom, 0);
    lmn_atomic_init(&d->top, 0);
    lmn_atomic_init(&d->buffer, NULL);
    d->top_seen = 0;
    d->mask = -1;
    d->alloc = a;
}

void lmn_deque_finish(lmn_deque *d)
{
    for (lmn_deque_buffer *b = lmn_atomic_load(&d->buffer, relaxed), *older; b; b = older) {
        older = b->older;
        lmn_free(d->alloc, b, bytes_of(b->mask + 1), 64, "deque");
    }
}

lmn_deque_buffer *lmn_deque_make_room(lmn_deque *d, int64_t bottom)
{
    lmn_deque_buffer *old = lmn_atomic_load(&d->buffer, relaxed);
    /* Acquire: a thief that moved top has read the cell, which may be written again from here on.
     */
    const int64_t top = d->top_seen = lmn_atomic_load(&d->top, acquire);
    if (bottom - top <= d->mask) return old;
    const uint64_t capacity = old ? 2 * (old->mask + 1) : LMN_DEQUE_FIRST;
    lmn_deque_buffer *b = capacity <= CAPACITY_MAX ? buffer_new(d->alloc, capacity, old) : NULL;
    if (!b) return NULL;
    for (int64_t i = top; i < bottom; i++) {
        lmn_atomic(uint64_t) *from = old->word[(uint64_t)i & old->mask];
        lmn_atomic(uint64_t) *to = b->word[(uint64_t)i & b->mask];
        for (int k = 0; k < LMN_DEQUE_WORDS; k++)
            lmn_atomic_store(&to[k], lmn_atomic_load(&from[k], relaxed), relaxed);
    }
    d->mask = (int64_t)b->mask;
    lmn_atomic_store(&d->buffer, (void *)b, release);
    return b;
}

lamina_status lmn_deque_steal(lmn_deque *d, lmn_deque_item *out)
{
    int64_t t = lmn_atomic_load(&d->top, acquire); /* before bottom */
    const int64_t b = lmn_atomic_load(&d->bottom, seq_cst);
    if (t >= b) return LAMINA_E_STATE;
    lmn_deque_buffer *buf = lmn_atomic_load(&d->buffer, acquire);
    if (!buf)
        return LAMINA_E_AGAIN; /* an old top, and the owner has taken the task: no buffer seen */
    lmn_deque_copy(buf, t, out);
    if (!lmn_atomic_cas(&d->top, &t, t + 1, seq_cst)) return LAMINA_E_AGAIN;
    lmn_deque_keep(buf, t);
    return LAMINA_OK;
}
