/*
 * test_infer.c - facts, the check against the definition and its sentences, the integer lattice,
 * the registry, and the memory rules of outputs.
 */
#include "op_bench.h"

static void check_sentence(op_bench *b, lamina_status want, const char *part)
{
    T_EQ(op_infer(b), want);
    if (!strstr(b->err.msg, part)) t_fail(__FILE__, __LINE__, "no \"%s\" in: %s", part, b->err.msg);
    op_end(b);
}

static void test_sentences(t_env *env)
{
    op_bench b;
    op_begin(&b, env, "Sin", 1);
    op_fact(&b, lmn_fact_tensor(LAMINA_I32, 1));
    check_sentence(&b, LAMINA_E_DTYPE,
                   "node \"n\" (Sin, opset 28): input 0 \"input\" is int32, allowed: ");
    op_begin(&b, env, "Sin", 1);
    op_fact(&b, lmn_fact_tensor(LAMINA_I32, 1));
    check_sentence(&b, LAMINA_E_DTYPE, "insert a Cast to float32 before it");
    op_begin(&b, env, "Add", 1);
    op_fact(&b, lmn_fact_tensor(LAMINA_F32, 1));
    op_fact(&b, lmn_fact_tensor(LAMINA_I64, 1));
    check_sentence(&b, LAMINA_E_DTYPE, "input 1 \"B\" is int64 but input 0 is float32");
    op_begin(&b, env, "Add", 1);
    op_fact(&b, lmn_fact_tensor(LAMINA_F32, 1));
    check_sentence(&b, LAMINA_E_INVALID, "input 1 \"B\" is missing");
    op_begin(&b, env, "Sin", 1);
    op_fact(&b, lmn_fact_tensor(LAMINA_F32, 1));
    op_fact(&b, lmn_fact_tensor(LAMINA_F32, 1));
    check_sentence(&b, LAMINA_E_INVALID, "has 2 inputs, at most 1 are defined");
    op_begin(&b, env, "Cast", 1);
    op_fact(&b, lmn_fact_tensor(LAMINA_F32, 1));
    check_sentence(&b, LAMINA_E_INVALID, "attribute \"to\" (an int) is missing");
    op_begin(&b, env, "LeakyRelu", 1);
    op_fact(&b, lmn_fact_tensor(LAMINA_F32, 1));
    op_attr_i(&b, "alpha", 1);
    check_sentence(&b, LAMINA_E_INVALID, "attribute \"alpha\" is an int, must be a float");
    op_begin(&b, env, "Softmax", 1);
    op_fact(&b, lmn_fact_tensor(LAMINA_F32, 2));
    op_attr_i(&b, "axis", 2);
    check_sentence(&b, LAMINA_E_RANGE, "axis 2 is outside [-2, 1]");
    op_begin(&b, env, "Sin", 1);
    lmn_fact seq = lmn_fact_tensor(LAMINA_F32, 1);
    seq.kind = LMN_FACT_SEQUENCE;
    op_fact(&b, seq);
    check_sentence(&b, LAMINA_E_DTYPE, "is a sequence, must be a tensor");
}

static void test_unknown_is_no_error(t_env *env)
{
    static const char *const OPS[] = {"Add",  "Where", "ReduceSum", "TopK", "ArgMax",  "CumSum",
                                      "Clip", "PRelu", "SwiGLU",    "Mod",  "BitShift"};
    char text[128];
    for (size_t i = 0; i < T_COUNT(OPS); i++) {
        op_bench b;
        T_CASE(OPS[i]);
        op_begin(&b, env, OPS[i], 1);
        char left[] = "LEFT";
        if (i == T_COUNT(OPS) - 1) op_attr_s(&b, "direction", left);
        for (int k = 0; k < (strcmp(OPS[i], "Where") == 0    ? 3
                             : strcmp(OPS[i], "ArgMax") == 0 ? 1
                                                             : 2);
             k++)
            op_fact(&b, lmn_fact_unknown());
        T_OK_ERR(op_infer(&b), &b.err);
        lmn_dim_pool_destroy(b.dims);
        b.dims = NULL; /* without a pool too */
        T_OK_ERR(op_infer(&b), &b.err);
        T_CHECK(strstr(op_out_text(&b, 0, text), "[...]") != NULL);
        op_end(&b);
    }
}

static void test_symbolic_broadcast(t_env *env)
{
    op_bench b;
    char text[128];
    op_begin(&b, env, "Add", 1);
    lmn_fact x = lmn_fact_tensor(LAMINA_F32, 3), y = lmn_fact_tensor(LAMINA_F32, 2);
    const lmn_dim n = lmn_dim_sym(b.dims, "N"), m = lmn_dim_sym(b.dims, "M");
    x.dims[0] = n, x.dims[1] = lmn_dim_c(1), x.dims[2] = m;
    y.dims[0] = n, y.dims[1] = lmn_dim_c(5);
    op_fact(&b, x);
    op_fact(&b, y);
    T_OK_ERR(op_infer(&b), &b.err);
    T_STR_EQ(op_out_text(&b, 0, text), "float32[N,N,5]"); /* M is 1 or 5 */
    op_end(&b);
}

/* A table of fixed length sliced to the sequence, as position embeddings are. */
static void test_capped_broadcast(t_env *env)
{
    static const struct {
        int64_t cap;
        const char *want;
    } CASES[] = {{512, "float32[S,8]"}, {2, "float32[S,8]"}, {1, "float32[S,8]"}};
    for (size_t i = 0; i < 2 * T_COUNT(CASES); i++) {
        op_bench b;
        char text[128];
        op_begin(&b, env, "Add", 1);
        lmn_fact x = lmn_fact_tensor(LAMINA_F32, 2), y = lmn_fact_tensor(LAMINA_F32, 2);
        x.dims[0] = lmn_dim_sym(b.dims, "S");
        y.dims[0] = lmn_dim_min(b.dims, x.dims[0], lmn_dim_c(CASES[i / 2].cap));
        x.dims[1] = y.dims[1] = lmn_dim_c(8);
        op_fact(&b, i % 2 ? x : y);
        op_fact(&b, i % 2 ? y : x);
        T_OK_ERR(op_infer(&b), &b.err);
        T_STR_EQ(op_out_text(&b, 0, text), CASES[i / 2].want);
        op_end(&b);
    }
}

/* ([N, 4] * 2 + 1) / 3 as shape arithmetic. */
static void test_lattice(t_env *env)
{
    static const struct {
        const char *op;
        double by;
        const char *want0;
        int64_t want1;
    } STEPS[] = {
        {"Mul", 2, "2*N", 8}, {"Add", 1, "2*N + 1", 9}, {"Sub", 1, "2*N", 8}, {"Div", 2, "N", 4}};
    op_bench b;
    char text[128];
    for (size_t i = 0; i < T_COUNT(STEPS); i++) {
        op_begin(&b, env, STEPS[i].op, 1);
        lmn_fact shape = lmn_fact_tensor(LAMINA_I64, 1);
        lmn_dim elems[2] = {lmn_dim_sym(b.dims, "N"), lmn_dim_c(4)};
        for (size_t k = 0; k < i; k++) { /* the state before this step */
            const lmn_dim by = lmn_dim_c((int64_t)STEPS[k].by);
            for (int e = 0; e < 2; e++)
                elems[e] = STEPS[k].op[0] == 'M'   ? lmn_dim_mul(b.dims, elems[e], by)
                           : STEPS[k].op[0] == 'A' ? lmn_dim_add(b.dims, elems[e], by)
                                                   : lmn_dim_sub(b.dims, elems[e], by);
        }
        shape.dims[0] = lmn_dim_c(2);
        shape.elems = elems;
        shape.n_elems = 2;
        op_fact(&b, shape);
        op_in1(&b, LAMINA_I64, STEPS[i].by);
        T_OK_ERR(op_infer(&b), &b.err);
        T_CASE(STEPS[i].op);
        if (T_EQ(b.out_facts[0].n_elems, 2)) {
            (void)lmn_dim_format(b.dims, b.out_facts[0].elems[0], text, sizeof text);
            T_STR_EQ(text, STEPS[i].want0);
            T_EQ(lmn_dim_value(b.out_facts[0].elems[1]), STEPS[i].want1);
        }
        op_end(&b);
    }
}

/* An extent that the data decide is one symbol, the same wherever the value goes. */
static void test_made_symbol(t_env *env)
{
    op_bench b;
    char text[128];
    op_begin(&b, env, "NonZero", 1);
    lmn_fact x = lmn_fact_tensor(LAMINA_F32, 2);
    x.dims[0] = lmn_dim_sym(b.dims, "N");
    op_fact(&b, x);
    T_OK_ERR(op_infer(&b), &b.err);
    const lmn_fact found = b.out_facts[0];
    T_EQ(found.dims[0], lmn_dim_c(2));
    T_CHECK(lmn_dim_as_sym(b.dims, found.dims[1]) >= 0);
    b.node.def = lmn_op_find("", "Add");
    b.node.n_in = 0;
    op_fact(&b, found);
    op_fact(&b, found);
    T_OK_ERR(op_infer(&b), &b.err);
    T_EQ(b.out_facts[0].dims[1], found.dims[1]);
    T_OK_ERR(op_infer(&b), &b.err); /* again: the same */
    T_EQ(b.out_facts[0].dims[1], found.dims[1]);
    (void)op_out_text(&b, 0, text);
    T_CHECK(strchr(text, '?') != NULL);
    op_end(&b);
}

/* Pads as exporters compute them: [[0, 1], [2, N], [4, 5]] back to front, then turned. */
static void test_matrix_lattice(t_env *env)
{
    static const int64_t ONE = 1;
    static const double FROM = -1, TO = INT32_MIN, AXIS = 0, STEP = -1;
    static const int64_t BACK[6] = {4, 5, 2, -1, 0, 1}, TURNED[6] = {0, 2, 4, 1, -1, 5};
    for (int turn = 0; turn < 2; turn++) {
        op_bench b;
        op_begin(&b, env, turn ? "Transpose" : "Slice", 1);
        lmn_dim elems[6];
        for (int i = 0; i < 6; i++) elems[i] = lmn_dim_c(i);
        const lmn_dim n = elems[3] = lmn_dim_sym(b.dims, "N");
        lmn_fact x = lmn_fact_tensor(LAMINA_I64, 2);
        x.dims[0] = lmn_dim_c(3), x.dims[1] = lmn_dim_c(2);
        x.elems = elems;
        x.n_elems = 6;
        op_fact(&b, x);
        const double *const more[4] = {&FROM, &TO, &AXIS, &STEP};
        for (int i = 0; i < 4 && !turn; i++) (void)op_in(&b, LAMINA_I64, 1, &ONE, more[i]);
        T_OK_ERR(op_infer(&b), &b.err);
        T_EQ(b.out_facts[0].n_elems, 6);
        for (int i = 0; i < b.out_facts[0].n_elems; i++) {
            const int64_t want = turn ? TURNED[i] : BACK[i];
            T_EQ(b.out_facts[0].elems[i], want < 0 ? n : lmn_dim_c(want));
        }
        op_end(&b);
    }
}

static void test_lattice_keeps_out(t_env *env)
{
    op_bench b;
    op_begin(&b, env, "Add", 1); /* 32 bits wrap: not a dim any more */
    op_in1(&b, LAMINA_I32, INT32_MAX);
    op_in1(&b, LAMINA_I32, 1);
    T_OK_ERR(op_infer(&b), &b.err);
    T_CHECK(b.out_facts[0].n_elems < 1 || !lmn_dim_known(b.out_facts[0].elems[0]));
    op_end(&b);
    op_begin(&b, env, "Less", 1); /* a shape is never negative */
    lmn_fact f = lmn_fact_tensor(LAMINA_I64, 0);
    lmn_dim n = lmn_dim_sym(b.dims, "N");
    f.elems = &n;
    f.n_elems = 1;
    op_fact(&b, f);
    op_in1(&b, LAMINA_I64, 0);
    T_OK_ERR(op_infer(&b), &b.err);
    T_CHECK(b.out_facts[0].n_elems == 1 && b.out_facts[0].elems[0] == lmn_dim_c(0));
    op_end(&b);
}

static void test_facts(t_env *env)
{
    lmn_dim_pool *p = NULL;
    char text[128];
    T_REQUIRE(T_OK(lmn_dim_pool_create(&env->alloc, 0, &p)));
    lmn_fact a = lmn_fact_tensor(LAMINA_F32, 2), c = lmn_fact_tensor(LAMINA_DTYPE_NONE, 2);
    a.dims[0] = lmn_dim_sym(p, "N");
    c.dims[1] = lmn_dim_c(3);
    T_CHECK(lmn_fact_unify(p, &a, &c));
    (void)lmn_fact_format(p, &a, text, sizeof text);
    T_STR_EQ(text, "float32[N,3]");
    c.dims[1] = lmn_dim_c(4);
    T_CHECK(!lmn_fact_unify(p, &a, &c));
    c = lmn_fact_tensor(LAMINA_F32, 3);
    T_CHECK(!lmn_fact_unify(p, &a, &c));
    lmn_fact u = lmn_fact_unknown();
    (void)lmn_fact_format(p, &u, text, sizeof text);
    T_STR_EQ(text, "?");
    T_CHECK(lmn_fact_unify(p, &u, &a) && u.rank == 2);
    u.kind = LMN_FACT_SEQUENCE;
    (void)lmn_fact_format(p, &u, text, sizeof text);
    T_STR_EQ(text, "seq(float32[N,3])");
    T_CHECK(!lmn_fact_unify(p, &u, &a));
    T_EQ(lmn_fact_format(p, &a, text, 5), 4); /* cut, terminated */
    lmn_dim_pool_destroy(p);
}

static void test_registry(t_env *env)
{
    (void)env;
    size_t n;
    const lmn_op_def *const *all = lmn_op_all(&n);
    T_CHECK(n > 80 && !all[n]);
    for (size_t i = 0; i < n; i++) {
        T_CASE(all[i]->name);
        T_CHECK(lmn_op_find(all[i]->domain, all[i]->name) == all[i]); /* no name twice */
        T_CHECK(all[i]->in && all[i]->out && all[i]->since > 0);
        if (all[i]->eval || !all[i]->canon) { /* what canon replaces altogether needs neither */
            T_CHECK(all[i]->eval);
            T_CHECK(all[i]->infer || (all[i]->flags & (LMN_OP_SAME | LMN_OP_ELEMENTWISE)));
        }
    }
    T_CASE(NULL);
    T_CHECK(lmn_op_find("ai.onnx", "Add") == lmn_op_find("", "Add"));
    T_CHECK(!lmn_op_find("", "Nothing") && !lmn_op_find("else.where", "Add"));
    T_STR_EQ(lmn_op_nearest("Addd"), "Add");
    T_STR_EQ(lmn_op_nearest("softmax"), "Softmax");
    T_CHECK(!lmn_op_nearest("QuiteDifferentThing") && !lmn_op_nearest(""));
}

static void test_out_memory(t_env *env)
{
    op_bench b;
    const double v[] = {1, 2, 3, 4};
    _Alignas(64) float plan[4];
    op_begin(&b, env, "Relu", 1);
    (void)op_in(&b, LAMINA_F32, 1, (int64_t[]){4}, v);
    T_OK_ERR(op_eval(&b), &b.err);
    const void *first = b.out[0]->data;
    T_OK_ERR(op_eval(&b), &b.err);
    T_CHECK(b.out[0]->data == first); /* its own buffer, of the right size and not shared */
    b.plan_data[0] = plan;
    b.plan_bytes[0] = 8; /* too small: heap */
    T_OK_ERR(op_eval(&b), &b.err);
    T_CHECK(b.out[0]->data != plan && b.out[0]->buf);
    b.plan_bytes[0] = sizeof plan;
    T_OK_ERR(op_eval(&b), &b.err);
    T_CHECK(b.out[0]->data == plan && !b.out[0]->buf);
    b.out[0] = NULL; /* not wanted */
    T_OK_ERR(op_eval(&b), &b.err);
    op_end(&b);
}

static void test_alias_and_keep(t_env *env)
{
    op_bench b;
    const double v[] = {1, 2};
    op_begin(&b, env, "Identity", 1);
    lamina_tensor *x = op_in(&b, LAMINA_F32, 1, (int64_t[]){2}, v), *kept = NULL;
    T_REQUIRE(x);
    T_OK_ERR(op_eval(&b), &b.err);
    T_CHECK(b.out[0]->data == x->data && b.out[0]->buf == x->buf);
    lmn_eval ec = {.node = &b.node, .engine = env->engine, .err = &b.err};
    T_OK(lmn_keep(&ec, b.out[0], &kept)); /* a view on the buffer */
    T_CHECK(kept && kept->data == x->data);
    lamina_tensor_unref(kept);
    T_OK(lmn_keep(&ec, x, &kept));
    T_CHECK(kept == x);
    lamina_tensor_unref(kept);

    float caller[2] = {5, 6};
    lamina_tensor borrowed = *x; /* memory that no buffer holds */
    borrowed.buf = NULL;
    borrowed.data = caller;
    atomic_init(&borrowed.refs, 0);
    T_OK(lmn_keep(&ec, &borrowed, &kept));
    T_CHECK(kept->data != caller && ((const float *)kept->data)[1] == 6);
    lamina_tensor_unref(kept);
    op_end(&b);
}

T_MAIN(T_TEST(test_sentences), T_TEST(test_unknown_is_no_error), T_TEST(test_symbolic_broadcast),
       T_TEST(test_capped_broadcast), T_TEST(test_lattice), T_TEST(test_made_symbol),
       T_TEST(test_matrix_lattice), T_TEST(test_lattice_keeps_out), T_TEST(test_facts),
       T_TEST(test_registry), T_TEST(test_out_memory), T_TEST(test_alias_and_keep))
