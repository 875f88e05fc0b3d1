/*
 * Where plug-ins are looked for. A file that is there and cannot be used is an error with its
 * reason: the search does not go on behind it.
 */
#include "http/http_plugin.h"

#include "base/os/os_env.h"
#include "base/os/os_lib.h"

#include <string.h>

#define PATH_BYTES 1024
#ifndef LMN_LIBDIR
#define LMN_LIBDIR "lib"
#endif

static lamina_status take(const char *name, uint32_t version, uint32_t bytes, lmn_http_plugin *p,
                          lamina_error *err)
{
    char symbol[64];
    (void)lmn_format(symbol, sizeof symbol, "lamina_%s_plugin", name);
    p->table = lmn_os_lib_symbol(p->lib, symbol);
    if (!p->table) return lmn_fail(err, LAMINA_E_UNSUPPORTED, "has no %s", symbol);
    if (p->table->version == version && p->table->bytes == bytes) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_UNSUPPORTED, "is of version %u where %u is wanted",
                    (unsigned)p->table->version, (unsigned)version);
}

/* *there: a file lies at that path, whatever came of it. */
static lamina_status try_at(const char *path, bool *there, lmn_http_plugin *p, lamina_error *err)
{
    lamina_error why = {0};
    const lamina_status st = lmn_os_lib_open(path, &p->lib, &why);
    *there = st != LAMINA_E_IO;
    if (st != LAMINA_OK && err) *err = why;
    return st;
}

static lamina_status find(const char *name, lmn_http_plugin *p, char path[PATH_BYTES],
                          lamina_error *err)
{
    static const char *const FOLDERS[] = {"", "../lib/", "../" LMN_LIBDIR "/"};
    const char *set = lmn_os_getenv("LAMINA_PLUGIN_PATH");
    char home[PATH_BYTES - 128];
    bool there = false;
    if (set && *set) {
        (void)lmn_format(path, PATH_BYTES, "%s/liblamina-%s.so", set, name);
        return try_at(path, &there, p, err);
    }
    if (!lmn_os_lib_home(home, sizeof home))
        return lmn_fail(err, LAMINA_E_UNSUPPORTED, "LAMINA_PLUGIN_PATH says not where it is");
    lamina_status st = LAMINA_E_UNSUPPORTED;
    for (size_t i = 0; i < LMN_COUNT(FOLDERS) && !there; i++) {
        (void)lmn_format(path, PATH_BYTES, "%s%sliblamina-%s.so", home, FOLDERS[i], name);
        st = try_at(path, &there, p, err);
    }
    return st;
}

lamina_status lmn_http_plugin_open(const char *name, uint32_t version, uint32_t bytes,
                                   lmn_http_plugin *out, lamina_error *err)
{
    char path[PATH_BYTES] = "", shown[300];
    lmn_http_plugin p = {NULL, NULL};
    lamina_status st = find(name, &p, path, err);
    if (st == LAMINA_OK) st = take(name, version, bytes, &p, err);
    if (st == LAMINA_OK) {
        *out = p;
        return st;
    }
    lmn_http_plugin_close(&p);
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    lmn_error_prefix(err, "the plug-in for %s (%s)", name, shown);
    if (err) err->status = LAMINA_E_UNSUPPORTED;
    return LAMINA_E_UNSUPPORTED;
}

void lmn_http_plugin_close(lmn_http_plugin *p)
{
    if (p->lib) lmn_os_lib_close(p->lib);
    *p = (lmn_http_plugin){NULL, NULL};
}
