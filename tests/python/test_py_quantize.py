"""
Bar B9: what lamina quantize and lamina convert write passes onnx.checker, and onnxruntime computes
from it what Lamina does; quantised models stay close to float32. Without onnxruntime only the
checks against Lamina itself are made.
"""
import json
import os
import struct
import subprocess
import tempfile
import zlib

from pycommon import TensorProto, main, model, node, np, onnx, tensor, unittest

import lamina

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

PROGRAM = os.path.join(os.environ["LAMINA_BUILD_DIR"], "bin", "lamina")
F32 = TensorProto.FLOAT


def const(name, array):
    return onnx.numpy_helper.from_array(np.asarray(array), name)


def normal(rng, *shape):
    return rng.normal(0, 1 / np.sqrt(max(np.prod(shape[1:]), 1)), shape).astype(np.float32)


def conv_net():
    """Convolutions with every pattern between them: normalisation, bounds, a residual, pooling."""
    r = np.random.default_rng(7)
    weights = [const("w1", normal(r, 8, 3, 3, 3)), const("b1", normal(r, 8)),
               const("w2", normal(r, 8, 1, 3, 3)), const("w3", normal(r, 8, 8, 1, 1)),
               const("b3", normal(r, 8)),
               const("w4", normal(r, 10, 16)), const("b4", normal(r, 10)),
               const("scale", r.uniform(0.5, 1.5, 8).astype(np.float32)),
               const("shift", normal(r, 8)),
               const("mean", normal(r, 8)), const("var", r.uniform(0.5, 1.5, 8).astype(np.float32)),
               const("zero", np.float32(0)), const("six", np.float32(6))]
    nodes = [node("Conv", ["x", "w1", "b1"], ["c1"], name="first", pads=[1, 1, 1, 1]),
             node("Relu", ["c1"], ["r1"]),
             node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
             node("Conv", ["p1", "w2"], ["c2"], name="depth", group=8, pads=[1, 1, 1, 1]),
             node("BatchNormalization", ["c2", "scale", "shift", "mean", "var"], ["n2"]),
             node("Clip", ["n2", "zero", "six"], ["k2"]),
             node("Conv", ["k2", "w3", "b3"], ["c3"], name="point"),
             node("Add", ["c3", "p1"], ["a3"], name="residual"),
             node("Concat", ["a3", "k2"], ["j3"], axis=1),
             node("GlobalAveragePool", ["j3"], ["g"]),
             node("Flatten", ["g"], ["f"]),
             node("Gemm", ["f", "w4", "b4"], ["y"], name="head", transB=1, alpha=0.5, beta=2.0)]
    return model(nodes, [tensor("x", F32, ["N", 3, 12, 12])], [tensor("y", F32, ["N", 10])],
                 weights, opset=17, ir=8)


def mlp():
    r = np.random.default_rng(8)
    weights = [const("w1", normal(r, 40, 48).T.copy().T), const("b1", normal(r, 48)),
               const("w2", normal(r, 24, 48)), const("b2", np.float32([0.25])),
               const("w3", normal(r, 24, 6))]
    nodes = [node("MatMul", ["x", "w1"], ["m1"], name="one"), node("Add", ["m1", "b1"], ["s1"]),
             node("Relu", ["s1"], ["r1"]),
             node("Gemm", ["r1", "w2", "b2"], ["g2"], name="two", transB=1),
             node("Tanh", ["g2"], ["t2"]), node("MatMul", ["t2", "w3"], ["y"], name="three")]
    return model(nodes, [tensor("x", F32, ["N", 40])], [tensor("y", F32, ["N", 6])], weights,
                 opset=17, ir=8)


def png(path, pixels):
    """An RGB picture, every row unfiltered."""
    h, w, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in ((b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)),
                           (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
            f.write(struct.pack(">I", len(data)) + kind + data)
            f.write(struct.pack(">I", zlib.crc32(kind + data)))


class Quantize(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.addCleanup(self.tmp.cleanup)

    def path(self, name):
        return os.path.join(self.tmp.name, name)

    def tool(self, *args, rc=0):
        p = subprocess.run([PROGRAM, *args], capture_output=True, text=True, check=False)
        self.assertEqual(p.returncode, rc, p.stderr + p.stdout)
        return p.stdout if rc == 0 else p.stderr

    def ours(self, path, x):
        return lamina.InferenceSession(path).run(None, {"x": x})

    def theirs(self, path, x):
        """What onnxruntime says, None without it."""
        onnx.checker.check_model(onnx.load(path), full_check=True)
        if onnxruntime is None:
            return None
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads = 1
        s = onnxruntime.InferenceSession(path, o, providers=["CPUExecutionProvider"])
        return s.run(None, {"x": x})

    def quantize(self, data, x, *options):
        src, dst, npz = self.path("in.onnx"), self.path("out.onnx"), self.path("x.npz")
        with open(src, "wb") as f:
            f.write(data)
        np.savez(npz, x=x)
        said = self.tool("quantize", src, "-o", dst, "--json", "--data", npz, *options)
        report = json.loads(said)
        want, got, other = self.ours(src, x)[0], self.ours(dst, x)[0], self.theirs(dst, x)
        out = report["outputs"][0]
        length = np.linalg.norm(want)
        self.assertAlmostEqual(out["rel_l2"], np.linalg.norm(got - want) / length, delta=2e-3)
        self.assertAlmostEqual(out["max_abs"], np.abs(got - want).max(), delta=2e-3 * length)
        if other is not None: # a step of an activation may fall to the other side
            self.assertLess(np.linalg.norm(other[0] - got) / length, 0.01)
        return report, onnx.load(dst), np.linalg.norm(got - want) / length

    def ops(self, m):
        return [n.op_type for n in m.graph.node]

    def test_static_conv(self):
        x = np.random.default_rng(1).normal(0, 1, (6, 3, 12, 12)).astype(np.float32)
        for options in ((), ("--per-tensor",), ("--activations", "int8"),
                        ("--calibrate", "percentile=99.99")):
            report, m, error = self.quantize(conv_net(), x, "--static", *options)
            self.assertLess(error, 0.06, options)
            weighted = [x["op"] for x in report["layers"] if "weight_rel_l2" in x]
            self.assertEqual(weighted, ["Conv", "Conv", "Conv", "Gemm"])
            types = {i.name: i.data_type for i in m.graph.initializer}
            self.assertEqual(types["w1_quantized"], TensorProto.INT8)
            self.assertEqual(types["b1_quantized"], TensorProto.INT32)
            want = TensorProto.INT8 if "int8" in options else TensorProto.UINT8
            self.assertEqual(types["x_zero_point"], want)
            # each convolution reads and feeds integers: nothing but activations between
            self.assertNotIn("BatchNormalization", self.ops(m))
            self.assertEqual(self.ops(m).count("QuantizeLinear"), 9)
            w = onnx.numpy_helper.to_array(
                next(i for i in m.graph.initializer if i.name == "w1_scale"))
            self.assertEqual(w.shape, () if "--per-tensor" in options else (8,))
            self.assertEqual(report["outputs"][0]["rows"], 6)

    def test_bias_scale(self):
        x = np.random.default_rng(2).normal(0, 1, (4, 3, 12, 12)).astype(np.float32)
        _, m, _ = self.quantize(conv_net(), x, "--static")
        c = {i.name: onnx.numpy_helper.to_array(i) for i in m.graph.initializer}
        np.testing.assert_allclose(c["b1_scale"], c["w1_scale"] * c["x_scale"], 1e-6)
        r = np.random.default_rng(7)
        w, b = normal(r, 8, 3, 3, 3), normal(r, 8)
        np.testing.assert_allclose(c["w1_scale"], np.abs(w).reshape(8, -1).max(1) / 127, 1e-6)
        np.testing.assert_array_equal(c["b1_quantized"], np.rint(b / c["b1_scale"].astype(float)))
        want = np.float32((x.max() - x.min()) / np.float32(255))
        np.testing.assert_allclose(c["x_scale"], want, 1e-6)
        self.assertEqual(c["x_zero_point"], np.rint(-x.min() / want))

    def test_static_mlp(self):
        x = np.random.default_rng(3).normal(0, 1, (16, 40)).astype(np.float32)
        _, m, error = self.quantize(mlp(), x, "--static")
        self.assertLess(error, 0.03)
        self.assertEqual(self.ops(m).count("QuantizeLinear"), 3) # the output stays float

    def test_dynamic(self):
        x = np.random.default_rng(4).normal(0, 1, (5, 40)).astype(np.float32)
        for options in ((), ("--per-tensor",)):
            _, m, error = self.quantize(mlp(), x, "--dynamic", *options)
            self.assertLess(error, 0.03)
            self.assertEqual(self.ops(m).count("MatMulInteger"), 3)
            self.assertEqual(self.ops(m).count("DynamicQuantizeLinear"), 3)
        _, m, _ = self.quantize(mlp(), x, "--dynamic", "--exclude", "two,three")
        self.assertEqual(self.ops(m).count("MatMulInteger"), 1)
        _, m, _ = self.quantize(mlp(), x, "--dynamic", "--ops", "Gemm")
        self.assertEqual(self.ops(m).count("MatMul"), 2)

    def test_int4(self):
        x = np.random.default_rng(5).normal(0, 1, (5, 40)).astype(np.float32)
        errors = {}
        for options in ((), ("--symmetric",), ("--block", "16"), ("--block", "128"),
                        ("--activations", "float32")):
            _, m, errors[options] = self.quantize(mlp(), x, "--int4", *options)
            self.assertLess(errors[options], 0.3, options)
            products = [n for n in m.graph.node if n.op_type == "MatMulNBits"]
            self.assertEqual(len(products), 3)
            level = [a.i for n in products for a in n.attribute if a.name == "accuracy_level"]
            self.assertEqual(level, [] if "float32" in options else [4] * 3)
        # rounded rows are little beside weights of 4 bits
        self.assertLess(errors[()], 1.1 * errors["--activations", "float32"])

    def test_samples(self):
        """Files with several samples, folders, and one set at a time give the same ranges."""
        x = np.random.default_rng(6).normal(0, 1, (4, 40)).astype(np.float32)
        m = onnx.load_from_string(mlp())
        m.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        m.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
        src = self.path("fixed.onnx")
        onnx.save(m, src)
        os.mkdir(self.path("many"))
        for i in range(4):
            np.save(self.path(f"many/{i}.npy"), x[i:i + 1])
        np.savez(self.path("all.npz"), x=x)
        np.savez(self.path("deep.npz"), x=x[:, None])
        files = []
        for data in ("many", "all.npz", "deep.npz"):
            out = self.path(data + ".onnx")
            said = json.loads(self.tool("quantize", src, "-o", out, "--static", "--data",
                                        self.path(data), "--json"))
            self.assertEqual(said["sets"], 4)
            with open(out, "rb") as f:
                files.append(f.read())
        self.assertTrue(files[0] == files[1] == files[2])

    def test_pictures(self):
        r = np.random.default_rng(10)
        os.mkdir(self.path("pictures"))
        for i in range(3):
            png(self.path(f"pictures/{i}.png"), r.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        with open(self.path("r.recipe"), "w", encoding="ascii") as f:
            f.write("input image rgb nchw, size 12 12, sub 127, div 128\n")
        src, out = self.path("in.onnx"), self.path("out.onnx")
        with open(src, "wb") as f:
            f.write(conv_net())
        args = ("quantize", src, "-o", out, "--static", "--data", self.path("pictures"), "--recipe",
                self.path("r.recipe"), "--json", "--report", self.path("r.json"))
        p = subprocess.run([PROGRAM, *args], capture_output=True, text=True, check=False)
        if "libpng-dev" in p.stderr:
            self.skipTest("the program was built without libpng")
        self.assertEqual(p.returncode, 0, p.stderr)
        said = json.loads(p.stdout)
        self.assertEqual((said["sets"], said["random"]), (3, False))
        self.assertLess(said["outputs"][0]["rel_l2"], 0.06)
        with open(self.path("r.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f), said)
        c = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(out).graph.initializer}
        self.assertAlmostEqual(float(c["x_scale"]), 2 / 255, delta=2e-4) # of [-1, 1]

    def test_test_data(self):
        """Folders in the layout of ONNX test data."""
        x = np.random.default_rng(11).normal(0, 1, (3, 40)).astype(np.float32)
        src, out = self.path("in.onnx"), self.path("out.onnx")
        with open(src, "wb") as f:
            f.write(mlp())
        for i in range(2):
            os.makedirs(self.path(f"data/test_data_set_{i}"))
            with open(self.path(f"data/test_data_set_{i}/input_0.pb"), "wb") as f:
                f.write(onnx.numpy_helper.from_array(x + i).SerializeToString())
        for data, sets in (("data", 2), ("data/test_data_set_1", 1)):
            said = json.loads(self.tool("quantize", src, "-o", out, "--static", "--data",
                                        self.path(data), "--json"))
            self.assertEqual(said["sets"], sets)

    def test_subgraph(self):
        """What a branch captures may be quantised; the branch itself stays."""
        r = np.random.default_rng(12)
        t = onnx.helper.make_graph([node("MatMul", ["m", "w2"], ["t"])], "then", [],
                                   [tensor("t", F32, None)])
        e = onnx.helper.make_graph([node("Identity", ["m"], ["e"])], "else", [],
                                   [tensor("e", F32, None)])
        m = model([node("MatMul", ["x", "w"], ["a"], name="out"),
                   node("MatMul", ["a", "w"], ["m"], name="next"),
                   node("If", ["c"], ["y"], then_branch=t, else_branch=e)],
                  [tensor("x", F32, [3, 8])], [tensor("y", F32, [3, 8])],
                  [const("w", normal(r, 8, 8)), const("w2", normal(r, 8, 8)),
                   const("c", np.array(True))], opset=17, ir=8)
        x = r.normal(0, 1, (3, 8)).astype(np.float32)
        for mode, op in (("--static", "DequantizeLinear"), ("--dynamic", "MatMulInteger"),
                         ("--int4", "MatMulNBits")):
            _, q, error = self.quantize(m, x, mode)
            self.assertLess(error, 0.4)
            self.assertIn(op, self.ops(q))

    def test_input_passed_through(self):
        r = np.random.default_rng(14)
        x = r.normal(0, 1, (3, 8)).astype(np.float32)
        m = model([node("MatMul", ["x", "w"], ["y"])], [tensor("x", F32, [3, 8])],
                  [tensor("y", F32, [3, 4]), tensor("x", F32, [3, 8])],
                  [const("w", normal(r, 8, 4))], opset=17, ir=8)
        for mode in ("--static", "--dynamic"):
            report, _, error = self.quantize(m, x, mode)
            self.assertLess(error, 0.02)
            self.assertEqual(report["outputs"][1]["max_abs"], 0)

    def test_old_ir(self):
        """Weights that are inputs because IR version 3 wants it so are weights."""
        x = np.random.default_rng(13).normal(0, 1, (4, 3, 12, 12)).astype(np.float32)
        m = onnx.load_from_string(conv_net())
        m.ir_version = 3
        m.graph.input.extend([tensor(i.name, F32, i.dims) for i in m.graph.initializer])
        _, q, error = self.quantize(m.SerializeToString(), x, "--static")
        self.assertLess(error, 0.06)
        self.assertEqual([i.name for i in q.graph.input], ["x"])
        m.ir_version = 8
        src = self.path("open.onnx")
        onnx.save(m, src)
        self.assertIn("inputs with defaults", self.tool("quantize", src, "-o", self.path("o.onnx"),
                                                        "--static", "--random", "1", rc=1))

    def test_refusals(self):
        src, out = self.path("in.onnx"), self.path("out.onnx")
        with open(src, "wb") as f:
            f.write(mlp())
        plain = model([node("Relu", ["x"], ["y"])], [tensor("x", F32, ["N", 4])],
                      [tensor("y", F32, ["N", 4])])
        with open(self.path("relu.onnx"), "wb") as f:
            f.write(plain)
        np.savez(self.path("bad.npz"), x=np.zeros((2, 41), np.float32))
        np.savez(self.path("other.npz"), z=np.zeros((2, 40), np.float32))
        np.savez(self.path("ints.npz"), x=np.zeros((2, 40), np.int64))
        os.mkdir(self.path("empty"))
        q = ("quantize", src, "-o", out)
        for says, rc, args in (
                ("--data", 2, (*q, "--static")), ("how?", 2, q), ("where", 2, ("quantize", src)),
                ("exclude each other", 2, (*q, "--static", "--int4")),
                ("--block", 2, (*q, "--int4", "--block", "33")),
                *(("are of --static", 2, (*q, mode, "--activations", t))
                  for mode in ("--dynamic", "--int4") for t in ("uint8", "int8")),
                ("are of --static", 2, (*q, "--int4", "--calibrate", "minmax")),
                ("float32 is of --int4", 2, (*q, "--dynamic", "--activations", "float32")),
                ("percentile", 2, (*q, "--static", "--calibrate", "percentile=20")),
                ("nothing to quantise", 1, ("quantize", self.path("relu.onnx"), "-o", out,
                                            "--dynamic")),
                ("no node", 1, (*q, "--dynamic", "--exclude", "nobody")),
                ("excluded", 1, (*q, "--dynamic", "--exclude", "one,two,three")),
                ("Conv, Gemm", 1, (*q, "--static", "--random", "1", "--ops", "LSTM")),
                ("no such file", 1, (*q, "--static", "--data", self.path("none.npz"))),
                ("no samples", 1, (*q, "--static", "--data", self.path("empty"))),
                ("41", 1, (*q, "--static", "--data", self.path("bad.npz"))),
                ("x", 1, (*q, "--static", "--data", self.path("other.npz"))),
                ("int64", 1, (*q, "--static", "--data", self.path("ints.npz")))):
            self.assertIn(says, self.tool(*args, rc=rc), args)
        self.assertFalse(os.path.exists(out))


class Convert(unittest.TestCase):
    def test_round_trips(self):
        x = np.random.default_rng(9).normal(0, 1, (2, 3, 12, 12)).astype(np.float32)
        with tempfile.TemporaryDirectory() as tmp:
            src, dst = os.path.join(tmp, "in.onnx"), os.path.join(tmp, "out.onnx")
            with open(src, "wb") as f:
                f.write(conv_net())
            want = lamina.InferenceSession(src).run(None, {"x": x})[0]
            for options, tolerance in (((), 1e-5), (("--fold", "--strip", "--dedupe"), 1e-5),
                                       (("--external", "w.bin"), 1e-5), (("--dim", "N=2"), 1e-5),
                                       (("--f16",), 2e-3), (("--bf16",), 2e-2)):
                subprocess.run([PROGRAM, "convert", src, dst, *options], check=True,
                               capture_output=True)
                onnx.checker.check_model(dst, full_check=True)
                got = lamina.InferenceSession(dst).run(None, {"x": x})[0]
                scale = np.abs(want).max()
                np.testing.assert_allclose(got, want, tolerance, tolerance * scale, err_msg=options)
                if onnxruntime is None:
                    continue
                s = onnxruntime.InferenceSession(dst, providers=["CPUExecutionProvider"])
                other = s.run(None, {"x": x})[0]
                np.testing.assert_allclose(got, other, 1e-4, 1e-5 * scale, err_msg=options)


if __name__ == "__main__":
    main()
