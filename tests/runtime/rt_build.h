/*
 * Test helper: the parts of a small model, message by message.
 */
#ifndef LMN_TESTS_RT_BUILD_H
#define LMN_TESTS_RT_BUILD_H

#include "formats/pbuild.h"

/* NodeProto: inputs and outputs are names between spaces; `attr` is a complete AttributeProto or
   NULL. */
LMN_UNUSED static void rt_node(pb *graph, const char *op, const char *ins, const char *outs,
                               const pb *attr)
{
    static pb n;
    const char *lists[2] = {ins, outs};
    n.n = 0;
    for (uint32_t f = 0; f < 2; f++)
        for (const char *s = lists[f]; *s;) {
            const size_t len = strcspn(s, " ");
            pb_bytes(&n, f + 1, s, len == 1 && *s == '-' ? 0 : len);
            s += len + (s[len] == ' ');
        }
    pb_str(&n, 3, outs);
    pb_str(&n, 4, op);
    if (attr) pb_msg(&n, 5, attr);
    pb_msg(graph, 1, &n);
}

/* AttributeProto with a graph, or with an integer. */
LMN_UNUSED static void rt_attr_graph(pb *a, const char *name, const pb *graph)
{
    a->n = 0;
    pb_str(a, 1, name);
    pb_msg(a, 6, graph);
    pb_int(a, 20, 5);
}
LMN_UNUSED static void rt_attr_int(pb *a, const char *name, uint64_t v)
{
    a->n = 0;
    pb_str(a, 1, name);
    pb_int(a, 3, v);
    pb_int(a, 20, 2);
}

/* ValueInfoProto of a tensor as field `num`: dims are sizes or names between spaces, "" = scalar.
 */
LMN_UNUSED static void rt_port(pb *graph, uint32_t num, const char *name, lamina_dtype dt,
                               const char *dims)
{
    static pb v, type, tensor, shape, dim;
    v.n = type.n = tensor.n = shape.n = 0;
    for (const char *s = dims; *s;) {
        const size_t len = strcspn(s, " ");
        dim.n = 0;
        if (*s >= '0' && *s <= '9')
            pb_int(&dim, 1, strtoull(s, NULL, 10));
        else
            pb_bytes(&dim, 2, s, len);
        pb_msg(&shape, 1, &dim);
        s += len + (s[len] == ' ');
    }
    pb_int(&tensor, 1, (uint64_t)dt);
    pb_msg(&tensor, 2, &shape);
    pb_msg(&type, 1, &tensor);
    pb_str(&v, 1, name);
    pb_msg(&v, 2, &type);
    pb_msg(graph, num, &v);
}

/* TensorProto initialiser with raw data. */
LMN_UNUSED static void rt_weight(pb *graph, const char *name, lamina_dtype dt, int32_t rank,
                                 const int64_t *dims, const void *data, size_t bytes)
{
    static pb t;
    t.n = 0;
    for (int32_t i = 0; i < rank; i++) pb_int(&t, 1, (uint64_t)dims[i]);
    pb_int(&t, 2, (uint64_t)dt);
    pb_str(&t, 8, name);
    pb_bytes(&t, 9, data, bytes);
    pb_msg(graph, 5, &t);
}

/* y = x after n turns of "v = op(ins)" in a Loop, where v is "v_in" and of `dims`, as is what is
   captured (or NULL). */
LMN_UNUSED static void rt_looped(pb *bytes, int64_t n, const char *op, const char *ins,
                                 const char *dims, const char *captured)
{
    static pb g, body, attr;
    const uint8_t yes = 1;
    body.n = g.n = bytes->n = 0;
    rt_node(&body, "Identity", "c_in", "c_out", NULL);
    rt_node(&body, op, ins, "v_out", NULL);
    pb_str(&body, 2, "body");
    rt_port(&body, 11, "i", LAMINA_I64, "");
    rt_port(&body, 11, "c_in", LAMINA_BOOL, "");
    rt_port(&body, 11, "v_in", LAMINA_F32, dims);
    rt_port(&body, 12, "c_out", LAMINA_BOOL, "");
    rt_port(&body, 12, "v_out", LAMINA_F32, dims);
    rt_attr_graph(&attr, "body", &body);
    rt_node(&g, "Loop", "n c x", "y", &attr);
    pb_str(&g, 2, "g");
    rt_weight(&g, "n", LAMINA_I64, 0, NULL, &n, sizeof n);
    rt_weight(&g, "c", LAMINA_BOOL, 0, NULL, &yes, 1);
    rt_port(&g, 11, "x", LAMINA_F32, dims);
    if (captured) rt_port(&g, 11, captured, LAMINA_F32, dims);
    rt_port(&g, 12, "y", LAMINA_F32, dims);
    pb_model(bytes, &g);
}

#endif
