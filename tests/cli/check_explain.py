#!/usr/bin/env python3
"""
What `lamina check` says of models that load: the lints of files, each with a model that has none.
Usage: check_explain.py LAMINA
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import onnxpb as o

problems = []


def want(ok, text):
    if not ok:
        problems.append(text)


class Shell:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def __call__(self, data, *args, rc=0):
        """Check the model `data`; gives the JSON answer and the text."""
        (self.folder / "m.onnx").write_bytes(data)
        out = []
        for more in (["--json"], []):
            p = subprocess.run([self.program, "check", "m.onnx", *args, *more], cwd=self.folder,
                               capture_output=True, timeout=120, check=False, text=True)
            want(p.returncode == rc, f"exit {p.returncode}, not {rc}: {p.stdout} {p.stderr}")
            out.append(p.stdout)
        return json.loads(out[0]), out[1]

    def lints(self, data):
        answer, text = self(data)
        for d in answer["diagnostics"]:
            want(d["severity"] == "lint" and d["lint"] and d["fix"] and d["reason"] in text and
                 f"[{d['lint']}]" in text, f"a lint lacks something: {d}")
        want(answer["lints"] == len(answer["diagnostics"]) and answer["fine"],
             "lints are counted wrong")
        return [d["lint"] for d in answer["diagnostics"]]


def add(inits, opset=17, more=()):
    return o.model(o.graph([o.node("Add", ["x", "w"], ["y"], name="add"), *more], [o.info("x")],
                           [o.info("y", dims=None)], inits), opsets=((opset, ""),))


def lints_of_files(sh, d):
    small, big = o.floats("w", [1], [1.0]), bytes(4096)
    (d / "w.bin").write_bytes(bytes(9000))
    want(sh.lints(add([small])) == [], "a good model has lints")
    want(sh.lints(add([small], 9)) == ["old-opset"], "opset 9 is not old")
    want(sh.lints(add([small], 99)) == ["newer-opset"], "opset 99 is not newer")

    def outside(at):
        return add([o.external("w", [1024], "w.bin", offset=at)])
    want(sh.lints(outside(36)) == ["unaligned-external"], "an odd offset is no lint")
    want(sh.lints(outside(4096)) == [], "an even offset is a lint")
    twice = [o.tensor("w", [1024], raw=big), o.tensor("v", [1024], raw=big)]
    want(sh.lints(add(twice)) == ["duplicate-constant", "unused-constant"], "constants twice")
    late = o.model(o.graph([o.node("Neg", ["t"], ["y"]), o.node("Abs", ["x"], ["t"])],
                           [o.info("x")], [o.info("y", dims=None)]))
    want(sh.lints(late) == ["unsorted-nodes"], "nodes out of order")
    broken, _ = sh(add([small], 9, [o.node("Reluu", ["y"], ["z"])]), rc=1)
    want([e["severity"] for e in broken["diagnostics"]] == ["error"], "errors come alone")


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        lints_of_files(Shell(program, d), d)
    for p in problems:
        print("FAIL " + p)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
