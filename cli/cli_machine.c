/*
 * Measuring the machine. All threads do the same at the same time, because shared clocks, caches
 * and memory channels are part of the answer. Work is cut into short bursts: of what a core has to
 * itself a thread keeps the best, so that a neighbour on the same core costs some bursts and not
 * the result; of what threads share it keeps the upper quartile, because the best moment of one is
 * the worst of another.
 */
#include "cli_machine.h"

#include "sys_bench.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_THREADS 256
#define BURST_NS 12e6
#define STREAM_NS 16e6
#define CHASE_NS 10e6
#define MOST_BURSTS 4096
#define PIECE ((size_t)2 << 20) /* of memory, streamed at once */
#define MOST_BYTES ((size_t)1 << 30)
#define LINE 64

typedef struct level_plan {
    const char *name;
    size_t bytes; /* of one thread */
    double holds;
    bool shared, memory;
} level_plan;

typedef struct phase {
    const cli_burst *burst;
    void (*stream)(char *p, size_t n, int passes);
    char *data;
    size_t stride, bytes, piece;
    bool shared;
    double *best; /* a second, one a thread */
    double budget_ns;
} phase;

const char *cli_type_name(int type)
{
    static const char *const NAMES[CLI_TYPES] = {"f32", "f64", "bf16", "i8"};
    return NAMES[type];
}

double cli_machine_peak(const cli_machine *m, int type)
{
    double best = 0;
    for (int i = 0; i < m->n_peaks; i++)
        if (m->peaks[i].type == type && m->peaks[i].ops > best) best = m->peaks[i].ops;
    return best;
}

static int by_rate(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One burst: a second how much? */
static double once(const phase *p, char *mine, size_t i, int passes)
{
    const double start = sys_now_ns();
    if (p->burst)
        p->burst->run();
    else
        p->stream(mine + i * p->piece % p->bytes, p->piece, passes);
    const double ns = sys_now_ns() - start;
    if (!(ns > 0)) return 0;
    return 1e9 * (p->burst ? p->burst->ops : (double)p->piece * passes) / ns;
}

static double part(void *ctx, int index)
{
    const phase *p = ctx;
    static _Thread_local double rate[MOST_BURSTS];
    char *mine = p->data ? p->data + (size_t)index * p->stride : NULL;
    /* Small pieces are passed over often enough for the clock. */
    const int passes = p->piece && p->piece < PIECE ? (int)(PIECE / p->piece) : 1;
    const double start = sys_now_ns();
    const size_t least = p->burst ? 8 : p->bytes / p->piece + 4;
    size_t n = 0;
    (void)once(p, mine, 0, passes);
    while (n < MOST_BURSTS && (n < least || sys_now_ns() - start < p->budget_ns)) {
        rate[n] = once(p, mine, n, passes);
        n++;
    }
    qsort(rate, n, sizeof *rate, by_rate);
    /* The best pieces of memory are those that a cache still held. */
    p->best[index] = rate[p->shared ? n - 1 - n / 4 : n - 1];
    return 0;
}

/* All threads of a phase; the sum of what they reached. */
static bool together(phase *p, int threads, double *out)
{
    sys_part parts[MOST_THREADS];
    for (int i = 0; i < threads; i++) parts[i] = (sys_part){.work = part, .ctx = p, .cpu = -1};
    *out = 0;
    if (!sys_together(parts, threads)) return false;
    for (int i = 0; i < threads; i++) *out += p->best[i];
    return true;
}

/* A function of its own, lest the frame pointer be the one walking: Zen renames loads through it.
 */
__attribute__((noinline)) static void **walk(void **at, size_t steps)
{
    for (size_t i = 0; i < steps; i++) at = *at;
    return at;
}

/* A cycle through all lines of a piece in random order (Sattolo), then a walk along it. */
static double chase_ns(void **lines, size_t n)
{
    const size_t words = LINE / sizeof(void *);
    uint64_t seed = 7;
    for (size_t i = 0; i < n; i++) lines[i * words] = &lines[i * words];
    for (size_t i = n - 1; i > 0; i--) {
        const size_t j = sys_random(&seed) % i;
        void *t = lines[i * words];
        lines[i * words] = lines[j * words], lines[j * words] = t;
    }
    void **at = lines;
    double best = 0;
    const size_t steps = 20000;
    const double begin = sys_now_ns();
    for (int r = 0; r < 8 || sys_now_ns() - begin < CHASE_NS; r++) {
        const double start = sys_now_ns();
        at = walk(at, steps);
        const double ns = (sys_now_ns() - start) / (double)steps;
        sys_keep((uint64_t)(uintptr_t)at);
        if (r && (best <= 0 || ns < best)) best = ns; /* the first round fills the cache */
    }
    return best;
}

static bool measure_level(cli_machine *m, const level_plan *v, const cli_stream *s, double *best)
{
    cli_level *l = &m->levels[m->n_levels++];
    const size_t all = v->bytes * (size_t)m->threads;
    phase p = {.data = aligned_alloc(4096, (all + 4095) / 4096 * 4096), .best = best};
    if (!p.data) return false;
    memset(p.data, 1, all);
    (void)snprintf(l->name, sizeof l->name, "%s", v->name);
    l->bytes = v->holds;
    p.bytes = p.stride = v->bytes;
    p.piece = v->memory ? PIECE : v->bytes;
    p.shared = v->memory || (v->shared && m->threads > 1);
    p.budget_ns = STREAM_NS;
    bool ok = (p.stream = s->read, together(&p, m->threads, &l->read));
    ok = ok && (p.stream = s->write, together(&p, m->threads, &l->write));
    ok = ok && (p.stream = s->copy, together(&p, m->threads, &l->copy));
    size_t lines = v->bytes / LINE; /* of memory 64 MiB at most: the cycle itself takes time */
    if (lines > ((size_t)64 << 20) / LINE) lines = ((size_t)64 << 20) / LINE;
    l->ns = chase_ns((void **)(void *)p.data, lines);
    free(p.data);
    return ok;
}

/* What a thread walks of each level: half of what is its own, past what is nearer. */
static int plan_levels(const size_t cache[3], int threads, level_plan v[4])
{
    int n = 0;
    const size_t t = (size_t)threads;
    if (cache[0]) v[n++] = (level_plan){"L1", cache[0] / 2, (double)cache[0], false, false};
    if (cache[1] > 2 * cache[0])
        v[n++] = (level_plan){"L2", cache[1] / 2, (double)cache[1], false, false};
    if (cache[2] > 4 * cache[1]) {
        size_t mine = cache[2] / 2 / t;
        if (mine < 2 * cache[1]) mine = 2 * cache[1];
        v[n++] = (level_plan){"L3", mine, (double)cache[2], true, false};
    }
    size_t all = 4 * cache[2];
    if (all < (size_t)96 << 20) all = (size_t)96 << 20;
    if (all > MOST_BYTES) all = MOST_BYTES;
    size_t mine = all / t;
    if (mine < 2 * PIECE) mine = 2 * PIECE;
    v[n++] = (level_plan){"memory", mine, (double)all, true, true};
    for (int i = 0; i < n; i++) {
        const size_t piece = v[i].memory ? PIECE : 1024;
        v[i].bytes -= v[i].bytes % piece;
    }
    return n;
}

static bool has_word(const char *words, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = words; n && (at = strstr(at, word)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
    return !n;
}

static bool measure(cli_machine *m, const char *isa, const size_t cache[3])
{
    static double best[MOST_THREADS];
    level_plan v[4];
    const int n = plan_levels(cache, m->threads, v);
    for (const cli_burst *b = cli_bursts; b->run; b++) {
        if (!has_word(isa, b->isa)) continue;
        cli_peak *p = &m->peaks[m->n_peaks++];
        p->type = b->type;
        (void)snprintf(p->isa, sizeof p->isa, "%s", *b->isa ? b->isa : "base");
        phase of = {.burst = b, .best = best, .budget_ns = BURST_NS};
        if (!together(&of, m->threads, &p->ops)) return false;
    }
    const cli_stream *s = cli_streams;
    while (!has_word(isa, s->isa)) s++;
    bool ok = true;
    for (int i = 0; ok && i < n; i++) ok = measure_level(m, &v[i], s, best);
    return ok;
}

/* What measurements depend on: features, caches, processors, and how these loops were compiled. */
static uint64_t identify(lamina_engine *e, char *isa, size_t cap, size_t cache[3])
{
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    uint64_t id = 0xcbf29ce484222325u;
#else
    uint64_t id = 0x84222325cbf29ce4u;
#endif
    unsigned l1 = 0, l2 = 0, l3 = 0;
    lamina_info_row r = {.size = sizeof r};
    isa[0] = 0;
    for (size_t i = 0; lamina_engine_info(e, i, &r) == LAMINA_OK; i++) {
        if (!strcmp(r.key, "cpu.isa")) (void)snprintf(isa, cap, "%s", r.value);
        if (!strcmp(r.key, "cpu.caches"))
            (void)sscanf(r.value, "L1d %u KiB, L2 %u KiB, L3 %u KiB", &l1, &l2, &l3);
        if (strcmp(r.key, "cpu.isa") && strcmp(r.key, "cpu.id") && strcmp(r.key, "cpu.caches") &&
            strcmp(r.key, "limits.cpus"))
            continue;
        for (const char *c = r.value; *c; c++) id = (id ^ (unsigned char)*c) * 0x100000001b3u;
    }
    cache[0] = (size_t)l1 << 10, cache[1] = (size_t)l2 << 10, cache[2] = (size_t)l3 << 10;
    return id;
}

int cli_machine_get(lamina_engine *e, int threads, bool anew, cli_machine *out)
{
    char isa[256];
    size_t cache[3];
    const char *note = NULL;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads < 1) threads = 1;
    const uint64_t id = identify(e, isa, sizeof isa, cache);
    if (!anew && cli_machine_read(id, threads, out, &note)) {
        out->cached = true;
        return CLI_OK;
    }
    *out = (cli_machine){.id = id, .threads = threads, .when = (int64_t)time(NULL), .note = note};
    if (!measure(out, isa, cache)) return cli_fail("no memory or threads to measure with");
    note = cli_machine_write(out);
    if (note) out->note = note;
    return CLI_OK;
}

/* ---- lamina info --measure --------------------------------------------------------------------
 */

static void as_text(const cli_machine *m)
{
    char day[32] = "";
    const time_t when = (time_t)m->when;
    struct tm tm;
    if (gmtime_r(&when, &tm)) (void)strftime(day, sizeof day, "%Y-%m-%d %H:%M UTC", &tm);
    printf("\n%d thread%s, measured %s%s\n", m->threads, m->threads == 1 ? "" : "s", day,
           m->cached ? " (cached; --refresh measures anew)" : "");
    if (m->note) printf("  %s\n", m->note);
    for (int i = 0; i < m->n_peaks; i++) {
        const cli_peak *p = &m->peaks[i];
        printf("  %-6s %-12s %10.1f G%s/s\n", cli_type_name(p->type), p->isa, p->ops * 1e-9,
               p->type == CLI_I8 ? "op" : "FLOP");
    }
    printf("  %-6s %12s %15s %15s %15s %13s\n", "", "KiB", "read", "write", "copy", "latency");
    for (int i = 0; i < m->n_levels; i++) {
        const cli_level *l = &m->levels[i];
        printf("  %-6s %12.0f %10.1f GB/s %10.1f GB/s %10.1f GB/s %10.1f ns\n", l->name,
               l->bytes / 1024, l->read * 1e-9, l->write * 1e-9, l->copy * 1e-9, l->ns);
    }
}

static void as_json(const cli_machine *m)
{
    printf("{\"threads\": %d, \"when\": %" PRId64 ", \"cached\": %s, \"note\": ", m->threads,
           m->when, m->cached ? "true" : "false");
    if (m->note)
        cli_json_string(stdout, m->note);
    else
        printf("null");
    printf(",\n  \"peaks\": [");
    for (int i = 0; i < m->n_peaks; i++)
        printf("%s\n   {\"type\": \"%s\", \"isa\": \"%s\", \"ops\": %.6g}", i ? "," : "",
               cli_type_name(m->peaks[i].type), m->peaks[i].isa, m->peaks[i].ops);
    printf("],\n  \"levels\": [");
    for (int i = 0; i < m->n_levels; i++) {
        const cli_level *l = &m->levels[i];
        printf("%s\n   {\"name\": \"%s\", \"bytes\": %.0f, \"read\": %.6g, \"write\": %.6g, "
               "\"copy\": %.6g, \"latency_ns\": %.6g}",
               i ? "," : "", l->name, l->bytes, l->read, l->write, l->copy, l->ns);
    }
    printf("]}");
}

int cli_machine_report(lamina_engine *e, bool anew, bool json)
{
    lamina_info_row r = {.size = sizeof r};
    int width = 1;
    for (size_t i = 0; lamina_engine_info(e, i, &r) == LAMINA_OK; i++)
        if (!strcmp(r.key, "threads")) width = atoi(r.value);
    for (int pass = 0; pass < (width > 1 ? 2 : 1); pass++) {
        cli_machine m;
        const int rc = cli_machine_get(e, pass ? width : 1, anew, &m);
        if (rc != CLI_OK) return rc;
        if (json) printf("%s", pass ? ",\n " : "{\"machine\": [");
        (json ? as_json : as_text)(&m);
    }
    if (json) printf("]}\n");
    return CLI_OK;
}
