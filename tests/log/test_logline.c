/*
 * Lines of records that are like the ones before them: made in one buffer, where what is the same
 * is copied from the last line, they are what each record gives in a buffer of its own.
 */
#include "log/logger.h"
#include "log/logline.h"

#include "t.h"

#include <stdlib.h>
#include <string.h>

#define CELLS 64u
#define RECORDS 4000
#define FIELDS 40u

typedef struct world {
    lamina_logger log;
    lmn_logring reader;
    uint64_t seed;
    /* the record, which changes a little from one to the next */
    uint64_t time_ns;
    uint32_t pid, tid, n_fields;
    lamina_log_level level;
    uint8_t kind[FIELDS], key[FIELDS], text[FIELDS];
    uint64_t value[FIELDS];
} world;

static uint32_t any(world *w, uint32_t n)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->seed >> 33) % n;
}

static void change_field(world *w, uint32_t i)
{
    w->kind[i] = (uint8_t)any(w, 7);
    w->key[i] = (uint8_t)any(w, 8);
    w->text[i] = (uint8_t)any(w, 8);
    w->value[i] = any(w, 2) ? any(w, 300) : w->seed;
}

/* Mostly numbers and texts of a few fields; now and then what stands in the head, and how many
 * fields there are. */
static void change(world *w)
{
    const uint32_t n = any(w, 4);
    w->time_ns += any(w, 50) ? any(w, 99999) : 1000000000u;
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t i = any(w, FIELDS);
        if (any(w, 8) == 0)
            change_field(w, i);
        else if (any(w, 2))
            w->value[i] = any(w, 1200);
        else
            w->text[i] = (uint8_t)any(w, 8);
    }
    if (any(w, 40) == 0) w->pid = any(w, 3);
    if (any(w, 40) == 0) w->tid = any(w, 3);
    if (any(w, 40) == 0) w->level = (lamina_log_level)any(w, 4);
    if (any(w, 20) == 0) w->n_fields = any(w, 5) ? any(w, 12) : any(w, FIELDS + 1);
}

static void add_field(world *w, lamina_log_record *r, uint32_t i)
{
    static const char *const KEYS[] = {"",           "a",     "us",  "pid",
                                       "compute_us", "k\"\n", "msg", "\xc3\xa9"};
    static const char *const TEXTS[] = {"",    "x",      "infer",       "/v2/models/tiny/infer",
                                        "a b", "\"\\\n", "\xff\xfe ok", "=\x7f"};
    const char *key = KEYS[w->key[i]];
    double real;
    memcpy(&real, &w->value[i], sizeof real);
    switch (w->kind[i]) {
    case 0: lamina_log_i64(r, key, (int64_t)w->value[i]); break;
    case 1: lamina_log_f64(r, key, real); break;
    case 2: lamina_log_hex(r, key, w->value[i]); break;
    case 3: lamina_log_bool(r, key, w->value[i] & 1); break;
    case 4: lamina_log_u64(r, key, w->value[i]); break;
    default: lamina_log_str(r, key, TEXTS[w->text[i]]); break;
    }
}

/* The record's bytes, as a collector reads them; sometimes less than it has, so that a field cannot
 * be read. */
static lmn_logrec record(world *w, uint8_t *bytes)
{
    lamina_log_record r;
    lamina_status bad = LAMINA_OK;
    lamina_log_begin(&r, &w->log, w->level, w->text[0] & 1 ? "requests" : "other");
    for (uint32_t i = 0; i < w->n_fields; i++) add_field(w, &r, i);
    (void)lmn_logrec_put(&w->log.ring, &r, w->time_ns, w->pid, w->tid);
    const uint32_t n = lmn_logring_peek(&w->reader, &bad);
    lmn_logring_read(&w->reader, n, bytes);
    w->reader.at += n;
    lmn_logring_release(&w->reader, w->reader.at);
    if (any(w, 30) == 0) bytes[LMN_LOGREC_HEAD] = LMN_LOGREC_U64; /* its text, if of 8 bytes */
    if (any(w, 30) == 0) bytes[LMN_LOGREC_HEAD + any(w, r.used - LMN_LOGREC_HEAD)] ^= 0x55;
    return lmn_logrec_read(bytes, (size_t)n * LMN_LOGRING_CELL_BYTES);
}

/* What happens to a buffer of lines between two records. */
static void disturb(world *w, lmn_lines *o, size_t line)
{
    static const lmn_logorigin FROM = {"note", 9};
    switch (any(w, 40)) {
    case 0: o->n = 0; break;                                              /* written */
    case 1: o->n = line; break;                                           /* taken back */
    case 2: lmn_lines_note(o, &FROM, w->time_ns, "noted", "n", 5); break; /* a line between */
    case 3: /* the first of them written */
        memmove(o->p, o->p + line, o->n - line);
        o->n -= line;
        break;
    default: break;
    }
    if (o->cap - o->n < LMN_LOGLINE_MAX) o->n = 0;
}

/* The last line, of r, is what r gives in a buffer of its own: `one`, of LMN_LOGLINE_MAX. */
static void check_line(const lmn_lines *many, size_t line, const lmn_logorigin *from, lmn_logrec r,
                       char *one, bool whole)
{
    lmn_lines alone = {.p = one, .cap = LMN_LOGLINE_MAX, .logfmt = many->logfmt};
    T_CHECK(lmn_lines_record(&alone, from, r) == whole);
    T_EQ(many->n - line, alone.n);
    T_REQUIRE(many->n - line == alone.n && memcmp(many->p + line, one, alone.n) == 0);
}

/* A collector's own line that ends where the last record's did, which was written; and a buffer
 * that begins anew behind one. */
static void check_notes(world *w, lmn_lines *many, char *one)
{
    static const lmn_logorigin FROM = {"serve", 1};
    uint8_t bytes[LMN_LOGRING_RECORD_BYTES];
    char letters[401] = {0};
    w->n_fields = 2;
    for (size_t k = 0; k + 1 < sizeof letters; k++) {
        const lmn_logrec r = record(w, bytes);
        many->n = 0;
        (void)lmn_lines_record(many, &FROM, r);
        many->n = 0;
        lmn_lines_note(many, &FROM, w->time_ns, letters, "n", 5);
        if (k % 2) many->n = 0;
        const size_t line = many->n;
        const bool whole = lmn_lines_record(many, &FROM, r);
        check_line(many, line, &FROM, r, one, whole);
        if (k % 2) letters[k / 2] = 'x';
    }
}

static void run(t_env *env, bool logfmt)
{
    static const lmn_logorigin FROM[] = {{"serve", 1}, {"other \"one\"", 1}};
    static _Alignas(LMN_APART) uint8_t ring[sizeof(lmn_logring_mem) + CELLS * sizeof(lmn_logcell)];
    uint8_t bytes[LMN_LOGRING_RECORD_BYTES];
    world w = {.seed = env->seed, .time_ns = UINT64_C(1795000000999000000)};
    lmn_lines many = {.cap = 4 * LMN_LOGLINE_MAX, .logfmt = logfmt};
    many.p = malloc(many.cap);
    char *one = malloc(LMN_LOGLINE_MAX);
    T_REQUIRE(many.p && one);
    memset(ring, 0, sizeof ring);
    T_OK(lmn_logring_init(ring, sizeof ring, CELLS));
    lmn_logring_ready(ring);
    T_OK(lmn_logring_attach(ring, sizeof ring, &w.log.ring));
    w.reader = w.log.ring;
    for (uint32_t i = 0; i < FIELDS; i++) change_field(&w, i);
    for (int i = 0; i < RECORDS; i++) {
        const lmn_logorigin *from = &FROM[any(&w, 25) == 0];
        change(&w);
        const lmn_logrec r = record(&w, bytes);
        const size_t line = many.n;
        const bool whole = lmn_lines_record(&many, from, r);
        check_line(&many, line, from, r, one, whole);
        disturb(&w, &many, line);
    }
    check_notes(&w, &many, one);
    free(many.p);
    free(one);
}

static void test_json(t_env *env)
{
    run(env, false);
}

static void test_logfmt(t_env *env)
{
    run(env, true);
}

T_MAIN(T_TEST(test_json), T_TEST(test_logfmt))
