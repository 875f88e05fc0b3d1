/*
 * A backend for Triton on onnxruntime's C API, so that the strongest KServe server there is as a
 * package (nvidia-pytriton carries the binary, not its onnxruntime backend) serves the same models
 * as we do: libtriton_ort.so. All requests of a batch are gathered into one tensor (one copy), run
 * once on one thread, and their rows copied out. Models have one f32 input "x" and one f32 output
 * "y" of one row dimension. The few functions of Triton's backend API are declared here, since the
 * package has no headers; names and meanings are those of the API, version 1.
 */
#include "../ort_api.h"

#include <string.h>

typedef struct TRITONSERVER_Error TRITONSERVER_Error;
typedef struct TRITONBACKEND_Model TRITONBACKEND_Model;
typedef struct TRITONBACKEND_ModelInstance TRITONBACKEND_ModelInstance;
typedef struct TRITONBACKEND_Request TRITONBACKEND_Request;
typedef struct TRITONBACKEND_Response TRITONBACKEND_Response;
typedef struct TRITONBACKEND_Input TRITONBACKEND_Input;
typedef struct TRITONBACKEND_Output TRITONBACKEND_Output;
enum { TYPE_FP32 = 11, FINAL = 1, RELEASE_ALL = 1, MAX_REQUESTS = 1024 };

TRITONSERVER_Error *TRITONBACKEND_ModelRepository(TRITONBACKEND_Model *, int *, const char **);
TRITONSERVER_Error *TRITONBACKEND_ModelVersion(TRITONBACKEND_Model *, uint64_t *);
TRITONSERVER_Error *TRITONBACKEND_ModelSetState(TRITONBACKEND_Model *, void *);
TRITONSERVER_Error *TRITONBACKEND_ModelState(TRITONBACKEND_Model *, void **);
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceModel(TRITONBACKEND_ModelInstance *,
                                                     TRITONBACKEND_Model **);
TRITONSERVER_Error *TRITONBACKEND_RequestInput(TRITONBACKEND_Request *, const char *,
                                               TRITONBACKEND_Input **);
TRITONSERVER_Error *TRITONBACKEND_InputProperties(TRITONBACKEND_Input *, const char **, int *,
                                                  const int64_t **, uint32_t *, uint64_t *,
                                                  uint32_t *);
TRITONSERVER_Error *TRITONBACKEND_InputBuffer(TRITONBACKEND_Input *, uint32_t, const void **,
                                              uint64_t *, int *, int64_t *);
TRITONSERVER_Error *TRITONBACKEND_ResponseNew(TRITONBACKEND_Response **, TRITONBACKEND_Request *);
TRITONSERVER_Error *TRITONBACKEND_ResponseOutput(TRITONBACKEND_Response *, TRITONBACKEND_Output **,
                                                 const char *, int, const int64_t *, uint32_t);
TRITONSERVER_Error *TRITONBACKEND_OutputBuffer(TRITONBACKEND_Output *, void **, uint64_t, int *,
                                               int64_t *);
TRITONSERVER_Error *TRITONBACKEND_ResponseSend(TRITONBACKEND_Response *, uint32_t,
                                               TRITONSERVER_Error *);
TRITONSERVER_Error *TRITONBACKEND_RequestRelease(TRITONBACKEND_Request *, uint32_t);
TRITONSERVER_Error *TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model *);
TRITONSERVER_Error *TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model *);
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance *,
                                                       TRITONBACKEND_Request **, uint32_t);

typedef struct model {
    void *session, *memory;
    float *x; /* rows gathered */
    size_t cap;
} model;

static void *environment;

TRITONSERVER_Error *TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model *m)
{
    const char *folder;
    uint64_t version;
    int kind;
    char path[4096];
    void *options;
    model *state = calloc(1, sizeof *state);
    if (!state) abort();
    if (!environment) {
        ort_load(getenv("START_PEER_LIB"));
        must(CALL(fn_env, CREATE_ENV)(3, "serve", &environment));
    }
    TRITONBACKEND_ModelRepository(m, &kind, &folder);
    TRITONBACKEND_ModelVersion(m, &version);
    snprintf(path, sizeof path, "%s/%llu/model.onnx", folder, (unsigned long long)version);
    must(CALL(fn_options, CREATE_SESSION_OPTIONS)(&options));
    must(CALL(fn_threads, SET_INTRA_THREADS)(options, 1));
    must(CALL(fn_session, CREATE_SESSION)(environment, path, options, &state->session));
    must(CALL(fn_memory, CREATE_CPU_MEMORY_INFO)(0, 0, &state->memory));
    return TRITONBACKEND_ModelSetState(m, state);
}

TRITONSERVER_Error *TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model *m)
{
    void *state;
    TRITONBACKEND_ModelState(m, &state);
    free(((model *)state)->x);
    free(state);
    return NULL;
}

/* Rows of one request, appended to what is gathered; their number. */
static int64_t gather(model *m, TRITONBACKEND_Request *request, size_t at, int64_t *row_bytes)
{
    TRITONBACKEND_Input *input;
    const int64_t *shape;
    uint32_t rank, buffers;
    uint64_t bytes, part;
    TRITONBACKEND_RequestInput(request, "x", &input);
    TRITONBACKEND_InputProperties(input, NULL, NULL, &shape, &rank, &bytes, &buffers);
    if (at + bytes > m->cap) {
        m->cap = 2 * (at + bytes);
        m->x = realloc(m->x, m->cap);
        if (!m->x) abort();
    }
    for (uint32_t i = 0; i < buffers; i++, at += part) {
        const void *from;
        int kind = 0;
        int64_t id = 0;
        TRITONBACKEND_InputBuffer(input, i, &from, &part, &kind, &id);
        memcpy((char *)m->x + at, from, part);
    }
    *row_bytes = (int64_t)bytes / shape[0];
    return shape[0];
}

static void answer(TRITONBACKEND_Request *request, const char *y, int64_t rows, int64_t width)
{
    TRITONBACKEND_Response *response;
    TRITONBACKEND_Output *output;
    void *to;
    int kind = 0;
    int64_t id = 0, shape[2] = {rows, width};
    const uint64_t bytes = (uint64_t)(rows * width) * sizeof(float);
    TRITONBACKEND_ResponseNew(&response, request);
    TRITONBACKEND_ResponseOutput(response, &output, "y", TYPE_FP32, shape, 2);
    TRITONBACKEND_OutputBuffer(output, &to, bytes, &kind, &id);
    memcpy(to, y, bytes);
    TRITONBACKEND_ResponseSend(response, FINAL, NULL);
    TRITONBACKEND_RequestRelease(request, RELEASE_ALL);
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance *instance,
                                                       TRITONBACKEND_Request **requests,
                                                       uint32_t count)
{
    static const char *const in_name[] = {"x"}, *const out_name[] = {"y"};
    TRITONBACKEND_Model *owner;
    int64_t rows[MAX_REQUESTS], total = 0, row_bytes = 0;
    void *state, *x, *y = NULL, *data, *info;
    size_t elements;
    if (count > MAX_REQUESTS) abort();
    TRITONBACKEND_ModelInstanceModel(instance, &owner);
    TRITONBACKEND_ModelState(owner, &state);
    model *m = state;
    for (uint32_t i = 0; i < count; i++, total += rows[i - 1])
        rows[i] = gather(m, requests[i], (size_t)(total * row_bytes), &row_bytes);
    const int64_t shape[2] = {total, row_bytes / (int64_t)sizeof(float)};
    must(CALL(fn_tensor, CREATE_TENSOR_WITH_DATA)(m->memory, m->x, (size_t)(total * row_bytes),
                                                  shape, 2, 1, &x));
    must(CALL(fn_run, RUN)(m->session, NULL, in_name, (const void *const *)&x, 1, out_name, 1, &y));
    must(CALL(fn_data, GET_TENSOR_DATA)(y, &data));
    must(CALL(fn_info, TENSOR_TYPE_AND_SHAPE)(y, &info));
    must(CALL(fn_elements, SHAPE_ELEMENT_COUNT)(info, &elements));
    const int64_t width = (int64_t)elements / total;
    const char *row = data;
    for (uint32_t i = 0; i < count; row += rows[i] * width * (int64_t)sizeof(float), i++)
        answer(requests[i], row, rows[i], width);
    CALL(fn_release, RELEASE_SHAPE)(info);
    CALL(fn_release, RELEASE_VALUE)(y);
    CALL(fn_release, RELEASE_VALUE)(x);
    return NULL;
}
