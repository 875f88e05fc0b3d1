/*
 * What a reader shows: events with their names and arguments, lanes, metrics, knobs. Numbers that
 * came out of the file are bounded here, where they become indices.
 */
#include "base/os/os_publish.h"
#include "base/text.h"
#include "trace/histogram.h"
#include "trace/reader.h"

#include <stdarg.h>
#include <string.h>

/* Fill *out up to the size its user knows. */
#define GIVE(out, value)                  \
    do {                                  \
        const size_t size_ = (out)->size; \
        (value).size = size_;             \
        memcpy((out), &(value), size_);   \
    } while (0)
#define KNOWN(r, out) \
    ((r) && (out) && (out)->size >= sizeof(size_t) && (out)->size <= sizeof *(out))

static double number(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* ---- events -----------------------------------------------------------------------------------
 */

/* One argument "name:t" up to `,` or `)`; the rest, or NULL where the form is malformed. */
static const char *parse_arg(lmn_arena *a, const char *p, lmn_trace_form *f)
{
    const size_t n = strcspn(p, ":,)");
    if (p[n] != ':' || !p[n + 1] || !strchr("uifs", p[n + 1])) return NULL;
    f->arg[f->n].name = lmn_arena_strn(a, p, n);
    f->arg[f->n].type = p[n + 1];
    if (!f->arg[f->n].name) return NULL;
    f->n++;
    return p + n + 2;
}

static const lmn_trace_form *form_of(lamina_trace_reader *r, uint32_t id)
{
    static const lmn_trace_form NONE = {.category = ""};
    if (id == 0 || id >= r->n_names) return &NONE;
    lmn_read_name *name = &r->names[id];
    if (name->parsed) return name->parsed;
    lmn_trace_form *f = LMN_ARENA_NEW(&r->text, lmn_trace_form);
    if (!f) return &NONE;
    const char *p = name->text;
    const size_t n = strcspn(p, "(");
    f->category = lmn_arena_strn(&r->text, p, n);
    if (!f->category) f->category = "";
    for (p += n; p && (*p == '(' || *p == ',') && f->n < LMN_TRACE_ARGS;)
        p = parse_arg(&r->text, p + 1, f);
    return name->parsed = f;
}

static uint64_t to_ns(const lamina_trace_reader *r, double ticks)
{
    const double ns = ticks * r->tick_ns;
    return ns > 0 && ns < 9e18 ? (uint64_t)ns : 0;
}

/* From the start of the trace to the end of a span, rounded as its begin is, so that what is nested
   in ticks is nested in nanoseconds; never before the begin. */
static uint64_t end_of(const lamina_trace_reader *r, const uint64_t *w)
{
    const double begin = (double)w[LMN_EV_TIME] - (double)r->head.tick0;
    const uint64_t from = to_ns(r, begin), to = to_ns(r, begin + (double)w[LMN_EV_VALUE]);
    return to > from ? to : from;
}

static void fill_args(lamina_trace_reader *r, const uint64_t *w, const lmn_trace_form *f,
                      lamina_trace_event *e)
{
    e->n_args = f->n;
    for (uint32_t i = 0; i < f->n; i++) {
        lamina_trace_arg *a = &e->args[i];
        a->name = f->arg[i].name;
        a->type = f->arg[i].type;
        if (a->type == 's')
            a->value.s = lmn_reader_name(r, w[i]);
        else
            a->value.u = w[i];
    }
}

lamina_status lamina_trace_next(lamina_trace_reader *r, lamina_trace_event *out)
{
    LMN_CHECK(KNOWN(r, out), LAMINA_E_INVALID);
    if (r->next == r->n_events) return LAMINA_E_AGAIN;
    const uint64_t *w = r->events[r->next++].w;
    const uint64_t what = w[LMN_EV_WHAT];
    const uint32_t name = (uint32_t)(what >> 32), thread = (uint32_t)(what >> 16) & 0xffff;
    const bool known = thread < r->n_threads;
    const lmn_trace_form *f = form_of(r, name < r->n_names ? r->names[name].form : 0);
    lamina_trace_event e = {.kind = (int32_t)(what & 0xffff),
                            .thread = thread,
                            .time_ns = to_ns(r, (double)w[LMN_EV_TIME] - (double)r->head.tick0),
                            .name = lmn_reader_name(r, name),
                            .category = f->category,
                            .thread_name =
                                known ? lmn_reader_name(r, r->threads[thread].name) : "?",
                            .tid = known ? r->threads[thread].tid : 0,
                            .span = (uint32_t)w[LMN_EV_SPAN],
                            .parent = (uint32_t)(w[LMN_EV_SPAN] >> 32)};
    if (e.kind == LAMINA_TRACE_VALUE)
        e.value = number(w[LMN_EV_VALUE]);
    else if (e.kind == LAMINA_TRACE_SPAN || e.kind == LAMINA_TRACE_WAIT)
        e.dur_ns = end_of(r, w) - e.time_ns;
    fill_args(r, w + LMN_EV_ARGS, f, &e);
    GIVE(out, e);
    return LAMINA_OK;
}

/* ---- the trace and its lanes ------------------------------------------------------------------
 */

static int32_t state_of(lamina_trace_reader *r)
{
    const lmn_trace_head *h = &r->head;
    if (lmn_atomic_load(&r->head.closed, relaxed)) return LAMINA_TRACE_ENDED;
    const bool here = r->same_boot && h->pid_start && lmn_os_process_start(h->pid) == h->pid_start;
    return here ? LAMINA_TRACE_RUNNING : LAMINA_TRACE_KILLED;
}

lamina_status lamina_trace_get_info(lamina_trace_reader *r, lamina_trace_info *out)
{
    LMN_CHECK(KNOWN(r, out), LAMINA_E_INVALID);
    const lmn_trace_head *h = &r->head;
    lamina_trace_info i = {.state = state_of(r),
                           .pid = h->pid,
                           .program = h->program,
                           .start_ns = h->ns0,
                           .start_wall_ns = h->wall0,
                           .n_no_lane = lmn_atomic_load(&r->head.n_no_lane, relaxed),
                           .n_lanes = h->counts.lanes,
                           .n_metrics = r->n_metrics,
                           .n_knobs = r->n_knobs,
                           .n_threads = r->n_threads,
                           .allow_set = h->allow_set != 0};
    for (uint32_t k = 0; k < h->counts.lanes; k++) {
        i.n_emitted += lmn_atomic_load(&r->lane_mem[k].head, relaxed) >> 1;
        i.n_read += r->lanes[k].n_read;
        i.n_lost += r->lanes[k].n_lost;
    }
    GIVE(out, i);
    return LAMINA_OK;
}

lamina_status lamina_trace_get_lane(lamina_trace_reader *r, size_t i, lamina_trace_lane_info *out)
{
    LMN_CHECK(KNOWN(r, out), LAMINA_E_INVALID);
    LMN_CHECK(i < r->head.counts.lanes, LAMINA_E_RANGE);
    lmn_lane_mem *m = &r->lane_mem[i];
    const uint32_t thread = lmn_atomic_load(&m->thread, relaxed);
    const bool known = thread < r->n_threads;
    lamina_trace_lane_info l = {.n_emitted = lmn_atomic_load(&m->head, relaxed) >> 1,
                                .n_read = r->lanes[i].n_read,
                                .n_lost = r->lanes[i].n_lost,
                                .tid = known ? r->threads[thread].tid : 0,
                                .thread_name =
                                    known ? lmn_reader_name(r, r->threads[thread].name) : "?"};
    for (int k = 0; k < LMN_LANE_OPEN; k++) {
        const uint64_t open = lmn_atomic_load(&m->open[k], relaxed);
        if (!(uint32_t)open) break;
        l.inside[k] = lmn_reader_name(r, (uint32_t)open);
        l.inside_of[k] = open >> 32 ? lmn_reader_name(r, open >> 32) : "";
        l.n_inside++;
    }
    GIVE(out, l);
    return LAMINA_OK;
}

/* ---- metrics and knobs ------------------------------------------------------------------------
 */

/* The cells of a metric, or NULL where the file says nonsense. */
static const uint64_t *cells_of(const lamina_trace_reader *r, const lmn_trace_metric *m)
{
    const uint32_t n = m->kind == LAMINA_TRACE_HISTOGRAM ? 1 + LMN_HIST_BUCKETS : 1;
    const bool fine = m->n_cells == n && m->first_cell <= r->n_cells &&
                      n <= r->n_cells - m->first_cell && m->kind >= LAMINA_TRACE_COUNTER &&
                      m->kind <= LAMINA_TRACE_HISTOGRAM;
    return fine ? r->cells + m->first_cell : NULL;
}

/* Where the next bucket begins. */
static double ceiling(uint32_t bucket)
{
    return bucket + 1 < LMN_HIST_BUCKETS ? (double)lmn_hist_floor(bucket + 1) : 0x1p64;
}

/* Middle of a bucket. */
static double middle(uint32_t bucket)
{
    const double lo = (double)lmn_hist_floor(bucket);
    return bucket < LMN_HIST_SUB ? lo : (lo + ceiling(bucket)) / 2;
}

static double quantile(const uint64_t *buckets, uint64_t count, double q)
{
    const double want = q * (double)count;
    double seen = 0;
    uint32_t last = 0;
    for (uint32_t b = 0; b < LMN_HIST_BUCKETS; b++) {
        if (!buckets[b]) continue;
        last = b;
        seen += (double)buckets[b];
        if (seen >= want) break;
    }
    return count ? middle(last) : 0;
}

lamina_status lamina_trace_get_metric(lamina_trace_reader *r, size_t i,
                                      lamina_trace_metric_info *out)
{
    LMN_CHECK(KNOWN(r, out), LAMINA_E_INVALID);
    LMN_CHECK(i < r->n_metrics, LAMINA_E_RANGE);
    const lmn_trace_metric *m = &r->metrics[i];
    const uint64_t *c = cells_of(r, m);
    const double scale = number(m->scale);
    lamina_trace_metric_info o = {.kind = (int32_t)m->kind,
                                  .name = lmn_reader_name(r, m->name),
                                  .unit = m->unit ? lmn_reader_name(r, m->unit) : "",
                                  .help = lmn_reader_name(r, m->help)};
    if (c) o.value = scale * (m->kind == LAMINA_TRACE_GAUGE ? (double)(int64_t)c[0] : (double)c[0]);
    if (c && m->kind == LAMINA_TRACE_HISTOGRAM) {
        for (uint32_t b = 0; b < LMN_HIST_BUCKETS; b++) o.count += c[1 + b];
        o.p50 = scale * quantile(c + 1, o.count, 0.5);
        o.p90 = scale * quantile(c + 1, o.count, 0.9);
        o.p99 = scale * quantile(c + 1, o.count, 0.99);
        o.most = scale * quantile(c + 1, o.count, 1);
    }
    GIVE(out, o);
    return LAMINA_OK;
}

lamina_status lamina_trace_get_knob(lamina_trace_reader *r, size_t i, lamina_trace_knob_info *out)
{
    LMN_CHECK(KNOWN(r, out), LAMINA_E_INVALID);
    LMN_CHECK(i < r->n_knobs, LAMINA_E_RANGE);
    lmn_trace_knob *k = &r->knobs[i];
    const lamina_trace_knob_info o = {.name = lmn_reader_name(r, k->name),
                                      .help = lmn_reader_name(r, k->help),
                                      .whole = k->whole != 0,
                                      .lo = number(k->lo),
                                      .hi = number(k->hi),
                                      .value = number(lmn_atomic_load(&k->value, relaxed))};
    lamina_trace_knob_info copy = o;
    GIVE(out, copy);
    return LAMINA_OK;
}

static lamina_status set_knob(lamina_trace_reader *r, const char *path, const char *name,
                              double value, lamina_error *err)
{
    char shown[100];
    (void)lmn_format_name(shown, sizeof shown, name, strlen(name));
    if (!r->head.allow_set)
        return lmn_fail(err, LAMINA_E_PERM,
                        "the program does not let others set its knobs; it would have to be "
                        "started with allow_set");
    uint32_t i = 0;
    while (i < r->n_knobs && strcmp(lmn_reader_name(r, r->knobs[i].name), name) != 0) i++;
    if (i == r->n_knobs)
        return lmn_fail(err, LAMINA_E_INVALID, "the trace has no knob \"%s\"", shown);
    const double lo = number(r->knobs[i].lo), hi = number(r->knobs[i].hi);
    if (!(value >= lo && value <= hi))
        return lmn_fail(err, LAMINA_E_RANGE, "\"%s\" goes from %g to %g, %g is outside", shown, lo,
                        hi, value);
    if (r->knobs[i].whole && value != (double)(int64_t)value)
        return lmn_fail(err, LAMINA_E_INVALID, "\"%s\" takes whole numbers, not %g", shown, value);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint64_t at = r->at.knobs + i * sizeof *r->knobs + offsetof(lmn_trace_knob, value);
    return lmn_os_patch(path, at, &bits, sizeof bits, err);
}

lamina_status lamina_trace_knob_set(const char *path, const char *name, double value,
                                    lamina_error *err)
{
    lamina_trace_reader *r;
    if (!path || !name) return lmn_fail(err, LAMINA_E_INVALID, "which knob of which trace?");
    LMN_TRY(lamina_trace_open(path, NULL, &r, err));
    const lamina_status st = set_knob(r, path, name, value, err);
    lamina_trace_close(r);
    return st;
}

/* ---- OpenMetrics ------------------------------------------------------------------------------
 */

typedef struct text {
    char *buf;
    size_t cap, n; /* n: also what had no room */
} text;

LMN_PRINTF(2, 3)
static void say(text *t, const char *fmt, ...)
{
    char line[1400];
    va_list ap;
    va_start(ap, fmt);
    const size_t n = lmn_vformat(line, sizeof line, fmt, ap);
    va_end(ap);
    if (t->n < t->cap) memcpy(t->buf + t->n, line, n < t->cap - t->n ? n : t->cap - t->n);
    t->n += n;
}

static void say_number(text *t, double v)
{
    char b[LMN_NUMBER_BYTES];
    (void)lmn_format_f64(b, v);
    say(t, "%s\n", b);
}

/* Cumulative counts at the powers of two that hold something. */
static void say_histogram(text *t, const char *name, const uint64_t *c, double scale)
{
    uint64_t seen = 0;
    char le[LMN_NUMBER_BYTES];
    for (uint32_t b = 0; b < LMN_HIST_BUCKETS; b += LMN_HIST_SUB) {
        uint64_t here = 0;
        for (uint32_t k = 0; k < LMN_HIST_SUB; k++) here += c[1 + b + k];
        if (!here) continue;
        seen += here;
        const double next = ceiling(b + LMN_HIST_SUB - 1) - 1;
        (void)lmn_format_f64(le, scale * next);
        say(t, "%s_bucket{le=\"%s\"} %llu\n", name, le, (unsigned long long)seen);
    }
    say(t, "%s_bucket{le=\"+Inf\"} %llu\n%s_count %llu\n%s_sum ", name, (unsigned long long)seen,
        name, (unsigned long long)seen, name);
    say_number(t, scale * (double)c[0]);
}

static void say_help(text *t, const char *name, const char *help)
{
    say(t, "# HELP %s ", name);
    for (const char *p = help; *p; p++) say(t, *p == '\\' || *p == '"' ? "\\%c" : "%c", *p);
    say(t, "\n");
}

size_t lamina_trace_openmetrics(lamina_trace_reader *r, char *buf, size_t cap)
{
    static const char *const TYPE[] = {"", "counter", "gauge", "histogram"};
    text t = {buf, buf && cap ? cap - 1 : 0, 0};
    if (!r) return 0;
    for (uint32_t i = 0; i < r->n_metrics; i++) {
        const lmn_trace_metric *m = &r->metrics[i];
        const uint64_t *c = cells_of(r, m);
        if (!c) continue;
        char name[420];
        const double scale = number(m->scale);
        (void)lmn_format(name, sizeof name, "%.200s%s%.200s", lmn_reader_name(r, m->name),
                         m->unit ? "_" : "", m->unit ? lmn_reader_name(r, m->unit) : "");
        say(&t, "# TYPE %s %s\n", name, TYPE[m->kind]);
        if (m->unit) say(&t, "# UNIT %s %.200s\n", name, lmn_reader_name(r, m->unit));
        say_help(&t, name, lmn_reader_name(r, m->help));
        if (m->kind == LAMINA_TRACE_HISTOGRAM) {
            say_histogram(&t, name, c, scale);
            continue;
        }
        const bool gauge = m->kind == LAMINA_TRACE_GAUGE;
        say(&t, "%s%s ", name, gauge ? "" : "_total");
        say_number(&t, scale * (gauge ? (double)(int64_t)c[0] : (double)c[0]));
    }
    say(&t, "# EOF\n");
    if (buf && cap) buf[t.n < t.cap ? t.n : t.cap] = 0;
    return t.n;
}
