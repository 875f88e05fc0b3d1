/*
 * Casts between element types as Cast and CastLike mean them: numbers to numbers (one rounding),
 * numbers to text and back.
 *
 * Text: floats are written as numpy does, the shortest that reads back ("1.0", "0.1", "1e-05",
 * "nan", "inf"), bools as True and False. Read are decimal numbers, True and False, and without
 * regard to case NaN, INF and Infinity with a sign. Nothing depends on the locale.
 */
#ifndef LMN_OPS_CAST_H
#define LMN_OPS_CAST_H

#include "ops/op.h"

/* Room for any number in text, zero included. */
#define LMN_CAST_TEXT_BYTES 48

/* Output 0 = x as type `to`, by the node's attributes saturate and round_mode. */
lamina_status lmn_cast_eval(lmn_eval *ec, const lamina_tensor *x, lamina_dtype to);
/* Shape of input 0, type `to` (NONE = unknown), elements where they stay exact. */
lamina_status lmn_cast_infer(lmn_infer *ic, lamina_dtype to);

/* Element i of a numeric or bool tensor as text; returns the length. */
size_t lmn_cast_to_text(const lamina_tensor *x, int64_t i, char buf[LMN_CAST_TEXT_BYTES]);
/* Text into element i of y; false when it is no number. */
bool lmn_cast_from_text(lamina_tensor *y, int64_t i, lmn_str text);

#endif
