/*
 * A choice: how a plan shall read its operands and cut its work instead of by its own rule. Made by
 * measuring (room tune), checked by the plan that gets it: what is not possible there is refused
 * and the rule stands. No choice changes the chain of operations of an element, but for the two
 * ways of Winograd, which have an error class of their own (wino.h).
 */
#ifndef LMN_KERNELS_CHOICE_H
#define LMN_KERNELS_CHOICE_H

#include "base/types.h"

/* X(id, name): ways of a product, then ways of a convolution; qgemm has its rule's alone. */
#define LMN_CHOICE_LIST(X)                                                   \
    X(RULE, "rule")         /* as the plan decides */                        \
    X(PACKED, "packed")     /* B packed block by block */                    \
    X(DIRECT, "direct")     /* row-major B read in place as panels */        \
    X(STREAMED, "streamed") /* row-major B read once, few rows of A */       \
    X(OWN, "own")           /* pixels packed by every chunk */               \
    X(SHARED, "shared")     /* pixels packed once, before the chunks */      \
    X(WINO_U, "wino-u")     /* Winograd, filters transformed once for all */ \
    X(WINO_V, "wino-v")     /* Winograd, input transformed once for all */

enum {
#define X(id, name) LMN_CHOICE_##id,
    LMN_CHOICE_LIST(X)
#undef X
        LMN_CHOICE_COUNT
};

/* Blocks in the units of the plan's own mc, nc, kc (cc); 0 = as the rule says. */
typedef struct lmn_choice {
    int32_t path, mc, nc, kc;
} lmn_choice;

enum {
    LMN_CHOICE_MOST = 24,           /* choices offered for one problem */
    LMN_CHOICE_BLOCK_MAX = 1 << 20, /* of mc, nc, kc */
    LMN_CHOICE_CHUNKS_MAX = 1 << 16
};
/* Scratch of a worker, unless the rule wants more. */
#define LMN_CHOICE_SCRATCH_MAX ((size_t)8 << 20)

static inline bool lmn_choice_in_range(const lmn_choice *c)
{
    return c->path >= 0 && c->path < LMN_CHOICE_COUNT && c->mc >= 0 && c->nc >= 0 && c->kc >= 0 &&
           c->mc <= LMN_CHOICE_BLOCK_MAX && c->nc <= LMN_CHOICE_BLOCK_MAX &&
           c->kc <= LMN_CHOICE_BLOCK_MAX;
}

static inline bool lmn_choice_is_rule(const lmn_choice *c)
{
    return !c->path && !c->mc && !c->nc && !c->kc;
}

/* A list of offers. */
typedef struct lmn_choices {
    int32_t n;
    lmn_choice at[LMN_CHOICE_MOST];
    bool other_bits[LMN_CHOICE_MOST]; /* not those of the rule */
} lmn_choices;

#endif
