/*
 * Products of f32 in 8 bits, for sessions of precision int8: constant weights with a scale a
 * column, rows of the other operand with a scale a row that is found as they come. Sums are exact;
 * the results are scaled in f32, then follow the epilogue.
 */
#ifndef LMN_DEVICES_CPU_INT8_H
#define LMN_DEVICES_CPU_INT8_H

#include "devices/cpu/cpu_half.h"
#include "kernels/gemm/epi.h"

/* Does the session multiply the node's f32 weights, a matrix, in 8 bits? */
bool lmn_cpu_wants_int8(const lmn_cpu_dev *dev, const lamina_node *node);
void lmn_cpu_name_int8(const lmn_cpu_dev *dev, char *text, size_t cap);
/* Fills in what `s` says of 8 bits; weights that are not finite stay f32. */
lamina_status lmn_cpu_int8_init(const lmn_cpu_dev *dev, const lamina_node *node, lmn_cpu_weights *s,
                                lamina_error *err);
void lmn_cpu_int8_finish(const lmn_cpu_dev *dev, lmn_cpu_weights *s);

/* c[item] = epi(a[item] w): n_batch products of m rows, all dense. */
typedef struct lmn_cpu_int8 {
    const lmn_cpu_weights *w;
    const float *a;
    float *c;
    int64_t m, n, k, n_batch;
    const lmn_epi *epi; /* NULL = none */
} lmn_cpu_int8;

lamina_status lmn_cpu_int8_run(const lmn_cpu_dev *dev, lmn_eval *ec, const lmn_cpu_int8 *p);

#endif
