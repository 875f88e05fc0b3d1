/*
 * Lookup of keys (a token, or a run of tokens) by hash, in scratch: the pools of
 * n-grams. Tokens are int64 or strings.
 */
#ifndef LMN_OPS_LOOKUP_H
#define LMN_OPS_LOOKUP_H

#include "ops/op.h"

/* Exactly one is set. */
typedef struct lmn_tokens {
    const int64_t *num;
    const lmn_str *str;
} lmn_tokens;

/* A run of tokens: first, first + step, ... */
typedef struct lmn_token_run {
    lmn_tokens t;
    int64_t first, step, len;
} lmn_token_run;

typedef struct lmn_lookup {
    int64_t *slot; /* id + 1, 0 = free */
    size_t mask;
    const lmn_token_run *keys; /* by id, the caller's */
} lmn_lookup;

/* Room for n keys. */
lamina_status lmn_lookup_make(lmn_eval *ec, int64_t n, const lmn_token_run *keys, lmn_lookup *l);
/* Key `id`; a key seen before is overwritten. */
void lmn_lookup_add(lmn_lookup *l, int64_t id);
/* Id or -1. */
int64_t lmn_lookup_find(const lmn_lookup *l, const lmn_token_run *key);

#endif
