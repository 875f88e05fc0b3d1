"""
Options, with the fields of onnxruntime's. What cannot change a result here is accepted and kept;
what would silently change one is refused.
"""
import enum
import os

from . import _errors, _lamina


class GraphOptimizationLevel(enum.IntEnum):
    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(enum.IntEnum):
    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


_SESSION_FIELDS = {
    "intra_op_num_threads": (int, 0),  # most threads of a run, caller included; 0 = the pool's
    "graph_optimization_level": (GraphOptimizationLevel, GraphOptimizationLevel.ORT_ENABLE_ALL),
    "enable_profiling": (bool, False),  # time per node, written by end_profiling
    "profile_file_prefix": (str, "lamina_profile_"),
    # Not of onnxruntime: lamina/session.h.
    "precision": (str, "exact"),  # of products of f32: exact, bf16, auto, strict, int8
    "prepack_cache": (str, "off"),  # packed weights kept for later sessions: auto, an absolute path
    # Accepted, without effect: one pool serves all, runs are deterministic, memory is planned.
    "inter_op_num_threads": (int, 0),
    "execution_mode": (ExecutionMode, ExecutionMode.ORT_SEQUENTIAL),
    "execution_order": (ExecutionOrder, ExecutionOrder.DEFAULT),
    "log_severity_level": (int, -1),
    "log_verbosity_level": (int, 0),
    "logid": (str, ""),
    "enable_cpu_mem_arena": (bool, True),
    "enable_mem_pattern": (bool, True),
    "enable_mem_reuse": (bool, True),
    "use_deterministic_compute": (bool, False),
    "use_per_session_threads": (bool, True),
    "optimized_model_filepath": (str, ""),  # refused when a session is made with it
}
PRECISIONS = ("exact", "bf16", "auto", "strict", "int8")
_RUN_FIELDS = {
    "log_severity_level": (int, -1), "log_verbosity_level": (int, 0), "logid": (str, ""),
    "only_execute_path_to_fetches": (bool, False),
}


def _checked(owner, fields, name, value):
    if name not in fields:
        raise AttributeError(f"{owner} has no field {name!r}")
    kind = fields[name][0]
    if kind is bool and not isinstance(value, (bool, int)):
        raise TypeError(f"{name} is True or False, not {value!r}")
    if kind is str and not isinstance(value, str):
        raise TypeError(f"{name} is a str, not {value!r}")
    if kind not in (bool, str) and not hasattr(value, "__index__"):
        raise TypeError(f"{name} is an integer, not {value!r}")
    return kind(value)


class _Config:
    """Entries of text under names, as both kinds of options have them."""

    _what = "options"

    def _get_entry(self, key):
        if key not in self._entries:
            raise RuntimeError(f"{self._what} have no entry {key!r}")
        return self._entries[key]

    def _add_entry(self, key, value):
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError("an entry is two strings")
        self._entries[key] = value


class SessionOptions(_Config):
    """How a session runs its model."""

    _what = "SessionOptions"

    def __init__(self):
        own = self.__dict__
        own.update({name: default for name, (_, default) in _SESSION_FIELDS.items()})
        own["_entries"] = {}
        own["_dims"] = {}

    def __setattr__(self, name, value):
        value = _checked("SessionOptions", _SESSION_FIELDS, name, value)
        if name == "intra_op_num_threads" and value < 0:
            raise ValueError("intra_op_num_threads is 0 (all) or more")
        if name == "precision" and value not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {value!r}")
        if name == "prepack_cache" and not (value in ("off", "auto") or os.path.isabs(value)):
            raise ValueError(f"prepack_cache is auto, off or an absolute path, not {value!r}")
        self.__dict__[name] = value

    add_session_config_entry = _Config._add_entry
    get_session_config_entry = _Config._get_entry

    def add_free_dimension_override_by_name(self, name, size):
        """Fix a symbolic dimension in what get_inputs shows. Plans are made for the shapes that
        come, so there is nothing else to gain."""
        self._dims[str(name)] = int(size)

    def add_free_dimension_override_by_denotation(self, denotation, size):
        _errors.unsupported("dimension denotations are not read: override the dimension by name")

    def add_initializer(self, name, ort_value):
        _errors.unsupported("weights cannot be replaced: make them inputs of the model")

    def add_external_initializers(self, names, values):
        _errors.unsupported("weights cannot be replaced: make them inputs of the model")

    def register_custom_ops_library(self, path):
        """Operators of a shared library (lamina/plugin.h), for all sessions made from now on: the
        process has one engine. Libraries built for onnxruntime are refused."""
        _lamina.load_plugin(path)

    def add_provider(self, name, options):
        if name != "CPUExecutionProvider":
            _errors.unsupported(f"there is no provider {name!r}: only CPUExecutionProvider")

    def has_providers(self):
        return False


class RunOptions(_lamina.RunOptions, _Config):
    """One run or several: `terminate` ends them, `timeout` (seconds) limits each."""

    _what = "RunOptions"
    _own = ("terminate", "timeout")

    def __init__(self):
        own = self.__dict__
        own.update({name: default for name, (_, default) in _RUN_FIELDS.items()})
        own["_entries"] = {}

    def __setattr__(self, name, value):
        if name in self._own:
            super().__setattr__(name, value)
        else:
            self.__dict__[name] = _checked("RunOptions", _RUN_FIELDS, name, value)

    add_run_config_entry = _Config._add_entry
    get_run_config_entry = _Config._get_entry


class NodeArg:
    """An input or output: name, type ("tensor(float)"), shape (numbers, names, None)."""

    __slots__ = ("name", "shape", "type")

    def __init__(self, name, type, shape):  # noqa: A002, the name is onnxruntime's
        self.name, self.type, self.shape = name, type, shape

    def __repr__(self):
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


class ModelMetadata:
    """What the file says about itself; the fields of onnxruntime's, and a few more."""

    def __init__(self, facts):
        self.__dict__.update(facts)

    def __repr__(self):
        return f"ModelMetadata({self.__dict__!r})"
