/*
 * What a test asks of the model of tiles beside the words of kernels/simd/amx_tile.h.
 */
#ifndef LMN_TESTS_AMX_MODEL_H
#define LMN_TESTS_AMX_MODEL_H

#include <stdbool.h>

/* Has this thread tiles configured? Then it has none any more. */
bool amx_model_left(void);

#endif
