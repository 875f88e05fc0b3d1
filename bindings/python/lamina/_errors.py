"""
Exceptions. Each carries the status of the C library and its sentence: what went wrong, why, and
what to do. The classes have the names that onnxruntime gives its own, so that except clauses fit.
"""
import enum
import errno


class Error(Exception):
    """Base of all. str(error) is the sentence."""

    status = None  #: a Status

    @property
    def sentence(self):
        return self.args[0] if self.args else ""


class Fail(Error):
    """Anything without a class of its own."""


class InvalidArgument(Error, ValueError):
    """A feed, a name or an option is wrong; nothing was run."""


class NoSuchFile(Error, FileNotFoundError):
    """The model, or a file it refers to, is not there."""

    def __str__(self):
        return self.sentence


class NoModel(Fail):
    """The file holds no model."""


class InvalidProtobuf(Error):
    """The bytes are not those of an ONNX model, or are damaged."""


class InvalidGraph(Error):
    """The model contradicts itself."""


class NotImplemented(Error, NotImplementedError):  # noqa: A001, the name is onnxruntime's
    """An operator, type or option that is not supported."""


class RuntimeException(Error, RuntimeError):
    """An operator refused its inputs while the model ran."""


class EngineError(Fail):
    """The operating system or a device failed."""


class EPFail(Fail):
    """A device failed."""


class ModelLoaded(Fail):
    """Kept for except clauses; never raised."""


class OutOfMemory(Fail, MemoryError):
    """Memory, or a configured limit, ran out."""


class Timeout(Fail, TimeoutError):
    """RunOptions.timeout passed before the run was done."""

    def __str__(self):
        return self.sentence


class Cancelled(Fail):
    """RunOptions.terminate or InferenceSession.cancel ended the run."""


_RUN = {
    "E_INVALID": InvalidArgument, "E_RANGE": InvalidArgument, "E_SHAPE": InvalidArgument,
    "E_DTYPE": InvalidArgument, "E_UNSUPPORTED": NotImplemented, "E_CORRUPT": InvalidProtobuf,
    "E_PARSE": InvalidProtobuf, "E_NOMEM": OutOfMemory, "E_LIMIT": OutOfMemory,
    "E_TIMEOUT": Timeout, "E_CANCELLED": Cancelled, "E_IO": EngineError, "E_OS": EngineError,
    "E_PERM": EngineError, "E_DEVICE": EPFail, "E_NODEV": EPFail,
}
_LOAD = {**_RUN, "E_SHAPE": InvalidGraph, "E_DTYPE": InvalidGraph, "E_INVALID": InvalidGraph,
         "E_RANGE": InvalidGraph, "E_LIMIT": Fail, "E_PERM": Fail}


def make(status, sentence, os_errno, loading):
    """The exception for a status; called by the extension."""
    try:
        named = Status(status)
    except ValueError:
        named = Status.E_INVALID
    cls = (_LOAD if loading else _RUN).get(named.name, Fail)
    if os_errno == errno.ENOENT:
        cls = NoSuchFile
    elif not loading and sentence.startswith('node "') and cls is InvalidArgument:
        cls = RuntimeException  # the feed was accepted; a node of the model refused
    e = cls(sentence)
    e.status = named
    return e


def unsupported(what):
    """Raise NotImplemented for something this package does not do."""
    raise make(Status.E_UNSUPPORTED, what, 0, False)


def __getattr__(name):
    # Status needs the extension, which needs this file: made when first asked for.
    if name == "Status":
        from . import _lamina  # noqa: PLC0415
        cls = enum.IntEnum("Status", _lamina.statuses)
        globals()["Status"] = cls
        return cls
    raise AttributeError(name)
