/*
 * Maps to dicts and dicts to maps: keys are int or str, values plain Python numbers or str, as
 * onnxruntime gives and takes them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_lamina.h"

/* Element i as int, float or str; NULL without an exception: of a type that numpy has to read. */
static PyObject *scalar(const lamina_tensor *t, int64_t i)
{
    const void *data = lamina_tensor_data(t);
    size_t bytes = 0;
    const char *s;
    switch (lamina_tensor_dtype(t)) {
    case LAMINA_I64: return PyLong_FromLongLong(((const int64_t *)data)[i]);
    case LAMINA_F32: return PyFloat_FromDouble((double)((const float *)data)[i]);
    case LAMINA_F64: return PyFloat_FromDouble(((const double *)data)[i]);
    case LAMINA_STRING:
        s = lamina_tensor_string(t, i, &bytes);
        return PyUnicode_DecodeUTF8(s ? s : "", (Py_ssize_t)bytes, "surrogateescape");
    default: return NULL;
    }
}

/* The elements as a list, by numpy. */
static PyObject *scalars(py_state *st, PyObject *module, lamina_tensor *t)
{
    PyObject *array = py_from_tensor(st, module, lamina_tensor_ref(t));
    PyObject *list = array ? PyObject_CallMethod(array, "tolist", NULL) : NULL;
    Py_XDECREF(array);
    return list;
}

PyObject *py_dict_of(py_state *st, PyObject *module, const lamina_tensor *map)
{
    const lamina_tensor *keys = lamina_map_keys(map);
    lamina_tensor *values = lamina_map_values(map);
    const int64_t n = lamina_tensor_count(map);
    PyObject *dict = PyDict_New(), *list = NULL;
    for (int64_t i = 0; dict && i < n; i++) {
        PyObject *key = scalar(keys, i), *value = list ? NULL : scalar(values, i);
        if (key && !value && !list && !PyErr_Occurred()) list = scalars(st, module, values);
        if (key && list) value = Py_XNewRef(PyList_GetItem(list, (Py_ssize_t)i));
        if (!key || !value || PyDict_SetItem(dict, key, value) < 0) Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    Py_XDECREF(list);
    return dict;
}

/* Key i of a new key tensor; false with an exception. */
static bool set_key(py_state *st, lamina_tensor *keys, Py_ssize_t i, PyObject *key)
{
    if (lamina_tensor_dtype(keys) == LAMINA_I64) {
        PyObject *index = PyNumber_Index(key);
        const long long v = index ? PyLong_AsLongLong(index) : -1;
        Py_XDECREF(index);
        if (v == -1 && PyErr_Occurred()) return false;
        ((int64_t *)lamina_tensor_mutable_data(keys))[i] = v;
        return true;
    }
    if (!PyUnicode_Check(key)) {
        PyErr_SetString(PyExc_TypeError, "the keys of this map are strings");
        return false;
    }
    PyObject *bytes = PyUnicode_AsEncodedString(key, "utf-8", "surrogateescape");
    if (!bytes) return false;
    const lamina_status status =
        lamina_tensor_set_string(keys, i, PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes));
    Py_DECREF(bytes);
    return status == LAMINA_OK || py_fail(st, status, NULL);
}

static lamina_tensor *keys_of(py_state *st, PyObject *list, lamina_dtype type)
{
    const int64_t n = PyList_Size(list);
    lamina_tensor *keys = NULL;
    if (!type) type = n && PyUnicode_Check(PyList_GetItem(list, 0)) ? LAMINA_STRING : LAMINA_I64;
    const lamina_status status = lamina_tensor_create(st->engine, type, 1, &n, &keys);
    if (status != LAMINA_OK) return py_fail(st, status, NULL);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (set_key(st, keys, i, PyList_GetItem(list, i))) continue;
        lamina_tensor_unref(keys);
        return NULL;
    }
    return keys;
}

/* The values as one array of the type that is wanted. */
static lamina_tensor *values_of(py_state *st, PyObject *list, const py_port *want)
{
    PyObject *type = Py_None;
    if (want && want->dtype != LAMINA_DTYPE_NONE) type = py_dtype_object(st, want->dtype);
    PyObject *array = type ? py_numpy_call(st, "asarray", Py_BuildValue("(OO)", list, type)) : NULL;
    lamina_tensor *t = array ? py_to_tensor(st, array, NULL) : NULL;
    Py_XDECREF(array);
    return t;
}

lamina_tensor *py_from_dict(py_state *st, PyObject *dict, const py_port *want)
{
    lamina_tensor *keys = NULL, *values = NULL, *map = NULL;
    lamina_engine *e = py_engine(st);
    PyObject *k = e ? PyDict_Keys(dict) : NULL, *v = k ? PyDict_Values(dict) : NULL;
    if (v) keys = keys_of(st, k, want ? want->key : LAMINA_DTYPE_NONE);
    if (keys) values = values_of(st, v, want);
    if (values) {
        const lamina_status status = lamina_map_create(e, keys, values, &map);
        if (status != LAMINA_OK)
            (void)py_fail(st, status,
                          status == LAMINA_E_SHAPE ? "the values of a map are numbers or strings"
                                                   : NULL);
    }
    lamina_tensor_unref(keys);
    lamina_tensor_unref(values);
    Py_XDECREF(k);
    Py_XDECREF(v);
    return map;
}
