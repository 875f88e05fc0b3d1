#!/usr/bin/env python3
"""
`lamina serve` over time: models replaced under load without a request failing, broken files that
change nothing, load and unload by request, polling, a killed server that leaves the folder as it
was, an end by SIGTERM that cuts nobody, and what systemd is told.
Usage: check_lifecycle.py LAMINA [--reloads=N]
"""
import os
import pathlib
import signal
import socket
import sys
import tempfile
import time

from serving import SLOW, Load, Server, finish, option, replace, scale_model, want


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def wait_for(what, seconds=20):
    until = time.monotonic() + seconds * SLOW
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.01)
    return False


def reloads(program, d, n):
    """The same model, again and again another one, under load."""
    repo = d / "repo"
    file = repo / "m" / "1" / "model.onnx"
    replace(file, scale_model(1))
    with Server(program, repo, "--model-control", "explicit", "--load", "*",
                "--admin", "127.0.0.1:0") as s:
        first = last = 0
        with Load(s.connect, "m", [1] * 4, ([1.0] * 4, [2.0] * 4)) as load:
            for i in range(n):
                replace(file, scale_model(1 + (i + 1) % 2))
                got, _, body = s.ask("POST", "/v2/repository/models/m/load", admin=True)
                want(got == 200, f"reload {i}: {got} {body}")
                if i == n // 5:
                    first = resident(s.p.pid)
            last = resident(s.p.pid)
        want(not load.bad, f"{len(load.bad)} of {load.n_ok} failed: {load.bad[:3]}")
        want(load.n_ok > n, f"only {load.n_ok} answers")
        print(f"{n} reloads, {load.n_ok} answers")
        if n >= 50:  # of fewer, what the allocator takes at once is no slope
            grown = (last - first) / (n - n // 5 - 1)
            print(f"{grown:.0f} bytes a reload")
            want(SLOW > 1 or grown < 64 << 10, f"memory grows by {grown:.0f} bytes a reload")
        want(s.infer("m", [1] * 4)[2]["outputs"][0]["data"][0] == 1.0 + n % 2, "the last one")


def broken(program, d):
    """What cannot be loaded changes nothing but the index."""
    repo = d / "broken"
    file = repo / "m" / "1" / "model.onnx"
    replace(file, scale_model(5))
    with Server(program, repo, "--model-control", "explicit", "--load", "m",
                "--admin", "127.0.0.1:0") as s:
        def change(what, model="m", body=None):
            return s.ask("POST", f"/v2/repository/models/{model}/{what}", body, admin=True)[0]
        replace(file, b"not a model")
        want(change("load") == 400, "a broken file can be loaded")
        want(s.infer("m", [1] * 4)[2]["outputs"][0]["data"][0] == 5.0, "the old one is gone")
        row = s.ask("POST", "/v2/repository/index")[2][0]
        want(row["state"] == "READY" and row["reason"], f"index: {row}")
        want(s.ask("GET", "/v2/health/ready")[0] == 200, "not ready")
        replace(repo / "m" / "2" / "model.onnx", b"not a model either")
        want(change("load") == 400 and s.infer("m", [1] * 4)[0] == 200, "a broken version 2")
        replace(repo / "m" / "2" / "model.onnx", scale_model(6))
        want(change("load") == 200, "version 2")
        want(s.infer("m", [1] * 4)[2]["outputs"][0]["data"][0] == 6.0, "version 2 is not served")
        want(s.infer("m", [1] * 4, 1)[0] == 404, "version 1 is still there")
        want(change("unload") == 200 and s.infer("m", [1] * 4)[0] == 503, "unload")
        want(change("unload") == 400 and change("unload", "none") == 400, "unload twice")
        want(change("load", "none") == 400, "load what is not there")
        want(change("load", body='{"parameters":{"config":"{}"}}') == 400, "a config comes along")
        want(change("load", body="{") == 400, "a body that is no JSON")
        want(change("load") == 200 and s.infer("m", [1] * 4)[0] == 200, "load again")


def polling(program, d):
    repo = d / "poll"
    replace(repo / "a" / "1" / "model.onnx", scale_model(1))
    with Server(program, repo, "--model-control", "poll", "--poll-interval", "20ms") as s:
        def first(model):
            got, _, body = s.infer(model, [1] * 4)
            return body["outputs"][0]["data"][0] if got == 200 else got
        replace(repo / "a" / "1" / "model.onnx", scale_model(2))
        want(wait_for(lambda: first("a") == 2.0), "a new file is not seen")
        replace(repo / "a" / "2" / "model.onnx", scale_model(3))
        want(wait_for(lambda: first("a") == 3.0), "a new version is not seen")
        replace(repo / "b" / "1" / "model.onnx", scale_model(4))
        want(wait_for(lambda: first("b") == 4.0), "a new model is not seen")
        replace(repo / "b" / "config.json", '{"nonsense": 1}')
        want(wait_for(lambda: any("nonsense" in r["reason"] for r in
                                  s.ask("POST", "/v2/repository/index")[2])) or True, "config")
        want(first("b") == 4.0, "a broken configuration takes a model away")
        os.rename(repo / "b", d / "away")
        want(wait_for(lambda: first("b") == 503), "a folder that goes is not seen")
        want(s.ask("POST", "/v2/repository/models/a/load")[0] == 403, "load while polling")


def noticed(program, d):
    """With the interval far away, the system's word is enough; what is being written waits."""
    repo = d / "noticed"
    file = repo / "a" / "1" / "model.onnx"
    for i in range(5):  # replaced as soon as it is there
        replace(file, scale_model(1))
        with Server(program, repo, "--model-control", "poll", "--poll-interval", "60s") as s:
            replace(file, scale_model(2))
            want(wait_for(lambda: s.infer("a", [1] * 4)[2]["outputs"][0]["data"][0] == 2.0, 5),
                 f"start {i}: a file replaced at once is not noticed")
    replace(file, scale_model(1))
    with Server(program, repo, "--model-control", "poll", "--poll-interval", "60s") as s:
        def first(model="a"):
            got, _, body = s.infer(model, [1] * 4)
            return body["outputs"][0]["data"][0] if got == 200 else got

        def row(model):
            return next((r for r in s.ask("POST", "/v2/repository/index")[2]
                         if r["name"] == model), None)
        took = []
        for i in range(10):
            replace(file, scale_model(10 + i))
            began = time.monotonic()
            want(wait_for(lambda: first() == 10.0 + i), "a new file is not noticed")
            took.append(time.monotonic() - began)
            time.sleep(0.03)
        print(f"a new file is served after {sorted(took)[5] * 1e3:.0f} ms")
        want(sorted(took)[5] < 0.5 * SLOW, f"a new file is noticed after {took}")
        # in place, in pieces
        model = scale_model(3)
        with open(file, "wb") as f:
            for at in range(0, len(model), len(model) // 10):
                f.write(model[at:at + len(model) // 10])
                f.flush()
                time.sleep(0.05)
            want(first() == 19.0 and not row("a")["reason"], f"half a model is loaded: {row('a')}")
        want(wait_for(lambda: first() == 3.0), "what was written in place is not noticed")
        replace(repo / "b" / "1" / "model.onnx", scale_model(4))
        want(wait_for(lambda: first("b") == 4.0), "a new folder is not noticed")
        replace(repo / "b" / "2" / "model.onnx", scale_model(5))
        want(wait_for(lambda: first("b") == 5.0), "a new version is not noticed")
        os.remove(repo / "b" / "2" / "model.onnx")
        os.rmdir(repo / "b" / "2")
        want(wait_for(lambda: first("b") == 4.0), "a version that goes is not noticed")
        os.rename(repo / "b", d / "away2")
        want(wait_for(lambda: first("b") == 503), "a folder that goes is not noticed")


def killed(program, d):
    """kill -9 while models are loaded: the folder is as it was, and is served again."""
    repo = d / "killed"
    for i in range(6):
        replace(repo / f"m{i}" / "1" / "model.onnx", scale_model(i))
    before = sorted(p.relative_to(repo) for p in repo.rglob("*"))
    for i in range(5):
        s = Server(program, repo, "--model-control", "poll", "--poll-interval", "1ms")
        for k in range(3):
            replace(repo / f"m{k}" / "1" / "model.onnx", scale_model(k))
        time.sleep(0.002 * i)
        s.p.kill()
        s.p.communicate()
    want(before == sorted(p.relative_to(repo) for p in repo.rglob("*")), "the folder has changed")
    with Server(program, repo) as s:
        want(s.infer("m5", [1] * 4)[2]["outputs"][0]["data"][0] == 5.0, "it is not served again")


def ended(program, d):
    """SIGTERM under 32 clients: nobody is cut, nobody sees an error."""
    repo = d / "repo"
    with Server(program, repo, "--drain-delay", "300ms") as s:
        with Load(s.connect, "m", [1] * 4, ([1.0] * 4, [2.0] * 4), n=32) as load:
            time.sleep(0.3)
            s.p.send_signal(signal.SIGTERM)
            began = time.monotonic()
            time.sleep(0.1)
            want(s.ask("GET", "/v2/health/ready")[0] == 503, "ready while it drains")
            want(s.infer("m", [1] * 4)[0] == 200, "no answer while it drains")
            s.p.wait(timeout=30 * SLOW)
            took = time.monotonic() - began
        bad = [b for b in load.bad if "Refused" not in str(b)]
        print(f"SIGTERM under 32 clients: {load.n_ok} answers, {len(bad)} cut, {took:.2f} s")
        want(not bad and load.n_ok > 32, f"{load.n_ok} answers, cut: {bad[:3]}")
        want(took < 10 * SLOW, f"the end took {took:.1f} s")
    with Server(program, repo, "--drain-delay", "60s") as s:
        s.p.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        s.p.send_signal(signal.SIGTERM)
        s.ends = {-signal.SIGTERM}
        s.p.wait(timeout=5 * SLOW)


def manager(program, d):
    """What systemd is told, and the socket that it passes."""
    notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notes.bind(str(d / "notify"))
    notes.settimeout(20 * SLOW)
    with Server(program, d / "repo", env={"NOTIFY_SOCKET": str(d / "notify")}) as s:
        want(notes.recv(100) == b"READY=1", "READY=1")
        s.p.terminate()
        want(notes.recv(100) == b"STOPPING=1", "STOPPING=1")
        s.p.wait(timeout=30 * SLOW)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        port = listening.getsockname()[1]

        def pass_on():
            os.dup2(listening.fileno(), 3)
        shell = d / "activate.sh"
        shell.write_text(f'#!/bin/sh\nLISTEN_PID=$$ LISTEN_FDS=1 exec {program} "$@"\n')
        shell.chmod(0o755)
        with Server(str(shell), d / "repo", listen=None, preexec_fn=pass_on, close_fds=False) as s:
            s.port = port
            want(s.infer("m", [1] * 4)[0] == 200, "over the socket that was passed")


def main():
    program = os.path.abspath(sys.argv[1])
    n = option("--reloads", 100)
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        reloads(program, d, n)
        broken(program, d)
        polling(program, d)
        noticed(program, d)
        killed(program, d)
        ended(program, d)
        manager(program, d)
    finish()


if __name__ == "__main__":
    main()
