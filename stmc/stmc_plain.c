/*
 * Ordinary accesses and memory. A byte keeps its last write and the last read of each thread as
 * clock values: an access that does not lie after them by happens-before is a race, whichever ran
 * first. A freed block stays until the scene is over, so that its address names it alone.
 */
#include <stdlib.h>
#include <string.h>

#include "stmc_int.h"

#define C (&stmc_now)
#define N_SHADOWS 16384u /* a power of two */

static shadow *shadow_of(uintptr_t byte)
{
    if (!C->shadows) C->shadows = calloc(N_SHADOWS, sizeof *C->shadows);
    uint32_t at = (uint32_t)(byte * 0x9E3779B97F4A7C15u >> 40) & (N_SHADOWS - 1);
    for (uint32_t i = 0; C->shadows && i < N_SHADOWS; i++, at = (at + 1) & (N_SHADOWS - 1)) {
        shadow *s = &C->shadows[at];
        if (s->run == C->run && s->byte != byte) continue;
        if (s->run != C->run) *s = (shadow){.byte = byte, .run = C->run};
        return s;
    }
    stmc_fail("more than %u bytes are watched: make the scene smaller", N_SHADOWS);
    return NULL;
}

static block *block_of(const char *p, size_t n)
{
    for (size_t i = C->n_blocks; i-- > 0;)
        if (p < C->blocks[i].p + C->blocks[i].n && p + n > C->blocks[i].p) return &C->blocks[i];
    return NULL;
}

bool stmc_alive(const void *p, size_t n, const char *what)
{
    const block *b = block_of(p, n);
    if (!b || !b->freed) return true;
    stmc_fail("use after free: thread %d uses %s, which thread %d gave back", C->self, what,
              b->thread);
    return false;
}

bool stmc_begun(const void *p, size_t n)
{
    if (!stmc_alive(p, n, "an atomic")) return false;
    const shadow *s = shadow_of((uintptr_t)p);
    if (!s || s->written <= C->threads[C->self].know.vc.at[s->writer]) return s != NULL;
    stmc_fail("race: thread %d uses an atomic whose first value, by thread %d, nothing orders "
              "before it",
              C->self, s->writer);
    return false;
}

static void watch(const void *p, size_t n, bool write, const char *text, int line)
{
    const int self = C->self;
    const clock *now = &C->threads[self].know.vc;
    if (!stmc_alive(p, n, text)) return;
    for (size_t i = 0; i < n; i++) {
        shadow *s = shadow_of((uintptr_t)p + i);
        if (!s) return;
        if (s->written > now->at[s->writer]) {
            stmc_fail("race: thread %d %s %s (line %d), which thread %d wrote, and nothing orders "
                      "the two",
                      self, write ? "writes" : "reads", text, line, s->writer);
            return;
        }
        for (int t = 0; write && t < N_THREADS; t++) {
            if (s->read[t] <= now->at[t]) continue;
            stmc_fail("race: thread %d writes %s (line %d), which thread %d reads, and nothing "
                      "orders the two",
                      self, text, line, t);
            return;
        }
        if (write)
            s->writer = self, s->written = now->at[self];
        else
            s->read[self] = now->at[self];
    }
}

void stmc_plain(const void *p, size_t n, int write, const char *text, int line)
{
    watch(p, n, write != 0, text, line);
    stmc_leave();
}

void *stmc_malloc(size_t n)
{
    if (C->n_blocks == C->room_blocks) {
        const size_t room = C->room_blocks ? 2 * C->room_blocks : 64;
        block *grown = realloc(C->blocks, room * sizeof *grown);
        if (!grown) {
            stmc_fail("out of memory");
            return NULL;
        }
        C->blocks = grown, C->room_blocks = room;
    }
    void *p = NULL; /* aligned as anything that stands apart from its neighbours */
    if (posix_memalign(&p, 128, n ? n : 1)) {
        stmc_fail("out of memory for %zu bytes", n);
        stmc_leave();
        return NULL;
    }
    memset(p, 0xa5, n);
    C->blocks[C->n_blocks++] = (block){.p = p, .n = n, .thread = C->self};
    return p;
}

static void give_back(char *p)
{
    block *b = block_of(p, 1);
    if (!b || b->p != p) {
        stmc_fail("thread %d frees what stmc_malloc did not give", C->self);
        return;
    }
    if (b->freed) {
        stmc_fail("double free: thread %d frees what thread %d gave back", C->self, b->thread);
        return;
    }
    for (int i = 0; i < C->n_locs; i++) {
        const location *l = &C->locs[i];
        if (l->p < b->p || l->p >= b->p + b->n) continue;
        if (stmc_before(&l->used, &C->threads[C->self].know.vc)) continue;
        stmc_fail("thread %d frees a block while another may still use the atomic at byte %zu "
                  "of it: nothing orders the two",
                  C->self, (size_t)(l->p - b->p));
        return;
    }
    watch(b->p, b->n, true, "the block that it frees", 0);
    b->freed = true;
    b->thread = C->self;
}

void stmc_free(void *p)
{
    if (p) give_back(p);
    stmc_leave();
}

void stmc_leaks(void)
{
    for (size_t i = 0; i < C->n_blocks; i++) {
        if (C->blocks[i].freed) continue;
        stmc_fail("leak: %zu bytes from thread %d", C->blocks[i].n, C->blocks[i].thread);
        return;
    }
}

void stmc_forget(void)
{
    for (size_t i = 0; i < C->n_blocks; i++) free(C->blocks[i].p);
    C->n_blocks = 0;
    C->run++;
}
