/*
 * The file of choices (tune_file.h). Of a file longer than the limit the end counts, where the
 * newest lines are.
 */
#include "tune/tune_file.h"

#include "base/error.h"
#include "base/os/os_append.h"
#include "base/os/os_dir.h"
#include "base/os/os_env.h"
#include "base/os/os_file.h"
#include "base/strbuf.h"

#include <string.h>

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0xff51afd7ed558ccdu;
    return h ^ h >> 29;
}

uint64_t lmn_tune_machine(const lamina_engine *e)
{
    const lmn_cpu *c = &e->cpu;
    uint64_t h = mix(0x9e3779b97f4a7c15u, c->isa_hw);
    h = mix(mix(mix(h, c->l1d_bytes), c->l2_bytes), c->l3_bytes);
    for (const char *s = c->vendor_note; *s; s++) h = mix(h, (uint64_t)(unsigned char)*s);
    return mix(h, e->topo.n_online);
}

lmn_kset lmn_tune_kset(const lamina_engine *e)
{
    lmn_kset set;
    (void)lmn_kset_choose(&e->cpu, lmn_os_getenv("LAMINA_KERNEL"), &set);
    return set;
}

/* The folder of the cache, without the last part of the path. */
static bool cache_path(const lamina_engine *e, char *buf, size_t cap)
{
    const char *base = lmn_os_getenv("XDG_CACHE_HOME"), *home = lmn_os_getenv("HOME");
    const bool own = base && base[0] == '/';
    if (!own && !(home && home[0] == '/')) return false;
    const size_t n = strlen(own ? base : home);
    if (n + 64 > cap) return false;
    (void)lmn_format(buf, cap, "%s%s/lamina/tune/%016llx", own ? base : home, own ? "" : "/.cache",
                     (unsigned long long)lmn_tune_machine(e));
    return true;
}

bool lmn_tune_path(const lamina_engine *e, const char *given, char *buf, size_t cap)
{
    if (!given) given = lmn_os_getenv("LAMINA_TUNE");
    if (!given || !given[0]) return cache_path(e, buf, cap);
    if (strcmp(given, "off") == 0 || strlen(given) >= cap) return false;
    (void)lmn_format(buf, cap, "%s", given);
    return true;
}

static lmn_tune_origin origin(const lamina_engine *e, const lmn_kset *set)
{
    return (lmn_tune_origin){lmn_tune_machine(e), LAMINA_VERSION_STRING, set};
}

lamina_status lmn_tune_load(const lamina_engine *e, const char *path, lmn_tune_table *out)
{
    int fd;
    uint64_t bytes;
    lmn_tune_table_init(out, &e->alloc);
    if (lmn_os_path_kind(path) != LMN_PATH_FILE ||
        lmn_os_open(path, &fd, &bytes, NULL) != LAMINA_OK)
        return LAMINA_OK;
    const size_t n = (size_t)(bytes < LMN_TUNE_FILE_MAX ? bytes : LMN_TUNE_FILE_MAX);
    uint8_t *text = lmn_alloc(&e->alloc, n, 16, "tune");
    lamina_status st = text || n == 0 ? LAMINA_OK : LAMINA_E_NOMEM;
    if (text && lmn_os_read_at(fd, bytes - n, text, n, NULL) == LAMINA_OK) {
        const lmn_kset set = lmn_tune_kset(e);
        const lmn_tune_origin from = origin(e, &set);
        st = lmn_tune_table_read(out, (lmn_span){text, n}, &from);
    }
    lmn_os_close(fd);
    lmn_free(&e->alloc, text, n, 16, "tune");
    if (st != LAMINA_OK) lmn_tune_table_finish(out);
    return st;
}

/* Every folder of the path that is not there. */
static lamina_status make_folders(const char *path, lamina_error *err)
{
    char part[LMN_TUNE_PATH_MAX];
    for (size_t i = 1; path[i] && i < sizeof part; i++) {
        if (path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (lmn_os_path_kind(part) == LMN_PATH_NONE) LMN_TRY(lmn_os_dir_make(part, err));
    }
    return LAMINA_OK;
}

static bool torn(const char *path, uint64_t bytes)
{
    int fd;
    uint64_t now;
    uint8_t last = '\n';
    if (bytes == 0 || lmn_os_open(path, &fd, &now, NULL) != LAMINA_OK) return false;
    (void)lmn_os_read_at(fd, bytes - 1, &last, 1, NULL);
    lmn_os_close(fd);
    return last != '\n';
}

lamina_status lmn_tune_append(const lamina_engine *e, const char *path, const lmn_tune_record *r,
                              size_t n, lamina_error *err)
{
    lmn_append f;
    uint64_t bytes;
    const lmn_kset set = lmn_tune_kset(e);
    const lmn_tune_origin from = origin(e, &set);
    if (n == 0) return LAMINA_OK;
    LMN_TRY(make_folders(path, err));
    LMN_TRY(lmn_append_open(path, &f, &bytes, err));
    lmn_strbuf text;
    lmn_strbuf_init(&text, &e->alloc, LMN_TUNE_FILE_MAX);
    if (torn(path, bytes)) lmn_strbuf_char(&text, '\n');
    for (size_t i = 0; i < n; i++) {
        char line[LMN_TUNE_LINE_MAX];
        lmn_strbuf_add(&text, line, lmn_tune_line(&r[i], &from, line));
    }
    lamina_status st = text.status;
    if (st != LAMINA_OK)
        st = lmn_fail(err, st, "%s: no room for %zu tuned choices", path, n);
    else
        st = lmn_append_write(&f, bytes, text.p, text.n, err);
    if (st == LAMINA_OK) st = lmn_append_sync(&f, err);
    lmn_append_close(&f);
    lmn_strbuf_finish(&text);
    return st;
}
