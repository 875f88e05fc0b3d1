/*
 * The registry: op_list.h as a table. Lookup scans the rows: a few hundred string compares that
 * stop at the first byte cost less than a microsecond, once a node at import, and the table needs
 * neither global sorting across the sections of the list nor mutable state.
 */
#include "ops/op.h"
#include "ops/op_list.h"

#include <string.h>

#define X(Name) extern const lmn_op_def lmn_op_##Name;
LMN_OP_LIST(X)
#undef X

static const lmn_op_def *const ROWS[] = {
#define X(Name) &lmn_op_##Name,
    LMN_OP_LIST(X)
#undef X
        NULL};

const lmn_op_def *const *lmn_op_all(size_t *n)
{
    if (n) *n = LMN_COUNT(ROWS) - 1;
    return ROWS;
}

const lmn_op_def *lmn_op_find(const char *domain, const char *name)
{
    if (strcmp(domain, "ai.onnx") == 0) domain = "";
    for (size_t i = 0; ROWS[i]; i++)
        if (strcmp(ROWS[i]->name, name) == 0 && strcmp(ROWS[i]->domain, domain) == 0)
            return ROWS[i];
    return NULL;
}

bool lmn_op_subset(void)
{
#ifdef LMN_SUBSET
    return true;
#else
    return false;
#endif
}

#define NAME_MAX 48u

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Levenshtein distance, case ignored; both names are shorter than NAME_MAX. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t row[NAME_MAX + 1];
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t swap = diag + (lower(a[i - 1]) != lower(b[j - 1]));
            const size_t gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diag = row[j];
            row[j] = swap < gap ? swap : gap;
        }
    }
    return row[nb];
}

size_t lmn_name_distance(const char *a, const char *b)
{
    const size_t na = strlen(a), nb = strlen(b);
    return na > NAME_MAX || nb > NAME_MAX ? SIZE_MAX : distance(a, na, b, nb);
}

const char *lmn_op_nearest(const char *name)
{
    const size_t n = strlen(name);
    if (n == 0 || n > NAME_MAX) return NULL;
    /* A third of the name may be wrong, at least one letter: farther names are other operators. */
    size_t best = n / 3 + 1;
    const char *found = NULL;
    for (size_t i = 0; ROWS[i]; i++) {
        const size_t m = strlen(ROWS[i]->name);
        if (m > NAME_MAX) continue;
        const size_t d = distance(name, n, ROWS[i]->name, m);
        if (d < best || (d == best && !found)) {
            best = d;
            found = ROWS[i]->name;
        }
    }
    return found;
}

void lmn_op_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c)
{
    *c = (lmn_cost){0};
    for (int32_t i = 0; i < n->n_in; i++)
        if (in[i]) c->bytes += lmn_fact_bytes(in[i]);
    for (int32_t i = 0; i < n->n_out; i++) c->bytes += lmn_fact_bytes(&out[i]);
    if (n->def->flags & LMN_OP_VIEW) {
        c->bytes = 0;
        return;
    }
    if (n->n_out > 0) c->flops = lmn_fact_size(&out[0]);
    if (n->def->cost) n->def->cost(n, in, out, c); /* refines what the default has filled */
}
