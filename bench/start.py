#!/usr/bin/env python3
"""
Cold start, exec to first output, page cache warm (bar B5): the same small C program on liblamina
and on onnxruntime's C API, started turn by turn, one thread each. The whole life of the process is
timed from outside; "load" is what the programs say that opening the library, the model and the
session took. Both must print the same first value.
"""
import glob
import importlib.util
import os
import subprocess
import sys
import time

import benchlib

NAME = "start"
GPT2 = ["input_ids:i64:1,8", "position_ids:i64:1,8", "mask_add:f32:1,1,8,8"] + [
    f"past_{kv}{i}:f32:1,12,0,64" for i in range(12) for kv in "kv"]
BERT = [f"{n}:i64:1,16" for n in ("input_ids", "attention_mask", "token_type_ids")]
CASES = {"mobilenetv2": (["x:f32:1,3,224,224"], 15), "bert_base": (BERT, 7), "gpt2": (GPT2, 7)}
GOAL_START, GOAL_LOAD = 1 / 3, 1 / 10


def peer_library():
    spec = importlib.util.find_spec("onnxruntime")
    found = spec and glob.glob(os.path.join(os.path.dirname(spec.origin), "capi",
                                            "libonnxruntime.so.*"))
    return found[0] if found else None


def start(program, model, mode, inputs, env):
    """Seconds of the process from outside, of load and of the first run; the first value."""
    t0 = time.perf_counter()
    out = subprocess.run([os.path.join(benchlib.BUILD, "bin", program), model, mode, *inputs],
                         capture_output=True, text=True, env=env)
    wall = time.perf_counter() - t0
    if out.returncode != 0:
        sys.exit(f"{program} {model}: {out.stdout}{out.stderr}")
    load, run, value = map(float, out.stdout.split())
    return wall, load, run, value


def measure(model, inputs, turns, env):
    path = benchlib.model_file(model)
    programs, got = ("start_lamina", "start_peer"), {}
    for p in programs:  # warms the page cache, and the outputs must agree
        got[p] = [start(p, path, "run", inputs, env)]
    a, b = (got[p][0][3] for p in programs)
    if abs(a - b) > 1e-3 * max(1, abs(b)):
        sys.exit(f"{model}: first value {a} here, {b} there")
    for i in range(turns):
        for p in programs if i % 2 else programs[::-1]:
            got[p].append(start(p, path, "run", inputs, env))
    row = {"model": model}
    for who, p in (("lamina", programs[0]), ("ort", programs[1])):
        for k, what in enumerate(("total", "load", "run")):
            row[f"{who}_{what}_ms"] = 1e3 * benchlib.median([g[k] for g in got[p][1:]])
    row["total_ratio"] = row["lamina_total_ms"] / row["ort_total_ms"]
    row["load_ratio"] = row["lamina_load_ms"] / row["ort_load_ms"]
    return row


def main():
    lib = peer_library()
    if not lib:
        benchlib.not_run(NAME, "onnxruntime's shared library is not installed (tools/setup.sh)")
    env = dict(os.environ, START_PEER_LIB=lib)
    wanted = sys.argv[1:] or list(CASES)
    rows = [measure(m, *CASES[m], env) for m in wanted]
    peer = os.path.basename(lib)
    print(f"{peer}, 1 thread, wall time, median; total is exec to exit, load is library, model "
          "and session")
    benchlib.table(("model", "total ms", "ort", "ratio", "load ms", "ort", "ratio", "run ms",
                    "ort"),
                   [(r["model"], r["lamina_total_ms"], r["ort_total_ms"], r["total_ratio"],
                     r["lamina_load_ms"], r["ort_load_ms"], r["load_ratio"], r["lamina_run_ms"],
                     r["ort_run_ms"]) for r in rows])
    bars = {}
    for r in rows:
        bars[f"B5 start {r['model']}"] = benchlib.bar(r["total_ratio"], "x time", GOAL_START, peer,
                                                      False)
        bars[f"B5 load {r['model']}"] = benchlib.bar(r["load_ratio"], "x time", GOAL_LOAD, peer,
                                                     False)
    return 0 if benchlib.write(NAME, bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
