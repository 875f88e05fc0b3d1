/*
 * Settings of traces and of the log: one table of names for each, which says what a value may be.
 * Rows of models keep their place, so that a loop that has not seen a change yet counts by the row
 * it knows.
 */
#include "serve/settings.h"

#include "base/text.h"
#include "serve/server_int.h"

#include <string.h>

enum { OWN_LEVEL = 1, OWN_RATE = 2, OWN_COUNT = 4 };

void lmn_settings_init(lmn_settings *t, bool traced, uint32_t rate)
{
    memset(t, 0, sizeof *t);
    lmn_mutex_init(&t->lock);
    t->at_start.own = OWN_LEVEL | OWN_RATE | OWN_COUNT;
    t->at_start.timestamps = traced;
    t->at_start.rate = rate;
    t->at_start.count = -1;
    t->row[0] = t->at_start;
    t->n = 1;
    t->lines = (lmn_log_setting){{true, true, true}, 0};
    lmn_atomic_init(&t->left[0], -1);
    lmn_atomic_init(&t->generation, 1);
    lmn_atomic_init(&t->traced, traced);
}

/* --- what holds --- */

static uint32_t row_of(const lmn_settings *t, lmn_span model)
{
    uint32_t i = 1;
    while (i < t->n && !(t->row[i].own && lmn_text_is(model, t->row[i].model))) i++;
    return model.n && i < t->n ? i : 0;
}

/* Row i with what it has not itself. */
static lmn_trace_setting whole(const lmn_settings *t, uint32_t i)
{
    lmn_trace_setting r = t->row[i];
    if (!(r.own & OWN_LEVEL)) r.timestamps = t->row[0].timestamps;
    if (!(r.own & OWN_RATE)) r.rate = t->row[0].rate;
    r.count = lmn_atomic_load(&t->left[r.own & OWN_COUNT ? i : 0], relaxed);
    return r;
}

static void show(lmn_setting *out, const char *name, lmn_setting_kind kind, const char *value)
{
    out->name = name;
    out->kind = kind;
    (void)lmn_format(out->value, sizeof out->value, "%s", value);
}

uint32_t lmn_trace_settings_get(lamina_server *s, lmn_span model,
                                lmn_setting out[LMN_SETTINGS_ROWS])
{
    lmn_settings *t = &s->settings;
    uint32_t n = 0;
    lmn_mutex_lock(&t->lock);
    const lmn_trace_setting r = whole(t, row_of(t, model));
    lmn_mutex_unlock(&t->lock);
    show(&out[n++], "trace_level", LMN_SETTING_LIST, r.timestamps ? "TIMESTAMPS" : "OFF");
    show(&out[n], "trace_rate", LMN_SETTING_TEXT, "");
    (void)lmn_format(out[n++].value, sizeof out->value, "%u", r.rate);
    show(&out[n], "trace_count", LMN_SETTING_TEXT, "");
    (void)lmn_format(out[n++].value, sizeof out->value, "%lld", (long long)r.count);
    show(&out[n++], "log_frequency", LMN_SETTING_TEXT, "0");
    show(&out[n++], "trace_file", LMN_SETTING_TEXT, "");
    show(&out[n++], "trace_mode", LMN_SETTING_TEXT, "opentelemetry");
    return n;
}

static const char *const LOG_LEVELS[] = {"log_info", "log_warning", "log_error"};

uint32_t lmn_log_settings_get(lamina_server *s, lmn_setting out[LMN_SETTINGS_ROWS])
{
    lmn_settings *t = &s->settings;
    uint32_t n = 0;
    lmn_mutex_lock(&t->lock);
    const lmn_log_setting r = t->lines;
    lmn_mutex_unlock(&t->lock);
    show(&out[n++], "log_file", LMN_SETTING_TEXT, "");
    for (uint32_t i = 0; i < LMN_COUNT(LOG_LEVELS); i++)
        show(&out[n++], LOG_LEVELS[i], LMN_SETTING_BOOL, r.on[i] ? "true" : "false");
    show(&out[n], "log_verbose_level", LMN_SETTING_U32, "");
    (void)lmn_format(out[n++].value, sizeof out->value, "%u", r.verbose);
    show(&out[n++], "log_format", LMN_SETTING_TEXT, "default");
    return n;
}

/* --- changes --- */

void lmn_trace_edit_begin(lamina_server *s, lmn_span model, lmn_settings_edit *e)
{
    lmn_settings *t = &s->settings;
    memset(e, 0, sizeof *e);
    lmn_mutex_lock(&t->lock);
    e->possible = t->at_start.timestamps;
    e->otherwise = model.n ? whole(t, 0) : t->at_start;
    const uint32_t i = row_of(t, model);
    e->trace = i || !model.n ? whole(t, i) : e->otherwise;
    if (!i && model.n) e->trace.own = 0;
    lmn_mutex_unlock(&t->lock);
    (void)lmn_format(e->trace.model, sizeof e->trace.model, "%.*s", (int)model.n,
                     (const char *)model.p);
}

void lmn_log_edit_begin(lamina_server *s, lmn_settings_edit *e)
{
    memset(e, 0, sizeof *e);
    e->log = true;
    lmn_mutex_lock(&s->settings.lock);
    e->lines = s->settings.lines;
    lmn_mutex_unlock(&s->settings.lock);
}

static bool is_one(const lmn_setting_value *v, const char *text)
{
    return v->n == 1 && lmn_text_is(v->text[0], text);
}

/* A whole number from lo to hi, as a text, a list of one or a number. */
static bool whole_number(const lmn_setting_value *v, int64_t lo, int64_t hi, int64_t *out)
{
    return v->n == 1 && v->kind != LMN_SETTING_BOOL && v->text[0].n &&
           lmn_parse_i64(v->text[0].p, v->text[0].n, out) && *out >= lo && *out <= hi;
}

static lamina_status set_level(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err)
{
    e->trace.timestamps = e->otherwise.timestamps;
    e->trace.own &= ~(uint32_t)OWN_LEVEL;
    for (uint32_t i = 0; i < v->n; i++) {
        const bool on = lmn_text_is(v->text[i], "TIMESTAMPS");
        if (lmn_text_is(v->text[i], "TENSORS"))
            return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                            "trace_level TENSORS is not supported: traces hold times, no tensors");
        if (!on && !(v->n == 1 && lmn_text_is(v->text[i], "OFF")))
            return lmn_fail(err, LAMINA_E_INVALID, "trace_level is OFF or TIMESTAMPS");
        if (on && !e->possible)
            return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                            "trace_level TIMESTAMPS wants a collector: start the server with one "
                            "(--otlp)");
        e->trace.timestamps = on;
        e->trace.own |= OWN_LEVEL;
    }
    return LAMINA_OK;
}

static lamina_status set_rate(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err)
{
    int64_t rate = e->otherwise.rate;
    if (v->n && !whole_number(v, 1, UINT32_MAX, &rate))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "trace_rate is a whole number: of so many requests one is traced");
    e->trace.rate = (uint32_t)rate;
    e->trace.own = v->n ? e->trace.own | OWN_RATE : e->trace.own & ~(uint32_t)OWN_RATE;
    return LAMINA_OK;
}

static lamina_status set_count(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err)
{
    e->trace.count = e->otherwise.count;
    if (v->n && !whole_number(v, -1, INT64_MAX, &e->trace.count))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "trace_count is a whole number, how many more are traced; -1: no bound");
    e->trace.own = v->n ? e->trace.own | OWN_COUNT : e->trace.own & ~(uint32_t)OWN_COUNT;
    return LAMINA_OK;
}

static lamina_status set_frequency(lmn_settings_edit *e, const lmn_setting_value *v,
                                   lamina_error *err)
{
    (void)e;
    if (!v->n || is_one(v, "0")) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                    "log_frequency is not supported: traces go to a collector, not to files");
}

static lamina_status set_file(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err)
{
    (void)e;
    if (!v->n || is_one(v, "")) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                    "trace_file is not supported: this server writes no files");
}

static lamina_status set_mode(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err)
{
    (void)e;
    if (!v->n || is_one(v, "opentelemetry")) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_UNSUPPORTED, "trace_mode is opentelemetry, there is no other");
}

static lamina_status set_log_file(lmn_settings_edit *e, const lmn_setting_value *v,
                                  lamina_error *err)
{
    (void)e;
    if (!v->n || is_one(v, "")) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                    "log_file is not supported: this server writes no files, its log's collector "
                    "does");
}

static lamina_status set_format(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err)
{
    (void)e;
    if (!v->n || is_one(v, "default")) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                    "log_format is not supported: the log's collector chooses it");
}

static lamina_status set_lines(lmn_settings_edit *e, uint32_t level, const lmn_setting_value *v,
                               lamina_error *err)
{
    e->lines.on[level] = !v->n || is_one(v, "true");
    if (!v->n || (v->kind == LMN_SETTING_BOOL && v->n == 1)) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_INVALID, "%s is true or false", LOG_LEVELS[level]);
}

static lamina_status set_info(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err)
{
    return set_lines(e, 0, v, err);
}

static lamina_status set_warning(lmn_settings_edit *e, const lmn_setting_value *v,
                                 lamina_error *err)
{
    return set_lines(e, 1, v, err);
}

static lamina_status set_error(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err)
{
    return set_lines(e, 2, v, err);
}

static lamina_status set_verbose(lmn_settings_edit *e, const lmn_setting_value *v,
                                 lamina_error *err)
{
    int64_t level = 0;
    if (v->n && (v->kind != LMN_SETTING_U32 || !whole_number(v, 0, UINT32_MAX, &level)))
        return lmn_fail(err, LAMINA_E_INVALID, "log_verbose_level is a number from 0");
    e->lines.verbose = (uint32_t)level;
    return LAMINA_OK;
}

typedef struct rule {
    const char *name;
    bool log;
    lamina_status (*set)(lmn_settings_edit *e, const lmn_setting_value *v, lamina_error *err);
} rule;

static const rule RULES[] = {
    {"trace_level", false, set_level},        {"trace_rate", false, set_rate},
    {"trace_count", false, set_count},        {"log_frequency", false, set_frequency},
    {"trace_file", false, set_file},          {"trace_mode", false, set_mode},
    {"log_file", true, set_log_file},         {"log_info", true, set_info},
    {"log_warning", true, set_warning},       {"log_error", true, set_error},
    {"log_verbose_level", true, set_verbose}, {"log_format", true, set_format}};

lamina_status lmn_settings_edit_set(lmn_settings_edit *e, lmn_span name, const lmn_setting_value *v,
                                    lamina_error *err)
{
    char shown[100];
    for (uint32_t i = 0; i < LMN_COUNT(RULES); i++) {
        if (RULES[i].log != e->log || !lmn_text_is(name, RULES[i].name)) continue;
        if (e->said >> i & 1u)
            return lmn_fail(err, LAMINA_E_INVALID, "%s is given twice", RULES[i].name);
        e->said |= 1u << i;
        return RULES[i].set(e, v, err);
    }
    (void)lmn_format_name(shown, sizeof shown, (const char *)name.p, name.n);
    return lmn_fail(err, LAMINA_E_UNSUPPORTED, "there is no setting \"%s\" here", shown);
}

/* Row 0, that of the model, one that is free; UINT32_MAX: there is none. */
static uint32_t place(const lmn_settings *t, const char *model)
{
    const lmn_span name = {(const uint8_t *)model, strlen(model)};
    uint32_t i = row_of(t, name);
    if (i || !name.n) return i;
    for (i = 1; i < t->n && t->row[i].own; i++) {
    }
    return i < LMN_COUNT(t->row) ? i : UINT32_MAX;
}

static lamina_status commit_trace(lmn_settings *t, const lmn_settings_edit *e, lamina_error *err)
{
    const uint32_t i = place(t, e->trace.model);
    bool traced = false;
    if (i == UINT32_MAX)
        return lmn_fail(err, LAMINA_E_LIMIT, "at most %u models have settings of their own",
                        LMN_SETTINGS_MODELS);
    if (e->said >> 2 & 1u || !t->row[i].own) lmn_atomic_store(&t->left[i], e->trace.count, relaxed);
    t->row[i] = e->trace;
    if (!i) t->row[0].own = t->at_start.own;
    if (i == t->n) t->n++;
    for (uint32_t k = 0; k < t->n; k++) traced |= t->row[k].own && whole(t, k).timestamps;
    lmn_atomic_store(&t->traced, traced, relaxed);
    (void)lmn_atomic_add(&t->generation, 1, release);
    return LAMINA_OK;
}

lamina_status lmn_settings_edit_commit(lamina_server *s, const lmn_settings_edit *e,
                                       lamina_error *err)
{
    static const lamina_log_level LEVELS[] = {LAMINA_LOG_INFO, LAMINA_LOG_WARN, LAMINA_LOG_ERROR};
    lmn_settings *t = &s->settings;
    lamina_status st = LAMINA_OK;
    uint32_t off = 0;
    lmn_mutex_lock(&t->lock);
    if (!e->log) {
        st = commit_trace(t, e, err);
    } else {
        t->lines = e->lines;
        for (uint32_t i = 0; i < LMN_COUNT(LEVELS); i++)
            if (!e->lines.on[i]) off |= 1u << (uint32_t)LEVELS[i];
        lmn_atomic_store(&t->off, off, relaxed);
        lmn_atomic_store(&t->verbose, e->lines.verbose, relaxed);
    }
    lmn_mutex_unlock(&t->lock);
    return st;
}

/* --- requests --- */

static void see(lmn_settings *t, lmn_settings_seen *seen)
{
    lmn_mutex_lock(&t->lock);
    seen->generation = lmn_atomic_load(&t->generation, relaxed);
    seen->n = t->n;
    for (uint32_t i = 0; i < t->n; i++) seen->row[i] = whole(t, i);
    memset(seen->until, 0, sizeof seen->until);
    lmn_mutex_unlock(&t->lock);
}

/* `count` of a row that is shared by all loops. */
static bool take(lmn_settings *t, const lmn_trace_setting *r, uint32_t i)
{
    lmn_atomic(int64_t) *left = &t->left[r->own & OWN_COUNT ? i : 0];
    int64_t n = lmn_atomic_load(left, relaxed);
    while (n > 0 && !lmn_atomic_cas(left, &n, n - 1, relaxed)) {
    }
    return n != 0;
}

bool lmn_settings_pick(lmn_settings *t, lmn_settings_seen *seen, const char *model,
                       lmn_trace_asked asked)
{
    uint32_t i = 1;
    if (asked == LMN_TRACE_NO) return false;
    if (LMN_UNLIKELY(seen->generation != lmn_atomic_load(&t->generation, acquire))) see(t, seen);
    while (i < seen->n && !(seen->row[i].own && strcmp(seen->row[i].model, model) == 0)) i++;
    if (i >= seen->n) i = 0;
    const lmn_trace_setting *r = &seen->row[i];
    if (!r->timestamps) return false;
    if (asked == LMN_TRACE_UNASKED) {
        if (seen->until[i]) return seen->until[i]--, false;
        seen->until[i] = r->rate - 1;
    }
    return take(t, r, i);
}
