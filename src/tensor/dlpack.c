/*
 * DLPack in and out. Shape and strides of an exported struct point into the tensor itself, which
 * the struct holds a reference to. An imported struct is released by the buffer that wraps its
 * memory.
 */
#include "lamina/dlpack.h"

#include "tensor/tensor.h"

_Static_assert(sizeof(lamina_dl_dtype) == 4 && sizeof(lamina_dl_device) == 8, "DLPack layout");
_Static_assert(offsetof(lamina_dl_tensor, shape) == 24 || sizeof(void *) != 8, "DLPack layout");
_Static_assert(sizeof(lamina_dl_managed) == 64 || sizeof(void *) != 8, "DLPack layout");
_Static_assert(offsetof(lamina_dl_managed_versioned, tensor) == 32 || sizeof(void *) != 8,
               "DLPack layout");

/* Code of the types that are told by it alone; the others follow from their class. */
static const struct code_row {
    lamina_dtype dtype;
    uint8_t code;
} CODES[] = {
    {LAMINA_BF16, LAMINA_DL_BFLOAT},       {LAMINA_BOOL, LAMINA_DL_BOOL},
    {LAMINA_F8E4M3FN, LAMINA_DL_F8E4M3FN}, {LAMINA_F8E4M3FNUZ, LAMINA_DL_F8E4M3FNUZ},
    {LAMINA_F8E5M2, LAMINA_DL_F8E5M2},     {LAMINA_F8E5M2FNUZ, LAMINA_DL_F8E5M2FNUZ},
    {LAMINA_F8E8M0, LAMINA_DL_F8E8M0},     {LAMINA_F4E2M1, LAMINA_DL_F4E2M1},
};

static lamina_dl_dtype dtype_out(lamina_dtype dt)
{
    lamina_dl_dtype r = {LAMINA_DL_FLOAT, (uint8_t)lamina_dtype_bits(dt), 1};
    switch (lmn_dtype_class(dt)) {
    case LMN_CLASS_SINT: r.code = LAMINA_DL_INT; break;
    case LMN_CLASS_UINT: r.code = LAMINA_DL_UINT; break;
    case LMN_CLASS_COMPLEX: r.code = LAMINA_DL_COMPLEX; break;
    default: break;
    }
    for (size_t i = 0; i < LMN_COUNT(CODES); i++)
        if (CODES[i].dtype == dt) r.code = CODES[i].code;
    return r;
}

/* The type that is written so; NONE if there is none. */
static lamina_dtype dtype_in(lamina_dl_dtype d)
{
    for (lamina_dtype dt = LAMINA_DTYPE_NONE + 1; dt < LAMINA_DTYPE_COUNT; dt++) {
        const lamina_dl_dtype r = dtype_out(dt);
        if (dt != LAMINA_STRING && r.code == d.code && r.bits == d.bits) return dt;
    }
    return LAMINA_DTYPE_NONE;
}

static lamina_status exportable(const lamina_tensor *t, const void *out)
{
    LMN_CHECK(t && out && t->kind == LAMINA_KIND_TENSOR, LAMINA_E_INVALID);
    return t->dtype == LAMINA_STRING ? LAMINA_E_DTYPE : LAMINA_OK;
}

static lamina_dl_tensor tensor_out(lamina_tensor *t)
{
    return (lamina_dl_tensor){.data = (void *)(uintptr_t)lamina_tensor_data(t),
                              .device = {LAMINA_DL_CPU, 0},
                              .ndim = t->rank,
                              .dtype = dtype_out(t->dtype),
                              .shape = t->dims,
                              .strides = t->strides};
}

static void delete_versioned(lamina_dl_managed_versioned *self)
{
    lamina_tensor *t = self->ctx;
    lmn_cfree(&t->engine->alloc, self, 1, sizeof *self, "dlpack");
    lamina_tensor_unref(t);
}

lamina_status lamina_tensor_to_dlpack(lamina_tensor *t, lamina_dl_managed_versioned **out)
{
    LMN_TRY(exportable(t, out));
    lamina_dl_managed_versioned *m = lmn_calloc(&t->engine->alloc, 1, sizeof *m, "dlpack");
    LMN_CHECK(m, LAMINA_E_NOMEM);
    m->major = LAMINA_DL_MAJOR;
    m->minor = LAMINA_DL_MINOR;
    m->ctx = lamina_tensor_ref(t);
    m->deleter = delete_versioned;
    m->flags = LAMINA_DL_READ_ONLY;
    m->tensor = tensor_out(t);
    *out = m;
    return LAMINA_OK;
}

static void delete_legacy(lamina_dl_managed *self)
{
    lamina_tensor *t = self->ctx;
    lmn_cfree(&t->engine->alloc, self, 1, sizeof *self, "dlpack");
    lamina_tensor_unref(t);
}

lamina_status lamina_tensor_to_dlpack_legacy(lamina_tensor *t, lamina_dl_managed **out)
{
    LMN_TRY(exportable(t, out));
    lamina_dl_managed *m = lmn_calloc(&t->engine->alloc, 1, sizeof *m, "dlpack");
    LMN_CHECK(m, LAMINA_E_NOMEM);
    m->ctx = lamina_tensor_ref(t);
    m->deleter = delete_legacy;
    m->tensor = tensor_out(t);
    *out = m;
    return LAMINA_OK;
}

static lamina_status tensor_in(lamina_engine *e, const lamina_dl_tensor *src,
                               lamina_release_fn release, void *ctx, lamina_tensor **out)
{
    LMN_CHECK(src->device.type == LAMINA_DL_CPU || src->device.type == LAMINA_DL_CUDA_HOST,
              LAMINA_E_UNSUPPORTED);
    LMN_CHECK(src->dtype.lanes == 1, LAMINA_E_UNSUPPORTED);
    LMN_CHECK(src->data || src->byte_offset == 0, LAMINA_E_INVALID);
    LMN_CHECK(src->byte_offset <= PTRDIFF_MAX, LAMINA_E_RANGE);
    const lamina_dtype dt = dtype_in(src->dtype);
    LMN_CHECK(dt != LAMINA_DTYPE_NONE, LAMINA_E_DTYPE);
    const uint8_t *data = src->data ? (const uint8_t *)src->data + src->byte_offset : NULL;
    return lamina_tensor_wrap(e, dt, src->ndim, src->shape, src->strides, data,
                              &(lamina_owner){release, ctx}, out);
}

static void release_versioned(void *ctx)
{
    lamina_dl_managed_versioned *m = ctx;
    if (m->deleter) m->deleter(m);
}

lamina_status lamina_tensor_from_dlpack(lamina_engine *engine, lamina_dl_managed_versioned *src,
                                        lamina_tensor **out)
{
    LMN_CHECK(engine && src && out, LAMINA_E_INVALID);
    LMN_CHECK(src->major == LAMINA_DL_MAJOR, LAMINA_E_VERSION);
    LMN_CHECK(!(src->flags & LAMINA_DL_SUBBYTE_PADDED), LAMINA_E_UNSUPPORTED);
    return tensor_in(engine, &src->tensor, release_versioned, src, out);
}

static void release_legacy(void *ctx)
{
    lamina_dl_managed *m = ctx;
    if (m->deleter) m->deleter(m);
}

lamina_status lamina_tensor_from_dlpack_legacy(lamina_engine *engine, lamina_dl_managed *src,
                                               lamina_tensor **out)
{
    LMN_CHECK(engine && src && out, LAMINA_E_INVALID);
    return tensor_in(engine, &src->tensor, release_legacy, src, out);
}
