/*
 * The file of choices: what is written reads back; every damaged, foreign or impossible line is
 * passed over and counted, the lines around it count; later lines win; no word of a line makes a
 * plan overflow.
 */
#include "tune/tune_file.h"

#include "t.h"

#define MACHINE 0x1234abcd5678ef09u

static lmn_kset rows(t_env *env)
{
    lmn_kset set;
    T_CHECK(lmn_kset_choose(&env->engine->cpu, NULL, &set));
    return set;
}

static lmn_tune_key gemm_key(int64_t m, int64_t n, int64_t k)
{
    const lmn_gemm_shape s = {.m = m, .n = n, .k = k, .n_batch = 1};
    const lmn_tune_around a = {.items = 1, .threads = 1};
    return lmn_tune_key_gemm(&s, &a);
}

static lmn_tune_key int_key(void)
{
    const lmn_qgemm_shape s = {.m = 64, .n = 96, .k = 128, .n_batch = 1};
    const lmn_tune_around a = {.items = 1, .threads = 1};
    return lmn_tune_key_qgemm(&s, &a);
}

static lmn_tune_key conv_key(int64_t c, int64_t side)
{
    const lmn_conv_geom g = {.n = 1,
                             .c_in = c,
                             .c_out = c,
                             .groups = 1,
                             .in = {1, side, side},
                             .out = {1, side, side},
                             .kernel = {1, 3, 3},
                             .stride = {1, 1, 1},
                             .dilation = {1, 1, 1},
                             .pad = {0, 1, 1},
                             .threads = 2};
    const lmn_tune_around a = {.items = 1, .threads = 2};
    return lmn_tune_key_conv(&g, &a);
}

static lmn_tune_record record(lmn_tune_key key, lmn_choice c, double gain)
{
    return (lmn_tune_record){key, c, gain};
}

/* The rules of portable rows take no choice. */
static bool portable(const lmn_kset *set)
{
    return set->gemm_f32->head.isa == 0;
}

static lmn_tune_table read_text(t_env *env, const char *text, size_t n, const lmn_tune_origin *from)
{
    lmn_tune_table t;
    lmn_tune_table_init(&t, &env->alloc);
    T_OK(lmn_tune_table_read(&t, (lmn_span){(const uint8_t *)text, n}, from));
    return t;
}

static void test_round_trip(t_env *env)
{
    const lmn_kset set = rows(env);
    if (portable(&set)) T_SKIP("portable rows take no choice");
    const lmn_tune_origin from = {MACHINE, "0.1.0", &set};
    char text[16 * LMN_TUNE_LINE_MAX];
    size_t n = 0;
    for (int64_t i = 1; i <= 6; i++) {
        const lmn_choice c = {LMN_CHOICE_PACKED, 0, set.gemm_f32->nr, 0};
        const lmn_tune_record r = record(gemm_key(100 * i, 200, 300), c, 1.0625);
        n += lmn_tune_line(&r, &from, text + n);
    }
    const lmn_tune_record w =
        record(conv_key(32, 28), (lmn_choice){LMN_CHOICE_WINO_U, 0, 2, 0}, 1.5);
    n += lmn_tune_line(&w, &from, text + n);
    const lmn_tune_record again = record(gemm_key(100, 200, 300), (lmn_choice){0, 0, 0, 0}, 1);
    n += lmn_tune_line(&again, &from, text + n);
    lmn_tune_table t = read_text(env, text, n, &from);
    T_EQ(t.n, 7);
    T_EQ(lmn_tune_table_ignored(&t), 0);
    for (int64_t i = 1; i <= 6; i++) {
        const lmn_tune_key k = gemm_key(100 * i, 200, 300);
        const lmn_tune_record *r = lmn_tune_table_find(&t, &k);
        T_REQUIRE(r);
        T_EQ(r->choice.path,
             i == 1 ? LMN_CHOICE_RULE : LMN_CHOICE_PACKED); /* the last line counts */
        T_CHECK(i == 1 || fabs(r->gain - 1.0625) < 1e-4);
    }
    const lmn_tune_key other = gemm_key(100, 200, 301);
    T_CHECK(!lmn_tune_table_find(&t, &other));
    T_CHECK(lmn_tune_table_find(&t, &w.key)->choice.nc == 2);
    lmn_tune_table_finish(&t);
}

/* Every single byte changed, every cut: never taken for something else than it was. */
static void test_damage(t_env *env)
{
    const lmn_kset set = rows(env);
    if (portable(&set)) T_SKIP("portable rows take no choice");
    const lmn_tune_origin from = {MACHINE, "0.1.0", &set};
    char good[2 * LMN_TUNE_LINE_MAX], bad[2 * LMN_TUNE_LINE_MAX];
    const lmn_tune_record a =
        record(gemm_key(64, 96, 128), (lmn_choice){LMN_CHOICE_DIRECT, 0, 0, 0}, 1.1);
    const lmn_tune_record b =
        record(gemm_key(65, 96, 128), (lmn_choice){LMN_CHOICE_DIRECT, 0, 0, 0}, 1.1);
    const size_t first = lmn_tune_line(&a, &from, good);
    const size_t n = first + lmn_tune_line(&b, &from, good + first);
    for (size_t i = 0; i < first; i++) {
        memcpy(bad, good, n);
        bad[i] = (char)(bad[i] ^ (1 << t_rand_int(env, 0, 6)));
        lmn_tune_table t = read_text(env, bad, n, &from);
        T_CHECK(!lmn_tune_table_find(&t, &a.key));
        T_CHECK(lmn_tune_table_ignored(&t) >= 1);
        T_CHECK(i + 1 == first || lmn_tune_table_find(&t, &b.key)); /* the newline was hit */
        lmn_tune_table_finish(&t);
    }
    for (size_t cut = 0; cut < n; cut++) {
        lmn_tune_table t = read_text(env, good, cut, &from);
        T_EQ(t.n, cut >= first);
        T_EQ(lmn_tune_table_ignored(&t), cut != 0 && cut != first);
        lmn_tune_table_finish(&t);
    }
}

static void test_reasons(t_env *env)
{
    const lmn_kset set = rows(env);
    if (portable(&set)) T_SKIP("portable rows take no choice");
    const lmn_tune_origin from = {MACHINE, "0.1.0", &set};
    const lmn_tune_origin machine = {MACHINE + 1, "0.1.0", &set},
                          library = {MACHINE, "0.0.9", &set};
    lmn_kset ref = set;
    ref.gemm_f32 = &lmn_gemm_f32_rows[0];
    if (ref.gemm_f32 == set.gemm_f32) ref.gemm_f32 = &lmn_gemm_f32_rows[1];
    const lmn_tune_origin row = {MACHINE, "0.1.0", &ref};
    const lmn_choice ok = {LMN_CHOICE_PACKED, 0, 0, 0};
    const struct {
        const lmn_tune_origin *from;
        lmn_tune_record r;
        int32_t why;
    } CASES[] = {
        {&machine, record(gemm_key(64, 96, 128), ok, 1.1), LMN_TUNE_MACHINE},
        {&library, record(gemm_key(64, 96, 128), ok, 1.1), LMN_TUNE_LIBRARY},
        {&row, record(gemm_key(64, 96, 128), ok, 1.1), LMN_TUNE_ROW},
        {&from, record(gemm_key(64, 96, 128), (lmn_choice){0, 7, 0, 0}, 1.1), LMN_TUNE_IMPOSSIBLE},
        {&from, record(gemm_key(64, 96, 128), (lmn_choice){0, 0, 1, 0}, 1.1), LMN_TUNE_IMPOSSIBLE},
        {&from, record(gemm_key(64, 96, 128), (lmn_choice){LMN_CHOICE_WINO_U, 0, 0, 0}, 1.1),
         LMN_TUNE_IMPOSSIBLE},
        {&from, record(gemm_key(64, 96, 128), (lmn_choice){LMN_CHOICE_STREAMED, 0, 0, 0}, 1.1),
         LMN_TUNE_IMPOSSIBLE},
        {&from, record(gemm_key(0, 96, 128), ok, 1.1), LMN_TUNE_IMPOSSIBLE},
        {&from, record(gemm_key(INT32_MAX, INT32_MAX, INT32_MAX), ok, 1.1), LMN_TUNE_IMPOSSIBLE},
        {&from, record(gemm_key(INT64_MIN, 96, 128), ok, 1.1), LMN_TUNE_IMPOSSIBLE},
        {&from, record(gemm_key(64, 96, 128), ok, 0), LMN_TUNE_IMPOSSIBLE},
        {&from, record(int_key(), ok, 1.1), LMN_TUNE_IMPOSSIBLE},
        {&from, record(conv_key(0, 28), ok, 1.1), LMN_TUNE_IMPOSSIBLE},
        {&from, record(conv_key(16, INT32_MAX), (lmn_choice){LMN_CHOICE_OWN, 0, 0, 0}, 1.1),
         LMN_TUNE_IMPOSSIBLE},
    };
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        char line[LMN_TUNE_LINE_MAX];
        const size_t n = lmn_tune_line(&CASES[i].r, CASES[i].from, line);
        lmn_tune_table t = read_text(env, line, n, &from);
        T_CASE(line);
        T_EQ(t.n, 0);
        T_EQ(t.ignored[CASES[i].why], 1);
        lmn_tune_table_finish(&t);
    }
    static const char NEWER[] = "lamina-tune-2 whatever it says\n\n\x01\n";
    lmn_tune_table t = read_text(env, NEWER, sizeof NEWER - 1, &from);
    T_EQ(t.ignored[LMN_TUNE_FORMAT], 1);
    T_EQ(t.ignored[LMN_TUNE_DAMAGED], 2);
    lmn_tune_table_finish(&t);
}

/* Words at random, large ones often: sane or not, nothing overflows (the sanitizer looks). */
static void test_wild_keys(t_env *env)
{
    const lmn_kset set = rows(env);
    int sane = 0;
    for (int i = 0; i < 20000; i++) {
        lmn_tune_key k = i % 3 == 0 ? gemm_key(1, 1, 1) : i % 3 == 1 ? conv_key(1, 1) : int_key();
        for (int32_t w = 0; w < k.n; w++) {
            const int64_t kind = t_rand_int(env, 0, 9);
            if (kind < 6) continue;
            k.word[w] = kind == 6   ? t_rand_int(env, 0, 4)
                        : kind == 7 ? t_rand_int(env, 1, 3000)
                        : kind == 8 ? (int64_t)1 << t_rand_int(env, 0, 33)
                                    : (int64_t)t_rand(env);
        }
        if (!lmn_tune_key_sane(&k)) continue;
        const lmn_choice c = {
            (int32_t)t_rand_int(env, 0, LMN_CHOICE_COUNT - 1), (int32_t)t_rand_int(env, 0, 9) * 48,
            (int32_t)t_rand_int(env, 0, 9) * 48, (int32_t)t_rand_int(env, 0, 9) * 16};
        char text[128];
        (void)lmn_tune_possible(&k, &set, &c);
        lmn_tune_key_text(&k, text, sizeof text);
        sane++;
    }
    T_CHECK(sane > 1000);
}

static void test_file(t_env *env)
{
    const lmn_kset set = lmn_tune_kset(env->engine);
    if (portable(&set)) T_SKIP("portable rows take no choice");
    char path[512], raw[8];
    (void)t_path(env, "a/b/choices", path, sizeof path);
    lmn_tune_table t;
    T_OK(lmn_tune_load(env->engine, path, &t)); /* none is an empty one */
    T_EQ(t.n, 0);
    lmn_tune_record r[3];
    for (int i = 0; i < 3; i++)
        r[i] = record(gemm_key(64 + i, 96, 128), (lmn_choice){LMN_CHOICE_DIRECT, 0, 0, 0}, 1.1);
    lamina_error err;
    T_OK_ERR(lmn_tune_append(env->engine, path, r, 2, &err), &err);
    FILE *f = fopen(path, "ab"); /* a writer was killed */
    T_REQUIRE(f);
    fputs("lamina-tune-1 torn", f);
    fclose(f);
    T_OK_ERR(lmn_tune_append(env->engine, path, r + 2, 1, &err), &err);
    T_OK(lmn_tune_load(env->engine, path, &t));
    T_EQ(t.n, 3);
    T_EQ(t.ignored[LMN_TUNE_DAMAGED], 1);
    lmn_tune_table_finish(&t);
    t_fail_alloc(env, 1);
    T_EQ(lmn_tune_load(env->engine, path, &t), LAMINA_E_NOMEM);
    t_fail_alloc(env, 2);
    T_EQ(lmn_tune_load(env->engine, path, &t), LAMINA_E_NOMEM);
    t_fail_alloc(env, 0);
    T_OK(lmn_tune_load(env->engine, env->dir, &t)); /* a folder is no file */
    T_EQ(t.n, 0);
    T_CHECK(lmn_tune_append(env->engine, env->dir, r, 1, &err) != LAMINA_OK);
    T_CHECK(lmn_tune_path(env->engine, "x", raw, sizeof raw) && !strcmp(raw, "x"));
    T_CHECK(!lmn_tune_path(env->engine, "off", raw, sizeof raw));
    T_CHECK(!lmn_tune_path(env->engine, "too long a path", raw, sizeof raw));
}

T_MAIN(T_TEST(test_round_trip), T_TEST(test_damage), T_TEST(test_reasons), T_TEST(test_wild_keys),
       T_TEST(test_file))
