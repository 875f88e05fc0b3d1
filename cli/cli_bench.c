/*
 * lamina bench: latency of a model, where the time goes, and how far it is from what this machine
 * can do; or one of the systems measurements (systems/), which a word from their table names.
 */
#include "cli_bench.h"
#include "sys_bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char cli_help_bench[] =
    "usage: lamina bench MODEL [--threads N] [--seconds S | --iterations N] [--warmup N]\n"
    "                    [--input NAME=FILE]... [--dim NAME=N]... [--seed N] [--top N]\n"
    "                    [--precision P] [--prepack-cache DIR] [--plugin FILE]... [--svg FILE]\n"
    "                    [--json]\n"
    "       lamina bench SUBJECT [--seconds S] [--svg FILE] [--json]\n"
    "       lamina bench --list\n\n"
    "Runs the model on the inputs given, the others seeded, and prints p50, p99 and least "
    "latency.\n"
    "Then it profiles the model and prints, for every operator and the nodes with the largest "
    "gap,\n"
    "time, operations and bytes of a call, GFLOP/s, GB/s, the share of the roof that was reached "
    "and\n"
    "the milliseconds of a run lost below it: the largest loss first.\n\n"
    "The roof is that of this machine for the same number of threads (lamina info --measure;\n"
    "measured once, then cached). A node can be bound by \"compute\", by \"memory\", or by a cache "
    "when\n"
    "its bytes came faster than memory gives them. Winograd's convolutions do with fewer "
    "operations\n"
    "than are counted and may pass 100 %.\n\n"
    "A subject is a measurement of the machine itself: what false sharing, a page fault or a "
    "branch\n"
    "costs, and how sure that is. Write ./queues for a model file of such a name.\n\n"
    "  --threads N        at most N threads, the caller included; default what the machine gives\n"
    "  --seconds S        measure for S seconds; default 2, of a subject 4\n"
    "  --iterations N     measure N runs instead\n"
    "  --warmup N         runs before measuring; default 3\n"
    "  --input NAME=FILE  a value from .npy, .npz or .pb\n"
    "  --dim NAME=N       free dimensions of seeded inputs; default 1\n"
    "  --seed N           of the inputs; default 0\n"
    "  --top N            nodes to list; default 10\n"
    "  --precision P      exact, bf16, int8, auto or strict: lamina help run\n"
    "  --prepack-cache DIR  keep packed weights: auto, a folder, off (default); lamina help run\n"
    "  --plugin FILE      operators of a shared library (lamina/plugin.h)\n"
    "  --svg FILE         a plot: of a model the roofline with its nodes, of a subject the cases\n"
    "  --list             the subjects\n"
    "  --json             everything, as one JSON object\n\n"
    "examples:\n"
    "  lamina bench resnet50.onnx --threads 1\n"
    "  lamina bench yolov8n.onnx --svg roofline.svg\n"
    "  lamina bench bert.onnx --dim B=1 --dim S=128 --iterations 50 --json\n"
    "  lamina bench false-sharing --svg sharing.svg\n";

#define MAX_RUNS 100000

/* ---- measuring ---- */

static int one_run(cli_bench_job *b)
{
    lamina_tensor *out[CLI_MAX_IO];
    lamina_error err;
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    if (lamina_session_run(b->session, (const lamina_tensor *const *)b->in, b->n_in, out, b->n_out,
                           &o) != LAMINA_OK)
        return cli_fail_at(b->path, err.msg);
    for (size_t i = 0; i < b->n_out; i++) lamina_tensor_unref(out[i]);
    return CLI_OK;
}

static int make_session(cli_bench_job *b, bool profiled)
{
    lamina_error err;
    lamina_session_destroy(b->session);
    b->session = NULL;
    const lamina_session_opts o = {.size = sizeof o,
                                   .n_threads = (uint32_t)b->threads,
                                   .profile = profiled,
                                   .precision = b->precision,
                                   .prepack_cache = b->cache};
    if (lamina_session_create(b->model, &o, &b->session, &err) != LAMINA_OK)
        return cli_fail_at(b->path, err.msg);
    return CLI_OK;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int latency(cli_bench_job *b)
{
    double start = cli_now_s();
    int rc = one_run(b);
    b->first_s = cli_now_s() - start;
    for (long i = 0; rc == CLI_OK && i < b->warmup; i++) rc = one_run(b);
    const size_t most = b->iterations ? (size_t)b->iterations : MAX_RUNS;
    for (start = cli_now_s(); rc == CLI_OK && b->n < most;) {
        if (!b->iterations && b->n >= 3 && cli_now_s() - start >= b->seconds) break;
        const double s = cli_now_s();
        rc = one_run(b);
        b->t[b->n++] = cli_now_s() - s;
    }
    qsort(b->t, b->n, sizeof *b->t, by_value);
    return rc;
}

static int by_loss(const void *a, const void *b)
{
    const double x = cli_roof_lost(a), y = cli_roof_lost(b);
    return (x < y) - (x > y);
}

static void add_row(cli_profile *p, const cli_row *n)
{
    size_t k = 0;
    while (k < p->n_ops && (strcmp(p->op[k].op, n->op) || strcmp(p->op[k].kernel, n->kernel))) k++;
    if (k == CLI_BENCH_ROWS) return;
    if (k == p->n_ops) p->op[p->n_ops++] = (cli_row){.op = n->op, .kernel = n->kernel, .name = ""};
    p->op[k].ns += n->ns;
    p->op[k].flops += n->flops;
    p->op[k].bytes += n->bytes;
    p->op[k].calls += n->calls;
    p->op[k].least_ns += n->least_ns;
    /* What holds back most of it stands for all. */
    if (n->ns > p->most[k]) p->most[k] = n->ns, p->op[k].bound = n->bound;
}

static int collect(const cli_bench_job *b, cli_profile *p)
{
    lamina_session_stats st = {.size = sizeof st};
    if (lamina_session_get_stats(b->session, &st) != LAMINA_OK) return cli_fail("no statistics");
    p->run_ns = (double)st.run_ns;
    p->runs = st.n_runs ? (double)st.n_runs : 1;
    p->n_tuned = (size_t)st.n_nodes_tuned;
    p->node = calloc((size_t)st.n_nodes + 1, sizeof *p->node);
    if (!p->node) return cli_fail("out of memory");
    for (size_t i = 0; i < st.n_nodes; i++) {
        lamina_node_info ni = {.size = sizeof ni};
        if (lamina_session_node(b->session, i, &ni) != LAMINA_OK || !ni.n_calls) continue;
        const double calls = (double)ni.n_calls;
        cli_row n = {.op = ni.op,
                     .kernel = ni.kernel,
                     .name = ni.name,
                     .ns = (double)ni.total_ns,
                     .flops = ni.flops * calls,
                     .bytes = ni.bytes * calls,
                     .calls = ni.n_calls};
        cli_roof_judge(&b->roof, &n);
        p->node[p->n_nodes++] = n;
        p->node_ns += n.ns;
        p->roof_ns += n.ns - cli_roof_lost(&n);
        add_row(p, &n);
    }
    qsort(p->op, p->n_ops, sizeof *p->op, by_loss);
    qsort(p->node, p->n_nodes, sizeof *p->node, by_loss);
    return CLI_OK;
}

/* ---- the verb ---- */

static int engine_width(const lamina_engine *e)
{
    lamina_info_row r = {.size = sizeof r};
    for (size_t i = 0; lamina_engine_info(e, i, &r) == LAMINA_OK; i++)
        if (!strcmp(r.key, "threads")) return atoi(r.value);
    return 1;
}

static int measure(cli_bench_job *b)
{
    static cli_profile p;
    int rc = cli_writable(b->svg);
    if (rc == CLI_OK) rc = cli_machine_get(b->engine, engine_width(b->engine), false, &b->roof);
    if (rc == CLI_OK) rc = latency(b);
    if (rc == CLI_OK) rc = make_session(b, true);
    if (rc == CLI_OK) rc = one_run(b);
    const double start = cli_now_s(), budget = b->iterations ? 0 : b->seconds / 4;
    for (int i = 0; rc == CLI_OK && (i < 5 || cli_now_s() - start < budget); i++) rc = one_run(b);
    if (rc == CLI_OK) rc = collect(b, &p);
    if (rc == CLI_OK) (b->json ? cli_bench_print_json : cli_bench_print_text)(b, &p);
    if (rc == CLI_OK && b->svg) {
        const cli_roof_plot plot = {.machine = &b->roof,
                                    .title = b->path,
                                    .node = p.node,
                                    .n_nodes = p.n_nodes,
                                    .kind = p.op,
                                    .n_kinds = p.n_ops,
                                    .runs = p.runs};
        rc = cli_roof_svg(&plot, b->svg);
    }
    free(p.node);
    return rc;
}

static int make_inputs(cli_bench_job *b)
{
    b->n_in = lamina_model_input_count(b->model);
    b->n_out = lamina_model_output_count(b->model);
    if (b->n_in > CLI_MAX_IO || b->n_out > CLI_MAX_IO)
        return cli_fail("%s: more than %d inputs or outputs", b->path, CLI_MAX_IO);
    if (cli_inputs_check(&b->inputs, b->model) != CLI_OK) return CLI_FAULT;
    if (cli_dims_check(&b->dims, b->model) != CLI_OK) return CLI_FAULT;
    for (size_t i = 0; i < b->n_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(b->model, i, &p) != LAMINA_OK) return CLI_FAULT;
        if (cli_inputs_load(&b->inputs, b->engine, &p, &b->in[i]) != CLI_OK) return CLI_FAULT;
        if (b->in[i] || p.optional) continue;
        b->in[i] = cli_random_input(b->engine, &p, &b->dims, (uint64_t)b->seed + i);
        if (!b->in[i])
            return cli_fail("%s: input \"%s\" cannot be made from a seed; give --input", b->path,
                            p.name);
    }
    return CLI_OK;
}

/* What the first session found or made: later ones of this process find it. */
static void note_packs(cli_bench_job *b)
{
    lamina_session_stats *s = &b->packed;
    *s = (lamina_session_stats){.size = sizeof *s};
    if (lamina_session_get_stats(b->session, s) != LAMINA_OK) return;
    (void)snprintf(b->packed_file, sizeof b->packed_file, "%s", s->packed_file);
    (void)snprintf(b->packed_note, sizeof b->packed_note, "%s", s->packed_note);
}

static int prepare(cli_bench_job *b)
{
    lamina_error err;
    int rc = cli_engine((uint32_t)b->threads, &b->engine);
    if (rc == CLI_OK) rc = cli_plugins_load(&b->plugins, b->engine);
    if (rc != CLI_OK) return rc;
    const double start = cli_now_s();
    if (lamina_model_load(b->engine, b->path, NULL, &b->model, &err) != LAMINA_OK)
        return cli_fail_load(b->path, &err);
    if ((rc = make_session(b, false)) != CLI_OK) return rc;
    note_packs(b);
    b->load_s = cli_now_s() - start;
    b->t = malloc(MAX_RUNS * sizeof *b->t);
    return b->t ? make_inputs(b) : cli_fail("out of memory");
}

/* Options are whole numbers but for these; `o` as cli_next gives it. */
static int take_option(cli_bench_job *b, int o, const char *v)
{
    b->of_model = b->of_model || (o != 6 && o != 9 && o != 11 && o != 12);
    static const struct {
        const char *name;
        long lo, hi;
    } WHOLE[] = {{"--threads", 1, 1024},
                 {"--iterations", 1, MAX_RUNS},
                 {"--warmup", 0, MAX_RUNS},
                 {"--seed", 0, 1L << 40},
                 {"--top", 0, 1000}};
    long *const at[] = {&b->threads, &b->iterations, &b->warmup, &b->seed, &b->top};
    if (o >= 1 && o <= 5)
        return cli_number("bench", WHOLE[o - 1].name, v, WHOLE[o - 1].lo, WHOLE[o - 1].hi,
                          at[o - 1])
                   ? CLI_OK
                   : CLI_USAGE;
    if (o == 6) return cli_real("bench", "--seconds", v, &b->seconds) ? CLI_OK : CLI_USAGE;
    if (o == 7 && !cli_dims_add(&b->dims, v))
        return cli_usage("bench", "--dim wants NAME=N, not \"%s\"", v);
    if (o == 8) return cli_inputs_add(&b->inputs, "bench", v, false);
    if (o == 9) b->json = true;
    if (o == 10) return cli_plugins_add(&b->plugins, "bench", v);
    if (o == 11) b->svg = v;
    if (o == 12) b->list = true;
    if (o == 13 && !cli_precision("bench", v, &b->precision)) return CLI_USAGE;
    if (o == 14 && !(b->cache = cli_prepack_cache("bench", v, b->cache_path, sizeof b->cache_path)))
        return CLI_USAGE;
    return CLI_OK;
}

static int list_subjects(bool json)
{
    for (const sys_subject *s = sys_subjects; s->name; s++) {
        if (json)
            printf("%s\n {\"name\": \"%s\", \"summary\": \"%s\", \"unit\": \"%s\"}",
                   s == sys_subjects ? "{\"subjects\": [" : ",", s->name, s->summary, s->unit);
        else
            printf("  %-14s %s\n", s->name, s->summary);
    }
    printf("%s", json ? "]}\n" : "");
    return CLI_OK;
}

static int measure_subject(const cli_bench_job *b, const sys_subject *s)
{
    if (b->of_model)
        return cli_usage("bench", "\"%s\" takes --seconds, --svg and --json alone", s->name);
    int rc = cli_writable(b->svg);
    if (rc != CLI_OK) return rc;
    sys_run *r = calloc(1, sizeof *r);
    if (!r) return cli_fail("out of memory");
    r->subject = s;
    rc = sys_measure(r, b->seconds >= 0 ? b->seconds : 4);
    if (rc == CLI_OK) (b->json ? sys_print_json : sys_print_text)(r);
    if (rc == CLI_OK && b->svg) rc = sys_write_svg(r, b->svg);
    sys_release(r);
    free(r);
    return rc;
}

static int measure_model(cli_bench_job *b)
{
    if (b->seconds < 0) b->seconds = 2;
    int rc = prepare(b);
    if (rc == CLI_OK) rc = measure(b);
    for (size_t k = 0; k < b->n_in; k++) lamina_tensor_unref(b->in[k]);
    free(b->t);
    lamina_session_destroy(b->session);
    lamina_model_unref(b->model);
    lamina_engine_destroy(b->engine);
    return rc;
}

int cli_bench(int argc, char **argv)
{
    static const cli_opt SPEC[] = {
        {"--threads", true},   {"--iterations", true},    {"--warmup", true}, {"--seed", true},
        {"--top", true},       {"--seconds", true},       {"--dim", true},    {"--input", true},
        {"--json", false},     {"--plugin", true},        {"--svg", true},    {"--list", false},
        {"--precision", true}, {"--prepack-cache", true}, {NULL, false}};
    static cli_bench_job b = {.seconds = -1, .warmup = 3, .top = 10};
    const char *v;
    int i = 1, o;
    while ((o = cli_next("bench", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && b.path) return cli_usage("bench", "one model at a time, not also %s", v);
        if (o == 0) b.path = v;
        if (o > 0 && take_option(&b, o, v) != CLI_OK) return CLI_USAGE;
    }
    if (b.list) return list_subjects(b.json);
    if (!b.path) return cli_usage("bench", "which model, or which subject?");
    const sys_subject *s = sys_find(b.path);
    if (s) return measure_subject(&b, s);
    const char *near = cli_nearest(sys_subjects, sizeof *sys_subjects, b.path);
    if (near && !strpbrk(b.path, "./") && access(b.path, F_OK) != 0)
        return cli_usage("bench", "there is no model or subject \"%s\", did you mean %s?", b.path,
                         near);
    return measure_model(&b);
}
