/*
 * The repository: its models, the loading thread and its jobs. What a model's folder says is
 * read in repo_read.c and loaded in repo_load.c, what loops see of it is in repo_table.c.
 */
#include "serve/repo_int.h"

#include "base/os/os_dir.h"
#include "base/os/os_poll.h"
#include "base/os/os_time.h"
#include "base/os/os_watch.h"

#include <string.h>

#define MAX_NAMES 100000u
#define MAX_DEPTH 16u /* ensembles in ensembles */

void lmn_repo_ring(lmn_repo *r)
{
    (void)lmn_atomic_add(&r->bell, 1, release);
    if (r->poll >= 0)
        lmn_wake(r->wake);
    else
        lmn_futex_wake(&r->bell, 1);
}

void lmn_repo_say(const lmn_repo *r, const char *fmt, ...)
{
    char line[LAMINA_ERROR_MSG_BYTES + LMN_REPO_NAME_MAX + 64];
    va_list ap;
    if (!r->said) return;
    va_start(ap, fmt);
    (void)lmn_vformat(line, sizeof line, fmt, ap);
    va_end(ap);
    r->said(r->ctx, line);
}

bool lmn_repo_name_ok(lmn_span name)
{
    if (!name.n || name.n > LMN_REPO_NAME_MAX || name.p[0] == '.') return false;
    for (size_t i = 0; i < name.n; i++) {
        const uint8_t c = name.p[i], lower = c | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_' &&
            c != '-')
            return false;
    }
    return true;
}

lmn_repo_mode lmn_repo_get_mode(const lmn_repo *r)
{
    return r->mode;
}

bool lmn_repo_ready(const lmn_repo *r)
{
    return lmn_atomic_load(&r->ready, acquire) != 0;
}

lmn_repo_model *lmn_repo_model_named(lmn_repo *r, const char *name, bool make)
{
    uint32_t at = 0;
    while (at < r->n_models && strcmp(r->models[at]->name, name) < 0) at++;
    if (at < r->n_models && strcmp(r->models[at]->name, name) == 0) return r->models[at];
    void *grown = r->models;
    lmn_repo_model *m = make ? lmn_calloc(r->alloc, 1, sizeof *m, "repo") : NULL;
    if (!m) return NULL;
    lmn_mutex_lock(&r->lock);
    const lamina_status st = lmn_grow(r->alloc, &grown, &r->cap_models, r->n_models + 1,
                                      LMN_REPO_MAX_MODELS, sizeof *r->models, "repo");
    r->models = grown;
    if (st == LAMINA_OK) {
        (void)lmn_format(m->name, sizeof m->name, "%s", name);
        for (uint32_t i = r->n_models++; i > at; i--) r->models[i] = r->models[i - 1];
        r->models[at] = m;
    }
    lmn_mutex_unlock(&r->lock);
    if (st == LAMINA_OK) return m;
    lmn_cfree(r->alloc, m, 1, sizeof *m, "repo");
    return NULL;
}

void lmn_repo_index(lmn_repo *r, void (*each)(void *ctx, const lmn_repo_row *row), void *ctx)
{
    lmn_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->n_models; i++) {
        const lmn_repo_model *m = r->models[i];
        for (uint32_t k = 0; k < m->n_slots; k++) {
            const lmn_repo_slot *s = &m->slots[k];
            const char *state = s->loaded ? "READY" : m->loading ? "LOADING" : "UNAVAILABLE";
            const lmn_repo_row row = {m->name, s->number, state, s->reason};
            each(ctx, &row);
        }
        const lmn_repo_row row = {m->name, 0, m->loading ? "LOADING" : "UNAVAILABLE", m->reason};
        if (!m->n_slots) each(ctx, &row);
    }
    lmn_mutex_unlock(&r->lock);
}

/* --- the loading thread --- */

static void settle_ready(lmn_repo *r)
{
    bool ready = true;
    for (uint32_t i = 0; i < r->n_models && ready; i++) {
        bool any = !r->models[i]->wanted;
        for (uint32_t k = 0; k < r->models[i]->n_slots; k++)
            any |= r->models[i]->slots[k].loaded != NULL;
        ready = any;
    }
    lmn_atomic_store(&r->ready, ready, release);
}

static bool model_is_there(const lmn_repo *r, const char *name)
{
    char dir[LMN_REPO_PATH];
    if (r->one_file) return false;
    (void)lmn_format(dir, sizeof dir, "%s/%s", r->path, name);
    return lmn_os_path_kind(dir) == LMN_PATH_DIR;
}

#define AT_ONCE UINT64_MAX

/* Every folder with a name that a model may have, or of those the ones that changed and have been
 * quiet for so long. */
static lamina_status scan(lmn_repo *r, uint64_t quiet_ns, lamina_error *err)
{
    uint64_t print;
    lmn_arena arena;
    char **names = NULL;
    size_t n = 0;
    lmn_arena_init(&arena, r->alloc, (size_t)64 << 20);
    lamina_status st = lmn_os_dir_list(&arena, r->path, MAX_NAMES, &names, &n, err);
    for (uint32_t i = 0; st == LAMINA_OK && i < r->n_models; i++)
        if (r->models[i]->wanted && !model_is_there(r, r->models[i]->name)) {
            lmn_repo_drop_model(r, r->models[i]);
            lmn_mutex_lock(&r->lock);
            (void)lmn_format(r->models[i]->reason, sizeof r->models[i]->reason,
                             "its folder is gone");
            lmn_mutex_unlock(&r->lock);
        }
    for (size_t i = 0; st == LAMINA_OK && i < n && !lmn_atomic_load(&r->stop, relaxed); i++) {
        lamina_error one = {0};
        if (!lmn_repo_name_ok((lmn_span){(const uint8_t *)names[i], strlen(names[i])}) ||
            !model_is_there(r, names[i]))
            continue;
        lmn_repo_model *m = lmn_repo_model_named(r, names[i], true);
        if (!m) {
            st = lmn_fail(err, LAMINA_E_LIMIT, "the repository has more than %u models",
                          LMN_REPO_MAX_MODELS);
        } else if (quiet_ns == AT_ONCE || ((lmn_repo_model_changed(r, m, &print) || !m->wanted) &&
                                           lmn_repo_is_quiet(r, m, print, quiet_ns))) {
            (void)lmn_repo_refresh_model(r, m, LMN_REFRESH_PLAIN, &one);
        }
    }
    lmn_arena_finish(&arena);
    lmn_repo_settle_ensembles(r);
    return st;
}

/* Load by request: of an ensemble also the models of its steps that are not there yet. */
static lamina_status load_named(lmn_repo *r, const char *name, uint32_t depth, lamina_error *err)
{
    lmn_arena arena;
    lmn_serve_config c;
    lmn_os_file_id id;
    lamina_error one = {0};
    lmn_repo_model *m = lmn_repo_model_named(r, name, true);
    if (!m) return lmn_fail(err, LAMINA_E_LIMIT, "there are too many models");
    lmn_arena_init(&arena, r->alloc, (size_t)64 << 20);
    if (!r->one_file && lmn_repo_read_config(r, name, &arena, &c, &id, &one) == LAMINA_OK)
        for (uint32_t i = 0; i < c.n_steps && depth < MAX_DEPTH; i++) {
            const char *step = c.steps[i].model;
            const lmn_span span = {(const uint8_t *)step, strlen(step)};
            const lmn_repo_model *have =
                lmn_repo_name_ok(span) ? lmn_repo_model_named(r, step, false) : NULL;
            if (lmn_repo_name_ok(span) && !(have && have->wanted) && model_is_there(r, step))
                (void)load_named(r, step, depth + 1, &one);
        }
    lmn_arena_finish(&arena);
    return lmn_repo_refresh_model(r, m, LMN_REFRESH_ALL, err);
}

static void run_job(lmn_repo *r, lmn_repo_job *j)
{
    lmn_repo_model *m = lmn_repo_model_named(r, j->name, false);
    j->status = LAMINA_OK;
    if (r->mode != LMN_REPO_EXPLICIT) {
        j->status = lmn_fail(&j->error, LAMINA_E_INVALID,
                             "models are not loaded and unloaded by request here: the server was "
                             "started without --model-control explicit");
    } else if (j->unload) {
        if (m && m->wanted)
            lmn_repo_drop_model(r, m);
        else
            j->status = lmn_fail(&j->error, LAMINA_E_INVALID, "no model of that name is loaded");
    } else if (!m && !model_is_there(r, j->name)) {
        j->status = lmn_fail(&j->error, LAMINA_E_INVALID, "there is no model of that name");
    } else {
        j->status = load_named(r, j->name, 0, &j->error);
    }
    lmn_repo_settle_ensembles(r);
    settle_ready(r);
    j->done(j);
}

/* An ensemble that goes may be the last that held its models. */
static void bury(lmn_repo *r)
{
    for (lmn_version *dead = NULL;;) {
        lmn_mutex_lock(&r->lock);
        dead = r->dead;
        r->dead = NULL;
        lmn_mutex_unlock(&r->lock);
        if (!dead) return;
        for (lmn_version *next; dead; dead = next) {
            next = dead->next;
            lmn_version_free(dead);
        }
    }
}

static bool next_job(lmn_repo *r, lmn_repo_job **out)
{
    lmn_mutex_lock(&r->lock);
    *out = r->jobs;
    if (*out) r->jobs = (*out)->next;
    if (!r->jobs) r->jobs_last = NULL;
    lmn_mutex_unlock(&r->lock);
    return *out != NULL;
}

#define NEWS_QUIET_NS ((uint64_t)25000000)    /* of files whose writer is done */
#define FOLDER_QUIET_NS ((uint64_t)250000000) /* of files that nothing was told of */
#define NEWS_APART_NS ((uint64_t)10000000)

/* Look at the folders; returns when to look again. */
static uint64_t look(lmn_repo *r, uint32_t news)
{
    const uint64_t poll_ns = (uint64_t)r->poll_ms * 1000000u;
    uint64_t quiet_ns = poll_ns;
    lamina_error err = {0};
    if (news & LMN_WATCH_FOLDER && quiet_ns > FOLDER_QUIET_NS) quiet_ns = FOLDER_QUIET_NS;
    if (news & LMN_WATCH_DONE && quiet_ns > NEWS_QUIET_NS) quiet_ns = NEWS_QUIET_NS;
    r->pending_at = UINT64_MAX;
    if (scan(r, quiet_ns, &err) != LAMINA_OK) lmn_repo_say(r, "%s", err.msg);
    lmn_repo_watch_all(r);
    settle_ready(r);
    const uint64_t at = lmn_now_ns() + poll_ns;
    return at < r->pending_at ? at : r->pending_at;
}

static void *loader(void *arg)
{
    lmn_repo *r = arg;
    lmn_repo_job *job;
    const bool polls = r->mode == LMN_REPO_POLL;
    uint64_t looked = lmn_now_ns(), at = polls ? looked + (uint64_t)r->poll_ms * 1000000u : 0;
    uint32_t news = 0;
    while (!lmn_atomic_load(&r->stop, acquire)) {
        const uint32_t heard = lmn_atomic_load(&r->bell, acquire);
        bury(r);
        while (next_job(r, &job)) run_job(r, job);
        const uint64_t now = lmn_now_ns();
        if (polls && now >= at) {
            at = look(r, news);
            /* what waits to be quiet was told of once */
            if (r->pending_at == UINT64_MAX) news = 0;
            looked = now;
        }
        const uint32_t more = lmn_repo_rest(r, heard, polls ? at : UINT64_MAX);
        news |= more;
        if (more && looked + NEWS_APART_NS < at) at = looked + NEWS_APART_NS;
    }
    return NULL;
}

void lmn_repo_post(lmn_repo *r, lmn_repo_job *job)
{
    job->next = NULL;
    lmn_mutex_lock(&r->lock);
    if (r->jobs_last)
        r->jobs_last->next = job;
    else
        r->jobs = job;
    r->jobs_last = job;
    lmn_mutex_unlock(&r->lock);
    lmn_repo_ring(r);
}

/* --- open and close --- */

/* "dir/resnet 50.onnx" -> "resnet_50". */
static void name_of_file(const char *path, char name[LMN_REPO_NAME_MAX + 1])
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t n = strlen(base);
    if (n > 5 && strcmp(base + n - 5, ".onnx") == 0) n -= 5;
    if (n > LMN_REPO_NAME_MAX) n = LMN_REPO_NAME_MAX;
    for (size_t i = 0; i < n; i++) {
        const lmn_span c = {(const uint8_t *)base + i, 1};
        name[i] = base[i] == '.' ? (char)(i ? '.' : '_') : lmn_repo_name_ok(c) ? base[i] : '_';
    }
    name[n] = 0;
    if (!n) (void)lmn_format(name, LMN_REPO_NAME_MAX + 1, "model");
}

static lamina_status first_load(lmn_repo *r, const lmn_repo_opts *o, lamina_error *err)
{
    char name[LMN_REPO_NAME_MAX + 1];
    lamina_status st = LAMINA_OK;
    if (r->one_file) {
        name_of_file(r->path, name);
        return load_named(r, name, 0, err);
    }
    if (r->mode != LMN_REPO_EXPLICIT) return scan(r, AT_ONCE, err);
    for (uint32_t i = 0; st == LAMINA_OK && i < o->n_load; i++) {
        const lmn_span given = {(const uint8_t *)o->load[i], strlen(o->load[i])};
        if (strcmp(o->load[i], "*") == 0) {
            st = scan(r, AT_ONCE, err);
        } else if (!lmn_repo_name_ok(given) || !model_is_there(r, o->load[i])) {
            char shown[80];
            (void)lmn_format_name(shown, sizeof shown, given.p, given.n);
            st = lmn_fail(err, LAMINA_E_INVALID, "there is no model \"%s\" to load", shown);
        } else {
            lamina_error one = {0};
            (void)load_named(r, o->load[i], 0, &one);
            lmn_repo_settle_ensembles(r);
        }
    }
    return st;
}

static lamina_status look_at_path(lmn_repo *r, const char *path, lamina_error *err)
{
    char shown[200];
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    const int kind = lmn_os_path_kind(path);
    if (kind != LMN_PATH_FILE && kind != LMN_PATH_DIR)
        return lmn_fail(err, LAMINA_E_IO,
                        "\"%s\" is neither a model's file nor a folder of models%s", shown,
                        kind == LMN_PATH_NONE ? ": it does not exist, or may not be seen" : "");
    if (strlen(path) > 4000) return lmn_fail(err, LAMINA_E_LIMIT, "the path is too long");
    r->one_file = kind == LMN_PATH_FILE;
    r->path = lmn_arena_str(&r->arena, path);
    if (!r->path) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    for (size_t n = strlen(r->path); n > 1 && r->path[n - 1] == '/'; n--) r->path[n - 1] = 0;
    if (r->one_file && r->mode != LMN_REPO_FIXED)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "model control needs a folder of models; \"%s\" is one file", shown);
    return LAMINA_OK;
}

lamina_status lmn_repo_open(lamina_engine *engine, const lmn_repo_opts *o, lmn_repo **out,
                            lamina_error *err)
{
    const lamina_allocator *alloc = &engine->alloc;
    lmn_repo *r = lmn_calloc(alloc, 1, sizeof *r, "repo");
    if (!r) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    r->engine = engine;
    r->alloc = alloc;
    r->mode = o->mode;
    r->poll_ms = o->poll_ms ? o->poll_ms : 1000;
    r->n_shards = o->n_shards ? o->n_shards : 1;
    r->probe = o->probe;
    r->probe_ctx = o->probe_ctx;
    r->changed = o->changed;
    r->said = o->said;
    r->ctx = o->ctx;
    lmn_arena_init(&r->arena, alloc, (size_t)1 << 20);
    lmn_mutex_init(&r->lock);
    lmn_repo_watch_open(r);
    lamina_status st = look_at_path(r, o->path, err);
    if (st == LAMINA_OK && o->over &&
        !(r->over = lmn_arena_dup(&r->arena, o->over, sizeof *o->over)))
        st = lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    if (st == LAMINA_OK) lmn_repo_watch_all(r);
    if (st == LAMINA_OK) st = first_load(r, o, err);
    if (st == LAMINA_OK && !r->table && lmn_repo_publish(r) != LAMINA_OK)
        st = lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    settle_ready(r);
    if (st == LAMINA_OK && lmn_thread_start(&r->thread, loader, r) != LAMINA_OK)
        st = lmn_fail(err, LAMINA_E_AGAIN, "cannot start the thread that loads models");
    r->started = st == LAMINA_OK;
    if (st != LAMINA_OK) {
        lmn_repo_close(r);
        return st;
    }
    *out = r;
    return LAMINA_OK;
}

void lmn_repo_abort(lmn_repo *r)
{
    lmn_repo_view view = {0};
    lmn_repo_see(r, &view);
    for (uint32_t i = 0; lmn_repo_at(&view, i, 0); i++)
        for (uint32_t k = 0; lmn_repo_at(&view, i, k); k++)
            lmn_model_abort(lmn_repo_at(&view, i, k)->model);
    lmn_repo_unsee(r, &view);
}

void lmn_repo_close(lmn_repo *r)
{
    if (!r) return;
    lmn_repo_job *job;
    if (r->started) {
        lmn_atomic_store(&r->stop, 1, release);
        lmn_repo_ring(r);
        lmn_thread_join(&r->thread);
    }
    while (next_job(r, &job)) {
        job->status = lmn_fail(&job->error, LAMINA_E_CLOSED, "the server is shutting down");
        job->done(job);
    }
    lmn_repo_table_unref(r->table);
    for (uint32_t i = 0; i < r->n_models; i++) {
        lmn_repo_model *m = r->models[i];
        for (uint32_t k = 0; k < m->n_slots; k++)
            if (m->slots[k].loaded) lmn_version_unref(m->slots[k].loaded);
        lmn_cfree(r->alloc, m->slots, m->cap_slots, sizeof *m->slots, "repo");
        lmn_cfree(r->alloc, m, 1, sizeof *m, "repo");
    }
    bury(r);
    lmn_repo_watch_close(r);
    lmn_free(r->alloc, r->models, r->cap_models * sizeof *r->models, 16, "repo");
    lmn_arena_finish(&r->arena);
    lmn_mutex_finish(&r->lock);
    lmn_cfree(r->alloc, r, 1, sizeof *r, "repo");
}
