/*
 * What there is to look at in a session: ports, facts, counters, nodes and the trace. Nothing here
 * runs a model or changes the session.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_session.h"

#include <string.h>

static PyObject *port_shape(const lamina_port *p)
{
    if (p->rank < 0) Py_RETURN_NONE;
    PyObject *list = PyList_New(p->rank);
    for (int32_t i = 0; list && i < p->rank; i++) {
        PyObject *d = p->dims[i] >= 0                       ? PyLong_FromLongLong(p->dims[i])
                      : p->dim_names[i] && *p->dim_names[i] ? py_interned(p->dim_names[i])
                                                            : Py_NewRef(Py_None);
        if (!d || PyList_SetItem(list, i, d) < 0) Py_CLEAR(list);
    }
    return list;
}

/* ports(way): (name, kind, dtype, shape or None, optional, has_default, type of a map's keys) of
   each input (0) or output (1). */
PyObject *py_session_ports(PyObject *self, PyObject *arg)
{
    py_session *s = (py_session *)self;
    const int way = PyObject_IsTrue(arg) == 1 ? PY_OUT : PY_IN;
    const size_t n = s->io[way].n;
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        lamina_port p;
        PyObject *row = NULL, *shape = NULL;
        if (py_session_port(s, way, i, &p) == LAMINA_OK) shape = port_shape(&p);
        if (shape)
            row = Py_BuildValue("(OiiNNNi)", s->io[way].v[i].name, (int)p.kind, (int)p.dtype, shape,
                                PyBool_FromLong(p.optional), PyBool_FromLong(p.has_default),
                                (int)p.key);
        if (!row || PyList_SetItem(list, (Py_ssize_t)i, row) < 0) Py_CLEAR(list);
    }
    return list;
}

static int set_text(PyObject *d, const char *key, const char *text)
{
    PyObject *o = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
    const int rc = o ? PyDict_SetItemString(d, key, o) : -1;
    Py_XDECREF(o);
    return rc;
}

static PyObject *metadata(const lamina_model *m, uint64_t n)
{
    PyObject *d = PyDict_New();
    for (uint64_t i = 0; d && i < n; i++) {
        const char *key, *value;
        PyObject *k = NULL;
        if (lamina_model_meta(m, (size_t)i, &key, &value) == LAMINA_OK) k = py_interned(key);
        PyObject *v = k ? py_interned(value) : NULL;
        if (!v || PyDict_SetItem(d, k, v) < 0) Py_CLEAR(d);
        Py_XDECREF(k);
        Py_XDECREF(v);
    }
    return d;
}

PyObject *py_session_info(PyObject *self, PyObject *unused)
{
    (void)unused;
    py_session *s = (py_session *)self;
    lamina_model_info i = {.size = sizeof i};
    lamina_status status = lamina_model_get_info(s->model, &i);
    if (status != LAMINA_OK) {
        PyErr_SetString(PyExc_RuntimeError, "the session was not initialised");
        return NULL;
    }
    PyObject *meta = metadata(s->model, i.n_meta);
    PyObject *d =
        meta ? Py_BuildValue("{s:N,s:L,s:L,s:i,s:K,s:K}", "custom_metadata_map", meta, "version",
                             (long long)i.model_version, "ir_version", (long long)i.ir_version,
                             "opset", (int)i.opset, "n_nodes", (unsigned long long)i.n_nodes,
                             "weight_bytes", (unsigned long long)i.weight_bytes)
             : NULL;
    if (d && (set_text(d, "producer_name", i.producer_name) < 0 ||
              set_text(d, "producer_version", i.producer_version) < 0 ||
              set_text(d, "domain", i.domain) < 0 || set_text(d, "description", i.doc) < 0 ||
              set_text(d, "graph_name", i.graph_name) < 0 ||
              set_text(d, "graph_description", i.graph_doc) < 0))
        Py_CLEAR(d);
    return d;
}

PyObject *py_session_stats(PyObject *self, PyObject *unused)
{
    (void)unused;
    lamina_session_stats t = {.size = sizeof t};
    if (lamina_session_get_stats(((py_session *)self)->session, &t) != LAMINA_OK) {
        PyErr_SetString(PyExc_RuntimeError, "the session was not initialised");
        return NULL;
    }
    typedef unsigned long long u64;
    return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:s,s:s}", "n_runs",
                         (u64)t.n_runs, "n_plans_made", (u64)t.n_plans_made, "n_plan_hits",
                         (u64)t.n_plan_hits, "idle_bytes", (u64)t.idle_bytes, "n_nodes",
                         (u64)t.n_nodes, "n_nodes_fast", (u64)t.n_nodes_fast, "run_ns",
                         (u64)t.run_ns, "n_packed", (u64)t.n_packed, "packed_bytes",
                         (u64)t.packed_bytes, "packed_mapped_bytes", (u64)t.packed_mapped_bytes,
                         "packed_file", t.packed_file, "packed_note", t.packed_note);
}

/* save_trace(path): what a profiled session noted, for Perfetto and chrome://tracing. */
PyObject *py_session_save_trace(PyObject *self, PyObject *arg)
{
    py_session *s = (py_session *)self;
    PyObject *path;
    if (!s->session) {
        PyErr_SetString(PyExc_RuntimeError, "the session was not initialised");
        return NULL;
    }
    if (!PyUnicode_FSConverter(arg, &path)) return NULL;
    const char *file = PyBytes_AsString(path);
    lamina_error err = {0};
    lamina_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = lamina_session_trace_save(s->session, file, &err);
    Py_END_ALLOW_THREADS;
    Py_DECREF(path);
    if (status != LAMINA_OK) return py_fail_record(s->st, status, &err, false);
    Py_RETURN_NONE;
}

/* nodes(): one dict a node of the optimised graph: where it runs, and with profile its time. */
PyObject *py_session_nodes(PyObject *self, PyObject *unused)
{
    (void)unused;
    py_session *s = (py_session *)self;
    PyObject *list = PyList_New(0);
    lamina_node_info n = {.size = sizeof n};
    for (size_t i = 0; list && lamina_session_node(s->session, i, &n) == LAMINA_OK; i++) {
        PyObject *d =
            Py_BuildValue("{s:K,s:K,s:d,s:d}", "calls", (unsigned long long)n.n_calls, "ns",
                          (unsigned long long)n.total_ns, "flops", n.flops, "bytes", n.bytes);
        if (!d || set_text(d, "name", n.name) < 0 || set_text(d, "op", n.op) < 0 ||
            set_text(d, "device", n.device) < 0 || set_text(d, "kernel", n.kernel) < 0 ||
            set_text(d, "reason", n.reason) < 0 || PyList_Append(list, d) < 0)
            Py_CLEAR(list);
        Py_XDECREF(d);
    }
    return list;
}
