"""
Fused operators are bit for bit their base operator followed by the separate ones, whatever way the
operands broadcast: FusedConv, FusedMatMul and FusedGemm on the fast kernels.
"""
from pycommon import TensorProto, helper, main, np, unittest

import lamina

KIND = {"Add": 0, "Mul": 1, "Relu": 2, "Clip": 3, "Sigmoid": 4, "Tanh": 5, "Gelu": 7,
        "HardSwish": 9, "LeakyRelu": 11}
CLIP = (-0.5, 0.75)


def numbers(rng, *dims):
    return rng.standard_normal(dims).astype(np.float32)


def run(nodes, feed, constants=()):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(
        k, TensorProto.FLOAT, v.shape) for k, v in feed.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], list(constants))
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("lamina", 1)]
    m = helper.make_model(graph, opset_imports=imports, ir_version=9)
    options = lamina.SessionOptions()
    options.graph_optimization_level = lamina.GraphOptimizationLevel.ORT_DISABLE_ALL
    return lamina.InferenceSession(m.SerializeToString(), options).run(["y"], feed)[0]


class Fused(unittest.TestCase):
    def check(self, base, n_base, inputs, steps, **attrs):
        """steps: operator name, or (Add or Mul, shape of the operand)."""
        rng = np.random.default_rng(3)
        feed = {f"i{k}": numbers(rng, *dims) for k, dims in enumerate(inputs)}
        names, operands, params = list(feed), [], []
        value, nodes = "base", [helper.make_node(base, names, ["base"], **attrs)]
        for k, step in enumerate(steps):
            op, dims = step if isinstance(step, tuple) else (step, None)
            more, out = [], "y" if k + 1 == len(steps) else f"s{k}"
            if dims is not None:
                more = [f"o{k}"]
                feed[more[0]] = numbers(rng, *dims)
                operands += more
            extra = {"alpha": 0.125} if op == "LeakyRelu" else {}
            params += CLIP if op == "Clip" else [extra.get("alpha", 0.0), 0.0]
            nodes.append(helper.make_node(op, [value] + (["lo", "hi"] if op == "Clip" else more),
                                          [out], **extra))
            value = out
        bounds = [helper.make_tensor(n, TensorProto.FLOAT, [], [v])
                  for n, v in zip(("lo", "hi"), CLIP, strict=True)]
        kinds = [KIND[s[0] if isinstance(s, tuple) else s] for s in steps]
        fused = helper.make_node("Fused" + base, names + [""] * (n_base - len(names)) + operands,
                                 ["y"], domain="lamina", epi=kinds, epi_p=params, **attrs)
        apart = run(nodes, feed, bounds)
        together = run([fused], feed)
        np.testing.assert_array_equal(together, apart, f"{base} {inputs} {steps}")

    def test_activations(self):
        for act in ("Relu", "Clip", "Sigmoid", "Tanh", "Gelu", "HardSwish", "LeakyRelu"):
            self.check("Conv", 3, [(1, 16, 14, 14), (24, 16, 3, 3), (24,)], [act], pads=[1] * 4)
            self.check("MatMul", 2, [(2, 33, 20), (20, 70)], [("Add", (70,)), act])
            self.check("Gemm", 3, [(5, 20), (20, 30)], [act])

    def test_conv_operands(self):
        for dims in ((1, 24, 14, 14), (24, 1, 1), (1,), (14, 14), (2, 24, 14, 14), (2, 24, 1, 1)):
            for k in (1, 3):
                self.check("Conv", 3, [(2, 16, 14, 14), (24, 16, k, k), (24,)],
                           [("Add", dims), "Relu", ("Mul", dims)], pads=[k // 2] * 4)
            self.check("Conv", 3, [(2, 24, 14, 14), (24, 1, 3, 3)],
                       [("Add", dims), "Clip", ("Mul", dims), "Sigmoid"], pads=[1] * 4, group=24)

    def test_matmul_operands(self):
        for a, b in (((3, 4, 9, 16), (3, 4, 16, 50)), ((3, 4, 9, 16), (16, 50)),
                     ((4, 9, 16), (3, 1, 16, 50)), ((9, 16), (3, 16, 50)), ((16,), (16, 50)),
                     ((9, 16), (16,)), ((1, 16), (16, 50))):
            y = np.matmul(np.zeros(a), np.zeros(b)).shape
            shapes = [(), y, y[-1:], y[-2:], y[:-1] + (1,)]
            shapes += [y[:-2] + (1, y[-1])] if len(y) > 2 else []
            for dims in shapes:
                self.check("MatMul", 2, [a, b], [("Mul", dims), ("Add", dims), "Gelu"])

    def test_gemm_scaled(self):
        for c in ((), (30,), (5, 1), (5, 30)):
            self.check("Gemm", 3, [(5, 20), (20, 30), c],
                       [("Add", (30,)), ("Mul", (5, 1)), ("Add", (5, 30)), "Tanh"],
                       alpha=0.5, beta=0.25)


if __name__ == "__main__":
    main()
