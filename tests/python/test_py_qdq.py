"""
QDQ models on integer operators: within one quantisation step of the same model in floats (the
session without passes) and of onnxruntime, for any zero points, per tensor and per channel, int8
and int4 weights; and no product is left in floats.
"""
import itertools

from pycommon import TensorProto as T
from pycommon import helper, main, np, unittest

import lamina

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

FLOAT_OPS = {"Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm"}
TYPES = {np.uint8: T.UINT8, np.int8: T.INT8}


class Qdq:
    """A QDQ graph under construction; constants are f32 or quantised."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.inits, self.n = [], [], 0

    def name(self, prefix):
        self.n += 1
        return f"{prefix}{self.n}"

    def const(self, array):
        name = self.name("c")
        self.inits.append(helper.make_tensor(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.tobytes(),
            raw=True))
        return name

    def int4(self, array):
        """A constant of int4 from int8 numbers."""
        name = self.name("c")
        self.inits.append(helper.make_tensor(name, T.INT4, array.shape, array.flatten().tolist()))
        return name

    def op(self, kind, inputs, **attrs):
        out = self.name("v")
        self.nodes.append(helper.make_node(kind, inputs, [out], name=self.name("n"), **attrs))
        return out

    def q(self, x, scale, zp):
        return self.op("QuantizeLinear", [x, self.const(np.float32(scale)), self.const(zp)])

    def dq(self, x, scale, zp, **attrs):
        zp = [] if zp is None else [zp if isinstance(zp, str) else self.const(zp)]
        return self.op("DequantizeLinear", [x, self.const(np.float32(scale)), *zp], **attrs)

    def qdq(self, x, scale, zp):
        return self.dq(self.q(x, scale, zp), scale, zp)

    def weights(self, shape, kind, axis=None):
        """Dequantised random weights: int8, uint8 or int4; a scale a row of `axis` if given. Seven
        bits of int8: kernels of onnxruntime saturate at more on CPUs without VNNI."""
        n = 1 if axis is None else shape[axis]
        scale = (self.rng.uniform(0.5, 1.5, n) * 0.02).astype(np.float32)
        scale = self.scale = scale if axis is not None else scale[0]
        attrs = {} if axis is None else {"axis": axis}
        if kind == "int4":
            return self.dq(self.int4(self.rng.integers(-8, 8, shape, np.int8)), scale, None,
                           **attrs)
        if kind == "uint8":
            zp = np.full(np.shape(scale), 121, np.uint8)
            return self.dq(self.const(self.rng.integers(0, 256, shape, np.uint8)), scale, zp,
                           **attrs)
        return self.dq(self.const(self.rng.integers(-63, 64, shape, np.int8)), scale, None,
                       **attrs)

    def build(self, x_shape, y, y_type):
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", T.FLOAT, x_shape)],
            [helper.make_tensor_value_info(y, y_type, None)], self.inits)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)],
                                 ir_version=10).SerializeToString()


def session(model, optimised=True):
    options = lamina.SessionOptions()
    level = lamina.GraphOptimizationLevel
    options.graph_optimization_level = (level.ORT_ENABLE_ALL if optimised
                                        else level.ORT_DISABLE_ALL)
    options.enable_profiling = True
    options.intra_op_num_threads = 1
    return lamina.InferenceSession(model, options)


class QdqModels(unittest.TestCase):
    def check(self, model, x, what, left=frozenset(), steps=1, peer_steps=None):
        """One step of the floats at most; `left`: operators in floats that may stay; peer_steps -1:
        onnxruntime cannot run it."""
        fast = session(model)
        got = fast.run(None, {"x": x})[0]
        want = session(model, False).run(None, {"x": x})[0]
        self.assertEqual(got.dtype, want.dtype, what)
        diff = np.abs(got.astype(np.int32) - want.astype(np.int32))
        self.assertLessEqual(diff.max(), steps, what)
        self.assertGreater(len(np.unique(want)), 2, f"{what}: the case says nothing")
        ran = {n["op"] for n in fast.nodes()}
        self.assertFalse(ran & (FLOAT_OPS - left), f"{what}: {sorted(ran)}")
        if onnxruntime and peer_steps != -1:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            peer = onnxruntime.InferenceSession(model, options,
                                                providers=["CPUExecutionProvider"])
            diff = np.abs(got.astype(np.int32) - peer.run(None, {"x": x})[0].astype(np.int32))
            self.assertLessEqual(diff.max(), steps if peer_steps is None else peer_steps,
                                 f"{what}: beside onnxruntime")
        return ran

    def conv(self, seed, x_zp, y_zp, w_kind, axis, bias, act):
        g = Qdq(seed)
        x = g.qdq("x", 0.03, x_zp)
        w = g.weights((6, 4, 3, 3), w_kind, axis)
        inputs = [x, w]
        if bias == "f32":
            inputs.append(g.const(g.rng.normal(0, 1, 6).astype(np.float32)))
        elif bias == "int32":
            inputs.append(g.dq(g.const(g.rng.integers(-2000, 2000, 6, np.int32)),
                               0.03 * g.scale, None, axis=0))
        y = g.op("Conv", inputs, pads=[1, 1, 1, 1])
        if act == "relu":
            y = g.op("Relu", [y])
        elif act:
            y = g.op("Clip", [y, g.const(np.float32(act[0])), g.const(np.float32(act[1]))])
        y = g.q(y, 0.05, y_zp)
        return g.build([1, 4, 7, 5], y, TYPES[type(y_zp)])

    def test_conv(self):
        x = np.random.default_rng(1).normal(0, 2, (1, 4, 7, 5)).astype(np.float32)
        zps = (np.uint8(0), np.uint8(128), np.uint8(37), np.int8(0), np.int8(-128), np.int8(11))
        seed = 0
        for x_zp, y_zp in itertools.product(zps, zps):
            for act in (None, "relu", (-1.0, 2.5), (0.0, 6.0)):
                seed += 1
                w = ("int8", "uint8", "int4")[seed % 3]
                axis = (None, 0)[seed % 2]
                bias = (None, "f32", "int32")[seed // 2 % 3]
                what = f"conv {x_zp!r} {y_zp!r} {w} axis {axis} bias {bias} {act}"
                self.check(self.conv(seed, x_zp, y_zp, w, axis, bias, act), x, what)

    def test_matmul(self):
        x = np.random.default_rng(2).normal(0, 2, (2, 3, 40)).astype(np.float32)
        zps = (np.uint8(0), np.uint8(128), np.uint8(200), np.int8(0), np.int8(-7))
        for seed, (x_zp, y_zp) in enumerate(itertools.product(zps, zps)):
            g = Qdq(seed)
            w = g.weights((40, 9), ("int8", "uint8", "int4")[seed % 3], (None, 1)[seed % 2])
            y = g.op("MatMul", [g.qdq("x", 0.03, x_zp), w])
            if seed % 4:
                y = g.op("Relu", [y])
            y = g.q(y, 0.1, y_zp)
            self.check(g.build([2, 3, 40], y, TYPES[type(y_zp)]), x, f"matmul {x_zp!r} {y_zp!r}")

    def test_blocks(self):
        """Weights with a scale a block of rows, the last one short."""
        x = np.random.default_rng(2).normal(0, 2, (2, 3, 72)).astype(np.float32)
        for seed, zp in enumerate((np.uint8(0), np.uint8(128), np.int8(-7))):
            for bits, zero in ((4, False), (4, True), (8, False)):
                g = Qdq(seed)
                blocks, top = (3, 33), 1 << (bits - 1)
                w = g.rng.integers(-top, top, (72, 33), np.int8)
                z = g.rng.integers(-3, 3, blocks, np.int8)
                pack = g.int4 if bits == 4 else g.const
                scale = (g.rng.uniform(0.5, 1.5, blocks) * 0.3 / top).astype(np.float32)
                w = g.dq(pack(w), scale, pack(z) if zero else None, axis=0, block_size=32)
                y = g.op("Relu", [g.op("MatMul", [g.qdq("x", 0.03, zp), w])])
                model = g.build([2, 3, 72], g.q(y, 0.1, zp), TYPES[type(zp)])
                ran = self.check(model, x, f"blocks {zp!r} {bits} {zero}",
                                 peer_steps=3 if bits == 4 else -1)
                self.assertTrue(any("QBlockMatMul" in op for op in ran), ran)

    def test_matmul_of_activations(self):
        g = Qdq(7)
        x = np.random.default_rng(3).normal(0, 2, (2, 3, 5, 5)).astype(np.float32)
        a = g.qdq("x", 0.03, np.uint8(128))
        b = g.qdq("x", 0.04, np.int8(3))
        y = g.q(g.op("MatMul", [a, b]), 0.2, np.uint8(100))
        self.check(g.build([2, 3, 5, 5], y, T.UINT8), x, "two activations")

    def pair(self, seed, zp_a, zp_b):
        g = Qdq(seed)
        return g, g.qdq("x", 0.03, zp_a), g.qdq(g.op("Sin", ["x"]), 0.01, zp_b)

    def test_bias(self):
        """Gemm, and MatMul with an Add, with biases of every kind; ending in Q and in f32."""
        x = np.random.default_rng(5).normal(0, 2, (3, 40)).astype(np.float32)
        for seed in range(24):
            g = Qdq(seed)
            gemm, turned, to_float = seed % 2, seed // 2 % 2, seed % 5 == 0
            shape = (9, 40) if gemm and turned else (40, 9)
            axis = (None, shape.index(9))[seed // 3 % 2]
            w = g.weights(shape, ("int8", "uint8", "int4")[seed % 3], axis)
            if seed % 4 < 2:
                b = g.const(g.rng.normal(0, 1, (9,) if seed % 8 else (1, 9)).astype(np.float32))
            else:
                b = g.dq(g.const(g.rng.integers(-900, 900, 9, np.int32)), 0.03 * g.scale, None,
                         axis=0)
            a = g.qdq("x", 0.03, np.uint8(seed * 10))
            y = (g.op("Gemm", [a, w, b], transB=turned) if gemm
                 else g.op("Add", [b, g.op("MatMul", [a, w])]))
            if to_float:
                y = g.op("Tanh", [y])
                y, t = g.q(y, 0.02, np.uint8(128)), T.UINT8
            else:
                y, t = g.q(g.op("Relu", [y]), 0.1, np.int8(seed - 10)), T.INT8
            model = g.build([3, 40], y, t)
            ran = self.check(model, x, f"bias {seed}", {"Add"})
            if not to_float:
                self.assertIn("QGemm", {op.split(":")[-1] for op in ran}, seed)

    def test_elementwise(self):
        x = np.random.default_rng(6).normal(0, 2, (2, 4, 6, 6)).astype(np.float32)
        for seed, (za, zb) in enumerate(itertools.product((0, 128, 77), (0, 128, 9))):
            for kind in ("Add", "Mul", "Concat"):
                for act in (None, "Relu"):
                    g, a, b = self.pair(seed, np.uint8(za), np.uint8(zb))
                    y = g.op(kind, [a, b], **({"axis": 1} if kind == "Concat" else {}))
                    y = g.q(g.op(act, [y]) if act else y, 0.05, np.uint8(100))
                    ran = self.check(g.build([2, 4, 6, 6], y, T.UINT8), x, f"{kind} {za} {zb}")
                    self.assertTrue(any("QLinear" + kind in op for op in ran), ran)

    def test_average(self):
        x = np.random.default_rng(7).normal(0, 2, (2, 4, 6, 6)).astype(np.float32)
        for zp in (np.uint8(0), np.uint8(128), np.int8(-5)):
            for kind, attrs in (("GlobalAveragePool", {}),
                                ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})):
                g = Qdq(9)
                y = g.q(g.op(kind, [g.qdq("x", 0.03, zp)], **attrs), 0.01, zp)
                ran = self.check(g.build([2, 4, 6, 6], y, TYPES[type(zp)]), x, f"{kind} {zp!r}")
                self.assertTrue(any("QLinear" + kind in op for op in ran), ran)

    def test_moves(self):
        """With one scale and zero point nothing is left of the floats."""
        x = np.random.default_rng(8).normal(0, 2, (2, 4, 6, 6)).astype(np.float32)
        for zp in (np.uint8(0), np.uint8(128), np.int8(-5), np.uint16(9)):
            g = Qdq(10)
            first = g.q("x", 0.03, zp)
            v = g.dq(first, 0.03, zp)
            steps = [("Transpose", [], {"perm": [0, 2, 1, 3]}),
                     ("Slice", [np.array([1]), np.array([5]), np.array([1])], {}),
                     ("Reshape", [np.array([2, -1, 2])], {}),
                     ("Gather", [np.array([1, 0, 3])], {"axis": 1})]
            if zp.dtype.itemsize == 1:
                steps.insert(0, ("MaxPool", [], {"kernel_shape": [2, 2]}))
            for kind, extra, attrs in steps[:-1]:
                v = g.op(kind, [v, *(g.const(e.astype(np.int64)) for e in extra)], **attrs)
            kind, extra, attrs = steps[-1]
            v = g.qdq(v, 0.03, zp)
            v = g.op(kind, [v, *(g.const(e.astype(np.int64)) for e in extra)], **attrs)
            v = g.op("Clip", [v, g.const(np.float32(-1)), g.const(np.float32(1))])
            y = g.q(v, 0.03, zp) if zp.dtype.itemsize == 1 else g.q(
                g.op("Transpose", [g.qdq(v, 0.03, zp)]), 0.03, zp)
            types = {**TYPES, np.uint16: T.UINT16}
            ran = self.check(g.build([2, 4, 6, 6], y, types[type(zp)]), x, f"moves {zp!r}", steps=0)
            if zp.dtype.itemsize == 1:
                self.assertNotIn("DequantizeLinear", ran)

    def close(self, model, x, op, peer_atol=1e-4):
        """f32 results: as without passes and near onnxruntime's, and `op` ran."""
        fast = session(model)
        got = fast.run(None, {"x": x})[0]
        np.testing.assert_allclose(got, session(model, False).run(None, {"x": x})[0], 1e-4, 1e-4)
        self.assertIn(op, {n["op"].split(":")[-1] for n in fast.nodes()})
        if onnxruntime:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            peer = onnxruntime.InferenceSession(model, options,
                                                providers=["CPUExecutionProvider"])
            np.testing.assert_allclose(got, peer.run(None, {"x": x})[0], 1e-4, peer_atol)

    def test_dynamic(self):
        x = np.random.default_rng(11).normal(0, 2, (2, 3, 40)).astype(np.float32)
        for columns, bias in itertools.product((False, True), (False, True)):
            g = Qdq(12)
            w = g.const(g.rng.integers(-63, 64, (40, 9), np.int8))
            scale = g.rng.uniform(0.01, 0.02, 9 if columns else ()).astype(np.float32)
            zp = np.zeros(scale.shape, np.int8)
            g.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]))
            y = g.op("MatMulInteger", ["q", w, "z", g.const(zp)])
            y = g.op("Mul", [g.op("Cast", [y], to=T.FLOAT), g.op("Mul", ["s", g.const(scale)])])
            if bias:
                y = g.op("Add", [y, g.const(g.rng.normal(0, 1, 9).astype(np.float32))])
            self.close(g.build([2, 3, 40], y, T.FLOAT), x, "MatMulIntegerToFloat")

    def test_nbits(self):
        """Weights of four bits alone: by blocks, a scale a column, one for all. onnxruntime rounds
        the other operand to 8 bits here."""
        x = np.random.default_rng(13).normal(0, 2, (3, 64)).astype(np.float32)
        for shape, attrs in (((4, 10), {"axis": 0, "block_size": 16}), ((10,), {"axis": 1}),
                             ((), {})):
            g = Qdq(14)
            w = g.int4(g.rng.integers(-8, 8, (64, 10), np.int8))
            scale = g.rng.uniform(0.01, 0.02, shape).astype(np.float32)
            y = g.op("MatMul", ["x", g.dq(w, scale, None, **attrs)])
            self.close(g.build([3, 64], y, T.FLOAT), x, "MatMulNBits", 0.03)

    def test_shared_with_floats(self):
        """A dequantised value that others read as f32 stays for them."""
        g = Qdq(8)
        x = np.random.default_rng(4).normal(0, 2, (1, 4, 6, 6)).astype(np.float32)
        a = g.qdq("x", 0.03, np.uint8(120))
        c = g.qdq(g.op("Conv", [a, g.weights((4, 4, 1, 1), "int8")]), 0.05, np.uint8(90))
        y = g.q(g.op("Sub", [g.op("Exp", [a]), c]), 0.5, np.uint8(3))
        self.check(g.build([1, 4, 6, 6], y, T.UINT8), x, "shared")


if __name__ == "__main__":
    main()
