/*
 * Diagnostics: what is wrong (or suspicious) with a model, collected instead of stopping at the
 * first problem. Import, verification, inference and the devices all report here; lamina_error is
 * filled from the first error at the end. Bounded: past `max` further ones are only counted.
 */
#ifndef LMN_BASE_DIAG_H
#define LMN_BASE_DIAG_H

#include "base/alloc.h"

enum { LMN_DIAG_LINT = 0, LMN_DIAG_ERROR = 1 };

typedef struct lmn_diag {
    int32_t severity;     /* LMN_DIAG_* */
    lamina_status status; /* of an error; OK for a lint */
    const char *node;     /* printable node name, "" = the model itself */
    const char *op;       /* "domain:Op" or "Op", "" when no operator is concerned */
    int32_t opset;        /* of the operator's domain, 0 = none */
    const char *what;     /* the reason: one clause, no final dot */
    const char *fix;      /* what to do about it, "" = nothing known */
    const char *lint;     /* id of a lint, static; "" of an error */
} lmn_diag;

typedef struct lmn_diags {
    lmn_arena arena; /* holds all strings */
    lmn_diag *items;
    size_t n, cap, max, n_dropped, n_errors;
} lmn_diags;

/* Where a report comes from; all strings borrowed, copied when stored. */
typedef struct lmn_diag_at {
    const char *node, *op;
    int32_t opset;
} lmn_diag_at;

void lmn_diags_init(lmn_diags *d, const lamina_allocator *alloc);
void lmn_diags_finish(lmn_diags *d); /* a zeroed one is fine */
/* What to do about an error of this class when nobody knows better; "" for what is our own bug. */
const char *lmn_default_fix(lamina_status status);
/* Append that to a sentence without a fix ("; " stands before one). Returns err->status. */
lamina_status lmn_error_fix(lamina_error *err);
/* Record one; NULL d does nothing. Always returns `status`. `fix` NULL: the default of an error. */
LMN_PRINTF(6, 7)
lamina_status lmn_diag_add(lmn_diags *d, int severity, lamina_status status, lmn_diag_at at,
                           const char *fix, const char *fmt, ...);
/* The same for a lint; `id` is static text. */
LMN_PRINTF(5, 6)
void lmn_diag_lint(lmn_diags *d, const char *id, lmn_diag_at at, const char *fix, const char *fmt,
                   ...);
/* Fill *err from the first error: `node "x" (Op, opset n): reason; fix`. Returns its status, or OK.
 */
lamina_status lmn_diags_to_error(const lmn_diags *d, lamina_error *err);

#endif
