/*
 * Subjects about one thread and its caches: the order of a traversal, branches, layouts of data.
 * Every loop of a subject does the same arithmetic on the same values; the sums are compared at the
 * start.
 */
#include "sys_bench.h"

#include <stdlib.h>
#include <string.h>

/* ---- traversal --------------------------------------------------------------------------------
 */

#define SIDE 1024
#define PITCH_EVEN 1024       /* a power of two: columns fall on few sets */
#define PITCH_ODD (1024 + 16) /* a line more */
#define TILE 16               /* columns of a tile: one line of the matrix */

typedef struct matrix {
    uint32_t even[SIDE * PITCH_EVEN], odd[SIDE * PITCH_ODD];
} matrix;

static uint64_t by_rows(void *state, int arg)
{
    const matrix *m = state;
    uint64_t sum = 0;
    (void)arg;
    for (size_t i = 0; i < SIDE; i++)
        for (size_t j = 0; j < SIDE; j++) {
            sum += m->even[i * PITCH_EVEN + j];
            sys_keep(sum); /* one by one, so that the order alone differs */
        }
    return sum;
}

static uint64_t by_columns(void *state, int pitch)
{
    const matrix *m = state;
    const uint32_t *p = pitch == PITCH_EVEN ? m->even : m->odd;
    uint64_t sum = 0;
    for (size_t j = 0; j < SIDE; j++)
        for (size_t i = 0; i < SIDE; i++) {
            sum += p[i * (size_t)pitch + j];
            sys_keep(sum);
        }
    return sum;
}

static uint64_t by_tiles(void *state, int arg)
{
    const matrix *m = state;
    uint64_t sum = 0;
    (void)arg;
    for (size_t at = 0; at < SIDE; at += TILE)
        for (size_t i = 0; i < SIDE; i++)
            for (size_t j = at; j < at + TILE; j++) {
                sum += m->even[i * PITCH_EVEN + j];
                sys_keep(sum);
            }
    return sum;
}

static double sample_rows(void *state, int arg)
{
    return sys_loop_ns(by_rows, state, arg, (double)SIDE * SIDE);
}
static double sample_columns(void *state, int pitch)
{
    return sys_loop_ns(by_columns, state, pitch, (double)SIDE * SIDE);
}
static double sample_tiles(void *state, int arg)
{
    return sys_loop_ns(by_tiles, state, arg, (double)SIDE * SIDE);
}

bool sys_traversal(sys_run *r, void **state)
{
    matrix *m = malloc(sizeof *m);
    uint64_t seed = 1;
    *state = m;
    if (!m) return (void)cli_fail("out of memory"), false;
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < SIDE; i++)
        for (size_t j = 0; j < SIDE; j++)
            m->even[i * PITCH_EVEN + j] = m->odd[i * PITCH_ODD + j] = (uint32_t)sys_random(&seed);
    sys_add(r, sample_rows, 0, NULL, "by rows");
    sys_add(r, sample_columns, PITCH_EVEN, NULL, "by columns, rows 4096 bytes apart");
    sys_add(r, sample_columns, PITCH_ODD, NULL, "by columns, rows 4160 bytes apart");
    sys_add(r, sample_tiles, 0, NULL, "by columns of tiles a line wide");
    const uint64_t sum = by_rows(m, 0);
    return (sum == by_columns(m, PITCH_EVEN) && sum == by_columns(m, PITCH_ODD) &&
            sum == by_tiles(m, 0)) ||
           ((void)cli_fail("traversal: the sums differ"), free(m), false);
}

/* ---- branches ---------------------------------------------------------------------------------
 */

#define VALUES 65536

typedef struct values {
    uint8_t random[VALUES], sorted[VALUES], pattern[VALUES];
} values;

static const uint8_t *pick(const values *v, int which)
{
    return which == 0 ? v->sorted : which == 1 ? v->pattern : v->random;
}

/* The empty assembly keeps the branch a branch. */
static uint64_t branching(void *state, int which)
{
    const uint8_t *p = pick(state, which);
    uint64_t sum = 0;
    for (size_t i = 0; i < VALUES; i++)
        if (p[i] >= 128) {
            sum += p[i];
            __asm__ volatile("" : "+r"(sum));
        }
    return sum;
}

static uint64_t branchless(void *state, int which)
{
    const uint8_t *p = pick(state, which);
    uint64_t sum = 0;
    for (size_t i = 0; i < VALUES; i++) {
        sum += p[i] & (0 - (uint64_t)(p[i] >> 7));
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

static double sample_branching(void *state, int which)
{
    return sys_loop_ns(branching, state, which, VALUES);
}
static double sample_branchless(void *state, int which)
{
    return sys_loop_ns(branchless, state, which, VALUES);
}

static int by_byte(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

bool sys_branches(sys_run *r, void **state)
{
    values *v = malloc(sizeof *v);
    uint64_t seed = 1;
    *state = v;
    if (!v) return (void)cli_fail("out of memory"), false;
    for (size_t i = 0; i < VALUES; i++) v->random[i] = (uint8_t)sys_random(&seed);
    memcpy(v->sorted, v->random, VALUES);
    qsort(v->sorted, VALUES, 1, by_byte);
    for (size_t i = 0; i < VALUES; i++) v->pattern[i] = i % 2 ? 200 : 100;
    sys_add(r, sample_branching, 0, NULL, "branch, sorted");
    sys_add(r, sample_branching, 1, NULL, "branch, every other one");
    sys_add(r, sample_branching, 2, NULL, "branch, random");
    sys_add(r, sample_branchless, 0, NULL, "no branch, sorted");
    sys_add(r, sample_branchless, 2, NULL, "no branch, random");
    const uint64_t sum = branching(v, 0);
    return (sum == branching(v, 2) && sum == branchless(v, 2)) ||
           ((void)cli_fail("branches: the sums differ"), free(v), false);
}
