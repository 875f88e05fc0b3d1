/*
 * What a served model asks about the operators of its graph. In a file of its own, since the graph
 * has an lmn_infer too, which infers shapes.
 */
#ifndef LMN_SERVE_SERVED_OPS_H
#define LMN_SERVE_SERVED_OPS_H

#include "lamina/model.h"

/* The first operator whose result for a row depends on all rows by its definition: a scale for the
 * whole tensor, found while it runs. NULL: there is none. */
const char *lmn_model_coupling_op(const lamina_model *m);

#endif
