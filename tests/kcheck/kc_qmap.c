/*
 * kcheck driver of the qmap family: every function against its definition, element by element.
 * Class exact.
 */
#include "kcheck/kcheck.h"

#include "kernels/qmap/qmap.h"

static lmn_qmap_side some_side(kc_ctx *kc)
{
    static const float odd[] = {0.0f, INFINITY, NAN, 1e-40f, 1e38f};
    lmn_qmap_side s = {(float)kc_int(kc, 1, 1 << 20) * 0x1p-18f, (int32_t)kc_int(kc, 0, 255)};
    if (kc_int(kc, 0, 9) == 0) s.scale = odd[kc_int(kc, 0, 4)];
    return s;
}

static float real_of(uint8_t x, uint8_t flip, lmn_qmap_side q)
{
    return (float)((x ^ flip) - q.zp) * q.scale;
}

static uint8_t byte_of(float x, uint8_t flip, lmn_qmap_side q)
{
    const double r = isnan(x) ? 0.0 : rint((double)x), v = r + q.zp;
    return (uint8_t)((uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v) ^ flip);
}

/* The first difference, if there is one. */
static void expect(kc_ctx *kc, const uint8_t *got, const uint8_t *want, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++) {
        if (got[i] == want[i]) continue;
        kc_fail(kc, "%s: element %d of %d is %d, not %d", what, (int)i, (int)n, got[i], want[i]);
        return;
    }
}

static void check_floats(kc_ctx *kc, const lmn_qmap_row *row, int64_t n, uint8_t flip)
{
    const lmn_qmap_side q = some_side(kc);
    const kc_mat x = kc_input(kc, (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1), 1, n, n);
    uint8_t *got = kc_buffer(kc, (size_t)n), *want = kc_buffer(kc, (size_t)n);
    KC_CALL(kc, row->quantize(got, x.p, n, &q, flip));
    for (int64_t i = 0; i < n; i++) want[i] = byte_of(x.p[i] / q.scale, flip, q);
    expect(kc, got, want, n, "quantize");
    float *real = kc_buffer(kc, (size_t)n * sizeof *real);
    KC_CALL(kc, row->dequantize(real, got, n, &q, flip));
    for (int64_t i = 0; i < n; i++) {
        const float v = real_of(got[i], flip, q);
        if (real[i] != v && !(isnan(real[i]) && isnan(v)))
            kc_fail(kc, "dequantize: element %d is %g, not %g", (int)i, (double)real[i], (double)v);
    }
}

static void check_pair(kc_ctx *kc, const lmn_qmap_row *row, int64_t n, uint8_t flip)
{
    lmn_qmap_pair p = {.kind = (lmn_qmap_kind)kc_int(kc, 0, 1), .n = n, .flip = flip};
    p.a_one = kc_int(kc, 0, 3) == 0, p.b_one = kc_int(kc, 0, 3) == 0;
    p.a = kc_bytes(kc, p.a_one ? 1 : n), p.b = kc_bytes(kc, p.b_one ? 1 : n);
    p.qa = some_side(kc), p.qb = some_side(kc), p.qc = some_side(kc);
    if (kc_int(kc, 0, 2) == 0) { /* many sums in the middle between two integers */
        p.qb.scale = p.qa.scale;
        p.qc.scale = p.qa.scale * (float)kc_int(kc, 1, 4) * 0.5f;
    }
    p.dst = kc_buffer(kc, (size_t)n);
    uint8_t *want = kc_buffer(kc, (size_t)n);
    KC_CALL(kc, row->pair(&p));
    for (int64_t i = 0; i < n; i++) {
        const float a = real_of(p.a[p.a_one ? 0 : i], flip, p.qa);
        const float b = real_of(p.b[p.b_one ? 0 : i], flip, p.qb);
        want[i] = byte_of((p.kind == LMN_QMAP_ADD ? a + b : a * b) / p.qc.scale, flip, p.qc);
    }
    expect(kc, p.dst, want, n, "pair");
}

static void check_bytes(kc_ctx *kc, const lmn_qmap_row *row, int64_t n, uint8_t flip)
{
    const int64_t step = kc_int(kc, 1, 3);
    const uint8_t *x = kc_bytes(kc, n ? (n - 1) * step + 1 : 0);
    uint8_t *got = kc_bytes(kc, n), *want = kc_buffer(kc, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        const uint8_t a = got[i] ^ flip, b = x[i * step] ^ flip;
        want[i] = (uint8_t)((a > b ? a : b) ^ flip);
    }
    KC_CALL(kc, row->max(got, x, n, step, flip));
    expect(kc, got, want, n, "max");
    const uint8_t ends[2] = {(uint8_t)kc_int(kc, 0, 255), (uint8_t)kc_int(kc, 0, 255)};
    for (int64_t i = 0; i < n; i++) {
        uint8_t v = x[i] ^ flip;
        v = v < ends[0] ? ends[0] : v;
        want[i] = (uint8_t)((v > ends[1] ? ends[1] : v) ^ flip);
    }
    KC_CALL(kc, row->clip(got, x, n, ends, flip));
    expect(kc, got, want, n, "clip");
    const lmn_qmap_side sides[2] = {some_side(kc), some_side(kc)};
    const uint8_t flips[2] = {flip, kc_int(kc, 0, 1) ? 0x80 : 0};
    for (int64_t i = 0; i < n; i++)
        want[i] = byte_of(real_of(x[i], flip, sides[0]) / sides[1].scale, flips[1], sides[1]);
    KC_CALL(kc, row->requantize(got, x, n, sides, flips));
    expect(kc, got, want, n, "requantize");
}

static void check_bounds(kc_ctx *kc, const lmn_qmap_row *row, int64_t n)
{
    const kc_mat x = kc_input(kc, (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1), 1, n, n);
    float got[2] = {kc_int(kc, 0, 1) ? 0.0f : 0.25f, kc_int(kc, 0, 1) ? 0.0f : -0.25f};
    float want[2] = {got[0], got[1]};
    bool whole = true, found = false;
    for (int64_t i = 0; i < n; i++) {
        want[0] = x.p[i] < want[0] ? x.p[i] : want[0];
        want[1] = x.p[i] > want[1] ? x.p[i] : want[1];
        whole = whole && !isnan(x.p[i]);
    }
    KC_CALL(kc, found = row->bounds(x.p, n, got));
    if (got[0] != want[0] || got[1] != want[1] || found != whole)
        kc_fail(kc, "bounds of %d: %g and %g, not %g and %g", (int)n, (double)got[0],
                (double)got[1], (double)want[0], (double)want[1]);
}

static void check_sums(kc_ctx *kc, const lmn_qmap_row *row, int64_t n, uint8_t flip)
{
    const lmn_qmap_side q = some_side(kc);
    const uint8_t *x = kc_bytes(kc, n);
    double *got = kc_buffer(kc, (size_t)n * sizeof *got);
    for (int64_t i = 0; i < n; i++) got[i] = (double)kc_int(kc, 0, 9);
    double *want = kc_buffer(kc, (size_t)n * sizeof *want);
    for (int64_t i = 0; i < n; i++) want[i] = got[i] + (double)real_of(x[i], flip, q);
    KC_CALL(kc, row->add_up(got, x, n, &q, flip));
    for (int64_t i = 0; i < n; i++)
        if (got[i] != want[i] && !(isnan(got[i]) && isnan(want[i])))
            kc_fail(kc, "add_up: element %d is %g, not %g", (int)i, got[i], want[i]);
}

static void check_all(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_qmap_row *row = (const lmn_qmap_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 200 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        const int64_t n = kc_extent(kc, 16, c % 8 ? 90 : 700);
        const uint8_t flip = kc_int(kc, 0, 1) ? 0x80 : 0;
        check_floats(kc, row, n, flip);
        check_pair(kc, row, n, flip);
        check_bytes(kc, row, n, flip);
        check_bounds(kc, row, n);
        check_sums(kc, row, n, flip);
    }
}

/* --- bench ---------------------------------------------------------------------------------- */

typedef struct map_bench {
    const lmn_qmap_row *row;
    float *x;
    uint8_t *a, *b, *c;
    int64_t n;
    lmn_qmap_side q;
} map_bench;

static void bench_quantize(void *arg)
{
    const map_bench *b = arg;
    b->row->quantize(b->c, b->x, b->n, &b->q, 0);
}
static void bench_dequantize(void *arg)
{
    const map_bench *b = arg;
    b->row->dequantize(b->x, b->a, b->n, &b->q, 0);
}
static void bench_add(void *arg)
{
    const map_bench *b = arg;
    const lmn_qmap_pair p = {
        .a = b->a, .b = b->b, .dst = b->c, .n = b->n, .qa = b->q, .qb = b->q, .qc = b->q};
    b->row->pair(&p);
}
static void bench_max(void *arg)
{
    const map_bench *b = arg;
    b->row->max(b->c, b->a, b->n / 2, 2, 0);
}
static void bench_requantize(void *arg)
{
    const map_bench *b = arg;
    const lmn_qmap_side sides[2] = {b->q, {0.03f, 100}};
    const uint8_t flips[2] = {0, 0};
    b->row->requantize(b->c, b->a, b->n, sides, flips);
}

static void bench_all(kc_ctx *kc, const lmn_krow *head)
{
    map_bench b = {.row = (const lmn_qmap_row *)(const void *)head, .n = 65536, .q = {0.02f, 128}};
    b.x = kc_bench_floats(kc, b.n);
    b.a = (uint8_t *)kc_bench_floats(kc, b.n / 4), b.b = (uint8_t *)kc_bench_floats(kc, b.n / 4);
    b.c = (uint8_t *)kc_bench_floats(kc, b.n / 4);
    const double n = (double)b.n;
    kc_time(kc, head, "quantize 65536", n, 5 * n, bench_quantize, &b);
    kc_time(kc, head, "dequantize 65536", n, 5 * n, bench_dequantize, &b);
    kc_time(kc, head, "add 65536", n, 3 * n, bench_add, &b);
    kc_time(kc, head, "max 32768 of stride 2", n / 2, n, bench_max, &b);
    kc_time(kc, head, "requantize 65536", n, 2 * n, bench_requantize, &b);
    kc_bench_reset(kc);
}

const kc_driver kc_qmap_all = {"qmap", "all", check_all, bench_all};
