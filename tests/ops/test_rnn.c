/*
 * test_rnn.c - LSTM, GRU and RNN against scalar loops written from the standard's equations, with
 * lengths, directions and layouts; shapes on facts; refusals.
 */
#include "op_bench.h"

enum { SEQ = 4, BATCH = 3, INPUT = 2, HIDDEN = 5 };

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static lamina_tensor *random_in(op_bench *b, t_env *env, int32_t rank, const int64_t *dims)
{
    lamina_tensor *t = op_in(b, LAMINA_F64, rank, dims, NULL);
    for (int64_t i = 0; t && i < lmn_count(t); i++)
        lmn_set_f64(t, i, (double)t_rand_int(env, -1000, 1000) / 1000.0);
    return t;
}

typedef struct net {
    const double *x, *w, *r, *b;
    int64_t gates, t, n; /* time and batch row */
    int64_t d;           /* direction */
} net;

/* Gate g, unit i: X W' + h R' + both biases; the recurrent part over h. */
static double gate(const net *a, int64_t g, int64_t i, const double *h)
{
    const int64_t wide = a->gates * HIDDEN, row = g * HIDDEN + i;
    double s = a->b[a->d * 2 * wide + row] + a->b[a->d * 2 * wide + wide + row];
    for (int64_t k = 0; k < INPUT; k++)
        s += a->x[(a->t * BATCH + a->n) * INPUT + k] * a->w[(a->d * wide + row) * INPUT + k];
    for (int64_t k = 0; k < HIDDEN; k++) s += h[k] * a->r[(a->d * wide + row) * HIDDEN + k];
    return s;
}

static void step(const net *a, const char *op, double *h, double *c)
{
    double old[HIDDEN], rh[HIDDEN];
    memcpy(old, h, sizeof old);
    if (strcmp(op, "GRU") == 0)
        for (int64_t i = 0; i < HIDDEN; i++) rh[i] = sigmoid(gate(a, 1, i, old)) * old[i];
    for (int64_t i = 0; i < HIDDEN; i++) {
        if (strcmp(op, "RNN") == 0) {
            h[i] = tanh(gate(a, 0, i, old));
        } else if (strcmp(op, "GRU") == 0) {
            const double z = sigmoid(gate(a, 0, i, old));
            h[i] = (1 - z) * tanh(gate(a, 2, i, rh)) + z * old[i];
        } else {
            c[i] = sigmoid(gate(a, 2, i, old)) * c[i] +
                   sigmoid(gate(a, 0, i, old)) * tanh(gate(a, 3, i, old));
            h[i] = sigmoid(gate(a, 1, i, old)) * tanh(c[i]);
        }
    }
}

static void check_net(t_env *env, const char *op, int64_t gates)
{
    op_bench b;
    const int64_t x[3] = {SEQ, BATCH, INPUT}, w[3] = {2, gates * HIDDEN, INPUT},
                  r[3] = {2, gates * HIDDEN, HIDDEN}, bias[2] = {2, 2 * gates * HIDDEN},
                  batch[1] = {BATCH};
    const double lens[BATCH] = {4, 0, 2};
    op_begin(&b, env, op, 2);
    lamina_tensor *tx = random_in(&b, env, 3, x), *tw = random_in(&b, env, 3, w),
                  *tr = random_in(&b, env, 3, r), *tb = random_in(&b, env, 2, bias);
    (void)op_in(&b, LAMINA_I32, 1, batch, lens);
    op_attr_s(&b, "direction", (char[]){"bidirectional"});
    op_attr_i(&b, "hidden_size", HIDDEN);
    T_REQUIRE(tx && tw && tr && tb);
    T_OK_ERR(op_infer(&b), &b.err);
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        net a = {tx->data, tw->data, tr->data, tb->data, gates, 0, 0, 0};
        for (a.d = 0; a.d < 2; a.d++)
            for (a.n = 0; a.n < BATCH; a.n++) {
                double h[HIDDEN] = {0}, c[HIDDEN] = {0};
                const int64_t len = (int64_t)lens[a.n];
                for (int64_t s = 0; s < SEQ; s++) {
                    a.t = s < len && a.d ? len - 1 - s : s;
                    if (s < len) step(&a, op, h, c);
                    const int64_t at = ((a.t * 2 + a.d) * BATCH + a.n) * HIDDEN;
                    for (int64_t i = 0; i < HIDDEN; i++)
                        T_CHECK(fabs(lmn_get_f64(b.out[0], at + i) - (s < len ? h[i] : 0)) < 1e-12);
                }
                for (int64_t i = 0; i < HIDDEN; i++)
                    T_CHECK(fabs(lmn_get_f64(b.out[1], (a.d * BATCH + a.n) * HIDDEN + i) - h[i]) <
                            1e-12);
            }
    }
    op_end(&b);
}

static void test_equations(t_env *env)
{
    check_net(env, "RNN", 1);
    check_net(env, "GRU", 3);
    check_net(env, "LSTM", 4);
}

static void push_fact(op_bench *b, lmn_dim a, lmn_dim c, lmn_dim d)
{
    lmn_fact f = lmn_fact_tensor(LAMINA_F32, 3);
    f.dims[0] = a, f.dims[1] = c, f.dims[2] = d;
    op_fact(b, f);
}

static void check_infer(t_env *env, int64_t layout, int64_t r_hidden, const char *y,
                        const char *y_h)
{
    op_bench b;
    char text[128];
    op_begin(&b, env, "LSTM", 3);
    push_fact(&b, lmn_dim_sym(b.dims, "A"), lmn_dim_sym(b.dims, "B"), lmn_dim_c(8));
    push_fact(&b, lmn_dim_c(1), lmn_dim_c(64), lmn_dim_c(8));
    push_fact(&b, lmn_dim_c(1), lmn_dim_c(64), lmn_dim_c(r_hidden));
    op_attr_i(&b, "layout", layout);
    op_attr_i(&b, "hidden_size", 16);
    const lamina_status st = op_infer(&b);
    if (y) {
        T_OK_ERR(st, &b.err);
        T_STR_EQ(op_out_text(&b, 0, text), y);
        T_STR_EQ(op_out_text(&b, 2, text), y_h);
    } else {
        T_EQ(st, LAMINA_E_SHAPE);
    }
    op_end(&b);
}

static void test_infer(t_env *env)
{
    check_infer(env, 0, 16, "float32[A,1,B,16]", "float32[1,B,16]");
    check_infer(env, 1, 16, "float32[A,B,1,16]", "float32[A,1,16]");
    check_infer(env, 0, 15, NULL, NULL);
}

static void test_refusals(t_env *env)
{
    op_bench b;
    const int64_t x[3] = {2, 1, 1}, w[3] = {1, 1, 1}, one[1] = {1};
    const double data[2] = {1, 1}, len[1] = {3};
    op_begin(&b, env, "RNN", 2);
    (void)op_in(&b, LAMINA_F32, 3, x, data);
    (void)op_in(&b, LAMINA_F32, 3, w, data);
    (void)op_in(&b, LAMINA_F32, 3, w, data);
    op_absent(&b);
    (void)op_in(&b, LAMINA_I32, 1, one, len);
    T_EQ(op_eval(&b), LAMINA_E_RANGE); /* longer than the sequence */
    lmn_set_i64(b.in[4], 0, 2);
    T_OK_ERR(op_eval(&b), &b.err);
    lmn_str act = {(char[]){"Swoosh"}, 6};
    op_attr(&b,
            (lmn_attr){.name = "activations", .type = LMN_ATTR_STRINGS, .n = 1, .u.strings = &act});
    T_EQ(op_eval(&b), LAMINA_E_INVALID);
    op_end(&b);
}

T_MAIN(T_TEST(test_equations), T_TEST(test_infer), T_TEST(test_refusals))
