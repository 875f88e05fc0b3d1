#!/usr/bin/env python3
"""
`lamina tune` from outside, on a small model: the table and its JSON, what a dry run leaves, the
file that is written and read, damaged files, usage, an interrupt. Who wins is the machine's affair
and is not looked at.
Usage: check_tune.py LAMINA
"""
import json
import os
import pathlib
import signal
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
        self.env = dict(os.environ, XDG_CACHE_HOME=str(folder / "cache"))
        self.env.pop("LAMINA_TUNE", None)

    def __call__(self, *args, rc=0, says=(), **env):
        p = subprocess.run([self.program, *args], cwd=self.folder, capture_output=True,
                           timeout=300, check=False, text=True, env=dict(self.env, **env))
        shown, text = " ".join(args), p.stdout + p.stderr
        want(p.returncode == rc, f"`{shown}`: exit {p.returncode}, not {rc}: {text[-400:]}")
        for part in says:
            want(part in text, f"`{shown}` does not say {part!r}: {text[-400:]}")
        if "--json" in args and rc == 0:
            return json.loads(p.stdout)
        return p.stdout


def model(d):
    values = [((i * 37) % 101 - 50) / 101 for i in range(96 * 160)]
    nodes = [o.node("MatMul", ["x", "w"], ["h"]), o.node("Relu", ["h"], ["r"]),
             o.node("MatMul", ["r", "v"], ["y"])]
    weights = [o.floats("w", [96, 160], values), o.floats("v", [160, 96], values)]
    (d / "m.onnx").write_bytes(o.model(o.graph(nodes, [o.info("x", dims=["N", 96])],
                                               [o.info("y", dims=["N", 96])], weights)))
    (d / "none.onnx").write_bytes(o.simple([o.node("Neg", ["x"], ["y"])]))


COMMON = ("--dim", "N=64", "--threads", "1", "--budget", "3s")


def tables(sh, d):
    text = sh("tune", "m.onnx", *COMMON, "--dry-run", "--explain",
              says=("of 2 problems tuned", "dry run", "64 x 160 x 96", "64 x 96 x 160"))
    want("gemm.f32" in text, f"no kernel in the table: {text}")
    want(not (d / "cache" / "lamina" / "tune").exists(), "a dry run left a file")
    answer = sh("tune", "m.onnx", *COMMON, "--json", "--out", "won/deep/choices")
    rows = answer["table"]
    want(answer["problems"] == len(rows) == 2 and answer["runs"] > 0, f"problems: {answer}")
    kept = [r for r in rows if r["outcome"].startswith("kept")]
    want(answer["tuned"] == len(kept), f"tuned: {answer}")
    want(all(r["choices"] > 0 and 0 < r["share"] <= 1 and not r["other_bits"] for r in rows),
         f"rows: {rows}")
    want(answer["after_ms"] <= answer["before_ms"], f"the model lost: {answer}")
    file = d / "won" / "deep" / "choices"
    lines = file.read_text().splitlines() if file.exists() else []
    want(len(lines) == len(kept), f"{len(lines)} lines for {len(kept)} choices")
    sh("tune", "none.onnx", "--dry-run", says=("0 of 0 problems",))


def files(sh, d):
    """Answers are the same with whatever stands in the file, and info counts its lines."""
    args = ("run", "m.onnx", "--random", "1", "--dim", "N=64", "--threads", "1", "--output")
    sh(*args, "plain", LAMINA_TUNE="off")
    (d / "bad").write_bytes(b"lamina-tune-1 torn\nlamina-tune-7 newer\n" + bytes(range(256)))
    sh(*args, "bad.out", LAMINA_TUNE="bad")
    for name in os.listdir(d / "plain"):
        want((d / "plain" / name).read_bytes() == (d / "bad.out" / name).read_bytes(),
             f"a damaged file changed {name}")
    rows = sh("info", "--json", LAMINA_TUNE="bad")
    text = json.dumps(rows)
    want("1 line of another format" in text and "damaged" in text, f"info: {text[:600]}")
    want("cache/lamina/tune/" in sh("info"), "info does not say which file")
    sh("info", says=("tune.file",), LAMINA_TUNE="off")


def complaints(sh, d):
    sh("tune", rc=2, says=("which model",))
    sh("tune", "m.onnx", "n.onnx", rc=2, says=("one model",))
    sh("tune", "m.onnx", "--budget", "soon", rc=2, says=("--budget", "soon"))
    sh("tune", "m.onnx", "--budget", "0s", rc=2, says=("--budget",))
    sh("tune", "m.onnx", "--threads", "0", rc=2, says=("--threads",))
    sh("tune", "m.onnx", "--bugdet", "1s", rc=2, says=("--budget",))
    sh("tune", "m.onnx", "--out", "off", rc=2, says=("--dry-run",))
    sh("tune", "gone.onnx", rc=1, says=("gone.onnx",))
    sh("tune", "m.onnx", *COMMON, "--dim", "N=64", rc=1, says=("LAMINA_TUNE",), LAMINA_TUNE="off")
    sh("tune", "m.onnx", "--budget", "0.000001s", rc=1, says=("budget",))


def interrupted(sh, d):
    """Ctrl-C, before or while it measures, ends in time, by the signal or with a table."""
    p = subprocess.Popen([sh.program, "tune", "m.onnx", "--dim", "N=512", "--budget", "200s"],
                         cwd=d, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=sh.env,
                         text=True)
    try:
        p.communicate(timeout=0.3)
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=120)
        want(p.returncode in (0, -signal.SIGINT), f"interrupted: {p.returncode} {out} {err}")
        if p.returncode == 0 and "stopping" in err:
            want("stopped before the end" in out, f"interrupted: {out}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        sh = Shell(os.path.abspath(sys.argv[1]), d)
        model(d)
        for part in (tables, files, complaints, interrupted):
            part(sh, d)
    for p in problems:
        print("FAIL", p)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
