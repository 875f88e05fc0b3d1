"""
A script as people write them for onnxruntime: both_engines.py ENGINE prints what it sees as JSON.
test_py_engines.py runs it under both packages and compares (bar B10).
"""
import importlib
import json
import sys
import threading

from pycommon import TensorProto as T
from pycommon import helper, model, node, np, tensor

onnxruntime = importlib.import_module(sys.argv[1])  # import lamina as onnxruntime
state = importlib.import_module(sys.argv[1] + ".capi.onnxruntime_pybind11_state")
SEEN = {}


def build(*args, **kw):
    return model(*args, opset=21, ir=10, **kw)


def session(m):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(m, sess_options=options,
                                        providers=["CPUExecutionProvider"])


def plain(v):
    """A result as JSON can hold it."""
    if isinstance(v, list):
        return [plain(x) for x in v]
    if v is None:
        return None
    return {"dtype": str(v.dtype), "shape": list(v.shape), "data": v.tolist()}


def note(name, m, feed, outputs=None):
    s = session(m)
    ports = [[(p.name, p.type, p.shape) for p in side]
             for side in (s.get_inputs(), s.get_outputs(), s.get_overridable_initializers())]
    SEEN[name] = {"ports": ports, "values": plain(list(s.run(outputs, feed)))}
    return s


def weights(name, shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 0.2
    return helper.make_tensor(name, T.FLOAT, shape, x.tobytes(), raw=True)


def mlp():
    m = build([node("Gemm", ["x", "w1", "b1"], ["h"], transB=1), node("Relu", ["h"], ["r"]),
               node("Gemm", ["r", "w2", "b2"], ["l"]), node("Softmax", ["l"], ["p"]),
               node("ArgMax", ["p"], ["k"], axis=-1, keepdims=0)],
              [tensor("x", T.FLOAT, ["batch", 16])],
              [tensor("p", T.FLOAT, ["batch", 4]), tensor("k", T.INT64, ["batch"])],
              [weights("w1", [32, 16], 1), weights("b1", [32], 2), weights("w2", [32, 4], 3),
               weights("b2", [4], 4)])
    x = np.random.default_rng(5).standard_normal((3, 16)).astype(np.float32)
    s = note("mlp", m, {"x": x})
    SEEN["mlp one output"] = plain(s.run(["k"], {"x": x[:1]}))
    SEEN["mlp columns"] = plain(s.run(None, {"x": np.asfortranarray(x)}))
    meta = s.get_modelmeta()
    SEEN["meta"] = [meta.producer_name, meta.graph_name, meta.domain, meta.description,
                    meta.custom_metadata_map]
    binding = s.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_output("p")
    s.run_with_iobinding(binding)
    SEEN["bound"] = plain(binding.copy_outputs_to_cpu())
    value = onnxruntime.OrtValue.ortvalue_from_numpy(x)
    SEEN["value"] = [value.shape(), value.data_type(), value.device_name(), value.is_tensor()]
    got = s.run_with_ort_values(["p"], {"x": value})
    SEEN["values"] = plain([v.numpy() for v in got])
    rows = [None] * 4

    def work(i):
        rows[i] = plain(s.run(["p"], {"x": x + i}))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    SEEN["threads"] = rows
    return s, x


def other_models():
    x = np.random.default_rng(6).standard_normal((1, 3, 8, 8)).astype(np.float32)
    note("conv", build([node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
                        node("Sigmoid", ["c"], ["s"]), node("Mul", ["c", "s"], ["y"]),
                        node("GlobalAveragePool", ["y"], ["z"])],
                       [tensor("x", T.FLOAT, ["n", 3, "h", "w"])],
                       [tensor("z", T.FLOAT, ["n", 5, 1, 1])], [weights("w", [5, 3, 3, 3], 7)]),
         {"x": x})
    note("override", build([node("Mul", ["x", "scale"], ["y"])],
                           [tensor("x", T.FLOAT, ["n"]), tensor("scale", T.FLOAT, [1])],
                           [tensor("y", T.FLOAT, ["n"])],
                           [helper.make_tensor("scale", T.FLOAT, [1], [3])]),
         {"x": np.ones(2, np.float32), "scale": np.array([5], np.float32)})
    note("strings", build([node("Identity", ["x"], ["y"])], [tensor("x", T.STRING, ["n"])],
                          [tensor("y", T.STRING, ["n"])]), {"x": np.array(["a", "zürich", ""])})
    note("sequence", build([node("SplitToSequence", ["x"], ["s"], axis=0),
                            node("SequenceLength", ["s"], ["n"])],
                           [tensor("x", T.INT64, ["a", 2])],
                           [helper.make_tensor_sequence_value_info("s", T.INT64, None),
                            tensor("n", T.INT64, [])]), {"x": np.arange(6).reshape(3, 2)})
    note("quantised", build([node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                             node("DequantizeLinear", ["q", "s", "z"], ["y"])],
                            [tensor("x", T.FLOAT, ["n"])],
                            [tensor("q", T.UINT8, ["n"]), tensor("y", T.FLOAT, ["n"])],
                            [helper.make_tensor("s", T.FLOAT, [], [0.5]),
                             helper.make_tensor("z", T.UINT8, [], [128])]),
         {"x": np.linspace(-3, 3, 7, dtype=np.float32)})
    body = helper.make_graph([node("Identity", ["c"], ["co"]), node("Add", ["v", "v"], ["vo"])],
                             "body", [tensor("i", T.INT64, []), tensor("c", T.BOOL, []),
                                      tensor("v", T.FLOAT, [2])],
                             [tensor("co", T.BOOL, []), tensor("vo", T.FLOAT, [2])])
    note("loop", build([node("Loop", ["n", "", "x"], ["y"], body=body)],
                       [tensor("n", T.INT64, []), tensor("x", T.FLOAT, [2])],
                       [tensor("y", T.FLOAT, [2])]),
         {"n": np.array(5), "x": np.ones(2, np.float32)})


def refused(name, fn):
    try:
        fn()
        SEEN[name] = "nothing was raised"
    except ValueError as e:  # onnxruntime's own for a missing input, also what InvalidArgument is
        SEEN[name] = "InvalidArgument" if isinstance(e, state.InvalidArgument) else "ValueError"
    except Exception as e:  # noqa: BLE001, its name is what is compared
        SEEN[name] = type(e).__name__


def errors(s, x):
    refused("wrong type", lambda: s.run(None, {"x": x.astype(np.float64)}))
    refused("wrong rank", lambda: s.run(None, {"x": x[0]}))
    refused("wrong size", lambda: s.run(None, {"x": x[:, :5]}))
    refused("extra input", lambda: s.run(None, {"x": x, "z": x}))
    refused("no such output", lambda: s.run(["z"], {"x": x}))
    refused("no such file", lambda: session("/no/such/model.onnx"))
    refused("no model", lambda: session(b"\xff" * 64))
    refused("no model type", lambda: session(3))
    try:
        s.run(None, {})
    except ValueError:
        SEEN["missing"] = "ValueError"


if __name__ == "__main__":
    errors(*mlp())
    other_models()
    print(json.dumps(SEEN))
