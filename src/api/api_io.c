/*
 * Values from files, by the end of the name.
 */
#include "lamina/io.h"

#include "base/os/os_file.h"
#include "formats/onnx/onnx_value.h"

#include <string.h>

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static lamina_status load_pb(lamina_engine *e, const char *path, lamina_kind kind, lamina_tensor **out,
                             lamina_error *err)
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
                                                                  : LMN_FACT_OPTIONAL,
                           .dtype = LAMINA_F32,
                           .rank = -1,
                           .n_elems = -1};
    st = lmn_onnx_value_read(e, map, &hint, out, err);
    if (bytes) lmn_os_unmap(map);
    if (st != LAMINA_OK) lmn_error_prefix(err, "%.200s", path);
    return st;
}

lamina_status lamina_tensor_load(lamina_engine *e, const char *path, lamina_kind kind, lamina_tensor **out,
                                 lamina_error *err)
{
    if (!e || !path || !out) return lmn_fail(err, LAMINA_E_INVALID, "loading a value needs an engine and a path");
    if (ends_with(path, ".pb")) return load_pb(e, path, kind, out, err);
    return lmn_fail(err, LAMINA_E_UNSUPPORTED, "%.200s: the name ends in none of .pb", path);
}
