/*
 * A thread that stops in the middle: one that names a segment for ever, so that garbage must stay
 * within the printed bound; and a consumer that a signal stops wherever it is, while all items but
 * the one it may hold reach the others. Counts only: nothing here depends on how fast anybody is.
 * With it, sixteen threads by many at once through a queue with a capacity, and closing under load.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/mpmc.h"
#include "sync/mpmc_bounded.h"
#include "sync/mpmc_relaxed.h"

#include <signal.h>

#define MOST 8
#define ITEMS 60000u

typedef enum kind { STRICT, BOUNDED, RELAXED } kind;

typedef struct rig {
    t_env *env;
    kind kind;
    lmn_smr domain;
    lmn_mpmc strict;
    lmn_mpmc_bounded bounded;
    lmn_mpmc_relaxed relaxed;
    lmn_atomic(uint64_t) got, sum, refused, most_blocks;
    lmn_atomic(uint32_t) enough; /* consumers may go */
    uint64_t per_producer;
} rig;

static _Alignas(LMN_APART) uint8_t memory[sizeof(lmn_mpmc_bounded_mem) + 256 * 40];

static void rig_init(t_env *env, rig *r, kind k, const lamina_allocator *a)
{
    lmn_smr_init(&r->domain, a, lmn_asym_detect());
    r->env = env;
    r->kind = k;
    T_OK(lmn_mpmc_init(&r->strict, &r->domain));
    T_OK(lmn_mpmc_bounded_init(&r->bounded, memory, sizeof memory, 8, 256));
    lmn_relaxed_init(&r->relaxed, &r->domain);
    lmn_atomic_init(&r->got, 0);
    lmn_atomic_init(&r->sum, 0);
    lmn_atomic_init(&r->refused, 0);
    lmn_atomic_init(&r->most_blocks, 0);
    lmn_atomic_init(&r->enough, 0);
}

static void rig_finish(rig *r)
{
    lmn_mpmc_finish(&r->strict);
    lmn_relaxed_finish(&r->relaxed);
    lmn_smr_finish(&r->domain);
}

/* ---- one end of whichever queue ------------------------------------------------------------ */

typedef struct end {
    rig *r;
    lmn_hp *hp;
    lmn_relaxed_producer p;
    lmn_relaxed_consumer c;
} end;

static lamina_status push(end *e, uint64_t value)
{
    void *item = (void *)(uintptr_t)(value * 2);
    if (e->r->kind == STRICT) return lmn_mpmc_push(&e->r->strict, e->hp, item);
    if (e->r->kind == BOUNDED) return lmn_mpmc_bounded_push(&e->r->bounded, &value);
    return lmn_relaxed_push(&e->p, item);
}

static lamina_status pop(end *e, uint64_t *value)
{
    void *item = NULL;
    if (e->r->kind == BOUNDED) return lmn_mpmc_bounded_pop(&e->r->bounded, value);
    const lamina_status st = e->r->kind == STRICT ? lmn_mpmc_pop(&e->r->strict, e->hp, &item)
                                                  : lmn_relaxed_pop(&e->c, &item);
    *value = (uint64_t)(uintptr_t)item / 2;
    return st;
}

static void *produce(void *arg)
{
    rig *r = arg;
    end e = {.r = r, .hp = lmn_smr_join(&r->domain)};
    const bool relaxed = r->kind == RELAXED;
    if (relaxed && lmn_relaxed_produce(&r->relaxed, &e.p) != LAMINA_OK) return NULL;
    for (uint64_t i = 1; e.hp && i <= ITEMS;) {
        const lamina_status st = push(&e, i);
        if (st == LAMINA_OK)
            i++;
        else
            (void)sched_yield();
    }
    if (relaxed) lmn_relaxed_stop_producing(&e.p);
    if (e.hp) lmn_smr_leave(e.hp);
    return NULL;
}

static void *consume(void *arg)
{
    rig *r = arg;
    end e = {.r = r, .hp = lmn_smr_join(&r->domain)};
    if (r->kind == RELAXED && lmn_relaxed_consume(&r->relaxed, &e.c) != LAMINA_OK) return NULL;
    for (uint64_t value; e.hp && !lmn_atomic_load(&r->enough, relaxed);) {
        if (pop(&e, &value) != LAMINA_OK) {
            (void)sched_yield();
            continue;
        }
        (void)lmn_atomic_add(&r->sum, value, relaxed);
        (void)lmn_atomic_add(&r->got, 1, relaxed);
    }
    if (r->kind == RELAXED) lmn_relaxed_stop_consuming(&e.c);
    if (e.hp) lmn_smr_leave(e.hp);
    return NULL;
}

/* ---- stopped by a signal ------------------------------------------------------------------- */

#if defined(__SANITIZE_THREAD__)
#define SIGNALS_WAIT 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SIGNALS_WAIT 1
#endif
#endif

/* Memory without a lock, which a thread that is stopped anywhere might hold; nothing comes back. */
static _Alignas(LMN_APART) uint8_t arena[16 << 20];
static atomic_size_t arena_used;

static void *arena_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)align, (void)tag;
    const size_t n = lmn_align_up(bytes, LMN_APART), at = atomic_fetch_add(&arena_used, n);
    return at + n <= sizeof arena ? arena + at : NULL;
}

static void arena_free(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)p, (void)bytes, (void)align, (void)tag;
}

static atomic_int held, let_go; /* a handler can reach nothing else */

static void hold(int sig)
{
    (void)sig;
    atomic_store(&held, 1);
    while (!atomic_load(&let_go)) (void)sched_yield();
}

static void stopped(t_env *env, kind k)
{
#ifdef SIGNALS_WAIT
    T_SKIP("the thread sanitizer holds signals back until a call it knows");
#endif
    static rig r;
    const lamina_allocator a = {LAMINA_ALLOCATOR_ABI, NULL, arena_alloc, arena_free};
    atomic_store(&arena_used, 0);
    rig_init(env, &r, k, &a);
    if (k == STRICT) lmn_mpmc_limit(&r.strict, 2000);
    atomic_store(&held, 0);
    atomic_store(&let_go, 0);
    struct sigaction act = {.sa_handler = hold}, old;
    T_EQ(sigaction(SIGUSR1, &act, &old), 0);
    lmn_thread victim, in[2], out[2];
    T_OK(lmn_thread_start(&victim, consume, &r));
    for (int i = 0; i < 2; i++) T_OK(lmn_thread_start(&in[i], produce, &r));
    while (lmn_atomic_load(&r.got, relaxed) < 500) (void)sched_yield();
    T_EQ(pthread_kill(victim.t, SIGUSR1), 0);
    while (!atomic_load(&held)) (void)sched_yield();
    for (int i = 0; i < 2; i++) T_OK(lmn_thread_start(&out[i], consume, &r));
    for (int i = 0; i < 2; i++) lmn_thread_join(&in[i]);
    while (lmn_atomic_load(&r.got, relaxed) < 2 * ITEMS - 1) (void)sched_yield();
    atomic_store(&let_go, 1);
    while (lmn_atomic_load(&r.got, relaxed) < 2 * ITEMS) (void)sched_yield();
    lmn_atomic_store(&r.enough, 1, relaxed);
    for (int i = 0; i < 2; i++) lmn_thread_join(&out[i]);
    lmn_thread_join(&victim);
    T_EQ(sigaction(SIGUSR1, &old, NULL), 0);
    T_EQ(lmn_atomic_load(&r.sum, relaxed), (uint64_t)ITEMS * (ITEMS + 1));
    rig_finish(&r);
}

static void test_stopped_strict(t_env *env)
{
    stopped(env, STRICT);
}

static void test_stopped_bounded(t_env *env)
{
    stopped(env, BOUNDED);
}

static void test_stopped_relaxed(t_env *env)
{
    stopped(env, RELAXED);
}

/* ---- garbage ------------------------------------------------------------------------------- */

/* By 64 at once until the queue is closed; the highest number of live blocks is kept. */
static void *consume_many(void *arg)
{
    rig *r = arg;
    lmn_hp *hp = lmn_smr_join(&r->domain);
    void *items[64];
    size_t got;
    uint64_t n = 0, most = 0;
    lamina_status st = hp ? LAMINA_OK : LAMINA_E_CLOSED;
    while (st != LAMINA_E_CLOSED) {
        st = lmn_mpmc_pop_bulk(&r->strict, hp, items, T_COUNT(items), &got);
        if (st == LAMINA_E_AGAIN) (void)sched_yield();
        n += got;
        const uint64_t live = (uint64_t)atomic_load(&r->env->live_blocks);
        if (live > most) most = live;
    }
    uint64_t seen = lmn_atomic_load(&r->most_blocks, relaxed);
    while (seen < most && !lmn_atomic_cas(&r->most_blocks, &seen, most, relaxed)) continue;
    (void)lmn_atomic_add(&r->got, n, relaxed);
    if (hp) lmn_smr_leave(hp);
    return NULL;
}

static void *produce_many(void *arg)
{
    rig *r = arg;
    lmn_hp *hp = lmn_smr_join(&r->domain);
    void *items[100];
    for (size_t i = 0; i < T_COUNT(items); i++) items[i] = r;
    lamina_status st = LAMINA_OK;
    uint64_t n = 0;
    for (size_t done; hp && n < r->per_producer && st != LAMINA_E_CLOSED; n += done) {
        const uint64_t left = r->per_producer - n;
        const size_t some = left < T_COUNT(items) ? (size_t)left : T_COUNT(items);
        st = lmn_mpmc_push_bulk(&r->strict, hp, items, some, &done);
        if (st == LAMINA_E_AGAIN) (void)sched_yield();
    }
    (void)lmn_atomic_add(&r->sum, n, relaxed);
    if (hp) lmn_smr_leave(hp);
    return NULL;
}

/* close_early: while everybody is at it. */
static void crowd(t_env *env, int n, uint64_t per_producer, uint64_t limit, bool close_early)
{
    static rig r;
    const lamina_allocator a = {LAMINA_ALLOCATOR_ABI, env, t_alloc, t_free};
    rig_init(env, &r, STRICT, &a);
    r.per_producer = per_producer;
    lmn_mpmc_limit(&r.strict, limit);
    const long long base = atomic_load(&env->live_blocks);
    lmn_hp *stalled = lmn_smr_join(&r.domain);
    T_REQUIRE(stalled);
    (void)lmn_hp_protect(stalled, 0, &r.strict.head); /* as far as a pop got */
    lmn_thread in[MOST], out[MOST];
    for (int i = 0; i < n; i++) T_OK(lmn_thread_start(&out[i], consume_many, &r));
    for (int i = 0; i < n; i++) T_OK(lmn_thread_start(&in[i], produce_many, &r));
    for (int i = 0; close_early && i < 30; i++) (void)sched_yield();
    if (!close_early)
        for (int i = 0; i < n; i++) lmn_thread_join(&in[i]);
    lmn_hp *hp = lmn_smr_join(&r.domain);
    T_REQUIRE(hp);
    lmn_mpmc_close(&r.strict, hp);
    lmn_smr_leave(hp);
    if (close_early)
        for (int i = 0; i < n; i++) lmn_thread_join(&in[i]);
    for (int i = 0; i < n; i++) lmn_thread_join(&out[i]);
    T_EQ(lmn_atomic_load(&r.got, relaxed), lmn_atomic_load(&r.sum, relaxed));
    lmn_smr_stats st;
    lmn_smr_get_stats(&r.domain, &st);
    /* Beside garbage: the records, what the items fill, one segment an end and a thread's own. */
    const uint64_t others =
        st.n_records + LMN_MPMC_SPARE + limit / LMN_MPMC_CELLS + 3 + 2 * (uint64_t)n;
    const uint64_t most = lmn_atomic_load(&r.most_blocks, relaxed);
    if (limit) T_CHECK(most <= (uint64_t)base + st.bound + others);
    if (!close_early) T_EQ(lmn_atomic_load(&r.sum, relaxed), (uint64_t)n * per_producer);
    lmn_smr_leave(stalled);
    rig_finish(&r);
}

static void test_bound(t_env *env)
{
    crowd(env, 1, 200000, 3000, false); /* 195 segments go by, 96 may wait */
    crowd(env, 2, 150000, 5000, false); /* 292, 216 */
}

static void test_sixteen(t_env *env)
{
    crowd(env, MOST, 20000, 2000, false);
}

static void test_close_under_load(t_env *env)
{
    crowd(env, 2, 100000, 500, true);
    crowd(env, MOST, 100000, 3000, true);
    crowd(env, 3, 100000, 0, true);
}

T_MAIN(T_TEST(test_stopped_strict), T_TEST(test_stopped_bounded), T_TEST(test_stopped_relaxed),
       T_TEST(test_bound), T_TEST(test_sixteen), T_TEST(test_close_under_load))
