"""
What the Python tests share: leave with 77 when a package is missing, small models, one main.
"""
import sys
import unittest

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper
except ImportError as e:
    print(f"skipped: {e.name} is not installed for {sys.executable}: run tools/setup.sh")
    sys.exit(77)

OPSET = 25
IR = 12


def tensor(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, inputs, outputs, initializers=(), opset=OPSET, ir=IR, **fields):
    """Bytes of a model."""
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir,
                          **fields)
    return m.SerializeToString()


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def identity(dtype=TensorProto.FLOAT, shape=("n",)):
    return model([node("Identity", ["x"], ["y"])], [tensor("x", dtype, shape)],
                 [tensor("y", dtype, shape)])


def adder(dtype=TensorProto.FLOAT, shape=("n",)):
    return model([node("Add", ["x", "x"], ["y"])], [tensor("x", dtype, shape)],
                 [tensor("y", dtype, shape)])


def slow_model(turns):
    """A Loop of `turns` matrix products: some milliseconds each hundred."""
    body = helper.make_graph(
        [node("Identity", ["c"], ["c2"]), node("MatMul", ["v", "v"], ["p"]),
         node("Tanh", ["p"], ["v2"])],
        "body", [tensor("i", TensorProto.INT64, []), tensor("c", TensorProto.BOOL, []),
                 tensor("v", TensorProto.FLOAT, [64, 64])],
        [tensor("c2", TensorProto.BOOL, []), tensor("v2", TensorProto.FLOAT, [64, 64])])
    return model([node("Loop", ["n", "", "x"], ["y"], body=body)],
                 [tensor("x", TensorProto.FLOAT, [64, 64])],
                 [tensor("y", TensorProto.FLOAT, [64, 64])],
                 [helper.make_tensor("n", TensorProto.INT64, [], [turns])])


def rss_kb():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4


def main():
    unittest.main(module="__main__", verbosity=1)


__all__ = ["IR", "OPSET", "TensorProto", "adder", "helper", "identity", "main", "model", "node",
           "np", "onnx", "rss_kb", "slow_model", "tensor", "unittest"]
