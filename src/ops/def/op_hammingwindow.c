/*
 * HammingWindow (ai.onnx, since 17): the Hamming window (25/46, 21/46) of the given size; periodic
 * by default. Type by attribute output_datatype.
 */
#include "ops/window.h"

LMN_WINDOW_OP(HammingWindow, 25.0 / 46.0, 21.0 / 46.0, 0);
