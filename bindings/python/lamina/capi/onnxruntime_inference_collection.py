"""onnxruntime's place of the classes around a session."""
from .._session import InferenceSession, IOBinding  # noqa: F401
from .._values import OrtValue  # noqa: F401
