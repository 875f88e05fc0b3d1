"""Read the tensors of an old torch pickle (.pth before zip files) without torch.

The file is five pickles in a row (magic, protocol, system, state, storage keys), then for each key
an int64 count and raw little-endian data. Only a few names are ever resolved, so that a hostile
file cannot run code. Tensors may be strided views of their storage.
"""
import collections
import pickle
import struct

import numpy as np

DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8", "IntStorage": "<i4", "HalfStorage": "<f2"}


class View:
    def __init__(self, storage, offset, size, stride, *_):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride


class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return View
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a model file")

    def persistent_load(self, pid):
        _, kind, key, _, count = pid[:5]
        return (key, kind, count)


def load(path):
    """name -> numpy array, dense."""
    with open(path, "rb") as f:
        for _ in range(3):
            Reader(f).load()
        state, keys = Reader(f).load(), Reader(f).load()
        kinds = {v.storage[0]: v.storage[1] for v in state.values()}
        data = {}
        for key in keys:
            (count,) = struct.unpack("<q", f.read(8))
            dtype = np.dtype(DTYPES[kinds[key]])
            data[key] = np.frombuffer(f.read(count * dtype.itemsize), dtype)
    out = {}
    for name, v in state.items():
        flat = data[v.storage[0]][v.offset:]
        strides = [s * flat.itemsize for s in v.stride]
        out[name] = np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat, v.size, strides))
    return out
