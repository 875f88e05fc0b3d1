/*
 * The search for one problem under a fake clock: how many pairs it takes, who wins, the 3 % rule,
 * ties, noise, the sign test, an early end.
 */
#include "tune/tune_search.h"

#include "t.h"

/* Feeds times from a table until the search is done; how many it took. */
static int drive(lmn_search *s, const double *ns, int most)
{
    int n = 0;
    while (!s->done && n < most) {
        lmn_search_feed(s, ns[lmn_search_next(s)]);
        n++;
    }
    return n;
}

static void test_counts(t_env *env)
{
    (void)env;
    static const struct {
        const char *name;
        double rival;
        int feeds;
        int32_t winner;
    } CASES[] = {
        {"faster", 90, 30, 1},
        {"just above", 100 / 1.031, 30, 1},
        {"just below", 100 / 1.029, 30, 0},
        {"hopeless", 99.9, 12, 0},
        {"equal", 100, 12, 0},
        {"slower", 103, 6, 0},
        {"twice as fast", 50, 30, 1},
    };
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        T_CASE(CASES[i].name);
        lmn_search s;
        const double ns[] = {100, CASES[i].rival};
        lmn_search_init(&s, 1);
        T_EQ(drive(&s, ns, 1000), CASES[i].feeds);
        T_EQ(s.winner, CASES[i].winner);
        T_CHECK(fabs(s.gain - 100 / CASES[i].rival) < 1e-3);
        T_EQ(lmn_search_next(&s), 0);
        T_EQ(lmn_search_left(&s), 0);
    }
}

static void test_order(t_env *env)
{
    (void)env;
    lmn_search s;
    lmn_search_init(&s, 2);
    static const int32_t WANT[] = {0, 1, 0, 2, 1, 0, 2, 0, 0, 1, 0, 2};
    for (size_t i = 0; i < T_COUNT(WANT); i++) {
        T_EQ(lmn_search_next(&s), WANT[i]);
        lmn_search_feed(&s, WANT[i] ? 95 : 100);
    }
    /* after three pairs each, the first of two equals stays */
    T_CHECK(!s.out[1] && s.out[2]);
    lmn_search_init(&s, 0);
    T_CHECK(s.done && s.winner == 0);
}

static void test_many(t_env *env)
{
    for (int32_t n = 1; n <= LMN_CHOICE_MOST; n++) {
        lmn_search s;
        double ns[LMN_CHOICE_MOST + 1];
        const int32_t best = (int32_t)t_rand_int(env, 1, n);
        for (int32_t i = 0; i <= n; i++) ns[i] = 100 + t_rand_real(env, -4, 9);
        ns[0] = 100, ns[best] = 85;
        lmn_search_init(&s, n);
        T_EQ(lmn_search_left(&s), lmn_search_cost(n));
        const int feeds = drive(&s, ns, 10000);
        T_CHECK(feeds <= 2 * lmn_search_cost(n));
        T_EQ(s.winner, best);
    }
}

static void test_left_falls(t_env *env)
{
    lmn_search s;
    lmn_search_init(&s, 9);
    int32_t before = lmn_search_left(&s);
    while (!s.done) {
        const double ns = lmn_search_next(&s) ? 94 : 100;
        lmn_search_feed(&s, ns * t_rand_real(env, 0.999, 1.001));
        T_CHECK(lmn_search_left(&s) <= before);
        before = lmn_search_left(&s);
    }
    T_CHECK(s.winner > 0);
}

/* Searches under noise of a tenth: how many of 300 find a winner. */
static int winners(t_env *env, double rival)
{
    int won = 0;
    for (int i = 0; i < 300; i++) {
        lmn_search s;
        lmn_search_init(&s, 6);
        while (!s.done) {
            const double ns = lmn_search_next(&s) ? rival : 100;
            lmn_search_feed(&s, ns * t_rand_real(env, 0.95, 1.05));
        }
        won += s.winner > 0;
    }
    return won;
}

static void test_noise(t_env *env)
{
    const int none = winners(env, 100), true_gain = winners(env, 88);
    T_CHECK(none <= 6);
    T_CHECK(true_gain >= 290);
}

static void test_disturbed(t_env *env)
{
    (void)env;
    lmn_search s;
    lmn_search_init(&s, 1);
    lmn_search_feed(&s, 100);
    lmn_search_again(&s); /* the pair begins anew */
    T_EQ(lmn_search_next(&s), 0);
    lmn_search_feed(&s, -1);
    lmn_search_feed(&s, 0);
    lmn_search_feed(&s, NAN);
    T_EQ(lmn_search_next(&s), 0);
    T_EQ(s.pairs[1].n, 0);
}

static void test_stop(t_env *env)
{
    (void)env;
    const double ns[] = {100, 80, 80, 80};
    lmn_search s;
    lmn_search_init(&s, 3);
    (void)drive(&s, ns, 20); /* too few pairs to say anything */
    lmn_search_stop(&s);
    T_CHECK(s.done && s.winner == 0);
    lmn_search_init(&s, 3);
    lmn_search_stop(&s);
    T_CHECK(s.done && s.winner == 0 && s.gain == 0);
    lmn_search_init(&s, 1);
    (void)drive(&s, ns, 1000);
    lmn_search_stop(&s); /* what is decided stays */
    T_EQ(s.winner, 1);
}

static void test_sign(t_env *env)
{
    (void)env;
    static const struct {
        int32_t n, wins;
        bool sure;
    } CASES[] = {{15, 12, false}, {15, 13, true}, {31, 22, false}, {31, 23, true}, {7, 7, true},
                 {6, 6, false},   {19, 15, true}, {19, 14, false}, {0, 0, false}};
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        lmn_pairs p = {.n = CASES[i].n};
        for (int32_t k = 0; k < p.n; k++) p.ratio[k] = k < CASES[i].wins ? 1.1f : 1.0f;
        T_EQ(lmn_pairs_sure(&p), CASES[i].sure);
    }
    const lmn_pairs even = {{4, 1, 3, 2}, 4};
    T_CHECK(lmn_pairs_median(&even) == 2.5);
}

T_MAIN(T_TEST(test_counts), T_TEST(test_order), T_TEST(test_many), T_TEST(test_left_falls),
       T_TEST(test_noise), T_TEST(test_disturbed), T_TEST(test_stop), T_TEST(test_sign))
