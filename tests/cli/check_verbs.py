#!/usr/bin/env python3
"""
Every verb of the program on small models: what is printed, what is saved, exit codes, and the
picture of `inspect --html` (boxes apart, edges attached, names harmless).
Usage: check_verbs.py LAMINA
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import onnxpb as o
from onnxpb import attr, floats, graph, info, model, node

FAILED = []
LAMINA = sys.argv[1]
EVIL = 'n</script><b>"\\'


def expect(what, ok, detail=""):
    if not ok:
        FAILED.append(what)
        print(f"FAILED {what}: {str(detail)[:400]}")


def lamina(*args):
    p = subprocess.run([LAMINA, *map(str, args)], capture_output=True, text=True, check=False,
                       timeout=120)
    return p.returncode, p.stdout, p.stderr


def as_json(what, *args, code=0):
    rc, out, err = lamina(*args)
    expect(f"{what}: exit code", rc == code, (rc, err))
    try:
        return json.loads(out)
    except ValueError as e:
        expect(f"{what}: one JSON document", False, f"{e}: {out}")
        return {}


def branch(op, name):
    return graph([node(op, ["h"], [name], name=op.lower())], outs=[info(name, dims=None)])


def chain_model():
    """x[N,4] -> Gemm -> h; If picks Relu or Neg of h; a long edge from h joins at the end."""
    choose = node("If", ["c"], ["b"], attr("then_branch", "g", branch("Relu", "t")),
                  attr("else_branch", "g", branch("Neg", "e")), name="choose")
    nodes = [node("MatMul", ["x", "w"], ["h"], name=EVIL), node("ReduceMax", ["h"], ["m"],
             attr("keepdims", "i", 0)), node("Greater", ["m", "zero"], ["c"]), choose,
             node("Exp", ["b"], ["p"]), node("Log", ["p"], ["q"]), node("Add", ["q", "h"], ["y"])]
    return model(graph(nodes, [info("x", dims=("N", 4))], [info("y", dims=None)],
                       [floats("w", [4, 4], [float(i % 5) for i in range(16)]),
                        floats("zero", [], [0.0])]))


def npy(path, dims, values):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(dims)!r}, }}"
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                     struct.pack(f"<{len(values)}f", *values))


def run(tmp, m):
    npy(tmp / "x.npy", [2, 4], [1.0] * 8)
    d = as_json("run", "run", m, "--input", f"x={tmp / 'x.npy'}", "--json", "--output",
                tmp / "a" / "b")
    y = d.get("outputs", [{}])[0]
    expect("run: shape", y.get("shape") == [2, 4], y)
    expect("run: saved", (tmp / "a" / "b" / "y.npy").exists())
    rc, out, _ = lamina("run", m, "--random", 1, "--dim", "N=3")
    expect("run: text", rc == 0 and out.startswith("y float32[3,4] "), out)
    rc, out, _ = lamina("run", m, "--random", 1, "--quiet")
    expect("run: quiet", rc == 0 and out == "", out)
    rc, _, err = lamina("run", m)
    expect("run: missing input", rc == 1 and "--input x=" in err, err)
    rc, _, err = lamina("run", m, "--input", "z=a.npy")
    expect("run: unknown input", rc == 1 and '"z"' in err and "x" in err, err)


def check(tmp, m):
    folder = tmp / "test_data_set_0"
    folder.mkdir()
    rows = struct.pack("<4f", 1.0, 1.0, 1.0, 1.0)
    (folder / "input_0.pb").write_bytes(o.tensor("x", [1, 4], raw=rows))
    d = as_json("run", "run", m, "--input", f"x={folder / 'input_0.pb'}", "--json")
    want = d["outputs"][0]["values"]
    (folder / "output_0.pb").write_bytes(
        o.tensor("y", [1, 4], raw=struct.pack("<4f", *want)))
    as_json("check: equal", "check", m, "--data", tmp, "--json")
    want[2] += 1
    (folder / "output_0.pb").write_bytes(
        o.tensor("y", [1, 4], raw=struct.pack("<4f", *want)))
    rc, out, _ = lamina("check", m, "--data", folder)
    expect("check: first difference", rc == 1 and "[0,2]" in out, out)
    rc, out, _ = lamina("check", m, "--data", folder, "--atol", "2")
    expect("check: tolerance", rc == 0, out)


def boxes_apart(d):
    """No two boxes of one graph overlap; a box with graphs inside may hold theirs."""
    plain = [b for b in d["boxes"] if not b[6]]
    for i, a in enumerate(plain):
        for b in plain[i + 1:]:
            if (a[2] < b[2] + b[4] and b[2] < a[2] + a[4] and a[3] < b[3] + b[5] and
                    b[3] < a[3] + a[5]):
                return False
    return True


def inspect(tmp, m):
    d = as_json("inspect", "inspect", m, "--json", "--dim", "N=2")
    expect("inspect: nodes", len(d["nodes"]) == 9 and len(d["graphs"]) == 3, d["nodes"])
    expect("inspect: params", d["totals"]["params"] == 17, d["totals"])
    first = d["nodes"][0]
    expect("inspect: flops", first["flops"] == 2 * 2 * 4 * 4 and first["exact"], first)
    d = as_json("inspect", "inspect", m, "--json", "--optimized")
    expect("inspect: kernels", all("kernel" in n for n in d["nodes"] if n["graph"] == 0))
    rc, out, _ = lamina("inspect", m)
    expect("inspect: text", rc == 0 and "--dim N=" in out and "float32[N,4]" in out, out)
    rc, _, err = lamina("inspect", m, "--dim", "M=2")
    expect("inspect: unknown dimension", rc == 1 and "M=2" in err and "N" in err, err)
    page = tmp / "g.html"
    rc, _, err = lamina("inspect", m, "--html", page)
    html = page.read_text(encoding="utf-8")
    expect("inspect: page", rc == 0 and "http" not in html.replace("http://www.w3.org", ""), err)
    expect("inspect: names stay in the data", html.count("</script>") == 2)
    data = json.loads(html.split('id="data">')[1].split("</script>")[0])
    expect("inspect: boxes", boxes_apart(data), data["boxes"])
    expect("inspect: panels", len(data["panels"]) == 2, data["panels"])
    for a, b, *_, x, y in data["edges"]:
        to = data["boxes"][b]
        ends = to[2] <= x <= to[2] + to[4] and abs(y - to[3]) <= 1
        expect("inspect: edge ends at its box", a < b and ends, (a, b, x, y, to))


def bench(m):
    d = as_json("bench", "bench", m, "--iterations", 3, "--threads", 1, "--json")
    expect("bench: times", 0 < d["min_ms"] <= d["p50_ms"] <= d["p99_ms"], d)
    expect("bench: roof", d["roof"]["flops"] > 1e8 and d["roof"]["bytes"] > 1e8, d["roof"])
    rc, out, _ = lamina("bench", m, "--iterations", 3)
    expect("bench: text", rc == 0 and "of the roof" in out and "MatMul" in out, out)


def others():
    d = as_json("info", "info", "--json")
    expect("info: device", d.get("device.cpu") == "built in", d)
    for verb in ("run", "check", "inspect", "bench", "info"):
        rc, out, _ = lamina("help", verb)
        expect(f"help {verb}", rc == 0 and "examples:" in out, out)
        expect(f"help {verb}: width", all(len(s) <= 100 for s in out.splitlines()), out)
    rc, _, err = lamina("inspct")
    expect("nearest verb", rc == 2 and '"inspect"' in err, err)
    rc, _, err = lamina("bench", "m.onnx", "--thread", 1)
    expect("nearest option", rc == 2 and "--threads" in err, err)
    rc, _, err = lamina("run", "nothing-here.onnx")
    expect("no such file", rc == 1 and "nothing-here.onnx" in err, err)


def main():
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        m = tmp / "m.onnx"
        m.write_bytes(chain_model())
        run(tmp, m)
        check(tmp, m)
        inspect(tmp, m)
        bench(m)
        others()
    print(f"{len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
