/*
 * HannWindow (ai.onnx, since 17): the raised cosine of the given size; periodic by default. Type by
 * attribute output_datatype.
 */
#include "ops/window.h"

LMN_WINDOW_OP(HannWindow, 0.5, 0.5, 0);
