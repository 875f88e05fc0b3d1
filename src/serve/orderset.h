/*
 * An ordered set of nodes that lie inside other objects: add, least, remove. What comes in order
 * (nearly all: time goes forwards) hangs on a list and costs O(1); what does not goes into a treap
 * beside it, O(log n). No memory of its own. Nodes with equal keys are told apart by `tie`, which
 * must differ; it also decides the treap's shape, hashed with the set's seed.
 *
 * One owner at a time.
 */
#ifndef LMN_SERVE_ORDERSET_H
#define LMN_SERVE_ORDERSET_H

#include "base/types.h"

typedef struct lmn_ordnode {
    uint64_t key, tie;
    struct lmn_ordnode *a, *b; /* list: before, after; treap: lesser, greater */
    uint8_t where;             /* LMN_ORD_* */
} lmn_ordnode;

enum { LMN_ORD_OUT = 0, LMN_ORD_LIST, LMN_ORD_TREE };

/* Zeroed but for the seed: empty. */
typedef struct lmn_ordset {
    lmn_ordnode *first, *last; /* the list */
    lmn_ordnode *root;         /* the treap */
    uint64_t seed;
} lmn_ordset;

/* `n` is out; key and tie are set. */
void lmn_ordset_add(lmn_ordset *s, lmn_ordnode *n);
/* NULL: empty. */
lmn_ordnode *lmn_ordset_least(const lmn_ordset *s);
/* `n` is in this set, or out (then nothing happens). */
void lmn_ordset_remove(lmn_ordset *s, lmn_ordnode *n);

#endif
