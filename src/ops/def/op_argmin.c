/*
 * ArgMin (ai.onnx, since 1): index of the smallest element along an axis.
 */
#define ARG_NAME ArgMin
#define ARG_BETTER <
#include "ops/arg_tmpl.h"
