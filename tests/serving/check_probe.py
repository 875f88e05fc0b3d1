#!/usr/bin/env python3
"""
Models that must not be loaded where requests are served: one that never ends, one that wants more
memory than there is, one whose process is killed, files that are none. `lamina serve` tries them in
a process of their own, says why they are not ready, and goes on. Usage: check_probe.py LAMINA
"""
import os
import pathlib
import signal
import time

from serving import SLOW, Server, o, replace, run, scale_model, want


def endless_model():
    """y = x after a loop of 2^40 turns: nothing is wrong with it but the time."""
    body = o.graph([o.node("Identity", ["c"], ["c_out"]), o.node("Add", ["v", "one"], ["v_out"])],
                   [o.info("i", o.I64, []), o.info("c", o.BOOL, []), o.info("v", dims=["N", 4])],
                   [o.info("c_out", o.BOOL, []), o.info("v_out", dims=["N", 4])],
                   [o.floats("one", [1], [1.0])])
    nodes = [o.node("Loop", ["trips", "", "x"], ["y"], o.attr("body", "g", body))]
    trips = o.tensor("trips", [], o.I64, (1 << 40).to_bytes(8, "little"))
    return o.model(o.graph(nodes, [o.info("x", dims=["N", 4])], [o.info("y", dims=["N", 4])],
                           [trips]))


def hungry_model(n):
    """y = x + the mean of n ones, made at run time from the shape of x."""
    nodes = [o.node("Shape", ["x"], ["s"]), o.node("ReduceMin", ["s"], ["one"]),
             o.node("Mul", ["one", "n"], ["many"]), o.node("ConstantOfShape", ["many"], ["z"]),
             o.node("ReduceSum", ["z"], ["sum"]), o.node("Add", ["x", "sum"], ["y"])]
    return o.model(o.graph(nodes, [o.info("x", dims=["N", 4])], [o.info("y", dims=["N", 4])],
                           [o.ints("n", [n])]))


def children(pid):
    """Processes of that parent; of each its name."""
    out = {}
    for p in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = p.read_text()
        except OSError:
            continue
        head, tail = text.rsplit(")", 1)
        if int(tail.split()[1]) == pid and tail.split()[0] != "Z":
            out[int(p.parent.name)] = head.split("(", 1)[1]
    return out


def nursery_of(s):
    found = [pid for pid, name in children(s.p.pid).items() if name == "lamina-nursery"]
    return found[0] if found else None


def reason(s, name):
    for row in s.ask("POST", "/v2/repository/index")[2]:
        if row["name"] == name:
            return row.get("reason", ""), row["state"]
    return None, None


def until(what, seconds=60):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    return None


def put(repo, name, data):
    replace(repo / name / "1" / "model.onnx", data)


def serves(s, name="good", values=(3, 6, 9, 12)):
    got, _, body = s.infer(name, [1, 2, 3, 4])
    return want(got == 200 and body["outputs"][0]["data"] == list(values), f"{name}: {got} {body}")


def refuses(program, d):
    repo = d / "repo"
    put(repo, "good", scale_model(3))
    put(repo, "endless", endless_model())
    with Server(program, repo, "--model-control", "poll", "--poll-interval", "50ms",
                "--probe-time", f"{1500 * SLOW}ms") as s:
        want(nursery_of(s), "no process for models")
        why, state = reason(s, "endless")
        want(why and "not ready within" in why and state != "READY", f"endless: {why} {state}")
        serves(s)
        put(repo, "bad", b"\x08\x09no model")
        want(until(lambda: reason(s, "bad")[0]), "a file that is none")
        want("/" not in reason(s, "bad")[0], f"a path: {reason(s, 'bad')}")
        put(repo, "good", scale_model(2))  # what is right is swapped in as ever
        seen = []
        want(until(lambda: seen.append(s.infer("good", [1] * 4)) or "[2, 2" in str(seen[-1][2])),
             "a swap")
        want(all(got[0] == 200 for got in seen), f"answers meanwhile: {seen[:2]}")
        put(repo, "good", endless_model())  # what is wrong leaves the old one
        want(until(lambda: "not ready within" in (reason(s, "good")[0] or "")), "a bad successor")
        serves(s, values=(2, 4, 6, 8))
        nursery = nursery_of(s)
    want(until(lambda: not pathlib.Path(f"/proc/{nursery}").exists(), 10), "the nursery stays")


def bare(s, nursery, child):
    """What a child has left: a filter more than the nursery, and nothing open but its own."""
    def status(pid, key):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        return None

    if "seccomp" in s.told["sandbox"]:
        want(until(lambda: status(child, "Seccomp") == 2, 5), "the child has no filter")
        filters = status(child, "Seccomp_filters")
        want(filters is None or filters > status(nursery, "Seccomp_filters"), f"{filters}")
    targets = [os.readlink(f) for f in pathlib.Path(f"/proc/{child}/fd").iterdir()]
    want(not any("socket:" in t for t in targets), f"descriptors: {targets}")
    want(int(pathlib.Path(f"/proc/{child}/oom_score_adj").read_text()) == 1000, "oom_score_adj")


def killed(program, d):
    """The child is killed, then the nursery, then the server."""
    repo = d / "killed"
    put(repo, "good", scale_model(3))
    with Server(program, repo, "--model-control", "poll", "--poll-interval", "50ms") as s:
        nursery = nursery_of(s)
        put(repo, "slow", endless_model())
        child = until(lambda: children(nursery))
        want(child, "no child")
        bare(s, nursery, next(iter(child)))
        serves(s)  # while it is tried
        os.kill(next(iter(child)), signal.SIGKILL)
        why = until(lambda: reason(s, "slow")[0])
        want(why and "signal 9" in why, f"killed: {why}")
        serves(s)
        os.kill(nursery, signal.SIGKILL)
        put(repo, "late", scale_model(5))
        why = until(lambda: reason(s, "late")[0])
        want(why and "is gone" in why, f"no nursery: {why}")
        serves(s)
    with Server(program, repo, "--probe", "always", "--model-control", "explicit", "--load", "good",
                "--admin", f"unix:{d}/admin.sock") as s:
        nursery = nursery_of(s)
        serves(s)
        s.ends = {-signal.SIGKILL}
        s.p.kill()
        want(until(lambda: not pathlib.Path(f"/proc/{nursery}").exists(), 10), "left behind")


def hungry(program, d):
    if SLOW > 1:
        return  # address space is what a sanitizer takes most of
    repo = d / "hungry"
    put(repo, "good", scale_model(3))
    put(repo, "bomb", hungry_model(1 << 30))
    with Server(program, repo, "--model-control", "poll", "--probe-memory", "2G") as s:
        why, state = reason(s, "bomb")
        want(why and "memory" in why and state != "READY", f"bomb: {why} {state}")
        serves(s)


def wide_model():
    """Ten products of a row with 512 x 512 numbers."""
    n, nodes, at = 512, [o.node("MatMul", ["x", "first"], ["t0"])], "t0"
    for i in range(10):
        nodes.append(o.node("MatMul", [at, "w"], ["y" if i == 9 else f"t{i + 1}"]))
        at = f"t{i + 1}"
    weights = [o.floats("first", [4, n], [0.5] * (4 * n)), o.floats("w", [n, n], [0.01] * (n * n))]
    return o.model(o.graph(nodes, [o.info("x", dims=["N", 4])], [o.info("y", dims=["N", n])],
                           weights))


def configured(program, d):
    """What a configuration makes of a model is tried with it: as it is warmed up in no time, with
    batches of 2^18 rows it is not."""
    repo = d / "configured"
    put(repo, "good", scale_model(3))
    put(repo, "wide", wide_model())
    with Server(program, repo, "--model-control", "poll", "--poll-interval", "50ms",
                "--probe-time", f"{2500 * SLOW}ms") as s:
        want(reason(s, "wide")[1] == "READY", f"without: {reason(s, 'wide')}")
        replace(repo / "wide" / "config.json",
                b'{"max_batch_size": 262144, "dynamic_batching": {}}')
        why = until(lambda: reason(s, "wide")[0])
        want(why and "not ready within" in why, f"with: {why}")
        serves(s)
        replace(repo / "wide" / "config.json", b'{"output": [{"name": "no", "dims": [1]}]}')
        why = until(lambda: "output" in (reason(s, "wide")[0] or "") and reason(s, "wide")[0])
        want(why and "/" not in why, f"a port that is none: {why}")


def modes(program, d):
    """Who has a nursery: auto where models come while it serves."""
    repo = d / "repo"
    for args, has in [([], False), (["--probe", "always"], True),
                      (["--model-control", "explicit", "--load", "good"], True),
                      (["--model-control", "explicit", "--load", "good", "--probe", "never"],
                       False)]:
        put(repo, "good", scale_model(3))
        with Server(program, repo / "good" / "1" / "model.onnx" if not args or "always" in args
                    else repo, *args) as s:
            want(bool(nursery_of(s)) == has, f"{args}: {children(s.p.pid)}")
            serves(s, "model" if not args or "always" in args else "good")


run(refuses, killed, hungry, configured, modes)
