/*
 * lmn_mutex: the one mutex of the product, a futex word with a short spin (Drepper's third). Zeroed
 * memory is an unlocked, nameless mutex; 32 bytes, nothing to release.
 *
 * Progress: blocking; a newcomer may overtake who sleeps. What the holder wrote is seen by the
 * next. Who: the thread that locked it unlocks it; not recursive; threads of one process. A child
 * of fork has it as it stood: held for ever when a thread that does not exist there held it.
 *
 * Rank: locks are taken in the order of rising ranks, so that no two threads can wait for each
 * other. Builds with LMN_ASSERT_LEVEL 2 keep what each thread holds and find, at the first wrong
 * call and not at the rare deadlock: a rank at or below one that is held, a mutex locked twice, an
 * unlock by a stranger. Both places are named (lmn_mutex_misuse).
 */
#ifndef LMN_BASE_OS_MUTEX_H
#define LMN_BASE_OS_MUTEX_H

#include "base/atomic.h"

/* The ranks of the product: who holds one may take those below it in this list. */
enum {
    LMN_RANK_NONE = 0,      /* outside the order; may be taken whatever is held */
    LMN_RANK_SESSION = 100, /* plans, frames and runs of a session */
    LMN_RANK_LRU = 200,     /* a shard of lmn_lru */
    LMN_RANK_POOL = 300,    /* starting threads of a pool */
    LMN_RANK_TRACE = 400    /* names of a trace: last, since hooks of any lock may make one */
};

/* A wait that is over; the strings are those of the init. */
typedef struct lmn_mutex_waited {
    const char *name;
    uint32_t rank,
        owner; /* lmn_thread_id of who had it when the wait began; 0: it let go just then */
    uint64_t start_ns, end_ns;
} lmn_mutex_waited;

/* A wrong call, found before it happens; held_*: the lock that forbids it, NULL where none does. */
typedef struct lmn_mutex_misuse {
    const char *what, *name, *file;
    const char *held_name, *held_file;
    uint32_t rank, held_rank;
    int32_t line, held_line;
} lmn_mutex_misuse;

/* Who wants to know. Called by the thread concerned, `waited` while it holds the mutex; either may
 * be NULL. Without `misused` a wrong call traps, as lmn_assert does. */
typedef struct lmn_mutex_hook {
    void *ctx;
    void (*waited)(void *ctx, const lmn_mutex_waited *w);
    void (*misused)(void *ctx, const lmn_mutex_misuse *m);
} lmn_mutex_hook;

typedef struct lmn_mutex {
    lmn_atomic(uint32_t) word;  /* 0 free, 1 held, 2 held and somebody may sleep */
    lmn_atomic(uint32_t) owner; /* lmn_thread_id, kept up only with a hook */
    uint32_t rank;
    const char *name;           /* borrowed, for the hook */
    const lmn_mutex_hook *hook; /* borrowed, may be NULL */
} lmn_mutex;

/* What helgrind has to be told (-DLMN_HELGRIND): it does not understand atomics. */
#ifdef LMN_HELGRIND
#include <valgrind/helgrind.h>
#define LMN_HG_INIT(m)                                \
    do {                                              \
        VALGRIND_HG_MUTEX_INIT_POST(m, 0);            \
        VALGRIND_HG_DISABLE_CHECKING(&(m)->word, 4);  \
        VALGRIND_HG_DISABLE_CHECKING(&(m)->owner, 4); \
    } while (0)
#define LMN_HG_FINISH(m) VALGRIND_HG_MUTEX_DESTROY_PRE(m)
#define LMN_HG_WILL_LOCK(m, is_try) VALGRIND_HG_MUTEX_LOCK_PRE(m, is_try)
#define LMN_HG_LOCKED(m) VALGRIND_HG_MUTEX_LOCK_POST(m)
#define LMN_HG_WILL_UNLOCK(m) VALGRIND_HG_MUTEX_UNLOCK_PRE(m)
#define LMN_HG_UNLOCKED(m) VALGRIND_HG_MUTEX_UNLOCK_POST(m)
#else
#define LMN_HG_INIT(m) ((void)0)
#define LMN_HG_FINISH(m) ((void)0)
#define LMN_HG_WILL_LOCK(m, is_try) ((void)0)
#define LMN_HG_LOCKED(m) ((void)0)
#define LMN_HG_WILL_UNLOCK(m) ((void)0)
#define LMN_HG_UNLOCKED(m) ((void)0)
#endif

static inline void lmn_mutex_init_as(lmn_mutex *m, uint32_t rank, const char *name,
                                     const lmn_mutex_hook *hook)
{
    lmn_atomic_init(&m->word, 0);
    lmn_atomic_init(&m->owner, 0);
    m->rank = rank;
    m->name = name;
    m->hook = hook;
    LMN_HG_INIT(m);
}
static inline void lmn_mutex_init(lmn_mutex *m)
{
    lmn_mutex_init_as(m, LMN_RANK_NONE, NULL, NULL);
}
/* Nobody holds it, nobody waits. */
static inline void lmn_mutex_finish(lmn_mutex *m)
{
    lmn_assert(lmn_atomic_load(&m->word, relaxed) == 0);
    (void)m;
    LMN_HG_FINISH(m);
}

/* The uncommon halves. */
void lmn_mutex_wait(lmn_mutex *m);
void lmn_mutex_wake(lmn_mutex *m);
void lmn_mutex_own(lmn_mutex *m, bool mine);

static inline void lmn_mutex_lock_raw(lmn_mutex *m)
{
    uint32_t unlocked = 0;
    LMN_HG_WILL_LOCK(m, 0);
    if (LMN_UNLIKELY(!lmn_atomic_cas(&m->word, &unlocked, 1, acquire))) lmn_mutex_wait(m);
    LMN_HG_LOCKED(m);
    if (LMN_UNLIKELY(m->hook != NULL)) lmn_mutex_own(m, true);
}
static inline bool lmn_mutex_trylock_raw(lmn_mutex *m)
{
    uint32_t unlocked = 0;
    LMN_HG_WILL_LOCK(m, 1);
    if (!lmn_atomic_cas(&m->word, &unlocked, 1, acquire)) return false;
    LMN_HG_LOCKED(m);
    if (LMN_UNLIKELY(m->hook != NULL)) lmn_mutex_own(m, true);
    return true;
}
static inline void lmn_mutex_unlock_raw(lmn_mutex *m)
{
    if (LMN_UNLIKELY(m->hook != NULL)) lmn_mutex_own(m, false);
    LMN_HG_WILL_UNLOCK(m);
    if (LMN_UNLIKELY(lmn_atomic_exchange(&m->word, 0, release) == 2)) lmn_mutex_wake(m);
    LMN_HG_UNLOCKED(m);
}

/* lmn_mutex_lock, lmn_mutex_trylock (false: held; asks for no rank, because it cannot wait) and
 * lmn_mutex_unlock. */
#if LMN_ASSERT_LEVEL >= 2 && !defined(LMN_MC)
#define LMN_MUTEX_CHECKED 1
void lmn_mutex_lock_at(lmn_mutex *m, const char *file, int32_t line);
bool lmn_mutex_trylock_at(lmn_mutex *m, const char *file, int32_t line);
void lmn_mutex_unlock_at(lmn_mutex *m, const char *file, int32_t line);
#define lmn_mutex_lock(m) lmn_mutex_lock_at(m, __FILE__, __LINE__)
#define lmn_mutex_trylock(m) lmn_mutex_trylock_at(m, __FILE__, __LINE__)
#define lmn_mutex_unlock(m) lmn_mutex_unlock_at(m, __FILE__, __LINE__)
#else
#define LMN_MUTEX_CHECKED 0
#define lmn_mutex_lock(m) lmn_mutex_lock_raw(m)
#define lmn_mutex_trylock(m) lmn_mutex_trylock_raw(m)
#define lmn_mutex_unlock(m) lmn_mutex_unlock_raw(m)
#endif

#endif
