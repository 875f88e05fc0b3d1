#!/usr/bin/env python3
"""
`lamina serve` from outside: every route and what it refuses, the layout of folders, labels, metrics
as Prometheus reads them, tokens, addresses, and Triton's own client where it is there.
Usage: check_serve.py LAMINA
"""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading

from serving import (SLOW, Server, body_of, finish, o, replace, scale_model, triton_http, unix_ask,
                     want)


def repository(d):
    """Two good models, one with versions, labels and batching; broken ones of several kinds."""
    repo = d / "repo"
    replace(repo / "plain" / "1" / "model.onnx", scale_model(2))
    replace(repo / "many" / "1" / "model.onnx", scale_model(10))
    replace(repo / "many" / "2" / "model.onnx", scale_model(20))
    replace(repo / "many" / "10" / "model.onnx", scale_model(100))
    replace(repo / "many" / "labels.txt", "zero\none\r\ntwo\nthree\n")
    replace(repo / "many" / "config.pbtxt", """
        platform: "onnxruntime_onnx"
        max_batch_size: 8
        input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
        output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" } ]
        version_policy { specific { versions: [ 1, 10 ] } }
        dynamic_batching { preferred_batch_size: [ 4, 8 ] }
    """)
    replace(repo / "broken" / "1" / "model.onnx", b"no model")
    replace(repo / "misfit" / "1" / "model.onnx", scale_model(1))
    replace(repo / "misfit" / "config.json", json.dumps({"input": [{"name": "z"}]}))
    replace(repo / "strange" / "1" / "model.onnx", scale_model(1))
    replace(repo / "strange" / "config.pbtxt", "sequence_batching { }")
    (repo / "empty").mkdir()
    (repo / "bad name").mkdir()
    (repo / ".hidden").mkdir()
    (repo / "linked" / "1").mkdir(parents=True)
    (repo / "linked" / "1" / "model.onnx").symlink_to(repo / "plain" / "1" / "model.onnx")
    return repo


REASONS = {"broken": "", "misfit": 'no input "z"', "strange": "not supported",
           "empty": "no version", "linked": "symbolic link"}


def routes(s):
    for path, status in [("/v2", 200), ("/v2/health/live", 200), ("/v2/health/ready", 503),
                         ("/v2/models/plain", 200), ("/v2/models/plain/ready", 200),
                         ("/v2/models/plain/config", 200), ("/v2/models/plain/stats", 200),
                         ("/v2/models/many/versions/10", 200), ("/v2/models/stats", 200),
                         ("/v2/models/many/versions/2", 404), ("/v2/models/none", 404),
                         ("/v2/models/broken", 503), ("/v2/models/plain/versions/0", 404),
                         ("/v2/models/plain/versions/01", 404), ("/v2/models/..%2f", 404),
                         ("/v2/models/../v2", 404), ("/v2/models/plain/", 404), ("/no", 404),
                         ("/v2/models/" + "a" * 129, 404), ("/openapi.json", 200)]:
        got, _, body = s.ask("GET", path)
        want(got == status, f"GET {path}: {got}, not {status}: {body}")
        want(got < 400 or isinstance(body, dict) and ("error" in body or "ready" in body),
             f"GET {path}: {body}")
    for method, path, allow in [("DELETE", "/v2", "GET"), ("GET", "/v2/models/plain/infer", "POST"),
                                ("POST", "/v2/health/live", "GET"), ("PUT", "/metrics", "GET")]:
        got, headers, _ = s.ask(method, path)
        want(got == 405 and allow in headers.get("Allow", ""), f"{method} {path}: {got}")
    got, headers, body = s.ask("HEAD", "/v2")
    want(got == 200 and not body and int(headers["Content-Length"]) > 0, "HEAD /v2")


def many_rows(s):
    """More than a batch: refused where somebody said so, else run in parts."""
    def ask(model, rows):
        x = [float(i) for i in range(4 * rows)]
        got, _, body = s.ask("POST", f"/v2/models/{model}/infer", json.dumps(
            dict(inputs=[dict(name="x", shape=[rows, 4], datatype="FP32", data=x)])))
        return got, body, [2 * v for v in x]
    _, _, config = s.ask("GET", "/v2/models/plain/config")
    want(0 < config["max_batch_size"] < 999, f"what was found out: {config}")
    for rows in (config["max_batch_size"], config["max_batch_size"] + 1, 999):
        got, body, twice = ask("plain", rows)
        want(got == 200 and body["outputs"][0]["shape"] == [rows, 4] and
             body["outputs"][0]["data"] == twice, f"{rows} rows: {got} {str(body)[:300]}")
    got, body, _ = ask("many", 9)
    want(got == 400 and "9 rows" in body["error"] and "at most 8" in body["error"], f"{got} {body}")


def inference(s):
    for model, version, factor in [("plain", None, 2), ("many", None, 100), ("many", 1, 10)]:
        got, headers, body = s.infer(model, [1, 2, 3, 4], version,
                                     {"Prefer": "server-timing", "traceparent":
                                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
        want(got == 200, f"{model}: {got} {body}")
        want(body["outputs"][0]["data"] == [factor * v for v in (1, 2, 3, 4)], f"{model}: {body}")
        want("compute;dur=" in headers.get("Server-Timing", ""), "no Server-Timing")
        want(headers.get("traceparent", "").startswith("00-0af76"), "traceparent is not echoed")
    many_rows(s)
    got, headers, _ = s.infer("plain", [1, 2, 3, 4], None, {"traceparent": "00-x"})
    want(got == 200 and "traceparent" not in headers, "a bad traceparent is echoed")
    for body in ["", "{", "[]", "{}", body_of([1, 2, 3]), body_of(["a"] * 4),
                 body_of([1, 2, 3, 4]).replace('"x"', '"q"')]:
        got, _, said = s.ask("POST", "/v2/models/plain/infer", body)
        want(got == 400 and said.get("error"), f"{body!r}: {got} {said}")
    got, _, _ = s.infer("plain", [1] * 4, None, {"Content-Encoding": "gzip"})
    want(got == 415, f"gzip: {got}")
    got, _, _ = s.infer("plain", [1] * 4, None, {"Inference-Header-Content-Length": "99999"})
    want(got == 400, f"a head longer than the body: {got}")


def index(s, repo):
    got, _, rows = s.ask("POST", "/v2/repository/index")
    by = {(r["name"], r["version"]): r for r in rows}
    want(got == 200 and by[("many", "10")]["state"] == "READY", f"index: {rows}")
    want(("many", "2") not in by and "bad name" not in {n for n, _ in by}, f"index: {rows}")
    for name, part in REASONS.items():
        mine = [r for r in rows if r["name"] == name]
        want(mine and all(r["state"] == "UNAVAILABLE" for r in mine), f"index of {name}: {mine}")
        want(any(part in r["reason"] and r["reason"] for r in mine), f"reason of {name}: {mine}")
    want(str(repo) not in json.dumps(rows), "the index shows a path")
    _, _, rows = s.ask("POST", "/v2/repository/index", '{"ready": true}')
    want({r["state"] for r in rows} == {"READY"}, f"index of the ready ones: {rows}")
    got, _, _ = s.ask("POST", "/v2/repository/index", '{"ready": 1}')
    want(got == 400, f"a bad body for the index: {got}")
    got, _, _ = s.ask("POST", "/v2/repository/models/plain/load")
    want(got == 403, f"load on an address for all: {got}")


def metrics(s):
    _, headers, text = s.ask("GET", "/metrics")
    text = text.decode()
    want(headers["Content-Type"].startswith("text/plain; version=0.0.4"), "type of /metrics")
    one = r'lamina_inference_requests_total\{model="plain",version="1",outcome="ok"\} [1-9]'
    want(re.search(one, text), "no count of inferences")
    want(re.search(r'lamina_queue_limit_rows\{model="many",version="10"\} 64\n', text), "a limit")
    want("\n# EOF" not in text and 'lamina_model_ready{model="broken"' in text, "metrics")
    _, headers, new = s.ask("GET", "/metrics", None, {"Accept": "application/openmetrics-text"})
    want(headers["Content-Type"].startswith("application/openmetrics-text"), "OpenMetrics")
    want(new.endswith(b"# EOF\n"), "OpenMetrics has no end")
    try:
        from prometheus_client import parser
        from prometheus_client.openmetrics import parser as strict
    except ImportError:
        print("prometheus_client is not there: its parsers did not look")
        return
    names = {f.name for f in parser.text_string_to_metric_families(text)}
    families = {f.name: f for f in strict.text_string_to_metric_families(new.decode())}
    for name in ("lamina_http_request_duration_seconds", "lamina_inference_queue_seconds",
                 "lamina_batch_rows", "lamina_batch_dispatch", "lamina_memory_bytes"):
        want(name in families, f"OpenMetrics lacks {name}")
        want(name in names, f"the text lacks {name}")
    want(families["lamina_batch_rows"].type == "histogram", "batch rows are no histogram")


def page(s):
    got, headers, text = s.ask("GET", "/")
    text = text.decode()
    want(got == 200 and 'row">plain<td data-k="version">1' in text and "unsafe" not in
         headers["Content-Security-Policy"], "the page")
    want("<script>" not in text and " style=" not in text, "the page has what its policy forbids")
    for path in re.findall(r'(?:src|href)="(/[^"]*)"', text):
        want(s.ask("GET", path)[0] == 200, f"{path} of the page")


def statistics(s):
    _, _, body = s.ask("GET", "/v2/models/many/versions/10/stats")
    one = body["model_stats"][0]
    want(one["version"] == "10" and one["inference_stats"]["success"]["count"] == 1, f"{one}")
    want(one["inference_stats"]["queue"]["count"] == 1, f"{one}")
    sizes = one["batch_stats"]
    want([b["batch_size"] for b in sizes] == [1] and sizes[0]["compute_infer"]["count"] == 1 and
         0 < sizes[0]["compute_infer"]["ns"] <= one["inference_stats"]["compute_infer"]["ns"] and
         sizes[0]["compute_input"]["ns"] > 0 and sizes[0]["compute_output"]["ns"] > 0, f"{sizes}")
    _, _, config = s.ask("GET", "/v2/models/many/config")
    want(config["max_batch_size"] == 8 and config["dynamic_batching"]["preferred_batch_size"] ==
         [4, 8] and config["output"][0]["label_filename"] == "labels.txt", f"{config}")


def triton(s):
    th = triton_http()
    if not th:
        return
    import numpy as np
    c = th.InferenceServerClient(f"127.0.0.1:{s.port}")
    want(c.is_server_live() and c.is_model_ready("plain"), "health")
    want(not c.is_model_ready("none"), "health of a model that is not there")
    want(c.get_model_metadata("plain")["inputs"][0]["shape"] == [-1, 4], "metadata")
    want(c.get_model_config("many")["max_batch_size"] == 8, "config")
    want(c.get_inference_statistics("plain")["model_stats"][0]["name"] == "plain", "statistics")
    want(len(c.get_model_repository_index()) >= 6, "index")
    for binary in (True, False):
        x = np.arange(8, dtype=np.float32).reshape(2, 4)
        i = th.InferInput("x", [2, 4], "FP32")
        i.set_data_from_numpy(x, binary_data=binary)
        r = c.infer("plain", [i], outputs=[th.InferRequestedOutput("y", binary_data=binary)])
        want((r.as_numpy("y") == 2 * x).all(), f"infer, binary {binary}")
    i = th.InferInput("x", [1, 4], "FP32")
    i.set_data_from_numpy(np.array([[1, 4, 3, 2]], np.float32))
    r = c.infer("many", [i], outputs=[th.InferRequestedOutput("y", class_count=2)])
    got = [v.decode() for v in r.as_numpy("y").ravel()]
    want([v.split(":")[1:] for v in got] == [["1", "one"], ["2", "two"]], f"classes: {got}")


def addresses(program, d):
    """Who may come: tokens, other machines, the admin socket."""
    one = d / "one.onnx"
    replace(one, scale_model(3))
    p = subprocess.run([program, "serve", str(one), "--listen", "0.0.0.0:0"], capture_output=True,
                       text=True, timeout=60, check=False)
    want(p.returncode == 1 and "can be reached by others" in p.stderr, f"0.0.0.0: {p.stderr}")
    p = subprocess.run([program, "serve", str(d / "none.onnx")], capture_output=True, text=True,
                       timeout=60, check=False)
    want(p.returncode == 1 and "neither" in p.stderr, f"no model: {p.stderr}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        for args, says in ((("--listen", at), (at, "free it or take another", "in use")),
                           (("--listen", f"unix:{d}/none/s"), (f"{d}/none/s", "No such file")),
                           (("--listen", "192.0.2.1:0", "--insecure"), ("192.0.2.1:0", "no such")),
                           (("--admin", "0.0.0.0:0"), ("admin", "0.0.0.0:0")),
                           (("--otlp", "there"), ("http://HOST:PORT", '"there"'))):
            p = subprocess.run([program, "serve", str(one), *args], capture_output=True, text=True,
                               timeout=60, check=False)
            want(p.returncode == 1 and all(x in p.stderr for x in says), f"{args}: {p.stderr}")
    (d / "nothing").mkdir()
    with subprocess.Popen([program, "serve", str(d / "nothing"), "--listen", "127.0.0.1:0"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as p:
        lines = [p.stdout.readline() for _ in range(3)]
        p.terminate()
    want("nothing/NAME/1/model.onnx" in lines[2], f"an empty folder: {lines}")
    replace(d / "bad.onnx", b"bad")
    p = subprocess.run([program, "serve", str(d / "bad.onnx")], capture_output=True, text=True,
                       timeout=60, check=False)
    want(p.returncode == 1 and "error" in p.stderr, f"bad model: {p.stderr}")
    replace(d / "bad.onnx", b"version https://git-lfs.github.com/spec/v1\n")
    p = subprocess.run([program, "serve", str(d / "bad.onnx")], capture_output=True, text=True,
                       timeout=60, check=False)
    want(p.returncode == 1 and "git lfs pull" in p.stderr, f"no model: {p.stderr}")
    replace(d / "tokens.txt", "# ours\nsecret-token-1\n\nsecret-token-2\n")
    with Server(program, one, "--tokens", str(d / "tokens.txt"), listen="0.0.0.0:0") as s:
        want(s.ask("GET", "/v2/health/live")[0] == 200, "health needs no token")
        got, headers, _ = s.ask("GET", "/v2")
        want(got == 401 and headers["WWW-Authenticate"] == "Bearer", f"no token: {got}")
        for token, status in [("secret-token-2", 200), ("secret-token-3", 401), ("", 401),
                              ("secret-token-1x", 401)]:
            got, _, _ = s.infer("one", [1] * 4, None, {"Authorization": f"Bearer {token}"})
            want(got == status, f"token {token!r}: {got}")
    with Server(program, one, listen=f"unix:{d}/s.sock"):
        got, body = unix_ask(d / "s.sock", "POST", "/v2/models/one/infer",
                             body_of([1, 1, 1, 1]).encode())
        want(got == 200 and b"[3" in body, f"over a UNIX socket: {got} {body}")


def rows_of_nothing(program, d):
    """Batched like others, though their data have no address."""
    ports = [[o.info(name, 7, ["N", "M"])] for name in "xy"]
    replace(d / "nothing" / "m" / "1" / "model.onnx",
            o.simple([o.node("Identity", ["x"], ["y"])], *ports))
    replace(d / "nothing" / "m" / "config.json", json.dumps(
        {"max_batch_size": 3, "dynamic_batching": {"max_queue_delay_microseconds": 10000000}}))
    got = []

    def ask(s, n):
        got.append(s.ask("POST", "/v2/models/m/infer", json.dumps(
            {"inputs": [{"name": "x", "shape": [n, 0], "datatype": "INT64", "data": []}]})))
    with Server(program, d / "nothing") as s:
        asking = [threading.Thread(target=ask, args=(s, n)) for n in (1, 2)]
        for t in asking:
            t.start()
        for t in asking:
            t.join()
        said = sorted(body["outputs"][0]["shape"] for status, _, body in got if status == 200)
        want(said == [[1, 0], [2, 0]], f"rows of nothing: {got}")
        stats = s.ask("GET", "/v2/models/m/stats")[2]["model_stats"][0]
        want(stats["execution_count"] == 1, f"rows of nothing: {stats}")


def tenants(program, d):
    """Tokens with a rate, or for some models."""
    repo = d / "tenants"
    for name in ("a", "b"):
        replace(repo / name / "1" / "model.onnx", scale_model(2))
    replace(d / "tenants.txt", "token-slow name=slow rate=2/h\ntoken-of-a name=only-a models=a\n"
                               "token-free\n")
    with Server(program, repo, "--loops", "2", "--tokens", str(d / "tenants.txt")) as s:
        def as_who(token, path="/v2/models/a"):
            return s.ask("GET", path, headers={"Authorization": f"Bearer {token}"})

        got = [as_who("token-slow") for _ in range(5)]
        want([g[0] for g in got] == [200, 200, 429, 429, 429], f"2/h: {[g[0] for g in got]}")
        want(1700 < int(got[-1][1].get("Retry-After", 0)) <= 1801 and "2 times" in
             got[-1][2]["error"], f"429: {got[-1][1]} {got[-1][2]}")
        for path, status in [("/v2/models/a", 200), ("/v2/models/a/stats", 200), ("/v2", 200),
                             ("/v2/models/b", 403), ("/v2/models/b/versions/1/infer", 403),
                             ("/v2/models/stats", 403), ("/v2/repository/index", 403),
                             ("/metrics", 403), ("/", 403), ("/v2/health/ready", 200)]:
            got, _, body = as_who("token-of-a", path)
            want(got == status, f"{path} for a alone: {got} {body}")
        for _ in range(20):
            want(as_who("token-free", "/v2/models/b")[0] == 200, "no limit")
        text = as_who("token-free", "/metrics")[2].decode()
        for sample in ['{token="slow",outcome="admitted"} 2', '{token="slow",outcome="limited"} 3',
                       '{token="only-a",outcome="admitted"} 3',
                       '{token="only-a",outcome="forbidden"} 6',
                       '{token="",outcome="admitted"} 21']:
            want(f"lamina_token_requests_total{sample}\n" in text, f"{sample} is not in metrics")
        want("token-" not in text, "a token in metrics")
    replace(d / "wrong.txt", "token-free\ntoken-slow speed=1\n")
    p = subprocess.run([program, "serve", str(repo), "--tokens", str(d / "wrong.txt")],
                       capture_output=True, text=True, timeout=60, check=False)
    want(p.returncode == 1 and "line 2" in p.stderr, f"a wrong line: {p.stderr}")


def pasted(program, d):
    """The command that is printed does what it says."""
    one = d / "one.onnx"
    more = ["--no-sandbox"] if SLOW > 1 else []
    with subprocess.Popen([program, "serve", str(one), "--listen", "127.0.0.1:0", *more],
                          text=True, stdout=subprocess.PIPE) as p:
        line = ""
        while line is not None and not line.startswith("  curl"):
            line = p.stdout.readline() or None
        if want(line is not None, "no curl is printed"):
            try:
                out = subprocess.run(["sh", "-c", line], capture_output=True, text=True,
                                     timeout=60, check=False)
                want('"outputs"' in out.stdout, f"{line}: {out.stdout} {out.stderr}")
            except FileNotFoundError:
                print("curl is not there")
        p.terminate()


def sandboxed(program, d):
    """What the server has given up, as the kernel says."""
    if os.environ.get("LAMINA_SANITIZED"):
        return
    with Server(program, d / "one.onnx") as s:
        status = pathlib.Path(f"/proc/{s.p.pid}/status").read_text()
        if "no_new_privs" in s.told["sandbox"]:
            want("NoNewPrivs:\t1" in status, "NoNewPrivs")
        if "seccomp" in s.told["sandbox"]:
            want("Seccomp:\t2" in status, "Seccomp")
        want(s.infer("one", [1] * 4)[0] == 200, "inference in the sandbox")
        want(b"lamina_memory_bytes" in s.ask("GET", "/metrics")[2], "metrics in the sandbox")
    with Server(program, d / "one.onnx", "--no-sandbox") as s:
        want(s.told["sandbox"] == [], f"{s.told}")


def logged(program, d):
    """What happens, and requests, through the ring to a file."""
    ring = d / "ring"
    ring.mkdir()
    with Server(program, d / "one.onnx", "--log", str(ring)) as s:
        s.infer("one", [1] * 4)
        s.infer("one", [1] * 3)
        s.ask("GET", "/nothing")
        want(b"lamina_log_dropped_total 0" in s.ask("GET", "/metrics")[2], "lines are dropped")
    (d / "who").write_text("token-shop name=shop\n")
    with Server(program, d / "one.onnx", "--log", str(ring), "--tokens", str(d / "who")) as s:
        s.infer("one", [1] * 4)
        s.infer("one", [1] * 4, None, {"Authorization": "Bearer token-shop"})
    p = subprocess.run([program, "logd", str(ring), "--once", "--out", str(d / "log"), "--quiet"],
                       capture_output=True, text=True, timeout=60, check=False)
    want(p.returncode == 0, f"logd: {p.stderr}")
    lines = [json.loads(v) for v in (d / "log").read_text().splitlines()]
    text = json.dumps(lines)
    want("loaded" in text and "draining" in text, f"events: {text[:2000]}")
    mine = [v for v in lines if v.get("path") == "/v2/models/one/infer" and v["status"] == 200 and
            "token" not in v]
    want(len(mine) == 1 and mine[0]["status"] == 200 and mine[0]["method"] == "POST", f"{mine}")
    one = mine[0]
    want(one["model"] == "one" and one["version"] == 1 and one["rows"] == 1 and
         one["route"] == "infer" and one["peer"] == "127.0.0.1" and one["bytes_out"] > 50 and
         one["bytes_in"] == len(body_of([1] * 4)) and "token" not in one, f"{one}")
    parts = sum(one[k] for k in ("input_us", "queue_us", "compute_us", "output_us"))
    want(one["us"] - 4 <= parts <= one["us"], f"stages of {one}")
    bad = [v for v in lines if v.get("status") == 400]
    want(len(bad) == 1 and "shape" in bad[0]["reason"] and bad[0]["model"] == "one" and
         "queue_us" not in bad[0], f"{bad}")
    lost = [v for v in lines if v.get("path") == "/nothing"]
    want(len(lost) == 1 and "nothing at this path" in lost[0]["reason"], f"{lost}")
    want([v.get("token") for v in lines if v.get("status") in (401, 403)] == [None], f"{lines}")
    named = [v for v in lines if v.get("token")]
    want(len(named) == 1 and named[0]["token"] == "shop" and named[0]["status"] == 200, f"{named}")


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        repo = repository(d)
        with Server(program, repo) as s:
            index(s, repo)
            inference(s)
            statistics(s)
            routes(s)
            metrics(s)
            page(s)
            triton(s)
        addresses(program, d)
        rows_of_nothing(program, d)
        tenants(program, d)
        pasted(program, d)
        logged(program, d)
        sandboxed(program, d)
    finish()


if __name__ == "__main__":
    assert o
    main()
