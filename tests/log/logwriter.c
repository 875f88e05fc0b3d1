/*
 * A process that logs numbered records as fast as it can, and may be killed at any moment: what it
 * knows of its calls stands in a small mapped file. Usage:
 * logwriter DIR COUNTS ID RECORDS RING_BYTES WAIT_US [PAUSE_US]
 * COUNTS: "calls that returned, of these E_AGAIN, in the middle of call number + 1" as three
 * 64-bit words.
 */
#include "lamina/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct counts {
    volatile uint64_t returned, dropped, began;
} counts;

static counts *map_counts(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(counts)) != 0) return NULL;
    void *p = mmap(NULL, sizeof(counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return p == MAP_FAILED ? NULL : p;
}

/* Text whose length and letters follow from the number, so that a torn one is seen. */
static void pad(char out[128], uint64_t i)
{
    const size_t n = i * 7 % 120;
    for (size_t k = 0; k < n; k++) out[k] = (char)('a' + (i + k) % 26);
    out[n] = 0;
}

int main(int argc, char **argv)
{
    lamina_error err;
    lamina_logger *log;
    char text[128];
    if (argc < 7) return 2;
    counts *c = map_counts(argv[2]);
    const uint64_t id = strtoull(argv[3], NULL, 10), n = strtoull(argv[4], NULL, 10);
    const lamina_logger_opts o = {.size = sizeof o,
                                  .dir = argv[1],
                                  .ring_bytes = strtoull(argv[5], NULL, 10),
                                  .wait_us = (uint32_t)strtoul(argv[6], NULL, 10)};
    const useconds_t pause = argc > 7 ? (useconds_t)atoi(argv[7]) : 0;
    if (!c) return puts("no counts"), 1;
    if (lamina_logger_open(&o, &log, &err) != LAMINA_OK) return puts(err.msg), 1;
    for (uint64_t i = 0; i < n; i++) {
        lamina_log_record r;
        pad(text, i);
        c->began = i + 1;
        lamina_log_begin(&r, log, LAMINA_LOG_INFO, "n");
        lamina_log_u64(&r, "id", id);
        lamina_log_u64(&r, "i", i);
        lamina_log_str(&r, "pad", text);
        const lamina_status st = lamina_log_end(&r);
        if (st == LAMINA_E_AGAIN) c->dropped++;
        c->returned = i + 1;
        if (pause) (void)usleep(pause);
    }
    lamina_logger_close(log);
    return 0;
}
