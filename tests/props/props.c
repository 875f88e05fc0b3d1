/*
 * props: property tests of every operator. For each, random models around one node are run in
 * several ways that must agree (props_run.c). A draw that fails is printed with what replays it:
 * props --op=Softmax --seed=N.
 *
 * Options: --op=NAME (all of that name), --draws=N an operator (200; 50 where the build is not
 * optimised), --seed=N of the first draw (alone, unless --draws says more), --seconds=N in all,
 * --verbose (counts for each operator), --save=FILE (the model of the last draw). Exit: 0 all hold,
 * 1 one does not, 2 the command line is wrong.
 */
#include "props.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A draw that computes for so long hangs. */
#define HANG_SECONDS 120
#define MAX_SHOWN 5 /* failures of one operator */
#ifdef __OPTIMIZE__
#define DRAWS 200
#else
#define DRAWS 50 /* sanitizers and coverage: each draw takes ten times as long */
#endif

typedef struct pr_options {
    const char *op, *save;
    uint64_t draws, seed, seconds;
    bool verbose, seeded;
} pr_options;

static char now[256]; /* the draw that runs, for handlers of signals */

static void last_words(void)
{
    (void)!write(2, now, strlen(now));
}

static void on_signal(int sig)
{
    static const char hang[] = "props: hangs: ", crash[] = "props: crashes: ";
    (void)!write(2, sig == SIGALRM ? hang : crash,
                 sig == SIGALRM ? sizeof hang - 1 : sizeof crash - 1);
    last_words();
    _exit(1);
}

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif

#ifdef UNDER_ASAN
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

static void watch_signals(void)
{
    (void)signal(SIGALRM, on_signal);
#ifdef UNDER_ASAN
    __sanitizer_set_death_callback(last_words);
#else
    (void)signal(SIGSEGV, on_signal);
    (void)signal(SIGBUS, on_signal);
    (void)signal(SIGFPE, on_signal);
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGILL, on_signal);
#endif
}

static bool parse(int argc, char **argv, pr_options *o)
{
    *o = (pr_options){.draws = DRAWS, .seed = 1};
    bool draws = false;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strncmp(a, "--op=", 5) == 0)
            o->op = a + 5;
        else if (strncmp(a, "--draws=", 8) == 0)
            o->draws = strtoull(a + 8, NULL, 10), draws = true;
        else if (strncmp(a, "--seed=", 7) == 0)
            o->seed = strtoull(a + 7, NULL, 10), o->seeded = true;
        else if (strncmp(a, "--seconds=", 10) == 0)
            o->seconds = strtoull(a + 10, NULL, 10);
        else if (strncmp(a, "--save=", 7) == 0)
            o->save = a + 7;
        else if (strcmp(a, "--verbose") == 0)
            o->verbose = true;
        else
            return false;
    }
    if (o->seeded && !draws) o->draws = 1;
    return true;
}

static void save(const pr_draw *d, const char *path)
{
    pr_bytes m = {0};
    pr_model(d, &m);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(m.p, 1, m.n, f) != m.n) fprintf(stderr, "props: cannot write %s\n", path);
    if (f) (void)fclose(f);
    pr_free(&m);
}

static void one_draw(pr_bench *b, const lmn_op_def *op, uint64_t seed, const pr_options *o,
                     pr_counts *c)
{
    pr_draw d;
    char why[1400];
    (void)snprintf(now, sizeof now, "props --op=%s --seed=%llu (%s)\n", op->name,
                   (unsigned long long)seed, op->domain);
    (void)alarm(HANG_SECONDS);
    const bool made = pr_draw_make(&d, pr_bench_maker(b), op, seed);
    if (made && o->save) save(&d, o->save);
    if (made && !pr_check(b, &d, c, why, sizeof why)) {
        if (c->failed++ < MAX_SHOWN)
            printf("FAIL props --op=%s --seed=%llu\n  %s\n  %s\n", op->name,
                   (unsigned long long)seed, (const char *)d.text.p, why);
    } else if (o->seeded && o->verbose)
        printf("%s\n", (const char *)d.text.p);
    (void)alarm(0);
    pr_draw_free(&d);
}

static bool one_op(const lmn_op_def *op, const pr_options *o, time_t end, pr_counts *sum)
{
    pr_counts c = {0};
    pr_bench *b = pr_bench_open();
    if (!b) {
        printf("no engine\n");
        return false;
    }
    for (uint64_t i = 0; i < o->draws && (!end || time(NULL) < end); i++)
        one_draw(b, op, o->seed + i, o, &c);
    bool ok = c.failed == 0;
    if (!pr_bench_close(b)) {
        printf("FAIL %s: memory is not given back\n", op->name);
        ok = false;
    }
    if (o->verbose)
        printf("%-14s %-34s %6llu draws %6llu ran %6llu by kernels %6llu refused %4llu spent\n",
               op->domain, op->name, (unsigned long long)c.draws, (unsigned long long)c.ran,
               (unsigned long long)c.fast, (unsigned long long)c.refused,
               (unsigned long long)c.skipped);
    sum->draws += c.draws;
    sum->ran += c.ran;
    sum->fast += c.fast;
    sum->refused += c.refused;
    sum->skipped += c.skipped;
    sum->failed += c.failed;
    return ok;
}

int main(int argc, char **argv)
{
    pr_options o;
    pr_counts sum = {0};
    size_t n_ops = 0, n_bad = 0;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: props [--op=NAME] [--draws=N] [--seed=N] [--seconds=N] [--verbose]\n");
        return 2;
    }
    watch_signals();
    const time_t end = o.seconds ? time(NULL) + (time_t)o.seconds : 0;
    for (const lmn_op_def *const *op = lmn_op_all(NULL); *op; op++) {
        if (o.op && strcmp((*op)->name, o.op) != 0) continue;
        n_ops++;
        n_bad += !one_op(*op, &o, end, &sum);
    }
    if (o.op && !n_ops) {
        fprintf(stderr, "props: no operator %s\n", o.op);
        return 2;
    }
    printf("%zu operators, %llu draws: %llu ran (%llu by kernels), "
           "%llu refused alike, %llu out of memory or time, %llu failed\n",
           n_ops, (unsigned long long)sum.draws, (unsigned long long)sum.ran,
           (unsigned long long)sum.fast, (unsigned long long)sum.refused,
           (unsigned long long)sum.skipped, (unsigned long long)sum.failed);
    return n_bad ? 1 : 0;
}
