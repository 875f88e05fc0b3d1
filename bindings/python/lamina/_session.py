"""
InferenceSession and IOBinding. run() itself is the extension's: no Python stands in front of it.
"""
import os
import time
import warnings

import numpy as np

from . import _errors, _lamina, _values
from ._options import (PRECISIONS, GraphOptimizationLevel, ModelMetadata, NodeArg,
                       SessionOptions)
from ._values import OrtValue

PROVIDERS = ["CPUExecutionProvider"]
_seed = 0  # of random operators without one of their own; set_seed


def set_seed(seed):
    """Seed of the sessions made from now on."""
    global _seed  # noqa: PLW0603, the function is onnxruntime's
    _seed = int(seed)


def _check_providers(providers):
    """Names we do not have are told and passed over, as onnxruntime does."""
    if providers is None:
        return
    if isinstance(providers, str):
        raise ValueError("'providers' should be a sequence.")
    for p in providers:
        name = p[0] if isinstance(p, tuple) and len(p) == 2 else p
        if not isinstance(name, str):
            raise ValueError(
                "'providers' values must be either strings or (string, dict) tuples.")
        if name not in PROVIDERS:
            warnings.warn(f"Specified provider {name!r} is not in available provider names. "
                          f"Available providers: {', '.join(PROVIDERS)!r}", stacklevel=3)


class InferenceSession(_lamina.Session):
    """A model prepared to run. Any number of threads may call run() at the same time."""

    def __init__(self, path_or_bytes, sess_options=None, providers=None, provider_options=None,
                 **kwargs):
        options = sess_options if sess_options is not None else SessionOptions()
        if not isinstance(options, SessionOptions):
            raise TypeError("sess_options is a SessionOptions or None")
        if options.optimized_model_filepath:
            _errors.unsupported("the optimised graph cannot be saved: the ONNX file itself loads "
                                "as fast; leave optimized_model_filepath empty")
        unknown = set(kwargs) - {"disabled_optimizers", "enable_fallback", "read_config_from_model"}
        if unknown:
            raise TypeError(f"InferenceSession got an unexpected argument {sorted(unknown)[0]!r}")
        _check_providers(providers)
        model = path_or_bytes
        if not isinstance(model, (str, bytes, bytearray, memoryview)):
            try:
                model = os.fspath(model)
            except TypeError:
                raise TypeError(f"Unable to load from type '{type(model)}'") from None
        super().__init__(
            model, n_threads=options.intra_op_num_threads, profile=options.enable_profiling,
            no_optimize=options.graph_optimization_level == GraphOptimizationLevel.ORT_DISABLE_ALL,
            seed=_seed, precision=PRECISIONS.index(options.precision),
            prepack_cache=options.prepack_cache)
        self._options = options
        self._start_ns = time.time_ns()
        inputs = self.ports(0)
        self._inputs = [self._node_arg(p) for p in inputs if not p[5]]
        self._overridable = [self._node_arg(p) for p in inputs if p[5]]
        self._outputs = [self._node_arg(p) for p in self.ports(1)]
        self._meta = ModelMetadata(self.info())

    def _node_arg(self, port):
        name, kind, code, shape, optional, has_default, key = port
        if kind != _values.TENSOR or shape is None:
            shape = []
        dims = self._options._dims
        shape = [dims.get(d, d) if isinstance(d, str) else d for d in shape]
        optional = optional and not has_default
        return NodeArg(name, _values.type_string(kind, code, optional, key), shape)

    def get_inputs(self):
        return list(self._inputs)

    def get_outputs(self):
        return list(self._outputs)

    def get_overridable_initializers(self):
        return list(self._overridable)

    def get_modelmeta(self):
        return self._meta

    def get_session_options(self):
        return self._options

    def get_providers(self):
        return list(PROVIDERS)

    def get_provider_options(self):
        return {name: {} for name in PROVIDERS}

    def set_providers(self, providers=None, provider_options=None):
        _check_providers(providers)

    def disable_fallback(self):
        """There is one device: nothing to fall back from."""

    def enable_fallback(self):
        """There is one device: nothing to fall back to."""

    def run_with_ort_values(self, output_names, input_dict_ort_values, run_options=None):
        """As run, with OrtValues in and out."""
        return self.run_values(output_names, input_dict_ort_values, run_options, OrtValue)

    def run_async(self, output_names, input_feed, callback, user_data, run_options=None):
        """Run on a thread of its own, then call callback(results, user_data, error text)."""
        import threading  # noqa: PLC0415

        def work():
            results, text = [], ""
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as e:  # noqa: BLE001, the text goes to the callback
                text = str(e)
            callback(results, user_data, text)

        threading.Thread(target=work, daemon=True).start()

    def io_binding(self):
        return IOBinding(self)

    def run_with_iobinding(self, iobinding, run_options=None):
        iobinding._run(run_options)

    def get_profiling_start_time_ns(self):
        return self._start_ns

    def end_profiling(self):
        """Write what was noted of runs and nodes as a trace that Perfetto and Chrome read; returns
        the file's name, "" without enable_profiling."""
        if not self._options.enable_profiling:
            return ""
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        name = f"{self._options.profile_file_prefix}{stamp}_{os.getpid()}.json"
        self.save_trace(name)
        return name


class IOBinding:
    """Inputs and outputs bound by name, then session.run_with_iobinding(binding)."""

    def __init__(self, session):
        self._session = session
        self._in, self._out, self._results = {}, {}, []

    def bind_cpu_input(self, name, arr_on_cpu):
        self._in[name] = OrtValue.of(arr_on_cpu)

    def bind_ortvalue_input(self, name, ortvalue):
        self._in[name] = ortvalue

    def bind_input(self, name, device_type, device_id, element_type, shape, buffer_ptr):
        _values.on_cpu(device_type)
        self._in[name] = OrtValue.of(_memory(element_type, shape, buffer_ptr))

    def bind_output(self, name, device_type="cpu", device_id=0, element_type=None, shape=None,
                    buffer_ptr=None):
        _values.on_cpu(device_type)
        if buffer_ptr is not None and (element_type is None or shape is None):
            raise ValueError("`element_type` and `shape` are to be provided if pre-allocated "
                             "memory is provided")
        self._out[name] = None if buffer_ptr is None else _memory(element_type, shape, buffer_ptr)

    def bind_ortvalue_output(self, name, ortvalue):
        self._out[name] = ortvalue

    def _run(self, run_options):
        if not self._out:
            raise _errors.InvalidArgument("no output is bound: call bind_output first")
        got = self._session.run_values(list(self._out), self._in, run_options, OrtValue)
        self._results = []
        for bound, value in zip(self._out.values(), got, strict=True):
            if isinstance(bound, OrtValue):
                bound.update_inplace(value.numpy())
                value = bound
            elif bound is not None:
                np.copyto(bound, value.numpy())
            self._results.append(value)

    def synchronize_inputs(self):
        """Host memory is always in step."""

    def synchronize_outputs(self):
        """Host memory is always in step."""

    def get_outputs(self):
        return list(self._results)

    def copy_outputs_to_cpu(self):
        return [v.numpy() for v in self._results]

    def clear_binding_inputs(self):
        self._in.clear()

    def clear_binding_outputs(self):
        self._out.clear()


def _memory(element_type, shape, address):
    """An array over memory that somebody else owns."""
    import ctypes  # noqa: PLC0415
    name = _lamina.dtype_names[_values.type_code(element_type)]
    try:
        dtype = np.dtype(name)
    except TypeError:
        import ml_dtypes  # noqa: PLC0415
        dtype = np.dtype(getattr(ml_dtypes, name))
    n = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return np.ndarray(tuple(shape), dtype, (ctypes.c_char * n).from_address(address))
