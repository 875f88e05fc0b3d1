/*
 * The line engine (lines.h). Lines are grouped into parallel chunks of a size that depends on the
 * problem alone; each worker has one block of scratch: raw line, class line, result lines, tmp.
 */
#include "ops/lines.h"

#include <string.h>

#define CHUNK_ELEMS 16384

typedef struct run_state {
    const lmn_lines *job;
    int64_t len, inner, n_lines, lines_per_chunk;
    size_t elem_bytes, off_as, off_y[LMN_LINES_MAX_OUT], off_tmp, worker_bytes;
    uint8_t *scratch;
} run_state;

lamina_dtype lmn_class_type(lamina_dtype dt)
{
    switch (lmn_dtype_class(dt)) {
    case LMN_CLASS_FLOAT: return LAMINA_F64;
    case LMN_CLASS_SINT: return LAMINA_I64;
    case LMN_CLASS_UINT:
    case LMN_CLASS_BOOL: return LAMINA_U64;
    default: return LAMINA_DTYPE_NONE;
    }
}

lamina_status lmn_lines_axis(lmn_eval *ec, int64_t axis, const lamina_tensor *x, int32_t *out)
{
    const int32_t rank = x->rank > 0 ? x->rank : 1;
    if (axis < -rank || axis >= rank)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "axis %lld is outside [%d, %d]", (long long)axis,
                             -rank, rank - 1);
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return LAMINA_OK;
}

static void move_elems(uint8_t *dst, int64_t dst_step, const uint8_t *src, int64_t src_step,
                       int64_t n, size_t bytes)
{
#define MOVE(T)                                                            \
    {                                                                      \
        T *d = (T *)(void *)dst;                                           \
        const T *s = (const T *)(const void *)src;                         \
        for (int64_t i = 0; i < n; i++) d[i * dst_step] = s[i * src_step]; \
    }
    if (bytes == 1)
        MOVE(uint8_t)
    else if (bytes == 2)
        MOVE(uint16_t)
    else if (bytes == 4)
        MOVE(uint32_t)
    else
        MOVE(uint64_t)
#undef MOVE
}

static const void *load_line(const run_state *r, int64_t line, uint8_t *mem)
{
    const lamina_tensor *x = r->job->x;
    const int64_t first = line / r->inner * r->len * r->inner + line % r->inner;
    const uint8_t *p = (const uint8_t *)x->data + (size_t)first * r->elem_bytes;
    if (r->inner > 1) {
        move_elems(mem, 1, p, r->inner, r->len, r->elem_bytes);
        p = mem;
    }
    if (r->job->as == x->dtype) return p;
    lmn_convert(r->job->as, mem + r->off_as, x->dtype, p, r->len, true);
    return mem + r->off_as;
}

static void store_line(const run_state *r, const lmn_line_out *o, int64_t line, const uint8_t *y,
                       uint8_t *mem)
{
    const size_t bytes = lmn_dtype_bytes(o->t->dtype);
    const int64_t first = line / r->inner * o->len * r->inner + line % r->inner;
    uint8_t *dst = (uint8_t *)o->t->data + (size_t)first * bytes;
    const bool same = o->as == o->t->dtype;
    if (r->inner == 1 && !same) {
        lmn_convert(o->t->dtype, dst, o->as, y, o->len, true);
    } else if (r->inner == 1) {
        memcpy(dst, y, (size_t)o->len * bytes);
    } else {
        if (!same)
            lmn_convert(o->t->dtype, mem, o->as, y, o->len, true); /* the raw line is done with */
        move_elems(dst, r->inner, same ? y : mem, 1, o->len, bytes);
    }
}

static void run_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const run_state *r = arg;
    const lmn_lines *job = r->job;
    uint8_t *mem = r->scratch + (size_t)worker * r->worker_bytes;
    const int64_t end = lmn_min_i64(r->n_lines, (chunk + 1) * r->lines_per_chunk);
    void *y[LMN_LINES_MAX_OUT];
    for (int32_t k = 0; k < job->n_out; k++) y[k] = mem + r->off_y[k];
    for (int64_t line = chunk * r->lines_per_chunk; line < end; line++) {
        job->fn(load_line(r, line, mem), r->len, y, mem + r->off_tmp, job->arg);
        for (int32_t k = 0; k < job->n_out; k++)
            if (job->out[k].t) store_line(r, &job->out[k], line, y[k], mem);
    }
}

/* Offsets of the parts of a worker's scratch; false on overflow. */
static bool lay_out(run_state *r)
{
    const lmn_lines *job = r->job;
    int64_t longest = r->len;
    for (int32_t k = 0; k < job->n_out; k++) longest = lmn_max_i64(longest, job->out[k].len);
    size_t line;
    if (longest < 0 || !lmn_mul_size((size_t)longest, 8, &line) || line > SIZE_MAX / 16)
        return false;
    line = lmn_align_up(line + 1, LMN_TENSOR_ALIGN);
    r->off_as = line;
    for (int32_t k = 0; k < job->n_out; k++) r->off_y[k] = (size_t)(2 + k) * line;
    r->off_tmp = (size_t)(2 + job->n_out) * line;
    return lmn_add_size(r->off_tmp, lmn_align_up(job->tmp_bytes, LMN_TENSOR_ALIGN),
                        &r->worker_bytes);
}

lamina_status lmn_lines_run(lmn_eval *ec, const lmn_lines *job)
{
    const lamina_tensor *x = job->x;
    run_state r = {.job = job,
                   .len = x->rank ? x->dims[job->axis] : 1,
                   .inner = 1,
                   .n_lines = 1,
                   .elem_bytes = lmn_dtype_bytes(x->dtype)};
    bool wanted = false;
    for (int32_t k = 0; k < job->n_out; k++)
        wanted = wanted || (job->out[k].t && lmn_count(job->out[k].t) > 0);
    if (!wanted) return LAMINA_OK;
    for (int32_t d = 0; d < x->rank; d++) {
        if (d != job->axis) r.n_lines *= x->dims[d];
        if (d > job->axis) r.inner *= x->dims[d];
    }
    if (r.n_lines == 0) return LAMINA_OK;
    size_t bytes;
    if (!lay_out(&r) || !lmn_mul_size(r.worker_bytes, (size_t)lmn_par_width(ec->par), &bytes))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "an axis of %lld elements is too long",
                             (long long)r.len);
    r.scratch = lmn_scratch(ec, bytes);
    if (!r.scratch) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %zu bytes", bytes);
    r.lines_per_chunk = lmn_max_i64(1, CHUNK_ELEMS / lmn_max_i64(1, r.len));
    lmn_par_for(ec->par, (r.n_lines + r.lines_per_chunk - 1) / r.lines_per_chunk, run_chunk, &r);
    return LAMINA_OK;
}

/* ---- the softmax family ------------------------------------------------------------------------
 */

lamina_status lmn_lines_eval_f64(lmn_eval *ec, lmn_line_fn *fn)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input 0 is missing");
    if (lmn_class_type(x->dtype) != LAMINA_F64)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "element type %s is not supported",
                             lamina_dtype_name(x->dtype));
    lmn_lines job = {.fn = fn, .x = x, .as = LAMINA_F64, .n_out = 1};
    LMN_TRY(lmn_lines_axis(ec, lmn_attr_i(ec->node, "axis", -1), x, &job.axis));
    job.out[0] = (lmn_line_out){.as = LAMINA_F64, .len = x->rank ? x->dims[job.axis] : 1};
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &job.out[0].t));
    return lmn_lines_run(ec, &job);
}

lamina_status lmn_lines_infer_axis(lmn_infer *ic)
{
    int32_t axis;
    if (lmn_infer_has(ic, 0) && ic->in[0]->rank > 0)
        LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", -1), ic->in[0]->rank, &axis));
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

void lmn_lines_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                    lmn_cost *c)
{
    (void)n, (void)in, (void)out;
    c->flops *= 5;
}

/* Flatten at axis, the operator along the last axis, Reshape to the shape before. */
static bool flatten_around(lmn_canon *c, int64_t axis)
{
    const lmn_builder *b = c->b;
    const lmn_attr at = {.name = "axis", .type = LMN_ATTR_INT, .n = 1, .u.i = axis};
    const lmn_attr last = {.name = "axis", .type = LMN_ATTR_INT, .n = 1, .u.i = -1};
    lmn_ref shape, flat, result;
    if (!b->node(b->ctx, "Shape", c->in, 1, NULL, 0, &shape, 1)) return false;
    if (!b->node(b->ctx, "Flatten", c->in, 1, &at, 1, &flat, 1)) return false;
    if (!b->node(b->ctx, c->node->def->name, &flat, 1, &last, 1, &result, 1)) return false;
    const lmn_ref in[2] = {result, shape};
    if (!b->node(b->ctx, "Reshape", in, 2, NULL, 0, c->out, 1)) return false;
    c->replaced = true;
    return true;
}

lamina_status lmn_lines_canon_flat(lmn_canon *c)
{
    if (c->opset >= 13 || c->n_in < 1) return LAMINA_OK;
    const int64_t axis = lmn_attr_i(c->node, "axis", 1);
    const lmn_fact *f = c->in[0] ? c->b->fact(c->b->ctx, c->in[0]) : NULL;
    const int32_t rank = f && f->kind == LMN_FACT_TENSOR ? f->rank : -1;
    const bool ok = axis == -1 || (rank > 0 && axis == rank - 1) ? lmn_canon_set_i(c, "axis", -1)
                                                                 : flatten_around(c, axis);
    return ok ? LAMINA_OK
              : lmn_canon_fail(c, LAMINA_E_UNSUPPORTED, "convert the model to opset 13",
                               "the form that flattens from axis %lld could not be rewritten",
                               (long long)axis);
}
