"""
Plug-in operators from Python: SessionOptions.register_custom_ops_library loads the example, a model
that uses it runs; what is no plug-in is refused with the file's name.
"""
import os
import pathlib
import sys
import unittest

import numpy as np
import pycommon
from onnx import TensorProto, helper

import lamina

LIBRARY = pathlib.Path(os.environ["LAMINA_BUILD_DIR"]) / "tests/plugin/custom_op.so"


def swish_pairs():
    x, y = (pycommon.tensor(n, TensorProto.FLOAT, ("N", "M")) for n in "xy")
    nodes = [helper.make_node("Swish", ["x"], ["h"], domain="example", beta=2.0),
             helper.make_node("Pairs", ["h"], ["y"], domain="example")]
    m = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), ir_version=pycommon.IR,
                          opset_imports=[helper.make_opsetid("", pycommon.OPSET),
                                         helper.make_opsetid("example", 1)])
    return m.SerializeToString()


class Plugins(unittest.TestCase):
    def test_life(self):
        with self.assertRaises(lamina.NotImplemented):
            lamina.InferenceSession(swish_pairs())
        o = lamina.SessionOptions()
        o.register_custom_ops_library(str(LIBRARY))
        o.register_custom_ops_library(LIBRARY)  # again, as a path object: no error
        s = lamina.InferenceSession(swish_pairs(), o)
        x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)
        h = x / (1 + np.exp(-2 * x))
        for _ in range(2):
            (y,) = s.run(None, {"x": x})
            np.testing.assert_allclose(y, h.reshape(4, 3, 2).mean(2), rtol=1e-5, atol=1e-6)
        with self.assertRaisesRegex(lamina.RuntimeException, "odd"):
            s.run(None, {"x": x[:, :5]})

    def test_refused(self):
        o = lamina.SessionOptions()
        with self.assertRaisesRegex(lamina.NoSuchFile, "nowhere.so"):
            o.register_custom_ops_library("nowhere.so")
        with self.assertRaisesRegex(lamina.NotImplemented, "pycommon"):
            o.register_custom_ops_library(pycommon.__file__)
        with self.assertRaises(TypeError):
            o.register_custom_ops_library(5)


if not LIBRARY.exists():
    print(f"skipped: {LIBRARY} is not built")
    sys.exit(77)
pycommon.main()
