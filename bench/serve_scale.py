"""
Sets of bench/serve.py about many clients and about what a server takes: hold, stream, start.
"""
import http.client
import os
import re
import resource
import socket
import subprocess
import time

import benchlib
from serve_load import infer_body, request_of
from serve_peers import lamina_server, rss_mb, triton_server


def set_hold(runs):
    """B6: 10,000 connections, each of which was served once: memory of each, and all alive."""
    n = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < n + 100:
        print(f"not run: hold: {n} connections need as many descriptors, and {hard} are allowed")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 100), hard))
    server = runs.start((lamina_server, True))[0]
    ask_one, held = request_of(infer_body(16), "tiny"), []
    before = rss_mb(server.p.pid)
    try:
        for i in range(n):
            c = socket.create_connection(("127.0.0.1", server.port))
            c.sendall(ask_one)
            held.append(c)
            if i % 50 == 49:
                for c in held[-50:]:
                    c.recv(4096)
        each = (rss_mb(server.p.pid) - before) * 1024 / n
        alive = 0
        for c in held[::100]:
            c.sendall(ask_one)
            alive += c.recv(4096).startswith(b"HTTP/1.1 200")
        print(f"{n} connections held: {each:.2f} KB of the server each; {alive} of 100 asked "
              "again were answered")
        runs.row(set="hold", kb_each=each, alive=alive)
        runs.bar("B6 memory of a connection", each if alive == 100 else 1e9, "KB", 4,
                 "10,000 held", False)
    finally:
        for c in held:
            c.close()
        server.close()


def set_stream(runs):
    """B7: events to 1,000 clients, 20 a second each, by bench_serve_stream."""
    program = os.path.join(benchlib.BUILD, "bin", "bench_serve_stream")
    if not os.path.exists(program):
        print("not run: stream: bench_serve_stream is not built")
        return
    said = subprocess.run([program, "1000", "20", "5"], capture_output=True, text=True,
                          check=True).stdout
    print(said.strip())
    failed = int(re.search(r"(\d+) failed", said)[1])
    p99 = float(re.search(r"p99 ([\d.]+)", said)[1])
    runs.row(set="stream", said=said)
    runs.bar("B7 event p99", p99 if failed == 0 else 1e9, "ms", 15, "1,000 clients x 20/s", False)


def set_start(runs):
    """B6: start to the first answer, and memory beside the weights."""
    lines, found = [], {}
    body = infer_body(16)
    for make in (lamina_server, triton_server):
        seconds = []
        for _ in range(runs.opts.rounds):
            servers = runs.start((make, True))
            if not servers:
                break
            s = servers[0]
            c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10)
            t0 = time.monotonic()
            c.request("POST", "/v2/models/heavy/infer", body)
            c.getresponse().read()
            seconds.append(s.ready_s + time.monotonic() - t0)
            mb = rss_mb(s.p.pid)
            s.close()
        if seconds:
            found[make] = benchlib.median(seconds)
            lines.append([s.name, found[make], mb])
            runs.row(set="start", server=s.name, seconds=seconds, mb=mb)
    benchlib.table(["server", "s to the first answer", "PSS MB, four models"], lines)
    if len(found) == 2:
        runs.bar("B6 start", found[lamina_server] / found[triton_server], "x", 0.6, "Triton",
                 False)
