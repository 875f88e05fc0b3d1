/*
 * onnxruntime's C API without its headers, which the wheel has not: a table of functions whose
 * order is frozen (append only), so the few that benches use are picked by their number. Wrong
 * numbers would crash at once and give no figure. For one source file of a program.
 */
#ifndef LAMINA_BENCH_ORT_API_H
#define LAMINA_BENCH_ORT_API_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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
    SHAPE_ELEMENT_COUNT = 64,
    TENSOR_TYPE_AND_SHAPE = 65,
    RELEASE_VALUE = 96,
    RELEASE_SHAPE = 99,
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
typedef status *(*fn_info)(const void *value, void **out);
typedef status *(*fn_elements)(const void *info, size_t *out);
typedef const char *(*fn_message)(const status *s);

static const void *const *api;
#define CALL(type, number) ((type)(uintptr_t)api[number])

/* The table of the library at `path`; ends the program without one. */
static void ort_load(const char *path)
{
    void *so = dlopen(path ? path : "libonnxruntime.so", RTLD_NOW | RTLD_LOCAL);
    const ort_base *(*get)(void) =
        so ? (const ort_base *(*)(void))(uintptr_t)dlsym(so, "OrtGetApiBase") : NULL;
    if (get && (api = get()->api(1))) return;
    fprintf(stderr, "no onnxruntime\n");
    exit(1);
}

static void must(status *s)
{
    if (!s) return;
    fprintf(stderr, "%s\n", CALL(fn_message, GET_ERROR_MESSAGE)(s));
    exit(1);
}

#endif
