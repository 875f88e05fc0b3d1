/*
 * Chains for the fuzzer: nodes behind the drawn one, each reading any values made before it or a
 * small constant. Most operators here take every shape, so that many chains run; the rest are
 * refused, and that is looked at too. The last link is an output of the model.
 */
#include "props.h"

#include <stdio.h>

/* ins: v = a value made before, f = a float constant, i = an integer constant of a few entries.
   attr: an integer, drawn from -1 to 2. */
static const struct {
    const char *op, *ins, *attr;
} LINKS[] = {
    {"Relu", "v", ""},
    {"Neg", "v", ""},
    {"Identity", "v", ""},
    {"Sigmoid", "v", ""},
    {"Erf", "v", ""},
    {"Tanh", "v", ""},
    {"Sqrt", "v", ""},
    {"Not", "v", ""},
    {"Dropout", "v", ""},
    {"Transpose", "v", ""},
    {"Softmax", "v", "axis"},
    {"Flatten", "v", "axis"},
    {"Shape", "v", "start"},
    {"Size", "v", ""},
    {"NonZero", "v", ""},
    {"Unique", "v", "axis"},
    {"Split", "v", "num_outputs"},
    {"Cast", "v", "to"},
    {"ReduceSum", "vi", "keepdims"},
    {"ReduceMax", "v", "keepdims"},
    {"ReduceMean", "vi", "noop_with_empty_axes"},
    {"ArgMax", "v", "axis"},
    {"CumSum", "vi", "reverse"},
    {"TopK", "vi", "axis"},
    {"Reshape", "vi", "allowzero"},
    {"Reshape", "vv", ""},
    {"Expand", "vi", ""},
    {"Expand", "vv", ""},
    {"Tile", "vi", ""},
    {"Tile", "vv", ""},
    {"Pad", "vi", ""},
    {"Gather", "vi", "axis"},
    {"Gather", "vv", "axis"},
    {"GatherND", "vv", "batch_dims"},
    {"Slice", "vii", ""},
    {"Slice", "vvi", ""},
    {"Squeeze", "vi", ""},
    {"Unsqueeze", "vi", ""},
    {"ConstantOfShape", "v", ""},
    {"Range", "vvi", ""},
    {"OneHot", "vii", "axis"},
    {"ScatterND", "vvv", ""},
    {"ScatterElements", "vvv", "axis"},
    {"Add", "vv", ""},
    {"Add", "vf", ""},
    {"Mul", "vv", ""},
    {"Mul", "vf", ""},
    {"Sub", "vv", ""},
    {"Div", "vv", ""},
    {"Div", "vi", ""},
    {"Mod", "vi", "fmod"},
    {"Max", "vv", ""},
    {"Pow", "vv", ""},
    {"BitShift", "vv", ""},
    {"Equal", "vv", ""},
    {"Where", "vvv", ""},
    {"Concat", "vv", "axis"},
    {"Concat", "v", "axis"},
    {"MatMul", "vv", ""},
    {"Gemm", "vv", "transA"},
    {"LayerNormalization", "vf", "axis"},
    {"QuantizeLinear", "vf", "axis"},
    {"DequantizeLinear", "vf", "axis"},
    {"SequenceConstruct", "vv", ""},
    {"SequenceAt", "vi", ""},
    {"ConcatFromSequence", "v", "axis"},
    {"SplitToSequence", "v", "axis"},
    {"Resize", "vff", ""},
};

static void draw_constant(pr_draw *d, lamina_engine *maker, pr_link *k, bool real)
{
    const int64_t n = pr_int(d, 0, 4);
    if (k->c) return;
    if (lamina_tensor_create(maker, real ? LAMINA_F32 : LAMINA_I64, n > 0, &n, &k->c)) return;
    const pr_style style = d->style;
    if (!real && pr_chance(d, 85)) d->style = PR_SMALL;
    pr_fill(d, k->c, 1, 0);
    d->style = style;
}

static void draw_attr(pr_draw *d, pr_link *k, const char *name)
{
    pr_bytes a = {0};
    if (!*name || pr_chance(d, 30)) return;
    int64_t v = strcmp(name, "to") == 0 ? pr_int(d, 1, LAMINA_DTYPE_COUNT - 1) : pr_int(d, -1, 2);
    if (pr_chance(d, d->hostile)) v = INT64_MIN + pr_int(d, 0, 1);
    pr_field_str(&a, 1, name);
    pr_field_int(&a, 3, (uint64_t)v);
    pr_field_int(&a, 20, LMN_ATTR_INT);
    pr_field_bytes(&k->attrs, 5, a.p, a.n);
    pr_free(&a);
}

void pr_links_draw(pr_draw *d, lamina_engine *maker)
{
    d->n_tail = 0;
    for (int64_t n = pr_chance(d, 40) ? 0 : pr_int(d, 1, PR_MAX_LINKS); n; n--) {
        pr_link *k = &d->link[d->n_links];
        const size_t which = (size_t)pr_int(d, 0, (int64_t)LMN_COUNT(LINKS) - 1);
        *k = (pr_link){.op = LINKS[which].op};
        pr_say(&d->text, " %s(", k->op);
        for (const char *s = LINKS[which].ins; *s; s++) {
            /* Mostly what was made last: a chain. */
            const int32_t made = d->n_out + d->n_links;
            const int32_t from = pr_chance(d, 60) ? made - 1 : (int32_t)pr_int(d, 0, made - 1);
            if (*s != 'v') draw_constant(d, maker, k, *s == 'f');
            k->in[k->n_in++] = *s == 'v' ? from : -1;
            pr_say(&d->text, " %d", k->in[k->n_in - 1]);
        }
        draw_attr(d, k, LINKS[which].attr);
        pr_say(&d->text, ")");
        d->n_links++;
    }
}

void pr_links_free(pr_draw *d)
{
    for (int32_t i = 0; i < d->n_links; i++) {
        lamina_tensor_unref(d->link[i].c);
        pr_free(&d->link[i].attrs);
    }
}

void pr_links_put(const pr_draw *d, pr_bytes *graph)
{
    char name[16];
    for (int32_t i = 0; i < d->n_links; i++) {
        const pr_link *k = &d->link[i];
        pr_bytes node = {0}, t = {0};
        for (int32_t j = 0; j < k->n_in; j++) {
            const int32_t v = k->in[j], n = d->n_out;
            (void)snprintf(name, sizeof name,
                           v < 0   ? "c%d"
                           : v < n ? "y%d"
                                   : "l%d",
                           v < 0   ? i
                           : v < n ? v
                                   : v - n);
            pr_field_str(&node, 1, name);
        }
        if (k->c) {
            (void)snprintf(name, sizeof name, "c%d", i);
            pr_tensor(&t, name, k->c);
            pr_field_bytes(graph, 5, t.p, t.n);
            pr_free(&t);
        }
        (void)snprintf(name, sizeof name, "l%d", i);
        pr_field_str(&node, 2, name);
        pr_field_str(&node, 4, k->op);
        pr_put(&node, k->attrs.p, k->attrs.n);
        pr_field_bytes(graph, 1, node.p, node.n);
        pr_free(&node);
        if (i + 1 < d->n_links) continue;
        pr_bytes info = {0};
        pr_field_str(&info, 1, name);
        pr_field_bytes(graph, 12, info.p, info.n);
        pr_free(&info);
    }
}
