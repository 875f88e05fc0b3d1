/*
 * The measurements of a machine as a file in the user's cache folder: text, a line a fact, the last
 * one a checksum over all before. Read whole and bounded; a file that is damaged, of another
 * version or of another machine is not believed, and a folder that cannot be written is no failure.
 */
#include "cli_machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "lamina-machine 1\n"
#define MOST 8192

/* FNV-1a. */
static uint64_t sum_of(const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return h;
}

/* The file's path; makes the folder when asked to. False: there is no place for it. */
static bool path_of(uint64_t id, int threads, bool make, char *path, size_t cap)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (base && base[0] == '/')
        n = snprintf(path, cap, "%s", base);
    else if (home && home[0] == '/')
        n = snprintf(path, cap, "%s/.cache", home);
    else
        return false;
    if (n < 0 || (size_t)n + 80 > cap) return false;
    if (make) (void)mkdir(path, 0700);
    n += snprintf(path + n, cap - (size_t)n, "/lamina");
    if (make) (void)mkdir(path, 0700);
    (void)snprintf(path + n, cap - (size_t)n, "/machine-%016" PRIx64 "-%d", id, threads);
    return true;
}

static bool good(double v)
{
    return v > 0 && v < 1e18;
}

static bool read_line(const char *line, cli_machine *m)
{
    cli_peak p = {0};
    cli_level l = {.name = ""};
    char type[8];
    if (sscanf(line, "peak %7s %15s %lf", type, p.isa, &p.ops) == 3) {
        while (p.type < CLI_TYPES && strcmp(type, cli_type_name(p.type))) p.type++;
        if (p.type == CLI_TYPES || !good(p.ops)) return false;
        if (m->n_peaks == (int)(sizeof m->peaks / sizeof *m->peaks)) return false;
        m->peaks[m->n_peaks++] = p;
        return true;
    }
    if (sscanf(line, "level %7s %lf %lf %lf %lf %lf", l.name, &l.bytes, &l.read, &l.write, &l.copy,
               &l.ns) == 6) {
        if (!good(l.bytes) || !good(l.read) || !good(l.write) || !good(l.copy) || !good(l.ns))
            return false;
        if (m->n_levels == (int)(sizeof m->levels / sizeof *m->levels)) return false;
        m->levels[m->n_levels++] = l;
        return true;
    }
    return false;
}

static const char *parse(char *text, size_t n, uint64_t id, int threads, cli_machine *m)
{
    static const char DAMAGED[] = "the cached measurements are damaged";
    uint64_t sum, of;
    int used = 0;
    if (strncmp(text, HEAD, strlen(HEAD)) != 0)
        return n > 15 && strncmp(text, HEAD, 15) == 0 ? "the cached measurements are of another "
                                                        "version"
                                                      : DAMAGED;
    char *last = strstr(text, "\nsum ");
    if (!last || sscanf(last, "\nsum %" SCNx64 "%n", &sum, &used) != 1 ||
        strcmp(last + used, "\n") != 0 || sum != sum_of(text, (size_t)(last + 1 - text)))
        return DAMAGED;
    last[1] = 0;
    char *at = text + strlen(HEAD);
    if (sscanf(at, "id %" SCNx64 " threads %d when %" SCNd64 "%n", &of, &m->threads, &m->when,
               &used) != 3 ||
        at[used] != '\n')
        return DAMAGED;
    if (of != id || m->threads != threads) return "the cached measurements are of another machine";
    m->id = id;
    for (at += used + 1; *at;) {
        char *end = strchr(at, '\n');
        if (!end) return DAMAGED;
        *end = 0;
        if (!read_line(at, m)) return DAMAGED;
        at = end + 1;
    }
    return m->n_peaks && m->n_levels ? NULL : DAMAGED;
}

bool cli_machine_read(uint64_t id, int threads, cli_machine *out, const char **note)
{
    char path[1024], text[MOST + 1];
    *out = (cli_machine){0};
    *note = NULL;
    FILE *f = path_of(id, threads, false, path, sizeof path) ? fopen(path, "r") : NULL;
    if (!f) return false;
    const size_t n = fread(text, 1, MOST, f);
    const bool bad = ferror(f) || memchr(text, 0, n);
    (void)fclose(f);
    text[n] = 0;
    *note = bad ? "the cached measurements cannot be read" : parse(text, n, id, threads, out);
    return !*note;
}

const char *cli_machine_write(const cli_machine *m)
{
    char path[1024], other[1056], text[MOST];
    if (!path_of(m->id, m->threads, true, path, sizeof path))
        return "not kept: neither XDG_CACHE_HOME nor HOME says where";
    size_t n =
        (size_t)snprintf(text, sizeof text, HEAD "id %016" PRIx64 " threads %d when %" PRId64 "\n",
                         m->id, m->threads, m->when);
    for (int i = 0; i < m->n_peaks; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "peak %s %s %.6g\n",
                              cli_type_name(m->peaks[i].type), m->peaks[i].isa, m->peaks[i].ops);
    for (int i = 0; i < m->n_levels; i++) {
        const cli_level *l = &m->levels[i];
        n += (size_t)snprintf(text + n, sizeof text - n, "level %s %.0f %.6g %.6g %.6g %.6g\n",
                              l->name, l->bytes, l->read, l->write, l->copy, l->ns);
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "sum %016" PRIx64 "\n", sum_of(text, n));
    (void)snprintf(other, sizeof other, "%s.%ld", path, (long)getpid());
    FILE *f = fopen(other, "w");
    if (!f) return "not kept: the cache folder cannot be written";
    const bool wrote = fwrite(text, 1, n, f) == n;
    if (fclose(f) != 0 || !wrote || rename(other, path) != 0) {
        (void)unlink(other);
        return "not kept: the cache folder cannot be written";
    }
    return NULL;
}
