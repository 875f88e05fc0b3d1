/*
 * kcheck drivers of the gemm family: block, the two streaming kernels, packing, the epilogue, and
 * the blocked driver. Classes: dot(K + 1) for sums, exact for packing, a few ulp for activations.
 */
#include "kcheck/kcheck.h"

#include "kernels/gemm/epi_ref.h"
#include "kernels/gemm/gemm_plan.h"

static const lmn_gemm_row *gemm_row(const lmn_krow *row)
{
    return (const lmn_gemm_row *)(const void *)row;
}

/* One product in f64: want and bound of beta C + A B. sk, sj: strides of B. */
typedef struct product {
    kc_mat a, b, c;
    int64_t sk, sj, k;
    int32_t beta, trans_a;
} product;

static void reference(const product *p, double *want, double *bound)
{
    for (int64_t i = 0; i < p->c.rows; i++) {
        for (int64_t j = 0; j < p->c.cols; j++) {
            double sum = p->beta ? p->c.p[i * p->c.ld + j] : 0, mag = fabs(sum);
            for (int64_t k = 0; k < p->k; k++) {
                double a = p->trans_a ? p->a.p[k * p->a.ld + i] : p->a.p[i * p->a.ld + k];
                double t = a * p->b.p[k * p->sk + j * p->sj];
                sum += t, mag += fabs(t);
            }
            want[i * p->c.cols + j] = sum;
            bound[i * p->c.cols + j] = kc_dot_bound(p->k + 1, mag);
        }
    }
}

/* Values of style EXACT must come out exactly. */
static void expect_product(kc_ctx *kc, const product *before, const kc_mat *got, kc_style style,
                           const char *what)
{
    int64_t n = got->rows * got->cols;
    double *want = kc_doubles(kc, n), *bound = kc_doubles(kc, n);
    reference(before, want, bound);
    for (int64_t i = 0; style == KC_EXACT && i < n; i++) bound[i] = 0;
    kc_expect(kc, got, want, bound, what);
}

/* The product of `t`, whose k is cut into n_terms terms, found in every way there is. */
static void with_terms(kc_ctx *kc, lmn_gemm_block *t, int64_t n_terms, lmn_gemm_terms *terms)
{
    static const float *a_list[4], *b_list[4];
    static int64_t a_off[4], b_off[4], b_rows[70];
    const int64_t k = t->k / n_terms, listed = kc_int(kc, 0, 1);
    *terms =
        (lmn_gemm_terms){.n = n_terms, .a = t->a, .b = t->b, .a_step = k, .b_step = k * t->ldb};
    for (int64_t q = 0; q < n_terms; q++) {
        a_list[q] = t->a + q * k, a_off[q] = q * k;
        b_list[q] = t->b + q * k * t->ldb, b_off[q] = q * k * t->ldb;
    }
    for (int64_t p = 0; p < t->k; p++) b_rows[p] = p * t->ldb;
    terms->b_rows = listed ? b_rows : NULL;
    const int64_t a_kind = kc_int(kc, 0, 2), b_kind = kc_int(kc, 0, 2);
    terms->a_list = a_kind == 0 ? a_list : NULL, terms->a_off = a_kind == 1 ? a_off : NULL;
    terms->b_list = b_kind == 0 ? b_list : NULL, terms->b_off = b_kind == 1 ? b_off : NULL;
    t->terms = terms, t->k = k, t->a = t->b = NULL;
}

static void check_block(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_gemm_row *row = gemm_row(head);
    const int n_cases = kc_quick(kc) ? 250 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        const int64_t n_terms = kc_int(kc, 0, 4);
        int64_t m = kc_extent(kc, row->mr, c % 8 ? 2 * row->mr + 1 : 5 * row->mr);
        int64_t k = kc_extent(kc, 16, 70), n = kc_extent(kc, row->nr, 2 * row->nr + 1);
        if (kc_int(kc, 0, 9) == 0) /* a wide tile, where there is one */
            m = kc_int(kc, 4 * row->mr, 6 * row->mr), n = row->nr + row->nr / 3;
        if (n_terms) k = k / n_terms * n_terms;
        int64_t lda = k + kc_int(kc, 0, 3), ldb = n + kc_int(kc, 0, 3), ldc = n + kc_int(kc, 0, 3);
        if (kc_int(kc, 0, 2) == 0) ldc = (n + 15) / 16 * 16;
        if (kc_int(kc, 0, 9) == 0) lda = 1024; /* rows a page apart */
        product p = {.a = kc_input(kc, style, m, k, lda), .b = kc_input(kc, style, k, n, ldb)};
        p.k = k, p.sk = ldb, p.sj = 1, p.beta = (int32_t)kc_int(kc, 0, 1);
        kc_mat out = p.beta ? kc_input(kc, style, m, n, ldc) : kc_output(kc, m, n, ldc);
        kc_mat plain = kc_copy(kc, &out);
        p.c = kc_copy(kc, &out);
        lmn_gemm_block t = {.a = p.a.p, .lda = lda, .b = p.b.p, .ldb = ldb, .b_panel = row->nr};
        t.c = plain.p, t.ldc = ldc, t.m = m, t.n = n, t.k = k, t.beta = p.beta;
        KC_CALL(kc, row->block(&t));
        lmn_gemm_terms terms;
        t.c = out.p, t.b_far = kc_int(kc, 0, 1), t.c_past = kc_int(kc, 0, 1);
        t.a_far = kc_int(kc, 0, 1);
        if (kc_int(kc, 0, 1)) t.b_next = p.b.p, t.b_next_n = n, t.b_next_ld = kc_int(kc, 0, 1) * k;
        if (n_terms) with_terms(kc, &t, n_terms, &terms);
        KC_CALL(kc, row->block(&t));
        char what[96];
        snprintf(what, sizeof what, "m=%d n=%d k=%d terms=%d beta=%d style=%d", (int)m, (int)n,
                 (int)k, (int)n_terms, p.beta, style);
        expect_product(kc, &p, &out, style, what);
        if (head->isa != LMN_ISA_REF) kc_expect_bits(kc, &out, &plain, "terms and hints");
    }
}

/* Every other row but ref has the bits of this one: fn(row, arg) computes into got, where C is
   `before`. */
typedef void again_fn(const lmn_gemm_row *row, void *arg, float *c);

static void expect_levels(kc_ctx *kc, const lmn_krow *head, const kc_mat *before,
                          const kc_mat *want, again_fn *fn, void *arg)
{
    if (head->isa == LMN_ISA_REF) return;
    for (int32_t i = 0; i < lmn_gemm_f32_n_rows; i++) {
        const lmn_gemm_row *row = &lmn_gemm_f32_rows[i];
        const bool other = row->head.isa != LMN_ISA_REF && &row->head != head;
        if (!other || row->head.isa & ~kc_cpu(kc)->isa) continue;
        kc_mat got = kc_copy(kc, before);
        KC_CALL(kc, fn(row, arg, got.p));
        kc_expect_bits(kc, &got, want, row->head.variant);
    }
}

static void small_again(const lmn_gemm_row *row, void *arg, float *c)
{
    lmn_gemm_block t = *(const lmn_gemm_block *)arg;
    t.c = c;
    (t.c_step ? row->small_nt : row->small_nn)(&t);
}

/* Up to four rows whose C lies `behind` B in its page, where B's rows are eighths of pages: what
   they are summed up in is nothing that a caller sees. */
static void check_behind(kc_ctx *kc, const lmn_krow *head, int64_t behind)
{
    enum { PAGE = 4096, BESIDE = 16 };
    const lmn_gemm_row *row = gemm_row(head);
    kc_case(kc);
    const kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
    const int64_t n = kc_int(kc, 250, 1100), k = kc_int(kc, 6, 40), ldb = (n + 127) / 128 * 128;
    const int64_t m = kc_int(kc, 1, 4), gap = kc_int(kc, 0, 2), ldc = n + gap;
    product p = {.a = kc_input(kc, style, m, k, k), .b = kc_input(kc, style, k, n, ldb), .k = k};
    p.sk = ldb, p.sj = 1, p.beta = (int32_t)kc_int(kc, 0, 1);
    const kc_mat in = kc_input(kc, style, m, n, ldc);
    char *room =
        kc_buffer(kc, (size_t)(m * ldc) * sizeof(float) + PAGE + 2 * BESIDE * sizeof(float));
    const uintptr_t first = (uintptr_t)room + BESIDE * sizeof(float);
    float *c = (float *)(void *)(room + BESIDE * sizeof(float) +
                                 ((uintptr_t)p.b.p + (uintptr_t)behind - first) % PAGE);
    const int64_t end = m * ldc - gap;
    for (int64_t j = 1; j <= BESIDE; j++) c[-j] = c[end + j - 1] = 77.0f;
    memcpy(c, in.p, (size_t)end * sizeof(float));
    const kc_mat out = {.p = c, .rows = m, .cols = n, .ld = ldc};
    p.c = in;
    const lmn_gemm_block t = {.a = p.a.p,
                              .lda = k,
                              .b = p.b.p,
                              .ldb = ldb,
                              .c = c,
                              .ldc = ldc,
                              .m = m,
                              .n = n,
                              .k = k,
                              .beta = p.beta};
    KC_CALL(kc, row->small_nn(&t));
    char what[96];
    snprintf(what, sizeof what, "m=%d n=%d k=%d beta=%d, C %d behind", (int)m, (int)n, (int)k,
             p.beta, (int)behind);
    expect_product(kc, &p, &out, style, what);
    for (int64_t j = 1; j <= BESIDE; j++)
        if (c[-j] != 77.0f || c[end + j - 1] != 77.0f) kc_fail(kc, "%s: writes beside C", what);
}

static void check_small(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_gemm_row *row = gemm_row(head);
    for (int64_t behind = 0; behind < 4096; behind += kc_quick(kc) ? 64 : 16)
        check_behind(kc, head, behind);
    const int n_cases = kc_quick(kc) ? 200 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        bool nt = c & 1;
        int64_t m = kc_extent(kc, 4, 13), n = kc_extent(kc, 16, 70);
        int64_t k = kc_extent(kc, 16, c % 5 ? 67 : 700);
        if (c % 32 == 8 || c % 32 == 10) { /* four rows by more than L2 holds: wide, far or not */
            m = 4, n = c % 32 == 8 ? kc_int(kc, 130, 280) : 16 * kc_int(kc, 8, 16);
            k = (1 << 17) / n + kc_int(kc, 1, 20);
        }
        int64_t lda = k + kc_int(kc, 0, 3), ldb = (nt ? k : n) + kc_int(kc, 0, 3);
        if (c % 32 == 10) ldb = n;    /* whole lines */
        if (c % 32 == 15) ldb = 1024; /* rows that meet in the caches, far, wide, with room */
        product p = {.a = kc_input(kc, style, m, k, lda), .k = k};
        p.b = nt ? kc_input(kc, style, n, k, ldb) : kc_input(kc, style, k, n, ldb);
        p.sk = nt ? 1 : ldb, p.sj = nt ? ldb : 1, p.beta = (int32_t)kc_int(kc, 0, 1);
        int64_t ldc = n + kc_int(kc, 0, 3);
        kc_mat out = p.beta ? kc_input(kc, style, m, n, ldc) : kc_output(kc, m, n, ldc);
        p.c = kc_copy(kc, &out);
        lmn_gemm_block t = {.a = p.a.p, .lda = lda, .b = p.b.p, .ldb = ldb, .c = out.p};
        t.ldc = ldc, t.m = m, t.n = n, t.k = k, t.beta = p.beta, t.b_far = (c & 2) != 0;
        t.wide = (c & 8) != 0;
        if (c & 4) t.room = kc_buffer(kc, (size_t)(m * ((k + 15) / 16 * 16)) * sizeof *t.room);
        KC_CALL(kc, (nt ? row->small_nt : row->small_nn)(&t));
        char what[96];
        snprintf(what, sizeof what, "%s m=%d n=%d k=%d beta=%d", nt ? "nt" : "nn", (int)m, (int)n,
                 (int)k, p.beta);
        expect_product(kc, &p, &out, style, what);
        t.c_step = nt;
        expect_levels(kc, head, &p.c, &out, small_again, &t);
        if (!nt || p.beta) continue;
        /* Transposed, a column of C at a time: the same bits. */
        kc_mat turned = kc_output(kc, n, m, m), back = kc_copy(kc, &out);
        t.c = turned.p, t.ldc = 1, t.c_step = m, t.b_far = !t.b_far;
        KC_CALL(kc, row->small_nt(&t));
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) back.p[i * ldc + j] = turned.p[j * m + i];
        kc_expect_bits(kc, &back, &out, "c_step");
    }
}

/* Every number of rows and columns of a tile and of what is left of two. */
static void check_tiny(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_gemm_row *row = gemm_row(head);
    const int n_cases = kc_quick(kc) ? 400 : 6000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        const bool far = c % 5 == 0;
        const int64_t m = far ? kc_int(kc, 1, 16) : kc_extent(kc, 4, 27);
        const int64_t n = far ? kc_int(kc, 1, 16) : kc_extent(kc, 8, c % 4 ? 50 : 170);
        const int64_t k = kc_int(kc, 0, far ? 200 : 40), lda = k + kc_int(kc, 0, 3);
        const int64_t ldb = n + kc_int(kc, 0, 3);
        const int64_t ldc = c % 3 ? n + kc_int(kc, 0, 3) : (n + 15) / 16 * 16;
        product p = {.a = kc_input(kc, style, m, k, lda), .b = kc_input(kc, style, k, n, ldb)};
        p.k = k, p.sk = ldb, p.sj = 1, p.beta = (int32_t)kc_int(kc, 0, 1);
        kc_mat out = p.beta ? kc_input(kc, style, m, n, ldc) : kc_output(kc, m, n, ldc);
        kc_mat plain = kc_copy(kc, &out);
        p.c = kc_copy(kc, &out);
        lmn_gemm_tiny t = {.a = p.a.p, .b = p.b.p, .c = out.p, .lda = lda, .ldb = ldb};
        t.ldc = ldc, t.m = m, t.n = n, t.k = k, t.beta = p.beta;
        t.by_rows = !far && kc_int(kc, 0, 1), t.past = kc_int(kc, 0, 1), t.far = far;
        KC_CALL(kc, row->tiny(&t));
        char what[96];
        snprintf(what, sizeof what, "m=%d n=%d k=%d beta=%d", (int)m, (int)n, (int)k, p.beta);
        expect_product(kc, &p, &out, style, what);
        lmn_gemm_block b = {.a = p.a.p, .lda = lda, .b = p.b.p, .ldb = ldb, .b_panel = row->nr};
        b.c = plain.p, b.ldc = ldc, b.m = m, b.n = n, b.k = k, b.beta = p.beta;
        KC_CALL(kc, row->block(&b));
        if (head->isa != LMN_ISA_REF) kc_expect_bits(kc, &out, &plain, "the block kernel");
    }
}

static void check_pack(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_gemm_row *row = gemm_row(head);
    const int n_cases = kc_quick(kc) ? 100 : 1000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        bool nt = c & 1;
        int64_t k = kc_extent(kc, 16, 50), n = kc_extent(kc, row->nr, 3 * row->nr + 1);
        int64_t ldb = (nt ? k : n) + kc_int(kc, 0, 3), n_panels = (n + row->nr - 1) / row->nr;
        kc_mat b = nt ? kc_input(kc, KC_SPECIAL, n, k, ldb) : kc_input(kc, KC_SPECIAL, k, n, ldb);
        kc_mat got = kc_output(kc, n_panels * k, row->nr, row->nr);
        KC_CALL(kc, (nt ? row->pack_nt : row->pack_nn)(got.p, b.p, ldb, k, n));
        kc_mat want = kc_copy(kc, &got);
        for (int64_t j = 0; j < n_panels * row->nr; j++) {
            for (int64_t p = 0; p < k; p++) {
                float v = j >= n ? 0.0f : nt ? b.p[j * ldb + p] : b.p[p * ldb + j];
                want.p[(j / row->nr * k + p) * row->nr + j % row->nr] = v;
            }
        }
        kc_expect_bits(kc, &got, &want, nt ? "pack_nt" : "pack_nn");
    }
}

/* A random chain over an m x n result; often a bias and a residual, which whole tiles take. */
static lmn_epi random_epi(kc_ctx *kc, int64_t m, int64_t n, kc_style style)
{
    const bool head = kc_int(kc, 0, 2) == 0;
    lmn_epi e = {.n_ops = head ? 2 : (int32_t)kc_int(kc, 1, LMN_EPI_OPS)};
    for (int32_t i = 0; i < e.n_ops; i++) {
        lmn_epi_op *op = &e.op[i];
        op->kind =
            (uint8_t)(kc_int(kc, 0, 1) ? kc_int(kc, 0, 3) : kc_int(kc, 0, LMN_EPI_KIND_COUNT - 1));
        if (head) op->kind = LMN_EPI_ADD;
        op->p0 = op->kind == LMN_EPI_HARDSIGMOID ? 0.2f : -0.75f, op->p1 = 0.5f;
        if (op->kind > LMN_EPI_MUL) continue;
        op->bcast = (uint8_t)kc_int(kc, LMN_EPI_SCALAR, LMN_EPI_FULL);
        if (head) op->bcast = i ? LMN_EPI_FULL : LMN_EPI_COL;
        op->ld = n + kc_int(kc, 0, 2);
        if (op->bcast == LMN_EPI_ROW) op->x = kc_input(kc, style, 1, m, m).p;
        if (op->bcast == LMN_EPI_COL) op->x = kc_input(kc, style, 1, n, n).p;
        if (op->bcast == LMN_EPI_FULL) op->x = kc_input(kc, style, m, n, op->ld).p;
    }
    return e;
}

/* Relative error of one operation in f32, generous by about 2: ulps of the result or its parts. */
static double epi_bound(const lmn_epi_op *op, double in, double out)
{
    const double u = 0x1p-24;
    switch (op->kind) {
    case LMN_EPI_RELU:
    case LMN_EPI_CLIP: return 0;
    case LMN_EPI_ADD:
    case LMN_EPI_MUL:
    case LMN_EPI_LEAKYRELU: return u * fabs(out) + 1e-45;
    case LMN_EPI_TANH: return 4 * u * fabs(out) + 1e-44;
    case LMN_EPI_SIGMOID: return 6 * u * fabs(out) + 6e-39; /* e^-v overflows below -88.7 */
    case LMN_EPI_SILU: return 6 * u * fabs(out) + 6e-37;
    case LMN_EPI_HARDSIGMOID: return 4 * u * (1 + fabs(in < 8 && in > -8 ? in : 0));
    default: return 6 * u * (fabs(out) + (fabs(in) < 1e3 ? fabs(in) : 0)) + 1e-44;
    }
}

static void check_epi(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_gemm_row *row = gemm_row(head);
    const int n_cases = kc_quick(kc) ? 300 : 5000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        kc_style style = (kc_style)kc_int(kc, KC_REAL, KC_SPECIAL);
        int64_t m = kc_extent(kc, 4, 9), n = kc_extent(kc, 16, 70), ld = n + kc_int(kc, 0, 3);
        kc_mat out = kc_input(kc, style, m, n, ld);
        lmn_epi e = random_epi(kc, m, n, style);
        double *want = kc_doubles(kc, m * n), *bound = kc_doubles(kc, m * n);
        lmn_epi_block b = {out.p, ld, 0, 0, m, n, 0};
        /* One operation is judged against f64, a chain against its single operations. */
        lmn_epi first = {.n_ops = 1, .op = {e.op[0]}};
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j < n; j++) {
                double in = out.p[i * ld + j], w = epi_ref_at(&e.op[0], &b, i, j, in);
                want[i * n + j] = w, bound[i * n + j] = epi_bound(&e.op[0], in, w);
            }
        }
        kc_mat chained = kc_copy(kc, &out);
        lmn_epi_block whole = {chained.p, ld, 0, 0, m, n, 0};
        char what[48];
        snprintf(what, sizeof what, "op %d bcast %d", e.op[0].kind, e.op[0].bcast);
        KC_CALL(kc, row->epi(&first, &b));
        kc_expect(kc, &out, want, bound, what);
        for (int32_t o = 1; o < e.n_ops; o++) {
            lmn_epi one = {.n_ops = 1, .op = {e.op[o]}};
            KC_CALL(kc, row->epi(&one, &b));
        }
        KC_CALL(kc, row->epi(&e, &whole));
        kc_expect_bits(kc, &chained, &out, "chain against single operations");
    }
}

/* Every chunk of the plan, upwards or downwards, scratch poisoned and guarded. */
static void run_plan(kc_ctx *kc, const lmn_gemm_plan *plan, const lmn_gemm_args *args, bool down)
{
    void *scratch = plan->scratch_bytes ? kc_buffer(kc, plan->scratch_bytes) : NULL;
    if (scratch) memset(scratch, 0xff, plan->scratch_bytes);
    for (int64_t i = 0; i < plan->n_chunks; i++)
        lmn_gemm_f32_chunk(plan, args, down ? plan->n_chunks - 1 - i : i, scratch);
}

/* The plan of another row, which may cut otherwise. */
typedef struct replan {
    kc_ctx *kc;
    const lmn_gemm_shape *shape;
    lmn_gemm_args args;
} replan;

static void plan_again(const lmn_gemm_row *row, void *arg, float *c)
{
    replan *t = arg;
    lmn_gemm_plan plan;
    lmn_gemm_shape shape = *t->shape;
    shape.threads = (int32_t)kc_int(t->kc, 1, 9); /* other chunks, same bits */
    lmn_gemm_f32_plan(row, &shape, &plan);
    t->args.c = c;
    run_plan(t->kc, &plan, &t->args, true);
}

/* The way without a plan, where it is taken, has the plan's bits. */
static void expect_tiny(kc_ctx *kc, const lmn_gemm_row *row, const lmn_gemm_shape *shape,
                        const lmn_gemm_args *args, const kc_mat *before, const kc_mat *want)
{
    kc_mat got = kc_copy(kc, before);
    lmn_gemm_args tiny = *args;
    bool done = false;
    tiny.c = got.p;
    KC_CALL(kc, done = lmn_gemm_f32_tiny(row, shape, &tiny));
    if (done) kc_expect_bits(kc, &got, want, "tiny");
}

/* B packed beforehand: judged like the rest. */
static void expect_packed(kc_ctx *kc, const lmn_gemm_row *row, lmn_gemm_shape shape,
                          lmn_gemm_args args, const product *p, kc_style style)
{
    const int64_t nr = row->nr, panels = (shape.n + nr - 1) / nr;
    kc_mat packed = kc_output(kc, panels * shape.k, nr, nr),
           got = kc_output(kc, shape.m, shape.n, shape.n);
    for (int64_t i = 0; i < shape.m; i++)
        for (int64_t j = 0; j < shape.n; j++) got.p[i * got.ld + j] = p->c.p[i * p->c.ld + j];
    const bool nt = shape.flags & LMN_GEMM_TRANS_B;
    KC_CALL(kc, (nt ? row->pack_nt : row->pack_nn)(packed.p, args.b, args.ldb, shape.k, shape.n));
    shape.flags = (shape.flags & LMN_GEMM_TRANS_A) | LMN_GEMM_PACKED_B;
    args.b = packed.p, args.c = got.p, args.ldc = got.ld;
    lmn_gemm_plan plan;
    lmn_gemm_f32_plan(row, &shape, &plan);
    KC_CALL(kc, run_plan(kc, &plan, &args, true));
    expect_product(kc, p, &got, style, "packed");
}

static void check_plan(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_gemm_row *row = gemm_row(head);
    const int n_cases = kc_quick(kc) ? 120 : 1500;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        bool big = kc_int(kc, 0, 5) == 0;
        kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
        int64_t m = kc_extent(kc, 8, big ? 140 : 40), n = kc_extent(kc, 48, big ? 420 : 100);
        int64_t k = kc_extent(kc, 16, big ? 500 : 90), ta = kc_int(kc, 0, 3) == 0,
                tb = kc_int(kc, 0, 1);
        if (big && kc_int(kc, 0, 1)) m = kc_int(kc, 1, 32); /* B from memory */
        if (kc_int(kc, 0, 7) == 0)                          /* short */
            m = kc_int(kc, 33, 150), n = kc_int(kc, 1, 300), k = kc_int(kc, 0, 20);
        if (kc_int(kc, 0, 7) == 0) /* wide tiles */
            m = kc_int(kc, 32, 80), n = c % 2 ? 64 : 160, k = kc_int(kc, 1, 1100);
        if (kc_int(kc, 0, 11) == 0) /* one panel by blocks of k */
            m = kc_int(kc, 1, 120), n = kc_int(kc, 1, 48), k = kc_int(kc, 1020, 2200);
        if (kc_int(kc, 0, 7) == 0) /* thin */
            m = kc_int(kc, 33, 80), n = kc_int(kc, 1, 13), k = kc_int(kc, 190, 400);
        if (kc_int(kc, 0, 6) == 0) { /* a copy of A in scratch */
            ta = 0, tb = 1, m = c % 2 ? kc_int(kc, 2, kc_int(kc, 4, 8)) : kc_int(kc, 7, 32);
            n = kc_int(kc, 128, 280);
            if (c % 2 == 0) k = (1 << 18) / n + kc_int(kc, 1, 20);
        }
        if (c % 40 == 9) { /* four rows by a row-major B of a cache */
            ta = tb = 0, m = 4, n = kc_int(kc, 128, 280);
            k = (1 << 17) / n + kc_int(kc, 1, 20);
        }
        if (c % 120 == 7) { /* one panel over more of A than caches hold */
            ta = tb = 0, m = kc_int(kc, 480, 600);
            n = kc_int(kc, 1, 20), k = kc_int(kc, 2190, 2300);
        }
        if (c % 40 == 13) { /* few rows by few columns, sums from beyond L2 */
            ta = tb = 0, m = kc_int(kc, 4, 17), n = kc_int(kc, 1, 17);
            k = (1 << 19) / (m + n) + kc_int(kc, -16, 80);
        }
        lmn_gemm_shape shape = {
            m, n, k, 1, (int32_t)(ta * LMN_GEMM_TRANS_A + tb * LMN_GEMM_TRANS_B), c % 4};
        if (kc_int(kc, 0, 4) == 0) shape.flags |= LMN_GEMM_CHAIN;
        int64_t lda = (ta ? m : k) + kc_int(kc, 0, 3), ldb = (tb ? k : n) + kc_int(kc, 0, 3);
        if (!ta && k > 1024 && c % 2) lda = (k + 1023) / 1024 * 1024;
        int64_t ldc = n + kc_int(kc, 0, 3);
        product p = {.k = k, .sk = tb ? 1 : ldb, .sj = tb ? ldb : 1, .trans_a = (int32_t)ta};
        p.a = ta ? kc_input(kc, style, k, m, lda) : kc_input(kc, style, m, k, lda);
        p.b = tb ? kc_input(kc, style, n, k, ldb) : kc_input(kc, style, k, n, ldb);
        p.beta = (int32_t)kc_int(kc, 0, 1);
        kc_mat out = p.beta ? kc_input(kc, style, m, n, ldc) : kc_output(kc, m, n, ldc);
        kc_mat again = kc_output(kc, m, n, ldc);
        p.c = kc_copy(kc, &out);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) again.p[i * ldc + j] = out.p[i * ldc + j];
        lmn_gemm_plan plan;
        lmn_gemm_f32_plan(row, &shape, &plan);
        lmn_gemm_args args = {
            .a = p.a.p, .b = p.b.p, .c = out.p, .lda = lda, .ldb = ldb, .ldc = ldc};
        args.beta = p.beta;
        char what[96];
        snprintf(what, sizeof what, "m=%d n=%d k=%d flags=%d beta=%d", (int)m, (int)n, (int)k,
                 shape.flags, p.beta);
        KC_CALL(kc, run_plan(kc, &plan, &args, false));
        expect_product(kc, &p, &out, style, what);
        expect_tiny(kc, row, &shape, &args, &p.c, &out);
        replan more = {kc, &shape, args};
        expect_levels(kc, head, &p.c, &out, plan_again, &more);
        if (c % 2) expect_packed(kc, row, shape, args, &p, style);
        /* Fused, in the other order of chunks: the bits of product, then epilogue. */
        lmn_epi epi = random_epi(kc, m, n, KC_REAL);
        lmn_epi_block b = {out.p, ldc, 0, 0, m, n, 0};
        KC_CALL(kc, row->epi(&epi, &b));
        args.c = again.p, args.epi = &epi;
        KC_CALL(kc, run_plan(kc, &plan, &args, true));
        kc_expect_bits(kc, &again, &out, "fused against product, then epilogue");
    }
}

/* --- bench ---------------------------------------------------------------------------------- */

typedef struct gemm_bench {
    lmn_gemm_plan plan;
    lmn_gemm_args args;
    float *scratch;
} gemm_bench;

static void bench_run(void *arg)
{
    gemm_bench *b = arg;
    for (int64_t i = 0; i < b->plan.n_chunks; i++)
        lmn_gemm_f32_chunk(&b->plan, &b->args, i, b->scratch);
}

static const struct {
    int64_t m, n, k;
    bool nt;
} bench_shapes[] = {
    {64, 64, 64, false},     {128, 128, 128, false},  {512, 512, 512, false},
    {128, 768, 768, false},  {128, 3072, 768, false}, {128, 768, 3072, false},
    {128, 768, 768, true},   {128, 3072, 768, true},  {128, 128, 64, true},
    {1500, 384, 384, false}, {1500, 1500, 64, true},  {1, 768, 3072, false},
    {1, 768, 3072, true},    {1, 3072, 768, false},   {1, 50257, 768, true},
    {4, 768, 3072, false},   {4, 768, 3072, true},    {16, 768, 3072, false},
    {16, 768, 3072, true},   {8, 3072, 768, true},    {32, 3072, 768, true},
    {32, 768, 3072, true},   {1, 1000, 2048, true},   {17, 33, 65, false},
    {1, 50257, 768, false},  {1, 8192, 8192, false},  {1, 768, 49152, false},
};

static void bench_gemm(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        const int64_t m = bench_shapes[i].m, n = bench_shapes[i].n, k = bench_shapes[i].k;
        const bool nt = bench_shapes[i].nt;
        gemm_bench b = {.args = {.lda = k, .ldb = nt ? k : n, .ldc = n}};
        lmn_gemm_shape shape = {m, n, k, 1, nt ? LMN_GEMM_TRANS_B : 0, 1};
        char what[64];
        snprintf(what, sizeof what, "%dx%dx%d %s", (int)m, (int)n, (int)k, nt ? "NT" : "NN");
        lmn_gemm_f32_plan(gemm_row(head), &shape, &b.plan);
        float *a = kc_bench_floats(kc, m * k), *w = kc_bench_floats(kc, n * k);
        b.args.a = a, b.args.b = w, b.args.c = kc_bench_floats(kc, m * n);
        b.scratch = kc_bench_floats(kc, (int64_t)b.plan.scratch_bytes / 4 + 16);
        double mnk = (double)m * (double)n * (double)k;
        kc_time(kc, head, what, 2 * mnk, m <= 16 ? 4.0 * (double)(n * k) : 0, bench_run, &b);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_gemm_block = {"gemm", "block", check_block, NULL};
const kc_driver kc_gemm_small = {"gemm", "small", check_small, NULL};
const kc_driver kc_gemm_tiny = {"gemm", "tiny", check_tiny, NULL};
const kc_driver kc_gemm_pack = {"gemm", "pack", check_pack, NULL};
const kc_driver kc_gemm_epi = {"gemm", "epi", check_epi, NULL};
const kc_driver kc_gemm_plan = {"gemm", "plan", check_plan, bench_gemm};
