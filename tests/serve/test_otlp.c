/*
 * W3C Trace Context read strictly, and messages of OTLP taken apart again: the Python check has the
 * official messages, this one runs under sanitizers.
 */
#include "t.h"

#include "base/pbwire.h"
#include "serve/server_int.h"

static bool reads(const char *s, lmn_call_trace *t)
{
    return lmn_traceparent_read((lmn_span){(const uint8_t *)s, strlen(s)}, t);
}

static void test_traceparent(t_env *env)
{
    static const char *const BAD[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more"};
    static const char GOOD[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    lmn_call_trace t = {0};
    char text[LMN_TRACEPARENT + 1] = "";
    (void)env;
    for (size_t i = 0; i < LMN_COUNT(BAD); i++) {
        T_CASE(BAD[i]);
        T_CHECK(!reads(BAD[i], &t));
    }
    T_CHECK(reads("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what", &t));
    T_CHECK(reads("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &t));
    T_CHECK(reads(GOOD, &t));
    T_EQ(t.flags, 1);
    memcpy(t.span, t.parent, sizeof t.span);
    t.on = true;
    lmn_traceparent_write(&t, text);
    T_STR_EQ(text, GOOD);
    t.on = false; /* who is not sent does not say so */
    lmn_traceparent_write(&t, text);
    T_STR_EQ(text + 52, "-00");
}

/* The first field of that number; n 0: there is none. Fails where the bytes make no sense. */
static lmn_span field(lmn_span m, uint32_t num, uint32_t skip)
{
    lmn_pb c = lmn_pb_of(m);
    lmn_pb_field f;
    lmn_span out = {0};
    while (lmn_pb_next(&c, &f))
        if (f.num == num && f.wire == LMN_PB_BYTES && !out.p && skip-- == 0) out = f.s;
    T_CHECK(!c.bad);
    return out;
}

static uint64_t number(lmn_span m, uint32_t num)
{
    lmn_pb c = lmn_pb_of(m);
    lmn_pb_field f;
    while (lmn_pb_next(&c, &f))
        if (f.num == num && f.wire != LMN_PB_BYTES) return f.u;
    return 0;
}

static bool is(lmn_span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static lmn_traced sample(void)
{
    lmn_traced t = {.has_parent = true,
                    .status = 503,
                    .began = 1000,
                    .submitted = 1100,
                    .started = 1200,
                    .computed = 1300,
                    .ended = 1400,
                    .rows = 3,
                    .version_number = 7,
                    .state_n = 3};
    memset(t.trace, 1, sizeof t.trace);
    memset(t.span, 2, sizeof t.span);
    memset(t.parent, 3, sizeof t.parent);
    memcpy(t.state, "a=b", 3);
    (void)snprintf(t.model, sizeof t.model, "m");
    return t;
}

static void test_spans(t_env *env)
{
    lmn_strbuf spans, body;
    lmn_traced t = sample();
    lmn_strbuf_init(&spans, &env->alloc, 1 << 24);
    lmn_strbuf_init(&body, &env->alloc, 1 << 24);
    lmn_otlp_spans(&spans, &t, 5000);
    t.submitted = t.started = t.computed = 0; /* refused at its head: no stages */
    lmn_otlp_spans(&spans, &t, 5000);
    lmn_otlp_traces(&body, "name", &spans);
    T_EQ(body.status, LAMINA_OK);
    const lmn_span all = {(const uint8_t *)body.p, body.n}, resource = field(all, 1, 0);
    const lmn_span service = field(field(resource, 1, 0), 1, 0), scope = field(resource, 2, 0);
    T_CHECK(is(field(service, 1, 0), "service.name"));
    T_CHECK(is(field(field(service, 2, 0), 1, 0), "name"));
    T_CHECK(is(field(field(scope, 1, 0), 1, 0), "lamina.serve"));
    static const char *const NAMES[] = {"infer m", "input",  "queue",
                                        "compute", "output", "infer m"};
    for (uint32_t i = 0; i < LMN_COUNT(NAMES); i++) {
        const lmn_span s = field(scope, 2, i);
        T_CASE(NAMES[i]);
        T_CHECK(is(field(s, 5, 0), NAMES[i]));
        T_EQ(field(s, 1, 0).n, LMN_TRACE_ID);
        T_EQ(field(s, 2, 0).n, LMN_SPAN_ID);
        T_EQ(field(s, 4, 0).n, LMN_SPAN_ID);
        T_CHECK(number(s, 7) >= 6000 && number(s, 8) <= 6400);
        for (uint32_t k = 1; k < i && i < 5; k++)
            T_CHECK(memcmp(field(s, 2, 0).p, field(field(scope, 2, k), 2, 0).p, LMN_SPAN_ID) != 0);
    }
    T_EQ(field(scope, 2, 6).n, 0);
    T_CHECK(is(field(field(scope, 2, 0), 3, 0), "a=b"));
    T_EQ(number(field(field(scope, 2, 0), 15, 0), 3), 2);
    lmn_strbuf_finish(&spans);
    lmn_strbuf_finish(&body);
}

/* Lengths of one, two and three bytes. */
static void test_many(t_env *env)
{
    lmn_strbuf spans, body;
    const lmn_traced t = sample();
    uint32_t n = 0;
    lmn_strbuf_init(&spans, &env->alloc, 1 << 24);
    lmn_strbuf_init(&body, &env->alloc, 1 << 24);
    for (int i = 0; i < 200; i++) lmn_otlp_spans(&spans, &t, 0);
    lmn_otlp_traces(&body, "n", &spans);
    const lmn_span scope = field(field((lmn_span){(const uint8_t *)body.p, body.n}, 1, 0), 2, 0);
    lmn_pb c = lmn_pb_of(scope);
    lmn_pb_field f;
    while (lmn_pb_next(&c, &f)) n += f.num == 2;
    T_CHECK(!c.bad);
    T_EQ(n, 1000);
    lmn_strbuf_finish(&spans);
    lmn_strbuf_finish(&body);
}

static void test_metrics(t_env *env)
{
    const double bounds[] = {1, 2};
    const uint64_t counts[] = {4, 5, 6};
    lmn_strbuf b;
    lmn_otlp_out o;
    const lmn_metrics_out m = {.otlp = &o};
    lmn_strbuf_init(&b, &env->alloc, 1 << 20);
    lmn_otlp_metrics_begin(&o, &b, "n", 10, 20);
    lmn_metric_family(&m, "none", LMN_METRIC_GAUGE, NULL, "nobody says it");
    lmn_metric_family(&m, "c", LMN_METRIC_COUNTER, "seconds", "help");
    lmn_metric_u64(&m, "c", LMN_METRIC_COUNTER, "model=\"a\\\"\\\\\\n\",version=\"1\"", 9);
    lmn_metric_family(&m, "h", LMN_METRIC_HISTOGRAM, "bytes", "help");
    lmn_metric_buckets(&m, "h", "", bounds, counts, 2, 1.5);
    lmn_metric_family(&m, "g", LMN_METRIC_GAUGE, NULL, "help");
    lmn_metric_f64(&m, "g", LMN_METRIC_GAUGE, "", 0.5);
    lmn_metric_family(&m, "none2", LMN_METRIC_COUNTER, NULL, "nor this");
    lmn_otlp_metrics_end(&o);
    T_EQ(b.status, LAMINA_OK);
    const lmn_span scope = field(field((lmn_span){(const uint8_t *)b.p, b.n}, 1, 0), 2, 0);
    const lmn_span c = field(scope, 2, 0), h = field(scope, 2, 1), g = field(scope, 2, 2);
    T_CHECK(is(field(c, 1, 0), "c") && is(field(c, 3, 0), "s"));
    const lmn_span point = field(field(c, 7, 0), 1, 0);
    T_EQ(number(point, 6), 9);
    T_EQ(number(point, 2), 10);
    T_EQ(number(point, 3), 20);
    T_CHECK(is(field(field(field(point, 7, 0), 2, 0), 1, 0), "a\"\\\n"));
    T_CHECK(is(field(field(point, 7, 1), 1, 0), "version"));
    const lmn_span hp = field(field(h, 9, 0), 1, 0);
    T_EQ(number(hp, 4), 15);
    T_EQ(field(hp, 6, 0).n, 24);
    T_EQ(field(hp, 7, 0).n, 16);
    T_CHECK(is(field(g, 1, 0), "g") && field(g, 5, 0).n);
    T_EQ(field(scope, 2, 3).n, 0);
    lmn_strbuf_finish(&b);
}

static void test_rejected(t_env *env)
{
    static const uint8_t SOME[] = {0x0a, 0x05, 0x08, 0x07, 0x12, 0x01, 'x'}, CUT[] = {0x0a, 0x05};
    (void)env;
    T_EQ(lmn_otlp_rejected((lmn_span){SOME, sizeof SOME}), 7);
    T_EQ(lmn_otlp_rejected((lmn_span){CUT, sizeof CUT}), 0);
    T_EQ(lmn_otlp_rejected((lmn_span){0}), 0);
}

T_MAIN(T_TEST(test_traceparent), T_TEST(test_spans), T_TEST(test_many), T_TEST(test_metrics),
       T_TEST(test_rejected))
