/*
 * The list and the treap of an ordered set. A node's rank in the treap is a hash of its tie, so the
 * shape does not depend on the order of arrival, and nobody outside can know it.
 */
#include "serve/orderset.h"

#include "base/hash.h"

static bool less(const lmn_ordnode *a, const lmn_ordnode *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static uint64_t rank(const lmn_ordset *s, const lmn_ordnode *n)
{
    return lmn_hash_mix(n->tie ^ s->seed ^ 0x9e3779b97f4a7c15u, 0xe7037ed1a0b428dbu);
}

static void tree_add(lmn_ordset *s, lmn_ordnode *n)
{
    const uint64_t own = rank(s, n);
    lmn_ordnode **at = &s->root;
    while (*at && rank(s, *at) >= own) at = less(n, *at) ? &(*at)->a : &(*at)->b;
    lmn_ordnode *rest = *at, **lesser = &n->a, **greater = &n->b;
    *at = n;
    while (rest) { /* what lay below is cut in two along n */
        if (less(rest, n)) {
            *lesser = rest;
            lesser = &rest->b;
            rest = rest->b;
        } else {
            *greater = rest;
            greater = &rest->a;
            rest = rest->a;
        }
    }
    *lesser = *greater = NULL;
    n->where = LMN_ORD_TREE;
}

static void tree_remove(lmn_ordset *s, lmn_ordnode *n)
{
    lmn_ordnode **at = &s->root;
    while (*at != n) at = less(n, *at) ? &(*at)->a : &(*at)->b;
    lmn_ordnode *a = n->a, *b = n->b;
    while (a && b) {
        if (rank(s, a) >= rank(s, b)) {
            *at = a;
            at = &a->b;
            a = a->b;
        } else {
            *at = b;
            at = &b->a;
            b = b->a;
        }
    }
    *at = a ? a : b;
}

void lmn_ordset_add(lmn_ordset *s, lmn_ordnode *n)
{
    lmn_assert(n->where == LMN_ORD_OUT);
    if (!s->last || less(s->last, n)) {
        n->a = s->last;
        n->b = NULL;
        if (s->last)
            s->last->b = n;
        else
            s->first = n;
        s->last = n;
        n->where = LMN_ORD_LIST;
    } else if (less(n, s->first)) {
        n->a = NULL;
        n->b = s->first;
        s->first->a = n;
        s->first = n;
        n->where = LMN_ORD_LIST;
    } else {
        tree_add(s, n);
    }
}

lmn_ordnode *lmn_ordset_least(const lmn_ordset *s)
{
    lmn_ordnode *t = s->root;
    if (!t) return s->first;
    while (t->a) t = t->a;
    return s->first && less(s->first, t) ? s->first : t;
}

void lmn_ordset_remove(lmn_ordset *s, lmn_ordnode *n)
{
    if (n->where == LMN_ORD_TREE) {
        tree_remove(s, n);
    } else if (n->where == LMN_ORD_LIST) {
        if (n->a)
            n->a->b = n->b;
        else
            s->first = n->b;
        if (n->b)
            n->b->a = n->a;
        else
            s->last = n->a;
    }
    n->where = LMN_ORD_OUT;
}
