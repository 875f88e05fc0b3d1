#!/usr/bin/env python3
"""
`lamina serve` and the official client over gRPC: every type, refusals and their codes, streams of
calls, large tensors, health. check_serve_grpc.py LAMINA; exit 77 without packages or plug-in.
"""
import http.client
import json
import os
import queue
import subprocess
import sys
import tempfile

try:
    import grpc
    import numpy as np
    import tritonclient.grpc as triton
    from google.protobuf import json_format
    from tritonclient.grpc import model_config_pb2
    from tritonclient.grpc import service_pb2 as pb2
    from tritonclient.utils import InferenceServerException
except ImportError as e:
    print("skip:", e)
    sys.exit(77)

from official import TYPES, o as pb, sample, save, save_types  # noqa: E402
from serving import SLOW, Server, finish, want as check  # noqa: E402


def make_models(folder):
    save_types(folder)
    save(folder, "told", [pb.node("Identity", ["x"], ["y"])], [pb.info("x", pb.F32, ["N", 4])],
         [pb.info("y", pb.F32, ["N", 4])])
    with open(os.path.join(folder, "told", "config.pbtxt"), "w", encoding="ascii") as f:
        f.write('max_batch_size: 16 parameters { key: "k" value { string_value: "a \\"b\\"" } }\n'
                'dynamic_batching { preferred_batch_size: [4, 8] priority_levels: 2\n'
                'default_priority_level: 1 priority_queue_policy { key: 2 value { max_queue_size: 7'
                ' timeout_action: DELAY default_timeout_microseconds: 5000 } } }\n'
                'version_policy { all {} } response_cache { enable: true }\n')


def given(datatype, x):
    return [triton.InferInput("x", list(x.shape), datatype).set_data_from_numpy(x)]


def every_type(client):
    for name, (datatype, _, kind) in TYPES.items():
        for shape in ((1, 3), (4, 5), (3, 900)):
            x = sample(kind, shape)
            r = client.infer("id_" + name, given(datatype, x), request_id="z")
            check(np.array_equal(r.as_numpy("y"), x), f"{name} {shape}")
            check(r.get_response().id == "z", f"{name}: id")
    x = np.arange(3_000_000, dtype=np.float32).reshape(3, -1)
    for _ in range(3):
        check(np.array_equal(client.infer("id_f32", given("FP32", x)).as_numpy("y"), x), "12 MB")


def about(client):
    check(client.is_server_live() and client.is_server_ready(), "live, ready")
    check(client.is_model_ready("id_f32") and not client.is_model_ready("nobody"), "model ready")
    check(client.get_server_metadata().name == "lamina", "server metadata")
    m = client.get_model_metadata("id_f32")
    check(m.name == "id_f32" and m.inputs[0].datatype == "FP32", f"metadata {m}")


def code_of(call, *args, **more):
    try:
        call(*args, **more)
    except grpc.RpcError as e:
        return e.code().name, e.details()
    except InferenceServerException as e:
        return e.status(), e.message()
    return None, None


def refusals(client, channel):
    x = np.zeros((1, 3), np.float32)
    code, why = code_of(client.infer, "nobody", given("FP32", x))
    check(code == "StatusCode.NOT_FOUND" and "nobody" in why, f"no model: {code} {why}")
    code, why = code_of(client.infer, "id_i64", given("FP32", x))
    check(code == "StatusCode.INVALID_ARGUMENT" and why, f"wrong type: {code} {why}")
    infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    for body, want in ((b"\xff\xff", "INVALID_ARGUMENT"),
                       (b"\0" * (70 << 20), "RESOURCE_EXHAUSTED")):
        code, why = code_of(infer, body)
        check(code == want, f"{len(body)} bytes: {code} {why}")
    code, why = code_of(infer, b"\x0a\x01\xff")
    check(code in ("NOT_FOUND", "INVALID_ARGUMENT"), f"bad name: {code} {why}")
    code, why = code_of(infer, b"", compression=grpc.Compression.Gzip)
    check(code in ("UNIMPLEMENTED", "NOT_FOUND"), f"gzip: {code} {why}")
    code, why = code_of(infer, bytes(5000), compression=grpc.Compression.Gzip)
    check(code == "UNIMPLEMENTED", f"gzip: {code} {why}")
    code, why = code_of(channel.unary_unary("/inference.GRPCInferenceService/Nothing"), b"")
    check(code == "UNIMPLEMENTED", f"no method: {code} {why}")


def same_as_http(client, url):
    """Both protocols say the same of models."""
    def told(path, message, method="GET"):
        c = http.client.HTTPConnection(url, timeout=30)
        c.request(method, path)
        said = json.loads(c.getresponse().read())
        c.close()
        if isinstance(said, list):
            said = {"models": said}
        return json_format.ParseDict(said, message, ignore_unknown_fields=True)

    for name in ("id_f32", "id_str", "told"):
        want = told(f"/v2/models/{name}/config", model_config_pb2.ModelConfig())
        got = client.get_model_config(name).config
        check(got == want and got.name == name and got.input, f"{name}: {got} is not {want}")
    check(client.get_model_config("told").config.dynamic_batching.priority_levels == 2, "levels")
    for path, name in (("/v2/models/stats", ""), ("/v2/models/id_f32/stats", "id_f32")):
        want = told(path, pb2.ModelStatisticsResponse())
        check(client.get_inference_statistics(name) == want and want.model_stats, f"{path}")
    check(sum(m.inference_count for m in want.model_stats) > 0, "some were counted")
    want = told("/v2/repository/index", pb2.RepositoryIndexResponse(), "POST")
    got = client.get_model_repository_index()
    check(got == want and len(got.models) == len(TYPES) + 1, f"{got} is not {want}")
    for call, args in ((client.get_model_config, ("nobody",)),
                       (client.get_inference_statistics, ("nobody",))):
        check(code_of(call, *args)[0] == "StatusCode.NOT_FOUND", f"{call} of nobody")
    check(code_of(client.load_model, "id_f32")[0] == "StatusCode.PERMISSION_DENIED", "load")
    check(code_of(client.register_system_shared_memory, "a", "/a", 8)[0] ==
          "StatusCode.UNIMPLEMENTED", "shared memory")
    check(code_of(client.get_cuda_shared_memory_status)[0] == "StatusCode.UNIMPLEMENTED", "cuda")


def settings(client):
    rows = client.get_log_settings().settings
    check("log_verbose_level" in rows and rows["log_info"].WhichOneof("parameter_choice") ==
          "bool_param", f"log: {rows}")
    rows = client.get_trace_settings().settings
    check(len(rows["trace_rate"].value) == 1, f"traces: {rows}")
    check(client.get_trace_settings("id_f32").settings == rows, "traces of a model")
    check(code_of(client.get_trace_settings, "nobody")[0] == "StatusCode.NOT_FOUND", "of nobody")
    check(code_of(client.update_log_settings, {"log_info": False})[0] ==
          "StatusCode.PERMISSION_DENIED", "the log is not for all to change")


def admin(program, folder):
    """What the admin address alone may do."""
    more = ["--probe", "never"] if SLOW > 1 else []
    with Server(program, folder, "--model-control", "explicit", "--load", "id_f32", "--admin",
                "127.0.0.1:0", *more) as s:
        with triton.InferenceServerClient(f"127.0.0.1:{s.admin}") as client:
            check(client.is_model_ready("id_f32") and not client.is_model_ready("id_i8"), "one")
            client.load_model("id_i8")
            check(client.is_model_ready("id_i8"), "loaded")
            client.unload_model("id_f32")
            check(not client.is_model_ready("id_f32"), "unloaded")
            check(code_of(client.load_model, "nobody")[0] == "StatusCode.INVALID_ARGUMENT",
                  "load nobody")
            check(code_of(client.load_model, "../x")[0] == "StatusCode.INVALID_ARGUMENT", "a path")
            check(code_of(client.load_model, "id_f32", config="{}")[0] ==
                  "StatusCode.UNIMPLEMENTED", "a configuration")
            rows = client.update_log_settings({"log_info": False, "log_verbose_level": 1}).settings
            check(not rows["log_info"].bool_param and rows["log_verbose_level"].uint32_param == 1,
                  f"log: {rows}")
            check(client.get_log_settings().settings == rows, "and it stays so")
            check(code_of(client.update_log_settings, {"nothing": True})[0] in
                  ("StatusCode.INVALID_ARGUMENT", "StatusCode.UNIMPLEMENTED"), "no setting")
            code, why = code_of(client.update_trace_settings, None, {"trace_file": "/tmp/x"})
            check(code == "StatusCode.UNIMPLEMENTED" and why, f"trace_file: {code} {why}")


def health(channel):
    ask = channel.unary_unary("/grpc.health.v1.Health/Check")
    check(ask(b"") == b"\x08\x01", "serving")
    check(code_of(ask, b"\x0a\x03abc")[0] == "NOT_FOUND", "another service")


def messages(n, shape):
    for i in range(n):
        m = pb2.ModelInferRequest(model_name="id_f32" if i % 50 != 49 else "nobody", id=str(i))
        t = m.inputs.add(name="x", datatype="FP32")
        t.shape.extend(shape)
        m.raw_input_contents.append(np.full(shape, i, np.float32).tobytes())
        yield m


def streams(url, channel):
    stub = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer",
                                 pb2.ModelInferRequest.SerializeToString,
                                 pb2.ModelStreamInferResponse.FromString)
    for n, shape in ((300, (1, 3)), (100, (2, 700)), (60, (1, 400_000)), (0, (1, 1))):
        got = 0
        for i, r in enumerate(stub(messages(n, shape))):
            got += 1
            if i % 50 == 49:
                check("nobody" in r.error_message, f"no model: {r.error_message}")
                continue
            y = np.frombuffer(r.infer_response.raw_output_contents[0], np.float32)
            check(not r.error_message and r.infer_response.id == str(i), f"{i}: {r.error_message}")
            check(y.size == np.prod(shape) and (y == i).all(), f"{i}: values")
        check(got == n, f"{got} of {n} answers")
    call = stub(messages(10 ** 9, (1, 3)))  # left behind
    next(call)
    call.cancel()
    answers = queue.Queue()
    with triton.InferenceServerClient(url) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for i in range(20):
            client.async_stream_infer("id_f32", given("FP32", np.full((1, 3), i, np.float32)))
        for i in range(20):
            result, error = answers.get(timeout=30)
            check(error is None and result.as_numpy("y")[0, 0] == i, f"stream {i}: {error}")
        client.stop_stream()


def locked(program, folder):
    """Behind TLS, and with tokens: who may ask for what."""
    keys = [os.path.join(folder, name) for name in ("c.pem", "c.key", "tokens")]
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:P-256", "-nodes", "-keyout", keys[1], "-out", keys[0],
                           "-days", "2", "-subj", "/CN=localhost", "-addext",
                           "subjectAltName=IP:127.0.0.1"], capture_output=True, check=False)
    if made.returncode or not os.path.exists(os.path.join(os.path.dirname(program), "..", "lib",
                                                          "liblamina-tls.so")):
        return
    with open(keys[2], "w", encoding="ascii") as f:
        f.write("all-of-them\nsome-of-them models=id_f32\nslow-one rate=1/h\n")
    os.chmod(keys[2], 0o600)
    x = np.ones((1, 3), np.float32)
    with Server(program, folder, "--tls", keys[0], keys[1], "--tokens", keys[2]) as s:
        with open(keys[0], "rb") as f:
            trust = grpc.ssl_channel_credentials(f.read())
        with triton.InferenceServerClient(f"127.0.0.1:{s.port}", ssl=True, creds=trust) as client:
            def ask(token, model, datatype="FP32", value=x):
                return code_of(client.infer, model, given(datatype, value),
                               headers={"authorization": "Bearer " + token})[0]
            check(client.is_server_live(), "live without a token")
            check(code_of(client.infer, "id_f32", given("FP32", x))[0] ==
                  "StatusCode.UNAUTHENTICATED", "no token")
            check(ask("all-of-them", "id_f32") is None, "token over TLS")
            check(ask("some-of-them", "id_f32") is None, "its model")
            check(ask("some-of-them", "id_i64", "INT64", x.astype(np.int64)) ==
                  "StatusCode.PERMISSION_DENIED", "another model")
            check(ask("slow-one", "id_f32") is None, "its first")
            check(ask("slow-one", "id_f32") == "StatusCode.RESOURCE_EXHAUSTED", "its second")
            big = np.ones((3, 500_000), np.float32)
            check(ask("all-of-them", "id_f32", value=big) is None, "6 MB over TLS")


def many(channel):
    infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer",
                                pb2.ModelInferRequest.SerializeToString,
                                pb2.ModelInferResponse.FromString)
    calls = [infer.future(m) for m in messages(49, (4, 5))] * 4
    check(all(c.result().id for c in calls), "49 at once")


def main():
    lib = os.path.join(os.path.dirname(sys.argv[1]), "..", "lib", "liblamina-h2.so")
    if not os.path.exists(lib):
        print("skip: no", os.path.basename(lib))
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        make_models(folder)
        with Server(sys.argv[1], folder) as s:
            url = f"127.0.0.1:{s.port}"
            options = [(f"grpc.max_{way}_message_length", -1) for way in ("receive", "send")]
            with grpc.insecure_channel(url, options=options) as channel:
                every_type(triton.InferenceServerClient(url))
                about(triton.InferenceServerClient(url))
                same_as_http(triton.InferenceServerClient(url), url)
                settings(triton.InferenceServerClient(url))
                refusals(triton.InferenceServerClient(url), channel)
                health(channel)
                many(channel)
                streams(url, channel)
        admin(sys.argv[1], folder)
        locked(sys.argv[1], folder)
    finish()


main()
