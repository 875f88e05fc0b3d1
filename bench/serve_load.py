"""
What the sets of bench/serve.py share: requests, load by wrk from core 1, turns of the servers, and
the figures of a run.
"""
import contextlib
import functools
import glob
import json
import os
import subprocess

import numpy as np

import benchlib
from serve_peers import cpu_seconds, lamina_server


def infer_body(width, rows=1):
    data = np.random.default_rng(5).standard_normal((rows, width)).round(4).ravel().tolist()
    return json.dumps({"inputs": [{"name": "x", "shape": [rows, width], "datatype": "FP32",
                                   "data": data}]})


def request_of(body, model):
    return (f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: b\r\nContent-Length: {len(body)}"
            f"\r\n\r\n{body}").encode()


def wrk_script(folder, body):
    """The request for wrk, and its figures as one line of JSON."""
    path = os.path.join(folder, "request.lua")
    with open(path, "w") as f:
        f.write(f"wrk.method = 'POST'\nwrk.body = [==[{body}]==]\n"
                "wrk.headers['Content-Type'] = 'application/json'\n"
                "done = function(s, l, r)\n io.write(string.format('{\"n\":%d,\"us\":%d,\"p50\":%d,"
                "\"p99\":%d,\"bad\":%d}\\n', s.requests, s.duration, l:percentile(50), "
                "l:percentile(99), s.errors.connect + s.errors.read + s.errors.write + "
                "s.errors.status + s.errors.timeout))\nend\n")
    return path


@functools.cache
def generator():
    """How a load generator is started: ahead of all others on its core, where that is allowed,
    since the time that it waits to be run would be counted as the server's."""
    ahead = ["chrt", "-f", "10"]
    may = subprocess.run(ahead + ["true"], stderr=subprocess.DEVNULL).returncode == 0
    return ["taskset", "-c", "1"] + (ahead if may else [])


def wrk(server, model, script, connections, seconds):
    """req/s, p50 in us, CPU us a request, failed requests."""
    url = f"http://127.0.0.1:{server.port}/v2/models/{model}/infer"
    cpu = cpu_seconds(server.p.pid)
    got = subprocess.run(generator() + ["wrk", "-t1", f"-c{connections}",
                          f"-d{seconds}s", "--timeout", "10s", "-s", script, url],
                         capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    cpu, got = cpu_seconds(server.p.pid) - cpu, json.loads(got)
    n = max(1, got["n"])
    return {"rate": n / got["us"] * 1e6, "p50": got["p50"], "p99": got["p99"],
            "cpu": cpu / n * 1e6, "bad": got["bad"]}


def turns(servers, rounds, sample):
    """{server: [samples]}: each server awake only for its own."""
    got = {s.name: [] for s in servers}
    for s in servers:
        s.rest()
    for i in range(rounds):
        for s in servers[i % len(servers):] + servers[:i % len(servers)]:
            s.wake()
            got[s.name].append(sample(s))
            s.rest()
    for s in servers:
        s.wake()
    return got


@contextlib.contextmanager
def own_receives():
    """Meanwhile each side pays for what it receives, as between two machines: on loopback the
    kernel does the receiver's part of TCP on the core of who sends, unless it is told to look where
    the receiver reads (receive flow steering). Gives whether it could be told."""
    knobs = ["/proc/sys/net/core/rps_sock_flow_entries",
             *glob.glob("/sys/class/net/lo/queues/rx-*/rps_flow_cnt")]
    before = {}
    try:
        for path in knobs:
            with open(path, "r+") as f:
                before[path] = f.read().strip()
                f.seek(0)
                f.write("32768")
    except OSError:
        pass
    try:
        yield len(knobs) > 1 and len(before) == len(knobs)
    finally:
        for path, value in before.items():
            with contextlib.suppress(OSError), open(path, "w") as f:
                f.write(value)


def middle(samples, key):
    return benchlib.median([s[key] for s in samples])


class Runs:
    """What the sets share."""

    def __init__(self, folder, repo, opts):
        self.folder, self.repo, self.opts, self.rows, self.bars = folder, repo, opts, [], {}
        self.log = open(os.path.join(folder, "servers.log"), "w")

    def start(self, *makers):
        found = []
        for make, batching in makers:
            try:
                s = make(self.folder, self.repo, self.log, batching)
            except RuntimeError as e:
                s = None
                print(f"not run: {e}")
            if s:
                found.append(s)
            elif make is not lamina_server:
                print(f"not run: {make.__name__.replace('_server', '')}: it is not here")
        return found

    def row(self, **values):
        self.rows.append(values)

    def bar(self, key, value, unit, goal, peer, at_least=True):
        self.bars[key] = benchlib.bar(value, unit, goal, peer, at_least)
