/*
 * Building and walking decision forests (see trees.h). Everything a file says is checked here, once
 * a run; the walk then needs only its step bound.
 */
#include "ops/f64io.h"
#include "ops/grove.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_INVALID, "%s", what);
}

/* Memory as it comes: every element is written before it is read. */
static void *room(lmn_eval *ec, int64_t n, size_t elem)
{
    size_t bytes;
    return n < 0 || !lmn_mul_size((size_t)n + 1, elem, &bytes) ? NULL : lmn_scratch(ec, bytes);
}

static void *array(lmn_eval *ec, int64_t n, size_t elem)
{
    void *p = room(ec, n, elem);
    if (p) memset(p, 0, ((size_t)n + 1) * elem);
    return p;
}

/* Ints of an attribute that must have n entries; NULL if absent and optional. */
static lamina_status ints(lmn_eval *ec, const char *name, int64_t n, bool needed,
                          const int64_t **out)
{
    const int32_t have = lmn_attr_ints(ec->node, name, out);
    if (have == 0 && !needed) {
        *out = NULL;
        return LAMINA_OK;
    }
    if (have == n) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_INVALID, "attribute \"%s\" has %d entries, must have %lld",
                         name, have, (long long)n);
}

static lamina_status take_feature(lmn_eval *ec, lmn_forest *f, lmn_tree_node *n, int64_t feature)
{
    if (feature < 0 || feature >= INT32_MAX)
        return bad(ec, "a feature id is negative or above 2^31 - 2");
    n->feature = (int32_t)feature;
    if (feature >= f->info.features) f->info.features = feature + 1;
    return LAMINA_OK;
}

static void sum_up_votes(lmn_forest *f)
{
    const int64_t n = f->leaf_first[f->n_leaves], first = n > 0 ? f->votes[0].target : -1;
    bool negative = false, other = false;
    for (int64_t i = 0; i < n; i++) {
        negative |= f->votes[i].weight < 0.0;
        other |= f->votes[i].target != first;
    }
    f->info.positive = !negative;
    f->info.only_target = other ? -1 : first;
}

/* ---- the old form -------------------------------------------------------------------------------
 */

static int mode_of(lmn_str s)
{
    static const char *const NAMES[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE",    "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF"};
    for (size_t i = 0; i < LMN_COUNT(NAMES); i++)
        if (strlen(NAMES[i]) == s.n && memcmp(NAMES[i], s.p, s.n) == 0) return (int)i;
    return -1;
}

/* Modes by the place of their text: a file's list has one copy of what it repeats (onnx_attr.c). */
typedef struct mode_memo {
    lmn_str text[2];
    int mode[2];
    uint32_t oldest;
} mode_memo;

static int mode_at(mode_memo *m, lmn_str s)
{
    for (uint32_t k = 0; k < 2; k++)
        if (m->text[k].p == s.p && m->text[k].n == s.n) return m->mode[k];
    const uint32_t k = m->oldest++ & 1;
    m->text[k] = s;
    return m->mode[k] = mode_of(s);
}

/* (tree, node) as a string key: both numbers' bytes. */
typedef struct pair {
    int64_t tree, node;
} pair;

static lmn_ml_key pair_key(const pair *p)
{
    return (lmn_ml_key){.p = (const char *)p, .n = sizeof *p};
}

typedef struct old_form {
    const int64_t *tree, *node, *feature, *yes, *no, *missing;
    lmn_ml_list modes, values;
    int64_t n;
    lmn_ml_index index; /* slots NULL until a node is not where files put it */
} old_form;

static lamina_status index_nodes(lmn_eval *ec, old_form *o)
{
    pair *pairs = array(ec, o->n, sizeof *pairs);
    lmn_ml_key *keys = array(ec, o->n, sizeof *keys);
    if (!pairs || !keys) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the trees");
    for (int64_t i = 0; i < o->n; i++) {
        pairs[i] = (pair){o->tree[i], o->node[i]};
        keys[i] = pair_key(&pairs[i]);
    }
    return lmn_ml_index_build(ec, keys, o->n, &o->index);
}

/* Number of a node, -1 if it is not there. Files number the nodes of a tree in order: `start`, the
 * first node of the tree, is asked before an index of all nodes is made. */
static lamina_status find_node(lmn_eval *ec, old_form *o, int64_t start, int64_t tree, int64_t node,
                               int64_t *out)
{
    const pair p = {tree, node};
    if (node >= 0 && node < o->n - start) {
        *out = start + node;
        if (o->tree[*out] == tree && o->node[*out] == node) return LAMINA_OK;
    }
    if (!o->index.slots) LMN_TRY(index_nodes(ec, o));
    *out = lmn_ml_index_find(&o->index, pair_key(&p));
    return LAMINA_OK;
}

/* Leaves carry the number of their node. */
static int32_t link_to(const lmn_forest *f, int64_t node)
{
    return (int32_t)(f->nodes[node].mode == LMN_TREE_LEAF ? ~node : node);
}

static lamina_status read_nodes(lmn_eval *ec, lmn_forest *f, old_form *o)
{
    const lmn_attr *values = o->values.attr;
    const float *floats = values && values->type == LMN_ATTR_FLOATS ? values->u.floats : NULL;
    mode_memo memo = {0};
    for (int64_t i = 0; i < f->n_nodes; i++) {
        lmn_tree_node *n = &f->nodes[i];
        *n = (lmn_tree_node){0};
        const int mode = mode_at(&memo, lmn_ml_str(&o->modes, i));
        if (mode < 0) return bad(ec, "a node mode is not known");
        n->mode = (uint8_t)mode;
        n->split = floats ? (double)floats[i] : lmn_ml_f64(&o->values, i);
        n->missing_yes = o->missing && o->missing[i] != 0;
        if (mode != LMN_TREE_LEAF) LMN_TRY(take_feature(ec, f, n, o->feature[i]));
        if (mode == LMN_TREE_MEMBER) n->mode = LMN_TREE_EQ; /* one value: equality */
    }
    int64_t start = 0, yes, no;
    for (int64_t i = 0; i < f->n_nodes; i++) {
        lmn_tree_node *n = &f->nodes[i];
        if (i == 0 || o->tree[i] != o->tree[i - 1]) {
            f->roots[f->info.n_roots++] = link_to(f, i);
            start = i;
        }
        if (n->mode == LMN_TREE_LEAF) continue;
        LMN_TRY(find_node(ec, o, start, o->tree[i], o->yes[i], &yes));
        LMN_TRY(find_node(ec, o, start, o->tree[i], o->no[i], &no));
        if (yes < 0 || no < 0) return bad(ec, "a node names a child that is not there");
        n->yes = link_to(f, yes), n->no = link_to(f, no);
    }
    return LAMINA_OK;
}

static lamina_status read_votes(lmn_eval *ec, lmn_forest *f, old_form *o, const char *prefix)
{
    char name[4][40];
    const int64_t *tree, *node, *id;
    static const char *const PARTS[] = {"treeids", "nodeids", "ids", "weights"};
    for (int i = 0; i < 4; i++)
        (void)lmn_format(name[i], sizeof name[i], "%s_%s", prefix, PARTS[i]);
    char tensor[48];
    (void)lmn_format(tensor, sizeof tensor, "%s_as_tensor", name[3]);
    const lmn_ml_list weights = lmn_ml_list_of(ec->node, NULL, NULL, name[3], tensor);
    const int64_t n = weights.n;
    LMN_TRY(ints(ec, name[0], n, true, &tree));
    LMN_TRY(ints(ec, name[1], n, true, &node));
    LMN_TRY(ints(ec, name[2], n, true, &id));
    if (n >= INT32_MAX) return lmn_eval_fail(ec, LAMINA_E_LIMIT, "more than 2^31 votes");
    int32_t *leaf = room(ec, n, sizeof *leaf), *fill = room(ec, f->n_leaves, sizeof *fill);
    f->votes = room(ec, n, sizeof *f->votes);
    if (!leaf || !fill || !f->votes)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the leaves");
    int64_t start = 0;
    for (int64_t i = 0; i < n; i++) {
        while (start < o->n && o->tree[start] != tree[i]) start++; /* at the end: all by index */
        int64_t at;
        LMN_TRY(find_node(ec, o, start, tree[i], node[i], &at));
        if (at < 0 || id[i] < 0 || id[i] >= f->info.targets)
            return bad(ec, "a vote names no node or no target");
        leaf[i] = (int32_t)at;
        f->leaf_first[leaf[i] + 1]++;
    }
    for (int64_t l = 0; l < f->n_leaves; l++) {
        f->leaf_first[l + 1] += f->leaf_first[l];
        fill[l] = f->leaf_first[l];
    }
    for (int64_t i = 0; i < n; i++)
        f->votes[fill[leaf[i]]++] = (lmn_tree_vote){id[i], lmn_ml_f64(&weights, i)};
    sum_up_votes(f);
    return LAMINA_OK;
}

lamina_status lmn_forest_old(lmn_eval *ec, const char *prefix, int64_t targets, lmn_forest *f)
{
    old_form o = {
        .modes = lmn_ml_list_of(ec->node, "nodes_modes", NULL, NULL, NULL),
        .values = lmn_ml_list_of(ec->node, NULL, NULL, "nodes_values", "nodes_values_as_tensor")};
    const lmn_ml_list base =
        lmn_ml_list_of(ec->node, NULL, NULL, "base_values", "base_values_as_tensor");
    const int64_t n = o.n = o.modes.n;
    *f = (lmn_forest){
        .info = {.targets = targets, .aggregate = LMN_TREE_SUM}, .n_nodes = n, .n_leaves = n};
    if (targets < 1 || o.values.n != n)
        return bad(ec, "there are no targets, or not one value for each node");
    LMN_TRY(ints(ec, "nodes_treeids", n, true, &o.tree));
    LMN_TRY(ints(ec, "nodes_nodeids", n, true, &o.node));
    LMN_TRY(ints(ec, "nodes_featureids", n, true, &o.feature));
    LMN_TRY(ints(ec, "nodes_truenodeids", n, true, &o.yes));
    LMN_TRY(ints(ec, "nodes_falsenodeids", n, true, &o.no));
    LMN_TRY(ints(ec, "nodes_missing_value_tracks_true", n, false, &o.missing));
    int64_t trees = n > 0;
    for (int64_t i = 1; i < n; i++) trees += o.tree[i] != o.tree[i - 1];
    f->nodes = room(ec, n, sizeof *f->nodes);
    f->roots = room(ec, trees, sizeof *f->roots);
    f->leaf_first = array(ec, n + 1, sizeof *f->leaf_first);
    if (!f->nodes || !f->roots || !f->leaf_first)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the trees");
    LMN_TRY(read_nodes(ec, f, &o));
    if (base.dt) {
        double *values;
        if (base.n != 1 && base.n != targets)
            return bad(ec, "base_values has neither one value nor one for each target");
        LMN_TRY(lmn_f64_alloc(ec, targets, &values));
        for (int64_t t = 0; t < targets; t++) values[t] = lmn_ml_f64(&base, base.n == 1 ? 0 : t);
        f->info.base = values;
    }
    return read_votes(ec, f, &o, prefix);
}

/* ---- the form of opset 5 ------------------------------------------------------------------------
 */

/* Sets are listed in the order of their nodes, each ended by a NaN. */
static lamina_status read_sets(lmn_eval *ec, lmn_forest *f)
{
    const lmn_ml_list m = lmn_ml_list_of(ec->node, NULL, NULL, NULL, "membership_values");
    double *values;
    int64_t at = 0;
    if (m.n >= INT32_MAX) return lmn_eval_fail(ec, LAMINA_E_LIMIT, "more than 2^31 set members");
    LMN_TRY(lmn_ml_values(ec, &m, m.n, 0.0, &values));
    f->members = values;
    for (int64_t i = 0; i < f->n_nodes; i++) {
        lmn_tree_node *n = &f->nodes[i];
        if (n->mode != LMN_TREE_MEMBER) continue;
        n->set_first = (int32_t)at;
        while (at < m.n && !isnan(values[at])) at++;
        n->set_count = (int32_t)(at++ - n->set_first);
        if (n->set_first > m.n)
            return bad(ec, "membership_values has fewer sets than BRANCH_MEMBER nodes");
    }
    return LAMINA_OK;
}

static lamina_status link_new(lmn_eval *ec, const lmn_forest *f, int64_t id, bool leaf,
                              int32_t *out)
{
    if (id < 0 || id >= (leaf ? f->n_leaves : f->n_nodes))
        return bad(ec, "a node names a child that is not there");
    *out = (int32_t)(leaf ? ~id : id);
    return LAMINA_OK;
}

static lamina_status read_leaves(lmn_eval *ec, lmn_forest *f, const lmn_ml_list *weights)
{
    const int64_t *target;
    LMN_TRY(ints(ec, "leaf_targetids", weights->n, true, &target));
    f->votes = array(ec, weights->n, sizeof *f->votes);
    f->leaf_first = array(ec, weights->n + 1, sizeof *f->leaf_first);
    if (!f->votes || !f->leaf_first)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the leaves");
    for (int64_t i = 0; i < weights->n; i++) {
        if (target[i] < 0 || target[i] >= f->info.targets)
            return bad(ec, "a leaf votes for a target that is not there");
        f->votes[i] = (lmn_tree_vote){target[i], lmn_ml_f64(weights, i)};
        f->leaf_first[i + 1] = (int32_t)(i + 1);
    }
    sum_up_votes(f);
    return LAMINA_OK;
}

lamina_status lmn_forest_new(lmn_eval *ec, lmn_forest *f)
{
    const lmn_ml_list modes = lmn_ml_list_of(ec->node, NULL, NULL, NULL, "nodes_modes");
    const lmn_ml_list splits = lmn_ml_list_of(ec->node, NULL, NULL, NULL, "nodes_splits");
    const lmn_ml_list weights = lmn_ml_list_of(ec->node, NULL, NULL, NULL, "leaf_weights");
    const int64_t n = modes.n, *feature, *yes, *no, *yes_leaf, *no_leaf, *missing, *roots;
    *f = (lmn_forest){
        .n_nodes = n,
        .n_leaves = weights.n,
        .info = {.targets = lmn_attr_i(ec->node, "n_targets", 1),
                 .aggregate = (int32_t)lmn_attr_i(ec->node, "aggregate_function", LMN_TREE_SUM)}};
    if (n >= INT32_MAX || weights.n >= INT32_MAX)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "more than 2^31 nodes or leaves");
    if (splits.n != n || f->info.targets < 1 || f->info.aggregate < 0 ||
        f->info.aggregate > LMN_TREE_MAX)
        return bad(ec, "the splits do not match the nodes, or n_targets or aggregate_function is "
                       "out of range");
    LMN_TRY(ints(ec, "nodes_featureids", n, true, &feature));
    LMN_TRY(ints(ec, "nodes_truenodeids", n, true, &yes));
    LMN_TRY(ints(ec, "nodes_falsenodeids", n, true, &no));
    LMN_TRY(ints(ec, "nodes_trueleafs", n, true, &yes_leaf));
    LMN_TRY(ints(ec, "nodes_falseleafs", n, true, &no_leaf));
    LMN_TRY(ints(ec, "nodes_missing_value_tracks_true", n, false, &missing));
    f->info.n_roots = lmn_attr_ints(ec->node, "tree_roots", &roots);
    f->nodes = array(ec, n, sizeof *f->nodes);
    f->roots = array(ec, f->info.n_roots, sizeof *f->roots);
    if (!f->nodes || !f->roots) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the trees");
    for (int64_t i = 0; i < f->info.n_roots; i++)
        LMN_TRY(link_new(ec, f, roots[i], false, &f->roots[i]));
    for (int64_t i = 0; i < n; i++) {
        lmn_tree_node *node = &f->nodes[i];
        const int64_t mode = lmn_ml_i64(&modes, i);
        if (mode < 0 || mode > LMN_TREE_MEMBER) return bad(ec, "a node mode is not known");
        node->mode = (uint8_t)mode;
        node->split = lmn_ml_f64(&splits, i);
        node->missing_yes = missing && missing[i] != 0;
        LMN_TRY(take_feature(ec, f, node, feature[i]));
        LMN_TRY(link_new(ec, f, yes[i], yes_leaf[i] != 0, &node->yes));
        LMN_TRY(link_new(ec, f, no[i], no_leaf[i] != 0, &node->no));
    }
    LMN_TRY(read_sets(ec, f));
    return read_leaves(ec, f, &weights);
}

/* ---- the walk -----------------------------------------------------------------------------------
 */

static bool takes_yes(const lmn_forest *f, const lmn_tree_node *n, double x)
{
    if (isnan(x) && n->missing_yes) return true;
    switch (n->mode) {
    case LMN_TREE_LEQ: return x <= n->split;
    case LMN_TREE_LT: return x < n->split;
    case LMN_TREE_GTE: return x >= n->split;
    case LMN_TREE_GT: return x > n->split;
    case LMN_TREE_EQ: return x == n->split;
    case LMN_TREE_NEQ: return x != n->split;
    default: break;
    }
    for (int64_t i = 0; i < n->set_count; i++)
        if (f->members[n->set_first + i] == x) return true;
    return false;
}

static lamina_status walk_row(lmn_eval *ec, const lmn_forest *f, const double *x, double *score,
                              bool *hit)
{
    for (int64_t t = 0; t < f->info.targets; t++) score[t] = 0.0, hit[t] = false;
    for (int64_t r = 0; r < f->info.n_roots; r++) {
        int64_t at = f->roots[r], steps = 0;
        while (at >= 0) {
            const lmn_tree_node *n = &f->nodes[at];
            if (++steps > f->n_nodes) return bad(ec, "the nodes of a tree form a cycle");
            at = takes_yes(f, n, x[n->feature]) ? n->yes : n->no;
        }
        for (int64_t v = f->leaf_first[~at]; v < f->leaf_first[~at + 1]; v++)
            lmn_forest_vote(&f->info, &f->votes[v], score, hit);
    }
    lmn_forest_finish(&f->info, score);
    return LAMINA_OK;
}

typedef struct job {
    const lmn_grove *g;
    const float *x;
    int64_t rows, cols;
    float *work;
    double *score;
    bool *hit;
    lmn_tree_take *take;
    void *arg;
} job;

static void grove_rows(void *arg, int64_t chunk, int32_t worker)
{
    const job *j = arg;
    const int64_t first = chunk * LMN_GROVE_ROWS, k = j->g->info.targets;
    const int64_t n = lmn_min_i64(LMN_GROVE_ROWS, j->rows - first), at = worker * LMN_GROVE_ROWS;
    double *score = j->score + at * k;
    bool *hit = j->hit + at * k;
    lmn_grove_scores(j->g, j->x + first * j->cols, n, j->cols, j->work + at * j->cols, score, hit);
    for (int64_t r = 0; r < n; r++) j->take(j->arg, first + r, score + r * k, hit + r * k);
}

static lamina_status by_grove(lmn_eval *ec, job *j)
{
    int64_t wide, scores;
    const int64_t lanes = (int64_t)lmn_par_width(ec->par) * LMN_GROVE_ROWS;
    if (!lmn_mul_i64(lanes, j->cols, &wide) || !lmn_mul_i64(lanes, j->g->info.targets, &scores))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "too many features or targets");
    j->work = lmn_wide_scratch(ec, wide, sizeof *j->work);
    j->score = lmn_wide_scratch(ec, scores, sizeof *j->score);
    j->hit = lmn_wide_scratch(ec, scores, sizeof *j->hit);
    if (!j->work || !j->score || !j->hit) return LAMINA_E_NOMEM;
    lmn_par_for(ec->par, (j->rows + LMN_GROVE_ROWS - 1) / LMN_GROVE_ROWS, grove_rows, j);
    return lmn_eval_cancelled(ec) ? LAMINA_E_CANCELLED : LAMINA_OK; /* rows may be left out */
}

lamina_status lmn_forest_rows(lmn_eval *ec, const lmn_forest *f, const lmn_grove *g,
                              lmn_tree_take *take, void *arg)
{
    const lmn_forest_info *info = g ? &g->info : &f->info;
    job j = {.g = g, .x = ec->in[0]->data, .take = take, .arg = arg};
    LMN_TRY(lmn_ml_matrix(ec, 0, &j.rows, &j.cols));
    if (info->features > j.cols)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "a node asks for feature %lld of %lld",
                             (long long)info->features - 1, (long long)j.cols);
    if (g) return by_grove(ec, &j);
    double *x = lmn_wide_scratch(ec, j.cols, sizeof *x);
    double *score = lmn_wide_scratch(ec, info->targets, sizeof *score);
    bool *hit = lmn_wide_scratch(ec, info->targets, sizeof *hit);
    if (!x || !score || !hit) return LAMINA_E_NOMEM;
    for (int64_t r = 0; r < j.rows; r++) {
        lmn_f64_load(ec->in[0], r * j.cols, j.cols, x);
        LMN_TRY(walk_row(ec, f, x, score, hit));
        take(arg, r, score, hit);
    }
    return LAMINA_OK;
}
