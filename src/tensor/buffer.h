/*
 * Inside of the tensor room: the block layout that buffer.c and tensor.c share.
 */
#ifndef LMN_TENSOR_BUFFER_H
#define LMN_TENSOR_BUFFER_H

#include "tensor/tensor.h"

/* Bytes from a buffer's struct to its own data. */
#define LMN_BUFFER_HEAD ((size_t)64)

/* As lmn_buffer_create, with `lead` bytes (a multiple of 64) for a tensor struct in front. */
lamina_status lmn_buffer_alloc(lamina_engine *e, size_t lead, size_t bytes, bool zero,
                               lmn_buffer **out);

#endif
