/*
 * The diagnostics collector: a bounded list over one arena.
 */
#include "base/diag.h"

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIAG_MAX 10000u
#define DIAG_ARENA_MAX (16u << 20)

void lmn_diags_init(lmn_diags *d, const lamina_allocator *alloc)
{
    *d = (lmn_diags){.max = DIAG_MAX};
    lmn_arena_init(&d->arena, alloc, DIAG_ARENA_MAX);
}

void lmn_diags_finish(lmn_diags *d)
{
    if (!d->arena.alloc) return;
    lmn_free(d->arena.alloc, d->items, d->cap * sizeof *d->items, 16, "diag");
    lmn_arena_finish(&d->arena);
    *d = (lmn_diags){0};
}

const char *lmn_default_fix(lamina_status st)
{
    switch (st) {
    case LAMINA_E_INVALID: return "correct it where the model is made and export again";
    case LAMINA_E_SHAPE: return "make the shapes agree where the model is made and export again";
    case LAMINA_E_DTYPE: return "use an element type that fits, or put a Cast before it";
    case LAMINA_E_UNSUPPORTED: return "export with standard ONNX operators and types";
    case LAMINA_E_CORRUPT: return "the file is damaged or its exporter is: copy or export it again";
    case LAMINA_E_PARSE: return "check that it is an ONNX file and was copied whole";
    case LAMINA_E_VERSION: return "export for an operator set from 1 to 28";
    case LAMINA_E_RANGE: return "bring the value into the range where the model is made";
    case LAMINA_E_LIMIT: return "raise the limit in lamina_load_opts if the model is trusted";
    case LAMINA_E_NOMEM: return "free memory, or raise the memory limit";
    case LAMINA_E_IO: return "check that the file exists and can be read";
    case LAMINA_E_PERM: return "put the file below the model's folder, without links";
    default: return "";
    }
}

lamina_status lmn_error_fix(lamina_error *err)
{
    const size_t n = strlen(err->msg);
    const char *fix = lmn_default_fix(err->os_errno == EACCES ? LAMINA_E_IO : err->status);
    if (*fix && !strstr(err->msg, "; "))
        (void)lmn_format(err->msg + n, sizeof err->msg - n, "; %s", fix);
    return err->status;
}

/* Store one; past the bound or without memory it is only counted. */
static void store(lmn_diags *d, const lmn_diag *from)
{
    if (from->severity == LMN_DIAG_ERROR) d->n_errors++;
    if (lmn_grow(d->arena.alloc, (void **)&d->items, &d->cap, d->n + 1, d->max, sizeof *d->items,
                 "diag") != LAMINA_OK) {
        d->n_dropped++;
        return;
    }
    lmn_diag item = *from;
    item.node = lmn_arena_str(&d->arena, from->node ? from->node : "");
    item.op = lmn_arena_str(&d->arena, from->op ? from->op : "");
    item.what = lmn_arena_str(&d->arena, from->what);
    item.fix = lmn_arena_str(&d->arena, from->fix ? from->fix : "");
    if (!item.node || !item.op || !item.what || !item.fix) {
        d->n_dropped++;
        return;
    }
    d->items[d->n++] = item;
}

lamina_status lmn_diag_add(lmn_diags *d, int severity, lamina_status status, lmn_diag_at at,
                           const char *fix, const char *fmt, ...)
{
    if (!d) return status;
    char what[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (!fix || !*fix) fix = severity == LMN_DIAG_ERROR ? lmn_default_fix(status) : "";
    store(d, &(lmn_diag){severity, status, at.node, at.op, at.opset, what, fix, ""});
    return status;
}

void lmn_diag_lint(lmn_diags *d, const char *id, lmn_diag_at at, const char *fix, const char *fmt,
                   ...)
{
    char what[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    store(d, &(lmn_diag){LMN_DIAG_LINT, LAMINA_OK, at.node, at.op, at.opset, what, fix, id});
}

lamina_status lmn_diags_to_error(const lmn_diags *d, lamina_error *err)
{
    for (size_t i = 0; i < d->n; i++) {
        const lmn_diag *g = &d->items[i];
        if (g->severity != LMN_DIAG_ERROR) continue;
        char where[160] = "";
        if (g->node[0] && g->op[0] && g->opset)
            (void)lmn_format(where, sizeof where, "node \"%.80s\" (%.40s, opset %d): ", g->node,
                             g->op, g->opset);
        else if (g->node[0] && g->op[0])
            (void)lmn_format(where, sizeof where, "node \"%.80s\" (%.40s): ", g->node, g->op);
        else if (g->node[0])
            (void)lmn_format(where, sizeof where, "\"%.80s\": ", g->node);
        return lmn_fail(err, g->status, "%s%s%s%s", where, g->what, g->fix[0] ? "; " : "", g->fix);
    }
    if (d->n_errors) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory while reporting errors");
    return LAMINA_OK;
}
