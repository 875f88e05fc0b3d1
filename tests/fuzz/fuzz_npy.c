/*
 * Fuzz target: .npy and .npz. An array that is read must be writable again and read back equal.
 */
#include "formats/npy/npy.h"

#include <stdlib.h>
#include <string.h>

static void check(lamina_engine *e, lamina_tensor *t)
{
    lmn_strbuf out;
    lamina_tensor *file = NULL, *again = NULL;
    lmn_strbuf_init(&out, &e->alloc, 1u << 26);
    if (lmn_npy_write(t, &out) == LAMINA_OK) {
        const int64_t n = (int64_t)out.n;
        if (lamina_tensor_from(e, LAMINA_U8, 1, &n, out.p, &file) != LAMINA_OK) abort();
        if (lmn_npy_read(file, 0, out.n, &again, NULL) != LAMINA_OK) abort();
        if (again->dtype != t->dtype || again->data_bytes != t->data_bytes ||
            (t->data_bytes && memcmp(again->data, t->data, t->data_bytes) != 0))
            abort();
    }
    lamina_tensor_unref(again);
    lamina_tensor_unref(file);
    lmn_strbuf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lamina_engine e;
    lamina_tensor *file = NULL, *t = NULL;
    const int64_t n = (int64_t)size;
    if (size == 0 || lmn_engine_init(&e, NULL) != LAMINA_OK) return 0;
    if (lamina_tensor_from(&e, LAMINA_U8, 1, &n, data, &file) == LAMINA_OK) {
        lmn_npz z;
        if (lmn_npy_read(file, 0, size, &t, NULL) == LAMINA_OK) {
            check(&e, t);
            lamina_tensor_unref(t);
        }
        (void)lmn_npz_open(file, &z, NULL);
        for (size_t i = 0; i < z.n; i++) {
            if (lmn_npz_get(&z, z.members[i].name, &t, NULL) != LAMINA_OK) continue;
            check(&e, t);
            lamina_tensor_unref(t);
        }
        lmn_npz_close(&z);
        lamina_tensor_unref(file);
    }
    lmn_engine_finish(&e);
    return 0;
}
