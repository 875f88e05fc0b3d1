/*
 * A whole file as a tensor uint8[n], mapped read-only: what readers make their views of. Such a
 * view knows from which file it came, as that file was when it was mapped.
 */
#ifndef LMN_TENSOR_FILE_TENSOR_H
#define LMN_TENSOR_FILE_TENSOR_H

#include "base/os/os_file.h"
#include "tensor/tensor.h"

/* bytes > 0; the fd stays the caller's and may be closed at once. */
lamina_status lmn_file_tensor_fd(lamina_engine *e, int fd, uint64_t bytes, lamina_tensor **out,
                                 lamina_error *err);
/* An empty file is LAMINA_E_PARSE: no format begins with nothing. */
lamina_status lmn_file_tensor(lamina_engine *e, const char *path, lamina_tensor **out,
                              lamina_error *err);

/* The file behind a buffer made above, NULL = none. Lent as long as the buffer. */
typedef struct lmn_file_origin {
    lmn_os_file_id id;
    const uint8_t *base; /* of the mapping */
    char path[512];      /* "" = unknown */
} lmn_file_origin;
const lmn_file_origin *lmn_buffer_origin(const lmn_buffer *b);

#endif
