/*
 * The shared cache under the model checker: of two who ask one builds; what it
 * wrote is seen by the other; a failure is told, a cancelled build is taken
 * over; an entry that is evicted or removed under its user lives until it is
 * let go, and is dropped once.
 */
#include "sync/lru.h"

#include "mc_frame.h"

static lmn_lru cache;
static int n_built, n_dropped;
static lamina_status first_build;

static lamina_status build(void *ctx, lmn_span key, void **value, size_t *bytes, lamina_error *err)
{
    (void)ctx, (void)err;
    if (n_built++ == 0 && first_build != LAMINA_OK) return first_build;
    uint32_t *v = stmc_malloc(sizeof *v);
    stmc_write(*v, key.p[0]);
    *value = v;
    *bytes = 1;
    return LAMINA_OK;
}

static void drop(void *ctx, void *value, size_t bytes)
{
    (void)ctx, (void)bytes;
    n_dropped++;
    stmc_free(value);
}

static void begin_with(lamina_status first, size_t max_entries)
{
    const lmn_lru_opts o = {&mc_memory, 100, max_entries, 1, drop, NULL, NULL};
    n_built = n_dropped = 0;
    first_build = first;
    stmc_check(lmn_lru_init(&cache, &o) == LAMINA_OK);
}

MC_PART(begin, begin_with(LAMINA_OK, 10))
MC_PART(begin_failing, begin_with(LAMINA_E_PARSE, 10))
MC_PART(begin_cancelled, begin_with(LAMINA_E_CANCELLED, 10))
MC_PART(begin_small, begin_with(LAMINA_OK, 1))

static lamina_status ask(uint8_t key)
{
    lmn_lru_entry *e;
    const lmn_lru_ask how = {build, NULL, 0};
    const lamina_status st = lmn_lru_get(&cache, (lmn_span){&key, 1}, &how, &e, NULL);
    if (st != LAMINA_OK) return st;
    const uint32_t *v = lmn_lru_value(e);
    stmc_check(stmc_read(*v) == key);
    lmn_lru_let_go(e);
    return st;
}

static void ask_one(void)
{
    stmc_check(ask(1) == LAMINA_OK);
}

static void ask_two(void)
{
    stmc_check(ask(2) == LAMINA_OK);
}

static void ask_and_see(void)
{
    const lamina_status st = ask(1);
    stmc_check(st == LAMINA_OK || st == first_build);
}

static void remove_one(void)
{
    const uint8_t key = 1;
    (void)lmn_lru_remove(&cache, (lmn_span){&key, 1});
}

/* Takes what is there, and keeps it while others go. */
static void find_one(void)
{
    const uint8_t key = 1;
    lmn_lru_entry *e = lmn_lru_find(&cache, (lmn_span){&key, 1});
    if (!e) return;
    const uint32_t *v = lmn_lru_value(e);
    stmc_check(stmc_read(*v) == 1);
    lmn_lru_let_go(e);
}

static void find_and_pin(void)
{
    const uint8_t key = 1;
    lmn_lru_entry *e = lmn_lru_find(&cache, (lmn_span){&key, 1});
    if (!e) return;
    lmn_lru_pin(e);
    const uint32_t *v = lmn_lru_value(e);
    stmc_check(stmc_read(*v) == 1);
    lmn_lru_unpin(e);
    lmn_lru_let_go(e);
}

MC_PART(clear, lmn_lru_clear(&cache))

/* One entry, and room for no more. */
static void begin_taken(void)
{
    begin_small();
    ask_one();
}

static void end(void)
{
    lmn_lru_finish(&cache);
    stmc_check(n_dropped == n_built - (n_built > 0 && first_build != LAMINA_OK));
}

static void end_once(void)
{
    stmc_check(n_built == 1);
    end();
}

STMC_MAIN({"one key", begin, {ask_one, ask_one}, end_once},
          {"a failure", begin_failing, {ask_and_see, ask_and_see}, end},
          {"given up", begin_cancelled, {ask_and_see, ask_and_see}, end},
          {"removed", begin, {ask_one, remove_one}, end}, {"cleared", begin, {ask_one, clear}, end},
          {"evicted while it is found", begin_taken, {ask_two, find_one}, end},
          {"cleared while it is found", begin_taken, {clear, find_and_pin}, end},
          {"evicted", begin_small, {ask_one, ask_two}, end})
