#!/usr/bin/env python3
"""
What `lamina check` costs on the five largest models: wall time from start to exit, and the peak of
the resident set. The peak counts the pages of the mapped file that were touched too, so it is never
less than what the check needs beyond the mapping. Lints included; no peer does as much.
"""
import os
import subprocess
import sys
import time

import benchlib

MODELS = ("gpt2", "bert_base", "resnet50", "whisper_tiny_enc", "mobilenetv2")
RUNS, GOAL_SECONDS, GOAL_MB = 7, 1, 100


def once(args):
    """Wall seconds, CPU seconds and peak megabytes of one process."""
    t0 = time.perf_counter()
    p = subprocess.Popen(args, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(p.pid, 0)
    wall = time.perf_counter() - t0
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode != 0:
        sys.exit(f"{' '.join(args)}: exit {p.returncode}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


def measure(program, model, *more):
    path = benchlib.model_file(model)
    runs = [once([program, "check", path, *more]) for _ in range(RUNS)]
    wall, cpu, mb = zip(*runs)
    return {"model": " ".join((model, *more)), "file MB": os.path.getsize(path) / 1e6,
            "seconds": benchlib.median(wall), "cpu seconds": benchlib.median(cpu),
            "peak MB": max(mb)}


def main():
    program = os.path.join(benchlib.BUILD, "bin", "lamina")
    rows = [measure(program, m) for m in MODELS] + [measure(program, MODELS[0], "--ops")]
    benchlib.table(tuple(rows[0]), [tuple(r.values()) for r in rows])
    plain = rows[:len(MODELS)]
    slowest = max(plain, key=lambda r: r["seconds"])
    largest = max(plain, key=lambda r: r["peak MB"])
    bars = {
        f"B7 slowest, {slowest['model']}": benchlib.bar(slowest["seconds"], "s", GOAL_SECONDS,
                                                        "start to exit", False),
        f"B7 most memory, {largest['model']}": benchlib.bar(largest["peak MB"], "MB", GOAL_MB,
                                                            "peak resident set", False),
    }
    return 0 if benchlib.write("check", bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
