/*
 * The front of the importer: source to bytes, bytes to messages, messages to a model.
 */
#include "formats/onnx/onnx_import.h"

#include "base/os/os_file.h"
#include "tensor/file_tensor.h"
#include "graph/lint.h"
#include "trace/trace.h"

#include <stdarg.h>
#include <string.h>

lamina_status lmn_onnx_report(lmn_onnx_import *x, const lmn_onnx_scope *s, const lmn_onnx_node *n,
                              lamina_status st, const char *fix, const char *fmt, ...)
{
    char what[LAMINA_ERROR_MSG_BYTES], name[160] = "", op[120] = "";
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    lmn_diag_at at = {.node = name, .op = op};
    if (n) {
        size_t k = lmn_format(name, sizeof name, "%s", s ? s->prefix : "");
        k += lmn_format_name(name + k, sizeof name - k, n->name.p, n->name.n);
        if (!n->name.n && n->out.n)
            (void)lmn_format_name(name + k, sizeof name - k, n->out.v[0].p, n->out.v[0].n);
        k = n->domain.n ? lmn_format_name(op, 60, n->domain.p, n->domain.n) : 0;
        if (k) op[k++] = ':';
        (void)lmn_format_name(op + k, sizeof op - k, n->op.p, n->op.n);
        at.opset = s ? (int32_t)lmn_onnx_opset_of(s, n->domain) : 0;
    }
    if (st == LAMINA_E_LIMIT || st == LAMINA_E_NOMEM) x->stop = true;
    return lmn_diag_add(&x->m->diags, LMN_DIAG_ERROR, st, at, fix, "%s", what);
}

lamina_status lmn_onnx_nomem(lmn_onnx_import *x)
{
    if (x->stop) return LAMINA_E_NOMEM;
    return lmn_onnx_report(x, NULL, NULL, LAMINA_E_NOMEM, NULL, "out of memory");
}

void lmn_onnx_lint(lmn_onnx_import *x, const char *id, const char *fix, const char *fmt, ...)
{
    char what[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    lmn_diag_lint(&x->m->diags, id, (lmn_diag_at){0}, fix, "%s", what);
}

const char *lmn_onnx_printable(lmn_arena *a, lmn_span s)
{
    char buf[512];
    size_t cap;
    if (s.n == 0) return "";
    if (s.n < sizeof buf / 4) {
        size_t n = lmn_format_name(buf, sizeof buf, s.p, s.n);
        const char *p = lmn_arena_strn(a, buf, n);
        return p ? p : "";
    }
    char *p = lmn_mul_size(s.n, 4, &cap) && cap < SIZE_MAX ? lmn_arena_alloc(a, cap + 1, 1) : NULL;
    if (p) (void)lmn_format_name(p, cap + 1, s.p, s.n);
    return p ? p : "";
}

/* ---- source to bytes --------------------------------------------------------------------------
 */

static lamina_status read_storage(lmn_onnx_import *x, const lmn_onnx_storage *st, lamina_error *err)
{
    void *h = NULL;
    uint64_t bytes = 0;
    lamina_status rc = st->open(st->ctx, NULL, &h, &bytes);
    if (rc != LAMINA_OK) return lmn_fail(err, rc, "the source cannot open the model");
    lamina_tensor *t = NULL;
    int64_t n = (int64_t)bytes;
    if (bytes == 0 || bytes > x->limits->max_const_bytes)
        rc = lmn_fail(err, bytes ? LAMINA_E_LIMIT : LAMINA_E_PARSE, "the model has %llu bytes",
                      (unsigned long long)bytes);
    if (rc == LAMINA_OK) rc = lamina_tensor_create(x->engine, LAMINA_U8, 1, &n, &t);
    if (rc == LAMINA_OK) {
        rc = st->pread(st->ctx, h, 0, t->data, (size_t)bytes);
        if (rc != LAMINA_OK) (void)lmn_fail(err, rc, "the source cannot read the model");
    }
    st->close(st->ctx, h);
    x->store.file = t;
    x->store.source = st;
    return rc;
}

/* Folder of a path, "" = the working directory. */
static const char *folder_of(lmn_arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return "";
    return slash == path ? "/" : lmn_arena_strn(a, path, (size_t)(slash - path));
}

static lamina_status read_path(lmn_onnx_import *x, const lmn_onnx_source *src, lamina_error *err)
{
    int fd;
    uint64_t bytes;
    LMN_TRY(lmn_os_open(src->path, &fd, &bytes, err));
    lamina_status st = bytes ? lmn_file_tensor_fd(x->engine, fd, bytes, &x->store.file, err)
                             : lmn_fail(err, LAMINA_E_PARSE, "the file is empty");
    lmn_os_close(fd);
    x->store.dir = src->dir ? src->dir : folder_of(&x->arena, src->path);
    if (st == LAMINA_OK && !x->store.dir) st = lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    return st;
}

static lamina_status read_source(lmn_onnx_import *x, const lmn_onnx_source *src, lamina_error *err)
{
    if (src->path) return read_path(x, src, err);
    if (src->storage) return read_storage(x, src->storage, err);
    if (!src->data || src->data_bytes == 0)
        return lmn_fail(err, LAMINA_E_PARSE, "the model is empty");
    x->store.dir = src->dir;
    int64_t n = (int64_t)src->data_bytes;
    lamina_status st = lamina_tensor_from(x->engine, LAMINA_U8, 1, &n, src->data, &x->store.file);
    return st == LAMINA_OK ? st : lmn_fail(err, st, "out of memory");
}

/* ---- messages to a model ----------------------------------------------------------------------
 */

static void import_meta(lmn_onnx_import *x)
{
    lamina_model *m = x->m;
    const lmn_onnx_model *f = &x->file;
    lmn_arena *a = &m->graph->arena;
    m->ir_version = f->ir_version;
    m->model_version = f->model_version;
    m->producer_name = lmn_onnx_printable(a, f->producer_name);
    m->producer_version = lmn_onnx_printable(a, f->producer_version);
    m->domain = lmn_onnx_printable(a, f->domain);
    m->doc = f->doc.n ? lmn_arena_strn(a, f->doc.p, f->doc.n) : "";
    m->graph_name = m->graph->name = lmn_onnx_printable(a, f->graph->name);
    m->n_file_nodes = f->n_nodes;
    m->meta = LMN_ARENA_ARRAY(a, lmn_meta, f->n_meta);
    for (size_t i = 0; m->meta && i < f->n_meta; i++) {
        m->meta[i].key = lmn_arena_strn(a, f->meta[i].key.p, f->meta[i].key.n);
        m->meta[i].value = lmn_arena_strn(a, f->meta[i].value.p, f->meta[i].value.n);
        if (m->meta[i].key && m->meta[i].value) m->n_meta = i + 1;
    }
    const lmn_onnx_opsets *o = &f->opsets;
    m->imports = LMN_ARENA_ARRAY(a, lmn_import, o->n);
    for (size_t i = 0; m->imports && i < o->n; i++) {
        const lmn_span d = o->v[i].domain;
        const char *name = lmn_span_is(d, "ai.onnx") ? "" : lmn_onnx_printable(a, d);
        m->imports[i] = (lmn_import){name ? name : "", o->v[i].version};
        m->n_imports = i + 1;
    }
    if (!m->doc) m->doc = "";
    const lmn_span doc = f->graph->doc;
    m->graph_doc = doc.n ? lmn_arena_strn(a, doc.p, doc.n) : "";
    if (a->failed) (void)lmn_onnx_nomem(x);
}

static void check_versions(lmn_onnx_import *x)
{
    const lmn_onnx_opsets *o = &x->file.opsets;
    if (x->file.ir_version > LMN_ONNX_MAX_IR)
        lmn_onnx_lint(x, "newer-ir", "load it with a newer version of this engine if it misbehaves",
                      "IR version %lld is newer than %d: read as %d", (long long)x->file.ir_version,
                      LMN_ONNX_MAX_IR, LMN_ONNX_MAX_IR);
    for (size_t i = 0; i < o->n; i++) {
        const bool onnx = o->v[i].domain.n == 0 || lmn_span_is(o->v[i].domain, "ai.onnx");
        const bool ml = lmn_span_is(o->v[i].domain, "ai.onnx.ml");
        const int64_t v = o->v[i].version, max = onnx ? LMN_ONNX_MAX_OPSET : LMN_ONNX_MAX_OPSET_ML;
        if (v < 1 || v > INT32_MAX)
            (void)lmn_onnx_report(x, NULL, NULL, LAMINA_E_VERSION, NULL,
                                  "operator set version %lld is none", (long long)v);
        if (onnx) x->m->opset = (int32_t)v;
        if ((onnx || ml) && v > max)
            lmn_onnx_lint(
                x, "newer-opset",
                "compare its results with another engine, or export for the older",
                "operator set %lld of %s is newer than %lld: operators are read as they were then",
                (long long)v, ml ? "ai.onnx.ml" : "ai.onnx", (long long)max);
    }
}

/* Below this set operators have forms of their own that few engines still read. */
#define OLD_OPSET 11

static void lint_file(lmn_onnx_import *x)
{
    const lmn_onnx_store *s = &x->store;
    if (x->m->opset > 0 && x->m->opset < OLD_OPSET)
        lmn_onnx_lint(x, "old-opset", "export it anew, or let `lamina convert` write newer forms",
                      "operator set %d is older than %d: other engines drop such operators",
                      x->m->opset, OLD_OPSET);
    if (s->n_odd)
        lmn_onnx_lint(x, "unaligned-external",
                      "`lamina convert --external FILE` writes them at multiples of 64 and more",
                      "%zu of %zu external tensors begin at no multiple of 64 bytes, \"%.80s\" the "
                      "first: they are read across cache lines, or copied",
                      s->n_odd, s->n_external, s->first_odd);
}

static lamina_status import_model(lmn_onnx_import *x, const char *path, bool collect,
                                  lamina_error *err)
{
    lmn_onnx_wire w = {.arena = &x->arena,
                       .limits = x->limits,
                       .err = err,
                       .left = x->limits->max_values,
                       .nodes_left = x->limits->max_nodes};
    lamina_trace *t = x->engine->slot[LMN_SLOT_TRACE].ptr;
    uint64_t start = lmn_trace_phase_begin(t);
    const lmn_span bytes = {x->store.file->data, x->store.file->data_bytes};
    LMN_TRY(lmn_onnx_wire_model(&w, bytes, &x->file));
    lmn_trace_phase_end(t, start, "parse", "load(file:s)", path);
    start = lmn_trace_phase_begin(t);
    if (!x->file.graph)
        return lmn_fail(err, LAMINA_E_PARSE, "not an ONNX model: there is no graph in it");
    LMN_TRY(lmn_model_create(x->engine, &x->m));
    x->m->file = lmn_buffer_ref(x->store.file->buf);
    import_meta(x);
    check_versions(x);
    lmn_onnx_scope top;
    (void)lmn_onnx_scope_init(x, &top, x->m->graph, NULL);
    lmn_onnx_graph_import(x, &top, x->file.graph, NULL, NULL, NULL);
    lmn_onnx_scope_finish(&top);
    lmn_trace_phase_end(t, start, "import", "load(file:s)", path);
    if (x->m->diags.n_errors == 0 && x->m->graph->arena.failed) (void)lmn_onnx_nomem(x);
    if (x->m->diags.n_errors == 0) (void)lmn_graph_verify(x->m->graph, &x->m->diags);
    if (x->m->diags.n_errors == 0 && lmn_graph_settle(x->m->graph) != LAMINA_OK)
        (void)lmn_onnx_nomem(x);
    if (x->limits->lint && x->m->diags.n_errors == 0) {
        lint_file(x);
        if (lmn_graph_lint(x->m->graph, &x->m->diags) != LAMINA_OK) (void)lmn_onnx_nomem(x);
    }
    return collect ? LAMINA_OK : lmn_diags_to_error(&x->m->diags, err);
}

lamina_status lmn_onnx_load(lamina_engine *e, const lmn_onnx_source *src,
                            const lamina_load_opts *opts, lamina_model **out, lamina_error *err)
{
    lamina_load_opts limits;
    lamina_error own = {0};
    if (!err) err = &own;
    if (!e || !src || !out) return lmn_fail(err, LAMINA_E_INVALID, "an argument is NULL");
    if (lmn_onnx_limits(opts, &limits) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the load options hold a field that this version does not know");
    lmn_onnx_import x = {.engine = e, .limits = &limits, .nodes_left = limits.max_nodes};
    lmn_arena_init(&x.arena, &e->alloc, 0);
    lmn_onnx_store_init(&x.store, e, &limits);
    lamina_trace *t = e->slot[LMN_SLOT_TRACE].ptr;
    const uint64_t start = lmn_trace_phase_begin(t);
    const char *path = src->path ? src->path : "memory";
    lamina_status st = read_source(&x, src, err);
    if (st == LAMINA_OK) st = import_model(&x, path, limits.collect, err);
    lmn_trace_phase_end(t, start, "load", "load(file:s)", path);
    lmn_onnx_store_finish(&x.store);
    lmn_arena_finish(&x.arena);
    if (st == LAMINA_OK) {
        *out = x.m;
        return st;
    }
    lmn_model_destroy(x.m);
    if (err->status != st) /* nobody found words, or they are of an older failure */
        (void)lmn_fail(err, st, "loading the model failed: %s", lamina_status_text(st));
    if (src->path) {
        char shown[160];
        (void)lmn_format_name(shown, sizeof shown, src->path, strlen(src->path));
        if (!strstr(err->msg, shown)) lmn_error_prefix(err, "%s", shown);
    }
    return lmn_error_fix(err);
}
