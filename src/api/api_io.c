/*
 * Values from files, by the end of the name.
 */
#include "lamina/io.h"

#include "base/os/os_dir.h"
#include "base/os/os_file.h"
#include "tensor/file_tensor.h"
#include "formats/npy/npy.h"
#include "formats/onnx/onnx_value.h"

#include <string.h>

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static lamina_status load_pb(lamina_engine *e, const char *path, lamina_kind kind,
                             lamina_tensor **out, lamina_error *err)
{
    int fd;
    uint64_t bytes;
    LMN_TRY(lmn_os_open(path, &fd, &bytes, err));
    lmn_span map = {(const uint8_t *)"", 0};
    lamina_status st = bytes ? lmn_os_map(fd, bytes, &map, err) : LAMINA_OK;
    lmn_os_close(fd);
    if (st != LAMINA_OK) return st;
    const lmn_fact hint = {.kind = kind == LAMINA_KIND_TENSOR     ? LMN_FACT_TENSOR
                                   : kind == LAMINA_KIND_SEQUENCE ? LMN_FACT_SEQUENCE
                                   : kind == LAMINA_KIND_MAP      ? LMN_FACT_MAP
                                                                  : LMN_FACT_OPTIONAL,
                           .dtype = LAMINA_F32,
                           .rank = -1,
                           .n_elems = -1};
    st = lmn_onnx_value_read(e, map, &hint, out, err);
    if (bytes) lmn_os_unmap(map);
    if (st != LAMINA_OK) lmn_error_prefix(err, "%.200s", path);
    return st;
}

static lamina_status load_npz(lamina_tensor *file, const char *member, lamina_tensor **out,
                              lamina_error *err)
{
    lmn_npz z;
    lamina_status st = lmn_npz_open(file, &z, err);
    if (st == LAMINA_OK) st = lmn_npz_get(&z, member, out, err);
    lmn_npz_close(&z);
    return st;
}

static lamina_status load_numpy(lamina_engine *e, const char *path, lamina_tensor **out,
                                lamina_error *err)
{
    char name[4096];
    const char *member = strstr(path, ".npz:");
    const size_t n = member ? (size_t)(member - path) + 4 : strlen(path);
    if (n >= sizeof name) return lmn_fail(err, LAMINA_E_INVALID, "the path is too long");
    memcpy(name, path, n);
    name[n] = 0;
    lamina_tensor *file;
    LMN_TRY(lmn_file_tensor(e, name, &file, err));
    lamina_status st = member ? load_npz(file, member + 5, out, err)
                              : lmn_npy_read(file, 0, file->data_bytes, out, err);
    lamina_tensor_unref(file);
    if (st != LAMINA_OK) lmn_error_prefix(err, "%.200s", path);
    return st;
}

lamina_status lamina_tensor_load(lamina_engine *e, const char *path, lamina_kind kind,
                                 lamina_tensor **out, lamina_error *err)
{
    if (!e || !path || !out)
        return lmn_fail(err, LAMINA_E_INVALID, "loading a value needs an engine and a path");
    if (ends_with(path, ".pb")) return load_pb(e, path, kind, out, err);
    if (ends_with(path, ".npy") || strstr(path, ".npz:")) return load_numpy(e, path, out, err);
    return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                    "%.200s: the name ends in none of .npy, .npz:MEMBER, .pb", path);
}

lamina_status lamina_tensor_save(const lamina_tensor *t, const char *path, lamina_error *err)
{
    if (!t || !path) return lmn_fail(err, LAMINA_E_INVALID, "saving needs a tensor and a path");
    lmn_strbuf b;
    lmn_strbuf_init(&b, &t->engine->alloc, SIZE_MAX / 2);
    lamina_status st = LAMINA_E_UNSUPPORTED;
    if (ends_with(path, ".npy"))
        st = lmn_npy_write(t, &b);
    else if (ends_with(path, ".pb"))
        st = lmn_onnx_value_write(t, "", &b);
    if (st != LAMINA_OK)
        st = lmn_fail(err, st,
                      "%.200s: a %s value cannot be written as this kind of file (.npy or .pb)",
                      path, lamina_dtype_name(t->dtype));
    else
        st = lmn_os_file_replace(path, b.p, b.n, err);
    lmn_strbuf_finish(&b);
    return st;
}
