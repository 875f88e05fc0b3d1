"""
Lamina runs ONNX models. A script written for onnxruntime works with

    import lamina as onnxruntime

    session = onnxruntime.InferenceSession("model.onnx")
    outputs = session.run(None, {"x": array})

See docs/rooms/python.md for what is the same, what differs, and what lies beneath.
"""
from . import _errors, _lamina, capi  # noqa: F401
from ._errors import Error, Status  # noqa: F401
from ._lamina import version as __version__
from ._options import (  # noqa: F401
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    ModelMetadata,
    NodeArg,
    RunOptions,
    SessionOptions,
)
from ._session import PROVIDERS as _PROVIDERS
from ._session import InferenceSession, IOBinding, set_seed  # noqa: F401
from ._values import OrtValue  # noqa: F401

# The exceptions, also where onnxruntime has them: lamina.capi.onnxruntime_pybind11_state.
for _name, _cls in vars(_errors).copy().items():
    if isinstance(_cls, type) and issubclass(_cls, Error):
        globals()[_name] = _cls
del _name, _cls


def get_available_providers():
    return list(_PROVIDERS)


def get_all_providers():
    return list(_PROVIDERS)


def get_device():
    return "CPU"


def get_version_string():
    return __version__


def get_build_info():
    """Compiler, CPU features, limits and kernels, one a line."""
    return "\n".join(f"{k}: {v}" for k, v in info().items())


def info():
    """What the library is and what it chose for this machine, as a dict."""
    return _lamina.info()


def set_global_thread_pool_sizes(intra_op_num_threads, inter_op_num_threads=0):
    """Width of the one pool; only before the first session is made."""
    _lamina.set_threads(intra_op_num_threads)


def set_default_logger_severity(severity):
    """Accepted: the library is silent, errors are exceptions."""


def set_default_logger_verbosity(verbosity):
    """Accepted: the library is silent, errors are exceptions."""


def enable_telemetry_events():
    """Accepted: nothing is ever sent."""


def disable_telemetry_events():
    """Accepted: nothing is ever sent."""
