/*
 * lamina logd: collects what processes log into rings of a folder, and writes one file.
 */
#include "cli.h"

#include "lamina/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char cli_help_logd[] =
    "usage: lamina logd DIR [--out FILE] [--format json|logfmt] [--rotate-size SIZE]\n"
    "                   [--rotate-age TIME] [--keep N] [--fsync never|each|N|TIME]\n"
    "                   [--window TIME] [--once] [--json] [--quiet]\n\n"
    "Collects the records that processes write with lamina_log (lamina/log.h) into rings in DIR,\n"
    "and writes them to one file in order of time. Either side may be killed at any moment: a\n"
    "record whose call has returned is written once, whole.\n\n"
    "  --out FILE         the file; default DIR/lamina.log\n"
    "  --format F         json (default): one object a line; logfmt: key=value\n"
    "  --rotate-size SIZE begin a new file before this one grows larger: 64M, 1G; FILE becomes\n"
    "                     FILE.1, that FILE.2 and so on\n"
    "  --rotate-age TIME  or older: 90s, 30m, 24h, 7d\n"
    "  --keep N           rotated files kept; default 8\n"
    "  --fsync WHEN       never (default): the system writes to the disk when it likes; each: a\n"
    "                     record leaves its ring after it is on the disk; N: after N records;\n"
    "                     TIME: so often, 200ms, 5s\n"
    "  --window TIME      how long a record waits for older ones of other processes; default 10ms\n"
    "  --once             write what is there, and leave\n"
    "  --json             at the end, print what was done as JSON\n"
    "  --quiet            say nothing but errors\n\n"
    "Runs until SIGTERM or SIGINT, which write what is there first. SIGHUP opens the file anew\n"
    "after somebody moved it; SIGUSR1 prints what was done so far. While the file cannot be\n"
    "written (the disk is full), records stay in their rings; those that then find no room are\n"
    "counted, and the file says so. Exit codes: 0, 1 the folder or the file is at fault, 2 "
    "usage.\n\n"
    "examples:\n"
    "  lamina logd /dev/shm/app --out /var/log/app.log --rotate-size 64M --keep 10\n"
    "  lamina logd /dev/shm/app --out app.log --format logfmt --fsync 1s\n"
    "  lamina logd /dev/shm/app --once --json\n";

typedef struct logd_job {
    lamina_logd_opts opts;
    bool once, json, quiet;
} logd_job;

static volatile sig_atomic_t stop_asked, reopen_asked, report_asked;

static void on_signal(int signo)
{
    if (signo == SIGHUP)
        reopen_asked = 1;
    else if (signo == SIGUSR1)
        report_asked = 1;
    else
        stop_asked = 1;
}

static void take_signals(void)
{
    static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    struct sigaction a = {0};
    a.sa_handler = on_signal; /* no SA_RESTART: a wait ends */
    (void)sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++)
        (void)sigaction(SIGNALS[i], &a, NULL);
}

/* A whole number and one of the units, whose factors stand in the same order. */
static bool with_unit(const char *text, const char *const *units, const uint64_t *factors,
                      uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || text[0] == '-') return false;
    for (size_t i = 0; units[i]; i++)
        if (strcmp(end, units[i]) == 0)
            return !__builtin_mul_overflow((uint64_t)v, factors[i], out) && *out < 1ull << 60;
    return false;
}

static bool read_size(const char *option, const char *text, uint64_t *out)
{
    static const char *const UNITS[] = {"", "K", "M", "G", "T", NULL};
    static const uint64_t BYTES[] = {1, 1ull << 10, 1ull << 20, 1ull << 30, 1ull << 40};
    if (with_unit(text, UNITS, BYTES, out) && *out) return true;
    (void)cli_usage("logd", "%s wants a size such as 64M, not \"%s\"", option, text);
    return false;
}

/* In milliseconds; a bare number is not a time. */
static bool is_time(const char *text, uint64_t *out)
{
    static const char *const UNITS[] = {"ms", "s", "m", "h", "d", NULL};
    static const uint64_t MS[] = {1, 1000, 60000, 3600000, 86400000};
    return with_unit(text, UNITS, MS, out) && *out;
}

static bool read_time(const char *option, const char *text, uint64_t least, uint64_t most,
                      uint64_t *out)
{
    if (is_time(text, out) && *out >= least && *out <= most) return true;
    (void)cli_usage("logd", "%s wants a time such as 500ms, 30s, 24h or 7d, not \"%s\"", option,
                    text);
    return false;
}

static bool read_fsync(logd_job *j, const char *text)
{
    uint64_t v = 0;
    char *end = NULL;
    j->opts.sync_records = j->opts.sync_ms = 0;
    if (strcmp(text, "never") == 0) return true;
    if (strcmp(text, "each") == 0) return j->opts.sync_records = 1, true;
    if (is_time(text, &v) && v <= 86400000) return j->opts.sync_ms = (uint32_t)v, true;
    errno = 0;
    v = strtoull(text, &end, 10);
    if (!errno && end != text && !*end && text[0] != '-' && v)
        return j->opts.sync_records = v, true;
    (void)cli_usage("logd",
                    "--fsync wants never, each, a number of records or a time such as 1s, "
                    "not \"%s\"",
                    text);
    return false;
}

static bool read_option(logd_job *j, int option, const char *v)
{
    uint64_t ms = 0;
    long n = 0;
    switch (option) {
    case 1: return j->opts.out = v, true;
    case 2:
        j->opts.format = strcmp(v, "logfmt") == 0 ? LAMINA_LOG_LOGFMT : LAMINA_LOG_JSON;
        if (j->opts.format || strcmp(v, "json") == 0) return true;
        (void)cli_usage("logd", "--format is json or logfmt, not \"%s\"", v);
        return false;
    case 3: return read_size("--rotate-size", v, &j->opts.rotate_bytes);
    case 4:
        if (!read_time("--rotate-age", v, 1000, UINT64_MAX, &ms)) return false;
        return j->opts.rotate_s = ms / 1000, true;
    case 5:
        if (!cli_number("logd", "--keep", v, 1, 1000, &n)) return false;
        return j->opts.keep = (uint32_t)n, true;
    case 6: return read_fsync(j, v);
    case 7:
        if (!read_time("--window", v, 1, 60000, &ms)) return false;
        return j->opts.window_ms = (uint32_t)ms, true;
    case 8: return j->once = true;
    case 9: return j->json = true;
    default: return j->quiet = true;
    }
}

static int read_args(logd_job *j, int argc, char **argv)
{
    static const cli_opt SPEC[] = {
        {"--out", true},   {"--format", true}, {"--rotate-size", true}, {"--rotate-age", true},
        {"--keep", true},  {"--fsync", true},  {"--window", true},      {"--once", false},
        {"--json", false}, {"--quiet", false}, {NULL, false},
    };
    int i = 1;
    const char *value;
    for (int o; (o = cli_next("logd", SPEC, argc, argv, &i, &value)) != -1;) {
        if (o == -2) return CLI_USAGE;
        if (o > 0) {
            if (!read_option(j, o, value)) return CLI_USAGE;
            continue;
        }
        if (j->opts.dir) return cli_usage("logd", "one folder, not also \"%s\"", value);
        j->opts.dir = value;
    }
    return j->opts.dir ? CLI_OK : cli_usage("logd", "which folder?");
}

static void report(const logd_job *j, const lamina_logd *d)
{
    lamina_logd_stats s = {.size = sizeof s};
    lamina_logd_stats_get(d, &s);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"records", s.records},       {"bytes", s.bytes},         {"dropped", s.dropped},
                {"unfinished", s.unfinished}, {"malformed", s.malformed}, {"rings", s.rings},
                {"stalled", s.stalled},       {"removed", s.removed},     {"corrupt", s.corrupt},
                {"rotations", s.rotations},   {"syncs", s.syncs}};
    FILE *f = j->json ? stdout : stderr;
    (void)fputs(j->json ? "{" : "lamina logd:", f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (j->json)
            (void)fprintf(f, "%s\"%s\":%llu", i ? "," : "", rows[i].name,
                          (unsigned long long)rows[i].value);
        else if (rows[i].value || i < 3)
            (void)fprintf(f, "%s %llu %s", i ? "," : "", (unsigned long long)rows[i].value,
                          rows[i].name);
    (void)fputs(j->json ? "}\n" : "\n", f);
    (void)fflush(f);
}

/* Says what is wrong when it begins to be and when it is over, not at every turn. */
static void tell_trouble(const logd_job *j, lamina_status st, const lamina_error *err,
                         char last[LAMINA_ERROR_MSG_BYTES])
{
    if (st == LAMINA_OK && last[0]) {
        if (!j->quiet) (void)fputs("lamina logd: all is well again\n", stderr);
        last[0] = 0;
    } else if (st != LAMINA_OK && strcmp(last, err->msg) != 0) {
        (void)cli_fail("%s; what is in the rings stays there, and is tried again", err->msg);
        (void)snprintf(last, LAMINA_ERROR_MSG_BYTES, "%s", err->msg);
    }
}

static int run_until_told(const logd_job *j, lamina_logd *d)
{
    char last[LAMINA_ERROR_MSG_BYTES] = "";
    lamina_error err = {0};
    while (!stop_asked) {
        lamina_status st = LAMINA_OK;
        if (reopen_asked) {
            reopen_asked = 0;
            st = lamina_logd_reopen(d, &err);
        }
        if (st == LAMINA_OK) st = lamina_logd_step(d, 20, &err);
        tell_trouble(j, st, &err, last);
        if (report_asked) {
            report_asked = 0;
            report(j, d);
        }
    }
    return CLI_OK;
}

int cli_logd(int argc, char **argv)
{
    logd_job j = {.opts = {.size = sizeof j.opts, .mend_bus = true}};
    lamina_logd *d = NULL;
    lamina_error err = {0};
    int rc = read_args(&j, argc, argv);
    if (rc != CLI_OK) return rc;
    if (!j.once && mkdir(j.opts.dir, 0777) != 0 && errno != EEXIST)
        return cli_fail("cannot make the folder \"%s\": %s", j.opts.dir, strerror(errno));
    take_signals();
    if (lamina_logd_open(&j.opts, &d, &err) != LAMINA_OK) return cli_fail("%s", err.msg);
    if (!j.once) rc = run_until_told(&j, d);
    if (lamina_logd_drain(d, &err) != LAMINA_OK) rc = cli_fail("%s", err.msg);
    if (!j.quiet || j.json) report(&j, d);
    lamina_logd_close(d);
    return rc;
}
