/*
 * A whole file as a tensor uint8[n], mapped read-only: what readers make their views of.
 */
#ifndef LMN_FORMATS_FILE_TENSOR_H
#define LMN_FORMATS_FILE_TENSOR_H

#include "tensor/tensor.h"

/* bytes > 0; the fd stays the caller's and may be closed at once. */
lamina_status lmn_file_tensor_fd(lamina_engine *e, int fd, uint64_t bytes, lamina_tensor **out,
                                 lamina_error *err);
/* An empty file is LAMINA_E_PARSE: no format begins with nothing. */
lamina_status lmn_file_tensor(lamina_engine *e, const char *path, lamina_tensor **out,
                              lamina_error *err);

#endif
