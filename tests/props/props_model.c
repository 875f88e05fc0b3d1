/*
 * A draw as an ONNX file, field by field (numbers of onnx.proto). Constants lie where the bytes
 * before them end, so their addresses are as odd as those of a mapped file.
 */
#include "props.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pbwire.h"

void pr_put(pr_bytes *b, const void *p, size_t n)
{
    if (!n) return;
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2 + 64;
        b->p = realloc(b->p, b->cap);
        if (!b->p) abort();
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void pr_say(pr_bytes *b, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0) pr_put(b, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

void pr_free(pr_bytes *b)
{
    free(b->p);
    *b = (pr_bytes){0};
}

void pr_field_int(pr_bytes *b, uint32_t num, uint64_t v)
{
    uint8_t w[20];
    const size_t k = lmn_pb_put_varint(w, num << 3 | LMN_PB_VARINT);
    pr_put(b, w, k + lmn_pb_put_varint(w + k, v));
}

void pr_field_bytes(pr_bytes *b, uint32_t num, const void *p, size_t n)
{
    uint8_t w[20];
    const size_t k = lmn_pb_put_varint(w, num << 3 | LMN_PB_BYTES);
    pr_put(b, w, k + lmn_pb_put_varint(w + k, n));
    pr_put(b, p, n);
}

void pr_field_str(pr_bytes *b, uint32_t num, const char *s)
{
    pr_field_bytes(b, num, s, strlen(s));
}

void pr_field_msg(pr_bytes *b, uint32_t num, pr_bytes *m)
{
    pr_field_bytes(b, num, m->p, m->n);
    pr_free(m);
}

void pr_tensor(pr_bytes *b, const char *name, const lamina_tensor *t)
{
    for (int32_t i = 0; i < t->rank; i++) pr_field_int(b, 1, (uint64_t)t->dims[i]);
    pr_field_int(b, 2, (uint64_t)t->dtype);
    if (name) pr_field_str(b, 8, name);
    if (t->dtype != LAMINA_STRING) {
        pr_field_bytes(b, 9, t->data, lamina_tensor_bytes(t));
        return;
    }
    for (int64_t i = 0; i < lamina_tensor_count(t); i++) {
        size_t n = 0;
        const char *s = lamina_tensor_string(t, i, &n);
        pr_field_bytes(b, 6, s, n);
    }
}

static void put_shape(pr_bytes *b, const pr_input *in, int32_t k)
{
    pr_bytes shape = {0};
    for (int32_t i = 0; i < in->t->rank; i++) {
        pr_bytes dim = {0};
        char name[32];
        (void)snprintf(name, sizeof name, "D%d_%d", k, i);
        if (in->shown == PR_SYMBOLIC && in->dim_mask >> i & 1)
            pr_field_str(&dim, 2, name);
        else
            pr_field_int(&dim, 1, (uint64_t)in->t->dims[i]);
        pr_field_msg(&shape, 1, &dim);
    }
    pr_field_msg(b, 2, &shape);
}

/* ValueInfoProto of input k. */
static void put_input(pr_bytes *graph, const pr_input *in, int32_t k)
{
    pr_bytes info = {0}, type = {0}, tensor = {0};
    char name[16];
    (void)snprintf(name, sizeof name, "x%d", k);
    pr_field_int(&tensor, 1, (uint64_t)in->t->dtype);
    if (in->shown != PR_UNRANKED && !in->sequence) put_shape(&tensor, in, k);
    pr_field_msg(&type, 1, &tensor);
    if (in->sequence) {
        pr_bytes seq = {0}, outer = {0};
        pr_field_msg(&seq, 1, &type);
        pr_field_msg(&outer, 4, &seq);
        type = outer;
    }
    pr_field_str(&info, 1, name);
    pr_field_msg(&info, 2, &type);
    pr_field_msg(graph, 11, &info);
}

static void put_node(const pr_draw *d, pr_bytes *graph)
{
    pr_bytes node = {0};
    char name[16];
    for (int32_t i = 0; i < d->n_in && !d->in[i].captured; i++) {
        (void)snprintf(name, sizeof name, "x%d", i);
        pr_field_str(&node, 1, d->in[i].absent ? "" : name);
    }
    for (int32_t i = 0; i < d->n_out; i++) {
        (void)snprintf(name, sizeof name, "y%d", i);
        pr_field_str(&node, 2, d->out_mask >> i & 1 ? name : "");
    }
    pr_field_str(&node, 3, "node");
    pr_field_str(&node, 4, d->op->name);
    pr_put(&node, d->attrs.p, d->attrs.n);
    if (*d->op->domain) pr_field_str(&node, 7, d->op->domain);
    pr_field_msg(graph, 1, &node);
}

static void put_tail(const pr_draw *d, pr_bytes *graph)
{
    for (int32_t i = 0; i < d->n_tail; i++) {
        pr_bytes node = {0}, one = {0};
        char from[16], to[16], arg[16];
        (void)snprintf(from, sizeof from, i ? "t%d" : "y%d", i ? i - 1 : 0);
        (void)snprintf(to, sizeof to, "t%d", i);
        (void)snprintf(arg, sizeof arg, "c%d", i);
        pr_field_str(&node, 1, from);
        if (strcmp(d->tail[i], "Add") == 0 || strcmp(d->tail[i], "Mul") == 0) {
            pr_field_str(&node, 1, arg);
            pr_field_int(&one, 2, LAMINA_F32);
            pr_field_str(&one, 8, arg);
            pr_field_bytes(&one, 9, &d->tail_arg[i], sizeof d->tail_arg[i]);
            pr_field_msg(graph, 5, &one);
        }
        pr_field_str(&node, 2, to);
        pr_field_str(&node, 4, d->tail[i]);
        pr_field_msg(graph, 1, &node);
    }
}

static void put_outputs(const pr_draw *d, pr_bytes *graph)
{
    char name[16];
    for (int32_t i = 0; i < d->n_out; i++) {
        pr_bytes info = {0};
        if (!(d->out_mask >> i & 1)) continue;
        if (i == 0 && d->n_tail)
            (void)snprintf(name, sizeof name, "t%d", d->n_tail - 1);
        else
            (void)snprintf(name, sizeof name, "y%d", i);
        pr_field_str(&info, 1, name);
        pr_field_msg(graph, 12, &info);
    }
}

void pr_model(const pr_draw *d, pr_bytes *out)
{
    pr_bytes graph = {0}, opset = {0}, own = {0};
    put_node(d, &graph);
    put_tail(d, &graph);
    pr_links_put(d, &graph);
    pr_field_str(&graph, 2, "g");
    for (int32_t i = 0; i < d->n_in; i++) {
        const pr_input *in = &d->in[i];
        char name[16];
        if (in->absent) continue;
        if (!in->constant) {
            put_input(&graph, in, i);
            continue;
        }
        pr_bytes t = {0};
        (void)snprintf(name, sizeof name, "x%d", i);
        pr_tensor(&t, name, in->t);
        pr_field_msg(&graph, 5, &t);
    }
    put_outputs(d, &graph);
    pr_field_int(out, 1, 10);
    const bool onnx = !*d->op->domain;
    pr_field_int(&opset, 2, onnx ? (uint64_t)d->opset : 21);
    pr_field_msg(out, 8, &opset);
    if (!onnx) {
        pr_field_str(&own, 1, d->op->domain);
        pr_field_int(&own, 2, (uint64_t)d->opset);
        pr_field_msg(out, 8, &own);
    }
    pr_field_msg(out, 7, &graph);
}
