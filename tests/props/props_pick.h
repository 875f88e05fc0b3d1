/*
 * What a draw is made with while it is made: shared by props_draw.c (shapes, types, values) and
 * props_attr.c (attributes).
 */
#ifndef LMN_TESTS_PROPS_PICK_H
#define LMN_TESTS_PROPS_PICK_H

#include "props.h"

typedef struct pr_shape {
    int32_t rank;
    int64_t dims[LAMINA_MAX_RANK];
} pr_shape;

/* What a draw is made with: extents of letters, types of type variables. */
typedef struct pr_pick {
    pr_draw *d;
    lamina_engine *maker;
    int64_t letter[26];
    lamina_dtype var[128];
    pr_shape batch;
} pr_pick;

/* A whole number that few operators expect: an end of a type, or beyond any extent. */
int64_t pr_absurd(pr_draw *d);
/* A type out of the set. */
lamina_dtype pr_draw_type(pr_draw *d, lmn_dset set);
/* The product of numbers and letters' extents in s[0, n). */
int64_t pr_product(const pr_pick *p, const char *s, size_t n);
/* The ends of lo..hi in s[0, n); false: no range stands there. */
bool pr_split_range(const char *s, size_t n, double *lo, double *hi);

void pr_attrs_of_recipe(pr_pick *p, const char *s);
void pr_attrs_of_schema(pr_pick *p);

#endif
