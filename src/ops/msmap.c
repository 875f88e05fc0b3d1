/*
 * Building blocks of the com.microsoft mappings (msmap.h).
 */
#include "ops/msmap.h"

#include <string.h>

enum { MAX_IN = 1024, MAX_OUT = 8 };

/* The checks of inference, run before any node is appended: counts, attributes, types. */
static lamina_status check_node(lmn_canon *c)
{
    const lmn_fact *in[MAX_IN];
    lmn_fact out[MAX_OUT];
    if (c->n_in > MAX_IN)
        return lmn_canon_fail(c, LAMINA_E_LIMIT, NULL, "has %d inputs, at most %d are supported",
                              c->n_in, MAX_IN);
    for (int32_t i = 0; i < c->n_in; i++) in[i] = c->in[i] ? c->b->fact(c->b->ctx, c->in[i]) : NULL;
    lmn_op_def checks_only = *c->node->def;
    checks_only.infer = NULL;
    checks_only.flags = 0;
    lmn_opnode node = *c->node;
    node.def = &checks_only;
    lmn_infer ic = {.node = &node, .in = in, .out = out, .diags = c->diags, .at = c->at};
    return lmn_op_infer(&ic);
}

lmn_map lmn_map_begin(lmn_canon *c)
{
    return (lmn_map){.c = c, .status = check_node(c)};
}

lamina_status lmn_map_end(lmn_map *m)
{
    if (!lmn_map_ok(m)) return m->status;
    m->c->replaced = true;
    for (int32_t i = 0; i < m->c->n_out && i < (int32_t)LMN_COUNT(m->out); i++)
        m->c->out[i] = m->out[i];
    return LAMINA_OK;
}

lmn_ref lmn_map_fail(lmn_map *m, lamina_status status, const char *fix, const char *fmt, ...)
{
    char what[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    if (!lmn_map_ok(m)) return 0;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    m->status = lmn_canon_fail(m->c, status, fix, "%s", what);
    return 0;
}

const lmn_fact *lmn_map_fact(const lmn_map *m, lmn_ref r)
{
    static const lmn_fact nothing = {.rank = -1, .n_elems = -1};
    return r && lmn_map_ok(m) ? m->c->b->fact(m->c->b->ctx, r) : &nothing;
}

int32_t lmn_map_rank(lmn_map *m, lmn_ref r, const char *what)
{
    const int32_t rank = lmn_map_fact(m, r)->rank;
    if (rank < 0)
        (void)lmn_map_fail(m, LAMINA_E_UNSUPPORTED, "declare the shapes of the model's inputs",
                           "needs the rank of %s to be known at load", what);
    return rank;
}

void lmn_map_nodes(lmn_map *m, const char *op, const lmn_ref *in, int32_t n_in,
                   const lmn_attr *attrs, int32_t n_attrs, lmn_ref *out, int32_t n_out)
{
    memset(out, 0, (size_t)n_out * sizeof *out);
    if (!lmn_map_ok(m)) return;
    while (n_in > 0 && !in[n_in - 1]) n_in--; /* trailing absent inputs are not written */
    if (!m->c->b->node(m->c->b->ctx, op, in, n_in, attrs, n_attrs, out, n_out))
        m->status = LAMINA_E_INVALID; /* the builder keeps the sentence and its own status */
}

lmn_ref lmn_map_node(lmn_map *m, const char *op, const lmn_ref *in, int32_t n_in,
                     const lmn_attr *attrs, int32_t n_attrs)
{
    lmn_ref out[1];
    lmn_map_nodes(m, op, in, n_in, attrs, n_attrs, out, 1);
    return lmn_map_ok(m) ? out[0] : 0;
}

lmn_ref lmn_map_un(lmn_map *m, const char *op, lmn_ref a)
{
    return lmn_map_node(m, op, &a, 1, NULL, 0);
}

lmn_ref lmn_map_bin(lmn_map *m, const char *op, lmn_ref a, lmn_ref b)
{
    return lmn_map_node(m, op, (lmn_ref[]){a, b}, 2, NULL, 0);
}

lmn_ref lmn_map_add(lmn_map *m, lmn_ref a, lmn_ref b)
{
    return b ? lmn_map_bin(m, "Add", a, b) : a;
}

lmn_ref lmn_map_cast(lmn_map *m, lmn_ref a, lamina_dtype to)
{
    if (lmn_map_fact(m, a)->dtype == to) return a;
    const lmn_attr attr = lmn_map_i("to", to);
    return lmn_map_node(m, "Cast", &a, 1, &attr, 1);
}

lmn_ref lmn_map_transpose(lmn_map *m, lmn_ref a, const int64_t *perm, int32_t n)
{
    const lmn_attr attr = lmn_map_ints("perm", perm, n);
    return lmn_map_node(m, "Transpose", &a, 1, &attr, 1);
}

lmn_ref lmn_map_reshape(lmn_map *m, lmn_ref a, const int64_t *dims, int32_t n)
{
    return lmn_map_bin(m, "Reshape", a, lmn_map_i64s(m, dims, n));
}

static lmn_ref move_channels(lmn_map *m, lmn_ref a, int32_t rank, bool last)
{
    int64_t perm[LMN_MAX_RANK];
    if (!lmn_map_ok(m)) return 0;
    if (rank < 2 || rank > LMN_MAX_RANK)
        return lmn_map_fail(m, LAMINA_E_SHAPE, NULL, "images have at least rank 2, got %d", rank);
    perm[0] = 0;
    for (int32_t i = 1; i < rank; i++) perm[i] = last ? (i + 1 < rank ? i + 1 : 1) : i - 1;
    if (!last) perm[1] = rank - 1;
    return lmn_map_transpose(m, a, perm, rank);
}

lmn_ref lmn_map_to_nhwc(lmn_map *m, lmn_ref a, int32_t rank)
{
    return move_channels(m, a, rank, true);
}

lmn_ref lmn_map_to_nchw(lmn_map *m, lmn_ref a, int32_t rank)
{
    return move_channels(m, a, rank, false);
}

static lmn_ref constant(lmn_map *m, lamina_dtype dt, int32_t rank, const int64_t *dims,
                        const void *data)
{
    if (!lmn_map_ok(m)) return 0;
    const lmn_ref r = m->c->b->constant(m->c->b->ctx, dt, rank, dims, data);
    if (!r) m->status = LAMINA_E_NOMEM;
    return r;
}

lmn_ref lmn_map_i64s(lmn_map *m, const int64_t *v, int32_t n)
{
    const int64_t dims[1] = {n};
    return constant(m, LAMINA_I64, 1, dims, v);
}

lmn_ref lmn_map_scalar(lmn_map *m, lamina_dtype dt, double v)
{
    uint64_t bits[2] = {0};
    const lmn_dclass c = lmn_dtype_class(dt);
    if (c == LMN_CLASS_NONE || c == LMN_CLASS_STRING || c == LMN_CLASS_COMPLEX)
        return lmn_map_fail(m, LAMINA_E_UNSUPPORTED, "declare the types of the model's inputs",
                            "needs the type of an operand to be known at load");
    lmn_convert(dt, bits, LAMINA_F64, &v, 1, true);
    return constant(m, dt, 0, NULL, bits);
}

lmn_ref lmn_map_dequantize(lmn_map *m, lmn_ref x, lmn_ref scale, lmn_ref zp)
{
    return lmn_map_node(m, "DequantizeLinear", (lmn_ref[]){x, scale, zp}, 3, NULL, 0);
}

lmn_ref lmn_map_quantize(lmn_map *m, lmn_ref x, lmn_ref scale, lmn_ref zp, lamina_dtype like)
{
    const lmn_attr attr = lmn_map_i("output_dtype", like);
    return lmn_map_node(m, "QuantizeLinear", (lmn_ref[]){x, scale, zp}, 3, &attr,
                        zp || !like ? 0 : 1);
}

lmn_ref lmn_map_activation(lmn_map *m, lmn_ref x, const char *name, const float *params, int32_t n)
{
    static const char *const PLAIN[] = {"Relu", "Tanh", "Sigmoid", "Softplus", "Softsign"};
    static const char *const ALPHA[] = {"LeakyRelu", "Elu", "ThresholdedRelu"};
    if (!name || !name[0]) return x;
    for (size_t i = 0; i < LMN_COUNT(PLAIN); i++)
        if (strcmp(name, PLAIN[i]) == 0) return lmn_map_un(m, name, x);
    for (size_t i = 0; i < LMN_COUNT(ALPHA); i++)
        if (strcmp(name, ALPHA[i]) == 0) {
            const lmn_attr a = lmn_map_f("alpha", n > 0 ? params[0] : 0.01f);
            return lmn_map_node(m, name, &x, 1, &a, n > 0 ? 1 : 0);
        }
    if (strcmp(name, "HardSigmoid") == 0) {
        const lmn_attr a[2] = {lmn_map_f("alpha", n > 0 ? params[0] : 0.2f),
                               lmn_map_f("beta", n > 1 ? params[1] : 0.5f)};
        return lmn_map_node(m, name, &x, 1, a, 2);
    }
    if (strcmp(name, "Clip") == 0 && n >= 2) {
        const lamina_dtype dt = lmn_map_fact(m, x)->dtype;
        const lmn_ref lo = lmn_map_scalar(m, dt, (double)params[0]);
        const lmn_ref hi = lmn_map_scalar(m, dt, (double)params[1]);
        return lmn_map_node(m, name, (lmn_ref[]){x, lo, hi}, 3, NULL, 0);
    }
    return lmn_map_fail(m, LAMINA_E_UNSUPPORTED, "use a separate node for it",
                        "activation \"%.40s\" is not supported", name);
}

lmn_attr lmn_map_s(const char *name, const char *v)
{
    /* Attribute strings are only read; the field is not const because file strings are owned. */
    return (lmn_attr){
        .name = name, .type = LMN_ATTR_STRING, .n = 1, .u.s = {(char *)(uintptr_t)v, strlen(v)}};
}

int32_t lmn_map_copy(const lmn_map *m, const char *const *names, lmn_attr *out)
{
    int32_t n = 0;
    for (; *names; names++) {
        const lmn_attr *a = lmn_attr_find(m->c->node, *names);
        if (a) out[n++] = *a;
    }
    return n;
}
