/*
 * kcheck drivers of the hgemm family: conversions (every 16-bit value, roundings at the ties), and
 * the blocked driver over types, transpositions, sources and epilogues. The judge is f64 over the
 * rounded operands: class dot(K + 1), or dot(2 K + 2) with flushed denormals for rows on pairs.
 */
#include "kcheck/kcheck.h"

#include "kernels/hgemm/hgemm_half.h"
#include "kernels/hgemm/hgemm_plan.h"

static const lmn_hgemm_row *hgemm_row(const lmn_krow *row)
{
    return (const lmn_hgemm_row *)(const void *)row;
}
static bool is_bf16(const lmn_krow *row)
{
    return strcmp(row->dtype, "bf16") == 0;
}
static uint16_t to_half(const lmn_krow *row, float f)
{
    return is_bf16(row) ? hgemm_to_bf16(f) : hgemm_to_f16(f);
}
static float from_half(const lmn_krow *row, uint16_t h)
{
    return is_bf16(row) ? hgemm_from_bf16(h) : hgemm_from_f16(h);
}

/* A matrix of 16 bits against a guard page, at an odd address; `value` holds the same numbers. */
typedef struct half_mat {
    void *p; /* of 16 bits, or of f32 where `f32` */
    kc_mat value;
    bool f32;
} half_mat;

static half_mat half_input(kc_ctx *kc, const lmn_krow *row, kc_style style, int64_t rows,
                           int64_t cols, int64_t ld, bool f32)
{
    half_mat m = {.f32 = f32};
    kc_mat raw = kc_input(kc, style, rows, cols, ld);
    m.value = kc_copy(kc, &raw);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            float *v = &m.value.p[i * ld + j];
            *v = from_half(row, to_half(row, *v));
        }
    m.p = raw.p;
    if (f32) return m;
    const size_t n = rows > 0 && cols > 0 ? (size_t)((rows - 1) * ld + cols) : 0;
    m.p = (char *)kc_buffer(kc, 2 * n + 1) + 1;
    memset(m.p, 0xa5, 2 * n);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            const uint16_t h = to_half(row, m.value.p[i * ld + j]);
            memcpy((char *)m.p + 2 * (i * ld + j), &h, 2);
        }
    return m;
}

/* --- conversions ---------------------------------------------------------------------------- */

static void check_convert(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    enum { ALL = 65536 };
    for (int64_t len = 1; len <= ALL; len = len < 40 ? len + 1 : len * 8 + 24) {
        const int64_t n = lmn_min_i64(len, ALL);
        kc_case(kc);
        uint16_t *h = kc_buffer(kc, (size_t)n * 2);
        for (int64_t i = 0; i < n; i++)
            h[i] = (uint16_t)(i * (ALL / n) + kc_int(kc, 0, ALL / n - 1));
        kc_mat got = kc_output(kc, 1, n, n);
        lmn_hgemm_rows r = {.dst = got.p, .ld_dst = n, .src = h, .ld = n, .m = 1, .k = n};
        r.padded = n;
        KC_CALL(kc, row->widen(&r));
        kc_mat want = kc_copy(kc, &got);
        for (int64_t i = 0; i < n; i++) want.p[i] = from_half(head, h[i]);
        kc_expect_bits(kc, &got, &want, "widen");
    }
    for (int c = 0; c < (kc_quick(kc) ? 200 : 4000); c++) {
        kc_case(kc);
        const int64_t n = kc_int(kc, 1, 70);
        kc_mat x = kc_input(kc, KC_SPECIAL, 1, n, n);
        for (int64_t i = 0; i < n; i++) { /* ties and their neighbours, every exponent */
            const uint32_t u = (uint32_t)kc_int(kc, 0, UINT32_MAX);
            const uint32_t tie = (u & 0xffff0000u) | (is_bf16(head) ? 0x8000u : 0x1000u);
            if (i % 3 == 1) x.p[i] = hgemm_float(tie + (uint32_t)kc_int(kc, 0, 2) - 1);
            if (i % 3 == 2) x.p[i] = hgemm_float(u);
        }
        uint16_t *y = kc_buffer(kc, (size_t)n * 2);
        KC_CALL(kc, row->narrow(y, n, x.p, n, 1, n));
        for (int64_t i = 0; i < n; i++) {
            const uint16_t w = to_half(head, x.p[i]);
            if (y[i] != w && !(isnan(x.p[i]) && isnan(from_half(head, y[i]))))
                kc_fail(kc, "narrow: %a gives %04x, want %04x", (double)x.p[i], y[i], w);
        }
    }
}

/* --- products ------------------------------------------------------------------------------- */

typedef struct product {
    half_mat a, b;
    int64_t m, n, k;
    bool ta, tb;
} product;

static bool denormal(double v)
{
    return v != 0 && fabs(v) < 0x1p-126;
}

/* False: a flushed denormal meets infinity, and the result depends on the order of things. */
static bool judge(const product *p, bool pairs, int64_t i, int64_t j, double *want, double *bound)
{
    double sum = 0, mag = 0, flushed = 0;
    for (int64_t k = 0; k < p->k; k++) {
        const double a =
            p->ta ? p->a.value.p[k * p->a.value.ld + i] : p->a.value.p[i * p->a.value.ld + k];
        const double b =
            p->tb ? p->b.value.p[j * p->b.value.ld + k] : p->b.value.p[k * p->b.value.ld + j];
        sum += a * b, mag += fabs(a * b);
        if (pairs && ((denormal(a) && isinf(b)) || (denormal(b) && isinf(a)))) return false;
        if (pairs && (denormal(a) || denormal(b))) flushed += fabs(a * b);
    }
    *want = sum;
    *bound = kc_dot_bound(pairs ? 2 * p->k + 2 : p->k + 1, mag);
    if (pairs) *bound += flushed + (double)(2 * p->k + 2) * 0x1p-126;
    return true;
}

static void expect_product(kc_ctx *kc, const lmn_krow *head, const product *p, const kc_mat *got,
                           kc_style style, const char *what)
{
    const bool pairs = hgemm_row(head)->elem == 2;
    double *want = kc_doubles(kc, p->m * p->n), *bound = kc_doubles(kc, p->m * p->n);
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double *w = &want[i * p->n + j], *e = &bound[i * p->n + j];
            if (!judge(p, pairs, i, j, w, e)) *w = got->p[i * got->ld + j], *e = 0;
            if (style == KC_EXACT) *e = 0;
        }
    }
    kc_expect(kc, got, want, bound, what);
}

static void run_plan(kc_ctx *kc, const lmn_hgemm_plan *plan, const lmn_hgemm_args *args, bool down)
{
    void *scratch = plan->scratch_bytes ? kc_buffer(kc, plan->scratch_bytes) : NULL;
    if (scratch) memset(scratch, 0xff, plan->scratch_bytes);
    for (int64_t i = 0; i < plan->n_chunks; i++)
        lmn_hgemm_chunk(plan, args, down ? plan->n_chunks - 1 - i : i, scratch);
}

/* Bias, residual and an activation. */
static lmn_epi some_epi(kc_ctx *kc, int64_t m, int64_t n)
{
    const uint8_t last = kc_int(kc, 0, 1) ? LMN_EPI_RELU : LMN_EPI_GELU;
    lmn_epi e = {.n_ops = 3};
    e.op[0] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_COL};
    e.op[0].x = kc_input(kc, KC_REAL, 1, n, n).p;
    e.op[1] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_FULL, .ld = n};
    e.op[1].x = kc_input(kc, KC_REAL, m, n, n).p;
    e.op[2] = (lmn_epi_op){.kind = last};
    return e;
}

/* C of 16 bits is C of f32 rounded once, with and without an epilogue. */
static void check_rounded(kc_ctx *kc, const lmn_krow *head, const lmn_hgemm_shape *wide,
                          const lmn_hgemm_args *as, const kc_mat *f32)
{
    lmn_hgemm_shape shape = *wide;
    lmn_hgemm_args args = *as;
    lmn_hgemm_plan plan;
    shape.flags &= ~LMN_HGEMM_C_F32;
    args.ldc = shape.n + kc_int(kc, 0, 2);
    const size_t elems =
        shape.m > 0 && shape.n > 0 ? (size_t)((shape.m - 1) * args.ldc + shape.n) : 0;
    uint16_t *c = args.c = kc_buffer(kc, elems * 2);
    memset(c, 0xa5, elems * 2);
    lmn_hgemm_plan_make(hgemm_row(head), &shape, &plan);
    KC_CALL(kc, run_plan(kc, &plan, &args, true));
    for (int64_t i = 0; shape.n > 0 && i < shape.m; i++) {
        for (int64_t j = 0; j < (i + 1 < shape.m ? args.ldc : shape.n); j++) {
            const float v = j < shape.n ? f32->p[i * f32->ld + j] : 0;
            const uint16_t w = j < shape.n ? to_half(head, v) : 0xa5a5, g = c[i * args.ldc + j];
            if (g != w && !(isnan(v) && isnan(from_half(head, g)))) {
                kc_fail(kc, "rounded C (%d, %d) is %04x, want %04x", (int)i, (int)j, g, w);
                return;
            }
        }
    }
}

/* Rows that widen are bit-equal to the avx2 row but in the lane sums of small_nt. */
static void check_siblings(kc_ctx *kc, const lmn_krow *head, const lmn_hgemm_shape *shape,
                           const lmn_hgemm_args *args, const kc_mat *got)
{
    const lmn_hgemm_row *rows = is_bf16(head) ? lmn_hgemm_bf16_rows : lmn_hgemm_f16_rows;
    const int32_t n_rows = is_bf16(head) ? lmn_hgemm_bf16_n_rows : lmn_hgemm_f16_n_rows;
    lmn_hgemm_plan plan;
    for (int32_t i = 0; i < n_rows; i++) {
        if (strcmp(rows[i].head.variant, "avx2") || head->isa != LMN_ISA_AVX512) continue;
        kc_mat other = kc_output(kc, got->rows, got->cols, got->ld);
        lmn_hgemm_args as = *args;
        as.c = other.p;
        lmn_hgemm_plan_make(&rows[i], shape, &plan);
        if (plan.small && (shape->flags & LMN_HGEMM_TRANS_B)) continue;
        KC_CALL(kc, run_plan(kc, &plan, &as, false));
        kc_expect_bits(kc, got, &other, "against the avx2 row");
    }
}

/* A bias and an activation, which a row may apply in its tiles, round as the product, then the
   epilogue. `f32`: the product. */
static void check_ended(kc_ctx *kc, const lmn_krow *head, const lmn_hgemm_shape *shape,
                        lmn_hgemm_args *args, const kc_mat *f32)
{
    static const uint8_t kinds[4] = {LMN_EPI_GELU, LMN_EPI_GELU_TANH, LMN_EPI_RELU, LMN_EPI_TANH};
    const int64_t m = f32->rows, n = f32->cols;
    lmn_epi epi = {.n_ops = 2};
    epi.op[0] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_COL};
    epi.op[0].x = kc_input(kc, KC_REAL, 1, n, n).p;
    epi.op[1] = (lmn_epi_op){.kind = kinds[kc_int(kc, 0, 3)]};
    const kc_mat want = kc_copy(kc, f32);
    const lmn_epi_block b = {want.p, want.ld, 0, 0, m, n, 0};
    KC_CALL(kc, hgemm_row(head)->epi(&epi, &b));
    args->epi = &epi;
    check_rounded(kc, head, shape, args, &want);
    args->epi = NULL;
}

/* A product against its reference and, in the other order of chunks with an epilogue, against the
   product and then the epilogue: the same bits. */
static void check_run(kc_ctx *kc, const lmn_krow *head, const product *p,
                      const lmn_hgemm_shape *shape, lmn_hgemm_args *args, kc_style style)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    const int64_t ldc = args->ldc;
    kc_mat out = kc_output(kc, p->m, p->n, ldc), again = kc_output(kc, p->m, p->n, ldc);
    lmn_hgemm_plan plan;
    char what[96];
    lmn_hgemm_plan_make(row, shape, &plan);
    snprintf(what, sizeof what, "m=%d n=%d k=%d flags=%d style=%d", (int)p->m, (int)p->n, (int)p->k,
             shape->flags, style);
    args->c = out.p;
    KC_CALL(kc, run_plan(kc, &plan, args, false));
    expect_product(kc, head, p, &out, style, what);
    check_siblings(kc, head, shape, args, &out);
    check_rounded(kc, head, shape, args, &out);
    check_ended(kc, head, shape, args, &out);
    lmn_epi epi = some_epi(kc, p->m, p->n);
    lmn_epi_block b = {out.p, ldc, 0, 0, p->m, p->n, 0};
    KC_CALL(kc, row->epi(&epi, &b));
    args->c = again.p, args->epi = &epi;
    KC_CALL(kc, run_plan(kc, &plan, args, true));
    kc_expect_bits(kc, &again, &out, "fused against product, then epilogue");
}

typedef struct plain_b {
    const float *p;
    int64_t ld;
} plain_b;

/* B as panels, from where it lies. */
static void bring_plain(const void *ctx, const lmn_hgemm_slab *s)
{
    const plain_b *b = ctx;
    for (int64_t j = 0; j < s->n; j++)
        for (int64_t r = 0; r < s->k; r++)
            s->dst[j / s->nr * s->k * s->nr + r * s->nr + j % s->nr] =
                b->p[(s->k0 + r) * b->ld + s->col + j];
}

/* A few columns behind whole panels, f32 brought or where it lies; C of f32 and rounded. */
static void check_thin(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    for (int c = 0; row->rows_f32 && c < (kc_quick(kc) ? 40 : 400); c++) {
        kc_case(kc);
        const kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        product p = {.m = kc_int(kc, 12, 40), .n = row->nr * kc_int(kc, 1, 5) + kc_int(kc, 1, 10)};
        p.k = 2 * kc_int(kc, 30, kc_int(kc, 0, 7) ? 60 : 600);
        const int64_t ldb = p.n + kc_int(kc, 0, 3), ldc = p.n + kc_int(kc, 0, 3);
        p.a = half_input(kc, head, style, p.m, p.k, p.k, false);
        p.b = half_input(kc, head, style, p.k, p.n, ldb, true);
        lmn_hgemm_shape shape = {.m = p.m, .n = p.n, .k = p.k, .n_batch = 1, .threads = c % 4};
        const plain_b from = {p.b.p, ldb};
        lmn_hgemm_args args = {.a = p.a.p, .b = p.b.p, .lda = p.k, .ldb = ldb, .ldc = ldc};
        args.bring = bring_plain, args.bring_ctx = &from;
        shape.flags = LMN_HGEMM_C_F32 | (c % 2 ? LMN_HGEMM_BRING : LMN_HGEMM_B_F32);
        shape.k_unit = c % 2 ? kc_int(kc, 1, 2) : 0;
        check_run(kc, head, &p, &shape, &args, style);
    }
}

/* A and B of p's extents and orders, of f32 now and then where a row takes that. */
static void draw_operands(kc_ctx *kc, const lmn_krow *head, kc_style style, bool f32,
                          int32_t threads, product *p, lmn_hgemm_shape *shape, lmn_hgemm_args *args)
{
    const bool af = f32 && kc_int(kc, 0, 2) == 0, bf = f32 && kc_int(kc, 0, 2) == 0;
    const int64_t lda = (p->ta ? p->m : p->k) + kc_int(kc, 0, 3);
    const int64_t ldb = (p->tb ? p->k : p->n) + kc_int(kc, 0, 3), ldc = p->n + kc_int(kc, 0, 3);
    p->a = half_input(kc, head, style, p->ta ? p->k : p->m, p->ta ? p->m : p->k, lda, af);
    p->b = half_input(kc, head, style, p->tb ? p->n : p->k, p->tb ? p->k : p->n, ldb, bf);
    *shape = (lmn_hgemm_shape){.m = p->m, .n = p->n, .k = p->k, .n_batch = 1, .threads = threads};
    shape->flags = LMN_HGEMM_C_F32 | (p->ta ? LMN_HGEMM_TRANS_A : 0) |
                   (p->tb ? LMN_HGEMM_TRANS_B : 0) | (af ? LMN_HGEMM_A_F32 : 0) |
                   (bf ? LMN_HGEMM_B_F32 : 0);
    *args = (lmn_hgemm_args){.a = p->a.p, .b = p->b.p, .lda = lda, .ldb = ldb, .ldc = ldc};
}

/* More rows than stay in a cache, or in pairs a few by a B beyond it, by B as it lies. */
static void check_many(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    for (int c = 0; row->group > 1 && c < (kc_quick(kc) ? 8 : 80); c++) {
        kc_case(kc);
        const bool pairs = row->group == 2;
        const kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        product p = {.m = pairs ? kc_int(kc, 15, 33) : kc_int(kc, 256, 300)};
        p.n = pairs ? kc_int(kc, 520, 600) : kc_int(kc, 1, 150), p.k = kc_int(kc, 1030, 1100);
        p.ta = kc_int(kc, 0, 3) == 0, p.tb = kc_int(kc, 0, 3) == 0;
        lmn_hgemm_shape shape;
        lmn_hgemm_args args;
        draw_operands(kc, head, style, true, c % 4, &p, &shape, &args);
        check_run(kc, head, &p, &shape, &args, style);
    }
}

/* B as panels of 16 bits, in place of what the shape and arguments have. */
static void pack_operand(kc_ctx *kc, const lmn_krow *head, const product *p, lmn_hgemm_shape *shape,
                         lmn_hgemm_args *args)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    void *packed = kc_buffer(kc, 2 * (size_t)lmn_hgemm_packed_elems(row, p->k, p->n));
    KC_CALL(kc, lmn_hgemm_prepack(row, shape->flags, p->b.p, args->ldb, p->k, p->n, packed));
    shape->flags = (shape->flags | LMN_HGEMM_PACKED) & ~(LMN_HGEMM_B_F32 | LMN_HGEMM_TRANS_B);
    args->b = packed;
}

/* One row, or a few, by many panels. */
static void check_line(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    for (int c = 0; row->elem == 2 && c < (kc_quick(kc) ? 40 : 400); c++) {
        kc_case(kc);
        const kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        product p = {.m = kc_int(kc, 1, lmn_max_i64(1, row->line_m))};
        p.n = kc_int(kc, 4 * row->nr - 2, 9 * row->nr);
        p.k = kc_int(kc, 1, kc_int(kc, 0, 9) ? 80 : 1200);
        p.ta = kc_int(kc, 0, 3) == 0, p.tb = kc_int(kc, 0, 1);
        lmn_hgemm_shape shape;
        lmn_hgemm_args args;
        draw_operands(kc, head, style, row->rows_f32 != NULL, c % 4, &p, &shape, &args);
        pack_operand(kc, head, &p, &shape, &args);
        check_run(kc, head, &p, &shape, &args, style);
    }
}

/* Few rows by transposed B as the plan calls it, told or not that B comes from memory, and with or
   without room where a row of pairs has both: all such rows give the same bits. */
static void check_few(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    for (int c = 0; c < (kc_quick(kc) ? 60 : 600); c++) {
        kc_case(kc);
        const kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        product p = {.m = kc_int(kc, 1, lmn_min_i64(40, row->small_nt_m)), .tb = true};
        p.n = kc_int(kc, 1, kc_int(kc, 0, 3) ? 40 : 100);
        p.k = kc_int(kc, 1, kc_int(kc, 0, 1) ? 200 : 2200);
        if (c % 8 == 5) { /* as many sums as may wait between pieces of k */
            p.m = lmn_min_i64(32, row->small_nt_m), p.n = kc_int(kc, 32, 40);
            p.k = kc_int(kc, 513, 600);
        }
        if (c % 20 == 6) /* so long that tiles leave a few more rows to dot products */
            p.m = kc_int(kc, 2, 5), p.n = kc_int(kc, 1, 40), p.k = kc_int(kc, 3060, 3090);
        const int64_t even = lmn_round_up_i64(p.k, 2), ldb = p.k + kc_int(kc, 0, 40);
        const int64_t ldc = p.n + kc_int(kc, 0, 3);
        p.a = half_input(kc, head, style, p.m, p.k, p.k, false);
        p.b = half_input(kc, head, style, p.n, p.k, ldb, false);
        void *a = kc_buffer(kc, (size_t)(p.m * even * row->elem));
        KC_CALL(kc, row->rows(&(lmn_hgemm_rows){a, even, p.a.p, p.k, p.m, p.k,
                                                row->elem == 2 ? even : p.k}));
        const int64_t room = lmn_hgemm_room(row, p.m, p.k);
        kc_mat got = kc_output(kc, p.m, p.n, ldc), other = kc_output(kc, p.m, p.n, ldc);
        lmn_hgemm_small t = {a, even, p.b.p, ldb, got.p, ldc, p.m, p.n, p.k, c % 2, NULL};
        if (row->group != 2 || c % 4) t.room = room ? kc_buffer(kc, (size_t)room) : NULL;
        KC_CALL(kc, row->small_nt(&t));
        expect_product(kc, head, &p, &got, style, "few rows");
        if (row->group != 2) continue;
        t.c = other.p, t.room = NULL, t.b_far = false;
        KC_CALL(kc, row->small_nt(&t));
        kc_expect_bits(kc, &got, &other, "few rows without room");
    }
}

static void check_plan(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    check_thin(kc, head);
    check_many(kc, head);
    check_line(kc, head);
    check_few(kc, head);
    const int n_cases = kc_quick(kc) ? 240 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        const bool big = kc_int(kc, 0, 11) == 0, f32 = row->rows_f32 != NULL;
        const kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        product p = {.m = kc_extent(kc, 8, big ? 140 : 40),
                     .n = kc_extent(kc, 48, big ? 300 : 110)};
        p.k = big && kc_int(kc, 0, 1) ? kc_int(kc, 1000, 2100) : kc_extent(kc, 32, 100);
        if (p.k > 1000) p.m = p.m % 40, p.n = p.n % 60;
        p.ta = kc_int(kc, 0, 3) == 0, p.tb = kc_int(kc, 0, 1);
        if (c % 60 == 7) p.m = kc_int(kc, 2, 5), p.n %= 40, p.k = kc_int(kc, 3060, 3090);
        if (c % 60 == 7) p.ta = false, p.tb = true;
        lmn_hgemm_shape shape;
        lmn_hgemm_args args;
        draw_operands(kc, head, style, f32, c % 4, &p, &shape, &args);
        if (row->elem == 2 && kc_int(kc, 0, 2) == 0) pack_operand(kc, head, &p, &shape, &args);
        check_run(kc, head, &p, &shape, &args, style);
    }
}

/* The same bits for every split of K into whole groups, and from packed B of either layout. */
static void check_block(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_hgemm_row *row = hgemm_row(head);
    const int n_cases = kc_quick(kc) ? 150 : 2000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        const bool line = c % 5 == 0; /* a few rows meet several panels side by side */
        const int64_t m = line ? kc_int(kc, 1, 4) : kc_extent(kc, row->mr, 2 * row->mr + 1);
        const int64_t n = kc_extent(kc, row->nr, (line ? 9 : 2) * row->nr + 1);
        const int64_t g = row->group, k = kc_int(kc, 1, 4) * g, cut = kc_int(kc, 0, k / g) * g;
        half_mat a = half_input(kc, head, KC_REAL, m, k, k, false);
        half_mat b = half_input(kc, head, KC_REAL, k, n, n, false);
        const int64_t panels = (n + row->nr - 1) / row->nr;
        const int64_t ldc = kc_int(kc, 0, 1) ? n + kc_int(kc, 0, 3) : lmn_round_up_i64(n, 16);
        const size_t e = (size_t)row->elem;
        void *pa = kc_buffer(kc, (size_t)(m * k) * e);
        void *pb = kc_buffer(kc, (size_t)(panels * k * row->nr) * e);
        lmn_hgemm_rows r = {.dst = pa, .ld_dst = k, .src = a.p, .ld = k, .m = m, .k = k};
        r.padded = k;
        lmn_hgemm_pack pk = {.dst = pb, .panel = k * row->nr, .src = b.p, .ld = n, .k = k, .n = n};
        KC_CALL(kc, row->rows(&r));
        KC_CALL(kc, row->pack_nn(&pk));
        if (k % 2) continue; /* pairs are written whole: an odd k is the driver's to pad */
        kc_mat one = kc_output(kc, m, n, ldc), two = kc_output(kc, m, n, ldc);
        lmn_hgemm_block t = {.a = pa, .lda = k, .b = pb, .b_panel = k * row->nr, .c = one.p};
        t.ldc = ldc, t.m = m, t.n = n, t.k = k, t.c_past = kc_int(kc, 0, 1);
        t.side = line && g == 2;
        KC_CALL(kc, row->block(&t));
        for (int64_t j = 0; j < n; j += row->nr) {
            t.b = (char *)pb + (size_t)(j * k) * e, t.c = two.p + j, t.n = n - j;
            if (t.n > row->nr) t.n = row->nr;
            t.c_past = kc_int(kc, 0, 1);
            KC_CALL(kc, row->block(&t));
        }
        kc_expect_bits(kc, &two, &one, "panel by panel");
        t.b = pb, t.n = n, t.c = two.p, t.k = cut, t.c_past = kc_int(kc, 0, 1);
        KC_CALL(kc, row->block(&t));
        t.a = (char *)pa + (size_t)cut * e, t.b = (char *)pb + (size_t)(cut * row->nr) * e;
        t.k = k - cut, t.beta = 1, t.c_past = kc_int(kc, 0, 1);
        KC_CALL(kc, row->block(&t));
        if (row->head.isa == LMN_ISA_REF) continue; /* f64 sums round at each cut */
        kc_expect_bits(kc, &two, &one, "k in two pieces");
        kc_expect_padding(kc, &two, "k in two pieces");
    }
}

/* --- bench ---------------------------------------------------------------------------------- */

typedef struct hgemm_bench {
    lmn_hgemm_plan plan;
    lmn_hgemm_args args;
    float *scratch;
} hgemm_bench;

static void bench_run(void *arg)
{
    hgemm_bench *b = arg;
    for (int64_t i = 0; i < b->plan.n_chunks; i++)
        lmn_hgemm_chunk(&b->plan, &b->args, i, b->scratch);
}

static const struct {
    int64_t m, n, k;
    bool nt;
} bench_shapes[] = {
    {64, 64, 64, false},     {256, 256, 256, false},  {1024, 1024, 1024, false},
    {128, 768, 768, false},  {128, 3072, 768, false}, {128, 768, 3072, false},
    {128, 768, 3072, true},  {512, 3072, 768, true},  {1, 1024, 1024, true},
    {4, 1024, 1024, true},   {16, 1024, 1024, true},  {32, 1024, 1024, true},
    {1, 4096, 4096, true},   {4, 4096, 4096, true},   {16, 4096, 4096, true},
    {1, 768, 3072, false},   {1, 3072, 768, false},   {4, 4096, 4096, false},
    {16, 4096, 4096, false}, {4096, 16, 4096, false}, {4096, 4096, 16, false},
    {17, 33, 65, false},     {31, 63, 127, false},    {127, 129, 131, false},
};

static uint16_t *bench_halves(kc_ctx *kc, const lmn_krow *head, int64_t n)
{
    float *f = kc_bench_floats(kc, n);
    uint16_t *h = (uint16_t *)(void *)f;
    for (int64_t i = 0; i < n; i++) h[i] = to_half(head, (float)((i * 7919) % 1024 - 512) / 512.0f);
    return h;
}

static void bench_hgemm(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        const int64_t m = bench_shapes[i].m, n = bench_shapes[i].n, k = bench_shapes[i].k;
        const bool nt = bench_shapes[i].nt;
        hgemm_bench b = {.args = {.lda = k, .ldb = nt ? k : n, .ldc = n}};
        lmn_hgemm_shape shape = {m, n, k, 1, (nt ? LMN_HGEMM_TRANS_B : 0) | LMN_HGEMM_C_F32, 0, 1};
        char what[64];
        snprintf(what, sizeof what, "%dx%dx%d %s", (int)m, (int)n, (int)k, nt ? "NT" : "NN");
        lmn_hgemm_plan_make(hgemm_row(head), &shape, &b.plan);
        b.args.a = bench_halves(kc, head, m * k), b.args.b = bench_halves(kc, head, n * k);
        b.args.c = kc_bench_floats(kc, m * n);
        b.scratch = kc_bench_floats(kc, (int64_t)b.plan.scratch_bytes / 4 + 16);
        const double mnk = (double)m * (double)n * (double)k;
        kc_time(kc, head, what, 2 * mnk, m <= 16 ? 2.0 * (double)(n * k) : 0, bench_run, &b);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_hgemm_convert = {"hgemm", "convert", check_convert, NULL};
const kc_driver kc_hgemm_block = {"hgemm", "block", check_block, NULL};
const kc_driver kc_hgemm_plan = {"hgemm", "plan", check_plan, bench_hgemm};
