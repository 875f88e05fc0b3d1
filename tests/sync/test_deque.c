/*
 * The work-stealing deque: against a plain array in one thread, with thieves in others, and when
 * memory for growing is refused. The orderings are the business of tests/stmc.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/deque.h"

#define TASKS 30000
#define THIEVES 3

static bool push(lmn_deque *d, uint64_t v)
{
    lmn_atomic(uint64_t) *word = lmn_deque_reserve(d);
    if (!word) return false;
    for (uint64_t i = 0; i < LMN_DEQUE_WORDS; i++) lmn_atomic_store(&word[i], v + i, relaxed);
    lmn_deque_push(d);
    return true;
}

static bool whole(const lmn_deque_item *t)
{
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < LMN_DEQUE_WORDS; i++) wrong += t->word[i] != t->word[0] + i;
    return wrong == 0;
}

static void test_model(t_env *env)
{
    static uint64_t model[TASKS]; /* between lo and hi */
    size_t lo = 0, hi = 0;
    uint64_t next = 1;
    lmn_deque d;
    lmn_deque_item t;
    lmn_deque_init(&d, &env->alloc);
    for (int step = 0; step < 20000; step++) {
        const uint64_t what = t_rand(env) % 8, growing = step % 10000 < 6000;
        if (what < 3 + 2 * growing && hi < TASKS) {
            model[hi++] = next;
            T_CHECK(push(&d, next));
            next += 100;
        } else if (what % 2) {
            const bool got = lmn_deque_take(&d, &t);
            T_EQ(got, lo < hi);
            if (got) T_CHECK(t.word[0] == model[--hi] && whole(&t));
        } else {
            const lamina_status st = lmn_deque_steal(&d, &t);
            T_EQ(st, lo < hi ? LAMINA_OK : LAMINA_E_STATE);
            if (st == LAMINA_OK) T_CHECK(t.word[0] == model[lo++] && whole(&t));
        }
        T_EQ(lmn_deque_seems_empty(&d), lo == hi);
    }
    lmn_deque_finish(&d);
}

/* Without memory nothing is pushed and nothing lost; there is room again after a take. */
static void test_no_memory(t_env *env)
{
    lmn_deque d;
    lmn_deque_item t;
    lmn_deque_init(&d, &env->alloc);
    t_fail_alloc(env, 1);
    T_CHECK(!push(&d, 7));
    T_EQ(lmn_deque_steal(&d, &t), LAMINA_E_STATE);
    for (uint64_t i = 0; i < LMN_DEQUE_FIRST; i++) T_CHECK(push(&d, i));
    t_fail_alloc(env, 1);
    T_CHECK(!push(&d, 7));
    T_OK(lmn_deque_steal(&d, &t));
    T_EQ(t.word[0], 0);
    T_CHECK(push(&d, LMN_DEQUE_FIRST));
    T_CHECK(push(&d, LMN_DEQUE_FIRST + 1)); /* grows now */
    for (uint64_t i = LMN_DEQUE_FIRST + 1; i >= 1; i--) {
        T_CHECK(lmn_deque_take(&d, &t));
        T_EQ(t.word[0], i);
    }
    T_CHECK(!lmn_deque_take(&d, &t));
    lmn_deque_finish(&d);
}

typedef struct rig {
    lmn_deque d;
    lmn_atomic(uint32_t) seen[TASKS];
    lmn_atomic(uint32_t) over, wrong, out;
} rig;

static void note(rig *r, const lmn_deque_item *t)
{
    const uint64_t i = t->word[0] / 100;
    if (i >= TASKS || !whole(t) || lmn_atomic_add(&r->seen[i], 1, relaxed) != 0)
        (void)lmn_atomic_add(&r->wrong, 1, relaxed);
    (void)lmn_atomic_add(&r->out, 1, relaxed);
}

static void *thief(void *arg)
{
    rig *r = arg;
    lmn_deque_item t;
    uint64_t last = 0, wrong = 0;
    for (;;) {
        const bool over = lmn_atomic_load(&r->over, acquire) != 0;
        const lamina_status st = lmn_deque_steal(&r->d, &t);
        if (st == LAMINA_OK) {
            wrong += t.word[0] + 1 < last; /* the oldest first */
            last = t.word[0] + 1;
            note(r, &t);
        } else if (st == LAMINA_E_STATE) {
            if (over) break;
            (void)sched_yield();
        }
    }
    if (wrong) (void)lmn_atomic_add(&r->wrong, 1, relaxed);
    return NULL;
}

static void test_thieves(t_env *env)
{
    static rig r;
    lmn_thread t[THIEVES];
    lmn_deque_item item;
    memset(&r, 0, sizeof r);
    lmn_deque_init(&r.d, &env->alloc);
    for (int i = 0; i < THIEVES; i++) T_OK(lmn_thread_start(&t[i], thief, &r));
    for (uint64_t i = 0; i < TASKS; i++) {
        T_CHECK(push(&r.d, i * 100));
        if (t_rand(env) % 3 == 0 && lmn_deque_take(&r.d, &item)) note(&r, &item);
        if (i % 5000 == 4999)
            while (lmn_deque_take(&r.d, &item)) note(&r, &item);
    }
    lmn_atomic_store(&r.over, 1, release);
    while (lmn_deque_take(&r.d, &item)) note(&r, &item);
    for (int i = 0; i < THIEVES; i++) lmn_thread_join(&t[i]);
    T_EQ(lmn_atomic_load(&r.out, relaxed), TASKS);
    T_EQ(lmn_atomic_load(&r.wrong, relaxed), 0);
    lmn_deque_finish(&r.d);
}

T_MAIN(T_TEST(test_model), T_TEST(test_no_memory), T_TEST(test_thieves))
