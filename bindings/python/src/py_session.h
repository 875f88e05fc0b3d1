/*
 * The session as its files share it: py_session.c makes and runs it, py_look.c says what is in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PY_SESSION_H
#define PY_SESSION_H

#include "py_lamina.h"

enum { PY_IN = 0, PY_OUT = 1 };

/* The inputs or the outputs. */
typedef struct py_ports {
    py_port *v;
    size_t n;
    PyObject *index; /* dict: name to position */
} py_ports;

typedef struct py_session {
    PyObject_HEAD PyObject *module;
    py_state *st;
    lamina_model *model;
    lamina_session *session;
    py_ports io[2];
    Py_buffer bytes; /* of a model in memory: read as long as the model lives */
    bool has_bytes;
} py_session;

/* ---- py_session.c ---- */

/* Port i of the model's inputs (way PY_IN) or outputs. */
lamina_status py_session_port(const py_session *s, int way, size_t i, lamina_port *p);
/* A new interned str, bytes that are not UTF-8 kept as surrogates. */
PyObject *py_interned(const char *name);

/* ---- py_look.c: methods of the type ---- */

PyObject *py_session_ports(PyObject *self, PyObject *way);
PyObject *py_session_info(PyObject *self, PyObject *unused);
PyObject *py_session_stats(PyObject *self, PyObject *unused);
PyObject *py_session_save_trace(PyObject *self, PyObject *path);
PyObject *py_session_nodes(PyObject *self, PyObject *unused);

#endif
