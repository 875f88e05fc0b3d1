#!/usr/bin/env python3
"""
Operators misused, over all families: attributes, types, shapes, axes and indices that cannot be,
known at load or only in a run (then the run gets them as inputs). Each model is refused with the
node, the attribute, type or value at fault, and a fix; what is legal though hostile runs. All say
the same on every instruction set and with any number of threads.
Usage: check_misuse.py LAMINA [--show] [NAME]
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import check_broken
import onnxpb as o

F64, I8, U64 = 11, 3, 13
FORMAT = {o.F32: "f", F64: "d", o.I64: "q", o.I32: "i", o.U8: "B", I8: "b", o.BOOL: "?",
          U64: "Q"}
MAX, MIN = (1 << 63) - 1, -(1 << 63)
CASES = []


class Value:
    """A tensor: as an initialiser, or as an input whose data only a run knows."""

    def __init__(self, dims, values=None, dtype=o.F32):
        self.dims, self.dtype = list(dims), dtype
        n = 1
        for d in dims:
            n *= d
        self.values = [0] * n if values is None else list(values)

    def proto(self, name):
        if self.dtype == o.STRING:
            return o.tensor(name, self.dims, o.STRING, more=[(6, v) for v in self.values])
        raw = struct.pack(f"<{len(self.values)}{FORMAT[self.dtype]}", *self.values)
        return o.tensor(name, self.dims, self.dtype, raw=raw)


def f32(*dims, v=None):
    return Value(dims, v)


def i64(*values):
    return Value([len(values)], values, o.I64)


def one(value, dtype=o.I64):
    return Value([], [value], dtype)


def text(*values):
    return Value([len(values)], values, o.STRING)


def attrs_of(attrs):
    out = []
    for name, v in attrs.items():
        if isinstance(v, float):
            out.append(o.attr(name, "f", v))
        elif isinstance(v, int):
            out.append(o.attr(name, "i", v))
        elif isinstance(v, (str, bytes)):
            out.append(o.attr(name, "s", v))
        elif all(isinstance(x, int) for x in v):
            out.append(o.attr(name, "ints", v))
        else:
            out.append(o.attr(name, "strings" if isinstance(v[0], str) else "floats", v))
    return out


def case(name, op, inputs, *says, given=(), outputs=1, domain=None, opset=21, more=(), graphs=(),
         fine=None, run=False, **attrs):
    """inputs: Values, "" = absent. `given`: positions that only a run knows. run: it takes a run to
    see. fine: it runs, and gives this Value."""
    names = ["" if v == "" else f"i{k}" for k, v in enumerate(inputs)]
    live = [(n, v) for n, v in zip(names, inputs) if v != ""]
    is_given = {n for k, n in enumerate(names) if k in given}
    data = [v for n, v in live if n in is_given]
    ins = [o.info(n, v.dtype, v.dims) for n, v in live if n in is_given]
    outs = ["y"] + [f"y{k}" for k in range(1, outputs)]
    nodes = [o.node(op, names, outs, *attrs_of(attrs), *graphs, name="bad", domain=domain)]
    inits = [v.proto(n) for n, v in live if n not in is_given]
    opsets = [(opset, "")] + ([(1 if domain != "ai.onnx.ml" else 3, domain)] if domain else [])
    model = o.model(o.graph(nodes, ins, [o.info("y", 0 if fine is None else fine.dtype, None)],
                            inits, more=more), opsets=opsets)
    CASES.append((name, model, says, op, data if given or run or fine is not None else None, fine))


def attributes():
    x = f32(1, 4, 6, 6)
    case("attribute unknown", "Relu", [x], '"alpha"', alpha=1.0)
    case("attribute misspelt", "Softmax", [x], '"axes"', 'did you mean "axis"', axes=1)
    case("attribute missing", "MaxPool", [x], '"kernel_shape"')
    case("attribute of the wrong type", "LeakyRelu", [x], '"alpha"', "float", alpha=1)
    case("stride of zero", "Conv", [x, f32(2, 4, 3, 3)], "strides", strides=[0, 1])
    case("dilation below zero", "Conv", [x, f32(2, 4, 3, 3)], "dilations", dilations=[-1, 1])
    case("group of zero", "Conv", [x, f32(2, 4, 3, 3)], "group", group=0)
    case("group that does not divide", "Conv", [x, f32(2, 4, 3, 3)], "group", group=3)
    case("kernel of zero", "AveragePool", [x], "kernel_shape", kernel_shape=[0, 2])
    case("kernel beyond the input", "MaxPool", [x], "9", kernel_shape=[9, 9])
    case("pads of the wrong length", "MaxPool", [x], "pads", kernel_shape=[2, 2], pads=[1, 1])
    case("auto_pad unknown", "MaxPool", [x], "auto_pad", "SAME", kernel_shape=[2, 2],
         auto_pad="SAME")
    case("perm of another length", "Transpose", [x], "perm", perm=[0, 1])
    case("Concat axis", "Concat", [x, x], "axis 4", axis=4)
    case("blocksize zero", "DepthToSpace", [x], "blocksize", blocksize=0)
    case("blocksize that does not divide", "DepthToSpace", [x], "4", blocksize=3)
    case("direction unknown", "BitShift", [i64(1), i64(1)], "direction", direction="UP")
    case("Cast to a type that is none", "Cast", [x], '"to"', "99", to=99)
    case("Pad mode unknown", "Pad", [x, i64(0, 0, 0, 0, 0, 0, 0, 0)], "mode", "wrapp",
         mode="wrapp")
    case("Resize mode unknown", "Resize", [x, "", Value([4], [1, 1, 2, 2])], "mode", "quartic",
         mode="quartic")
    case("GridSample mode unknown", "GridSample", [x, f32(1, 2, 2, 2)], "mode", mode="quartic")
    case("reduction unknown", "ScatterElements", [f32(3), i64(0), f32(1)], "reduction", "sum",
         reduction="sum")
    case("Gelu approximation unknown", "Gelu", [x], "approximate", approximate="fast")
    case("RNN direction unknown", "GRU", [f32(2, 1, 3), f32(1, 6, 3), f32(1, 6, 2)], "direction",
         direction="sideways", hidden_size=2)
    case("RNN activation unknown", "RNN", [f32(2, 1, 3), f32(1, 2, 3), f32(1, 2, 2)],
         "activation", "Swoosh", activations=["Swoosh"], hidden_size=2, run=True)
    case("Einsum equation", "Einsum", [f32(2, 3), f32(3, 4)], "equation", "z",
         equation="ij,jk->iz")
    case("pixel format unknown", "ImageDecoder", [Value([4], [1, 2, 3, 4], o.U8)],
         "pixel_format", pixel_format="CMYK")
    case("pattern that is none", "RegexFullMatch", [text("a")], "pattern", pattern="(a", run=True)
    case("pattern that explodes", "RegexFullMatch", [text("a")], "pattern",
         pattern="((((a{1,999}){1,999}){1,999}){1,999})", run=True)
    case("n-gram mode unknown", "TfIdfVectorizer", [i64(1, 2)], "mode", mode="TFF",
         max_gram_length=1, max_skip_count=0, min_gram_length=1, ngram_counts=[0],
         ngram_indexes=[0], pool_int64s=[1])


def types():
    case("complex for Relu", "Relu", [Value([1], [b"a"], o.STRING)], "string", "float")
    case("Conv of two types", "Conv", [f32(1, 1, 4, 4), Value([1, 1, 2, 2], None, F64)],
         "float64", "float32")
    case("indices of floats", "Gather", [f32(3), f32(1)], "float32", "int64")
    case("condition of floats", "Where", [f32(2), f32(2), f32(2)], "float32", "bool")
    case("zero point of another type", "QuantizeLinear",
         [f32(2), one(1.0, o.F32), one(0, o.I64)], "int64")
    case("DequantizeLinear of floats", "DequantizeLinear", [f32(2), one(1.0, o.F32)], "float32")
    case("strings to StringNormalizer", "StringNormalizer", [f32(2)], "float32", "string")
    case("And of integers", "And", [i64(1), i64(1)], "int64", "bool")
    case("MatMulInteger of floats", "MatMulInteger", [f32(2, 2), f32(2, 2)], "float32")
    case("SequenceAt of a tensor", "SequenceAt", [f32(2), one(0)], "sequence", run=True)


def shapes():
    x = f32(2, 3)
    case("Gemm of rank 3", "Gemm", [f32(1, 2, 3), f32(3, 4)], "rank")
    case("MatMul of a scalar", "MatMul", [one(1.0, o.F32), x], "scalar")
    case("BatchNormalization sizes", "BatchNormalization",
         [f32(1, 4, 2, 2), f32(3), f32(4), f32(4), f32(4)], "3", "4")
    case("LayerNormalization axis", "LayerNormalization", [x, f32(3)], "axis 5", axis=5)
    case("Split sizes", "Split", [f32(6), i64(2, 2)], "6", outputs=2, axis=0)
    case("Split below zero", "Split", [f32(6), i64(-2, 8)], "-2", outputs=2, axis=0)
    case("Squeeze of one axis twice", "Squeeze", [f32(1, 3), i64(0, -2)], "axis 0", "twice")
    case("Unsqueeze of one axis twice", "Unsqueeze", [x, i64(1, 1)], "axis 1", "twice")
    case("Reduce axis", "ReduceSum", [x, i64(2)], "axis 2")
    case("Gather axis", "Gather", [x, i64(0)], "axis -3", axis=-3)
    case("Slice step", "Slice", [x, i64(0), i64(2), i64(0), i64(0)], "step")
    case("Slice axis twice", "Slice", [x, i64(0, 0), i64(1, 1), i64(0, 0)], "axis 0", "twice",
         run=True)
    case("Reshape extent", "Reshape", [x, i64(-2, 3)], "-2")
    case("Reshape beyond any memory", "Reshape", [x, i64(1 << 40, 1 << 40)], str(1 << 40))
    case("Expand shape", "Expand", [x, i64(2, 4)], "3", "4")
    case("Tile below zero", "Tile", [x, i64(-1, 2)], "-1")
    case("Pad below zero", "Pad", [x, i64(-2, -2, 0, -2)], "-")
    case("Pad pads of the wrong length", "Pad", [x, i64(1, 1, 1)], "3")
    case("TopK beyond", "TopK", [x, i64(4)], "4", "3", outputs=2)
    case("TopK below zero", "TopK", [x, i64(-1)], "-1", outputs=2)
    case("Trilu of a vector", "Trilu", [f32(3)], "rank")
    case("CumSum axis", "CumSum", [x, one(2)], "axis 2")
    case("GatherElements ranks", "GatherElements", [x, i64(0)], "rank")
    case("GatherND indices", "GatherND", [x, Value([1, 3], [0, 0, 0], o.I64)], "3")
    case("ScatterND updates", "ScatterND", [x, Value([1, 1], [0], o.I64), f32(1, 4)], "4", "3",
         run=True)
    case("scale of another length", "QuantizeLinear", [x, f32(4)], "4", "3", axis=1)
    case("NonMaxSuppression ranks", "NonMaxSuppression", [f32(4, 4), f32(1, 1, 4)], "rank")
    case("Range of 2^62", "Range", [one(0), one(1 << 62), one(1)], "int64[")
    case("ArgMax of nothing", "ArgMax", [f32(2, 0)], "axis 1", "0", axis=1, run=True)
    case("RNN weights", "LSTM", [f32(2, 1, 3), f32(1, 8, 4), f32(1, 8, 2)], "4", "3",
         hidden_size=2, run=True)
    case("Attention heads", "Attention", [f32(1, 2, 6), f32(1, 2, 6), f32(1, 2, 6)], "heads",
         opset=24, q_num_heads=4, kv_num_heads=4, run=True)
    case("MatMulNBits bits", "MatMulNBits", [x, Value([4, 1, 8], None, o.U8), f32(4)], "bits",
         domain="com.microsoft", K=3, N=4, bits=3, block_size=16)
    case("trees of two lengths", "TreeEnsembleRegressor", [x], "nodes_",
         domain="ai.onnx.ml", n_targets=1, nodes_treeids=[0, 0], nodes_nodeids=[0],
         nodes_featureids=[0], nodes_modes=["LEAF"], nodes_values=[0.5], nodes_truenodeids=[0],
         nodes_falsenodeids=[0], target_ids=[0], target_nodeids=[0], target_treeids=[0],
         target_weights=[1.0], run=True)
    case("operator of a newer set", "Hyperbolate", [x], "Hyperbolate", "29", "up to 28", opset=29)
    case("domain of nobody", "Foo", [x], "my.domain", "plug-in", domain="my.domain")


def png(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I",
                                                                       zlib.crc32(kind + body))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


def runs():
    x = f32(2, 3)
    case("Gather index", "Gather", [x, i64(9)], "9", given=[1])
    case("Gather index below", "Gather", [x, i64(MIN)], str(MIN), given=[1])
    case("GatherElements index", "GatherElements", [x, Value([1, 1], [5], o.I64)], "5", given=[1])
    case("GatherND index", "GatherND", [x, Value([1, 2], [0, 7], o.I64)], "7", given=[1])
    case("ScatterElements index", "ScatterElements", [x, Value([1, 1], [-9], o.I64), f32(1, 1)],
         "-9", given=[1])
    case("ScatterND index", "ScatterND", [x, Value([1, 1], [2], o.I64), f32(1, 3)], "2", given=[1])
    case("Slice step in a run", "Slice", [x, i64(0), i64(2), i64(0), i64(0)], "step", given=[4])
    case("Reshape in a run", "Reshape", [x, i64(4, 4)], "4", given=[1])
    case("Reshape beyond memory in a run", "Reshape", [x, i64(MAX, MAX)], str(MAX), given=[1])
    case("Expand to 2^40 in a run", "Expand", [x, i64(1 << 40, 1, 1)], given=[1])
    case("Tile to 2^80 in a run", "Tile", [x, i64(1 << 40, 1 << 40)], given=[1])
    case("ConstantOfShape in a run", "ConstantOfShape", [i64(1 << 40, 1 << 40)], given=[0])
    case("ConstantOfShape below zero", "ConstantOfShape", [i64(-4)], "-4", given=[0])
    case("Range that never ends", "Range", [one(0), one(5), one(0)], "0", given=[2])
    case("Range of 2^62 in a run", "Range", [one(0), one(1 << 62), one(1)], given=[1])
    case("Range of NaN", "Range", [one(0.0, o.F32), one(float("nan"), o.F32), one(1.0, o.F32)],
         given=[1])
    case("OneHot depth", "OneHot", [i64(1), one(-1), f32(2)], "-1", given=[1])
    case("TopK in a run", "TopK", [x, i64(4)], "4", given=[1], outputs=2)
    case("Pad below zero in a run", "Pad", [x, i64(-2, -2, 0, -2)], "-", given=[1])
    case("Pad to 2^62 in a run", "Pad", [x, i64(1 << 62, 0, 0, 0)], given=[1])
    case("Resize to 2^40 in a run", "Resize",
         [f32(1, 1, 2, 2), "", "", i64(1, 1, 1 << 40, 1 << 40)], given=[3])
    case("Resize by nothing in a run", "Resize", [f32(1, 1, 2, 2), "", f32(4)], "0", given=[2])
    case("Resize by NaN in a run", "Resize",
         [f32(1, 1, 2, 2), "", f32(4, v=[1, 1, float("nan"), 1])], "nan", given=[2])
    case("Unsqueeze twice in a run", "Unsqueeze", [x, i64(1, 1)], "axis 1", given=[1])
    case("Reduce axis in a run", "ReduceSum", [x, i64(7)], "7", given=[1])
    case("CumSum axis in a run", "CumSum", [x, one(-3)], "-3", given=[1])
    case("Split in a run", "Split", [f32(6), i64(2, 2)], "6", given=[1], outputs=2, axis=0)
    case("text that is no number", "Cast", [text("12", "abc")], "abc", given=[0], to=1)
    case("condition of two", "If", [Value([2], [True, True], o.BOOL)], "2", given=[0],
         graphs=branches())
    for name, data in (("image bomb", png(60000, 60000)), ("image cut off", png(4, 4)[:40]),
                       ("image that is none", b"GIF89a" + bytes(40))):
        case(name, "ImageDecoder", [Value([len(data)], data, o.U8)], given=[0])
    case("sequence length beyond", "LSTM",
         [f32(2, 1, 3), f32(1, 8, 3), f32(1, 8, 2), "", Value([1], [9], o.I32)], "9", given=[4],
         hidden_size=2)


def branches():
    same = o.graph([o.node("Identity", ["i0"], ["b"])], outs=[o.info("b", o.BOOL, None)])
    return [o.attr("then_branch", "g", same), o.attr("else_branch", "g", same)]


def loop_body():
    """Counts in v; goes on while v < 3."""
    nodes = [o.node("Add", ["v", "step"], ["w"]), o.node("Less", ["w", "end"], ["go"])]
    return o.graph(nodes,
                   [o.info("it", o.I64, []), o.info("c", o.BOOL, []), o.info("v", o.I64, [])],
                   [o.info("go", o.BOOL, []), o.info("w", o.I64, [])],
                   [one(1).proto("step"), one(3).proto("end")])


def legal():
    """Hostile, and yet each has an answer."""
    case("least by -1", "Div", [i64(MIN, 7), i64(-1, -1)], given=[0, 1], fine=i64(MIN, -7))
    case("least modulo -1", "Mod", [i64(MIN, 7), i64(-1, -1)], given=[0, 1], fine=i64(0, 0))
    case("division by zero", "Div", [i64(1, -2), i64(1, 0)], given=[1], fine=i64(1, 0))
    case("remainder by zero", "Mod", [i64(1, -2), i64(1, 0)], given=[1], fine=i64(0, 0))
    case("strings that are not UTF-8", "StringNormalizer", [text(b"\xff\xfea")],
         given=[0], fine=text(b"\xff\xfeA"), case_change_action="UPPER")
    case("pattern on what is not UTF-8", "RegexFullMatch", [text(b"\xc3(")], given=[0],
         fine=Value([1], [True], o.BOOL), pattern="..")
    case("absolute least", "Abs", [i64(MIN)], given=[0], fine=i64(MIN))
    case("shift by the width and more", "BitShift",
         [Value([3], [1, 2, 3], U64), Value([3], [64, 65, 255], U64)], given=[0, 1],
         fine=Value([3], None, U64), direction="LEFT")
    case("a loop of 2^63 - 1 turns that ends", "Loop", [one(MAX), "", one(0)], given=[2],
         fine=one(3), graphs=[o.attr("body", "g", loop_body())])
    case("a pattern that would backtrack", "RegexFullMatch", [text("a" * 5000 + "b")], given=[0],
         fine=Value([1], [False], o.BOOL), pattern="(a*)*(a*)*c")
    case("an axis of no extent", "Softmax", [f32(2, 0)], given=[0], fine=f32(2, 0), axis=1)
    case("a sum of nothing", "ReduceSum", [f32(2, 0), i64(1)], given=[0], fine=f32(2), keepdims=0)
    case("a sum over one axis named twice", "ReduceSum", [f32(2, 3), i64(1, -1)], given=[0],
         fine=f32(2, 1))
    case("Gather of no index", "Gather", [f32(3), i64()], given=[1], fine=f32(0))


def write(home, model, data, fine):
    (home / "model.onnx").write_bytes(model)
    sets = home / "set"
    sets.mkdir(exist_ok=True)
    for k, v in enumerate(data or ()):
        (sets / f"input_{k}.pb").write_bytes(v.proto("in"))
    (sets / "output_0.pb").write_bytes((fine or f32(1)).proto("y"))
    return ["model.onnx"] + ([] if data is None else ["--data", "set"])


def answer(program, home, args, isa="", threads="2"):
    env = {**os.environ, "LAMINA_ISA": isa} if isa else None
    p = subprocess.run([program, "check", *args, "--threads", threads], cwd=home, timeout=120,
                       capture_output=True, preexec_fn=check_broken.bound, check=False, env=env)
    return p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")


def judge(program, home, entry):
    """What is wrong; and the text for people."""
    name, model, says, op, data, fine = entry
    args = write(home, model, data, fine)
    rc, plain, _ = answer(program, home, args)
    rcj, js, err = answer(program, home, args + ["--json"])
    try:
        errors = [d for d in json.loads(js)["diagnostics"] if d["severity"] == "error"]
    except ValueError as e:
        return [f"bad JSON ({e}), exit {rcj}: {err[-300:]}"], plain
    if fine is not None:
        return ([] if rc == rcj == 0 else [f"exit {rc}: {errors}"]), plain
    domain = {"my.domain": "my.domain:", "com.microsoft": "com.microsoft:",
              "ai.onnx.ml": "ai.onnx.ml:"}
    ops = {d + op for d in ("", *domain.values())}
    bad = check_broken.judge((name, model, says, "bad", None, 1), rcj, plain, errors)
    bad += [] if all(e["op"] in ops for e in errors) else [f"not at {op}: {errors}"]
    for isa, threads in (("ref", "1"), ("", "1")):
        if answer(program, home, args + ["--json"], isa, threads)[1] != js:
            bad.append(f"another answer with {isa or 'all'} instructions and {threads} thread")
    return bad, plain


def main():
    program, show = str(pathlib.Path(sys.argv[1]).resolve()), "--show" in sys.argv
    only = [a for a in sys.argv[2:] if a != "--show"]
    for make in (attributes, types, shapes, runs, legal):
        make()
    failed = n = 0
    for entry in CASES:
        if only and not any(w in entry[0] for w in only):
            continue
        n += 1
        with tempfile.TemporaryDirectory() as tmp:
            bad, plain = judge(program, pathlib.Path(tmp), entry)
        failed += bool(bad)
        if show or bad:
            print(f"{'FAIL' if bad else 'ok  '} {entry[0]}: {bad or ''}")
            print("     " + plain.replace("\n", "\n     "))
    print(f"{n - failed} of {n} models: node, what is at fault, and a fix; or they run")
    return 1 if failed or not n else 0


if __name__ == "__main__":
    sys.exit(main())
