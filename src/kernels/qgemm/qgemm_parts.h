/*
 * What the plan of qgemm and its run both ask: how scratch is laid out.
 */
#ifndef LMN_KERNELS_QGEMM_PARTS_H
#define LMN_KERNELS_QGEMM_PARTS_H

#include "kernels/qgemm/qgemm_plan.h"

enum {
    SLAB = 64,              /* rows of B brought at once */
    ROWS_M = 64,            /* rows of A that are few, */
    ROWS_BYTES = 256 << 10, /* and as many as are brought at once */
    FAR_BYTES = 1 << 20     /* packed B comes from beyond L2 */
};

/* What a worker's scratch holds, in this order. */
typedef struct parts {
    uint8_t *b, *a, *raw, *slab, *room;
    int32_t *row_sum, *row_add, *row_zp, *col_sum, *col_add, *col_zp, *part;
    float *col_mul, *col_bias;
} parts;

static inline int64_t padded_k(const lmn_qgemm_plan *p)
{
    return lmn_round_up_i64(p->kc, p->row->group);
}
/* Bytes from row to row of packed A: not a multiple of 4096, so that rows do not share sets. */
static inline int64_t a_step(const lmn_qgemm_plan *p)
{
    return lmn_round_up_i64(padded_k(p) * p->row->a_bytes, 64) + 64;
}
/* The same of rows that args->rows brings. */
static inline int64_t raw_step(const lmn_qgemm_plan *p)
{
    return lmn_round_up_i64(p->kc, 64) + 64;
}
static inline int64_t b_panel(const lmn_qgemm_plan *p)
{
    return padded_k(p) * p->row->nr * p->row->b_bytes;
}

static inline void *take(uint8_t *base, size_t *used, int64_t bytes)
{
    uint8_t *at = base ? base + *used : NULL;
    *used += lmn_align_up((size_t)bytes, 64);
    return at;
}

/* Rows of A that are copied at once, of those that are. */
static inline int64_t strip_rows(const lmn_qgemm_plan *p)
{
    const int64_t mr = p->row->mr;
    const int64_t most = lmn_min_i64(ROWS_M, ROWS_BYTES / raw_step(p)) / mr * mr;
    return p->stream ? p->m : p->rows || p->packed ? lmn_max_i64(most, mr) : mr;
}

/* Lay the parts out from `base`; with NULL only the size counts. */
static inline size_t lay_out(const lmn_qgemm_plan *p, uint8_t *base, parts *s)
{
    size_t used = 0;
    const int64_t strip = strip_rows(p);
    s->b = p->stream || p->packed ? NULL : take(base, &used, p->nc / p->row->nr * b_panel(p));
    s->a = take(base, &used, strip * a_step(p));
    s->raw = p->rows ? take(base, &used, strip * raw_step(p)) : NULL;
    s->slab = p->bring ? take(base, &used, SLAB * p->nc + LMN_QGEMM_SPILL) : NULL;
    const int64_t room = p->stream && p->trans_b ? p->row->dot_room : 0;
    s->room = take(base, &used, lmn_round_up_i64(p->k, 64) * room);
    s->row_sum = take(base, &used, p->mc * 4);
    s->row_add = take(base, &used, p->mc * 4);
    s->row_zp = take(base, &used, p->mc * 4);
    s->col_sum = take(base, &used, p->nc * 4);
    s->col_add = take(base, &used, p->nc * 4);
    s->col_zp = take(base, &used, p->nc * 4);
    s->col_mul = take(base, &used, p->nc * 4);
    s->col_bias = take(base, &used, p->nc * 4);
    s->part = p->stream || p->kc < p->k ? take(base, &used, p->mc * p->nc * 4) : NULL;
    return used;
}

#endif
