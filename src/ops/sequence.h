/*
 * Sequences and maps: what their operators share when they read one, address it, and infer its
 * items.
 */
#ifndef LMN_OPS_SEQUENCE_H
#define LMN_OPS_SEQUENCE_H

#include "ops/shapes.h"

/* Output o is a sequence of items like *item (NULL: nothing known; the dtype of the output stays).
 */
void lmn_infer_sequence(lmn_infer *ic, int32_t o, const lmn_fact *item);
/* Items of the sequence input i as a tensor or map fact: unknown when the input is. */
lmn_fact lmn_infer_item(const lmn_infer *ic, int32_t i);

/* Required sequence input i. */
lamina_status lmn_need_sequence(lmn_eval *ec, int32_t i, const lamina_tensor **seq);
/* Position input i into n places: negative ones count from the back; absent: n - 1 + (allow_end).
   The place n itself is legal with allow_end (insertion). */
lamina_status lmn_seq_position(lmn_eval *ec, int32_t i, int64_t n, bool allow_end, int64_t *pos);
/* Input i is a map, or nothing is known of it; fails with a sentence otherwise. */
lamina_status lmn_infer_map(lmn_infer *ic, int32_t i);
/* Required map input i with keys of type `key`. */
lamina_status lmn_need_map(lmn_eval *ec, int32_t i, lamina_dtype key, const lamina_tensor **keys,
                           const lamina_tensor **values);
/* Scratch for n item pointers, all NULL. */
lamina_status lmn_seq_items(lmn_eval *ec, int64_t n, lamina_tensor ***items);
/* Drop the references of n items; NULL entries are fine. */
void lmn_seq_unref(lamina_tensor **items, int64_t n);

#endif
