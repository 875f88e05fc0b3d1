"""EfficientNet-Lite0 weights (.pth) to an ONNX file: efficientnet_onnx.py IN.pth OUT.onnx

Architecture from the paper's Lite variant: no squeeze-excitation, ReLU6, SAME padding with the odd
pixel at the end. Batch normalisation is folded into the convolutions in float64 (eps 1e-3).
"""
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

import torch_pickle

# repeats, kernel, stride, expansion, output channels
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
          (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]
EPS = 1e-3


class Builder:
    def __init__(self, weights):
        self.w, self.nodes, self.inits, self.n = weights, [], [], 0
        self.lo = self.constant(np.array(0, np.float32))
        self.hi = self.constant(np.array(6, np.float32))

    def constant(self, array):
        self.n += 1
        self.inits.append(numpy_helper.from_array(array, f"w{self.n}"))
        return f"w{self.n}"

    def op(self, kind, inputs, **attrs):
        self.n += 1
        out = f"{kind.lower()}{self.n}"
        self.nodes.append(helper.make_node(kind, inputs, [out], name=out, **attrs))
        return out

    def conv(self, x, conv, bn, k, stride, groups=1, act=True):
        w = self.w[conv + ".weight"].astype(np.float64)
        g, b, m, v = (self.w[f"{bn}.{p}"].astype(np.float64)
                      for p in ("weight", "bias", "running_mean", "running_var"))
        scale = g / np.sqrt(v + EPS)
        y = self.op("Conv", [x, self.constant((w * scale[:, None, None, None]).astype(np.float32)),
                             self.constant((b - m * scale).astype(np.float32))],
                    kernel_shape=[k, k], strides=[stride, stride], group=groups,
                    auto_pad="SAME_UPPER")
        return self.op("Clip", [y, self.lo, self.hi]) if act else y


def build(weights):
    b = Builder(weights)
    x = b.conv("image", "_conv_stem", "_bn0", 3, 2)
    index, channels = 0, 32
    for repeats, k, stride, expansion, out in STAGES:
        for r in range(repeats):
            p, s, y = f"_blocks.{index}.", stride if r == 0 else 1, x
            hidden = channels * expansion
            if expansion != 1:
                y = b.conv(y, p + "_expand_conv", p + "_bn0", 1, 1)
            y = b.conv(y, p + "_depthwise_conv", p + "_bn1", k, s, groups=hidden)
            y = b.conv(y, p + "_project_conv", p + "_bn2", 1, 1, act=False)
            x = b.op("Add", [x, y]) if s == 1 and channels == out else y
            index, channels = index + 1, out
    x = b.conv(x, "_conv_head", "_bn1", 1, 1)
    x = b.op("Flatten", [b.op("GlobalAveragePool", [x])])
    fc = [b.constant(weights["_fc.weight"]), b.constant(weights["_fc.bias"])]
    x = b.op("Gemm", [x, *fc], transB=1)
    b.nodes.append(helper.make_node("Identity", [x], ["logits"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 224, 224])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1000])
    graph = helper.make_graph(b.nodes, "efficientnet-lite0", [image], [logits], b.inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


if __name__ == "__main__":
    save(build(torch_pickle.load(sys.argv[1])), sys.argv[2])
