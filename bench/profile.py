#!/usr/bin/env python3
"""
What the profile costs and whether it tells the truth (bar B12): three models from 2 microseconds to
tens of milliseconds a run, each with and without the profile in short blocks turn by turn
(bench_profile_runs); their traces are held against docs/formats/trace.schema.json.
"""
import json
import os
import subprocess
import sys
import tempfile

import benchlib

sys.path.insert(0, os.path.join(benchlib.ROOT, "tools"))
from schema import problem

SCHEMA = os.path.join(benchlib.ROOT, "docs", "formats", "trace.schema.json")
CASES = (("mlp64", 6, ()), ("mobilenetv2", 6, ("N=1",)), ("bert_base", 10, ("B=1", "S=32")))
# A run checks its inputs, finds its plan and hands out its outputs in about 0.2 us, which no node
# does and no node is charged with. Below this length that shows in the share: printed, no bar.
SHORT_US = 20


def nesting(trace):
    """Spans of one thread must nest: first pair that overlaps without nesting, or None."""
    slack = 0.002  # two roundings to a nanosecond
    for tid in {e["tid"] for e in trace if e["ph"] == "X"}:
        stack = []
        spans = [e for e in trace if e["ph"] == "X" and e["tid"] == tid]
        for e in sorted(spans, key=lambda e: (e["ts"], -e["dur"])):
            end = e["ts"] + e["dur"]
            while stack and stack[-1] <= e["ts"] + slack:
                stack.pop()
            if stack and end > stack[-1] + slack:
                return f"{e['name']} at {e['ts']} leaves its parent"
            stack.append(end)
    return None


def measure(model, seconds, dims):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.json")
        out = subprocess.run([os.path.join(benchlib.BUILD, "bin", "bench_profile_runs"),
                              benchlib.model_file(model), str(seconds), path, *dims],
                             capture_output=True, text=True, check=True).stdout
        with open(path) as f:
            trace = json.load(f)
    with open(SCHEMA) as f:
        schema = json.load(f)
    row = {"model": model, **json.loads(out), "events": len(trace["traceEvents"])}
    row["problem"] = problem(trace, schema, schema) or nesting(trace["traceEvents"])
    return row


def main():
    rows = [measure(*case) for case in CASES]
    benchlib.table(("model", "run us", "profiled us", "cost %", "in nodes %", "outside us", "spans",
                    "trace"),
                   [(r["model"], r["plain_us"], r["profiled_us"], 100 * r["cost"],
                     100 * r["accounted"], (1 - r["accounted"]) * r["profiled_us"], r["events"],
                     r["problem"] or "ok") for r in rows])
    bars = {}
    for r in rows:
        bars[f"cost {r['model']}"] = benchlib.bar(100 * r["cost"], "%", 3, "no profile", False)
        if r["plain_us"] >= SHORT_US:
            bars[f"in nodes {r['model']}"] = benchlib.bar(100 * r["accounted"], "%", 97,
                                                          "lamina_session_run")
    wrong = sum(r["problem"] is not None for r in rows)
    bars["traces against the schema"] = benchlib.bar(wrong, "wrong", 0, "docs/formats", False)
    return 0 if benchlib.write("profile", bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
