/*
 * BlackmanWindow (ai.onnx, since 17): the Blackman window (0.42, 0.5, 0.08) of the given size;
 * periodic by default. Type by attribute output_datatype.
 */
#include "ops/window.h"

LMN_WINDOW_OP(BlackmanWindow, 0.42, 0.5, 0.08);
