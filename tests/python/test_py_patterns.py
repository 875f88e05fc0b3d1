"""
What transformers hold is found in every form that exporters give it: attention, norms, rotations
are counted, of the arithmetic they were written in nothing is left, and the results are within 1e-5
of the graph as it was written (half precision: within its own rounding).
"""
from exporter_models import MODELS
from exporters import BF16, F16, F32
from pycommon import main, np, unittest

import lamina

# Written-out activations, softmax and norms consist of these; none may be left.
PARTS = ("Erf", "Tanh", "Sigmoid", "Softmax", "ReduceMean", "Pow", "IsNaN")


def session(m, optimise):
    options = lamina.SessionOptions()
    if not optimise:
        options.graph_optimization_level = lamina.GraphOptimizationLevel.ORT_DISABLE_ALL
    return lamina.InferenceSession(m, options)


def count(s):
    ops = [n["op"] for n in s.nodes()]
    return {op: ops.count(op) for op in set(ops)}


class Patterns(unittest.TestCase):
    def near(self, got, want, dtype, name):
        got, want = (np.asarray(v, np.float64) for v in (got, want))
        self.assertEqual(got.shape, want.shape)
        bound = {F32: 1e-5, F16: 1e-2, BF16: 6e-2}[dtype]
        error = np.abs(got - want).max() / max(np.abs(want).max(), 1e-3)
        self.assertLessEqual(error, bound, name)

    def test_all(self):
        for name, make in MODELS.items():
            with self.subTest(name):
                graph, want = make()
                m = graph.model().SerializeToString()
                plain, fused = session(m, False), session(m, True)
                found = count(fused)
                for op, n in want.items():
                    self.assertEqual(found.get(op, 0), n, f"{name}: {op} of {found}")
                for op in PARTS:
                    self.assertEqual(found.get(op, 0), 0, f"{name}: {op} is left")
                names = [o.name for o in fused.get_outputs()]
                for got, ref, out in zip(fused.run(names, graph.feed), plain.run(names, graph.feed),
                                         names, strict=True):
                    self.near(got, ref, graph.dtype, f"{name}: {out}")


if __name__ == "__main__":
    main()
