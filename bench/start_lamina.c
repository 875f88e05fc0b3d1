/*
 * start_lamina MODEL load|run|peakN|timeN NAME:TYPE:DIMS...: the 12-line program of the README with
 * its inputs on the command line (by position). Prints the seconds to load, those of the first run,
 * and the first value of the first output; or the peak memory of N runs (peak_watch.h), or the
 * nanoseconds of a run in 20 batches of N runs. START_CACHE is
 * the folder of packed weights, START_BF16 multiplies in bf16.
 */
#include "bench_input.h"
#include "peak_watch.h"
#include "start_args.h"

static int peak(lamina_session *s, lamina_tensor **x, size_t n, size_t n_out, int runs)
{
    lamina_tensor *y[START_MAX];
    lamina_error err;
    const lamina_run_opts ro = {.size = sizeof ro, .error = &err};
    if (n_out > START_MAX) return 1;
    for (; runs > 0; runs--) {
        if (lamina_session_run(s, (const lamina_tensor *const *)x, n, y, n_out, &ro))
            return puts(err.msg), 1;
        for (size_t i = 0; i < n_out; i++) lamina_tensor_unref(y[i]);
    }
    peak_report();
    return 0;
}

typedef struct again {
    lamina_session *s;
    lamina_tensor **x;
    size_t n;
} again;

static int run_again(void *ctx)
{
    const again *a = ctx;
    lamina_tensor *y;
    if (lamina_session_run(a->s, (const lamina_tensor *const *)a->x, a->n, &y, 1, NULL)) return 1;
    lamina_tensor_unref(y);
    return 0;
}

int main(int argc, char **argv)
{
    static start_input in[START_MAX];
    static lamina_tensor *x[START_MAX], *y[START_MAX];
    lamina_error err;
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s;
    const double t0 = bench_now();
    const lamina_engine_opts eo = {.size = sizeof eo, .n_threads = 1};
    const lamina_run_opts ro = {.size = sizeof ro, .error = &err};
    const lamina_session_opts so = {.size = sizeof so,
                                    .prepack_cache = getenv("START_CACHE"),
                                    .precision = getenv("START_BF16") ? LAMINA_PRECISION_BF16
                                                                      : LAMINA_PRECISION_EXACT};
    const int n = start_parse(argc, argv, in);
    const int runs = argc > 2 && argv[2][0] == 'p' ? atoi(argv[2] + 4) : 0;
    if (runs) peak_begin();
    if (lamina_engine_create(&eo, &e) || lamina_model_load(e, argv[1], NULL, &m, &err) ||
        lamina_session_create(m, &so, &s, &err))
        return puts(err.msg), 1;
    const double t1 = bench_now();
    if (argv[2][0] == 'l') return printf("%.6f 0 0\n", t1 - t0) < 0;
    for (int i = 0; i < n; i++)
        if (lamina_tensor_from(e, (lamina_dtype)in[i].type, in[i].rank, in[i].dims, in[i].data,
                               &x[i]))
            return 1;
    if (argv[2][0] == 't')
        return start_batches(20, atoi(argv[2] + 4), run_again, &(again){s, x, (size_t)n});
    if (runs) return peak(s, x, (size_t)n, lamina_model_output_count(m), runs);
    if (lamina_session_run(s, (const lamina_tensor *const *)x, (size_t)n, y, 1, &ro))
        return puts(err.msg), 1;
    const double t2 = bench_now();
    return printf("%.6f %.6f %g\n", t1 - t0, t2 - t1,
                  (double)((const float *)lamina_tensor_data(y[0]))[0]) < 0;
}
