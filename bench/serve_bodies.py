"""
The set of bench/serve.py for large bodies: large.
"""
import http.client
import json
import os
import subprocess
import sys

import numpy as np

import benchlib
from serve_load import turns
from serve_peers import cpu_seconds, lamina_server, triton_server


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
