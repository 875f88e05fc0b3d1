/*
 * GatherBlockQuantized (com.microsoft, since 1): Gather of quantised data along gather_axis, then
 * (q - zero point) * scale with one scale a block along quantize_axis. Bytes may hold 2, 4 or 8 bit
 * values packed along the last axis, low bits first, with a default zero point of 2^(bits - 1);
 * 4-bit types have 0. Float types have no zero point, and their scales may broadcast. An index out
 * of range gives zeros.
 */
#include "ops/shapes.h"
#include "ops/wide.h"

static bool packed_type(lamina_dtype dt)
{
    return dt == LAMINA_U8;
}

/* Values in a byte of the data. */
static int64_t packing(const lmn_opnode *n, lamina_dtype dt)
{
    const int64_t bits = lmn_attr_i(n, "bits", 4);
    if (!packed_type(dt)) return 1;
    return bits == 2 || bits == 4 || bits == 8 ? 8 / bits : 0;
}

static lamina_status infer_gather(lmn_infer *ic)
{
    const lmn_fact *x = lmn_infer_shape_of(ic, 0), *at = lmn_infer_shape_of(ic, 1);
    int32_t axis, quantised;
    if (!x || !at) return LAMINA_OK;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "gather_axis", 0), x->rank, &axis));
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "quantize_axis", 1), x->rank, &quantised));
    const int64_t per_byte = packing(ic->node, x->dtype);
    if (per_byte == 0 || (packed_type(x->dtype) && (axis != 0 || x->rank < 2)))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                              "packed bytes need bits 2, 4 or 8, gather_axis 0 and rank 2 or more");
    const int32_t rank = x->rank - 1 + at->rank;
    if (rank > LMN_MAX_RANK)
        return lmn_infer_fail(ic, LAMINA_E_LIMIT, NULL, "the result has rank %d", rank);
    lmn_fact *y = lmn_infer_ranked(ic, 0, rank);
    if (!y) return LAMINA_OK;
    int32_t k = 0;
    for (int32_t d = 0; d < axis; d++) y->dims[k++] = x->dims[d];
    for (int32_t d = 0; d < at->rank; d++) y->dims[k++] = at->dims[d];
    for (int32_t d = axis + 1; d < x->rank; d++) y->dims[k++] = x->dims[d];
    if (per_byte > 1) y->dims[k - 1] = lmn_dim_mul(ic->dims, y->dims[k - 1], lmn_dim_c(per_byte));
    return LAMINA_OK;
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

typedef struct blocks {
    const lamina_tensor *x, *scales, *zp;
    int32_t rank, quantised;
    int64_t dims[LMN_MAX_RANK], step[LMN_MAX_RANK]; /* of the values; of the scales, 0 = same */
    int64_t block, per_byte, zp_default;
} blocks;

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

static lamina_status read_blocks(lmn_eval *ec, int32_t axis, blocks *b)
{
    const lamina_tensor *x = b->x, *s = b->scales;
    const bool floats = (LMN_D_FP8 | LMN_DBIT(LAMINA_F4E2M1)) & LMN_DBIT(x->dtype);
    b->per_byte = packing(ec->node, x->dtype);
    b->block = lmn_attr_i(ec->node, "block_size", 128);
    if (b->per_byte == 0 || (packed_type(x->dtype) && (axis != 0 || b->rank < 2)))
        return bad(ec, "packed bytes need bits 2, 4 or 8, gather_axis 0 and rank 2 or more");
    if (s->rank != b->rank) return bad(ec, "data and scales must have the same rank");
    for (int32_t d = 0; d < b->rank; d++)
        b->dims[d] = x->dims[d] * (d == b->rank - 1 ? b->per_byte : 1);
    if (floats && b->block == 0) b->block = lmn_max_i64(1, b->dims[b->quantised]);
    if (b->block < 1 || b->block > INT32_MAX)
        return bad(ec, "attribute \"block_size\" must be positive");
    int64_t step = 1;
    for (int32_t d = b->rank - 1; d >= 0; d--) {
        const int64_t want =
            d == b->quantised ? (b->dims[d] + b->block - 1) / b->block : b->dims[d];
        const bool same = floats && d != b->quantised && s->dims[d] == 1;
        if (s->dims[d] != want && !same) return bad(ec, "data and scales do not match");
        b->step[d] = same && want != 1 ? 0 : step;
        step *= s->dims[d];
    }
    b->zp_default = packed_type(x->dtype) ? (int64_t)1 << (8 / b->per_byte - 1) : 0;
    if (!b->zp) return LAMINA_OK;
    /* Packed zero points run along the blocks of a row, rows at whole bytes. */
    const int64_t row = s->dims[b->rank - 1];
    const int64_t bytes = (row + b->per_byte - 1) / b->per_byte;
    if (floats || lmn_count(b->zp) != (row ? lmn_count(s) / row * bytes : 0))
        return bad(ec, "zero_points must fit the scales");
    if (b->per_byte > 1 && b->quantised != b->rank - 1)
        return bad(ec, "packed zero points need the last axis as quantize_axis");
    return LAMINA_OK;
}

static int64_t packed_at(const lamina_tensor *t, int64_t row, int64_t col, int64_t cols,
                         int64_t per_byte)
{
    const int64_t bits = 8 / per_byte, bytes = (cols + per_byte - 1) / per_byte;
    const uint8_t v = ((const uint8_t *)t->data)[row * bytes + col / per_byte];
    return (v >> (col % per_byte * bits)) & ((1 << bits) - 1);
}

/* Value `e` (row-major number among all values of the data). */
static double value_at(const blocks *b, int64_t e)
{
    const int64_t last = b->dims[b->rank - 1];
    int64_t at = 0, rest = e;
    for (int32_t d = b->rank - 1; d >= 0; d--) {
        const int64_t i = rest % b->dims[d];
        rest /= b->dims[d];
        at += (d == b->quantised ? i / b->block : i) * b->step[d];
    }
    const double scale = lmn_get_f64(b->scales, at);
    if (!packed_type(b->x->dtype)) {
        const double zp = b->zp ? lmn_get_f64(b->zp, at) : 0.0;
        return (lmn_get_f64(b->x, e) - zp) * scale;
    }
    const int64_t row = b->scales->dims[b->rank - 1];
    const int64_t q = packed_at(b->x, e / last, e % last, last, b->per_byte);
    const int64_t zp =
        b->zp ? packed_at(b->zp, at / row, at % row, row, b->per_byte) : b->zp_default;
    return (double)(q - zp) * scale;
}

static lamina_status eval_gather(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *at = lmn_in(ec, 1);
    blocks b = {.x = lmn_in(ec, 0), .scales = lmn_in(ec, 2), .zp = lmn_in(ec, 3)};
    int32_t axis, rank = 0;
    int64_t dims[2 * LMN_MAX_RANK];
    lamina_tensor *y;
    double *out;
    b.rank = b.x->rank;
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "gather_axis", 0), b.rank, &axis));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "quantize_axis", 1), b.rank, &b.quantised));
    LMN_TRY(read_blocks(ec, axis, &b));
    for (int32_t d = 0; d < axis; d++) dims[rank++] = b.dims[d];
    for (int32_t d = 0; d < at->rank; d++) dims[rank++] = at->dims[d];
    for (int32_t d = axis + 1; d < b.rank; d++) dims[rank++] = b.dims[d];
    if (rank > LMN_MAX_RANK)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the result has rank %d", rank);
    LMN_TRY(lmn_check_grown(ec, b.scales->dtype, rank, dims));
    LMN_TRY(lmn_out(ec, 0, b.scales->dtype, rank, dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_wide_out(ec, y, &out));
    const int64_t outer = lmn_span_count(b.dims, 0, axis), extent = b.dims[axis];
    const int64_t inner = lmn_span_count(b.dims, axis + 1, b.rank), n = lmn_count(at);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < n; k++, out += inner) {
            int64_t i = lmn_get_i64(at, k);
            i += i < 0 ? extent : 0;
            for (int64_t e = 0; e < inner; e++)
                out[e] = i < 0 || i >= extent ? 0.0 : value_at(&b, (o * extent + i) * inner + e);
        }
    lmn_wide_store(y, out - outer * n * inner);
    return LAMINA_OK;
}

#define DATA                                                                       \
    (LMN_DBIT(LAMINA_I4) | LMN_DBIT(LAMINA_U4) | LMN_DBIT(LAMINA_U8) | LMN_D_FP8 | \
     LMN_DBIT(LAMINA_F4E2M1))
#define REAL (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
static const lmn_port IN[] = {{"data", 'Q', 0, DATA},
                              {"indices", 0, 0, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)},
                              {"scales", 'T', 0, REAL},
                              {"zero_points", 'Q', LMN_PORT_OPTIONAL, DATA},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, REAL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"bits", LMN_ATTR_INT, 0},
                                        {"block_size", LMN_ATTR_INT, 0},
                                        {"gather_axis", LMN_ATTR_INT, 0},
                                        {"quantize_axis", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_MsGatherBlockQuantized = {
    .domain = "com.microsoft",
    .name = "GatherBlockQuantized",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gather,
    .eval = eval_gather,
};
