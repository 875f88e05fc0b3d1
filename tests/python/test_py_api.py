"""
The face of onnxruntime: ports, metadata, options, errors, bindings; and threads, cancel, timeout.
"""
import importlib.util
import json
import os
import tempfile
import threading
import time
import warnings

from pycommon import TensorProto as T
from pycommon import (IR, OPSET, adder, helper, identity, main, model, node, np, onnx, slow_model,
                      tensor, unittest)

import lamina as onnxruntime
import lamina
from lamina.capi import onnxruntime_pybind11_state as state


class Looking(unittest.TestCase):
    def test_ports(self):
        m = model([node("Add", ["a", "w"], ["b"])],
                  [tensor("a", T.FLOAT, ["batch", None, 3]), tensor("w", T.FLOAT, [3])],
                  [tensor("b", T.FLOAT, None)], [helper.make_tensor("w", T.FLOAT, [3], [1, 2, 3])])
        s = onnxruntime.InferenceSession(m, providers=["CPUExecutionProvider"])
        a, = s.get_inputs()
        self.assertEqual((a.name, a.type, a.shape), ("a", "tensor(float)", ["batch", None, 3]))
        self.assertEqual(repr(a), "NodeArg(name='a', type='tensor(float)', "
                                  "shape=['batch', None, 3])")
        self.assertEqual([n.name for n in s.get_overridable_initializers()], ["w"])
        self.assertEqual([n.name for n in s.get_outputs()], ["b"])
        x = np.zeros((1, 1, 3), np.float32)
        self.assertEqual(s.run(None, {"a": x})[0].ravel().tolist(), [1, 2, 3])
        w = np.array([4, 5, 6], np.float32)
        self.assertEqual(s.run(None, {"a": x, "w": w})[0].ravel().tolist(), [4, 5, 6])

    def test_precision_and_cache(self):
        w = helper.make_tensor("w", T.FLOAT, [256, 256], np.linspace(-1, 1, 65536))
        m = model([node("MatMul", ["x", "w"], ["y"])], [tensor("x", T.FLOAT, ["M", 256])],
                  [tensor("y", T.FLOAT, None)], [w])
        x = np.linspace(0, 1, 5 * 256, dtype=np.float32).reshape(5, 256)
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "m.onnx")
            onnx.save(onnx.load_from_string(m), path)
            for precision in ("exact", "bf16", "strict", "int8"):
                o = onnxruntime.SessionOptions()
                o.precision = precision
                y, = onnxruntime.InferenceSession(path, o).run(None, {"x": x})
                o.prepack_cache = os.path.join(d, "packed")
                for _ in range(2):
                    s = onnxruntime.InferenceSession(path, o)
                    self.assertTrue((s.run(None, {"x": x})[0] == y).all())
                    facts = s.stats()
                    self.assertEqual(facts["packed_note"], "")
                    self.assertEqual(facts["packed_mapped_bytes"], facts["packed_bytes"])
        for field, wrong in (("precision", "f8"), ("prepack_cache", "relative")):
            with self.assertRaises(ValueError):
                setattr(o, field, wrong)

    def test_metadata(self):
        m = onnx.load_from_string(adder())
        m.producer_name, m.domain, m.doc_string, m.model_version = "p", "d", "text", 7
        m.graph.doc_string, m.graph.name = "of the graph", "name"
        m.metadata_props.add(key="k", value="v")
        meta = onnxruntime.InferenceSession(m.SerializeToString()).get_modelmeta()
        self.assertEqual((meta.producer_name, meta.domain, meta.description, meta.version,
                          meta.graph_description, meta.graph_name, meta.custom_metadata_map),
                         ("p", "d", "text", 7, "of the graph", "name", {"k": "v"}))

    def test_module(self):
        self.assertEqual(onnxruntime.get_available_providers(), ["CPUExecutionProvider"])
        self.assertEqual(onnxruntime.get_device(), "CPU")
        self.assertRegex(onnxruntime.__version__, r"^\d+\.\d+\.\d+$")
        self.assertIn("cpu.isa", onnxruntime.info())
        onnxruntime.set_default_logger_severity(3)
        from lamina.capi import _pybind_state as c  # noqa: PLC0415
        from lamina.capi.onnxruntime_inference_collection import OrtValue  # noqa: PLC0415
        self.assertEqual(c.get_available_providers(), ["CPUExecutionProvider"])
        self.assertIs(c.InvalidArgument, lamina.InvalidArgument)
        self.assertIs(OrtValue, onnxruntime.OrtValue)
        with self.assertRaises(AttributeError):
            c.no_such_thing  # noqa: B018

    def test_types(self):
        for code, text in ((T.DOUBLE, "double"), (T.BOOL, "bool"), (T.STRING, "string"),
                           (T.INT64, "int64"), (T.FLOAT16, "float16"), (T.BFLOAT16, "bfloat16"),
                           (T.FLOAT8E4M3FN, "float8e4m3fn"), (T.UINT4, "uint4")):
            s = onnxruntime.InferenceSession(identity(code))
            self.assertEqual(s.get_inputs()[0].type, f"tensor({text})")


class Options(unittest.TestCase):
    def test_fields(self):
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads = 1
        o.inter_op_num_threads = 1
        o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        o.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        o.log_severity_level = 3
        o.enable_mem_pattern = False
        o.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.assertEqual(o.get_session_config_entry("session.intra_op.allow_spinning"), "0")
        with self.assertRaises(RuntimeError):
            o.get_session_config_entry("other")
        with self.assertRaises(AttributeError):
            o.no_such_field = 1
        with self.assertRaises(TypeError):
            o.intra_op_num_threads = "one"
        s = onnxruntime.InferenceSession(adder(), o, providers=[("CPUExecutionProvider", {})])
        self.assertIs(s.get_session_options(), o)
        self.assertEqual(s.get_providers(), ["CPUExecutionProvider"])
        self.assertEqual(s.run(None, {"x": np.ones(1, np.float32)})[0][0], 2)

    def test_refused(self):
        o = onnxruntime.SessionOptions()
        with self.assertRaisesRegex(OSError, "x.so"):
            o.register_custom_ops_library("x.so")
        o.optimized_model_filepath = "x.onnx"
        with self.assertRaises(lamina.NotImplemented):
            onnxruntime.InferenceSession(adder(), o)

    def test_unknown_provider(self):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            onnxruntime.InferenceSession(adder(), providers=["CUDAExecutionProvider"])
        self.assertIn("CUDAExecutionProvider", str(seen[0].message))

    def test_profile(self):
        o = onnxruntime.SessionOptions()
        o.enable_profiling = True
        with tempfile.TemporaryDirectory() as d:
            o.profile_file_prefix = os.path.join(d, "p")
            s = onnxruntime.InferenceSession(adder(), o)
            s.run(None, {"x": np.ones(10, np.float32)})
            with open(s.end_profiling(), encoding="utf-8") as f:
                trace = json.load(f)
            self.assertEqual(s.nodes()[0]["op"], "Add")
            with self.assertRaises(lamina.Error):
                s.save_trace(os.path.join(d, "no", "such", "folder"))
        events = trace["traceEvents"] if isinstance(trace, dict) else trace
        self.assertIn("Add", json.dumps(events))
        plain = onnxruntime.InferenceSession(adder())
        self.assertEqual(plain.end_profiling(), "")
        with self.assertRaises(lamina.Error):
            plain.save_trace("never.json")

    def test_free_dimension(self):
        o = onnxruntime.SessionOptions()
        o.add_free_dimension_override_by_name("n", 5)
        self.assertEqual(onnxruntime.InferenceSession(adder(), o).get_inputs()[0].shape, [5])


class Errors(unittest.TestCase):
    def fails(self, cls, status, words, fn):
        with self.assertRaises(cls) as caught:
            fn()
        e = caught.exception
        self.assertIsInstance(e, lamina.Error)
        self.assertEqual(e.status, lamina.Status[status], e)
        self.assertEqual(str(e), e.sentence)
        for w in words:
            self.assertIn(w, str(e))

    def test_feeds(self):
        s = onnxruntime.InferenceSession(identity(T.FLOAT, [1, 4]))
        x = np.zeros((1, 4), np.float32)
        bad = self.fails
        bad(state.InvalidArgument, "E_INVALID", ["x", "missing"], lambda: s.run(None, {}))
        bad(ValueError, "E_INVALID", ["x"], lambda: s.run(None, {}))
        bad(state.InvalidArgument, "E_INVALID", ['"zz"', "x"],
            lambda: s.run(None, {"x": x, "zz": x}))
        bad(state.InvalidArgument, "E_INVALID", ['"no"', "y"], lambda: s.run(["no"], {"x": x}))
        bad(state.InvalidArgument, "E_DTYPE", ["x", "float32", "float64"],
            lambda: s.run(None, {"x": x.astype("f8")}))
        bad(state.InvalidArgument, "E_SHAPE", ["x", "3"], lambda: s.run(None, {"x": x[:, :3]}))
        bad(state.InvalidArgument, "E_SHAPE", ["rank"], lambda: s.run(None, {"x": x[0]}))
        bad(state.InvalidArgument, "E_SHAPE", ["8 dim"],
            lambda: s.run(None, {"x": x.reshape((1,) * 10 + (4,))}))
        bad(state.InvalidArgument, "E_DTYPE", [], lambda: s.run(None, {"x": None}))
        for args in ((), (None,), (None, {"x": x}, None, 1), (None, 3), (None, {"x": x}, 3),
                     (None, {"x": object()}), (None, {3: x}), ([3], {"x": x})):
            with self.assertRaises((TypeError, ValueError, lamina.Error)):
                s.run(*args)
        with self.assertRaises(TypeError):
            s.run(None, {"x": x}, what=1)
        self.assertEqual(s.run(output_names=["y"], input_feed={"x": x})[0].shape, (1, 4))
        self.assertEqual(len(s.run([], {"x": x})), 1)

    def test_feed_that_raises(self):
        class Hostile:
            def __array__(self, *a, **k):
                raise KeyError("mine")

        s = onnxruntime.InferenceSession(identity())
        with self.assertRaises(KeyError):
            s.run(None, {"x": Hostile()})

        feed = {}

        class Changes:
            def __array__(self, *a, **k):
                feed.clear()
                return np.zeros(2, np.float32)

        feed["x"] = Changes()
        self.assertEqual(s.run(None, feed)[0].tolist(), [0, 0])

    def test_loading(self):
        bad = self.fails
        bad(state.NoSuchFile, "E_IO", ["/no/such.onnx"],
            lambda: onnxruntime.InferenceSession("/no/such.onnx"))
        bad(FileNotFoundError, "E_IO", [], lambda: onnxruntime.InferenceSession("/no/such.onnx"))
        with self.assertRaises(state.InvalidProtobuf):
            onnxruntime.InferenceSession(b"\xffgarbage" * 10)
        for what in (3, None, [], object()):
            with self.assertRaises(TypeError):
                onnxruntime.InferenceSession(what)
        with self.assertRaises(ValueError):
            onnxruntime.InferenceSession("a\0b")
        m = model([node("NoSuchOp", ["x"], ["y"], name="here")], [tensor("x", T.FLOAT, [1])],
                  [tensor("y", T.FLOAT, [1])])
        bad(state.NotImplemented, "E_UNSUPPORTED", ["here", "NoSuchOp"],
            lambda: onnxruntime.InferenceSession(m))

    def test_refused_by_a_node(self):
        m = model([node("Reshape", ["x", "s"], ["y"], name="here")],
                  [tensor("x", T.FLOAT, ["n"]), tensor("s", T.INT64, [2])],
                  [tensor("y", T.FLOAT, ["a", "b"])])
        s = onnxruntime.InferenceSession(m)
        with self.assertRaises(state.RuntimeException) as caught:
            s.run(None, {"x": np.zeros(5, np.float32), "s": np.array([2, 2])})
        self.assertIn("here", str(caught.exception))
        y = s.run(None, {"x": np.zeros(4, np.float32), "s": np.array([2, 2])})[0]
        self.assertEqual(y.shape, (2, 2))

    def test_half_made(self):
        raw = lamina._lamina.Session.__new__(lamina._lamina.Session)
        for fn in (lambda: raw.run(None, {}), raw.info, raw.stats, lambda: raw.ports(0) or 1 / 0):
            with self.assertRaises((RuntimeError, ZeroDivisionError)):
                fn()
        raw.cancel()
        s = onnxruntime.InferenceSession(adder())
        with self.assertRaises(RuntimeError):
            s.__init__(adder())
        with self.assertRaises(TypeError):
            lamina._lamina.Value()


class Values(unittest.TestCase):
    def test_ort_value(self):
        v = onnxruntime.OrtValue.ortvalue_from_numpy(np.ones((2, 3), np.float32), "cpu", 0)
        self.assertEqual((v.shape(), v.data_type(), v.element_type(), v.device_name()),
                         ([2, 3], "tensor(float)", 1, "cpu"))
        self.assertTrue(v.is_tensor() and v.has_value() and not v.is_tensor_sequence())
        v.update_inplace(np.full((2, 3), 4, np.float32))
        self.assertEqual(v.numpy().sum(), 24)
        with self.assertRaises(lamina.InvalidArgument):
            v.update_inplace(np.zeros(2, np.float32))
        with self.assertRaises(lamina.NotImplemented):
            onnxruntime.OrtValue.ortvalue_from_numpy(np.ones(1), "cuda", 0)
        fixed = np.ones(2, np.float32)
        fixed.flags.writeable = False
        with self.assertRaises(lamina.InvalidArgument):
            onnxruntime.OrtValue.ortvalue_from_numpy(fixed).update_inplace(np.zeros(2, "f4"))
        strided = onnxruntime.OrtValue.ortvalue_from_numpy(np.ones((3, 2), np.float32).T)
        strided.update_inplace(np.full((2, 3), 5, np.float32))
        self.assertEqual(strided.numpy().sum(), 30)
        bits = np.array([0x3F80, 0x4000], np.uint16)
        b = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, T.BFLOAT16)
        self.assertEqual(b.data_type(), "tensor(bfloat16)")
        if importlib.util.find_spec("ml_dtypes"):
            b.update_inplace(b.numpy() + b.numpy())
            self.assertEqual(bits.tolist(), [0x4000, 0x4080])
            packed = onnxruntime.OrtValue.ortvalue_from_shape_and_type([3], T.INT4)
            with self.assertRaises(lamina.NotImplemented):
                packed.update_inplace(packed.numpy())
        with self.assertRaises(lamina.InvalidArgument):
            onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, T.FLOAT)

    def test_run_with_values(self):
        s = onnxruntime.InferenceSession(adder())
        v = onnxruntime.OrtValue.ortvalue_from_numpy(np.ones(3, np.float32))
        y, = s.run_with_ort_values(["y"], {"x": v})
        self.assertIsInstance(y, onnxruntime.OrtValue)
        z, = s.run_with_ort_values(["y"], {"x": y})
        self.assertEqual(z.numpy().tolist(), [4, 4, 4])

    def test_binding(self):
        s = onnxruntime.InferenceSession(adder())
        x = np.ones(3, np.float32)
        b = s.io_binding()
        b.bind_cpu_input("x", x)
        b.bind_output("y")
        s.run_with_iobinding(b)
        self.assertEqual(b.copy_outputs_to_cpu()[0].tolist(), [2, 2, 2])
        out = np.zeros(3, np.float32)
        b.clear_binding_outputs()
        b.bind_input("x", "cpu", 0, np.float32, [3], x.ctypes.data)
        b.bind_output("y", "cpu", 0, np.float32, [3], out.ctypes.data)
        s.run_with_iobinding(b)
        self.assertEqual(out.tolist(), [2, 2, 2])
        mine = onnxruntime.OrtValue.ortvalue_from_shape_and_type([3], np.float32)
        b.bind_ortvalue_output("y", mine)
        s.run_with_iobinding(b)
        self.assertEqual(mine.numpy().tolist(), [2, 2, 2])

    def test_names_in_any_order_and_twice(self):
        m = model([node("Split", ["x"], ["a", "b", "c"], num_outputs=3)],
                  [tensor("x", T.FLOAT, [3])], [tensor(k, T.FLOAT, [1]) for k in "abc"])
        s = onnxruntime.InferenceSession(m)
        x = np.arange(3, dtype=np.float32)
        got = s.run(["c", "a", "c"], {"x": x})
        self.assertEqual([g.tolist() for g in got], [[2], [0], [2]])

    def test_many_ports(self):
        names = [f"x{i}" for i in range(40)]
        m = model([node("Concat", names, ["all"], axis=0),
                   node("Split", ["all"], [f"y{i}" for i in range(40)], num_outputs=40, axis=0)],
                  [tensor(k, T.FLOAT, [1]) for k in names],
                  [tensor(f"y{i}", T.FLOAT, [1]) for i in range(40)])
        s = onnxruntime.InferenceSession(m)
        feed = {k: np.array([i], np.float32) for i, k in enumerate(names)}
        want = [f"y{i}" for i in reversed(range(40))]
        self.assertEqual([a[0] for a in s.run(want, feed)], list(reversed(range(40))))


class Threads(unittest.TestCase):
    def test_one_session_many_threads(self):
        s = onnxruntime.InferenceSession(adder(T.FLOAT, ["a", "b"]))
        wrong = []

        def work(seed):
            rng = np.random.default_rng(seed)
            for _ in range(150):
                x = rng.random((int(rng.integers(1, 9)), 7), np.float32)
                if not np.array_equal(s.run(None, {"x": x})[0], x + x):
                    wrong.append(seed)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])

    def test_gil_is_released(self):
        s = onnxruntime.InferenceSession(slow_model(3000))
        turns = 0
        t = threading.Thread(target=s.run, args=(None, {"x": np.eye(64, dtype=np.float32)}))
        t.start()
        while t.is_alive():
            turns += 1
            time.sleep(0.001)
        self.assertGreater(turns, 3)

    def test_terminate(self):
        s = onnxruntime.InferenceSession(slow_model(10_000_000))
        x = {"x": np.eye(64, dtype=np.float32)}
        ro = onnxruntime.RunOptions()
        timer = threading.Timer(0.05, lambda: setattr(ro, "terminate", True))
        timer.start()
        with self.assertRaises(state.Fail) as caught:
            s.run(None, x, ro)
        self.assertEqual(caught.exception.status, lamina.Status.E_CANCELLED)
        self.assertTrue(ro.terminate)
        with self.assertRaises(lamina.Cancelled):
            s.run(None, x, ro)  # still set
        threading.Timer(0.05, s.cancel).start()
        with self.assertRaises(lamina.Cancelled):
            s.run(None, x)

    def test_timeout(self):
        s = onnxruntime.InferenceSession(slow_model(10_000_000))
        ro = onnxruntime.RunOptions()
        ro.timeout = 0.05
        start = time.monotonic()
        with self.assertRaises(TimeoutError) as caught:
            s.run(None, {"x": np.eye(64, dtype=np.float32)}, ro)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(caught.exception.status, lamina.Status.E_TIMEOUT)
        for wrong in (-1, 0, float("nan"), "soon"):
            with self.assertRaises((ValueError, TypeError)):
                ro.timeout = wrong
        ro.timeout = None
        self.assertIsNone(ro.timeout)

    def test_async(self):
        s = onnxruntime.InferenceSession(adder())
        done, got = threading.Event(), []

        def callback(results, data, error):
            got.extend((results, data, error))
            done.set()

        s.run_async(None, {"x": np.ones(2, np.float32)}, callback, "mine")
        self.assertTrue(done.wait(20))
        self.assertEqual((got[0][0].tolist(), got[1], got[2]), ([2, 2], "mine", ""))


assert IR >= 4 <= OPSET  # overridable weights need IR 4
if __name__ == "__main__":
    main()
