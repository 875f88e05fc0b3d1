/*
 * Metrics and knobs of a trace that is being written: found or made under its lock, then used
 * without one.
 */
#include "trace/trace.h"

/* OpenMetrics: letters, digits and "_", no digit first. "" is fine where `empty` says so. */
static bool plain(const char *s, bool empty)
{
    if (!s || strlen(s) > 200) return false;
    if (!*s) return empty;
    for (const char *p = s; *p; p++) {
        const bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
        if (!letter && (p == s || *p < '0' || *p > '9')) return false;
    }
    return true;
}

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static lmn_metric *new_metric(lamina_trace *t, int32_t kind, uint32_t name, const char *unit,
                              double scale, const char *help)
{
    const uint32_t n = kind == LAMINA_TRACE_HISTOGRAM ? 1 + LMN_HIST_BUCKETS : 1;
    if (t->n_metrics == t->counts.metrics || n > t->counts.cells - t->n_cells) return NULL;
    lmn_trace_metric *shared =
        (lmn_trace_metric *)(void *)(t->file.p + t->at.metrics) + t->n_metrics;
    *shared = (lmn_trace_metric){.name = name,
                                 .help = lmn_trace_name_locked(t, help, strlen(help), 0),
                                 .unit = lmn_trace_name_locked(t, unit, strlen(unit), 0),
                                 .kind = (uint32_t)kind,
                                 .first_cell = t->n_cells,
                                 .n_cells = n,
                                 .scale = bits_of(scale)};
    lmn_metric *m = &t->metrics[t->n_metrics];
    lmn_atomic(uint64_t) *cells = (void *)(t->file.p + t->at.cells);
    *m = (lmn_metric){cells + t->n_cells, (uint32_t)kind, t};
    t->metric_names[t->n_metrics++] = name;
    t->n_cells += n;
    lmn_atomic_store(&t->head->n_cells, t->n_cells, release);
    lmn_atomic_store(&t->head->n_metrics, t->n_metrics, release);
    return m;
}

lamina_trace_metric *lamina_trace_metric_get(lamina_trace *t, int32_t kind, const char *name,
                                             const char *unit, double scale, const char *help)
{
    if (!t || !lmn_atomic_load(t->on, relaxed) || !plain(name, false) || !plain(unit, true) ||
        !help || !(scale > 0) || kind < LAMINA_TRACE_COUNTER || kind > LAMINA_TRACE_HISTOGRAM)
        return NULL;
    lmn_metric *m = NULL;
    lmn_mutex_lock(&t->lock);
    const uint32_t id = lmn_trace_name_locked(t, name, strlen(name), 0);
    uint32_t i = 0;
    while (i < t->n_metrics && t->metric_names[i] != id) i++;
    if (i < t->n_metrics)
        m = t->metrics[i].kind == (uint32_t)kind ? &t->metrics[i] : NULL;
    else if (id)
        m = new_metric(t, kind, id, unit, scale, help);
    lmn_mutex_unlock(&t->lock);
    return m;
}

void lamina_trace_count(lamina_trace_metric *m, uint64_t value)
{
    lmn_metric_add(m, value);
}

/* ---- knobs ------------------------------------------------------------------------------------
 */

static lmn_trace_knob *knob_at(const lamina_trace *t, uint32_t i)
{
    return (lmn_trace_knob *)(void *)(t->file.p + t->at.knobs) + i;
}

uint32_t lamina_trace_knob_make(lamina_trace *t, const char *name, const char *help, bool whole,
                                double lo, double hi, double value)
{
    if (!t || !name || !*name || !help || !(lo <= value && value <= hi)) return 0;
    if (!lmn_atomic_load(t->on, relaxed)) return 0;
    lmn_mutex_lock(&t->lock);
    const uint32_t id = lmn_trace_name_locked(t, name, strlen(name), 0);
    uint32_t i = 0;
    while (i < t->n_knobs && t->knob_names[i] != id) i++;
    if (id && i == t->n_knobs && i < t->counts.knobs) {
        lmn_trace_knob *k = knob_at(t, i);
        k->name = id;
        k->help = lmn_trace_name_locked(t, help, strlen(help), 0);
        k->whole = whole;
        k->lo = bits_of(lo);
        k->hi = bits_of(hi);
        lmn_atomic_store(&k->value, bits_of(value), relaxed);
        t->knobs[i] = (lmn_knob){lo, hi, whole};
        t->knob_names[i] = id;
        if (i == 0) t->level = &k->value;
        lmn_atomic_store(&t->head->n_knobs, ++t->n_knobs, release);
    }
    const uint32_t found = i < t->n_knobs ? i + 1 : 0;
    lmn_mutex_unlock(&t->lock);
    return found;
}

double lamina_trace_knob_read(const lamina_trace *t, uint32_t knob)
{
    if (!t || knob == 0 || knob > LMN_TRACE_N_KNOBS) return 0;
    const lmn_knob k = t->knobs[knob - 1];
    const uint64_t bits = lmn_atomic_load(&knob_at(t, knob - 1)->value, relaxed);
    double v;
    memcpy(&v, &bits, sizeof v);
    if (!(v > k.lo)) return k.lo; /* NaN too */
    if (v > k.hi) return k.hi;
    return k.whole ? (double)(int64_t)v : v;
}
