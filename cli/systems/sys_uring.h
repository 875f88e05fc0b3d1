/*
 * As much of io_uring as copying a file wants, by its system calls alone. A kernel or a container
 * that has none gives a ring that refuses.
 */
#ifndef LAMINA_CLI_SYS_URING_H
#define LAMINA_CLI_SYS_URING_H

#include "sys_bench.h"

typedef struct sys_uring {
    int fd; /* -1: none */
    void *sq, *cq, *sqes;
    size_t sq_bytes, cq_bytes, sqes_bytes;
    uint32_t sq_tail, sq_array, sq_mask, cq_head, cq_tail, cq_mask, cqes; /* offsets */
} sys_uring;

void sys_uring_open(sys_uring *u);
void sys_uring_close(sys_uring *u);
/* Reads and writes pieces through `buffer`, four at once. */
bool sys_uring_copy(sys_uring *u, int from, int to, size_t bytes, uint8_t *buffer,
                    size_t buffer_bytes);

#endif
