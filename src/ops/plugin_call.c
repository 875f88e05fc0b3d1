/*
 * Calling a plug-in's operator: the function table it works through, its shape rule, its
 * evaluation.
 *
 * A plug-in is not believed: statuses must be statuses, extents must be numbers or handles that
 * were given out, and after each evaluation every wanted output must exist with the very type and
 * shape that the rule gives for the inputs of this run. The rule runs before each evaluation, so
 * that `eval` never meets shapes that `infer` refuses.
 */
#include "ops/node.h"
#include "ops/plugin.h"

#include <string.h>

#define MAX_HANDLES 256
#define SENTENCE 300

struct lamina_shapes {
    lmn_infer *ic;
    lamina_status refused;     /* the first refusal, also one that the plug-in passes over */
    int32_t n_handles;         /* expressions given out */
    lmn_dim expr[MAX_HANDLES]; /* handle -2 - i */
};

static bool is_status(lamina_status st)
{
    return strcmp(lamina_status_name(st), "E_UNKNOWN") != 0;
}

/* ---- shapes ------------------------------------------------------------------------------------
 */

static lamina_dim give(lamina_shapes *s, lmn_dim d)
{
    if (lmn_dim_is_const(d)) return lmn_dim_value(d) >= 0 ? lmn_dim_value(d) : LAMINA_DIM_UNKNOWN;
    if (!lmn_dim_known(d)) return LAMINA_DIM_UNKNOWN;
    int32_t i = 0;
    while (i < s->n_handles && s->expr[i] != d) i++;
    if (i == MAX_HANDLES) return LAMINA_DIM_UNKNOWN;
    if (i == s->n_handles) s->expr[s->n_handles++] = d;
    return -2 - (lamina_dim)i;
}

/* False for a handle that was never given out. */
static bool take(const lamina_shapes *s, lamina_dim d, lmn_dim *out)
{
    *out = d >= 0 ? lmn_dim_c(d) : LMN_DIM_UNKNOWN;
    if (d >= LAMINA_DIM_UNKNOWN) return true;
    const int64_t i = -(d + 2);
    if (i >= s->n_handles) return false;
    *out = s->expr[i];
    return true;
}

static lamina_status host_refuse(lamina_shapes *s, lamina_status status, const char *sentence)
{
    if (status == LAMINA_OK || !is_status(status)) status = LAMINA_E_PROTO;
    if (!s->refused) s->refused = status;
    return lmn_infer_fail(s->ic, status, NULL, "%.*s", SENTENCE,
                          sentence ? sentence : "the plug-in refuses it without a reason");
}

static int32_t host_input_dims(lamina_shapes *s, int32_t i, lamina_dim *dims)
{
    if (i < 0 || !lmn_infer_has(s->ic, i) || !dims) return -1;
    const lmn_fact *f = s->ic->in[i];
    for (int32_t k = 0; k < f->rank; k++) dims[k] = give(s, f->dims[k]);
    return f->rank;
}

static lamina_dim combine(lamina_shapes *s, lamina_dim a, lamina_dim b,
                          lmn_dim (*fn)(lmn_dim_pool *p, lmn_dim a, lmn_dim b))
{
    lmn_dim x, y;
    if (!take(s, a, &x) || !take(s, b, &y) || !lmn_dim_known(x) || !lmn_dim_known(y))
        return LAMINA_DIM_UNKNOWN;
    return give(s, fn(s->ic->dims, x, y));
}
static lamina_dim host_add(lamina_shapes *s, lamina_dim a, lamina_dim b)
{
    return combine(s, a, b, lmn_dim_add);
}
static lamina_dim host_sub(lamina_shapes *s, lamina_dim a, lamina_dim b)
{
    return combine(s, a, b, lmn_dim_sub);
}
static lamina_dim host_mul(lamina_shapes *s, lamina_dim a, lamina_dim b)
{
    return combine(s, a, b, lmn_dim_mul);
}
static lamina_dim host_div(lamina_shapes *s, lamina_dim a, lamina_dim b)
{
    return combine(s, a, b, lmn_dim_floordiv);
}

LMN_PRINTF(3, 4)
static lamina_status lie(lamina_shapes *s, lamina_status status, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(text, sizeof text, fmt, ap);
    va_end(ap);
    return host_refuse(s, status, text);
}

static lamina_status host_output(lamina_shapes *s, int32_t o, lamina_dtype dtype, int32_t rank,
                                 const lamina_dim *dims)
{
    lmn_infer *ic = s->ic;
    if (o < 0 || o >= ic->node->n_out) {
        /* A trailing output may be absent in this node; one that no port describes is a lie. */
        if (o >= 0 && lmn_port_at(ic->node->def->out, o)) return LAMINA_OK;
        return lie(s, LAMINA_E_RANGE, "the plug-in's shape rule sets output %d, there is none", o);
    }
    lmn_fact f = lmn_fact_tensor(dtype ? dtype : ic->out[o].dtype, -1);
    const lmn_port *p = lmn_port_at(ic->node->def->out, o);
    if (dtype && (!lmn_dtype_valid(dtype) || !(p->types & LMN_DBIT(dtype))))
        return lie(s, LAMINA_E_DTYPE,
                   "the plug-in's shape rule gives output %d type %s (%d), its port does not", o,
                   lamina_dtype_name(dtype), dtype);
    if (rank < -1 || rank > LMN_MAX_RANK || (rank > 0 && !dims))
        return lie(s, LAMINA_E_RANGE,
                   "the plug-in's shape rule gives output %d rank %d, possible are -1 to %d", o,
                   rank, LMN_MAX_RANK);
    f.rank = rank;
    for (int32_t k = 0; k < rank; k++)
        if (!take(s, dims[k], &f.dims[k]))
            return lie(s, LAMINA_E_RANGE,
                       "the plug-in's shape rule gives output %d extent %lld, which is no extent",
                       o, (long long)dims[k]);
    ic->out[o] = f;
    return LAMINA_OK;
}

/* ---- calls -------------------------------------------------------------------------------------
 */

static lamina_status host_call_output(lamina_call *call, int32_t i, lamina_dtype dtype,
                                      int32_t rank, const int64_t *dims, lamina_tensor **out)
{
    LMN_CHECK(out && (rank <= 0 || dims) && rank >= 0 && rank <= LMN_MAX_RANK, LAMINA_E_INVALID);
    LMN_CHECK(lmn_dtype_valid(dtype), LAMINA_E_DTYPE);
    return lamina_call_output(call, i, dtype, rank, dims, out);
}

static lamina_status host_call_fail(lamina_call *call, lamina_status status, const char *sentence)
{
    if (status == LAMINA_OK || !is_status(status)) status = LAMINA_E_PROTO;
    return lmn_eval_fail(lmn_call_eval(call), status, "%.*s", SENTENCE,
                         sentence ? sentence : "the plug-in fails without a reason");
}

static const lamina_op_host HOST = {
    .size = sizeof(lamina_op_host),
    .input_count = lamina_node_input_count,
    .output_count = lamina_node_output_count,
    .attr_int = lamina_node_attr_int,
    .attr_float = lamina_node_attr_float,
    .attr_string = lamina_node_attr_string,
    .attr_ints = lamina_node_attr_ints,
    .input_dtype = lamina_node_input_dtype,
    .input_const = lamina_node_input_const,
    .input_dims = host_input_dims,
    .dim_add = host_add,
    .dim_sub = host_sub,
    .dim_mul = host_mul,
    .dim_div = host_div,
    .output = host_output,
    .refuse = host_refuse,
    .call_input = lamina_call_input,
    .call_output = host_call_output,
    .call_scratch = lamina_call_scratch,
    .call_cancelled = lamina_call_cancelled,
    .call_fail = host_call_fail,
    .dtype = lamina_tensor_dtype,
    .rank = lamina_tensor_rank,
    .dims = lamina_tensor_dims,
    .count = lamina_tensor_count,
    .data = lamina_tensor_data,
    .mutable_data = lamina_tensor_mutable_data,
    .string = lamina_tensor_string,
    .set_string = lamina_tensor_set_string,
};

/* ---- the two callbacks -------------------------------------------------------------------------
 */

static const lamina_op_v1 *row_of(const lmn_opnode *n)
{
    return &((const lmn_plugin_op *)n->def)->row;
}

lamina_status lmn_plugin_infer(lmn_infer *ic)
{
    const lamina_op_v1 *row = row_of(ic->node);
    if (!row->infer) {
        for (int32_t o = 0; o < ic->node->n_out && lmn_infer_has(ic, 0); o++) {
            const lamina_dtype dt = ic->out[o].dtype;
            lmn_infer_same(ic, o, 0);
            if (dt) ic->out[o].dtype = dt;
        }
        return LAMINA_OK;
    }
    lamina_shapes s = {.ic = ic};
    const lamina_node node = {ic->node, ic->in, ic->in_const, ic->out, LAMINA_PRECISION_EXACT,
                              NULL,     NULL};
    const lamina_status st = row->infer(&HOST, &node, &s);
    if (s.refused) return s.refused;
    if (st == LAMINA_OK) return LAMINA_OK;
    if (!is_status(st))
        return lie(&s, LAMINA_E_PROTO, "the plug-in's shape rule returned %d, which is no status",
                   st);
    return lie(&s, st, "the plug-in's shape rule refuses it: %s", lamina_status_text(st));
}

/* What the rule says of this call. */
static lamina_status rule_of(lmn_eval *ec, lamina_node *node)
{
    const size_t n_in = (size_t)ec->n_in, n_out = (size_t)ec->n_out;
    lmn_fact *facts = lmn_scratch(ec, (n_in + n_out + 1) * sizeof *facts);
    const lmn_fact **in = lmn_scratch(ec, (n_in + 1) * sizeof *in);
    const lamina_tensor **data = lmn_scratch(ec, (n_in + 1) * sizeof *data);
    if (!facts || !in || !data) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory");
    for (int32_t i = 0; i < ec->n_in; i++) {
        data[i] = lmn_in(ec, i);
        in[i] = data[i] ? &facts[i] : NULL;
        if (data[i]) facts[i] = lmn_fact_of(data[i], NULL);
    }
    lmn_diags diags;
    lmn_diags_init(&diags, &ec->engine->alloc);
    lmn_infer ic = {.node = ec->node,
                    .in = in,
                    .in_const = data,
                    .out = facts + n_in,
                    .diags = &diags,
                    .at = {ec->node->name, ec->node->def->name, ec->node->opset}};
    const lamina_status st = lmn_op_infer(&ic);
    if (st != LAMINA_OK) {
        const lmn_diag *d = diags.n ? diags.items : NULL;
        (void)lmn_eval_fail(ec, st, "%s", d ? d->what : "its shape rule refuses the inputs");
    }
    lmn_diags_finish(&diags);
    *node = (lamina_node){ec->node, in, data, facts + n_in, LAMINA_PRECISION_EXACT, NULL, NULL};
    return st;
}

static bool agrees(const lamina_tensor *t, const lmn_fact *f)
{
    if (f->dtype && f->dtype != t->dtype) return false;
    if (f->kind == LMN_FACT_UNKNOWN || f->rank < 0) return true;
    if (f->rank != t->rank) return false;
    for (int32_t k = 0; k < t->rank; k++)
        if (lmn_dim_is_const(f->dims[k]) && lmn_dim_value(f->dims[k]) != t->dims[k]) return false;
    return true;
}

static lamina_status check_output(lmn_eval *ec, int32_t i, const lmn_fact *rule)
{
    lamina_tensor *t = ec->out[i];
    const lmn_port *p = lmn_port_at(ec->node->def->out, i);
    if (!t) return LAMINA_OK;
    if (t->kind == LAMINA_KIND_NONE)
        return lmn_eval_fail(ec, LAMINA_E_PROTO,
                             "the plug-in returned without making output %d \"%s\"", i, p->name);
    if ((p->types & LMN_DBIT(t->dtype)) && agrees(t, rule)) return LAMINA_OK;
    char made[160], said[160];
    const lmn_fact f = lmn_fact_of(t, NULL);
    (void)lmn_fact_format(NULL, &f, made, sizeof made);
    (void)lmn_fact_format(NULL, rule, said, sizeof said);
    return lmn_eval_fail(ec, LAMINA_E_PROTO,
                         "the plug-in made output %d \"%s\" as %s, its port and shape rule say %s",
                         i, p->name, made, said);
}

lamina_status lmn_plugin_eval(lmn_eval *ec)
{
    lamina_node node;
    LMN_TRY(rule_of(ec, &node));
    /* What an earlier run left in the slots does not count as made; its memory may be used again.
     */
    for (int32_t i = 0; i < ec->n_out; i++)
        if (ec->out[i]) ec->out[i]->kind = LAMINA_KIND_NONE;
    lamina_status st = row_of(ec->node)->eval(&HOST, &node, lmn_eval_call(ec));
    if (!is_status(st))
        st = lmn_eval_fail(ec, LAMINA_E_PROTO, "the plug-in returned %d, which is no status", st);
    for (int32_t i = 0; st == LAMINA_OK && i < ec->n_out; i++)
        st = check_output(ec, i, &node.out[i]);
    for (int32_t i = 0; i < ec->n_out; i++)
        if (ec->out[i] && ec->out[i]->kind == LAMINA_KIND_NONE) lmn_slot_clear(ec->out[i]);
    return st;
}
