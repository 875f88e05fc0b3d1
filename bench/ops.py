#!/usr/bin/env python3
"""
Operators beside onnxruntime, each as a model of one node: ops.py [TEXT...] [--pairs=N]. Both run in
this process on one thread, turn by turn, on CPU time, inputs and outputs bound. The outputs are
compared before anything is timed. The table is sorted by ratio, least first. Shapes are those of
vision and language models; `make bench-ops`.
"""
import argparse
import os
import sys
import tempfile
import time

import benchlib

benchlib.need_modules("ops", "numpy", "onnx", "onnxruntime")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime as ort  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

import laminalib  # noqa: E402
from models import OnnxRuntime, peer_session  # noqa: E402

RTOL, GOAL_MEAN, GOAL_LEAST = 1e-4, 1.2, 1.0
INT64 = np.int64


def ints(*v):
    return np.array(v, INT64)


def resize(mode, coord, shape, scale=2.0, nearest="floor"):
    how = {"mode": mode, "coordinate_transformation_mode": coord}
    if mode == "nearest":
        how["nearest_mode"] = nearest
    scales = np.array([1, 1, scale, scale], np.float32)
    return "Resize", how, [shape, np.zeros(0, np.float32), scales]


def window(op, shape, k, s, pad=0, **more):
    how = dict(kernel_shape=[k, k], strides=[s, s], pads=[pad] * 4, **more)
    return op, how, [shape]


def conv(c_in, c_out, size, k, s=1, groups=1):
    how = dict(kernel_shape=[k, k], strides=[s, s], pads=[k // 2] * 4, group=groups)
    rng = np.random.default_rng(3)
    w = rng.standard_normal((c_out, c_in // groups, k, k), dtype=np.float32)
    return "Conv", how, [(1, c_in, size, size), w, rng.standard_normal(c_out, dtype=np.float32)]


def rows(op, shape, **how):
    rng = np.random.default_rng(3)
    w = [rng.standard_normal(shape[-1], dtype=np.float32) for _ in range(2)]
    return op, how, [shape, *w]


def recurrent(op, seq, batch, size, hidden, **how):
    rng = np.random.default_rng(3)
    gates, dirs = (4 if op == "LSTM" else 3), (2 if "direction" in how else 1)

    def small(*shape):
        return rng.standard_normal((dirs, *shape), dtype=np.float32) / np.float32(hidden**0.5)
    w = [small(gates * hidden, size), small(gates * hidden, hidden), small(2 * gates * hidden)]
    return op, dict(hidden_size=hidden, **how), [(seq, batch, size), *w]


# case: (operator, attributes, inputs: shapes of random numbers or constants)
CASES = {
    "MaxPool 64x112 k3 s2": window("MaxPool", (1, 64, 112, 112), 3, 2, 1),
    "MaxPool 128x20 k5 s1": window("MaxPool", (1, 128, 20, 20), 5, 1, 2),
    "MaxPool 64x56 k2 s2": window("MaxPool", (1, 64, 56, 56), 2, 2),
    "MaxPool 256x13 k13 s1": window("MaxPool", (1, 256, 13, 13), 13, 1, 6),
    "MaxPool 64x55 k3 s2 d0": window("MaxPool", (1, 64, 55, 55), 3, 2),
    "AveragePool 64x56 k2 s2": window("AveragePool", (1, 64, 56, 56), 2, 2),
    "AveragePool 192x35 k3 s1": window("AveragePool", (1, 192, 35, 35), 3, 1, 1,
                                       count_include_pad=1),
    "AveragePool 64x56 k3 s2": window("AveragePool", (1, 64, 56, 56), 3, 2, 1),
    "AveragePool 512x14 k7 s7": window("AveragePool", (1, 512, 14, 14), 7, 7),
    "GlobalAveragePool 2048x7": ("GlobalAveragePool", {}, [(1, 2048, 7, 7)]),
    "GlobalMaxPool 512x14": ("GlobalMaxPool", {}, [(1, 512, 14, 14)]),
    "Resize nearest 256x20 x2": resize("nearest", "asymmetric", (1, 256, 20, 20)),
    "Resize nearest 128x40 x2": resize("nearest", "asymmetric", (1, 128, 40, 40)),
    "Resize nearest 64x40 x1.5": resize("nearest", "half_pixel", (1, 64, 40, 40), 1.5,
                                        "round_prefer_floor"),
    "Resize linear 256x20 x2": resize("linear", "half_pixel", (1, 256, 20, 20)),
    "Resize linear 64x64 x2": resize("linear", "align_corners", (1, 64, 64, 64)),
    "Resize linear 21x65 x8": resize("linear", "pytorch_half_pixel", (1, 21, 65, 65), 8.0),
    "Resize linear 3x640 x0.5": resize("linear", "half_pixel", (1, 3, 640, 640), 0.5),
    "Resize cubic 3x128 x2": resize("cubic", "half_pixel", (1, 3, 128, 128)),
    "Transpose 64x56x56 to HWC": ("Transpose", {"perm": [0, 2, 3, 1]}, [(1, 64, 56, 56)]),
    "Transpose 56x56x64 to CHW": ("Transpose", {"perm": [0, 3, 1, 2]}, [(1, 56, 56, 64)]),
    "Transpose 640x640x3 to CHW": ("Transpose", {"perm": [0, 3, 1, 2]}, [(1, 640, 640, 3)]),
    "Transpose 3x640x640 to HWC": ("Transpose", {"perm": [0, 2, 3, 1]}, [(1, 3, 640, 640)]),
    "Transpose 128x12x64 0213": ("Transpose", {"perm": [0, 2, 1, 3]}, [(1, 128, 12, 64)]),
    "Transpose 12x128x64 0132": ("Transpose", {"perm": [0, 1, 3, 2]}, [(1, 12, 128, 64)]),
    "Transpose 1024x1024": ("Transpose", {"perm": [1, 0]}, [(1024, 1024)]),
    "Transpose 84x8400": ("Transpose", {"perm": [0, 2, 1]}, [(1, 84, 8400)]),
    "Transpose shuffle 2x58x28": ("Transpose", {"perm": [0, 2, 1, 3, 4]}, [(1, 2, 58, 28, 28)]),
    "Gather rows 128 of 30522x768": ("Gather", {}, [
        np.zeros((30522, 768), np.float32) + 1,
        np.random.default_rng(1).integers(0, 30522, (1, 128))]),
    "Gather axis 1 of 64x256x49": ("Gather", {"axis": 1}, [(64, 256, 49), np.arange(0, 256, 2)]),
    "Gather axis 2 of 128x3x64": ("Gather", {"axis": 2}, [(128, 12, 64), np.arange(63, -1, -1)]),
    "TopK 100 of 8400": ("TopK", {}, [(1, 8400), ints(100)]),
    "TopK 5 of 1000": ("TopK", {}, [(8, 1000), ints(5)]),
    "TopK 50 of 50257": ("TopK", {}, [(4, 50257), ints(50)]),
    "TopK all of 1000": ("TopK", {}, [(16, 1000), ints(1000)]),
    "ArgMax 1000": ("ArgMax", {"axis": -1, "keepdims": 0}, [(64, 1000)]),
    "ArgMax 21x65x65 channels": ("ArgMax", {"axis": 1}, [(1, 21, 129, 129)]),
    "ReduceMean last 128x768": ("ReduceMean", {}, [(1, 128, 768), ints(-1)]),
    "ReduceMean last 512x49": ("ReduceMean", {}, [(1, 512, 49), ints(-1)]),
    "ReduceMean plane 1280x7x7": ("ReduceMean", {}, [(1, 1280, 7, 7), ints(2, 3)]),
    "ReduceMean middle 128x768": ("ReduceMean", {}, [(1, 128, 768), ints(1)]),
    "ReduceSum first 512x512": ("ReduceSum", {}, [(512, 512), ints(0)]),
    "ReduceSum all 1M": ("ReduceSum", {}, [(1024, 1024)]),
    "ReduceMax last 384x384": ("ReduceMax", {}, [(384, 384), ints(-1)]),
    "ReduceMax channels 80x8400": ("ReduceMax", {}, [(1, 80, 8400), ints(1)]),
    "ReduceL2 last 128x768": ("ReduceL2", {}, [(128, 768), ints(-1)]),
    "ReduceProd last 128x768": ("ReduceProd", {}, [(128, 768), ints(-1)]),
    "Softmax 12x128x128": ("Softmax", {"axis": -1}, [(1, 12, 128, 128)]),
    "Softmax 1x50257": ("Softmax", {"axis": -1}, [(1, 50257)]),
    "Softmax channels 16x4x8400": ("Softmax", {"axis": 1}, [(1, 16, 4, 8400)]),
    "LogSoftmax 64x1000": ("LogSoftmax", {"axis": -1}, [(64, 1000)]),
    "LayerNormalization 128x768": rows("LayerNormalization", (1, 128, 768)),
    "LayerNormalization 3136x96": rows("LayerNormalization", (1, 3136, 96)),
    "InstanceNormalization 64x56": ("InstanceNormalization", {}, [
        (1, 64, 56, 56), np.ones(64, np.float32), np.zeros(64, np.float32)]),
    "BatchNormalization 64x56": ("BatchNormalization", {}, [
        (1, 64, 56, 56), *[np.ones(64, np.float32)] * 4]),
    "Gelu 128x3072": ("Gelu", {}, [(128, 3072)]),
    "Gelu tanh 128x3072": ("Gelu", {"approximate": "tanh"}, [(128, 3072)]),
    "Erf 128x3072": ("Erf", {}, [(128, 3072)]),
    "Tanh 128x768": ("Tanh", {}, [(128, 768)]),
    "Sigmoid 80x8400": ("Sigmoid", {}, [(80, 8400)]),
    "Exp 128x768": ("Exp", {}, [(128, 768)]),
    "HardSwish 64x56": ("HardSwish", {}, [(1, 64, 56, 56)]),
    "HardSigmoid 64x56": ("HardSigmoid", {}, [(1, 64, 56, 56)]),
    "LeakyRelu 64x56": ("LeakyRelu", {"alpha": 0.1}, [(1, 64, 56, 56)]),
    "PRelu 64x56": ("PRelu", {}, [(1, 64, 56, 56), np.full((64, 1, 1), 0.2, np.float32)]),
    "Sqrt 128x768": ("Sqrt", {}, [(128, 768)]),
    "Add 64x56x56": ("Add", {}, [(1, 64, 56, 56), (1, 64, 56, 56)]),
    "Add channel 64x56x56": ("Add", {}, [(1, 64, 56, 56), np.ones((64, 1, 1), np.float32)]),
    "Mul row 128x768": ("Mul", {}, [(128, 768), np.ones(768, np.float32)]),
    "Mul column 128x768": ("Mul", {}, [(128, 768), (128, 1)]),
    "Div 128x768": ("Div", {}, [(128, 768), (128, 1)]),
    "Pow 2 128x768": ("Pow", {}, [(128, 768), np.float32([2])]),
    "Concat 2 of 128x40x40": ("Concat", {"axis": 1}, [(1, 128, 40, 40), (1, 128, 40, 40)]),
    "Slice 128x40 half": ("Slice", {}, [(1, 128, 40, 40), ints(0), ints(64), ints(1)]),
    "Slice step 2 64x56": ("Slice", {}, [(1, 64, 56, 56), ints(0), ints(56), ints(3), ints(2)]),
    "Pad 64x56 by 1": ("Pad", {}, [(1, 64, 56, 56), ints(0, 0, 1, 1, 0, 0, 1, 1)]),
    "Pad reflect 32x128": ("Pad", {"mode": "reflect"}, [
        (1, 32, 128, 128), ints(0, 0, 4, 4, 0, 0, 4, 4)]),
    "Expand 1x64x1 to 12x64x128": ("Expand", {}, [(1, 64, 1), ints(12, 64, 128)]),
    "Tile 2x 64x28x28": ("Tile", {}, [(1, 64, 28, 28), ints(1, 1, 2, 2)]),
    "Where 12x128x128": ("Where", {}, [
        np.tri(128, dtype=bool)[None], (12, 128, 128), np.float32([-1e9])]),
    "Clip 64x56": ("Clip", {}, [(1, 64, 56, 56), np.float32(0), np.float32(6)]),
    "CumSum 128x768": ("CumSum", {}, [(128, 768), ints(1)]),
    "DepthToSpace 64x64 2": ("DepthToSpace", {"blocksize": 2}, [(1, 64, 64, 64)]),
    "SpaceToDepth 16x128 2": ("SpaceToDepth", {"blocksize": 2}, [(1, 16, 128, 128)]),
    "ScatterElements 8x1000": ("ScatterElements", {"axis": 1}, [
        (8, 1000), np.argsort(np.random.default_rng(2).random((8, 500)), axis=1), (8, 500)]),
    "GatherElements 128x768": ("GatherElements", {"axis": 1}, [
        (128, 768), np.random.default_rng(2).integers(0, 768, (128, 768))]),
    "GatherND 128 rows of 64x128x64": ("GatherND", {}, [
        (64, 128, 64), np.random.default_rng(2).integers(0, 64, (128, 2))]),
    "ScatterND 128 rows of 64x128x64": ("ScatterND", {}, [
        (64, 128, 64), np.random.default_rng(2).integers(0, 64, (128, 2)), (128, 64)]),
    "OneHot 1024 of 128": ("OneHot", {}, [
        np.random.default_rng(2).integers(0, 128, 1024), ints(128), np.float32([0, 1])]),
    "Greater row 128x768": ("Greater", {}, [(128, 768), (768,)]),
    "Equal 128x768": ("Equal", {}, [(128, 768), (128, 768)]),
    "Less one 128x768": ("Less", {}, [(128, 768), np.float32(0.5)]),
    "Cast to int64 128x768": ("Cast", {"to": 7}, [(128, 768)]),
    "Cast to bool 128x768": ("Cast", {"to": 9}, [(128, 768)]),
    "Where plain 12x128x128": ("Where", {}, [
        np.random.default_rng(2).random((12, 128, 128)) < 0.5, (12, 128, 128), (12, 128, 128)]),
    "Sign 128x768": ("Sign", {}, [(128, 768)]),
    "Sum 3 of 128x768": ("Sum", {}, [(128, 768), (128, 768), (128, 768)]),
    "NonZero 128x768": ("NonZero", {}, [(128, 768)]),
    "GroupNormalization 64x56": ("GroupNormalization", {"num_groups": 8}, [
        (1, 64, 56, 56), np.ones(8, np.float32), np.zeros(8, np.float32)]),
    "ReduceMean apart 8x64x28x28": ("ReduceMean", {}, [(8, 64, 28, 28), ints(0, 2, 3)]),
    "ReduceMax apart 8x64x784": ("ReduceMax", {}, [(8, 64, 784), ints(0, 2)]),
    "CumSum down 128x768": ("CumSum", {}, [(128, 768), ints(0)]),
    "Einsum bhid,bhjd 12x128x64": ("Einsum", {"equation": "bhid,bhjd->bhij"}, [
        (1, 12, 128, 64), (1, 12, 128, 64)]),
    "Elu 128x768": ("Elu", {}, [(128, 768)]),
    "Softplus 128x768": ("Softplus", {}, [(128, 768)]),
    "Mish 128x768": ("Mish", {}, [(128, 768)]),
    "LSTM 16x1x128 to 128": recurrent("LSTM", 16, 1, 128, 128),
    "LSTM 32x8x256 to 256": recurrent("LSTM", 32, 8, 256, 256),
    "LSTM 16x1x512 to 512": recurrent("LSTM", 16, 1, 512, 512),
    "LSTM both ways 32x1x256": recurrent("LSTM", 32, 1, 256, 256, direction="bidirectional"),
    "GRU 16x1x128 to 128": recurrent("GRU", 16, 1, 128, 128, linear_before_reset=1),
    "GRU 32x8x256 to 256": recurrent("GRU", 32, 8, 256, 256, linear_before_reset=1),
    "GRU 16x1x512 to 512": recurrent("GRU", 16, 1, 512, 512),
    "Conv stem 7x7 s2": conv(3, 64, 224, 7, 2),
    "Conv stem 3x3 s2": conv(3, 32, 224, 3, 2),
    "Conv depthwise 144x56": conv(144, 144, 56, 3, 1, 144),
    "Conv depthwise 576x14 s2": conv(576, 576, 14, 3, 2, 576),
    "Conv depthwise 960x7": conv(960, 960, 7, 3, 1, 960),
    "Conv grouped 128x28/32": conv(128, 128, 28, 3, 1, 32),
    "Conv 3x3 512x7": conv(512, 512, 7, 3),
    "Conv 3x3 s2 256x28": conv(256, 256, 28, 3, 2),
    "Conv 1x1 512 to 2048x7": conv(512, 2048, 7, 1),
}


# Element type of the first output where it is not f32.
OUTPUTS = {"ArgMax": 7, "ArgMin": 7, "NonZero": 7, "Greater": 9, "Equal": 9, "Less": 9}


def model_of(case):
    """One node as a model; returns it and the arrays to feed."""
    op, how, given = CASES[case]
    rng, names, inputs, consts, feed = np.random.default_rng(7), [], [], [], {}
    for i, what in enumerate(given):
        name = f"x{i}"
        if not isinstance(what, tuple):
            what = np.asarray(what)
            if not what.size and op == "Resize":
                names.append("")
                continue
            consts.append(numpy_helper.from_array(what, name))
        else:
            feed[name] = rng.standard_normal(what, dtype=np.float32)
            if op in ("Sqrt", "Pow"):
                feed[name] = np.abs(feed[name])
            if op == "ReduceProd":
                feed[name] = 1 + feed[name] / 100
            inputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, what))
        names.append(name)
    outs = ["y", "z"] if op == "TopK" else ["y"]
    kinds = {"y": how.get("to", OUTPUTS.get(op, 1)), "z": 7}
    node = helper.make_node(op, names, outs, **how)
    graph = helper.make_graph([node], "one", inputs,
                              [helper.make_tensor_value_info(o, kinds[o], None) for o in outs],
                              consts)
    opset = helper.make_opsetid("", 20)  # GroupNormalization has a scale a group there
    return helper.make_model(graph, ir_version=10, opset_imports=[opset]), feed


def error_of(ours, theirs):
    """Largest difference over the values, as a share of the largest value of its output."""
    worst = 0.0
    for a, b in zip(ours, theirs):
        if a.shape != b.shape:
            return float("inf")
        off = np.abs(a.astype(np.float64) - b).max() / max(np.abs(b).max(), 1e-30)
        worst = max(worst, off) if off == off else off
    return float(worst)


def measure(case, folder, pairs, seconds):
    model, feed = model_of(case)
    path = os.path.join(folder, "one.onnx")
    onnx.save(model, path)
    peer = peer_session(path)
    ours = laminalib.Session(path)
    ours.bind([feed[p.name] for p in peer.get_inputs()])
    error = error_of(ours.outputs(), peer.run(None, feed))
    if not error <= RTOL:
        sys.exit(f"{case}: outputs differ from onnxruntime's by {error:.2g} of their range")
    ratio, a, b = benchlib.paired_ratio(ours.run, OnnxRuntime(peer).timed(feed), pairs=pairs,
                                        seconds=seconds, clock=time.process_time)
    ours.close()
    return {"case": case, "lamina_us": a * 1e6, "ort_us": b * 1e6, "ratio": ratio, "error": error}


def main():
    parser = argparse.ArgumentParser(description="speed of single operators, one thread")
    parser.add_argument("cases", nargs="*", metavar="TEXT", help="cases that hold a TEXT")
    parser.add_argument("--pairs", type=int, default=15, help="timed pairs a case")
    parser.add_argument("--seconds", type=float, default=0.01, help="least time of a sample")
    args = parser.parse_args()
    wanted = [c for c in CASES if not args.cases or any(a in c for a in args.cases)]
    got = []
    with tempfile.TemporaryDirectory() as folder:
        for c in wanted:
            try:
                got.append(measure(c, folder, args.pairs, args.seconds))
            except RuntimeError as e:
                print(f"{c}: {e}", file=sys.stderr)
    got.sort(key=lambda r: r["ratio"])
    name = f"onnxruntime {ort.__version__}"
    print(f"{name}, 1 thread, CPU time; ratio > 1: lamina is faster")
    keys = ("case", "lamina_us", "ort_us", "ratio", "error")
    benchlib.table(("case", "lamina us", "ort us", "ratio", "error"),
                   [[r[k] for k in keys] for r in got])
    ratios = [r["ratio"] for r in got]
    benchlib.write("ops", {
        "operators geomean": benchlib.bar(benchlib.geomean(ratios), "x speed", GOAL_MEAN, name),
        "operators least": benchlib.bar(min(ratios), "x speed", GOAL_LEAST, name)}, got)


if __name__ == "__main__":
    main()
