/*
 * Test helper: protobuf messages in fixed buffers, for models that no exporter would write.
 */
#ifndef LMN_TESTS_FORMATS_PBUILD_H
#define LMN_TESTS_FORMATS_PBUILD_H

#include "base/pbwire.h"
#include "t.h"

typedef struct pb {
    uint8_t p[16384];
    size_t n;
} pb;

LMN_UNUSED static void pb_raw(pb *b, const void *p, size_t n)
{
    if (n > sizeof b->p - b->n) {
        t_fail(__FILE__, __LINE__, "message too large");
        return;
    }
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
}

LMN_UNUSED static void pb_bytes(pb *b, uint32_t num, const void *p, size_t n)
{
    uint8_t v[20];
    size_t k = lmn_pb_put_varint(v, num << 3 | LMN_PB_BYTES);
    k += lmn_pb_put_varint(v + k, n);
    pb_raw(b, v, k);
    pb_raw(b, p, n);
}

LMN_UNUSED static void pb_int(pb *b, uint32_t num, uint64_t x)
{
    uint8_t v[20];
    size_t k = lmn_pb_put_varint(v, num << 3 | LMN_PB_VARINT);
    pb_raw(b, v, k + lmn_pb_put_varint(v + k, x));
}

LMN_UNUSED static void pb_str(pb *b, uint32_t num, const char *s)
{
    pb_bytes(b, num, s, strlen(s));
}
LMN_UNUSED static void pb_msg(pb *b, uint32_t num, const pb *m)
{
    pb_bytes(b, num, m->p, m->n);
}

/* NodeProto with one input and one output ("" = none) appended to `to` as field `num`. */
LMN_UNUSED static void pb_node(pb *to, uint32_t num, const char *domain, const char *op,
                               const char *in, const char *out)
{
    static pb n;
    n.n = 0;
    if (*in) pb_str(&n, 1, in);
    if (*out) pb_str(&n, 2, out);
    pb_str(&n, 4, op);
    if (*domain) pb_str(&n, 7, domain);
    pb_msg(to, num, &n);
}

/* ValueInfoProto: a float tensor of shape [N]. */
LMN_UNUSED static void pb_info(pb *to, uint32_t num, const char *name)
{
    static pb v, type, tensor, shape, dim;
    v.n = type.n = tensor.n = shape.n = dim.n = 0;
    pb_str(&dim, 2, "N");
    pb_msg(&shape, 1, &dim);
    pb_int(&tensor, 1, 1);
    pb_msg(&tensor, 2, &shape);
    pb_msg(&type, 1, &tensor);
    pb_str(&v, 1, name);
    pb_msg(&v, 2, &type);
    pb_msg(to, num, &v);
}

LMN_UNUSED static void pb_opset(pb *to, uint32_t num, const char *domain, uint64_t version)
{
    static pb o;
    o.n = 0;
    if (*domain) pb_str(&o, 1, domain);
    pb_int(&o, 2, version);
    pb_msg(to, num, &o);
}

/* ModelProto around a graph, opset 17 and domain "my" 1. */
LMN_UNUSED static void pb_model(pb *m, const pb *graph)
{
    m->n = 0;
    pb_int(m, 1, 8);
    pb_opset(m, 8, "", 17);
    pb_opset(m, 8, "my", 1);
    pb_msg(m, 7, graph);
}

#endif
