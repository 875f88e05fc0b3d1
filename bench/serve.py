#!/usr/bin/env python3
"""
`lamina serve` beside other model servers: serve.py [SET...] [--seconds N] [--rounds N]. Each server
has core 0 to itself, the load generator core 1; they take turns, round by round, and every figure
is the median of its rounds. CPU is that of the server's whole process tree (user and system) by the
requests it answered, which a busy machine disturbs least.

sets: grpc (tiny model, unary gRPC by h2load), json (tiny model, wrk at 1, 64, 256, 1000
connections), idle (64 beside 1000 idle ones), heavy (2 ms model with and without batching), process
(the same beside itself in process), large (100,000 floats as JSON, 1 MB binary), overload (three
times what it can, by `lamina bench serve`), bound (what a bound of the queue costs), abandon (the
next call after 200 clients left), hold (10,000 connections), stream (events to 1,000 clients),
start (to the first answer; memory)

Peers: Triton 2.51 (nvidia-pytriton 0.7.0, with bench/serve/triton_ort.c on onnxruntime), granian
2.8 (with an application on onnxruntime and orjson), nginx answering a fixed file (the floor without
a model). What is missing is said and left out.
"""
import argparse
import functools
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import benchlib
import grpc_load

NAME = "serve"
benchlib.need_modules(NAME, "numpy", "onnx")

import numpy as np  # noqa: E402
from onnx import TensorProto, helper, numpy_helper, save  # noqa: E402

CONNECTIONS = (1, 64, 256, 1000)
TICK = os.sysconf("SC_CLK_TCK")
LAMINA = os.path.join(benchlib.BUILD, "bin", "lamina")


# ---- models ------------------------------------------------------------------------------------

def mlp(path, sizes):
    """A multilayer perceptron of seeded weights, x: [N, sizes[0]] to y."""
    rng, nodes, weights, at = np.random.default_rng(3), [], [], "x"
    for i, (k, n) in enumerate(zip(sizes, sizes[1:])):
        w = (rng.standard_normal((k, n)) / np.sqrt(k)).astype(np.float32)
        weights += [numpy_helper.from_array(w, f"w{i}"),
                    numpy_helper.from_array(np.zeros(n, np.float32), f"b{i}")]
        last = i == len(sizes) - 2
        nodes.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], ["y" if last else f"g{i}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"g{i}"], [f"h{i}"]))
        at = f"h{i}"
    write_model(path, nodes, weights, sizes[0], sizes[-1])


def write_model(path, nodes, weights, n_in, n_out):
    graph = helper.make_graph(
        nodes, "bench", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", n_in])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", n_out])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    save(model, path)


def make_models(folder):
    """repository/NAME/1/model.onnx of every model, made once."""
    repo = os.path.join(folder, "repository")
    if not os.path.exists(repo):
        mlp(os.path.join(repo, "tiny/1/model.onnx"), (16, 64, 64, 10))
        mlp(os.path.join(repo, "heavy/1/model.onnx"), (16, 2560, 2560, 2560, 10))
        write_model(os.path.join(repo, "idt/1/model.onnx"),
                    [helper.make_node("Identity", ["x"], ["y"])], [], "K", "K")
    return repo


# ---- servers -----------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """A process and all below it."""
    found, at = [pid], 0
    while at < len(found):
        try:
            with open(f"/proc/{found[at]}/task/{found[at]}/children") as f:
                found += [int(p) for p in f.read().split()]
        except OSError:
            pass
        at += 1
    return found


def cpu_seconds(pid):
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/stat") as f:
                parts = f.read().rpartition(")")[2].split()
            total += int(parts[11]) + int(parts[12])
        except OSError:
            pass
    return total / TICK


def rss_mb(pid):
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            pass
    return total / 1024


class Server:
    """One server process on core 0, stopped while others are measured."""

    def __init__(self, name, args, port, path, env=None, log=subprocess.DEVNULL):
        self.name, self.port, self.path, self.grpc = name, port, path, port
        t0 = time.monotonic()
        self.p = subprocess.Popen(["taskset", "-c", "0"] + args, stdout=log, stderr=log,
                                  env=dict(os.environ, **(env or {})))
        self.ready_s = None
        for _ in range(2000):
            if self.p.poll() is not None:
                raise RuntimeError(f"{name}: ended at once: {' '.join(args)}")
            if self.ask_ready():
                self.ready_s = time.monotonic() - t0
                return
            time.sleep(0.01)
        raise RuntimeError(f"{name}: not ready after 20 s")

    def ask_ready(self):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
            c.request("GET", self.path)
            return c.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False

    def rest(self):
        for p in tree(self.p.pid):
            os.kill(p, signal.SIGSTOP)

    def wake(self):
        for p in reversed(tree(self.p.pid)):
            os.kill(p, signal.SIGCONT)

    def close(self):
        for p in tree(self.p.pid):
            try:
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass
        self.p.wait()


def lamina_server(folder, repo, log, batching):
    port = free_port()
    args = [LAMINA, "serve", repo, "--listen", str(port)]
    if not batching:
        args += ["--max-batch", "0"]
    return Server("lamina" if batching else "lamina, no batching", args, port, "/v2/health/ready",
                  log=log)


def triton_server(folder, repo, log, batching):
    """Triton with our models, configured as the issue's peers were."""
    root = os.path.join(benchlib.CACHE, "pytriton", "pytriton", "tritonserver")
    backend = os.path.join(benchlib.BUILD, "lib", "libtriton_ort.so")
    capi = [p for p in sys.path if os.path.isdir(os.path.join(p, "onnxruntime", "capi"))]
    if not os.path.exists(os.path.join(root, "bin", "tritonserver")) or not capi:
        return None
    capi = os.path.join(capi[0], "onnxruntime", "capi")
    library = [f for f in os.listdir(capi) if f.startswith("libonnxruntime.so.")][0]
    name = "triton-batching" if batching else "triton"
    models, backends = os.path.join(folder, name), os.path.join(folder, "backends")
    os.makedirs(os.path.join(backends, "ort"), exist_ok=True)
    here = os.path.join(backends, "ort", "libtriton_ort.so")
    if not os.path.exists(here):  # another server may have it mapped
        shutil.copy(backend, here)
    for m in os.listdir(repo):
        os.makedirs(os.path.join(models, m), exist_ok=True)
        if not os.path.exists(os.path.join(models, m, "1")):
            os.symlink(os.path.join(repo, m, "1"), os.path.join(models, m, "1"))
        wide = {"tiny": (16, 10), "heavy": (16, 10)}.get(m, (-1, -1))
        with open(os.path.join(models, m, "config.pbtxt"), "w") as f:
            f.write(f'name: "{m}"\nbackend: "ort"\nmax_batch_size: 64\n'
                    f'input [{{name: "x" data_type: TYPE_FP32 dims: [{wide[0]}]}}]\n'
                    f'output [{{name: "y" data_type: TYPE_FP32 dims: [{wide[1]}]}}]\n'
                    'instance_group [{count: 1 kind: KIND_CPU}]\n'
                    + ("dynamic_batching {}\n" if batching else ""))
    port, grpc, metrics = free_port(), free_port(), free_port()
    args = [os.path.join(root, "bin", "tritonserver"), f"--model-repository={models}",
            f"--backend-directory={backends}", f"--http-port={port}", f"--grpc-port={grpc}",
            f"--metrics-port={metrics}"]
    s = Server("Triton, dynamic batching" if batching else "Triton", args, port,
               "/v2/health/ready", {"START_PEER_LIB": os.path.join(capi, library)}, log)
    s.grpc = grpc
    return s


def nginx_server(folder, repo, log, batching):
    """A fixed answer: what the sockets alone cost."""
    if not shutil.which("nginx"):
        return None
    port, conf = free_port(), os.path.join(folder, "nginx.conf")
    with open(conf, "w") as f:
        f.write("daemon off; worker_processes 1; error_log /dev/null; pid nginx.pid;\n"
                "events { worker_connections 4096; }\nhttp { access_log off; keepalive_requests "
                f"1000000000;\n server {{ listen 127.0.0.1:{port} backlog=4096;\n location / {{ "
                "return 200 '{\"model_name\":\"tiny\",\"outputs\":[{\"name\":\"y\",\"shape\":"
                "[1,10],\"datatype\":\"FP32\",\"data\":[0,0,0,0,0,0,0,0,0,0]}]}'; } } }\n")
    return Server("nginx, fixed answer", ["nginx", "-p", folder, "-c", conf], port, "/", log=log)


GRANIAN_APP = """
import os
import numpy as np
import onnxruntime
import orjson

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["START_PEER_MODEL"], options,
                                       providers=["CPUExecutionProvider"])
HEADERS = [(b"content-type", b"application/json")]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", scope["method"] == "POST"
    while more:
        part = await receive()
        body += part.get("body", b"")
        more = part.get("more_body", False)
    out = b"{}"
    if body:
        x = orjson.loads(body)["inputs"][0]
        y = session.run(None, {"x": np.array(x["data"], np.float32).reshape(x["shape"])})[0]
        out = orjson.dumps({"model_name": "tiny", "outputs": [
            {"name": "y", "datatype": "FP32", "shape": y.shape, "data": y.ravel()}]},
            option=orjson.OPT_SERIALIZE_NUMPY)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": out})
"""


def granian_server(folder, repo, log, batching):
    """The quickest of Python's servers, with an application written by hand on onnxruntime."""
    program = os.path.join(os.path.dirname(sys.executable), "granian")
    if not os.path.exists(program):
        return None
    with open(os.path.join(folder, "granian_app.py"), "w") as f:
        f.write(GRANIAN_APP)
    port = free_port()
    args = [program, "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port), "--workers",
            "1", "--backlog", "4096", "--no-access-log", "granian_app:app"]
    model = os.path.join(repo, "tiny/1/model.onnx")
    return Server("granian", args, port, "/", {"START_PEER_MODEL": model, "PYTHONPATH": folder},
                  log)


# ---- load --------------------------------------------------------------------------------------

def infer_body(width, rows=1):
    data = np.random.default_rng(5).standard_normal((rows, width)).round(4).ravel().tolist()
    return json.dumps({"inputs": [{"name": "x", "shape": [rows, width], "datatype": "FP32",
                                   "data": data}]})


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


def middle(samples, key):
    return benchlib.median([s[key] for s in samples])


# ---- sets --------------------------------------------------------------------------------------

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


def by_connections(runs, servers, model, script, connections):
    """A table of one model; returns {(server, connections): medians}."""
    medians, lines = {}, []
    for n in connections:
        got = turns(servers, runs.opts.rounds,
                    lambda s, n=n: wrk(s, model, script, n, runs.opts.seconds))
        for s in servers:
            m = {k: middle(got[s.name], k) for k in ("rate", "p50", "p99", "cpu", "bad")}
            medians[s.name, n] = m
            lines.append([s.name, n, round(m["rate"]), m["p50"], m["p99"], m["cpu"],
                          round(m["bad"])])
            runs.row(model=model, server=s.name, connections=n, **m)
    benchlib.table(["server", "connections", "req/s", "p50 us", "p99 us", "CPU us", "failed"],
                   sorted(lines, key=lambda r: (r[1], r[0])))
    return medians


def set_json(runs):
    """B1: the tiny model."""
    servers = runs.start((lamina_server, True), (triton_server, True), (granian_server, True),
                         (nginx_server, True))
    script = wrk_script(runs.folder, infer_body(16))
    print("tiny model, JSON of 16 floats")
    m = by_connections(runs, servers, "tiny", script, CONNECTIONS)
    for s in servers:
        s.close()
    ours, peer, floor = "lamina", "Triton, dynamic batching", "nginx, fixed answer"
    if (ours, 64) in m and (peer, 64) in m:
        runs.bar("B1 rate at 64", m[ours, 64]["rate"] / m[peer, 64]["rate"], "x", 3, peer)
        runs.bar("B1 CPU at 64", m[ours, 64]["cpu"] / m[peer, 64]["cpu"], "x", 1 / 3, peer, False)
    for n in (256, 1000):
        if (ours, n) in m and ("granian", n) in m:
            runs.bar(f"B1 rate at {n}", m[ours, n]["rate"] / m["granian", n]["rate"], "x", 2.8,
                     "granian")
    if (ours, 1) in m and (floor, 1) in m:
        runs.bar("B1 p50 at 1", m[ours, 1]["p50"] / m[floor, 1]["p50"], "x", 1.4, floor, False)


def set_grpc(runs):
    """B2: the tiny model by gRPC."""
    if not shutil.which("h2load"):
        print("not run: h2load is not here (Debian package nghttp2-client)")
        return
    servers = runs.start((lamina_server, True), (triton_server, True))
    body = grpc_load.write_request(runs.folder, "tiny", [0.25] * 16)
    print("tiny model, unary gRPC of 16 floats")

    def load(server, connections, streams):
        cpu = cpu_seconds(server.p.pid)
        n, took, mean, failed = grpc_load.h2load(server.grpc, body, connections, streams,
                                                 runs.opts.seconds)
        cpu = cpu_seconds(server.p.pid) - cpu
        return {"rate": n / took, "mean": mean, "cpu": cpu / max(1, n) * 1e6, "bad": failed}

    lines, medians = [], {}
    for shape in ((1, 1), (64, 1), (8, 32)):
        got = turns(servers, runs.opts.rounds, lambda s, shape=shape: load(s, *shape))
        for s in servers:
            m = {k: middle(got[s.name], k) for k in ("rate", "mean", "cpu", "bad")}
            medians[s.name, shape] = m
            lines.append([s.name, *shape, round(m["rate"]), m["mean"], m["cpu"], round(m["bad"])])
            runs.row(set="grpc", server=s.name, connections=shape[0], streams=shape[1], **m)
    benchlib.table(["server", "connections", "streams", "req/s", "mean us", "CPU us", "failed"],
                   lines)
    for s in servers:
        s.close()
    if len(servers) == 2:
        a, b = (medians[s.name, (64, 1)] for s in servers)
        runs.bar("B2 rate at 64", a["rate"] / b["rate"], "x", 3, servers[1].name)
        runs.bar("B2 CPU at 64", a["cpu"] / b["cpu"], "x", 1 / 3, servers[1].name, False)


def set_heavy(runs):
    """B3: a model of 2 ms, request by request and batched."""
    servers = runs.start((lamina_server, True), (lamina_server, False), (triton_server, True),
                         (triton_server, False))
    script = wrk_script(runs.folder, infer_body(16))
    print("heavy model, JSON of 16 floats")
    by_connections(runs, servers, "heavy", script, (1, 16, 64))
    for s in servers:
        s.close()


def in_process(model, rows):
    """Rows a second of a run in one thread, by `lamina bench` on the server's core."""
    done = subprocess.run(["taskset", "-c", "0", LAMINA, "bench", model, "--threads", "1", "--dim",
                           f"N={rows}", "--seconds", "1", "--json"], capture_output=True,
                          text=True, check=True)
    return rows / json.loads(done.stdout)["p50_ms"] * 1e3


def set_process(runs):
    """B3: the heavy model beside itself in process; what batching adds for one connection."""
    batched, single = runs.start((lamina_server, True), (lamina_server, False))
    script = wrk_script(runs.folder, infer_body(16))
    model = os.path.join(runs.repo, "heavy/1/model.onnx")
    got = {k: [] for k in ("in process, 1 row", "served singly", "in process, 64 rows",
                           "served in batches", "p50 us, singly", "p50 us, in batches")}

    def turn(server, model, connections, key):
        server.wake()
        r = wrk(server, model, script, connections, runs.opts.seconds)
        server.rest()
        return r[key]

    for s in (batched, single):
        s.rest()
    for _ in range(runs.opts.rounds):
        for key, value in zip(got, (
                in_process(model, 1), turn(single, "heavy", 16, "rate"), in_process(model, 64),
                turn(batched, "heavy", 64, "rate"), turn(single, "tiny", 1, "p50"),
                turn(batched, "tiny", 1, "p50"))):
            got[key].append(value)
    for s in (batched, single):
        s.wake()
        s.close()
    one, alone, many, together, p50, p50_batched = got.values()

    def share(a, b):
        return benchlib.median([x / y for x, y in zip(a, b)])

    benchlib.table(["", "rows/s or us"], [[k, benchlib.median(v)] for k, v in got.items()])
    runs.row(set="process", **got)
    runs.bar("B3 singly at 16", share(alone, one), "of in process", 0.97, "lamina bench, 1 row")
    runs.bar("B3 in batches at 64", share(together, many), "of in process", 0.9,
             "lamina bench, 64 rows")
    runs.bar("B3 batching adds", benchlib.median([b - a for a, b in zip(p50, p50_batched)]), "us",
             5, "without batching", False)


def set_idle(runs):
    """B1: 1000 idle connections beside 64 that work."""
    servers = runs.start((lamina_server, True), (triton_server, True))
    script, lines = wrk_script(runs.folder, infer_body(16)), []
    print("tiny model at 64 connections, alone and beside 1000 idle ones")
    for s in servers:
        s.rest()
    for s in servers:
        s.wake()
        alone, beside = [], []
        for i in range(4 * runs.opts.rounds):  # a few percent are looked for: many short turns
            idle = []
            for there in (False, True) if i % 2 else (True, False):
                if there:
                    idle = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(1000)]
                (beside if there else alone).append(wrk(s, "tiny", script, 64, 1)["rate"])
                while idle and there:
                    idle.pop().close()
        s.rest()
        change = benchlib.median([b / a for a, b in zip(alone, beside)]) - 1
        lines.append([s.name, benchlib.median(alone), benchlib.median(beside), change * 100])
        runs.row(set="idle", server=s.name, alone=alone, beside=beside)
        if s.name == "lamina":
            runs.bar("B1 idle", -change * 100, "% slower", 3, "itself without them", False)
    benchlib.table(["server", "req/s alone", "req/s beside", "change %"], lines)
    for s in servers:
        s.wake()
        s.close()


def ask(server, model, body, headers, times):
    """CPU ms of the server for a request, one after the other on one connection."""
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for i in range(times + 3):
        if i == 3:
            cpu = cpu_seconds(server.p.pid)
        c.request("POST", f"/v2/models/{model}/infer", body, headers)
        r = c.getresponse()
        r.read()
        if r.status != 200:
            raise RuntimeError(f"{server.name}: {r.status} for {model}")
    return (cpu_seconds(server.p.pid) - cpu) / times * 1e3


ORJSON = """
import orjson, sys, time
text = open(sys.argv[1], "rb").read()
took = []
for _ in range(15):
    t0 = time.process_time()
    data = orjson.loads(text)["inputs"][0]["data"]
    orjson.dumps({"model_name": "idt", "outputs": [{"name": "y", "datatype": "FP32",
                  "shape": [1, len(data)], "data": data}]})
    took.append(time.process_time() - t0)
print(sorted(took)[7] * 1e3)
"""


def orjson_ms(runs, body):
    """CPU ms of orjson alone for such a request and its answer, without sockets and tensors."""
    path = os.path.join(runs.folder, "large.json")
    with open(path, "wb") as f:
        f.write(body)
    done = subprocess.run(["taskset", "-c", "0", sys.executable, "-c", ORJSON, path],
                          capture_output=True, text=True)
    return float(done.stdout) if done.returncode == 0 else None


def set_large(runs):
    """B4: JSON of 100,000 floats in and out; 1 MB of bytes in and out."""
    servers = runs.start((lamina_server, True), (triton_server, True))
    values = np.random.default_rng(5).standard_normal(100000).astype(np.float32)
    text = json.dumps({"inputs": [{"name": "x", "shape": [1, 100000], "datatype": "FP32",
                                   "data": [float(f"{v:.7g}") for v in values]}]})
    raw = np.random.default_rng(5).standard_normal(262144).astype(np.float32).tobytes()
    head = json.dumps({"inputs": [{"name": "x", "shape": [1, 262144], "datatype": "FP32",
                                   "parameters": {"binary_data_size": len(raw)}}],
                       "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}).encode()
    kinds = {"JSON, 100,000 floats": (text.encode(), {"Content-Type": "application/json"}, 20),
             "binary, 1 MB": (head + raw, {"Content-Type": "application/octet-stream",
                                           "Inference-Header-Content-Length": str(len(head))}, 200)}
    lines = []
    for kind, (body, headers, times) in kinds.items():
        codec = []

        def sample(s):
            if s.name == "lamina" and kind.startswith("JSON"):
                codec.append(orjson_ms(runs, body))
            return ask(s, "idt", body, headers, times)

        got = turns(servers, runs.opts.rounds, sample)
        if codec and None in codec:
            print("not run: orjson: it is not here")
        elif codec:
            ms, ours = benchlib.median(codec), benchlib.median(got["lamina"])
            lines.append([kind, "orjson, without a server", ms])
            runs.row(set="large", kind=kind, server="orjson", cpu_ms=codec)
            runs.bar("B4 JSON of 100,000 floats", ours / ms, "x CPU", 0.55, "orjson", False)
        for s in servers:
            lines.append([kind, s.name, benchlib.median(got[s.name])])
            runs.row(set="large", kind=kind, server=s.name, cpu_ms=got[s.name])
        if len(servers) == 2 and kind.startswith("binary"):
            a, b = (benchlib.median(got[s.name]) for s in servers)
            runs.bar("B4 binary 1 MB", a / b, "x CPU", 0.4, servers[1].name, False)
    benchlib.table(["body", "server", "CPU ms"], lines)
    for s in servers:
        s.close()


def set_overload(runs):
    """B5: three times what the server can, open loop; capacity is measured before and after."""
    server = runs.start((lamina_server, True))[0]
    url, front = f"http://127.0.0.1:{server.port}", generator()

    def load(*args, meanwhile=None):
        p = subprocess.Popen(front + [LAMINA, "bench", "serve", url, "--model", "heavy", "--json",
                                      *args], stdout=subprocess.PIPE, text=True)
        at = meanwhile() if meanwhile else None
        return json.loads(p.communicate()[0]), at

    def early():
        time.sleep(2 + runs.opts.overload / 5)
        return rss_mb(server.p.pid)

    def closed():
        r, _ = load("--connections", "64", "--duration", "3s")
        return r["ok"] / r["seconds"], r["service_ms"]["p99"]

    print("heavy model, open loop at three times what it can")
    before, ready_ms = closed()
    r, mb_early = load("--rate", str(round(3 * before)), "--duration", f"{runs.opts.overload}s",
                        "--connections", "2000", meanwhile=early)
    mb_after = rss_mb(server.p.pid)
    capacity = (before + closed()[0]) / 2
    goodput = r["ok"] / r["seconds"]
    bound_ms = 2 * ready_ms + 256 / goodput * 1e3  # the queue holds 256 rows
    benchlib.table(["capacity/s", "ok/s", "refused", "lost", "ok p50 ms", "ok p99 ms",
                    "2x p99 + queue", "refusal p50 ms", "refusal p99 ms", "late by ms",
                    "MB early", "MB after"],
                   [[str(round(capacity)), goodput, r["refused"],
                     r["timeout"] + r["broken"] + r["unsent"] + r["other"],
                     r["service_ms"]["p50"], r["service_ms"]["p99"], bound_ms,
                     r["refusal_ms"]["p50"], r["refusal_ms"]["p99"], r["behind_ms"],
                     mb_early, mb_after]])
    runs.row(set="overload", capacity=capacity, load=r, mb_early=mb_early, mb_after=mb_after)
    runs.bar("B5 goodput", goodput / capacity, "of capacity", 0.95, "closed loop")
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


def request_of(body, model):
    return (f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: b\r\nContent-Length: {len(body)}"
            f"\r\n\r\n{body}").encode()


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


SETS = {"grpc": set_grpc, "json": set_json, "idle": set_idle, "heavy": set_heavy,
        "process": set_process, "large": set_large, "stream": set_stream,
        "overload": set_overload, "bound": set_bound,
        "abandon": set_abandon, "hold": set_hold, "start": set_start}


def main():
    p = argparse.ArgumentParser(description="lamina serve beside other model servers")
    p.add_argument("sets", nargs="*", metavar="SET", help="; ".join(SETS))
    p.add_argument("--seconds", type=int, default=2, help="of each measurement")
    p.add_argument("--rounds", type=int, default=3, help="turns of each server")
    p.add_argument("--overload", type=int, default=60, help="seconds of overload")
    opts = p.parse_args()
    if not shutil.which("wrk"):
        benchlib.not_run(NAME, "wrk is not installed (Debian package wrk)")
    for s in opts.sets:
        if s not in SETS:
            p.error(f"{s}: no such set; there are {', '.join(SETS)}")
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(folder, make_models(folder), opts)
        for s in opts.sets or SETS:
            SETS[s](runs)
        runs.log.close()
    return 0 if benchlib.write(NAME, runs.bars, runs.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
