#!/usr/bin/env python3
"""
Quantised graphs have no cliffs (bar B5): one convolutional and one matrix graph of middle size,
quantised in every way of the matrix: zero points {0, 128, 37} x a scale a tensor, a channel or a
block x Relu, Clip, Add, Concat x int8 and int4 weights. Beside onnxruntime, one thread, turn by
turn, on CPU time. Of cells of one shape the slowest may take 1.3 times the fastest, and none may
run a product in floats. `make bench-qdq`.
"""
import itertools
import sys
import time

import benchlib

benchlib.need_modules("qdq", "numpy", "onnx", "onnxruntime")
sys.path.insert(0, benchlib.BUILD + "/python")

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

try:
    import lamina
except ImportError as e:
    benchlib.not_run("qdq", f"the package was not built: {e}")

GOAL, ROUNDS = 1.3, 21
ZERO_POINTS = (0, 128, 37)
SHAPES = {"conv": (1, 64, 28, 28), "matmul": (128, 768)}
FAMILIES = {"bounded": ("relu", "clip"), "add": ("add",), "concat": ("concat",)}
BLOCK = 128  # what onnxruntime's quantiser takes where nothing is said
X_SCALE, Y_SCALE = 0.02, 0.025
FLOAT_PRODUCTS = {"Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm"}


class Graph:
    """A QDQ graph; every activation has one zero point, weights have `grain` scales."""

    def __init__(self, kind, zp, grain, weights):
        self.kind, self.zp, self.grain, self.weights = kind, np.uint8(zp), grain, weights
        self.nodes, self.inits = [], []
        self.rng = np.random.default_rng(7)

    def op(self, kind, *inputs, **attrs):
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], name="n_" + out, **attrs))
        return out

    def const(self, array, dtype=None):
        name = f"c{len(self.inits)}"
        array = np.asarray(array)
        if dtype:
            t = helper.make_tensor(name, dtype, array.shape, array.flatten().tolist())
        else:
            t = helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape,
                                   array.tobytes(), raw=True)
        self.inits.append(t)
        return name

    def q(self, x, scale=Y_SCALE):
        return self.op("QuantizeLinear", x, self.const(np.float32(scale)), self.const(self.zp))

    def qdq(self, x, scale=Y_SCALE):
        return self.op("DequantizeLinear", self.q(x, scale), self.const(np.float32(scale)),
                       self.const(self.zp))

    def weight(self, shape):
        """Dequantised weights that keep activations in range."""
        top = 7 if self.weights == "int4" else 127
        size = 2.0 / np.sqrt(np.prod(shape[1:]) if self.kind == "conv" else shape[0]) / top
        values = self.rng.integers(-top, top + 1, shape, np.int8)
        axis, attrs, dims = 0 if self.kind == "conv" else 1, {}, ()
        if self.grain == "channel":
            attrs, dims = {"axis": axis}, (shape[axis],)
        elif self.grain == "block":
            attrs, dims = {"axis": 0, "block_size": BLOCK}, (shape[0] // BLOCK, shape[1])
        scale = (self.rng.uniform(0.8, 1.2, dims) * size).astype(np.float32)
        w = self.const(values, TensorProto.INT4 if self.weights == "int4" else None)
        return self.op("DequantizeLinear", w, self.const(scale), **attrs)

    def product(self, x, part=1):
        if self.kind == "conv":
            c = SHAPES["conv"][1]
            return self.op("Conv", x, self.weight((c // part, c, 3, 3)), pads=[1, 1, 1, 1])
        n = SHAPES["matmul"][1]
        return self.op("MatMul", x, self.weight((n, n // part)))

    def layer(self, x, what):
        """One layer with its activation, dequantised again."""
        if what == "relu":
            return self.qdq(self.op("Relu", self.product(x)))
        if what == "clip":
            low, high = (self.const(np.float32(v)) for v in (-0.5, 2))
            return self.qdq(self.op("Clip", self.product(x), low, high))
        if what == "add":
            y = self.op("Add", self.qdq(self.product(x)), x)
            return self.qdq(self.op("Relu", y), 2 * Y_SCALE)
        halves = [self.qdq(self.product(x, 2), s) for s in (Y_SCALE, 0.8 * Y_SCALE)]
        return self.qdq(self.op("Concat", *halves, axis=1))

    def build(self, what):
        x = self.qdq("x", X_SCALE)
        for _ in range(3):
            x = self.layer(x, what)
        shape = SHAPES[self.kind]
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)], self.inits)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)],
                                 ir_version=10).SerializeToString()


def session(engine, model, profile=False):
    options = engine.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_profiling = profile and engine is lamina
    return engine.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def ran(model, feed):
    """Operators and kernels of a cell: "Op kernel" with its count, products in floats."""
    s = session(lamina, model, True)
    s.run(None, feed)
    counts, floats = {}, 0
    for n in s.nodes():
        op, kernel = n["op"].split(":")[-1], n["kernel"] or "reference"
        counts[f"{op} {kernel}"] = counts.get(f"{op} {kernel}", 0) + 1
        floats += op in FLOAT_PRODUCTS or (op == "MatMulNBits" and "f32" in kernel)
    return counts, floats


def cells(kind, acts):
    grains = {"int8": ("tensor", "channel"),
              "int4": ("tensor", "channel") + (("block",) if kind == "matmul" else ())}
    for weights in grains:
        for zp, grain, act in itertools.product(ZERO_POINTS, grains[weights], acts):
            yield zp, grain, act, weights


def family(kind, name, rows):
    """All cells of one shape, one run each a round, both engines; the least CPU time counts."""
    feed = {"x": np.random.default_rng(1).standard_normal(SHAPES[kind]).astype(np.float32)}
    mine = []
    for zp, grain, act, weights in cells(kind, FAMILIES[name]):
        model = Graph(kind, zp, grain, weights).build(act)
        ours, peer = session(lamina, model), session(onnxruntime, model)
        difference = np.abs(ours.run(None, feed)[0] - peer.run(None, feed)[0]).mean()
        kernels, floats = ran(model, feed)
        mine.append({"family": f"{kind} {name}", "zp": zp, "grain": grain, "act": act,
                     "weights": weights, "mean_steps_apart": float(difference / Y_SCALE),
                     "kernels": kernels, "float_products": floats,
                     "engines": (ours, peer), "times": ([], [])})
    for _ in range(ROUNDS):
        for row in mine:
            for engine, times in zip(row["engines"], row["times"], strict=True):
                times.append(benchlib.timed(lambda e=engine: e.run(None, feed), time.process_time))
    for row in mine:
        del row["engines"]
        ours, peer = (min(t) * 1e3 for t in row.pop("times"))
        row.update(ours_ms=ours, peer_ms=peer, ratio=peer / ours)
    rows += mine
    return max(r["ours_ms"] for r in mine) / min(r["ours_ms"] for r in mine)


def main():
    rows, bars = [], {}
    peer = f"onnxruntime {onnxruntime.__version__}"
    for kind, name in itertools.product(SHAPES, FAMILIES):
        spread = family(kind, name, rows)
        bars[f"B5 {kind} {name}, slowest to fastest cell"] = benchlib.bar(
            spread, "x", GOAL, "cells of one shape", False)
    floats = sum(r["float_products"] for r in rows)
    bars["B5 products in floats"] = benchlib.bar(floats, "nodes", 0, "all cells", False)
    benchlib.table(("family", "zp", "scale a", "act", "weights", "lamina ms", "onnxruntime ms",
                    "times as fast", "float products"),
                   [(r["family"], str(r["zp"]), r["grain"], r["act"], r["weights"], r["ours_ms"],
                     r["peer_ms"], r["ratio"], r["float_products"]) for r in rows])
    kernels = {}
    for r in rows:
        for key, n in r["kernels"].items():
            kernels[key] = kernels.get(key, 0) + n
    benchlib.table(("operator and kernel", "nodes in all cells"), sorted(kernels.items()))
    slower = max(r["peer_ms"] for r in rows) / min(r["peer_ms"] for r in rows)
    print(f"{peer}: slowest to fastest cell of all {slower:.3g}x")
    return 0 if benchlib.write("qdq", bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
