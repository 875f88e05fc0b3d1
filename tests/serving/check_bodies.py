#!/usr/bin/env python3
"""
Malformed bodies of infer requests, as JSON, as binary tensors and around them: each must be
answered with 4xx, a JSON reason that says something, on a connection that then serves the next
request; never with 5xx, never with 200. What peers get wrong stands among them: products of shapes
that overflow, NaN, ragged data, keys twice, 256 as UINT8, compressed bodies that are cut or blow
up, JSON of every wrong kind. Usage: check_bodies.py LAMINA
"""
import gzip
import http.client
import json
import os
import pathlib
import re
import struct
import sys
import tempfile
import zlib

from serving import SLOW, Server, finish, o, replace, want

GOOD = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
TEXT = json.dumps(GOOD)
LEN = "Inference-Header-Content-Length"


def models(d):
    def save(name, nodes, ins, outs):
        replace(d / name / "1" / "model.onnx", o.simple(nodes, ins, outs))

    identity = [o.node("Identity", ["x"], ["y"])]
    for name, dtype in (("f32", 1), ("u8", 2), ("i8", 3), ("i32", 6), ("i64", 7), ("text", 8),
                        ("bool", 9), ("f16", 10), ("f64", 11), ("u64", 13)):
        save(name, identity, [o.info("x", dtype, ["N", 4])], [o.info("y", dtype, ["N", 4])])
    save("two", [o.node("Add", ["a", "b"], ["s"])],
         [o.info("a", 6, ["N", 4]), o.info("b", 6, ["N", 4])], [o.info("s", 6, ["N", 4])])
    save("limited", identity, [o.info("x", 1, ["N", 4])], [o.info("y", 1, ["N", 4])])
    replace(d / "limited" / "config.json", '{"max_batch_size": 64}')
    save("fixed", identity, [o.info("x", 1, [2, 4])], [o.info("y", 1, [2, 4])])


def said(datatype="FP32", data=(1, 2, 3, 4), shape=(1, 4), name="x", **more):
    return json.dumps({"inputs": [{"name": name, "shape": list(shape), "datatype": datatype,
                                   "data": data}], **more})


def swapped(old, new):
    assert old in TEXT
    return TEXT.replace(old, new)


def json_cases():
    """Model, what is wrong, body."""
    yield from (("f32", f"no request: {t!r}", t) for t in (
        "", " ", "null", "true", "1", '"x"', "[]", "[{}]", "{}", "{", "}", "[", "{]", "nul", "{}{}",
        '{"inputs"', '{"inputs":', '{"inputs":[', '{"inputs":[{', "\0", "{\0}", "'inputs'",
        '{"inputs":null}', '{"inputs":{}}', '{"inputs":[]}', '{"inputs":""}', '{"inputs":1}',
        '{"inputs":[null]}', '{"inputs":[[]]}', '{"inputs":["x"]}', '{"inputs":[1]}',
        '{"inputs":[{}]}', "<xml/>", "inputs=1", "\ufeff" + TEXT, TEXT + ",", TEXT + TEXT,
        TEXT + "x", TEXT + "\0", TEXT[:-1], TEXT[:-2], TEXT[:len(TEXT) // 2], "," + TEXT,
        TEXT.replace('"', "'"), TEXT.replace(":", "="), TEXT.replace("]}", ",]}"),
        "/**/" + TEXT, TEXT + "//"))
    yield "f32", "deep", "[" * 100000
    yield "f32", "deep objects", '{"a":' * 100000
    yield "f32", "deep data", swapped("[1, 2, 3, 4]", "[" * 5000 + "1" + "]" * 5000)
    yield "f32", "no UTF-8", TEXT[:-1].encode() + b',"id":"\xff\xfe"}'
    yield "f32", "UTF-8 that is too long", TEXT[:-1].encode() + b',"id":"\xc0\xaf"}'
    yield "f32", "half a surrogate", TEXT[:-1] + ',"id":"\\ud800"}'
    yield "f32", "a bad escape", TEXT[:-1] + ',"id":"\\x41"}'
    yield "f32", "a line break in a string", TEXT[:-1] + ',"id":"a\nb"}'
    yield "f32", "UTF-16", TEXT.encode("utf-16")
    for key in ("name", "shape", "datatype", "data"):
        t = dict(GOOD["inputs"][0])
        del t[key]
        yield "f32", f"no {key}", json.dumps({"inputs": [t]})
        yield "f32", f"{key} null", json.dumps({"inputs": [{**t, key: None}]})
        yield "f32", f"{key} an object", json.dumps({"inputs": [{**t, key: {}}]})
        text = json.dumps(GOOD["inputs"][0])
        twice = f'{{"inputs":[{text[:-1]},"{key}":{json.dumps(GOOD["inputs"][0][key])}}}]}}'
        yield "f32", f"{key} twice", twice
    yield "f32", "inputs twice", TEXT[:-1] + "," + TEXT[1:]
    yield "f32", "parameters twice", TEXT[:-1] + ',"parameters":{},"parameters":{}}'
    for name in ("", "X", "x ", "y", "x\0", "a" * 100000, "../x"):
        yield "f32", f"an input called {name[:20]!r}", said(name=name)
    for t in ("FP31", "fp32", "", "FLOAT", "FP64", "INT32", "BYTES", "BOOL", "F" * 10000):
        yield "f32", f"datatype {t[:20]!r}", said(t)
    for shape in ([], [4], [1], [1, 5], [2, 4], [1, 4, 1], [4, 1], [0, 4], [1, 0], [-1, 4],
                  [1, -4], [-1, -4], [1, 4.0], [1.5, 4], ["1", 4], [True, 4], [None, 4], [[1], 4],
                  [2**63, 4], [2**64 + 1, 4], [2**62, 4], [2**32, 2**32], [1 << 31, 1 << 31, 4, 4],
                  [4294967297, 4], [-(2**63), 4], [1] * 65 + [4], [1e3, 4]):
        yield "f32", f"shape {str(shape)[:40]}", said(shape=shape)
    for data in ([], [1, 2, 3], [1, 2, 3, 4, 5], [[1, 2], [3, 4]], [[1, 2, 3], [4]], [1, [2], 3, 4],
                 [[1, 2, 3, 4], []], [["1", "2", "3", "4"]], ["1", 2, 3, 4], [None, 2, 3, 4],
                 [True, 2, 3, 4], [{}, 2, 3, 4], "1234", 1, True, {"0": 1}, [[[1, 2, 3, 4]]],
                 [[1, 2, 3, 4]] * 2):
        yield "f32", f"data {data!r}", said(data=data)
    for word in ("NaN", "Infinity", "-Infinity", "1e39", "-1e39", "1e999", "0x1", "01", "1.", ".5",
                 "+1", "1e", "1e+", "--1", "1_0", "1,,2", "nan", "inf", "1" * 400, "1 2"):
        yield "f32", f"the number {word[:20]}", swapped("[1, 2", f"[{word}, 2")
    ranges = {"u8": ("UINT8", 256, -1, 1.5), "i8": ("INT8", 128, -129, 1.0),
              "i32": ("INT32", 2**31, -2**31 - 1, 1e3), "i64": ("INT64", 2**63, -2**63 - 1, 0.1),
              "u64": ("UINT64", 2**64, -1, 1.0)}
    for model, (datatype, *values) in ranges.items():
        for v in [*values, "1", True, None]:
            yield model, f"{v!r} as {datatype}", said(datatype, [v, 1, 1, 1])
    for v in ("1e5", "NaN", "70000"):
        yield "f16", f"{v} as FP16", said("FP16", [0.5] * 4).replace("[0.5,", f"[{v},")
    yield "f64", "1e999 as FP64", said("FP64").replace("[1, 2", "[1e999, 2")
    for v in (0, 1, 2, "true", None):
        yield "bool", f"{v!r} as BOOL", said("BOOL", [v, True, True, True])
    for v in (1, None, True, ["a"], {}):
        yield "text", f"{v!r} as BYTES", said("BYTES", [v, "a", "b", "c"])
    half = said("BYTES", ["a"] * 4).replace('"a"', '"\\udc00"', 1)
    yield "text", "a string of half a surrogate", half
    for p in ('[]', '1', 'null', '{"priority":-1}', '{"priority":1.5}', '{"priority":"a"}',
              '{"timeout":-1}', '{"timeout":1e30}', '{"timeout":"1"}', '{"sequence_id":1}',
              '{"sequence_start":true}', '{"binary_data_output":1}',
              '{"binary_data_output":"true"}',
              '{"a":null}', '{"a":[]}', '{"a":{}}', '{"timeout":1,"timeout":2}'):
        yield "f32", f"parameters {p}", TEXT[:-1] + f',"parameters":{p}}}'
    for p in ("1", '{"binary_data_size":16}', '{"shared_memory_region":"a"}', '{"x":{}}',
              '{"shared_memory_region":"/etc/passwd","shared_memory_byte_size":16}'):
        yield "f32", f"parameters of an input: {p}", swapped('"data"', f'"parameters":{p},"data"')
    for p in ('1', '{}', '"y"', '["y"]', '[{}]', '[{"name":1}]', '[{"name":"z"}]', '[null]',
              '[{"name":"y"},{"name":"y"}]', '[{"name":"y","parameters":[]}]',
              '[{"name":"y","parameters":{"classification":-1}}]',
              '[{"name":"y","parameters":{"classification":1.5}}]',
              '[{"name":"y","parameters":{"binary_data":"no"}}]',
              '[{"name":"y","parameters":{"shared_memory_region":"a"}}]',
              "[" + ",".join(['{"name":"y"}'] * 20000) + "]"):
        yield "f32", f"outputs {p[:60]}", TEXT[:-1] + f',"outputs":{p}}}'
    for p in ("1", "null", "[]", "{}", '"' + "a" * 5000 + '"'):
        yield "f32", f"id {p[:20]}", TEXT[:-1] + f',"id":{p}}}'
    yield "f32", "an input twice", json.dumps({"inputs": GOOD["inputs"] * 2})
    yield "f32", "an input too many", json.dumps({"inputs": [*GOOD["inputs"],
                                                            {**GOOD["inputs"][0], "name": "z"}]})
    a = {"name": "a", "shape": [1, 4], "datatype": "INT32", "data": [1, 2, 3, 4]}
    yield "two", "one of two", json.dumps({"inputs": [a]})
    yield "two", "rows that differ", json.dumps(
        {"inputs": [a, {**a, "name": "b", "shape": [2, 4], "data": [1] * 8}]})
    yield "fixed", "rows that are not the model's", said()
    yield "limited", "more rows than it takes", said(shape=[5000, 4], data=[1] * 20000)


def head(size, datatype="FP32", shape=(1, 4), **more):
    """The JSON of a binary request."""
    return json.dumps({"inputs": [{"name": "x", "shape": list(shape), "datatype": datatype,
                                   "parameters": {"binary_data_size": size}}], **more}).encode()


def binary_cases():
    """Model, what is wrong, value of Inference-Header-Content-Length, body."""
    row = struct.pack("<4f", 1, 2, 3, 4)
    h = head(16)
    yield "f32", "no field", None, h + row
    for value in ("", "-1", "+5", "1.0", "0x10", "a", "1 1", "99999999999999999999", "1e2", " ",
                  str(len(h) + 17), str(2**63 - 1), str(2**64 + len(h)), f"{len(h)},{len(h)}"):
        yield "f32", f"field {value!r}", value, h + row
    for value in (1, len(h) - 1, len(h) + 1, len(h) + 16):
        yield "f32", f"JSON of {value} bytes instead of {len(h)}", value, h + row
    for size in (0, 4, 15, 17, 32, -16, 2**31, 2**32 + 16, 2**63 - 1, 2**64, 16.0, "16", True, None,
                 []):
        yield "f32", f"binary_data_size {size!r}", len(head(size)), head(size) + row
    for shape in ([2, 4], [4], [1, 3], [0, 4], [-1, 4], [2**62, 4], [2**32, 2**32], [1, 2**63]):
        yield "f32", f"shape {shape}", len(head(16, shape=shape)), head(16, shape=shape) + row
    for tail in (b"", row[:-1], row + b"\0", row * 2):
        yield "f32", f"{len(tail)} bytes behind", len(h), h + tail
    both = head(16).replace(b'"parameters"', b'"data":[1,2,3,4],"parameters"')
    yield "f32", "data and bytes", len(both), both + row
    twice = head(16).replace(b"16}", b'16,"binary_data_size":16}')
    yield "f32", "a size twice", len(twice), twice + row
    for raw in (row[:3], row[:15], row + b"\0", b""):
        yield "f32", f"raw, {len(raw)} bytes", 0, raw
    yield "two", "raw for two inputs", 0, row
    yield "f32", "FP64 for FP32", len(head(32, "FP64")), head(32, "FP64") + row * 2
    b = head(4, "BOOL")
    for raw in (b"\2\0\0\0", b"\xff\1\1\1"):
        yield "bool", f"{raw!r} as BOOL", len(b), b + raw
    texts = {"a length past the end": b"\5\0\0\0abc" + b"\0" * 12,
             "a length of 4 GB": b"\xff\xff\xff\xff" + b"\0" * 15,
             "too few": b"\1\0\0\0a", "too many": (b"\1\0\0\0a") * 5, "half a length": b"\0" * 14,
             "none": b"", "bytes behind": b"\0" * 17}
    for what, raw in texts.items():
        t = head(len(raw), "BYTES")
        yield "text", f"strings: {what}", len(t), t + raw
    t = head(16, "BYTES", [1 << 40, 4])
    yield "text", "strings: a shape beyond all", len(t), t + b"\0" * 16
    yield "f32", "no JSON before the bytes", 16, row
    yield "f32", "an output that is none", *(lambda t: (len(t), t + row))(
        head(16, outputs=[{"name": "z"}]))


def coded_cases():
    """What is wrong, fields, body: compressed bodies are not taken."""
    z = gzip.compress(TEXT.encode())
    bomb = gzip.compress(b'{"inputs":[' + b" " * 50_000_000)
    for what, coding, body in (("gzip", "gzip", z), ("gzip that is cut", "gzip", z[:-9]),
                               ("a bomb", "gzip", bomb), ("no gzip", "gzip", TEXT.encode()),
                               ("deflate", "deflate", zlib.compress(TEXT.encode())),
                               ("br", "br", b"\x0b"), ("two", "gzip, gzip", gzip.compress(z)),
                               ("unknown", "rot13", TEXT.encode()), ("empty", "", b"{}")):
        yield what, {"Content-Encoding": coding}, body
    yield "compressed without a word", {}, z


def plain_paths():
    """Method, path, body: refused before or without a model."""
    for path in ("/v2/models//infer", "/v2/models/none/infer", "/v2/models/f32/versions/9/infer",
                 "/v2/models/f32/versions/x/infer", "/v2/models/f32/versions//infer",
                 "/v2/models/f32/versions/-1/infer", "/v2/models/f32/versions/01/infer",
                 "/v2/models/f32/versions/99999999999999999999/infer", "/v2/models/f32/infer/",
                 "/v2/models/f32%00/infer", "/v2/models/..%2ff32/infer", "/v2/models/f32/Infer",
                 "/v2/models/" + "a" * 2000 + "/infer", "/v2/models/f32/explain",
                 "//v2/models/f32/infer",
                 "/v2/models/f32//infer", "/v1/models/f32:predict"):
        yield "POST", path, TEXT
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE"):
        yield method, "/v2/models/f32/infer", TEXT if method in ("PUT", "PATCH") else None
    for body in ("{", "[]", '{"ready":1}', '{"ready":true', '"', "\0", "{}x"):
        yield "POST", "/v2/repository/index", body
    yield "POST", "/v2/repository/models/f32/load", "{}"
    yield "POST", "/v2/repository/models/f32/unload", "x"


class Asker:
    """One connection as long as it lasts; a request that is right follows each that is not."""

    def __init__(self, server):
        self.c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60 * SLOW)
        self.n = 0

    def once(self, method, path, body, fields):
        body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        self.c.request(method, path, body, fields)
        r = self.c.getresponse()
        return r.status, r.getheader("Content-Type"), r.read()

    def refused(self, what, method, path, body, fields):
        self.n += 1
        status, kind, answer = self.once(method, path, body, fields)
        try:
            reason = json.loads(answer)["error"]
        except (ValueError, KeyError, TypeError):
            reason = ""
        good = 400 <= status < 500 and kind == "application/json" and len(reason) >= 8
        want(good, f"{what}: {status} {kind} {answer[:200]}")
        want(len(reason) < 1024 and not re.search("/tmp|0x[0-9a-f]{6}", reason),
             f"{what}: the reason is {reason[:300]!r}")
        status, _, answer = self.once("POST", "/v2/models/f32/infer", TEXT, {})
        want(status == 200, f"after {what}: {status} {answer[:200]}")


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        models(pathlib.Path(folder))
        with Server(program, folder) as s:
            a = Asker(s)
            for kind in ({}, {"Content-Type": "application/json"}):
                for model, what, body in json_cases():
                    a.refused(f"{model}, {what}", "POST", f"/v2/models/{model}/infer", body, kind)
            n_json, a.n = a.n // 2, 0
            for model, what, length, body in binary_cases():
                fields = {"Content-Type": "application/octet-stream"}
                if length is not None:
                    fields[LEN] = str(length)
                a.refused(f"{model}, binary, {what}", "POST", f"/v2/models/{model}/infer", body,
                          fields)
            n_binary, a.n = a.n, 0
            for what, fields, body in coded_cases():
                a.refused(f"coded, {what}", "POST", "/v2/models/f32/infer", body, fields)
            for method, path, body in plain_paths():
                a.refused(f"{method} {path[:60]} {body!r:.40}", method, path, body, {})
            print(f"{n_json} bodies of JSON, {n_binary} of bytes, {a.n} others")
            want(n_json >= 200 and n_binary >= 60, "some bodies are missing")
            _, _, text = s.ask("GET", "/metrics")
            bad = [x for x in text.decode().splitlines() if 'code="5' in x and not x.endswith(" 0")]
            want(not bad, f"5xx were counted: {bad}")
    finish()


main()
