/*
 * Element types: numpy's dtype objects to numbers of lamina/base.h and back, and the bytes of types
 * that ml_dtypes keeps one a byte and a model packs. Names agree on both sides, so there is no
 * table; numpy's own dtype objects are singletons, so the common case is a search by identity.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_lamina.h"

#include <string.h>

static lamina_dtype by_identity(const py_state *st, const PyObject *dtype)
{
    for (lamina_dtype i = LAMINA_F32; i < LAMINA_DTYPE_COUNT; i++)
        if (st->dtype[i] == dtype) return i;
    return LAMINA_DTYPE_NONE;
}

/* Text of an attribute into buf; false with an exception. */
static bool attr_text(PyObject *o, const char *name, char *buf, size_t cap)
{
    PyObject *s = PyObject_GetAttrString(o, name);
    Py_ssize_t n = 0;
    const char *p = s ? PyUnicode_AsUTF8AndSize(s, &n) : NULL;
    if (p) {
        if ((size_t)n >= cap) n = (Py_ssize_t)cap - 1;
        memcpy(buf, p, (size_t)n);
        buf[n] = 0;
    }
    Py_XDECREF(s);
    return p != NULL;
}

static lamina_dtype by_name(py_state *st, PyObject *dtype)
{
    char kind[8], name[64];
    if (!attr_text(dtype, "kind", kind, sizeof kind)) return -1;
    if (strchr("OUST", kind[0])) return LAMINA_STRING;
    if (!attr_text(dtype, "name", name, sizeof name)) return -1;
    lamina_dtype found = LAMINA_DTYPE_NONE;
    for (lamina_dtype i = LAMINA_F32; i < LAMINA_DTYPE_COUNT && !found; i++)
        if (strcmp(lamina_dtype_name(i), name) == 0) found = i;
    if (!found) {
        char text[160];
        (void)PyOS_snprintf(text, sizeof text, "no model has elements of numpy type \"%s\"", name);
        (void)py_fail(st, LAMINA_E_DTYPE, text);
        return -1;
    }
    PyObject *native = PyObject_GetAttrString(dtype, "isnative");
    const int is_native = native ? PyObject_IsTrue(native) : -1;
    Py_XDECREF(native);
    if (is_native < 0) return -1;
    return is_native ? found : LAMINA_DTYPE_NONE;
}

lamina_dtype py_dtype_of(py_state *st, PyObject *array)
{
    PyObject *dtype = PyObject_GetAttr(array, st->s_dtype);
    if (!dtype) return -1;
    lamina_dtype d = by_identity(st, dtype);
    if (!d) d = by_name(st, dtype);
    Py_DECREF(dtype);
    return d;
}

PyObject *py_dtype_object(py_state *st, lamina_dtype dtype)
{
    if (dtype <= LAMINA_DTYPE_NONE || dtype >= LAMINA_DTYPE_COUNT)
        return py_fail(st, LAMINA_E_DTYPE,
                       "a value has an element type this package does not know");
    if (st->dtype[dtype]) return st->dtype[dtype];
    const bool ml = dtype >= LAMINA_BF16;
    const char *name = dtype == LAMINA_STRING ? "object" : lamina_dtype_name(dtype);
    PyObject *home = ml ? PyImport_ImportModule("ml_dtypes") : Py_NewRef(st->numpy);
    if (!home) { /* keep the cause: numpy has no such type, and the package that does is missing */
        PyErr_Clear();
        char text[160];
        (void)PyOS_snprintf(text, sizeof text,
                            "arrays of %s need the package ml_dtypes: pip install ml_dtypes", name);
        return py_fail(st, LAMINA_E_UNSUPPORTED, text);
    }
    PyObject *type = dtype == LAMINA_STRING ? Py_NewRef((PyObject *)&PyBaseObject_Type)
                     : dtype == LAMINA_BOOL ? Py_NewRef((PyObject *)&PyBool_Type)
                                            : PyObject_GetAttrString(home, name);
    Py_DECREF(home);
    if (type) st->dtype[dtype] = py_numpy_call(st, "dtype", Py_BuildValue("(N)", type));
    return st->dtype[dtype];
}

void py_pack(lamina_dtype dtype, const uint8_t *src, uint8_t *dst, size_t n)
{
    const size_t bits = lamina_dtype_bits(dtype), per_byte = 8 / bits;
    const uint8_t mask = (uint8_t)((1u << bits) - 1);
    memset(dst, 0, (n + per_byte - 1) / per_byte);
    for (size_t i = 0; i < n; i++)
        dst[i / per_byte] |= (uint8_t)((src[i] & mask) << (i % per_byte * bits));
}

void py_unpack(lamina_dtype dtype, const uint8_t *src, uint8_t *dst, size_t n)
{
    const size_t bits = lamina_dtype_bits(dtype), per_byte = 8 / bits;
    const uint8_t mask = (uint8_t)((1u << bits) - 1);
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint8_t)(src[i / per_byte] >> (i % per_byte * bits)) & mask;
}
