/*
 * Reference-counted bytes. A buffer's own bytes lie behind its struct in one block:
 *
 *     [tensor struct, `lead` bytes, optional] [lmn_buffer, 64 bytes] [data, 64-byte aligned]
 *
 * so that a new output tensor costs one allocation. The block lives until the last reference to the
 * buffer goes; a leading tensor struct may die long before that, and views keep the rest alive.
 */
#include "tensor/buffer.h"

#include <string.h>

_Static_assert(sizeof(lmn_buffer) <= LMN_BUFFER_HEAD, "data must stay 64-byte aligned");

lamina_status lmn_buffer_alloc(lamina_engine *e, size_t lead, size_t bytes, bool zero,
                               lmn_buffer **out)
{
    size_t total;
    if (!lmn_add_size(bytes, lead + LMN_BUFFER_HEAD, &total) || total > PTRDIFF_MAX)
        return LAMINA_E_NOMEM;
    uint8_t *block = lmn_recycle_alloc(&e->recycle, &e->alloc, total, "tensor");
    if (!block) return LAMINA_E_NOMEM;
    lmn_buffer *b = (lmn_buffer *)(void *)(block + lead);
    memset(b, 0, sizeof *b);
    lmn_atomic_init(&b->refs, 1);
    b->engine = e;
    b->data = (uint8_t *)b + LMN_BUFFER_HEAD;
    b->bytes = bytes;
    b->lead = lead;
    if (zero) memset(b->data, 0, bytes);
    *out = b;
    return LAMINA_OK;
}

lamina_status lmn_buffer_create(lamina_engine *e, size_t bytes, bool zero, lmn_buffer **out)
{
    return lmn_buffer_alloc(e, 0, bytes, zero, out);
}

lamina_status lmn_buffer_strings(lamina_engine *e, size_t n, lmn_buffer **out)
{
    size_t bytes;
    LMN_CHECK(lmn_mul_size(n, sizeof(lmn_str), &bytes), LAMINA_E_NOMEM);
    LMN_TRY(lmn_buffer_alloc(e, 0, bytes, true, out));
    (*out)->n_str = n;
    return LAMINA_OK;
}

lamina_status lmn_buffer_wrap(lamina_engine *e, void *data, size_t bytes, lamina_release_fn release,
                              void *ctx, lmn_buffer **out)
{
    lmn_buffer *b;
    LMN_TRY(lmn_buffer_alloc(e, 0, 0, false, &b));
    b->data = data;
    b->bytes = bytes;
    b->release = release;
    b->release_ctx = ctx;
    *out = b;
    return LAMINA_OK;
}

lmn_buffer *lmn_buffer_ref(lmn_buffer *b)
{
    if (b) lmn_atomic_add(&b->refs, 1, relaxed);
    return b;
}

void lmn_buffer_unref(lmn_buffer *b)
{
    /* Release: our writes happen before the free. Acquire: so do everyone else's. */
    if (!b || lmn_atomic_sub(&b->refs, 1, acq_rel) != 1) return;
    const lamina_allocator *a = &b->engine->alloc;
    lmn_str *str = b->data;
    for (size_t i = 0; i < b->n_str; i++)
        if (str[i].p) lmn_free(a, str[i].p, str[i].n + 1, 1, "string");
    if (b->release) b->release(b->release_ctx);
    bool own = b->data == (uint8_t *)b + LMN_BUFFER_HEAD;
    size_t total = b->lead + LMN_BUFFER_HEAD + (own ? b->bytes : 0);
    lmn_recycle_free(&b->engine->recycle, a, (uint8_t *)b - b->lead, total, "tensor");
}
