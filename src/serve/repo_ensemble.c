/*
 * Ensembles in the repository: where their steps find models, and that they follow when these are
 * replaced or go. An ensemble holds the versions that it was made of; when one of them is no longer
 * the one that is served, it is made anew, and if that fails it goes on with what it holds. When a
 * model is gone, the ensemble goes too. Runs in the loading thread.
 */
#include "serve/repo_int.h"

#include "serve/ensemble.h"

#include <string.h>

#define MAX_ROUNDS 64u /* ensembles in ensembles */

/* The version that a step means; NULL: none is loaded. */
static lmn_version *version_of(lmn_repo *r, const char *name, uint64_t number)
{
    const lmn_span span = {(const uint8_t *)name, strlen(name)};
    const lmn_repo_model *m = lmn_repo_name_ok(span) ? lmn_repo_model_named(r, name, false) : NULL;
    for (uint32_t i = 0; m && i < m->n_slots; i++)
        if (m->slots[i].loaded && (!number || m->slots[i].number == number))
            return m->slots[i].loaded;
    return NULL;
}

bool lmn_repo_steps_there(lmn_repo *r, const lmn_serve_config *c)
{
    for (uint32_t i = 0; i < c->n_steps; i++)
        if (!version_of(r, c->steps[i].model, c->steps[i].version)) return false;
    return true;
}

/* Does what is loaded as `name` lead to `target`, through ensembles in ensembles? */
static bool leads_to(lmn_repo *r, const char *name, const char *target)
{
    const lmn_version *v = version_of(r, name, 0);
    if (strcmp(name, target) == 0) return true;
    lmn_repo_model *m = v ? lmn_repo_model_named(r, name, false) : NULL;
    if (!m || m->mark == r->mark) return false;
    m->mark = r->mark;
    for (uint32_t s = 0; s < m->n_slots; s++) {
        const lmn_serve_config *c = m->slots[s].loaded ? m->slots[s].loaded->config : NULL;
        for (uint32_t i = 0; c && i < c->n_steps; i++)
            if (leads_to(r, c->steps[i].model, target)) return true;
    }
    return false;
}

static lmn_model *find(void *ctx, const char *name, uint64_t number, void **hold, lamina_error *err)
{
    lmn_version *v = version_of(ctx, name, number);
    if (!v) {
        (void)lmn_fail(err, LAMINA_E_INVALID,
                       number ? "that version of its model is not loaded"
                              : "its model is not loaded");
        return NULL;
    }
    *hold = lmn_version_ref(v);
    return v->model;
}

static void keep(void *hold)
{
    (void)lmn_version_ref(hold);
}

static void drop(void *hold)
{
    lmn_version_unref(hold);
}

lamina_status lmn_repo_open_ensemble(lmn_repo *r, lmn_version *v, const char *name,
                                     const char *number, lamina_error *err)
{
    const lmn_ensemble_source source = {r, find, keep, drop, v};
    const lmn_serve_config *c = v->config;
    r->mark++;
    for (uint32_t i = 0; i < c->n_steps; i++)
        if (leads_to(r, c->steps[i].model, name))
            return lmn_fail(err, LAMINA_E_INVALID, "step %u: it would be a step of itself", i + 1);
    return lmn_ensemble_open(r->engine, name, number, c, &source, &v->model, err);
}

bool lmn_repo_outdated(lmn_repo *r, const lmn_version *v)
{
    for (uint32_t i = 0; i < v->config->n_steps; i++) {
        const lmn_config_step *s = &v->config->steps[i];
        const lmn_version *now = version_of(r, s->model, s->version);
        const lmn_model *held = NULL;
        for (uint32_t k = 0; now && (held = lmn_ensemble_member(v->model, k)) != NULL; k++)
            if (held == now->model) break;
        if (!held) return true;
    }
    return false;
}

/* Let go of versions whose steps are gone. */
static bool let_go(lmn_repo *r, lmn_repo_model *m)
{
    bool any = false;
    for (uint32_t i = 0; i < m->n_slots; i++) {
        lmn_repo_slot *s = &m->slots[i];
        lmn_version *v = s->loaded;
        if (!v || lmn_repo_steps_there(r, v->config)) continue;
        lmn_mutex_lock(&r->lock);
        s->loaded = NULL;
        (void)lmn_format(s->reason, sizeof s->reason, "a model of its steps is not loaded");
        lmn_mutex_unlock(&r->lock);
        lmn_repo_say(r, "model \"%s\" version %llu: unloaded: %s", m->name,
                     (unsigned long long)s->number, s->reason);
        (void)lmn_repo_publish(r);
        lmn_version_unref(v);
        any = true;
    }
    return any;
}

static bool wants_refresh(lmn_repo *r, const lmn_repo_model *m, uint64_t generation)
{
    if (m->stale) return true;
    if (m->tried == generation) return false; /* nothing is new since */
    bool any = !m->n_slots;
    for (uint32_t i = 0; i < m->n_slots; i++)
        any |= !m->slots[i].loaded || lmn_repo_outdated(r, m->slots[i].loaded);
    return any;
}

static bool settle_one(lmn_repo *r, lmn_repo_model *m, lmn_repo_refresh how)
{
    lamina_error err = {0};
    bool any = let_go(r, m);
    const uint64_t before = lmn_atomic_load(&r->generation, relaxed);
    if (!wants_refresh(r, m, before)) return any;
    const lamina_status st = lmn_repo_refresh_model(r, m, how, &err);
    if (st == LAMINA_E_AGAIN) return any; /* those that it waits for come first */
    m->stale = false;
    m->tried = lmn_atomic_load(&r->generation, relaxed);
    return any || m->tried != before;
}

void lmn_repo_settle_ensembles(lmn_repo *r)
{
    bool more = true;
    for (uint32_t round = 0; more && round < MAX_ROUNDS; round++) {
        more = false;
        for (uint32_t i = 0; i < r->n_models; i++)
            if (r->models[i]->ensemble && r->models[i]->wanted)
                more |= settle_one(r, r->models[i], LMN_REFRESH_IF_THERE);
    }
    for (uint32_t i = 0; i < r->n_models; i++) /* those that lack something say so */
        if (r->models[i]->ensemble && r->models[i]->wanted && r->models[i]->stale)
            (void)settle_one(r, r->models[i], LMN_REFRESH_ALL);
}
