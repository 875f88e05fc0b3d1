#!/usr/bin/env python3
"""
What tritonclient says is what the codec reads, and what the codec writes tritonclient reads back:
every type, JSON and binary, parameters, classification, refusals. No network: bodies go through
kserve_pipe. check_kserve_client.py KSERVE_PIPE; exit 77 without the packages.
"""
import json
import struct
import subprocess
import sys

try:
    import numpy as np
    import tritonclient.http as http
    from tritonclient.http._utils import _get_inference_request
except ImportError as e:
    print("skip:", e)
    sys.exit(77)

failed = 0


def check(ok, what):
    global failed
    if not ok:
        failed += 1
        print("FAIL", what)


class Pipe:
    def __init__(self, path):
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def call(self, kind, body, json_bytes):
        self.p.stdin.write(struct.pack("<BqI", kind, json_bytes, len(body)) + body)
        self.p.stdin.flush()
        status, json_bytes, n = struct.unpack("<iqI", self.p.stdout.read(16))
        return status, json_bytes, self.p.stdout.read(n)

    def infer(self, inputs, outputs=None, request_id="", priority=0, timeout=None, sequence_id=0,
              custom=None):
        body, size = _get_inference_request(inputs=inputs, request_id=request_id, outputs=outputs,
                                            sequence_id=sequence_id, sequence_start=False,
                                            sequence_end=False, priority=priority, timeout=timeout,
                                            custom_parameters=custom)
        if not isinstance(body, bytes):
            body = body.encode()
        status, json_bytes, answer = self.call(0, body, -1 if size is None else size)
        if status:
            return status, answer.decode()
        length = None if json_bytes < 0 else json_bytes
        return 0, http.InferResult.from_response_body(answer, header_length=length)


TYPES = {"f32": ("FP32", np.float32), "f64": ("FP64", np.float64), "f16": ("FP16", np.float16),
         "i8": ("INT8", np.int8), "u8": ("UINT8", np.uint8), "i16": ("INT16", np.int16),
         "u16": ("UINT16", np.uint16), "i32": ("INT32", np.int32), "u32": ("UINT32", np.uint32),
         "i64": ("INT64", np.int64), "u64": ("UINT64", np.uint64), "bool": ("BOOL", np.bool_),
         "str": ("BYTES", np.object_)}


def sample(kind, shape, rng):
    n = int(np.prod(shape))
    if kind == np.object_:
        words = [b"", b"abc", "ä\n\"\\😀".encode(), b"x" * 300]
        return np.array([words[i % 4] for i in range(n)], dtype=kind).reshape(shape)
    if kind == np.bool_:
        return rng.integers(0, 2, shape).astype(kind)
    if np.issubdtype(kind, np.integer):
        info = np.iinfo(kind)
        x = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
        x.flat[0], x.flat[-1] = info.min, info.max
        return x
    scale = 10.0 ** rng.integers(-4, 4, shape)
    return (rng.standard_normal(shape) * scale).astype(kind)


def tensor(name, datatype, x, binary):
    t = http.InferInput(name, list(x.shape), datatype)
    t.set_data_from_numpy(x, binary_data=binary)
    return t


def every_type(pipe, rng):
    for name, (datatype, kind) in TYPES.items():
        for shape in ((1,), (3, 5), (2, 1, 2, 2)):
            x = sample(kind, shape, rng)
            for binary_in in (True, False):
                if name == "f16" and not binary_in:
                    continue  # the client does not say it in JSON
                for binary_out in (True, False):
                    what = f"{name} {shape} in {binary_in} out {binary_out}"
                    out = [http.InferRequestedOutput(name, binary_data=binary_out)]
                    status, r = pipe.infer([tensor(name, datatype, x, binary_in)], out, "7")
                    check(status == 0, f"{what}: {r}")
                    if status:
                        continue
                    y = r.as_numpy(name)
                    if kind == np.object_ and not binary_out:
                        y = np.array([str(v).encode() if not isinstance(v, bytes) else v
                                      for v in y.flat], dtype=kind).reshape(y.shape)
                    check(y.dtype == x.dtype or kind == np.object_, f"{what}: {y.dtype}")
                    check(y.shape == x.shape and np.array_equal(x, y), f"{what}: {x} {y}")
                    check(r.get_response()["id"] == "7", what)
                    check(r.get_response()["model_name"] == "echo", what)


def defaults_and_specials(pipe):
    x = np.array([np.nan, np.inf, -np.inf, 1, 2, 3], np.float32)
    status, r = pipe.infer([tensor("f32", "FP32", x, True)])
    check(status == 0 and np.array_equal(r.as_numpy("f32"), x, equal_nan=True), "all as binary")
    out = [http.InferRequestedOutput("f32", binary_data=False)]
    status, r = pipe.infer([tensor("f32", "FP32", x, True)], out)
    with np.errstate(all="ignore"):
        said = np.array(r.get_response()["outputs"][0]["data"]).astype(np.float32)
    check(np.array_equal(said, x, equal_nan=True), f"not finite in JSON: {said}")
    out = [http.InferRequestedOutput("f64", binary_data=True)]
    status, r = pipe.infer([tensor("f64", "FP64", x.astype(np.float64), True)], out)
    check(np.array_equal(r.as_numpy("f64"), x.astype(np.float64), equal_nan=True), "not finite")
    a, b = np.arange(5, dtype=np.int32), np.array([True, False, True])
    status, r = pipe.infer([tensor("bool", "BOOL", b, True), tensor("i32", "INT32", a, False)],
                           priority=2, timeout=1000, custom={"mine": "x", "n": 3, "b": True})
    check(status == 0 and np.array_equal(r.as_numpy("i32"), a), "binary and JSON together")
    check(status == 0 and np.array_equal(r.as_numpy("bool"), b), "binary and JSON together")
    e = np.zeros((0, 3), np.float32)
    status, r = pipe.infer([tensor("f32", "FP32", e, False)])
    check(status == 0 and r.as_numpy("f32").shape == (0, 3), "empty")
    out = [http.InferRequestedOutput("f32", binary_data=True, class_count=2)]
    status, r = pipe.infer([tensor("f32", "FP32", np.array([1, 5, 3], np.float32), True)], out)
    check(status == 0 and list(r.as_numpy("f32")) == [b"5:1", b"3:2"], "classes")


def refusals(pipe):
    x = tensor("f32", "FP32", np.ones(2, np.float32), True)
    for what, kwargs in (("sequences", {"sequence_id": 5}), ("priority", {"priority": -1})):
        status, sentence = pipe.infer([x], **kwargs)
        check(status != 0 and what in sentence, f"{what}: {sentence}")
    shm = http.InferInput("f32", [2], "FP32")
    shm.set_shared_memory("region", 8)
    status, sentence = pipe.infer([shm])
    check(status != 0 and "shared memory" in sentence, sentence)
    status, sentence = pipe.infer([tensor("f64", "FP32", np.ones(2, np.float32), True)])
    check(status != 0 and "FP64" in sentence, sentence)
    status, _, sentence = pipe.call(0, json.dumps({"inputs": [{
        "name": "f32", "shape": [1], "datatype": "FP32", "data": [float("nan")]}]}).encode(), -1)
    check(status != 0 and b"NaN" in sentence, sentence)


def main():
    pipe = Pipe(sys.argv[1])
    every_type(pipe, np.random.default_rng(1))
    defaults_and_specials(pipe)
    refusals(pipe)
    pipe.p.stdin.close()
    check(pipe.p.wait() == 0, "the pipe ended badly")
    print("failed:", failed)
    return failed != 0


sys.exit(main())
