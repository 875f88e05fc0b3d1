/*
 * Value: a tensor, sequence, map or empty optional in the hands of Python. Lends its bytes by the
 * buffer protocol and its tensor by DLPack; OrtValue is its subclass in Python.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_lamina.h"

#include <string.h>

PyObject *py_value_new(py_state *st, PyObject *module, PyTypeObject *cls, lamina_tensor *t)
{
    py_value *v = (py_value *)((allocfunc)PyType_GetSlot(cls, Py_tp_alloc))(cls, 0);
    if (!v) {
        lamina_tensor_unref(t);
        return NULL;
    }
    v->module = Py_NewRef(module);
    v->st = st;
    v->t = t;
    return (PyObject *)v;
}

static void value_dealloc(PyObject *self)
{
    py_value *v = (py_value *)self;
    PyTypeObject *type = Py_TYPE(self);
    lamina_tensor_unref(v->t);
    Py_XDECREF(v->module);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* ---- buffer protocol --------------------------------------------------------------------------
 */

/* The bytes, packed as the model has them; the array that is made over them knows the type. */
static int value_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    lamina_tensor *t = ((py_value *)self)->t;
    if (lamina_tensor_kind(t) != LAMINA_KIND_TENSOR || lamina_tensor_dtype(t) == LAMINA_STRING) {
        PyErr_SetString(PyExc_BufferError, "only tensors of numbers have bytes to lend");
        return -1;
    }
    static const char nothing = 0;
    const void *data = lamina_tensor_data(t);
    const int read_only = !lamina_tensor_mutable_data(t);
    return PyBuffer_FillInfo(view, self, (void *)(uintptr_t)(data ? data : &nothing),
                             (Py_ssize_t)lamina_tensor_bytes(t), read_only, flags);
}

/* ---- making -----------------------------------------------------------------------------------
 */

/* of(object, onnx_type=None): wraps without a copy where that is possible. */
static PyObject *value_of(PyObject *cls, PyObject *args)
{
    PyObject *obj, *code = Py_None, *module;
    if (!PyArg_ParseTuple(args, "O|O:of", &obj, &code)) return NULL;
    py_state *st = py_state_of((PyTypeObject *)cls, &module);
    if (!st) return NULL;
    lamina_tensor *t = NULL;
    if (code == Py_None) {
        t = py_to_tensor(st, obj, NULL);
    } else {
        const long dtype = PyLong_AsLong(code);
        if (dtype == -1 && PyErr_Occurred()) return NULL;
        t = py_wrap_as(st, obj, (lamina_dtype)dtype);
    }
    return t ? py_value_new(st, module, (PyTypeObject *)cls, t) : NULL;
}

/* empty(shape, onnx_type): zeroed memory. */
static PyObject *value_empty(PyObject *cls, PyObject *args)
{
    PyObject *shape, *module;
    int dtype;
    int64_t dims[LAMINA_MAX_RANK];
    if (!PyArg_ParseTuple(args, "Oi:empty", &shape, &dtype)) return NULL;
    py_state *st = py_state_of((PyTypeObject *)cls, &module);
    const int32_t rank = st ? py_dims(shape, dims) : -1;
    lamina_engine *e = rank >= 0 ? py_engine(st) : NULL;
    if (!e) return NULL;
    lamina_tensor *t = NULL;
    lamina_status status = lamina_tensor_create(e, dtype, rank, dims, &t);
    if (status != LAMINA_OK) return py_fail(st, status, NULL);
    return py_value_new(st, module, (PyTypeObject *)cls, t);
}

/* Values come from of(), empty() and runs; Value() alone would hold nothing. */
static PyObject *value_tp_new(PyTypeObject *cls, PyObject *args, PyObject *kw)
{
    (void)cls, (void)args, (void)kw;
    PyErr_SetString(PyExc_TypeError,
                    "values are made by ortvalue_from_numpy and its kin, or by a run");
    return NULL;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

/* A view where the bytes are the array's, a copy for strings and packed types. */
static PyObject *value_numpy(PyObject *self, PyObject *unused)
{
    (void)unused;
    py_value *v = (py_value *)self;
    const lamina_dtype dtype = lamina_tensor_dtype(v->t);
    if (lamina_tensor_kind(v->t) != LAMINA_KIND_TENSOR || lamina_dtype_bits(dtype) < 8 ||
        lamina_tensor_bytes(v->t) == 0)
        return py_from_tensor(v->st, v->module, lamina_tensor_ref(v->t));
    PyObject *type = py_dtype_object(v->st, dtype);
    PyObject *shape = type ? py_shape(v->t) : NULL;
    PyObject *args = shape ? Py_BuildValue("(NOO)", shape, type, self) : NULL;
    PyObject *array = args ? PyObject_Call((PyObject *)v->st->ndarray, args, NULL) : NULL;
    Py_XDECREF(args);
    return array;
}

static PyObject *value_dims(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_shape(((py_value *)self)->t);
}

static PyObject *value_code(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(lamina_tensor_dtype(((py_value *)self)->t));
}

static PyObject *value_kind(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(lamina_tensor_kind(((py_value *)self)->t));
}

static PyObject *value_key(PyObject *self, PyObject *unused)
{
    (void)unused;
    const lamina_tensor *t = ((py_value *)self)->t;
    if (lamina_tensor_kind(t) == LAMINA_KIND_SEQUENCE) t = lamina_sequence_item(t, 0);
    return PyLong_FromLong(lamina_tensor_dtype(lamina_map_keys(t)));
}

static PyObject *value_address(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr((void *)(uintptr_t)lamina_tensor_data(((py_value *)self)->t));
}

static PyObject *value_nbytes(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(lamina_tensor_bytes(((py_value *)self)->t));
}

/* ---- DLPack -----------------------------------------------------------------------------------
 */

static void drop_versioned(PyObject *capsule)
{
    if (!PyCapsule_IsValid(capsule, "dltensor_versioned")) return; /* consumed */
    lamina_dl_managed_versioned *m = PyCapsule_GetPointer(capsule, "dltensor_versioned");
    m->deleter(m);
}

static void drop_legacy(PyObject *capsule)
{
    if (!PyCapsule_IsValid(capsule, "dltensor")) return;
    lamina_dl_managed *m = PyCapsule_GetPointer(capsule, "dltensor");
    m->deleter(m);
}

static PyObject *lend_versioned(py_value *v)
{
    lamina_dl_managed_versioned *m;
    /* Asked before the lending, which is another holder. */
    const bool writable = lamina_tensor_mutable_data(v->t) != NULL;
    lamina_status status = lamina_tensor_to_dlpack(v->t, &m);
    if (status != LAMINA_OK) return py_fail(v->st, status, NULL);
    if (writable) m->flags &= ~LAMINA_DL_READ_ONLY;
    PyObject *capsule = PyCapsule_New(m, "dltensor_versioned", drop_versioned);
    if (!capsule) m->deleter(m);
    return capsule;
}

static PyObject *lend_legacy(py_value *v)
{
    lamina_dl_managed *m;
    lamina_status status = lamina_tensor_to_dlpack_legacy(v->t, &m);
    if (status != LAMINA_OK) return py_fail(v->st, status, NULL);
    PyObject *capsule = PyCapsule_New(m, "dltensor", drop_legacy);
    if (!capsule) m->deleter(m);
    return capsule;
}

static PyObject *value_dlpack(PyObject *self, PyObject *args, PyObject *kw)
{
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = Py_None, *version = Py_None, *device = Py_None, *copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "|$OOOO:__dlpack__", names, &stream, &version,
                                     &device, &copy))
        return NULL;
    if (copy == Py_True) {
        PyErr_SetString(PyExc_BufferError, "lamina lends tensors and does not copy them");
        return NULL;
    }
    long major = 0;
    if (version != Py_None) {
        PyObject *first = PySequence_GetItem(version, 0);
        major = first ? PyLong_AsLong(first) : -1;
        Py_XDECREF(first);
        if (major == -1 && PyErr_Occurred()) return NULL;
    }
    return major >= 1 ? lend_versioned((py_value *)self) : lend_legacy((py_value *)self);
}

static PyObject *value_dlpack_device(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return Py_BuildValue("(ii)", LAMINA_DL_CPU, 0);
}

/* ---- the type ---------------------------------------------------------------------------------
 */

static PyMethodDef methods[] = {
    {"of", value_of, METH_VARARGS | METH_CLASS, "of(object, onnx_type=None): wrap an array."},
    {"empty", value_empty, METH_VARARGS | METH_CLASS, "empty(shape, onnx_type): zeroed memory."},
    {"numpy", value_numpy, METH_NOARGS, "As a numpy array, a list of them, a dict, or None."},
    {"dims", value_dims, METH_NOARGS, "Extents, as a tuple."},
    {"code", value_code, METH_NOARGS, "Element type as ONNX numbers them."},
    {"kind", value_kind, METH_NOARGS, "0 tensor, 1 sequence, 2 empty optional, 3 map."},
    {"key", value_key, METH_NOARGS, "Type of a map's keys, or of the maps of a sequence; else 0."},
    {"address", value_address, METH_NOARGS, "Address of the first element."},
    {"nbytes", value_nbytes, METH_NOARGS, "Bytes of the data."},
    {"__dlpack__", (PyCFunction)(void (*)(void))value_dlpack, METH_VARARGS | METH_KEYWORDS,
     "Lend the tensor as a DLPack capsule."},
    {"__dlpack_device__", value_dlpack_device, METH_NOARGS, "(1, 0): the host."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)value_tp_new},
    {Py_tp_dealloc, (void *)value_dealloc},
    {Py_tp_methods, methods},
    {Py_bf_getbuffer, (void *)value_getbuffer},
    {Py_tp_doc, (void *)"A tensor, a sequence, a map or an empty optional."},
    {0, NULL},
};

PyType_Spec py_value_spec = {
    .name = "lamina._lamina.Value",
    .basicsize = sizeof(py_value),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};
