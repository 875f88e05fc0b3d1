/*
 * start_peer MODEL load|run|peakN|timeN NAME:TYPE:DIMS...: the same program as start_lamina on
 * onnxruntime's C API, from the shared library that START_PEER_LIB names.
 */
#include "ort_api.h"
#include "peak_watch.h"
#include "start_args.h"

#include <time.h>

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* All outputs, `runs` times. */
static int peak(void *session, void *allocator, const start_input *in, void *const *x, int n,
                int runs)
{
    const char *names[START_MAX];
    char *outs[START_MAX];
    void *y[START_MAX];
    size_t n_out;
    must(CALL(fn_count, SESSION_OUTPUT_COUNT)(session, &n_out));
    if (n_out > START_MAX) return 1;
    for (int i = 0; i < n; i++) names[i] = in[i].name;
    for (size_t i = 0; i < n_out; i++)
        must(CALL(fn_name, SESSION_OUTPUT_NAME)(session, i, allocator, &outs[i]));
    for (; runs > 0; runs--) {
        memset(y, 0, sizeof y);
        must(CALL(fn_run, RUN)(session, NULL, names, (const void *const *)x, (size_t)n,
                               (const char *const *)outs, n_out, y));
        for (size_t i = 0; i < n_out; i++) CALL(fn_release, RELEASE_VALUE)(y[i]);
    }
    peak_report();
    return 0;
}

typedef struct again {
    void *session, **x;
    const char **names;
    char *out;
    int n;
} again;

static int run_again(void *ctx)
{
    const again *a = ctx;
    void *y = NULL;
    must(CALL(fn_run, RUN)(a->session, NULL, a->names, (const void *const *)a->x, (size_t)a->n,
                           (const char *const *)&a->out, 1, &y));
    CALL(fn_release, RELEASE_VALUE)(y);
    return 0;
}

int main(int argc, char **argv)
{
    static start_input in[START_MAX];
    const char *names[START_MAX];
    void *x[START_MAX] = {0}, *env, *options, *session, *memory, *allocator, *y = NULL, *data;
    char *out_name;
    const double t0 = now();
    const int n = start_parse(argc, argv, in);
    const int runs = argc > 2 && argv[2][0] == 'p' ? atoi(argv[2] + 4) : 0;
    if (runs) peak_begin();
    ort_load(getenv("START_PEER_LIB"));
    must(CALL(fn_env, CREATE_ENV)(3, "start", &env));
    must(CALL(fn_options, CREATE_SESSION_OPTIONS)(&options));
    must(CALL(fn_threads, SET_INTRA_THREADS)(options, 1));
    must(CALL(fn_session, CREATE_SESSION)(env, argv[1], options, &session));
    const double t1 = now();
    if (argv[2][0] == 'l') return printf("%.6f 0 0\n", t1 - t0) < 0;
    must(CALL(fn_memory, CREATE_CPU_MEMORY_INFO)(0, 0, &memory));
    for (int i = 0; i < n; i++) {
        names[i] = in[i].name;
        must(CALL(fn_tensor, CREATE_TENSOR_WITH_DATA)(memory, in[i].data, in[i].bytes, in[i].dims,
                                                      (size_t)in[i].rank, in[i].type, &x[i]));
    }
    must(CALL(fn_allocator, ALLOCATOR_DEFAULT)(&allocator));
    if (runs) return peak(session, allocator, in, x, n, runs);
    must(CALL(fn_name, SESSION_OUTPUT_NAME)(session, 0, allocator, &out_name));
    if (argv[2][0] == 't')
        return start_batches(20, atoi(argv[2] + 4), run_again,
                             &(again){session, x, names, out_name, n});
    must(CALL(fn_run, RUN)(session, NULL, names, (const void *const *)x, (size_t)n,
                           (const char *const *)&out_name, 1, &y));
    must(CALL(fn_data, GET_TENSOR_DATA)(y, &data));
    const double t2 = now();
    return printf("%.6f %.6f %g\n", t1 - t0, t2 - t1, (double)((const float *)data)[0]) < 0;
}
