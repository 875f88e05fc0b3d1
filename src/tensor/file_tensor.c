/*
 * Mapped files as tensors. The mapping goes with the last reference to its buffer.
 */
#include "tensor/file_tensor.h"

#include "base/error.h"

typedef struct mapping {
    const lamina_allocator *alloc;
    lmn_span map;
    lmn_file_origin origin;
} mapping;

static void release_mapping(void *ctx)
{
    mapping *m = ctx;
    lmn_os_unmap(m->map);
    lmn_free(m->alloc, m, sizeof *m, 16, "map");
}

lamina_status lmn_file_tensor_fd(lamina_engine *e, int fd, uint64_t bytes, lamina_tensor **out,
                                 lamina_error *err)
{
    mapping *m = lmn_alloc(&e->alloc, sizeof *m, 16, "map");
    if (!m) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    *m = (mapping){.alloc = &e->alloc};
    lamina_status st = lmn_os_map(fd, bytes, &m->map, err);
    if (st == LAMINA_OK) {
        const int64_t n = (int64_t)bytes;
        m->origin.base = m->map.p;
        lmn_os_file_identify(fd, &m->origin.id);
        lmn_os_file_path(fd, m->origin.path, sizeof m->origin.path);
        st = lamina_tensor_wrap(e, LAMINA_U8, 1, &n, NULL, m->map.p,
                                &(lamina_owner){release_mapping, m}, out);
        if (st == LAMINA_OK) return st;
        (void)lmn_fail(err, st, "out of memory");
    }
    release_mapping(m);
    return st;
}

lamina_status lmn_file_tensor(lamina_engine *e, const char *path, lamina_tensor **out,
                              lamina_error *err)
{
    int fd;
    uint64_t bytes;
    LMN_TRY(lmn_os_open(path, &fd, &bytes, err));
    lamina_status st = bytes ? lmn_file_tensor_fd(e, fd, bytes, out, err)
                             : lmn_fail(err, LAMINA_E_PARSE, "the file is empty");
    lmn_os_close(fd);
    return st;
}

const lmn_file_origin *lmn_buffer_origin(const lmn_buffer *b)
{
    return b && b->release == release_mapping ? &((const mapping *)b->release_ctx)->origin : NULL;
}
