/*
 * Names of values in the file. A value keeps the name it came with; one that passes made, or whose
 * name is taken here or in an enclosing graph (inlined functions repeat theirs), gets a fresh one.
 * Captures have the name of what they capture, equal weights that of the first of them.
 */
#include "formats/onnx/onnx_write.h"

#include "base/sha256.h"

#include <string.h>

static bool taken(const lmn_onnx_naming *s, bool label, const char *name)
{
    uint64_t v;
    for (; s; s = s->outer)
        if (lmn_map_get(label ? &s->labels : &s->used, name, strlen(name), &v)) return true;
    return false;
}

static void take(lmn_onnx_out *w, lmn_onnx_naming *s, bool label, const char *name)
{
    if (!lmn_map_set(label ? &s->labels : &s->used, name, strlen(name), 1)) w->arena.failed = true;
}

/* stem, or stem_0, stem_1 ...: the first that is free, and is not any more. */
static const char *fresh(lmn_onnx_out *w, lmn_onnx_naming *s, bool label, const char *stem)
{
    char tail[16];
    const size_t n = strlen(stem), cap = n + sizeof tail;
    char *name = lmn_arena_alloc(&w->arena, cap, 1);
    if (!name) return "";
    (void)lmn_format(name, cap, "%s", stem);
    while (!n || taken(s, label, name)) {
        (void)lmn_format(name, cap, "%s_%u", n ? stem : "v", s->n_made++);
        if (!taken(s, label, name)) break;
    }
    take(w, s, label, name);
    return name;
}

const char *lmn_onnx_fresh(lmn_onnx_out *w, lmn_onnx_naming *s, const char *stem)
{
    return fresh(w, s, false, stem);
}

const char *lmn_onnx_label(lmn_onnx_out *w, lmn_onnx_naming *s, const char *name)
{
    if (taken(s, true, name)) return fresh(w, s, true, name);
    take(w, s, true, name);
    return name;
}

static void name_value(lmn_onnx_out *w, lmn_onnx_naming *s, lmn_vid v)
{
    const char *name = s->g->values[v].name;
    if (s->name[v]) return;
    if (!*name || taken(s, false, name)) {
        s->name[v] = lmn_onnx_fresh(w, s, name);
        return;
    }
    s->name[v] = name;
    take(w, s, false, name);
}

static void share(lmn_onnx_naming *s, lmn_vid v, const char *name)
{
    s->name[v] = name;
    s->shared[v] = true;
}

/* Captured inputs, and the constants that stand for captured constants. */
static void name_captures(lmn_onnx_naming *s, const lmn_gnode *n)
{
    const lmn_graph *g = s->g, *outer = s->outer->g;
    const size_t n_caps = (size_t)n->op.n_caps;
    if (n_caps > g->n_inputs) return;
    for (size_t k = 0; k < n_caps; k++) {
        const lmn_vid from = n->in[(size_t)n->op.n_in - n_caps + k];
        const lmn_value *o = &outer->values[from];
        share(s, g->inputs[g->n_inputs - n_caps + k], s->outer->name[from]);
        if (!o->constant || o->is_input) continue;
        for (size_t v = 1; v < g->n_values; v++)
            if (g->values[v].constant == o->constant && !strcmp(g->values[v].name, o->name))
                share(s, (lmn_vid)v, s->outer->name[from]);
    }
}

/* A weight that is only read: not an input with a default, not an output. */
static bool plain_weight(const lmn_onnx_naming *s, size_t v)
{
    const lmn_value *x = &s->g->values[v];
    return x->constant && !x->is_input && !x->is_output && !s->shared[v] && s->uses[v] &&
           x->constant->kind == LAMINA_KIND_TENSOR && x->constant->dtype != LAMINA_STRING;
}

static void digest(const lamina_tensor *t, uint8_t *out)
{
    lmn_sha256 h;
    lmn_sha256_init(&h);
    const int64_t head[2] = {(int64_t)t->dtype, t->rank};
    lmn_sha256_add(&h, head, sizeof head);
    lmn_sha256_add(&h, t->dims, (size_t)t->rank * sizeof *t->dims);
    if (t->data_bytes) lmn_sha256_add(&h, t->data, t->data_bytes);
    lmn_sha256_finish(&h, out);
}

static void share_equals(lmn_onnx_out *w, lmn_onnx_naming *s)
{
    lmn_map seen;
    lmn_map_init(&seen, &w->engine->alloc);
    for (size_t v = 1; v < s->g->n_values; v++) {
        uint64_t first;
        if (!plain_weight(s, v)) continue;
        uint8_t *key = lmn_arena_alloc(&w->arena, LMN_SHA256_BYTES, 1);
        if (!key) break;
        digest(s->g->values[v].constant, key);
        if (lmn_map_get(&seen, key, LMN_SHA256_BYTES, &first))
            share(s, (lmn_vid)v, s->name[first]);
        else if (name_value(w, s, (lmn_vid)v), !lmn_map_set(&seen, key, LMN_SHA256_BYTES, v))
            w->arena.failed = true;
    }
    lmn_map_finish(&seen);
}

void lmn_onnx_naming_init(lmn_onnx_out *w, lmn_onnx_naming *s, const lmn_graph *g,
                          const lmn_onnx_naming *outer, const lmn_gnode *n)
{
    *s = (lmn_onnx_naming){.g = g, .outer = outer};
    lmn_map_init(&s->used, &w->engine->alloc);
    lmn_map_init(&s->labels, &w->engine->alloc);
    s->name = LMN_ARENA_ARRAY(&w->arena, const char *, g->n_values);
    s->shared = LMN_ARENA_ARRAY(&w->arena, bool, g->n_values);
    s->uses = lmn_graph_uses(g, &w->arena);
    if (!lmn_onnx_out_ok(w)) return;
    s->name[0] = "";
    if (n) name_captures(s, n);
    /* The ends of the model first: their names are what callers know. */
    for (size_t i = 0; i < g->n_inputs; i++) name_value(w, s, g->inputs[i]);
    for (size_t i = 0; i < g->n_outputs; i++)
        if (!outer && strcmp(g->output_names[i], g->values[g->outputs[i]].name) != 0)
            take(w, s, false, g->output_names[i]);
    for (size_t i = 0; i < g->n_outputs; i++) name_value(w, s, g->outputs[i]);
    if (w->opts->dedupe) share_equals(w, s);
    for (size_t v = 1; v < g->n_values; v++) name_value(w, s, (lmn_vid)v);
    (void)lmn_onnx_out_ok(w);
}

void lmn_onnx_naming_finish(lmn_onnx_naming *s)
{
    lmn_map_finish(&s->used);
    lmn_map_finish(&s->labels);
}
