/*
 * What the operators of ai.onnx.ml share: lists that come as one of several attributes, an index
 * from keys to positions, the feature matrix, score transforms and class labels.
 */
#ifndef LMN_OPS_ML_H
#define LMN_OPS_ML_H

#include "ops/op.h"

#define LMN_D_ML \
    (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F64) | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
#define LMN_D_LABEL (LMN_DBIT(LAMINA_I64) | LMN_D_STRING)

/* ---- lists --------------------------------------------------------------------------------------
 */

/* Values of an attribute: strings, int64s, floats or a tensor. dt NONE: absent. */
typedef struct lmn_ml_list {
    lamina_dtype dt; /* STRING, I64, F32 or the tensor's type */
    int64_t n;
    const lmn_attr *attr;
} lmn_ml_list;

/* The first of these attributes that is there and not empty; names may be NULL. */
lmn_ml_list lmn_ml_list_of(const lmn_opnode *n, const char *strings, const char *ints,
                           const char *floats, const char *tensor);
double lmn_ml_f64(const lmn_ml_list *l, int64_t i);
int64_t lmn_ml_i64(const lmn_ml_list *l, int64_t i);
lmn_str lmn_ml_str(const lmn_ml_list *l, int64_t i); /* of string lists only; p never NULL */
/* A numeric list as f64 in scratch; must have n values when it is there, else all are `fill`. */
lamina_status lmn_ml_values(lmn_eval *ec, const lmn_ml_list *l, int64_t n, double fill,
                            double **out);

/* ---- index --------------------------------------------------------------------------------------
 */

/* Key: a string (p set) or a number, whose bits are canonical (one zero, one NaN). */
typedef struct lmn_ml_key {
    const char *p;
    size_t n;
    uint64_t bits;
} lmn_ml_key;

lmn_ml_key lmn_ml_key_str(lmn_str s);
lmn_ml_key lmn_ml_key_i64(int64_t v);
lmn_ml_key lmn_ml_key_f64(double v);

/* Hash index: key to the position of its last appearance. */
typedef struct lmn_ml_index {
    const lmn_ml_key *keys;
    int64_t n, mask;
    int32_t *slots; /* position + 1, 0 = free */
} lmn_ml_index;

/* keys stay borrowed. At most 2^30 of them. */
lamina_status lmn_ml_index_build(lmn_eval *ec, const lmn_ml_key *keys, int64_t n, lmn_ml_index *x);
int64_t lmn_ml_index_find(const lmn_ml_index *x, lmn_ml_key k); /* -1 = absent */
/* Index over a list; numbers are keyed as i64, or as f64 for float lists. */
lamina_status lmn_ml_index_list(lmn_eval *ec, const lmn_ml_list *l, lmn_ml_index *x);
/* Key of element i of t as that list's index wants it; false when one is strings and the other not.
 */
bool lmn_ml_key_of(const lmn_ml_list *l, const lamina_tensor *t, int64_t i, lmn_ml_key *out);

/* ---- features, scores, labels -------------------------------------------------------------------
 */

/* [N, F], or [F] as one row; fails for other ranks. */
lamina_status lmn_ml_matrix(lmn_eval *ec, int32_t i, int64_t *rows, int64_t *cols);
/* Rows of input 0 as a dim (1 for a vector), unknown if unknown; fails for ranks other than 1
 * and 2. */
lamina_status lmn_ml_infer_rows(lmn_infer *ic, lmn_dim *rows);

/* Output 0 is [rows, attribute `targets` (1 if absent)]. */
lamina_status lmn_ml_infer_scores(lmn_infer *ic, const char *targets);
/* Output 0 is [rows] of the type of the labels, output 1 [rows, scores]. */
lamina_status lmn_ml_infer_classes(lmn_infer *ic, const lmn_ml_list *labels, lmn_dim scores);

typedef enum lmn_ml_post {
    LMN_ML_NONE,
    LMN_ML_SOFTMAX,
    LMN_ML_LOGISTIC,
    LMN_ML_SOFTMAX_ZERO,
    LMN_ML_PROBIT
} lmn_ml_post;
/* Attribute post_transform (a string); false for an unknown name. */
bool lmn_ml_post_of(const lmn_opnode *n, lmn_ml_post *out);
void lmn_ml_post_apply(lmn_ml_post p, double *s, int64_t n);
double lmn_ml_logistic(double x);
double lmn_ml_probit(double x);

/* Label number k of the class list (k itself without a list) into element i of y. */
lamina_status lmn_ml_put_label(lmn_eval *ec, lamina_tensor *y, int64_t i, const lmn_ml_list *labels,
                               int64_t k);
static inline lamina_dtype lmn_ml_label_type(const lmn_ml_list *labels)
{
    return labels->dt == LAMINA_STRING ? LAMINA_STRING : LAMINA_I64;
}

#endif
