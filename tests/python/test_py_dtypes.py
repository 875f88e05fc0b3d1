"""
Every element type goes in and comes out with the same bits: numpy's, those of ml_dtypes (whole and
packed), strings, sequences, optionals.
"""
from pycommon import TensorProto as T
from pycommon import helper, identity, main, model, node, np, tensor, unittest

import lamina

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

PLAIN = {T.FLOAT: "f4", T.DOUBLE: "f8", T.FLOAT16: "f2", T.INT8: "i1", T.INT16: "i2",
         T.INT32: "i4", T.INT64: "i8", T.UINT8: "u1", T.UINT16: "u2", T.UINT32: "u4",
         T.UINT64: "u8", T.BOOL: "?", T.COMPLEX64: "c8", T.COMPLEX128: "c16"}
SMALL = {T.BFLOAT16: "bfloat16", T.FLOAT8E4M3FN: "float8_e4m3fn",
         T.FLOAT8E4M3FNUZ: "float8_e4m3fnuz", T.FLOAT8E5M2: "float8_e5m2",
         T.FLOAT8E5M2FNUZ: "float8_e5m2fnuz", T.FLOAT8E8M0: "float8_e8m0fnu", T.INT4: "int4",
         T.UINT4: "uint4", T.INT2: "int2", T.UINT2: "uint2", T.FLOAT4E2M1: "float4_e2m1fn"}
BITS = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4_e2m1fn": 4}


def run(m, x):
    return lamina.InferenceSession(m).run(None, {"x": x})[0]


class Numbers(unittest.TestCase):
    def same(self, x, y):
        self.assertEqual(x.dtype, y.dtype)
        self.assertEqual(x.shape, y.shape)
        self.assertEqual(x.tobytes(), y.tobytes())

    def test_plain(self):
        rng = np.random.default_rng(1)
        for code, kind in PLAIN.items():
            with self.subTest(kind):
                raw = rng.integers(0, 2, 5 * 3) if kind == "?" else rng.integers(0, 100, 5 * 3)
                x = raw.astype(kind).reshape(5, 3)
                self.same(x, run(identity(code, ["n", 3]), x))

    @unittest.skipUnless(ml_dtypes, "ml_dtypes is not installed")
    def test_small(self):
        for code, name in SMALL.items():
            dtype = np.dtype(getattr(ml_dtypes, name))
            for n in (0, 1, 3, 4, 7, 16):
                with self.subTest(name, n=n):
                    bits = BITS.get(name, 8 * dtype.itemsize)
                    raw = (np.arange(n) * 37 + 11) % (1 << bits)
                    x = raw.astype(f"u{dtype.itemsize}").view(dtype)
                    if name in ("int4", "int2"):  # as ml_dtypes itself holds negatives
                        x = (raw - (1 << (bits - 1))).astype("i1").astype(dtype)
                    self.same(x, run(identity(code), x))

    @unittest.skipUnless(ml_dtypes, "ml_dtypes is not installed")
    def test_small_by_hand(self):
        x = np.array([-8, 7, -1, 3, 0], ml_dtypes.int4)
        y = run(model([node("Cast", ["x"], ["y"], to=T.INT32)], [tensor("x", T.INT4, ["n"])],
                      [tensor("y", T.INT32, ["n"])]), x)
        self.assertEqual(y.tolist(), [-8, 7, -1, 3, 0])
        y = run(model([node("Cast", ["x"], ["y"], to=T.INT2)], [tensor("x", T.INT32, ["n"])],
                      [tensor("y", T.INT2, ["n"])]), np.array([-2, 1, -1, 0, 1], np.int32))
        self.assertEqual(y.dtype, np.dtype(ml_dtypes.int2))
        self.assertEqual(y.astype(np.int32).tolist(), [-2, 1, -1, 0, 1])

    def test_other_layouts(self):
        m = identity(T.FLOAT, ["a", "b"])
        base = np.arange(24, dtype=np.float32).reshape(4, 6)
        for x in (base.T, base[::2, 1::2], base[::-1], np.broadcast_to(base[0], (3, 6)),
                  np.asfortranarray(base), base.astype(">f4"), base[:0]):
            y = run(m, x)
            self.assertTrue(np.array_equal(x, y))
            self.assertTrue(y.flags.c_contiguous and y.dtype == np.float32)
        odd = np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:].view(np.float32).reshape(4, 6)
        self.assertTrue(np.array_equal(odd, run(m, odd)))
        base.flags.writeable = False
        self.assertTrue(np.array_equal(base, run(m, base)))

    def test_scalars_and_lists(self):
        self.same(np.array(2.5, np.float32), run(identity(T.FLOAT, []), np.float32(2.5)))
        self.same(np.array([[1, 2]], np.float32), run(identity(T.FLOAT, [1, 2]), [[1, 2]]))
        self.same(np.array(7, np.int64), run(identity(T.INT64, []), 7))

    def test_unknown(self):
        for x in (np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f4")]), np.zeros(2, np.longdouble)):
            with self.assertRaises(lamina.InvalidArgument) as caught:
                run(identity(), x)
            self.assertEqual(caught.exception.status, lamina.Status.E_DTYPE)


class Strings(unittest.TestCase):
    def test_round_trip(self):
        m = identity(T.STRING)
        words = ["", "a", "zürich", "日本", "x\0y"]
        y = run(m, np.array(words, object))
        self.assertEqual((y.dtype, y.tolist()), (np.dtype(object), words))
        self.assertEqual(run(m, np.array(["a", "bé"])).tolist(), ["a", "bé"])
        self.assertEqual(run(m, np.array([b"a", b"bc"])).tolist(), ["a", "bc"])
        self.assertEqual(run(m, ["p", "q"]).tolist(), ["p", "q"])
        self.assertEqual(run(m, np.array([], object)).shape, (0,))
        self.assertEqual(run(m, np.array([1, None], object)).tolist(), ["1", "None"])
        if hasattr(np.dtypes, "StringDType"):
            x = np.array(["one", "two"], np.dtypes.StringDType())
            self.assertEqual(run(m, x).tolist(), ["one", "two"])

    def test_bytes_that_are_no_text(self):
        y = run(identity(T.STRING), np.array([b"\xff\xfe"], object))
        self.assertEqual(run(identity(T.STRING), y).tolist(), y.tolist())
        self.assertEqual(y[0].encode("utf-8", "surrogateescape"), b"\xff\xfe")

    def test_shape(self):
        x = np.array([["a", "b"], ["c", "d"], ["e", "f"]], object)
        self.assertTrue(np.array_equal(run(identity(T.STRING, ["a", "b"]), x.T), x.T))


class Sequences(unittest.TestCase):
    def test_round_trip(self):
        seq = helper.make_tensor_sequence_value_info
        m = model([node("Identity", ["x"], ["y"])], [seq("x", T.FLOAT, None)],
                  [seq("y", T.FLOAT, None)])
        s = lamina.InferenceSession(m)
        self.assertEqual(s.get_inputs()[0].type, "seq(tensor(float))")
        items = [np.ones(3, np.float32), np.zeros((2, 2), np.float32)]
        out = s.run(None, {"x": items})[0]
        self.assertIsInstance(out, list)
        for a, b in zip(items, out, strict=True):
            self.assertTrue(np.array_equal(a, b))
            self.assertNotEqual(a.ctypes.data, b.ctypes.data)
        self.assertEqual(s.run(None, {"x": []})[0], [])
        with self.assertRaises(lamina.InvalidArgument):
            s.run(None, {"x": [np.ones(3, np.float32), np.ones(3, np.int64)]})

    def test_made_inside(self):
        m = model([node("SplitToSequence", ["x"], ["y"], axis=0)], [tensor("x", T.INT64, ["n"])],
                  [helper.make_tensor_sequence_value_info("y", T.INT64, None)])
        out = run(m, np.arange(3))
        self.assertEqual([a.tolist() for a in out], [[0], [1], [2]])
        out[0][0] = 9
        self.assertEqual(out[1].tolist(), [1])

    def test_empty_optional(self):
        opt = helper.make_optional_type_proto(helper.make_tensor_type_proto(T.FLOAT, [2]))
        m = model([node("OptionalHasElement", ["x"], ["h"]), node("Identity", ["x"], ["y"])],
                  [helper.make_value_info("x", opt)],
                  [tensor("h", T.BOOL, []), helper.make_value_info("y", opt)])
        s = lamina.InferenceSession(m)
        self.assertEqual(s.get_inputs()[0].type, "optional(tensor(float))")
        has, y = s.run(None, {"x": None})
        self.assertFalse(has)
        self.assertIsNone(y)
        has, y = s.run(None, {"x": np.ones(2, np.float32)})
        self.assertTrue(has)
        self.assertEqual(y.tolist(), [1, 1])


if __name__ == "__main__":
    main()
