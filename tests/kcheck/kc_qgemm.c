/*
 * kcheck driver of the qgemm family: the blocked driver with every row, against 64-bit integer
 * sums. Class exact: int32 results are equal, requantised ones too.
 */
#include "kcheck/kcheck.h"

#include "kernels/qgemm/qgemm_end.h"
#include "kernels/qgemm/qgemm_plan.h"

typedef struct qproduct {
    lmn_qgemm_shape shape;
    lmn_qgemm_args args;
    const uint8_t *b; /* as it is given, [k][n] or turned [n][k] */
    int64_t b_batch;
    bool turned;
    int64_t c_elems;
} qproduct;

static const lmn_qgemm_row *qgemm_row(const lmn_krow *row)
{
    return (const lmn_qgemm_row *)(const void *)row;
}

static uint8_t *some_bytes(kc_ctx *kc, int64_t n)
{
    uint8_t *p = kc_buffer(kc, (size_t)n);
    const bool extremes = kc_int(kc, 0, 3) == 0;
    for (int64_t i = 0; i < n; i++) {
        static const uint8_t ends[4] = {0, 127, 128, 255};
        p[i] = extremes ? ends[kc_int(kc, 0, 3)] : (uint8_t)kc_int(kc, 0, 255);
    }
    return p;
}

static float a_factor(kc_ctx *kc)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f, 1e30f, 0.5f, -0.25f, 1.0f};
    if (kc_int(kc, 0, 9) == 0) return odd[kc_int(kc, 0, (int64_t)LMN_COUNT(odd) - 1)];
    return (float)kc_int(kc, 1, 1 << 20) * 0x1p-30f;
}

static float *some_factors(kc_ctx *kc, int64_t n)
{
    float *p = kc_buffer(kc, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) p[i] = a_factor(kc);
    return p;
}

/* Strips of a product's B, as a convolution would make them. */
static void bring(const void *ctx, const lmn_qgemm_slab *s)
{
    const qproduct *p = ctx;
    for (int64_t k = 0; k < s->k; k++)
        for (int64_t j = 0; j < s->n; j++)
            s->dst[k * s->n + j] =
                p->b[s->item * p->b_batch + (s->k0 + k) * p->args.ldb + s->col + j];
}

static int32_t zero_point(kc_ctx *kc, bool is_signed)
{
    const int32_t lo = is_signed ? -128 : 0;
    return kc_int(kc, 0, 2) ? lo + (int32_t)kc_int(kc, 0, 255) : lo + 128;
}

static void draw_ends(kc_ctx *kc, qproduct *p)
{
    lmn_qgemm_args *a = &p->args;
    const int64_t m = p->shape.m, n = p->shape.n;
    a->a_zp = zero_point(kc, a->a_signed), a->b_zp = zero_point(kc, a->b_signed);
    if (kc_int(kc, 0, 3) == 0) a->b_zp = 0;
    const int64_t a_lo = a->a_signed ? -128 : 0, b_lo = a->b_signed ? -128 : 0;
    if (kc_int(kc, 0, 3) == 0) a->a_zps = kc_ints(kc, m, a_lo, a_lo + 255);
    if (kc_int(kc, 0, 3) == 0) a->b_zps = kc_ints(kc, n, b_lo, b_lo + 255);
    if (kc_int(kc, 0, 2) == 0) a->row_bias = kc_ints(kc, m, INT32_MIN, INT32_MAX);
    if (kc_int(kc, 0, 2) == 0) a->col_bias = kc_ints(kc, n, -100000, 100000);
    a->out = (lmn_qgemm_out)kc_int(kc, LMN_QGEMM_I32, LMN_QGEMM_F32);
    a->mul = a_factor(kc);
    a->div = kc_int(kc, 0, 1) ? 1.0f : 0.7f;
    if (kc_int(kc, 0, 1)) a->col_bias_f32 = some_factors(kc, n);
    if (kc_int(kc, 0, 2) == 0) a->row_mul = some_factors(kc, m);
    if (!a->row_mul && kc_int(kc, 0, 1)) a->col_mul = some_factors(kc, n);
    if (a->out != LMN_QGEMM_I32 && kc_int(kc, 0, 2) == 0) {
        a->ld_plus = n + kc_int(kc, 0, 3);
        a->plus = some_factors(kc, m * a->ld_plus);
    }
    const bool out_signed = kc_int(kc, 0, 1);
    a->zp = zero_point(kc, out_signed);
    a->lo = out_signed ? -128 : 0, a->hi = a->lo + 255;
    if (kc_int(kc, 0, 2) == 0) a->lo += (int32_t)kc_int(kc, 0, 100), a->hi -= 50;
}

/* What most layers of models want: bytes by small factors of columns, nothing added to rows. */
static void usual_ends(kc_ctx *kc, qproduct *p)
{
    lmn_qgemm_args *a = &p->args;
    a->a_zps = a->b_zps = a->row_bias = NULL, a->row_mul = a->plus = NULL;
    a->b_zp = a->b_signed ? 0 : 128;
    a->out = LMN_QGEMM_BYTES, a->div = 1.0f, a->mul = (float)kc_int(kc, 1, 1 << 20) * 0x1p-26f;
    if (a->col_mul) {
        float *mul = kc_buffer(kc, (size_t)p->shape.n * sizeof *mul);
        for (int64_t j = 0; j < p->shape.n; j++)
            mul[j] = (float)kc_int(kc, -(1 << 20), 1 << 20) * 0x1p-26f;
        a->col_mul = mul;
    }
    a->lo = a->lo < 0 ? -128 : 0, a->hi = a->lo + 255;
    a->zp = kc_int(kc, 0, 1) ? 0 : a->lo + (int32_t)kc_int(kc, 0, 255);
}

/* Every item of B, packed. All bytes are written, padding too: they go into files. */
static void pack_whole(kc_ctx *kc, const lmn_qgemm_row *row, qproduct *p)
{
    const int64_t bytes = lmn_qgemm_packed_bytes(row, p->shape.k, p->shape.n);
    const int64_t items = p->b_batch ? p->shape.n_batch : 1;
    const size_t all = (size_t)(items * bytes);
    uint8_t *packed = kc_buffer(kc, lmn_align_up(all, 64));
    uint8_t *again = kc_buffer(kc, lmn_align_up(all, 64));
    memset(packed, 0xa5, all), memset(again, 0x5a, all);
    for (int64_t i = 0; i < 2 * items; i++) {
        uint8_t *to = (i < items ? packed : again) + i % items * bytes;
        KC_CALL(kc,
                lmn_qgemm_prepack(row, p->turned, p->args.b_signed, p->b + i % items * p->b_batch,
                                  p->args.ldb, p->shape.k, p->shape.n, to));
    }
    if (memcmp(packed, again, all) != 0)
        kc_fail(kc, "packed k=%d n=%d: bytes not written", (int)p->shape.k, (int)p->shape.n);
    p->args.b = packed;
    if (p->b_batch) p->args.b_batch = bytes;
}

static void draw(kc_ctx *kc, const lmn_qgemm_row *row, qproduct *p)
{
    const bool big = kc_int(kc, 0, 9) == 0, long_k = kc_int(kc, 0, 39) == 0;
    const bool usual = kc_int(kc, 0, 3) == 0, pages = kc_int(kc, 0, 49) == 0;
    const bool deep = kc_int(kc, 0, 49) == 0;
    memset(p, 0, sizeof *p);
    p->shape.m = kc_extent(kc, row->mr, big ? 200 : 40);
    p->shape.n = kc_extent(kc, row->nr, big ? 500 : 110);
    p->shape.k = kc_extent(kc, 4, big ? 300 : 70);
    if (long_k) p->shape.m %= 10, p->shape.n %= 60, p->shape.k = kc_int(kc, 4860, 10000);
    if (usual && kc_int(kc, 0, 1)) p->shape.k = kc_int(kc, 0, 20);
    const bool whole = usual && p->shape.k <= 20; /* lines of C that may go past the caches */
    if (whole) p->shape.n = 64 * kc_int(kc, 1, 3);
    if (kc_int(kc, 0, 9) == 0) p->shape.m = 1;
    p->shape.n_batch = kc_int(kc, 0, 4) ? 1 : kc_int(kc, 0, 3);
    p->shape.bring = kc_int(kc, 0, 2) == 0;
    p->turned = !p->shape.bring && kc_int(kc, 0, 1);
    p->shape.packed = !p->shape.bring && kc_int(kc, 0, 2) == 0;
    if (pages) { /* few rows by rows of B that are pages */
        p->shape.m = kc_int(kc, 5, 7), p->shape.n = 4000, p->shape.k = 1100;
        p->shape.n_batch = 1, p->shape.bring = p->turned = p->shape.packed = false;
    }
    if (deep) { /* few rows, more of them than the first cache holds, by rows of B */
        p->shape.m = kc_int(kc, 13, 32), p->shape.n %= 60, p->shape.k = kc_int(kc, 3800, 4500);
        p->shape.bring = p->shape.packed = false, p->turned = true;
    }
    p->shape.trans_b = p->turned && !p->shape.packed;
    lmn_qgemm_args *a = &p->args;
    const int64_t m = p->shape.m, n = p->shape.n, k = p->shape.k, items = p->shape.n_batch;
    const int64_t b_rows = p->turned ? n : k, b_cols = p->turned ? k : n;
    a->lda = k + kc_int(kc, 0, 3), a->ldb = b_cols + kc_int(kc, 0, 3);
    a->ldc = n + (whole ? 0 : kc_int(kc, 0, 3));
    a->a_batch = kc_int(kc, 0, 1) ? m * a->lda : 0;
    a->b_batch = p->b_batch = kc_int(kc, 0, 1) ? b_rows * a->ldb : 0;
    a->c_batch = m * a->ldc;
    a->a_signed = kc_int(kc, 0, 1), a->b_signed = kc_int(kc, 0, 1);
    const int64_t last = lmn_max_i64(0, items - 1);
    a->a = some_bytes(kc, m ? last * a->a_batch + (m - 1) * a->lda + k : 0);
    a->b = p->b = some_bytes(kc, b_rows ? last * a->b_batch + (b_rows - 1) * a->ldb + b_cols : 0);
    draw_ends(kc, p);
    if (usual) usual_ends(kc, p);
    p->c_elems = m && items ? (items * m - 1) * a->ldc + n : 0;
    if (p->shape.packed) pack_whole(kc, row, p);
    if (!p->shape.bring) return;
    a->b = NULL, a->bring = bring, a->bring_ctx = p;
}

static int64_t element(const uint8_t *p, int64_t i, bool is_signed)
{
    return is_signed ? (int8_t)p[i] : p[i];
}

/* The element as int32 or as a byte. */
static int32_t expected(const qproduct *p, int64_t item, int64_t i, int64_t j)
{
    const lmn_qgemm_args *a = &p->args;
    const int64_t row = p->turned ? 1 : a->ldb, col = p->turned ? a->ldb : 1;
    const int64_t za = a->a_zps ? a->a_zps[i] : a->a_zp, zb = a->b_zps ? a->b_zps[j] : a->b_zp;
    int64_t sum = (a->row_bias ? a->row_bias[i] : 0) + (int64_t)(a->col_bias ? a->col_bias[j] : 0);
    for (int64_t k = 0; k < p->shape.k; k++)
        sum += (element(a->a, item * a->a_batch + i * a->lda + k, a->a_signed) - za) *
               (element(p->b, item * p->b_batch + k * row + j * col, a->b_signed) - zb);
    const int32_t v = (int32_t)(uint32_t)(uint64_t)sum;
    if (a->out == LMN_QGEMM_I32) return v;
    const float mul = a->row_mul ? a->row_mul[i] : a->col_mul ? a->col_mul[j] : a->mul;
    float y = (float)v * mul;
    if (a->out == LMN_QGEMM_F32 && a->col_bias_f32) y += a->col_bias_f32[j];
    if (a->plus) y += a->plus[i * a->ld_plus + j];
    if (a->out == LMN_QGEMM_BYTES) return (uint8_t)lmn_quantised(y / a->div, a->zp, a->lo, a->hi);
    int32_t bits;
    memcpy(&bits, &y, sizeof bits);
    return isnan(y) ? INT32_MAX : bits;
}

static bool is_poison(const uint8_t *c, int64_t at, int64_t bytes)
{
    bool all = true;
    for (int64_t i = 0; i < bytes; i++) all = all && c[at * bytes + i] == 0xa5;
    return all;
}

static void compare(kc_ctx *kc, const qproduct *p, const uint8_t *c, const char *what)
{
    const int64_t bytes = p->args.out == LMN_QGEMM_BYTES ? 1 : 4, ldc = p->args.ldc;
    for (int64_t at = 0; at < p->c_elems; at++) {
        const int64_t row = at / ldc, j = at % ldc;
        if (j >= p->shape.n) {
            if (!is_poison(c, at, bytes)) kc_fail(kc, "%s: wrote between rows", what);
            continue;
        }
        const int32_t want = expected(p, row / p->shape.m, row % p->shape.m, j);
        int32_t got = c[at];
        if (bytes == 4) memcpy(&got, c + 4 * at, 4);
        if (p->args.out == LMN_QGEMM_F32 && (uint32_t)got << 1 > 0xff000000u) got = INT32_MAX;
        if (got == want) continue;
        kc_fail(kc, "%s: row %d column %d is %d, not %d", what, (int)row, (int)j, got, want);
        return;
    }
}

static void run_plan(const lmn_qgemm_plan *plan, const lmn_qgemm_args *args, void *scratch)
{
    for (int64_t i = plan->n_chunks - 1; i >= 0; i--) {
        memset(scratch, 0xff, plan->scratch_bytes);
        lmn_qgemm_chunk(plan, args, i, scratch);
    }
}

/* 128 MiB of C are past the caches of one thread, not of 64, nor is C of a convolution. */
static void check_past(kc_ctx *kc, const lmn_qgemm_row *row)
{
    lmn_qgemm_shape s = {.m = 1 << 14, .n = 1 << 13, .k = 16, .n_batch = 1};
    lmn_qgemm_plan one, many, brought;
    lmn_qgemm_plan_make(row, &s, &one);
    s.threads = 64;
    lmn_qgemm_plan_make(row, &s, &many);
    s.threads = 0, s.bring = true;
    lmn_qgemm_plan_make(row, &s, &brought);
    if (!one.c_past || many.c_past || brought.c_past) kc_fail(kc, "past the caches or not");
}

static void check_plan(kc_ctx *kc, const lmn_krow *head)
{
    check_past(kc, qgemm_row(head));
    const int n_cases = kc_quick(kc) ? 250 : 4000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        qproduct p;
        draw(kc, qgemm_row(head), &p);
        lmn_qgemm_plan plan;
        p.shape.threads = c % 4;
        lmn_qgemm_plan_make(qgemm_row(head), &p.shape, &plan);
        plan.c_past = c % 2; /* changes no bits */
        const size_t bytes = (size_t)p.c_elems * (p.args.out == LMN_QGEMM_BYTES ? 1 : 4);
        p.args.c = kc_buffer(kc, bytes);
        memset(p.args.c, 0xa5, bytes);
        void *scratch = kc_buffer(kc, lmn_align_up(plan.scratch_bytes, 64));
        char what[128];
        snprintf(what, sizeof what,
                 "m=%d n=%d k=%d batch=%d signs=%d%d out=%d bring=%d turned=%d packed=%d",
                 (int)p.shape.m, (int)p.shape.n, (int)p.shape.k, (int)p.shape.n_batch,
                 p.args.a_signed, p.args.b_signed, (int)p.args.out, p.shape.bring, p.turned,
                 p.shape.packed);
        KC_CALL(kc, run_plan(&plan, &p.args, scratch));
        compare(kc, &p, p.args.c, what);
    }
}

/* --- bench ---------------------------------------------------------------------------------- */

typedef struct qgemm_bench {
    lmn_qgemm_plan plan;
    lmn_qgemm_args args;
    void *scratch;
} qgemm_bench;

static void bench_run(void *arg)
{
    qgemm_bench *b = arg;
    for (int64_t i = 0; i < b->plan.n_chunks; i++)
        lmn_qgemm_chunk(&b->plan, &b->args, i, b->scratch);
}

static const struct {
    int64_t m, n, k;
} bench_shapes[] = {
    {64, 64, 64},    {512, 512, 512},  {128, 768, 768},  {128, 3072, 768}, {128, 768, 3072},
    {64, 3136, 64},  {256, 3136, 64},  {128, 784, 1152}, {256, 196, 2304}, {512, 49, 4608},
    {2048, 49, 512}, {1, 768, 3072},   {1, 3072, 768},   {4, 768, 3072},   {16, 768, 3072},
    {17, 33, 65},    {1500, 1500, 64},
};

static void bench_qgemm(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        const int64_t m = bench_shapes[i].m, n = bench_shapes[i].n, k = bench_shapes[i].k;
        qgemm_bench b = {.args = {.lda = k, .ldb = n, .ldc = n, .b_signed = true, .div = 1.0f}};
        b.args.out = LMN_QGEMM_BYTES, b.args.a_zp = 128, b.args.mul = 1e-4f, b.args.zp = 128,
        b.args.hi = 255;
        const lmn_qgemm_shape shape = {.m = m, .n = n, .k = k, .n_batch = 1};
        char what[64];
        snprintf(what, sizeof what, "%dx%dx%d", (int)m, (int)n, (int)k);
        lmn_qgemm_plan_make(qgemm_row(head), &shape, &b.plan);
        b.args.a = (uint8_t *)kc_bench_floats(kc, (m * k + 3) / 4);
        b.args.b = (uint8_t *)kc_bench_floats(kc, (n * k + 3) / 4);
        b.args.c = kc_bench_floats(kc, (m * n + 3) / 4);
        b.scratch = kc_bench_floats(kc, (int64_t)b.plan.scratch_bytes / 4 + 16);
        const double mnk = (double)m * (double)n * (double)k;
        kc_time(kc, head, what, 2 * mnk, m <= 16 ? (double)(n * k) : 0, bench_run, &b);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_qgemm_plan = {"qgemm", "plan", check_plan, bench_qgemm};
