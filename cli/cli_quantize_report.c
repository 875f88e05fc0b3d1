/*
 * The accuracy report: one row a quantised node, in the order of the graph, then the outputs, then
 * what was saved.
 */
#include "cli_quantize.h"

#include <math.h>
#include <string.h>

/* "" for what was not measured; a short power of ten if digits < 0. */
static void real(char buf[16], int digits, double v, bool there)
{
    buf[0] = 0;
    if (!there) return;
    if (isinf(v))
        (void)snprintf(buf, 16, "exact");
    else
        (void)snprintf(buf, 16, digits < 0 ? "%.*e" : "%.*f", digits < 0 ? 2 : digits, v);
}

static void table_row(const lamina_quantize_layer *l, int width)
{
    char w[16], m[16], r[16], s[16], c[16];
    const bool seen = l->n_values > 0;
    real(w, -1, l->weight_rel_l2, l->weight_rel_l2 > 0);
    real(m, -1, l->max_abs, seen);
    real(r, -1, l->rel_l2, seen);
    real(s, 1, l->sqnr_db, seen);
    real(c, 6, l->cosine, seen);
    printf("%-*.*s  %-17s  %8s  %8s  %8s  %7s  %8s", width, width, l->name,
           *l->op ? l->op : "output", w, m, r, s, c);
    if (l->n_rows)
        printf("  top-1 equal in %llu of %llu rows", (unsigned long long)l->n_top1,
               (unsigned long long)l->n_rows);
    printf("\n");
}

void quantize_table(const quantize_summary *s)
{
    const size_t n = lamina_quantizer_layer_count(s->q);
    int width = 5;
    lamina_quantize_layer l = {.size = sizeof l};
    for (size_t i = 0; i < n; i++) {
        if (lamina_quantizer_layer(s->q, i, &l) != LAMINA_OK) return;
        const int len = (int)strlen(l.name);
        width = len > width ? len : width;
    }
    width = width > 48 ? 48 : width;
    printf("%-*s  %-17s  %8s  %8s  %8s  %7s  %8s\n", width, "layer", "operator", "weights",
           "max abs", "rel L2", "SQNR dB", "cosine");
    for (size_t i = 0; i < n; i++)
        if (lamina_quantizer_layer(s->q, i, &l) == LAMINA_OK) table_row(&l, width);
    lamina_model_info a = {.size = sizeof a}, b = {.size = sizeof b};
    if (lamina_model_get_info(s->was, &a) != LAMINA_OK ||
        lamina_model_get_info(s->is, &b) != LAMINA_OK)
        return;
    char w[2][16], f[2][16];
    cli_si(w[0], (double)a.weight_bytes, "B");
    cli_si(w[1], (double)b.weight_bytes, "B");
    cli_si(f[0], (double)s->file_bytes[0], "B");
    cli_si(f[1], (double)s->file_bytes[1], "B");
    printf("against float32 over %ld %sset%s of inputs\n", s->n_sets, s->random ? "random " : "",
           s->n_sets == 1 ? "" : "s");
    printf("%s: %s, weights %s (were %s), file %s (was %s)\n", s->out, s->mode, w[1], w[0], f[1],
           f[0]);
}

static void json_layer(FILE *f, const lamina_quantize_layer *l)
{
    (void)fprintf(f, "{\"name\": ");
    cli_json_string(f, l->name);
    if (*l->op) {
        (void)fprintf(f, ", \"op\": ");
        cli_json_string(f, l->op);
    }
    if (l->weight_rel_l2 > 0) cli_json_number(f, ", \"weight_rel_l2\": ", l->weight_rel_l2);
    (void)fprintf(f, ", \"values\": %llu", (unsigned long long)l->n_values);
    if (l->n_values) {
        cli_json_number(f, ", \"max_abs\": ", l->max_abs);
        cli_json_number(f, ", \"rel_l2\": ", l->rel_l2);
        cli_json_number(f, ", \"sqnr_db\": ", l->sqnr_db);
        cli_json_number(f, ", \"cosine\": ", l->cosine);
    }
    if (l->n_rows)
        (void)fprintf(f, ", \"rows\": %llu, \"top1_equal\": %llu", (unsigned long long)l->n_rows,
                      (unsigned long long)l->n_top1);
    (void)fprintf(f, "}");
}

static void json_list(FILE *f, const char *key, const lamina_quantizer *q, bool outputs)
{
    const size_t n = lamina_quantizer_layer_count(q);
    lamina_quantize_layer l = {.size = sizeof l};
    bool first = true;
    (void)fprintf(f, ",\n \"%s\": [", key);
    for (size_t i = 0; i < n; i++) {
        if (lamina_quantizer_layer(q, i, &l) != LAMINA_OK || !*l.op != outputs) continue;
        (void)fprintf(f, "%s\n  ", first ? "" : ",");
        json_layer(f, &l);
        first = false;
    }
    (void)fprintf(f, "]");
}

void quantize_json(FILE *f, const quantize_summary *s)
{
    lamina_model_info a = {.size = sizeof a}, b = {.size = sizeof b};
    if (lamina_model_get_info(s->was, &a) != LAMINA_OK ||
        lamina_model_get_info(s->is, &b) != LAMINA_OK)
        return;
    (void)fprintf(f, "{\"input\": ");
    cli_json_string(f, s->in);
    (void)fprintf(f, ", \"output\": ");
    cli_json_string(f, s->out);
    (void)fprintf(f, ", \"mode\": \"%s\", \"sets\": %ld, \"random\": %s,\n", s->mode, s->n_sets,
                  s->random ? "true" : "false");
    (void)fprintf(f, " \"weight_bytes\": [%llu, %llu], \"file_bytes\": [%llu, %llu]",
                  (unsigned long long)a.weight_bytes, (unsigned long long)b.weight_bytes,
                  (unsigned long long)s->file_bytes[0], (unsigned long long)s->file_bytes[1]);
    json_list(f, "layers", s->q, false);
    json_list(f, "outputs", s->q, true);
    (void)fprintf(f, "}\n");
}
