#!/usr/bin/env python3
"""
What it costs `lamina serve` to be watched: serve_watch.py [--seconds N] [--rounds N]. The tiny
model at 64 connections, without a log, with a line of it for one request in 1, 10 and 100 (a
collector takes them away on the other core), with every line made by the server itself, and with
traces for one request in 1000, 10 and 1. CPU a request is the server's, medians of rounds by turns.
"""
import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import benchlib

NAME = "serve-watch"
benchlib.need_modules(NAME, "numpy", "onnx")

from serve_load import infer_body, middle, turns, wrk, wrk_script  # noqa: E402
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


def start(folder, repo, log, name, *more):
    port = free_port()
    return Server(name, [LAMINA, "serve", repo, "--listen", str(port), *more], port,
                  "/v2/health/ready", log=log)


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
            logd = subprocess.Popen(["taskset", "-c", "1", LAMINA, "logd", ring, "--out",
                                     os.path.join(folder, "lines"), "--rotate-size", "16M",
                                     "--keep", "1"], stdout=log, stderr=log)
            servers = [start(folder, repo, log, "not watched")]
            servers += [start(folder, repo, log, f"log, one in {n}", "--log", ring, "--log-sample",
                              str(n)) for n in (1, 10, 100)]
            servers += [start(folder, repo, log, "log, lines", "--log", "json")]
            servers += [start(folder, repo, log, f"traces, one in {n}", "--otlp", sink,
                              "--trace-rate", str(n)) for n in (1, 10, 1000)]
            got = turns(servers, opts.rounds,
                        lambda s: wrk(s, "tiny", script, 64, opts.seconds))
            for s in servers:
                s.close()
            logd.terminate()
            logd.wait()
    cpu = {name: middle(v, "cpu") for name, v in got.items()}
    for name, v in got.items():
        rows.append({"server": name, "cpu": cpu[name], "rate": middle(v, "rate")})
    benchlib.table(["server", "req/s", "CPU us", "more"],
                   [[r["server"], round(r["rate"]), r["cpu"],
                     f"{100 * (r['cpu'] / cpu['not watched'] - 1):.1f} %"] for r in rows])
    for name in ("log, one in 100", "traces, one in 1000"):
        bars[name] = benchlib.bar(cpu[name] / cpu["not watched"], "x", 1.02, "not watched", False)
    return 0 if benchlib.write(NAME, bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
