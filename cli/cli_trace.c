/*
 * lamina trace: records a program, and looks at the file of a trace. This file holds the verb, its
 * parts `record` and `set`, and what the other parts share; every part goes through lamina/trace.h.
 */
#include "cli_trace.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char cli_help_trace[] =
    "usage: lamina trace record [-o FILE] [--level N] -- PROGRAM [ARGS]...\n"
    "       lamina trace record [-o FILE] [--level N] MODEL.onnx [OPTIONS OF run]\n"
    "       lamina trace cat FILE [--follow] [--json]\n"
    "       lamina trace export FILE [--perfetto OUT | --csv OUT | --openmetrics OUT]\n"
    "       lamina trace top FILE [--interval SECONDS] [--once]\n"
    "       lamina trace set FILE [NAME=VALUE]...\n\n"
    "A trace is a file of shared memory in which a program notes what it does: loads, plans, "
    "runs,\n"
    "nodes, counters. Reading it never slows the program, works while it runs, and after it was\n"
    "killed. Events that a reader was too slow for, or that were overwritten, are counted.\n\n"
    "  record   runs PROGRAM with LAMINA_TRACE=FILE, which the library obeys: the first engine of\n"
    "           the program makes the file. A MODEL is run as `lamina run` would\n"
    "    -o FILE              default lamina.trace; a folder in memory, /dev/shm, spares the disk\n"
    "    --level N            1 runs, 2 and nodes (default), 3 and chunks, locks and the pool\n"
    "  cat      prints events in order of time\n"
    "    --follow             goes on until the program ends\n"
    "    --json               one object a line\n"
    "  export   writes what the file holds in another format; OUT - is stdout\n"
    "    --perfetto OUT       JSON for ui.perfetto.dev and chrome://tracing; the default, on "
    "stdout\n"
    "    --csv OUT            a line an event\n"
    "    --openmetrics OUT    counters, gauges and histograms as a scraper reads them\n"
    "  top      rates, p50 and p99 by kind of work, metrics and what each thread is doing now\n"
    "    --interval SECONDS   between two pictures; default 1\n"
    "    --once               one picture of all that the file holds\n"
    "  set      lists the knobs of a running program, or sets them if it allows that\n\n"
    "`lamina run --trace FILE` writes a trace too. Exit codes: 0, 1 the file is at\n"
    "fault, 2 usage; record gives the program's, 128 and the signal if one killed it.\n\n"
    "examples:\n"
    "  lamina trace record -o /dev/shm/app.trace -- ./app --serve\n"
    "  lamina trace record model.onnx --random 1\n"
    "  lamina trace top /dev/shm/app.trace\n"
    "  lamina trace cat /dev/shm/app.trace --follow --json\n"
    "  lamina trace export app.trace --perfetto app.json\n"
    "  lamina trace set /dev/shm/app.trace trace.level=1\n";

/* ---- shared -----------------------------------------------------------------------------------
 */

int cli_trace_more(lamina_trace_reader *r)
{
    lamina_error err;
    return lamina_trace_poll(r, &err) == LAMINA_OK ? CLI_OK : cli_fail("%s", err.msg);
}

int cli_trace_open(const char *path, lamina_trace_reader **out)
{
    lamina_error err;
    if (lamina_trace_open(path, NULL, out, &err) != LAMINA_OK) return cli_fail_at(path, err.msg);
    const int rc = cli_trace_more(*out);
    if (rc != CLI_OK) {
        lamina_trace_close(*out);
        *out = NULL;
    }
    return rc;
}

lamina_trace_info cli_trace_about(lamina_trace_reader *r)
{
    lamina_trace_info i = {.size = sizeof i};
    if (lamina_trace_get_info(r, &i) != LAMINA_OK) i.program = "?";
    return i;
}

void cli_trace_duration(char buf[24], double ns)
{
    const char *unit = "ns";
    double v = ns;
    if (ns >= 1e9)
        v = ns * 1e-9, unit = "s";
    else if (ns >= 1e6)
        v = ns * 1e-6, unit = "ms";
    else if (ns >= 1e3)
        v = ns * 1e-3, unit = "us";
    (void)snprintf(buf, 24, "%.*f %s", *unit == 'n' ? 0 : 3, v, unit);
}

void cli_trace_text(FILE *f, const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        const bool c1 = *p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0; /* controls in UTF-8 */
        (void)fputc(*p < 32 || *p == 127 || c1 ? '?' : *p, f);
        p += c1;
    }
}

void cli_trace_value(FILE *f, const lamina_trace_arg *a, bool json)
{
    if (a->type == 's' && json)
        cli_json_string(f, a->value.s);
    else if (a->type == 's')
        cli_trace_text(f, a->value.s);
    else if (a->type == 'f' && json)
        cli_json_number(f, "", a->value.f);
    else if (a->type == 'f')
        (void)fprintf(f, "%g", a->value.f);
    else if (a->type == 'i')
        (void)fprintf(f, "%" PRId64, a->value.i);
    else
        (void)fprintf(f, "%" PRIu64, a->value.u);
}

void cli_trace_remarks(lamina_trace_reader *r)
{
    const lamina_trace_info i = cli_trace_about(r);
    if (i.n_lost)
        (void)fprintf(stderr, "lamina: %" PRIu64 " of %" PRIu64 " events were overwritten\n",
                      i.n_lost, i.n_emitted);
    if (i.n_no_lane)
        (void)fprintf(stderr, "lamina: %" PRIu64 " times no lane was free for a thread\n",
                      i.n_no_lane);
    if (i.state != LAMINA_TRACE_KILLED) return;
    (void)fprintf(stderr, "lamina: process %u ended without closing its trace\n", i.pid);
    for (size_t k = 0; k < i.n_lanes; k++) {
        lamina_trace_lane_info l = {.size = sizeof l};
        if (lamina_trace_get_lane(r, k, &l) != LAMINA_OK || !l.n_inside) continue;
        (void)fputs("lamina: thread ", stderr);
        cli_trace_text(stderr, l.thread_name);
        (void)fprintf(stderr, " (%" PRIu64 ") was in", l.tid);
        for (uint32_t d = 0; d < l.n_inside; d++) {
            (void)fputs(d ? " > " : " ", stderr);
            cli_trace_text(stderr, l.inside[d]);
            if (!*l.inside_of[d]) continue;
            (void)fputc(' ', stderr);
            cli_trace_text(stderr, l.inside_of[d]);
        }
        (void)fputc('\n', stderr);
    }
}

/* ---- record -----------------------------------------------------------------------------------
 */

static bool is_model(const char *path)
{
    const size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".onnx") == 0;
}

static void report_recording(const char *path)
{
    lamina_trace_reader *r;
    if (access(path, F_OK) != 0) {
        (void)fprintf(stderr, "lamina: %s was not made: the program made no engine of Lamina\n",
                      path);
        return;
    }
    if (cli_trace_open(path, &r) != CLI_OK) return;
    const lamina_trace_info i = cli_trace_about(r);
    (void)fprintf(stderr, "lamina: %s holds %" PRIu64 " of %" PRIu64 " events of %s (%u)\n", path,
                  i.n_read, i.n_emitted, i.program, i.pid);
    lamina_trace_close(r);
}

/* `file` as argv says its name is. */
static int run_program(const char *path, const char *file, char **argv)
{
    const pid_t pid = fork();
    if (pid < 0) return cli_fail("cannot start a process: %s", strerror(errno));
    if (pid == 0) {
        if (setenv("LAMINA_TRACE", path, 1) == 0) (void)execvp(file, argv);
        (void)cli_fail("cannot run %s: %s", argv[0], strerror(errno));
        _exit(127);
    }
    int status = 0;
    (void)signal(SIGINT, SIG_IGN); /* the program's to handle: the recording is reported after it */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    report_recording(path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A file in the place of the new one must be a trace: a slip of the hand costs no model. */
static int may_replace(const char *path)
{
    lamina_trace_reader *r = NULL;
    lamina_error err;
    if (access(path, F_OK) == 0 && lamina_trace_open(path, NULL, &r, &err) != LAMINA_OK &&
        err.status != LAMINA_E_VERSION)
        return cli_fail("%s is there and is no trace; give the trace another name", path);
    lamina_trace_close(r);
    return CLI_OK;
}

static int record(int argc, char **argv)
{
    const char *path = "lamina.trace";
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        long n;
        const bool level = strcmp(argv[i], "--level") == 0;
        if (!level && strcmp(argv[i], "-o") != 0)
            return cli_usage("trace", "record has no option %s, it has -o FILE and --level N",
                             argv[i]);
        if (++i == argc) return cli_usage("trace", "%s needs a value", argv[i - 1]);
        if (!level)
            path = argv[i];
        else if (!cli_number("trace", "--level", argv[i], 1, 3, &n))
            return CLI_USAGE;
        else if (setenv("LAMINA_TRACE_LEVEL", argv[i], 1) != 0)
            return cli_fail("out of memory");
    }
    if (i >= argc) return cli_usage("trace", "record what? give a program or a model");
    int rc = may_replace(path);
    if (rc != CLI_OK) return rc;
    if (unlink(path) != 0 && errno != ENOENT)
        return cli_fail("cannot replace %s: %s", path, strerror(errno));
    if (!is_model(argv[i])) return run_program(path, argv[i], argv + i);
    char **own = calloc((size_t)(argc - i) + 3, sizeof *own);
    if (!own) return cli_fail("out of memory");
    own[0] = (char[]){"lamina"};
    own[1] = (char[]){"run"};
    for (int k = i; k < argc; k++) own[2 + k - i] = argv[k];
    rc = run_program(path, "/proc/self/exe", own);
    free(own);
    return rc;
}

/* ---- set --------------------------------------------------------------------------------------
 */

static int set_one(const char *path, const char *text)
{
    lamina_error err;
    char name[128];
    const char *eq = strchr(text, '=');
    char *end = NULL;
    const double v = eq ? strtod(eq + 1, &end) : 0;
    if (!eq || eq == text || end == eq + 1 || *end || (size_t)(eq - text) >= sizeof name)
        return cli_usage("trace", "set wants NAME=NUMBER, not \"%s\"", text);
    (void)snprintf(name, sizeof name, "%.*s", (int)(eq - text), text);
    return lamina_trace_knob_set(path, name, v, &err) == LAMINA_OK ? CLI_OK
                                                                   : cli_fail("%s", err.msg);
}

static int set(int argc, char **argv)
{
    if (argc < 2) return cli_usage("trace", "set knobs of which trace?");
    int rc = CLI_OK;
    for (int i = 2; i < argc && rc == CLI_OK; i++) rc = set_one(argv[1], argv[i]);
    if (rc != CLI_OK || argc > 2) return rc;
    lamina_trace_reader *r;
    if ((rc = cli_trace_open(argv[1], &r)) != CLI_OK) return rc;
    const lamina_trace_info about = cli_trace_about(r);
    for (size_t i = 0; i < about.n_knobs; i++) {
        lamina_trace_knob_info k = {.size = sizeof k};
        if (lamina_trace_get_knob(r, i, &k) != LAMINA_OK) continue;
        cli_trace_text(stdout, k.name);
        printf(" = %g  (%g to %g%s)  ", k.value, k.lo, k.hi, k.whole ? ", whole" : "");
        cli_trace_text(stdout, k.help);
        (void)fputc('\n', stdout);
    }
    if (!about.allow_set) printf("the program does not let others set them\n");
    lamina_trace_close(r);
    return CLI_OK;
}

/* ---- the verb ---------------------------------------------------------------------------------
 */

int cli_trace(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } PARTS[] = {{"record", record},     {"cat", cli_trace_cat}, {"export", cli_trace_export},
                 {"top", cli_trace_top}, {"set", set},           {NULL, NULL}};
    if (argc < 2) return cli_usage("trace", "record, cat, export, top or set?");
    for (int i = 0; PARTS[i].name; i++)
        if (strcmp(PARTS[i].name, argv[1]) == 0) return PARTS[i].run(argc - 1, argv + 1);
    const char *near = cli_nearest(PARTS, sizeof *PARTS, argv[1]);
    if (near) return cli_usage("trace", "there is no part %s, did you mean %s?", argv[1], near);
    return cli_usage("trace", "there is no part %s", argv[1]);
}

int cli_trace_to(const char *path, lamina_trace **out)
{
    lamina_error err;
    const lamina_trace_opts o = {.size = sizeof o, .allow_set = true};
    const int rc = may_replace(path);
    if (rc != CLI_OK) return rc;
    return lamina_trace_create(path, &o, out, &err) == LAMINA_OK ? CLI_OK : cli_fail("%s", err.msg);
}
