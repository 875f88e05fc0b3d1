/*
 * Decision forests: a grove gives the scores of the plain walk bit for bit, for every comparison,
 * NaN, infinities and trees of any shape; forests that are no trees get a status or no grove.
 */
#include "op_bench.h"
#include "ops/grove.h"

#include <math.h>

enum { TREES = 11, NODES = 400, COLS = 5, TARGETS = 3, ROWS = 41 };

typedef struct model {
    int64_t tree[NODES], node[NODES], feature[NODES], yes[NODES], no[NODES], missing[NODES];
    int64_t leaf_tree[NODES], leaf_node[NODES], leaf_id[NODES];
    float split[NODES], weight[NODES];
    lmn_str mode[NODES];
    int32_t n, n_votes;
} model;

static char modes[][12] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                           "BRANCH_GT",  "BRANCH_EQ", "LEAF"};
static const float VALUES[] = {-1.5f, -0.0f, 0.0f, 1e-45f, 0.5f, 2.0f, INFINITY, NAN, -INFINITY};

/* A node of a random tree at place `at`; its children go behind all that is there. */
static void grow(t_env *env, model *m, int64_t first, int64_t at, int n_modes)
{
    const bool leaf = m->n - first + 2 > NODES / TREES || t_rand_int(env, 0, 3) == 0;
    const char *mode = modes[leaf ? 5 : t_rand_int(env, 0, n_modes - 1)];
    m->node[at] = at - first;
    m->mode[at] = (lmn_str){(char *)(uintptr_t)mode, strlen(mode)};
    m->feature[at] = t_rand_int(env, 0, COLS - 1);
    m->split[at] = VALUES[t_rand_int(env, 0, 6)];
    m->missing[at] = t_rand_int(env, 0, 1);
    m->yes[at] = m->no[at] = 0;
    for (int64_t v = leaf ? t_rand_int(env, 0, 2) : 0; v > 0 && m->n_votes < NODES; v--) {
        m->leaf_tree[m->n_votes] = m->tree[at];
        m->leaf_node[m->n_votes] = at - first;
        m->leaf_id[m->n_votes] = t_rand_int(env, 0, TARGETS - 1);
        m->weight[m->n_votes++] = (float)t_rand_real(env, -1, 1);
    }
    if (leaf) return;
    m->yes[at] = m->n - first, m->no[at] = m->n + 1 - first;
    m->tree[m->n] = m->tree[m->n + 1] = m->tree[at];
    m->n += 2;
}

static void random_model(t_env *env, model *m, int n_modes)
{
    memset(m, 0, sizeof *m);
    for (int64_t t = 0; t < TREES; t++) {
        const int64_t first = m->n;
        m->tree[m->n++] = t * 7;
        for (int64_t at = first; at < m->n; at++) grow(env, m, first, at, n_modes);
    }
}

static void put_ints(lmn_attr *at, const char *name, const int64_t *v, int32_t n)
{
    *at = (lmn_attr){.name = name, .type = LMN_ATTR_INTS, .n = n, .u.ints = v};
}

/* The attributes of a regressor; `attrs` has room for 14. */
static void put_model(op_bench *b, const model *m, lmn_attr *attrs, char *aggregate)
{
    put_ints(&attrs[0], "nodes_treeids", m->tree, m->n);
    put_ints(&attrs[1], "nodes_nodeids", m->node, m->n);
    put_ints(&attrs[2], "nodes_featureids", m->feature, m->n);
    put_ints(&attrs[3], "nodes_truenodeids", m->yes, m->n);
    put_ints(&attrs[4], "nodes_falsenodeids", m->no, m->n);
    put_ints(&attrs[5], "nodes_missing_value_tracks_true", m->missing, m->n);
    put_ints(&attrs[6], "target_treeids", m->leaf_tree, m->n_votes);
    put_ints(&attrs[7], "target_nodeids", m->leaf_node, m->n_votes);
    put_ints(&attrs[8], "target_ids", m->leaf_id, m->n_votes);
    attrs[9] = (lmn_attr){
        .name = "target_weights", .type = LMN_ATTR_FLOATS, .n = m->n_votes, .u.floats = m->weight};
    attrs[10] = (lmn_attr){
        .name = "nodes_values", .type = LMN_ATTR_FLOATS, .n = m->n, .u.floats = m->split};
    attrs[11] = (lmn_attr){
        .name = "nodes_modes", .type = LMN_ATTR_STRINGS, .n = m->n, .u.strings = m->mode};
    attrs[12] = (lmn_attr){.name = "n_targets", .type = LMN_ATTR_INT, .n = 1, .u.i = TARGETS};
    attrs[13] = (lmn_attr){.name = "aggregate_function",
                           .type = LMN_ATTR_STRING,
                           .n = 1,
                           .u.s = {aggregate, strlen(aggregate)}};
    b->node.def = lmn_op_find("ai.onnx.ml", "TreeEnsembleRegressor");
    b->node.attrs = attrs;
    b->node.n_attrs = 14;
}

/* By the walk, and by the grove if there is one; false: there is none. */
static bool check_equal(t_env *env, const model *m, char *aggregate, int64_t rows, bool nan)
{
    double x[ROWS * COLS];
    for (int i = 0; i < ROWS * COLS; i++) {
        x[i] = (double)VALUES[t_rand_int(env, 0, 8)];
        if (isnan(x[i]) && !nan) x[i] = 1.0;
    }
    op_bench b;
    lmn_attr attrs[14];
    op_begin(&b, env, "Identity", 1);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){rows, COLS}, x);
    put_model(&b, m, attrs, aggregate);
    if (!T_OK_ERR(op_eval(&b), &b.err)) {
        op_end(&b);
        return true;
    }
    float want[ROWS * TARGETS];
    const size_t bytes = (size_t)(rows * TARGETS) * sizeof *want;
    memcpy(want, b.slots[0].data, bytes);
    lmn_forest f;
    lmn_grove g;
    lmn_eval ec = {.node = &b.node,
                   .engine = env->engine,
                   .n_in = 1,
                   .n_out = 1,
                   .in = b.in,
                   .out = b.out,
                   .err = &b.err};
    T_OK_ERR(lmn_tree_regressor_forest(&ec, &f), &b.err);
    const bool has = lmn_grove_build(&ec, &f, &g);
    if (has) {
        T_OK_ERR(lmn_tree_regressor_eval(&ec, &g), &b.err);
        T_CHECK(memcmp(want, b.slots[0].data, bytes) == 0);
    }
    lmn_scratch_release(&ec);
    op_end(&b);
    return has;
}

static void test_grove(t_env *env)
{
    static char how[][8] = {"SUM", "AVERAGE", "MIN", "MAX"};
    static const int64_t ROW_COUNTS[] = {1, 3, 4, 8, 32, 35, 36, ROWS};
    static model m;
    for (int i = 0; i < 60; i++) {
        random_model(env, &m, 4);
        T_CHECK(check_equal(env, &m, how[i % 4], ROW_COUNTS[i % 8], i % 3 == 0));
    }
    do random_model(env, &m, 4);
    while (m.no[0] == 0); /* the first root has children */
    m.mode[0] = (lmn_str){modes[4], strlen(modes[4])};
    T_CHECK(!check_equal(env, &m, how[0], 5, false)); /* equality has no grove */
}

static void test_cycle(t_env *env)
{
    static model m;
    static char sum[] = "SUM";
    double x[COLS] = {0};
    op_bench b;
    lmn_attr attrs[14];
    do random_model(env, &m, 1);
    while (m.no[0] == 0);
    m.yes[0] = m.no[0] = 0;
    op_begin(&b, env, "Identity", 1);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){1, COLS}, x);
    put_model(&b, &m, attrs, sum);
    T_EQ(op_eval(&b), LAMINA_E_INVALID);
    lmn_forest f;
    lmn_grove g;
    lmn_eval ec = {.node = &b.node, .engine = env->engine, .n_in = 1, .in = b.in, .err = &b.err};
    T_OK_ERR(lmn_tree_regressor_forest(&ec, &f), &b.err);
    T_CHECK(!lmn_grove_build(&ec, &f, &g));
    lmn_scratch_release(&ec);
    op_end(&b);
}

T_MAIN(T_TEST(test_grove), T_TEST(test_cycle))
