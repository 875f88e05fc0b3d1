#!/usr/bin/env python3
"""
What the trace costs (bar B7): nanoseconds of CPU time for an event, and for a run of three models
how much longer it takes with runs noted (always on) and with every node noted (full), one session
at all levels turn by turn (bench_trace_runs). SECONDS=1 makes it quick and rough.
"""
import json
import os
import subprocess
import sys
import tempfile

import benchlib

CASES = (("mlp64", 4, ()), ("mobilenetv2", 20, ("N=1",)), ("bert_base", 20, ("B=1", "S=32")))
# Taking a lane, two readings of the clock and a histogram are some 70 ns a run: below this length
# that is more than the bar allows: printed, no bar.
SHORT_US = 50


def program(name, *args):
    out = subprocess.run([os.path.join(benchlib.BUILD, "bin", name), *args], capture_output=True,
                         text=True, check=True).stdout
    return json.loads(out)


def measure(model, seconds, dims):
    seconds = os.environ.get("SECONDS", seconds)
    with tempfile.TemporaryDirectory() as folder:
        got = program("bench_trace_runs", benchlib.model_file(model), str(seconds),
                      os.path.join(folder, "a.trace"), *dims)
    return {"model": model, **got}


def main():
    emit = program("bench_trace_emit")
    benchlib.table(("operation", "ns"), [(k, v) for k, v in emit.items() if k != "counter"])
    rows = [measure(*case) for case in CASES]
    benchlib.table(("model", "run us", "runs noted %", "nodes noted %", "rounds"),
                   [(r["model"], r["run_us"], 100 * r["runs_cost"], 100 * r["nodes_cost"],
                     r["rounds"]) for r in rows])
    bars = {"emit with clock": benchlib.bar(emit["emit_and_clock"], "ns", 10, "-", False)}
    for r in rows:
        if r["run_us"] < SHORT_US:
            continue
        bars[f"always on {r['model']}"] = benchlib.bar(100 * r["runs_cost"], "%", 0.3, "off", False)
        bars[f"full {r['model']}"] = benchlib.bar(100 * r["nodes_cost"], "%", 2, "off", False)
    return 0 if benchlib.write("trace", bars, [emit, *rows]) else 1


if __name__ == "__main__":
    sys.exit(main())
