#!/usr/bin/env python3
"""
What tritonclient says is what the codec reads, and what the codec writes tritonclient reads back:
every type, JSON, binary and gRPC, parameters, classification, refusals. No network: bodies go
through kserve_pipe. check_kserve_client.py KSERVE_PIPE; exit 77 without the packages.
"""
import json
import struct
import subprocess
import sys

try:
    import numpy as np
    import tritonclient.grpc as grpc
    import tritonclient.http as http
    from tritonclient.grpc import service_pb2 as pb
    from tritonclient.grpc._utils import _get_inference_request as grpc_request
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


def grpc_call(pipe, request):
    status, _, answer = pipe.call(1, request.SerializeToString(), -1)
    if status:
        return status, answer.decode()
    return 0, pb.ModelInferResponse.FromString(answer)


# Lists of InferTensorContents by the name of the input.
LISTS = {"bool": "bool_contents", "i8": "int_contents", "i16": "int_contents",
         "i32": "int_contents", "i64": "int64_contents", "u8": "uint_contents",
         "u16": "uint_contents", "u32": "uint_contents", "u64": "uint64_contents",
         "f32": "fp32_contents", "f64": "fp64_contents", "str": "bytes_contents"}


def typed_request(name, datatype, x):
    request = pb.ModelInferRequest(model_name="echo", id="9")
    t = request.inputs.add(name=name, datatype=datatype, shape=list(x.shape))
    getattr(t.contents, LISTS[name]).extend(x.flatten().tolist())
    return request


def grpc_types(pipe, rng):
    for name, (datatype, kind) in TYPES.items():
        for shape in ((1,), (3, 5), (2, 1, 2, 2)):
            x = sample(kind, shape, rng)
            t = grpc.InferInput(name, list(x.shape), datatype)
            t.set_data_from_numpy(x)
            out = [grpc.InferRequestedOutput(name)]
            requests = [grpc_request(model_name="echo", inputs=[t], model_version="",
                                     request_id="9", outputs=out, sequence_id=0,
                                     sequence_start=False, sequence_end=False, priority=3,
                                     timeout=1000, parameters=None)]
            if name in LISTS:
                requests.append(typed_request(name, datatype, x))
            for request in requests:
                status, r = grpc_call(pipe, request)
                check(status == 0, f"gRPC {name} {shape}: {r}")
                if status:
                    continue
                y = grpc.InferResult(r).as_numpy(name)
                check(y.shape == x.shape and np.array_equal(x, y), f"gRPC {name} {shape}: {x} {y}")
                check(r.id == "9" and r.model_name == "echo" and r.model_version == "1", str(r))


def grpc_refusals(pipe):
    def refused(what, change, datatype="INT32", name="i32", values=(1, 2)):
        request = typed_request(name, datatype, np.array(values))
        change(request)
        status, sentence = grpc_call(pipe, request)
        check(status != 0 and what in str(sentence), f"{what}: {sentence}")

    refused("fewer", lambda r: r.inputs[0].shape.append(2))
    refused("more", lambda r: r.inputs[0].contents.int_contents.append(7))
    refused("negative", lambda r: r.inputs[0].shape.append(-1))
    refused("fewer", lambda r: r.inputs[0].shape.extend([1 << 40, 1 << 40]))
    refused("more than 8", lambda r: r.inputs[0].shape.extend([1] * 8))
    refused("exclude each other", lambda r: r.raw_input_contents.append(b"12345678"))
    refused("1 inputs have 2", lambda r: r.raw_input_contents.extend([b"1", b"2"]))
    refused("list of another", lambda r: r.inputs[0].contents.fp32_contents.append(1))
    refused("given twice", lambda r: r.inputs.append(r.inputs[0]))
    refused("no input", lambda r: setattr(r.inputs[0], "name", "q"))
    refused("no such datatype", lambda r: setattr(r.inputs[0], "datatype", "int"))
    refused("wants INT32", lambda r: setattr(r.inputs[0], "datatype", "INT64"))
    refused("out of the range of UINT8", lambda r: None, "UINT8", "u8", (1, 256))
    refused("out of the range of INT8", lambda r: None, "INT8", "i8", (1, -129))
    refused("no output", lambda r: r.outputs.add(name="q"))
    refused("has no value", lambda r: r.outputs.add(name="f32"))
    refused("sequences", lambda r: setattr(r.parameters["sequence_id"], "int64_param", 5))
    refused("priority", lambda r: setattr(r.parameters["priority"], "string_param", "high"))
    refused("timeout", lambda r: setattr(r.parameters["timeout"], "int64_param", -1))
    refused("shared memory", lambda r: setattr(
        r.inputs[0].parameters["shared_memory_region"], "string_param", "a"))
    request = pb.ModelInferRequest()
    request.inputs.add(name="f16", datatype="FP16", shape=[0])
    status, sentence = grpc_call(pipe, request)
    check(status != 0 and "raw_input_contents alone" in sentence, sentence)
    raw = pb.ModelInferRequest(raw_input_contents=[b"\x00\x00\x80\x3f"])
    raw.inputs.add(name="f32", datatype="FP32", shape=[2])
    status, sentence = grpc_call(pipe, raw)
    check(status != 0 and "have 4 bytes, its shape says 8" in sentence, sentence)
    good = typed_request("i32", "INT32", np.arange(3)).SerializeToString()
    for n in range(len(good)):  # no cut is a crash
        pipe.call(1, good[:n], -1)


def grpc_metadata(pipe):
    status, _, answer = pipe.call(2, b"", -1)
    server = pb.ServerMetadataResponse.FromString(answer)
    check(status == 0 and server.name == "lamina", str(server))
    check("statistics" in server.extensions, str(server))
    status, _, answer = pipe.call(3, b"", -1)
    model = pb.ModelMetadataResponse.FromString(answer)
    check(model.name == "echo" and list(model.versions) == ["1", "20"], str(model))
    check(model.platform == "onnx_lamina" and len(model.inputs) == 14, str(model))
    check(model.inputs[0].datatype == "FP32" and list(model.inputs[0].shape) == [-1], str(model))


def main():
    pipe = Pipe(sys.argv[1])
    grpc_types(pipe, np.random.default_rng(2))
    grpc_refusals(pipe)
    grpc_metadata(pipe)
    every_type(pipe, np.random.default_rng(1))
    defaults_and_specials(pipe)
    refusals(pipe)
    pipe.p.stdin.close()
    check(pipe.p.wait() == 0, "the pipe ended badly")
    print("failed:", failed)
    return failed != 0


sys.exit(main())
