/*
 * Passes against golden files: golden/<pass>_<case>.txt holds a graph, the line "=== after" and the
 * graph that the pass makes of it. GOLDEN_WRITE=1 writes the second half anew; read the difference
 * before you keep it. The constants are small enough to be read.
 */
#include "graph_case.h"

#include <dirent.h>

#define MARK "=== after\n"
#define DIR_NAME T_SOURCE_DIR "/tests/graph/golden"

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = calloc(1, 1 << 20);
    const size_t n = fread(text, 1, (1 << 20) - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

/* The longest pass name that the file name starts with. */
static const char *pass_of(const char *file)
{
    const char *best = NULL;
    for (const lmn_pass *p = lmn_passes; p->name; p++) {
        const size_t n = strlen(p->name);
        if (strncmp(file, p->name, n) == 0 && file[n] == '_' && (!best || n > strlen(best)))
            best = p->name;
    }
    return best;
}

static void write_after(const char *path, const char *before, const char *after)
{
    FILE *f = fopen(path, "wb");
    if (!T_CHECK(f != NULL)) return;
    fprintf(f, "%s%s%s", before, MARK, after);
    fclose(f);
}

static void check_file(t_env *env, const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", DIR_NAME, file);
    char *text = read_all(path);
    const char *pass = pass_of(file);
    T_CASE(file);
    if (!T_CHECK(text != NULL) || !T_CHECK(pass != NULL)) return;
    char *mark = strstr(text, MARK);
    if (mark) *mark = 0;
    lmn_graph *g = graph_ready(env, text);
    if (g) {
        (void)graph_pass(g, pass);
        T_OK(lmn_graph_infer(g, NULL)); /* what the pass made is accepted by inference */
        lmn_strbuf after;
        graph_text(env, g, &after);
        if (getenv("GOLDEN_WRITE"))
            write_after(path, text, lmn_strbuf_text(&after));
        else
            T_STR_EQ(lmn_strbuf_text(&after), mark ? mark + strlen(MARK) : "(no second half)");
        lmn_graph *back = graph_of(env, lmn_strbuf_text(&after));
        lmn_graph_destroy(back);
        lmn_strbuf_finish(&after);
    }
    lmn_graph_destroy(g);
    free(text);
}

static void test_golden(t_env *env)
{
    DIR *d = opendir(DIR_NAME);
    int n = 0;
    T_REQUIRE(d != NULL);
    for (struct dirent *e; (e = readdir(d));) {
        const size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".txt")) continue;
        check_file(env, e->d_name);
        n++;
    }
    closedir(d);
    T_CHECK(n >= 20);
}

/* Each allocation of a pass failing in turn: a status, nothing lost, the graph still whole. */
static void test_no_memory(t_env *env)
{
    static const char *const FILES[] = {
        "conv_bn_batch_norm.txt",    "epilogue_residual.txt",    "activations_gelu_erf.txt",
        "elide_transposes.txt",      "attention_llama.txt",      "qdq_conv_relu.txt",
        "attention_two_masks.txt",   "rotary_llama.txt",         "unmerge_bmm.txt",
        "transposes_nhwc.txt",       "casts_chain.txt",          "channels_last_region.txt",
        "short_products_blocks.txt", "image_blocks_residual.txt"};
    for (size_t i = 0; i < T_COUNT(FILES); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", DIR_NAME, FILES[i]);
        char *text = read_all(path);
        T_REQUIRE(text != NULL);
        char *mark = strstr(text, MARK);
        if (mark) *mark = 0;
        for (int nth = 1;; nth++) {
            lmn_graph *g = graph_ready(env, text);
            T_REQUIRE(g != NULL);
            lmn_pass_ctx ctx = {.max_const_bytes = (uint64_t)1 << 20, .short_images = true};
            t_fail_alloc(env, nth);
            const lamina_status st = lmn_passes_run(g, &ctx);
            const bool over = t_fail_pending(env);
            t_fail_alloc(env, 0);
            T_CHECK(st == LAMINA_OK || st == LAMINA_E_NOMEM);
            lmn_graph_destroy(g);
            T_NOTHING_HELD(env);
            if (over) break;
        }
        free(text);
    }
}

/* Attention as each exporter writes it is found when all passes run, not only by its own. */
static void test_attention_found(t_env *env)
{
    static const char *const FILES[] = {"bert", "gpt2", "vit", "whisper", "llama"};
    for (size_t i = 0; i < T_COUNT(FILES); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/attention_%s.txt", DIR_NAME, FILES[i]);
        T_CASE(FILES[i]);
        char *text = read_all(path);
        T_REQUIRE(text != NULL);
        char *mark = strstr(text, MARK);
        if (mark) *mark = 0;
        lmn_graph *g = graph_ready(env, text);
        T_REQUIRE(g != NULL);
        lmn_pass_ctx ctx = {.max_const_bytes = (uint64_t)1 << 20};
        T_OK(lmn_passes_run(g, &ctx));
        int found = 0, products = 0;
        for (size_t k = 0; k < g->n_nodes; k++) {
            found += !strcmp(g->nodes[k].op.def->name, "FusedAttention");
            products += !strcmp(g->nodes[k].op.def->name, "MatMul");
        }
        T_EQ(found, 1);
        T_EQ(products, 0);
        lmn_graph_destroy(g);
        free(text);
    }
}

T_MAIN(T_TEST(test_attention_found), T_TEST(test_golden), T_TEST(test_no_memory))
