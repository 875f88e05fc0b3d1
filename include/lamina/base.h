/*
 * lamina/base.h - what every other public header stands on: linkage macros, statuses, the error
 * record, element types, the allocator and log vtables, and the engine that owns it all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_BASE_H
#define LAMINA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define LAMINA_API __declspec(dllexport)
#elif defined(__GNUC__)
#define LAMINA_API __attribute__((visibility("default")))
#else
#define LAMINA_API
#endif

#if defined(__GNUC__)
#define LAMINA_NODISCARD __attribute__((warn_unused_result))
#else
#define LAMINA_NODISCARD
#endif

#define LAMINA_VERSION_MAJOR 0
#define LAMINA_VERSION_MINOR 1
#define LAMINA_VERSION_PATCH 0
#define LAMINA_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Statuses: 0 is success, every error is negative. X(name, value, text); gaps by topic leave room.
 * A status says what class of thing went wrong; lamina_error carries the sentence.
 */
#define LAMINA_STATUS_LIST(X)                         \
    X(OK, 0, "ok")                                    \
    X(E_INVALID, -1, "invalid argument")              \
    X(E_STATE, -2, "wrong state for this call")       \
    X(E_RANGE, -3, "value out of range")              \
    X(E_SHAPE, -10, "shape mismatch")                 \
    X(E_DTYPE, -11, "element type mismatch")          \
    X(E_UNSUPPORTED, -12, "not supported")            \
    X(E_CORRUPT, -20, "corrupt data")                 \
    X(E_PARSE, -21, "cannot be parsed")               \
    X(E_VERSION, -22, "unknown version")              \
    X(E_NOMEM, -30, "out of memory")                  \
    X(E_LIMIT, -31, "a configured limit was reached") \
    X(E_BUSY, -32, "busy")                            \
    X(E_AGAIN, -33, "try again")                      \
    X(E_TIMEOUT, -40, "deadline expired")             \
    X(E_CANCELLED, -41, "cancelled")                  \
    X(E_IO, -50, "input/output error")                \
    X(E_OS, -51, "operating system error")            \
    X(E_PERM, -52, "permission denied")               \
    X(E_NODEV, -53, "no such device")                 \
    X(E_DEVICE, -60, "device failure")                \
    X(E_COMPILE, -61, "compilation failed")           \
    X(E_CLOSED, -70, "closed by peer")                \
    X(E_PROTO, -71, "protocol error")

/* Result of nearly every function; 0 or one of the negative constants below. */
typedef int32_t lamina_status;
enum {
#define LAMINA_X(name, value, text) LAMINA_##name = value,
    LAMINA_STATUS_LIST(LAMINA_X)
#undef LAMINA_X
        LAMINA_STATUS_END_ = 1
};

/* Bytes of the message inside lamina_error, terminating zero included. */
#define LAMINA_ERROR_MSG_BYTES 480

/*
 * What went wrong, in caller memory. Filled only on failure by functions that take one; the
 * message is one sentence that names the thing, the reason and, where there is one, the fix.
 */
typedef struct lamina_error {
    lamina_status status; /* the same value the function returned */
    int32_t os_errno;     /* errno of the failing system call, 0 = none */
    int32_t line;         /* 1-based position in a text input, 0 = not applicable */
    int32_t column;       /* 1-based, 0 = not applicable */
    char msg[LAMINA_ERROR_MSG_BYTES];
} lamina_error;

/*
 * Element types. The numbers are those of ONNX TensorProto.DataType (onnx.proto, IR version 14),
 * so that no table stands between a file and the engine.
 */
typedef int32_t lamina_dtype;
enum {
    LAMINA_DTYPE_NONE = 0, /* no element type: an absent value */
    LAMINA_F32 = 1,        /* IEEE binary32 */
    LAMINA_U8 = 2,
    LAMINA_I8 = 3,
    LAMINA_U16 = 4,
    LAMINA_I16 = 5,
    LAMINA_I32 = 6,
    LAMINA_I64 = 7,
    LAMINA_STRING = 8, /* UTF-8 bytes of any length; only in tensors of strings */
    LAMINA_BOOL = 9,   /* one byte, 0 or 1 */
    LAMINA_F16 = 10,   /* IEEE binary16 */
    LAMINA_F64 = 11,   /* IEEE binary64 */
    LAMINA_U32 = 12,
    LAMINA_U64 = 13,
    LAMINA_C64 = 14,        /* two F32: real, imaginary */
    LAMINA_C128 = 15,       /* two F64 */
    LAMINA_BF16 = 16,       /* upper half of an F32 */
    LAMINA_F8E4M3FN = 17,   /* OCP 8-bit float, no infinities */
    LAMINA_F8E4M3FNUZ = 18, /* one zero, one NaN, no infinities */
    LAMINA_F8E5M2 = 19,     /* OCP 8-bit float with infinities */
    LAMINA_F8E5M2FNUZ = 20, /* one zero, one NaN, no infinities */
    LAMINA_U4 = 21,         /* two in a byte, the first in the low half */
    LAMINA_I4 = 22,         /* as U4, two's complement */
    LAMINA_F4E2M1 = 23,     /* OCP MXFP4 element, two in a byte */
    LAMINA_F8E8M0 = 24,     /* power-of-two scale */
    LAMINA_U2 = 25,         /* four in a byte, the first in the low bits */
    LAMINA_I2 = 26,         /* as U2, two's complement */
    LAMINA_DTYPE_COUNT = 27 /* one past the last */
};

/*
 * Allocator vtable: aligned, sized, tagged. `free` receives the very size and alignment that were
 * asked for. Both functions may be called from any thread at the same time.
 */
typedef struct lamina_allocator {
    uint32_t abi; /* LAMINA_ALLOCATOR_ABI */
    void *ctx;    /* borrowed, passed back */
    /* NULL on exhaustion. `align` is a power of two. `tag` is a static string naming the use. */
    void *(*alloc)(void *ctx, size_t bytes, size_t align, const char *tag);
    void (*free)(void *ctx, void *ptr, size_t bytes, size_t align, const char *tag);
} lamina_allocator;
#define LAMINA_ALLOCATOR_ABI 1u

/* Severity of a log line. */
typedef int32_t lamina_log_level;
enum { LAMINA_LOG_DEBUG = 0, LAMINA_LOG_INFO = 1, LAMINA_LOG_WARN = 2, LAMINA_LOG_ERROR = 3 };

/* Log sink: receives one line without a newline. May be called from any thread. */
typedef struct lamina_log_sink {
    uint32_t abi; /* LAMINA_LOG_ABI */
    void *ctx;    /* borrowed, passed back */
    void (*write)(void *ctx, lamina_log_level level, const char *line);
} lamina_log_sink;
#define LAMINA_LOG_ABI 1u

/* Everything hangs off an engine; two engines in one process do not know each other. */
typedef struct lamina_engine lamina_engine;

/* Where engines write what they do: lamina/trace.h. */
typedef struct lamina_trace lamina_trace;

/* Options of lamina_engine_create(). Set `size`, leave the rest zero: the defaults. */
typedef struct lamina_engine_opts {
    size_t size;                       /* sizeof(lamina_engine_opts) */
    const lamina_allocator *allocator; /* copied; NULL = the C library's */
    const lamina_log_sink *log;        /* copied; NULL = silent */
    uint32_t n_threads;                /* pool width, caller included; 0 = min of cpuset,
                                          affinity mask and cgroup quota */
    uint32_t reserved;                 /* must be 0 */
    lamina_trace *trace;               /* borrowed until the engine is gone: what it writes
                                          into; NULL = the file that LAMINA_TRACE names and
                                          nobody has made yet, or none */
} lamina_engine_opts;

/**
 * Create an engine: detects the CPU and the container limits, starts no thread yet.
 *
 * @param opts  borrowed until return; NULL = defaults.
 * @param out   on success an owned engine, released by lamina_engine_destroy. On failure untouched.
 * @return LAMINA_OK; E_INVALID (out is NULL, or an option field this version does not know is set);
 *         E_NOMEM.
 *
 * Shapes:   none.                            Units: threads.
 * Threads:  any thread; the engine may then be used from all threads.
 * Memory:   a few kilobytes from the allocator.   Blocking: reads /proc and /sys, a few files.
 * Source:   DESIGN "no hidden state".        Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_engine_create(const lamina_engine_opts *opts,
                                                               lamina_engine **out);

/**
 * Release an engine. Every model, session and tensor made with it must have been released before.
 *
 * @param engine  owned; NULL does nothing.
 *
 * Shapes:   none.          Units: none.
 * Threads:  no other call on this engine may be running.
 * Memory:   frees all.     Blocking: joins the pool's threads.
 * Source:   none.          Since: 0.1
 */
LAMINA_API void lamina_engine_destroy(lamina_engine *engine);

/**
 * Name of a status, such as "E_SHAPE".
 *
 * @param status  any value.
 * @return a static string, never NULL; "E_UNKNOWN" for a value that is no status.
 *
 * Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API const char *lamina_status_name(lamina_status status);

/**
 * Short English text of a status, such as "shape mismatch".
 *
 * @param status  any value.
 * @return a static string, never NULL.
 *
 * Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API const char *lamina_status_text(lamina_status status);

/**
 * Name of an element type as numpy and ml_dtypes spell it: "float32", "bfloat16", "int4".
 *
 * @param dtype  any value.
 * @return a static string, never NULL; "unknown" for a value that is no element type.
 *
 * Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API const char *lamina_dtype_name(lamina_dtype dtype);

/**
 * Bits of one element: 32 for F32, 4 for I4, 2 for U2, 0 for STRING and for unknown values.
 *
 * @param dtype  any value.
 * @return bits, 0..128.
 *
 * Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API uint32_t lamina_dtype_bits(lamina_dtype dtype);

/**
 * Version of the library that is running, such as "0.1.0".
 *
 * @return a static string.
 *
 * Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API const char *lamina_version(void);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_BASE_H */
