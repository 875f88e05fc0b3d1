/*
 * Histograms and the text of metrics: into which bucket a time falls, quantiles, how labels are
 * escaped, and the two formats.
 */
#include "serve/metrics.h"
#include "t.h"

static void test_buckets(t_env *env)
{
    static const struct {
        uint64_t ns;
        uint32_t bucket;
    } CASES[] = {{0, 0},
                 {1, 0},
                 {1000, 0},
                 {1001, 1},
                 {2000, 1},
                 {2001, 2},
                 {4000, 2},
                 {4001, 3},
                 {1024000, 10},
                 {1024001, 11},
                 {33554432000u, 25},
                 {33554432001u, 26},
                 {UINT64_MAX / 4, 26}};
    (void)env;
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        lmn_hist h = {0};
        lmn_hist_sum s = {{0}, 0, 0};
        lmn_hist_add(&h, CASES[i].ns);
        lmn_hist_collect(&s, &h);
        T_EQ(s.n, 1);
        T_EQ(s.bucket[CASES[i].bucket], 1);
        T_EQ(s.sum_ns, CASES[i].ns);
    }
}

static void test_quantiles(t_env *env)
{
    lmn_hist h = {0};
    lmn_hist_sum s = {{0}, 0, 0};
    (void)env;
    T_NEAR(lmn_hist_quantile(&s, 0.5), 0, 0);
    for (int i = 0; i < 99; i++) lmn_hist_add(&h, 100000); /* (64 us, 128 us] */
    lmn_hist_add(&h, 5000000);
    lmn_hist_collect(&s, &h);
    T_CHECK(lmn_hist_quantile(&s, 0.5) > 64e-6 && lmn_hist_quantile(&s, 0.5) <= 128e-6);
    T_CHECK(lmn_hist_quantile(&s, 0.999) > 4e-3 && lmn_hist_quantile(&s, 1) <= 8.192e-3);
}

static void test_text(t_env *env)
{
    for (int open = 0; open < 2; open++) {
        lmn_strbuf b;
        char labels[64] = "";
        lmn_hist h = {0};
        lmn_hist_sum s = {{0}, 0, 0};
        lmn_strbuf_init(&b, &env->alloc, 1 << 16);
        const lmn_metrics_out m = {&b, open, NULL};
        lmn_metric_label(labels, sizeof labels, "a", "x\"y\\z\n");
        lmn_metric_label(labels, sizeof labels, "b", "1");
        T_STR_EQ(labels, "a=\"x\\\"y\\\\z\\n\",b=\"1\"");
        lmn_metric_family(&m, "n_seconds", LMN_METRIC_COUNTER, "seconds", "Help.");
        lmn_metric_u64(&m, "n_seconds", LMN_METRIC_COUNTER, labels, 7);
        lmn_hist_add(&h, 1500);
        lmn_hist_collect(&s, &h);
        lmn_metric_hist(&m, "h", "", &s);
        lmn_metrics_end(&m);
        const char *text = lmn_strbuf_text(&b);
        T_CHECK(
            strstr(text, open ? "# TYPE n_seconds counter\n" : "# TYPE n_seconds_total counter\n"));
        T_CHECK(!!strstr(text, "# UNIT n_seconds seconds\n") == open);
        T_CHECK(!!strstr(text, "# EOF\n") == open);
        T_CHECK(strstr(text, "n_seconds_total{a=\"x\\\"y\\\\z\\n\",b=\"1\"} 7\n") != NULL);
        T_CHECK(strstr(text, "h_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum ") != NULL);
        lmn_strbuf_finish(&b);
    }
}

T_MAIN(T_TEST(test_buckets), T_TEST(test_quantiles), T_TEST(test_text))
