/*
 * AMX tiles for files whose suffix is _amx: configuration, loads, products, stores. A row enters
 * with amx_enter() at the start of each call and leaves with amx_leave() before it returns: nothing
 * remembers that tiles are configured, for another library of the process may release or
 * reconfigure them between two calls.
 *
 * All of it is assembly, since compilers get the intrinsics wrong: gcc 12 takes _tile_loadconfig to
 * read 8 of the 64 bytes and drops the stores of the rest. Tile numbers are literals.
 *
 * LMN_AMX_MODEL, which no library is compiled with, makes calls of a model of the unit of all of it
 * (tests/kcheck_amx), so that rows are checked where there is no such unit.
 */
#ifndef LMN_KERNELS_AMX_TILE_H
#define LMN_KERNELS_AMX_TILE_H

#include "base/types.h"

enum {
    AMX_ROWS = 16,     /* most rows of a tile */
    AMX_ROW_BYTES = 64 /* most bytes of a row: 16 f32, 32 bf16 (two k), 64 bytes (four k) */
};

/* What ldtilecfg reads. A tile with 0 rows or bytes may not be used. */
typedef struct amx_cfg {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_cfg;

static inline void amx_cfg_tile(amx_cfg *c, int tile, int64_t rows, int64_t row_bytes)
{
    c->palette = 1;
    c->rows[tile] = (uint8_t)rows;
    c->row_bytes[tile] = (uint16_t)row_bytes;
}

#ifdef LMN_AMX_MODEL
/* Load the whole configuration; it clears all tiles. */
void amx_enter(const amx_cfg *c);
void amx_leave(void);
void amx_model_zero(int t);
void amx_model_load(int t, const void *p, int64_t step);
void amx_model_store(int t, void *p, int64_t step);
void amx_model_bf16(int c, int a, int b);
/* Are bytes of a, and of b, signed? */
void amx_model_bytes(int c, int a, int b, bool a_signed, bool b_signed);
#define AMX_ZERO(t) amx_model_zero(t)
#define AMX_LOAD(t, p, step) amx_model_load(t, p, step)
#define AMX_LOAD_ONCE(t, p, step) amx_model_load(t, p, step)
#define AMX_APART() ((void)0)
#define AMX_STORE(t, p, step) amx_model_store(t, p, step)
#define AMX_BF16(c, a, b) amx_model_bf16(c, a, b)
#define AMX_U8S8(c, a, b) amx_model_bytes(c, a, b, false, true)
#define AMX_S8U8(c, a, b) amx_model_bytes(c, a, b, true, false)
#define AMX_S8S8(c, a, b) amx_model_bytes(c, a, b, true, true)
#else
/* Load the whole configuration; it clears all tiles. */
static inline void amx_enter(const amx_cfg *c)
{
    __asm__ volatile("ldtilecfg %0" : : "m"(*c) : "memory");
}
/* Back to the state of a thread that uses no tiles: context switches are short again. */
static inline void amx_leave(void)
{
    __asm__ volatile("tilerelease" : : : "memory");
}

#define AMX_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : : :)
/* Rows `step` bytes apart from p on. */
#define AMX_LOAD_BY(op, t, p, step) \
    __asm__ volatile(op " (%0,%1,1), %%tmm" #t : : "r"(p), "r"((int64_t)(step)) : "memory")
#define AMX_LOAD(t, p, step) AMX_LOAD_BY("tileloadd", t, p, step)
/* The same of what is not met again soon: it leaves the first cache to others. */
#define AMX_LOAD_ONCE(t, p, step) AMX_LOAD_BY("tileloaddt1", t, p, step)
/* Between loads: right behind each other they hold each other up while a core is shared. */
#define AMX_APART() __asm__ volatile("nop\n\tnop\n\tnop\n\tnop" : : : "memory")
#define AMX_STORE(t, p, step)                            \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" \
                     :                                   \
                     : "r"(p), "r"((int64_t)(step))      \
                     : "memory")
/* c += a * b: f32 += bf16 pairs; int32 += fours of u8 (a) by s8 (b), s8 by u8, s8 by s8. */
#define AMX_BF16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :)
#define AMX_U8S8(c, a, b) __asm__ volatile("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :)
#define AMX_S8U8(c, a, b) __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :)
#define AMX_S8S8(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :)
#endif

/* Either: windows pass a panel that stays, others may pass one that does not. */
#define AMX_LOAD_EITHER(t, p, step, once) \
    do {                                  \
        if (once)                         \
            AMX_LOAD_ONCE(t, p, step);    \
        else                              \
            AMX_LOAD(t, p, step);         \
    } while (0)

#endif
