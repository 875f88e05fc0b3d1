/*
 * The folder of packed weights (packdir.h), and the public look at it.
 */
#include "runtime/packdir.h"

#include "base/os/os_cache.h"
#include "base/os/os_dir.h"
#include "base/os/os_env.h"

#include <errno.h>
#include <string.h>

enum { MOST_NAMES = 100000, PATH_BYTES = LMN_PACKDIR_BYTES + 288 };

lamina_status lmn_packdir_find(lmn_packdir *d, const char *asked, lamina_error *err)
{
    const char *base = lmn_os_getenv("XDG_CACHE_HOME"), *home = lmn_os_getenv("HOME");
    size_t n;
    *d = (lmn_packdir){.levels = 3};
    if (asked && strcmp(asked, "auto") != 0) {
        if (asked[0] != '/')
            return lmn_fail(err, LAMINA_E_INVALID,
                            "the folder of packed weights is \"auto\" or an absolute path");
        d->levels = 1;
        n = lmn_format(d->path, sizeof d->path, "%s", asked);
    } else if (base && base[0] == '/') {
        n = lmn_format(d->path, sizeof d->path, "%s/lamina/prepack", base);
    } else if (home && home[0] == '/') {
        n = lmn_format(d->path, sizeof d->path, "%s/.cache/lamina/prepack", home);
    } else {
        return lmn_fail(err, LAMINA_E_INVALID,
                        "neither XDG_CACHE_HOME nor HOME says where packed weights may lie");
    }
    if (n < sizeof d->path) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_INVALID, "the path of the folder of packed weights is too long");
}

void lmn_packdir_name(const lmn_packdir *d, uint64_t key, char *buf, size_t cap)
{
    (void)lmn_format(buf, cap, "%s/%016llx.pack", d->path, (unsigned long long)key);
}

static bool ends(const char *name, const char *with)
{
    const size_t n = strlen(name), k = strlen(with);
    return n > k && strcmp(name + n - k, with) == 0;
}

/* "NAME.pack.PID.N.tmp" */
static bool is_leftover(const char *name)
{
    return ends(name, ".tmp") && strstr(name, ".pack.");
}

lamina_status lmn_packdir_lock(const lmn_packdir *d, int *fd, lamina_error *err)
{
    char path[PATH_BYTES];
    (void)lmn_format(path, sizeof path, "%s/lock", d->path);
    return lmn_os_cache_lock(path, fd, err);
}

lamina_status lmn_packdir_open(const char *path, lmn_packfile *out, lamina_error *err)
{
    int fd;
    uint64_t bytes;
    lmn_span map;
    LMN_TRY(lmn_os_cache_open(path, &fd, &bytes, err));
    lamina_status st = bytes ? lmn_os_map(fd, bytes, &map, err)
                             : lmn_fail(err, LAMINA_E_CORRUPT, "the file is empty");
    if (st == LAMINA_OK) {
        st = lmn_packfile_read(map, out, err);
        if (st != LAMINA_OK) lmn_os_unmap(map);
    }
    if (st == LAMINA_OK) lmn_os_cache_touch(fd);
    lmn_os_close(fd);
    return st;
}

/* ---- what goes --------------------------------------------------------------------------------
 */

typedef struct listing {
    lmn_arena arena;
    char **names;
    size_t n;
} listing;

static lamina_status list(const lmn_packdir *d, const lamina_allocator *al, listing *l,
                          lamina_error *err)
{
    *l = (listing){.n = 0};
    lmn_arena_init(&l->arena, al, 0);
    return lmn_os_dir_list(&l->arena, d->path, MOST_NAMES, &l->names, &l->n, err);
}

/* Removes what dead writers left; the sum of the rest, and of it the one used longest ago. */
static uint64_t survey(const lmn_packdir *d, const listing *l, const char *keep, char *oldest)
{
    uint64_t sum = 0, least = UINT64_MAX, bytes, used;
    oldest[0] = 0;
    for (size_t i = 0; i < l->n; i++) {
        char path[PATH_BYTES];
        (void)lmn_format(path, sizeof path, "%s/%s", d->path, l->names[i]);
        if (is_leftover(l->names[i])) (void)lmn_os_file_remove(path, NULL);
        if (!ends(l->names[i], ".pack") || strcmp(path, keep) == 0) continue;
        if (!lmn_os_cache_facts(path, &bytes, &used)) continue;
        sum += bytes;
        if (used >= least) continue;
        least = used;
        (void)lmn_format(oldest, PATH_BYTES, "%s", path);
    }
    return sum;
}

lamina_status lmn_packdir_evict(const lmn_packdir *d, const lamina_allocator *al, uint64_t bytes,
                                uint64_t most, const char *keep, lamina_error *err)
{
    listing l;
    char oldest[PATH_BYTES];
    if (bytes > most)
        return lmn_fail(err, LAMINA_E_LIMIT, "%llu bytes are more than the folder may hold (%llu)",
                        (unsigned long long)bytes, (unsigned long long)most);
    lamina_status st = list(d, al, &l, err);
    while (st == LAMINA_OK && survey(d, &l, keep, oldest) > most - bytes && oldest[0])
        st = lmn_os_file_remove(oldest, err);
    lmn_arena_finish(&l.arena);
    return st;
}

/* ---- for people -------------------------------------------------------------------------------
 */

/* The folder, if it is there and fit; *there says whether it is. */
static lamina_status look(lmn_packdir *d, const char *dir, bool *there, lamina_error *err)
{
    LMN_TRY(lmn_packdir_find(d, dir, err));
    *there = lmn_os_path_kind(d->path) != LMN_PATH_NONE;
    return *there ? lmn_os_cache_folder(d->path, 1, false, err) : LAMINA_OK;
}

static void show(const char *path, const char *name, bool verify, lamina_prepack_fn each, void *ctx)
{
    lamina_error err = {0};
    lmn_packfile f;
    lamina_prepack_file info = {.size = sizeof info, .name = name, .model = "", .problem = err.msg};
    if (!lmn_os_cache_facts(path, &info.bytes, &info.used_ns)) return;
    int fd = -1;
    uint64_t bytes;
    lmn_span map = {NULL, 0};
    info.status = lmn_os_cache_open(path, &fd, &bytes, &err);
    if (info.status == LAMINA_OK)
        info.status = bytes ? lmn_os_map(fd, bytes, &map, &err)
                            : lmn_fail(&err, LAMINA_E_CORRUPT, "the file is empty");
    lmn_os_close(fd);
    if (info.status == LAMINA_OK) info.status = lmn_packfile_read(map, &f, &err);
    if (info.status == LAMINA_OK) {
        info.model = f.head->model, info.made_ns = f.head->made_ns;
        info.n_tensors = f.head->n_entries;
        for (uint32_t i = 0; verify && info.status == LAMINA_OK && i < f.head->n_entries; i++)
            if (!lmn_packentry_intact(&f, &f.entries[i]))
                info.status = lmn_fail(&err, LAMINA_E_CORRUPT,
                                       "packed weights %u are not as they were written", i);
    }
    each(ctx, &info);
    lmn_os_unmap(map);
}

lamina_status lamina_prepack_list(const char *dir, bool verify, lamina_prepack_fn each, void *ctx,
                                  lamina_error *err)
{
    lmn_packdir d;
    listing l;
    bool there;
    LMN_TRY(look(&d, dir, &there, err));
    if (!there) return LAMINA_OK;
    const lamina_status st = list(&d, &lmn_libc_allocator, &l, err);
    for (size_t i = 0; st == LAMINA_OK && each && i < l.n; i++) {
        char path[PATH_BYTES];
        (void)lmn_format(path, sizeof path, "%s/%s", d.path, l.names[i]);
        if (ends(l.names[i], ".pack")) show(path, l.names[i], verify, each, ctx);
    }
    lmn_arena_finish(&l.arena);
    return st;
}

lamina_status lamina_prepack_clear(const char *dir, uint64_t *n_files, uint64_t *n_bytes,
                                   lamina_error *err)
{
    lmn_packdir d;
    listing l;
    bool there;
    int lock;
    uint64_t files = 0, sum = 0;
    LMN_TRY(look(&d, dir, &there, err));
    lamina_status st = LAMINA_OK;
    if (there) {
        LMN_TRY(lmn_packdir_lock(&d, &lock, err));
        st = list(&d, &lmn_libc_allocator, &l, err);
        for (size_t i = 0; st == LAMINA_OK && i < l.n; i++) {
            char path[PATH_BYTES];
            uint64_t bytes, used;
            if (!ends(l.names[i], ".pack") && !is_leftover(l.names[i])) continue;
            (void)lmn_format(path, sizeof path, "%s/%s", d.path, l.names[i]);
            if (!lmn_os_cache_facts(path, &bytes, &used)) continue;
            st = lmn_os_file_remove(path, err);
            files += st == LAMINA_OK, sum += st == LAMINA_OK ? bytes : 0;
        }
        lmn_arena_finish(&l.arena);
        lmn_os_close(lock);
    }
    if (n_files) *n_files = files;
    if (n_bytes) *n_bytes = sum;
    return st;
}
