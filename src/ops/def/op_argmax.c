/*
 * ArgMax (ai.onnx, since 1): index of the largest element along an axis.
 */
#define ARG_NAME ArgMax
#define ARG_BETTER >
#include "ops/arg_tmpl.h"
