/*
 * What the folder of a model says: its configuration, its versions, where their files lie; and a
 * file tried as it would be loaded. Runs in the loading thread, or in the process that tries.
 *
 * Names that came out of folders are put together to paths that are opened strictly beneath the
 * repository: no symbolic link, no "..", no file with a second name.
 */
#include "serve/repo_int.h"

#include "base/os/os_dir.h"
#include "base/text.h"

#include <string.h>

#define MAX_NAMES 100000u

lamina_status lmn_repo_read_file(lmn_repo *r, lmn_arena *arena, const char *rel, uint64_t most,
                                 lmn_span *out, lmn_os_file_id *id, lamina_error *err)
{
    char path[LMN_REPO_PATH];
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
        st = lmn_repo_read_file(r, arena, rel, (uint64_t)1 << 20, &text, id, err);
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

lamina_status lmn_repo_list_versions(lmn_repo *r, const char *name, lmn_arena *arena,
                                     const lmn_serve_config *c, uint64_t **out, uint32_t *n,
                                     lamina_error *err)
{
    char dir[LMN_REPO_PATH], **names = NULL;
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

lamina_status lmn_repo_locate(const lmn_repo *r, const char *name, uint64_t number,
                              const char *file, char path[LMN_REPO_PATH], lmn_os_file_id *id,
                              lamina_error *err)
{
    char rel[LMN_REPO_NAME_MAX + 200];
    int fd = -1;
    uint64_t bytes = 0;
    if (r->one_file) {
        (void)lmn_format(path, LMN_REPO_PATH, "%s", r->path);
        LMN_TRY(lmn_os_open(path, &fd, &bytes, err));
    } else {
        (void)lmn_format(rel, sizeof rel, "%s/%llu/%s", name, (unsigned long long)number, file);
        (void)lmn_format(path, LMN_REPO_PATH, "%s/%s", r->path, rel);
        LMN_TRY(lmn_os_open_beneath(r->path, rel, &fd, &bytes, err));
    }
    lmn_os_file_identify(fd, id);
    const uint32_t links = lmn_os_links(fd);
    lmn_os_close(fd);
    if (links > 1 && !r->one_file)
        return lmn_fail(err, LAMINA_E_PERM, "its file has a second name (hard link)");
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
