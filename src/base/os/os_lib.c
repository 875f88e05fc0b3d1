/*
 * Shared libraries, by dlopen. A path without a slash is a file of the working directory: the
 * loader's search path has no say in what code a plug-in brings.
 */
#include "base/os/os_lib.h"

#include "base/os/os_self.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

lamina_status lmn_os_lib_open(const char *path, void **lib, lamina_error *err)
{
    char full[PATH_MAX];
    const char *prefix = strchr(path, '/') ? "" : "./";
    if (strlen(path) + 3 > sizeof full)
        return lmn_fail(err, LAMINA_E_LIMIT, "the path is longer than %d bytes", PATH_MAX);
    (void)lmn_format(full, sizeof full, "%s%s", prefix, path);
    if (access(full, R_OK) != 0) return lmn_fail_os(err, LAMINA_E_IO, errno, "cannot be read");
    *lib = dlopen(full, RTLD_NOW | RTLD_LOCAL);
    if (*lib) return LAMINA_OK;
    const char *why = dlerror();
    return lmn_fail(err, LAMINA_E_UNSUPPORTED, "is no shared library that loads here (%.200s)",
                    why ? why : "no reason given");
}

const void *lmn_os_lib_symbol(void *lib, const char *name)
{
    return dlsym(lib, name);
}

void lmn_os_lib_close(void *lib)
{
    (void)dlclose(lib);
}

typedef struct home {
    char *buf;
    size_t cap;
    bool found;
} home;

/* The mapping that this function lies in. */
static bool is_ours(void *ctx, const lmn_mapping *m)
{
    home *h = ctx;
    const uintptr_t here = (uintptr_t)&lmn_os_lib_home;
    if (here < m->from || here >= m->to) return true;
    const char *slash = strrchr(m->path, '/');
    const size_t n = slash ? (size_t)(slash - m->path) + 1 : 0;
    h->found = n && n < h->cap;
    if (h->found) (void)lmn_format(h->buf, h->cap, "%.*s", (int)n, m->path);
    return false;
}

bool lmn_os_lib_home(char *buf, size_t cap)
{
    home h = {buf, cap, false};
    return lmn_mappings(is_ours, &h) && h.found;
}
