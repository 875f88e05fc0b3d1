/*
 * The ring of records (src/log/logring.h) under the model checker: a record is read whole or not at
 * all, once, in the order in which its room was taken; what found no room is counted; a writer that
 * is interrupted or dies in the middle stands in nobody's way. Two or four cells make writers meet.
 */
#include "log/logring.h"

#include <string.h>

#define CELLS 4

static _Alignas(LMN_APART) uint8_t memory[sizeof(lmn_logring_mem) + CELLS * sizeof(lmn_logcell)];
static lmn_logring ring, reader;
static uint32_t got[3], put[3]; /* by writer: records read, records written */

static void start(uint32_t cells)
{
    const size_t n = lmn_logring_bytes(cells);
    memset(memory, 0, sizeof memory);
    stmc_check(lmn_logring_init(memory, n, cells) == LAMINA_OK);
    lmn_logring_ready(memory);
    stmc_check(lmn_logring_attach(memory, n, &ring) == LAMINA_OK);
    reader = ring;
    memset(got, 0, sizeof got);
    memset(put, 0, sizeof put);
}

static void begin_two(void)
{
    start(2);
}

static void begin_four(void)
{
    start(4);
}

/* What writer `who` says in its k-th record: a letter in all of its bytes. */
static void fill(uint8_t bytes[2 * LMN_LOGRING_CELL_BYTES], uint32_t who, uint32_t k)
{
    memset(bytes, (int)(who * 16 + k), 2 * LMN_LOGRING_CELL_BYTES);
}

static bool write_one(uint32_t who, uint32_t cells)
{
    uint8_t bytes[2 * LMN_LOGRING_CELL_BYTES];
    uint64_t at;
    if (!lmn_logring_take(&ring, cells, &at)) {
        lmn_logring_drop(&ring);
        return false;
    }
    fill(bytes, who, ++put[who]);
    lmn_logring_put(&ring, at, cells, bytes, (size_t)cells * LMN_LOGRING_CELL_BYTES);
    return true;
}

/* The record there, if any: all of one piece, the next of its writer. */
static bool read_one(void)
{
    uint8_t bytes[2 * LMN_LOGRING_CELL_BYTES], want[2 * LMN_LOGRING_CELL_BYTES];
    lamina_status bad = LAMINA_OK;
    const uint32_t n = lmn_logring_peek(&reader, &bad);
    stmc_check(bad == LAMINA_OK);
    if (n == 0) return false;
    stmc_check(n <= 2);
    lmn_logring_read(&reader, n, bytes);
    const uint32_t who = bytes[0] / 16;
    stmc_check(who < 3);
    fill(want, who, got[who] + 1);
    stmc_check(memcmp(bytes, want, (size_t)n * LMN_LOGRING_CELL_BYTES) == 0);
    got[who]++;
    reader.at += n;
    lmn_logring_release(&reader, reader.at);
    return true;
}

static void first(void)
{
    (void)write_one(0, 1);
    (void)write_one(0, 1);
}

static void second(void)
{
    (void)write_one(1, 1);
}

static void first_insists(void)
{
    for (int i = 0; i < 3;)
        if (write_one(0, 1))
            i++;
        else
            stmc_yield();
}

static void first_wide(void)
{
    (void)write_one(0, 2);
}

static void second_wide(void)
{
    (void)write_one(1, 2);
    (void)write_one(1, 1);
}

static void read_some(void)
{
    for (int i = 0; i < 3; i++) (void)read_one();
}

static void read_three(void)
{
    for (int i = 0; i < 3;)
        if (read_one())
            i++;
        else
            stmc_yield();
}

/* All that was written is read in the end. */
static void all_read(void)
{
    while (read_one()) {
    }
    for (int i = 0; i < 3; i++) stmc_check(got[i] == put[i]);
}

static void all_read_or_counted(void)
{
    all_read();
    stmc_check(put[0] + put[1] + lmn_atomic_load(&ring.mem->dropped, relaxed) == 3);
}

/* A handler comes between taking and filling, and again after. */
static void interrupted(void)
{
    uint8_t bytes[2 * LMN_LOGRING_CELL_BYTES];
    uint64_t at;
    const bool mine = lmn_logring_take(&ring, 2, &at);
    (void)write_one(2, 1);
    if (!mine) return;
    fill(bytes, 0, ++put[0]);
    lmn_logring_put(&ring, at, 2, bytes, sizeof bytes);
}

/* Killed between taking and publishing. */
static void dies(void)
{
    uint64_t at;
    (void)lmn_logring_take(&ring, 2, &at);
}

static void all_read_past_the_dead(void)
{
    uint64_t holes = 0;
    for (;;) {
        const uint64_t n = lmn_logring_skip(&reader);
        holes += n;
        if (!read_one() && n == 0) break;
    }
    stmc_check(got[1] == put[1]);
    stmc_check(reader.at == lmn_atomic_load(&ring.mem->tail, relaxed));
    stmc_check(holes == 0 || holes == 2);
}

STMC_MAIN(
    {"two writers, a reader, no room", begin_two, {first, second, read_some}, all_read_or_counted},
    {"a writer that insists", begin_two, {first_insists, read_three}, all_read},
    {"records of two cells", begin_four, {first_wide, second_wide, read_some}, all_read},
    {"interrupted by a handler", begin_four, {interrupted, second, read_some}, all_read},
    {"a writer dies", begin_four, {dies, second_wide}, all_read_past_the_dead})
