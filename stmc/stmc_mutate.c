/*
 * Ordering mutation: each atomic operation is weakened one step (seq_cst to acq_rel, acquire or
 * release to relaxed, a barrier away); a mutant is noticed when some scene fails. What nobody
 * notices is either stronger than it needs to be or not covered: the table says which they are.
 */
#include <string.h>

#include "stmc_int.h"

#define C (&stmc_now)
#define MOST_MUTANTS 256

typedef struct mutant {
    stmc_site *site;
    stmc_order order;
    char killer[500];
} mutant;

/* The orders one step below, at most two. */
static int weaker(stmc_op op, stmc_order o, stmc_order out[2])
{
    const bool reads = op != STMC_STORE, writes = op != STMC_LOAD;
    if (op == STMC_HEAVY) return out[0] = STMC_relaxed, 1;
    if (op >= STMC_WAIT) return 0;
    switch (o) {
    case STMC_seq_cst:
        out[0] = reads && writes ? STMC_acq_rel : reads ? STMC_acquire : STMC_release;
        return 1;
    case STMC_acq_rel: return out[0] = STMC_acquire, out[1] = STMC_release, 2;
    case STMC_acquire:
    case STMC_release: return out[0] = STMC_relaxed, 1;
    default: return 0;
    }
}

static bool killed(mutant *m, const stmc_scene *scenes, size_t n)
{
    C->weak_site = m->site;
    C->weak_order = m->order;
    m->killer[0] = '\0';
    for (size_t i = 0; i < n && !m->killer[0]; i++)
        if (stmc_wanted(&scenes[i]) && !stmc_search(&scenes[i]))
            snprintf(m->killer, sizeof m->killer, "%s: %s", scenes[i].name, C->failure);
    C->weak_site = NULL;
    return m->killer[0] != '\0';
}

static void print_mutant(const mutant *m)
{
    const stmc_site *s = m->site;
    const char *file = strrchr(s->file, '/');
    char where[64];
    snprintf(where, sizeof where, "%s:%d", file ? file + 1 : s->file, s->line);
    printf(C->opt.markdown ? "| `%s` | %s `%s` | %s | %s | %s |\n" : "%-24s %s %s %s -> %s: %s\n",
           where, stmc_op_name(s->op), s->text[0] == '(' ? "" : s->text, stmc_order_name(s->order),
           s->op == STMC_HEAVY ? "none" : stmc_order_name(m->order),
           m->killer[0] ? m->killer : "NOT NOTICED");
}

int stmc_mutate(const stmc_scene *scenes, size_t n)
{
    static mutant all[MOST_MUTANTS];
    int n_all = 0, n_killed = 0;
    for (size_t i = 0; i < n; i++) {
        if (!stmc_wanted(&scenes[i]) || stmc_search(&scenes[i])) continue;
        stmc_print_failure();
        return 1;
    }
    for (stmc_state *s = C->sites; s; s = s->next) {
        stmc_order to[2];
        const int n_to = weaker(s->site->op, s->site->order, to);
        for (int k = 0; k < n_to && n_all < MOST_MUTANTS; k++)
            all[n_all++] = (mutant){.site = s->site, .order = to[k]};
    }
    if (C->opt.markdown)
        printf("| place | operation | order | weakened | what breaks |\n|---|---|---|---|---|\n");
    for (int i = 0; i < n_all; i++) {
        n_killed += killed(&all[i], scenes, n);
        print_mutant(&all[i]);
        fflush(stdout);
    }
    printf("%s%d of %d mutants noticed\n", C->opt.markdown ? "\n" : "", n_killed, n_all);
    return n_killed * 100 >= n_all * 95 ? 0 : 1;
}
