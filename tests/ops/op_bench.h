/*
 * One operator on a test bench: set inputs and attributes by name, infer facts, evaluate, look at
 * the results. Inputs belong to the bench; op_end releases everything. Out of memory while building
 * a bench fails the test.
 */
#ifndef LMN_TESTS_OP_BENCH_H
#define LMN_TESTS_OP_BENCH_H

#include "ops/op.h"
#include "t.h"

#define OP_MAX 12

typedef struct op_bench {
    t_env *env;
    lmn_opnode node;
    lmn_attr attrs[OP_MAX];
    lamina_tensor *in[OP_MAX];
    lmn_fact facts[OP_MAX];
    bool has_fact[OP_MAX];
    lamina_tensor slots[OP_MAX], *out[OP_MAX];
    lmn_fact out_facts[OP_MAX];
    void *plan_data[OP_MAX];
    size_t plan_bytes[OP_MAX];
    const lmn_par *par;
    lmn_dim_pool *dims;
    lmn_arena arena;
    lamina_error err;
} op_bench;

LMN_UNUSED static void op_begin(op_bench *b, t_env *env, const char *name, int32_t n_out)
{
    memset(b, 0, sizeof *b);
    b->env = env;
    b->node = (lmn_opnode){
        .def = lmn_op_find("", name), .name = "n", .opset = 28, .n_out = n_out, .attrs = b->attrs};
    if (!b->node.def) t_fail(__FILE__, __LINE__, "no operator %s", name);
    lmn_arena_init(&b->arena, &env->alloc, 0);
    T_OK(lmn_dim_pool_create(&env->alloc, 0, &b->dims));
    for (int32_t i = 0; i < n_out; i++) {
        b->slots[i] = (lamina_tensor){.kind = LAMINA_KIND_NONE, .engine = env->engine};
        b->out[i] = &b->slots[i];
    }
}

LMN_UNUSED static void op_end(op_bench *b)
{
    for (int32_t i = 0; i < OP_MAX; i++) {
        lamina_tensor_unref(b->in[i]);
        lmn_slot_clear(&b->slots[i]);
    }
    lmn_dim_pool_destroy(b->dims);
    lmn_arena_finish(&b->arena);
}

LMN_UNUSED static void op_attr(op_bench *b, lmn_attr a)
{
    b->attrs[b->node.n_attrs++] = a;
}
LMN_UNUSED static void op_attr_i(op_bench *b, const char *name, int64_t v)
{
    op_attr(b, (lmn_attr){.name = name, .type = LMN_ATTR_INT, .n = 1, .u.i = v});
}
LMN_UNUSED static void op_attr_f(op_bench *b, const char *name, float v)
{
    op_attr(b, (lmn_attr){.name = name, .type = LMN_ATTR_FLOAT, .n = 1, .u.f = v});
}
LMN_UNUSED static void op_attr_s(op_bench *b, const char *name, char *v)
{
    op_attr(b, (lmn_attr){.name = name, .type = LMN_ATTR_STRING, .n = 1, .u.s = {v, strlen(v)}});
}

/* The next input: absent, a fact, or a tensor of `v` (integer types too; NULL = uninitialised). */
LMN_UNUSED static void op_absent(op_bench *b)
{
    b->node.n_in++;
}
LMN_UNUSED static void op_fact(op_bench *b, lmn_fact f)
{
    b->has_fact[b->node.n_in] = true;
    b->facts[b->node.n_in++] = f;
}
LMN_UNUSED static lamina_tensor *op_in(op_bench *b, lamina_dtype dt, int32_t rank,
                                       const int64_t *dims, const double *v)
{
    lamina_tensor *t = NULL;
    if (!T_OK(lamina_tensor_create(b->env->engine, dt, rank, dims, &t))) return NULL;
    const lmn_dclass c = lmn_dtype_class(dt);
    for (int64_t i = 0; v && i < lmn_count(t); i++) {
        if (c == LMN_CLASS_FLOAT)
            lmn_set_f64(t, i, v[i]);
        else
            lmn_set_i64(t, i, (int64_t)v[i]);
    }
    const int32_t k = b->node.n_in++;
    b->in[k] = t;
    b->has_fact[k] = true;
    b->facts[k] = lmn_fact_of(t, &b->arena);
    return t;
}
LMN_UNUSED static void op_in1(op_bench *b, lamina_dtype dt, double v)
{
    (void)op_in(b, dt, 0, NULL, &v);
}

LMN_UNUSED static lamina_status op_infer(op_bench *b)
{
    const lmn_fact *in[OP_MAX];
    const lamina_tensor *data[OP_MAX];
    lmn_diags diags;
    lmn_diags_init(&diags, &b->env->alloc);
    for (int32_t i = 0; i < OP_MAX; i++) {
        in[i] = b->has_fact[i] ? &b->facts[i] : NULL;
        data[i] = b->in[i];
        b->out_facts[i] = lmn_fact_unknown();
    }
    lmn_infer ic = {.node = &b->node,
                    .dims = b->dims,
                    .arena = &b->arena,
                    .in = in,
                    .in_const = data,
                    .out = b->out_facts,
                    .diags = &diags,
                    .at = {.node = b->node.name, .op = b->node.def->name, .opset = b->node.opset}};
    const lamina_status st = lmn_op_infer(&ic);
    (void)lmn_diags_to_error(&diags, &b->err);
    lmn_diags_finish(&diags);
    return st;
}

LMN_UNUSED static lamina_status op_eval(op_bench *b)
{
    lmn_eval ec = {.node = &b->node,
                   .engine = b->env->engine,
                   .n_in = b->node.n_in,
                   .n_out = b->node.n_out,
                   .in = b->in,
                   .out = b->out,
                   .plan_data = b->plan_data,
                   .plan_bytes = b->plan_bytes,
                   .par = b->par,
                   .err = &b->err};
    const lamina_status st = b->node.def->eval(&ec);
    lmn_scratch_release(&ec);
    return st;
}

/* Text of output o's fact. */
LMN_UNUSED static const char *op_out_text(op_bench *b, int32_t o, char buf[128])
{
    (void)lmn_fact_format(b->dims, &b->out_facts[o], buf, 128);
    return buf;
}

#endif
