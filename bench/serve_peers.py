"""
The models that bench/serve.py asks for, and the servers of them: ours, and others where they are
here. Each server has core 0 to itself while it is awake.
"""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

import benchlib

TICK = os.sysconf("SC_CLK_TCK")
LAMINA = os.path.join(benchlib.BUILD, "bin", "lamina")
HEAVY_MS = 2.0


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


def mean_ms(model, rows):
    """Of a run of one thread that goes on without a pause, by `lamina bench` on the servers' core:
    of all runs, the slow ones too."""
    done = subprocess.run(["taskset", "-c", "0", LAMINA, "bench", model, "--threads", "1", "--dim",
                           f"N={rows}", "--seconds", "1", "--json"], capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout)["mean_ms"]


def make_heavy(path):
    """The model of HEAVY_MS a row: most of a row is reading the weights, so its width follows from
    how fast this machine reads those of 2560."""
    width = 2560
    mlp(path, (16, width, width, width, 10))
    fits = min(max(round(width * (HEAVY_MS / mean_ms(path, 1)) ** 0.5 / 128) * 128, 1280), 5120)
    if fits != width:
        mlp(path, (16, fits, fits, fits, 10))
    print(f"heavy: a perceptron of three layers {fits} wide, {mean_ms(path, 1):.2f} ms a row")


def make_models(folder):
    """repository/NAME/1/model.onnx of every model, made once."""
    repo = os.path.join(folder, "repository")
    if not os.path.exists(repo):
        mlp(os.path.join(repo, "tiny/1/model.onnx"), (16, 64, 64, 10))
        make_heavy(os.path.join(repo, "heavy/1/model.onnx"))
        write_model(os.path.join(repo, "idt/1/model.onnx"),
                    [helper.make_node("Identity", ["x"], ["y"])], [], "K", "K")
    return repo


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


def rss_mb(pid, what="Pss"):
    """Of all processes of a server; what two share is halved, or with "Rss" counted twice: so that
    it does not change with who else runs the same program."""
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith(f"{what}:"))
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
