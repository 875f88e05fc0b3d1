/*
 * Making a trace, its names and its threads, and taking lanes. What the owner knows of its file it
 * keeps in its own memory; the file is written and, but for the values of knobs, never read back.
 */
#include "trace/trace.h"

#include "base/engine.h"
#include "base/os/os_env.h"
#include "trace/trace_watch.h"

#define TAG "trace"
#define DEFAULT_LANES 16u
#define DEFAULT_EVENTS 8192u
#define NAME_MAX_BYTES 1000u
#define TABLE (2u * LMN_TRACE_N_NAMES) /* a power of two, never more than half full */
#define RATE_NS 1000000000u            /* how often the clock is measured anew */

/* ---- names ------------------------------------------------------------------------------------
 */

static uint32_t hash_of(const char *s, size_t n, uint32_t form)
{
    uint32_t h = 2166136261u ^ form * 0x9e3779b9u;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h ^ h >> 15;
}

static char *bytes_of(lamina_trace *t)
{
    return (char *)t->file.p + t->at.name_bytes;
}

/* The number, or 0 where it would go: *at. */
static uint32_t find_name(lamina_trace *t, const char *s, size_t n, uint32_t form, uint32_t *at)
{
    const uint32_t hash = hash_of(s, n, form);
    for (uint32_t i = hash;; i++) {
        *at = i & (TABLE - 1);
        const uint32_t id = t->name_table[*at];
        if (!id) return 0;
        const lmn_name_entry *e = &t->names[id];
        if (e->hash == hash && e->n == n && e->form == form &&
            memcmp(bytes_of(t) + e->offset, s, n) == 0)
            return id;
    }
}

uint32_t lmn_trace_name_locked(lamina_trace *t, const char *s, size_t n, uint32_t form)
{
    uint32_t at;
    if (n > NAME_MAX_BYTES) n = NAME_MAX_BYTES;
    const uint32_t known = n ? find_name(t, s, n, form, &at) : 0;
    if (!n || known) return known;
    if (t->n_names == t->counts.names || n > t->counts.name_bytes - t->n_name_bytes) return 0;
    const uint32_t id = t->n_names++;
    t->names[id] = (lmn_name_entry){hash_of(s, n, form), t->n_name_bytes, (uint32_t)n, form};
    t->name_table[at] = id;
    memcpy(bytes_of(t) + t->n_name_bytes, s, n);
    t->n_name_bytes += (uint32_t)n;
    lmn_trace_name *shared = (lmn_trace_name *)(void *)(t->file.p + t->at.names);
    shared[id] = (lmn_trace_name){t->names[id].offset, (uint32_t)n, form, 0};
    lmn_atomic_store(&t->head->n_name_bytes, t->n_name_bytes, release);
    lmn_atomic_store(&t->head->n_names, t->n_names, release);
    return id;
}

uint32_t lamina_trace_name(lamina_trace *t, const char *name, const char *form)
{
    if (!t || !name || !lmn_atomic_load(t->on, relaxed)) return 0;
    lmn_mutex_lock(&t->lock);
    const uint32_t f = form ? lmn_trace_name_locked(t, form, strlen(form), 0) : 0;
    const uint32_t id = lmn_trace_name_locked(t, name, strlen(name), f);
    lmn_mutex_unlock(&t->lock);
    return id;
}

/* ---- threads and lanes ------------------------------------------------------------------------
 */

/* Number of the thread with this key and, unless that is 0, name; or -1. */
static int32_t find_thread(lamina_trace *t, uintptr_t key, uint32_t name)
{
    int32_t i = (int32_t)lmn_atomic_load(&t->n_threads, acquire) - 1;
    while (i >= 0 && (lmn_atomic_load(&t->threads[i].key, relaxed) != key ||
                      (name && t->threads[i].name != name)))
        i--;
    return i;
}

/* Number of the calling thread; when the table is full its last serves all. */
static uint32_t thread_number(lamina_trace *t, uintptr_t key, const char *name)
{
    char own[16];
    int32_t i = name ? -1 : find_thread(t, key, 0);
    if (i >= 0) return (uint32_t)i;
    if (!name) lmn_os_thread_name(own);
    const char *s = name ? name : own;
    lmn_mutex_lock(&t->lock);
    const uint32_t id = lmn_trace_name_locked(t, s, strlen(s), 0);
    const uint32_t n = lmn_atomic_load(&t->n_threads, relaxed);
    i = find_thread(t, key, id);
    if (i < 0 && n == t->counts.threads) i = (int32_t)n - 1;
    if (i < 0) {
        lmn_trace_thread *shared = (lmn_trace_thread *)(void *)(t->file.p + t->at.threads);
        i = (int32_t)n;
        shared[n].name = t->threads[n].name = id;
        shared[n].tid = lmn_self_tid();
        lmn_atomic_store(&t->threads[n].key, key, relaxed);
        lmn_atomic_store(&t->head->n_threads, n + 1, release);
        lmn_atomic_store(&t->n_threads, n + 1, release);
    }
    lmn_mutex_unlock(&t->lock);
    return (uint32_t)i;
}

static void measure_rate(lamina_trace *t)
{
    const double rate = lmn_ticks_ns(&t->clock);
    uint64_t bits;
    memcpy(&bits, &rate, sizeof bits);
    lmn_atomic_store(&t->head->tick_ns, bits, relaxed);
    lmn_atomic_store(&t->next_rate, lmn_trace_now(t) + (uint64_t)(RATE_NS / rate), relaxed);
}

lamina_trace_lane *lmn_trace_take(lamina_trace *t, const char *name)
{
    if (!t || !lmn_atomic_load(t->on, relaxed)) return NULL;
    const uintptr_t key = lmn_thread_key();
    const uint32_t n = t->counts.lanes, from = (uint32_t)((key >> 12) * 0x9e3779b1u >> 16) % n;
    for (uint32_t i = 0; i < n; i++) {
        lmn_lane *l = &t->lanes[from + i < n ? from + i : from + i - n];
        if (!lmn_lane_take(l)) continue;
        if (LMN_UNLIKELY(l->key != key || name)) {
            l->key = key;
            l->thread = thread_number(t, key, name);
            lmn_atomic_store(&l->mem->thread, l->thread, relaxed);
        }
        if (LMN_UNLIKELY(lmn_trace_now(t) > lmn_atomic_load(&t->next_rate, relaxed)))
            measure_rate(t);
        return (lamina_trace_lane *)l;
    }
    (void)lmn_atomic_add(&t->head->n_no_lane, 1, relaxed);
    return NULL;
}

lamina_trace_lane *lamina_trace_take(lamina_trace *t, const char *name)
{
    return lmn_trace_take(t, name);
}

void lamina_trace_give(lamina_trace_lane *lane)
{
    lmn_trace_give(lane);
}

uint64_t lamina_trace_now(const lamina_trace *t)
{
    return t ? lmn_trace_now(t) : 0;
}

void lamina_trace_emit(lamina_trace_lane *lane, int32_t kind, uint32_t name, uint64_t start,
                       const uint64_t *args, size_t n_args)
{
    lmn_lane *l = (lmn_lane *)lane;
    if (!l) return;
    const lamina_trace *t = l->owner;
    if (!lmn_atomic_load(t->on, relaxed)) return;
    const uint64_t now = lmn_trace_now(t);
    const bool lasts = kind == LAMINA_TRACE_SPAN || kind == LAMINA_TRACE_WAIT;
    uint64_t w[LMN_EVENT_WORDS] = {0};
    w[LMN_EV_TIME] = lasts ? start : now;
    w[LMN_EV_WHAT] = (uint64_t)name << 32 | (uint64_t)(uint16_t)l->thread << 16 | (uint16_t)kind;
    w[LMN_EV_VALUE] = lasts && now > start ? now - start : 0;
    if (n_args > LMN_TRACE_ARGS) n_args = LMN_TRACE_ARGS;
    switch (n_args) {
    case 4: w[LMN_EV_ARGS + 3] = args[3]; /* fall through */
    case 3: w[LMN_EV_ARGS + 2] = args[2]; /* fall through */
    case 2: w[LMN_EV_ARGS + 1] = args[1]; /* fall through */
    case 1: w[LMN_EV_ARGS] = args[0]; break;
    default: break;
    }
    if (kind == LAMINA_TRACE_VALUE) w[LMN_EV_VALUE] = w[LMN_EV_ARGS];
    lmn_lane_put(l, w);
}

void lmn_trace_phase_end(lamina_trace *t, uint64_t start, const char *name, const char *form,
                         const char *what)
{
    if (!start) return;
    const uint64_t took = lmn_trace_now(t) - start;
    const lmn_trace_put e = {.time = start,
                             .value = took,
                             .kind = LAMINA_TRACE_SPAN,
                             .name = lamina_trace_name(t, name, form),
                             .args = {lamina_trace_name(t, what, NULL)}};
    lamina_trace_lane *lane = lmn_trace_take(t, NULL);
    if (!lane) return;
    lmn_trace_emit(lane, &e);
    lmn_trace_give(lane);
}

/* ---- making -----------------------------------------------------------------------------------
 */

static lamina_status read_opts(lamina_trace *t, const lamina_trace_opts *o, lamina_error *err)
{
    t->counts = (lmn_trace_counts){.lanes = o->n_lanes ? o->n_lanes : DEFAULT_LANES,
                                   .events = o->lane_events ? o->lane_events : DEFAULT_EVENTS,
                                   .threads = LMN_TRACE_N_THREADS,
                                   .names = LMN_TRACE_N_NAMES,
                                   .name_bytes = LMN_TRACE_NAME_BYTES,
                                   .metrics = LMN_TRACE_N_METRICS,
                                   .cells = LMN_TRACE_N_CELLS,
                                   .knobs = LMN_TRACE_N_KNOBS};
    if (!lmn_trace_layout_of(&t->counts, &t->at))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "a trace has 1 to %u lanes of a power of two of events, 16 to %u; not %u "
                        "of %u",
                        LMN_TRACE_MAX_LANES, LMN_TRACE_MAX_EVENTS, t->counts.lanes,
                        t->counts.events);
    if (o->level > LAMINA_TRACE_LEVEL_CHUNKS)
        return lmn_fail(err, LAMINA_E_INVALID, "there is no trace level %u; the last is %d",
                        o->level, LAMINA_TRACE_LEVEL_CHUNKS);
    return LAMINA_OK;
}

static lamina_status allocate(lamina_trace *t)
{
    const lamina_allocator *a = &t->alloc;
    const size_t n = t->counts.lanes;
    t->lanes = lmn_alloc(a, n * sizeof *t->lanes, LMN_APART, TAG);
    t->name_table = lmn_calloc(a, TABLE, sizeof *t->name_table, TAG);
    t->names = lmn_calloc(a, t->counts.names, sizeof *t->names, TAG);
    t->threads = lmn_calloc(a, t->counts.threads, sizeof *t->threads, TAG);
    lmn_atomic(uint32_t) *on = lmn_fork_page();
    t->on = on;
    if (!t->lanes || !t->name_table || !t->names || !t->threads || !on) return LAMINA_E_NOMEM;
    lmn_atomic_store(on, 1, relaxed);
    return LAMINA_OK;
}

static void fill_head(lamina_trace *t, const lamina_trace_opts *o)
{
    lmn_trace_head *h = t->head;
    h->version = LMN_TRACE_VERSION;
    h->head_bytes = LMN_TRACE_HEAD_BYTES;
    h->file_bytes = t->at.total;
    h->counts = t->counts;
    h->allow_set = o->allow_set;
    lmn_ticks_start(&t->clock);
    h->counter = t->clock.counter;
    h->tick0 = t->clock.tick0;
    h->ns0 = t->clock.ns0;
    h->wall0 = lmn_wall_ns();
    h->pid = lmn_self_pid();
    h->pid_start = lmn_os_process_start(h->pid);
    const int64_t n = lmn_os_text_read("/proc/sys/kernel/random/boot_id", h->boot, sizeof h->boot);
    if (n != 37) h->boot[0] = 0; /* 36 and the end of the line */
    h->boot[36] = 0;
    (void)lmn_format(h->program, sizeof h->program, "%s", lmn_self_name());
    t->tick_ns = lmn_ticks_ns(&t->clock);
    measure_rate(t);
    h->magic = LMN_TRACE_MAGIC;
}

static lamina_status fill(lamina_trace *t, const lamina_trace_opts *o, const char *path,
                          lamina_error *err)
{
    LMN_TRY(lmn_os_pub_create(&t->file, path, t->at.total, err));
    t->head = (lmn_trace_head *)(void *)t->file.p;
    for (uint32_t i = 0; i < t->counts.lanes; i++) {
        lmn_lane *l = &t->lanes[i];
        memset(l, 0, sizeof *l);
        l->index = i;
        l->owner = t;
        l->mask = t->counts.events - 1;
        l->mem = (lmn_lane_mem *)(void *)(t->file.p + t->at.lanes) + i;
        l->slots =
            (lmn_lane_slot *)(void *)(t->file.p + t->at.events) + (size_t)i * t->counts.events;
    }
    t->n_names = 1; /* 0 is for all who found no room */
    lmn_atomic_store(&t->head->n_names, 1, relaxed);
    const double level = o->level ? o->level : LAMINA_TRACE_LEVEL_NODES;
    (void)lamina_trace_knob_make(t, "trace.level",
                                 "what is written: 0 nothing, 1 runs, 2 nodes, 3 chunks", true, 0,
                                 LAMINA_TRACE_LEVEL_CHUNKS, level);
    fill_head(t, o);
    return lmn_os_pub_publish(&t->file, err);
}

lamina_status lamina_trace_create(const char *path, const lamina_trace_opts *opts,
                                  lamina_trace **out, lamina_error *err)
{
    lamina_trace_opts o;
    if (!out) return lmn_fail(err, LAMINA_E_INVALID, "a trace needs a place to go");
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the trace options set a field this version does not know");
    if (path && !*path) return lmn_fail(err, LAMINA_E_INVALID, "a trace needs a path");
    const lamina_allocator a = o.allocator ? *o.allocator : lmn_libc_allocator;
    lamina_trace *t = lmn_calloc(&a, 1, sizeof *t, TAG);
    if (!t) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a trace");
    t->alloc = a;
    t->file.fd = -1;
    lmn_mutex_init_as(&t->lock, LMN_RANK_TRACE, "trace", NULL);
    lamina_status st = read_opts(t, &o, err);
    if (st == LAMINA_OK && (st = allocate(t)) != LAMINA_OK)
        st = lmn_fail(err, st, "out of memory for a trace");
    if (st == LAMINA_OK) st = fill(t, &o, path, err);
    if (st != LAMINA_OK) {
        lamina_trace_destroy(t);
        return st;
    }
    *out = t;
    return LAMINA_OK;
}

void lamina_trace_destroy(lamina_trace *t)
{
    if (!t) return;
    const lamina_allocator a = t->alloc;
    if (t->head && t->on && lmn_atomic_load(t->on, relaxed)) {
        measure_rate(t);
        lmn_atomic_store(&t->head->closed, 1, release);
    }
    if (t->on && !lmn_atomic_load(t->on, relaxed)) t->file.tmp[0] = 0; /* the parent's */
    lmn_os_pub_close(&t->file);
    lmn_fork_page_free((void *)(uintptr_t)t->on);
    lmn_free(&a, t->lanes, t->counts.lanes * sizeof *t->lanes, LMN_APART, TAG);
    lmn_cfree(&a, t->name_table, TABLE, sizeof *t->name_table, TAG);
    lmn_cfree(&a, t->names, t->counts.names, sizeof *t->names, TAG);
    lmn_cfree(&a, t->threads, t->counts.threads, sizeof *t->threads, TAG);
    lmn_mutex_finish(&t->lock);
    lmn_cfree(&a, t, 1, sizeof *t, TAG);
}

double lmn_trace_level_swap(lamina_trace *t, double level)
{
    uint64_t bits;
    memcpy(&bits, &level, sizeof bits);
    const uint64_t was = lmn_atomic_exchange(t->level, bits, relaxed);
    memcpy(&level, &was, sizeof level);
    return level;
}

int lmn_trace_fd(const lamina_trace *t)
{
    return t->file.fd;
}
