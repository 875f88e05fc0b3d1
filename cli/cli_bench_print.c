/*
 * What `lamina bench MODEL` found, as tables and as JSON: the same facts.
 */
#include "cli_bench.h"

static double percentile(const cli_bench_job *b, int percent)
{
    size_t i = (b->n * (size_t)percent + 99) / 100;
    return b->t[i ? i - 1 : 0] * 1e3;
}

static double mean(const cli_bench_job *b)
{
    double sum = 0;
    for (size_t i = 0; i < b->n; i++) sum += b->t[i];
    return sum / (double)b->n * 1e3;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void print_row(const cli_profile *p, const cli_row *r, const char *name)
{
    const double calls = (double)r->calls;
    printf("%-18.18s %-26.26s %7llu %6.1f%% %9.3f %9.2f %8.2f %8.1f %7.1f %5.0f%% %9.3f  %s\n",
           r->op, name, (unsigned long long)r->calls, 100 * ratio(r->ns, p->node_ns),
           ratio(r->ns, calls) * 1e-6, ratio(r->flops, calls) * 1e-6, ratio(r->bytes, calls) * 1e-6,
           ratio(r->flops, r->ns), ratio(r->bytes, r->ns), 100 * ratio(r->least_ns, r->ns),
           cli_roof_lost(r) / p->runs * 1e-6, r->bound);
}

static void print_head(const char *name)
{
    printf("\n%-18s %-26s %7s %7s %9s %9s %8s %8s %7s %6s %9s  %s\n", "operator", name, "calls",
           "time", "ms", "MFLOP", "MB", "GFLOP/s", "GB/s", "roof", "lost ms", "bound by");
}

static void print_machine(const cli_machine *m)
{
    printf("machine ");
    for (int t = 0; t < CLI_TYPES; t++)
        if (cli_machine_peak(m, t) > 0)
            printf(" %s %.1f", cli_type_name(t), cli_machine_peak(m, t) * 1e-9);
    printf(" Gop/s;");
    for (int k = 0; k < m->n_levels; k++)
        printf(" %s %.1f", m->levels[k].name, cli_level_rate(&m->levels[k]) * 1e-9);
    printf(" GB/s%s\n", m->cached ? " (cached)" : "");
    if (m->note) printf("         %s\n", m->note);
}

void cli_bench_print_text(const cli_bench_job *b, const cli_profile *p)
{
    printf("load     %.1f ms, first run %.1f ms\n", b->load_s * 1e3, b->first_s * 1e3);
    printf("latency  p50 %.3f ms, p99 %.3f ms, least %.3f ms over %zu runs, %d thread%s\n",
           percentile(b, 50), percentile(b, 99), b->t[0] * 1e3, b->n, b->roof.threads,
           b->roof.threads == 1 ? "" : "s");
    if (b->packed.n_packed)
        printf("packed   %llu weights, %.1f MB, of those %.1f mapped%s%s%s%s\n",
               (unsigned long long)b->packed.n_packed, (double)b->packed.packed_bytes * 1e-6,
               (double)b->packed.packed_mapped_bytes * 1e-6, *b->packed_file ? " from " : "",
               b->packed_file, *b->packed_note ? "; " : "", b->packed_note);
    double flops = 0, bytes = 0;
    for (size_t i = 0; i < p->n_ops; i++) flops += p->op[i].flops, bytes += p->op[i].bytes;
    print_machine(&b->roof);
    printf("model    %.2f GFLOP/s, %.2f GB/s: %.0f %% of the roof, %.3f ms a run lost\n",
           ratio(flops, p->node_ns), ratio(bytes, p->node_ns), 100 * ratio(p->roof_ns, p->node_ns),
           (p->node_ns - p->roof_ns) / p->runs * 1e-6);
    if (p->n_tuned)
        printf("tuned    %zu of %zu nodes by choices of `lamina tune`\n", p->n_tuned, p->n_nodes);
    print_head("kernel");
    for (size_t i = 0; i < p->n_ops; i++) print_row(p, &p->op[i], p->op[i].kernel);
    if (b->top && p->n_nodes) {
        print_head("node");
        for (size_t i = 0; i < p->n_nodes && i < (size_t)b->top; i++)
            print_row(p, &p->node[i], p->node[i].name);
    }
    printf("\noperators account for %.1f %% of the profiled runs\n",
           100 * ratio(p->node_ns, p->run_ns));
}

static void json_rows(const cli_profile *p, const char *name, const cli_row *rows, size_t n,
                      bool nodes)
{
    printf(",\n \"%s\": [", name);
    for (size_t i = 0; i < n; i++) {
        const cli_row *r = &rows[i];
        printf("%s\n  {\"op\": ", i ? "," : "");
        cli_json_string(stdout, r->op);
        printf(", \"kernel\": ");
        cli_json_string(stdout, r->kernel);
        if (nodes) {
            printf(", \"name\": ");
            cli_json_string(stdout, r->name);
        }
        printf(", \"calls\": %llu, \"ns\": %.0f, \"flops\": %.0f, \"bytes\": %.0f, \"roof_share\": "
               "%.4f, \"lost_ms\": %.6f, \"bound\": \"%s\"}",
               (unsigned long long)r->calls, r->ns, r->flops, r->bytes, ratio(r->least_ns, r->ns),
               cli_roof_lost(r) / p->runs * 1e-6, r->bound);
    }
    printf("]");
}

void cli_bench_print_json(const cli_bench_job *b, const cli_profile *p)
{
    printf("{\"model\": ");
    cli_json_string(stdout, b->path);
    printf(", \"threads\": %d, \"load_ms\": %.3f, \"first_ms\": %.3f, \"runs\": %zu, \"p50_ms\": "
           "%.6f, \"p99_ms\": %.6f, \"min_ms\": %.6f, \"mean_ms\": %.6f,\n",
           b->roof.threads, b->load_s * 1e3, b->first_s * 1e3, b->n, percentile(b, 50),
           percentile(b, 99), b->t[0] * 1e3, mean(b));
    printf(" \"packed\": {\"tensors\": %llu, \"bytes\": %llu, \"mapped\": %llu, \"file\": ",
           (unsigned long long)b->packed.n_packed, (unsigned long long)b->packed.packed_bytes,
           (unsigned long long)b->packed.packed_mapped_bytes);
    cli_json_string(stdout, b->packed_file);
    printf(", \"note\": ");
    cli_json_string(stdout, b->packed_note);
    printf("},\n");
    printf(" \"roof\": {\"cached\": %s, \"when\": %lld", b->roof.cached ? "true" : "false",
           (long long)b->roof.when);
    for (int t = 0; t < CLI_TYPES; t++)
        printf(", \"%s\": %.0f", cli_type_name(t), cli_machine_peak(&b->roof, t));
    for (int k = 0; k < b->roof.n_levels; k++)
        printf(", \"%s\": %.0f", b->roof.levels[k].name, cli_level_rate(&b->roof.levels[k]));
    printf("}, \"roof_share\": %.4f, \"lost_ms\": %.6f, \"accounted\": %.4f, \"tuned_nodes\": "
           "%zu",
           ratio(p->roof_ns, p->node_ns), (p->node_ns - p->roof_ns) / p->runs * 1e-6,
           ratio(p->node_ns, p->run_ns), p->n_tuned);
    json_rows(p, "operators", p->op, p->n_ops, false);
    json_rows(p, "nodes", p->node, p->n_nodes, true);
    printf("}\n");
}
