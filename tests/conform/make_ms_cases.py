"""Write conformance cases of com.microsoft, ai.onnx.ml and opset 28 operators: make_ms_cases.py

Usage: make_ms_cases.py [OUT] [--small DIR]

A case is a folder in the layout of the ONNX corpus: model.onnx with one node, inputs drawn from a
fixed seed, and outputs computed by onnxruntime, or by the NumPy function given with the case where
onnxruntime has no CPU kernel. --small DIR copies the smallest case of every operator: what ctest
runs; check_cases.py says which operator has none.

The operators and their variants stand in ms_cases.py, ml_cases.py and opset28_cases.py.
"""
import glob
import os
import shutil
import sys
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import MapProto, SequenceProto, TensorProto, TypeProto, helper, numpy_helper

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lamina")
F32, F16, F64, I8, U8, I32, I64 = (np.float32, np.float16, np.float64, np.int8, np.uint8, np.int32,
                                   np.int64)
SMALL_BYTES = 30000
FAMILIES = ("ms", "ml", "opset28")
OPSETS = {"ms": {"": 20, "com.microsoft": 1}, "opset28": {"": 28}}


def default_folder():
    """In the cache, by the version of onnxruntime and by what these files say."""
    here, mark = os.path.dirname(os.path.abspath(__file__)), 0
    for name in sorted(glob.glob(os.path.join(here, "*cases.py"))):
        with open(name, "rb") as f:
            mark = zlib.crc32(f.read(), mark)
    return os.path.join(CACHE, f"cases-ms-{onnxruntime.__version__}-{mark:08x}")


def type_of(array):
    """Element type of an array; TypeProto of a dict or a list of dicts."""
    if isinstance(array, list):
        return helper.make_sequence_type_proto(type_of(array[0]))
    if isinstance(array, dict):
        key, value = next(iter(array.items()))
        kind = {str: TensorProto.STRING, int: TensorProto.INT64, float: TensorProto.FLOAT}
        scalar = helper.make_tensor_type_proto(kind[type(value)], None)
        return helper.make_map_type_proto(kind[type(key)], scalar)
    if array.dtype == object:
        return TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(array.dtype)


def port(name, kind, shape):
    if isinstance(kind, TypeProto):
        return helper.make_value_info(name, kind)
    return helper.make_tensor_value_info(name, kind, shape)


def map_proto(entries):
    key, value = next(iter(entries.items()))
    dtype = {str: object, int: I64, float: F32}[type(value)]
    m = MapProto(key_type=TensorProto.STRING if isinstance(key, str) else TensorProto.INT64)
    if isinstance(key, str):
        m.string_keys.extend(k.encode() for k in entries)
    else:
        m.keys.extend(entries)
    m.values.elem_type = SequenceProto.TENSOR
    m.values.tensor_values.extend(numpy_helper.from_array(np.array(v, dtype))
                                  for v in entries.values())
    return m


def save_value(value, name, path):
    if isinstance(value, dict):
        proto = map_proto(value)
    elif isinstance(value, list):
        proto = SequenceProto(elem_type=SequenceProto.MAP, map_values=[map_proto(v) for v in value])
    else:
        proto = numpy_helper.from_array(value, name)
    with open(path, "wb") as f:
        f.write(proto.SerializeToString())


class Case:
    """One node. inputs: arrays, None = absent. const: indices that are initialisers."""

    def __init__(self, op, variant, inputs, attrs=None, outputs=1, const=(), domain="com.microsoft",
                 numpy=None, out_types=None, symbolic=False, ml=3, family="ms"):
        family = "ml" if domain == "ai.onnx.ml" else family
        self.op, self.name = op, f"test_{family}_{op.lower()}_{variant}"
        self.opsets = OPSETS.get(family, {"": 20, "ai.onnx.ml": ml})
        self.inputs, self.attrs, self.const = inputs, attrs or {}, set(const)
        self.outputs = outputs if isinstance(outputs, list) else [True] * outputs
        self.domain, self.numpy, self.out_types = domain, numpy, out_types
        self.symbolic = symbolic

    def feeds(self):
        return {f"x{i}": a for i, a in enumerate(self.inputs)
                if a is not None and i not in self.const}

    def model(self, types, shapes=None):
        names = ["" if a is None else f"x{i}" for i, a in enumerate(self.inputs)]
        outs = [f"y{i}" if want else "" for i, want in enumerate(self.outputs)]
        node = helper.make_node(self.op, names, outs, domain=self.domain, **self.attrs)
        shape = (lambda i, a: [f"d{i}_{k}" for k in range(a.ndim)]) if self.symbolic else (
            lambda i, a: list(getattr(a, "shape", [])))
        inputs = [port(n, type_of(a), shape(n, a)) for n, a in self.feeds().items()]
        outputs = [port(n, t, shapes[k] if shapes else None)
                   for k, (n, t) in enumerate(zip([o for o in outs if o], types))]
        inits = [numpy_helper.from_array(self.inputs[i], f"x{i}") for i in sorted(self.const)]
        graph = helper.make_graph([node], self.name, inputs, outputs, inits)
        opsets = [helper.make_opsetid(d, v) for d, v in self.opsets.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def guess_types(self):
        first = next(a for a in self.inputs if a is not None)
        types = self.out_types or []
        wanted = sum(self.outputs)
        return [t if isinstance(t, TypeProto) else TensorProto.DataType.Value(t)
                for t in types] or [type_of(first)] * wanted

    def expected(self):
        if self.numpy:
            return self.numpy(*self.inputs)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(self.model(self.guess_types()).SerializeToString(),
                                               options, providers=["CPUExecutionProvider"])
        return session.run(None, self.feeds())

    def write(self, root):
        got = self.expected()
        shapes = None if self.symbolic else [list(getattr(a, "shape", [])) for a in got]
        folder = os.path.join(root, self.name)
        data = os.path.join(folder, "test_data_set_0")
        os.makedirs(data)
        onnx.save(self.model([type_of(a) for a in got], shapes),
                  os.path.join(folder, "model.onnx"))
        for kind, values in (("input", self.feeds()), ("output", {f"y{i}": v for i, v in
                                                                  enumerate(got)})):
            for i, (name, value) in enumerate(values.items()):
                save_value(value, name, os.path.join(data, f"{kind}_{i}.pb"))
        return folder


class Draw:
    """Random arrays of one family of cases, the same at every run."""

    def __init__(self, name):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def f(self, *shape, dt=F32, scale=1.0):
        return (self.rng.standard_normal(shape) * scale).astype(dt)

    def u(self, *shape, dt=F32, lo=0.0, hi=1.0):
        return self.rng.uniform(lo, hi, shape).astype(dt)

    def i(self, *shape, dt=I32, lo=0, hi=10):
        return self.rng.integers(lo, hi, shape).astype(dt)

    def q(self, *shape, dt=U8):
        info = np.iinfo(dt)
        return self.rng.integers(info.min, info.max + 1, shape).astype(dt)


def arr(v, dt=F32):
    return np.array(v, dtype=dt)


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(d, f))
               for d, _, files in os.walk(folder) for f in files)


def copy_small(source, target):
    """The smallest cases of every operator: what ctest runs without onnxruntime."""
    by_op = {}
    for name in sorted(os.listdir(source)):
        size = folder_bytes(os.path.join(source, name))
        by_op.setdefault(tuple(name.split("_")[1:3]), []).append((size, name))
    for family in FAMILIES:
        for old in glob.glob(os.path.join(target, f"test_{family}_*")):
            shutil.rmtree(old)
    for (family, _), cases in by_op.items():
        step = {"ms": len(cases), "ml": 1 + len(cases) // 8, "opset28": 1}[family]
        for size, name in sorted(cases)[::step]:
            if size <= SMALL_BYTES:
                shutil.copytree(os.path.join(source, name), os.path.join(target, name))


def main():
    from ms_cases import all_cases
    args = sys.argv[1:]
    small = args[args.index("--small") + 1] if "--small" in args else None
    root = args[0] if args and not args[0].startswith("--") else default_folder()
    new = root + ".new"
    shutil.rmtree(new, ignore_errors=True)
    failed = 0
    for case in all_cases():
        try:
            case.write(new)
        except Exception as e:  # one operator that onnxruntime refuses must not hide the others
            failed += 1
            print(f"{case.name}: {str(e).splitlines()[0][:300]}")
    shutil.rmtree(root, ignore_errors=True)
    os.rename(new, root)
    print(f"{len(os.listdir(root))} cases in {root}, {failed} could not be made")
    if small:
        copy_small(root, small)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
