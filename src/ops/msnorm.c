/*
 * com.microsoft normalisations as canonical nodes (msnorm.h).
 */
#include "ops/msnorm.h"

void lmn_map_layer_norm(lmn_map *m, lmn_ref x, lmn_ref gamma, lmn_ref beta, float eps, lmn_ref *out,
                        int32_t n_out)
{
    const lmn_attr attrs[2] = {lmn_map_i("axis", -1), lmn_map_f("epsilon", eps)};
    lmn_map_nodes(m, "LayerNormalization", (lmn_ref[]){x, gamma, beta}, 3, attrs, 2, out, n_out);
}

lmn_ref lmn_map_rms_norm(lmn_map *m, lmn_ref x, lmn_ref gamma, int64_t axis, float eps)
{
    const lmn_attr attrs[2] = {lmn_map_i("axis", axis), lmn_map_f("epsilon", eps)};
    return lmn_map_node(m, "RMSNormalization", (lmn_ref[]){x, gamma}, 2, attrs, 2);
}

lmn_ref lmn_map_inv_rms(lmn_map *m, lmn_ref x, int64_t axis, float eps)
{
    int64_t axes[LMN_MAX_RANK] = {-1};
    int32_t n = 1;
    if (axis != -1) {
        const int32_t rank = lmn_map_rank(m, x, "the input");
        /* An axis outside gives no axes here; RMSNormalization, made beside this, refuses it. */
        const int64_t first = axis < -(int64_t)rank ? rank : axis < 0 ? axis + rank : axis;
        n = 0;
        for (int64_t d = first; d >= 0 && d < rank; d++) axes[n++] = d;
    }
    const lmn_ref wide = lmn_map_cast(m, x, LAMINA_F32);
    const lmn_ref mean =
        lmn_map_bin(m, "ReduceMean", lmn_map_bin(m, "Mul", wide, wide), lmn_map_i64s(m, axes, n));
    const lmn_ref e = lmn_map_scalar(m, LAMINA_F32, (double)eps);
    return lmn_map_un(m, "Reciprocal", lmn_map_un(m, "Sqrt", lmn_map_bin(m, "Add", mean, e)));
}

static lmn_ref shape_part(lmn_map *m, lmn_ref x, int64_t start, int64_t end)
{
    const lmn_attr part[2] = {lmn_map_i("start", start), lmn_map_i("end", end)};
    return lmn_map_node(m, "Shape", &x, 1, part, 2);
}

/* The first rows of the position table, as many as the sequence is long. */
static lmn_ref first_positions(lmn_map *m, const lmn_map_embed *e)
{
    const lmn_ref len = shape_part(m, e->ids, 1, 2), zero = lmn_map_i64s(m, (int64_t[]){0}, 1);
    return lmn_map_node(m, "Slice", (lmn_ref[]){e->position, zero, len, zero}, 4, NULL, 0);
}

lmn_ref lmn_map_embed_sum(lmn_map *m, const lmn_map_embed *e)
{
    const lmn_ref word = lmn_map_bin(m, "Gather", e->word, e->ids);
    const lmn_ref place = e->position_ids ? lmn_map_bin(m, "Gather", e->position, e->position_ids)
                                          : first_positions(m, e);
    const lmn_ref sum = lmn_map_add(m, word, place);
    return e->segment_ids && e->segment
               ? lmn_map_add(m, sum, lmn_map_bin(m, "Gather", e->segment, e->segment_ids))
               : sum;
}

lmn_ref lmn_map_mask_index(lmn_map *m, const lmn_map_embed *e)
{
    const lmn_ref one = lmn_map_scalar(m, LAMINA_I32, 1.0);
    if (!e->mask) {
        const lmn_ref zero = lmn_map_scalar(m, LAMINA_I32, 0.0);
        return lmn_map_bin(m, "Expand", zero, shape_part(m, e->ids, 0, 1));
    }
    const lmn_ref ones = lmn_map_cast(m, lmn_map_bin(m, "Equal", e->mask, one), LAMINA_I32);
    const lmn_attr drop = lmn_map_i("keepdims", 0);
    const lmn_ref last = lmn_map_i64s(m, (int64_t[]){-1}, 1);
    return lmn_map_node(m, "ReduceSum", (lmn_ref[]){ones, last}, 2, &drop, 1);
}

lmn_ref lmn_map_group_norm(lmn_map *m, lmn_ref x)
{
    const lmn_opnode *n = m->c->node;
    const bool last = lmn_attr_i(n, "channels_last", 1) != 0;
    const lmn_attr attrs[2] = {lmn_map_i("num_groups", lmn_attr_i(n, "groups", 1)),
                               lmn_map_f("epsilon", lmn_attr_f(n, "epsilon", 1e-5f))};
    const int32_t rank = last ? lmn_map_rank(m, x, "the input") : 0;
    const lamina_dtype dt = lmn_map_fact(m, x)->dtype;
    if (!dt) (void)lmn_map_scalar(m, dt, 0); /* says what is missing */
    const lmn_ref in[3] = {last ? lmn_map_to_nchw(m, x, rank) : x,
                           lmn_map_cast(m, lmn_map_in(m, 1), dt),
                           lmn_map_cast(m, lmn_map_in(m, 2), dt)};
    lmn_ref y = lmn_map_node(m, "GroupNormalization", in, 3, attrs, 2);
    if (lmn_attr_i(n, "activation", 0)) y = lmn_map_un(m, "Swish", y);
    return last ? lmn_map_to_nhwc(m, y, rank) : y;
}
