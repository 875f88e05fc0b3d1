"""
liblamina.so of the build through ctypes: just what a bench needs to run a model in this process.
Prototypes follow include/lamina; every failing status becomes a RuntimeError with its sentence.
"""
import ctypes as C
import os

import numpy as np

import benchlib

DTYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 6, np.dtype(np.int64): 7,
          np.dtype(np.bool_): 9}
NUMPY = {number: dtype for dtype, number in DTYPES.items()}
MAX_RANK, MSG_BYTES = 8, 480


class Error(C.Structure):
    _fields_ = [("status", C.c_int32), ("os_errno", C.c_int32), ("line", C.c_int32),
                ("column", C.c_int32), ("msg", C.c_char * MSG_BYTES)]


class EngineOpts(C.Structure):
    _fields_ = [("size", C.c_size_t), ("allocator", C.c_void_p), ("log", C.c_void_p),
                ("n_threads", C.c_uint32), ("reserved", C.c_uint32)]


class SessionOpts(C.Structure):
    _fields_ = [("size", C.c_size_t), ("n_threads", C.c_uint32), ("max_plans", C.c_uint32),
                ("max_plan_bytes", C.c_uint64), ("max_const_bytes", C.c_uint64),
                ("seed", C.c_uint64), ("flags", C.c_bool * 4), ("precision", C.c_uint32)]


PRECISIONS = ("exact", "bf16", "auto", "strict", "int8")


class RunOpts(C.Structure):
    _fields_ = [("size", C.c_size_t), ("deadline_ns", C.c_uint64), ("error", C.POINTER(Error))]


def load_library():
    path = os.path.join(benchlib.BUILD, "lib", "liblamina.so")
    if not os.path.exists(path):
        raise RuntimeError(f"{path} is missing: run make build")
    lib = C.CDLL(path)
    for name in ("lamina_tensor_data", "lamina_tensor_dims"):
        getattr(lib, name).restype = C.c_void_p
    lib.lamina_model_output_count.restype = C.c_size_t
    lib.lamina_tensor_bytes.restype = C.c_size_t
    return lib


class Session:
    """A model loaded and prepared for `threads` threads; inputs are bound once."""

    def __init__(self, path, threads=1, precision="exact"):
        self.lib, self.error = load_library(), Error()
        self.engine, self.model, self.session = C.c_void_p(), C.c_void_p(), C.c_void_p()
        opts = EngineOpts(size=C.sizeof(EngineOpts), n_threads=threads)
        self.must(self.lib.lamina_engine_create(C.byref(opts), C.byref(self.engine)))
        self.must(self.lib.lamina_model_load(self.engine, os.fsencode(path), None,
                                             C.byref(self.model), C.byref(self.error)))
        how = SessionOpts(size=C.sizeof(SessionOpts), precision=PRECISIONS.index(precision))
        self.must(self.lib.lamina_session_create(self.model, C.byref(how), C.byref(self.session),
                                                 C.byref(self.error)))
        self.n_out = self.lib.lamina_model_output_count(self.model)
        self.out = (C.c_void_p * self.n_out)()
        self.opts = RunOpts(size=C.sizeof(RunOpts), error=C.pointer(self.error))
        self.tensors, self.arrays = (), []

    def must(self, status):
        if status != 0:
            raise RuntimeError(self.error.msg.decode() or f"status {status}")

    def bind(self, arrays):
        """Lend the inputs as tensors, by position; the arrays stay until the next bind."""
        self.drop(self.tensors)
        self.tensors = (C.c_void_p * len(arrays))()
        self.arrays = [np.asarray(a, order="C") for a in arrays]
        for i, a in enumerate(self.arrays):
            t, dims = C.c_void_p(), (C.c_int64 * a.ndim)(*a.shape)
            self.must(self.lib.lamina_tensor_from(self.engine, DTYPES[a.dtype], a.ndim, dims,
                                                  C.c_void_p(a.ctypes.data), C.byref(t)))
            self.tensors[i] = t.value

    def drop(self, tensors):
        for t in tensors:
            self.lib.lamina_tensor_unref(C.c_void_p(t))

    def run(self):
        """One run; the outputs are dropped."""
        self.must(self.lib.lamina_session_run(self.session, self.tensors,
                                              C.c_size_t(len(self.tensors)), self.out,
                                              C.c_size_t(self.n_out), C.byref(self.opts)))
        self.drop(self.out)

    def outputs(self):
        """One run; copies of the outputs."""
        self.must(self.lib.lamina_session_run(self.session, self.tensors,
                                              C.c_size_t(len(self.tensors)), self.out,
                                              C.c_size_t(self.n_out), C.byref(self.opts)))
        got = []
        for address in self.out:
            t = C.c_void_p(address)
            rank = self.lib.lamina_tensor_rank(t)
            dims = (C.c_int64 * rank).from_address(self.lib.lamina_tensor_dims(t)) if rank else ()
            data = C.string_at(self.lib.lamina_tensor_data(t), self.lib.lamina_tensor_bytes(t))
            dtype = NUMPY[self.lib.lamina_tensor_dtype(t)]
            got.append(np.frombuffer(data, dtype).reshape(tuple(dims)))
        self.drop(self.out)
        return got

    def close(self):
        self.drop(self.tensors)
        self.tensors = ()
        self.lib.lamina_session_destroy(self.session)
        self.lib.lamina_model_unref(self.model)
        self.lib.lamina_engine_destroy(self.engine)
