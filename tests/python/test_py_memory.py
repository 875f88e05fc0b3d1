"""
Who holds what: no copy where none is needed, a copy where memory is shared, nothing read after it
is gone, nothing leaked.
"""
import gc
import os
import sys
import tempfile

from pycommon import TensorProto as T
from pycommon import adder, helper, identity, main, model, node, np, rss_kb, tensor, unittest

import lamina
from lamina import OrtValue


def address(a):
    return a.ctypes.data


class ZeroCopy(unittest.TestCase):
    def test_input_is_borrowed(self):
        x = np.arange(6, dtype=np.float32)
        v = OrtValue.ortvalue_from_numpy(x)
        self.assertEqual(v.data_ptr(), address(x))
        self.assertEqual(address(v.numpy()), address(x))
        self.assertFalse(v.numpy().flags.writeable)
        x[0] = 5
        self.assertEqual(v.numpy()[0], 5)

    def test_strided_input_is_copied(self):
        x = np.arange(6, dtype=np.float32)
        v = OrtValue.ortvalue_from_numpy(x[::2])
        self.assertNotEqual(v.data_ptr(), address(x))
        self.assertEqual(v.numpy().tolist(), [0, 2, 4])

    def test_output_is_lent(self):
        y = lamina.InferenceSession(adder()).run(None, {"x": np.ones(4, np.float32)})[0]
        self.assertIsInstance(y.base, lamina._lamina.Value)
        self.assertEqual(y.base.address(), address(y))
        self.assertTrue(y.flags.writeable and y.flags.c_contiguous)
        y += 1
        self.assertEqual(y.tolist(), [3, 3, 3, 3])

    def test_input_passed_through_is_copied(self):
        x = np.ones(4, np.float32)
        y = lamina.InferenceSession(identity()).run(None, {"x": x})[0]
        self.assertNotEqual(address(x), address(y))
        y[:] = 7
        self.assertEqual(x.tolist(), [1, 1, 1, 1])

    def test_weight_as_output_is_copied(self):
        w = helper.make_tensor("w", T.FLOAT, [3], [1, 2, 3])
        m = model([node("Identity", ["w"], ["y"]), node("Add", ["x", "w"], ["z"])],
                  [tensor("x", T.FLOAT, [3])],
                  [tensor("y", T.FLOAT, [3]), tensor("z", T.FLOAT, [3])], [w])
        s = lamina.InferenceSession(m)
        for _ in range(2):
            y, z = s.run(None, {"x": np.zeros(3, np.float32)})
            self.assertEqual((y.tolist(), z.tolist()), ([1, 2, 3], [1, 2, 3]))
            y[:] = 9
            z[:] = 9

    def test_outputs_are_apart(self):
        m = model([node("Add", ["x", "x"], ["y"]), node("Identity", ["y"], ["z"]),
                   node("Reshape", ["y", "s"], ["r"])],
                  [tensor("x", T.FLOAT, [4])],
                  [tensor("y", T.FLOAT, [4]), tensor("z", T.FLOAT, [4]),
                   tensor("r", T.FLOAT, [2, 2])],
                  [helper.make_tensor("s", T.INT64, [2], [2, 2])])
        y, z, r = lamina.InferenceSession(m).run(None, {"x": np.ones(4, np.float32)})
        y[:] = 5
        z[:] = 6
        self.assertEqual((y.tolist(), z.tolist(), r.tolist()),
                         ([5] * 4, [6] * 4, [[2, 2], [2, 2]]))


class Lifetime(unittest.TestCase):
    def test_output_outlives_session(self):
        s = lamina.InferenceSession(adder())
        y = s.run(None, {"x": np.ones(1000, np.float32)})[0]
        del s
        gc.collect()
        self.assertEqual(y.sum(), 2000)

    def test_model_bytes_are_held(self):
        w = np.arange(2048, dtype=np.float32)
        raw = bytearray(model([node("Add", ["x", "w"], ["y"]), node("Identity", ["w"], ["v"])],
                              [tensor("x", T.FLOAT, [2048])],
                              [tensor("y", T.FLOAT, [2048]), tensor("v", T.FLOAT, [2048])],
                              [helper.make_tensor("w", T.FLOAT, [2048], w.tobytes(), raw=True)]))
        s = lamina.InferenceSession(raw)
        with self.assertRaises(BufferError):
            raw.extend(b"x")  # lent: cannot move
        y, v = s.run(None, {"x": np.zeros(2048, np.float32)})
        values = s.run_with_ort_values(None, {"x": OrtValue.of(np.zeros(2048, np.float32))})
        del s
        gc.collect()
        raw[:] = b"\xff" * len(raw)
        raw.extend(b"x")  # given back
        self.assertTrue(np.array_equal(y, w) and np.array_equal(v, w))
        self.assertTrue(all(np.array_equal(o.numpy(), w) for o in values))

    def test_input_may_go(self):
        v = OrtValue.ortvalue_from_numpy(np.arange(1000, dtype=np.float32) + 0)
        gc.collect()
        y = lamina.InferenceSession(adder()).run(None, {"x": v})[0]
        self.assertEqual(y[999], 1998)

    def test_view_holds_value(self):
        a = OrtValue.ortvalue_from_shape_and_type([1000], np.float32).numpy()
        gc.collect()
        a[:] = 3
        self.assertEqual(a.sum(), 3000)

    def test_path(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "mödel.onnx")
            with open(path, "wb") as f:
                f.write(adder())
            for p in (path, os.fsencode(path).decode(), __import__("pathlib").Path(path)):
                y = lamina.InferenceSession(p).run(None, {"x": np.ones(2, np.float32)})[0]
                self.assertEqual(y.tolist(), [2, 2])


class DLPack(unittest.TestCase):
    def test_out(self):
        v = OrtValue.of(np.arange(4, dtype=np.float32))
        self.assertEqual(v.__dlpack_device__(), (1, 0))
        a = np.from_dlpack(v)
        self.assertEqual(address(a), v.data_ptr())
        del v
        gc.collect()
        self.assertEqual(a.tolist(), [0, 1, 2, 3])

    def test_in(self):
        class Foreign:
            """As torch and others look: DLPack, and no array of numpy."""

            def __init__(self, a, old):
                self.a, self.old = a, old

            def __dlpack__(self, **kw):
                if self.old and kw:
                    raise TypeError("no keywords before version 1")
                return self.a.__dlpack__(**kw)

            def __dlpack_device__(self):
                return self.a.__dlpack_device__()

        s = lamina.InferenceSession(adder())
        x = np.arange(6, dtype=np.float32)
        for old in (False, True):
            before = sys.getrefcount(x)
            v = OrtValue.from_dlpack(Foreign(x, old))
            self.assertEqual(v.data_ptr(), address(x))
            self.assertEqual(s.run(None, {"x": Foreign(x, old)})[0].tolist(), (x * 2).tolist())
            self.assertEqual(s.run(None, {"x": Foreign(x[::2], old)})[0].tolist(), [0, 4, 8])
            del v
            gc.collect()
            self.assertEqual(sys.getrefcount(x), before)

    def test_capsule_never_taken(self):
        v = OrtValue.of(np.zeros(4, np.float32))
        for kw in ({}, {"max_version": (1, 1)}):
            for _ in range(100):
                v.__dlpack__(**kw)

    def test_refused(self):
        with self.assertRaises(lamina.Error):
            OrtValue.of(np.array(["a"], object)).__dlpack__()
        with self.assertRaises(BufferError):
            OrtValue.of(np.zeros(1)).__dlpack__(copy=True)


class Leaks(unittest.TestCase):
    def check(self, work, rounds):
        for _ in range(rounds // 4):
            work()
        gc.collect()
        before = rss_kb()
        for _ in range(rounds):
            work()
        gc.collect()
        self.assertLess(rss_kb() - before, 6000)

    def test_runs(self):
        s = lamina.InferenceSession(adder())
        x = np.ones(50_000, np.float32)
        before = sys.getrefcount(x)

        def work():
            s.run(None, {"x": x})
            s.run(["y"], {"x": x[::2]})
            s.run_with_ort_values(["y"], {"x": OrtValue.ortvalue_from_numpy(x)})
            try:
                s.run(None, {"x": x.astype(np.float64)})
            except lamina.InvalidArgument:
                pass
            try:
                s.run(["no"], {"x": x, "z": x})
            except lamina.InvalidArgument:
                pass

        self.check(work, 400)
        self.assertEqual(sys.getrefcount(x), before)

    def test_sessions(self):
        w = helper.make_tensor("w", T.FLOAT, [100_000], bytes(400_000), raw=True)
        m = model([node("Add", ["x", "w"], ["y"])], [tensor("x", T.FLOAT, [100_000])],
                  [tensor("y", T.FLOAT, [100_000])], [w])
        x = np.zeros(100_000, np.float32)

        def work():
            lamina.InferenceSession(bytes(bytearray(m))).run(None, {"x": x})
            try:
                lamina.InferenceSession(m[:-7])
            except lamina.Error:
                pass

        self.check(work, 100)

    def test_values_of_all_kinds(self):
        strings = lamina.InferenceSession(identity(T.STRING))
        seq = helper.make_tensor_sequence_value_info
        lists = lamina.InferenceSession(model([node("Identity", ["x"], ["y"])],
                                              [seq("x", T.FLOAT, None)], [seq("y", T.FLOAT, None)]))
        text = np.array(["word" * 50] * 200, object)
        item = np.ones(5000, np.float32)

        def work():
            strings.run(None, {"x": text})
            lists.run(None, {"x": [item, item]})
            np.from_dlpack(OrtValue.of(item))

        self.check(work, 300)


if __name__ == "__main__":
    main()
