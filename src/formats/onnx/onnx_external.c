/*
 * External data: (location, offset, length) of a file below the model's folder, mapped once a file
 * and shared by all its tensors; or read through the caller's storage.
 *
 * The location comes out of the file, so it is trusted with nothing: plain relative path, no
 * symbolic links, regular file, range inside its size (onnx/docs/ExternalData.md, CVE-2024-27318).
 */
#include "base/os/os_file.h"
#include "tensor/file_tensor.h"
#include "formats/onnx/onnx_tensor.h"

#include <string.h>

#define FAIL(st, ...) lmn_fail(err, (st), __VA_ARGS__)
#define MAX_LOCATION 4000u
#define LEAST_NOTED 1024u

static bool parse_u64(lmn_span s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 19) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = v;
    return true;
}

typedef struct range {
    lmn_span location;
    uint64_t offset, length;
    bool has_length;
} range;

static lamina_status read_range(const lmn_onnx_tensor *t, size_t bytes, range *r, lamina_error *err)
{
    *r = (range){0};
    for (size_t i = 0; i < t->n_ext; i++) {
        const lmn_onnx_kv *kv = &t->ext[i];
        if (lmn_span_is(kv->key, "location")) r->location = kv->value;
        if (lmn_span_is(kv->key, "offset") && !parse_u64(kv->value, &r->offset))
            return FAIL(LAMINA_E_CORRUPT, "the offset of its external data is not a number");
        if (lmn_span_is(kv->key, "length")) {
            if (!parse_u64(kv->value, &r->length))
                return FAIL(LAMINA_E_CORRUPT, "the length of its external data is not a number");
            r->has_length = true;
        }
    }
    if (r->location.n == 0 || r->location.n > MAX_LOCATION ||
        memchr(r->location.p, 0, r->location.n))
        return FAIL(LAMINA_E_CORRUPT, "its external data name no usable file");
    if (r->has_length && r->length != bytes)
        return FAIL(LAMINA_E_CORRUPT,
                    "its external data have %llu bytes where type and dimensions say %zu",
                    (unsigned long long)r->length, bytes);
    return LAMINA_OK;
}

static lamina_status inside(const range *r, size_t bytes, uint64_t file_bytes, lamina_error *err)
{
    if (r->offset <= file_bytes && bytes <= file_bytes - r->offset) return LAMINA_OK;
    return FAIL(LAMINA_E_RANGE,
                "bytes %llu to %llu + %zu are not in its external file of %llu bytes",
                (unsigned long long)r->offset, (unsigned long long)r->offset, bytes,
                (unsigned long long)file_bytes);
}

static lamina_status mapped_file(lmn_onnx_store *s, const range *r, lamina_tensor **file,
                                 lamina_error *err)
{
    uint64_t known;
    if (lmn_map_get(&s->files, r->location.p, r->location.n, &known)) {
        *file = (lamina_tensor *)(uintptr_t)known;
        return LAMINA_OK;
    }
    if (!s->dir)
        return FAIL(LAMINA_E_IO,
                    "its data are in another file, but the model was not loaded from a folder");
    const char *name = lmn_arena_strn(&s->arena, r->location.p, r->location.n);
    if (!name) return FAIL(LAMINA_E_NOMEM, "out of memory");
    int fd;
    uint64_t bytes;
    LMN_TRY(lmn_os_open_beneath(s->dir, name, &fd, &bytes, err));
    lamina_tensor *t = NULL;
    lamina_status st;
    if (s->limits->refuse_hard_links && lmn_os_links(fd) > 1)
        st = FAIL(LAMINA_E_PERM, "its external file has several hard links, which are refused");
    else
        st = bytes ? lmn_file_tensor_fd(s->engine, fd, bytes, &t, err)
                   : FAIL(LAMINA_E_RANGE, "its external file is empty");
    lmn_os_close(fd);
    if (st != LAMINA_OK) return st;
    if (!lmn_map_set(&s->files, name, r->location.n, (uint64_t)(uintptr_t)t)) {
        lamina_tensor_unref(t);
        return FAIL(LAMINA_E_NOMEM, "out of memory");
    }
    *file = t;
    return LAMINA_OK;
}

/* No "..", no absolute path: what a source's open() is promised. */
static bool plain_name(const char *name)
{
    if (name[0] == '/') return false;
    for (const char *p = name; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == 0)) return false;
    }
    return true;
}

static lamina_status from_source(lmn_onnx_store *s, const lmn_onnx_tensor *t, const range *r,
                                 size_t bytes, lamina_tensor **out, lamina_error *err)
{
    const char *name = lmn_arena_strn(&s->arena, r->location.p, r->location.n);
    if (!name) return FAIL(LAMINA_E_NOMEM, "out of memory");
    if (!plain_name(name))
        return FAIL(LAMINA_E_PERM, "its external data are not below the model's folder");
    void *h = NULL;
    uint64_t file_bytes = 0;
    lamina_status st = s->source->open(s->source->ctx, name, &h, &file_bytes);
    if (st != LAMINA_OK) return FAIL(st, "the source cannot open its external data");
    lamina_tensor *v = NULL;
    st = inside(r, bytes, file_bytes, err);
    if (st == LAMINA_OK) st = lmn_onnx_heap(s, t, &v, err);
    if (st == LAMINA_OK) {
        st = s->source->pread(s->source->ctx, h, r->offset, v->data, bytes);
        if (st != LAMINA_OK) (void)FAIL(st, "the source cannot read its external data");
    }
    s->source->close(s->source->ctx, h);
    if (st != LAMINA_OK) {
        lamina_tensor_unref(v);
        return st;
    }
    uint8_t *b = v->data;
    for (size_t i = 0; t->dtype == LAMINA_BOOL && i < bytes; i++) b[i] = b[i] != 0;
    *out = v;
    return LAMINA_OK;
}

/* For the lint: tensors so small that nobody cares are not counted. */
static void note_offset(lmn_onnx_store *s, const lmn_onnx_tensor *t, const range *r, size_t bytes)
{
    if (bytes < LEAST_NOTED) return;
    s->n_external++;
    if (r->offset % LMN_TENSOR_ALIGN == 0 || s->n_odd++) return;
    char name[100];
    (void)lmn_format_name(name, sizeof name, t->name.p, t->name.n);
    s->first_odd = lmn_arena_str(&s->arena, name);
    if (!s->first_odd) s->first_odd = "";
}

lamina_status lmn_onnx_external_make(lmn_onnx_store *s, const lmn_onnx_tensor *t, size_t bytes,
                                     lamina_tensor **out, lamina_error *err)
{
    range r;
    LMN_TRY(read_range(t, bytes, &r, err));
    note_offset(s, t, &r, bytes);
    if (s->source) return from_source(s, t, &r, bytes, out, err);
    lamina_tensor *file = NULL;
    LMN_TRY(mapped_file(s, &r, &file, err));
    LMN_TRY(inside(&r, bytes, file->data_bytes, err));
    return lmn_onnx_view(s, file, (size_t)r.offset, bytes, t, out, err);
}
