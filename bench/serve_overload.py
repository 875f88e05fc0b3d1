"""
Sets of bench/serve.py about more than a server can do: overload, bound, abandon.
"""
import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time
import urllib.request

import benchlib
from serve_load import generator, infer_body, request_of, wrk, wrk_script
from serve_peers import LAMINA, lamina_server, rss_mb


def gauge(url, name, model):
    """A number of a model that the server's metrics tell."""
    with urllib.request.urlopen(f"{url}/metrics") as f:
        return int(re.search(rf'^{name}{{model="{model}",.*}} (\d+)$', f.read().decode(), re.M)[1])


def set_overload(runs):
    """
    B5: three times what the server can, open loop, held to what the peers were held to: capacity is
    what 64 connections get, closed loop, before and after. Where batches have more than 32 rows
    that is not all that the server can, so the share of what it does with two whole batches
    outstanding (of the size that a batch has grown to) stands beside it.
    """
    server = runs.start((lamina_server, True))[0]
    url, front = f"http://127.0.0.1:{server.port}", generator()

    def held():  # the generator is this program too, and gone at the end
        return rss_mb(server.p.pid, "Rss")

    def load(*args, meanwhile=None):
        p = subprocess.Popen(front + [LAMINA, "bench", "serve", url, "--model", "heavy", "--json",
                                      *args], stdout=subprocess.PIPE, text=True)
        at = meanwhile() if meanwhile else None
        return json.loads(p.communicate()[0]), at

    def early():
        time.sleep(2 + runs.opts.overload / 5)
        return held()

    def closed(connections):
        r, _ = load("--connections", str(connections), "--duration", "3s")
        return r["ok"] / r["seconds"], r["service_ms"]["p99"]

    print("heavy model, open loop at three times what it can")
    first = gauge(url, "lamina_batch_limit_rows", "heavy")
    before, ready_ms = closed(64)
    r, mb_early = load("--rate", str(round(3 * before)), "--duration", f"{runs.opts.overload}s",
                       "--connections", "2000", meanwhile=early)
    mb_after = held()
    batch = gauge(url, "lamina_batch_limit_rows", "heavy")
    queue = gauge(url, "lamina_queue_limit_rows", "heavy")
    print(f"batches of {first} rows at first, of {batch} at the end; a queue of {queue}")
    whole, _ = closed(2 * batch)
    capacity = (before + closed(64)[0]) / 2
    goodput = r["ok"] / r["seconds"]
    bound_ms = 2 * ready_ms + queue / goodput * 1e3
    benchlib.table(["at 64/s", "two batches/s", "ok/s", "of at 64", "of two batches", "refused",
                    "lost", "ok p50 ms", "ok p99 ms", "2x p99 + queue", "refusal p50 ms",
                    "refusal p99 ms", "late by ms", "MB early", "MB after"],
                   [[str(round(capacity)), str(round(whole)), goodput, goodput / capacity,
                     goodput / whole, r["refused"],
                     r["timeout"] + r["broken"] + r["unsent"] + r["other"],
                     r["service_ms"]["p50"], r["service_ms"]["p99"], bound_ms,
                     r["refusal_ms"]["p50"], r["refusal_ms"]["p99"], r["behind_ms"],
                     mb_early, mb_after]])
    runs.row(set="overload", batch=batch, queue=queue, at_64=capacity, two_batches=whole,
             of_two_batches=goodput / whole, load=r, mb_early=mb_early, mb_after=mb_after)
    runs.bar("B5 goodput", goodput / capacity, "of capacity", 0.95,
             f"closed loop, 64 connections; of two batches' rate: {goodput / whole:.3f}")
    runs.bar("B5 answers p99", r["service_ms"]["p99"] / bound_ms, "x", 1,
             "2x p99 at 64 connections + a full queue", False)
    runs.bar("B5 refusals p99", r["refusal_ms"]["p99"], "ms", 2, "open loop", False)
    runs.bar("B5 memory", mb_after - mb_early, "MB grown", 1, "after a fifth of it", False)
    server.close()


def set_bound(runs):
    """B5: what a bound of the queue costs at 64 connections, where it refuses nobody."""
    repo = os.path.join(runs.folder, "bounded")
    for name, policy in (("free", ""), ("bounded", "default_queue_policy { max_queue_size: 128 }")):
        os.makedirs(os.path.join(repo, name, "1"))
        shutil.copy(os.path.join(runs.repo, "heavy/1/model.onnx"),
                    os.path.join(repo, name, "1/model.onnx"))
        with open(os.path.join(repo, name, "config.pbtxt"), "w") as f:
            f.write(f"max_batch_size: 64\ndynamic_batching {{ {policy} }}\n")
    server = lamina_server(runs.folder, repo, runs.log, True)
    script = wrk_script(runs.folder, infer_body(16))
    got = {"free": [], "bounded": []}
    for i in range(4 * runs.opts.rounds):
        for name in ("free", "bounded") if i % 2 else ("bounded", "free"):
            got[name].append(wrk(server, name, script, 64, runs.opts.seconds)["rate"])
    cost = 1 - benchlib.median([b / a for a, b in zip(got["free"], got["bounded"])])
    benchlib.table(["queue", "req/s at 64"], [[k, benchlib.median(v)] for k, v in got.items()])
    runs.row(set="bound", **got)
    runs.bar("B5 queue bound", 100 * cost, "% slower", 2, "itself without one", False)
    server.close()


def set_abandon(runs):
    """B5: how long the next call takes after 200 clients sent a request and reset."""
    server = runs.start((lamina_server, True))[0]
    body, took = infer_body(16), []
    for _ in range(3 * runs.opts.rounds):
        left = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
        for c in left:
            c.sendall(request_of(body, "heavy"))
        for c in left:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
        c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        t0 = time.monotonic()
        c.request("POST", "/v2/models/heavy/infer", body)
        c.getresponse().read()
        took.append((time.monotonic() - t0) * 1e3)
        time.sleep(0.3)
    print("next call after 200 abandoned requests, ms: " + ", ".join(f"{t:.1f}" for t in took))
    runs.row(set="abandon", ms=took)
    runs.bar("B5 after 200 abandoned", benchlib.median(took), "ms", 20, "the next call", False)
    server.close()
