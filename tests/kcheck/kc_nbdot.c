/*
 * kcheck driver of the nbdot family: packed rows and products against f64 sums of exact integers,
 * and bit by bit against the reference row. Class exact.
 */
#include "kcheck/kcheck.h"

#include "kernels/nbits/nbdot.h"

static const lmn_nbdot_row *nbdot_row(const lmn_krow *row)
{
    return (const lmn_nbdot_row *)(const void *)row;
}

typedef struct product {
    lmn_nbdot_block b;
    kc_mat x; /* rows before they are rounded */
    int64_t k;
} product;

/* Sometimes a group of a row is made of zeros, of tiny numbers or holds what is not finite. */
static void spoil(kc_ctx *kc, kc_mat *x)
{
    static const float odd[] = {0.0f, 1e-35f, -1e-30f, INFINITY, -INFINITY, NAN, 3e38f, -0.0f};
    for (int64_t i = 0; i < x->rows && x->cols > 0; i++) {
        if (kc_int(kc, 0, 5)) continue;
        const float v = odd[kc_int(kc, 0, (int64_t)LMN_COUNT(odd) - 1)];
        const int64_t from = kc_int(kc, 0, x->cols - 1) / 32 * 32;
        const int64_t end = lmn_min_i64(x->cols, from + 32);
        const bool all = v == v && fabsf(v) < 1.0f;
        for (int64_t c = all ? from : end - 1; c < end; c++) x->p[i * x->ld + c] = v;
    }
}

static uint8_t *random_bytes(kc_ctx *kc, int64_t n)
{
    uint8_t *p = kc_buffer(kc, (size_t)n);
    const bool ends = kc_int(kc, 0, 3) == 0;
    for (int64_t i = 0; i < n; i++)
        p[i] = ends ? (kc_int(kc, 0, 1) ? 255 : 0) : (uint8_t)kc_int(kc, 0, 255);
    return p;
}

static void draw(kc_ctx *kc, product *p)
{
    const bool big = kc_int(kc, 0, 7) == 0;
    memset(p, 0, sizeof *p);
    p->k = big ? kc_int(kc, 1000, 5000) : lmn_max_i64(1, kc_extent(kc, 32, 300));
    lmn_nbdot_block *b = &p->b;
    lmn_nbdot_weights *w = &b->w;
    b->m = kc_int(kc, big ? 1 : 0, big ? 3 : 19), b->n = kc_int(kc, 0, big ? 5 : 14);
    b->groups = lmn_nbdot_groups(p->k), b->ldy = b->n + kc_int(kc, 0, 2);
    w->bits = kc_int(kc, 0, 1) ? 4 : 8, w->shift = (int32_t)kc_int(kc, 0, 4);
    const int64_t block = (int64_t)LMN_NBDOT_GROUP << w->shift;
    w->n_blocks = (p->k + block - 1) / block;
    w->row_bytes = w->n_blocks * block * w->bits / 8;
    w->q = random_bytes(
        kc, b->n ? (b->n - 1) * w->row_bytes + b->groups * LMN_NBDOT_GROUP * w->bits / 8 : 0);
    w->scale = kc_input(kc, KC_REAL, b->n, w->n_blocks, w->n_blocks).p;
    w->zp_bytes = (w->n_blocks * w->bits + 7) / 8;
    if (kc_int(kc, 0, 1)) w->zp = random_bytes(kc, b->n * w->zp_bytes);
    if (kc_int(kc, 0, 1)) b->bias = kc_input(kc, KC_REAL, 1, b->n, b->n).p;
    p->x = kc_input(kc, KC_REAL, b->m, p->k, p->k);
    spoil(kc, &p->x);
}

/* A group of a row as its integers; the scale is returned. */
static float rounded(const float *x, int64_t n, int32_t *r)
{
    float top = 0;
    bool odd = false;
    for (int64_t i = 0; i < n; i++) {
        odd = odd || !isfinite(x[i]);
        top = fmaxf(top, fabsf(x[i]));
    }
    memset(r, 0, LMN_NBDOT_GROUP * sizeof *r);
    if (odd) return NAN;
    if (top < 0x1p-100f) return 0;
    for (int64_t i = 0; i < n; i++) r[i] = (int32_t)rintf(x[i] * (127.0f / top));
    return top / 127.0f;
}

static double expected(const product *p, int64_t i, int64_t j, double *bound)
{
    const lmn_nbdot_weights *w = &p->b.w;
    const uint8_t *q = w->q + j * w->row_bytes;
    double y = 0, mag = 0;
    for (int64_t g = 0; g < p->b.groups; g++) {
        const int64_t k0 = g * LMN_NBDOT_GROUP, block = g >> w->shift;
        const int64_t n = lmn_min_i64(LMN_NBDOT_GROUP, p->k - k0);
        const int32_t zp =
            w->zp ? lmn_nbdot_zp_at(w->zp + j * w->zp_bytes, w->bits, block) : 1 << (w->bits - 1);
        int32_t r[LMN_NBDOT_GROUP], v = 0;
        const double s = rounded(p->x.p + i * p->x.ld + k0, n, r);
        for (int64_t c = 0; c < n; c++) {
            const int64_t at = k0 + c;
            const int32_t one = w->bits == 8 ? q[at] : (q[at / 2] >> (at % 2 * 4)) & 15;
            v += r[c] * (one - zp);
        }
        y += v * s * w->scale[j * w->n_blocks + block];
        mag += fabs(v * s * w->scale[j * w->n_blocks + block]);
    }
    const double bias = p->b.bias ? p->b.bias[j] : 0;
    *bound = kc_dot_bound(p->b.groups + 4, mag + fabs(bias)) + 1e-37;
    return y + bias;
}

static void judge(kc_ctx *kc, const product *p, const kc_mat *got, const char *what)
{
    double *want = kc_doubles(kc, p->b.m * p->b.n), *bound = kc_doubles(kc, p->b.m * p->b.n);
    for (int64_t i = 0; i < p->b.m; i++)
        for (int64_t j = 0; j < p->b.n; j++)
            want[i * p->b.n + j] = expected(p, i, j, &bound[i * p->b.n + j]);
    kc_expect(kc, got, want, bound, what);
}

static void pack_rows(const lmn_nbdot_row *row, const product *p, uint8_t *dst)
{
    for (int64_t i = 0; i < p->b.m; i++)
        row->pack(dst + i * p->b.a_step, p->x.p + i * p->x.ld, p->k, p->b.w.bits);
}

static void check_run(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_nbdot_row *row = nbdot_row(head), *ref = &lmn_nbdot_i8_rows[0];
    const int n_cases = kc_quick(kc) ? 150 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        product p;
        draw(kc, &p);
        lmn_nbdot_block *b = &p.b;
        b->a_step = lmn_nbdot_packed_bytes(p.k);
        const size_t bytes = (size_t)(b->m * b->a_step);
        uint8_t *a = kc_buffer(kc, bytes), *a_ref = kc_buffer(kc, bytes);
        const kc_mat y = kc_output(kc, b->m, b->n, b->ldy), z = kc_output(kc, b->m, b->n, b->ldy);
        char what[96];
        snprintf(what, sizeof what, "m=%d n=%d k=%d bits=%d shift=%d zp=%d", (int)b->m, (int)b->n,
                 (int)p.k, (int)b->w.bits, (int)b->w.shift, b->w.zp != NULL);
        KC_CALL(kc, pack_rows(row, &p, a));
        pack_rows(ref, &p, a_ref);
        if (bytes && memcmp(a, a_ref, bytes) != 0) kc_fail(kc, "%s: packed rows differ", what);
        b->a = a, b->y = y.p;
        KC_CALL(kc, row->run(b));
        judge(kc, &p, &y, what);
        b->y = z.p;
        ref->run(b);
        kc_expect_bits(kc, &y, &z, what);
    }
}

/* --- bench ---------------------------------------------------------------------------------- */

typedef struct nbdot_bench {
    const lmn_nbdot_row *row;
    product p;
} nbdot_bench;

static void bench_one(void *arg)
{
    nbdot_bench *t = arg;
    pack_rows(t->row, &t->p, (uint8_t *)(uintptr_t)t->p.b.a);
    t->row->run(&t->p.b);
}

static const struct {
    int64_t m, n, k;
    int32_t bits, shift;
} bench_shapes[] = {{1, 1024, 1024, 4, 0},  {1, 4096, 4096, 4, 0},  {1, 16384, 8192, 4, 0},
                    {1, 16384, 8192, 4, 2}, {1, 8192, 8192, 8, 0},  {4, 4096, 4096, 4, 0},
                    {8, 4096, 4096, 4, 0},  {8, 4096, 4096, 4, 2},  {8, 4096, 4096, 8, 0},
                    {8, 1024, 1024, 4, 0},  {128, 1024, 1024, 4, 0}};

static void bench_run(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        const int64_t m = bench_shapes[i].m, n = bench_shapes[i].n, k = bench_shapes[i].k;
        nbdot_bench t = {.row = nbdot_row(head), .p = {.k = k}};
        lmn_nbdot_block *b = &t.p.b;
        lmn_nbdot_weights *w = &b->w;
        b->m = m, b->n = n, b->groups = lmn_nbdot_groups(k), b->ldy = n;
        b->a_step = lmn_nbdot_packed_bytes(k);
        w->bits = bench_shapes[i].bits, w->shift = bench_shapes[i].shift;
        w->n_blocks = b->groups >> w->shift, w->row_bytes = k * w->bits / 8;
        w->q = (const uint8_t *)kc_bench_floats(kc, n * w->row_bytes / 4);
        w->scale = kc_bench_floats(kc, n * w->n_blocks);
        b->a = (const uint8_t *)kc_bench_floats(kc, m * b->a_step / 4);
        b->y = kc_bench_floats(kc, m * n);
        t.p.x = (kc_mat){.p = kc_bench_floats(kc, m * k), .rows = m, .cols = k, .ld = k};
        const double bytes = (double)n * (double)(w->row_bytes + 4 * w->n_blocks);
        char what[64];
        snprintf(what, sizeof what, "%dx%dx%d int%d g%d", (int)m, (int)n, (int)k, (int)w->bits,
                 LMN_NBDOT_GROUP << w->shift);
        kc_time(kc, head, what, 2.0 * (double)m * (double)n * (double)k, bytes, bench_one, &t);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_nbdot_run = {"nbdot", "run", check_run, bench_run};
