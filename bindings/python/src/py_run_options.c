/*
 * RunOptions: the word that ends runs, and a time limit. The word is written by one thread while
 * others run without the GIL, so it is atomic.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_lamina.h"

#include <stdatomic.h>

static PyObject *get_terminate(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(atomic_load(&((py_run_options *)self)->stop) != 0);
}

static int set_terminate(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    const int on = value ? PyObject_IsTrue(value) : 0;
    if (on < 0) return -1;
    atomic_store(&((py_run_options *)self)->stop, (uint32_t)on);
    return 0;
}

static PyObject *get_timeout(PyObject *self, void *unused)
{
    (void)unused;
    const double s = ((py_run_options *)self)->timeout_s;
    if (s <= 0) Py_RETURN_NONE;
    return PyFloat_FromDouble(s);
}

static int set_timeout(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    const double s = value && value != Py_None ? PyFloat_AsDouble(value) : 0;
    if (s == -1.0 && PyErr_Occurred()) return -1;
    if (!(s >= 0 && s <= 1e9) || (value && value != Py_None && s == 0)) {
        PyErr_SetString(PyExc_ValueError, "timeout is in seconds, above 0 and up to 1e9, or None");
        return -1;
    }
    ((py_run_options *)self)->timeout_s = s;
    return 0;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyGetSetDef getset[] = {
    {"terminate", get_terminate, set_terminate, "True ends every run with these options.", NULL},
    {"timeout", get_timeout, set_timeout, "Seconds a run may take, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_getset, getset},
    {Py_tp_doc, (void *)"Options of one run or of several."},
    {0, NULL},
};

PyType_Spec py_run_options_spec = {
    .name = "lamina._lamina.RunOptions",
    .basicsize = sizeof(py_run_options),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};
