/*
 * lmn_deque: the tasks of one worker (Chase and Lev 2005, grow only). The owner pushes and takes at
 * the bottom, newest first; anybody steals at the top, oldest first.
 *
 * Order: LIFO for the owner, FIFO for thieves; each task comes out once. Progress: push and take
 * are wait-free but for growing; a steal is lock-free (it fails only because another one took the
 * task). Memory: the largest size it ever had, and all smaller buffers before it (as much again),
 * which a late thief may still read: kept until lmn_deque_finish. Who: one owner at a time (the
 * role may change hands by release and acquire), any number of thieves. There is no closing.
 *
 * A thief copies the words of a task before it knows whether it gets it, so they are atomics: what
 * it reads too late is thrown away with the failed compare-and-swap.
 */
#ifndef LMN_SYNC_DEQUE_H
#define LMN_SYNC_DEQUE_H

#include "base/atomic.h"

#ifdef LMN_MC
#define LMN_DEQUE_WORDS 4
#define LMN_DEQUE_FIRST 2 /* capacity at the beginning */
#else
#define LMN_DEQUE_WORDS 9
#define LMN_DEQUE_FIRST 256
#endif

/* One task: words that mean nothing to the deque, and anything to whoever reads them. */
typedef uint64_t __attribute__((may_alias)) lmn_deque_word;
typedef struct lmn_deque_item {
    _Alignas(16) lmn_deque_word word[LMN_DEQUE_WORDS];
} lmn_deque_item;

typedef struct lmn_deque_buffer {
    struct lmn_deque_buffer *older;
    uint64_t mask; /* capacity - 1 */
    lmn_atomic(uint64_t) word[][LMN_DEQUE_WORDS];
} lmn_deque_buffer;

typedef struct lmn_deque {
    _Alignas(LMN_APART) lmn_atomic(int64_t) bottom; /* written by the owner */
    lmn_atomic(void *) buffer;                      /* lmn_deque_buffer, by the owner */
    int64_t top_seen;                               /* of the owner: top is no less */
    int64_t mask;                                   /* of the owner: the buffer's, -1: none */
    const lamina_allocator *alloc;                  /* borrowed */
    _Alignas(LMN_APART) lmn_atomic(int64_t) top;    /* moved by whoever gets the oldest task */
} lmn_deque;

/* Empty, and without a buffer until the first push. */
void lmn_deque_init(lmn_deque *d, const lamina_allocator *a);
/* Nobody uses it; what it holds is forgotten. */
void lmn_deque_finish(lmn_deque *d);
/* The owner, full: look at top again, then a larger buffer. The buffer to write into; NULL when
 * memory is out. */
lmn_deque_buffer *lmn_deque_make_room(lmn_deque *d, int64_t bottom);

/* The owner: where the words of the next task go (relaxed stores), NULL when memory is out. */
static inline lmn_atomic(uint64_t) * lmn_deque_reserve(lmn_deque *d)
{
    const int64_t b = lmn_atomic_load(&d->bottom, relaxed);
    lmn_deque_buffer *buf = lmn_atomic_load(&d->buffer, relaxed);
    if (LMN_UNLIKELY(b - d->top_seen > d->mask)) {
        buf = lmn_deque_make_room(d, b);
        if (!buf) return NULL;
    }
    return buf->word[(uint64_t)b & buf->mask];
}

/* The owner: the reserved task is complete, thieves may have it. */
static inline void lmn_deque_push(lmn_deque *d)
{
    lmn_atomic_store(&d->bottom, lmn_atomic_load(&d->bottom, relaxed) + 1, release);
}

static inline void lmn_deque_copy(lmn_deque_buffer *buf, int64_t at, lmn_deque_item *out)
{
    lmn_atomic(uint64_t) *from = buf->word[(uint64_t)at & buf->mask];
    for (int i = 0; i < LMN_DEQUE_WORDS; i++) out->word[i] = lmn_atomic_load(&from[i], relaxed);
}

/* The copy counts: whoever writes the cell again comes after it. */
static inline void lmn_deque_keep(lmn_deque_buffer *buf, int64_t at)
{
    const lmn_atomic(uint64_t) *from = buf->word[(uint64_t)at & buf->mask];
    for (int i = 0; i < LMN_DEQUE_WORDS; i++) lmn_atomic_keep(&from[i]);
}

/* The owner: the newest task; false: empty. A store and a load of seq_cst: owner and thief cannot
 * both overlook that they are after the same one. */
static inline bool lmn_deque_take(lmn_deque *d, lmn_deque_item *out)
{
    const int64_t b = lmn_atomic_load(&d->bottom, relaxed) - 1;
    lmn_deque_buffer *buf = lmn_atomic_load(&d->buffer, relaxed);
    if (d->top_seen > b) return false;
    lmn_atomic_store(&d->bottom, b, seq_cst);
    int64_t t = lmn_atomic_load(&d->top, seq_cst);
    if (LMN_LIKELY(t < b)) {
        lmn_deque_copy(buf, b, out);
        return true;
    }
    bool mine = false;
    if (t == b) { /* the last one: race for it as a thief does */
        lmn_deque_copy(buf, b, out);
        /* Acquire: the thief that was quicker has read the cell. */
        mine = lmn_atomic_cas(&d->top, &t, b + 1, acq_rel);
    }
    d->top_seen = b + 1;
    lmn_atomic_store(&d->bottom, b + 1, relaxed);
    return mine;
}

/* Anybody: how many it seems to hold; may be below 0. */
static inline int64_t lmn_deque_length(lmn_deque *d)
{
    const int64_t top = lmn_atomic_load(&d->top, relaxed);
    return lmn_atomic_load(&d->bottom, relaxed) - top;
}
static inline bool lmn_deque_seems_empty(lmn_deque *d)
{
    return lmn_deque_length(d) <= 0;
}

/* Anybody: the oldest task; E_STATE: empty, and seen is what takers did before; E_AGAIN: somebody
 * was quicker. */
lamina_status lmn_deque_steal(lmn_deque *d, lmn_deque_item *out);

#endif
