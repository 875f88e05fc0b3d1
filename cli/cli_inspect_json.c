/*
 * A view as JSON. The page of --html carries the same object, so what a script reads and what a
 * person sees cannot drift apart.
 */
#include "cli_inspect.h"

#include <stdlib.h>

static void member(FILE *f, const char *name, const char *value)
{
    (void)fprintf(f, "\"%s\": ", name);
    cli_json_string(f, value);
}

static void model_json(const look *k, FILE *f)
{
    const lamina_model_info *i = &k->info;
    (void)fprintf(f, "{\"model\": {");
    member(f, "file", k->path);
    (void)fprintf(f, ", ");
    member(f, "producer", i->producer_name);
    (void)fprintf(f, ", ");
    member(f, "producer_version", i->producer_version);
    (void)fprintf(f, ", ");
    member(f, "graph", i->graph_name);
    (void)fprintf(f, ", ");
    member(f, "domain", i->domain);
    (void)fprintf(f, ", ");
    member(f, "doc", i->doc);
    (void)fprintf(f, ", \"ir_version\": %lld, \"model_version\": %lld, \"file_nodes\": %llu, ",
                  (long long)i->ir_version, (long long)i->model_version,
                  (unsigned long long)i->n_nodes);
    (void)fprintf(f, "\"optimized\": %s, \"opsets\": {", k->s ? "true" : "false");
    int64_t version;
    const char *domain;
    for (size_t o = 0; (domain = lamina_view_opset(k->view, o, &version)); o++) {
        (void)fputs(o ? ", " : "", f);
        cli_json_string(f, *domain ? domain : "ai.onnx");
        (void)fprintf(f, ": %lld", (long long)version);
    }
    (void)fprintf(f, "}, \"metadata\": {");
    for (size_t o = 0; o < i->n_meta; o++) {
        const char *key, *value;
        if (lamina_model_meta(k->m, o, &key, &value) != LAMINA_OK) continue;
        (void)fputs(o ? ", " : "", f);
        cli_json_string(f, key);
        (void)fputs(": ", f);
        cli_json_string(f, value);
    }
    (void)fprintf(f, "}}");
}

static void totals_json(const look *k, FILE *f)
{
    const lamina_view_stats *s = &k->stats;
    (void)fprintf(f,
                  ",\n\"totals\": {\"nodes\": %llu, \"params\": %llu, \"param_bytes\": %llu, "
                  "\"peak_bytes\": %llu, \"flops\": %.0f, \"bytes\": %.0f, \"inexact_nodes\": "
                  "%llu}",
                  (unsigned long long)s->n_nodes, (unsigned long long)s->n_params,
                  (unsigned long long)s->param_bytes, (unsigned long long)s->peak_bytes, s->flops,
                  s->bytes, (unsigned long long)s->n_inexact);
    (void)fprintf(f, ",\n\"dims\": {");
    const char *name;
    int64_t value;
    for (size_t i = 0; (name = lamina_view_symbol(k->view, i, &value)); i++) {
        (void)fputs(i ? ", " : "", f);
        cli_json_string(f, name);
        (void)(value >= 0 ? fprintf(f, ": %lld", (long long)value) : fputs(": null", f));
    }
    (void)fprintf(f, "}");
}

static void ops_json(const look *k, FILE *f)
{
    size_t n;
    look_op *ops = look_ops(k, &n);
    (void)fprintf(f, ",\n\"operators\": [");
    for (size_t i = 0; ops && i < n; i++) {
        (void)fputs(i ? ",\n  {" : "\n  {", f);
        member(f, "op", ops[i].op);
        (void)fputs(", ", f);
        member(f, "domain", ops[i].domain);
        (void)fprintf(f,
                      ", \"nodes\": %llu, \"params\": %llu, \"param_bytes\": %llu, \"flops\": "
                      "%.0f, \"bytes\": %.0f}",
                      (unsigned long long)ops[i].nodes, (unsigned long long)ops[i].params,
                      (unsigned long long)ops[i].param_bytes, ops[i].flops, ops[i].bytes);
    }
    (void)fprintf(f, "\n]");
    free(ops);
}

typedef int64_t (*at_fn)(const lamina_view *v, size_t i, size_t k);

static void numbers(FILE *f, const char *name, const look *k, at_fn at, size_t i, size_t n)
{
    (void)fprintf(f, ", \"%s\": [", name);
    for (size_t o = 0; o < n; o++)
        (void)fprintf(f, "%s%lld", o ? "," : "", (long long)at(k->view, i, o));
    (void)fprintf(f, "]");
}

static void graphs_json(const look *k, FILE *f)
{
    (void)fprintf(f, ",\n\"graphs\": [");
    for (size_t i = 0; i < k->stats.n_graphs; i++) {
        lamina_view_graph g = {.size = sizeof g};
        if (lamina_view_get_graph(k->view, i, &g) != LAMINA_OK) continue;
        (void)fputs(i ? ",\n  {" : "\n  {", f);
        member(f, "name", g.name);
        (void)fprintf(f, ", \"parent\": %lld, ", (long long)g.parent);
        member(f, "attribute", g.attr);
        (void)fprintf(f, ", \"first_node\": %llu, \"nodes\": %llu, \"captures\": %llu",
                      (unsigned long long)g.first_node, (unsigned long long)g.n_nodes,
                      (unsigned long long)g.n_captures);
        numbers(f, "inputs", k, lamina_view_graph_input, i, (size_t)g.n_inputs);
        numbers(f, "outputs", k, lamina_view_graph_output, i, (size_t)g.n_outputs);
        (void)fprintf(f, "}");
    }
    (void)fprintf(f, "\n]");
}

static void node_json(const look *k, FILE *f, size_t i)
{
    lamina_view_node n = {.size = sizeof n};
    if (lamina_view_get_node(k->view, i, &n) != LAMINA_OK) return;
    (void)fputs(i ? ",\n  {" : "\n  {", f);
    member(f, "op", n.op);
    (void)fputs(", ", f);
    member(f, "name", n.name);
    (void)fputs(", ", f);
    member(f, "domain", n.domain);
    (void)fprintf(f, ", \"opset\": %d, \"graph\": %u", n.opset, n.graph);
    numbers(f, "inputs", k, lamina_view_input, i, n.n_inputs);
    numbers(f, "outputs", k, lamina_view_output, i, n.n_outputs);
    (void)fprintf(f, ", \"attributes\": {");
    for (size_t a = 0; a < n.n_attrs; a++) {
        char text[512];
        const char *name = lamina_view_attr(k->view, i, a, text, sizeof text);
        if (!name) continue;
        (void)fputs(a ? ", " : "", f);
        cli_json_string(f, name);
        (void)fputs(": ", f);
        cli_json_string(f, text);
    }
    uint64_t elems, bytes;
    look_params(k, i, &n, &elems, &bytes);
    (void)fprintf(f,
                  "}, \"params\": %llu, \"param_bytes\": %llu, \"flops\": %.0f, \"bytes\": %.0f, "
                  "\"exact\": %s",
                  (unsigned long long)elems, (unsigned long long)bytes, n.flops, n.bytes,
                  n.exact ? "true" : "false");
    if (*n.kernel) {
        (void)fputs(", ", f);
        member(f, "device", n.device);
        (void)fputs(", ", f);
        member(f, "kernel", n.kernel);
        (void)fputs(", ", f);
        member(f, "reason", n.reason);
    }
    (void)fprintf(f, "}");
}

static void value_json(const look *k, FILE *f, size_t i)
{
    lamina_view_value v = {.size = sizeof v};
    if (lamina_view_get_value(k->view, i, &v) != LAMINA_OK) return;
    (void)fputs(i ? ",\n  {" : "\n  {", f);
    member(f, "name", v.name);
    (void)fputs(", ", f);
    member(f, "type", v.type);
    (void)fprintf(
        f, ", \"dtype\": \"%s\", \"shape\": ", v.dtype ? lamina_dtype_name(v.dtype) : "unknown");
    if (v.rank < 0) (void)fprintf(f, "null");
    for (int32_t d = 0; d < v.rank; d++) {
        (void)fputc(d ? ',' : '[', f);
        (void)(v.dims[d] >= 0 ? fprintf(f, "%lld", (long long)v.dims[d]) : fputs("null", f));
    }
    if (v.rank >= 0) (void)fputs(v.rank ? "]" : "[]", f);
    (void)fprintf(f, ", \"bytes\": %llu, \"constant\": %s, \"producer\": %lld}",
                  (unsigned long long)v.bytes, v.constant ? "true" : "false",
                  (long long)v.producer);
}

void look_json(const look *k, FILE *f, bool (*extra)(const look *k, FILE *f))
{
    model_json(k, f);
    totals_json(k, f);
    ops_json(k, f);
    graphs_json(k, f);
    (void)fprintf(f, ",\n\"nodes\": [");
    for (size_t i = 0; i < k->stats.n_nodes; i++) node_json(k, f, i);
    (void)fprintf(f, "\n],\n\"values\": [");
    for (size_t i = 0; i < k->stats.n_values; i++) value_json(k, f, i);
    (void)fprintf(f, "\n]");
    if (extra) (void)extra(k, f);
    (void)fprintf(f, "}\n");
}
