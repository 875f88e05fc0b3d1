/*
 * What the files of the Python extension share. The extension is written against the limited API of
 * CPython 3.11 (one binary for 3.11 and later) and the public headers of Lamina; numpy is reached
 * through its Python face and the buffer protocol, so no header of numpy is needed to build.
 *
 * Invariants: every function that returns NULL or a negative number has set a Python exception.
 * The GIL is held everywhere except inside loading and running. A lamina_tensor that leaves a run
 * is lent to numpy without a copy only if nobody else holds its memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PY_LAMINA_H
#define PY_LAMINA_H

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "lamina/dlpack.h"
#include "lamina/lamina.h"

/* State of the module. Every object of ours holds the module, and with it this. */
typedef struct py_state {
    /* Made at first use and never destroyed: arrays and DLPack capsules that others hold may
       outlive the module, and the process ends with it. */
    lamina_engine *engine;
    PyTypeObject *value_type, *run_options_type;
    PyObject *numpy;                     /* the module */
    PyTypeObject *ndarray;               /* numpy.ndarray */
    PyObject *dtype[LAMINA_DTYPE_COUNT]; /* numpy's object for each type; NULL until asked for */
    PyObject *make_error;                /* lamina._errors.make(status, sentence, errno, loading) */
    PyObject *s_dtype, *s_dlpack, *s_dlpack_device; /* interned names */
    uint32_t n_threads;                             /* width of the engine's pool; 0 = its choice */
} py_state;

/* lamina._lamina.Value: a tensor, a sequence, a map or an empty optional. */
typedef struct py_value {
    PyObject_HEAD PyObject *module;
    py_state *st;
    lamina_tensor *t; /* ref held */
} py_value;

/* lamina._lamina.RunOptions */
typedef struct py_run_options {
    PyObject_HEAD _Atomic uint32_t stop; /* not 0: runs with these options end */
    double timeout_s;                    /* <= 0: none */
} py_run_options;

/* What a model says of one input or output. */
typedef struct py_port {
    PyObject *name; /* interned */
    lamina_kind kind;
    lamina_dtype dtype, key;
} py_port;

/* ---- py_module.c ---- */

/* State of the module that made `type` or a base of it, and the module (borrowed). */
py_state *py_state_of(PyTypeObject *type, PyObject **module);
/* The engine, made on first call. */
lamina_engine *py_engine(py_state *st);
/* Raise what lamina._errors makes of a status and a sentence (NULL or "": the status' own text);
   returns NULL. */
void *py_fail(py_state *st, lamina_status status, const char *sentence);
/* As py_fail, out of a filled record; `loading`: while a model was read. */
void *py_fail_record(py_state *st, lamina_status status, const lamina_error *err, bool loading);
/* numpy.<name>(*args): steals args. */
PyObject *py_numpy_call(py_state *st, const char *name, PyObject *args);

/* ---- py_dtype.c ---- */

/* Type of an array's elements; STRING for every kind of text or object. LAMINA_DTYPE_NONE: not in
   the byte order of this machine. -1: an exception is set. */
lamina_dtype py_dtype_of(py_state *st, PyObject *array);
/* numpy's dtype object (borrowed); ml_dtypes is imported for the types it defines. */
PyObject *py_dtype_object(py_state *st, lamina_dtype dtype);
/* One element a byte to packed, and back; the unused bits of a byte are 0. */
void py_pack(lamina_dtype dtype, const uint8_t *src, uint8_t *dst, size_t n);
void py_unpack(lamina_dtype dtype, const uint8_t *src, uint8_t *dst, size_t n);

/* ---- py_input.c: Python objects to tensors ---- */

/* A new ref; `want` (may be NULL) says what the model expects of objects that do not say
   themselves what they are: lists, numbers, None. */
lamina_tensor *py_to_tensor(py_state *st, PyObject *obj, const py_port *want);
/* Wrap an array's memory as elements of another type of the same size. */
lamina_tensor *py_wrap_as(py_state *st, PyObject *array, lamina_dtype dtype);
/* dims of a sequence of integers; returns the rank or -1. */
int32_t py_dims(PyObject *obj, int64_t dims[LAMINA_MAX_RANK]);

/* ---- py_map.c: dicts ---- */

PyObject *py_dict_of(py_state *st, PyObject *module, const lamina_tensor *map);
/* A new ref; `want` as for py_to_tensor. */
lamina_tensor *py_from_dict(py_state *st, PyObject *dict, const py_port *want);

/* ---- py_output.c: tensors to Python objects ---- */

/* numpy array, list of them, dict, or None. Takes over the ref, also on failure. */
PyObject *py_from_tensor(py_state *st, PyObject *module, lamina_tensor *t);
/* The same value in memory nobody else holds. Takes over the ref; NULL on failure. */
lamina_tensor *py_owned(py_state *st, lamina_tensor *t);
PyObject *py_shape(const lamina_tensor *t);

/* ---- py_value.c, py_session.c, py_run_options.c ---- */

/* Instance of cls (Value or a subclass). Takes over the ref, also on failure. */
PyObject *py_value_new(py_state *st, PyObject *module, PyTypeObject *cls, lamina_tensor *t);
extern PyType_Spec py_value_spec, py_session_spec, py_run_options_spec;

#endif
