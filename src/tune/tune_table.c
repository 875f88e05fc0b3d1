/*
 * Reading and writing lines, and the table of what they say (tune_table.h). Bytes come from a file
 * that anybody may have written: fields are counted, numbers are bounded, and a key becomes a shape
 * only after it was found sane.
 */
#include "tune/tune_table.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

#define HEAD "lamina-tune-"
#define FORMAT "1"
#define GAIN_MAX 999.0 /* nothing is a thousand times faster */

enum { F_HEAD, F_MACHINE, F_VERSION, F_ROW, F_WORDS, F_CHOICE, F_GAIN, F_SUM, N_FIELDS };

void lmn_tune_table_init(lmn_tune_table *t, const lamina_allocator *alloc)
{
    *t = (lmn_tune_table){.alloc = alloc};
}

void lmn_tune_table_finish(lmn_tune_table *t)
{
    lmn_cfree(t->alloc, t->records, t->cap, sizeof *t->records, "tune");
    lmn_cfree(t->alloc, t->slots, t->n_slots, sizeof *t->slots, "tune");
    *t = (lmn_tune_table){.alloc = t->alloc};
}

/* ---- the table --------------------------------------------------------------------------------
 */

/* The slot of a key, or the free one where it would be; there is always a free one. */
static uint32_t slot_of(const lmn_tune_table *t, const lmn_tune_key *k)
{
    uint32_t i = (uint32_t)lmn_tune_key_hash(k) & (t->n_slots - 1);
    while (t->slots[i] && !lmn_tune_key_same(&t->records[t->slots[i] - 1].key, k))
        i = (i + 1) & (t->n_slots - 1);
    return i;
}

const lmn_tune_record *lmn_tune_table_find(const lmn_tune_table *t, const lmn_tune_key *k)
{
    if (t->n == 0) return NULL;
    const int32_t at = t->slots[slot_of(t, k)];
    return at ? &t->records[at - 1] : NULL;
}

static lamina_status grow(lmn_tune_table *t)
{
    const uint32_t cap = t->cap ? t->cap * 2 : 64;
    lmn_tune_table more = {.alloc = t->alloc, .n = t->n, .cap = cap, .n_slots = cap * 2};
    more.records = lmn_calloc(t->alloc, cap, sizeof *more.records, "tune");
    more.slots = lmn_calloc(t->alloc, more.n_slots, sizeof *more.slots, "tune");
    if (!more.records || !more.slots) {
        lmn_tune_table_finish(&more);
        return LAMINA_E_NOMEM;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        more.records[i] = t->records[i];
        more.slots[slot_of(&more, &t->records[i].key)] = (int32_t)i + 1;
    }
    memcpy(more.ignored, t->ignored, sizeof more.ignored);
    lmn_tune_table_finish(t);
    *t = more;
    return LAMINA_OK;
}

lamina_status lmn_tune_table_put(lmn_tune_table *t, const lmn_tune_record *r)
{
    if (t->n == t->cap) LMN_TRY(grow(t));
    const uint32_t i = slot_of(t, &r->key);
    if (t->slots[i]) {
        t->records[t->slots[i] - 1] = *r;
    } else {
        t->records[t->n++] = *r;
        t->slots[i] = (int32_t)t->n;
    }
    return LAMINA_OK;
}

uint32_t lmn_tune_table_ignored(const lmn_tune_table *t)
{
    uint32_t n = 0;
    for (int i = 0; i < LMN_TUNE_N_REASONS; i++) n += t->ignored[i];
    return n;
}

const char *lmn_tune_reason_text(int32_t reason)
{
    static const char *const TEXTS[] = {
#define X(id, text) text,
        LMN_TUNE_REASONS(X)
#undef X
    };
    return TEXTS[reason];
}

/* ---- a line -----------------------------------------------------------------------------------
 */

/* FNV-1a. */
static uint64_t sum_of(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* Exactly 16 digits. */
static bool hex(lmn_span s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        const uint8_t c = s.p[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return false;
        *out = *out << 4 | (uint64_t)digit;
    }
    return s.n == 16;
}

/* Pieces between single separators; more than `most` count as none. */
static int split(lmn_span s, uint8_t by, lmn_span *out, int most)
{
    int n = 0;
    size_t from = 0;
    for (size_t i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != by) continue;
        if (n == most || i == from) return 0;
        out[n++] = (lmn_span){s.p + from, i - from};
        from = i + 1;
    }
    return n;
}

static bool read_words(lmn_span s, lmn_tune_key *k)
{
    lmn_span part[LMN_TUNE_WORDS];
    k->n = split(s, ',', part, LMN_TUNE_WORDS);
    for (int32_t i = 0; i < k->n; i++)
        if (!lmn_parse_i64(part[i].p, part[i].n, &k->word[i])) return false;
    return k->n > 0;
}

static bool read_choice(lmn_span s, lmn_choice *c)
{
    lmn_span part[4];
    int64_t v[3];
    if (split(s, ',', part, 4) != 4) return false;
    c->path = 0;
    while (c->path < LMN_CHOICE_COUNT && !lmn_text_is(part[0], lmn_choice_path_name(c->path)))
        c->path++;
    if (c->path == LMN_CHOICE_COUNT) return false;
    for (int i = 0; i < 3; i++)
        if (!lmn_parse_i64(part[i + 1].p, part[i + 1].n, &v[i]) || v[i] < 0 ||
            v[i] > LMN_CHOICE_BLOCK_MAX)
            return false;
    c->mc = (int32_t)v[0], c->nc = (int32_t)v[1], c->kc = (int32_t)v[2];
    return true;
}

/* "gemm.f32:avx512": the family, and whether it is the row in use. */
static bool read_row(lmn_span s, const lmn_kset *set, int32_t *family, bool *used)
{
    for (*family = 0; *family < LMN_TUNE_FAMILIES; (*family)++) {
        const char *name = lmn_tune_family_name(*family);
        const size_t n = strlen(name);
        if (s.n <= n || memcmp(s.p, name, n) != 0 || s.p[n] != ':') continue;
        *used = lmn_text_is((lmn_span){s.p + n + 1, s.n - n - 1}, lmn_tune_variant(*family, set));
        return true;
    }
    return false;
}

/* "1.2345": two integers, so that a library for one model needs no arithmetic of decimals. */
static bool read_gain(lmn_span s, double *out)
{
    const uint8_t *point = s.n ? memchr(s.p, '.', s.n) : NULL;
    const size_t whole_n = point ? (size_t)(point - s.p) : s.n, n = s.n - whole_n;
    int64_t whole, part = 0, scale = 1;
    if (!lmn_parse_i64(s.p, whole_n, &whole) || n > 10) return false;
    for (size_t i = 1; i < n; i++) scale *= 10;
    if (point && (n == 1 || point[1] == '-' || !lmn_parse_i64(point + 1, n - 1, &part)))
        return false;
    *out = (double)whole + (double)part / (double)scale;
    return true;
}

/* -1: *out is a record; else why the line is passed over. */
static int32_t read_line(lmn_span line, const lmn_tune_origin *from, lmn_tune_record *out)
{
    lmn_span f[N_FIELDS];
    uint64_t sum, machine;
    bool used;
    *out = (lmn_tune_record){.gain = 0};
    if (line.n >= LMN_TUNE_LINE_MAX) return LMN_TUNE_DAMAGED;
    const int n = split(line, ' ', f, N_FIELDS);
    if (n < 2 || f[F_HEAD].n < strlen(HEAD) || memcmp(f[F_HEAD].p, HEAD, strlen(HEAD)) != 0)
        return LMN_TUNE_DAMAGED;
    if (!lmn_text_is(f[F_HEAD], HEAD FORMAT)) return LMN_TUNE_FORMAT;
    if (n != N_FIELDS || !hex(f[F_SUM], &sum) ||
        sum != sum_of(line.p, (size_t)(f[F_SUM].p - line.p)) || !hex(f[F_MACHINE], &machine))
        return LMN_TUNE_DAMAGED;
    if (machine != from->machine) return LMN_TUNE_MACHINE;
    if (!lmn_text_is(f[F_VERSION], from->version)) return LMN_TUNE_LIBRARY;
    if (!read_row(f[F_ROW], from->set, &out->key.family, &used) ||
        !read_words(f[F_WORDS], &out->key) || !read_choice(f[F_CHOICE], &out->choice) ||
        !read_gain(f[F_GAIN], &out->gain))
        return LMN_TUNE_DAMAGED;
    if (!used) return LMN_TUNE_ROW;
    if (!(out->gain >= 1 && out->gain <= GAIN_MAX) || !lmn_tune_key_sane(&out->key) ||
        !lmn_tune_possible(&out->key, from->set, &out->choice))
        return LMN_TUNE_IMPOSSIBLE;
    return -1;
}

lamina_status lmn_tune_table_read(lmn_tune_table *t, lmn_span text, const lmn_tune_origin *from)
{
    while (text.n) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        const lmn_span line = {text.p, end ? (size_t)(end - text.p) : text.n};
        lmn_tune_record r;
        int32_t why = end ? read_line(line, from, &r) : LMN_TUNE_DAMAGED; /* torn */
        if (why < 0 && t->n == LMN_TUNE_RECORDS_MAX && !lmn_tune_table_find(t, &r.key))
            why = LMN_TUNE_MANY;
        if (why < 0)
            LMN_TRY(lmn_tune_table_put(t, &r));
        else
            t->ignored[why]++;
        const size_t step = line.n + (end != NULL);
        text.p += step, text.n -= step;
    }
    return LAMINA_OK;
}

size_t lmn_tune_line(const lmn_tune_record *r, const lmn_tune_origin *from,
                     char buf[LMN_TUNE_LINE_MAX])
{
    const size_t cap = LMN_TUNE_LINE_MAX;
    const double gain = r->gain < GAIN_MAX ? r->gain : GAIN_MAX;
    const int parts = (int)(gain * 10000 + 0.5);
    size_t o =
        lmn_format(buf, cap, HEAD FORMAT " %016llx %s %s:%s ", (unsigned long long)from->machine,
                   from->version, lmn_tune_family_name(r->key.family),
                   lmn_tune_variant(r->key.family, from->set));
    for (int32_t i = 0; i < r->key.n; i++)
        o += lmn_format(buf + o, cap - o, "%s%lld", i ? "," : "", (long long)r->key.word[i]);
    o += lmn_format(buf + o, cap - o, " %s,%d,%d,%d %d.%04d ", lmn_choice_path_name(r->choice.path),
                    r->choice.mc, r->choice.nc, r->choice.kc, parts / 10000, parts % 10000);
    o += lmn_format(buf + o, cap - o, "%016llx\n", (unsigned long long)sum_of(buf, o));
    return o;
}
