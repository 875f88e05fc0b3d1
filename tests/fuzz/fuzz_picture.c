/*
 * Fuzz target: picture files as ImageDecoder reads them. Pixels or a status; every decoded byte is
 * read, so that memory nobody wrote would be seen. The allocator refuses what would only be slow.
 */
#include "base/alloc.h"
#include "base/engine.h"
#include "ops/picture.h"

#include <stdlib.h>

#define MAX_BLOCK ((size_t)1 << 24)

static void *bounded_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)tag;
    if (bytes > MAX_BLOCK) return NULL;
    return aligned_alloc(align, (bytes + align - 1) / align * align);
}

static void bounded_free(void *ctx, void *ptr, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)bytes, (void)align, (void)tag;
    free(ptr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const lamina_allocator bounded = {LAMINA_ALLOCATOR_ABI, NULL, bounded_alloc, bounded_free};
    const lamina_engine_opts opts = {.size = sizeof opts, .allocator = &bounded};
    lamina_engine e;
    if (lmn_engine_init(&e, &opts) != LAMINA_OK) return 0;
    lamina_error err;
    lmn_eval ec = {.engine = &e, .err = &err};
    lmn_picture picture;
    if (lmn_picture_decode(&ec, (lmn_span){data, size}, &picture) == LAMINA_OK) {
        unsigned sum = 0;
        for (int64_t i = 0; i < picture.width * picture.height * 3; i++) sum += picture.rgb[i];
        if (sum == 0 && picture.width < 1) abort();
    }
    lmn_scratch_release(&ec);
    lmn_engine_finish(&e);
    return 0;
}
