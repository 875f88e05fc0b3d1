"""As onnxruntime_pybind11_state, under the other name that scripts use."""
from .onnxruntime_pybind11_state import *  # noqa: F403
from .onnxruntime_pybind11_state import __getattr__  # noqa: F401
