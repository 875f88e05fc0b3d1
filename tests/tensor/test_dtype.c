/*
 * test_dtype.c - the small floats and lmn_convert: a table computed by ml_dtypes, and an
 * independent reference that decodes by ldexp and encodes by searching all codes, run over every
 * code, every midpoint and its neighbours.
 */
#include "t.h"
#include "tensor/tensor.h"

/* Bits of an f32, and what ml_dtypes 0.6 makes of it (fp8: saturating and not, in dtype order). */
static const struct golden {
    uint32_t f32;
    uint8_t f8_sat[4], f8[4], f4;
    uint16_t f16, bf16;
} GOLDEN[] = {
    /* clang-format off */
    {0x00000000, {0x00, 0x00, 0x00, 0x00}, {0x00, 0x00, 0x00, 0x00}, 0x0, 0x0000, 0x0000},
    {0x80000000, {0x80, 0x00, 0x80, 0x00}, {0x80, 0x00, 0x80, 0x00}, 0x8, 0x8000, 0x8000},
    {0x7f800000, {0x7e, 0x7f, 0x7b, 0x7f}, {0x7f, 0x80, 0x7c, 0x80}, 0x7, 0x7c00, 0x7f80},
    {0xff800000, {0xfe, 0xff, 0xfb, 0xff}, {0xff, 0x80, 0xfc, 0x80}, 0xf, 0xfc00, 0xff80},
    {0x7fc00000, {0x7f, 0x80, 0x7e, 0x80}, {0x7f, 0x80, 0x7e, 0x80}, 0x8, 0x7e00, 0x7fc0},
    {0x3f800000, {0x38, 0x40, 0x3c, 0x40}, {0x38, 0x40, 0x3c, 0x40}, 0x2, 0x3c00, 0x3f80},
    {0xbfc00000, {0xbc, 0xc4, 0xbe, 0xc2}, {0xbc, 0xc4, 0xbe, 0xc2}, 0xb, 0xbe00, 0xbfc0},
    {0x3dcccccd, {0x1d, 0x25, 0x2e, 0x32}, {0x1d, 0x25, 0x2e, 0x32}, 0x0, 0x2e66, 0x3dcd},
    {0xbdcccccd, {0x9d, 0xa5, 0xae, 0xb2}, {0x9d, 0xa5, 0xae, 0xb2}, 0x8, 0xae66, 0xbdcd},
    {0x3d800000, {0x18, 0x20, 0x2c, 0x30}, {0x18, 0x20, 0x2c, 0x30}, 0x0, 0x2c00, 0x3d80},
    {0x3eaaaaab, {0x2b, 0x33, 0x35, 0x39}, {0x2b, 0x33, 0x35, 0x39}, 0x1, 0x3555, 0x3eab},
    {0x43e00000, {0x7e, 0x7f, 0x5f, 0x63}, {0x7e, 0x80, 0x5f, 0x63}, 0x7, 0x5f00, 0x43e0},
    {0x43e08000, {0x7e, 0x7f, 0x5f, 0x63}, {0x7e, 0x80, 0x5f, 0x63}, 0x7, 0x5f04, 0x43e0},
    {0x43e80000, {0x7e, 0x7f, 0x5f, 0x63}, {0x7e, 0x80, 0x5f, 0x63}, 0x7, 0x5f40, 0x43e8},
    {0x43e80ccd, {0x7e, 0x7f, 0x5f, 0x63}, {0x7f, 0x80, 0x5f, 0x63}, 0x7, 0x5f40, 0x43e8},
    {0x43ef8000, {0x7e, 0x7f, 0x5f, 0x63}, {0x7f, 0x80, 0x5f, 0x63}, 0x7, 0x5f7c, 0x43f0},
    {0xc3f00000, {0xfe, 0xff, 0xe0, 0xe4}, {0xff, 0x80, 0xe0, 0xe4}, 0xf, 0xdf80, 0xc3f0},
    {0x43700000, {0x77, 0x7f, 0x5c, 0x60}, {0x77, 0x7f, 0x5c, 0x60}, 0x7, 0x5b80, 0x4370},
    {0x43770000, {0x77, 0x7f, 0x5c, 0x60}, {0x77, 0x7f, 0x5c, 0x60}, 0x7, 0x5bb8, 0x4377},
    {0x43780000, {0x78, 0x7f, 0x5c, 0x60}, {0x78, 0x80, 0x5c, 0x60}, 0x7, 0x5bc0, 0x4378},
    {0x43790000, {0x78, 0x7f, 0x5c, 0x60}, {0x78, 0x80, 0x5c, 0x60}, 0x7, 0x5bc8, 0x4379},
    {0x47600000, {0x7e, 0x7f, 0x7b, 0x7f}, {0x7f, 0x80, 0x7b, 0x7f}, 0x7, 0x7b00, 0x4760},
    {0x476fff00, {0x7e, 0x7f, 0x7b, 0x7f}, {0x7f, 0x80, 0x7b, 0x7f}, 0x7, 0x7b80, 0x4770},
    {0x47700000, {0x7e, 0x7f, 0x7b, 0x7f}, {0x7f, 0x80, 0x7c, 0x80}, 0x7, 0x7b80, 0x4770},
    {0x47700100, {0x7e, 0x7f, 0x7b, 0x7f}, {0x7f, 0x80, 0x7c, 0x80}, 0x7, 0x7b80, 0x4770},
    {0xc7800000, {0xfe, 0xff, 0xfb, 0xff}, {0xff, 0x80, 0xfc, 0x80}, 0xf, 0xfc00, 0xc780},
    {0x49742400, {0x7e, 0x7f, 0x7b, 0x7f}, {0x7f, 0x80, 0x7c, 0x80}, 0x7, 0x7c00, 0x4974},
    {0xc9742400, {0xfe, 0xff, 0xfb, 0xff}, {0xff, 0x80, 0xfc, 0x80}, 0xf, 0xfc00, 0xc974},
    {0x3c800000, {0x08, 0x10, 0x24, 0x28}, {0x08, 0x10, 0x24, 0x28}, 0x0, 0x2400, 0x3c80},
    {0x3c000000, {0x04, 0x08, 0x20, 0x24}, {0x04, 0x08, 0x20, 0x24}, 0x0, 0x2000, 0x3c00},
    {0x3b000000, {0x01, 0x02, 0x18, 0x1c}, {0x01, 0x02, 0x18, 0x1c}, 0x0, 0x1800, 0x3b00},
    {0x3a800000, {0x00, 0x01, 0x14, 0x18}, {0x00, 0x01, 0x14, 0x18}, 0x0, 0x1400, 0x3a80},
    {0x3a800347, {0x01, 0x01, 0x14, 0x18}, {0x01, 0x01, 0x14, 0x18}, 0x0, 0x1400, 0x3a80},
    {0x3a000000, {0x00, 0x00, 0x10, 0x14}, {0x00, 0x00, 0x10, 0x14}, 0x0, 0x1000, 0x3a00},
    {0xba000000, {0x80, 0x00, 0x90, 0x94}, {0x80, 0x00, 0x90, 0x94}, 0x8, 0x9000, 0xba00},
    {0x3ac00000, {0x01, 0x02, 0x16, 0x1a}, {0x01, 0x02, 0x16, 0x1a}, 0x0, 0x1600, 0x3ac0},
    {0x38800000, {0x00, 0x00, 0x04, 0x08}, {0x00, 0x00, 0x04, 0x08}, 0x0, 0x0400, 0x3880},
    {0x37800000, {0x00, 0x00, 0x01, 0x02}, {0x00, 0x00, 0x01, 0x02}, 0x0, 0x0100, 0x3780},
    {0x37000000, {0x00, 0x00, 0x00, 0x01}, {0x00, 0x00, 0x00, 0x01}, 0x0, 0x0080, 0x3700},
    {0x37c00000, {0x00, 0x00, 0x02, 0x03}, {0x00, 0x00, 0x02, 0x03}, 0x0, 0x0180, 0x37c0},
    {0x36800000, {0x00, 0x00, 0x00, 0x00}, {0x00, 0x00, 0x00, 0x00}, 0x0, 0x0040, 0x3680},
    {0x0da24260, {0x00, 0x00, 0x00, 0x00}, {0x00, 0x00, 0x00, 0x00}, 0x0, 0x0000, 0x0da2},
    {0x40a00000, {0x4a, 0x52, 0x45, 0x49}, {0x4a, 0x52, 0x45, 0x49}, 0x6, 0x4500, 0x40a0},
    {0x40c00000, {0x4c, 0x54, 0x46, 0x4a}, {0x4c, 0x54, 0x46, 0x4a}, 0x7, 0x4600, 0x40c0},
    {0x3e800000, {0x28, 0x30, 0x34, 0x38}, {0x28, 0x30, 0x34, 0x38}, 0x0, 0x3400, 0x3e80},
    {0x3f400000, {0x34, 0x3c, 0x3a, 0x3e}, {0x34, 0x3c, 0x3a, 0x3e}, 0x2, 0x3a00, 0x3f40},
    {0x3e7fe5c9, {0x28, 0x30, 0x34, 0x38}, {0x28, 0x30, 0x34, 0x38}, 0x0, 0x33ff, 0x3e80},
    {0x40200000, {0x42, 0x4a, 0x41, 0x45}, {0x42, 0x4a, 0x41, 0x45}, 0x4, 0x4100, 0x4020},
    {0x40600000, {0x46, 0x4e, 0x43, 0x47}, {0x46, 0x4e, 0x43, 0x47}, 0x6, 0x4300, 0x4060},
    {0x40e00000, {0x4e, 0x56, 0x47, 0x4b}, {0x4e, 0x56, 0x47, 0x4b}, 0x7, 0x4700, 0x40e0},
    {0x41880000, {0x58, 0x60, 0x4c, 0x50}, {0x58, 0x60, 0x4c, 0x50}, 0x7, 0x4c40, 0x4188},
    {0x41980000, {0x5a, 0x62, 0x4d, 0x51}, {0x5a, 0x62, 0x4d, 0x51}, 0x7, 0x4cc0, 0x4198},
    {0x3b7d70a4, {0x02, 0x04, 0x1c, 0x20}, {0x02, 0x04, 0x1c, 0x20}, 0x0, 0x1bec, 0x3b7d},
    /* clang-format on */
};

static float f32_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static void test_golden(t_env *env)
{
    (void)env;
    for (size_t i = 0; i < T_COUNT(GOLDEN); i++) {
        const struct golden *g = &GOLDEN[i];
        char name[32];
        snprintf(name, sizeof name, "%08" PRIx32, g->f32);
        T_CASE(name);
        const float f = f32_bits(g->f32);
        for (int k = 0; k < 4; k++) {
            T_EQ(lmn_f32_to_f8(LAMINA_F8E4M3FN + k, f, true), g->f8_sat[k]);
            T_EQ(lmn_f32_to_f8(LAMINA_F8E4M3FN + k, f, false), g->f8[k]);
        }
        T_EQ(lmn_f32_to_f4(f), g->f4);
        T_EQ(lmn_f32_to_f16(f), g->f16);
        T_EQ(lmn_f32_to_bf16(f), g->bf16);
    }
}

/* A format by its definition: sign, e_bits, m_bits, bias, and which codes are no finite number. */
typedef struct format {
    const char *name;
    lamina_dtype dt;
    int e_bits, m_bits, bias;
    uint32_t max_code; /* largest finite magnitude */
} format;
static const format FORMATS[] = {
    {"f16", LAMINA_F16, 5, 10, 15, 0x7bff},     {"bf16", LAMINA_BF16, 8, 7, 127, 0x7f7f},
    {"e4m3fn", LAMINA_F8E4M3FN, 4, 3, 7, 0x7e}, {"e4m3fnuz", LAMINA_F8E4M3FNUZ, 4, 3, 8, 0x7f},
    {"e5m2", LAMINA_F8E5M2, 5, 2, 15, 0x7b},    {"e5m2fnuz", LAMINA_F8E5M2FNUZ, 5, 2, 16, 0x7f},
    {"e2m1", LAMINA_F4E2M1, 2, 1, 1, 7},
};

static double ref_decode(const format *f, uint32_t mag)
{
    int e = (int)(mag >> f->m_bits), m = (int)(mag & ((1u << f->m_bits) - 1));
    return e ? ldexp((1 << f->m_bits) + m, e - f->bias - f->m_bits)
             : ldexp(m, 1 - f->bias - f->m_bits);
}

/* Nearest code to |d|, ties to the even one; max_code + 1 for overflow. By halving, not by bits. */
static uint32_t ref_encode(const format *f, double d)
{
    uint32_t lo = 0, hi = f->max_code + 1; /* decode(lo) <= d < decode(hi), past-the-end included */
    d = fabs(d);
    if (d >= ref_decode(f, hi)) return hi;
    while (hi - lo > 1) {
        uint32_t mid = (lo + hi) / 2;
        if (ref_decode(f, mid) <= d)
            lo = mid;
        else
            hi = mid;
    }
    double below = d - ref_decode(f, lo), above = ref_decode(f, hi) - d;
    return below < above || (below == above && lo % 2 == 0) ? lo : hi;
}

static uint32_t code_of(const format *f, double d, bool saturate)
{
    uint64_t buf = 0;
    lmn_convert(f->dt, &buf, LAMINA_F64, &d, 1, saturate);
    return (uint32_t)buf;
}

static void check_encode(const format *f, double d)
{
    const uint32_t top = 1u << (f->e_bits + f->m_bits), code = code_of(f, d, true);
    const bool fnuz = f->dt == LAMINA_F8E4M3FNUZ || f->dt == LAMINA_F8E5M2FNUZ;
    uint32_t want = ref_encode(f, d);
    /* f16 and bf16 know no saturation: past the end is infinity, the next code. */
    if (want > f->max_code && f->dt != LAMINA_F16 && f->dt != LAMINA_BF16) want = f->max_code;
    if (signbit(d) && !(fnuz && want == 0)) want |= top;
    if (code != want) t_fail(__FILE__, __LINE__, "%s of %a: %x, not %x", f->name, d, code, want);
    if ((double)(float)d != d) return;
    uint64_t buf = 0;
    const float s = (float)d;
    lmn_convert(f->dt, &buf, LAMINA_F32, &s, 1, true);
    if (buf != want)
        t_fail(__FILE__, __LINE__, "%s of f32 %a: %x, not %x", f->name, d, (unsigned)buf, want);
}

static void test_every_code(t_env *env)
{
    for (size_t k = 0; k < T_COUNT(FORMATS); k++) {
        const format *f = &FORMATS[k];
        const uint32_t top = 1u << (f->e_bits + f->m_bits);
        T_CASE(f->name);
        for (uint32_t mag = 0; mag <= f->max_code; mag++) {
            const double v = ref_decode(f, mag);
            const double half = v + (ref_decode(f, mag + 1) - v) / 2; /* exact in f64 */
            for (int s = 0; s < 2; s++) {
                const bool fnuz = f->dt == LAMINA_F8E4M3FNUZ || f->dt == LAMINA_F8E5M2FNUZ;
                uint64_t code = mag | (s ? top : 0);
                double got;
                float got32;
                lmn_convert(LAMINA_F64, &got, f->dt, &code, 1, true);
                lmn_convert(LAMINA_F32, &got32, f->dt, &code, 1, true);
                const double want = s ? -v : v;
                if (s && fnuz && mag == 0)
                    T_CHECK(isnan(got) && isnan(got32));
                else if (got != want || (double)got32 != want || signbit(got) != signbit(want))
                    t_fail(__FILE__, __LINE__, "%s code %x is %a", f->name, (unsigned)code, got);
                const double sign = s ? -1 : 1;
                check_encode(f, sign * v);
                check_encode(f, sign * half);
                check_encode(f, sign * nextafter(half, 0));
                check_encode(f, sign * nextafter(half, INFINITY));
                check_encode(f, sign * nextafter(v, INFINITY));
                check_encode(f, sign * (double)nextafterf((float)half, 0));
                check_encode(f, sign * (double)nextafterf((float)half, INFINITY));
            }
        }
        for (int i = 0; i < 20000; i++)
            check_encode(f, ldexp(t_rand_real(env, -1, 1), (int)t_rand_int(env, -30, 20)));
        check_encode(f, 5e-324);
        check_encode(f, -1e300);
        check_encode(f, INFINITY);
    }
}

/* The short ways from f32 agree with the general one, NaN payloads included. */
static void test_f32_short_ways(t_env *env)
{
    (void)env;
    uint32_t bad = 0;
    for (uint64_t u = 0; u <= UINT32_MAX; u += 4093) {
        const float f = f32_bits((uint32_t)u);
        bad += lmn_f32_to_f16(f) != lmn_f64_to_f16((double)f);
        bad += lmn_f32_to_bf16(f) != lmn_f64_to_bf16((double)f);
    }
    T_EQ(bad, 0);
    for (uint32_t h = 0x7c01; h < 0x8000; h++) {
        T_CHECK(isnan(lmn_f16_to_f32((uint16_t)h)));
        T_EQ(lmn_f32_to_f16(lmn_f16_to_f32((uint16_t)h)), h | 0x200);
    }
    T_CHECK(isinf(lmn_f16_to_f32(0x7c00)) && lmn_f16_to_f32(0xfc00) < 0);
    T_CHECK(isinf(lmn_f8_to_f32(LAMINA_F8E5M2, 0x7c)) && lmn_f8_to_f32(LAMINA_F8E5M2, 0xfc) < 0);
    for (int v = 0x7d; v < 0x80; v++) T_CHECK(isnan(lmn_f8_to_f32(LAMINA_F8E5M2, (uint8_t)v)));
    T_CHECK(isnan(lmn_f8_to_f32(LAMINA_F8E4M3FN, 0x7f)));
    T_CHECK(isnan(lmn_f8_to_f32(LAMINA_F8E4M3FN, 0xff)));
}

static void test_one_rounding(t_env *env)
{
    (void)env;
    /* Just above a midpoint of the target, but a midpoint once rounded to f32. */
    T_EQ(lmn_f64_to_f16(1 + 0x1p-11 + 0x1p-40), 0x3c01);
    T_EQ(lmn_f64_to_bf16(1 + 0x1p-8 + 0x1p-40), 0x3f81);
    T_EQ(lmn_f64_to_f8(LAMINA_F8E4M3FN, 1 + 0x1p-4 + 0x1p-40, true), 0x39);
    /* 2^60 + 2^36 is a midpoint of f32, 2^60 + 2^52 one of bf16; one more lies above, which f64
       cannot tell. */
    const int64_t i32mid = ((int64_t)1 << 60) + ((int64_t)1 << 36) + 1;
    const int64_t bmid = -(((int64_t)1 << 60) + ((int64_t)1 << 52) + 1);
    const uint64_t umid = ((uint64_t)1 << 63) + ((uint64_t)1 << 39) + 1;
    float f;
    uint16_t b;
    lmn_convert(LAMINA_F32, &f, LAMINA_I64, &i32mid, 1, true);
    T_CHECK(f == 0x1p60f + 0x1p37f);
    lmn_convert(LAMINA_F32, &f, LAMINA_U64, &umid, 1, true);
    T_CHECK(f == 0x1p63f + 0x1p40f);
    lmn_convert(LAMINA_BF16, &b, LAMINA_I64, &bmid, 1, true);
    T_CHECK(lmn_bf16_to_f32(b) == -(0x1p60f + 0x1p53f));
}

static void test_e8m0(t_env *env)
{
    (void)env;
    for (int v = 0; v < 255; v++) {
        const double d = ldexp(1, v - 127);
        T_CHECK((double)lmn_e8m0_to_f32((uint8_t)v) == d);
        for (int mode = 0; mode < 3; mode++) {
            const lmn_e8m0_round r = (lmn_e8m0_round)mode;
            T_EQ(lmn_f64_to_e8m0(d, r, false), v);
            const int next = v < 254 ? v + 1 : 255;
            T_EQ(lmn_f64_to_e8m0(d * 1.25, r, false), r == LMN_E8M0_UP ? next : v);
            T_EQ(lmn_f64_to_e8m0(d * 1.5, r, false), r == LMN_E8M0_DOWN ? v : next);
            T_EQ(lmn_f64_to_e8m0(d * 1.5, r, true), r == LMN_E8M0_DOWN || v == 254 ? v : next);
        }
    }
    T_CHECK(isnan(lmn_e8m0_to_f32(255)));
    T_EQ(lmn_f32_to_e8m0(NAN, LMN_E8M0_UP, true), 255);
    T_EQ(lmn_f32_to_e8m0(-1, LMN_E8M0_UP, true), 255);
    T_EQ(lmn_f32_to_e8m0(INFINITY, LMN_E8M0_UP, true), 254);
    T_EQ(lmn_f32_to_e8m0(INFINITY, LMN_E8M0_NEAREST, false), 255);
    T_EQ(lmn_f32_to_e8m0(0, LMN_E8M0_UP, true), 0);
    T_EQ(lmn_f32_to_e8m0(0, LMN_E8M0_NEAREST, false), 255);
    T_EQ(lmn_f32_to_e8m0(0x1p-140f, LMN_E8M0_UP, true), 0);
}

static void test_float_to_int(t_env *env)
{
    (void)env;
    const struct {
        double d;
        int32_t i32;
        int64_t i64;
        uint64_t u64;
    } cases[] = {
        {300.7, 300, 300, 300},
        {-1.5, -1, -1, UINT64_MAX},
        {-0.9, 0, 0, 0},
        {2147483647.9, INT32_MAX, INT32_MAX, INT32_MAX},
        {2147483648.0, INT32_MIN, 2147483648, 2147483648},
        {-2147483648.9, INT32_MIN, INT32_MIN, (uint64_t)(int64_t)INT32_MIN},
        {0x1p63, INT32_MIN, INT64_MIN, (uint64_t)1 << 63},
        {0x1p63 + 4096, INT32_MIN, INT64_MIN, ((uint64_t)1 << 63) + 4096},
        {1e20, INT32_MIN, INT64_MIN, 0},
        {-1e20, INT32_MIN, INT64_MIN, (uint64_t)1 << 63},
        {INFINITY, INT32_MIN, INT64_MIN, 0},
        {NAN, INT32_MIN, INT64_MIN, (uint64_t)1 << 63},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        int32_t i32;
        int64_t i64;
        uint64_t u64;
        uint32_t u32;
        int8_t i8;
        const double d = cases[i].d;
        const float f = (float)d;
        lmn_convert(LAMINA_I32, &i32, LAMINA_F64, &d, 1, true);
        lmn_convert(LAMINA_I64, &i64, LAMINA_F64, &d, 1, true);
        lmn_convert(LAMINA_U64, &u64, LAMINA_F64, &d, 1, true);
        lmn_convert(LAMINA_U32, &u32, LAMINA_F64, &d, 1, true);
        lmn_convert(LAMINA_I8, &i8, LAMINA_F64, &d, 1, true);
        T_EQ(i32, cases[i].i32);
        T_EQ(i64, cases[i].i64);
        T_EQ(u64, cases[i].u64);
        T_EQ(u32, (uint32_t)cases[i].i64);
        T_EQ(i8, (int8_t)(uint8_t)cases[i].i32);
        if ((double)f != d && d == d) continue;
        lmn_convert(LAMINA_I32, &i32, LAMINA_F32, &f, 1, true);
        lmn_convert(LAMINA_I64, &i64, LAMINA_F32, &f, 1, true);
        T_EQ(i32, cases[i].i32);
        T_EQ(i64, cases[i].i64);
    }
    const float nan = NAN;
    uint8_t b = 9;
    lmn_convert(LAMINA_BOOL, &b, LAMINA_F32, &nan, 1, true);
    T_EQ(b, 1);
}

/* Every pair of types over small whole numbers, which all integer types of a sign can hold. */
static void test_every_pair(t_env *env)
{
    (void)env;
    enum { N = 300 };
    for (lamina_dtype from = 1; from < LAMINA_DTYPE_COUNT; from++) {
        for (lamina_dtype to = 1; to < LAMINA_DTYPE_COUNT; to++) {
            _Alignas(16) uint8_t src[16 * N], dst[16 * N + 1], back[16 * N];
            int64_t one[N], got[N];
            size_t bytes;
            char name[64];
            if (from == LAMINA_STRING || to == LAMINA_STRING) continue;
            snprintf(name, sizeof name, "%s to %s", lamina_dtype_name(from), lamina_dtype_name(to));
            T_CASE(name);
            for (int i = 0; i < N; i++)
                one[i] = i % 3 ? 1 : from == LAMINA_F8E8M0 || to == LAMINA_F8E8M0;
            memset(dst, 0xee, sizeof dst);
            T_CHECK(lmn_dense_bytes(to, N - 1, &bytes));
            lmn_convert(from, src, LAMINA_I64, one, N - 1, true);
            lmn_convert(to, dst, from, src, N - 1, true);
            T_EQ(dst[bytes], 0xee);
            lmn_convert(LAMINA_I64, got, to, dst, N - 1, true);
            T_MEM_EQ(got, one, (N - 1) * sizeof *one);
            lmn_convert(from, back, to, dst, N - 1, true);
            T_CHECK(lmn_dense_bytes(from, N - 1, &bytes));
            T_MEM_EQ(back, src, bytes);
        }
    }
}

static void test_int_wraps(t_env *env)
{
    (void)env;
    const int64_t x = -0x123456789abcdef7;
    for (lamina_dtype dt = 1; dt < LAMINA_DTYPE_COUNT; dt++) {
        const lmn_dclass c = lmn_dtype_class(dt);
        const uint32_t bits = lamina_dtype_bits(dt);
        if (c != LMN_CLASS_SINT && c != LMN_CLASS_UINT) continue;
        uint64_t packed = 0;
        int64_t got;
        lmn_convert(dt, &packed, LAMINA_I64, &x, 1, true);
        lmn_convert(LAMINA_I64, &got, dt, &packed, 1, true);
        const uint64_t low = (uint64_t)x << (64 - bits);
        T_CASE(lamina_dtype_name(dt));
        T_EQ(got,
             c == LMN_CLASS_SINT ? (int64_t)low >> (64 - bits) : (int64_t)(low >> (64 - bits)));
    }
}

static void test_sub_byte(t_env *env)
{
    const lamina_dtype types[] = {LAMINA_I4, LAMINA_U4, LAMINA_I2, LAMINA_U2, LAMINA_F4E2M1};
    for (size_t k = 0; k < T_COUNT(types); k++) {
        const lamina_dtype dt = types[k];
        const int bits = (int)lamina_dtype_bits(dt);
        int32_t want[37];
        uint8_t packed[19];
        T_CASE(lamina_dtype_name(dt));
        memset(packed, 0xff, sizeof packed);
        for (int i = 0; i < 37; i++) {
            const int32_t raw = (int32_t)t_rand_int(env, 0, (1 << bits) - 1);
            want[i] = lmn_dtype_class(dt) == LMN_CLASS_SINT && raw >> (bits - 1) ? raw - (1 << bits)
                                                                                 : raw;
            lmn_sub_set(dt, packed, i, want[i]);
        }
        for (int i = 0; i < 37; i++) {
            const int at = i * bits;
            T_EQ(lmn_sub_get(dt, packed, i), want[i]);
            T_EQ(packed[at / 8] >> at % 8 & ((1 << bits) - 1), want[i] & ((1 << bits) - 1));
        }
    }
    /* The unused bits of the last byte are cleared. */
    const int8_t three[3] = {-1, -1, -1};
    uint8_t out[2] = {0xff, 0xff};
    lmn_convert(LAMINA_I4, out, LAMINA_I8, three, 3, true);
    T_EQ(out[1], 0x0f);
    lmn_convert(LAMINA_U2, out, LAMINA_I8, three, 3, true);
    T_EQ(out[0], 0x3f);
}

static void test_facts(t_env *env)
{
    (void)env;
    for (lamina_dtype dt = -1; dt <= LAMINA_DTYPE_COUNT; dt++) {
        const bool valid = dt > 0 && dt < LAMINA_DTYPE_COUNT;
        T_EQ(lmn_dtype_valid(dt), valid);
        if (valid)
            T_EQ(lmn_dtype_from_name(lamina_dtype_name(dt)), dt);
        else
            T_STR_EQ(lamina_dtype_name(dt), "unknown");
        if (!valid) T_EQ(lamina_dtype_bits(dt), 0);
    }
    T_STR_EQ(lamina_dtype_name(LAMINA_BF16), "bfloat16");
    T_EQ(lamina_dtype_bits(LAMINA_C128), 128);
    T_EQ(lmn_dtype_bytes(LAMINA_STRING), sizeof(lmn_str));
    T_EQ(lmn_dtype_bytes(LAMINA_I4), 0);
    T_EQ(lmn_dtype_from_name("float12"), LAMINA_DTYPE_NONE);
    T_EQ(lmn_dtype_class(LAMINA_F8E8M0), LMN_CLASS_FLOAT);
}

T_MAIN(T_TEST(test_golden), T_TEST(test_every_code), T_TEST(test_f32_short_ways),
       T_TEST(test_one_rounding), T_TEST(test_e8m0), T_TEST(test_float_to_int),
       T_TEST(test_every_pair), T_TEST(test_int_wraps), T_TEST(test_sub_byte), T_TEST(test_facts))
