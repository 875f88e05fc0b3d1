/*
 * Products of 8-bit integers (lamina/gemm.h): the qgemm driver, whose sums are exact, so that
 * neither plans nor packed weights change a bit.
 */
#include "gemmapi/gemmapi_int.h"

#include "base/fpenv.h"

static bool is_8bit(lamina_dtype t)
{
    return t == LAMINA_U8 || t == LAMINA_I8;
}

static lamina_status shape_check(const lamina_gemm_int8_shape *s)
{
    LMN_CHECK(s->size == sizeof *s, LAMINA_E_INVALID);
    LMN_TRY(lmn_gemmapi_extents_check(s->flags, s->m, s->n, s->k, s->n_batch));
    LMN_CHECK(!(s->flags & LAMINA_GEMM_TRANS_A), LAMINA_E_UNSUPPORTED);
    LMN_CHECK(is_8bit(s->a) && is_8bit(s->b), LAMINA_E_UNSUPPORTED);
    LMN_CHECK(is_8bit(s->c) || s->c == LAMINA_I32 || s->c == LAMINA_F32, LAMINA_E_UNSUPPORTED);
    return LAMINA_OK;
}

static matrix weights_of(const lamina_gemm_int8_shape *s, const void *b, int64_t ldb, int64_t batch)
{
    const bool tb = s->flags & LAMINA_GEMM_TRANS_B;
    return (matrix){b, tb ? s->n : s->k, tb ? s->k : s->n, ldb, batch, 1};
}

/* Are the zero points at p values of the type? */
static lamina_status zero_points_check(lamina_dtype t, const int32_t *p, int64_t n)
{
    const int32_t lo = t == LAMINA_I8 ? INT8_MIN : 0, hi = t == LAMINA_I8 ? INT8_MAX : UINT8_MAX;
    bool ok = true;
    for (int64_t i = 0; i < n; i++) ok &= p[i] >= lo && p[i] <= hi;
    return ok ? LAMINA_OK : LAMINA_E_RANGE;
}

/* One value a column, or NULL. */
static lamina_status columns_check(const lamina_gemm_int8_shape *s, const void *p)
{
    const matrix x = {p, 1, s->n, s->n, 0, 4};
    return p ? lmn_gemmapi_matrix_check(&x, 1) : LAMINA_OK;
}

static lamina_status ends_check(const lamina_gemm_int8_shape *s, const lamina_gemm_int8_args *a)
{
    const bool ints = s->c == LAMINA_I32;
    LMN_TRY(columns_check(s, a->b_zps));
    LMN_TRY(columns_check(s, a->bias));
    LMN_TRY(columns_check(s, a->scales));
    LMN_TRY(columns_check(s, a->bias_f32));
    LMN_CHECK(!ints || !a->scales, LAMINA_E_INVALID);
    LMN_CHECK(s->c == LAMINA_F32 || !a->bias_f32, LAMINA_E_INVALID);
    LMN_TRY(zero_points_check(s->a, &a->a_zp, 1));
    LMN_TRY(a->b_zps ? zero_points_check(s->b, a->b_zps, s->n)
                     : zero_points_check(s->b, &a->b_zp, 1));
    if (is_8bit(s->c)) return zero_points_check(s->c, &a->c_zp, 1);
    return a->c_zp == 0 ? LAMINA_OK : LAMINA_E_INVALID;
}

static lamina_status args_check(const lamina_gemm_int8_shape *s, const lamina_gemm_int8_args *a)
{
    LMN_CHECK(a->size == sizeof *a && a->reserved == 0, LAMINA_E_INVALID);
    if (s->m == 0 || s->n == 0 || s->n_batch == 0) return LAMINA_OK;
    const matrix c = {a->c, s->m, s->n, a->ldc, a->c_batch, is_8bit(s->c) ? 1 : 4};
    LMN_TRY(lmn_gemmapi_matrix_check(&c, s->n_batch));
    LMN_CHECK(s->n_batch == 1 || a->c_batch > 0, LAMINA_E_INVALID);
    LMN_TRY(ends_check(s, a));
    const matrix x = {a->a, s->m, s->k, a->lda, a->a_batch, 1};
    LMN_TRY(lmn_gemmapi_matrix_check(&x, s->n_batch));
    if (a->packed) {
        LMN_CHECK(a->packed->dtype == s->b, LAMINA_E_INVALID);
        return a->packed->n == s->n && a->packed->k == s->k ? LAMINA_OK : LAMINA_E_SHAPE;
    }
    const matrix y = weights_of(s, a->b, a->ldb, a->b_batch);
    return lmn_gemmapi_matrix_check(&y, s->n_batch);
}

static void plan_of(const lamina_gemm *g, const lamina_gemm_int8_shape *s, bool packed,
                    lmn_qgemm_plan *out)
{
    const lmn_qgemm_shape q = {.m = s->m,
                               .n = s->n,
                               .k = s->k,
                               .n_batch = s->n_batch,
                               .trans_b = !packed && s->flags & LAMINA_GEMM_TRANS_B,
                               .packed = packed,
                               .threads = g->width};
    lmn_qgemm_plan_make(g->kset.qgemm_i8, &q, out);
}

typedef struct product {
    const lmn_qgemm_plan *plan;
    lmn_qgemm_args args;
    workers w;
} product;

static void product_chunk(void *arg, int64_t chunk, int32_t who)
{
    const product *p = arg;
    lmn_qgemm_chunk(p->plan, &p->args, chunk, lmn_gemmapi_scratch_of(&p->w, who));
}

static lmn_qgemm_args args_of(const lamina_gemm_int8_shape *s, const lamina_gemm_int8_args *a)
{
    const bool none = s->k == 0; /* A and B are not read, and may be NULL */
    const bool wide = s->c == LAMINA_I8;
    return (lmn_qgemm_args){
        .a = none ? a->c : a->a,
        .b = a->packed ? a->packed->panels
             : none    ? a->c
                       : a->b,
        .a_signed = s->a == LAMINA_I8,
        .b_signed = s->b == LAMINA_I8,
        .lda = none ? 0 : a->lda,
        .ldb = none || a->packed ? 0 : a->ldb,
        .a_batch = none ? 0 : a->a_batch,
        .b_batch = none || a->packed ? 0 : a->b_batch,
        .a_zp = a->a_zp,
        .b_zp = a->b_zps ? 0 : a->b_zp,
        .b_zps = a->b_zps,
        .col_bias = a->bias,
        .out = s->c == LAMINA_I32   ? LMN_QGEMM_I32
               : s->c == LAMINA_F32 ? LMN_QGEMM_F32
                                    : LMN_QGEMM_BYTES,
        .mul = a->scale,
        .div = 1,
        .col_mul = a->scales,
        .col_bias_f32 = a->bias_f32,
        .zp = a->c_zp,
        .lo = wide ? INT8_MIN : 0,
        .hi = wide ? INT8_MAX : UINT8_MAX,
        .c = a->c,
        .ldc = a->ldc,
        .c_batch = a->c_batch,
    };
}

/* Checked arguments, and a plan of the shape. */
static lamina_status run(lamina_gemm *g, const lamina_gemm_int8_shape *s,
                         const lmn_qgemm_plan *plan, const lamina_gemm_int8_args *a)
{
    if (plan->n_chunks == 0) return LAMINA_OK;
    product p = {.plan = plan, .args = args_of(s, a)};
    LMN_TRY(lmn_gemmapi_workers_begin(g, plan->scratch_bytes, plan->n_chunks, &p.w));
    lmn_fpenv was;
    lmn_fpenv_enter(&was);
    lmn_gemmapi_chunks(g, plan->n_chunks, product_chunk, &p);
    lmn_fpenv_leave(&was);
    lmn_gemmapi_workers_end(g, &p.w);
    return LAMINA_OK;
}

lamina_status lamina_gemm_int8_once(lamina_gemm *g, const lamina_gemm_int8_shape *shape,
                                    const lamina_gemm_int8_args *args)
{
    LMN_CHECK(g && shape && args, LAMINA_E_INVALID);
    LMN_TRY(shape_check(shape));
    LMN_TRY(args_check(shape, args));
    lmn_qgemm_plan plan;
    plan_of(g, shape, args->packed != NULL, &plan);
    return run(g, shape, &plan, args);
}

lamina_status lamina_gemm_int8_plan_create(lamina_gemm *g, const lamina_gemm_int8_shape *shape,
                                           lamina_gemm_plan **out)
{
    LMN_CHECK(g && shape && out, LAMINA_E_INVALID);
    LMN_TRY(shape_check(shape));
    lamina_gemm_plan *p = lmn_calloc(&g->alloc, 1, sizeof *p, "gemm plan");
    if (!p) return LAMINA_E_NOMEM;
    p->g = g, p->int8 = *shape;
    plan_of(g, shape, false, &p->int8_plan);
    plan_of(g, shape, true, &p->int8_packed);
    *out = p;
    return LAMINA_OK;
}

lamina_status lamina_gemm_int8_run(const lamina_gemm_plan *plan, const lamina_gemm_int8_args *args)
{
    LMN_CHECK(plan && args && plan->int8.size, LAMINA_E_INVALID);
    LMN_TRY(args_check(&plan->int8, args));
    return run(plan->g, &plan->int8, args->packed ? &plan->int8_packed : &plan->int8_plan, args);
}

lamina_status lamina_gemm_int8_pack(lamina_gemm *g, const lamina_gemm_int8_shape *shape,
                                    const void *b, int64_t ldb, lamina_gemm_packed **out)
{
    LMN_CHECK(g && shape && out, LAMINA_E_INVALID);
    LMN_TRY(shape_check(shape));
    LMN_CHECK(shape->n_batch == 1, LAMINA_E_INVALID);
    const matrix x = weights_of(shape, b, ldb, 0);
    LMN_TRY(lmn_gemmapi_matrix_check(&x, 1));
    const lmn_qgemm_row *row = g->kset.qgemm_i8;
    lamina_gemm_packed *w;
    if (shape->n && shape->k > LMN_GEMMAPI_ELEMS_END / shape->n) return LAMINA_E_NOMEM;
    const int64_t bytes = lmn_qgemm_packed_bytes(row, shape->k, shape->n);
    LMN_TRY(lmn_gemmapi_packed_create(g, shape->b, shape->n, shape->k, (size_t)bytes, &w));
    if (bytes)
        lmn_qgemm_prepack(row, shape->flags & LAMINA_GEMM_TRANS_B, shape->b == LAMINA_I8,
                          shape->k ? b : w->panels, ldb, shape->k, shape->n, w->panels);
    *out = w;
    return LAMINA_OK;
}
