#!/usr/bin/env python3
"""
tritonclient over gRPC: asyncio, calls in flight, streams, time-outs, cancelled calls, parameters,
classification, typed contents; then messages that are wrong, of which each must be answered with
INVALID_ARGUMENT and a reason. tests/serve/check_serve_grpc.py asks what is plain.
"""
import asyncio
import pathlib
import struct
import tempfile
import threading

from judged import PROGRAM, Server, check, finish, has_plugin, need, raises, repository

need("numpy", "tritonclient", "grpc")
import grpc  # noqa: E402
import numpy as np  # noqa: E402
import tritonclient.grpc as triton  # noqa: E402
import tritonclient.grpc.aio as aio  # noqa: E402
from tritonclient.grpc import service_pb2 as pb  # noqa: E402
from tritonclient.grpc import service_pb2_grpc  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402


def given(x, name="x", datatype="FP32"):
    return triton.InferInput(name, list(x.shape), datatype).set_data_from_numpy(x)


def rows(i):
    return np.full((1, 4), i, np.float32)


def in_flight(at):
    with triton.InferenceServerClient(at) as c:
        got, done = {}, threading.Semaphore(0)

        def told(i):
            def tell(result, error):
                got[i] = error or result.as_numpy("y")
                done.release()
            return tell
        for i in range(50):
            c.async_infer("scale", [given(rows(i))], told(i), model_version="1")
        for _ in range(50):
            done.acquire(timeout=60)
        check(all(np.array_equal(got[i], 2 * rows(i)) for i in range(50)), "async_infer")
        a, b = np.arange(8, dtype=np.int32).reshape(2, 4), np.ones((2, 4), np.int32)
        ins = [given(a, "a", "INT32"), given(b, "b", "INT32")]
        r = c.infer("two", ins, outputs=[triton.InferRequestedOutput("s", class_count=2)],
                    priority=1, timeout=10_000_000, parameters={"mine": "x", "n": 1, "b": True})
        check(r.as_numpy("s").tolist() == [[b"4:3", b"3:2"], [b"8:3", b"7:2"]], r.as_numpy("s"))
        check(r.as_numpy("d") is None, "an output that was not asked for")
        r = c.infer("scale", [given(rows(1))], client_timeout=30, headers={"x-mine": "1"})
        check(np.array_equal(r.as_numpy("y"), 3 * rows(1)), "client_timeout")
        words = np.array([["a", "ä", ""]], dtype=object)
        y = c.infer("text", [given(words, datatype="BYTES")]).as_numpy("y")
        check([v.decode() for v in y.flat] == list(words.flat), "strings")
        check(c.get_model_metadata("scale", as_json=True)["versions"] == ["2", "1"], "versions")
        check(c.get_model_metadata("scale", "1", as_json=True)["versions"] == ["1"], "a version")
        big = np.random.default_rng(1).random((8, 500_000), np.float32)
        check(np.array_equal(c.infer("big", [given(big)]).as_numpy("y"), big), "16 MB")
        c.async_infer("big", [given(big)], told("left")).cancel()  # its body never comes whole
        check(c.is_server_ready(), "after a call that was cancelled")
        e = raises(InferenceServerException, lambda: c.infer("scale", [given(rows(1))],
                                                             sequence_id=7), "a sequence")
        check(e.status() == "StatusCode.INVALID_ARGUMENT" and "sequences" in e.message(), e)


async def by_asyncio(at):
    async with aio.InferenceServerClient(at) as c:
        check(await c.is_server_live() and await c.is_model_ready("scale", "2"), "aio: health")
        check((await c.get_server_metadata()).name == "lamina", "aio: metadata")
        check(list((await c.get_model_metadata("scale")).versions) == ["2", "1"], "aio: versions")
        rs = await asyncio.gather(*(c.infer("scale", [given(rows(i))], model_version="1",
                                            request_id=str(i)) for i in range(50)))
        for i, r in enumerate(rs):
            check(np.array_equal(r.as_numpy("y"), 2 * rows(i)), "aio: infer")
            check(r.get_response().id == str(i), "aio: ids")

        async def asked():
            for i in range(50):
                yield {"model_name": "none" if i == 25 else "scale", "inputs": [given(rows(i))],
                       "request_id": str(i)}
        n = 0
        async for result, error in c.stream_infer(asked()):
            if n == 25:
                check(error and "none" in error.message(), f"aio stream: {error}")
            else:
                check(not error and np.array_equal(result.as_numpy("y"), 3 * rows(n)), "aio stream")
            n += 1
        check(n == 50, f"aio stream: {n} answers of 50")
        try:
            await c.infer("none", [given(rows(1))])
            check(False, "aio: no model")
        except InferenceServerException as e:
            check(e.status() == "StatusCode.NOT_FOUND", e)


def asked(model="scale", name="x", datatype="FP32", shape=(1, 4), raw=None, **contents):
    q = pb.ModelInferRequest(model_name=model)
    t = q.inputs.add(name=name, datatype=datatype, shape=list(shape))
    for k, v in contents.items():
        getattr(t.contents, k).extend(v)
    if raw is not None:
        q.raw_input_contents.append(raw)
    return q


def wrong_messages():
    row = struct.pack("<4f", 1, 2, 3, 4)
    yield "nothing", pb.ModelInferRequest(model_name="scale")
    yield "no data", asked()
    yield "a name", asked(name="z", raw=row)
    yield "a type", asked(datatype="FP64", raw=row * 2)
    yield "no type at all", asked(datatype="FP31", raw=row)
    for shape in ((4,), (1, 3), (2, 4), (0, 4), (-1, 4), (1, -4), (2**62, 4), (2**32, 2**32),
                  (1,) * 70, ()):
        yield f"shape {shape}", asked(shape=shape, raw=row)
    for raw in (b"", row[:-1], row + b"\0", row * 2):
        yield f"{len(raw)} bytes", asked(raw=raw)
    for n in (0, 3, 5):
        yield f"{n} values", asked(fp32_contents=[1] * n)
    yield "values of another type", asked(fp64_contents=[1] * 4)
    yield "values of two types", asked(fp32_contents=[1] * 4, int_contents=[1] * 4)
    yield "values and bytes", asked(raw=row, fp32_contents=[1] * 4)
    q = asked(raw=row)
    q.raw_input_contents.append(row)
    yield "bytes of no input", q
    q = asked(raw=row)
    q.inputs.append(q.inputs[0])
    q.raw_input_contents.append(row)
    yield "an input twice", q
    q = asked(raw=row)
    q.outputs.add(name="z")
    yield "an output", q
    q = asked(raw=row)
    q.outputs.add(name="y")
    q.outputs.add(name="y")
    yield "an output twice", q
    for v in (256, 2**31):
        yield f"{v} as UINT8", asked("u8", datatype="UINT8", uint_contents=[v, 1, 1, 1])
    for what, raw in (("past the end", b"\5\0\0\0abc"), ("of 4 GB", b"\xff\xff\xff\xff"),
                      ("too few", b"\1\0\0\0a"), ("cut", b"\1\0\0"), ("behind", b"\0" * 9)):
        yield f"strings: {what}", asked("text", datatype="BYTES", shape=(1, 2), raw=raw)
    yield "a string too few", asked("text", datatype="BYTES", shape=(1, 2), bytes_contents=[b"a"])
    yield "one of two", asked("two", name="a", datatype="INT32", int_contents=[1] * 4)
    for key, kind, value in (("sequence_id", "int64_param", 3), ("priority", "int64_param", -1),
                             ("sequence_start", "bool_param", True),
                             ("timeout", "int64_param", -1), ("priority", "string_param", "a")):
        q = asked(raw=row)
        setattr(q.parameters[key], kind, value)
        yield f"{key} {value!r}", q
    for key in ("shared_memory_region", "shared_memory_byte_size"):
        q = asked(raw=row)
        q.inputs[0].parameters[key].string_param = "a"
        yield key, q


def refused(at):
    with grpc.insecure_channel(at) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for what, q in wrong_messages():
            e = raises(grpc.RpcError, lambda q=q: stub.ModelInfer(q), what)
            if e:
                check(e.code() == grpc.StatusCode.INVALID_ARGUMENT and len(e.details()) > 8,
                      f"{what}: {e.code()} {e.details()}")
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        good = asked(raw=struct.pack("<4f", 1, 2, 3, 4)).SerializeToString()
        for cut in range(1, len(good)):
            try:
                infer(good[:cut])
            except grpc.RpcError as e:
                check(e.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND),
                      f"cut at {cut}: {e.code()} {e.details()}")
        check(infer(good), "and then")


def main():
    if not has_plugin("h2"):
        raise SystemExit(77)
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d)
        with Server(PROGRAM, d) as s:
            in_flight(f"127.0.0.1:{s.port}")
            asyncio.run(by_asyncio(f"127.0.0.1:{s.port}"))
            refused(f"127.0.0.1:{s.port}")
    finish()


main()
