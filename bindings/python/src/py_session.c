/*
 * Session: one loaded model, prepared to run. `run` is called without any wrapper in Python: names
 * are interned and found by identity, the arrays of a call live on the stack, outputs are numpy
 * arrays over the engine's memory.
 *
 * Any number of threads may run one session at the same time: a session does not change after
 * __init__, and all that a run needs is its own. The GIL is not held while loading and running.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "py_session.h"

#include <string.h>
#include <time.h>

enum { SMALL = 24 };

/* ---- making -----------------------------------------------------------------------------------
 */

lamina_status py_session_port(const py_session *s, int way, size_t i, lamina_port *p)
{
    memset(p, 0, sizeof *p);
    p->size = sizeof *p;
    return way == PY_IN ? lamina_model_input(s->model, i, p) : lamina_model_output(s->model, i, p);
}

PyObject *py_interned(const char *name)
{
    PyObject *o = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "surrogateescape");
    if (o) PyUnicode_InternInPlace(&o);
    return o;
}

static int read_ports(py_session *s, int way)
{
    py_ports *io = &s->io[way];
    const size_t n =
        way == PY_IN ? lamina_model_input_count(s->model) : lamina_model_output_count(s->model);
    io->index = PyDict_New();
    io->v = PyMem_Calloc(n + 1, sizeof *io->v);
    if (!io->index || !io->v) return -1;
    for (size_t i = 0; i < n; i++) {
        lamina_port p;
        lamina_status status = py_session_port(s, way, i, &p);
        if (status != LAMINA_OK) {
            (void)py_fail(s->st, status, NULL);
            return -1;
        }
        io->v[i] =
            (py_port){.name = py_interned(p.name), .kind = p.kind, .dtype = p.dtype, .key = p.key};
        io->n = i + 1;
        PyObject *at = io->v[i].name ? PyLong_FromSize_t(i) : NULL;
        const int rc = at ? PyDict_SetItem(io->index, io->v[i].name, at) : -1;
        Py_XDECREF(at);
        if (rc < 0) return -1;
    }
    return 0;
}

/* Load from a path (PyBytes) or from s->bytes, and prepare; false with an exception. */
static bool load(py_session *s, PyObject *path, const lamina_session_opts *opts)
{
    lamina_engine *e = py_engine(s->st);
    if (!e) return false;
    const char *file = path ? PyBytes_AsString(path) : NULL;
    lamina_error err = {0};
    lamina_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = file ? lamina_model_load(e, file, NULL, &s->model, &err)
                  : lamina_model_load_memory(e, s->bytes.buf, (size_t)s->bytes.len, NULL, &s->model,
                                             &err);
    if (status == LAMINA_OK) status = lamina_session_create(s->model, opts, &s->session, &err);
    Py_END_ALLOW_THREADS;
    if (status == LAMINA_OK) return true;
    (void)py_fail_record(s->st, status, &err, true);
    return false;
}

static int session_init(PyObject *self, PyObject *args, PyObject *kw)
{
    static char *names[] = {
        "model", "n_threads", "profile",       "no_optimize", "reference", "strict_placement",
        "seed",  "precision", "prepack_cache", NULL};
    py_session *s = (py_session *)self;
    PyObject *model, *path = NULL;
    unsigned n_threads = 0, precision = 0;
    const char *cache = NULL;
    int profile = 0, no_optimize = 0, reference = 0, strict = 0;
    unsigned long long seed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "O|IppppKIz:Session", names, &model, &n_threads,
                                     &profile, &no_optimize, &reference, &strict, &seed, &precision,
                                     &cache))
        return -1;
    if (s->st) {
        PyErr_SetString(PyExc_RuntimeError, "a session is made once");
        return -1;
    }
    s->st = py_state_of(Py_TYPE(self), &s->module);
    if (!s->st) return -1;
    Py_INCREF(s->module);
    if (PyUnicode_Check(model)) {
        if (!PyUnicode_FSConverter(model, &path)) return -1;
    } else {
        if (PyObject_GetBuffer(model, &s->bytes, PyBUF_SIMPLE) < 0) {
            PyErr_SetString(PyExc_TypeError, "a model is a path (str, os.PathLike) or bytes");
            return -1;
        }
        s->has_bytes = true;
    }
    const lamina_session_opts opts = {.size = sizeof opts,
                                      .n_threads = n_threads,
                                      .seed = seed,
                                      .profile = profile != 0,
                                      .no_optimize = no_optimize != 0,
                                      .reference = reference != 0,
                                      .strict_placement = strict != 0,
                                      .precision = precision,
                                      .prepack_cache = cache};
    const bool ok = load(s, path, &opts);
    Py_XDECREF(path);
    return ok && read_ports(s, PY_IN) == 0 && read_ports(s, PY_OUT) == 0 ? 0 : -1;
}

static void session_dealloc(PyObject *self)
{
    py_session *s = (py_session *)self;
    PyTypeObject *type = Py_TYPE(self);
    lamina_session_destroy(s->session);
    lamina_model_unref(s->model);
    if (s->has_bytes) PyBuffer_Release(&s->bytes);
    for (int way = PY_IN; way <= PY_OUT; way++) {
        for (size_t i = 0; i < s->io[way].n; i++) Py_XDECREF(s->io[way].v[i].name);
        PyMem_Free(s->io[way].v);
        Py_XDECREF(s->io[way].index);
    }
    Py_XDECREF(s->module);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* ---- one call ---------------------------------------------------------------------------------
 */

/* What one call needs; small models need no heap. */
typedef struct call {
    py_session *s;
    lamina_tensor **in, **out; /* of all inputs, of the first n_out outputs */
    size_t *want;              /* positions of the outputs asked for; NULL = all */
    size_t n_out, n_want;
    PyTypeObject *cls; /* of the results; NULL = numpy arrays */
    lamina_tensor *small_in[SMALL], *small_out[SMALL];
    size_t small_want[SMALL];
} call;

static PyObject *known_names(const py_ports *io)
{
    PyObject *sep = PyUnicode_FromString(", "), *names = PyList_New(0), *text = NULL;
    for (size_t i = 0; names && i < io->n && i < 20; i++)
        if (PyList_Append(names, io->v[i].name) < 0) Py_CLEAR(names);
    if (sep && names) text = PyUnicode_Join(sep, names);
    Py_XDECREF(sep);
    Py_XDECREF(names);
    return text;
}

/* Position of a name; -1 with an exception. `hint` is where callers that keep the order have it. */
static Py_ssize_t find_port(const py_session *s, int way, PyObject *name, size_t hint)
{
    const py_ports *io = &s->io[way];
    if (hint < io->n && io->v[hint].name == name) return (Py_ssize_t)hint;
    PyObject *at = PyDict_GetItemWithError(io->index, name); /* borrowed */
    if (at) return PyLong_AsSsize_t(at);
    if (PyErr_Occurred()) return -1;
    PyObject *known = known_names(io), *text = NULL, *utf8 = NULL;
    if (known)
        text = PyUnicode_FromFormat("the model has no %s \"%S\"; it has: %U",
                                    way == PY_IN ? "input" : "output", name, known);
    if (text) utf8 = PyUnicode_AsEncodedString(text, "utf-8", "replace");
    if (utf8) (void)py_fail(s->st, LAMINA_E_INVALID, PyBytes_AsString(utf8));
    Py_XDECREF(known);
    Py_XDECREF(text);
    Py_XDECREF(utf8);
    return -1;
}

static int take_names(call *c, PyObject *names)
{
    c->n_out = c->n_want = c->s->io[PY_OUT].n;
    if (names == Py_None) return 0;
    const Py_ssize_t n = PySequence_Size(names);
    if (n <= 0) return (int)n; /* no names: all outputs */
    c->want = (size_t)n <= SMALL ? c->small_want : PyMem_Calloc((size_t)n, sizeof *c->want);
    if (!c->want) return PyErr_NoMemory(), -1;
    c->n_want = (size_t)n;
    c->n_out = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *name = PySequence_GetItem(names, i);
        const Py_ssize_t at = name ? find_port(c->s, PY_OUT, name, (size_t)i) : -1;
        Py_XDECREF(name);
        if (at < 0) return -1;
        c->want[i] = (size_t)at;
        if ((size_t)at >= c->n_out) c->n_out = (size_t)at + 1;
    }
    return 0;
}

static int take_feed(call *c, PyObject *feed)
{
    py_session *s = c->s;
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    int rc = 0;
    for (size_t k = 0; rc == 0 && PyDict_Next(feed, &pos, &key, &value); k++) {
        /* Converting may run Python code, which may change the dict. */
        Py_INCREF(key);
        Py_INCREF(value);
        const Py_ssize_t at = find_port(s, PY_IN, key, k);
        if (at >= 0) {
            lamina_tensor_unref(c->in[at]);
            c->in[at] = py_to_tensor(s->st, value, &s->io[PY_IN].v[at]);
        }
        if (at < 0 || !c->in[at]) rc = -1;
        Py_DECREF(key);
        Py_DECREF(value);
    }
    return rc;
}

static uint64_t deadline(double timeout_s)
{
    struct timespec now;
    if (timeout_s <= 0) return 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (uint64_t)(timeout_s * 1e9);
}

static int execute(call *c, const py_run_options *ro)
{
    py_session *s = c->s;
    lamina_error err;
    err.msg[0] = 0;
    err.os_errno = 0;
    lamina_run_opts opts = {.size = sizeof opts, .error = &err};
    if (ro) {
        opts.deadline_ns = deadline(ro->timeout_s);
        opts.stop = (const uint32_t *)(const void *)&ro->stop;
    }
    lamina_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = lamina_session_run(s->session, (const lamina_tensor *const *)c->in, s->io[PY_IN].n,
                                c->out, c->n_out, &opts);
    Py_END_ALLOW_THREADS;
    if (status == LAMINA_OK) return 0;
    (void)py_fail_record(s->st, status, &err, false);
    return -1;
}

/* The object of output `at`; takes the tensor out of the call. */
static PyObject *result(call *c, size_t at)
{
    lamina_tensor *t = c->out[at];
    py_state *st = c->s->st;
    c->out[at] = NULL;
    if (!c->cls) return py_from_tensor(st, c->s->module, t);
    t = py_owned(st, t);
    return t ? py_value_new(st, c->s->module, c->cls, t) : NULL;
}

static PyObject *results(call *c)
{
    PyObject *list = PyList_New((Py_ssize_t)c->n_want);
    for (size_t i = 0; list && i < c->n_want; i++) {
        const size_t at = c->want ? c->want[i] : i;
        PyObject *o = NULL;
        if (c->out[at]) {
            o = result(c, at);
        } else { /* asked for twice: the same object */
            size_t first = 0;
            while (c->want[first] != at) first++;
            o = Py_XNewRef(PyList_GetItem(list, (Py_ssize_t)first));
        }
        if (!o || PyList_SetItem(list, (Py_ssize_t)i, o) < 0) Py_CLEAR(list);
    }
    return list;
}

static int call_begin(call *c, py_session *s)
{
    const size_t n_in = s->io[PY_IN].n, n_out = s->io[PY_OUT].n;
    c->s = s;
    c->want = NULL;
    c->cls = NULL;
    c->in = n_in <= SMALL ? c->small_in : PyMem_Malloc(n_in * sizeof *c->in);
    c->out = n_out <= SMALL ? c->small_out : PyMem_Malloc(n_out * sizeof *c->out);
    if (!c->in || !c->out) return PyErr_NoMemory(), -1;
    memset(c->in, 0, n_in * sizeof *c->in);
    memset(c->out, 0, n_out * sizeof *c->out);
    return 0;
}

static void call_end(call *c)
{
    for (size_t i = 0; c->in && i < c->s->io[PY_IN].n; i++) lamina_tensor_unref(c->in[i]);
    for (size_t i = 0; c->out && i < c->s->io[PY_OUT].n; i++) lamina_tensor_unref(c->out[i]);
    if (c->in != c->small_in) PyMem_Free(c->in);
    if (c->out != c->small_out) PyMem_Free(c->out);
    if (c->want && c->want != c->small_want) PyMem_Free(c->want);
}

/* ---- run and its kin --------------------------------------------------------------------------
 */

enum { ARG_NAMES, ARG_FEED, ARG_OPTIONS, ARG_CLASS, N_ARGS };

static int sort_args(PyObject *const *args, Py_ssize_t n, PyObject *kwnames, PyObject *out[N_ARGS])
{
    static const char *const NAMES[N_ARGS] = {"output_names", "input_feed", "run_options", "cls"};
    if (n > N_ARGS) {
        PyErr_SetString(PyExc_TypeError, "run takes output_names, input_feed, run_options");
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) out[i] = args[i];
    const Py_ssize_t n_kw = kwnames ? PyTuple_Size(kwnames) : 0;
    for (Py_ssize_t k = 0; k < n_kw; k++) {
        PyObject *name = PyTuple_GetItem(kwnames, k);
        int i = 0;
        while (i < N_ARGS && PyUnicode_CompareWithASCIIString(name, NAMES[i]) != 0) i++;
        if (i == N_ARGS || out[i]) {
            PyErr_Format(PyExc_TypeError, "run got an unexpected or repeated argument \"%U\"",
                         name);
            return -1;
        }
        out[i] = args[n + k];
    }
    if (out[ARG_NAMES] && out[ARG_FEED]) return 0;
    PyErr_SetString(PyExc_TypeError, "run needs output_names (or None) and input_feed (a dict)");
    return -1;
}

static PyObject *run_with(py_session *s, PyObject *names, PyObject *feed, PyObject *options,
                          PyTypeObject *cls)
{
    const py_run_options *ro = NULL;
    if (!s->session) {
        PyErr_SetString(PyExc_RuntimeError, "the session was not initialised");
        return NULL;
    }
    if (options && options != Py_None) {
        if (!PyObject_TypeCheck(options, s->st->run_options_type)) {
            PyErr_SetString(PyExc_TypeError, "run_options is a RunOptions or None");
            return NULL;
        }
        ro = (const py_run_options *)options;
    }
    PyObject *dict = NULL;
    if (!PyDict_Check(feed)) {
        dict = PyObject_CallFunctionObjArgs((PyObject *)&PyDict_Type, feed, NULL);
        if (!dict) return NULL;
        feed = dict;
    }
    call c;
    PyObject *list = NULL;
    const int ready = call_begin(&c, s);
    c.cls = cls;
    if (ready == 0 && take_names(&c, names) == 0 && take_feed(&c, feed) == 0 &&
        execute(&c, ro) == 0)
        list = results(&c);
    call_end(&c);
    Py_XDECREF(dict);
    return list;
}

static PyObject *session_run(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    PyObject *a[N_ARGS] = {NULL};
    if (sort_args(args, n, kwnames, a) < 0) return NULL;
    if (a[ARG_CLASS]) {
        PyErr_SetString(PyExc_TypeError, "run takes output_names, input_feed, run_options");
        return NULL;
    }
    return run_with((py_session *)self, a[ARG_NAMES], a[ARG_FEED], a[ARG_OPTIONS], NULL);
}

/* As run; the results are of class `cls`, Value or a subclass. */
static PyObject *session_run_values(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                    PyObject *kwnames)
{
    PyObject *a[N_ARGS] = {NULL};
    py_session *s = (py_session *)self;
    if (sort_args(args, n, kwnames, a) < 0) return NULL;
    PyTypeObject *cls = s->st ? s->st->value_type : NULL;
    if (a[ARG_CLASS] && cls) {
        if (!PyType_Check(a[ARG_CLASS]) || !PyType_IsSubtype((PyTypeObject *)a[ARG_CLASS], cls)) {
            PyErr_SetString(PyExc_TypeError, "cls is Value or a subclass of it");
            return NULL;
        }
        cls = (PyTypeObject *)a[ARG_CLASS];
    }
    return run_with(s, a[ARG_NAMES], a[ARG_FEED], a[ARG_OPTIONS], cls);
}

static PyObject *session_cancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    lamina_cancel(((py_session *)self)->session);
    Py_RETURN_NONE;
}

static PyObject *session_trim(PyObject *self, PyObject *args)
{
    unsigned long long keep = 0;
    uint64_t freed;
    if (!PyArg_ParseTuple(args, "|K:trim", &keep)) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    freed = lamina_session_trim(((py_session *)self)->session, keep);
    Py_END_ALLOW_THREADS;
    return PyLong_FromUnsignedLongLong(freed);
}

/* ---- the type ---------------------------------------------------------------------------------
 */

#define FAST(f) (PyCFunction)(void (*)(void)) f

static PyMethodDef methods[] = {
    {"run", FAST(session_run), METH_FASTCALL | METH_KEYWORDS,
     "run(output_names, input_feed, run_options=None)\n\n"
     "Run the model once. output_names is a list of names or None for all; input_feed maps input\n"
     "names to numpy arrays, lists, DLPack tensors or OrtValues. Gives a list of numpy arrays,\n"
     "lists of them (sequences) or None (empty optionals)."},
    {"run_values", FAST(session_run_values), METH_FASTCALL | METH_KEYWORDS,
     "As run, with values instead of arrays."},
    {"cancel", session_cancel, METH_NOARGS, "End every run of this session that is in flight."},
    {"trim", session_trim, METH_VARARGS, "trim(keep_bytes=0): give idle memory back; bytes freed."},
    {"ports", py_session_ports, METH_O, "Inputs (0) or outputs (1), as tuples."},
    {"info", py_session_info, METH_NOARGS, "Facts about the model, as a dict."},
    {"stats", py_session_stats, METH_NOARGS, "Counters of the session, as a dict."},
    {"save_trace", py_session_save_trace, METH_O,
     "Write the trace of a profiled session to a file."},
    {"nodes", py_session_nodes, METH_NOARGS, "The optimised graph as placed, one dict a node."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_init, (void *)session_init},
    {Py_tp_dealloc, (void *)session_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, (void *)"A model prepared to run."},
    {0, NULL},
};

PyType_Spec py_session_spec = {
    .name = "lamina._lamina.Session",
    .basicsize = sizeof(py_session),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};
