/*
 * One model of the repository: its versions loaded, replaced, let go. Runs in the loading thread.
 * Sentences that reach clients hold no path.
 */
#include "serve/repo_int.h"

#include "base/hash.h"
#include "base/text.h"

#include <string.h>

#define MAX_LABEL_BYTES ((uint64_t)16 << 20)
#define MAX_LABELS 1000000u

/* "DIR/" stands in sentences of the rooms below. */
static void hide_path(const lmn_repo *r, char *msg)
{
    const char *slash = r->one_file ? strrchr(r->path, '/') : NULL;
    if (r->one_file && !slash) return;
    const size_t n = slash ? (size_t)(slash - r->path) : strlen(r->path);
    for (char *at = msg; *at;) {
        const bool here = strncmp(at, r->path, n) == 0 && at[n] == '/';
        if (here)
            memmove(at, at + n + 1, strlen(at + n + 1) + 1);
        else
            at++;
    }
}

/* --- one version --- */

static lamina_status add_labels(lmn_version *v, lmn_serve_port *port, const char *file,
                                lamina_error *err)
{
    char rel[LMN_REPO_NAME_MAX + 300];
    lmn_span text = {0};
    (void)lmn_format(rel, sizeof rel, "%s/%s", v->sig.model, file);
    const lamina_status st =
        lmn_repo_read_file(v->repo, &v->arena, rel, MAX_LABEL_BYTES, &text, NULL, err);
    if (st == LAMINA_E_STATE)
        return lmn_fail(err, LAMINA_E_INVALID, "its file of labels is not there");
    LMN_TRY(st);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) n += text.p[i] == '\n';
    if (text.n && text.p[text.n - 1] != '\n') n++;
    const char **labels = n <= MAX_LABELS ? LMN_ARENA_ARRAY(&v->arena, const char *, n) : NULL;
    if (!labels) return lmn_fail(err, LAMINA_E_LIMIT, "its file of labels is too long");
    const uint8_t *p = text.p, *end = text.p + text.n;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t len = (size_t)(stop - p);
        if (len && p[len - 1] == '\r') len--;
        if (!(labels[i] = lmn_arena_strn(&v->arena, p, len)))
            return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
        p = stop < end ? stop + 1 : end;
    }
    port->labels = labels;
    port->n_labels = (uint32_t)n;
    return LAMINA_OK;
}

/* The model's signature, with what only the repository knows. */
static lamina_status describe(lmn_version *v, lamina_error *err)
{
    const lmn_serve_config *c = v->config;
    v->sig = *lmn_model_signature(v->model);
    LMN_TRY(lmn_serve_config_fits(c, &v->sig, err));
    lmn_serve_port *out = lmn_arena_dup(&v->arena, v->sig.out, v->sig.n_out * sizeof *out);
    if (!out) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    v->sig.out = out;
    for (uint32_t i = 0; i < c->n_out; i++)
        for (uint32_t k = 0; c->out[i].labels && k < v->sig.n_out; k++)
            if (strcmp(out[k].name, c->out[i].name) == 0)
                LMN_TRY(add_labels(v, &out[k], c->out[i].labels, err));
    return LAMINA_OK;
}

void lmn_version_free(lmn_version *v)
{
    const lmn_repo *r = v->repo;
    lmn_model_unref(v->model);
    lmn_cfree(r->alloc, v->shards, v->n_shards, sizeof *v->shards, "version");
    lmn_arena_finish(&v->arena);
    lmn_cfree(r->alloc, v, 1, sizeof *v, "version");
}

static bool same_file(const lmn_os_file_id *a, const lmn_os_file_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Ask who tries models elsewhere. What is loaded here afterwards must be the file that was tried.
 */
static lamina_status try_apart(lmn_repo *r, const char *name, uint64_t number, const char *file,
                               lmn_os_file_id *tried, lamina_error *err)
{
    char path[LMN_REPO_PATH];
    lmn_os_file_id now = *tried;
    if (!r->probe) return LAMINA_OK;
    LMN_TRY(lmn_repo_locate(r, name, number, file, path, tried, err));
    LMN_TRY(r->probe(r->probe_ctx, path, err));
    LMN_TRY(lmn_repo_locate(r, name, number, file, path, &now, err));
    if (same_file(&now, tried)) return LAMINA_OK;
    *tried = (lmn_os_file_id){0}; /* so that it is looked at again */
    return lmn_fail(err, LAMINA_E_STATE, "its file changed while it was tried");
}

static lamina_status open_version(lmn_repo *r, const char *name, uint64_t number,
                                  lmn_os_file_id *tried, lmn_version **out, lamina_error *err)
{
    char path[LMN_REPO_PATH], text[24];
    lmn_os_file_id ignored;
    lmn_version *v = lmn_calloc(r->alloc, 1, sizeof *v, "version");
    if (!v) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    v->repo = r;
    v->number = number;
    lmn_atomic_init(&v->refs, 1);
    lmn_arena_init(&v->arena, r->alloc, (size_t)256 << 20);
    (void)lmn_format(text, sizeof text, "%llu", (unsigned long long)number);
    lmn_serve_config *c = LMN_ARENA_NEW(&v->arena, lmn_serve_config);
    const char *kept_name = lmn_arena_str(&v->arena, name);
    const char *kept_number = lmn_arena_str(&v->arena, text);
    v->config = c;
    v->n_shards = r->n_shards + 1;
    v->shards = lmn_calloc(r->alloc, v->n_shards, sizeof *v->shards, "version");
    lamina_status st = c && kept_name && kept_number && v->shards
                           ? lmn_repo_read_config(r, name, &v->arena, c, &ignored, err)
                           : lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    const bool steps = st == LAMINA_OK && c->n_steps;
    if (st == LAMINA_OK && !steps) st = lmn_repo_locate(r, name, number, c->file, path, tried, err);
    if (st == LAMINA_OK && !steps) st = try_apart(r, name, number, c->file, tried, err);
    v->file = *tried;
    if (steps)
        st = lmn_repo_open_ensemble(r, v, kept_name, kept_number, err);
    else if (st == LAMINA_OK)
        st = lmn_model_open(r->engine, path, kept_name, kept_number, &c->model, &v->model, err);
    if (st == LAMINA_OK) {
        lmn_model_count_steps(v->model, &v->shards[r->n_shards]);
        v->sig.model = kept_name;
        st = describe(v, err);
    }
    if (st != LAMINA_OK) {
        lmn_version_free(v);
        return st;
    }
    *out = v;
    return LAMINA_OK;
}

/* --- rows --- */

static lmn_repo_slot *slot_of(const lmn_repo_model *m, uint64_t number)
{
    for (uint32_t i = 0; i < m->n_slots; i++)
        if (m->slots[i].number == number) return &m->slots[i];
    return NULL;
}

/* A slot more, in its place. */
static lmn_repo_slot *add_slot(lmn_repo *r, lmn_repo_model *m, uint64_t number)
{
    void *grown = m->slots;
    if (lmn_grow(r->alloc, &grown, &m->cap_slots, m->n_slots + 1, 2 * LMN_CONFIG_MAX_VERSIONS,
                 sizeof *m->slots, "repo") != LAMINA_OK)
        return NULL;
    m->slots = grown;
    uint32_t at = m->n_slots++;
    for (; at && m->slots[at - 1].number < number; at--) m->slots[at] = m->slots[at - 1];
    m->slots[at] = (lmn_repo_slot){.number = number};
    return &m->slots[at];
}

static lamina_status load_slot(lmn_repo *r, lmn_repo_model *m, uint64_t number, bool config_changed,
                               lamina_error *err)
{
    char path[LMN_REPO_PATH];
    lmn_os_file_id now = {0};
    lmn_version *fresh = NULL, *old = NULL;
    lmn_mutex_lock(&r->lock);
    lmn_repo_slot *s = slot_of(m, number);
    if (!s) s = add_slot(r, m, number);
    lmn_mutex_unlock(&r->lock);
    if (!s) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    const lmn_serve_config *had = s->loaded ? s->loaded->config : NULL;
    if (had && !config_changed && had->n_steps && !lmn_repo_outdated(r, s->loaded))
        return LAMINA_OK;
    if (had && !config_changed && !had->n_steps &&
        lmn_repo_locate(r, m->name, number, had->file, path, &now, &(lamina_error){0}) ==
            LAMINA_OK &&
        same_file(&now, &s->loaded->file))
        return LAMINA_OK;
    const lamina_status st = open_version(r, m->name, number, &now, &fresh, err);
    if (st != LAMINA_OK) hide_path(r, err->msg);
    lmn_mutex_lock(&r->lock);
    s->tried = now;
    (void)lmn_format(s->reason, sizeof s->reason, "%s", st == LAMINA_OK ? "" : err->msg);
    if (st == LAMINA_OK) {
        old = s->loaded;
        s->loaded = fresh;
    }
    lmn_mutex_unlock(&r->lock);
    if (st == LAMINA_OK)
        lmn_repo_say(r, "model \"%s\" version %llu: %s", m->name, (unsigned long long)number,
                     old ? "replaced" : "loaded");
    else
        lmn_repo_say(r, "model \"%s\" version %llu: cannot be loaded%s: %s", m->name,
                     (unsigned long long)number, s->loaded ? ", the old one stays" : "", err->msg);
    const lamina_status told = st == LAMINA_OK ? lmn_repo_publish(r) : LAMINA_OK;
    if (old) lmn_version_unref(old);
    return st != LAMINA_OK ? st : told;
}

/* Slots that are not among the wanted go. */
static void drop_slots(lmn_repo *r, lmn_repo_model *m, const uint64_t *keep, uint32_t n_keep)
{
    uint32_t kept = 0, n_dropped = 0;
    lmn_version *dropped[2 * LMN_CONFIG_MAX_VERSIONS];
    lmn_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < m->n_slots; i++) {
        bool keeps = false;
        for (uint32_t k = 0; k < n_keep && !keeps; k++) keeps = keep[k] == m->slots[i].number;
        if (keeps)
            m->slots[kept++] = m->slots[i];
        else if (m->slots[i].loaded)
            dropped[n_dropped++] = m->slots[i].loaded;
    }
    m->n_slots = kept;
    lmn_mutex_unlock(&r->lock);
    if (!n_dropped) return;
    (void)lmn_repo_publish(r);
    for (uint32_t i = 0; i < n_dropped; i++) {
        lmn_repo_say(r, "model \"%s\" version %llu: unloaded", m->name,
                     (unsigned long long)dropped[i]->number);
        lmn_version_unref(dropped[i]);
    }
}

void lmn_repo_drop_model(lmn_repo *r, lmn_repo_model *m)
{
    drop_slots(r, m, NULL, 0);
    lmn_mutex_lock(&r->lock);
    m->wanted = false;
    (void)lmn_format(m->reason, sizeof m->reason, "unloaded");
    lmn_mutex_unlock(&r->lock);
}

static void set_loading(lmn_repo *r, lmn_repo_model *m, bool loading, const char *reason)
{
    lmn_mutex_lock(&r->lock);
    m->loading = loading;
    (void)lmn_format(m->reason, sizeof m->reason, "%s", reason);
    lmn_mutex_unlock(&r->lock);
}

lamina_status lmn_repo_refresh_model(lmn_repo *r, lmn_repo_model *m, lmn_repo_refresh how,
                                     lamina_error *err)
{
    lmn_arena arena;
    lmn_serve_config c;
    lmn_os_file_id config_file;
    uint64_t *numbers = NULL;
    uint32_t n = 0;
    lamina_error one = {0};
    m->wanted = true;
    lmn_repo_watch_model(r, m->name); /* first: what changes from now on is told */
    lmn_arena_init(&arena, r->alloc, (size_t)64 << 20);
    lamina_status st = lmn_repo_read_config(r, m->name, &arena, &c, &config_file, err);
    if (st == LAMINA_OK) m->ensemble = c.n_steps > 0;
    if (st == LAMINA_OK && m->ensemble && how != LMN_REFRESH_ALL) {
        m->stale = m->stale || how == LMN_REFRESH_PLAIN;
        if (how == LMN_REFRESH_PLAIN || !lmn_repo_steps_there(r, &c)) {
            lmn_arena_finish(&arena);
            return LAMINA_E_AGAIN;
        }
    }
    set_loading(r, m, true, "");
    const bool changed = !same_file(&config_file, &m->config_file);
    m->config_file = config_file;
    if (st == LAMINA_OK) st = lmn_repo_list_versions(r, m->name, &arena, &c, &numbers, &n, err);
    if (st != LAMINA_OK) {
        hide_path(r, err->msg);
        lmn_repo_say(r, "model \"%s\": %s", m->name, err->msg);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            const lamina_status each = load_slot(r, m, numbers[i], changed, &one);
            if (each != LAMINA_OK && st == LAMINA_OK) {
                st = each;
                *err = one;
            }
        }
        if (st == LAMINA_OK) drop_slots(r, m, numbers, n); /* else what works stays */
    }
    set_loading(r, m, false, st == LAMINA_OK ? "" : err->msg);
    lmn_arena_finish(&arena);
    return st;
}

/* By the ids of the files: of the configuration, of each version; and by which versions there are.
 */
bool lmn_repo_model_changed(const lmn_repo *r, const lmn_repo_model *m, uint64_t *print)
{
    lmn_repo *repo = (lmn_repo *)(uintptr_t)r; /* reads only */
    lmn_arena arena;
    lmn_serve_config c;
    lmn_os_file_id id;
    lamina_error err = {0};
    uint64_t *numbers = NULL;
    uint32_t n = 0;
    char path[LMN_REPO_PATH];
    lmn_arena_init(&arena, r->alloc, (size_t)64 << 20);
    lamina_status st = lmn_repo_read_config(repo, m->name, &arena, &c, &id, &err);
    bool changed = !same_file(&id, &m->config_file);
    *print = lmn_hash_bytes((uint64_t)st, &id, sizeof id);
    if (st == LAMINA_OK) st = lmn_repo_list_versions(repo, m->name, &arena, &c, &numbers, &n, &err);
    bool all = st == LAMINA_OK;
    for (uint32_t i = 0; st == LAMINA_OK && i < n; i++) {
        lmn_os_file_id now = {0};
        const lmn_repo_slot *s = slot_of(m, numbers[i]);
        if (!c.n_steps) (void)lmn_repo_locate(r, m->name, numbers[i], c.file, path, &now, &err);
        *print = lmn_hash_bytes(*print ^ numbers[i], &now, sizeof now);
        changed = changed || !s || !same_file(&now, &s->tried);
        all = all && s && s->loaded;
    }
    if (all && m->n_slots > n) changed = true; /* what was kept in place of a broken one may go */
    lmn_arena_finish(&arena);
    return changed;
}
