/*
 * How large a batch is found to pay, with a device that computes for as long as the test says: so a
 * batch grows past 64 rows where that pays, and only there.
 */
#include "serve/neg_device.h"
#include "serve/served_asks.h"

typedef struct price {
    uint64_t fixed_ns, row_ns;
    int64_t from; /* rows of this or more have no fixed part, and cost dear_ns each */
    uint64_t dear_ns;
} price;

static lamina_status at_execute(void *self, lamina_kernel *kernel, lamina_call *call)
{
    const price *p = self;
    const float *x;
    const int64_t *dims;
    (void)kernel;
    LMN_TRY(neg_rows(call, &x, &dims));
    const uint64_t rows = (uint64_t)dims[0];
    const uint64_t cost = dims[0] < p->from ? p->fixed_ns + rows * p->row_ns : rows * p->dear_ns;
    for (const uint64_t end = lmn_process_cpu_ns() + cost; lmn_process_cpu_ns() < end;) continue;
    return LAMINA_OK;
}

static const lamina_device_vtable at_a_price = NEG_DEVICE(at_execute);

static int64_t found(t_env *env, price *of_device, const price *p)
{
    char path[512];
    const lmn_model_config c = config_auto();
    *of_device = *p;
    lmn_model *m =
        open_model(env, node_file(env, "Neg", LAMINA_F32, "N 4", "N 4", path, sizeof path), &c);
    const int64_t rows = m ? lmn_model_signature(m)->max_batch_size : -1;
    if (m) T_EQ(lmn_model_get_config(m)->batch.max_queue_rows, lmn_max_i64(256, 2 * rows));
    const uint64_t took = p->fixed_ns + (uint64_t)rows * p->row_ns;
    if (m) T_EQ(lmn_model_get_config(m)->batch.press, took > 8000000);
    if (m) lmn_model_unref(m);
    return rows;
}

static void test_found_size(t_env *env)
{
    static price p;
    T_OK(neg_register(env->engine, &at_a_price, &p, NULL));
    const struct {
        price p;
        int64_t rows;
    } cases[] = {
        {{.fixed_ns = 3000000, .row_ns = 20000, .from = 200, .dear_ns = 150000}, 128},
        {{.fixed_ns = 3000000, .row_ns = 20000, .from = 400, .dear_ns = 150000}, 256},
        /* it would pay, and nobody should wait for it */
        {{.fixed_ns = 40000000, .row_ns = 100000, .from = 1000}, 64},
        /* it would not */
        {{.row_ns = 50000, .from = 1000}, 64},
        /* short runs: nothing to be gained */
        {{.fixed_ns = 50000, .row_ns = 100, .from = 10000}, 64},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "case %zu", i);
        T_CASE(name);
        T_EQ(found(env, &p, &cases[i].p), cases[i].rows);
    }
    T_CASE(NULL);
}

T_MAIN(T_TEST(test_found_size))
