/*
 * bench_log_runs calls DIR: nanoseconds of CPU a call, of three kinds of records and of what a
 * program would do without us (snprintf and write of a line), turn by turn; one line of JSON.
 * bench_log_runs write DIR N WAIT_US: N records of a text and two fields into a ring of 4 MiB.
 */
#include "lamina/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CALLS 8000
#define ROUNDS 15
#define KINDS 4

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static lamina_logger *open_log(const char *dir, uint64_t bytes, uint32_t wait_us)
{
    lamina_error err;
    lamina_logger *log = NULL;
    const lamina_logger_opts o = {
        .size = sizeof o, .dir = dir, .ring_bytes = bytes, .wait_us = wait_us};
    if (lamina_logger_open(&o, &log, &err) != LAMINA_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return log;
}

static lamina_status typed(lamina_logger *log, int i)
{
    lamina_log_record r;
    lamina_log_begin(&r, log, LAMINA_LOG_INFO, "request served");
    lamina_log_i64(&r, "id", i);
    lamina_log_str(&r, "path", "/v1/run");
    return lamina_log_end(&r);
}

static void one_call(int kind, lamina_logger *log, int fd, int i)
{
    char line[200];
    switch (kind) {
    case 0: (void)typed(log, i); break;
    case 1: (void)lamina_log(log, LAMINA_LOG_INFO, "request %d served: %s", i, "/v1/run"); break;
    case 2: (void)lamina_log(log, LAMINA_LOG_INFO, "request served"); break;
    default: {
        const int n = snprintf(line, sizeof line, "info request %d served: %s\n", i, "/v1/run");
        (void)!write(fd, line, (size_t)n);
    }
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int calls(const char *dir)
{
    static const char *const NAMES[KINDS] = {"typed", "printf", "text", "write"};
    static double ns[KINDS][ROUNDS];
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/lines", dir);
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0) return 1;
    for (int r = 0; r < ROUNDS; r++)
        for (int k = 0; k < KINDS; k++) {
            lamina_logger *log = open_log(dir, 4u << 20, 0);             /* all of a round fits */
            for (int i = 0; i < CALLS / 2; i++) one_call(k, log, fd, i); /* its pages are there */
            const double t0 = cpu_ns();
            for (int i = 0; i < CALLS; i++) one_call(k, log, fd, i);
            ns[k][r] = (cpu_ns() - t0) / CALLS;
            if (lamina_logger_dropped(log)) return 1;
            lamina_logger_close(log);
        }
    (void)close(fd);
    for (int k = 0; k < KINDS; k++) {
        qsort(ns[k], ROUNDS, sizeof ns[k][0], by_value);
        (void)printf("%s\"%s\": %.1f", k ? ", " : "{", NAMES[k], ns[k][ROUNDS / 2]);
    }
    return puts("}") < 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "calls") == 0) return calls(argv[2]);
    if (argc != 5 || strcmp(argv[1], "write") != 0)
        return fprintf(stderr, "usage: calls DIR | write DIR N WAIT_US\n"), 2;
    lamina_logger *log = open_log(argv[2], 4u << 20, (uint32_t)atol(argv[4]));
    const int n = atoi(argv[3]);
    const double t0 = cpu_ns();
    for (int i = 0; i < n; i++) (void)typed(log, i);
    (void)printf("{\"cpu_ns\": %.1f, \"dropped\": %llu}\n", (cpu_ns() - t0) / n,
                 (unsigned long long)lamina_logger_dropped(log));
    lamina_logger_close(log);
    return 0;
}
