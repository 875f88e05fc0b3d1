/*
 * Python objects to tensors. numpy arrays that are dense, aligned and in the machine's byte order
 * are borrowed: the tensor's owner holds a buffer of the array until the last reference is gone.
 * Everything else is copied once: other strides by numpy, strings, types below 8 bits by us.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_lamina.h"

#include <string.h>

/* ---- buffers ----------------------------------------------------------------------------------
 */

static bool aligned(const Py_buffer *v, lamina_dtype dtype)
{
    size_t align = lamina_dtype_bits(dtype) / 8;
    if (dtype == LAMINA_C64 || dtype == LAMINA_C128) align /= 2;
    return align < 2 || (uintptr_t)v->buf % align == 0;
}

/* A C-contiguous, aligned view of the array or of a copy of it; the view holds what it looks at. */
static int dense_view(py_state *st, PyObject *array, lamina_dtype dtype, Py_buffer *view)
{
    /* Without a format: numpy cannot spell those of ml_dtypes, and we know the type already. */
    if (PyObject_GetBuffer(array, view, PyBUF_STRIDES) < 0) return -1;
    if (view->ndim > LAMINA_MAX_RANK) {
        PyBuffer_Release(view);
        (void)py_fail(st, LAMINA_E_SHAPE, "an array has more than 8 dimensions");
        return -1;
    }
    if (PyBuffer_IsContiguous(view, 'C') && aligned(view, dtype)) return 0;
    PyBuffer_Release(view);
    PyObject *copy = PyObject_CallMethod(array, "copy", "s", "C");
    if (!copy) return -1;
    int rc = PyObject_GetBuffer(copy, view, PyBUF_STRIDES);
    Py_DECREF(copy);
    return rc;
}

static int32_t view_dims(const Py_buffer *v, int64_t dims[LAMINA_MAX_RANK])
{
    for (int i = 0; i < v->ndim; i++) dims[i] = v->shape[i];
    return v->ndim;
}

/* May come from any thread, with or without the GIL. */
static void release_view(void *ctx)
{
    Py_buffer *view = ctx;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyBuffer_Release(view);
    PyMem_Free(view);
    PyGILState_Release(gil);
}

lamina_tensor *py_wrap_as(py_state *st, PyObject *array, lamina_dtype dtype)
{
    lamina_engine *e = py_engine(st);
    Py_buffer *view = e ? PyMem_Malloc(sizeof *view) : NULL;
    if (!view) return e ? (lamina_tensor *)PyErr_NoMemory() : NULL;
    if (dense_view(st, array, dtype, view) < 0) {
        PyMem_Free(view);
        return NULL;
    }
    int64_t dims[LAMINA_MAX_RANK];
    const int32_t rank = view_dims(view, dims);
    const lamina_owner owner = {release_view, view};
    lamina_tensor *t = NULL;
    lamina_status status = LAMINA_E_DTYPE;
    if ((size_t)view->itemsize * 8 == lamina_dtype_bits(dtype))
        status = lamina_tensor_wrap(e, dtype, rank, dims, NULL, view->buf, &owner, &t);
    if (status == LAMINA_OK) return t;
    PyBuffer_Release(view);
    PyMem_Free(view);
    return py_fail(st, status,
                   status == LAMINA_E_DTYPE
                       ? "the array's elements have another size than the wanted type"
                       : NULL);
}

static lamina_tensor *pack_array(py_state *st, PyObject *array, lamina_dtype dtype)
{
    lamina_engine *e = py_engine(st);
    Py_buffer view;
    if (!e || dense_view(st, array, dtype, &view) < 0) return NULL;
    int64_t dims[LAMINA_MAX_RANK];
    const int32_t rank = view_dims(&view, dims);
    lamina_tensor *t = NULL;
    lamina_status status = lamina_tensor_create(e, dtype, rank, dims, &t);
    if (status == LAMINA_OK && view.len > 0)
        py_pack(dtype, view.buf, lamina_tensor_mutable_data(t), (size_t)view.len);
    PyBuffer_Release(&view);
    return status == LAMINA_OK ? t : py_fail(st, status, NULL);
}

/* ---- strings ----------------------------------------------------------------------------------
 */

int32_t py_dims(PyObject *obj, int64_t dims[LAMINA_MAX_RANK])
{
    const Py_ssize_t n = PySequence_Size(obj);
    if (n < 0) return -1;
    if (n > LAMINA_MAX_RANK) {
        PyErr_SetString(PyExc_ValueError, "a shape has more than 8 dimensions");
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PySequence_GetItem(obj, i);
        dims[i] = item ? PyLong_AsLongLong(item) : -1;
        Py_XDECREF(item);
        if (dims[i] == -1 && PyErr_Occurred()) return -1;
    }
    return (int32_t)n;
}

static lamina_status set_bytes(lamina_tensor *t, Py_ssize_t i, PyObject *bytes)
{
    char *p;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(bytes, &p, &n) < 0) return LAMINA_E_INVALID;
    return lamina_tensor_set_string(t, i, p, (size_t)n);
}

/* Text as UTF-8, bytes as they are, anything else by str(). Text that came out of undecodable bytes
   goes back to those bytes. */
static lamina_status set_item(lamina_tensor *t, Py_ssize_t i, PyObject *item)
{
    if (PyBytes_Check(item)) return set_bytes(t, i, item);
    PyObject *text = PyUnicode_Check(item) ? Py_NewRef(item) : PyObject_Str(item);
    Py_ssize_t n = 0;
    const char *p = text ? PyUnicode_AsUTF8AndSize(text, &n) : NULL;
    lamina_status status = LAMINA_E_INVALID;
    if (p) {
        status = lamina_tensor_set_string(t, i, p, (size_t)n);
    } else if (text && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Clear();
        PyObject *raw = PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
        if (raw) status = set_bytes(t, i, raw);
        Py_XDECREF(raw);
    }
    Py_XDECREF(text);
    return status;
}

static lamina_tensor *fill_strings(py_state *st, PyObject *list, int32_t rank, const int64_t *dims)
{
    lamina_engine *e = py_engine(st);
    lamina_tensor *t = NULL;
    if (!e) return NULL;
    lamina_status status = lamina_tensor_create(e, LAMINA_STRING, rank, dims, &t);
    const Py_ssize_t n = PyList_Size(list);
    for (Py_ssize_t i = 0; status == LAMINA_OK && i < n; i++)
        status = set_item(t, i, PyList_GetItem(list, i));
    if (status == LAMINA_OK) return t;
    lamina_tensor_unref(t);
    return PyErr_Occurred() ? NULL : py_fail(st, status, NULL);
}

static lamina_tensor *string_array(py_state *st, PyObject *array)
{
    int64_t dims[LAMINA_MAX_RANK];
    lamina_tensor *t = NULL;
    PyObject *shape = PyObject_GetAttrString(array, "shape");
    const int32_t rank = shape ? py_dims(shape, dims) : -1;
    Py_XDECREF(shape);
    PyObject *flat = rank >= 0 ? PyObject_CallMethod(array, "ravel", NULL) : NULL;
    PyObject *list = flat ? PyObject_CallMethod(flat, "tolist", NULL) : NULL;
    if (list) t = fill_strings(st, list, rank, dims);
    Py_XDECREF(flat);
    Py_XDECREF(list);
    return t;
}

/* ---- arrays -----------------------------------------------------------------------------------
 */

static lamina_tensor *from_array(py_state *st, PyObject *array);

/* The same numbers in this machine's byte order. */
static lamina_tensor *swapped_array(py_state *st, PyObject *array)
{
    lamina_tensor *t = NULL;
    PyObject *dtype = PyObject_GetAttr(array, st->s_dtype);
    PyObject *native = dtype ? PyObject_CallMethod(dtype, "newbyteorder", "s", "=") : NULL;
    PyObject *copy = native ? PyObject_CallMethod(array, "astype", "O", native) : NULL;
    if (copy) t = from_array(st, copy);
    Py_XDECREF(dtype);
    Py_XDECREF(native);
    Py_XDECREF(copy);
    return t;
}

static lamina_tensor *from_array(py_state *st, PyObject *array)
{
    const lamina_dtype dtype = py_dtype_of(st, array);
    if (dtype < 0) return NULL;
    if (dtype == LAMINA_STRING) return string_array(st, array);
    if (dtype == LAMINA_DTYPE_NONE) return swapped_array(st, array);
    if (lamina_dtype_bits(dtype) < 8) return pack_array(st, array, dtype);
    return py_wrap_as(st, array, dtype);
}

/* Whatever numpy makes an array of, in the type the model wants. */
static lamina_tensor *from_anything(py_state *st, PyObject *obj, const py_port *want)
{
    PyObject *dtype = Py_None;
    if (want && want->dtype != LAMINA_DTYPE_NONE) {
        dtype = py_dtype_object(st, want->dtype);
        if (!dtype) return NULL;
    }
    PyObject *array = py_numpy_call(st, "asarray", Py_BuildValue("(OO)", obj, dtype));
    lamina_tensor *t = array ? from_array(st, array) : NULL;
    Py_XDECREF(array);
    return t;
}

/* ---- DLPack -----------------------------------------------------------------------------------
 */

/* obj.__dlpack__(), in the newest form it can give. */
static PyObject *ask_dlpack(py_state *st, PyObject *obj)
{
    PyObject *fn = PyObject_GetAttr(obj, st->s_dlpack);
    PyObject *kw =
        fn ? Py_BuildValue("{s(II)}", "max_version", LAMINA_DL_MAJOR, LAMINA_DL_MINOR) : NULL;
    PyObject *none = kw ? PyTuple_New(0) : NULL;
    PyObject *capsule = none ? PyObject_Call(fn, none, kw) : NULL;
    if (!capsule && none && PyErr_ExceptionMatches(PyExc_TypeError)) { /* before version 1 */
        PyErr_Clear();
        capsule = PyObject_Call(fn, none, NULL);
    }
    Py_XDECREF(none);
    Py_XDECREF(kw);
    Py_XDECREF(fn);
    return capsule;
}

static lamina_tensor *take_capsule(py_state *st, PyObject *capsule)
{
    lamina_engine *e = py_engine(st);
    lamina_tensor *t = NULL;
    lamina_status status;
    const char *used;
    if (!e) return NULL;
    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        used = "used_dltensor_versioned";
        status =
            lamina_tensor_from_dlpack(e, PyCapsule_GetPointer(capsule, "dltensor_versioned"), &t);
    } else if (PyCapsule_IsValid(capsule, "dltensor")) {
        used = "used_dltensor";
        status = lamina_tensor_from_dlpack_legacy(e, PyCapsule_GetPointer(capsule, "dltensor"), &t);
    } else {
        PyErr_SetString(PyExc_TypeError, "__dlpack__ did not give a DLPack capsule");
        return NULL;
    }
    if (status != LAMINA_OK)
        return py_fail(st, status,
                       status == LAMINA_E_UNSUPPORTED ? "only DLPack tensors in host memory, with "
                                                        "plain elements, can be read"
                                                      : NULL);
    if (PyCapsule_SetName(capsule, used) == 0) return t;
    lamina_tensor_unref(t);
    return NULL;
}

static bool is_dense(const lamina_tensor *t)
{
    const int64_t *dims = lamina_tensor_dims(t), *strides = lamina_tensor_strides(t);
    int64_t step = 1;
    if (lamina_tensor_count(t) == 0) return true;
    for (int32_t i = lamina_tensor_rank(t) - 1; i >= 0; i--) {
        if (dims[i] > 1 && strides[i] != step) return false;
        step *= dims[i];
    }
    return true;
}

static lamina_tensor *from_dlpack(py_state *st, PyObject *obj)
{
    PyObject *capsule = ask_dlpack(st, obj);
    lamina_tensor *t = capsule ? take_capsule(st, capsule) : NULL;
    Py_XDECREF(capsule);
    if (!t || is_dense(t)) return t;
    /* Strides are rare here; numpy packs them. */
    lamina_tensor_unref(t);
    PyObject *array = py_numpy_call(st, "from_dlpack", Py_BuildValue("(O)", obj));
    t = array ? from_array(st, array) : NULL;
    Py_XDECREF(array);
    return t;
}

/* ---- the way in -------------------------------------------------------------------------------
 */

static lamina_tensor *from_list(py_state *st, PyObject *seq, const py_port *want)
{
    const Py_ssize_t n = PySequence_Size(seq);
    lamina_engine *e = py_engine(st);
    if (n < 0 || !e) return NULL;
    lamina_tensor **items = PyMem_Calloc((size_t)n + 1, sizeof *items), *out = NULL;
    if (!items) return (lamina_tensor *)PyErr_NoMemory();
    const py_port item = {.kind = want->key ? LAMINA_KIND_MAP : LAMINA_KIND_TENSOR,
                          .dtype = want->dtype,
                          .key = want->key};
    Py_ssize_t k = 0;
    for (; k < n; k++) {
        PyObject *o = PySequence_GetItem(seq, k);
        items[k] = o ? py_to_tensor(st, o, &item) : NULL;
        Py_XDECREF(o);
        if (!items[k]) break;
    }
    if (k == n) {
        lamina_dtype dtype = n > 0 ? lamina_tensor_dtype(items[0]) : want->dtype;
        lamina_status status = lamina_sequence_create(e, dtype, n, items, &out);
        if (status != LAMINA_OK)
            (void)py_fail(st, status,
                          status == LAMINA_E_DTYPE
                              ? "the items of a sequence have different element types"
                              : NULL);
    }
    while (k > 0) lamina_tensor_unref(items[--k]);
    PyMem_Free(items);
    return out;
}

static lamina_tensor *from_none(py_state *st, const py_port *want)
{
    lamina_engine *e = py_engine(st);
    lamina_tensor *t = NULL;
    if (!e) return NULL;
    const lamina_dtype dtype = want && want->dtype ? want->dtype : LAMINA_F32;
    lamina_status status = lamina_none_create(e, dtype, &t);
    return status == LAMINA_OK ? t : py_fail(st, status, NULL);
}

lamina_tensor *py_to_tensor(py_state *st, PyObject *obj, const py_port *want)
{
    if (PyObject_TypeCheck(obj, st->ndarray)) return from_array(st, obj);
    if (PyObject_TypeCheck(obj, st->value_type)) return lamina_tensor_ref(((py_value *)obj)->t);
    if (obj == Py_None) return from_none(st, want);
    if (want && want->kind == LAMINA_KIND_SEQUENCE && (PyList_Check(obj) || PyTuple_Check(obj)))
        return from_list(st, obj, want);
    if (PyDict_Check(obj)) return py_from_dict(st, obj, want);
    if (PyObject_HasAttr(obj, st->s_dlpack)) return from_dlpack(st, obj);
    return from_anything(st, obj, want);
}
