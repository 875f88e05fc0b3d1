/*
 * Making, sharing and releasing tensors; the public accessors.
 *
 * A tensor struct lives in front of its buffer, in one block, when the data are its own
 * (buf->lead says so), and in a block of its own otherwise. Its refs and the buffer's count apart:
 * the tensor holds one reference to the buffer, views hold more.
 */
#include "tensor/buffer.h"

#include <string.h>

#define LEAD lmn_align_up(sizeof(lamina_tensor), LMN_TENSOR_ALIGN)

bool lmn_dims_count(int32_t rank, const int64_t *dims, int64_t *out)
{
    int64_t n = 1;
    bool empty = false, fits = true;
    for (int32_t i = 0; i < rank; i++) {
        if (dims[i] < 0) return false;
        if (dims[i] == 0)
            empty = true;
        else
            fits = fits && lmn_mul_i64(n, dims[i], &n);
    }
    if (!fits) return false; /* strides would overflow even if another extent is 0 */
    *out = empty ? 0 : n;
    return true;
}

bool lmn_dense_bytes(lamina_dtype dtype, int64_t count, size_t *out)
{
    if (count < 0) return false;
    size_t elem = lmn_dtype_bytes(dtype), n = (size_t)count;
    if (elem) return lmn_mul_size(n, elem, out) && *out <= PTRDIFF_MAX;
    size_t per_byte = lamina_dtype_bits(dtype) == 2 ? 4 : 2;
    *out = n / per_byte + (n % per_byte != 0);
    return true;
}

void lmn_dense_strides(int32_t rank, const int64_t *dims, int64_t *strides)
{
    int64_t step = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        strides[i] = step;
        if (dims[i] > 0) step *= dims[i];
    }
}

bool lmn_dims_equal(int32_t rank_a, const int64_t *a, int32_t rank_b, const int64_t *b)
{
    if (rank_a != rank_b) return false;
    for (int32_t i = 0; i < rank_a; i++)
        if (a[i] != b[i]) return false;
    return true;
}

lamina_status lmn_tensor_describe(lamina_tensor *t, lamina_engine *e, lamina_dtype dtype,
                                  int32_t rank, const int64_t *dims)
{
    int64_t count;
    size_t bytes;
    LMN_CHECK(rank >= 0 && rank <= LMN_MAX_RANK, LAMINA_E_RANGE);
    LMN_CHECK(lmn_dims_count(rank, dims, &count), LAMINA_E_RANGE);
    LMN_CHECK(lmn_dense_bytes(dtype, count, &bytes), LAMINA_E_RANGE);
    memset(t, 0, sizeof *t);
    t->kind = LAMINA_KIND_TENSOR;
    t->dtype = dtype;
    t->rank = rank;
    for (int32_t i = 0; i < rank; i++) t->dims[i] = dims[i];
    lmn_dense_strides(rank, dims, t->strides);
    t->data_bytes = bytes;
    t->engine = e;
    return LAMINA_OK;
}

/* What every public constructor asks of its arguments. */
static lamina_status check_shape(lamina_engine *e, lamina_dtype dtype, int32_t rank,
                                 const int64_t *dims, const void *out)
{
    LMN_CHECK(e && out, LAMINA_E_INVALID);
    LMN_CHECK(lmn_dtype_valid(dtype), LAMINA_E_DTYPE);
    LMN_CHECK(rank >= 0 && rank <= LMN_MAX_RANK, LAMINA_E_RANGE);
    LMN_CHECK(dims || rank == 0, LAMINA_E_INVALID);
    for (int32_t i = 0; i < rank; i++) LMN_CHECK(dims[i] >= 0, LAMINA_E_INVALID);
    return LAMINA_OK;
}

lamina_status lmn_tensor_new(lamina_engine *e, lamina_dtype dtype, int32_t rank,
                             const int64_t *dims, bool zero, lamina_tensor **out)
{
    lamina_tensor head;
    lmn_buffer *b;
    LMN_TRY(lmn_tensor_describe(&head, e, dtype, rank, dims));
    const bool str = dtype == LAMINA_STRING;
    LMN_TRY(lmn_buffer_alloc(e, LEAD, head.data_bytes, zero || str, &b));
    if (str) b->n_str = head.data_bytes / sizeof(lmn_str);
    lamina_tensor *t = (lamina_tensor *)(void *)((uint8_t *)b - LEAD);
    memcpy(t, &head, sizeof head);
    lmn_atomic_init(&t->refs, 1);
    t->data = b->data;
    t->buf = b;
    *out = t;
    return LAMINA_OK;
}

/* A heap struct without data of its own. */
static lamina_tensor *struct_new(lamina_engine *e)
{
    lamina_tensor *t = lmn_calloc(&e->alloc, 1, sizeof *t, "tensor");
    if (!t) return NULL;
    lmn_atomic_init(&t->refs, 1);
    t->engine = e;
    return t;
}

lamina_status lamina_tensor_create(lamina_engine *engine, lamina_dtype dtype, int32_t rank,
                                   const int64_t *dims, lamina_tensor **out)
{
    LMN_TRY(check_shape(engine, dtype, rank, dims, out));
    return lmn_tensor_new(engine, dtype, rank, dims, true, out);
}

/* Take over the caller's strides; extents below 2 make a stride meaningless, so they get the dense
 * one. */
static lamina_status set_strides(lamina_tensor *t, const int64_t *strides)
{
    const int64_t count = lmn_count(t), elem = (int64_t)lmn_dtype_bytes(t->dtype);
    int64_t reach = 0;
    for (int32_t i = 0; i < t->rank && count > 0; i++) {
        int64_t s = strides[i], step;
        if (t->dims[i] < 2 || s == t->strides[i]) continue;
        /* The farthest byte must have an offset that pointers can express. */
        LMN_CHECK(s > INT64_MIN && lmn_mul_i64(s < 0 ? -s : s, t->dims[i] - 1, &step),
                  LAMINA_E_RANGE);
        LMN_CHECK(step <= INT64_MAX / 16 - reach, LAMINA_E_RANGE);
        reach += step;
        t->strides[i] = s;
        t->strided = true;
    }
    return t->strided && elem == 0 ? LAMINA_E_INVALID : LAMINA_OK;
}

static size_t elem_align(lamina_dtype dt)
{
    size_t bytes = lmn_dtype_bytes(dt);
    return dt == LAMINA_C64 || dt == LAMINA_C128 ? bytes / 2 : bytes ? bytes : 1;
}

lamina_status lamina_tensor_wrap(lamina_engine *engine, lamina_dtype dtype, int32_t rank,
                                 const int64_t *dims, const int64_t *strides, const void *data,
                                 const lamina_owner *owner, lamina_tensor **out)
{
    lamina_tensor head;
    LMN_TRY(check_shape(engine, dtype, rank, dims, out));
    LMN_CHECK(dtype != LAMINA_STRING, LAMINA_E_DTYPE);
    LMN_TRY(lmn_tensor_describe(&head, engine, dtype, rank, dims));
    LMN_CHECK(data || lmn_count(&head) == 0, LAMINA_E_INVALID);
    LMN_CHECK((uintptr_t)data % elem_align(dtype) == 0, LAMINA_E_INVALID);
    if (strides) LMN_TRY(set_strides(&head, strides));
    lamina_tensor *t = struct_new(engine);
    LMN_CHECK(t, LAMINA_E_NOMEM);
    lmn_buffer *b;
    /* The engine only ever reads what is wrapped; the cast is for buffers that are its own. */
    void *bytes = (void *)(uintptr_t)data;
    const lamina_owner nobody = {NULL, NULL}, *o = owner ? owner : &nobody;
    lamina_status st = lmn_buffer_wrap(engine, bytes, head.data_bytes, o->release, o->ctx, &b);
    if (st != LAMINA_OK) {
        lmn_cfree(&engine->alloc, t, 1, sizeof *t, "tensor");
        return st;
    }
    memcpy(t, &head, sizeof head);
    lmn_atomic_init(&t->refs, 1);
    t->data = bytes;
    t->buf = b;
    *out = t;
    return LAMINA_OK;
}

lamina_status lamina_tensor_from(lamina_engine *engine, lamina_dtype dtype, int32_t rank,
                                 const int64_t *dims, const void *data, lamina_tensor **out)
{
    return lamina_tensor_wrap(engine, dtype, rank, dims, NULL, data, NULL, out);
}

lamina_status lmn_tensor_view(lamina_tensor *src, int32_t rank, const int64_t *dims,
                              size_t byte_offset, lamina_dtype dtype, lamina_tensor **out)
{
    lamina_tensor head;
    LMN_CHECK(src->kind == LAMINA_KIND_TENSOR && src->buf, LAMINA_E_STATE);
    LMN_CHECK(!src->strided, LAMINA_E_UNSUPPORTED);
    LMN_CHECK((src->dtype == LAMINA_STRING) == (dtype == LAMINA_STRING), LAMINA_E_DTYPE);
    LMN_TRY(lmn_tensor_describe(&head, src->engine, dtype, rank, dims));
    LMN_CHECK(byte_offset <= src->data_bytes && head.data_bytes <= src->data_bytes - byte_offset,
              LAMINA_E_RANGE);
    lamina_tensor *t = struct_new(src->engine);
    LMN_CHECK(t, LAMINA_E_NOMEM);
    memcpy(t, &head, sizeof head);
    lmn_atomic_init(&t->refs, 1);
    t->data = src->data ? (uint8_t *)src->data + byte_offset : NULL;
    t->buf = lmn_buffer_ref(src->buf);
    *out = t;
    return LAMINA_OK;
}

lamina_tensor *lamina_tensor_ref(lamina_tensor *t)
{
    if (t) lmn_atomic_add(&t->refs, 1, relaxed);
    return t;
}

void lamina_tensor_unref(lamina_tensor *t)
{
    if (!t || lmn_atomic_sub(&t->refs, 1, acq_rel) != 1) return;
    const lamina_allocator *a = &t->engine->alloc;
    for (int64_t i = 0; i < t->n_items; i++) lamina_tensor_unref(t->items[i]);
    lmn_cfree(a, t->items, (size_t)t->n_items, sizeof *t->items, "sequence");
    lmn_buffer *b = t->buf;
    const bool leads = b && b->lead && (uint8_t *)b - b->lead == (uint8_t *)t;
    if (!leads) lmn_cfree(a, t, 1, sizeof *t, "tensor");
    lmn_buffer_unref(b); /* frees t too if t leads the block */
}

lamina_kind lamina_tensor_kind(const lamina_tensor *t)
{
    return t ? t->kind : LAMINA_KIND_NONE;
}

lamina_dtype lamina_tensor_dtype(const lamina_tensor *t)
{
    return t ? t->dtype : LAMINA_DTYPE_NONE;
}

int32_t lamina_tensor_rank(const lamina_tensor *t)
{
    return t ? t->rank : 0;
}

const int64_t *lamina_tensor_dims(const lamina_tensor *t)
{
    return t ? t->dims : NULL;
}

const int64_t *lamina_tensor_strides(const lamina_tensor *t)
{
    return t ? t->strides : NULL;
}

int64_t lamina_tensor_count(const lamina_tensor *t)
{
    if (!t) return 0;
    if (t->kind == LAMINA_KIND_TENSOR) return lmn_count(t);
    if (t->kind == LAMINA_KIND_MAP) return lmn_count(t->items[0]);
    return t->kind == LAMINA_KIND_SEQUENCE ? t->n_items : 0;
}

size_t lamina_tensor_bytes(const lamina_tensor *t)
{
    return t && t->kind == LAMINA_KIND_TENSOR && t->dtype != LAMINA_STRING ? t->data_bytes : 0;
}

void *lamina_tensor_mutable_data(lamina_tensor *t)
{
    if (!lamina_tensor_bytes(t)) return NULL;
    /* Acquire: whoever dropped the other references has read all it wanted. */
    const int32_t refs = lmn_atomic_load(&t->refs, acquire);
    const lmn_buffer *b = t->buf;
    if (!b) return refs == 0 ? t->data : NULL; /* the output of a call, in the memory of its run */
    const bool mine = b->data == (const uint8_t *)b + LMN_BUFFER_HEAD && refs <= 1 &&
                      lmn_atomic_load(&b->refs, acquire) == 1;
    return mine ? t->data : NULL;
}

const void *lamina_tensor_data(const lamina_tensor *t)
{
    return lamina_tensor_bytes(t) ? t->data : NULL;
}
