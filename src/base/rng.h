/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A value is a pure function of (seed, stream, position), so any thread may
 * draw any part of a sequence and the result never depends on who drew what.
 */
#ifndef LMN_BASE_RNG_H
#define LMN_BASE_RNG_H

#include "base/types.h"

/* One block: 10 rounds over counter and key. */
void lmn_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* A sequence of one (seed, stream): 2^66 words before it repeats. */
typedef struct lmn_rng {
    uint64_t seed, stream, block; /* `block` is the next to be drawn */
    uint32_t word[4];
    uint32_t n_left; /* words of `word` not yet given out */
} lmn_rng;

void lmn_rng_init(lmn_rng *r, uint64_t seed, uint64_t stream);
uint32_t lmn_rng_u32(lmn_rng *r);
uint64_t lmn_rng_u64(lmn_rng *r);
float lmn_rng_f32(lmn_rng *r);  /* [0, 1), 24 bits */
double lmn_rng_f64(lmn_rng *r); /* [0, 1), 53 bits */
/* Unbiased in 0..n-1; n > 0. */
uint64_t lmn_rng_below(lmn_rng *r, uint64_t n);
/* Standard normal (Box-Muller, one of the pair). */
double lmn_rng_normal(lmn_rng *r);

#endif
