/*
 * Tensors to Python objects: numpy arrays over the tensor's own memory (the array's base is a
 * Value, which holds the tensor), lists for sequences, dicts for maps, None for empty optionals.
 *
 * An array may be written by its reader, so its memory must be held by nobody else: what is shared
 * (weights that are outputs, inputs passed through) is copied first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_lamina.h"

#include <string.h>

PyObject *py_shape(const lamina_tensor *t)
{
    const int32_t rank = lamina_tensor_rank(t);
    const int64_t *dims = lamina_tensor_dims(t);
    PyObject *tuple = PyTuple_New(rank);
    for (int32_t i = 0; tuple && i < rank; i++) {
        PyObject *n = PyLong_FromLongLong(dims[i]);
        if (!n || PyTuple_SetItem(tuple, i, n) < 0) Py_CLEAR(tuple);
    }
    return tuple;
}

/* A dense copy with memory of its own; the ref of `t` stays the caller's. */
static lamina_tensor *copy_tensor(py_state *st, const lamina_tensor *t)
{
    lamina_tensor *copy = NULL;
    const lamina_dtype dtype = lamina_tensor_dtype(t);
    lamina_status status = lamina_tensor_create(st->engine, dtype, lamina_tensor_rank(t),
                                                lamina_tensor_dims(t), &copy);
    if (status == LAMINA_OK && dtype == LAMINA_STRING) {
        const int64_t n = lamina_tensor_count(t);
        for (int64_t i = 0; status == LAMINA_OK && i < n; i++) {
            size_t bytes = 0;
            const char *s = lamina_tensor_string(t, i, &bytes);
            status = lamina_tensor_set_string(copy, i, s ? s : "", s ? bytes : 0);
        }
    } else if (status == LAMINA_OK && lamina_tensor_bytes(t)) {
        memcpy(lamina_tensor_mutable_data(copy), lamina_tensor_data(t), lamina_tensor_bytes(t));
    }
    if (status == LAMINA_OK) return copy;
    lamina_tensor_unref(copy);
    return py_fail(st, status, NULL);
}

static lamina_tensor *owned_sequence(py_state *st, const lamina_tensor *seq)
{
    const int64_t n = lamina_tensor_count(seq);
    lamina_tensor **items = PyMem_Calloc((size_t)n + 1, sizeof *items), *out = NULL;
    if (!items) return (lamina_tensor *)PyErr_NoMemory();
    int64_t k = 0;
    for (; k < n; k++) {
        lamina_tensor *item = lamina_sequence_item(seq, k);
        /* Nobody writes into a map: its values are read as numbers. */
        items[k] = lamina_map_keys(item) ? lamina_tensor_ref(item) : copy_tensor(st, item);
        if (!items[k]) break;
    }
    if (k == n) {
        lamina_status status =
            lamina_sequence_create(st->engine, lamina_tensor_dtype(seq), n, items, &out);
        if (status != LAMINA_OK) (void)py_fail(st, status, NULL);
    }
    while (k > 0) lamina_tensor_unref(items[--k]);
    PyMem_Free(items);
    return out;
}

lamina_tensor *py_owned(py_state *st, lamina_tensor *t)
{
    const lamina_kind kind = lamina_tensor_kind(t);
    lamina_tensor *own = t;
    if (kind == LAMINA_KIND_SEQUENCE) {
        own = owned_sequence(st, t);
    } else if (kind == LAMINA_KIND_TENSOR && lamina_tensor_bytes(t) &&
               !lamina_tensor_mutable_data(t)) {
        own = copy_tensor(st, t);
    }
    if (own != t) lamina_tensor_unref(t);
    return own;
}

/* ---- arrays -----------------------------------------------------------------------------------
 */

/* numpy.ndarray(shape, dtype, base): `base` is lent by the buffer protocol and kept by the array.
   Steals base. */
static PyObject *array_over(py_state *st, const lamina_tensor *t, PyObject *dtype, PyObject *base)
{
    PyObject *shape = base ? py_shape(t) : NULL;
    PyObject *args = shape ? PyTuple_New(base == Py_None ? 2 : 3) : NULL;
    if (!args) {
        Py_XDECREF(shape);
        Py_XDECREF(base);
        return NULL;
    }
    (void)PyTuple_SetItem(args, 0, shape);
    (void)PyTuple_SetItem(args, 1, Py_NewRef(dtype));
    if (base == Py_None)
        Py_DECREF(base);
    else
        (void)PyTuple_SetItem(args, 2, base);
    PyObject *array = PyObject_Call((PyObject *)st->ndarray, args, NULL);
    Py_DECREF(args);
    return array;
}

static PyObject *string_list(const lamina_tensor *t)
{
    const int64_t n = lamina_tensor_count(t);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (int64_t i = 0; list && i < n; i++) {
        size_t bytes = 0;
        const char *s = lamina_tensor_string(t, i, &bytes);
        PyObject *u =
            PyUnicode_DecodeUTF8(s ? s : "", s ? (Py_ssize_t)bytes : 0, "surrogateescape");
        if (!u || PyList_SetItem(list, (Py_ssize_t)i, u) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *string_array(py_state *st, const lamina_tensor *t)
{
    PyObject *dtype = py_dtype_object(st, LAMINA_STRING);
    PyObject *array = dtype ? array_over(st, t, dtype, Py_NewRef(Py_None)) : NULL;
    PyObject *flat = array ? PyObject_GetAttrString(array, "flat") : NULL;
    PyObject *list = flat ? string_list(t) : NULL;
    PyObject *all = list ? PySlice_New(NULL, NULL, NULL) : NULL;
    /* Assigning an empty list to no elements is an error in numpy. */
    if (!all || (PyList_Size(list) > 0 && PyObject_SetItem(flat, all, list) < 0)) Py_CLEAR(array);
    Py_XDECREF(all);
    Py_XDECREF(list);
    Py_XDECREF(flat);
    return array;
}

/* One element a byte, as ml_dtypes keeps them. */
static lamina_tensor *unpacked(py_state *st, const lamina_tensor *t)
{
    lamina_tensor *wide = NULL;
    lamina_status status = lamina_tensor_create(st->engine, LAMINA_U8, lamina_tensor_rank(t),
                                                lamina_tensor_dims(t), &wide);
    if (status != LAMINA_OK) return py_fail(st, status, NULL);
    if (lamina_tensor_count(t) > 0)
        py_unpack(lamina_tensor_dtype(t), lamina_tensor_data(t), lamina_tensor_mutable_data(wide),
                  (size_t)lamina_tensor_count(t));
    return wide;
}

static PyObject *number_array(py_state *st, PyObject *module, lamina_tensor *t)
{
    const lamina_dtype dtype = lamina_tensor_dtype(t);
    PyObject *type = py_dtype_object(st, dtype);
    lamina_tensor *data = NULL;
    if (type && lamina_dtype_bits(dtype) < 8) {
        data = unpacked(st, t);
        lamina_tensor_unref(t);
    } else if (type) {
        data = py_owned(st, t);
    } else {
        lamina_tensor_unref(t);
    }
    if (!data) return NULL;
    lamina_tensor *dims = lamina_tensor_bytes(data) ? NULL : data;
    if (dims) {
        PyObject *array = array_over(st, dims, type, Py_NewRef(Py_None));
        lamina_tensor_unref(dims);
        return array;
    }
    return array_over(st, data, type, py_value_new(st, module, st->value_type, data));
}

static PyObject *list_of(py_state *st, PyObject *module, const lamina_tensor *seq)
{
    const int64_t n = lamina_tensor_count(seq);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (int64_t i = 0; list && i < n; i++) {
        /* The sequence holds the item too, so this copies. */
        lamina_tensor *item = lamina_tensor_ref(lamina_sequence_item(seq, i));
        PyObject *o = py_from_tensor(st, module, item);
        if (!o || PyList_SetItem(list, (Py_ssize_t)i, o) < 0) Py_CLEAR(list);
    }
    return list;
}

PyObject *py_from_tensor(py_state *st, PyObject *module, lamina_tensor *t)
{
    const lamina_kind kind = lamina_tensor_kind(t);
    if (kind == LAMINA_KIND_TENSOR && lamina_tensor_dtype(t) != LAMINA_STRING)
        return number_array(st, module, t);
    PyObject *o;
    if (kind == LAMINA_KIND_TENSOR)
        o = string_array(st, t);
    else if (kind == LAMINA_KIND_SEQUENCE)
        o = list_of(st, module, t);
    else if (kind == LAMINA_KIND_MAP)
        o = py_dict_of(st, module, t);
    else
        o = Py_NewRef(Py_None);
    lamina_tensor_unref(t);
    return o;
}
