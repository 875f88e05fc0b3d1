#!/usr/bin/env python3
"""
What `lamina check` says of models that load: the lints of files, each with a model that has none;
the table of --ops. Every JSON answer is held against docs/formats/check.schema.json, by the package
jsonschema too where it is there.
Usage: check_explain.py LAMINA
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import onnxpb as o

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from schema import problem

try:
    import jsonschema
except ImportError:
    jsonschema = None  # our own look at the schema is enough

SCHEMA = json.loads((ROOT / "docs" / "formats" / "check.schema.json").read_text())
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
        answer = json.loads(out[0])
        found = problem(answer, SCHEMA, SCHEMA)
        want(found is None, f"the answer breaks its schema: {found}")
        if jsonschema:
            jsonschema.validate(answer, SCHEMA)
        return answer, out[1]

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


def table(sh):
    nodes = [o.node("Neg", ["x"], ["a"]), o.node("Neg", ["a"], ["b"]),
             o.node("Identity", ["b"], ["c"]), o.node("Cast", ["c"], ["d"], o.attr("to", "i", 7)),
             o.node("Scaler", ["x"], ["e"], domain="ai.onnx.ml")]
    data = o.model(o.graph(nodes, [o.info("x")], [o.info(n, dims=None) for n in "bde"]),
                   opsets=((17, ""), (3, "ai.onnx.ml")))
    answer, text = sh(data, "--ops")
    rows = {r["op"]: r for r in answer["operators"]}
    neg, cast = rows["Neg"], rows["Cast"]
    want(neg["nodes"] == 2 and neg["served"] == "kernel" and
         neg["kernel"].startswith("elementwise.f32:") and neg["opset"] == 17, f"Neg: {neg}")
    want(cast["served"] == "reference" and cast["reason"] and
         cast["types"] == "float32 -> int64", f"Cast: {cast}")
    want(rows["Identity"]["served"] == "passes", f"Identity: {rows['Identity']}")
    want(rows["Scaler"]["domain"] == "ai.onnx.ml" and rows["Scaler"]["opset"] == 3, "Scaler")
    want(all(r["op"] in text and r["kernel"] in text for r in rows.values()), "the text differs")
    broken, _ = sh(o.simple([o.node("Neg", ["x"], ["t"]), o.node("Reluu", ["t"], ["y"])]), "--ops",
                   rc=1)
    want([r["served"] for r in broken["operators"]] == [""], "what serves a broken model")
    none, _ = sh(b"", "--ops", rc=1)
    want("operators" not in none and none["errors"] == 1, "an empty file has operators")


def schema_itself():
    """The checker finds what is wrong: a schema that all fits is none."""
    good = {"version": 1, "model": "m", "data": [], "diagnostics": [], "errors": 0, "lints": 0,
            "fine": True}
    want(problem(good, SCHEMA, SCHEMA) is None, "the smallest answer")
    for key, value in (("version", 2), ("errors", -1), ("fine", 1), ("errors", True),
                       ("data", {}), ("more", 1), ("diagnostics", [{"severity": "error"}])):
        want(problem({**good, key: value}, SCHEMA, SCHEMA) is not None, f"{key}: {value} fits")
    del good["fine"]
    want(problem(good, SCHEMA, SCHEMA) is not None, "a member may be missing")


def differences(sh, d):
    """Test data: equal, different, and a run that fails."""
    home = d / "data"
    home.mkdir()
    data = add([o.floats("w", [1], [1.0])])
    for given, expected, rc in (([1.0, 2.0], [2.0, 3.0], 0), ([1.0, 2.0], [2.0, 4.0], 1),
                                ([1.0, float("nan")], [2.0, 3.0], 1)):
        (home / "input_0.pb").write_bytes(o.floats("x", [2], given))
        (home / "output_0.pb").write_bytes(o.floats("y", [2], expected))
        answer, _ = sh(data, "--data", "data", rc=rc)
        want(answer["data"][0]["equal"] == (rc == 0), f"{given} to {expected}: {answer}")
    (home / "input_0.pb").write_bytes(o.ints("x", [1, 2]))
    answer, _ = sh(data, "--data", "data", rc=1)
    want(answer["data"][0]["error"], "a wrong type runs")


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        sh = Shell(program, d)
        schema_itself()
        lints_of_files(sh, d)
        table(sh)
        differences(sh, d)
    for p in problems:
        print("FAIL " + p)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
