/*
 * The operators of an engine as a table: lamina info --ops, and docs/operators.md, which is what
 * --markdown prints. Sets of element types are short: groups first, then single types.
 */
#include "cli_operators.h"

#include <string.h>

#define BIT(x) LAMINA_TYPE(LAMINA_##x)

typedef struct group {
    const char *name;
    uint32_t types;
} group;

static const group GROUPS[] = {
    {"float", BIT(F16) | BIT(BF16) | BIT(F32) | BIT(F64)},
    {"int", BIT(I8) | BIT(I16) | BIT(I32) | BIT(I64)},
    {"uint", BIT(U8) | BIT(U16) | BIT(U32) | BIT(U64)},
    {"float8", BIT(F8E4M3FN) | BIT(F8E4M3FNUZ) | BIT(F8E5M2) | BIT(F8E5M2FNUZ)},
    {"tiny", BIT(U4) | BIT(I4) | BIT(U2) | BIT(I2) | BIT(F4E2M1)},
    {"complex", BIT(C64) | BIT(C128)},
};
#define N_GROUPS (sizeof GROUPS / sizeof *GROUPS)
#define LAST_TYPE 31

static uint32_t every_type(void)
{
    uint32_t all = BIT(BOOL) | BIT(STRING) | BIT(F8E8M0);
    for (size_t i = 0; i < N_GROUPS; i++) all |= GROUPS[i].types;
    return all;
}

static size_t put(char *buf, size_t cap, size_t o, const char *text)
{
    const int n = snprintf(buf + o, cap - o, "%s%s", o ? " " : "", text);
    return n > 0 && o + (size_t)n < cap ? o + (size_t)n : cap - 1;
}

/* "float int uint bool", "any", "any but string". */
static void types_text(uint32_t types, char *buf, size_t cap)
{
    const uint32_t all = every_type();
    size_t o = 0;
    buf[0] = 0;
    if ((types & all) == all || types == (all & ~BIT(STRING))) {
        (void)put(buf, cap, 0, (types & all) == all ? "any" : "any but string");
        return;
    }
    for (size_t i = 0; i < N_GROUPS; i++) {
        if ((types & GROUPS[i].types) != GROUPS[i].types) continue;
        o = put(buf, cap, o, GROUPS[i].name);
        types &= ~GROUPS[i].types;
    }
    for (int t = 1; t <= LAST_TYPE; t++)
        if (types & (1u << t)) o = put(buf, cap, o, lamina_dtype_name(t));
}

/* ---- ports ------------------------------------------------------------------------------------
 */

typedef struct ports {
    lamina_op_port v[96];
    size_t n, n_inputs;
} ports;

static void read_ports(const lamina_engine *e, size_t i, const lamina_operator *op, ports *p)
{
    const size_t most = sizeof p->v / sizeof *p->v;
    p->n = 0;
    for (size_t k = 0; k < op->n_inputs && p->n < most; k++)
        p->n += lamina_engine_operator_port(e, i, false, k, &p->v[p->n]) == LAMINA_OK;
    p->n_inputs = p->n;
    for (size_t k = 0; k < op->n_outputs && p->n < most; k++)
        p->n += lamina_engine_operator_port(e, i, true, k, &p->v[p->n]) == LAMINA_OK;
}

/* "A B C: float int; [D]: int64": ports of one type variable, or of one set, stand together. */
static void ports_text(const ports *p, char *buf, size_t cap)
{
    bool done[96] = {false};
    size_t o = 0;
    buf[0] = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (done[i]) continue;
        char names[2048] = "", types[256];
        size_t k = 0;
        for (size_t j = i; j < p->n; j++) {
            const lamina_op_port *q = &p->v[j];
            if (done[j] || q->var != p->v[i].var || q->types != p->v[i].types) continue;
            char one[160];
            (void)snprintf(one, sizeof one, q->flags & LAMINA_PORT_OPTIONAL ? "[%s]%s" : "%s%s",
                           q->name, q->flags & LAMINA_PORT_VARIADIC ? "..." : "");
            k = put(names, sizeof names, k, one);
            done[j] = true;
        }
        types_text(p->v[i].types, types, sizeof types);
        const int n = snprintf(buf + o, cap - o, "%s%s: %s", o ? "; " : "", names, types);
        o = n > 0 && o + (size_t)n < cap ? o + (size_t)n : cap - 1;
    }
}

static void versions_text(const lamina_operator *op, char *buf, size_t cap)
{
    if (op->last == op->since)
        (void)snprintf(buf, cap, "%d", op->since);
    else if (op->last)
        (void)snprintf(buf, cap, "%d-%d", op->since, op->last);
    else
        (void)snprintf(buf, cap, "%d and newer", op->since);
}

/* ---- the tables -------------------------------------------------------------------------------
 */

static const char *domain_of(const lamina_operator *op)
{
    return *op->domain ? op->domain : "ai.onnx";
}

void cli_operators_text(const lamina_engine *e)
{
    static ports p;
    lamina_operator op = {.size = sizeof op};
    for (size_t i = 0; lamina_engine_operator(e, i, &op) == LAMINA_OK; i++) {
        char versions[40], types[4096];
        versions_text(&op, versions, sizeof versions);
        read_ports(e, i, &op, &p);
        ports_text(&p, types, sizeof types);
        printf("%-24s %-30s %-7s %s; %s%s%s\n", domain_of(&op), op.name, versions,
               *op.kernels ? op.kernels : "reference", types, *op.plugin ? "; of plug-in " : "",
               op.plugin);
    }
}

static void json_ports(const ports *p, size_t from, size_t to)
{
    printf("[");
    for (size_t i = from; i < to; i++) {
        printf("%s{\"name\": ", i > from ? ", " : "");
        cli_json_string(stdout, p->v[i].name);
        printf(", \"optional\": %s, \"variadic\": %s, \"types\": [",
               p->v[i].flags & LAMINA_PORT_OPTIONAL ? "true" : "false",
               p->v[i].flags & LAMINA_PORT_VARIADIC ? "true" : "false");
        bool first = true;
        for (int t = 1; t <= LAST_TYPE; t++) {
            if (!(p->v[i].types & (1u << t))) continue;
            printf("%s\"%s\"", first ? "" : ", ", lamina_dtype_name(t));
            first = false;
        }
        printf("]}");
    }
    printf("]");
}

void cli_operators_json(const lamina_engine *e)
{
    static ports p;
    lamina_operator op = {.size = sizeof op};
    printf("[");
    for (size_t i = 0; lamina_engine_operator(e, i, &op) == LAMINA_OK; i++) {
        const char *const field[][2] = {{"domain", domain_of(&op)},
                                        {"name", op.name},
                                        {"plugin", op.plugin},
                                        {"kernels", op.kernels}};
        read_ports(e, i, &op, &p);
        printf("%s\n  {\"since\": %d, \"last\": %d", i ? "," : "", op.since, op.last);
        for (size_t k = 0; k < sizeof field / sizeof *field; k++) {
            printf(", \"%s\": ", field[k][0]);
            cli_json_string(stdout, field[k][1]);
        }
        printf(", \"inputs\": ");
        json_ports(&p, 0, p.n_inputs);
        printf(", \"outputs\": ");
        json_ports(&p, p.n_inputs, p.n);
        printf("}");
    }
    printf("\n]\n");
}

/* Is operator i the first of its domain? */
static bool opens(const lamina_engine *e, size_t i, const lamina_operator *op)
{
    lamina_operator o = {.size = sizeof o};
    for (size_t k = 0; k < i; k++)
        if (lamina_engine_operator(e, k, &o) == LAMINA_OK && !strcmp(o.domain, op->domain))
            return false;
    return true;
}

static void markdown_row(const lamina_engine *e, size_t i, const lamina_operator *op, ports *p)
{
    char versions[40], types[4096];
    versions_text(op, versions, sizeof versions);
    read_ports(e, i, op, p);
    ports_text(p, types, sizeof types);
    printf("| %s | %s | %s | %s |\n", op->name, versions, types, op->kernels);
}

/* The row of a domain whose name follows `after` in the alphabet; false: there is none. */
static bool next_row(const lamina_engine *e, const char *domain, const char *after, size_t *row)
{
    char best[160] = "";
    lamina_operator op = {.size = sizeof op};
    for (size_t i = 0; lamina_engine_operator(e, i, &op) == LAMINA_OK; i++) {
        if (strcmp(op.domain, domain) || strcmp(op.name, after) <= 0) continue;
        if (*best && strcmp(op.name, best) >= 0) continue;
        (void)snprintf(best, sizeof best, "%s", op.name);
        *row = i;
    }
    return *best != 0;
}

static void markdown_head(void)
{
    printf(
        "# Operators\n\n"
        "Written by `lamina info --ops --markdown`; a test holds this page against it. Versions "
        "are those of the\n"
        "domain that are read, types those of the newest one: ports of one type variable stand "
        "together, `[B]` may be\n"
        "left out, `C...` may be repeated. The last column is the kernel rows of the CPU that may "
        "serve the operator\n"
        "where type and shape fit: \"own\" is fast code beside the rows, and an empty cell is the "
        "reference alone.\n\n"
        "| word | element types |\n|---|---|\n");
    for (size_t i = 0; i < N_GROUPS; i++) {
        printf("| %s |", GROUPS[i].name);
        for (int t = 1; t <= LAST_TYPE; t++)
            if (GROUPS[i].types & (1u << t)) printf(" %s", lamina_dtype_name(t));
        printf(" |\n");
    }
}

void cli_operators_markdown(const lamina_engine *e)
{
    static ports p;
    lamina_operator op = {.size = sizeof op};
    markdown_head();
    for (size_t i = 0; lamina_engine_operator(e, i, &op) == LAMINA_OK; i++) {
        if (!opens(e, i, &op)) continue;
        char name[160] = "";
        const char *domain = op.domain;
        printf("\n## %s\n\n", domain_of(&op));
        if (!strcmp(domain, "lamina")) printf("Made by passes; no file has them.\n\n");
        printf("| operator | versions | types | kernels |\n|---|---|---|---|\n");
        for (size_t row = 0; next_row(e, domain, name, &row);) {
            if (lamina_engine_operator(e, row, &op) != LAMINA_OK) break;
            (void)snprintf(name, sizeof name, "%s", op.name);
            markdown_row(e, row, &op, &p);
        }
    }
}
