#!/usr/bin/env python3
"""
Cold start, exec to first output, page cache warm (bars B5 and B10): the same small C program on
liblamina and on onnxruntime's C API, started turn by turn, one thread each. The whole life of the
process is timed from outside; "load" is what the programs say that opening the library, the model
and the session took. Both must print the same first value.
"""
import glob
import importlib.util
import os
import subprocess
import sys
import tempfile
import time

import benchlib

NAME = "start"
GPT2 = ["input_ids:i64:1,8", "position_ids:i64:1,8", "mask_add:f32:1,1,8,8"] + [
    f"past_{kv}{i}:f32:1,12,0,64" for i in range(12) for kv in "kv"]
BERT = [f"{n}:i64:1,16" for n in ("input_ids", "attention_mask", "token_type_ids")]
CASES = {"mobilenetv2": (["x:f32:1,3,224,224"], 15), "bert_base": (BERT, 7), "gpt2": (GPT2, 7)}
GOAL_START, GOAL_LOAD, GOAL_KEPT = 1 / 3, 1 / 10, 1 / 10


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


def contenders(lib, cache):
    """What starts, and how far its first value may be off: ours as it is, with packed weights in
    a folder, the same in bf16 with and without, and the peer."""
    plain, kept, half = {}, {"START_CACHE": cache}, {"START_BF16": "1"}
    return {"lamina": ("start_lamina", plain, 1e-3), "kept": ("start_lamina", kept, 1e-3),
            "bf16": ("start_lamina", half, 3e-2), "bf16_kept": ("start_lamina", half | kept, 3e-2),
            "ort": ("start_peer", {"START_PEER_LIB": lib}, 1e-3)}


def measure(model, inputs, turns, who):
    path, got, first = benchlib.model_file(model), {}, {}
    for name, (program, env, _) in who.items():  # warms the page cache, fills the folder
        first[name] = start(program, path, "run", inputs, dict(os.environ, **env))
    for name, (_, _, off) in who.items():
        a, b = first[name][3], first["ort"][3]
        if abs(a - b) > off * max(1, abs(b)):
            sys.exit(f"{model}: first value {a} ({name}), {b} there")
    for i in range(turns):
        for name in list(who) if i % 2 else list(who)[::-1]:
            program, env, _ = who[name]
            got.setdefault(name, []).append(
                start(program, path, "run", inputs, dict(os.environ, **env)))
    row = {"model": model}
    for name in who:
        row[f"{name}_made_ms"] = 1e3 * (first[name][1] + first[name][2])
        for k, what in enumerate(("total", "load", "run")):
            row[f"{name}_{what}_ms"] = 1e3 * benchlib.median([g[k] for g in got[name]])
        for k, what in enumerate(("total", "load")):
            row[f"{name}_{what}_ratio"] = benchlib.median(
                [g[k] / p[k] for g, p in zip(got[name], got["ort"])])
    return row


def main():
    lib = peer_library()
    if not lib:
        benchlib.not_run(NAME, "onnxruntime's shared library is not installed (tools/setup.sh)")
    wanted = sys.argv[1:] or list(CASES)
    with tempfile.TemporaryDirectory() as cache:
        who = contenders(lib, cache)
        rows = [measure(m, *CASES[m], who) for m in wanted]
    peer = os.path.basename(lib)
    print(f"{peer}, 1 thread, wall time, median; total is exec to exit, load is library, model "
          "and session; kept: packed weights in a folder; first time: load and run that fill it")
    benchlib.table(("model", "who", "total ms", "/ ort", "load ms", "/ ort", "run ms",
                    "first time ms"),
                   [(r["model"], n, r[f"{n}_total_ms"], r[f"{n}_total_ratio"], r[f"{n}_load_ms"],
                     r[f"{n}_load_ratio"], r[f"{n}_run_ms"], r[f"{n}_made_ms"])
                    for r in rows for n in who])
    bars = {}
    for r in rows:
        bars[f"B5 start {r['model']}"] = benchlib.bar(r["lamina_total_ratio"], "x time",
                                                      GOAL_START, peer, False)
        bars[f"B5 load {r['model']}"] = benchlib.bar(r["lamina_load_ratio"], "x time", GOAL_LOAD,
                                                     peer, False)
        bars[f"B10 kept start {r['model']}"] = benchlib.bar(r["kept_total_ratio"], "x time",
                                                            GOAL_KEPT, peer, False)
    return 0 if benchlib.write(NAME, bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
