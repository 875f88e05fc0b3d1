#!/usr/bin/env python3
"""
Write random-weight benchmark models in the style exporters write them (opset 17, unfused graphs,
dynamic batch and sequence): gen_models.py FOLDER [MODEL...]. Needs numpy and onnx.

Shapes and operators are those of the real networks, so speed and memory are too; the numbers mean
nothing. Weights are seeded by the model's name: the same model is the same file everywhere.
"""
import argparse
import os
import zlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

F32, I64 = TensorProto.FLOAT, TensorProto.INT64
OPSET, IR_VERSION = 17, 8


def port(name, kind, *dims):
    return helper.make_tensor_value_info(name, kind, dims)


class Graph:
    """A graph under construction: nodes and initialisers with fresh names."""

    def __init__(self, name):
        self.name, self.nodes, self.inits, self.count = name, [], [], 0
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def fresh(self, prefix):
        self.count += 1
        return f"{prefix}_{self.count}"

    def const(self, array, prefix="c"):
        name = self.fresh(prefix)
        self.inits.append(numpy_helper.from_array(np.array(array, order="C", copy=True), name))
        return name

    def scalar(self, value):
        return self.const(np.array(value, np.float32))

    def ints(self, *values):
        return self.const(np.array(values, np.int64))

    def weight(self, *dims):
        fan_in = np.prod(dims[1:]) if len(dims) > 2 else dims[0]
        scale = np.float32(1 / np.sqrt(fan_in))
        return self.const(self.rng.standard_normal(dims, dtype=np.float32) * scale, "w")

    def bias(self, n):
        return self.const((self.rng.standard_normal(n) * 0.01).astype(np.float32), "b")

    def op(self, kind, inputs, outputs=1, **attrs):
        """Append a node; `outputs` is a count (fresh names) or a list of names."""
        names = outputs if isinstance(outputs, list) else [self.fresh(kind.lower())
                                                            for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=self.fresh("n_" + kind),
                                           **attrs))
        return names[0] if len(names) == 1 else names

    def save(self, folder, inputs, outputs):
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.inits)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  producer_name="lamina-gen", ir_version=IR_VERSION)
        path = os.path.join(folder, self.name + ".onnx")
        save(model, path + ".part")
        os.replace(path + ".part", path)
        print(f"{path}: {os.path.getsize(path) // 1000} kB, {len(self.nodes)} nodes")


# ---- Convolutional networks ------------------------------------------------------------------

def conv(g, x, c_in, c_out, k, stride=1, group=1, act=None):
    y = g.op("Conv", [x, g.weight(c_out, c_in // group, k, k), g.bias(c_out)],
             kernel_shape=[k, k], strides=[stride] * 2, pads=[k // 2] * 4, group=group,
             dilations=[1, 1])
    if act == "relu":
        return g.op("Relu", [y])
    if act == "relu6":
        return g.op("Clip", [y, g.scalar(0), g.scalar(6)])
    if act == "silu":
        return g.op("Mul", [y, g.op("Sigmoid", [y])])
    return y


def classifier(g, x, channels, classes=1000):
    x = g.op("Flatten", [g.op("GlobalAveragePool", [x])])
    g.op("Gemm", [x, g.weight(classes, channels), g.bias(classes)], ["y"], transB=1)
    return [port("x", F32, "N", 3, 224, 224)], [port("y", F32, "N", classes)]


def resnet50(g):
    x = conv(g, "x", 3, 64, 7, 2, act="relu")
    x = g.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    c_in = 64
    for stage, (c, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for b in range(blocks):
            stride = 2 if b == 0 and stage > 0 else 1
            y = conv(g, x, c_in, c, 1, act="relu")
            y = conv(g, y, c, c, 3, stride, act="relu")
            y = conv(g, y, c, 4 * c, 1)
            if b == 0:
                x = conv(g, x, c_in, 4 * c, 1, stride)
            x = g.op("Relu", [g.op("Add", [x, y])])
            c_in = 4 * c
    return classifier(g, x, 2048)


def mobilenetv2(g):
    x, c_in = conv(g, "x", 3, 32, 3, 2, act="relu6"), 32
    for widen, c, blocks, first in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for b in range(blocks):
            stride, hidden, y = first if b == 0 else 1, c_in * widen, x
            if widen != 1:
                y = conv(g, y, c_in, hidden, 1, act="relu6")
            y = conv(g, y, hidden, hidden, 3, stride, group=hidden, act="relu6")
            y = conv(g, y, hidden, c, 1)
            x = g.op("Add", [x, y]) if stride == 1 and c_in == c else y
            c_in = c
    return classifier(g, conv(g, x, 320, 1280, 1, act="relu6"), 1280)


def yolo_c2f(g, x, c_in, c_out, blocks, shortcut):
    c = c_out // 2
    parts = list(g.op("Split", [conv(g, x, c_in, 2 * c, 1, act="silu"), g.ints(c, c)], 2, axis=1))
    for _ in range(blocks):
        y = conv(g, conv(g, parts[-1], c, c, 3, act="silu"), c, c, 3, act="silu")
        parts.append(g.op("Add", [parts[-1], y]) if shortcut else y)
    return conv(g, g.op("Concat", parts, axis=1), (2 + blocks) * c, c_out, 1, act="silu")


def yolo_head(g, levels):
    """Boxes (64 channels) and classes (80) of every level, then distances from 16 bins."""
    flat = []
    for x, c in levels:
        box = conv(g, conv(g, conv(g, x, c, 64, 3, act="silu"), 64, 64, 3, act="silu"), 64, 64, 1)
        cls = conv(g, conv(g, conv(g, x, c, 80, 3, act="silu"), 80, 80, 3, act="silu"), 80, 80, 1)
        flat.append(g.op("Reshape", [g.op("Concat", [box, cls], axis=1), g.ints(1, 144, -1)]))
    both = g.op("Split", [g.op("Concat", flat, axis=2), g.ints(64, 80)], 2, axis=1)
    bins = g.op("Reshape", [both[0], g.ints(1, 4, 16, 8400)])
    bins = g.op("Softmax", [g.op("Transpose", [bins], perm=[0, 2, 1, 3])], axis=1)
    line = g.const(np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1))
    box = g.op("Reshape", [g.op("Conv", [bins, line], kernel_shape=[1, 1]), g.ints(1, 4, 8400)])
    g.op("Concat", [box, g.op("Sigmoid", [both[1]])], ["y"], axis=1)


def yolov8n(g):
    def silu(x, c_in, c_out, k=3, stride=1):
        return conv(g, x, c_in, c_out, k, stride, act="silu")

    def up(x):
        return g.op("Resize", [x, "", g.const(np.array([1, 1, 2, 2], np.float32))],
                    mode="nearest", coordinate_transformation_mode="asymmetric",
                    nearest_mode="floor")

    def join(a, b):
        return g.op("Concat", [a, b], axis=1)

    x = yolo_c2f(g, silu(silu("x", 3, 16, 3, 2), 16, 32, 3, 2), 32, 32, 1, True)
    x4 = yolo_c2f(g, silu(x, 32, 64, 3, 2), 64, 64, 2, True)
    x6 = yolo_c2f(g, silu(x4, 64, 128, 3, 2), 128, 128, 2, True)
    x8 = yolo_c2f(g, silu(x6, 128, 256, 3, 2), 256, 256, 1, True)
    pyramid = [silu(x8, 256, 128, 1)]
    for _ in range(3):
        pyramid.append(g.op("MaxPool", [pyramid[-1]], kernel_shape=[5, 5], pads=[2, 2, 2, 2]))
    x9 = silu(g.op("Concat", pyramid, axis=1), 512, 256, 1)
    x12 = yolo_c2f(g, join(up(x9), x6), 384, 128, 1, False)
    x15 = yolo_c2f(g, join(up(x12), x4), 192, 64, 1, False)
    x18 = yolo_c2f(g, join(silu(x15, 64, 64, 3, 2), x12), 192, 128, 1, False)
    x21 = yolo_c2f(g, join(silu(x18, 128, 128, 3, 2), x9), 384, 256, 1, False)
    yolo_head(g, [(x15, 64), (x18, 128), (x21, 256)])
    return [port("x", F32, 1, 3, 640, 640)], [port("y", F32, 1, 84, 8400)]


# ---- Transformers ----------------------------------------------------------------------------

def linear(g, x, c_in, c_out, bias=True):
    y = g.op("MatMul", [x, g.weight(c_in, c_out)])
    return g.op("Add", [y, g.bias(c_out)]) if bias else y


def layer_norm(g, x, d, epsilon=1e-5):
    ones, zeros = g.const(np.ones(d, np.float32)), g.const(np.zeros(d, np.float32))
    return g.op("LayerNormalization", [x, ones, zeros], axis=-1, epsilon=epsilon)


def gelu_erf(g, x):
    e = g.op("Erf", [g.op("Div", [x, g.scalar(np.sqrt(2))])])
    return g.op("Mul", [g.op("Mul", [x, g.op("Add", [e, g.scalar(1)])]), g.scalar(0.5)])


def gelu_tanh(g, x):
    t = g.op("Mul", [g.op("Pow", [x, g.scalar(3)]), g.scalar(0.044715)])
    t = g.op("Tanh", [g.op("Mul", [g.op("Add", [x, t]), g.scalar(np.sqrt(2 / np.pi))])])
    return g.op("Mul", [g.op("Mul", [x, g.scalar(0.5)]), g.op("Add", [t, g.scalar(1)])])


def heads(g, x, n, d, perm):
    return g.op("Transpose", [g.op("Reshape", [x, g.ints(0, 0, n, d)])], perm=perm)


def merge_heads(g, x, d):
    return g.op("Reshape", [g.op("Transpose", [x], perm=[0, 2, 1, 3]), g.ints(0, 0, d)])


def bert_embeddings(g, vocabulary, d):
    e = g.op("Gather", [g.weight(vocabulary, d), "input_ids"])
    e = g.op("Add", [e, g.op("Gather", [g.weight(2, d), "token_type_ids"])])
    length = g.op("Gather", [g.op("Shape", ["input_ids"]), g.const(np.array(1, np.int64))])
    length = g.op("Unsqueeze", [length, g.ints(0)])
    positions = g.op("Slice", [g.weight(512, d), g.ints(0), length, g.ints(0)])
    mask = g.op("Cast", [g.op("Unsqueeze", ["attention_mask", g.ints(1, 2)])], to=F32)
    mask = g.op("Mul", [g.op("Sub", [g.scalar(1), mask]), g.scalar(-3.4e38)])
    return layer_norm(g, g.op("Add", [e, positions]), d, 1e-12), mask


def bert_base(g, layers=12, d=768, n=12, hidden=3072, vocabulary=30522):
    x, mask = bert_embeddings(g, vocabulary, d)
    for _ in range(layers):
        q = heads(g, linear(g, x, d, d), n, d // n, [0, 2, 1, 3])
        k = heads(g, linear(g, x, d, d), n, d // n, [0, 2, 3, 1])
        v = heads(g, linear(g, x, d, d), n, d // n, [0, 2, 1, 3])
        s = g.op("Div", [g.op("MatMul", [q, k]), g.scalar(np.sqrt(d // n))])
        s = g.op("Softmax", [g.op("Add", [s, mask])], axis=-1)
        y = linear(g, merge_heads(g, g.op("MatMul", [s, v]), d), d, d)
        x = layer_norm(g, g.op("Add", [y, x]), d, 1e-12)
        y = linear(g, gelu_erf(g, linear(g, x, d, hidden)), hidden, d)
        x = layer_norm(g, g.op("Add", [y, x]), d, 1e-12)
    g.op("Identity", [x], ["last_hidden_state"])
    names = ("input_ids", "attention_mask", "token_type_ids")
    return [port(i, I64, "B", "S") for i in names], [port("last_hidden_state", F32, "B", "S", d)]


def gpt2(g, layers=12, d=768, n=12, vocabulary=50257):
    table = g.rng.standard_normal((vocabulary, d), dtype=np.float32) / np.float32(np.sqrt(d))
    x = g.op("Add", [g.op("Gather", [g.const(table), "input_ids"]),
                     g.op("Gather", [g.weight(1024, d), "position_ids"])])
    inputs = [port("input_ids", I64, "B", "S"), port("position_ids", I64, "B", "S"),
              port("mask_add", F32, "B", 1, "S", "T")]
    outputs = [port("logits", F32, "B", "S", vocabulary)]
    for i in range(layers):
        qkv = linear(g, layer_norm(g, x, d), d, 3 * d)
        q, k, v = (heads(g, t, n, d // n, [0, 2, 1, 3])
                   for t in g.op("Split", [qkv, g.ints(d, d, d)], 3, axis=2))
        for name, new in (("k", k), ("v", v)):
            g.op("Concat", [f"past_{name}{i}", new], [f"pres_{name}{i}"], axis=2)
            inputs.append(port(f"past_{name}{i}", F32, "B", n, "P", d // n))
            outputs.append(port(f"pres_{name}{i}", F32, "B", n, "T", d // n))
        s = g.op("MatMul", [q, g.op("Transpose", [f"pres_k{i}"], perm=[0, 1, 3, 2])])
        s = g.op("Add", [g.op("Div", [s, g.scalar(8)]), "mask_add"])
        y = g.op("MatMul", [g.op("Softmax", [s], axis=-1), f"pres_v{i}"])
        x = g.op("Add", [linear(g, merge_heads(g, y, d), d, d), x])
        y = gelu_tanh(g, linear(g, layer_norm(g, x, d), d, 4 * d))
        x = g.op("Add", [x, linear(g, y, 4 * d, d)])
    g.op("MatMul", [layer_norm(g, x, d), g.const(table.T)], ["logits"])
    return inputs, outputs


def whisper_tiny_enc(g, layers=4, d=384, n=6):
    def conv1(x, c_in, c_out, stride):
        return gelu_erf(g, g.op("Conv", [x, g.weight(c_out, c_in, 3), g.bias(c_out)],
                                kernel_shape=[3], strides=[stride], pads=[1, 1]))

    x = g.op("Transpose", [conv1(conv1("mel", 80, d, 1), d, d, 2)], perm=[0, 2, 1])
    x = g.op("Add", [x, g.weight(1500, d)])
    for _ in range(layers):
        a = layer_norm(g, x, d)
        q = g.op("Mul", [linear(g, a, d, d), g.scalar((d // n) ** -0.5)])
        q = heads(g, q, n, d // n, [0, 2, 1, 3])
        k = heads(g, linear(g, a, d, d, bias=False), n, d // n, [0, 2, 3, 1])
        v = heads(g, linear(g, a, d, d), n, d // n, [0, 2, 1, 3])
        y = g.op("MatMul", [g.op("Softmax", [g.op("MatMul", [q, k])], axis=-1), v])
        x = g.op("Add", [x, linear(g, merge_heads(g, y, d), d, d)])
        y = gelu_erf(g, linear(g, layer_norm(g, x, d), d, 4 * d))
        x = g.op("Add", [x, linear(g, y, 4 * d, d)])
    g.op("Identity", [layer_norm(g, x, d)], ["h"])
    return [port("mel", F32, 1, 80, 3000)], [port("h", F32, 1, 1500, d)]


def mlp64(g):
    x = "x"
    for _ in range(2):
        x = g.op("Relu", [g.op("Gemm", [x, g.weight(64, 64), g.bias(64)], transB=1)])
    g.op("Gemm", [x, g.weight(64, 64), g.bias(64)], ["y"], transB=1)
    return [port("x", F32, 1, 64)], [port("y", F32, 1, 64)]


MODELS = {f.__name__: f for f in (mlp64, mobilenetv2, resnet50, yolov8n, whisper_tiny_enc,
                                  bert_base, gpt2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("folder", help="where to write MODEL.onnx; made if missing")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=" ".join(MODELS))
    args = parser.parse_args()
    unknown = [m for m in args.models if m not in MODELS]
    if unknown:
        parser.error(f"unknown: {' '.join(unknown)}; there are: {' '.join(MODELS)}")
    os.makedirs(args.folder, exist_ok=True)
    for name in args.models or MODELS:
        graph = Graph(name)
        inputs, outputs = MODELS[name](graph)
        graph.save(args.folder, inputs, outputs)


if __name__ == "__main__":
    main()
