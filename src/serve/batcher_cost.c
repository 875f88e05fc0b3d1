/*
 * What runs cost, learned from them and from warm-up, and how long a request would therefore wait.
 * Costs are kept by powers of two of rows.
 */
#include "serve/batcher_int.h"

static uint32_t bucket_of(int64_t rows)
{
    return rows <= 1 ? 0 : 64u - (uint32_t)__builtin_clzll((uint64_t)rows - 1);
}

uint64_t lmn_batcher_cost(const lmn_batcher *b, int64_t rows)
{
    const uint32_t k = bucket_of(rows);
    if (k > 32) return 0;
    for (uint32_t i = k;; i--) { /* not known: as if rows cost what they cost in smaller runs */
        if (b->cost_ns[i]) return b->cost_ns[i] << (k - i < 20 ? k - i : 20);
        if (!i) break;
    }
    for (uint32_t i = k + 1; i <= 32; i++)
        if (b->cost_ns[i]) return b->cost_ns[i];
    return 0;
}

void lmn_batcher_seed(lmn_batcher *b, int64_t rows, uint64_t took_ns)
{
    const uint32_t k = bucket_of(rows);
    if (k <= 32) b->cost_ns[k] = took_ns < (uint64_t)1 << 40 ? took_ns : (uint64_t)1 << 40;
}

void lmn_batch_learn(lmn_batcher *b, int64_t rows, uint64_t took_ns)
{
    const uint32_t k = bucket_of(rows);
    if (k > 32 || !took_ns) return;
    uint64_t *c = &b->cost_ns[k];
    if (*c && took_ns > 8 * *c) took_ns = 8 * *c;
    if (*c)
        *c = *c - *c / 8 + took_ns / 8;
    else
        lmn_batcher_seed(b, rows, took_ns);
    if (!*c) *c = 1;
}

uint64_t lmn_batcher_wait(const lmn_batcher *b, uint32_t level, bool has_deadline, uint64_t now)
{
    const lmn_batch_config *c = &b->config;
    int64_t rows = 0;
    uint64_t n = 0, rest = 0;
    for (uint32_t i = 0; i <= level; i++) {
        /* who has a deadline overtakes those at its level that have none */
        const bool some = i == level && has_deadline;
        rows += some ? b->at_level[i].rows_due : b->at_level[i].rows;
        n += some ? b->at_level[i].n_due : b->at_level[i].n;
    }
    if (!b->free_mask) {
        rest = UINT64_MAX;
        for (uint32_t i = 0; i < c->n_instances; i++)
            if (b->until[i] < rest) rest = b->until[i];
        rest = rest > now ? rest - now : 0;
    }
    const bool together = c->dynamic && c->max_batch_size > 0;
    const int64_t whole = together ? b->whole : 1;
    const uint64_t each =
        together || !n ? lmn_batcher_cost(b, whole) : lmn_batcher_cost(b, rows / (int64_t)n);
    const uint64_t runs = together ? (uint64_t)(rows / whole) : n;
    uint64_t wait;
    if (__builtin_mul_overflow(runs, each, &wait)) return UINT64_MAX;
    return lmn_batch_later(rest, wait / c->n_instances);
}
