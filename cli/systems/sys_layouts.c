/*
 * The subject about layouts: 131,072 particles of 64 bytes, of which a loop wants one field, two,
 * or all. As an array of structures, as one array a field, and split into hot and cold parts. The
 * loops give the same sums in every layout; that is checked before anything is timed.
 */
#include "sys_bench.h"

#include <stdlib.h>

#define N 131072u
#define FIELDS 16

typedef struct particle {
    uint32_t field[FIELDS]; /* 0 and 1 are hot */
} particle;

typedef struct hot {
    uint32_t field[2];
} hot;

typedef struct world {
    particle structure[N];
    uint32_t array[FIELDS][N];
    hot warm[N];
    uint32_t order[N]; /* a permutation, for visits at random */
} world;

enum { STRUCTURES, ARRAYS, SPLIT };

static uint32_t get(const world *w, int layout, uint32_t i, int f)
{
    return layout == STRUCTURES ? w->structure[i].field[f]
           : layout == ARRAYS   ? w->array[f][i]
                                : w->warm[i].field[f];
}

/* Inlined with constants, so that each layout gets a loop of its own. */
__attribute__((always_inline)) static inline uint64_t visit(const world *w, int layout, int fields,
                                                            bool random)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < N; k++) {
        const uint32_t i = random ? w->order[k] : k;
        for (int f = 0; f < fields; f++) sum += get(w, layout, i, f);
        sys_keep(sum);
    }
    return sum;
}

/* layout + 4 * (0: one field, 1: two, 2: all) + 16 * random */
static uint64_t loop(void *state, int what)
{
    const world *w = state;
    switch (what) {
    case STRUCTURES: return visit(w, STRUCTURES, 1, false);
    case ARRAYS: return visit(w, ARRAYS, 1, false);
    case 4 + STRUCTURES: return visit(w, STRUCTURES, 2, false);
    case 4 + ARRAYS: return visit(w, ARRAYS, 2, false);
    case 4 + SPLIT: return visit(w, SPLIT, 2, false);
    case 16 + 4 + STRUCTURES: return visit(w, STRUCTURES, 2, true);
    case 16 + 4 + ARRAYS: return visit(w, ARRAYS, 2, true);
    case 16 + 4 + SPLIT: return visit(w, SPLIT, 2, true);
    case 16 + 8 + STRUCTURES: return visit(w, STRUCTURES, FIELDS, true);
    default: return visit(w, ARRAYS, FIELDS, true);
    }
}

static double sample(void *state, int what)
{
    return sys_loop_ns(loop, state, what, N);
}

static void fill(world *w)
{
    uint64_t seed = 1;
    for (uint32_t i = 0; i < N; i++) {
        for (int f = 0; f < FIELDS; f++) {
            w->structure[i].field[f] = w->array[f][i] = (uint32_t)sys_random(&seed);
            if (f < 2) w->warm[i].field[f] = w->array[f][i];
        }
        w->order[i] = i;
    }
    for (uint32_t i = N - 1; i > 0; i--) {
        const uint32_t j = (uint32_t)(sys_random(&seed) % (i + 1)), t = w->order[i];
        w->order[i] = w->order[j];
        w->order[j] = t;
    }
}

bool sys_layouts(sys_run *r, void **state)
{
    static const struct {
        const char *name;
        int what, same_as;
    } CASES[] = {{"1 field in order, structures", STRUCTURES, STRUCTURES},
                 {"1 field in order, arrays", ARRAYS, STRUCTURES},
                 {"2 fields in order, structures", 4 + STRUCTURES, 4 + STRUCTURES},
                 {"2 fields in order, arrays", 4 + ARRAYS, 4 + STRUCTURES},
                 {"2 fields in order, hot part", 4 + SPLIT, 4 + STRUCTURES},
                 {"2 fields at random, structures", 20 + STRUCTURES, 4 + STRUCTURES},
                 {"2 fields at random, arrays", 20 + ARRAYS, 4 + STRUCTURES},
                 {"2 fields at random, hot part", 20 + SPLIT, 4 + STRUCTURES},
                 {"16 fields at random, structures", 24 + STRUCTURES, 24 + STRUCTURES},
                 {"16 fields at random, arrays", 24 + ARRAYS, 24 + STRUCTURES}};
    world *w = malloc(sizeof *w);
    *state = w;
    if (!w) return (void)cli_fail("out of memory"), false;
    fill(w);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        if (loop(w, CASES[i].what) != loop(w, CASES[i].same_as)) {
            free(w);
            return (void)cli_fail("layouts: the sums differ"), false;
        }
        sys_add(r, sample, CASES[i].what, NULL, "%s", CASES[i].name);
    }
    return true;
}
