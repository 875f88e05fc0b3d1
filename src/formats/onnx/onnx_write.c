/*
 * The front of the writer: a copy of the graph with extents fixed and constants folded where that
 * is asked for, then the ModelProto around it, then the files.
 *
 * The model is never changed; passes that fuse are never run, so that every node has a meaning
 * outside of this engine. The external file is in its place before the model that names it.
 */
#include "formats/onnx/onnx_write.h"

#include "graph/passes/pass.h"

#include <string.h>

#define FOLD_BYTES ((uint64_t)64 << 20)
#define MIN_IR 8

static void fix_values(lmn_graph *g, lmn_dim sym, int64_t v)
{
    for (size_t i = 1; i < g->n_values; i++) {
        lmn_fact *f = &g->values[i].fact;
        for (int32_t d = 0; d < f->rank; d++)
            if (f->dims[d] == sym) f->dims[d] = lmn_dim_c(v);
    }
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_attrs; k++)
            if (g->nodes[i].op.attrs[k].type == LMN_ATTR_GRAPH)
                fix_values(g->nodes[i].op.attrs[k].u.g, sym, v);
}

/* Index of a symbol by name, or the number of symbols. */
static size_t find_symbol(const lmn_dim_pool *dims, const char *name)
{
    const size_t n = lmn_dim_sym_count(dims);
    size_t s = 0;
    while (s < n && strcmp(lmn_dim_sym_name(dims, s), name) != 0) s++;
    return s;
}

static lamina_status check_dims(const lmn_dim_pool *dims, const lamina_save_opts *o,
                                lamina_error *err)
{
    const size_t n = lmn_dim_sym_count(dims);
    for (size_t i = 0; i < o->n_dims; i++) {
        char have[256] = "";
        size_t at = 0;
        if (!o->dim_names[i] || !*o->dim_names[i] || o->dim_values[i] < 0 ||
            o->dim_values[i] > INT32_MAX)
            return lmn_fail(err, LAMINA_E_RANGE, "an extent to fix has no name or is out of range");
        if (find_symbol(dims, o->dim_names[i]) < n) continue;
        for (size_t s = 0; s < n && at < sizeof have - 1; s++) {
            const char *known = lmn_dim_sym_name(dims, s);
            if (*known)
                at += lmn_format(have + at, sizeof have - at, "%s%s", at ? ", " : "", known);
        }
        return lmn_fail(err, LAMINA_E_INVALID, "the model has no dimension \"%s\"; it has %s",
                        o->dim_names[i], *have ? have : "none with a name");
    }
    return LAMINA_OK;
}

static lamina_status fix_dims(lmn_graph *g, const lamina_save_opts *o, lamina_error *err)
{
    for (size_t i = 0; i < o->n_dims; i++) {
        const size_t s = find_symbol(g->dims, o->dim_names[i]);
        if (s == lmn_dim_sym_count(g->dims)) /* the model has it: the copy could not take it */
            return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
        fix_values(g, lmn_dim_sym_at(g->dims, s), o->dim_values[i]);
    }
    return LAMINA_OK;
}

static lamina_status transform(lmn_graph *g, const lamina_save_opts *o, lamina_error *err)
{
    static const char *const PASSES[] = {"infer", "fold", "cse", "dce", "infer"};
    lmn_pass_ctx ctx = {.max_const_bytes = FOLD_BYTES};
    LMN_TRY(fix_dims(g, o, err));
    const size_t n = o->fold ? sizeof PASSES / sizeof *PASSES : o->n_dims > 0;
    for (size_t i = 0; i < n; i++) {
        lamina_status st = lmn_pass_run(g, PASSES[i], &ctx);
        if (st == LAMINA_E_NOMEM) return lmn_fail(err, st, "out of memory");
        if (st != LAMINA_OK)
            return lmn_fail(err, st, "pass %s fails, %s: the graph does not bear these extents",
                            PASSES[i], lamina_status_text(st));
    }
    return LAMINA_OK;
}

static void put_imports(lmn_onnx_out *w, const lamina_model *m, const lmn_graph *g, lmn_map *seen)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        const char *domain = n->op.def->domain;
        uint64_t had;
        if (n->dead) continue;
        for (int32_t k = 0; k < n->op.n_attrs; k++)
            if (n->op.attrs[k].type == LMN_ATTR_GRAPH) put_imports(w, m, n->op.attrs[k].u.g, seen);
        if (!*domain || lmn_map_get(seen, domain, strlen(domain), &had)) continue;
        if (!lmn_map_set(seen, domain, strlen(domain), 1)) w->arena.failed = true;
        lmn_onnx_mark in = lmn_onnx_begin(w, 8);
        lmn_onnx_put_str(w, 1, domain);
        lmn_onnx_put_int(w, 2, lmn_onnx_domain_version(m, n->op.def));
        lmn_onnx_end(w, in);
    }
}

static void put_head(lmn_onnx_out *w, const lamina_model *m, const lmn_graph *g)
{
    int64_t ir = m->ir_version < MIN_IR ? MIN_IR : m->ir_version;
    if (ir > LMN_ONNX_MAX_IR) ir = LMN_ONNX_MAX_IR;
    lmn_onnx_put_int(w, 1, ir);
    if (*m->producer_name) lmn_onnx_put_str(w, 2, m->producer_name);
    if (*m->producer_version) lmn_onnx_put_str(w, 3, m->producer_version);
    if (*m->domain) lmn_onnx_put_str(w, 4, m->domain);
    if (m->model_version) lmn_onnx_put_int(w, 5, m->model_version);
    if (*m->doc && !w->opts->strip) lmn_onnx_put_str(w, 6, m->doc);
    lmn_onnx_mark in = lmn_onnx_begin(w, 8);
    lmn_onnx_put_str(w, 1, "");
    lmn_onnx_put_int(w, 2, w->opset);
    lmn_onnx_end(w, in);
    lmn_map seen;
    lmn_map_init(&seen, &w->engine->alloc);
    put_imports(w, m, g, &seen);
    lmn_map_finish(&seen);
}

static void put_meta(lmn_onnx_out *w, const lamina_model *m)
{
    for (size_t i = 0; i < m->n_meta && !w->opts->strip; i++) {
        lmn_onnx_mark e = lmn_onnx_begin(w, 14);
        lmn_onnx_put_str(w, 1, m->meta[i].key);
        lmn_onnx_put_str(w, 2, m->meta[i].value);
        lmn_onnx_end(w, e);
    }
}

static lamina_status write_model(const lamina_model *m, const lmn_graph *g, const char *path,
                                 const lamina_save_opts *o, lamina_error *err)
{
    lmn_onnx_out w = {.engine = m->engine, .opts = o, .err = err};
    lmn_arena_init(&w.arena, &m->engine->alloc, 0);
    lmn_strbuf_init(&w.b, &m->engine->alloc, LMN_ONNX_MAX_MESSAGE);
    lmn_onnx_choose_opset(&w, m, g);
    if (lmn_onnx_out_ok(&w)) put_head(&w, m, g);
    if (lmn_onnx_out_ok(&w))
        lmn_onnx_put_graph(&w, 7, g, NULL, NULL, o->strip || !m->graph_doc ? "" : m->graph_doc);
    put_meta(&w, m);
    lamina_status st = lmn_onnx_out_ok(&w) ? LAMINA_OK : w.status;
    if (st == LAMINA_OK && o->external) {
        const char *slash = strrchr(path, '/');
        const size_t dir = slash ? (size_t)(slash + 1 - path) : 0, n = strlen(o->external);
        char *beside = lmn_arena_alloc(&w.arena, dir + n + 1, 1);
        if (beside) {
            memcpy(beside, path, dir);
            memcpy(beside + dir, o->external, n);
        }
        st = beside ? lmn_onnx_flush(&w, beside, true) : lmn_fail(err, LAMINA_E_NOMEM, "no memory");
    }
    if (st == LAMINA_OK) st = lmn_onnx_flush(&w, path, false);
    lmn_strbuf_finish(&w.b);
    lmn_arena_finish(&w.arena);
    return st;
}

static lamina_status check_opts(const lamina_save_opts *o, const char *path, lamina_error *err)
{
    const char *x = o->external;
    const char *slash = strrchr(path, '/');
    if (o->reserved)
        return lmn_fail(err, LAMINA_E_INVALID, "a reserved field of the save options is not 0");
    if (o->weights && o->weights != LAMINA_F16 && o->weights != LAMINA_BF16)
        return lmn_fail(err, LAMINA_E_INVALID, "weights can be narrowed to float16 or bfloat16");
    if (o->n_dims && (!o->dim_names || !o->dim_values))
        return lmn_fail(err, LAMINA_E_INVALID, "dimensions to fix need names and values");
    if (x && (!*x || strchr(x, '/') || !strcmp(x, ".") || !strcmp(x, "..") ||
              !strcmp(x, slash ? slash + 1 : path)))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "external data go to a file beside the model: \"%s\" is no name for it", x);
    return LAMINA_OK;
}

lamina_status lmn_onnx_save(const lamina_model *m, const char *path, const lamina_save_opts *opts,
                            lamina_error *err)
{
    lamina_save_opts o;
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the save options hold a field that this version does not know");
    LMN_TRY(check_opts(&o, path, err));
    if (m->diags.n_errors)
        return lmn_fail(err, LAMINA_E_STATE, "a model that was loaded with errors is not saved");
    if (!o.fold && !o.n_dims) return write_model(m, m->graph, path, &o, err);
    LMN_TRY(check_dims(m->graph->dims, &o, err));
    lmn_graph *g = NULL;
    lamina_status st = lmn_graph_clone(m->graph, NULL, &g);
    if (st != LAMINA_OK) return lmn_fail(err, st, "cannot copy the graph");
    st = transform(g, &o, err);
    if (st == LAMINA_OK) st = write_model(m, g, path, &o, err);
    lmn_graph_destroy(g);
    return st;
}
