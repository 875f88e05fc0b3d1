/*
 * The attention driver:  y = softmax(edit(scale q k') ) v  per head, in blocks of keys, so that no
 * row of scores ever exists as a whole. Pure: a plan cuts the work into chunks by the shape alone,
 * threads belong to the caller, bits depend on neither.
 *
 * Rows    A chunk takes up to `rows` queries of the heads that share one key and value head. Its
 *         scores exist for `strip` of them at a time, against `block` keys: they stay in L1, packed
 *         keys and values in L2. Blocks of keys begin at multiples of `block`.
 * Few     Up to LMN_ATTENTION_FEW rows (decoding) stream keys and values without packing; if such
 *         heads are few and keys many, a chunk takes a part of the keys, and `merge` joins the
 *         parts in order.
 *
 * Spans   A query sees keys lo .. hi-1. Blocks of keys that no query of a strip sees are skipped,
 *         their keys and values are not read. A hidden key of a block that is read has weight 0,
 *         so its value, if it is not finite, makes NaN. A query without keys is 0.
 *
 * 16 bits Operands may be bf16 or f16: what multiplies in bf16 packs them as they are, everything
 *         else widens a block at a time. Results are rounded once.
 * bf16    With a row of hgemm scaled queries, keys, weights and values are rounded to bf16 before
 *         they are multiplied; scores, masks, exponentials and all sums stay f32. Few rows do not.
 */
#ifndef LMN_KERNELS_ATTENTION_PLAN_H
#define LMN_KERNELS_ATTENTION_PLAN_H

#include "kernels/attention/attention.h"
#include "kernels/gemm/gemm.h"
#include "kernels/hgemm/hgemm.h"

enum { LMN_ATTENTION_FEW = 8 };

typedef struct lmn_attention_shape {
    int64_t batch, heads, k_heads, v_heads; /* heads is a multiple of both others */
    int64_t queries, keys, d, dv;           /* keys and d > 0 */
    bool k_turned, v_turned;                /* keys lie as [d][keys], values as [dv][keys] */
} lmn_attention_shape;

typedef struct lmn_attention_plan {
    const lmn_gemm_row *gemm;
    const lmn_hgemm_row *half; /* multiplies instead of gemm, NULL = products in f32 */
    const lmn_hgemm_row *io;   /* of the operands' type, NULL = f32 */
    int64_t elem;              /* bytes of an element of them */
    const lmn_attention_row *row;
    lmn_attention_shape shape;
    int64_t group;              /* query heads of one chunk */
    int64_t rows, strip, block; /* of a chunk, of a block of scores; keys of one */
    int64_t row_blocks, parts, part_keys;
    bool few;
    int64_t n_chunks, n_merges; /* merges only where parts > 1; they follow all chunks */
    size_t scratch_bytes;       /* one worker's, 64-byte aligned */
    size_t shared_bytes;        /* what chunks leave for merges */
    size_t at[11];              /* of the pieces of scratch */
} lmn_attention_plan;

/* A block of scores, scaled: rows i0 .. i0+m-1 of the queries of head h, keys key .. key+n-1. */
typedef struct lmn_attention_scores {
    float *s;
    int64_t ld, m, n, b, h, i0, key;
} lmn_attention_scores;

/* Steps are in elements: of batch, head, row, and of the column in q. ldk, ldv: from row to row. */
typedef struct lmn_attention_args {
    const void *q, *k, *v; /* f32, or of 16 bits by a short plan, as y */
    void *y;
    int64_t q_step[4], k_step[2], v_step[2], y_step[3], ldk, ldv;
    float scale;
    bool zero_empty, zero_nan; /* as in lmn_attention_finish */
    const float *sink;         /* of each head; NULL = none */
    /* The keys of a query, 0 <= *lo, *hi <= keys; NULL = all. */
    void (*span)(const void *ctx, int64_t b, int64_t h, int64_t i, int64_t *lo, int64_t *hi);
    /* Masks, caps: changes scores in place; NULL = none. */
    void (*edit)(const void *ctx, const lmn_attention_scores *s);
    const void *ctx;
    void *shared; /* shared_bytes, NULL if that is 0 */
} lmn_attention_args;

/* Extents below 2^31. */
void lmn_attention_f32_plan(const lmn_gemm_row *gemm, const lmn_attention_row *row,
                            const lmn_attention_shape *shape, lmn_attention_plan *out);
/* The same with products in bf16, but for few rows; `half` has rows_f32. */
void lmn_attention_bf16_plan(const lmn_gemm_row *gemm, const lmn_hgemm_row *half,
                             const lmn_attention_row *row, const lmn_attention_shape *shape,
                             lmn_attention_plan *out);
/* For queries, keys, values and results of 16 bits, those of `io`; heads lie row by row and
   q_step[3] is 1. Products in bf16 where half is not NULL, but for few rows; else in f32. */
void lmn_attention_short_plan(const lmn_gemm_row *gemm, const lmn_hgemm_row *io,
                              const lmn_hgemm_row *half, const lmn_attention_row *row,
                              const lmn_attention_shape *shape, lmn_attention_plan *out);
/* Run chunk `chunk` < n_chunks; any order, any thread. */
void lmn_attention_f32_chunk(const lmn_attention_plan *plan, const lmn_attention_args *args,
                             int64_t chunk, void *scratch);
/* Run merge `item` < n_merges, after all chunks. */
void lmn_attention_f32_merge(const lmn_attention_plan *plan, const lmn_attention_args *args,
                             int64_t item, void *scratch);

#endif
