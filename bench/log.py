#!/usr/bin/env python3
"""
The log (bar B9): nanoseconds of CPU a call, beside snprintf and write; then records a second from
four processes through `lamina logd` into a file, from the first call to the last line, none lost.
Usage: log.py [RECORDS a process]
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import benchlib

PROCESSES, GOAL, ROUNDS = 4, 1e6, 3
RUNS = os.path.join(benchlib.BUILD, "bin", "bench_log_runs")
LAMINA = os.path.join(benchlib.BUILD, "bin", "lamina")


def calls(folder):
    out = subprocess.run([RUNS, "calls", folder], capture_output=True, text=True, check=True)
    for ring in pathlib.Path(folder).glob("*.ring"):
        ring.unlink()
    return json.loads(out.stdout)


def throughput(folder, out, n):
    """Records a second, and what the collector counted."""
    daemon = subprocess.Popen([LAMINA, "logd", folder, "--out", out, "--json"],
                              stdout=subprocess.PIPE, text=True)
    while not os.path.exists(out):
        time.sleep(0.01)
    t0 = time.monotonic()
    writers = [subprocess.Popen([RUNS, "write", folder, str(n), "10000000"],
                                stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    said = [json.loads(w.communicate()[0]) for w in writers]
    daemon.send_signal(signal.SIGTERM)
    counts = json.loads(daemon.communicate()[0])
    seconds = time.monotonic() - t0
    with open(out, "rb") as f:
        lines = sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))
    os.unlink(out)
    return {"rate": PROCESSES * n / seconds, "lost": PROCESSES * n - counts["records"],
            "lines": lines, "dropped": counts["dropped"],
            "writer_cpu_ns": benchlib.median([s["cpu_ns"] for s in said])}


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="lamina-log-", dir=shm) as folder:
        ns = calls(folder)
        with tempfile.TemporaryDirectory(dir=benchlib.BUILD) as disk:
            rows = [throughput(folder, os.path.join(disk, "out.log"), n) for _ in range(ROUNDS)]
    benchlib.table(("a call", "ns of CPU"), list(ns.items()))
    print(f"\n{PROCESSES} processes, {n:,} records each, through logd into a file")
    benchlib.table(("round", "records/s", "lost", "writer CPU ns"),
                   [[str(i), r["rate"], r["lost"], r["writer_cpu_ns"]]
                    for i, r in enumerate(rows)])
    bars = {
        "B9 records/s": benchlib.bar(benchlib.median([r["rate"] for r in rows]), "/s", GOAL,
                                     "4 processes, into a file"),
        "B9 lost": benchlib.bar(sum(abs(r["lost"]) + r["dropped"] for r in rows), "records", 0,
                                "calls that may wait", False),
        "typed call": benchlib.bar(ns["write"] / ns["typed"], "x speed", 1, "snprintf and write"),
    }
    return 0 if benchlib.write("log", bars, {"calls": ns, "rounds": rows}) else 1


if __name__ == "__main__":
    sys.exit(main())
