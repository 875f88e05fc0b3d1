/*
 * The shared cache in one thread: an exact model agrees over random operations, builds that fail,
 * what there is no room for, entries that outlive their eviction, pins, memory that runs out.
 */
#include "sync/lru_item.h"

/* --- the model: an array, newest first --- */
enum { MODEL_KEYS = 24, MODEL_BYTES = 60, MODEL_ENTRIES = 9 };
typedef struct row {
    uint32_t key;
    size_t bytes;
    bool pinned;
    lmn_lru_entry *e; /* held while pinned */
} row;
typedef struct model {
    row row[MODEL_KEYS];
    size_t n, bytes;
    long n_evicted;
} model;

static row *model_find(model *x, uint32_t key)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->row[i].key == key) return &x->row[i];
    return NULL;
}
static row model_take(model *x, row *at)
{
    const row r = *at;
    memmove(at, at + 1, (size_t)(x->row + x->n - at - 1) * sizeof *at);
    x->n--;
    x->bytes -= r.bytes;
    return r;
}
static void model_put(model *x, row r)
{
    memmove(x->row + 1, x->row, x->n * sizeof r);
    x->row[0] = r;
    x->n++;
    x->bytes += r.bytes;
}
static void model_trim(model *x)
{
    while (x->n > MODEL_ENTRIES || x->bytes > MODEL_BYTES) {
        row *last = NULL;
        for (size_t i = 0; i < x->n; i++)
            if (!x->row[i].pinned) last = &x->row[i];
        if (!last) return;
        (void)model_take(x, last);
        x->n_evicted++;
    }
}

static void model_ask(model *x, lmn_lru *c, maker *m, uint32_t key)
{
    lmn_lru_entry *e = NULL;
    const int before = m->n_built;
    row *at = model_find(x, key);
    T_OK(get(c, m, key, &e));
    T_CHECK(value_is(e, key));
    T_EQ(m->n_built - before, !at);
    if (at) { /* pinned ones stay out of the order until they are unpinned */
        if (!at->pinned) model_put(x, model_take(x, at));
    } else if (m->bytes <= MODEL_BYTES) {
        model_put(x, (row){.key = key, .bytes = m->bytes});
        model_trim(x);
    }
    lmn_lru_let_go(e);
}

static void model_pin(model *x, lmn_lru *c, uint32_t key)
{
    row *at = model_find(x, key);
    lmn_lru_entry *e = lmn_lru_find(c, key_of(&key));
    T_CHECK(!at == !e);
    if (!at || !e) return;
    if (!at->pinned) {
        row r = model_take(x, at);
        lmn_lru_pin(e);
        r.pinned = true, r.e = e;
        model_put(x, r);
        return;
    }
    row r = model_take(x, at);
    lmn_lru_let_go(e);
    lmn_lru_unpin(r.e);
    lmn_lru_let_go(r.e);
    r.pinned = false;
    model_put(x, r);
    model_trim(x);
}

static void model_remove(model *x, lmn_lru *c, uint32_t key)
{
    row *at = model_find(x, key);
    T_EQ(lmn_lru_remove(c, key_of(&key)), at != NULL);
    if (!at) return;
    const row r = model_take(x, at);
    if (!r.pinned) return;
    lmn_lru_unpin(r.e);
    lmn_lru_let_go(r.e);
}

static void model_agrees(model *x, lmn_lru *c, maker *m)
{
    lmn_lru_stats s;
    size_t pinned = 0;
    for (size_t i = 0; i < x->n; i++) pinned += x->row[i].pinned;
    lmn_lru_get_stats(c, &s);
    T_EQ(s.bytes, x->bytes);
    T_EQ(s.entries, x->n);
    T_EQ(s.pinned, pinned);
    T_EQ(s.n_evicted, x->n_evicted);
    T_EQ(s.n_misses, m->n_built);
    T_EQ(m->n_built - m->n_dropped, x->n);
}

static void test_model(t_env *env)
{
    maker m = {.env = env};
    model x = {.n = 0};
    lmn_lru c;
    T_OK(init(&c, &m, MODEL_BYTES, MODEL_ENTRIES, 1));
    for (int step = 0; step < 20000; step++) {
        const uint32_t key = (uint32_t)t_rand_int(env, 0, MODEL_KEYS - 1);
        const int64_t what = t_rand_int(env, 0, 99);
        m.bytes = (size_t)t_rand_int(env, 0, 14) + (what == 0 ? MODEL_BYTES : 0);
        if (what < 80)
            model_ask(&x, &c, &m, key);
        else if (what < 90)
            model_pin(&x, &c, key);
        else
            model_remove(&x, &c, key);
        model_agrees(&x, &c, &m);
    }
    for (uint32_t key = 0; key < MODEL_KEYS; key++) model_remove(&x, &c, key);
    T_EQ(m.n_built, m.n_dropped);
    lmn_lru_finish(&c);
}

static void test_bad(t_env *env)
{
    maker m = {.env = env, .bytes = 1};
    lmn_lru c = {.shard = NULL};
    lamina_error err;
    lmn_lru_entry *e = T_UNTOUCHED;
    lmn_lru_finish(&c);
    T_EQ(init(&c, &m, 1, 1, 0), LAMINA_E_INVALID);
    T_EQ(init(&c, &m, 1, 1, 3), LAMINA_E_INVALID);
    T_EQ(init(&c, &m, 1, 1, 128), LAMINA_E_INVALID);
    T_OK(init(&c, &m, 4, 4, 1));
    uint8_t *big = calloc(1, LMN_LRU_MAX_KEY + 1);
    const lmn_lru_ask ask = {make, &m, 0};
    T_EQ(lmn_lru_get(&c, (lmn_span){big, LMN_LRU_MAX_KEY + 1}, &ask, &e, &err), LAMINA_E_LIMIT);
    T_CHECK(e == NULL);
    free(big);
    T_CASE("failure is told and not kept");
    m.fail = LAMINA_E_PARSE;
    for (int i = 0; i < 2; i++) {
        const uint32_t k = 5;
        T_EQ(lmn_lru_get(&c, key_of(&k), &ask, &e, &err), LAMINA_E_PARSE);
        T_STR_EQ(err.msg, "nothing to build with");
    }
    T_EQ(m.n_built, 2);
    m.fail = LAMINA_E_AGAIN; /* no word of the cache's own */
    T_EQ(get(&c, &m, 5, &e), LAMINA_E_AGAIN);
    T_CASE("more than there is room for");
    m.fail = LAMINA_OK, m.bytes = 5;
    T_OK(get(&c, &m, 6, &e));
    T_EQ(c.entries, 0);
    lmn_lru_let_go(e);
    T_EQ(m.n_dropped, 1);
    lmn_lru_finish(&c);
    T_CASE("no room at all");
    T_OK(init(&c, &m, 0, 0, 4));
    T_OK(get(&c, &m, 7, &e));
    T_CHECK(value_is(e, 7));
    lmn_lru_let_go(e);
    lmn_lru_finish(&c);
    T_EQ(m.n_dropped, 2);
}

/* Evicted, removed, cleared: whoever holds it goes on. */
static void test_outlives(t_env *env)
{
    maker m = {.env = env, .bytes = 1};
    lmn_lru c;
    lmn_lru_entry *a, *b, *d, *again;
    T_OK(init(&c, &m, 100, 1, 2));
    T_OK(get(&c, &m, 1, &a));
    T_OK(get(&c, &m, 2, &b));
    T_CHECK(value_is(a, 1) && value_is(b, 2));
    T_OK(get(&c, &m, 1, &again));
    T_CHECK(again != a && value_is(a, 1));
    lmn_lru_let_go(a), lmn_lru_let_go(b), lmn_lru_let_go(again);
    T_EQ(m.n_built - m.n_dropped, 1);
    T_OK(get(&c, &m, 3, &d));
    T_CHECK(lmn_lru_remove(&c, key_of(&(uint32_t){3})));
    T_CHECK(!lmn_lru_remove(&c, key_of(&(uint32_t){3})));
    T_CHECK(lmn_lru_find(&c, key_of(&(uint32_t){3})) == NULL);
    T_CHECK(value_is(d, 3));
    lmn_lru_let_go(d);
    T_OK(get(&c, &m, 4, &d));
    lmn_lru_pin(d);
    lmn_lru_clear(&c);
    T_EQ(c.entries, 0);
    T_CHECK(value_is(d, 4));
    lmn_lru_unpin(d);
    lmn_lru_let_go(d);
    T_EQ(m.n_built, m.n_dropped);
    lmn_lru_finish(&c);
}

/* Each allocation fails in turn; what was asked for is there or is not. */
static void test_no_memory(t_env *env)
{
    for (int nth = 1;; nth++) {
        maker m = {.env = env, .bytes = 1};
        lmn_lru c;
        t_fail_alloc(env, nth);
        lamina_status st = init(&c, &m, 1000, 1000, 1);
        for (uint32_t key = 0; st == LAMINA_OK && key < 40; key++) {
            lmn_lru_entry *e = NULL;
            m.fail = key == 20 ? LAMINA_E_PARSE : LAMINA_OK;
            const lamina_status one = get(&c, &m, key, &e);
            T_CHECK(one == m.fail || one == LAMINA_E_NOMEM);
            T_CHECK((one == LAMINA_OK) == (e != NULL));
            if (e) lmn_lru_let_go(e);
        }
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        lmn_lru_finish(&c);
        T_EQ(m.n_dropped, m.n_built - m.n_failed);
        T_NOTHING_HELD(env);
        if (over) break;
    }
}
T_MAIN(T_TEST(test_model), T_TEST(test_bad), T_TEST(test_outlives), T_TEST(test_no_memory))
