#!/usr/bin/env python3
"""
What a run costs beside its arithmetic (bar B10): a perceptron of three layers of 64, one row, run
again and again by the same small C program on liblamina and on onnxruntime's C API, output released
each time. Programs take turns; a figure of one is the median of its batches, in CPU time of the
thread that calls; the ratio is the median over the pairs.
"""
import os
import subprocess
import sys

import benchlib
import start

NAME = "mlp"
RUNS, PAIRS, GOAL = 4000, 15, 0.7


def batch_ns(program, path, env):
    out = subprocess.run([os.path.join(benchlib.BUILD, "bin", program), path, f"time{RUNS}",
                          "x:f32:1,64"], capture_output=True, text=True, env=env)
    if out.returncode != 0:
        sys.exit(f"{program} {path}: {out.stdout}{out.stderr}")
    return benchlib.median(list(map(float, out.stdout.split())))


def main():
    lib = start.peer_library()
    if not lib:
        benchlib.not_run(NAME, "onnxruntime's shared library is not installed (tools/setup.sh)")
    env = dict(os.environ, START_PEER_LIB=lib)
    path, pairs = benchlib.model_file("mlp64"), []
    for i in range(PAIRS):
        order = ("start_lamina", "start_peer") if i % 2 else ("start_peer", "start_lamina")
        got = {p: batch_ns(p, path, env) for p in order}
        pairs.append((got["start_lamina"], got["start_peer"]))
    ours, theirs = (benchlib.median([p[k] for p in pairs]) for k in (0, 1))
    ratio = benchlib.median([a / b for a, b in pairs])
    peer = os.path.basename(lib)
    print(f"three layers of 64, one row, 1 thread: {ours:.0f} ns, {peer} {theirs:.0f} ns, "
          f"ratio {ratio:.3f}")
    bars = {"B10 run of a small model": benchlib.bar(ratio, "x time", GOAL, peer, False)}
    return 0 if benchlib.write(NAME, bars, [{"lamina_ns": a, "ort_ns": b} for a, b in pairs]) else 1


if __name__ == "__main__":
    sys.exit(main())
