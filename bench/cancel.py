#!/usr/bin/env python3
"""
How soon a run ends after lamina_cancel from another thread, and past its deadline (bar B11): BERT
at a length that takes about a second, cancelled at moments spread over the run, on one thread and
on two.
"""
import json
import os
import subprocess
import sys

import benchlib

MODEL, DIMS, TIMES, GOAL_MS = "bert_base", ("B=1", "S=512"), 20, 5


def measure(threads):
    out = subprocess.run([os.path.join(benchlib.BUILD, "bin", "bench_cancel_runs"),
                          benchlib.model_file(MODEL), str(threads), str(TIMES), *DIMS],
                         capture_output=True, text=True, check=True).stdout
    return {"threads": threads, **json.loads(out)}


def main():
    rows = [measure(n) for n in (1, 2)]
    print(f"{MODEL} {' '.join(DIMS)}, {TIMES} cancels and deadlines each; milliseconds")
    keys = ("threads", "run_ms", "cancel_p50_ms", "cancel_max_ms", "deadline_p50_ms",
            "deadline_max_ms")
    benchlib.table(("threads", "whole run", "cancel p50", "max", "deadline p50", "max"),
                   [[str(r["threads"])] + [r[k] for k in keys[1:]] for r in rows])
    bars = {}
    for r in rows:
        for what in ("cancel", "deadline"):
            bars[f"B11 {what}, {r['threads']} threads, median"] = benchlib.bar(
                r[f"{what}_p50_ms"], "ms", GOAL_MS, "from the call to the return", False)
    return 0 if benchlib.write("cancel", bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
