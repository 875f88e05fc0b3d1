/*
 * Mapping of com.microsoft operators onto canonical nodes at import. A mapping checks its node
 * against the operator's own ports and attributes (nothing has inferred it yet), appends nodes and
 * names the outputs; after the first failure every step is a no-op, so the steps need no checks.
 *
 * The definitions are called lmn_op_Ms<Name> and live in def/op_ms_<name>.c: the domain ai.onnx has
 * operators of the same names with other meanings.
 */
#ifndef LMN_OPS_MSMAP_H
#define LMN_OPS_MSMAP_H

#include "ops/op.h"

#define LMN_MS "com.microsoft"

typedef struct lmn_map {
    lmn_canon *c;
    lamina_status status; /* of the first failure */
    lmn_ref out[4];       /* what the node's outputs become; 0 = nothing */
} lmn_map;

/* Check the node and start. */
lmn_map lmn_map_begin(lmn_canon *c);
/* Hand over m->out, or tell the failure. */
lamina_status lmn_map_end(lmn_map *m);
/* Refuse with a sentence. Returns 0. */
LMN_PRINTF(4, 5)
lmn_ref lmn_map_fail(lmn_map *m, lamina_status status, const char *fix, const char *fmt, ...);

static inline bool lmn_map_ok(const lmn_map *m)
{
    return m->status == LAMINA_OK;
}
/* Input i of the node, 0 = absent. */
static inline lmn_ref lmn_map_in(const lmn_map *m, int32_t i)
{
    return i < m->c->n_in ? m->c->in[i] : 0;
}
/* What is known of a value; never NULL. */
const lmn_fact *lmn_map_fact(const lmn_map *m, lmn_ref r);
/* Rank of a value that the mapping cannot do without: fails if unknown. */
int32_t lmn_map_rank(lmn_map *m, lmn_ref r, const char *what);

/* Nodes of the default domain (or "domain:Op"); several outputs, one output, one or two operands.
 */
void lmn_map_nodes(lmn_map *m, const char *op, const lmn_ref *in, int32_t n_in,
                   const lmn_attr *attrs, int32_t n_attrs, lmn_ref *out, int32_t n_out);
lmn_ref lmn_map_node(lmn_map *m, const char *op, const lmn_ref *in, int32_t n_in,
                     const lmn_attr *attrs, int32_t n_attrs);
lmn_ref lmn_map_un(lmn_map *m, const char *op, lmn_ref a);
lmn_ref lmn_map_bin(lmn_map *m, const char *op, lmn_ref a, lmn_ref b);
/* a + b, or a where b is absent. */
lmn_ref lmn_map_add(lmn_map *m, lmn_ref a, lmn_ref b);
lmn_ref lmn_map_cast(lmn_map *m, lmn_ref a, lamina_dtype to);
lmn_ref lmn_map_transpose(lmn_map *m, lmn_ref a, const int64_t *perm, int32_t n);
lmn_ref lmn_map_reshape(lmn_map *m, lmn_ref a, const int64_t *dims, int32_t n);
/* [N, C, ...] to [N, ..., C] and back. */
lmn_ref lmn_map_to_nhwc(lmn_map *m, lmn_ref a, int32_t rank);
lmn_ref lmn_map_to_nchw(lmn_map *m, lmn_ref a, int32_t rank);
/* Constants: a vector, a scalar of a type. */
lmn_ref lmn_map_i64s(lmn_map *m, const int64_t *v, int32_t n);
lmn_ref lmn_map_scalar(lmn_map *m, lamina_dtype dt, double v);

/* x as f32, y as the 8-bit type of `like`; zp may be absent. */
lmn_ref lmn_map_dequantize(lmn_map *m, lmn_ref x, lmn_ref scale, lmn_ref zp);
lmn_ref lmn_map_quantize(lmn_map *m, lmn_ref x, lmn_ref scale, lmn_ref zp, lamina_dtype like);

/* The activation that attributes `activation` (and prefix_alpha, _beta or a list) name, if any. */
lmn_ref lmn_map_activation(lmn_map *m, lmn_ref x, const char *name, const float *params, int32_t n);

static inline lmn_attr lmn_map_i(const char *name, int64_t v)
{
    return (lmn_attr){.name = name, .type = LMN_ATTR_INT, .n = 1, .u.i = v};
}
static inline lmn_attr lmn_map_f(const char *name, float v)
{
    return (lmn_attr){.name = name, .type = LMN_ATTR_FLOAT, .n = 1, .u.f = v};
}
static inline lmn_attr lmn_map_ints(const char *name, const int64_t *v, int32_t n)
{
    return (lmn_attr){.name = name, .type = LMN_ATTR_INTS, .n = n, .u.ints = v};
}
lmn_attr lmn_map_s(const char *name, const char *v);
/* The node's own attributes of these names (NULL ends the list), into out; returns their number. */
int32_t lmn_map_copy(const lmn_map *m, const char *const *names, lmn_attr *out);

/* Types. */
#define LMN_D_I32 LMN_DBIT(LAMINA_I32)
#define LMN_D_I64 LMN_DBIT(LAMINA_I64)
#define LMN_D_F32 LMN_DBIT(LAMINA_F32)
#define LMN_D_8BIT (LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8))

/* An operator that its mapping replaces altogether: IN, OUT and ATTRS stand above it. */
#define LMN_MS_MAPPED(Name, canon_fn)                     \
    const lmn_op_def lmn_op_Ms##Name = {.domain = LMN_MS, \
                                        .name = #Name,    \
                                        .since = 1,       \
                                        .in = IN,         \
                                        .out = OUT,       \
                                        .attrs = ATTRS,   \
                                        .canon = canon_fn}

#endif
