/*
 * Ranges, scales, rounding and packing against values computed by hand.
 */
#include "quantize/qparams.h"
#include "t.h"

#define NEAR(a, b) T_CHECK(fabs((double)(a) - (double)(b)) <= 1e-6 * (1 + fabs((double)(b))))

static void test_range(t_env *env)
{
    (void)env;
    const float first[] = {0.5F, -0.25F, NAN, INFINITY, 3.0F}, second[] = {-2.0F, -INFINITY};
    lmn_qrange r = {0};
    float lo, hi;
    lmn_qrange_cut(&r, 99, &lo, &hi); /* nothing seen */
    T_CHECK(lo == 0 && hi == 0);
    lmn_qrange_add(&r, second + 1, 1); /* nothing finite */
    T_EQ(r.n, 0);
    lmn_qrange_add(&r, first, 5);
    lmn_qrange_add(&r, second, 2);
    T_EQ(r.n, 4);
    lmn_qrange_cut(&r, 99, &lo, &hi); /* without bins: everything */
    T_CHECK(lo == -2.0F && hi == 3.0F);
    lmn_qrange positive = {0};
    lmn_qrange_add(&positive, first, 1);
    T_CHECK(positive.lo == 0.5F && positive.hi == 0.5F);
}

/* 1000 values k / 1000 and one outlier of 100: the outlier is cut, the rest stays. */
static void test_percentile(t_env *env)
{
    (void)env;
    static uint64_t bins[LMN_QRANGE_BINS];
    static float x[1000];
    memset(bins, 0, sizeof bins);
    lmn_qrange r = {.bins = bins};
    const float zeros[3] = {0}, far = 100.0F;
    float lo, hi;
    for (int k = 0; k < 1000; k++) x[k] = (float)(k + 1) / 1000.0F;
    lmn_qrange_add(&r, zeros, 3);
    T_CHECK(r.span == 0);
    lmn_qrange_add(&r, x, 1000);
    T_CHECK(r.span == 2.0); /* the power of two above 1 */
    lmn_qrange_add(&r, &far, 1);
    T_CHECK(r.span == 128.0);
    uint64_t n = 0;
    for (int i = 0; i < LMN_QRANGE_BINS; i++) n += bins[i];
    T_EQ(n, 1004);
    T_EQ(bins[LMN_QRANGE_BINS / 2], 3 + 62); /* width 1/16: zeros, and 0.001 to 0.062 */
    lmn_qrange_cut(&r, 100, &lo, &hi);
    T_CHECK(lo == 0 && hi == 100.0F);
    lmn_qrange_cut(&r, 99.7, &lo, &hi); /* 1.5 values beyond on each side */
    T_CHECK(lo == 0 && hi > 0.9F && hi < 1.1F);
}

/* Bins of negative values merge outwards as those of positive ones do. */
static void test_doubling(t_env *env)
{
    (void)env;
    static uint64_t bins[LMN_QRANGE_BINS];
    memset(bins, 0, sizeof bins);
    lmn_qrange r = {.bins = bins};
    const int half = LMN_QRANGE_BINS / 2;
    const float near[] = {-0.999F, 0.999F, -0.0001F, 0.0001F}, far[] = {-1.5F, 1.5F};
    lmn_qrange_add(&r, near, 4);
    T_EQ(bins[2], 1);                   /* floor of -2045.9 */
    T_EQ(bins[LMN_QRANGE_BINS - 1], 0); /* 0.999 * 2048 = 2045.9 */
    T_EQ(bins[half + 2045], 1);
    lmn_qrange_add(&r, far, 2);
    T_CHECK(r.span == 2.0);
    T_EQ(bins[half - 1], 1);
    T_EQ(bins[half], 1);
    T_EQ(bins[half + 1022], 1);
    T_EQ(bins[half - 1023], 1);
    T_EQ(bins[half + 1536], 1);
    T_EQ(bins[half - 1536], 1);
}

static void test_scale(t_env *env)
{
    (void)env;
    lmn_qscale s = lmn_qscale_of(-1.0F, 3.0F, false);
    NEAR(s.scale, 4.0 / 255);
    T_EQ(s.zero, 64); /* 63.75 */
    s = lmn_qscale_of(-1.0F, 3.0F, true);
    T_EQ(s.zero, -64);                     /* -128 + 63.75 = -64.25 */
    s = lmn_qscale_of(0.5F, 2.55F, false); /* 0 is always in the range */
    NEAR(s.scale, 0.01);
    T_EQ(s.zero, 0);
    s = lmn_qscale_of(-2.55F, -1.0F, false);
    NEAR(s.scale, 0.01);
    T_EQ(s.zero, 255);
    s = lmn_qscale_of(0, 0, true);
    T_CHECK(s.scale == 1.0F && s.zero == -128);
    s = lmn_qscale_of(0, 1e-44F, false); /* a scale that would be denormal */
    T_CHECK(s.scale == 1.0F && s.zero == 0);
}

static void test_weights_i8(t_env *env)
{
    (void)env;
    /* channels are columns: [outer 2, chans 2, inner 1] */
    const float w[4] = {1.0F, -127.0F, -0.5F, 2.5F};
    int8_t q[4];
    float scale[2];
    lmn_qloss loss = {0};
    lmn_qweights view = {.p = (const uint8_t *)w, .outer = 2, .chans = 2, .inner = 1, .mul = 1};
    lmn_qweights_i8(&view, q, scale, &loss);
    NEAR(scale[0], 1.0 / 127);
    NEAR(scale[1], 1.0);
    T_EQ(q[0], 127);
    T_EQ(q[2], -64); /* -63.5 to even */
    T_EQ(q[1], -127);
    T_EQ(q[3], 2); /* 2.5 to even */
    NEAR(loss.ref2, 1 + 127.0 * 127 + 0.25 + 6.25);
    NEAR(loss.err2, 0.25 + 0.25 / 127 / 127);
    /* one scale for all, doubled first, and a floor under it */
    const double floor[1] = {4.0};
    view = (lmn_qweights){
        .p = (const uint8_t *)w, .outer = 1, .chans = 1, .inner = 4, .mul = 2, .floor = floor};
    lmn_qweights_i8(&view, q, scale, &loss);
    T_CHECK(scale[0] == 4.0F);
    T_EQ(q[1], -64); /* -63.5 to even */
    T_EQ(q[3], 1);   /* 1.25 */
    const float none[2] = {0, 0};
    view = (lmn_qweights){.p = (const uint8_t *)none, .outer = 1, .chans = 1, .inner = 2, .mul = 1};
    lmn_qweights_i8(&view, q, scale, &loss);
    T_CHECK(scale[0] == 1.0F && q[0] == 0 && q[1] == 0);
}

/* Bytes that do not lie on a multiple of four are read all the same. */
static void test_unaligned(t_env *env)
{
    (void)env;
    const float w[2] = {1.0F, -1.0F};
    uint8_t bytes[9];
    int8_t q[2];
    float scale;
    lmn_qloss loss = {0};
    memcpy(bytes + 1, w, sizeof w);
    const lmn_qweights view = {.p = bytes + 1, .outer = 1, .chans = 1, .inner = 2, .mul = 1};
    lmn_qweights_i8(&view, q, &scale, &loss);
    T_EQ(q[0], 127);
    T_EQ(q[1], -127);
}

static void test_int4_zero_points(t_env *env)
{
    (void)env;
    /* [k 20, n 1], blocks of 16: the first 0..15, the second -3..0 and 12 weights that are not
     * there */
    float w[20];
    uint8_t q[2 * 8], zero[1];
    float scale[2];
    lmn_qloss loss = {0};
    for (int k = 0; k < 16; k++) w[k] = (float)k;
    for (int k = 16; k < 20; k++) w[k] = (float)(k - 19);
    const lmn_qmatrix m = {(const uint8_t *)w, 20, 1, 1, 1, 1.0F};
    T_EQ(lmn_qblocks(20, 16), 2);
    lmn_qweights_i4(&m, 16, q, scale, zero, &loss);
    NEAR(scale[0], 1.0);
    NEAR(scale[1], 0.2);
    T_EQ(zero[0], 0xf0); /* 0 for the first, 15 for the second */
    for (int i = 0; i < 8; i++) T_EQ(q[i], (2 * i) | (2 * i + 1) << 4);
    T_EQ(q[8], 0 | 5 << 4);
    T_EQ(q[9], 10 | 15 << 4);
    T_EQ(q[10], 0xff); /* past the end: zero points */
    NEAR(loss.err2, 0.0);
}

static void test_int4_symmetric(t_env *env)
{
    (void)env;
    /* rows of [n 2, k 16] as Gemm with transB has them */
    float w[32] = {0};
    uint8_t q[2 * 8];
    float scale[2];
    lmn_qloss loss = {0};
    w[0] = -8.0F;
    w[1] = 7.0F;
    w[2] = 0.5F; /* to even: 0 */
    w[3] = 7.9F; /* beyond 7 */
    w[16] = 4.0F;
    w[17] = -3.5F;
    const lmn_qmatrix m = {(const uint8_t *)w, 16, 2, 1, 16, 1.0F};
    lmn_qweights_i4(&m, 16, q, scale, NULL, &loss);
    T_CHECK(scale[0] == 1.0F);
    T_EQ(q[0], 0 | 15 << 4);
    T_EQ(q[1], 8 | 15 << 4);
    T_EQ(q[2], 0x88);
    T_CHECK(scale[1] == -0.5F); /* the farther end is positive: it takes the eighth step */
    T_EQ(q[8], 0 | 15 << 4);
    T_EQ(q[9], 0x88);
    NEAR(loss.err2, 0.25 + 0.9 * 0.9);
}

static void test_bias(t_env *env)
{
    (void)env;
    T_EQ(lmn_qbias(1.25, 0.5), 2);   /* 2.5 to even */
    T_EQ(lmn_qbias(-1.75, 0.5), -4); /* -3.5 to even */
    T_EQ(lmn_qbias(1e30, 1e-3), INT32_MAX);
    T_EQ(lmn_qbias(-1e30, 1e-3), INT32_MIN);
    T_EQ(lmn_qbias((double)NAN, 1), 0);
}

T_MAIN(T_TEST(test_range), T_TEST(test_percentile), T_TEST(test_doubling), T_TEST(test_scale),
       T_TEST(test_weights_i8), T_TEST(test_unaligned), T_TEST(test_int4_zero_points),
       T_TEST(test_int4_symmetric), T_TEST(test_bias))
