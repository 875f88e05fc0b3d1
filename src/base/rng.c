/*
 * Philox4x32-10 and the distributions over it.
 */
#include "base/rng.h"

#include <math.h>

#define M0 0xD2511F53u
#define M1 0xCD9E8D57u
#define W0 0x9E3779B9u
#define W1 0xBB67AE85u

void lmn_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)M0 * c0, b = (uint64_t)M1 * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += W0;
        k1 += W1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void lmn_rng_init(lmn_rng *r, uint64_t seed, uint64_t stream)
{
    *r = (lmn_rng){.seed = seed, .stream = stream};
}

uint32_t lmn_rng_u32(lmn_rng *r)
{
    if (r->n_left == 0) {
        const uint32_t counter[4] = {(uint32_t)r->block, (uint32_t)(r->block >> 32),
                                     (uint32_t)r->stream, (uint32_t)(r->stream >> 32)};
        const uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)};
        lmn_philox4x32(r->word, counter, key);
        r->block++;
        r->n_left = 4;
    }
    return r->word[4 - r->n_left--];
}

uint64_t lmn_rng_u64(lmn_rng *r)
{
    const uint64_t lo = lmn_rng_u32(r);
    return lo | (uint64_t)lmn_rng_u32(r) << 32;
}

float lmn_rng_f32(lmn_rng *r)
{
    return (float)(lmn_rng_u32(r) >> 8) * 0x1p-24f;
}

double lmn_rng_f64(lmn_rng *r)
{
    return (double)(lmn_rng_u64(r) >> 11) * 0x1p-53;
}

uint64_t lmn_rng_below(lmn_rng *r, uint64_t n)
{
    /* Values under `reject` would make the low remainders one too frequent. */
    const uint64_t reject = -n % n;
    uint64_t v;
    do v = lmn_rng_u64(r);
    while (v < reject);
    return v % n;
}

double lmn_rng_normal(lmn_rng *r)
{
    const double u = 1.0 - lmn_rng_f64(r); /* (0, 1]: its logarithm is finite */
    const double v = lmn_rng_f64(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
