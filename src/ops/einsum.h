/*
 * The equation of Einsum: parsed once for inference and once for evaluation.
 *
 * Labels are small numbers: 0..25 = A..Z, 26..51 = a..z (ASCII order), LMN_EIN_ELLIPSIS + j = the
 * j-th dimension counted from the right under "...". A term lists its labels from left to right.
 */
#ifndef LMN_OPS_EINSUM_H
#define LMN_OPS_EINSUM_H

#include "ops/op.h"

enum {
    LMN_EIN_ELLIPSIS = 52,
    LMN_EIN_LABELS = 52 + LMN_MAX_RANK,
    LMN_EIN_MAX_TERMS = 64,
    LMN_EIN_TERM = 64
};

typedef struct lmn_ein_term {
    int32_t n;    /* named labels */
    int32_t dots; /* position of the ellipsis among them, -1 = none */
    uint8_t lab[LMN_EIN_TERM];
} lmn_ein_term;

typedef struct lmn_ein {
    int32_t n_terms;
    lmn_ein_term term[LMN_EIN_MAX_TERMS];
    lmn_ein_term out; /* implicit outputs are filled in */
} lmn_ein;

/* NULL, or what is wrong with the equation (static text). */
const char *lmn_ein_parse(lmn_ein *e, const char *equation, int32_t n_inputs);
/*
 * Labels of a term with the ellipsis standing for `n_dots` dims; returns how many, or -1 when they
 * do not fit in cap.
 */
int32_t lmn_ein_expand(const lmn_ein_term *t, int32_t n_dots, uint8_t *out, int32_t cap);

#endif
