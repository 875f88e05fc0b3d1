/*
 * GET /v2/admin/profile?seconds=S: where the process spends its CPU time, as folded stacks
 * ("thread;outermost;...;innermost count"), which flamegraph.pl and speedscope read. Threads are
 * interrupted by timers on their own CPU clocks (base/os/os_sample.h); equal stacks are counted as
 * they come, and named at the end by the symbol tables of the files that are mapped. A thread that
 * runs a model has the node, "model/node", as its innermost frame. All in bounded memory.
 */
#include "serve/capture.h"

#include "base/elfnames.h"
#include "base/hash.h"
#include "base/os/os_file.h"
#include "base/os/os_sample.h"
#include "base/os/os_self.h"
#include "base/os/os_time.h"
#include "trace/trace_watch.h"

#include <stdlib.h>
#include <string.h>

#define INTERVAL_NS UINT64_C(5000000) /* of CPU time; the kernel's tick may make it more */
#define TAKE_NS UINT64_C(20000000)
#define LOOK_TURNS 10u   /* how often to look for new threads, in such steps */
#define TABLE (1u << 14) /* of stacks, never more than half full */
#define MAX_BYTES ((size_t)16 << 20)
#define MAX_FILES 256u

/* A stack, and how often it was seen. */
typedef struct stack {
    uint64_t hash;
    uint32_t count, n;
    bool cut;
    char thread[16];
    uint64_t note[LMN_SAMPLE_NOTES];
    uintptr_t pc[]; /* innermost first */
} stack;

/* A place in the code, and where it lies. */
typedef struct place {
    uintptr_t pc;
    lmn_elf_place in; /* of its file */
    uint32_t file;    /* number + 1; 0: of none */
    const char *name;
} place;

typedef struct profile {
    lmn_arena arena;
    stack **table; /* TABLE */
    uint32_t n_stacks;
    uint64_t lost;
    place *places; /* sorted by pc */
    size_t n_places;
    const char *files[MAX_FILES];
    uint32_t n_files;
    lamina_trace_reader *names;
} profile;

/* --- while it runs --- */

static uint64_t hash_of(const profile *p, const lmn_sample *m)
{
    uint64_t h = lmn_hash_bytes(lmn_hash_seed(p), m->pc, m->n * sizeof *m->pc);
    h = lmn_hash_bytes(h, m->note, sizeof m->note);
    return lmn_hash_bytes(h, m->thread, strnlen(m->thread, sizeof m->thread));
}

static bool is_same(const stack *k, const lmn_sample *m, uint64_t hash)
{
    return k->hash == hash && k->n == m->n && memcmp(k->pc, m->pc, m->n * sizeof *m->pc) == 0 &&
           memcmp(k->note, m->note, sizeof m->note) == 0 &&
           strncmp(k->thread, m->thread, sizeof k->thread) == 0;
}

static void keep(void *ctx, const lmn_sample *m)
{
    profile *p = ctx;
    const uint64_t hash = hash_of(p, m);
    uint32_t i = (uint32_t)hash & (TABLE - 1);
    while (p->table[i] && !is_same(p->table[i], m, hash)) i = (i + 1) & (TABLE - 1);
    if (p->table[i]) {
        p->table[i]->count++;
        return;
    }
    stack *k = p->n_stacks < TABLE / 2
                   ? lmn_arena_bump(&p->arena, sizeof *k + m->n * sizeof *m->pc, 16)
                   : NULL;
    if (!k) {
        p->lost++;
        return;
    }
    *k = (stack){.hash = hash, .count = 1, .n = m->n, .cut = m->cut};
    memcpy(k->thread, m->thread, sizeof k->thread);
    memcpy(k->note, m->note, sizeof k->note);
    memcpy(k->pc, m->pc, m->n * sizeof *m->pc);
    p->table[i] = k;
    p->n_stacks++;
}

static void note(void *ctx, uint64_t out[LMN_SAMPLE_NOTES])
{
    lmn_trace_inside_of(ctx, out);
}
_Static_assert((int)LMN_SAMPLE_NOTES == LMN_LANE_OPEN, "a note holds what a lane says");

static lamina_status sample(lmn_capture *c, profile *p)
{
    lmn_sampler *s = NULL;
    const uint64_t until = lmn_now_ns() + c->ns;
    LMN_TRY(lmn_sampler_start(c->home->server->alloc, INTERVAL_NS, c->trace ? note : NULL, c->trace,
                              &s, &c->error));
    for (uint32_t turn = 1; lmn_capture_wait(c, until, TAKE_NS); turn++) {
        lmn_sampler_take(s, keep, p);
        if (turn % LOOK_TURNS == 0) lmn_sampler_look(s);
    }
    lmn_sampler_stop(s);
    lmn_sampler_take(s, keep, p);
    p->lost += lmn_sampler_lost(s);
    lmn_sampler_end(s);
    return LAMINA_OK;
}

/* --- names --- */

/* All but the innermost are where a call returns to: behind the call, maybe in the next function.
 */
static uintptr_t call_of(const stack *k, uint32_t i)
{
    return k->pc[i] - (i > 0);
}

static int by_pc(const void *a, const void *b)
{
    const uintptr_t x = ((const place *)a)->pc, y = ((const place *)b)->pc;
    return x < y ? -1 : x > y;
}

static lamina_status gather_places(profile *p)
{
    size_t n = 0;
    for (uint32_t i = 0; i < TABLE; i++) n += p->table[i] ? p->table[i]->n : 0;
    p->places = lmn_arena_bump(&p->arena, (n + 1) * sizeof *p->places, 16);
    if (!p->places) return LAMINA_E_NOMEM;
    n = 0;
    for (uint32_t i = 0; i < TABLE; i++)
        for (uint32_t k = 0; p->table[i] && k < p->table[i]->n; k++)
            p->places[n++] = (place){.pc = call_of(p->table[i], k)};
    qsort(p->places, n, sizeof *p->places, by_pc);
    for (size_t i = 0; i < n; i++)
        if (!p->n_places || p->places[p->n_places - 1].pc != p->places[i].pc)
            p->places[p->n_places++] = p->places[i];
    return LAMINA_OK;
}

static size_t first_at(const profile *p, uintptr_t pc)
{
    size_t lo = 0, hi = p->n_places;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (p->places[mid].pc < pc)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Which file the places of a mapping lie in, and where in it. */
static bool note_file(void *ctx, const lmn_mapping *m)
{
    profile *p = ctx;
    size_t i = first_at(p, m->from);
    if (i == p->n_places || p->places[i].pc >= m->to || !m->path[0]) return true;
    uint32_t f = 0;
    while (f < p->n_files && strcmp(p->files[f], m->path) != 0) f++;
    if (f == MAX_FILES) return true;
    if (f == p->n_files) {
        p->files[f] = lmn_arena_strn(&p->arena, m->path, strlen(m->path));
        if (!p->files[f]) return false;
        p->n_files++;
    }
    for (; i < p->n_places && p->places[i].pc < m->to; i++) {
        p->places[i].file = f + 1;
        p->places[i].in.offset = p->places[i].pc - m->from + m->offset;
    }
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const uint64_t x = ((const lmn_elf_place *)a)->offset, y = ((const lmn_elf_place *)b)->offset;
    return x < y ? -1 : x > y;
}

/* "file+0x12": what addr2line takes. */
static const char *by_place(profile *p, const place *at)
{
    char text[96];
    const char *path = at->file ? p->files[at->file - 1] : "?", *slash = strrchr(path, '/');
    const unsigned long long where = at->file ? at->in.offset : 0; /* no address leaves us */
    (void)lmn_format(text, sizeof text, "%.64s+0x%llx", slash ? slash + 1 : path, where);
    return lmn_arena_strn(&p->arena, text, strlen(text));
}

/* Names of the places in one file; what has none is named by its place. */
static void name_file(profile *p, uint32_t file, lmn_elf_place *some)
{
    uint64_t bytes = 0;
    size_t n = 0;
    int fd;
    for (size_t i = 0; i < p->n_places; i++)
        if (p->places[i].file == file) some[n++] = p->places[i].in;
    if (file && lmn_os_open(p->files[file - 1], &fd, &bytes, NULL) == LAMINA_OK) {
        qsort(some, n, sizeof *some, by_offset); /* as they are, but where a file is mapped twice */
        lmn_elf_names(fd, bytes, some, n, &p->arena);
        lmn_os_close(fd);
    }
    for (size_t i = 0; i < p->n_places; i++) {
        place *at = &p->places[i];
        if (at->file != file) continue;
        const lmn_elf_place *found = bsearch(&at->in, some, n, sizeof *some, by_offset);
        at->name = found && found->name ? found->name : by_place(p, at);
    }
}

static lamina_status name_places(profile *p)
{
    LMN_TRY(gather_places(p));
    lmn_elf_place *some = lmn_arena_bump(&p->arena, (p->n_places + 1) * sizeof *some, 16);
    if (!some) return LAMINA_E_NOMEM;
    (void)lmn_mappings(note_file, p);
    for (uint32_t f = 0; f <= p->n_files; f++) name_file(p, f, some);
    return LAMINA_OK;
}

/* --- lines --- */

/* A frame: a semicolon ends it, a line break the line. */
static void put_frame(lmn_strbuf *b, const char *name, bool more)
{
    if (more) lmn_strbuf_char(b, ';');
    for (const char *c = name; *c; c++)
        lmn_strbuf_char(b, *c == ';' || *c == '\n' || *c == '\r' ? '_' : *c);
}

/* What the engine did there. */
static void put_note(lmn_strbuf *b, const profile *p, const stack *k)
{
    int deepest = LMN_LANE_OPEN - 1;
    if (!p->names || !(uint32_t)k->note[0]) return;
    while (!(uint32_t)k->note[deepest]) deepest--;
    put_frame(b, lmn_reader_name(p->names, k->note[0] >> 32), true);
    if (!deepest) return;
    const uint64_t at = k->note[deepest];
    lmn_strbuf_char(b, '/');
    put_frame(b, lmn_reader_name(p->names, at >> 32 ? at >> 32 : (uint32_t)at), false);
}

static void put_stack(lmn_strbuf *b, const profile *p, const stack *k)
{
    put_frame(b, k->thread[0] ? k->thread : "?", false);
    if (k->cut) put_frame(b, "(further out)", true);
    for (uint32_t i = k->n; i-- > 0;) {
        const char *name = p->places[first_at(p, call_of(k, i))].name;
        put_frame(b, name ? name : "?", true);
    }
    put_note(b, p, k);
}

typedef struct line {
    const char *text;
    uint64_t count;
} line;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const line *)a)->text, ((const line *)b)->text);
}

/* Stacks that differ in places alone are one line. */
static lamina_status write_lines(lmn_capture *c, profile *p)
{
    lmn_strbuf *out = &c->text;
    line *lines = lmn_arena_bump(&p->arena, (p->n_stacks + 1) * sizeof *lines, 16);
    uint32_t n = 0;
    if (!lines) return LAMINA_E_NOMEM;
    for (uint32_t i = 0; i < TABLE; i++) {
        if (!p->table[i]) continue;
        lmn_strbuf_reset(out);
        put_stack(out, p, p->table[i]);
        lines[n].text = lmn_arena_strn(&p->arena, lmn_strbuf_text(out), out->n);
        lines[n].count = p->table[i]->count;
        if (!lines[n++].text) return LAMINA_E_NOMEM;
    }
    lmn_strbuf_reset(out);
    qsort(lines, n, sizeof *lines, by_text);
    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 < n && strcmp(lines[i].text, lines[i + 1].text) == 0)
            lines[i + 1].count += lines[i].count;
        else
            lmn_strbuf_printf(out, "%s %llu\n", lines[i].text, (unsigned long long)lines[i].count);
    }
    if (p->lost) lmn_strbuf_printf(out, "(not kept) %llu\n", (unsigned long long)p->lost);
    return out->status;
}

/* The texts behind the notes: those of now, since numbers of names do not change. */
static void open_names(lmn_capture *c, profile *p)
{
    if (!c->trace || lmn_capture_reader(c, &p->names) != LAMINA_OK) return;
    if (lamina_trace_poll(p->names, NULL) == LAMINA_OK) return;
    lamina_trace_close(p->names);
    p->names = NULL;
}

lamina_status lmn_profiling_watch(lmn_capture *c)
{
    const lamina_allocator *a = c->home->server->alloc;
    profile p = {.table = lmn_calloc(a, TABLE, sizeof *p.table, "profile")};
    if (!p.table) return lmn_fail(&c->error, LAMINA_E_NOMEM, "out of memory for a profile");
    lmn_arena_init(&p.arena, a, MAX_BYTES);
    const double was = c->trace ? lmn_trace_level_swap(c->trace, c->level) : 0;
    lamina_status st = sample(c, &p);
    if (c->trace) (void)lmn_trace_level_swap(c->trace, was);
    open_names(c, &p);
    if (st == LAMINA_OK) st = name_places(&p);
    if (st == LAMINA_OK) st = write_lines(c, &p);
    lamina_trace_close(p.names);
    lmn_arena_finish(&p.arena);
    lmn_cfree(a, p.table, TABLE, sizeof *p.table, "profile");
    return st;
}
