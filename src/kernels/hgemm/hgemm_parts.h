/*
 * What the plan of hgemm and its run both ask: where operands stand, and how scratch is laid out.
 */
#ifndef LMN_KERNELS_HGEMM_PARTS_H
#define LMN_KERNELS_HGEMM_PARTS_H

#include "kernels/hgemm/hgemm_plan.h"
#include "kernels/split.h"

enum {
    MOST_GROUP = 32,        /* of any row */
    KC = 1024,              /* longest k of a packed block; a multiple of every group */
    NC = 192,               /* columns of a packed block */
    MANY_M = 256,           /* rows, */
    MANY_ELEMS = 256 << 10, /* and their elements, for which B stays and A passes */
    FAR_BYTES = 1 << 20,    /* packed B comes from beyond L2 */
    FAR_A_BYTES = 4 << 20,  /* and so does an A that passes it more than once */
    SETS_BYTES = 4096       /* rows so far apart share sets of the caches */
};

static inline bool is(const lmn_hgemm_plan *p, int32_t flag)
{
    return p->flags & flag;
}

/* Packed panels that all rows of a chunk meet one after the other: they need not stay in L2, but A
   must, which then is read once for many columns. (2048^3 on AMX 0.9 to 1.3 of oneDNN.) */
static inline bool by_panels(const lmn_hgemm_plan *p)
{
    return is(p, LMN_HGEMM_PACKED) && p->row->group > 2;
}
/* One row or a few by panels of pairs: several of them side by side, all of k at once. */
static inline bool is_line(const lmn_hgemm_plan *p)
{
    return is(p, LMN_HGEMM_PACKED) && p->m <= p->row->line_m;
}
/* Does packed B come from beyond L2? */
static inline bool b_far(const lmn_hgemm_plan *p)
{
    return is(p, LMN_HGEMM_PACKED) && p->k * p->n * p->row->elem > FAR_BYTES;
}

/* Of plain B all of k, or much of it, and as many columns as L2 holds are packed once, and many
   rows pass where they lie, those of a tile at a time. */
static inline bool by_rows(const lmn_hgemm_plan *p)
{
    const int32_t other = LMN_HGEMM_PACKED | LMN_HGEMM_BRING;
    if (p->small || p->row->group <= 2 || is(p, other) || !is(p, LMN_HGEMM_C_F32)) return false;
    return p->m >= MANY_M && p->m * p->k > MANY_ELEMS;
}

/* Is all of k equal steps of less than a group, which the row takes as they are? */
static inline bool takes_short(const lmn_hgemm_plan *p)
{
    const bool once = p->k <= KC && is(p, LMN_HGEMM_PACKED); /* k is not cut */
    return p->row->short_k && once && lmn_hgemm_step(p->k, p->row->group) < p->row->group;
}

/* Is A taken where it lies? Blocks but the last are whole groups, and the last may lack one of a
   pair. */
static inline bool a_in_place(const lmn_hgemm_plan *p)
{
    if (is(p, LMN_HGEMM_ROWS)) return false;
    if (by_panels(p) && p->m > 1 && p->k * 2 % SETS_BYTES == 0) return false;
    return p->row->elem == 2 && !is(p, LMN_HGEMM_A_F32 | LMN_HGEMM_TRANS_A) &&
           (p->k % p->row->group == 0 || takes_short(p) || (p->row->group == 2 && !p->small));
}
/* Do rows that pass a B which stays come from beyond L2, where they lie? */
static inline bool a_far(const lmn_hgemm_plan *p)
{
    return by_rows(p) && a_in_place(p) && p->m * p->k * 2 > FAR_A_BYTES;
}
/* Do sums wait in scratch? */
static inline bool c_apart(const lmn_hgemm_plan *p)
{
    return !is(p, LMN_HGEMM_C_F32);
}
static inline int64_t padded_k(const lmn_hgemm_plan *p)
{
    return lmn_round_up_i64(p->kc, lmn_max_i64(2, p->row->group));
}
/* Elements from row to row of packed A: not a multiple of 4 KiB, so that rows share no sets. */
static inline int64_t a_step(const lmn_hgemm_plan *p)
{
    return lmn_round_up_i64(padded_k(p), 32) + MOST_GROUP;
}
static inline int64_t strip_rows(const lmn_hgemm_plan *p)
{
    if (by_rows(p)) return p->row->mr;
    return p->small ? p->m : lmn_min_i64(p->mc, lmn_split_even(p->mc, p->row->strip, p->row->mr));
}
static inline int64_t panel_elems(const lmn_hgemm_plan *p)
{
    return padded_k(p) * p->row->nr;
}

/* What a worker's scratch holds. */
typedef struct parts {
    uint8_t *b, *a, *turned, *room;
    float *slab, *c, *add;
    float *thin, *thin_c; /* thin columns as rows of B's type; their sums, a row a column */
    uint8_t *thin_a;      /* and as rows of 16 bits */
} parts;

static inline void *take(uint8_t *base, size_t *used, int64_t bytes)
{
    if (bytes == 0) return NULL;
    uint8_t *at = base ? base + *used : NULL;
    *used += lmn_align_up((size_t)bytes, 64);
    return at;
}

/* Lay the parts out from `base`; with NULL only the size counts. */
static inline size_t lay_out(const lmn_hgemm_plan *p, uint8_t *base, parts *s)
{
    size_t used = 0;
    const int64_t elem = p->row->elem, rows = strip_rows(p);
    const bool split = p->kc < p->k;
    s->b =
        take(base, &used,
             p->small || is(p, LMN_HGEMM_PACKED) ? 0 : p->nc / p->row->nr * panel_elems(p) * elem);
    s->a = take(base, &used, a_in_place(p) ? 0 : rows * a_step(p) * elem);
    const bool turn = is(p, LMN_HGEMM_TRANS_A) || (is(p, LMN_HGEMM_ROWS) && elem == 4);
    s->turned = take(base, &used, turn ? rows * p->kc * 4 : 0);
    const bool nt = p->small && is(p, LMN_HGEMM_TRANS_B);
    s->room = take(base, &used, nt ? lmn_hgemm_room(p->row, p->m, p->k) : 0);
    s->slab = take(base, &used, is(p, LMN_HGEMM_BRING) ? p->slab * p->nc * 4 : 0);
    s->c = take(base, &used, c_apart(p) ? (split ? p->mc : rows) * p->nc * 4 : 0);
    s->add = take(base, &used, is(p, LMN_HGEMM_ADD) ? rows * p->nc * 4 : 0);
    s->thin = take(base, &used, p->thin * p->k * 4);
    s->thin_c = take(base, &used, p->thin * p->mc * 4 * (c_apart(p) ? 2 : 1));
    s->thin_a = take(base, &used, p->thin * p->k * 2);
    return used;
}

#endif
