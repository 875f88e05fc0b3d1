/*
 * The conformance runner: every ONNX test case below the folders given, each in a process of its
 * own with a time limit; counts pass, mismatch, load error, run error, crash and time-out.
 *
 * Two layouts: a folder with model.onnx and test_data_set_N, and light/NAME.onnx with
 * NAME_output_N.pb beside it. Exit 1 when fewer than --min pass or anything crashes or hangs.
 */
#include "conform.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"

enum { CHILD = 64 }; /* exit status of a child is this + its result; sanitizers use small ones */
static const char *const NAMES[R_N] = {"pass",      "mismatch", "load error",
                                       "run error", "crash",    "time-out"};

static const char HELP[] =
    "usage: conformance DIR... [--filter TEXT] [--verbose] [--list-failures] [--json FILE]\n"
    "                   [--min N] [--threads N] [--limit SECONDS]\n\n"
    "Runs every ONNX test case below the folders and counts what happens.\n\n"
    "  --filter TEXT    only cases whose name contains TEXT\n"
    "  --verbose        a line a case: result, name, milliseconds, reason\n"
    "  --list-failures  a line for each case that does not pass\n"
    "  --json FILE      totals and every case, for programs\n"
    "  --min N          exit 1 when fewer than N pass\n"
    "  --threads N      width of the engine (default 1)\n"
    "  --limit SECONDS  time a case may take (default 60)\n\n"
    "Exit 0: at least --min pass, no crash, no time-out. 1: not so. 2: wrong usage.\n";

typedef struct totals {
    int n[R_N], total, min;
    bool list, verbose;
    const char *filter, *json;
    uint32_t threads, limit_s;
    const char *dirs[64];
    int n_dirs;
    lmn_strbuf text;
    lmn_jsonw w;
} totals;

/* The case in a child; what it says comes back through a pipe. */
static int isolate(const conform_case *c, uint32_t limit_s, char *why, size_t cap)
{
    int fd[2];
    why[0] = 0;
    if (pipe(fd) != 0) return R_CRASH;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char text[1024] = "";
        (void)close(fd[0]);
        (void)alarm(limit_s);
        int r = conform_run(c, text, sizeof text);
        if (write(fd[1], text, strlen(text)) < 0) _exit(R_CRASH);
        (void)close(fd[1]);
        exit(CHILD + r); /* not _exit: the leak check of a sanitizer build runs here */
    }
    (void)close(fd[1]);
    size_t n = 0;
    ssize_t k;
    while (n + 1 < cap && (k = read(fd[0], why + n, cap - 1 - n)) > 0) n += (size_t)k;
    why[n] = 0;
    (void)close(fd[0]);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0) return R_CRASH;
    if (WIFSIGNALED(status)) {
        (void)snprintf(why, cap, "signal %d", WTERMSIG(status));
        return WTERMSIG(status) == SIGALRM ? R_TIMEOUT : R_CRASH;
    }
    int code = WEXITSTATUS(status);
    if (code >= CHILD && code < CHILD + R_CRASH) return code - CHILD;
    (void)snprintf(why, cap, "exit status %d", code);
    return R_CRASH;
}

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void one(totals *t, const char *name, const char *model, const char *data)
{
    char why[1024];
    if (t->filter && !strstr(name, t->filter)) return;
    const conform_case c = {.name = name, .model = model, .data = data, .threads = t->threads};
    const double start = now_ms();
    const int r = isolate(&c, t->limit_s, why, sizeof why);
    const double ms = now_ms() - start;
    t->n[r]++;
    t->total++;
    if (t->verbose)
        printf("%-10s %s (%.0f ms)%s%s\n", NAMES[r], name, ms, *why ? ": " : "", why);
    else if (r != R_PASS && t->list)
        printf("%-10s %s: %s\n", NAMES[r], name, why);
    lmn_jsonw_object(&t->w, NULL);
    lmn_jsonw_str(&t->w, "name", name);
    lmn_jsonw_str(&t->w, "result", NAMES[r]);
    lmn_jsonw_i64(&t->w, "ms", (int64_t)ms);
    if (*why) lmn_jsonw_str(&t->w, "why", why);
    lmn_jsonw_end(&t->w);
}

static void visit(totals *t, const char *dir);

static void visit_entry(totals *t, const char *dir, const char *entry)
{
    char path[4096], name[512], expected[4096 + 32];
    struct stat sb;
    const size_t n = strlen(entry);
    (void)snprintf(path, sizeof path, "%s/%s", dir, entry);
    if (entry[0] == '.' || stat(path, &sb) != 0) return;
    if (S_ISDIR(sb.st_mode)) {
        visit(t, path);
        return;
    }
    if (n < 6 || n >= sizeof name || strcmp(entry + n - 5, ".onnx") != 0) return;
    (void)snprintf(name, sizeof name, "%.*s", (int)(n - 5), entry);
    (void)snprintf(expected, sizeof expected, "%s/%s_output_0.pb", dir, name);
    if (access(expected, R_OK) == 0) one(t, name, path, NULL);
}

static void visit(totals *t, const char *dir)
{
    char model[4096];
    (void)snprintf(model, sizeof model, "%s/model.onnx", dir);
    if (access(model, R_OK) == 0) {
        const char *name = strrchr(dir, '/');
        one(t, name ? name + 1 : dir, model, dir);
        return;
    }
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, alphasort);
    if (n < 0) fprintf(stderr, "conformance: cannot read %s\n", dir);
    for (int i = 0; i < n; i++) {
        visit_entry(t, dir, list[i]->d_name);
        free(list[i]);
    }
    free(list);
}

static bool write_json(totals *t)
{
    lmn_jsonw_end(&t->w);
    lmn_jsonw_i64(&t->w, "total", t->total);
    for (int i = 0; i < R_N; i++) lmn_jsonw_i64(&t->w, NAMES[i], t->n[i]);
    lmn_jsonw_end(&t->w);
    if (!t->json) return true;
    FILE *f = fopen(t->json, "w");
    bool ok = f && t->text.status == LAMINA_OK && fputs(lmn_strbuf_text(&t->text), f) >= 0 &&
              fputc('\n', f) != EOF;
    if (f && fclose(f) != 0) ok = false;
    if (!ok) fprintf(stderr, "conformance: cannot write %s\n", t->json);
    return ok;
}

static bool option(totals *t, const char *name, const char *value, bool *takes_value)
{
    *takes_value = false;
    if (!strcmp(name, "--verbose")) return t->verbose = true;
    if (!strcmp(name, "--list-failures")) return t->list = true;
    *takes_value = true;
    if (!value) return false;
    if (!strcmp(name, "--filter")) return t->filter = value, true;
    if (!strcmp(name, "--json")) return t->json = value, true;
    if (!strcmp(name, "--min")) return t->min = atoi(value), true;
    if (!strcmp(name, "--threads")) return t->threads = (uint32_t)atoi(value), true;
    if (!strcmp(name, "--limit")) return t->limit_s = (uint32_t)atoi(value), true;
    return false;
}

int main(int argc, char **argv)
{
    static totals t = {.threads = 1, .limit_s = 60};
    for (int i = 1; i < argc; i++) {
        bool takes_value = false;
        if (!strcmp(argv[i], "--help")) return printf("%s", HELP) < 0;
        if (argv[i][0] != '-' && t.n_dirs < (int)(sizeof t.dirs / sizeof *t.dirs))
            t.dirs[t.n_dirs++] = argv[i];
        else if (!option(&t, argv[i], argv[i + 1], &takes_value))
            return fprintf(stderr, "conformance: %s: see --help\n", argv[i]), 2;
        i += takes_value;
    }
    if (!t.n_dirs) return fprintf(stderr, "%s", HELP), 2;
    lmn_strbuf_init(&t.text, &lmn_libc_allocator, (size_t)64 << 20);
    lmn_jsonw_init(&t.w, &t.text, 1);
    lmn_jsonw_object(&t.w, NULL);
    lmn_jsonw_array(&t.w, "cases");
    for (int i = 0; i < t.n_dirs; i++) visit(&t, t.dirs[i]);
    printf("%d of %d pass", t.n[R_PASS], t.total);
    for (int i = 1; i < R_N; i++) printf(", %d %s", t.n[i], NAMES[i]);
    printf("\n");
    const bool written = write_json(&t);
    lmn_strbuf_finish(&t.text);
    return !written || t.n[R_PASS] < t.min || t.n[R_CRASH] || t.n[R_TIMEOUT];
}
