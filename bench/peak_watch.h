/*
 * Peak memory of the process that includes this, in kB: resident (VmHWM) and of it private, what is
 * no file. The system keeps no peak of that part: a thread looks every 50 microseconds, and
 * resident less the file part at the end is a lower bound, should a peak fall between two looks.
 */
#ifndef LAMINA_BENCH_PEAK_WATCH_H
#define LAMINA_BENCH_PEAK_WATCH_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_long peak_pages; /* private, seen */

static void *peak_look(void *unused)
{
    const struct timespec pause = {0, 50000};
    const int fd = open("/proc/self/statm", O_RDONLY);
    (void)unused;
    for (;;) {
        char text[128];
        long whole, resident, shared;
        const ssize_t n = pread(fd, text, sizeof text - 1, 0);
        if (n <= 0) return NULL;
        text[n] = 0;
        if (sscanf(text, "%ld %ld %ld", &whole, &resident, &shared) != 3) return NULL;
        if (resident - shared > atomic_load(&peak_pages))
            atomic_store(&peak_pages, resident - shared);
        (void)nanosleep(&pause, NULL);
    }
}

static void peak_begin(void)
{
    pthread_t t;
    if (pthread_create(&t, NULL, peak_look, NULL) || pthread_detach(t)) exit(1);
}

static long peak_status(const char *key)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) kb = atol(line + strlen(key));
    if (f) fclose(f);
    return kb;
}

/* Prints "resident private". */
static void peak_report(void)
{
    const long resident = peak_status("VmHWM:");
    const long least = resident - peak_status("RssFile:") - peak_status("RssShmem:");
    const long seen = atomic_load(&peak_pages) * (sysconf(_SC_PAGESIZE) / 1024);
    printf("%ld %ld\n", resident, seen > least ? seen : least);
}

#endif
