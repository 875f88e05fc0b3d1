/*
 * Attention behind one merged projection (msproject.h).
 */
#include "ops/msproject.h"

/* The cache [2, B, N, P, H] as keys and values. */
static void split_past(lmn_map *m, lmn_ref past, lmn_ref out[2])
{
    lmn_ref half[2];
    const lmn_attr two[2] = {lmn_map_i("axis", 0), lmn_map_i("num_outputs", 2)};
    const lmn_ref first = lmn_map_i64s(m, (int64_t[]){0}, 1);
    lmn_map_nodes(m, "Split", &past, 1, two, 2, half, 2);
    for (int32_t i = 0; i < 2; i++) out[i] = lmn_map_bin(m, "Squeeze", half[i], first);
}

static lmn_ref stack(lmn_map *m, lmn_ref k, lmn_ref v)
{
    const lmn_ref first = lmn_map_i64s(m, (int64_t[]){0}, 1);
    const lmn_ref both[2] = {lmn_map_bin(m, "Unsqueeze", k, first),
                             lmn_map_bin(m, "Unsqueeze", v, first)};
    const lmn_attr axis = lmn_map_i("axis", 0);
    return lmn_map_node(m, "Concat", both, 2, &axis, 1);
}

void lmn_map_project(lmn_map *m, const lmn_map_projected *p)
{
    static const char *const OWN[] = {"mask_filter_value", "num_heads", "scale", "unidirectional",
                                      NULL};
    lmn_attr attrs[4];
    lmn_ref part[3], past[2] = {0}, out[3];
    const lmn_attr axis[2] = {lmn_map_i("axis", -1), lmn_map_i("num_outputs", 3)};
    if (lmn_attr_i(m->c->node, "do_rotary", 0))
        (void)lmn_map_fail(m, LAMINA_E_UNSUPPORTED, "use RotaryEmbedding and MultiHeadAttention",
                           "do_rotary is not supported");
    const lmn_ref in[2] = {p->qkv, p->sizes ? lmn_map_i64s(m, p->sizes, 3) : 0};
    lmn_map_nodes(m, "Split", in, 2, axis, p->sizes ? 1 : 2, part, 3);
    if (p->past) split_past(m, p->past, past);
    const lmn_ref mha[8] = {part[0], part[1],           part[2], 0,
                            p->mask, p->attention_bias, past[0], past[1]};
    lmn_map_nodes(m, "com.microsoft:MultiHeadAttention", mha, 8, attrs, lmn_map_copy(m, OWN, attrs),
                  out, m->c->n_out > 1 ? 3 : 1);
    m->out[0] = out[0];
    if (m->c->n_out > 1) m->out[1] = stack(m, out[1], out[2]);
}
