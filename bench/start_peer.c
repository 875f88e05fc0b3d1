/*
 * start_peer MODEL load|run|peakN|timeN NAME:TYPE:DIMS...: the same program as start_lamina on
 * onnxruntime's C API, from the shared library that START_PEER_LIB names. The wheel has that
 * library without headers; the API is a table of functions whose order is frozen (append only), so
 * the few used here are picked by their number. Wrong numbers would crash at once and give no
 * figure.
 */
#include "peak_watch.h"
#include "start_args.h"

#include <dlfcn.h>
#include <time.h>

typedef struct status status;
typedef struct ort_base {
    const void *const *(*api)(uint32_t version);
    const char *(*version)(void);
} ort_base;

/* Numbers in OrtApi, version 1. */
enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_INTRA_THREADS = 24,
    CREATE_TENSOR_WITH_DATA = 49,
    GET_TENSOR_DATA = 51,
    CREATE_CPU_MEMORY_INFO = 69,
    SESSION_OUTPUT_COUNT = 31,
    SESSION_OUTPUT_NAME = 37,
    RELEASE_VALUE = 96,
    ALLOCATOR_DEFAULT = 78
};
typedef status *(*fn_env)(int level, const char *id, void **out);
typedef status *(*fn_options)(void **out);
typedef status *(*fn_threads)(void *options, int n);
typedef status *(*fn_session)(void *env, const char *path, void *options, void **out);
typedef status *(*fn_memory)(int allocator, int type, void **out);
typedef status *(*fn_tensor)(void *memory, void *data, size_t bytes, const int64_t *dims,
                             size_t rank, int type, void **out);
typedef status *(*fn_allocator)(void **out);
typedef status *(*fn_name)(void *session, size_t i, void *allocator, char **out);
typedef status *(*fn_run)(void *session, void *options, const char *const *in_names,
                          const void *const *in, size_t n_in, const char *const *out_names,
                          size_t n_out, void **out);
typedef status *(*fn_count)(void *session, size_t *out);
typedef void (*fn_release)(void *value);
typedef status *(*fn_data)(void *value, void **out);
typedef const char *(*fn_message)(const status *s);

static const void *const *api;
#define CALL(type, number) ((type)(uintptr_t)api[number])

static void must(status *s)
{
    if (!s) return;
    fprintf(stderr, "%s\n", CALL(fn_message, GET_ERROR_MESSAGE)(s));
    exit(1);
}

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
    const char *names[START_MAX], *lib = getenv("START_PEER_LIB");
    void *x[START_MAX] = {0}, *env, *options, *session, *memory, *allocator, *y = NULL, *data;
    char *out_name;
    const double t0 = now();
    const int n = start_parse(argc, argv, in);
    const int runs = argc > 2 && argv[2][0] == 'p' ? atoi(argv[2] + 4) : 0;
    if (runs) peak_begin();
    void *so = dlopen(lib ? lib : "libonnxruntime.so", RTLD_NOW | RTLD_LOCAL);
    const ort_base *(*get)(void) =
        so ? (const ort_base *(*)(void))(uintptr_t)dlsym(so, "OrtGetApiBase") : NULL;
    if (!get || !(api = get()->api(1))) return fprintf(stderr, "no onnxruntime\n"), 1;
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
