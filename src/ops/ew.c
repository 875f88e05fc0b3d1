/*
 * The elementwise engine (ew.h). The output is walked in chunks of a fixed size, a chunk in blocks
 * of LMN_EW_BLOCK elements. A dense input of the very type is read in place; any other is gathered
 * by an odometer over the collapsed dims and converted, so that block functions only see plain
 * arrays.
 *
 * Invariant: the strides of an input are 0 on every broadcast dim, and every dim of an input equals
 * the output's or is 1 (proved by lmn_ew_run before anything is read).
 */
#include "ops/ew.h"
#include "ops/runs.h"

#include <string.h>

#define CHUNK \
    16384 /* elements of one parallel chunk: fixed, so that the grid depends on the problem */
#define ELEM_MAX 16 /* bytes of the largest element: complex128, lmn_str */

typedef struct source {
    const uint8_t *data;
    lamina_dtype dtype, as;
    int64_t elem_bytes;
    bool dense; /* laid out as the output */
    bool one;   /* one element for all of it */
    int64_t strides[LMN_MAX_RANK];
} source;

typedef struct walk {
    const lmn_ew_job *job;
    source *src;
    int32_t rank; /* of the collapsed shape, >= 1 */
    int64_t dims[LMN_MAX_RANK];
    int64_t count;
    uint8_t *out;
    int64_t out_elem_bytes;
} walk;

lamina_status lmn_ew_shape(lmn_eval *ec, int32_t first, int32_t last, int32_t *rank, int64_t *dims)
{
    int64_t acc[LMN_MAX_RANK]; /* right-aligned: acc[LMN_MAX_RANK - 1] is the last dim */
    int32_t r = 0;
    for (int32_t d = 0; d < LMN_MAX_RANK; d++) acc[d] = 1;
    for (int32_t i = first; i <= last; i++) {
        const lamina_tensor *t = lmn_in(ec, i);
        if (!t) continue;
        if (t->rank > r) r = t->rank;
        for (int32_t d = 0; d < t->rank; d++) {
            int64_t *a = &acc[LMN_MAX_RANK - t->rank + d];
            if (*a == t->dims[d] || t->dims[d] == 1) continue;
            if (*a != 1)
                return lmn_eval_fail(
                    ec, LAMINA_E_SHAPE,
                    "input %d has extent %lld at axis %d where another input has %lld: extents "
                    "must be equal or 1",
                    i, (long long)t->dims[d], d, (long long)*a);
            *a = t->dims[d];
        }
    }
    *rank = r;
    memcpy(dims, acc + LMN_MAX_RANK - r, (size_t)r * sizeof *dims);
    return LAMINA_OK;
}

/* ---- setting up --------------------------------------------------------------------------------
 */

static bool source_init(source *s, const lamina_tensor *t, lamina_dtype as, int32_t rank,
                        const int64_t *dims)
{
    *s = (source){.data = t->data,
                  .dtype = t->dtype,
                  .as = as,
                  .dense = true,
                  .elem_bytes = (int64_t)lmn_dtype_bytes(t->dtype)};
    if (t->rank > rank || s->elem_bytes == 0) return false;
    int64_t stride = 1;
    for (int32_t d = rank - 1, k = t->rank - 1; d >= 0; d--, k--) {
        const int64_t extent = k >= 0 ? t->dims[k] : 1;
        if (extent != dims[d] && extent != 1) return false;
        s->strides[d] = extent == 1 ? 0 : stride;
        if (extent != dims[d]) s->dense = false;
        stride *= extent;
    }
    s->one = stride == 1 && !s->dense;
    return true;
}

static bool mergeable(const walk *w, int32_t n_src, int32_t d)
{
    for (int32_t i = 0; i < n_src; i++)
        if (w->src[i].strides[d - 1] != w->src[i].strides[d] * w->dims[d]) return false;
    return true;
}

/* Drop dims of 1 and merge neighbours that every input walks in one go. */
static void collapse(walk *w, int32_t n_src)
{
    int32_t r = 0;
    for (int32_t d = 0; d < w->rank; d++) {
        if (w->dims[d] == 1) continue;
        w->dims[r] = w->dims[d];
        for (int32_t i = 0; i < n_src; i++) w->src[i].strides[r] = w->src[i].strides[d];
        r++;
    }
    for (int32_t d = r - 1; d > 0; d--) {
        if (!mergeable(w, n_src, d)) continue;
        w->dims[d - 1] *= w->dims[d];
        for (int32_t i = 0; i < n_src; i++) w->src[i].strides[d - 1] = w->src[i].strides[d];
        for (int32_t k = d; k < r - 1; k++) {
            w->dims[k] = w->dims[k + 1];
            for (int32_t i = 0; i < n_src; i++) w->src[i].strides[k] = w->src[i].strides[k + 1];
        }
        r--;
    }
    if (r == 0) {
        w->dims[0] = 1;
        for (int32_t i = 0; i < n_src; i++) w->src[i].strides[0] = 0;
        r = 1;
    }
    w->rank = r;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* n elements of the innermost axis, which are neighbours or one repeated, to dst. */
static void copy_run(uint8_t *dst, const uint8_t *p, int64_t n, int64_t stride, int64_t elem_bytes)
{
    lmn_assert(stride == 0 || stride == 1);
    if (stride)
        lmn_run_copy(dst, p, (size_t)(n * elem_bytes));
    else
        lmn_run_fill(dst, (size_t)elem_bytes, (size_t)n, p);
}

/* Elements [start, start + n) of a source that is not dense: where they lie, if that is in a row,
   else copied to dst. */
static const uint8_t *gather(const walk *w, const source *s, int64_t start, int64_t n, uint8_t *dst)
{
    int64_t idx[LMN_MAX_RANK], at = 0;
    const int32_t last = w->rank - 1;
    uint8_t *to = dst;
    for (int32_t d = last; d >= 0; d--) {
        idx[d] = start % w->dims[d];
        start /= w->dims[d];
        at += idx[d] * s->strides[d];
    }
    if (s->strides[last] == 1 && idx[last] + n <= w->dims[last])
        return s->data + at * s->elem_bytes;
    while (n > 0) {
        const int64_t run = lmn_min_i64(n, w->dims[last] - idx[last]);
        copy_run(to, s->data + at * s->elem_bytes, run, s->strides[last], s->elem_bytes);
        to += run * s->elem_bytes;
        n -= run;
        idx[last] += run;
        at += run * s->strides[last];
        for (int32_t d = last; d > 0 && idx[d] == w->dims[d]; d--) {
            at += s->strides[d - 1] - w->dims[d] * s->strides[d];
            idx[d] = 0;
            idx[d - 1]++;
        }
    }
    return dst;
}

/* Elements [start, start + n) of a source as the function wants them: in place or in `buf`. */
static const void *fetch(const walk *w, const source *s, int64_t start, int64_t n, uint8_t *raw,
                         uint8_t *buf)
{
    const uint8_t *p = s->data + start * s->elem_bytes;
    if (!s->dense) p = gather(w, s, start, n, raw);
    if (s->as == s->dtype) return p;
    lmn_convert(s->as, buf, s->dtype, p, n, true);
    return buf;
}

/* One element for all: as many of it as a block may want. */
static const void *spread(const source *s, uint8_t *raw, uint8_t *buf)
{
    lmn_run_fill(raw, (size_t)s->elem_bytes, LMN_EW_BLOCK, s->data);
    if (s->as == s->dtype) return raw;
    lmn_convert(s->as, buf, s->dtype, raw, LMN_EW_BLOCK, true);
    return buf;
}

/* ---- running -----------------------------------------------------------------------------------
 */

typedef struct block_mem {
    _Alignas(64) uint8_t raw[LMN_EW_MAX_IN][LMN_EW_BLOCK * ELEM_MAX];
    _Alignas(64) uint8_t buf[LMN_EW_MAX_IN][LMN_EW_BLOCK * 8];
    _Alignas(64) uint8_t out[LMN_EW_BLOCK * ELEM_MAX];
} block_mem;

static void run_fold(const walk *w, int64_t at, int64_t n, block_mem *m, void *out)
{
    const lmn_ew_job *job = w->job;
    const void *in[2];
    for (int32_t i = 0; i < job->n_in; i++) {
        in[i ? 1 : 0] = fetch(w, &w->src[i], at, n, m->raw[i ? 1 : 0], m->buf[i ? 1 : 0]);
        if (i == 0) continue;
        job->fn(in, m->out, n, job->arg);
        in[0] = m->out;
    }
    if (job->last) {
        const int64_t count = job->n_in;
        job->last(in, m->out, n, &count);
        in[0] = m->out;
    }
    if (job->out_as == job->out_dtype)
        memcpy(out, in[0], (size_t)(n * w->out_elem_bytes));
    else
        lmn_convert(job->out_dtype, out, job->out_as, in[0], n, true);
}

static void run_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const walk *w = arg;
    const lmn_ew_job *job = w->job;
    block_mem m;
    const int64_t end = lmn_min_i64(w->count, (chunk + 1) * CHUNK);
    const void *in[LMN_EW_MAX_IN];
    for (int32_t i = 0; !job->fold && i < job->n_in; i++)
        in[i] = w->src[i].one ? spread(&w->src[i], m.raw[i], m.buf[i]) : NULL;
    for (int64_t at = chunk * CHUNK; at < end; at += LMN_EW_BLOCK) {
        const int64_t n = lmn_min_i64(LMN_EW_BLOCK, end - at);
        uint8_t *out = w->out + at * w->out_elem_bytes;
        if (job->fold) {
            run_fold(w, at, n, &m, out);
            continue;
        }
        for (int32_t i = 0; i < job->n_in; i++)
            if (!w->src[i].one) in[i] = fetch(w, &w->src[i], at, n, m.raw[i], m.buf[i]);
        if (job->out_as == job->out_dtype) {
            job->fn(in, out, n, job->arg);
            continue;
        }
        job->fn(in, m.out, n, job->arg);
        lmn_convert(job->out_dtype, out, job->out_as, m.out, n, true);
    }
}

lamina_status lmn_ew_run(lmn_eval *ec, const lmn_ew_job *job, int32_t rank, const int64_t *dims,
                         void *out)
{
    source few[LMN_EW_MAX_IN];
    walk w = {.job = job,
              .src = few,
              .rank = rank,
              .out = out,
              .out_elem_bytes = (int64_t)lmn_dtype_bytes(job->out_dtype)};
    if (job->n_in < 1 || (!job->fold && job->n_in > LMN_EW_MAX_IN))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "has %d inputs", job->n_in);
    if (!lmn_dims_count(rank, dims, &w.count))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the broadcast shape is too large");
    if (job->n_in > LMN_EW_MAX_IN) w.src = lmn_scratch(ec, (size_t)job->n_in * sizeof *w.src);
    if (!w.src) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %d inputs", job->n_in);
    memcpy(w.dims, dims, (size_t)rank * sizeof *dims);
    for (int32_t i = 0; i < job->n_in; i++)
        if (!source_init(&w.src[i], job->in[i], job->in_as[job->fold ? 0 : i], rank, dims))
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d does not broadcast to the output",
                                 i);
    if (w.count == 0) return LAMINA_OK;
    collapse(&w, job->n_in);
    lmn_par_for(ec->par, (w.count + CHUNK - 1) / CHUNK, run_chunk, &w);
    return LAMINA_OK;
}

/* ---- by class ----------------------------------------------------------------------------------
 */

static lmn_ew_fn *pick(const lmn_ew_impl *impl, lamina_dtype dt, lamina_dtype *as)
{
    switch (lmn_dtype_class(dt)) {
    case LMN_CLASS_FLOAT:
        *as = dt == LAMINA_F32 && impl->f32 ? LAMINA_F32 : LAMINA_F64;
        return *as == LAMINA_F32 ? impl->f32 : impl->f64;
    case LMN_CLASS_SINT:
#ifndef LMN_F32_ALONE /* cmake/subset.cmake */
        if (dt == LAMINA_I32 && impl->i32) {
            *as = LAMINA_I32;
            return impl->i32;
        }
#endif
        *as = LAMINA_I64;
        return impl->i64;
    case LMN_CLASS_BOOL:
        *as = impl->b8 ? LAMINA_BOOL : LAMINA_U64;
        return impl->b8 ? impl->b8 : impl->u64;
    case LMN_CLASS_UINT: *as = LAMINA_U64; return impl->u64;
    case LMN_CLASS_STRING: *as = LAMINA_STRING; return impl->str;
    default: return NULL;
    }
}

lamina_status lmn_ew_eval(lmn_eval *ec, const lmn_ew_impl *impl, const void *arg)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input 0 is missing");
    lamina_dtype as = LAMINA_DTYPE_NONE, in_as[LMN_EW_MAX_IN];
    lmn_ew_job job = {.fn = pick(impl, x->dtype, &as),
                      .last = impl->last,
                      .arg = arg,
                      .in_as = in_as,
                      .n_in = ec->n_in,
                      .fold = impl->fold,
                      .in = (const lamina_tensor *const *)ec->in};
    if (!job.fn)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "element type %s is not supported",
                             lamina_dtype_name(x->dtype));
    for (int32_t i = 0; i < ec->n_in; i++) {
        const lamina_tensor *t = lmn_in(ec, i);
        if (!t) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input %d is missing", i);
        if ((t->dtype == LAMINA_STRING) != (x->dtype == LAMINA_STRING))
            return lmn_eval_fail(ec, LAMINA_E_DTYPE, "strings do not mix with other types");
    }
    for (int32_t i = 0; i < LMN_EW_MAX_IN; i++) in_as[i] = as;
    job.out_dtype = impl->out_bool ? LAMINA_BOOL : x->dtype;
    job.out_as = impl->out_bool ? LAMINA_BOOL : as;
    int32_t rank;
    int64_t dims[LMN_MAX_RANK];
    lamina_tensor *y;
    LMN_TRY(lmn_ew_shape(ec, 0, ec->n_in - 1, &rank, dims));
    LMN_TRY(lmn_out(ec, 0, job.out_dtype, rank, dims, &y));
    return y ? lmn_ew_run(ec, &job, rank, dims, y->data) : LAMINA_OK;
}
