#!/usr/bin/env python3
"""
Peak memory beside onnxruntime: peak.py [MODEL...]. The two start programs, the same C on each
engine's library, load a model and run it once or several times in a fresh process, one thread.
Private is what is no file: packed weights, activations, scratch, the engine's own; resident counts
the pages of libraries and of a mapped model too, which the system may drop at will. Models: the
generated ones and, when tools/fetch_models.py has fetched them, the trained ones on real inputs.
`make bench-peak`.
"""
import os
import subprocess
import sys
import tempfile

import benchlib

NAME = "peak"
benchlib.need_modules(NAME, "numpy", "onnx", "onnxruntime")

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402

import models as speed  # noqa: E402
import start  # noqa: E402

sys.path.insert(0, os.path.join(benchlib.ROOT, "tools"))
import model_inputs  # noqa: E402

TRAINED = os.path.join(benchlib.CACHE, "models")
RUNS, GOAL = (1, 5), 1.0
TYPES = {np.dtype(np.float32): "f32", np.dtype(np.int64): "i64", np.dtype(np.int32): "i32"}


def cases():
    """(name, path, function that makes the feed); what was not fetched is left out."""
    for case, (model, dims, _) in speed.CASES.items():
        def generated(model=model, dims=dims):
            return speed.feed_of(speed.peer_session(benchlib.model_file(model)), dims)
        yield case, lambda m=model: benchlib.model_file(m), generated
    for model, name, make in model_inputs.CASES:
        path = os.path.join(TRAINED, model)
        if name != "random" and os.path.exists(path):
            yield model, lambda p=path: p, lambda f=make: f(TRAINED)[0]


def arguments(feed, order, folder):
    """Inputs for the command line, in the model's order, their bytes in files."""
    args = []
    for i, name in enumerate(order):
        array = np.ascontiguousarray(feed[name])
        path = os.path.join(folder, f"{i}.bin")
        array.tofile(path)
        dims = ",".join(map(str, np.shape(feed[name])))
        args.append(f"{name.replace(':', chr(1))}:{TYPES[array.dtype]}:{dims}={path}")
    return args


def peaks(program, path, runs, args, env):
    """Megabytes: resident, private."""
    out = subprocess.run([os.path.join(benchlib.BUILD, "bin", program), path, f"peak{runs}", *args],
                         capture_output=True, text=True, env=env)
    if out.returncode != 0:
        sys.exit(f"{program} {path}: {out.stdout}{out.stderr}")
    return [int(kb) * 1.024e-3 for kb in out.stdout.split()]


def measure(case, path, feed, env):
    rows, order = [], [p.name for p in speed.peer_session(path).get_inputs()]
    with tempfile.TemporaryDirectory() as folder:
        args = arguments(feed, order, folder)
        for runs in RUNS:
            ours = peaks("start_lamina", path, runs, args, env)
            theirs = peaks("start_peer", path, runs, args, env)
            rows.append({"model": case, "runs": runs, "private": ours[1],
                         "ort_private": theirs[1], "private_ratio": ours[1] / theirs[1],
                         "resident": ours[0], "ort_resident": theirs[0],
                         "resident_ratio": ours[0] / theirs[0]})
    return rows


def main():
    lib = start.peer_library()
    if not lib:
        benchlib.not_run(NAME, "onnxruntime's shared library is not installed (tools/setup.sh)")
    env, rows = dict(os.environ, START_PEER_LIB=lib), []
    for case, path, make in cases():
        if len(sys.argv) < 2 or any(a in case for a in sys.argv[1:]):
            rows += measure(case, path(), make(), env)
    if not rows:
        benchlib.not_run(NAME, "no such model")
    keys = ("model", "runs", "private", "ort_private", "private_ratio", "resident",
            "ort_resident", "resident_ratio")
    print(f"onnxruntime {ort.__version__}, 1 thread, megabytes at the peak of the process")
    benchlib.table(("model", "runs", "private", "ort", "ratio", "resident", "ort", "ratio"),
                   [[r[k] for k in keys] for r in rows])
    peer = f"onnxruntime {ort.__version__}"
    bars = {f"{kind} {what}": benchlib.bar(pick([r[f"{kind}_ratio"] for r in rows]), "x memory",
                                           GOAL, peer, False)
            for kind in ("private", "resident")
            for what, pick in (("worst", max), ("geomean", benchlib.geomean))}
    return 0 if benchlib.write(NAME, bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
