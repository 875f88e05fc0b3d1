/*
 * kcheck drivers of the f64 gemm rows: block with and without terms, the streaming kernels, and the
 * driver with plain and packed B. The judge sums in long double; small integers must be exact, and
 * NaN and infinities must come out where they belong.
 */
#include "kcheck/kcheck.h"

#include "kernels/gemm/dgemm_plan.h"

/* As kc_mat, of doubles. */
typedef struct dmat {
    double *p;
    int64_t rows, cols, ld;
} dmat;

static const uint64_t poison = 0x7ff4a5a5a5a5a5a5u; /* a signalling NaN with a pattern */

static size_t dmat_elems(const dmat *m)
{
    return m->rows > 0 && m->cols > 0 ? (size_t)((m->rows - 1) * m->ld + m->cols) : 0;
}
static dmat output(kc_ctx *kc, int64_t rows, int64_t cols, int64_t ld)
{
    dmat m = {NULL, rows, cols, ld};
    m.p = kc_buffer(kc, dmat_elems(&m) * sizeof(double));
    for (size_t i = 0; i < dmat_elems(&m); i++) memcpy(m.p + i, &poison, sizeof poison);
    return m;
}
static double value(kc_ctx *kc, kc_style style)
{
    if (style == KC_EXACT) return (double)kc_int(kc, -32, 32) / 16;
    const double odd[] = {NAN, INFINITY, -INFINITY, -0.0, 5e-324, 1e150};
    if (style == KC_SPECIAL && kc_int(kc, 0, 29) == 0)
        return odd[kc_int(kc, 0, (int64_t)LMN_COUNT(odd) - 1)];
    return (double)kc_int(kc, -1000000007, 1000000007) * 1e-9;
}
static dmat input(kc_ctx *kc, kc_style style, int64_t rows, int64_t cols, int64_t ld)
{
    dmat m = output(kc, rows, cols, ld);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) m.p[i * ld + j] = value(kc, style);
    return m;
}
static double *copy(kc_ctx *kc, const dmat *m)
{
    double *c = kc_doubles(kc, (int64_t)dmat_elems(m) + 1);
    memcpy(c, m->p, dmat_elems(m) * sizeof *c);
    return c;
}

typedef struct dproduct {
    dmat a, b, out;
    const double *before; /* of out */
    int64_t m, n, k, flags;
    int32_t beta;
    kc_style style;
} dproduct;

static dproduct make_product(kc_ctx *kc, int64_t m, int64_t n, int64_t k, int64_t flags)
{
    dproduct p = {.m = m, .n = n, .k = k, .flags = flags, .beta = (int32_t)kc_int(kc, 0, 1)};
    const bool ta = flags & LMN_GEMM_TRANS_A, tb = flags & LMN_GEMM_TRANS_B;
    const int64_t ac = ta ? m : k, bc = tb ? k : n, pad = kc_int(kc, 0, 3);
    p.style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
    p.a = input(kc, p.style, ta ? k : m, ac, ac + pad);
    p.b = input(kc, p.style, tb ? n : k, bc, bc + kc_int(kc, 0, 3));
    const int64_t ldc = kc_int(kc, 0, 2) ? n + pad : (n + 7) / 8 * 8;
    p.out = p.beta ? input(kc, p.style, m, n, ldc) : output(kc, m, n, ldc);
    p.before = copy(kc, &p.out);
    return p;
}

/* |got - exact| <= gamma_(k + 1) (|beta c| + sum |a| |b|), 0 for exact values; true if it is. */
static bool is_right(const dproduct *p, int64_t i, int64_t j, double got)
{
    const bool ta = p->flags & LMN_GEMM_TRANS_A, tb = p->flags & LMN_GEMM_TRANS_B;
    long double sum = p->beta ? p->before[i * p->out.ld + j] : 0, mag = fabsl(sum);
    for (int64_t k = 0; k < p->k; k++) {
        const long double a = ta ? p->a.p[k * p->a.ld + i] : p->a.p[i * p->a.ld + k],
                          b = tb ? p->b.p[j * p->b.ld + k] : p->b.p[k * p->b.ld + j];
        sum += a * b, mag += fabsl(a * b);
    }
    if (isnan(sum)) return isnan(got);
    if (isinf(sum)) return (long double)got == sum;
    const long double nu = (long double)(p->k + 1) * 0x1p-53L;
    const long double bound = p->style == KC_EXACT ? 0 : nu / (1 - nu) * mag + 1e-320L;
    return fabsl((long double)got - sum) <= bound;
}

static void expect(kc_ctx *kc, const dproduct *p, const dmat *got, const char *what)
{
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            if (is_right(p, i, j, got->p[i * got->ld + j])) continue;
            kc_fail(kc, "%s m=%d n=%d k=%d flags=%d beta=%d: (%d, %d) is %.17g", what, (int)p->m,
                    (int)p->n, (int)p->k, (int)p->flags, p->beta, (int)i, (int)j,
                    got->p[i * got->ld + j]);
            return;
        }
        for (int64_t j = p->n; i + 1 < p->m && j < got->ld; j++)
            if (p->n > 0 && memcmp(got->p + i * got->ld + j, &poison, sizeof poison) != 0)
                kc_fail(kc, "%s: wrote the padding at (%d, %d)", what, (int)i, (int)j);
    }
}

static const lmn_dgemm_row *dgemm_row(const lmn_krow *row)
{
    return (const lmn_dgemm_row *)(const void *)row;
}

static void check_block(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_dgemm_row *row = dgemm_row(head);
    for (int c = 0; c < (kc_quick(kc) ? 200 : 3000); c++) {
        kc_case(kc);
        const int64_t terms = kc_int(kc, 0, 4);
        int64_t m = kc_extent(kc, row->mr, 2 * row->mr + 1);
        int64_t n = kc_extent(kc, row->nr, 2 * row->nr + 1), k = kc_extent(kc, 8, 40);
        if (c % 10 == 8) m = kc_int(kc, 4 * row->mr, 6 * row->mr), n = row->nr + row->nr / 3;
        if (terms) k = k / terms * terms;
        dproduct p = make_product(kc, m, n, k, 0);
        lmn_dgemm_block t = {.a = p.a.p, .lda = p.a.ld, .b = p.b.p, .ldb = p.b.ld};
        t.b_panel = row->nr, t.c = p.out.p, t.ldc = p.out.ld, t.beta = p.beta;
        t.m = m, t.n = p.n, t.k = k, t.b_far = c % 2, t.c_past = c % 3 == 0;
        lmn_dgemm_terms list = {.n = terms, .a = p.a.p, .b = p.b.p};
        if (terms) t.terms = &list, t.k = k / terms;
        list.a_step = t.k, list.b_step = t.k * p.b.ld;
        KC_CALL(kc, row->block(&t));
        expect(kc, &p, &p.out, "block");
    }
}

static void check_small(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_dgemm_row *row = dgemm_row(head);
    for (int c = 0; c < (kc_quick(kc) ? 200 : 3000); c++) {
        kc_case(kc);
        const int64_t m = kc_extent(kc, 4, 13), n = kc_extent(kc, 8, 40);
        const int64_t k = kc_extent(kc, 8, c % 5 ? 40 : 500); /* 500: rows of more than is ahead */
        dproduct p = make_product(kc, m, n, k, c % 2 ? LMN_GEMM_TRANS_B : 0);
        if (c % 16 == 15) p.b = input(kc, p.style, n, k, 512); /* rows that meet in the caches */
        lmn_dgemm_block t = {.a = p.a.p, .lda = p.a.ld, .b = p.b.p, .ldb = p.b.ld, .c = p.out.p};
        t.ldc = p.out.ld, t.m = m, t.n = n, t.k = k, t.beta = p.beta, t.wide = (c & 4) != 0;
        t.b_far = (c & 8) != 0;
        if (c & 2) t.room = kc_buffer(kc, (size_t)(m * ((k + 7) / 8 * 8)) * sizeof *t.room);
        KC_CALL(kc, (c % 2 ? row->small_nt : row->small_nn)(&t));
        expect(kc, &p, &p.out, c % 2 ? "nt" : "nn");
    }
}

static void run_plan(kc_ctx *kc, const lmn_dgemm_row *row, const lmn_gemm_shape *s,
                     const lmn_dgemm_args *args)
{
    lmn_dgemm_plan plan;
    lmn_dgemm_f64_plan(row, s, &plan);
    void *scratch = plan.scratch_bytes ? kc_buffer(kc, plan.scratch_bytes) : NULL;
    if (scratch) memset(scratch, 0xff, plan.scratch_bytes);
    for (int64_t i = plan.n_chunks - 1; i >= 0; i--) lmn_dgemm_f64_chunk(&plan, args, i, scratch);
}

/* One product by the plan, without a plan where that is offered, and with B packed beforehand. */
static void check_plan(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_dgemm_row *row = dgemm_row(head);
    for (int c = 0; c < (kc_quick(kc) ? 120 : 1500); c++) {
        kc_case(kc);
        const bool big = c % 6 == 0;
        int64_t m = kc_extent(kc, 8, big ? 100 : 40), n = kc_extent(kc, 24, big ? 220 : 60);
        int64_t k = kc_extent(kc, 8, big ? 450 : 60);
        if (c % 10 == 7) /* where the plan begins to cut k */
            m = kc_int(kc, 50, 100), n = kc_int(kc, 25, 47), k = kc_int(kc, 250, 500);
        if (c % 10 == 3) m = kc_int(kc, 32, 80), n = 32, k = kc_int(kc, 1, 300); /* wide tiles */
        if (c % 9 == 0) m = kc_int(kc, 33, 60), n = kc_int(kc, 1, 13), k = kc_int(kc, 190, 300);
        const bool lays = c % 12 == 5; /* a copy of A in scratch */
        if (lays) m = 3, n = kc_int(kc, 128, 280);
        dproduct p = make_product(kc, m, n, k, lays ? LMN_GEMM_TRANS_B : kc_int(kc, 0, 3));
        lmn_gemm_shape s = {m, n, k, 1, (int32_t)p.flags, c % 4};
        lmn_dgemm_args args = {.a = p.a.p, .b = p.b.p, .c = p.out.p};
        args.lda = p.a.ld, args.ldb = p.b.ld, args.ldc = p.out.ld, args.beta = p.beta;
        KC_CALL(kc, run_plan(kc, row, &s, &args));
        expect(kc, &p, &p.out, "plan");
        dmat other = p.out;
        bool done = false;
        double *got = args.c = other.p = kc_doubles(kc, (int64_t)dmat_elems(&other) + 1);
        memcpy(got, p.before, dmat_elems(&other) * sizeof *got);
        KC_CALL(kc, done = lmn_dgemm_f64_tiny(row, &s, &args));
        if (done && memcmp(got, p.out.p, dmat_elems(&other) * sizeof *got) != 0 &&
            p.style != KC_SPECIAL)
            kc_fail(kc, "tiny m=%d n=%d k=%d is not the plan", (int)m, (int)n, (int)k);
        memcpy(got, p.before, dmat_elems(&other) * sizeof *got);
        dmat packed = output(kc, (n + row->nr - 1) / row->nr * k, row->nr, row->nr);
        const bool nt = s.flags & LMN_GEMM_TRANS_B;
        KC_CALL(kc, (nt ? row->pack_nt : row->pack_nn)(packed.p, p.b.p, p.b.ld, k, n));
        s.flags = (s.flags & LMN_GEMM_TRANS_A) | LMN_GEMM_PACKED_B, args.b = packed.p;
        KC_CALL(kc, run_plan(kc, row, &s, &args));
        expect(kc, &p, &other, "packed");
    }
}

const kc_driver kc_dgemm_block = {"dgemm", "block", check_block, NULL};
const kc_driver kc_dgemm_small = {"dgemm", "small", check_small, NULL};
const kc_driver kc_dgemm_plan = {"dgemm", "plan", check_plan, NULL};
