#!/usr/bin/env python3
"""
What it costs `lamina serve` to be watched: serve_watch.py [--seconds N] [--rounds N]. The tiny
model at 64 connections, without a log, with a line of it for one request in 1, 10 and 100 (a
collector takes them away on the other core), with every line made by the server itself, and with
traces for one request in 1000, 10 and 1. CPU a request is the server's, all its threads, and beside
it the collector's; medians of rounds by turns, and of the ratios within each round. A line that is
dropped costs less than one that is made: how many were is in the table.
"""
import argparse
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import benchlib

NAME = "serve-watch"
NAPS = 0.02  # seconds: longer than those who make lines nap between batches
benchlib.need_modules(NAME, "numpy", "onnx")

from serve_load import generator, infer_body, middle, turns, wrk, wrk_script  # noqa: E402
from serve_peers import LAMINA, Server, free_port, make_models  # noqa: E402


class Sink:
    """A collector that answers 200 and looks at nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            threading.Thread(target=self.talk, args=(self.listener.accept()[0],),
                             daemon=True).start()

    @staticmethod
    def talk(s):
        with s, s.makefile("rb") as f:
            while True:
                length = 0
                for line in iter(f.readline, b"\r\n"):
                    if not line:
                        return
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                f.read(length)
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def collector():
    """On the generator's core, and ahead of it where that is allowed: behind it, lines would be
    dropped."""
    ahead = ["chrt", "-f", "20"]
    return generator()[:3] + (ahead if len(generator()) > 3 else [])


def start(folder, repo, log, name, *more):
    port = free_port()
    return Server(name, [LAMINA, "serve", repo, "--listen", str(port), *more], port,
                  "/v2/health/ready", log=log)


def cpu_ns(pid):
    """Of all threads that there are, as the scheduler counts: cpu_seconds() has ticks."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass
    return total


def sampled(server, logd, script, seconds):
    pids = (server.p.pid, logd.pid)
    before = [cpu_ns(pid) for pid in pids]
    got = wrk(server, "tiny", script, 64, seconds)
    time.sleep(NAPS)  # the last lines
    n = max(1, got["rate"] * seconds)
    got["cpu"], got["logd"] = ((cpu_ns(pid) - b) / n / 1e3 for pid, b in zip(pids, before))
    return got


def dropped(server):
    """Lines, so far."""
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    c.request("GET", "/metrics")
    lines = c.getresponse().read().decode().splitlines()
    c.close()
    return sum(int(line.split()[1]) for line in lines if line.startswith("lamina_log_dropped"))


def main():
    p = argparse.ArgumentParser(description="what it costs to be watched")
    p.add_argument("--seconds", type=int, default=1)
    p.add_argument("--rounds", type=int, default=5)
    opts = p.parse_args()
    if not shutil.which("wrk"):
        benchlib.not_run(NAME, "wrk is not installed (Debian package wrk)")
    rows, bars = [], {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        repo, script = make_models(folder), wrk_script(folder, infer_body(16))
        ring = os.path.join(folder, "ring")
        os.makedirs(ring)
        sink = f"http://127.0.0.1:{Sink().port}"
        with open(os.path.join(folder, "log"), "w") as log:
            logd = subprocess.Popen(collector() + [LAMINA, "logd", ring, "--out",
                                     os.path.join(folder, "lines"), "--rotate-size", "16M",
                                     "--keep", "1"], stdout=log, stderr=log)
            servers = [start(folder, repo, log, "not watched")]
            servers += [start(folder, repo, log, f"log, one in {n}", "--log", ring, "--log-sample",
                              str(n)) for n in (1, 10, 100)]
            servers += [start(folder, repo, log, "log, lines", "--log", "json")]
            servers += [start(folder, repo, log, f"traces, one in {n}", "--otlp", sink,
                              "--trace-rate", str(n)) for n in (1, 10, 1000)]
            got = turns(servers, opts.rounds,
                        lambda s: sampled(s, logd, script, opts.seconds))
            lost = {s.name: dropped(s) for s in servers}
            for s in servers:
                s.close()
            logd.terminate()
            logd.wait()
    quiet = got["not watched"]
    for name, v in got.items():
        more = {key: benchlib.median([x[key] / y[key] for x, y in zip(v, quiet)])
                for key in ("cpu", "rate")}
        rows.append({"server": name, "cpu": middle(v, "cpu"), "rate": middle(v, "rate"),
                     "logd": middle(v, "logd"), "dropped": lost[name], "cpu_ratio": more["cpu"],
                     "rate_ratio": more["rate"]})
    benchlib.table(["server", "req/s", "", "CPU us", "", "collector us", "dropped"],
                   [[r["server"], round(r["rate"]), f"{100 * (r['rate_ratio'] - 1):+.1f} %",
                     round(r["cpu"], 2), f"{100 * (r['cpu_ratio'] - 1):+.1f} %",
                     round(r["logd"], 2), r["dropped"]] for r in rows])
    for r in rows:
        if r["server"] in ("log, one in 100", "traces, one in 1000"):
            bars[r["server"]] = benchlib.bar(r["cpu_ratio"], "x", 1.02, "not watched", False)
    return 0 if benchlib.write(NAME, bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
