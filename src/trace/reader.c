/*
 * Opening a trace and taking in what was written. Events are copied between two looks at the head
 * of their lane (lane.h): what was overwritten meanwhile is dropped and counted.
 */
#include "trace/reader.h"

#include "base/os/os_barrier.h"
#include "base/os/os_env.h"
#include "base/os/os_file.h"
#include "base/os/os_publish.h"

#include <stdlib.h>
#include <string.h>

#define TAG "trace reader"
#define CHUNK 1024u                   /* events copied between two looks */
#define MOST_EVENTS ((size_t)1 << 20) /* of a poll */
#define MAX_TEXT ((size_t)16 << 20)

static lamina_status load(const lamina_trace_reader *r, uint64_t at, void *to, size_t n,
                          lamina_error *err)
{
    return n ? lmn_os_read_at(r->fd, at, to, n, err) : LAMINA_OK;
}

/* ---- names and tables -------------------------------------------------------------------------
 */

const char *lmn_reader_name(const lamina_trace_reader *r, uint64_t i)
{
    return i && i < r->n_names ? r->names[i].text : "?";
}

static lamina_status load_names(lamina_trace_reader *r, uint32_t n, lamina_error *err)
{
    enum { BATCH = 64, LONGEST = 1000 };
    lmn_trace_name e[BATCH];
    char bytes[LONGEST];
    while (r->n_names < n) {
        const uint32_t some = n - r->n_names < BATCH ? n - r->n_names : BATCH;
        LMN_TRY(load(r, r->at.names + (uint64_t)r->n_names * sizeof *e, e, some * sizeof *e, err));
        for (uint32_t i = 0; i < some; i++) {
            uint32_t len = e[i].n < LONGEST ? e[i].n : LONGEST;
            if (e[i].offset > r->head.counts.name_bytes ||
                len > r->head.counts.name_bytes - e[i].offset)
                len = 0;
            LMN_TRY(load(r, r->at.name_bytes + e[i].offset, bytes, len, err));
            for (uint32_t k = 0; k < len; k++)
                if ((uint8_t)bytes[k] < 32 || bytes[k] == 127) bytes[k] = '?';
            const char *text = lmn_arena_strn(&r->text, bytes, len);
            if (!text) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for names of a trace");
            r->names[r->n_names++] = (lmn_read_name){.text = text, .form = e[i].form};
        }
    }
    return LAMINA_OK;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The tables as they are now; after the events, whose names they hold. */
static lamina_status load_tables(lamina_trace_reader *r, lamina_error *err)
{
    lmn_trace_head now;
    const lmn_trace_counts *c = &r->head.counts;
    LMN_TRY(load(r, 0, &now, sizeof now, err));
    const size_t from = offsetof(lmn_trace_head, tick_ns);
    memcpy((char *)&r->head + from, (char *)&now + from, sizeof now - from);
    LMN_TRY(load_names(r, least(now.n_names, c->names), err));
    r->n_threads = least(now.n_threads, c->threads);
    r->n_metrics = least(now.n_metrics, c->metrics);
    r->n_knobs = least(now.n_knobs, c->knobs);
    r->n_cells = least(now.n_cells, c->cells);
    LMN_TRY(load(r, r->at.threads, r->threads, r->n_threads * sizeof *r->threads, err));
    LMN_TRY(load(r, r->at.metrics, r->metrics, r->n_metrics * sizeof *r->metrics, err));
    LMN_TRY(load(r, r->at.knobs, r->knobs, r->n_knobs * sizeof *r->knobs, err));
    return load(r, r->at.cells, r->cells, r->n_cells * sizeof *r->cells, err);
}

/* ---- events -----------------------------------------------------------------------------------
 */

static lamina_status copy_slots(lamina_trace_reader *r, uint32_t lane, uint64_t from, uint64_t n,
                                lmn_raw_event *to, lamina_error *err)
{
    const uint64_t slots = r->head.counts.events, i = from & (slots - 1);
    const uint64_t first = n < slots - i ? n : slots - i;
    const uint64_t base = r->at.events + lane * slots * sizeof *to;
    LMN_TRY(load(r, base + i * sizeof *to, to, first * sizeof *to, err));
    return load(r, base, to + first, (n - first) * sizeof *to, err);
}

static lamina_status poll_lane(lamina_trace_reader *r, uint32_t lane, lamina_error *err)
{
    const uint64_t slots = r->head.counts.events;
    lmn_lane_reader *l = &r->lanes[lane];
    uint64_t head = lmn_atomic_load(&r->lane_mem[lane].head, relaxed);
    for (uint64_t left = slots; left && r->n_events < MOST_EVENTS;) {
        const uint64_t n = lmn_lane_begin(l, head, slots, left < CHUNK ? left : CHUNK);
        if (!n) break;
        void *grown = r->events;
        const lamina_status st = lmn_grow(&r->alloc, &grown, &r->cap_events, r->n_events + n,
                                          MOST_EVENTS + CHUNK, sizeof *r->events, TAG);
        r->events = grown;
        if (st != LAMINA_OK) return lmn_fail(err, st, "out of memory for events of a trace");
        lmn_raw_event *to = r->events + r->n_events;
        LMN_TRY(copy_slots(r, lane, l->at, n, to, err));
        lmn_full_barrier();
        LMN_TRY(load(r, r->at.lanes + lane * sizeof(lmn_lane_mem), &head, sizeof head, err));
        const uint64_t drop = lmn_lane_end(l, head, slots, n);
        memmove(to, to + drop, (n - drop) * sizeof *to);
        r->n_events += n - drop;
        left -= n;
    }
    lmn_atomic_store(&r->lane_mem[lane].head, head, relaxed);
    return LAMINA_OK;
}

/* By time; what began together, longest first, so that a span precedes what lies inside it. */
static int by_time(const void *a, const void *b)
{
    const uint64_t *x = ((const lmn_raw_event *)a)->w, *y = ((const lmn_raw_event *)b)->w;
    if (x[LMN_EV_TIME] != y[LMN_EV_TIME]) return x[LMN_EV_TIME] < y[LMN_EV_TIME] ? -1 : 1;
    return x[LMN_EV_VALUE] > y[LMN_EV_VALUE] ? -1 : x[LMN_EV_VALUE] < y[LMN_EV_VALUE];
}

lamina_status lamina_trace_poll(lamina_trace_reader *r, lamina_error *err)
{
    if (!r) return lmn_fail(err, LAMINA_E_INVALID, "polling needs a reader");
    r->n_events = r->next = 0;
    const uint32_t n = r->head.counts.lanes;
    LMN_TRY(load(r, r->at.lanes, r->lane_mem, n * sizeof *r->lane_mem, err));
    for (uint32_t i = 0; i < n; i++) LMN_TRY(poll_lane(r, i, err));
    if (r->n_events > 1) qsort(r->events, r->n_events, sizeof *r->events, by_time);
    return load_tables(r, err);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static bool rate_fine(double v)
{
    return v > 1e-3 && v < 1e3;
}

/* Nanoseconds a tick: by the clocks of now where they are those of the writer. */
static void find_rate(lamina_trace_reader *r)
{
    const uint64_t bits = lmn_atomic_load(&r->head.tick_ns, relaxed);
    memcpy(&r->tick_ns, &bits, sizeof bits);
    if (!rate_fine(r->tick_ns)) r->tick_ns = 1;
    lmn_ticks now;
    lmn_ticks_start(&now);
    if (!r->same_boot || !now.counter || !r->head.counter) return;
    const double ns = (double)(int64_t)(now.ns0 - r->head.ns0),
                 ticks = (double)(int64_t)(now.tick0 - r->head.tick0), rate = ns / ticks;
    if (ns > 1e7 && rate_fine(rate) && rate > 0.99 * r->tick_ns && rate < 1.01 * r->tick_ns)
        r->tick_ns = rate;
}

static lamina_status check_head(lamina_trace_reader *r, uint64_t file_bytes, lamina_error *err)
{
    lmn_trace_head *h = &r->head;
    if (file_bytes < LMN_TRACE_HEAD_BYTES)
        return lmn_fail(err, LAMINA_E_CORRUPT, "this is no trace: %llu bytes are too few",
                        (unsigned long long)file_bytes);
    LMN_TRY(load(r, 0, h, sizeof *h, err));
    if (h->magic != LMN_TRACE_MAGIC)
        return lmn_fail(err, LAMINA_E_CORRUPT, "this is no trace: its first bytes are others");
    if (h->version != LMN_TRACE_VERSION || h->head_bytes != LMN_TRACE_HEAD_BYTES)
        return lmn_fail(err, LAMINA_E_VERSION,
                        "a trace of format %u cannot be read, only of format %u", h->version,
                        LMN_TRACE_VERSION);
    if (!lmn_trace_layout_of(&h->counts, &r->at) || r->at.total != h->file_bytes)
        return lmn_fail(err, LAMINA_E_CORRUPT, "the header of this trace contradicts itself");
    if (r->at.total > file_bytes)
        return lmn_fail(err, LAMINA_E_CORRUPT, "the trace was cut: %llu of its %llu bytes are here",
                        (unsigned long long)file_bytes, (unsigned long long)r->at.total);
    char boot[sizeof h->boot];
    const int64_t n = lmn_os_text_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    r->same_boot = n == 37 && memcmp(boot, h->boot, 36) == 0;
    h->program[sizeof h->program - 1] = 0;
    for (char *p = h->program; *p; p++)
        if ((uint8_t)*p < 32 || *p == 127) *p = '?';
    return LAMINA_OK;
}

static lamina_status allocate(lamina_trace_reader *r, lamina_error *err)
{
    const lmn_trace_counts *c = &r->head.counts;
    const lamina_allocator *a = &r->alloc;
    r->lanes = lmn_calloc(a, c->lanes, sizeof *r->lanes, TAG);
    r->lane_mem = lmn_alloc(a, c->lanes * sizeof *r->lane_mem, LMN_APART, TAG);
    r->names = lmn_calloc(a, c->names + 1, sizeof *r->names, TAG);
    r->threads = lmn_calloc(a, c->threads + 1, sizeof *r->threads, TAG);
    r->metrics = lmn_calloc(a, c->metrics + 1, sizeof *r->metrics, TAG);
    r->knobs = lmn_calloc(a, c->knobs + 1, sizeof *r->knobs, TAG);
    r->cells = lmn_calloc(a, c->cells + 1, sizeof *r->cells, TAG);
    if (!r->lanes || !r->lane_mem || !r->names || !r->threads || !r->metrics || !r->knobs ||
        !r->cells)
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a trace");
    memset(r->lane_mem, 0, c->lanes * sizeof *r->lane_mem);
    return LAMINA_OK;
}

lamina_status lamina_trace_open(const char *path, const lamina_allocator *allocator,
                                lamina_trace_reader **out, lamina_error *err)
{
    if (!path || !out)
        return lmn_fail(err, LAMINA_E_INVALID, "reading a trace needs a path and a place to go");
    const lamina_allocator a = allocator ? *allocator : lmn_libc_allocator;
    lamina_trace_reader *r = lmn_alloc(&a, sizeof *r, _Alignof(lamina_trace_reader), TAG);
    if (!r) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a trace");
    memset(r, 0, sizeof *r);
    r->alloc = a;
    r->fd = -1;
    lmn_arena_init(&r->text, &r->alloc, MAX_TEXT);
    uint64_t bytes;
    lamina_status st = lmn_os_open(path, &r->fd, &bytes, err);
    if (st == LAMINA_OK) st = check_head(r, bytes, err);
    if (st == LAMINA_OK) st = allocate(r, err);
    if (st == LAMINA_OK) st = load_tables(r, err);
    if (st != LAMINA_OK) {
        lamina_trace_close(r);
        return st;
    }
    find_rate(r);
    *out = r;
    return LAMINA_OK;
}

void lamina_trace_close(lamina_trace_reader *r)
{
    if (!r) return;
    const lamina_allocator a = r->alloc;
    const lmn_trace_counts *c = &r->head.counts;
    lmn_os_close(r->fd);
    lmn_arena_finish(&r->text);
    lmn_cfree(&a, r->lanes, c->lanes, sizeof *r->lanes, TAG);
    lmn_free(&a, r->lane_mem, c->lanes * sizeof *r->lane_mem, LMN_APART, TAG);
    lmn_cfree(&a, r->names, c->names + 1, sizeof *r->names, TAG);
    lmn_cfree(&a, r->threads, c->threads + 1, sizeof *r->threads, TAG);
    lmn_cfree(&a, r->metrics, c->metrics + 1, sizeof *r->metrics, TAG);
    lmn_cfree(&a, r->knobs, c->knobs + 1, sizeof *r->knobs, TAG);
    lmn_cfree(&a, r->cells, c->cells + 1, sizeof *r->cells, TAG);
    lmn_free(&a, r->events, r->cap_events * sizeof *r->events, 16, TAG);
    lmn_free(&a, r, sizeof *r, _Alignof(lamina_trace_reader), TAG);
}
