/*
 * io_uring by its system calls: one thread fills the submission ring, enters, and reads the
 * completions. The kernel writes the tail of completions and reads the tail of submissions: acquire
 * and release.
 */
#include "sys_uring.h"

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH 4u

static void *map_ring(int fd, size_t bytes, off_t at)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);
    return p == MAP_FAILED ? NULL : p;
}

void sys_uring_open(sys_uring *u)
{
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    memset(u, 0, sizeof *u);
    u->fd = (int)syscall(SYS_io_uring_setup, DEPTH, &p);
    if (u->fd < 0) return;
    u->sq_bytes = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
    u->cq_bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    u->sqes_bytes = p.sq_entries * sizeof(struct io_uring_sqe);
    u->sq = map_ring(u->fd, u->sq_bytes, IORING_OFF_SQ_RING);
    u->cq = map_ring(u->fd, u->cq_bytes, IORING_OFF_CQ_RING);
    u->sqes = map_ring(u->fd, u->sqes_bytes, IORING_OFF_SQES);
    u->sq_tail = p.sq_off.tail;
    u->sq_mask = p.sq_off.ring_mask;
    u->sq_array = p.sq_off.array;
    u->cq_head = p.cq_off.head;
    u->cq_tail = p.cq_off.tail;
    u->cq_mask = p.cq_off.ring_mask;
    u->cqes = p.cq_off.cqes;
    if (!u->sq || !u->cq || !u->sqes) sys_uring_close(u);
}

void sys_uring_close(sys_uring *u)
{
    if (u->sq) (void)munmap(u->sq, u->sq_bytes);
    if (u->cq) (void)munmap(u->cq, u->cq_bytes);
    if (u->sqes) (void)munmap(u->sqes, u->sqes_bytes);
    if (u->fd > 0) (void)close(u->fd);
    memset(u, 0, sizeof *u);
    u->fd = -1;
}

static atomic_uint *word(void *ring, uint32_t at)
{
    return (atomic_uint *)(void *)((uint8_t *)ring + at);
}

/* One operation more; the caller keeps within DEPTH. */
static void submit(sys_uring *u, int op, int fd, void *p, size_t n, size_t at)
{
    const uint32_t tail = atomic_load_explicit(word(u->sq, u->sq_tail), memory_order_relaxed);
    const uint32_t i = tail & atomic_load_explicit(word(u->sq, u->sq_mask), memory_order_relaxed);
    struct io_uring_sqe *e = (struct io_uring_sqe *)u->sqes + i;
    memset(e, 0, sizeof *e);
    e->opcode = (uint8_t)op;
    e->fd = fd;
    e->addr = (uint64_t)(uintptr_t)p;
    e->len = (uint32_t)n;
    e->off = at;
    atomic_store_explicit(word(u->sq, u->sq_array + 4 * i), i, memory_order_relaxed);
    atomic_store_explicit(word(u->sq, u->sq_tail), tail + 1, memory_order_release);
}

/* Enter with n submissions, wait for as many; each must have moved `bytes`. */
static bool complete(sys_uring *u, uint32_t n, size_t bytes)
{
    bool ok = true;
    for (uint32_t done = 0, sent = 0; done < n;) {
        const long got =
            syscall(SYS_io_uring_enter, u->fd, n - sent, 1u, IORING_ENTER_GETEVENTS, NULL, 0);
        if (got < 0) return false;
        sent += (uint32_t)got;
        uint32_t head = atomic_load_explicit(word(u->cq, u->cq_head), memory_order_relaxed);
        const uint32_t tail = atomic_load_explicit(word(u->cq, u->cq_tail), memory_order_acquire);
        const uint32_t mask = atomic_load_explicit(word(u->cq, u->cq_mask), memory_order_relaxed);
        for (; head != tail; head++, done++) {
            const struct io_uring_cqe *c =
                (const struct io_uring_cqe *)(void *)((uint8_t *)u->cq + u->cqes) + (head & mask);
            ok = ok && c->res == (int32_t)bytes;
        }
        atomic_store_explicit(word(u->cq, u->cq_head), head, memory_order_release);
    }
    return ok;
}

bool sys_uring_copy(sys_uring *u, int from, int to, size_t bytes, uint8_t *buffer,
                    size_t buffer_bytes)
{
    const size_t piece = buffer_bytes / DEPTH;
    if (u->fd < 0) return false;
    for (size_t at = 0; at < bytes; at += piece * DEPTH) {
        for (uint32_t i = 0; i < DEPTH; i++)
            submit(u, IORING_OP_READ, from, buffer + i * piece, piece, at + i * piece);
        if (!complete(u, DEPTH, piece)) return false;
        for (uint32_t i = 0; i < DEPTH; i++)
            submit(u, IORING_OP_WRITE, to, buffer + i * piece, piece, at + i * piece);
        if (!complete(u, DEPTH, piece)) return false;
    }
    return true;
}
