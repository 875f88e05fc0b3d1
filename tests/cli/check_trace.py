#!/usr/bin/env python3
"""
`lamina trace` from outside: a model is recorded, printed, exported and watched; the Trace Event
JSON is what the format says (trace_format.py), with waits and arrows; a killed program leaves a
trace that says what it was in; misuse is refused. Needs no package.
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
import trace_format as fmt

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


def model(other="Add", dims=(4, 64)):
    """A chain of Exp and another, so that no pass folds it away."""
    nodes, last = [], "x"
    for i in range(LAYERS):
        op, ins = ("Exp", [last]) if i % 2 else (other, [last, last])
        nodes.append(o.msg(*[(1, s) for s in ins], (2, f"v{i}"), (3, f"node{i}"), (4, op)))
        last = f"v{i}"
    graph = o.msg(*[(1, n) for n in nodes], (2, "chain"), (11, o.info("x", dims=dims)),
                  (12, o.info(last, dims=dims)))
    return o.msg((1, 8), (7, graph), (8, o.msg((1, ""), (2, 17))))


def check_format(text):
    for problem in fmt.problems_of(text):
        want(False, problem)
    return json.loads(text)


def check_perfetto(path):
    with open(path) as f:
        trace = check_format(f.read())
    events = trace["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    nodes = [e for e in spans if e["cat"] == "node"]
    want(len(nodes) >= LAYERS // 2, f"{len(nodes)} nodes")
    want(all(e["args"]["kernel"] and e["args"]["run"] == 1 for e in nodes), "arguments of nodes")
    for name in ("load", "parse", "import", "session", "optimise", "place", "plan", "run"):
        want(sum(e["name"] == name for e in spans) == 1, f"not one span {name}")
    want(trace["otherData"]["lost"] == 0, "events are lost")
    return len([e for e in events if e["ph"] in "Xi"])


def check_arrows(path):
    """Each piece of a node that another thread did has an arrow from the run."""
    events = check_format(lamina("trace", "export", path).stdout)["traceEvents"]
    runs = {e["args"]["number"]: e["tid"] for e in events if e["ph"] == "X" and e["name"] == "run"}
    chunks = [e for e in events if e["ph"] == "X" and e["name"] == "chunk"]
    want(len(runs) == 1 and chunks, f"{len(runs)} runs, {len(chunks)} chunks")
    far = [(e["tid"], e["ts"]) for e in chunks if e["tid"] not in runs.values()]
    want(sorted(far) == sorted((e["tid"], e["ts"]) for e in events if e["ph"] == "f"),
         f"arrows do not lead to the {len(far)} chunks of helpers")


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
    check_format(lamina("trace", "export", path).stdout)


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
        with open(os.path.join(folder, "wide.onnx"), "wb") as f:
            f.write(model("MatMul", (384, 384)))
        lamina("trace", "record", "-o", path, "--level", "3", f.name, "--random", "1", "--quiet",
               "--threads", "3")
        check_arrows(path)
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
