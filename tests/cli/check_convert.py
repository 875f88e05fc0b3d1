#!/usr/bin/env python3
"""
lamina convert against the outside: what it writes passes onnx.checker and gives in onnxruntime what
the model gave, for models of old and new operator sets, control flow, functions, and every option.
Usage: check_convert.py LAMINA [FOLDER OF CASES ...]; leaves with 77 where a package is missing.
A folder of cases has the layout of the ONNX node tests; what onnxruntime cannot run itself is
only checked.
"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto as T
    from onnx import helper, numpy_helper
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

problems = []
# An optional sequence is known as its content, which such files do not mean.
OPTIONAL_SEQUENCE = {"test_if_opt", "test_loop16_seq_none"}


def convert(src, dst, *options, rc=0):
    p = subprocess.run([LAMINA, "convert", str(src), str(dst), *options], capture_output=True,
                       text=True, timeout=120, check=False)
    if p.returncode != rc:
        problems.append(f"{src.name} {options}: exit {p.returncode}: {p.stderr.strip()}")
    return p.returncode == 0


def outputs(path, feeds):
    """Values of a model for positional feeds; None where onnxruntime cannot."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        s = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return s.run(None, {p.name: v for p, v in zip(s.get_inputs(), feeds)})
    except Exception:  # pylint: disable=broad-except  # whatever it throws: it cannot
        return None


def equal(a, b, tolerance):
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(
            equal(x, y, tolerance) for x, y in zip(a, b))
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind in "OUSbiu":
        return bool((a == b).all())
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    return np.allclose(a.astype(wide), b.astype(wide), tolerance, tolerance, equal_nan=True)


def judge(name, src, feeds, folder, *options, tolerance=1e-5):
    dst = folder / "out.onnx"
    if not convert(src, dst, *options):
        return
    try:
        onnx.checker.check_model(str(dst), full_check=True)
    except Exception as e:
        try:
            onnx.checker.check_model(str(src), full_check=True)
        except Exception:
            return  # so was the model
        problems.append(f"{name} {options}: the checker says {str(e)[:300]}")
        return
    want = outputs(src, feeds)
    if want is None:
        return
    got = outputs(dst, feeds)
    if got is None:
        problems.append(f"{name} {options}: onnxruntime runs the model, not what was written")
    elif not equal(list(want), list(got), tolerance):
        problems.append(f"{name} {options}: other results")


def info(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, ins, outs, inits=(), opset=17, **kw):
    g = helper.make_graph(nodes, "g", ins, outs, list(inits))
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", opset), *kw.pop("also", [])],
                             ir_version=8, **kw)


def init(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


def samples():
    """name, model, feeds."""
    rng = np.random.default_rng(1)
    n = helper.make_node
    x = rng.standard_normal((2, 8)).astype(np.float32)
    w = rng.standard_normal((8, 16)).astype(np.float32)
    yield "mlp", model(
        [n("MatMul", ["x", "w"], ["h"], name="one"), n("Add", ["h", "b"], ["i"], name="two"),
         n("MatMul", ["x", "w2"], ["k"]), n("Add", ["i", "k"], ["y"])],
        [info("x", T.FLOAT, ["N", 8])], [info("y", T.FLOAT, ["N", 16])],
        [init("w", w), init("w2", w), init("b", w[0])], doc_string="a doc"), [x]
    for opset in (7, 9, 11, 13, 18):
        axes = {} if opset >= 18 else {"axes": [1]}
        extra = ["axes"] if opset >= 18 else []
        yield f"reduce{opset}", model(
            [n("ReduceMean", ["x", *extra], ["m"], keepdims=1, **axes),
             n("Sub", ["x", "m"], ["d"]), n("Softmax", ["d"], ["s"], axis=1),
             n("Dropout", ["s"], ["e"]), n("Transpose", ["e"], ["y"], perm=[1, 0])],
            [info("x", T.FLOAT, [2, 8])], [info("y", T.FLOAT, [8, 2])],
            [init("axes", np.array([1], np.int64))] if extra else [], opset), [x]
    then = helper.make_graph([n("Mul", ["x", "w"], ["t"])], "yes", [], [info("t", T.FLOAT, None)])
    other = helper.make_graph([n("Identity", ["x"], ["t"])], "no", [], [info("t", T.FLOAT, None)])
    yield "if", model(
        [n("If", ["c"], ["y"], then_branch=then, else_branch=other)],
        [info("c", T.BOOL, []), info("x", T.FLOAT, [2, 8])], [info("y", T.FLOAT, [2, 8])],
        [init("w", w[:, 0].copy())]), [np.array(True), x]
    body = helper.make_graph(
        [n("Add", ["state", "x"], ["next"]), n("Identity", ["cond"], ["go"])], "body",
        [info("i", T.INT64, []), info("cond", T.BOOL, []), info("state", T.FLOAT, [2, 8])],
        [info("go", T.BOOL, []), info("next", T.FLOAT, [2, 8])])
    yield "loop", model(
        [n("Loop", ["trips", "", "x"], ["y"], body=body)],
        [info("x", T.FLOAT, [2, 8])], [info("y", T.FLOAT, [2, 8])],
        [init("trips", np.array(3, np.int64))]), [x]
    f = helper.make_function("mine", "Twice", ["a"], ["b"], [n("Add", ["a", "a"], ["s"]),
                             n("Identity", ["s"], ["b"])], [helper.make_opsetid("", 17)])
    yield "function", model(
        [n("Twice", ["x"], ["s"], domain="mine"), n("Twice", ["s"], ["y"], domain="mine")],
        [info("x", T.FLOAT, [2, 8])], [info("y", T.FLOAT, [2, 8])],
        also=[helper.make_opsetid("mine", 1)], functions=[f]), [x]
    yield "shapes", model(
        [n("Shape", ["x"], ["s"]), n("Gather", ["s", "zero"], ["d"]),
         n("Concat", ["d", "rest"], ["to"], axis=0), n("Reshape", ["x", "to"], ["y"])],
        [info("x", T.FLOAT, ["N", 8])], [info("y", T.FLOAT, ["N", 2, 4])],
        [init("zero", np.array([0], np.int64)), init("rest", np.array([2, 4], np.int64))]), [x]


def check_samples(folder):
    for name, m, feeds in samples():
        src = folder / f"{name}.onnx"
        onnx.save(m, src)
        for options in ((), ("--fold",), ("--strip", "--dedupe"), ("--external", "w.bin"),
                        ("--fold", "--dedupe", "--strip", "--external", "w.bin")):
            judge(name, src, feeds, folder, *options)
        judge(name, src, feeds, folder, "--f16", tolerance=5e-3)
        judge(name, src, feeds, folder, "--bf16", tolerance=5e-2)
    src, dst = folder / "mlp.onnx", folder / "out.onnx"
    if convert(src, dst, "--dim", "N=2", "--dedupe", "--strip"):
        m = onnx.load(dst)
        dims = [d.dim_value for d in m.graph.input[0].type.tensor_type.shape.dim]
        if dims != [2, 8] or len(m.graph.initializer) != 2 or m.doc_string:
            problems.append(f"mlp: {dims}, {len(m.graph.initializer)} weights, {m.doc_string!r}")
    src = folder / "shapes.onnx"
    if convert(src, dst, "--dim", "N=2", "--fold") and len(onnx.load(dst).graph.node) != 1:
        problems.append("shapes: --dim with --fold leaves the arithmetic")
    before = dst.read_bytes()
    convert(src, dst, "--dim", "M=2", rc=1)
    if dst.read_bytes() != before:
        problems.append("a refused conversion touched the file")
    convert(src, dst, "--f16", "--bf16", rc=2)
    convert(src, dst, "--dim", "N", rc=2)


def value(path, kind):
    data = path.read_bytes()
    which = kind.WhichOneof("value")
    if which == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if which == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def check_cases(cases, folder):
    for case in sorted(p for p in cases.iterdir() if (p / "model.onnx").exists()):
        if case.name in OPTIONAL_SEQUENCE:
            continue
        src = case / "model.onnx"
        try:
            feeds = [value(case / "test_data_set_0" / f"input_{i}.pb", p.type)
                     for i, p in enumerate(onnx.load(src).graph.input)]
        except Exception:  # pylint: disable=broad-except  # numpy has no such type
            feeds = []
        judge(case.name, src, feeds, folder)


if __name__ == "__main__":
    LAMINA = sys.argv[1]
    onnxruntime.set_default_logger_severity(4)
    with tempfile.TemporaryDirectory() as tmp:
        check_samples(pathlib.Path(tmp))
        for cases_folder in sys.argv[2:]:
            check_cases(pathlib.Path(cases_folder), pathlib.Path(tmp))
    for problem in problems:
        print(problem)
    print("convert:", f"{len(problems)} problems" if problems else "ok")
    sys.exit(1 if problems else 0)
