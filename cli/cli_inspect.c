/*
 * lamina inspect: what is in a model and what it costs; as text, JSON, or a page with the graph
 * drawn.
 */
#include "cli_inspect.h"

#include <stdlib.h>
#include <string.h>

const char cli_help_inspect[] =
    "usage: lamina inspect MODEL [--dim NAME=N]... [--optimized] [--plugin FILE]...\n"
    "                      [--json | --html FILE]\n\n"
    "Shows what a model holds: producer, opsets, metadata, inputs and outputs, and for every node\n"
    "operator, name, shape, parameters, FLOPs and bytes; sums per operator; the peak of "
    "activation\n"
    "memory. Dimensions that are not known are printed as symbols and count as 1 in all sums.\n\n"
    "  --dim NAME=N   give a free dimension a value; NAME is its symbol, or INPUT.AXIS if it has\n"
    "                 none\n"
    "  --optimized    the graph as it runs: after the passes, with device and kernel of each node\n"
    "  --plugin FILE  operators of a shared library (lamina/plugin.h)\n"
    "  --json         everything, as one JSON object\n"
    "  --html FILE    a page without outside parts: the graph drawn, with search and details\n\n"
    "examples:\n"
    "  lamina inspect model.onnx\n"
    "  lamina inspect bert.onnx --dim batch=1 --dim seq=128\n"
    "  lamina inspect model.onnx --html graph.html\n"
    "  lamina inspect model.onnx --optimized --json | jq '.nodes[].kernel'\n";

int64_t look_output(const look *k, size_t node, const lamina_view_node *n)
{
    for (size_t o = 0; o < n->n_outputs; o++) {
        const int64_t v = lamina_view_output(k->view, node, o);
        if (v >= 0) return v;
    }
    return -1;
}

void look_params(const look *k, size_t node, const lamina_view_node *n, uint64_t *elems,
                 uint64_t *bytes)
{
    *elems = *bytes = 0;
    for (size_t i = 0; i < n->n_inputs; i++) {
        lamina_view_value x = {.size = sizeof x};
        const int64_t v = lamina_view_input(k->view, node, i);
        if (v < 0 || lamina_view_get_value(k->view, (size_t)v, &x) != LAMINA_OK || !x.constant)
            continue;
        uint64_t n_elems = 1;
        for (int32_t d = 0; d < x.rank; d++) n_elems *= (uint64_t)x.dims[d];
        *elems += n_elems;
        *bytes += x.bytes;
    }
}

static int by_cost(const void *a, const void *b)
{
    const look_op *x = a, *y = b;
    if (x->flops > y->flops) return -1;
    if (x->flops < y->flops) return 1;
    return x->nodes > y->nodes ? -1 : x->nodes < y->nodes;
}

look_op *look_ops(const look *k, size_t *n)
{
    lamina_view_graph g = {.size = sizeof g};
    *n = 0;
    if (lamina_view_get_graph(k->view, 0, &g) != LAMINA_OK) return NULL;
    look_op *ops = calloc((size_t)g.n_nodes + 1, sizeof *ops);
    for (size_t i = 0; ops && i < g.n_nodes; i++) {
        lamina_view_node x = {.size = sizeof x};
        if (lamina_view_get_node(k->view, i, &x) != LAMINA_OK) continue;
        size_t r = 0;
        while (r < *n && (strcmp(ops[r].op, x.op) || strcmp(ops[r].domain, x.domain))) r++;
        if (r == *n) ops[(*n)++] = (look_op){.op = x.op, .domain = x.domain};
        uint64_t elems, bytes;
        look_params(k, i, &x, &elems, &bytes);
        ops[r].nodes++;
        ops[r].params += elems;
        ops[r].param_bytes += bytes;
        ops[r].flops += x.flops;
        ops[r].bytes += x.bytes;
    }
    if (ops) qsort(ops, *n, sizeof *ops, by_cost);
    return ops;
}

/* ---- text -------------------------------------------------------------------------------------
 */

static void text_head(const look *k)
{
    const lamina_model_info *i = &k->info;
    printf("model      %s\n", k->path);
    printf("producer   %s%s%s, graph \"%s\", IR %lld\n", *i->producer_name ? i->producer_name : "?",
           *i->producer_version ? " " : "", i->producer_version, i->graph_name,
           (long long)i->ir_version);
    printf("opsets    ");
    int64_t version;
    const char *domain;
    for (size_t o = 0; (domain = lamina_view_opset(k->view, o, &version)); o++)
        printf(" %s %lld", *domain ? domain : "ai.onnx", (long long)version);
    printf("\n");
    for (size_t o = 0; o < i->n_meta; o++) {
        const char *key, *value;
        if (lamina_model_meta(k->m, o, &key, &value) == LAMINA_OK)
            printf("metadata   %s = %.60s%s\n", key, value, strlen(value) > 60 ? "..." : "");
    }
}

static void text_ports(const look *k)
{
    char text[256];
    for (int out = 0; out < 2; out++) {
        const size_t n = out ? lamina_model_output_count(k->m) : lamina_model_input_count(k->m);
        for (size_t i = 0; i < n; i++) {
            lamina_port p = {.size = sizeof p};
            lamina_view_value x = {.size = sizeof x};
            const int64_t v = out ? lamina_view_graph_output(k->view, 0, i)
                                  : lamina_view_graph_input(k->view, 0, i);
            if ((out ? lamina_model_output : lamina_model_input)(k->m, i, &p) != LAMINA_OK)
                continue;
            cli_port_text(&p, text, sizeof text);
            if (v >= 0 && lamina_view_get_value(k->view, (size_t)v, &x) == LAMINA_OK)
                (void)snprintf(text, sizeof text, "%s", x.type);
            printf("%-10s %-28s %s%s\n", out ? "output" : "input", p.name, text,
                   p.optional ? " (optional)" : "");
        }
    }
}

static void text_sums(const look *k)
{
    char params[16], bytes[16], flops[16], moved[16], peak[16];
    const lamina_view_stats *s = &k->stats;
    cli_si(params, s->n_params, "");
    cli_si(bytes, s->param_bytes, "B");
    cli_si(flops, s->flops, "FLOP");
    cli_si(moved, s->bytes, "B");
    cli_si(peak, s->peak_bytes, "B");
    printf("nodes      %llu in the file, %llu here", (unsigned long long)k->info.n_nodes,
           (unsigned long long)s->n_nodes);
    if (s->n_graphs > 1) printf(", in %llu graphs", (unsigned long long)s->n_graphs);
    printf("\nparameters %s, %s\n", params, bytes);
    const char *name;
    int64_t value;
    char free_dims[200] = "";
    size_t o = 0;
    for (size_t i = 0; (name = lamina_view_symbol(k->view, i, &value)); i++) {
        if (value >= 0)
            printf("dimension  %s = %lld\n", name, (long long)value);
        else if (o < sizeof free_dims)
            o += (size_t)snprintf(free_dims + o, sizeof free_dims - o, " --dim %.60s=N", name);
    }
    printf("one run    %s, %s read and written, activations peak at %s\n", flops, moved, peak);
    if (free_dims[0])
        printf("           with every free dimension 1; give%s\n", free_dims);
    else if (s->n_inexact)
        printf("           %llu nodes have a shape that depends on data and count as 1\n",
               (unsigned long long)s->n_inexact);
}

static void text_ops(const look *k)
{
    size_t n;
    look_op *ops = look_ops(k, &n);
    printf("\n%-28s %6s %10s %10s %12s %7s\n", "operator", "nodes", "params", "bytes", "FLOPs",
           "share");
    for (size_t i = 0; ops && i < n; i++) {
        char params[16], bytes[16], flops[16], op[96];
        cli_si(params, (double)ops[i].params, "");
        cli_si(bytes, ops[i].bytes, "B");
        cli_si(flops, ops[i].flops, "");
        (void)snprintf(op, sizeof op, "%s%s%s", ops[i].domain, *ops[i].domain ? ":" : "",
                       ops[i].op);
        printf("%-28s %6llu %10s %10s %12s %6.1f%%\n", op, (unsigned long long)ops[i].nodes, params,
               bytes, flops, k->stats.flops > 0 ? 100 * ops[i].flops / k->stats.flops : 0.0);
    }
    free(ops);
}

static void text_nodes(const look *k)
{
    for (size_t g = 0; g < k->stats.n_graphs; g++) {
        lamina_view_graph vg = {.size = sizeof vg};
        if (lamina_view_get_graph(k->view, g, &vg) != LAMINA_OK) continue;
        if (g) printf("\ngraph %zu: %s of node %lld\n", g, vg.attr, (long long)vg.parent);
        printf("\n%5s %-22s %-34s %-30s %9s%s\n", "node", "operator", "name", "output", "FLOPs",
               k->s && !g ? "  kernel" : "");
        for (size_t i = vg.first_node; i < vg.first_node + vg.n_nodes; i++) {
            lamina_view_node n = {.size = sizeof n};
            lamina_view_value x = {.size = sizeof x};
            if (lamina_view_get_node(k->view, i, &n) != LAMINA_OK) continue;
            const int64_t v = look_output(k, i, &n);
            if (v < 0 || lamina_view_get_value(k->view, (size_t)v, &x) != LAMINA_OK) x.type[0] = 0;
            char flops[16];
            cli_si(flops, n.flops, "");
            printf("%5zu %-22s %-34s %-30s %8s%s%s%s\n", i, n.op, n.name, x.type, flops,
                   n.exact ? " " : "?", *n.kernel ? " " : "", n.kernel);
        }
    }
}

static void as_text(const look *k)
{
    text_head(k);
    text_ports(k);
    text_sums(k);
    text_ops(k);
    text_nodes(k);
}

/* ---- the verb ---------------------------------------------------------------------------------
 */

static int open_look(look *k, const cli_plugins *plugins, const cli_dims *dims, bool optimized)
{
    lamina_error err;
    int rc = cli_engine(1, &k->e);
    if (rc == CLI_OK) rc = cli_plugins_load(plugins, k->e);
    if (rc != CLI_OK) return rc;
    if (lamina_model_load(k->e, k->path, NULL, &k->m, &err) != LAMINA_OK)
        return cli_fail_load(k->path, &err);
    if (optimized && lamina_session_create(k->m, NULL, &k->s, &err) != LAMINA_OK)
        return cli_fail_at(k->path, err.msg);
    const lamina_view_opts o = {.size = sizeof o, .dims = dims->names, .n_dims = (size_t)dims->n};
    if ((k->s ? lamina_view_session(k->s, &o, &k->view, &err)
              : lamina_view_model(k->m, &o, &k->view, &err)) != LAMINA_OK)
        return cli_fail_at(k->path, err.msg);
    k->info.size = sizeof k->info;
    k->stats.size = sizeof k->stats;
    if (lamina_model_get_info(k->m, &k->info) != LAMINA_OK ||
        lamina_view_get_stats(k->view, &k->stats) != LAMINA_OK)
        return cli_fail("%s: no information", k->path);
    return CLI_OK;
}

int cli_inspect(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--json", false},      {"--html", true},   {"--dim", true},
                                   {"--optimized", false}, {"--plugin", true}, {NULL, false}};
    const char *v, *html = NULL;
    look k = {0};
    cli_dims dims = {0};
    cli_plugins plugins = {0};
    bool json = false, optimized = false;
    int i = 1, o;
    while ((o = cli_next("inspect", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && k.path) return cli_usage("inspect", "one model at a time, not also %s", v);
        if (o == 0) k.path = v;
        if (o == 1) json = true;
        if (o == 2) html = v;
        if (o == 3 && !cli_dims_add(&dims, v))
            return cli_usage("inspect", "--dim wants NAME=N, not \"%s\"", v);
        if (o == 4) optimized = true;
        if (o == 5 && cli_plugins_add(&plugins, "inspect", v) != CLI_OK) return CLI_USAGE;
    }
    if (!k.path) return cli_usage("inspect", "which model?");
    if (json && html) return cli_usage("inspect", "--json or --html, not both");
    int rc = open_look(&k, &plugins, &dims, optimized);
    if (rc == CLI_OK && html)
        rc = look_html(&k, html);
    else if (rc == CLI_OK && json)
        look_json(&k, stdout, NULL);
    else if (rc == CLI_OK)
        as_text(&k);
    lamina_view_destroy(k.view);
    lamina_session_destroy(k.s);
    lamina_model_unref(k.m);
    lamina_engine_destroy(k.e);
    return rc;
}
