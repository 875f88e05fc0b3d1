/*
 * One model of the repository: what its folder says, and loading it. Runs in the loading thread.
 *
 * Names that came out of folders are put together to paths that are opened strictly beneath the
 * repository: no symbolic link, no "..", no file with a second name. Sentences that reach clients
 * hold no path.
 */
#include "serve/repo_int.h"

#include "base/hash.h"
#include "base/os/os_dir.h"
#include "base/text.h"

#include <string.h>

#define MAX_LABEL_BYTES ((uint64_t)16 << 20)
#define MAX_LABELS 1000000u
#define MAX_NAMES 100000u

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

/* A file of the repository, whole, in the arena; *id: which. E_STATE: there is none. */
static lamina_status read_file(lmn_repo *r, lmn_arena *arena, const char *rel, uint64_t most,
                               lmn_span *out, lmn_os_file_id *id, lamina_error *err)
{
    char path[4400];
    int fd = -1;
    uint64_t bytes = 0;
    (void)lmn_format(path, sizeof path, "%s/%s", r->path, rel);
    if (lmn_os_path_kind(path) == LMN_PATH_NONE) return LAMINA_E_STATE;
    LMN_TRY(lmn_os_open_beneath(r->path, rel, &fd, &bytes, err));
    lamina_status st = LAMINA_OK;
    uint8_t *text = NULL;
    if (id) lmn_os_file_identify(fd, id);
    if (bytes > most)
        st = lmn_fail(err, LAMINA_E_LIMIT, "\"%s\" is longer than %llu bytes", rel,
                      (unsigned long long)most);
    else if (!(text = lmn_arena_bump(arena, (size_t)bytes + 1, 1)))
        st = lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    else
        st = lmn_os_read_at(fd, 0, text, (size_t)bytes, err);
    lmn_os_close(fd);
    if (st == LAMINA_OK) *out = (lmn_span){text, (size_t)bytes};
    return st;
}

static void obey_command_line(const lmn_model_config *o, lmn_model_config *m)
{
    if (!o) return;
    if (o->batch.max_batch_size >= 0) m->batch.max_batch_size = o->batch.max_batch_size;
    if (o->batch.max_batch_size == 0) m->batch.dynamic = false;
    if (o->batch.delay_ns) m->batch.delay_ns = o->batch.delay_ns;
    if (o->batch.max_queue_rows) m->batch.max_queue_rows = o->batch.max_queue_rows;
    if (o->batch.n_instances) m->batch.n_instances = o->batch.n_instances;
    if (o->n_threads) m->n_threads = o->n_threads;
    if (o->where != LMN_RUN_CHOOSE) m->where = o->where;
    if (o->precision) m->precision = o->precision;
    if (o->max_run_ns) m->max_run_ns = o->max_run_ns;
}

/* config.json, config.pbtxt, or what holds without. */
lamina_status lmn_repo_read_config(lmn_repo *r, const char *name, lmn_arena *arena,
                                   lmn_serve_config *c, lmn_os_file_id *id, lamina_error *err)
{
    static const char *const FILES[] = {"config.json", "config.pbtxt"};
    lmn_serve_config_init(c);
    *id = (lmn_os_file_id){0};
    lamina_status st = LAMINA_E_STATE;
    for (int i = 0; i < 2 && st == LAMINA_E_STATE && !r->one_file; i++) {
        char rel[LMN_REPO_NAME_MAX + 20];
        lmn_span text;
        (void)lmn_format(rel, sizeof rel, "%s/%s", name, FILES[i]);
        st = read_file(r, arena, rel, (uint64_t)1 << 20, &text, id, err);
        if (st == LAMINA_OK) st = lmn_serve_config_read(arena, text, i == 0, c, err);
        if (st != LAMINA_OK && st != LAMINA_E_STATE) lmn_error_prefix(err, "%s", FILES[i]);
    }
    if (st == LAMINA_E_STATE) {
        c->model.batch.dynamic = true;
        st = LAMINA_OK;
    }
    LMN_TRY(st);
    if (c->name && *c->name && strcmp(c->name, name) != 0)
        return lmn_fail(err, LAMINA_E_INVALID, "its configuration is for a model of another name");
    obey_command_line(r->over, &c->model);
    return LAMINA_OK;
}

/* The model whose file this is, "PATH/NAME/...": its name. False: it stands in no such folder. */
static bool model_of_file(const lmn_repo *r, const char *path, char name[LMN_REPO_NAME_MAX + 1])
{
    const size_t n = strlen(r->path);
    if (strncmp(path, r->path, n) != 0 || path[n] != '/') return false;
    const char *from = path + n + 1, *slash = strchr(from, '/');
    const lmn_span s = {(const uint8_t *)from, slash ? (size_t)(slash - from) : 0};
    if (!lmn_repo_name_ok(s)) return false;
    (void)lmn_format(name, LMN_REPO_NAME_MAX + 1, "%.*s", (int)s.n, from);
    return true;
}

/* As open_version does it, as far as the file and its configuration go. */
static lamina_status try_file(lmn_repo *r, const char *path, lmn_arena *arena, lamina_error *err)
{
    char name[LMN_REPO_NAME_MAX + 1] = "model";
    lmn_serve_config c;
    lmn_os_file_id ignored;
    lmn_model *m = NULL;
    r->one_file = !model_of_file(r, path, name);
    LMN_TRY(lmn_repo_read_config(r, name, arena, &c, &ignored, err));
    LMN_TRY(lmn_model_open(r->engine, path, name, "1", &c.model, &m, err));
    const lamina_status st = lmn_serve_config_fits(&c, lmn_model_signature(m), err);
    lmn_model_unref(m);
    return st;
}

lamina_status lmn_repo_try(lamina_engine *engine, const char *models, const lmn_model_config *over,
                           const char *path, lamina_error *err)
{
    lmn_arena arena;
    lmn_arena_init(&arena, &engine->alloc, (size_t)256 << 20);
    lmn_repo r = {.engine = engine, .alloc = &engine->alloc, .over = over};
    r.path = lmn_arena_str(&arena, models);
    for (size_t n = r.path ? strlen(r.path) : 0; n > 1 && r.path[n - 1] == '/'; n--)
        r.path[n - 1] = 0;
    const lamina_status st =
        r.path ? try_file(&r, path, &arena, err) : lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    lmn_arena_finish(&arena);
    return st;
}

static bool is_version(const char *name, uint64_t *out)
{
    int64_t v;
    const size_t n = strlen(name);
    if (name[0] < '1' || name[0] > '9' || !lmn_parse_i64(name, n, &v)) return false;
    return *out = (uint64_t)v, true;
}

static bool wanted(const lmn_serve_config *c, uint64_t number, size_t rank)
{
    if (c->policy == LMN_VERSIONS_ALL) return true;
    if (c->policy == LMN_VERSIONS_LATEST) return rank < c->n_latest;
    for (uint32_t i = 0; i < c->n_versions; i++)
        if (c->versions[i] == number) return true;
    return false;
}

/* Numbers of the versions that the policy wants, the highest first. */
static lamina_status list_versions(lmn_repo *r, const char *name, lmn_arena *arena,
                                   const lmn_serve_config *c, uint64_t **out, uint32_t *n,
                                   lamina_error *err)
{
    char dir[4400], **names = NULL;
    size_t n_names = 0, kept = 0;
    *n = 0;
    *out = LMN_ARENA_ARRAY(arena, uint64_t, LMN_CONFIG_MAX_VERSIONS + 1);
    if (!*out) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    if (r->one_file) return (*out)[0] = 1, *n = 1, LAMINA_OK;
    (void)lmn_format(dir, sizeof dir, "%s/%s", r->path, name);
    LMN_TRY(lmn_os_dir_list(arena, dir, MAX_NAMES, &names, &n_names, err));
    for (size_t i = 0; i < n_names; i++) {
        uint64_t v;
        if (!is_version(names[i], &v)) continue;
        if (kept == LMN_CONFIG_MAX_VERSIONS)
            return lmn_fail(err, LAMINA_E_LIMIT, "it has more than %u versions",
                            LMN_CONFIG_MAX_VERSIONS);
        size_t at = kept++;
        for (; at && (*out)[at - 1] < v; at--) (*out)[at] = (*out)[at - 1];
        (*out)[at] = v;
    }
    for (size_t i = 0; i < kept; i++)
        if (wanted(c, (*out)[i], i)) (*out)[(*n)++] = (*out)[i];
    if (c->n_steps && !kept) (*out)[(*n)++] = 1; /* an ensemble needs no files */
    if (*n) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_INVALID,
                    kept ? "no version is there that its policy wants"
                         : "it has no version: no folder 1, 2, ...");
}

/* --- one version --- */

static lamina_status add_labels(lmn_version *v, lmn_serve_port *port, const char *file,
                                lamina_error *err)
{
    char rel[LMN_REPO_NAME_MAX + 300];
    lmn_span text = {0};
    (void)lmn_format(rel, sizeof rel, "%s/%s", v->sig.model, file);
    const lamina_status st = read_file(v->repo, &v->arena, rel, MAX_LABEL_BYTES, &text, NULL, err);
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

/* Where the file of a version lies, after a look that it lies beneath the repository. */
static lamina_status locate(const lmn_repo *r, const char *name, uint64_t number, const char *file,
                            char path[4400], lmn_os_file_id *id, lamina_error *err)
{
    char rel[LMN_REPO_NAME_MAX + 200];
    int fd = -1;
    uint64_t bytes = 0;
    if (r->one_file) {
        (void)lmn_format(path, 4400, "%s", r->path);
        LMN_TRY(lmn_os_open(path, &fd, &bytes, err));
    } else {
        (void)lmn_format(rel, sizeof rel, "%s/%llu/%s", name, (unsigned long long)number, file);
        (void)lmn_format(path, 4400, "%s/%s", r->path, rel);
        LMN_TRY(lmn_os_open_beneath(r->path, rel, &fd, &bytes, err));
    }
    lmn_os_file_identify(fd, id);
    const uint32_t links = lmn_os_links(fd);
    lmn_os_close(fd);
    if (links > 1 && !r->one_file)
        return lmn_fail(err, LAMINA_E_PERM, "its file has a second name (hard link)");
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
    char path[4400];
    lmn_os_file_id now = *tried;
    if (!r->probe) return LAMINA_OK;
    LMN_TRY(locate(r, name, number, file, path, tried, err));
    LMN_TRY(r->probe(r->probe_ctx, path, err));
    LMN_TRY(locate(r, name, number, file, path, &now, err));
    if (same_file(&now, tried)) return LAMINA_OK;
    *tried = (lmn_os_file_id){0}; /* so that it is looked at again */
    return lmn_fail(err, LAMINA_E_STATE, "its file changed while it was tried");
}

static lamina_status open_version(lmn_repo *r, const char *name, uint64_t number,
                                  lmn_os_file_id *tried, lmn_version **out, lamina_error *err)
{
    char path[4400], text[24];
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
    if (st == LAMINA_OK && !steps) st = locate(r, name, number, c->file, path, tried, err);
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
    char path[4400];
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
        locate(r, m->name, number, had->file, path, &now, &(lamina_error){0}) == LAMINA_OK &&
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
    if (st == LAMINA_OK) st = list_versions(r, m->name, &arena, &c, &numbers, &n, err);
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
    char path[4400];
    lmn_arena_init(&arena, r->alloc, (size_t)64 << 20);
    lamina_status st = lmn_repo_read_config(repo, m->name, &arena, &c, &id, &err);
    bool changed = !same_file(&id, &m->config_file);
    *print = lmn_hash_bytes((uint64_t)st, &id, sizeof id);
    if (st == LAMINA_OK) st = list_versions(repo, m->name, &arena, &c, &numbers, &n, &err);
    bool all = st == LAMINA_OK;
    for (uint32_t i = 0; st == LAMINA_OK && i < n; i++) {
        lmn_os_file_id now = {0};
        const lmn_repo_slot *s = slot_of(m, numbers[i]);
        if (!c.n_steps) (void)locate(r, m->name, numbers[i], c.file, path, &now, &err);
        *print = lmn_hash_bytes(*print ^ numbers[i], &now, sizeof now);
        changed = changed || !s || !same_file(&now, &s->tried);
        all = all && s && s->loaded;
    }
    if (all && m->n_slots > n) changed = true; /* what was kept in place of a broken one may go */
    lmn_arena_finish(&arena);
    return changed;
}
