#!/usr/bin/env python3
"""
Every verb of lamina from outside: exit codes (0 fine, 1 the model or data, 2 usage), help, options
and files named in complaints, JSON that parses, inputs and outputs in every format, seeds, recipes.
Usage: check_verbs.py LAMINA
"""
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import xml.dom.minidom
import zipfile

import onnxpb as o

VERBS = ("run", "check", "inspect", "bench", "tune", "convert", "quantize", "cache", "info")
problems = []


class Shell:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.env = dict(os.environ, XDG_CACHE_HOME=str(folder / "cache"))

    def __call__(self, *args, rc=0, says=(), quiet=False):
        """Run; check the exit code and that stdout with stderr hold every part. Gives stdout."""
        p = subprocess.run([self.program, *args], cwd=self.folder, capture_output=True,
                           timeout=120, check=False, text=True, errors="replace",
                           env=self.env)
        text = p.stdout + p.stderr
        shown = " ".join(args)
        if p.returncode != rc:
            problems.append(f"`{shown}`: exit {p.returncode}, not {rc}: {text[-400:]}")
        for part in [says] if isinstance(says, str) else says:
            if part not in text:
                problems.append(f"`{shown}` does not say {part!r}: {text[-400:]}")
        if quiet and p.stdout:
            problems.append(f"`{shown}` is not quiet: {p.stdout[:200]}")
        if "--json" in args and rc == 0:
            try:
                return json.loads(p.stdout)
            except ValueError as e:
                problems.append(f"`{shown}`: no JSON ({e}): {p.stdout[:300]}")
                return {}
        return p.stdout


def want(ok, text):
    if not ok:
        problems.append(text)


def npy(values, shape):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
            struct.pack(f"<{len(values)}f", *values))


def write_files(d):
    model = o.model(o.graph([o.node("Add", ["x", "w"], ["y"], name="add")],
                            [o.info("x", dims=["N", 2])], [o.info("y", dims=["N", 2])],
                            [o.floats("w", [2], [10.0, 20.0])]))
    (d / "add.onnx").write_bytes(model)
    (d / "bad.onnx").write_bytes(model[:40])
    (d / "unknown.onnx").write_bytes(o.simple([o.node("Reluu", ["x"], ["y"], name="r")]))
    ids = o.model(o.graph([o.node("Identity", ["bytes"], ["y"])],
                          [o.info("bytes", o.I32, [1, 6])], [o.info("y", o.I32, [1, 6])]))
    (d / "ids.onnx").write_bytes(ids)
    (d / "x.npy").write_bytes(npy([1, 2, 3, 4], (2, 2)))
    (d / "wide.npy").write_bytes(npy([1, 2, 3], (1, 3)))
    (d / "x.pb").write_bytes(o.floats("x", [2, 2], [1.0, 2.0, 3.0, 4.0]))
    with zipfile.ZipFile(d / "all.npz", "w", zipfile.ZIP_STORED) as z:
        z.writestr("x.npy", npy([1, 2, 3, 4], (2, 2)))
    with zipfile.ZipFile(d / "small.npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("x.npy", npy([1] * 64, (32, 2)))
    (d / "text.txt").write_text("  abcdefgh  \n")
    (d / "top.recipe").write_text("# comment\noutput softmax, top 2, labels names.txt\n")
    (d / "ends.recipe").write_text("input bytes, block 16, strip, head 3, tail 3, pad 9, i32\n")
    (d / "wrong.recipe").write_text("output twist 3\n")
    (d / "names.txt").write_text("zero\none\n")
    data = d / "data" / "test_data_set_0"
    data.mkdir(parents=True)
    (data / "input_0.pb").write_bytes((d / "x.pb").read_bytes())
    (data / "output_0.pb").write_bytes(o.floats("y", [2, 2], [11.0, 22.0, 13.0, 24.0]))
    wrong = d / "wrong"
    wrong.mkdir()
    (wrong / "input_0.pb").write_bytes((d / "x.pb").read_bytes())
    (wrong / "output_0.pb").write_bytes(o.floats("y", [2, 2], [11.0, 22.0, 13.0, 99.0]))


def usage(sh):
    sh(rc=2, says=("usage", "exit codes"))
    sh("help", says=VERBS)
    sh("--version", says="lamina ")
    sh("fly", rc=2, says="fly")
    sh("help", "fly", rc=2, says="fly")
    for verb in VERBS:
        text = sh(verb, "--help", says=("usage: lamina " + verb, "examples"))
        want(sh("help", verb) == text, f"help {verb} and {verb} --help differ")
        sh(verb, "--nonsense", rc=2, says=("--nonsense", verb))
        if verb not in ("info", "cache"):
            sh(verb, rc=2, says="model")
        if verb not in ("info", "convert", "quantize", "cache"):
            sh(verb, "add.onnx", "second.onnx", rc=2, says="second.onnx")
            sh(verb, "none.onnx", rc=1, says="none.onnx")
            sh(verb, "bad.onnx", rc=1, says="bad.onnx")
            sh(verb, "unknown.onnx", rc=1, says=("Reluu", "unknown.onnx"))
        if "--json" in text:
            sh(verb, "--json=yes", rc=2, says="--json")
    sh("run", "add.onnx", "--threads", rc=2, says="--threads")
    sh("run", "add.onnx", "--threads", "many", rc=2, says=("--threads", "many"))
    sh("run", "add.onnx", "--dim", "N", rc=2, says=("--dim", "N"))
    sh("run", "add.onnx", "--input", "x", rc=2, says='"x"')


def mistakes(sh, d):
    """What people get wrong: the thing is named once, with the reason and what to do."""
    for verb in ("run", "inspect", "bench", "tune"):
        p = subprocess.run([sh.program, verb, "none.onnx"], cwd=d, capture_output=True, text=True,
                           timeout=120, check=False, env=sh.env)
        want(p.stderr.count("none.onnx") == 1, f"{verb} names the file once: {p.stderr}")
    for data, says in ((b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
                       (b"<!DOCTYPE html><html>", "web page"), (b"PK\3\4" + b"x" * 40, "torch"),
                       (b"GGUF\3\0\0\0", "GGUF"), (b"\x1f\x8b\x08\0", "unpack"),
                       (b"\x89HDF\r\n\x1a\n", "Keras"), (b"\x1c\0\0\0TFL3", "Lite"),
                       (b"\x20\0\0\0ORTM", "onnxruntime"),
                       (struct.pack("<Q", 9) + b'{"a": 1}', "safetensors"),
                       (b"\xff" * 20, "damaged")):
        (d / "other.onnx").write_bytes(data)
        for verb in ("run", "check"):
            sh(verb, "other.onnx", rc=1, says=("other.onnx", says))
    sh("run", ".", rc=1, says="is a folder; name a file")
    for verb in ("run", "bench", "tune"):
        sh(verb, "add.onnx", "--dim", "M=3", rc=1, says=("--dim M=3", "there are: N"))
    sh("run", "add.onnx", "--image", "none.png", rc=1, says=("none.png", "No such file"))
    sh("run", "add.onnx", "--random", "1", "--labels", "a.txt", rc=2, says="goes with --image")
    for name in ("LAMINA_ISA", "LAMINA_KERNEL"):
        sh.env[name] = "gemm.f32:avx3"
        sh("run", "add.onnx", "--random", "1", says=("warning", f"{name}=gemm.f32:avx3"))
        del sh.env[name]
    sh("bench", "false-sharin", rc=2, says=("false-sharin", "did you mean false-sharing?"))
    if os.geteuid():  # root may read everything
        (d / "locked.onnx").write_bytes(b"x")
        (d / "locked.onnx").chmod(0)
        sh("run", "locked.onnx", rc=1, says=("Permission denied", "can be read"))


def values(sh, d):
    want_y = [11, 22, 13, 24]
    for given in ("x=x.npy", "x=x.pb", "x=all.npz:x", "all.npz"):
        out = sh("run", "add.onnx", "--input", given, "--json")
        first = out.get("outputs", [{}])[0]
        want(first.get("values") == want_y and first.get("shape") == [2, 2],
             f"--input {given} gives {first}")
    sh("run", "add.onnx", "--input", "x=x.npy", says=("y", "11", "24"))
    sh("run", "add.onnx", "--input", "x=x.npy", "--quiet", quiet=True)
    sh("run", "add.onnx", "--input", "x=x.npy", "--output", "out")
    want((d / "out" / "y.npy").read_bytes().endswith(struct.pack("<4f", *want_y)),
         "the saved output differs")
    again = sh("run", "add.onnx", "--input", "x=out/y.npy", "--json")
    want(again.get("outputs", [{}])[0].get("values") == [21, 42, 23, 44], "a saved output as input")
    sh("run", "add.onnx", rc=1, says=('"x"', "--random"))
    sh("run", "add.onnx", "--input", "x=no.npy", rc=1, says=("no.npy", "x"))
    sh("run", "add.onnx", "--input", "x=wide.npy", rc=1, says=('"x"', "3"))
    sh("run", "add.onnx", "--input", "x=all.npz:none", rc=1, says="none")
    sh("run", "add.onnx", "--input", "x=small.npz:x", rc=1, says=("small.npz", "compressed"))
    sh("run", "add.onnx", "--input", "q=x.npy", rc=1, says="q")
    sh("run", "add.onnx", "--input", "x=x.npy", "--output", "/proc/nowhere", rc=1, says="/proc")


def seeds(sh):
    def run(*more):
        out = sh("run", "add.onnx", "--json", *more)
        return out.get("outputs", [{}])[0]
    a = run("--random", "5", "--dim", "N=3")
    want(a.get("shape") == [3, 2] and len(a.get("values", [])) == 6, f"--dim N=3 gives {a}")
    want(a == run("--random", "5", "--dim", "N=3"), "one seed gives two answers")
    want(a == run("--random", "5", "--dim", "N=3", "--threads", "1"), "threads change the answer")
    want(a == run("--random", "5", "--dim", "N=3", "--threads", "2"), "threads change the answer")
    want(a != run("--random", "6", "--dim", "N=3"), "two seeds give one answer")


def recipes(sh):
    text = sh("run", "add.onnx", "--input", "x=x.npy", "--recipe", "./top.recipe", "--labels",
              "names.txt")
    want(text.split()[:1] != [], "a recipe answers nothing")
    out = sh("run", "ids.onnx", "--in", "bytes=file:text.txt", "--recipe", "./ends.recipe",
             "--json")
    want(out.get("outputs", [{}])[0].get("values") == [97, 98, 99, 102, 103, 104],
         f"the ends of a file: {out}")
    sh("run", "ids.onnx", "--in", "bytes=file:none.txt", "--recipe", "./ends.recipe", rc=1,
       says="none.txt")
    sh("run", "ids.onnx", "--in", "bytes=text.txt", rc=2, says="--in")
    sh("run", "add.onnx", "--recipe", "./wrong.recipe", rc=1, says=("wrong.recipe", "line 1"))
    sh("run", "add.onnx", "--recipe", "nosuch", rc=1, says="nosuch")


def reports(sh, d):
    out = sh("check", "add.onnx", "--data", "data", "--json")
    want(out.get("errors") == 0 and len(out.get("data", [])) == 1, f"check --data: {out}")
    sh("check", "add.onnx", "--data", "data", says="fine")
    sh("check", "add.onnx", "--data", "wrong", rc=1, says=("y", "99"))
    text = sh("check", "add.onnx", "--data", "wrong", "--json", rc=1)
    found = json.loads(text)["diagnostics"]
    want(len(found) == 1 and found[0]["where"] == "wrong" and found[0]["fix"] and
         "99" in found[0]["reason"], f"a difference is no finding: {found}")
    text = sh("check", "add.onnx", "--data", "nowhere", "--json", rc=1)
    want(json.loads(text)["diagnostics"][0]["where"] == "nowhere", "a missing folder: " + text)
    info = sh("info", "--json")
    want(isinstance(info, (dict, list)) and info, "info --json is empty")
    sh("info", says=("version", "threads", "kernel."))
    nodes = sh("inspect", "add.onnx", "--json")
    want("Add" in json.dumps(nodes), "inspect --json names no operator")
    sh("inspect", "add.onnx", says=("Add", "N"))
    sh("inspect", "add.onnx", "--html", "g.html")
    want("<svg" in (d / "g.html").read_text() or "<canvas" in (d / "g.html").read_text() or
         "<script" in (d / "g.html").read_text(), "the page draws nothing")
    bench = sh("bench", "add.onnx", "--seconds", "1", "--json")
    want("p50" in json.dumps(bench), "bench --json has no p50")
    slowest = bench["runs"] * bench["mean_ms"]
    want(bench["min_ms"] <= bench["mean_ms"] and slowest < 6e4, "bench --json: not a mean")
    sh("bench", "add.onnx", "--seconds", "-1", rc=2, says="--seconds")
    sh("bench", "add.onnx", "--seconds", "0.1", "--svg", "roof.svg", says=("lost ms", "bound by"))
    xml.dom.minidom.parse(str(d / "roof.svg"))
    want("Add" in (d / "roof.svg").read_text(), "the roofline has no node")
    sh("bench", "add.onnx", "--seconds", "0.1", "--svg", "no/roof.svg", rc=1, says="no/roof.svg")
    # before anybody is asked
    sh("bench", "serve", "http://127.0.0.1:1", "--svg", "no/l.svg", rc=1, says="no/l.svg")


def cached(sh, d):
    """Packed weights: found again, looked after, the same answers, no failure without a place."""
    w = [((i * 37) % 101) / 101 - 0.5 for i in range(256 * 256)]
    (d / "wide.onnx").write_bytes(o.model(o.graph(
        [o.node("MatMul", ["x", "w"], ["y"])], [o.info("x", dims=["M", 256])],
        [o.info("y", dims=["M", 256])], [o.floats("w", [256, 256], w)])))
    run = ("run", "wide.onnx", "--random", "1", "--dim", "M=5", "--json")
    plain = sh(*run)["outputs"]
    cache = ("--prepack-cache", "packed")
    for _ in range(2):
        want(sh(*run, *cache)["outputs"] == plain, "packed weights change the answer")
    bench = ("bench", "wide.onnx", "--dim", "M=5", "--iterations", "3", "--json")
    want(sh(*bench)["packed"] == {"tensors": 0, "bytes": 0, "mapped": 0, "file": "", "note": ""},
         "weights are packed unasked")
    packed = sh(*bench, *cache)["packed"]
    if not packed["tensors"]:
        return  # this CPU packs nothing
    want(packed["mapped"] == packed["bytes"] > 256 * 256 and packed["note"] == "", f"{packed}")
    files = sh("cache", "list", *cache, "--json")["files"]
    want(len(files) == 1 and files[0]["model"] == str((d / "wide.onnx").resolve()), f"{files}")
    sh("cache", "verify", *cache, says="all as they were written")
    path = d / "packed" / files[0]["name"]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    sh("cache", "list", *cache, says=files[0]["name"])
    sh("cache", "verify", *cache, rc=1, says="not as they were written")
    want(sh(*run, *cache)["outputs"] == plain, "damaged weights change the answer")
    sh("cache", "verify", *cache, says="0 files")
    x = sh(*bench, "--prepack-cache", "add.onnx")["packed"]
    want(x["mapped"] == 0 and "add.onnx" in x["note"], f"a file as folder: {x}")
    sh(*bench, *cache)
    want(sh("cache", "clear", *cache, "--json")["removed"] == 1, "not cleared")
    sh("cache", rc=2, says="list, verify or clear")
    sh("cache", "lits", rc=2, says="did you mean list")


def measured(sh, d):
    """info --measure: kept in the cache, believed only as it was written."""
    sh("info", "--refresh", rc=2, says="--measure")
    sh("info", "--measure", "--ops", rc=2, says="--measure")
    sh("info", "--measure", says=("f32", "memory", "latency"))
    files = sorted((d / "cache" / "lamina").iterdir())
    m = sh("info", "--measure", "--json")["machine"]
    want(len(files) == len(m), f"{len(files)} files for {len(m)} measurements")
    want(all(x["cached"] for x in m), "measured twice")
    names = [x["name"] for x in m[0]["levels"]]
    want(names[-1] == "memory" and {p["type"] for p in m[0]["peaks"]} >= {"f32", "f64"},
         f"measured only {m[0]}")
    want(all(p["ops"] > 0 for x in m for p in x["peaks"]), "a peak of nothing")
    good = files[0].read_text()
    damaged = "the cached measurements are damaged"
    for wrong, says in ((good[:-9], damaged),
                        (good.replace("lamina-machine 1", "lamina-machine 2", 1),
                         "of another version"),
                        (resum(re.sub("id [0-9a-f]{16}", "id " + "0" * 16, good)),
                         "of another machine"),
                        (resum(re.sub("level L1 [0-9]+", "level L1 nan", good)), damaged)):
        files[0].write_text(wrong)
        x = sh("info", "--measure", "--json")["machine"][0]
        want(not x["cached"] and says in (x["note"] or ""), f"{wrong[:40]!r}: {x['note']}")
        want(files[0].read_text().startswith("lamina-machine 1\n"), "not written anew")
    (d / "file").write_text("")
    sh.env["XDG_CACHE_HOME"] = str(d / "file")
    x = sh("info", "--measure", "--json")["machine"][0]
    want(not x["cached"] and "cannot be written" in (x["note"] or ""), f"no folder: {x['note']}")
    sh.env["XDG_CACHE_HOME"] = str(d / "cache")


def resum(text):
    """With a checksum that is right (FNV-1a)."""
    text = text[:text.rindex("sum ")]
    h = 0xcbf29ce484222325
    for c in text.encode():
        h = (h ^ c) * 0x100000001b3 % 2**64
    return f"{text}sum {h:016x}\n"


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        write_files(d)
        sh = Shell(program, d)
        usage(sh)
        mistakes(sh, d)
        values(sh, d)
        seeds(sh)
        recipes(sh)
        reports(sh, d)
        cached(sh, d)
        measured(sh, d)
    for p in problems:
        print("FAIL " + p)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
