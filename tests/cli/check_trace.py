#!/usr/bin/env python3
"""
`lamina trace` from outside: a model is recorded, printed, exported and watched; the Trace Event
JSON loads, its spans nest and balance and its threads are named; a killed program leaves a trace
that says what it was in; misuse is refused. Needs no package.
Usage: check_trace.py LAMINA
"""
import csv
import io
import json
import os
import subprocess
import sys
import tempfile

import onnxpb as o

LAYERS = 12
problems = []


def want(ok, text):
    if not ok:
        problems.append(text)


def lamina(*args, rc=0, env=None):
    p = subprocess.run([sys.argv[1], *args], capture_output=True, text=True, timeout=300,
                       check=False, env={**os.environ, **(env or {})})
    want(p.returncode == rc, f"{' '.join(args)}: exit {p.returncode}, not {rc}: {p.stderr[-300:]}")
    return p


def model():
    """A chain of Relu and Add, so that no pass folds it away."""
    nodes, last = [], "x"
    for i in range(LAYERS):
        op, ins = ("Exp", [last]) if i % 2 else ("Add", [last, last])
        nodes.append(o.msg(*[(1, s) for s in ins], (2, f"v{i}"), (3, f"node{i}"), (4, op)))
        last = f"v{i}"
    graph = o.msg(*[(1, n) for n in nodes], (2, "chain"), (11, o.info("x", dims=(4, 64))),
                  (12, o.info(last, dims=(4, 64))))
    return o.msg((1, 8), (7, graph), (8, o.msg((1, ""), (2, 17))))


def nesting(events):
    """Complete spans of one thread must nest; times are whole nanoseconds."""
    for tid in {e["tid"] for e in events if e["ph"] == "X"}:
        stack = []
        spans = [(round(e["ts"] * 1000), round(e["dur"] * 1000), e["name"]) for e in events
                 if e["ph"] == "X" and e["tid"] == tid]
        for ts, dur, name in sorted(spans, key=lambda s: (s[0], -s[1])):
            while stack and stack[-1] <= ts:
                stack.pop()
            want(not stack or ts + dur <= stack[-1], f"{name} at {ts} leaves its parent")
            stack.append(ts + dur)


def check_perfetto(path):
    with open(path) as f:
        trace = json.load(f)
    events = trace["traceEvents"]
    want(all(e["ph"] in "MXbeiC" and isinstance(e["pid"], int) for e in events), "phases")
    spans = [e for e in events if e["ph"] == "X"]
    want(all(e["ts"] >= 0 and e["dur"] >= 0 and "args" in e for e in spans), "fields of spans")
    names = {e["tid"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    want({e["tid"] for e in spans} <= names, "a thread has no name")
    want(sum(e["name"] == "process_name" for e in events) == 1, "the process is not named once")
    want(len([e for e in events if e["ph"] == "b"]) == len([e for e in events if e["ph"] == "e"]),
         "waits do not balance")
    nodes = [e for e in spans if e["cat"] == "node"]
    want(len(nodes) >= LAYERS // 2, f"{len(nodes)} nodes")
    want(all(e["args"]["kernel"] and e["args"]["run"] == 1 for e in nodes), "arguments of nodes")
    for name in ("load", "parse", "import", "session", "optimise", "place", "plan", "run"):
        want(sum(e["name"] == name for e in spans) == 1, f"not one span {name}")
    nesting(events)
    want(trace["otherData"]["lost"] == 0, "events are lost")
    return len([e for e in events if e["ph"] in "Xi"])


def check_readers(path, n):
    lines = [json.loads(s) for s in lamina("trace", "cat", path, "--json").stdout.splitlines()]
    want(len(lines) == n, f"cat has {len(lines)} events, the export {n}")
    times = [e["time_ns"] for e in lines]
    want(times == sorted(times), "cat is not in order")
    want(len(lamina("trace", "cat", path).stdout.splitlines()) == n, "lines of cat")
    rows = list(csv.reader(io.StringIO(lamina("trace", "export", path, "--csv", "-").stdout)))
    want(len(rows) == n + 1 and rows[0][0] == "time_ns", "rows of the CSV")
    text = lamina("trace", "export", path, "--openmetrics", "-").stdout
    want(text.endswith("# EOF\n") and "lamina_run_seconds_count 1\n" in text, "OpenMetrics")
    top = lamina("trace", "top", path, "--once").stdout
    want("session:run" in top and "lamina_run" in top, "top")
    want("trace.level = 2" in lamina("trace", "set", path).stdout, "knobs")


def check_set(path):
    lamina("trace", "set", path, "trace.level=1")
    want("trace.level = 1" in lamina("trace", "set", path).stdout, "a knob that was set")
    lamina("trace", "set", path, "trace.level=9", rc=1)
    lamina("trace", "set", path, "no.knob=1", rc=1)
    lamina("trace", "set", path, "nonsense", rc=2)


def check_killed(net, folder):
    """kill -9 from the program itself: a child that never ends in order."""
    path = os.path.join(folder, "killed.trace")
    p = subprocess.Popen([sys.argv[1], "bench", net, "--seconds", "60"],
                         env={**os.environ, "LAMINA_TRACE": path,
                              "XDG_CACHE_HOME": folder}, stdout=subprocess.DEVNULL)
    runs = 0
    while runs < 3 and p.poll() is None:
        if os.path.exists(path):
            out = lamina("trace", "cat", path, "--json").stdout
            runs = sum(json.loads(s)["name"] == "run" for s in out.splitlines())
    p.kill()
    p.wait()
    got = lamina("trace", "cat", path, "--json")
    want("ended without closing" in got.stderr, "a killed program is not named")
    want(sum(json.loads(s)["name"] == "run" for s in got.stdout.splitlines()) >= 3, "its runs")
    nesting(json.loads(lamina("trace", "export", path).stdout)["traceEvents"])


def check_misuse(net, folder):
    for args in (["trace"], ["trace", "nonsense"], ["trace", "cat"], ["trace", "cat", "a", "b"],
                 ["trace", "export", "a", "--xml", "b"], ["trace", "record"],
                 ["trace", "record", "-x", "y"],
                 ["trace", "record", "--level", "4", net], ["trace", "top"], ["trace", "set"]):
        want(lamina(*args, rc=2).stderr, f"{args} says nothing")
    want("no trace" in lamina("trace", "cat", net, rc=1).stderr, "a model is no trace")
    want(net in lamina("trace", "cat", net, rc=1).stderr, "the file is not named")
    lamina("trace", "cat", os.path.join(folder, "absent"), rc=1)
    lamina("trace", "record", "-o", net, "--", "true", rc=1)
    lamina("run", net, "--random", "1", "--trace", net, rc=1)
    want(os.path.getsize(net) > 100, "the model was overwritten")
    absent = os.path.join(folder, "x.trace")
    want("was not made" in lamina("trace", "record", "-o", absent, "--", "true").stderr, "true")
    lamina("trace", "record", "-o", absent, "--", "false", rc=1)
    lamina("trace", "record", "-o", absent, "--", "/nonexistent/program", rc=127)
    want("examples" in lamina("help", "trace").stdout, "help")


def main():
    with tempfile.TemporaryDirectory() as folder:
        net, path = os.path.join(folder, "net.onnx"), os.path.join(folder, "a.trace")
        with open(net, "wb") as f:
            f.write(model())
        lamina("run", net, "--random", "1", "--quiet", "--trace", path)
        out = os.path.join(folder, "a.json")
        lamina("trace", "export", path, "--perfetto", out)
        n = check_perfetto(out)
        check_readers(path, n)
        lamina("trace", "record", "-o", path, "--level", "3", net, "--random", "1", "--quiet")
        lamina("trace", "export", path, "--perfetto", out)
        check_perfetto(out)
        check_set(path)
        lamina("trace", "record", "-o", path, "--", sys.argv[1], "run", net, "--random", "1")
        want(lamina("trace", "cat", path, "--follow").stdout.count("\n") == n, "follow")
        check_killed(net, folder)
        check_misuse(net, folder)
    for p in problems:
        print(p)
    print(f"trace: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
