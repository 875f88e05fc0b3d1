"""
What the checks of `lamina serve` share: small models, a server on a port of its choice, requests.
"""
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import onnxpb as o  # noqa: E402

SLOW = 10 if os.environ.get("LAMINA_SANITIZED") else 1
problems = []


def want(ok, text):
    if not ok:
        problems.append(text)
        print("FAIL", text, flush=True)
    return ok


def finish():
    print(f"{len(problems)} problems")
    sys.exit(1 if problems else 0)


def run(*checks):
    """Every check(program, folder) in one folder, which goes afterwards; then the end."""
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        for check in checks:
            check(program, pathlib.Path(folder))
    finish()


def option(name, otherwise):
    """The number of NAME=N among the arguments."""
    given = [a for a in sys.argv[2:] if a.startswith(name + "=")]
    return int(given[-1].split("=")[1]) if given else otherwise


def triton_http():
    """Triton's client for HTTP; None: it is not there."""
    try:
        import tritonclient.http
    except ImportError:
        print("tritonclient is not there: it did not look")
        return None
    return tritonclient.http


def ends_beside(server, path):
    """The server ends at once, though a request of the admin's would take a minute."""
    t = threading.Thread(target=lambda: server.ask("GET", path, admin=True))
    t.start()
    time.sleep(0.3)
    begin = time.monotonic()
    server.p.terminate()
    server.p.wait(30 * SLOW)
    want(time.monotonic() - begin < 10 * SLOW, f"{path} holds up the end")
    t.join()


def scale_model(factor):
    """y = factor * x for rows of four."""
    nodes = [o.node("Mul", ["x", "f"], ["y"])]
    return o.model(o.graph(nodes, [o.info("x", dims=["N", 4])], [o.info("y", dims=["N", 4])],
                           [o.floats("f", [1], [float(factor)])]))


def replace(path, data):
    """As a careful writer does it: beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(data if isinstance(data, bytes) else data.encode())
    os.replace(beside, path)


def two_models(repo):
    """Models a and b, which double and treble."""
    for name, factor in (("a", 2), ("b", 3)):
        replace(repo / name / "1" / "model.onnx", scale_model(factor))


def body_of(values):
    return json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32",
                                   "data": values}]})


class Server:
    """`lamina serve`, until the end of the with."""

    def __init__(self, program, models, *args, env=None, listen="127.0.0.1:0", tls=None, **more):
        self.tls = tls  # an ssl.SSLContext: how to reach it
        where = ["--listen", listen] if listen else []
        if SLOW > 1:
            where.append("--no-sandbox")  # the leak checker wants to trace
        self.p = subprocess.Popen([program, "serve", str(models), "--json", *where, *args],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=dict(os.environ, **(env or {})), **more)
        line = self.p.stdout.readline()
        self.told = json.loads(line) if line else None
        self.ends = {0}  # exit codes that are right
        self.port = self.told["listen"][0]["port"] if line else 0
        self.admin = self.told.get("admin_port", 0) if line else 0

    def __enter__(self):
        if not self.told:
            raise RuntimeError(f"the server did not start: {self.p.stderr.read()}")
        return self

    def __exit__(self, *what):
        if self.p.poll() is None:
            self.p.terminate()
        try:
            _, err = self.p.communicate(timeout=30 * SLOW)
        except subprocess.TimeoutExpired:
            self.p.kill()
            _, err = self.p.communicate()
            want(False, "the server does not end")
        want(self.p.returncode in self.ends, f"exit {self.p.returncode}: {err[-2000:]}")
        want("Sanitizer" not in err and "runtime error" not in err, err[-3000:])

    def connect(self, admin=False):
        if self.tls and not admin:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30 * SLOW,
                                               context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.admin if admin else self.port,
                                          timeout=30 * SLOW)

    def ask(self, method, path, body=None, headers=None, admin=False):
        """Status, headers, body; JSON is read."""
        c = self.connect(admin)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        if r.getheader("Content-Type", "").startswith("application/json") and data:
            data = json.loads(data)
        return r.status, r.headers, data

    def infer(self, model, values, version=None, headers=None):
        path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
        return self.ask("POST", path, body_of(values), headers)


class Load:
    """Clients that ask all the time, each over what `connect` gives, until the end of the with;
    every answer must be one of `right`."""

    def __init__(self, connect, model, values, right, n=8):
        self.connect, self.body, self.right = connect, body_of(values), right
        self.path = f"/v2/models/{model}/infer"
        self.stop, self.n_ok, self.bad = False, 0, []
        self.threads = [threading.Thread(target=self.run) for _ in range(n)]

    def run(self):
        c = None
        while not self.stop:
            try:
                c = c or self.connect()
                c.request("POST", self.path, self.body)
                r = c.getresponse()
                data = r.read()
                if r.status == 200 and json.loads(data)["outputs"][0]["data"] in self.right:
                    self.n_ok += 1
                else:
                    self.bad.append((r.status, data[:200]))
                if r.getheader("Connection") == "close":
                    c.close()
                    c = None
            except OSError as e:
                self.bad.append(repr(e))
                c = None

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *what):
        self.stop = True
        for t in self.threads:
            t.join()


def unix_ask(path, method, target, body=b""):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30 * SLOW)
        s.connect(str(path))
        s.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        data = b""
        while True:
            part = s.recv(65536)
            if not part:
                break
            data += part
    return int(data.split()[1]), data.split(b"\r\n\r\n", 1)[1]
