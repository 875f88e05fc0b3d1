/*
 * Lints about constants.
 *
 * duplicate-constant: the same type, shape and bytes twice, from LEAST_BYTES on. Bytes are compared
 * only where type, shape, both ends and the middle agree, so that weights stay unread.
 *
 * unused-constant: one that the file names and nothing reads.
 */
#include "graph/lint.h"

#include "base/map.h"

#include <string.h>

#define LEAST_BYTES 1024u
#define SAMPLE 64u
#define MAX_CHAIN 64

/* What equal constants have in common; no padding. */
typedef struct key {
    int64_t dims[LMN_MAX_RANK];
    int64_t dtype, rank;
    uint8_t sample[3][SAMPLE];
} key;

static const lamina_tensor *candidate(const lmn_lint *l, lmn_vid v)
{
    const lamina_tensor *t = l->g->values[v].constant;
    if (!t || t->kind != LAMINA_KIND_TENSOR || t->dtype == LAMINA_STRING || t->strided ||
        !t->data || t->data_bytes < LEAST_BYTES || !l->g->values[v].name[0])
        return NULL;
    return t;
}

static void key_of(const lamina_tensor *t, key *k)
{
    *k = (key){.dtype = t->dtype, .rank = t->rank};
    const size_t at[3] = {0, t->data_bytes / 2, t->data_bytes - SAMPLE};
    for (int32_t i = 0; i < t->rank; i++) k->dims[i] = t->dims[i];
    for (int i = 0; i < 3; i++) memcpy(k->sample[i], (const uint8_t *)t->data + at[i], SAMPLE);
}

/* An earlier constant with these bytes; prev chains those of one key. */
static lmn_vid earlier(const lmn_lint *l, const lamina_tensor *t, lmn_vid from, const lmn_vid *prev)
{
    for (int n = 0; from && n < MAX_CHAIN; from = prev[from], n++) {
        const lamina_tensor *o = l->g->values[from].constant;
        if (o->data != t->data && o->data_bytes == t->data_bytes &&
            !memcmp(o->data, t->data, t->data_bytes))
            return from;
    }
    return 0;
}

/* Equal constants: how often the first of them is repeated, and the first repetition. */
typedef struct group {
    uint32_t n;
    lmn_vid again;
} group;

static bool group_all(lmn_lint *l, lmn_map *seen, lmn_vid *prev, group *of)
{
    for (lmn_vid v = 1; v < l->g->n_values; v++) {
        const lamina_tensor *t = candidate(l, v);
        if (!t) continue;
        key *k = lmn_arena_alloc(&l->tmp, sizeof *k, 8);
        if (!k) return false;
        key_of(t, k);
        uint64_t last = 0;
        (void)lmn_map_get(seen, k, sizeof *k, &last);
        const lmn_vid same = earlier(l, t, (lmn_vid)last, prev);
        if (same) {
            if (!of[same].n++) of[same].again = v;
            continue; /* the first stands for all that equal it */
        }
        prev[v] = (lmn_vid)last;
        if (!lmn_map_set(seen, k, sizeof *k, v)) return false;
    }
    return true;
}

void lmn_lint_duplicate(lmn_lint *l)
{
    const size_t n = l->g->n_values;
    lmn_vid *prev = LMN_ARENA_ARRAY(&l->tmp, lmn_vid, n);
    group *of = LMN_ARENA_ARRAY(&l->tmp, group, n);
    lmn_map seen;
    lmn_map_init(&seen, &l->g->engine->alloc);
    const bool ok = prev && of && group_all(l, &seen, prev, of);
    lmn_map_finish(&seen);
    for (lmn_vid v = 1; ok && v < n; v++) {
        if (!of[v].n) continue;
        const size_t bytes = l->g->values[v].constant->data_bytes;
        lmn_lint_say(
            l, NULL, "`lamina convert --dedupe` stores it once",
            "constant \"%.80s\" of %zu bytes is stored %u times, as \"%.80s\" for one: %zu "
            "bytes too many",
            l->g->values[v].name, bytes, of[v].n + 1, l->g->values[of[v].again].name,
            of[v].n * bytes);
    }
}

static bool captured(const lmn_graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_inputs; i++)
        if (!strcmp(g->values[g->inputs[i]].name, name)) return true;
    return false;
}

void lmn_lint_unused(lmn_lint *l)
{
    const lmn_graph *g = l->g;
    for (lmn_vid v = 1; v < g->n_values; v++) {
        const lmn_value *x = &g->values[v];
        const uint32_t *readers;
        if (!x->constant || x->is_output || !x->name[0] || lmn_lint_readers(l, v, &readers))
            continue;
        if (g->parent && captured(g, x->name)) continue; /* read by another branch */
        lmn_lint_say(l, NULL, "drop it where the model is made: `lamina convert --fold` does",
                     "constant \"%.80s\" (%zu bytes) is read by nothing", x->name,
                     x->constant->data_bytes);
    }
}
