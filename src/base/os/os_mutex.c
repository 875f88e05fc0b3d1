/*
 * The waiting half of the mutex, and the record of held locks in checked builds.
 *
 * Who comes out of a sleep leaves 2 behind, because it cannot know whether others sleep still: one
 * wake too many at worst, never one too few.
 */
#include "base/os/os_mutex.h"

#ifdef LMN_MC

/* The model knows futexes; one look stands for the spin. Scenes have no hook. */
enum { SPINS = 1 };
#define sleep_while(word, value) stmc_futex_wait(word, value)
#define wake_one(word) stmc_futex_wake(word, 1)
#define lmn_cpu_pause() ((void)0)
#define lmn_now_ns() ((uint64_t)0)
#define lmn_thread_id() ((uint32_t)0)

#else

#include "base/os/os_thread.h"
#include "base/os/os_time.h"

/* About as long as going to sleep and being woken takes. */
enum { SPINS = 40 };
#define sleep_while(word, value) lmn_futex_wait(word, value, 0)
#define wake_one(word) lmn_futex_wake(word, 1)

#endif

static void wait_for(lmn_mutex *m)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t word = lmn_atomic_load(&m->word, relaxed);
        if (word == 0 && lmn_atomic_cas(&m->word, &word, 1, acquire)) return;
        lmn_cpu_pause();
    }
    while (lmn_atomic_exchange(&m->word, 2, acquire) != 0) sleep_while(&m->word, 2);
}

void lmn_mutex_wait(lmn_mutex *m)
{
    if (!m->hook || !m->hook->waited) {
        wait_for(m);
        return;
    }
    lmn_mutex_waited w = {.name = m->name, .rank = m->rank, .start_ns = lmn_now_ns()};
    w.owner = lmn_atomic_load(&m->owner, relaxed);
    wait_for(m);
    w.end_ns = lmn_now_ns();
    m->hook->waited(m->hook->ctx, &w);
}

void lmn_mutex_wake(lmn_mutex *m)
{
    wake_one(&m->word);
}

void lmn_mutex_own(lmn_mutex *m, bool mine)
{
    lmn_atomic_store(&m->owner, mine ? lmn_thread_id() : 0, relaxed);
}

#if LMN_MUTEX_CHECKED

enum { MAX_HELD = 32 };

typedef struct held {
    const lmn_mutex *m;
    const char *file;
    int32_t line;
} held;

/* Of the calling thread; the only mutable static of the library, and of checked builds alone. */
static _Thread_local struct {
    held lock[MAX_HELD]; /* in the order of taking */
    int32_t n;
} mine;

static held *find(const lmn_mutex *m)
{
    for (int32_t i = mine.n - 1; i >= 0; i--)
        if (mine.lock[i].m == m) return &mine.lock[i];
    return NULL;
}

/* The held lock of the highest rank, or NULL. */
static held *top(void)
{
    held *best = NULL;
    for (int32_t i = 0; i < mine.n; i++)
        if (mine.lock[i].m->rank && (!best || mine.lock[i].m->rank >= best->m->rank))
            best = &mine.lock[i];
    return best;
}

static void misused(const lmn_mutex *m, const char *what, held at, const held *other)
{
    lmn_mutex_misuse u = {.what = what, .name = m->name, .rank = m->rank};
    u.file = at.file, u.line = at.line;
    if (other) {
        u.held_name = other->m->name, u.held_rank = other->m->rank;
        u.held_file = other->file, u.held_line = other->line;
    }
    if (m->hook && m->hook->misused)
        m->hook->misused(m->hook->ctx, &u);
    else
        __builtin_trap(); /* u says what, who and where */
}

static void push(held h)
{
    lmn_assert(mine.n < MAX_HELD);
    mine.lock[mine.n++] = h;
}

void lmn_mutex_lock_at(lmn_mutex *m, const char *file, int32_t line)
{
    const held h = {m, file, line}, *other = find(m);
    if (other) {
        misused(m, "locked by this thread already", h, other);
        return; /* it would wait for itself */
    }
    other = m->rank ? top() : NULL;
    if (other && other->m->rank >= m->rank)
        misused(m, "rank not above that of a held lock", h, other);
    lmn_mutex_lock_raw(m);
    push(h);
}

bool lmn_mutex_trylock_at(lmn_mutex *m, const char *file, int32_t line)
{
    if (!lmn_mutex_trylock_raw(m)) return false;
    push((held){m, file, line});
    return true;
}

void lmn_mutex_unlock_at(lmn_mutex *m, const char *file, int32_t line)
{
    held *h = find(m);
    if (!h) {
        misused(m, "not locked by this thread", (held){m, file, line}, NULL);
        return;
    }
    for (mine.n--; h < &mine.lock[mine.n]; h++) *h = h[1];
    lmn_mutex_unlock_raw(m);
}

#endif
