"""
What the checks by the official clients share: models of every type behind a real server, and values
for them.
"""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serving"))
from serving import o, replace  # noqa: E402

# of models id_<name>: name in KServe, in ONNX, in numpy
TYPES = {"f32": ("FP32", 1, np.float32), "f64": ("FP64", 11, np.float64),
         "f16": ("FP16", 10, np.float16), "i8": ("INT8", 3, np.int8), "u8": ("UINT8", 2, np.uint8),
         "i16": ("INT16", 5, np.int16), "u16": ("UINT16", 4, np.uint16),
         "i32": ("INT32", 6, np.int32), "u32": ("UINT32", 12, np.uint32),
         "i64": ("INT64", 7, np.int64), "u64": ("UINT64", 13, np.uint64),
         "bool": ("BOOL", 9, np.bool_), "str": ("BYTES", 8, np.object_)}


def save(folder, name, nodes, ins, outs):
    replace(pathlib.Path(folder) / name / "1" / "model.onnx", o.simple(nodes, ins, outs))


def save_types(folder):
    """Models id_<name>, which give back what they are given."""
    for name, (_, dtype, _) in TYPES.items():
        save(folder, "id_" + name, [o.node("Identity", ["x"], ["y"])],
             [o.info("x", dtype, ["N", "M"])], [o.info("y", dtype, ["N", "M"])])


def sample(kind, shape):
    x = np.arange(int(np.prod(shape))).reshape(shape)
    if kind == np.object_:
        return np.array([b"word %d" % i for i in x.flat], dtype=kind).reshape(shape)
    return (x % 2 == 0) if kind == np.bool_ else x.astype(kind)
