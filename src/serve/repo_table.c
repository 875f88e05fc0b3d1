/*
 * What is loaded, as loops see it: a table that never changes once it is made. Another takes its
 * place under the repository's lock; who holds a reference to the old one keeps its versions.
 */
#include "serve/repo_int.h"

#include "base/map.h"

#include <string.h>

typedef struct table_model {
    const char *name;
    lmn_version **versions; /* a reference each, the highest first */
    uint32_t n;
} table_model;

struct lmn_repo_table {
    lmn_atomic(uint32_t) refs;
    const lamina_allocator *alloc;
    lmn_arena arena;
    lmn_map by_name;
    table_model *models;
    uint32_t n;
};

void lmn_repo_table_unref(lmn_repo_table *t)
{
    if (!t || lmn_atomic_sub(&t->refs, 1, acq_rel) != 1) return;
    for (uint32_t i = 0; i < t->n; i++)
        for (uint32_t k = 0; k < t->models[i].n; k++) lmn_version_unref(t->models[i].versions[k]);
    lmn_map_finish(&t->by_name);
    const lamina_allocator *alloc = t->alloc;
    lmn_arena_finish(&t->arena);
    lmn_cfree(alloc, t, 1, sizeof *t, "repo table");
}

/* A model's versions that are loaded; false: out of memory. */
static bool table_add(lmn_repo_table *t, const lmn_repo_model *m)
{
    table_model *to = &t->models[t->n];
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_slots; i++) n += m->slots[i].loaded != NULL;
    if (!n) return true;
    to->name = lmn_arena_str(&t->arena, m->name);
    to->versions = LMN_ARENA_ARRAY(&t->arena, lmn_version *, n);
    if (!to->name || !to->versions) return false;
    if (!lmn_map_set(&t->by_name, to->name, strlen(to->name), t->n)) return false;
    t->n++;
    for (uint32_t i = 0; i < m->n_slots; i++)
        if (m->slots[i].loaded) to->versions[to->n++] = lmn_version_ref(m->slots[i].loaded);
    return true;
}

lamina_status lmn_repo_publish(lmn_repo *r)
{
    lmn_repo_table *t = lmn_calloc(r->alloc, 1, sizeof *t, "repo table"), *old = NULL;
    if (!t) return LAMINA_E_NOMEM;
    t->alloc = r->alloc;
    lmn_atomic_init(&t->refs, 1);
    lmn_arena_init(&t->arena, r->alloc, 0);
    lmn_map_init(&t->by_name, r->alloc);
    lmn_mutex_lock(&r->lock);
    t->models = LMN_ARENA_ARRAY(&t->arena, table_model, r->n_models ? r->n_models : 1);
    bool ok = t->models != NULL;
    for (uint32_t i = 0; ok && i < r->n_models; i++) ok = table_add(t, r->models[i]);
    if (ok) {
        old = r->table;
        r->table = t;
        (void)lmn_atomic_add(&r->generation, 1, release);
    }
    lmn_mutex_unlock(&r->lock);
    lmn_repo_table_unref(ok ? old : t);
    if (ok && r->changed) r->changed(r->ctx);
    return ok ? LAMINA_OK : LAMINA_E_NOMEM;
}

void lmn_repo_see(lmn_repo *r, lmn_repo_view *v)
{
    if (LMN_LIKELY(lmn_atomic_load(&r->generation, acquire) == v->generation)) return;
    lmn_mutex_lock(&r->lock);
    lmn_repo_table *old = (lmn_repo_table *)(uintptr_t)v->table;
    if (r->table) (void)lmn_atomic_add(&r->table->refs, 1, relaxed);
    v->table = r->table;
    v->generation = lmn_atomic_load(&r->generation, relaxed);
    lmn_mutex_unlock(&r->lock);
    lmn_repo_table_unref(old);
}

void lmn_repo_unsee(lmn_repo *r, lmn_repo_view *v)
{
    (void)r;
    lmn_repo_table_unref((lmn_repo_table *)(uintptr_t)v->table);
    *v = (lmn_repo_view){0};
}

lmn_version *lmn_repo_find(const lmn_repo_view *v, lmn_span name, uint64_t version, bool *known)
{
    uint64_t at = 0;
    *known = v->table && lmn_map_get(&v->table->by_name, name.p, name.n, &at);
    if (!*known) return NULL;
    const table_model *m = &v->table->models[at];
    if (!version) return m->versions[0];
    for (uint32_t i = 0; i < m->n; i++)
        if (m->versions[i]->number == version) return m->versions[i];
    return NULL;
}

lmn_version *lmn_repo_at(const lmn_repo_view *v, uint32_t model, uint32_t version)
{
    if (!v->table || model >= v->table->n || version >= v->table->models[model].n) return NULL;
    return v->table->models[model].versions[version];
}

void lmn_version_unref(lmn_version *v)
{
    if (lmn_atomic_sub(&v->refs, 1, acq_rel) != 1) return;
    lmn_repo *r = v->repo;
    lmn_mutex_lock(&r->lock);
    v->next = r->dead;
    r->dead = v;
    lmn_mutex_unlock(&r->lock);
    lmn_repo_ring(r);
}
