/*
 * Strings: what operators on string tensors share. New strings are cut from one block of scratch
 * and copied into the output by lmn_plain_done.
 */
#ifndef LMN_OPS_STRINGS_H
#define LMN_OPS_STRINGS_H

#include "ops/move.h"
#include "ops/shapes.h"

/* Required input i: a string tensor. */
lamina_status lmn_need_strings(lmn_eval *ec, int32_t i, const lamina_tensor **t);
/* Elements of a string tensor, of a plain output. */
static inline const lmn_str *lmn_strs(const lamina_tensor *t)
{
    return t->data;
}
static inline lmn_str *lmn_plain_strs(const lmn_plain *e)
{
    return (lmn_str *)(void *)e->p;
}
/* A block to cut strings from. */
typedef struct lmn_str_pool {
    char *at;
    size_t left;
} lmn_str_pool;
lamina_status lmn_str_pool_make(lmn_eval *ec, size_t bytes, lmn_str_pool *p);
bool lmn_str_equal(const lmn_str *a, const lmn_str *b);
/* Strings attribute: count and pointer, 0 and NULL if absent. */
int32_t lmn_attr_strings(const lmn_opnode *n, const char *name, const lmn_str **out);

#endif
