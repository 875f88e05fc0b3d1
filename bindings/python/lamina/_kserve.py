"""
KServe v2: arrays into the body of a request, the body of an answer into arrays. Tensors go as bytes
behind the JSON, or as JSON throughout.
"""
import json
from collections.abc import Mapping

import numpy as np

from ._errors import NotImplemented  # noqa: A004, the name is onnxruntime's
from ._wire import ProtocolError, failure, invalid

TYPES = {"BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
         "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
         "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
NAMES = {np.dtype(v).newbyteorder("="): k for k, v in TYPES.items()}


class Result(Mapping):
    """
    Outputs of an inference by their names, in the order in which the server says them: arrays,
    strings as arrays of `str`. `id`, `model`, `version` and `parameters` are what the answer says;
    `timing` is milliseconds by stage, where it was asked for.
    """

    def __init__(self, answer, arrays, timing):
        self._arrays, self.timing = arrays, timing
        self.id, self.model = answer.get("id", ""), answer.get("model_name", "")
        self.version = answer.get("model_version", "")
        self.parameters = answer.get("parameters", {})

    def __getitem__(self, name):
        return self._arrays[name]

    def __iter__(self):
        return iter(self._arrays)

    def __len__(self):
        return len(self._arrays)

    def __repr__(self):
        said = ", ".join(f"{k}: {v.dtype}{list(v.shape)}" for k, v in self._arrays.items())
        return f"<Result of {self.model!r}, version {self.version}: {said}>"


def _bfloat16():
    try:
        import ml_dtypes  # noqa: PLC0415
    except ImportError:
        raise failure(NotImplemented, "E_UNSUPPORTED",
                      "arrays of bfloat16 want the package ml_dtypes") from None
    return np.dtype(ml_dtypes.bfloat16)


def _is_text(x):
    return x.dtype.kind in "OSUT"


def array_of(value, datatype):
    """What is no array yet, as one of the type that the model wants."""
    if datatype == "BYTES":
        return np.array(value, dtype=object)
    try:
        return np.asarray(value, _bfloat16() if datatype == "BF16" else TYPES[datatype])
    except (KeyError, ValueError, TypeError, OverflowError) as e:
        raise invalid(f"the value for an input of {datatype}: {e}") from None


def _datatype(name, x):
    if _is_text(x):
        return "BYTES"
    if x.dtype.name == "bfloat16":
        return "BF16"
    try:
        return NAMES[x.dtype.newbyteorder("=")]
    except KeyError:
        raise invalid(f'input "{name}": the protocol has no type for {x.dtype}') from None


def _texts(name, x):
    """Elements as bytes."""
    out = []
    for v in x.flat:
        if isinstance(v, str):
            v = v.encode("utf-8", "surrogateescape")
        elif not isinstance(v, bytes):
            raise invalid(f'input "{name}" holds {type(v).__name__}, where str or bytes are wanted')
        out.append(v)
    return out


def _bytes_of(name, x):
    if _is_text(x):
        return b"".join(len(v).to_bytes(4, "little") + v for v in _texts(name, x))
    if x.dtype.byteorder == ">":
        x = x.astype(x.dtype.newbyteorder("<"))
    if not x.flags.c_contiguous:
        x = np.ascontiguousarray(x)
    return x.reshape(-1).view(np.uint8).data


def _values_of(name, x):
    if not _is_text(x):
        return x.reshape(-1).tolist()
    try:
        return [v.decode() for v in _texts(name, x)]
    except UnicodeDecodeError:
        raise invalid(f'input "{name}" holds bytes that are no UTF-8: JSON cannot say them, '
                      "binary=True can") from None


def request(inputs, outputs, parameters, id, binary, lent=None):  # noqa: A002, the protocol's name
    """JSON, and the buffers of tensors behind it; inputs are arrays by name. `lent` says where an
    array lies in memory that the server sees, or None."""
    tensors, tail = [], []
    for name, x in inputs.items():
        t = {"name": name, "shape": list(x.shape), "datatype": _datatype(name, x)}
        where = lent(x) if lent else None
        if where:
            t["parameters"] = where
        elif binary:
            tail.append(_bytes_of(name, x))
            t["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            t["data"] = _values_of(name, x)
        tensors.append(t)
    body = {"id": id} if id else {}
    parameters = dict(parameters or {})
    if binary:
        parameters["binary_data_output"] = True
    if parameters:
        body["parameters"] = parameters
    body["inputs"] = tensors
    if outputs is not None:
        options = dict(outputs) if isinstance(outputs, Mapping) else {}
        for name, said in options.items():
            if isinstance(said, np.ndarray):
                options[name] = lent(said) if lent else None
                if not options[name]:
                    raise invalid(f'output "{name}": that array is not in memory of this client')
        body["outputs"] = [{"name": n, "parameters": options[n]} if options.get(n) else {"name": n}
                           for n in ([outputs] if isinstance(outputs, str) else outputs)]
    try:
        text = json.dumps(body, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise invalid("JSON has no infinity and no NaN: binary=True can say them") from None
    except TypeError as e:
        raise invalid(f"the request: {e}") from None
    return text.encode(), tail


def _bad(what):
    return failure(ProtocolError, "E_PROTO", f"the server's answer {what}")


def _split_texts(raw, count):
    out, at = np.empty(count, dtype=object), 0
    for i in range(count):
        n = int.from_bytes(raw[at:at + 4], "little")
        if at + 4 + n > len(raw):
            raise _bad("has strings that end past its end")
        out[i] = bytes(raw[at + 4:at + 4 + n]).decode("utf-8", "surrogateescape")
        at += 4 + n
    return out


def _from_bytes(raw, datatype, count):
    if datatype == "BYTES":
        return _split_texts(raw, count)
    dtype = _bfloat16() if datatype == "BF16" else np.dtype(TYPES[datatype])
    if count * dtype.itemsize != len(raw):
        raise _bad(f"has {len(raw)} bytes for {count} elements of {datatype}")
    x = np.frombuffer(raw, dtype)
    return x if x.flags.aligned and x.flags.writeable else x.copy()


def _from_values(data, datatype, count):
    if datatype == "BYTES":
        flat = np.empty(count, dtype=object)
        flat[:] = np.array(data, dtype=object).reshape(-1)
        return flat
    dtype = _bfloat16() if datatype == "BF16" else np.dtype(TYPES[datatype])
    x = np.array(data, dtype=np.float64 if dtype.kind not in "iub" else dtype)  # null is NaN
    with np.errstate(over="ignore"):
        return x.reshape(-1).astype(dtype)


def _output(o, tail, at, memory):
    """Name, array, and where the next binary output begins."""
    said = o.get("parameters", {})
    size = said.get("binary_data_size")
    shape = [int(d) for d in o["shape"]]
    count = int(np.prod(shape, dtype=object))
    if min(shape, default=0) < 0:
        raise _bad(f"has the shape {shape}")
    if memory is not None and "shared_memory_region" in said:
        begin, size = said.get("shared_memory_offset", 0), said["shared_memory_byte_size"]
        if not 0 <= begin <= begin + size <= len(memory):
            raise _bad("has tensors outside of the memory")
        x = _from_bytes(memory[begin:begin + size], o["datatype"], count)
    elif size is None:
        x = _from_values(o["data"], o["datatype"], count)
    else:
        if not 0 <= size <= len(tail) - at:
            raise _bad("has tensors that end past its end")
        x = _from_bytes(tail[at:at + size], o["datatype"], count)
        at += size
    return o["name"], x.reshape(shape), at


def result(answer, memory=None):
    """The arrays of an answer of 200; some may lie in memory that the server wrote."""
    tail, at, arrays = memoryview(answer.tail), 0, {}
    try:
        said = json.loads(answer.body)
        for o in said["outputs"]:
            name, arrays[name], at = _output(o, tail, at, memory)
    except (KeyError, TypeError, ValueError, AttributeError, UnboundLocalError) as e:
        raise _bad(f"is not understood: {type(e).__name__} {e}") from None
    return Result(said, arrays, timing(answer.fields.get("server-timing", "")))


def timing(field):
    """Milliseconds by name of "input;dur=0.021, queue;dur=..."."""
    out = {}
    for part in field.split(","):
        name, _, value = part.strip().partition(";dur=")
        try:
            out[name] = float(value)
        except ValueError:
            continue
    return out


def json_of(answer):
    """The body as JSON."""
    try:
        return json.loads(answer.body)
    except ValueError:
        raise _bad("is no JSON") from None
