"""onnxruntime's names for what lies in lamina itself."""
from .._errors import (  # noqa: F401
    EngineError,
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    ModelLoaded,
    NoModel,
    NoSuchFile,
    NotImplemented,
    RuntimeException,
)
from .._options import (  # noqa: F401
    ExecutionMode,
    GraphOptimizationLevel,
    ModelMetadata,
    NodeArg,
    RunOptions,
    SessionOptions,
)


def __getattr__(name):
    # What onnxruntime has here as well as at the top: get_available_providers and its kin.
    import lamina  # noqa: PLC0415
    if name.startswith("_") or not hasattr(lamina, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(lamina, name)
