#!/usr/bin/env python3
"""
Rolling restarts: two servers behind haproxy, clients that ask all the time, and one server after
the other ended by SIGTERM and started again. No request may fail.
Usage: check_rolling.py LAMINA [--restarts=N]; 77 when haproxy is not installed.
"""
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from serving import SLOW, Load, Server, finish, option, replace, scale_model, want

CONFIG = """
global
  stats socket {dir}/stats level admin
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  option redispatch
  default-server check inter 100ms fall 1 rise 1
  timeout check 5s
frontend in
  bind unix@{dir}/in
  default_backend models
backend models
  option httpchk GET /v2/health/ready
  server a 127.0.0.1:{a}
  server b 127.0.0.1:{b}
"""


class Connection(http.client.HTTPConnection):
    """Over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60 * SLOW)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def is_up(d, name):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10 * SLOW)
        s.connect(str(d / "stats"))
        s.sendall(b"show stat\n")
        text = b""
        while part := s.recv(65536):
            text += part
    rows = [line.split(",") for line in text.decode().splitlines()]
    status = rows[0].index("status")
    return any(r[:2] == ["models", name] and r[status] == "UP" for r in rows)


def wait_up(d, name):
    until = time.monotonic() + 30 * SLOW
    while time.monotonic() < until:
        if is_up(d, name):
            return True
        time.sleep(0.02)
    return want(False, f"server {name} does not come up")


def start(program, d, port=0):
    return Server(program, d / "repo", "--drain-delay", "300ms",
                  listen=f"127.0.0.1:{port}").__enter__()


def main():
    program = os.path.abspath(sys.argv[1])
    n = option("--restarts", 6)
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not haproxy:
        print("skip: haproxy is not installed")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        replace(d / "repo" / "m" / "1" / "model.onnx", scale_model(3))
        servers = {name: start(program, d) for name in "ab"}
        ports = {name: s.port for name, s in servers.items()}
        (d / "haproxy.cfg").write_text(CONFIG.format(dir=d, **ports))
        proxy = subprocess.Popen([haproxy, "-db", "-f", str(d / "haproxy.cfg")],
                                 stderr=subprocess.DEVNULL)
        load = Load(lambda: Connection(str(d / "in")), "m", [1, 2, 3, 4], ([3, 6, 9, 12],))
        slowest = 0
        try:
            while not (d / "stats").exists():
                time.sleep(0.01)
            want(wait_up(d, "a") and wait_up(d, "b"), "start")
            with load:
                for i in range(n):
                    name = "ab"[i % 2]
                    began = time.monotonic()
                    servers[name].p.send_signal(signal.SIGTERM)
                    servers[name].p.wait(timeout=60 * SLOW)
                    slowest = max(slowest, time.monotonic() - began)
                    servers[name].__exit__()
                    servers[name] = start(program, d, ports[name])
                    wait_up(d, name)
        finally:
            proxy.terminate()
            proxy.wait()
            for s in servers.values():
                s.__exit__()
        print(f"{n} restarts, {load.n_ok} answers, {len(load.bad)} failed, "
              f"slowest end {slowest:.2f} s")
        want(not load.bad and load.n_ok > 10 * n, f"{len(load.bad)} failed: {load.bad[:3]}")
    finish()


if __name__ == "__main__":
    main()
