/*
 * lmn_logring: the ring between the threads and signal handlers of one process, which write
 * records, and one reader, mostly another process. In memory both have mapped.
 *
 * Order: records leave in the order in which their room was taken. Progress: writers lock-free (one
 * compare-and-swap, repeated only when another writer came between), the reader wait-free. Memory:
 * what lmn_logring_bytes says. Closing is the owner's business.
 *
 * Cells of 64 bytes: a word and 56 bytes of a record, which takes 1 to 32 cells side by side. Cells
 * are numbered without end (64 bits); cell i lies at i & (cells - 1). A writer takes cells from
 * `tail`, fills their bytes and last stores the word of the first: number + 1 and the count, in
 * one. A record is there when that word is, whatever becomes of the writer. A word never holds what
 * a record says, and a number is used once: what a dead writer left half done cannot look like a
 * record. A handler that interrupts a writer takes the cells behind: nobody waits.
 *
 *   writer                                        reader
 *     load head, acquire   ◀──── gives back ─────   store head, release
 *     cas tail (cells are mine)
 *     fill bytes
 *     store word, release  ───── publishes ─────▶   load word, acquire; read bytes
 *
 * The reader never trusts the shared part: the geometry is read once and checked, indices are
 * masked, counts compared with bounds; hostile writers can spoil records, never an address.
 * tests/stmc/mc_logring.c checks all of it and shows what each order is for.
 */
#ifndef LMN_LOG_LOGRING_H
#define LMN_LOG_LOGRING_H

#include "base/atomic.h"

#define LMN_LOGRING_MAGIC 0x31474f4cu /* "LOG1" */
#define LMN_LOGRING_CELL_BYTES 56u
#define LMN_LOGRING_RECORD_CELLS 32u /* most of one record */
#define LMN_LOGRING_RECORD_BYTES (LMN_LOGRING_RECORD_CELLS * LMN_LOGRING_CELL_BYTES)
#define LMN_LOGRING_NAME_BYTES 64u
#define LMN_LOGRING_MAX_CELLS (1u << 24) /* 1 GiB */

typedef struct lmn_logcell {
    lmn_atomic(uint64_t) word; /* (number + 1) << 8 | cells of the record */
    uint8_t bytes[LMN_LOGRING_CELL_BYTES];
} lmn_logcell;

/* How far the reader has come, as of its batch `batch`: see logstate.h. */
typedef struct lmn_logmark {
    uint64_t reader, batch, at, dropped, unfinished;
} lmn_logmark;

typedef struct lmn_logring_mem {
    uint32_t magic, version, cells, pid; /* immutable after init, and so the next two */
    uint64_t began_ns;                   /* CLOCK_REALTIME */
    char name[LMN_LOGRING_NAME_BYTES];
    lmn_atomic(uint32_t) crash; /* not 0: crash handlers of the process write here */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) tail;
    lmn_atomic(uint64_t) dropped; /* records that found no room */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) head;
    lmn_logmark mark[2]; /* the reader's */
    _Alignas(LMN_APART) lmn_logcell cell[];
} lmn_logring_mem;
_Static_assert(offsetof(lmn_logring_mem, cell) == 3 * LMN_APART, "groups stand apart");
_Static_assert(sizeof(lmn_logcell) == 64, "a cell is a line");

/* One side's view. */
typedef struct lmn_logring {
    lmn_logring_mem *mem;
    uint64_t mask;
    uint64_t at; /* reader: the next cell to look at */
} lmn_logring;

/* Bytes of a ring; 0 when cells is no power of two in [2, 2^24]. */
size_t lmn_logring_bytes(uint32_t cells);
/* An empty ring in mem (aligned to 128, all zero). E_INVALID: misaligned, too small, bad geometry.
 * `magic` is left to lmn_logring_ready: a reader that maps early finds no ring. */
lamina_status lmn_logring_init(void *mem, size_t bytes, uint32_t cells);
void lmn_logring_ready(void *mem);
/* The ring at mem, which may come from another process: E_CORRUPT when the header is wrong. The
 * reader's position is `head`. */
lamina_status lmn_logring_attach(void *mem, size_t bytes, lmn_logring *out);

/* Writer: take n cells (1 to 32), the first is *at; false when they are not free. */
bool lmn_logring_take(const lmn_logring *r, uint32_t n, uint64_t *at);
/* Fill taken cells with n_bytes, which they hold, and publish: now it is a record. */
void lmn_logring_put(const lmn_logring *r, uint64_t at, uint32_t n, const void *bytes,
                     size_t n_bytes);
static inline void lmn_logring_drop(const lmn_logring *r)
{
    (void)lmn_atomic_add(&r->mem->dropped, 1, relaxed);
}

/* Reader: cells of the record at r->at; 0: none yet (E_CORRUPT in *bad for a word nobody writes).
 */
uint32_t lmn_logring_peek(const lmn_logring *r, lamina_status *bad);
/* The bytes of the record there, n cells of them, to `out`. */
void lmn_logring_read(const lmn_logring *r, uint32_t n, void *out);
/* Reader of a ring whose writers are dead: pass over cells that were taken and never published, up
 * to the next record or the end; how many. */
uint64_t lmn_logring_skip(lmn_logring *r);
/* Give back all cells before `at`. */
static inline void lmn_logring_release(const lmn_logring *r, uint64_t at)
{
    lmn_atomic_store(&r->mem->head, at, release);
}

#endif
