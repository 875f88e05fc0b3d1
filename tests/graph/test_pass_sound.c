/*
 * Every pass alone, and all of them, leave a graph that gives the same results: on the graphs of
 * golden/ and on random ones, evaluated node by node by the references. Bit for bit where the
 * pass promises it (docs/rooms/graph.md), else near. No pass but qdq and
 * channels_last leaves more nodes than it got.
 */
#include "graph_case.h"

#include <dirent.h>

#define DIR_NAME T_SOURCE_DIR "/tests/graph/golden"
enum { MAX_OUT = 16, RANDOM_GRAPHS = 400 };

/* How near a pass keeps what a graph computes; 0: the same bits. A part of the largest element. */
static double promise(const char *pass)
{
    static const struct {
        const char *pass;
        double near;
    } LOOSE[] = {{"layer_norm", 2e-5}, {"activations", 2e-5}, {"attention", 2e-5},
                 {"rotary", 2e-5},     {"conv_bn", 2e-5},     {"qdq", 0.05}};
    for (size_t i = 0; i < T_COUNT(LOOSE); i++)
        if (strcmp(LOOSE[i].pass, pass) == 0) return LOOSE[i].near;
    return 0;
}

static int count_ops(const lmn_graph *g, const char *part)
{
    int n = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        n += !g->nodes[i].dead && strstr(g->nodes[i].op.def->name, part) != NULL;
    return n;
}

/* ---- running a graph ---------------------------------------------------------------------------
 */

/* Extent for a dim of an input: small, and the same for the same symbol. */
static int64_t extent_of(const lmn_graph *g, lmn_dim d)
{
    static const int64_t SIZES[] = {2, 3, 4, 5, 6, 7};
    if (lmn_dim_is_const(d)) return lmn_dim_value(d);
    const int64_t sym = lmn_dim_as_sym(g->dims, d);
    return sym < 0 ? 1 : SIZES[sym % (int64_t)T_COUNT(SIZES)];
}

static lamina_tensor *random_input(t_env *env, const lmn_graph *g, const lmn_fact *f)
{
    int64_t dims[LMN_MAX_RANK];
    lamina_tensor *t = NULL;
    if (f->kind != LMN_FACT_TENSOR || f->rank < 0 || f->dtype == LAMINA_STRING) return NULL;
    for (int32_t i = 0; i < f->rank; i++) dims[i] = extent_of(g, f->dims[i]);
    if (lamina_tensor_create(env->engine, f->dtype, f->rank, dims, &t) != LAMINA_OK) return NULL;
    const bool real = lmn_dtype_class(f->dtype) == LMN_CLASS_FLOAT;
    for (int64_t i = 0; i < lmn_count(t); i++) {
        if (real)
            lmn_set_f64(t, i, t_rand_real(env, -2, 2));
        else
            lmn_set_i64(t, i, t_rand_int(env, 0, 1));
    }
    return t;
}

/* Outputs by node after node; false: a node refused, or there is a subgraph. */
static bool run_graph(const lmn_graph *g, lamina_tensor *const *inputs, lamina_tensor **outputs)
{
    lamina_tensor **v = calloc(g->n_values, sizeof(lamina_tensor *));
    bool ok = v != NULL;
    for (size_t i = 1; ok && i < g->n_values; i++) v[i] = lamina_tensor_ref(g->values[i].constant);
    for (size_t i = 0; ok && i < g->n_inputs; i++) {
        lamina_tensor_unref(v[g->inputs[i]]);
        v[g->inputs[i]] = lamina_tensor_ref(inputs[i]);
    }
    for (size_t i = 0; ok && i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        lamina_tensor *in[64], *out[16] = {0};
        lamina_error err = {0};
        if (n->dead) continue;
        ok = n->op.n_in <= 64 && n->op.n_out <= 16 && !n->op.n_caps;
        for (int32_t k = 0; ok && k < n->op.n_in; k++) in[k] = v[n->in[k]];
        ok = ok && lmn_graph_eval_node(g, n, in, out, NULL, &err) == LAMINA_OK;
        for (int32_t k = 0; ok && k < n->op.n_out; k++) {
            if (n->out[k])
                v[n->out[k]] = out[k];
            else
                lamina_tensor_unref(out[k]);
        }
    }
    for (size_t i = 0; i < g->n_outputs; i++)
        outputs[i] = ok ? lamina_tensor_ref(v[g->outputs[i]]) : NULL;
    for (size_t i = 1; v && i < g->n_values; i++) lamina_tensor_unref(v[i]);
    free(v);
    return ok;
}

static double last_bits(lamina_dtype dt)
{
    return dt == LAMINA_F16 ? 0x1p-8 : dt == LAMINA_BF16 ? 0x1p-5 : 0;
}

/* Are the elements the same, or all within `near` of the largest? */
static bool equal(const lamina_tensor *a, const lamina_tensor *b, double near)
{
    double top = 0, worst = 0;
    if (!a || !b || a->dtype != b->dtype || a->rank != b->rank || lmn_count(a) != lmn_count(b))
        return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    const bool real = lmn_dtype_class(a->dtype) == LMN_CLASS_FLOAT;
    for (int64_t i = 0; i < lmn_count(a); i++) {
        if (!real && near == 0) {
            if (lmn_get_i64(a, i) != lmn_get_i64(b, i)) return false;
            continue;
        }
        const double x = lmn_get_f64(a, i), y = lmn_get_f64(b, i);
        if ((isnan(x) && isnan(y)) || x == y) continue;
        if (!isfinite(x) || !isfinite(y)) return false;
        worst = fmax(worst, fabs(x - y));
        top = fmax(top, fmax(fabs(x), fabs(y)));
    }
    if (near == 0) return worst == 0;
    return worst <= (real ? fmax(near, last_bits(a->dtype)) * top : 1);
}

/* ---- a graph and its passes -------------------------------------------------------------------
 */

/* After this pass, or all of them (NULL), does the graph give what it gave? How much it changed. */
static uint32_t check_pass(const lmn_graph *g, const char *pass, lamina_tensor *const *in,
                           lamina_tensor *const *want)
{
    lmn_graph *c = NULL;
    lmn_pass_ctx ctx = {.max_const_bytes = (uint64_t)1 << 20};
    lamina_tensor *got[MAX_OUT] = {0};
    double near = pass ? promise(pass) : 0.05;
    T_OK(lmn_graph_clone(g, NULL, &c));
    T_OK(lmn_graph_infer(c, NULL));
    T_OK(pass ? lmn_pass_run(c, pass, &ctx) : lmn_passes_run(c, &ctx));
    if (!pass && !count_ops(g, "QuantizeLinear")) near = 1e-4;
    /* sums over axes that stand elsewhere are added in another order */
    if (pass && !strcmp(pass, "transposes") && (count_ops(g, "Reduce") || count_ops(g, "Softmax")))
        near = 1e-6;
    bool ok = T_CHECK(run_graph(c, in, got));
    for (size_t i = 0; ok && i < g->n_outputs; i++) ok = T_CHECK(equal(got[i], want[i], near));
    if (!ok) printf("    pass %s\n", pass ? pass : "(all)");
    if (pass && strcmp(pass, "qdq") && strcmp(pass, "channels_last"))
        T_CHECK(count_ops(c, "") <= count_ops(g, "") &&
                count_ops(c, "Transpose") <= count_ops(g, "Transpose"));
    for (size_t i = 0; i < g->n_outputs; i++) lamina_tensor_unref(got[i]);
    lmn_graph_destroy(c);
    return ctx.n_changed;
}

/* Rewrites by the passes that random graphs are made for. */
typedef struct tally {
    uint32_t casts, transposes, elide;
} tally;

/* False: this graph does not run on random inputs. */
static bool check_graph(t_env *env, const lmn_graph *g, tally *sum)
{
    lamina_tensor *in[64] = {0}, *want[MAX_OUT] = {0};
    bool ok = g->n_inputs <= 64 && g->n_outputs <= MAX_OUT;
    for (size_t i = 0; ok && i < g->n_inputs; i++)
        ok = (in[i] = random_input(env, g, &g->values[g->inputs[i]].fact)) != NULL;
    ok = ok && run_graph(g, in, want);
    for (const lmn_pass *p = lmn_passes; ok && p->name; p++) {
        bool seen = false; /* some stand in the list several times */
        for (const lmn_pass *q = lmn_passes; q != p; q++) seen |= !strcmp(p->name, q->name);
        if (seen) continue;
        const uint32_t n = check_pass(g, p->name, in, want);
        sum->casts += strcmp(p->name, "casts") ? 0 : n;
        sum->transposes += strcmp(p->name, "transposes") ? 0 : n;
        sum->elide += strcmp(p->name, "elide") ? 0 : n;
    }
    if (ok) (void)check_pass(g, NULL, in, want);
    for (size_t i = 0; i < T_COUNT(in); i++) lamina_tensor_unref(in[i]);
    for (size_t i = 0; i < MAX_OUT; i++) lamina_tensor_unref(want[i]);
    return ok;
}

static void test_golden(t_env *env)
{
    DIR *d = opendir(DIR_NAME);
    tally sum = {0};
    int n = 0, ran = 0;
    T_REQUIRE(d != NULL);
    for (struct dirent *e; (e = readdir(d));) {
        char path[512];
        const size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".txt")) continue;
        snprintf(path, sizeof path, "%s/%s", DIR_NAME, e->d_name);
        FILE *f = fopen(path, "rb");
        char *text = calloc(1, 1 << 20);
        T_REQUIRE(f && text);
        text[fread(text, 1, (1 << 20) - 1, f)] = 0;
        fclose(f);
        char *mark = strstr(text, "=== after\n");
        if (mark) *mark = 0;
        T_CASE(e->d_name);
        lmn_graph *g = graph_ready(env, text);
        n++;
        if (g) ran += check_graph(env, g, &sum);
        lmn_graph_destroy(g);
        free(text);
    }
    closedir(d);
    T_CHECK(n >= 40 && ran >= n * 9 / 10); /* some hold subgraphs, or what only passes look at */
}

/* ---- random graphs -----------------------------------------------------------------------------
 */

typedef struct random_value {
    int id, rank, dims[4];
    const char *type;
    int to; /* of the numbers that Cast takes */
} random_value;

typedef struct random_graph {
    t_env *env;
    char text[1 << 14];
    size_t n;
    random_value v[64];
    int n_v, next;
    int perm[4]; /* the last one, to be undone */
    int perm_rank;
} random_graph;

LMN_PRINTF(2, 3) static void say(random_graph *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int k = vsnprintf(r->text + r->n, sizeof r->text - r->n, fmt, ap);
    va_end(ap);
    if (k > 0 && r->n + (size_t)k < sizeof r->text) r->n += (size_t)k;
}

static int pick(random_graph *r, int n)
{
    return (int)t_rand_int(r->env, 0, n - 1);
}

/* A new value like x, made by what is said next: "node %id "n" = ". */
static random_value *made(random_graph *r, const random_value *x, const char *op)
{
    random_value *y = &r->v[r->n_v++];
    *y = *x;
    y->id = r->next++;
    say(r, "node %%%d \"v%d\" = %s \"n%d\" opset 21 ", y->id, y->id, op, y->id);
    return y;
}

static int constant(random_graph *r, const char *type, int rank, const int *dims)
{
    int count = 1;
    say(r, "const %%%d \"c%d\" %s[", r->next, r->next, type);
    for (int i = 0; i < rank; i++) {
        say(r, "%s%d", i ? "," : "", dims[i]);
        count *= dims[i];
    }
    say(r, "] [");
    for (int i = 0; i < count; i++) say(r, "%s%d", i ? ", " : "", pick(r, 7) - 2);
    say(r, "]\n");
    return r->next++;
}

static int ints(random_graph *r, const int *v, int n)
{
    say(r, "const %%%d \"c%d\" int64[%d] [", r->next, r->next, n);
    for (int i = 0; i < n; i++) say(r, "%s%d", i ? ", " : "", v[i]);
    say(r, "]\n");
    return r->next++;
}

static void add_transpose(random_graph *r, const random_value *x)
{
    int perm[4] = {0, 1, 2, 3};
    if (r->perm_rank == x->rank && pick(r, 2)) { /* undo the last one */
        for (int i = 0; i < x->rank; i++) perm[r->perm[i]] = i;
    } else {
        for (int i = x->rank - 1; i > 0; i--) {
            const int j = pick(r, i + 1), was = perm[i];
            perm[i] = perm[j], perm[j] = was;
        }
    }
    random_value *y = made(r, x, "Transpose");
    say(r, "(%%%d) { perm: ints [", x->id);
    for (int i = 0; i < x->rank; i++) {
        say(r, "%s%d", i ? ", " : "", perm[i]);
        y->dims[i] = x->dims[perm[i]];
        r->perm[i] = perm[i];
    }
    r->perm_rank = x->rank;
    say(r, "] }\n");
}

static void add_unary(random_graph *r, const random_value *x)
{
    static const char *const OPS[] = {"Relu", "Neg", "Abs", "Sigmoid", "Identity", "Tanh"};
    (void)made(r, x, OPS[pick(r, (int)T_COUNT(OPS))]);
    say(r, "(%%%d)\n", x->id);
}

static void add_const(random_graph *r, const random_value *x)
{
    int dims[4];
    const int lead = pick(r, x->rank + 1);
    for (int i = lead; i < x->rank; i++) dims[i - lead] = pick(r, 2) ? x->dims[i] : 1;
    const int c = constant(r, x->type, x->rank - lead, dims);
    const int first = pick(r, 2), from = x->id;
    (void)made(r, x, pick(r, 2) ? "Add" : "Mul");
    say(r, "(%%%d, %%%d)\n", first ? c : from, first ? from : c);
}

/* With another value of the same shape and type, x itself if there is none. */
static void add_pair(random_graph *r, const random_value *x)
{
    static const char *const OPS[] = {"Add", "Sub", "Max", "Concat"};
    const random_value *with = x;
    for (int i = 0; i < r->n_v; i++) {
        const random_value *v = &r->v[i];
        if (v != x && v->rank == x->rank && v->to == x->to &&
            !memcmp(v->dims, x->dims, (size_t)x->rank * sizeof(int)))
            with = v;
    }
    const int op = pick(r, (int)T_COUNT(OPS)), axis = pick(r, x->rank), a = x->id, b = with->id;
    random_value *y = made(r, x, OPS[op]);
    say(r, "(%%%d, %%%d)", a, b);
    if (op == 3) {
        say(r, " { axis: int %d }", axis);
        y->dims[axis] *= 2;
    }
    say(r, "\n");
}

static void add_cast(random_graph *r, const random_value *x)
{
    static const struct {
        const char *type;
        int to;
    } TYPES[] = {{"float32", 1}, {"float16", 10}, {"float64", 11}, {"bfloat16", 16}};
    const int k = pick(r, 4), from = x->id;
    random_value *y = made(r, x, "Cast");
    y->type = TYPES[k].type, y->to = TYPES[k].to;
    say(r, "(%%%d) { to: int %d }\n", from, TYPES[k].to);
}

static void add_reshape(random_graph *r, const random_value *x)
{
    int dims[4] = {-1, 1, 1, 1}, total = 1;
    for (int i = 0; i < x->rank; i++) total *= x->dims[i];
    const int rank = 2 + pick(r, 3), last = x->dims[x->rank - 1], from = x->id;
    dims[rank - 1] = last;
    const int c = ints(r, dims, rank);
    random_value *y = made(r, x, "Reshape");
    y->rank = rank;
    dims[0] = total / last;
    memcpy(y->dims, dims, sizeof dims);
    say(r, "(%%%d, %%%d)\n", from, c);
}

static void add_along(random_graph *r, const random_value *x)
{
    const int axis = pick(r, x->rank), from = x->id;
    if (pick(r, 2)) {
        (void)made(r, x, "Softmax");
        say(r, "(%%%d) { axis: int %d }\n", from, axis);
        return;
    }
    const int keep = x->rank < 3 || pick(r, 2), c = ints(r, &axis, 1);
    random_value *y = made(r, x, pick(r, 2) ? "ReduceMax" : "ReduceMean");
    say(r, "(%%%d, %%%d) { keepdims: int %d }\n", from, c, keep);
    y->dims[axis] = 1;
    for (int i = axis; !keep && i + 1 < y->rank; i++) y->dims[i] = y->dims[i + 1];
    y->rank -= !keep;
}

static void add_product(random_graph *r, const random_value *x)
{
    const int dims[2] = {x->dims[x->rank - 1], 3}, from = x->id;
    const int c = constant(r, x->type, 2, dims);
    random_value *y = made(r, x, "MatMul");
    y->dims[y->rank - 1] = 3;
    say(r, "(%%%d, %%%d)\n", from, c);
}

static void make_graph(random_graph *r)
{
    static void (*const ADD[])(random_graph *, const random_value *) = {
        add_transpose, add_transpose, add_transpose, add_transpose, add_unary,
        add_unary,     add_const,     add_const,     add_pair,      add_pair,
        add_cast,      add_cast,      add_reshape,   add_along,     add_product};
    r->n = 0, r->n_v = 0, r->next = 1, r->perm_rank = 0;
    say(r, "graph \"g\" {\n");
    for (int i = 0; i < 2; i++) {
        random_value *x = &r->v[r->n_v++];
        *x = (random_value){r->next++, 3 + pick(r, 2), {2, 3, 4, 2}, "float32", 1};
        if (i) x->type = "float16", x->to = 10;
        say(r, "input %%%d \"x%d\" %s[2,3,4%s]\n", x->id, i, x->type, x->rank == 4 ? ",2" : "");
    }
    const int n = 6 + pick(r, 20);
    for (int i = 0; i < n; i++) { /* mostly on what is new, so that chains come about */
        const int back = pick(r, 3) ? pick(r, 3) : pick(r, r->n_v);
        const random_value x = r->v[back < r->n_v ? r->n_v - 1 - back : 0];
        int count = 1;
        for (int k = 0; k < x.rank; k++) count *= x.dims[k];
        if (count <= 2000) ADD[pick(r, (int)T_COUNT(ADD))](r, &x);
    }
    for (int i = 2; i < r->n_v; i++)
        if (i == r->n_v - 1 || pick(r, 8) == 0)
            if (r->n_v - i < MAX_OUT) say(r, "output %%%d \"o%d\"\n", r->v[i].id, i);
    if (r->n_v == 2) say(r, "output %%1 \"o\"\n");
    say(r, "}\n");
}

static void test_random(t_env *env)
{
    random_graph *r = calloc(1, sizeof *r);
    tally sum = {0};
    int ran = 0;
    T_REQUIRE(r != NULL);
    r->env = env;
    for (int i = 0; i < RANDOM_GRAPHS; i++) {
        char name[32];
        snprintf(name, sizeof name, "graph %d", i);
        T_CASE(name);
        make_graph(r);
        lmn_graph *g = graph_ready(env, r->text);
        const int failed = atomic_load(&t_now.n_failed);
        if (g) ran += check_graph(env, g, &sum);
        if (!g || atomic_load(&t_now.n_failed) > failed) printf("%s", r->text);
        lmn_graph_destroy(g);
        if (atomic_load(&t_now.n_failed) > failed) break;
    }
    T_EQ(ran, RANDOM_GRAPHS);
    T_CHECK(sum.casts > 5 && sum.transposes > 20 && sum.elide > 200);
    free(r);
}

T_MAIN(T_TEST(test_golden), T_TEST(test_random))
