/*
 * Linearisability of the strict queues on recorded histories: threads note when each operation
 * began and ended, by one clock, and the history is searched for what no FIFO can do: a value from
 * nowhere or twice, two values that overtake each other, a queue that is called empty while values
 * are surely in it. With distinct values that is all there is (Henzinger, Sezgin and Vafeiadis
 * 2013). The search is tried on histories that are known to be wrong first.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/mpmc.h"
#include "sync/mpmc_bounded.h"

#define THREADS 4 /* half push, half pop */
#define OPS 60
#define MOST_VALUES (THREADS * OPS * 3 + 1)

typedef struct span {
    uint64_t begin, end; /* 0: did not happen */
} span;

typedef struct history {
    span pushed[MOST_VALUES], popped[MOST_VALUES]; /* by value, from 1 */
    span empty[THREADS * OPS];
    size_t n_values, n_empty;
    bool twice, unknown;
} history;

static bool before(span a, span b)
{
    return a.end < b.begin;
}

/* Is there a moment in `e` at which nothing is surely in the queue? A value is surely there from
 * the end of its push to the begin of its pop. */
static bool may_be_empty(const history *h, span e)
{
    for (uint64_t at = e.begin;;) {
        uint64_t until = at;
        for (size_t v = 1; v < h->n_values; v++) {
            const uint64_t gone = h->popped[v].begin ? h->popped[v].begin : UINT64_MAX;
            if (h->pushed[v].begin && h->pushed[v].end <= at && gone > until) until = gone;
        }
        if (until == at) return true;
        if (until > e.end) return false;
        at = until;
    }
}

static const char *wrong_in(const history *h)
{
    if (h->twice) return "a value came twice";
    if (h->unknown) return "a value came from nowhere";
    for (size_t v = 1; v < h->n_values; v++) {
        if (!h->popped[v].begin) continue;
        if (!h->pushed[v].begin) return "a value came that was not pushed";
        if (before(h->popped[v], h->pushed[v])) return "a value came before it was pushed";
        for (size_t u = 1; u < h->n_values; u++)
            if (h->pushed[u].begin && before(h->pushed[u], h->pushed[v]) &&
                (!h->popped[u].begin || before(h->popped[v], h->popped[u])))
                return "a value overtook another";
    }
    for (size_t i = 0; i < h->n_empty; i++)
        if (!may_be_empty(h, h->empty[i])) return "called empty while it was not";
    return NULL;
}

static void test_search(t_env *env)
{
    (void)env;
    static const struct {
        span in[4], out[4], empty;
        bool right;
    } CASES[] = {
        {{{0}, {1, 2}, {3, 4}}, {{0}, {5, 6}, {7, 8}}, {9, 10}, true},
        {{{0}, {1, 2}, {3, 4}}, {{0}, {7, 8}, {5, 6}}, {9, 10}, false},  /* overtaken */
        {{{0}, {1, 4}, {2, 3}}, {{0}, {7, 8}, {5, 6}}, {9, 10}, true},   /* together: either way */
        {{{0}, {1, 2}, {3, 4}}, {{0}, {0}, {5, 6}}, {9, 10}, false},     /* one is left behind */
        {{{0}, {1, 2}}, {{0}, {5, 6}}, {3, 4}, false},                   /* it was there */
        {{{0}, {1, 2}}, {{0}, {4, 6}}, {3, 5}, true},                    /* it may have gone */
        {{{0}, {1, 2}, {3, 6}}, {{0}, {5, 9}, {10, 11}}, {4, 8}, true},  /* gap from 5 to 6 */
        {{{0}, {1, 2}, {3, 5}}, {{0}, {6, 9}, {10, 11}}, {4, 8}, false}, /* one takes over */
        {{{0}, {3, 4}}, {{0}, {1, 2}}, {9, 10}, false},                  /* before its push */
        {{{0}, {0}}, {{0}, {1, 2}}, {9, 10}, false},                     /* never pushed */
    };
    static history h;
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        memset(&h, 0, sizeof h);
        h.n_values = 4;
        memcpy(h.pushed, CASES[i].in, sizeof CASES[i].in);
        memcpy(h.popped, CASES[i].out, sizeof CASES[i].out);
        h.empty[h.n_empty++] = CASES[i].empty;
        if ((wrong_in(&h) == NULL) != CASES[i].right)
            t_fail(__FILE__, __LINE__, "case %zu: %s", i, wrong_in(&h) ? wrong_in(&h) : "right");
    }
}

/* ---- recording ---------------------------------------------------------------------------- */

typedef enum kind { STRICT, STRICT_BULK, BOUNDED } kind;

typedef struct op {
    uint64_t value; /* 0: empty */
    span when;
} op;

typedef struct rig {
    kind kind;
    lmn_smr domain;
    lmn_mpmc strict;
    lmn_mpmc_bounded bounded;
    lmn_atomic(uint64_t) clock;
    lmn_atomic(uint32_t) ready;
    op log[THREADS][OPS * 3];
    size_t n_log[THREADS];
} rig;

typedef struct worker {
    rig *r;
    size_t id;
} worker;

static _Alignas(LMN_APART) uint8_t memory[sizeof(lmn_mpmc_bounded_mem) + 64 * 40];

static uint64_t tick(rig *r)
{
    return lmn_atomic_add(&r->clock, 1, seq_cst);
}

/* Up to n values, which are noted as n operations that took the same time. */
static size_t push(rig *r, lmn_hp *hp, uint64_t first, size_t n)
{
    void *items[3];
    size_t done = 0;
    for (size_t i = 0; i < n; i++) items[i] = (void *)(uintptr_t)((first + i) * 2);
    if (r->kind == BOUNDED) return lmn_mpmc_bounded_push(&r->bounded, &first) == LAMINA_OK;
    if (n > 1)
        (void)lmn_mpmc_push_bulk(&r->strict, hp, items, n, &done);
    else
        done = lmn_mpmc_push(&r->strict, hp, items[0]) == LAMINA_OK;
    return done;
}

static size_t pop(rig *r, lmn_hp *hp, uint64_t *values, size_t n)
{
    void *items[3] = {NULL};
    size_t got = 0;
    if (r->kind == BOUNDED) return lmn_mpmc_bounded_pop(&r->bounded, values) == LAMINA_OK;
    if (n > 1)
        (void)lmn_mpmc_pop_bulk(&r->strict, hp, items, n, &got);
    else
        got = lmn_mpmc_pop(&r->strict, hp, items) == LAMINA_OK;
    for (size_t i = 0; i < got; i++) values[i] = (uint64_t)(uintptr_t)items[i] / 2;
    return got;
}

static void *work(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    lmn_hp *hp = lmn_smr_join(&r->domain);
    op *log = r->log[w->id];
    size_t n_log = 0;
    (void)lmn_atomic_add(&r->ready, 1, relaxed);
    while (lmn_atomic_load(&r->ready, relaxed) < THREADS) (void)sched_yield();
    uint64_t next = w->id * OPS * 3 + 1;
    for (size_t i = 0; hp && i < OPS; i++) {
        const size_t n = r->kind == STRICT_BULK ? 1 + (i + w->id) % 3 : 1;
        uint64_t values[3] = {next, next + 1, next + 2};
        const uint64_t begin = tick(r);
        size_t done = w->id % 2 ? pop(r, hp, values, n) : push(r, hp, next, n);
        const span when = {begin, tick(r)};
        if (!(w->id % 2)) next += done;
        for (size_t k = 0; k < done; k++) log[n_log++] = (op){values[k], when};
        if (!done && w->id % 2) log[n_log++] = (op){0, when};
    }
    if (hp) lmn_smr_leave(hp);
    r->n_log[w->id] = n_log;
    return NULL;
}

static void note(history *h, const rig *r)
{
    memset(h, 0, sizeof *h);
    h->n_values = MOST_VALUES;
    for (size_t t = 0; t < THREADS; t++)
        for (size_t i = 0; i < r->n_log[t]; i++) {
            const op *o = &r->log[t][i];
            if (o->value >= MOST_VALUES) {
                h->unknown = true;
            } else if (o->value == 0) {
                h->empty[h->n_empty++] = o->when;
            } else if (t % 2) {
                h->twice = h->twice || h->popped[o->value].begin;
                h->popped[o->value] = o->when;
            } else {
                h->pushed[o->value] = o->when;
            }
        }
}

static const char *one_run(t_env *env, kind k, uint64_t before_end)
{
    static rig r;
    static history h;
    const lamina_allocator a = {LAMINA_ALLOCATOR_ABI, env, t_alloc, t_free};
    lmn_smr_init(&r.domain, &a, lmn_asym_detect());
    r.kind = k;
    lmn_atomic_init(&r.clock, 1);
    lmn_atomic_init(&r.ready, 0);
    if (lmn_mpmc_init(&r.strict, &r.domain) != LAMINA_OK) return "no memory";
    if (lmn_mpmc_bounded_init(&r.bounded, memory, sizeof memory, 8, 4) != LAMINA_OK) return "init";
    /* The threads meet where a segment ends. */
    lmn_hp *hp = lmn_smr_join(&r.domain);
    void *item = &r;
    for (uint64_t i = before_end; hp && i < LMN_MPMC_CELLS; i++) {
        (void)lmn_mpmc_push(&r.strict, hp, item);
        (void)lmn_mpmc_pop(&r.strict, hp, &item);
    }
    worker w[THREADS];
    lmn_thread t[THREADS];
    int n = 0;
    for (size_t i = 0; i < THREADS; i++) w[i] = (worker){&r, i};
    while (n < THREADS && lmn_thread_start(&t[n], work, &w[n]) == LAMINA_OK) n++;
    lmn_atomic_store(&r.ready, THREADS, relaxed);
    for (int i = 0; i < n; i++) lmn_thread_join(&t[i]);
    note(&h, &r);
    /* What is left comes out at the end, by one. */
    uint64_t value = 0;
    while (n == THREADS && pop(&r, hp, &value, 1)) {
        h.unknown = h.unknown || value == 0 || value >= MOST_VALUES;
        if (h.unknown) break;
        h.twice = h.twice || h.popped[value].begin;
        h.popped[value].begin = tick(&r);
        h.popped[value].end = tick(&r);
    }
    for (size_t v = 1; v < MOST_VALUES; v++)
        if (h.pushed[v].begin && !h.popped[v].begin) h.unknown = true;
    lmn_mpmc_finish(&r.strict);
    if (hp) lmn_smr_leave(hp);
    lmn_smr_finish(&r.domain);
    return n == THREADS ? wrong_in(&h) : "no thread";
}

static void runs(t_env *env, kind k)
{
    for (int i = 0; i < 40; i++) {
        const char *wrong = one_run(env, k, t_rand(env) % (3 * OPS));
        if (wrong) t_fail(__FILE__, __LINE__, "run %d: %s", i, wrong);
    }
}

static void test_strict(t_env *env)
{
    runs(env, STRICT);
}

static void test_strict_bulk(t_env *env)
{
    runs(env, STRICT_BULK);
}

static void test_bounded(t_env *env)
{
    runs(env, BOUNDED);
}

T_MAIN(T_TEST(test_search), T_TEST(test_strict), T_TEST(test_strict_bulk), T_TEST(test_bounded))
