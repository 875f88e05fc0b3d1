#!/usr/bin/env python3
"""
curl in every way that it can ask: with and without types of content, chunked, large bodies with
Expect, HTTP/1.0, HEAD, OPTIONS, connections closed and kept, escapes and slashes in paths, gzip,
raw and binary tensors, many transfers at once.
"""
import gzip
import json
import pathlib
import struct
import subprocess
import tempfile

from judged import PROGRAM, SLOW, Server, check, finish, has_plugin, repository, tool

CURL = tool("curl")
BODY = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
LEN = "Inference-Header-Content-Length"
STATUS = "\n%{http_code} %{http_version} %{num_connects}"


def curl(*args, given=None):
    """Status, version of HTTP, connections made, head and body."""
    p = subprocess.run([CURL, "-sS", "-i", "-m", str(60 * SLOW), "-w", STATUS, *args],
                       input=given, capture_output=True, check=False)
    text, _, last = p.stdout.rpartition(b"\n")
    if p.returncode or not last:
        return 0, p.stderr.decode(), 0, "", b""
    status, version, connects = last.split()
    *heads, body = text.split(b"\r\n\r\n", 2 if b" 100 Continue" in text[:40] else 1)
    return int(status), version.decode(), int(connects), heads[-1].decode(), body


def says(what, want, status, factor, *args, given=None):
    """An inference: 200 and the numbers, or the refusal with a reason."""
    got, _, _, head, body = curl(*args, given=given)
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    good = got == status and "application/json" in head
    if status == 200:
        good = good and said.get("outputs", [{}])[0].get("data") == [factor * k for k in want]
    else:
        good = good and len(said.get("error", "")) > 8
    check(good, f"{what}: {got} {head[:60]!r} {body[:200]}")
    return head


def types_of_content(url):
    """The body is what counts: the protocol asks for no type, and clients send many."""
    for kind in ("application/json", "application/json; charset=utf-8", "text/plain", "",
                 "application/x-www-form-urlencoded", "application/vnd.kserve+json", "*/*"):
        field = f"Content-Type: {kind}" if kind else "Content-Type:"
        says(f"type {kind!r}", [1, 2, 3, 4], 200, 3, url, "-H", field, "-d", BODY)
    for accept in ("*/*", "application/json", "text/html", "application/octet-stream"):
        says(f"Accept {accept}", [1, 2, 3, 4], 200, 3, url, "-H", f"Accept: {accept}", "-d", BODY)
    says("answers that may be compressed", [1, 2, 3, 4], 200, 3, url, "--compressed", "-d", BODY)
    head = says("no compression is offered", [1, 2, 3, 4], 200, 3, url, "-H",
                "Accept-Encoding: gzip, deflate, br, zstd", "-d", BODY)
    check("content-encoding" not in head.lower(), head)


def ways_to_send(url, d):
    says("chunked", [1, 2, 3, 4], 200, 3, url, "-H", "Transfer-Encoding: chunked", "-d", BODY)
    says("from a pipe", [1, 2, 3, 4], 200, 3, url, "-X", "POST", "-T", "-", given=BODY.encode())
    says("HTTP/1.0", [1, 2, 3, 4], 200, 3, url, "-0", "-d", BODY)
    says("Expect and little", [1, 2, 3, 4], 200, 3, url, "-H", "Expect: 100-continue", "-d", BODY)
    says("another expectation", [], 417, 0, url, "-H", "Expect: a-pony", "-d", BODY)
    head = says("close", [1, 2, 3, 4], 200, 3, url, "-H", "Connection: close", "-d", BODY)
    check("connection: close" in head.lower(), head)
    says("names of fields in capitals", [1, 2, 3, 4], 200, 3, url, "-H", "CONTENT-TYPE: a/b", "-d",
         BODY)
    packed = d / "body.gz"
    packed.write_bytes(gzip.compress(BODY.encode()))
    says("gzip, said", [], 415, 0, url, "-H", "Content-Encoding: gzip", "--data-binary",
         f"@{packed}")
    says("gzip, not said", [], 400, 0, url, "--data-binary", f"@{packed}")
    says("identity", [1, 2, 3, 4], 200, 3, url, "-H", "Content-Encoding: identity", "-d", BODY)
    says("a form", [], 400, 0, url, "-F", "inputs=1")
    n = 400000
    row = json.dumps({"inputs": [{"name": "x", "shape": [1, n], "datatype": "FP32",
                                  "data": [0.5] * n}]})
    (d / "large").write_text(row)
    big = url.replace("/scale/", "/big/")
    for more in ((), ("-H", "Expect: 100-continue"), ("-H", "Transfer-Encoding: chunked"), ("-0",)):
        got, _, _, _, body = curl(big, "--data-binary", f"@{d / 'large'}", *more)
        check(got == 200 and json.loads(body)["outputs"][0]["data"] == [0.5] * n,
              f"a body of {len(row)} bytes, {more}: {got}")
    (d / "huge").write_bytes(b" " * (65 << 20))
    for more in ((), ("-H", "Transfer-Encoding: chunked")):
        got, _, _, _, body = curl(url, "--data-binary", f"@{d / 'huge'}", *more)
        check(got == 413 and b'"error"' in body, f"65 MiB {more}: {got} {body[:200]}")


def binary(url, d):
    row = struct.pack("<4f", 1, 2, 3, 4)
    text = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32",
                                   "parameters": {"binary_data_size": 16}}]}).encode()
    (d / "binary").write_bytes(text + row)
    (d / "raw").write_bytes(row)
    octets = ["-H", "Content-Type: application/octet-stream"]
    says("binary tensors", [1, 2, 3, 4], 200, 3, url, *octets, "-H", f"{LEN}: {len(text)}",
         "--data-binary", f"@{d / 'binary'}")
    for more in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")):
        got, _, _, head, body = curl(url, *octets, "-H", f"{LEN}: 0", "--data-binary",
                                     f"@{d / 'raw'}", *more)
        check(got == 200 and "application/octet-stream" in head and
              body.endswith(struct.pack("<4f", 3, 6, 9, 12)), f"raw {more}: {got} {head}")
    says("bytes without the field", [], 400, 0, url, *octets, "--data-binary", f"@{d / 'raw'}")
    says("a field that is too long", [], 400, 0, url, *octets, "-H", f"{LEN}: 999", "--data-binary",
         f"@{d / 'binary'}")


def methods_and_paths(at, url):
    for path in ("/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "/v2/models/scale",
                 "/v2/models/scale/ready", "/v2/models/scale/versions/1/ready", "/metrics",
                 "/openapi.json", "/v2/models/scale/config", "/v2/models/stats"):
        got, _, _, head, body = curl(at + path)
        check(got == 200 and body, f"GET {path}: {got}")
        length = [x for x in head.lower().split("\r\n") if x.startswith("content-length")]
        got, _, _, other, body = curl("-I", at + path)
        check(got == 200 and not body, f"HEAD {path}: {got} {body[:50]}")
        check(path == "/metrics" or length[0] in other.lower(), f"HEAD {path}: {other}")
        got, _, _, head, _ = curl("-X", "OPTIONS", at + path)
        check(got == 204 and "allow: get, head, options" in head.lower(), f"OPTIONS {path}: {head}")
    got, _, _, head, _ = curl("-X", "OPTIONS", url)
    check(got == 204 and "allow: post, options" in head.lower(), f"OPTIONS of infer: {head}")
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        got, _, _, head, body = curl("-X", method, url)
        check(got == 405 and "allow: post" in head.lower() and b"error" in body, f"{method}: {got}")
    for path in ("/v2/models/scale/", "/v2/models/scale/infer/", "/v2/models//infer", "/v2//models",
                 "/v2/models/sc%61le", "/v2/models/%2e%2e/infer", "/v2/models/a%2Fb/infer",
                 "/v2/models/%00", "/v3", "/favicon.ico", "/v2/models/scale%20"):
        got, _, _, _, body = curl(at + path)
        check(got == 404 and b'"error"' in body, f"GET {path}: {got} {body[:80]}")
    got, _, _, _, _ = curl("--path-as-is", at + "/v2/models/../../etc/passwd")
    check(got == 404, f"dots: {got}")
    got, _, _, _, _ = curl(at + "/v2?a=b&c=%20")
    check(got == 200, f"a query: {got}")
    says("a query behind infer", [1, 2, 3, 4], 200, 3, url + "?x=1", "-d", BODY)


def connections(at, url):
    out = subprocess.run([CURL, "-sS", "-m", "60", "-w", "%{num_connects}\n", "-o", "/dev/null"] +
                         [f"{at}/v2"] + [x for _ in range(20) for x in ("-o", "/dev/null",
                                                                       f"{at}/v2/models/scale")],
                         capture_output=True, text=True, check=False).stdout.split()
    check(out == ["1"] + ["0"] * 20, f"21 requests took connections: {out}")
    if "--parallel" in subprocess.run([CURL, "--help", "all"], capture_output=True, text=True,
                                      check=False).stdout:
        many = [x for _ in range(200) for x in ("-o", "/dev/null", url)]
        out = subprocess.run([CURL, "-sS", "-Z", "--parallel-max", "50", "-m", "60", "-w",
                              "%{http_code}\n", "-d", BODY, *many], capture_output=True, text=True,
                             check=False)
        check(out.stdout.split() == ["200"] * 200, f"200 at once: {out.stdout[:200]} {out.stderr}")


def http2(url):
    for how in ("--http2-prior-knowledge", "--http2"):
        got, version, _, _, body = curl(url, how, "-d", BODY)
        check(got == 200 and b"[3,6,9,12]" in body, f"{how}: {got} {version} {body[:200]}")
        check(version == "2" or how == "--http2", f"{how} spoke {version}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d / "repo")
        with Server(PROGRAM, d / "repo") as s:
            at = f"http://127.0.0.1:{s.port}"
            url = f"{at}/v2/models/scale/infer"
            types_of_content(url)
            ways_to_send(url, d)
            binary(url, d)
            methods_and_paths(at, url)
            connections(at, url)
            if has_plugin("h2"):
                http2(url)
    finish()


main()
