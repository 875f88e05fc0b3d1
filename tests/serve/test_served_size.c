/*
 * How large a batch is found to pay, with a device that computes for as long as the test says: at
 * the start up to 64 rows, and more once so many wait.
 */
#include "serve/neg_device.h"
#include "serve/served_asks.h"

typedef struct price {
    uint64_t fixed_ns, row_ns;
    int64_t from; /* rows of this or more have no fixed part, and cost dear_ns each */
    uint64_t dear_ns;
    lmn_atomic(uint64_t) largest; /* rows that were run */
} price;

static lamina_status at_execute(void *self, lamina_kernel *kernel, lamina_call *call)
{
    price *p = self;
    const float *x;
    const int64_t *dims;
    (void)kernel;
    LMN_TRY(neg_rows(call, &x, &dims));
    const uint64_t rows = (uint64_t)dims[0];
    if (rows > lmn_atomic_load(&p->largest, relaxed)) lmn_atomic_store(&p->largest, rows, relaxed);
    const uint64_t cost = dims[0] < p->from ? p->fixed_ns + rows * p->row_ns : rows * p->dear_ns;
    for (const uint64_t end = lmn_process_cpu_ns() + cost; lmn_process_cpu_ns() < end;) continue;
    return LAMINA_OK;
}

static const lamina_device_vtable at_a_price = NEG_DEVICE(at_execute);

static lmn_model *open_at(t_env *env, price *of_device, const price *p)
{
    char path[512];
    const lmn_model_config c = config_auto();
    of_device->fixed_ns = p->fixed_ns, of_device->row_ns = p->row_ns;
    of_device->from = p->from, of_device->dear_ns = p->dear_ns;
    lmn_atomic_store(&of_device->largest, 0, relaxed);
    return open_model(env, node_file(env, "Neg", LAMINA_F32, "N 4", "N 4", path, sizeof path), &c);
}

static void test_found_size(t_env *env)
{
    static price p;
    T_OK(neg_register(env->engine, &at_a_price, &p, NULL));
    const struct {
        price p;
        int64_t rows, grow;
        bool press;
    } cases[] = {
        {{.fixed_ns = 3000000, .row_ns = 20000, .from = 1000}, 64, 1024, false},
        {{.fixed_ns = 20000000, .row_ns = 100000, .from = 1000}, 64, 1024, true},
        /* more than eight at a time cost as much each, and more */
        {{.fixed_ns = 3000000, .row_ns = 1000, .from = 9, .dear_ns = 900000}, 8, 0, false},
        {{.fixed_ns = 50000, .row_ns = 100, .from = 10000}, 64, 0, false}, /* run by a loop */
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "case %zu", i);
        T_CASE(name);
        lmn_model *m = open_at(env, &p, &cases[i].p);
        if (!m) continue;
        const lmn_batch_config *c = &lmn_model_get_config(m)->batch;
        T_EQ(lmn_model_signature(m)->max_batch_size, cases[i].rows);
        T_EQ(c->grow_rows, cases[i].grow);
        T_EQ(c->press, cases[i].press);
        T_EQ(c->max_queue_rows, lmn_max_i64(64, 4 * cases[i].rows));
        T_CHECK(lmn_atomic_load(&p.largest, relaxed) <= 64); /* a start is short */
        lmn_model_unref(m);
    }
    T_CASE(NULL);
}

/* 250 clients of which each asks eight times; so many wait that twice 64 are tried. */
static void test_larger(t_env *env)
{
    enum { CLIENTS = 250, TIMES = 8 };
    static price p;
    asks all;
    lmn_model_stats st;
    T_OK(neg_register(env->engine, &at_a_price, &p, NULL));
    lmn_model *m = open_at(env, &p, &(price){.fixed_ns = 3000000, .row_ns = 5000, .from = 10000});
    T_REQUIRE(m);
    asks_make(&all, CLIENTS * TIMES);
    for (int i = 0; i < CLIENTS * TIMES; i++) {
        ask_rows(&all.a[i], 1);
        if (i % TIMES + 1 < TIMES) all.a[i].then = m;
    }
    for (int i = 0; i < CLIENTS; i++) T_OK(lmn_model_submit(m, &all.a[i * TIMES].r, lmn_now_ns()));
    for (int i = 0; i < CLIENTS * TIMES; i++) wait_for(m, &all.a[i]);
    for (int i = 0; i < CLIENTS * TIMES; i++) {
        T_EQ(all.a[i].r.status, LAMINA_OK);
        T_REQUIRE(all.a[i].r.n_result == 1);
        T_EQ(((const float *)lamina_tensor_data(all.a[i].r.result[0]))[0], -all.a[i].x[0]);
    }
    lmn_model_get_stats(m, &st);
    T_CHECK(lmn_atomic_load(&p.largest, relaxed) >= 128);
    T_CHECK(st.batch_rows[7] > 0);
    T_CHECK(st.whole_rows >= 64 && st.most_rows >= 256);
    T_CHECK(lmn_model_get_config(m)->batch.max_batch_size == 64);
    lmn_model_unref(m);
    asks_free(&all);
}

T_MAIN(T_TEST(test_found_size), T_TEST(test_larger))
