/*
 * How attention is cut: rows of a chunk, blocks of keys, parts of them, and the pieces of a
 * worker's scratch: scaled queries, weighted values, greatest scores, sums, spans, one block of
 * scores, packed keys and packed values, a widened block of 16 bits; in bf16 also the weights of a
 * block. Queries, keys, values and weights are then of 16 bits, padded with 0 to the row's groups.
 */
#include "kernels/attention/attention_parts.h"
#include "kernels/split.h"

/* Tuned on Zen 4. */
enum {
    ROWS = 512,      /* of a chunk: keys and values are packed once for so many */
    ROWS_LEAST = 64, /* fewer pack the same keys too often */
    STRIP = 16,
    BLOCK = 384,
    BLOCK_LEAST = 48,
    AREA = 49152,      /* elements of a packed block of keys or values */
    FEW_SCORES = 8192, /* of a block without packing */
    FEW_BLOCK = 1024,
    FEW_WIDE = 8192,   /* elements of a block of 16 bits, widened */
    PART_LEAST = 1024, /* keys of a part */
    WANT_CHUNKS = 8
};

static void place(lmn_attention_plan *p, int32_t piece, int64_t elems, size_t bytes)
{
    p->at[piece] = p->scratch_bytes;
    p->scratch_bytes = lmn_align_up(p->scratch_bytes + (size_t)elems * bytes, 64);
}

static void plan_scratch(lmn_attention_plan *p)
{
    const lmn_attention_shape *s = &p->shape;
    const int64_t nr = p->gemm->nr;
    place(p, AT_Q, p->rows * (p->half ? lmn_attention_whole_k(p, s->d) : s->d),
          p->half ? 2 : sizeof(float));
    place(p, AT_O, p->rows * s->dv, sizeof(float));
    place(p, AT_TOP, p->rows, sizeof(float));
    place(p, AT_SUM, p->rows, sizeof(float));
    place(p, AT_LO, p->rows, sizeof(int64_t));
    place(p, AT_HI, p->rows, sizeof(int64_t));
    /* a row of queries is widened here, and scaled, before it is rounded */
    const int64_t query = (p->io ? s->d : 0) + (p->half ? s->d : 0);
    place(p, AT_S, lmn_max_i64(p->strip * p->block, query), sizeof(float));
    if (p->half) {
        place(p, AT_K, lmn_hgemm_packed_elems(p->half, s->d, p->block), 2);
        place(p, AT_V, lmn_hgemm_packed_elems(p->half, p->block, s->dv), 2);
        place(p, AT_P, p->strip * lmn_attention_weight_step(p), 2);
        return;
    }
    place(p, AT_K, p->few ? 0 : lmn_round_up_i64(p->block, nr) * s->d, sizeof(float));
    place(p, AT_V, p->few ? 0 : lmn_round_up_i64(s->dv, nr) * p->block, sizeof(float));
    place(p, AT_WIDE, p->io ? p->block * lmn_max_i64(s->d, p->few ? s->dv : 0) : 0, sizeof(float));
}

static void plan_few(lmn_attention_plan *p, int64_t total)
{
    p->few = true;
    p->rows = p->strip = total;
    p->block = lmn_min_i64(FEW_BLOCK, FEW_SCORES / total);
    const int64_t wide = lmn_max_i64(p->shape.d, lmn_max_i64(1, p->shape.dv));
    if (p->io) p->block = lmn_max_i64(BLOCK_LEAST, lmn_min_i64(p->block, FEW_WIDE / wide));
    if (p->n_chunks >= WANT_CHUNKS || p->shape.keys < 2 * PART_LEAST) return;
    const int64_t want =
        lmn_min_i64(lmn_ceil_div_i64(WANT_CHUNKS, p->n_chunks), p->shape.keys / PART_LEAST);
    p->part_keys = lmn_round_up_i64(lmn_ceil_div_i64(p->shape.keys, want), p->block);
    p->parts = lmn_ceil_div_i64(p->shape.keys, p->part_keys);
    p->n_merges = p->parts > 1 ? p->n_chunks : 0;
    p->shared_bytes =
        p->parts > 1 ? (size_t)(p->n_chunks * p->parts * total * (p->shape.dv + 2)) * sizeof(float)
                     : 0;
    p->n_chunks *= p->parts;
}

static void plan_rows(lmn_attention_plan *p, int64_t total)
{
    const lmn_attention_shape *s = &p->shape;
    const int64_t mr = p->half ? p->half->mr : p->gemm->mr,
                  wide = lmn_max_i64(s->d, lmn_max_i64(1, s->dv));
    int64_t most = lmn_min_i64(ROWS, lmn_max_i64(STRIP, 65536 / wide));
    while (most > ROWS_LEAST && lmn_ceil_div_i64(total, most) * p->n_chunks < WANT_CHUNKS)
        most /= 2;
    p->strip = lmn_max_i64(1, STRIP / mr) * mr;
    p->rows = lmn_split_even(total, most, p->strip);
    p->block =
        lmn_max_i64(BLOCK_LEAST, lmn_min_i64(BLOCK, AREA / wide / BLOCK_LEAST * BLOCK_LEAST));
    /* Even blocks; a few keys more than one block are one. */
    const int64_t slack = p->block + p->block / 2;
    p->block = s->keys <= slack ? s->keys : lmn_split_even(s->keys, p->block, BLOCK_LEAST);
    p->row_blocks = lmn_ceil_div_i64(total, p->rows);
    p->n_chunks *= p->row_blocks;
}

static void plan(const lmn_hgemm_row *half, const lmn_attention_shape *s, lmn_attention_plan *out)
{
    out->shape = *s;
    out->elem = out->io ? sizeof(uint16_t) : sizeof(float);
    out->group = s->k_heads == s->v_heads && s->k_heads > 0 ? s->heads / s->k_heads : 1;
    const int64_t total = out->group * s->queries;
    if (s->batch == 0 || s->heads == 0 || s->queries == 0) return;
    lmn_assert(s->keys > 0 && s->d > 0);
    out->n_chunks = s->batch * (s->heads / out->group);
    out->row_blocks = out->parts = 1;
    out->part_keys = s->keys;
    out->half = total > LMN_ATTENTION_FEW ? half : NULL;
    if (total <= LMN_ATTENTION_FEW)
        plan_few(out, total);
    else
        plan_rows(out, total);
    out->block = lmn_min_i64(out->block, s->keys);
    plan_scratch(out);
}

void lmn_attention_f32_plan(const lmn_gemm_row *gemm, const lmn_attention_row *row,
                            const lmn_attention_shape *s, lmn_attention_plan *out)
{
    *out = (lmn_attention_plan){.gemm = gemm, .row = row};
    plan(NULL, s, out);
}

void lmn_attention_bf16_plan(const lmn_gemm_row *gemm, const lmn_hgemm_row *half,
                             const lmn_attention_row *row, const lmn_attention_shape *s,
                             lmn_attention_plan *out)
{
    lmn_assert(half->rows_f32 && half->elem == 2);
    *out = (lmn_attention_plan){.gemm = gemm, .row = row};
    plan(half, s, out);
}

void lmn_attention_short_plan(const lmn_gemm_row *gemm, const lmn_hgemm_row *io,
                              const lmn_hgemm_row *half, const lmn_attention_row *row,
                              const lmn_attention_shape *s, lmn_attention_plan *out)
{
    lmn_assert(!half || (half->rows_f32 && half->elem == 2));
    lmn_assert(!s->k_turned && !s->v_turned);
    *out = (lmn_attention_plan){.gemm = gemm, .io = io, .row = row};
    plan(half, s, out);
}
