"""
Maps: ZipMap, CastMap and DictVectorizer beside onnxruntime, dicts in and out, what is refused, and
maps in files as the onnx package reads them.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

from pycommon import np

try:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError as e:
    print(f"skipped: {e.name} is not installed for {sys.executable}")
    sys.exit(77)

import lamina

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def tensor(dtype, shape=None):
    return helper.make_tensor_type_proto(dtype, shape)


def map_of(key, dtype):
    return helper.make_map_type_proto(key, tensor(dtype))


def sequence(of):
    return helper.make_sequence_type_proto(of)


def model(nodes, given, wanted):
    graph = helper.make_graph(nodes, "g", [helper.make_value_info("x", given)],
                              [helper.make_value_info("y", wanted)])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def one(op, given, wanted, **attributes):
    node = helper.make_node(op, ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    return model([node], given, wanted)


def ours(data, x):
    return lamina.InferenceSession(data).run(None, {"x": x})[0]


class Maps(unittest.TestCase):
    def same(self, data, x):
        theirs = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        session = lamina.InferenceSession(data)
        for a, b in ((session.get_inputs()[0], theirs.get_inputs()[0]),
                     (session.get_outputs()[0], theirs.get_outputs()[0])):
            self.assertEqual((a.name, a.type), (b.name, b.type))
        want, got = theirs.run(None, {"x": x})[0], session.run(None, {"x": x})[0]
        if isinstance(want, np.ndarray):
            self.assertEqual((got.dtype, got.shape), (want.dtype, want.shape))
            want, got = want.tolist(), got.tolist()
        self.assertEqual(got, want)
        return got

    def test_zipmap(self):
        x = np.array([[.5, 2, -3], [4, np.inf, 6]], np.float32)
        numbers = one("ZipMap", tensor(FLOAT, [None, 3]), sequence(map_of(INT64, FLOAT)),
                      classlabels_int64s=[5, -3, 9])
        words = one("ZipMap", tensor(FLOAT), sequence(map_of(STRING, FLOAT)),
                    classlabels_strings=["b", "", "zwölf"])
        self.assertEqual(self.same(numbers, x), [{5: .5, -3: 2, 9: -3}, {5: 4, -3: np.inf, 9: 6}])
        self.same(words, x)
        self.same(words, x[0])
        self.same(words, x[:0])
        for labels in ([1, 2], [1, 2, 1]):
            data = one("ZipMap", tensor(FLOAT), sequence(map_of(INT64, FLOAT)),
                       classlabels_int64s=labels)
            with self.assertRaises(lamina.Error):
                ours(data, x)

    def test_castmap(self):
        x = {2: 1.5, 0: -2.75, 7: .1}
        for to, dtype in (("TO_FLOAT", FLOAT), ("TO_STRING", STRING), ("TO_INT64", INT64)):
            for form in ("DENSE", "SPARSE"):
                self.same(one("CastMap", map_of(INT64, FLOAT), tensor(dtype), cast_to=to,
                              map_form=form, max_map=4), x)
        text = one("CastMap", map_of(INT64, STRING), tensor(FLOAT))
        self.assertEqual(ours(text, {3: "2", 1: " -1.5"}).tolist(), [[-1.5, 2]])
        with self.assertRaisesRegex(lamina.Error, "no number"):
            ours(text, {1: "one"})
        sparse = one("CastMap", map_of(INT64, FLOAT), tensor(FLOAT), map_form="SPARSE", max_map=4)
        with self.assertRaisesRegex(lamina.Error, "negative"):
            ours(sparse, {-1: 1})
        self.assertEqual(ours(sparse, {}).tolist(), [[0, 0, 0, 0]])

    def test_dictvectorizer(self):
        words = one("DictVectorizer", map_of(STRING, FLOAT), tensor(FLOAT),
                    string_vocabulary=["c", "b", "a", "a"])
        self.same(words, {"a": 1.5, "zz": 3, "c": 2})
        for dtype in (INT64, TensorProto.DOUBLE):
            data = one("DictVectorizer", map_of(STRING, dtype), tensor(dtype),
                       string_vocabulary=["c", "b"])
            self.assertEqual(ours(data, {"b": 2**53 + 1 if dtype == INT64 else .1}).tolist(),
                             [[0, 2**53 + 1 if dtype == INT64 else .1]])
        numbers = one("DictVectorizer", map_of(INT64, STRING), tensor(STRING),
                      int64_vocabulary=[3, 2])
        self.assertEqual(ours(numbers, {2: "two", 1: "one"}).tolist(), [["", "two"]])

    def test_refused(self):
        data = one("DictVectorizer", map_of(STRING, FLOAT), tensor(FLOAT),
                   string_vocabulary=["a"])
        for x, error in (({1: 2.0}, TypeError), ({"a": [1.0, 2.0]}, lamina.Error),
                         (np.zeros(2, np.float32), lamina.Error), ({"a": "b"}, ValueError),
                         ([{"a": 1.0}], Exception)):
            with self.assertRaises(error):
                ours(data, x)

    def test_through_a_sequence(self):
        nodes = [helper.make_node("ZipMap", ["x"], ["m"], domain="ai.onnx.ml",
                                  classlabels_strings=["a", "b"]),
                 helper.make_node("Constant", [], ["last"], value_int=-1),
                 helper.make_node("SequenceAt", ["m", "last"], ["row"]),
                 helper.make_node("Identity", ["row"], ["same"]),
                 helper.make_node("DictVectorizer", ["same"], ["y"], domain="ai.onnx.ml",
                                  string_vocabulary=["b", "a", "none"])]
        data = model(nodes, tensor(FLOAT, ["N", 2]), tensor(FLOAT, [1, 3]))
        x = np.array([[1, 2], [3, 4]], np.float32)
        self.assertEqual(ours(data, x).tolist(), [[4, 3, 0]])
        nodes = [helper.make_node("SequenceLength", ["x"], ["y"])]
        data = model(nodes, sequence(map_of(INT64, FLOAT)), tensor(INT64, []))
        self.assertEqual(ours(data, [{1: .5}, {2: 1.5, 3: 2}]).tolist(), 2)

    def test_files(self):
        data = one("ZipMap", tensor(FLOAT), sequence(map_of(STRING, FLOAT)),
                   classlabels_strings=["a", "b"])
        value = lamina.InferenceSession(data).run_with_ort_values(
            None, {"x": lamina.OrtValue.ortvalue_from_numpy(np.array([[1, 2]], np.float32))})[0]
        self.assertEqual(value.numpy(), [{"a": 1, "b": 2}])
        self.assertEqual(value.data_type(), "seq(map(string,tensor(float)))")
        self.assertFalse(value.is_tensor() or value.is_tensor_sequence())
        again = lamina.OrtValue.of({"k": 2.5, "l": 3.5})
        self.assertEqual(again.numpy(), {"k": 2.5, "l": 3.5})
        self.assertEqual(again.data_type(), "map(string,tensor(double))")

    def test_command_line(self):
        tool = os.path.join(os.environ.get("LAMINA_BUILD_DIR", ""), "bin", "lamina")
        if not os.access(tool, os.X_OK):
            self.skipTest("the command-line tool is not here")
        data = one("ZipMap", tensor(FLOAT), sequence(map_of(INT64, FLOAT)),
                   classlabels_int64s=[4, 2])
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "m.onnx")
            with open(path, "wb") as f:
                f.write(data)
            np.save(os.path.join(folder, "x.npy"), np.array([[1, 2], [3, .5]], np.float32))
            command = [tool, "run", path, "--input", f"x={folder}/x.npy"]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            self.assertIn("4: 3 2: 0.5", text)
            command += ["--json", "--output", folder]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            self.assertEqual(json.loads(out)["outputs"][0]["values"],
                             [{"4": 1, "2": 2}, {"4": 3, "2": .5}])
            saved = onnx.SequenceProto()
            with open(os.path.join(folder, "y.pb"), "rb") as f:
                saved.ParseFromString(f.read())
            maps = [numpy_helper.to_dict(m) for m in saved.map_values]
            self.assertEqual([{k: float(v) for k, v in m.items()} for m in maps],
                             [{4: 1, 2: 2}, {4: 3, 2: .5}])


if __name__ == "__main__":
    unittest.main()
