/*
 * The module lamina._lamina: its state, its types, errors. Multi-phase initialisation: all state
 * lives in the module, none in static variables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_lamina.h"

#include <string.h>

py_state *py_state_of(PyTypeObject *type, PyObject **module)
{
    /* A subclass written in Python belongs to no module of ours: go up to the type that does. */
    for (PyTypeObject *t = type; t; t = PyType_GetSlot(t, Py_tp_base)) {
        PyObject *m = PyType_GetModule(t);
        if (m) {
            *module = m;
            return PyModule_GetState(m);
        }
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_TypeError, "not a type of lamina");
    return NULL;
}

lamina_engine *py_engine(py_state *st)
{
    if (st->engine) return st->engine;
    const lamina_engine_opts opts = {.size = sizeof opts, .n_threads = st->n_threads};
    lamina_status status = lamina_engine_create(&opts, &st->engine);
    return status == LAMINA_OK ? st->engine : py_fail(st, status, NULL);
}

static void *fail(py_state *st, lamina_status status, const char *sentence, int os_errno,
                  bool loading)
{
    if (!sentence || !*sentence) sentence = lamina_status_text(status);
    PyObject *text = PyUnicode_DecodeUTF8(sentence, (Py_ssize_t)strlen(sentence), "replace");
    if (!text) return NULL;
    PyObject *e =
        PyObject_CallFunction(st->make_error, "iOii", (int)status, text, os_errno, (int)loading);
    if (e) PyErr_SetObject((PyObject *)Py_TYPE(e), e);
    Py_XDECREF(e);
    Py_DECREF(text);
    return NULL;
}

void *py_fail(py_state *st, lamina_status status, const char *sentence)
{
    return fail(st, status, sentence, 0, false);
}

void *py_fail_record(py_state *st, lamina_status status, const lamina_error *err, bool loading)
{
    return fail(st, status, err->msg, err->os_errno, loading);
}

PyObject *py_numpy_call(py_state *st, const char *name, PyObject *args)
{
    PyObject *fn = args ? PyObject_GetAttrString(st->numpy, name) : NULL;
    PyObject *r = fn ? PyObject_Call(fn, args, NULL) : NULL;
    Py_XDECREF(fn);
    Py_XDECREF(args);
    return r;
}

/* ---- functions of the module ------------------------------------------------------------------
 */

static PyObject *set_threads(PyObject *module, PyObject *arg)
{
    py_state *st = PyModule_GetState(module);
    const long n = PyLong_AsLong(arg);
    if (n == -1 && PyErr_Occurred()) return NULL;
    if (st->engine)
        return py_fail(st, LAMINA_E_STATE,
                       "the pool has its threads already: set their number "
                       "before the first session or value is made");
    st->n_threads = n > 0 && n < 65536 ? (uint32_t)n : 0;
    Py_RETURN_NONE;
}

static PyObject *engine_info(PyObject *module, PyObject *unused)
{
    (void)unused;
    py_state *st = PyModule_GetState(module);
    const lamina_engine *e = py_engine(st);
    PyObject *d = e ? PyDict_New() : NULL;
    lamina_info_row row = {.size = sizeof row};
    for (size_t i = 0; d && lamina_engine_info(e, i, &row) == LAMINA_OK; i++) {
        PyObject *v = PyUnicode_DecodeUTF8(row.value, (Py_ssize_t)strlen(row.value), "replace");
        if (!v || PyDict_SetItemString(d, row.key, v) < 0) Py_CLEAR(d);
        Py_XDECREF(v);
    }
    return d;
}

static PyObject *load_plugin(PyObject *module, PyObject *arg)
{
    py_state *st = PyModule_GetState(module);
    PyObject *path = NULL;
    if (!PyUnicode_FSConverter(arg, &path)) return NULL;
    lamina_engine *e = py_engine(st);
    lamina_error err = {0};
    /* With the GIL: an engine takes one plug-in at a time. */
    const lamina_status status =
        e ? lamina_plugin_load(e, PyBytes_AsString(path), &err) : LAMINA_OK;
    Py_DECREF(path);
    if (!e) return NULL;
    if (status != LAMINA_OK) return py_fail_record(st, status, &err, false);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_threads", set_threads, METH_O, "Width of the pool, before it is made; 0: its choice."},
    {"info", engine_info, METH_NOARGS, "What the library chose for this machine, as a dict."},
    {"load_plugin", load_plugin, METH_O, "Operators of a shared library, for all later sessions."},
    {NULL, NULL, 0, NULL},
};

/* ---- initialisation ---------------------------------------------------------------------------
 */

static int add_statuses(PyObject *module)
{
    PyObject *d = PyDict_New();
    int rc = d ? 0 : -1;
#define X(name, value, text)                                                         \
    if (rc == 0) {                                                                   \
        PyObject *v = PyLong_FromLong(value);                                        \
        rc = v ? PyDict_SetItemString(d, lamina_status_name(LAMINA_##name), v) : -1; \
        Py_XDECREF(v);                                                               \
    }
    LAMINA_STATUS_LIST(X)
#undef X
    if (rc == 0) rc = PyModule_AddObjectRef(module, "statuses", d);
    Py_XDECREF(d);
    return rc;
}

static int add_dtypes(PyObject *module)
{
    PyObject *list = PyList_New(0);
    int rc = list ? 0 : -1;
    for (lamina_dtype i = 0; rc == 0 && i < LAMINA_DTYPE_COUNT; i++) {
        PyObject *s = PyUnicode_FromString(lamina_dtype_name(i));
        rc = s ? PyList_Append(list, s) : -1;
        Py_XDECREF(s);
    }
    if (rc == 0) rc = PyModule_AddObjectRef(module, "dtype_names", list);
    Py_XDECREF(list);
    return rc;
}

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *t = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (t && PyModule_AddType(module, t) < 0) Py_CLEAR(t);
    return t;
}

static int fill_state(py_state *st)
{
    st->numpy = PyImport_ImportModule("numpy");
    PyObject *errors = st->numpy ? PyImport_ImportModule("lamina._errors") : NULL;
    if (!errors) return -1;
    st->make_error = PyObject_GetAttrString(errors, "make");
    Py_DECREF(errors);
    st->ndarray = (PyTypeObject *)PyObject_GetAttrString(st->numpy, "ndarray");
    st->s_dtype = PyUnicode_InternFromString("dtype");
    st->s_dlpack = PyUnicode_InternFromString("__dlpack__");
    st->s_dlpack_device = PyUnicode_InternFromString("__dlpack_device__");
    if (!st->make_error || !st->ndarray || !st->s_dtype || !st->s_dlpack || !st->s_dlpack_device)
        return -1;
    /* Types of numpy itself now, so that the search by identity finds them. */
    for (lamina_dtype i = LAMINA_F32; i <= LAMINA_C128; i++)
        if (!py_dtype_object(st, i)) return -1;
    return 0;
}

static int module_exec(PyObject *module)
{
    py_state *st = PyModule_GetState(module);
    if (fill_state(st) < 0 || add_statuses(module) < 0 || add_dtypes(module) < 0) return -1;
    st->value_type = add_type(module, &py_value_spec);
    st->run_options_type = st->value_type ? add_type(module, &py_run_options_spec) : NULL;
    PyTypeObject *session = st->run_options_type ? add_type(module, &py_session_spec) : NULL;
    if (!session) return -1;
    Py_DECREF(session); /* the module holds it */
    return PyModule_AddStringConstant(module, "version", lamina_version());
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    py_state *st = PyModule_GetState(module);
    if (!st) return 0;
    Py_VISIT(st->value_type);
    Py_VISIT(st->run_options_type);
    Py_VISIT(st->numpy);
    Py_VISIT(st->ndarray);
    Py_VISIT(st->make_error);
    for (int i = 0; i < LAMINA_DTYPE_COUNT; i++) Py_VISIT(st->dtype[i]);
    return 0;
}

static int module_clear(PyObject *module)
{
    py_state *st = PyModule_GetState(module);
    if (!st) return 0;
    Py_CLEAR(st->value_type);
    Py_CLEAR(st->run_options_type);
    Py_CLEAR(st->numpy);
    Py_CLEAR(st->ndarray);
    Py_CLEAR(st->make_error);
    Py_CLEAR(st->s_dtype);
    Py_CLEAR(st->s_dlpack);
    Py_CLEAR(st->s_dlpack_device);
    for (int i = 0; i < LAMINA_DTYPE_COUNT; i++) Py_CLEAR(st->dtype[i]);
    return 0;
}

static void module_free(void *module)
{
    (void)module_clear(module);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)module_exec}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "lamina._lamina",
    .m_doc = "The C half of lamina: sessions, values, run options.",
    .m_size = sizeof(py_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__lamina(void)
{
    return PyModuleDef_Init(&definition);
}
