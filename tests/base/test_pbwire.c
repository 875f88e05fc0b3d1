/*
 * test_pbwire.c - the protobuf cursor: every wire type, every way to be cut short, varints exact.
 */
#include "t.h"

#include "base/pbwire.h"

static lmn_pb of(const char *bytes, size_t n)
{
    return lmn_pb_of((lmn_span){(const uint8_t *)bytes, n});
}

static void test_fields(t_env *env)
{
    static const char MSG[] = "\x08\x96\x01" /* 1: varint 150 */
                              "\x12\x03"
                              "abc"                                  /* 2: bytes */
                              "\x1d\x01\x02\x03\x04"                 /* 3: fixed32 */
                              "\x21\x01\x02\x03\x04\x05\x06\x07\x08" /* 4: fixed64 */
                              "\x2a\x00";                            /* 5: empty bytes */
    lmn_pb c = of(MSG, sizeof MSG - 1);
    lmn_pb_field f;
    (void)env;
    T_CHECK(lmn_pb_next(&c, &f) && f.num == 1 && f.wire == LMN_PB_VARINT && f.u == 150);
    T_CHECK(lmn_pb_next(&c, &f) && f.num == 2 && f.wire == LMN_PB_BYTES && f.s.n == 3);
    T_MEM_EQ(f.s.p, "abc", 3);
    T_CHECK(lmn_pb_next(&c, &f) && f.num == 3 && f.u == 0x04030201);
    T_CHECK(lmn_pb_next(&c, &f) && f.num == 4 && f.u == 0x0807060504030201u);
    T_CHECK(lmn_pb_next(&c, &f) && f.num == 5 && f.s.n == 0);
    T_CHECK(!lmn_pb_next(&c, &f) && !c.bad);
    /* every cut of the message ends or is bad, never reads past */
    for (size_t n = 0; n < sizeof MSG - 1; n++) {
        uint8_t *copy = malloc(n ? n : 1); /* exact end for ASan */
        memcpy(copy, MSG, n);
        c = lmn_pb_of((lmn_span){copy, n});
        while (lmn_pb_next(&c, &f)) {
        }
        T_EQ(c.bad, n != 0 && n != 3 && n != 8 && n != 13 && n != 22);
        free(copy);
    }
}

static void test_refuses(t_env *env)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
    } BAD[] = {{"field number 0", "\x00\x01", 2},
               {"group", "\x0b\x0c", 2},
               {"end of group", "\x0c", 1},
               {"wire type 6", "\x0e", 1},
               {"wire type 7", "\x0f", 1},
               {"length past the end",
                "\x12\x04"
                "abc",
                5},
               {"length of 2^64 - 1", "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 12},
               {"varint of 11 bytes", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12},
               {"varint past 64 bits", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11},
               {"field number past 29 bits", "\xff\xff\xff\xff\xff\x01", 6}};
    (void)env;
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        lmn_pb c = of(BAD[i].bytes, BAD[i].n);
        lmn_pb_field f;
        T_CASE(BAD[i].name);
        T_CHECK(!lmn_pb_next(&c, &f));
        T_CHECK(c.bad);
        T_CHECK(!lmn_pb_next(&c, &f)); /* stays at the end */
    }
    lmn_pb empty = lmn_pb_of((lmn_span){0});
    lmn_pb_field f;
    T_CHECK(!lmn_pb_next(&empty, &f) && !empty.bad);
}

static void test_varints(t_env *env)
{
    for (int i = 0; i < 5000; i++) {
        uint8_t buf[10];
        uint64_t v = t_rand(env) >> (t_rand(env) % 64), back = ~v;
        if (i == 0) v = UINT64_MAX;
        if (i == 1) v = 0;
        size_t n = lmn_pb_put_varint(buf, v);
        T_EQ(n, lmn_pb_varint_bytes(v));
        lmn_pb c = lmn_pb_of((lmn_span){buf, n});
        T_CHECK(lmn_pb_varint(&c, &back) && back == v && c.p == c.end);
        T_CHECK(!lmn_pb_varint(&c, &back) && !c.bad);
    }
}

/* A list read by runs is the list read field by field, wherever it is cut. */
static void test_run(t_env *env)
{
    uint8_t list[400];
    const bool ints = t_rand(env) & 1;
    size_t n = 0, count = 0;
    while (n < sizeof list - 12) {
        list[n++] = ints ? 8 << 3 | LMN_PB_VARINT : 7 << 3 | LMN_PB_FIXED32;
        if (ints) {
            n += lmn_pb_put_varint(list + n, t_rand(env) >> t_rand_int(env, 0, 63));
        } else {
            for (int i = 0; i < 4; i++) list[n++] = (uint8_t)t_rand(env);
        }
    }
    for (size_t cut = 0; cut <= n; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* exact end for ASan */
        memcpy(copy, list, cut);
        uint64_t want[200], got[200];
        lmn_pb_field f;
        lmn_pb a = lmn_pb_of((lmn_span){copy, cut}), b = a;
        for (count = 0; lmn_pb_next(&a, &f); count++) want[count] = f.u;
        size_t at = 0;
        while (lmn_pb_next(&b, &f)) {
            got[at++] = f.u;
            at += lmn_pb_run(&b, &f, got + at, (size_t)t_rand_int(env, 0, (int64_t)(200 - at)));
        }
        T_EQ(at, count);
        T_EQ(a.bad, b.bad);
        if (at == count && at > 0) T_MEM_EQ(got, want, at * sizeof *got);
        free(copy);
    }
}

/* A list of texts with repeats passed over is the list read one by one, wherever it is cut. */
static void test_repeats(t_env *env)
{
    static const uint8_t number[] = {9 << 3 | LMN_PB_VARINT, 1};
    lmn_pb_field once;
    lmn_pb only = lmn_pb_of((lmn_span){number, sizeof number});
    T_CHECK(lmn_pb_next(&only, &once) && lmn_pb_repeats(&only, &once) == 0); /* no text at all */
    static const char *const TEXT[] = {"LEAF", "BRANCH_LEQ", ""};
    uint8_t list[600];
    size_t n = 0;
    while (n < sizeof list - 40) {
        const char *text = TEXT[t_rand(env) % 3];
        const size_t len = strlen(text);
        const bool long_form = t_rand(env) % 8 == 0; /* a length in two bytes says the same */
        for (int64_t same = t_rand_int(env, 1, 3); same > 0 && n < sizeof list - 14; same--) {
            list[n++] = 9 << 3 | LMN_PB_BYTES;
            list[n++] = (uint8_t)(len | (long_form ? 0x80 : 0));
            if (long_form) list[n++] = 0;
            memcpy(list + n, text, len);
            n += len;
        }
    }
    for (size_t cut = 0; cut <= n; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* exact end for ASan */
        memcpy(copy, list, cut);
        lmn_span want[300];
        size_t at = 0, count = 0;
        lmn_pb_field f;
        lmn_pb a = lmn_pb_of((lmn_span){copy, cut}), b = a;
        while (lmn_pb_next(&a, &f)) want[count++] = f.s;
        while (lmn_pb_next(&b, &f))
            for (size_t same = 1 + lmn_pb_repeats(&b, &f); same > 0 && at < count; same--, at++)
                T_CHECK(want[at].n == f.s.n && memcmp(want[at].p, f.s.p, f.s.n) == 0);
        T_EQ(at, count);
        T_EQ(a.bad, b.bad);
        T_CHECK(a.p == b.p);
        free(copy);
    }
}

T_MAIN(T_TEST(test_run), T_TEST(test_repeats), T_TEST(test_fields), T_TEST(test_refuses),
       T_TEST(test_varints))
