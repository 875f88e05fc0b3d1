#!/usr/bin/env python3
"""
`lamina bench SUBJECT` from outside, with tiny budgets: every subject of --list gives rows with
ordered quartiles or says why not, the plot is XML with a bar a row, and misuse is refused. The
figures themselves are nobody's business here.
Usage: check_systems.py LAMINA
"""
import json
import math
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

problems = []


def run(*args, rc=0):
    p = subprocess.run([sys.argv[1], "bench", *args], capture_output=True, text=True, timeout=300,
                       check=False)
    if p.returncode != rc:
        problems.append(f"{' '.join(args)}: exit {p.returncode}, not {rc}: {p.stderr[-300:]}")
    return p


def judge(name, got, unit):
    def want(ok, text):
        if not ok:
            problems.append(f"{name}: {text}: {json.dumps(got)[:400]}")
    want(got.get("subject") == name and got.get("unit") == unit, "subject and unit")
    want(got.get("better") in ("less", "more") and len(got.get("shows", "")) > 40, "what it shows")
    want(got.get("rounds", 0) >= 3, "three rounds at least")
    want(all(k in got.get(w, {}) for w in ("before", "after") for k in ("cpus", "load")), "machine")
    rows = got.get("rows", [])
    want(len(rows) >= 1 and len({r["name"] for r in rows}) == len(rows), "rows, each named once")
    for r in rows:
        if not r["n"]:
            want(r.get("why"), f"no reason for {r['name']}")
            continue
        order = [r[k] for k in ("least", "q1", "median", "q3", "most")]
        want(all(math.isfinite(v) and v > 0 for v in order) and order == sorted(order),
             f"{r['name']} is not in order")
    want(any(r["n"] for r in rows), "nothing was measured")


def judge_plot(name, path, rows):
    root = xml.parse(path).getroot()
    bars = [e for e in root.iter() if e.get("class") == "bar"]
    if any(e.text == "0.0000" for e in root.iter()):
        problems.append(f"{name}: a number of the plot is 0.0000")
    if len(bars) != sum(1 for r in rows if r["n"]):
        problems.append(f"{name}: {len(bars)} bars of {len(rows)} rows")


def main():
    listed = json.loads(run("--list", "--json").stdout)["subjects"]
    text = run("--list").stdout
    lonely = len(os.sched_getaffinity(0)) < 2
    with tempfile.TemporaryDirectory() as folder:
        for s in listed:
            name, path = s["name"], os.path.join(folder, "plot.svg")
            if lonely and name == "core-to-core":
                continue
            got = json.loads(run(name, "--seconds", "0.01", "--json", "--svg", path).stdout)
            judge(name, got, s["unit"])
            judge_plot(name, path, got["rows"])
            if name not in text:
                problems.append(f"--list does not say {name}")
        shown = run("branches", "--seconds", "0").stdout
        for word in ("shows", "sure", "machine", "median", "ratio", "branch, random"):
            if word not in shown:
                problems.append(f"the text has no {word!r}: {shown}")
        bad = os.path.join(folder, "no", "plot.svg")
        got = run("branches", "--seconds", "0", "--svg", bad, rc=1)
        if "plot.svg" not in got.stderr:
            problems.append("a plot that cannot be written is not named")
        if got.stdout:
            problems.append("a plot that cannot be written is found after the measurement")
    run("branches", "--threads", "2", rc=2)
    run("branches", "layouts", rc=2)
    run("no-such-thing", rc=1)
    for p in problems:
        print(p)
    print(f"{len(listed)} subjects, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
