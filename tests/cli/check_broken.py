#!/usr/bin/env python3
"""
`lamina check` on models that are broken or ask for what does not exist: each is refused with the
node (or the value, or the file), a reason and a fix, in bounded memory and time; the same problem
stands in the JSON. Usage: check_broken.py LAMINA [--show] [NAME]
"""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import onnxpb as o
from onnxpb import attr, floats, graph, info, ints, model, node, simple, tensor

SANITIZED = bool(os.environ.get("LAMINA_SANITIZED"))
BIG_MEMORY, SECONDS = 1 << 30, 60 if SANITIZED else 5
CASES = []


def case(name, data, *says, node_name=None, op=None, count=1):
    """says: fragments of reason or fix; node_name, op: as reported; count: errors at least."""
    CASES.append((name, data, says, node_name, op, count))


def identity(i="x", out="y", **kw):
    return node("Identity", [i], [out], **kw)


def const_w(t):
    return simple([node("Add", ["x", "w"], ["y"], name="add")], inits=[t])


def operators():
    case("unknown operator", simple([node("Reluu", ["x"], ["y"], name="r1")]),
         "Reluu", 'did you mean "Relu"', node_name="r1", op="Reluu")
    case("unknown operator far from any", simple([node("Qzxwvy", ["x"], ["y"], name="q")]),
         "Qzxwvy", "not known", node_name="q")
    case("unknown domain", simple([node("Foo", ["x"], ["y"], name="n", domain="my.co")],
                                  opsets=((17, ""), (1, "my.co"))),
         "my.co", "not known", node_name="n", op="my.co:Foo")
    case("domain not imported", simple([node("LabelEncoder", ["x"], ["y"], name="le",
                                             domain="ai.onnx.ml")]),
         "opset_import", node_name="le")
    case("unnamed node is named by its output", simple([node("Reluu", ["x"], ["y"])]),
         node_name="y", op="Reluu")
    case("too few inputs", simple([node("Add", ["x"], ["y"], name="add")]), "input",
         node_name="add", op="Add")
    case("too many inputs", simple([node("Relu", ["x", "x"], ["y"], name="r")]), "input",
         node_name="r", op="Relu")
    case("too many outputs", simple([node("Relu", ["x"], ["y", "z"], name="r")]), "output",
         node_name="r", op="Relu")
    case("missing required attribute", simple([node("Cast", ["x"], ["y"], name="c")]), '"to"',
         node_name="c", op="Cast")
    case("missing required perm", simple([node("Concat", ["x", "x"], ["y"], name="c")]), '"axis"',
         node_name="c", op="Concat")
    case("wrong attribute type",
         simple([node("Concat", ["x", "x"], ["y"], attr("axis", "s", b"zero"), name="c")]),
         '"axis"', node_name="c", op="Concat")
    case("wrong attribute type in a list",
         simple([node("Transpose", ["x"], ["y"], attr("perm", "f", 1.0), name="t")]),
         '"perm"', node_name="t")
    case("bad permutation", simple([node("Transpose", ["x"], ["y"], attr("perm", "ints", [0, 0]),
                                         name="t")], ins=[info("x", dims=[2, 3])]),
         "perm", node_name="t")
    case("axis out of range",
         simple([node("Softmax", ["x"], ["y"], attr("axis", "i", 7), name="s")],
                ins=[info("x", dims=[2, 3])]), "axis", node_name="s")


def types_and_shapes():
    two = [info("x", dims=[2, 3]), info("z", dims=[4, 5])]
    case("type mismatch", simple([node("Add", ["x", "z"], ["y"], name="add")],
                                 ins=[info("x"), info("z", o.I64)]),
         "int64", "float", node_name="add", op="Add")
    case("type not allowed", simple([node("Relu", ["x"], ["y"], name="r")],
                                    ins=[info("x", o.STRING)]), "string", node_name="r")
    case("MatMul shapes", simple([node("MatMul", ["x", "z"], ["y"], name="mm")], ins=two),
         "3", "4", node_name="mm", op="MatMul")
    case("Gemm shapes", simple([node("Gemm", ["x", "z"], ["y"], name="gm")], ins=two),
         "3", "4", node_name="gm")
    case("Concat shapes", simple([node("Concat", ["x", "z"], ["y"], attr("axis", "i", 0),
                                       name="cat")], ins=two), "axis 1", node_name="cat")
    case("Add shapes", simple([node("Add", ["x", "z"], ["y"], name="add")], ins=two),
         "3", "5", node_name="add")
    case("Conv channels",
         simple([node("Conv", ["x", "w"], ["y"], name="conv")],
                ins=[info("x", dims=[1, 3, 8, 8])],
                inits=[floats("w", [2, 4, 1, 1], [0.0] * 8)]),
         "channel", node_name="conv", op="Conv")
    case("Conv rank",
         simple([node("Conv", ["x", "w"], ["y"], name="conv")], ins=[info("x", dims=[1, 3])],
                inits=[floats("w", [2, 3, 1, 1], [0.0] * 6)]), "rank", node_name="conv")
    case("Reshape size", simple([node("Reshape", ["x", "s"], ["y"], name="rs")],
                                ins=[info("x", dims=[2, 3])], inits=[ints("s", [4, 4])]),
         "[4,4]", node_name="rs", op="Reshape")
    case("Reshape two -1", simple([node("Reshape", ["x", "s"], ["y"], name="rs")],
                                  ins=[info("x", dims=[2, 3])], inits=[ints("s", [-1, -1])]),
         "-1", node_name="rs")
    case("Squeeze an axis of 3", simple([node("Squeeze", ["x", "s"], ["y"], name="sq")],
                                        ins=[info("x", dims=[2, 3])], inits=[ints("s", [1])]),
         "axis 1", node_name="sq")
    case("unsupported dtype of an input", simple([identity()], ins=[info("x", 77)]), '"x"',
         "type")
    case("unsupported dtype of an initialiser", const_w(tensor("w", [1], 99, b"\0" * 4)),
         '"w"', "type 99")
    case("map input", model(graph([identity()], [o.msg((1, "x"), (2, o.msg((5, b""))))],
                                  [info("y", dims=None)])), '"x"', "map")


def graphs():
    case("duplicate output", simple([identity(name="a"), identity(name="b")]), '"y"', "twice",
         node_name="b")
    case("cycle", simple([node("Add", ["x", "b"], ["a"], name="n1"),
                          node("Relu", ["a"], ["b"], name="n2"), identity("b")]), "circle",
         node_name="n1")
    case("undefined input", simple([node("Add", ["x", "ghost"], ["y"], name="add")]), '"ghost"',
         node_name="add", op="Add")
    case("dangling graph output", simple([identity(out="z")]), '"y"', "output")
    case("initialiser twice",
         simple([node("Add", ["x", "w"], ["y"], name="add")],
                inits=[floats("w", [1], [1.0]), floats("w", [1], [2.0])]), '"w"', "twice")
    case("no graph", o.msg((1, 8), (8, o.opset(17))), "no graph")
    case("opset 0", simple([identity(name="i")], opsets=((0, ""),)), "version 0")
    case("opset -5", simple([identity(name="i")], opsets=((-5, ""),)), "-5")
    case("no opset", simple([identity(name="i")], opsets=()), "opset_import", node_name="i")
    case("operator newer than the opset",
         simple([node("CumSum", ["x", "x"], ["y"], name="cs")], opsets=((9, ""),)),
         "opset 11", "9", node_name="cs")
    case("operator removed before the opset",
         simple([node("Scatter", ["x", "x", "x"], ["y"], name="sc")], opsets=((17, ""),)),
         node_name="sc")


def subgraphs():
    branch = graph([identity("x", "b", name="in_branch")], outs=[info("b", dims=None)])
    bad = graph([node("Reluu", ["x"], ["b"], name="in_branch")], outs=[info("b", dims=None)])
    ins = [info("x"), info("c", o.BOOL, [])]
    case("If without else", simple([node("If", ["c"], ["y"], attr("then_branch", "g", branch),
                                         name="if1")], ins=ins), "else_branch", node_name="if1",
         op="If")
    case("If condition of floats",
         simple([node("If", ["x"], ["y"], attr("then_branch", "g", branch),
                      attr("else_branch", "g", branch), name="if1")], ins=ins),
         "bool", node_name="if1")
    case("error inside a branch",
         simple([node("If", ["c"], ["y"], attr("then_branch", "g", bad),
                      attr("else_branch", "g", branch), name="if1")], ins=ins), "Relu",
         node_name="in_branch")
    two_ins = graph([identity("k", "k2"), identity("it", "o1")],
                    [info("it", o.I64, []), info("k", o.BOOL, [])],
                    [info("k2", o.BOOL, []), info("o1", o.I64, [])])
    case("Loop body with wrong arity",
         simple([node("Loop", ["n", "", "x"], ["y"], attr("body", "g", two_ins), name="lp")],
                inits=[ints("n", [3])]), "body", node_name="lp", op="Loop")
    one_out = graph([identity("k", "k2")],
                    [info("it", o.I64, []), info("k", o.BOOL, []), info("v")],
                    [info("k2", o.BOOL, [])])
    case("Loop body with too few outputs",
         simple([node("Loop", ["n", "", "x"], ["y"], attr("body", "g", one_out), name="lp")],
                inits=[ints("n", [3])]), "body", node_name="lp", op="Loop")
    case("Loop without a body", simple([node("Loop", ["n", "", "x"], ["y"], name="lp")],
                                       inits=[ints("n", [3])]), "body", node_name="lp")
    deep = graph([identity("x", "b")], outs=[info("b", dims=None)])
    for _ in range(300):
        deep = graph([node("If", ["c"], ["b"], attr("then_branch", "g", deep),
                           attr("else_branch", "g", branch))], outs=[info("b", dims=None)])
    case("deep nesting", simple([node("If", ["c"], ["y"], attr("then_branch", "g", deep),
                                      attr("else_branch", "g", branch), name="top")], ins=ins),
         "max_depth")


def functions():
    def call(i, out="y", ins="x", name=None):
        return node(f"f{i}", [ins], [out], domain="my", name=name)
    my = ((17, ""), (1, "my"))
    case("recursive function", simple([call(0, name="call")], opsets=my,
                                      functions=[o.function("f0", ["x"], ["y"], [call(0)])]),
         "max_depth", node_name=True)
    case("mutual recursion",
         simple([call(0, name="call")], opsets=my,
                functions=[o.function("f0", ["x"], ["y"], [call(1)]),
                           o.function("f1", ["x"], ["y"], [call(0)])]), "circle", node_name=True)
    fs = [o.function(f"f{i}", ["x"], ["y"],
                     [call(i + 1, f"t{k + 1}" if k < 9 else "y", f"t{k}" if k else "x")
                      for k in range(10)]) for i in range(9)]
    fs.append(o.function("f9", ["x"], ["y"], [identity()]))
    case("exponential functions", simple([call(0, name="call")], opsets=my, functions=fs),
         "max_nodes", node_name=True)
    case("function without that output",
         simple([node("f0", ["x"], ["z", "y"], domain="my", name="call")], opsets=my,
                functions=[o.function("f0", ["x"], ["y"], [identity()])]), '"y"', node_name="call")
    case("function with too many inputs",
         simple([node("f0", ["x", "x"], ["y"], domain="my", name="call")], opsets=my,
                functions=[o.function("f0", ["x"], ["y"], [identity()])]), "2 inputs",
         node_name="call")


def constants():
    case("raw_data too short", const_w(tensor("w", [4], raw=b"\0" * 15)), '"w"', "15", "16")
    case("raw_data too long", const_w(tensor("w", [4], raw=b"\0" * 17)), '"w"', "17", "16")
    case("typed values too few", const_w(tensor("w", [3], more=[(4, 1.0)])), '"w"', "1", "3")
    case("2^60 elements", const_w(tensor("w", [1 << 60], raw=b"\0" * 16)), '"w"')
    case("product of dimensions wraps", const_w(tensor("w", [1 << 32, 1 << 32], raw=b"")), '"w"')
    case("negative dimension", const_w(tensor("w", [-1, 4], raw=b"\0" * 16)), '"w"', "negative")
    case("rank 9", const_w(tensor("w", [1] * 9, raw=b"\0" * 4)), '"w"', "rank 9")
    big = attr("value", "t", floats("v", [1], [1.0]))
    case("constant folds to gigabytes",
         simple([node("ConstantOfShape", ["s"], ["big"], big, name="cos"),
                 node("ReduceSum", ["big"], ["r"], attr("keepdims", "i", 0), name="rd"),
                 node("Add", ["x", "r"], ["y"])], inits=[ints("s", [1 << 20, 1 << 12])]))
    case("constant beyond any memory",
         simple([node("ConstantOfShape", ["s"], ["y"], big, name="cos")],
                inits=[ints("s", [1 << 40, 1 << 40])]), node_name="cos")
    case("negative extent of ConstantOfShape",
         simple([node("ConstantOfShape", ["s"], ["y"], big, name="cos")],
                inits=[ints("s", [-4])]), node_name="cos")

    def sparse(n_values, indices, dims):
        v = floats("w", [n_values], [1.0] * n_values)
        return o.msg((1, v), (2, ints("i", indices)), *[(3, d) for d in dims])

    def with_sparse(s):
        g = graph([node("Add", ["x", "w"], ["y"], name="add")], [info("x")],
                  [info("y", dims=None)], more=[(15, s)])
        return model(g)
    case("sparse with fewer indices than values", with_sparse(sparse(3, [0, 1], [8])), '"w"')
    case("sparse index outside", with_sparse(sparse(2, [0, 9], [8])), '"w"', "entry 1")
    case("sparse index negative", with_sparse(sparse(2, [-1, 1], [8])), '"w"', "entry 0")
    case("sparse unfolds to terabytes", with_sparse(sparse(1, [0], [1 << 39])), '"w"',
         "dense")
    case("Constant with two values",
         simple([node("Constant", [], ["y"], attr("value_int", "i", 1),
                      attr("value_float", "f", 1.0), name="k")]), "value", node_name="k")


def external_data():
    def ext(location, dims=(4,), **more):
        return const_w(o.external("w", list(dims), location, **more))
    case("external file missing", ext("none.bin"), '"w"', "none.bin")
    case("external path traversal", ext("../secret.bin"), '"w"')
    case("external path absolute", ext("/etc/hostname"), '"w"')
    case("external symbolic link", ext("link.bin"), '"w"')
    case("external folder", ext("folder"), '"w"')
    case("external offset beyond the end", ext("w.bin", offset=4096), '"w"', "4096")
    case("external length of another size", ext("w.bin", length=12), '"w"', "12", "16")
    case("external offset that is no number", ext("w.bin", offset="0x10"), '"w"', "offset")
    case("external without a location", const_w(o.tensor("w", [4], more=[(14, 1)])), '"w"')
    case("external name with NUL", ext(b"w.bin\0.txt".decode()), '"w"')


def files():
    good = simple([identity()])
    case("truncated file", good[:len(good) * 2 // 3], "cut off")
    case("text instead of protobuf", b"this is not a model\n" * 40)
    case("a zip file", b"PK\x03\x04" + bytes(60))
    case("empty file", b"", "empty")
    case("zeros", bytes(4096))
    case("length of 2^63", b"\x3a" + o.varint((1 << 63) - 1) + b"abc")


def names():
    case("name with a newline", simple([node("Reluu", ["x"], ["y"], name="a\nb")]),
         node_name="a\\x0ab")
    case("name with NUL and escape", simple([node("Reluu", ["x"], ["y"], name="a\0\x1b[31mb")]),
         node_name="a\\x00\\x1b[31mb")
    case("name of invalid UTF-8", simple([node("Reluu", ["x"], ["y"], name=b"\xff\xfe")]),
         node_name="\\xff\\xfe")
    case("name with a quote", simple([node("Reluu", ["x"], ["y"], name='q"')]),
         node_name="q\\x22")
    case("operator with a newline", simple([node("Re\nlu", ["x"], ["y"], name="n")]),
         node_name="n", op="Re\\x0alu")
    case("undefined input of invalid UTF-8", simple([node("Relu", [b"\xc3("], ["y"], name="n")]),
         "\\xc3(", node_name="n")
    case("name of a megabyte", simple([node("Reluu", ["x"], ["y"], name="n" * (1 << 20))]),
         node_name=True)
    case("several problems at once",
         simple([node("Reluu", ["x"], ["a"], name="one"), node("Add", ["a"], ["b"], name="two"),
                 node("Add", ["b", "ghost"], ["c"], name="three"),
                 node("Concat", ["c"], ["y"], name="four")],
                inits=[tensor("w", [4], raw=b"\0")]), count=5, node_name=True)


FINE = {"constant folds to gigabytes"}  # runs, one node at a time: not folded, not refused


def bound():
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (BIG_MEMORY, BIG_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def lamina(program, *args):
    return subprocess.run([program, *args], capture_output=True, timeout=60 + SECONDS,
                          preexec_fn=bound, check=False)


def judge(entry, rc, text, errors):
    """What is wrong with the answer; [] if nothing."""
    name, _, says, node_name, op, count = entry
    bad = []
    if name in FINE:
        return [] if rc == 0 else [f"exit {rc}"]
    if rc != 1:
        return [f"exit {rc}, not 1"]
    if len(errors) < count:
        return [f"{len(errors)} errors, not {count}"]
    for e in errors:
        if not e["reason"] or not e["fix"] or not e["where"] or e["status"] == "OK":
            bad.append(f"a field is empty: {e}")
        if any(ord(c) < 32 for c in "".join(str(v) for v in e.values())):
            bad.append("control characters")
    if node_name and not any(e["node"] and (node_name is True or e["node"] == node_name)
                             for e in errors):
        bad.append(f"no error at node {node_name}: {[e['node'] for e in errors]}")
    if node_name and not all(e["op"] for e in errors if e["node"]):
        bad.append("a node without its operator")
    if op and not any(e["op"] == op for e in errors):
        bad.append(f"no error at operator {op}")
    words = " ".join(e["reason"] + "; " + e["fix"] for e in errors)
    bad += [f"does not say {s!r}" for s in says if s not in words]
    bad += [f"the text lacks {e['reason']!r}" for e in errors if e["reason"] not in text]
    return bad


def folder(tmp):
    """Where the models lie: beside them what external data may and may not reach."""
    home = pathlib.Path(tmp) / "models"
    (home / "folder").mkdir(parents=True)
    (home / "w.bin").write_bytes(bytes(64))
    (pathlib.Path(tmp) / "secret.bin").write_bytes(bytes(64))
    (home / "link.bin").symlink_to("w.bin")
    return home


def main():
    program, show = sys.argv[1], "--show" in sys.argv
    only = [a for a in sys.argv[2:] if a != "--show"]
    for make in (operators, types_and_shapes, graphs, subgraphs, functions, constants,
                 external_data, files, names):
        make()
    failed = n = 0
    with tempfile.TemporaryDirectory() as tmp:
        path = folder(tmp) / "model.onnx"
        for entry in CASES:
            if only and not any(w in entry[0] for w in only):
                continue
            path.write_bytes(entry[1])
            n += 1
            plain, js = lamina(program, "check", path), lamina(program, "check", "--json", path)
            try:
                errors = [d for d in json.loads(js.stdout)["diagnostics"]
                          if d["severity"] == "error"]
                bad = judge(entry, js.returncode, plain.stdout.decode(), errors)
                bad += [] if plain.returncode == js.returncode else ["exit codes differ"]
            except (ValueError, KeyError) as e:
                bad = [f"bad JSON ({e}), exit {js.returncode}: {js.stderr[-300:]}"]
            failed += bool(bad)
            if show or bad:
                print(f"{'FAIL' if bad else 'ok  '} {entry[0]}: {bad or ''}")
                print("     " + plain.stdout.decode(errors="replace").replace("\n", "\n     "))
    print(f"{n - failed} of {n} models: node, reason and fix")
    return 1 if failed or not n else 0


if __name__ == "__main__":
    sys.exit(main())
