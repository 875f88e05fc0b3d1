#!/usr/bin/env python3
"""
`lamina serve` and the official client: models of every type behind a real server, tritonclient over
HTTP; then all bodies of kserve_cases.txt as they are, to which no answer may be 5xx or without a
sentence. check_serve_client.py LAMINA; exit 77 without the packages.
"""
import json
import os
import re
import sys
import tempfile
import urllib.error
import urllib.request

try:
    import numpy as np
    import tritonclient.http as http
    from tritonclient.utils import InferenceServerException
except ImportError as e:
    print("skip:", e)
    sys.exit(77)

from official import TYPES, o as pb, sample, save, save_types  # noqa: E402
from serving import Server, finish, want as check  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


def make_models(folder):
    save_types(folder)
    four = ["N", 4]
    save(folder, "two", [pb.node("Add", ["a", "b"], ["s"]), pb.node("Sub", ["a", "b"], ["d"])],
         [pb.info("a", pb.I32, four), pb.info("b", pb.I32, four)],
         [pb.info("s", pb.I32, four), pb.info("d", pb.I32, four)])
    save(folder, "odd", [pb.node("Div", ["x", "x"], ["n"]), pb.node("Log", ["x"], ["l"])],
         [pb.info("x", pb.F32, ["N", 1])],
         [pb.info("n", pb.F32, ["N", 1]), pb.info("l", pb.F32, ["N", 1])])


def given(name, datatype, x, binary=True):
    t = http.InferInput(name, list(x.shape), datatype)
    return t.set_data_from_numpy(x, binary_data=binary)


def every_type(client):
    for name, (datatype, _, kind) in TYPES.items():
        for i in range(8):
            binary_in, binary_out, shape = i & 1, i & 2, (1, 3) if i & 4 else (4, 5)
            if name == "f16" and not binary_in:
                continue  # the client does not say it in JSON
            x = sample(kind, shape)
            out = [http.InferRequestedOutput("y", binary_data=bool(binary_out))]
            r = client.infer("id_" + name, [given("x", datatype, x, bool(binary_in))], outputs=out,
                             request_id="z")
            y = r.as_numpy("y")
            if kind == np.object_ and not binary_out:
                y = np.array([v.encode() for v in y.flat], dtype=kind).reshape(y.shape)
            check(np.array_equal(x, y) and r.get_response()["id"] == "z", f"{name} {i}: {y}")


def about(client):
    check(client.is_server_live() and client.is_server_ready(), "ready")
    check(client.is_model_ready("two") and client.is_model_ready("two", "1"), "model ready")
    check(not client.is_model_ready("none") and not client.is_model_ready("two", "2"), "not ready")
    check(client.get_server_metadata()["name"] == "lamina", "server metadata")
    m = client.get_model_metadata("two")
    check(m["versions"] == ["1"] and m["inputs"][1] == {"name": "b", "datatype": "INT32",
                                                        "shape": [-1, 4]}, m)
    check(client.get_model_config("two")["max_batch_size"] > 0, "config")
    s = client.get_inference_statistics("two")["model_stats"][0]
    check(s["inference_stats"]["success"]["count"] > 0 and s["inference_count"] > 0, s)


def outputs(client):
    a, b = np.arange(8, dtype=np.int32).reshape(2, 4), np.ones((2, 4), np.int32)
    ins = [given("b", "INT32", b, False), given("a", "INT32", a)]
    for compressed in (None, "gzip", "deflate"):
        r = client.infer("two", ins, response_compression_algorithm=compressed)
        check(np.array_equal(r.as_numpy("s"), a + b), compressed)
        check(np.array_equal(r.as_numpy("d"), a - b), compressed)
    r = client.infer("two", ins, outputs=[http.InferRequestedOutput("d")], model_version="1",
                     timeout=60000000)
    check(r.as_numpy("s") is None and np.array_equal(r.as_numpy("d"), a - b), "one output")
    r = client.infer("two", ins, outputs=[http.InferRequestedOutput("s", class_count=2)])
    check(r.as_numpy("s").tolist() == [[b"4:3", b"3:2"], [b"8:3", b"7:2"]], r.as_numpy("s"))
    x = np.array([[0], [1], [np.inf]], np.float32)
    asked = [http.InferRequestedOutput(n, binary_data=False) for n in ("n", "l")]
    r = client.infer("odd", [given("x", "FP32", x)], outputs=asked).get_response()["outputs"]
    check(r[0]["data"] == [None, 1, None] and r[1]["data"] == [-1e39, 0, 1e39], r)


def refusals(client):
    a = given("a", "INT32", np.zeros((1, 4), np.int32))
    wide = given("b", "INT32", np.zeros((1, 5), np.int32))
    for status, args in (("404", ("none", [a])), ("400", ("two", [a])), ("400", ("two", [a, a])),
                         ("400", ("two", [a, wide])), ("404", ("two", [a], "9"))):
        try:
            client.infer(*args)
            check(False, f"{args} was taken")
        except InferenceServerException as e:
            check(e.status() == status and str(e), f"{args}: {e}")


def post(url, body, headers):
    q = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(q) as f:
            return f.status, f.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def raw_bodies(url):
    n = 0
    for line in open(os.path.join(HERE, "kserve_cases.txt"), encoding="utf-8"):
        fields = line.rstrip("\n").split(" | ")
        if line.startswith("#") or len(fields) < 2:
            continue
        text, _, tail = fields[1].partition(" ++ ")
        headers = {}
        if text.startswith("raw:"):
            body, headers["Inference-Header-Content-Length"] = bytes.fromhex(text[4:]), "0"
        else:
            body = re.sub(rb"%([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())
            if tail:
                headers["Inference-Header-Content-Length"] = str(len(body))
                body += bytes.fromhex(tail)
        status, answer = post(url + "/v2/models/id_f32/infer", body, headers)
        said = status == 200 or (status == 400 and json.loads(answer)["error"])
        check(said, f"{line[:120]}: {status} {answer[:200]}")
        n += 1
    check(n > 200, f"{n} bodies")


def main():
    with tempfile.TemporaryDirectory() as folder:
        make_models(folder)
        with Server(sys.argv[1], folder) as s:
            client = http.InferenceServerClient(f"127.0.0.1:{s.port}")
            every_type(client)
            outputs(client)
            about(client)
            refusals(client)
            raw_bodies(f"http://127.0.0.1:{s.port}")
            client.close()
    finish()


main()
