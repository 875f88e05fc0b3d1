/*
 * lamina inspect: what is in a model and what it costs; as text, JSON, or a page with the graph
 * drawn.
 */
#include "cli.h"

#include <string.h>

const char cli_help_inspect[] =
    "usage: lamina inspect MODEL [--json | --html FILE]\n\n"
    "Shows producer, opset, inputs, outputs, weights, and after optimisation every node with its "
    "operator,\n"
    "device and kernel. --html writes a self-contained page.\n\n"
    "examples:\n  lamina inspect model.onnx\n  lamina inspect model.onnx --html graph.html\n";

typedef struct view {
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s;
    lamina_model_info info;
    size_t n_nodes;
} view;

static void ports_text(const view *v)
{
    char text[256];
    for (int out = 0; out < 2; out++) {
        size_t n = out ? lamina_model_output_count(v->m) : lamina_model_input_count(v->m);
        for (size_t i = 0; i < n; i++) {
            lamina_port p = {.size = sizeof p};
            if ((out ? lamina_model_output(v->m, i, &p) : lamina_model_input(v->m, i, &p)) !=
                LAMINA_OK)
                continue;
            cli_port_text(&p, text, sizeof text);
            printf("%-8s %-28s %s%s\n", out ? "output" : "input", p.name, text,
                   p.optional ? " (optional)" : "");
        }
    }
}

static void as_text(const view *v)
{
    printf("model    %s %s, graph \"%s\", IR %lld, opset %d\n", v->info.producer_name,
           v->info.producer_version, v->info.graph_name, (long long)v->info.ir_version,
           v->info.opset);
    printf("nodes    %llu in the file, %zu after optimisation\n",
           (unsigned long long)v->info.n_nodes, v->n_nodes);
    printf("weights  %.2f MB\n", (double)v->info.weight_bytes / 1e6);
    ports_text(v);
    printf("\n%-5s %-22s %-36s %-10s %s\n", "node", "operator", "name", "device", "kernel");
    for (size_t i = 0; i < v->n_nodes; i++) {
        lamina_node_info n = {.size = sizeof n};
        if (lamina_session_node(v->s, i, &n) == LAMINA_OK)
            printf("%-5zu %-22s %-36.36s %-10s %s\n", i, n.op, n.name, n.device, n.kernel);
    }
}

static void ports_json(const view *v, bool out)
{
    char text[256];
    size_t n = out ? lamina_model_output_count(v->m) : lamina_model_input_count(v->m);
    printf("[");
    for (size_t i = 0; i < n; i++) {
        lamina_port p = {.size = sizeof p};
        if ((out ? lamina_model_output(v->m, i, &p) : lamina_model_input(v->m, i, &p)) != LAMINA_OK)
            continue;
        cli_port_text(&p, text, sizeof text);
        printf("%s{\"name\": ", i ? ", " : "");
        cli_json_string(stdout, p.name);
        printf(", \"type\": ");
        cli_json_string(stdout, text);
        printf(", \"optional\": %s}", p.optional ? "true" : "false");
    }
    printf("]");
}

static void as_json(const view *v)
{
    printf("{\"producer\": ");
    cli_json_string(stdout, v->info.producer_name);
    printf(", \"opset\": %d, \"ir_version\": %lld, \"file_nodes\": %llu, \"weight_bytes\": %llu,\n "
           "\"inputs\": ",
           v->info.opset, (long long)v->info.ir_version, (unsigned long long)v->info.n_nodes,
           (unsigned long long)v->info.weight_bytes);
    ports_json(v, false);
    printf(",\n \"outputs\": ");
    ports_json(v, true);
    printf(",\n \"nodes\": [");
    for (size_t i = 0; i < v->n_nodes; i++) {
        lamina_node_info n = {.size = sizeof n};
        if (lamina_session_node(v->s, i, &n) != LAMINA_OK) continue;
        printf("%s\n  {\"name\": ", i ? "," : "");
        cli_json_string(stdout, n.name);
        printf(", \"op\": \"%s\", \"device\": \"%s\", \"kernel\": ", n.op, n.device);
        cli_json_string(stdout, n.kernel);
        printf(", \"reason\": ");
        cli_json_string(stdout, n.reason);
        printf("}");
    }
    printf("\n]}\n");
}

static void html_text(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '<')
            (void)fputs("&lt;", f);
        else if (*s == '&')
            (void)fputs("&amp;", f);
        else
            (void)fputc(*s, f);
    }
}

static int as_html(const view *v, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) return cli_fail("%s cannot be written", path);
    (void)fputs("<!doctype html><meta charset=utf-8><title>model</title><style>body{font:14px "
                "system-ui;margin:2em}"
                "ol{list-style:none;padding:0;width:34em}li{border:1px solid #bbb;border-left:6px "
                "solid #4a7;"
                "border-radius:4px;margin:.3em 0;padding:.3em .8em}li.ref{border-left-color:#c84}"
                "small{color:#666;float:right}</style><h1>",
                f);
    html_text(f, v->info.graph_name);
    (void)fprintf(
        f,
        "</h1><p>opset %d, %zu nodes after optimisation, %.2f MB of weights. Green: fast kernel; "
        "orange: reference.</p><ol>",
        v->info.opset, v->n_nodes, (double)v->info.weight_bytes / 1e6);
    for (size_t i = 0; i < v->n_nodes; i++) {
        lamina_node_info n = {.size = sizeof n};
        if (lamina_session_node(v->s, i, &n) != LAMINA_OK) continue;
        (void)fprintf(f, "<li%s><b>%s</b> ", *n.reason ? " class=ref" : "", n.op);
        html_text(f, n.name);
        (void)fputs(" <small>", f);
        html_text(f, n.kernel);
        (void)fputs("</small></li>\n", f);
    }
    (void)fputs("</ol>\n", f);
    if (fclose(f) != 0) return cli_fail("%s cannot be written", path);
    printf("wrote %s\n", path);
    return CLI_OK;
}

static int open_view(view *v, const char *path)
{
    lamina_error err;
    int rc = cli_engine(1, &v->e);
    if (rc != CLI_OK) return rc;
    if (lamina_model_load(v->e, path, NULL, &v->m, &err) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    if (lamina_session_create(v->m, NULL, &v->s, &err) != LAMINA_OK) return cli_fail("%s", err.msg);
    lamina_session_stats st = {.size = sizeof st};
    v->info.size = sizeof v->info;
    if (lamina_model_get_info(v->m, &v->info) != LAMINA_OK ||
        lamina_session_get_stats(v->s, &st) != LAMINA_OK)
        return cli_fail("%s: no information", path);
    v->n_nodes = (size_t)st.n_nodes;
    return CLI_OK;
}

int cli_inspect(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--json", false}, {"--html", true}, {NULL, false}};
    const char *path = NULL, *v, *html = NULL;
    bool json = false;
    int i = 1, o;
    while ((o = cli_next("inspect", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && path) return cli_usage("inspect", "one model at a time, not also %s", v);
        if (o == 0) path = v;
        if (o == 1) json = true;
        if (o == 2) html = v;
    }
    if (!path) return cli_usage("inspect", "which model?");
    view w = {0};
    int rc = open_view(&w, path);
    if (rc == CLI_OK && html)
        rc = as_html(&w, html);
    else if (rc == CLI_OK)
        (json ? as_json : as_text)(&w);
    lamina_session_destroy(w.s);
    lamina_model_unref(w.m);
    lamina_engine_destroy(w.e);
    return rc;
}
