/*
 * Settings of traces and of the log: what is taken, what is refused and why, what a model has of
 * its own, which requests are traced then.
 */
#include "t.h"

#include "serve/server_int.h"

static lmn_span span(const char *s)
{
    return (lmn_span){(const uint8_t *)s, strlen(s)};
}

static lamina_status change(lamina_server *s, bool log, const char *model, const char *json,
                            lamina_error *err)
{
    lmn_settings_edit e;
    *err = (lamina_error){0};
    if (log)
        lmn_log_edit_begin(s, &e);
    else
        lmn_trace_edit_begin(s, span(model), &e);
    const lamina_status st = lmn_settings_edit_json(&e, span(json), err);
    return st == LAMINA_OK ? lmn_settings_edit_commit(s, &e, err) : st;
}

static const char *value(lamina_server *s, const char *model, const char *name)
{
    static lmn_setting rows[LMN_SETTINGS_ROWS];
    const uint32_t n =
        model ? lmn_trace_settings_get(s, span(model), rows) : lmn_log_settings_get(s, rows);
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(rows[i].name, name) == 0) return rows[i].value;
    return "?";
}

static lamina_server *make(bool traced, uint32_t rate)
{
    lamina_server *s = calloc(1, sizeof *s);
    if (s) lmn_settings_init(&s->settings, traced, rate);
    return s;
}

static void test_traces(t_env *env)
{
    lamina_server *s = make(true, 10);
    lamina_error err;
    (void)env;
    T_STR_EQ(value(s, "", "trace_level"), "TIMESTAMPS");
    T_STR_EQ(value(s, "m", "trace_rate"), "10");
    T_EQ(change(s, false, "m", "{\"trace_rate\": \"3\", \"trace_level\": [\"OFF\"]}", &err), 0);
    T_STR_EQ(value(s, "m", "trace_rate"), "3");
    T_STR_EQ(value(s, "m", "trace_level"), "OFF");
    T_STR_EQ(value(s, "", "trace_rate"), "10");
    T_EQ(change(s, false, "", "{\"trace_rate\": 7, \"trace_count\": 5}", &err), 0);
    T_STR_EQ(value(s, "m", "trace_rate"), "3");
    T_STR_EQ(value(s, "m", "trace_count"), "5");
    T_STR_EQ(value(s, "other", "trace_rate"), "7");
    T_EQ(change(s, false, "m", "{\"trace_rate\": null, \"trace_level\": null}", &err), 0);
    T_STR_EQ(value(s, "m", "trace_rate"), "7");
    T_STR_EQ(value(s, "m", "trace_level"), "TIMESTAMPS");
    T_EQ(change(s, false, "", "{\"trace_rate\": null, \"trace_count\": null}", &err), 0);
    T_STR_EQ(value(s, "", "trace_rate"), "10");
    T_STR_EQ(value(s, "m", "trace_count"), "-1");
    free(s);
}

static void test_refusals(t_env *env)
{
    static const struct {
        bool log;
        const char *json, *part;
    } CASES[] = {{false, "{\"trace_file\": \"/tmp/x\"}", "trace_file"},
                 {false, "{\"log_frequency\": \"10\"}", "log_frequency"},
                 {false, "{\"trace_mode\": \"triton\"}", "trace_mode"},
                 {false, "{\"trace_level\": [\"TENSORS\"]}", "TENSORS"},
                 {false, "{\"trace_level\": [\"OFF\", \"TIMESTAMPS\"]}", "trace_level"},
                 {false, "{\"trace_rate\": \"0\"}", "trace_rate"},
                 {false, "{\"trace_rate\": true}", "trace_rate"},
                 {false, "{\"trace_rate\": \"1\", \"trace_rate\": \"2\"}", "twice"},
                 {false, "{\"trace_count\": \"-2\"}", "trace_count"},
                 {false, "{\"log_info\": true}", "no setting"},
                 {false, "{\"trace_rate\": {}}", "a setting is"},
                 {false, "{\"trace_level\": []}", "a setting is"},
                 {false, "[]", "object"},
                 {false, "{\"trace_rate\": \"1\"} x", ""},
                 {false, "", ""},
                 {true, "{\"log_info\": \"true\"}", "log_info"},
                 {true, "{\"log_file\": \"x\"}", "log_file"},
                 {true, "{\"log_format\": \"ISO8601\"}", "log_format"},
                 {true, "{\"log_verbose_level\": \"1\"}", "log_verbose_level"},
                 {true, "{\"log_verbose_level\": -1}", "log_verbose_level"},
                 {true, "{\"trace_rate\": \"1\"}", "no setting"}};
    lamina_server *s = make(true, 10);
    lamina_error err;
    (void)env;
    for (size_t i = 0; i < LMN_COUNT(CASES); i++) {
        T_CASE(CASES[i].json);
        T_CHECK(change(s, CASES[i].log, "", CASES[i].json, &err) != LAMINA_OK);
        T_CHECK(err.msg[0] && strstr(err.msg, CASES[i].part));
        T_STR_EQ(value(s, "", "trace_rate"), "10");
    }
    free(s);
    s = make(false, 10);
    T_EQ(change(s, false, "", "{\"trace_level\": \"TIMESTAMPS\"}", &err), LAMINA_E_UNSUPPORTED);
    T_CHECK(strstr(err.msg, "collector"));
    free(s);
}

static void test_log(t_env *env)
{
    lamina_server *s = make(false, 1);
    lamina_error err;
    (void)env;
    T_CHECK(lmn_settings_logs(&s->settings, LAMINA_LOG_INFO));
    T_EQ(change(s, true, "", "{\"log_info\": false, \"log_verbose_level\": 2}", &err), 0);
    T_CHECK(!lmn_settings_logs(&s->settings, LAMINA_LOG_INFO));
    T_CHECK(lmn_settings_logs(&s->settings, LAMINA_LOG_ERROR));
    T_STR_EQ(value(s, NULL, "log_info"), "false");
    T_STR_EQ(value(s, NULL, "log_verbose_level"), "2");
    T_EQ(change(s, true, "", "{\"log_info\": null, \"log_verbose_level\": null}", &err), 0);
    T_CHECK(lmn_settings_logs(&s->settings, LAMINA_LOG_INFO));
    free(s);
}

static int picked(lamina_server *s, lmn_settings_seen *seen, const char *model, int n,
                  lmn_trace_asked asked)
{
    int got = 0;
    for (int i = 0; i < n; i++) got += lmn_settings_pick(&s->settings, seen, model, asked);
    return got;
}

static void test_pick(t_env *env)
{
    lamina_server *s = make(true, 10);
    lmn_settings_seen *seen = calloc(1, sizeof *seen);
    lamina_error err;
    (void)env;
    T_REQUIRE(s && seen);
    T_EQ(picked(s, seen, "m", 100, LMN_TRACE_UNASKED), 10);
    T_EQ(picked(s, seen, "m", 100, LMN_TRACE_YES), 100);
    T_EQ(picked(s, seen, "m", 100, LMN_TRACE_NO), 0);
    T_EQ(change(s, false, "m", "{\"trace_rate\": \"2\", \"trace_count\": \"30\"}", &err), 0);
    T_EQ(picked(s, seen, "m", 40, LMN_TRACE_UNASKED), 20);
    T_EQ(picked(s, seen, "m", 100, LMN_TRACE_UNASKED), 10);
    T_STR_EQ(value(s, "m", "trace_count"), "0");
    T_EQ(picked(s, seen, "other", 100, LMN_TRACE_UNASKED), 10);
    T_EQ(change(s, false, "", "{\"trace_level\": \"OFF\"}", &err), 0);
    T_EQ(picked(s, seen, "other", 100, LMN_TRACE_YES), 0);
    T_EQ(lmn_atomic_load(&s->settings.traced, relaxed), 0);
    free(seen);
    free(s);
}

/* Rows are used again, and there is an end of them. */
static void test_models(t_env *env)
{
    lamina_server *s = make(true, 10);
    lamina_error err;
    char name[32];
    (void)env;
    for (uint32_t i = 0; i < LMN_SETTINGS_MODELS; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        T_EQ(change(s, false, name, "{\"trace_rate\": 2}", &err), 0);
    }
    T_EQ(change(s, false, "more", "{\"trace_rate\": 2}", &err), LAMINA_E_LIMIT);
    T_EQ(change(s, false, "m5", "{\"trace_rate\": null}", &err), 0);
    T_EQ(change(s, false, "more", "{\"trace_rate\": 4}", &err), 0);
    T_STR_EQ(value(s, "more", "trace_rate"), "4");
    T_STR_EQ(value(s, "m6", "trace_rate"), "2");
    T_STR_EQ(value(s, "m5", "trace_rate"), "10");
    free(s);
}

T_MAIN(T_TEST(test_traces), T_TEST(test_refusals), T_TEST(test_log), T_TEST(test_pick),
       T_TEST(test_models))
