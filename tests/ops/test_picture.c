/*
 * Picture files that are broken: cut anywhere, bytes changed at random. Each gives a status and a
 * sentence, or pixels; the sanitizer builds see that nothing outside is touched. That whole files
 * decode to the right pixels, tests/conform/cases/test_picture_* say.
 */
#include "lamina/io.h"
#include "op_bench.h"

static const char *const SEEDS[] = {
    "jpeg_420_restart", "jpeg_422_progressive", "jpeg_444",  "jpeg_grey_progressive", "png_palette",
    "png_filters",      "png_grey_1_bit",       "tiff_grey", "bmp_32_bits",           "pnm_grey"};

static lamina_tensor *seed_file(t_env *env, const char *name)
{
    char path[1024];
    lamina_tensor *t = NULL;
    (void)lmn_format(path, sizeof path, "%s/tests/conform/cases/test_picture_%s/test_data_set_0/%s",
                     T_SOURCE_DIR, name, "input_0.pb");
    (void)T_OK(lamina_tensor_load(env->engine, path, LAMINA_KIND_TENSOR, &t, NULL));
    return t;
}

static lamina_status decode(t_env *env, const uint8_t *p, size_t n)
{
    op_bench b;
    const int64_t dims[1] = {(int64_t)n};
    op_begin(&b, env, "ImageDecoder", 1);
    lamina_tensor *t = op_in(&b, LAMINA_U8, 1, dims, NULL);
    if (t && n) memcpy(t->data, p, n);
    const lamina_status st = op_eval(&b);
    if (st != LAMINA_OK) T_CHECK(b.err.msg[0] != 0);
    op_end(&b);
    return st;
}

static void test_truncated(t_env *env)
{
    for (size_t i = 0; i < LMN_COUNT(SEEDS); i++) {
        lamina_tensor *t = seed_file(env, SEEDS[i]);
        if (!t) return;
        for (size_t n = 0; n < t->data_bytes; n += n < 200 ? 1 : 7) {
            const lamina_status st = decode(env, t->data, n);
            T_CHECK(st == LAMINA_OK || st == LAMINA_E_CORRUPT || st == LAMINA_E_UNSUPPORTED);
        }
        T_EQ(decode(env, t->data, t->data_bytes), LAMINA_OK);
        lamina_tensor_unref(t);
    }
}

static void test_changed(t_env *env)
{
    uint64_t r = 88172645463325252u;
    for (size_t i = 0; i < LMN_COUNT(SEEDS); i++) {
        lamina_tensor *t = seed_file(env, SEEDS[i]);
        if (!t) return;
        static uint8_t copy[1 << 16];
        const size_t n = t->data_bytes < sizeof copy ? t->data_bytes : sizeof copy;
        for (int k = 0; k < 300; k++) {
            memcpy(copy, t->data, n);
            for (int c = 0; c < 1 + k % 5; c++) {
                r ^= r << 13;
                r ^= r >> 7;
                r ^= r << 17;
                /* The headers more often than the rest. */
                copy[(r >> 8) % (k % 2 && n > 64 ? 64 : n)] = (uint8_t)(r >> 40);
            }
            (void)decode(env, copy, n);
        }
        lamina_tensor_unref(t);
    }
}

/* Sizes that a small file cannot have are refused before memory is taken for them. */
static void test_absurd_size(t_env *env)
{
    static const uint8_t bmp[54] = {'B', 'M', [10] = 54, [14] = 40,  [18] = 255,
                                    255, 255, 127,       [22] = 255, 255,
                                    255, 127, [26] = 1,  [28] = 24};
    T_EQ(decode(env, bmp, sizeof bmp), LAMINA_E_LIMIT);
    T_EQ(decode(env, (const uint8_t *)"P6 99999 99999 255\n", 19), LAMINA_E_LIMIT);
    T_EQ(decode(env, (const uint8_t *)"P6 0 5 255\n", 11), LAMINA_E_CORRUPT);
    T_EQ(decode(env, (const uint8_t *)"RIFF....WEBPVP8 ", 16), LAMINA_E_UNSUPPORTED);
}

T_MAIN(T_TEST(test_truncated), T_TEST(test_changed), T_TEST(test_absurd_size))
