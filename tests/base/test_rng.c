/*
 * test_rng.c - Philox against the vectors of Random123 (kat_vectors), the distributions by moments,
 * SHA-256 against FIPS 180-4 and NIST's long messages.
 */
#include "t.h"

#include "base/rng.h"
#include "base/sha256.h"

static void test_philox_vectors(t_env *env)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } KAT[] = {{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
               {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
               {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                {0xa4093822, 0x299f31d0},
                {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
    (void)env;
    for (size_t i = 0; i < T_COUNT(KAT); i++) {
        uint32_t got[4];
        lmn_philox4x32(got, KAT[i].counter, KAT[i].key);
        T_MEM_EQ(got, KAT[i].want, sizeof got);
    }
}

static void test_sequences(t_env *env)
{
    lmn_rng a, b;
    uint32_t block[4];
    (void)env;
    lmn_rng_init(&a, 0x0123456789abcdefu, 77);
    lmn_rng_init(&b, 0x0123456789abcdefu, 77);
    b.block = 1; /* jump: the second block alone */
    lmn_philox4x32(block, (const uint32_t[4]){1, 0, 77, 0},
                   (const uint32_t[2]){0x89abcdef, 0x01234567});
    for (int i = 0; i < 4; i++) lmn_rng_u32(&a);
    for (int i = 0; i < 4; i++) {
        uint32_t x = lmn_rng_u32(&a);
        T_EQ(x, lmn_rng_u32(&b));
        T_EQ(x, block[i]);
    }
    lmn_rng_init(&b, 0x0123456789abcdefu, 78);
    T_CHECK(lmn_rng_u64(&a) != lmn_rng_u64(&b));
}

static void test_distributions(t_env *env)
{
    enum { N = 100000 };
    lmn_rng r;
    double sum = 0, squares = 0, normal = 0, normal2 = 0;
    int bins[7] = {0};
    lmn_rng_init(&r, env->seed, 1);
    for (int i = 0; i < N; i++) {
        double u = i & 1 ? (double)lmn_rng_f32(&r) : lmn_rng_f64(&r), z = lmn_rng_normal(&r);
        if (!(u >= 0 && u < 1)) T_NEAR(u, 0.5, 0.5);
        sum += u, squares += u * u, normal += z, normal2 += z * z;
        bins[lmn_rng_below(&r, 7)]++;
    }
    T_NEAR(sum / N, 0.5, 0.005);
    T_NEAR(squares / N, 1.0 / 3, 0.005);
    T_NEAR(normal / N, 0, 0.02);
    T_NEAR(normal2 / N, 1, 0.03);
    for (int i = 0; i < 7; i++) T_NEAR(bins[i], N / 7.0, 600);
    T_EQ(lmn_rng_below(&r, 1), 0);
}

static void check_sha(const void *bytes, size_t n, const char *want)
{
    lmn_sha256 s;
    uint8_t digest[LMN_SHA256_BYTES];
    char hex[2 * LMN_SHA256_BYTES + 1];
    for (size_t step = 1; step <= 200; step += 33) { /* in pieces of any size */
        lmn_sha256_init(&s);
        for (size_t at = 0; at < n; at += step)
            lmn_sha256_add(&s, (const uint8_t *)bytes + at, n - at < step ? n - at : step);
        lmn_sha256_finish(&s, digest);
        lmn_sha256_hex(digest, hex);
        T_STR_EQ(hex, want);
    }
}

static void test_sha256(t_env *env)
{
    static const char TWO[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static uint8_t million[1000000];
    (void)env;
    check_sha("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha(TWO, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', sizeof million);
    check_sha(million, sizeof million,
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

T_MAIN(T_TEST(test_philox_vectors), T_TEST(test_sequences), T_TEST(test_distributions),
       T_TEST(test_sha256))
