#!/usr/bin/env python3
"""
What a model costs in memory (bar B6): private resident memory after load beside the weights, after
a long sequence and a trim beside before, and the proportional set of four processes beside that of
one. BERT with a dynamic sequence length; figures are those of /proc/PID/smaps_rollup.
"""
import os
import subprocess
import sys

import benchlib

MODEL, SHORT, LONG, PROCESSES = "bert_base", 16, 512, 4
GOAL_LOAD, GOAL_BACK, GOAL_SHARED = 1.3, 5, 1.5


class Holder:
    """A process that holds the model and does one step at a time."""

    def __init__(self, path):
        program = os.path.join(benchlib.BUILD, "bin", "bench_memory_runs")
        self.p = subprocess.Popen([program, path, "B=1", f"S={SHORT}", "--then", "B=1",
                                   f"S={LONG}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)

    def do(self, step):
        self.p.stdin.write(step + "\n")
        self.p.stdin.flush()
        if self.p.stdout.readline().strip() != "ok":
            sys.exit(f"{MODEL}: step {step!r} failed")

    def memory(self):
        """Megabytes: private, proportional, resident."""
        sizes = {}
        with open(f"/proc/{self.p.pid}/smaps_rollup") as f:
            for line in f:
                key, _, value = line.partition(":")
                if value.strip().endswith("kB"):
                    sizes[key] = int(value.split()[0]) / 1000 * 1.024
        return {"private": sizes["Private_Clean"] + sizes["Private_Dirty"], "pss": sizes["Pss"],
                "rss": sizes["Rss"], "dirty": sizes["Private_Dirty"]}

    def end(self):
        self.p.stdin.close()
        self.p.wait()


def one_process(path):
    """Rows of the phases of one process."""
    rows, h = [], Holder(path)
    for phase, step in (("load", "load"), (f"run S={SHORT}", "run 0"), (f"run S={LONG}", "run 1"),
                        (f"run S={SHORT} again", "run 0"), ("trim", "trim")):
        h.do(step)
        rows.append({"phase": phase, **h.memory()})
    h.end()
    return rows


def many_processes(path, count):
    """Sum of the proportional sets of `count` processes after a short run in each."""
    holders = [Holder(path) for _ in range(count)]
    for step in ("load", "run 0"):
        for h in holders:
            h.do(step)
    total = sum(h.memory()["pss"] for h in holders)
    for h in holders:
        h.end()
    return total


def main():
    path = benchlib.model_file(MODEL)
    weights = os.path.getsize(path) / 1e6
    rows = one_process(path)
    alone, together = many_processes(path, 1), many_processes(path, PROCESSES)
    print(f"{MODEL}, weights {weights:.0f} MB; megabytes of /proc/PID/smaps_rollup")
    benchlib.table(("after", "private", "of it written", "pss", "rss"),
                   [(r["phase"], r["private"], r["dirty"], r["pss"], r["rss"]) for r in rows])
    print(f"pss of 1 process {alone:.0f}, of {PROCESSES} together {together:.0f}")
    back = 100 * (rows[4]["private"] / rows[1]["private"] - 1)
    dirty = 100 * (rows[4]["dirty"] / rows[1]["dirty"] - 1)
    bars = {
        "B6 private after load": benchlib.bar(rows[0]["private"] / weights, "x weights", GOAL_LOAD,
                                              "weights", False),
        "B6 private after the first run": benchlib.bar(rows[1]["private"] / weights, "x weights",
                                                       GOAL_LOAD, "weights", False),
        "B6 back after trim": benchlib.bar(back, "% more", GOAL_BACK, "first run", False),
        "B6 written, back after trim": benchlib.bar(dirty, "% more", GOAL_BACK, "first run", False),
        "B6 pss of 4 processes": benchlib.bar(together / alone, "x one", GOAL_SHARED, "one process",
                                              False),
    }
    rows.append({"phase": "pss", "one": alone, "four": together})
    return 0 if benchlib.write("memory", bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
