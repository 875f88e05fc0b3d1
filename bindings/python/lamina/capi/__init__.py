"""Where scripts look for onnxruntime's exceptions and its C names."""
from . import _pybind_state, onnxruntime_pybind11_state  # noqa: F401
