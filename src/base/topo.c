/*
 * Container and machine limits. The limit of a cgroup is the smallest one on the way from this
 * process's group to the root, because a parent binds its children without showing in them.
 *
 * Inside a container the path of /proc/self/cgroup may name a directory that is not visible (the
 * mount starts at the container's own group): the part of the path that the mount already stands on
 * is cut off, and what does not exist counts as no limit.
 */
#include "base/topo.h"

#include "base/error.h"
#include "base/os/os_env.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 65536u
#define PATH_BYTES 4096u
/* v1 writes "no limit" as a huge page-rounded number. */
#define NO_LIMIT_BYTES (1ull << 60)

typedef struct scan {
    const char *root;
    lmn_topo *out;
} scan;

static void take_quota(lmn_topo *t, double quota, double period)
{
    if (quota <= 0 || period <= 0) return;
    double cpus = quota / period;
    if (t->quota_cpus == 0 || cpus < t->quota_cpus) t->quota_cpus = cpus;
}

static void take_memory(lmn_topo *t, uint64_t bytes)
{
    if (bytes == 0 || bytes >= NO_LIMIT_BYTES) return;
    if (t->memory_limit_bytes == 0 || bytes < t->memory_limit_bytes) t->memory_limit_bytes = bytes;
}

static bool read_in(const char *dir, const char *name, char *text, size_t cap)
{
    char path[PATH_BYTES + 64];
    (void)lmn_format(path, sizeof path, "%s/%s", dir, name);
    return lmn_os_text_read(path, text, cap) > 0;
}

/* One group of v2: "max 100000" or "150000 100000"; "max" or bytes. */
static void read_v2(lmn_topo *t, const char *dir)
{
    char text[128], *end;
    if (read_in(dir, "cpu.max", text, sizeof text) && strncmp(text, "max", 3) != 0) {
        double quota = strtod(text, &end);
        take_quota(t, quota, strtod(end, NULL));
    }
    if (read_in(dir, "memory.max", text, sizeof text) && strncmp(text, "max", 3) != 0)
        take_memory(t, strtoull(text, NULL, 10));
}

static void read_v1_cpu(lmn_topo *t, const char *dir)
{
    char quota[64], period[64];
    if (read_in(dir, "cpu.cfs_quota_us", quota, sizeof quota) &&
        read_in(dir, "cpu.cfs_period_us", period, sizeof period))
        take_quota(t, strtod(quota, NULL), strtod(period, NULL));
}

static void read_v1_memory(lmn_topo *t, const char *dir)
{
    char text[64];
    if (read_in(dir, "memory.limit_in_bytes", text, sizeof text))
        take_memory(t, strtoull(text, NULL, 10));
}

/* Call `read` for mount/group and for every directory above it down to the mount point. */
static void walk(const scan *s, const char *mount, const char *group,
                 void (*read)(lmn_topo *t, const char *dir))
{
    char dir[PATH_BYTES];
    size_t base = lmn_format(dir, sizeof dir, "%s%s", s->root, mount);
    size_t n = base + lmn_format(dir + base, sizeof dir - base, "%s", group);
    for (;;) {
        while (n > base && dir[n - 1] == '/') dir[--n] = 0;
        read(s->out, dir);
        if (n <= base) return;
        while (n > base && dir[n - 1] != '/') dir[--n] = 0;
    }
}

/* Is `word` one of the comma-separated words of list? */
static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == 0)) return true;
    return false;
}

/* Group of the hierarchy that has `controller` ("" = v2) in the text of /proc/self/cgroup. */
static bool find_group(const char *text, const char *controller, char *group, size_t cap)
{
    for (const char *line = text; *line;) {
        const char *eol = strchr(line, '\n');
        size_t n = eol ? (size_t)(eol - line) : strlen(line);
        char copy[PATH_BYTES];
        (void)lmn_format(copy, sizeof copy, "%.*s", n < sizeof copy ? (int)n : 0, line);
        char *a = strchr(copy, ':'), *b = a ? strchr(a + 1, ':') : NULL;
        if (b) {
            *b = 0;
            bool match = controller[0] ? has_word(a + 1, controller) : a[1] == 0;
            if (match) {
                (void)lmn_format(group, cap, "%s", b + 1);
                return true;
            }
        }
        if (!eol) break;
        line = eol + 1;
    }
    return false;
}

typedef struct mount_line {
    char root[PATH_BYTES], point[PATH_BYTES], type[64], options[512];
} mount_line;

/* "36 35 0:31 ROOT POINT OPTS [optional...] - TYPE SOURCE SUPER": mountinfo, proc(5). */
static bool parse_mount(const char *line, size_t n, mount_line *m)
{
    char copy[2 * PATH_BYTES];
    if (n >= sizeof copy) return false;
    memcpy(copy, line, n);
    copy[n] = 0;
    const char *field[5] = {0};
    char *save = NULL, *word = strtok_r(copy, " ", &save);
    for (int i = 0; i < 5 && word; i++, word = strtok_r(NULL, " ", &save)) field[i] = word;
    while (word && strcmp(word, "-") != 0) word = strtok_r(NULL, " ", &save);
    const char *type = word ? strtok_r(NULL, " ", &save) : NULL;
    const char *source = type ? strtok_r(NULL, " ", &save) : NULL;
    const char *options = source ? strtok_r(NULL, " ", &save) : NULL;
    if (!field[4] || !type) return false;
    (void)lmn_format(m->root, sizeof m->root, "%s", field[3]);
    (void)lmn_format(m->point, sizeof m->point, "%s", field[4]);
    (void)lmn_format(m->type, sizeof m->type, "%s", type);
    (void)lmn_format(m->options, sizeof m->options, "%s", options ? options : "");
    return true;
}

/* Path of `group` below the mount: its root prefix is what the mount point already stands on. */
static const char *below_mount(const char *group, const char *mount_root)
{
    size_t n = strlen(mount_root);
    if (n <= 1) return group;
    if (strncmp(group, mount_root, n) == 0 && (group[n] == '/' || group[n] == 0)) return group + n;
    return ""; /* the group lies outside the mount: only the mount itself is visible */
}

static void take_mount(const scan *s, const mount_line *m, const char *cgroups)
{
    char group[PATH_BYTES];
    if (strcmp(m->type, "cgroup2") == 0) {
        if (find_group(cgroups, "", group, sizeof group))
            walk(s, m->point, below_mount(group, m->root), read_v2);
    } else if (strcmp(m->type, "cgroup") == 0) {
        if (has_word(m->options, "cpu") && find_group(cgroups, "cpu", group, sizeof group))
            walk(s, m->point, below_mount(group, m->root), read_v1_cpu);
        if (has_word(m->options, "memory") && find_group(cgroups, "memory", group, sizeof group))
            walk(s, m->point, below_mount(group, m->root), read_v1_memory);
    }
}

/* CPUs in a list such as "0-3,8,10-11". */
static uint32_t list_count(const char *text)
{
    uint32_t n = 0;
    while (*text >= '0' && *text <= '9') {
        char *end;
        unsigned long lo = strtoul(text, &end, 10), hi = lo;
        if (*end == '-') hi = strtoul(end + 1, &end, 10);
        if (hi < lo || hi > 65535) break;
        n += (uint32_t)(hi - lo + 1);
        if (*end != ',') break;
        text = end + 1;
    }
    return n;
}

static uint32_t list_file(const char *root, const char *name)
{
    char path[PATH_BYTES], text[4096];
    (void)lmn_format(path, sizeof path, "%s%s", root, name);
    return lmn_os_text_read(path, text, sizeof text) > 0 ? list_count(text) : 0;
}

/* CPUs this process may run on. A fake tree answers by Cpus_allowed_list of /proc/self/status. */
static uint32_t affinity(const char *root)
{
    if (!root[0]) return lmn_os_affinity_count();
    char path[PATH_BYTES], text[4096];
    (void)lmn_format(path, sizeof path, "%s/proc/self/status", root);
    if (lmn_os_text_read(path, text, sizeof text) <= 0) return 0;
    const char *key = "Cpus_allowed_list:", *at = strstr(text, key);
    if (!at) return 0;
    at += strlen(key);
    while (*at == ' ' || *at == '\t') at++;
    return list_count(at);
}

static void read_cgroups(lmn_topo *out, const char *root)
{
    char path[PATH_BYTES], cgroups[16384], mounts[TEXT_BYTES];
    const scan s = {root, out};
    (void)lmn_format(path, sizeof path, "%s/proc/self/cgroup", root);
    if (lmn_os_text_read(path, cgroups, sizeof cgroups) <= 0) return;
    (void)lmn_format(path, sizeof path, "%s/proc/self/mountinfo", root);
    if (lmn_os_text_read(path, mounts, sizeof mounts) <= 0) return;
    for (const char *line = mounts; line && *line;) {
        const char *eol = strchr(line, '\n');
        mount_line m;
        if (parse_mount(line, eol ? (size_t)(eol - line) : strlen(line), &m))
            take_mount(&s, &m, cgroups);
        line = eol ? eol + 1 : NULL;
    }
}

void lmn_topo_read(lmn_topo *out, const char *root)
{
    *out = (lmn_topo){0};
    out->n_online = list_file(root, "/sys/devices/system/cpu/online");
    out->n_affinity = affinity(root);
    if (out->n_affinity == 0) out->n_affinity = out->n_online ? out->n_online : 1;
    if (out->n_online == 0) out->n_online = out->n_affinity;
    out->n_numa = list_file(root, "/sys/devices/system/node/online");
    if (out->n_numa == 0) out->n_numa = 1;
    read_cgroups(out, root);
    out->width = out->n_affinity;
    if (out->quota_cpus > 0 && ceil(out->quota_cpus) < out->width)
        out->width = (uint32_t)ceil(out->quota_cpus);
    if (out->width == 0) out->width = 1;
}
