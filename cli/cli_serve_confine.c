/*
 * What `lamina serve` may touch once it serves: models and what lies beside them, files that are
 * read again, its own for a profile, folders of its sockets. The process that tries models gets
 * less.
 */
#include "cli_serve.h"

#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BESIDE = 4, MAX_OWN = 32, MAX_READ = 3 + 2 * MAX_BESIDE + MAX_OWN };

/* The folder of "unix:/run/x.sock"; false: it is no such address, or has none. */
static bool folder_of_socket(const char *where, char *buf, size_t cap)
{
    const char *slash = where && strncmp(where, "unix:", 5) == 0 ? strrchr(where, '/') : NULL;
    if (!slash) return false;
    const int n = slash == where + 5 ? 1 : (int)(slash - where - 5);
    return snprintf(buf, cap, "%.*s", n, where + 5) < (int)cap;
}

/* Files that are replaced have other inodes, and links lead elsewhere: so the folders that what is
 * read again lies in, as named and as meant. */
static size_t folders_of_files(const cli_serve_job *j, char (*buf)[PATH_MAX], const char **out)
{
    const char *files[MAX_BESIDE] = {j->tls.cert, j->tls.key, j->tls.client_ca, j->opts.tokens};
    size_t n = 0;
    for (size_t i = 0; i < MAX_BESIDE; i++) {
        for (int meant = 0; files[i] && meant < 2; meant++) {
            if (meant ? !realpath(files[i], buf[n])
                      : snprintf(buf[n], PATH_MAX, "%s", files[i]) >= PATH_MAX)
                continue;
            char *slash = strrchr(buf[n], '/');
            if (!slash)
                (void)snprintf(buf[n], PATH_MAX, ".");
            else
                slash[slash == buf[n]] = 0; /* "/" stays */
            out[n] = buf[n];
            n++;
        }
    }
    return n;
}

/* What loading models reads. */
static size_t readable(const cli_serve_job *j, char *cache, size_t cap, const char **out)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME"),
               *tune = getenv("LAMINA_TUNE");
    size_t n = 0;
    out[n++] = j->opts.models;
    cache[0] = 0;
    if (xdg && *xdg)
        (void)snprintf(cache, cap, "%s/lamina", xdg);
    else if (home && *home)
        (void)snprintf(cache, cap, "%s/.cache/lamina", home);
    if (*cache) out[n++] = cache; /* choices of `lamina tune` */
    if (tune && *tune) out[n++] = tune;
    return n;
}

/* --- what a profile needs --- */

typedef struct own_files {
    const char **out;
    size_t n;
    char exe[PATH_MAX];
} own_files;

static int note_file(struct dl_phdr_info *info, size_t size, void *ctx)
{
    own_files *o = ctx;
    (void)size;
    if (o->n < MAX_OWN && info->dlpi_name && info->dlpi_name[0] == '/')
        o->out[o->n++] = info->dlpi_name;
    return 0;
}

/* Files that this process is made of: GET /v2/admin/profile names functions by their symbols. Names
 * of libraries stay where they are. */
static size_t files_of_ours(own_files *o)
{
    void *first[2];
    (void)backtrace(first, 2); /* loads what walks the stack, while it can be read */
    const ssize_t k = readlink("/proc/self/exe", o->exe, sizeof o->exe - 1);
    if (k > 0) {
        o->exe[k] = 0;
        o->out[o->n++] = o->exe;
    }
    (void)dl_iterate_phdr(note_file, o);
    return o->n;
}

/* --- giving up --- */

int cli_serve_nursery(cli_serve_job *j)
{
    char cache[1000];
    const char *read[MAX_READ];
    const cli_sandbox sandbox = {.read = read, .n_read = readable(j, cache, sizeof cache, read)};
    const bool changes = j->opts.control != LAMINA_CONTROL_NONE;
    if (j->probe == CLI_PROBE_NEVER || (j->probe == CLI_PROBE_AUTO && !changes)) return CLI_OK;
    if (!j->nursery.memory)
        j->nursery.memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (!cli_nursery_start(&j->nursery, &j->opts, j->no_sandbox ? NULL : &sandbox))
        return cli_fail("no process to try models in: %s", strerror(errno));
    j->opts.probe = cli_nursery_try;
    j->opts.probe_ctx = &j->nursery;
    return CLI_OK;
}

void cli_serve_confine(cli_serve_job *j)
{
    char cache[1000], folders[CLI_SERVE_LISTEN + 1][1000], beside[2 * MAX_BESIDE][PATH_MAX];
    const char *read[MAX_READ], *sockets[CLI_SERVE_LISTEN + 1];
    own_files own = {0};
    if (j->no_sandbox) return;
    j->sandbox.read = read;
    j->sandbox.n_read = readable(j, cache, sizeof cache, read);
    j->sandbox.n_read += folders_of_files(j, beside, read + j->sandbox.n_read);
    own.out = read + j->sandbox.n_read;
    if (j->opts.admin) j->sandbox.n_read += files_of_ours(&own);
    j->sandbox.sockets = sockets;
    for (uint32_t i = 0; i <= j->opts.n_listen; i++) {
        const char *where = i < j->opts.n_listen ? j->listen[i] : j->opts.admin;
        char *folder = folders[j->sandbox.n_sockets];
        if (folder_of_socket(where, folder, sizeof folders[0]))
            sockets[j->sandbox.n_sockets++] = folder;
    }
    cli_sandbox_enter(&j->sandbox);
}
