/*
 * Writing updates into a copy of data with a reduction: ScatterElements and ScatterND. Without one
 * the elements are moved as bytes (any type, strings too). With one, floats gather in f64 and
 * integers in i64, and the whole output is rounded once at the end.
 */
#ifndef LMN_OPS_SCATTER_H
#define LMN_OPS_SCATTER_H

#include "ops/gather.h"

typedef enum lmn_scatter_mode {
    LMN_SCATTER_SET,
    LMN_SCATTER_ADD,
    LMN_SCATTER_MUL,
    LMN_SCATTER_MAX,
    LMN_SCATTER_MIN
} lmn_scatter_mode;

typedef struct lmn_scatter {
    lmn_scatter_mode mode;
    lamina_dtype dtype;
    lmn_plain out, upd;   /* SET */
    double *acc, *acc_u;  /* floats and complex: parts[] doubles an element */
    int64_t *sum, *sum_u; /* integers and bool */
    int32_t parts;
} lmn_scatter;

/* Output 0 starts as data; reads the reduction attribute and checks types. *go is false when nobody
   wants the output. */
lamina_status lmn_scatter_begin(lmn_eval *ec, const lamina_tensor *data, const lamina_tensor *upd,
                                lmn_scatter *s, bool *go);
/* n elements: out[at + i] takes upd[from + i]. */
void lmn_scatter_put(const lmn_scatter *s, int64_t at, int64_t from, int64_t n);
lamina_status lmn_scatter_end(lmn_eval *ec, const lmn_scatter *s);

#endif
