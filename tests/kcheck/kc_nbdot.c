/*
 * kcheck drivers of products with packed weights, with rows as they are (nbits) and rounded
 * (nbdot), the latter also with weights in panels: against f64 sums, and bit by bit against the
 * reference row. Class exact.
 */
#include "kcheck/kcheck.h"

#include "kernels/nbits/nbits.h"
#include "kernels/nbits/nbpanel.h"

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

/* The first cases are one row by four whole runs of panels, every kind of weights in turn: what
   such products have of their own is seldom drawn. */
enum { KINDS = 8 };
static void draw(kc_ctx *kc, product *p, int c)
{
    const bool runs = c < KINDS;
    const bool big = kc_int(kc, 0, 7) == 0;
    memset(p, 0, sizeof *p);
    p->k = big ? kc_int(kc, 1000, 5000) : lmn_max_i64(1, kc_extent(kc, 32, 300));
    lmn_nbdot_block *b = &p->b;
    lmn_nbdot_weights *w = &b->w;
    b->m = kc_int(kc, big ? 1 : 0, big ? 9 : 19), b->n = kc_int(kc, 0, big ? 5 : 14);
    if (kc_int(kc, 0, 7) == 0) {
        b->n += kc_int(kc, 1, 260);     /* more than four strips of panels, */
        if (kc_int(kc, 0, 1)) b->m = 1; /* which one row takes side by side */
    }
    if (runs) b->m = 1, b->n = kc_int(kc, 225, 256);
    b->groups = lmn_nbdot_groups(p->k), b->ldy = b->n + kc_int(kc, 0, 2);
    w->bits = (runs ? c & 1 : kc_int(kc, 0, 1)) ? 4 : 8;
    w->shift = runs && c & 2 ? 0 : (int32_t)kc_int(kc, 0, 4);
    const int64_t block = (int64_t)LMN_NBDOT_GROUP << w->shift;
    w->n_blocks = (p->k + block - 1) / block;
    w->row_bytes = w->n_blocks * block * w->bits / 8;
    w->q = random_bytes(
        kc, b->n ? (b->n - 1) * w->row_bytes + b->groups * LMN_NBDOT_GROUP * w->bits / 8 : 0);
    w->scale = kc_input(kc, KC_REAL, b->n, w->n_blocks, w->n_blocks).p;
    w->zp_bytes = (w->n_blocks * w->bits + 7) / 8;
    if (runs ? c & 4 : kc_int(kc, 0, 1)) w->zp = random_bytes(kc, b->n * w->zp_bytes);
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
        row->pack(dst + i * p->b.a_step, p->x.p + i * p->x.ld, p->k, p->b.w.bits, p->b.m > 1);
}

static void check_run(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_nbdot_row *row = nbdot_row(head), *ref = &lmn_nbdot_i8_rows[0];
    const int n_cases = kc_quick(kc) ? 150 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        product p;
        draw(kc, &p, c);
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

/* --- panels --------------------------------------------------------------------------------- */

/* Panels of the product's weights. */
static lmn_nbpanels panels_of(kc_ctx *kc, const product *p)
{
    lmn_nbdot_weights w = p->b.w;
    lmn_nbpanels t = {
        .n_blocks = w.n_blocks, .bits = w.bits, .shift = w.shift, .zps = w.zp != NULL};
    const int64_t n = p->b.n, beyond = (w.n_blocks << w.shift) - p->b.groups;
    const size_t bytes = (size_t)(n * w.row_bytes);
    /* The last row of weights ends with its last group, and is to end with its last block. */
    uint8_t *whole = kc_buffer(kc, bytes);
    uint8_t *panels = kc_buffer(kc, (size_t)(lmn_nbpanel_strips(n) * lmn_nbpanel_strip_bytes(&t)));
    memset(whole, 0, bytes);
    if (n) memcpy(whole, w.q, bytes - (size_t)(beyond * 4 * w.bits));
    w.q = whole;
    KC_CALL(kc, lmn_nbpanel_make(panels, &t, &w, n));
    t.p = panels;
    return t;
}

static lmn_nbpanel_block panel_block(const product *p, const lmn_nbpanels *w, const uint8_t *a,
                                     float *y)
{
    const lmn_nbdot_block *b = &p->b;
    lmn_nbpanel_block t = {.w = *w,
                           .a = a,
                           .m = b->m,
                           .n = b->n,
                           .groups = b->groups,
                           .bias = b->bias,
                           .y = y,
                           .ldy = b->ldy};
    t.end = lmn_nbpanel_places(&t);
    return t;
}

static void pack_panel_rows(const lmn_nbpanel_fns *f, const product *p, const lmn_nbpanels *w,
                            uint8_t *a)
{
    for (int64_t i = 0; i < p->b.m; i++)
        lmn_nbpanel_pack(f, a, p->x.p + i * p->x.ld, p->b.m, i, p->k, w);
}

static void check_panel(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_nbpanel_fns *f = lmn_nbpanel_of(nbdot_row(head)), *ref = &lmn_nbpanel_i8[0];
    const int n_cases = kc_quick(kc) ? 150 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        product p;
        draw(kc, &p, c);
        const lmn_nbpanels w = panels_of(kc, &p);
        const size_t bytes = (size_t)lmn_nbpanel_a_bytes(f->tile_m, p.b.m, p.k, w.bits);
        uint8_t *a = kc_buffer(kc, bytes), *a_ref = kc_buffer(kc, bytes);
        lmn_nbpanel_fns likewise = *ref; /* with our tiles */
        likewise.tile_m = f->tile_m;
        const kc_mat y = kc_output(kc, p.b.m, p.b.n, p.b.ldy);
        const kc_mat z = kc_output(kc, p.b.m, p.b.n, p.b.ldy);
        char what[96];
        snprintf(what, sizeof what, "panels m=%d n=%d k=%d bits=%d shift=%d zp=%d", (int)p.b.m,
                 (int)p.b.n, (int)p.k, (int)w.bits, (int)w.shift, w.zps);
        KC_CALL(kc, pack_panel_rows(f, &p, &w, a));
        pack_panel_rows(&likewise, &p, &w, a_ref);
        if (bytes && memcmp(a, a_ref, bytes) != 0) kc_fail(kc, "%s: packed rows differ", what);
        lmn_nbpanel_block b = panel_block(&p, &w, a, y.p);
        /* in two calls */
        const int64_t places = b.end;
        b.end = kc_int(kc, 0, places);
        KC_CALL(kc, f->run(&b));
        b.first = b.end, b.end = places;
        KC_CALL(kc, f->run(&b));
        b.first = 0;
        judge(kc, &p, &y, what);
        pack_panel_rows(ref, &p, &w, a_ref);
        b.a = a_ref, b.y = z.p;
        ref->run(&b);
        kc_expect_bits(kc, &y, &z, what);
    }
}

/* One row by panels whose runs lie megabytes apart, of which the first places alone are there:
   kernels fetch where weights are many. Bit by bit what the same strips give beside each other. */
static void check_far(kc_ctx *kc, const lmn_krow *head)
{
    enum { SIDE = LMN_NBPANEL_RUNS * LMN_NBPANEL_ROWS };
    const lmn_nbpanel_fns *f = lmn_nbpanel_of(nbdot_row(head)), *ref = &lmn_nbpanel_i8[0];
    for (int c = 0; c < 2 * KINDS; c++) {
        kc_case(kc);
        product p;
        draw(kc, &p, c % KINDS);
        p.b.n = SIDE, p.b.bias = NULL;
        const lmn_nbpanels near = panels_of(kc, &p);
        const int64_t strip = lmn_nbpanel_strip_bytes(&near);
        const int64_t run = (c < KINDS ? (5 << 20) : (3 << 20)) / strip;
        uint8_t *panels = kc_buffer(kc, (size_t)((3 * run + 1) * strip));
        for (int64_t i = 0; i < LMN_NBPANEL_RUNS; i++)
            memcpy(panels + i * run * strip, near.p + i * strip, (size_t)strip);
        uint8_t *a = kc_buffer(kc, (size_t)lmn_nbpanel_a_bytes(f->tile_m, 1, p.k, near.bits));
        const int64_t apart = run * LMN_NBPANEL_ROWS;
        const kc_mat y = kc_output(kc, LMN_NBPANEL_RUNS, LMN_NBPANEL_ROWS, apart);
        const kc_mat z = kc_output(kc, LMN_NBPANEL_RUNS, LMN_NBPANEL_ROWS, LMN_NBPANEL_ROWS);
        pack_panel_rows(f, &p, &near, a);
        lmn_nbpanel_block b = panel_block(&p, &near, a, z.p);
        ref->run(&b);
        b.w.p = panels, b.n = LMN_NBPANEL_RUNS * apart, b.y = y.p, b.end = LMN_NBPANEL_RUNS;
        KC_CALL(kc, f->run(&b));
        char what[96];
        snprintf(what, sizeof what, "far k=%d bits=%d shift=%d zp=%d", (int)p.k, (int)near.bits,
                 (int)near.shift, near.zps);
        kc_expect_bits(kc, &y, &z, what);
    }
}

/* --- nbits ---------------------------------------------------------------------------------- */

static const lmn_nbits_row *nbits_row(const lmn_krow *row)
{
    return (const lmn_nbits_row *)(const void *)row;
}

static double exact_product(const product *p, const lmn_nbits_block *b, int64_t i, int64_t j,
                            double *bound)
{
    const uint8_t *q = b->w.q + j * b->w.row_bytes;
    double y = b->bias ? b->bias[j] : 0, mag = fabs(y);
    for (int64_t k = 0; k < p->k; k++) {
        const int64_t block = (k / LMN_NBDOT_GROUP) >> b->w.shift;
        const int v = b->w.bits == 8 ? q[k] : (q[k / 2] >> (k % 2 * 4)) & 15;
        const float w =
            ((float)v - lmn_nbits_zp_at(b, j, block)) * b->w.scale[j * b->w.n_blocks + block];
        y += (double)w * (double)p->x.p[i * p->x.ld + k];
        mag += fabs((double)w * (double)p->x.p[i * p->x.ld + k]);
    }
    *bound = kc_dot_bound(p->k + 8, mag) + 1e-37;
    return y;
}

static void check_mul(kc_ctx *kc, const lmn_krow *head)
{
    const int n_cases = kc_quick(kc) ? 120 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        product p;
        draw(kc, &p, c);
        /* Whole groups; weights and scales are then those of the first columns. */
        p.k = p.k / LMN_NBDOT_GROUP * LMN_NBDOT_GROUP;
        lmn_nbits_block b = {.w = p.b.w, .m = p.b.m, .n = p.b.n, .bias = p.b.bias, .ldy = p.b.ldy};
        b.groups = p.k / LMN_NBDOT_GROUP, b.a_step = p.k + kc_int(kc, 0, 3);
        if (kc_int(kc, 0, 2) == 0)
            b.zp_f32 = kc_input(kc, KC_REAL, b.n, b.w.n_blocks, b.w.n_blocks).p;
        const kc_mat a = kc_output(kc, b.m, p.k, b.a_step);
        const kc_mat y = kc_output(kc, b.m, b.n, b.ldy), z = kc_output(kc, b.m, b.n, b.ldy);
        for (int64_t i = 0; i < b.m && p.k > 0; i++) {
            if (b.w.bits == 4)
                lmn_nbits_halves(a.p + i * a.ld, p.x.p + i * p.x.ld, b.groups);
            else
                memcpy(a.p + i * a.ld, p.x.p + i * p.x.ld, (size_t)p.k * sizeof *a.p);
        }
        char what[96];
        snprintf(what, sizeof what, "m=%d n=%d k=%d bits=%d shift=%d zp=%d%d", (int)b.m, (int)b.n,
                 (int)p.k, (int)b.w.bits, (int)b.w.shift, b.w.zp != NULL, b.zp_f32 != NULL);
        double *want = kc_doubles(kc, b.m * b.n), *bound = kc_doubles(kc, b.m * b.n);
        for (int64_t i = 0; i < b.m; i++)
            for (int64_t j = 0; j < b.n; j++)
                want[i * b.n + j] = exact_product(&p, &b, i, j, &bound[i * b.n + j]);
        b.a = a.p, b.y = y.p;
        KC_CALL(kc, nbits_row(head)->mul(&b));
        kc_expect(kc, &y, want, bound, what);
        b.y = z.p;
        lmn_nbits_f32_rows[0].mul(&b);
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

typedef struct mul_bench {
    const lmn_nbits_row *row;
    lmn_nbits_block b;
    const float *x;
    float *a;
} mul_bench;

static void mul_one(void *arg)
{
    mul_bench *t = arg;
    t->b.a = t->x;
    for (int64_t i = 0; i < t->b.m && t->b.w.bits == 4; i++)
        lmn_nbits_halves(t->a + i * t->b.a_step, t->x + i * t->b.a_step, t->b.groups);
    if (t->b.w.bits == 4) t->b.a = t->a;
    t->row->mul(&t->b);
}

static const struct {
    int64_t m, n, k;
    int32_t bits, shift;
} bench_shapes[] = {{1, 1024, 1024, 4, 0},  {1, 4096, 4096, 4, 0},  {1, 16384, 8192, 4, 0},
                    {1, 16384, 8192, 4, 2}, {1, 8192, 8192, 8, 0},  {4, 4096, 4096, 4, 0},
                    {8, 4096, 4096, 4, 0},  {8, 4096, 4096, 4, 2},  {8, 4096, 4096, 8, 0},
                    {8, 1024, 1024, 4, 0},  {128, 1024, 1024, 4, 0}};

/* Shape i as a product of nbdot; the text names it. */
static product bench_product(kc_ctx *kc, size_t i, char what[64])
{
    const int64_t m = bench_shapes[i].m, n = bench_shapes[i].n, k = bench_shapes[i].k;
    product p = {.k = k};
    lmn_nbdot_block *b = &p.b;
    lmn_nbdot_weights *w = &b->w;
    b->m = m, b->n = n, b->groups = lmn_nbdot_groups(k), b->ldy = n;
    b->a_step = lmn_nbdot_packed_bytes(k);
    w->bits = bench_shapes[i].bits, w->shift = bench_shapes[i].shift;
    w->n_blocks = b->groups >> w->shift, w->row_bytes = k * w->bits / 8;
    w->q = (const uint8_t *)kc_bench_floats(kc, n * w->row_bytes / 4);
    w->scale = kc_bench_floats(kc, n * w->n_blocks);
    b->y = kc_bench_floats(kc, m * n);
    p.x = (kc_mat){.p = kc_bench_floats(kc, m * k), .rows = m, .cols = k, .ld = k};
    snprintf(what, 64, "%dx%dx%d int%d g%d", (int)m, (int)n, (int)k, (int)w->bits,
             LMN_NBDOT_GROUP << w->shift);
    return p;
}

static double bench_bytes(const product *p)
{
    return (double)p->b.n * (double)(p->b.w.row_bytes + 4 * p->b.w.n_blocks);
}
static double bench_ops(const product *p)
{
    return 2.0 * (double)p->b.m * (double)p->b.n * (double)p->k;
}

static void bench_run(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        char what[64];
        nbdot_bench t = {.row = nbdot_row(head), .p = bench_product(kc, i, what)};
        t.p.b.a = (const uint8_t *)kc_bench_floats(kc, t.p.b.m * t.p.b.a_step / 4);
        kc_time(kc, head, what, bench_ops(&t.p), bench_bytes(&t.p), bench_one, &t);
        kc_bench_reset(kc);
    }
}

static void bench_mul(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        char what[64];
        const product p = bench_product(kc, i, what);
        mul_bench t = {.row = nbits_row(head), .x = p.x.p};
        t.b = (lmn_nbits_block){.w = p.b.w, .m = p.b.m, .n = p.b.n, .groups = p.b.groups};
        t.b.a_step = p.k, t.b.y = p.b.y, t.b.ldy = p.b.n;
        t.a = kc_bench_floats(kc, p.b.m * p.k);
        kc_time(kc, head, what, bench_ops(&p), bench_bytes(&p), mul_one, &t);
        kc_bench_reset(kc);
    }
}

typedef struct panel_bench {
    const lmn_nbpanel_fns *f;
    product p;
    lmn_nbpanel_block b;
} panel_bench;

static void bench_panel_one(void *arg)
{
    panel_bench *t = arg;
    pack_panel_rows(t->f, &t->p, &t->b.w, (uint8_t *)(uintptr_t)t->b.a);
    t->f->run(&t->b);
}

static void bench_panel(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        char what[64];
        panel_bench t = {.f = lmn_nbpanel_of(nbdot_row(head)), .p = bench_product(kc, i, what)};
        const lmn_nbdot_weights *from = &t.p.b.w;
        lmn_nbpanels w = {.n_blocks = from->n_blocks, .bits = from->bits, .shift = from->shift};
        const int64_t bytes = lmn_nbpanel_strips(t.p.b.n) * lmn_nbpanel_strip_bytes(&w);
        uint8_t *panels = (uint8_t *)kc_bench_floats(kc, bytes / 4);
        lmn_nbpanel_make(panels, &w, from, t.p.b.n);
        w.p = panels;
        const int64_t a_bytes = lmn_nbpanel_a_bytes(t.f->tile_m, t.p.b.m, t.p.k, w.bits);
        const uint8_t *a = (const uint8_t *)kc_bench_floats(kc, a_bytes / 4);
        t.b = panel_block(&t.p, &w, a, t.p.b.y);
        kc_time(kc, head, what, bench_ops(&t.p), bench_bytes(&t.p), bench_panel_one, &t);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_nbpanel_run = {"nbdot", "panel", check_panel, bench_panel};
const kc_driver kc_nbpanel_far = {"nbdot", "far", check_far, NULL};
const kc_driver kc_nbdot_run = {"nbdot", "run", check_run, bench_run};
const kc_driver kc_nbits_mul = {"nbits", "mul", check_mul, bench_mul};
