/*
 * Findings: collected, printed as text at once or as JSON at the end.
 */
#include "cli_finding.h"

#include <stdlib.h>
#include <string.h>

static void copy(char *to, size_t cap, const char *from, size_t n)
{
    (void)snprintf(to, cap, "%.*s", (int)n, from);
}

static void print_text(const cli_finding *f)
{
    printf("%s: %s: ", f->where, f->error ? "error" : "lint");
    if (*f->node || *f->op) printf("node \"%s\" (%s", f->node, f->op);
    if (f->opset && (*f->node || *f->op)) printf(", opset %d", f->opset);
    if (*f->node || *f->op) printf("): ");
    printf("%s%s%s", f->reason, *f->fix ? "; " : "", f->fix);
    if (*f->lint) printf(" [%s]", f->lint);
    printf("\n");
}

static int add(cli_findings *l, const cli_finding *f)
{
    if (l->text) print_text(f);
    l->errors += f->error;
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 16;
        cli_finding *v = realloc(l->v, cap * sizeof *v);
        if (!v) return cli_fail("out of memory");
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = *f;
    return f->error ? CLI_FAULT : CLI_OK;
}

int cli_findings_diags(cli_findings *l, const char *where, const lamina_model *m)
{
    int rc = CLI_OK;
    for (size_t i = 0; i < lamina_model_diag_count(m); i++) {
        lamina_diag d = {.size = sizeof d};
        if (lamina_model_diag(m, i, &d) != LAMINA_OK) continue;
        cli_finding f = {.error = d.error, .status = d.status, .opset = d.opset};
        copy(f.where, sizeof f.where, where, strlen(where));
        copy(f.node, sizeof f.node, d.node, strlen(d.node));
        copy(f.op, sizeof f.op, d.op, strlen(d.op));
        copy(f.reason, sizeof f.reason, d.what, strlen(d.what));
        copy(f.fix, sizeof f.fix, d.fix, strlen(d.fix));
        copy(f.lint, sizeof f.lint, d.lint, strlen(d.lint));
        if (add(l, &f) != CLI_OK) rc = CLI_FAULT;
    }
    return rc;
}

/* The library's sentences read `[PATH: ][node "N" (Op, opset V): ]reason[; fix]`. */
int cli_findings_error(cli_findings *l, const char *where, const lamina_error *err)
{
    cli_finding f = {.error = true, .status = err->status};
    const char *text = err->msg, *node = strstr(text, "node \"");
    const char *open = node ? strstr(node, "\" (") : NULL;
    const char *close = open ? strstr(open, "): ") : NULL;
    const size_t n_where = strlen(where);
    copy(f.where, sizeof f.where, where, n_where);
    if (close) {
        copy(f.node, sizeof f.node, node + 6, (size_t)(open - node) - 6);
        copy(f.op, sizeof f.op, open + 3, strcspn(open + 3, ",)"));
        const char *opset = strstr(open, ", opset ");
        if (opset && opset < close) f.opset = (int32_t)strtol(opset + 8, NULL, 10);
        text = close + 3;
    } else if (!strncmp(text, where, n_where) && !strncmp(text + n_where, ": ", 2)) {
        text += n_where + 2;
    }
    const char *fix = NULL;
    for (const char *p = text; (p = strstr(p, "; ")) != NULL; p += 2) fix = p;
    copy(f.reason, sizeof f.reason, text, fix ? (size_t)(fix - text) : strlen(text));
    if (fix) copy(f.fix, sizeof f.fix, fix + 2, strlen(fix + 2));
    return add(l, &f);
}

void cli_findings_json(const cli_findings *l)
{
    printf("\"diagnostics\": [");
    for (size_t i = 0; i < l->n; i++) {
        const cli_finding *f = &l->v[i];
        const char *const field[][2] = {{"where", f->where}, {"node", f->node},
                                        {"op", f->op},       {"reason", f->reason},
                                        {"fix", f->fix},     {"lint", f->lint}};
        printf("%s\n  {\"severity\": \"%s\", \"status\": \"%s\", \"opset\": %d", i ? "," : "",
               f->error ? "error" : "lint", lamina_status_name(f->status), f->opset);
        for (size_t k = 0; k < sizeof field / sizeof *field; k++) {
            printf(", \"%s\": ", field[k][0]);
            cli_json_string(stdout, field[k][1]);
        }
        printf("}");
    }
    printf("%s], \"errors\": %zu, \"lints\": %zu", l->n ? "\n" : "", l->errors, l->n - l->errors);
}
