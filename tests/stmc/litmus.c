/*
 * The checker checked: the classic litmus programs. What C11 forbids must never be seen; what it
 * allows must be seen in some run, or the checker misses weak behaviour. Counts of GenMC 0.9 on the
 * same programs stand where they were compared.
 */
#include <stdio.h>
#include <string.h>

#include "lamina/stmc.h"

static int x, y, r1, r2, r3, r4, data;
static int seen; /* over all runs of a scene */

static void zero(void)
{
    stmc_init(&x, 0);
    stmc_init(&y, 0);
    r1 = r2 = r3 = r4 = -1;
}

/* Store buffering. */
#define SB(name, store_order, load_order)                               \
    static void name##_1(void)                                          \
    {                                                                   \
        stmc_store(&x, 1, store_order), r1 = stmc_load(&y, load_order); \
    }                                                                   \
    static void name##_2(void)                                          \
    {                                                                   \
        stmc_store(&y, 1, store_order), r2 = stmc_load(&x, load_order); \
    }
SB(sb_sc, seq_cst, seq_cst)
SB(sb_ra, release, acquire)
SB(sb_mixed, seq_cst, acquire)
static void sb_forbidden(void)
{
    stmc_check(r1 || r2);
}
static void sb_allowed(void)
{
    seen |= !r1 && !r2;
}
static void sbf_1(void)
{
    stmc_store(&x, 1, relaxed);
    stmc_fence(seq_cst);
    r1 = stmc_load(&y, relaxed);
}
static void sbf_2(void)
{
    stmc_store(&y, 1, relaxed);
    stmc_fence(seq_cst);
    r2 = stmc_load(&x, relaxed);
}
/* The asymmetric pair: nothing on the quick side, membarrier on the other. */
static void asym_1(void)
{
    stmc_store(&x, 1, release);
    r1 = stmc_load(&y, acquire);
}
static void asym_2(void)
{
    stmc_store(&y, 1, release);
    stmc_membarrier();
    r2 = stmc_load(&x, acquire);
}

/* Message passing: data through y. */
static void mp_1(void)
{
    stmc_store(&x, 1, relaxed);
    stmc_store(&y, 1, release);
}
static void mp_2(void)
{
    r1 = stmc_load(&y, acquire);
    r2 = stmc_load(&x, relaxed);
}
static void mp_2_relaxed(void)
{
    r1 = stmc_load(&y, relaxed);
    r2 = stmc_load(&x, relaxed);
}
static void mp_1_fence(void)
{
    stmc_store(&x, 1, relaxed);
    stmc_fence(release);
    stmc_store(&y, 1, relaxed);
}
static void mp_2_fence(void)
{
    r1 = stmc_load(&y, relaxed);
    stmc_fence(acquire);
    r2 = stmc_load(&x, relaxed);
}
static void mp_forbidden(void)
{
    stmc_check(r1 != 1 || r2 == 1);
}
static void mp_allowed(void)
{
    seen |= r1 == 1 && r2 == 0;
}

/* A read-modify-write in between continues the release sequence. */
static void rseq_middle(void)
{
    (void)stmc_add(&y, 1, relaxed);
}
static void rseq_forbidden(void)
{
    stmc_check(r1 != 2 || r2 == 1);
}

/* Independent reads of independent writes. */
static void write_x(void)
{
    stmc_store(&x, 1, seq_cst);
}
static void write_y(void)
{
    stmc_store(&y, 1, seq_cst);
}
static void read_xy(void)
{
    r1 = stmc_load(&x, seq_cst), r2 = stmc_load(&y, seq_cst);
}
static void read_yx(void)
{
    r3 = stmc_load(&y, seq_cst), r4 = stmc_load(&x, seq_cst);
}
static void read_xy_acquire(void)
{
    r1 = stmc_load(&x, acquire), r2 = stmc_load(&y, acquire);
}
static void read_yx_acquire(void)
{
    r3 = stmc_load(&y, acquire), r4 = stmc_load(&x, acquire);
}
static void iriw_forbidden(void)
{
    stmc_check(!(r1 == 1 && r2 == 0 && r3 == 1 && r4 == 0));
}
static void iriw_allowed(void)
{
    seen |= r1 == 1 && r2 == 0 && r3 == 1 && r4 == 0;
}

/* Coherence: two reads of one location do not go back. */
static void write_twice(void)
{
    stmc_store(&x, 1, relaxed);
    stmc_store(&x, 2, relaxed);
}
static void read_twice(void)
{
    r1 = stmc_load(&x, relaxed), r2 = stmc_load(&x, relaxed);
}
static void coherent(void)
{
    stmc_check(r1 <= r2);
    seen |= r1 == 1 && r2 == 1;
}

static void increment(void)
{
    (void)stmc_add(&x, 1, relaxed);
}
static void three(void)
{
    stmc_check(stmc_load(&x, relaxed) == 3);
    seen = 1;
}

/* A lock of one word: the data inside never races. */
static void locked(void)
{
    while (stmc_exchange(&x, 1, acquire)) stmc_yield();
    stmc_write(data, stmc_read(data) + 1);
    stmc_store(&x, 0, release);
}
static void data_zero(void)
{
    zero();
    data = 0;
}
static void data_two(void)
{
    stmc_check(data == 2);
}

/* Read first, claimed afterwards: x may be stored again once y is 1. */
#define CLAIM(name, claim_order, look_order)                            \
    static void name##_1(void)                                          \
    {                                                                   \
        int zero = 0;                                                   \
        r1 = stmc_load(&x, relaxed);                                    \
        if (stmc_cas(&y, &zero, 1, claim_order)) stmc_keep(&x);         \
    }                                                                   \
    static void name##_2(void)                                          \
    {                                                                   \
        if (stmc_load(&y, look_order) == 1) stmc_store(&x, 1, relaxed); \
    }
CLAIM(claim, release, acquire)
CLAIM(claim_relaxed, relaxed, acquire)
CLAIM(claim_unseen, release, relaxed)
static void claim_held(void)
{
    stmc_check(r1 == 0);
}

enum { HOLDS, MUST_SEE, MUST_FAIL };
static const struct {
    stmc_scene scene;
    int what;
} CASES[] = {
    {{"SB seq_cst", zero, {sb_sc_1, sb_sc_2}, sb_forbidden}, HOLDS},
    {{"SB release, acquire", zero, {sb_ra_1, sb_ra_2}, sb_allowed}, MUST_SEE},
    {{"SB seq_cst stores", zero, {sb_mixed_1, sb_mixed_2}, sb_allowed}, MUST_SEE},
    {{"SB seq_cst fences", zero, {sbf_1, sbf_2}, sb_forbidden}, HOLDS},
    {{"SB membarrier", zero, {asym_1, asym_2}, sb_forbidden}, HOLDS},
    {{"MP", zero, {mp_1, mp_2}, mp_forbidden}, HOLDS},
    {{"MP relaxed", zero, {mp_1, mp_2_relaxed}, mp_allowed}, MUST_SEE},
    {{"MP fences", zero, {mp_1_fence, mp_2_fence}, mp_forbidden}, HOLDS},
    {{"MP release sequence", zero, {mp_1, rseq_middle, mp_2}, rseq_forbidden}, HOLDS},
    {{"IRIW seq_cst", zero, {write_x, write_y, read_xy, read_yx}, iriw_forbidden}, HOLDS},
    {{"IRIW acquire", zero, {write_x, write_y, read_xy_acquire, read_yx_acquire}, iriw_allowed},
     MUST_SEE},
    {{"CoRR", zero, {write_twice, read_twice}, coherent}, MUST_SEE},
    {{"RMW", zero, {increment, increment, increment}, three}, MUST_SEE},
    {{"lock", data_zero, {locked, locked}, data_two}, HOLDS},
    {{"claim", zero, {claim_1, claim_2}, claim_held}, HOLDS},
    {{"claim relaxed", zero, {claim_relaxed_1, claim_relaxed_2}, claim_held}, MUST_FAIL},
    {{"claim not acquired", zero, {claim_unseen_1, claim_unseen_2}, claim_held}, MUST_FAIL},
};

int main(int argc, char **argv)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        seen = 0;
        const int fails = CASES[i].what == MUST_FAIL;
        if (fails) printf("to fail: ");
        wrong += stmc_main(argc, argv, &CASES[i].scene, 1) != fails;
        if (CASES[i].what != MUST_SEE || seen) continue;
        printf("%s: FAILED: C11 allows what no run showed\n", CASES[i].scene.name);
        wrong++;
    }
    return wrong != 0;
}
