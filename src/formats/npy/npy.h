/*
 * NumPy files: .npy (format 1-3) and .npz (zip of .npy, stored members), read and written.
 *
 * Reading makes views of the file's tensor (tensor/file_tensor.h) where type, order and alignment
 * allow, copies else: big-endian is swapped, Fortran order transposed. bfloat16 stands as '<V2' or
 * 'bfloat16'. Text, objects, dates and records are refused, and so are deflated members.
 */
#ifndef LMN_FORMATS_NPY_H
#define LMN_FORMATS_NPY_H

#include "base/error.h"
#include "base/strbuf.h"
#include "tensor/tensor.h"

/* Array out of bytes [offset, offset + bytes) of `file` (uint8[n]). */
lamina_status lmn_npy_read(lamina_tensor *file, size_t offset, size_t bytes, lamina_tensor **out,
                           lamina_error *err);
/* A dense tensor as format 1.0, C order. E_DTYPE for types that NumPy has no name for. */
lamina_status lmn_npy_write(const lamina_tensor *t, lmn_strbuf *out);

typedef struct lmn_npz_member {
    const char *name;     /* printable, ".npy" removed */
    size_t offset, bytes; /* content within the file */
} lmn_npz_member;

typedef struct lmn_npz {
    lamina_tensor *file; /* ref held */
    lmn_arena arena;
    lmn_npz_member *members;
    size_t n;
} lmn_npz;

/* List the members; takes a ref of file. Closed by lmn_npz_close, also after a failure. */
lamina_status lmn_npz_open(lamina_tensor *file, lmn_npz *out, lamina_error *err);
void lmn_npz_close(lmn_npz *z);
/* Member by name; E_RANGE if there is none. */
lamina_status lmn_npz_get(const lmn_npz *z, const char *name, lamina_tensor **out,
                          lamina_error *err);

/* n tensors under their names as a zip with stored members; at most 4 GiB. */
lamina_status lmn_npz_write(const lamina_tensor *const *t, const char *const *names, size_t n,
                            lmn_strbuf *out);

#endif
